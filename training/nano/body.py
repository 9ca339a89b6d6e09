"""The CC0 body of make_body.py as batched torch: local rotations and betas to vertices, bones and the hands' places.

Frame: metres, origin at the pelvis joint's rest place, y up, the person looks along +z, its left is +x; `sample_body_pose`
also gives a transform into a camera's axes (x right, y down, z away).  Sides are in the order right, left.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

from .hand import turn_about

WRIST = (0.096, 0.006, 0.006)                          # the wrist joint in the hand model's rest frame
SIDES = 'RL'
ACTIVITIES = ('hang', 'face', 'chest', 'table', 'reach', 'raise', 'cross', 'touch', 'hip')
ACTIVITY_WEIGHTS = (.18, .15, .2, .17, .11, .08, .05, .03, .03)
# wrist targets: where from (0 shoulder, 1 head, 2 chest, 3 pelvis), then low and high of out, up, forward, metres
TARGETS = {'hang': (0, (.06, -.56, -.08), (.22, -.46, .14)), 'face': (1, (.08, -.18, .14), (.34, .12, .42)),
           'chest': (2, (-.04, -.22, .2), (.34, .14, .45)), 'table': (3, (-.02, .1, .24), (.34, .24, .5)),
           'reach': (1, (-.12, -.42, .4), (.3, .02, .68)), 'raise': (1, (.1, .12, 0), (.42, .46, .34)),
           'cross': (2, (-.17, -.2, .15), (-.04, -.06, .25)), 'touch': (1, (.08, -.2, .1), (.15, -.08, .17)),
           'hip': (3, (.2, .02, -.06), (.26, .12, .08))}

# mean turn of the forearm from thumb-up toward palm-down, radians, in the order of ACTIVITIES
PRONATION = (.3, .6, .4, 1.1, .7, .7, .6, -.7, .5)


def frame(u, n):
    """Orthonormal columns: u, n made orthogonal to it, and their cross product."""
    u = F.normalize(u, dim=-1)
    n = F.normalize(n - (n * u).sum(-1, keepdim=True) * u, dim=-1)
    return torch.stack([u, n, torch.linalg.cross(u, n)], -1)


def rigid(r, t):
    """(...,3,3), (...,3) -> (...,4,4)"""
    m = torch.zeros(*r.shape[:-2], 4, 4, device=r.device)
    m[..., :3, :3], m[..., :3, 3], m[..., 3, 3] = r, t, 1
    return m


class Body:
    def __init__(self, path, device='cpu'):
        z = np.load(path)
        t = lambda name: torch.from_numpy(z[name].astype(np.float32)).to(device)
        self.device = torch.device(device)
        self.names, self.regions = [str(s) for s in z['names']], [str(s) for s in z['regions']]
        self.parents = [int(p) for p in z['parents']]
        self.faces = torch.from_numpy(z['faces'].astype(np.int64)).to(device)      # (F,3), counter-clockwise from outside
        self.hair_faces = torch.from_numpy(z['hair_faces'].astype(np.int64)).to(device)  # long hair, drawn or not; the first ones: shorter
        self.region = torch.from_numpy(z['region'].astype(np.int64)).to(device)    # (V,) index into regions
        self.v_template, self.joints_template = t('v_template'), t('joints')       # (V,3), (J,3)
        self.shapedirs, self.joint_dirs = t('shapedirs'), t('joint_dirs')          # (12,V,3), (12,J,3)
        self.wrists, self.wrist_dirs = t('wrists'), t('wrist_dirs')                # (2,3), (12,2,3)
        self.wrist_axes = t('wrist_axes')                                          # (3,3) columns: the right hand's axes
        w = torch.zeros(len(self.region), len(self.names))
        w.scatter_add_(1, torch.from_numpy(z['weight_index'].astype(np.int64)), torch.from_numpy(z['weight'].astype(np.float32) / 255))
        self.weights = w.to(device)                                                # (V,J)
        self.index = {n: i for i, n in enumerate(self.names)}
        self.normals = self._normals(self.v_template)                              # (V,3) rest, for cloth: verts + h * normal
        self.rings = self._rings()
        self.limb = self._limb()                                                   # (V,) 0..1 down each limb

    def _normals(self, v):
        a, b, c = v[self.faces].unbind(1)
        n = torch.zeros_like(v)
        f = torch.linalg.cross(b - a, c - a)
        for k in range(3):
            n.index_add_(0, self.faces[:, k], f)                # hair gets none: cloth does not move it
        return F.normalize(n, dim=-1)

    def _limb(self):
        """How far down its limb a vertex is: 0 shoulder or hip, 1 wrist or ankle; torso 0 at the pelvis, 1 at the neck."""
        v, j = self.v_template, self.joints_template
        out = torch.zeros(len(v), device=v.device)
        name = [self.names[i].split('.')[0] for i in self.weights.argmax(1).tolist()]
        at = lambda n: j[self.index[n]]
        for i, n in enumerate(name):
            side = 'L' if v[i, 0] > 0 else 'R'
            if n in ('upperarm', 'forearm', 'twist'):
                a, b = at(f'upperarm.{side}'), self.wrists[SIDES.index(side)]
            elif n in ('thigh', 'shin', 'foot'):
                a, b = at(f'thigh.{side}'), at(f'foot.{side}')
            else:
                a, b = at('pelvis'), at('neck')
            out[i] = ((v[i] - a) @ (b - a) / (b - a).dot(b - a)).clamp(-.2, 1.2)
        return out

    def shape(self, betas):
        """betas (B,12) -> rest vertices (B,V,3), joints (B,J,3), wrists (B,2,3)"""
        add = lambda base, dirs: base + torch.einsum('bk,kvc->bvc', betas, dirs)
        return add(self.v_template, self.shapedirs), add(self.joints_template, self.joint_dirs), add(self.wrists, self.wrist_dirs)

    def wrist_radius(self, betas):
        """Mean radius of both arms' ends, (B,2) metres."""
        v, joints, wrists = self.shape(betas)
        inv = torch.linalg.inv(self.rest_wrist_frames(joints, wrists))
        out = []
        for k, ring in enumerate(self.rings):
            x = v[:, ring] @ inv[:, k, :3, :3].transpose(-1, -2) + inv[:, k, None, :3, 3]
            out.append((x[..., 1:] - x[..., 1:].mean(1, keepdim=True)).norm(dim=-1).mean(1))
        return torch.stack(out, 1)

    def _rings(self):
        """Vertices of the arms' ends: those of each lid without its middle."""
        zero = torch.zeros(1, 12, device=self.device)
        v, joints, wrists = self.shape(zero)
        inv = torch.linalg.inv(self.rest_wrist_frames(joints, wrists))[0]
        out = []
        for k in range(2):
            x = v[0] @ inv[k, :3, :3].T + inv[k, :3, 3]
            near = (x[:, 0] - x[:, 0][(x[:, 1:].norm(dim=1) < .05) & (x[:, 0] > .09)].min()).abs() < .001
            near &= (x[:, 1:].norm(dim=1) < .05) & ((x[:, 1:] - torch.tensor(WRIST[1:], device=v.device)).norm(dim=1) > .01)
            out.append(near.nonzero()[:, 0])
        return out

    def _narrow(self, v, joints, wrists, size):
        """Scale the forearms' cross-sections: by 1 at 0.6 of the arm, by size (B,2) at the wrist."""
        fore = self.region == self.regions.index('forearm')
        for k, side in enumerate(SIDES):
            f = ((self.limb - .65) / .3).clamp(0, 1) * fore * ((self.v_template[:, 0] > 0) == (side == 'L'))
            a = joints[:, None, self.index[f'forearm.{side}']]
            d = F.normalize(wrists[:, None, k] - a, dim=-1)
            off = v - a
            off = off - (off * d).sum(-1, keepdim=True) * d
            v = v + (f * (size[:, k, None] - 1))[..., None] * off
        return v

    def rest_wrist_frames(self, joints, wrists):
        """(B,2,4,4) from the hand model's rest coordinates to the rest body. The left one mirrors (determinant -1): it
        takes a RIGHT hand's vertices to a left hand's place, so its triangles turn over."""
        out = []
        mirror = torch.tensor([-1., 1, 1], device=self.device)
        for k, side in enumerate(SIDES):
            m = mirror if side == 'L' else torch.ones_like(mirror)
            x = F.normalize((joints[:, self.index[f'forearm.{side}']] - wrists[:, k]) * m, dim=-1)
            r = frame(x, self.wrist_axes[:, 1].expand_as(x))
            t = wrists[:, k] * m - r @ torch.tensor(WRIST, device=self.device)
            out.append(rigid(r * m[:, None], t * m))
        return torch.stack(out, 1)

    def bones(self, rotmats, joints):
        """Local rotations (B,J,3,3) -> (B,J,4,4) that take the rest body to the posed one."""
        turn, place = [], []
        for j, p in enumerate(self.parents):
            if p < 0:
                turn.append(rotmats[:, j])
                place.append(joints[:, j])
            else:
                turn.append(turn[p] @ rotmats[:, j])
                place.append(place[p] + (turn[p] @ (joints[:, j] - joints[:, p])[..., None])[..., 0])
        r, t = torch.stack(turn, 1), torch.stack(place, 1)
        return rigid(r, t - (r @ joints[..., None])[..., 0])

    def forward(self, rotmats, betas, cloth=None, wrist_radius=None):
        """rotmats (B,J,3,3) local, betas (B,12), cloth (B,V) metres to stand off the skin or None, wrist_radius (B,2) of the
        hands' stumps (stump_radius) that the arms shall fit or None ->
        verts (B,V,3), bones (B,J,4,4), wrist frames (B,2,4,4); see attach()."""
        v, joints, wrists = self.shape(betas)
        if wrist_radius is not None:
            v = self._narrow(v, joints, wrists, .96 * wrist_radius / self.wrist_radius(betas))
        if cloth is not None:
            v = v + cloth[..., None] * self.normals
        g = self.bones(rotmats, joints)
        m = torch.einsum('vj,bjk->bvk', self.weights, g[:, :, :3].reshape(len(g), -1, 12)).reshape(len(g), -1, 3, 4)
        verts = (m[..., :3] @ v[..., None])[..., 0] + m[..., 3]
        arm = torch.stack([g[:, self.index[f'twist.{s}']] for s in SIDES], 1)
        return verts, g, arm @ self.rest_wrist_frames(joints, wrists)

    __call__ = forward


