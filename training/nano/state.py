"""Small files of tensors (safetensors format) and the resumable state of a training run."""
import glob
import hashlib
import json
import os
import struct

import numpy as np
import torch

KINDS = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.int8: "I8"}
BACK = {v: k for k, v in KINDS.items()}


def raw_bytes(t):
    return t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def write_safetensors(path, tensors, metadata):
    """Writes under a temporary name, then renames: the file is whole or absent. metadata: strings by string; the data's own
    SHA-256 is added. Data begin at a multiple of 8. Returns the file's size."""
    head, at, parts = {}, 0, []
    for name in sorted(tensors):
        data = raw_bytes(tensors[name])
        head[name] = dict(dtype=KINDS[tensors[name].dtype], shape=list(tensors[name].shape), data_offsets=[at, at + len(data)])
        at += len(data)
        parts.append(data)
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    head = {"__metadata__": {k: str(v) for k, v in metadata.items()} | {"data_sha256": digest}} | head
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temp = f"{path}.{os.getpid()}.part"
    with open(temp, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for data in parts:
            f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temp, path)
    return 8 + len(text) + at


def read_safetensors(path):
    """Tensors and metadata of a file. Anything that does not fit is a ValueError naming the file."""
    with open(path, "rb") as f:
        data = f.read()
    if len(data) < 8 or struct.unpack_from("<Q", data)[0] > len(data) - 8:
        raise ValueError(f"{path}: not a safetensors file")
    size = struct.unpack_from("<Q", data)[0]
    head = json.loads(data[8 : 8 + size])
    meta, out = head.pop("__metadata__", {}), {}
    for name, d in head.items():
        a, b = d["data_offsets"]
        kind = BACK[d["dtype"]]
        count = int(np.prod(d["shape"], dtype=np.int64))
        if not 0 <= a <= b <= len(data) - 8 - size or b - a != count * kind.itemsize:
            raise ValueError(f"{path}: {name} does not fit into the file")
        flat = torch.frombuffer(bytearray(data[8 + size + a : 8 + size + b]), dtype=kind) if count else torch.empty(0, dtype=kind)
        out[name] = flat.reshape(d["shape"])
    return out, meta


# A run's state: values per name, by part. What is written is half precision; each part goes to few files of at most LIMIT bytes.
LIMIT = 16_000_000
PARTS = dict(weights=torch.float16, ema=torch.float16, moment=torch.bfloat16, root_second=torch.bfloat16, buffers=torch.float32, ema_buffers=torch.float32)


def save_state(folder, name, parts, metadata):
    """parts: {part: {tensor name: tensor}} -> <name>-0.safetensors, -1 ... in the folder. Returns the files' sizes.
    Every file carries the metadata, `generation` (samples so far) tells files of two saves apart."""
    os.makedirs(folder, exist_ok=True)
    items = [(f"{part}/{k}", v.detach().to(PARTS[part]).cpu()) for part in PARTS for k, v in parts.get(part, {}).items()]
    files, size = [{}], 0
    for key, value in items:
        cost = value.numel() * value.element_size() + 160
        if files[-1] and size + cost > LIMIT:
            files.append({})
            size = 0
        files[-1][key] = value
        size += cost
    sizes = [write_safetensors(os.path.join(folder, f"{name}-{i}.safetensors"), f, dict(metadata, files=len(files))) for i, f in enumerate(files)]
    for old in glob.glob(os.path.join(folder, f"{name}-*.safetensors")):
        if int(old.rsplit("-", 1)[1].split(".")[0]) >= len(files):
            os.remove(old)
    return sizes


def load_state(folder, name):
    """(parts, metadata) or (None, None) where the folder holds no such state. Files of two saves (the run was stopped between
    two renames) are used together: they are a minute apart; a missing file is an error."""
    found = sorted(glob.glob(os.path.join(folder, f"{name}-*.safetensors")))
    if not found:
        return None, None
    parts, metas = {}, []
    for path in found:
        tensors, meta = read_safetensors(path)
        metas.append(meta)
        for key, value in tensors.items():
            part, tensor = key.split("/", 1)
            parts.setdefault(part, {})[tensor] = value.float()
    meta = max(metas, key=lambda m: float(m["generation"]))
    if len(found) < int(meta["files"]):
        raise ValueError(f"{folder}: {name} has {len(found)} of {meta['files']} files")
    if len({m["generation"] for m in metas}) > 1:
        print(f"{folder}: files of {name} are of different saves; going on", flush=True)
    return parts, meta


def save_weights(folder, name, path):
    """The averaged weights alone of the state in `folder`, half precision, as one file to start another run with."""
    parts, meta = load_state(folder, name)
    if parts is None:
        raise ValueError(f"{folder}: no state of {name}")
    tensors = {f"ema/{k}": v.half() for k, v in parts["ema"].items()}
    tensors.update({f"ema_buffers/{k}": v for k, v in parts.get("ema_buffers", {}).items()})
    return write_safetensors(path, tensors, dict(meta, files=1, network=name))


def load_weights(path, name, config):
    """(parameters, buffers) of a file of save_weights; another network's or size's is a ValueError."""
    tensors, meta = read_safetensors(path)
    if meta.get("network") != name or json.loads(meta.get("config", "{}")) != config:
        raise ValueError(f"{path}: weights of {meta.get('network')} {meta.get('config')}, not {name} {json.dumps(config)}")
    part = lambda p: {k[len(p) + 1 :]: v.float() for k, v in tensors.items() if k.startswith(p + "/")}
    return part("ema"), part("ema_buffers")
