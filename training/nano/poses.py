"""Finger poses and shapes of the CC0 hand, as varied as hands in photos and webcams: batched, on the hand's own joints.

How. A table of variants (build_rows below) gives two end poses A and B each; every finger gets its place between them from
correlated uniform numbers, then small noise. Some variants also ask for touches (thumb on a finger) or hold an object (a rounded
box: ball, stick, card, phone, mouse, wrist). A short gradient descent on the joint angles of the whole batch then pushes
fingers out of each other, of the palm and of the object, brings asked touches together, and stays near the drawn pose and
within the limits of the joints. Hands that still cross are dropped (more are drawn than asked for).

Angles, radians inside, degrees in the table: [flexion, abduction, twist] about the hand's own axes of each joint (flexion
closes the hand, abduction is toward the thumb for the fingers and away from the palm for the thumb's root, twist is about the
bone): R = Rflex Rabd Rtwist. Fingers stand in the order thumb, index, middle, ring, pinky; three joints each. A finger's last
joint is stored as its difference from 2/3 of the middle one's flexion, so that the two stay coupled. Lengths: centimetres
inside, millimetres in the table, metres in what is returned. Nothing here loops over hands or waits for the device.
"""
import math

import numpy as np
import torch

try:
    from .hand import Hand
except ImportError:  # run as a file beside hand.py
    from hand import Hand

KINDS = ("relaxed", "open", "fist", "partial", "point", "sign", "pinch", "grasp", "type", "mouse", "clasp", "hand over", "random")
KIND_WEIGHTS = (0.16, 0.11, 0.07, 0.10, 0.06, 0.11, 0.09, 0.12, 0.05, 0.02, 0.03, 0.03, 0.05)
FINGER_JOINTS = ((13, 14, 15), (1, 2, 3), (4, 5, 6), (10, 11, 12), (7, 8, 9))  # thumb, index, middle, ring, pinky in MANO's tree
TO_MANO = (1, 2, 4, 3, 0)  # fingers in the order of MANO's joints 1..15
THUMB_NAIL = -60.0  # degrees about the thumb's bone: where its nail faces (the hand's own axes)
DIP_OF_PIP = 2.0 / 3.0

# Places the thumb's pad can be asked to touch: (finger, segment, side): the pads, the index's thumb side, backs of curled fingers.
TARGETS = ((1, 2, "pad"), (2, 2, "pad"), (3, 2, "pad"), (4, 2, "pad"), (1, 1, "side"), (1, 1, "back"), (2, 1, "back"), (3, 1, "back"))

# Limits in degrees, low and high, per joint: flexion, abduction, twist. Row 0 the thumb, row 1 any finger (last joint: see above).
LIMITS = (
    (((-35, 45), (-35, 35), (-20, 35)), ((-18, 62), (-10, 10), (-10, 12)), ((-28, 82), (-5, 5), (-5, 5))),
    (((-30, 94), (-20, 20), (-9, 9)), ((-8, 112), (-3, 3), (-5, 5)), ((-38, 22), (-3, 3), (-5, 5))),
)
FLAT = (-6.0, 0.0, 6.5, 12.5)  # abduction that puts straight fingers side by side (spread -1)
WIDE = (11.0, 1.0, -9.0, -16.0)  # spread +1

# Thumb postures: flexion, abduction, twist at the root; flexion at the middle and the last joint.
THUMB = {
    "rest": (4, 0, 0, 10, 12),
    "side": (4, -24, -4, 4, 4),  # along the index, in the plane of the palm
    "out": (-22, -2, -5, -2, -4),  # away from the fingers in the plane of the palm
    "front": (8, 22, 6, 8, 10),  # away from the palm
    "over": (24, 22, 14, 36, 34),  # across the curled fingers
    "across": (36, 6, 12, 38, 28),  # across the open palm
    "up": (-28, -16, -5, -8, -14),
    "oppose": (20, 20, 16, 22, 24),
    "hold": (14, 26, 14, 12, 18),
}
E, C, T = (0, 4), (70, 88), (82, 100)  # a finger straight, curled, tightly curled: (knuckle, middle joint)
B = (-14, 2)  # bent back a little


def pose(index, middle=None, ring=None, pinky=None, thumb="rest", spread=0.0, abd=(0, 0, 0, 0)):
    """One row of the table: per finger (knuckle, middle joint) flexion; the thumb's five; spread and extra abduction."""
    index = index if middle is not None else (index,) * 4
    fingers = index if middle is None else (index, middle, ring, pinky)
    return fingers, THUMB[thumb] if isinstance(thumb, str) else thumb, spread, abd


def thing(r, h=(0, 0, 0), at="palm", offset=(0, 0, 0), jitter=(4, 3, 6), roll=(0, 0), yaw=(0, 0), pitch=(0, 0), hold=1.0, aim="",
          touch=()):
    """An object: rounding r and half lengths h (millimetres, low and high or one value), its long axis is z (toward the thumb's
    side). `at` palm: resting on the palm under the knuckles, or pads: between the drawn fingertips. roll, yaw, pitch in degrees
    about z, y, x. aim: "web": the long axis goes from the pads to the web of the thumb; "flat": the y axis from thumb to fingers. touch: (finger, segments) that should touch."""
    pair = lambda v: tuple(v) if isinstance(v, (tuple, list)) else (v, v)
    return dict(r=pair(r), h=[pair(v) for v in h], at=at, offset=offset, jitter=jitter, roll=roll, yaw=yaw, pitch=pitch, hold=hold,
                aim=aim, touch=touch)


def row(kind, weight, a, b, rho=0.6, stiff=0.35, meet=(), gap=(0, 0), obj=None, two=False, noise=1.0):
    """rho: how much the fingers move together; stiff: radians the descent may change freely, one value or (thumb, fingers); meet: indices of TARGETS for the
    thumb's pad, gap: millimetres left there; two: each finger is at one of the ends rather than between."""
    return dict(kind=KINDS.index(kind), weight=weight, a=a, b=b, rho=rho, stiff=stiff, meet=meet, gap=gap, obj=obj, two=two, noise=noise)


