"""Rendered video clips with exact truth, to measure a tracker by: `python -m nano.clip OUT [--scene NAME ...]`.

Two hands of one person move along smooth paths before a camera that does not move. A frame is the mean of some moments while
the shutter is open, in linear light, so that motion blurs it as it would a film; then noise, tone and JPEG. OUT gets a folder a
scene: f-0000.png and on, and truth.json, which truth/rendered.py reads. Needs Pillow.

Scenes, 8 s each at 30 frames a second, 640 x 480:
  calm    both hands gesture slowly, apart
  cross   they pass before each other twice
  leave   one leaves the picture twice and comes back
  fast    wide, quick swings: much blur, little light, much noise
"""
import argparse
import json
import math
import os

import torch

from .hand import axis_angle_to_matrix
from .scene import Scenes, develop, jpeg, lights

FPS, SECONDS, WIDTH, HEIGHT = 30, 8, 640, 480
SHUTTER = 0.5   # of a frame
SCENES = ("calm", "cross", "leave", "fast")
TURNS_A_SECOND = 0.6  # finger poses change so often


def logarithm(m):
    """Rotation matrices (...,3,3) -> rotation vectors (...,3); for turns of less than half a circle."""
    angle = ((m.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).arccos()
    axis = torch.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1)
    return axis * (angle / (2 * torch.sin(angle)).clamp_min(1e-6))[..., None]


def between(keys, t):
    """Rotations of keys (K,...,3,3) at times t (T,) in keys, at rest at each."""
    i = t.floor().long().clamp(0, len(keys) - 2)
    f = (t - i).clamp(0, 1)
    f = f * f * (3 - 2 * f)
    turn = logarithm(keys[i].transpose(-1, -2) @ keys[i + 1])
    return keys[i] @ axis_angle_to_matrix(turn * f.reshape(-1, *([1] * (turn.dim() - 1))))


def path(name, hand, t):
    """Where hand 0 (right) or 1 (left) is at t (T,) seconds: x, y in pixels, distance in metres, each (T,)."""
    side = -1.0 if hand == 0 else 1.0  # seen from the front, a right hand is at the left
    u = 2 * math.pi * t / SECONDS
    x = WIDTH / 2 + side * 150 + 22 * torch.sin(2 * u + hand)
    y = HEIGHT / 2 + 28 * torch.sin(3 * u + 2 * hand)
    z = 0.62 + 0.05 * torch.sin(u + hand)
    if name == "cross":
        x = WIDTH / 2 + side * 170 * torch.cos(2 * u)
        z = 0.68 + side * 0.09 + 0 * t
    elif name == "leave" and hand == 1:
        x = x + 380 * (0.5 - 0.5 * torch.cos(2 * u)) ** 2
    elif name == "fast":
        x = WIDTH / 2 + side * 140 + 110 * torch.sin(9 * u + hand)
        y = HEIGHT / 2 + 70 * torch.sin(7 * u + 2 * hand)
    return x, y, z


