"""Held-out rendered hands, by difficulty and by skin tone: `python -m nano.evaluate --state DIR --out FILE.json`, of the networks
whose state is there, or of exported ones.

Pose: PA-MPJPE, PA-MPVPE (millimetres, after the best similarity), F@5 and F@15 (vertices within so many millimetres of the
truth's after alignment, harmonic mean of precision and recall), PCK of the 2D keypoints against the hand's box. Detector: AP at
IoU 0.5, recall, precision, side. The seeds are none that training uses.
"""
import argparse
import json

import torch

from . import detector_loss, pose_loss
from .detector_model import NanoDetector
from .export import exported_pose, load_exported, sha256
from .hand import Hand
from .pose_model import NanoWiLoR
from .scene import TONES, DetectScenes, PoseScenes
from .state import load_state, read_safetensors

MODES = ("alone", "beside another hand", "holding a forearm", "held by a hand", "holding and held")
SETS = ("no hand", "any", "own hands from above", "people facing", "holding each other", "arms from below, facing")
POSE_SEED, DETECT_SEED = 555_001, 555_002


def averaged(model, state, name):
    """The moving averages of a training state in `model`, and the state's metadata."""
    parts, meta = load_state(state, name)
    if parts is None:
        raise SystemExit(f"{state}: no state of {name}")
    values = {**parts["ema"], **parts.get("ema_buffers", {})}
    missing, unknown = model.load_state_dict(values, strict=False)
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if unknown or any(k in dict(model.named_parameters()) for k in missing):
        raise SystemExit(f"{state}: {name} is of another network: {missing[:3]} {unknown[:3]}")
    return model.eval(), meta


def f_score(a, b, limit):
    """Harmonic mean of the shares of a's and of b's points (B,V,3) that have one of the other within `limit`."""
    d = torch.cdist(a, b)
    p, r = (d.amin(2) < limit).float().mean(1), (d.amin(1) < limit).float().mean(1)
    return 2 * p * r / (p + r).clamp_min(1e-6)


def pose_of(args, hand, device):
    """The network of --pose or of the state, what it says of itself, and its configuration."""
    config = dict(dim=192, depth=6, heads=3, mlp_ratio=4)
    if args.pose:
        if "side_head.weight" in read_safetensors(args.pose)[0]:
            config["side"] = True
        model = NanoWiLoR(hand, **config)
        load_exported(args.pose, model, exported_pose)
        return model.to(device).eval(), dict(file=sha256(args.pose)), config
    _, meta = load_state(args.state, "pose")
    config = json.loads(meta["config"]) if "config" in meta else config
    return *averaged(NanoWiLoR(hand, **config).to(device), args.state, "pose"), config


@torch.no_grad()
def pose_columns(model, hand, scenes, rounds):
    """What is measured of each of the hands in so many batches."""
    columns = {}
    for _ in range(rounds):
        batch = scenes.next(with_extra=True)
        target = pose_loss.prepare_target(hand, batch)
        _, out = model(batch["image"])
        m = pose_loss.pose_measures(out, target)
        verts, truth = out["verts"] - out["keypoints"][:, :1], target["verts"]
        moved = pose_loss.similarity(verts, truth)
        m["pa_mpvpe"] = 1000 * (moved - truth).norm(dim=-1).mean(1)
        m["f5"], m["f15"] = f_score(moved, truth, 0.005), f_score(moved, truth, 0.015)
        flat, want = 256 * pose_loss.project(out["keypoints"], out["cam"], 256), 256 * target["keypoints2d"]
        side = (want.amax(1) - want.amin(1)).amax(1)[:, None]
        seen = target["visible"] > 0.5
        off = (flat - want).norm(dim=-1)
        for name, part in (("pck_box_10", 0.1), ("pck_box_20", 0.2)):
            m[name] = ((off < part * side) & seen).sum(1) / seen.sum(1).clamp_min(1)
        if model.side_head is not None:
            m["side"] = (out["side"] > model.mirrored_side(batch["image"])).float()
        m.update(mode=batch["mode"], tone=batch["tone"], shown=seen.float().mean(1))
        for k, v in m.items():
            columns.setdefault(k, []).append(v.float().cpu())
    return {k: torch.cat(v) for k, v in columns.items()}


def pose_row(name, columns, mask):
    """Means over those hands in `mask` of which a quarter of the points is seen."""
    mask = mask & (columns["shown"] >= 0.25)
    return dict(set=name, hands=int(mask.sum()), **{k: round(float(v[mask].mean()), 4) for k, v in columns.items() if k not in ("mode", "tone", "shown")})


