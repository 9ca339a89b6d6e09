#!/usr/bin/env python3
"""Make tests/golden/data/mlx by running wilor-mlx 0.3.1 on MLX's CPU build.

    make_mlx_reference.py --wilor-mlx CHECKOUT [--detector FIXTURES/detector]

CHECKOUT is github.com/lyonsno/wilor-mlx at commit 11f2889e2ed842c995a908e8a0c949aaefafb8cb; its classes
are imported from there and run as they are, with the sizes they hard-code given in the call. Needs
mlx[cpu] 0.32, numpy 2 (its float32 scalars stay float32), pillow, scipy, safetensors, huggingface_hub.
Weights: scripts/random_weights.py (seed 1), hand: hand-cc0.npz, crops: those of tiny/stages.npz and
hd80/stages.npz, rendered from that hand. With --detector also whole_route.npz: the pipeline on the frames
of that folder, with hand-detector-tiny.safetensors; it holds no pictures, only their results.

MLX adds in another order on another processor: the last bits differ there."""

import argparse, pathlib, sys
import numpy as np
import random_weights

ROOT = pathlib.Path(__file__).resolve().parent.parent / 'tests/golden/data'
OUTPUTS = ('pred_cam', 'betas', 'global_orient', 'hand_pose', 'pred_keypoints_3d', 'pred_vertices')
RENAMED = {
    'deconv.first_conv.0': 'deconv.first_conv',
    'deconv.deconv.0.0': 'deconv.branch0_conv',
    'deconv.deconv.0.1': 'deconv.branch0_bn',
    'deconv.deconv.1.0': 'deconv.branch1_conv0',
    'deconv.deconv.1.1': 'deconv.branch1_bn0',
    'deconv.deconv.1.3': 'deconv.branch1_conv1',
    'deconv.deconv.1.4': 'deconv.branch1_bn1',
}


# ---------------------------------------------------------------- models
def layout(name, value):
    """PyTorch's (out, in, h, w), transposed (in, out, h, w), to (out, h, w, in)."""
    if value.ndim != 4:
        return value
    return value.transpose(1, 2, 3, 0) if 'branch' in name else value.transpose(0, 2, 3, 1)


def pose_model(name):
    """wilor-mlx's model with the formula's weights, as its loader leaves it: in training mode."""
    import mlx.core as mx
    import wilor_mlx.model as module
    from wilor_mlx.convert import load_mano_npz

    width, depth, heads, _ = random_weights.MODELS[name]
    backbone, refine = module.WiLoRViT, module.RefineNet
    module.WiLoRViT = lambda: backbone(embed_dim=width, depth=depth, num_heads=heads)
    module.RefineNet = lambda feat_dim, upscale: refine(feat_dim=width, upscale=upscale)
    try:
        model = module.WiLoR()
    finally:
        module.WiLoRViT, module.RefineNet = backbone, refine
    load_mano_npz(model, str(ROOT / 'hand-cc0.npz'))
    parts = {'backbone': [], 'refine_net': []}
    for key, value in random_weights.network(name).items():
        part, rest = key.split('.', 1)
        for old, new in RENAMED.items():
            if part == 'refine_net' and rest.startswith(old + '.'):
                rest = new + rest[len(old) :]
                break
        parts[part].append((rest, mx.array(np.ascontiguousarray(layout(rest, value)))))
    model.backbone.load_weights(parts['backbone'])
    model.refine_net.load_weights(parts['refine_net'])
    return model


def detector_model(path):
    """wilor-mlx's detector, rebuilt at the widths of a safetensors file."""
    import mlx.core as mx
    from wilor_mlx import detector as D

    weights = mx.load(str(path))
    shape = {k: v.shape for k, v in weights.items()}
    model = D.HandDetector()
    for n in ('b0', 'b1', 'b3', 'b5', 'b7', 'h16', 'h19'):
        out, _, _, inputs = shape[n + '.conv.weight']
        setattr(model, n, D.Conv(inputs, out, k=3, s=2))
    for n in ('b2', 'b4', 'b6', 'b8', 'h12', 'h15', 'h18', 'h21'):
        again = len({k.split('.')[2] for k in shape if k.startswith(n + '.m.')})
        setattr(
            model,
            n,
            D.C2f(shape[n + '.cv1.conv.weight'][3], shape[n + '.cv2.conv.weight'][0], n=again, shortcut=n[0] == 'b'),
        )
    model.b9 = D.SPPF(shape['b9.cv1.conv.weight'][3], shape['b9.cv2.conv.weight'][0], k=5)
    model.pose = D.Pose(nc=2, nk=63, ch=tuple(shape[f'pose.cv2.{i}.0.conv.weight'][3] for i in range(3)))
    model.load_weights(list(weights.items()))
    model.eval()
    return model