class Clip(Scenes):
    """One clip: everything but the hands' paths and poses is drawn once."""

    HANDS, THINGS = 2, 4

    def __init__(self, name, device, seed, backgrounds=None, size=(WIDTH, HEIGHT), samples=2):
        super().__init__(self.HANDS, self.THINGS, device, seed, backgrounds)
        d, k, s = self.d, self.HANDS, self.THINGS
        self.name, self.size, self.samples = name, size, samples
        self.focal = size[0] / (2 * math.tan(math.radians(60) / 2))
        self.parts = 8 if name == "fast" else 4
        keys = int(SECONDS * TURNS_A_SECOND) + 3
        drawn = self.pool.draw(keys * k, d.g)
        self.fingers_keys = drawn["rotmats15"].reshape(keys, k, 15, 3, 3)
        self.betas = drawn["betas"].reshape(keys, k, 10)[:1].expand(1, k, 10)
        spread = 0.5 if name != "fast" else 0.7
        side = torch.tensor([-1.0, 1.0], device=self.device).expand(keys, k)
        angle = math.pi / 2 - side * 0.3 + d.n(keys, k, sigma=0.25)
        self.turn_keys = self._frame(angle, d.n(keys, k, sigma=0.25) + 0.2, math.pi + d.n(keys, k, sigma=spread))
        self.left = torch.tensor([False, True], device=self.device)
        self.arm, self.sleeve = self.arms(k)
        self.material, _ = self.materials(1, torch.ones(1, k, dtype=torch.bool, device=self.device),
                                          d.chance(0.6, 1, s))
        for slot in range(3 * k):
            self.material[:, slot, 0] = 1
        self.material[:, 3:6] = torch.cat([self.material[:, 0:2], self.material[:, 2:3]], 1)  # one person's
        big = d.log(s, 1, lo=0.05, hi=0.25) * d.u(s, 3, lo=0.4, hi=1.4)
        spot = torch.stack([d.u(s, lo=0, hi=size[0]), d.u(s, lo=0, hi=size[1])], -1)
        deep = d.u(s, 1, lo=1.1, hi=2.0)
        centre = torch.cat([(spot - torch.tensor(size, device=self.device) / 2) / self.focal * deep, deep], -1)
        self.things = self.figures.pose_things(centre, d.rotation(s), big, torch.ones(s, 2, device=self.device))
        focus = torch.tensor([[0.0, 0.0, 0.65]], device=self.device)
        self.light = lights(d, 1, focus, torch.full((1,), 0.5, device=self.device), self.pictures)
        self.camera = torch.tensor([[self.focal, size[0] / 2, size[1] / 2]], device=self.device)
        dark = name == "fast"
        self.shot, self.read = (0.012, 0.016) if dark else (0.003, 0.004)
        self.quality, self.exposure = (60.0 if dark else 88.0), None

    def pose(self, t):
        """Vertices (T,K,·,3) and keypoints (T,K,21,3) at times t (T,) in seconds, in the camera's frame."""
        n, k = len(t), self.HANDS
        key = t * TURNS_A_SECOND + 0.5
        fingers, turn = between(self.fingers_keys, key), between(self.turn_keys, key)
        at = []
        for hand in range(k):
            x, y, z = path(self.name, hand, t)
            x, y = x * (self.size[0] / WIDTH), y * (self.size[1] / HEIGHT)
            at.append(torch.stack([(x - self.size[0] / 2) / self.focal * z, (y - self.size[1] / 2) / self.focal * z, z], -1))
        wrist = torch.stack(at, 1) + turn[..., :, 0] * 0.08  # the path is the palm's
        repeat = lambda x: x[None].expand(n, *x.shape).reshape(n * k, *x.shape[1:])
        verts, points = self.figures.pose_hands(
            fingers.reshape(-1, 15, 3, 3), self.betas.expand(n, k, 10).reshape(-1, 10), turn.reshape(-1, 3, 3), wrist.reshape(-1, 3),
            repeat(self.left), {key: repeat(x) for key, x in self.arm.items()}, {key: repeat(x) for key, x in self.sleeve.items()})
        return verts.reshape(n, k, -1, 3), points.reshape(n, k, 21, 3)

    def draw(self, verts):
        """Linear colour, slots and depths of verts (T,K,·,3)."""
        n = len(verts)
        position = torch.cat([verts.reshape(n, -1, 3), self.things.reshape(1, -1, 3).expand(n, -1, 3)], 1)
        l, frames = self.light
        return self.render.draw(position, self.material.expand(n, -1, -1), self.camera.expand(n, 3), l.expand(n, -1),
                                frames.expand(n, -1, -1), *self.size, self.samples)

    def frame(self, number):
        """Picture (H,W,3) uint8 and the truth of frame `number`, at the middle of its exposure."""
        d, at = self.d, number / FPS
        moments = torch.arange(self.parts, device=self.device)
        t = at + ((moments + 0.5) / self.parts - 0.5) * SHUTTER / FPS
        colour = self.draw(self.pose(t)[0])[0].mean(0, keepdim=True)
        verts, points = self.pose(torch.tensor([at], device=self.device))
        _, seen, depth = self.draw(verts)
        if self.exposure is None:
            self.exposure = 0.2 / colour.mean().clamp_min(1e-3)
        one = torch.ones(1, device=self.device)
        x = develop(colour * self.exposure, d.n(*colour.shape), self.shot * one, self.read * one, torch.ones(1, 3, device=self.device),
                    0.1 * one, one, one, 0 * one)
        x = jpeg(x, self.quality * one, torch.ones(1, dtype=torch.bool, device=self.device))
        hands = []
        for k in range(self.HANDS):
            own = verts[:, k, :778]
            flat, spots = self.project(own, self.camera), self.project(points[:, k], self.camera)
            visible = self.shown(points[:, k], spots, 3 * k, seen, depth, 0.014)
            fraction = self.shown(own, flat, 3 * k, seen, depth, 0.004).float().mean()
            box = torch.cat([flat.amin(1), flat.amax(1)], 1)[0]
            hands.append(dict(side="left" if self.left[k] else "right", shown=round(float(fraction), 4),
                              box=[round(v, 3) for v in (box - 0.5).tolist()],
                              kp2d=[[round(v, 3) for v in p] for p in (spots[0] - 0.5).tolist()],
                              kp3d=[[round(v, 6) for v in p] for p in points[0, k].tolist()],
                              visible=visible[0].int().tolist()))
        return x.round().clamp(0, 255).to(torch.uint8)[0], hands


def make(name, folder, device, seed, frames, size=(WIDTH, HEIGHT), backgrounds=None):
    from PIL import Image

    os.makedirs(folder, exist_ok=True)
    with torch.no_grad():
        clip = Clip(name, device, seed, backgrounds, size)
        truth = dict(scene=name, fps=FPS, size=list(size), focal=clip.focal, seed=seed, frames=[])
        for i in range(frames):
            picture, hands = clip.frame(i)
            Image.fromarray(picture.cpu().numpy()).save(os.path.join(folder, f"f-{i:04d}.png"), compress_level=1)
            truth["frames"].append(hands)
    path_out = os.path.join(folder, "truth.json")
    with open(path_out + ".part", "w") as f:
        json.dump(truth, f, separators=(",", ":"))
    os.replace(path_out + ".part", path_out)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out")
    p.add_argument("--scene", nargs="*", default=list(SCENES), choices=SCENES)
    p.add_argument("--frames", type=int, default=FPS * SECONDS)
    p.add_argument("--seed", type=int, default=777_001)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = p.parse_args()
    for i, name in enumerate(args.scene):
        make(name, os.path.join(args.out, name), args.device, args.seed + i, args.frames)


if __name__ == "__main__":
    main()
