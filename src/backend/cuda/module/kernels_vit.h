/* Crops, and the backbone's kernels but for attention: patches, tokens, norms, GELU, the last block's
 * rows. A block of threads is a row, or a stretch of numbers. */
#ifndef WILOR_CUDA_KERNELS_VIT_H
#define WILOR_CUDA_KERNELS_VIT_H

#include "elements.h"
#include "kernels_hand_types.h"

namespace wilor_cuda {

enum {
    ROW_THREADS = 128,
    FLAT_THREADS = 256,
    NORM_STEPS = 4,
    NORM_MOST_THREADS = 1024,
    PARTS_MOST_THREADS = 512,
    ASKED_THREADS = 1024 /* the side head is the reading of 18 rows of weights */
};

/* A thread is a pixel. Grid: 256 rows, crops. frame: one on the card, which may change between runs of a
 * graph. */
template <class T>
__global__ void crop_kernel(const frame_view *frame, const crop_order *orders, T *crops) {
    int x = (int)threadIdx.x, y = (int)blockIdx.x, i = (int)blockIdx.y;
    const crop_order *o = &orders[i];
    if (!o->on_card)
        return;
    frame_view f = *frame;
    crop_pixel(&f, o->inverse, o->mirrored, o->cv4, x, y,
               crops + (size_t)i * CROP_FLOATS + (size_t)(y * SIDE + x) * 3);
}

/* Crops (n × 256 × 256 × 3) to rows of 768 numbers; a block of threads is a patch. */
template <class T> __global__ void patches_kernel(const float *crops, T *out) {
    int row = (int)blockIdx.x, hand = row / PATCHES, patch = row % PATCHES;
    const float *crop = crops + (size_t)hand * CROP_FLOATS;
    for (int i = (int)threadIdx.x; i < PATCH_INPUTS; i += (int)blockDim.x)
        out[(size_t)row * PATCH_INPUTS + (size_t)i] = narrow<T>(patch_number(crop, patch, i));
}

/* Tokens from embedded patches (n × 192 × d, without bias): residual stream n × 210 × d. */
template <class T>
__global__ void tokens_kernel(const float *embedded, const float *bias, const float *position,
                              const float *lead, float *x, int d) {
    int row = (int)blockIdx.x, hand = row / TOKENS, token = row % TOKENS, patch = token - LEAD;
    float *to = x + (size_t)row * (size_t)d;
    for (int i = 4 * (int)threadIdx.x; i < d; i += 4 * (int)blockDim.x) {
        if (token < LEAD) {
            store(to + i, load<4>(lead + (size_t)token * (size_t)d + i));
            continue;
        }
        auto y = load<4>(embedded + ((size_t)hand * PATCHES + (size_t)patch) * (size_t)d + i);
        auto at = load<4>(position + (size_t)patch * (size_t)d + i), b = load<4>(bias + i);
        for (int k = 0; k < 4; k++)
            y.at[k] = at.at[k] + (y.at[k] + b.at[k]);
        store(to + i, y);
    }
}

/* Sum over a block; every thread gets it. part: a number a warp, of this sum's own. */
__device__ __forceinline__ float block_sum(float x, float *part) {
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0;
    for (int i = 0; i < (int)blockDim.x / 32; i++)
        x += part[i];
    return x;
}

/* Four numbers of a row with what is missing, parts added pair by pair; at: the first one's place, i: in
 * its row. */
template <int PARTS>
__device__ __forceinline__ numbers<float, 4> complete(numbers<float, 4> x, const missing &lacks,
                                                      size_t at, int i) {
    numbers<float, 4> part[PARTS], bias = load<4>(lacks.bias + i);
#pragma unroll
    for (int p = 0; p < PARTS; p++)
        part[p] = load<4>(lacks.sums + (size_t)p * lacks.apart + at);
    for (int k = 0; k < 4; k++) {
#pragma unroll
        for (int left = PARTS; left > 1; left /= 2)
            for (int p = 0; p < left / 2; p++)
                part[p].at[k] = part[2 * p].at[k] + part[2 * p + 1].at[k];
        x.at[k] += part[0].at[k] + bias.at[k];
    }
    return x;
}

/* A thread has this many fours of a row. One, where it has those of the parts, too. */
template <int PARTS> constexpr int norm_steps = PARTS ? 1 : NORM_STEPS;

/* The compiler must have registers for all of these at once: else it reads some, waits, reads the others. */
template <int PARTS>
constexpr int norm_most_threads = PARTS ? PARTS_MOST_THREADS : NORM_MOST_THREADS;

/* Threads that hold a row of d numbers in their registers. */
static inline unsigned norm_threads(int d, int steps) {
    return (unsigned)(d + 128 * steps - 1) / (unsigned)(128 * steps) * 32;
}

/* LayerNorm of one row a block, which is read once, with what it is multiplied by; variance about the
 * mean, not by squares. The row is completed first where it lacks PARTS of a product. */
template <class A, int PARTS>
__global__ void __launch_bounds__(norm_most_threads<PARTS>, 1)
    norm_kernel(float *x, missing lacks, const float *gamma, const float *beta, A *out, int d) {
    enum { STEPS = norm_steps<PARTS> };

    __shared__ float part[2][NORM_MOST_THREADS / 32];
    wait_for_kernel_before();
    size_t row = (size_t)blockIdx.x * (size_t)d;
    numbers<float, 4> v[STEPS], by[STEPS], plus[STEPS];
    float sum = 0, squares = 0;
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        int i = 4 * (int)(threadIdx.x + (unsigned)s * blockDim.x);
        v[s] = by[s] = plus[s] = numbers<float, 4>();
        if (i < d) {
            v[s] = load<4>(x + row + i);
            by[s] = load<4>(gamma + i);
            plus[s] = load<4>(beta + i);
            if constexpr (PARTS > 0) {
                v[s] = complete<PARTS>(v[s], lacks, row + (size_t)i, i);
                store(x + row + i, v[s]);
            }
        }
    }
#pragma unroll
    for (int s = 0; s < STEPS; s++)
        sum += (v[s].at[0] + v[s].at[1]) + (v[s].at[2] + v[s].at[3]);
    float mean = block_sum(sum, part[0]) / (float)d;
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        if (4 * (int)(threadIdx.x + (unsigned)s * blockDim.x) >= d)
            continue;
        for (int k = 0; k < 4; k++) {
            v[s].at[k] -= mean;
            squares = fmaf(v[s].at[k], v[s].at[k], squares);
        }
    }
    float scale = 1.0f / sqrtf(block_sum(squares, part[1]) / (float)d + 1e-6f);
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        int i = 4 * (int)(threadIdx.x + (unsigned)s * blockDim.x);
        for (int k = 0; k < 4; k++)
            v[s].at[k] = v[s].at[k] * scale * by[s].at[k] + plus[s].at[k];
        if (i < d)
            put<4>(out + row * activation<A>::PARTS, d, i, v[s].at);
    }
}

