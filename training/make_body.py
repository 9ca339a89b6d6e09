#!/usr/bin/env python3
"""Derive body.npz, a light body whose arms end where the CC0 hand's forearm begins, from MakeHuman's CC0 data.

usage: make_body.py DATA OUT.npz
DATA = a folder holding 3dobjs/base.obj, rigs/default.mhskel, rigs/default_weights.mhw and targets/macrodetails of
MakeHuman (makehuman/data of its repository, commit a8bc2d54).  Needs numpy only.  Every file's licence line is checked.

The skin of the base mesh is cut at both wrists by a plane across the forearm, thinned by half-edge collapses (quadric
error), so that every vertex left is one of the source's or a point of the cut and keeps its weights and targets exactly,
and shaped over random adults by a PCA of vertices and joints together: joints are linear in the betas, no regressor.
A shell of long hair comes along as triangles of its own (hair_faces, from
the crown down).

Frame of the file: metres, y up, the person looks along +z, its left is +x.  `wrist` holds, for the RIGHT side, the
4x4 that takes the hand model's rest coordinates (wrist joint at WRIST, fingers along -x, back +y, thumb +z) to the rest
body, with the hand in line with the forearm as it is in the hand's own rest pose; the left side is its mirror image.
"""
import argparse, heapq, json, os
import numpy as np

WRIST = np.array([.096, .006, .006])
HAND_LEN = .192                                        # of the hand's template, wrist to middle fingertip
# The hand's own stump reaches 22 mm behind the wrist joint; the body's arm ends inside of it, so that a wrist that
# bends opens no gap.  Both are skin there.
CUT = .010
TARGET = {'head': 700, 'arm': 900, 'rest': 1500}       # vertices kept, about
JOINTS = ['pelvis', 'spine1', 'spine2', 'chest', 'neck', 'head']
for side in 'RL':
    JOINTS += [f'{b}.{side}' for b in ('clavicle', 'upperarm', 'forearm', 'twist', 'thigh', 'shin', 'foot')]
PARENT = {'pelvis': None, 'spine1': 'pelvis', 'spine2': 'spine1', 'chest': 'spine2', 'neck': 'chest', 'head': 'neck',
          'clavicle': 'chest', 'upperarm': 'clavicle', 'forearm': 'upperarm', 'twist': 'forearm', 'thigh': 'pelvis',
          'shin': 'thigh', 'foot': 'shin'}
# MakeHuman bone -> joint here; a bone that is not named takes its parent's
BONE = {'root': 'pelvis', 'spine04': 'spine1', 'spine03': 'spine2', 'spine01': 'chest', 'neck01': 'neck', 'head': 'head',
        'clavicle': 'clavicle', 'upperarm01': 'upperarm', 'lowerarm01': 'forearm', 'lowerarm02': 'twist', 'upperleg01': 'thigh',
        'lowerleg01': 'shin', 'foot': 'foot'}
LIPS = .6                                              # weight of the mouth's bones from which on a vertex is lip
REGIONS = ['scalp', 'face', 'lips', 'eyes', 'neck', 'torso', 'upperarm', 'forearm', 'pelvis', 'thigh', 'shin', 'foot', 'hair']
ETHNIC = ('caucasian', 'african', 'asian')


def load_obj(path):
    text = open(path).read()
    assert 'released as CC0' in text[:400], path
    V, F, G, g = [], [], [], None
    for line in text.splitlines():
        t = line.split()
        if not t:
            continue
        if t[0] == 'v':
            V.append([float(x) for x in t[1:4]])
        elif t[0] == 'g':
            g = t[1]
        elif t[0] == 'f':
            F.append([int(x.split('/')[0]) - 1 for x in t[1:]])
            G.append(g)
    return np.array(V), np.array(F), np.array(G)


