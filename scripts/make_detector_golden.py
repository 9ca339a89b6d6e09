#!/usr/bin/env python3
"""Make tests/golden/data/detector: a real YOLOv8-pose file, frames, and what ultralytics says of them.

    make_detector_golden.py model       frames/*.png and micro.pt; needs 8.1.34
    make_detector_golden.py references  detections_VERSION.json, with 8.1.34 also raw.npz
    make_detector_golden.py manifest    MANIFEST.json, last

Made with ultralytics 8.1.34 (what WiLoR and WiLoR-mini pin), torch 2.2.2, torchvision 0.17.2, numpy
1.26.4, opencv-python-headless 4.9.0.80, Python 3.11; the second references file with ultralytics
8.4.190, torch 2.11.0, torchvision 0.26.0, opencv 5.0.0.93, numpy 2.4.6. That file is short: conf
0.3, the usual size, no batches.

micro.pt is written as ultralytics' trainer writes it: an EMA model with its criterion, then
strip_optimizer. Its weights are seeded noise, rounded to float16; running means, variances, gains and
biases are set so that the frames below give some twenty candidates each: what it finds means nothing.
Its head's branches are narrower than ultralytics makes them (its class lets one put in others), because
the usual 64 + 63 channels alone would take 700 KB. The frames are rendered from the CC0 hand.

The JSON has the form of the project's other detector references: per detection `xyxy` and `kpts` as
ultralytics returns them; `xyxy_unrounded`, `kpts_unmasked` before rounding boxes and masking points;
`xyxy_net`, `kpts_net` in pixels of the network's input; `anchor` the column of the head's output.
`margins`: how far the nearest decision was from going the other way (score from the threshold,
neighbouring scores, overlap from the limit)."""

import argparse, contextlib, copy, hashlib, json, os, pathlib, sys, zlib

os.environ.setdefault('YOLO_VERBOSE', 'False')
import cv2
import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
DATA = HERE.parent / 'tests/golden/data'
OUT = DATA / 'detector'
SEED, IMGSZ = 21, 160
DEPTH, WIDTH, MOST = 0.33, 0.0625, 384
BRANCHES = (16, 8, 12)  # inner widths of the head's box, class and keypoint branches
SIZES = {
    'half_320x240': (None,),
    'tall_150x221': (None, 224),
    'wide_260x180': (None,),
    'odd_97x61': (None, 96),
}
RAW = 'odd_97x61', 96


def sha(data):
    return hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------- frames
def put_hand(picture, hand, seed, centre, size, right):
    """One hand in some pose, its middle and longest side in pixels."""
    import render_hand

    height, width = picture.shape[:2]
    rng = np.random.default_rng(seed)
    turns = render_hand.from_6d(hand['init_hand_pose'])
    curl = rng.uniform(0, 0.7)
    for j in range(1, 16):
        turns[j] = turns[j] @ render_hand.rotation(
            rng.normal(0, 0.08, 3) + [0, 0, curl * rng.uniform(0.3, 1)]
        )
    r = render_hand.rotation
    turns[0] = r([0, 0, rng.uniform(0.2, 2.4)]) @ r(
        [rng.choice([-1.2, 1.25]) + rng.uniform(-0.2, 0.2), 0.25, 0]
    )
    v = render_hand.pose_hand(hand, turns, rng.normal(0, 0.6, 10)) * ([1, 1, 1] if right else [-1, 1, 1])
    faces = np.asarray(hand['faces'], int)
    focal = 4.0 * max(width, height)
    span = (v.max(0) - v.min(0))[:2].max()
    depth = focal * span / size
    middle = (np.asarray(centre) - (width / 2, height / 2)) * depth / focal
    v = v - (v.min(0) + v.max(0)) / 2 + [*middle, depth]
    rest = np.asarray(hand['v_template'], np.float64)
    winding = faces if right else faces[:, ::-1]
    return render_hand.draw(picture, v, rest, winding, focal, np.array([width / 2, height / 2]), seed)


