/* The inner loop of "int8 sdot": A by lanes of four numbers of a row, B four numbers of each of four
 * columns a vector. 24 accumulators. */
#include "dot_neon.h"

#include <arm_neon.h>

/* Four columns of all rows. */
#define COLUMNS(j, bv)                                                                         \
    c[0][j] = vdotq_laneq_s32(c[0][j], bv, x, 0);                                              \
    c[1][j] = vdotq_laneq_s32(c[1][j], bv, x, 1);                                              \
    c[2][j] = vdotq_laneq_s32(c[2][j], bv, x, 2);                                              \
    c[3][j] = vdotq_laneq_s32(c[3][j], bv, x, 3);                                              \
    c[4][j] = vdotq_lane_s32(c[4][j], bv, y, 0);                                               \
    c[5][j] = vdotq_lane_s32(c[5][j], bv, y, 1);                                               \
    WILOR_NEON_AFTER(b, c[0][j], c[1][j], c[2][j], c[3][j], c[4][j], c[5][j]);

void wilor_neon_sums_sdot(const wilor_neon_dot *d, int32_t *sum) {
    const int8_t *a = d->a, *b = d->b;
    const char *fetch = d->fetch;
    int32x4_t c[WILOR_NEON_MR][4];
    for (int r = 0; r < WILOR_NEON_MR; r++)
        for (int j = 0; j < 4; j++)
            c[r][j] = vdupq_n_s32(0);
    for (size_t i = d->turns; i; i--, a += 24, b += 64, fetch += d->stride) {
        __builtin_prefetch(fetch, 0, 2);
        int8x16_t x = vld1q_s8(a), p0 = vld1q_s8(b), p1 = vld1q_s8(b + 16);
        int8x8_t y = vld1_s8(a + 16);
        COLUMNS(0, p0)
        int8x16_t q0 = vld1q_s8(b + 32), q1 = vld1q_s8(b + 48);
        COLUMNS(1, p1)
        COLUMNS(2, q0)
        COLUMNS(3, q1)
    }
    for (int r = 0; r < WILOR_NEON_MR; r++)
        for (int j = 0; j < 4; j++)
            vst1q_s32(sum + r * WILOR_NEON_NR + 4 * j, c[r][j]);
}
