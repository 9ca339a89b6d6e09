"""Blender's view of the program's meshes, against the npz of the same run: scripts/check-blender runs this.

Blender has z up and y away from the viewer: a point (x, y, z) of the camera frame must arrive at (x, z, -y).
glTF files do so by themselves; an OBJ carries the camera frame's axes and needs forward Z, up -Y at import.
"""

import os
import sys

import bpy  # first: the others are in it
import bmesh
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

WIDTH, HEIGHT = 640, 480  # demo/hands.png
TOLERANCE = 1e-5          # metres
PIXELS = 0.01


def check(what, good, detail=""):
    print(f"{'ok    ' if good else 'NOT OK'} {what}{': ' if detail else ''}{detail}")
    if not good:
        check.failed += 1


check.failed = 0


def outward(obj):
    """Faces that Blender would turn round, and the volume in litres with the wrist closed."""
    b = bmesh.new()
    b.from_mesh(obj.data)
    b.faces.ensure_lookup_table()
    before = [f.normal.copy() for f in b.faces]
    bmesh.ops.recalc_face_normals(b, faces=b.faces[:])
    turned = sum(f.normal.dot(n) < 0 for f, n in zip(b.faces, before))
    b.free()
    b = bmesh.new()
    b.from_mesh(obj.data)
    bmesh.ops.holes_fill(b, edges=b.edges[:], sides=0)
    litres = 1000 * b.calc_volume(signed=True)
    b.free()
    return turned, litres


def bends(keypoints, vertices, points):
    """How far the long fingers' tips lie over the back of a right hand; fingers bend away from it, so that this
    is negative for a right hand and positive for a left one. From the imported points nearest to the keypoints."""
    near = [points[np.linalg.norm(vertices - k, axis=1).argmin()] for k in keypoints]
    back = np.cross(near[17] - near[0], near[5] - near[0])
    return np.mean([near[k + 3] - near[k] for k in (5, 9, 13, 17)], axis=0) @ back / np.linalg.norm(back)


def hand(obj, z, i, what):
    """One imported mesh against hand i."""
    side = "right" if z["is_right"][i] else "left"
    p = z["pred_vertices"][i].astype(np.float64) + z["pred_cam_t_full"][i]
    want = np.stack([p[:, 0], p[:, 2], -p[:, 1]], axis=1)
    check(f"{what}: 778 vertices, 1538 triangles", (len(obj.data.vertices), len(obj.data.polygons)) == (778, 1538))
    got = np.array([obj.matrix_world @ v.co for v in obj.data.vertices])
    if got.shape != want.shape:
        return
    off = np.abs(got - want).max()
    check(f"{what}: vertices at (x, z, -y)", off < TOLERANCE, f"off by {off:.1e} m")
    size = got.max(axis=0) - got.min(axis=0)
    off = np.abs(size - np.ptp(want, axis=0)).max()
    check(f"{what}: size in metres", off < TOLERANCE, " x ".join(f"{s:.4f}" for s in size) + f", off by {off:.1e}")
    check(f"{what}: scale 1", max(abs(s - 1) for s in obj.matrix_world.to_scale()) < 1e-6)
    turned, litres = outward(obj)
    check(f"{what}: faces outwards", turned == 0 and 0.05 < litres < 1, f"{turned} turned, {litres:.3f} litres")
    check(f"{what}: is called a {side} one", side in obj.name, obj.name)
    bend = bends(z["pred_keypoints_3d"][i], z["pred_vertices"][i], got)
    check(f"{what}: bends as a {side} hand does", bend < -0.002 if side == "right" else bend > 0.002,
          f"fingertips {abs(bend) * 1000:.1f} mm to the palm's side")


def sides(objects, z, what):
    """In view, the hands stand beside each other as their wrists do in the picture."""
    wrist = z["pred_keypoints_3d"][:, 0] + z["pred_cam_t_full"]
    middle = [np.mean([(o.matrix_world @ v.co).x for v in o.data.vertices]) for o in objects]
    order = np.argsort(wrist[:, 0])
    names = ["right" if z["is_right"][i] else "left" for i in order]
    check(f"{what}: from left to right: {', then '.join(names)}", list(np.argsort(middle)) == list(order))


