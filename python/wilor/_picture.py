"""Pictures as the library takes them: views of the caller's array where its layout allows, else a copy."""

from __future__ import annotations

import importlib
import os
from typing import Any, Protocol

import numpy as np

from . import _abi
from .errors import FormatError


class PilImage(Protocol):
    """What is asked of an image of Pillow's."""

    @property
    def mode(self) -> str: ...

    def convert(self, mode: str) -> Any: ...


Image = np.ndarray | str | os.PathLike[str] | PilImage
"""uint8 array (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey; a PIL image; a path."""


def optional(name: str) -> Any:
    """A module that need not be there, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """A picture file as RGB, by OpenCV or Pillow, whichever is there; EXIF orientation applied."""
    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such picture")
    cv2 = optional("cv2")
    if cv2 is not None:
        bgr = cv2.imread(path, cv2.IMREAD_COLOR)
        if bgr is None:
            raise FormatError(f"{path}: not a picture that OpenCV reads")
        rgb: np.ndarray = bgr[:, :, ::-1]
        return rgb
    pil = optional("PIL.Image")
    if pil is None:
        raise ImportError(
            f"{path}: reading picture files needs opencv-python-headless or pillow; arrays need neither"
        )
    ops = importlib.import_module("PIL.ImageOps")
    try:
        with pil.open(path) as image:
            return np.asarray(ops.exif_transpose(image).convert("RGB"))
    except pil.UnidentifiedImageError as e:
        raise FormatError(f"{path}: not a picture that Pillow reads") from e


def _other(image: Any) -> np.ndarray:
    if isinstance(image, (str, os.PathLike)):
        return read(image)
    if hasattr(image, "mode") and hasattr(image, "convert") and image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGB")
    return np.asarray(image)


def as_array(image: Image) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4) uint8, without a copy where there is an array already."""
    array = image if isinstance(image, np.ndarray) else _other(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise TypeError(
            f"picture: {array.dtype} {array.shape}; wanted uint8 (H, W, 3) RGB, (H, W, 4) or (H, W)"
        )
    return array


_FORMATS = {1: _abi.GRAY8, 3: _abi.RGB8, 4: _abi.RGBA8}


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]  # array.ctypes costs three times as much
    return address


def view(array: np.ndarray) -> tuple[_abi.Picture, np.ndarray]:
    """The C view of an array of as_array, and what has to stay alive with it. Rows may lie anywhere, also
    upside down; RGB seen backwards in BGR memory (array[..., ::-1]) is taken as the BGR it is."""
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    line = width * channels
    # NumPy leaves the step of an axis of one element open.
    row = array.strides[0] if height > 1 else line
    pixel = array.strides[1] if width > 1 else channels
    byte = 1 if channels == 1 else array.strides[2]
    if pixel == channels and abs(row) >= line:
        if byte == 1:
            return _abi.Picture(_address(array), width, height, row, _FORMATS[channels]), array
        if byte == -1 and channels == 3:
            return _abi.Picture(_address(array) - 2, width, height, row, _abi.BGR8), array
    array = np.array(array, order="C", copy=True)
    return _abi.Picture(_address(array), width, height, line, _FORMATS[channels]), array
