"""Pictures of every layout, results that stay, threads, forks, errors, trackers, drawings."""

import json
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest

import wilor
from wilor import _hands, _native, _picture, _weights, compat, overlay

BOX = [[60, 40, 160, 140]]


def run(pipeline, picture, **options):
    return pipeline(picture, boxes=BOX, sides=["left"], include_vertices=True, **options)


# ---------------------------------------------------------------- pictures
def test_layouts(pipeline, picture):
    want = run(pipeline, picture)[0].vertices
    big = np.zeros((200, 300, 3), np.uint8)
    big[10:190, 20:280] = picture
    bgr = np.ascontiguousarray(picture[:, :, ::-1])
    upside_down = np.ascontiguousarray(picture[::-1])
    alpha = np.dstack([picture, np.full(picture.shape[:2], 7, np.uint8)])
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0)
    views = {
        "part": big[10:190, 20:280],
        "bgr": bgr[:, :, ::-1],
        "upside down": upside_down[::-1],
        "alpha": alpha,
        "fortran": np.asfortranarray(picture),
        "planes": planes,
        "mirrored twice": np.ascontiguousarray(picture[:, ::-1])[:, ::-1],
    }
    for name, view in views.items():
        assert run(pipeline, view)[0].vertices == want, name
    for name in ("part", "bgr", "upside down", "alpha"):
        assert np.shares_memory(_picture.view(views[name])[1], views[name]), name
    # Steps of axes of one element say nothing.
    thin = np.zeros((9, 4, 3), np.uint8)[:, ::4]
    assert _picture.view(thin)[1] is thin


def test_paths(pipeline, picture, data):
    pytest.importorskip("PIL.Image", reason="pillow is not installed")
    path = data / "detector/frames/wide_260x180.png"
    assert run(pipeline, path)[0].vertices == run(pipeline, picture)[0].vertices
    assert run(pipeline, str(path))._repr_png_() == run(pipeline, picture)._repr_png_()
    with pytest.raises(FileNotFoundError, match="no_such.png"):
        pipeline("no_such.png")
    with pytest.raises(wilor.FormatError, match="conftest.py"):
        pipeline(os.path.join(os.path.dirname(__file__), "conftest.py"))


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
)
def test_bad_pictures(pipeline, bad):
    with pytest.raises(TypeError, match="picture: "):
        pipeline(bad)


def test_empty_picture(pipeline):
    with pytest.raises(wilor.ArgumentError):
        run(pipeline, np.zeros((0, 0, 3), np.uint8))


# ---------------------------------------------------------------- results
def test_results_stay(pipeline, picture):
    """A later call does not change them; every array is a view of one buffer."""
    hands = run(pipeline, picture)
    a = hands.arrays
    before = a.buffer.copy()
    run(pipeline, picture[::-1])
    assert np.array_equal(a.buffer, before)
    for name in ("vertices_3d", "keypoints_3d", "rotation", "side", "detected_keypoints"):
        assert np.shares_memory(getattr(a, name), a.buffer), name
    assert np.shares_memory(hands[0].mesh(camera=False)[0], a.buffer)
    assert hands[0].rotation.shape == (16, 3, 3) and hands[0].hand_pose.shape == (15, 3)
    assert np.allclose(hands[0].rotation @ hands[0].rotation.transpose(0, 2, 1), np.eye(3), atol=1e-5)


def test_one_after_the_other(pipeline, detector, model, picture):
    """Calls with other numbers of hands on one session: each as on a session of its own."""
    for n in (3, 1, 0, 2, 3, 1):
        boxes = [[60 + 9 * i, 40, 160, 140 - 9 * i] for i in range(n)]
        sides = ["left", "right", "left"][:n]
        got = pipeline(picture, boxes=boxes, sides=sides, include_vertices=True)
        fresh = wilor.HandPosePipeline(detector, model)
        assert got == fresh(picture, boxes=np.array(boxes), sides=sides, include_vertices=True)
        assert [h.hand_side for h in got] == sides and len(got) == n
        for hand in got:
            assert hand.keypoints_3d == hand.points.tolist() and hand.confidence == 1.0
            assert hand.keypoints_2d == hand.keypoints_2d_projected.tolist()
            assert hand.vertices == hand.mesh(camera=False)[0].tolist()


