"""The pipeline that a data set is labelled with: opened once a worker, its weights mapped once a host.

The worker that comes first packs the weights into a file of the cache, the others of the host wait for it;
then all map that file, and the system keeps its pages once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import _weights
from .dataset_rows import Box, Row, hand_columns, labelled

CHUNK = 1 << 22


def file_hash(path: str) -> str:
    """SHA-256 in hexadecimal; weights by formula ("random:tiny") are their name."""
    if path.startswith("random:"):
        return path
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def settle(options: dict[str, Any], need_detector: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """(the options with absolute paths, because workers may have other folders; the hashes of what they
    name)."""
    out = dict(options)
    compat = out.get("compat") or "mini"
    files = _weights.find_model(out.get("weights_path"), out.get("mano_path"), prefer=compat_files(compat))
    out["weights_path"], out["mano_path"] = whole(files.weights), whole(files.mano)
    said = {"model": file_hash(files.weights)}
    if files.mano:
        said["mano"] = file_hash(files.mano)
    if need_detector or out.get("detector_path"):
        detector = _weights.find_detector(
            _weights.detector_for(files.weights, out.get("detector_path")), prefer=compat_files(compat)
        )
        out["detector_path"] = whole(detector)
        said["detector"] = file_hash(detector)
    from . import __version__

    said["version"] = __version__
    return out, said


def compat_files(compat: str) -> str:
    """Which set of published files a compatibility prefers."""
    return "mlx" if compat == "mlx" else "mini"


def whole(path: str | None) -> str | None:
    return path if path is None or path.startswith("random:") else os.path.abspath(path)


def packed_path(model: str, dtype: str) -> str:
    """Where this host keeps the packed weights. Hosts may share a home, and differ in processors."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    host = platform.node().split(".")[0] or "host"
    name = model.replace(":", "-")[:32]
    return os.path.join(base, "wilor", "packed", f"dataset-{name}-{dtype}-{host}.packed")


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """One process of this host at a time, where the system has such locks."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".lock", "wb") as f:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(f, fcntl.LOCK_EX)
        yield


class Labeller:
    """label(picture, boxes) -> columns of each hand. `provenance` says what computed them."""

    def __init__(
        self, options: dict[str, Any], hashes: dict[str, str], call: dict[str, Any], include_vertices: bool
    ):
        from .detector import HandDetector, dtype_beside
        from .model import WiLoR
        from .pipeline import HandPosePipeline

        options = dict(options)
        dtype = options.pop("dtype", None) or "f32"
        packed = options.pop("packed", None) or packed_path(hashes["model"], dtype)
        detector_path = options.pop("detector_path", None)
        of_pipeline = {k: options.pop(k) for k in ("batch", "max_hands") if k in options}
        shared = {k: options[k] for k in ("device", "threads", "compat") if k in options}
        with locked(packed):
            model = WiLoR.from_pretrained(**options, dtype=dtype, packed=packed)
        detector = None
        if detector_path:
            detector = HandDetector.from_pretrained(detector_path, dtype=dtype_beside(dtype), **shared)
        self.pipeline = HandPosePipeline(detector, model, **of_pipeline)
        self.call, self.include_vertices = call, include_vertices
        self.provenance = {**hashes, "dtype": model.info["dtype"]}

    def __call__(self, picture: np.ndarray, boxes: list[Box] | None) -> list[Row]:
        return labelled(self.pipeline, picture, boxes, self.call, self.include_vertices)

    def follow(self, tracker: dict[str, Any]) -> Callable[[np.ndarray, float], list[Row]]:
        """look(picture, seconds) for the frames of one video in turn, with ids; tracker: wilor.Tracker's
        options."""
        from .tracker import Tracker

        track = Tracker(self.pipeline, **tracker)

        def look(picture: np.ndarray, seconds: float) -> list[Row]:
            found = track(picture, seconds, include_vertices=self.include_vertices, **self.call)
            return [{**hand_columns(hand, self.include_vertices), "id": hand.id} for hand in found.hands]

        return look
