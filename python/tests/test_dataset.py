"""wilor.dataset by its local engine, on a stand-in for the model (test_dataset_standin.py); and once on tiny
weights.

The engines Ray and Daft have test_dataset_engines.py, kills test_dataset_kill.py.
"""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="no pyarrow")
Image = pytest.importorskip("PIL.Image", reason="no pillow")
import pyarrow.parquet as pq  # noqa: E402

from wilor import dataset, dataset_plan, dataset_read  # noqa: E402
from wilor.dataset_engines import WorkerFailed  # noqa: E402
from wilor.dataset_rows import LISTS, VERTICES  # noqa: E402

HERE = Path(__file__).parent
STANDIN = "test_dataset_standin:make"
# In a checkout beside shared/ of the project, or where the build says.
FIXTURES = Path(os.environ.get("WILOR_FIXTURES") or HERE.parents[2] / "shared" / "fixtures")


@pytest.fixture(autouse=True)
def standin_found(monkeypatch):
    """Worker processes get sys.path."""
    monkeypatch.syspath_prepend(str(HERE))


def pixels(red, green=0, blue=0, size=(16, 12)):
    a = np.zeros((size[1], size[0], 3), np.uint8)
    a[0, 0] = red, green, blue
    return a


def png(red, green=0, blue=0):
    out = io.BytesIO()
    Image.fromarray(pixels(red, green, blue)).save(out, "PNG")
    return out.getvalue()


def folder_of(path, reds):
    """NNN.png with these reds and green NNN."""
    path.mkdir(parents=True, exist_ok=True)
    for i, red in enumerate(reds):
        (path / f"{i:03}.png").write_bytes(png(red, i))
    return path


def rows_of(out):
    """All rows, in the order of the parts."""
    return [row for name in sorted(out.glob("part-*.parquet")) for row in pq.read_table(name).to_pylist()]


def run(source, out, factory=STANDIN, **options):
    options.setdefault("workers", 1)
    return dataset.label(source, out, factory=factory, **options)


def names(rows):
    return [(r["key"], r["frame"], r["hand"]) for r in rows]


# ---------------------------------------------------------------- what is written


def test_rows(tmp_path):
    source = folder_of(tmp_path / "in", [1, 2, 0])
    (source / "bad.jpg").write_bytes(b"no picture")
    (source / "cut.png").write_bytes(png(1)[:50])
    (source / "fails.png").write_bytes(png(251))
    (source / "nan.png").write_bytes(png(2, 0, 255))
    (source / "note.txt").write_text("left alone")
    s = run(source, tmp_path / "out", part_size=3)
    rows = rows_of(tmp_path / "out")
    assert (s.pictures, s.hands, s.parts, s.planned) == (7, 5, 3, 3)
    assert names(rows) == [
        ("000.png", None, 0),
        ("001.png", None, 0),
        ("001.png", None, 1),
        ("002.png", None, None),
        ("bad.jpg", None, None),
        ("cut.png", None, None),
        ("fails.png", None, None),
        ("nan.png", None, 0),
        ("nan.png", None, 1),
    ]
    assert [r["hands"] for r in rows] == [1, 2, 2, 0, None, None, None, 2, 2]
    errors = {r["key"]: r["error"] for r in rows if r["error"]}
    assert sorted(errors) == ["bad.jpg", "cut.png", "fails.png", "nan.png"]
    assert "told to fail" in errors["fails.png"] and "not finite" in errors["nan.png"]
    assert {b[0]: b[2] for b in s.bad} == errors
    listed = [json.loads(line) for line in (tmp_path / "out/_wilor/bad.jsonl").read_text().splitlines()]
    assert {b["key"]: b["error"] for b in listed} == errors
    first, nan = rows[0], rows[-1]
    assert (first["width"], first["height"], first["side"], first["score"]) == (16, 12, "right", 0.5)
    assert first["betas"] == [0.0] * 10 and first["box"] == [0, 0, 8, 8] and first["time"] is None
    assert nan["side"] == "left" and nan["box"] and nan["betas"] is None and nan["keypoints_3d"] is None


