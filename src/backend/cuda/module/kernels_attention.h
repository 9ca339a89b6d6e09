/* Attention over 210 tokens: softmax(q kᵀ / √dim) v, a head of a hand at a time, from rows of queries, keys
 * and values (3 · d numbers, heads one after the other in each).
 *
 * plain_attention: any number, any head dimension; a warp is a query. The oracle of
 * tensor_attention: matrix units (m16n8k16), head dimensions up to 16 · DEPTH, padded with zeros. A warp is
 * 16 queries, a block has seven. Keys and values of the head lie in shared memory, the values arriving while
 * scores are computed, half of a query's 224 scores at a time in its four lanes' registers: all of them leave no
 * room for two blocks a multiprocessor. The scores' layout is already that of the second product's operand, and the
 * weights' sum is that product with ones.
 *
 * spread_attention: the same for few hands, where time is what one warp takes: 32 queries a block, whose seven
 * warps share the keys. A warp waits for its own keys and values only; the block meets when its queries are there, for
 * the largest score and for the sums. Of float32 numbers each warp reads the queries itself: in parts they do not fit.
 *
 * Operands are the 16-bit numbers themselves, or float32 ones in two float16 parts (split_number), whose products
 * are three.
 *
 * `each` queries of a hand are read: the tokens that chosen_token names. */
#ifndef WILOR_CUDA_KERNELS_ATTENTION_H
#define WILOR_CUDA_KERNELS_ATTENTION_H

#include "elements.h"

