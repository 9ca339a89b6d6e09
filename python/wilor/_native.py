"""Models, detectors and pipelines of the C library as Python objects that free what they own, and a store
of pipelines, so that any number of threads can use one model: a pipeline takes one call at a time."""

from __future__ import annotations

import contextlib
import ctypes as c
import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from . import _abi, _library, _results
from .errors import ArgumentError, check

logger = logging.getLogger("wilor")


def _log_text(_user: Any, level: int, text: bytes) -> None:
    logger.log(logging.WARNING if level == 2 else logging.INFO, text.decode("utf-8", "replace"))


_log = _abi.LogFn(_log_text)


def _encode(path: str | os.PathLike[str] | None) -> bytes | None:
    return None if path is None else os.fspath(path).encode("utf-8", "surrogateescape")


def choice(name: str, value: str, table: dict[str, int]) -> int:
    if value not in table:
        raise ArgumentError(f"{name} {value!r}: wanted one of {', '.join(table)}")
    return table[value]


def _device(device: object) -> bytes | None:
    """The library's word for a device, which may be torch's: "cpu", "auto", "cuda", "cuda:0"; None: "cpu"."""
    name = "cpu" if device is None else str(device)
    return None if name.split(":")[0] == "cpu" else name.encode("utf-8", "replace")


def _free(free: Callable[[Any], None], handle: c.c_void_p, pid: int, _needs: Any) -> None:
    # In a forked child the handle's threads do not exist: waiting for them would hang.
    if os.getpid() == pid:
        free(c.byref(handle))


class Handle:
    """A C object with its free function, freed when nothing refers to it any more.

    needs: handles that have to outlive it. The finalizer holds them, not the object: the garbage collector
    takes objects of a cycle in any order, but a finalizer's arguments are alive until it has run."""

    def __init__(self, handle: c.c_void_p, free: Callable[[Any], None], *needs: Handle | None):
        self.value = handle
        self._finalizer = weakref.finalize(self, _free, free, handle, os.getpid(), needs)

    def close(self) -> None:
        self._finalizer()


def open_model(
    weights: str,
    mano: str | None,
    mean: str | None,
    dtype: str,
    threads: int,
    packed: str | os.PathLike[str] | None,
    heads: int,
    device: object,
) -> Handle:
    lib = _library.load()
    o, out, error = _abi.ModelOptions(), c.c_void_p(), _abi.Error()
    lib.wilor_model_options_init(c.byref(o), c.sizeof(o))
    o.weights, o.mano, o.mean = _encode(weights), _encode(mano), _encode(mean)
    o.packed = _encode(packed)
    o.device = _device(device)
    o.dtype = choice("dtype", dtype, _abi.DTYPES)
    o.threads, o.heads = threads, heads
    o.callbacks.log = _log
    check(lib.wilor_model_open(c.byref(out), c.byref(o), c.byref(error)), error)
    return Handle(out, lib.wilor_model_free)


def open_detector(path: str, threads: int, dtype: str, device: object) -> Handle:
    lib = _library.load()
    o, out, error = _abi.DetectorOptions(), c.c_void_p(), _abi.Error()
    lib.wilor_detector_options_init(c.byref(o), c.sizeof(o))
    o.detector = _encode(path)
    o.device = _device(device)
    o.dtype = choice("dtype", dtype, _abi.DTYPES)
    o.threads = threads
    o.callbacks.log = _log
    check(lib.wilor_detector_open(c.byref(out), c.byref(o), c.byref(error)), error)
    return Handle(out, lib.wilor_detector_free)


def save_packed(model: Handle, path: str | os.PathLike[str]) -> None:
    """Under a temporary name first: another process may be mapping the file."""
    lib = _library.load()
    path = os.fspath(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    failure: list[OSError] = []
    with open(temporary, "wb") as file:

        def write(_user: Any, data: int, size: int) -> int:
            try:
                file.write((c.c_char * size).from_address(data))
            except OSError as e:
                failure.append(e)
                return 1
            return 0

        error = _abi.Error()
        status = lib.wilor_model_save_packed(model.value, _abi.WriteFn(write), None, c.byref(error))
    try:
        if failure:
            raise failure[0]
        check(status, error)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


_hands_pointer = c.POINTER(_abi.Hands)


class Pipeline(Handle):
    """A wilor_pipeline: scratch memory and threads over a shared model and detector."""

    def __init__(
        self,
        detector: Handle | None,
        model: Handle | None,
        *,
        compat: int = 0,
        threads: int = 0,
        batch: int = 0,
        max_hands: int = 0,
        full_path: bool = False,
    ):
        lib = _library.load()
        o, out, error = _abi.PipelineOptions(), c.c_void_p(), _abi.Error()
        lib.wilor_pipeline_options_init(c.byref(o), c.sizeof(o))
        o.compat, o.threads, o.batch, o.max_hands = compat, threads, batch, max_hands
        o.full_path = full_path
        self.memory: int = lib.wilor_pipeline_memory(None, model.value if model else None, c.byref(o), 0, 0)
        """Bytes of a session, without the detector's maps."""
        status = lib.wilor_pipeline_create(
            c.byref(out),
            detector.value if detector else None,
            model.value if model else None,
            c.byref(o),
            c.byref(error),
        )
        check(status, error)
        super().__init__(out, lib.wilor_pipeline_free, detector, model)
        self.session = lib.wilor_pipeline_session(out) if model else None
        self._out, self._error = _hands_pointer(), _abi.Error()
        self.answer = (c.byref(self._out), c.byref(self._error))
        """The last two arguments of a call that gives hands."""
        self._sources: _results.Sources = {}

    def take(self, status: int) -> _results.HandArrays:
        """What the call before with `answer` gave, or its error."""
        if status != _abi.OK:
            check(status, self._error)
        return _results.take(self._out.contents, self._sources)


class Store:
    """Pipelines that nobody uses at the moment: a call takes one, or makes one, and gives it back. As many
    come to be as there are calls at the same time."""

    def __init__(self, make: Callable[[], Pipeline]):
        self._make = make
        self._idle: list[Pipeline] = []
        self._lock = threading.Lock()
        _stores.add(self)

    def pipeline(self) -> Loan:
        """For a with statement."""
        with self._lock:
            one = self._idle.pop() if self._idle else None
        return Loan(self, one or self._make())

    def _give_back(self, one: Pipeline) -> None:
        with self._lock:
            self._idle.append(one)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.close()

    def _forked(self) -> None:
        # Their threads stayed in the parent, and so may have who holds the lock.
        self._idle, self._lock = [], threading.Lock()


class Loan:
    """A pipeline for the time of a with block."""

    __slots__ = ("_one", "_store")

    def __init__(self, store: Store, one: Pipeline):
        self._store, self._one = store, one

    def __enter__(self) -> Pipeline:
        return self._one

    def __exit__(self, *_: object) -> None:
        self._store._give_back(self._one)


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_stores):
        store._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
