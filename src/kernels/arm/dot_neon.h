/* What the files of dot_neon.c share: the inner loops, each alone in a file with its own flags.
 *
 * Panels of all of them: steps of STEP numbers of k; in a step pieces of `group` numbers, [STEP /
 * group][lines][group], lines being the 6 rows of A or the 16 columns of B. */
#ifndef WILOR_DOT_NEON_H
#define WILOR_DOT_NEON_H

#include <stddef.h>
#include <stdint.h>

enum { WILOR_NEON_MR = 6, WILOR_NEON_NR = 16, WILOR_NEON_STEP = 8 };

/* 24 accumulators leave room for three vectors of A and five of B: loads through `pointer` that follow
 * come after these six sums. gcc would else begin a step with all of its loads, and spill or copy
 * accumulators; clang needs no telling. */
#if defined(__GNUC__) && !defined(__clang__)
#define WILOR_NEON_AFTER(pointer, c0, c1, c2, c3, c4, c5)                                      \
    __asm__("" : "+r"(pointer) : "w"(c0), "w"(c1), "w"(c2), "w"(c3), "w"(c4), "w"(c5))
#else
#define WILOR_NEON_AFTER(pointer, c0, c1, c2, c3, c4, c5) ((void)0)
#endif

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

#endif
