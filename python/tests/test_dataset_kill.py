"""A data set's run that is killed half way and started again ends complete and without doubles, on each
engine.

As a test on few pictures; as a program on many, which prints what it saw (docs/scale.md):

    python test_dataset_kill.py --pictures 2000 local ray daft
"""

import argparse
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="no pyarrow")
pytest.importorskip("PIL.Image", reason="no pillow")
import PIL.Image as Image  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

HERE = Path(__file__).parent
BAD = 17


def make_input(path, pictures):
    """A Parquet file of tiny pictures; of picture i the red is i % 3 and says how many hands it has; one is
    bad."""
    data = []
    for i in range(pictures):
        a = np.zeros((16, 16, 3), np.uint8)
        a[0, 0] = i % 3, i % 256, 0
        out = io.BytesIO()
        Image.fromarray(a).save(out, "PNG")
        data.append(out.getvalue())
    data[BAD] = b"no picture"
    pq.write_table(
        pa.table({"key": [f"{i:06}" for i in range(pictures)], "image": data}), path, row_group_size=500
    )


def start(engine, source, out, part_size, seconds, log):
    path = os.pathsep.join([str(HERE), str(HERE.parent), *(p for p in sys.path if p)])
    environment = {**os.environ, "PYTHONPATH": path, "STANDIN_SECONDS": str(seconds)}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "wilor.dataset",
            str(source),
            str(out),
            "--engine",
            engine,
            "--workers",
            "2",
            "--threads",
            "1",
            "--part-size",
            str(part_size),
            "--key",
            "key",
            "--pipeline",
            "test_dataset_standin:make",
        ],
        env=environment,
        stdout=log,
        stderr=log,
    )


def parts(out):
    return {p: p.stat().st_mtime_ns for p in Path(out).glob("part-*.parquet")}


def kill_half_way(run, out, total, patience=240):
    """SIGKILL when half of the parts are there. Returns those, as parts() does; all, when it came too late."""
    end = time.monotonic() + patience
    ended = False
    while len(parts(out)) < total // 2:
        assert not ended, "the run ended before its parts were there"
        ended = run.poll() is not None
        assert time.monotonic() < end, "no progress"
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()
    return parts(out)


def check(out, pictures, before):
    """Every picture once, with its hands; parts that were finished before the kill were not touched."""
    rows = [
        row
        for p in sorted(parts(out))
        for row in pq.read_table(p, columns=["key", "hands", "hand", "betas", "error"]).to_pylist()
    ]
    wanted = []
    for i in range(pictures):
        n = 0 if i == BAD else i % 3
        wanted += [(f"{i:06}", h) for h in range(n)] or [(f"{i:06}", None)]
    assert [(r["key"], r["hand"]) for r in rows] == wanted
    assert all(r["betas"][0] == int(r["key"]) % 256 + r["hand"] for r in rows if r["hand"] is not None)
    assert [r["key"] for r in rows if r["error"]] == [f"{BAD:06}"]
    assert {p: t for p, t in parts(out).items() if p in before} == before
    assert not [p for p in (Path(out) / "_wilor").iterdir() if p.name.startswith(("part-", "at-"))]
    return len(rows)


def kill_and_restart(engine, folder, pictures, part_size, seconds):
    """(parts at the kill, parts, rows, seconds of the second run)."""
    source, out, total = folder / "in.parquet", folder / "out", -(-pictures // part_size)
    make_input(source, pictures)
    with open(folder / "log", "w+") as log:
        for _ in range(10):  # a machine that is busy may come too late each time, but does not
            shutil.rmtree(out, ignore_errors=True)
            first = start(engine, source, out, part_size, seconds, log)
            try:
                before = kill_half_way(first, out, total)
            finally:
                first.kill()
            if len(before) < total:
                break
        assert 0 < len(before) < total, f"{len(before)} of {total} parts were there: killed too late"
        begin = time.monotonic()
        second = start(engine, source, out, part_size, seconds, log)
        try:
            code = second.wait(300)
        finally:
            second.kill()
        log.seek(0)
        text = log.read()
    assert code == 1, text  # one picture is bad
    assert f"{pictures} pictures" in text and "1 bad" in text, text
    return len(before), total, check(out, pictures, before), time.monotonic() - begin


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("engine", ["local", "ray", "daft"])
def test_killed(tmp_path, engine):
    if engine != "local":
        pytest.importorskip(engine, reason=f"no {engine}")
    before, total, rows, _ = kill_and_restart(engine, tmp_path, 90, 6, 0.02)
    assert 0 < before < total and rows == 90 + 29


def main():
    p = argparse.ArgumentParser()
    p.add_argument("engines", nargs="+", choices=["local", "ray", "daft"])
    p.add_argument("--pictures", type=int, default=2000)
    p.add_argument("--part-size", type=int, default=50)
    p.add_argument("--seconds", type=float, default=0.005, help="that each picture takes")
    a = p.parse_args()
    for engine in a.engines:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.monotonic()
            before, total, rows, second = kill_and_restart(
                engine, Path(folder), a.pictures, a.part_size, a.seconds
            )
            print(
                f"{engine}: killed with {before} of {total} parts; after the restart {a.pictures} pictures, "
                f"{rows} rows, each once, the {before} parts untouched ({time.monotonic() - begin:.0f} s, "
                f"{second:.0f} of them the restart)",
                flush=True,
            )


if __name__ == "__main__":
    main()
