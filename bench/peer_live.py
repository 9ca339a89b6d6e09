#!/usr/bin/env python3
"""From a frame to its hand: `wilor bench live` and WiLoR-mini's route in PyTorch, in turns, on one machine.

    peer_live.py --out FILE.json --wilor PROGRAM --make-detector PROGRAM [--threads N] [--rounds N] [--runs N]
                 [--frames N] [--size full|small] [--imgsz N] [--ours bf16,int8,f32] [--total SECONDS] [--work DIR]
                 [--device cpu|cuda]
    peer_live.py --markdown FILE.json     the tables for docs/performance.md

Both have the same 640 x 480 frame (bench live's), network, weights by formula, hand and detector. A frame
is bytes of RGB; the peer's way with it, after WiLoR-mini's pipeline: resize to 512 x 384, YOLOv8m-pose, decode,
suppression; crop; network; camera, keypoints in pixels; all as numpy arrays. The detector makes nothing
of such a frame, so both take its time and then look at one square in the middle. Peers:

  mini-f32      as WiLoR-mini on a processor: detector on each frame, float32, eager
  mini-bf16     the same with weights and activations in bfloat16, convolutions channels-last
  tracked-bf16  the detector on every fifth frame only, as `wilor live` does with a hand it follows

With --device cuda both run on the first NVIDIA card, and the peers' 16-bit number is float16 as in WiLoR-mini there (mini-f16,
tracked-f16); the peer's crop is then made on the card, too, which is kinder to it than WiLoR-mini's own.

Not as in WiLoR-mini: the crop is torch's grid_sample instead of cv2.warpAffine, the resize torch's instead
of cv2.resize, and nothing is read by ultralytics' loaders or kept in its Results; all of that takes its time
there. The hand by formula is five times a real one: only so does the network of the formula see a hand that
fills its box as real ones do, and the tracker has something to follow. Each float32 number of the hand must
agree with `wilor predict`'s to 1e-3 of the largest, or the run fails."""

import argparse, contextlib, datetime, json, os, pathlib, platform, struct, subprocess, sys, tempfile, time, zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / 'scripts'), str(ROOT / 'bench')]
import numpy as np
import peer_detector, peer_worker

WIDTH, HEIGHT, EVERY, LARGER = 640, 480, 5, 5
PEERS = dict(
    cpu={'tracked-bf16': ('bfloat16', EVERY), 'mini-bf16': ('bfloat16', 1), 'mini-f32': ('float32', 1)},
    cuda={'tracked-f16': ('float16', EVERY), 'mini-f16': ('float16', 1), 'mini-f32': ('float32', 1)},
)
OURS = dict(cpu='bf16,int8,f32', cuda='f16,bf16')
STAGES = 'detect', 'crop', 'pose', 'post'
AGREE = 1e-3
MODELS = dict(full=('full', 'm'), small=('hd80', 'micro'))


# ---------------------------------------------------------------- what both are given
def picture():
    """bench live's: noise over a slope."""
    state, n = 1, WIDTH * HEIGHT * 3
    noise = np.empty(n, np.int64)
    for i in range(n):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        noise[i] = state >> 26
    slope = np.arange(n) // 3 % WIDTH % 192
    return (slope + noise).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)


def write_png(path, rgb):
    chunk = lambda kind, data: struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = b''.join(b'\0' + row.tobytes() for row in rgb)
    head = struct.pack('>IIBBBBB', rgb.shape[1], rgb.shape[0], 8, 2, 0, 0, 0)
    with open(path, 'wb') as f:
        f.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows, 1)) + chunk(b'IEND', b''))


def square():
    """The box that bench live looks at."""
    half = HEIGHT / 6
    return WIDTH / 2 - half, HEIGHT / 3, WIDTH / 2 + half, HEIGHT * 2 / 3


def large_hand():
    hand = dict(np.load(ROOT / 'tests/golden/data/hand-cc0.npz'))
    for name in ('v_template', 'shapedirs', 'posedirs'):
        hand[name] = hand[name] * np.float32(LARGER)
    return hand


def has_bf16():
    try:
        with open('/proc/cpuinfo') as f:
            return bool(set(f.read().split()) & {'avx512_bf16', 'amx_bf16', 'bf16'})
    except OSError:
        return True


