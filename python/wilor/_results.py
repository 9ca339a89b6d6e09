"""From the library's result, which lives until the session's next call, to arrays that stay: one buffer a
result, filled by one copy an array; everything else is a view of it."""

from __future__ import annotations

import ctypes as c
import math
from typing import Any

import numpy as np

from . import _abi

_F, _B = np.dtype(np.float32), np.dtype(np.uint8)


class HandArrays:
    """All hands of one picture, array by array; names, shapes and units are those of wilor_hands in
    wilor.h (n hands first). float32, but side, failed and detected uint8. Views of `buffer`."""

    n: int
    buffer: np.ndarray
    side: np.ndarray
    failed: np.ndarray
    score: np.ndarray
    box: np.ndarray
    crop: np.ndarray
    pred_cam: np.ndarray
    cam_t: np.ndarray
    focal: np.ndarray
    principal: np.ndarray
    keypoints_3d: np.ndarray
    keypoints_2d: np.ndarray
    vertices_3d: np.ndarray
    global_orient: np.ndarray
    hand_pose: np.ndarray
    betas: np.ndarray
    rotation: np.ndarray
    distortion: np.ndarray
    detected: np.ndarray
    detected_keypoints: np.ndarray
    mirrored: bool
    stage_ms: tuple[float, float, float, float]
    detect_ms: float
    # Of a tracker only.
    id: np.ndarray
    state: np.ndarray
    age_ns: np.ndarray
    velocity: np.ndarray
    spin: np.ndarray


# -1 stands for the number of vertices.
_ARRAYS: list[tuple[str, tuple[int, ...], np.dtype]] = [
    ("score", (), _F),
    ("box", (4,), _F),
    ("crop", (3,), _F),
    ("pred_cam", (3,), _F),
    ("cam_t", (3,), _F),
    ("focal", (2,), _F),
    ("principal", (2,), _F),
    ("distortion", (5,), _F),
    ("detected_keypoints", (21, 3), _F),
    ("keypoints_3d", (21, 3), _F),
    ("keypoints_2d", (21, 2), _F),
    ("global_orient", (3,), _F),
    ("hand_pose", (15, 3), _F),
    ("betas", (10,), _F),
    ("rotation", (16, 3, 3), _F),
    ("vertices_3d", (-1, 3), _F),
    ("side", (), _B),
    ("failed", (), _B),
    ("detected", (), _B),
]
_TRACKED: list[tuple[str, tuple[int, ...], np.dtype]] = [
    ("age_ns", (), np.dtype(np.int64)),
    ("id", (), np.dtype(np.uint32)),
    ("velocity", (3,), _F),
    ("spin", (3,), _F),
    ("state", (), _B),
]


def _copy(
    out: HandArrays,
    sources: list[tuple[Any, str, tuple[int, ...], np.dtype]],
    n: int,
    vertices: int,
) -> None:
    sources.sort(key=lambda source: -source[3].itemsize)
    shapes = [(n, *(vertices if k < 0 else k for k in tail)) for _, _, tail, _ in sources]
    sizes = [math.prod(s) * d.itemsize for s, (_, _, _, d) in zip(shapes, sources)]
    # The widest elements come first: each piece lies aligned behind the one before.
    buffer = np.empty(sum(sizes), np.uint8)
    base, at = buffer.ctypes.data, 0
    for (struct, name, _, dtype), shape, size in zip(sources, shapes, sizes):
        address = getattr(struct, name)
        if address:
            c.memmove(base + at, address, size)
        else:
            buffer[at : at + size] = 0
        setattr(out, name, buffer[at : at + size].view(dtype).reshape(shape))
        at += size
    out.buffer = buffer


def take(hands: _abi.Hands, tracks: _abi.Tracks | None = None) -> HandArrays:
    """A copy of what the library owns."""
    out = HandArrays()
    sources: list[tuple[Any, str, tuple[int, ...], np.dtype]] = []
    if tracks is not None:
        sources += [(tracks, *a) for a in _TRACKED]
    sources += [(hands, *a) for a in _ARRAYS]
    out.n = hands.n
    _copy(out, sources, hands.n, hands.vertices)
    out.mirrored = bool(hands.mirrored)
    out.stage_ms = tuple(hands.stage_ms)
    out.detect_ms = hands.detect_ms
    return out
