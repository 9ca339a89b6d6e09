"""check_take.py FOLDER: take.glb and the BVH files show what take.json says MANO gives: joints of every frame and vertices of
some, by this file's own parser and forward kinematics after the glTF and BVH texts. Nothing but Python."""
import json
import math
import struct
import sys

MOST = 1e-5  # metres
folder = sys.argv[1]
truth = json.load(open(f"{folder}/take.json"))


def mul(a, b):
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (aw * bx + ax * bw + ay * bz - az * by, aw * by + ay * bw + az * bx - ax * bz,
            aw * bz + az * bw + ax * by - ay * bx, aw * bw - ax * bx - ay * by - az * bz)


def turn(q, v):
    return mul(mul(q, (*v, 0)), (-q[0], -q[1], -q[2], q[3]))[:3]


def gltf_axes(p):
    return p[0], -p[1], -p[2]


def wanted(hand, key):
    flat = hand[key]
    return [gltf_axes([a + b for a, b in zip(flat[i:i + 3], hand["cam_t"])]) for i in range(0, len(flat), 3)]


def worst(a, b):
    return max(max(abs(x - y) for x, y in zip(p, q)) for p, q in zip(a, b))


class Glb:
    SIZES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}

    def __init__(self, path):
        data = open(path, "rb").read()
        magic, version, total, length, kind = struct.unpack_from("<4sIIII", data)
        assert (magic, version, total, kind) == (b"glTF", 2, len(data), 0x4E4F534A)
        self.doc = json.loads(data[20:20 + length])
        size, kind = struct.unpack_from("<II", data, 20 + length)
        assert kind == 0x004E4942 and 28 + length + size == total == len(data)
        self.bin = data[28 + length:]
        assert self.doc["buffers"] == [{"byteLength": size}]

    def rows(self, i):
        a = self.doc["accessors"][i]
        view = self.doc["bufferViews"][a["bufferView"]]
        n, width = a["count"], self.SIZES[a["type"]]
        kind = {5126: "f", 5125: "I", 5121: "B"}[a["componentType"]]
        assert view["byteLength"] == struct.calcsize(kind) * n * width and view["byteOffset"] % 4 == 0
        flat = struct.unpack_from(f"<{n * width}{kind}", self.bin, view["byteOffset"])
        rows = [flat[k:k + width] for k in range(0, n * width, width)]
        for name, pick in (("min", min), ("max", max)):
            if name in a:
                assert list(map(pick, zip(*rows))) == [struct.unpack("f", struct.pack("f", x))[0] for x in a[name]]
        return rows


def check_glb():
    g = Glb(f"{folder}/take.glb")
    doc, (animation,) = g.doc, g.doc["animations"]
    channels = {}
    for c in animation["channels"]:
        s = animation["samplers"][c["sampler"]]
        times = [r[0] for r in g.rows(s["input"])]
        assert all(a < b for a, b in zip(times, times[1:])) and times[0] >= 0
        assert "min" in doc["accessors"][s["input"]]
        channels[c["target"]["node"], c["target"]["path"]] = times, g.rows(s["output"]), s["interpolation"]
    roots, seen = doc["scenes"][0]["nodes"], 0
    for n, node in enumerate(doc["nodes"]):
        if "skin" not in node:
            continue
        skin, mesh = doc["skins"][node["skin"]], doc["meshes"][node["mesh"]]
        (hand,) = [r for r in roots if doc["nodes"][r].get("children") == [skin["joints"][0]]]
        extras = doc["nodes"][hand]["extras"]
        frames = [f for f in truth if f["id"] == extras["id"]]
        assert extras["side"] == {7: "right", 9: "left"}[extras["id"]] and n in roots
        check_hand(g, skin, mesh["primitives"][0], frames, channels, n)
        check_presence(channels.get((hand, "scale")), frames)
        seen += 1
    assert seen == 2


