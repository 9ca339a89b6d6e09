/* The decoders and RefineNet, in float32: maps of a corner of the patches or of all, samples, corrections. A
 * block is an output channel of up to eight pixels or hands, so that a row of weights is read once for all
 * of them, and by as many threads as are there: one hand is the reading of weights. N: numbers a thread
 * reads at once, 4 where rows allow it, or 1. */
#ifndef WILOR_CUDA_KERNELS_REFINE_H
#define WILOR_CUDA_KERNELS_REFINE_H

#include "kernels_hand.h"

namespace wilor_cuda {

enum {
    AT_ONCE = 8, /* pixels or hands of a block */
    TAPS = 4,    /* inputs of an output of a transposed convolution */
    REFINE_THREADS = 128,
    REFINE_BLOCKS = 6, /* a multiprocessor, at least: much is to be read at once */
    REFINE_WARPS = REFINE_THREADS / 32,
    READ_OUTPUTS = POSE_NUMBERS + BETAS + CAM,
    SAMPLE_THREADS = 256,
    SAMPLE_COLUMNS = 2, /* groups of N channels of a block */
    SAMPLE_SLOTS = SAMPLE_THREADS / SAMPLE_COLUMNS
};

/* ---------------------------------------------------------------- dot products */

/* sum[i] += a thread's part of dot(rows[i], w): groups first, first + stride …, STEPS of them on their way
 * at once. rows: where they begin in x, or
 * -1. */
template <int N, int STEPS>
__device__ __forceinline__ void add_dots(const float *x, const int *rows, const float *w, int k,
                                         int first, int stride, float *sum) {
    for (int from = first; from * N < k; from += STEPS * stride) {
        numbers<float, N> by[STEPS];
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            int i = (from + s * stride) * N;
            by[s] = i < k ? load<N>(w + i) : numbers<float, N>();
        }
#pragma unroll
        for (int r = 0; r < AT_ONCE; r++) {
            if (rows[r] < 0)
                continue;
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                int i = (from + s * stride) * N;
                numbers<float, N> y = i < k ? load<N>(x + rows[r] + i) : numbers<float, N>();
                for (int j = 0; j < N; j++)
                    sum[r] = fmaf(y.at[j], by[s].at[j], sum[r]);
            }
        }
    }
}

/* The block's sums; thread i < AT_ONCE gets sum i. In a warp, lanes halve what they hold: lane l ends with
 * its part of sum l / 4. */
__device__ __forceinline__ float block_sums(float *sum) {
    __shared__ float part[REFINE_WARPS][AT_ONCE];
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int half = AT_ONCE / 2; half > 0; half /= 2)
#pragma unroll
        for (int r = 0; r < half; r++) {
            bool high = (lane & 4 * half) != 0;
            float keep = high ? sum[r + half] : sum[r], give = high ? sum[r] : sum[r + half];
            sum[r] = keep + __shfl_xor_sync(0xFFFFFFFFu, give, 4 * half);
        }
    float x = sum[0] + __shfl_xor_sync(0xFFFFFFFFu, sum[0], 2);
    x += __shfl_xor_sync(0xFFFFFFFFu, x, 1);
    if (lane % 4 == 0)
        part[threadIdx.x / 32][lane / 4] = x;
    __syncthreads();
    x = 0;
    if (threadIdx.x < AT_ONCE)
        for (int w = 0; w < REFINE_WARPS; w++)
            x += part[w][threadIdx.x];
    return x;
}

/* In what follows biases are asked for with the weights: behind the sums they would be waited for. */

/* ---------------------------------------------------------------- tokens to numbers and the first map */

/* Decoders of pose, shape, camera. */
struct decoders {
    layer from[3];
    float *to[3]; /* of all hands */
};

/* Which of the decoders makes number o of a hand, which of its numbers that is, and how many it has. */
__device__ __forceinline__ int decoder_of(int o, int *at, int *wide) {
    int kind = o < POSE_NUMBERS ? 0 : o < POSE_NUMBERS + BETAS ? 1 : 2;
    *at = kind == 0 ? o : kind == 1 ? o - POSE_NUMBERS : o - POSE_NUMBERS - BETAS;
    *wide = kind == 0 ? (int)POSE_NUMBERS : kind == 1 ? (int)BETAS : (int)CAM;
    return kind;
}

struct decode_args {
    const float *tokens; /* hands × each × d */
    int d, each, pixels, hands, first;
    decoders read;
    const float *init[3];
    int *corner;  /* per hand: set to the least; mesh_kernel raises it */
    layer coarse; /* d/2 × d */
    float *map;   /* hands × pixels × d/2 */
};