class Source:
    def __init__(self, data):
        self.data = data
        self.V, F, G = load_obj(f'{data}/3dobjs/base.obj')
        self.rig = json.load(open(f'{data}/rigs/default.mhskel'))
        weights = json.load(open(f'{data}/rigs/default_weights.mhw'))
        assert self.rig['license'] == 'CC0' and weights['license'] == 'CC0'
        self.weights = weights['weights']
        self.eyes = np.isin(G, ['helper-l-eye', 'helper-r-eye'])
        keep = (G == 'body') | self.eyes
        self.F, self.face_is_eye = F[keep], self.eyes[keep]
        self.hair = F[G == 'helper-hair']
        self.cache = {}

    def target(self, name):
        if name not in self.cache:
            d = np.zeros_like(self.V)
            path = f'{self.data}/targets/macrodetails/{name}.target'
            text = open(path).read()
            assert 'released as CC0' in text[:600], path
            for line in text.splitlines():
                if line.strip() and line[0] != '#':
                    t = line.split()
                    d[int(t[0])] = [float(x) for x in t[1:4]]
            self.cache[name] = d.astype(np.float32)
        return self.cache[name]

    def joint_of(self, bone):
        while True:
            name, _, side = bone.partition('.')
            if name in BONE:
                j = BONE[name]
                return f'{j}.{side}' if side else j
            bone = self.rig['bones'][bone]['parent']

    def skin(self):
        W = np.zeros((len(self.V), len(JOINTS)))
        for bone, pairs in self.weights.items():
            j = JOINTS.index(self.joint_of(bone))
            for v, a in pairs:
                W[v, j] += a
        return W / np.maximum(W.sum(1, keepdims=True), 1e-9)

    def head(self, bone):
        return self.rig['joints'][self.rig['bones'][bone]['head']]

    def joints(self, X):
        """Positions of JOINTS and of both wrists (right, left), for vertices X (all,3)."""
        out = []
        for j in JOINTS:
            name, _, side = j.partition('.')
            bone = next(b for b, k in BONE.items() if k == name) + ('.' + side if side else '')
            out.append(X[self.head(bone)].mean(0))
        return np.array(out + [X[self.head('wrist.R')].mean(0), X[self.head('wrist.L')].mean(0)])


# ---------------------------------------------------------------- shapes, mixed as MakeHuman mixes its macro targets
def thirds(x, low, mid, high):
    return {low: max(0, 1 - 2 * x), mid: 1 - abs(2 * x - 1), high: max(0, 2 * x - 1)}


def adult(src, gender, age, muscle, weight, height, prop, eth):
    X = src.V.astype(np.float32)
    for g, wg in (('female', 1 - gender), ('male', gender)):
        for a, wa in (('young', 1 - age), ('old', age)):
            for e, we in zip(ETHNIC, eth):
                X = X + wg * wa * we * src.target(f'{e}-{g}-{a}')
            for m, wm in thirds(muscle, 'minmuscle', 'averagemuscle', 'maxmuscle').items():
                for w, ww in thirds(weight, 'minweight', 'averageweight', 'maxweight').items():
                    k = wg * wa * wm * ww
                    if k < 1e-4:
                        continue
                    X = X + k * src.target(f'universal-{g}-{a}-{m}-{w}')
                    for kind, mix in (('height', {'minheight': max(0, 1 - 2 * height), 'maxheight': max(0, 2 * height - 1)}),
                                      ('proportions', {'uncommonproportions': max(0, 1 - 2 * prop),
                                                       'idealproportions': max(0, 2 * prop - 1)})):
                        for name, c in mix.items():
                            if c > 0:
                                X = X + k * c * src.target(f'{kind}/{g}-{a}-{m}-{w}-{name}')
    return X


def people(src, n, seed=5):
    rng = np.random.default_rng(seed)
    for s in range(n):
        g = np.clip((.15 if s % 2 else .85) + .12 * rng.normal(), 0, 1)
        yield adult(src, g, rng.beta(1, 3), np.clip(.5 + .16 * rng.normal(), 0, 1), np.clip(.52 + .2 * rng.normal(), 0, 1),
                    np.clip(.5 + .1 * rng.normal(), 0, 1), np.clip(.5 + .2 * rng.normal(), 0, 1), rng.dirichlet([1, 1, 1]))


