"""check_ros2.py EXAMPLES/ros2 EVENT: what the ROS 2 example makes of an event, without ROS: frames followed from parent to child are
the event's points; the node, with stand-ins for ROS's modules, publishes them."""
import io
import json
import math
import sys
import types

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from wilor_hands import convert  # noqa: E402

event = json.load(open(sys.argv[2]))
hands = convert.shown(event)
assert hands["right"]["id"] == 13 and hands["left"]["id"] == 10  # of two right hands the older

NAMES = {"index": 5, "middle": 9, "ring": 13, "little": 17, "thumb": 1}
for side, hand in hands.items():
    place, rotation = {}, {}
    frames = convert.frames(hand)
    assert len(frames) == 16
    for parent, name, p, q in frames:
        assert abs(sum(x * x for x in q) - 1) < 1e-6
        if parent is None:
            place[name], rotation[name] = p, q
        else:
            place[name] = [a + b for a, b in zip(place[parent], convert.turn(rotation[parent], p))]
            rotation[name] = convert.mul(rotation[parent], q)
        bone = name.split("/")[1]
        k = 0 if bone == "wrist" else NAMES[bone[:-1]] + int(bone[-1]) - 1
        want = [a + b for a, b in zip(hand["kp3d"][k], hand["cam_t"])]
        assert max(abs(a - b) for a, b in zip(place[name], want)) < 1e-6, name
    names, values = convert.joints(hand)
    assert names[0] == f"{side}_index1_flexion" and names[7 * 2] == f"{side}_little2_flexion" and len(names) == 30
    assert values == sum(hand["angles"], [])
assert abs(convert.capture_seconds(event) - (event["t_utc"] - event["t_ready"] + event["t_capture"]) * 1e-6) < 1e-6
broken = json.loads(json.dumps(event))
broken["hands"][1]["kp3d"][4][1] = None
assert set(convert.shown(broken)) == {"right"}
plain = {k: v for k, v in hands["left"].items() if k not in ("mano", "angles")}
assert len(convert.frames(plain)) == 1 and convert.joints(plain) == ([], [])


class Any:
    """Takes every attribute."""
    def __init__(self, **values):
        self.__dict__.update(values)

    def __getattr__(self, name):
        made = Any()
        setattr(self, name, made)
        return made


sent, published, warned = [], [], []


class Node:
    def __init__(self, name):
        self.name = name

    def declare_parameter(self, name, value):
        return types.SimpleNamespace(value=value)

    def create_publisher(self, kind, topic, depth):
        return types.SimpleNamespace(publish=published.append)

    def get_logger(self):
        return types.SimpleNamespace(warn=lambda text, once: warned.append(text), error=warned.append)

    def destroy_node(self):
        pass


def module(name, **members):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(members)


for name in ("builtin_interfaces", "geometry_msgs", "sensor_msgs"):
    module(name)
module("rclpy", init=lambda: None, ok=lambda: True, try_shutdown=lambda: None)
module("rclpy.node", Node=Node)
module("builtin_interfaces.msg", Time=Any)
module("geometry_msgs.msg", TransformStamped=Any)
module("sensor_msgs.msg", JointState=Any)
module("tf2_ros", TransformBroadcaster=lambda node: types.SimpleNamespace(sendTransform=sent.extend))
from wilor_hands import node  # noqa: E402

event["camera"]["metric"] = False
sys.stdin = io.StringIO("\n".join([json.dumps({"v": 1, "type": "hello"}), json.dumps(event),
                                   json.dumps({"v": 1, "type": "error", "code": 500, "message": "gone"})]))
node.main()
assert len(sent) == 32 and len(published) == 2 and len(warned) == 2
assert {t.header.frame_id for t in sent if t.child_frame_id.endswith("wrist")} == {"camera_color_optical_frame"}
assert math.isclose(sent[0].header.stamp.sec + sent[0].header.stamp.nanosec * 1e-9, convert.capture_seconds(event), abs_tol=1e-6)
print("32 frames, 2 joint states")
