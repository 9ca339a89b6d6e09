"""That the evaluation tells good from bad: answers made from the annotations, then spoilt one way at a time.

Needs no photos: made-up pictures stand for them, and a small script stands for the wilor program.
"""
import copy
import json
import pathlib
import stat
import sys
import tempfile

import numpy as np
from PIL import Image

import clips
import forms
import scoring
import sources

PROGRAM = '''#!{python}
import pathlib, sys
name = 'live.ndjson' if sys.argv[1] == 'live' else 'predict.ndjson'
print((pathlib.Path(__file__).parent / name).read_text(), end='')
'''


def perfect(photo):
    """What a faultless detector and pose model would find; points that are not annotated lie anywhere."""
    out = []
    for n, h in enumerate(photo['hands']):
        kp = np.where(h['keypoints'][:, 2:] > 0, h['keypoints'][:, :2], -1e4)
        out.append({'side': h['side'], 'score': 0.9 - 0.01 * n, 'box': h['box'].copy(), 'kp': kp, 'det': kp.copy(), 'id': n + 1})
    return out


def all_means(photos, spoil=lambda photo, found: found):
    scored = [scoring.score_photo(p, spoil(p, perfect(p))) for p in photos]
    return scoring.summary([r for rows, _ in scored for r in rows], [e for _, e in scored])['all']['every']


def moved(by):
    def spoil(photo, found):
        for h, f in zip(photo['hands'], found):
            f['kp'] = f['kp'] + (by * scoring.long_side(h['box']), 0)
        return found
    return spoil


def shuffled(photo, found):
    """Each hand's keypoints in another order."""
    for f in found:
        f['kp'] = np.roll(f['kp'], 7, axis=0)
    return found


def other_hand(photo, found):
    """Each hand gets the keypoints of the next one."""
    for f, kp in zip(found, [g['kp'] for g in found[1:] + found[:1]]):
        f['kp'] = kp
    return found


def swapped(photo, found):
    for f in found:
        f['side'] = 'left' if f['side'] == 'right' else 'right'
    return found


def halved(photo, found):
    return found[::2]


def crowded(photo, found):
    """A second, less sure answer of the wrong side on every hand, and one hand where there is none."""
    twice = swapped(photo, copy.deepcopy(found))
    for f in twice:
        f['score'] -= 0.5
    away = {**copy.deepcopy(found[0]), 'box': np.array([-60.0, -60, -20, -20])}
    return twice + [away] + found


class Checks:
    def __init__(self):
        self.done, self.failed = 0, 0

    def __call__(self, what, ok):
        self.done += 1
        if not ok:
            self.failed += 1
            print(f'FAILED: {what}')


