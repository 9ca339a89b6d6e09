"""wilor.dataset on Ray Data and Daft, wilor.ray and wilor.daft, on the stand-in; skipped where they are not
installed."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="no pyarrow")
Image = pytest.importorskip("PIL.Image", reason="no pillow")
import pyarrow.parquet as pq  # noqa: E402

from wilor import dataset, dataset_read, dataset_values  # noqa: E402
from wilor.dataset_engines import WorkerFailed  # noqa: E402

HERE = Path(__file__).parent
STANDIN = "test_dataset_standin:make"
ENGINES = ["ray", "daft"]


@pytest.fixture(autouse=True)
def standin_found(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *(p for p in sys.path if p)]))


@pytest.fixture(scope="module")
def cluster():
    """One Ray for all tests here."""
    ray = pytest.importorskip("ray", reason="no ray")
    path = os.pathsep.join([str(HERE), *(p for p in sys.path if p)])
    ray.init(
        num_cpus=2,
        log_to_driver=False,
        include_dashboard=False,
        logging_level="error",
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    yield ray
    ray.shutdown()


@pytest.fixture(params=ENGINES)
def engine(request):
    pytest.importorskip(request.param, reason=f"no {request.param}")
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return request.param


def png(red, green=0):
    a = np.zeros((12, 16, 3), np.uint8)
    a[0, 0] = red, green, 0
    out = io.BytesIO()
    Image.fromarray(a).save(out, "PNG")
    return out.getvalue()


VALUES = [png(0), png(1, 1), png(2, 2), b"junk", None, png(251), png(1, 6)]
HANDS = [0, 1, 2, 0, 0, 0, 1]
BAD = [3, 4, 5]


def rows_of(out):
    return [row for name in sorted(out.glob("part-*.parquet")) for row in pq.read_table(name).to_pylist()]


def test_command_is_the_same(tmp_path, engine):
    """An engine's parts hold what the local one's do."""
    pq.write_table(pa.table({"image": VALUES}), tmp_path / "in.parquet")
    options = {"factory": STANDIN, "part_size": 2, "workers": 2, "pipeline": {"threads": 1}}
    other = dataset.label(tmp_path / "in.parquet", tmp_path / engine, engine=engine, **options)
    local = dataset.label(tmp_path / "in.parquet", tmp_path / "local", **options)
    assert rows_of(tmp_path / engine) == rows_of(tmp_path / "local")
    assert (other.parts, other.hands) == (local.parts, local.hands) == (4, 4)
    assert sorted(other.bad) == sorted(local.bad) and len(local.bad) == 3


def test_worker_that_cannot_start(tmp_path, engine):
    pq.write_table(pa.table({"image": VALUES}), tmp_path / "in.parquet")
    with pytest.raises(WorkerFailed, match="^RuntimeError: there are no weights$"):
        dataset.label(
            tmp_path / "in.parquet",
            tmp_path / "out",
            engine=engine,
            pipeline={"threads": 1},
            factory="test_dataset_standin:make_none",
        )


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_deadly_picture(tmp_path, engine):
    """A picture that kills its process: the run ends, at the latest when it is started again, without it."""
    pq.write_table(pa.table({"image": [png(1), png(250), png(1), png(1)]}), tmp_path / "in.parquet")
    for _ in range(4):
        try:
            s = dataset.label(
                tmp_path / "in.parquet",
                tmp_path / "out",
                engine=engine,
                factory=STANDIN,
                part_size=2,
                pipeline={"threads": 1},
                workers=1,
            )
            break
        except WorkerFailed:
            pass
    assert s.bad == [["in.parquet#1", None, "the process died twice on this picture"]]
    assert [r["hands"] for r in rows_of(tmp_path / "out")] == [1, None, 1, 1]


def check_structs(structs):
    assert [len(s["hands"]) for s in structs] == HANDS
    assert [i for i, s in enumerate(structs) if s["error"]] == BAD
    assert [s["pictures"] for s in structs] == [1, 1, 1, 0, 0, 1, 1]
    assert [h["side"] for h in structs[2]["hands"]] == ["right", "left"]
    assert structs[6]["hands"][0]["betas"] == [6.0] * 10 and structs[1]["width"] == 16


def test_ray_data(cluster):
    import ray.data

    import wilor.ray

    data = ray.data.from_items([{"key": i, "image": v} for i, v in enumerate(VALUES)], override_num_blocks=3)
    for form in ("default", "pyarrow"):
        found = data.map_batches(
            wilor.ray.HandPose,
            fn_constructor_kwargs={"factory": STANDIN},
            batch_size=2,
            batch_format=form,
            compute=ray.data.ActorPoolStrategy(size=2),
        ).take_all()
        found.sort(key=lambda row: row["key"])
        assert [sorted(row) for row in found] == [["hands", "key"]] * len(VALUES)
        check_structs([row["hands"] for row in found])


def test_daft_expression():
    daft = pytest.importorskip("daft", reason="no daft")
    import wilor.daft

    frame = daft.from_pydict(
        {
            "key": list(range(len(VALUES))),
            "image": VALUES,
            "boxes": [[[0.0, 0.0, 4.0, 4.0, 0.0]]] * len(VALUES),
        }
    )
    hands = wilor.daft.track_hands(frame["image"], workers=2, batch_size=2, factory=STANDIN)
    check_structs(frame.with_column("hands", hands).sort("key").to_pydict()["hands"])
    given = wilor.daft.track_hands(frame["image"], boxes=frame["boxes"], factory=STANDIN)
    found = frame.with_column("hands", given).sort("key").to_pydict()["hands"]
    assert [len(s["hands"]) for s in found] == [1, 1, 1, 0, 0, 0, 1] and found[0]["hands"][0][
        "side"
    ] == "left"


def test_batches_without_an_engine():
    """wilor.ray.HandPose takes dictionaries and tables; arrays of pictures; keeps what it is told to."""
    import wilor.ray

    work = wilor.ray.HandPose("picture", factory=STANDIN, keep=["name"], include_vertices=True)
    pictures = np.zeros((3, 8, 8, 3), np.uint8)
    pictures[:, 0, 0, 0] = 0, 1, 2
    out = work({"picture": pictures, "name": np.array(["a", "b", "c"]), "x": np.arange(3)})
    assert out.column_names == ["name", "hands"]
    assert [len(s["hands"]) for s in out["hands"].to_pylist()] == [0, 1, 2]
    assert len(out["hands"].to_pylist()[1]["hands"][0]["vertices"]) == 778 * 3
    assert out["hands"].type == work(pa.table({"picture": [b"x"], "name": ["d"]}))["hands"].type
    with pytest.raises(KeyError, match="no column picture"):
        work({"image": pictures})


def test_one_model_a_process():
    opened = [dataset_values.open_label({"factory": STANDIN, "pipeline": {}}, {}, False) for _ in range(2)]
    assert opened[0] is opened[1]


def test_videos_are_followed(tmp_path):
    """A video's hands are what wilor.Tracker says of its frames; with tracker=None each frame is for
    itself."""
    av = pytest.importorskip("av", reason="no PyAV")
    try:
        from wilor import _library

        _library.load()
    except ImportError as e:
        pytest.skip(str(e))
    import wilor
    import wilor.ray

    data = HERE.parents[1] / "tests/golden/data"
    picture = np.asarray(Image.open(sorted((data / "detector/frames").glob("*.png"))[0]).convert("RGB"))
    picture = picture[: picture.shape[0] & ~1, : picture.shape[1] & ~1]
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv444p"
        for _ in range(6):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
            )
        container.mux(stream.encode())
    options = {
        "weights_path": "random:hd80",
        "mano_path": str(data / "hand-cc0.npz"),
        "call": {"conf_threshold": 0.01},
        "detector_path": str(data / "detector/micro.pt"),
        "packed": str(tmp_path / "packed"),
        "threads": 1,
    }
    batch = {"image": [str(tmp_path / "v.mp4"), (tmp_path / "v.mp4").read_bytes()]}
    work = wilor.ray.HandPose(**options, tracker={"detect_every": 1, "smooth": 0.2})
    path, inside = work(batch)["hands"].to_pylist()
    assert path == inside and path["pictures"] == 6 and path["error"] is None
    tracker = wilor.Tracker(work.label.pipeline, detect_every=1, smooth=0.2)
    wanted = []
    for i, (_, seconds, load) in enumerate(
        dataset_read.video_frames(str(tmp_path / "v.mp4"), 0, None, None, 1)
    ):
        found = tracker(load(), seconds, conf_threshold=0.01).hands
        wanted += [(i, seconds, h.id, h.cam_t.tolist()) for h in found]
    assert wanted and [(h["frame"], h["time"], h["id"], h["cam_t"]) for h in path["hands"]] == wanted
    alone = wilor.ray.HandPose(**options, tracker=None)(batch)["hands"].to_pylist()[0]
    assert alone["hands"] and {h["id"] for h in alone["hands"]} == {None}
