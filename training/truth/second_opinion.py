#!/usr/bin/env python3
"""What MediaPipe makes of each annotated hand when it is shown enlarged, alone: a check of the annotations.

  second_opinion.py FOLDER_OF_PHOTOS        needs mediapipe==0.10.21

Every hand is cut out with five margins and turned by 0, 90, 180, 270 degrees: twenty views. A row tells in
how many a hand was found there, in how many of those it had the annotated side, and the median over them of
the keypoints' mean distance from the annotated ones, in parts of the box's longer side.
"""
import pathlib
import sys

import numpy as np
from PIL import Image

import evaluate
import scoring
import sources

SIDE = 512


def views(picture, box):
    """Cut-outs (SIDE, SIDE, 3), each with the map from its pixels to the photo's."""
    centre = (box[:2] + box[2:]) / 2
    for margin in (1.3, 1.6, 2.0, 2.5, 3.0):
        half = scoring.long_side(box) * margin / 2
        corner = centre - half
        cut = picture.transform((SIDE, SIDE), Image.Transform.EXTENT, (*corner, *(centre + half)), Image.Resampling.BICUBIC)
        for turns in range(4):
            def back(points, corner=corner, half=half, turns=turns):
                for _ in range(turns):
                    points = np.stack([SIDE - 1 - points[:, 1], points[:, 0]], axis=1)
                return (points + 0.5) / SIDE * 2 * half + corner - 0.5
            yield np.ascontiguousarray(np.rot90(np.asarray(cut), turns)), back


def opinion(hands, picture, hand):
    sides, errors = [], []
    for view, back in views(picture, hand['box']):
        for found in sources.MediaPipe.found(hands.process(view), view):
            kp = back(found['kp'])
            if scoring.iou(hand['box'], np.concatenate([kp.min(axis=0), kp.max(axis=0)])) > 0.4:
                sides.append(found['side'] == hand['side'])
                errors.append(scoring.distances(kp, hand).mean())
    return {'found': len(sides), 'same side': sum(sides), 'error': float(np.median(errors)) if errors else None}


def main(folder):
    rows = []
    with sources.MediaPipe(0.3).open(still=True) as hands:
        for photo in scoring.load():
            picture = Image.open(folder / photo['file']).convert('RGB')
            rows += [{'hand': f"{photo['file']} {h['id']}", 'side': h['side'], **opinion(hands, picture, h)} for h in photo['hands']]
    evaluate.table(('hand', 'side', 'found', 'same side', 'error'), rows)


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
