/* Attention over 210 tokens: softmax(q kᵀ / √dim) v, a head of a hand at a time, from rows of queries, keys
 * and values (3 · d numbers, heads one after the other in each).
 *
 * plain_attention: any number, any head dimension; a warp is a query. The oracle of
 * tensor_attention: 16-bit numbers on matrix units (m16n8k16), head dimensions up to 16 · DEPTH, padded with
 * zeros. A warp is 16 queries, a block has 4. Keys and values of the head lie in shared memory, the values
 * arriving while scores are computed, all 224 scores of a query in its four lanes' registers, so the softmax
 * is one pass. The scores' layout is already that of the second product's operand.
 *
 * spread_attention: the same for few hands, where time is what one warp takes: seven warps share the keys of
 * 16 queries, each with a softmax of its own, and their results are put together.
 *
 * Both fetch the weights of the products to come meanwhile.
 *
 * `each` queries of a hand are read: the tokens that chosen_token names. */
#ifndef WILOR_CUDA_KERNELS_ATTENTION_H
#define WILOR_CUDA_KERNELS_ATTENTION_H

#include "elements.h"

namespace wilor_cuda {

enum {
    ATTENTION_WARPS = 4,
    ATTENTION_THREADS = 32 * ATTENTION_WARPS,
    QUERY_TILE = 16,
    KEY_TILES = (TOKENS + 15) / 16, /* of 16 keys: 14 */
    KEY_ROWS = 16 * KEY_TILES,      /* 224 */
    KEYS_A_LANE = (TOKENS + 31) / 32,
    SPREAD_TILES = 2,                       /* of 16 queries, a block */
    SPREAD_KEYS = 2,                        /* tiles of 16 keys, a warp */
    SPREAD_PARTS = KEY_TILES / SPREAD_KEYS, /* warps of a query tile: 7 */
    SPREAD_WARPS = SPREAD_TILES * SPREAD_PARTS,
    SPREAD_THREADS = 32 * SPREAD_WARPS
};

static_assert(KEY_TILES % SPREAD_KEYS == 0, "warps have whole tiles of keys");

template <class T> struct attention_args {
    const T *qkv; /* hands × 210 × 3d */
    T *out;       /* (hands from `first` on) × each × d */
    int d, dim;
    int first, each, cols;
    float scale;  /* 1 / √dim */
    bool sixteen; /* rows of heads are whole pieces of sixteen bytes */
};

/* Grid: queries / 4, heads, hands. */
template <class T> __global__ void plain_attention(attention_args<T> a) {
    WILOR_DYNAMIC_SHARED(shared); /* a warp's query (dim), then its 210 weights */
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    int head = (int)blockIdx.y, hand = (int)blockIdx.z;
    int query = (int)blockIdx.x * ATTENTION_WARPS + warp;
    if (query >= a.each)
        return; /* a whole warp; no barrier of the block below */
    size_t ld = 3 * (size_t)a.d;
    const T *rows = a.qkv + (size_t)(a.first + hand) * TOKENS * ld + (size_t)(head * a.dim);
    const T *q = rows + (size_t)chosen_token(query, a.cols) * ld;
    const T *k = rows + a.d, *v = rows + 2 * (size_t)a.d;
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
    T *out = a.out + (size_t)(hand * a.each + query) * (size_t)a.d + (size_t)(head * a.dim);
    for (int i = lane; i < a.dim; i += 32) {
        float sum = 0;
        for (int key = 0; key < TOKENS; key++)
            sum = fmaf(weights[key], widen(v[(size_t)key * ld + (size_t)i]), sum);
        out[i] = narrow<T>(sum / total);
    }
}

WILOR_BOTH size_t plain_attention_shared(int dim) {
    return (size_t)ATTENTION_WARPS * (size_t)(dim + TOKENS) * sizeof(float);
}

/* ---------------------------------------------------------------- matrix units */

/* Numbers of a row of keys or values in shared memory: 8 more than the dimension, so that the eight rows
 * of a matrix lie in different banks. */
template <int DEPTH> struct attention_tile {
    enum { DIM = 16 * DEPTH, ROW = DIM + 8 };
};

template <class T, int DEPTH> size_t tensor_attention_shared() {
    return 2 * (size_t)KEY_ROWS * attention_tile<DEPTH>::ROW * sizeof(T);
}

/* Keys, or values, of a head, zeros around them: sixteen bytes at once without waiting, or two numbers
 * (dim is even). */
template <class T, int DEPTH>
__device__ __forceinline__ void load_rows(const T *from, const attention_args<T> &a, T *to) {
    enum {
        ROW = attention_tile<DEPTH>::ROW,
        PAIRS = attention_tile<DEPTH>::DIM / 2,
        EIGHTS = attention_tile<DEPTH>::DIM / 8
    };

    size_t ld = 3 * (size_t)a.d;
    if (a.sixteen) {
        for (int i = (int)threadIdx.x; i < KEY_ROWS * EIGHTS; i += (int)blockDim.x) {
            int row = i / EIGHTS, column = i % EIGHTS * 8;
            bool there = row < TOKENS && column < a.dim;
            copy_16(to + row * ROW + column, there ? from + (size_t)row * ld + column : from,
                    there);
        }
        return;
    }
    for (int i = (int)threadIdx.x; i < KEY_ROWS * PAIRS; i += (int)blockDim.x) {
        int row = i / PAIRS, column = i % PAIRS * 2;
        uint32_t pair = 0;
        if (row < TOKENS && column < a.dim)
            pair = *reinterpret_cast<const uint32_t *>(from + (size_t)row * ld + column);
        *reinterpret_cast<uint32_t *>(to + row * ROW + column) = pair;
    }
}

/* Two neighbouring numbers of a query row, zero beyond its dimension or where there is no row. */
template <class T>
__device__ __forceinline__ uint32_t query_pair(const T *row, int column, int dim) {
    return row && column < dim ? *reinterpret_cast<const uint32_t *>(row + column) : 0u;
}

/* Sixteen queries of a head, from `query` on, as operands; rows that are not there are zeros. */
template <class T, int DEPTH>
__device__ __forceinline__ void load_queries(const attention_args<T> &a, const T *rows,
                                             int query, uint32_t qa[DEPTH][4]) {
    int lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const T *q[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int i = query + g + 8 * r;
        q[r] = i < a.each ? rows + (size_t)chosen_token(i, a.cols) * 3 * (size_t)a.d : nullptr;
    }
#pragma unroll
    for (int d = 0; d < DEPTH; d++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            qa[d][i] = query_pair(q[i % 2], 16 * d + 2 * t + i / 2 * 8, a.dim);
}

/* Scores of 16 queries by N tiles of 16 keys, of which `keys` points at the first. */
template <class T, int DEPTH, int N>
__device__ __forceinline__ void score(const uint32_t qa[DEPTH][4], const T *keys,
                                      float s[2 * N][4]) {
    enum { ROW = attention_tile<DEPTH>::ROW };

    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int j = 0; j < N; j++) {
        float *low = s[2 * j], *high = s[2 * j + 1];
        low[0] = low[1] = low[2] = low[3] = high[0] = high[1] = high[2] = high[3] = 0;
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
            /* Lanes 0 … 7 point at keys 16j …, columns 16d …; 8 … 15 at columns + 8; 16 … 31:
             * eight keys further. */
            uint32_t b[4];
            load_four_matrices(b, keys + (16 * j + lane / 16 * 8 + lane % 8) * ROW + 16 * d +
                                      lane / 8 % 2 * 8);
            mma_16x8x16<T>(low, qa[d], b);
            mma_16x8x16<T>(high, qa[d], b + 2);
        }
    }
}

