/* The detector's kernels but its convolutions (kernels_conv.h). */
#ifndef WILOR_CUDA_KERNELS_NET_H
#define WILOR_CUDA_KERNELS_NET_H

#include "elements.h"

namespace wilor_cuda {

enum {
    NET_THREADS = 256,
    POOL_SIDE = 8,     /* places of a block */
    POOL_REACH = 6,    /* of the widest maximum */
    POOL_CHANNELS = 8, /* of a block: 16 bytes of a place */
    POOL_WIDE = POOL_SIDE + 2 * POOL_REACH,
    POOL_AT_ONCE = NET_THREADS / POOL_CHANNELS
};

/* Bytes to the input map. float32: v / 255; 16 bits: v / 256, which they hold exactly, and the first layer's
 * weights are larger by 256 / 255. */
template <class T>
__global__ void input_kernel(const uint8_t *bytes, T *out, int channels, size_t pixels) {
    size_t i = (size_t)blockIdx.x * NET_THREADS + threadIdx.x;
    if (i < pixels)
        for (size_t c = 0; c < 3; c++) {
            float byte = (float)bytes[i * 3 + c];
            out[i * (size_t)channels + c] =
                narrow<T>(sizeof(T) == 4 ? byte / 255.0f : byte / 256.0f);
        }
}

/* The maximum of `from`'s 2 · reach + 1 numbers around `at`, `pitch` apart. */
template <class T>
__device__ __forceinline__ float max_around(const T *at, int pitch, int reach) {
    float top = -INFINITY;
#pragma unroll
    for (int i = -reach; i <= reach; i++)
        top = fmaxf(top, widen(at[i * pitch]));
    return top;
}

/* Three 5 × 5 maxima of stride 1, each of the one before: maxima of 5 × 5, 9 × 9 and 13 × 13, side by side;
 * first along rows, then along columns. Grid: columns / 8, rows / 8, channels / 8. from and to are slices
 * of one map. */
template <class T>
__global__ void pool_kernel(const T *from, T *to, int width, int height, int map_channels,
                            int channels) {
    __shared__ T in[POOL_WIDE][POOL_WIDE][POOL_CHANNELS];
    __shared__ T rows[3][POOL_WIDE][POOL_SIDE][POOL_CHANNELS];
    int x0 = (int)blockIdx.x * POOL_SIDE, y0 = (int)blockIdx.y * POOL_SIDE;
    int lane = (int)threadIdx.x % POOL_CHANNELS, begin = (int)threadIdx.x / POOL_CHANNELS;
    int c = (int)blockIdx.z * POOL_CHANNELS + lane;
#pragma unroll 4
    for (int i = begin; i < POOL_WIDE * POOL_WIDE; i += POOL_AT_ONCE) {
        int x = x0 + i % POOL_WIDE - POOL_REACH, y = y0 + i / POOL_WIDE - POOL_REACH;
        bool there = x >= 0 && x < width && y >= 0 && y < height && c < channels;
        in[i / POOL_WIDE][i % POOL_WIDE][lane] =
            there ? from[(size_t)(y * width + x) * (size_t)map_channels + (size_t)c]
                  : narrow<T>(-INFINITY);
    }
    __syncthreads();
    for (int i = begin; i < POOL_WIDE * POOL_SIDE; i += POOL_AT_ONCE) {
        int y = i / POOL_SIDE, x = i % POOL_SIDE;
#pragma unroll
        for (int n = 0; n < 3; n++)
            rows[n][y][x][lane] =
                narrow<T>(max_around(&in[y][x + POOL_REACH][lane], POOL_CHANNELS, 2 * (n + 1)));
    }
    __syncthreads();
    for (int i = begin; i < POOL_SIDE * POOL_SIDE; i += POOL_AT_ONCE) {
        int y = i / POOL_SIDE, x = i % POOL_SIDE;
        if (x0 + x >= width || y0 + y >= height || c >= channels)
            continue;
        T *at = to + (size_t)((y0 + y) * width + x0 + x) * (size_t)map_channels + (size_t)c;
#pragma unroll
        for (int n = 0; n < 3; n++)
            at[n * channels] = narrow<T>(max_around(&rows[n][y + POOL_REACH][x][lane],
                                                    POOL_SIDE * POOL_CHANNELS, 2 * (n + 1)));
    }
}

} // namespace wilor_cuda

#endif
