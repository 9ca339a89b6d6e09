"""Who finds the hands: the wilor program, or MediaPipe for comparison. Found hands are scoring.py's dicts."""
import json
import pathlib
import subprocess

import numpy as np
from PIL import Image


class Failed(Exception):
    pass


def run(command):
    """The program's output as JSON events, a line each."""
    try:
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise Failed(f'{command[0]}: {error.strerror}') from None
    if done.returncode:
        raise Failed(f'{command[0]} {command[1]} ended with {done.returncode}: {done.stderr.strip()[-500:]}')
    return [json.loads(line) for line in done.stdout.splitlines()]


def hand(event):
    """Our dict from a hand of an event (docs/events.md)."""
    points = lambda key: np.array(event[key], float) if event.get(key) else None
    return {'side': event['side'], 'score': event['conf'], 'box': np.array(event['box'], float), 'id': event.get('id'),
            'kp': points('kp2d'), 'det': points('kp2d_det')}


class Wilor:
    """predict on the photos, live on the clips, both with the same further options."""

    def __init__(self, program, options):
        self.program, self.options, self.name = program, options, ' '.join(['wilor', *options])

    def sized(self, size):
        """The same with another input of the detector."""
        return Wilor(self.program, [*self.options, '--imgsz', str(size)])

    def photos(self, files, overlay=None):
        extra = ['--overlay', overlay] if overlay else []
        events = run([self.program, 'predict', *files, '--ndjson', '--quiet', *self.options, *extra])
        found = {pathlib.Path(e['source']): [hand(h) for h in e['hands']] for e in events}
        missing = [str(f) for f in files if f not in found]
        if missing:
            raise Failed(f"{self.program} predict gave no event for {', '.join(missing)}")
        return [found[f] for f in files]

    def clip(self, frames, folder):
        """Found hands of every frame; the frames are written to folder as PNG files first."""
        count = 0
        for count, picture in enumerate(frames, 1):
            Image.fromarray(picture).save(folder / f'f-{count - 1:04d}.png', compress_level=1)
        events = run([self.program, 'live', folder / 'f-%04d.png', '--ndjson', '--quiet', *self.options])
        found = {e['frame']: [hand(h) for h in e['hands']] for e in events if e['type'] == 'hands'}
        if sorted(found) != list(range(count)):
            raise Failed(f'{self.program} live gave events for {len(found)} of {count} frames')
        return [found[n] for n in range(count)]


class MediaPipe:
    """MediaPipe Hands by its Solutions API, 0.10.21. It has no ids: a found hand always counts as the same."""

    def __init__(self, confidence):
        import mediapipe
        self.solution, self.confidence = mediapipe.solutions.hands.Hands, confidence
        self.name = f'MediaPipe {mediapipe.__version__}, min_detection_confidence {confidence}'

    def open(self, still):
        return self.solution(static_image_mode=still, max_num_hands=12, model_complexity=1,
                             min_detection_confidence=self.confidence)

    def photos(self, files, overlay=None):
        pictures = [np.asarray(Image.open(f).convert('RGB')) for f in files]
        with self.open(still=True) as hands:
            return [self.found(hands.process(p), p) for p in pictures]

    def clip(self, frames, folder):
        with self.open(still=False) as hands:
            return [self.found(hands.process(p), p) for p in frames]

    @staticmethod
    def found(result, picture):
        """Landmarks are in parts of the picture, edge to edge. Sides are named as in a selfie: swapped here."""
        out = []
        for marks, side in zip(result.multi_hand_landmarks or [], result.multi_handedness or []):
            h, w = picture.shape[:2]
            kp = np.array([(m.x * w - 0.5, m.y * h - 0.5) for m in marks.landmark])
            label = side.classification[0]
            out.append({'side': 'left' if label.label == 'Right' else 'right', 'score': label.score, 'id': None,
                        'box': np.concatenate([kp.min(axis=0), kp.max(axis=0)]), 'kp': kp, 'det': None})
        return out
