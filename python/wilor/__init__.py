"""wilor: 3D hands from pictures. The C library behind the calls of wilor-mlx, with NumPy arrays.

from wilor import HandPosePipeline

pipeline = HandPosePipeline.from_pretrained()
for hand in pipeline("photo.jpg"):
    print(hand.hand_side, hand.confidence, hand.bbox, hand.points + hand.cam_t)
"""

from ._hands import HandPose, Hands
from ._results import HandArrays
from .detector import Detections, HandDetector
from .errors import (
    ArgumentError,
    CancelledError,
    FileAccessError,
    FormatError,
    LimitError,
    MissingError,
    ModelError,
    NoMemoryError,
    UnsupportedError,
    WilorError,
)
from .model import WiLoR
from .pipeline import HandPosePipeline
from .tracker import LiveEvent, Tracker, Tracks, live

__all__ = [
    "ArgumentError",
    "CancelledError",
    "Detections",
    "FileAccessError",
    "FormatError",
    "HandArrays",
    "HandDetector",
    "HandPose",
    "HandPosePipeline",
    "Hands",
    "LimitError",
    "LiveEvent",
    "MissingError",
    "ModelError",
    "NoMemoryError",
    "Tracker",
    "Tracks",
    "UnsupportedError",
    "WiLoR",
    "WilorError",
    "build_info",
    "live",
    "__version__",
]


def build_info() -> str:
    """One line: version, source revision, compiler, processor family, features."""
    from . import _library

    text: bytes = _library.load().wilor_build_info()
    return text.decode()


def __getattr__(name: str) -> str:
    # The library's own, so that importing this package does not load it.
    if name == "__version__":
        from . import _library

        text: bytes = _library.load().wilor_version()
        return text.decode()
    raise AttributeError(f"module 'wilor' has no attribute {name!r}")
