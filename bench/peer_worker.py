#!/usr/bin/env python3
"""One step of peers.py, in a process of its own: making what peers share, or measuring one peer.

    peer_worker.py weights|onnx|dynamic|static --work DIR --model NAME --hands N
    peer_worker.py PEER --work DIR --model NAME --hands N --threads N --runs N --result FILE --dump FILE

Shared things lie in DIR and are made once: weights.safetensors (scripts/random_weights.py's formula, mapped
by all), f32.onnx (torch's exporter, static shapes), dynamic.onnx and static.onnx (int8). A peer's result is one
JSON object; its outputs go to the dump, in the order of bench_model's."""

import argparse, concurrent.futures, json, os, pathlib, struct, sys, time, warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / 'scripts'), str(ROOT / 'bench')]
import numpy as np
import random_weights

# To see which instructions a library takes: the real widths, but two blocks.
random_weights.MODELS['isa'] = (1280, 2, 16, (-3.1, 0.05, -0.04))
TYPES = {'float32': 'F32', 'int64': 'I64'}
OUTPUTS = ['cam', 'betas', 'rotations', 'keypoints', 'vertices']


# ---------------------------------------------------------------- weights: written once, mapped by everyone
def weights_file(work):
    return os.path.join(work, 'weights.safetensors')


def write_weights(work, model):
    """The whole formula, tensor by tensor on all cores, straight into the mapped file."""
    width, depth, _, _ = random_weights.MODELS[model]
    hand = np.load(ROOT / 'tests/golden/data/hand-cc0.npz')
    mano = random_weights.mano(hand)
    learned = list(random_weights.tensors(width, depth))
    shapes = {name: ('float32', shape) for name, shape, _, _ in learned}
    means = dict(
        zip(
            ('backbone.init_hand_pose', 'backbone.init_betas', 'backbone.init_cam'),
            random_weights.mean_parameters(1),
        )
    )
    shapes.update({k: ('float32', (1,) + v.shape) for k, v in means.items()})
    shapes.update({k: (str(v.dtype), v.shape) for k, v in mano.items()})
    head, at = {}, 0
    for name, (dtype, shape) in shapes.items():
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        head[name] = dict(dtype=TYPES[dtype], shape=list(shape), data_offsets=[at, at + size])
        at += (size + 63) // 64 * 64  # gaps keep tensors aligned
    text = json.dumps(head).encode()
    text += b' ' * (-(8 + len(text)) % 64)
    part = weights_file(work) + '.part'
    with open(part, 'wb') as f:
        f.write(struct.pack('<Q', len(text)) + text)
        f.truncate(8 + len(text) + at)
    out = read_weights(part, 'r+')
    for name, value in {**means, **mano}.items():
        out[name][...] = value.reshape(out[name].shape)

    def fill(tensor):
        name, shape, std, mean = tensor
        out[name][...] = random_weights.fill(name, 1, shape, std, mean)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, learned))
    random_weights.adjust(out, model)
    os.replace(part, weights_file(work))


def read_weights(path, mode='c'):
    """Name to array, in the mapped file; mode c: writable, but nothing is written back."""
    with open(path, 'rb') as f:
        size = struct.unpack('<Q', f.read(8))[0]
        head = json.loads(f.read(size))
    data = np.memmap(path, np.uint8, mode, 8 + size)
    numpy_type = {v: k for k, v in TYPES.items()}
    return {
        k: data[slice(*v['data_offsets'])].view(numpy_type[v['dtype']]).reshape(v['shape'])
        for k, v in head.items()
    }


def crops(hands):
    """bench_model's input."""
    i = np.arange(hands * 256 * 256 * 3, dtype=np.uint64)
    return ((i * 2654435761 & 0xFFFFFFFF) >> 16 & 255).astype(np.float32).reshape(hands, 256, 256, 3)


def network(args, dtype='float32'):
    import torch, wilor_torch

    if args.threads:
        torch.set_num_threads(args.threads)
    weights = read_weights(weights_file(args.work))
    heads = random_weights.MODELS[args.model][2]
    return wilor_torch.Wilor(weights, heads, getattr(torch, dtype)).eval(), torch.from_numpy(
        crops(args.hands)
    )


# ---------------------------------------------------------------- ONNX files
def onnx_file(work, kind):
    return os.path.join(work, kind, kind + '.onnx')


