#!/usr/bin/env python3
"""Time PyTorch (and, where they can be imported, ONNX Runtime and OpenVINO) on the network that
wilor computes: ViT, heads, MANO, RefineNet, MANO, float32, weights of scripts/random_weights.py.
One JSON line a measurement, in milliseconds.

    peer_torch.py [--model full] [--hands 1] [--threads N] [--peers torch,compile,onnxruntime,openvino]
        [--upstream WILOR_MINI]

The module below is written from docs/architecture.md with the operations one would choose for speed
(fused attention, no hooks). --upstream times WiLoR-mini's own classes instead. --check compares
both tiny outputs with tests/golden/data. What a peer is given: static shapes, inference mode,
warm-up runs that are not counted."""

import argparse, contextlib, json, os, pathlib, platform, sys, time, warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'scripts'))
import numpy as np
import torch
import torch.nn.functional as F
import random_weights


class Wilor(torch.nn.Module):
    """Crops n x 256 x 256 x 3 (RGB, 0 to 255) to cam, betas, rotation vectors, keypoints, vertices."""

    def __init__(self, weights, heads):
        super().__init__()
        self.heads, self.names = heads, {}
        for name, value in weights.items():  # modules' names may hold no dots
            self.names[name] = name.replace('.', '_')
            self.register_buffer(self.names[name], torch.from_numpy(np.ascontiguousarray(value)))
        self.depth = 1 + max(int(k.split('.')[2]) for k in weights if k.startswith('backbone.blocks.'))
        self.parents = [int(p) for p in weights['mano.parents']]
        self.register_buffer('mean', torch.tensor([0.485, 0.456, 0.406]))
        self.register_buffer('std', torch.tensor([0.229, 0.224, 0.225]))

    def __getitem__(self, name):
        return getattr(self, self.names[name])

    def linear(self, x, name):
        return F.linear(x, self[name + '.weight'], self[name + '.bias'])

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self[name + '.weight'], self[name + '.bias'], 1e-6)

    def tokens(self, crops):
        b = 'backbone.'
        x = ((crops / 255 - self.mean) / self.std).permute(0, 3, 1, 2)[..., 32:224]
        x = F.conv2d(
            x, self[b + 'patch_embed.proj.weight'], self[b + 'patch_embed.proj.bias'], stride=16, padding=2
        )
        x = x.flatten(2).transpose(1, 2) + self[b + 'pos_embed'][:, 1:] + self[b + 'pos_embed'][:, :1]
        lead = (
            self.linear(self[b + 'init_hand_pose'].reshape(1, 16, 6), b + 'pose_emb'),
            self.linear(self[b + 'init_betas'], b + 'shape_emb')[:, None],
            self.linear(self[b + 'init_cam'], b + 'cam_emb')[:, None],
        )
        x = torch.cat([torch.cat(lead, 1).expand(len(x), -1, -1), x], 1)
        for i in range(self.depth):
            p = f'{b}blocks.{i}.'
            q = (
                self.linear(self.norm(x, p + 'norm1'), p + 'attn.qkv')
                .unflatten(-1, (3, self.heads, -1))
                .permute(2, 0, 3, 1, 4)
            )
            a = F.scaled_dot_product_attention(q[0], q[1], q[2]).transpose(1, 2).flatten(2)
            x = x + self.linear(a, p + 'attn.proj')
            x = x + self.linear(F.gelu(self.linear(self.norm(x, p + 'norm2'), p + 'mlp.fc1')), p + 'mlp.fc2')
        return self.norm(x, b + 'last_norm')

    @staticmethod
    def rotations(pose):
        a = pose.reshape(-1, 16, 2, 3)
        b1 = F.normalize(a[..., 0, :], dim=-1)
        b2 = F.normalize(a[..., 1, :] - (b1 * a[..., 1, :]).sum(-1, keepdim=True) * b1, dim=-1)
        return torch.stack([b1, b2, torch.linalg.cross(b1, b2)], -1)

    @staticmethod
    def vectors(r):
        """Rotation vectors; not for angles near pi."""
        s = torch.stack(
            [r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], -1
        )
        n = s.norm(dim=-1, keepdim=True)
        return (
            s
            / n.clamp_min(1e-12)
            * torch.atan2(n, (r[..., 0, 0] + r[..., 1, 1] + r[..., 2, 2] - 1)[..., None])
        )

    def hand(self, r, betas):
        n = len(r)
        shaped = self['mano.v_template'] + torch.einsum('vck,nk->nvc', self['mano.shapedirs'], betas)
        joints = torch.einsum('jv,nvc->njc', self['mano.J_regressor'], shaped)
        feature = (r[:, 1:] - torch.eye(3)).reshape(n, 135)
        posed = shaped + (feature @ self['mano.posedirs']).reshape(n, -1, 3)
        turn, place = [r[:, 0]], [joints[:, 0]]
        for j, p in enumerate(self.parents[1:], 1):
            turn.append(turn[p] @ r[:, j])
            place.append(place[p] + (turn[p] @ (joints[:, j] - joints[:, p])[..., None])[..., 0])
        turn, place = torch.stack(turn, 1), torch.stack(place, 1)
        shift = place - (turn @ joints[..., None])[..., 0]
        skin = torch.einsum(
            'vj,njk->nvk', self['mano.lbs_weights'], torch.cat([turn, shift[..., None]], -1).flatten(2)
        ).unflatten(-1, (3, 4))
        vertices = (skin[..., :3] @ posed[..., None])[..., 0] + skin[..., 3]
        points = torch.cat([place, vertices[:, self['mano.extra_joints_idxs']]], 1)[:, self['mano.joint_map']]
        return vertices, points

    def up(self, x, conv, norm):
        p = 'refine_net.deconv.deconv.'
        x = F.conv_transpose2d(x, self[p + conv + '.weight'], stride=2, padding=1)
        return F.relu(
            F.batch_norm(
                x, *(self[f'{p}{norm}.{k}'] for k in ('running_mean', 'running_var', 'weight', 'bias'))
            )
        )

    def refine(self, image, vertices, cam):
        p = 'refine_net.'
        f0 = F.conv2d(image, self[p + 'deconv.first_conv.0.weight'], self[p + 'deconv.first_conv.0.bias'])
        features = []
        for f in (self.up(self.up(f0, '1.0', '1.1'), '1.3', '1.4'), self.up(f0, '0.0', '0.1'), f0):
            h, w = f.shape[2:]
            q = vertices + torch.stack([cam[:, 1], cam[:, 2], 10000 / (h * cam[:, 0] + 1e-9)], -1)[:, None]
            uv = q[..., :2] / q[..., 2:] * (5000 / h)
            grid = uv / torch.tensor([w - 1.0, h - 1.0]) * 2 - 1
            features.append(F.grid_sample(f, grid[:, :, None], align_corners=True)[..., 0].amax(-1))
        v = torch.cat(features, 1)
        return [self.linear(v, p + k) for k in ('dec_pose', 'dec_shape', 'dec_cam')]

    def forward(self, crops):
        b, x = 'backbone.', self.tokens(crops)
        pose = self.linear(x[:, :16], b + 'decpose').flatten(1) + self[b + 'init_hand_pose']
        betas = self.linear(x[:, 16], b + 'decshape') + self[b + 'init_betas']
        cam = self.linear(x[:, 17], b + 'deccam') + self[b + 'init_cam']
        vertices, _ = self.hand(self.rotations(pose), betas)
        d = self.refine(x[:, 18:].transpose(1, 2).unflatten(2, (16, 12)), vertices, cam)
        r, betas = self.rotations(pose + d[0]), betas + d[1]
        vertices, points = self.hand(r, betas)
        return cam + d[2], betas, self.vectors(r), points, vertices


