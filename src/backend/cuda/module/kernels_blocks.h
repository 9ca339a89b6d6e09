/* All blocks of the ViT for one hand or two as one kernel, compute capability 9.0: a block of threads on each
 * multiprocessor, phases with barriers of the whole grid between them. Two warpgroups work; two threads of a third,
 * which gives its registers to them, fetch what products multiply into a ring of stages, as kernels_wgmma.h's in
 * bench/cuda does. They go through the products of all blocks by themselves: one's weights come as soon as a stage is
 * free, while norms, attention and barriers go on, the other's rows when the phase that writes them has ended
 * everywhere. What a step needs is on its way for a microsecond: the ring is all of the shared memory, and attention's
 * keys lie in its last stages. The product behind attention begins in the first one, and the last ones wait.
 *
 * As in those products the weights' outputs are the matrix instruction's 64 rows, our rows (tokens) its columns. A
 * task is 128 outputs, 64 a warpgroup, by 72 rows a hand; of qkv 64 outputs by 112 rows a hand, half of them a
 * warpgroup's. One hand has 120 tasks in each of a block's products.
 *
 * Barriers of the grid: a counter for each phase, to which each block adds one when it has done its share. Who reads
 * what a phase wrote waits for its counter; a block without tasks may be phases ahead. Products onto the residual
 * stream have none: each of their sums has one reader, the norm behind, which looks at the sums until they are there
 * and leaves marks in their places, which are no sum's bits. Before the next product writes there, it has seen a
 * counter of a later phase. Copies are another proxy to memory than loads and stores: fence_copies stands between what
 * is written and the counter, and between the counter and the copies. A row of the residual stream is always the same
 * block's. */
#ifndef WILOR_CUDA_KERNELS_BLOCKS_H
#define WILOR_CUDA_KERNELS_BLOCKS_H

#include "kernels_attention.h"
#include "kernels_blocks_types.h"
#include "kernels_vit.h"

namespace wilor_cuda {

/* For measurements (nvcc takes NVCC_APPEND_FLAGS): stages of the ring, GELU with erf instead of its tanh form. */
#ifndef WILOR_BLOCKS_STAGES
#define WILOR_BLOCKS_STAGES 0 /* as many as fit */
#endif
#ifndef WILOR_BLOCKS_ERF
#define WILOR_BLOCKS_ERF 0
#endif

enum {
    WORKERS = 256,
    BLOCKS_THREADS = WORKERS + 128,
    WORKER_WARPS = WORKERS / 32,
    NORM_GROUP = 128, /* threads of a row */
    NORM_FOURS = BLOCKS_MOST_WIDTH / 4 / NORM_GROUP,
    BLOCKS_HEAD_DEPTH = 5, /* heads of up to 80 */
    QUERIES_A_TASK = SPREAD_TILES * QUERY_TILE,
    /* Named barriers; 0 is __syncthreads. A norm's groups have two from MEET_NORM on. */
    MEET_WORKERS = 1,
    MEET_ATTENTION,
    MEET_NORM
};

/* Tiles for so many hands, and what lies where in shared memory. */
template <int HANDS> struct blocks_tile {
    enum {
        QKV_ROWS = QKV_TILE_ROWS * HANDS,
        ROWS = TILE_ROWS * HANDS,
        QKV_BYTES = (OUTPUT_TILE + QKV_ROWS) * ROW_BYTES,
        BYTES = (2 * OUTPUT_TILE + ROWS) * ROW_BYTES,
        STAGE = QKV_BYTES > BYTES ? QKV_BYTES : BYTES,
        STAGES = WILOR_BLOCKS_STAGES ? WILOR_BLOCKS_STAGES
                 : HANDS == 1        ? 9
                                     : 6,
        KEYS_BYTES = attention_tile<f16, BLOCKS_HEAD_DEPTH>::SPREAD_BYTES,
        FREE = STAGES - (KEYS_BYTES + (int)sizeof(warp_tops) + STAGE - 1) / STAGE,
        HEADS = FREE * STAGE, /* attention's keys, values and queries, its largest scores */
        TOPS = HEADS + KEYS_BYTES,
        FULL = STAGES * STAGE, /* barriers */
        EMPTY = FULL + 8 * STAGES,
        ATTENDED = EMPTY + 8 * STAGES,
        SUMS = ATTENDED + 8, /* norms': two groups' two sums of four warps */
        END = SUMS + 64
    };

    static_assert(STAGE % 1024 == 0 && QKV_ROWS / 2 * ROW_BYTES % 1024 == 0 && TOPS % 16 == 0,
                  "operands begin at multiples of 1024");
    static_assert(FREE > 0 && STAGES <= 32, "stages beside attention; a bit each");
};

/* Stages begin at a multiple of 1024. */
template <int HANDS> constexpr int blocks_shared = 1024 + blocks_tile<HANDS>::END;

#if WILOR_CUDA_90A

/* ---------------------------------------------------------------- barriers */

/* The threads that call it, `count` of them. */
__device__ __forceinline__ void meet(int barrier, int count) {
    asm volatile("bar.sync %0, %1;\n" ::"r"(barrier), "r"(count) : "memory");
}

/* Of phase `phase` of block `block`, counted from the launch's first. */
__device__ __forceinline__ unsigned *counter_of(const blocks_args &a, int block, int phase) {
    return a.counters + ((block - a.first) * PHASES + phase) * COUNTER_APART;
}

/* Whether all blocks of threads have done their share. */
__device__ __forceinline__ bool phase_ended(const unsigned *counter) {
    unsigned n;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];\n" : "=r"(n) : "l"(counter) : "memory");
    return n >= gridDim.x;
}

