/* What bench_products measures with: one product's memory, its plain twin, launches, times. */
#ifndef WILOR_BENCH_PRODUCTS_CARD_H
#define WILOR_BENCH_PRODUCTS_CARD_H

#include "gemm.h"
#include "kernels_vit.h"
#include "kernels_wgmma.h"

#include <cuda.h>
#include <cudaTypedefs.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

using namespace wilor_cuda;

#define OK(call)                                                                               \
    do {                                                                                       \
        cudaError_t e_ = (call);                                                               \
        if (e_ != cudaSuccess) {                                                               \
            printf("  !! %s:%d %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(e_));  \
            fflush(stdout);                                                                    \
            exit(3);                                                                           \
        }                                                                                      \
    } while (0)

enum { BLOCKS_OF_NET = 32, D = 1280, MLP = 5120 };

typedef void (*kernel_fn)(product_args);

struct variant {
    kernel_fn f, copies, sums;
    int groups, rows, stages, blocks, end, shared;
};

template <int G, int R, int S, int B, int E, bool PROBE = true> static variant make() {
    kernel_fn copies = nullptr, sums = nullptr;
    if constexpr (PROBE) {
        copies = product_kernel<f16, G, R, S, B, E, WORK_COPIES>;
        sums = product_kernel<f16, G, R, S, B, E, WORK_SUMS>;
    }
    return {product_kernel<f16, G, R, S, B, E>,
            copies,
            sums,
            G,
            R,
            S,
            B,
            E,
            product_shared<G, R, S>};
}

static float small(uint32_t i, uint32_t salt) {
    uint32_t h = i * 2654435761u + salt * 40503u;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    return (float)(int)(h % 5) - 2.0f;
}

__global__ void fill_kernel(f16 *out, size_t count, uint32_t salt, float scale) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    uint32_t h = (uint32_t)i * 2654435761u + salt * 40503u + (uint32_t)(i >> 32);
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    out[i] = narrow<f16>(((float)(int)(h % 5) - 2.0f) * scale);
}

__global__ void reference_kernel(const f16 *w, const f16 *x, float *y, int rows, int outputs,
                                 int inputs) {
    __shared__ float ws[16][17], xs[16][17];
    int o = blockIdx.x * 16 + threadIdx.x, r = blockIdx.y * 16 + threadIdx.y;
    float sum = 0;
    for (int k = 0; k < inputs; k += 16) {
        ws[threadIdx.y][threadIdx.x] =
            widen(w[(size_t)(blockIdx.x * 16 + threadIdx.y) * inputs + k + threadIdx.x]);
        xs[threadIdx.y][threadIdx.x] =
            r < rows ? widen(x[(size_t)r * inputs + k + threadIdx.x]) : 0.0f;
        __syncthreads();
        for (int q = 0; q < 16; q++)
            sum += ws[threadIdx.x][q] * xs[threadIdx.y][q];
        __syncthreads();
    }
    if (r < rows)
        y[(size_t)r * outputs + o] = sum;
}

struct verdict {
    unsigned wrong, worst; /* worst: bits of a float */
};

__global__ void compare_kernel(const float *ref, const void *y, const f16 *b16,
                               const float *b32, int rows, int outputs, int end, int parts,
                               verdict *v) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)rows * outputs)
        return;
    int o = (int)(i % outputs);
    float want = ref[i], got = 0;
    if (end == END_ROWS) {
        want = widen(narrow<f16>(want + widen(b16[o])));
        got = widen(static_cast<const f16 *>(y)[i]);
    } else if (end == END_GELU) {
        want = widen(narrow<f16>(gelu(want + b32[o])));
        got = widen(static_cast<const f16 *>(y)[i]);
    } else if (end == END_PARTS) {
        for (int p = 0; p < parts; p++)
            got += static_cast<const float *>(y)[(size_t)p * rows * outputs + i];
    } else {
        want += b32[o];
        got = static_cast<const float *>(y)[i];
    }
    float diff = fabsf(want - got);
    if (!(diff <= 1e-3f * fabsf(want) + 1e-6f))
        atomicAdd(&v->wrong, 1u);
    atomicMax(&v->worst, diff == diff ? __float_as_uint(diff) : 0x7F800000u);
}