# ---------------------------------------------------------------- peers: each gives a function of a numpy crop batch
def peer_torch(net, crops, threads):
    x = torch.from_numpy(crops)
    return lambda: net(x)


def peer_compile(net, crops, threads):
    fast, x = torch.compile(net, dynamic=False), torch.from_numpy(crops)
    return lambda: fast(x)


def peer_onnxruntime(net, crops, threads):
    import onnxruntime, tempfile

    with tempfile.TemporaryDirectory() as t:
        path = os.path.join(t, 'm.onnx')
        torch.onnx.export(
            net,
            (torch.from_numpy(crops),),
            path,
            input_names=['crops'],
            opset_version=18,
            dynamo=True,
            external_data=True,
            verbose=False,
        )
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, o, providers=['CPUExecutionProvider'])
    return lambda: session.run(None, {'crops': crops})


def peer_openvino(net, crops, threads):
    import openvino

    model = openvino.convert_model(net, example_input=torch.from_numpy(crops), input=list(crops.shape))
    settings = {
        'INFERENCE_NUM_THREADS': threads,
        'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_PRECISION_HINT': 'f32',
    }
    request = openvino.Core().compile_model(model, 'CPU', settings).create_infer_request()
    return lambda: request.infer({0: crops}, share_inputs=True)


