/* Quantisers.
 *
 * The affine one gives what MLX's does: mlx/backend/cpu/quantized.cpp, quantize(). Its rule: the
 * edge of larger magnitude (the lower one only if it is strictly larger) must be met exactly, and
 * zero, too: the scale points from that edge to the other and is then adjusted so that edge /
 * scale is whole; the bias is the edge. Where the edge is less than half a step from zero the
 * bias is 0 and the scale stays.
 *
 * Easy to get wrong: the sign of the scale (negative when the upper edge is the anchor); 1e-7 is
 * the least step before the adjustment; all arithmetic is float with one rounding an operation
 * (-ffp-contract=off), division is division, and whole numbers are rint's, ties to even. */
#include "quantise.h"

#include "round16.h"
#include "tensor_convert.h"
#include <math.h>

static bool range(const float *w, size_t n, float *low, float *high) {
    bool finite = true;
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        finite = finite && isfinite(w[i]);
        if (w[i] > *high)
            *high = w[i];
        if (w[i] < *low)
            *low = w[i];
    }
    return finite;
}

static void anchor(float low, float high, float steps, float *scale, float *bias) {
    const float least = 1e-7f;
    bool lower = fabsf(low) > fabsf(high);
    float edge = lower ? low : high, step = (high - low) / steps;
    if (!(step > least))
        step = least;
    *scale = lower ? step : -step;
    *bias = 0;
    float whole = rintf(edge / *scale);
    if (whole != 0) {
        *scale = edge / whole;
        *bias = edge;
    }
}

static float half_of(float x) { return wilor_f16_to_f32(wilor_f16_of_f32(x)); }

bool wilor_quantise_affine(const float *w, size_t n, size_t group, int bits,
                           wilor_scale_type type, uint32_t *packed, float *scales,
                           float *biases) {
    const float steps = (float)((1 << bits) - 1);
    const size_t word = 32 / (size_t)bits; /* numbers in one */
    for (size_t g = 0; g < n / group; g++) {
        float low, high, scale, bias;
        if (!range(w, group, &low, &high))
            return false;
        anchor(low, high, steps, &scale, &bias);
        if (type == WILOR_SCALES_F16) {
            scale = half_of(scale);
            bias = half_of(bias);
        }
        if (!isfinite(scale) || !isfinite(bias))
            return false;
        for (size_t i = 0; i < group / word; i++, w += word) {
            uint32_t all = 0;
            for (size_t k = 0; k < word; k++) {
                float q = rintf((w[k] - bias) / scale);
                q = q > 0 ? q : 0;
                all |= (uint32_t)(q < steps ? q : steps) << (k * (size_t)bits);
            }
            *packed++ = all;
        }
        scales[g] = scale;
        biases[g] = bias;
    }
    return true;
}

bool wilor_quantise_row(const float *w, size_t n, int8_t *q, float *scale) {
    const float steps = 127;
    float low, high;
    if (n && !range(w, n, &low, &high))
        return false;
    float largest = !n ? 0 : -low > high ? -low : high;
    *scale = largest / steps;
    for (size_t i = 0; i < n; i++) {
        float v = *scale > 0 ? rintf(w[i] / *scale) : 0;
        v = v < steps ? v : steps; /* a subnormal scale may be rounded by much */
        q[i] = (int8_t)(v > -steps ? v : -steps);
    }
    return true;
}
