"""From an event (docs/events.md) to frames and joint angles; nothing of ROS, so that it can be tested without.

The camera's axes are those of a ROS optical frame (REP 103): x right, y down, z forward. Frames of a hand: the wrist in the
camera's frame (or the room's, with --extrinsics), and with --include mano MANO's 15 finger joints, each in its parent's. All
joints have the same axes when the hand is flat."""
import math

# MANO's joints: name, parent, keypoint. hand_pose has them in this order, without the wrist.
BONES = [("wrist", None, 0)]
for finger, first in (("index", 5), ("middle", 9), ("little", 17), ("ring", 13), ("thumb", 1)):
    for part in range(3):
        parent = 0 if part == 0 else len(BONES) - 1
        BONES.append((f"{finger}{part + 1}", parent, first + part))


def mul(a, b):
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (aw * bx + ax * bw + ay * bz - az * by, aw * by + ay * bw + az * bx - ax * bz,
            aw * bz + az * bw + ax * by - ay * bx, aw * bw - ax * bx - ay * by - az * bz)


def turn(q, v):
    return mul(mul(q, (*v, 0.0)), (-q[0], -q[1], -q[2], q[3]))[:3]


def from_vector(v):
    angle = math.sqrt(sum(x * x for x in v))
    scale = math.sin(angle / 2) / angle if angle > 1e-9 else 0.5
    return (*(scale * x for x in v), math.cos(angle / 2))


def capture_seconds(event):
    """When the frame was taken, seconds since 1970: t_utc is the wall clock of t_ready."""
    return (event["t_utc"] - (event["t_ready"] - event["t_capture"])) * 1e-6


def shown(event):
    """A hand a side: of several the one that has been there longest. Hands with numbers that are null are left out."""
    best = {}
    for hand in event.get("hands", []):
        numbers = hand["wrist"]["p"] + hand["wrist"]["q"] + sum(hand["kp3d"], [])
        if None in numbers:
            continue
        side = hand["side"]
        if side not in best or hand["age"] > best[side]["age"]:
            best[side] = hand
    return best


def frames(hand):
    """(parent's name or None for the camera, name, position, quaternion x y z w) of each frame of a hand."""
    prefix = hand["side"] + "_hand"
    out = [(None, f"{prefix}/wrist", tuple(hand["wrist"]["p"]), tuple(hand["wrist"]["q"]))]
    pose = hand.get("mano", {}).get("hand_pose")
    if not pose or None in pose:
        return out
    whole = [tuple(hand["wrist"]["q"])]
    for i, (name, parent, keypoint) in enumerate(BONES[1:]):
        q = from_vector(pose[3 * i:3 * i + 3])
        x, y, z, w = whole[parent]
        there, here = hand["kp3d"][keypoint], hand["kp3d"][BONES[parent][2]]
        place = turn((-x, -y, -z, w), [a - b for a, b in zip(there, here)])
        whole.append(mul(whole[parent], q))
        out.append((f"{prefix}/{BONES[parent][0]}", f"{prefix}/{name}", place, q))
    return out


def joints(hand):
    """Names and radians for a JointState; needs --include angles."""
    names, values = [], []
    for (name, _, _), row in zip(BONES[1:], hand.get("angles", [])):
        for what, value in zip(("flexion", "abduction"), row):
            names.append(f"{hand['side']}_{name}_{what}")
            values.append(float("nan") if value is None else value)
    return names, values
