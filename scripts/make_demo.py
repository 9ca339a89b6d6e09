#!/usr/bin/env python3
"""Make demo/hands.png: two CC0 hands, rendered exactly where the demo model will say they are.

The demo model (src/weights/random_weights.h, "demo") has zero decoders: whatever the picture, it
answers with the mean pose of hand-cc0.npz and the camera below. So the picture is made to fit: box
-> crop -> camera translation -> rendered hand, by the rules of docs/conventions.md. An overlay then
lies on the hands, which shows that crop, mirroring, camera and projection agree; it shows nothing
about the network."""

import pathlib
import numpy as np
import render_hand

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 640, 480
PRED_CAM = np.array([3.75, -0.02, 0.0085])  # init_cam (0.9, 0, 0) + the demo model's bias of deccam
BOXES = ((333, 178, 623, 298, 'right'), (17, 202, 307, 322, 'left'))


def camera_translation(box, cam, focal):
    """pipeline: crop of 2.5 times the longer side; full-picture translation from the crop's weak
    perspective."""
    x0, y0, x1, y1 = box
    b = 2.5 * max(x1 - x0, y1 - y0)
    bs = b * cam[0] + 1e-9
    return np.array([(x0 + x1 - WIDTH) / bs + cam[1], (y0 + y1 - HEIGHT) / bs + cam[2], 2 * focal / bs])


def main():
    from PIL import Image

    hand = dict(np.load(ROOT / 'tests/golden/data/hand-cc0.npz'))
    focal = 5000 / 256 * max(WIDTH, HEIGHT)
    vertices = render_hand.pose_hand(hand, render_hand.from_6d(hand['init_hand_pose']), np.zeros(10))
    faces = np.asarray(hand['faces'], int)
    picture = render_hand.background(HEIGHT, WIDTH, 21, (0.46, 0.47, 0.44), (0.43, 0.31, 0.22))
    for seed, (*box, side) in enumerate(BOXES):
        sign = np.array([1.0, 1, 1] if side == 'right' else [-1.0, 1, 1])
        placed = vertices * sign + camera_translation(box, PRED_CAM * sign[[1, 0, 2]], focal)
        winding = faces if side == 'right' else faces[:, ::-1]
        pixels = placed[:, :2] / placed[:, 2:] * focal + (WIDTH / 2, HEIGHT / 2)
        print(side, 'box', box, 'mesh', pixels.min(0).round(1), pixels.max(0).round(1))
        picture = render_hand.draw(
            picture,
            placed,
            np.asarray(hand['v_template'], np.float64),
            winding,
            focal,
            np.array([WIDTH / 2, HEIGHT / 2]),
            30 + seed,
            samples=4,
        )
    Image.fromarray(render_hand.to_bytes(picture)).save(ROOT / 'demo/hands.png', optimize=True)


if __name__ == '__main__':
    main()
