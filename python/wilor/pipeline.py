"""HandPosePipeline: a picture in, all hands out, with the calls of wilor_mlx.HandPosePipeline 0.3.1."""

from __future__ import annotations

import ctypes as c
import functools
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from . import _abi, _hands, _library, _native, _picture, _results, _weights
from ._hands import HandPose, Hands
from .detector import HandDetector, detect_options, dtype_beside
from .detector import run as run_detector
from .errors import ArgumentError
from .model import WiLoR

Path = str | os.PathLike[str]
Side = str | int
""""left", "right", or upstream's is_right."""
Sides = Side | Sequence[Side] | np.ndarray
F = TypeVar("F", bound=Callable[..., Any])
# A wilor_box.
_BOX = struct.Struct("@4dfi")


def inspected(**annotations: str) -> Callable[[F], F]:
    """For inspect the types that wilor-mlx writes at these parameters; type checkers see ours, which take and
    give more."""

    def note(function: F) -> F:
        function.__annotations__.update(annotations)
        return function

    return note


def side_number(side: Side) -> int:
    """ "left", "right", or upstream's is_right: 0, 1, False, True."""
    if side in ("left", "right"):
        return int(side == "right")
    if side in (0, 1):
        return int(side)
    raise ArgumentError(f"side {side!r}: wanted 'left', 'right', 0 (left) or 1 (right)")


def make_boxes(boxes: npt.ArrayLike, sides: Sides) -> c.Array[_abi.Box]:
    try:
        rows = boxes.tolist() if isinstance(boxes, np.ndarray) else boxes
        return _pack_boxes(rows, sides)  # type: ignore[arg-type]
    except (TypeError, struct.error):  # whatever else NumPy makes an array of, or says is none
        return _pack_boxes(_box_rows(boxes), sides)


def _box_rows(boxes: npt.ArrayLike) -> list[list[float]]:
    rows = np.asarray(boxes, np.float64)
    if rows.size == 0:
        return []
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ArgumentError(f"boxes: {rows.shape}; wanted (n, 4): x0, y0, x1, y1")
    listed: list[list[float]] = rows.tolist()
    return listed


def _pack_boxes(rows: Sequence[Sequence[float]], sides: Sides) -> c.Array[_abi.Box]:
    single = isinstance(sides, (str, int)) or not hasattr(sides, "__len__")
    each = cast("Sequence[Side]", [sides] * len(rows) if single else sides)
    if len(each) != len(rows):
        raise ArgumentError(f"{len(rows)} boxes, but {len(each)} sides")
    packed = [_BOX.pack(*row, 1.0, side_number(side)) for row, side in zip(rows, each)]
    return (_abi.Box * len(rows)).from_buffer_copy(b"".join(packed))


@functools.lru_cache(maxsize=16)
def _plain_options(
    rescale: float, warp: str, mirrored: bool, focal: float, palm: float
) -> _abi.PredictOptions:
    """Made once for the same numbers; the library only reads it."""
    o = _abi.PredictOptions()
    _library.load().wilor_predict_options_init(c.byref(o), c.sizeof(o))
    o.rescale, o.warp, o.mirrored = rescale, _native.choice("warp", warp, _abi.WARPS), mirrored
    o.focal, o.palm = focal, palm
    return o


def predict_options(
    rescale: float = 0.0,
    warp: str = "cv5",
    mirrored: bool = False,
    intrinsics: npt.ArrayLike | None = None,
    distortion: npt.ArrayLike | None = None,
    focal: float = 0.0,
    palm: float = 0.0,
    betas: npt.ArrayLike | None = None,
) -> _abi.PredictOptions:
    """What wilor_predict_options says, from Python's types."""
    if intrinsics is None and distortion is None and betas is None:
        return _plain_options(rescale, warp, mirrored, focal, palm)
    o = _abi.PredictOptions.from_buffer_copy(_plain_options(rescale, warp, mirrored, focal, palm))
    if intrinsics is not None:
        k = np.asarray(intrinsics, np.float64)
        if k.shape == (3, 3):
            k = k[[0, 1, 0, 1], [0, 1, 2, 2]]
        if k.shape != (4,):
            raise ArgumentError(f"intrinsics: {k.shape}; wanted fx, fy, cx, cy or a 3 × 3 matrix")
        o.has_intrinsics = 1
        o.intrinsics[:] = k.tolist()
    if distortion is not None:
        d = np.zeros(5)
        given = np.ravel(np.asarray(distortion, np.float64))
        if intrinsics is None or given.size not in (4, 5):
            raise ArgumentError("distortion: wanted k1, k2, p1, p2 and perhaps k3, with intrinsics")
        d[: given.size] = given
        o.distortion[:] = d.tolist()
    if betas is not None:
        b = np.asarray(betas, np.float32)
        if b.shape != (10,):
            raise ArgumentError(f"betas: {b.shape}; wanted (10,)")
        # ctypes keeps what a pointer field of o refers to alive with o.
        o.betas = c.cast((c.c_float * 10)(*b.tolist()), c.POINTER(c.c_float))
    return o