PEERS = dict(torch=peer_torch, compile=peer_compile, onnxruntime=peer_onnxruntime, openvino=peer_openvino)


def network(name):
    hand = np.load(ROOT / 'tests/golden/data/hand-cc0.npz')
    return Wilor(
        {**random_weights.network(name), **random_weights.mano(hand)}, random_weights.MODELS[name][2]
    ).eval()


def upstream(folder, name):
    import make_golden

    if name == 'full':  # 639 million values that are overwritten at once
        for init in ('kaiming_uniform_', 'uniform_', 'trunc_normal_', 'normal_'):
            setattr(torch.nn.init, init, lambda t, *a, **k: t)
    with contextlib.redirect_stdout(sys.stderr):  # its libraries talk
        return make_golden.upstream_model(
            folder, name, dict(np.load(ROOT / 'tests/golden/data/hand-cc0.npz'))
        )[0]


def check():
    """The module is the model: its outputs against upstream's, tiny."""
    crops = np.load(ROOT / 'tests/golden/data/tiny/stages.npz')['crop_bgr'][..., ::-1].astype(np.float32)
    want, net = np.load(ROOT / 'tests/golden/data/tiny/stages.npz'), network('tiny')
    for peer in PEERS:
        try:
            got = PEERS[peer](net, crops, 1)()
        except ImportError:
            continue
        got = [np.asarray(v) for v in (got.values() if hasattr(got, 'values') else got)]
        rotations = np.concatenate([want['global_orient'], want['hand_pose']], 1)
        reference = (
            want['pred_cam'],
            want['betas'],
            rotations,
            want['pred_keypoints_3d'],
            want['pred_vertices'],
        )
        difference = {
            k: float(np.abs(a - b).max())
            for k, a, b in zip(('pred_cam', 'betas', 'rotations', 'keypoints', 'vertices'), got, reference)
        }
        print(json.dumps(dict(check='tiny', peer=peer, largest_difference=difference)))
        assert max(difference.values()) < 2e-5, peer


def cpu():
    try:
        with open('/proc/cpuinfo') as f:
            return next(line.split(':')[1].strip() for line in f if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def measure(run, warmup, runs):
    with torch.inference_mode():
        for _ in range(warmup):
            run()
        times = []
        for _ in range(runs):
            t = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - t))
    q = lambda p: round(float(np.percentile(times, p)), 2)
    return dict(runs=runs, min_ms=q(0), median_ms=q(50), p90_ms=q(90))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--model', choices=list(random_weights.MODELS), default='full')
    ap.add_argument('--hands', type=int, default=1)
    ap.add_argument('--threads', type=int, default=0, help='0: what PyTorch takes by itself')
    ap.add_argument('--warmup', type=int, default=3)
    ap.add_argument('--runs', type=int, default=20)
    ap.add_argument('--peers', default='torch')
    ap.add_argument('--upstream', help="checkout of WiLoR-mini: time its module as 'upstream' instead")
    ap.add_argument('--check', action='store_true')
    args = ap.parse_args()
    warnings.filterwarnings('ignore')
    torch.set_num_threads(args.threads or torch.get_num_threads())
    if args.check:
        with torch.inference_mode():
            return check()
    head = dict(
        model=args.model,
        dtype='f32',
        hands=args.hands,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        cpu=cpu(),
        isa=torch.backends.cpu.get_cpu_capability(),
    )
    crops = np.random.default_rng(1).integers(0, 256, (args.hands, 256, 256, 3)).astype(np.float32)
    if args.upstream:
        net, x = upstream(args.upstream, args.model), torch.from_numpy(crops)
        print(
            json.dumps(dict(peer='upstream', **head, **measure(lambda: net(x), args.warmup, args.runs))),
            flush=True,
        )
        return
    net = network(args.model)
    for peer in args.peers.split(','):
        try:
            with torch.inference_mode():
                run = PEERS[peer](net, crops, head['threads'])
        except ImportError as e:
            print(json.dumps(dict(peer=peer, skipped=str(e))), flush=True)
            continue
        print(json.dumps(dict(peer=peer, **head, **measure(run, args.warmup, args.runs))), flush=True)


if __name__ == '__main__':
    main()
