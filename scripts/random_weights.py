"""The deterministic weights of src/weights/random_weights.c in Python (numpy), for scripts that run
other programs on the same network. random_weights.h states the formula;
tests/unit/test_random_weights.c holds the sums of all tensors."""

import collections
import numpy as np

GOLDEN, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1

# width, depth, heads, and what is added to the camera decoder's bias
MODELS = {
    'tiny': (64, 3, 4, (-3.1, 0.05, -0.04)),
    'hd80': (160, 2, 2, (-3.1, -0.3, 0.6)),
    'full': (1280, 32, 16, (-3.1, 0.05, -0.04)),
}


def name_hash(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def fill(name, seed, shape, std=1.0, mean=0.0):
    """Nearly normal float32 numbers that depend on name and seed alone."""
    key = np.uint64(name_hash(name) ^ (seed * GOLDEN & MASK))
    count = int(np.prod(shape, dtype=np.int64))
    out = np.empty(count, np.float32)
    for a in range(0, count, 1 << 20):
        z = np.arange(a + 1, min(count, a + (1 << 20)) + 1, dtype=np.uint64) * np.uint64(GOLDEN) + key
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        total = sum((z >> np.uint64(s)) & np.uint64(0xFFFF) for s in (0, 16, 32, 48))
        n = (total.astype(np.int32) - np.int32(131070)).astype(np.float32) * np.float32(2.6428997e-05)
        out[a : a + len(n)] = n * np.float32(std) + np.float32(mean)
    return out.reshape(shape)


def tensors(width, depth):
    """(name, shape, std, mean) of every learned tensor, in the checkpoint's order."""
    D, H, R = width, 4 * width, width // 8 + width // 4 + width // 2
    rsqrt = lambda n: n**-0.5
    b, r = 'backbone.', 'refine_net.'
    yield b + 'pos_embed', (1, 193, D), 0.5, 0
    yield b + 'patch_embed.proj.weight', (D, 3, 16, 16), rsqrt(768), 0
    yield b + 'patch_embed.proj.bias', (D,), 0.1, 0
    for name, n, std in (('pose_emb', 6, 0.6), ('shape_emb', 10, 0.6), ('cam_emb', 3, 0.25)):
        yield b + name + '.weight', (D, n), std, 0
        yield b + name + '.bias', (D,), 0.2, 0
    for name, n, std, bias in (('decpose', 6, 0.4, 0.02), ('decshape', 10, 0.8, 0.1), ('deccam', 3, 0.12, 0)):
        yield b + name + '.weight', (n, D), std * rsqrt(D), 0
        yield b + name + '.bias', (n,), bias, 0
    for i in range(depth):
        p = f'{b}blocks.{i}.'
        for part in (
            ('norm1.weight', (D,), 0.15, 1),
            ('norm1.bias', (D,), 0.1, 0),
            ('attn.qkv.weight', (3 * D, D), 1.3 * rsqrt(D), 0),
            ('attn.qkv.bias', (3 * D,), 0.2, 0),
            ('attn.proj.weight', (D, D), 0.9 * rsqrt(D), 0),
            ('attn.proj.bias', (D,), 0.05, 0),
            ('norm2.weight', (D,), 0.15, 1),
            ('norm2.bias', (D,), 0.1, 0),
            ('mlp.fc1.weight', (H, D), rsqrt(D), 0),
            ('mlp.fc1.bias', (H,), 0.2, -0.3),
            ('mlp.fc2.weight', (D, H), 0.9 * rsqrt(H), 0),
            ('mlp.fc2.bias', (D,), 0.05, 0),
        ):
            yield (p + part[0],) + part[1:]
    yield b + 'last_norm.weight', (D,), 0.1, 1
    yield b + 'last_norm.bias', (D,), 0.05, 0
    q = r + 'deconv.'
    yield q + 'first_conv.0.weight', (D // 2, D, 1, 1), rsqrt(D), 0
    yield q + 'first_conv.0.bias', (D // 2,), 0.1, 0
    for conv, norm, shape, std in (
        ('deconv.0.0', 'deconv.0.1', (D // 2, D // 4), rsqrt(2 * D)),
        ('deconv.1.0', 'deconv.1.1', (D // 2, D // 4), rsqrt(2 * D)),
        ('deconv.1.3', 'deconv.1.4', (D // 4, D // 8), 1.3 * rsqrt(D)),
    ):
        yield q + conv + '.weight', shape + (4, 4), std, 0
        for name, s, mean in (
            ('weight', 0.2, 1),
            ('bias', 0.2, 0.1),
            ('running_mean', 0.3, 0),
            ('running_var', 0.2, 1.2),
        ):
            yield f'{q}{norm}.{name}', shape[1:], s, mean
    for name, n, std, bias in (
        ('dec_pose', 96, 0.12, 0.02),
        ('dec_cam', 3, 0.05, 0.01),
        ('dec_shape', 10, 0.4, 0.05),
    ):
        yield f'{r}{name}.weight', (n, R), std * rsqrt(R), 0
        yield f'{r}{name}.bias', (n,), bias, 0


def mean_parameters(seed):
    """init_hand_pose (96), init_betas (10), init_cam (3)."""

    def rotation(v):
        angle = np.sqrt((v * v).sum()) + 1e-12
        x, y, z = v / angle
        m = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return (np.eye(3) + np.sin(angle) * m + (1 - np.cos(angle)) * m @ m)[:, :2].ravel()

    v = fill('mean.pose', seed, (16, 3), 0.25).astype(np.float64)
    v[0] += 0.3, 0.2, 1.2
    pose = np.rint(np.concatenate([rotation(x) for x in v]) * 4096) / 4096
    return pose.astype(np.float32), fill('mean.shape', seed, (10,), 0.3), np.array([4, 0, 0], np.float32)


def adjust(out, name):
    """What is not noise: biases that keep the hand before the camera, three channels that are large."""
    width, depth, _, camera = MODELS[name]
    out['backbone.decpose.bias'] += np.float32([0, 0, 0, -1, 1, 0])
    out['backbone.deccam.bias'] += np.float32(camera)
    large = (width // 7, 14), (width // 3, -9), (width - 5, 22)
    for block, sign in ((1, 1), (depth - 1, -1)) if depth > 2 else ((1, 1),):
        for channel, value in large:
            out[f'backbone.blocks.{block}.mlp.fc2.bias'][channel] += np.float32(sign * value)


def network(name, seed=1):
    """Every learned tensor and init_* of a model of MODELS, under the checkpoint's names."""
    width, depth, _, _ = MODELS[name]
    out = collections.OrderedDict(
        (k, fill(k, seed, shape, std, mean)) for k, shape, std, mean in tensors(width, depth)
    )
    adjust(out, name)
    for key, value in zip(('init_hand_pose', 'init_betas', 'init_cam'), mean_parameters(seed)):
        out['backbone.' + key] = value[None]
    return out


def mano(hand):
    """mano.* of a checkpoint from the arrays of hand-cc0.npz."""
    return collections.OrderedDict(
        (
            'mano.' + {'faces': 'faces_tensor'}.get(k, k),
            np.asarray(hand[k], np.int64 if hand[k].dtype.kind in 'iu' else np.float32),
        )
        for k in (
            'v_template',
            'shapedirs',
            'posedirs',
            'J_regressor',
            'lbs_weights',
            'parents',
            'faces',
            'extra_joints_idxs',
            'joint_map',
        )
    )
