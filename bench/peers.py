#!/usr/bin/env python3
"""wilor and others on the same network with the same weights and input, in turns, in one run. Needs no files.

    peers.py --out FILE.json [--threads N | --scaling 1,2,4,...] [--runs N] [--hands N] [--size full|small] [--only LIST]
             [--ours f32,bf16,...] [--compile] [--limit SECONDS] [--total SECONDS] [--work DIR] [--build DIR]
             [--path DIR]

probe -> ours -> peer -> ours -> peer -> ... -> probe. Every measurement is a process of its own with a time
limit; what is missing is skipped and says why. A peer's ratio is its median over the mean of ours just before
and just after it (the second figure: of the minima, which suffer less from other work), in the peer's
arithmetic where wilor has it, else in float32. Ours takes the peak rate at its begin and its end, and a peer
between two that differ by more than 5 % is marked: the machine was busy. The peers get what a user could give
them: static shapes, a LATENCY hint, freezing, raised malloc thresholds (--untuned: not), and their own choice of
threads unless --threads says so; --scaling goes through the whole once for each number of threads.
peer_worker.py holds them. Float32 peers must agree with ours to 1e-3 of each
output's largest value, or the run fails; others are only compared."""

import argparse, datetime, json, os, pathlib, platform, shutil, signal, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
# peer: its arithmetic, and what it needs made first
PEERS = {
    'torch-f32': ('f32', ['weights']),
    'torch-bf16': ('bf16', ['weights']),
    'compile-f32': ('f32', ['weights']),
    'compile-bf16': ('bf16', ['weights']),
    'onnxruntime-f32': ('f32', ['weights', 'onnx']),
    'onnxruntime-int8': ('int8', ['weights', 'onnx', 'dynamic']),
    'onnxruntime-int8-static': ('int8', ['weights', 'onnx', 'static']),
    'openvino-f32': ('f32', ['weights', 'onnx']),
    'openvino-bf16': ('bf16', ['weights', 'onnx']),
    'openvino-int8': ('int8', ['weights', 'onnx', 'static']),
}
MODELS = dict(full='full', small='hd80')
PARTS = dict(cam=3, betas=10, rotations=48, keypoints=63)  # numbers a hand; the rest are vertices
STEADY, AGREE = 0.05, 1e-3
# mmap's threshold may not be above 32 MB; the other is as good as never.
TUNED = dict(
    MALLOC_TRIM_THRESHOLD_='17179869184', MALLOC_MMAP_THRESHOLD_='33554432', MALLOC_TOP_PAD_='268435456'
)


def say(*words):
    print(*words, file=sys.stderr, flush=True)


class Skipped(Exception):
    pass


