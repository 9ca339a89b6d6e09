#!/usr/bin/env python3
"""Check what make_backgrounds.py and make_body.py made.  usage: check_assets.py DIR HAND.npz

DIR holds backgrounds.npz, stamps.npz, body.npz.  Prints a line per check, ends with 1 if one failed.
"""
import os, sys
import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'nano'))
import backgrounds
import body as B

failed = 0


def check(ok, text):
    global failed
    failed += not ok
    print('ok  ' if ok else 'FAIL', text)


def packs(folder):
    t, flags = backgrounds.load_backgrounds(f'{folder}/backgrounds.npz', with_flags=True)
    check(t.dtype == torch.uint8 and t.shape[1:] == (320, 320, 3) and len(t) >= 600, f'{len(t)} tiles of 320x320x3')
    z = np.load(f'{folder}/backgrounds.npz')
    check(len(z['sources']) >= 150 and len(z['source']) == len(t), f'{len(z["sources"])} source pictures')
    small = t[:, ::16, ::16].float().reshape(len(t), -1)
    same = torch.cdist(small, small).fill_diagonal_(1e9).min(1).values < 1
    check(int(same.sum()) <= 8, f'{int(same.sum())} tiles are twins')
    check(0 < int(flags.sum()) < 80, f'{int(flags.sum())} tiles are marked as faces')
    s = backgrounds.load_stamps(f'{folder}/stamps.npz')
    share = (s[..., 3] > 128).float().mean((1, 2))
    check(s.shape[1:] == (160, 160, 4) and len(s) >= 150, f'{len(s)} stamps')
    check(bool((share > .02).all() and (share < .97).all()), f'stamps cover {share.min():.2f} to {share.max():.2f}')
    sizes = [os.path.getsize(f'{folder}/{n}.npz') / 1e6 for n in ('backgrounds', 'stamps', 'body')]
    check(sizes[0] <= 14.01 and sizes[1] <= 4 and sizes[2] <= .9, 'sizes %.2f %.2f %.2f MB' % tuple(sizes))


def bodies(folder, hand):
    b = B.Body(f'{folder}/body.npz')
    edges = torch.cat([b.faces[:, [0, 1]], b.faces[:, [1, 2]], b.faces[:, [2, 0]]])
    check(len(torch.unique(edges, dim=0)) == len(edges), 'no edge is used twice in one direction')
    t = b.v_template[b.faces]
    volume = float((t[:, 0] * torch.linalg.cross(t[:, 1], t[:, 2])).sum() / 6)
    check(.04 < volume < .11, f'triangles face outward, volume {volume:.3f} m3')
    n = 128
    s = B.sample_body_pose(n, torch.Generator().manual_seed(1), 'cpu', b)
    again = B.sample_body_pose(n, torch.Generator().manual_seed(1), 'cpu', b)
    check(all(torch.equal(s[k], again[k]) for k in s), 'the same seed gives the same people')
    r = s['rotmats']
    check(float((r @ r.transpose(-1, -2) - torch.eye(3)).abs().max()) < 1e-5 and float(torch.linalg.det(r).min()) > .999, 'rotations')
    radius = torch.full((n, 2), .024)
    v, g, f = b(r, s['betas'], wrist_radius=radius)
    det = torch.linalg.det(f[..., :3, :3])
    check(bool(torch.isfinite(v).all()) and bool((det[:, 0] > .999).all() and (det[:, 1] < -.999).all()), 'frames: right proper, left mirrored')
    template = torch.from_numpy(np.load(hand)['v_template'])
    stump = template[template[:, 0] > .112]
    want = stump[:, 1:].mean(0)
    for k, side in enumerate(B.SIDES):
        inv = torch.linalg.inv(f[:, k])
        x = v[:, b.rings[k]] @ inv[:, :3, :3].transpose(1, 2) + inv[:, None, :3, 3]
        check(float((x[..., 0] - .106).abs().max()) < .004, f'{side}: the arm ends 10 mm behind the wrist joint, inside of the stump')
        gap = (x[..., 1:].mean(1) - want).norm(dim=-1)
        check(float(gap.max()) < .005, f'{side}: axes of arm and stump are {gap.mean() * 1e3:.1f} mm apart (at most {gap.max() * 1e3:.1f})')
        # at rest the arm fits to 0.96; where forearm and wrist twist apart, blending narrows it further
        alone = b._narrow(*b.shape(s['betas']), .96 * radius / b.wrist_radius(s['betas']))[:, b.rings[k]]
        still = torch.linalg.inv(b.rest_wrist_frames(*b.shape(s['betas'])[1:])[:, k])
        y = (alone @ still[:, :3, :3].transpose(1, 2) + still[:, None, :3, 3])[..., 1:]
        fit = (y - y.mean(1, keepdim=True)).norm(dim=-1).mean(1) / .024
        check(.955 < float(fit.min()) and float(fit.max()) < .965, f'{side}: arm to stump at rest {fit.min():.3f} to {fit.max():.3f}')
        fit = (x[..., 1:] - x[..., 1:].mean(1, keepdim=True)).norm(dim=-1).mean(1) / .024
        check(.85 < float(fit.min()) and float(fit.max()) < 1.0, f'{side}: arm to stump posed {fit.min():.3f} to {fit.max():.3f}')
    w = f[..., :3, :3] @ torch.tensor(B.WRIST) + f[..., :3, 3]
    high = w[s['activity'] == B.ACTIVITIES.index('raise')][:, 1].mean() - w[s['activity'] == B.ACTIVITIES.index('hang')][:, 1].mean()
    check(float(high) > .6, f'raised hands are {high:.2f} m above hanging ones')
    depth = (w @ s['camera'][:, :3, :3].transpose(1, 2) + s['camera'][:, None, :3, 3])[..., 2]
    check(float((depth > .15).float().mean()) > .95, 'hands are before the camera')


if __name__ == '__main__':
    packs(sys.argv[1])
    bodies(sys.argv[1], sys.argv[2])
    sys.exit(failed > 0)
