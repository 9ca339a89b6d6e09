/* Multi-head self-attention, a head at a time, in float32. */
#ifndef WILOR_ATTENTION_H
#define WILOR_ATTENTION_H

#include "kernels.h"

#include <stddef.h>

/* softmax(q kᵀ / √head_dim) v of one head. */
typedef struct wilor_attention {
    const wilor_kernels *kernels;
    int head_dim;
    int queries, keys;      /* rows */
    const float *q, *k, *v; /* row-major, ldq and ldkv apart */
    size_t ldq, ldkv;
    float *scratch; /* wilor_attention_scratch floats */
    /* The result: rows, ldo apart; or, with panels, columns column … of rows first_row … of panels
     * [row/mr][width][mr]. */
    float *out;
    size_t ldo;
    float *panels;
    int first_row, column, width;
} wilor_attention;

size_t wilor_attention_scratch(const wilor_kernels *kernels, int head_dim, int keys);

void wilor_attention_run(const wilor_attention *a);

#endif
