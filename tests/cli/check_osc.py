"""check_osc.py PACKETS EVENT: the packets that test_live_osc received, decoded here, say what the event (JSON of the same
hands) says. The parser follows the OSC 1.0 text; where python-osc is installed it must read the same. Rotations are
followed down to the fingertips: what an avatar with these bones shows is the event's hand, mirrored into Unity's axes."""
import json
import struct
import sys


def text(data, at):
    end = data.index(0, at)
    return data[at:end].decode(), at + (end - at) // 4 * 4 + 4


def parse(packet):
    assert packet[:8] == b"#bundle\0" and struct.unpack(">Q", packet[8:16]) == (1,)
    at, out = 16, []
    while at < len(packet):
        (size,) = struct.unpack_from(">i", packet, at)
        message, at = packet[at + 4:at + 4 + size], at + 4 + size
        address, k = text(message, 0)
        tags, k = text(message, k)
        assert tags[0] == ","
        values = []
        for tag in tags[1:]:
            if tag == "s":
                value, k = text(message, k)
            else:
                (value,) = struct.unpack_from({"i": ">i", "f": ">f"}[tag], message, k)
                k += 4
            values.append(value)
        assert k == len(message), address
        out.append((address, values))
    return out


def mul(a, b):
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (aw * bx + ax * bw + ay * bz - az * by, aw * by + ay * bw + az * bx - ax * bz,
            aw * bz + az * bw + ax * by - ay * bx, aw * bw - ax * bx - ay * by - az * bz)


def turn(q, v):
    x, y, z, _ = mul(mul(q, (*v, 0)), (-q[0], -q[1], -q[2], q[3]))
    return x, y, z


FINGERS = {"Thumb": 1, "Index": 5, "Middle": 9, "Ring": 13, "Little": 17}


def check_side(side, hand, bones):
    """The bones' chain, in Unity's left-handed axes, ends where the event's points are."""
    def unity(p):
        return p[0], -p[1], p[2]
    points = [unity([a + b for a, b in zip(p, hand["cam_t"])]) for p in hand["kp3d"]]
    root = bones[side + "Hand"]
    near(root[:3], points[0], side + "Hand")
    for finger, first in FINGERS.items():
        place, rotation = root[:3], root[3:]
        for i, part in enumerate(("Proximal", "Intermediate", "Distal")):
            bone = bones[side + finger + part]
            assert abs(sum(x * x for x in bone[3:]) - 1) < 1e-5 and bone[6] >= 0
            place = tuple(a + b for a, b in zip(place, turn(rotation, bone[:3])))
            near(place, points[first + i], f"{side}{finger}{part}")
            rotation = mul(rotation, bone[3:])


def near(a, b, what):
    assert all(abs(x - y) < 2e-6 for x, y in zip(a, b)), f"{what}: {a} instead of {b}"


def check_rotations(side, hand, bones):
    """MANO's own rotations, conjugated with the reflections here and not in the program's way."""
    def matrix(v):
        import math
        a = math.sqrt(sum(x * x for x in v))
        q = [math.sin(a / 2) * x / a for x in v] + [math.cos(a / 2)]
        return [turn(q, e) for e in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]  # columns
    def of(bone):
        return [turn(bones[bone][3:], e) for e in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    def reflect(columns, left, right):
        return [[left[r] * columns[c][r] * right[c] for r in range(3)] for c in range(3)]
    names = [f"{f}{p}" for f in ("Index", "Middle", "Little", "Ring", "Thumb")
             for p in ("Proximal", "Intermediate", "Distal")]
    wanted = reflect(matrix(hand["mano"]["global_orient"]), (1, -1, 1), (-1, 1, 1))
    for a, b in zip(of(side + "Hand"), wanted):
        near(a, b, side + "Hand")
    for i, name in enumerate(names):
        v = hand["mano"]["hand_pose"][3 * i:3 * i + 3]
        for a, b in zip(of(side + name), reflect(matrix(v), (-1, 1, 1), (-1, 1, 1))):
            near(a, b, side + name)


def main():
    data, packets = open(sys.argv[1], "rb").read(), []
    event = json.load(open(sys.argv[2]))
    while data:
        (n,) = struct.unpack_from("=I", data)
        packets.append(data[4:4 + n])
        data = data[4 + n:]
    messages = [m for p in packets for m in parse(p)]
    try:
        from pythonosc.osc_bundle import OscBundle
        theirs = [(m.address, list(m.params)) for p in packets for m in OscBundle(p)]
        assert theirs == messages
        print("python-osc reads the same")
    except ImportError:
        print("without python-osc")
    assert messages[0] == ("/VMC/Ext/OK", [1])
    assert messages[1][0] == "/VMC/Ext/T" and abs(messages[1][1][0] - event["t_capture"] * 1e-6) < 1e-2
    assert messages[2] == ("/VMC/Ext/Root/Pos", ["root", 0, 0, 0, 0, 0, 0, 1])
    bones = {v[0]: v[1:] for a, v in messages if a == "/VMC/Ext/Bone/Pos"}
    hands = event["hands"]
    # Of two right hands the one that was found first: the third made one is older.
    shown = {"Right": hands[2], "Left": hands[1]}
    assert len(bones) == 32, sorted(bones)
    for side, hand in shown.items():
        assert hand["side"] == side.lower()
        check_side(side, hand, bones)
        check_rotations(side, hand, bones)
    own = [m for m in messages if m[0].startswith("/wilor/")]
    f32 = lambda x: struct.unpack("f", struct.pack("f", x))[0]
    wanted = []
    for hand in hands:
        g, who = hand["gesture"], [hand["side"], hand["id"]]
        state = ["detected", "tracked", "predicted"].index(hand["state"])
        wanted += [("/wilor/hand", who + [f32(hand["conf"]), state]),
                   ("/wilor/pinch", who + [f32(g["pinch_strength"]), f32(g["pinch_distance"])]),
                   ("/wilor/grab", who + [f32(g["grab_strength"]), f32(g["grab_angle"])])]
    wanted += [("/wilor/lost", [i if i < 2**31 else i - 2**32]) for i in event["lost"]]
    assert own == wanted, (own, wanted)


main()
