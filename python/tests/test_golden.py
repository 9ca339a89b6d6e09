"""Results against the references of the C tests, by the same tolerances (tests/golden/test_stages.c,
test_route.c, test_mlx.c), and against the C program to the bit."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import wilor
from conftest import png

METRES, OUTPUTS = 1e-6, 4e-6


def near(got, want, limit, relative=True):
    want = np.asarray(want, np.float64)
    got = np.asarray(got, np.float64).reshape(want.shape)
    scale = max(1.0, float(np.abs(want).max())) if relative else 1.0
    assert np.abs(got - want).max() <= limit * scale


@pytest.fixture(scope="module")
def tiny(fixtures):
    model = wilor.WiLoR.from_pretrained(fixtures / "tiny/wilor_tiny.ckpt", heads=4)
    return wilor.HandPosePipeline(None, model)


@pytest.mark.parametrize("photo", ["test1.jpg", "test3.jpg", "test5.jpeg"])
def test_boxes(tiny, fixtures, photo):
    """WiLoR-mini's predict_with_bboxes."""
    want = np.load(fixtures / "tiny/pipeline" / (photo.replace(".", "_") + ".npz"))
    bgr = np.load(fixtures / "photos_decoded.npz")[photo]
    hands = tiny(bgr[:, :, ::-1], boxes=want["boxes"], sides=want["is_right"], include_vertices=True)
    assert [h.hand_side == "right" for h in hands] == want["is_right"].astype(bool).tolist()
    a = hands.arrays
    near(a.keypoints_3d, want["out.pred_keypoints_3d"], METRES)
    near([h.keypoints_3d for h in hands], want["out.pred_keypoints_3d"], METRES)
    near([h.vertices for h in hands], want["out.pred_vertices"], METRES)
    near(a.global_orient, want["out.global_orient"], OUTPUTS)
    near(a.hand_pose, want["out.hand_pose"], OUTPUTS)
    near(a.betas, want["out.betas"], OUTPUTS)
    near(a.pred_cam, want["out.pred_cam"], OUTPUTS)
    near(a.cam_t, want["out.pred_cam_t_full"], OUTPUTS)
    near(a.keypoints_2d, want["out.pred_keypoints_2d"], OUTPUTS)
    near(a.focal[:, 0], want["out.scaled_focal_length"], 1e-7)


@pytest.mark.parametrize("crop", [0, 1])
def test_mlx_model(fixtures, crop):
    """wilor-mlx's model, one crop at a time, from its own file."""
    folder = fixtures / "tiny/mlx"
    want = np.load(folder / "outputs.npz")
    model = wilor.WiLoR.from_pretrained(
        folder / "wilor-mlx.safetensors", folder / "mano.npz", compat="mlx", heads=4
    )
    got = model(want["crop_rgb"][crop : crop + 1])
    for key in ("pred_keypoints_3d", "pred_vertices"):
        near(got[key], want["f32.released." + key][crop : crop + 1], METRES)
    for key in ("pred_cam", "betas", "global_orient", "hand_pose"):
        assert got[key].shape == want["f32.released." + key][crop : crop + 1].shape
        near(got[key], want["f32.released." + key][crop : crop + 1], OUTPUTS)
    assert got["faces"].shape == (1538, 3) and got["faces"].dtype == np.int32


def test_mlx_route(fixtures, data):
    """wilor-mlx's pipeline on pictures, from its own detector's file; tests/golden/test_mlx_route.c
    says why vertices move by more than float32's noise here."""
    want = np.load(data / "mlx/whole_route.npz")
    pipeline = wilor.HandPosePipeline.from_pretrained(
        weights_path="random:tiny",
        mano_path=data / "hand-cc0.npz",
        detector_path=fixtures / "detector/hand-detector-tiny.safetensors",
        compat="mlx",
    )
    hands = 0
    for path in sorted((fixtures / "detector/frames").glob("*.png")):
        got = pipeline(png(path), include_vertices=True)
        assert [h.hand_side == "right" for h in got] == want[path.stem + ".side"].astype(bool).tolist()
        if not got:
            continue
        near([h.confidence for h in got], want[path.stem + ".score"], 1e-5)
        near([h.bbox for h in got], want[path.stem + ".box"], 2e-3 * 7.5, relative=False)
        near([h.keypoints_2d for h in got], want[path.stem + ".keypoints_2d"], 2e-3 * 7.5, relative=False)
        near([np.array(h.vertices)[::8] for h in got], want[path.stem + ".vertices"], 4e-4)
        near([h.keypoints_3d for h in got], want[path.stem + ".keypoints_3d"], 4e-4)
        hands += len(got)
    assert hands == 28