/* Number o of eight hands. */
template <int N> __device__ __forceinline__ void read_out(const decode_args &a, int o) {
    int at, wide, kind = decoder_of(o, &at, &wide), from = (int)blockIdx.y * AT_ONCE;
    int token = kind == 0 ? o / 6 : JOINTS + kind - 1, row = kind == 0 ? o % 6 : at;
    int rows[AT_ONCE];
    float sum[AT_ONCE] = {0};
    if (from >= a.hands)
        return;
#pragma unroll
    for (int r = 0; r < AT_ONCE; r++)
        rows[r] = from + r < a.hands ? ((from + r) * a.each + token) * a.d : -1;
    const layer *l = &a.read.from[kind];
    float bias = l->b[row], init = a.init[kind][at];
    add_dots<N, 3>(a.tokens, rows, l->w + (size_t)row * (size_t)a.d, a.d, (int)threadIdx.x,
                   REFINE_THREADS, sum);
    float whole = block_sums(sum);
    int hand = from + (int)threadIdx.x;
    if (threadIdx.x >= AT_ONCE || hand >= a.hands)
        return;
    a.read.to[kind][(a.first + hand) * wide + at] = init + (whole + bias);
    if (o == 0)
        a.corner[a.first + hand] = CORNER;
}

/* Channel o of eight pixels of the coarse map. */
template <int N> __device__ __forceinline__ void coarse(const decode_args &a, int o) {
    int from = (int)blockIdx.y * AT_ONCE, outputs = a.d / 2;
    int hand = from / a.pixels, pixel = from % a.pixels, rows[AT_ONCE];
    float sum[AT_ONCE] = {0}, bias = a.coarse.b[o];
    if (from >= a.hands * a.pixels)
        return;
#pragma unroll
    for (int r = 0; r < AT_ONCE; r++) {
        rows[r] = hand < a.hands ? (hand * a.each + LEAD + pixel) * a.d : -1;
        if (++pixel == a.pixels) {
            pixel = 0;
            hand++;
        }
    }
    add_dots<N, 3>(a.tokens, rows, a.coarse.w + (size_t)o * (size_t)a.d, a.d, (int)threadIdx.x,
                   REFINE_THREADS, sum);
    float whole = block_sums(sum);
    int at = from + (int)threadIdx.x;
    if (threadIdx.x < AT_ONCE && at < a.hands * a.pixels)
        a.map[(size_t)at * (size_t)outputs + (size_t)o] = whole + bias;
}

/* What only tokens are needed for. Grid: channels of the coarse map and a hand's numbers, pixels / 8. */
template <int N>
__global__ void __launch_bounds__(REFINE_THREADS, REFINE_BLOCKS)
    decode_kernel(const __grid_constant__ decode_args a) {
    int o = (int)blockIdx.x;
    if (o < READ_OUTPUTS)
        read_out<N>(a, o);
    else
        coarse<N>(a, o - READ_OUTPUTS);
}

/* ---------------------------------------------------------------- finer maps */

/* A transposed convolution (kernel 4, stride 2, padding 1), batch norm, ReLU. */
struct upsample_net {
    float *out;     /* hands × out_rows × out_cols × outputs */
    const float *w; /* parity × outputs × (4 taps × inputs) */
    const float *scale, *shift;
};

struct upsample_args {
    const float *in; /* hands × rows × cols × inputs */
    int rows, cols, inputs, out_rows, out_cols, outputs, hands;
    upsample_net net[2]; /* of the same input */
};

/* Grid: outputs, the most pixels of a parity / 8, nets · parities; a warp is a tap. Output (y, x) of a
 * parity takes inputs y and y − 1, or y + 1 and y, y being half the output's row: refine_load.c. */
template <int N>
__global__ void __launch_bounds__(REFINE_THREADS, REFINE_BLOCKS)
    upsample_kernel(const __grid_constant__ upsample_args a) {
    __shared__ int input[TAPS][AT_ONCE];
    int o = (int)blockIdx.x, from = (int)blockIdx.y * AT_ONCE, thread = (int)threadIdx.x;
    int parity = (int)blockIdx.z % 4, py = parity / 2, px = parity % 2, tap = thread / 32;
    int high = (a.out_rows + 1 - py) / 2, wide = (a.out_cols + 1 - px) / 2;
    int count = high * wide;
    const upsample_net *net = &a.net[blockIdx.z / 4];
    if (from >= a.hands * count)
        return;
    float scale = net->scale[o], shift = net->shift[o];
    if (thread < TAPS * AT_ONCE) {
        int of = thread / AT_ONCE, at = from + thread % AT_ONCE, pixel = at % count;
        int y = pixel / wide + py - of / 2, x = pixel % wide + px - of % 2;
        bool inside = at < a.hands * count && y >= 0 && y < a.rows && x >= 0 && x < a.cols;
        input[of][thread % AT_ONCE] =
            inside ? ((at / count * a.rows + y) * a.cols + x) * a.inputs : -1;
    }
    __syncthreads();
    int rows[AT_ONCE];
    float sum[AT_ONCE] = {0};
#pragma unroll
    for (int r = 0; r < AT_ONCE; r++)
        rows[r] = input[tap][r];
    const float *w =
        net->w + (((size_t)parity * (size_t)a.outputs + (size_t)o) * TAPS + (size_t)tap) *
                     (size_t)a.inputs;
    add_dots<N, 5>(a.in, rows, w, a.inputs, thread % 32, 32, sum);
    float v = block_sums(sum) * scale + shift;
    int at = from + thread, hand = at / count, pixel = at % count;
    if (thread >= AT_ONCE || at >= a.hands * count)
        return;
    size_t y = (size_t)(pixel / wide * 2 + py), x = (size_t)(pixel % wide * 2 + px);
    net->out[(((size_t)hand * (size_t)a.out_rows + y) * (size_t)a.out_cols + x) *
                 (size_t)a.outputs +
             (size_t)o] = v < 0.0f ? 0.0f : v; /* NaN stays */
}

