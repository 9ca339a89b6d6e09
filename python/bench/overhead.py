#!/usr/bin/env python3
"""What a call through Python costs beside the same call from C: both loops run in this process, in turns, on
one session of the library.

    overhead.py [--rounds N] [--weights NAME] [--limit MS]

A turn is twenty calls. The figures are the differences of the two loops' minima and medians, of the wall's
time and of this thread's processor time; the latter does not count what others do on a busy machine, but for
the caches that they empty. Weights are by formula ("tiny": a short run, so that its own variation stays
small), one thread, a given box in a picture of 640 x 480. `nothing` is a call without a box, all in warm
caches; behind a run Python's code and data have left them. With --limit: 1 when a minimum of the processor
time's differences is above it. 77 without a C compiler, which the C loop needs."""

import argparse
import ctypes
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
from wilor import _library, _picture
from wilor.pipeline import make_boxes, predict_options

ROOT = pathlib.Path(__file__).resolve().parents[2]
TURN = 20


def compile_loop(folder):
    """The C loop as a function."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print("skipped: no C compiler")
        sys.exit(77)
    source, target = pathlib.Path(__file__).with_name("call_loop.c"), pathlib.Path(folder) / "call_loop.so"
    options = ["-std=c11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", f"-I{ROOT / 'include'}"]
    subprocess.check_call([compiler, *options, "-o", target, source])
    return ctypes.CDLL(str(target)).call_loop


class Turns:
    """Times of calls from C and from Python, a turn each after the other."""

    def __init__(self, loop, pipeline, picture, boxes, **options):
        self.loop, self.pipeline, self.picture = loop, pipeline, picture
        self.boxes, self.options = boxes, options
        self.c, self.python = ([], []), ([], [])

    def from_c(self):
        wall, processor = (ctypes.c_double * TURN)(), (ctypes.c_double * TURN)()
        view, keep = _picture.view(self.picture)
        boxes, plain = make_boxes(self.boxes, "right"), predict_options()
        with self.pipeline._store.pipeline() as one:
            status = self.loop(
                ctypes.cast(_library.load().wilor_predict_boxes, ctypes.c_void_p),
                ctypes.c_void_p(one.session),
                ctypes.byref(view),
                boxes,
                len(boxes),
                ctypes.byref(plain),
                TURN,
                wall,
                processor,
            )
        assert status == 0 and keep is self.picture
        self.c[0].extend(wall)
        self.c[1].extend(processor)

    def from_python(self):
        for _ in range(TURN):
            processor_then, then = time.thread_time_ns(), time.perf_counter_ns()
            self.pipeline(self.picture, boxes=self.boxes, **self.options)
            wall = time.perf_counter_ns() - then
            self.python[1].append((time.thread_time_ns() - processor_then) * 1e-6)
            self.python[0].append(wall * 1e-6)

    def run(self, rounds):
        self.from_c(), self.from_python()
        self.c, self.python = ([], []), ([], [])
        for i in range(rounds):
            for turn in (self.from_c, self.from_python)[:: 1 if i % 2 else -1]:
                turn()

    def say(self, name):
        """A line; returns the difference of the processor time's minima."""
        low = [min(p) - min(c) for p, c in zip(self.python, self.c)]
        middle = [statistics.median(p) - statistics.median(c) for p, c in zip(self.python, self.c)]
        print(
            f"{name}: processor min {low[1]:.3f}, median {middle[1]:.3f}; wall min {low[0]:.3f}, "
            f"median {middle[0]:.3f} ms (C: {min(self.c[1]):.3f}, {statistics.median(self.c[1]):.3f})"
        )
        return low[1]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=20)
    ap.add_argument("--weights", default="tiny")
    ap.add_argument("--limit", type=float)
    a = ap.parse_args()
    hand = ROOT / "tests/golden/data/hand-cc0.npz"
    model = wilor.WiLoR.from_pretrained(f"random:{a.weights}", hand, threads=1)
    pipeline = wilor.HandPosePipeline(None, model)
    picture = np.zeros((480, 640, 3), np.uint8)
    box = [[50, 50, 200, 200]]
    print(wilor.build_info(), "load", *(f"{x:.1f}" for x in os.getloadavg()))
    with tempfile.TemporaryDirectory() as folder:
        loop = compile_loop(folder)
        costs = []
        for name, boxes, vertices in (
            ("nothing", [], False),
            ("1 hand", box, False),
            ("1 hand, its vertices as a list", box, True),
            ("4 hands", box * 4, False),
        ):
            turns = Turns(loop, pipeline, picture, boxes, include_vertices=vertices)
            turns.run(a.rounds)
            costs.append((turns.say(name), vertices))
    slow = [cost for cost, vertices in costs if not vertices and a.limit is not None and cost > a.limit]
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
