"""Models and pictures for the tests: those committed under tests/golden/data, always; the fixtures
($WILOR_FIXTURES, or ../shared/fixtures beside the repository), skipped with a reason without them."""

import os
import pathlib
import shutil

import numpy as np
import pytest

import wilor

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/golden/data"


def png(path):
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    return np.asarray(image.open(path).convert("RGB"))


@pytest.fixture(scope="session")
def data():
    return DATA


@pytest.fixture(scope="session")
def fixtures():
    folder = pathlib.Path(os.environ.get("WILOR_FIXTURES") or ROOT / "../shared/fixtures")
    if not (folder / "tiny/wilor_tiny.ckpt").exists():
        pytest.skip(f"no fixtures in {folder}")
    return folder


@pytest.fixture(scope="session")
def program():
    """The C program `wilor`."""
    path = os.environ.get("WILOR_PROGRAM") or shutil.which("wilor")
    if not path or not os.path.exists(path):
        pytest.skip("no program wilor: set WILOR_PROGRAM")
    return path


@pytest.fixture(scope="session")
def frames():
    """Names and RGB arrays of the committed pictures."""
    return {p.name: png(p) for p in sorted((DATA / "detector/frames").glob("*.png"))}


@pytest.fixture(scope="session")
def model():
    """By formula, width 160: no file but the hand."""
    return wilor.WiLoR.from_pretrained("random:hd80", DATA / "hand-cc0.npz")


@pytest.fixture(scope="session")
def detector():
    return wilor.HandDetector.from_pretrained(DATA / "detector/micro.pt")


@pytest.fixture(scope="session")
def pipeline(detector, model):
    return wilor.HandPosePipeline(detector, model)


@pytest.fixture(scope="session")
def picture(frames):
    """One with hands in it at conf_threshold 0.05."""
    return frames["wide_260x180.png"]
