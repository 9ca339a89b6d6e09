/* Attention, transposed: S' = K·Qᵀ and O' = Vᵀ·P, so that a column is a query throughout. Then
 * the softmax runs down columns without any horizontal sum, its result is already the B operand
 * of the second product, and 210 keys are whole row panels (mr = 14 or 6). A strip of nr
 * queries stays in the first-level cache from the scores to the result. */
#include "attention.h"

#include "linear.h"

#include <math.h>
#include <string.h>

/* The pieces of a thread's scratch. */
typedef struct pieces {
    float *k;    /* A panels [keys/mr][head_dim][mr] */
    float *v;    /* A panels of Vᵀ [head_dim/mr][keys][mr] */
    float *q;    /* one B panel [head_dim][nr] */
    float *s;    /* scores [keys, whole panels][nr] */
    float *tile; /* mr × nr */
    float *rows; /* the tile transposed */
    float *sums; /* nr */
    size_t total;
} pieces;

static pieces cut_scratch(const wilor_kernels *t, int head_dim, int keys, float *base) {
    size_t mr = (size_t)t->mr, nr = (size_t)t->nr;
    size_t key_rows = (size_t)wilor_panels(keys, t->mr) * mr;
    size_t dim_rows = (size_t)wilor_panels(head_dim, t->mr) * mr;
    size_t sizes[7] = {key_rows * (size_t)head_dim,
                       dim_rows * (size_t)keys,
                       nr * (size_t)head_dim,
                       key_rows * nr,
                       WILOR_TILE_FLOATS,
                       WILOR_TILE_FLOATS,
                       nr};
    float *at[7] = {NULL};
    size_t used = 0;
    for (int i = 0; i < 7; i++) {
        at[i] = base ? base + used : NULL;
        used += (sizes[i] + 15) / 16 * 16; /* whole cache lines */
    }
    return (pieces){at[0], at[1], at[2], at[3], at[4], at[5], at[6], used};
}

size_t wilor_attention_scratch(const wilor_kernels *kernels, int head_dim, int keys) {
    return cut_scratch(kernels, head_dim, keys, NULL).total;
}

static void pack_keys(const wilor_attention *a, const float *k, float *panels) {
    const wilor_kernels *t = a->kernels;
    size_t panel = (size_t)a->head_dim * (size_t)t->mr;
    for (int row = 0; row < a->keys; row += t->mr, panels += panel) {
        int rows = a->keys - row < t->mr ? a->keys - row : t->mr;
        t->pack_f32(k + (size_t)row * a->ldkv, a->ldkv, rows, t->mr, (size_t)a->head_dim,
                    panels);
    }
}

/* n floats; panels are 6 or 14 lanes wide, which the compiler copies in registers. */
static inline void copy_lanes(float *to, const float *from, int n) {
    if (n == 6)
        memcpy(to, from, 6 * sizeof *to);
    else if (n == 14)
        memcpy(to, from, 14 * sizeof *to);
    else
        memcpy(to, from, (size_t)n * sizeof *to);
}

/* Vᵀ as an A operand is V's rows cut in pieces of mr: no transposition. */
static void pack_values(const wilor_attention *a, const float *v, float *panels) {
    int mr = a->kernels->mr;
    for (int d = 0; d < a->head_dim; d += mr) {
        int n = a->head_dim - d < mr ? a->head_dim - d : mr;
        for (int key = 0; key < a->keys; key++, panels += mr) {
            copy_lanes(panels, v + (size_t)key * a->ldkv + d, n);
            for (int i = n; i < mr; i++)
                panels[i] = 0;
        }
    }
}

/* rows × nr of the tile: dimension d of `queries` queries, into the result's panels. */
static void scatter_tile(const wilor_attention *a, const float *tile, int rows, int d,
                         int first, int queries) {
    int mr = a->kernels->mr, nr = a->kernels->nr;
    for (int done = 0; done < queries;) {
        int row = a->first_row + first + done, lane = row % mr;
        int n = queries - done < mr - lane ? queries - done : mr - lane;
        float *out =
            a->panels +
            ((size_t)(row / mr) * (size_t)a->width + (size_t)(a->column + d)) * (size_t)mr +
            lane;
        for (int i = 0; i < rows; i++)
            copy_lanes(out + (size_t)i * (size_t)mr, tile + i * nr + done, n);
        done += n;
    }
}

/* The same, row by row. */
static void turn_tile(const wilor_attention *a, const pieces *p, int rows, int d, int first,
                      int queries) {
    const wilor_kernels *t = a->kernels;
    t->pack_f32(p->tile, (size_t)t->nr, rows, rows, (size_t)queries, p->rows);
    for (int i = 0; i < queries; i++)
        memcpy(a->out + (size_t)(first + i) * a->ldo + d, p->rows + i * rows,
               (size_t)rows * sizeof *a->out);
}

static void attend_strip(const wilor_attention *a, const pieces *p, int first) {
    const wilor_kernels *t = a->kernels;
    size_t mr = (size_t)t->mr, nr = (size_t)t->nr, dim = (size_t)a->head_dim;
    int queries = a->queries - first < t->nr ? a->queries - first : t->nr;
    t->pack_f32(a->q + (size_t)first * a->ldq, a->ldq, queries, t->nr, dim, p->q);
    for (int i = 0; i < wilor_panels(a->keys, t->mr); i++)
        t->gemm_f32(p->k + (size_t)i * dim * mr, p->q, dim, p->s + (size_t)i * mr * nr, NULL);
    t->softmax_f32(p->s, a->keys, 1.0f / sqrtf((float)a->head_dim), p->sums);
    for (int d = 0; d < a->head_dim; d += t->mr) {
        int rows = a->head_dim - d < t->mr ? a->head_dim - d : t->mr;
        t->gemm_f32(p->v + (size_t)d * (size_t)a->keys, p->s, (size_t)a->keys, p->tile, NULL);
        t->divide_f32(p->tile, p->sums);
        if (a->panels)
            scatter_tile(a, p->tile, rows, d, first, queries);
        else
            turn_tile(a, p, rows, d, first, queries);
    }
}

void wilor_attention_run(const wilor_attention *a) {
    pieces p = cut_scratch(a->kernels, a->head_dim, a->keys, a->scratch);
    pack_keys(a, a->k, p.k);
    pack_values(a, a->v, p.v);
    for (int first = 0; first < a->queries; first += a->kernels->nr)
        attend_strip(a, &p, first);
}
