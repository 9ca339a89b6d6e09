/* CUDA's execution model on a processor, for tests of src/backend/cuda/module without a card: every thread
 * of a block is a fibre, a barrier lets the others go on, blocks run one after the other, a graph is a
 * list of calls with their arguments copied. What is here is what the module uses, no more.
 *
 * It finds wrong indices, missing barriers between writers and readers of different order (fibres run
 * 0 … n between two barriers), what lies behind a block's shared memory (a guard page), arguments
 * that a graph captured too early. It cannot find races that need true concurrency, wrong PTX, or what
 * rounding the hardware has of its own. */
#ifndef WILOR_CUDA_EMULATE_H
#define WILOR_CUDA_EMULATE_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__ __restrict

struct uint3 {
    unsigned x, y, z;
};

inline int min(int a, int b) { return a < b ? a : b; }

inline int max(int a, int b) { return a > b ? a : b; }

struct dim3 {
    unsigned x, y, z;

    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

/* ---------------------------------------------------------------- threads */

namespace wilor_emu {
struct Fibre {
    uint3 thread;
    unsigned linear;
};

extern Fibre *now;
extern uint3 block_index;
extern dim3 block_size, grid_size;
extern unsigned char *shared;

void run(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()> &body);
void sync_block();
/* Lanes of the caller's warp meet; *all is an array of 32 × words that each has filled its part of. */
void sync_warp();
uint32_t *warp_words(); /* 32 lanes × 16 words */
} // namespace wilor_emu

#define threadIdx (wilor_emu::now->thread)
#define blockIdx wilor_emu::block_index
#define blockDim wilor_emu::block_size
#define gridDim wilor_emu::grid_size

inline void __syncthreads() { wilor_emu::sync_block(); }

inline void __syncwarp() { wilor_emu::sync_warp(); }

inline void __threadfence() {}

inline float __shfl_xor_sync(unsigned, float value, int mask) {
    uint32_t *words = wilor_emu::warp_words();
    unsigned lane = wilor_emu::now->linear % 32;
    memcpy(&words[lane * 16], &value, sizeof value);
    wilor_emu::sync_warp();
    memcpy(&value, &words[(lane ^ (unsigned)mask) * 16], sizeof value);
    wilor_emu::sync_warp();
    return value;
}

inline int atomicMax(int *at, int value) {
    int old = *at;
    *at = value > old ? value : old;
    return old;
}

inline int atomicAdd(int *at, int value) {
    int old = *at;
    *at = old + value;
    return old;
}

inline unsigned atomicInc(unsigned *at, unsigned last) {
    unsigned old = *at;
    *at = old >= last ? 0 : old + 1;
    return old;
}

/* ---------------------------------------------------------------- 16-bit numbers */

struct __half {
    uint16_t bits;
};

struct __nv_bfloat16 {
    uint16_t bits;
};

__half __float2half_rn(float x);
float __half2float(__half x);
__nv_bfloat16 __float2bfloat16_rn(float x);
float __bfloat162float(__nv_bfloat16 x);

/* ---------------------------------------------------------------- runtime */

typedef int cudaError_t;

enum {
    cudaSuccess = 0,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorNoKernelImageForDevice = 209
};

enum cudaMemcpyKind {
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};

enum {
    cudaStreamNonBlocking = 1,
    cudaStreamCaptureModeThreadLocal = 1,
    cudaEventDisableTiming = 2
};

enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

struct cudaStreamImpl;

/* A launch calls what may be called and was captured last, so that what is not waited for shows. */
struct cudaGraphImpl {
    struct node {
        std::function<void()> call;
        std::vector<size_t> after;
    };

    std::vector<node> nodes;
    std::vector<cudaStreamImpl *> streams; /* while it is captured */
};

struct cudaStreamImpl {
    cudaGraphImpl *capture = nullptr;
    std::vector<size_t> after; /* the capture's nodes that the next call comes after */
};

struct cudaEventImpl {
    cudaGraphImpl *capture = nullptr;
    std::vector<size_t> after;
};

typedef cudaStreamImpl *cudaStream_t;
typedef cudaGraphImpl *cudaGraph_t;
typedef cudaGraphImpl *cudaGraphExec_t;
typedef cudaEventImpl *cudaEvent_t;

struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount;
    size_t totalGlobalMem, sharedMemPerBlockOptin;
};

