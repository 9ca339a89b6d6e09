#!/usr/bin/env python3
"""How steadily hands are tracked on rendered clips (`python -m nano.clip`), whose every frame's truth is exact.

  rendered.py --wilor PROGRAM --clips FOLDER... [--json OUT] [options of wilor live ...]
  rendered.py --self-check          needs no clips and no program

A row a clip. A frame of a hand counts where at least a third of it is seen and most of it lies in the picture:
  found     part of those frames in which some hand lies on it (keypoints within half of its size on average)
  side      part of the found whose side is right
  switches  how often a hand that stayed in view changed its id; new ids after an absence are not counted
  swaps     how often a hand got an id that the other one had had
  false     hands a frame that lie on none
  pck10     keypoints within a tenth of the hand's longer side, all 21
  3d        mm, joints relative to the wrist; pa: after the best similarity
  jitter    mm, joints relative to the wrist: what a white noise of so many mm would add to the second differences
  lag       ms, by how much the keypoints on the picture trail the truth: where the shifted truth fits best
"""
import argparse
import itertools
import json
import pathlib
import sys

try:
    import numpy as np
except ImportError as error:
    print(f'skipped: {error}', file=sys.stderr)
    sys.exit(77)

from scoring import long_side

COLUMNS = ('clip', 'hand frames', 'found', 'side', 'switches', 'swaps', 'false', 'pck10', '3d', 'pa', 'jitter', 'lag')
SHOWN, INSIDE, NEAR = 1 / 3, 0.6, 0.5
LAGS = np.arange(-2, 8.01, 0.1)  # frames


def size_of(hand):
    return long_side(hand['box'])


def in_view(hand, size):
    x0, y0, x1, y1 = hand['box']
    wide, high = max(0, min(x1, size[0]) - max(x0, 0)), max(0, min(y1, size[1]) - max(y0, 0))
    return hand['shown'] >= SHOWN and wide * high >= INSIDE * (x1 - x0) * (y1 - y0)


def match(truth, found):
    """Which found hand lies on which true one: the pairing with most pairs and, among those, the least distance."""
    cost = np.array([[np.linalg.norm(np.subtract(t['kp2d'], f['kp2d']), axis=1).mean() / size_of(t) for f in found] for t in truth])
    best, pairs = (0, 0.0), {}
    for chosen in itertools.product(range(-1, len(found)), repeat=len(truth)):
        used = [c for c in chosen if c >= 0]
        costs = [cost[i, c] for i, c in enumerate(chosen) if c >= 0]
        if len(set(used)) < len(used) or any(c > NEAR for c in costs):
            continue
        key = (-len(used), sum(costs))
        if key < best:
            best, pairs = key, {i: c for i, c in enumerate(chosen) if c >= 0}
    return pairs


def aligned(a, b):
    """a (21,3) after the similarity that brings it nearest to b."""
    ca, cb = a.mean(0), b.mean(0)
    u, s, v = np.linalg.svd((a - ca).T @ (b - cb))
    sign = np.sign(np.linalg.det(u @ v))
    s[2] *= sign
    v[2] *= sign
    return (a - ca) @ (u @ v) * (s.sum() / ((a - ca) ** 2).sum()) + cb


def runs(numbers):
    """Consecutive frames: [[first, ..., last], ...]."""
    parts = np.split(np.asarray(numbers, int), np.flatnonzero(np.diff(numbers) != 1) + 1)
    return [p for p in parts if len(p)]


def noise_of(errors):
    """Standard deviation (per coordinate, in the errors' unit) of white noise with these second differences; errors: [(T,...)]."""
    second = [np.diff(e, 2, axis=0).ravel() for e in errors if len(e) > 2]
    return float(np.sqrt(np.mean(np.concatenate(second) ** 2) / 6)) if second else None


def lag_of(parts, truth):
    """Frames by which parts [(numbers, (T,21,2))] trail truth (F,21,2), which is taken at fractions of frames in a straight line."""
    worth = []
    for lag in LAGS:
        total, count = 0.0, 0
        for numbers, points in parts:
            at = numbers - lag
            ok = (at >= 0) & (at <= len(truth) - 1.001)
            i = np.floor(at[ok]).astype(int)
            f = (at[ok] - i)[:, None, None]
            off = points[ok] - (truth[i] * (1 - f) + truth[i + 1] * f)
            off = off - off.mean(0)  # an offset that stays is no lag
            total, count = total + (off ** 2).sum(), count + ok.sum()
        worth.append(total / max(count, 1))
    return float(LAGS[int(np.argmin(worth))])


