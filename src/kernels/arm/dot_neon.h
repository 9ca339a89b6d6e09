/* What the files of dot_neon.c share: the inner loops, each alone in a file with its own flags.
 *
 * Panels of all of them: steps of STEP numbers of k; in a step pieces of `group` numbers, [STEP /
 * group][lines][group], lines being the 6 rows of A or the 16 columns of B. */
#ifndef WILOR_DOT_NEON_H
#define WILOR_DOT_NEON_H

#include "neon_order.h"

#include <stddef.h>
#include <stdint.h>

enum { WILOR_NEON_MR = 6, WILOR_NEON_NR = 16, WILOR_NEON_STEP = 8 };

/* A product whose sums go to [6][16]: `turns` turns of the loop, 8 of k for SMMLA, 4 for the others
 * (with two accumulations a turn gcc copies registers). Each turn fetches a line to the second-level
 * cache, `stride` bytes from the last. */
typedef struct wilor_neon_dot {
    const void *a, *b;
    size_t turns;
    const char *fetch;
    size_t stride;
} wilor_neon_dot;

void wilor_neon_sums_sdot(const wilor_neon_dot *p, int32_t *sum);
void wilor_neon_sums_smmla(const wilor_neon_dot *p, int32_t *sum);
void wilor_neon_sums_bfmmla(const wilor_neon_dot *p, float *sum);

/* n numbers of a line, and zeros up to a whole step, to a panel of `lines` lines in groups of 4. */
void wilor_neon_line_bf16(const float *src, size_t n, size_t lines, uint16_t *to);

/* Steps of 4-bit weights (wilor_u4_steps's q), a multiple of 4, with a scale and a bias a column, to a panel of B. */
void wilor_neon_u4_bf16(const uint8_t *q, size_t steps, const float *scale, const float *bias,
                        uint16_t *to);

#endif
