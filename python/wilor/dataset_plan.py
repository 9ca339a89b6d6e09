"""The plan of a data set: which unit of the input becomes which part of the output.

It is made once and kept in OUT/_wilor/plan.jsonl, a unit a line, so that a run that was killed goes on with
the very same parts. Files that are new when a run goes on become further parts behind the old ones; files
that changed are an error, because their finished parts would tell of something else.

    {"part": 0, "kind": "files", "files": [["a.jpg", 1234], ...], "count": 256}
    {"part": 1, "kind": "tar", "files": [["x.tar", 99840]], "first": 0, "count": 256, "offset": 0}
    {"part": 2, "kind": "parquet", "files": [["y.parquet", 819]], "first": 9, "count": 9, "column": "image"}
    {"part": 3, "kind": "video", "files": [["z.mp4", 77]], "first": 0, "count": 9, "begin": null, "end": 4608}
    {"part": 4, "kind": "bad", "files": [["q.tar", 3]], "count": 1, "error": "..."}
"""

from __future__ import annotations

import json
import os
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any

from .dataset_read import GUESSED_COLUMNS, PARQUETS, PICTURES, TARS, VIDEOS, ReadOptions, said, tar_samples
from .dataset_rows import need_pyarrow

Unit = dict[str, Any]


def list_input(path: str) -> tuple[str, list[tuple[str, int]], int]:
    """(root, [(name below root, size)] in order, how many other files were left alone)."""
    if os.path.isfile(path):
        root, base = os.path.split(os.path.abspath(path))
        return root, [(base, os.path.getsize(path))], 0
    if not os.path.isdir(path):
        raise FileNotFoundError(f"{path}: no such file or folder")
    found, others = [], 0
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            full = os.path.join(folder, name)
            if not name.startswith(".") and kind_of(name) and os.path.isfile(full):
                found.append((os.path.relpath(full, path).replace(os.sep, "/"), os.path.getsize(full)))
            elif not name.lower().endswith(".json"):
                others += 1
    return os.path.abspath(path), found, others


def kind_of(name: str) -> str | None:
    """What a file is by its name."""
    name = name.lower()
    for kind, endings in (("files", PICTURES), ("video", VIDEOS), ("tar", TARS), ("parquet", PARQUETS)):
        if name.endswith(endings):
            return kind
    return None


def make_units(root: str, files: list[tuple[str, int]], o: ReadOptions, size: int) -> Iterator[Unit]:
    """Units of at most `size` pictures, without part numbers."""
    pictures: list[tuple[str, int]] = []
    for name, length in files:
        kind = kind_of(name)
        if kind == "files":
            pictures.append((name, length))
            if len(pictures) == size:
                yield {"kind": "files", "files": pictures, "count": size}
                pictures = []
        else:
            yield from file_units(root, kind, name, length, o, size)
    if pictures:
        yield {"kind": "files", "files": pictures, "count": len(pictures)}


def file_units(
    root: str, kind: str | None, name: str, length: int, o: ReadOptions, size: int
) -> Iterator[Unit]:
    """The units of a file that holds many pictures; one of kind bad for what cannot be read of it."""
    plan = {"tar": plan_tar, "parquet": plan_parquet, "video": plan_video}[kind or ""]
    try:
        for unit in plan(os.path.join(root, name), o, size):
            yield {"kind": kind, "files": [(name, length)], **unit}
    except ImportError:
        raise
    except Exception as e:
        yield {
            "kind": "bad",
            "files": [(name, length)],
            "count": 1,
            "error": f"{name} cannot be read: {said(e)}",
        }


def plan_tar(path: str, o: ReadOptions, size: int) -> Iterator[Unit]:
    """A shard's samples are counted; of a compressed one every unit reads the file from its beginning."""
    plain = path.lower().endswith(".tar")
    first, n, start = 0, 0, 0
    broken = None
    try:
        with tarfile.open(path, "r:" if plain else "r:*") as tar:
            for _, offset, _ in tar_samples(tar, lambda _: None):
                if n - first == size:
                    yield {"first": first, "count": size, "offset": start if plain else None}
                    first = n
                if n == first:
                    start = offset
                n += 1
            if plain and os.path.getsize(path) <= tar.offset:
                raise EOFError("cut off: there is no end mark")
    except (tarfile.TarError, OSError, EOFError, zlib.error) as e:
        broken = e
    if n > first:
        yield {"first": first, "count": n - first, "offset": start if plain else None}
    if broken is not None:
        raise ValueError(f"behind {n} samples: {said(broken)}")


