"""Checks of the training code that need no GPU: `python -m nano.check` in training/ (about a minute). Exit status 1 on a failure.

The last two compare with the C program and are run when --wilor names it: they export random networks, let the program load
and run the files, and hold its results against torch's.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import torch
import torch.nn.functional as F

from . import detector_loss, pose_loss, trainer
from .detector_model import NanoDetector, decode
from .evaluate import MODES
from .export import export_detector, export_pose, exported_detector, exported_pose, load_exported
from .fake_scene import DetectScenes, PoseScenes
from .hand import Hand, axis_angle_to_matrix, default_npz, matrix_to_rot6d, rot6d_to_matrix
from .pose_model import TRAINING_ONLY, COLS, LEAD, ROWS, FOCAL, NanoWiLoR, Scaled, spread_pose
from .render import LIGHTING, LIGHTS, MATERIAL
from .scene import Dice
from .state import load_state, save_state
from .train_pose import first_of
from .train_side import fit, measure, seen_by
from .vary import covered, relight
from .widen import widen

failures = []


def check(what, value, limit):
    fine = bool(value <= limit)
    print(f"{'ok    ' if fine else 'NOT ok'} {what}: {float(value):.3g} (at most {limit:g})", flush=True)
    if not fine:
        failures.append(what)


def plain_hand(d, rot, betas):
    """One hand by the specification's text, in float64, joint by joint."""
    shaped = d["v_template"] + d["shapedirs"] @ betas
    joints = d["J_regressor"] @ shaped
    posed = shaped + ((rot[1:] - np.eye(3)).reshape(-1) @ d["posedirs"]).reshape(-1, 3)
    world = [np.eye(4) for _ in range(16)]
    for j in range(16):
        local = np.eye(4)
        p = d["parents"][j] if j else -1
        local[:3, :3], local[:3, 3] = rot[j], joints[j] - (joints[p] if j else 0)
        world[j] = world[p] @ local if j else local
    place = np.stack([w[:3, 3] for w in world])
    verts = np.zeros_like(posed)
    for j in range(16):
        verts += d["lbs_weights"][:, j : j + 1] * ((posed - joints[j]) @ world[j][:3, :3].T + place[j])
    return verts, place, np.concatenate([place, verts[d["extra_joints_idxs"]]])[d["joint_map"]]


def check_hand(npz):
    hand, g = Hand(npz), torch.Generator().manual_seed(5)
    rot, betas = axis_angle_to_matrix(torch.randn(4, 16, 3, generator=g)), torch.randn(4, 10, generator=g)
    got = hand(rot, betas)
    with np.load(npz) as f:
        d = {k: f[k].astype(np.float64) if f[k].dtype.kind == "f" else f[k].astype(int) for k in f.files}
    for i in range(4):
        for name, a, b in zip(("vertices", "joints", "keypoints"), got, plain_hand(d, rot[i].double().numpy(), betas[i].double().numpy())):
            check(f"hand {i} {name}, m", abs(a[i].numpy() - b).max(), 3e-7)
    check("6D of a rotation and back", (rot6d_to_matrix(matrix_to_rot6d(rot)) - rot).abs().max(), 2e-6)
    spread = spread_pose(hand.init_hand_pose).reshape(16, 6)
    same = rot6d_to_matrix(spread) - rot6d_to_matrix(hand.init_hand_pose.reshape(16, 6))
    check("spread initial pose: rotations kept", same.abs().max(), 2e-6)
    check("spread initial pose: nearest tokens apart by, inverse", 1 / (torch.cdist(spread, spread) + 9 * torch.eye(16)).min(), 4)