ALL = ((1, (0, 1, 2)), (2, (0, 1, 2)), (3, (0, 1, 2)), (4, (0, 1, 2)))
ENDS = ((1, (2,)), (2, (2,)), (3, (2,)), (4, (2,)))
THUMB_END = ((0, (2,)),)


def build_rows():
    p, t = pose, thing
    rows = [
        row("relaxed", 4, p((2, 10), thumb="rest"), p((35, 45), (40, 50), (44, 52), (46, 50), thumb=(12, 4, 6, 16, 22)), 0.85),
        row("relaxed", 2, p((12, 22), thumb="side"), p((28, 60), (36, 70), (42, 76), (44, 72), thumb=(16, -8, 6, 18, 26)), 0.85),
        row("relaxed", 1, p((30, 14), thumb="rest"), p((58, 24), (60, 30), (60, 34), (58, 34), thumb="oppose"), 0.85),
        row("open", 2, p((-8, 2), thumb="out", spread=0.0), p((6, 10), thumb="rest", spread=1.0), 0.8),
        row("open", 2, p((-4, 1), thumb="side", spread=-1.0), p((8, 9), thumb="side", spread=-0.7), 0.85),
        row("open", 2, p(B, thumb="out", spread=0.6), p((4, 6), thumb="front", spread=1.0), 0.8),
        row("open", 1, p((0, 4), thumb="front", spread=-0.9), p((20, 10), thumb="across", spread=-0.4), 0.85),
        row("fist", 1, p((66, 86), thumb="over", spread=-0.8), p(T, thumb="over", spread=-1.0), 0.85, meet=(5,), stiff=(0.6, 0.15)),
        row("fist", 1, p((76, 92), thumb=(18, 34, 10, 34, 26), spread=-0.8),
            p(T, thumb=(22, 34, 14, 44, 34), spread=-1.0), 0.85, meet=(5, 6), stiff=(0.7, 0.1)),
        row("fist", 1, p((76, 92), thumb=(26, 34, 16, 30, 26), spread=-0.8),
            p(T, thumb=(30, 34, 20, 40, 34), spread=-1.0), 0.85, meet=(6,), stiff=(0.7, 0.06)),
        row("fist", 2, p((60, 84), thumb=(4, -14, 4, 8, 8), spread=-0.8),
            p(T, thumb=(14, -16, 4, 18, 20), spread=-1.0), 0.85, meet=(4,), stiff=(0.5, 0.15)),
        row("fist", 1, p((40, 70), thumb="rest", spread=-0.5), p(C, thumb="over", spread=-0.8), 0.8),
        row("partial", 3, p(E, thumb="out", spread=0.4), p(C, thumb="over", spread=-0.4), 0.35),
        row("partial", 1, p((10, 70), thumb="rest"), p((70, 12), thumb="oppose"), 0.5),
        row("partial", 1, p((-6, 60), thumb="side"), p((6, 104), thumb="rest", spread=-0.5), 0.8),  # claw and hook
        row("point", 3, p(E, C, C, C, thumb="over"), p((22, 18), T, T, T, thumb="over"), 0.6, meet=(6,), stiff=(0.6, 0.2)),
        row("point", 2, p(B, (60, 80), (64, 84), (64, 84), thumb="rest"), p((15, 30), C, T, T, thumb="oppose"), 0.6),
        row("point", 1, p((30, 8), (44, 40), (50, 50), (52, 54), thumb="rest"),
            p((4, 24), (24, 46), (34, 60), (40, 60), thumb="side"), 0.6),
        # counting and signs
        row("sign", 2, p(E, E, C, C, thumb="over", abd=(9, -7, 0, 0)),
            p(B, B, T, T, thumb="over", abd=(4, -2, 0, 0)), meet=(7,), stiff=(0.6, 0.2)),
        row("sign", 1, p(E, E, C, C, thumb="over", abd=(-8, 3, 0, 0)),
            p((8, 8), (8, 8), T, T, thumb="over", abd=(-8, 3, 0, 0)), meet=(7,), stiff=(0.6, 0.2)),
        row("sign", 1, p(E, E, E, C, thumb="across", spread=0.5), p(B, B, B, T, thumb="across", spread=0.1), meet=(3,), gap=(0, 8)),
        row("sign", 1, p(E, E, C, C, thumb="out", spread=0.5), p((4, 6), (6, 8), T, T, thumb="up", spread=0.2), 0.5),
        row("sign", 1, p(E, thumb="across", spread=0.5), p(B, thumb="across", spread=-0.6), 0.8),
        row("sign", 1, p(E, C, C, E, thumb="over", abd=(3, 0, 0, -4)),
            p(B, T, T, B, thumb="over", abd=(5, 0, 0, -8)), meet=(6,), stiff=(0.6, 0.2)),
        row("sign", 1, p(E, C, C, E, thumb="out", abd=(3, 0, 0, -4)), p(B, T, T, (6, 10), thumb="up", abd=(5, 0, 0, -8)), 0.5),
        row("sign", 1, p(C, C, C, E, thumb="up", abd=(0, 0, 0, -6)), p((60, 88), T, T, B, thumb="out", abd=(0, 0, 0, -10)), 0.6),
        row("sign", 2, p(C, thumb="up", spread=-0.8), p(T, thumb="up", spread=-1.0), 0.8, stiff=0.25),
        row("sign", 1, p(E, C, C, C, thumb="out"), p(B, T, T, T, thumb="up"), 0.6),
        row("sign", 1, p(C, E, C, C, thumb="over"), p((64, 88), B, T, T, thumb="side"), 0.6),
        row("sign", 1, p(C, C, C, E, thumb="over"), p(T, T, T, B, thumb="over"), 0.6, meet=(6,), stiff=(0.6, 0.2)),
        row("sign", 2, p((42, 48), E, (4, 6), (2, 4), thumb="oppose", spread=0.3),
            p((56, 62), (16, 22), (8, 14), B, thumb="oppose", spread=0.8), meet=(0,), stiff=0.5),
        row("sign", 2, p(E, thumb="out", spread=0.5), p(C, thumb="over", spread=-0.2), 0.0, two=True),
        # pinches: index, index with the others curled, middle, tripod, ring or pinky, key grip, wide and all fingers
        row("pinch", 3, p((38, 42), (20, 24), (16, 22), (12, 18), thumb="oppose"),
            p((60, 60), (50, 60), (54, 66), (54, 66), thumb="oppose"), 0.5, meet=(0,), gap=(0, 8), stiff=0.5),
        row("pinch", 1, p((56, 24), (50, 44), (54, 60), (56, 64), thumb="oppose"),
            p((66, 34), (76, 80), C, C, thumb="oppose"), 0.6, meet=(0,), gap=(0, 4), stiff=0.5),
        row("pinch", 2, p((44, 44), (48, 46), (36, 40), (30, 36), thumb="oppose"),
            p((58, 52), (60, 56), (58, 60), (56, 60), thumb="oppose"), 0.7, meet=(0, 1), gap=(0, 10), stiff=0.5),
        row("pinch", 1, p((16, 20), (48, 50), (22, 30), (14, 20), thumb="oppose"),
            p((30, 30), (62, 58), (40, 44), (30, 34), thumb="oppose"), 0.6, meet=(1,), gap=(0, 4), stiff=0.5),
        row("pinch", 1, p((10, 14), (16, 22), (60, 60), (26, 30), thumb="across"),
            p((20, 26), (30, 40), (68, 68), (60, 60), thumb="across"), 0.6, meet=(2,), gap=(0, 4), stiff=0.5),
        row("pinch", 2, p((40, 60), (50, 66), (54, 70), (56, 70), thumb=(16, -10, 4, 14, 10)),
            p((60, 80), (66, 88), (70, 90), (70, 88), thumb=(22, -6, 6, 20, 20)), 0.85, meet=(4,), gap=(0, 6), stiff=0.4),
        row("pinch", 2, p((40, 34), (42, 38), (40, 38), (36, 34), thumb="oppose", spread=-0.3),
            p((62, 40), (64, 44), (64, 46), (64, 44), thumb="oppose", spread=-0.6), 0.9, meet=(0, 1, 2), gap=(0, 30), stiff=0.5),
        # things held
        row("grasp", 3, p((44, 54), thumb="over", spread=-0.6), p((62, 76), thumb="over", spread=-0.9), 0.9, 0.6,
            obj=t((9, 20), (0, 0, 70), offset=(-4, 0, 0), yaw=(-45, 5), pitch=(-12, 12), touch=ALL + THUMB_END)),
        row("grasp", 2, p((50, 60), thumb=(10, -14, 0, 8, 6), spread=-0.6), p((70, 84), thumb=(8, -8, 0, 2, 0), spread=-0.9), 0.9, 0.5,
            obj=t((8, 16), (0, 0, 90), offset=(-3, 0, 0), yaw=(-60, -25), pitch=(-12, 12), touch=ALL + ((0, (1, 2)),))),  # thumb along it
        row("grasp", 3, p((28, 36), thumb="hold", spread=-0.2), p((44, 52), thumb="hold", spread=-0.5), 0.9, 0.6,
            obj=t((24, 42), (0, 0, 50), offset=(-12, -2, 0), yaw=(-25, 10), pitch=(-12, 12), touch=ALL + THUMB_END)),  # cup, bottle
        row("grasp", 2, p((24, 30), thumb="hold", spread=0.6), p((44, 48), thumb="hold", spread=0.9), 0.8, 0.6,
            obj=t((18, 44), offset=(-20, -4, 4), touch=ENDS + THUMB_END)),  # ball, fruit
        row("grasp", 2, p((40, 36), (44, 42), (44, 44), (44, 46), thumb="oppose"),
            p((54, 40), (62, 52), (66, 64), (68, 70), thumb="oppose"), 0.7, 0.6, meet=(0,), gap=(6, 12),
            obj=t((3, 6), (0, 0, 65), at="pads", aim="web", jitter=(3, 3, 3), touch=((0, (2,)), (1, (2,)), (2, (2,))))),  # pen, cutlery
        row("grasp", 2, p((8, 30), thumb="front", spread=-0.2), p((22, 50), thumb="front", spread=-0.5), 0.9, 0.5,
            obj=t((3, 4), ((28, 36), 1, 72), offset=(-12, -10, 4), jitter=(6, 4, 10), yaw=(-30, 15), pitch=(-12, 12), roll=(-6, 14), touch=ENDS + THUMB_END)),  # phone
        row("grasp", 1, p((44, 30), thumb="oppose", spread=-0.4), p((58, 36), thumb="oppose", spread=-0.7), 0.9, 0.6,
            obj=t((2, 12), ((16, 40), 1, (16, 50)), at="pads", aim="flat", jitter=(4, 3, 8), yaw=(-25, 25), touch=ENDS + THUMB_END)),  # box
        row("grasp", 1, p((6, 84), thumb="side", spread=-0.6), p((40, 96), thumb="rest", spread=-0.8), 0.9, 0.5,
            obj=t((4, 9), (0, 0, 60), offset=(-32, 0, 0), yaw=(-12, 6), touch=((1, (1, 2)), (2, (1, 2)), (3, (1, 2)), (4, (1, 2))))),  # bag, rail
        row("type", 2, p((6, 24), thumb="rest"), p((28, 52), thumb="rest", spread=0.3), 0.7, 0.3),
        row("type", 1, p((30, 20), thumb="side"), p((44, 44), thumb="oppose", spread=0.3), 0.6, 0.3),
        row("type", 1, p((-12, 44), thumb="rest"), p((8, 64), thumb="rest", spread=0.2), 0.75, 0.3),
        row("mouse", 1, p((2, 16), (2, 16), (10, 22), (14, 24), thumb="rest"),
            p((20, 30), (20, 30), (30, 40), (34, 40), thumb="rest"), 0.85, 0.4,
            obj=t((12, 17), ((26, 34), 2, (10, 15)), offset=(-14, -3, -2), yaw=(-12, 12), roll=(-8, 12), touch=ENDS + THUMB_END)),
        row("clasp", 2, p((34, 40), thumb="hold", spread=-0.5), p((48, 56), thumb="oppose", spread=-0.8), 0.9, 0.6,
            obj=t((23, 31), (5, 0, 90), offset=(-8, -1, 0), yaw=(-30, 15), pitch=(-10, 10), touch=ALL + THUMB_END)),
        row("clasp", 1, p((34, 40), thumb="side", spread=-0.5), p((48, 56), thumb="side", spread=-0.8), 0.9, 0.5,
            obj=t((22, 31), (5, 0, 90), offset=(-8, -1, 0), yaw=(-30, 15), pitch=(-10, 10), touch=ALL)),  # thumb beside the fingers
        row("hand over", 2, p((8, 14), (12, 16), (16, 20), (22, 22), thumb="front", spread=-0.6),
            p((34, 22), (40, 26), (44, 30), (50, 30), thumb="hold", spread=-0.9), 0.9, 0.5,
            obj=t((1, 4), ((25, 45), 0.5, (20, 50)), at="pads", aim="flat", offset=(-8, 0, 0), jitter=(6, 2, 8), yaw=(-25, 25), touch=((0, (2,)), (1, (1, 2)), (2, (1, 2)), (3, (2,))))),
        row("hand over", 1, p((4, 12), thumb="out", spread=-0.3),
            p((20, 34), thumb="front", spread=-0.1), 0.9, 0.3),  # offered or asking palm
        row("random", 2, p((-18, -2), thumb=(-30, -28, -14, -12, -22), spread=-1.0),
            p((92, 106), thumb=(40, 30, 24, 56, 70), spread=1.0), 0.2, 0.5, noise=2.0),
        row("random", 1, p((90, -2), thumb=(40, -28, -14, -12, 70), spread=0.6),
            p((-18, 106), thumb=(-30, 30, 24, 56, -22), spread=-0.4), 0.2, 0.5, noise=2.0),
    ]
    return rows