@pytest.mark.parametrize("include", [False, True])
def test_schema_and_provenance(tmp_path, include):
    run(folder_of(tmp_path / "in", [2]), tmp_path / "out", include_vertices=include)
    table = pq.read_table(tmp_path / "out" / "part-000000.parquet")
    lists = {**LISTS, **VERTICES} if include else LISTS
    head = ["key", "source", "frame", "time", "width", "height", "hands", "hand", "side", "score"]
    assert table.schema.names == [*head, *lists, "error", "model", "detector", "dtype", "version"]
    for name, (numbers, shape) in lists.items():
        assert table.schema.field(name).type == pa.list_(pa.float32())
        assert table.schema.field(name).metadata == {b"shape": shape.encode()}
        assert [len(v) for v in table[name].to_pylist()] == [numbers] * 2
        assert np.prod([int(n) for n in shape.split("x")]) == numbers
    row = table.to_pylist()[0]
    assert (row["model"], row["dtype"], row["version"]) == (STANDIN, "none", "0")
    assert table.schema.metadata[b"wilor.part"] == b"0"


def test_documented_columns():
    """docs/label-a-dataset.md has every column, and no other."""
    page = (HERE.parents[1] / "docs" / "label-a-dataset.md").read_text(encoding="utf-8")
    table = page.split("## Columns", 1)[1].split("\n## ", 1)[0]
    said = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    from wilor.dataset_rows import schema

    assert sorted(said) == sorted(schema(True).names)


# ---------------------------------------------------------------- inputs


