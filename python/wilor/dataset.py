"""Label a data set: pictures or videos in, Parquet with one row a hand out.

    python -m wilor.dataset IN OUT --engine local|ray|daft

IN is a folder (of pictures, videos, tar shards, Parquet files, mixed and nested), or one such file. OUT gets
part-000000.parquet and so on, and in OUT/_wilor what is needed to go on after a kill: the plan, the manifest
of finished parts, the list of what could not be labelled. The same command again finishes the rest. A part is
written under another name and renamed, its name is its place in the plan, so that nothing is there twice or
cut off.

docs/label-a-dataset.md has the columns; docs/scale.md what it costs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO

from . import dataset_plan as plan_
from .dataset_engines import ENGINES, WorkerFailed
from .dataset_read import ReadOptions
from .dataset_rows import need_pyarrow
from .dataset_work import INNER, part_name

FORMAT = 1


class DatasetError(ValueError):
    """What is wrong with the command or its folders, for whoever gave it."""


@dataclass
class Summary:
    """What is in OUT. bad: [key, frame, error] of every picture that could not be labelled."""

    parts: int = 0
    planned: int = 0
    pictures: int = 0
    hands: int = 0
    bad: list[list[Any]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, result: dict[str, Any]) -> None:
        self.parts += 1
        self.pictures += result["pictures"]
        self.hands += result["hands"]
        self.bad += result["bad"]


def label(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    engine: str = "local",
    workers: int = 0,
    part_size: int = 256,
    limit: int | None = None,
    every: int = 1,
    column: str | None = None,
    key: str | None = None,
    boxes: str | None = None,
    include_vertices: bool = False,
    call: dict[str, Any] | None = None,
    pipeline: dict[str, Any] | None = None,
    factory: str | None = None,
    gpus: float = 0,
    redo_bad: bool = False,
    report: Callable[[Summary, int], None] | None = None,
) -> Summary:
    """Label everything in `input` into the folder `output`, or go on with what is there.

    workers: processes, 0 for one a host's four cores; part_size: pictures a part; limit: label the first so
    many pictures; every: take each nth frame of videos; column, key, boxes: names of columns
    (docs/label-a-dataset.md); call: further arguments of each call of the pipeline (conf_threshold ...);
    pipeline: of HandPosePipeline's from_pretrained (weights_path, mano_path, device, dtype, threads ...);
    factory: "module:function" that makes a pipeline of your own from those; gpus: a worker; report: called as
    parts are finished.
    """
    begin = time.monotonic()
    check_numbers(part_size=part_size, every=every, workers=workers + 1, limit=1 if limit is None else limit)
    if engine not in ENGINES:
        raise DatasetError(f"engine {engine}: there are {', '.join(ENGINES)}")
    need_pyarrow()
    read = ReadOptions(column=column, key=key, boxes=boxes, every=every)
    workers = workers or max(1, cores() // 4)
    pipeline = dict(pipeline or {})
    pipeline.setdefault("threads", max(1, cores() // workers))
    pipeline, made_by = settled(pipeline, factory, boxes is None)
    job: dict[str, Any] = {
        "read": vars(read),
        "limit": limit,
        "include_vertices": include_vertices,
        "call": call or {},
        "pipeline": pipeline,
        "factory": factory,
        "provenance": made_by,
    }
    job["id"] = identity(job)
    job.update(out=os.path.abspath(output), cpus=pipeline["threads"], gpus=gpus)
    with Folder(job["out"], job) as folder:
        job["root"] = folder.plan(os.fspath(input), read, part_size, limit)
        summary, units = folder.state(redo_bad)
        if report:
            report(summary, 0)
        for result in ENGINES[engine](job, units, workers) if units else ():
            folder.finished(result)
            summary.add(result)
            if report:
                report(summary, result["pictures"])
        folder.write_bad(summary.bad)
    summary.seconds = time.monotonic() - begin
    return summary


def check_numbers(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise DatasetError(f"{name} {value - (name == 'workers')}: too small")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settled(
    pipeline: dict[str, Any], factory: str | None, need_detector: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """(the pipeline's options, what makes the labels: hashes and version)."""
    if factory:
        return pipeline, {"model": factory, "detector": factory}
    from .dataset_model import settle

    return settle(pipeline, need_detector)


def settings(job: dict[str, Any]) -> dict[str, Any]:
    """What the parts of one folder have in common. Threads and places do not change results."""
    places = ("threads", "weights_path", "mano_path", "detector_path", "packed")
    kept = ("read", "limit", "include_vertices", "call", "factory", "provenance")
    options = {k: v for k, v in job["pipeline"].items() if k not in places}
    return {"format": FORMAT, **{k: job[k] for k in kept}, "pipeline": options}


def identity(job: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings(job), sort_keys=True).encode()).hexdigest()


# ---------------------------------------------------------------- the output folder


