"""Pictures out of files, folders, tar shards, Parquet and videos.

A unit (dataset_plan.py) names what to read; read_unit gives its pictures one after the other as Raw: what
they are called, and a load() that decodes. What cannot be read becomes a Raw with an error, and reading goes
on where that is possible. A picture is a NumPy array, rows x columns x RGB, uint8, turned upright as EXIF or
the video says.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .dataset_rows import Box, need_pyarrow

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts")
TARS = (".tar", ".tar.gz", ".tgz")
PARQUETS = (".parquet", ".pq")
GUESSED_COLUMNS = ("image", "video", "jpg", "jpeg", "png", "webp", "mp4", "bytes", "path")
MOST_PIXELS = 256 * 1000 * 1000
Load = Callable[[], np.ndarray]
Read = TypeVar("Read")


@dataclass
class Raw:
    """One picture that may be decoded. boxes: what the input has for it, see boxes_of; None without."""

    key: str
    source: str
    load: Load | None = None
    frame: int | None = None
    time: float | None = None
    boxes: Any = None
    error: str | None = None


@dataclass(frozen=True)
class ReadOptions:
    """column: of the pictures in Parquet; key: of their names; boxes: of given boxes; every: take each nth
    frame."""

    column: str | None = None
    key: str | None = None
    boxes: str | None = None
    every: int = 1


def said(e: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(e).split()) or "no reason given"
    return text if isinstance(e, (ValueError, OSError, ImportError)) else f"{type(e).__name__}: {text}"


# ---------------------------------------------------------------- pictures


def decode_picture(data: bytes) -> np.ndarray:
    """An encoded picture as RGB. PIL, or OpenCV where there is no PIL."""
    if not data:
        raise ValueError("an empty picture")
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        return decode_with_cv2(data)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return upright_rgb(picture)
    except UnidentifiedImageError:
        raise ValueError("no picture that Pillow knows, or a damaged one") from None


def upright_rgb(picture: Any) -> np.ndarray:
    """A PIL picture as RGB: EXIF's turn applied, alpha dropped, 16 bits a channel cut to the upper 8."""
    from PIL import ImageOps

    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than {MOST_PIXELS}")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16") or picture.mode == "I":
        grey = (np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(picture.convert("RGB"))


def decode_with_cv2(data: bytes) -> np.ndarray:
    """The same by OpenCV, which turns by EXIF itself."""
    try:
        import cv2
    except ImportError as e:
        raise ImportError("to decode pictures, install pillow or opencv-python-headless") from e
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("no picture that OpenCV knows, or a damaged one")
    return np.ascontiguousarray(bgr[:, :, ::-1])


def checked_array(array: Any) -> np.ndarray:
    """An array that is a picture already: rows x columns (x 1, 3 or 4) of uint8."""
    array = np.asarray(array)
    if array.dtype != np.uint8:
        raise ValueError(f"a picture of {array.dtype}, not uint8")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(f"a picture of shape {array.shape}, not (rows, columns, 3)")
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def picture_of(value: Any, root: str = "") -> np.ndarray:
    """Whatever a column may hold: encoded bytes, a path, a struct of both, a PIL picture, an array."""
    if value is None:
        raise ValueError("no picture: null")
    if isinstance(value, dict):
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
        return picture_of(value, root)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return decode_picture(bytes(value))
    if isinstance(value, (str, os.PathLike)):
        with open(os.path.join(root, value), "rb") as f:
            return decode_picture(f.read())
    if hasattr(value, "convert") and hasattr(value, "getexif"):
        return upright_rgb(value)
    return checked_array(value)


def is_video(value: Any) -> bool:
    """Whether a column's value is a video: bytes by their first ones, a path by its name."""
    if isinstance(value, dict):
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value).lower().endswith(VIDEOS)
    if not isinstance(value, (bytes, bytearray, memoryview)):
        return False
    head = bytes(value[:12])
    if head[4:8] == b"ftyp":
        return head[8:12] not in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
    return head[:4] == b"\x1a\x45\xdf\xa3" or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")


# ---------------------------------------------------------------- boxes