def plain_refine(model, feat, verts, cam):
    """RefineNet on the whole map, with torch's own layers and grid_sample: what the corner must equal."""
    net, pooled = model.refine_net, []
    f0 = net.deconv.first_conv(feat)
    f1, f2 = net.deconv.deconv[0](f0), net.deconv.deconv[1](f0)
    for fmap in (f2, f1, f0):
        h, w = fmap.shape[2:]
        t = torch.stack([cam[:, 1], cam[:, 2], 2 * FOCAL / (h * cam[:, 0] + 1e-9)], -1)
        q = verts + t[:, None]
        xy = FOCAL / h * q[..., :2] / q[..., 2:]
        grid = 2 * xy / torch.tensor([w - 1.0, h - 1.0]) - 1
        pooled.append(F.grid_sample(fmap, grid[:, None], align_corners=True)[:, :, 0].amax(-1))
    v = torch.cat(pooled, 1)
    return net.dec_pose(v), net.dec_shape(v), net.dec_cam(v)


def plain_tokens(model, image):
    """The backbone with a real convolution and every row of the last block."""
    b = model.backbone
    x = ((image.float() - b.mean) * b.inv_std).permute(0, 3, 1, 2)
    x = b.patch_embed.proj(x).flatten(2).transpose(1, 2) + b.pos_embed[:, 1:] + b.pos_embed[:, :1]
    x = torch.cat([b.leading().expand(len(x), -1, -1), x], 1)
    for block in b.blocks:
        x = block(x)
    return b.last_norm(x)


def small_pose(npz, seed=0, **config):
    torch.manual_seed(seed)
    return stirred(NanoWiLoR(Hand(npz), **(dict(dim=64, depth=2, heads=2) | config))).eval()


