/* What compute capability 9.0 adds for products: asynchronous matrix instructions of a warpgroup (128
 * threads), bulk copies that report to barriers in shared memory, clusters of thread blocks that receive
 * such copies together, kernels that start before the one before them has ended. PTX behind names of ours. */
#ifndef WILOR_CUDA_WGMMA_H
#define WILOR_CUDA_WGMMA_H

#include "target.h"

#include <cuda.h> /* CUtensorMap; nothing of it is linked */

namespace wilor_cuda {

/* ---------------------------------------------------------------- a block and its cluster */

__device__ __forceinline__ uint32_t shared_address(const void *p) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

struct cluster_place {
    uint32_t x, y, across, down; /* this block, and how many there are, by the grid's x and y */
};

__device__ __forceinline__ cluster_place place_in_cluster() {
    cluster_place c;
    asm volatile("mov.u32 %0, %%cluster_ctaid.x;\n" : "=r"(c.x));
    asm volatile("mov.u32 %0, %%cluster_ctaid.y;\n" : "=r"(c.y));
    asm volatile("mov.u32 %0, %%cluster_nctaid.x;\n" : "=r"(c.across));
    asm volatile("mov.u32 %0, %%cluster_nctaid.y;\n" : "=r"(c.down));
    return c;
}

/* Orders nothing but barriers_made. */
__device__ __forceinline__ void cluster_arrive() {
    asm volatile("barrier.cluster.arrive.relaxed;\n" ::: "memory");
}

__device__ __forceinline__ void cluster_wait() {
    asm volatile("barrier.cluster.wait.acquire;\n" ::: "memory");
}

/* The same place in the shared memory of block `rank` of the cluster. */
__device__ __forceinline__ uint32_t in_block(uint32_t address, uint32_t rank) {
    uint32_t there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;\n"
                 : "=r"(there)
                 : "r"(address), "r"(rank));
    return there;
}

/* ---------------------------------------------------------------- barriers */

__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(barrier), "r"(arrivals)
                 : "memory");
}

/* Barriers just made are seen by copies, and by the cluster after its barrier. */
__device__ __forceinline__ void barriers_made() {
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
}

/* Arrive at one's own barrier, which is to wait for so many bytes, too. */
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(barrier),
                 "r"(bytes)
                 : "memory");
}

/* barrier: of any block of the cluster, in_block's. Says only that what was read has been read: a release
 * to the cluster would be a memory barrier of the whole card, 0.6 µs each time, as acquiring empties the cache. */
__device__ __forceinline__ void barrier_arrive(uint32_t barrier, bool really) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.u32 p, %1, 0;\n"
                 "@p mbarrier.arrive.shared::cluster.b64 _, [%0];\n}\n" ::"r"(barrier),
                 "r"(static_cast<uint32_t>(really))
                 : "memory");
}

/* Until the barrier's phase of this parity has ended. One piece of PTX: where the compiler sees a branch
 * between matrix instructions, it makes them wait for each other. */
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity) {
    asm volatile("{\n.reg .pred p;\n"
#ifdef WILOR_WATCH
                 ".reg .u32 n;\nmov.u32 n, 0;\n"
#endif
                 "AGAIN:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
                 "@p bra DONE;\n"
#ifdef WILOR_WATCH /* a second or more */
                 "add.u32 n, n, 1;\nsetp.gt.u32 p, n, 2000000;\n@p trap;\n"
#endif
                 "bra AGAIN;\nDONE:\n}\n" ::"r"(barrier),
                 "r"(parity)
                 : "memory");
}

/* ---------------------------------------------------------------- copies */

/* A box of a tensor to the same place in all blocks of `mask`, each of whose barriers at `barrier`'s place
 * counts the bytes. One block: its own. The first coordinate is along a row. */
#define WILOR_TENSOR_COPY(dims, places, ...)                                                   \
    if ((mask & (mask - 1)) == 0)                                                              \
        asm volatile("cp.async.bulk.tensor." dims ".shared::cluster.global.tile"               \
                     ".mbarrier::complete_tx::bytes [%0], [%1, {" places                       \
                     "}], [%2];\n" ::"r"(to),                                                  \
                     "l"(map), "r"(barrier), "h"(static_cast<uint16_t>(mask)), __VA_ARGS__     \
                     : "memory");                                                              \
    else                                                                                       \
        asm volatile("cp.async.bulk.tensor." dims ".shared::cluster.global.tile"               \
                     ".mbarrier::complete_tx::bytes.multicast::cluster"                        \
                     " [%0], [%1, {" places "}], [%2], %3;\n" ::"r"(to),                       \
                     "l"(map), "r"(barrier), "h"(static_cast<uint16_t>(mask)), __VA_ARGS__     \
                     : "memory");