def check_stills(check, photos):
    hands = sum(len(p['hands']) for p in photos)
    m = all_means(photos)
    check('a faultless answer has all at 1', all(m[k] == 1 for k in ('found', 'side_right', 'iou', 'pck10', 'pck20', 'det10', 'all10')))
    check('a faultless answer has no error and nothing besides', m['error'] == 0 and m['false'] == m['double'] == 0)
    m = all_means(photos, shuffled)
    check('keypoints in another order fail, the detector\'s stay', m['pck10'] < 0.3 and m['det10'] == 1)
    check('keypoints of another hand fail', all_means([p for p in photos if len(p['hands']) > 1], other_hand)['pck20'] < 0.1)
    m = all_means(photos, moved(0.15))
    check('0.15 of the box away is beyond 0.1 and within 0.2', m['pck10'] == 0 and m['pck20'] == 1 and abs(m['error'] - 0.15) < 1e-9)
    check('swapped sides are wrong', all_means(photos, swapped)['side_right'] == 0)
    m = all_means(photos, halved)
    left = sum((len(p['hands']) + 1) // 2 for p in photos)
    check('hands left out are missed', abs(m['found'] - left / hands) < 1e-9 and m['pck10'] == 1 and abs(m['all10'] - left / hands) < 1e-9)
    m = all_means(photos, crowded)
    check('second answers and false hands are counted', m['double'] == hands and m['false'] == len(photos))
    check('the surer answer counts', m['side_right'] == 1)


def check_motion(check):
    """A soft dot in a made-up photo is, in every kind of clip, where its path says."""
    dot = (81, 47)
    y, x = np.mgrid[:120, :160]
    light = 20 + 230 * np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / (2 * 3.0 ** 2))
    picture = Image.fromarray(np.repeat(light.astype(np.uint8)[..., None], 3, axis=2))
    for path in clips.paths(picture):
        worst, last, step = 0, None, 0
        for n, frame in enumerate(clips.render(picture, path)):
            light = np.maximum(frame[..., 0].astype(float) - 40, 0)
            at = np.array([(light.sum(axis=0) * np.arange(160)).sum(), (light.sum(axis=1) * np.arange(120)).sum()]) / light.sum()
            worst = max(worst, np.abs(at - path.to_frame(n, dot)).max())
            step = step if last is None else max(step, np.abs(at - last).max())
            last = at
        check(f'{path.name}: the dot is within 0.05 px of its path, not {worst:.3f}', worst < 0.05)
        check(f'{path.name}: it moves, smoothly', 0.1 < step < 5)
        back = path.to_photo(7, path.to_frame(7, [dot]))
        check(f'{path.name}: there and back', np.abs(back - dot).max() < 1e-9)


def clip_answer(photo, path, noise=0.0):
    rng = np.random.default_rng(1)
    frames = []
    for n in range(clips.FRAMES):
        found = perfect(photo)
        for f, h in zip(found, photo['hands']):
            kp = f['kp'] + rng.normal(0, noise * scoring.long_side(h['box']), (21, 2))
            f['kp'], f['box'] = path.to_frame(n, kp), path.box(n, h['box'])[0]
        frames.append([f for f in found if scoring.long_side(f['box']) > 0])
    return frames


def check_clips(check, photos):
    photo = next(p for p in photos if p['file'] == 'hand.png')
    for name in ('pan', 'zoom'):
        path = clips.Path(name, photo['width'], photo['height'])
        row = scoring.score_clip(photo, path, clip_answer(photo, path))[0][0]
        steady = row['alive'] == 1 and row['switches'] == row['flips'] == 0 and row['pck10'] == 1
        check(f'{name}: a faultless track is alive, one id, still', steady and row['jitter'] < 1e-6 and row['wander'] < 1e-6)
        row = scoring.score_clip(photo, path, clip_answer(photo, path, 0.01))[0][0]
        check(f'{name}: noise of 1 % in x and y is a jitter of 2 %, a wander of 1.4 %',
              abs(row['jitter'] - 2) < 0.1 and abs(row['wander'] - 1.41) < 0.1)
    frames = clip_answer(photo, path)
    for n, frame in enumerate(frames):
        frame[0]['id'] = 1 if n < 30 else 2
        frame[0]['side'] = 'left' if n == 10 else 'right'
    frames[40], frames[41] = [], []
    row = scoring.score_clip(photo, path, frames)[0][0]
    check('a new id, a flipped side and two gaps are seen', row['switches'] == 1 and row['flips'] == 2 and row['alive'] == 58 / 60)
    frames = [[]] * clips.FRAMES
    row = scoring.score_clip(photo, path, frames)[0][0]
    check('nothing found is not alive and not steady', row['alive'] == 0 and row['jitter'] is None and row['pck10'] is None)


def event(found, **more):
    hands = [{'id': f['id'], 'side': f['side'], 'conf': f['score'], 'box': list(f['box']), 'kp2d': f['kp'].tolist(),
              'kp2d_det': np.c_[f['det'], np.ones(21)].tolist()} for f in found]
    return json.dumps({'v': 1, 'type': 'hands', 'hands': hands, **more}) + '\n'