class HandPosePipeline:
    """Detector and hand model. Any number of threads may call one object at the same time.

    pipeline = HandPosePipeline.from_pretrained()
    hands = pipeline(image)  # (H, W, 3) uint8 RGB, or a path
    """

    @inspected(detector="HandDetector")
    def __init__(
        self,
        detector: HandDetector | None,
        pose_model: WiLoR,
        *,
        compat: str | None = None,
        threads: int | None = None,
        batch: int = 0,
        max_hands: int = 0,
    ):
        """detector may be None when every call brings boxes. compat, threads: None for the model's. batch:
        hands computed together (0: 2). max_hands: most in a picture (0: 64)."""
        self.detector = detector
        self.pose_model = pose_model
        model = pose_model._loaded()
        finder = detector._loaded() if detector is not None else None
        options: dict[str, Any] = dict(
            compat=pose_model._compat if compat is None else _native.choice("compat", compat, _abi.COMPAT),
            threads=pose_model._threads if threads is None else threads,
            batch=batch,
            max_hands=max_hands,
        )
        self._store = _native.Store(lambda: _native.Pipeline(finder, model, **options))

    @staticmethod
    def from_pretrained(
        *,
        weights_path: Path | None = None,
        mano_path: Path | None = None,
        detector_path: Path | None = None,
        device: object = None,
        dtype: str = "f32",
        threads: int = 0,
        compat: str = "mini",
        packed: Path | None = None,
        batch: int = 0,
        max_hands: int = 0,
        heads: int = 0,
    ) -> HandPosePipeline:
        """Detector and model as HandDetector.from_pretrained and WiLoR.from_pretrained find them. The
        detector computes in float32 whatever dtype is, but for "auto" and "bf16" on processors with AMX, and
        for these and "f16" on cards."""
        shared: dict[str, Any] = dict(device=device, threads=threads, compat=compat)
        pose_model = WiLoR.from_pretrained(
            weights_path, mano_path, dtype=dtype, packed=packed, heads=heads, **shared
        )
        beside = _weights.detector_for(pose_model._file, detector_path)
        detector = HandDetector.from_pretrained(beside, dtype=dtype_beside(dtype), **shared)
        return HandPosePipeline(detector, pose_model, batch=batch, max_hands=max_hands)

    @inspected(image="np.ndarray", **{"return": "list[HandPose]"})
    def __call__(
        self,
        image: _picture.Image,
        *,
        conf_threshold: float = 0.3,
        iou_threshold: float = 0.5,
        include_3d: bool = True,
        include_vertices: bool = False,
        boxes: npt.ArrayLike | None = None,
        sides: Sides = "right",
        imgsz: int = 0,
        max_hands: int = 0,
        rescale: float = 0.0,
        warp: str = "cv5",
        mirrored: bool = False,
        intrinsics: npt.ArrayLike | None = None,
        distortion: npt.ArrayLike | None = None,
        focal: float = 0.0,
        palm: float = 0.0,
        betas: npt.ArrayLike | None = None,
    ) -> Hands:
        """All hands of a picture, the surest first.

        image: (H, W, 3) uint8 RGB, (H, W, 4), (H, W), a PIL image, or a path; arrays are not copied
        boxes, sides: (n, 4) boxes of your own, and "left" or "right" for each (or for all): the detector
            is not asked then, and the hands come in the boxes' order
        intrinsics: fx, fy, cx, cy or a 3 × 3 matrix; distortion: k1, k2, p1, p2[, k3]
        the rest: wilor_detect_options and wilor_predict_options of wilor.h; 0 means their defaults
        """
        array = _picture.as_array(image)
        options = predict_options(rescale, warp, mirrored, intrinsics, distortion, focal, palm, betas)
        detect = detect_options(conf_threshold, iou_threshold, imgsz, max_hands)
        given = None if boxes is None else make_boxes(boxes, sides)
        with self._store.pipeline() as pipeline:
            if given is None and not (include_3d or include_vertices):
                arrays, hands = None, self._only_detect(pipeline, array, detect)
            else:
                arrays = self._run(pipeline, array, given, detect, options)
                hands = _hands.build(arrays, self.pose_model._side_faces, include_3d, include_vertices)
        source = image if isinstance(image, (np.ndarray, str, os.PathLike)) else array
        return Hands(hands, arrays, (array.shape[1], array.shape[0]), source)

    def batch(self, images: Iterable[_picture.Image], **options: Any) -> list[Hands]:
        """The hands of each picture. Options as for one picture."""
        return [self(image, **options) for image in images]

    def _only_detect(
        self, pipeline: _native.Pipeline, array: np.ndarray, o: _abi.DetectOptions
    ) -> list[HandPose]:
        found = run_detector(pipeline, [array], o)[0]
        return [
            HandPose("right" if side else "left", score, box, points)
            for side, score, box, points in zip(
                found.sides.tolist(),
                found.scores.tolist(),
                found.boxes.tolist(),
                found.keypoints[:, :, :2].tolist(),
            )
        ]

    def _run(
        self,
        pipeline: _native.Pipeline,
        array: np.ndarray,
        boxes: c.Array[_abi.Box] | None,
        detect: _abi.DetectOptions,
        options: _abi.PredictOptions,
    ) -> _results.HandArrays:
        lib = _library.load()
        picture, keep = _picture.view(array)
        rest = (c.byref(options), *pipeline.answer)
        if boxes is None:
            status = lib.wilor_pipeline_run(pipeline.value, c.byref(picture), None, 0, c.byref(detect), *rest)
        else:
            status = lib.wilor_predict_boxes(pipeline.session, c.byref(picture), boxes, len(boxes), *rest)
        del keep
        return pipeline.take(status)


__all__ = ["HandPose", "HandPosePipeline", "Hands"]