namespace wilor_cuda {

enum {
    ATTENTION_WARPS = 4, /* of plain_attention */
    ATTENTION_THREADS = 32 * ATTENTION_WARPS,
    QUERY_TILE = 16,
    KEY_TILES = (TOKENS + 15) / 16, /* of 16 keys: 14 */
    KEY_ROWS = 16 * KEY_TILES,      /* 224 */
    KEYS_A_LANE = (TOKENS + 31) / 32,
    TENSOR_WARPS = 7,
    TENSOR_THREADS = 32 * TENSOR_WARPS,
    CHUNK_TILES = KEY_TILES / 2, /* whose scores a warp of tensor_attention has at a time */
    SPREAD_TILES = 2,            /* of 16 queries, a block */
    SPREAD_KEYS = KEY_TILES / TENSOR_WARPS /* tiles of 16 keys, a warp: 2 */
};

static_assert(TENSOR_WARPS * SPREAD_KEYS == KEY_TILES, "warps have whole tiles of keys");

template <class A> struct attention_args {
    const typename activation<A>::number *qkv; /* hands × 210 × 3d */
    A *out;                                    /* (hands from `first` on) × each × d */
    int d, dim;
    int first, each, cols;
    float scale;  /* 1 / √dim */
    bool sixteen; /* rows of heads are whole pieces of sixteen bytes */
};

/* Of the block's hand and head the first token's query; keys and values are d and 2d further. */
template <class A>
__device__ __forceinline__ const typename activation<A>::number *
head_rows(const attention_args<A> &a) {
    return a.qkv + (size_t)(a.first + (int)blockIdx.z) * TOKENS * 3 * (size_t)a.d +
           (size_t)((int)blockIdx.y * a.dim);
}

template <class A>
__device__ __forceinline__ A *result_row(const attention_args<A> &a, int query) {
    return a.out + ((size_t)blockIdx.z * (size_t)a.each + (size_t)query) * (size_t)a.d *
                       activation<A>::PARTS;
}

/* Grid: queries / 4, heads, hands. */
template <class A> __global__ void plain_attention(attention_args<A> a) {
    WILOR_DYNAMIC_SHARED(shared); /* a warp's query (dim), then its 210 weights */
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    int query = (int)blockIdx.x * ATTENTION_WARPS + warp;
    if (query >= a.each)
        return; /* a whole warp; no barrier of the block below */
    size_t ld = 3 * (size_t)a.d;
    auto rows = head_rows(a);
    auto q = rows + (size_t)chosen_token(query, a.cols) * ld;
    auto k = rows + a.d, v = rows + 2 * (size_t)a.d;
    float *mine = reinterpret_cast<float *>(shared) + (size_t)warp * (size_t)(a.dim + TOKENS);
    float *weights = mine + a.dim, score[KEYS_A_LANE];
    for (int i = lane; i < a.dim; i += 32)
        mine[i] = widen(q[i]);
    __syncwarp();
    float top = -INFINITY;
    for (int j = 0; j < KEYS_A_LANE; j++) {
        int key = lane + 32 * j;
        score[j] = -INFINITY;
        if (key < TOKENS) {
            float sum = 0;
            for (int i = 0; i < a.dim; i++)
                sum = fmaf(mine[i], widen(k[(size_t)key * ld + (size_t)i]), sum);
            score[j] = sum;
        }
        top = score[j] > top || score[j] != score[j] ? score[j] : top;
    }
    top = warp_max(top);
    float total = 0;
    for (int j = 0; j < KEYS_A_LANE; j++) {
        int key = lane + 32 * j;
        if (key < TOKENS) {
            float e = expf(a.scale * (score[j] - top));
            weights[key] = e;
            total += e;
        }
    }
    total = warp_sum(total);
    __syncwarp();
    for (int i = lane; i < a.dim; i += 32) {
        float sum = 0;
        for (int key = 0; key < TOKENS; key++)
            sum = fmaf(weights[key], widen(v[(size_t)key * ld + (size_t)i]), sum);
        sum /= total;
        put<1>(result_row(a, query), a.d, (int)blockIdx.y * a.dim + i, &sum);
    }
}

WILOR_BOTH size_t plain_attention_shared(int dim) {
    return (size_t)ATTENTION_WARPS * (size_t)(dim + TOKENS) * sizeof(float);
}

/* ---------------------------------------------------------------- matrix units */

/* Sizes for activations A and head dimensions up to 16 · DEPTH. A row of keys or values in shared memory is 8 numbers
 * more than the dimension, so that the eight rows of a matrix lie in different banks. */
template <class A, int DEPTH> struct attention_tile {
    typedef typename activation<A>::operand type;

    enum {
        PARTS = activation<A>::PARTS,
        DIM = 16 * DEPTH,
        ROW = DIM + 8,
        EIGHTS = DIM / 8,
        WARP_KEYS = 16 * SPREAD_KEYS,
        WARP_NUMBERS =
            2 * PARTS * WARP_KEYS * ROW, /* keys and values of a warp of spread_attention */
        QUERY_NUMBERS =
            PARTS == 1 ? SPREAD_TILES * QUERY_TILE * ROW : 0, /* those of all warps */
        SPREAD_BYTES = (TENSOR_WARPS * WARP_NUMBERS + QUERY_NUMBERS) * (int)sizeof(type)
    };

    static_assert(WARP_NUMBERS * sizeof(type) >=
                      SPREAD_TILES * QUERY_TILE * ROW * sizeof(float),
                  "a warp's results fit where its keys and values were");
};

template <class A, int DEPTH> size_t tensor_attention_shared() {
    typedef attention_tile<A, DEPTH> tile;
    return 2 * (size_t)tile::PARTS * KEY_ROWS * tile::ROW * sizeof(typename tile::type);
}

/* Eight numbers on their way to shared memory, `part` apart if in parts; zeros where there are none. */
template <class T>
__device__ __forceinline__ void fetch_eight(T *to, int, const T *from, bool there) {
    copy_16(to, from, there);
}

/* Read in any case, for the reason of load_queries. */
__device__ __forceinline__ void fetch_eight(f16 *to, int part, const float *from, bool there) {
    numbers<f16, 8> large, small;
    numbers<float, 4> low = load<4>(from), high = load<4>(from + 4);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        float x = i < 4 ? low.at[i % 4] : high.at[i % 4];
        split_number(there ? x : 0.0f, &large.at[i], &small.at[i]);
    }
    store(to, large);
    store(to + part, small);
}

