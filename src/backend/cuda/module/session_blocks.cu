/* The ViT's blocks of one hand or two as one kernel, where the card and the numbers allow it; the rest of the module
 * is told that there is none otherwise. Compiled for compute capability 9.0 with its own instructions (sm_90a) or, by
 * default, without the kernel. */
#include "session.h"

#if WILOR_CUDA_90A
#include "kernels_blocks.h"

namespace wilor_cuda {

static_assert(BLOCK_COUNTERS == PHASES * COUNTER_APART, "push_memory");

typedef void (*blocks_function)(blocks_args);

struct blocks_plan {
    blocks_args args;
    blocks_function kernel;
    int shared;
};

static blocks_function kernel_for(wilor_cuda_number number, int hands) {
    if (number == WILOR_CUDA_F16)
        return hands == 1 ? blocks_kernel<f16, 1> : blocks_kernel<f16, 2>;
    return hands == 1 ? blocks_kernel<bf16, 1> : blocks_kernel<bf16, 2>;
}

static bool may_run(const session *s, int hands) {
    const model *m = s->m;
    const wilor_cuda_shape *o = &m->shape;
    int dim = o->width / o->heads;
    return m->card.major == 9 && m->card.minor == 0 && o->number != WILOR_CUDA_F32 &&
           !o->split && hands <= BLOCKS_MOST_HANDS && o->depth > 1 && o->width % 16 == 0 &&
           o->mlp % 16 == 0 && o->width <= BLOCKS_MOST_WIDTH && dim % 8 == 0 &&
           dim <= BLOCKS_MOST_HEAD;
}

/* Dynamic shared memory and a place on each multiprocessor. */
static bool fits(blocks_function f, int shared) {
    int blocks = 0;
    bool fit = cudaFuncSetAttribute(f, cudaFuncAttributeMaxDynamicSharedMemorySize, shared) ==
                   cudaSuccess &&
               cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, BLOCKS_THREADS,
                                                             (size_t)shared) == cudaSuccess &&
               blocks > 0;
    cudaGetLastError();
    return fit;
}

/* ---------------------------------------------------------------- tensor maps */

typedef decltype(&cuTensorMapEncodeTiled) encode_function;

/* The driver's; NULL: it is too old. */
static encode_function find_encode() {
    cudaDriverEntryPointQueryResult found;
    void *f = nullptr;
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault,
                                         &found) != cudaSuccess ||
        found != cudaDriverEntryPointSuccess)
        f = nullptr;
    cudaGetLastError();
    return reinterpret_cast<encode_function>(f);
}