class Recorder:
    """Stands in for the pose model; keeps what it is given and what it answers."""

    def __init__(self, model):
        self.model, self.crops, self.answers = model, [], []

    def __call__(self, crop):
        self.crops.append(np.array(crop[0]))
        answer = self.model(crop)
        self.answers.append({k: np.array(answer[k]) for k in OUTPUTS})
        return answer


# ---------------------------------------------------------------- references
def rotations():
    """Both conversions with edge cases."""
    import mlx.core as mx
    from wilor_mlx.model import rotmat_to_rotvec
    from wilor_mlx.vit import rot6d_to_rotmat

    six = random_weights.fill('mlx.six', 1, (64, 6))
    six[0], six[1], six[2] = 0, [1e-9, 0, 0, 0, 1, 0], [1, 0, 0, 1, 3e-8, 0]
    six[3], six[4], six[5] = [2e-8, 1e-8, 0, 0, 0, 5e-9], [1, 0, 0, 1, 0, 0], [0, 0, 3, 0, 2, 0]
    axis = random_weights.fill('mlx.axis', 1, (64, 3)).astype(np.float64)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.linspace(0, 3.0, 64)
    angle[:10] = 0, 1e-9, 5e-7, 2e-6, 1e-4, 1e-3, np.pi, np.pi - 1e-7, np.pi - 1e-4, np.pi - 1e-2
    x, y, z = axis.T
    zero = np.zeros_like(x)
    k = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    matrices = (np.eye(3) + s * k + (1 - c) * k @ k).astype(np.float32)
    return {
        'six': six,
        'six_matrices': np.array(rot6d_to_rotmat(mx.array(six))),
        'matrices': matrices,
        'angles': angle,
        'vectors': np.array(rotmat_to_rotvec(mx.array(matrices))),
    }


def sampling():
    """A map and points on it, beside it and far away."""
    import mlx.core as mx
    from wilor_mlx.refinenet import sample_joint_features

    features = random_weights.fill('mlx.map', 1, (16, 12, 5))
    xy = random_weights.fill('mlx.xy', 1, (48, 2), 9, 5)
    xy[:8] = [[0, 0], [-0.5, 3.25], [11, 15], [11.5, 15.5], [-4, 20], [300, -300], [-1e-6, 1e-6], [10.75, 0.125]]
    got = sample_joint_features(mx.array(features.transpose(2, 0, 1)[None]), mx.array(xy[None]))
    return {'map': features, 'xy': xy, 'sampled': np.array(got)[0]}


