#!/usr/bin/env python3
"""Make tests/golden/data/{tiny,hd80}, refine_guard.npz, random_sha256.txt and MANIFEST.json by
running upstream.

    make_golden.py --upstream WILOR_MINI --commit HASH [--sums]

WILOR_MINI is a checkout of github.com/warmshao/WiLoR-mini at commit HASH; its classes are imported
from there and run as they are, with the sizes they hard-code replaced in memory. Needs torch, timm,
smplx, roma, numpy, scipy. Weights: scripts/random_weights.py (seed 1). Hand: hand-cc0.npz, already
in the folder. Pictures: two crops rendered from that hand (render_hand.py), so that everything
written here is free of trained weights, of MANO and of photos.

Another machine gets the same crops up to a rare rounding of a pixel, and the same tensors within
the tolerances."""

import argparse, collections, hashlib, json, pathlib, pickle, sys, tempfile, warnings
import numpy as np
import random_weights, render_hand

ROOT = pathlib.Path(__file__).resolve().parent.parent / 'tests/golden/data'
FINAL = ('pred_cam', 'betas', 'global_orient', 'hand_pose', 'pred_keypoints_3d', 'pred_vertices')
SEED = 1

MEANING = {
    'crop_bgr': 'two crops as upstream takes them: rows x columns x BGR; 0 right, 1 left, already mirrored',
    'input_norm': 'normalised input, columns 32 to 223 (channels RGB)',
    'patch_embed': 'patch convolution, 192 tokens, before positions',
    'tokens_in': '210 tokens before the first block',
    'tokens_out': 'tokens after last_norm',
    'img_feat': "tokens_out's patches as a map, channels x 16 x 12",
    'init_verts': "vertices from the backbone's own pose, before RefineNet",
    'init_joints21': 'their keypoints',
    'init_pose6d': "decpose + init_hand_pose",
    'init_betas': 'decshape + init_betas',
    'init_cam': 'deccam + init_cam',
    'refine_vert_feats': 'maxima over the vertices: maps 64x48, 32x24, 16x12 side by side',
    'delta_pose6d': "RefineNet's corrections",
    'delta_betas': "RefineNet's corrections",
    'delta_cam': "RefineNet's corrections",
}


# ---------------------------------------------------------------- pictures
def render_crops(hand):
    """Two 256 x 256 crops, BGR: a right hand's back, and an open palm."""

    def crop(turn, curl, seed, colours, zoom):
        rng = np.random.default_rng(seed)
        rotations = render_hand.from_6d(hand['init_hand_pose'])
        for j in range(1, 16):
            rotations[j] = rotations[j] @ render_hand.rotation(
                rng.normal(0, 0.08, 3) + [0, 0, curl * rng.uniform(0, 1)]
            )
        rotations[0] = turn
        vertices = render_hand.pose_hand(hand, rotations, rng.normal(0, 0.6, 10))
        vertices += [0, 0, 2 * 5000 / (256 * zoom)] - (vertices.min(0) + vertices.max(0)) / 2
        picture = render_hand.background(256, 256, seed, *colours)
        return render_hand.to_bytes(
            render_hand.draw(
                picture,
                vertices,
                np.asarray(hand['v_template'], np.float64),
                np.asarray(hand['faces'], int),
                5000.0,
                np.array([127.5, 127.5]),
                seed,
            )
        )

    r = render_hand.rotation
    right = crop(r([0, 0, 1.1]) @ r([-1.2, 0.3, 0]), 0.35, 11, ((0.42, 0.44, 0.42), (0.45, 0.33, 0.24)), 6.3)
    left = crop(r([0, 0, 0.5]) @ r([1.25, 0.2, 0]), 0.2, 12, ((0.30, 0.36, 0.46), (0.30, 0.27, 0.24)), 5.6)
    return np.stack([right, left])[..., ::-1].copy()


# ---------------------------------------------------------------- upstream
def upstream_modules(folder):
    warnings.filterwarnings('ignore')
    sys.path.insert(0, folder)
    from wilor_mini.models import refinement_net, vit, wilor

    return wilor, vit, refinement_net


