"""Trains the pose network on rendered hands: `python -m nano.train_pose --minutes 10 --state DIR --out DIR` in training/,
or `torchrun --nproc-per-node N -m nano.train_pose ...` on N GPUs."""
import torch
import torch.nn.functional as F

from . import pose_loss, trainer
from .export import exported_pose, weights_to_begin
from .hand import Hand
from .pose_model import NanoWiLoR
from .scene import Dice
from .vary import covered, other_light

HELD_OUT_SEED = 987_654_321


def arguments():
    p = trainer.common_arguments("train_pose", lr=1.5e-3, batch=1024, weight_decay=0.05)
    p.add_argument("--dim", type=int, default=192)
    p.add_argument("--depth", type=int, default=6)
    p.add_argument("--heads", type=int, default=3)
    p.add_argument("--mlp-ratio", type=float, default=4)
    p.add_argument("--mimic", type=int, default=0, help="begin with attention to neighbours (pose_model.attend_to_neighbours)")
    p.add_argument("--see-first", type=float, default=0, help="part of the time over which the whole hand's loss gets its full weight; the patches' is large first")
    p.add_argument("--residual", choices=("fp32", "bf16"), default="fp32", help="precision of the residual stream")
    p.add_argument("--mirror", type=int, default=6, help="every so many pictures one is seen as its mirror image, too, for the side head; 0: no such head")
    p.add_argument("--cut", type=float, default=0.0, help="share of hands that end at the picture's border")
    p.add_argument("--hand", default=None, help="hand-cc0.npz; default: $WILOR_HAND, or the tests'")
    return p


def first_of(out, n):
    """A prediction's first n rows."""
    cut = lambda v: first_of(v, n) if isinstance(v, dict) else v[:n] if torch.is_tensor(v) and v.dim() else v
    return {k: cut(v) for k, v in out.items()}


class PoseTask:
    name, channels_last = "pose", False

    def __init__(self, args, world):
        self.args, self.device = args, world.device
        torch.manual_seed(args.seed)
        self.hand = Hand(args.hand, self.device)
        self.config = dict(dim=args.dim, depth=args.depth, heads=args.heads, mlp_ratio=args.mlp_ratio)
        if args.mirror:
            self.config["side"] = True
        self.model = NanoWiLoR(self.hand, **self.config, mimic=bool(args.mimic)).to(self.device).train()
        self.model.backbone.residual = torch.bfloat16 if args.residual == "bf16" and args.amp else torch.float32
        self.held_out = None
        self.seeing = torch.ones((), device=self.device)
        if args.compile:
            self.model.backbone.compile(dynamic=False)

    @staticmethod
    def no_decay(name):
        return any(part in name for part in ("pos_embed", "_emb.", "dec_", ".dec", "crowd"))

    @staticmethod
    def matrices(name):
        """How many matrices lie one above the other in a parameter that Muon may train."""
        if ".blocks." not in name or not name.endswith(".weight") or "norm" in name:
            return 0
        return 3 if ".qkv." in name else 1

    @staticmethod
    def vary(batch, generator):
        """The same hands turned, scaled and moved a little in the picture, and in other light: labels follow exactly, but for
        the perspective of a move, which is less than the crop's own jitter."""
        image, n = batch["image"], len(batch["image"])
        d = Dice(generator)
        angle, scale, move = d.u(n, lo=-0.8, hi=0.8), torch.exp(d.u(n, lo=-0.14, hi=0.1)), d.u(n, 2, lo=-0.03, hi=0.03)
        c, s = torch.cos(angle), torch.sin(angle)
        turn = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], 1)  # of picture coordinates, x right, y down
        # grid_sample wants where each output pixel comes from, in halves of the 192 x 256 picture; pixel 128 is the crop's middle
        half = torch.tensor([96.0, 128.0], device=image.device)
        middle = torch.tensor([0.5, 0.5], device=image.device) / half
        back = turn.transpose(1, 2) / scale[:, None, None]
        grid = back * half[None, None, :] / half[None, :, None]
        shift = middle - (back @ ((256 * move) + half * middle)[..., None])[..., 0] / half
        theta = torch.cat([grid, shift[..., None]], 2)
        where = F.affine_grid(theta, (n, 3, 256, 192), align_corners=False)
        x = F.grid_sample(image.permute(0, 3, 1, 2).float(), where, padding_mode="reflection", align_corners=False)
        points = scale[:, None, None] * (batch["keypoints2d"] @ turn.transpose(1, 2)) + move[:, None]
        inside = (points[..., 0].abs() < 96 / 256) & (points[..., 1].abs() < 0.5)
        x, visible = covered(other_light(x, d), 256 * points + half, batch["visible"] * inside, d)
        space = torch.eye(3, device=image.device).repeat(n, 1, 1)
        space[:, :2, :2] = turn
        rot = torch.cat([space[:, None] @ batch["rotmats"][:, :1], batch["rotmats"][:, 1:]], 1)
        return dict(batch, image=x.round().to(torch.uint8).permute(0, 2, 3, 1), rotmats=rot, keypoints2d=points,
                    keypoints3d=batch["keypoints3d"] @ space.transpose(1, 2), visible=visible)

    def load(self, path):
        return weights_to_begin(path, self, exported_pose)

    def progress(self, done):
        """Told the part of the time that is over."""
        if self.args.see_first:
            self.seeing.fill_(min(1.0, 0.2 + 0.8 * done / self.args.see_first))

    def scenes(self, seed, pool=None):
        """pool: how many different poses, where few will do (making them takes a while)."""
        if self.args.fake:
            from .fake_scene import PoseScenes
        else:
            from .scene import PoseScenes
        scenes = PoseScenes(self.args.batch, self.device, seed, pool=pool)
        if seed != HELD_OUT_SEED:
            scenes.cut = self.args.cut
        return scenes

    def loss(self, batch):
        target = pose_loss.prepare_target(self.hand, batch)
        image, n = batch["image"], len(batch["image"])
        pairs = n // self.args.mirror if self.args.mirror else 0
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bool(self.args.amp)):
            first, final = self.model(torch.cat([image, image[:pairs].flip(2)]))
        side = final.pop("side", None)
        total, log = pose_loss.pose_loss(first_of(first, n), first_of(final, n), target, self.seeing)
        if pairs:
            wrong, log["side"] = pose_loss.side_loss(side[:pairs], side[n:], target["weight"][:pairs])
            total = total + wrong
        return total, log

    def evaluate(self):
        """Means over held-out pictures, the same ones every time, in float32."""
        if self.held_out is None:
            scenes = self.scenes(HELD_OUT_SEED, pool=8192)
            rounds = max(1, self.args.eval_samples // self.args.batch)
            self.held_out = [scenes.next() for _ in range(rounds)]
        sums, first_mpjpe = {}, 0.0
        for batch in self.held_out:
            target = pose_loss.prepare_target(self.hand, batch)
            first, final = self.model(batch["image"])
            measures = pose_loss.pose_measures(final, target)
            if "side" in final:
                measures["side"] = (final["side"] > self.model.mirrored_side(batch["image"])).float()
            for k, v in measures.items():
                sums[k] = sums.get(k, 0) + v.mean() / len(self.held_out)
            first_mpjpe = first_mpjpe + pose_loss.pose_measures(first, target)["mpjpe"].mean() / len(self.held_out)
        return dict({k: v.item() for k, v in sums.items()}, first_mpjpe=first_mpjpe.item())


if __name__ == "__main__":
    trainer.main(PoseTask, arguments().parse_args())
