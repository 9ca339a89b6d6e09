/* 24 accumulators leave room for three vectors of A and five of B: loads through `pointer` that follow
 * come after these six sums. gcc would else begin a step with all of its loads, and spill or copy
 * accumulators; clang needs no telling. scripts/check-neon-loops looks at what comes of it. */
#ifndef WILOR_NEON_ORDER_H
#define WILOR_NEON_ORDER_H

#if defined(__GNUC__) && !defined(__clang__)
#define WILOR_NEON_AFTER(pointer, c0, c1, c2, c3, c4, c5)                                      \
    __asm__("" : "+r"(pointer) : "w"(c0), "w"(c1), "w"(c2), "w"(c3), "w"(c4), "w"(c5))
#else
#define WILOR_NEON_AFTER(pointer, c0, c1, c2, c3, c4, c5) ((void)0)
#endif

#endif
