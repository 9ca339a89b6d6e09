#!/usr/bin/env python3
"""What a call through Python takes beside the library's own work: the time of each call, less the time
between entering and leaving the library's function in that same call.

    overhead.py [--calls N] [--weights NAME] [--limit MS]

So a machine whose speed changes from call to call, as shared ones' does, changes the two alike, and the
median says something. Included is all that Python does: arguments, the foreign call, the copy of the result,
objects; and what it costs that the run before has emptied the caches of Python's code and data. Weights are
by formula, one thread, a given box in a picture of 640 x 480. `nothing` is a call without a box, all in warm
caches. With --limit: 1 when the median of the wall's time is above it for one hand. 77 without a C compiler,
which the clock inside the call needs."""

import argparse
import ctypes
import functools
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import wilor
from wilor import _library

ROOT = pathlib.Path(__file__).resolve().parents[2]
POINTS = ("keypoints_2d", "keypoints_3d")


def put_clock(folder):
    """The library's function is from here on the one with a clock; returns its two results."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print("skipped: no C compiler")
        sys.exit(77)
    source, target = pathlib.Path(__file__).with_name("call_timed.c"), pathlib.Path(folder) / "call_timed.so"
    command = [*compiler.split(), "-O2", "-shared", "-fPIC", "-I", ROOT / "include", "-o", target, source]
    subprocess.run([str(x) for x in command], check=True)
    clock, library = ctypes.CDLL(str(target)), _library.load()
    plain, timed = library.wilor_predict_boxes, clock.timed_predict_boxes
    address = ctypes.cast(plain, ctypes.c_void_p)
    ctypes.c_void_p.in_dll(clock, "timed_function").value = address.value
    timed.restype, timed.argtypes = plain.restype, plain.argtypes
    library.wilor_predict_boxes = timed
    return [ctypes.c_double.in_dll(clock, name) for name in ("timed_wall", "timed_processor")]


def one_call(pipeline, picture, boxes, lists):
    hands = pipeline(picture, boxes=boxes, include_vertices="vertices" in lists)
    return [getattr(hand, name) for hand in hands for name in lists]


def measure(name, clock, calls, call):
    """A line; returns the median of the wall's time."""
    wall, processor, inside = [], [], []
    for i in range(calls + calls // 10):
        processor_then, then = time.thread_time_ns(), time.perf_counter_ns()
        call()
        took = (time.perf_counter_ns() - then) * 1e-6
        if i >= calls // 10:  # the first ones warm up
            processor.append((time.thread_time_ns() - processor_then) * 1e-6 - clock[1].value)
            wall.append(took - clock[0].value)
            inside.append(clock[0].value)
    tenths = statistics.quantiles(wall, n=10)
    print(
        f"{name}: wall min {min(wall):.3f}, median {tenths[4]:.3f}, p90 {tenths[8]:.3f}; processor median "
        f"{statistics.median(processor):.3f} ms (the library: {statistics.median(inside):.3f})"
    )
    return tenths[4]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--calls", type=int, default=1000)
    ap.add_argument("--weights", default="tiny")
    ap.add_argument("--limit", type=float)
    a = ap.parse_args()
    hand = ROOT / "tests/golden/data/hand-cc0.npz"
    model = wilor.WiLoR.from_pretrained(f"random:{a.weights}", hand, threads=1)
    pipeline = wilor.HandPosePipeline(None, model)
    picture = np.zeros((480, 640, 3), np.uint8)
    box = [[50, 50, 200, 200]]
    print(
        wilor.build_info(), "Python", sys.version.split()[0], "load", *(f"{x:.1f}" for x in os.getloadavg())
    )
    costs = {}
    with tempfile.TemporaryDirectory() as folder:
        clock = put_clock(folder)
        for name, boxes, lists in (
            ("nothing", [], ()),
            ("1 hand", box, ()),
            ("1 hand, its points as lists", box, POINTS),
            ("1 hand, its vertices as a list, too", box, (*POINTS, "vertices")),
            ("4 hands", box * 4, ()),
            ("4 hands, their points as lists", box * 4, POINTS),
        ):
            call = functools.partial(one_call, pipeline, picture, boxes, lists)
            costs[name] = measure(name, clock, a.calls, call)
    late = a.limit is not None and costs["1 hand"] > a.limit
    sys.exit(1 if late else 0)


if __name__ == "__main__":
    main()
