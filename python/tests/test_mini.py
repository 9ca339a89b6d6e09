"""WiLoR-mini's class: a script of its kind with one import line changed, and its dictionaries."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from test_golden import METRES, OUTPUTS, near
from wilor.compat import WiLorHandPose3dEstimationPipeline

# As upstream's README and tests call it. Only the import line is to be another.
SCRIPT = pathlib.Path(__file__).with_name("mini_script.py").read_text()
# Stand-ins for what such scripts import beside: only names that they use.
TORCH = """
class device:
    def __init__(self, name): self.name = name
    def __str__(self): return self.name
float16 = "torch.float16"
class cuda:
    is_available = staticmethod(lambda: False)
"""
CV2 = """
import numpy as np
from PIL import Image
IMREAD_COLOR = 1
def imread(path, flags=1): return np.asarray(Image.open(path).convert("RGB"))[:, :, ::-1]
"""
LINE = "from wilor_mini.pipelines.wilor_hand_pose3d_estimation_pipeline import"


def put_weights(data, folder):
    """A folder as upstream's downloads leave it, of the committed synthetic files."""
    import os

    target = folder / "pretrained_models"
    target.mkdir(parents=True)
    (target / "detector.pt").symlink_to(data / "detector/micro.pt")
    os.symlink(data / "hand-cc0.npz", target / "MANO_RIGHT.pkl")
    return folder


@pytest.fixture
def weights(data, tmp_path, monkeypatch):
    monkeypatch.setenv("WILOR_WEIGHTS", "random:hd80")
    return put_weights(data, tmp_path / "weights")


def test_script(weights, data, tmp_path):
    pytest.importorskip("PIL.Image", reason="pillow is not installed")
    assert SCRIPT.count(LINE) == 1
    (tmp_path / "script.py").write_text(SCRIPT.replace(LINE, "from wilor.compat import"))
    for name, text in (("torch", TORCH), ("cv2", CV2)):
        try:
            __import__(name)
        except ImportError:
            (tmp_path / f"{name}.py").write_text(text)
    want = np.load(data / "detector/route_micro.npz")
    names = [bytes(row).rstrip(b"\0").decode() for row in want["names"]]
    pictures = [data / "detector" / name for name in names]
    pictures = [p if p.exists() else data / "detector/frames" / p.name for p in pictures]
    subprocess.check_call([sys.executable, tmp_path / "script.py", weights, "float16", tmp_path, *pictures])
    for number in range(len(names)):
        got = np.load(tmp_path / f"{number}.npz")
        rows = np.flatnonzero(want["picture"] == number)
        assert got["count"] == len(rows)
        assert got["faces"].shape == (1538, 3)
        for i, row in enumerate(rows):
            assert got[f"{i}.is_right"] == want["side"][row]
            assert np.array_equal(got[f"{i}.hand_bbox"], want["box"][row])
            near(got[f"{i}.pred_keypoints_3d"][0], want["keypoints_3d"][row], METRES)
            near(got[f"{i}.pred_vertices"][0][want["sampled"]], want["vertices"][row], METRES)
            near(got[f"{i}.pred_cam"][0], want["pred_cam"][row], OUTPUTS)
            near(got[f"{i}.mesh"][want["sampled"]] - want["cam_t"][row], want["vertices"][row], 2e-4)


def test_boxes(fixtures, tmp_path, monkeypatch):
    """predict_with_bboxes: every key, shape, type and number of upstream's answers."""
    (tmp_path / "pretrained_models").mkdir()
    (tmp_path / "pretrained_models/detector.pt").symlink_to(fixtures / "detector/detector_tiny.pt")
    for name in ("MANO_RIGHT.pkl", "mano_mean_params.npz"):
        (tmp_path / "pretrained_models" / name).symlink_to(fixtures / "tiny" / name)
    (tmp_path / "pretrained_models/wilor_final.ckpt").symlink_to(fixtures / "tiny/wilor_tiny.ckpt")
    pipe = WiLorHandPose3dEstimationPipeline(wilor_pretrained_dir=tmp_path, verbose=False, heads=4)
    for photo in ("test1.jpg", "test3.jpg", "test5.jpeg"):
        want = np.load(fixtures / "tiny/pipeline" / (photo.replace(".", "_") + ".npz"))
        bgr = np.load(fixtures / "photos_decoded.npz")[photo]
        got = pipe.predict_with_bboxes(bgr, want["boxes"], want["is_right"])
        keys = [k[4:] for k in want.files if k.startswith("out.")]
        for i, one in enumerate(got):
            assert list(one) == ["hand_bbox", "is_right", "wilor_preds"]
            assert one["hand_bbox"] == want["boxes"][i].tolist() and one["is_right"] == want["is_right"][i]
            assert list(one["wilor_preds"]) == keys
            for key, value in one["wilor_preds"].items():
                expected = want["out." + key][i]
                if key != "scaled_focal_length":
                    assert value.shape == (1, *expected.shape) and value.dtype == expected.dtype, key
                metres = key in ("pred_keypoints_3d", "pred_vertices")
                near(np.ravel(value), np.ravel(expected), METRES if metres else OUTPUTS)
    assert pipe.predict_with_bboxes(bgr, np.zeros((0, 4)), []) == []


def test_nothing_found(weights, caplog):
    pipe = WiLorHandPose3dEstimationPipeline(
        wilor_pretrained_dir=weights, device="cuda", dtype="torch.float32"
    )
    assert "cuda" in caplog.text
    assert pipe.predict(np.zeros((64, 64, 3), np.uint8), hand_conf=0.999) == []
    assert "No hand detected!" in caplog.text
