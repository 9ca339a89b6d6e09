/* Products of the transformer's blocks: one table per arithmetic and processor.
 *
 * C = A·B with A (activations, float32 numbers put in panels of `mr` rows) and B (weights, packed once
 * in panels of `nr` columns). One call makes one tile, mr × nr, over the whole of k, as float32; what
 * the panels hold and how they lie is the table's own business: numbers of fewer bits with their
 * scales, tiles of a matrix unit, float32 split in parts. k is padded to whole steps with zeros inside
 * the panels.
 *
 * Rules as in kernels.h: any size >= 1, no byte outside, no memory taken, no failure, results
 * independent of the number of threads. Every element depends on its own row and column alone, so one
 * hand and many give the same bits.
 *
 * INT8: symmetric, q = round(x · 127 / top) to nearest even with the scale top / 127; one scale a
 * column of B and one a row of A (of each slice of k, where a matrix is cut in slices). top is the
 * largest magnitude; a row of zeros has scale 0, one with a NaN or an infinity a scale that is not
 * finite, so that its results are not either. The whole-number sum is exact, then
 * float(sum) · (row's scale · column's scale): all tables that keep 8 bits of both give the same bits. */
#ifndef WILOR_DOT_H
#define WILOR_DOT_H

#include "kernels.h"
#include <stdbool.h>

typedef enum wilor_arith {
    WILOR_ARITH_F32,  /* fused multiply-add: the oracle */
    WILOR_ARITH_F32X, /* float32 split in three bfloat16 parts, six products of them */
    WILOR_ARITH_BF16, /* bfloat16 operands, float32 sums */
    WILOR_ARITH_INT8, /* 8-bit operands, exact sums */
    WILOR_ARITH_COUNT
} wilor_arith;

/* "f32", "f32x", "bf16", "int8". */
const char *wilor_arith_name(wilor_arith arith);

typedef struct wilor_dot wilor_dot;

/* One call of gemm. */
typedef struct wilor_dot_call {
    const void *a;        /* numbers of a panel of A */
    const void *b;        /* numbers of a panel of B */
    const float *a_scale; /* INT8: mr scales */
    const float *b_scale; /* INT8: nr scales */
    const int *b_sum;     /* INT8: nr sums of the column's whole numbers */
    size_t k;
    int rows; /* 1 … mr: rows of the tile that are wanted, others may hold anything; block: chunk · mr */
    int cols; /* 1 … nr: the same of columns; block: block · nr */
    bool add; /* tile += instead of = */
    float *tile;
    size_t ldt; /* floats between rows of the tile; nr for tables whose any_ldt is false */
    const char *next; /* NULL, or what is needed soon: fetched into the second-level cache */
    size_t next_bytes;
} wilor_dot_call;

/* Attention of one head: out = softmax(q kᵀ · scale) v, all row-major float32. */
typedef struct wilor_dot_attention {
    const float *q, *k, *v;
    size_t ldq, ldkv;
    int queries, keys, head_dim;
    float scale;
    float *out; /* queries × head_dim */
    size_t ldo;
    void *scratch; /* attend_bytes(keys, head_dim) bytes, 64-byte aligned */
} wilor_dot_attention;

struct wilor_dot {
    const char *name; /* "bf16 amx" */
    wilor_arith arith;
    const wilor_kernels *kernels; /* of the same nr: norms, epilogues, softmax */
    bool quick;                   /* quicker than float32: worth taking without being asked */
    int mr, nr;
    int row_step; /* rows of a panel that may be written apart from the others */
    int chunk; /* panels of A that a unit of work goes through: enough to pay for a panel of B */
    int slices; /* into how many pieces the long k of an MLP's second layer is best cut */
    bool split; /* these are units of their own, whose results are added afterwards */
    bool any_ldt;
    /* 0, or: panels are rows of k numbers, which lie one behind the other, and a call of gemm may take as
     * many panels of A and B at once as a unit has: chunk of A, block of B. */
    int block;

    /* Bytes of a panel, multiples of 64; of its numbers alone. */
    size_t (*a_bytes)(const wilor_dot *d, size_t k);
    size_t (*a_numbers)(const wilor_dot *d, size_t k);
    size_t (*b_bytes)(const wilor_dot *d, size_t k);
    size_t (*b_numbers)(const wilor_dot *d, size_t k);