# ---------------------------------------------------------------- the peer, in a process of its own
class Detector(peer_detector.Torch):
    """The network in one arithmetic, channels-last."""

    def __init__(self, path, dtype, device):
        self.made, self.at, self.dtype, self.device = [], 0, dtype, device
        self.weights = peer_detector.Cached(peer_detector.Folded(path))

    def conv(self, x, w, b, stride, act):
        import torch

        if self.at == len(self.made):
            last = torch.channels_last
            there = [torch.from_numpy(v).to(self.device, self.dtype) for v in (w, b)]
            self.made.append((there[0].to(memory_format=last), there[1]))
        w, b = self.made[self.at]
        self.at += 1
        y = torch.nn.functional.conv2d(x, w, b, stride, w.shape[2] // 2)
        return torch.nn.functional.silu(y, inplace=True) if act else y

    def __call__(self, frame, width, height):
        """Boxes, scores, classes and keypoints in the picture's pixels, best first."""
        import torch

        F = torch.nn.functional
        x = torch.from_numpy(frame).to(self.device).permute(2, 0, 1)[None]
        x = x if self.device == 'cpu' else x.float()  # which resizes bytes on processors alone
        x = F.interpolate(x, size=(height, width), mode='bilinear').to(self.dtype) / 255
        self.at = 0
        maps = self.run(self.weights, x.contiguous(memory_format=torch.channels_last))
        rows = []
        for m, s in zip(maps, (8, 16, 32)):
            h, w = m.shape[2:]
            m = m[0].float().flatten(1)
            y, x = torch.meshgrid(*(torch.arange(n, device=self.device) + 0.5 for n in (h, w)), indexing='ij')
            at = torch.stack([x.flatten(), y.flatten()])
            d = (m[:64].reshape(4, 16, -1).softmax(1) * torch.arange(16.0, device=self.device)[None, :, None]).sum(1)
            k = m[66:].reshape(21, 3, -1)
            points = torch.cat([(2 * k[:, :2] + at - 0.5) * s, k[:, 2:].sigmoid()], 1).flatten(0, 1)
            rows.append(torch.cat([(at - d[:2]) * s, (at + d[2:]) * s, m[64:66].sigmoid(), points]))
        rows = torch.cat(rows, 1).T
        score, kind = rows[:, 4:6].max(1)
        some = score > 0.3
        keep = suppress(rows[some, :4], score[some], kind[some])
        found = rows[some][keep].cpu().numpy().copy()
        for columns in (slice(0, 4, 2), slice(6, None, 3)):
            found[:, columns] *= frame.shape[1] / width
        for columns in (slice(1, 4, 2), slice(7, None, 3)):
            found[:, columns] *= frame.shape[0] / height
        return found


def suppress(boxes, scores, kinds, iou=0.7):
    """By class, best first: torchvision's where it is there."""
    import torch

    apart = boxes + kinds[:, None] * 7680.0
    with contextlib.suppress(ImportError):
        import torchvision

        return torchvision.ops.nms(apart, scores, iou)
    order, keep = scores.argsort(descending=True, stable=True), []
    areas = (apart[:, 2:] - apart[:, :2]).prod(1)
    while len(order) and len(keep) < 300:
        i, order = int(order[0]), order[1:]
        keep.append(i)
        both = (torch.minimum(apart[i, 2:], apart[order, 2:]) - torch.maximum(apart[i, :2], apart[order, :2])).clamp_min(0).prod(1)
        order = order[both / (areas[i] + areas[order] - both) <= iou]
    return torch.tensor(keep, dtype=torch.long, device=boxes.device)


class Route:
    def __init__(self, args):
        import torch, wilor_torch

        torch.set_num_threads(args.threads)
        self.torch, self.dtype, self.device = torch, getattr(torch, args.worker), args.device
        weights = dict(peer_worker.read_weights(peer_worker.weights_file(args.work)))
        for name in ('v_template', 'shapedirs', 'posedirs'):
            weights['mano.' + name] = weights['mano.' + name] * np.float32(LARGER)
        heads = peer_worker.random_weights.MODELS[MODELS[args.size][0]][2]
        self.net = wilor_torch.Wilor(weights, heads, self.dtype).to(self.device).eval()
        self.detector = Detector(os.path.join(args.work, 'detector.safetensors'), self.dtype, self.device)
        self.input = args.imgsz, args.imgsz * HEIGHT // WIDTH
        self.frame, self.found = picture(), 0

    def crop(self, frame, box):
        """256 x 256 of the square 2.5 times the box; out of the picture is black. Float, whole numbers."""
        torch, size = self.torch, 2.5 * max(box[2] - box[0], box[3] - box[1])
        if size / 512 > 1.1:
            sys.exit('this box would have to be smoothed')
        t = torch.arange(256, device=self.device) * (size / 256)
        x, y = (t + ((box[i] + box[i + 2]) / 2 - size / 2) for i in (0, 1))
        x, y = x / (WIDTH - 1) * 2 - 1, y / (HEIGHT - 1) * 2 - 1
        grid = torch.stack([x[None].expand(256, -1), y[:, None].expand(-1, 256)], -1)[None]
        picture = torch.from_numpy(frame).to(self.device).permute(2, 0, 1)[None].float()
        out = torch.nn.functional.grid_sample(picture, grid, padding_mode='zeros', align_corners=True)
        return out.round_().permute(0, 2, 3, 1).contiguous(), size

    def finish(self, out, box, size):
        cam, betas, rotations, points, vertices = (v.float().cpu().numpy()[0] for v in out)
        focal = 5000 / 256 * max(WIDTH, HEIGHT)
        bs = size * cam[0] + 1e-9
        at = np.array(
            [
                2 * ((box[0] + box[2]) / 2 - WIDTH / 2) / bs + cam[1],
                2 * ((box[1] + box[3]) / 2 - HEIGHT / 2) / bs + cam[2],
                2 * focal / bs,
            ]
        )
        seen = points + at
        pixels = seen[:, :2] / seen[:, 2:] * focal + (WIDTH / 2, HEIGHT / 2)
        return dict(pred_cam=cam, cam_t=at, betas=betas, pose=rotations, kp3d=points, kp2d=pixels, vertices=vertices)

    def now(self):
        if self.device != 'cpu':
            self.torch.cuda.synchronize()
        return time.perf_counter()

    def run(self, detect):
        """One frame: its hand, and the stages' milliseconds; the detector's are 0 where it does not run."""
        clock, box = [self.now()], square()
        if detect:
            self.found = len(self.detector(self.frame, *self.input))
        clock.append(self.now())
        crop, size = self.crop(self.frame, box)
        clock.append(self.now())
        out = self.net(crop)
        clock.append(self.now())
        hand = self.finish(out, box, size)
        clock.append(self.now())
        ms = [1e3 * (b - a) for a, b in zip(clock, clock[1:])]
        return hand, ms if detect else [0.0, *ms[1:]]

    def measure(self, every, frames, seconds):
        """At least three frames of each kind to warm up; then so many, or as time allows, at most 30 a second."""
        for i in range(6):
            self.run(i % 2 == 0 or every == 1)
        begin, times = time.perf_counter(), []
        while len(times) < frames and (len(times) < 2 * every or time.perf_counter() - begin < seconds):
            start = time.perf_counter()
            times.append(self.run(len(times) % every == 0)[1])
            time.sleep(max(0, start + 1 / 30 - time.perf_counter()))
        return times

    def serve(self):
        """Orders a line each on the standard input, answers a line each."""
        torch = self.torch
        facts = dict(version=torch.__version__, threads=torch.get_num_threads(), isa=torch.backends.cpu.get_cpu_capability())
        if self.device != 'cpu':
            facts['card'] = torch.cuda.get_device_name()
        print(json.dumps(facts), flush=True)
        with torch.inference_mode():
            for line in sys.stdin:
                order = json.loads(line)
                torch.backends.cudnn.allow_tf32 = not order.get('hand')
                if order.get('hand'):
                    answer = {k: np.asarray(v, np.float64).ravel().tolist() for k, v in self.run(False)[0].items()}
                else:
                    answer = dict(frames=self.measure(*order['measure']), found=self.found, rss_mb=peer_worker.peak_mb())
                print(json.dumps(answer), flush=True)


# ---------------------------------------------------------------- the series
def quantiles(values):
    """As bench live: p99 only where a hundred say it."""
    v, n = sorted(values), len(values)
    at = lambda part: v[(part * n + 99) // 100 - 1]
    out = dict(n=n, min_ms=v[0], median_ms=(v[(n - 1) // 2] + v[n // 2]) / 2, p90_ms=at(90))
    if n >= 100:
        out['p99_ms'] = at(99)
    return {k: round(x, 3) for k, x in out.items()}


def describe(frames):
    """What bench live says of its runs: whole, with and without the detector, by stage."""
    whole = [sum(f) for f in frames]
    out = quantiles(whole)
    for key, ran in (('with_detect', True), ('without_detect', False)):
        some = [w for w, f in zip(whole, frames) if (f[0] > 0) == ran]
        out[key] = quantiles(some) if some else dict(n=0)
    out['stages'] = {name: quantiles([f[i] for f in frames]) for i, name in enumerate(STAGES)}
    return out


class Series:
    def __init__(self, args, work):
        self.a, self.work, self.workers, self.frames = args, work, {}, {}
        self.end = time.monotonic() + args.total
        self.out = dict(
            v=1,
            what='live',
            date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
            machine=dict(cpu=peer_detector.cpu(), cpus=len(os.sched_getaffinity(0)), kernel=platform.release()),
            settings=dict(threads=args.threads, rounds=args.rounds, runs=args.runs, frames=args.frames, size=args.size, device=args.device),
            env=None,
            probes=[],
            peers={},
            series=[],
            skipped={},
        )

    def left(self):
        return self.end - time.monotonic()

    def path(self, name):
        return os.path.join(self.work, name)

    def make(self):
        start, (model, detector) = time.monotonic(), MODELS[self.a.size]
        if not os.path.exists(peer_worker.weights_file(self.work)):
            peer_worker.write_weights(self.work, model)
        subprocess.run([self.a.make_detector, detector, self.path('detector.safetensors')], check=True)
        np.savez(self.path('hand.npz'), **large_hand())
        write_png(self.path('frame.png'), picture())
        self.out['made_s'] = round(time.monotonic() - start, 1)

    def worker(self, dtype):
        """Its process, which has everything loaded."""
        if dtype not in self.workers:
            a = self.a
            command = [sys.executable, os.path.abspath(__file__), '--worker', dtype, '--work', self.work]
            command += ['--threads', a.threads, '--size', a.size, '--imgsz', a.imgsz, '--device', a.device]
            card = {'CUDA_VISIBLE_DEVICES': ''} if a.device == 'cpu' else {}
            p = subprocess.Popen(
                [str(c) for c in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **peer_worker_env(), **card},
            )
            self.workers[dtype] = p
            self.out['peers'][dtype] = self.answer(p)
        return self.workers[dtype]

    @staticmethod
    def answer(p):
        line = p.stdout.readline()
        if not line:
            raise RuntimeError(f'the peer ended with status {p.wait()}')
        return json.loads(line)

    def ask(self, dtype, **order):
        p = self.worker(dtype)
        p.stdin.write(json.dumps(order) + '\n')
        p.stdin.flush()
        return self.answer(p)

    def wilor(self, *command):
        model, detector = MODELS[self.a.size]
        more = ['--weights', 'random:' + model, '--detector', 'random:' + detector, '--mano', self.path('hand.npz')]
        command = [self.a.wilor, *command, *more, '--threads', self.a.threads, '--device', self.a.device]
        r = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=max(10, self.left()))
        if r.returncode:
            raise RuntimeError(f'wilor: {r.stderr.strip()[-300:]}')
        return json.loads(r.stdout)

    def probe(self):
        """All peak rates of the machine."""
        r = subprocess.run(
            [self.a.wilor, 'bench', 'peak', '--json', '--threads', str(self.a.threads)], capture_output=True, text=True, check=True
        )
        self.out['probes'].append({x['name']: x['rate'] for x in json.loads(r.stdout)['results'] if x['rate']})

    def agree(self):
        """The peer's float32 hand and ours."""
        box = ','.join(str(v) for v in square()) + ',right'
        ours = self.wilor('predict', self.path('frame.png'), '--bbox', box, '--include', 'mano,vertices', '--dtype', 'f32')
        hand, peer = ours['hands'][0], self.ask('float32', hand=1)
        worst = {}
        for name in ('pred_cam', 'cam_t', 'kp3d', 'kp2d', 'vertices'):
            a, b = np.ravel(hand[name]), np.array(peer[name])
            worst[name] = float(f'{np.abs(a - b).max() / np.abs(a).max():.3g}')
        self.out['difference'] = worst

    def ours(self, dtype, runs):
        r = self.wilor(
            'bench', 'live', '--json', '--hands', 1, '--dtype', dtype, '--runs', runs, '--imgsz', self.a.imgsz
        )
        self.out['env'] = self.out['env'] or r['env']
        return dict(who='wilor', **r['results'][0])

    def peer(self, name):
        dtype, every = PEERS[self.a.device][name]
        if dtype == 'bfloat16' and not has_bf16() and not self.a.any:
            raise RuntimeError('the processor has no bfloat16 instructions')
        r = self.ask(dtype, measure=[every, self.a.frames, self.a.seconds])
        self.frames.setdefault(name, []).extend(r['frames'])
        return dict(who=name, dtype=dtype, hands=1, **describe(r['frames']), found=r['found'], rss_mb=r['rss_mb'])

    def turn(self, what, *how):
        """One measurement; what fails or has no time left says so and is no end."""
        name = '-'.join(str(h) for h in (what.__name__, *how))
        if self.left() < 15:
            self.out['skipped'][name] = 'no time was left'
            return
        start = time.monotonic()
        try:
            r = what(*how)
        except (RuntimeError, subprocess.SubprocessError, OSError, ValueError, KeyError) as e:
            self.out['skipped'][name] = str(e)
            self.workers = {k: p for k, p in self.workers.items() if p.poll() is None}
            print(f'{name}: {e}', file=sys.stderr, flush=True)
            return
        if r:
            self.out['series'].append(r)
            print(f"{name}: median {r['median_ms']:.2f} ms, 90 % {r['p90_ms']:.2f}, {r['n']} frames", file=sys.stderr, end=' ')
        print(f'{name}: {time.monotonic() - start:.1f} s', file=sys.stderr, flush=True)
        self.save()

    def go(self):
        self.make()
        self.turn(self.probe)
        self.turn(self.agree)
        first, *others = (self.a.ours or OURS[self.a.device]).split(',')
        for i in range(self.a.rounds):
            for name in PEERS[self.a.device]:
                self.turn(self.ours, first, self.a.runs)
                self.turn(self.peer, name)
            if i == 0:
                for dtype in others:
                    self.turn(self.ours, dtype, self.a.runs // (1 if dtype == 'int8' else 3))
        self.turn(self.ours, first, self.a.runs)
        self.turn(self.probe)
        self.out['pooled'] = {name: describe(frames) for name, frames in self.frames.items()}
        self.save()

    def close(self):
        for p in self.workers.values():
            p.stdin.close()
        for p in self.workers.values():
            p.wait()

    def save(self):
        with open(self.a.out + '.part', 'w') as f:
            json.dump(self.out, f, indent=1)
            f.write('\n')
        os.replace(self.a.out + '.part', self.a.out)


def peer_worker_env():
    import peers

    return peers.TUNED


# ---------------------------------------------------------------- tables
def middle(values):
    v = sorted(values)
    return (v[(len(v) - 1) // 2] + v[len(v) // 2]) / 2


def cells(r):
    """median, 90 %, 99 % of a measurement."""
    return [r.get('median_ms'), r.get('p90_ms'), r.get('p99_ms')]


def merged(parts):
    """Medians of each number over several measurements; None where none has it."""
    out = []
    for column in zip(*(cells(p) for p in parts)):
        known = [v for v in column if v is not None]
        out.append(middle(known) if known else None)
    return out


def row(name, *groups):
    show = lambda v: '' if v is None else f'{v:.1f}' if v >= 10 else f'{v:.2f}'
    return '| ' + ' | '.join([name] + [' / '.join(show(v) for v in g if v is not None) for g in groups]) + ' |'


def rows_of(d):
    """Name to its measurements: ours as they were taken, peers pooled where that was saved."""
    found = {}
    for r in d['series']:
        ours = r['who'] == 'wilor'
        name = f"wilor {r['dtype']}" if ours else r['who']
        found.setdefault(name, []).append(r)
    return {k: [d['pooled'][k]] if k in d.get('pooled', {}) else v for k, v in found.items()}


def markdown(d):
    m, rows = d['machine'], rows_of(d)
    print(f"{m['cpu']}, {m['cpus']} CPUs, {d['settings']['threads']} threads; {d['date'][:10]}; ", end='')
    print(f"{d['env']['compiler']}, {d['env']['isa']}; " if d['env'] else '', end='')
    print('; '.join(f"PyTorch {p['version']} {k} ({p.get('card', p['isa'])})" for k, p in d['peers'].items()))
    print(f"largest relative difference of a float32 hand: {max(d.get('difference', {'': 0}).values()):.1e}\n")
    print('| median / 90 % / 99 %, ms | all frames | the detector ran | it did not | frames | times as long |')
    print('|---|---|---|---|---|---|')
    base = next((middle([p['median_ms'] for p in v]) for k, v in rows.items() if k.startswith('wilor')), None)
    for name, parts in rows.items():
        split = [[p[k] for p in parts if p.get(k, {}).get('n')] for k in ('with_detect', 'without_detect')]
        groups = [merged(p) if p else [] for p in (parts, *split)]
        times = f'{groups[0][0] / base:.2f}' if base else ''
        n = sum(p['n'] for p in parts)
        print(row(name, *groups)[:-1] + f'| {n} | {times} |')
    print('\n| stage, median / 90 % / 99 %, ms | ' + ' | '.join(rows) + ' |\n|---' * 1 + '|---' * len(rows) + '|')
    for stage in ('wait', *STAGES, 'json'):
        groups = [[p['stages'][stage] for p in parts if stage in p['stages']] for parts in rows.values()]
        print(row(stage, *(merged(g) if g else [] for g in groups)))
    ours = [r for r in d['series'] if r['who'] == 'wilor']
    medians = [f"{r['median_ms']:.1f}" for r in ours if r['dtype'] == ours[0]['dtype']]
    print(f"\nours, each turn's median: {', '.join(medians)} ms")
    if len(d['probes']) == 2:
        moved = {k: abs(v / d['probes'][1][k] - 1) for k, v in d['probes'][0].items() if k in d['probes'][1]}
        print('peaks moved by', ', '.join(f'{k} {100 * v:.0f} %' for k, v in moved.items()))
    for name, why in d['skipped'].items():
        print(f'{name}: skipped: {why}')


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--out')
    ap.add_argument('--markdown', metavar='FILE')
    ap.add_argument('--wilor', default=str(ROOT / 'build/tools/wilor/wilor'))
    ap.add_argument('--make-detector', default=str(ROOT / 'build/tests/wilor_make_detector'))
    ap.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument('--rounds', type=int, default=3)
    ap.add_argument('--runs', type=int, default=130, help='frames of ours in a turn')
    ap.add_argument('--frames', type=int, default=40, help='frames of a peer in a turn')
    ap.add_argument('--seconds', type=float, default=8, help='no more of them begin after that')
    ap.add_argument('--size', choices=list(MODELS), default='full')
    ap.add_argument('--imgsz', type=int, default=512)
    ap.add_argument('--device', choices=list(PEERS), default='cpu')
    ap.add_argument('--ours', help='the first one is measured beside each peer; ' + ', '.join(f'{k}: {v}' for k, v in OURS.items()))
    ap.add_argument('--any', action='store_true', help='bfloat16 peers without instructions for it, too')
    ap.add_argument('--total', type=float, default=900, help='seconds for everything')
    ap.add_argument('--work', help='folder for weights, kept')
    ap.add_argument('--worker', choices=('float32', 'bfloat16', 'float16'), help=argparse.SUPPRESS)
    args = ap.parse_args()
    if args.worker:
        return Route(args).serve()
    if args.markdown:
        with open(args.markdown) as f:
            return markdown(json.load(f))
    if not args.out:
        ap.error('--out or --markdown is wanted')
    if args.imgsz < 128 or args.imgsz % 128:
        ap.error('--imgsz: it should be a multiple of 128, so that nothing is padded')
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or scratch
        os.makedirs(work, exist_ok=True)
        s = Series(args, work)
        try:
            s.go()
        finally:
            s.close()
    markdown(s.out)
    worst = max(s.out.get('difference', {'': 1}).values())
    if not worst <= AGREE:
        sys.exit(f'the peer\'s hand differs from ours by {worst:g}, or was not compared')


if __name__ == '__main__':
    main()
