/* The inner loop of "int8 smmla": vectors of two rows of A or two columns of B, 8 numbers each (the
 * packing that the instruction is made for; KleidiAI's too). 24 accumulators of 2 × 2 sums. */
#include "dot_neon.h"

#include <arm_neon.h>

/* Two accumulators side by side are four columns of two rows. */
static inline void store_pairs(int32x4_t left, int32x4_t right, int32_t *to) {
    int64x2_t l = vreinterpretq_s64_s32(left), r = vreinterpretq_s64_s32(right);
    vst1q_s32(to, vreinterpretq_s32_s64(vzip1q_s64(l, r)));
    vst1q_s32(to + WILOR_NEON_NR, vreinterpretq_s32_s64(vzip2q_s64(l, r)));
}

/* Columns j and j + 1 of all rows. */
#define COLUMNS(j, b0, b1)                                                                     \
    c[0][j] = vmmlaq_s32(c[0][j], x, b0);                                                      \
    c[1][j] = vmmlaq_s32(c[1][j], y, b0);                                                      \
    c[2][j] = vmmlaq_s32(c[2][j], z, b0);                                                      \
    c[0][j + 1] = vmmlaq_s32(c[0][j + 1], x, b1);                                              \
    c[1][j + 1] = vmmlaq_s32(c[1][j + 1], y, b1);                                              \
    c[2][j + 1] = vmmlaq_s32(c[2][j + 1], z, b1);                                              \
    WILOR_NEON_AFTER(b, c[0][j], c[1][j], c[2][j], c[0][j + 1], c[1][j + 1], c[2][j + 1]);

void wilor_neon_sums_smmla(const wilor_neon_dot *d, int32_t *sum) {
    const int8_t *a = d->a, *b = d->b;
    const char *fetch = d->fetch;
    int32x4_t c[3][8];
    for (int r = 0; r < 3; r++)
        for (int j = 0; j < 8; j++)
            c[r][j] = vdupq_n_s32(0);
    for (size_t i = d->turns; i; i--, a += 48, b += 128, fetch += d->stride) {
        __builtin_prefetch(fetch, 0, 2);
        int8x16_t x = vld1q_s8(a), y = vld1q_s8(a + 16), z = vld1q_s8(a + 32);
        int8x16_t p0 = vld1q_s8(b + 0), p1 = vld1q_s8(b + 16);
        int8x16_t q0 = vld1q_s8(b + 32), q1 = vld1q_s8(b + 48);
        COLUMNS(0, p0, p1)
        p0 = vld1q_s8(b + 64);
        p1 = vld1q_s8(b + 80);
        COLUMNS(2, q0, q1)
        q0 = vld1q_s8(b + 96);
        q1 = vld1q_s8(b + 112);
        COLUMNS(4, p0, p1)
        COLUMNS(6, q0, q1)
    }
    for (int r = 0; r < 3; r++)
        for (int j = 0; j < 4; j++)
            store_pairs(c[r][2 * j], c[r][2 * j + 1], sum + 2 * r * WILOR_NEON_NR + 4 * j);
}
