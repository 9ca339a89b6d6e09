/* The card and a model's weights on it. */
#include "model.h"

#include "kernels_vit.h"

#include <cstdlib>

namespace wilor_cuda {

/* ---------------------------------------------------------------- the card */

wilor_cuda_result device_info(int device, wilor_cuda_device_info *out, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    int count = 0, driver = 0;
    cudaDeviceProp p;
    memset(out, 0, sizeof *out);
    CUDA_CALL(cudaDriverGetVersion(&driver), "the driver", err);
    if (driver == 0) {
        st = fail(err, WILOR_CUDA_NO_DRIVER, "no NVIDIA driver is installed");
        goto done;
    }
    CUDA_CALL(cudaGetDeviceCount(&count), "looking for cards", err);
    if (device < 0 || device >= count) {
        st = fail(err, WILOR_CUDA_NO_DEVICE, "there is no card %d: %d can be used", device,
                  count);
        goto done;
    }
    CUDA_CALL(cudaGetDeviceProperties(&p, device), "the card", err);
    memcpy(out->name, p.name, sizeof out->name - 1);
    out->major = p.major;
    out->minor = p.minor;
    out->driver = driver;
    out->multiprocessors = p.multiProcessorCount;
    out->memory = p.totalGlobalMem;
done:
    return st;
}

/* ---------------------------------------------------------------- weights */

/* Of a block's matrix its inputs; 0: t is none. */
static int inputs_of(const model *m, int t) {
    switch (t) {
    case WILOR_NET_QKV_W:
    case WILOR_NET_PROJ_W:
    case WILOR_NET_FC1_W:
        return m->shape.width;
    case WILOR_NET_FC2_W:
        return m->shape.mlp;
    default:
        return 0;
    }
}

/* Matrices of the blocks, and what is added to them in their own number. */
static wilor_cuda_number kept_as(const model *m, int t) {
    if (t == WILOR_NET_PATCH_W)
        return m->patch;
    return inputs_of(m, t) || t == WILOR_NET_QKV_B || t == WILOR_NET_FC1_B ? m->shape.number
                                                                           : WILOR_CUDA_F32;
}

static void *push_bytes(device_arena *a, size_t bytes) { return a->push<char>(bytes); }

static void push_tensor(model *m, device_arena *a, int t, int blocks) {
    size_t bytes = wilor_cuda_tensor_count(&m->shape, t) * number_bytes(kept_as(m, t));
    for (int b = 0; b < blocks; b++) {
        void *at = push_bytes(a, bytes);
        if (a->base)
            m->tensor[slot_of(m, t, b)] = at;
    }
}

static void push_tensors(model *m, device_arena *a) {
    for (int t = 0; t < WILOR_NET_TENSORS; t++)
        push_tensor(m, a, t, t < WILOR_NET_PLAIN_TENSORS ? 1 : m->shape.depth);
    for (int i = 0; i < SIDE_TENSORS && m->shape.side_head; i++)
        push_tensor(m, a, WILOR_NET_SIDE_W + i, 1);
}

template <class T>
static const T *push_array(device_arena *a, const T *from, size_t count, cudaError_t *e) {
    T *to = a->push<T>(count);
    if (to && *e == cudaSuccess)
        *e = cudaMemcpy(to, from, count * sizeof(T), cudaMemcpyHostToDevice);
    return to;
}

static cudaError_t push_mano(model *m, const wilor_net_mano *h, device_arena *a) {
    cudaError_t e = cudaSuccess;
    size_t v = (size_t)h->vertices, weights = (size_t)h->skin_start[v];
    m->mano.vertices = h->vertices;
    m->mano.stride = (int)h->stride;
    m->mano.template_ = push_array(a, h->template_, h->stride, &e);
    m->mano.rows = push_array(a, h->rows, MANO_ROWS * h->stride, &e);
    m->mano.joints = push_array(a, h->joints, JOINTS * 3, &e);
    m->mano.joints_by_beta = push_array(a, h->joints_by_beta, BETAS * JOINTS * 3, &e);
    m->mano.parents = push_array(a, h->parents, JOINTS, &e);
    m->mano.skin_start = push_array(a, h->skin_start, v + 1, &e);
    m->mano.skin_weight = push_array(a, h->skin_weight, weights, &e);
    m->mano.skin_joint = push_array(a, h->skin_joint, weights, &e);
    m->mano.tips = push_array(a, h->tips, 5, &e);
    m->mano.joint_map = push_array(a, h->joint_map, KEYPOINTS, &e);
    return e;
}

static size_t largest_tensor(const wilor_cuda_shape *s) {
    size_t most = 0;
    for (int t = 0; t < WILOR_NET_TENSORS; t++) {
        size_t n = wilor_cuda_tensor_count(s, t);
        most = n > most ? n : most;
    }
    return most;
}

/* Whether this card can run the module, and in this arithmetic. */
static wilor_cuda_result check_card(const model *m, wilor_cuda_error *err) {
    int arch = m->card.major * 10 + m->card.minor;
    if (arch < 75)
        return fail(err, WILOR_CUDA_NO_CODE,
                    "%s has compute capability %d.%d; this build begins at 7.5", m->card.name,
                    m->card.major, m->card.minor);
    if (arch < 80 && m->shape.number == WILOR_CUDA_BF16)
        return fail(err, WILOR_CUDA_UNSUPPORTED,
                    "dtype bf16 needs compute capability 8.0; %s has %d.%d: f16 does there",
                    m->card.name, m->card.major, m->card.minor);
    return WILOR_CUDA_OK;
}

wilor_cuda_result model_create(void **out, int device, const wilor_cuda_shape *shape,
                               const wilor_net_mano *mano, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    wilor_cuda_device_info card;
    device_arena a = {nullptr, 0};
    model *m = new model();
    *out = nullptr;
    m->device = device;
    m->shape = *shape;
    m->patch = shape->number == WILOR_CUDA_F32 ? WILOR_CUDA_F32 : WILOR_CUDA_F16;
    CUDA_TRY(device_info(device, &card, err));
    CUDA_CALL(cudaSetDevice(device), "choosing the card", err);
    CUDA_CALL(cudaGetDeviceProperties(&m->card, device), "the card", err);
    CUDA_TRY(check_card(m, err));
    m->slots = (size_t)(WILOR_NET_PLAIN_TENSORS + shape->depth * BLOCK_TENSORS +
                        (shape->side_head ? SIDE_TENSORS : 0));
    m->tensor = static_cast<void **>(calloc(m->slots, sizeof *m->tensor));
    push_tensors(m, &a);
    push_mano(m, mano, &a);
    m->bytes = a.used;
    if (!m->tensor || cudaMalloc(&m->block, m->bytes) != cudaSuccess ||
        cudaMalloc(&m->staging, largest_tensor(shape) * sizeof(float)) != cudaSuccess) {
        cudaGetLastError();
        st = fail(err, WILOR_CUDA_NO_MEMORY, "no memory on %s for %zu MB of weights",
                  m->card.name, m->bytes / 1000000);
        goto done;
    }
    a = {m->block, 0};
    push_tensors(m, &a);
    CUDA_CALL(push_mano(m, mano, &a), "the hand model", err);
    *out = m;
    m = nullptr;
done:
    model_free(m);
    return st;
}

/* Weights of parted activations: rows of `inputs` numbers, small parts, then large ones, so that the one product of
 * whole rows has both mixed sums. */
static __global__ void split_kernel(const float *x, f16 *out, int inputs, size_t count) {
    size_t i = (size_t)blockIdx.x * FLAT_THREADS + threadIdx.x;
    if (i >= count)
        return;
    size_t at = i / (size_t)inputs * (size_t)inputs + i;
    split_number(x[i], &out[at + (size_t)inputs], &out[at]);
}

wilor_cuda_result model_put(void *p, int t, int block, const float *data,
                            wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    model *m = static_cast<model *>(p);
    size_t count = wilor_cuda_tensor_count(&m->shape, t);
    wilor_cuda_number number = kept_as(m, t);
    void *to = const_cast<char *>(tensor<char>(m, t, block));
    bool split = m->shape.split && inputs_of(m, t);
    CUDA_CALL(cudaSetDevice(m->device), "choosing the card", err);
    CUDA_CALL(cudaMemcpy(number == WILOR_CUDA_F32 && !split ? to : m->staging, data,
                         count * sizeof(float), cudaMemcpyHostToDevice),
              "a tensor", err);
    if (split) {
        int inputs = inputs_of(m, t);
        wilor_launch(split_kernel, parts(count, FLAT_THREADS), FLAT_THREADS, 0, nullptr,
                     m->staging, static_cast<f16 *>(to), inputs, count);
    } else if (number != WILOR_CUDA_F32)
        by_number(number, [&](auto zero) {
            typedef decltype(zero) T;
            wilor_launch(narrow_kernel<T>, parts(count, FLAT_THREADS), FLAT_THREADS, 0, nullptr,
                         m->staging, static_cast<T *>(to), count);
        });
    CUDA_CALL(cudaGetLastError(), "a tensor", err);
    /* Sessions use streams that do not wait for this one. */
    if (++m->filled == m->slots) {
        CUDA_CALL(cudaStreamSynchronize(nullptr), "the weights", err);
        cudaFree(m->staging);
        m->staging = nullptr;
    }
done:
    return st;
}

size_t model_bytes(const void *p) { return static_cast<const model *>(p)->bytes; }

void model_free(void *p) {
    model *m = static_cast<model *>(p);
    if (!m)
        return;
    cudaSetDevice(m->device);
    cudaFree(m->staging);
    cudaFree(m->block);
    free(m->tensor);
    delete m;
}

} // namespace wilor_cuda