def tar_bytes(files, mode="w", form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def shard(n=10):
    files = [("readme.txt", b"no sample")]
    for i in range(n):
        files += [
            (f"d/{i:04}.left.png", png(1, i)),
            (f"d/{i:04}.json", b"{}"),
            (f"d/{i:04}.right.png", png(2, i)),
        ]
    files.insert(3, ("d/" + "long" * 40 + ".png", png(0)))
    return files


@pytest.mark.parametrize("name, mode", [("a.tar", "w"), ("b.tar.gz", "w:gz"), ("c.tgz", "w:gz")])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_tar(tmp_path, name, mode, form):
    (tmp_path / name).write_bytes(tar_bytes(shard(), mode, form))
    s = run(tmp_path / name, tmp_path / "out", part_size=4)
    keys = [r["key"] for r in rows_of(tmp_path / "out")]
    expected = [f"{name}/d/{i:04}.{side}.png" for i in range(10) for side in ("left", "right", "right")]
    assert sorted(keys) == sorted([*expected, f"{name}/d/{'long' * 40}.png"]) and not s.bad and s.parts == 3
    assert {r["source"] for r in rows_of(tmp_path / "out")} == {name}


def test_truncated_tar(tmp_path):
    (tmp_path / "in").mkdir()
    whole = tar_bytes(shard())
    (tmp_path / "in/cut.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in/empty.tar").write_bytes(b"")
    (tmp_path / "in/zip.tar.gz").write_bytes(gzip.compress(whole)[:-100])
    (tmp_path / "in/ok.png").write_bytes(png(1))
    s = run(tmp_path / "in", tmp_path / "out", part_size=4)
    good = {r["key"] for r in rows_of(tmp_path / "out") if not r["error"]}
    assert {"ok.png", "cut.tar/d/0000.left.png", "zip.tar.gz/d/0000.left.png"} <= good
    assert {"cut.tar", "empty.tar", "zip.tar.gz"} <= {b[0] for b in s.bad}
    assert len(good) > 10


@pytest.mark.parametrize("kind", ["bytes", "struct", "path"])
def test_parquet(tmp_path, kind):
    source = folder_of(tmp_path / "in" / "pictures", [1] * 50)
    data = [(source / f"{i:03}.png").read_bytes() for i in range(50)]
    data[7], data[8] = b"junk", None
    values = {
        "bytes": data,
        "struct": [None if d is None else {"bytes": d, "path": "x"} for d in data],
        "path": [f"pictures/{i:03}.png" for i in range(50)],
    }[kind]
    table = pa.table({"name": [f"n{i}" for i in range(50)], "image": values})
    pq.write_table(table, tmp_path / "in" / "t.parquet", row_group_size=20)
    s = run(tmp_path / "in" / "t.parquet", tmp_path / "out", part_size=8)
    rows = rows_of(tmp_path / "out")
    assert [r["key"] for r in rows] == [f"t.parquet#{i}" for i in range(50)]
    assert [b[0] for b in s.bad] == ([] if kind == "path" else ["t.parquet#7", "t.parquet#8"])
    assert all(r["betas"][0] == i for i, r in enumerate(rows) if r["betas"])
    run(tmp_path / "in" / "t.parquet", tmp_path / "named", key="name", limit=21)
    assert [r["key"] for r in rows_of(tmp_path / "named")] == [f"n{i}" for i in range(21)]


def test_bad_parquet(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.parquet").write_bytes(b"PAR1 nothing")
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "in/b.parquet")
    pq.write_table(pa.table({"image": [png(1)]}), tmp_path / "in/c.parquet")
    s = run(tmp_path / "in", tmp_path / "out")
    assert [b[0] for b in s.bad] == ["a.parquet", "b.parquet"] and s.hands == 1
    assert "there are: x" in s.bad[1][2].lower()


def test_boxes(tmp_path):
    source = folder_of(tmp_path / "in", [0, 0, 0, 0])
    hand = {"hands": [{"box": [1, 2, 3, 4], "side": "left", "score": 0.25}, [0, 0, 9, 9, 1]]}
    (source / "000.json").write_text(json.dumps(hand))
    (source / "001.json").write_text("{broken")
    (source / "002.json").write_text('{"hands": [[3, 3, 1, 1, 0]]}')
    s = run(source, tmp_path / "out", boxes="hands")
    rows = rows_of(tmp_path / "out")
    assert [(r["key"], r["side"], r["score"], r["box"]) for r in rows if r["hand"] is not None] == [
        ("000.png", "left", 0.25, [1, 2, 3, 4]),
        ("000.png", "right", 1.0, [0, 0, 9, 9]),
    ]
    assert rows[0]["keypoints_2d"] is None and rows[0]["keypoints_2d_projected"] is not None
    assert [b[0] for b in s.bad] == ["001.png", "002.png"] and "without area" in s.bad[1][2]
    boxes = [[[0.0, 0.0, 5.0, 5.0, 1.0]], None, []]
    pq.write_table(pa.table({"image": [png(2)] * 3, "b": boxes}), tmp_path / "t.parquet")
    run(tmp_path / "t.parquet", tmp_path / "out2", boxes="b")
    assert [r["hands"] for r in rows_of(tmp_path / "out2")] == [1, 0, 0]
    (tmp_path / "s.tar").write_bytes(tar_bytes([("k.png", png(0)), ("k.json", json.dumps(hand).encode())]))
    run(tmp_path / "s.tar", tmp_path / "out3", boxes="hands")
    assert [r["side"] for r in rows_of(tmp_path / "out3")] == ["left", "right"]


def test_pictures_upright(tmp_path):
    """EXIF's turn, grey, alpha and 16 bits."""
    turned = Image.new("RGB", (20, 10))
    turned.putpixel((0, 9), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: the lower left becomes the upper left
    turned.save(tmp_path / "t.png", exif=exif)
    got = dataset_read.picture_of(str(tmp_path / "t.png"))
    assert got.shape == (20, 10, 3) and list(got[0, 0]) == [255, 0, 0]
    deep = Image.fromarray(np.full((4, 5), 0xABCD, np.uint16))
    deep.save(tmp_path / "d.png")
    assert dataset_read.picture_of(str(tmp_path / "d.png"))[0, 0].tolist() == [0xAB] * 3
    assert dataset_read.picture_of(np.full((4, 5), 7, np.uint8)).shape == (4, 5, 3)
    assert dataset_read.picture_of(np.zeros((4, 5, 4), np.uint8)).shape == (4, 5, 3)
    for bad in (
        np.zeros((4, 5, 3), np.float32),
        np.zeros((4, 5, 2), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        None,
    ):
        with pytest.raises(ValueError):
            dataset_read.picture_of(bad)


# ---------------------------------------------------------------- videos


def write_video(path, n=50, width=64, height=48):
    """n frames of H.264 with B-frames, key frames every 12; frame i is of brightness 4 i."""
    av = pytest.importorskip("av", reason="no PyAV")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12", "bf": "2", "crf": "5"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        for i in range(n):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 4 * i, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def frames_seen(out):
    """(frame, time, the frame that the pixels are of) of each row."""
    return [(r["frame"], round(r["time"], 4), round(r["betas"][0] / 4)) for r in rows_of(out)]


@pytest.mark.parametrize("size, every", [(100, 1), (7, 1), (12, 1), (5, 3)])
def test_video(tmp_path, size, every):
    write_video(tmp_path / "v.mp4")
    s = run(
        tmp_path / "v.mp4", tmp_path / "out", "test_dataset_standin:make_one", part_size=size, every=every
    )
    assert frames_seen(tmp_path / "out") == [(i, round(i / 25, 4), i) for i in range(0, 50, every)]
    assert s.parts == -(-50 // (size * every)) and not s.bad


def test_video_limit_and_damage(tmp_path):
    write_video(tmp_path / "in.mp4")
    run(tmp_path / "in.mp4", tmp_path / "out", "test_dataset_standin:make_one", part_size=8, limit=19)
    assert [f for f, _, _ in frames_seen(tmp_path / "out")] == list(range(19))
    folder = folder_of(tmp_path / "in", [1])
    (folder / "a.mp4").write_bytes((tmp_path / "in.mp4").read_bytes()[:300])
    (folder / "b.mkv").write_bytes(b"")
    s = run(folder, tmp_path / "out2")
    assert [b[0] for b in s.bad] == ["a.mp4", "b.mkv"] and s.hands == 1


def test_video_upright(tmp_path):
    """A phone held upright: tkhd's matrix turns by 90 degrees clockwise, the upper left becomes the upper
    right."""
    av = pytest.importorskip("av", reason="no PyAV")
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv444p"
        picture = np.zeros((32, 64, 3), np.uint8)
        picture[:16, :32] = 255
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    data = bytearray((tmp_path / "v.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 32 << 16, 0, 1 << 30)
    (tmp_path / "v.mp4").write_bytes(data)
    ((_, _, load),) = dataset_read.video_frames(str(tmp_path / "v.mp4"), 0, None, None, 1)
    got = load()
    assert got.shape == (64, 32, 3)
    assert got[:30, 18:].min() > 200 and got[:, :14].max() < 50 and got[34:].max() < 50


def test_video_by_opencv(tmp_path, monkeypatch):
    """Without PyAV: the same frames of a file, none of a video inside another file, and an error that says
    so."""
    pytest.importorskip("cv2", reason="no OpenCV")
    video = write_video(tmp_path / "v.mp4", 20)
    monkeypatch.setitem(sys.modules, "av", None)
    assert dataset_plan.video_times(str(video)) == (None, 20)
    found = [
        (i, round(t, 3), round(load()[5, 5].mean() / 4))
        for i, t, load in dataset_read.video_frames(str(video), 0, None, None, 3, 20)
    ]
    assert found == [(i, i / 25, i) for i in range(0, 20, 3)]
    with pytest.raises(ImportError, match="pip install av"):
        list(dataset_read.video_frames(io.BytesIO(video.read_bytes()), 0, None, None, 1))
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="install av"):
        list(dataset_plan.plan_video(str(video), dataset_read.ReadOptions(), 8))


def test_picture_by_opencv(monkeypatch):
    pytest.importorskip("cv2", reason="no OpenCV")
    data = png(7, 8, 9)
    wanted = dataset_read.decode_picture(data)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert (dataset_read.decode_picture(data) == wanted).all() and wanted[0, 0].tolist() == [7, 8, 9]
    with pytest.raises(ValueError, match="OpenCV"):
        dataset_read.decode_picture(b"junk")


def test_video_inside(tmp_path):
    video = write_video(tmp_path / "v.mp4", 10).read_bytes()
    (tmp_path / "s.tar").write_bytes(tar_bytes([("a.mp4", video), ("b.png", png(1))]))
    pq.write_table(pa.table({"video": [video, b"", video[:100]]}), tmp_path / "t.parquet")
    run(tmp_path / "s.tar", tmp_path / "out", "test_dataset_standin:make_one", every=2)
    assert [(r["key"], r["frame"]) for r in rows_of(tmp_path / "out")] == [
        *(("s.tar/a.mp4", i) for i in range(0, 10, 2)),
        ("s.tar/b.png", None),
    ]
    s = run(tmp_path / "t.parquet", tmp_path / "out2", "test_dataset_standin:make_one")
    assert s.pictures == 12 and [b[0] for b in s.bad] == ["t.parquet#1", "t.parquet#2"]


# ---------------------------------------------------------------- going on


def test_goes_on(tmp_path):
    """Parts that are there stay as they are; cut, foreign and missing ones are done again."""
    source, out = folder_of(tmp_path / "in", [1] * 20), tmp_path / "out"
    run(source, out, part_size=4)
    before = rows_of(out)
    inner, part = out / "_wilor", [out / f"part-{i:06}.parquet" for i in range(5)]
    untouched = {p: p.stat().st_mtime_ns for p in (part[0], part[4])}
    part[1].unlink()
    manifest = (inner / "manifest.jsonl").read_text().splitlines(True)
    # Part 4 was renamed just before the kill; 2 and 3 are no parts of this run; a line was cut.
    (inner / "manifest.jsonl").write_text("".join(manifest[:2]) + manifest[4][:20])
    part[2].write_bytes(b"PAR1")
    table = pq.read_table(part[3])
    other = {**table.schema.metadata, b"wilor.job": b"of another run"}
    pq.write_table(table.slice(0, 1).replace_schema_metadata(other), part[3])
    (inner / "part-000001.parquet.99.0123abcd").write_bytes(b"half")
    s = run(source, out, part_size=4)
    assert rows_of(out) == before and (s.parts, s.pictures, s.hands) == (5, 20, 20)
    assert {p: p.stat().st_mtime_ns for p in untouched} == untouched
    assert not list(inner.glob("part-*")) and not list(inner.glob("at-*"))


def test_part_is_whole_or_not_there(tmp_path, monkeypatch):
    """A write that fails half way leaves nothing, and nothing of that name before it is complete."""
    from wilor import dataset_rows

    final, seen = tmp_path / "part-000000.parquet", []

    def fails(table, file, **options):
        file.write(b"half")
        file.flush()
        seen.append(final.exists())
        raise OSError("no space")

    monkeypatch.setattr(pq, "write_table", fails)
    with pytest.raises(OSError, match="no space"):
        dataset_rows.write_part(dataset_rows.table_of([], False, {}, {}), str(final), str(tmp_path))
    assert seen == [False] and list(tmp_path.iterdir()) == []


def test_new_files_become_parts(tmp_path):
    source, out = folder_of(tmp_path / "in", [1] * 5), tmp_path / "out"
    run(source, out, part_size=4)
    (source / "000a.png").write_bytes(png(1))
    s = run(source, out, part_size=4)
    assert s.parts == 3 and sorted(r["key"] for r in rows_of(out)) == sorted(p.name for p in source.iterdir())
    (source / "001.png").write_bytes(png(1) + b"more")
    with pytest.raises(ValueError, match="001.png has"):
        run(source, out, part_size=4)


def test_redo_bad(tmp_path):
    source, out = folder_of(tmp_path / "in", [1, 1, 1]), tmp_path / "out"
    data = (source / "001.png").read_bytes()
    (source / "001.png").write_bytes(bytes(len(data)))
    assert len(run(source, out, part_size=2).bad) == 1
    (source / "001.png").write_bytes(data)
    assert len(run(source, out, part_size=2).bad) == 1
    s = run(source, out, part_size=2, redo_bad=True)
    assert not s.bad and len(rows_of(out)) == 3 and (out / "_wilor/bad.jsonl").read_text() == ""


def test_other_settings(tmp_path):
    source, out = folder_of(tmp_path / "in", [1]), tmp_path / "out"
    run(source, out)
    with pytest.raises(dataset.DatasetError, match="include_vertices was false, is true"):
        run(source, out, include_vertices=True)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/part-000000.parquet").write_bytes(b"")
    with pytest.raises(dataset.DatasetError, match="not of wilor.dataset"):
        run(source, tmp_path / "foreign")


def test_lock(tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="no file locks here")
    source, out = folder_of(tmp_path / "in", [1]), tmp_path / "out"
    (out / "_wilor").mkdir(parents=True)
    with open(out / "_wilor/lock", "wb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        with pytest.raises(dataset.DatasetError, match="another run"):
            run(source, out)
    assert run(source, out).pictures == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("workers", [1, 2])
def test_deadly_picture(tmp_path, workers):
    """A picture that kills the process costs itself, nothing else."""
    source, out = folder_of(tmp_path / "in", [1] * 12), tmp_path / "out"
    (source / "005.png").write_bytes(png(250))
    s = run(source, out, part_size=4, workers=workers)
    assert s.bad == [["005.png", None, "the process died twice on this picture"]]
    assert s.hands == 11 and len(rows_of(out)) == 12 and not list((out / "_wilor").glob("at-*"))


# ---------------------------------------------------------------- errors and the command


def test_errors(tmp_path):
    source = folder_of(tmp_path / "in", [1])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(tmp_path / "nowhere", tmp_path / "o1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(dataset.DatasetError, match="no pictures"):
        run(tmp_path / "empty", tmp_path / "o2")
    with pytest.raises(WorkerFailed, match="no weights"):
        run(source, tmp_path / "o3", "test_dataset_standin:make_none")
    for wrong in ({"part_size": 0}, {"limit": 0}, {"every": 0}, {"engine": "spark"}, {"workers": -1}):
        with pytest.raises(dataset.DatasetError):
            run(source, tmp_path / "o4", **wrong)


@pytest.mark.parametrize("engine, package", [("ray", "ray[data]"), ("daft", "daft")])
def test_engine_missing(tmp_path, monkeypatch, engine, package):
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(ImportError, match=f"--engine {engine} needs {package.split('[')[0]}.*pip install"):
        run(folder_of(tmp_path / "in", [1]), tmp_path / "out", engine=engine)


def command(*arguments):
    path = os.pathsep.join([str(HERE), *(p for p in sys.path if p)])
    return subprocess.run(
        [sys.executable, "-m", "wilor.dataset", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_command(tmp_path):
    source = folder_of(tmp_path / "in", [1, 2, 0])
    done = command(source, tmp_path / "out", "--pipeline", STANDIN, "--part-size", 2, "--limit", 2)
    assert done.returncode == 0 and done.stdout.startswith("2 pictures, 3 hands, 0 bad"), done.stderr
    assert "1/1 parts" in done.stderr
    (source / "003.png").write_bytes(b"")
    done = command(source, tmp_path / "out2", "--pipeline", STANDIN)
    assert done.returncode == 1 and "bad.jsonl" in done.stderr
    done = command(source, tmp_path / "out2", "--pipeline", STANDIN, "--every", 2)
    assert done.returncode == 2 and "other settings" in done.stderr and "Traceback" not in done.stderr
    assert command(source).returncode == 2
    done = command(source, tmp_path / "out3", "--weights", tmp_path / "none.ckpt")
    assert done.returncode == 2 and "none.ckpt" in done.stderr and "Traceback" not in done.stderr


def test_plan_is_by_limit():
    units = [{"kind": "files", "files": [("a", 1), ("b", 1)], "count": 2}, {"kind": "video", "count": 10}]
    cut = list(dataset_plan.cut_units(iter(units), 4, 3))
    assert cut[1]["count"] == 6 and len(cut) == 2
    assert list(dataset_plan.cut_units(iter([{"kind": "tar", "count": 5}] * 2), 5, 1)) == [
        {"kind": "tar", "count": 5}
    ]


# ---------------------------------------------------------------- the model


def library():
    try:
        from wilor import _library

        _library.load()
    except ImportError as e:
        return str(e)
    return None


def tiny():
    if not (FIXTURES / "tiny").is_dir():
        pytest.skip("no fixtures: set WILOR_FIXTURES")
    why = library()
    if why:
        pytest.skip(why)
    return {
        "weights_path": str(FIXTURES / "tiny/wilor_tiny.ckpt"),
        "mano_path": str(FIXTURES / "tiny/MANO_RIGHT.pkl"),
        "heads": 4,
    }


def test_golden(tmp_path, monkeypatch):
    """Given boxes on tiny weights: WiLoR-mini's own numbers, through two worker processes and one packed
    file."""
    options = tiny()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "in"
    source.mkdir()
    photos = json.loads((FIXTURES / "boxes.json").read_text())["photos"]
    for photo in photos:
        (source / photo["file"]).write_bytes((FIXTURES / "photos" / photo["file"]).read_bytes())
        (source / photo["file"]).with_suffix(".json").write_text(json.dumps({"hands": photo["hands"]}))
    s = dataset.label(
        source,
        tmp_path / "out",
        boxes="hands",
        workers=2,
        part_size=2,
        pipeline=options,
        include_vertices=True,
    )
    assert not s.bad and s.hands == sum(len(p["hands"]) for p in photos)
    rows = rows_of(tmp_path / "out")
    for photo in photos:
        golden = np.load(FIXTURES / "tiny/pipeline" / (photo["file"].replace(".", "_") + ".npz"))
        mine = [r for r in rows if r["key"] == photo["file"]]
        for column, name in GOLDEN.items():
            wanted = golden[name].reshape(len(mine), -1)
            got = np.array([r[column] for r in mine])
            scale = max(1.0, float(np.abs(wanted).max()))
            assert np.abs(got - wanted).max() < 1e-5 * scale, (photo["file"], column)
    assert len(list((tmp_path / "cache/wilor/packed").glob("*.packed"))) == 1
    assert len(rows[0]["model"]) == 64 and rows[0]["dtype"] == "f32" and rows[0]["detector"] is None


GOLDEN = {
    "keypoints_3d": "out.pred_keypoints_3d",
    "vertices": "out.pred_vertices",
    "cam_t": "out.pred_cam_t_full",
    "betas": "out.betas",
    "hand_pose": "out.hand_pose",
    "global_orient": "out.global_orient",
    "pred_cam": "out.pred_cam",
    "keypoints_2d_projected": "out.pred_keypoints_2d",
}