def make_frames():
    import render_hand

    hand = dict(np.load(DATA / 'hand-cc0.npz'))
    wall, table = (0.40, 0.43, 0.46), (0.40, 0.30, 0.22)
    (OUT / 'frames').mkdir(parents=True, exist_ok=True)

    def save(name, width, height, seed, hands, noise=0.0):
        assert name.endswith('_%dx%d' % (width, height))
        picture = render_hand.background(height, width, seed, wall, table)
        for i, (x, y, size, right) in enumerate(hands):
            picture = put_hand(
                picture, hand, 10 * seed + i, (x * width, y * height), size * min(width, height), right
            )
        rgb = render_hand.to_bytes(picture).astype(int)
        rgb += np.rint(np.random.default_rng(seed).normal(0, 1, rgb.shape) * noise).astype(int)
        path = str(OUT / 'frames' / (name + '.png'))
        cv2.imwrite(path, np.clip(rgb, 0, 255).astype(np.uint8)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])

    save('half_320x240', 320, 240, 1, ((0.27, 0.45, 0.55, True), (0.72, 0.5, 0.6, False)))
    save('tall_150x221', 150, 221, 2, ((0.5, 0.35, 0.75, False),), noise=1)
    save(
        'wide_260x180', 260, 180, 3, ((0.2, 0.4, 0.5, True), (0.5, 0.6, 0.7, True), (0.85, 0.4, 0.45, False))
    )
    save('odd_97x61', 97, 61, 4, ((0.5, 0.5, 0.9, True),), noise=4)


def frames():
    return {p.stem: cv2.imread(str(p)) for p in sorted((OUT / 'frames').glob('*.png'))}


# ---------------------------------------------------------------- the model
def layers():
    """The public yolov8-pose list."""
    conv = lambda n: [-1, 1, 'Conv', [n, 3, 2]]
    c2f = lambda n, r, *add: [-1, r, 'C2f', [n, *add]]
    up = [-1, 1, 'nn.Upsample', ['None', 2, 'nearest']]
    cat = lambda i: [[-1, i], 1, 'Concat', [1]]
    return dict(
        nc=2,
        kpt_shape=[21, 3],
        scales={'n': [DEPTH, WIDTH, MOST]},
        scale='n',
        backbone=[conv(64), conv(128), c2f(128, 3, True), conv(256), c2f(256, 6, True), conv(512)]
        + [c2f(512, 6, True), conv(1024), c2f(1024, 3, True), [-1, 1, 'SPPF', [1024, 5]]],
        head=[up, cat(6), c2f(512, 3), up, cat(4), c2f(256, 3), conv(256), cat(12), c2f(512, 3), conv(512)]
        + [cat(9), c2f(1024, 3), [[15, 18, 21], 1, 'Pose', ['nc', 'kpt_shape']]],
    )


def narrow_head(head, channels):
    from torch import nn
    from ultralytics.nn.modules.conv import Conv

    for branch, inner, out in zip(('cv2', 'cv3', 'cv4'), BRANCHES, (64, 2, 63)):
        level = lambda c: nn.Sequential(Conv(c, inner, 3), Conv(inner, inner, 3), nn.Conv2d(inner, out, 1))
        setattr(head, branch, nn.ModuleList(level(c) for c in channels))


def rounded(x, n=3):
    """A few significant digits, so that another machine's rounding gives the same file."""
    return np.array([float('%.*g' % (n, v)) for v in np.ravel(x)], np.float32).reshape(np.shape(x))


def noise(name, shape):
    return np.random.Generator(np.random.PCG64([SEED, zlib.crc32(name.encode())])).standard_normal(shape)


def set_tensor(t, value):
    with torch.no_grad():
        t.copy_(torch.from_numpy(np.ascontiguousarray(value, np.float32)).half().to(t.dtype))


def fill(model):
    for name, m in model.named_modules():
        if isinstance(m, torch.nn.Conv2d) and '.dfl.' not in name:
            set_tensor(m.weight, noise(name, m.weight.shape) / np.sqrt(np.prod(m.weight.shape[1:])))
        if getattr(m, 'bias', None) is not None:
            set_tensor(m.bias, np.zeros(m.bias.shape))
        if isinstance(m, torch.nn.BatchNorm2d):
            set_tensor(m.weight, 0.3 + 0.06 * noise(name + '.weight', m.weight.shape))
            set_tensor(m.bias, 0.5 * noise(name + '.bias', m.bias.shape))


