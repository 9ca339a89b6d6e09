"""Types: mypy --strict finds nothing in the package, and knows its types in a script of a user's."""

import os
import pathlib
import subprocess
import sys

import pytest

import wilor
from conftest import ROOT

PACKAGE = pathlib.Path(wilor.__file__).resolve().parent
SCRIPT = """
from typing import assert_type

import numpy as np
import wilor
from wilor import HandPosePipeline
from wilor.compat import WiLorHandPose3dEstimationPipeline

pipeline = HandPosePipeline.from_pretrained(dtype="auto", threads=1)
hands = pipeline("demo/hands.png", boxes=[[0, 0, 9, 9]], sides=["left"], intrinsics=np.eye(3))
assert_type(hands, wilor.Hands)
for hand in hands:
    assert_type(hand, wilor.HandPose)
    assert_type(hand.bbox, list[float])
    assert_type(hand.points, np.ndarray)
    assert_type(hand.mesh(), tuple[np.ndarray, np.ndarray])
    assert_type(hand.id, int)
assert_type(hands._repr_png_(), bytes)
if hands.arrays is not None:
    assert_type(hands.arrays.vertices_3d, np.ndarray)
assert_type(pipeline.batch(["a.png", np.zeros((9, 9, 3), np.uint8)]), list[wilor.Hands])
detector = wilor.HandDetector.from_pretrained()
assert_type(detector.detect("a.png"), wilor.Detections)
assert_type(detector.detect(["a.png"]), list[wilor.Detections])
model = wilor.WiLoR.from_pretrained()
assert_type(model(np.zeros((1, 256, 256, 3), np.uint8)), dict[str, np.ndarray])
wilor.HandPosePipeline(None, model)
for event in wilor.live(0):
    assert_type(event.hands, wilor.Hands)
mini = WiLorHandPose3dEstimationPipeline(verbose=False)
assert_type(mini.predict(np.zeros((9, 9, 3), np.uint8)), list[dict[str, object]])  # WRONG: 1
hands[0].confidence.upper()  # WRONG: 2
pipeline(image=3)  # WRONG: 3
"""


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    pytest.importorskip("mypy", reason="mypy is not installed")
    cache = tmp_path_factory.mktemp("mypy")

    def check(*arguments):
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, *arguments]
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        if not os.environ.get("WILOR_TEST_INSTALLED"):
            env["MYPYPATH"] = str(PACKAGE.parent)
        return subprocess.run(command, env=env, cwd=cache, capture_output=True, text=True)

    return check


@pytest.mark.skipif("WILOR_TEST_INSTALLED" in os.environ, reason="the tree's files are checked in the tree")
def test_package(mypy):
    done = mypy("--config-file", ROOT / "pyproject.toml", PACKAGE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_script(mypy, tmp_path):
    """The wrong lines are found and no other: without py.typed everything would be anything."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = mypy("--follow-imports", "silent", script)
    said = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    wrong = {i for i, line in enumerate(SCRIPT.splitlines(), 1) if "# WRONG" in line}
    assert len(wrong) == 3 and said == wrong, done.stdout + done.stderr
