"""Find and load the C library: $WILOR_LIBRARY, the one in this package, the system's.

ctypes.CDLL lets go of the interpreter's lock during every call."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
import threading
from pathlib import Path

from . import _abi

# Of the header that _abi.py was written after.
_INTERFACE = (0, 1)
_lock = threading.Lock()
_loaded: ctypes.CDLL | None = None


def file_name() -> str:
    if sys.platform == "win32":
        return "wilor.dll"
    return "libwilor.dylib" if sys.platform == "darwin" else "libwilor.so"


def _candidates() -> list[str]:
    given = os.environ.get("WILOR_LIBRARY")
    if given:
        return [given]
    inside = Path(__file__).with_name(file_name())
    if inside.exists():
        return [str(inside)]
    found = ctypes.util.find_library("wilor")
    return [found] if found else []


def _declare(library: ctypes.CDLL, path: str) -> None:
    library.wilor_version.restype = ctypes.c_char_p
    version = library.wilor_version().decode()
    if tuple(int(x) for x in version.split(".")[:2]) != _INTERFACE:
        wanted = ".".join(str(x) for x in _INTERFACE)
        raise ImportError(f"{path} is wilor {version}; this package needs {wanted}.x")
    for name, (result, arguments) in _abi.FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def load() -> ctypes.CDLL:
    global _loaded
    if _loaded is not None:
        return _loaded
    with _lock:
        if _loaded is None:
            paths = _candidates()
            if not paths:
                raise ImportError(
                    f"no {file_name()}: neither in {Path(__file__).parent} nor on the system; "
                    "install the wheel, or set WILOR_LIBRARY to the library's path"
                )
            try:
                library = ctypes.CDLL(paths[0])
            except OSError as e:
                raise ImportError(f"{paths[0]}: {e}") from e
            _declare(library, paths[0])
            _loaded = library
        return _loaded
