#!/usr/bin/env python3
"""Run the installed wilor_mlx 0.3.1 (MLX's CPU build) and this package with compat="mlx" side by side on
pictures, and compare field by field.

    compare_seed.py [--weights NAME] [--fixtures FOLDER] [PICTURE ...]

Without pictures: five frames of FOLDER/detector (../shared/fixtures). Weights are by formula (tiny or
hd80, seed 1), the hand is tests/golden/data/hand-cc0.npz, the detector hand-detector-tiny.safetensors
of FOLDER/detector: wilor-mlx's classes run as they are, with the sizes that they hard-code given in the
call. Needs wilor_mlx, mlx, pillow; exits with 77 without them, with 1 on a difference.

Twice: each with its own detector, and ours on the squares that wilor-mlx cut. It truncates crops to
bytes, so that the last bit of a square can move vertices by 0.15 mm in wilor-mlx itself
(docs/compat.md); on its own squares there is no such noise. On these pictures hd80 stays below 0.1 mm
anyway, tiny does not.

--why takes the hand that moves most and shows what moves it: how far the two detectors' squares are apart,
how many bytes of wilor-mlx's own crop that changes, and how far wilor-mlx's own mesh moves between the two
squares with its crop as it is (truncated to bytes), rounded to bytes, and left as floats."""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
sys.path.insert(0, str(ROOT / "python"))
FRAMES = ("crowd_640x480", "half_512x384", "landscape_640x480", "portrait_512x600", "square_256x256")
# Metres, with each its own detector, and on the same squares.
ROUTE, SQUARES = {"hd80": 1e-4, "tiny": 4e-4}, 1e-6
# Pixels of the picture, times its longer side over 512.
PIXELS, SCORE = 2e-3, 1e-5
try:
    import make_mlx_reference as reference
    import mlx.core as mx
    import numpy as np
    import wilor_mlx.pipeline as module
    from PIL import Image
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)

import wilor  # noqa: E402


def difference(ours, theirs, name):
    pairs = [(np.asarray(getattr(o, name)), np.asarray(getattr(t, name))) for o, t in zip(ours, theirs)]
    return max((float(np.abs(o - t).max()) for o, t in pairs), default=0.0)


def same_kinds(ours, theirs):
    """Types and shapes of every field of every hand."""
    for o, t in zip(ours, theirs):
        for name in vars(t):
            a, b = getattr(o, name), getattr(t, name)
            if type(a) is not type(b) or np.shape(a) != np.shape(b):
                return f"{name}: {type(a).__name__} {np.shape(a)}, theirs {type(b).__name__} {np.shape(b)}"
    return None


class Squares:
    """What wilor-mlx cuts out, noted while it does."""

    def __init__(self):
        self.cut, self.boxes, self.squares = module._crop_and_resize_mlx, [], []
        module._crop_and_resize_mlx = self

    def __call__(self, image, cx, cy, size, target_size=256, pad_value=None):
        if target_size == 256:
            self.squares.append((cx, cy, size))
            half = float(size) / 5  # The crop is 2.5 times the box.
            self.boxes.append([float(cx) - half, float(cy) - half, float(cx) + half, float(cy) + half])
        return self.cut(image, cx, cy, size, target_size=target_size, pad_value=pad_value)


class Floats:
    """mlx.core as wilor-mlx's module sees it while it cuts, but for the type that it ends with."""

    uint8 = mx.float32

    def __getattr__(self, name):
        return getattr(mx, name)


def float_crop(squares, picture, square):
    """wilor-mlx's crop before its last step, which makes bytes of it."""
    module.mx = Floats()
    try:
        return np.array(squares.cut(mx.array(picture), *square, target_size=256))
    finally:
        module.mx = mx


def explain(picture, hand, theirs, ours, model, squares):
    """What moves wilor-mlx's own mesh between its square and ours, for a hand of a picture."""
    square = squares.squares[hand]
    middle, side = ours.arrays.crop[hand, :2], ours.arrays.crop[hand, 2]
    mine = (np.float32(middle[0]), np.float32(middle[1]), np.float32(side))
    steps = [abs(float(a) - float(b)) / float(np.spacing(np.float32(a))) for a, b in zip(square, mine)]
    floats = [float_crop(squares, picture, s) for s in (square, mine)]
    crops = {
        "truncated, as it is": [f.astype(np.uint8) for f in floats],
        "rounded": [np.rint(f).astype(np.uint8) for f in floats],
        "left as floats": floats,
    }
    assert np.array_equal(
        crops["truncated, as it is"][0], np.array(squares.cut(mx.array(picture), *square, target_size=256))
    )
    print(f"  squares apart by {steps[0]:.0f}, {steps[1]:.0f} and {steps[2]:.0f} last bits of x, y and side")
    near = float((np.abs(floats[0] - np.rint(floats[0])) < 2e-4).mean())
    print(f"  {near:.1%} of its crop's levels lie within 2e-4 of a whole number")
    left = theirs[hand].hand_side == "left"
    for name, pair in crops.items():
        changed = int((pair[0] != pair[1]).sum())
        most = float(np.abs(pair[0].astype(np.float32) - pair[1].astype(np.float32)).max())
        meshes = []
        for crop in pair:
            out = model(mx.array(np.ascontiguousarray(crop[:, ::-1] if left else crop))[None])
            meshes.append(np.array(out["pred_vertices"][0]))
        moved = float(np.abs(meshes[0] - meshes[1]).max())
        levels = f"{changed} of {pair[0].size} levels differ, by {most:.1e}"
        print(f"  crop {name}: {levels}; its mesh moves {moved:.1e} m")


