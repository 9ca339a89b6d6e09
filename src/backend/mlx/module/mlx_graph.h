/* Building graphs with MLX's C interface.
 *
 * Every function gives an array that its graph owns; after one has failed they all give empty arrays, and the graph
 * says so at its end. MLX's first words about it are kept (mlx_graph.c): nothing here prints or exits. */
#ifndef WILOR_MLX_GRAPH_H
#define WILOR_MLX_GRAPH_H

#include "mlx_abi.h"

#include <mlx/c/mlx.h>

typedef struct wilor_mlx_stage {
    const char *name;
    int block;
    mlx_array array;
} wilor_mlx_stage;

enum { WILOR_MLX_STAGES = 1024 };

typedef struct wilor_mlx_graph {
    mlx_stream stream;
    mlx_array *made; /* arrays that end with the graph */
    size_t count, room;
    bool failed;
    wilor_mlx_stage *stages; /* NULL, or room for WILOR_MLX_STAGES: they are told */
    int stage_count;
} wilor_mlx_graph;

/* ---------------------------------------------------------------- errors */

/* Before any other call of MLX in this process. */
void wilor_mlx_errors_install(void);
/* From here on this thread's words are those of what follows. */
void wilor_mlx_errors_clear(void);
/* MLX's first words since then as an error, behind `what`. */
wilor_mlx_result wilor_mlx_errors_take(wilor_mlx_error *err, const char *what);
/* A text of our own. */
wilor_mlx_result wilor_mlx_fail(wilor_mlx_error *err, wilor_mlx_result r, const char *format,
                                ...);

#define MLX_TRY(call)                                                                          \
    do {                                                                                       \
        st = (call);                                                                           \
        if (st != WILOR_MLX_OK)                                                                \
            goto done;                                                                         \
    } while (0)

/* ---------------------------------------------------------------- graphs */

typedef mlx_array wilor_mlx_array;

void wilor_mlx_graph_begin(wilor_mlx_graph *g, mlx_stream stream);
void wilor_mlx_graph_end(wilor_mlx_graph *g);
/* The graph fails, for a reason of ours. */
void wilor_mlx_graph_refuse(wilor_mlx_graph *g, const char *why);
/* Tells a stage where somebody asked. */
void wilor_mlx_graph_tell(wilor_mlx_graph *g, const char *name, int block, mlx_array a);

mlx_array wilor_mlx_add(wilor_mlx_graph *g, mlx_array a, mlx_array b);
mlx_array wilor_mlx_subtract(wilor_mlx_graph *g, mlx_array a, mlx_array b);
mlx_array wilor_mlx_multiply(wilor_mlx_graph *g, mlx_array a, mlx_array b);
mlx_array wilor_mlx_divide(wilor_mlx_graph *g, mlx_array a, mlx_array b);
mlx_array wilor_mlx_maximum(wilor_mlx_graph *g, mlx_array a, mlx_array b);
mlx_array wilor_mlx_matmul(wilor_mlx_graph *g, mlx_array a, mlx_array b);
mlx_array wilor_mlx_equal(wilor_mlx_graph *g, mlx_array a, mlx_array b);
mlx_array wilor_mlx_abs(wilor_mlx_graph *g, mlx_array a);
mlx_array wilor_mlx_sqrt(wilor_mlx_graph *g, mlx_array a);
mlx_array wilor_mlx_erf(wilor_mlx_graph *g, mlx_array a);
mlx_array wilor_mlx_sigmoid(wilor_mlx_graph *g, mlx_array a);
mlx_array wilor_mlx_floor(wilor_mlx_graph *g, mlx_array a);
/* a where it is finite, else `other`, which is finite: a compiled graph's numbers become source text, where MLX writes
 * others as no compiler reads them. */
mlx_array wilor_mlx_finite_or(wilor_mlx_graph *g, mlx_array a, float other);
/* a where it is finite, else NaN. */
mlx_array wilor_mlx_finite_or_nan(wilor_mlx_graph *g, mlx_array a);
mlx_array wilor_mlx_clip(wilor_mlx_graph *g, mlx_array a, float least, float most);
mlx_array wilor_mlx_where(wilor_mlx_graph *g, mlx_array condition, mlx_array a, mlx_array b);
mlx_array wilor_mlx_scalar(wilor_mlx_graph *g, float value);
mlx_array wilor_mlx_as(wilor_mlx_graph *g, mlx_array a, mlx_dtype dtype);
/* 0, 1 … n - 1 as float32. */
mlx_array wilor_mlx_range(wilor_mlx_graph *g, int n);
mlx_array wilor_mlx_integers(wilor_mlx_graph *g, const int *values, int n);

