"""Losses and measures of the pose network."""
import torch
import torch.nn.functional as F

from .pose_model import COLS, ROWS, project

WEIGHTS = dict(orient=1.0, pose=1.0, betas=0.05, points3d=10.0, verts=10.0, points2d=10.0)
HIDDEN = 0.2  # weight of points that are covered
LEAST_SHOWN = 0.25  # hands of which less is shown teach nothing


def _relative(points):
    return points - points[:, :1]


def prepare_target(hand, batch):
    """The batch's own hand: vertices relative to the wrist, with what the losses compare."""
    with torch.no_grad():
        verts, joints, points = hand(batch["rotmats"], batch["betas"])
        weight = (batch["visible"].mean(1) >= LEAST_SHOWN).float()
        return dict(batch, verts=verts - points[:, :1], points=_relative(batch["keypoints3d"].float()), weight=weight / weight.mean().clamp_min(0.05))


def one_loss(out, target):
    """Terms of one prediction, each a mean. Points and vertices are compared relative to the wrist, in metres."""
    root = out["keypoints"][:, :1]
    # the chord, not its square: a hand that is taken for its mirror image must not drown the others
    rot = ((out["rotmats"] - target["rotmats"]).square().sum((-1, -2)) + 1e-4).sqrt()  # (B, 16)
    seen = HIDDEN + (1 - HIDDEN) * target["visible"]
    flat = project(out["keypoints"], out["cam"], 256)
    terms = dict(
        orient=rot[:, 0],
        pose=rot[:, 1:].mean(1),
        betas=(out["betas"] - target["betas"]).square().mean(1),
        points3d=(out["keypoints"] - root - target["points"]).abs().sum(-1).mean(1),
        verts=(out["verts"] - root - target["verts"]).abs().sum(-1).mean(1),
        points2d=((flat - target["keypoints2d"]).abs().sum(-1) * seen).mean(1),
    )
    return {k: (v * target["weight"]).mean() for k, v in terms.items()}


CROWD = 0.3  # weight of what the patches' mean says of the hand
WHERE, VOTE = 0.5, 0.5  # weights of the patches' own answers, when the network has begun to see
NEAR = 64.0  # pixels from which on a keypoint is no longer asked of a patch


def patch_centres(device):
    """(192, 2) pixels of the 192 x 256 crop."""
    r, c = torch.meshgrid(torch.arange(ROWS, device=device), torch.arange(COLS, device=device), indexing="ij")
    return torch.stack([c, r], -1).reshape(-1, 2) * 16.0 + 6.0


def pixels_of(points):
    """keypoints2d (..., 2) as pixels of the network's 192 x 256 crop. No constant comes from the host: this is captured."""
    return torch.stack([points[..., 0] * 256 + 96, points[..., 1] * 256 + 128], -1)


def vote_loss(vote, target):
    """How far off each patch places the keypoints near it: 1 is a patch's width across the picture, 4 cm in depth."""
    away = pixels_of(target["keypoints2d"])[:, None] - patch_centres(vote.device)[None, :, None]  # (B, 192, 21, 2)
    depth = target["points"][:, None, :, 2:].expand(-1, away.shape[1], -1, -1)
    off = (vote.reshape(*away.shape[:3], 3) - torch.cat([away / 16, depth / 0.04], -1)).abs().sum(-1)
    weight = torch.exp(-away.square().sum(-1) / (2 * NEAR**2)) * (HIDDEN + (1 - HIDDEN) * target["visible"])[:, None] * target["weight"][:, None, None]
    return (off * weight).sum() / weight.sum().clamp_min(1)


