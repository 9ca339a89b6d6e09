"""What every engine runs: a worker that turns one unit of the plan into one part of the output.

`python -m wilor.dataset_work` is the worker of the local engine: a job as one line of JSON on its standard
input, then units, a line each; a line of JSON comes back for each. It ends with its input.

A picture that kills the process (a decoder's crash, no memory) must not kill the run for ever: each unit has
a small journal in which its worker says what it is about to do. After a death the unit is done again without
reading ahead, so that the journal is exact, and what has killed a worker twice since is left out, with an
error.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TextIO, TypeVar

import numpy as np

from . import dataset_rows as rows
from .dataset_read import Raw, ReadOptions, read_unit, said

AHEAD = 4
DEATHS = 2
Item = TypeVar("Item")
Decoded = tuple[Raw, "np.ndarray | None", "str | None"]
"""(raw, picture, None) or (raw, None, error)."""
INNER = "_wilor"


def part_name(part: int) -> str:
    return f"part-{part:06d}.parquet"


class Worker:
    """One model, many units. job: what dataset.label puts together; plain JSON."""

    def __init__(self, job: dict[str, Any]):
        self.job = job
        self.options = ReadOptions(**job["read"])
        self.label, provenance = open_labeller(job)
        self.provenance = {**job["provenance"], **provenance}

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        """Write the unit's part; says how many pictures and hands it has, which are bad, and what time it
        took."""
        begin, busy = time.monotonic(), time.process_time()
        out, part = self.job["out"], unit["part"]
        with Journal(os.path.join(out, INNER, f"at-{part:06d}")) as journal:
            found, pictures = [], 0
            for raw, picture, error in self.pictures(unit, journal):
                found += self.rows_of(raw, picture, error)
                pictures += 1
            result = summary(part, found, pictures)
            metadata = {
                "wilor.job": self.job["id"],
                "wilor.part": str(part),
                "wilor.result": json.dumps(result),
            }
            table = rows.table_of(found, self.job["include_vertices"], self.provenance, metadata)
            rows.write_part(table, os.path.join(out, part_name(part)), os.path.join(out, INNER))
        spent = {"seconds": time.monotonic() - begin, "cpu": time.process_time() - busy}
        return {**result, **{k: round(v, 3) for k, v in spent.items()}}

    def pictures(self, unit: dict[str, Any], journal: Journal) -> Iterator[Decoded]:
        """Decoded ahead on a thread, or one by one after a death."""
        raws = read_unit(self.job["root"], unit, self.options)
        if journal.exact:
            return decoded_exactly(raws, journal, unit["files"][0][0])
        return ahead((raw, *decoded(raw)) for raw in raws)

    def rows_of(self, raw: Raw, picture: np.ndarray | None, error: str | None) -> list[dict[str, Any]]:
        """A picture's rows; whatever goes wrong with it is its error."""
        head = {"key": raw.key, "source": raw.source, "frame": raw.frame, "time": raw.time}
        hands: list[dict[str, Any]] = []
        if picture is not None:
            head["height"], head["width"] = picture.shape[:2]
            try:
                hands = self.label(picture, raw.boxes)
            except Exception as e:
                error = said(e)
        return rows.picture_rows(head, hands, error)


def open_labeller(job: dict[str, Any]) -> tuple[rows.Label, dict[str, str]]:
    """(label(picture, boxes) -> a list of hand columns, what is known of its making)."""
    include = job["include_vertices"]
    if not job["factory"]:
        from .dataset_model import Labeller

        label = Labeller(job["pipeline"], job["provenance"], job["call"], include)
        return label, label.provenance
    module, _, name = job["factory"].partition(":")
    pipeline = getattr(importlib.import_module(module), name)(**job["pipeline"])

    def call(picture: np.ndarray, boxes: list[rows.Box] | None) -> list[rows.Row]:
        return rows.labelled(pipeline, picture, boxes, job["call"], include)

    return call, getattr(pipeline, "provenance", {})