class Follow:
    """One true hand over a clip."""

    def __init__(self):
        self.frames, self.sides, self.pck, self.rel, self.pa = [], [], [], [], []
        self.counted = self.switches = self.swaps = 0
        self.id, self.ids = None, set()

    def seen(self, truth, got, number, others):
        if got is None:
            return
        self.frames.append(number)
        self.sides.append(got['side'] == truth['side'])
        off = np.linalg.norm(np.subtract(got['kp2d'], truth['kp2d']), axis=1)
        self.pck.append(np.mean(off < 0.1 * size_of(truth)))
        a, b = np.array(got['kp3d'], float), np.array(truth['kp3d'], float)
        self.rel.append((a - a[0]) - (b - b[0]))
        self.pa.append(np.linalg.norm(aligned(a, b) - b, axis=1).mean())
        self.switches += self.id is not None and got['id'] != self.id
        self.swaps += got['id'] != self.id and got['id'] in others
        self.id = got['id']
        self.ids.add(got['id'])


def score(truth, events):
    """A row of COLUMNS for the events (hands a frame) of one clip."""
    count, hands = len(truth['frames']), len(truth['frames'][0])
    follow, false = [Follow() for _ in range(hands)], 0
    for n, (true, found) in enumerate(zip(truth['frames'], events)):
        pairs = match(true, found) if found else {}
        false += len(found) - len(pairs)
        for k, hand in enumerate(true):
            if not in_view(hand, truth['size']):
                follow[k].id = None
                continue
            follow[k].counted += 1
            others = set().union(*(f.ids for f in follow if f is not follow[k]))
            follow[k].seen(hand, found[pairs[k]] if k in pairs else None, n, others)
    mean = lambda name: (lambda x: float(np.mean(x)) if len(x) else None)([v for f in follow for v in getattr(f, name)])
    found_count = sum(len(f.frames) for f in follow)
    errors, lags, weights = [], [], []
    for k, f in enumerate(follow):
        rel, at = np.array(f.rel), {n: i for i, n in enumerate(f.frames)}
        parts = [r for r in runs(f.frames) if len(r) > 2] if f.frames else []
        errors += [rel[[at[n] for n in r]] for r in parts]
        kp = {n: events[n] for n in f.frames}
        true = np.array([frame[k]['kp2d'] for frame in truth['frames']], float)
        if parts:
            mine = [(r, np.array([nearest(kp[n], true[n]) for n in r])) for r in parts]
            lags.append(lag_of(mine, true))
            weights.append(len(f.frames))
    noise = noise_of(errors)
    rel = [np.linalg.norm(e, axis=-1).mean() for f in follow for e in f.rel]
    return {'clip': truth['scene'], 'hand frames': sum(f.counted for f in follow),
            'found': found_count / max(1, sum(f.counted for f in follow)), 'side': mean('sides'),
            'switches': sum(f.switches for f in follow), 'swaps': sum(f.swaps for f in follow), 'false': false / count,
            'pck10': mean('pck'), '3d': 1000 * float(np.mean(rel)) if rel else None,
            'pa': 1000 * mean('pa') if found_count else None, 'jitter': None if noise is None else 1000 * noise,
            'lag': 1000 * float(np.average(lags, weights=weights)) / truth['fps'] if lags else None}


def nearest(found, points):
    return min((np.array(f['kp2d'], float) for f in found), key=lambda p: np.linalg.norm(p - points, axis=1).mean())


def track(program, folder, fps, count, options):
    """The hands of every frame, by `wilor live`."""
    import sources  # which needs Pillow, and the self check does not
    events = sources.run([program, 'live', folder / 'f-%04d.png', '--fps', fps, '--ndjson', '--quiet', *options])
    hands = {e['frame']: e['hands'] for e in events if e['type'] == 'hands'}
    if sorted(hands) != list(range(count)):
        raise sources.Failed(f'{program} live gave events for {len(hands)} of {count} frames of {folder}')
    return [hands[n] for n in range(count)]


def table(rows):
    cell = lambda v: '-' if v is None else f'{v:.3f}' if isinstance(v, float) else str(v)
    print('| ' + ' | '.join(COLUMNS) + ' |\n|' + '---|' * len(COLUMNS))
    for row in rows:
        print('| ' + ' | '.join(cell(row[c]) for c in COLUMNS) + ' |')