def test_plain_fields(pipeline, picture):
    hand = run(pipeline, picture)[0]
    said = json.loads(json.dumps(asdict(hand)))
    assert list(said) == ["hand_side", "confidence", "bbox", "keypoints_2d", "keypoints_3d", "vertices"]
    assert said["bbox"] == BOX[0] and len(said["vertices"]) == 778 and len(said["keypoints_3d"]) == 21
    assert wilor.HandPose(**said) == hand
    assert pipeline(picture, boxes=BOX)[0].vertices is None


def test_mesh(pipeline, picture):
    """Triangles look outwards on either side: the volume is positive."""
    volumes = []
    for side in ("left", "right"):
        hand = pipeline(picture, boxes=BOX, sides=side)[0]
        vertices, faces = hand.mesh()
        assert vertices.shape == (778, 3) and faces.shape == (1538, 3)
        assert np.allclose(vertices, hand.mesh(camera=False)[0] + hand.cam_t)
        corners = (vertices - vertices.mean(0))[faces].astype(np.float64)
        volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
        volumes.append(volume)
    assert all(5e-5 < v < 1e-3 for v in volumes), volumes


def test_pickle(pipeline, picture):
    hands = run(pipeline, picture)
    again = pickle.loads(pickle.dumps(hands))
    assert again == hands and np.array_equal(again[0].rotation, hands[0].rotation)
    assert again.size == (260, 180)


def test_points_when_asked(pipeline, picture):
    """The lists are made at the first look, stay what they are from then on, and can be replaced; a hand made
    by its six fields has those."""
    hand = pipeline(picture, include_vertices=True)[0]
    unread = pickle.loads(pickle.dumps(hand))
    made = set(vars(hand))
    assert made.isdisjoint({"keypoints_2d", "keypoints_3d", "vertices"})
    first = hand.keypoints_3d
    hand.points[0] = 9
    assert hand.keypoints_3d is first and first == unread.keypoints_3d != hand.points.tolist()
    assert asdict(unread)["vertices"] == hand.vertices == hand.arrays.vertices_3d[0].tolist()
    hand.keypoints_2d = [[1.0, 2.0]]
    assert hand.keypoints_2d == [[1.0, 2.0]] and unread.keypoints_2d != hand.keypoints_2d
    own = wilor.HandPose("left", 1.0, [0.0] * 4, [[3.0, 4.0]])
    assert own.keypoints_2d == [[3.0, 4.0]] and own.keypoints_3d is None and own.vertices is None
    with pytest.raises(TypeError):
        wilor.HandPose("left", 1.0, [0.0] * 4)


def test_failed_hands_are_empty(pipeline, picture):
    """What is not finite is in no plain field."""
    hands = run(pipeline, picture)
    hands.arrays.failed[0] = 1
    hands.arrays.keypoints_2d[0] = np.nan
    again = _hands.build(hands.arrays, hands[0]._faces, True, True)[0]
    assert again.failed and again.keypoints_3d is None and again.vertices is None
    assert np.isfinite(overlay.draw(picture, [again])).all()


def test_batch(pipeline, frames):
    pictures = list(frames.values())
    together = pipeline.batch(pictures, conf_threshold=0.05)
    assert together == [pipeline(p, conf_threshold=0.05) for p in pictures]


# ---------------------------------------------------------------- the model alone
def test_crops(model):
    crops = np.random.default_rng(1).integers(0, 256, (67, 256, 256, 3), np.uint8)
    out = model(crops[:3])
    assert {k: v.shape for k, v in out.items()} == {
        "global_orient": (3, 1, 3),
        "hand_pose": (3, 15, 3),
        "betas": (3, 10),
        "pred_cam": (3, 3),
        "pred_keypoints_3d": (3, 21, 3),
        "pred_vertices": (3, 778, 3),
        "faces": (1538, 3),
    }
    many = model(crops)
    as_float = model(crops[64:].astype(np.float64))
    for key in ("pred_vertices", "pred_cam"):
        assert np.array_equal(many[key][:3], out[key])
        assert np.array_equal(many[key][64:], as_float[key])
    assert model(crops[:0])["betas"].shape == (0, 10)
    with pytest.raises(TypeError, match="256, 256, 3"):
        model(crops[0])