def attach(verts, joint0, frames, wrist=None):
    """Put hands on: verts (B,2,V,3) of Hand.forward with identity global rotation, joint0 (B,2,3) its wrist joints, frames
    of Body.forward, wrist (B,2,3,3) the hand's turn against the forearm in the hand's axes -> (B,2,V,3) in the body's frame.
    Both hands are given as right ones; the left frame mirrors."""
    r = frames[..., :3, :3] if wrist is None else frames[..., :3, :3] @ wrist
    place = (frames[..., :3, :3] @ torch.tensor(WRIST, device=frames.device)) + frames[..., :3, 3]
    return (verts - joint0[..., None, :]) @ r.transpose(-1, -2) + place[..., None, :]


def stump_radius(verts, loop):
    """Mean radius (B,) of the hand's open end: verts (B,V,3), loop the vertices of its edge."""
    x = verts[:, loop]
    return (x - x.mean(1, keepdim=True)).norm(dim=-1).mean(1)


class _Draw:
    def __init__(self, generator, device):
        self.g, self.device = generator, device

    def u(self, lo, hi, *shape):
        return torch.rand(*shape, generator=self.g, device=self.device) * (hi - lo) + lo

    def n(self, sigma, *shape):
        return torch.randn(*shape, generator=self.g, device=self.device) * sigma