# ---------------------------------------------------------------- cutting and thinning
def cut_wrist(P, T, rows, origin, axis, near):
    """Drop what lies beyond the plane (axis to the fingers) among the vertices `near`; split the triangles across it.
    rows: per vertex ((a, b), t), the source vertices it lies between."""
    d = np.where(near, (P - origin) @ axis, -1.)
    P, rows = list(P), list(rows)
    made = {}

    def between(a, b):
        key = (min(a, b), max(a, b))
        if key not in made:
            a, b = key
            t = d[a] / (d[a] - d[b])
            made[key] = len(P)
            P.append(P[a] + t * (P[b] - P[a]))
            rows.append(((rows[a][0][0], rows[b][0][0]), t))
        return made[key]
    out = []
    for tri in T:
        inside = [d[v] <= 0 for v in tri]
        if all(inside):
            out.append(tuple(tri))
        elif any(inside):
            k = inside.index(True) if sum(inside) == 1 else (inside.index(False) + 1) % 3
            a, b, c = tri[k], tri[(k + 1) % 3], tri[(k + 2) % 3]
            if sum(inside) == 1:
                out.append((a, between(a, b), between(a, c)))
            else:
                p, q = between(b, c), between(a, c)
                out += [(a, b, p), (a, p, q)]
    return np.array(P), np.array(out), rows, sorted(made.values())


def thin(P, T, group, keep, locked):
    """Half-edge collapses by quadric error until each group of vertices has at most keep[group] left."""
    n = len(P)
    tris = {i: tuple(t) for i, t in enumerate(T)}
    around = [set() for _ in range(n)]
    Q = np.zeros((n, 4, 4))
    for i, t in tris.items():
        for v in t:
            around[v].add(i)
        nrm = np.cross(P[t[1]] - P[t[0]], P[t[2]] - P[t[0]])
        area = np.linalg.norm(nrm)
        if area > 0:
            nrm = nrm / area
            plane = np.append(nrm, -nrm @ P[t[0]])
            for v in t:
                Q[v] += area * np.outer(plane, plane)
    edge_count = {}
    for t in tris.values():
        for a, b in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0])):
            k = (min(a, b), max(a, b))
            edge_count[k] = edge_count.get(k, 0) + 1
    locked = set(locked) | {v for e, c in edge_count.items() if c == 1 for v in e}
    used = np.zeros(n, bool)
    used[np.unique(T)] = True
    left = {g: int((used & (group == g)).sum()) for g in keep}
    stamp, heap = np.zeros(n, int), []

    def push(u, v):
        if u in locked:
            return
        p = np.append(P[v], 1)
        heapq.heappush(heap, (p @ (Q[u] + Q[v]) @ p + 1e-9 * ((P[u] - P[v]) ** 2).sum(), u, v, stamp[u], stamp[v]))

    def neighbours(v):
        return {w for i in around[v] for w in tris[i]} - {v}

    def allowed(u, v):
        """The link condition, and no triangle turned over."""
        if len(neighbours(u) & neighbours(v)) != 2:
            return False
        for i in around[u] - around[v]:
            t = tris[i]
            s = [v if w == u else w for w in t]
            a = np.cross(P[t[1]] - P[t[0]], P[t[2]] - P[t[0]])
            b = np.cross(P[s[1]] - P[s[0]], P[s[2]] - P[s[0]])
            if a @ b < .3 * np.linalg.norm(a) * np.linalg.norm(b) or np.linalg.norm(b) < 1e-9:
                return False
        return True
    for a, b in edge_count:
        push(a, b)
        push(b, a)
    while heap:
        _, u, v, su, sv = heapq.heappop(heap)
        if stamp[u] != su or stamp[v] != sv or left[group[u]] <= keep[group[u]] or not around[u] or not around[v]:
            continue
        if not allowed(u, v):
            continue
        for i in list(around[u]):
            t = tris[i]
            for w in t:
                around[w].discard(i)
            if v in t:
                del tris[i]
                continue
            tris[i] = tuple(v if w == u else w for w in t)
            for w in tris[i]:
                around[w].add(i)
        Q[v] += Q[u]
        left[group[u]] -= 1
        stamp[u] += 1
        stamp[v] += 1
        for w in neighbours(v):
            push(v, w)
            push(w, v)
    T = np.array(list(tris.values()))
    used = np.unique(T)
    new = np.full(n, -1)
    new[used] = np.arange(len(used))
    return used, new[T], new


def rotation_to_hand(wrist, elbow, knuckle, across):
    """Columns: the hand's axes in the body. +x along the forearm to the elbow, +y out of the back of the hand."""
    x = (elbow - wrist) / np.linalg.norm(elbow - wrist)
    y = np.cross(knuckle - wrist, across)
    y = y - y @ x * x
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], 1)