__device__ __forceinline__ void tensor_copy(uint32_t to, const CUtensorMap *map, int x, int y,
                                            uint32_t barrier, uint32_t mask){
    WILOR_TENSOR_COPY("2d", "%4, %5", "r"(x), "r"(y))}

__device__ __forceinline__ void tensor_copy(uint32_t to, const CUtensorMap *map, int x, int y,
                                            int z, int last, uint32_t barrier, uint32_t mask){
    WILOR_TENSOR_COPY("4d", "%4, %5, %6, %7", "r"(x), "r"(y), "r"(z), "r"(last))}

#undef WILOR_TENSOR_COPY

__device__ __forceinline__ void prefetch_map(const CUtensorMap *map) {
    asm volatile("prefetch.tensormap [%0];\n" ::"l"(map) : "memory");
}

/* ---------------------------------------------------------------- matrix instructions */

/* An operand in shared memory as tensor copies leave it: rows of 128 bytes, whose eight pieces of 16 bytes
 * change places by the row's number (128-byte swizzle), eight rows 1024 bytes from the next eight. Starts
 * at a multiple of 1024; 16 numbers further along a row are 32 bytes more. */
WILOR_BOTH uint64_t operand(uint32_t address) {
    return static_cast<uint64_t>((address & 0x3FFFF) >> 4) | 1ull << 16 |
           static_cast<uint64_t>(1024 >> 4) << 32 | 1ull << 62;
}

/* Operands' registers and memory are ready for the instructions behind this. */
__device__ __forceinline__ void wgmma_begin() {
    asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}

__device__ __forceinline__ void wgmma_end() {
    asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}

/* All groups but the last `pending` are done. */
template <int pending> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(pending) : "memory");
}

/* d += a bᵀ, a 64 × 16, b N × 16. Warp w of the four, lane l, g = l / 4, t = l % 4:
 *   d[4j], d[4j + 1] row 16w + g, columns 8j + 2t, + 1     d[4j + 2], d[4j + 3] row + 8 */
template <class T, int N> struct wgmma;

#define WILOR_FOUR(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define WILOR_TWENTY(i)                                                                        \
    WILOR_FOUR(i), WILOR_FOUR((i) + 4), WILOR_FOUR((i) + 8), WILOR_FOUR((i) + 12),             \
        WILOR_FOUR((i) + 16)
#define WILOR_2(ten) "%" ten "0,%" ten "1"
#define WILOR_4(ten) WILOR_2(ten) ",%" ten "2,%" ten "3"
#define WILOR_6(ten) WILOR_4(ten) ",%" ten "4,%" ten "5"
#define WILOR_8(ten) WILOR_6(ten) ",%" ten "6,%" ten "7"
#define WILOR_10(ten) WILOR_8(ten) ",%" ten "8,%" ten "9,"
#define WILOR_20(a, b) WILOR_10(a) WILOR_10(b)
#define WILOR_40 WILOR_20("", "1") WILOR_20("2", "3")
#define WILOR_80 WILOR_40 WILOR_20("4", "5") WILOR_20("6", "7")

/* names: of the N / 2 sums; a, b: of the operands behind them; then the sums themselves. */
#define WILOR_WGMMA_OF(T, type, N, names, a, b, ...)                                           \
    template <> struct wgmma<T, N> {                                                           \
        static __device__ __forceinline__ void add(float (&d)[N / 2], uint64_t x,              \
                                                   uint64_t y) {                               \
            asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"                            \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." type "." type       \
                         " {" names "}, %" #a ", %" #b ", p, 1, 1, 0, 0;\n}\n"                 \
                         : __VA_ARGS__                                                         \
                         : "l"(x), "l"(y));                                                    \
        }                                                                                      \
    };