mlx_array wilor_mlx_reshape(wilor_mlx_graph *g, mlx_array a, int rank, const int *shape);
mlx_array wilor_mlx_transpose(wilor_mlx_graph *g, mlx_array a, int rank, const int *axes);
mlx_array wilor_mlx_broadcast(wilor_mlx_graph *g, mlx_array a, int rank, const int *shape);
/* Elements from … to - 1 of an axis. */
mlx_array wilor_mlx_slice(wilor_mlx_graph *g, mlx_array a, int axis, int from, int to);
/* Element i of an axis, which is gone then. */
mlx_array wilor_mlx_at(wilor_mlx_graph *g, mlx_array a, int axis, int i);
mlx_array wilor_mlx_take(wilor_mlx_graph *g, mlx_array a, mlx_array indices, int axis);
mlx_array wilor_mlx_concatenate(wilor_mlx_graph *g, const mlx_array *parts, size_t n, int axis);
mlx_array wilor_mlx_stack(wilor_mlx_graph *g, const mlx_array *parts, size_t n, int axis);
mlx_array wilor_mlx_expand(wilor_mlx_graph *g, mlx_array a, int axis);
/* `value` around two axes: before and after each. */
mlx_array wilor_mlx_pad(wilor_mlx_graph *g, mlx_array a, const int axes[2], const int low[2],
                        const int high[2], float value);
mlx_array wilor_mlx_sum(wilor_mlx_graph *g, mlx_array a, int axis, bool keep);
mlx_array wilor_mlx_max(wilor_mlx_graph *g, mlx_array a, int axis);
mlx_array wilor_mlx_mean_of(wilor_mlx_graph *g, mlx_array a, const int *axes, size_t n);
mlx_array wilor_mlx_variance_of(wilor_mlx_graph *g, mlx_array a, const int *axes, size_t n);
mlx_array wilor_mlx_layer_norm(wilor_mlx_graph *g, mlx_array a, mlx_array gamma, mlx_array beta,
                               float eps);
/* softmax(q kᵀ · scale) v of hands × heads × rows × numbers. */
mlx_array wilor_mlx_attend(wilor_mlx_graph *g, mlx_array q, mlx_array k, mlx_array v,
                           float scale);
/* a · wᵀ + bias for rows of a, plain w of outputs × inputs. */
mlx_array wilor_mlx_affine(wilor_mlx_graph *g, mlx_array a, mlx_array w, mlx_array bias);
/* a · wᵀ, w in groups. */
mlx_array wilor_mlx_quantised(wilor_mlx_graph *g, mlx_array a, mlx_array words,
                              mlx_array scales, mlx_array biases, int group, int bits);
/* Channels-last maps; w: outputs × rows × columns × inputs. */
mlx_array wilor_mlx_convolve(wilor_mlx_graph *g, mlx_array a, mlx_array w, int stride,
                             int padding);
/* Each element of an axis twice. */
mlx_array wilor_mlx_repeat(wilor_mlx_graph *g, mlx_array a, int axis);
mlx_array wilor_mlx_contiguous(wilor_mlx_graph *g, mlx_array a);

/* The calling thread's own, for what is done once: MLX keeps every stream that was ever made. */
mlx_stream wilor_mlx_stream_default(bool gpu);

/* In the thread that will call it: a stream where *stream is empty, and a function that builds a graph on it, compiled
 * for each shape of its inputs when that first comes. Not 0: failed. */
typedef int (*wilor_mlx_builder)(mlx_vector_array *out, const mlx_vector_array in,
                                 void *payload);
int wilor_mlx_compile(mlx_closure *out, mlx_stream *stream, bool gpu, wilor_mlx_builder f,
                      void *payload);

/* Shorthand for lists of numbers: MLX_DIMS(n, 210, d) is 3 and the three. */
#define MLX_COUNT(...) (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int))
#define MLX_DIMS(...)                                                                          \
    MLX_COUNT(__VA_ARGS__), (const int[]) { __VA_ARGS__ }

#endif