/* ---------------------------------------------------------------- samples and corrections */

struct sample_args {
    const float *map[MAPS]; /* fine, middle, coarse */
    int rows[MAPS], cols[MAPS], channels[MAPS];
    const float *xy; /* hands × 3 × vertices × 2 */
    int vertices, first;
    float *features; /* hands × all channels */
};

__device__ __forceinline__ float larger(float a, float b) { return b > a || b != b ? b : a; }

/* The maximum over this thread's vertices of N channels. */
template <int N>
__device__ __forceinline__ void sample_top(const sample_args &a, int channel, int slot,
                                           int hand, float *top) {
    int map = 0;
    while (map < MAPS - 1 && channel >= a.channels[map])
        channel -= a.channels[map++];
    int rows = a.rows[map], cols = a.cols[map], channels = a.channels[map];
    const float *xy =
        a.xy + ((size_t)(a.first + hand) * MAPS + (size_t)map) * (size_t)a.vertices * 2;
    const float *data = a.map[map] + (size_t)hand * (size_t)(rows * cols) * (size_t)channels;
#pragma unroll 2
    for (int v = slot; v < a.vertices; v += SAMPLE_SLOTS) {
        numbers<float, 2> at = load<2>(xy + 2 * v);
        numbers<float, N> x = sample<N>(data, rows, cols, channels, channel, at.at);
        for (int k = 0; k < N; k++)
            top[k] = larger(top[k], x.at[k]);
    }
}

/* The maximum over the vertices. Grid: all channels / N / SAMPLE_COLUMNS, hands. */
template <int N>
__global__ void __launch_bounds__(SAMPLE_THREADS)
    sample_kernel(const __grid_constant__ sample_args a) {
    __shared__ float part[SAMPLE_THREADS / 32][SAMPLE_COLUMNS * N];
    int thread = (int)threadIdx.x, lane = thread % 32, column = thread % SAMPLE_COLUMNS;
    int hand = (int)blockIdx.y, from = (int)blockIdx.x * SAMPLE_COLUMNS * N;
    int all = a.channels[0] + a.channels[1] + a.channels[2];
    float top[N];
    for (int k = 0; k < N; k++)
        top[k] = -INFINITY;
    if (from + column * N < all)
        sample_top<N>(a, from + column * N, thread / SAMPLE_COLUMNS, hand, top);
    for (int k = 0; k < N; k++) {
        for (int m = 16; m >= SAMPLE_COLUMNS; m /= 2)
            top[k] = larger(top[k], __shfl_xor_sync(0xFFFFFFFFu, top[k], m));
        if (lane < SAMPLE_COLUMNS)
            part[thread / 32][column * N + k] = top[k];
    }
    __syncthreads();
    if (thread >= SAMPLE_COLUMNS * N || from + thread >= all)
        return;
    float best = part[0][thread];
    for (int w = 1; w < SAMPLE_THREADS / 32; w++)
        best = larger(best, part[w][thread]);
    a.features[(size_t)hand * (size_t)all + (size_t)(from + thread)] = best;
}

struct correct_args {
    const float *features; /* hands × k */
    int k, hands, first;
    decoders add;
};

/* The decoders' outputs are added. Grid: 109, hands / 8. */
template <int N>
__global__ void __launch_bounds__(REFINE_THREADS, REFINE_BLOCKS)
    correct_kernel(const __grid_constant__ correct_args a) {
    int at, wide, kind = decoder_of((int)blockIdx.x, &at, &wide);
    int from = (int)blockIdx.y * AT_ONCE, hand = from + (int)threadIdx.x;
    int rows[AT_ONCE];
    float sum[AT_ONCE] = {0};
#pragma unroll
    for (int r = 0; r < AT_ONCE; r++)
        rows[r] = from + r < a.hands ? (from + r) * a.k : -1;
    const layer *l = &a.add.from[kind];
    float bias = l->b[at];
    add_dots<N, 3>(a.features, rows, l->w + (size_t)at * (size_t)a.k, a.k, (int)threadIdx.x,
                   REFINE_THREADS, sum);
    float whole = block_sums(sum);
    if (threadIdx.x < AT_ONCE && hand < a.hands)
        a.add.to[kind][(a.first + hand) * wide + at] += whole + bias;
}

} // namespace wilor_cuda

#endif