/* The same number, of which the compiler does not know that: what is worked out from it is worked out again in each
 * block, and not kept in registers that the phases between need. */
__device__ __forceinline__ int anew(int x) {
    asm volatile("" : "+r"(x));
    return x;
}

/* In place of a sum that is not there: bits of a NaN that no arithmetic here gives. */
static const uint32_t MARK = 0xFFFFFFFFu;

/* Four sums as they are in the card's cache. */
__device__ __forceinline__ uint4 look_at_sums(const float *from) {
    uint4 x;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "l"(from)
                 : "memory");
    return x;
}

__device__ __forceinline__ bool are_there(const uint4 &x) {
    return x.x != MARK && x.y != MARK && x.z != MARK && x.w != MARK;
}

/* A sum's bits are never the mark's. */
__device__ __forceinline__ float unmarked(float x) {
    return x == x ? x : __uint_as_float(0x7FFFFFFFu);
}

/* A second without progress is an error, where that is watched for. */
struct watch {
    unsigned turns = 0;

    __device__ __forceinline__ void turn() {
#ifdef WILOR_WATCH
        if (++turns > 4000000)
            __trap();
#endif
    }
};

/* All workers, whose loads behind this see what the phase wrote. */
__device__ __forceinline__ void wait_for_phase(const unsigned *counter) {
    watch w;
    if (threadIdx.x == 0)
        while (!phase_ended(counter))
            w.turn();
    __syncwarp();
    meet(MEET_WORKERS, WORKERS);
}

/* All workers have done their share: what they wrote goes before the count. */
__device__ __forceinline__ void end_phase(unsigned *counter) {
    fence_copies();
    meet(MEET_WORKERS, WORKERS);
    if (threadIdx.x == 0)
        asm volatile("red.release.gpu.global.add.u32 [%0], 1;\n" ::"l"(counter) : "memory");
    __syncwarp();
}

/* ---------------------------------------------------------------- tasks */

/* A tile of rows and of outputs, and steps from … to of the inputs, which are part `part`. */
struct product_task {
    int rows, outputs, part, from, to;
};

__device__ __forceinline__ product_task task_of(const mapped_product &p, int task) {
    int rows = task % p.row_tiles, rest = task / p.row_tiles, part = rest % p.parts;
    return {rows, rest / p.parts, part, p.steps * part / p.parts,
            p.steps * (part + 1) / p.parts};
}

