"""Our calls begin with wilor-mlx 0.3.1's, parameter by parameter; what is ours comes behind, by keyword."""

import json
import pathlib

import pytest

import make_seed_signatures as seed
import wilor

FACTS = json.loads(pathlib.Path(__file__).with_name("seed_signatures.json").read_text())
OURS = json.loads(
    json.dumps(
        {
            "classes": {
                name: seed.describe_class(getattr(wilor, name), calls) for name, calls in seed.CALLS.items()
            },
            "HandPose": seed.describe_fields(wilor.HandPose),
        }
    )
)


def test_names():
    for name in FACTS["all"]:
        assert name in wilor.__all__


@pytest.mark.parametrize(
    "cls, call", [(cls, call) for cls, calls in FACTS["classes"].items() for call in calls]
)
def test_call(cls, call):
    theirs, ours = FACTS["classes"][cls][call], OURS["classes"][cls][call]
    assert ours["static"] == theirs["static"]
    count = len(theirs["parameters"])
    for want, got in zip(theirs["parameters"], ours["parameters"], strict=False):
        for key in ("name", "kind", "default"):
            assert got[key] == want[key], want["name"]
        if want["annotation"] is not None:
            assert got["annotation"] == want["annotation"]
    assert len(ours["parameters"]) >= count
    for extra in ours["parameters"][count:]:
        assert extra["kind"] in ("KEYWORD_ONLY", "VAR_KEYWORD")
        assert extra["kind"] == "VAR_KEYWORD" or extra["default"] is not None
    if theirs["returns"] is not None:
        assert ours["returns"] == theirs["returns"]


def test_fields():
    assert OURS["HandPose"] == FACTS["HandPose"]


def test_installed():
    """The committed file is what the package says."""
    wilor_mlx = pytest.importorskip("wilor_mlx", reason="wilor_mlx is not installed")
    from wilor_mlx.pipeline import HandPose

    said = seed.describe(wilor_mlx, HandPose)
    assert json.loads(json.dumps(said)) == {k: v for k, v in FACTS.items() if k != "version"}