def check_hand(g, skin, primitive, frames, channels, mesh_node):
    joints, ibm = skin["joints"], g.rows(skin["inverseBindMatrices"])
    parents = {c: n for n, node in enumerate(g.doc["nodes"]) for c in node.get("children", [])}
    names = [g.doc["nodes"][j]["name"] for j in joints]
    attributes = primitive["attributes"]
    base = g.rows(attributes["POSITION"])
    sets = [(g.rows(attributes[f"JOINTS_{k}"]), g.rows(attributes[f"WEIGHTS_{k}"])) for k in range(2)]
    weights = [[(j, w) for js, ws in sets for j, w in zip(js[v], ws[v]) if w] for v in range(len(base))]
    assert all(abs(sum(w for _, w in row) - 1) < 1e-6 for row in weights)
    targets = [g.rows(t["POSITION"]) for t in primitive["targets"]]
    normals = g.rows(attributes["NORMAL"])
    assert len(targets) == 225 and all(abs(sum(x * x for x in n) - 1) < 1e-5 for n in normals)
    times, places, _ = channels[joints[0], "translation"]
    assert len(times) == len(frames), (len(times), len(frames))
    point_of = {"wrist": 0, "thumb1": 1, "thumb2": 2, "thumb3": 3, "index1": 5, "index2": 6, "index3": 7, "middle1": 9,
                "middle2": 10, "middle3": 11, "ring1": 13, "ring2": 14, "ring3": 15, "little1": 17, "little2": 18,
                "little3": 19}
    off_joints = off_vertices = 0
    for i, f in enumerate(frames):
        assert abs(times[i] - f["t"]) < 1e-6
        place, rotation = {}, {}
        for j in joints:
            node = g.doc["nodes"][j]
            local = places[i] if j == joints[0] else node["translation"]
            q = channels[j, "rotation"][1][i]
            assert abs(sum(x * x for x in q) - 1) < 1e-5
            if i:
                assert sum(a * b for a, b in zip(q, channels[j, "rotation"][1][i - 1])) >= 0
            if j == joints[0]:
                place[j], rotation[j] = local, q
            else:
                p = parents[j]
                place[j] = [a + b for a, b in zip(place[p], turn(rotation[p], local))]
                rotation[j] = mul(rotation[p], q)
        kp = wanted(f, "kp3d")
        off_joints = max(off_joints, worst([place[j] for j in joints], [kp[point_of[n]] for n in names]))
        if i % 5 == 1:
            much = [r[0] for r in channels[mesh_node, "weights"][1][225 * i:225 * i + 225]]
            assert all(0 <= m < 1 + 1e-6 for m in much)
            got = []
            for v in range(0, len(base), 3):
                p = [base[v][k] + sum(m * t[v][k] for m, t in zip(much, targets)) for k in range(3)]
                out = [0, 0, 0]
                for j, w in weights[v]:
                    at = [p[k] + ibm[j][12 + k] for k in range(3)]
                    moved = turn(rotation[joints[j]], at)
                    out = [o + w * (a + b) for o, a, b in zip(out, place[joints[j]], moved)]
                got.append(out)
            off_vertices = max(off_vertices, worst(got, wanted(f, "vertices")[::3]))
    print(f"hand {frames[0]['id']}: joints off by {off_joints:.1e} m, vertices by {off_vertices:.1e} m")
    assert off_joints < MOST and 0 < off_vertices < MOST


def check_presence(channel, frames):
    if frames[0]["id"] == 7:
        assert channel is None  # there all the time
        return
    times, scales, how = channel
    shown = lambda t: max((k for k in range(len(times)) if times[k] <= t), default=0)
    assert how == "STEP" and times[0] == 0
    for f in truth:
        is_here = any(abs(x["t"] - f["t"]) < 1e-6 for x in frames)
        assert scales[shown(f["t"] + 1e-6)] == ((1, 1, 1) if is_here else (0, 0, 0)), f["t"]


def rotation_of(axis, degrees):
    half = math.radians(degrees) / 2
    return tuple(math.sin(half) * (axis == k) for k in "XYZ") + (math.cos(half),)


def check_bvh(name, hand_id):
    words = iter(open(f"{folder}/{name}").read().split())
    stack, joints = [], []  # name, parent, offset, channels
    for word in words:
        if word in ("ROOT", "JOINT", "End"):
            joints.append({"name": next(words), "parent": stack[-1] if stack else None, "channels": []})
        elif word == "{":
            stack.append(len(joints) - 1)
        elif word == "}":
            stack.pop()
        elif word == "OFFSET":
            joints[stack[-1]]["offset"] = [float(next(words)) for _ in range(3)]
        elif word == "CHANNELS":
            joints[stack[-1]]["channels"] = [next(words) for _ in range(int(next(words)))]
        elif word == "MOTION":
            break
    assert [next(words), next(words)][0] == "Frames:"
    text = open(f"{folder}/{name}").read()
    frames = [f for f in truth if f["id"] == hand_id]
    assert f"Frames: {len(frames)}\n" in text
    step = float(text.split("Frame Time:")[1].split()[0])
    assert abs(step - 0.04) < 1e-6
    lines = [list(map(float, line.split())) for line in text.split("Frame Time:")[1].split("\n")[1:] if line]
    assert len(lines) == len(frames)
    order = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3]
    off = tips = 0
    for line, f in zip(lines, frames):
        values, place, rotation, got, ends = iter(line), [], [], [], []
        for j in joints:
            local, q = list(j["offset"]), (0, 0, 0, 1)
            for c in j["channels"]:
                x = next(values)
                if c.endswith("position"):
                    local["XYZ".index(c[0])] += x
                else:
                    q = mul(q, rotation_of(c[0], x))
            p = j["parent"]
            at = local if p is None else [a + b for a, b in zip(place[p], turn(rotation[p], local))]
            place.append(at)
            rotation.append(q if p is None else mul(rotation[p], q))
            (got if j["channels"] else ends).append(at)
        assert next(values, None) is None
        kp = wanted(f, "kp3d")
        off = max(off, worst(got, [kp[k] for k in order]))
        tips = max(tips, worst(ends, [kp[k] for k in (8, 12, 20, 16, 4)]))
    print(f"{name}: joints off by {off:.1e} m, tips by {tips:.1e} m")
    assert off < MOST and tips < 0.01  # tips are skin, which bends


check_glb()
check_bvh("take_7_right.bvh", 7)
check_bvh("take_9_left.bvh", 9)
