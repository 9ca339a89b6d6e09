/* Packed matrices and the phases that multiply by them.
 *
 * A linear layer y = W x + b (W: n × k, row-major in the file) is kept as panels [n/nr][k][nr]
 * for the kernel table that it was packed for, bias padded to whole panels. Activations come as
 * panels [rows/mr][k][mr], packed by whoever wrote them.
 *
 * Weights that a file holds in fewer bits stay so: a unit of the multiplication makes one panel
 * float32 in its thread's scratch and uses it for all its rows, so no matrix is ever expanded. */
#ifndef WILOR_LINEAR_H
#define WILOR_LINEAR_H

#include "arena.h"
#include "kernels.h"
#include "matrix_view.h"
#include "tensor_source.h"
#include "thread_pool.h"

#include <stdatomic.h>

typedef struct wilor_linear {
    const float *panels; /* NULL for other types than F32 */
    const float *bias;   /* zeros when the layer has none */
    int n, k;
    /* Other types: panels as the kernels' expand_f32 reads them, panel_bytes apart. Behind each its
     * scales and biases, [k / group][nr], as F32 or F16. */
    const uint8_t *stored;
    size_t panel_bytes;
    wilor_panel_type type, scale_type;
    int group; /* steps that share a scale; 0 for types without */
} wilor_linear;

/* How many panels of `width` hold `count` rows. */
static inline int wilor_panels(int count, int width) { return (count + width - 1) / width; }

/* What a loading step needs. With arena->base NULL everything only adds up memory. */
typedef struct wilor_loader {
    const wilor_kernels *kernels;
    const wilor_tensor_source *source;
    wilor_arena *arena;
    wilor_threads *pool;
    float *scratch;        /* per thread: scratch_stride floats */
    size_t scratch_stride; /* at least nr × the largest k */
    size_t room;           /* the largest wilor_linear_room so far */
    bool assign; /* the arena's memory holds all of it already, perhaps read-only: only
                              pointers are set, no tensor is read */
    const wilor_callbacks *callbacks;
    uint64_t bytes_done, bytes_total; /* of source tensors, for the progress callback */
    wilor_error *err;
} wilor_loader;

/* While measuring: a tensor that will be read. Once it is read: tell how far we are, see
 * whether to go on. */
void wilor_loader_expect(wilor_loader *l, const wilor_tensor *t);
wilor_status wilor_loader_done(wilor_loader *l, const wilor_tensor *t);

/* Floats behind a thread's tile that this layer's multiplication needs: 0 for F32. */
size_t wilor_linear_room(const wilor_linear *w, const wilor_kernels *kernels);

/* Floats of scratch that a linear of this many inputs needs per thread. */
size_t wilor_linear_scratch(const wilor_kernels *kernels, size_t k);

/* Outputs in another order than the file's rows. A head's queries, keys and values next to each other:
 * output head · 3 head_dim + i is its key i, then come its values, then its queries, of a file that has
 * all queries first, then all keys, then all values. head_dim 0: the file's order. */
typedef struct wilor_row_order {
    int heads, head_dim;
} wilor_row_order;

/* The row of the file that output `row` is. */
int wilor_row_source(const wilor_row_order *order, int row);
/* Outputs first … first + rows - 1 as rows of k floats, from the matrix or, where that is NULL, the
 * tensor. */
wilor_status wilor_rows_read(const wilor_row_order *order, const wilor_tensor *tensor,
                             const wilor_matrix_view *matrix, int k, int first, int rows,
                             float *dst, wilor_error *err);

/* The first failure among a phase's units. */
typedef struct wilor_failure {
    atomic_bool failed;
    wilor_status st; /* WILOR_OK, or why */
} wilor_failure;

/* Keep st unless it is OK or another came first; err goes to the loader's. */
void wilor_failure_note(wilor_failure *f, const wilor_loader *l, wilor_status st,
                        const wilor_error *err);

