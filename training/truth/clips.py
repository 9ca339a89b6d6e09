"""Clips with known motion: a still photo panned or zoomed, with the blur that a camera's shutter would add.

The hands in the photo do not move, so whatever a tracker makes of them in the photo's own pixels is its doing.
"""
import numpy as np
from PIL import Image

FRAMES = 60
SHUTTER = 0.5  # of a frame: what 180 degrees of a film camera's shutter are
PARTS = 5      # moments that make one blurred frame


class Path:
    """frame = scale (photo - centre) + middle; pixel centres at integers. Times are in frames, halves too."""

    def __init__(self, name, width, height):
        self.name, self.size = name, (width, height)
        self.middle = np.array([(width - 1) / 2, (height - 1) / 2])

    def at(self, t):
        """scale, centre (2) at time t: once around in FRAMES frames, speed and place without a jump."""
        turn = 2 * np.pi * t / FRAMES
        if self.name == 'zoom':
            return np.exp(0.25 * np.sin(turn)), self.middle
        return 1.0, self.middle + np.array(self.size) * (0.1 * np.sin(turn), 0.05 * np.sin(2 * turn))

    def to_frame(self, n, points):
        scale, centre = self.at(n)
        return scale * (np.asarray(points, float) - centre) + self.middle

    def to_photo(self, n, points):
        scale, centre = self.at(n)
        return (np.asarray(points, float) - self.middle) / scale + centre

    def box(self, n, box):
        """The box in frame n without what lies outside of the frame, and what part of it that leaves."""
        p = self.to_frame(n, np.reshape(box, (2, 2)))
        cut = np.clip(p, 0, self.size)
        return cut.ravel(), float(np.prod(cut[1] - cut[0]) / np.prod(p[1] - p[0]))


def moment(picture, path, t, fill):
    """The photo as a camera at time t sees it, float (H, W, 3)."""
    scale, centre = path.at(t)
    # PIL maps corners of pixels, not centres: half a pixel is added on both sides of the map. Bilinear, since
    # PIL's bicubic moves things by up to 0.08 px, which would be counted as jitter.
    shift = centre + 0.5 - (path.middle + 0.5) / scale
    seen = picture.transform(path.size, Image.Transform.AFFINE, (1 / scale, 0, shift[0], 0, 1 / scale, shift[1]),
                             Image.Resampling.BILINEAR, fillcolor=fill)
    return np.asarray(seen, np.float32)


def frame(picture, path, n, fill):
    """Frame n: the mean over the time that the shutter is open, whose middle is n."""
    times = n + SHUTTER * ((np.arange(PARTS) + 0.5) / PARTS - 0.5)
    return np.rint(np.mean([moment(picture, path, t, fill) for t in times], axis=0)).clip(0, 255).astype(np.uint8)


def render(picture, path, frames=FRAMES):
    """Every frame as uint8 (H, W, 3). Around the photo lies its mean colour."""
    fill = tuple(int(c) for c in np.asarray(picture).reshape(-1, 3).mean(axis=0))
    return (frame(picture, path, n, fill) for n in range(frames))


def paths(picture):
    return [Path(name, *picture.size) for name in ('pan', 'zoom')]
