#!/usr/bin/env python3
"""How well the four annotated photos are read: a row a hand, means, and clips with known motion.

  evaluate.py --wilor PROGRAM --photos FOLDER [--clips] [--forms] [--overlay FOLDER] [--json OUT] [options of wilor ...]
  evaluate.py --mediapipe --photos FOLDER [--clips] [--forms] [--json OUT]      needs mediapipe==0.10.21
  evaluate.py --self-check                                                     needs no photos and no program

Options that are not ours go to `wilor predict` and `wilor live`: --weights nano --conf 0.4 --threads 2 …
README.md says what the columns mean. Needs numpy and Pillow.
"""
import argparse
import json
import pathlib
import sys
import tempfile

try:
    import numpy
    from PIL import Image, ImageOps
except ImportError as error:
    print(f'skipped: {error}', file=sys.stderr)
    sys.exit(77)

import clips
import forms
import scoring
import sources

HAND = ('hand', 'clear', 'found', 'score', 'iou', 'side', 'pck10', 'pck20', 'error', 'det10', 'det20')
MEAN = ('over', 'hands', 'found', 'side_right', 'iou', 'pck10', 'pck20', 'error', 'det10', 'det20', 'all10', 'all20', 'false', 'double')
CLIP = ('hand', 'clip', 'clear', 'frames', 'alive', 'switches', 'flips', 'side_right', 'pck10', 'jitter', 'jitter_px', 'wander')
FORM = ('form', 'hands', 'found', 'side_right', 'both', 'pck10', 'pck20', 'error', 'false', 'double')


def text(value):
    if value is None:
        return '-'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return f'{value:.3f}' if isinstance(value, float) else str(value)


def table(columns, rows):
    """A Markdown table."""
    cells = [list(columns)] + [[text(row.get(c)) for c in columns] for row in rows]
    wide = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = ['| ' + ' | '.join(c.ljust(w) for c, w in zip(line, wide)) + ' |' for line in cells]
    lines.insert(1, '|' + '|'.join('-' * (w + 2) for w in wide) + '|')
    print('\n'.join(lines) + '\n')


def named(row):
    return {**row, 'hand': f"{row['photo']} {row['hand']}"}


def side(row):
    """The side column: what it is, and whether that was said."""
    return row['side'] if not row['found'] else row['side'] + ('' if row['side_right'] else ' WRONG')


def mean_rows(summary):
    return [{'over': f'{use}, {which}', **values} for use, parts in summary.items() for which, values in parts.items()]


def stills(source, photos, folder, overlay):
    found = source.photos([folder / p['file'] for p in photos], overlay)
    scored = [scoring.score_photo(p, f) for p, f in zip(photos, found)]
    rows, extra = [r for some, _ in scored for r in some], [e for _, e in scored]
    summary = scoring.summary(rows, extra)
    print(f'{source.name}\n')
    table(HAND, [{**named(r), 'side': side(r)} for r in rows])
    table(('photo', 'found', 'false', 'double'), extra)
    table(MEAN, mean_rows(summary))
    return {'hands': rows, 'photos': extra, 'means': summary}


def moving(source, photos, folder):
    rows, false = [], []
    for photo in photos:
        picture = ImageOps.exif_transpose(Image.open(folder / photo['file'])).convert('RGB')
        for path in clips.paths(picture):
            with tempfile.TemporaryDirectory() as scratch:
                frames = source.clip(clips.render(picture, path), pathlib.Path(scratch))
            more, wrong = scoring.score_clip(photo, path, frames)
            rows += more
            false.append({'photo': photo['file'], 'clip': path.name, 'besides a frame': wrong})
    table(CLIP, [named(r) for r in rows])
    table(('photo', 'clip', 'besides a frame'), false)
    mean = [{'over': use, **clip_means([r for r in rows if r['clear'] and use in ('all', r['use'])])} for use in (*scoring.USES, 'all')]
    table(('over', 'hands', *CLIP[4:]), mean)
    return {'hands': rows, 'false': false, 'means': mean}


def in_forms(source, photos, folder):
    """A row a form of the photos, and one over all of them. MediaPipe's inputs have one size."""
    rows, found = [], []
    sizes = forms.SIZES if isinstance(source, sources.Wilor) else (None,)
    for grading in forms.GRADINGS:
        with tempfile.TemporaryDirectory() as scratch:
            forms.write(photos, folder, pathlib.Path(scratch), grading)
            for size in sizes:
                got = (source.sized(size) if size else source).photos([pathlib.Path(scratch) / p['file'] for p in photos])
                rows.append({'form': f'{grading}, {size}' if size else grading, **forms.row(photos, got)})
                found.append(got)
    for size in sizes if len(sizes) > 1 else ():
        rows.append({'form': f'all, {size}', **forms.row(photos * len(forms.GRADINGS), sum(found[sizes.index(size)::len(sizes)], []))})
    rows.append({'form': 'all', **forms.row(photos * len(found), sum(found, []))})
    table(FORM, rows)
    return rows


def clip_means(rows):
    """Of clear hands; a hand that is never found counts in alive only."""
    return {'hands': len(rows), **{key: scoring.mean([r[key] for r in rows]) for key in CLIP[4:]}}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument('--wilor', metavar='PROGRAM')
    parser.add_argument('--photos', metavar='FOLDER', type=pathlib.Path)
    parser.add_argument('--use', choices=scoring.USES, help='only the photos of this use')
    parser.add_argument('--clips', action='store_true')
    parser.add_argument('--forms', action='store_true', help='the photos in other gradings and by other detector inputs, too')
    parser.add_argument('--mediapipe', action='store_true')
    parser.add_argument('--overlay', metavar='FOLDER', type=pathlib.Path)
    parser.add_argument('--json', metavar='OUT', type=pathlib.Path)
    parser.add_argument('--self-check', action='store_true')
    ours, rest = parser.parse_known_args()
    if not ours.self_check:
        if not ours.photos or bool(ours.wilor) == ours.mediapipe:
            parser.error('--photos, and one of --wilor and --mediapipe, are needed')
        if ours.mediapipe and rest:
            parser.error(f"not known: {' '.join(rest)}")
    return ours, rest


def main():
    ours, rest = arguments()
    if ours.self_check:
        import self_check
        return self_check.main()
    photos = [p for p in scoring.load() if ours.use in (None, p['use'])]
    every = [sources.MediaPipe(c) for c in (0.5, 0.3)] if ours.mediapipe else [sources.Wilor(ours.wilor, rest)]
    out = []
    for source in every:
        result = {'source': source.name, 'stills': stills(source, photos, ours.photos, ours.overlay)}
        if ours.clips:
            result['clips'] = moving(source, photos, ours.photos)
        if ours.forms:
            result['forms'] = in_forms(source, photos, ours.photos)
        out.append(result)
    if ours.json:
        ours.json.write_text(json.dumps({'v': 1, 'results': out}, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (sources.Failed, OSError, ValueError) as error:
        sys.exit(f'evaluate.py: {error}')
