"""HandPose, a hand as wilor-mlx gives it with what it lacks behind, and the list of a picture's hands."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ._picture import Image, as_array
from ._results import HandArrays
from .overlay import draw, png

STATES = ("detected", "tracked", "predicted")


@dataclass
class HandPose:
    """A hand. The six fields are those of wilor_mlx.pipeline.HandPose 0.3.1, plain lists of floats, those of
    points made when they are first asked for; all else is float32 arrays, views of the picture's one result
    buffer (`arrays`). Metres, radians, pixels; camera axes x right, y down, z forward; points and vertices
    lie about the MANO origin: add `cam_t` for the camera's frame."""

    hand_side: str
    """"left" or "right"."""
    confidence: float
    bbox: list[float]
    """x0, y0, x1, y1 in pixels."""
    keypoints_2d: list[list[float]]
    """21 points in pixels where the detector saw them; the projected 3D ones when it did not look."""
    keypoints_3d: list[list[float]] | None = None
    """21 points; None with include_3d=False, and of a failed hand."""
    vertices: list[list[float]] | None = None
    """The mesh; None without include_vertices=True, and of a failed hand."""

    def __post_init__(self) -> None:
        self.arrays: HandArrays | None = None
        self.index = 0
        self._faces: tuple[np.ndarray, np.ndarray] | None = None

    def _all(self, name: str) -> np.ndarray:
        if self.arrays is None:
            raise AttributeError(f"{name}: this hand was only detected (include_3d=False)")
        try:
            every: np.ndarray = getattr(self.arrays, name)
        except AttributeError:
            raise AttributeError(f"{name}: only a tracker's hands have it") from None
        return every

    def _array(self, name: str) -> np.ndarray:
        own: np.ndarray = self._all(name)[self.index]
        return own

    @property
    def failed(self) -> bool:
        """The network gave numbers that are not finite: do not use the arrays."""
        return self.arrays is not None and bool(self.arrays.failed[self.index])

    @property
    def detected(self) -> bool:
        """Whether the detector gave the box (else the caller, or a tracker)."""
        return self.arrays is None or bool(self.arrays.detected[self.index])

    @property
    def keypoint_scores(self) -> np.ndarray:
        """(21,): visibility 0 … 1, as the detector says; zeros without it."""
        scores: np.ndarray = self._array("detected_keypoints")[:, 2]
        return scores

    @property
    def points(self) -> np.ndarray:
        """(21, 3): keypoints_3d as an array."""
        return self._array("keypoints_3d")

    @property
    def keypoints_2d_projected(self) -> np.ndarray:
        """(21, 2): keypoints_3d seen through the camera, pixels."""
        return self._array("keypoints_2d")

    @property
    def cam_t(self) -> np.ndarray:
        """(3,): add it to points and vertices for the camera's frame."""
        return self._array("cam_t")

    @property
    def pred_cam(self) -> np.ndarray:
        """(3,): s, tx, ty, the crop's weak perspective."""
        return self._array("pred_cam")

    @property
    def focal(self) -> np.ndarray:
        """(2,): fx, fy in pixels that cam_t and the projection used."""
        return self._array("focal")

    @property
    def principal(self) -> np.ndarray:
        """(2,): cx, cy."""
        return self._array("principal")

    @property
    def crop(self) -> np.ndarray:
        """(3,): centre x, y and side of the square that the network saw."""
        return self._array("crop")

    @property
    def global_orient(self) -> np.ndarray:
        """(3,): rotation vector of the wrist."""
        return self._array("global_orient")

    @property
    def hand_pose(self) -> np.ndarray:
        """(15, 3): rotation vectors in MANO's order."""
        return self._array("hand_pose")

    @property
    def betas(self) -> np.ndarray:
        """(10,): shape."""
        return self._array("betas")

    @property
    def rotation(self) -> np.ndarray:
        """(16, 3, 3): the same rotations as matrices, the wrist's first."""
        return self._array("rotation")

    @property
    def id(self) -> int:
        """A tracker's number for this hand, from 1 on."""
        return int(self._all("id")[self.index])

    @property
    def state(self) -> str:
        """ "detected", "tracked" or "predicted" (not seen in this picture)."""
        return STATES[int(self._all("state")[self.index])]

    @property
    def age(self) -> float:
        """Seconds since the id began."""
        return float(self._all("age_ns")[self.index]) * 1e-9

    @property
    def velocity(self) -> np.ndarray:
        """(3,): of the wrist, metres a second."""
        return self._array("velocity")

    @property
    def spin(self) -> np.ndarray:
        """(3,): of the wrist, radians a second about the camera's axes."""
        return self._array("spin")

    @property
    def faces(self) -> np.ndarray:
        """(1538, 3) int32: triangles, counter-clockwise seen from outside on this side's mesh."""
        if self._faces is None:
            raise AttributeError("faces: this hand was only detected (include_3d=False)")
        return self._faces[self.hand_side == "right"]

    def mesh(self, camera: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """vertices (V, 3) and faces: trimesh.Trimesh(*hand.mesh()). In the camera's frame, or with
        camera=False about the MANO origin (a view then)."""
        vertices = self._array("vertices_3d")
        return (vertices + self.cam_t if camera else vertices), self.faces

    def to_rerun(self, entity: str = "hand", recording: Any = None) -> None:
        """Log mesh, 3D points and 2D points with rerun-sdk: below `entity`, in the camera's frame."""
        rr = _rerun()
        vertices, faces = self.mesh()
        rr.log(
            entity + "/mesh",
            rr.Mesh3D(vertex_positions=vertices, triangle_indices=faces),
            recording=recording,
        )
        points = self.points + self.cam_t
        strips = [points[[0, *range(1 + 4 * f, 5 + 4 * f)]] for f in range(5)]
        rr.log(entity + "/bones", rr.LineStrips3D(strips), recording=recording)
        rr.log(entity + "/image", rr.Points2D(np.asarray(self.keypoints_2d, np.float32)), recording=recording)


def _rerun() -> Any:
    try:
        import rerun
    except ImportError as e:
        raise ImportError("to_rerun needs rerun-sdk") from e
    return rerun


def build(
    arrays: HandArrays,
    faces: tuple[np.ndarray, np.ndarray],
    include_3d: bool,
    include_vertices: bool,
) -> list[HandPose]:
    """A HandPose for each hand of a result."""
    n = arrays.n
    numbers, flags = arrays.plain()
    out = []
    for i in range(n):
        hand = object.__new__(HandPose)
        hand.__dict__ = {
            "hand_side": "right" if flags[i] else "left",
            "confidence": numbers[i],
            "bbox": numbers[n + 4 * i : n + 4 * i + 4],
            "arrays": arrays,
            "index": i,
            "_faces": faces,
        }
        if not include_3d or flags[n + i]:
            hand.keypoints_3d = None
        if not include_vertices or flags[n + i]:
            hand.vertices = None
        out.append(hand)
    return out


class _Later:
    """A field of a hand that build() made: its list, made at the first look, from then on in its place."""

    def __init__(self, name: str, make: Callable[[HandPose], list[list[float]]]):
        self.name, self.make = name, make

    def __get__(self, hand: HandPose | None, owner: type | None = None) -> Any:
        if hand is None or hand.__dict__.get("arrays") is None:
            raise AttributeError(self.name)
        points = hand.__dict__[self.name] = self.make(hand)
        return points


def _seen(hand: HandPose) -> list[list[float]]:
    if hand.detected:
        return cast(list[list[float]], hand._array("detected_keypoints")[:, :2].tolist())
    return cast(list[list[float]], hand.keypoints_2d_projected.tolist())


# Behind the dataclass, whose signature and defaults stay as they are.
for _name, _make in {
    "keypoints_2d": _seen,
    "keypoints_3d": lambda hand: hand.points.tolist(),
    "vertices": lambda hand: hand._array("vertices_3d").tolist(),
}.items():
    setattr(HandPose, _name, _Later(_name, _make))


class Hands(list[HandPose]):
    """The hands of one picture: a list, and `arrays` with all of them (None when only the detector ran).
    The picture itself is not kept, only where it is."""

    def __init__(
        self,
        hands: Iterable[HandPose] = (),
        arrays: HandArrays | None = None,
        size: tuple[int, int] = (0, 0),
        source: Image | None = None,
    ):
        super().__init__(hands)
        self.arrays = arrays
        self.size = size
        """Width and height of the picture."""
        self._source = weakref.ref(source) if isinstance(source, np.ndarray) else source

    def __reduce__(self) -> tuple[Any, ...]:
        path = self._source if isinstance(self._source, (str, os.PathLike)) else None
        return Hands, (list(self), self.arrays, self.size, path)

    def _picture(self) -> np.ndarray:
        """Where the hands were seen, if it is still to be had, else black."""
        source = self._source() if isinstance(self._source, weakref.ref) else self._source
        if source is None:
            return np.zeros((self.size[1], self.size[0], 3), np.uint8)
        return as_array(source)

    def draw(self, image: Image | None = None) -> np.ndarray:
        """A picture (None: the one that was given, while it lives) with the hands drawn over it, RGB."""
        return draw(self._picture() if image is None else image, self)

    def _repr_png_(self) -> bytes:
        return png(self.draw())

    def to_rerun(self, entity: str = "hands", recording: Any = None) -> None:
        """Every hand, as HandPose.to_rerun: below entity/0, entity/1 …, or its id if it is followed."""
        for i, hand in enumerate(self):
            followed = hand.arrays is not None and hasattr(hand.arrays, "id")
            hand.to_rerun(f"{entity}/{hand.id if followed else i}", recording)
