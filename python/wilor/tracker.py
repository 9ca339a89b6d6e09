"""Hands followed from picture to picture: Tracker, and live(), which brings the pictures, too."""

from __future__ import annotations

import ctypes as c
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _abi, _hands, _library, _native, _picture, _results
from ._hands import Hands
from .detector import detect_options
from .errors import FileAccessError, check
from .pipeline import HandPosePipeline, predict_options


@dataclass
class Tracks:
    """What a tracker says of a picture."""

    hands: Hands
    """The hands, the longest known first, with id, state, age, velocity and spin."""
    lost: list[int]
    """Ids that ended with this picture."""
    detected: bool
    """Whether the detector ran."""


class Tracker:
    """The hands of one stream. One call at a time; the rules are those of docs/live.md.

    tracker = Tracker(pipeline)
    for seconds, image in stream:
        for hand in tracker(image, seconds).hands:
            print(hand.id, hand.velocity)
    """

    def __init__(
        self,
        pipeline: HandPosePipeline,
        *,
        max_hands: int = 0,
        detect_every: int = 0,
        smooth: float = 0.5,
        hold: float = 0.0,
        lost_after: float = 0.0,
    ):
        """smooth: 0 (as they are) … 1; hold, lost_after: seconds; 0 means the defaults of
        wilor_tracker_options: 16 hands, every 5th picture, 0.2 s."""
        lib = _library.load()
        self._pipeline = pipeline
        o, out, error = _abi.TrackerOptions(), c.c_void_p(), _abi.Error()
        lib.wilor_tracker_options_init(c.byref(o), c.sizeof(o))
        o.max_hands, o.detect_every = max_hands, detect_every
        o.smooth, o.hold, o.lost_after = smooth, hold, lost_after
        model = pipeline.pose_model._loaded()
        check(lib.wilor_tracker_create(c.byref(out), model.value, c.byref(o), c.byref(error)), error)
        self._handle = _native.Handle(out, lib.wilor_tracker_free, model)
        self._sources: _results.Sources = {}

    def __call__(
        self,
        image: _picture.Image,
        seconds: float,
        *,
        conf_threshold: float = 0.3,
        iou_threshold: float = 0.0,
        imgsz: int = 0,
        include_vertices: bool = False,
        **options: Any,
    ) -> Tracks:
        """image: as HandPosePipeline takes it; seconds: when it was taken, on any clock, later than the one
        before; options: its rescale, warp, mirrored, intrinsics, distortion, focal, palm, betas."""
        lib, out, error = _library.load(), c.POINTER(_abi.Tracks)(), _abi.Error()
        array = _picture.as_array(image)
        picture, keep = _picture.view(array)
        detect = detect_options(conf_threshold, iou_threshold, imgsz, 0)
        predict = predict_options(**options)
        with self._pipeline._store.pipeline() as pipeline:
            status = lib.wilor_tracker_run(
                self._handle.value,
                pipeline.value,
                c.byref(picture),
                round(seconds * 1e9),
                c.byref(detect),
                c.byref(predict),
                c.byref(out),
                c.byref(error),
            )
        check(status, error)
        del keep
        tracks = out.contents
        arrays = _results.take(tracks.hands.contents, self._sources, tracks)
        faces = self._pipeline.pose_model._side_faces
        hands = Hands(
            _hands.build(arrays, faces, True, include_vertices),
            arrays,
            (array.shape[1], array.shape[0]),
            image if isinstance(image, np.ndarray) else array,
        )
        lost = (c.c_uint32 * tracks.lost).from_address(tracks.lost_id) if tracks.lost else ()
        return Tracks(hands, list(lost), bool(tracks.detected))

    def reset(self) -> None:
        """Forget all hands; their ids are lost with the next picture."""
        _library.load().wilor_tracker_reset(self._handle.value)


@dataclass
class LiveEvent:
    """A picture of a live source and its hands."""

    index: int
    time: float
    """Seconds, on the source's clock."""
    image: np.ndarray
    """(H, W, 3) RGB."""
    hands: Hands
    lost: list[int]
    detected: bool
    run_ms: float
    """How long this picture's hands took to compute."""


def _capture(source: int | str) -> Iterator[tuple[float, np.ndarray]]:
    """A camera or a video through OpenCV: seconds and RGB (seen backwards, not copied)."""
    cv2 = _picture.optional("cv2")
    if cv2 is None:
        raise ImportError(
            f"source {source!r}: cameras and videos need opencv-python-headless; "
            "frames from elsewhere need nothing: live(iterable of arrays)"
        )
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise FileAccessError(f"{source}: no camera or video that OpenCV opens")
        recorded = isinstance(source, str) and os.path.isfile(source)
        start = time.monotonic()
        while True:
            good, bgr = capture.read()
            now = time.monotonic() - start
            if not good:
                return
            # Of the frame that was read last.
            seconds = capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3 if recorded else now
            yield seconds, bgr[:, :, ::-1]
    finally:
        capture.release()


def _given(frames: Iterable[Any], fps: float) -> Iterator[tuple[float, np.ndarray]]:
    for i, frame in enumerate(frames):
        pair = isinstance(frame, tuple) and len(frame) == 2
        seconds, image = frame if pair else (i / fps, frame)
        yield float(seconds), _picture.as_array(image)


def live(
    source: int | str | os.PathLike[str] | Iterable[Any] = 0,
    *,
    pipeline: HandPosePipeline | None = None,
    fps: float = 30.0,
    max_hands: int = 0,
    detect_every: int = 0,
    smooth: float = 0.5,
    hold: float = 0.0,
    lost_after: float = 0.0,
    **options: Any,
) -> Iterator[LiveEvent]:
    """The hands of a stream, an event a frame:

    for event in wilor.live(0):
        print(event.time, [hand.id for hand in event.hands])

    source: a camera's number, a video file or an address (with OpenCV installed), or an iterable of RGB
        arrays, fps of them a second, or of pairs (seconds, array)
    pipeline: None: HandPosePipeline.from_pretrained(dtype="auto")
    options: as for a Tracker's call; the rest as for Tracker
    """
    if pipeline is None:
        pipeline = HandPosePipeline.from_pretrained(dtype="auto")
    tracker = Tracker(
        pipeline,
        max_hands=max_hands,
        detect_every=detect_every,
        smooth=smooth,
        hold=hold,
        lost_after=lost_after,
    )
    if isinstance(source, (str, os.PathLike)):
        frames = _capture(os.fspath(source))
    else:
        frames = _capture(source) if isinstance(source, int) else _given(source, fps)
    return _events(tracker, frames, options)


def _events(
    tracker: Tracker, frames: Iterator[tuple[float, np.ndarray]], options: dict[str, Any]
) -> Iterator[LiveEvent]:
    last = -np.inf
    for index, (seconds, image) in enumerate(frames):
        # Some containers give two frames one time; the tracker wants it to go on.
        seconds = max(seconds, last + 1e-6)
        last = seconds
        start = time.perf_counter()
        tracks = tracker(image, seconds, **options)
        spent = (time.perf_counter() - start) * 1e3
        yield LiveEvent(index, seconds, image, tracks.hands, tracks.lost, tracks.detected, spent)