def mano_pickle(hand):
    """What smplx's MANOLayer reads, with this hand in it."""
    f64 = lambda k: np.asarray(hand[k], np.float64)
    return dict(
        v_template=f64('v_template'),
        shapedirs=f64('shapedirs'),
        posedirs=f64('posedirs').T.reshape(-1, 3, 135),
        J_regressor=f64('J_regressor'),
        weights=f64('lbs_weights'),
        f=np.asarray(hand['faces'], np.uint32),
        kintree_table=np.asarray(hand['kintree_table'], np.uint32),
        hands_components=f64('hands_components'),
        hands_mean=f64('hands_mean'),
        bs_style='lbs',
        bs_type='lrotmin',
    )


def upstream_model(folder, name, hand):
    """Upstream's WiLor module with the formula's weights."""
    import torch

    wilor, vit, refinement_net = upstream_modules(folder)
    width, depth, heads, _ = random_weights.MODELS[name]
    wilor.vit = lambda **kw: vit.ViT(
        img_size=(256, 192),
        patch_size=16,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        ratio=1,
        use_checkpoint=False,
        mlp_ratio=4,
        qkv_bias=True,
        drop_path_rate=0.55,
        **kw,
    )
    wilor.RefineNet = lambda feat_dim, upscale: refinement_net.RefineNet(feat_dim=width, upscale=upscale)
    weights = random_weights.network(name, SEED)
    with tempfile.TemporaryDirectory() as t:
        paths = pathlib.Path(t, 'MANO_RIGHT.pkl'), pathlib.Path(t, 'mean.npz')
        paths[0].write_bytes(pickle.dumps(mano_pickle(hand), protocol=2))
        np.savez(
            paths[1],
            pose=weights['backbone.init_hand_pose'][0],
            shape=weights['backbone.init_betas'][0],
            cam=weights['backbone.init_cam'][0],
        )
        model = wilor.WiLor(mano_model_path=str(paths[0]), mano_mean_path=str(paths[1])).eval()
    weights.update(random_weights.mano(hand))
    state = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in weights.items()}
    answer = model.load_state_dict(state, strict=False)
    missing = [
        k for k in answer.missing_keys if not k.endswith('num_batches_tracked') and not k.startswith('mano.')
    ]
    assert not missing and not answer.unexpected_keys, (missing, answer.unexpected_keys)
    return model, refinement_net


class Recorder:
    """Keeps what passes between upstream's modules during one call."""

    def __init__(self, model, refinement_net):
        self.model, self.module, self.seen, self.hooks = model, refinement_net, collections.OrderedDict(), []

    def put(self, name, tensor):
        self.seen[name] = tensor.detach().numpy().copy()

    def after(self, module, action):
        self.hooks.append(
            module.register_forward_hook(lambda m, i, o: action(o) and None)
        )  # a value would replace o

    def before(self, module, action):
        self.hooks.append(module.register_forward_pre_hook(lambda m, i: action(i[0]) and None))

    def hook_block(self, block):
        put = lambda n: (lambda t: self.put('block0.' + n, t))
        self.after(block.norm1, put('norm1'))
        self.after(block.attn.qkv, put('qkv'))
        self.before(block.attn.proj, put('attn_out'))
        self.after(block.attn.proj, put('proj'))
        self.after(block.norm2, put('norm2'))
        self.after(block.mlp.fc1, put('fc1'))
        self.before(block.mlp.fc2, put('gelu'))
        self.after(block.mlp.fc2, put('fc2'))

    def on_backbone(self, o):
        rotations, _, features, image = o
        for key, name in (('hand_pose', 'init_pose6d'), ('betas', 'init_betas'), ('cam', 'init_cam')):
            self.put(name, features[key])
        for key in ('global_orient', 'hand_pose'):
            self.put(f'init_{key}_rotmat', rotations[key])
        self.put('img_feat', image)

    def on_mano(self, o):
        stage = 'final' if 'init_verts' in self.seen else 'init'
        self.put(stage + '_verts', o.vertices)
        self.put(stage + '_joints21', o.joints)

    def on_refined(self, o):
        for key in ('global_orient', 'hand_pose'):
            self.put(f'final_{key}_rotmat', o[key])
        self.put('betas', o['betas'])
        self.put('pred_cam', o['pred_cam'])

    def hook_refine(self, net):
        self.after(
            net.deconv, lambda maps: [self.put('refine_map_%dx%d' % tuple(f.shape[2:]), f) for f in maps]
        )
        self.before(net.dec_pose, lambda t: self.put('refine_vert_feats', t))
        for key, layer in (('pose6d', net.dec_pose), ('betas', net.dec_shape), ('cam', net.dec_cam)):
            self.after(layer, lambda t, key=key: self.put('delta_' + key, t))

    def sample(self, original):
        def sample(features, xy):
            out = original(features, xy)
            size = '%dx%d' % tuple(features.shape[2:])
            self.put('refine_xy_' + size, xy)
            self.put('refine_sampled_' + size, out)
            return out

        return sample

    def __call__(self, run):
        """run() with the hooks of a whole model (or of a RefineNet alone) in place."""
        import torch

        whole = hasattr(self.model, 'backbone')
        if whole:
            b = self.model.backbone
            self.before(b, lambda t: self.put('input_norm', t))
            self.after(b.patch_embed, lambda o: self.put('patch_embed', o[0]))
            self.before(b.blocks[0], lambda t: self.put('tokens_in', t))
            self.hook_block(b.blocks[0])
            for i, block in enumerate(b.blocks):
                self.after(block, lambda t, i=i: self.put(f'block{i}', t))
            self.after(b.last_norm, lambda t: self.put('tokens_out', t))
            self.after(b, self.on_backbone)
            self.after(self.model.mano, self.on_mano)
            self.after(self.model.refine_net, self.on_refined)
        self.hook_refine(self.model.refine_net if whole else self.model)
        original = self.module.sample_joint_features
        self.module.sample_joint_features = self.sample(original)
        try:
            with torch.no_grad():
                out = run()
        finally:
            self.module.sample_joint_features = original
            for h in self.hooks:
                h.remove()
        for key in ('global_orient', 'hand_pose', 'pred_keypoints_3d', 'pred_vertices') if whole else ():
            self.put(key, out[key])
        return self.seen if whole else (self.seen, out)