def detector_columns(picture, seed, mine, squares):
    """How far the boxes of the two networks are apart on one input, where a hand is likely."""
    height, width = picture.shape[:2]
    x = squares.cut(mx.array(picture), width / 2.0, height / 2.0, max(height, width), 512, 114)[None]
    theirs, ours = np.array(seed.detector(x))[0], mine.detector(np.array(x))[0]
    likely = theirs[4:6].max(axis=0) >= 0.3
    return float(np.abs(theirs[:4, likely] - ours[:4, likely]).max())


def worst_hand(ours, theirs):
    apart = [np.abs(np.asarray(o.vertices) - np.asarray(t.vertices)).max() for o, t in zip(ours, theirs)]
    return int(np.argmax(apart))


def compare(name, picture, seed, mine, squares, metres, why):
    """True when they agree."""
    squares.boxes, squares.squares = [], []
    theirs = seed(picture, include_vertices=True)
    ours = mine(picture, include_vertices=True)
    sides = [h.hand_side for h in theirs]
    same = mine(picture, boxes=squares.boxes, sides=sides, include_vertices=True)
    wrong = same_kinds(ours, theirs)
    if [h.hand_side for h in ours] != sides or wrong:
        print(f"not ok - {name}: {wrong or 'other hands'}")
        return False
    scale = max(picture.shape[:2]) / 512
    rows = {
        "confidence": (difference(ours, theirs, "confidence"), SCORE),
        "bbox": (difference(ours, theirs, "bbox"), PIXELS * scale),
        "keypoints_2d": (difference(ours, theirs, "keypoints_2d"), PIXELS * scale),
        "keypoints_3d": (difference(ours, theirs, "keypoints_3d"), metres),
        "vertices": (difference(ours, theirs, "vertices"), metres),
        "vertices, same squares": (difference(same, theirs, "vertices"), SQUARES),
    }
    good = bool(theirs) and all(d <= limit for d, limit in rows.values())
    said = ", ".join(f"{key} {d:.1e}" for key, (d, _) in rows.items())
    print(f"{'ok' if good else 'not ok'} - {name}: {len(ours)} hands, largest difference {said}")
    if why:
        columns = detector_columns(picture, seed, mine, squares)
        print(f"  the same 512 x 512 bytes through both detectors: columns apart by {columns:.1e} pixels")
        explain(picture, worst_hand(ours, theirs), theirs, ours, seed.pose_model, squares)
    return good


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("pictures", nargs="*", type=pathlib.Path)
    ap.add_argument("--weights", default="hd80", choices=("tiny", "hd80"))
    ap.add_argument("--why", action="store_true")
    ap.add_argument("--fixtures", type=pathlib.Path, default=ROOT / "../shared/fixtures")
    a = ap.parse_args()
    detector = a.fixtures / "detector/hand-detector-tiny.safetensors"
    if not detector.exists():
        print("skipped: no", detector)
        sys.exit(77)
    pictures = a.pictures or [a.fixtures / "detector/frames" / (name + ".png") for name in FRAMES]
    mx.set_default_device(mx.cpu)

    class Fresh:
        """A call changes wilor-mlx's batch norms: a new model for each, as for a first crop."""

        def __call__(self, crop):
            return reference.pose_model(a.weights)(crop)

    seed = module.HandPosePipeline(reference.detector_model(detector), Fresh())
    mine = wilor.HandPosePipeline.from_pretrained(
        weights_path=f"random:{a.weights}",
        mano_path=ROOT / "tests/golden/data/hand-cc0.npz",
        detector_path=detector,
        compat="mlx",
    )
    squares = Squares()
    good = []
    for path in pictures:
        picture = np.asarray(Image.open(path).convert("RGB"))
        good.append(compare(path.stem, picture, seed, mine, squares, ROUTE[a.weights], a.why))
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
