/* The transformer's big matrices and the phases that multiply by them, in any arithmetic of dot.h.
 *
 * Activations are panels of rows, all hands' rows one after the other, cut in `slices` along k where
 * the weights are. Weights are packed once for the arithmetic; 4-bit ones, and float32 ones that are
 * multiplied in split parts, stay as they are and a unit of work makes its panel ready in its thread's
 * room: no matrix is ever expanded. */
#ifndef WILOR_DENSE_H
#define WILOR_DENSE_H

#include "dot.h"
#include "linear.h"

typedef struct wilor_dense {
    const wilor_dot *dot;
    wilor_linear w;        /* sizes, bias; and the weights, unless they lie in `panels` */
    int slices;            /* of k */
    const uint8_t *panels; /* slices × panels, panel_bytes apart */
    size_t panel_bytes;
} wilor_dense;

/* `bits` and order: see wilor_linear_load_as. slices: the dot's wish, taken where it divides k. */
wilor_status wilor_dense_load(wilor_dense *out, wilor_loader *l, const wilor_dot *dot,
                              const char *prefix, int n, int k, const wilor_row_order *order,
                              int slices, int bits);

/* Bytes of a thread's room for products with this matrix: a tile, and a panel being made ready. */
size_t wilor_dense_room(const wilor_dense *w);

/* ---------------------------------------------------------------- activations */

typedef struct wilor_acts {
    const wilor_dot *dot;
    uint8_t *panels; /* slices × panels of rows */
    int k;           /* columns of all slices */
    int slices;
    size_t panel_bytes, slice_bytes;
} wilor_acts;

/* Memory for `rows` rows of k columns; the arena may only measure. */
void wilor_acts_push(wilor_acts *a, const wilor_dot *dot, int rows, int k, int slices,
                     wilor_arena *arena);
size_t wilor_acts_bytes(const wilor_acts *a);

/* Put rows × cols numbers at (row, col). INT8 wants whole slices: their scales come from src. */
void wilor_acts_put(const wilor_acts *a, const float *src, size_t ld, int row, int rows,
                    int col, int cols);

/* Rows that are put together by one unit: a multiple of the dot's row_step. */
int wilor_acts_step(const wilor_dot *dot);

/* ---------------------------------------------------------------- products */

typedef enum wilor_finish {
    WILOR_FINISH_HEADS, /* out[head][row][column of the head] = sum + bias */
    WILOR_FINISH_ADD,   /* out[row][column] += sum + bias */
    WILOR_FINISH_GELU, /* the next matrix's activations, or `out` where these take whole rows */
    WILOR_FINISH_PART  /* out[slice][row][column] = the slice's sum, without bias */
} wilor_finish;

typedef struct wilor_product {
    const wilor_dense *w;
    const wilor_acts *a;
    int rows;
    wilor_finish finish;
    float *out;
    size_t ldo;
    size_t slice_floats; /* PART: from one slice's sums to the next; rows are whole panels */
    size_t
        head_floats; /* HEADS: from one head's rows to the next, which are ldo columns wide */
    const wilor_acts *next; /* GELU: NULL with `out` */
    uint8_t *room;          /* per thread, room_bytes apart, at least wilor_dense_room */
    size_t room_bytes;
} wilor_product;

/* One phase on the pool: 1 and N threads give the same bits. */
void wilor_product_run(const wilor_product *p, wilor_threads *pool);

#endif