def unit(v):
    return v / v.square().sum(-1, keepdim=True).clamp_min(1e-12).sqrt()


def bone_frames(joints, tips):
    """Rest frames (5, 3, 3, 3): columns flexion axis, back of the finger, bone, from joints (16, 3) and tips (5, 3)."""
    out = np.zeros((5, 3, 3, 3))
    for i, js in enumerate(FINGER_JOINTS):
        ends = [joints[js[1]], joints[js[2]], tips[i]]
        for k in range(3):
            d = ends[k] - joints[js[k]]
            d = d / np.linalg.norm(d)
            up = np.array([0.0, 1.0, 0.0])
            up = up - up @ d * d
            up /= np.linalg.norm(up)
            if i == 0:
                a = math.radians(THUMB_NAIL)
                up = up * math.cos(a) + np.cross(d, up) * math.sin(a)
            out[i, k] = np.stack([np.cross(up, d), up, d], -1)
    return out


class PoseSampler:
    """Draws hands. Holds the variants as tables on the device, and the hand as 15 finger capsules and 4 palm capsules."""

    def __init__(self, hand=None, device="cpu", steps=48):
        self.hand = hand if hand is not None else Hand(device=device)
        self.device, self.steps, self.rate = self.hand.v_template.device, steps, 0.07
        self._measure()
        self._pairs()
        self._table(build_rows())

    def put(self, a, dtype=torch.float32):
        return torch.as_tensor(np.asarray(a), dtype=dtype, device=self.device)

    # ---- the hand as capsules
    def _measure(self):
        """Capsules of the fingers and the palm from the mesh at rest (centimetres)."""
        h = self.hand
        verts = h.v_template.double().cpu().numpy() * 100
        joints = h.joints_template.double().cpu().numpy() * 100
        tips = verts[h.tips.cpu().numpy()]
        owner = h.lbs_weights.argmax(1).cpu().numpy()
        frames = bone_frames(joints, tips)
        start, end, radius = np.zeros((5, 3, 3)), np.zeros((5, 3, 3)), np.zeros((5, 3))
        for i, js in enumerate(FINGER_JOINTS):
            for k, j in enumerate(js):
                d = frames[i, k, :, 2]
                length = np.linalg.norm((joints[js[k + 1]] if k < 2 else tips[i]) - joints[j])
                x = verts[owner == j] - joints[j]
                s = x @ d
                ring = x[(s > 0.35 * length) & (s < 0.9 * length)]
                off = (ring - (ring @ d)[:, None] * d)
                mid = off.mean(0) if i or k else 0 * d
                r = np.median(np.linalg.norm(off - mid, axis=1)) if i or k else 1.15
                radius[i, k] = r
                start[i, k] = mid if k or not i else 0.35 * length * d + mid  # the knuckle's own end lies in the palm
                end[i, k] = mid - (r * d if k == 2 else 0)  # added to the next joint or the tip
        self.start, self.end, self.radius = self.put(start), self.put(end), self.put(radius)
        self.frames = self.put(frames)
        lo, hi, thick = [], [], []
        for i in range(1, 5):
            mcp = joints[FINGER_JOINTS[i][0]]
            ys = []
            for t in (0.3, 0.85):
                c = joints[0] + t * (mcp - joints[0])
                near = verts[(np.abs(verts[:, 0] - c[0]) < 1.3) & (np.abs(verts[:, 2] - c[2]) < 0.9)]
                ys.append((near[:, 1].max(), near[:, 1].min(), c))
            r = 0.5 * (ys[1][0] - ys[1][1])
            thick.append(r)
            for out, (top, bottom, c) in ((lo, ys[0]), (hi, ys[1])):
                out.append(np.array([c[0], bottom + r, c[2]]) - joints[0])
        self.palm = self.put(np.stack([lo, hi]))  # (2, 4, 3) from the wrist's joint
        self.palm_radius = self.put(thick)
        self.joints0 = h.joints_template * 100
        self.joint_dirs = h.joints_shapedirs.reshape(10, 48) * 100
        self.tips0 = h.v_template[h.tips] * 100
        self.tip_dirs = h.shapedirs[h.tips].permute(2, 0, 1).reshape(10, 15) * 100
        self.finger_joints = self.put(FINGER_JOINTS, torch.long)
        self.reach = (self.joints0[4] - self.joints0[0]).norm()

    def _pairs(self):
        """Pairs of capsules that must not cross, numbered 0..14 for the fingers' and 15..18 for the palm's."""
        a, b = [], []
        for i in range(5):
            for j in range(i + 1, 5):
                for k in range(3):
                    for m in range(3):
                        a.append(3 * i + k)
                        b.append(3 * j + m)
        for i in range(5):
            for k in (1, 2):
                for m in range(4):
                    a.append(3 * i + k)
                    b.append(15 + m)
        self.pair_a, self.pair_b = self.put(a, torch.long), self.put(b, torch.long)
        one = torch.eye(19, device=self.device)
        self.pick_a, self.pick_b = one[:, self.pair_a].contiguous(), one[:, self.pair_b].contiguous()
        self.pick_ab = self.pick_a - self.pick_b  # products pick the pairs: their gradient needs no scatter
        r = torch.cat([self.radius.reshape(-1), self.palm_radius])
        want = r[self.pair_a] + r[self.pair_b] - 0.12 - 0.55 * (self.pair_b >= 15)  # flesh gives, a closing palm most
        q = torch.zeros(1, 5, 3, 3, device=self.device)
        shape = self.shape(torch.zeros(1, 10, device=self.device))
        rest = self.distances(self.place(q, shape), shape)[0] - 0.05
        self.pair_min = torch.minimum(want, rest)

    def _table(self, rows):
        n, deg = len(rows), math.pi / 180
        a, kinds, weight = np.zeros((n, 2, 5, 3, 3)), [], []
        meet, gap, touch = np.zeros((n, len(TARGETS))), np.zeros((n, 2)), np.zeros((n, 5, 3))
        box = np.zeros((n, 4, 2))  # r, hx, hy, hz
        turn, offset, jitter = np.zeros((n, 3, 2)), np.zeros((n, 3)), np.zeros((n, 3))
        flags = np.zeros((n, 4))  # object, at the pads, aim, two ends
        for i, v in enumerate(rows):
            kinds.append(v["kind"])
            weight.append(v["weight"])
            for e, (fingers, thumb, spread, abd) in enumerate((v["a"], v["b"])):
                a[i, e, 0, 0] = thumb[:3]
                a[i, e, 0, 1, 0], a[i, e, 0, 2, 0] = thumb[3:]
                for f in range(4):
                    a[i, e, f + 1, 0, 0], a[i, e, f + 1, 1, 0] = fingers[f]
                    a[i, e, f + 1, 0, 1] = (WIDE[f] if spread > 0 else FLAT[f]) * abs(spread) + abd[f]
            meet[i, list(v["meet"])] = 1
            gap[i] = v["gap"]
            flags[i, 3] = v["two"]
            if v["obj"]:
                o = v["obj"]
                flags[i, :3] = 1, o["at"] == "pads", ("", "web", "flat").index(o["aim"])
                box[i] = [o["r"]] + o["h"]
                turn[i] = o["roll"], o["yaw"], o["pitch"]
                offset[i], jitter[i] = o["offset"], o["jitter"]
                for f, segs in o["touch"]:
                    touch[i, f, list(segs)] = o["hold"]
        put = self.put
        self.ends, self.kind, self.weight = put(a * deg), put(kinds, torch.long), put(weight)
        self.rho = put([v["rho"] for v in rows])
        self.stiff = put([[v["stiff"]] * 2 if np.isscalar(v["stiff"]) else v["stiff"] for v in rows])
        self.noise = put([v["noise"] for v in rows])
        self.meet, self.gap, self.touch, self.box = put(meet), put(gap / 10), put(touch), put(box / 10)
        self.turn, self.offset, self.jitter, self.flags = put(turn * deg), put(offset / 10), put(jitter / 10), put(flags)
        self.last = put([0, 0, 1] * 5) > 0.5  # of the 15 segments
        self.whose = put([0, 1, 1, 1, 1], torch.long)
        self.std = put([[5.0, 2.0, 2.5], [5.0, 1.0, 2.0], [5.0, 1.0, 2.0]]) * deg  # of the noise
        self.freedom = put([[1, 0.45, 0.5], [1, 0.1, 0.1], [0.45, 0.1, 0.1]])  # of each angle in the descent
        self.kind_weights, self.to_mano, self.z_axis = put(KIND_WEIGHTS), put(TO_MANO, torch.long), put([0, 0, 1])
        lim = np.array([LIMITS[min(i, 1)] for i in range(5)], float) * deg
        self.low, self.high = put(lim[..., 0]), put(lim[..., 1])
        per_kind = torch.zeros(len(KINDS), device=self.device).index_add_(0, self.kind, self.weight)
        self.share = self.weight / per_kind[self.kind]  # a variant's share of its kind

    # ---- geometry
    def shape(self, betas):
        """Rest joints and sizes of shaped hands: dict of joints (n,5,3,3), bones (n,5,3,3) to the next joint or tip, scale (n)."""
        j = self.joints0 + (betas @ self.joint_dirs).reshape(-1, 16, 3)
        tip = self.tips0 + (betas @ self.tip_dirs).reshape(-1, 5, 3)
        f = j[:, self.finger_joints]
        nxt = torch.cat([f[:, :, 1:], tip[:, :, None]], 2)
        scale = (j[:, 4] - j[:, 0]).norm(dim=-1) / self.reach
        s = scale[:, None, None]
        palm = j[:, None, :1] + self.palm * s[..., None]
        radius = torch.cat([self.radius.reshape(-1), self.palm_radius]) * scale[:, None]
        return dict(joints=f, bones=nxt - f, scale=scale, palm=palm, radius=radius, wrist=j[:, 0],
                    start=self.start * s[..., None], end=self.end * s[..., None])

    def local(self, q):
        """Stored angles (n,5,3,3) -> rotations (n,5,3,3,3) of the joints."""
        f, a, t = q.unbind(-1)
        last = torch.zeros_like(f)
        last[:, 1:, 2] = DIP_OF_PIP
        f = f + last * f[:, :, 1:2]
        (sf, cf), (sa, ca), (st, ct) = ((torch.sin(x), torch.cos(x)) for x in (f, a, t))
        m = torch.stack([ca * ct, -ca * st, sa,
                         cf * st + sf * sa * ct, cf * ct - sf * sa * st, -sf * ca,
                         sf * st - cf * sa * ct, sf * ct + cf * sa * st, cf * ca], -1).reshape(f.shape + (3, 3))
        return self.frames @ m @ self.frames.transpose(-1, -2)

    def place(self, q, shape):
        """World rotations (n,5,3,3,3) and capsule ends (n,5,3,3) x 2, with the wrist unturned."""
        r = self.local(q)
        g0 = r[:, :, 0]
        g1 = g0 @ r[:, :, 1]
        g = torch.stack([g0, g1, g1 @ r[:, :, 2]], 2)
        mul = lambda v: (g @ v[..., None])[..., 0]
        step = mul(shape["bones"])
        base = shape["joints"][:, :, :1] + torch.cat([torch.zeros_like(step[:, :, :1]), step[:, :, :2].cumsum(2)], 2)
        return g, base + mul(shape["start"]), base + step + mul(shape["end"])

    def distances(self, placed, shape):
        """Between the axes of all pairs of capsules, (n, P)."""
        _, a, b = placed
        n = a.shape[0]
        p = torch.cat([a.reshape(n, 15, 3), shape["palm"][:, 0]], 1).transpose(1, 2)
        d = torch.cat([b.reshape(n, 15, 3), shape["palm"][:, 1]], 1).transpose(1, 2) - p
        d1, d2, w = d @ self.pick_a, d @ self.pick_b, p @ self.pick_ab  # (n,3,P)
        with torch.no_grad():  # where the two are nearest; the distance's gradient does not need this one's
            aa, bb, cc = (d1 * d1).sum(1), (d1 * d2).sum(1), (d2 * d2).sum(1)
            dd, ee = (d1 * w).sum(1), (d2 * w).sum(1)
            s = ((bb * ee - cc * dd) / (aa * cc - bb * bb).clamp_min(1e-4)).clamp(0, 1)
            t = ((bb * s + ee) / cc).clamp(0, 1)
            s = ((bb * t - dd) / aa).clamp(0, 1)
        return (w + s[:, None] * d1 - t[:, None] * d2).square().sum(1).clamp_min(1e-8).sqrt()

    def touch_points(self, placed, shape):
        """The thumb's pad (n,3) and the TARGETS (n,T,3), on the skin."""
        g, a, b = placed
        r = shape["radius"][:, :15].reshape(-1, 5, 3)
        up = (g @ self.frames)[..., 1]
        side = (g @ self.frames)[..., 0]
        at = lambda i, k, u, v: a[:, i, k] + u * (b[:, i, k] - a[:, i, k]) + r[:, i, k, None] * v[:, i, k]
        ways = {"pad": (0.8, -up), "back": (0.5, up), "side": (0.6, side)}
        return at(0, 2, 0.75, -up), torch.stack([at(i, k, *ways[w]) for i, k, w in TARGETS], 1)

    def outside(self, points, obj, centre):
        """Signed distances (n,m) of points (n,m,3) from the rounded boxes."""
        x = (points - centre[:, None]) @ obj["turn"]
        e = x.abs() - obj["half"][:, None]
        return e.clamp_min(0).square().sum(-1).clamp_min(1e-10).sqrt() + e.amax(-1).clamp_max(0) - obj["round"][:, None]

    # ---- drawing
    def draw(self, n, gen, kind_weights):
        """The drawn pose before the descent: angles and everything that the descent needs, as a dict."""
        dev = self.device
        rand = lambda *s: torch.rand(s, generator=gen, device=dev)
        randn = lambda *s: torch.randn(s, generator=gen, device=dev)
        kw = self.kind_weights if kind_weights is None else torch.as_tensor(kind_weights, dtype=torch.float32, device=dev)
        v = torch.multinomial(self.share * kw[self.kind], n, replacement=True, generator=gen)
        e = randn(n, 5)  # then neighbours alike
        e = torch.cat([e[:, :1], e[:, 1:2] + 0.6 * e[:, 2:3], e[:, 2:4] + 0.5 * (e[:, 1:3] + e[:, 3:5]), e[:, 4:] + 0.6 * e[:, 3:4]], 1) / 1.18
        rho = self.rho[v][:, None]
        z = rho.sqrt() * randn(n, 1) + (1 - rho).sqrt() * e
        z = torch.stack([z, 0.8 * z + 0.6 * randn(n, 5), 0.5 * z + 0.87 * randn(n, 5)], 2)  # knuckle and last, middle, abduction
        two = self.flags[v, 3][:, None, None] > 0.5
        z = torch.where(two, z[:, :, :1].sign() * (1.2 + 0.4 * rand(n, 5, 1)), z)
        u = 0.5 + 0.5 * torch.erf(z / math.sqrt(2))
        u = torch.stack([torch.stack([u[..., 0], u[..., 2], u[..., 2]], -1), torch.stack([u[..., 1]] * 3, -1),
                         torch.stack([u[..., 0]] * 3, -1)], 2)  # (n,5,3,3)
        a, b = self.ends[v].unbind(1)
        q = a + u * (b - a)
        q = q + randn(n, 5, 3, 3) * self.std * (self.noise[v] * (0.3 + 1.2 * rand(n)))[:, None, None, None]
        betas = randn(n, 10)
        wide = rand(n, 1) < 0.15
        betas = torch.where(wide, (1.5 * betas).clamp(-3.2, 3.2), betas.clamp(-2.5, 2.5))
        betas = torch.cat([(1.3 * betas[:, :1]).clamp(-3.2, 3.2), betas[:, 1:]], 1)
        g = self.gap[v]
        size = self.box[v][..., 0] + rand(n, 4) * (self.box[v][..., 1] - self.box[v][..., 0])
        out = dict(v=v, q=self.clamp(q), betas=betas, gap=g[:, 0] + rand(n) * (g[:, 1] - g[:, 0]))
        out["obj"] = self.draw_object(v, out["q"], betas, size, rand(n, 3), randn(n, 3).clamp(-2, 2))
        return out

    def draw_object(self, v, q, betas, size, ru, rj):
        """Place the objects: dict of turn (n,3,3) object to hand, centre, half (n,3), round, has (n)."""
        shape = self.shape(betas)
        placed = self.place(q, shape)
        pad, marks = self.touch_points(placed, shape)
        flag = self.flags[v]
        t = self.turn[v][..., 0] + ru * (self.turn[v][..., 1] - self.turn[v][..., 0])
        turn = euler(t)
        web = 0.5 * (shape["joints"][:, 0, 1] + shape["joints"][:, 1, 0])
        mid = 0.4 * pad + 0.4 * marks[:, 0] + 0.2 * marks[:, 1]
        z = unit(web - mid)
        x = unit(torch.linalg.cross(z.roll(1, 1), z))
        along = torch.stack([x, torch.linalg.cross(z, x), z], -1)
        y = unit(0.4 * marks[:, 0] + 0.4 * marks[:, 1] + 0.2 * marks[:, 2] - pad)
        x = unit(torch.linalg.cross(y, self.z_axis.expand_as(y)))
        flat = torch.stack([x, y, torch.linalg.cross(x, y)], -1) @ turn
        aim = flag[:, 2, None, None]
        turn = torch.where(aim > 1.5, flat, torch.where(aim > 0.5, along, turn))
        head = shape["palm"][:, 1]
        under = head.mean(1) - torch.stack([torch.zeros_like(t[:, 0]), self.palm_radius.mean() * shape["scale"] + size[:, 0] + size[:, 2],
                                            torch.zeros_like(t[:, 0])], -1)
        pads = mid + ((flag[:, 2] == 1) * size[:, 3] * 0.55)[:, None] * z
        centre = torch.where((flag[:, 1] > 0.5)[:, None], pads, under) + self.offset[v] + self.jitter[v] * rj * 0.6
        return dict(turn=turn, centre=centre, half=size[:, 1:], round=size[:, 0], has=flag[:, 0])

    def clamp(self, q):
        """Into the joints' limits; a bent knuckle hardly spreads."""
        q = torch.maximum(torch.minimum(q, self.high), self.low)
        room = self.high[1:, 0, 1] * (1 - 0.75 * (q[:, 1:, 0, 0] / 1.5).clamp(0, 1))
        spread = torch.maximum(torch.minimum(q[:, 1:, 0, 1], room), -room)
        q = q.clone()
        q[:, 1:, 0, 1] = spread
        return q

    # ---- the descent
    def energy(self, q, centre, s):
        """Per hand, no unit: crossings, touches, the object, and distance from the drawn pose. Lengths in centimetres."""
        shape, obj = s["shape"], s["obj"]
        placed = self.place(q, shape)
        n = q.shape[0]
        cross = (self.pair_min * shape["scale"][:, None] - self.distances(placed, shape)).clamp_min(0)
        e = 12 * cross.square().sum(1) + 3 * cross.sum(1).clamp_max(1)
        pad, marks = self.touch_points(placed, shape)
        away = (marks - pad[:, None]).square().sum(-1).clamp_min(1e-4).sqrt() - s["gap"][:, None]
        e = e + (s["meet"] * huber(away, 0.3)).sum(1) * 10
        _, a, b = placed
        r = shape["radius"][:, :15]
        mid, end = (0.5 * (a + b)).reshape(n, 15, 3), b.reshape(n, 15, 3)
        mid = torch.cat([mid, shape["palm"][:, 1]], 1)
        d = self.outside(torch.cat([mid, end], 1), obj, centre)
        dm, de = d[:, :19] - shape["radius"], d[:, 19:] - r
        touch = s["touch"].reshape(n, 15)
        e = e + (touch * huber(torch.where(self.last, 0.5 * (dm[:, :15] + de), dm[:, :15]), 0.5)).sum(1) * 2.5
        inside = torch.cat([dm, de], 1).add(0.08).clamp_max(0)
        e = e + obj["has"] * (16 * inside.square().sum(1) - 2 * inside.sum(1).clamp_min(-1))
        e = e + 0.12 * (((q - s["q0"]) / s["sigma"]).square().sum((1, 2, 3)) + 3 * (centre - obj["centre"]).square().sum(1))
        return e, torch.cat([cross, (-inside - 0.08).clamp_min(0) * obj["has"][:, None]], 1)

    def descend(self, d):
        """Adam on the angles and the object's place, within the limits. -> angles, object's centre, worst crossing (cm)."""
        v, obj = d["v"], d["obj"]
        s = dict(shape=self.shape(d["betas"]), obj=obj, q0=d["q"], gap=d["gap"], meet=self.meet[v], touch=self.touch[v],
                 sigma=self.stiff[v][:, self.whose, None, None] * self.freedom)
        q, c = d["q"].clone(), obj["centre"].clone()
        m = [torch.zeros_like(q), torch.zeros_like(c)]
        w = [torch.zeros_like(q), torch.zeros_like(c)]
        for i in range(self.steps):
            with torch.enable_grad():
                q.requires_grad_(True)
                c.requires_grad_(True)
                e, _ = self.energy(q, c, s)
                grads = torch.autograd.grad(e.sum(), (q, c))
            rate = self.rate * (1 - i / self.steps) + 0.008
            new = []
            for k, (x, g) in enumerate(zip((q, c), grads)):
                m[k] = 0.8 * m[k] + 0.2 * g
                w[k] = 0.9 * w[k] + 0.1 * g * g
                hat = m[k] / (1 - 0.8 ** (i + 1)) / ((w[k] / (1 - 0.9 ** (i + 1))).sqrt() + 0.3)
                new.append(x.detach() - rate * hat)
            q, c = self.clamp(new[0]), new[1]
        _, cross = self.energy(q, c, s)
        return q, c, cross.amax(1)

    @torch.no_grad()
    def sample(self, n, generator=None, kind_weights=None, spare=0.12, chunk=None):
        """n hands: rotmats15 (n,15,3,3) in MANO's order, betas (n,10), kind (n), object: what it holds (see draw_object; metres,
        centre from the wrist's joint, in the frame of the unturned hand), worst (n): deepest crossing left, metres, variant (n).
        Hands that still cross by more than 2.5 mm are left out as far as the spare ones go. chunk bounds the memory (60 KB a
        hand while it runs) and does not change what is asked for."""
        chunk = chunk or (32768 if self.device.type == "cuda" else 1024)
        with torch.autocast(self.device.type, enabled=False):
            parts = [self._sample(min(chunk, n - i), generator, kind_weights, spare) for i in range(0, n, chunk)]
        join = lambda get: torch.cat([get(p) for p in parts])
        out = {k: join(lambda p: p[k]) for k in parts[0] if k != "object"}
        out["object"] = {k: join(lambda p: p["object"][k]) for k in parts[0]["object"]}
        return out

    def _sample(self, n, generator, kind_weights, spare):
        d = self.draw(n + int(n * spare) + 1, generator, kind_weights)
        q, c, worst = self.descend(d)
        keep = torch.sort((worst > 0.25).to(torch.int8), stable=True).indices[:n]
        rot = orthonormal(self.local(q)[keep][:, self.to_mano].reshape(n, 15, 3, 3))
        betas, obj = d["betas"][keep], {k: x[keep] for k, x in d["obj"].items()}
        wrist = self.joints0[0] + (betas @ self.joint_dirs)[:, :3]
        obj["centre"] = (c[keep] - wrist) / 100
        obj["half"], obj["round"] = obj["half"] / 100, obj["round"] / 100
        variant = d["v"][keep]
        return dict(rotmats15=rot, betas=betas, kind=self.kind[variant], object=obj, worst=worst[keep] / 100, variant=variant)