def summary(part: int, found: list[dict[str, Any]], pictures: int) -> dict[str, Any]:
    """What the manifest keeps of a part."""
    bad = [[row["key"], row["frame"], row["error"]] for row in found if row.get("error")]
    hands = sum(row.get("hand") is not None for row in found)
    return {"part": part, "pictures": pictures, "rows": len(found), "hands": hands, "bad": bad}


# ---------------------------------------------------------------- decoding


def decoded(raw: Raw) -> tuple[np.ndarray | None, str | None]:
    """(picture, None) or (None, error)."""
    if raw.error is not None:
        return None, raw.error
    if raw.load is None:
        return None, "nothing to decode"
    try:
        return raw.load(), None
    except Exception as e:
        return None, said(e)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, made on another thread, AHEAD at most before they are wanted."""
    # An item in a tuple, or what ended them: an exception, None for their end.
    line: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(said: tuple[Item] | BaseException | None) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                line.put(said, timeout=0.1)
                return

    def fill() -> None:
        try:
            for item in items:
                put((item,))
                if stop.is_set():
                    return
            put(None)
        except BaseException as e:
            put(e)

    threading.Thread(target=fill, daemon=True).start()
    try:
        while True:
            heard = line.get()
            if heard is None:
                return
            if isinstance(heard, BaseException):
                raise heard
            yield heard[0]
    finally:
        stop.set()


def decoded_exactly(raws: Iterator[Raw], journal: Journal, name: str) -> Iterator[Decoded]:
    """As ahead, but the journal knows each step: 2 i is reading the i-th picture, 2 i + 1 working on it."""
    for i in itertools.count():
        if journal.deadly(2 * i):
            error = "the process died twice while it read this; what comes behind is left out"
            yield Raw(name, name, error=error), None, error
            return
        journal.at(2 * i)
        raw = next(raws, None)
        if raw is None:
            return
        if journal.deadly(2 * i + 1):
            yield raw, None, "the process died twice on this picture"
            continue
        journal.at(2 * i + 1)
        yield raw, *decoded(raw)


class Journal:
    """Which step of a unit is being done, in a file that survives the process. `exact` after a death."""

    def __init__(self, path: str):
        self.path = path
        self.deaths: dict[str, int] = {}
        self.exact = False
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            with open(path, encoding="ascii") as f:
                head, _, step = f.read().partition("\n")
            self.deaths = json.loads(head)
            self.exact = True
            if step.strip():
                self.deaths[step.strip()] = self.deaths.get(step.strip(), 0) + 1

    def __enter__(self) -> Journal:
        self.file = open(self.path, "wb", buffering=0)
        self.file.write((json.dumps(self.deaths) + "\n").encode("ascii"))
        self.place = self.file.tell()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        if kind is None or issubclass(kind, Exception):
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    def at(self, step: int) -> None:
        self.file.seek(self.place)
        self.file.write(b"%-12d" % step)

    def deadly(self, step: int) -> bool:
        return self.deaths.get(str(step), 0) >= DEATHS


# ---------------------------------------------------------------- the local engine's process


def serve(stdin: TextIO, stdout: TextIO) -> None:
    """Units in, results out, until the input ends; then, whatever is being done, the process is gone, too."""
    units: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> None:
        for line in stdin:
            units.put(json.loads(line))
        os._exit(0)

    job = json.loads(stdin.readline())
    threading.Thread(target=listen, daemon=True).start()
    try:
        worker = Worker(job)
        say(stdout, {"ready": True})
        while True:
            say(stdout, worker(units.get()))
    except Exception as e:
        say(stdout, {"fatal": said(e)})
        raise SystemExit(1) from None


def say(stdout: TextIO, value: dict[str, Any]) -> None:
    stdout.write(json.dumps(value) + "\n")
    stdout.flush()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print does not get between the answers
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
