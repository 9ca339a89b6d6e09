#!/usr/bin/env python3
"""Time ONNX Runtime, OpenVINO and PyTorch on the hand detector's network (YOLOv8-pose, float32, batch
norms folded) with the input of bench_detector. One JSON line a measurement, in milliseconds.

    peer_detector.py [--detector FILE.safetensors] [--size 512x384] [--threads N] [--runs N]
                     [--peers onnxruntime,openvino,torch] [--ours DUMP]

--detector is in wilor-mlx's form (build/tests/wilor_make_detector m FILE writes one); without it the
weights are random numbers of scale m: times do not depend on them. --ours: what bench_detector --dump
wrote for the same file and size. Every peer's decoded output is compared with it (else with the first
peer's); with --detector a difference above our own tests' limits is an error. The graph is written here with
onnx.helper, operation by operation, SiLU as Sigmoid and Mul as ultralytics exports it; what a peer is
given: static shapes, LATENCY hint, its own choice of layouts and fusions, warm-up runs."""

import argparse, json, os, platform, struct, sys, tempfile, time

import numpy as np

WIDTHS = {'n': (0.25, 1024, 0.33), 's': (0.5, 1024, 0.33), 'm': (0.75, 768, 0.67)}
SHORTCUT = (2, 4, 6, 8)


def read(path):
    with open(path, 'rb') as f:
        head = json.loads(f.read(struct.unpack('<Q', f.read(8))[0]))
        data = bytearray(f.read())  # writable slices, or torch warns
    take = lambda v: np.frombuffer(data[slice(*v['data_offsets'])], '<f4').reshape(v['shape'])
    return {k: take(v) for k, v in head.items() if k != '__metadata__' and v['dtype'] == 'F32'}


