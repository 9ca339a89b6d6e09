/* The detector's convolutions. Maps are rows × columns × channels without borders; a step reads and writes
 * slices of channels, so concatenations need no copies.
 *
 * A convolution is a product without its matrix ever made: rows are output pixels, columns are outputs, the
 * depth runs over taps, then channels. tensor_conv: 16-bit numbers on matrix units, a block of threads is
 * 64 pixels × N outputs, a warp 32 × N / 2, 64 deep at a time; two pieces are on their way while one is
 * multiplied. Two groups of four warps have half of each piece's depth each: most steps have a block for
 * each multiprocessor and no more, and one warp a scheduler waits for its own results most of the time.
 * Where blocks are few, several share a tile's depth, and the last of them to end adds their sums, always
 * in the same order. plain_conv: float32 sums of any numbers; the oracle of the other, and for slices that
 * are not made of eights. */
#ifndef WILOR_CUDA_KERNELS_CONV_H
#define WILOR_CUDA_KERNELS_CONV_H

#include "elements.h"

namespace wilor_cuda {

enum {
    CONV_VECTOR = 8, /* numbers of a load */
    CONV_PIXELS = 64,
    CONV_DEPTH = 64,
    CONV_STAGES = 3,    /* 48 KiB of shared memory for 64 outputs: what every card gives */
    CONV_THREADS = 128, /* of a group */
    CONV_GROUPS = 2,
    CONV_EIGHTS = CONV_DEPTH / CONV_VECTOR,
    CONV_PITCH = CONV_DEPTH * 2, /* bytes of a row of a stage */
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
    int tap_skip, row_skip; /* numbers of `in` behind a tap's channels, behind a row of taps */
    int width, height;      /* of the output */
    int silu, wide;         /* wide: what is written is made of eights */
    T *out;                 /* or NULL: `head` */
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

/* A block's numbers. Its threads are groups of four warps, each with sums for all of the tile: of a step's
 * depth a group multiplies its share. */
template <int N> struct conv_shape {
    static constexpr int threads = CONV_THREADS * CONV_GROUPS;
    static constexpr int rows = threads / CONV_EIGHTS; /* fetched at once */
    static constexpr int inputs = CONV_PIXELS / rows;  /* that a thread fetches of a step */
    static constexpr int weights = (N + rows - 1) / rows;
    static constexpr int products = CONV_DEPTH / 16 / CONV_GROUPS; /* 16 deep, of a step */
    static constexpr int stage = (CONV_PIXELS + N) * CONV_PITCH;
    static constexpr int sums = CONV_PIXELS * (N + 8); /* rows of N + 8 */
    static constexpr int eights = (CONV_PIXELS * N / CONV_VECTOR + threads - 1) / threads;
    static constexpr int ended = (sums * CONV_GROUPS + 4) * 4, begun = stage * CONV_STAGES;
    static constexpr size_t shared = ended > begun ? ended : begun; /* bytes */
};

/* Bytes of a stage to a row's eight numbers: no two of the eight rows of a matrix meet in a bank. */
__device__ __forceinline__ uint32_t conv_place(int row, int eight) {
    return (uint32_t)(row * CONV_PITCH + (eight ^ (row & 7)) * 16);
}

/* What a thread fetches: of every step the same eight numbers of the depth, of every 16th (32nd …) pixel
 * and output of the tile. Where they are is worked out once, and then only moved on. */
template <class T, int N> struct conv_walk {
    typedef conv_shape<N> shape;
    int k, tap_x, channel; /* k: of the depth */
    uint32_t tap;          /* the tap's bit */
    int at;                /* in.[origin + at] is a pixel's number at k */
    int origin[shape::inputs];
    uint32_t taps[shape::inputs]; /* bit: the tap is inside of the map */
    const T *weight;              /* of the first output, at k */
    int outputs;                  /* from the first one on */
    shared_place to;              /* in the first stage */

    __device__ __forceinline__ void begin(const conv_args<T> &a, int pixel, int output,
                                          int first, shared_place stages);
    __device__ __forceinline__ void fetch_inputs(const conv_args<T> &a, uint32_t stage) const;
    __device__ __forceinline__ void fetch_weights(const conv_args<T> &a, uint32_t stage,
                                                  int ahead) const;
    __device__ __forceinline__ void move_on(const conv_args<T> &a);
};

template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::begin(const conv_args<T> &a, int pixel,
                                                       int output, int first,
                                                       shared_place stages) {
    int row = (int)threadIdx.x / CONV_EIGHTS, eight = (int)threadIdx.x % CONV_EIGHTS;
    int pad = a.size / 2;
    to = stages + conv_place(row, eight);
    k = first * CONV_DEPTH + eight * CONV_VECTOR;
    weight = a.weights + (size_t)(output + row) * (size_t)a.depth + (size_t)k;
    outputs = min(a.outputs - output, N) - row;
    int tap_index = k / a.inputs;
    channel = k % a.inputs;
    tap = 1u << tap_index; /* behind the last one nothing is there */
    tap_x = tap_index % a.size;
    at = (tap_index / a.size * a.in_width + tap_x) * a.in_channels + channel;
    int y = (pixel + row) / a.width, x = (pixel + row) % a.width;
#pragma unroll
    for (int i = 0; i < shape::inputs; i++) {
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
        for (x += shape::rows; x >= a.width; x -= a.width)
            y++;
    }
}

/* stage: bytes from the first one. */
template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::fetch_inputs(const conv_args<T> &a,
                                                              uint32_t stage) const {
#pragma unroll
    for (int i = 0; i < shape::inputs; i++)
        copy_16(to + stage + i * shape::rows * CONV_PITCH, a.in + (origin[i] + at),
                (taps[i] & tap) != 0);
}

/* ahead: steps from here. */
template <class T, int N>
__device__ __forceinline__ void
conv_walk<T, N>::fetch_weights(const conv_args<T> &a, uint32_t stage, int ahead) const {
    bool inside = k + ahead * CONV_DEPTH < a.depth;
    shared_place first = to + stage + CONV_PIXELS * CONV_PITCH;
#pragma unroll
    for (int i = 0; i < shape::weights; i++)
        if ((i + 1) * shape::rows <= N ||
            (int)threadIdx.x < (N - i * shape::rows) * CONV_EIGHTS)
            copy_16(first + i * shape::rows * CONV_PITCH,
                    weight + (i * shape::rows * a.depth + ahead * CONV_DEPTH),
                    inside && i * shape::rows < outputs);
}

template <class T, int N>
__device__ __forceinline__ void conv_walk<T, N>::move_on(const conv_args<T> &a) {
    k += CONV_DEPTH;
    weight += CONV_DEPTH;
    channel += CONV_DEPTH;
    at += CONV_DEPTH;
    while (channel >= a.inputs) {
        channel -= a.inputs;
        at += a.tap_skip;
        tap <<= 1;
        if (++tap_x == a.size) {
            tap_x = 0;
            at += a.row_skip;
        }
    }
}

/* A warp's 32 pixels × N / 2 outputs: where a lane's rows of matrices are, for each sixteen of the depth
 * that are its group's, in bytes from the stage. */
template <int N> struct conv_view {
    typedef conv_shape<N> shape;
    uint32_t x[shape::products], w[shape::products];

    __device__ __forceinline__ void begin() {
        int group = (int)threadIdx.x / CONV_THREADS, warp = (int)threadIdx.x / 32 % 4;
        int lane = (int)threadIdx.x % 32;
        int row = warp / 2 * 32 + lane % 16;
        int column = CONV_PIXELS + warp % 2 * (N / 2) + lane % 8;
#pragma unroll
        for (int k = 0; k < shape::products; k++) {
            int eight = 2 * (group * shape::products + k);
            x[k] = conv_place(row, eight + lane / 16);
            w[k] = conv_place(column + lane / 16 * 8, eight + lane / 8 % 2);
        }
    }
};

/* Sixteen numbers of the depth. Lanes 0 … 15 point at rows of x, columns 0 …, 16 … 31 at columns 8 …. */
template <int N>
__device__ __forceinline__ void conv_load(uint32_t x[2][4], uint32_t w[N / 8], shared_place xs,
                                          shared_place ws) {
#pragma unroll
    for (int i = 0; i < 2; i++)
        load_four_matrices(x[i], xs + 16 * i * CONV_PITCH);
#pragma unroll
    for (int j = 0; j + 1 < N / 16; j += 2)
        load_four_matrices(&w[2 * j], ws + 8 * j * CONV_PITCH);
    if (N / 16 % 2) /* lanes from 16 on point nowhere that is read */
        load_matrices(&w[N / 8 - 2], ws + 8 * (N / 16 - 1) * CONV_PITCH);
}

/* A step's product onto the warp's sums; the next sixteen are loaded while some are multiplied. */
template <class T, int N>
__device__ __forceinline__ void conv_multiply(float sum[2][N / 16][4], const conv_view<N> &view,
                                              shared_place stage) {
    constexpr int products = conv_shape<N>::products;
    uint32_t x[2][2][4], w[2][N / 8];
    conv_load<N>(x[0], w[0], stage + view.x[0], stage + view.w[0]);
#pragma unroll
    for (int k = 0; k < products; k++) {
        if (k + 1 < products)
            conv_load<N>(x[(k + 1) % 2], w[(k + 1) % 2], stage + view.x[(k + 1) % products],
                         stage + view.w[(k + 1) % products]);
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

/* The i-th of the eights of outputs that a thread puts an end to. */
template <int N> struct conv_eight {
    int pixel, output; /* of the tile */
    bool there;

    __device__ __forceinline__ explicit conv_eight(int i) {
        int eight = (int)threadIdx.x + i * CONV_THREADS * CONV_GROUPS;
        pixel = eight / (N / CONV_VECTOR);
        output = eight % (N / CONV_VECTOR) * CONV_VECTOR;
        there = pixel < CONV_PIXELS;
    }

    __device__ __forceinline__ float *in(float *sums) const {
        return sums + pixel * (N + 8) + output;
    }
};

/* What is added to a thread's eights, fetched ahead of all that is written: it might be the same memory. */
template <class T, int N> struct conv_addends {
    numbers<T, CONV_VECTOR> at[conv_shape<N>::eights];
};

template <class T, int N>
__device__ __forceinline__ void conv_fetch_addends(const conv_args<T> &a, int pixel, int output,
                                                   conv_addends<T, N> *to) {
#pragma unroll
    for (int i = 0; i < conv_shape<N>::eights; i++) {
        conv_eight<N> e(i);
        if (a.added && e.there && conv_whole_eight(a, pixel + e.pixel, output + e.output))
            to->at[i] = load<CONV_VECTOR>(a.added +
                                          (size_t)(pixel + e.pixel) * (size_t)a.added_channels +
                                          (size_t)(output + e.output));
    }
}

/* Eight sums of a pixel to where they go. */
template <class T>
__device__ __forceinline__ void conv_store_eight(const conv_args<T> &a, int pixel, int o,
                                                 const float *sums,
                                                 const numbers<T, CONV_VECTOR> &added) {
    numbers<T, CONV_VECTOR> out;
#pragma unroll
    for (int i = 0; i < CONV_VECTOR; i++) {
        float v = a.silu ? quick_silu(sums[i]) : sums[i];
        out.at[i] = narrow<T>(a.added ? widen(added.at[i]) + v : v);
    }
    store(a.out + (size_t)pixel * (size_t)a.out_channels + (size_t)o, out);
    if (!a.twice)
        return;
    for (int i = 0; i < 4; i++)
        store(a.twice + conv_twice(a, pixel, i) + (size_t)o, out);
}

/* The warps' sums side by side, a tile for each group: rows of N + 8, so that two rows of four meet in no
 * bank. */
template <int N>
__device__ __forceinline__ void conv_gather(float *sums, const float sum[2][N / 16][4]) {
    int group = (int)threadIdx.x / CONV_THREADS, warp = (int)threadIdx.x / 32 % 4;
    int lane = (int)threadIdx.x % 32;
    float *at = sums + group * conv_shape<N>::sums + (warp / 2 * 32 + lane / 4) * (N + 8) +
                warp % 2 * (N / 2) + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < N / 16; j++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                store(at + (16 * i + 8 * half) * (N + 8) + 8 * j,
                      numbers<float, 2>{{sum[i][j][2 * half], sum[i][j][2 * half + 1]}});
}

/* Sums begin with the bias: the first group's of the first part. */
template <class T, int N>
__device__ __forceinline__ void conv_begin_sums(const conv_args<T> &a, int output,
                                                float sum[2][N / 16][4]) {
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    int o = output + warp % 2 * (N / 2) + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < N / 16; j++)
#pragma unroll
        for (int c = 0; c < 2; c++) {
            bool there = blockIdx.z == 0 && warp < 4 && o + 8 * j + c < a.outputs;
            float bias = there ? a.bias[o + 8 * j + c] : 0.0f;
#pragma unroll
            for (int i = 0; i < 2; i++)
                sum[i][j][c] = sum[i][j][2 + c] = bias;
        }
}

/* The groups' sums in their order. */
template <int N>
__device__ __forceinline__ void conv_add_groups(float v[conv_shape<N>::eights][CONV_VECTOR],
                                                float *sums) {
#pragma unroll
    for (int i = 0; i < conv_shape<N>::eights; i++) {
        conv_eight<N> e(i);
#pragma unroll
        for (int group = 0; group < CONV_GROUPS && e.there; group++) {
            const float *own = e.in(sums + group * conv_shape<N>::sums);
            numbers<float, 4> low = load<4>(own), high = load<4>(own + 4);
#pragma unroll
            for (int c = 0; c < CONV_VECTOR; c++) {
                float x = c < 4 ? low.at[c % 4] : high.at[c % 4];
                v[i][c] = group == 0 ? x : v[i][c] + x;
            }
        }
    }
}

__device__ __forceinline__ void conv_put_eight(float *to, const float v[CONV_VECTOR]) {
    store(to, numbers<float, 4>{{v[0], v[1], v[2], v[3]}});
    store(to + 4, numbers<float, 4>{{v[4], v[5], v[6], v[7]}});
}

/* A part's sums to the others'. True in the block that ends last: all are there. */
template <class T, int N>
__device__ __forceinline__ bool conv_hand_in(const conv_args<T> &a, unsigned tile,
                                             const float v[conv_shape<N>::eights][CONV_VECTOR],
                                             unsigned *last) {
    float *to = a.work + ((size_t)tile * gridDim.z + blockIdx.z) * (CONV_PIXELS * N);
#pragma unroll
    for (int i = 0; i < conv_shape<N>::eights; i++) {
        conv_eight<N> e(i);
        if (e.there)
            conv_put_eight(to + e.pixel * N + e.output, v[i]);
    }
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

/* The parts' sums in their order. A thread adds what it stores. */
template <class T, int N>
__device__ __forceinline__ void conv_add_parts(const conv_args<T> &a, unsigned tile,
                                               float v[conv_shape<N>::eights][CONV_VECTOR]) {
    const float *from = a.work + (size_t)tile * gridDim.z * (CONV_PIXELS * N);
#pragma unroll
    for (int i = 0; i < conv_shape<N>::eights; i++)
#pragma unroll
        for (int c = 0; c < CONV_VECTOR; c++)
            v[i][c] = 0;
#pragma unroll 2
    for (unsigned part = 0; part < gridDim.z; part++, from += CONV_PIXELS * N)
#pragma unroll
        for (int i = 0; i < conv_shape<N>::eights; i++) {
            conv_eight<N> e(i);
            if (!e.there)
                continue;
            const float *at = from + e.pixel * N + e.output;
            numbers<float, 4> low = load_shared_work(at), high = load_shared_work(at + 4);
#pragma unroll
            for (int c = 0; c < CONV_VECTOR; c++)
                v[i][c] += c < 4 ? low.at[c % 4] : high.at[c % 4];
        }
}

/* What is not made of eights, and the head's float32: few, and so without a loop's copies. */
template <class T, int N>
__device__ __forceinline__ void conv_store_singly(const conv_args<T> &a, int pixel, int output,
                                                  float *sums) {
#pragma unroll 1
    for (int i = 0; i < conv_shape<N>::eights * CONV_VECTOR; i++) {
        conv_eight<N> e(i / CONV_VECTOR);
        int at = pixel + e.pixel, o = output + e.output + i % CONV_VECTOR;
        if (!e.there || at >= a.width * a.height || o >= a.outputs ||
            conv_whole_eight(a, at, output + e.output))
            continue;
        float v = e.in(sums)[i % CONV_VECTOR];
        conv_write(a, at, o, a.silu ? silu(v) : v);
    }
}

/* The sums of a block to where they go. */
template <class T, int N>
__device__ __forceinline__ void conv_finish(const conv_args<T> &a, int pixel, int output,
                                            float *sums, const conv_addends<T, N> &added) {
    unsigned tile = blockIdx.y * gridDim.x + blockIdx.x;
    float v[conv_shape<N>::eights][CONV_VECTOR];
    conv_add_groups<N>(v, sums);
    if (gridDim.z > 1) {
        unsigned *last = reinterpret_cast<unsigned *>(sums + CONV_GROUPS * conv_shape<N>::sums);
        if (!conv_hand_in<T, N>(a, tile, v, last))
            return;
        conv_add_parts<T, N>(a, tile, v);
    }
    bool singly = !a.wide || a.outputs % CONV_VECTOR != 0;
#pragma unroll
    for (int i = 0; i < conv_shape<N>::eights; i++) {
        conv_eight<N> e(i);
        if (e.there && conv_whole_eight(a, pixel + e.pixel, output + e.output))
            conv_store_eight(a, pixel + e.pixel, output + e.output, v[i], added.at[i]);
        if (e.there && singly)
            conv_put_eight(e.in(sums), v[i]);
    }
    if (singly)
        conv_store_singly<T, N>(a, pixel, output, sums);
}

/* Grid: pixels / 64, outputs / N, parts of the depth. Shared memory: the stages', the sums' later. */
template <class T, int N>
__global__ void __launch_bounds__(conv_shape<N>::threads, 4 / CONV_GROUPS)
    tensor_conv(conv_args<T> a) {
    WILOR_DYNAMIC_SHARED(memory);
    typedef conv_shape<N> shape;
    int pixel = (int)blockIdx.x * CONV_PIXELS, output = (int)blockIdx.y * N;
    int first = (int)blockIdx.z * a.part_steps;
    int steps = min((a.depth + CONV_DEPTH - 1) / CONV_DEPTH - first, a.part_steps);
    shared_place stages = place_of(memory);
    float sum[2][N / 16][4];
    conv_walk<T, N> walk;
    conv_view<N> view;
    walk.begin(a, pixel, output, first, stages);
#pragma unroll
    for (int s = 0; s < CONV_STAGES - 1; s++)
        if (s < steps)
            walk.fetch_weights(a, s * shape::stage, s);
    conv_begin_sums<T, N>(a, output, sum);
    view.begin();
    wait_for_kernel_before(); /* so far nothing of what kernels write */
    let_kernel_behind_come(); /* not sooner: one kernel waits, not all */
#pragma unroll
    for (int s = 0; s < CONV_STAGES - 1; s++) {
        if (s < steps)
            walk.fetch_inputs(a, s * shape::stage);
        walk.move_on(a);
        end_copies(); /* the first group has all weights so far */
    }
    uint32_t now = 0, next = (CONV_STAGES - 1) * shape::stage;
    for (int s = 0; s < steps; s++) {
        wait_copies<CONV_STAGES - 2>();
        __syncthreads(); /* the copies of all; and the stage that is filled next has been read */
        if (s + CONV_STAGES - 1 < steps) {
            walk.fetch_inputs(a, next);
            walk.fetch_weights(a, next, 0);
            walk.move_on(a);
        }
        end_copies(); /* an empty group counts, too */
        conv_multiply<T>(sum, view, stages + now);
        next = now; /* read by all behind the next barrier */
        now = now + shape::stage < CONV_STAGES * shape::stage ? now + shape::stage : 0;
    }
    conv_addends<T, N> added;
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