/* A lane's scores of N tiles of 16 keys, of which the first is key `first`, become weights, relative to the
 * largest of its two rows. Four lanes share a row. */
template <int N>
__device__ __forceinline__ void soften(float s[2 * N][4], int first, float scale,
                                       float top[2]) {
    int t = (int)threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        top[r] = -INFINITY;
#pragma unroll
        for (int j = 0; j < 2 * N; j++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float *x = &s[j][2 * r + i];
                if (first + 8 * j + 2 * t + i >= TOKENS)
                    *x = -INFINITY;
                top[r] = *x > top[r] || *x != *x ? *x : top[r];
            }
        for (int m = 1; m < 4; m *= 2) {
            float other = __shfl_xor_sync(0xFFFFFFFFu, top[r], m);
            top[r] = other > top[r] || other != other ? other : top[r];
        }
#pragma unroll
        for (int j = 0; j < 2 * N; j++)
#pragma unroll
            for (int i = 0; i < 2; i++)
                s[j][2 * r + i] = expf(scale * (s[j][2 * r + i] - top[r]));
    }
}

/* Weights as operands of the second product, and the sums of a lane's two rows: of what the weights are
 * once they are rounded, so that a mean of equal values is that value. */
template <class T, int N>
__device__ __forceinline__ void pack_weights(const float s[2 * N][4], uint32_t weights[N][4],
                                             float sums[2]) {
    sums[0] = sums[1] = 0;
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float *two = &s[2 * j + i / 2][i % 2 * 2];
            float low, high;
            weights[j][i] = pack_pair<T>(two[0], two[1]);
            unpack_pair<T>(weights[j][i], &low, &high);
            sums[i % 2] += low + high;
        }
    for (int r = 0; r < 2; r++)
        for (int m = 1; m < 4; m *= 2)
            sums[r] += __shfl_xor_sync(0xFFFFFFFFu, sums[r], m);
}