def small_picture():
    """47 x 61, with slopes, edges and a flat part: float32 sums below a whole number are truncated there."""
    y, x = np.mgrid[0:47, 0:61]
    p = np.stack([(x * 7 + y * 3) % 256, (x * y) // 7 % 256, 255 - (x * 2 + y * 5) % 256], 2)
    p[20:34, 22:48] = 114, 255, 1
    return p.astype(np.uint8)


# x0 y0 x1 y1 side: inside, a left hand, over the border, all of it, outside, small, on no grid
BOXES = np.array(
    [
        [20, 15, 40, 33, 1],
        [20, 15, 40, 33, 0],
        [-9, -4, 17, 12, 1],
        [0, 0, 61, 47, 0],
        [90, 70, 99, 90, 1],
        [30.25, 20.5, 33, 22.75, 1],
        [11.3, 7.7, 38.9, 41.1, 0],
    ]
)


def crops():
    import mlx.core as mx
    from wilor_mlx.pipeline import _crop_and_resize_mlx

    out = {'picture': small_picture(), 'boxes': BOXES}
    for name, picture in (('', out['picture']), ('dot_', out['picture'][:1, :1])):
        for i, (x0, y0, x1, y1, right) in enumerate(BOXES.tolist()):
            f = np.float32  # as the pipeline: float32 from the detector on
            centre = f((x0 + x1) / 2), f((y0 + y1) / 2)
            size = max(f(x1 - x0), f(y1 - y0)) * 2.5
            crop = np.array(_crop_and_resize_mlx(mx.array(picture), *centre, size, target_size=256))
            crop = crop if right else crop[:, ::-1]
            out[f'{name}crop{i}'] = crop[:2] if name else crop[::3]
    return out


def model_outputs(name, maps):
    """Each crop by itself, and both in one batch, which share their statistics."""
    import mlx.core as mx

    rgb = np.load(ROOT / name / 'stages.npz')['crop_bgr'][..., ::-1].copy()
    out = {}
    alone = [pose_model(name)(mx.array(rgb[i : i + 1])) for i in range(2)]
    for key in OUTPUTS:
        out['alone.' + key] = np.concatenate([np.array(a[key]) for a in alone])
    model = pose_model(name)
    convolve, decode, seen = model.refine_net.deconv, model.refine_net.dec_pose, {}

    class Convolve:
        def __call__(self, x):
            seen['maps'] = convolve(x)
            return seen['maps']

    class Decode:
        def __call__(self, x):
            seen['features'] = np.array(x)
            return decode(x)

    model.refine_net.deconv, model.refine_net.dec_pose = Convolve(), Decode()
    both = model(mx.array(rgb))
    for key in OUTPUTS:
        out['both.' + key] = np.array(both[key])
    out['both.features'] = seen['features']
    for m in seen['maps'] if maps else ():
        out['both.map_%d' % m.shape[2]] = np.array(m.transpose(0, 2, 3, 1))
    return out


def checksum(pixels):
    v = pixels.astype(np.int64).ravel()
    return int((v * (np.arange(v.size) % 251 + 1)).sum())


def whole_route(folder):
    from PIL import Image
    import wilor_mlx.pipeline as module

    out, cut = {}, module._crop_and_resize_mlx
    squares = []  # centre and side of each hand's crop, float32; boxes have lost a bit of them

    def crop(image, cx, cy, size, target_size=256, **more):
        if target_size == 256:
            squares.append([cx, cy, size])
        return cut(image, cx, cy, size, target_size=target_size, **more)

    module._crop_and_resize_mlx = crop
    detector = detector_model(folder / 'hand-detector-tiny.safetensors')
    for path in sorted((folder / 'frames').glob('*.png')):
        recorder = Recorder(pose_model('tiny'))
        picture = np.array(Image.open(path).convert('RGB'))
        squares.clear()
        hands = module.HandPosePipeline(detector, recorder)(picture, include_vertices=True)
        put = lambda key, value, dtype=np.float32: out.__setitem__(f'{path.stem}.{key}', np.array(value, dtype))
        put('side', [h.hand_side == 'right' for h in hands], np.int64)
        put('score', [h.confidence for h in hands])
        put('square', squares)
        put('box', [h.bbox for h in hands])
        put('keypoints_2d', [h.keypoints_2d for h in hands])
        put('keypoints_3d', [h.keypoints_3d for h in hands])
        put('vertices', [np.array(h.vertices)[::8] for h in hands])
        put('crop_sum', [checksum(c) for c in recorder.crops], np.int64)
        for key in OUTPUTS[:4]:
            put(key, [a[key].ravel() for a in recorder.answers])
        print(path.name, len(hands), 'hands')
    module._crop_and_resize_mlx = cut
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--wilor-mlx', type=pathlib.Path, required=True)
    p.add_argument('--detector', type=pathlib.Path)
    p.add_argument('--out', type=pathlib.Path, default=ROOT / 'mlx')
    a = p.parse_args()
    sys.path.insert(0, str(a.wilor_mlx / 'src'))
    import mlx.core as mx

    mx.set_default_device(mx.cpu)
    a.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(a.out / 'units.npz', **rotations(), **sampling(), **crops())
    np.savez_compressed(a.out / 'tiny.npz', **model_outputs('tiny', True))
    np.savez_compressed(a.out / 'hd80.npz', **model_outputs('hd80', False))
    if a.detector:
        np.savez_compressed(a.out / 'whole_route.npz', **whole_route(a.detector))


if __name__ == '__main__':
    main()
