/* Weights: every tensor one array of MLX's, made of the core's memory. */
#include "mlx_model.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FURTHER = WILOR_NET_SIDE_B + 1 - WILOR_NET_TENSORS, /* what norms learned, the side head */
    BLOCK_TENSORS = WILOR_NET_TENSORS - WILOR_NET_PLAIN_TENSORS,
    GROUP = 64 /* of matrices that are quantised here */
};

/* ---------------------------------------------------------------- the device */

/* Streams belong to threads since 0.31.2, which sessions rely on. */
static bool version_serves(const char *version) {
    int major = 0, minor = 0, patch = 0;
    sscanf(version, "%d.%d.%d", &major, &minor, &patch);
    return major > 0 || minor > 31 || (minor == 31 && patch >= 2);
}

wilor_mlx_result wilor_mlx_device(bool *gpu, wilor_mlx_error *err) {
    wilor_mlx_result st = WILOR_MLX_OK;
    mlx_string version = mlx_string_new();
    mlx_device device = mlx_device_new_type(MLX_GPU, 0);
    *gpu = false;
    wilor_mlx_errors_install();
    wilor_mlx_errors_clear();
    if (mlx_version(&version) != 0 || mlx_device_is_available(gpu, device) != 0)
        st = wilor_mlx_errors_take(err, "MLX");
    else if (!version_serves(mlx_string_data(version)))
        st = wilor_mlx_fail(err, WILOR_MLX_UNSUPPORTED,
                            "MLX %s is here; 0.31.2 is the first that serves",
                            mlx_string_data(version));
    mlx_device_free(device);
    mlx_string_free(version);
    return st;
}

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;

void wilor_mlx_lock(bool gpu) {
    if (!gpu)
        pthread_mutex_lock(&g_lock);
}

void wilor_mlx_unlock(bool gpu) {
    if (!gpu)
        pthread_mutex_unlock(&g_lock);
}

/* ---------------------------------------------------------------- tensors */

static size_t slot(int t, int block) {
    if (t < WILOR_NET_PLAIN_TENSORS)
        return (size_t)t;
    if (t >= WILOR_NET_TENSORS)
        return (size_t)(WILOR_NET_PLAIN_TENSORS + t - WILOR_NET_TENSORS);
    return (size_t)(WILOR_NET_PLAIN_TENSORS + FURTHER + block * BLOCK_TENSORS + t -
                    WILOR_NET_PLAIN_TENSORS);
}

const wilor_mlx_matrix *wilor_mlx_tensor(const wilor_mlx_model *m, int t, int block) {
    return &m->tensor[slot(t, block)];
}

/* Rows and columns of a tensor; vectors have one dimension, what comes in four parities three. */
static int shape_of(const wilor_mlx_shape *s, int t, int shape[3]) {
    const int d = s->width, features = d / 8 + d / 4 + d / 2;
    int count = (int)wilor_net_tensor_count(d, s->mlp, t);
    int inputs = 0, parities = 1;
    switch (t) {
    case WILOR_NET_PATCH_W:
        inputs = 768;
        break;
    case WILOR_NET_MIDDLE_W:
    case WILOR_NET_FINE0_W:
        inputs = 4 * (d / 2);
        parities = 4;
        break;
    case WILOR_NET_FINE1_W:
        inputs = 4 * (d / 4);
        parities = 4;
        break;
    case WILOR_NET_REFINE_POSE_W:
    case WILOR_NET_REFINE_SHAPE_W:
    case WILOR_NET_REFINE_CAM_W:
        inputs = features;
        break;
    case WILOR_NET_FC2_W:
        inputs = s->mlp;
        break;
    case WILOR_NET_SIDE_W:
        inputs = MLX_LEAD * d;
        break;
    case WILOR_NET_POSITION:
    case WILOR_NET_LEAD:
    case WILOR_NET_DECPOSE_W:
    case WILOR_NET_DECSHAPE_W:
    case WILOR_NET_DECCAM_W:
    case WILOR_NET_COARSE_W:
    case WILOR_NET_QKV_W:
    case WILOR_NET_PROJ_W:
    case WILOR_NET_FC1_W:
        inputs = d;
        break;
    default:
        shape[0] = count;
        return 1;
    }
    if (parities > 1) {
        shape[0] = parities;
        shape[1] = count / parities / inputs;
        shape[2] = inputs;
        return 3;
    }
    shape[0] = count / inputs;
    shape[1] = inputs;
    return 2;
}

/* Metal computes in place on whole pages; other memory it would refuse, or worse. */
static bool is_paged(const void *data, size_t bytes) {
    enum { PAGE = 16384 };

    return (uintptr_t)data % PAGE == 0 && bytes % PAGE == 0;
}

/* Takes the memory over in any case. */
static mlx_array wrap(const wilor_mlx_block *data, int rank, const int *shape,
                      mlx_dtype dtype) {
    size_t bytes = mlx_dtype_size(dtype);
    for (int i = 0; i < rank; i++)
        bytes *= (size_t)shape[i];
    mlx_array a = {NULL};
    if (is_paged(data->data, bytes)) {
        a = mlx_array_new_data_managed_payload(data->data, shape, rank, dtype, data->owner,
                                               data->release);
        if (a.ctx)
            return a;
    } else {
        a = mlx_array_new_data(data->data, shape, rank, dtype);
    }
    data->release(data->owner);
    return a;
}

