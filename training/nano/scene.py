"""Training pictures with exact labels: PoseScenes (one hand's crop) and DetectScenes (a whole picture).

Everything random is drawn on the device in batches; nothing waits for the GPU. Axes: camera's, x right, y down, z away.
"""
import math
import os
import random

import torch
import torch.nn.functional as F

from .body import WRIST, Body, sample_body_pose
from .figures import BODY_SLOTS, Figures
from .hand import Hand, turn_about
from .poses import KINDS, KIND_WEIGHTS, PosePool
from .render import LIGHTING, MATERIAL, SHADOW, Render

# sRGB of skin from light to dark, by eye from freely licensed portraits' range; the palm's is derived
TONES = [(250, 222, 206), (242, 202, 181), (232, 184, 156), (222, 166, 134), (205, 142, 108), (180, 118, 84), (146, 92, 66),
         (112, 68, 48), (82, 50, 37), (58, 37, 30)]
RESCALE = 1.75


def to_linear(x):
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055).clamp_min(0) ** 2.4)


def to_srgb(x):
    x = x.clamp_min(0)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


class Dice:
    """Random tensors of one generator."""

    def __init__(self, generator):
        self.g, self.device = generator, generator.device

    def u(self, *shape, lo=0.0, hi=1.0):
        return torch.rand(*shape, generator=self.g, device=self.device) * (hi - lo) + lo

    def n(self, *shape, sigma=1.0):
        return torch.randn(*shape, generator=self.g, device=self.device) * sigma

    def chance(self, p, *shape):
        return torch.rand(*shape, generator=self.g, device=self.device) < p

    def log(self, *shape, lo, hi):
        return torch.exp(self.u(*shape, lo=math.log(lo), hi=math.log(hi)))

    def index(self, n, *shape):
        return torch.randint(0, n, shape, generator=self.g, device=self.device)

    def pick(self, weights, *shape):
        w = torch.tensor(weights, device=self.device)
        n = 1
        for s in shape:
            n *= s
        return torch.multinomial(w, n, replacement=True, generator=self.g).reshape(shape)

    def direction(self, *shape):
        return F.normalize(self.n(*shape, 3), dim=-1)

    def rotation(self, *shape):
        q = F.normalize(self.n(*shape, 4), dim=-1)
        w, x, y, z = q.unbind(-1)
        return torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1).reshape(*shape, 3, 3)


def procedural_backgrounds(n, seed, device):
    """(n,320,320,3) uint8: clouds, ramps, boards, checks, in all colours and in skin's."""
    d = Dice(torch.Generator(device=device).manual_seed(seed))
    out = torch.zeros(n, 3, 320, 320, device=d.device)
    for size in (3, 6, 12, 40, 120):
        amp = d.u(n, 1, 1, 1) ** 2
        cloud = F.interpolate(d.u(n, 3, size, size), size=320, mode="bilinear", align_corners=True)
        grey = cloud.mean(1, keepdim=True)
        out += amp * (cloud * 0.5 + grey - 0.75)
    y, x = torch.meshgrid(torch.linspace(0, 1, 320, device=d.device), torch.linspace(0, 1, 320, device=d.device), indexing="ij")
    a, f = d.u(n, 1, 1, hi=math.pi), d.log(n, 1, 1, lo=1.0, hi=25.0)
    wave = torch.sin(6.2832 * f * (torch.cos(a) * x + torch.sin(a) * y) + 4 * out.mean(1))
    wave = torch.where(d.chance(0.5, n, 1, 1), wave.sign(), wave)
    out += (wave * d.u(n, 1, 1) * d.chance(0.5, n, 1, 1) * 0.3)[:, None]
    step = torch.floor(x * d.log(n, 1, 1, lo=2, hi=20)) + torch.floor(y * d.log(n, 1, 1, lo=2, hi=20))
    tile = torch.frac(torch.sin(step * 12.9898 + d.u(n, 1, 1)) * 43758.5)
    out += ((tile - 0.5) * d.u(n, 1, 1) * d.chance(0.4, n, 1, 1) * 0.6)[:, None]
    base = d.u(n, 3)
    skin = torch.tensor(TONES, device=d.device)[d.index(len(TONES), n)] / 255
    base = torch.where(d.chance(0.35, n, 1), skin, base * 0.5 + 0.5 * base.mean(1, keepdim=True))
    out = base[:, :, None, None] + out * d.u(n, 1, 1, 1, lo=0.1, hi=0.9)
    return (out.clamp(0, 1) * 255).permute(0, 2, 3, 1).round().to(torch.uint8)


def skin_materials(d, shape, dark=0.0):
    """(*shape, MATERIAL) of skin, each its own; and the tone (0 light .. 1 dark). dark: the share whose tone is of the darker
    half in any case; without it all tones are as frequent."""
    m = torch.zeros(*shape, MATERIAL, device=d.device)
    tone = d.u(*shape)
    if dark:
        tone = torch.where(d.chance(dark, *shape), 0.5 + 0.5 * tone, tone)
    tones = torch.tensor(TONES, device=d.device) / 255
    x = tone * (len(TONES) - 1.001)
    i = x.floor().long()
    f = (x - i)[..., None]
    c = tones[i] * (1 - f) + tones[i + 1] * f
    c = c * (1 + d.n(*shape, 3, sigma=0.035)) * (1 + d.n(*shape, 1, sigma=0.05))
    palm = torch.tensor((238.0, 186, 164), device=d.device) / 255
    c2 = c + (palm - c) * (0.12 + 0.4 * tone[..., None] + d.u(*shape, 1, hi=0.15))
    m[..., 0] = 1
    m[..., 2:5], m[..., 5:8] = to_linear(c.clamp(0.02, 1)), to_linear(c2.clamp(0.02, 1))
    m[..., 10], m[..., 11] = d.u(*shape, lo=0.02, hi=0.13), d.log(*shape, lo=15, hi=70)
    m[..., 12], m[..., 13] = d.u(*shape) ** 2 * 0.35, d.log(*shape, lo=4, hi=50)
    m[..., 14], m[..., 15] = d.u(*shape) ** 2 * 0.25, d.log(*shape, lo=150, hi=600)
    m[..., 16] = d.u(*shape, hi=60000).floor()
    nail = c * 0.55 + torch.tensor((1.0, 0.78, 0.74), device=d.device) * 0.45
    bright = torch.stack([d.u(*shape), d.u(*shape) * 0.4, d.u(*shape) * 0.5], -1)
    m[..., 17:20] = to_linear(torch.where(d.chance(0.15, *shape, 1), bright, nail).clamp(0, 1))
    ring = (2 ** d.index(5, *shape)).float() * d.chance(0.25, *shape).float()
    m[..., 20] = ring + 32 * d.chance(0.6, *shape).float()
    m[..., 21], m[..., 22] = -1, d.u(*shape, lo=0.1, hi=0.55)
    m[..., 23], m[..., 25] = d.u(*shape) ** 2 * 1.1, d.u(*shape, lo=0.5, hi=1.0)
    m[..., 26], m[..., 27], m[..., 28] = d.u(*shape, hi=0.25), d.u(*shape, hi=0.7), d.chance(0.6, *shape).float()
    for slot, share in ((24, 0.7), (30, 0.5), (31, 0.7)):  # relief: tendons and knuckles, veins, folds
        m[..., slot] = d.u(*shape, hi=1.3) * d.chance(share, *shape)
    return m, tone