def stages(model, refinement_net, crops):
    """Every stage for both crops, one call a crop, and the largest differences from float64."""
    import torch

    x = torch.from_numpy(crops.astype(np.float32))
    runs = {}
    for dtype in (torch.float32, torch.float64):
        model.to(dtype)
        one = [
            Recorder(model, refinement_net)(lambda i=i: model(x[i : i + 1].to(dtype))) for i in range(len(x))
        ]
        runs[dtype] = {k: np.concatenate([o[k] for o in one]) for k in one[0]}
    model.float()
    s, truth = runs[torch.float32], runs[torch.float64]
    noise = {k: float(np.abs(s[k] - truth[k]).max()) for k in s}
    for size in ('64x48', '32x24', '16x12'):
        s['refine_max_' + size] = s['refine_sampled_' + size].max(1)
    for k in FINAL + ('init_pose6d', 'init_cam', 'tokens_out'):
        s['f64.' + k] = truth[k]
    return s, noise


# ---------------------------------------------------------------- RefineNet's guard
def guard_cases(hand):
    """(name, vertices, camera): RefineNet alone, where the largest sample coordinate is at a limit
    of the guard.

    On the three maps the coordinates of ordinary hands are nearly equal. Vertices far before or
    behind the camera plane of a map (z = -distance) make them differ, so that f1 or f2 decides.
    Twenty vertices sit at the limit, so that the maxima see it."""
    focal, base = 5000.0, np.asarray(hand['v_template'], np.float64)
    distance = lambda size, s: 2 * focal / (size * s)

    def case(name, size, target, axis, z_share=None):
        cam = np.array([0.9, 0.02, -0.03])
        v = base.copy()
        some = np.arange(3, 778, 39)
        if z_share is not None:  # between the camera planes: z = -share x the distance of map 64
            v[some, 2] = -z_share * distance(64, cam[0])
        want = target - np.linspace(0, 0.004, len(some))
        depth = v[some, 2] + distance(size, cam[0])
        v[some, axis] = want * size / focal * depth - cam[1 + axis]
        return name, v.astype(np.float32), cam.astype(np.float32)

    out = [
        case('f0 0.99', 16, 0.99, 0),
        case('f0 1.01', 16, 1.01, 1),
        case('f0 1.5', 16, 1.5, 0),
        case('f0 2.01', 16, 2.01, 1),
        case('f0 5', 16, 5, 0),
        case('f0 14.5', 16, 14.5, 1),
        case('f1 1.99', 32, 1.99, 0, 1.7),
        case('f1 2.01', 32, 2.01, 1, 1.7),
        case('f2 3.99', 64, 3.99, 1, 0.9),
        case('f2 4.01', 64, 4.01, 0, 0.9),
    ]
    for name, value in (('nan', np.nan), ('infinite', np.inf)):
        _, v, cam = case(name, 16, 0.5, 0)
        v[100, 0] = value
        out.append((name, v, cam))
    return out


