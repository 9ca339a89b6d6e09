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
    let_kernel_behind_come();
    size_t i = (size_t)blockIdx.x * NET_THREADS + threadIdx.x;
    if (i < pixels)
        for (size_t c = 0; c < 3; c++) {
            float byte = (float)bytes[i * 3 + c];
            out[i * (size_t)channels + c] =
                narrow<T>(sizeof(T) == 4 ? byte / 255.0f : byte / 256.0f);
        }
}

/* Three 5 × 5 maxima of stride 1, each of the one before: maxima of 5 × 5, 9 × 9 and 13 × 13, side by side.
 * A thread is a place of `from`; from and to are slices of one map. */
template <class T>
__global__ void pool_kernel(const T *from, T *to, int width, int height, int map_channels,
                            int channels) {
    int i = (int)blockIdx.x * NET_THREADS + (int)threadIdx.x;
    int c = i % channels, pixel = i / channels, y0 = pixel / width, x0 = pixel % width;
    wait_for_kernel_before();
    let_kernel_behind_come();
    if (pixel >= width * height)
        return;
    float top[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (int y = max(y0 - 6, 0); y <= min(y0 + 6, height - 1); y++)
        for (int x = max(x0 - 6, 0); x <= min(x0 + 6, width - 1); x++) {
            float v = widen(from[(size_t)(y * width + x) * (size_t)map_channels + (size_t)c]);
            int away = max(abs(y - y0), abs(x - x0));
            top[0] = away <= 2 ? fmaxf(top[0], v) : top[0];
            top[1] = away <= 4 ? fmaxf(top[1], v) : top[1];
            top[2] = fmaxf(top[2], v);
        }
    for (int n = 0; n < 3; n++)
        to[(size_t)pixel * (size_t)map_channels + (size_t)(n * channels + c)] =
            narrow<T>(top[n]);
}

} // namespace wilor_cuda

#endif
