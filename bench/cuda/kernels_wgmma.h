/* Products y = x wᵀ of our own for compute capability 9.0, with what is to follow done on the sums while they
 * are in registers. The weights' outputs are the instruction's 64 rows, our rows (tokens) its columns: 210 rows
 * are then three tiles of 72 with little waste.
 *
 * Both operands lie row-major, as everywhere. Tensor copies bring boxes of 64 inputs; the weights' box takes of
 * sixteen outputs the even ones first, by a dimension more (describe_weights): the two outputs that a thread has
 * sums of are then neighbours, so that its stores are of pairs and a warp's fill sectors of 32 bytes.
 *
 * A block of threads is GROUPS warpgroups, 64 outputs each, for the same ROWS rows, and a warp that fetches.
 * Blocks of a cluster along the grid's x have the same outputs, those along y the same rows: they take turns, by
 * stages, to fetch what is common and send it to all. A stage is free again when the warps of all blocks that
 * receive what this block fetches have said so.
 *
 * Easy to get wrong: a block must not end while others send to it; nothing that the kernel before wrote may
 * be read before wait_for_kernel_before, and weights may. */
#ifndef WILOR_CUDA_KERNELS_WGMMA_H
#define WILOR_CUDA_KERNELS_WGMMA_H

#include "elements.h"
#include "wgmma.h"