def orthonormal(m):
    """Gram and Schmidt over the first two columns: products on a GPU may have been rounded to ten bits."""
    first = unit(m[..., 0])
    second = unit(m[..., 1] - (first * m[..., 1]).sum(-1, keepdim=True) * first)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def huber(x, knee):
    """A square up to the knee, then a line."""
    a = x.abs()
    return torch.where(a < knee, x * x, knee * (2 * a - knee))


def euler(t):
    """(n,3) roll, yaw, pitch -> Rz Ry Rx (n,3,3)."""
    (sz, sy, sx), (cz, cy, cx) = torch.sin(t).unbind(-1), torch.cos(t).unbind(-1)
    return torch.stack([cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx,
                        sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx,
                        -sy, cy * sx, cy * cx], -1).reshape(-1, 3, 3)


class PosePool:
    """Many hands drawn once, then handed out at random with a little noise on every joint: for use inside of a training loop."""

    def __init__(self, count, generator, device="cpu", kind_weights=None, sampler=None):
        self.sampler = sampler or default_sampler(device)
        self.hands = self.sampler.sample(count, generator, kind_weights)
        self.count = count

    @torch.no_grad()
    def draw(self, n, generator, noise_degrees=1.2):
        h, dev = self.hands, self.hands["betas"].device
        i = torch.randint(self.count, (n,), generator=generator, device=dev)
        v = torch.randn(n, 15, 3, generator=generator, device=dev) * math.radians(noise_degrees)
        x, y, z = v.unbind(-1)
        one = torch.ones_like(x)
        small = torch.stack([one, -z, y, z, one, -x, -y, x, one], -1).reshape(n, 15, 3, 3)
        return dict(rotmats15=orthonormal(h["rotmats15"][i] @ small), betas=h["betas"][i], kind=h["kind"][i], object={k: x[i] for k, x in h["object"].items()})


_samplers = {}


def default_sampler(device):
    key = str(device)
    if key not in _samplers:
        _samplers[key] = PoseSampler(device=device)
    return _samplers[key]


def sample_hands(n, generator=None, device="cpu", kind_weights=None):
    """n hands of all kinds (see PoseSampler.sample); kind_weights: one number per KINDS."""
    return default_sampler(device).sample(n, generator, kind_weights)
