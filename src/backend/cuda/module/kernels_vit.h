/* The backbone's kernels but for attention: patches, tokens, norms, GELU, the last block's rows. A block of
 * threads is a row, or a stretch of numbers. */
#ifndef WILOR_CUDA_KERNELS_VIT_H
#define WILOR_CUDA_KERNELS_VIT_H

#include "elements.h"

namespace wilor_cuda {

enum { ROW_THREADS = 128, FLAT_THREADS = 256 };

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
    int row = (int)blockIdx.x, hand = row / TOKENS, token = row % TOKENS;
    float *to = x + (size_t)row * (size_t)d;
    if (token < LEAD) {
        for (int i = (int)threadIdx.x; i < d; i += (int)blockDim.x)
            to[i] = lead[(size_t)token * (size_t)d + (size_t)i];
        return;
    }
    int patch = token - LEAD;
    const float *from = embedded + ((size_t)hand * PATCHES + (size_t)patch) * (size_t)d;
    for (int i = (int)threadIdx.x; i < d; i += (int)blockDim.x)
        to[i] = position[(size_t)patch * (size_t)d + (size_t)i] + (from[i] + bias[i]);
}

/* Sum over a block of ROW_THREADS; every thread gets it. */
__device__ __forceinline__ float block_sum(float x) {
    __shared__ float part[ROW_THREADS / 32];
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0;
    for (int i = 0; i < ROW_THREADS / 32; i++)
        x += part[i];
    __syncthreads();
    return x;
}

/* LayerNorm of one row a block; variance about the mean, not by squares. */
template <class T>
__global__ void norm_kernel(const float *x, const float *gamma, const float *beta, T *out,
                            int d) {
    const float *from = x + (size_t)blockIdx.x * (size_t)d;
    T *to = out + (size_t)blockIdx.x * (size_t)d;
    float sum = 0, squares = 0;
    for (int i = (int)threadIdx.x; i < d; i += ROW_THREADS)
        sum += from[i];
    float mean = block_sum(sum) / (float)d;
    for (int i = (int)threadIdx.x; i < d; i += ROW_THREADS)
        squares += (from[i] - mean) * (from[i] - mean);
    float scale = 1.0f / sqrtf(block_sum(squares) / (float)d + 1e-6f);
    for (int i = (int)threadIdx.x; i < d; i += ROW_THREADS)
        to[i] = narrow<T>((from[i] - mean) * scale * gamma[i] + beta[i]);
}

/* rows × m sums to activations: bias, GELU. */
template <class T>
__global__ void gelu_kernel(const float *sums, const float *bias, T *out, int m, size_t count) {
    size_t i = (size_t)blockIdx.x * FLAT_THREADS + threadIdx.x;
    if (i < count)
        out[i] = narrow<T>(gelu(sums[i] + bias[i % (size_t)m]));
}

/* Rows of the residual stream that the last block computes: hands first …, `each` rows of a hand. */
template <class T>
__global__ void choose_kernel(const float *x, float *out, int d, int first, int each,
                              int cols) {
    int row = (int)blockIdx.x, hand = first + row / each;
    const float *from =
        x + ((size_t)hand * TOKENS + (size_t)chosen_token(row % each, cols)) * (size_t)d;
    for (int i = (int)threadIdx.x; i < d; i += (int)blockDim.x)
        out[(size_t)row * (size_t)d + (size_t)i] = from[i];
}

/* To float32, for tests that look at activations. */
template <class T> __global__ void widen_kernel(const T *x, float *out, size_t count) {
    size_t i = (size_t)blockIdx.x * FLAT_THREADS + threadIdx.x;
    if (i < count)
        out[i] = widen(x[i]);
}

/* Weights to the blocks' number. */
template <class T> __global__ void narrow_kernel(const float *x, T *out, size_t count) {
    size_t i = (size_t)blockIdx.x * FLAT_THREADS + threadIdx.x;
    if (i < count)
        out[i] = narrow<T>(x[i]);
}

} // namespace wilor_cuda

#endif
