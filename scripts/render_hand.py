"""Pictures of the CC0 hand (tests/golden/data/hand-cc0.npz), for golden data and the demo. numpy
and scipy only.

A mesh with smooth normals under a key and a sky light, an unsharp mask of the depth in place of
ambient occlusion, a knitted sleeve over the cut wrist, and a procedural background. What comes out
is ours to give away (CC0)."""

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

SKIN = np.array([0.78, 0.49, 0.37])
CLOTH = np.array([0.20, 0.27, 0.36])


def rotation(vector):
    angle = np.linalg.norm(vector)
    if angle == 0:
        return np.eye(3)
    x, y, z = np.asarray(vector) / angle
    m = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * m + (1 - np.cos(angle)) * m @ m


def from_6d(pose):
    """(96,) to 16 rotation matrices: a1, a2 are halves of each six numbers, columns of the matrix."""
    a = np.asarray(pose, np.float64).reshape(16, 2, 3)
    b1 = a[:, 0] / np.linalg.norm(a[:, 0], axis=1, keepdims=True)
    b2 = a[:, 1] - (b1 * a[:, 1]).sum(1, keepdims=True) * b1
    b2 /= np.linalg.norm(b2, axis=1, keepdims=True)
    return np.stack([b1, b2, np.cross(b1, b2)], -1)


def pose_hand(hand, rotations, betas):
    """MANO's forward pass (Romero et al., 2017): vertices in metres."""
    h = {
        k: np.asarray(hand[k], np.float64)
        for k in ('v_template', 'shapedirs', 'posedirs', 'J_regressor', 'lbs_weights')
    }
    shaped = h['v_template'] + h['shapedirs'] @ betas
    joints = h['J_regressor'] @ shaped
    posed = shaped + ((rotations[1:] - np.eye(3)).reshape(135) @ h['posedirs']).reshape(-1, 3)
    turn, place = rotations.copy(), joints.copy()
    for j, p in enumerate(np.asarray(hand['parents'], int)):
        if j > 0:
            turn[j] = turn[p] @ rotations[j]
            place[j] = place[p] + turn[p] @ (joints[j] - joints[p])
    shift = place - np.einsum('jab,jb->ja', turn, joints)
    w = h['lbs_weights']
    return np.einsum('vj,jab,vb->va', w, turn, posed) + w @ shift


def wrist_loop(faces):
    """The vertices of the open edge at the wrist, in order."""
    edges = {(int(f[i]), int(f[(i + 1) % 3])) for f in faces for i in range(3)}
    after = {b: a for a, b in edges if (b, a) not in edges}
    loop = [min(after)]
    while after[loop[-1]] != loop[0]:
        loop.append(after[loop[-1]])
    return np.array(loop)


def with_sleeve(vertices, faces, length=0.16):
    """The mesh with a sleeve from the wrist: vertices, faces, 1 per sleeve vertex."""
    loop = wrist_loop(faces)
    ring = vertices[loop]
    centre = ring.mean(0)
    axis = centre - vertices.mean(0)
    normal = np.linalg.svd(ring - centre)[2][2]
    axis = normal * np.sign(normal @ axis)
    parts, n, steps = (
        [],
        len(loop),
        ((-0.006, 1.10), (-0.010, 1.22), (0.0, 1.27), (0.05, 1.33), (0.10, 1.42), (length, 1.5)),
    )
    for along, scale in steps:
        parts.append(centre + (ring - centre) * scale + axis * along)
    base, new = len(vertices), []
    for s in range(len(steps) - 1):
        for i in range(n):
            a, b = base + s * n + i, base + s * n + (i + 1) % n
            new += [[a, b, a + n], [b, b + n, a + n]]
    cloth = np.r_[np.zeros(base), np.ones(n * len(steps))]
    return np.concatenate([vertices] + parts), np.concatenate([faces, new]), cloth


def smooth_normals(vertices, faces):
    n = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    out = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(out, faces[:, i], n)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def rasterise(pixels, depth, faces, attributes, width, height):
    """Depth (infinity: nothing) and interpolated attributes at pixel centres; perspective-correct,
    z-buffered."""
    zbuf = np.full((height, width), np.inf)
    out = np.zeros((height, width, attributes.shape[1]))
    over = attributes / depth[:, None]
    for f in faces:
        p = pixels[f]
        x0, y0 = np.maximum(np.ceil(p.min(0)).astype(int), 0)
        x1, y1 = np.minimum(np.floor(p.max(0)).astype(int), (width - 1, height - 1))
        if x0 > x1 or y0 > y1:
            continue
        d = (p[1, 0] - p[0, 0]) * (p[2, 1] - p[0, 1]) - (p[2, 0] - p[0, 0]) * (p[1, 1] - p[0, 1])
        if abs(d) < 1e-12:
            continue
        x, y = np.meshgrid(np.arange(x0, x1 + 1), np.arange(y0, y1 + 1))
        w1 = ((x - p[0, 0]) * (p[2, 1] - p[0, 1]) - (p[2, 0] - p[0, 0]) * (y - p[0, 1])) / d
        w2 = ((p[1, 0] - p[0, 0]) * (y - p[0, 1]) - (x - p[0, 0]) * (p[1, 1] - p[0, 1])) / d
        w = np.stack([1 - w1 - w2, w1, w2], -1)
        inverse = w @ (1 / depth[f])
        z = 1 / np.where(inverse > 0, inverse, 1e-30)
        box = zbuf[y0 : y1 + 1, x0 : x1 + 1]
        take = (w >= -1e-9).all(-1) & (z < box)
        box[take] = z[take]
        out[y0 : y1 + 1, x0 : x1 + 1][take] = ((w @ over[f]) * z[..., None])[take]
    return zbuf, out


