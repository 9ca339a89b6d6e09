"""PyTorch on the same card: bench/wilor_torch.py's network with random numbers, in float16 as `.half()` leaves
it, eager and through torch.compile. Times from crops in host memory to vertices in host memory, as
cuda_compare's."""

import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', '..', 'bench'))
import numpy as np
import torch

from wilor_torch import Wilor

D, DEPTH, HEADS, MLP = 1280, 32, 16, 5120


def weights(hand):
    """Small random numbers under the checkpoint's names; MANO from the file."""
    r = np.random.default_rng(1)

    def layer(out, name, n, k):
        out[name + '.weight'] = (r.standard_normal((n, k)) / np.sqrt(k)).astype(np.float32)
        out[name + '.bias'] = (r.standard_normal(n) * 0.02).astype(np.float32)

    def norm(out, name, n):
        out[name + '.weight'] = np.ones(n, np.float32)
        out[name + '.bias'] = np.zeros(n, np.float32)

    w, b = {}, 'backbone.'
    layer(w, b + 'patch_embed.proj', D, 768)
    w[b + 'patch_embed.proj.weight'] = w[b + 'patch_embed.proj.weight'].reshape(D, 3, 16, 16)
    w[b + 'pos_embed'] = (r.standard_normal((1, 193, D)) * 0.02).astype(np.float32)
    for name, k in (('pose_emb', 6), ('shape_emb', 10), ('cam_emb', 3)):
        layer(w, b + name, D, k)
    for i in range(DEPTH):
        p = f'{b}blocks.{i}.'
        norm(w, p + 'norm1', D)
        norm(w, p + 'norm2', D)
        layer(w, p + 'attn.qkv', 3 * D, D)
        layer(w, p + 'attn.proj', D, D)
        layer(w, p + 'mlp.fc1', MLP, D)
        layer(w, p + 'mlp.fc2', D, MLP)
    norm(w, b + 'last_norm', D)
    for name, n in (('decpose', 6), ('decshape', 10), ('deccam', 3)):
        layer(w, b + name, n, D)
    w[b + 'deccam.bias'] = np.array([0.9, 0.0, 0.0], np.float32)
    for name, n in (('init_hand_pose', 96), ('init_betas', 10), ('init_cam', 3)):
        w[b + name] = (r.standard_normal((1, n)) * 0.1).astype(np.float32)
    q = 'refine_net.'
    layer(w, q + 'deconv.first_conv.0', D // 2, D)
    w[q + 'deconv.first_conv.0.weight'] = w[q + 'deconv.first_conv.0.weight'].reshape(D // 2, D, 1, 1)
    for conv, bn, k, n in (('0.0', '0.1', D // 2, D // 4), ('1.0', '1.1', D // 2, D // 4), ('1.3', '1.4', D // 4, D // 8)):
        c = q + 'deconv.deconv.'
        w[c + conv + '.weight'] = (r.standard_normal((k, n, 4, 4)) / np.sqrt(4 * k)).astype(np.float32)
        norm(w, c + bn, n)
        w[c + bn + '.running_mean'] = np.zeros(n, np.float32)
        w[c + bn + '.running_var'] = np.ones(n, np.float32)
    for name, n in (('dec_pose', 96), ('dec_shape', 10), ('dec_cam', 3)):
        layer(w, q + name, n, D // 8 + D // 4 + D // 2)
    with np.load(hand) as f:
        for name in f.files:
            w['mano.' + name.replace('mano.', '')] = f[name]
    for old, new in (('mano.faces', 'mano.faces_tensor'), ('mano.weights', 'mano.lbs_weights')):
        if old in w:
            w.setdefault(new, w[old])
    return w


def measure(what, model, n):
    crops = torch.randint(0, 256, (n, 256, 256, 3), device='cpu').float().pin_memory()
    times = []
    with torch.inference_mode():
        for i in range(60):
            torch.cuda.synchronize()
            start = time.perf_counter()
            out = model(crops.cuda(non_blocking=True))
            [x.cpu() for x in (out.values() if isinstance(out, dict) else out) if torch.is_tensor(x)]
            if i >= 10:
                times.append((time.perf_counter() - start) * 1e3)
    print(f'peer {what}, {n} hands: median {statistics.median(times):.3f} ms', flush=True)


def main():
    root = os.path.join(os.path.dirname(__file__), '..', '..')
    w = weights(os.path.join(root, 'tests/golden/data/hand-cc0.npz'))
    print('peer torch', torch.__version__, torch.cuda.get_device_name())
    for dtype in (torch.float16, torch.float32):
        model = Wilor(w, HEADS, dtype).cuda().eval()
        for n in (1, 2, 8, 32) if dtype == torch.float16 else (1, 2):
            try:
                measure(f'{dtype} eager', model, n)
            except RuntimeError as e:
                print('peer failed:', str(e).splitlines()[0])
    model = torch.compile(Wilor(w, HEADS, torch.float16).cuda().eval(), mode='max-autotune')
    for n in (1, 2):
        try:
            measure('float16 torch.compile max-autotune', model, n)
        except RuntimeError as e:
            print('peer failed:', ' | '.join(str(e).splitlines()[:6]))


if __name__ == '__main__':
    main()
