"""What stands in a picture: hands with forearms and sleeves, and plain things, as one fixed list of triangles.

Slots (what can be switched on and coloured by itself), for K hands and N things:
  3k hand k, 3k + 1 its arm, 3k + 2 its sleeve, then 3K + n the things, then a body's skin, forearms, top, trousers and hair.
All geometry is batched torch; lengths are metres. A left hand is a right one mirrored in its rest frame's z (the thumb's side).
"""
import math

import torch

from .hand import skew, turn_about

RING = 16          # vertices around an arm: the hand's open wrist has 16
ARM_RINGS = 15
SLEEVE_RINGS = 12
LON, LAT = 18, 11  # of a thing's grid
CURVE = 64         # steps of an arm's centre line


def boundary_loop(faces):
    """The vertices of the mesh's one open loop, in order."""
    edges = {}
    for t in faces.tolist():
        for a, b in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0])):
            edges[(a, b)] = True
    after = {b: a for a, b in edges if (b, a) not in edges}
    first = min(after)
    loop = [first]
    while after[loop[-1]] != first:
        loop.append(after[loop[-1]])
    return loop


def turn_between(a, b):
    """Rotation matrices that take unit vectors a to b, (...,3) -> (...,3,3), the short way."""
    v, c = torch.linalg.cross(a, b), (a * b).sum(-1)[..., None, None]
    k = skew(v)
    return torch.eye(3, device=a.device) + k + k @ k / (1 + c).clamp_min(1e-3)


def strips(rows, closed_columns):
    """Triangles of a grid of `rows` lists of vertex numbers, closed around."""
    out = []
    for a, b in zip(rows[:-1], rows[1:]):
        n = closed_columns
        for i in range(n):
            j = (i + 1) % n
            out += [(a[i], b[i], a[j]), (a[j], b[i], b[j])]
    return out


def hand_attributes(hand):
    """(V,8): rest position, finger coordinate (0 knuckle .. 3 tip, < 0 palm), cosine to the back, sine, finger or -1, 0."""
    v, w = hand.v_template.cpu(), hand.lbs_weights.cpu()
    joints = hand.joints_template.cpu()
    tips = v[hand.tips.cpu()]
    chains = [(13, 14, 15, 0), (1, 2, 3, 1), (4, 5, 6, 2), (10, 11, 12, 3), (7, 8, 9, 4)]  # thumb, index, middle, ring, pinky
    out = torch.zeros(len(v), 8)
    out[:, :3], out[:, 6] = v, -1
    best = w.argmax(1)
    out[:, 3] = -0.05 - (v[:, 0] - joints[1:13:3, 0].mean()).clamp_min(0) / 0.09
    out[:, 4] = (v[:, 1] - 0.003).div(0.012).clamp(-1, 1)
    for a, b, c, f in chains:
        points = torch.stack([joints[a], joints[b], joints[c], tips[f]])
        mine = ((best == a) | (best == b) | (best == c)).nonzero()[:, 0]
        for i in mine.tolist():
            p, nearest = v[i], None
            for k in range(3):
                d = points[k + 1] - points[k]
                u = float(((p - points[k]) @ d) / (d @ d))
                q = min(max(u, -0.4 if k == 0 else 0.0), 1.15 if k == 2 else 1.0)
                gap = float((p - points[k] - q * d).norm())
                if nearest is None or gap < nearest[0]:
                    nearest = (gap, k, q, d / d.norm(), p - points[k] - q * d)
            _, k, q, d, off = nearest
            up = torch.tensor([0.0, 1.0, 0.0])
            if f == 0:  # the thumb's nail faces 60 degrees outward
                up = turn_about(d[None], torch.tensor([math.radians(-60.0)]))[0] @ (up - up @ d * d)
            up = up - up @ d * d
            up = up / up.norm()
            off = off / off.norm().clamp_min(1e-6)
            out[i, 3], out[i, 4] = k + q, off @ up
            out[i, 5], out[i, 6] = off @ torch.linalg.cross(d, up), f
    return out


