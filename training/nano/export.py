"""A run's state -> the two files that the library reads: `python -m nano.export --state DIR --out DIR` in training/.

nano.safetensors: the checkpoint's names, with the hand. hand-detector-nano.safetensors: wilor-mlx's names and O kH kW I order.
Matrices and convolutions are float16, everything small float32. What is written is the moving average of the weights.
"""
import argparse
import hashlib
import json
import math
import os

import numpy as np
import torch

from .detector_model import Conv, NanoDetector
from .hand import Hand, default_npz
from .pose_model import TRAINING_ONLY, NanoWiLoR, Scaled, folded_state
from .state import load_state, load_weights, read_safetensors, write_safetensors

LICENCE = "CC0-1.0"
HALF_MANO = ("posedirs",)  # pose correctives: at most 20 mm, so half precision is good for 10 micrometres


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def half(name, t):
    """float16 for matrices and convolutions. A value beyond its range is an error, not an infinity."""
    if t.dim() < 2 or "init_" in name:
        return t.float()
    if t.abs().max() > 65000:
        raise ValueError(f"{name}: {t.abs().max():g} does not fit into float16")
    return t.half()


def mano_tensors(npz):
    """mano.* of a hand's file, under the checkpoint's names."""
    with np.load(npz) as f:
        d = {k: f[k] for k in f.files}
    names = ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights")
    out = {f"mano.{k}": torch.from_numpy(np.ascontiguousarray(d[k], np.float16 if k in HALF_MANO else np.float32)) for k in names}
    parents = d["parents"].astype(np.int32)
    parents[0] = -1
    whole = dict(parents=parents, faces_tensor=d["faces"], extra_joints_idxs=d["extra_joints_idxs"], joint_map=d["joint_map"])
    return out | {f"mano.{k}": torch.from_numpy(np.ascontiguousarray(v, np.int32)) for k, v in whole.items()}


def export_pose(model, path, npz, metadata, weights=None):
    """Writes a NanoWiLoR; weights: other values than the model's own, by parameter name."""
    tensors = {k: half(k, v) for k, v in folded_state(model, weights).items()} | mano_tensors(npz)
    meta = {
        "format": "pt", "heads": model.config["heads"], "wilor.model": "nano", "wilor.rescale": "1.75", "license": LICENCE,
        "wilor.hand_sha256": sha256(npz),
    }  # fmt: skip
    return write_safetensors(path, tensors, meta | metadata)


def exported_pose(path, model):
    """(parameters, running statistics) by the model's names from a file of export_pose, or of `wilor convert --dtype int8`, to train on
    from. What only training has (the patches' tasks) stays as the model has it."""
    tensors, _ = read_safetensors(path)
    scales = {f"{name}.{part}": m.scale.cpu() for name, m in model.named_modules() if isinstance(m, Scaled) for part in ("weight", "bias")}
    found = {}
    for name, own in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        t = tensors.get(name)
        if t is None and not name.startswith((*TRAINING_ONLY, "side_head.")):
            raise ValueError(f"{path}: no {name}")
        t = own.detach().cpu().clone() if t is None else t.float()
        if t.shape != own.shape:
            raise ValueError(f"{path}: {name} is {tuple(t.shape)}, not {tuple(own.shape)}")
        if name.endswith(".weight") and name[:-6] + "scales" in tensors:
            t = t * tensors[name[:-6] + "scales"][:, None]
        if name in scales and name in tensors:
            t = t / scales[name].reshape(-1, *[1] * (t.dim() - 1))
        found[name] = t
    parameters = {n for n, _ in model.named_parameters()}
    return {k: v for k, v in found.items() if k in parameters}, {k: v for k, v in found.items() if ".running_" in k}


def detector_name(name):
    """model.4.m.0.cv1.conv.weight -> b4.m.0.cv1.conv.weight; h for the layers after the backbone, pose for the head."""
    _, layer, tail = name.split(".", 2)
    where = "pose" if layer == "22" else ("b" if int(layer) < 10 else "h") + layer
    return f"{where}.{tail}"


def detector_tensors(model, weights=None):
    """float32 state without counters, the filler channels of the running statistics cut off."""
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")} | (weights or {})
    state = {k: v.detach().float().cpu() for k, v in state.items()}
    for name, m in model.named_modules():
        if isinstance(m, Conv) and m.pad_out:
            for k in ("running_mean", "running_var"):
                state[f"{name}.bn.{k}"] = state[f"{name}.bn.{k}"][: -m.pad_out]
    return state


def exported_detector(path, model):
    """(parameters, running statistics) by the model's names from a file of export_detector, to train on from; filler channels'
    statistics stay as the model has them."""
    tensors, _ = read_safetensors(path)
    found = {}
    for name, own in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        t = tensors.get(detector_name(name))
        if t is None:
            raise ValueError(f"{path}: no {detector_name(name)}")
        t = t.permute(0, 3, 1, 2) if t.dim() == 4 else t
        whole = own.detach().float().cpu().clone()
        if t.shape[1:] != whole.shape[1:] or t.shape[0] > whole.shape[0]:
            raise ValueError(f"{path}: {detector_name(name)} is {tuple(t.shape)}, not {tuple(whole.shape)}")
        whole[: t.shape[0]] = t.float()
        found[name] = whole
    parameters = {n for n, _ in model.named_parameters()}
    return {k: v for k, v in found.items() if k in parameters}, {k: v for k, v in found.items() if k not in parameters}