static cudaStream_t stream;

static unsigned blocks_for(size_t n, unsigned t) { return (unsigned)((n + t - 1) / t); }

template <class T> static T *card(size_t count) {
    void *p = nullptr;
    OK(cudaMalloc(&p, count * sizeof(T)));
    OK(cudaMemset(p, 0, count * sizeof(T)));
    return static_cast<T *>(p);
}

struct run_how {
    int across, down, parts;
    bool overlap;
};

static void allow(const variant &v) {
    for (kernel_fn f : {v.copies, v.sums})
        if (f)
            OK(cudaFuncSetAttribute(f, cudaFuncAttributeMaxDynamicSharedMemorySize, v.shared));
    OK(cudaFuncSetAttribute(v.f, cudaFuncAttributeMaxDynamicSharedMemorySize, v.shared));
}

static cudaLaunchConfig_t configure(const variant &v, const product_args &a, const run_how &h,
                                    cudaLaunchAttribute *attr) {
    cudaLaunchConfig_t c = {};
    c.gridDim = dim3((unsigned)((a.rows + v.rows - 1) / v.rows),
                     (unsigned)(a.outputs / 64 / v.groups), (unsigned)h.parts);
    c.blockDim = dim3((unsigned)v.groups * 128 + 32);
    c.dynamicSmemBytes = (size_t)v.shared;
    c.stream = stream;
    c.attrs = attr;
    if (h.across * h.down > 1) {
        attr[c.numAttrs].id = cudaLaunchAttributeClusterDimension;
        attr[c.numAttrs].val.clusterDim.x = (unsigned)h.across;
        attr[c.numAttrs].val.clusterDim.y = (unsigned)h.down;
        attr[c.numAttrs++].val.clusterDim.z = 1;
    }
    if (h.overlap) {
        attr[c.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attr[c.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
    }
    return c;
}

static void launch(const variant &v, product_args a, const run_how &h) {
    cudaLaunchAttribute attr[2] = {};
    cudaLaunchConfig_t c = configure(v, a, h, attr);
    void *args[] = {&a};
    OK(cudaLaunchKernelExC(&c, reinterpret_cast<const void *>(v.f), args));
}

/* Microseconds of what f puts onto the stream, median of some. */
static float time_graph(const std::function<void()> &f, int times = 11) {
    cudaGraph_t g;
    cudaGraphExec_t e;
    cudaEvent_t begin, end;
    std::vector<float> all;
    OK(cudaEventCreate(&begin));
    OK(cudaEventCreate(&end));
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    f();
    OK(cudaStreamEndCapture(stream, &g));
    OK(cudaGraphInstantiate(&e, g, 0));
    for (int i = 0; i < times + 2; i++) {
        float ms;
        OK(cudaEventRecord(begin, stream));
        OK(cudaGraphLaunch(e, stream));
        OK(cudaEventRecord(end, stream));
        OK(cudaStreamSynchronize(stream));
        OK(cudaEventElapsedTime(&ms, begin, end));
        if (i >= 2)
            all.push_back(ms * 1000);
    }
    std::sort(all.begin(), all.end());
    OK(cudaGraphExecDestroy(e));
    OK(cudaGraphDestroy(g));
    return all[all.size() / 2];
}

struct shape {
    const char *name;
    int outputs, inputs, end;
};

struct bench {
    shape s;
    int rows;
    f16 *w, *x, *b16;
    float *b32, *ref;
    void *y;
    verdict *v;
    size_t matrix;
};

static bench prepare(const shape &s, int rows) {
    bench b = {s, rows};
    b.matrix = (size_t)s.outputs * s.inputs;
    b.w = card<f16>(b.matrix * BLOCKS_OF_NET);
    b.x = card<f16>((size_t)rows * s.inputs);
    b.b16 = card<f16>((size_t)s.outputs);
    b.b32 = card<float>((size_t)s.outputs);
    b.ref = card<float>((size_t)rows * s.outputs);
    b.y = card<float>((size_t)(rows + 512) * s.outputs * (rows < 1000 ? 8 : 1));
    b.v = card<verdict>(1);
    fill_kernel<<<blocks_for(b.matrix * BLOCKS_OF_NET, 256), 256, 0, stream>>>(
        b.w, b.matrix * BLOCKS_OF_NET, 7, 1.0f / 64);
    fill_kernel<<<blocks_for((size_t)rows * s.inputs, 256), 256, 0, stream>>>(
        b.x, (size_t)rows * s.inputs, 11, 1.0f);
    fill_kernel<<<blocks_for(s.outputs, 256), 256, 0, stream>>>(b.b16, s.outputs, 13, 0.25f);
    widen_kernel<f16><<<blocks_for(s.outputs, FLAT_THREADS), FLAT_THREADS, 0, stream>>>(
        b.b16, b.b32, s.outputs, (size_t)s.outputs);
    reference_kernel<<<dim3(s.outputs / 16, blocks_for(rows, 16)), dim3(16, 16), 0, stream>>>(
        b.w + 3 * b.matrix, b.x, b.ref, rows, s.outputs, s.inputs);
    OK(cudaStreamSynchronize(stream));
    return b;
}

static PFN_cuTensorMapEncodeTiled_v12000 encode;

static CUtensorMap tensor_of(const void *p, const operand_tensor &t) {
    CUtensorMap map;
    cuuint32_t each[4] = {1, 1, 1, 1};
    cuuint64_t size[4], step[3];
    if (!encode) {
        cudaDriverEntryPointQueryResult found;
        void *f = nullptr;
        OK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000,
                                            cudaEnableDefault, &found));
        encode = (PFN_cuTensorMapEncodeTiled_v12000)f;
    }
    std::copy(t.size, t.size + 4, size);
    std::copy(t.step, t.step + 3, step);
    auto make = [&] {
        return encode(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, t.dims, const_cast<void *>(p),
                      size, step, t.box, each, CU_TENSOR_MAP_INTERLEAVE_NONE,
                      CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    };
    CUresult r = make();
    if (r && t.dims == 4) { /* outputs in plain order: wrong sums, right times */
        static bool told = false;
        if (!told)
            printf("  !! the turned tensor map: %d; sums will be wrong\n", (int)r);
        told = true;
        std::swap(step[0], step[1]);
        step[1] = 8 * step[0];
        r = make();
    }
    if (r) {
        printf("  !! tensor map: %d\n", (int)r);
        exit(4);
    }
    return map;
}

static product_args args_for(const variant &v, const f16 *w, const f16 *x, const void *bias,
                             void *y, int rows, int outputs, int inputs) {
    product_args a = {};
    a.w = tensor_of(w, describe_weights(outputs, inputs, v.groups * 64));
    a.x = tensor_of(x, describe_rows(rows, inputs, v.rows));
    a.bias = bias;
    a.y = y;
    a.rows = rows;
    a.outputs = outputs;
    a.inputs = inputs;
    return a;
}

static product_args args_of(const bench &b, const variant &v, int i) {
    const void *bias = b.s.end == END_ROWS ? (const void *)b.b16 : (const void *)b.b32;
    return args_for(v, b.w + i * b.matrix, b.x, bias, b.y, b.rows, b.s.outputs, b.s.inputs);
}

static verdict check_run(const bench &b, const variant &v, const run_how &h) {
    verdict r = {};
    size_t count = (size_t)b.rows * b.s.outputs;
    OK(cudaMemsetAsync(b.y, v.end == END_ONTO ? 0 : 0xFF,
                       count * (v.end == END_PARTS ? 4 * h.parts : 4), stream));
    OK(cudaMemsetAsync(b.v, 0, sizeof(verdict), stream));
    launch(v, args_of(b, v, 3), h);
    compare_kernel<<<blocks_for(count, 256), 256, 0, stream>>>(
        b.ref, b.y, b.b16, b.b32, b.rows, b.s.outputs, v.end, h.parts, b.v);
    OK(cudaGetLastError());
    OK(cudaMemcpyAsync(&r, b.v, sizeof r, cudaMemcpyDeviceToHost, stream));
    OK(cudaStreamSynchronize(stream));
    return r;
}

#endif
