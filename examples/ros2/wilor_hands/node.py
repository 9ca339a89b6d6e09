"""wilor's events to ROS 2: hands as TF frames and joint states.

Parameters: source, "-" for NDJSON on the standard input or the address of a server's /ws; frame, the camera's optical frame; room,
the frame that wilor's --extrinsics leads to."""
import json
import sys

import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from tf2_ros import TransformBroadcaster

from . import convert


def lines(source):
    if source == "-":
        yield from sys.stdin
        return
    from websockets.sync.client import connect  # pip install websockets
    with connect(source, subprotocols=["wilor.v1.json"]) as socket:
        yield from socket


class Hands(Node):
    def __init__(self):
        super().__init__("wilor_hands")
        self.source = self.declare_parameter("source", "-").value
        self.frame = self.declare_parameter("frame", "camera_color_optical_frame").value
        self.room = self.declare_parameter("room", "map").value
        self.tf = TransformBroadcaster(self)
        self.states = self.create_publisher(JointState, "hand_joints", 10)

    def take(self, event):
        seconds = convert.capture_seconds(event)
        stamp = Time(sec=int(seconds), nanosec=int(seconds % 1 * 1e9))
        origin = self.room if "extrinsics" in event else self.frame
        if not event["camera"]["metric"]:
            self.get_logger().warn("distances are guessed: give wilor --intrinsics", once=True)
        for hand in convert.shown(event).values():
            transforms = []
            for parent, name, p, q in convert.frames(hand):
                t = TransformStamped()
                t.header.stamp, t.header.frame_id, t.child_frame_id = stamp, parent or origin, name
                t.transform.translation.x, t.transform.translation.y, t.transform.translation.z = p
                r = t.transform.rotation
                r.x, r.y, r.z, r.w = q
                transforms.append(t)
            self.tf.sendTransform(transforms)
            state = JointState()
            state.header.stamp = stamp
            state.name, state.position = convert.joints(hand)
            if state.name:
                self.states.publish(state)


def main():
    rclpy.init()
    node = Hands()
    try:
        for line in lines(node.source):
            event = json.loads(line)
            if event.get("type") == "hands":
                node.take(event)
            elif event.get("type") == "error":
                node.get_logger().error(event["message"])
            if not rclpy.ok():
                break
    except KeyboardInterrupt:
        pass
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
