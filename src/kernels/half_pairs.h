/* Half floats to panels as they are, without a way through float32. */
#ifndef WILOR_HALF_PAIRS_H
#define WILOR_HALF_PAIRS_H

#include "kernels.h"

/* panel[k][nr] of half floats from `rows` <= nr rows of k of them, one row behind the other; the rest becomes zero.
 * k is even: two of a row stand in the place of a float32, which pack_f32 moves as it is. */
void wilor_pack_half_pairs(const wilor_kernels *t, const float *pairs, size_t k, int rows,
                           uint16_t *panel);

#endif
