"""NanoWiLoR: WiLoR's architecture at small size, under the checkpoint's parameter names.

Trained in float32 master weights under bfloat16 autocast. Two things differ from a plain transcription, neither of them in
what the exported file computes:
- The last block works only for the 18 leading tokens and the four corner patches, the only rows that anything reads.
- Output layers carry a fixed scale per row (`Scaled`), so that metres, radians and the camera's scale are trained at
  comparable step sizes; `folded_state` multiplies it in.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

from .hand import rot6d_to_matrix

ROWS, COLS, LEAD, POINTS = 16, 12, 18, 21
FOCAL = 5000.0
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INIT_SCALE = 7.5  # the mean of s when a hand fills 1/1.75 of the crop: 2 / (1.75 * 0.152 m)


class Scaled(nn.Linear):
    """A Linear whose rows are multiplied by a fixed scale. Computes in float32: few rows, and they are the result."""

    def __init__(self, inputs, scale, gain=0.02):
        super().__init__(inputs, len(scale))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32), persistent=False)
        nn.init.trunc_normal_(self.weight, std=gain)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight * self.scale[:, None], self.bias * self.scale)


class Norm(nn.LayerNorm):
    """LayerNorm that leaves bfloat16 behind under autocast, instead of autocast's float32. Statistics are float32."""

    def __init__(self, dim):
        super().__init__(dim, eps=1e-6)

    def forward(self, x):
        y = F.layer_norm(x.float(), self.normalized_shape, self.weight, self.bias, self.eps)
        kind = x.device.type
        return y.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else y


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, rows=None):
        """x (B, N, D); with `rows` only these rows ask, all rows answer."""
        n, t, d = x.shape
        split = lambda y: y.reshape(n, -1, self.heads, d // self.heads).transpose(1, 2)
        if rows is None:
            q, k, v = self.qkv(x).chunk(3, -1)
        else:
            w, b = self.qkv.weight, self.qkv.bias
            q = F.linear(x[:, rows], w[:d], b[:d])
            k, v = F.linear(x, w[d:], b[d:]).chunk(2, -1)
        y = F.scaled_dot_product_attention(split(q), split(k), split(v))
        return self.proj(y.transpose(1, 2).reshape(n, -1, d))


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.norm1 = Norm(dim)
        self.attn = Attention(dim, heads)
        self.norm2 = Norm(dim)
        self.mlp = Mlp(dim, hidden)

    def forward(self, x, rows=None):
        y = self.attn(self.norm1(x), rows)
        x = (x if rows is None else x[:, rows]) + y
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 16, 16, padding=2)

    def forward(self, x):
        """(B, 256, 192, 3) normalised -> (B, 192, D). The convolution as one matrix product: padding 2 above and to the left;
        the last two rows and columns of the picture are never reached."""
        n = x.shape[0]
        x = F.pad(x[:, :254, :190], (0, 0, 2, 0, 2, 0))
        x = x.reshape(n, ROWS, 16, COLS, 16, 3).permute(0, 1, 3, 5, 2, 4).reshape(n, ROWS * COLS, 768)
        return F.linear(x, self.proj.weight.reshape(-1, 768), self.proj.bias)


def spread_pose(pose6d):
    """(96) the same rotations, but told apart: 6D vectors keep their rotation when a1 is scaled, or a2 scaled and moved along a1.
    The pose tokens have no position, only their initial 6D numbers, so those are laid on a sphere (16 points, all extreme)
    in the three free directions. Without this the network has to tell joints apart by differences of 0.01."""
    r = pose6d.reshape(16, 6).double()
    b1 = F.normalize(r[:, :3], dim=1)
    b2 = F.normalize(r[:, 3:] - (b1 * r[:, 3:]).sum(1, keepdim=True) * b1, dim=1)
    i = torch.arange(16, dtype=torch.float64) + 0.5
    z, turn = 1 - i / 8, i * math.pi * (3 - math.sqrt(5))
    rad = (1 - z * z).sqrt()
    alpha, beta, gamma = 1.2 + 0.5 * rad * turn.cos(), 1.2 + 0.5 * rad * turn.sin(), 0.5 * z
    return torch.cat([alpha[:, None] * b1, beta[:, None] * b2 + gamma[:, None] * b1], 1).float().reshape(96)


def sincos_positions(dim):
    """(1, 193, D): sines and cosines of the patch's row and column; nothing for the class position."""
    quarter = dim // 4
    rate = 100.0 ** (-torch.arange(quarter) / quarter)
    wave = lambda n: torch.cat([(torch.arange(n)[:, None] * rate).sin(), (torch.arange(n)[:, None] * rate).cos()], 1)
    y, x = wave(ROWS)[:, None].expand(-1, COLS, -1), wave(COLS)[None].expand(ROWS, -1, -1)
    grid = torch.cat([y, x], -1).reshape(ROWS * COLS, -1)
    out = torch.zeros(1, 1 + ROWS * COLS, dim)
    out[0, 1:, : grid.shape[1]] = 0.5 * grid
    return out


