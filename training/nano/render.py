"""Pictures from triangles: builds render.cu for what is here (nvcc, or a C++ compiler) and calls it on torch tensors.

Render(topology).draw(...) gives linear colour, what is seen where, and depth; the lens and the sensor are separate passes.
"""
import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile

import torch

MATERIAL, LIGHTING, ATTRIBUTES, LIGHTS, SHADOW = 32, 48, 8, 2, 128
MIP_SIDES = (320, 160, 80, 40)


class _Scene(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int32) for n in ("pictures", "width", "height", "vertices", "triangles", "slots", "samples",
                                              "backgrounds")] + \
               [(n, ctypes.c_void_p) for n in ("position", "normal", "attribute", "triangle", "slot", "around",
                                               "around_triangle", "material", "camera", "lighting", "light_frame",
                                               "background", "setup", "bounds", "shadow", "colour", "seen", "depth")]


class _Sensor(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int32) for n in ("pictures", "width", "height", "unused")] + \
               [(n, ctypes.c_void_p) for n in ("input", "output", "setting")]


def build(cuda):
    """The shared library of render.cu, made once per source and kind; its path."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "render.cu")
    with open(source, "rb") as f:
        key = hashlib.sha256(f.read()).hexdigest()[:16]
    folder = os.path.join(tempfile.gettempdir(), f"nano-render-{os.getuid()}")
    os.makedirs(folder, exist_ok=True)
    out = os.path.join(folder, f"{'gpu' if cuda else 'cpu'}-{key}.so")
    if os.path.exists(out):
        return out
    temporary = f"{out}.{os.getpid()}"
    if cuda:
        nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
        command = [nvcc, "-O3", "--use_fast_math", "-gencode=arch=compute_90,code=sm_90", "-shared", "-Xcompiler", "-fPIC",
                   source, "-o", temporary]
    else:
        command = ["g++", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-x", "c++", source, "-o", temporary]
    subprocess.run(command, check=True)
    os.replace(temporary, out)
    return out


class Render:
    """One topology: triangles (T,3), the slot of each (T,), attributes of the vertices (V,8)."""

    def __init__(self, triangles, slots, attributes, slot_count, backgrounds, device):
        self.device = torch.device(device)
        self.cuda = self.device.type == "cuda"
        self.library = ctypes.CDLL(build(self.cuda))
        self.library.nano_render.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.library.nano_sensor.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
        self.triangles = triangles.to(self.device, torch.int32).contiguous()
        self.slots = slots.to(self.device, torch.uint8).contiguous()
        self.attributes = attributes.to(self.device, torch.float32).contiguous()
        assert self.attributes.shape[1] == ATTRIBUTES
        self.vertices, self.slot_count = len(attributes), slot_count
        corner = triangles.reshape(-1).long().cpu()
        order = torch.argsort(corner, stable=True)
        count = torch.bincount(corner, minlength=self.vertices)
        self.around = torch.cat([torch.zeros(1, dtype=torch.long), count.cumsum(0)]).to(self.device, torch.int32)
        self.around_triangle = (order // 3).to(self.device, torch.int32).contiguous()
        self.backgrounds = mipmaps(backgrounds.to(self.device))
        self.scratch = {}

    def _room(self, name, shape, dtype):
        t = self.scratch.get(name)
        if t is None or t.shape != torch.Size(shape):
            t = self.scratch[name] = torch.empty(shape, dtype=dtype, device=self.device)
        return t

    def _stream(self):
        return torch.cuda.current_stream(self.device).cuda_stream if self.cuda else None

    def draw(self, position, material, camera, lighting, light_frame, width, height, samples=2):
        """position (B,V,3), material (B,S,32), camera (B,3), lighting (B,48), light_frame (B,2,12), float32.

        Returns colour (B,H,W,3) linear, seen (B,H,W) slot + 1, depth (B,H,W) metres; they are reused by the next call.
        """
        b, t = len(position), len(self.triangles)
        held = [x.to(torch.float32).contiguous() for x in (position, material, camera, lighting, light_frame)]
        colour = self._room("colour", (b, height, width, 3), torch.float32)
        seen = self._room("seen", (b, height, width), torch.uint8)
        depth = self._room("depth", (b, height, width), torch.float32)
        s = _Scene(b, width, height, self.vertices, t, self.slot_count, samples, len(self.backgrounds))
        given = dict(position=held[0], material=held[1], camera=held[2], lighting=held[3], light_frame=held[4],
                     normal=self._room("normal", (b, self.vertices, 3), torch.float32), attribute=self.attributes,
                     triangle=self.triangles, slot=self.slots, around=self.around, around_triangle=self.around_triangle,
                     background=self.backgrounds, setup=self._room("setup", (b, t, 9), torch.float32),
                     bounds=self._room("bounds", (b, t, 4), torch.int16),
                     shadow=self._room("shadow", (b, LIGHTS, SHADOW, SHADOW), torch.float32), colour=colour, seen=seen,
                     depth=depth)
        for name, tensor in given.items():
            setattr(s, name, tensor.data_ptr())
        with torch.cuda.device(self.device) if self.cuda else _Nothing():
            error = self.library.nano_render(ctypes.byref(s), self._stream())
        if error:
            raise RuntimeError(f"render: error {error}")
        return colour, seen, depth

    def sensor(self, image, setting, which):
        """One pass over (B,H,W,3): which = 0 blur, 1 shrink, 2 grow; setting (B,16)."""
        image, setting = image.contiguous(), setting.to(torch.float32).contiguous()
        out = torch.empty_like(image)
        s = _Sensor(image.shape[0], image.shape[2], image.shape[1], 0, image.data_ptr(), out.data_ptr(), setting.data_ptr())
        with torch.cuda.device(self.device) if self.cuda else _Nothing():
            error = self.library.nano_sensor(ctypes.byref(s), which, self._stream())
        if error:
            raise RuntimeError(f"sensor: error {error}")
        return out


class _Nothing:
    def __enter__(self):
        return self

    def __exit__(self, *a):
        return False


def mipmaps(pictures):
    """(N,320,320,3) uint8 -> (N, texels, 3) uint8: the picture at 320, 160, 80 and 40, one after the other."""
    x = pictures.permute(0, 3, 1, 2).float()
    parts = []
    for side in MIP_SIDES:
        if side != 320:
            x = torch.nn.functional.avg_pool2d(x, 2)
        parts.append(x.permute(0, 2, 3, 1).reshape(len(pictures), -1, 3))
    return torch.cat(parts, 1).round().clamp(0, 255).to(torch.uint8).contiguous()