/* Which phase gives a product's rows. */
__device__ __forceinline__ int phase_before(int product) {
    return product == PRODUCT_QKV    ? PHASE_NORM1
           : product == PRODUCT_PROJ ? PHASE_ATTENTION
           : product == PRODUCT_FC1  ? PHASE_NORM2
                                     : PHASE_FC1;
}

/* ---------------------------------------------------------------- stages */

/* Where a thread is in the ring; turns: a bit for each stage, which changes when the thread leaves it. */
struct ring_place {
    uint32_t slot, turns;
};

__device__ __forceinline__ uint32_t turn_of(const ring_place &at) {
    return at.turns >> at.slot & 1;
}

template <int STAGES> __device__ __forceinline__ void next_stage(ring_place *at) {
    at->turns ^= 1u << at->slot;
    at->slot = at->slot + 1 == STAGES ? 0 : at->slot + 1;
}

/* ---------------------------------------------------------------- the fetching threads */

/* Weights of a step to its stage, which then waits for all its bytes. */
template <int HANDS>
__device__ __forceinline__ void fetch_step_weights(const mapped_product &p, bool qkv, int block,
                                                   const product_task &in, int step,
                                                   uint32_t stage, uint32_t full) {
    typedef blocks_tile<HANDS> tile;
    barrier_expect(full, qkv ? tile::QKV_BYTES : tile::BYTES);
    tensor_copy(stage, &p.w, step * DEPTH_STEP, 0, 0, /* outputs in sixteens */
                in.outputs * (qkv ? OUTPUT_TILE / 16 : OUTPUT_TILE / 8), block, full, 1);
}

template <int HANDS>
__device__ __forceinline__ void fetch_step_rows(const mapped_product &p, bool qkv,
                                                const product_task &in, int step,
                                                uint32_t stage, uint32_t full) {
    typedef blocks_tile<HANDS> tile;
    tensor_copy(stage + (qkv ? OUTPUT_TILE : 2 * OUTPUT_TILE) * ROW_BYTES, &p.x,
                step * DEPTH_STEP, in.rows * (qkv ? tile::QKV_ROWS : tile::ROWS), full, 1);
}

/* A product's rows are there. One thread. */
__device__ __forceinline__ void wait_for_rows(const blocks_args &a, int block, int product) {
    const unsigned *counter = counter_of(a, block, phase_before(product));
    watch w;
    while (!phase_ended(counter))
        w.turn();
    fence_copies();
}

/* Once a block, so that no turn of the barrier is missed: attention's stages are free. */
__device__ __forceinline__ void wait_for_attention(bool *kept, uint32_t attended, int block) {
    if (*kept)
        barrier_wait(attended, (uint32_t)block & 1);
    *kept = false;
}

/* One thread: the weights, or the rows, of all that this block of threads multiplies, in the order in which it does. A
 * stage that was never full counts as empty: the first round waits for the phase before the barrier's first. */
template <int HANDS, bool WEIGHTS>
__device__ __forceinline__ void fetch_blocks(const blocks_args &a, uint32_t memory) {
    typedef blocks_tile<HANDS> tile;
    uint32_t attended = memory + tile::ATTENDED;
    ring_place at = {0, ~0u};
    bool kept = false;
    for (int i = a.first * PRODUCTS; i < (a.first + a.count) * PRODUCTS; i++) {
        int block = i / PRODUCTS, product = i % PRODUCTS;
        bool qkv = product == PRODUCT_QKV;
        const mapped_product &p = a.product[product];
        if (qkv)
            kept = true;
        if (product == PRODUCT_PROJ)
            at.slot = 0;
        if (product == PRODUCT_FC1)
            wait_for_attention(&kept, attended, block - a.first);
        if (!WEIGHTS && (int)blockIdx.x < p.tasks)
            wait_for_rows(a, block, product);
        for (int task = (int)blockIdx.x; task < p.tasks; task += (int)gridDim.x) {
            product_task in = task_of(p, task);
            for (int step = in.from; step < in.to; step++) {
                uint32_t stage = memory + at.slot * tile::STAGE,
                         full = memory + tile::FULL + 8 * at.slot;
                if (product == PRODUCT_PROJ && at.slot >= tile::FREE)
                    wait_for_attention(&kept, attended, block - a.first);
                barrier_wait(memory + tile::EMPTY + 8 * at.slot, turn_of(at));
                if constexpr (WEIGHTS)
                    fetch_step_weights<HANDS>(p, qkv, block, in, step, stage, full);
                else
                    fetch_step_rows<HANDS>(p, qkv, in, step, stage, full);
                next_stage<tile::STAGES>(&at);
            }
        }
    }
}