BODY_SLOTS = ("skin", "forearm", "top", "trousers", "hair")
BODY_REGIONS = dict(forearm=1, torso=2, upperarm=2, pelvis=3, thigh=3, shin=3, foot=3, scalp=4, hair=4)  # others: skin


def body_part(body):
    """Triangles, slots (counted from 0) and attributes of a body (body.py), its long hair last."""
    slot_of = torch.tensor([BODY_REGIONS.get(name, 0) for name in body.regions])
    faces, hair = body.faces.cpu(), body.hair_faces.cpu()
    slots = slot_of[body.region.cpu()[faces]].amax(1)
    attributes = torch.zeros(len(body.v_template), 8)
    attributes[:, :3] = body.v_template.cpu()
    attributes[:, 3], attributes[:, 6] = -1.3, -1
    return torch.cat([faces, hair]), torch.cat([slots, torch.full((len(hair),), 4)]), attributes


class Figures:
    """Topology and posing of K hands (with arm and sleeve) and N things; a body's vertices come last."""

    def __init__(self, hand, hands, things, device, body=None):
        self.hand, self.hands, self.things, self.device = hand, hands, things, torch.device(device)
        self.loop = boundary_loop(hand.faces.cpu())
        assert len(self.loop) == RING
        self.slot_count = 3 * hands + things
        triangles, slots, attributes = [], [], []
        base = hand_attributes(hand)
        faces = hand.faces.cpu()
        ring_rest = hand.v_template.cpu()[self.loop]
        self.ring_loop = torch.tensor(self.loop, device=self.device)
        first = 0
        self.first_vertex = []
        for k in range(hands):
            self.first_vertex.append(first)
            hand_at, arm_at = first, first + len(base)
            sleeve_at = arm_at + (ARM_RINGS - 1) * RING
            first = sleeve_at + SLEEVE_RINGS * RING
            triangles += [faces + hand_at]
            slots += [torch.full((len(faces),), 3 * k)]
            rows = [[hand_at + i for i in self.loop]] + [[arm_at + r * RING + i for i in range(RING)] for r in range(ARM_RINGS - 1)]
            arm = torch.tensor(strips(rows, RING))[:, [0, 2, 1]]  # outward, as the hand's
            cloth = [[sleeve_at + r * RING + i for i in range(RING)] for r in range(SLEEVE_RINGS)]
            sleeve = torch.tensor(strips(cloth, RING))[:, [0, 2, 1]]
            triangles += [arm, sleeve]
            slots += [torch.full((len(arm),), 3 * k + 1), torch.full((len(sleeve),), 3 * k + 2)]
            attributes.append(base)
            for r in range(ARM_RINGS - 1):
                a = torch.zeros(RING, 8)
                a[:, :3] = ring_rest
                a[:, 0] += 0.55 * (r + 1) / (ARM_RINGS - 1)
                a[:, 3], a[:, 4], a[:, 6] = -1.3, (ring_rest[:, 1] - ring_rest[:, 1].mean()) / 0.02, -1
                attributes.append(a)
            for r in range(SLEEVE_RINGS):
                a = torch.zeros(RING, 8)
                a[:, :3] = (ring_rest - ring_rest.mean(0)) * 1.4
                a[:, 0] = 0.5 * r / SLEEVE_RINGS
                a[:, 6] = -1
                attributes.append(a)
        self.thing_vertices = LON * LAT
        lat = torch.linspace(-math.pi / 2, math.pi / 2, LAT)
        lon = torch.arange(LON) * (2 * math.pi / LON)
        self.thing_angles = (lat[:, None].expand(LAT, LON).reshape(-1).to(self.device), lon.expand(LAT, LON).reshape(-1).to(self.device))
        for n in range(things):
            self.first_vertex.append(first)
            rows = [[first + r * LON + i for i in range(LON)] for r in range(LAT)]
            t = torch.tensor(strips(rows, LON))
            triangles.append(t)
            slots.append(torch.full((len(t),), 3 * hands + n))
            a = torch.zeros(self.thing_vertices, 8)
            y, x = torch.meshgrid(lat, lon, indexing="ij")
            a[:, 0], a[:, 1], a[:, 2] = (torch.cos(y) * torch.cos(x)).reshape(-1), torch.sin(y).reshape(-1), (torch.cos(y) * torch.sin(x)).reshape(-1)
            a[:, :3] *= 0.08
            a[:, 6] = -1
            attributes.append(a)
            first += self.thing_vertices
        if body is not None:
            t, slot, a = body_part(body)
            triangles.append(t + first)
            slots.append(slot + self.slot_count)
            attributes.append(a)
            first += len(a)
            self.slot_count += len(BODY_SLOTS)
        self.triangles, self.slots = torch.cat(triangles), torch.cat(slots)
        self.attributes = torch.cat(attributes)
        self.vertices = first
        # the wrist loop's centre line: radius along the arm, in multiples of the wrist's
        self.radius_at = torch.tensor([1.0, 1.02, 1.12, 1.32, 1.5, 1.55, 1.5, 1.42, 1.4, 1.5, 1.65, 1.75, 1.85], device=self.device)

    def arm_line(self, start, d0, d1, d2, elbow, length):
        """Centre line of an arm: (n,CURVE,3) points and (n,CURVE,3,3) turns from the wrist's frame; d0 leaves the wrist."""
        u = torch.linspace(0, 1, CURVE, device=self.device)
        s = u[None] * length[:, None]
        f = ((s - 0.0) / 0.06).clamp(0, 1)
        f = f * f * (3 - 2 * f)
        g = ((s - elbow[:, None] + 0.05) / 0.1).clamp(0, 1)
        g = g * g * (3 - 2 * g)
        wrist = d0[:, None] * (1 - f[..., None]) + d1[:, None] * f[..., None]
        d = torch.nn.functional.normalize(wrist * (1 - g[..., None]) + d2[:, None] * g[..., None], dim=-1)
        step = (length / (CURVE - 1))[:, None, None]
        points = start[:, None] + torch.cumsum(torch.cat([torch.zeros_like(d[:, :1]), 0.5 * (d[:, 1:] + d[:, :-1])], 1) * step, 1)
        wrist = torch.nn.functional.normalize(wrist, dim=-1)
        first = turn_between(d0[:, None].expand_as(d), wrist)
        last = turn_between(wrist, d)
        return points, last @ first

    def along(self, line, u):
        """Values of a centre line at u (n,R) in 0..1."""
        points, turns = line
        x = (u.clamp(0, 1) * (CURVE - 1)).clamp(0, CURVE - 1.001)
        i = x.floor().long()
        f = (x - i)[..., None]
        row = torch.arange(len(u), device=self.device)[:, None]
        return points[row, i] * (1 - f) + points[row, i + 1] * f, turns[row, i]

    def tube(self, line, length, offsets, s, widen):
        """Rings around a centre line: offsets (n,RING,3) of the wrist's loop, s (n,R) metres along, widen (n,R) -> (n,R*RING,3)."""
        points, turns = self.along(line, s / length[:, None])
        k = (s / 0.045).clamp(0, len(self.radius_at) - 1.001)
        i = k.floor().long()
        radius = self.radius_at[i] * (1 - (k - i)) + self.radius_at[i + 1] * (k - i)
        # the wrist is flat, the arm is round
        size = offsets.norm(dim=-1, keepdim=True)
        even = (s / 0.12).clamp(0, 1)[..., None, None] * 0.8
        ring = offsets[:, None] / size[:, None] * (size[:, None] * (1 - even) + size.mean(1, keepdim=True)[:, None] * even)
        ring = (turns[:, :, None] @ ring[..., None])[..., 0] * (radius * widen)[..., None, None]
        return (points[:, :, None] + ring).reshape(len(s), -1, 3)

    def pose_hands(self, fingers, betas, turn, wrist, mirrored, arm, sleeve):
        """fingers (n,15,3,3), betas (n,10), turn (n,3,3), wrist (n,3), mirrored (n,) bool;
        arm: dict of flex, deviate (radians), elbow_turn (n,3) rotation vector-like axis*angle, length, elbow, thick;
        sleeve: dict of start, wide, folds.  -> vertices (n, per hand, 3), keypoints (n,21,3)."""
        n = len(fingers)
        eye = torch.eye(3, device=self.device).expand(n, 1, 3, 3)
        verts, joints, points = self.hand(torch.cat([eye, fingers], 1), betas)
        root = joints[:, :1]
        flip = torch.ones(n, 1, 3, device=self.device)
        flip[:, 0, 2] = torch.where(mirrored, -1.0, 1.0)

        def place(x):
            return ((x - root) * flip) @ turn.transpose(1, 2) + wrist[:, None]

        verts, points = place(verts), place(points)
        loop = verts[:, self.ring_loop]
        centre = loop.mean(1)
        d0 = turn[:, :, 0]
        side = turn[:, :, 2] * flip[:, 0, 2:3]
        d1 = (turn_about(side, arm["flex"]) @ d0[..., None])[..., 0]
        d1 = (turn_about(turn[:, :, 1], arm["deviate"]) @ d1[..., None])[..., 0]
        bend = arm["elbow_turn"]
        angle = bend.norm(dim=-1)
        d2 = (turn_about(bend / angle.clamp_min(1e-6)[:, None], angle) @ d1[..., None])[..., 0]
        line = self.arm_line(centre, d0, d1, d2, arm["elbow"], arm["length"])
        offsets = loop - centre[:, None]
        u = torch.linspace(0, 1, ARM_RINGS, device=self.device)[1:] ** 1.4
        s = u[None] * arm["length"][:, None]
        widen = 1 + (arm["thick"][:, None] - 1) * (s / 0.1).clamp(0, 1)
        bare = self.tube(line, arm["length"], offsets, s, widen)
        v = torch.linspace(0, 1, SLEEVE_RINGS - 1, device=self.device)
        s = sleeve["start"][:, None] + v[None] * (arm["length"] - sleeve["start"])[:, None] * 0.999
        s = torch.cat([s[:, :1] + 0.004, s], 1)
        wide = sleeve["wide"][:, None] * (1 + sleeve["folds"])
        wide = torch.cat([torch.full_like(wide[:, :1], 1.02), wide[:, 1:]], 1)
        cloth = self.tube(line, arm["length"], offsets, s, wide * (1 + (arm["thick"][:, None] - 1) * (s / 0.1).clamp(0, 1)))
        return torch.cat([verts, bare, cloth], 1), points

    def rounded(self, centre, turn, half, radius):
        """Boxes of half lengths (n,3) grown by `radius` (n,), as the poses' held things are -> (n, LON*LAT, 3)."""
        lat, lon = self.thing_angles
        n = torch.stack([torch.cos(lat) * torch.cos(lon), torch.sin(lat), torch.cos(lat) * torch.sin(lon)], -1)
        p = radius[:, None, None] * n + half[:, None] * (3 * n).clamp(-1, 1)
        return p @ turn.transpose(1, 2) + centre[:, None]

    def pose_things(self, centre, turn, size, square):
        """centre (n,3), turn (n,3,3), half sizes (n,3), exponents (n,2): superquadrics -> (n, LON*LAT, 3)."""
        lat, lon = self.thing_angles

        def power(x, e):
            return x.sign() * x.abs().clamp_min(1e-6) ** e

        e1, e2 = square[:, :1], square[:, 1:]
        cy, sy = power(torch.cos(lat)[None], e1), power(torch.sin(lat)[None], e1)
        x, z = cy * power(torch.cos(lon)[None], e2), cy * power(torch.sin(lon)[None], e2)
        p = torch.stack([x, sy, z], -1) * size[:, None]
        return p @ turn.transpose(1, 2) + centre[:, None]
