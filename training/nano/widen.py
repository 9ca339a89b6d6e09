"""An exported detector -> one with more channels that gives the same numbers, to train on from: `python -m nano.widen IN OUT
--from-width 0.1875 --width 0.24` in training/.

New channels are copies of old ones; what reads a channel and its copies shares its weight out among them by drawn parts, so
that copies learn different things (Net2Net, Chen et al. 2016, arXiv 1511.05641).
"""
import argparse
import json
import os

import torch

from .detector_model import C2f, Conv, Head, NanoDetector, SPPF
from .export import export_detector, load_exported


class Widener:
    """Of each layer's channels: which old one a new one is a copy of."""

    def __init__(self, seed):
        self.random = torch.Generator().manual_seed(seed)

    def copies(self, old, new):
        if new < old:
            raise SystemExit(f"{old} channels cannot become {new}")
        more = torch.cat([torch.randperm(old, generator=self.random) for _ in range(-(-new // old))])[: new - old]
        return torch.cat([torch.arange(old), more])

    def weights(self, old, outputs, inputs):
        """old (O, I, kH, kW) with its outputs copied and its inputs shared out."""
        part = 0.25 + 0.5 * torch.rand(len(outputs), len(inputs), generator=self.random)
        whole = torch.zeros(len(outputs), old.shape[1]).index_add_(1, inputs, part)
        return old[outputs][:, inputs] * (part / whole[:, inputs])[..., None, None]

    def conv(self, old, new, inputs, outputs=None):
        n = new.conv.weight.shape[0]
        outputs = self.copies(old.conv.weight.shape[0], n) if outputs is None else outputs
        new.conv.weight.copy_(self.weights(old.conv.weight, outputs, inputs))
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(new.bn, name)[:n] = getattr(old.bn, name)[outputs]
        return outputs

    def c2f(self, old, new, inputs):
        was, half = old.half, new.half
        parts = [self.copies(was, half), self.copies(was, half)]
        self.conv(old.cv1, new.cv1, inputs, torch.cat([parts[0], was + parts[1]]))
        for a, b in zip(old.m, new.m):
            inside = self.conv(a.cv1, b.cv1, parts[-1])
            parts.append(self.conv(a.cv2, b.cv2, inside, parts[-1] if a.add else None))
        return self.conv(old.cv2, new.cv2, torch.cat([i * was + p for i, p in enumerate(parts)]))

    def sppf(self, old, new, inputs):
        inside = self.conv(old.cv1, new.cv1, inputs)
        was = old.cv1.conv.weight.shape[0]
        return self.conv(old.cv2, new.cv2, torch.cat([i * was + inside for i in range(4)]))

    def head(self, old, new, inputs):
        for mine, theirs in ((old.cv2, new.cv2), (old.cv3, new.cv3), (old.cv4, new.cv4)):
            for a, b, x in zip(mine, theirs, inputs):
                for i in range(2):
                    x = self.conv(a[i], b[i], x)
                b[2].weight.copy_(self.weights(a[2].weight, torch.arange(len(a[2].weight)), x))
                b[2].bias.copy_(a[2].bias)

    def layer(self, old, new, inputs):
        by = {Conv: self.conv, C2f: self.c2f, SPPF: self.sppf, Head: self.head}
        return by[type(old)](old, new, inputs)

    def network(self, old, new):
        """As NanoDetector.forward goes."""
        y = {}
        last = lambda m: m if isinstance(m, Conv) else m.cv2
        size = lambda i: last(old.model[i]).conv.weight.shape[0]
        at = lambda i, x: self.layer(old.model[i], new.model[i], x)
        both = lambda a, b, i: torch.cat([a, size(i) + b])  # i: the layer that a is of
        x = torch.arange(3)
        for i in range(10):
            x = y[i] = at(str(i), x)
        y[12] = at("12", both(y[9], y[6], "9"))
        y[15] = at("15", both(y[12], y[4], "12"))
        y[18] = at("18", both(at("16", y[15]), y[12], "16"))
        y[21] = at("21", both(at("19", y[18]), y[9], "19"))
        at("22", [y[15], y[18], y[21]])


@torch.no_grad()
def widen(old, width, seed=0):
    new = NanoDetector(**dict(old.config, width=width))
    Widener(seed).network(old, new)
    return new.eval()


def main():
    p = argparse.ArgumentParser(prog="widen")
    p.add_argument("narrow")
    p.add_argument("wide")
    p.add_argument("--from-width", type=float, required=True)
    p.add_argument("--width", type=float, required=True)
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    old = NanoDetector(width=args.from_width).eval()
    meta = load_exported(args.narrow, old)
    new = widen(old, args.width, args.seed)
    size = export_detector(new, args.wide, {"wilor.run": f"{meta['wilor.run']}, widened"}, meta["imgsz"])
    picture = torch.randint(0, 256, (1, 160, 192, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.no_grad():
        apart = max((a - b).abs().max().item() for a, b in zip(old(picture), new(picture)))
    print(json.dumps(dict(bytes=size, parameters=sum(p.numel() for p in new.parameters()), differs=apart, file=os.path.basename(args.wide))))


if __name__ == "__main__":
    main()
