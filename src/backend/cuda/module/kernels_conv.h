/* The detector's convolutions. Maps are rows × columns × channels without borders; a step reads and writes
 * slices of channels, so concatenations need no copies.
 *
 * A convolution is a product without its matrix ever made: rows are output pixels, columns are outputs, the
 * depth runs over taps, then channels. tensor_conv: 16-bit numbers on matrix units, a block of threads is
 * 64 pixels × N outputs, a warp 32 × N / 2, 64 deep at a time; two pieces are on their way while one is
 * multiplied. Where blocks are few, several share a tile's depth, and the last of them to end adds their
 * sums, always in the same order. plain_conv: float32 sums of any numbers; the oracle of the other, and
 * for slices that are not made of eights. */
#ifndef WILOR_CUDA_KERNELS_CONV_H
#define WILOR_CUDA_KERNELS_CONV_H

#include "elements.h"

namespace wilor_cuda {

enum {
    CONV_VECTOR = 8, /* numbers of a load */
    CONV_PIXELS = 64,
    CONV_DEPTH = 64,
    CONV_STAGES = 3, /* 48 KiB of shared memory for 64 outputs: what every card gives */
    CONV_THREADS = 128,
    CONV_EIGHTS = CONV_DEPTH / CONV_VECTOR,
    CONV_ROWS = CONV_THREADS / CONV_EIGHTS, /* that the threads fetch at once */
    CONV_MOST_PARTS = 16,
    CONV_MOST_SIZE = 3, /* of tensor_conv's kernels */
    PLAIN_TILE = 16,
    PLAIN_DEPTH = 32
};

template <class T> struct conv_args {
    const T *in;                          /* first channel of the slice */
    int in_channels, in_width, in_height; /* of the whole map */
    const T *weights;                     /* outputs × depth */
    const float *bias;
    int inputs, outputs, size, stride, depth; /* depth: size · size · inputs */
    int width, height;                        /* of the output */
    int silu, wide;                           /* wide: what is written is made of eights */
    T *out;                                   /* or NULL: `head` */
    float *head;
    const T *added;
    T *twice;
    int out_channels, added_channels, twice_channels;
    int part_steps;  /* of CONV_DEPTH: a part's share */
    float *work;     /* parts' sums: tiles × parts × tile */
    unsigned *ended; /* of a tile's parts; zeros between launches */
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

/* Where output pixel `pixel` lies in a map of twice the size: four places. */
template <class T>
__device__ __forceinline__ size_t conv_twice(const conv_args<T> &a, int pixel, int i) {
    int y = pixel / a.width * 2 + i / 2, x = pixel % a.width * 2 + i % 2;
    return ((size_t)y * (size_t)(2 * a.width) + (size_t)x) * (size_t)a.twice_channels;
}

/* An output to where it goes. */
template <class T>
__device__ __forceinline__ void conv_write(const conv_args<T> &a, int pixel, int o, float v) {
    if (a.added)
        v = widen(a.added[(size_t)pixel * (size_t)a.added_channels + (size_t)o]) + v;
    if (a.head) {
        a.head[(size_t)pixel * (size_t)a.out_channels + (size_t)o] = v;
        return;
    }
    T number = narrow<T>(v);
    a.out[(size_t)pixel * (size_t)a.out_channels + (size_t)o] = number;
    for (int i = 0; a.twice && i < 4; i++)
        a.twice[conv_twice(a, pixel, i) + (size_t)o] = number;
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

    __device__ __forceinline__ void begin(const conv_args<T> &a, int pixel, int output,
                                          int first);
    __device__ __forceinline__ void fetch_inputs(const conv_args<T> &a, T *xs) const;
    __device__ __forceinline__ void fetch_weights(const conv_args<T> &a, T *ws,
                                                  int ahead) const;
    __device__ __forceinline__ void move_on(const conv_args<T> &a);
};

template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::begin(const conv_args<T> &a, int pixel,
                                                       int output, int first) {
    int row = (int)threadIdx.x / CONV_EIGHTS, pad = a.size / 2;
    k = first * CONV_DEPTH + (int)threadIdx.x % CONV_EIGHTS * CONV_VECTOR;
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
    weight = a.weights + (size_t)(output + row) * (size_t)a.depth + (size_t)k;
    outputs = a.outputs - output - row;
}

/* Sixteen bytes lie where no two of the eight rows of a matrix meet in a bank. */
template <class T> __device__ __forceinline__ T *conv_place(T *tile, int row, int eight) {
    return tile + row * CONV_DEPTH + (eight ^ (row & 7)) * CONV_VECTOR;
}

template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::fetch_inputs(const conv_args<T> &a,
                                                              T *xs) const {
    int row = (int)threadIdx.x / CONV_EIGHTS, eight = (int)threadIdx.x % CONV_EIGHTS;
#pragma unroll
    for (int i = 0; i < CONV_PIXELS / CONV_ROWS; i++) {
        bool there = taps[i] >> tap & 1;
        copy_16(conv_place(xs, row + i * CONV_ROWS, eight),
                there ? a.in + (origin[i] + at) : a.in, there);
    }
}

/* ahead: steps from here. */
template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::fetch_weights(const conv_args<T> &a, T *ws,
                                                               int ahead) const {
    int row = (int)threadIdx.x / CONV_EIGHTS, eight = (int)threadIdx.x % CONV_EIGHTS;
#pragma unroll
    for (int i = 0; i < N / CONV_ROWS; i++) {
        bool there = i * CONV_ROWS < outputs && k + ahead * CONV_DEPTH < a.depth;
        copy_16(conv_place(ws, row + i * CONV_ROWS, eight),
                there ? weight + (i * CONV_ROWS * a.depth + ahead * CONV_DEPTH) : a.weights,
                there);
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

/* What a 16-bit number does not tell from silu: no branches, no division. */
__device__ __forceinline__ float quick_silu(float x) {
    return x * quick_inverse(1.0f + quick_exp2(x * -1.44269504f));
}

/* Whether eight outputs of a pixel are written at once. */
template <class T>
__device__ __forceinline__ bool conv_whole_eight(const conv_args<T> &a, int pixel, int o) {
    return a.wide && pixel < a.width * a.height && o + CONV_VECTOR <= a.outputs;
}

/* What is added to a thread's eights, fetched ahead of all that is written: it might be the same memory. */
template <class T, int N> struct conv_addends { numbers<T, CONV_VECTOR> at[N / 16]; };

template <class T, int N>
__device__ __forceinline__ void conv_fetch_addends(const conv_args<T> &a, int pixel, int output,
                                                   conv_addends<T, N> *to) {
#pragma unroll
    for (int i = 0; i < N / 16; i++) {
        int eight = (int)threadIdx.x + i * CONV_THREADS;
        int at = pixel + eight / (N / 8), o = output + eight % (N / 8) * CONV_VECTOR;
        if (a.added && conv_whole_eight(a, at, o))
            to->at[i] =
                load<CONV_VECTOR>(a.added + (size_t)at * (size_t)a.added_channels + (size_t)o);
    }
}

/* Eight sums of a pixel to where they go. */
template <class T>
__device__ __forceinline__ void conv_store_eight(const conv_args<T> &a, int pixel, int o,
                                                 const float *sums,
                                                 const numbers<T, CONV_VECTOR> &added) {
    numbers<float, 4> low = load<4>(sums), high = load<4>(sums + 4);
    numbers<T, CONV_VECTOR> out;
#pragma unroll
    for (int i = 0; i < CONV_VECTOR; i++) {
        float v = i < 4 ? low.at[i % 4] : high.at[i % 4];
        v = a.silu ? quick_silu(v) : v;
        out.at[i] = narrow<T>(a.added ? widen(added.at[i]) + v : v);
    }
    store(a.out + (size_t)pixel * (size_t)a.out_channels + (size_t)o, out);
    if (!a.twice)
        return;
    for (int i = 0; i < 4; i++)
        store(a.twice + conv_twice(a, pixel, i) + (size_t)o, out);
}

/* The warps' sums side by side: rows of N + 8, so that two rows of four meet in no bank. */
template <int N>
__device__ __forceinline__ void conv_gather(float *tile, const float sum[2][N / 16][4]) {
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    float *at = tile + (warp / 2 * 32 + lane / 4) * (N + 8) + warp % 2 * (N / 2) + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < N / 16; j++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                store(at + (16 * i + 8 * half) * (N + 8) + 8 * j,
                      numbers<float, 2>{{sum[i][j][2 * half], sum[i][j][2 * half + 1]}});
}

/* Eight sums of a pixel there, pixel by pixel. */
template <int N> __device__ __forceinline__ float *conv_eight(float *sums, int eight) {
    return sums + eight / (N / 8) * (N + 8) + eight % (N / 8) * CONV_VECTOR;
}

/* Sums begin with the bias, the first part's. */
template <class T, int N>
__device__ __forceinline__ void conv_begin_sums(const conv_args<T> &a, int output,
                                                float sum[2][N / 16][4]) {
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    int o = output + warp % 2 * (N / 2) + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < N / 16; j++)
#pragma unroll
        for (int c = 0; c < 2; c++) {
            bool there = blockIdx.z == 0 && o + 8 * j + c < a.outputs;
            float bias = there ? a.bias[o + 8 * j + c] : 0.0f;
#pragma unroll
            for (int i = 0; i < 2; i++)
                sum[i][j][c] = sum[i][j][2 + c] = bias;
        }
}

/* A part's sums to the others'. True in the block that ends last: all are there. */
template <class T, int N>
__device__ __forceinline__ bool conv_hand_in(const conv_args<T> &a, unsigned tile,
                                             const float *sums, unsigned *last) {
    float *to = a.work + ((size_t)tile * gridDim.z + blockIdx.z) * (CONV_PIXELS * N);
    for (int i = (int)threadIdx.x; i < CONV_PIXELS * N / 4; i += CONV_THREADS)
        store(to + 4 * i, load<4>(sums + i / (N / 4) * (N + 8) + i % (N / 4) * 4));
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        *last = atomicInc(&a.ended[tile], gridDim.z - 1) == gridDim.z - 1;
    __syncthreads();
    if (*last == 0)
        return false;
    __threadfence();
    return true;
}

/* The parts' sums in their order, to where the block's own are. A thread adds what it stores. */
template <class T, int N>
__device__ __forceinline__ void conv_add_parts(const conv_args<T> &a, unsigned tile,
                                               float *sums) {
    const float *from =
        a.work + (size_t)tile * gridDim.z * (CONV_PIXELS * N) + threadIdx.x * CONV_VECTOR;
    float sum[N / 16][CONV_VECTOR] = {};
#pragma unroll 2
    for (unsigned part = 0; part < gridDim.z; part++, from += CONV_PIXELS * N)
#pragma unroll
        for (int i = 0; i < N / 16; i++) {
            const float *at = from + i * CONV_THREADS * CONV_VECTOR;
            numbers<float, 4> low = load_shared_work(at), high = load_shared_work(at + 4);
#pragma unroll
            for (int c = 0; c < CONV_VECTOR; c++)
                sum[i][c] += c < 4 ? low.at[c % 4] : high.at[c % 4];
        }
#pragma unroll
    for (int i = 0; i < N / 16; i++) {
        float *to = conv_eight<N>(sums, (int)threadIdx.x + i * CONV_THREADS);
        store(to, numbers<float, 4>{{sum[i][0], sum[i][1], sum[i][2], sum[i][3]}});
        store(to + 4, numbers<float, 4>{{sum[i][4], sum[i][5], sum[i][6], sum[i][7]}});
    }
}

/* What is not made of eights, and the head's float32. */
template <class T, int N>
__device__ __forceinline__ void conv_store_singly(const conv_args<T> &a, int pixel, int output,
                                                  float *sums) {
#pragma unroll 1
    for (int i = 0; i < N / 2; i++) {
        int eight = (int)threadIdx.x + i / CONV_VECTOR * CONV_THREADS;
        int at = pixel + eight / (N / 8), first = output + eight % (N / 8) * CONV_VECTOR;
        int o = first + i % CONV_VECTOR;
        if (at >= a.width * a.height || o >= a.outputs || conv_whole_eight(a, at, first))
            continue;
        float v = conv_eight<N>(sums, eight)[i % CONV_VECTOR];
        conv_write(a, at, o, a.silu ? silu(v) : v);
    }
}

/* The sums of a block to where they go. */
template <class T, int N>
__device__ __forceinline__ void conv_finish(const conv_args<T> &a, int pixel, int output,
                                            float *sums, const conv_addends<T, N> &added) {
    unsigned tile = blockIdx.y * gridDim.x + blockIdx.x;
    if (gridDim.z > 1) {
        unsigned *last = reinterpret_cast<unsigned *>(sums + CONV_PIXELS * (N + 8));
        if (!conv_hand_in<T, N>(a, tile, sums, last))
            return;
        conv_add_parts<T, N>(a, tile, sums);
    }
#pragma unroll
    for (int i = 0; i < N / 16; i++) {
        int eight = (int)threadIdx.x + i * CONV_THREADS;
        int at = pixel + eight / (N / 8), o = output + eight % (N / 8) * CONV_VECTOR;
        if (conv_whole_eight(a, at, o))
            conv_store_eight(a, at, o, conv_eight<N>(sums, eight), added.at[i]);
    }
    if (!a.wide || a.outputs % CONV_VECTOR != 0)
        conv_store_singly<T, N>(a, pixel, output, sums);
}

/* Grid: pixels / 64, outputs / N, parts of the depth. Shared memory: the stages', the sums' later. */
template <class T, int N>
__global__ void __launch_bounds__(CONV_THREADS) tensor_conv(conv_args<T> a) {
    WILOR_DYNAMIC_SHARED(memory);
    T *stages = reinterpret_cast<T *>(memory);
    constexpr int stage = (CONV_PIXELS + N) * CONV_DEPTH, weights = CONV_PIXELS * CONV_DEPTH;
    int pixel = (int)blockIdx.x * CONV_PIXELS, output = (int)blockIdx.y * N;
    int first = (int)blockIdx.z * a.part_steps;
    int steps = min((a.depth + CONV_DEPTH - 1) / CONV_DEPTH - first, a.part_steps);
    float sum[2][N / 16][4];
    conv_addends<T, N> added;
    conv_walk<T, N> walk;
    walk.begin(a, pixel, output, first);
#pragma unroll
    for (int s = 0; s < CONV_STAGES - 1; s++)
        if (s < steps)
            walk.fetch_weights(a, stages + s * stage + weights, s);
    conv_begin_sums<T, N>(a, output, sum);
    wait_for_kernel_before(); /* so far nothing of what kernels write */
    let_kernel_behind_come(); /* not sooner: one kernel waits, not all */
#pragma unroll
    for (int s = 0; s < CONV_STAGES - 1; s++) {
        if (s < steps)
            walk.fetch_inputs(a, stages + s * stage);
        walk.move_on(a);
        end_copies(); /* the first group has all weights so far */
    }
    for (int s = 0; s < steps; s++) {
        wait_copies<CONV_STAGES - 2>();
        __syncthreads(); /* the copies of all; and the stage that is filled next has been read */
        if (s + CONV_STAGES - 1 < steps) {
            T *next = stages + (s + CONV_STAGES - 1) % CONV_STAGES * stage;
            walk.fetch_inputs(a, next);
            walk.fetch_weights(a, next + weights, 0);
            walk.move_on(a);
        }
        end_copies(); /* an empty group counts, too */
        T *now = stages + s % CONV_STAGES * stage;
        conv_multiply<T, N>(sum, now, now + weights);
    }
    conv_fetch_addends<T, N>(a, pixel, output, &added);
    __syncthreads();
    float *sums = reinterpret_cast<float *>(memory);
    conv_gather<N>(sums, sum);
    __syncthreads();
    conv_finish<T, N>(a, pixel, output, sums, added);
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