def calibrate(model, x):
    """Running statistics from what arrives; the last convolutions' gains and biases from what leaves."""

    def norm(m, inputs, name):
        v = inputs[0]
        mean, var = v.mean((0, 2, 3)), v.var((0, 2, 3))
        # the mean's share keeps rounding errors of flat channels as small as trained networks keep them
        set_tensor(m.running_mean, rounded(mean + 0.1 * noise(name + '.mean', v.shape[1])))
        set_tensor(m.running_var, rounded((var + mean**2) * np.exp(0.2 * noise(name + '.var', v.shape[1]))))

    def last(m, inputs, out, name):
        v = out.detach().numpy()
        target = 0.8 if '.cv2.' in name else 3.2 if '.cv3.' in name else 1.2
        gain = rounded(target / (v - v.mean((0, 2, 3), keepdims=True)).std())
        mean = gain * v.mean((0, 2, 3))
        bias = -mean
        if '.cv2.' in name:
            bias = bias - np.tile(0.3 * np.arange(16), 4)  # boxes of some three cells
        if '.cv3.' in name:  # a few in a hundred anchors pass 0.05
            bias = (
                bias
                - np.quantile(gain * v - mean[None, :, None, None], 0.982, axis=(0, 2, 3))
                + np.log(0.05 / 0.95)
            )
        set_tensor(m.weight, gain * m.weight.detach().numpy())
        set_tensor(m.bias, rounded(bias))

    hooks = []
    for name, m in model.named_modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            hooks.append(m.register_forward_pre_hook(lambda m, i, n=name: norm(m, i, n)))
        elif isinstance(m, torch.nn.Conv2d) and m.bias is not None:
            hooks.append(m.register_forward_hook(lambda m, i, o, n=name: last(m, i, o, n)))
    with torch.no_grad():
        model(x)
    for h in hooks:
        h.remove()


def make_model():
    from ultralytics.cfg import get_cfg
    from ultralytics.data.augment import LetterBox
    from ultralytics.nn.tasks import PoseModel
    from ultralytics.utils import DEFAULT_CFG_DICT
    from ultralytics.utils.torch_utils import strip_optimizer

    torch.manual_seed(SEED)
    model = PoseModel(layers(), ch=3, nc=2, data_kpt_shape=[21, 3], verbose=False)
    head = model.model[-1]
    channels = [level[0].conv.in_channels for level in head.cv2]
    narrow_head(head, channels)
    for m in head.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.eps, m.momentum = 1e-3, 0.03  # as ultralytics' initialize_weights
    model.names, model.kpt_shape = {0: 'left', 1: 'right'}, [21, 3]  # as its trainer does
    model.args = get_cfg(DEFAULT_CFG_DICT)
    model.eval()
    fill(model)
    box = LetterBox((IMGSZ - 32, IMGSZ))  # the shape that the predictor gives most of them
    inputs = np.stack([box(image=f)[..., ::-1].transpose(2, 0, 1) for f in frames().values()])
    calibrate(model, torch.from_numpy(inputs.astype(np.float32) / 255))
    model.criterion = model.init_criterion()  # a validated EMA has one, and the file keeps it
    training = dict(vars(model.args), imgsz=IMGSZ, task='pose', mode='train', model='yolov8n-pose.yaml')
    ckpt = dict(epoch=3, best_fitness=0.5, model=copy.deepcopy(model).half(), ema=copy.deepcopy(model).half())
    ckpt.update(updates=12, optimizer=None, train_args=training, train_metrics={}, train_results={})
    ckpt.update(date='2026-01-01T00:00:00', version='8.1.34')
    with contextlib.chdir(OUT):
        torch.save(ckpt, 'micro.pt')
        strip_optimizer('micro.pt')
    print('channels', channels, 'micro.pt', (OUT / 'micro.pt').stat().st_size, 'bytes')


