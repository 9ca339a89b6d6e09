/* What kernels are written with: CUDA's own words, or tests/emulate/cuda's when a C++ compiler makes them
 * for the tests. Matrix instructions and 16-bit numbers behind names of ours. */
#ifndef WILOR_CUDA_TARGET_H
#define WILOR_CUDA_TARGET_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define WILOR_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]

template <class... P, class... A>
void wilor_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t s,
                  A... args) {
    kernel<<<grid, block, shared, s>>>(static_cast<P>(args)...);
}

/* The same for a kernel that calls wait_for_kernel_before ahead of all that others write: from compute capability
 * 9.0 on its blocks may take their places while the last ones of the kernel before it are at work. */
template <class... P, class... A>
void wilor_launch_early(bool early, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                        cudaStream_t s, A... args) {
    cudaLaunchAttribute overlap = {};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t how = {};
    how.gridDim = grid;
    how.blockDim = block;
    how.dynamicSmemBytes = shared;
    how.stream = s;
    how.attrs = &overlap;
    how.numAttrs = early ? 1 : 0;
    cudaLaunchKernelEx(&how, kernel, static_cast<P>(args)...);
}

/* Whether a kernel's code has that wait: code for 9.0, not for an older architecture and made anew here. */
template <class... P> bool may_launch_early(void (*kernel)(P...)) {
    cudaFuncAttributes a = {};
    return cudaFuncGetAttributes(&a, kernel) == cudaSuccess && a.ptxVersion >= 90;
}
#else
#include "cuda_emulate.h"

#define WILOR_DYNAMIC_SHARED(name) unsigned char *name = wilor_emu::shared

template <class... P, class... A>
void wilor_launch_early(bool, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                        cudaStream_t s, A... args) {
    wilor_launch(kernel, grid, block, shared, s, args...);
}

template <class... P> bool may_launch_early(void (*)(P...)) { return false; }
#endif

#define WILOR_BOTH __host__ __device__ __forceinline__

namespace wilor_cuda {

/* ---------------------------------------------------------------- numbers */

typedef __half f16;
typedef __nv_bfloat16 bf16;

WILOR_BOTH float widen(float x) { return x; }

WILOR_BOTH float widen(f16 x) { return __half2float(x); }

WILOR_BOTH float widen(bf16 x) { return __bfloat162float(x); }

template <class T> WILOR_BOTH T narrow(float x);

template <> WILOR_BOTH float narrow<float>(float x) { return x; }

template <> WILOR_BOTH f16 narrow<f16>(float x) { return __float2half_rn(x); }

template <> WILOR_BOTH bf16 narrow<bf16>(float x) { return __float2bfloat16_rn(x); }

/* Two numbers as a register of a matrix instruction holds them, the first in the low half. */
template <class T> WILOR_BOTH uint32_t pack_pair(float low, float high) {
    T pair[2] = {narrow<T>(low), narrow<T>(high)};
    uint32_t word;
    memcpy(&word, pair, sizeof word);
    return word;
}

template <class T> WILOR_BOTH void unpack_pair(uint32_t word, float *low, float *high) {
    T pair[2];
    memcpy(pair, &word, sizeof word);
    *low = widen(pair[0]);
    *high = widen(pair[1]);
}

/* N neighbours, read or written at once; their place is a multiple of their size. */
template <class T, int N> struct alignas(N * sizeof(T)) numbers { T at[N]; };

template <int N, class T> WILOR_BOTH numbers<T, N> load(const T *from) {
    return *reinterpret_cast<const numbers<T, N> *>(from);
}

template <class T, int N> WILOR_BOTH void store(T *to, const numbers<T, N> &x) {
    *reinterpret_cast<numbers<T, N> *>(to) = x;
}

/* Sums over the lanes of a warp; every lane gets them. */
__device__ __forceinline__ float warp_sum(float x) {
    for (int m = 16; m > 0; m /= 2)
        x += __shfl_xor_sync(0xFFFFFFFFu, x, m);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
    for (int m = 16; m > 0; m /= 2) {
        float other = __shfl_xor_sync(0xFFFFFFFFu, x, m);
        x = other > x || other != other ? other : x; /* NaN wins */
    }
    return x;
}

/* ---------------------------------------------------------------- copies */

/* Where something lies in shared memory, as its instructions take it. */
#ifdef __CUDACC__
typedef uint32_t shared_place;

__device__ __forceinline__ shared_place place_of(const void *p) {
    return static_cast<shared_place>(__cvta_generic_to_shared(p));
}
#else
typedef uintptr_t shared_place;

inline shared_place place_of(const void *p) { return reinterpret_cast<shared_place>(p); }
#endif

#ifdef __CUDACC__
/* 16 bytes to shared memory, or zeros: then `from` is not looked at. They are there for the caller after
 * wait_copies, for the others of its block after a barrier more. Before compute capability 8.0 a copy is done when
 * it returns. */
__device__ __forceinline__ void copy_16(shared_place to, const void *from, bool there) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from),
                 "r"(there ? 16 : 0)
                 : "memory");
