"""HandDetector: pictures in, boxes of hands out."""

from __future__ import annotations

import ctypes as c
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, overload

import numpy as np

from . import _abi, _library, _native, _picture, _weights
from .errors import ArgumentError, check

Path = str | os.PathLike[str]


@dataclass
class Detections:
    """Hands of a picture, the best first."""

    boxes: np.ndarray
    """(n, 4) float32: x0, y0, x1, y1 in pixels."""
    scores: np.ndarray
    """(n,) float32."""
    sides: np.ndarray
    """(n,) uint8: 1 right, 0 left."""
    keypoints: np.ndarray
    """(n, 21, 3) float32: x, y, visibility."""

    def __len__(self) -> int:
        return len(self.boxes)


@functools.lru_cache(maxsize=16)
def detect_options(conf: float, iou: float, imgsz: int, max_hands: int) -> _abi.DetectOptions:
    """Made once for the same numbers; the library only reads it."""
    o = _abi.DetectOptions()
    _library.load().wilor_detect_options_init(c.byref(o), c.sizeof(o))
    o.conf, o.iou, o.imgsz, o.max_hands = conf, iou, imgsz, max_hands
    return o


def take(d: _abi.Detections) -> Detections:
    """A copy of what the pipeline owns."""
    # A wilor_box is four doubles, a float and an int.
    layout = np.dtype(
        {
            "names": ["box", "score", "side"],
            "formats": ["4f8", "f4", "i4"],
            "offsets": [0, 32, 36],
            "itemsize": c.sizeof(_abi.Box),
        }
    )
    rows = np.frombuffer(c.string_at(d.boxes, d.n * layout.itemsize), layout) if d.n else np.empty(0, layout)
    points = np.empty((d.n, 21, 3), np.float32)
    if d.n:
        c.memmove(points.ctypes.data, d.keypoints, points.nbytes)
    return Detections(
        rows["box"].astype(np.float32), rows["score"].copy(), rows["side"].astype(np.uint8), points
    )


class HandDetector:
    """The detector, YOLOv8-pose of any scale. Shared by any number of threads.

    detector = HandDetector.from_pretrained()
    found = detector.detect(image)  # (H, W, 3) uint8 RGB
    """

    def __init__(self) -> None:
        self._handle: _native.Handle | None = None

    _compat = 0
    _threads = 0
    _store: _native.Store

    @staticmethod
    def from_pretrained(
        weights_path: Path | None = None,
        *,
        device: object = None,
        dtype: str = "f32",
        threads: int = 0,
        compat: str = "mini",
    ) -> HandDetector:
        """weights_path: detector.pt, hand-detector.safetensors, "mini", "mlx", "nano", or None:
        $WILOR_DETECTOR, then the cache and a download; device: as WiLoR.from_pretrained's; dtype: "f32",
        "bf16" or "auto"."""
        path = _weights.find_detector(weights_path, "mlx" if compat == "mlx" else "mini")
        out = HandDetector()
        out._compat = _native.choice("compat", compat, _abi.COMPAT)
        out._threads = threads
        handle = out._handle = _native.open_detector(path, threads, dtype, device)
        options: dict[str, Any] = dict(compat=out._compat, threads=threads)
        out._store = _native.Store(lambda: _native.Pipeline(handle, None, **options))
        return out

    def _loaded(self) -> _native.Handle:
        if self._handle is None:
            raise ArgumentError("HandDetector() has no weights: use HandDetector.from_pretrained")
        return self._handle

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """What the network itself says, before any threshold.

        x: (B, H, W, 3) uint8 RGB, H and W multiples of 32. Returns (B, 69, A) float32: box centre x, y,
        width, height in pixels; scores of a left and a right hand; 21 × x, y, visibility."""
        self._loaded()
        x = np.asarray(x)
        if x.ndim != 4 or x.shape[3] != 3 or x.dtype != np.uint8:
            raise TypeError(f"pictures: {x.dtype} {x.shape}; wanted uint8 (B, H, W, 3)")
        with self._store.pipeline() as pipeline:
            columns = [_raw(pipeline, picture) for picture in x]
        return np.stack(columns) if columns else np.empty((0, 69, 0), np.float32)

    @overload
    def detect(
        self,
        images: _picture.Image,
        *,
        conf_threshold: float = 0.3,
        iou_threshold: float = 0.0,
        imgsz: int = 0,
        max_hands: int = 0,
    ) -> Detections: ...

    @overload
    def detect(
        self,
        images: list[Any] | tuple[Any, ...],
        *,
        conf_threshold: float = 0.3,
        iou_threshold: float = 0.0,
        imgsz: int = 0,
        max_hands: int = 0,
    ) -> list[Detections]: ...

    def detect(
        self,
        images: _picture.Image | Sequence[_picture.Image],
        *,
        conf_threshold: float = 0.3,
        iou_threshold: float = 0.0,
        imgsz: int = 0,
        max_hands: int = 0,
    ) -> Detections | list[Detections]:
        """Detections of a picture, or a list of them for a list of pictures, which are then looked at
        together as ultralytics does. 0 means the defaults of wilor_detect_options."""
        self._loaded()
        single = not isinstance(images, Sequence) or isinstance(images, str)
        given = cast("Sequence[_picture.Image]", [images] if single else images)
        arrays = [_picture.as_array(i) for i in given]
        if not arrays:
            return []
        with self._store.pipeline() as pipeline:
            out = run(
                pipeline,
                arrays,
                detect_options(conf_threshold, iou_threshold, imgsz, max_hands),
            )
        return out[0] if single else out


def dtype_beside(dtype: str) -> str:
    """The detector's arithmetic beside a model of this dtype: float32 is as quick but on AMX and cards."""
    return "auto" if dtype in ("auto", "bf16", "f16") else "f32"


def _raw(pipeline: _native.Pipeline, array: np.ndarray) -> np.ndarray:
    lib, out, n, error = _library.load(), c.POINTER(c.c_float)(), c.c_int(), _abi.Error()
    picture, keep = _picture.view(array)
    status = lib.wilor_detect_raw(pipeline.value, c.byref(picture), c.byref(out), c.byref(n), c.byref(error))
    check(status, error)
    del keep
    return np.ctypeslib.as_array(out, (69, n.value)).copy()


def run(pipeline: _native.Pipeline, arrays: list[np.ndarray], o: _abi.DetectOptions) -> list[Detections]:
    lib, out, error = _library.load(), c.POINTER(_abi.Detections)(), _abi.Error()
    views = [_picture.view(a) for a in arrays]
    pictures = (_abi.Picture * len(views))(*(v[0] for v in views))
    status = lib.wilor_detect(pipeline.value, pictures, len(views), c.byref(o), c.byref(out), c.byref(error))
    check(status, error)
    return [take(out[i]) for i in range(len(views))]
