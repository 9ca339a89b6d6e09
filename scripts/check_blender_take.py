"""Blender's view of a take, against what MANO gives: check_blender_take.py FOLDER, which test_live_take has filled.

The mesh as Blender deforms it (shape keys, armature) in some frames of the GLB, bone heads of the BVH. Blender has z up: a
point (x, y, z) of the camera frame must arrive at (x, z, -y)."""
import json
import sys

import bpy  # first: the others are in it
import numpy as np

TOLERANCE = 1e-5  # metres
folder, failed = sys.argv[-1], 0
truth = json.load(open(f"{folder}/take.json"))


def check(what, off):
    global failed
    good = off < TOLERANCE
    failed += not good
    print(f"{'ok    ' if good else 'NOT OK'} {what}: off by {off:.1e} m")


def wanted(hand, key):
    p = np.array(hand[key]).reshape(-1, 3) + np.array(hand["cam_t"])
    return np.stack([p[:, 0], p[:, 2], -p[:, 1]], 1)


def at(seconds, first):
    scene = bpy.context.scene
    frame = first + seconds * scene.render.fps / scene.render.fps_base
    scene.frame_set(int(frame + 1e-4), subframe=max(0.0, min(frame - int(frame + 1e-4), 0.999)))


bpy.ops.wm.read_factory_settings(use_empty=True)
print("Blender", bpy.app.version_string)
bpy.ops.import_scene.gltf(filepath=f"{folder}/take.glb")
for hand in truth[::5]:
    at(hand["t"], 0)
    (mesh,) = [o for o in bpy.data.objects if o.type == "MESH" and o.name == f"hand {hand['id']}"]
    seen = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    got = np.array([seen.matrix_world @ v.co for v in seen.to_mesh().vertices])
    check(f"take.glb hand {hand['id']} at {hand['t']:.2f} s: 778 vertices", np.abs(got - wanted(hand, "vertices")).max())
left = bpy.data.objects["hand 9"]
at(0, 0)
seen = left.evaluated_get(bpy.context.evaluated_depsgraph_get())
check("take.glb hand 9 before it comes: of no size", np.ptp([seen.matrix_world @ v.co for v in seen.to_mesh().vertices], 0).max())

BONES = {"wrist": 0, "thumb1": 1, "thumb2": 2, "thumb3": 3, "index1": 5, "index2": 6, "index3": 7, "middle1": 9,
         "middle2": 10, "middle3": 11, "ring1": 13, "ring2": 14, "ring3": 15, "little1": 17, "little2": 18, "little3": 19}
for name, hand_id in (("take_7_right", 7), ("take_9_left", 9)):
    bpy.ops.import_anim.bvh(filepath=f"{folder}/{name}.bvh", axis_forward="-Z", axis_up="Y", update_scene_fps=True)
    rig, off = bpy.context.object, 0
    for i, hand in enumerate(h for h in truth if h["id"] == hand_id):
        bpy.context.scene.frame_set(1 + i)
        want = wanted(hand, "kp3d")
        off = max(off, max(np.abs(np.array(rig.matrix_world @ rig.pose.bones[b].head) - want[k]).max()
                           for b, k in BONES.items()))
    check(f"{name}.bvh: 16 bones in all frames", off)
print("all is as it should be" if not failed else f"{failed} wrong")
sys.exit(failed > 0)