#else
    uint4 x = there ? *static_cast<const uint4 *>(from) : make_uint4(0, 0, 0, 0);
    asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};\n" ::"r"(to), "r"(x.x), "r"(x.y),
                 "r"(x.z), "r"(x.w)
                 : "memory");
#endif
}

/* The copies since the last call are a group. */
__device__ __forceinline__ void end_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

/* All groups but the last `pending` are there. */
template <int pending> __device__ __forceinline__ void wait_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
#endif
}
#else
inline void copy_16(shared_place to, const void *from, bool there) {
    void *at = reinterpret_cast<void *>(to);
    there ? memcpy(at, from, 16) : memset(at, 0, 16);
}

inline void end_copies() {}

template <int> void wait_copies() {}
#endif

__device__ __forceinline__ void copy_16(void *to, const void *from, bool there) {
    copy_16(place_of(to), from, there);
}

/* ---------------------------------------------------------------- approximations */

/* 2^x and 1 / x, off by some 2^-22 of their size; results that float32 holds with fewer digits are zero. */
#ifdef __CUDACC__
__device__ __forceinline__ float quick_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float quick_inverse(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#else
inline float quick_exp2(float x) { return exp2f(x); }

inline float quick_inverse(float x) { return 1.0f / x; }
#endif

/* ---------------------------------------------------------------- kernels that overlap */

/* What the kernel before wrote is there. Without an early launch it is anyway. */
__device__ __forceinline__ void wait_for_kernel_before() {
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}

/* The kernel behind may take its places as soon as all blocks of this one have come here or ended. What this one
 * writes it sees after its own wait only. */
__device__ __forceinline__ void let_kernel_behind_come() {
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}

/* ---------------------------------------------------------------- matrix instructions */

/* Fragments of m16n8k16 (PTX's names). Lane l, g = l / 4, t = l % 4:
 *   a[0] row g, columns 2t, 2t + 1     a[1] row g + 8, the same
 *   a[2] row g, columns 2t + 8, +9     a[3] row g + 8, the same
 *   b[0] rows 2t, 2t + 1 of column g   b[1] rows 2t + 8, + 9
 *   c[0], c[1] row g, columns 2t, 2t + 1     c[2], c[3] row g + 8 */
#ifdef __CUDACC__
template <class T>
__device__ __forceinline__ void mma_16x8x16(float c[4], const uint32_t a[4],
                                            const uint32_t b[2]);

template <>
__device__ __forceinline__ void mma_16x8x16<f16>(float c[4], const uint32_t a[4],
                                                 const uint32_t b[2]) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif __CUDA_ARCH__ >= 750
    /* Turing has half the depth. */
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[2]), "r"(a[3]), "r"(b[1]));
#endif
}

template <>
__device__ __forceinline__ void mma_16x8x16<bf16>(float c[4], const uint32_t a[4],
                                                  const uint32_t b[2]) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    c[0] = c[1] = c[2] = c[3] = 0.0f / 0.0f; /* never launched: the module refuses bf16 there */
