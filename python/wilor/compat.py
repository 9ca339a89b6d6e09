"""WiLoR-mini's class, its calls and its dictionaries, over this library:

from wilor.compat import WiLorHandPose3dEstimationPipeline

in place of wilor_mini.pipelines.wilor_hand_pose3d_estimation_pipeline. Pictures are BGR arrays as OpenCV
reads them, as upstream's tests give them. No torch: device and dtype are taken in torch's words and in
ours. docs/python-from-wilor-mini.md has the differences."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from . import _weights
from ._hands import Hands
from .detector import HandDetector, dtype_beside
from .errors import ArgumentError, UnsupportedError
from .model import WiLoR
from .pipeline import HandPosePipeline

_FILES = ("wilor_final.ckpt", "MANO_RIGHT.pkl", "mano_mean_params.npz", "detector.pt")


_ON_CARDS = {"float16": "f16", "half": "f16", "bfloat16": "bf16"}


def _own_dtype(dtype: Any, card: bool) -> str:
    """torch's 32- and 16-bit floats become float32, the more exact, on a processor, and stay what they are
    on a card; our own names stay."""
    name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    if card and name in _ON_CARDS:
        return _ON_CARDS[name]
    return "f32" if name in ("float32", "float", *_ON_CARDS) else name


class WiLorHandPose3dEstimationPipeline:
    """Keywords of upstream: device, dtype, verbose, focal_length, wilor_pretrained_dir (with a folder
    pretrained_models in it), WILOR_MINI_REPO_ID (not used). Ours: threads, heads, batch, max_hands."""

    def __init__(self, **kwargs: Any):
        self.verbose = kwargs.get("verbose", True)
        self.logger = logging.getLogger("wilor." + type(self).__name__)
        self.logger.setLevel(logging.INFO if self.verbose else logging.ERROR)
        self.init_models(**kwargs)

    def init_models(self, **kwargs: Any) -> None:
        self.device = kwargs.get("device", "cpu")
        self.dtype = kwargs.get("dtype", "float32")
        self.FOCAL_LENGTH = kwargs.get("focal_length", 5000)
        self.IMAGE_SIZE = 256
        try:
            self._open(self.device, kwargs)
        except (UnsupportedError, ArgumentError) as e:
            if str(self.device).split(":")[0] in ("cpu", "auto", "None"):
                raise
            self.logger.warning("%s; computing on the processor", e)
            self._open("cpu", kwargs)

    def _open(self, device: Any, kwargs: dict[str, Any]) -> None:
        folder = Path(kwargs.get("wilor_pretrained_dir", os.curdir)) / "pretrained_models"
        weights, mano, mean, detector = (
            str(folder / name) if (folder / name).exists() else None for name in _FILES
        )
        files = _weights.find_model(weights, mano, mean, nano=False)  # WiLoR-mini has no other model
        threads = kwargs.get("threads", 0)
        dtype = _own_dtype(self.dtype, str(device).startswith("cuda"))
        self.wilor_model = WiLoR.from_pretrained(
            files.weights,
            files.mano,
            mean_path=files.mean,
            device=device,
            dtype=dtype,
            threads=threads,
            heads=kwargs.get("heads", 0),
        )
        self.hand_detector = HandDetector.from_pretrained(
            detector, device=device, dtype=dtype_beside(dtype), threads=threads
        )
        self._pipeline = HandPosePipeline(
            self.hand_detector,
            self.wilor_model,
            batch=kwargs.get("batch", 0),
            max_hands=kwargs.get("max_hands", 0),
        )

    def predict(self, image: np.ndarray, **kwargs: Any) -> list[dict[str, Any]]:
        """image: (H, W, 3) uint8 BGR. hand_conf: 0.3; rescale_factor: 2.5."""
        hands = self._run(image, kwargs, conf_threshold=kwargs.get("hand_conf", 0.3), iou_threshold=0.7)
        found = [{"hand_bbox": hand.bbox, "is_right": float(hand.hand_side == "right")} for hand in hands]
        return self._answer(hands, found)

    def predict_with_bboxes(
        self, image: np.ndarray, bboxes: np.ndarray, is_rights: Any, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """bboxes: (n, 4 or more), of which x0, y0, x1, y1 count; is_rights: n of 0 and 1."""
        boxes = np.asarray(bboxes)
        if len(boxes) == 0:
            return self._answer(Hands(), [])
        hands = self._run(image, kwargs, boxes=boxes[:, :4], sides=is_rights)
        found = [
            {"hand_bbox": box, "is_right": right} for box, right in zip(boxes[:, :4].tolist(), is_rights)
        ]
        return self._answer(hands, found)

    def _run(self, image: np.ndarray, kwargs: dict[str, Any], **options: Any) -> Hands:
        size = max(image.shape[:2])
        out = self._pipeline(
            image[:, :, ::-1],
            rescale=kwargs.get("rescale_factor", 2.5),
            warp=kwargs.get("warp", "cv5"),
            focal=self.FOCAL_LENGTH / self.IMAGE_SIZE * size,
            **options,
        )
        assert isinstance(out, Hands)
        return out

    def _answer(self, hands: Hands, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not found:
            self.logger.warning("No hand detected!")
            return found
        a = hands.arrays
        assert a is not None
        focal = self.FOCAL_LENGTH / self.IMAGE_SIZE * np.max(hands.size)
        for i, one in enumerate(found):
            k = slice(i, i + 1)
            one["wilor_preds"] = {
                "global_orient": a.global_orient[k, None],
                "hand_pose": a.hand_pose[k],
                "betas": a.betas[k],
                "pred_cam": a.pred_cam[k],
                "pred_keypoints_3d": a.keypoints_3d[k],
                "pred_vertices": a.vertices_3d[k],
                "pred_cam_t_full": a.cam_t[k].astype(np.float64),
                "scaled_focal_length": focal,
                "pred_keypoints_2d": a.keypoints_2d[k].astype(np.float64),
            }
        return found