def program_npz(program, folder, *arguments):
    target = folder / "hands.npz"
    subprocess.run(
        [program, "predict", *map(str, arguments), "--npz", str(target), "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return np.load(target)


def test_program(program, pipeline, frames, data, tmp_path):
    """The whole route, to the bit."""
    for name, picture in frames.items():
        hands = pipeline(picture, conf_threshold=0.05, iou_threshold=0.7)
        want = program_npz(
            program,
            tmp_path,
            *(data / "detector/frames" / name, "--weights", "random:hd80"),
            *("--mano", data / "hand-cc0.npz", "--detector", data / "detector/micro.pt", "--conf", 0.05),
        )
        a = hands.arrays
        assert len(hands) == len(want["is_right"]) > 0
        assert np.array_equal(a.side, want["is_right"])
        for ours, theirs in (
            ("keypoints_3d", "pred_keypoints_3d"),
            ("vertices_3d", "pred_vertices"),
            ("cam_t", "pred_cam_t_full"),
            ("pred_cam", "pred_cam"),
            ("betas", "betas"),
        ):
            assert np.array_equal(getattr(a, ours), want[theirs].reshape(getattr(a, ours).shape)), ours


def test_mini_route(pipeline, frames, data):
    """WiLoR-mini's predict, hand by hand: sides, boxes, meshes."""
    want = np.load(data / "detector/route_micro.npz")
    names = [bytes(row).rstrip(b"\0").decode().split("/")[-1] for row in want["names"]]
    for number, name in enumerate(names):
        rows = want["picture"] == number
        hands = pipeline(frames[name], conf_threshold=0.05, iou_threshold=0.7)
        assert [h.hand_side == "right" for h in hands] == want["side"][rows].astype(bool).tolist()
        near([h.confidence for h in hands], want["score"][rows], 1e-5)
        # Whole pixels; one that lies within the detector's noise of a half may be rounded otherwise.
        assert np.abs(np.array([h.bbox for h in hands]) - want["box"][rows]).max() == 0
        near(hands.arrays.keypoints_3d, want["keypoints_3d"][rows], METRES)
        near(hands.arrays.vertices_3d[:, want["sampled"]], want["vertices"][rows], METRES)


def test_detection_only(pipeline, detector, picture, monkeypatch):
    whole = pipeline(picture, conf_threshold=0.05)
    alone = pipeline(picture, conf_threshold=0.05, include_3d=False)
    assert [(h.hand_side, h.confidence, h.bbox, h.keypoints_2d) for h in alone] == [
        (h.hand_side, h.confidence, h.bbox, h.keypoints_2d) for h in whole
    ]
    assert alone[0].keypoints_3d is None and alone.arrays is None
    with pytest.raises(AttributeError, match="include_3d"):
        _ = alone[0].cam_t
    found = detector.detect(picture, conf_threshold=0.05, iou_threshold=0.5)
    assert np.array_equal(found.boxes, np.array([h.bbox for h in whole], np.float32))
    both = detector.detect([picture, picture], conf_threshold=0.05, iou_threshold=0.5)
    assert np.array_equal(both[1].boxes, found.boxes)


def test_events(program, pipeline, picture, data):
    """A real camera: translation and projection are those of the program's events."""
    hands = pipeline(picture, conf_threshold=0.05, intrinsics=(300, 310, 128, 90))
    said = subprocess.check_output(
        [program, "predict", data / "detector/frames/wide_260x180.png", "--weights", "random:hd80"]
        + ["--mano", data / "hand-cc0.npz", "--detector", data / "detector/micro.pt", "--conf", "0.05"]
        + ["--iou", "0.5", "--intrinsics", "300,310,128,90", "--quiet"]
    )
    event = json.loads(said)
    assert len(event["hands"]) == len(hands)
    for hand, want in zip(hands, event["hands"]):
        near(hand.cam_t, want["cam_t"], 1e-5)
        near(hand.keypoints_2d_projected, want["kp2d"], 1e-4)


def test_detector_itself(fixtures):
    """ultralytics' head output before suppression; the limits of docs/detector.md."""
    folder = fixtures / "detector"
    want = np.load(folder / "raw_tiny.npz")
    detector = wilor.HandDetector.from_pretrained(folder / "detector_tiny.pt")
    compared = 0
    for path in sorted((folder / "letterbox").glob("*.png")):
        key = path.stem + ".y"
        if key not in want.files:
            continue
        got = detector(png(path)[None])
        assert got.shape == (1, *want[key].shape) and got.dtype == np.float32
        assert np.abs(got[0, 4:6] - want[key][4:6]).max() <= 1e-5
        assert np.abs(got[0, :4] - want[key][:4]).max() <= 2e-3
        compared += 1
    assert compared == 2


def test_seed_beside(fixtures):
    """wilor_mlx itself, run beside ours."""
    script = pathlib.Path(__file__).with_name("compare_seed.py")
    done = subprocess.run(
        [sys.executable, "-B", script, "--fixtures", fixtures], capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