# ---------------------------------------------------------------- self check

def made_up(count=120):
    """Two hands on sine paths, of one rigid shape each."""
    rng = np.random.default_rng(4)
    shape = rng.normal(size=(2, 21, 3)) * (0.05, 0.05, 0.02)
    frames = []
    for n in range(count):
        hands = []
        for k in range(2):
            at = np.array([(k - 0.5) * 0.4 + 0.05 * np.sin(n / 7 + k), 0.05 * np.cos(n / 9), 0.6])
            p = shape[k] + at
            uv = p[:, :2] / p[:, 2:] * 500 + (320, 240)
            hands.append({'side': 'right' if k == 0 else 'left', 'shown': 1.0, 'box': [*uv.min(0), *uv.max(0)],
                          'kp2d': uv, 'kp3d': p, 'visible': [1] * 21})
        frames.append(hands)
    return {'scene': 'made up', 'fps': 30, 'size': [640, 480], 'frames': frames}


def answers(truth, late=0, noise=0.0):
    rng = np.random.default_rng(5)
    out = []
    for n in range(len(truth['frames'])):
        out.append([{'id': k + 1, 'side': h['side'], 'kp2d': h['kp2d'].copy(), 'kp3d': h['kp3d'] + rng.normal(size=(21, 3)) * noise}
                    for k, h in enumerate(truth['frames'][max(0, n - late)])])
    return out


def self_check():
    truth, bad = made_up(), []

    def check(name, ok):
        print(f"{'ok' if ok else 'not ok'} - {name}")
        bad.extend([] if ok else [name])

    row = score(truth, answers(truth))
    check('perfect', row['found'] == row['side'] == row['pck10'] == 1 and row['switches'] == row['swaps'] == row['false'] == 0)
    check('no error, jitter, lag', max(abs(row[c]) for c in ('3d', 'pa', 'jitter', 'lag')) < 1e-6)
    check('three frames late', abs(score(truth, answers(truth, late=3))['lag'] - 100) < 4)
    row = score(truth, answers(truth, noise=0.002))
    # The wrist's own noise is in every joint: sqrt 2, but none in the wrist itself.
    check('2 mm of noise', abs(row['jitter'] - 2 * (2 * 20 / 21) ** 0.5) < 0.15 and 2 < row['pa'] < 4)
    events = answers(truth)
    for n in range(60, 120):
        events[n][0]['id'], events[n][1]['id'] = 2, 1
    row = score(truth, events)
    check('ids exchanged', row['switches'] == 2 and row['swaps'] == 2)
    events = answers(truth)
    for n in range(40, 60):
        events[n] = events[n][1:]
    for n in range(60, 120):
        events[n][0]['id'] = 9
    row = score(truth, events)
    check('lost for a third of a second', row['switches'] == 1 and row['swaps'] == 0 and abs(row['found'] - 220 / 240) < 1e-9)
    away = made_up()
    for n in range(40, 60):
        away['frames'][n][0]['shown'] = 0.1
    row = score(away, events)
    check('away for so long', row['switches'] == 0 and row['found'] == 1)
    events = answers(truth)
    for frame in events:
        frame.append({**frame[0], 'id': 7, 'kp2d': frame[0]['kp2d'] + 200})
        frame[1]['side'] = 'right'
    row = score(truth, events)
    check('a false hand, a wrong side', row['false'] == 1 and row['side'] == 0.5)
    row = score(truth, [[] for _ in truth['frames']])
    check('nothing found', row['found'] == 0 and row['lag'] is None and row['pa'] is None)
    return 1 if bad else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--self-check', action='store_true')
    p.add_argument('--wilor', type=pathlib.Path)
    p.add_argument('--json', type=pathlib.Path)
    p.add_argument('--clips', nargs='+', type=pathlib.Path)
    args, options = p.parse_known_args()
    if args.self_check:
        return self_check()
    if not args.wilor or not args.clips:
        p.error('--wilor PROGRAM and --clips FOLDER... are needed')
    import sources

    rows = []
    try:
        for folder in args.clips:
            truth = json.loads((folder / 'truth.json').read_text())
            rows.append(score(truth, track(args.wilor, folder, truth['fps'], len(truth['frames']), options)))
    except (sources.Failed, OSError, ValueError, KeyError) as error:
        print(f'rendered.py: {error}', file=sys.stderr)
        return 1
    table(rows)
    if args.json:
        args.json.write_text(json.dumps({'options': options, 'clips': rows}, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
