"""What the C library says of a failure, as exceptions: its line of text, its status, and Python's own
classes beside ours, so that `except OSError` and the like work."""

from __future__ import annotations

from . import _abi


class WilorError(Exception):
    """Any failure of the library. `status` is a wilor_status of the C header."""

    status: int = _abi.ERR_INTERNAL


class ArgumentError(WilorError, ValueError):
    status = _abi.ERR_ARG


class NoMemoryError(WilorError, MemoryError):
    status = _abi.ERR_NOMEM


class FileAccessError(WilorError, OSError):
    status = _abi.ERR_IO


class FormatError(WilorError, ValueError):
    """A file that is damaged, or not what it should be."""

    status = _abi.ERR_FORMAT


class ModelError(WilorError, ValueError):
    """A sound file that is not this model."""

    status = _abi.ERR_MODEL


class MissingError(WilorError, FileNotFoundError):
    """Weights or hand data are nowhere."""

    status = _abi.ERR_MISSING


class LimitError(WilorError, ValueError):
    status = _abi.ERR_LIMIT


class UnsupportedError(WilorError, NotImplementedError):
    """Sound, but this build or processor cannot do it."""

    status = _abi.ERR_UNSUPPORTED


class CancelledError(WilorError):
    status = _abi.ERR_CANCELLED


_BY_STATUS: dict[int, type[WilorError]] = {cls.status: cls for cls in WilorError.__subclasses__()}


def check(status: int, error: _abi.Error) -> None:
    """Raise what a C function said, unless it said WILOR_OK."""
    if status == _abi.OK:
        return
    raise _BY_STATUS.get(status, WilorError)(error.text.decode("utf-8", "replace"))
