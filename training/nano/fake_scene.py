"""Stand-in pictures for tests: a hand's 21 points drawn as coloured blobs. Same batches as scene.py, labels exact, no renderer."""
import math

import torch

from .hand import Hand, axis_angle_to_matrix

FOCAL, RESCALE = 5000.0, 1.75


def _colours(device):
    k = torch.arange(21, device=device, dtype=torch.float32)
    hue = k * 2.399963
    return torch.stack([0.5 + 0.5 * torch.cos(hue + s) for s in (0.0, 2.1, 4.2)], -1)


def draw(points, sigma, height, width, background, weight):
    """points (B, K, 2) pixels, sigma (B,), background (B, 3), weight (B, K) -> uint8 (B, height, width, 3)."""
    y = torch.arange(height, device=points.device) + 0.5
    x = torch.arange(width, device=points.device) + 0.5
    s = 1 / (2 * sigma.square())[:, None, None]
    gx = torch.exp(-(x - points[..., 0:1]).square() * s)  # (B, K, W)
    gy = torch.exp(-(y - points[..., 1:2]).square() * s) * weight[..., None]
    colour = _colours(points.device).repeat(points.shape[1] // 21, 1)
    ink = torch.einsum("bky,bkx,kc->byxc", gy, gx, colour)
    cover = torch.einsum("bky,bkx->byx", gy, gx)[..., None]
    base = background[:, None, None]
    return ((base * (1 - cover.clamp(0, 1)) + ink / cover.clamp_min(1)) * 255).clamp(0, 255).to(torch.uint8)


class _Hands:
    def __init__(self, device, seed):
        self.device = torch.device(device)
        self.g = torch.Generator(self.device).manual_seed(seed)
        self.hand = Hand(None, self.device)

    def rand(self, *shape):
        return torch.rand(*shape, generator=self.g, device=self.device)

    def randn(self, *shape):
        return torch.randn(*shape, generator=self.g, device=self.device)

    def hands(self, n, tilt):
        curl = torch.zeros(n, 16, 3, device=self.device)
        curl[:, 1:, 2] = 0.8 * self.rand(n, 1) + 0.15 * self.randn(n, 15)
        turn = self.randn(n, 3) * tilt
        curl[:, 0] = turn
        rot = axis_angle_to_matrix(curl)
        front = axis_angle_to_matrix(torch.tensor([[math.pi / 2, 0.0, 0.0]], device=self.device))  # palm seen, fingers to -x
        rot[:, 0] = rot[:, 0] @ front
        betas = 0.7 * self.randn(n, 10)
        verts, _, points = self.hand(rot, betas)
        return rot, betas, verts, points


class PoseScenes(_Hands):
    def __init__(self, batch, device, seed, pool=None):
        super().__init__(device, seed)
        self.batch = batch

    def next(self):
        n = self.batch
        rot, betas, verts, points = self.hands(n, 0.6)
        low, high = verts.amin(1)[:, :2], verts.amax(1)[:, :2]
        size = (high - low).amax(1) * RESCALE * (0.8 + 0.4 * self.rand(n))  # metres across the crop
        centre = (low + high) / 2 + (self.rand(n, 2) - 0.5) * 0.24 * size[:, None]
        s = 2 / size
        t = torch.cat([-centre, (2 * FOCAL / (256 * s))[:, None]], 1)
        q = points + t[:, None]
        flat = q[..., :2] / q[..., 2:] * (FOCAL / 256)
        visible = (self.rand(n, 21) > 0.1).float()
        pixels = (flat + 0.5) * 256 - torch.tensor([32.0, 0.0], device=self.device)
        image = draw(pixels, torch.full((n,), 5.0, device=self.device), 256, 192, 0.3 * self.rand(n, 3), visible)
        return dict(image=image, rotmats=rot, betas=betas, keypoints3d=points, keypoints2d=flat, visible=visible)


class DetectScenes(_Hands):
    """1 to 3 hands a picture. A left hand is a mirrored right one."""

    def __init__(self, batch, size, device, seed, pool=None):
        super().__init__(device, seed)
        self.batch, self.size = batch, size

    def next(self):
        n, m, size, dev = self.batch, 3, self.size, self.device
        _, _, verts, points = self.hands(n * m, 0.4)
        cls = (self.rand(n, m) > 0.5).float()
        sign = (2 * cls.reshape(-1) - 1)[:, None, None]
        flip = lambda p: torch.cat([p[..., :1] * sign, p[..., 1:2]], -1)
        verts, points = flip(verts), flip(points)
        low, high = verts.amin(1), verts.amax(1)
        pixels = (0.2 + 0.25 * self.rand(n * m)) * size / (high - low).amax(1)
        spot = torch.stack([(torch.arange(m, device=dev).repeat(n) + 0.5) / m, 0.3 + 0.4 * self.rand(n * m)], 1) * size
        put = lambda p: (p - ((low + high) / 2)[:, None]) * pixels[:, None, None] + spot[:, None]
        verts, points = put(verts).reshape(n, m, -1, 2), put(points).reshape(n, m, 21, 2)
        there = (self.rand(n, m) > 0.3).float()
        there[:, 0] = 1
        weight = there[..., None].expand(-1, -1, 21).reshape(n, m * 21)
        image = draw(points.reshape(n, m * 21, 2), (0.05 * size) * torch.full((n,), 0.25, device=dev), size, size, 0.3 * self.rand(n, 3), weight)
        box = torch.cat([verts.amin(2), verts.amax(2)], -1).clamp(0, size)
        inside = ((points >= 0) & (points < size)).all(-1).float()
        pad = lambda t: torch.cat([t, torch.zeros((n, 8 - m) + t.shape[2:], device=dev, dtype=t.dtype)], 1)
        kpts = torch.cat([points, inside[..., None]], -1)
        return dict(
            image=image, boxes=pad(box), cls=pad(cls.long()), kpts=pad(kpts), valid=pad(there > 0), ignore=torch.zeros(n, 8, dtype=torch.bool, device=dev)
        )  # fmt: skip
