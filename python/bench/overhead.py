#!/usr/bin/env python3
"""What a call through Python costs beside the library's own time: the median over calls, in milliseconds.

    overhead.py [CALLS]

hd80 by formula on a given box of a small picture, one thread. The library's time is what it says
itself (stage_ms: the whole of wilor_predict_boxes). Behind a run Python's own code and data have left the
caches; the call without a box shows it warm."""

import pathlib
import statistics
import sys
import time

import numpy as np

import wilor

HAND = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/data/hand-cc0.npz"


def measure(pipeline, picture, calls, **options):
    def once():
        start = time.perf_counter()
        hands = pipeline(picture, **options)
        whole = (time.perf_counter() - start) * 1e3
        return whole - hands.arrays.stage_ms[3]

    for _ in range(10):
        once()
    spent = sorted(once() for _ in range(calls))
    return spent[0], statistics.median(spent), spent[int(len(spent) * 0.9)]


def main():
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    model = wilor.WiLoR.from_pretrained("random:hd80", HAND, threads=1)
    pipeline = wilor.HandPosePipeline(None, model)
    picture = np.zeros((480, 640, 3), np.uint8)
    print(wilor.build_info())
    spent = []
    for _ in range(calls):
        start = time.perf_counter()
        pipeline(picture, boxes=[])
        spent.append((time.perf_counter() - start) * 1e3)
    print(
        f"no box, nothing to compute: min {min(spent):.3f}, median {statistics.median(spent):.3f} ms a call"
    )
    for n, vertices in ((1, False), (1, True), (4, False), (4, True)):
        boxes = [[50, 50, 200, 200]] * n
        options = dict(boxes=boxes, sides="right", include_vertices=vertices)
        low, median, high = measure(pipeline, picture, calls, **options)
        print(f"{n} hands, vertices {vertices}: min {low:.3f}, median {median:.3f}, p90 {high:.3f} ms a call")


if __name__ == "__main__":
    main()