static void free_matrix(wilor_mlx_matrix *w) {
    mlx_array_free(w->w);
    mlx_array_free(w->scales);
    mlx_array_free(w->biases);
    *w = (wilor_mlx_matrix){.group = 0};
}

/* A matrix of numbers becomes groups, as mx.quantize makes them. */
static wilor_mlx_result quantise(const wilor_mlx_model *m, wilor_mlx_matrix *w,
                                 wilor_mlx_error *err) {
    wilor_mlx_result st = WILOR_MLX_OK;
    mlx_vector_array parts = mlx_vector_array_new();
    wilor_mlx_matrix q = {.group = GROUP, .bits = m->shape.bits};
    wilor_mlx_lock(m->gpu);
    mlx_stream stream = wilor_mlx_stream_default(m->gpu);
    if (mlx_quantize(&parts, w->w, (mlx_optional_int){GROUP, true},
                     (mlx_optional_int){q.bits, true}, "affine", (mlx_array){NULL}, stream) ||
        mlx_eval(parts) || mlx_vector_array_get(&q.w, parts, 0) ||
        mlx_vector_array_get(&q.scales, parts, 1) || mlx_vector_array_get(&q.biases, parts, 2))
        st = wilor_mlx_errors_take(err, "quantising a matrix");
    mlx_vector_array_free(parts);
    mlx_stream_free(stream);
    free_matrix(w);
    *w = q;
    wilor_mlx_unlock(m->gpu);
    return st;
}

static size_t bytes_of(const wilor_mlx_matrix *w) {
    return mlx_array_nbytes(w->w) + (w->scales.ctx ? mlx_array_nbytes(w->scales) : 0) +
           (w->biases.ctx ? mlx_array_nbytes(w->biases) : 0);
}

wilor_mlx_result wilor_mlx_model_put(void *model, int t, int block, const wilor_mlx_block *data,
                                     wilor_mlx_error *err) {
    wilor_mlx_model *m = model;
    int shape[3];
    wilor_mlx_matrix *w = &m->tensor[slot(t, block)];
    mlx_dtype dtype = wilor_mlx_is_product(t) ? wilor_mlx_dtype(m->shape.number) : MLX_FLOAT32;
    wilor_mlx_result st = WILOR_MLX_OK;
    wilor_mlx_errors_clear();
    free_matrix(w);
    int rank = shape_of(&m->shape, t, shape);
    w->w = wrap(data, rank, shape, dtype);
    if (!w->w.ctx)
        return wilor_mlx_errors_take(err, "a tensor");
    if (m->shape.bits && wilor_mlx_is_matrix(t) && shape[1] % GROUP == 0)
        st = quantise(m, w, err);
    if (st == WILOR_MLX_OK)
        m->bytes += bytes_of(w);
    return st;
}

wilor_mlx_result wilor_mlx_model_put_groups(void *model, int t, int block,
                                            const wilor_mlx_groups *groups,
                                            wilor_mlx_error *err) {
    wilor_mlx_model *m = model;
    int shape[3];
    wilor_mlx_matrix *w = &m->tensor[slot(t, block)];
    wilor_mlx_errors_clear();
    free_matrix(w);
    shape_of(&m->shape, t, shape);
    const int words[] = {shape[0], shape[1] / 32 * groups->bits};
    const int scales[] = {shape[0], shape[1] / groups->group};
    w->group = groups->group;
    w->bits = groups->bits;
    w->w = wrap(&groups->words, 2, words, MLX_UINT32);
    w->scales = wrap(&groups->scales, 2, scales, wilor_mlx_dtype(m->shape.number));
    w->biases = wrap(&groups->biases, 2, scales, wilor_mlx_dtype(m->shape.number));
    if (!w->w.ctx || !w->scales.ctx || !w->biases.ctx)
        return wilor_mlx_errors_take(err, "a matrix in groups");
    m->bytes += bytes_of(w);
    return WILOR_MLX_OK;
}

/* ---------------------------------------------------------------- model */

void wilor_mlx_model_free(void *model) {
    wilor_mlx_model *m = model;
    if (!m)
        return;
    for (size_t i = 0; m->tensor && i < m->slots; i++)
        free_matrix(&m->tensor[i]);
    wilor_mlx_hand_free(&m->hand);
    free(m->tensor);
    free(m);
}

wilor_mlx_result wilor_mlx_model_create(void **out, const wilor_mlx_shape *shape,
                                        const wilor_net_mano *mano, wilor_mlx_error *err) {
    wilor_mlx_result st = WILOR_MLX_OK;
    wilor_mlx_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no memory for a model");
    m->shape = *shape;
    m->slots = (size_t)(WILOR_NET_PLAIN_TENSORS + FURTHER + shape->depth * BLOCK_TENSORS);
    m->tensor = calloc(m->slots, sizeof *m->tensor);
    if (!m->tensor) {
        st = wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no memory for a model");
        goto done;
    }
    MLX_TRY(wilor_mlx_device(&m->gpu, err));
    MLX_TRY(wilor_mlx_hand_create(&m->hand, mano, err));
    *out = m;
    m = NULL;
done:
    wilor_mlx_model_free(m);
    return st;
}

size_t wilor_mlx_model_bytes(const void *model) {
    return ((const wilor_mlx_model *)model)->bytes;
}