/* ---------------------------------------------------------------- products */

/* d = the sums of 64 outputs × ROWS rows over so many steps; w, x: operands in the first stage. */
template <class T, int HANDS, int ROWS>
__device__ __forceinline__ void multiply_steps(ring_place *at, uint32_t memory, uint64_t w,
                                               uint64_t x, int steps, float (&d)[ROWS / 2]) {
    typedef blocks_tile<HANDS> tile;
    uint32_t full = memory + tile::FULL, empty = memory + tile::EMPTY, last = 0;
    bool first_lane = threadIdx.x % 32 == 0;
#pragma unroll
    for (int i = 0; i < ROWS / 2; i++)
        d[i] = 0;
    for (int i = 0; i < steps; i++) {
        uint64_t stage = at->slot * (tile::STAGE / 16);
        barrier_wait(full + 8 * at->slot, turn_of(*at));
        add_stage<T, ROWS>(d, w + stage, x + stage);
        wgmma_wait<1>();
        barrier_arrive_here(empty + 8 * last, i > 0 && first_lane);
        last = at->slot;
        next_stage<tile::STAGES>(at);
    }
    wgmma_wait<0>();
    barrier_arrive_here(empty + 8 * last, steps > 0 && first_lane);
}

/* 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))) = x / (1 + e^(-2 …)): at most 5e-4 from the one with erf. */
__device__ __forceinline__ float gelu_of(float x) {
    if constexpr (WILOR_BLOCKS_ERF)
        return gelu(x);
    float cubic = x * fmaf(x * x, -0.1029432f, -2.3022082f);
    return x * quick_inverse(1.0f + quick_exp2(cubic));
}

/* A thread's two outputs of a row, added up. at: the first one's place. */
template <class T, int PRODUCT>
__device__ __forceinline__ void keep_pair(const blocks_args &a, size_t at, float v0, float v1) {
    if constexpr (PRODUCT == PRODUCT_QKV)
        *reinterpret_cast<uint32_t *>(static_cast<T *>(a.qkv) + at) = pack_pair<T>(v0, v1);
    else if constexpr (PRODUCT == PRODUCT_FC1)
        *reinterpret_cast<uint32_t *>(static_cast<T *>(a.hidden) + at) =
            pack_pair<T>(gelu_of(v0), gelu_of(v1));
    else
        store(a.sums + at, numbers<float, 2>{{unmarked(v0), unmarked(v1)}});
}

/* A block's share of a product. */
template <class T, int HANDS, int PRODUCT>
__device__ __forceinline__ void run_product_tasks(const blocks_args &a, int block,
                                                  uint32_t memory, ring_place *at) {
    typedef blocks_tile<HANDS> tile;

    enum {
        QKV = PRODUCT == PRODUCT_QKV, /* warpgroups share outputs */
        OUTPUTS = QKV ? OUTPUT_TILE : 2 * OUTPUT_TILE,
        ROWS = QKV ? tile::QKV_ROWS / 2 : tile::ROWS, /* a warpgroup's */
        BIASED = QKV || PRODUCT == PRODUCT_FC1
    };

    const mapped_product &p = a.product[PRODUCT];
    int thread = anew((int)threadIdx.x), group = __shfl_sync(0xFFFFFFFFu, thread / 128, 0);
    int lane = thread % 32, warp = thread / 32 % (OUTPUTS / 16);
    uint64_t w = operand(memory + (QKV ? 0 : group * OUTPUT_TILE * ROW_BYTES));
    uint64_t x = operand(memory + OUTPUTS * ROW_BYTES + (QKV ? group * ROWS * ROW_BYTES : 0));
    for (int task = (int)blockIdx.x; task < p.tasks; task += (int)gridDim.x) {
        float d[ROWS / 2], b0 = 0, b1 = 0;
        product_task in = task_of(p, task);
        int output = in.outputs * OUTPUTS + warp * 16 + lane / 4 * 2;
        int first = QKV ? (2 * in.rows + group) * ROWS : in.rows * ROWS;
        bool there = output < p.outputs;
        if (BIASED && there) {
            numbers<T, 2> b = load<2>(p.bias.template at<T>(block) + output);
            b0 = widen(b.at[0]);
            b1 = widen(b.at[1]);
        }
        multiply_steps<T, HANDS, ROWS>(at, memory, w, x, in.to - in.from, d);
        first += in.part * a.rows + lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < ROWS / 4; i++) {
            int row = first + i / 2 * 8 + i % 2, k = i / 2 * 4 + i % 2;
            if (there && row < (in.part + 1) * a.rows)
                keep_pair<T, PRODUCT>(a, (size_t)row * (size_t)p.outputs + (size_t)output,
                                      d[k] + b0, d[k + 2] + b1);
        }
    }
}