def soft_noise(height, width, scale, seed):
    rng = np.random.default_rng(seed)
    n = gaussian_filter(rng.standard_normal((height, width)), scale, mode='wrap')
    return n / n.std()


def background(height, width, seed, top, bottom):
    """A wall above a table, out of focus."""
    y = np.linspace(0, 1, height)[:, None, None]
    edge = 1 / (1 + np.exp(-(y - 0.72) * 40))
    picture = np.array(top) * (1 - 0.35 * y) * (1 - edge) + np.array(bottom) * (0.75 + 0.3 * y) * edge
    picture = np.broadcast_to(picture, (height, width, 3)).copy()
    for k, (scale, gain) in enumerate(((width / 9, 0.05), (width / 30, 0.02))):
        picture *= 1 + gain * soft_noise(height, width, scale, seed + k)[..., None]
    return picture


def shade(zbuf, normal, rest, cloth, scale, seed):
    """Linear RGB of the visible surface. rest: position in the unposed hand; scale: metres a pixel."""
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    key = np.array([-0.45, -0.72, -0.53])
    key /= np.linalg.norm(key)
    fill = np.array([0.75, -0.15, -0.6])
    fill /= np.linalg.norm(fill)
    lit = np.clip(((normal @ key) + 0.6) / 1.6, 0, 1) ** 1.6  # wraps around: skin has no hard terminator
    side = np.clip(normal @ fill, 0, 1)
    sky = 0.5 - 0.5 * normal[..., 1]
    half = key + np.array([0, 0, -1])
    half /= np.linalg.norm(half)
    gloss = np.clip(normal @ half, 0, 1) ** 28
    rim = np.clip(1 + normal[..., 2], 0, 1) ** 2.5
    solid = np.isfinite(zbuf)
    z = np.where(solid, zbuf, np.nan)
    far = np.where(solid, zbuf, np.nanmax(z) + 0.02)
    hidden = (
        sum(np.clip((far - uniform_filter(far, int(2 * r / scale) | 1)) / r, 0, 1) for r in (0.006, 0.016))
        / 2
    )
    occlusion = np.exp(-1.6 * hidden)
    # skin: redder towards the tips (rest x is minus there), a little mottled; cloth: rings
    tip = np.clip((-rest[..., 0] - 0.02) / 0.10, 0, 1)[..., None]
    skin = SKIN * (1 - tip * np.array([0.0, 0.09, 0.08]))
    skin = skin * (
        1 + 0.025 * soft_noise(*zbuf.shape, 0.0025 / scale, seed)[..., None] * np.array([0.6, 1, 1])
    )
    rib = 0.9 + 0.1 * np.sin(rest[..., 0:1] * 900)
    albedo = skin * (1 - cloth[..., None]) + CLOTH * rib * cloth[..., None]
    warm, cool = np.array([1.0, 0.95, 0.88]), np.array([0.62, 0.72, 0.85])
    light = (
        0.95 * lit[..., None] * warm + 0.2 * side[..., None] * cool + (0.16 + 0.16 * sky)[..., None] * cool
    )
    through = 0.06 * rim[..., None] * np.array([1.0, 0.35, 0.22]) * (1 - cloth[..., None])
    colour = albedo * light * occlusion[..., None] + through * occlusion[..., None]
    return colour + (0.09 * gloss * occlusion * (1 - 0.9 * cloth))[..., None]


def to_bytes(linear):
    """Linear light to sRGB."""
    v = np.clip(linear, 0, 1)
    v = np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)
    return np.rint(v * 255).astype(np.uint8)


def draw(picture, vertices, rest, faces, focal, centre, seed, samples=3):
    """Draw one hand (vertices in the camera frame, x right, y down, z forward) into a linear RGB
    picture."""
    height, width = picture.shape[:2]
    mesh, triangles, cloth = with_sleeve(vertices, faces)
    unposed = with_sleeve(rest, faces)[0]
    depth = mesh[:, 2]
    pixels = mesh[:, :2] / depth[:, None] * focal + centre
    inner = (pixels + 0.5) * samples - 0.5  # centres of pixels are whole numbers, also of the finer grid
    attributes = np.c_[smooth_normals(mesh, triangles), unposed, cloth]
    zbuf, a = rasterise(inner, depth, triangles, attributes, width * samples, height * samples)
    scale = np.median(depth) / focal / samples
    colour = shade(zbuf, a[..., :3], a[..., 3:6], a[..., 6], scale, seed)
    cover = np.isfinite(zbuf).astype(float)
    mean = lambda v: v.reshape(height, samples, width, samples, -1).mean((1, 3))
    colour, cover = mean(colour * cover[..., None]), mean(cover)
    size = 0.03 * focal / np.median(depth)
    shadow = gaussian_filter(np.roll(cover[..., 0], (int(size), int(size * 0.7)), (0, 1)), size * 0.6)
    return picture * (1 - 0.35 * shadow[..., None]) * (1 - cover) + colour
