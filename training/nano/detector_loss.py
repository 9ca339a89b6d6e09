"""Losses and measures of the detector: task-aligned assignment (TOOD), complete IoU, distribution focal loss, keypoint similarity.

Written from the papers' formulas. Shapes are static and nothing waits for the GPU: positives are the M x TOP candidates of the
assignment, each with a weight that may be zero.
"""
import math

import torch
import torch.nn.functional as F

from .detector_model import BINS, CLASSES, POINTS, anchors, decode, decode_boxes, decode_points

TOP, ALPHA, BETA = 10, 0.5, 6.0
GAINS = dict(box=7.5, cls=1.0, dfl=1.5, points=4.0, seen=0.5)
SIGMA = 1.0 / POINTS  # one for all points


def overlap(a, b, complete=False):
    """IoU of xyxy boxes (..., 4), broadcast; complete: minus the penalties of centre distance and aspect ratio."""
    eps = 1e-7
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a.unbind(-1), b.unbind(-1)
    inter = (torch.minimum(ax1, bx1) - torch.maximum(ax0, bx0)).clamp_min(0) * (torch.minimum(ay1, by1) - torch.maximum(ay0, by0)).clamp_min(0)
    aw, ah, bw, bh = ax1 - ax0, ay1 - ay0 + eps, bx1 - bx0, by1 - by0 + eps
    iou = inter / (aw * ah + bw * bh - inter + eps)
    if not complete:
        return iou
    wide, high = torch.maximum(ax1, bx1) - torch.minimum(ax0, bx0), torch.maximum(ay1, by1) - torch.minimum(ay0, by0)
    apart = ((ax0 + ax1 - bx0 - bx1).square() + (ay0 + ay1 - by0 - by1).square()) / 4
    v = (4 / math.pi**2) * (torch.atan(bw / bh) - torch.atan(aw / ah)).square()
    with torch.no_grad():
        alpha = v / (v - iou + 1 + eps)
    return iou - apart / (wide.square() + high.square() + eps) - alpha * v


@torch.no_grad()
def assign(scores, boxes, centres, gt, cls, valid):
    """Which anchors learn which hand. scores (B, A, 2) in 0..1, boxes and gt (B, ., 4) pixels, centres (A, 2) pixels.
    -> index (B, M, TOP) of candidate anchors, weight (B, M, TOP): the soft class target there, 0 for those not chosen."""
    b, m = cls.shape
    low, high = centres - gt[..., None, :2], gt[..., None, 2:] - centres  # (B, M, A, 2)
    inside = (torch.cat([low, high], -1).amin(-1) > 1e-6) & valid[..., None]
    iou = overlap(gt[:, :, None], boxes[:, None], complete=True).clamp_min(0) * inside
    prob = scores.transpose(1, 2).gather(1, cls.clamp(0, CLASSES - 1)[..., None].expand(-1, -1, scores.shape[1]))
    align = prob.pow(ALPHA) * iou.pow(BETA)
    best, index = (align + 1e-12 * inside).topk(TOP, -1)
    chosen = torch.zeros_like(inside).scatter_(2, index, best > 0) & inside
    owner = torch.where(chosen, iou, -1.0).argmax(1)  # (B, A): of the hands that want an anchor, the one that it fits best
    mine = owner[:, None].expand(-1, m, -1).gather(2, index) == torch.arange(m, device=gt.device)[:, None]
    mine = mine & chosen.gather(2, index)
    at, fit = align.gather(2, index) * mine, iou.gather(2, index) * mine
    return index, mine, at * fit.amax(-1, keepdim=True) / at.amax(-1, keepdim=True).clamp_min(1e-9)


def focal_bins(bins, side):
    """Cross entropy of the two bins next to the wanted distance. bins (..., 4, 16), side (..., 4) in cells -> (...)."""
    side = side.clamp(0, BINS - 1.01)
    low = side.floor()
    logp = bins.log_softmax(-1)
    take = lambda i: logp.gather(-1, i.long()[..., None])[..., 0]
    return -(take(low) * (low + 1 - side) + take(low + 1) * (side - low)).mean(-1)


