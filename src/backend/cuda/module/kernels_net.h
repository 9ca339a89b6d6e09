/* The detector's kernels but its convolutions (kernels_conv.h). */
#ifndef WILOR_CUDA_KERNELS_NET_H
#define WILOR_CUDA_KERNELS_NET_H

#include "net_run.h"

namespace wilor_cuda {

enum {
    NET_THREADS = 256,
    INPUT_COLUMNS = 32,
    INPUT_ROWS = NET_THREADS / INPUT_COLUMNS,
    POOL_MAXIMA = 3,
    POOL_REACH = 2 * POOL_MAXIMA,
    POOL_WIDTH = 16,
    POOL_CHANNELS = 32
};

/* The frame to the input map. float32: v / 255; 16 bits: v / 256, which they hold exactly, and the first layer's
 * weights are larger by 256 / 255; there a pixel has eight channels, zeros from the third on. Empties the list.
 * Block: 32 × 8 pixels. Grid: width / 32, height / 8. */
template <class T>
__global__ void letterbox_kernel(const net_order *order, T *out, int width, chosen_list *list) {
    constexpr bool whole = sizeof(T) == 4;
    __shared__ resize_tap columns[INPUT_COLUMNS], rows[INPUT_ROWS];
    const int column = (int)threadIdx.x, row = (int)threadIdx.y;
    const int x0 = (int)blockIdx.x * INPUT_COLUMNS, y0 = (int)blockIdx.y * INPUT_ROWS;
    const int x = x0 + column - order->left, y = y0 + row - order->top;
    let_kernel_behind_come();
    if (row == 0)
        columns[column] = find_tap(&order->x, x, true);
    if (column == 0)
        rows[row] = find_tap(&order->y, y, false);
    if (x0 + y0 + column + row == 0)
        list->count = 0;
    __syncthreads();
    const bool inside = x >= 0 && x < order->x.to && y >= 0 && y < order->y.to;
    const frame_view f = order->frame;
    numbers<T, whole ? 4 : 8> pixel = {};
    for (int c = 0; c < 3; c++) {
        int level = inside ? resized_level(&f, columns[column], rows[row], c) : RESIZE_PADDING;
        pixel.at[c] = narrow<T>((float)level / (whole ? 255.0f : 256.0f));
    }
    const size_t at = (size_t)(y0 + row) * (size_t)width + (size_t)(x0 + column);
    if constexpr (whole)
        for (size_t c = 0; c < 3; c++)
            out[at * 3 + c] = pixel.at[c];
    else
        store(out + at * 8, pixel);
}

/* Three 5 × 5 maxima of stride 1, each of the one before: maxima of 5 × 5, 9 × 9 and 13 × 13, side by side.
 * A block is 16 places of a row by 32 channels: maxima of columns first, then of these. From and to are
 * slices of one map. Grid: width / 16, height, channels / 32. */
template <class T>
__global__ void pool_kernel(const T *from, T *to, int width, int height, int map_channels,
                            int channels) {
    __shared__ float columns[POOL_MAXIMA][POOL_WIDTH + 2 * POOL_REACH][POOL_CHANNELS];
    int lane = (int)threadIdx.x % POOL_CHANNELS, first = (int)threadIdx.x / POOL_CHANNELS;
    int c = (int)blockIdx.z * POOL_CHANNELS + lane;
    int x0 = (int)blockIdx.x * POOL_WIDTH, y0 = (int)blockIdx.y;
    wait_for_kernel_before();
    let_kernel_behind_come();
    for (int i = first; i < POOL_WIDTH + 2 * POOL_REACH; i += NET_THREADS / POOL_CHANNELS) {
        float top[POOL_MAXIMA] = {-INFINITY, -INFINITY, -INFINITY};
        int x = x0 + i - POOL_REACH;
#pragma unroll
        for (int away = -POOL_REACH; away <= POOL_REACH; away++) {
            int y = y0 + away;
            if (c >= channels || x < 0 || x >= width || y < 0 || y >= height)
                continue;
            float v = widen(from[(size_t)(y * width + x) * (size_t)map_channels + (size_t)c]);
#pragma unroll
            for (int n = 0; n < POOL_MAXIMA; n++)
                top[n] = abs(away) <= 2 * (n + 1) ? fmaxf(top[n], v) : top[n];
        }
        for (int n = 0; n < POOL_MAXIMA; n++)
            columns[n][i][lane] = top[n];
    }
    __syncthreads();
    for (int i = first; i < POOL_WIDTH; i += NET_THREADS / POOL_CHANNELS)
#pragma unroll
        for (int n = 0; n < POOL_MAXIMA; n++) {
            float top = -INFINITY;
#pragma unroll
            for (int away = -2 * (n + 1); away <= 2 * (n + 1); away++)
                top = fmaxf(top, columns[n][i + POOL_REACH + away][lane]);
            if (x0 + i < width && c < channels)
                to[(size_t)(y0 * width + x0 + i) * (size_t)map_channels +
                   (size_t)(n * channels + c)] = narrow<T>(top);
        }
}

} // namespace wilor_cuda

#endif
