"""From the library's result, which lives until the session's next call, to arrays that stay: one buffer a
result, filled by one copy an array; everything else is a view of it."""

from __future__ import annotations

import ctypes as c
import functools
import math
from typing import Any, NamedTuple

import numpy as np

from . import _abi

_F, _B = np.dtype(np.float32), np.dtype(np.uint8)


class HandArrays:
    """All hands of one picture, array by array; names, shapes and units are those of wilor_hands in
    wilor.h (n hands first). float32, but side, failed and detected uint8. Views of `buffer`, made when
    they are asked for."""

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

    def __init__(self, layout: Layout, buffer: np.ndarray):
        self._layout = layout
        self.buffer = buffer

    def __getattr__(self, name: str) -> np.ndarray:
        # Called for what is not there yet.
        piece = self.__dict__.get("_layout", {}).get(name)
        if piece is None:
            raise AttributeError(f"HandArrays has no {name!r}")
        view = np.ndarray(piece.shape, piece.dtype, self.buffer, piece.offset)
        self.__dict__[name] = view
        return view

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in self._layout}


class Piece(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    size: int
    tracked: bool


Layout = dict[str, Piece]

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


@functools.lru_cache(maxsize=64)
def _plan(n: int, vertices: int, tracked: bool) -> tuple[Layout, int]:
    """Where each array lies in the buffer, and the buffer's size."""
    arrays = [(*a, False) for a in _ARRAYS] + [(*a, True) for a in _TRACKED if tracked]
    # The widest elements come first: each piece lies aligned behind the one before.
    arrays.sort(key=lambda a: -a[2].itemsize)
    layout, at = {}, 0
    for name, tail, dtype, of_tracks in arrays:
        shape = (n, *(vertices if k < 0 else k for k in tail))
        size = math.prod(shape) * dtype.itemsize
        layout[name] = Piece(shape, dtype, at, size, of_tracks)
        at += size
    return layout, at


def take(hands: _abi.Hands, tracks: _abi.Tracks | None = None) -> HandArrays:
    """A copy of what the library owns."""
    layout, total = _plan(hands.n, hands.vertices, tracks is not None)
    buffer = np.empty(total, np.uint8)
    base = buffer.ctypes.data
    for name, piece in layout.items():
        address = getattr(tracks if piece.tracked else hands, name)
        if address:
            c.memmove(base + piece.offset, address, piece.size)
        else:
            c.memset(base + piece.offset, 0, piece.size)
    out = HandArrays(layout, buffer)
    out.n = hands.n
    out.mirrored = bool(hands.mirrored)
    out.stage_ms = tuple(hands.stage_ms)
    out.detect_ms = hands.detect_ms
    return out