/* ---------------------------------------------------------------- norms */

/* A row's numbers that a thread of its group has. */
struct norm_share {
    numbers<float, 4> x[NORM_FOURS], gamma[NORM_FOURS], beta[NORM_FOURS], bias[NORM_FOURS];
};

/* What a norm adds and multiplies; bias: of what its rows lack, if they do. */
struct norm_with {
    const float *gamma, *beta, *bias;
    bool lacks;
    void *out;
    int d, thread;
};

__device__ __forceinline__ int four_of(const norm_with &n, int k) {
    return 4 * (n.thread % NORM_GROUP + k * NORM_GROUP);
}

__device__ __forceinline__ void load_share(const blocks_args &a, const norm_with &n, int row,
                                           norm_share *s) {
#pragma unroll
    for (int k = 0; k < NORM_FOURS; k++) {
        int i = four_of(n, k);
        if (i >= n.d)
            continue;
        s->x[k] = load<4>(a.x + (size_t)row * (size_t)n.d + i);
        s->gamma[k] = load<4>(n.gamma + i);
        s->beta[k] = load<4>(n.beta + i);
        s->bias[k] = load<4>(n.bias + i);
    }
}

typedef uint4 part_sums[NORM_FOURS][BLOCKS_PARTS];

/* A thread's sums of a row, when all of them are there. */
__device__ __forceinline__ void wait_for_sums(const float *row, size_t apart,
                                              const norm_with &n, part_sums &part) {
    watch w;
    for (bool there = false; !there; w.turn()) {
        there = true;
#pragma unroll
        for (int i = 0; i < NORM_FOURS * BLOCKS_PARTS; i++) {
            int k = i / BLOCKS_PARTS, p = i % BLOCKS_PARTS;
            part[k][p] = make_uint4(0, 0, 0, 0);
            if (four_of(n, k) < n.d)
                part[k][p] = look_at_sums(row + p * apart + four_of(n, k));
        }
#pragma unroll
        for (int i = 0; i < NORM_FOURS * BLOCKS_PARTS; i++)
            there = there && are_there(part[i / BLOCKS_PARTS][i % BLOCKS_PARTS]);
    }
}

__device__ __forceinline__ void leave_marks(float *row, size_t apart, const norm_with &n) {
#pragma unroll
    for (int i = 0; i < NORM_FOURS * BLOCKS_PARTS; i++) {
        int k = i / BLOCKS_PARTS, p = i % BLOCKS_PARTS;
        if (four_of(n, k) < n.d)
            *reinterpret_cast<uint4 *>(row + p * apart + four_of(n, k)) =
                make_uint4(MARK, MARK, MARK, MARK);
    }
}

__device__ __forceinline__ float sum_at(const uint4 &x, int i) {
    return __uint_as_float(i == 0 ? x.x : i == 1 ? x.y : i == 2 ? x.z : x.w);
}

