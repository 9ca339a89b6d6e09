/* The detector's kernels. Maps are rows × columns × channels without borders; a step reads and writes slices
 * of channels, so concatenations need no copies.
 *
 * A convolution is a product without its matrix ever made: rows are output pixels, columns are outputs, the
 * depth runs over taps, then channels. tensor_conv: 16-bit numbers on matrix units, a block of threads is
 * 64 pixels × 64 outputs, a warp 32 × 32, 32 deep at a time; the next piece is fetched while one is
 * multiplied. plain_conv: float32, the oracle of the other. */
#ifndef WILOR_CUDA_KERNELS_NET_H
#define WILOR_CUDA_KERNELS_NET_H

#include "elements.h"

namespace wilor_cuda {

enum {
    CONV_TILE = 64,
    CONV_DEPTH = 32,
    CONV_ROW = CONV_DEPTH + 8, /* of shared memory: eight rows of a matrix in different banks */
    CONV_THREADS = 128,
    CONV_VECTOR = 8, /* numbers of a load */
    PLAIN_TILE = 16,
    NET_THREADS = 256,
    NET_HEAD = 129
};

template <class T> struct conv_args {
    const T *in;                          /* first channel of the slice */
    int in_channels, in_width, in_height; /* of the whole map */
    const T *weights;                     /* outputs × depth */
    const float *bias;
    int inputs, outputs, size, stride, depth; /* depth: size · size · inputs */
    int width, height;                        /* of the output */
    int silu, vector;                         /* vector: loads of eight are whole and aligned */
    T *out;                                   /* or NULL: `head` */
    float *head;
    const T *added;
    T *twice;
    int out_channels, added_channels, twice_channels;
};

/* The numbers k … of output pixel `pixel`'s inputs: where they begin, or NULL for padding. */
template <class T>
__device__ __forceinline__ const T *conv_input(const conv_args<T> &a, int pixel, int k) {
    if (pixel >= a.width * a.height || k >= a.depth)
        return nullptr;
    int tap = k / a.inputs, channel = k % a.inputs, pad = a.size / 2;
    int y = pixel / a.width * a.stride + tap / a.size - pad;
    int x = pixel % a.width * a.stride + tap % a.size - pad;
    if (y < 0 || y >= a.in_height || x < 0 || x >= a.in_width)
        return nullptr;
    return a.in + ((size_t)y * (size_t)a.in_width + (size_t)x) * (size_t)a.in_channels +
           (size_t)channel;
}

template <class T>
__device__ __forceinline__ const T *conv_weight(const conv_args<T> &a, int o, int k) {
    return o < a.outputs && k < a.depth ? a.weights + (size_t)o * (size_t)a.depth + (size_t)k
                                        : nullptr;
}

/* One sum to where it goes. */
template <class T>
__device__ __forceinline__ void conv_store(const conv_args<T> &a, int pixel, int o, float sum) {
    if (pixel >= a.width * a.height || o >= a.outputs)
        return;
    float v = sum + a.bias[o];
    v = a.silu ? silu(v) : v;
    if (a.added)
        v = widen(a.added[(size_t)pixel * (size_t)a.added_channels + (size_t)o]) + v;
    if (a.head) {
        a.head[(size_t)pixel * (size_t)a.out_channels + (size_t)o] = v;
        return;
    }
    T number = narrow<T>(v);
    a.out[(size_t)pixel * (size_t)a.out_channels + (size_t)o] = number;
    if (!a.twice)
        return;
    int y = pixel / a.width * 2, x = pixel % a.width * 2;
    for (int i = 0; i < 4; i++)
        a.twice[((size_t)(y + i / 2) * (size_t)(2 * a.width) + (size_t)(x + i % 2)) *
                    (size_t)a.twice_channels +
                (size_t)o] = number;
}

struct vector8 {
    uint32_t word[4];
};

/* Eight numbers of 16 bits from an optional place; one by one where a load would cross a tap. */
template <class T, class F>
__device__ __forceinline__ vector8 conv_fetch(const conv_args<T> &a, int k, F where) {
    vector8 v = {{0, 0, 0, 0}};
    if (a.vector) {
        const T *from = where(k);
        if (from)
            v = *reinterpret_cast<const vector8 *>(from);
        return v;
    }
    T one[CONV_VECTOR];
    for (int i = 0; i < CONV_VECTOR; i++) {
        const T *from = where(k + i);
        one[i] = from ? *from : narrow<T>(0.0f);
    }
    memcpy(&v, one, sizeof v);
    return v;
}

enum { CONV_FETCHES = CONV_TILE * CONV_DEPTH / CONV_VECTOR / CONV_THREADS };

template <class T>
__device__ __forceinline__ void conv_fetch_tiles(const conv_args<T> &a, int first_pixel,
                                                 int first_output, int k, vector8 *x,
                                                 vector8 *w) {
#pragma unroll
    for (int i = 0; i < CONV_FETCHES; i++) {
        int at = (int)threadIdx.x + i * CONV_THREADS, row = at / (CONV_DEPTH / CONV_VECTOR);
        int column = k + at % (CONV_DEPTH / CONV_VECTOR) * CONV_VECTOR;
        x[i] =
            conv_fetch(a, column, [&](int j) { return conv_input(a, first_pixel + row, j); });
        w[i] =
            conv_fetch(a, column, [&](int j) { return conv_weight(a, first_output + row, j); });
    }
}

template <class T> __device__ __forceinline__ void conv_keep(T *to, const vector8 *v) {
#pragma unroll
    for (int i = 0; i < CONV_FETCHES; i++) {
        int at = (int)threadIdx.x + i * CONV_THREADS, row = at / (CONV_DEPTH / CONV_VECTOR);
        int column = at % (CONV_DEPTH / CONV_VECTOR) * CONV_VECTOR;
        *reinterpret_cast<vector8 *>(to + row * CONV_ROW + column) = v[i];
    }
}

/* Grid: pixels / 64, outputs / 64. */
template <class T> __global__ void __launch_bounds__(CONV_THREADS) tensor_conv(conv_args<T> a) {
    alignas(16) __shared__ unsigned char memory[2 * CONV_TILE * CONV_ROW * 2];
    T *xs = reinterpret_cast<T *>(memory), *ws = xs + CONV_TILE * CONV_ROW;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int row = warp / 2 * 32, column = warp % 2 * 32; /* of the tile: the warp's */
    int pixel = (int)blockIdx.x * CONV_TILE, output = (int)blockIdx.y * CONV_TILE;
    float sum[2][4][4];
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
            sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;
    vector8 x[CONV_FETCHES], w[CONV_FETCHES];
    conv_fetch_tiles(a, pixel, output, 0, x, w);
    for (int k = 0; k < a.depth; k += CONV_DEPTH) {
        conv_keep(xs, x);
        conv_keep(ws, w);
        __syncthreads();
        if (k + CONV_DEPTH < a.depth)
            conv_fetch_tiles(a, pixel, output, k + CONV_DEPTH, x, w);
#pragma unroll
        for (int step = 0; step < CONV_DEPTH; step += 16) {
            uint32_t xa[2][4], wb[4][2];
#pragma unroll
            for (int i = 0; i < 2;
                 i++) /* lanes 0 … 15: rows, columns 0 …; 16 … 31: columns 8 … */
                load_four_matrices(xa[i], xs + (row + 16 * i + lane % 16) * CONV_ROW + step +
                                              lane / 16 * 8);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                load_matrices(wb[j], ws + (column + 8 * j + lane % 8) * CONV_ROW + step +
                                         lane / 8 % 2 * 8);
#pragma unroll
                for (int i = 0; i < 2; i++)
                    mma_16x8x16<T>(sum[i][j], xa[i], wb[j]);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int c = 0; c < 4; c++)
                conv_store(a, pixel + row + 16 * i + g + c / 2 * 8,
                           output + column + 8 * j + 2 * t + c % 2, sum[i][j][c]);
}

/* Grid: pixels / 16, outputs / 16; threads 16 × 16: x is the output. */
template <class T> __global__ void plain_conv(conv_args<T> a) {
    __shared__ float xs[PLAIN_TILE][CONV_DEPTH + 1], ws[PLAIN_TILE][CONV_DEPTH + 1];
    int tx = (int)threadIdx.x, ty = (int)threadIdx.y;
    int pixel = (int)blockIdx.x * PLAIN_TILE, output = (int)blockIdx.y * PLAIN_TILE;
    float sum = 0;
    for (int k = 0; k < a.depth; k += CONV_DEPTH) {
        for (int i = tx; i < CONV_DEPTH; i += PLAIN_TILE) {
            const T *x = conv_input(a, pixel + ty, k + i),
                    *w = conv_weight(a, output + ty, k + i);
            xs[ty][i] = x ? widen(*x) : 0.0f;
            ws[ty][i] = w ? widen(*w) : 0.0f;
        }
        __syncthreads();
        for (int i = 0; i < CONV_DEPTH; i++)
            sum = fmaf(xs[ty][i], ws[tx][i], sum);
        __syncthreads();
    }
    conv_store(a, pixel + ty, output + tx, sum);
}

/* Bytes to the input map. float32: v / 255; 16 bits: v / 256, which they hold exactly, and the first layer's
 * weights are larger by 256 / 255. */
template <class T> __global__ void input_kernel(const uint8_t *bytes, T *out, size_t count) {
    size_t i = (size_t)blockIdx.x * NET_THREADS + threadIdx.x;
    if (i < count)
        out[i] =
            narrow<T>(sizeof(T) == 4 ? (float)bytes[i] / 255.0f : (float)bytes[i] / 256.0f);
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
