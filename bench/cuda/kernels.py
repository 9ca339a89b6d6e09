"""Where a pass on a card spends its time: every kernel of it, by PyTorch's profiler, which sees the kernels of
all libraries of a process, those of graphs too. Random numbers as weights.

    WILOR_LIBRARY=build/libwilor.so WILOR_CUDA_MODULE=build-card/libwilor_cuda.so.0 \
        python3 bench/cuda/kernels.py [--hands 1,2,8,32] [--dtype f16] [--detector] [--runs 5] [--in-order]

For each number of hands: the pass from the first kernel's start to the last one's end, the time in which no
kernel ran, then by kernel: launches a pass, microseconds each (median), milliseconds a pass. --in-order: one
pass, kernel by kernel, with the gap before each."""

from __future__ import annotations

import argparse
import collections
import re
import statistics
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

from wilor import _native
from wilor.detector import HandDetector
from wilor.model import WiLoR
from wilor.pipeline import HandPosePipeline


def short(name: str) -> str:
    """A kernel's name without its namespace and arguments; of cuBLASLt's, what tells tiles."""
    name = re.sub(r"^void ", "", name)
    name = re.sub(r"\(anonymous namespace\)::|wilor_cuda::", "", name)
    return name.split("(")[0][:64]


def passes(torch, call, runs: int) -> list[list[tuple[float, float, str]]]:
    """(start, duration in microseconds, name) of every kernel, pass by pass."""
    from torch.profiler import ProfilerActivity, profile

    for _ in range(10):
        call()
    found = []
    for _ in range(runs):
        with profile(activities=[ProfilerActivity.CUDA]) as p:
            call()
            torch.cuda.synchronize()
        events = [e for e in p.events() if e.device_type == torch.autograd.DeviceType.CUDA]
        found.append(sorted((e.time_range.start, e.time_range.elapsed_us(), e.name) for e in events))
    return found


def tell(what: str, found: list[list[tuple[float, float, str]]], in_order: bool) -> None:
    spans, idle = [], []
    each = collections.defaultdict(list)
    for one in found:
        end, gap = one[0][0], 0.0
        for start, duration, name in one:
            gap += max(0.0, start - end)
            end = max(end, start + duration)
            each[short(name)].append(duration)
        spans.append(end - one[0][0])
        idle.append(gap)
    print(f"### {what}: {statistics.median(spans) / 1000:.3f} ms, idle {statistics.median(idle) / 1000:.3f} ms, "
          f"{len(found[0])} kernels and copies")
    for name, times in sorted(each.items(), key=lambda item: -sum(item[1])):
        print(f"{len(times) / len(found):7.1f} × {statistics.median(times):8.2f} µs = "
              f"{sum(times) / len(found) / 1000:7.3f} ms  {name}")
    if in_order:
        end = found[-1][0][0]
        for start, duration, name in found[-1]:
            print(f"{start - found[-1][0][0]:9.1f} +{start - end:6.1f} {duration:7.2f} {short(name)}")
            end = max(end, start + duration)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hands", default="1,2,8,32")
    p.add_argument("--dtype", default="f16")
    p.add_argument("--weights", default="random:full")
    p.add_argument("--device", default="cuda:0")
    p.add_argument("--detector", action="store_true")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--in-order", action="store_true")
    a = p.parse_args()
    import torch

    torch.zeros(1, device=a.device)
    image = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    hand = str(ROOT / "tests/golden/data/hand-cc0.npz")
    if a.hands:
        model = WiLoR()
        model._threads = 1
        model._set(_native.open_model(a.weights, hand, None, a.dtype, 1, None, 0, a.device))
    for n in map(int, filter(None, a.hands.split(","))):
        boxes = np.array([[20 + 15 * i, 30 + 10 * i, 110 + 15 * i, 120 + 10 * i] for i in range(n)], np.float32)
        pipeline = HandPosePipeline(None, model, batch=n, threads=1)
        tell(f"{n} hands, {a.dtype}", passes(torch, lambda: pipeline(image, boxes=boxes), a.runs), a.in_order)
    if a.detector:
        detector = HandDetector()
        handle = detector._handle = _native.open_detector("random:m", 1, a.dtype, a.device)
        detector._store = _native.Store(lambda: _native.Pipeline(handle, None, compat=0, threads=1))
        tell(f"detector m, {a.dtype}", passes(torch, lambda: detector.detect(image), a.runs), a.in_order)


main()
