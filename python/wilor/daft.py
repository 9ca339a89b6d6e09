"""Hands in Daft: an expression over a column of pictures or videos.

    import daft, wilor.daft

    frame = daft.read_parquet("pictures.parquet")
    frame = frame.with_column("hands", wilor.daft.track_hands(frame["image"], workers=2, threads=4))
    frame.write_parquet("hands/")

Weights are mapped once a host (dataset_model.py). For runs that can be killed and gone on with,
`python -m wilor.dataset --engine daft`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from . import dataset_values as values
from .dataset_engines import F, need


def track_hands(
    column: Any,
    *,
    boxes: Any = None,
    include_vertices: bool = False,
    every: int = 1,
    root: str = "",
    tracker: dict[str, Any] | None = {},  # noqa: B006 (never changed)
    workers: int = 1,
    cpus: float | None = None,
    gpus: float = 0,
    batch_size: int = 8,
    call: dict[str, Any] | None = None,
    factory: str | None = None,
    **pipeline: Any,
) -> Any:
    """The hands of each value of `column`: a Daft expression of a struct.

    column: pictures (Daft's images, encoded bytes, paths) or videos (bytes, paths)
    boxes: a column with given boxes; None: the detector looks
    result: width, height, pictures, hands (a list of structs, as docs/label-a-dataset.md has them) and error,
        which is null where all went well
    tracker: as of wilor.ray.HandPose
    workers: processes, each with `cpus` and `gpus` of the engine; batch_size: rows at once
    the rest: as there
    """
    daft = need("daft", "daft")
    settled = values.settle(pipeline, factory, boxes is None)
    options = values.ValueOptions(boxes is not None, tracker, every, root)
    dtype = daft.DataType.from_arrow_type(values.struct_type(include_vertices))
    in_batches: Callable[[F], F] = daft.method.batch(return_dtype=dtype, batch_size=batch_size)

    class Hands:
        def __init__(self, model: str, call: str):
            from wilor import dataset_values

            self.values = dataset_values
            self.label = dataset_values.open_label(json.loads(model), json.loads(call), include_vertices)

        def results(self, column: Any, boxes: Any) -> Any:
            import pyarrow

            given = [None] * len(column) if boxes is None else boxes.to_pylist()
            plain = self.values.plain
            found = [
                self.values.label_value(self.label, plain(v), plain(b), options)
                for v, b in zip(column.to_pylist(), given, strict=True)
            ]
            return pyarrow.array(found, self.values.struct_type(include_vertices))

        @in_batches
        def look(self, column: Any) -> Any:
            return self.results(column, None)

        @in_batches
        def given(self, column: Any, boxes: Any) -> Any:
            return self.results(column, boxes)

    work = daft.cls(Hands, cpus=cpus, gpus=gpus, use_process=True, max_concurrency=workers)
    hands = work(json.dumps(settled), json.dumps(call or {}))
    return hands.look(column) if boxes is None else hands.given(column, boxes)
