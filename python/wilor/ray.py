"""Hands in Ray Data: a class for map_batches, an actor a worker.

    import ray, wilor.ray

    data = ray.data.read_images("photos/", include_paths=True)
    data = data.map_batches(wilor.ray.HandPose, fn_constructor_kwargs={"threads": 4}, batch_size=16,
                            num_cpus=4, compute=ray.data.ActorPoolStrategy(size=8))
    data.write_parquet("hands/")

Ray is imported by whoever calls map_batches; this module needs pyarrow only. Weights are mapped once a host
(dataset_model.py). For runs that can be killed and gone on with, `python -m wilor.dataset --engine ray`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dataset_rows as rows
from . import dataset_values as values


class HandPose:
    """Batches in, the same rows with a column of hands out.

    image: the column with pictures (arrays of rows x columns x 3, encoded bytes, paths) or videos (bytes,
    paths) output: the name of the new column, a struct: width, height, pictures, hands (a list of structs, as
        docs/label-a-dataset.md has them) and error, which is null where all went well
    boxes: a column with given boxes, or None: the detector looks
    keep: the columns that go on; None: all but the image
    tracker: options of wilor.Tracker, which follows the hands of each video ({}: its defaults, with
    smoothing);
        None: each frame for itself, as it is
    include_vertices: the meshes, too; every: take each nth frame of videos; root: of paths; call: further
    arguments of the pipeline's call (conf_threshold ...); factory: "module:function" that makes a pipeline of
    your own; the rest: HandPosePipeline.from_pretrained's
    """

    def __init__(
        self,
        image: str = "image",
        output: str = "hands",
        *,
        boxes: str | None = None,
        keep: list[str] | None = None,
        include_vertices: bool = False,
        every: int = 1,
        root: str = "",
        tracker: dict[str, Any] | None = {},  # noqa: B006 (never changed)
        call: dict[str, Any] | None = None,
        factory: str | None = None,
        **pipeline: Any,
    ):
        self.image, self.output, self.boxes, self.keep = image, output, boxes, keep
        self.options = values.ValueOptions(boxes is not None, tracker, every, root)
        self.type = values.struct_type(include_vertices)
        model = values.settle(pipeline, factory, boxes is None)
        self.label = values.open_label(model, call or {}, include_vertices)

    def __call__(self, batch: Any) -> Any:
        """A pyarrow table; batch is one too, or a dictionary of NumPy arrays (Ray's default)."""
        pa = rows.need_pyarrow()
        columns = (
            batch if isinstance(batch, dict) else {n: batch.column(n).to_pylist() for n in batch.column_names}
        )
        if self.image not in columns:
            raise KeyError(f"no column {self.image}; there are: {', '.join(columns)}")
        given = columns[self.boxes] if self.boxes else [None] * len(columns[self.image])
        results = [
            values.label_value(self.label, values.plain(value), values.plain(boxes), self.options)
            for value, boxes in zip(columns[self.image], given, strict=True)
        ]
        kept = [n for n in columns if n != self.image] if self.keep is None else self.keep
        out = {name: self.column(batch, columns, name) for name in kept}
        return pa.table({**out, self.output: pa.array(results, self.type)})

    @staticmethod
    def column(batch: Any, columns: dict[str, Any], name: str) -> Any:
        """A column as Arrow takes it; arrays of a row become lists."""
        if not isinstance(batch, dict):
            return batch.column(name)
        pa = rows.need_pyarrow()
        return pa.array([v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for v in columns[name]])