def cosine_patches(dim):
    """(D, 3, 16, 16): the patch embedding to begin with: cosines of the lowest frequencies in three opposed colours, scaled so
    that pictures give all outputs about the same spread. Random rows would leave neighbouring pixels' sameness to be unlearnt."""
    n = torch.arange(16.0)
    wave = torch.cos(math.pi * (2 * n + 1)[None] * n[:, None] / 32) * math.sqrt(2 / 16)
    wave[0] *= math.sqrt(0.5)
    colours = torch.tensor([[1.0, 1, 1], [1, -1, 0], [0.5, 0.5, -1]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    items = sorted((max(u, v) + 0.01 * (u + v) + (0.0, 2.5, 3.5)[c], u, v, c) for u in range(16) for v in range(16) for c in range(3))
    rows = []
    for _, u, v, c in items[:dim]:
        strength = (1 / 22 if u + v == 0 else math.hypot(u, v) / 8) * (1, 3, 3)[c]
        rows.append(strength * colours[c][:, None, None] * (wave[u][:, None] * wave[v][None])[None])
    out = torch.stack(rows)
    if dim > len(out):
        raise ValueError(f"dim {dim} is more than a patch's {len(out)} numbers")
    return out


def alike(dim, noise, identity):
    """(D, D) with a part of the identity in it: U, S, V of its singular values."""
    return torch.linalg.svd(noise * torch.randn(dim, dim) / math.sqrt(dim) + identity * torch.eye(dim))


def attend_to_neighbours(attention):
    """Weights to begin with that make a token attend to those like it, which are its neighbours while positions are sines and
    cosines, and take off what it finds there (after Trockman and Kolter, Mimetic Initialization of Self-Attention Layers,
    2023). Small random weights attend everywhere alike, and to learn otherwise takes long where pictures are few. The last
    head keeps them: by it the leading tokens, which are like no patch, see all patches."""
    d, heads = attention.proj.weight.shape[0], attention.heads
    k = d // heads
    with torch.no_grad():
        for h in range(heads - 1):
            u, s, v = alike(d, 0.7, 0.7)
            root, rows = s[:k].sqrt()[:, None], slice(h * k, (h + 1) * k)
            attention.qkv.weight[:d][rows].copy_(root * u[:, :k].T)
            attention.qkv.weight[d : 2 * d][rows].copy_(root * v[:k])
        u, s, v = alike(d, 0.4, -0.4)
        attention.qkv.weight[2 * d :].copy_(s.sqrt()[:, None] * v)
        attention.proj.weight.copy_(u * s.sqrt())


class Backbone(nn.Module):
    def __init__(self, hand, dim, depth, heads, mlp_ratio, mimic):
        super().__init__()
        self.pos_embed = nn.Parameter(sincos_positions(dim))
        self.patch_embed = PatchEmbed(dim)
        self.pose_emb, self.shape_emb, self.cam_emb = nn.Linear(6, dim), nn.Linear(10, dim), nn.Linear(3, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, int(mlp_ratio * dim)) for _ in range(depth))
        self.last_norm = Norm(dim)
        self.decpose = Scaled(dim, [0.5] * 6)
        self.decshape = Scaled(dim, [0.5] * 10, 0.002)
        self.deccam = Scaled(dim, [2.0, 0.05, 0.05])
        cam = torch.tensor([[INIT_SCALE, -float(hand.joints_template[0, 0]), 0.0]])
        self.register_buffer("init_hand_pose", spread_pose(hand.init_hand_pose.cpu())[None])
        self.register_buffer("init_betas", hand.init_betas.cpu()[None].clone())
        self.register_buffer("init_cam", cam)
        rows = list(range(LEAD)) + [LEAD + r * COLS + c for r in (0, 1) for c in (0, 1)]
        self.register_buffer("wanted", torch.tensor(rows), persistent=False)
        # training only: which patch holds each keypoint, told by the patches before the last block
        self.where_norm, self.where = Norm(dim), nn.Linear(dim, POINTS)
        # and where each keypoint lies as seen from each patch: right, down (pixels of the crop) and away (metres from the wrist)
        self.vote = nn.Linear(dim, 3 * POINTS)
        # and what all patches together say the hand is: a short way for gradients, while the leading tokens have yet to learn
        # where to look
        self.crowd = Scaled(dim, [0.5] * 96 + [0.5] * 10 + [2.0, 0.05, 0.05])
        self.register_buffer("mean", 255 * torch.tensor(MEAN), persistent=False)
        self.register_buffer("inv_std", 1 / (255 * torch.tensor(STD)), persistent=False)
        self.residual = torch.float32
        self._init(mimic)

    def _init(self, mimic):
        for m in self.modules():
            if isinstance(m, nn.Linear) and not isinstance(m, Scaled):
                nn.init.trunc_normal_(m.weight, std=0.02)
                nn.init.zeros_(m.bias)
        self.patch_embed.proj.weight.data.copy_(cosine_patches(self.patch_embed.proj.weight.shape[0]))
        nn.init.zeros_(self.patch_embed.proj.bias)
        for m in (self.pose_emb, self.shape_emb, self.cam_emb):
            nn.init.trunc_normal_(m.weight, std=0.5)
            nn.init.trunc_normal_(m.bias, std=0.2)
        nn.init.trunc_normal_(self.cam_emb.weight, std=0.05)
        if mimic:
            self.pos_embed.data.mul_(2)  # neighbours are told apart by position first, by what they show second
            for block in self.blocks:
                attend_to_neighbours(block.attn)

    def leading(self):
        """(18, D): the tokens that do not depend on the picture."""
        with torch.autocast(self.pos_embed.device.type, enabled=False):
            pose = self.pose_emb(self.init_hand_pose.reshape(16, 6))
            return torch.cat([pose, self.shape_emb(self.init_betas), self.cam_emb(self.init_cam)])

    def forward(self, image):
        """uint8 (B, 256, 192, 3) RGB -> the 22 wanted tokens after last_norm, float32 (B, 22, D), and in training what the patches
        say before the last block: how likely each holds each keypoint, as logits (B, 192, 21), where each keypoint lies as seen
        from each (B, 192, 63), and their mean (B, D)."""
        kind = image.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        x = ((image.float() - self.mean) * self.inv_std).to(dtype)
        x = self.patch_embed(x) + (self.pos_embed[:, 1:] + self.pos_embed[:, :1])
        x = torch.cat([self.leading()[None].expand(len(x), -1, -1), x], 1).to(self.residual)
        for block in self.blocks[:-1]:
            x = block(x)
        where = vote = crowd = None
        if self.training:
            patches = self.where_norm(x[:, LEAD:])
            where, vote, crowd = self.where(patches).float(), self.vote(patches).float(), patches.float().mean(1)
        x = self.blocks[-1](x, self.wanted)
        with torch.autocast(kind, enabled=False):
            return self.last_norm(x.float()), where, vote, crowd

    def read_out(self, tokens):
        """6D (B, 96), betas (B, 10), camera (B, 3) from the wanted tokens."""
        n = len(tokens)
        pose = self.decpose(tokens[:, :16]).reshape(n, 96) + self.init_hand_pose
        return pose, self.decshape(tokens[:, 16]) + self.init_betas, self.deccam(tokens[:, 17]) + self.init_cam

    def read_crowd(self, mean):
        """The same of the patches' mean (B, D)."""
        y = self.crowd(mean)
        return y[:, :96] + self.init_hand_pose, y[:, 96:106] + self.init_betas, y[:, 106:] + self.init_cam


class FixedNorm(nn.BatchNorm2d):
    """A batch norm whose running statistics stay at mean 0 and variance 1: only gain and bias are trained."""

    def forward(self, x):
        k = self.weight / math.sqrt(1 + self.eps)
        return x * k[:, None, None] + self.bias[:, None, None]


class Maps(nn.Module):
    """RefineNet's three feature maps, from the corner of 2 x 2 patches only."""

    def __init__(self, dim):
        super().__init__()
        up = lambda i, o: nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False)
        self.first_conv = nn.Sequential(nn.Conv2d(dim, dim // 2, 1))
        self.deconv = nn.ModuleList(
            [
                nn.Sequential(up(dim // 2, dim // 4), FixedNorm(dim // 4), nn.ReLU()),
                nn.Sequential(
                    up(dim // 2, dim // 4), FixedNorm(dim // 4), nn.ReLU(), up(dim // 4, dim // 8), FixedNorm(dim // 8), nn.ReLU()
                ),
            ]
        )

    def forward(self, corner):
        """(B, D, 2, 2) -> f2, f1, f0 at their first 2 x 2 pixels: what samples at coordinates up to 1 read.
        n right pixels of a map give 2n - 1 right ones of its deconvolution, so 2 give 3 and 3 give 5."""
        f0 = self.first_conv(corner)
        f1 = self.deconv[0](f0)
        f2 = self.deconv[1][:3](f0)[:, :, :3, :3]
        f2 = self.deconv[1][3:](f2)
        return f2[:, :, :2, :2], f1[:, :, :2, :2], f0


def project(points, cam, size):
    """(B, V, 3) metres, cam (B, 3) -> (B, V, 2): (F/size) * (p + t).xy / (p + t).z with t = (tx, ty, 2F / (size * s)), multiplied
    out so that nothing is divided by s."""
    s = cam[:, None, :1]
    return 0.5 * s * (points[..., :2] + cam[:, None, 1:]) / (1 + points[..., 2:] * s * (size / (2 * FOCAL)))


class RefineNet(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.deconv = Maps(dim)
        width = dim // 8 + dim // 4 + dim // 2
        self.dec_pose = Scaled(width, [0.5] * 96, 0.002)
        self.dec_shape = Scaled(width, [0.5] * 10, 0.002)
        self.dec_cam = Scaled(width, [2.0, 0.05, 0.05], 0.002)

    def forward(self, tokens, verts, cam):
        """Corrections of 6D, betas and camera, and how many vertices fell beyond the corner. tokens: the four corner patches."""
        with torch.autocast(tokens.device.type, enabled=False):
            corner = tokens.transpose(1, 2).reshape(len(tokens), -1, 2, 2)
            pooled, beyond = [], 0
            for size, fmap in zip((64, 32, 16), self.deconv(corner)):
                xy = project(verts, cam, size)
                beyond = beyond + (xy > 1).any(-1).sum()
                pixel = torch.arange(2, device=xy.device, dtype=xy.dtype)
                wx, wy = ((1 - (c[..., None] - pixel).abs()).clamp_min(0) for c in xy.unbind(-1))  # bilinear, zero outside
                weight = (wy[..., :, None] * wx[..., None, :]).flatten(-2)  # (B, V, 4), row-major as fmap's pixels
                pooled.append((weight @ fmap.flatten(2).transpose(1, 2)).max(1).values)
            v = torch.cat(pooled, 1)
            return self.dec_pose(v), self.dec_shape(v), self.dec_cam(v), beyond


class NanoWiLoR(nn.Module):
    """image uint8 (B, 256, 192, 3) -> two predictions, the backbone's and the refined one. side: with a head that says whether
    the crop shows a right hand, as the network is given every hand, or is the mirror image of one."""

    def __init__(self, hand, dim=192, depth=6, heads=3, mlp_ratio=4, mimic=False, side=False):
        super().__init__()
        if dim % heads or dim % 8:
            raise ValueError(f"dim {dim} must be a multiple of 8 and of heads {heads}")
        self.config = dict(dim=dim, depth=depth, heads=heads, mlp_ratio=mlp_ratio, **({"side": True} if side else {}))
        self.backbone = Backbone(hand, dim, depth, heads, mlp_ratio, mimic)
        self.refine_net = RefineNet(dim)
        self.side_head = nn.Linear(LEAD * dim, 1) if side else None
        if side:
            nn.init.zeros_(self.side_head.weight)
            nn.init.zeros_(self.side_head.bias)
        self.hand = [hand]  # in a list: no part of this module's state

    def pose(self, pose6d, betas, cam):
        rot = rot6d_to_matrix(pose6d.reshape(-1, 16, 6))
        verts, _, points = self.hand[0](rot, betas)
        return dict(rotmats=rot, betas=betas, cam=cam, verts=verts, keypoints=points)

    def side(self, tokens):
        """The side head's logit (B) of the wanted tokens; above 0 is a right hand."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.side_head(tokens[:, :LEAD].float().flatten(1))[:, 0]

    def mirrored_side(self, image):
        """The same of the mirror images."""
        return self.side(self.backbone(image.flip(2))[0])

    def forward(self, image):
        tokens, where, vote, crowd = self.backbone(image)
        raw = self.backbone.read_out(tokens)
        first = self.pose(*raw)
        delta = self.refine_net(tokens[:, LEAD:], first["verts"].detach(), raw[2].detach())
        final = self.pose(*(a + b for a, b in zip(raw, delta[:3])))
        final["beyond"], final["where"], final["vote"] = delta[3], where, vote
        if self.side_head is not None:
            final["side"] = self.side(tokens)
        if crowd is not None:
            final["crowd"] = self.pose(*self.backbone.read_crowd(crowd))
        return first, final


TRAINING_ONLY = ("backbone.where", "backbone.vote", "backbone.crowd")  # what patches are asked for


def folded_state(model, weights=None):
    """The state under the checkpoint's names, float32 on the CPU, output scales multiplied in. weights: other values (an EMA's)
    by name for the parameters."""
    out = {k: v.detach().float().cpu().clone() for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for k, v in (weights or {}).items():
        out[k] = v.detach().float().cpu().clone()
    out = {k: v for k, v in out.items() if not k.startswith(TRAINING_ONLY)}
    for name, m in model.named_modules():
        if isinstance(m, Scaled) and name + ".weight" in out:
            s = m.scale.cpu()
            out[name + ".weight"] *= s[:, None]
            out[name + ".bias"] *= s
    return out