def corner_difference(net, image, vertices, cam, features, focal):
    """By how much RefineNet's features change when only what 2 x 2 patches determine is there, the
    rest of the maps zero: 2, 3 and 5 pixels a side. 0 where the guard may stay at 2 x 2 patches."""
    import torch

    original = net.deconv.forward

    def cut(x):
        maps = original(x)
        for f in maps:
            side = f.shape[2] // 16 + 1
            f[:, :, side:] = 0
            f[:, :, :, side:] = 0
        return maps

    seen = []
    hook = net.dec_pose.register_forward_pre_hook(lambda m, i: seen.append(i[0]))
    net.deconv.forward = cut
    with torch.no_grad():
        net(image, vertices, cam, features, focal)
        net.deconv.forward = original
        net(image, vertices, cam, features, focal)
    hook.remove()
    return [float(v) for v in (seen[0] - seen[1]).abs().nan_to_num(nan=0).max(1).values]


def refine_guard(model, refinement_net, hand):
    import torch

    names, vertices, cams = zip(*guard_cases(hand))
    n, width = len(names), model.backbone.embed_dim
    image = random_weights.fill('guard.img_feat', SEED, (n, width, 16, 12))
    pose = random_weights.fill('guard.pose6d', SEED, (n, 96), 0.3) + np.tile(
        np.float32([1, 0, 0, 0, 1, 0]), 16
    )
    betas = random_weights.fill('guard.betas', SEED, (n, 10))
    a = collections.OrderedDict(
        img_feat=image, verts=np.stack(vertices), cam=np.stack(cams), pose6d=pose, betas=betas
    )
    t = {k: torch.from_numpy(v) for k, v in a.items()}
    features = dict(hand_pose=t['pose6d'], betas=t['betas'], cam=t['cam'])
    focal = 5000 * torch.ones(n, 2)
    net = model.refine_net
    seen, out = Recorder(net, refinement_net)(
        lambda: net(t['img_feat'], t['verts'], t['cam'], features, focal)
    )
    for size in ('64x48', '32x24', '16x12'):
        a['top_' + size] = np.max(seen['refine_xy_' + size], axis=(1, 2))
    for key in ('refine_vert_feats', 'delta_pose6d', 'delta_betas', 'delta_cam'):
        a[key] = seen[key]
    a['out_rotmat'] = torch.cat([out['global_orient'], out['hand_pose']], 1).numpy()
    a['out_betas'], a['out_cam'] = out['betas'].numpy(), out['pred_cam'].numpy()
    cut = corner_difference(net, t['img_feat'], t['verts'], t['cam'], features, focal)
    report = [
        dict(
            case=names[i],
            top={s: '%.6g' % a['top_' + s][i] for s in ('16x12', '32x24', '64x48')},
            error_of_2x2_patches=cut[i],
        )
        for i in range(n)
    ]
    return a, report


# ---------------------------------------------------------------- files
HD80 = (
    'crop_bgr',
    'tokens_in',
    'block0',
    'block1',
    'tokens_out',
    'init_verts',
    'init_pose6d',
    'init_betas',
    'init_cam',
    'refine_vert_feats',
    'refine_max_64x48',
    'refine_max_32x24',
    'refine_max_16x12',
    'refine_xy_16x12',
    'delta_pose6d',
    'delta_betas',
    'delta_cam',
    'final_global_orient_rotmat',
    'final_hand_pose_rotmat',
) + FINAL


def tolerance(key):
    if key.startswith('f64.'):
        return 'truth for the same key without f64.'
    if key == 'crop_bgr':
        return 'exact (input)'
    if key == 'pred_vertices' or key == 'pred_keypoints_3d':
        return '1e-6 m'
    if key in FINAL or key.startswith(('init_', 'delta_', 'final_')):
        return '4e-6 x max(1, largest value)'
    return '2e-5 x max(1, largest value)'


