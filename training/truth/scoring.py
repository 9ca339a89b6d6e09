"""Annotated hands, found hands, and how well they agree. numpy only; no pictures, no programs.

A found hand is a dict: side 'left' or 'right', score, box (4), kp (21, 2) or None: the pose's projected
keypoints, det (21, 2) or None: the detector's own, id or None. Everything in pixels of the picture.
"""
import json
import pathlib

import numpy as np

MIN_IOU = 0.3
MIN_SHOWN = 0.7  # of a hand's box, for a frame of a clip to count
USES = ('development', 'verdict')


def load(path=pathlib.Path(__file__).parent / 'annotations.json'):
    """The annotations' photos; boxes and keypoints (21, 3) as float arrays."""
    data = json.loads(pathlib.Path(path).read_text())
    rule = data['clear_rule']
    for photo in data['photos']:
        for hand in photo['hands']:
            box, kp = np.array(hand['box'], float), np.array(hand['keypoints'], float)
            name = f"{photo['file']} {hand['id']}"
            if kp.shape != (21, 3) or box.shape != (4,) or hand['side'] not in ('left', 'right'):
                raise ValueError(f'{name}: not a box, a side and 21 keypoints')
            if box[0] < 0 or box[1] < 0 or box[2] > photo['width'] or box[3] > photo['height']:
                raise ValueError(f'{name}: the box leaves the picture')
            clear = (kp[:, 2] == 2).sum() >= rule['min_seen'] and long_side(box) >= rule['min_side']
            if clear != hand['clear']:
                raise ValueError(f"{name}: clear is {hand['clear']}, by the rule it is {clear}")
            hand['box'], hand['keypoints'] = box, kp
    return data['photos']


def long_side(box):
    return max(box[2] - box[0], box[3] - box[1])


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def match(boxes, found):
    """Index of the found hand for each annotated box or None, then the indices left over.

    The best score chooses first and takes the free box it overlaps most, as COCO's evaluation does: of two
    answers for one hand the surer counts, whichever box happens to fit better.
    """
    taken, rest = [None] * len(boxes), []
    for i in sorted(range(len(found)), key=lambda i: -found[i]['score']):
        free = [(iou(boxes[j], found[i]['box']), j) for j in range(len(boxes)) if taken[j] is None]
        best = max(free, default=(0.0, None))
        if best[0] > MIN_IOU:
            taken[best[1]] = i
        else:
            rest.append(i)
    return taken, rest


def distances(points, hand):
    """Of the annotated keypoints, relative to the hand box's longer side; None without points."""
    if points is None:
        return None
    known = hand['keypoints'][:, 2] > 0
    off = np.asarray(points, float)[known, :2] - hand['keypoints'][known, :2]
    return np.hypot(off[:, 0], off[:, 1]) / long_side(hand['box'])


def pck(points, hand, limit):
    d = distances(points, hand)
    return None if d is None or not len(d) else float((d <= limit).mean())


def score_hand(photo, hand, got):
    row = {'photo': photo['file'], 'use': photo['use'], 'hand': hand['id'], 'side': hand['side'],
           'clear': hand['clear'], 'found': got is not None}
    if got is not None:
        d = distances(got['kp'], hand)
        row.update(score=float(got['score']), iou=float(iou(hand['box'], got['box'])), side_right=got['side'] == hand['side'],
                   pck10=pck(got['kp'], hand, 0.1), pck20=pck(got['kp'], hand, 0.2),
                   error=None if d is None else float(d.mean()),
                   det10=pck(got['det'], hand, 0.1), det20=pck(got['det'], hand, 0.2))
    return row


def score_photo(photo, found):
    """A row for every annotated hand, and what was found besides: 'false' or, on an annotated hand, 'double'."""
    hands = photo['hands']
    taken, rest = match([h['box'] for h in hands], found)
    rows = [score_hand(photo, h, None if t is None else found[t]) for h, t in zip(hands, taken)]
    double = sum(any(iou(h['box'], found[i]['box']) > MIN_IOU for h in hands) for i in rest)
    return rows, {'photo': photo['file'], 'use': photo['use'], 'found': len(found), 'double': double, 'false': len(rest) - double}


