#!/usr/bin/env python3
"""Contact sheets of nano/poses.py, one PNG per kind: every hand from the back and from the palm (and from the thumb's side).

usage: show_poses.py OUT_DIR [--kinds relaxed fist ...] [--rows 6] [--columns 8] [--seed 1] [--variants]
A small software renderer: points spread over the triangles, sorted by depth, shaded by smooth normals; the held object is drawn as
points of its surface. numpy and torch only. --variants: one sheet per row of the table of variants instead.
"""
import argparse
import os
import struct
import sys
import zlib

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "nano"))
import poses  # noqa: E402

# rows: picture's right, down, toward the viewer, in the hand's axes (fingers up, back +y, thumb +z)
VIEWS = {"back": ((0, 0, -1), (1, 0, 0), (0, 1, 0)), "palm": ((0, 0, 1), (1, 0, 0), (0, -1, 0)),
         "side": ((0, -1, 0), (1, 0, 0), (0, 0, 1))}
SPAN = 0.25  # metres across a cell


def write_png(path, image):
    h, w, _ = image.shape
    raw = np.concatenate([np.zeros((h, 1), np.uint8), image.reshape(h, w * 3)], 1).tobytes()
    chunk = lambda tag, data: struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw, 6)) + chunk(b"IEND", b""))


def barycentric(k):
    return np.array([(i, j, k - 1 - i - j) for i in range(k) for j in range(k - i)], np.float32) / (k - 1)


def object_points(obj, i, rng, count=30000):
    """Points and normals of a rounded box, in the hand's frame from the wrist."""
    half, r = obj["half"][i].numpy(), float(obj["round"][i])
    area = (half + r).prod() / (half + r)
    face = rng.choice(3, count, p=area / area.sum())
    x = rng.uniform(-1, 1, (count, 3)) * (half + r)
    x[np.arange(count), face] = np.sign(rng.uniform(-1, 1, count)) * (half + r)[face]
    core = np.clip(x, -half, half)
    n = x - core
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)
    turn = obj["turn"][i].numpy()
    return (core + r * n) @ turn.T + obj["centre"][i].numpy(), n @ turn.T


def splat(points, normals, colours, view, size):
    """Nearest point wins. -> (size, size, 3) uint8"""
    m = np.array(VIEWS[view], np.float32)
    x, n = points @ m.T, normals @ m.T
    scale = size / SPAN
    col = np.round(x[:, 0] * scale + size / 2).astype(int)
    row = np.round(x[:, 1] * scale + size * 0.86).astype(int)
    ok = (col >= 0) & (col < size) & (row >= 0) & (row < size)
    order = np.argsort(x[ok, 2])
    light = np.clip(n @ np.array([0.35, -0.45, 0.82]), 0, 1) * 0.75 + 0.22
    image = np.full((size, size, 3), 245, np.uint8)
    image[row[ok][order], col[ok][order]] = (colours * light[:, None])[ok][order]
    return image


def draw_hand(verts, faces, bary, wrist, obj, i, view, size, rng):
    v = verts - wrist
    fn = np.cross(v[faces[:, 1]] - v[faces[:, 0]], v[faces[:, 2]] - v[faces[:, 0]])
    n = np.zeros_like(v)
    for k in range(3):
        np.add.at(n, faces[:, k], fn)
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)
    pts, nrm = (np.einsum("bk,fkc->fbc", bary, x[faces]).reshape(-1, 3) for x in (v, n))
    col = np.full_like(pts, (225, 170, 140))
    if obj["has"][i] > 0.5:
        op, on = object_points(obj, i, rng)
        col = np.concatenate([col, np.full_like(op, (90, 140, 210))])
        pts, nrm = np.concatenate([pts, op]), np.concatenate([nrm, on])
    return splat(pts.astype(np.float32), nrm.astype(np.float32), col, view, size)


def sheet(sampler, hands, views, columns, size):
    n = hands["betas"].shape[0]
    eye = torch.eye(3).expand(n, 1, 3, 3)
    verts, joints, _ = sampler.hand(torch.cat([eye, hands["rotmats15"]], 1), hands["betas"])
    verts, joints, faces = verts.numpy(), joints.numpy(), sampler.hand.faces.numpy()
    rng, bary, out = np.random.default_rng(0), barycentric(8 + size // 12), []
    for i in range(n):
        out.append(np.concatenate([draw_hand(verts[i], faces, bary, joints[i, 0], hands["object"], i, v, size, rng) for v in views], 1))
    while len(out) % columns:
        out.append(np.full_like(out[0], 245))
    return np.concatenate([np.concatenate(out[r:r + columns], 1) for r in range(0, len(out), columns)])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("--kinds", nargs="*", default=list(poses.KINDS))
    ap.add_argument("--rows", type=int, default=6)
    ap.add_argument("--columns", type=int, default=8)
    ap.add_argument("--size", type=int, default=110)
    ap.add_argument("--views", nargs="*", default=["back", "palm"])
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--variants", action="store_true")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    s = poses.PoseSampler()
    gen = torch.Generator().manual_seed(a.seed)
    n = a.rows * a.columns
    for k, name in enumerate(poses.KINDS):
        if name not in a.kinds:
            continue
        weights = torch.zeros(len(poses.KINDS))
        weights[k] = 1
        hands = s.sample(n, gen, weights)
        if a.variants:  # the hands in the order of the table's rows
            order = hands["variant"].argsort(stable=True)
            hands = {x: ({y: z[order] for y, z in t.items()} if x == "object" else t[order]) for x, t in hands.items()}
        path = os.path.join(a.out, name.replace(" ", "_") + ".png")
        write_png(path, sheet(s, hands, a.views, a.columns, a.size))
        print(path, "worst crossing mm %.1f" % (hands["worst"].max() * 1000), "" if not a.variants else hands["variant"].tolist())


if __name__ == "__main__":
    main()
