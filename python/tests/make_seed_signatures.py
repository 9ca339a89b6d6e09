#!/usr/bin/env python3
"""Write seed_signatures.json: what `inspect` says of the calls of the installed wilor_mlx 0.3.1.

    make_seed_signatures.py [FILE]

Needs wilor_mlx and mlx importable (mlx[cpu] will do). test_signatures.py holds ours against the file."""

import dataclasses
import importlib.metadata
import inspect
import json
import pathlib
import sys

CALLS = {
    "WiLoR": ["__init__", "__call__", "from_pretrained", "from_pytorch_checkpoint"],
    "HandDetector": ["__init__", "__call__", "from_pretrained"],
    "HandPosePipeline": ["__init__", "__call__", "from_pretrained"],
}


def plain(annotation):
    if annotation is inspect.Parameter.empty:
        return None
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def describe_call(function):
    signature = inspect.signature(function)
    return {
        "parameters": [
            {
                "name": p.name,
                "kind": p.kind.name,
                "annotation": plain(p.annotation),
                "default": None if p.default is p.empty else repr(p.default),
            }
            for p in signature.parameters.values()
        ],
        "returns": plain(signature.return_annotation),
    }


def describe_class(cls, calls):
    return {
        name: {
            "static": isinstance(inspect.getattr_static(cls, name), staticmethod),
            **describe_call(getattr(cls, name)),
        }
        for name in calls
    }


def describe_fields(cls):
    return [
        {
            "name": f.name,
            "type": f.type if isinstance(f.type, str) else str(f.type),
            "default": None if f.default is dataclasses.MISSING else repr(f.default),
        }
        for f in dataclasses.fields(cls)
    ]


def describe(package, hand_pose):
    """package: what has the three classes as attributes."""
    return {
        "all": sorted(package.__all__),
        "classes": {name: describe_class(getattr(package, name), calls) for name, calls in CALLS.items()},
        "HandPose": describe_fields(hand_pose),
    }


def main():
    import wilor_mlx
    from wilor_mlx.pipeline import HandPose

    beside = pathlib.Path(__file__).with_name("seed_signatures.json")
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else beside
    facts = {"version": importlib.metadata.version("wilor-mlx"), **describe(wilor_mlx, HandPose)}
    target.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