def regions(P, W, J, eye, lips, scale):
    """REGIONS index per vertex, from the joint that moves it most and, on the head, from where it is."""
    top = np.array([JOINTS[j].split('.')[0] for j in W.argmax(1)])
    of = {'head': 'face', 'neck': 'neck', 'chest': 'torso', 'spine2': 'torso', 'spine1': 'torso', 'clavicle': 'torso',
          'pelvis': 'pelvis', 'upperarm': 'upperarm', 'forearm': 'forearm', 'twist': 'forearm', 'thigh': 'thigh',
          'shin': 'shin', 'foot': 'foot'}
    R = np.array([REGIONS.index(of[t]) for t in top])
    R[lips] = REGIONS.index('lips')
    R[eye] = REGIONS.index('eyes')
    head = R == REGIONS.index('face')
    eyes = P[eye].mean(0)
    up, back = P[:, 1] - eyes[1], eyes[2] - P[:, 2]
    ears = np.abs(P[:, 0]) > .062 * scale
    hair = head & ((up > .05 * scale + .18 * back) | ((back > .08 * scale) & (up > -.06 * scale) & ~(ears & (back < .115 * scale) & (up < .03 * scale))))
    R[hair] = REGIONS.index('scalp')
    return R


def build(src, n_people):
    mean = np.zeros(src.V.shape)
    shapes = []
    for X in people(src, n_people):
        shapes.append(X.astype(np.float32))
        mean += X / n_people
    # size: the mean body's hand is as long as the hand model's
    tips = mean[src.rig['joints'][src.rig['bones']['finger3-3.R']['tail']]].mean(0)
    scale = HAND_LEN / np.linalg.norm(tips - mean[src.head('wrist.R')].mean(0))
    print('scale', scale, 'height', (mean[:13380, 1].max() - mean[:13380, 1].min()) * scale)
    mean = mean * scale
    T = np.concatenate([src.F[:, [0, 1, 2]], src.F[:, [0, 2, 3]]])
    T = np.array([t for t in T if len(set(t)) == 3])
    eye_vertices = set(np.unique(src.F[src.face_is_eye]).tolist())
    lips = {v for b, lst in src.weights.items() if b.startswith('oris') for v, a in lst if a > LIPS}
    used = np.unique(T)
    new = np.full(len(src.V), -1)
    new[used] = np.arange(len(used))
    P, T, rows = mean[used], new[T], [((v, v), 0.) for v in used]
    W = src.skin()
    J = src.joints(mean)
    rings = []
    for k, side in enumerate('RL'):
        wrist, elbow = J[len(JOINTS) + k], J[JOINTS.index(f'forearm.{side}')]
        axis = (wrist - elbow) / np.linalg.norm(wrist - elbow)
        near = np.array([sum(W[r[0][0], JOINTS.index(f'{b}.{side}')] for b in ('twist', 'forearm')) > .3 for r in rows])
        P, T, rows, ring = cut_wrist(P, T, rows, wrist - CUT * axis, axis, near)
        rings.append(ring)
    assert all(len(r) > 8 for r in rings)
    a, b = (np.array([r[0][k] for r in rows]) for k in (0, 1))
    t = np.array([r[1] for r in rows])[:, None]
    blend = lambda X: X[a] * (1 - t) + X[b] * t
    Wv = blend(W)
    top = [JOINTS[j] for j in Wv.argmax(1)]
    group = np.array(['head' if x in ('head', 'neck') else 'arm' if x.split('.')[0] in ('upperarm', 'forearm', 'twist') else 'rest' for x in top])
    kept, F, new = thin(P, T, group, TARGET, sum(rings, []))
    rings = [[int(new[v]) for v in r] for r in rings]
    a, b, t = a[kept], b[kept], t[kept]
    Wv, P = Wv[kept], P[kept]
    V = np.stack([blend(X) for X in shapes]) * scale
    Js = np.stack([src.joints(X) for X in shapes]) * scale
    eye = np.array([x in eye_vertices for x in a])
    R = regions(P, Wv, J, eye, np.array([x in lips for x in a]), scale / .1)
    # a lid over each open wrist
    for k, ring in enumerate(rings):
        c = len(P)
        P = np.vstack([P, P[ring].mean(0)])
        V = np.concatenate([V, V[:, ring].mean(1)[:, None]], 1)
        Wv, R = np.vstack([Wv, Wv[ring].mean(0)]), np.append(R, REGIONS.index('forearm'))
        directed = {(x, y) for f in F for x, y in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0]))}
        F = np.vstack([F, [(y, x, c) for x, y in directed if (y, x) not in directed and x in ring and y in ring]])
    # MakeHuman's helper for long hair, a shell of its own over the head: drawn or not
    ids = np.unique(src.hair)
    first = len(P)
    P, V = np.vstack([P, mean[ids]]), np.concatenate([V, np.stack([X[ids] for X in shapes]) * scale], 1)
    Wh = W[ids]
    Wh[Wh.sum(1) < .5] = np.eye(len(JOINTS))[JOINTS.index('head')]
    Wv, R = np.vstack([Wv, Wh]), np.append(R, [REGIONS.index('hair')] * len(ids))
    H = first + np.searchsorted(ids, np.concatenate([src.hair[:, [0, 1, 2]], src.hair[:, [0, 2, 3]]]))
    # it hangs over the face: what is before the ears and below the hair line goes; from the crown down, so that the first
    # triangles alone are shorter hair
    eyes, mid = P[R == REGIONS.index('eyes')].mean(0), P[H].mean(1)
    s = scale / .1
    over = (mid[:, 2] > eyes[2] - .075 * s) & (mid[:, 1] < eyes[1] + .07 * s) | (mid[:, 2] > eyes[2] - .03 * s) & (mid[:, 1] < eyes[1] + .085 * s)
    H, mid = H[~over], mid[~over]
    H = H[np.argsort(-mid[:, 1], kind='stable')]
    return dict(V=V, H=H, Js=Js, W=Wv, F=F, R=R, mean=mean, scale=scale)