#define WILOR_WGMMA(N, names, a, b, ...)                                                       \
    WILOR_WGMMA_OF(f16, "f16", N, names, a, b, __VA_ARGS__)                                    \
    WILOR_WGMMA_OF(bf16, "bf16", N, names, a, b, __VA_ARGS__)

WILOR_WGMMA(56, WILOR_20("", "1") WILOR_8("2"), 28, 29, WILOR_TWENTY(0), WILOR_FOUR(20),
            WILOR_FOUR(24))
WILOR_WGMMA(64, WILOR_20("", "1") WILOR_10("2") WILOR_2("3"), 32, 33, WILOR_TWENTY(0),
            WILOR_FOUR(20), WILOR_FOUR(24), WILOR_FOUR(28))
WILOR_WGMMA(72, WILOR_20("", "1") WILOR_10("2") WILOR_6("3"), 36, 37, WILOR_TWENTY(0),
            WILOR_FOUR(20), WILOR_FOUR(24), WILOR_FOUR(28), WILOR_FOUR(32))
WILOR_WGMMA(112, WILOR_40 WILOR_10("4") WILOR_6("5"), 56, 57, WILOR_TWENTY(0), WILOR_TWENTY(20),
            WILOR_FOUR(40), WILOR_FOUR(44), WILOR_FOUR(48), WILOR_FOUR(52))
WILOR_WGMMA(128, WILOR_40 WILOR_20("4", "5") WILOR_4("6"), 64, 65, WILOR_TWENTY(0),
            WILOR_TWENTY(20), WILOR_TWENTY(40), WILOR_FOUR(60))
WILOR_WGMMA(136, WILOR_40 WILOR_20("4", "5") WILOR_8("6"), 68, 69, WILOR_TWENTY(0),
            WILOR_TWENTY(20), WILOR_TWENTY(40), WILOR_FOUR(60), WILOR_FOUR(64))
WILOR_WGMMA(144, WILOR_40 WILOR_20("4", "5") WILOR_10("6") WILOR_2("7"), 72, 73,
            WILOR_TWENTY(0), WILOR_TWENTY(20), WILOR_TWENTY(40), WILOR_FOUR(60), WILOR_FOUR(64),
            WILOR_FOUR(68))
WILOR_WGMMA(176, WILOR_80 WILOR_8("8"), 88, 89, WILOR_TWENTY(0), WILOR_TWENTY(20),
            WILOR_TWENTY(40), WILOR_TWENTY(60), WILOR_FOUR(80), WILOR_FOUR(84))
WILOR_WGMMA(192, WILOR_80 WILOR_10("8") WILOR_6("9"), 96, 97, WILOR_TWENTY(0), WILOR_TWENTY(20),
            WILOR_TWENTY(40), WILOR_TWENTY(60), WILOR_FOUR(80), WILOR_FOUR(84), WILOR_FOUR(88),
            WILOR_FOUR(92))
WILOR_WGMMA(216, WILOR_80 WILOR_20("8", "9") WILOR_8("10"), 108, 109, WILOR_TWENTY(0),
            WILOR_TWENTY(20), WILOR_TWENTY(40), WILOR_TWENTY(60), WILOR_TWENTY(80),
            WILOR_FOUR(100), WILOR_FOUR(104))
WILOR_WGMMA(240, WILOR_80 WILOR_20("8", "9") WILOR_10("10") WILOR_8("11") ",%118,%119", 120,
            121, WILOR_TWENTY(0), WILOR_TWENTY(20), WILOR_TWENTY(40), WILOR_TWENTY(60),
            WILOR_TWENTY(80), WILOR_TWENTY(100))
WILOR_WGMMA(256, WILOR_80 WILOR_20("8", "9") WILOR_20("10", "11") WILOR_8("12"), 128, 129,
            WILOR_TWENTY(0), WILOR_TWENTY(20), WILOR_TWENTY(40), WILOR_TWENTY(60),
            WILOR_TWENTY(80), WILOR_TWENTY(100), WILOR_FOUR(120), WILOR_FOUR(124))

#undef WILOR_WGMMA
#undef WILOR_WGMMA_OF
#undef WILOR_80
#undef WILOR_40
#undef WILOR_20
#undef WILOR_10
#undef WILOR_8
#undef WILOR_6
#undef WILOR_4
#undef WILOR_2
#undef WILOR_TWENTY
#undef WILOR_FOUR

} // namespace wilor_cuda

#endif