/* One number, or zero. */
template <class T>
__device__ __forceinline__ void fetch_one(T *to, int, const T *from, bool there) {
    *to = there ? *from : narrow<T>(0);
}

__device__ __forceinline__ void fetch_one(f16 *to, int part, const float *from, bool there) {
    split_number(there ? *from : 0.0f, to, to + part);
}

/* ROWS keys, or values, of a head, from token `first` on, zeros around them, by ROWS threads of which this one is
 * `thread`. They may be on their way yet (end_copies). */
template <class A, int DEPTH, int ROWS>
__device__ __forceinline__ void
fetch_rows(const attention_args<A> &a, const typename activation<A>::number *from, int first,
           int thread, typename activation<A>::operand *to) {
    typedef attention_tile<A, DEPTH> tile;
    size_t ld = 3 * (size_t)a.d;
    if (a.sixteen) {
#pragma unroll
        for (int k = 0; k < tile::EIGHTS; k++) {
            int i = thread + k * ROWS, row = i / tile::EIGHTS, column = i % tile::EIGHTS * 8;
            bool there = first + row < TOKENS && column < a.dim;
            fetch_eight(to + row * tile::ROW + column, ROWS * tile::ROW,
                        there ? from + (size_t)(first + row) * ld + column : from, there);
        }
        return;
    }
    for (int i = thread; i < ROWS * tile::DIM; i += ROWS) {
        int row = i / tile::DIM, column = i % tile::DIM;
        bool there = first + row < TOKENS && column < a.dim;
        fetch_one(to + row * tile::ROW + column, ROWS * tile::ROW,
                  there ? from + (size_t)(first + row) * ld + column : from, there);
    }
}

/* Two neighbouring numbers as a register of an operand, or as two of its parts. */
template <class A>
__device__ __forceinline__ void pack_operand(float low, float high,
                                             uint32_t to[activation<A>::PARTS][4], int i) {
    if constexpr (activation<A>::PARTS == 2) {
        numbers<f16, 2> large, small;
        split_number(low, &large.at[0], &small.at[0]);
        split_number(high, &large.at[1], &small.at[1]);
        memcpy(&to[0][i], &large, sizeof large);
        memcpy(&to[1][i], &small, sizeof small);
    } else
        to[0][i] = pack_pair<typename activation<A>::operand>(low, high);
}

/* Two neighbours of a row, or zeros, as a register of an operand, or as two of its parts. */
template <class A>
__device__ __forceinline__ void pack_neighbours(bool there, const numbers<A, 2> &x,
                                                uint32_t to[activation<A>::PARTS][4], int i) {
    uint32_t word;
    memcpy(&word, &x, sizeof word);
    to[0][i] = there ? word : 0;
}

__device__ __forceinline__ void pack_neighbours(bool there, const numbers<float, 2> &x,
                                                uint32_t to[2][4], int i) {
    pack_operand<parted>(there ? x.at[0] : 0.0f, there ? x.at[1] : 0.0f, to, i);
}

/* Sixteen queries of a head, from `query` on, as operands; rows that are not there, and what is beyond the
 * dimension, are zeros. What is there in their place is read, too: a branch would make every load wait for the one
 * before. */
template <class A, int DEPTH>
__device__ __forceinline__ void
load_queries(const attention_args<A> &a, const typename activation<A>::number *rows, int query,
             uint32_t qa[DEPTH][activation<A>::PARTS][4]) {
    typedef typename activation<A>::number N;
    int lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    numbers<N, 2> two[DEPTH][4];
    const N *q[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int token = chosen_token(min(query + g + 8 * r, a.each - 1), a.cols);
        q[r] = rows + (size_t)token * 3 * (size_t)a.d;
    }
#pragma unroll
    for (int i = 0; i < 4 * DEPTH; i++) {
        int column = i / 4 * 16 + i / 2 % 2 * 8 + 2 * t;
        two[i / 4][i % 4] = load<2>(q[i % 2] + (column < a.dim ? column : 0));
    }
#pragma unroll
    for (int i = 0; i < 4 * DEPTH; i++) {
        int column = i / 4 * 16 + i / 2 % 2 * 8 + 2 * t;
        bool there = query + g + i % 2 * 8 < a.each && column < a.dim;
        pack_neighbours(there, two[i / 4][i % 4], qa[i / 4], i % 4);
    }
}