/* rows × m sums to activations: bias, GELU. N numbers a thread. Grid: rows, m / N / FLAT_THREADS. */
template <class A, int N>
__global__ void gelu_kernel(const float *sums, const typename activation<A>::number *bias,
                            A *out, int m) {
    int i = N * (int)(blockIdx.y * FLAT_THREADS + threadIdx.x);
    size_t row = (size_t)blockIdx.x * (size_t)m;
    if (i >= m)
        return;
    numbers<float, N> x = load<N>(sums + row + i);
    auto b = load<N>(bias + i);
    for (int k = 0; k < N; k++)
        x.at[k] = gelu(x.at[k] + widen(b.at[k]));
    put<N>(out + row * activation<A>::PARTS, m, i, x.at);
}

/* Rows of the residual stream that the last block computes: hands first …, `each` rows of a hand. */
template <class T>
__global__ void choose_kernel(const float *x, float *out, int d, int first, int each,
                              int cols) {
    int row = (int)blockIdx.x, hand = first + row / each;
    const float *from =
        x + ((size_t)hand * TOKENS + (size_t)chosen_token(row % each, cols)) * (size_t)d;
    for (int i = 4 * (int)threadIdx.x; i < d; i += 4 * (int)blockDim.x)
        store(out + (size_t)row * (size_t)d + i, load<4>(from + i));
}

/* The side head: a hand's leading tokens, the first of its `each` rows, as one row of inputs. Grid: hands. */
template <class T>
__global__ void __launch_bounds__(ASKED_THREADS)
    side_kernel(const T *tokens, layer head, float *logit, int d, int each) {
    __shared__ float part[ASKED_THREADS / 32];
    const T *x = tokens + (size_t)blockIdx.x * (size_t)each * (size_t)d;
    float sum = 0;
    for (int i = 4 * (int)threadIdx.x; i < LEAD * d; i += 4 * (int)blockDim.x) {
        auto y = load<4>(x + i), by = load<4>(head.w + i);
        for (int k = 0; k < 4; k++)
            sum = fmaf(y.at[k], by.at[k], sum);
    }
    sum = block_sum(sum, part);
    if (threadIdx.x == 0)
        logit[blockIdx.x] = sum + head.b[0];
}

/* Rows that are complete, for tests: x stays as it is. */
template <int PARTS>
__global__ void complete_kernel(const float *x, missing lacks, float *out, int d) {
    size_t row = (size_t)blockIdx.x * (size_t)d;
    for (int i = 4 * (int)threadIdx.x; i < d; i += 4 * (int)blockDim.x)
        store(out + row + i, complete<PARTS>(load<4>(x + row + i), lacks, row + (size_t)i, i));
}

/* To float32, for tests that look at activations. */
template <class A>
__global__ void widen_kernel(const A *x, float *out, int width, size_t count) {
    size_t i = (size_t)blockIdx.x * FLAT_THREADS + threadIdx.x,
           row = i / (size_t)width * (size_t)width;
    if (i < count)
        out[i] = take(x + row * activation<A>::PARTS, width, (int)(i - row));
}

/* Weights to the blocks' number. */
template <class T> __global__ void narrow_kernel(const float *x, T *out, size_t count) {
    size_t i = (size_t)blockIdx.x * FLAT_THREADS + threadIdx.x;
    if (i < count)
        out[i] = narrow<T>(x[i]);
}

} // namespace wilor_cuda

#endif