/* PREFIX.weight (n × k, further dimensions flattened into k) and, when has_bias, PREFIX.bias. */
wilor_status wilor_linear_load(wilor_linear *out, wilor_loader *l, const char *prefix, int n,
                               int k, bool has_bias);
/* The same; `bits` 4: weights that the file has as floats are kept in groups of 64 of 4 bits, with
 * half floats as scales (as `wilor convert --dtype int4` writes them); 0: as they are. */
wilor_status wilor_linear_load_as(wilor_linear *out, wilor_loader *l, const char *prefix, int n,
                                  int k, bool has_bias, const wilor_row_order *order, int bits);
/* The tensor of PREFIX.weight can be read, and is n rows of k numbers in some form. */
wilor_status wilor_linear_check(wilor_loader *l, const wilor_index *index,
                                const wilor_tensor *t, const char *prefix, int n, int k);
/* PREFIX.bias, n numbers padded to whole panels. */
wilor_status wilor_bias_load(const float **out, wilor_loader *l, const char *prefix, int n,
                             const wilor_row_order *order);
/* A panel as float32, [k][nr]: where it lies, or made in `room` (wilor_linear_room floats). */
const float *wilor_linear_panel(const wilor_linear *w, const wilor_kernels *kernels, int panel,
                                float *room);
/* Steps first … first + steps - 1 of it alone, or some more around them; at their places in the whole
 * panel, which is what is returned. */
const float *wilor_linear_steps(const wilor_linear *w, const wilor_kernels *kernels, int panel,
                                size_t first, size_t steps, float *room);
/* The same steps as they are stored; false: not in 4 bits, or not in whole groups. */
bool wilor_linear_u4(const wilor_linear *w, const wilor_kernels *kernels, int panel,
                     size_t first, size_t steps, wilor_u4_steps *out);
/* Where the numbers of these steps lie, in whatever type, without scales. */
const uint8_t *wilor_linear_stored(const wilor_linear *w, const wilor_kernels *kernels,
                                   int panel, size_t first, size_t steps, size_t *bytes);
/* From memory: rows given by a function that fills row i's k numbers. Bias is set to zero. */
typedef void (*wilor_row_fn)(void *context, int row, float *dst);
wilor_status wilor_linear_pack(wilor_linear *out, wilor_loader *l, int n, int k,
                               wilor_row_fn fn, void *context);
/* A tensor of `count` numbers, copied, padded with zeros to `padded`. */
wilor_status wilor_vector_load(const float **out, wilor_loader *l, const char *name, int count,
                               int padded);

/* ---------------------------------------------------------------- multiplication */

typedef enum wilor_epilogue {
    WILOR_EPILOGUE_STORE, /* out = tile + bias, row-major */
    WILOR_EPILOGUE_ADD,   /* out += tile + bias, row-major */
    WILOR_EPILOGUE_RELU   /* out = max(0, tile · scale + shift), row-major */
} wilor_epilogue;

/* Rows come in groups (hands): each group's rows fill whole panels, the last one padded. Row r
 * of group g of a row-major result lies at out + g · group_stride + r · ldo. */
typedef struct wilor_gemm {
    const wilor_kernels *kernels;
    const wilor_linear *w;
    int panel_begin, panel_end; /* of w's panels; 0, 0: all */
    int columns;                /* only the first so many of w's outputs; 0: all */
    const float *a;
    int groups, rows;
    wilor_epilogue epilogue;
    const float *scale, *shift; /* RELU */
    float *out;
    size_t ldo, group_stride;
    float *
        tiles; /* per thread: WILOR_TILE_FLOATS, and nr · k behind it for weights that are not F32 */
    size_t tile_stride; /* floats from one thread's to the next; 0: WILOR_TILE_FLOATS */
} wilor_gemm;

enum { WILOR_TILE_FLOATS = WILOR_MAX_MR * WILOR_MAX_NR };

/* One phase on the pool: 1 and N threads give the same bits. */
void wilor_gemm_run(const wilor_gemm *g, wilor_threads *pool);

#endif
