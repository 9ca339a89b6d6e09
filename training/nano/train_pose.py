"""Trains the pose network on rendered hands: `python -m nano.train_pose --minutes 10 --state DIR --out DIR` in training/,
or `torchrun --nproc-per-node N -m nano.train_pose ...` on N GPUs."""
import torch

from . import pose_loss, trainer
from .hand import Hand
from .pose_model import NanoWiLoR

HELD_OUT_SEED = 987_654_321


def arguments():
    p = trainer.common_arguments("train_pose", lr=1.5e-3, batch=1024, weight_decay=0.05)
    p.add_argument("--dim", type=int, default=192)
    p.add_argument("--depth", type=int, default=6)
    p.add_argument("--heads", type=int, default=3)
    p.add_argument("--mlp-ratio", type=float, default=4)
    p.add_argument("--residual", choices=("fp32", "bf16"), default="fp32", help="precision of the residual stream")
    p.add_argument("--hand", default=None, help="hand-cc0.npz; default: $WILOR_HAND or ../shared/hand")
    return p


class PoseTask:
    name, channels_last = "pose", False

    def __init__(self, args, world):
        self.args, self.device = args, world.device
        torch.manual_seed(args.seed)
        self.hand = Hand(args.hand, self.device)
        self.config = dict(dim=args.dim, depth=args.depth, heads=args.heads, mlp_ratio=args.mlp_ratio)
        self.model = NanoWiLoR(self.hand, **self.config).to(self.device).train()
        self.model.backbone.residual = torch.bfloat16 if args.residual == "bf16" and args.amp else torch.float32
        self.held_out = None
        if args.compile:
            self.model.backbone.compile(dynamic=False)

    @staticmethod
    def no_decay(name):
        return "pos_embed" in name or "_emb." in name or "dec_" in name or ".dec" in name

    def scenes(self, seed):
        if self.args.fake:
            from .fake_scene import PoseScenes
        else:
            from .scene import PoseScenes
        return PoseScenes(self.args.batch, self.device, seed)

    def loss(self, batch):
        target = pose_loss.prepare_target(self.hand, batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bool(self.args.amp)):
            first, final = self.model(batch["image"])
        return pose_loss.pose_loss(first, final, target)

    def evaluate(self):
        """Means over held-out pictures, the same ones every time, in float32."""
        if self.held_out is None:
            scenes = self.scenes(HELD_OUT_SEED)
            rounds = max(1, self.args.eval_samples // self.args.batch)
            self.held_out = [scenes.next() for _ in range(rounds)]
        sums, first_mpjpe = {}, 0.0
        for batch in self.held_out:
            target = pose_loss.prepare_target(self.hand, batch)
            first, final = self.model(batch["image"])
            for k, v in pose_loss.pose_measures(final, target).items():
                sums[k] = sums.get(k, 0) + v.mean() / len(self.held_out)
            first_mpjpe = first_mpjpe + pose_loss.pose_measures(first, target)["mpjpe"].mean() / len(self.held_out)
        return dict({k: v.item() for k, v in sums.items()}, first_mpjpe=first_mpjpe.item())


if __name__ == "__main__":
    trainer.main(PoseTask, arguments().parse_args())
