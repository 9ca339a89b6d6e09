"""What both training programs do to a picture that is used again: other light, another camera, something before it."""
import torch
import torch.nn.functional as F

from .scene import fused


def relight(x, smooth, field, light, crisp, contrast, pivot, mix, gamma, noise):
    """Pictures x (B,3,H,W), 0..255, in other light and from another camera. smooth: x blurred, field: uneven light (B,1,H,W), noise
    like x; the others (B,·,1,1): light and crisp factors, contrast about pivot, mix (B,3,3) of the colours, gamma."""
    y = (x + crisp * (x - smooth)) * field * light
    y = (y - pivot) * contrast + pivot
    r, g, b = y.unbind(1)
    y = torch.stack([mix[:, i, 0, None, None] * r + mix[:, i, 1, None, None] * g + mix[:, i, 2, None, None] * b for i in range(3)], 1)
    y = 255 * (y.clamp(0, 255) / 255 + 1e-5) ** gamma + noise
    return torch.where((x == 0).all(1, keepdim=True), x, y).clamp(0, 255)  # black beyond a picture stays


def other_light(x, g):
    """x (B,3,H,W) by relight, with everything drawn from g. Photographs differ from rendered pictures in these more than in
    anything else: half of the contrast there was once worth a tenth of the points."""
    n, dev = len(x), x.device
    u = lambda lo, hi, *s: torch.rand(n, *s, generator=g, device=dev) * (hi - lo) + lo
    normal = lambda *s: torch.randn(n, *s, generator=g, device=dev)
    often = lambda p, value, plain, *s: torch.where(u(0, 1, *s) < p, value, torch.full_like(value, plain))
    one = (1, 1, 1)
    field = F.interpolate(often(0.4, 0.3 * normal(1, 4, 3), 0.0, *one).exp(), size=x.shape[2:], mode="bilinear", align_corners=False)
    contrast = often(0.8, torch.exp(u(-0.9, 0.6, *one)), 1.0, *one)
    mean = x.mean((1, 2, 3), keepdim=True)
    pivot = 110 + u(0, 1, *one) * (mean - 110)
    grey = torch.tensor([0.3, 0.6, 0.1], device=dev).expand(3, 3)
    colourful = often(0.5, torch.exp(0.35 * normal(1, 1)), 1.0, 1, 1)
    mix = grey + colourful * (torch.eye(3, device=dev) - grey) + often(0.5, 0.06 * normal(3, 3), 0.0, 1, 1)
    noise = often(0.3, 14 * u(0, 1, *one) ** 2, 0.0, *one) * torch.randn(x.shape, generator=g, device=dev)
    light = (1 + u(-0.15, 0.15, 3, 1, 1)) * (1 + u(-0.25, 0.35, *one))
    crisp, gamma = often(0.4, u(-0.8, 1.5, *one), 0.0, *one), often(0.5, torch.exp(0.2 * normal(*one)), 1.0, *one)
    smooth = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return fused(relight, dev)(x, smooth, field, light, crisp, contrast, pivot, mix, gamma, noise)


def covered(x, points, visible, g):
    """Every fifth picture with a part of another one before it: x (B,3,256,192), its points in pixels (B,K,2) and which are seen."""
    n, dev = len(x), x.device
    u = lambda lo, hi, *s: torch.rand(n, *s, generator=g, device=dev) * (hi - lo) + lo
    full = torch.tensor([192.0, 256.0], device=dev)
    size = u(0.12, 0.4, 2) * full * (u(0, 1, 1) < 0.2)
    low = u(0, 1, 2) * (full - size)
    within = lambda p: ((p >= low[:, None]) & (p < (low + size)[:, None])).all(-1)
    row, column = torch.arange(256, device=dev), torch.arange(192, device=dev)
    inside = ((row >= low[:, 1:]) & (row < (low + size)[:, 1:]))[:, :, None] & ((column >= low[:, :1]) & (column < (low + size)[:, :1]))[:, None]
    return torch.where(inside[:, None], x.roll(1, 0), x), visible * ~within(points)