# ---------------------------------------------------------------- references
class Detector:
    """YOLO(file)(picture) as WiLoR-mini calls it, with a look at the network's input and output."""

    def __init__(self, path):
        import ultralytics

        self.version = ultralytics.__version__
        self.old = self.version.startswith('8.1.')
        self.yolo = ultralytics.YOLO(path)
        self.yolo(np.zeros((64, 64, 3), np.uint8), verbose=False)  # makes the predictor
        p = self.yolo.predictor
        self.imgsz = int(self.yolo.overrides['imgsz'])
        preprocess, postprocess = p.preprocess, p.postprocess

        def before(pictures):
            self.letterboxed = [v.copy() for v in p.pre_transform(pictures)]
            self.x = preprocess(pictures)
            return self.x

        def after(preds, *a, **k):
            self.y, self.maps = preds[0].clone(), preds[1]
            return postprocess(preds, *a, **k)

        p.preprocess, p.postprocess = before, after

    def undecoded(self):
        """Head values of the first picture before decoding: boxes 64, classes 2, keypoints 63 x anchors."""
        if not self.old:
            return [self.maps[k][0].numpy() for k in ('boxes', 'scores', 'kpts')]
        maps, points = self.maps
        both = np.concatenate([m[0].flatten(1).numpy() for m in maps], 1)
        return both[:64], both[64:], points[0].numpy()

    def __call__(self, pictures, conf, imgsz):
        with torch.no_grad():
            results = self.yolo(pictures, conf=conf, imgsz=imgsz, verbose=False)
        return [self.record(i, r) for i, r in enumerate(results)]

    def kept(self, i):
        """The rows of picture i after suppression, in pixels of the network's input."""
        a = self.yolo.predictor.args
        if self.old:
            from ultralytics.utils.ops import non_max_suppression as nms
        else:
            from ultralytics.utils.nms import non_max_suppression as nms
        return nms(
            self.y[i : i + 1].clone(), a.conf, a.iou, a.classes, a.agnostic_nms, max_det=a.max_det, nc=2
        )[0]

    def record(self, i, result):
        from ultralytics.utils import ops

        net, shape, size = self.kept(i), result.orig_shape, self.x.shape[2:]
        boxes, points = result.boxes.data.numpy(), result.keypoints.data.numpy().reshape(-1, 21, 3)
        assert len(net) == len(boxes)
        y = self.y[i].numpy()
        unrounded = ops.scale_boxes(size, net[:, :4].clone(), shape).numpy()
        unmasked = net[:, 6:].clone().view(-1, 21, 3)
        if len(net):
            unmasked = ops.scale_coords(size, unmasked, shape)
        out = []
        for j, row in enumerate(net.numpy()):
            assert row[4] == boxes[j, 4] and row[5] == boxes[j, 5]
            anchor = np.flatnonzero((y[4 + int(row[5])] == row[4]) & (y[6] == row[6]))
            assert len(anchor) == 1
            out.append(
                dict(
                    cls=int(row[5]),
                    conf=exact(row[4]),
                    xyxy=exact(boxes[j, :4]),
                    xyxy_unrounded=exact(unrounded[j]),
                    xyxy_net=exact(row[:4]),
                    anchor=int(anchor[0]),
                    kpts=short(points[j]),
                    kpts_unmasked=short(unmasked[j].numpy()),
                    kpts_net=short(row[6:].reshape(21, 3)),
                )
            )
        a = self.yolo.predictor.args
        candidates = int((y[4:6].max(0) > np.float32(a.conf)).sum())
        return dict(
            candidates=candidates,
            margins=margins(y, a.conf, a.iou, [d['anchor'] for d in out]),
            detections=out,
        )


def exact(x, digits=9):
    """Decimal text that keeps a float32."""
    return [exact(v, digits) for v in x] if np.ndim(x) else float('%.*g' % (digits, float(x)))


def short(x):
    """Points, some sixty a detection, to 2e-5 pixels: a hundredth of the tolerance."""
    return exact(x, 7)


def margins(y, conf, iou, kept):
    s, c = y[4:6].max(0).astype(np.float64), y[4:6].argmax(0)
    some = np.flatnonzero(s > conf)
    out = {'score': float('%.3g' % np.abs(s - conf).min())}
    if len(some) > 1:
        out['order'] = float('%.3g' % np.diff(np.sort(s[some])).min())
    lo, hi = y[:2] - y[2:4] / 2, y[:2] + y[2:4] / 2
    area, near = (hi - lo).prod(0), []
    for i in kept:
        others = some[(c[some] == c[i]) & (s[some] <= s[i]) & (some != i)]
        side = np.minimum(hi[:, [i]], hi[:, others]) - np.maximum(lo[:, [i]], lo[:, others])
        inter = side.clip(0).prod(0)
        near += list(np.abs(inter / (area[i] + area[others] - inter) - iou))
    if near:
        out['overlap'] = float('%.3g' % min(near))
    return out


def as_text(doc):
    """JSON with one detection a line."""
    marks = []

    def walk(o):
        if isinstance(o, dict) and 'kpts_net' not in o:
            return {k: walk(v) for k, v in o.items()}
        if isinstance(o, list) and o and not isinstance(o[0], (int, float)):
            return [walk(v) for v in o]
        if isinstance(o, (dict, list)):
            marks.append(json.dumps(o, separators=(',', ':')))
            return '@%d@' % (len(marks) - 1)
        return o

    text = json.dumps(walk(doc), indent=1)
    for i, m in enumerate(marks):
        text = text.replace('"@%d@"' % i, m, 1)
    assert json.loads(text) == doc
    return text + '\n'