static bool make_map(encode_function encode, wilor_cuda_number number, const void *first,
                     const operand_tensor &t, CUtensorMap *out) {
    const cuuint32_t each[5] = {1, 1, 1, 1, 1};
    cuuint64_t size[5], step[4];
    for (int i = 0; i < 5; i++)
        size[i] = t.size[i];
    for (int i = 0; i < 4; i++)
        step[i] = t.step[i];
    return encode(out,
                  number == WILOR_CUDA_F16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                           : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                  t.dims, const_cast<void *>(first), size, step, t.box, each,
                  CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                  CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

static tensor_of_blocks of_blocks(const model *m, int t) {
    const char *first = tensor<char>(m, t);
    return {first, (size_t)(tensor<char>(m, t, 1) - first)};
}

struct tile_size {
    int rows, outputs;
};

/* A product by matrix w, whose bias is the tensor behind it. */
static bool describe_product(const session *s, encode_function encode, blocks_args *a,
                             int product, int w, const void *x, int outputs, int inputs,
                             tile_size tile) {
    const model *m = s->m;
    mapped_product *p = &a->product[product];
    tensor_of_blocks all = of_blocks(m, w);
    bool onto = product == PRODUCT_PROJ || product == PRODUCT_FC2;
    p->bias = of_blocks(m, w + 1);
    p->outputs = outputs;
    p->steps = (int)parts((size_t)inputs, DEPTH_STEP);
    p->row_tiles = (int)parts((size_t)a->rows, (size_t)tile.rows);
    p->parts = onto ? BLOCKS_PARTS : 1;
    p->tasks = p->row_tiles * p->parts * (int)parts((size_t)outputs, (size_t)tile.outputs);
    return make_map(encode, m->shape.number, all.first,
                    describe_weights(outputs, inputs, tile.outputs, m->shape.depth, all.apart),
                    &p->w) &&
           make_map(encode, m->shape.number, x, describe_rows(a->rows, inputs, tile.rows),
                    &p->x);
}

static bool describe_products(const session *s, blocks_args *a) {
    const session_memory *on = &s->on;
    int d = s->m->shape.width, mlp = s->m->shape.mlp;
    tile_size qkv = {QKV_TILE_ROWS * a->hands, OUTPUT_TILE};
    tile_size tile = {TILE_ROWS * a->hands, 2 * OUTPUT_TILE};
    encode_function encode = find_encode();
    return encode &&
           describe_product(s, encode, a, PRODUCT_QKV, WILOR_NET_QKV_W, on->normed, 3 * d, d,
                            qkv) &&
           describe_product(s, encode, a, PRODUCT_PROJ, WILOR_NET_PROJ_W, on->attended, d, d,
                            tile) &&
           describe_product(s, encode, a, PRODUCT_FC1, WILOR_NET_FC1_W, on->normed2, mlp, d,
                            tile) &&
           describe_product(s, encode, a, PRODUCT_FC2, WILOR_NET_FC2_W, on->hidden, d, mlp,
                            tile);
}

/* ---------------------------------------------------------------- plans */

blocks_plan *blocks_plan_make(session *s, int hands) {
    const model *m = s->m;
    const session_memory *on = &s->on;
    if (!may_run(s, hands))
        return nullptr;
    blocks_plan *p = new blocks_plan();
    blocks_args *a = &p->args;
    p->kernel = kernel_for(m->shape.number, hands);
    p->shared = hands == 1 ? blocks_shared<1> : blocks_shared<2>;
    a->gamma1 = of_blocks(m, WILOR_NET_NORM1_GAMMA);
    a->beta1 = of_blocks(m, WILOR_NET_NORM1_BETA);
    a->gamma2 = of_blocks(m, WILOR_NET_NORM2_GAMMA);
    a->beta2 = of_blocks(m, WILOR_NET_NORM2_BETA);
    a->x = on->x;
    a->sums = on->sums;
    a->normed1 = on->normed;
    a->normed2 = on->normed2;
    a->qkv = on->qkv;
    a->attended = on->attended;
    a->hidden = on->hidden;
    a->counters = on->counters;
    a->rows = hands * TOKENS;
    a->hands = hands;
    a->d = m->shape.width;
    a->heads = m->shape.heads;
    a->dim = a->d / a->heads;
    a->scale = 1.0f / sqrtf((float)a->dim);
    if (!fits(p->kernel, p->shared) || !describe_products(s, a)) {
        blocks_plan_free(p);
        return nullptr;
    }
    return p;
}

void blocks_plan_free(blocks_plan *p) { delete p; }

wilor_cuda_result run_blocks(session *s, const blocks_plan *p, int first, int count,
                             missing *lacks, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    blocks_args a = p->args;
    void *args[] = {&a};
    cudaLaunchAttribute together = {};
    cudaLaunchConfig_t how = {};
    a.first = first;
    a.count = count;
    a.lacks = lacks->parts > 0;
    together.id = cudaLaunchAttributeCooperative;
    together.val.cooperative = 1;
    how.gridDim = (unsigned)s->m->card.multiProcessorCount;
    how.blockDim = BLOCKS_THREADS;
    how.dynamicSmemBytes = (size_t)p->shared;
    how.stream = s->stream;
    how.attrs = &together;
    how.numAttrs = 1;
    CUDA_CALL(cudaMemsetAsync(a.counters, 0,
                              (size_t)count * BLOCK_COUNTERS * sizeof *a.counters, s->stream),
              "the blocks' counters", err);
    CUDA_CALL(cudaLaunchKernelExC(&how, reinterpret_cast<const void *>(p->kernel), args),
              "the blocks", err);
    *lacks = {a.sums, a.product[PRODUCT_FC2].bias.at<float>(first + count - 1),
              (size_t)a.rows * (size_t)a.d, BLOCKS_PARTS};
done:
    return st;
}

} // namespace wilor_cuda

#else

namespace wilor_cuda {

blocks_plan *blocks_plan_make(session *, int) { return nullptr; }

void blocks_plan_free(blocks_plan *) {}

wilor_cuda_result run_blocks(session *, const blocks_plan *, int, int, missing *,
                             wilor_cuda_error *err) {
    return fail(err, WILOR_CUDA_UNSUPPORTED, "this build has no kernel of all blocks");
}

} // namespace wilor_cuda

#endif