def mean(values):
    values = [v for v in values if v is not None]
    return float(np.mean(values)) if values else None


def means(rows, extra):
    """Over the given rows. pck over the hands found; all10, all20 count a hand not found as 0."""
    got = [r for r in rows if r['found']]
    out = {'hands': len(rows), 'found': mean([r['found'] for r in rows]), 'side_right': mean([r['side_right'] for r in got])}
    for key in ('iou', 'pck10', 'pck20', 'error', 'det10', 'det20'):
        out[key] = mean([r[key] for r in got])
    for key in ('pck10', 'pck20'):
        out[key.replace('pck', 'all')] = mean([r.get(key) or 0.0 for r in rows])
    out['false'], out['double'] = sum(e['false'] for e in extra), sum(e['double'] for e in extra)
    return out


def summary(rows, extra):
    """Means by use of the photo and in all, over clear hands and over every hand."""
    out = {}
    for use in USES + ('all',):
        some = [r for r in rows if use in ('all', r['use'])]
        more = [e for e in extra if use in ('all', e['use'])]
        if some:
            out[use] = {'clear': means([r for r in some if r['clear']], more), 'every': means(some, more)}
    return out


def score_clip(photo, path, frames):
    """How steadily each hand is followed. path: a clips.Path; frames: found hands of every frame.

    alive: part of the frames in which the hand is found under any id, of those that show
    MIN_SHOWN of its box; switches: how often its id changes; flips: how often its side does; pck10: as for photos.
    jitter and wander are taken in the photo's own pixels, so that the known motion is gone, and given in
    percent of the box's longer side: jitter is the RMS step from frame to frame, wander the RMS distance
    from the middle of all frames (drift and the lag of a filter are in it, too).
    """
    rows, false = [], 0
    seen = [{'frames': 0, 'ids': [], 'sides': [], 'pck': [], 'steps': [], 'points': []} for _ in photo['hands']]
    for n, found in enumerate(frames):
        boxes = [path.box(n, h['box']) for h in photo['hands']]
        taken, rest = match([box for box, _ in boxes], found)
        false += len(rest)
        for s, h, t, (_, shown) in zip(seen, photo['hands'], taken, boxes):
            if shown >= MIN_SHOWN:
                follow(s, h, path, n, None if t is None else found[t])
    for s, h in zip(seen, photo['hands']):
        rows.append(followed(s, h, photo, path, len(frames)))
    return rows, false / max(1, len(frames))


def follow(s, hand, path, n, got):
    s['frames'] += 1
    if got is None:
        return
    s['ids'].append(got['id'])
    s['sides'].append(got['side'])
    if got['kp'] is None:
        return
    back = path.to_photo(n, np.asarray(got['kp'], float)[:, :2])
    s['pck'].append(pck(back, hand, 0.1))
    if s['points'] and s['points'][-1][0] == n - 1:
        s['steps'].append(back - s['points'][-1][1])
    s['points'].append((n, back))


def rms(offsets, side):
    """offsets: a list of (21, 2); the RMS length in percent of side."""
    return None if not len(offsets) else float(np.sqrt(np.mean(np.sum(np.square(offsets), axis=-1))) / side * 100)


def followed(s, hand, photo, path, frames):
    side, points = long_side(hand['box']), [p for _, p in s['points']]
    change = lambda values: sum(a != b for a, b in zip(values, values[1:]))
    row = {'photo': photo['file'], 'use': photo['use'], 'clip': path.name, 'hand': hand['id'], 'clear': hand['clear'],
           'frames': s['frames'], 'of': frames, 'alive': None, 'switches': change(s['ids']), 'flips': change(s['sides']),
           'side_right': mean([x == hand['side'] for x in s['sides']]), 'pck10': mean(s['pck']), 'jitter': rms(s['steps'], side),
           'jitter_px': None, 'wander': rms(np.array(points) - np.median(points, axis=0), side) if points else None}
    if s['frames']:
        row['alive'] = len(s['ids']) / s['frames']
    if row['jitter'] is not None:
        row['jitter_px'] = row['jitter'] * side / 100
    return row
