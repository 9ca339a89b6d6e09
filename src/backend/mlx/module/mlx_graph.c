/* Operations of MLX with one owner for what they give, and MLX's words about what failed. */
#include "mlx_graph.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- errors */

/* The handler is the process's, the words are the thread's. What the rest of a process asks of the same MLX ends here,
 * too, and is not told: MLX's own handler would end the process. */
static _Thread_local char g_words[WILOR_MLX_TEXT];
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

/* mlx-c adds " at FILE:LINE" of its own source. */
static void keep_words(const char *text, void *data) {
    (void)data;
    if (*g_words)
        return;
    snprintf(g_words, sizeof g_words, "%s", *text ? text : "no reason given");
    for (char *at = strstr(g_words, " at /"); at; at = strstr(at + 1, " at /"))
        if (!strchr(at + 4, ' '))
            *at = 0;
}

static void install(void) { mlx_set_error_handler(keep_words, NULL, NULL); }

void wilor_mlx_errors_install(void) { pthread_once(&g_once, install); }

void wilor_mlx_errors_clear(void) { *g_words = 0; }

wilor_mlx_result wilor_mlx_errors_take(wilor_mlx_error *err, const char *what) {
    bool memory = strstr(g_words, "alloc") != NULL;
    wilor_mlx_result r = memory ? WILOR_MLX_NO_MEMORY : WILOR_MLX_FAILED;
    return wilor_mlx_fail(err, r, "%s: %s", what, *g_words ? g_words : "no reason given");
}

wilor_mlx_result wilor_mlx_fail(wilor_mlx_error *err, wilor_mlx_result r, const char *format,
                                ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return r;
}

/* ---------------------------------------------------------------- graphs */

void wilor_mlx_graph_begin(wilor_mlx_graph *g, mlx_stream stream) {
    *g = (wilor_mlx_graph){.stream = stream};
}

void wilor_mlx_graph_end(wilor_mlx_graph *g) {
    for (size_t i = 0; i < g->count; i++)
        mlx_array_free(g->made[i]);
    free(g->made);
    g->made = NULL;
    g->count = g->room = 0;
}

void wilor_mlx_graph_refuse(wilor_mlx_graph *g, const char *why) {
    keep_words(why, NULL);
    g->failed = true;
}

void wilor_mlx_graph_tell(wilor_mlx_graph *g, const char *name, int block, mlx_array a) {
    if (g->stages && g->stage_count < WILOR_MLX_STAGES)
        g->stages[g->stage_count++] = (wilor_mlx_stage){name, block, a};
}

/* The graph's from now on. */
static mlx_array keep(wilor_mlx_graph *g, int failed, mlx_array a) {
    g->failed |= failed != 0 || !a.ctx;
    if (g->count == g->room) {
        size_t room = g->room ? 2 * g->room : 256;
        mlx_array *made = realloc(g->made, room * sizeof *made);
        if (!made) {
            wilor_mlx_graph_refuse(g, "allocating a graph");
            mlx_array_free(a);
            return (mlx_array){NULL};
        }
        g->made = made;
        g->room = room;
    }
    g->made[g->count++] = a;
    return a;
}

/* A function of one or two arrays. */
typedef int (*unary)(mlx_array *, mlx_array, mlx_stream);
typedef int (*binary)(mlx_array *, mlx_array, mlx_array, mlx_stream);

static mlx_array one(wilor_mlx_graph *g, unary f, mlx_array a) {
    mlx_array r = mlx_array_new();
    int failed = f(&r, a, g->stream);
    return keep(g, failed, r);
}

