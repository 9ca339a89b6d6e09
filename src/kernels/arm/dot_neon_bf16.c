/* The inner loop of "bf16 bfmmla" and the conversion to bfloat16. Vectors of two rows of A or two
 * columns of B, 4 numbers each; 24 accumulators of 2 × 2 sums.
 *
 * BFMMLA is no chain of fused operations: it adds products in pairs, rounds to odd and takes denormals
 * for zeros (Arm ARM, BFDotAdd), or does so by FPCR with FEAT_EBF16. Its sums are as good as float32's
 * but not their bits, and may differ between processors. */
#include "dot_neon.h"

#include <arm_neon.h>
#include <string.h>

/* Two accumulators side by side are four columns of two rows. */
static inline void store_pairs(float32x4_t left, float32x4_t right, float *to) {
    float64x2_t l = vreinterpretq_f64_f32(left), r = vreinterpretq_f64_f32(right);
    vst1q_f32(to, vreinterpretq_f32_f64(vzip1q_f64(l, r)));
    vst1q_f32(to + WILOR_NEON_NR, vreinterpretq_f32_f64(vzip2q_f64(l, r)));
}

static inline bfloat16x8_t load(const uint16_t *p) {
    return vreinterpretq_bf16_u16(vld1q_u16(p));
}

/* Columns j and j + 1 of all rows. */
#define COLUMNS(j, b0, b1)                                                                     \
    c[0][j] = vbfmmlaq_f32(c[0][j], x, b0);                                                    \
    c[1][j] = vbfmmlaq_f32(c[1][j], y, b0);                                                    \
    c[2][j] = vbfmmlaq_f32(c[2][j], z, b0);                                                    \
    c[0][j + 1] = vbfmmlaq_f32(c[0][j + 1], x, b1);                                            \
    c[1][j + 1] = vbfmmlaq_f32(c[1][j + 1], y, b1);                                            \
    c[2][j + 1] = vbfmmlaq_f32(c[2][j + 1], z, b1);                                            \
    WILOR_NEON_AFTER(b, c[0][j], c[1][j], c[2][j], c[0][j + 1], c[1][j + 1], c[2][j + 1]);

void wilor_neon_sums_bfmmla(const wilor_neon_dot *d, float *sum) {
    const uint16_t *a = d->a, *b = d->b;
    const char *fetch = d->fetch;
    float32x4_t c[3][8];
    for (int r = 0; r < 3; r++)
        for (int j = 0; j < 8; j++)
            c[r][j] = vdupq_n_f32(0);
    for (size_t i = d->turns; i; i--, a += 24, b += 64, fetch += d->stride) {
        __builtin_prefetch(fetch, 0, 2);
        bfloat16x8_t x = load(a), y = load(a + 8), z = load(a + 16);
        bfloat16x8_t p0 = load(b), p1 = load(b + 8);
        bfloat16x8_t q0 = load(b + 16), q1 = load(b + 24);
        COLUMNS(0, p0, p1)
        p0 = load(b + 32);
        p1 = load(b + 40);
        COLUMNS(2, q0, q1)
        q0 = load(b + 48);
        q1 = load(b + 56);
        COLUMNS(4, p0, p1)
        COLUMNS(6, q0, q1)
    }
    for (int r = 0; r < 3; r++)
        for (int j = 0; j < 4; j++)
            store_pairs(c[r][2 * j], c[r][2 * j + 1], sum + 2 * r * WILOR_NEON_NR + 4 * j);
}

/* One step of a line: two groups of 4. To nearest even; NaNs stay. */
static inline void put_step(const float *src, size_t lines, uint16_t *to) {
    bfloat16x8_t v = vcvtq_low_bf16_f32(vld1q_f32(src));
    uint16x8_t bits = vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(v, vld1q_f32(src + 4)));
    vst1_u16(to, vget_low_u16(bits));
    vst1_u16(to + 4 * lines, vget_high_u16(bits));
}

void wilor_neon_line_bf16(const float *src, size_t n, size_t lines, uint16_t *to) {
    for (; n >= 8; n -= 8, src += 8, to += 8 * lines)
        put_step(src, lines, to);
    if (n) {
        float rest[8] = {0};
        memcpy(rest, src, n * sizeof *src);
        put_step(rest, lines, to);
    }
}

/* Column c of four steps and the next one's: whole numbers times the scale, rounded, plus the bias. */
static inline void put_columns(uint16x8_t q, const float *scale, const float *bias,
                               uint16_t *to) {
    float32x4_t x = vcvtq_f32_u32(vmovl_u16(vget_low_u16(q)));
    float32x4_t y = vcvtq_f32_u32(vmovl_high_u16(q));
    x = vaddq_f32(vmulq_n_f32(x, scale[0]), vdupq_n_f32(bias[0]));
    y = vaddq_f32(vmulq_n_f32(y, scale[1]), vdupq_n_f32(bias[1]));
    bfloat16x8_t v = vcvtq_low_bf16_f32(x);
    vst1q_u16(to, vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(v, y)));
}

void wilor_neon_u4_bf16(const uint8_t *q, size_t steps, const float *scale, const float *bias,
                        uint16_t *to) {
    const uint8x16_t low = vdupq_n_u8(15);
    for (; steps >= 4; steps -= 4, q += 2 * WILOR_NEON_NR, to += 4 * WILOR_NEON_NR) {
        uint8x16_t r = vld1q_u8(q), t = vld1q_u8(q + WILOR_NEON_NR);
        uint8x16_t s0 = vandq_u8(r, low), s1 = vshrq_n_u8(r, 4);
        uint8x16_t s2 = vandq_u8(t, low), s3 = vshrq_n_u8(t, 4);
        /* A column's two steps, then its four. */
        uint16x8_t a = vreinterpretq_u16_u8(vzip1q_u8(s0, s1));
        uint16x8_t b = vreinterpretq_u16_u8(vzip1q_u8(s2, s3));
        uint16x8_t c = vreinterpretq_u16_u8(vzip2q_u8(s0, s1));
        uint16x8_t d = vreinterpretq_u16_u8(vzip2q_u8(s2, s3));
        uint8x16_t four[4] = {
            vreinterpretq_u8_u16(vzip1q_u16(a, b)), vreinterpretq_u8_u16(vzip2q_u16(a, b)),
            vreinterpretq_u8_u16(vzip1q_u16(c, d)), vreinterpretq_u8_u16(vzip2q_u16(c, d))};
        for (size_t i = 0; i < 4; i++) {
            put_columns(vmovl_u8(vget_low_u8(four[i])), scale + 4 * i, bias + 4 * i,
                        to + 16 * i);
            put_columns(vmovl_high_u8(four[i]), scale + 4 * i + 2, bias + 4 * i + 2,
                        to + 16 * i + 8);
        }
    }
}