def detector_loss(out, batch):
    """Total, and detached terms for the log. batch: see DetectScenes."""
    bins, logits, raw = out
    height, width = batch["image"].shape[1:3]
    centres, strides = anchors(height, width, bins.device)
    pixels = centres * strides
    gt, cls, valid = batch["boxes"].float(), batch["cls"].long(), batch["valid"] & ~batch["ignore"]
    boxes = decode_boxes(bins.detach(), centres) * strides
    index, mine, weight = assign(logits.detach().sigmoid(), boxes, pixels, gt, cls, valid)
    b, m, k = index.shape
    flat = index.reshape(b, m * k)
    total = weight.sum().clamp_min(1)

    # class: everywhere but inside of hands that count as neither hand nor background
    goal = torch.zeros_like(logits)
    hot = weight[..., None] * (cls[..., None] == torch.arange(CLASSES, device=cls.device))[:, :, None]
    goal.scatter_add_(1, flat[..., None].expand(-1, -1, CLASSES), hot.reshape(b, m * k, CLASSES).to(goal.dtype))
    low, high = pixels - gt[..., None, :2], gt[..., None, 2:] - pixels
    vague = (torch.cat([low, high], -1).amin(-1) > 0) & batch["ignore"][..., None]
    counted = (~vague.any(1)) | (goal.amax(-1) > 0)
    cls_loss = (F.binary_cross_entropy_with_logits(logits, goal, reduction="none") * counted[..., None]).sum() / total

    # boxes, in cells of each anchor's level
    pick = lambda t: t.gather(1, flat[..., None].expand(-1, -1, t.shape[-1]))
    c, s = centres[flat], strides[flat]
    w = weight.reshape(b, m * k)
    want = gt[:, :, None].expand(-1, -1, k, -1).reshape(b, m * k, 4) / s
    mybins = pick(bins)
    fit = overlap(decode_boxes(mybins, c), want, complete=True)
    box_loss = ((1 - fit) * w).sum() / total
    sides = torch.cat([c - want[..., :2], want[..., 2:] - c], -1)
    dfl_loss = (focal_bins(mybins.reshape(b, m * k, 4, BINS), sides) * w).sum() / total

    # keypoints: 1 - similarity, by the box's area
    kpts = batch["kpts"].float()[:, :, None].expand(-1, -1, k, -1, -1).reshape(b, m * k, POINTS, 3)
    mine = mine.reshape(b, m * k, 1).float()
    mypoints = decode_points(pick(raw), c)
    area = ((want[..., 2] - want[..., 0]) * (want[..., 3] - want[..., 1])).clamp_min(1e-6)[..., None]
    apart = (mypoints[..., :2] - kpts[..., :2] / s[..., None]).square().sum(-1) / area
    known = kpts[..., 2] * mine
    similar = torch.exp(-apart / (8 * SIGMA**2))
    far = apart.clamp_min(1e-8).sqrt()  # pulls where the similarity is flat
    point_loss = ((1 - similar + 0.2 * far.clamp_max(4)) * known).sum() / known.sum().clamp_min(1)
    seen = F.binary_cross_entropy_with_logits(mypoints[..., 2], kpts[..., 2], reduction="none")
    seen_loss = (seen * mine).sum() / (mine.sum() * POINTS).clamp_min(1)

    terms = dict(box=box_loss, cls=cls_loss, dfl=dfl_loss, points=point_loss, seen=seen_loss)
    loss = sum(GAINS[name] * t for name, t in terms.items())
    return loss, {name: t.detach() for name, t in terms.items()} | dict(positives=mine.sum() / b)