def references():
    import torchvision

    torch.set_num_threads(1)
    d, pictures = Detector(str(OUT / 'micro.pt')), frames()
    digest = lambda v: sha(np.ascontiguousarray(v).tobytes())
    doc = dict(
        checkpoint='micro.pt',
        checkpoint_sha256=sha((OUT / 'micro.pt').read_bytes()),
        ultralytics=d.version,
        torch=torch.__version__.split('+')[0],
        torchvision=torchvision.__version__.split('+')[0],
        opencv=cv2.__version__,
        numpy=np.__version__,
        names={str(k): v for k, v in d.yolo.names.items()},
        imgsz_default=d.imgsz,
        settings=dict(iou=0.7, max_det=300, agnostic_nms=False),
        single=[],
        batch=[],
    )
    for name, picture in pictures.items():
        data = (OUT / 'frames' / (name + '.png')).read_bytes()
        info = dict(
            file=name + '.png', file_sha256=sha(data), width=picture.shape[1], height=picture.shape[0]
        )
        info.update(bgr_sha256=digest(picture), runs=[])
        for imgsz in SIZES[name] if d.old else (None,):
            for conf in (0.3, 0.05) if d.old else (0.3,):
                record = d(picture, conf, imgsz or d.imgsz)[0]
                run = dict(imgsz=imgsz or d.imgsz, imgsz_from_checkpoint=imgsz is None, conf=conf)
                run.update(input_shape=list(d.x.shape), letterbox_bgr_sha256=digest(d.letterboxed[0]))
                run.update(input_f32_sha256=digest(d.x.numpy()), **record)
                info['runs'].append(run)
                print(name, run['imgsz'], conf, run['candidates'], len(run['detections']), run['margins'])
        doc['single'].append(info)
    batches = ('same_size', ['half_320x240'] * 2), ('different_sizes', ['odd_97x61', 'tall_150x221'])
    for kind, names in batches if d.old else ():
        both = [pictures[n] for n in names]
        if kind == 'same_size':
            both[1] = np.ascontiguousarray(both[1][::-1])  # the second one upside down
        records = d(both, 0.3, d.imgsz)
        entry = dict(kind=kind, imgsz=d.imgsz, conf=0.3, input_shape=list(d.x.shape), images=[])
        entry.update(input_f32_sha256=digest(d.x.numpy()))
        for i, n in enumerate(names):
            image = dict(file=n + '.png', upside_down=kind == 'same_size' and i == 1)
            entry['images'].append(dict(image, letterbox_bgr_sha256=digest(d.letterboxed[i]), **records[i]))
        doc['batch'].append(entry)
    (OUT / ('detections_%s.json' % d.version)).write_text(as_text(doc))
    if d.old:
        d(pictures[RAW[0]], 0.3, RAW[1])
        parts = dict(zip(('y', 'box', 'cls', 'kpt'), (d.y[0].numpy(), *d.undecoded())))
        np.savez_compressed(OUT / 'raw.npz', **{'%s.%d.%s' % (*RAW, k): v for k, v in parts.items()})


# ---------------------------------------------------------------- manifest
MEANING = {
    'micro.pt': "as ultralytics 8.1.34 writes it (strip_optimizer), float16, imgsz 160: seeded noise",
    'raw.npz': 'NAME.IMGSZ.y: 69 x anchors before suppression; .box 64, .cls 2, .kpt 63 x anchors undecoded',
}


def manifest():
    files = []
    for p in sorted(OUT.rglob('*')):
        name = p.relative_to(OUT).as_posix()
        if p.is_file() and name != 'MANIFEST.json':
            what = 'frame, rendered' if name.startswith('frames') else 'what ultralytics says of the frames'
            what = "WiLoR-mini's predict()" if name.startswith('route') else MEANING.get(name, what)
            files.append(dict(file=name, bytes=p.stat().st_size, sha256=sha(p.read_bytes()), meaning=what))
    doc = dict(
        about='scripts/make_detector_golden.py: ultralytics on a seeded network and rendered frames',
        route='scripts/make_route_golden.py: WiLoR-mini from picture to hands',
        licence='CC0: no photos, no trained weights',
        tolerances={
            'boxes': '3e-3 pixels of the network input; torch float32 is 1.1e-4 from float64 here',
            'keypoints': '1e-2 pixels likewise; 5e-4',
            'scores, visibility': '2e-5; 4e-6 and 6e-6',
            'undecoded': '2e-4',
            'rows': '2e-3 / gain + 1e-3 picture pixels, conf 1e-5; a rounded side may be one off where '
            'xyxy_unrounded is that near a half',
        },
        total_bytes=sum(f['bytes'] for f in files),
        files=files,
    )
    (OUT / 'MANIFEST.json').write_text(json.dumps(doc, indent=1) + '\n')
    print(doc['total_bytes'], 'bytes')


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('what', choices=('model', 'references', 'manifest'))
    what = ap.parse_args().what
    if what == 'model':
        make_frames()
        make_model()
    elif what == 'references':
        references()
    else:
        manifest()


if __name__ == '__main__':
    main()