/* The sum of a product's parts, pair by pair, as kernels_vit.h's complete adds them. */
__device__ __forceinline__ void complete_share(const blocks_args &a, const norm_with &n,
                                               int row, norm_share *s) {
    part_sums part;
    size_t at = (size_t)row * (size_t)n.d, apart = (size_t)a.rows * (size_t)n.d;
    if (n.lacks)
        wait_for_sums(a.sums + at, apart, n, part);
    leave_marks(a.sums + at, apart, n);
    if (!n.lacks)
        return;
#pragma unroll
    for (int k = 0; k < NORM_FOURS; k++) {
        if (four_of(n, k) >= n.d)
            continue;
#pragma unroll
        for (int j = 0; j < 4; j++)
            s->x[k].at[j] += (sum_at(part[k][0], j) + sum_at(part[k][1], j)) +
                             (sum_at(part[k][2], j) + sum_at(part[k][3], j)) + s->bias[k].at[j];
        store(a.x + at + four_of(n, k), s->x[k]);
    }
}

/* Over a group's threads; part: four numbers, of this sum's own. */
__device__ __forceinline__ float group_sum(float x, float *part) {
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32 % 4] = x;
    meet(MEET_NORM + (int)threadIdx.x / NORM_GROUP, NORM_GROUP);
    return (part[0] + part[1]) + (part[2] + part[3]);
}

/* Variance about the mean, as in norm_kernel. */
template <class T>
__device__ __forceinline__ void norm_row(const blocks_args &a, const norm_with &n, int row,
                                         norm_share *s, float *part) {
    float sum = 0, squares = 0;
#pragma unroll
    for (int k = 0; k < NORM_FOURS; k++)
        if (four_of(n, k) < n.d)
            sum += (s->x[k].at[0] + s->x[k].at[1]) + (s->x[k].at[2] + s->x[k].at[3]);
    float mean = group_sum(sum, part) / (float)n.d;
#pragma unroll
    for (int k = 0; k < NORM_FOURS; k++) {
        if (four_of(n, k) >= n.d)
            continue;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            s->x[k].at[j] -= mean;
            squares = fmaf(s->x[k].at[j], s->x[k].at[j], squares);
        }
    }
    float scale = 1.0f / sqrtf(group_sum(squares, part + 4) / (float)n.d + 1e-6f);
#pragma unroll
    for (int k = 0; k < NORM_FOURS; k++) {
        if (four_of(n, k) >= n.d)
            continue;
#pragma unroll
        for (int j = 0; j < 4; j++)
            s->x[k].at[j] = s->x[k].at[j] * scale * s->gamma[k].at[j] + s->beta[k].at[j];
        put<4>(static_cast<T *>(n.out) + (size_t)row * (size_t)n.d, n.d, four_of(n, k),
               s->x[k].at);
    }
}

/* A block's rows, one a group of threads. What the phase before did not write is read ahead of its sums. */
template <class T>
__device__ __forceinline__ void run_norm(const blocks_args &a, const norm_with &n,
                                         float *sums) {
    int group = (int)threadIdx.x / NORM_GROUP, row = (int)blockIdx.x + group * (int)gridDim.x;
    norm_share s = {};
    if (row < a.rows)
        load_share(a, n, row, &s);
    while (row < a.rows) {
        complete_share(a, n, row, &s);
        norm_row<T>(a, n, row, &s, sums + 8 * group);
        row += 2 * (int)gridDim.x;
        if (row < a.rows)
            load_share(a, n, row, &s);
    }
}

/* ---------------------------------------------------------------- attention */

template <class T>
__device__ __forceinline__ void run_attention(const blocks_args &a, unsigned char *heads,
                                              warp_tops &tops) {
    int tiles = (TOKENS + QUERIES_A_TASK - 1) / QUERIES_A_TASK;
    if (threadIdx.x >= TENSOR_THREADS)
        return;
    for (int task = (int)blockIdx.x; task < tiles * a.heads * a.hands; task += (int)gridDim.x) {
        head_place at = {task / tiles % a.heads, task / tiles / a.heads};
        attention_args<T> args = {static_cast<const T *>(a.qkv),
                                  static_cast<T *>(a.attended),
                                  anew(a.d),
                                  a.dim,
                                  0,
                                  TOKENS,
                                  GRID_COLS,
                                  a.scale,
                                  true};
        spread_queries<T, BLOCKS_HEAD_DEPTH>(args, at, task % tiles * QUERIES_A_TASK,
                                             anew((int)threadIdx.x), heads, tops,
                                             [] { meet(MEET_ATTENTION, TENSOR_THREADS); });
        meet(MEET_ATTENTION, TENSOR_THREADS); /* the results were read: keys take their place */
    }
}