def _trunk(body, n, d, seated):
    """Local rotations with spine, head and legs set, arms still identity."""
    r = torch.eye(3, device=d.device).repeat(n, len(body.names), 1, 1)
    x, y, z = torch.eye(3, device=d.device)

    def euler(name, sx, sy, sz, mx=0.):
        r[:, body.index[name]] = turn_about(y, d.n(sy, n)) @ turn_about(x, mx + d.n(sx, n)) @ turn_about(z, d.n(sz, n))
    lean = d.n(.06, n) + .05
    for name in ('spine1', 'spine2', 'chest'):
        euler(name, .04, .06, .04, lean)
    euler('neck', .1, .12, .06, -lean)
    euler('head', .12, .2, .08)
    for s, m in (('R', -1.), ('L', 1.)):
        bend = torch.where(seated, -1.45 + d.n(.12, n), d.n(.08, n))
        r[:, body.index[f'thigh.{s}']] = turn_about(y, m * d.u(-.05, .35, n) * seated) @ turn_about(x, bend) @ turn_about(z, m * d.u(-.02, .1, n))
        r[:, body.index[f'shin.{s}']] = turn_about(x, torch.where(seated, 1.4 + d.n(.15, n), d.u(0, .15, n)))
    return r


def _arm(body, r, joints, wrist0, side, what, d):
    """Two-bone inverse kinematics: set clavicle, upper arm, forearm and twist of one side so that the wrist comes to a
    place drawn for the activity `what` (n,)."""
    n, m = len(r), 1. if side == 'L' else -1.
    k = lambda name: body.index[f'{name}.{side}']
    y, z = torch.eye(3, device=d.device)[1:]
    r[:, k('clavicle')] = turn_about(z, m * d.u(-.05, .18, n)) @ turn_about(y, -m * d.u(-.05, .2, n))
    g = body.bones(r, joints)
    at = lambda j: (g[:, j, :3, :3] @ joints[:, j, :, None])[..., 0] + g[:, j, :3, 3]
    shoulder = at(k('upperarm'))
    origins = torch.stack([shoulder, at(body.index['head']), at(body.index['chest']), at(0)], 1)
    origins[:, 1, 1] += .09                             # the head's joint is at its base
    which = torch.tensor([TARGETS[a][0] for a in ACTIVITIES], device=d.device)[what]
    low = torch.tensor([TARGETS[a][1] for a in ACTIVITIES], device=d.device)[what]
    high = torch.tensor([TARGETS[a][2] for a in ACTIVITIES], device=d.device)[what]
    target = (low + (high - low) * d.u(0, 1, n, 3)) * torch.tensor([m, 1, 1], device=d.device)
    target = target + origins[torch.arange(n, device=d.device), which]
    a = (joints[:, k('forearm')] - joints[:, k('upperarm')])
    b = (wrist0 - joints[:, k('forearm')])
    la, lb = a.norm(dim=-1), b.norm(dim=-1)
    way = target - shoulder
    dist = torch.minimum(torch.maximum(way.norm(dim=-1), .45 * (la + lb)), .995 * (la + lb))
    u = F.normalize(way, dim=-1)
    pole = torch.stack([m * d.u(.1, 1.1, n), -d.u(.3, 1.3, n), -d.u(.0, .6, n)], -1)
    out = (what == ACTIVITIES.index('hip'))[:, None]
    pole = torch.where(out, torch.tensor([m, 0., -.5], device=d.device), pole)
    c = ((la ** 2 + dist ** 2 - lb ** 2) / (2 * la * dist)).clamp(-1, 1)
    p = F.normalize(pole - (pole * u).sum(-1, keepdim=True) * u, dim=-1)
    a1 = la[:, None] * (c[:, None] * u + torch.sqrt(1 - c ** 2)[:, None] * p)
    b1 = dist[:, None] * u - a1
    n1 = torch.linalg.cross(u, p)
    n0 = torch.linalg.cross(F.normalize(a, dim=-1), -z.expand(n, 3))
    upper = frame(a1, n1) @ frame(a, n0).transpose(-1, -2)
    fore = frame(b1, n1) @ frame(b, n0).transpose(-1, -2)
    twist = m * (torch.tensor(PRONATION, device=d.device)[what] + d.n(.5, n)).clamp(-1.3, 1.5)
    axis = F.normalize(b, dim=-1)
    fore, end = fore @ turn_about(axis, .35 * twist), fore @ turn_about(axis, twist)
    up = g[:, k('clavicle'), :3, :3]
    for name, local in (('upperarm', up.transpose(-1, -2) @ upper), ('forearm', upper.transpose(-1, -2) @ fore),
                        ('twist', fore.transpose(-1, -2) @ end)):
        r[:, k(name)] = local