def call(command, limit, env=None):
    """Its standard output. Skipped, with the last line it said, when it fails; its children end with it."""
    start = time.monotonic()
    p = subprocess.Popen(
        [str(c) for c in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors='replace',
        start_new_session=True,
        env={**os.environ, **(env or {})},
    )
    try:
        out, err = p.communicate(timeout=limit)
    except BaseException as e:
        os.killpg(p.pid, signal.SIGKILL)
        p.communicate()
        if isinstance(e, subprocess.TimeoutExpired):
            raise Skipped(f'not done within {limit:.0f} s') from None
        raise
    if p.returncode != 0:
        lines = (err.strip() or out.strip() or 'no message').splitlines()
        why = f'signal {-p.returncode}' if p.returncode < 0 else f'status {p.returncode}'
        raise Skipped(f'{lines[-1][:300]} ({why} after {time.monotonic() - start:.0f} s)')
    return out


class Run:
    def __init__(self, args, work):
        self.args, self.work, self.made, self.probes, self.seen = args, work, {}, [], {}
        self.env = {} if args.untuned else TUNED
        self.end = time.monotonic() + args.total if args.total else None
        self.result = dict(
            v=1,
            date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
            settings={k: v for k, v in vars(args).items() if k not in ('out', 'work', 'build', 'path')},
            python=platform.python_version(),
            tuned=self.env,
            env=None,
            steady=None,
            probes=self.probes,
            made=self.made,
            series=[],
            skipped={},
        )

    def limit(self, seconds):
        """So many seconds, or what is left of --total; a little stays for the last probe."""
        left = self.end - time.monotonic() - 15 if self.end else seconds
        if left < 5:
            raise Skipped('no time is left of --total')
        return min(seconds, left)

    def worker(self, step, *more, limit=None, env=None, model=None):
        a = self.args
        paths = [x for p in a.path for x in ('--path', p)]
        return call(
            [sys.executable, HERE / 'peer_worker.py', step, '--work', self.work]
            + ['--model', model or MODELS[a.size], '--hands', a.hands, *paths, *more],
            self.limit(limit or a.limit),
            {**self.env, **(env or {})},
        )

    def make(self, step):
        """What peers share, once; a failure is remembered and said of each."""
        name = {'weights': 'weights.safetensors', 'onnx': 'f32.made'}.get(step, step + '.made')
        mark = os.path.join(self.work, name)
        if step not in self.made and not os.path.exists(mark):
            say(f'making {step}')
            start = time.monotonic()
            try:
                self.worker(step, limit=max(self.args.limit, 300))
                if step != 'weights':
                    open(mark, 'w').close()
                self.made[step] = dict(seconds=round(time.monotonic() - start, 1))
            except Skipped as e:
                self.made[step] = dict(failed=f'{step}: {e}')
        if 'failed' in self.made.setdefault(step, dict(seconds=0)):
            raise Skipped(self.made[step]['failed'])

    def probe(self):
        """All peak rates of the machine; bench_model has them, too, and needs less than the program wilor."""
        program = os.path.join(self.args.build, 'bench/bench_model')
        out = json.loads(call([program, '--peak', '--threads', self.args.threads], 120))
        self.result['env'] = self.result['env'] or out['env']
        rates = {r['name']: r['rate'] for r in out['results'] if r['rate']}
        self.probes.append(dict(threads=out['env']['threads'], rates=rates))
        say('probe:', ', '.join(f'{k} {v:g}' for k, v in rates.items()))

    def ours(self, dtype):
        """bench_model once; its outputs stay for comparing."""
        a, dump = self.args, os.path.join(self.work, f'ours-{dtype}.bin')
        command = [os.path.join(a.build, 'bench/bench_model'), '--weights', 'random:' + MODELS[a.size]]
        command += [
            '--hands',
            a.hands,
            '--threads',
            a.threads,
            '--runs',
            a.runs,
            '--dtype',
            dtype,
            '--dump',
            dump,
        ]
        out = json.loads(call(command, self.limit(a.limit)))
        r = dict(
            who='wilor', version=out['env']['build'], isa=out['env']['isa'], threads=out['env']['threads']
        )
        r.update(out['results'][0], peak=out['env']['peak'], peak_gflops=out['env']['peak_gflops'])
        self.seen[dtype] = dump
        return r

    def peer(self, name):
        dtype, steps = PEERS[name]
        if dtype == 'bf16' and not has_bf16() and name not in (self.args.only or ''):
            raise Skipped('the processor has no bfloat16 instructions')
        if name.startswith('compile') and not shutil.which(os.environ.get('CXX', 'g++')):
            raise Skipped('no C++ compiler')
        for step in steps:
            self.make(step)
        result, dump = os.path.join(self.work, 'result.json'), os.path.join(self.work, f'{name}.bin')
        more = ['--threads', self.args.threads, '--runs', self.args.runs, '--result', result, '--dump', dump]
        self.worker(name, *more)
        with open(result) as f:
            r = dict(who=name, dtype=dtype, hands=self.args.hands, **json.load(f))
        if name.startswith('torch') and not self.args.no_isa:
            r['onednn'] = self.onednn(name)
        r['difference'] = self.difference(dump)
        return r

    def onednn(self, name):
        """A short run with ONEDNN_VERBOSE: the instructions it says it takes, and the kernels of its products."""
        model = 'isa' if self.args.size == 'full' else MODELS[self.args.size]
        with tempfile.TemporaryDirectory() as work:
            try:
                more = dict(model=model, limit=min(60, self.args.limit))
                here = self.work
                self.work = work
                self.worker('weights', **more)
                out = self.worker(
                    name, '--runs', 1, '--threads', self.args.threads, env=dict(ONEDNN_VERBOSE='1'), **more
                )
            except Skipped as e:
                return str(e)
            finally:
                self.work = here
        lines = [line.split(',') for line in out.splitlines() if line.startswith('onednn_verbose')]
        isa = [part[4:] for line in lines for part in line if part.startswith('isa:')]
        kernels = {
            f'{op} {line[line.index(op) + 1]}'
            for line in lines
            for op in ('matmul', 'inner_product', 'convolution')
            if 'exec' in line and op in line
        }
        return (isa[0] if isa else 'oneDNN was not used') + ''.join(', ' + k for k in sorted(kernels))

    def difference(self, dump):
        """Largest difference from ours in float32, as a part of each output's largest value."""
        import numpy as np

        if 'f32' not in self.seen:
            return None
        a, b = (np.fromfile(p, np.float32) for p in (self.seen['f32'], dump))
        if a.shape != b.shape:
            raise Skipped(f'{b.size} numbers came out, {a.size} wanted')
        ends = np.cumsum([self.args.hands * n for n in PARTS.values()])
        names = [*PARTS, 'vertices']
        parts = zip(names, np.split(a, ends), np.split(b, ends))
        return {k: float(f'{np.abs(x - y).max() / np.abs(x).max():.3g}') for k, x, y in parts}

    def turn(self, what, name):
        """One measurement of the series; None when it was skipped."""
        try:
            r = self.ours(name) if what == 'ours' else self.peer(name)
        except Skipped as e:
            self.result['skipped'][f'wilor-{name}' if what == 'ours' else name] = str(e)
            say(f'{what} {name}: skipped: {e}')
            return None
        r['round'] = self.args.threads
        self.result['series'].append(r)
        say(f"{what} {name}: median {r['median_ms']:.2f} ms, {r['threads']} threads")
        self.save()
        return r

    def go(self):
        for threads in self.args.scaling or [self.args.threads]:
            self.args.threads = threads
            self.round()
        self.judge()

    def round(self):
        """Everything once, with one number of threads."""
        a, last = self.args, None
        wanted = (
            a.only.split(',') if a.only else [p for p in PEERS if a.compile or not p.startswith('compile')]
        )
        self.probe()
        have = [dtype for dtype in a.ours.split(',') if self.turn('ours', dtype)]
        last = have[-1] if have else None
        for name in wanted:
            mine = PEERS[name][0] if PEERS[name][0] in have else 'f32'
            if last != mine and mine in have:
                self.turn('ours', mine)
            last = mine
            if self.turn('peer', name) and mine in have:
                self.turn('ours', mine)
        # Those that no peer stood between, once more: a series has two ends.
        for dtype in have:
            if dtype not in [PEERS[name][0] for name in wanted]:
                self.turn('ours', dtype)
        self.probe()

    def judge(self):
        """Whether the machine was steady, and each peer's ratio."""
        series, moved = self.result['series'], {}
        for threads in sorted({p['threads'] for p in self.probes}):
            probes = [p['rates'] for p in self.probes if p['threads'] == threads]
            for k in probes[0]:
                rates = [p[k] for p in probes if k in p]
                moved[k] = max(moved.get(k, 0), round(max(rates) / min(rates) - 1, 3))
        self.result['moved'] = moved
        self.result['steady'] = all(v <= STEADY for v in moved.values())
        for i, r in enumerate(series):
            if r['who'] == 'wilor':
                continue
            beside = [
                series[k]
                for k in (i - 1, i + 1)
                if 0 <= k < len(series) and series[k]['who'] == 'wilor'
                and series[k]['round'] == r['round']
            ]
            if len(beside) == 2 and beside[0]['peak'] == beside[1]['peak']:
                before, after = beside[0]['peak_gflops'][1], beside[1]['peak_gflops'][0]
                r['steady'] = max(before, after) <= min(before, after) * (1 + STEADY)
            if beside:
                ours = sum(o['median_ms'] for o in beside) / len(beside)
                r.update(
                    ours_dtype=beside[0]['dtype'],
                    ours_ms=round(ours, 3),
                    ratio=round(r['median_ms'] / ours, 3),
                    ratio_min=round(r['min_ms'] / min(o['min_ms'] for o in beside), 3),
                )
        self.save()

    def wrong(self):
        return [
            r['who']
            for r in self.result['series']
            if r['dtype'] == 'f32' and r.get('difference') and max(r['difference'].values()) > AGREE
        ]

    def save(self):
        with open(self.args.out + '.part', 'w') as f:
            json.dump(self.result, f, indent=1)
            f.write('\n')
        os.replace(self.args.out + '.part', self.args.out)

    @staticmethod
    def row(r):
        """What stands behind the times: ours beside a peer and both ratios, or the fraction of peak."""
        if r.get('of_peak'):
            return ['', '', '', f"{100 * r['of_peak']:.0f} % of {r['peak']} {max(r['peak_gflops']):g}"]
        much = max(r['difference'].values()) if r.get('difference') else None
        note = (f'{much:.1e}' if much is not None else '') + ('  busy' if r.get('steady') is False else '')
        if 'ratio' not in r:
            return ['', '', '', note]
        return [f"{r['ours_dtype']} {r['ours_ms']:.2f}", f"{r['ratio']:.2f}", f"{r['ratio_min']:.2f}", note]

    def table(self):
        line = '{:<24}{:<6}{:>8}{:>10}{:>10}{:>10}  {:<16}{:>7}{:>9}  {}'
        head = 'milliseconds,type,threads,minimum,median,90 %,wilor beside it,ratio,minima,difference'
        print('\n' + line.format(*head.split(',')))
        for r in self.result['series']:
            times = (f'{r[k]:.2f}' for k in ('min_ms', 'median_ms', 'p90_ms'))
            print(line.format(r['who'], r['dtype'], r['threads'], *times, *self.row(r)))
        for name, why in self.result['skipped'].items():
            print(f'{name}: skipped: {why}')
        if not self.result['steady']:
            print(
                'UNSTEADY: peak rates moved by',
                ', '.join(f'{k} {100 * v:.0f} %' for k, v in self.result['moved'].items()),
            )


def has_bf16():
    try:
        with open('/proc/cpuinfo') as f:
            words = set(f.read().split())
    except OSError:
        return True  # nobody knows
    return bool(words & {'avx512_bf16', 'amx_bf16', 'bf16'})


def thread_list(text):
    numbers = [int(n) for n in text.split(',')]
    if not all(0 < n <= 1024 for n in numbers):
        raise argparse.ArgumentTypeError('it should be numbers from 1 to 1024, with commas between')
    return numbers


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--out', required=True, help='the JSON file')
    ap.add_argument('--threads', type=int, default=0, help="0: each its own choice")
    ap.add_argument('--runs', type=int, default=30)
    ap.add_argument('--hands', type=int, default=1)
    ap.add_argument('--size', choices=list(MODELS), default='full')
    ap.add_argument('--only', help='peers, with commas between: ' + ', '.join(PEERS))
    ap.add_argument(
        '--scaling', type=thread_list, help='numbers of threads, with commas between: the whole with each'
    )
    ap.add_argument('--ours', default='f32,f32x,bf16,int8,int4', help="wilor's types; what it refuses is skipped")
    ap.add_argument('--compile', action='store_true', help='torch.compile, too')
    ap.add_argument('--limit', type=float, default=240, help='seconds for each process')
    ap.add_argument('--total', type=float, help='seconds for all: what does not fit is skipped')
    ap.add_argument('--work', help='folder for what peers share (8 GB at full size), kept for the next run')
    ap.add_argument('--build', default=str(HERE.parent / 'build'))
    ap.add_argument(
        '--path', action='append', default=[], help='where else Python packages are; may be repeated'
    )
    ap.add_argument('--untuned', action='store_true', help="the system's malloc thresholds")
    ap.add_argument('--no-isa', action='store_true', help='no short runs with ONEDNN_VERBOSE')
    args = ap.parse_args()
    unknown = [p for p in (args.only or '').split(',') if p and p not in PEERS]
    if unknown:
        ap.error(f'--only {",".join(unknown)}: it should be of {", ".join(PEERS)}')
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or scratch
        if args.work:
            work = os.path.join(args.work, f'{args.size}-{args.hands}')  # the ONNX files have static shapes
        os.makedirs(work, exist_ok=True)
        run = Run(args, work)
        try:
            run.go()
        except Skipped as e:
            sys.exit(f'the probe does not run: {e}')
        run.table()
    if run.wrong():
        sys.exit(f'outputs differ from ours by more than {AGREE:g}: {", ".join(run.wrong())}')


if __name__ == '__main__':
    main()
