"""Hands drawn over their picture, for notebooks: skeletons by NumPy alone, PNG by zlib. `wilor predict
--overlay` draws shaded meshes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._hands import HandPose
    from ._picture import Image

# Thumb to little finger.
COLOURS = ((255, 120, 60), (255, 205, 60), (90, 220, 100), (70, 170, 255), (190, 110, 255))
BOX = (255, 255, 255)


def _segment(image: np.ndarray, a: np.ndarray, b: np.ndarray, radius: float, colour: tuple[int, ...]) -> None:
    """A thick line with round ends, smooth at its edge: coverage falls over one pixel."""
    height, width = image.shape[:2]
    low = np.floor(np.clip(np.minimum(a, b) - radius - 1, 0, (width, height))).astype(int)
    high = np.ceil(np.clip(np.maximum(a, b) + radius + 2, 0, (width, height))).astype(int)
    if (high <= low).any():
        return
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
    along, at = b - a, np.stack([x, y], -1) - a
    t = np.clip(at @ along / max(float(along @ along), 1e-9), 0, 1)
    distance = np.linalg.norm(at - t[..., None] * along, axis=-1)
    cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None]
    part = image[low[1] : high[1], low[0] : high[0]]
    part[:] = np.rint(part * (1 - cover) + np.array(colour) * cover)


def _box(image: np.ndarray, box: list[float], radius: float) -> None:
    x0, y0, x1, y1 = box
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
    for a, b in zip(corners[:-1], corners[1:]):
        _segment(image, a, b, radius, BOX)


def draw(image: Image, hands: Iterable[HandPose]) -> np.ndarray:
    """A copy of the picture, RGB, with each hand's box and 21 points. Points that are not finite are
    left out."""
    from ._picture import as_array

    array = as_array(image)
    if array.ndim == 2:
        array = np.stack([array] * 3, -1)
    out = np.array(array[:, :, :3], copy=True)
    radius = max(1.0, max(out.shape[:2]) / 400)
    for hand in hands:
        if np.isfinite(hand.bbox).all():
            _box(out, hand.bbox, radius / 2)
        points = np.asarray(
            hand.keypoints_2d if hand.arrays is None else hand.keypoints_2d_projected, np.float64
        )
        if not np.isfinite(points).all():
            continue
        for finger, colour in enumerate(COLOURS):
            chain = points[[0, *range(1 + 4 * finger, 5 + 4 * finger)]]
            for a, b in zip(chain[:-1], chain[1:]):
                _segment(out, a, b, radius, colour)
    return out


def png(image: np.ndarray) -> bytes:
    """An RGB picture as a PNG file."""
    height, width = image.shape[:2]
    rows = np.zeros((height, 1 + width * 3), np.uint8)  # Each row begins with its filter: none.
    rows[:, 1:] = image.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(data, zlib.crc32(kind))
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
        + chunk(b"IEND", b"")
    )
