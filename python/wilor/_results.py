"""From the library's result, which lives until the session's next call, to arrays that stay: one buffer a
result, filled by one call; everything else is a view of it."""

from __future__ import annotations

import ctypes as c
import functools
import math
import struct
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

    def __init__(self, layout: Layout, buffer: np.ndarray, n: int):
        self._layout = layout
        self.buffer = buffer
        self.n = n

    def __getattr__(self, name: str) -> np.ndarray:
        # Called for what is not there yet.
        piece = self.__dict__.get("_layout", {}).get(name)
        if piece is None:
            raise AttributeError(f"HandArrays has no {name!r}")
        view: np.ndarray = np.ndarray(piece.shape, piece.dtype, self.buffer, piece.offset)
        self.__dict__[name] = view
        return view

    def plain(self) -> tuple[list[float], list[int]]:
        """What every hand is made with, in two calls of NumPy instead of five: the numbers of score and box
        (n hands of each); side, failed and detected."""
        floats, flags = self._layout["score"].offset, self._layout["side"].offset
        numbers = self.buffer[floats : floats + 20 * self.n].view(np.float32)
        return numbers.tolist(), self.buffer[flags : flags + 3 * self.n].tolist()

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
    # These two in this order: plain() reads them as one.
    ("score", (), _F),
    ("box", (4,), _F),
    ("keypoints_3d", (21, 3), _F),
    ("keypoints_2d", (21, 2), _F),
    ("detected_keypoints", (21, 3), _F),
    ("crop", (3,), _F),
    ("pred_cam", (3,), _F),
    ("cam_t", (3,), _F),
    ("focal", (2,), _F),
    ("principal", (2,), _F),
    ("distortion", (5,), _F),
    ("global_orient", (3,), _F),
    ("hand_pose", (15, 3), _F),
    ("betas", (10,), _F),
    ("rotation", (16, 3, 3), _F),
    ("vertices_3d", (-1, 3), _F),
    # And these three.
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


_FIELDS = _abi.Hands
_STAGES, _MORE = _FIELDS.stage_ms.offset, _FIELDS.distortion.offset
_DETECT_MS = _FIELDS.detect_ms.offset
_four, _one = struct.Struct("@4d"), struct.Struct("@d")


class Source(NamedTuple):
    """Where a result lay: a session's lie at the same places each time."""

    layout: Layout
    views: list[np.ndarray]
    n: int
    mirrored: bool


Sources = dict[tuple[bytes, bytes, tuple[int | None, ...]], Source]
"""By all that wilor_hands says but for times."""


def _view(address: int | None, size: int) -> np.ndarray:
    """The library's memory; zeros for an array that it does not give."""
    if not address:
        return np.zeros(size, np.uint8)
    return np.frombuffer(memoryview((c.c_ubyte * size).from_address(address)), np.uint8)


def _tracked(tracks: _abi.Tracks | None) -> tuple[int | None, ...]:
    return () if tracks is None else tuple(getattr(tracks, name) for name, *_ in _TRACKED)


def _find(hands: _abi.Hands, tracks: _abi.Tracks | None) -> Source:
    layout, _ = _plan(hands.n, hands.vertices, tracks is not None)
    views = [
        _view(getattr(tracks if piece.tracked else hands, name), piece.size) for name, piece in layout.items()
    ]
    return Source(layout, views, hands.n, bool(hands.mirrored))


def take(hands: _abi.Hands, known: Sources, tracks: _abi.Tracks | None = None) -> HandArrays:
    """A copy of what the library owns. known: kept from call to call by who asks; a view in it is used only
    when a result says the same places again."""
    said = bytes(hands)
    places = (said[:_STAGES], said[_MORE:_DETECT_MS], _tracked(tracks))
    source = known.get(places)
    if source is None:
        if len(known) > 64:
            known.clear()
        source = known[places] = _find(hands, tracks)
    out = HandArrays(source.layout, np.concatenate(source.views), source.n)
    out.mirrored = source.mirrored
    out.stage_ms = _four.unpack_from(said, _STAGES)
    (out.detect_ms,) = _one.unpack_from(said, _DETECT_MS)
    return out