def write_onnx(args):
    import torch

    net, x = network(args)
    path = onnx_file(args.work, 'f32')
    with torch.no_grad():
        torch.onnx.export(
            net,
            (x,),
            path,
            input_names=['crops'],
            output_names=OUTPUTS,
            opset_version=17,
            dynamo=False,
        )


def linear_nodes(path):
    """The linear layers of the blocks: products with a constant whose sides are multiples of 32."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    shape = {i.name: i.dims for i in graph.initializer}
    shape.update({n.output[0]: n.attribute[0].t.dims for n in graph.node if n.op_type == 'Constant'})
    wide = lambda d: len(d) == 2 and all(k >= 64 and k % 32 == 0 for k in d)
    return [n.name for n in graph.node if n.op_type == 'MatMul' and wide(shape.get(n.input[1], ()))]


def narrow_weights():
    """7 bits where products of 8 bits saturate in pairs (no VNNI): ONNX Runtime's own advice."""
    with open('/proc/cpuinfo') as f:
        flags = next((set(line.split()) for line in f if line.startswith('flags')), set())
    return bool(flags) and not flags & {'avx_vnni', 'avx512_vnni'}


def write_dynamic(args):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = onnx_file(args.work, 'f32')
    quantize_dynamic(
        path,
        onnx_file(args.work, 'dynamic'),
        op_types_to_quantize=['MatMul'],
        nodes_to_quantize=linear_nodes(path),
        per_channel=True,
        reduce_range=narrow_weights(),
        weight_type=QuantType.QInt8,
        use_external_data_format=True,
    )


def write_static(args):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        """One batch, the one that is measured: the best case for the ranges."""

        left = [{'crops': crops(args.hands)}]

        def get_next(self):
            return self.left.pop() if self.left else None

    path = onnx_file(args.work, 'f32')
    quantize_static(
        path,
        onnx_file(args.work, 'static'),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=['MatMul'],
        nodes_to_quantize=linear_nodes(path),
        per_channel=True,
        reduce_range=narrow_weights(),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        use_external_data_format=True,
        extra_options={'MatMulConstBOnly': True},
    )


# ---------------------------------------------------------------- peers: a function that runs, and facts
def threads_now():
    try:
        return len(os.listdir('/proc/self/task'))
    except OSError:
        return 0


def peer_torch(args, dtype, compiled=False):
    import torch

    net, x = network(args, dtype)
    facts = dict(
        version=torch.__version__,
        threads=torch.get_num_threads(),
        isa=torch.backends.cpu.get_cpu_capability(),
        how='eager, inference mode',
    )
    if dtype == 'bfloat16':
        facts['how'] += '; weights and activations of the backbone and RefineNet bfloat16, the rest float32'
    if compiled:
        import torch._inductor.config

        torch._inductor.config.freezing = True
        net = torch.compile(net, dynamic=False)
        facts['how'] = facts['how'].replace('eager', 'torch.compile, inductor with freezing, static shapes')

    def run():
        with torch.inference_mode():
            return [v.float().numpy() for v in net(x)]

    return run, facts


def peer_onnxruntime(args, kind):
    import onnxruntime

    o, x = onnxruntime.SessionOptions(), crops(args.hands)
    o.intra_op_num_threads = args.threads
    o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    before = threads_now()
    session = onnxruntime.InferenceSession(onnx_file(args.work, kind), o, providers=['CPUExecutionProvider'])
    facts = dict(version=onnxruntime.__version__, threads=threads_now() - before + 1, how=HOW[kind])
    return lambda: session.run(None, {'crops': x}), facts


HOW = {
    'f32': 'torch.onnx.export, static shapes',
    'dynamic': 'quantize_dynamic: linear layers of the blocks as MatMulInteger, weights int8 a column',
    'static': 'quantize_static, QDQ: linear layers of the blocks, activations uint8 a tensor, weights int8 a column',
}