def plan_parquet(path: str, o: ReadOptions, size: int) -> Iterator[Unit]:
    """Rows, and the column that has the pictures."""
    with need_pyarrow().parquet.ParquetFile(path) as f:
        names = f.schema_arrow.names
        column = o.column or next((c for c in GUESSED_COLUMNS if c in names), None)
        for wanted in (column, o.key, o.boxes):
            if wanted is not None and wanted not in names:
                raise ValueError(f"no column {wanted}; there are: {', '.join(names)}")
        if column is None:
            raise ValueError(f"which column has the pictures? (--column) There are: {', '.join(names)}")
        rows = f.metadata.num_rows
    for first in range(0, rows, size):
        yield {"first": first, "count": min(size, rows - first), "column": column}


def plan_video(path: str, o: ReadOptions, size: int) -> Iterator[Unit]:
    """Stretches of a video between times of frames, so that no frame is in two; the whole where there are no
    times."""
    times, n = video_times(path)
    if not n:
        raise ValueError("no frames")
    step = size * o.every
    if times is None or n <= step:
        yield {"first": 0, "count": n, "begin": None, "end": None}
        return
    for first in range(0, n, step):
        end = times[first + step] if first + step < n else None
        yield {
            "first": first,
            "count": min(step, n - first),
            "begin": times[first] if first else None,
            "end": end,
        }


def video_times(path: str) -> tuple[list[int] | None, int]:
    """(times of the frames in ticks, ascending, or None where some have none; their number), without
    decoding."""
    try:
        import av
    except ImportError:
        return None, count_by_cv2(path)
    with av.open(path) as container:
        if not container.streams.video:
            raise ValueError("no video stream")
        times = [
            packet.pts
            for packet in container.demux(video=0)
            if packet.size and not getattr(packet, "is_discard", False)
        ]
    if any(t is None for t in times) or len(set(times)) != len(times):
        return None, len(times)
    return sorted(times), len(times)


def count_by_cv2(path: str) -> int:
    """Frames as OpenCV estimates them."""
    try:
        import cv2
    except ImportError as e:
        raise ImportError("to decode videos, install av (PyAV) or opencv-python-headless") from e
    capture = cv2.VideoCapture(path)
    try:
        if not capture.isOpened():
            raise ValueError("no video that OpenCV can open")
        return max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 1)
    finally:
        capture.release()


# ---------------------------------------------------------------- the plan's file


def cut_units(units: Iterator[Unit], limit: int | None, every: int) -> Iterator[Unit]:
    """Units with at most `limit` pictures in all; a video's count is of frames, of which each `every`th is
    taken."""
    left = limit
    for unit in units:
        if left is None:
            yield unit
            continue
        if left <= 0:
            return
        step = every if unit["kind"] == "video" else 1
        taken = -(-unit["count"] // step)
        if taken > left:
            unit["count"] = min(unit["count"], left * step)
            if unit["kind"] == "files":
                unit["files"] = unit["files"][:left]
        left -= taken
        yield unit


def make_plan(
    root: str, files: list[tuple[str, int]], o: ReadOptions, size: int, limit: int | None
) -> list[Unit]:
    units = cut_units(make_units(root, files, o, size), limit, o.every)
    return [{"part": i, **unit} for i, unit in enumerate(units)]


def extend_plan(
    plan: list[Unit], root: str, files: list[tuple[str, int]], o: ReadOptions, size: int
) -> list[Unit]:
    """The units of files that the plan does not know. A known file of another size is an error."""
    known = {name: length for unit in plan for name, length in unit["files"]}
    for name, length in files:
        if known.get(name, length) != length:
            raise ValueError(
                f"{name} has {length} bytes; it had {known[name]} when this run began. "
                "Label it into another folder"
            )
    new = [(name, length) for name, length in files if name not in known]
    start = len(plan)
    return [{"part": start + i, **unit} for i, unit in enumerate(make_units(root, new, o, size))]


def save_lines(path: str, lines: list[Any]) -> None:
    """A JSON value a line, complete or not there."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


def load_lines(path: str) -> list[Any]:
    """What save_lines or an appender wrote; a last line that was cut is left out."""
    lines = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.endswith("\n"):
                lines.append(json.loads(line))
    return lines
