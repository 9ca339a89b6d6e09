"""The rows of a labelled data set: their columns, how a hand fills them, how a part is written.

docs/label-a-dataset.md explains every column. Lists are flat, float32 and of one length each, because every
reader of Parquet knows those; the shape that they mean stands in the field's metadata. A picture without a
hand, and one that failed, has one row in which `hand` is null: (key, source, frame, hand) is never there
twice.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

Box = tuple[float, float, float, float, bool, float]
"""x0, y0, x1, y1, is_right, score."""
Row = dict[str, Any]
"""Columns of a hand or a picture."""
Label = Callable[[np.ndarray, "list[Box] | None"], list[Row]]
"""The hands of a picture: in the given boxes, or where the detector looks."""

# Column: (numbers, shape). The names are HandPose's.
LISTS: dict[str, tuple[int, str]] = {
    "box": (4, "4"),
    "keypoints_2d": (42, "21x2"),
    "keypoint_scores": (21, "21"),
    "keypoints_2d_projected": (42, "21x2"),
    "keypoints_3d": (63, "21x3"),
    "cam_t": (3, "3"),
    "focal": (2, "2"),
    "principal": (2, "2"),
    "pred_cam": (3, "3"),
    "global_orient": (3, "3"),
    "hand_pose": (45, "15x3"),
    "betas": (10, "10"),
}
VERTICES = {"vertices": (778 * 3, "778x3")}
HAND_SCALARS = ("side", "score")
PICTURE_COLUMNS = ("key", "source", "frame", "time", "width", "height", "hands")
PROVENANCE = ("model", "detector", "dtype", "version")


def lists(include_vertices: bool) -> dict[str, tuple[int, str]]:
    """The list columns of a run."""
    return {**LISTS, **VERTICES} if include_vertices else LISTS


def schema(include_vertices: bool) -> Any:
    """The pyarrow schema of a part, without the file's own metadata."""
    pa = need_pyarrow()
    fields = [
        pa.field("key", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("frame", pa.int64()),
        pa.field("time", pa.float64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("hands", pa.int32()),
        pa.field("hand", pa.int32()),
        pa.field("side", pa.string()),
        pa.field("score", pa.float32()),
    ]
    fields += [
        pa.field(name, pa.list_(pa.float32()), metadata={"shape": shape})
        for name, (_, shape) in lists(include_vertices).items()
    ]
    fields.append(pa.field("error", pa.string()))
    fields += [pa.field(name, pa.string()) for name in PROVENANCE]
    return pa.schema(fields)


def need_pyarrow() -> ModuleType:
    """pyarrow, or an error that says how to get it."""
    try:
        import pyarrow
        import pyarrow.parquet  # noqa: F401  (loaded here, used as pyarrow.parquet)
    except ImportError as e:
        raise ImportError(
            "wilor.dataset writes Parquet with pyarrow, which is not installed: pip install pyarrow"
        ) from e
    module: ModuleType = pyarrow
    return module


def flat(value: Any, numbers: int, name: str) -> np.ndarray | None:
    """value as `numbers` float32 in a row; None stays None."""
    if value is None:
        return None
    out = np.asarray(value, dtype=np.float32).reshape(-1)
    if out.size != numbers:
        raise ValueError(f"{name} has {out.size} numbers, not {numbers}")
    return out


def labelled(
    pipeline: Callable[..., Iterable[Any]],
    picture: np.ndarray,
    boxes: list[Box] | None,
    call: dict[str, Any],
    include_vertices: bool,
) -> list[Row]:
    """One picture through a pipeline: the columns of each hand. boxes: as dataset_read.boxes_of gives them;
    without, the detector looks."""
    options = {"include_vertices": include_vertices, **call}
    if boxes is None:
        return [hand_columns(hand, include_vertices) for hand in pipeline(picture, **options)]
    if not boxes:
        return []
    sides = ["right" if box[4] else "left" for box in boxes]
    hands = pipeline(picture, boxes=np.array([box[:4] for box in boxes]), sides=sides, **options)
    columns = [hand_columns(hand, include_vertices) for hand in hands]
    for row, box in zip(columns, boxes, strict=True):
        row["score"] = box[5]
        row["keypoints_2d"] = row["keypoint_scores"] = None  # no detector looked
    return columns


def hand_columns(hand: Any, include_vertices: bool) -> Row:
    """What a HandPose says, by column. One with a number that is not finite keeps side, score and box, and
    has an error."""
    names = lists(include_vertices)
    row: Row = {"side": hand.hand_side, "score": float(hand.confidence), "error": None}
    for name, (numbers, _) in names.items():
        row[name] = flat(getattr(hand, "bbox" if name == "box" else name, None), numbers, name)
    if not getattr(hand, "detected", True):  # HandPose has the projected points there
        row["keypoints_2d"] = row["keypoint_scores"] = None
    wrong = [name for name in names if row[name] is not None and not np.isfinite(row[name]).all()]
    if wrong or getattr(hand, "failed", False):
        row.update({name: None for name in names if name != "box"})
        row["error"] = "the model gave numbers that are not finite"
    return row


def picture_rows(head: Row, hands: list[Row], error: str | None) -> list[Row]:
    """A picture's rows: one a hand, or the one that says that there is none, or why not."""
    if error is not None:
        return [{**head, "hands": None, "error": error}]
    if not hands:
        return [{**head, "hands": 0}]
    return [{**head, "hands": len(hands), "hand": i, **hand} for i, hand in enumerate(hands)]


def table_of(
    rows: list[Row], include_vertices: bool, provenance: Mapping[str, str], metadata: Mapping[str, str]
) -> Any:
    """Rows as a pyarrow table; provenance fills its columns, metadata goes to the file's head."""
    pa = need_pyarrow()
    form = schema(include_vertices)
    columns = []
    for field in form:
        if field.name in PROVENANCE:
            columns.append(pa.array([provenance.get(field.name)] * len(rows), field.type))
        else:
            columns.append(pa.array([row.get(field.name) for row in rows], field.type))
    return pa.Table.from_arrays(columns, schema=form.with_metadata(metadata))


def write_part(table: Any, final: str, scratch: str) -> None:
    """Write a part under a name of its own in `scratch`, the same file system, then give it its name."""
    pa = need_pyarrow()
    words = [f.name for f in table.schema if pa.types.is_string(f.type)]
    temporary = os.path.join(scratch, f"{os.path.basename(final)}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        with open(temporary, "wb") as f:
            # A dictionary of floats would be larger than the floats.
            pa.parquet.write_table(table, f, compression="zstd", use_dictionary=words)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, final)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