def pose_rows(args, device):
    hand = Hand(args.hand, device)
    model, meta, config = pose_of(args, hand, device)
    scenes = PoseScenes(args.batch, device, POSE_SEED, hand=hand)
    rounds = max(1, args.samples // args.batch)
    whole = pose_columns(model, hand, scenes, rounds)
    scenes.cut = 1.0
    border = pose_columns(model, hand, scenes, max(1, rounds // 4))
    row = lambda name, mask: pose_row(name, whole, mask)
    rows = [row("all", whole["shown"] >= 0)]
    rows += [row(name, whole["mode"] == i) for i, name in enumerate(MODES)]
    rows += [row("at least 18 of 21 points shown", whole["shown"] > 0.85), row("fewer shown", whole["shown"] <= 0.85)]
    rows += [pose_row("6 to 50 % beyond the picture's border", border, border["shown"] >= 0)]
    tones = [row(f"tone {i + 1} of 5 (1 light, 5 dark)", (whole["tone"] * 5).floor().clamp(0, 4) == i) for i in range(5)]
    return dict(rows=rows, tones=tones, state={k: v for k, v in meta.items() if k != "config"}, config=config)


def detector_of(args, device):
    """The network of --detector or of the state, what it says of itself, and its configuration."""
    if args.detector:
        model = NanoDetector()
        load_exported(args.detector, model)
        return model.to(device).eval(), dict(file=sha256(args.detector)), model.config
    _, meta = load_state(args.state, "detector")
    config = json.loads(meta["config"]) if "config" in meta else {}
    return *averaged(NanoDetector(**config).to(device), args.state, "detector"), config


@torch.no_grad()
def detector_rows(args, device):
    model, meta, config = detector_of(args, device)
    batch_size = min(args.batch, 64)
    scenes = DetectScenes(batch_size, args.size, device, DETECT_SEED)
    total, sets = detector_loss.DetectorScore(), [detector_loss.DetectorScore() for _ in SETS]
    tones = [[0, 0] for _ in range(5)]
    for _ in range(max(1, args.pictures // batch_size)):
        batch = scenes.next(with_extra=True)
        mode, tone = batch.pop("mode"), batch.pop("tone")
        batch.pop("fraction", None)
        out = model(batch["image"])
        total.add(out, batch)
        pick = lambda x, i: {k: pick(v, i) for k, v in x.items()} if isinstance(x, dict) else [pick(v, i) for v in x] if isinstance(x, (list, tuple)) else x[i]
        for k in range(len(SETS)):
            index = (mode == k).nonzero()[:, 0]
            if len(index):
                sets[k].add(pick(out, index), pick(batch, index))
        boxes, scores, _ = detector_loss.decode(out, *batch["image"].shape[1:3])
        for i in range(len(boxes)):
            sure = boxes[i][scores[i].amax(1) > 0.3]
            for j in (batch["valid"][i] & ~batch["ignore"][i]).nonzero()[:, 0].tolist():
                band = min(4, int(tone[i, j] * 5))
                tones[band][0] += bool(len(sure)) and bool(detector_loss.overlap(sure, batch["boxes"][i, j]).max() > 0.5)
                tones[band][1] += 1
    rows = [dict(set="all", **total.result())] + [dict(set=n, **s.result()) for n, s in zip(SETS, sets)]
    return dict(rows=rows, tones=[dict(set=f"tone {i + 1} of 5", hands=n, recall=round(f / max(1, n), 4)) for i, (f, n) in enumerate(tones)],
                state={k: v for k, v in meta.items() if k != "config"}, config=config)


def main():
    p = argparse.ArgumentParser(prog="evaluate")
    p.add_argument("--state", help="a run's state, or")
    p.add_argument("--detector", help="an exported detector of the shipped size")
    p.add_argument("--pose", help="an exported pose network of the shipped size")
    p.add_argument("--out", required=True)
    p.add_argument("--hand")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--batch", type=int, default=256)
    p.add_argument("--samples", type=int, default=16384, help="rendered hands for the pose network")
    p.add_argument("--pictures", type=int, default=2048, help="rendered pictures for the detector")
    p.add_argument("--size", type=int, default=320)
    args = p.parse_args()
    torch.manual_seed(1)
    parts = dict(pose=pose_rows, detector=detector_rows)
    if not (args.state or args.detector or args.pose):
        p.error("--state, --detector or --pose is needed")
    given = [name for name in parts if getattr(args, name)]
    there = given or [name for name in parts if load_state(args.state, name)[0] is not None]
    if not there:
        raise SystemExit(f"{args.state} holds no state")
    result = dict({name: parts[name](args, args.device) for name in there}, tones=len(TONES))
    with open(args.out, "w") as f:
        json.dump(result, f, indent=1)
    for part in there:
        for r in result[part]["rows"] + result[part]["tones"]:
            print(part, json.dumps(r))


if __name__ == "__main__":
    main()
