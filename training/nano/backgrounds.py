"""Read the packs that make_backgrounds.py writes: tiles to stand behind the hands, objects to lay over them.

Decoding needs torchvision, or else Pillow; every decoder gives the same pictures up to JPEG rounding.
"""
import io, zlib
import numpy as np
import torch

FACE = 1                                               # flag of a tile that shows a (painted) face


def _decode(jpegs):
    """list of 1-D uint8 arrays -> list of (H,W,3) uint8 tensors"""
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
        return [decode_jpeg(torch.from_numpy(j.copy()), ImageReadMode.RGB).permute(1, 2, 0) for j in jpegs]
    except ImportError:
        from PIL import Image
        return [torch.from_numpy(np.array(Image.open(io.BytesIO(j.tobytes())).convert('RGB'))) for j in jpegs]


def _pieces(data, offsets):
    return [data[a:b] for a, b in zip(offsets[:-1], offsets[1:])]


def load_backgrounds(path, device='cpu', with_flags=False):
    """(N,320,320,3) uint8 on `device` (and the flags, (N,) uint8, when asked)."""
    z = np.load(path)
    t = torch.stack(_decode(_pieces(z['data'], z['offsets']))).contiguous().to(device)
    return (t, torch.from_numpy(z['flags'].copy()).to(device)) if with_flags else t


def load_stamps(path, device='cpu'):
    """(M,160,160,4) uint8 on `device`: colour and alpha, the alpha not multiplied in."""
    z = np.load(path)
    rgb = torch.stack(_decode(_pieces(z['data'], z['offsets'])))
    alpha = [np.frombuffer(zlib.decompress(m.tobytes()), np.uint8) for m in _pieces(z['masks'], z['mask_offsets'])]
    alpha = torch.from_numpy(np.stack(alpha)).view(len(rgb), 160, 160, 1)
    return torch.cat([rgb, alpha], -1).contiguous().to(device)
