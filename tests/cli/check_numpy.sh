#!/usr/bin/env bash
# The npz, read by NumPy: names, types and shapes as docs/outputs.md says.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
for python in "${WILOR_TEST_PYTHON:-python3}" /usr/bin/python3; do
    "$python" -c 'import numpy' 2>/dev/null && break
done
"$python" -c 'import numpy' 2>/dev/null || skip_all "no numpy for python3 (WILOR_TEST_PYTHON names another)"
model
cd "$scratch" || exit 1
"$CLI_MAKE_PICTURE" a.png 96 80 1 && "$CLI_MAKE_PICTURE" crop.png 256 256 3 || exit 1
cp a.png nä.png
base=(predict "${weights[@]}" --threads 1)
two=(--bbox 10,12,60,70,right --bbox 30.5,20.25,80,75,left)

cat >check.py <<'PY'
import sys
import numpy as np

table, path, kind, hands, names = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:]
want = {}
for line in open(table, encoding="utf-8"):
    cells = [c.strip(" `") for c in line.split("|")]
    if len(cells) > 5 and cells[2] in ("float32", "int32", "str"):
        want[cells[1]] = cells[2], cells[3], cells[4] == "no"
assert len(want) == 17, f"{len(want)} arrays in the table"
if kind == "crops":
    want = {k: v for k, v in want.items() if not v[2]}
z = np.load(path, allow_pickle=False)
assert set(z.files) == set(want), set(z.files) ^ set(want)
sizes = {"N": hands, "P": len(names), "V": 778, "F": 1538}
for name, (dtype, shape, _) in want.items():
    a = z[name]
    is_right = a.dtype.kind == "U" if dtype == "str" else a.dtype == np.dtype(dtype)
    assert is_right, f"{name}: {a.dtype}"
    dims = tuple(sizes[d] if d in sizes else int(d) for d in shape.strip("()").replace(",", " ").split())
    assert a.shape == dims, f"{name}: {a.shape}, documented {dims}"
    assert a.flags.c_contiguous and a.dtype.isnative, name
assert z["image_path"].tolist() == names, z["image_path"]
assert z["faces"].min() == 0 and z["faces"].max() == 777
if hands:
    assert set(z["is_right"].tolist()) <= {0.0, 1.0}
    assert z["image"].tolist() == sorted(z["image"].tolist()) and z["image"].max() < len(names)
    for name in z.files:
        assert name == "image_path" or np.isfinite(z[name]).all(), name
    # Units: a hand's length in metres, points about the model's origin.
    k = z["pred_keypoints_3d"]
    reach = np.linalg.norm(k[:, 12] - k[:, 0], axis=1)
    assert ((0.02 < reach) & (reach < 0.4)).all(), reach
    assert np.abs(z["pred_vertices"]).max() < 1
    if kind == "boxes":
        # The 2D points are the projection of the 3D ones: focal length, translation, optical centre.
        p = k + z["pred_cam_t_full"][:, None]
        uv = z["scaled_focal_length"][:, None, None] * p[..., :2] / p[..., 2:] + np.array([48.0, 40.0])
        assert np.abs(uv - z["pred_keypoints_2d"]).max() < 0.01, np.abs(uv - z["pred_keypoints_2d"]).max()
PY
table=${0%/*}/../../docs/outputs.md
run "${base[@]}" a.png nä.png "${two[@]}" --npz two.npz
is "two pictures, four hands" 0
check "as documented" "$python" check.py "$table" two.npz boxes 4 a.png nä.png
run "${base[@]}" crop.png --crops --npz crop.npz
is "a crop" 0
check "as documented" "$python" check.py "$table" crop.npz crops 1 crop.png
echo text >text.jpg
run "${base[@]}" text.jpg "${two[@]}" --npz none.npz
is "no picture" 1
check "arrays without hands" "$python" check.py "$table" none.npz boxes 0
sed "s/(N, 15, 3)/(N, 45)/" "$table" >wrong.md
check "another table is noticed" bash -c "! '$python' check.py wrong.md two.npz boxes 4 a.png nä.png"
finish