/* Columns 16n … of weights times values, N tiles of keys of which `values` points at the first: two
 * fragments. */
template <class T, int DEPTH, int N>
__device__ __forceinline__ void weigh(const uint32_t weights[N][4], const T *values, int n,
                                      float o[2][4]) {
    enum { ROW = attention_tile<DEPTH>::ROW };

    int lane = (int)threadIdx.x % 32;
    for (int i = 0; i < 8; i++)
        o[i / 4][i % 4] = 0;
#pragma unroll
    for (int j = 0; j < N; j++) {
        /* Lanes 0 … 15 point at keys 16j …, columns 16n …; 16 … 31 at columns + 8. */
        uint32_t b[4];
        load_four_matrices_turned(b,
                                  values + (16 * j + lane % 16) * ROW + 16 * n + lane / 16 * 8);
        mma_16x8x16<T>(o[0], weights[j], b);
        mma_16x8x16<T>(o[1], weights[j], b + 2);
    }
}

/* Keys, then values, on their way to shared memory as two groups; the weights of products to come. */
template <class T, int DEPTH>
__device__ __forceinline__ void load_head(const attention_args<T> &a, const T *rows, T *keys,
                                          T *values) {
    wait_for_kernel_before();
    load_rows<T, DEPTH>(rows + a.d, a, keys);
    end_copies();
    load_rows<T, DEPTH>(rows + 2 * (size_t)a.d, a, values);
    end_copies();
}

template <class T> __device__ __forceinline__ const T *head_rows(const attention_args<T> &a) {
    return a.qkv + (size_t)(a.first + (int)blockIdx.z) * TOKENS * 3 * (size_t)a.d +
           (size_t)((int)blockIdx.y * a.dim);
}

template <class T>
__device__ __forceinline__ T *result_row(const attention_args<T> &a, int query) {
    return a.out + (size_t)((int)blockIdx.z * a.each + query) * (size_t)a.d +
           (size_t)((int)blockIdx.y * a.dim);
}

/* Grid: queries / 64, heads, hands. */
template <class T, int DEPTH>
__global__ void __launch_bounds__(ATTENTION_THREADS) tensor_attention(attention_args<T> a) {
    enum { ROW = attention_tile<DEPTH>::ROW };

    WILOR_DYNAMIC_SHARED(shared);
    T *keys = reinterpret_cast<T *>(shared), *values = keys + KEY_ROWS * ROW;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int query = ((int)blockIdx.x * ATTENTION_WARPS + warp) * QUERY_TILE;
    const T *rows = head_rows(a);
    load_head<T, DEPTH>(a, rows, keys, values);
    uint32_t qa[DEPTH][4], weights[KEY_TILES][4];
    float s[2 * KEY_TILES][4], top[2], sums[2];
    load_queries<T, DEPTH>(a, rows, query, qa);
    wait_copies<1>();
    __syncthreads();
    score<T, DEPTH, KEY_TILES>(qa, keys, s);
    wait_copies<0>();
    __syncthreads(); /* warps without queries, too */
    if (query >= a.each)
        return;
    soften<KEY_TILES>(s, 0, a.scale, top);
    pack_weights<T, KEY_TILES>(s, weights, sums);
#pragma unroll
    for (int n = 0; n < DEPTH; n++) {
        float o[2][4];
        weigh<T, DEPTH, KEY_TILES>(weights, values, n, o);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int at = query + g + i % 2 * 8, column = 16 * n + i / 2 * 8 + 2 * t;
            const float *two = &o[i / 2][i % 2 * 2], sum = sums[i % 2];
            if (at < a.each && column < a.dim)
                *reinterpret_cast<uint32_t *>(result_row(a, at) + column) =
                    pack_pair<T>(two[0] / sum, two[1] / sum);
        }
    }
}

/* What a warp of spread_attention found for its 16 queries: rows of ROW numbers, in the memory of keys and
 * values, when nobody reads these any more. As large as they are. */