/* The queries of spread_attention's block, by all its threads, to shared memory: rows that are not there are zeros. */
template <class A, int DEPTH>
__device__ __forceinline__ void fetch_queries(const attention_args<A> &a, const A *rows,
                                              int query, int thread, A *to) {
    typedef attention_tile<A, DEPTH> tile;

    enum { EIGHTS = SPREAD_TILES * QUERY_TILE * tile::EIGHTS };

#pragma unroll
    for (int k = 0; k < (EIGHTS + TENSOR_THREADS - 1) / TENSOR_THREADS; k++) {
        int i = thread + k * TENSOR_THREADS, row = i / tile::EIGHTS,
            column = i % tile::EIGHTS * 8;
        bool there = query + row < a.each && column < a.dim;
        if (i >= EIGHTS)
            break;
        const A *from =
            rows + (size_t)chosen_token(there ? query + row : 0, a.cols) * 3 * (size_t)a.d;
        if (a.sixteen) {
            copy_16(to + row * tile::ROW + column, from + (there ? column : 0), there);
            continue;
        }
        for (int j = 0; j < 8; j++)
            fetch_one(to + row * tile::ROW + column + j, 0, from + column + j,
                      there && column + j < a.dim);
    }
}

/* Sixteen of them as operands. */
template <class A, int DEPTH>
__device__ __forceinline__ void take_queries(const A *from, uint32_t qa[DEPTH][1][4]) {
    typedef attention_tile<A, DEPTH> tile;
    int lane = (int)threadIdx.x % 32;
    /* Lanes 0 … 15 point at the rows, columns 16d …; 16 … 31 at columns + 8. */
    from += lane % 16 * tile::ROW + lane / 16 * 8;
#pragma unroll
    for (int d = 0; d < DEPTH; d++)
        load_four_matrices(qa[d][0], from + 16 * d);
}

/* sum += a b; of numbers in parts the mixed products have a sum of their own. b: where a register pair begins. */
template <class A>
__device__ __forceinline__ void add_product(float sum[activation<A>::PARTS][4],
                                            const uint32_t a[activation<A>::PARTS][4],
                                            const uint32_t b[activation<A>::PARTS][4], int at) {
    typedef typename activation<A>::operand T;
    mma_16x8x16<T>(sum[0], a[0], b[0] + at);
    if constexpr (activation<A>::PARTS == 2) {
        mma_16x8x16<T>(sum[1], a[0], b[1] + at);
        mma_16x8x16<T>(sum[1], a[1], b[0] + at);
    }
}

template <class A>
__device__ __forceinline__ float whole_sum(const float sum[activation<A>::PARTS][4], int i) {
    if constexpr (activation<A>::PARTS == 2)
        return join_parts(sum[0][i], sum[1][i]);
    return sum[0][i];
}

