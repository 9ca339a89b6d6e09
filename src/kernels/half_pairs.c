#include "half_pairs.h"

#include <stdalign.h>
#include <string.h>

void wilor_pack_half_pairs(const wilor_kernels *t, const float *pairs, size_t k, int rows,
                           uint16_t *panel) {
    enum { STEPS = 32, ALIGN = 64 };

    alignas(ALIGN) float wide[STEPS * WILOR_MAX_NR];
    alignas(ALIGN) uint16_t side[2 * STEPS * WILOR_MAX_NR];
    const size_t steps = k / 2, nr = (size_t)t->nr;
    for (size_t i = 0, n; i < steps; i += n) {
        n = steps - i < STEPS ? steps - i : STEPS;
        t->pack_f32(pairs + i, steps, rows, t->nr, n, wide);
        memcpy(side, wide, n * nr * sizeof *wide);
        /* Pairs lie side by side now; each becomes two lines. */
        for (const uint16_t *from = side, *end = side + 2 * n * nr; from < end;
             from += 2 * nr, panel += 2 * nr)
            for (size_t r = 0; r < nr; r++) {
                panel[r] = from[2 * r];
                panel[nr + r] = from[2 * r + 1];
            }
    }
}
