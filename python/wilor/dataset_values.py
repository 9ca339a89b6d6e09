"""A value of a data engine's column in, its hands as one nested value out: what wilor.daft and wilor.ray
share.

    {"width", "height", "pictures", "hands": [{"frame", "time", "id", "side", "score", "box", ..., "error"}],
    "error"}

A picture is one picture; a video has `pictures` frames, and its hands say which, and by `id` which of them
are the same hand. What cannot be labelled has an error
and no hands: a bad value never costs its batch.
"""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from . import dataset_rows as rows
from .dataset_read import Raw, ReadOptions, boxes_of, is_video, said, value_pictures
from .dataset_work import decoded

MOST_ERRORS = 3
GUESSED_RATE = 25  # frames a second of videos that have no times
_open: dict[str, rows.Label] = {}
_lock = threading.Lock()


Look = Callable[[np.ndarray, Raw], list[rows.Row]]
"""The hands of one picture of a value."""


@runtime_checkable
class Follower(Protocol):
    """A label that can follow the hands of a video: look(picture, seconds)."""

    def follow(self, tracker: dict[str, Any]) -> Callable[[np.ndarray, float], list[rows.Row]]: ...


@dataclass(frozen=True)
class ValueOptions:
    """boxes: whether a column of boxes is given; tracker: wilor.Tracker's options for videos, None: each
    frame for itself; every: take each nth frame; root: what paths are relative to."""

    boxes: bool = False
    tracker: dict[str, Any] | None = None
    every: int = 1
    root: str = ""


def struct_type(include_vertices: bool) -> Any:
    """The pyarrow type of a result."""
    pa = rows.need_pyarrow()
    numbers = pa.list_(pa.float32())
    hand = [
        ("frame", pa.int64()),
        ("time", pa.float64()),
        ("id", pa.int64()),
        ("side", pa.string()),
        ("score", pa.float32()),
    ]
    hand += [(name, numbers) for name in rows.lists(include_vertices)] + [("error", pa.string())]
    return pa.struct(
        [
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("pictures", pa.int64()),
            ("hands", pa.list_(pa.struct(hand))),
            ("error", pa.string()),
        ]
    )


def settle(pipeline: dict[str, Any], factory: str | None, need_detector: bool) -> dict[str, Any]:
    """What a worker anywhere needs to open the pipeline; JSON. Missing weights are found missing here."""
    if factory:
        return {"factory": factory, "pipeline": pipeline}
    from .dataset_model import settle as settle_model

    options, hashes = settle_model(pipeline, need_detector)
    return {"factory": None, "pipeline": options, "hashes": hashes}


def open_label(model: dict[str, Any], call: dict[str, Any], include_vertices: bool) -> rows.Label:
    """label(picture, boxes) -> columns of each hand. One model a process, whoever asks; threads may share
    it."""
    name = json.dumps([model, call, include_vertices], sort_keys=True)
    with _lock:
        if name not in _open:
            _open[name] = make_label(model, call, include_vertices)
        return _open[name]


def make_label(model: dict[str, Any], call: dict[str, Any], include_vertices: bool) -> rows.Label:
    if not model["factory"]:
        from .dataset_model import Labeller

        return Labeller(model["pipeline"], model["hashes"], call, include_vertices)
    module, _, name = model["factory"].partition(":")
    pipeline = getattr(importlib.import_module(module), name)(**model["pipeline"])
    return lambda picture, boxes: rows.labelled(pipeline, picture, boxes, call, include_vertices)


def label_value(label: rows.Label, value: Any, boxes: Any, o: ValueOptions) -> dict[str, Any]:
    """The result of one value. boxes: given ones, where o says that there are such."""
    out: dict[str, Any] = {"width": None, "height": None, "pictures": 0, "hands": [], "error": None}
    errors = []
    try:
        look = looker(label, value, boxes, o)
        for raw in value_pictures(Raw("", ""), value, o.root, ReadOptions(every=o.every), dict):
            error = label_raw(look, raw, out)
            if error is not None:
                errors.append(error if raw.frame is None else f"frame {raw.frame}: {error}")
    except Exception as e:
        errors.append(said(e))
    if errors:
        more = len(errors) - MOST_ERRORS
        out["error"] = "; ".join(errors[:MOST_ERRORS]) + (f"; and {more} more" if more > 0 else "")
    return out


def looker(label: rows.Label, value: Any, boxes: Any, o: ValueOptions) -> Look:
    """look(picture, raw) -> hands of one picture. Those of a video are followed, if the pipeline can and is
    told to."""
    if is_video(value) and o.tracker is not None and isinstance(label, Follower):
        follow = label.follow(o.tracker)
        return lambda picture, raw: follow(picture, seconds_of(raw))
    given = boxes_of(boxes) if o.boxes and not is_video(value) else None
    return lambda picture, raw: label(picture, given)


def seconds_of(raw: Raw) -> float:
    """When a video's frame is shown, guessed where the video does not say."""
    return (raw.frame or 0) / GUESSED_RATE if raw.time is None else raw.time


def label_raw(look: Look, raw: Raw, out: dict[str, Any]) -> str | None:
    """Add a picture's hands to out. Returns what went wrong."""
    picture, error = decoded(raw)
    if picture is None:
        return error
    out["height"], out["width"] = picture.shape[:2]
    out["pictures"] += 1
    try:
        hands = look(picture, raw)
    except Exception as e:
        return said(e)
    out["hands"] += [{"frame": raw.frame, "time": raw.time, **hand} for hand in hands]
    return None


def plain(value: Any) -> Any:
    """An engine's value without NumPy's object wrappers; arrays of numbers stay arrays."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [plain(v) for v in value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    return value