class Folder:
    """OUT, locked against a second run where the system can."""

    def __init__(self, out: str, job: dict[str, Any]):
        self.out, self.job = out, job
        self.inner = os.path.join(out, INNER)

    def path(self, name: str) -> str:
        return os.path.join(self.inner, name)

    def __enter__(self) -> Folder:
        parts = os.path.isdir(self.out) and any(n.startswith("part-") for n in os.listdir(self.out))
        if parts and not os.path.exists(self.path("job.json")):
            raise DatasetError(f"{self.out} has parts that are not of wilor.dataset: choose another folder")
        os.makedirs(self.inner, exist_ok=True)
        self.lock = open(self.path("lock"), "wb")
        try:
            self.take_lock()
            self.check_job()
        except BaseException:
            self.lock.close()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self.lock.close()

    def take_lock(self) -> None:
        try:
            import fcntl
        except ImportError:
            return
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(f"{self.out}: another run is at work there") from None

    def check_job(self) -> None:
        """The folder's own settings, or these when it is new."""
        ours = {"id": self.job["id"], **settings(self.job)}
        if not os.path.exists(self.path("job.json")):
            plan_.save_lines(self.path("job.json"), [ours])
            return
        theirs = plan_.load_lines(self.path("job.json"))[0]
        if theirs["id"] == ours["id"]:
            return
        other = [
            f"{k} was {json.dumps(theirs.get(k))}, is {json.dumps(v)}"
            for k, v in ours.items()
            if k != "id" and theirs.get(k) != v
        ]
        raise DatasetError(
            f"{self.out} was begun with other settings: {'; '.join(other) or 'another format'}. "
            "Choose another folder"
        )

    def plan(self, input: str, read: ReadOptions, size: int, limit: int | None) -> str:
        """Make the plan, or take the one that is there and what is new. Returns the root of its names."""
        root, files, self.others = plan_.list_input(input)
        name = self.path("plan.jsonl")
        if os.path.exists(name):
            self.units = plan_.load_lines(name)
            more = [] if limit is not None else plan_.extend_plan(self.units, root, files, read, size)
        else:
            self.units, more = [], plan_.make_plan(root, files, read, size, limit)
        if more:
            self.units += more
            plan_.save_lines(name, self.units)
        if not self.units:
            raise DatasetError(f"{input}: no pictures, videos, tar or Parquet files")
        return root

    def state(self, redo_bad: bool) -> tuple[Summary, list[dict[str, Any]]]:
        """(what is finished, the units that are not). The manifest is written anew: only what is there
        counts."""
        known = {}
        with contextlib.suppress(FileNotFoundError):
            known = {r["part"]: r for r in plan_.load_lines(self.path("manifest.jsonl"))}
        summary = Summary(planned=len(self.units))
        results, units = [], []
        for unit in self.units:
            result = self.result_of(unit["part"], known)
            if result is None or (redo_bad and result["bad"]):
                units.append(unit)
            else:
                results.append(result)
                summary.add(result)
        plan_.save_lines(self.path("manifest.jsonl"), results)
        self.sweep()
        return summary, units

    def result_of(self, part: int, known: dict[int, Any]) -> dict[str, Any] | None:
        """A finished part's result: from the manifest, else from the file that was finished just before a
        kill."""
        path = os.path.join(self.out, part_name(part))
        if not os.path.exists(path):
            return None
        if part in known:
            done: dict[str, Any] = known[part]
            return done
        try:
            metadata = need_pyarrow().parquet.read_metadata(path).metadata or {}
        except Exception:  # not Parquet: no part of ours
            return None
        if (
            metadata.get(b"wilor.job") != self.job["id"].encode()
            or metadata.get(b"wilor.part") != b"%d" % part
        ):
            return None
        result: dict[str, Any] = json.loads(metadata[b"wilor.result"])
        return result

    def sweep(self) -> None:
        """What a killed run was writing."""
        for name in os.listdir(self.inner):
            if re.fullmatch(r"part-\d{6}\.parquet\.\d+\.[0-9a-f]{8}|.*\.tmp", name):
                with contextlib.suppress(OSError):
                    os.unlink(self.path(name))

    def finished(self, result: dict[str, Any]) -> None:
        with open(self.path("manifest.jsonl"), "a", encoding="utf-8") as f:
            f.write(json.dumps(result) + "\n")
            f.flush()
            os.fsync(f.fileno())

    def write_bad(self, bad: list[list[Any]]) -> None:
        lines = [{"key": key, "frame": frame, "error": error} for key, frame, error in bad]
        plan_.save_lines(self.path("bad.jsonl"), lines)


# ---------------------------------------------------------------- the command