def peer_openvino(args, kind, precision):
    import collections, openvino

    x, core = crops(args.hands), openvino.Core()
    settings = {'PERFORMANCE_HINT': 'LATENCY'}
    if precision:
        settings['INFERENCE_PRECISION_HINT'] = precision
    if args.threads:
        settings['INFERENCE_NUM_THREADS'] = args.threads
    compiled = core.compile_model(core.read_model(onnx_file(args.work, kind)), 'CPU', settings)
    taken = compiled.get_property('INFERENCE_PRECISION_HINT').get_type_name()
    if precision and taken != precision:
        sys.exit(f'asked for {precision}, OpenVINO takes {taken} on this processor')
    request = compiled.create_infer_request()
    kinds = collections.Counter(
        op.get_rt_info()['primitiveType'].astype(str)
        for op in compiled.get_runtime_model().get_ops()
        if op.get_rt_info()['layerType'].astype(str) in ('FullyConnected', 'MatMul')
    )
    facts = dict(
        version=openvino.get_version(),
        threads=compiled.get_property('INFERENCE_NUM_THREADS'),
        isa=', '.join(f'{k} x {n}' for k, n in kinds.most_common(4)),
        how=f'{HOW[kind]}; LATENCY, precision {taken}',
    )

    def run():
        request.infer({0: x}, share_inputs=True)
        return [np.array(request.get_output_tensor(i).data) for i in range(len(OUTPUTS))]

    return run, facts


PEERS = {
    'torch-f32': lambda a: peer_torch(a, 'float32'),
    'torch-bf16': lambda a: peer_torch(a, 'bfloat16'),
    'compile-f32': lambda a: peer_torch(a, 'float32', True),
    'compile-bf16': lambda a: peer_torch(a, 'bfloat16', True),
    'onnxruntime-f32': lambda a: peer_onnxruntime(a, 'f32'),
    'onnxruntime-int8': lambda a: peer_onnxruntime(a, 'dynamic'),
    'onnxruntime-int8-static': lambda a: peer_onnxruntime(a, 'static'),
    'openvino-f32': lambda a: peer_openvino(a, 'f32', 'f32'),
    'openvino-bf16': lambda a: peer_openvino(a, 'f32', 'bf16'),
    'openvino-int8': lambda a: peer_openvino(a, 'static', None),
}
STEPS = {
    'weights': lambda a: write_weights(a.work, a.model),
    'onnx': write_onnx,
    'dynamic': write_dynamic,
    'static': write_static,
}


def measure(run, runs):
    """As bench_model: at least three passes and a second to warm up. A slow peer may stop after a minute, from
    five runs on."""
    start, n = time.perf_counter(), 0
    while n < 3 or time.perf_counter() - start < 1:
        out = run()
        n += 1
    times, busy, begin = [], time.process_time(), time.perf_counter()
    while len(times) < runs and (len(times) < 5 or time.perf_counter() - begin < 60):
        t = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - t))
    busy = (time.process_time() - busy) / (time.perf_counter() - begin)
    times.sort()
    runs = len(times)
    middle = (times[(runs - 1) // 2] + times[runs // 2]) / 2
    q = lambda v: round(v, 3)
    return out, dict(
        n=runs,
        min_ms=q(times[0]),
        median_ms=q(middle),
        p90_ms=q(times[(9 * runs + 9) // 10 - 1]),
        cores_busy=q(busy),
    )


def peak_mb():
    with open('/proc/self/status') as f:
        return next((round(int(line.split()[1]) * 1024e-6) for line in f if line.startswith('VmHWM')), 0)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('step', choices=[*STEPS, *PEERS])
    ap.add_argument('--work', required=True)
    ap.add_argument('--model', default='full')
    ap.add_argument('--hands', type=int, default=1)
    ap.add_argument('--threads', type=int, default=0, help="0: the peer's own choice")
    ap.add_argument('--runs', type=int, default=30)
    ap.add_argument('--result')
    ap.add_argument('--dump')
    ap.add_argument('--path', action='append', default=[], help='where else Python packages are')
    args = ap.parse_args()
    sys.path.extend(args.path)
    warnings.filterwarnings('ignore')
    if args.step in STEPS:
        if args.step != 'weights':
            os.makedirs(
                os.path.dirname(onnx_file(args.work, args.step.replace('onnx', 'f32'))), exist_ok=True
            )
        STEPS[args.step](args)
        return
    start = time.perf_counter()
    run, facts = PEERS[args.step](args)
    facts['load_s'] = round(time.perf_counter() - start, 2)
    out, times = measure(run, args.runs)
    facts.update(times, rss_mb=peak_mb())
    if args.dump:
        np.concatenate([np.asarray(v, np.float32).ravel() for v in out]).tofile(args.dump)
    if args.result:
        with open(args.result, 'w') as f:
            json.dump(facts, f)


if __name__ == '__main__':
    main()