def sample_body_pose(n, generator, device, body):
    """n people before a camera -> dict of tensors on `device`:
    rotmats (n,J,3,3) and betas (n,12) for Body.forward; wrist (n,2,3,3) turns of the hands for attach(); activity (n,2)
    indices into ACTIVITIES; seated (n,) bool; camera (n,4,4) from the body's frame to a camera's axes."""
    d = _Draw(generator, device)
    betas = d.n(1., n, 12).clamp(-2.2, 2.2)
    seated = d.u(0, 1, n) < .5
    r = _trunk(body, n, d, seated)
    _, joints, wrists = body.shape(betas)
    weights = torch.tensor(ACTIVITY_WEIGHTS, device=device)
    what = torch.multinomial(weights, 2 * n, replacement=True, generator=generator).reshape(n, 2)
    same = d.u(0, 1, n) < .45                           # both hands do the same thing
    what[:, 1] = torch.where(same, what[:, 0], what[:, 1])
    for s, side in enumerate(SIDES):
        _arm(body, r, joints, wrists[:, s], side, what[:, s], d)
    zf, yf = torch.eye(3, device=device)[2], torch.eye(3, device=device)[1]
    wrist = turn_about(zf, d.n(.35, n, 2).clamp(-.9, .9)) @ turn_about(yf, d.n(.15, n, 2).clamp(-.35, .4))
    return dict(rotmats=r, betas=betas, wrist=wrist, activity=what, seated=seated, camera=_camera(body, r, joints, d))


def _camera(body, r, joints, d):
    """A camera that looks at the head or chest from .5 to 3 m: (n,4,4) from the body's frame to its axes."""
    n = len(r)
    g = body.bones(r, joints)
    at = lambda j: (g[:, j, :3, :3] @ joints[:, j, :, None])[..., 0] + g[:, j, :3, 3]
    k = d.u(0, 1, n)[:, None]
    look = at(body.index['head']) * k + at(body.index['spine2']) * (1 - k) + d.n(.08, n, 3)
    yaw, pitch, roll = d.n(.45, n), d.n(.15, n) + .08, d.n(.06, n)
    x, y, z = torch.eye(3, device=d.device)
    flip = torch.diag(torch.tensor([1., -1, -1], device=d.device))
    rot = turn_about(z, roll) @ turn_about(x, pitch) @ flip @ turn_about(y, yaw)
    far = torch.exp(d.u(math.log(.55), math.log(3.), n))
    return rigid(rot, torch.stack([torch.zeros_like(far), torch.zeros_like(far), far], -1) - (rot @ look[..., None])[..., 0])