/* Scores of Q times 16 queries by the 16 keys that `keys` points at; their parts are `part` apart. */
template <class A, int DEPTH, int Q>
__device__ __forceinline__ void score_tile(const uint32_t qa[Q][DEPTH][activation<A>::PARTS][4],
                                           const typename activation<A>::operand *keys,
                                           int part, float s[Q][2][4]) {
    typedef attention_tile<A, DEPTH> tile;

    enum { PARTS = tile::PARTS };

    int lane = (int)threadIdx.x % 32;
    float sum[Q][2][PARTS][4] = {};
    /* Lanes 0 … 7 point at the first keys, columns 16d …; 8 … 15 at columns + 8; 16 … 31: eight keys further. */
    keys += (lane / 16 * 8 + lane % 8) * tile::ROW + lane / 8 % 2 * 8;
#pragma unroll
    for (int d = 0; d < DEPTH; d++) {
        uint32_t b[PARTS][4];
#pragma unroll
        for (int p = 0; p < PARTS; p++)
            load_four_matrices(b[p], keys + p * part + 16 * d);
#pragma unroll
        for (int i = 0; i < 2 * Q; i++)
            add_product<A>(sum[i / 2][i % 2], qa[i / 2][d], b, i % 2 * 2);
    }
#pragma unroll
    for (int i = 0; i < 8 * Q; i++)
        s[i / 8][i / 4 % 2][i % 4] = whole_sum<A>(sum[i / 8][i / 4 % 2], i % 4);
}

/* Scores of 16 keys, of which the first is key `first`: those that are none get no weight. */
__device__ __forceinline__ void hide_padding(float s[2][4], int first) {
    int t = (int)threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < 8; i++)
        if (first + i / 4 * 8 + 2 * t + i % 2 >= TOKENS)
            s[i / 4][i % 4] = -INFINITY;
}

/* The largest of a lane's two rows, which four lanes share, and of what it was so far. A NaN is not the largest:
 * its weight is a NaN, and with it the row's sum. */
template <int TILES>
__device__ __forceinline__ void find_tops(const float (*s)[2][4], float top[2]) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
#pragma unroll
        for (int j = 0; j < 4 * TILES; j++)
            top[r] = fmaxf(top[r], s[j / 4][j / 2 % 2][2 * r + j % 2]);
#pragma unroll
        for (int m = 1; m < 4; m *= 2)
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xFFFFFFFFu, top[r], m));
    }
}

/* A score's weight. */
template <class A>
__device__ __forceinline__ float weight_of(const attention_args<A> &a, float score, float top) {
    if constexpr (activation<A>::PARTS == 2)
        return expf(a.scale * (score - top));
    float scale = a.scale * 1.4426950408889634f;
    return quick_exp2(fmaf(score, scale, -scale * top));
}

template <class A>
__device__ __forceinline__ void weigh_scores(const attention_args<A> &a, const float s[2][4],
                                             const float top[2],
                                             uint32_t w[activation<A>::PARTS][4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float *two = &s[i / 2][i % 2 * 2];
        pack_operand<A>(weight_of(a, two[0], top[i % 2]), weight_of(a, two[1], top[i % 2]), w,
                        i);
    }
}

/* Weighted values of Q times 16 queries, and their weights' sums, which are of what the weights are once they are
 * rounded: a mean of equal values is that value. */
template <class A, int DEPTH, int Q> struct attention_sums {
    enum { PARTS = activation<A>::PARTS };

    float values[Q][DEPTH][2][PARTS][4], weights[Q][PARTS][4];
};

/* 16 keys' values more. */
template <class A, int DEPTH, int Q>
__device__ __forceinline__ void
add_values(attention_sums<A, DEPTH, Q> *sums, const uint32_t w[Q][activation<A>::PARTS][4],
           const typename activation<A>::operand *values, int part) {
    typedef attention_tile<A, DEPTH> tile;
    typedef typename tile::type T;

    enum { PARTS = tile::PARTS };

    int lane = (int)threadIdx.x % 32;
    uint32_t ones[2] = {pack_pair<T>(1, 1), pack_pair<T>(1, 1)};
#pragma unroll
    for (int i = 0; i < PARTS * Q; i++)
        mma_16x8x16<T>(sums->weights[i / PARTS][i % PARTS], w[i / PARTS][i % PARTS], ones);
    /* Lanes 0 … 15 point at the keys, columns 16n …; 16 … 31 at columns + 8. */
    values += lane % 16 * tile::ROW + lane / 16 * 8;
#pragma unroll
    for (int n = 0; n < DEPTH; n++) {
        uint32_t b[PARTS][4];
#pragma unroll
        for (int p = 0; p < PARTS; p++)
            load_four_matrices_turned(b[p], values + p * part + 16 * n);
#pragma unroll
        for (int i = 0; i < 2 * Q; i++)
            add_product<A>(sums->values[i / 2][n][i % 2], w[i / 2], b, i % 2 * 2);
    }
}

