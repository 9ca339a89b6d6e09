/* What a convolution of kernels_conv.h is told, and how its sums become outputs. */
#ifndef WILOR_CUDA_KERNELS_CONV_END_H
#define WILOR_CUDA_KERNELS_CONV_END_H

#include "elements.h"

namespace wilor_cuda {

enum {
    CONV_VECTOR = 8, /* numbers of a load */
    CONV_PIXELS = 64,
    CONV_DEPTH = 64,
    CONV_STAGES = 3, /* 48 KiB of shared memory for 64 outputs */
    CONV_DEEP = 6,   /* 96 KiB: a multiprocessor's one or two blocks hide memory's latency */
    CONV_THREADS = 128,
    CONV_EIGHTS = CONV_DEPTH / CONV_VECTOR,
    CONV_ROWS = CONV_THREADS / CONV_EIGHTS, /* that the threads fetch at once */
    CONV_MOST_PARTS = 16,
    CONV_PARTS_AHEAD = 4, /* whose sums are on their way at once */
    CONV_MOST_SIZE = 3,   /* of tensor_conv's kernels */
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
    int silu, wide;                           /* wide: all that is written is made of eights */
    T *out;                                   /* or NULL: `head` */
    float *head;
    const T *added;
    T *twice;
    int out_channels, added_channels, twice_channels;
    int part_steps;  /* of CONV_DEPTH: a part's share */
    float *work;     /* parts' sums: tiles × parts × tile */
    unsigned *ended; /* of a tile's parts; zeros between launches */
};

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

template <class T> struct alignas(sizeof(T) * CONV_VECTOR) conv_eight { T at[CONV_VECTOR]; };

template <class T> __device__ __forceinline__ conv_eight<T> *conv_as_eight(const T *at) {
    return reinterpret_cast<conv_eight<T> *>(const_cast<T *>(at));
}

/* Eight sums of a pixel to where they go. */
template <class T>
__device__ __forceinline__ void conv_write_eight(const conv_args<T> &a, int pixel, int o,
                                                 const float *sum, const float *bias,
                                                 const conv_eight<T> &added) {
    conv_eight<T> out;
#pragma unroll
    for (int i = 0; i < CONV_VECTOR; i++) {
        float v = sum[i] + bias[i];
        v = a.silu ? silu_for<T>(v) : v;
        out.at[i] = narrow<T>(a.added ? widen(added.at[i]) + v : v);
    }
    *conv_as_eight(a.out + (size_t)pixel * (size_t)a.out_channels + (size_t)o) = out;
    if (!a.twice)
        return;
#pragma unroll
    for (int i = 0; i < 4; i++)
        *conv_as_eight(a.twice + conv_twice(a, pixel, i) + (size_t)o) = out;
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
                *reinterpret_cast<float2 *>(at + (16 * i + 8 * half) * (N + 8) + 8 * j) =
                    make_float2(sum[i][j][2 * half], sum[i][j][2 * half + 1]);
}

__device__ __forceinline__ void conv_unpack(float4 from, float *to) {
    to[0] = from.x;
    to[1] = from.y;
    to[2] = from.z;
    to[3] = from.w;
}

/* A part's sums to the others', a thread's at the same places. True in the block that ends last. */
template <class T, int N>
__device__ __forceinline__ bool conv_hand_in(const conv_args<T> &a, unsigned tile, float *work,
                                             const float sum[2][N / 16][4]) {
    __shared__ unsigned last;
    float *to = work + (size_t)blockIdx.z * (CONV_PIXELS * N);
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < N / 16; j++) {
            const float *v = sum[i][j];
            store(to + (i * (N / 16) + j) * (4 * CONV_THREADS),
                  numbers<float, 4>{{v[0], v[1], v[2], v[3]}});
        }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        last = atomicInc(&a.ended[tile], gridDim.z - 1) == gridDim.z - 1;
    __syncthreads();
    if (last == 0)
        return false;
    __threadfence();
    return true;
}

/* The parts' sums in their order. What is loaded does not wait for what is added, four parts at a time. */
template <int N>
__device__ __forceinline__ void conv_add_parts(const float *work, float sum[2][N / 16][4]) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float4 one[CONV_PARTS_AHEAD][N / 16];
#pragma unroll
        for (int j = 0; j < N / 16; j++)
            sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;
#pragma unroll 1
        for (unsigned part = 0; part < gridDim.z; part += CONV_PARTS_AHEAD) {
            const float *from = work + (size_t)part * (CONV_PIXELS * N);
#pragma unroll
            for (unsigned p = 0; p < CONV_PARTS_AHEAD; p++)
#pragma unroll
                for (int j = 0; j < N / 16; j++) {
                    int at = (int)p * CONV_PIXELS * N + (i * (N / 16) + j) * 4 * CONV_THREADS;
                    one[p][j] = part + p < gridDim.z ? load_shared_work(from + at) : float4{};
                }
#pragma unroll
            for (int p = 0; p < CONV_PARTS_AHEAD; p++)
#pragma unroll
                for (int j = 0; j < N / 16; j++) {
                    sum[i][j][0] += one[p][j].x;
                    sum[i][j][1] += one[p][j].y;
                    sum[i][j][2] += one[p][j].z;
                    sum[i][j][3] += one[p][j].w;
                }
        }
    }
}

/* A tile's sums to where they go, by eights: all that is added is on its way before the first is needed. */
template <class T, int N>
__device__ __forceinline__ void conv_finish_eights(const conv_args<T> &a, int pixel, int output,
                                                   const float *sums, const float *bias) {
    conv_eight<T> added[N / 16];
#pragma unroll
    for (int i = 0; i < N / 16; i++) {
        int eight = (int)threadIdx.x + i * CONV_THREADS;
        int at = pixel + eight / (N / 8), o = output + eight % (N / 8) * CONV_VECTOR;
        if (a.added && at < a.width * a.height && o < a.outputs)
            added[i] =
                *conv_as_eight(a.added + (size_t)at * (size_t)a.added_channels + (size_t)o);
    }
#pragma unroll
    for (int i = 0; i < N / 16; i++) {
        int eight = (int)threadIdx.x + i * CONV_THREADS;
        int row = eight / (N / 8), column = eight % (N / 8) * CONV_VECTOR;
        const float *own = sums + row * (N + 8) + column;
        float v[CONV_VECTOR];
        if (pixel + row >= a.width * a.height || output + column >= a.outputs)
            continue;
        conv_unpack(*reinterpret_cast<const float4 *>(own), v);
        conv_unpack(*reinterpret_cast<const float4 *>(own + 4), v + 4);
        conv_write_eight(a, pixel + row, output + column, v, bias + column, added[i]);
    }
}

template <class T, int N>
__device__ __forceinline__ void conv_finish(const conv_args<T> &a, int pixel, int output,
                                            const float *sums, const float *bias) {
#pragma unroll 4
    for (int i = (int)threadIdx.x; i < CONV_PIXELS * N; i += CONV_THREADS) {
        int row = i / N, column = i % N;
        if (pixel + row >= a.width * a.height || output + column >= a.outputs)
            continue;
        float v = sums[row * (N + 8) + column] + bias[column];
        conv_write(a, pixel + row, output + column, a.silu ? silu_for<T>(v) : v);
    }
}

} // namespace wilor_cuda

#endif
