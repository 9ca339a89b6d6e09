"""A value of a data engine's column in, its hands as one nested value out: what wilor.daft and wilor.ray share.

    {"width", "height", "pictures", "hands": [{"frame", "time", "side", "score", "box", ..., "error"}], "error"}

A picture is one picture; a video has `pictures` frames, and its hands say which. What cannot be labelled has an error
and no hands: a bad value never costs its batch.
"""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from . import dataset_rows as rows
from .dataset_read import Raw, ReadOptions, boxes_of, said, value_pictures
from .dataset_work import decoded

MOST_ERRORS = 3
_open: dict[str, Callable] = {}
_lock = threading.Lock()


def struct_type(include_vertices: bool):
    """The pyarrow type of a result."""
    pa = rows.need_pyarrow()
    numbers = pa.list_(pa.float32())
    hand = [("frame", pa.int64()), ("time", pa.float64()), ("side", pa.string()), ("score", pa.float32())]
    hand += [(name, numbers) for name in rows.lists(include_vertices)] + [("error", pa.string())]
    return pa.struct([("width", pa.int32()), ("height", pa.int32()), ("pictures", pa.int64()),
                      ("hands", pa.list_(pa.struct(hand))), ("error", pa.string())])


def settle(pipeline: dict[str, Any], factory: str | None, need_detector: bool) -> dict[str, Any]:
    """What a worker anywhere needs to open the pipeline; JSON. Missing weights are found missing here."""
    if factory:
        return {"factory": factory, "pipeline": pipeline}
    from .dataset_model import settle as settle_model

    options, hashes = settle_model(pipeline, need_detector)
    return {"factory": None, "pipeline": options, "hashes": hashes}


def open_label(model: dict[str, Any], call: dict[str, Any], include_vertices: bool) -> Callable:
    """label(picture, boxes) -> columns of each hand. One model a process, whoever asks; threads may share it."""
    name = json.dumps([model, call, include_vertices], sort_keys=True)
    with _lock:
        if name not in _open:
            _open[name] = make_label(model, call, include_vertices)
        return _open[name]


def make_label(model: dict[str, Any], call: dict[str, Any], include_vertices: bool) -> Callable:
    if not model["factory"]:
        from .dataset_model import Labeller

        return Labeller(model["pipeline"], model["hashes"], call, include_vertices)
    module, _, name = model["factory"].partition(":")
    pipeline = getattr(importlib.import_module(module), name)(**model["pipeline"])
    return lambda picture, boxes: rows.labelled(pipeline, picture, boxes, call, include_vertices)


def label_value(label: Callable, value: Any, boxes: Any, have_boxes: bool, every: int, root: str) -> dict[str, Any]:
    """The result of one value."""
    out: dict[str, Any] = {"width": None, "height": None, "pictures": 0, "hands": [], "error": None}
    errors = []
    try:
        given = boxes_of(boxes) if have_boxes else None
        for raw in value_pictures(Raw("", ""), value, root, ReadOptions(every=every), dict):
            error = label_raw(label, raw, given, out)
            if error is not None:
                errors.append(error if raw.frame is None else f"frame {raw.frame}: {error}")
    except Exception as e:
        errors.append(said(e))
    if errors:
        more = len(errors) - MOST_ERRORS
        out["error"] = "; ".join(errors[:MOST_ERRORS]) + (f"; and {more} more" if more > 0 else "")
    return out


def label_raw(label: Callable, raw: Raw, given: list[tuple] | None, out: dict[str, Any]) -> str | None:
    """Add a picture's hands to out. Returns what went wrong."""
    picture, error = decoded(raw)
    if picture is None:
        return error
    out["height"], out["width"] = picture.shape[:2]
    out["pictures"] += 1
    try:
        hands = label(picture, given)
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