template <class A> __device__ __forceinline__ float inverse_of(float x) {
    if constexpr (activation<A>::PARTS == 2)
        return 1 / x;
    return quick_inverse(x);
}

/* Columns `column` and the next of a query's result, where there are such. */
template <class A>
__device__ __forceinline__ void write_result(const attention_args<A> &a, int query, int column,
                                             float first, float second) {
    float two[2] = {first, second};
    if (query < a.each && column < a.dim)
        put<2>(result_row(a, query), a.d, (int)blockIdx.y * a.dim + column, two);
}

/* What a row's sums are multiplied by when `top` takes the place of the largest score so far. */
template <class A, int DEPTH>
__device__ __forceinline__ void rescale(const attention_args<A> &a,
                                        attention_sums<A, DEPTH, 1> *sums,
                                        const float before[2], const float top[2]) {
    enum { PARTS = activation<A>::PARTS };

#pragma unroll
    for (int r = 0; r < 2; r++) {
        float by = weight_of(a, before[r], top[r]);
#pragma unroll
        for (int i = 0; i < 4 * DEPTH * PARTS; i++)
            sums->values[0][i / 2 / PARTS / 2][i / 2 / PARTS % 2][i / 2 % PARTS]
                        [2 * r + i % 2] *= by;
#pragma unroll
        for (int i = 0; i < 2 * PARTS; i++)
            sums->weights[0][i / 2][2 * r + i % 2] *= by;
    }
}

/* Grid: queries / 112, heads, hands. */
template <class A, int DEPTH>
__global__ void __launch_bounds__(TENSOR_THREADS, activation<A>::PARTS == 1 ? 2 : 1)
    tensor_attention(attention_args<A> a) {
    typedef attention_tile<A, DEPTH> tile;
    typedef typename tile::type T;

    enum { PARTS = tile::PARTS, PART = KEY_ROWS * tile::ROW };

    WILOR_DYNAMIC_SHARED(shared);
    T *keys = reinterpret_cast<T *>(shared), *values = keys + PARTS * PART;
    int thread = (int)threadIdx.x, lane = thread % 32, g = lane / 4, t = lane % 4;
    int query = ((int)blockIdx.x * TENSOR_WARPS + thread / 32) * QUERY_TILE;
    auto rows = head_rows(a);
    wait_for_kernel_before();
    fetch_rows<A, DEPTH, KEY_ROWS>(a, rows + a.d, 0, thread, keys);
    end_copies();
    fetch_rows<A, DEPTH, KEY_ROWS>(a, rows + 2 * (size_t)a.d, 0, thread, values);
    end_copies();
    uint32_t qa[1][DEPTH][PARTS][4];
    float top[2] = {-INFINITY, -INFINITY};
    attention_sums<A, DEPTH, 1> sums = {};
    load_queries<A, DEPTH>(a, rows, query, qa[0]);
    wait_copies<1>();
    __syncthreads();
#pragma unroll
    for (int first = 0; first < KEY_TILES; first += CHUNK_TILES) {
        float s[CHUNK_TILES][2][4], before[2] = {top[0], top[1]};
#pragma unroll
        for (int j = 0; j < CHUNK_TILES; j++)
            score_tile<A, DEPTH, 1>(qa, keys + 16 * (first + j) * tile::ROW, PART, &s[j]);
        if (first + CHUNK_TILES == KEY_TILES)
            hide_padding(s[CHUNK_TILES - 1], KEY_ROWS - 16);
        find_tops<CHUNK_TILES>(s, top);
        if (first > 0)
            rescale(a, &sums, before, top);
        if (first == 0) {
            wait_copies<0>();
            __syncthreads();
            if (query >= a.each)
                return;
        }
#pragma unroll
        for (int j = 0; j < CHUNK_TILES; j++) {
            uint32_t w[1][PARTS][4];
            weigh_scores(a, s[j], top, w[0]);
            add_values<A, DEPTH, 1>(&sums, w, values + 16 * (first + j) * tile::ROW, PART);
        }
    }
    float by[2] = {inverse_of<A>(whole_sum<A>(sums.weights[0], 0)),
                   inverse_of<A>(whole_sum<A>(sums.weights[0], 2))};
#pragma unroll
    for (int n = 0; n < DEPTH; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float(*o)[4] = sums.values[0][n][i / 2];
            int r = i % 2;
            write_result(a, query + g + 8 * r, 16 * n + i / 2 * 8 + 2 * t,
                         by[r] * whole_sum<A>(o, 2 * r), by[r] * whole_sum<A>(o, 2 * r + 1));
        }
}