def boxes_of(value: Any) -> list[Box]:
    """Given boxes as (x0, y0, x1, y1, is_right, score). Each is a list of 5 or 6 such numbers, or a mapping
    with box (4 numbers), side ("left", "right") or is_right, and perhaps score."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple, np.ndarray)):
        raise ValueError(f"boxes are a list, not {type(value).__name__}")
    return [one_box(v) for v in value]


def one_box(value: Any) -> Box:
    if isinstance(value, dict):
        corners = value.get("box", value.get("bbox"))
        side = value.get("side", value.get("is_right"))
        score = value.get("score")
    else:
        numbers = list(value)
        if len(numbers) not in (5, 6):
            raise ValueError(f"a box of {len(numbers)} numbers, not x0 y0 x1 y1 is_right and perhaps a score")
        corners, side = numbers[:4], numbers[4]
        score = numbers[5] if len(numbers) == 6 else None
    if corners is None or len(corners) != 4 or side not in ("left", "right", 0, 1):
        raise ValueError('a box needs 4 numbers and a side: "left", "right", 0 or 1')
    x0, y0, x1, y1 = (float(c) for c in corners)
    if not (np.isfinite([x0, y0, x1, y1]).all() and x1 > x0 and y1 > y0):
        raise ValueError(f"a box without area: {x0:g} {y0:g} {x1:g} {y1:g}")
    return x0, y0, x1, y1, side in ("right", 1), 1.0 if score is None else float(score)


# ---------------------------------------------------------------- units


def read_unit(root: str, unit: dict[str, Any], o: ReadOptions) -> Iterator[Raw]:
    """The pictures of a unit, in order. Never raises for what is wrong with the input."""
    name = unit["files"][0][0]
    try:
        yield from READERS[unit["kind"]](root, unit, o)
    except Exception as e:  # whatever a decoder throws: the rest of the unit is lost, the run is not
        yield Raw(name, name, error=f"{name} cannot be read further: {said(e)}")


def read_bad(root: str, unit: dict[str, Any], o: ReadOptions) -> Iterator[Raw]:
    """A file that planning could not make sense of."""
    name = unit["files"][0][0]
    yield Raw(name, name, error=unit["error"])


def read_files(root: str, unit: dict[str, Any], o: ReadOptions) -> Iterator[Raw]:
    """Picture files."""
    for name, _ in unit["files"]:
        path = os.path.join(root, name)
        raw = Raw(name, name, load=partial(picture_of, path))
        if o.boxes:
            take_boxes(raw, partial(sidecar, path), o.boxes)
        yield raw


def sidecar(path: str) -> dict[str, Any]:
    """The JSON file beside a picture, a.json of a.jpg; nothing where there is none."""
    path = os.path.splitext(path)[0] + ".json"
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        return mapping(json.load(f))


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object as it is; anything else is an error."""
    if not isinstance(value, dict):
        raise ValueError(f"a JSON {type(value).__name__}, not an object")
    return value


def take_boxes(raw: Raw, get: Callable[[], Mapping[str, Any]], name: str) -> None:
    """Set raw.boxes, or its error."""
    try:
        raw.boxes = boxes_of(get().get(name))
    except Exception as e:
        raw.error = f"boxes: {said(e)}"


def read_tar(root: str, unit: dict[str, Any], o: ReadOptions) -> Iterator[Raw]:
    """Samples of a WebDataset shard: the files that follow each other with one name up to its first dot."""
    name = unit["files"][0][0]
    with open(os.path.join(root, name), "rb") as f:
        skip = unit["first"]
        if unit["offset"] is not None:
            f.seek(unit["offset"])
            skip = 0
        with tarfile.open(fileobj=f, mode="r:" if unit["offset"] is not None else "r|*") as tar:
            samples = tar_samples(tar, partial(member_bytes, tar))
            for i, (key, _, members) in enumerate(samples):
                if i >= skip + unit["count"]:
                    return
                if i >= skip:
                    yield from sample_pictures(name, key, members, o)


def member_bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A member's content."""
    file = tar.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is not a file")
    return file.read()


def tar_samples(
    tar: tarfile.TarFile, read: Callable[[tarfile.TarInfo], Read]
) -> Iterator[tuple[str, int, dict[str, Read | None]]]:
    """(key, offset of the first header, {extension: what read gave}) of each sample that has a picture or
    video."""
    key: str | None = None
    offset = 0
    members: dict[str, Read | None] = {}
    for member in tar:
        if not member.isfile():
            continue
        stem, extension = split_name(member.name)
        if stem != key:
            if key is not None and any(media(e) for e in members):
                yield key, offset, members
            key, offset, members = stem, member.offset, {}
        members[extension] = read(member) if media(extension) or extension == "json" else None
    if key is not None and any(media(e) for e in members):
        yield key, offset, members


def split_name(name: str) -> tuple[str, str]:
    """("a/b", "left.jpg") of "a/b.left.jpg": WebDataset's rule."""
    folder, _, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), extension.lower()


def media(extension: str) -> bool:
    """Whether a member with this extension is a picture or a video."""
    return ("." + extension).endswith(PICTURES + VIDEOS)


def sample_pictures(shard: str, key: str, members: dict[str, bytes | None], o: ReadOptions) -> Iterator[Raw]:
    """The pictures of one sample; they are called SHARD/KEY.EXTENSION."""
    for extension, data in members.items():
        if media(extension):
            name = f"{shard}/{key}.{extension}"
            beside = members.get("json") or b"{}"
            yield from value_pictures(Raw(name, shard), data, "", o, partial(json_mapping, beside))


def json_mapping(text: bytes) -> dict[str, Any]:
    return mapping(json.loads(text))


def read_parquet(root: str, unit: dict[str, Any], o: ReadOptions) -> Iterator[Raw]:
    """Rows of a Parquet file."""
    name = unit["files"][0][0]
    column = unit["column"]
    row = 0
    for batch in parquet_batches(os.path.join(root, name), unit, [column, o.key, o.boxes]):
        for values in batch.to_pylist():
            key = f"{name}#{unit['first'] + row}" if o.key is None else str(values[o.key])
            row += 1
            yield from value_pictures(Raw(key, name), values[column], root, o, partial(dict, values))


