#!/usr/bin/env python3
"""Read our files with the real wilor-mlx and compare what it computes with the same source's file of
its own.

    check_wilor_mlx.py --wilor WILOR --source wilor_tiny.ckpt --dims 64,3,4 --reference FOLDER

WILOR is the program; FOLDER has wilor-mlx's own wilor-mlx.safetensors, wilor-mlx-int4-g32.safetensors,
mano_auto.npz and outputs.npz (what it computed from them); dims are width, depth and heads, which it
hard-codes. Needs wilor_mlx and mlx (0.32, the CPU build) importable; exits with 77 without them."""
import argparse, builtins, os, subprocess, sys, tempfile
try:
    import mlx.core as mx
    import numpy as np
    import wilor_mlx.convert as convert, wilor_mlx.model as model
except ImportError as e:
    print('skipped:', e)
    sys.exit(77)

KEYS = ('pred_cam', 'betas', 'global_orient', 'hand_pose', 'pred_keypoints_3d', 'pred_vertices')
# The same numbers through the same code; another processor's vector units may sum in another order.
TOLERANCE = {'f32': 2e-5, 'int4': 2e-5, 'f16': 2e-3, 'bf16': 2e-2}


def shrink(width, depth, heads):
    """The sizes that wilor-mlx hard-codes."""
    vit, refine = model.WiLoRViT, model.RefineNet
    model.WiLoRViT = lambda: vit(embed_dim=width, depth=depth, num_heads=heads)
    model.RefineNet = lambda feat_dim, upscale: refine(feat_dim=width, upscale=upscale)
    convert.range = lambda *a: builtins.range(depth) if a == (32,) else builtins.range(*a)


def outputs(path, mano, crops):
    """A fresh model for each crop: a call changes its batch norms."""
    out = {k: [] for k in KEYS}
    for i in range(len(crops)):
        m = model.WiLoR()
        convert.load_safetensors_weights(m, path)
        convert.load_mano_npz(m, mano)
        got = m(mx.array(crops[i:i + 1]))
        for k in KEYS:
            out[k].append(np.array(got[k]).astype(np.float32))
    return {k: np.concatenate(v) for k, v in out.items()}


def main():
    ap = argparse.ArgumentParser()
    for name in ('wilor', 'source', 'dims', 'reference'):
        ap.add_argument('--' + name, required=True)
    a = ap.parse_args()
    if not os.path.exists(os.path.join(a.reference, 'outputs.npz')):
        print('skipped: no', a.reference)
        sys.exit(77)
    mx.set_default_device(mx.cpu)
    dims = [int(x) for x in a.dims.split(',')]
    shrink(*dims)
    want, mano = np.load(os.path.join(a.reference, 'outputs.npz')), os.path.join(a.reference, 'mano_auto.npz')
    bad = 0
    with tempfile.TemporaryDirectory() as t:
        for dtype, more in (('f32', []), ('int4', ['--group-size', '32']), ('f16', []), ('bf16', [])):
            path = os.path.join(t, dtype + '.safetensors')
            subprocess.check_call([a.wilor, 'convert', a.source, path, '--to', 'mlx', '--dtype', dtype, '--quiet',
                                   '--heads', str(dims[2])] + more)
            got = outputs(path, mano, want['crop_rgb'])
            tag = 'int4-g32' if dtype == 'int4' else 'f32'
            for k in KEYS:
                d = float(np.abs(got[k] - want[f'{tag}.released.{k}']).max())
                bad += not d <= TOLERANCE[dtype]
                print(f'{"ok" if d <= TOLERANCE[dtype] else "not ok"} - {dtype} {k}: {d:.3g}')
    sys.exit(bad > 0)


main()