class Progress:
    """A line on the standard error: rewritten on a terminal, else one every ten seconds."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.terminal = stream.isatty()
        self.begin = self.said = time.monotonic()
        self.pictures = self.parts = 0

    def __call__(self, s: Summary, new: int) -> None:
        now = time.monotonic()
        if new == 0 and self.pictures == 0:
            self.begin, self.before = now, s.parts
            if s.parts:
                print(f"going on: {s.parts} of {s.planned} parts are there", file=self.stream)
        self.pictures += new
        self.parts += new > 0
        if self.terminal or now - self.said > 10 or s.parts == s.planned:
            self.said = now
            end = "\r" if self.terminal and s.parts < s.planned else "\n"
            print(self.line(s, now - self.begin), end=end, file=self.stream, flush=True)

    def line(self, s: Summary, seconds: float) -> str:
        text = f"{s.parts}/{s.planned} parts, {s.pictures} pictures, {s.hands} hands, {len(s.bad)} bad"
        if self.pictures and seconds > 0:
            text += f", {self.pictures / seconds:.1f} pictures/s"
        if self.parts and s.parts < s.planned:
            left = (s.planned - s.parts) * seconds / self.parts
            text += f", {int(left // 3600)}:{int(left // 60 % 60):02}:{int(left % 60):02} left"
        return text


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m wilor.dataset",
        description="Label pictures and videos with hands: "
        "Parquet, one row a hand. The same command again goes on after a kill.",
    )
    p.add_argument("input", metavar="IN", help="a folder, or a picture, video, tar shard or Parquet file")
    p.add_argument("output", metavar="OUT", help="a folder that all workers see")
    p.add_argument("--engine", choices=list(ENGINES), default="local")
    p.add_argument("--workers", type=int, default=0, help="processes; default: one for four cores")
    p.add_argument("--threads", type=int, help="of each worker; default: the cores over the workers")
    p.add_argument("--gpus", type=float, default=0, help="of each worker, for the engine's scheduler")
    p.add_argument(
        "--part-size", type=int, default=256, metavar="N", help="pictures a part, what a kill may cost"
    )
    p.add_argument("--limit", type=int, metavar="N", help="label the first N pictures or frames")
    p.add_argument("--every", type=int, default=1, metavar="N", help="take each Nth frame of videos")
    p.add_argument("--column", help="the Parquet column of pictures or videos; default: image, video, ...")
    p.add_argument("--key", help="the Parquet column that names them; default: FILE#ROW")
    p.add_argument(
        "--boxes",
        metavar="COLUMN",
        help="label these boxes instead of looking for hands: a Parquet "
        "column, or a key of the JSON file beside the picture",
    )
    p.add_argument("--include", action="append", default=[], choices=["vertices"], help="the mesh, too")
    p.add_argument("--redo-bad", action="store_true", help="do parts with bad pictures again")
    m = p.add_argument_group("the model, as in HandPosePipeline.from_pretrained")
    m.add_argument("--weights", dest="weights_path")
    m.add_argument("--mano", dest="mano_path")
    m.add_argument("--detector", dest="detector_path")
    m.add_argument("--heads", type=int, help="attention heads of weights that do not say")
    m.add_argument("--device")
    m.add_argument("--dtype")
    m.add_argument("--compat")
    m.add_argument("--conf", type=float, dest="conf_threshold")
    m.add_argument("--iou", type=float, dest="iou_threshold")
    m.add_argument(
        "--pipeline", metavar="MODULE:FUNCTION", help="a pipeline of your own: called with the above"
    )
    return p


def main(arguments: list[str] | None = None) -> int:
    a = parser().parse_args(arguments)
    given = vars(a)
    pipeline = {
        k: given[k]
        for k in (
            "weights_path",
            "mano_path",
            "detector_path",
            "heads",
            "device",
            "dtype",
            "compat",
            "threads",
        )
        if given[k] is not None
    }
    call = {k: given[k] for k in ("conf_threshold", "iou_threshold") if given[k] is not None}
    try:
        s = label(
            a.input,
            a.output,
            engine=a.engine,
            workers=a.workers,
            part_size=a.part_size,
            limit=a.limit,
            every=a.every,
            column=a.column,
            key=a.key,
            boxes=a.boxes,
            include_vertices="vertices" in a.include,
            call=call,
            pipeline=pipeline,
            factory=a.pipeline,
            gpus=a.gpus,
            redo_bad=a.redo_bad,
            report=Progress(sys.stderr),
        )
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on", file=sys.stderr)
        return 130
    except (DatasetError, WorkerFailed, OSError, ValueError, ImportError) as e:
        print(f"wilor.dataset: {e}", file=sys.stderr)
        return 1 if isinstance(e, WorkerFailed) else 2
    print(f"{s.pictures} pictures, {s.hands} hands, {len(s.bad)} bad, {s.seconds:.1f} s: {a.output}")
    if s.bad:
        where = os.path.join(a.output, INNER, "bad.jsonl")
        print(f"wilor.dataset: {len(s.bad)} could not be labelled: {where}", file=sys.stderr)
    return 1 if s.bad else 0


if __name__ == "__main__":
    sys.exit(main())
