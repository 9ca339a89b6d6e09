"""A pipeline that needs no model, for test_dataset.py and the scripts: its answers follow from the pixels.

The first pixel's red says how many hands (modulo 3; above 250: an error; 250: it kills its process), its
green what their numbers are. Blue 255 makes one of them NaN.
"""

import os
import time
from types import SimpleNamespace

import numpy as np

WIDTHS = {
    "keypoints_2d": (21, 2),
    "keypoint_scores": (21,),
    "keypoints_2d_projected": (21, 2),
    "keypoints_3d": (21, 3),
    "cam_t": (3,),
    "focal": (2,),
    "principal": (2,),
    "pred_cam": (3,),
    "global_orient": (3,),
    "hand_pose": (15, 3),
    "betas": (10,),
}


def make(**options):
    """The factory: --pipeline test_dataset_standin:make."""
    return StandIn()


def make_one(**options):
    """One hand in every picture, whatever its red: lossy videos."""
    return StandIn(1)


def make_none(**options):
    raise RuntimeError("there are no weights")


class StandIn:
    provenance = {"dtype": "none", "version": "0"}

    def __init__(self, always=None):
        self.always = always

    def __call__(self, image, *, include_3d=True, include_vertices=False, boxes=None, sides=(), **_):
        time.sleep(float(os.environ.get("STANDIN_SECONDS", "0")))
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        red = int(image[0, 0, 0])
        if red == 250:
            os.kill(os.getpid(), 9)
        if red > 250:
            raise RuntimeError("the stand-in was told to fail")
        if boxes is not None:
            return [
                hand(image, i, box, side, include_vertices)
                for i, (box, side) in enumerate(zip(boxes.tolist(), sides, strict=True))
            ]
        return [
            hand(image, i, [0, 0, 8, 8], "right" if i % 2 == 0 else "left", include_vertices)
            for i in range(red % 3 if self.always is None else self.always)
        ]


def hand(image, i, box, side, include_vertices):
    value = float(image[0, 0, 1]) + i
    h = {name: np.full(shape, value, np.float32) for name, shape in WIDTHS.items()}
    if int(image[0, 0, 2]) == 255:
        h["betas"][3] = np.nan
    h["vertices"] = np.full((778, 3), value, np.float32) if include_vertices else None
    return SimpleNamespace(hand_side=side, confidence=0.5, bbox=list(box), **h)