static_assert(KEY_ROWS == TENSOR_THREADS && TOKENS > KEY_ROWS - 16, "fetch_rows, hide_padding");

/* What a warp of spread_attention found: rows of ROW numbers, the weights' sum behind the values. */
template <class A, int DEPTH>
__device__ __forceinline__ void leave_sums(const attention_sums<A, DEPTH, SPREAD_TILES> &sums,
                                           float *to) {
    typedef attention_tile<A, DEPTH> tile;
    int lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int q = 0; q < SPREAD_TILES; q++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float *row = to + (q * QUERY_TILE + g + 8 * r) * tile::ROW;
#pragma unroll
            for (int n = 0; n < 2 * DEPTH; n++) {
                const float(*o)[4] = sums.values[q][n / 2][n % 2];
                store(row + 8 * n + 2 * t,
                      numbers<float, 2>{{whole_sum<A>(o, 2 * r), whole_sum<A>(o, 2 * r + 1)}});
            }
            if (t == 0)
                row[tile::DIM] = whole_sum<A>(sums.weights[q], 2 * r);
        }
}

/* The warps' results put together, always in the same order. Neighbours in a row are neighbouring threads'. */
template <class A, int DEPTH>
__device__ __forceinline__ void join_sums(const attention_args<A> &a, const float *all,
                                          int apart, int query) {
    typedef attention_tile<A, DEPTH> tile;

    enum { FOURS = tile::DIM / 4, ALL = SPREAD_TILES * QUERY_TILE * FOURS };

#pragma unroll
    for (int k = 0; k < (ALL + TENSOR_THREADS - 1) / TENSOR_THREADS; k++) {
        int i = (int)threadIdx.x + k * TENSOR_THREADS, row = i / FOURS, column = i % FOURS * 4;
        if (i >= ALL)
            break;
        const float *from = all + row * tile::ROW;
        float total = 0, sum[4] = {0, 0, 0, 0};
#pragma unroll
        for (int w = 0; w < TENSOR_WARPS; w++) {
            numbers<float, 4> four = load<4>(from + w * apart + column);
            total += from[w * apart + tile::DIM];
            for (int j = 0; j < 4; j++)
                sum[j] += four.at[j];
        }
        float by = inverse_of<A>(total);
        write_result(a, query + row, column, by * sum[0], by * sum[1]);
        write_result(a, query + row, column + 2, by * sum[2], by * sum[3]);
    }
}

