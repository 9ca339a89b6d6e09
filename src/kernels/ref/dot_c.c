/* dot.h in plain C: the oracle of the other tables' tests, and what the plain C tier runs. Panels are
 * [k][mr] and [k][nr] numbers of the type; F32X has three such blocks, high parts first. */
#include "dot.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { MR = 4, NR = 16, PARTS = 3 };

static size_t lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t element(const wilor_dot *d) {
    return d->arith == WILOR_ARITH_INT8 ? 1 : d->arith == WILOR_ARITH_BF16 ? 2 : 2 * PARTS;
}

static size_t a_numbers(const wilor_dot *d, size_t k) { return lines(element(d) * MR * k); }

static size_t b_numbers(const wilor_dot *d, size_t k) { return lines(element(d) * NR * k); }

static size_t a_bytes(const wilor_dot *d, size_t k) {
    return a_numbers(d, k) + (d->arith == WILOR_ARITH_INT8 ? 64 : 0);
}

static size_t b_bytes(const wilor_dot *d, size_t k) {
    return b_numbers(d, k) + (d->arith == WILOR_ARITH_INT8 ? 2 * NR * sizeof(float) : 0);
}

static float widen(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof x);
    return x;
}

/* The nearest bfloat16, ties to even; a NaN stays one. */
static uint16_t narrow(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* x as a sum of three bfloat16, each the nearest to what is left. */
static void split(float x, uint16_t *part, size_t apart) {
    for (int i = 0; i < PARTS; i++, part += apart) {
        *part = narrow(x);
        x -= widen(*part);
    }
}

/* How many steps of top / 127 are in x; 0 where that is no number: the row's scale says so then. */
static int8_t quantise(float x, float inverse) {
    float steps = rintf(x * inverse);
    return fabsf(steps) <= 127 ? (int8_t)steps : 0;
}

static float inverse_of(float top) { return top > 0 ? 127.0f / top : 0.0f; }

static float top_of(const float *x, size_t step, size_t k) {
    float top = 0;
    for (size_t i = 0; i < k; i++) {
        float v = fabsf(x[i * step]);
        top = v > top || isnan(v) ? v : top; /* a NaN stays: nothing is larger */
    }
    return top;
}

static void put(const wilor_dot *d, float x, float inverse, void *panel, size_t at,
                size_t width, size_t k) {
    if (d->arith == WILOR_ARITH_INT8)
        ((int8_t *)panel)[at] = quantise(x, inverse);
    else if (d->arith == WILOR_ARITH_BF16)
        ((uint16_t *)panel)[at] = narrow(x);
    else
        split(x, (uint16_t *)panel + at, width * k);
}

static void pack_b(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                   size_t k, void *panel) {
    float *scale = (float *)(void *)((char *)panel + b_numbers(d, k));
    memset(panel, 0, b_bytes(d, k));
    for (size_t c = 0; c < (size_t)cols; c++) {
        float top = d->arith == WILOR_ARITH_INT8 ? top_of(w + c * ldc, ldk, k) : 0;
        for (size_t i = 0; i < k; i++)
            put(d, w[c * ldc + i * ldk], inverse_of(top), panel, i * NR + c, NR, k);
        if (d->arith != WILOR_ARITH_INT8)
            continue;
        int sum = 0;
        for (size_t i = 0; i < k; i++)
            sum += ((int8_t *)panel)[i * NR + c];
        scale[c] = top / 127.0f;
        memcpy(scale + NR + c, &sum, sizeof sum);
    }
}

static void tops(const float *src, size_t ld, int rows, size_t k, float *top) {
    for (int r = 0; r < rows; r++)
        top[r] = top_of(src + (size_t)r * ld, 1, k);
}

static void put_a(const wilor_dot *d, const float *src, size_t ld, const float *top, int row,
                  int rows, size_t col, size_t cols, size_t k, void *panel) {
    float *scale = (float *)(void *)((char *)panel + a_numbers(d, k));
    for (size_t r = 0; r < (size_t)rows; r++) {
        size_t to = (size_t)row + r;
        for (size_t c = 0; c < cols; c++)
            put(d, src[r * ld + c], top ? inverse_of(top[r]) : 0, panel, (col + c) * MR + to,
                MR, k);
        if (top && col == 0)
            scale[to] = top[r] / 127.0f;
    }
}

static float sum_int8(const wilor_dot_call *c, size_t row, size_t column) {
    const int8_t *a = c->a, *b = c->b;
    int sum = 0;
    for (size_t i = 0; i < c->k; i++)
        sum += a[i * MR + row] * b[i * NR + column];
    return (float)sum * (c->a_scale[row] * c->b_scale[column]);
}

static float sum_parts(const wilor_dot_call *c, size_t row, size_t column, int pa, int pb) {
    const uint16_t *a = (const uint16_t *)c->a + (size_t)pa * MR * c->k;
    const uint16_t *b = (const uint16_t *)c->b + (size_t)pb * NR * c->k;
    float sum = 0;
    for (size_t i = 0; i < c->k; i++)
        sum += widen(a[i * MR + row]) * widen(b[i * NR + column]);
    return sum;
}

/* Products of order 0, 1 and 2; the small ones are added up apart. */
static float sum_f32x(const wilor_dot_call *c, size_t row, size_t column) {
    float low = 0;
    for (int order = 2; order >= 1; order--)
        for (int pa = 0; pa <= order; pa++)
            low += sum_parts(c, row, column, pa, order - pa);
    return sum_parts(c, row, column, 0, 0) + low;
}

static void gemm(const wilor_dot *d, const wilor_dot_call *c) {
    for (size_t r = 0; r < MR; r++)
        for (size_t col = 0; col < (size_t)c->cols; col++) {
            float v = d->arith == WILOR_ARITH_INT8   ? sum_int8(c, r, col)
                      : d->arith == WILOR_ARITH_BF16 ? sum_parts(c, r, col, 0, 0)
                                                     : sum_f32x(c, r, col);
            float *to = c->tile + r * c->ldt + col;
            *to = c->add ? *to + v : v;
        }
}

int wilor_dot_fill_c(wilor_dot *out, const wilor_kernels *kernels) {
    static const char *const names[] = {"f32x c", "bf16 c", "int8 c"};
    for (int i = 0; i < 3; i++)
        out[i] = (wilor_dot){.name = names[i],
                             .arith = (wilor_arith)(WILOR_ARITH_F32X + i),
                             .kernels = kernels,
                             .mr = MR,
                             .nr = NR,
                             .row_step = 1,
                             .chunk = 9,
                             .slices = 4,
                             .any_ldt = true,
                             .a_bytes = a_bytes,
                             .a_numbers = a_numbers,
                             .b_bytes = b_bytes,
                             .b_numbers = b_numbers,
                             .pack_b = pack_b,
                             .tops = i == 2 ? tops : NULL,
                             .put_a = put_a,
                             .gemm = gemm};
    return 3;
}