def where_loss(logits, target):
    """Cross entropy of the patch that holds a keypoint, over keypoints inside of the network's 192 columns. The patch of row r
    begins at pixel 16 r - 2."""
    c, r = ((pixels_of(target["keypoints2d"]) + 2) / 16).floor().long().unbind(-1)
    inside = (c >= 0) & (c < COLS) & (r >= 0) & (r < ROWS)
    index = (r * COLS + c).clamp(0, ROWS * COLS - 1)
    loss = F.cross_entropy(logits.reshape(-1, ROWS * COLS, logits.shape[-1]), index, reduction="none")
    weight = inside * (HIDDEN + (1 - HIDDEN) * target["visible"]) * target["weight"][:, None]
    return (loss * weight).sum() / weight.sum().clamp_min(1)


def pose_loss(first, final, target, seeing=1.0):
    """Total, and a dict of detached terms for the log. seeing: a number, or a tensor that changes, by which the whole hand's terms
    are multiplied and by which those of the patches are divided: small at first, while the patches learn to see."""
    a, b = one_loss(first, target), one_loss(final, target)
    total = seeing * sum(WEIGHTS[k] * (0.3 * a[k] + b[k]) for k in WEIGHTS)
    log = {k: v.detach() for k, v in b.items()}
    if final.get("where") is not None:
        where, vote = where_loss(final["where"], target), vote_loss(final["vote"], target)
        total = total + (WHERE * where + VOTE * vote) / seeing
        log["where"], log["vote"] = where.detach(), vote.detach()
    if final.get("crowd") is not None:
        crowd = one_loss(final["crowd"], target)
        total = total + CROWD * seeing * sum(WEIGHTS[k] * crowd[k] for k in WEIGHTS)
        log["crowd_orient"], log["crowd_points3d"] = crowd["orient"].detach(), crowd["points3d"].detach()
    log["first_points3d"] = a["points3d"].detach()
    log["beyond"] = final["beyond"].detach().float()
    return total, log


SIDE = 0.5  # weight of the side head's loss


def pair_loss(right, mirrored):
    """(B) of the side head's logits of crops and of their mirror images: pairs told apart, and each on its side of 0."""
    return F.softplus(mirrored - right) + 0.3 * (F.softplus(-right) + F.softplus(mirrored))


def side_loss(right, mirrored, weight):
    """The weighted mean of pair_loss, and the share of pairs that are not told apart."""
    return SIDE * (pair_loss(right, mirrored) * weight).mean(), ((mirrored >= right).float() * weight).mean().detach()


def similarity(a, b):
    """a (B, N, 3) moved onto b by the best rotation, scale and translation."""
    ma, mb = a.mean(1, keepdim=True), b.mean(1, keepdim=True)
    x, y = a - ma, b - mb
    u, s, vh = torch.linalg.svd(x.transpose(1, 2) @ y)
    d = torch.det(u @ vh).sign()
    fix = torch.stack([torch.ones_like(d), torch.ones_like(d), d], 1)
    turn = (u * fix[:, None]) @ vh
    scale = (s * fix).sum(1) / x.square().sum((1, 2)).clamp_min(1e-12)
    return scale[:, None, None] * (x @ turn) + mb


def pose_measures(out, target):
    """Per-sample measures: millimetres, degrees, pixels of the 256 crop."""
    p, q = _relative(out["keypoints"]), target["points"]
    flat = project(out["keypoints"], out["cam"], 256)
    pixels = 256 * (flat - target["keypoints2d"]).norm(dim=-1)
    seen = target["visible"] > 0.5
    turn = out["rotmats"][:, 0].transpose(1, 2) @ target["rotmats"][:, 0]
    angle = torch.rad2deg(torch.acos(((turn.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1)))
    return dict(
        mpjpe=1000 * (p - q).norm(dim=-1).mean(1),
        pa_mpjpe=1000 * (similarity(p, q) - q).norm(dim=-1).mean(1),
        orient_deg=angle,
        px=(pixels * seen).sum(1) / seen.sum(1).clamp_min(1),
        pck05=((pixels < 0.05 * 256) & seen).sum(1) / seen.sum(1).clamp_min(1),
        pck02=((pixels < 0.02 * 256) & seen).sum(1) / seen.sum(1).clamp_min(1),
    )
