/* Multi-head self-attention of the tokens of each hand. */
#ifndef WILOR_ATTENTION_H
#define WILOR_ATTENTION_H

#include "kernels.h"
#include "thread_pool.h"

/* softmax(q kᵀ / √head_dim) v for every (hand, head), each head's columns being consecutive. */
typedef struct wilor_attention {
    const wilor_kernels *kernels;
    int hands, heads, head_dim;
    int queries, keys; /* rows per hand */
    /* Row-major, one row per token; head h at column h · head_dim; hand after hand. */
    const float *q;
    size_t ldq;
    const float *k, *v;
    size_t ldkv;
    /* Result as panels [row/mr][heads · head_dim][mr]. Hand i begins at row i · out_rows. */
    float *out;
    int out_rows;
    float *scratch;        /* per thread, */
    size_t scratch_stride; /* at least wilor_attention_scratch floats apart */
} wilor_attention;

/* Floats of scratch per thread. */
size_t wilor_attention_scratch(const wilor_kernels *kernels, int head_dim, int keys);

void wilor_attention_run(const wilor_attention *a, wilor_threads *pool);

#endif
