#!/usr/bin/env python3
"""The approximations of src/kernels/kernels.h: how their coefficients were found. Needs numpy, scipy.

erf(x/sqrt 2) = x P(x^2)/Q(x^2) on |x| <= 5.5, erf(x/sqrt 2)/2 = x S(2 (x/4.4)^2 - 1) on |x| <= 4.4 (least largest error of x times it: for results
that become 16 or 8 bits) and exp(r) = 1 + r + r^2 E(r) on |r| <= ln 2/2
(and, for weights that become bfloat16, 2^r = 1 + r B(r) on |r| <= 1/2), each the least
largest relative error at Chebyshev points: linearised least squares with the denominator of the round before,
weights by Lawson's rule. Prints the coefficients as the header has them and the errors before rounding.
"""
import numpy as np
from numpy.polynomial import Chebyshev, Polynomial, chebyshev
from scipy.special import erf

LIMIT, POINTS, ROUNDS = 5.5, 4000, 400


def rational(degree_p, degree_q):
    x = LIMIT * (1 - np.cos((np.arange(POINTS) + .5) * np.pi / POINTS)) / 2
    s, f = 2 * (x / LIMIT) ** 2 - 1, erf(x / np.sqrt(2)) / x
    vp, vq = chebyshev.chebvander(s, degree_p), chebyshev.chebvander(s, degree_q)
    weight, q, best = np.ones(POINTS), np.ones(POINTS), (np.inf, None)
    for _ in range(ROUNDS):
        rows = np.sqrt(weight) / (f * q)
        c, *_ = np.linalg.lstsq(np.hstack([vp, -f[:, None] * vq[:, 1:]]) * rows[:, None], f * vq[:, 0] * rows, rcond=None)
        q = vq @ np.r_[1, c[degree_p + 1:]]
        error = abs(vp @ c[:degree_p + 1] / q / f - 1)
        if error.max() < best[0]:
            best = error.max(), c
        weight *= error / error.max() + 1e-3
        weight /= weight.mean()
    error, c = best
    p, q = (Chebyshev(part, domain=[0, LIMIT ** 2]).convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1]).coef
            for part in (c[:degree_p + 1], np.r_[1, c[degree_p + 1:]]))
    return error, p / q[0], q / q[0]


def short_gelu(degree, limit):
    x = limit * (1 - np.cos((np.arange(POINTS) + .5) * np.pi / POINTS)) / 2
    f, v = erf(x / np.sqrt(2)) / 2 / x, chebyshev.chebvander(2 * (x / limit) ** 2 - 1, degree)
    weight, best = np.ones(POINTS), (np.inf, None)
    for _ in range(ROUNDS):
        rows = np.sqrt(weight) * x * x
        c, *_ = np.linalg.lstsq(v * rows[:, None], f * rows, rcond=None)
        error = abs(v @ c - f) * x * x
        if error.max() < best[0]:
            best = error.max(), c
        weight *= error / error.max() + 1e-3
        weight /= weight.mean()
    error, c = best
    return error, chebyshev.cheb2poly(c)


def exponential(degree):
    r = np.cos((np.arange(2000) + .5) * np.pi / 2000) * np.log(2) / 2 * 1.0005
    f, v = (np.expm1(r) - r) / r ** 2, np.vander(r, degree + 1, increasing=True)
    weight, best = np.ones(2000), (np.inf, None)
    for _ in range(300):
        rows = np.sqrt(weight) * r ** 2
        c, *_ = np.linalg.lstsq(v * rows[:, None], f * rows, rcond=None)
        error = abs((v @ c - f) * r ** 2 / np.exp(r))
        if error.max() < best[0]:
            best = error.max(), c
        weight *= error / error.max() + 1e-3
        weight /= weight.mean()
    return best


def power_of_two(degree):
    r = np.cos((np.arange(POINTS) + .5) * np.pi / POINTS) / 2
    f, v = (2 ** r - 1) / r, np.vander(r, degree + 1, increasing=True)
    weight, best = np.ones(POINTS), (np.inf, None)
    for _ in range(ROUNDS):
        rows = np.sqrt(weight) * abs(r) / 2 ** r
        c, *_ = np.linalg.lstsq(v * rows[:, None], f * rows, rcond=None)
        error = abs((v @ c - f) * r / 2 ** r)
        if error.max() < best[0]:
            best = error.max(), c
        weight *= error / error.max() + 1e-9
        weight /= weight.mean()
    return best


def show(name, coefficients):
    for i, c in enumerate(coefficients):
        print(f'{name}{i} {float(np.float32(c)).hex()}f')


error, p, q = rational(6, 4)
print(f'erf: relative error {error:.2e}')
show('P', p)
show('Q', q)
error, s = short_gelu(8, 4.4)
print(f'gelu for 16 and 8 bits: error {error:.2e}')
show('S', s)
error, e = exponential(4)
print(f'exp: relative error {error:.2e}')
show('E', e)
error, b = power_of_two(3)
print(f'exp2 for bfloat16: relative error {error:.2e}')
show('B', b)