def plain_materials(d, shape, pictures):
    """(*shape, MATERIAL) of cloth, wood, plastic, metal or a picture's texture."""
    m = torch.zeros(*shape, MATERIAL, device=d.device)
    grey = d.chance(0.4, *shape, 1)
    c, c2 = d.u(*shape, 3), d.u(*shape, 3)
    c = torch.where(grey, c[..., :1] * 0.96 + 0.04 * c, c) ** d.u(*shape, 1, lo=0.7, hi=2.5)
    m[..., 0], m[..., 1] = 1, 1
    m[..., 2:5], m[..., 5:8] = c.clamp_min(0.01), (c * (1 + d.n(*shape, 1, sigma=0.5)) + 0.2 * (c2 - 0.5)).clamp(0.01, 1)
    m[..., 8], m[..., 9] = d.pick([5.0, 1.5, 0.7, 1, 1, 0.7, 1.5], *shape).float(), d.log(*shape, lo=12, hi=250)
    m[..., 10], m[..., 11] = d.u(*shape) * 0.25, d.log(*shape, lo=15, hi=200)
    m[..., 12], m[..., 13] = d.u(*shape) ** 3 * 0.8, d.log(*shape, lo=4, hi=80)
    m[..., 14], m[..., 15] = d.u(*shape) ** 2 * 0.5, d.log(*shape, lo=20, hi=400)
    m[..., 16] = d.u(*shape, hi=60000).floor()
    m[..., 21] = torch.where(d.chance(0.25, *shape), d.index(pictures, *shape).float(), torch.full(shape, -1.0, device=d.device))
    m[..., 22], m[..., 29] = d.u(*shape, hi=0.2), d.log(*shape, lo=2, hi=12)
    return m


def lights(d, b, centre, radius, pictures):
    """Lighting (B,LIGHTING) and the lights' frames (B,2,12) for scenes around `centre` (B,3) of `radius` (B,)."""
    l = torch.zeros(b, LIGHTING, device=d.device)

    def coloured(lo, hi, spread):
        warm = d.n(b, 1, sigma=spread)
        return d.log(b, 1, lo=lo, hi=hi) * torch.cat([1 + warm, torch.ones_like(warm), 1 - warm], 1).clamp(0.3, 1.7)

    soft = d.chance(0.35, b, 1).float()  # an overcast sky, a lit room: hardly any direction
    sky = coloured(0.25, 1.0, 0.1)
    l[:, 0:3] = sky * (1 + soft)
    l[:, 3:6] = sky * (1 + soft) * d.u(b, 3, lo=0.25, hi=0.95)
    up = F.normalize(torch.tensor([0.0, -1, 0], device=d.device) + d.n(b, 3, sigma=0.45), dim=-1)
    l[:, 6:9] = up
    frames = torch.zeros(b, 2, 12, device=d.device)
    for k in range(2):
        away = d.direction(b)
        away = F.normalize(away + torch.tensor([0.0, -0.5, -0.45], device=d.device), dim=-1)
        at = 9 + 8 * k
        l[:, at:at + 3] = away
        l[:, at + 3:at + 6] = coloured(0.35, 2.2, 0.13) * (1 - 0.7 * soft) if k == 0 else coloured(0.05, 0.9, 0.15) * (1 - 0.5 * soft)
        l[:, at + 6] = d.u(b, lo=0.55, hi=1.0)
        l[:, at + 7] = 0.004 + 0.02 * radius
        side = F.normalize(torch.linalg.cross(away, torch.tensor([0.3, 0.2, 0.93], device=d.device).expand(b, 3)), dim=-1)
        other = torch.linalg.cross(away, side)
        scale = (SHADOW / 2 - 1) / radius
        for row, axis in enumerate((side * scale[:, None], other * scale[:, None], -away)):
            frames[:, k, 4 * row:4 * row + 3] = axis
            frames[:, k, 4 * row + 3] = -(axis * centre).sum(-1) + (SHADOW / 2 if row < 2 else 0)
    # a wall or a table that may catch the shadows
    n = F.normalize(torch.tensor([0.0, 0.0, -1.0], device=d.device) + d.n(b, 3, sigma=0.7), dim=-1)
    l[:, 25:28] = n
    l[:, 28] = (n * centre).sum(-1) - d.u(b, lo=0.02, hi=0.12)
    l[:, 29] = d.chance(0.55, b).float() * d.u(b, lo=0.3, hi=0.85)
    l[:, 30] = 1
    l[:, 32] = d.index(pictures, b).float()
    l[:, 33] = d.pick([0.5, 0.28, 0.15, 0.07], b).float()
    angle, size = d.n(b, sigma=0.35) + d.pick([0.7, 0.1, 0.1, 0.1], b) * (math.pi / 2), d.log(b, lo=0.35, hi=1.6)
    mirror = torch.where(d.chance(0.5, b), -1.0, 1.0)
    l[:, 34], l[:, 35] = torch.cos(angle) * size * mirror, -torch.sin(angle) * size
    l[:, 37], l[:, 38] = torch.sin(angle) * size * mirror, torch.cos(angle) * size
    l[:, 36], l[:, 39] = d.u(b), d.u(b)
    l[:, 40:43] = d.log(b, 1, lo=0.45, hi=1.6) * (1 + d.n(b, 3, sigma=0.06))
    return l, frames


def _dct(device):
    k, n = torch.arange(8.0, device=device)[:, None], torch.arange(8.0, device=device)[None]
    m = torch.cos(math.pi * (2 * n + 1) * k / 16) * 0.5
    return torch.cat([m[:1] * math.sqrt(0.5), m[1:]])


_LUMA = [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
         18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112,
         100, 103, 99]  # ITU-T T.81, table K.1


_CHROMA = [17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66] + [99] * 38  # table K.2