namespace wilor_cuda {

enum {
    DEPTH_STEP = 64, /* inputs of a stage: 128 bytes, the swizzle's width */
    ROW_BYTES = DEPTH_STEP * 2,
    OUTPUT_TILE = 64,
};

enum product_end {
    END_ROWS,  /* y of T, row-major, + bias of T */
    END_GELU,  /* y of T, row-major, gelu(+ bias of float32) */
    END_PARTS, /* y of float32, parts × rows × outputs */
    END_ONTO   /* y of float32, row-major: y += … + bias of float32 */
};

/* For measurements: a kernel without the other. */
enum product_work { WORK_COPIES = 1, WORK_SUMS = 2, WORK_ALL = 3 };

struct product_args {
    CUtensorMap w, x;
    const void *bias;
    void *y;
    int rows, outputs, inputs;
};

/* ---------------------------------------------------------------- operands */

/* A row-major operand as a tensor, fastest dimension first; steps in bytes, from the second on. */
struct operand_tensor {
    uint32_t dims, box[4];
    uint64_t size[4], step[3];
};

WILOR_BOTH operand_tensor describe_rows(int rows, int inputs, int tile) {
    uint64_t row = (uint64_t)inputs * 2;
    return {2,
            {DEPTH_STEP, (uint32_t)tile, 1, 1},
            {(uint64_t)inputs, (uint64_t)rows, 1, 1},
            {row, 0, 0}};
}

/* Inputs, eight outputs two apart, even or odd, sixteens: the box's rows are 0 2 4 … 14, 1 3 5 … 15, 16 … */
WILOR_BOTH operand_tensor describe_weights(int outputs, int inputs, int tile) {
    uint64_t row = (uint64_t)inputs * 2;
    return {4,
            {DEPTH_STEP, 8, 2, (uint32_t)(tile / 16)},
            {(uint64_t)inputs, 8, 2, (uint64_t)(outputs / 16)},
            {2 * row, row, 16 * row}};
}

/* The steps of part `part` of `parts`. */
WILOR_BOTH int first_step(int steps, int part, int parts) { return steps * part / parts; }

template <int GROUPS, int ROWS>
constexpr int stage_bytes = (GROUPS * OUTPUT_TILE + ROWS) * ROW_BYTES;
template <int GROUPS, int ROWS,
          int STAGES> /* stages start at a multiple of 1024, barriers follow */
constexpr int product_shared = 1024 + STAGES *(stage_bytes<GROUPS, ROWS> + 16);

/* ---------------------------------------------------------------- the fetching warp */

/* What a block fetches, and in which of how many stages. */
struct fetched {
    const CUtensorMap *w, *x;
    uint32_t w_to, x_to, w_mask, x_mask, w_turn, w_turns, x_turn, x_turns;
    int w_at, x_at; /* in sixteens of outputs, in rows */
};

template <int GROUPS, int ROWS>
__device__ __forceinline__ fetched find_share(const product_args &a, const cluster_place &c,
                                              uint32_t stages) {
    uint32_t along_y = 0;
    for (uint32_t i = 0; i < c.down; i++)
        along_y |= 1u << (i * c.across + c.x);
    return {&a.w,
            &a.x,
            stages,
            stages + GROUPS * OUTPUT_TILE * ROW_BYTES,
            ((1u << c.across) - 1) << (c.y * c.across),
            along_y,
            c.x,
            c.across,
            c.y,
            c.down,
            (int)blockIdx.y * GROUPS * OUTPUT_TILE / 16,
            (int)blockIdx.x * ROWS};
}

/* step: of all inputs; i: of this part. */
__device__ __forceinline__ void fetch_weights(const fetched &f, int step, int i, uint32_t stage,
                                              uint32_t barrier) {
    if ((uint32_t)i % f.w_turns == f.w_turn)
        tensor_copy(f.w_to + stage, f.w, step * DEPTH_STEP, 0, 0, f.w_at, barrier, f.w_mask);
}

__device__ __forceinline__ void fetch_rows(const fetched &f, int step, int i, uint32_t stage,
                                           uint32_t barrier) {
    if ((uint32_t)i % f.x_turns == f.x_turn)
        tensor_copy(f.x_to + stage, f.x, step * DEPTH_STEP, f.x_at, barrier, f.x_mask);
}

/* One thread. full, empty: barriers, one a stage. */
template <int GROUPS, int ROWS, int STAGES>
__device__ __forceinline__ void fetch_stages(const product_args &a, const cluster_place &c,
                                             uint32_t stages, uint32_t full, uint32_t empty) {
    enum { BYTES = stage_bytes<GROUPS, ROWS> };

    int all = a.inputs / DEPTH_STEP, part = (int)blockIdx.z, parts = (int)gridDim.z;
    int from = first_step(all, part, parts), steps = first_step(all, part + 1, parts) - from;
    int early = steps < STAGES ? steps : STAGES;
    fetched f = find_share<GROUPS, ROWS>(a, c, stages);
    for (int i = 0; i < early; i++) {
        barrier_expect(full + 8 * i, BYTES);
        fetch_weights(f, from + i, i, i * BYTES, full + 8 * i);
    }
    wait_for_kernel_before();
    for (int i = 0; i < early; i++)
        fetch_rows(f, from + i, i, i * BYTES, full + 8 * i);
    for (int i = STAGES, s = 0, parity = 0; i < steps; i++) {
        barrier_wait(empty + 8 * s, parity);
        barrier_expect(full + 8 * s, BYTES);
        fetch_weights(f, from + i, i, s * BYTES, full + 8 * s);
        fetch_rows(f, from + i, i, s * BYTES, full + 8 * s);
        if (++s == STAGES) {
            s = 0;
            parity ^= 1;
        }
    }
}

/* ---------------------------------------------------------------- warpgroups */

/* Blocks that send to this one, and receive from it: those of its row and column of the cluster. A lane each;
 * the barrier of the others has none. */
__device__ __forceinline__ uint32_t barrier_of_peer(const cluster_place &c, uint32_t empty,
                                                    uint32_t lane) {
    uint32_t x = lane < c.across ? lane : c.x, y = c.y;
    if (lane >= c.across) {
        y = lane - c.across; /* all of the column but this row */
        y += y >= c.y;
    }
    return lane < c.across + c.down - 1 ? in_block(empty, y * c.across + x) : 0;
}

/* The sums of a stage. */
template <class T, int ROWS>
__device__ __forceinline__ void add_stage(float (&d)[ROWS / 2], uint64_t w, uint64_t x) {
    wgmma_begin();
#pragma unroll
    for (int k = 0; k < DEPTH_STEP / 16; k++)
        wgmma<T, ROWS>::add(d, w + 2 * k, x + 2 * k);
    wgmma_end();
}

/* The sums of 64 outputs × ROWS rows. */
template <class T, int GROUPS, int ROWS, int STAGES, int WORK>
__device__ __forceinline__ void multiply(const product_args &a, const cluster_place &c,
                                         uint32_t stages, uint32_t full, uint32_t empty,
                                         float (&d)[ROWS / 2]) {
    enum { BYTES = stage_bytes<GROUPS, ROWS> };

    int all = a.inputs / DEPTH_STEP, part = (int)blockIdx.z, parts = (int)gridDim.z;
    int steps = first_step(all, part + 1, parts) - first_step(all, part, parts);
    uint32_t peer = barrier_of_peer(c, empty, threadIdx.x % 32);
    uint32_t group = GROUPS == 1 ? 0 : __shfl_sync(0xFFFFFFFFu, threadIdx.x / 128, 0);
    uint64_t w = operand(stages + group * OUTPUT_TILE * ROW_BYTES),
             x = operand(stages + GROUPS * OUTPUT_TILE * ROW_BYTES);
#pragma unroll
    for (int i = 0; i < ROWS / 2; i++)
        d[i] = 0;
    int s = 0, last = 0;
    uint32_t parity = 0, at = 0;
    for (int i = 0; i < steps; i++) {
        if constexpr (WORK & WORK_COPIES)
            barrier_wait(full + 8 * s, parity);
        if constexpr (WORK & WORK_SUMS) {
            add_stage<T, ROWS>(d, w + at, x + at);
            wgmma_wait<1>();
        }
        if constexpr (WORK & WORK_COPIES) /* if somebody waits for the step before */
            barrier_arrive(peer + 8 * last, i > 0 && i - 1 + STAGES < steps && peer);
        last = s++;
        at += BYTES / 16;
        if (s == STAGES) {
            s = 0;
            at = 0;
            parity ^= 1;
        }
    }
    wgmma_wait<0>();
}

/* ---------------------------------------------------------------- the end */

/* A thread's two outputs, at + 0 and + 1, of row n + 2t and n + 2t + 1, for each n = 0, 8, …: f(row, at, two sums). */
template <int GROUPS, int ROWS, class F>
__device__ __forceinline__ void each_pair(const product_args &a, const float (&d)[ROWS / 2],
                                          int output, F f) {
    int first = (int)blockIdx.x * ROWS + (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int i = 0; i < ROWS / 4; i++) {
        int row = first + i / 2 * 8 + i % 2, k = i / 2 * 4 + i % 2;
        if (row < a.rows)
            f((size_t)row * (size_t)a.outputs + (size_t)output, d[k], d[k + 2]);
    }
}

template <class T, int GROUPS, int ROWS, int END>
__device__ __forceinline__ void finish(const product_args &a, const float (&d)[ROWS / 2]) {
    int output = (int)blockIdx.y * GROUPS * OUTPUT_TILE + (int)threadIdx.x / 32 * 16 +
                 (int)threadIdx.x % 32 / 4 * 2;
    float b0 = 0, b1 = 0;
    if constexpr (END == END_ROWS) {
        b0 = widen(static_cast<const T *>(a.bias)[output]);
        b1 = widen(static_cast<const T *>(a.bias)[output + 1]);
    } else if constexpr (END != END_PARTS) {
        b0 = static_cast<const float *>(a.bias)[output];
        b1 = static_cast<const float *>(a.bias)[output + 1];
    }
    each_pair<GROUPS, ROWS>(a, d, output, [&](size_t at, float v0, float v1) {
        if constexpr (END == END_ROWS || END == END_GELU) {
            v0 += b0;
            v1 += b1;
            *reinterpret_cast<uint32_t *>(static_cast<T *>(a.y) + at) =
                END == END_GELU ? pack_pair<T>(gelu(v0), gelu(v1)) : pack_pair<T>(v0, v1);
        } else if constexpr (END == END_PARTS) {
            size_t part = (size_t)blockIdx.z * (size_t)a.rows * (size_t)a.outputs;
            store(static_cast<float *>(a.y) + part + at, numbers<float, 2>{{v0, v1}});
        } else {
            float *y = static_cast<float *>(a.y) + at;
            numbers<float, 2> sum = load<2>(y);
            sum.at[0] += v0 + b0;
            sum.at[1] += v1 + b1;
            store(y, sum);
        }
    });
}

/* Barriers of the stages, seen by the cluster. */
template <int GROUPS, int STAGES>
__device__ __forceinline__ void make_barriers(const product_args &a, const cluster_place &c,
                                              uint32_t full, uint32_t empty) {
    if (threadIdx.x == 0) {
        prefetch_map(&a.w);
        prefetch_map(&a.x);
        for (int i = 0; i < STAGES; i++) {
            barrier_init(full + 8 * i, 1);
            barrier_init(empty + 8 * i, (c.across + c.down - 1) * GROUPS * 4);
        }
        barriers_made();
    }
    __syncthreads();
    cluster_arrive();
    cluster_wait();
}

/* Grid: tiles of rows, of GROUPS × 64 outputs, parts of the inputs. */
template <class T, int GROUPS, int ROWS, int STAGES, int BLOCKS, int END, int WORK = WORK_ALL>
__global__ void __launch_bounds__(GROUPS * 128 + 32, BLOCKS)
    product_kernel(const __grid_constant__ product_args a) {
#if __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ __align__(1024) unsigned char memory[];
    uint32_t stages = (shared_address(memory) + 1023) & ~1023u;
    uint32_t full = stages + STAGES * stage_bytes<GROUPS, ROWS>, empty = full + 8 * STAGES;
    cluster_place c = place_in_cluster();
    let_kernel_behind_come();
    make_barriers<GROUPS, STAGES>(a, c, full, empty);
    if (threadIdx.x < GROUPS * 128) {
        float d[ROWS / 2];
        multiply<T, GROUPS, ROWS, STAGES, WORK>(a, c, stages, full, empty, d);
        cluster_arrive();
        wait_for_kernel_before();
        if (WORK & WORK_SUMS || d[0] != 0)
            finish<T, GROUPS, ROWS, END>(a, d);
    } else {
        if (threadIdx.x == GROUPS * 128 && WORK & WORK_COPIES)
            fetch_stages<GROUPS, ROWS, STAGES>(a, c, stages, full, empty);
        __syncwarp();
        cluster_arrive();
    }
    cluster_wait(); /* nobody sends to this block any more */
#endif
}

} // namespace wilor_cuda

#endif