def stirred(model):
    """Random values where an untrained network has zeros and ones, and visible outputs."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))
        for m in model.modules():
            if isinstance(m, Scaled):
                m.weight.normal_(0, 0.02)
        for name, b in model.named_buffers():
            if isinstance(model, NanoDetector) and name.endswith("running_mean"):
                b.normal_(0, 0.1)
    return model


@torch.no_grad()
def check_pose_model(npz):
    model, image = small_pose(npz), PoseScenes(3, "cpu", 3).next()["image"]
    tokens, whole = model.backbone(image)[0], plain_tokens(model, image)
    apart = (tokens - whole[:, model.backbone.wanted]).abs().max() / whole.abs().max()
    check("backbone: wanted rows against the plain network, of the largest number", apart, 1e-5)
    raw = model.backbone.read_out(tokens)
    verts = model.pose(*raw)["verts"]
    feat = whole[:, LEAD:].transpose(1, 2).reshape(3, -1, ROWS, COLS)
    want, got = plain_refine(model, feat, verts, raw[2]), model.refine_net(tokens[:, LEAD:], verts, raw[2])
    for name, a, b in zip(("pose", "shape", "camera"), got, want):
        check(f"RefineNet's corner against the whole map: {name}", (a - b).abs().max(), 2e-5)
    check("vertices beyond the corner", got[3], 0)


@torch.no_grad()
def check_pose_begins(npz):
    """With `mimic` a patch looks at its neighbours from the start, in every block, by all heads but the last."""
    torch.manual_seed(2)
    model, image = NanoWiLoR(Hand(npz), mimic=True).eval(), PoseScenes(4, "cpu", 5).next()["image"]
    row, col = torch.arange(ROWS * COLS) // COLS, torch.arange(ROWS * COLS) % COLS
    near = ((row[:, None] - row).abs() <= 2) & ((col[:, None] - col).abs() <= 2)
    least = 1.0
    for block in model.backbone.blocks[:-1]:
        block.register_forward_pre_hook(lambda m, x: looks.append(m.attn.qkv(m.norm1(x[0]))))
    looks = []
    model.backbone(image)
    for y in looks:
        q, k, _ = y.reshape(len(image), -1, 3, 3, 64).permute(2, 0, 3, 1, 4)
        mass = (q @ k.transpose(-1, -2) / 8).softmax(-1)[:, :2, LEAD:, LEAD:]
        least = min(least, ((mass * near).sum(-1) / mass.sum(-1)).mean().item())
    share = near.float().mean().item()
    print(f"    neighbours are {share:.3f} of the patches and get {least:.3f} of the attention")
    check("share of attention that is not the neighbours'", 1 - least, 1 - 2.5 * share)


def check_pose_learns(npz):
    """A few pictures by heart: the loss falls, and the hands are where they should be."""
    torch.manual_seed(1)
    model = NanoWiLoR(Hand(npz), dim=64, depth=2, heads=2).train()
    batch = PoseScenes(6, "cpu", 1).next()
    target, flat = pose_loss.prepare_target(model.hand[0], batch), trainer.Flat(model, lambda n: False)
    steps = 220
    for i in range(steps):
        first, final = model(batch["image"])
        loss, _ = pose_loss.pose_loss(first, final, target)
        loss.backward()
        flat.step(2e-3 * min(1, (i + 1) / 20, 2 * (1 - i / steps)), 0.9, 0.99, 0.01, 1.0, 0.99)
        begin = loss.item() if i == 0 else begin
    measures = {k: v.mean().item() for k, v in pose_loss.pose_measures(model(batch["image"])[1], target).items()}
    print("   ", {k: round(v, 2) for k, v in measures.items()})
    check("pose: last loss against the first", loss.item() / begin, 0.15)
    check("pose: mean joint error by heart, mm", measures["mpjpe"], 15)
    check("pose: mean pixel error by heart", measures["px"], 6)


def side_margin(model, images):
    """By how much (B) the side head takes the crops rather than their mirror images for right hands."""
    return model(images)[1]["side"] - model.mirrored_side(images)


def check_side(npz):
    """The side head learns pictures and their mirror images by heart, and a file takes it along."""
    torch.manual_seed(1)
    model = small_pose(npz, side=True)
    images = torch.cat([PoseScenes(6, "cpu", seed).next()["image"] for seed in (1, 2)])
    tokens = torch.stack([seen_by(model, images)] * 2, 1)
    weight, bias = fit(tokens, argparse.Namespace(lr=1e-2, decay=0.01, rounds=300))
    found = measure(tokens, torch.arange(12) % len(MODES), weight, bias)
    check("side: pairs and single views that are not told", 2 - found["pairs"] - found["single"], 0)
    with torch.no_grad():
        model.side_head.weight.copy_(weight[None])
        model.side_head.bias.copy_(bias)
        margin = side_margin(model, images)
        check("side: the model's margin against the head's", (margin - (tokens[:, 0, 0] - tokens[:, 0, 1]) @ weight).abs().max() / margin.abs().max(), 1e-3)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pose.safetensors")
            export_pose(model, path, npz, {})
            again = small_pose(npz, seed=3, side=True)
            load_exported(path, again, exported_pose)
            check("side: out of a file", (side_margin(again, images) - margin).abs().max() / margin.abs().max(), 0.02)
            export_pose(small_pose(npz), path, npz, {})
            load_exported(path, again, exported_pose)
            check("side: a file without it leaves the head", (again.side_head.weight - weight[None]).abs().max() / weight.abs().max(), 1e-3)


def check_side_loss():
    """Mirror images beside crops in a step of train_pose: the share that is not told, and who counts."""
    right, mirrored = torch.tensor([9.0, 9.0, -9.0]), torch.tensor([-9.0, 9.0, 9.0])
    loss = lambda i, weight=1.0: pose_loss.side_loss(right[i], mirrored[i], torch.tensor([weight]))
    check("side: loss of a pair that is told", loss([0])[0], 1e-3)
    check("side: pairs that are not told", abs(pose_loss.side_loss(right, mirrored, torch.ones(3))[1] - 2 / 3), 1e-6)
    check("side: a pair the wrong way round costs", 5 - loss([2])[0], 0)
    check("side: of what is hardly seen nothing", loss([2], 0.0)[0], 0)
    out = first_of(dict(a=torch.arange(5), b=dict(c=torch.ones(5, 2)), beyond=torch.tensor(3), where=None), 3)
    check("side: a batch without its mirror images", abs(len(out["a"]) - 3) + abs(len(out["b"]["c"]) - 3) + (out["beyond"] != 3) + (out["where"] is not None), 0)


def check_vary():
    """Other light that changes nothing, black that stays black, and what is covered."""
    torch.manual_seed(6)
    x = torch.randint(1, 256, (8, 3, 256, 192)).float()
    x[0, :, :40] = 0
    one = torch.ones(8, 1, 1, 1)
    light = dict(smooth=x, field=one, light=one, crisp=one, contrast=one, pivot=one, mix=torch.eye(3).expand(8, 3, 3), gamma=one, noise=0 * x)
    check("other light: none", (relight(x, **light) - x).abs().max(), 0.01)
    brighter = relight(x, **{**light, "light": 1.5 * one})
    check("other light: half as bright again", (brighter - (1.5 * x).clamp(max=255)).abs().max(), 0.01)
    check("other light: black stays", relight(x, **{**light, "noise": x + 9})[0, :, :40].abs().max(), 0)
    y, x_at = torch.meshgrid(torch.arange(256.0), torch.arange(192.0), indexing="ij")
    points = torch.stack([x_at, y], -1).reshape(1, -1, 2).expand(8, -1, -1)
    image, seen = covered(x, points, torch.ones(8, points.shape[1]), Dice(torch.Generator().manual_seed(2)))
    own = ((image == x).all(1).flatten(1), (image == x.roll(1, 0)).all(1).flatten(1))
    check("covered: points that are hidden by nothing, or seen behind something", ((seen > 0) & ~own[0]).sum() + ((seen == 0) & ~own[1]).sum(), 0)
    check("covered: nothing is", 1 - (seen == 0).sum().clamp(max=1), 0)
    check("covered: most is", (seen == 0).float().mean(), 0.1)


def check_detector_learns():
    torch.manual_seed(1)
    model, batch = NanoDetector(0.125).train(), DetectScenes(3, 160, "cpu", 1).next()
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 0.2  # few steps: the running statistics must follow
    flat, steps = trainer.Flat(model, lambda n: False, True), 150
    for i in range(steps):
        loss, _ = detector_loss.detector_loss(model(batch["image"]), batch)
        loss.backward()
        flat.step(3e-3 * min(1, (i + 1) / 10, 2 * (1 - i / steps)), 0.9, 0.99, 0.01, 10.0, 0.9)
        begin = loss.item() if i == 0 else begin
    score = detector_loss.DetectorScore()
    with torch.no_grad(), trainer.averaged(flat):
        score.add(model(batch["image"]), batch)
    found = score.result()
    print("   ", {k: round(float(v), 3) for k, v in found.items()})
    check("detector: last loss against the first", loss.item() / begin, 0.3)
    check("detector: average precision by heart, missing part", 1 - found["ap50"], 0.2)
    check("detector: keypoint error by heart, of the hand's side", found["kpt_err"], 0.08)


def check_widen():
    """A widened network gives the narrow one's numbers, and its copies are not the same."""
    torch.manual_seed(4)
    old = NanoDetector(width=0.1)
    with torch.no_grad():
        for m in old.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                for t in (m.weight, m.running_var):
                    t.uniform_(0.5, 1.5)
                for t in (m.bias, m.running_mean):
                    t.uniform_(-0.3, 0.3)
    new = widen(old.eval(), 0.17)
    picture = torch.randint(0, 256, (2, 96, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        for name, a, b in zip(("boxes", "scores", "points"), old(picture), new(picture)):
            check(f"widened detector, {name}", (a - b).abs().max() / a.abs().max(), 1e-4)
    w = new.model["3"].conv.weight.flatten(1)
    alike = (w[:, None] == w[None]).all(2).sum() - len(w)
    check("widened detector, outputs that are the same", alike, 0)


def check_assignment():
    """Two hands that share anchors, one invalid and one vague: who gets what, by a plain loop."""
    torch.manual_seed(3)
    model, batch = NanoDetector(0.125).eval(), DetectScenes(4, 128, "cpu", 4).next()
    batch["boxes"][:, 1] = batch["boxes"][:, 0] + 6.0
    batch["valid"][:, 1], batch["cls"][:, 1] = True, 1 - batch["cls"][:, 0]
    with torch.no_grad():
        out = model(batch["image"])
        out[1].normal_()  # so that the two hands want anchors differently
        boxes, scores, _ = decode(out, 128, 128)
        centres = torch.cat([c * s for c, s in [detector_loss.anchors(128, 128, "cpu")]])
        index, mine, weight = detector_loss.assign(scores, boxes, centres, batch["boxes"], batch["cls"], batch["valid"])
    wrong = 0
    for b in range(4):
        want = {}
        for m in range(8):
            if not batch["valid"][b, m]:
                continue
            gt = batch["boxes"][b, m]
            rows = []
            for a, (x, y) in enumerate(centres.tolist()):
                if min(x - gt[0], y - gt[1], gt[2] - x, gt[3] - y) > 1e-6:
                    iou = max(0.0, detector_loss.overlap(gt, boxes[b, a], complete=True).item())
                    rows.append((scores[b, a, batch["cls"][b, m]].item() ** 0.5 * iou**6, iou, a))
            for align, iou, a in sorted(rows, key=lambda r: -r[0])[:10]:
                if a not in want or iou > want[a][1]:
                    want[a] = (m, iou)
        got = {int(index[b, m, k]): m for m in range(8) for k in range(10) if mine[b, m, k]}
        wrong += sum(want.get(a, (None,))[0] != got.get(a) for a in want.keys() | got.keys())
    check("assignment: anchors that a plain loop gives to another hand", wrong, 0)
    check("assignment: weights beyond 1", weight.max(), 1)


def check_state(npz):
    """A state read back continues the same run within half precision."""
    model = small_pose(npz)
    flat = trainer.Flat(model, lambda n: False)
    for name in flat.spans:
        flat.view(flat.grads, name).normal_()
    flat.step(1e-3, 0.9, 0.99, 0.0, 1.0, 0.99)
    with tempfile.TemporaryDirectory() as folder:
        save_state(folder, "pose", flat.parts(), dict(generation=7))
        other = trainer.Flat(small_pose(npz, seed=9), lambda n: False)
        parts, meta = load_state(folder, "pose")
        other.restore(parts)
    check("state: weights", (other.values - flat.values).abs().max(), 1e-3)
    check("state: moments", (other.first - flat.first).abs().max() / flat.first.abs().max(), 5e-3)
    check("state: second moments", (other.second - flat.second).abs().max() / flat.second.abs().max(), 1e-2)
    check("state: generation", abs(int(meta["generation"]) - 7), 0)
    check_pose_from_file(npz)
    first, second = NanoDetector(0.1875), trainer.Flat(NanoDetector(0.1875), lambda n: False, True)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "detector.safetensors")
        export_detector(first, path, {}, "320")
        second.begin(*exported_detector(path, second.model))
    known = dict(first.named_parameters())
    check("an exported detector to train on from", max((second.view(second.values, n) - known[n]).abs().max() for n in second.spans), 1e-3)
    check_raised(first)


@torch.no_grad()
def check_pose_from_file(npz):
    """What an exported pose network gives to train on from, but for what only training has."""
    first, second = small_pose(npz), trainer.Flat(small_pose(npz, seed=5), lambda n: False)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pose.safetensors")
        export_pose(first, path, npz, {})
        second.begin(*exported_pose(path, second.model))
    known = {k: v for k, v in first.named_parameters() if not k.startswith(TRAINING_ONLY)}
    off = lambda n: ((second.view(second.values, n) - known[n]).abs().max() / known[n].abs().max()).item()
    check("an exported pose network to train on from", max(off(n) for n in known), 1e-3)
    check("the same: the rest stays", max((second.view(second.values, n) - p).abs().max() for n, p in small_pose(npz, seed=5).named_parameters() if n not in known), 0)


def check_raised(model):
    """What scores 0.25 scores 0.3 in a file that says so; nothing else differs, the model least of all."""
    with tempfile.TemporaryDirectory() as folder:
        plain, raised = (os.path.join(folder, n) for n in ("plain.safetensors", "raised.safetensors"))
        for path, sure in ((raised, 0.25), (plain, 0.3)):
            export_detector(model, path, {}, "320", sure=sure)
        plain, raised = (exported_detector(path, model)[0] for path in (plain, raised))
    moved = {n for n in plain if not torch.equal(plain[n], raised[n])}
    check("raised scores: other tensors", len(moved ^ {f"model.22.cv3.{level}.2.bias" for level in range(3)}), 0)
    quarter = torch.tensor(0.25).logit()
    check("raised scores: 0.25", max((torch.sigmoid(quarter + raised[n] - plain[n]) - 0.3).abs().max() for n in moved), 1e-5)


def check_scenes(npz):
    """Rendered pictures and their labels: the hand is where its keypoints are, in views turned by train_pose too, and a box holds
    its hand's pixels. Needs a C++ compiler."""
    from .scene import DetectScenes as Pictures
    from .scene import PoseScenes as Crops
    from .train_pose import PoseTask

    hand = Hand(npz)
    crops = Crops(8, "cpu", 5, backgrounds=torch.full((2, 320, 320, 3), 90, dtype=torch.uint8), hand=hand, samples=1)
    batch = crops.next(with_extra=True)
    turned = PoseTask.vary({k: v for k, v in batch.items() if k in ("image", "rotmats", "betas", "keypoints3d", "keypoints2d", "visible")},
                           torch.Generator().manual_seed(1))
    for name, b in (("scenes", batch), ("scenes: another view", turned)):
        _, _, points = hand(b["rotmats"], b["betas"])
        apart = (points - points[:, :1]) - (b["keypoints3d"] - b["keypoints3d"][:, :1])
        check(f"{name}: keypoints against the hand's, m", apart.abs().max(), 1e-5)
    pixel = ((batch["keypoints2d"] + 0.5) * 256 - torch.tensor([32.0, 0.0])).round().long()
    x, y = pixel[..., 0].clamp(0, 191), pixel[..., 1].clamp(0, 255)
    own = batch["seen"][torch.arange(8)[:, None], y, x]
    shown = (batch["visible"] > 0) & (pixel[..., 0] == x) & (pixel[..., 1] == y)
    off = ((own != 1) & (own != 2) & shown).sum() / shown.sum()
    check("scenes: shown keypoints that lie on no pixel of their hand", off, 0.06)
    check_relief(crops)
    pictures = Pictures(4, 320, "cpu", 6, backgrounds=torch.full((2, 320, 320, 3), 90, dtype=torch.uint8), hand=hand, samples=1)
    batch = pictures.next()
    k = batch["kpts"]
    low, high = batch["boxes"][..., None, :2] - 1, batch["boxes"][..., None, 2:] + 1
    outside = ((k[..., :2] < low) | (k[..., :2] > high)).any(-1) & (k[..., 2] > 0) & batch["valid"][..., None]
    check("scenes: shown keypoints outside of their box", outside.sum() / (k[..., 2] > 0).sum().clamp_min(1), 0.02)


def check_relief(crops):
    """Tendons, veins and folds shade the hand that they are on, on its back, and move nothing."""
    n = crops.HANDS
    turn = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # the back to the viewer
    turns = torch.stack([turn, turn @ torch.diag(torch.tensor([1.0, -1, -1]))])[:, None].expand(2, n, 3, 3)
    at = torch.tensor([0.0, 0, 0.5]).expand(2 * n, 3)
    arm, sleeve = crops.arms(2 * n)
    verts, _ = crops.figures.pose_hands(torch.eye(3).expand(2 * n, 15, 3, 3), torch.zeros(2 * n, 10), turns.reshape(-1, 3, 3), at, torch.zeros(2 * n, dtype=torch.bool), arm, sleeve)
    things = torch.zeros(2, crops.figures.vertices - verts.shape[1] * n, 3)
    position = torch.cat([verts.reshape(2, -1, 3), things], 1)
    m = torch.zeros(2, crops.figures.slot_count, MATERIAL)
    m[:, 0, 0], m[:, 0, 2:8], m[:, 0, 11], m[:, 0, 13], m[:, 0, 21] = 1, 0.5, 30, 20, -1
    l = torch.zeros(2, LIGHTING)
    away = torch.nn.functional.normalize(torch.tensor([0.7, -0.3, -0.7]), dim=0)
    l[:, 0:6], l[:, 8], l[:, 9:12], l[:, 12:15], l[:, 30] = 0.3, -1, away, 1, 1
    draw = lambda m: [t.clone() for t in crops.render.draw(position, m, torch.tensor([[500.0, 96, 128]]).expand(2, 3), l, torch.zeros(2, LIGHTS, 12), 192, 256, 1)]
    plain, (colour, seen, depth) = draw(m), draw(torch.where(torch.isin(torch.arange(MATERIAL), torch.tensor([24, 30])), m[..., :1], m))
    check("relief: what is seen where", (seen != plain[1]).sum() + (depth != plain[2]).sum(), 0)
    off = (colour - plain[0]).abs().amax(-1)
    back, palm = ((off[i] > 0.03).sum() / (seen[i] == 1).sum() for i in (0, 1))
    check("relief: of the back, share that is shaded as before", 1 - back, 0.9)
    check("relief: of the palm, share that is not", palm, 0.05)
    check("relief: beyond the hand", off[seen != 1].max(), 0)


def png(path, rgb):
    """Writes an 8-bit RGB picture without any library."""
    h, w, _ = rgb.shape
    rows = b"".join(b"\0" + rgb[y].tobytes() for y in range(h))
    chunk = lambda tag, data: len(data).to_bytes(4, "big") + tag + data + zlib.crc32(tag + data).to_bytes(4, "big")
    head = w.to_bytes(4, "big") + h.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def half_model(model):
    """The model with the values that the file will hold."""
    with torch.no_grad():
        for m in model.modules():
            if isinstance(m, Scaled):
                m.weight.mul_(m.scale[:, None])
                m.bias.mul_(m.scale)
                m.scale.fill_(1)
        for p in model.parameters():
            if p.dim() > 1:
                p.copy_(p.half().float())
    return model


def run_wilor(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
    return done.stdout


@torch.no_grad()
def check_pose_program(program, npz, dim=192, depth=6, heads=3):
    model = small_pose(npz, dim=dim, depth=depth, heads=heads)
    with tempfile.TemporaryDirectory() as folder:
        weights, crop = os.path.join(folder, "nano.safetensors"), os.path.join(folder, "crop.png")
        export_pose(model, weights, npz, {"wilor.run": "check"})
        rgb = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
        rgb[:, 32:224] = PoseScenes(1, "cpu", 8).next()["image"][0].numpy()
        png(crop, rgb)
        half_model(model)
        posedirs = model.hand[0].posedirs.half().float()
        model.hand[0].blend[:135] = posedirs
        _, final = model(torch.from_numpy(rgb[None, :, 32:224].copy()))
        found = os.path.join(folder, "out.npz")
        run_wilor(program, "predict", crop, "--crops", "--side", "right", "--weights", weights, "--dtype", "f32", "--npz", found)
        compare_hand(np.load(found), final)


def compare_hand(got, final):
    for name, key, limit in (("keypoints, m", "keypoints", 1e-5), ("vertices, m", "verts", 1e-5), ("camera", "cam", 2e-5), ("betas", "betas", 2e-5)):
        mine = {"keypoints": "pred_keypoints_3d", "verts": "pred_vertices", "cam": "pred_cam", "betas": "betas"}[key]
        check(f"program: {name}", abs(got[mine][0] - final[key][0].numpy()).max(), limit)


@torch.no_grad()
def check_detector_program(program, npz):
    """Random weights, scores lifted so that there are detections; a picture that needs no resizing."""
    torch.manual_seed(2)
    model = stirred(NanoDetector()).eval()
    for branch in model.model["22"].cv3:
        branch[-1].bias.copy_(torch.tensor([-0.4, -0.2]))
        branch[-1].weight.mul_(4)
    pose = small_pose(npz)
    image = DetectScenes(1, 320, "cpu", 3).next()["image"][0, :256].contiguous()
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        export_detector(model, at("detector.safetensors"), {"wilor.run": "check"}, 320)
        export_pose(pose, at("nano.safetensors"), npz, {})
        png(at("picture.png"), image.numpy())
        run_wilor(
            program, "predict", at("picture.png"), "--weights", at("nano.safetensors"), "--detector", at("detector.safetensors"), "--conf", "0.3",
            "--imgsz", "320", "--detector-profile", "8.4.190", "--dtype", "f32", "--npz", at("out.npz"), "--max-hands", "300",
        )  # fmt: skip
        got = np.load(at("out.npz"))
    boxes, scores, points = (t[0] for t in decode(half_model(model)(image[None]), 256, 320))
    compare_boxes(got, boxes, scores, points)


def compare_boxes(got, boxes, scores, points):
    """Every row of the program has an anchor with its class, score, box and points; and the best anchor has a row."""
    n = len(got["score"])
    check("program: of 5 detections at least, missing", max(0, 5 - n), 0)
    side = torch.from_numpy(got["is_right"]).long()
    clipped = boxes.clone()
    clipped[:, 0::2], clipped[:, 1::2] = boxes[:, 0::2].clamp(0, 320), boxes[:, 1::2].clamp(0, 256)
    kept = points.clone()
    kept[..., 0], kept[..., 1] = points[..., 0].clamp(0, 320), points[..., 1].clamp(0, 256)
    mine, where = torch.from_numpy(got["bbox"]), []
    for i in range(n):
        where.append(int(((clipped - mine[i]).abs().amax(1) + 1e3 * (scores[:, side[i]] - float(got["score"][i])).abs()).argmin()))
    check("program: boxes, pixels", (clipped[where] - mine).abs().max(), 3e-3)
    check("program: scores", (scores[where, side] - torch.from_numpy(got["score"])).abs().max(), 2e-5)
    check("program: points, pixels", (kept[where] - torch.from_numpy(got["detected_keypoints"])).abs().max(), 1e-2)
    check("program: best score", abs(scores.max().item() - got["score"].max()), 2e-5)


def main():
    p = argparse.ArgumentParser(prog="check")
    p.add_argument("--hand", default=None)
    p.add_argument("--wilor", default="", help="the C program")
    p.add_argument("--only", default="")
    args = p.parse_args()
    npz = args.hand or default_npz()
    torch.set_num_threads(1)
    tests = dict(
        hand=lambda: check_hand(npz), pose=lambda: check_pose_model(npz), assignment=check_assignment, widen=check_widen, state=lambda: check_state(npz), scenes=lambda: check_scenes(npz),
        pose_begins=lambda: check_pose_begins(npz), side=lambda: check_side(npz), side_loss=check_side_loss, vary=check_vary, pose_learns=lambda: check_pose_learns(npz), detector_learns=check_detector_learns,
    )  # fmt: skip
    if args.wilor:
        tests["pose_program"] = lambda: check_pose_program(args.wilor, npz)
        tests["detector_program"] = lambda: check_detector_program(args.wilor, npz)
    for name, test in tests.items():
        if not args.only or name in args.only.split(","):
            print(name, flush=True)
            test()
    print(f"{len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
