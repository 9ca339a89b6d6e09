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


def other_light(x, d):
    """x (B,3,H,W) by relight, with everything drawn from d. Photographs differ from rendered pictures in these more than in
    anything else: half of the contrast there was once worth a tenth of the points."""
    n, dev = len(x), x.device
    often = lambda p, value, plain: torch.where(d.chance(p, n, *[1] * (value.dim() - 1)), value, torch.full_like(value, plain))
    one = (n, 1, 1, 1)
    field = F.interpolate(often(0.4, d.n(n, 1, 4, 3, sigma=0.3), 0.0).exp(), size=x.shape[2:], mode="bilinear", align_corners=False)
    contrast = often(0.8, torch.exp(d.u(*one, lo=-0.9, hi=0.6)), 1.0)
    mean = x.mean((1, 2, 3), keepdim=True)
    pivot = 110 + d.u(*one) * (mean - 110)
    grey = torch.tensor([0.3, 0.6, 0.1], device=dev).expand(3, 3)
    colourful = often(0.5, torch.exp(d.n(n, 1, 1, sigma=0.35)), 1.0)
    mix = grey + colourful * (torch.eye(3, device=dev) - grey) + often(0.5, d.n(n, 3, 3, sigma=0.06), 0.0)
    noise = often(0.3, 14 * d.u(*one) ** 2, 0.0) * d.n(*x.shape)
    light = (1 + d.u(n, 3, 1, 1, lo=-0.15, hi=0.15)) * (1 + d.u(*one, lo=-0.25, hi=0.35))
    crisp, gamma = often(0.4, d.u(*one, lo=-0.8, hi=1.5), 0.0), often(0.5, torch.exp(d.n(*one, sigma=0.2)), 1.0)
    smooth = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return fused(relight, dev)(x, smooth, field, light, crisp, contrast, pivot, mix, gamma, noise)


def covered(x, points, visible, d):
    """Every fifth picture with a part of another one before it: x (B,3,256,192), its points in pixels (B,K,2) and which are seen."""
    n, dev = len(x), x.device
    full = torch.tensor([192.0, 256.0], device=dev)
    size = d.u(n, 2, lo=0.12, hi=0.4) * full * d.chance(0.2, n, 1)
    low = d.u(n, 2) * (full - size)
    within = lambda p: ((p >= low[:, None]) & (p < (low + size)[:, None])).all(-1)
    row, column = torch.arange(256, device=dev), torch.arange(192, device=dev)
    inside = ((row >= low[:, 1:]) & (row < (low + size)[:, 1:]))[:, :, None] & ((column >= low[:, :1]) & (column < (low + size)[:, :1]))[:, None]
    return torch.where(inside[:, None], x.roll(1, 0), x), visible * ~within(points)