def parquet_batches(path: str, unit: dict[str, Any], columns: list[str | None]) -> Iterator[Any]:
    """Record batches with just the unit's rows. Only the row groups that hold them are read."""
    with need_pyarrow().parquet.ParquetFile(path) as f:
        first, last = unit["first"], unit["first"] + unit["count"]
        groups, start, skipped = [], 0, 0
        for g in range(f.num_row_groups):
            end = start + f.metadata.row_group(g).num_rows
            if end <= first:
                skipped = end
            elif start < last:
                groups.append(g)
            start = end
        at = skipped
        for batch in f.iter_batches(batch_size=32, row_groups=groups, columns=[c for c in columns if c]):
            low, high = max(first - at, 0), min(last - at, batch.num_rows)
            at += batch.num_rows
            if low < high:
                yield batch.slice(low, high - low)
            if at >= last:
                return


def value_pictures(
    raw: Raw, value: Any, root: str, o: ReadOptions, sample: Callable[[], Mapping[str, Any]]
) -> Iterator[Raw]:
    """One value of a sample or row: a picture, or all frames of a video. Boxes are for pictures only."""
    if is_video(value):
        yield from value_frames(raw, value, root, o)
        return
    raw.load = lambda: picture_of(value, root)
    if o.boxes:
        take_boxes(raw, sample, o.boxes)
    yield raw


def value_frames(raw: Raw, value: Any, root: str, o: ReadOptions) -> Iterator[Raw]:
    """The frames of a video that is a value."""
    try:
        if isinstance(value, dict):
            value = value["bytes"] if value.get("bytes") is not None else value.get("path")
        file = io.BytesIO(value) if isinstance(value, (bytes, bytearray)) else os.path.join(root, value)
        for frame, time, load in video_frames(file, 0, None, None, o.every):
            yield Raw(raw.key, raw.source, load=load, frame=frame, time=time)
    except Exception as e:
        yield Raw(raw.key, raw.source, error=said(e))


# ---------------------------------------------------------------- videos


def read_video(root: str, unit: dict[str, Any], o: ReadOptions) -> Iterator[Raw]:
    """Frames of a video file, or of a stretch of one: times from begin up to, not with, end (ticks of the
    stream)."""
    name = unit["files"][0][0]
    path = os.path.join(root, name)
    none = True
    for frame, time, load in video_frames(
        path, unit["first"], unit["begin"], unit["end"], o.every, unit["count"]
    ):
        none = False
        yield Raw(name, name, load=load, frame=frame, time=time)
    if none:
        raise ValueError(f"no frame from number {unit['first']} on could be decoded")


def video_frames(
    file: Any, first: int, begin: int | None, end: int | None, every: int, most: int | None = None
) -> Iterator[tuple[int, float | None, Load]]:
    """(number, seconds, load) of each frame taken: those from `first` on whose number `every` divides, of at
    most `most` looked at. begin and end: see read_video; without them all are decoded from the file's
    beginning."""
    try:
        import av  # noqa: F401
    except ImportError:
        frames = frames_by_cv2(file)
        begin = None
    else:
        frames = frames_by_av(file, begin, end)
    number = first if begin is not None else 0
    for time, load in frames:
        if most is not None and number >= first + most:
            return
        if number >= first and number % every == 0:
            yield number, time, load
        number += 1


def frames_by_av(file: Any, begin: int | None, end: int | None) -> Iterator[tuple[float | None, Load]]:
    """(seconds, load) by PyAV. It seeks to the key frame before `begin` and throws away what comes before."""
    import av

    with av.open(file) as container:
        if not container.streams.video:
            raise ValueError("no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if begin is not None:
            container.seek(begin, stream=stream, backward=True)
        for frame in container.decode(stream):
            if begin is not None and (frame.pts is None or frame.pts < begin):
                continue
            if end is not None and frame.pts is not None and frame.pts >= end:
                return
            yield frame.time, partial(upright_frame, frame)


def upright_frame(frame: Any) -> np.ndarray:
    """A PyAV frame as RGB, turned as its display matrix says (degrees counter-clockwise, quarters only)."""
    rgb: np.ndarray = frame.to_ndarray(format="rgb24")
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, quarters)) if quarters else rgb


def frames_by_cv2(file: Any) -> Iterator[tuple[float | None, Load]]:
    """(seconds, load) by OpenCV, which turns frames itself and reads files only."""
    try:
        import cv2
    except ImportError as e:
        raise ImportError("to decode videos, install av (PyAV) or opencv-python-headless") from e
    if not isinstance(file, str):
        raise ImportError("videos inside other files are decoded by av (PyAV): pip install av")
    capture = cv2.VideoCapture(file)
    try:
        if not capture.isOpened():
            raise ValueError("no video that OpenCV can open")
        while True:
            if not capture.grab():
                return
            time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # of the frame just grabbed
            yield time, lambda: np.ascontiguousarray(capture.retrieve()[1][:, :, ::-1])
    finally:
        capture.release()


READERS = {
    "files": read_files,
    "tar": read_tar,
    "parquet": read_parquet,
    "video": read_video,
    "bad": read_bad,
}