    /* NULL: nothing is needed. Before a thread's use of gemm and attend, any number of times; and after
     * it on a thread that others' code uses, too, or that will not use them for long. */
    void (*begin)(void);
    void (*end)(void);

    /* A panel of B: column c's number i is w[c · ldc + i · ldk], ldc or ldk being 1; columns
     * from cols on become zero. */
    void (*pack_b)(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                   size_t k, void *panel);
    /* NULL, or what pack_b makes of all nr columns of weights that lie in 4 bits, byte for byte, without
     * making them float32 first; k is a multiple of w->group. */
    void (*pack_u4)(const wilor_dot *d, const wilor_u4_steps *w, size_t k, void *panel);
    /* INT8, others NULL: the largest magnitude of each row. */
    void (*tops)(const float *src, size_t ld, int rows, size_t k, float *top);
    /* Columns col … col + cols - 1 of rows row … row + rows - 1 of a panel of A of k columns. src is
     * row-major, its first number the one of (row, col). row is a multiple of row_step; so is rows, or
     * it reaches the last row that exists, and the panel's further rows become zero or stay. top:
     * INT8, one a row. Whoever puts the last column also writes the zeros behind it; who puts the first
     * also writes the scales. col and cols (or the end) are multiples of 8. */
    void (*put_a)(const wilor_dot *d, const float *src, size_t ld, const float *top, int row,
                  int rows, size_t col, size_t cols, size_t k, void *panel);

    void (*gemm)(const wilor_dot *d, const wilor_dot_call *c);

    /* NULL: attention is the kernel table's, in float32. */
    void (*attend)(const wilor_dot *d, const wilor_dot_attention *a);
    size_t (*attend_bytes)(int keys, int head_dim);
};

/* Float32 numbers in panels as kernels.h has them. */
static inline bool wilor_dot_is_plain(const wilor_dot *d) {
    return d->arith == WILOR_ARITH_F32 && !d->block;
}

/* Scales of an INT8 panel lie behind its numbers: A's mr, B's nr and then its nr sums. */
static inline const float *wilor_dot_a_scales(const wilor_dot *d, const void *panel, size_t k) {
    return (const float *)(const void *)((const char *)panel + d->a_numbers(d, k));
}

static inline const float *wilor_dot_b_scales(const wilor_dot *d, const void *panel, size_t k) {
    return (const float *)(const void *)((const char *)panel + d->b_numbers(d, k));
}

static inline const int *wilor_dot_b_sums(const wilor_dot *d, const void *panel, size_t k) {
    return (const int *)(const void *)(wilor_dot_b_scales(d, panel, k) + d->nr);
}

/* The best table for this arithmetic on this processor whose kernels are `kernels` (a tier of
 * wilor_kernels_get); NULL: the processor, or the tier, has no such arithmetic. Constant for the life
 * of the process. */
const wilor_dot *wilor_dot_get(wilor_arith arith, const wilor_kernels *kernels);

/* All tables that run here, for tests: the i-th, or NULL beyond the last. */
const wilor_dot *wilor_dot_at(int i);

/* Per file; each gives a table on top of `kernels`, returns how many it made (at most 4). */
int wilor_dot_fill_c(wilor_dot *out, const wilor_kernels *kernels); /* for the plain C tier */
int wilor_dot_fill_f32(wilor_dot *out, const wilor_kernels *kernels);
int wilor_dot_fill_avx2(wilor_dot *out, const wilor_kernels *kernels);    /* int8, maddubs */
int wilor_dot_fill_avxvnni(wilor_dot *out, const wilor_kernels *kernels); /* int8 */
int wilor_dot_fill_avx512vnni(wilor_dot *out, const wilor_kernels *kernels);
int wilor_dot_fill_avx512bf16(wilor_dot *out, const wilor_kernels *kernels);
int wilor_dot_fill_amx(wilor_dot *out, const wilor_kernels *kernels); /* bf16, int8, f32x */
int wilor_dot_fill_neon(wilor_dot *out, const wilor_kernels *kernels);
int wilor_dot_fill_accelerate(wilor_dot *out, const wilor_kernels *kernels); /* f32 */

#endif
