"""Trains a head for the side and puts it into an exported pose network's file: `python -m nano.train_side POSE OUT --crops 8192` in
training/; minutes on a processor, seconds on a GPU.

The network is given every hand as a right one. The head is one linear layer over its 18 leading tokens: whether a crop shows a right
hand, as it should, or the mirror image of one. It is asked of both, the crop and its mirror image; the network itself stays as it is.
"""
import argparse
import json
import os

import torch
import torch.nn.functional as F

from .evaluate import MODES
from .export import exported_pose, load_exported
from .hand import Hand
from .pose_loss import LEAST_SHOWN, pair_loss
from .pose_model import LEAD, NanoWiLoR
from .scene import PoseScenes
from .state import read_safetensors, write_safetensors
from .train_pose import PoseTask

SEED = 91_001


@torch.no_grad()
def seen_by(model, image):
    """The 18 leading tokens of crops and of their mirror images, (B, 2, 18 D)."""
    return torch.stack([model.backbone(x)[0][:, :LEAD].flatten(1) for x in (image, image.flip(2))], 1)


def gather(model, args, device):
    """Tokens (N, 2 views, 2, 18 D) of rendered crops, each as it is and varied (PoseTask.vary), and what else was in them (N)."""
    scenes = PoseScenes(64, device, args.seed, hand=model.hand[0])
    chance = torch.Generator(device=device).manual_seed(args.seed)
    tokens, modes, count = [], [], 0
    while count < args.crops:
        batch = scenes.next(with_extra=True)
        varied = PoseTask.vary(batch, chance)
        shown = torch.minimum(batch["visible"].mean(1), varied["visible"].float().mean(1)) >= LEAST_SHOWN
        two = torch.stack([seen_by(model, b["image"][shown]) for b in (batch, varied)], 1)
        tokens.append(two.half().cpu())
        modes.append(batch["mode"][shown].cpu())
        count += len(two)
        if len(tokens) % 16 == 0:
            print(json.dumps(dict(crops=count)), flush=True)
    return torch.cat(tokens), torch.cat(modes)


def fit(tokens, args):
    """Weight (18 D) and bias of the head: pairs told apart, and each of a pair on its own side of 0."""
    flat = tokens.flatten(0, 2).float()
    mean, spread = flat.mean(0), flat.std(0) + 1e-3
    x = (tokens.flatten(0, 1).float() - mean) / spread  # (2 N, 2, 18 D)
    head = torch.nn.Linear(x.shape[2], 1)
    optimiser = torch.optim.AdamW(head.parameters(), args.lr, weight_decay=args.decay)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, args.rounds)
    for _ in range(args.rounds):
        for i in torch.randperm(len(x)).split(128):
            z = head(F.dropout(x[i], 0.2))[..., 0]
            loss = pair_loss(z[:, 0], z[:, 1]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        plan.step()
    weight = head.weight.detach()[0] / spread
    return weight, head.bias.detach()[0] - weight @ mean


def measure(tokens, modes, weight, bias):
    """Of the crops as they are: pairs told apart, single views on their side of 0, and pairs by mode."""
    z = tokens[:, 0].float() @ weight + bias
    right = (z[:, 0] > z[:, 1]).float()
    by_mode = [round(right[modes == m].mean().item(), 4) for m in range(len(MODES))]
    return dict(pairs=round(right.mean().item(), 4), single=round(0.5 * ((z[:, 0] > 0).float() + (z[:, 1] < 0).float()).mean().item(), 4), by_mode=by_mode)


def main():
    p = argparse.ArgumentParser(prog="train_side")
    p.add_argument("pose", help="an exported pose network, of 16 bits or of 8")
    p.add_argument("out", help="the same with the head")
    p.add_argument("--crops", type=int, default=8192)
    p.add_argument("--rounds", type=int, default=40)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--decay", type=float, default=0.01)
    p.add_argument("--seed", type=int, default=SEED)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--hand", default=None)
    p.add_argument("--run-id", default="")
    args = p.parse_args()
    torch.manual_seed(args.seed)
    model = NanoWiLoR(Hand(args.hand, args.device)).to(args.device).eval()
    load_exported(args.pose, model, exported_pose)
    tokens, modes = gather(model, args, args.device)
    test = len(tokens) // 8  # the last ones
    weight, bias = fit(tokens[:-test], args)
    found = measure(tokens[-test:], modes[-test:], weight, bias)
    tensors, meta = read_safetensors(args.pose)
    tensors |= {"side_head.weight": weight[None].half(), "side_head.bias": bias[None].float()}
    size = write_safetensors(args.out, tensors, meta | {"wilor.side_run": args.run_id or f"side-{args.seed}"})
    print(json.dumps(dict(done=True, crops=len(tokens), held_out=test, **found, bytes=size, file=os.path.basename(args.out))))


if __name__ == "__main__":
    main()