def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('data')
    ap.add_argument('out')
    ap.add_argument('--people', type=int, default=240)
    a = ap.parse_args()
    src = Source(a.data)
    m = build(src, a.people)
    V, Js, nJ = m['V'], m['Js'], len(JOINTS)
    # everything relative to the pelvis
    V, Js = V - Js[:, :1], Js - Js[:, :1]
    X = np.concatenate([V, Js], 1).reshape(len(V), -1)
    mu = X.mean(0)
    U, s, Vt = np.linalg.svd(X - mu, full_matrices=False)
    sd = s[:12] / np.sqrt(len(X) - 1)
    print('explained by 12: %.4f' % ((s[:12] ** 2).sum() / (s ** 2).sum()))
    nv = V.shape[1]
    dirs = (Vt[:12] * sd[:, None]).reshape(12, -1, 3)
    mu = mu.reshape(-1, 3)
    P, J = mu[:nv], mu[nv:]
    mean = m['mean'] - src.joints(m['mean'])[0]
    R = rotation_to_hand(J[nJ], J[JOINTS.index('forearm.R')], mean[src.head('finger3-1.R')].mean(0),
                         mean[src.head('finger2-1.R')].mean(0) - mean[src.head('finger5-1.R')].mean(0))
    order = np.argsort(-m['W'], 1)[:, :4]
    w = np.take_along_axis(m['W'], order, 1)
    w = w / w.sum(1, keepdims=True)
    q = np.round(w * 255).astype(int)
    q[:, 0] += 255 - q.sum(1)
    parents = [-1 if PARENT[j.split('.')[0]] is None else
               next(i for i, k in enumerate(JOINTS) if k in (PARENT[j.split('.')[0]], PARENT[j.split('.')[0]] + j[-2:])) for j in JOINTS]
    np.savez_compressed(
        a.out, v_template=P.astype(np.float32), shapedirs=dirs[:, :nv].astype(np.float16), faces=m['F'].astype(np.uint16),
        hair_faces=m['H'].astype(np.uint16),
        joints=J[:nJ].astype(np.float32), joint_dirs=dirs[:, nv:nv + nJ].astype(np.float32), wrists=J[nJ:].astype(np.float32),
        wrist_dirs=dirs[:, nv + nJ:].astype(np.float32), wrist_axes=R.astype(np.float32), parents=np.array(parents, np.int8),
        weight_index=order.astype(np.uint8), weight=q.astype(np.uint8), region=m['R'].astype(np.uint8),
        regions=np.array(REGIONS), names=np.array(JOINTS), licence=np.array('CC0-1.0'))
    print(f'{a.out}: {nv} vertices, {len(m["F"])} triangles, {os.path.getsize(a.out) / 1e3:.0f} kB')


if __name__ == '__main__':
    main()
