"""Trains the detector on rendered pictures: `python -m nano.train_detector --minutes 10 --state DIR --out DIR` in training/,
or through torchrun on several GPUs."""
import torch

from . import detector_loss, trainer
from .detector_model import NanoDetector
from .export import exported_detector, weights_to_begin
from .scene import Dice
from .vary import other_light

HELD_OUT_SEED = 987_654_321


def arguments():
    p = trainer.common_arguments("train_detector", lr=2e-3, batch=128, weight_decay=0.01)
    p.add_argument("--size", type=int, default=320, help="side of the training pictures")
    p.add_argument("--width", type=float, default=0.24)
    p.add_argument("--depth", type=float, default=0.33)
    p.add_argument("--max-channels", type=int, default=1024, help="limit of the channels before --width is applied")
    p.add_argument("--dark", type=float, default=0.0, help="share of skins that are drawn from the darker half of tones in any case")
    p.add_argument("--kinds", type=float, nargs=5, help="how often: no hand, any, arms from below, people, holding each other")
    p.set_defaults(eval_samples=512, clip=10.0)
    return p


class DetectorTask:
    name, channels_last = "detector", True

    def __init__(self, args, world):
        self.args, self.device = args, world.device
        if args.size % 32:
            raise SystemExit("--size must be a multiple of 32")
        torch.manual_seed(args.seed)
        self.config = dict(width=args.width, depth=args.depth, max_channels=args.max_channels)
        self.model = NanoDetector(**self.config).to(self.device).train()
        self.held_out = None
        if args.compile:
            self.model.compile(dynamic=False)

    @staticmethod
    def no_decay(name):
        return False

    def load(self, path):
        return weights_to_begin(path, self, exported_detector)

    def progress(self, done):
        pass

    @staticmethod
    def vary(batch, generator):
        """Every second picture as a mirror shows it, left and right hands exchanged; other light."""
        image, n = batch["image"], len(batch["image"])
        d = Dice(generator)
        flip, width = d.chance(0.5, n), image.shape[2]
        x = torch.where(flip[:, None, None, None], image.flip(2), image)
        grey = (image == 114).all(-1, keepdim=True)
        grey = torch.where(flip[:, None, None, None], grey.flip(2), grey)  # letterbox bars keep their grey
        x = torch.where(grey, x, other_light(x.permute(0, 3, 1, 2).float(), d).round().to(torch.uint8).permute(0, 2, 3, 1))
        boxes, points, w = batch["boxes"], batch["kpts"], flip[:, None, None]
        mirrored = torch.cat([width - boxes[..., 2:3], boxes[..., 1:2], width - boxes[..., 0:1], boxes[..., 3:4]], -1)
        turned = torch.cat([width - points[..., :1], points[..., 1:]], -1)
        return dict(batch, image=x, boxes=torch.where(w, mirrored, boxes), kpts=torch.where(w[..., None], turned, points),
                    cls=torch.where(flip[:, None], 1 - batch["cls"], batch["cls"]))

    def scenes(self, seed, pool=None):
        """pool: how many different poses, where few will do (making them takes a while). What is held out is drawn alike in all runs."""
        if self.args.fake:
            from .fake_scene import DetectScenes
        else:
            from .scene import DetectScenes
        scenes = DetectScenes(self.args.batch, self.args.size, self.device, seed, pool=pool)
        if seed != HELD_OUT_SEED:
            scenes.dark = self.args.dark
            if self.args.kinds:
                scenes.kinds = self.args.kinds
        return scenes

    def loss(self, batch):
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bool(self.args.amp)):
            out = self.model(batch["image"])
        return detector_loss.detector_loss(out, batch)

    def evaluate(self):
        """Held-out pictures, the same ones every time, in float32."""
        if self.held_out is None:
            scenes = self.scenes(HELD_OUT_SEED, pool=8192)
            rounds = max(1, self.args.eval_samples // self.args.batch)
            self.held_out = [scenes.next() for _ in range(rounds)]
        score = detector_loss.DetectorScore()
        for batch in self.held_out:
            score.add(self.model(batch["image"]), batch)
        return score.result()


if __name__ == "__main__":
    trainer.main(DetectorTask, arguments().parse_args())