def normals(obj, what):
    """The file's own normals against those that Blender computes from the triangles."""
    mesh = obj.data
    own = np.array([n.vector for n in mesh.corner_normals])
    faces = np.array([mesh.polygons[i // 3].normal for i in range(len(own))])
    cosine = (own * faces).sum(axis=1)
    check(f"{what}: has normals, which look outwards", mesh.has_custom_normals and np.mean(cosine > 0.5) > 0.99
          and abs(np.linalg.norm(own, axis=1) - 1).max() < 1e-3, f"median cosine to the triangles {np.median(cosine):.4f}")


def camera(z, mirrored, what):
    cameras = [o for o in bpy.data.objects if o.type == "CAMERA"]
    check(f"{what}: one camera", len(cameras) == 1)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.resolution_percentage = 100
    worst = 0
    for i in range(len(z["is_right"])):
        p = z["pred_vertices"][i].astype(np.float64) + z["pred_cam_t_full"][i]
        for x, y, depth in p[::7]:
            seen = world_to_camera_view(scene, cameras[0], Vector((x, depth, -y)))
            f = float(z["scaled_focal_length"][i])
            worst = max(worst, abs(seen.x * WIDTH - (f * x / depth + WIDTH / 2)),
                        abs((1 - seen.y) * HEIGHT - (f * y / depth + HEIGHT / 2)))
    check(f"{what}: Blender's camera sees the vertices at their pixels", worst < PIXELS, f"off by {worst:.1e} pixels")
    check(f"{what}: mirrored is {mirrored}", cameras[0].get("mirrored") == mirrored)


def gltf(path, z, mirrored):
    what = os.path.basename(path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=path)
    bpy.context.view_layer.update()
    meshes = sorted((o for o in bpy.data.objects if o.type == "MESH"), key=lambda o: o.name)
    kinds = sorted(o.type for o in bpy.data.objects)
    check(f"{what}: a picture, its camera, two hands", kinds == ["CAMERA", "EMPTY", "MESH", "MESH"], ", ".join(kinds))
    for i, obj in enumerate(meshes):
        side = "right" if z["is_right"][i] else "left"
        hand(obj, z, i, f"{what} hand {i}")
        normals(obj, f"{what} hand {i}")
        check(f"{what} hand {i}: extras", obj.get("side") == side and obj.get("score") == 1.0
              and obj.get("source") == "demo/hands.png")
        check(f"{what} hand {i}: parent and material", obj.parent.name == "hands"
              and obj.data.materials[0].name.startswith(side) and not obj.data.materials[0].use_backface_culling)
    sides(meshes, z, what)
    camera(z, mirrored, what)


def objs(folder, z):
    what = os.path.basename(folder) + "/*.obj"
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for name in sorted(os.listdir(folder)):
        bpy.ops.wm.obj_import(filepath=os.path.join(folder, name), forward_axis="Z", up_axis="NEGATIVE_Y")
    bpy.context.view_layer.update()
    meshes = sorted((o for o in bpy.data.objects if o.type == "MESH"), key=lambda o: o.name)
    check(f"{what}: two hands", len(bpy.data.objects) == 2)
    for i, obj in enumerate(meshes):
        hand(obj, z, i, f"{os.path.basename(folder)}/{obj.name}.obj")
    sides(meshes, z, what)


print("Blender", bpy.app.version_string)
for view in "plain", "mirrored":
    arrays = np.load(os.path.join(sys.argv[1], view + ".npz"))
    gltf(os.path.join(sys.argv[1], view + ".glb"), arrays, view == "mirrored")
    objs(os.path.join(sys.argv[1], view), arrays)
    if view == "plain":
        gltf(os.path.join(sys.argv[1], view + ".gltf"), arrays, False)
print("all is as it should be" if not check.failed else f"{check.failed} checks failed")
sys.stdout.flush()
# Not sys.exit: bpy 4.2.0 as a module crashes when the interpreter ends after any glTF import.
os._exit(check.failed > 0)