template <int DEPTH> __device__ __forceinline__ float *spread_part(void *shared, int warp) {
    return static_cast<float *>(shared) +
           warp * QUERY_TILE * static_cast<int>(attention_tile<DEPTH>::ROW);
}

/* A row's factors for its seven parts: relative to the largest score of all, over the sum of all weights.
 * tops, sums: by warp, then row. */
__device__ __forceinline__ void spread_factors(float (*tops)[QUERY_TILE],
                                               float (*sums)[QUERY_TILE], float scale) {
    int tile = (int)threadIdx.x / QUERY_TILE, row = (int)threadIdx.x % QUERY_TILE;
    if (tile >= SPREAD_TILES)
        return;
    float top = -INFINITY, total = 0;
    for (int w = tile * SPREAD_PARTS; w < (tile + 1) * SPREAD_PARTS; w++)
        top = tops[w][row] > top || tops[w][row] != tops[w][row] ? tops[w][row] : top;
    for (int w = tile * SPREAD_PARTS; w < (tile + 1) * SPREAD_PARTS; w++) {
        tops[w][row] = expf(scale * (tops[w][row] - top));
        total += tops[w][row] * sums[w][row];
    }
    for (int w = tile * SPREAD_PARTS; w < (tile + 1) * SPREAD_PARTS; w++)
        tops[w][row] /= total;
}

/* Grid: queries / 32, heads, hands. */
template <class T, int DEPTH>
__global__ void __launch_bounds__(SPREAD_THREADS) spread_attention(attention_args<T> a) {
    enum { ROW = attention_tile<DEPTH>::ROW, PAIRS = attention_tile<DEPTH>::DIM / 2 };

    WILOR_DYNAMIC_SHARED(shared);
    __shared__ float tops[SPREAD_WARPS][QUERY_TILE], totals[SPREAD_WARPS][QUERY_TILE];
    T *keys = reinterpret_cast<T *>(shared), *values = keys + KEY_ROWS * ROW;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int first = warp % SPREAD_PARTS * SPREAD_KEYS * 16;
    int query = (int)blockIdx.x * SPREAD_TILES * QUERY_TILE;
    const T *rows = head_rows(a);
    load_head<T, DEPTH>(a, rows, keys, values);
    uint32_t qa[DEPTH][4], weights[SPREAD_KEYS][4];
    float s[2 * SPREAD_KEYS][4], o[DEPTH][2][4], top[2], sums[2];
    load_queries<T, DEPTH>(a, rows, query + warp / SPREAD_PARTS * QUERY_TILE, qa);
    wait_copies<1>();
    __syncthreads();
    score<T, DEPTH, SPREAD_KEYS>(qa, keys + first * ROW, s);
    soften<SPREAD_KEYS>(s, first, a.scale, top);
    pack_weights<T, SPREAD_KEYS>(s, weights, sums);
    wait_copies<0>();
    __syncthreads();
#pragma unroll
    for (int n = 0; n < DEPTH; n++)
        weigh<T, DEPTH, SPREAD_KEYS>(weights, values + first * ROW, n, o[n]);
    __syncthreads();
    float *part = spread_part<DEPTH>(shared, warp);
#pragma unroll
    for (int n = 0; n < DEPTH; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float *to = part + (g + i % 2 * 8) * ROW + 16 * n + i / 2 * 8 + 2 * t;
            to[0] = o[n][i / 2][i % 2 * 2];
            to[1] = o[n][i / 2][i % 2 * 2 + 1];
        }
    if (t == 0)
        for (int r = 0; r < 2; r++) {
            tops[warp][g + 8 * r] = top[r];
            totals[warp][g + 8 * r] = sums[r];
        }
    __syncthreads();
    spread_factors(tops, totals, a.scale);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < SPREAD_TILES * QUERY_TILE * PAIRS; i += SPREAD_THREADS) {
        int row = i / PAIRS, column = i % PAIRS * 2, tile = row / QUERY_TILE;
        float sum[2] = {0, 0};
#pragma unroll
        for (int w = 0; w < SPREAD_PARTS; w++) {
            int from = tile * SPREAD_PARTS + w;
            float factor = tops[from][row % QUERY_TILE];
            const float *two =
                spread_part<DEPTH>(shared, from) + row % QUERY_TILE * ROW + column;
            sum[0] = fmaf(factor, two[0], sum[0]);
            sum[1] = fmaf(factor, two[1], sum[1]);
        }
        if (query + row < a.each && column < a.dim)
            *reinterpret_cast<uint32_t *>(result_row(a, query + row) + column) =
                pack_pair<T>(sum[0], sum[1]);
    }
}

} // namespace wilor_cuda

#endif