def _quantise(x, table):
    """(B,H,W) in 0..255 through 8x8 blocks rounded to multiples of table (B,64)."""
    b, h, w = x.shape
    t = _dct(x.device)
    y = (x - 128).reshape(b, h // 8, 8, w // 8, 8).permute(0, 1, 3, 2, 4)
    q = table.reshape(b, 1, 1, 8, 8)
    y = torch.round(t @ y @ t.T / q) * q
    return (t.T @ y @ t).permute(0, 1, 3, 2, 4).reshape(b, h, w) + 128


def jpeg(x, quality, halve):
    """(B,H,W,3) in 0..255 as JPEG of quality (B,) leaves it; chroma halved where halve (B,) says so. H, W multiples of 16."""
    r, g, bl = x.unbind(-1)
    y = 0.299 * r + 0.587 * g + 0.114 * bl
    cb, cr = 128 + 0.564 * (bl - y), 128 + 0.713 * (r - y)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    base = torch.tensor(_LUMA, device=x.device, dtype=torch.float32)
    luma = ((base * scale[:, None] + 50) / 100).floor().clamp(1, 255)
    chroma = ((torch.tensor(_CHROMA, device=x.device, dtype=torch.float32) * scale[:, None] + 50) / 100).floor().clamp(1, 255)
    y = _quantise(y, luma)
    full = []
    for c in (cb, cr):
        small = F.avg_pool2d(c[:, None], 2)[:, 0]
        small = F.interpolate(_quantise(small, chroma)[:, None], scale_factor=2, mode="bilinear", align_corners=False)[:, 0]
        full.append(torch.where(halve[:, None, None], small, _quantise(c, chroma)) - 128)
    cb, cr = full
    return torch.stack([y + 1.403 * cr, y - 0.344 * cb - 0.714 * cr, y + 1.773 * cb], -1)


def develop(colour, noise, shot, read, balance, curve, gamma, colourful, low):
    """Linear light and standard normal noise (B,H,W,3) to display values 0..255, settings (B,) and balance (B,3)."""
    one = lambda x: x[:, None, None, None]
    x = colour + noise * (one(shot) * colour.clamp_min(0) + one(read) ** 2).sqrt()
    x = to_srgb((x * balance[:, None, None]).clamp(0, 1.0))
    x = x + one(curve) * (x * x * (3 - 2 * x) - x)
    x = x.clamp_min(1e-4) ** one(gamma)
    grey = 0.299 * x[..., :1] + 0.587 * x[..., 1:2] + 0.114 * x[..., 2:]
    x = grey + (x - grey) * one(colourful)
    x = one(low) + (1 - one(low)) * x
    return (x.clamp(0, 1) * 255).round()


_fused = {}


def fused(function, device):
    """The function compiled into few passes on a GPU, itself elsewhere."""
    if device.type != "cuda" or os.environ.get("NANO_COMPILE", "1") == "0":
        return function
    if function not in _fused:
        _fused[function] = torch.compile(function, dynamic=False)
    return _fused[function]


def through_camera(d, render, colour, seen, blur, shrink):
    """Linear (B,H,W,3) -> uint8 sRGB-like: exposure, lens, sensor, tone, JPEG, and back to the crop's size."""
    b, h, w, _ = colour.shape
    colour = colour.clone()
    # the exposure follows the whole picture and, more or less, what stands in it
    share = torch.where(seen > 0, 0.25 + d.u(b, 1, 1) * 6, 0.25 + torch.zeros(b, 1, 1, device=d.device))[..., None]
    mean = (colour.clamp(0, 4) * share).mean((1, 2, 3), keepdim=True) / share.mean((1, 2, 3), keepdim=True)
    target = 0.19 * torch.exp(d.n(b, 1, 1, 1, sigma=0.42))
    target = target * torch.where(d.chance(0.4, b, 1, 1, 1), d.log(b, 1, 1, 1, lo=1.0, hi=3.5), torch.ones_like(target))  # bright skin in the dark
    colour = colour * (target / mean.clamp_min(1e-3)).clamp(0.05, 8)
    s = torch.zeros(b, 16, device=d.device)
    angle = d.u(b, hi=math.pi)
    length = blur * d.u(b) ** 1.5 * d.chance(0.25, b)
    s[:, 0], s[:, 1], s[:, 2] = torch.cos(angle) * length, torch.sin(angle) * length, torch.where(length > 0, 2.0, 0.0)
    colour = render.sensor(colour, s, 0)
    soft = blur * d.u(b) ** 2 * d.chance(0.4, b)
    for axis in (0, 1):
        s[:, 0], s[:, 1] = (1.0 - axis) * soft, axis * soft
        s[:, 2] = torch.where(soft > 0.05, 1.3, 0.0)
        colour = render.sensor(colour, s, 0)
    kind = d.pick([0.5, 0.35, 0.15], b)
    factor = torch.where(kind == 0, torch.ones(b, device=d.device), torch.where(kind == 1, d.u(b, lo=1.0, hi=2.0), d.u(b, lo=2.0, hi=3.6)))
    factor = 1 + (factor - 1) * shrink
    s[:, 3], s[:, 4], s[:, 5] = factor, d.u(b, hi=8.0), d.u(b, hi=8.0)
    colour = render.sensor(colour, s, 1)
    scale = torch.tensor([0.012, 0.012, 1.0], device=d.device)
    knobs = torch.stack([d.u(b) ** 3, d.u(b) ** 3, d.u(b)], 1) * scale
    shot, read = knobs[:, 0], knobs[:, 1]
    curve, gamma = d.u(b, lo=-0.25, hi=0.7), torch.exp(d.n(b, sigma=0.12))
    colourful = torch.where(d.chance(0.03, b), torch.zeros(b, device=d.device), d.u(b, lo=0.55, hi=1.45))
    low, balance = d.u(b) ** 3 * 0.12, 1 + d.n(b, 3, sigma=0.05)
    low = torch.where(d.chance(0.5, b), -0.3 * d.u(b) ** 1.5, low)  # haze, or black that many cameras make of the darkest tones
    x = fused(develop, d.device)(colour, d.n(b, h, w, 3), shot, read, balance, curve, gamma, colourful, low)
    packed = d.chance(0.65, b)
    x = torch.where(packed[:, None, None, None], fused(jpeg, d.device)(x, d.u(b, lo=22, hi=96), d.chance(0.6, b)), x)
    x = render.sensor(x, s, 2)
    return x.round().clamp(0, 255).to(torch.uint8)


def default_backgrounds(device):
    """The pack of make_backgrounds.py, its objects pasted onto every second picture; None where there is no pack."""
    folder = os.environ.get("NANO_ASSETS", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../assets"))
    if not os.path.exists(os.path.join(folder, "backgrounds.npz")):
        return None
    from .backgrounds import load_backgrounds, load_stamps

    pictures = load_backgrounds(os.path.join(folder, "backgrounds.npz"), device)
    path = os.path.join(folder, "stamps.npz")
    if not os.path.exists(path):
        return pictures
    stamps = torch.as_tensor(load_stamps(path)).to(device)
    pictures, rng = pictures.clone(), random.Random(5)
    for i in range(0, len(pictures), 2):
        for _ in range(rng.randint(1, 3)):
            side = rng.choice((48, 80, 112, 160))
            s = stamps[rng.randrange(len(stamps))].permute(2, 0, 1)[None].float()
            s = F.interpolate(s, size=side, mode="area")[0].permute(1, 2, 0)
            x, y = rng.randrange(320 - side), rng.randrange(320 - side)
            alpha = s[..., 3:] / 255
            part = pictures[i, y:y + side, x:x + side]
            part.copy_((part.float() * (1 - alpha) + s[..., :3] * alpha).round().clamp(0, 255).to(torch.uint8))
    return pictures


def default_body(device):
    """The body of make_body.py; None where its file is not there (people are then made of things)."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cc0/body.npz")
    return Body(path, device) if os.path.exists(path) else None


class Scenes:
    """What both kinds share: figures, renderer, dice, materials."""

    dark = 0.0  # see skin_materials

    def __init__(self, hands, things, device, seed, backgrounds, hand=None, body=None, pool=None):
        self.device = torch.device(device)
        self.ease = 0.0  # 1: hands alone, arms from below, sharp pictures; training may begin so
        self.d = Dice(torch.Generator(device=self.device).manual_seed(seed))
        self.hand = hand or Hand(device=device)
        self.body = body
        self.figures = Figures(self.hand, hands, things, device, body)
        if backgrounds is None:
            backgrounds = default_backgrounds(device)
        procedural = procedural_backgrounds(160 if self.device.type == "cuda" else 16, 7, device)
        self.backgrounds = procedural if backgrounds is None else torch.cat([backgrounds.to(self.device), procedural])
        self.pictures = len(self.backgrounds)
        many = pool or (120_000 if self.device.type == "cuda" else 400)
        self.pool = PosePool(many, self.d.g, device)
        clasp = [w * 0.15 if k != "clasp" else 1.0 for k, w in zip(KINDS, KIND_WEIGHTS)]
        self.clasp_pool = PosePool(many // 6, self.d.g, device, clasp)
        f = self.figures
        self.render = Render(f.triangles, f.slots, f.attributes, f.slot_count, self.backgrounds, device)

    def fingers(self, clasp):
        """Finger poses for (B,K) hands: rotmats15, betas, kind, object; where clasp (B,K) says so, hands that grip."""
        n = clasp.numel()
        a, b = self.pool.draw(n, self.d.g), self.clasp_pool.draw(n, self.d.g)

        def choose(x, y):
            return torch.where(clasp.reshape(n, *([1] * (x.dim() - 1))), y, x).reshape(*clasp.shape, *x.shape[1:])

        out = {k: choose(a[k], b[k]) for k in ("rotmats15", "betas", "kind")}
        out["object"] = {k: choose(a["object"][k], b["object"][k]) for k in a["object"]}
        return out

    def held(self, turn, root, flip, thing):
        """Centre and turn of what a hand holds: turn (n,3,3) and root (n,3) of the hand, flip (n,1,3) its mirror."""
        centre = (turn @ (thing["centre"] * flip[:, 0])[..., None])[..., 0] + root
        return centre, turn @ (flip.transpose(1, 2) * thing["turn"])

    def _frame(self, angle, tilt, roll):
        """Turns of hands whose forearms leave at `angle` on the picture and `tilt` away from the viewer; roll 0 shows the back."""
        x = torch.stack([torch.cos(angle) * torch.cos(tilt), torch.sin(angle) * torch.cos(tilt), torch.sin(tilt)], -1)
        view = torch.tensor([0.0, 0.0, -1.0], device=self.device).expand_as(x)
        y0 = F.normalize(view - (view * x).sum(-1, keepdim=True) * x + 1e-4, dim=-1)
        y = torch.cos(roll)[..., None] * y0 + torch.sin(roll)[..., None] * torch.linalg.cross(x, y0)
        return torch.stack([x, y, torch.linalg.cross(x, y)], -1)

    def arms(self, n, bare=0.5):
        d = self.d
        elbow = d.u(n, lo=0.22, hi=0.29)
        arm = dict(flex=d.n(n, sigma=0.45).clamp(-1.2, 1.2), deviate=d.n(n, sigma=0.2).clamp(-0.5, 0.5),
                   elbow_turn=d.direction(n) * (d.u(n, 1) ** 1.5 * 1.9), length=d.u(n, lo=0.5, hi=0.95), elbow=elbow,
                   thick=d.u(n, lo=0.92, hi=1.25))
        start = torch.where(d.chance(bare, n), d.u(n, lo=0.15, hi=0.45), d.u(n, lo=0.012, hi=0.12))
        folds = d.n(n, 12, sigma=0.05) + d.u(n, 1, hi=0.25) * torch.linspace(0, 1, 12, device=self.device)
        sleeve = dict(start=start, wide=d.u(n, lo=1.1, hi=1.5), folds=folds)
        return arm, sleeve

    def materials(self, b, sleeves, things, skin_things=0.15):
        """(B,S,MATERIAL): hands k, arms and sleeves of one person two by two; sleeves (B,K), things (B,N) say what is there."""
        d, f = self.d, self.figures
        k = f.hands
        m = torch.zeros(b, f.slot_count, MATERIAL, device=self.device)
        skin, tone = skin_materials(d, (b, k), self.dark)
        same = d.chance(0.7, b, 1, 1)
        skin = torch.where(same & (torch.arange(k, device=self.device)[:, None] % 2 == 1), skin[:, [max(i - 1, 0) if i % 2 else i for i in range(k)]], skin)
        m[:, 0:3 * k:3] = skin
        bare = skin.clone()
        bare[..., 25] = 0  # a palm's colour ends at the wrist
        m[:, 1:3 * k:3] = bare
        glove = plain_materials(d, (b, k), self.pictures)
        gloved = d.chance(0.03, b, k, 1)
        m[:, 0:3 * k:3] = torch.where(gloved, glove, m[:, 0:3 * k:3])
        cloth = plain_materials(d, (b, k), self.pictures)
        cloth[..., 12] *= 0.3
        m[:, 2:3 * k:3] = cloth
        m[:, 2:3 * k:3, 0] = sleeves.float()
        if f.things:
            plain = plain_materials(d, (b, f.things), self.pictures)
            likeskin, _ = skin_materials(d, (b, f.things))
            plain = torch.where(d.chance(skin_things, b, f.things, 1), likeskin, plain)
            plain[..., 0] = things.float()
            m[:, 3 * k:3 * k + f.things] = plain
        return m, tone

    def project(self, p, camera):
        """Points (B,...,3) -> continuous pixels (B,...,2)."""
        c = camera.reshape(len(camera), *([1] * (p.dim() - 2)), 3)
        return p[..., :2] / p[..., 2:].clamp_min(0.02) * c[..., :1] + c[..., 1:]

    def shown(self, points, pixels, own, seen, depth, margin):
        """Is a point of hand `own` (slot of hand, arm, sleeve: own..own + 2) in the picture and not covered by something else."""
        b, h, w = seen.shape
        x, y = pixels[..., 0].floor().long(), pixels[..., 1].floor().long()
        inside = (x >= 0) & (y >= 0) & (x < w) & (y < h) & (points[..., 2] > 0.03)
        at = (y.clamp(0, h - 1) * w + x.clamp(0, w - 1)).reshape(b, -1)
        what = seen.reshape(b, -1).gather(1, at).reshape(x.shape).long() - 1
        far = depth.reshape(b, -1).gather(1, at).reshape(x.shape)
        mine = (what >= own) & (what < own + 2)
        return inside & (mine | (far > points[..., 2] - margin))


class PoseScenes(Scenes):
    """One hand's crop, as a right hand: see next(). Beside it there may be two more: 1 stands about or is held by it, 2 holds it."""

    HANDS, THINGS = 3, 4
    cut = 0.0  # how many end at the picture's border: the crop is then that of the box of what is left

    def __init__(self, batch, device, seed=1, backgrounds=None, hand=None, samples=2, pool=None):
        super().__init__(self.HANDS, self.THINGS, device, seed, backgrounds, hand, pool=pool)
        self.batch, self.samples = batch, samples

    @staticmethod
    def left_of(verts, off):
        """Corners of what is left of the box of verts (B,V,3) before the camera, without parts off (B,4) at its four sides."""
        q = verts[..., :2] / verts[..., 2:].clamp_min(0.03)
        lo, hi = q.amin(1), q.amax(1)
        return lo + off[:, :2] * (hi - lo), hi - off[:, 2:] * (hi - lo)

    def _clasp(self, turn, wrist, flip, thing):
        """Where the other hand is when the first one holds its forearm: turn (B,3,3), wrist (B,3), the first one's thing."""
        d, b = self.d, len(turn)
        along = torch.where(d.chance(0.5, b), 1.0, -1.0)
        has = (thing["has"] > 0.5)[:, None]
        z = torch.where(has, thing["turn"][:, :, 2], torch.tensor([0.0, 0, 1], device=self.device)) * flip[:, 0]
        axis = F.normalize(z * along[:, None] + d.n(b, 3, sigma=0.12), dim=-1)  # of the held forearm, in the first hand's frame
        other = d.direction(b)
        y = F.normalize(other - (other * axis).sum(-1, keepdim=True) * axis, dim=-1)
        frame = torch.stack([axis, y, torch.linalg.cross(axis, y)], -1)
        turn2 = turn @ frame
        held = torch.stack([d.u(b, lo=-0.04, hi=0.02) - 0.096, d.u(b, lo=-0.055, hi=-0.042), d.u(b, lo=-0.02, hi=0.02)], -1)
        held = torch.where(has, thing["centre"], held) * flip[:, 0]
        at = (turn @ held[..., None])[..., 0] + wrist
        back = d.u(b, lo=0.03, hi=0.14)
        return turn2, at - turn2[:, :, 0] * back[:, None]

    def next(self, with_extra=False):
        d, f, b = self.d, self.figures, self.batch
        k = self.HANDS
        mode = d.pick([0.42, 0.22, 0.1, 0.08, 0.18], b)  # alone, another hand beside, holds one, is held by one, both
        easy = d.chance(self.ease, b)
        mode = torch.where(easy, torch.zeros_like(mode), mode)
        hold, held = (mode == 2) | (mode == 4), (mode == 3) | (mode == 4)
        hands = self.fingers(torch.stack([hold, torch.zeros_like(hold), held], 1))
        fingers, betas, thing = hands["rotmats15"], hands["betas"], hands["object"]
        upright = self._frame(math.pi / 2 + d.n(b, sigma=0.45), d.n(b, sigma=0.3), d.n(b, sigma=0.5) + math.pi * d.chance(0.5, b))
        wide = self._frame(math.pi / 2 + d.n(b, sigma=1.0), d.n(b, sigma=0.7), d.n(b, sigma=1.0) + math.pi * d.chance(0.5, b))
        turn = torch.where(d.chance(0.5, b)[:, None, None], wide, d.rotation(b))  # every second as arms are mostly held
        turn = torch.where(easy[:, None, None], upright, turn)
        mirrored = torch.cat([torch.zeros(b, 1, dtype=torch.bool, device=self.device), d.chance(0.6, b, k - 1)], 1)
        flip = torch.ones(b, k, 3, device=self.device)
        flip[..., 2] = torch.where(mirrored, -1.0, 1.0)
        first, last = ({key: x[:, i] for key, x in thing.items()} for i in (0, 2))
        # the others: beside, behind, in front; the first one's wrist stays at the origin
        others = d.rotation(b, k - 1)
        near = d.n(b, k - 1, 3, sigma=0.07) + d.direction(b, k - 1) * 0.08
        # held: where this one is when hand 2 holds its forearm, as seen from hand 2
        own_turn, own_wrist = self._clasp(others[:, 1], near[:, 1], flip[:, 2:], last)
        turn = torch.where(held[:, None, None], own_turn, turn)
        wrist3 = near[:, 1] - torch.where(held[:, None], own_wrist, torch.zeros_like(own_wrist))
        wrist = torch.zeros(b, 3, device=self.device)
        held_turn, held_wrist = self._clasp(turn, wrist, flip[:, :1], first)
        turn2 = torch.where(hold[:, None, None], held_turn, others[:, 0])
        wrist2 = torch.where(hold[:, None], held_wrist, near[:, 0])
        turns, wrists = torch.stack([turn, turn2, others[:, 1]], 1), torch.stack([wrist, wrist2, wrist3], 1)
        arm, sleeve = self.arms(k * b)
        clasp = (mode >= 2)[:, None]
        start, flex = sleeve["start"].reshape(b, k), arm["flex"].reshape(b, k)
        sleeve["start"] = torch.where(clasp, start.clamp_min(0.16), start).reshape(-1)
        arm["flex"] = torch.where(clasp, flex * 0.4, flex).reshape(-1)
        verts, points = f.pose_hands(fingers.reshape(-1, 15, 3, 3), betas.reshape(-1, 10), turns.reshape(-1, 3, 3),
                                             wrists.reshape(-1, 3), mirrored.reshape(-1), arm, sleeve)
        verts, points = verts.reshape(b, k, -1, 3), points.reshape(b, k, 21, 3)
        # distance, crop: the camera looks at the middle of the crop
        distance = d.log(b, lo=0.2, hi=2.2)
        own = verts[:, 0, :778]
        middle = 0.5 * (own.amin(1) + own.amax(1))
        move = torch.cat([-middle[:, :2], (distance - middle[:, 2]).clamp_min(0.16)[:, None]], 1)
        gone = torch.zeros(b, 4, device=self.device)  # of the hand's box, left, top, right and below
        if self.cut:
            gone[torch.arange(b, device=self.device), d.index(4, b)] = d.chance(self.cut, b) * d.u(b, lo=0.06, hi=0.5)
        for _ in range(2):
            lo, hi = self.left_of(own + move[:, None], gone)
            box = (hi - lo).amax(1)
            jitter = d.u(b, 2, lo=-0.12, hi=0.12) if _ else torch.zeros(b, 2, device=self.device)
            aim = 0.5 * (lo + hi) + jitter * box[:, None]
            move = torch.cat([move[:, :2] - aim * move[:, 2:], move[:, 2:]], 1)
        lo, hi = self.left_of(own + move[:, None], gone)
        box = (hi - lo).amax(1)
        focal = 256 / (RESCALE * d.u(b, lo=0.82, hi=1.22) * box)
        verts, points = verts + move[:, None, None], points + move[:, None, None]
        camera = torch.stack([focal, torch.full_like(focal, 96.5), torch.full_like(focal, 128.5)], 1)
        # things: one may be held, others stand about
        root = points[:, 0, 0]
        centre0, turn0 = self.held(turns[:, 0], root, flip[:, :1], first)
        n = self.THINGS - 1
        bigness = d.log(b, n, 1, lo=0.012, hi=0.14) * d.u(b, n, 3, lo=0.35, hi=1.6)
        off = d.direction(b, n) * (0.06 + bigness.amax(-1, keepdim=True) + d.u(b, n, 1) ** 1.5 * 0.2)
        off[..., 2] += torch.where(d.chance(0.75, b, n), 0.1, 0.0)
        centres = points[:, 0].mean(1)[:, None] + off
        square = d.log(b, n, 2, lo=0.15, hi=1.0)
        square = torch.where(d.chance(0.5, b, n, 2), torch.ones_like(square), square)
        others = f.pose_things(centres.reshape(-1, 3), d.rotation(b * n), bigness.reshape(-1, 3), square.reshape(-1, 2))
        things = torch.cat([f.rounded(centre0, turn0, first["half"], first["round"])[:, None], others.reshape(b, n, -1, 3)], 1)
        grasped = (first["has"] > 0.5) & (mode < 2) & d.chance(0.9, b)
        present = torch.cat([grasped[:, None], d.chance(0.2, b, n)], 1) & ~easy[:, None]
        m, tone = self.materials(b, d.chance(0.7, b, k), present)
        m[:, 3:6, 0] *= ((mode == 1) | hold).float()[:, None]
        m[:, 6:9, 0] *= (held | ((mode == 1) & d.chance(0.2, b))).float()[:, None]
        position = torch.cat([verts.reshape(b, -1, 3), things.reshape(b, -1, 3)], 1)
        centre = points[:, 0].mean(1)
        l, frames = lights(d, b, centre, torch.full((b,), 0.22, device=self.device), self.pictures)
        colour, seen, depth = self.render.draw(position, m, camera, l, frames, 192, 256, self.samples)
        pixels = self.project(points[:, 0], camera)
        visible = self.shown(points[:, 0], pixels, 0, seen, depth, 0.014)
        image = through_camera(d, self.render, colour, seen, 2.5 * (1 - self.ease), 1 - self.ease)
        # the picture may end inside of the crop: black beyond, as the crop's warp leaves it
        edge = d.u(b, 4, lo=0.02, hi=0.4) * torch.tensor([192.0, 256, 192, 256], device=self.device)
        edge = torch.where(d.chance(0.07, b, 4), edge, torch.full_like(edge, -1.0))
        low, high = (camera[:, :1] * x + camera[:, 1:] for x in (lo, hi))
        edge = torch.where(gone > 0, torch.cat([low, torch.tensor([192.0, 256], device=self.device) - high], 1), edge)
        x, y = torch.arange(192, device=self.device), torch.arange(256, device=self.device)
        inside = ((x[None] >= edge[:, :1]) & (x[None] <= 192 - edge[:, 2:3]))[:, None] & ((y[None] >= edge[:, 1:2]) & (y[None] <= 256 - edge[:, 3:]))[:, :, None]
        image = image * inside[..., None]
        visible &= (pixels[..., 0] >= edge[:, :1]) & (pixels[..., 0] <= 192 - edge[:, 2:3]) & (pixels[..., 1] >= edge[:, 1:2]) & (pixels[..., 1] <= 256 - edge[:, 3:])
        full = pixels + torch.tensor([32.0 - 0.5, -0.5], device=self.device)
        out = dict(image=image, rotmats=torch.cat([turns[:, :1], fingers[:, 0]], 1), betas=betas[:, 0],
                   keypoints3d=points[:, 0], keypoints2d=full / 256 - 0.5, visible=visible.float())
        if with_extra:
            out.update(tone=tone[:, 0], mode=mode, seen=seen, kind=hands["kind"][:, 0])
        return out


class DetectScenes(Scenes):
    """Whole pictures with none to six hands: see next()."""

    HANDS, THINGS, MAX = 6, 9, 8
    kinds = (0.06, 0.34, 0.18, 0.2, 0.22)  # how often: no hand, any, arms from below, facing people, holding each other

    def __init__(self, batch, size=320, device="cpu", seed=1, backgrounds=None, hand=None, samples=2, pool=None):
        super().__init__(self.HANDS, self.THINGS, device, seed, backgrounds, hand, default_body(device), pool)
        self.batch, self.size, self.samples = batch, size, samples

    def _people(self, people, turn, wrist, left, present):
        """Where a body's two hands are, for the pictures that show people, and the body's vertices before the camera."""
        pose = sample_body_pose(len(turn), self.d.g, self.device, self.body)
        skin, _, frames = self.body.forward(pose["rotmats"], pose["betas"])
        r, t = pose["camera"][:, :3, :3], pose["camera"][:, :3, 3]
        skin = skin @ r.transpose(1, 2) + t[:, None]
        turns = frames[..., :3, :3] @ pose["wrist"]
        turns = torch.stack([turns[:, 0], turns[:, 1] * torch.tensor([1.0, 1, -1], device=self.device)], 1)  # z is the mirrored axis
        place = (frames[..., :3, :3] @ torch.tensor(WRIST, device=self.device)) + frames[..., :3, 3]
        turns, place = r[:, None] @ turns, place @ r.transpose(1, 2) + t[:, None]
        w = people[:, None]
        two = torch.arange(turn.shape[1], device=self.device)[None] < 2
        turn = torch.cat([torch.where(w[..., None, None], turns, turn[:, :2]), turn[:, 2:]], 1)
        wrist = torch.cat([torch.where(w[..., None], place, wrist[:, :2]), wrist[:, 2:]], 1)
        left = torch.where(w & two, torch.arange(turn.shape[1], device=self.device)[None] == 1, left)
        return turn, wrist, left, torch.where(w, two.expand_as(present), present), skin

    def _dress(self, m, people, at):
        """Materials of the bodies, in place: slots `at` and on. A body's own arms stand in for the hands' tubes."""
        d, b = self.d, len(m)
        m[:, 3] = torch.where(people[:, None], m[:, 0], m[:, 3])  # both hands are the same person's
        for slot in (1, 2, 4, 5):
            m[:, slot, 0] *= (~people).float()
        cloth = plain_materials(d, (b, 2), self.pictures)
        cloth[..., 12] *= 0.3
        cloth[..., 9] *= 0.5
        skin = m[:, 0].clone()
        skin[:, 20], skin[:, 25] = 0, 0
        hair = plain_materials(d, (b,), self.pictures)
        dark = d.u(b, 1) ** 2 * 0.35
        hair[:, 2:5] = dark * (1 + torch.tensor([0.3, 0.0, -0.3], device=self.device) * d.u(b, 1)) + 0.004
        hair[:, 1], hair[:, 8], hair[:, 21] = 1, 0, -1
        bare = d.chance(0.55, b, 1)
        m[:, at:at + len(BODY_SLOTS)] = torch.stack([skin, torch.where(bare, skin, cloth[:, 0]), cloth[:, 0], cloth[:, 1], hair], 1)
        m[:, at:at + len(BODY_SLOTS), 0] = people[:, None].float()

    def next(self, with_extra=False):
        d, f, b, k, s = self.d, self.figures, self.batch, self.HANDS, self.size
        dev = self.device
        mode = d.pick(self.kinds, b)
        theirs = (mode == 2) & d.chance(0.15, b)  # arms from below are one's own, or of someone who faces the camera
        grips = (mode == 4)[:, None] & (torch.arange(k, device=dev) % 2 == 0)
        hands = self.fingers(grips)
        thing = hands["object"]
        number = torch.arange(k, device=dev)[None]
        count = d.pick([0.28, 0.3, 0.22, 0.12, 0.08], b) + 1
        count = torch.where(mode == 0, torch.zeros_like(count), count)
        count = torch.where(mode == 2, torch.where(d.chance(0.75, b), 2, 1), count)
        count = torch.where(mode == 3, d.pick([0.3, 0.7], b) + 1, count)
        count = torch.where(mode == 4, 2 * (d.pick([0.45, 0.3, 0.25], b) + 1), count)
        present = number < count[:, None]
        odd = (number % 2 == 1).expand(b, k)
        left = d.chance(0.5, b, k)
        pair = ((mode == 2) | (mode == 3))[:, None]
        left = torch.where(pair, odd ^ d.chance(0.5, b, 1), left)
        ego, facing = (mode == 2)[:, None], (mode == 3)[:, None]
        mirrored = facing | theirs[:, None]
        # where, how large, which way
        focal = s / (2 * torch.tan(d.u(b, lo=math.radians(40), hi=math.radians(92)) / 2))
        base = d.log(b, 1, lo=22, hi=230)
        size = base * d.log(b, k, lo=0.75, hi=1.33)
        size = torch.where((mode == 1)[:, None], d.log(b, k, lo=20, hi=230), size)
        size = torch.where((mode == 4)[:, None], size.clamp(24, 110), size)
        size = size * (s / 320)
        where = d.u(b, k, 2, lo=0.03, hi=0.97) * s
        side = torch.where(left, -1.0, 1.0) * torch.where(mirrored, -1.0, 1.0)  # seen from the front, a right hand is at the left
        middle = d.u(b, 1, 2, lo=0.3, hi=0.7) * s
        apart = size * d.u(b, k, lo=0.35, hi=1.5)
        together = torch.stack([middle[..., 0] + side * apart, middle[..., 1] + d.n(b, k, sigma=0.3) * size], -1)
        where = torch.where(pair[..., None], together, where)
        ring = torch.arange(k, device=dev)[None] // 2 * 2.1 + d.u(b, 1, hi=6.28)
        group = torch.stack([torch.cos(ring), torch.sin(ring)], -1) * (size[..., None] * 1.1) + middle
        where = torch.where((mode == 4)[:, None, None], group, where)
        angle = math.pi / 2 + d.n(b, k, sigma=1.25)
        angle = torch.where(ego, math.pi / 2 - side * d.u(b, k, lo=-0.2, hi=0.8), angle)
        angle = torch.where(facing, math.pi / 2 - side * d.n(b, k, sigma=0.7), angle)
        tilt = d.n(b, k, sigma=0.5)
        tilt = torch.where(ego, d.n(b, k, sigma=0.35) - 0.45, torch.where(facing, d.n(b, k, sigma=0.4) + 0.35, tilt)).clamp(-1.35, 1.35)
        roll = d.u(b, k, lo=-math.pi, hi=math.pi)
        roll = torch.where(ego & d.chance(0.7, b, k), d.n(b, k, sigma=0.6) + math.pi * theirs[:, None], roll)
        turn = self._frame(angle, tilt, roll)
        z = (focal[:, None] * 0.17 / size).clamp_min(0.12)
        at = torch.cat([(where - s / 2) / focal[:, None, None] * z[..., None], z[..., None]], -1)
        # the forearm leaves the place aimed at: the hand's middle is 9 cm before the wrist
        wrist = at + turn[..., :, 0] * 0.08
        people = mode == 3 if self.body is not None else torch.zeros_like(mode == 3)
        if self.body is not None:
            turn, wrist, left, present, skin = self._people(people, turn, wrist, left, present)
        flip = torch.ones(b, k, 3, device=dev)
        flip[..., 2] = torch.where(left, -1.0, 1.0)
        for first in range(0, k, 2):
            t2, w2 = PoseScenes._clasp(self, turn[:, first], wrist[:, first], flip[:, first:first + 1],
                                       {key: x[:, first] for key, x in thing.items()})
            hold = (mode == 4)[:, None]
            turn = torch.cat([turn[:, :first + 1], torch.where(hold[..., None], t2, turn[:, first + 1])[:, None], turn[:, first + 2:]], 1)
            wrist = torch.cat([wrist[:, :first + 1], torch.where(hold, w2, wrist[:, first + 1])[:, None], wrist[:, first + 2:]], 1)
        arm, sleeve = self.arms(b * k, bare=0.45)
        clasp = (mode == 4)[:, None].expand(b, k).reshape(-1)
        arm["flex"] = torch.where(clasp, arm["flex"] * 0.4, arm["flex"])
        sleeve["start"] = torch.where(clasp, sleeve["start"].clamp_min(0.16), sleeve["start"])
        verts, points = f.pose_hands(hands["rotmats15"].reshape(-1, 15, 3, 3), hands["betas"].reshape(-1, 10), turn.reshape(-1, 3, 3), wrist.reshape(-1, 3), left.reshape(-1), arm, sleeve)
        verts, points = verts.reshape(b, k, -1, 3), points.reshape(b, k, 21, 3)
        camera = torch.stack([focal, torch.full_like(focal, s / 2), torch.full_like(focal, s / 2)], 1)
        # things: 0, 1 held; 2..4 head, torso and hair behind facing hands; the rest stands about
        n = self.THINGS
        mean_z = torch.where(present, z, torch.zeros_like(z)).sum(1) / present.sum(1).clamp_min(1)
        mean_z = torch.where(present.any(1), mean_z, d.log(b, lo=0.3, hi=2.0))
        bigness = d.log(b, n, 1, lo=0.02, hi=0.3) * d.u(b, n, 3, lo=0.3, hi=1.5)
        spot = d.u(b, n, 2, lo=-0.1, hi=1.1) * s
        deep = mean_z[:, None] * d.log(b, n, lo=0.8, hi=2.5) + bigness.amax(-1)
        centre = torch.cat([(spot - s / 2) / focal[:, None, None] * deep[..., None], deep[..., None]], -1)
        turns = d.rotation(b, n)
        square = torch.where(d.chance(0.5, b, n, 2), torch.ones(b, n, 2, device=dev), d.log(b, n, 2, lo=0.15, hi=1.0))
        there = d.chance(0.3, b, n)
        two = {key: x[:, :2].reshape(2 * b, *x.shape[2:]) for key, x in thing.items()}
        held, held_turn = self.held(turn[:, :2].reshape(-1, 3, 3), points[:, :2, 0].reshape(-1, 3), flip[:, :2].reshape(-1, 1, 3), two)
        grasped = f.rounded(held, held_turn, two["half"], two["round"]).reshape(b, 2, -1, 3)
        there[:, :2] = present[:, :2] & (two["has"].reshape(b, 2) > 0.5) & (mode[:, None] != 4)
        # a person behind facing hands
        up = torch.stack([d.n(b, sigma=0.1), -d.u(b, lo=0.02, hi=0.35), mean_z + d.u(b, lo=0.12, hi=0.5)], -1)
        mid3 = torch.cat([(middle[:, 0] - s / 2) / focal[:, None] * mean_z[:, None], torch.zeros(b, 1, device=dev)], 1)
        head = mid3 + up
        torso = head + torch.stack([d.n(b, sigma=0.03), torch.full((b,), 0.42, device=dev), d.u(b, lo=0.0, hi=0.08)], -1)
        hair = head + torch.stack([torch.zeros(b, device=dev), -d.u(b, lo=0.03, hi=0.07), d.u(b, lo=0.0, hi=0.06)], -1)
        centre = torch.cat([centre[:, :2], torch.stack([head, torso, hair], 1), centre[:, 5:]], 1)
        shape = torch.tensor([[0.075, 0.11, 0.09], [0.2, 0.3, 0.11], [0.085, 0.1, 0.095]], device=dev) * d.u(b, 3, 3, lo=0.9, hi=1.12)
        bigness = torch.cat([bigness[:, :2], shape, bigness[:, 5:]], 1)
        upright = turn_about(d.direction(b, 3), d.u(b, 3, hi=0.35))
        turns = torch.cat([turns[:, :2], upright, turns[:, 5:]], 1)
        person = (mode == 3) & ~people & d.chance(0.85, b)
        there[:, 2:5] = person[:, None] | (there[:, 2:5] & ~person[:, None] & d.chance(0.3, b, 1))
        square[:, 2:5] = 1.0
        things = f.pose_things(centre.reshape(-1, 3), turns.reshape(-1, 3, 3), bigness.reshape(-1, 3), square.reshape(-1, 2))
        things = torch.cat([grasped, things.reshape(b, n, -1, 3)[:, 2:]], 1)
        m, tone = self.materials(b, d.chance(0.6, b, k), there, skin_things=0.2)
        m[:, 0:3 * k:3, 0] = present.float()
        m[:, 1:3 * k:3, 0] = present.float()
        m[:, 2:3 * k:3, 0] *= present.float()
        face = m[:, 1].clone()
        at_head = 3 * k + 2
        m[:, at_head] = torch.where(person[:, None], torch.cat([there[:, 2:3].float(), face[:, 1:]], 1), m[:, at_head])
        position = [verts.reshape(b, -1, 3), things.reshape(b, -1, 3)]
        if self.body is not None:
            position.append(skin)
            self._dress(m, people, 3 * k + n)
            mean_z = torch.where(people, skin[..., 2].mean(1).clamp_min(0.3), mean_z)
        position = torch.cat(position, 1)
        focus = torch.stack([torch.zeros(b, device=dev), torch.zeros(b, device=dev), mean_z], -1)
        l, frames = lights(d, b, focus, 0.3 + 0.3 * mean_z.clamp_max(1.5), self.pictures)
        colour, seen, depth = self.render.draw(position, m, camera, l, frames, s, s, self.samples)
        own = verts[:, :, :778]
        flat = self.project(own.reshape(b, -1, 3), camera).reshape(b, k, 778, 2)
        spots = self.project(points.reshape(b, -1, 3), camera).reshape(b, k, 21, 2)
        image = through_camera(d, self.render, colour, seen, 1.3, 0.45)
        # letterbox: grey bars at two sides
        bar = d.u(b, lo=0.0, hi=0.25) * s * d.chance(0.6, b)
        across = d.chance(0.3, b)
        lo = torch.stack([torch.where(across, bar, torch.zeros_like(bar)), torch.where(across, torch.zeros_like(bar), bar)], -1).floor()
        hi = s - lo
        y, x = torch.arange(s, device=dev), torch.arange(s, device=dev)
        inside = ((x[None] >= lo[:, :1]) & (x[None] < hi[:, :1]))[:, None] & ((y[None] >= lo[:, 1:]) & (y[None] < hi[:, 1:]))[:, :, None]
        image = torch.where(inside[..., None], image, torch.full_like(image, 114))
        low, high = lo[:, None, None], hi[:, None, None]
        visible, fraction = [], []
        for i in range(k):
            visible.append(self.shown(points[:, i], spots[:, i], 3 * i, seen, depth, 0.014))
            fraction.append(self.shown(own[:, i], flat[:, i], 3 * i, seen, depth, 0.004) & ((flat[:, i] >= low[:, 0]) & (flat[:, i] < high[:, 0])).all(-1))
        visible, fraction = torch.stack(visible, 1), torch.stack(fraction, 1).float().mean(-1)
        visible = visible & ((spots >= low) & (spots < high)).all(-1)
        cut = torch.minimum(torch.maximum(flat, low), high)
        boxes = torch.cat([cut.amin(2), cut.amax(2)], -1)
        front = (own[..., 2].amin(-1) > 0.05) & present
        sides = boxes[..., 2:] - boxes[..., :2]
        large = (sides.amax(-1) >= 11 * s / 320) & (sides.amin(-1) >= 4)
        valid = front & large & (fraction > 0.22)
        ignore = present & ~valid & (fraction > 0.02)
        pad = self.MAX - k
        out = dict(image=image, boxes=F.pad(boxes, (0, 0, 0, pad)), cls=F.pad((~left).long(), (0, pad)),
                   kpts=F.pad(torch.cat([spots, visible[..., None].float()], -1), (0, 0, 0, 0, 0, pad)),
                   valid=F.pad(valid, (0, pad)), ignore=F.pad(ignore, (0, pad)))
        if with_extra:
            out.update(tone=tone, mode=torch.where(theirs, 5, mode), fraction=fraction)
        return out
