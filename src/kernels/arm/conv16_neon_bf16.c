/* conv16.h with BFMMLA: 8 pixels × 8 outputs at a time over the whole depth, 16 sums of 2 × 2. Two pixels'
 * numbers are read where they lie and zipped to the instruction's pairs of rows; of the weights four numbers
 * of depth lie together (group 4), so that two neighbouring outputs are a vector.
 *
 * What BFMMLA adds and rounds: dot_neon_bf16.c. */
#include "conv16.h"
#include "neon_order.h"

#include <arm_neon.h>
#include <math.h>

enum { RUN = WILOR_CONV16_RUN, DEPTH = WILOR_CONV16_DEPTH, SIDE = WILOR_CONV16_SIDE };

enum { TILE = WILOR_CONV16_TILE, GROUP = 4, HALF = 8, LINE = RUN * GROUP };

static inline bfloat16x8_t load(const uint16_t *p) {
    return vreinterpretq_bf16_u16(vld1q_u16(p));
}

/* Pixels 2i and 2i + 1: four numbers of each, and the next four of each. */
#define PAIR(i)                                                                                \
    {                                                                                          \
        uint64x2_t x = vreinterpretq_u64_u16(vld1q_u16(a##i));                                 \
        uint64x2_t y = vreinterpretq_u64_u16(vld1q_u16(a##i + step));                          \
        low[i] = vreinterpretq_bf16_u64(vzip1q_u64(x, y));                                     \
        high[i] = vreinterpretq_bf16_u64(vzip2q_u64(x, y));                                    \
        a##i += 8;                                                                             \
    }
/* Outputs 2j … 2j + 3 of all pixels. */
#define OUTPUTS(j, from, at)                                                                   \
    {                                                                                          \
        bfloat16x8_t u = load((at) + 8 * (j)), v = load((at) + 8 * (j) + 8);                   \
        s[0][j] = vbfmmlaq_f32(s[0][j], from[0], u);                                           \
        s[1][j] = vbfmmlaq_f32(s[1][j], from[1], u);                                           \
        s[2][j] = vbfmmlaq_f32(s[2][j], from[2], u);                                           \
        s[3][j] = vbfmmlaq_f32(s[3][j], from[3], u);                                           \
        s[0][j + 1] = vbfmmlaq_f32(s[0][j + 1], from[0], v);                                   \
        s[1][j + 1] = vbfmmlaq_f32(s[1][j + 1], from[1], v);                                   \
        s[2][j + 1] = vbfmmlaq_f32(s[2][j + 1], from[2], v);                                   \
        s[3][j + 1] = vbfmmlaq_f32(s[3][j + 1], from[3], v);                                   \
        WILOR_NEON_AFTER(w, s[0][j], s[1][j], s[2][j], s[3][j], s[0][j + 1], s[1][j + 1]);     \
    }

/* Two sums side by side are four outputs of two pixels. */
static inline void store_pairs(float32x4_t left, float32x4_t right, float *to) {
    float64x2_t l = vreinterpretq_f64_f32(left), r = vreinterpretq_f64_f32(right);
    vst1q_f32(to, vreinterpretq_f32_f64(vzip1q_f64(l, r)));
    vst1q_f32(to + SIDE, vreinterpretq_f32_f64(vzip2q_f64(l, r)));
}

/* first: of 8 pixels; b: the first of 8 outputs. */
static void multiply_8(const wilor_conv16_call *c, const uint16_t *first, const uint16_t *b,
                       float *sums) {
    const size_t step = c->step, next = (size_t)c->tiles * TILE;
    float32x4_t s[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            s[i][j] = vdupq_n_f32(0);
    for (int p = 0; p < c->pieces; p++) {
        const uint16_t *a0 = first + c->offset[p], *a1 = a0 + 2 * step, *a2 = a1 + 2 * step;
        const uint16_t *a3 = a2 + 2 * step;
        for (size_t n = c->steps; n > 0; n--, b += next) {
            const uint16_t *w = b;
#pragma GCC unroll 1
            for (int k = 0; k < DEPTH; k += 8, w += 2 * LINE) {
                bfloat16x8_t low[4], high[4];
                PAIR(0)
                PAIR(1)
                PAIR(2)
                PAIR(3)
                OUTPUTS(0, low, w)
                OUTPUTS(2, low, w)
                OUTPUTS(0, high, w + LINE)
                OUTPUTS(2, high, w + LINE)
            }
        }
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            store_pairs(s[i][2 * j], s[i][2 * j + 1], sums + 2 * i * SIDE + 4 * j);
}

static void multiply(const wilor_conv16_call *c) {
    for (int r = 0; r < c->runs; r++)
        for (int t = 0; t < c->tiles; t++)
            for (int o = 0; o < RUN; o += HALF)
                for (int p = 0; p < RUN; p += HALF)
                    multiply_8(c, c->a[r] + (size_t)p * c->step, c->b + t * TILE + o * GROUP,
                               c->sums + (r * RUN + p) * SIDE + t * RUN + o);
}

/* ---------------------------------------------------------------- finish */

/* x · σ(x) to 2^-15 of itself. Where x is so low that e^-x is infinite the result is -0. */
static inline float32x4_t silu(float32x4_t x) {
    const float32x4_t one = vdupq_n_f32(1.0f), infinite = vdupq_n_f32(INFINITY);
    float32x4_t y = vmulq_n_f32(x, -WILOR_LOG2_E), n = vrndnq_f32(y), r = vsubq_f32(y, n);
    float32x4_t e = vfmaq_f32(vdupq_n_f32(WILOR_EXP2_B2), vdupq_n_f32(WILOR_EXP2_B3), r);
    e = vfmaq_f32(vdupq_n_f32(WILOR_EXP2_B1), e, r);
    e = vfmaq_f32(vdupq_n_f32(WILOR_EXP2_B0), e, r);
    e = vfmaq_f32(one, e, r);
    /* 2^n for n up to 127; below -126 nothing is left of it beside one. */
    int32x4_t bits = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    bits = vmaxq_s32(vminq_s32(bits, vdupq_n_s32(254)), vdupq_n_s32(0));
    e = vmulq_f32(e, vreinterpretq_f32_s32(vshlq_n_s32(bits, 23)));
    e = vbslq_f32(vcgtq_f32(n, vdupq_n_f32(127)), infinite, e);
    float32x4_t d = vaddq_f32(one, e), q = vrecpeq_f32(d);
    q = vmulq_f32(q, vrecpsq_f32(d, q));
    return vmulq_f32(x, q);
}

/* A NaN, too, becomes the largest number. */
static inline float32x4_t keep_finite(float32x4_t x) {
    const float32x4_t most = vdupq_n_f32(WILOR_CONV16_MOST);
    x = vbslq_f32(vcltq_f32(x, most), x, most);
    return vbslq_f32(vcgtq_f32(x, vnegq_f32(most)), x, vnegq_f32(most));
}

/* Eight columns of a row. */
static inline uint16x8_t finish_8(const wilor_conv16_end *e, const float *sums,
                                  const float *bias, uint16x8_t added) {
    float32x4_t x = vaddq_f32(vld1q_f32(sums), vld1q_f32(bias));
    float32x4_t y = vaddq_f32(vld1q_f32(sums + 4), vld1q_f32(bias + 4));
    if (e->silu) {
        x = silu(x);
        y = silu(y);
    }
    if (e->added) {
        x = vaddq_f32(x, vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(added), 16)));
        y = vaddq_f32(y, vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(added), 16)));
    }
    bfloat16x8_t half = vcvtq_low_bf16_f32(keep_finite(x));
    return vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(half, keep_finite(y)));
}

static void finish(const wilor_conv16_end *e) {
    const uint16x8_t none = vdupq_n_u16(0);
    for (size_t r = 0; r < (size_t)e->rows; r++) {
        const float *sums = e->sums + r * SIDE;
        const uint16_t *more = e->added ? e->added + r * e->lda : NULL;
        uint16_t *out = e->out + r * e->ldo, part[8] = {0};
        int c = 0;
        for (; c + 8 <= e->cols; c += 8)
            vst1q_u16(out + c,
                      finish_8(e, sums + c, e->bias + c, more ? vld1q_u16(more + c) : none));
        if (c == e->cols)
            continue;
        size_t bytes = (size_t)(e->cols - c) * sizeof *part;
        if (more)
            memcpy(part, more + c, bytes);
        vst1q_u16(part, finish_8(e, sums + c, e->bias + c, vld1q_u16(part)));
        memcpy(out + c, part, bytes);
    }
}

const wilor_conv16 *wilor_conv16_neon(void) {
    static const wilor_conv16 table = {.name = "bf16 bfmmla",
                                       .quick = true,
                                       .group = GROUP,
                                       .multiply = multiply,
                                       .finish = finish};
    return &table;
}