inline const char *cudaGetErrorString(cudaError_t) { return "emulated"; }

inline cudaError_t cudaGetLastError() { return cudaSuccess; }

inline cudaError_t cudaGetDeviceCount(int *n) { return *n = 2, cudaSuccess; }

inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }

inline cudaError_t cudaDriverGetVersion(int *v) { return *v = 13000, cudaSuccess; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device);
/* Memory is filled with NaNs, so that what is read before it is written shows. */
cudaError_t wilor_emu_malloc(void **p, size_t bytes);

inline cudaError_t cudaFree(void *p) { return free(p), cudaSuccess; }

inline cudaError_t cudaFreeHost(void *p) { return free(p), cudaSuccess; }

template <class T> cudaError_t cudaMalloc(T **p, size_t n) {
    return wilor_emu_malloc(reinterpret_cast<void **>(p), n);
}

template <class T> cudaError_t cudaMallocHost(T **p, size_t n) {
    return wilor_emu_malloc(reinterpret_cast<void **>(p), n);
}

inline cudaError_t wilor_emu_do(cudaStream_t s, std::function<void()> call) {
    if (!s || !s->capture)
        return call(), cudaSuccess;
    s->capture->nodes.push_back({std::move(call), s->after});
    s->after = {s->capture->nodes.size() - 1};
    return cudaSuccess;
}

inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind,
                                   cudaStream_t s) {
    return wilor_emu_do(s, [=] { memcpy(to, from, n); });
}

inline cudaError_t cudaMemsetAsync(void *to, int value, size_t n, cudaStream_t s) {
    return wilor_emu_do(s, [=] { memset(to, value, n); });
}

inline cudaError_t cudaMemcpy(void *to, const void *from, size_t n, cudaMemcpyKind) {
    return memcpy(to, from, n), cudaSuccess;
}

inline cudaError_t cudaMemcpy2DAsync(void *to, size_t pitch, const void *from,
                                     size_t from_pitch, size_t width, size_t height,
                                     cudaMemcpyKind, cudaStream_t s) {
    return wilor_emu_do(s, [=] {
        for (size_t y = 0; y < height; y++)
            memcpy(static_cast<char *>(to) + y * pitch,
                   static_cast<const char *>(from) + y * from_pitch, width);
    });
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned) {
    return *s = new cudaStreamImpl, cudaSuccess;
}

inline cudaError_t cudaStreamDestroy(cudaStream_t s) { return delete s, cudaSuccess; }

inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

inline cudaError_t cudaStreamBeginCapture(cudaStream_t s, int) {
    s->capture = new cudaGraphImpl;
    s->capture->streams.push_back(s);
    s->after.clear();
    return cudaSuccess;
}

inline cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g) {
    *g = s->capture;
    for (cudaStream_t one : (*g)->streams)
        one->capture = nullptr;
    return cudaSuccess;
}

inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *e, cudaGraph_t g, unsigned long long) {
    return *e = new cudaGraphImpl(*g), cudaSuccess;
}

inline cudaError_t cudaGraphDestroy(cudaGraph_t g) { return delete g, cudaSuccess; }

inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e) { return delete e, cudaSuccess; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t);

inline cudaError_t cudaEventCreate(cudaEvent_t *e) {
    return *e = new cudaEventImpl, cudaSuccess;
}

inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) {
    return cudaEventCreate(e);
}

inline cudaError_t cudaEventDestroy(cudaEvent_t e) { return delete e, cudaSuccess; }

inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    e->capture = s->capture;
    e->after = s->after;
    return cudaSuccess;
}

/* The stream joins the event's capture. */
inline cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
    if (!e->capture)
        return cudaSuccess;
    if (!s->capture) {
        s->capture = e->capture;
        s->capture->streams.push_back(s);
        s->after.clear();
    }
    s->after.insert(s->after.end(), e->after.begin(), e->after.end());
    return cudaSuccess;
}

inline cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t, cudaEvent_t) {
    return *ms = 0, cudaSuccess;
}

template <class F> cudaError_t cudaFuncSetAttribute(F, int, int) { return cudaSuccess; }

/* ---------------------------------------------------------------- launches */

template <class... P, class... A>
void wilor_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t s,
                  A... args) {
    wilor_emu_do(s, [=] {
        wilor_emu::run(grid, block, shared, [=] { kernel(static_cast<P>(args)...); });
    });
}

#endif