/* Grid: queries / 32, heads, hands. */
template <class A, int DEPTH>
__global__ void __launch_bounds__(TENSOR_THREADS) spread_attention(attention_args<A> a) {
    typedef attention_tile<A, DEPTH> tile;
    typedef typename tile::type T;

    enum {
        PARTS = tile::PARTS,
        KEYS = tile::WARP_KEYS,
        PART = KEYS * tile::ROW,
        TILES = SPREAD_TILES
    };

    WILOR_DYNAMIC_SHARED(shared);
    __shared__ float tops[TENSOR_WARPS][TILES * QUERY_TILE];
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int query = (int)blockIdx.x * TILES * QUERY_TILE;
    T *keys = reinterpret_cast<T *>(shared) + warp * tile::WARP_NUMBERS,
      *values = keys + PARTS * PART;
    auto rows = head_rows(a);
    wait_for_kernel_before();
    T *queries = reinterpret_cast<T *>(shared) + TENSOR_WARPS * tile::WARP_NUMBERS;
    fetch_rows<A, DEPTH, KEYS>(a, rows + a.d, warp * KEYS, lane, keys);
    if constexpr (PARTS == 1)
        fetch_queries<A, DEPTH>(a, rows, query, (int)threadIdx.x, queries);
    end_copies();
    fetch_rows<A, DEPTH, KEYS>(a, rows + 2 * (size_t)a.d, warp * KEYS, lane, values);
    end_copies();
    uint32_t qa[TILES][DEPTH][PARTS][4];
    float s[TILES][SPREAD_KEYS][2][4], top[TILES][2];
    if constexpr (PARTS == 1) {
        wait_copies<1>();
        __syncthreads();
#pragma unroll
        for (int q = 0; q < TILES; q++)
            take_queries<A, DEPTH>(queries + q * QUERY_TILE * tile::ROW, qa[q]);
    } else {
#pragma unroll
        for (int q = 0; q < TILES; q++)
            load_queries<A, DEPTH>(a, rows, query + q * QUERY_TILE, qa[q]);
        wait_copies<1>();
        __syncwarp();
    }
#pragma unroll
    for (int j = 0; j < SPREAD_KEYS; j++) {
        float both[TILES][2][4];
        score_tile<A, DEPTH, TILES>(qa, keys + 16 * j * tile::ROW, PART, both);
#pragma unroll
        for (int q = 0; q < TILES; q++) {
            hide_padding(both[q], warp * KEYS + 16 * j);
            for (int i = 0; i < 8; i++)
                s[q][j][i / 4][i % 4] = both[q][i / 4][i % 4];
        }
    }
#pragma unroll
    for (int q = 0; q < TILES; q++) {
        top[q][0] = top[q][1] = -INFINITY;
        find_tops<SPREAD_KEYS>(s[q], top[q]);
        for (int r = 0; r < 2 && t == 0; r++)
            tops[warp][q * QUERY_TILE + g + 8 * r] = top[q][r];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 2 * TILES; i++)
#pragma unroll
        for (int w = 0; w < TENSOR_WARPS; w++)
            top[i / 2][i % 2] =
                fmaxf(top[i / 2][i % 2], tops[w][i / 2 * QUERY_TILE + g + i % 2 * 8]);
    wait_copies<0>();
    __syncwarp();
    attention_sums<A, DEPTH, TILES> sums = {};
#pragma unroll
    for (int j = 0; j < SPREAD_KEYS; j++) {
        uint32_t w[TILES][PARTS][4];
#pragma unroll
        for (int q = 0; q < TILES; q++)
            weigh_scores(a, s[q][j], top[q], w[q]);
        add_values<A, DEPTH, TILES>(&sums, w, values + 16 * j * tile::ROW, PART);
    }
    __syncwarp(); /* keys and values were read: the results take their place */
    leave_sums<A, DEPTH>(sums, reinterpret_cast<float *>(keys));
    __syncthreads();
    join_sums<A, DEPTH>(a, reinterpret_cast<float *>(shared),
                        tile::WARP_NUMBERS * (int)sizeof(T) / 4, query);
}

static_assert(TENSOR_THREADS == TENSOR_WARPS * SPREAD_TILES * QUERY_TILE, "join_sums");

} // namespace wilor_cuda

#endif
