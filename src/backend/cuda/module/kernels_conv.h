/* The detector's convolutions. Maps are rows × columns × channels without borders; a step reads and writes
 * slices of channels, so concatenations need no copies.
 *
 * A convolution is a product without its matrix ever made: rows are output pixels, columns are outputs, the
 * depth runs over taps, then channels. tensor_conv: 16-bit numbers on matrix units, a block of threads is
 * 64 pixels × N outputs, a warp 32 × N / 2, 64 deep at a time; STAGES - 1 pieces are on their way while one
 * is multiplied. Where blocks are few, several share a tile's depth, and the last of them to end adds their
 * sums, always in the same order. plain_conv: float32 sums of any numbers; the oracle of the other, and
 * for slices that are not made of eights. */
#ifndef WILOR_CUDA_KERNELS_CONV_H
#define WILOR_CUDA_KERNELS_CONV_H

#include "kernels_conv_end.h"

namespace wilor_cuda {

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

/* What a thread fetches: of every step the same eight numbers of the depth, of every 16th pixel and
 * output of the tile. Where they are is worked out once, and then only moved on. */
template <class T, int N> struct conv_walk {
    int k, tap, tap_x, channel; /* k: of the depth */
    int at;                     /* in.[origin + at] is a pixel's number at k */
    int origin[CONV_PIXELS / CONV_ROWS];
    uint32_t taps[CONV_PIXELS / CONV_ROWS]; /* bit: the tap is inside of the map */
    const T *weight;                        /* of the first output, at k */
    int outputs;                            /* from the first one on */

    __device__ __forceinline__ void begin(const conv_args<T> &a, int output, int first);
    __device__ __forceinline__ void begin_pixels(const conv_args<T> &a, int pixel);
    __device__ __forceinline__ void fetch_weights(const conv_args<T> &a, T *ws) const;
    __device__ __forceinline__ void fetch_pixels(const conv_args<T> &a, T *xs) const;
    __device__ __forceinline__ void move_on(const conv_args<T> &a);
};

/* What weights need: no division, they can be asked for at once. */
template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::begin(const conv_args<T> &a, int output,
                                                       int first) {
    int row = (int)threadIdx.x / CONV_EIGHTS;
    k = first * CONV_DEPTH + (int)threadIdx.x % CONV_EIGHTS * CONV_VECTOR;
    weight = a.weights + (size_t)(output + row) * (size_t)a.depth + (size_t)k;
    outputs = a.outputs - output - row;
}

template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::begin_pixels(const conv_args<T> &a,
                                                              int pixel) {
    int row = (int)threadIdx.x / CONV_EIGHTS, pad = a.size / 2;
    tap = k / a.inputs;
    channel = k % a.inputs;
    tap_x = tap % a.size;
    at = (tap / a.size * a.in_width + tap_x) * a.in_channels + channel;
    int y = (pixel + row) / a.width, x = (pixel + row) % a.width;
#pragma unroll
    for (int i = 0; i < CONV_PIXELS / CONV_ROWS; i++) {
        int y0 = y * a.stride - pad, x0 = x * a.stride - pad;
        uint32_t columns = 0;
        origin[i] = (y0 * a.in_width + x0) * a.in_channels;
        taps[i] = 0;
#pragma unroll
        for (int tx = 0; tx < CONV_MOST_SIZE; tx++)
            columns |= tx < a.size && (unsigned)(x0 + tx) < (unsigned)a.in_width ? 1u << tx : 0;
#pragma unroll
        for (int ty = 0; ty < CONV_MOST_SIZE; ty++)
            taps[i] |=
                y < a.height && ty < a.size && (unsigned)(y0 + ty) < (unsigned)a.in_height
                    ? columns << (ty * a.size)
                    : 0;
        for (x += CONV_ROWS; x >= a.width; x -= a.width)
            y++;
    }
}

/* Sixteen bytes lie where no two of the eight rows of a matrix meet in a bank. */
template <class T> __device__ __forceinline__ T *conv_place(T *tile, int row, int eight) {
    return tile + row * CONV_DEPTH + (eight ^ (row & 7)) * CONV_VECTOR;
}

template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::fetch_pixels(const conv_args<T> &a,
                                                              T *xs) const {
    int row = (int)threadIdx.x / CONV_EIGHTS, eight = (int)threadIdx.x % CONV_EIGHTS;
#pragma unroll
    for (int i = 0; i < CONV_PIXELS / CONV_ROWS; i++) {
        bool there = taps[i] >> tap & 1;
        copy_16(conv_place(xs, row + i * CONV_ROWS, eight),
                there ? a.in + (origin[i] + at) : a.in, there);
    }
}

template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::fetch_weights(const conv_args<T> &a,
                                                               T *ws) const {
    int row = (int)threadIdx.x / CONV_EIGHTS, eight = (int)threadIdx.x % CONV_EIGHTS;
#pragma unroll
    for (int i = 0; i < N / CONV_ROWS; i++) {
        bool there = i * CONV_ROWS < outputs && k < a.depth;
        copy_16(conv_place(ws, row + i * CONV_ROWS, eight),
                there ? weight + i * CONV_ROWS * a.depth : a.weights, there);
    }
}

template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::move_on(const conv_args<T> &a) {
    k += CONV_DEPTH;
    weight += CONV_DEPTH;
    channel += CONV_DEPTH;
    at += CONV_DEPTH;
    while (channel >= a.inputs) {
        channel -= a.inputs;
        at += a.in_channels - a.inputs;
        tap++;
        if (++tap_x == a.size) {
            tap_x = 0;
            at += (a.in_width - a.size) * a.in_channels;
        }
    }
}

/* Sixteen numbers of the step's depth: the warp's 32 pixels × N / 2 outputs. */
template <class T, int N>
__device__ __forceinline__ void conv_load(uint32_t x[2][4], uint32_t w[N / 8], T *xs, T *ws,
                                          int eight) {
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    int row = warp / 2 * 32 + lane % 16, column = warp % 2 * (N / 2) + lane % 8;
#pragma unroll
    for (int i = 0; i < 2; i++) /* lanes 0 … 15: rows, columns 0 …; 16 … 31: columns 8 … */
        load_four_matrices(x[i], conv_place(xs, row + 16 * i, eight + lane / 16));
#pragma unroll
    for (int j = 0; j + 1 < N / 16; j += 2)
        load_four_matrices(
            &w[2 * j], conv_place(ws, column + 8 * j + lane / 16 * 8, eight + lane / 8 % 2));
    if (N / 16 % 2)
        load_matrices(&w[N / 8 - 2],
                      conv_place(ws, column + 8 * (N / 16 - 1), eight + lane / 8 % 2));
}

/* A step's product onto the warp's sums; the next sixteen are loaded while some are multiplied. */
template <class T, int N>
__device__ __forceinline__ void conv_multiply(float sum[2][N / 16][4], T *xs, T *ws) {
    uint32_t x[2][2][4], w[2][N / 8];
    conv_load<T, N>(x[0], w[0], xs, ws, 0);
#pragma unroll
    for (int k = 0; k < CONV_DEPTH / 16; k++) {
        if (k + 1 < CONV_DEPTH / 16)
            conv_load<T, N>(x[(k + 1) % 2], w[(k + 1) % 2], xs, ws, 2 * (k + 1));
#pragma unroll
        for (int j = 0; j < N / 16; j++)
#pragma unroll
            for (int i = 0; i < 2; i++)
                mma_16x8x16<T>(sum[i][j], x[k % 2][i], &w[k % 2][2 * j]);
    }
}

/* Shared memory: the stages', the sums' later. */
template <class T, int N> constexpr size_t conv_shared(int stages) {
    size_t sums = CONV_PIXELS * (N + 8) * sizeof(float);
    size_t pieces = (size_t)stages * (CONV_PIXELS + N) * CONV_DEPTH * sizeof(T);
    return pieces > sums ? pieces : sums;
}

/* Grid: pixels / 64, outputs / N, parts of the depth. With fewer steps than stages only these are there. */
template <class T, int N, int STAGES>
__global__ void __launch_bounds__(CONV_THREADS) tensor_conv(conv_args<T> a) {
    WILOR_DYNAMIC_SHARED(memory);
    __shared__ float4 bias[N / 4];
    T *stages = reinterpret_cast<T *>(memory);
    constexpr int stage = (CONV_PIXELS + N) * CONV_DEPTH, weights = CONV_PIXELS * CONV_DEPTH;
    int pixel = (int)blockIdx.x * CONV_PIXELS, output = (int)blockIdx.y * N;
    int first = (int)blockIdx.z * a.part_steps, fours = (int)threadIdx.x * 4;
    int steps = min((a.depth + CONV_DEPTH - 1) / CONV_DEPTH - first, a.part_steps);
    float sum[2][N / 16][4] = {};
    conv_walk<T, N> walk;
    walk.begin(a, output, first);
    walk.fetch_weights(a, stages + weights);
    if (fours < N) { /* of the last four some may be nothing's: no output's */
        bool there = output + fours < a.outputs;
        copy_16(&bias[threadIdx.x], there ? a.bias + output + fours : a.bias, there);
    }
    walk.begin_pixels(a, pixel);
#pragma unroll 1
    for (int s = 0; s < STAGES - 1; s++) {
        if (s > 0 && s < steps)
            walk.fetch_weights(a, stages + s * stage + weights);
        if (s < steps)
            walk.fetch_pixels(a, stages + s * stage);
        walk.move_on(a);
        end_copies();
    }
    for (int s = 0; s < steps; s++) {
        wait_copies<STAGES - 2>();
        __syncthreads(); /* the copies of all; and the stage that is filled next has been read */
        if (s + STAGES - 1 < steps) {
            T *next = stages + (s + STAGES - 1) % STAGES * stage;
            walk.fetch_weights(a, next + weights);
            walk.fetch_pixels(a, next);
            walk.move_on(a);
        }
        end_copies(); /* an empty group counts, too */
        T *now = stages + s % STAGES * stage;
        conv_multiply<T, N>(sum, now, now + weights);
    }
    if (gridDim.z > 1) {
        unsigned tile = blockIdx.y * gridDim.x + blockIdx.x;
        float *work = a.work + (size_t)tile * gridDim.z * (CONV_PIXELS * N) + threadIdx.x * 4;
        if (!conv_hand_in<T, N>(a, tile, work, sum))
            return;
        conv_add_parts<N>(work, sum);
    }
    float *sums = reinterpret_cast<float *>(memory);
    const float *biases = reinterpret_cast<const float *>(bias);
    __syncthreads();
    conv_gather<N>(sums, sum);
    __syncthreads();
    if (a.wide)
        conv_finish_eights<T, N>(a, pixel, output, sums, biases);
    else
        conv_finish<T, N>(a, pixel, output, sums, biases);
}

/* Grid: pixels / 16, outputs / 16; threads 16 × 16: x is the output. */
template <class T> __global__ void plain_conv(conv_args<T> a) {
    __shared__ float xs[PLAIN_TILE][PLAIN_DEPTH + 1], ws[PLAIN_TILE][PLAIN_DEPTH + 1];
    int tx = (int)threadIdx.x, ty = (int)threadIdx.y;
    int pixel = (int)blockIdx.x * PLAIN_TILE, output = (int)blockIdx.y * PLAIN_TILE;
    float sum = 0;
    for (int k = 0; k < a.depth; k += PLAIN_DEPTH) {
        for (int i = tx; i < PLAIN_DEPTH; i += PLAIN_TILE) {
            const T *x = conv_input(a, pixel + ty, k + i),
                    *w = conv_weight(a, output + ty, k + i);
            xs[ty][i] = x ? widen(*x) : 0.0f;
            ws[ty][i] = w ? widen(*w) : 0.0f;
        }
        __syncthreads();
        for (int i = 0; i < PLAIN_DEPTH; i++)
            sum = fmaf(xs[ty][i], ws[tx][i], sum);
        __syncthreads();
    }
    pixel += ty;
    output += tx;
    if (pixel >= a.width * a.height || output >= a.outputs)
        return;
    sum += a.bias[output];
    conv_write(a, pixel, output, a.silu ? silu(sum) : sum);
}

} // namespace wilor_cuda

#endif
