"""A script as WiLoR-mini's users have it, after its README and tests: WEIGHTS DTYPE OUT PICTURE ...

test_mini.py and check-mini run it on wilor.compat with nothing but the import line changed; check-mini runs
it as it stands, too. OUT gets N.npz, N being the picture's place in the list."""

import sys

import cv2
import numpy as np
import torch
from wilor_mini.pipelines.wilor_hand_pose3d_estimation_pipeline import WiLorHandPose3dEstimationPipeline

device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
dtype = getattr(torch, sys.argv[2])
options = dict(verbose=False, wilor_pretrained_dir=sys.argv[1])
pipe = WiLorHandPose3dEstimationPipeline(device=device, dtype=dtype, **options)
faces = pipe.wilor_model.mano.faces
for number, name in enumerate(sys.argv[4:]):
    image = cv2.imread(name)
    outputs = pipe.predict(image, hand_conf=0.05)
    rows = {"faces": faces, "count": len(outputs)}
    for i, out in enumerate(outputs):
        preds = out["wilor_preds"]
        rows[f"{i}.hand_bbox"] = out["hand_bbox"]
        rows[f"{i}.is_right"] = out["is_right"]
        rows[f"{i}.mesh"] = preds["pred_vertices"][0] + preds["pred_cam_t_full"][0]
        for key, value in preds.items():
            rows[f"{i}.{key}"] = value
    np.savez(f"{sys.argv[3]}/{number}.npz", **rows)
