"""NanoDetector: the YOLOv8-pose architecture at small width, under the detector specification's layer numbers.

Shapes follow its section 4. Modules are named as in a state dict of that architecture (`model.2.m.0.cv1.conv.weight`), so the
export only renames. The keypoint branch has 63 channels, which tensor cores dislike: its convolutions run with a 64th channel
of zeros that no parameter belongs to.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

CLASSES, POINTS, BINS = 2, 21, 16
STRIDES = (8, 16, 32)


def channels(x, width, limit=1024):
    return 8 * math.ceil(min(x, limit) * width / 8)


def repeats(n, depth):
    return max(round(n * depth), 1)


class Conv(nn.Module):
    """Convolution without bias, batch norm, SiLU. pad_in, pad_out: channels of zeros behind the real ones."""

    def __init__(self, cin, cout, k=1, s=1, pad_in=0, pad_out=0):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, k, s, k // 2, bias=False)
        self.bn = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.03)
        self.pad_in, self.pad_out = pad_in, pad_out
        if pad_out:  # statistics of the zeros too, so that the update works in place; cut off in the export
            for name, fill in (("running_mean", 0.0), ("running_var", 1.0)):
                self.bn.register_buffer(name, torch.full((cout + pad_out,), fill))

    def forward(self, x):
        w, bn = self.conv.weight, self.bn
        gain, bias = bn.weight, bn.bias
        if self.pad_in or self.pad_out:
            w = F.pad(w, (0, 0, 0, 0, 0, self.pad_in, 0, self.pad_out)).contiguous(memory_format=torch.channels_last)
            gain, bias = F.pad(gain, (0, self.pad_out)), F.pad(bias, (0, self.pad_out))
        x = F.conv2d(x, w, None, self.conv.stride, self.conv.padding)
        return F.silu(F.batch_norm(x, bn.running_mean, bn.running_var, gain, bias, self.training, bn.momentum, bn.eps))


class Bottleneck(nn.Module):
    def __init__(self, c, add):
        super().__init__()
        self.cv1, self.cv2, self.add = Conv(c, c, 3), Conv(c, c, 3), add

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.add else y


class C2f(nn.Module):
    def __init__(self, cin, cout, n, add):
        super().__init__()
        self.half = cout // 2
        self.cv1 = Conv(cin, 2 * self.half)
        self.cv2 = Conv((2 + n) * self.half, cout)
        self.m = nn.ModuleList(Bottleneck(self.half, add) for _ in range(n))

    def forward(self, x):
        parts = list(self.cv1(x).split(self.half, 1))
        for block in self.m:
            parts.append(block(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class SPPF(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.cv1, self.cv2 = Conv(c, c // 2), Conv(2 * c, c)

    def forward(self, x):
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.cv2(torch.cat(parts, 1))


class Last(nn.Conv2d):
    """The head's 1 x 1 convolutions, with bias; reads `pad_in` channels of zeros more than it has weights for."""

    def __init__(self, cin, cout, pad_in=0):
        super().__init__(cin, cout, 1)
        self.pad_in = pad_in

    def forward(self, x):
        w = F.pad(self.weight, (0, 0, 0, 0, 0, self.pad_in)) if self.pad_in else self.weight
        return F.conv2d(x, w, self.bias)