class Folded:
    """Weights (O, I, k, k) and bias of each convolution by the checkpoint's name."""

    def __init__(self, path):
        self.t = read(path) if path else None
        self.r = np.random.default_rng(1)

    def name(self, layer):
        return 'pose' if layer == 22 else ('b' if layer < 10 else 'h') + str(layer)

    def conv(self, layer, tail, out, inputs, size, plain=False):
        p = self.name(layer) + tail
        if self.t is None:
            w = self.r.standard_normal((out, inputs, size, size), np.float32) * (
                1.7 / np.sqrt(inputs * size * size)
            )
            return w.astype(np.float32), np.zeros(out, np.float32)
        if plain:
            return self.t[p + '.weight'].transpose(0, 3, 1, 2).copy(), self.t[p + '.bias']
        bn = {k: self.t[f'{p}.bn.{k}'] for k in ('weight', 'bias', 'running_mean', 'running_var')}
        k = bn['weight'] / np.sqrt(bn['running_var'] + np.float32(1e-3))
        w = self.t[p + '.conv.weight'].transpose(0, 3, 1, 2) * k[:, None, None, None]
        return w.astype(np.float32), (bn['bias'] - bn['running_mean'] * k).astype(np.float32)

    def plan(self, scale='m'):
        """Output channels and repeats of each layer."""
        if self.t is None:
            width, most, depth = WIDTHS[scale]
            c = lambda x: int(8 * np.ceil(min(x, most) * width / 8))
            n = lambda r: max(round(r * depth), 1)
            out = [
                64,
                128,
                128,
                256,
                256,
                512,
                512,
                1024,
                1024,
                1024,
                0,
                0,
                512,
                0,
                0,
                256,
                256,
                0,
                512,
                512,
                0,
                1024,
            ]
            rep = {2: 3, 4: 6, 6: 6, 8: 3, 12: 3, 15: 3, 18: 3, 21: 3}
            c0 = c(256)
            return (
                [c(x) for x in out],
                {k: n(v) for k, v in rep.items()},
                (max(16, c0 // 4, 64), max(c0, 2), max(c0 // 4, 63)),
            )
        out, rep = [0] * 22, {}
        for i in range(22):
            for tail in ('.conv.weight', '.cv2.conv.weight'):
                if self.name(i) + tail in self.t:
                    out[i] = len(self.t[self.name(i) + tail])
            rep[i] = sum(f'{self.name(i)}.m.{j}.cv1.conv.weight' in self.t for j in range(17))
        return out, rep, tuple(len(self.t[f'pose.cv{b}.0.0.conv.weight']) for b in (2, 3, 4))


class Graph:
    """The network through two primitives that each back end supplies."""

    def conv(self, x, layer, tail, out, inputs, size, stride=1, plain=False):
        raise NotImplementedError

    def run(self, weights, x):
        ch, rep, hidden = weights.plan()
        cv = lambda x, i, tail, out, inputs, size, stride=1: self.conv(
            x, *weights.conv(i, tail, out, inputs, size), stride, True
        )

        def c2f(x, i, inputs):
            h = ch[i] // 2
            parts = self.split(cv(x, i, '.cv1', 2 * h, inputs, 1), h)
            for j in range(rep[i]):
                y = cv(cv(parts[-1], i, f'.m.{j}.cv1', h, h, 3), i, f'.m.{j}.cv2', h, h, 3)
                parts.append(self.add(parts[-1], y) if i in SHORTCUT else y)
            return cv(self.cat(parts), i, '.cv2', ch[i], (2 + rep[i]) * h, 1)

        o = {0: cv(x, 0, '', ch[0], 3, 3, 2)}
        last = o[0]
        for i in range(1, 9):
            last = cv(last, i, '', ch[i], ch[i - 1], 3, 2) if i in (1, 3, 5, 7) else c2f(last, i, ch[i - 1])
            o[i] = last
        p = [cv(o[8], 9, '.cv1', ch[8] // 2, ch[8], 1)]
        for _ in range(3):
            p.append(self.pool(p[-1]))
        o[9] = cv(self.cat(p), 9, '.cv2', ch[9], ch[8] * 2, 1)
        o[12] = c2f(self.cat([self.up(o[9]), o[6]]), 12, ch[9] + ch[6])
        o[15] = c2f(self.cat([self.up(o[12]), o[4]]), 15, ch[12] + ch[4])
        o[16] = cv(o[15], 16, '', ch[16], ch[15], 3, 2)
        o[18] = c2f(self.cat([o[16], o[12]]), 18, ch[16] + ch[12])
        o[19] = cv(o[18], 19, '', ch[19], ch[18], 3, 2)
        o[21] = c2f(self.cat([o[19], o[9]]), 21, ch[19] + ch[9])
        maps = []
        for l, i in enumerate((15, 18, 21)):
            branches = []
            for b, (h, n) in enumerate(zip(hidden, (64, 2, 63))):
                t = f'.cv{b + 2}.{l}.'
                y = cv(cv(o[i], 22, t + '0', h, ch[i], 3), 22, t + '1', h, h, 3)
                branches.append(self.conv(y, *weights.conv(22, t + '2', n, h, 1, True), 1, False))
            maps.append(self.cat(branches))
        return maps


class Onnx(Graph):
    def __init__(self):
        from onnx import TensorProto, helper, numpy_helper

        self.h, self.n, self.float = helper, numpy_helper, TensorProto.FLOAT
        self.nodes, self.inits, self.count = [], [], 0

    def op(self, kind, inputs, outputs=1, **attributes):
        names = [f'v{self.count + i}' for i in range(outputs)]
        self.count += outputs
        self.nodes.append(self.h.make_node(kind, inputs, names, **attributes))
        return names if outputs > 1 else names[0]

    def init(self, value):
        self.inits.append(self.n.from_array(value, f'c{len(self.inits)}'))
        return self.inits[-1].name

    def conv(self, x, w, b, stride, act):
        k = w.shape[2]
        y = self.op(
            'Conv',
            [x, self.init(w), self.init(b)],
            kernel_shape=[k, k],
            pads=[k // 2] * 4,
            strides=[stride] * 2,
        )
        return self.op('Mul', [y, self.op('Sigmoid', [y])]) if act else y

    def split(self, x, h):
        return self.op('Split', [x, self.init(np.array([h, h], np.int64))], 2, axis=1)

    def cat(self, parts):
        return self.op('Concat', list(parts), axis=1)

    def add(self, a, b):
        return self.op('Add', [a, b])

    def pool(self, x):
        return self.op('MaxPool', [x], kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1])

    def up(self, x):
        scale = self.init(np.array([1, 1, 2, 2], np.float32))
        return self.op(
            'Resize',
            [x, '', scale],
            mode='nearest',
            coordinate_transformation_mode='asymmetric',
            nearest_mode='floor',
        )

    def save(self, weights, path, width, height):
        maps = self.run(weights, 'x')
        value = lambda name, shape: self.h.make_tensor_value_info(name, self.float, shape)
        outputs = [value(m, [1, 129, height // s, width // s]) for m, s in zip(maps, (8, 16, 32))]
        graph = self.h.make_graph(
            self.nodes, 'detector', [value('x', [1, 3, height, width])], outputs, self.inits
        )
        model = self.h.make_model(graph, opset_imports=[self.h.make_opsetid('', 17)], ir_version=8)
        with open(path, 'wb') as f:
            f.write(model.SerializeToString())


class Torch(Graph):
    def conv(self, x, w, b, stride, act):
        import torch

        key = len(self.made)
        if self.at >= key:
            self.made.append((torch.from_numpy(w).to(memory_format=torch.channels_last), torch.from_numpy(b)))
        w, b = self.made[self.at]
        self.at += 1
        y = torch.nn.functional.conv2d(x, w, b, stride, w.shape[2] // 2)
        return torch.nn.functional.silu(y, inplace=True) if act else y

    made, at = [], 0
    split = staticmethod(lambda x, h: list(x.split(h, 1)))
    add = staticmethod(lambda a, b: a + b)

    def cat(self, parts):
        import torch

        return torch.cat(parts, 1)

    def pool(self, x):
        import torch

        return torch.nn.functional.max_pool2d(x, 5, 1, 2)

    def up(self, x):
        import torch

        return torch.nn.functional.interpolate(x, scale_factor=2.0)


class Cached:
    """Weights are made or folded once, then handed out in the same order."""

    def __init__(self, weights):
        self.w, self.list, self.at = weights, [], 0
        self.planned = weights.plan()

    def plan(self):
        self.at = 0
        return self.planned

    def conv(self, *args):
        if self.at == len(self.list):
            self.list.append(self.w.conv(*args))
        self.at += 1
        return self.list[self.at - 1]


def decode(maps):
    """anchors x 69, as bench_detector dumps them."""
    rows = []
    for m, s in zip(maps, (8, 16, 32)):
        _, _, h, w = m.shape
        m = m[0].reshape(129, -1).astype(np.float64)
        y, x = np.mgrid[0:h, 0:w].reshape(2, -1) + 0.5
        d = m[:64].reshape(4, 16, -1)
        d = np.exp(d - d.max(1, keepdims=True))
        d = (d / d.sum(1, keepdims=True) * np.arange(16)[None, :, None]).sum(1)
        x0, y0, x1, y1 = x - d[0], y - d[1], x + d[2], y + d[3]
        sigmoid = lambda v: 1 / (1 + np.exp(-v))
        k = m[66:].reshape(21, 3, -1)
        k = np.stack([(2 * k[:, 0] + x - 0.5) * s, (2 * k[:, 1] + y - 0.5) * s, sigmoid(k[:, 2])], 1)
        box = np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]) * s
        rows.append(np.concatenate([box, sigmoid(m[64:66]), k.reshape(63, -1)]))
    return np.concatenate(rows, 1).T


def peer_onnxruntime(weights, x, threads, scratch):
    import onnxruntime

    path = os.path.join(scratch, 'd.onnx')
    Onnx().save(weights, path, x.shape[3], x.shape[2])
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads = threads
    o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    s = onnxruntime.InferenceSession(path, o, providers=['CPUExecutionProvider'])
    return lambda: s.run(None, {'x': x}), onnxruntime.__version__


def peer_openvino(weights, x, threads, scratch):
    import openvino

    path = os.path.join(scratch, 'd.onnx')
    Onnx().save(weights, path, x.shape[3], x.shape[2])
    settings = {
        'INFERENCE_NUM_THREADS': threads,
        'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_PRECISION_HINT': 'f32',
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(path), 'CPU', settings).create_infer_request()

    def run():
        request.infer({0: x}, share_inputs=True)
        return [request.get_output_tensor(i).data for i in range(3)]

    return run, openvino.__version__


def peer_torch(weights, x, threads, scratch):
    import torch

    torch.set_num_threads(threads)
    net, t = Torch(), torch.from_numpy(x).to(memory_format=torch.channels_last)

    def run():
        net.at = 0
        with torch.inference_mode():
            return [m.numpy() for m in net.run(weights, t)]

    return run, torch.__version__


PEERS = dict(onnxruntime=peer_onnxruntime, openvino=peer_openvino, torch=peer_torch)


def cpu():
    try:
        with open('/proc/cpuinfo') as f:
            return next(line.split(':')[1].strip() for line in f if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


# Network pixels and scores, as for our own tests (docs/detector.md).
ALLOWED = dict(boxes_px=3e-3, scores=2e-5, keypoints_px=1e-2)


def difference(a, b):
    d = np.abs(a - b)
    points = np.delete(d[:, 6:], slice(2, None, 3), 1)
    return dict(
        boxes_px=float(d[:, :4].max()), scores=float(d[:, 4:6].max()), keypoints_px=float(points.max())
    )


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--detector')
    ap.add_argument('--size', default='512x384')
    ap.add_argument('--threads', type=int, default=os.cpu_count())
    ap.add_argument('--runs', type=int, default=30)
    ap.add_argument('--peers', default='onnxruntime,openvino,torch')
    ap.add_argument('--ours')
    args = ap.parse_args()
    width, height = map(int, args.size.split('x'))
    i = np.arange(width * height * 3, dtype=np.uint64)
    picture = (((i * 2654435761) & 0xFFFFFFFF) >> 16 & 255).astype(np.float32) / np.float32(255)
    x = np.ascontiguousarray(picture.reshape(height, width, 3).transpose(2, 0, 1)[None])
    weights, wrong = Cached(Folded(args.detector)), False
    outputs = {'ours': np.fromfile(args.ours, np.float32).reshape(-1, 69)} if args.ours else {}
    with tempfile.TemporaryDirectory() as scratch:
        for peer in args.peers.split(','):
            head = dict(
                peer=peer, what='detector', dtype='f32', size=[width, height], threads=args.threads, cpu=cpu()
            )
            try:
                run, version = PEERS[peer](weights, x, args.threads, scratch)
            except ImportError as e:
                print(json.dumps(dict(head, skipped=str(e))), flush=True)
                continue
            out, start, n = run(), time.perf_counter(), 0
            while n < 3 or time.perf_counter() - start < 1:
                run()
                n += 1
            times = []
            for _ in range(args.runs):
                t = time.perf_counter()
                run()
                times.append(1e3 * (time.perf_counter() - t))
            q = lambda p: round(float(np.percentile(times, p)), 2)
            head.update(version=version, runs=args.runs, min_ms=q(0), median_ms=q(50), p90_ms=q(90))
            outputs[peer] = decode([np.asarray(m) for m in out])
            reference = next(iter(outputs))  # ours, else the first peer
            if reference != peer:
                head['difference'] = difference(outputs[reference], outputs[peer])
                wrong |= any(head['difference'][k] > v for k, v in ALLOWED.items())
                head['difference']['from'] = reference
            print(json.dumps(head), flush=True)
    if wrong and args.detector:  # random numbers of no particular scale need not agree
        sys.exit('outputs differ by more than %s' % ALLOWED)


if __name__ == '__main__':
    main()