#endif
}

/* Two 8 × 8 matrices of 16-bit numbers from shared memory: lanes 0 … 7 point at the first's rows, 8 … 15
 * at the second's. Lane l gets columns 2t, 2t + 1 of row g. */
__device__ __forceinline__ void load_matrices(uint32_t r[2], shared_place row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(row)
                 : "memory");
}

/* Four of them: rows 16 … 31 of the lanes point at the third and fourth. Turned: rows 2t, 2t + 1 of
 * column g. */
__device__ __forceinline__ void load_four_matrices(uint32_t r[4], shared_place row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

__device__ __forceinline__ void load_four_matrices_turned(uint32_t r[4], shared_place row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

/* What other blocks of this launch wrote: never from a multiprocessor's own cache. */
__device__ __forceinline__ numbers<float, 4> load_shared_work(const float *from) {
    float4 x = __ldcg(reinterpret_cast<const float4 *>(from));
    return {{x.x, x.y, x.z, x.w}};
}
#else
template <class T> void mma_16x8x16(float c[4], const uint32_t a[4], const uint32_t b[2]) {
    uint32_t *words = wilor_emu::warp_words();
    unsigned lane = wilor_emu::now->linear % 32, g = lane / 4, t = lane % 4;
    memcpy(&words[lane * 16], a, 4 * sizeof *a);
    memcpy(&words[lane * 16 + 4], b, 2 * sizeof *b);
    wilor_emu::sync_warp();
    for (unsigned i = 0; i < 4; i++) {
        unsigned row = g + i / 2 * 8, column = 2 * t + i % 2;
        float sum = c[i];
        for (unsigned k = 0; k < 16; k++) {
            unsigned at = k % 8 / 2, low = k % 2 == 0;
            uint32_t wa = words[(row % 8 * 4 + at) * 16 + row / 8 + k / 8 * 2];
            uint32_t wb = words[(column * 4 + at) * 16 + 4 + k / 8];
            float x[2], y[2];
            unpack_pair<T>(wa, &x[0], &x[1]);
            unpack_pair<T>(wb, &y[0], &y[1]);
            sum += x[!low] * y[!low];
        }
        c[i] = sum;
    }
    wilor_emu::sync_warp();
}

inline void emulate_ldmatrix(uint32_t *r, shared_place row, unsigned count, bool turned) {
    uint32_t *words = wilor_emu::warp_words();
    unsigned lane = wilor_emu::now->linear % 32, g = lane / 4, t = lane % 4;
    memcpy(&words[lane * 16], &row, sizeof row);
    wilor_emu::sync_warp();
    for (unsigned i = 0; i < count; i++) {
        uint16_t pair[2];
        for (unsigned k = 0; k < 2; k++) {
            unsigned line = turned ? 2 * t + k : g, column = turned ? g : 2 * t + k;
            const uint16_t *from;
            memcpy(&from, &words[(i * 8 + line) * 16], sizeof from);
            pair[k] = from[column];
        }
        memcpy(&r[i], pair, sizeof pair);
    }
    wilor_emu::sync_warp();
}

inline void load_matrices(uint32_t r[2], shared_place row) {
    emulate_ldmatrix(r, row, 2, false);
}

inline void load_four_matrices(uint32_t r[4], shared_place row) {
    emulate_ldmatrix(r, row, 4, false);
}

inline void load_four_matrices_turned(uint32_t r[4], shared_place row) {
    emulate_ldmatrix(r, row, 4, true);
}

inline numbers<float, 4> load_shared_work(const float *from) { return load<4>(from); }
#endif

__device__ __forceinline__ void load_four_matrices(uint32_t r[4], const void *row) {
    load_four_matrices(r, place_of(row));
}

__device__ __forceinline__ void load_four_matrices_turned(uint32_t r[4], const void *row) {
    load_four_matrices_turned(r, place_of(row));
}

} // namespace wilor_cuda

#endif