def suppress(boxes, scores, classes, limit):
    """Indices kept by greedy suppression, best first, class by class. numpy-sized inputs on the CPU."""
    order, kept = scores.argsort(descending=True, stable=True).tolist(), []
    fit = overlap(boxes[:, None], boxes[None])
    for i in order:
        if all(classes[i] != classes[j] or fit[i, j] <= limit for j in kept):
            kept.append(i)
    return kept


class DetectorScore:
    """Recall, precision, average precision at IoU 0.5 (a hand's side counts), sides and keypoint errors over pictures."""

    def __init__(self, conf=0.3, limit=0.7, floor=0.02):
        self.conf, self.limit, self.floor = conf, limit, floor
        self.rows, self.hands, self.found, self.side_right, self.false, self.errors = [], 0, 0, 0, 0, []

    def add(self, out, batch):
        boxes, scores, points = (t.cpu() for t in decode(out, *batch["image"].shape[1:3]))
        small = {k: v.cpu() for k, v in batch.items() if k != "image"}
        for i in range(len(boxes)):
            self.one(boxes[i], scores[i], points[i], {k: v[i] for k, v in small.items()})

    def one(self, boxes, scores, points, truth):
        score, cls = scores.max(-1)
        best = score.topk(min(100, len(score))).indices
        best = best[score[best] > self.floor]
        kept = best[suppress(boxes[best], score[best], cls[best], self.limit)]
        gt, side = truth["boxes"][truth["valid"] & ~truth["ignore"]], truth["cls"][truth["valid"] & ~truth["ignore"]]
        kpts = truth["kpts"][truth["valid"] & ~truth["ignore"]]
        vague = truth["boxes"][truth["ignore"]]
        self.hands += len(gt)
        taken = [False] * len(gt)
        for i in kept.tolist():
            fit = overlap(boxes[i], gt) if len(gt) else torch.zeros(0)
            j = max((k for k in range(len(gt)) if not taken[k] and cls[i] == side[k]), key=lambda k: fit[k], default=-1)
            hit = j >= 0 and bool(fit[j] > 0.5)
            if not hit and len(vague) and overlap(boxes[i], vague).max() > 0.3:
                continue  # on a hand that counts as neither
            if hit:
                taken[j] = True
                if score[i] > self.conf:
                    known = kpts[j, :, 2] > 0
                    scale = (gt[j, 2:] - gt[j, :2]).max()
                    if known.any():
                        self.errors.append(((points[i, :, :2] - kpts[j, :, :2]).norm(dim=-1)[known].mean() / scale).item())
            self.rows.append((score[i].item(), hit))
        sure = [i for i in kept.tolist() if score[i] > self.conf]
        for k in range(len(gt)):
            fits = [(overlap(boxes[i], gt[k]).item(), score[i].item(), int(cls[i])) for i in sure]
            near = [f for f in fits if f[0] > 0.5]
            if near:
                self.found += 1
                self.side_right += max(near, key=lambda f: f[1])[2] == int(side[k])
        for i in sure:
            near = [overlap(boxes[i], g).max().item() for g in (gt, vague) if len(g)]
            self.false += not near or max(near) < 0.3

    def result(self):
        self.rows.sort(key=lambda r: -r[0])
        hits, ap, best, curve = 0, 0.0, 0.0, []
        for n, (_, hit) in enumerate(self.rows, 1):
            hits += hit
            curve.append((hits / max(1, self.hands), hits / n))
        last = 0.0
        for k in range(len(curve) - 1, -1, -1):
            best = max(best, curve[k][1])
            curve[k] = (curve[k][0], best)
        for recall, precision in curve:
            ap += (recall - last) * precision
            last = recall
        sure = sum(s > self.conf for s, _ in self.rows)
        right = sum(h for s, h in self.rows if s > self.conf)
        err = sorted(self.errors)
        return dict(
            ap50=ap, recall=self.found / max(1, self.hands), precision=right / max(1, sure), side=self.side_right / max(1, self.found),
            false_positives=self.false, hands=self.hands, kpt_err=sum(err) / max(1, len(err)),
        )  # fmt: skip
