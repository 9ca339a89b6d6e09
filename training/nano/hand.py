"""The CC0 hand (MANO's file layout) as a batched torch module: rotations and betas to vertices, joints and keypoints.

Semantics are those of the MANO section of the model's specification: a right hand, metres, no translation. Everything is
float32, also inside of an autocast region. One matrix product does shape and pose blend shapes, another one the skinning.
"""
import os

import numpy as np
import torch
from torch import nn

TIPS = ("thumb", "index", "middle", "ring", "pinky")  # order of extra_joints_idxs
SKELETON = ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10, 11, 12), (0, 13, 14, 15, 16), (0, 17, 18, 19, 20))  # of the 21 keypoints


def default_npz():
    """The hand's file: $WILOR_HAND, or the one that the project's tests use."""
    here = os.path.dirname(os.path.abspath(__file__))
    tried = [os.environ.get("WILOR_HAND", ""), os.path.join(here, "../../tests/golden/data/hand-cc0.npz")]
    for path in tried:
        if path and os.path.exists(path):
            return path
    raise FileNotFoundError("hand-cc0.npz: set WILOR_HAND to its path")


class Hand(nn.Module):
    """A right hand of V vertices and 16 joints. Tensors live on `device`; none is trained or saved with a model."""

    def __init__(self, npz_path=None, device="cpu"):
        super().__init__()
        path = npz_path or default_npz()
        with np.load(path) as f:
            d = {k: f[k] for k in f.files}
        self.npz_path = path
        parents = [int(p) for p in d["parents"]]
        parents[0] = -1
        self.parents = parents
        self.levels = self._levels(parents)
        f32 = lambda a: torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)).to(device)
        i64 = lambda a: torch.from_numpy(np.ascontiguousarray(a, dtype=np.int64)).to(device)
        v = d["v_template"].shape[0]
        keep = lambda name, t: self.register_buffer(name, t, persistent=False)
        keep("v_template", f32(d["v_template"]))  # (V, 3)
        keep("shapedirs", f32(d["shapedirs"]))  # (V, 3, 10)
        keep("posedirs", f32(d["posedirs"]))  # (135, V*3)
        keep("J_regressor", f32(d["J_regressor"]))  # (16, V)
        keep("lbs_weights", f32(d["lbs_weights"]))  # (V, 16)
        keep("faces", i64(d["faces"]))  # (F, 3)
        keep("tips", i64(d["extra_joints_idxs"]))  # (5): thumb index middle ring pinky
        keep("joint_map", i64(d["joint_map"]))  # (21)
        keep("init_hand_pose", f32(d["init_hand_pose"]))  # (96): 16 x 6D in the model's layout
        keep("init_betas", f32(d["init_betas"]))
        keep("uv", f32(d["uv"]) if "uv" in d else torch.zeros(v, 2, device=device))
        reg = d["J_regressor"].astype(np.float64)
        keep("joints_template", f32(reg @ d["v_template"]))  # (16, 3)
        keep("joints_shapedirs", f32(np.einsum("jv,vck->kjc", reg, d["shapedirs"].astype(np.float64))))  # (10, 16, 3)
        blend = np.concatenate([d["posedirs"], d["shapedirs"].reshape(v * 3, 10).T])
        keep("blend", f32(blend))  # (145, V*3): pose correctives, then shape
        keep("eye", torch.eye(3, device=device))
        keep("parent_index", i64(np.maximum(parents, 0)))
        for k, joints in enumerate(self.levels):
            keep(f"level{k}", i64(joints))
            above = [0] if k == 0 else self.levels[k - 1]
            keep(f"above{k}", i64([above.index(parents[j]) for j in joints]))  # the parent's place in the level above
        # where each joint stands after the levels are put one behind the other
        order = [0] + [j for joints in self.levels for j in joints]
        keep("unsort", i64(np.argsort(order)))
        self.num_verts = v

    @staticmethod
    def _levels(parents):
        """Joints by distance from the wrist, without the wrist itself."""
        depth = [0] * len(parents)
        for j in range(1, len(parents)):
            depth[j] = depth[parents[j]] + 1
        return [[j for j in range(len(parents)) if depth[j] == k] for k in range(1, max(depth) + 1)]

    def rest_joints(self, betas):
        """(B, 10) -> (B, 16, 3): the joints of the shaped hand before posing."""
        b = betas.float()
        return self.joints_template + (b @ self.joints_shapedirs.reshape(10, 48)).reshape(-1, 16, 3)

    def transforms(self, rotmats, rest):
        """World rotations (B, 16, 3, 3) and posed joints (B, 16, 3) along the tree, a level of it at a time."""
        turn, place = [rotmats[:, :1]], [rest[:, :1]]
        bone = rest - rest[:, self.parent_index]
        for k, joints in enumerate(self.levels):
            idx, up = getattr(self, f"level{k}"), getattr(self, f"above{k}")
            up_turn, up_place = turn[-1][:, up], place[-1][:, up]
            place.append(up_place + (up_turn @ bone[:, idx, :, None])[..., 0])
            turn.append(up_turn @ rotmats[:, idx])
        return torch.cat(turn, 1)[:, self.unsort], torch.cat(place, 1)[:, self.unsort]

    def forward(self, rotmats, betas):
        """rotmats (B, 16, 3, 3), betas (B, 10) -> vertices (B, V, 3), joints (B, 16, 3), keypoints (B, 21, 3) in OpenPose order."""
        with torch.autocast(rotmats.device.type, enabled=False):
            return self._forward(rotmats.float(), betas.float())

    def _forward(self, rotmats, betas):
        n = rotmats.shape[0]
        rest = self.rest_joints(betas)
        turn, place = self.transforms(rotmats, rest)
        shift = place - (turn @ rest[..., None])[..., 0]
        feature = torch.cat([(rotmats[:, 1:] - self.eye).reshape(n, 135), betas], 1)
        posed = torch.addmm(self.v_template.reshape(-1), feature, self.blend).reshape(n, -1, 3)
        a = torch.cat([turn, shift[..., None]], -1).reshape(n, 16, 12)
        t = torch.matmul(self.lbs_weights, a).reshape(n, -1, 3, 4)  # (B, V, 3, 4)
        verts = (t[..., :3] * posed[:, :, None]).sum(-1) + t[..., 3]
        points = torch.cat([place, verts[:, self.tips]], 1)[:, self.joint_map]
        return verts, place, points


