#!/usr/bin/env python3
"""Make tests/golden/data/pictures: small synthetic pictures in every variant that the readers know,
what OpenCV decodes from them (expected.npz, arrays of RGB named after the files), and damaged ones.

    python scripts/make_picture_fixtures.py [FOLDER]

Needs numpy, pillow and opencv-python-headless (made with 2.4, 13.0 and 5.0.0). The bytes depend on
Pillow's encoders; the test only needs pictures and expectations that were made together."""
import io
import pathlib
import struct
import sys
import zlib

import cv2
import numpy as np
from PIL import Image

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                   pathlib.Path(__file__).parent.parent / "tests/golden/data/pictures")
RNG = np.random.default_rng(1)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def pixels(width, height, channels=3):
    """Gradients, edges and noise: every part of a decoder has something to do."""
    y, x = np.mgrid[:height, :width]
    planes = [x * 5 + y * 3, x * y // 3, 255 * ((x // 5 + y // 4) % 2), x * 9]
    a = np.stack([p % 256 for p in planes[:channels]], -1)
    return np.clip(a + RNG.integers(-20, 20, a.shape), 0, 255).astype(np.uint8)


def saved(array, form, mode=None, **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, form, **options)
    return out.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed(values, depth):
    if depth == 16:
        return values.astype(">u2").tobytes()
    if depth == 8:
        return values.astype(np.uint8).tobytes()
    bits = (values[:, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


def png(width, height, color, depth, interlaced=False, trns=False):
    """A PNG of random samples, written by hand: Pillow cannot make most of these."""
    values = RNG.integers(0, 2**depth, (height, width, CHANNELS[color]))
    rows = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = values[y0::dy, x0::dx]
        if part.shape[1]:
            rows += b"".join(b"\0" + packed(row.reshape(-1), depth) for row in part)
    extra = b""
    if color == 3:
        extra += chunk(b"PLTE", RNG.integers(0, 256, 3 * 2**depth).astype(np.uint8).tobytes())
    if trns:
        first = [int(v) for v in values[0, 0]]
        data = bytes(range(2**depth)) if color == 3 else struct.pack(f">{len(first)}H", *first)
        extra += chunk(b"tRNS", data)
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    return (SIGNATURE + chunk(b"IHDR", head) + chunk(b"gAMA", struct.pack(">I", 90000)) + extra +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def sound():
    files = {}
    for width, height in [(1, 1), (7, 3), (33, 17)]:
        size = f"{width}x{height}"
        rgb, rgba = pixels(width, height), pixels(width, height, 4)
        for name, sub in (("444", 0), ("422", 1), ("420", 2)):
            files[f"jpeg_{name}_{size}.jpg"] = saved(rgb, "JPEG", subsampling=sub, quality=80)
            files[f"jpeg_{name}_progressive_{size}.jpg"] = saved(rgb, "JPEG", subsampling=sub, progressive=True)
        files[f"jpeg_grey_{size}.jpg"] = saved(rgb[..., 0], "JPEG")
        files[f"jpeg_cmyk_{size}.jpg"] = saved(rgba, "JPEG", mode="CMYK")
        files[f"jpeg_rgb_{size}.jpg"] = saved(rgb, "JPEG", keep_rgb=True)
        files[f"webp_lossy_{size}.webp"] = saved(rgb, "WEBP", quality=60)
        files[f"webp_lossy_alpha_{size}.webp"] = saved(rgba, "WEBP", quality=60)
        files[f"webp_lossless_{size}.webp"] = saved(rgb, "WEBP", lossless=True)
        files[f"webp_lossless_alpha_{size}.webp"] = saved(rgba, "WEBP", lossless=True, exact=True)
        for color, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
            for depth in depths:
                files[f"png_c{color}_{depth}_{size}.png"] = png(width, height, color, depth)
                if width == 33:
                    files[f"png_c{color}_{depth}_interlaced_{size}.png"] = png(width, height, color, depth, True)
                if width == 7 and color in (0, 2, 3):
                    files[f"png_c{color}_{depth}_trns_{size}.png"] = png(width, height, color, depth, False, True)
    rgb = pixels(17, 11)
    files["jpeg_restart.jpg"] = saved(pixels(64, 40), "JPEG", restart_marker_blocks=3)
    files["webp_animated.webp"] = saved(rgb, "WEBP", save_all=True,
                                        append_images=[Image.fromarray(rgb[::-1].copy())])
    files["png_animated.png"] = saved(rgb, "PNG", save_all=True,
                                      append_images=[Image.fromarray(rgb[::-1].copy())])
    for turn in range(0, 10):
        exif = Image.Exif()
        exif[0x112] = turn
        for form, ending in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
            files[f"exif{turn}.{ending}"] = saved(rgb, form, exif=exif)
    return files


def damaged(files):
    """Cut at 60 %, cut by the last byte, a wrong checksum, an impossible header."""
    bad = {}
    for name in ("jpeg_420_33x17.jpg", "jpeg_420_progressive_33x17.jpg", "jpeg_restart.jpg", "png_c2_8_33x17.png",
                 "png_c6_16_interlaced_33x17.png", "webp_lossy_33x17.webp", "webp_lossless_33x17.webp",
                 "webp_animated.webp"):
        data = files[name]
        bad["cut_" + name] = data[:len(data) * 6 // 10]
        bad["short_" + name] = data[:-1]
    data = bytearray(files["png_c2_8_33x17.png"])
    data[43] ^= 4
    bad["flip_png_gama.png"] = bytes(data)  # an ancillary chunk: its checksum counts as well
    data = bytearray(files["png_c2_8_33x17.png"])
    data[120] ^= 4
    bad["flip_png_pixels.png"] = bytes(data)
    data = files["exif6.png"]
    at = data.index(b"eXIf") - 4
    bad["huge_chunk.png"] = data[:at] + struct.pack(">I", 0x50000000) + data[at + 4:]
    head = files["jpeg_420_33x17.jpg"]
    sof = head.index(b"\xff\xc0")
    bad["huge_jpeg.jpg"] = head[:sof + 5] + struct.pack(">HH", 12000, 12000) + head[sof + 9:]
    bad["zero_jpeg.jpg"] = head[:sof + 5] + struct.pack(">HH", 0, 33) + head[sof + 9:]
    return bad


def main():
    files = sound()
    expected = {}
    for name, data in files.items():
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        expected[name] = np.ascontiguousarray(bgr[..., ::-1])
    bad = damaged(files)
    bomb = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    limits = {"bomb.png": SIGNATURE + chunk(b"IHDR", bomb)}
    for folder, group in (("sound", files), ("damaged", bad), ("limit", limits)):
        (OUT / folder).mkdir(parents=True, exist_ok=True)
        for old in (OUT / folder).iterdir():
            old.unlink()
        for name, data in group.items():
            (OUT / folder / name).write_bytes(data)
    np.savez(OUT / "expected.npz", **expected)
    total = sum(p.stat().st_size for p in OUT.rglob("*") if p.is_file())
    print(f"{len(files)} pictures, {len(bad)} damaged, {total} bytes in all")


if __name__ == "__main__":
    main()