def load_exported(path, model, read=exported_detector):
    """The file's numbers become the model's; what the file says of itself. read: exported_detector, or exported_pose."""
    parameters, statistics = read(path, model)
    model.load_state_dict(model.state_dict() | parameters | statistics)
    return read_safetensors(path)[1]


def weights_to_begin(path, task, read):
    """(parameters, running statistics) for a task: of an exported network, by `read`, or of a file of save_weights."""
    _, meta = read_safetensors(path)
    return read(path, task.model) if "wilor.model" in meta else load_weights(path, task.name, task.config)


def raise_scores(tensors, sure):
    """What the network scores `sure` scores 0.3 from now on, the threshold of every program and library that nobody tells
    another: the logits of both sides move, their order stays."""
    by = math.log(0.3 / 0.7) - math.log(sure / (1 - sure))
    for level in range(3):
        name = f"model.22.cv3.{level}.2.bias"
        tensors[name] = tensors[name] + by


def export_detector(model, path, metadata, imgsz, weights=None, sure=0.3):
    tensors = {}
    state = detector_tensors(model, weights)
    raise_scores(state, sure)
    for name, t in state.items():
        t = t.permute(0, 2, 3, 1).contiguous() if t.dim() == 4 else t
        tensors[detector_name(name)] = half(name, t)
    meta = {"imgsz": imgsz, "agnostic_nms": "true", "names": json.dumps({"0": "left", "1": "right"}), "wilor.model": "nano", "license": LICENCE}
    if sure != 0.3:
        meta["wilor.sure"] = f"{sure:g}"
    return write_safetensors(path, tensors, meta | metadata)


def trained(folder, name, make, averaged=True):
    """A model with a state's configuration, its (averaged) weights and the run's metadata; (None, None, None) without state."""
    parts, meta = load_state(folder, name)
    if not parts:
        return None, None, None
    model = make(json.loads(meta["config"]))
    weights = dict(parts["ema" if averaged else "weights"], **parts.get("ema_buffers" if averaged else "buffers", {}))
    known = dict(model.state_dict())
    if weights.keys() - known.keys():
        raise ValueError(f"{folder}: {name} has tensors that the network lacks: {sorted(weights.keys() - known.keys())[:3]}")
    model.load_state_dict(known | weights)
    run = {"wilor.run": meta["run_id"], "wilor.samples": meta["samples"], "wilor.trained_seconds": f"{float(meta['seconds']):.0f}"}
    return model.eval(), weights, run


def mean_with(model, run, path):
    """The model becomes the mean of itself and of an exported detector that it was trained on from; the run names both. Weights
    between those of two runs serve both runs' pictures (Wortsman et al. 2022, arXiv 2203.05482)."""
    _, meta = read_safetensors(path)
    parameters, statistics = exported_detector(path, model)
    other = parameters | statistics
    state = model.state_dict()
    model.load_state_dict(state | {k: 0.5 * (state[k] + v) for k, v in other.items()})
    return run | {"wilor.run": f"mean of {run['wilor.run']} and {meta['wilor.run']}"}


def main():
    p = argparse.ArgumentParser(prog="export")
    p.add_argument("--state", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--hand", default=None)
    p.add_argument("--imgsz", default="320", help="the detector's recommended input size")
    p.add_argument("--sure", type=float, default=0.3, help="the detector's score above which hands are kept; it scores 0.3 in the file")
    p.add_argument("--beside", help="an exported detector whose mean with the state's is written")
    p.add_argument("--raw", action="store_true", help="the last weights instead of their moving average")
    args = p.parse_args()
    npz = args.hand or default_npz()
    os.makedirs(args.out, exist_ok=True)
    made = []
    model, _, run = trained(args.state, "pose", lambda c: NanoWiLoR(Hand(npz), **c), not args.raw)
    if model:
        made.append(os.path.join(args.out, "nano.safetensors"))
        export_pose(model, made[-1], npz, run)
    model, _, run = trained(args.state, "detector", lambda c: NanoDetector(**c), not args.raw)
    if model:
        if args.beside:
            run = mean_with(model, run, args.beside)
        made.append(os.path.join(args.out, "hand-detector-nano.safetensors"))
        export_detector(model, made[-1], run, args.imgsz, sure=args.sure)
    if not made:
        raise SystemExit(f"{args.state} holds no state")
    total = 0
    for path in made:
        size = os.path.getsize(path)
        total += size
        print(f"{size:9} bytes  sha256 {sha256(path)}  {path}")
    print(f"{total:9} bytes together")


if __name__ == "__main__":
    main()
