"""The WiLoR network as a plain PyTorch module: ViT, heads, MANO, RefineNet, MANO.

Written from docs/architecture.md with the operations one would choose for speed (fused attention, no hooks); it
computes every token and the whole feature maps, as upstream does. peers.py compares what it answers with what
wilor answers. In bfloat16 the blocks, the patch convolution, the last norm and RefineNet's convolutions have
their weights and activations in 16 bits, the residual stream included, as `.bfloat16()` would leave them; the decoders, the sampling and
MANO stay float32."""

import numpy as np
import torch
import torch.nn.functional as F

SHORT = ('backbone.blocks.', 'backbone.patch_embed.', 'backbone.last_norm.', 'refine_net.deconv.')


class Wilor(torch.nn.Module):
    """Crops n x 256 x 256 x 3 (RGB, 0 to 255) to cam, betas, rotation vectors, keypoints, vertices."""

    def __init__(self, weights, heads, dtype=torch.float32):
        super().__init__()
        self.heads, self.names, self.dtype = heads, {}, dtype
        for name, value in weights.items():  # modules' names may hold no dots
            self.names[name] = name.replace('.', '_')
            tensor = torch.from_numpy(np.ascontiguousarray(value))
            self.register_buffer(self.names[name], tensor.to(dtype) if name.startswith(SHORT) else tensor)
        self.depth = 1 + max(int(k.split('.')[2]) for k in weights if k.startswith('backbone.blocks.'))
        self.parents = [int(p) for p in weights['mano.parents']]
        self.register_buffer('mean', torch.tensor([0.485, 0.456, 0.406]))
        self.register_buffer('std', torch.tensor([0.229, 0.224, 0.225]))
        self.register_buffer('eye', torch.eye(3))

    def __getitem__(self, name):
        return getattr(self, self.names[name])

    def linear(self, x, name):
        return F.linear(x, self[name + '.weight'], self[name + '.bias'])

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self[name + '.weight'], self[name + '.bias'], 1e-6)

    def tokens(self, crops):
        b = 'backbone.'
        x = ((crops / 255 - self.mean) / self.std).permute(0, 3, 1, 2)[..., 32:224].to(self.dtype)
        x = F.conv2d(
            x, self[b + 'patch_embed.proj.weight'], self[b + 'patch_embed.proj.bias'], stride=16, padding=2
        )
        x = x.flatten(2).transpose(1, 2).float() + self[b + 'pos_embed'][:, 1:] + self[b + 'pos_embed'][:, :1]
        lead = (
            self.linear(self[b + 'init_hand_pose'].reshape(1, 16, 6), b + 'pose_emb'),
            self.linear(self[b + 'init_betas'], b + 'shape_emb')[:, None],
            self.linear(self[b + 'init_cam'], b + 'cam_emb')[:, None],
        )
        x = torch.cat([torch.cat(lead, 1).expand(len(x), -1, -1), x], 1).to(self.dtype)
        for i in range(self.depth):
            p = f'{b}blocks.{i}.'
            q = (
                self.linear(self.norm(x, p + 'norm1'), p + 'attn.qkv')
                .unflatten(-1, (3, self.heads, -1))
                .permute(2, 0, 3, 1, 4)
            )
            a = F.scaled_dot_product_attention(q[0], q[1], q[2]).transpose(1, 2).flatten(2)
            x = x + self.linear(a, p + 'attn.proj')
            x = x + self.linear(F.gelu(self.linear(self.norm(x, p + 'norm2'), p + 'mlp.fc1')), p + 'mlp.fc2')
        return self.norm(x, b + 'last_norm')

    @staticmethod
    def rotations(pose):
        a = pose.reshape(-1, 16, 2, 3)
        b1 = F.normalize(a[..., 0, :], dim=-1)
        b2 = F.normalize(a[..., 1, :] - (b1 * a[..., 1, :]).sum(-1, keepdim=True) * b1, dim=-1)
        return torch.stack([b1, b2, torch.linalg.cross(b1, b2)], -1)

    @staticmethod
    def vectors(r):
        """Rotation vectors; not for angles near pi."""
        s = torch.stack(
            [r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], -1
        )
        n = s.norm(dim=-1, keepdim=True)
        return (
            s
            / n.clamp_min(1e-12)
            * torch.atan2(n, (r[..., 0, 0] + r[..., 1, 1] + r[..., 2, 2] - 1)[..., None])
        )

    def hand(self, r, betas):
        n = len(r)
        shaped = self['mano.v_template'] + torch.einsum('vck,nk->nvc', self['mano.shapedirs'], betas)
        joints = torch.einsum('jv,nvc->njc', self['mano.J_regressor'], shaped)
        feature = (r[:, 1:] - self.eye).reshape(n, 135)
        posed = shaped + (feature @ self['mano.posedirs']).reshape(n, -1, 3)
        turn, place = [r[:, 0]], [joints[:, 0]]
        for j, p in enumerate(self.parents[1:], 1):
            turn.append(turn[p] @ r[:, j])
            place.append(place[p] + (turn[p] @ (joints[:, j] - joints[:, p])[..., None])[..., 0])
        turn, place = torch.stack(turn, 1), torch.stack(place, 1)
        shift = place - (turn @ joints[..., None])[..., 0]
        skin = torch.einsum(
            'vj,njk->nvk', self['mano.lbs_weights'], torch.cat([turn, shift[..., None]], -1).flatten(2)
        ).unflatten(-1, (3, 4))
        vertices = (skin[..., :3] @ posed[..., None])[..., 0] + skin[..., 3]
        points = torch.cat([place, vertices[:, self['mano.extra_joints_idxs']]], 1)[:, self['mano.joint_map']]
        return vertices, points

    def up(self, x, conv, norm):
        p = 'refine_net.deconv.deconv.'
        x = F.conv_transpose2d(x, self[p + conv + '.weight'], stride=2, padding=1)
        return F.relu(
            F.batch_norm(
                x, *(self[f'{p}{norm}.{k}'] for k in ('running_mean', 'running_var', 'weight', 'bias'))
            )
        )

    def refine(self, image, vertices, cam):
        p = 'refine_net.'
        f0 = F.conv2d(image, self[p + 'deconv.first_conv.0.weight'], self[p + 'deconv.first_conv.0.bias'])
        features = []
        for f in (self.up(self.up(f0, '1.0', '1.1'), '1.3', '1.4'), self.up(f0, '0.0', '0.1'), f0):
            h, w = f.shape[2:]
            q = vertices + torch.stack([cam[:, 1], cam[:, 2], 10000 / (h * cam[:, 0] + 1e-9)], -1)[:, None]
            uv = q[..., :2] / q[..., 2:] * (5000 / h)
            f = f.float()
            grid = torch.stack([uv[..., 0] / (w - 1), uv[..., 1] / (h - 1)], -1) * 2 - 1
            features.append(F.grid_sample(f, grid[:, :, None], align_corners=True)[..., 0].amax(-1))
        v = torch.cat(features, 1)
        return [self.linear(v, p + k) for k in ('dec_pose', 'dec_shape', 'dec_cam')]

    def forward(self, crops):
        b, x = 'backbone.', self.tokens(crops)
        maps, x = x[:, 18:], x.float()
        pose = self.linear(x[:, :16], b + 'decpose').flatten(1) + self[b + 'init_hand_pose']
        betas = self.linear(x[:, 16], b + 'decshape') + self[b + 'init_betas']
        cam = self.linear(x[:, 17], b + 'deccam') + self[b + 'init_cam']
        vertices, _ = self.hand(self.rotations(pose), betas)
        d = self.refine(maps.transpose(1, 2).unflatten(2, (16, 12)), vertices, cam)
        r, betas = self.rotations(pose + d[0]), betas + d[1]
        vertices, points = self.hand(r, betas)
        return cam + d[2], betas, self.vectors(r), points, vertices