def rot6d_to_matrix(r):
    """(..., 6) -> (..., 3, 3): columns b1, b2, b3; the two given vectors lie one behind the other (the model's layout)."""
    a1, a2 = r[..., 0:3].float(), r[..., 3:6].float()
    unit = lambda v: v / v.square().sum(-1, keepdim=True).clamp_min(1e-24).sqrt()
    b1 = unit(a1)
    b2 = unit(a2 - (b1 * a2).sum(-1, keepdim=True) * b1)
    return torch.stack([b1, b2, torch.linalg.cross(b1, b2)], -1)


def matrix_to_rot6d(m):
    """(..., 3, 3) -> (..., 6): the first two columns."""
    return torch.cat([m[..., :, 0], m[..., :, 1]], -1)


def skew(v):
    """(..., 3) -> (..., 3, 3): the matrix whose product with a vector is v's cross product with it."""
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*v.shape[:-1], 3, 3)


def turn_about(axis, angle):
    """Rotations by `angle` (...) about unit vectors `axis` (..., 3) or (3)."""
    k = skew(axis.expand(*angle.shape, 3))
    s, c = torch.sin(angle)[..., None, None], torch.cos(angle)[..., None, None]
    return torch.eye(3, device=axis.device) + s * k + (1 - c) * (k @ k)


def axis_angle_to_matrix(v):
    """Rotation vectors (..., 3) -> (..., 3, 3) by Rodrigues' formula, smooth at zero."""
    t2 = v.square().sum(-1)[..., None, None]
    t = t2.clamp_min(1e-12).sqrt()
    a = torch.where(t2 < 1e-8, 1 - t2 / 6, torch.sin(t) / t)
    b = torch.where(t2 < 1e-8, 0.5 - t2 / 24, (1 - torch.cos(t)) / t2.clamp_min(1e-12))
    k = skew(v)
    return torch.eye(3, device=v.device, dtype=v.dtype) + a * k + b * (k @ k)
