/* The pose network's stages as calls on a stream: backend_cpu.c's and vit_run.c's order. */
#include "session.h"

#include "kernels_attention.h"
#include "kernels_vit.h"

#include <vector>

namespace wilor_cuda {

/* ---------------------------------------------------------------- for tests */

void tell(session *s, const char *stage, int block, const float *card, int rows, int cols) {
    if (!s->trace)
        return;
    std::vector<float> host((size_t)rows * (size_t)cols);
    cudaStreamSynchronize(s->stream);
    cudaMemcpy(host.data(), card, host.size() * sizeof(float), cudaMemcpyDeviceToHost);
    s->trace(s->trace_context, stage, block, host.data(), rows, cols);
}

/* f makes float32 of them. */
template <class F>
static void tell_wide(session *s, const char *stage, int block, int rows, int cols, F f) {
    float *wide = nullptr;
    size_t count = (size_t)rows * (size_t)cols;
    if (!s->trace || cudaMalloc(&wide, count * sizeof(float)) != cudaSuccess)
        return;
    f(wide, count);
    tell(s, stage, block, wide, rows, cols);
    cudaFree(wide);
}

template <class A>
static void widen_rows(session *s, const void *card, float *wide, int cols, size_t count) {
    wilor_launch(widen_kernel<A>, parts(count, FLAT_THREADS), FLAT_THREADS, 0, s->stream,
                 static_cast<const A *>(card), wide, cols, count);
}

/* What a product gave, in the blocks' number. */
static void tell_number(session *s, const char *stage, int block, const void *card, int rows,
                        int cols) {
    tell_wide(s, stage, block, rows, cols, [&](float *wide, size_t count) {
        by_number(s->m->shape.number,
                  [&](auto zero) { widen_rows<decltype(zero)>(s, card, wide, cols, count); });
    });
}

/* What a product reads. */
static void tell_activation(session *s, const char *stage, int block, const void *card,
                            int rows, int cols) {
    tell_wide(s, stage, block, rows, cols, [&](float *wide, size_t count) {
        by_activation(s->m->shape, [&](auto zero) {
            widen_rows<decltype(zero)>(s, card, wide, cols, count);
        });
    });
}

/* ---------------------------------------------------------------- products */

/* From so many hands on all multiprocessors have work: before, products onto the residual stream may be cut
 * into parts, and attention's keys are shared out. */
enum { MANY_HANDS = 4 };

static matrices of_blocks(const model *m, int t) {
    const char *first = tensor<char>(m, t);
    int depth = m->shape.depth;
    return {first, depth > 1 ? (size_t)(tensor<char>(m, t, 1) - first) : 0, depth};
}

static wilor_cuda_result plan(session *s, block_product *out, int rows, int outputs, int inputs,
                              wilor_cuda_number in, wilor_cuda_number result, bool bias,
                              bool gelu, const matrices &w, const void *x, void *y,
                              wilor_cuda_error *err) {
    gemm_shape shape = {rows, outputs, inputs, in, result, bias, false, gelu, 1};
    return plan_product(s, out, &shape, w, x, y, err);
}

/* With GELU in 16 bits where cuBLASLt has that; else its sums in float32, and GELU by erf behind. */
static wilor_cuda_result plan_fc1(session *s, half_plans *p, int rows, wilor_cuda_error *err) {
    const model *m = s->m;
    const session_memory *on = &s->on;
    int d = m->shape.width, mlp = m->shape.mlp;
    wilor_cuda_number t = m->shape.number;
    matrices w = of_blocks(m, WILOR_NET_FC1_W);
    p->gelu_within = t != WILOR_CUDA_F32 && plan(s, &p->fc1, rows, mlp, d, t, t, true, true, w,
                                                 on->normed, on->hidden, err) == WILOR_CUDA_OK;
    return p->gelu_within ? WILOR_CUDA_OK
                          : plan(s, &p->fc1, rows, mlp, d, t, WILOR_CUDA_F32, false, false, w,
                                 on->normed, on->sums, err);
}

static wilor_cuda_result plan_half(session *s, half_plans *p, int rows, bool whole,
                                   wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const model *m = s->m;
    const session_memory *on = &s->on;
    int d = m->shape.width, mlp = m->shape.mlp;
    CUDA_TRY(plan_onto(s, &p->proj, rows, d, of_blocks(m, WILOR_NET_PROJ_W), on->attended,
                       whole, err));
    CUDA_TRY(plan_fc1(s, p, rows, err));
    CUDA_TRY(plan_onto(s, &p->fc2, rows, mlp, of_blocks(m, WILOR_NET_FC2_W), on->hidden, whole,
                       err));
done:
    return st;
}

wilor_cuda_result make_plans(session *s, size_plan *p, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const model *m = s->m;
    const session_memory *on = &s->on;
    int d = m->shape.width, rows = p->hands * TOKENS;
    bool whole = p->hands >= MANY_HANDS;
    gemm_shape patch = {
        p->hands * PATCHES, d, PATCH_INPUTS, m->patch, WILOR_CUDA_F32, false, false, false, 1};
    CUDA_TRY(gemm_plan_make(&p->patch, s->engine, &patch,
                            {tensor<void>(m, WILOR_NET_PATCH_W), 0, 1}, on->patches, on->sums,
                            err));
    CUDA_TRY(plan(s, &p->qkv, rows, 3 * d, d, m->shape.number, m->shape.number, true, false,
                  of_blocks(m, WILOR_NET_QKV_W), on->normed, on->qkv, err));
    CUDA_TRY(plan_half(s, &p->whole, rows, whole, err));
    CUDA_TRY(plan_half(s, &p->lean, p->hands * LEAN_ROWS, whole, err));
done:
    return st;
}

wilor_cuda_result make_wide_plans(session *s, wilor_cuda_error *err) {
    return plan_half(s, &s->wide, TOKENS, false, err);
}

/* ---------------------------------------------------------------- attention */

template <class A, int DEPTH> static cudaError_t allow_shared() {
    cudaError_t e = cudaFuncSetAttribute(tensor_attention<A, DEPTH>,
                                         cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         (int)tensor_attention_shared<A, DEPTH>());
    return e != cudaSuccess ? e
                            : cudaFuncSetAttribute(spread_attention<A, DEPTH>,
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   attention_tile<A, DEPTH>::SPREAD_BYTES);
}

/* The least depth of those compiled that holds a head; 0: none. */
static int depth_for(int dim) {
    return dim % 2 ? 0 : dim <= 32 ? 2 : dim <= 80 ? 5 : dim <= 128 ? 8 : 0;
}

/* Call f with the depth as a constant. */
template <class F> static void by_depth(int depth, F f) {
    switch (depth) {
    case 2:
        return f(std::integral_constant<int, 2>());
    case 5:
        return f(std::integral_constant<int, 5>());
    default:
        return f(std::integral_constant<int, 8>());
    }
}

/* Matrix units where the head fits the card's shared memory. */
wilor_cuda_result prepare_attention(session *s, wilor_cuda_error *err) {
    const wilor_cuda_shape *shape = &s->m->shape;
    cudaError_t e = cudaSuccess;
    s->attention_depth = 0;
    int depth = depth_for(shape->width / shape->heads);
    if (depth == 0)
        return WILOR_CUDA_OK;
    by_activation(*shape, [&](auto zero) {
        typedef decltype(zero) A;
        if constexpr (!std::is_same<A, float>::value) /* float32 whole: the plain one */
            by_depth(depth, [&](auto constant) {
                enum { DEPTH = decltype(constant)::value };

                if ((size_t)attention_tile<A, DEPTH>::SPREAD_BYTES >
                    s->m->card.sharedMemPerBlockOptin)
                    return;
                e = allow_shared<A, DEPTH>();
                s->attention_depth = depth;
            });
    });
    return check(e, "attention's shared memory", err);
}

template <class A>
static void launch_tensor(session *s, const attention_args<A> &a, int hands) {
    bool few = hands < MANY_HANDS;
    size_t queries = QUERY_TILE * (few ? SPREAD_TILES : TENSOR_WARPS);
    dim3 grid(parts((size_t)a.each, queries), (unsigned)s->m->shape.heads, (unsigned)hands);
    by_depth(s->attention_depth, [&](auto constant) {
        enum { DEPTH = decltype(constant)::value };

        if (few)
            wilor_launch_early(s->early, spread_attention<A, DEPTH>, grid, TENSOR_THREADS,
                               (size_t)attention_tile<A, DEPTH>::SPREAD_BYTES, s->stream, a);
        else
            wilor_launch_early(s->early, tensor_attention<A, DEPTH>, grid, TENSOR_THREADS,
                               tensor_attention_shared<A, DEPTH>(), s->stream, a);
    });
}

static void launch_tensor(session *, const attention_args<float> &, int) {}

/* `each` queries of hands first …, the corner of `cols` patch columns; the result is dense. */
static void attend(session *s, int first, int hands, int each, int cols) {
    const wilor_cuda_shape *shape = &s->m->shape;
    int dim = shape->width / shape->heads;
    bool sixteen = dim % 8 == 0 && shape->width % 8 == 0;
    by_activation(*shape, [&](auto zero) {
        typedef decltype(zero) A;
        attention_args<A> a = {static_cast<const typename activation<A>::number *>(s->on.qkv),
                               static_cast<A *>(s->on.attended),
                               shape->width,
                               dim,
                               first,
                               each,
                               cols,
                               1.0f / sqrtf((float)dim),
                               sixteen};
        if (s->attention_depth) {
            launch_tensor(s, a, hands);
            return;
        }
        dim3 grid(parts((size_t)each, ATTENTION_WARPS), (unsigned)shape->heads,
                  (unsigned)hands);
        wilor_launch(plain_attention<A>, grid, ATTENTION_THREADS, plain_attention_shared(dim),
                     s->stream, a);
    });
}

/* ---------------------------------------------------------------- blocks */

static void gelu_rows(session *s, int block, int rows) {
    const model *m = s->m;
    int mlp = m->shape.mlp;
    by_activation(m->shape, [&](auto zero) {
        typedef decltype(zero) A;
        by_reach(mlp % 4 == 0, [&](auto constant) {
            enum { N = decltype(constant)::value };

            dim3 grid((unsigned)rows, parts((size_t)mlp, N * FLAT_THREADS));
            wilor_launch(gelu_kernel<A, N>, grid, FLAT_THREADS, 0, s->stream, s->on.sums,
                         tensor<typename activation<A>::number>(m, WILOR_NET_FC1_B, block),
                         static_cast<A *>(s->on.hidden), mlp);
        });
    });
}

/* From attention's result on, onto `rows` rows of x, which in the end lack something. */
static wilor_cuda_result finish_block(session *s, const half_plans *p, int block, float *x,
                                      int rows, missing *lacks, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const model *m = s->m;
    const session_memory *on = &s->on;
    tell_activation(s, "attn_out", block, on->attended, rows, m->shape.width);
    CUDA_TRY(run_onto(s, &p->proj, tensor<void>(m, WILOR_NET_PROJ_W, block), on->attended,
                      tensor<float>(m, WILOR_NET_PROJ_B, block), x, rows, lacks, err));
    norm(s, x, *lacks, WILOR_NET_NORM2_GAMMA, block, on->normed, rows);
    tell_activation(s, "norm2", block, on->normed, rows, m->shape.width);
    CUDA_TRY(run_product(&p->fc1, tensor<void>(m, WILOR_NET_FC1_W, block), on->normed,
                         tensor<void>(m, WILOR_NET_FC1_B, block),
                         p->gelu_within ? on->hidden : on->sums, err));
    if (!p->gelu_within)
        gelu_rows(s, block, rows);
    tell_activation(s, "gelu", block, on->hidden, rows, m->shape.mlp);
    CUDA_TRY(run_onto(s, &p->fc2, tensor<void>(m, WILOR_NET_FC2_W, block), on->hidden,
                      tensor<float>(m, WILOR_NET_FC2_B, block), x, rows, lacks, err));
    tell_complete(s, "block", block, x, *lacks, rows);
done:
    return st;
}

static wilor_cuda_result embed(session *s, const size_plan *p, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const model *m = s->m;
    const session_memory *on = &s->on;
    unsigned n = (unsigned)p->hands;
    const order_header *order = reinterpret_cast<const order_header *>(on->orders);
    wilor_launch(crop_kernel<float>, dim3(SIDE, n), SIDE, 0, s->stream, &order->frame,
                 reinterpret_cast<const crop_order *>(on->orders + ORDER_HEADER), on->crops);
    if (m->patch == WILOR_CUDA_F32)
        wilor_launch(patches_kernel<float>, n * PATCHES, FLAT_THREADS, 0, s->stream, on->crops,
                     static_cast<float *>(on->patches));
    else
        wilor_launch(patches_kernel<f16>, n * PATCHES, FLAT_THREADS, 0, s->stream, on->crops,
                     static_cast<f16 *>(on->patches));
    CUDA_TRY(gemm_run(p->patch, tensor<void>(m, WILOR_NET_PATCH_W), on->patches, nullptr,
                      on->sums, err));
    wilor_launch(tokens_kernel<float>, n * TOKENS, ROW_THREADS, 0, s->stream, on->sums,
                 tensor<float>(m, WILOR_NET_PATCH_B), tensor<float>(m, WILOR_NET_POSITION),
                 tensor<float>(m, WILOR_NET_LEAD), on->x, m->shape.width);
    tell(s, "tokens_in", 0, on->x, p->hands * TOKENS, m->shape.width);
done:
    return st;
}

wilor_cuda_result run_network(session *s, const size_plan *p, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const model *m = s->m;
    const session_memory *on = &s->on;
    int rows = p->hands * TOKENS;
    missing lacks = {};
    CUDA_TRY(embed(s, p, err));
    for (int i = 0; i < m->shape.depth; i++) {
        norm(s, on->x, lacks, WILOR_NET_NORM1_GAMMA, i, on->normed, rows);
        tell_activation(s, "norm1", i, on->normed, rows, m->shape.width);
        CUDA_TRY(run_product(&p->qkv, tensor<void>(m, WILOR_NET_QKV_W, i), on->normed,
                             tensor<void>(m, WILOR_NET_QKV_B, i), on->qkv, err));
        tell_number(s, "qkv", i, on->qkv, rows, 3 * m->shape.width);
        if (i + 1 == m->shape.depth)
            break; /* its chosen rows are another function's */
        attend(s, 0, p->hands, TOKENS, GRID_COLS);
        CUDA_TRY(finish_block(s, &p->whole, i, on->x, rows, &lacks, err));
    }
    CUDA_CALL(cudaGetLastError(), "the network", err);
done:
    return st;
}

/* ---------------------------------------------------------------- behind the blocks */

/* The last block and the last norm for hands first …, `each` rows of a hand. */
static wilor_cuda_result run_tail(session *s, const half_plans *p, int first, int hands,
                                  int each, int cols, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const model *m = s->m;
    const session_memory *on = &s->on;
    int rows = hands * each, d = m->shape.width;
    missing lacks = {};
    attend(s, first, hands, each, cols);
    wilor_launch(choose_kernel<float>, (unsigned)rows, ROW_THREADS, 0, s->stream, on->x,
                 on->chosen, d, first, each, cols);
    CUDA_TRY(finish_block(s, p, m->shape.depth - 1, on->chosen, rows, &lacks, err));
    norm_whole(s, on->chosen, lacks, WILOR_NET_LAST_GAMMA, 0, on->tokens, rows);
    tell(s, "tokens_out", m->shape.depth - 1, on->tokens, rows, d);
done:
    return st;
}

static wilor_cuda_result run_rest(session *s, const half_plans *p, const result_view *r,
                                  int first, int hands, int rows, int cols,
                                  wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    int each = LEAD + rows * cols;
    CUDA_TRY(run_tail(s, p, first, hands, each, cols, err));
    run_hand(s, r, first, hands, rows, cols);
    CUDA_CALL(cudaGetLastError(), "behind the network", err);
done:
    return st;
}

wilor_cuda_result run_lean(session *s, const size_plan *p, wilor_cuda_error *err) {
    result_view r = result_at(s->on.result, p->hands, s->m->mano.vertices);
    return run_rest(s, &p->lean, &r, 0, p->hands, CORNER, CORNER, err);
}

void run_sides(session *s, int first, int hands, int each) {
    wilor_launch(side_kernel<float>, (unsigned)hands, ASKED_THREADS, 0, s->stream, s->on.tokens,
                 layer_of(s->m, WILOR_NET_SIDE_W), s->pinned_sides + first, s->m->shape.width,
                 each);
}

wilor_cuda_result run_wide(session *s, const size_plan *p, int hand, wilor_cuda_error *err) {
    result_view r = result_at(s->on.result, p->hands, s->m->mano.vertices);
    return run_rest(s, &s->wide, &r, hand, 1, GRID_ROWS, GRID_COLS, err);
}

} // namespace wilor_cuda
