/* The detector's kernels but its convolutions (kernels_conv.h). */
#ifndef WILOR_CUDA_KERNELS_NET_H
#define WILOR_CUDA_KERNELS_NET_H

#include "elements.h"

namespace wilor_cuda {

enum { NET_THREADS = 256 };

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

/* One 5 × 5 maximum of stride 1. A thread is a number; from and to are slices of one map. */
template <class T>
__global__ void pool_kernel(const T *from, T *to, int width, int height, int map_channels,
                            int channels) {
    size_t i = (size_t)blockIdx.x * NET_THREADS + threadIdx.x;
    int c = (int)(i % (size_t)channels), pixel = (int)(i / (size_t)channels);
    if (pixel >= width * height)
        return;
    int y0 = pixel / width, x0 = pixel % width;
    float top = -INFINITY;
    for (int y = y0 - 2; y <= y0 + 2; y++)
        for (int x = x0 - 2; x <= x0 + 2; x++)
            if (y >= 0 && y < height && x >= 0 && x < width)
                top = fmaxf(
                    top,
                    widen(from[((size_t)y * (size_t)width + (size_t)x) * (size_t)map_channels +
                               (size_t)c]));
    to[(size_t)pixel * (size_t)map_channels + (size_t)c] = narrow<T>(top);
}

} // namespace wilor_cuda

#endif