/* ---------------------------------------------------------------- the kernel */

template <class T, int HANDS>
__device__ __forceinline__ void work_blocks(const blocks_args &a, unsigned char *memory) {
    typedef blocks_tile<HANDS> tile;
    uint32_t place = shared_address(memory), attended = place + tile::ATTENDED;
    float *sums = reinterpret_cast<float *>(memory + tile::SUMS);
    warp_tops &tops = *reinterpret_cast<warp_tops *>(memory + tile::TOPS);
    ring_place at = {0, 0};
    for (int i = a.first; i < a.first + a.count; i++) {
        bool lacks = i > a.first || a.lacks;
        norm_with n1 = {a.gamma1.at<float>(i),
                        a.beta1.at<float>(i),
                        a.product[PRODUCT_FC2].bias.at<float>(lacks ? i - 1 : i),
                        lacks,
                        a.normed1,
                        anew(a.d),
                        anew((int)threadIdx.x)};
        run_norm<T>(a, n1, sums);
        end_phase(counter_of(a, i, PHASE_NORM1));
        run_product_tasks<T, HANDS, PRODUCT_QKV>(a, i, place, &at);
        end_phase(counter_of(a, i, PHASE_QKV));
        wait_for_phase(counter_of(a, i, PHASE_QKV));
        run_attention<T>(a, memory + tile::HEADS, tops);
        fence_shared_copies();
        __syncwarp();
        barrier_arrive_here(attended, threadIdx.x % 32 == 0);
        at.slot = 0;
        end_phase(counter_of(a, i, PHASE_ATTENTION));
        run_product_tasks<T, HANDS, PRODUCT_PROJ>(a, i, place, &at);
        norm_with n2 = {a.gamma2.at<float>(i),
                        a.beta2.at<float>(i),
                        a.product[PRODUCT_PROJ].bias.at<float>(i),
                        true,
                        a.normed2,
                        anew(a.d),
                        anew((int)threadIdx.x)};
        run_norm<T>(a, n2, sums);
        end_phase(counter_of(a, i, PHASE_NORM2));
        run_product_tasks<T, HANDS, PRODUCT_FC1>(a, i, place, &at);
        end_phase(counter_of(a, i, PHASE_FC1));
        run_product_tasks<T, HANDS, PRODUCT_FC2>(a, i, place, &at);
    }
}

/* Grid: at most as many blocks as the card has places for at once. */
template <class T, int HANDS>
__global__ void __launch_bounds__(BLOCKS_THREADS, 1)
    blocks_kernel(const __grid_constant__ blocks_args a) {
    typedef blocks_tile<HANDS> tile;
    extern __shared__ __align__(1024) unsigned char blocks_memory[];
    unsigned char *memory = blocks_memory + (-shared_address(blocks_memory) & 1023u);
    uint32_t place = shared_address(memory);
    if (threadIdx.x == 0) {
        for (int i = 0; i < tile::STAGES; i++) {
            barrier_init(place + tile::FULL + 8 * i, 1);
            barrier_init(place + tile::EMPTY + 8 * i, WORKER_WARPS);
        }
        barrier_init(place + tile::ATTENDED, WORKER_WARPS);
        barriers_made();
    }
    __syncthreads();
    if (threadIdx.x < WORKERS) {
        take_registers<232>();
        work_blocks<T, HANDS>(a, memory);
    } else {
        give_registers<40>();
        if (threadIdx.x == WORKERS)
            fetch_blocks<HANDS, true>(a, place);
        else if (threadIdx.x == WORKERS + 32)
            fetch_blocks<HANDS, false>(a, place);
    }
}

#endif

} // namespace wilor_cuda

#endif