def check_forms(check, photos):
    """Gradings do to grey levels what they say, and means over forms are over all of their hands."""
    grey = np.array([[[0, 110, 200]]], np.uint8)
    light = lambda grading: forms.graded(grey, *forms.GRADINGS[grading]).ravel().tolist()
    check('contrast turns about the middle', light('less contrast') == [33, 110, 173] and light('more contrast') == [0, 110, 227])
    check('brightness scales', light('darker') == [0, 77, 140] and light('brighter') == [0, 138, 250])
    check('as they are stays', light('as they are') == [0, 110, 200])
    clear = sum(h['clear'] for p in photos for h in p['hands'])
    m = forms.row(photos * 2, [perfect(p) for p in photos] + [swapped(p, perfect(p)) for p in photos])
    check('half of the forms with swapped sides', m['hands'] == 2 * clear and m['found'] == m['pck10'] == 1 and m['both'] == 0.5)
    m = forms.row(photos * 2, [perfect(p) for p in photos] + [[] for _ in photos])
    check('half of the forms without answers', m['found'] == m['both'] == m['all10'] == 0.5 and m['side_right'] == 1)
    m = forms.row(photos, [[] for _ in photos])
    check('no answer at all', m['found'] == m['both'] == 0 and m['side_right'] is None)
    with tempfile.TemporaryDirectory() as scratch:
        folder, to = pathlib.Path(scratch) / 'from', pathlib.Path(scratch) / 'to'
        folder.mkdir()
        to.mkdir()
        Image.fromarray(np.repeat(np.repeat(grey, 8, 0), 8, 1)).save(folder / 'a.png')
        forms.write([{'file': 'a.png'}], folder, to, 'as they are')
        check('as they are: the same bytes', (to / 'a.png').read_bytes() == (folder / 'a.png').read_bytes())
        forms.write([{'file': 'a.png'}], folder, to, 'darker')
        check('darker: another picture', np.asarray(Image.open(to / 'a.png')).max() == 140)


def check_program(check, photos):
    """Through a program's NDJSON, with its events out of order, and with one missing."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        files = [folder / p['file'] for p in photos]
        program = folder / 'program'
        program.write_text(PROGRAM.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        lines = [event(perfect(p), source=str(f)) for p, f in zip(photos, files)]
        (folder / 'predict.ndjson').write_text(''.join(reversed(lines)))
        source = sources.Wilor(program, [])
        found = source.photos(files)
        rows = [r for p, f in zip(photos, found) for r in scoring.score_photo(p, f)[0]]
        check('events go to their photos', all(r['found'] and r['pck10'] == 1 and r['det10'] == 1 for r in rows))
        (folder / 'predict.ndjson').write_text(''.join(lines[1:]))
        check('a missing event is an error', fails(lambda: source.photos(files)))
        path = clips.Path('pan', photos[0]['width'], photos[0]['height'])
        blank = [np.zeros((8, 8, 3), np.uint8)] * clips.FRAMES
        lines = [event(f, frame=n) for n, f in enumerate(clip_answer(photos[0], path))]
        (folder / 'live.ndjson').write_text('{"type":"hello"}\n' + ''.join(lines))
        rows, false = scoring.score_clip(photos[0], path, source.clip(blank, folder))
        check('a clip goes through', false == 0 and all(r['alive'] == 1 and r['jitter'] < 1e-6 for r in rows))
        (folder / 'live.ndjson').write_text(''.join(lines[:-1]))
        check('a missing frame is an error', fails(lambda: source.clip(blank, folder)))


def fails(call):
    try:
        call()
    except sources.Failed:
        return True
    return False


def main():
    photos, check = scoring.load(), Checks()
    check_stills(check, photos)
    check_motion(check)
    check_clips(check, photos)
    check_forms(check, photos)
    check_program(check, photos)
    print(f'{check.done - check.failed} of {check.done} checks passed')
    return 1 if check.failed else 0
