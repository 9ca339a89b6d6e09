#!/usr/bin/env python3
"""Make tests/golden/data/quantise.npz by running MLX's own quantiser on the CPU.

    pip install "mlx[cpu]==0.32.4" numpy
    make_quant_golden.py tests/golden/data/quantise.npz

For each matrix NAME, 4 and 8 bits, groups of 32, 64 and 128: what mx.quantize and mx.dequantize give.
The matrices are made here: numbers like those of a network's layers, and rows at which an
implementation may go wrong. The zip has no dates, so that the same MLX gives the same bytes."""
import io, sys, zipfile
import mlx.core as mx
import numpy as np

assert mx.__version__ == '0.32.4', mx.__version__
mx.set_default_device(mx.cpu)
N = 128


def edges():
    f, i = np.float32, np.arange(N)
    rows = [np.zeros(N), np.full(N, 1.0), np.full(N, -1.0),              # all equal
            np.where(i % 2, -0.0, 0.0),
            np.full(N, 1e-40), np.where(i % 2, 1e-40, -1e-45),           # subnormal
            np.full(N, -1e-9), np.where(i % 2, -1e-7, 1e-7),             # below the least step
            np.where(i == 3, 5e-8, 0), np.where(i == 3, 7.6e-7, 0),
            np.linspace(-1, 1, N), np.linspace(0, 1, N), np.linspace(-1, 0, N),
            np.linspace(5, 6, N), np.linspace(-6, -5, N),                # zero outside
            np.where(i % 32 == 0, 3.0, -3.0),                            # equal magnitudes: the upper edge wins
            np.where(i % 32 == 0, 3.0, np.nextafter(f(-3.0), f(-4.0))),  # by one unit: the lower one
            (i % 32) / 31.0 * 15, (i % 32 - 15.5), (i % 32) * 0.5,       # ties
            np.where(i == 0, 1e30, 1e-30), np.where(i % 32 == 7, -1e4, 1e-3),
            np.where(i % 2, 1.0, 1.0 + 2.0 ** -23)]
    return np.array(rows, dtype=np.float32)


def main():
    rng = np.random.default_rng(1)
    heavy = rng.standard_t(3, (10, N)) * 0.01
    w = {'normal': (rng.standard_normal((24, N)) * 0.02).astype(np.float32), 'heavy': heavy.astype(np.float32),
         'bits': rng.integers(0, 2 ** 32, (6, N), dtype=np.uint32).view(np.float32).copy(), 'edges': edges()}
    b = w['bits']  # any finite numbers whose spread is finite
    b[~np.isfinite(b) | (np.abs(b) > 1e38)] = 1
    # Half steps of many sizes: where a product with a reciprocal rounds to the other side.
    steps = rng.uniform(0.001, 0.1, (16, 1)).astype(np.float32)
    w['ties'] = (np.arange(N) % 32 % 31 * np.float32(0.5)).astype(np.float32) * steps
    out = {}
    for name, m in w.items():
        out[name] = m
        for bits in (4, 8):
            for group in (32, 64, 128):
                q = mx.quantize(mx.array(m), group_size=group, bits=bits)
                back = mx.dequantize(*q, group_size=group, bits=bits)
                for part, a in zip(('weight', 'scales', 'biases', 'values'), (*q, back)):
                    out[f'{name}.{bits}.{group}.{part}'] = np.array(a)
    with zipfile.ZipFile(sys.argv[1], 'w') as z:
        for name, a in out.items():
            text = io.BytesIO()
            np.lib.format.write_array(text, np.ascontiguousarray(a))
            z.writestr(zipfile.ZipInfo(name + '.npy'), text.getvalue(), zipfile.ZIP_DEFLATED)


main()