static mlx_array two(wilor_mlx_graph *g, binary f, mlx_array a, mlx_array b) {
    mlx_array r = mlx_array_new();
    int failed = f(&r, a, b, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_add(wilor_mlx_graph *g, mlx_array a, mlx_array b) {
    return two(g, mlx_add, a, b);
}

mlx_array wilor_mlx_subtract(wilor_mlx_graph *g, mlx_array a, mlx_array b) {
    return two(g, mlx_subtract, a, b);
}

mlx_array wilor_mlx_multiply(wilor_mlx_graph *g, mlx_array a, mlx_array b) {
    return two(g, mlx_multiply, a, b);
}

mlx_array wilor_mlx_divide(wilor_mlx_graph *g, mlx_array a, mlx_array b) {
    return two(g, mlx_divide, a, b);
}

mlx_array wilor_mlx_maximum(wilor_mlx_graph *g, mlx_array a, mlx_array b) {
    return two(g, mlx_maximum, a, b);
}

mlx_array wilor_mlx_matmul(wilor_mlx_graph *g, mlx_array a, mlx_array b) {
    return two(g, mlx_matmul, a, b);
}

mlx_array wilor_mlx_equal(wilor_mlx_graph *g, mlx_array a, mlx_array b) {
    return wilor_mlx_as(g, two(g, mlx_equal, a, b), MLX_FLOAT32);
}

mlx_array wilor_mlx_abs(wilor_mlx_graph *g, mlx_array a) { return one(g, mlx_abs, a); }

mlx_array wilor_mlx_sqrt(wilor_mlx_graph *g, mlx_array a) { return one(g, mlx_sqrt, a); }

mlx_array wilor_mlx_erf(wilor_mlx_graph *g, mlx_array a) { return one(g, mlx_erf, a); }

mlx_array wilor_mlx_sigmoid(wilor_mlx_graph *g, mlx_array a) { return one(g, mlx_sigmoid, a); }

mlx_array wilor_mlx_floor(wilor_mlx_graph *g, mlx_array a) { return one(g, mlx_floor, a); }

mlx_array wilor_mlx_where(wilor_mlx_graph *g, mlx_array condition, mlx_array a, mlx_array b) {
    mlx_array r = mlx_array_new();
    int failed = mlx_where(&r, condition, a, b, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_finite_or(wilor_mlx_graph *g, mlx_array a, float other) {
    return wilor_mlx_where(g, one(g, mlx_isfinite, a), a, wilor_mlx_scalar(g, other));
}

mlx_array wilor_mlx_finite_or_nan(wilor_mlx_graph *g, mlx_array a) {
    return wilor_mlx_add(g, a, wilor_mlx_subtract(g, a, a));
}

mlx_array wilor_mlx_clip(wilor_mlx_graph *g, mlx_array a, float least, float most) {
    mlx_array r = mlx_array_new();
    int failed =
        mlx_clip(&r, a, wilor_mlx_scalar(g, least), wilor_mlx_scalar(g, most), g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_scalar(wilor_mlx_graph *g, float value) {
    return keep(g, 0, mlx_array_new_float32(value));
}

mlx_array wilor_mlx_as(wilor_mlx_graph *g, mlx_array a, mlx_dtype dtype) {
    mlx_array r = mlx_array_new();
    int failed = mlx_astype(&r, a, dtype, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_range(wilor_mlx_graph *g, int n) {
    mlx_array r = mlx_array_new();
    int failed = mlx_arange(&r, 0, n, 1, MLX_FLOAT32, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_integers(wilor_mlx_graph *g, const int *values, int n) {
    return keep(g, 0, mlx_array_new_data(values, (const int[]){n}, 1, MLX_INT32));
}

/* ---------------------------------------------------------------- shapes */

mlx_array wilor_mlx_reshape(wilor_mlx_graph *g, mlx_array a, int rank, const int *shape) {
    mlx_array r = mlx_array_new();
    int failed = mlx_reshape(&r, a, shape, (size_t)rank, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_transpose(wilor_mlx_graph *g, mlx_array a, int rank, const int *axes) {
    mlx_array r = mlx_array_new();
    int failed = mlx_transpose_axes(&r, a, axes, (size_t)rank, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_broadcast(wilor_mlx_graph *g, mlx_array a, int rank, const int *shape) {
    mlx_array r = mlx_array_new();
    int failed = mlx_broadcast_to(&r, a, shape, (size_t)rank, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_slice(wilor_mlx_graph *g, mlx_array a, int axis, int from, int to) {
    enum { MOST = 8 };

    int start[MOST] = {0}, stop[MOST], step[MOST];
    if (!a.ctx || mlx_array_ndim(a) > MOST)
        return keep(g, 1, (mlx_array){NULL});
    size_t rank = mlx_array_ndim(a);
    for (size_t i = 0; i < rank; i++) {
        stop[i] = mlx_array_dim(a, (int)i);
        step[i] = 1;
    }
    start[axis] = from;
    stop[axis] = to;
    mlx_array r = mlx_array_new();
    int failed = mlx_slice(&r, a, start, rank, stop, rank, step, rank, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_at(wilor_mlx_graph *g, mlx_array a, int axis, int i) {
    mlx_array r = mlx_array_new();
    int failed = mlx_squeeze_axis(&r, wilor_mlx_slice(g, a, axis, i, i + 1), axis, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_take(wilor_mlx_graph *g, mlx_array a, mlx_array indices, int axis) {
    mlx_array r = mlx_array_new();
    int failed = mlx_take_axis(&r, a, indices, axis, g->stream);
    return keep(g, failed, r);
}

typedef int (*joining)(mlx_array *, mlx_vector_array, int, mlx_stream);

static mlx_array join(wilor_mlx_graph *g, joining f, const mlx_array *parts, size_t n,
                      int axis) {
    mlx_array r = mlx_array_new();
    for (size_t i = 0; i < n; i++)
        if (!parts[i].ctx)
            return keep(g, 1, r);
    mlx_vector_array all = mlx_vector_array_new_data(parts, n);
    int failed = f(&r, all, axis, g->stream);
    mlx_vector_array_free(all);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_concatenate(wilor_mlx_graph *g, const mlx_array *parts, size_t n,
                                int axis) {
    return join(g, mlx_concatenate_axis, parts, n, axis);
}

mlx_array wilor_mlx_stack(wilor_mlx_graph *g, const mlx_array *parts, size_t n, int axis) {
    return join(g, mlx_stack_axis, parts, n, axis);
}

mlx_array wilor_mlx_expand(wilor_mlx_graph *g, mlx_array a, int axis) {
    mlx_array r = mlx_array_new();
    int failed = mlx_expand_dims(&r, a, axis, g->stream);
    return keep(g, failed, r);
}

/* A number of a's type. */
static mlx_array like(wilor_mlx_graph *g, mlx_array a, float value) {
    return wilor_mlx_as(g, wilor_mlx_scalar(g, value),
                        a.ctx ? mlx_array_dtype(a) : MLX_FLOAT32);
}

mlx_array wilor_mlx_pad(wilor_mlx_graph *g, mlx_array a, const int axes[2], const int low[2],
                        const int high[2], float value) {
    mlx_array r = mlx_array_new();
    int failed =
        mlx_pad(&r, a, axes, 2, low, 2, high, 2, like(g, a, value), "constant", g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_contiguous(wilor_mlx_graph *g, mlx_array a) {
    mlx_array r = mlx_array_new();
    int failed = mlx_contiguous(&r, a, false, g->stream);
    return keep(g, failed, r);
}

/* ---------------------------------------------------------------- sums */

mlx_array wilor_mlx_sum(wilor_mlx_graph *g, mlx_array a, int axis, bool keep_axis) {
    mlx_array r = mlx_array_new();
    int failed = mlx_sum_axis(&r, a, axis, keep_axis, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_max(wilor_mlx_graph *g, mlx_array a, int axis) {
    mlx_array r = mlx_array_new();
    int failed = mlx_max_axis(&r, a, axis, false, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_mean_of(wilor_mlx_graph *g, mlx_array a, const int *axes, size_t n) {
    mlx_array r = mlx_array_new();
    int failed = mlx_mean_axes(&r, a, axes, n, true, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_variance_of(wilor_mlx_graph *g, mlx_array a, const int *axes, size_t n) {
    mlx_array r = mlx_array_new();
    int failed = mlx_var_axes(&r, a, axes, n, true, 0, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_layer_norm(wilor_mlx_graph *g, mlx_array a, mlx_array gamma, mlx_array beta,
                               float eps) {
    mlx_array r = mlx_array_new();
    int failed = mlx_fast_layer_norm(&r, a, gamma, beta, eps, g->stream);
    return keep(g, failed, r);
}

/* ---------------------------------------------------------------- products */

mlx_array wilor_mlx_attend(wilor_mlx_graph *g, mlx_array q, mlx_array k, mlx_array v,
                           float scale) {
    const mlx_array none = {NULL};
    mlx_array r = mlx_array_new();
    int failed =
        mlx_fast_scaled_dot_product_attention(&r, q, k, v, scale, "", none, none, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_affine(wilor_mlx_graph *g, mlx_array a, mlx_array w, mlx_array bias) {
    mlx_array r = mlx_array_new();
    int failed =
        mlx_addmm(&r, bias, a, wilor_mlx_transpose(g, w, MLX_DIMS(1, 0)), 1, 1, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_quantised(wilor_mlx_graph *g, mlx_array a, mlx_array words,
                              mlx_array scales, mlx_array biases, int group, int bits) {
    mlx_array r = mlx_array_new();
    int failed = mlx_quantized_matmul(&r, a, words, scales, biases, true,
                                      (mlx_optional_int){group, true},
                                      (mlx_optional_int){bits, true}, "affine", g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_convolve(wilor_mlx_graph *g, mlx_array a, mlx_array w, int stride,
                             int padding) {
    mlx_array r = mlx_array_new();
    int failed = mlx_conv2d(&r, a, w, stride, stride, padding, padding, 1, 1, 1, g->stream);
    return keep(g, failed, r);
}

mlx_array wilor_mlx_repeat(wilor_mlx_graph *g, mlx_array a, int axis) {
    mlx_array r = mlx_array_new();
    int failed = mlx_repeat_axis(&r, a, 2, axis, g->stream);
    return keep(g, failed, r);
}

/* ---------------------------------------------------------------- compiling */

mlx_stream wilor_mlx_stream_default(bool gpu) {
    return gpu ? mlx_default_gpu_stream_new() : mlx_default_cpu_stream_new();
}

static mlx_stream new_stream(bool gpu) {
    mlx_device device = mlx_device_new_type(gpu ? MLX_GPU : MLX_CPU, 0);
    mlx_stream stream = mlx_stream_new_device(device);
    mlx_device_free(device);
    return stream;
}

int wilor_mlx_compile(mlx_closure *out, mlx_stream *stream, bool gpu, wilor_mlx_builder f,
                      void *payload) {
    /* MLX fuses for processors by calling the system's compiler: not in a library. */
    int failed = !gpu && mlx_set_compile_mode(MLX_COMPILE_MODE_NO_FUSE);
    if (!stream->ctx)
        *stream = new_stream(gpu);
    mlx_closure plain = mlx_closure_new_func_payload(f, payload, NULL);
    failed = failed || !stream->ctx || !plain.ctx || mlx_compile(out, plain, false);
    mlx_closure_free(plain);
    return failed;
}