def test_packed(tmp_path, data, model):
    path = tmp_path / "hd80.packed"
    options = dict(weights_path="random:hd80", mano_path=data / "hand-cc0.npz")
    crop = np.full((1, 256, 256, 3), 90, np.uint8)
    for _ in range(2):
        mapped = wilor.WiLoR.from_pretrained(**options, packed=path)
        assert mapped.info["from_packed"] == 1
        assert np.array_equal(mapped(crop)["pred_vertices"], model(crop)["pred_vertices"])
    assert [p.name for p in tmp_path.iterdir()] == ["hd80.packed"]


def test_unloaded():
    for thing in (wilor.WiLoR(), wilor.HandDetector()):
        with pytest.raises(wilor.ArgumentError, match="from_pretrained"):
            thing(np.zeros((1, 256, 256, 3), np.uint8))


# ---------------------------------------------------------------- errors
def test_errors_name_the_file(tmp_path, data):
    with pytest.raises(OSError, match="no_such.ckpt"):
        wilor.WiLoR.from_pretrained("no_such.ckpt")
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(b"PK\3\4 not a checkpoint")
    with pytest.raises(wilor.FormatError, match="bad.ckpt"):
        wilor.WiLoR.from_pretrained(bad)
    with pytest.raises(wilor.ModelError, match="hand-cc0.npz"):
        wilor.HandDetector.from_pretrained(data / "hand-cc0.npz")
    with pytest.raises(wilor.UnsupportedError):
        wilor.WiLoR.from_pretrained("random:hd80", data / "hand-cc0.npz", dtype="f16")
    with pytest.raises(wilor.UnsupportedError, match="cuda"):
        wilor.WiLoR.from_pretrained("random:hd80", data / "hand-cc0.npz", device="cuda:0")
    with pytest.raises(wilor.ArgumentError, match="mps"):
        wilor.HandDetector.from_pretrained(data / "detector/micro.pt", device="mps")
    with pytest.raises(ValueError, match="f64"):
        wilor.WiLoR.from_pretrained("random:hd80", data / "hand-cc0.npz", dtype="f64")


def test_errors_of_calls(pipeline, picture):
    with pytest.raises(ValueError, match="conf"):
        pipeline(picture, conf_threshold=2)
    with pytest.raises(ValueError, match="side 'both'"):
        pipeline(picture, boxes=BOX, sides="both")
    with pytest.raises(ValueError, match="2 sides"):
        pipeline(picture, boxes=BOX, sides=[0, 1])
    with pytest.raises(ValueError, match="n, 4"):
        pipeline(picture, boxes=[[1, 2, 3]])
    with pytest.raises(ValueError):
        pipeline(picture, boxes=[[5, 5, 5, 5]])
    with pytest.raises(wilor.LimitError, match="64"):
        pipeline(picture, boxes=BOX * 65)
    assert pipeline(picture, boxes=[]) == []