class Head(nn.Module):
    def __init__(self, widths):
        super().__init__()
        c0 = widths[0]
        box, cls, kpt = max(16, c0 // 4, 4 * BINS), max(c0, min(CLASSES, 100)), max(c0 // 4, 3 * POINTS)
        pad = -kpt % 8
        self.cv2 = nn.ModuleList(nn.Sequential(Conv(c, box, 3), Conv(box, box, 3), Last(box, 4 * BINS)) for c in widths)
        self.cv3 = nn.ModuleList(nn.Sequential(Conv(c, cls, 3), Conv(cls, cls, 3), Last(cls, CLASSES)) for c in widths)
        self.cv4 = nn.ModuleList(
            nn.Sequential(Conv(c, kpt, 3, pad_out=pad), Conv(kpt, kpt, 3, pad_in=pad, pad_out=pad), Last(kpt, 3 * POINTS, pad_in=pad)) for c in widths
        )
        for boxes, scores, stride in zip(self.cv2, self.cv3, STRIDES):
            nn.init.ones_(boxes[-1].bias)
            nn.init.constant_(scores[-1].bias, math.log(5 / CLASSES / (640 / stride) ** 2))

    def forward(self, feats):
        """-> box bins (B, A, 64), class logits (B, A, 2), keypoints (B, A, 63), levels one behind the other, row by row."""
        flat = lambda y: y.permute(0, 2, 3, 1).flatten(1, 2)
        out = [torch.cat([flat(branch[i](f)) for i, f in enumerate(feats)], 1) for branch in (self.cv2, self.cv3, self.cv4)]
        return [o.float() for o in out]


class NanoDetector(nn.Module):
    def __init__(self, width=0.24, depth=0.33, max_channels=1024):
        super().__init__()
        self.config = dict(width=width, depth=depth, max_channels=max_channels)
        c = lambda x: channels(x, width, max_channels)
        n = lambda x: repeats(x, depth)
        c64, c128, c256, c512, c1024 = c(64), c(128), c(256), c(512), c(1024)
        layers = {
            0: Conv(3, c64, 3, 2), 1: Conv(c64, c128, 3, 2), 2: C2f(c128, c128, n(3), True),
            3: Conv(c128, c256, 3, 2), 4: C2f(c256, c256, n(6), True), 5: Conv(c256, c512, 3, 2),
            6: C2f(c512, c512, n(6), True), 7: Conv(c512, c1024, 3, 2), 8: C2f(c1024, c1024, n(3), True),
            9: SPPF(c1024), 12: C2f(c1024 + c512, c512, n(3), False), 15: C2f(c512 + c256, c256, n(3), False),
            16: Conv(c256, c256, 3, 2), 18: C2f(c256 + c512, c512, n(3), False), 19: Conv(c512, c512, 3, 2),
            21: C2f(c512 + c1024, c1024, n(3), False), 22: Head((c256, c512, c1024)),
        }  # fmt: skip
        self.model = nn.ModuleDict({str(k): v for k, v in layers.items()})
        for m in self.modules():
            if isinstance(m, Conv):
                nn.init.kaiming_uniform_(m.conv.weight, a=math.sqrt(5))

    def forward(self, image):
        """uint8 (B, H, W, 3) RGB, sides multiples of 32 -> the head's three outputs, float32."""
        kind = image.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        x = (image.permute(0, 3, 1, 2).float() / 255).to(dtype)
        y, at = {}, lambda i, v: self.model[str(i)](v)
        for i in range(10):
            x = y[i] = at(i, x)
        up = lambda v: F.interpolate(v, scale_factor=2, mode="nearest")
        y[12] = at(12, torch.cat([up(y[9]), y[6]], 1))
        y[15] = at(15, torch.cat([up(y[12]), y[4]], 1))
        y[18] = at(18, torch.cat([at(16, y[15]), y[12]], 1))
        y[21] = at(21, torch.cat([at(19, y[18]), y[9]], 1))
        return at(22, [y[15], y[18], y[21]])


def anchors(height, width, device):
    """Centres (A, 2) in cells of their level, and strides (A, 1)."""
    centres, strides = [], []
    for s in STRIDES:
        h, w = height // s, width // s
        y, x = torch.meshgrid(torch.arange(h, device=device) + 0.5, torch.arange(w, device=device) + 0.5, indexing="ij")
        centres.append(torch.stack([x, y], -1).reshape(-1, 2))
        strides.append(torch.full((h * w, 1), float(s), device=device))
    return torch.cat(centres), torch.cat(strides)


def decode_boxes(bins, centres):
    """(..., A, 64) bins -> (..., A, 4) x0 y0 x1 y1 in cells."""
    value = torch.arange(BINS, device=bins.device, dtype=bins.dtype)
    side = bins.reshape(bins.shape[:-1] + (4, BINS)).softmax(-1) @ value
    return torch.cat([centres - side[..., :2], centres + side[..., 2:]], -1)


def decode_points(raw, centres):
    """(..., A, 63) -> (..., A, 21, 3): x, y in cells, visibility's logit."""
    k = raw.reshape(raw.shape[:-1] + (POINTS, 3))
    return torch.cat([2 * k[..., :2] + (centres - 0.5)[..., None, :], k[..., 2:]], -1)


def decode(out, height, width):
    """boxes (B, A, 4) xyxy pixels, scores (B, A, 2), points (B, A, 21, 3) pixels and visibility."""
    centres, strides = anchors(height, width, out[0].device)
    boxes = decode_boxes(out[0], centres) * strides
    points = decode_points(out[2], centres)
    points = torch.cat([points[..., :2] * strides[:, None], points[..., 2:].sigmoid()], -1)
    return boxes, out[1].sigmoid(), points