def save(manifest, name, arrays, noise, meaning):
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    data = path.read_bytes()
    assert len(data) < 2_000_000, (name, len(data))
    manifest['files'].append(
        dict(
            file=name,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            meaning=meaning,
            arrays={
                k: dict(
                    shape=list(v.shape),
                    dtype=str(v.dtype),
                    tolerance=tolerance(k),
                    **({'meaning': MEANING[k]} if k in MEANING else {}),
                    **({'upstream_f32_from_f64': float('%.2g' % noise[k])} if k in noise else {}),
                )
                for k, v in arrays.items()
            },
        )
    )
    print('%-24s %8d bytes' % (name, len(data)), flush=True)


def write_sums():
    """sha256 of every tensor of the formula, for the C version's test."""
    lines = []
    for name in random_weights.MODELS:
        weights = random_weights.network(name, SEED)
        order = [k for k in weights if 'init_' not in k] + [
            'backbone.' + k for k in ('init_hand_pose', 'init_betas', 'init_cam')
        ]
        lines += [f'{name} {k} {hashlib.sha256(weights[k].tobytes()).hexdigest()}' for k in order]
    (ROOT / 'random_sha256.txt').write_text('\n'.join(lines) + '\n')


def versions():
    import importlib.metadata as m

    return {k: m.version(k) for k in ('torch', 'timm', 'smplx', 'roma', 'numpy', 'scipy')}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--upstream', required=True, help='checkout of WiLoR-mini')
    ap.add_argument('--commit', required=True, help='its commit, for the manifest')
    ap.add_argument('--sums', action='store_true', help='also remake random_sha256.txt (2.6 GB of numbers)')
    args = ap.parse_args()
    import torch

    torch.set_num_threads(1)  # more change the last bits
    hand = dict(np.load(ROOT / 'hand-cc0.npz'))
    manifest = dict(
        about='scripts/make_golden.py: upstream on weights from a formula and pictures of a CC0 hand',
        upstream='github.com/warmshao/WiLoR-mini',
        commit=args.commit,
        versions=versions(),
        seed=SEED,
        weights='scripts/random_weights.py, src/weights/random_weights.c',
        hand='hand-cc0.npz',
        licence='CC0: no photos, no trained weights, no MANO data',
        tolerances=dict(
            tokens='2e-5 of max(1, largest value): ten times upstream float32 from float64 (2e-6)',
            outputs='4e-6 likewise (upstream float32 from float64: 6e-7)',
            metres='1e-6 m, vertices and keypoints: twenty times upstream float32 from float64',
            f64='upstream in float64: an implementation may be nearer to it than upstream float32 is',
        ),
        noise='upstream_f32_from_f64: largest difference between the two runs',
        files=[],
    )
    crops = render_crops(hand)
    model, refinement_net = upstream_model(args.upstream, 'tiny', hand)
    s, noise = stages(model, refinement_net, crops)
    pieces = {
        k: v for k, v in s.items() if k.startswith('block0.')
    }  # a file of their own: each stays under 2 MB
    save(
        manifest,
        'tiny/block0.npz',
        {'crop_bgr': crops, **pieces},
        noise,
        'D 64, depth 3, 4 heads: block 0 in pieces',
    )
    save(
        manifest,
        'tiny/stages.npz',
        {'crop_bgr': crops, **{k: v for k, v in s.items() if k not in pieces}},
        noise,
        'D 64, depth 3, 4 heads, two crops: every other stage',
    )
    guard, report = refine_guard(model, refinement_net, hand)
    save(
        manifest,
        'refine_guard.npz',
        guard,
        {},
        "RefineNet of tiny alone, where the largest coordinate is at the guard's limits; "
        'img_feat, verts, cam, pose6d, betas in; top_*: largest coordinate on each map',
    )
    manifest['files'][-1]['cases'] = report
    for r in report:
        print(r)
    model, refinement_net = upstream_model(args.upstream, 'hd80', hand)
    s, noise = stages(model, refinement_net, crops)
    keep = HD80 + tuple('f64.' + k for k in FINAL)
    save(
        manifest,
        'hd80/stages.npz',
        {k: ({'crop_bgr': crops} | s)[k] for k in keep},
        noise,
        'D 160, depth 2, 2 heads of 80, the same crops',
    )
    if args.sums:
        write_sums()
    data = (ROOT / 'random_sha256.txt').read_bytes()
    manifest['files'].append(
        dict(
            file='random_sha256.txt',
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            meaning='model, tensor, sha256 of its little-endian float32 values',
        )
    )
    (ROOT / 'MANIFEST.json').write_text(json.dumps(manifest, indent=1, allow_nan=False) + '\n')


if __name__ == '__main__':
    main()