# ---------------------------------------------------------------- where weights are
@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    for name in ("WILOR_WEIGHTS", "WILOR_DETECTOR", "WILOR_MANO", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_CACHE_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(_weights, "_DATA", tmp_path / "no data")
    return tmp_path / "HF_HUB_CACHE"


def put(cache, repo, path):
    folder = cache / ("models--" + repo.replace("/", "--"))
    commit = "0123456789abcdef0123456789abcdef01234567"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs/main").write_text(commit)
    file = folder / "snapshots" / commit / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    return str(file)


def test_cache(no_weights):
    with pytest.raises(wilor.MissingError, match="WILOR_WEIGHTS.*wilor download mini"):
        _weights.find_model(None, None)
    with pytest.raises(FileNotFoundError, match="WILOR_DETECTOR"):
        wilor.HandDetector.from_pretrained()
    mlx = put(no_weights, "BasinShapers/wilor-mlx", "wilor-mlx.safetensors")
    assert _weights.find_model(None, None).weights == mlx
    mini = put(no_weights, "warmshao/WiLoR-mini", "pretrained_models/wilor_final.ckpt")
    mano = put(no_weights, "warmshao/WiLoR-mini", "pretrained_models/MANO_RIGHT.pkl")
    assert _weights.find_model(None, None) == (mini, mano, None)
    assert _weights.find_model(None, None, prefer="mlx") == (mlx, mano, None)
    assert _weights.find_model("mlx", None) == (mlx, mano, None)


def test_nano(no_weights, monkeypatch, tmp_path, data):
    """nano runs by name and where nothing is cached, with its detector, and says so; its detector not
    under other weights, and none of it as WiLoR-mini."""
    with pytest.raises(wilor.MissingError, match="nano: no nano.safetensors"):
        _weights.find_model("nano", None)
    folder = data.parents[2] / "models/nano"
    monkeypatch.setattr(_weights, "_DATA", folder)
    with pytest.warns(UserWarning, match="the model is nano"):
        assert _weights.find_model(None, None) == (str(folder / "nano.safetensors"), None, None)
    with pytest.warns(UserWarning, match="the model is nano"):
        pipeline = wilor.HandPosePipeline.from_pretrained()
    picture = np.asarray(
        pytest.importorskip("PIL.Image").open(data.parents[2] / "demo/hands.png").convert("RGB")
    )
    assert sorted(hand.hand_side for hand in pipeline(picture)) == ["left", "right"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [
            h.points.shape for h in wilor.HandPosePipeline.from_pretrained(weights_path="nano")(picture)
        ] == [(21, 3)] * 2
    with pytest.raises(wilor.MissingError, match="hand detector"):
        wilor.HandPosePipeline.from_pretrained(weights_path="random:demo", mano_path=data / "hand-cc0.npz")
    with pytest.raises(wilor.MissingError, match="WiLoR weights"):
        compat.WiLorHandPose3dEstimationPipeline()
    mini = put(no_weights, "warmshao/WiLoR-mini", "pretrained_models/wilor_final.ckpt")
    assert _weights.find_model(None, None).weights == mini and _weights.detector_for(mini, None) is None


def test_variables(no_weights, monkeypatch, tmp_path):
    monkeypatch.setenv("WILOR_WEIGHTS", str(tmp_path / "mine.ckpt"))
    (tmp_path / "mano.npz").write_bytes(b"x")
    assert _weights.find_model(None, None) == (str(tmp_path / "mine.ckpt"), str(tmp_path / "mano.npz"), None)
    assert _weights.find_model("other", "that.npz").weights == "other"


def test_download(no_weights, monkeypatch, tmp_path):
    """The program is asked, once, and not when offline."""
    program = tmp_path / "bin/wilor"
    program.parent.mkdir()
    target = tmp_path / "asked"
    file = no_weights / "models--warmshao--WiLoR-mini"
    program.write_text(
        f"#!/bin/sh\necho $* >> {target}\nmkdir -p {file}/refs {file}/snapshots/c/pretrained_models\n"
        f"printf c > {file}/refs/main\n: > {file}/snapshots/c/pretrained_models/wilor_final.ckpt\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    with pytest.raises(wilor.MissingError, match="HF_HUB_OFFLINE"):
        _weights.find_model(None, None)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert _weights.find_model(None, None).weights.endswith("wilor_final.ckpt")
    assert target.read_text() == "download mini\n"


# ---------------------------------------------------------------- threads and processes
def test_threads(pipeline, frames):
    """Eight threads on one model give what one gives."""
    pictures = list(frames.values()) * 6
    want = [run(pipeline, p)[0].vertices for p in pictures]
    barrier = threading.Barrier(8)

    def work(_):
        barrier.wait()
        return [run(pipeline, p)[0].vertices for p in pictures]

    with ThreadPoolExecutor(8) as threads:
        for got in threads.map(work, range(8)):
            assert got == want


MEMORY = """
import sys, threading, numpy as np, wilor
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
picture = np.zeros((200, 200, 3), np.uint8)
model = wilor.WiLoR.from_pretrained("random:hd80", sys.argv[1])
pipeline = wilor.HandPosePipeline(None, model, threads=1)
def work():
    barrier.wait()
    with pipeline._store.pipeline():
        barrier.wait()
    pipeline(picture, boxes=[[50, 50, 150, 150]])
def grow(n):
    global barrier
    barrier = threading.Barrier(n)
    threads = [threading.Thread(target=work) for _ in range(n)]
    before = resident()
    for t in threads: t.start()
    for t in threads: t.join()
    return resident() - before
grow(1)
idle = pipeline._store._idle
print(grow(9), len(idle), idle[0].memory, model.info["packed_bytes"])
"""


def test_memory(data):
    """Eight more sessions take their scratch memory, not eight more models."""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc/self/statm")
    said = subprocess.check_output([sys.executable, "-c", MEMORY, data / "hand-cc0.npz"], text=True)
    grown, sessions, scratch, weights = (int(x) for x in said.split())
    assert sessions == 9
    # Not all of the scratch is touched; stacks and the interpreter's own take a little.
    assert grown < 8 * (scratch + weights / 2)


def test_fork(pipeline, picture):
    """A child makes sessions of its own: its parent's threads are not there."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    want = run(pipeline, picture)[0].vertices
    child = os.fork()
    if child == 0:
        same = run(pipeline, picture)[0].vertices == want
        os._exit(0 if same else 1)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        threading.Event().wait(0.1)
    else:
        os.kill(child, 9)
        pytest.fail("the child hangs")
    assert status == 0


GARBAGE = """
import gc, sys, numpy as np, wilor
picture = np.zeros((128, 128, 3), np.uint8)
gc.disable()
for turn in range(4):
    things = []
    model = wilor.WiLoR.from_pretrained("random:tiny", sys.argv[1])
    detector = wilor.HandDetector.from_pretrained(sys.argv[2])
    pipeline = wilor.HandPosePipeline(detector, model, threads=2)
    tracker = wilor.Tracker(pipeline)
    pipeline(picture)
    tracker(picture, 0.0)
    for thing in (model, detector, pipeline, tracker)[:: 1 if turn % 2 else -1]:
        things.append(thing)
        thing.cycle = things
    if turn < 2:
        del model, detector, pipeline, tracker, thing, things
        gc.collect()
    else:
        sys.modules["kept" + str(turn)] = things
"""


def test_garbage(data):
    """Cycles, and what is left at the end of the process: models outlive what uses them."""
    files = [data / "hand-cc0.npz", data / "detector/micro.pt"]
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", GARBAGE, *files])
    assert done.returncode == 0


def longest_wait(pipeline, picture):
    """Of a thread beside a long call, as a part of that call."""
    done, ticks = threading.Event(), []

    def tick():
        while not done.wait(0.001):
            ticks.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    pipeline(picture, boxes=BOX * 64)
    end = time.perf_counter()
    done.set()
    ticker.join()
    times = [start, *(t for t in ticks if start < t < end), end]
    return max(b - a for a, b in zip(times, times[1:])) / (end - start)


def test_interpreter_is_free(pipeline, picture):
    """Python goes on during a run: another thread never waits for half of a long call, unless the machine is busy
    with something else, which it is not each time."""
    assert any(longest_wait(pipeline, picture) < 0.5 for _ in range(10))


# ---------------------------------------------------------------- streams
def test_tracker(pipeline, picture):
    tracker = wilor.Tracker(pipeline, lost_after=0.2)
    ids = set()
    for i in range(6):
        tracks = tracker(picture, i / 30, conf_threshold=0.05)
        assert tracks.lost == []
        ids |= {h.id for h in tracks.hands}
        assert all(h.velocity.shape == (3,) and h.state in ("detected", "tracked") for h in tracks.hands)
    assert len(ids) >= 1 and 0 not in ids
    tracker.reset()
    assert set(tracker(picture, 0.0, conf_threshold=0.05).lost) <= ids
    with pytest.raises(wilor.ArgumentError):
        tracker(picture, -1.0)


def test_card(data, picture):
    """On a card, or the emulated one, in float32: $WILOR_CUDA_MODULE names the module."""
    if not os.environ.get("WILOR_CUDA_MODULE"):
        pytest.skip("no card's module: set WILOR_CUDA_MODULE")
    meshes = []
    for device in ("cpu", "cuda:0"):
        model = wilor.WiLoR.from_pretrained("random:tiny", data / "hand-cc0.npz", device=device)
        assert model.info["device"] == device
        hands = wilor.HandPosePipeline(None, model)(picture, boxes=BOX)
        meshes.append(hands.arrays.vertices_3d)
    assert np.abs(meshes[0] - meshes[1]).max() < 1e-6


def test_device_words():
    class Device:  # as torch writes its own
        def __str__(self):
            return "cuda:1"

    said = {"cpu": None, "cpu:0": None, None: None, "auto": b"auto", "cuda": b"cuda", Device(): b"cuda:1"}
    assert [_native._device(device) for device in said] == list(said.values())


def test_aligned(pipeline, picture):
    """Also where an odd number of bytes is among the arrays."""
    arrays = wilor.Tracker(pipeline, max_hands=1)(picture, 0.0, conf_threshold=0.05).hands.arrays
    assert arrays.n == 1
    assert all(getattr(arrays, name).flags.aligned for name in ("age_ns", "id", "score", "rotation"))


def test_live(pipeline, picture):
    events = list(wilor.live([picture] * 4, pipeline=pipeline, fps=10, conf_threshold=0.05))
    assert [e.index for e in events] == [0, 1, 2, 3]
    assert [round(e.time, 6) for e in events] == [0, 0.1, 0.2, 0.3]
    assert events[0].detected
    began = {}
    for event in events:
        for hand in event.hands:
            began.setdefault(hand.id, event.time)
            assert hand.age == pytest.approx(event.time - began[hand.id])
    assert began
    pairs = wilor.live([(5.0, picture), (5.0, picture)], pipeline=pipeline)
    assert [e.time for e in pairs] == [5.0, 5.000001]


def test_live_video(pipeline, picture, tmp_path):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (260, 180))
    for _ in range(3):
        writer.write(np.ascontiguousarray(picture[:, :, ::-1]))
    writer.release()
    events = list(wilor.live(path, pipeline=pipeline))
    assert [round(e.time, 3) for e in events] == [0, 0.1, 0.2]
    assert np.abs(events[0].image.astype(int) - picture).mean() < 8
    with pytest.raises(OSError, match="no_such.avi"):
        next(iter(wilor.live("no_such.avi", pipeline=pipeline)))


# ---------------------------------------------------------------- drawings
def test_png(pipeline, picture):
    import io

    pil = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    hands = run(pipeline, picture)
    drawn = np.asarray(pil.open(io.BytesIO(hands._repr_png_())))
    assert np.array_equal(drawn, hands.draw(picture)) and drawn.shape == picture.shape
    changed = (drawn != picture).any(-1)
    assert 0.001 < changed.mean() < 0.5
    # The box's corner is white, and the picture itself untouched.
    assert drawn[40, 60].min() > 200
    again = pickle.loads(pickle.dumps(hands))
    assert again.draw().max() > 0  # over black


def test_rerun(pipeline, picture):
    rerun = pytest.importorskip("rerun", reason="rerun-sdk is not installed")
    recording = rerun.RecordingStream("test")
    memory = recording.memory_recording()
    run(pipeline, picture).to_rerun("hands", recording)
    assert memory.num_msgs() >= 3


def test_versions():
    assert wilor.__version__.count(".") == 2 and wilor.__version__ in wilor.build_info()
