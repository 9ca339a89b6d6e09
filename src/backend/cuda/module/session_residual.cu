/* Products onto the residual stream, and its norms. For few hands a product of 210 rows × 1280 has tiles for
 * little more than half of a card's multiprocessors. Its depth is cut into parts there, each with tiles of its
 * own, and the norm behind it, which reads the stream in any case, adds their sums. */
#include "session.h"

#include "kernels_vit.h"

#include <cfloat>
#include <utility>

namespace wilor_cuda {

enum { TIMED_PAIRS = 16 }; /* of product and norm, one graph */

/* Call f with the number of parts as a constant. */
template <class F> static void by_parts(int parts, F f) {
    switch (parts) {
    case 4:
        return f(std::integral_constant<int, 4>());
    case 2:
        return f(std::integral_constant<int, 2>());
    default:
        return f(std::integral_constant<int, 0>());
    }
}

template <class A>
static void norm_to(session *s, float *x, const missing &lacks, int gamma, int block, A *out,
                    int rows) {
    const model *m = s->m;
    int d = m->shape.width;
    by_parts(lacks.parts, [&](auto constant) {
        enum { PARTS = decltype(constant)::value };

        wilor_launch_early(s->early, norm_kernel<A, PARTS>, (unsigned)rows,
                           norm_threads(d, norm_steps<PARTS>), 0, s->stream, x, lacks,
                           tensor<float>(m, gamma, block), tensor<float>(m, gamma + 1, block),
                           out, d);
    });
}

void norm(session *s, float *x, const missing &lacks, int gamma, int block, void *out,
          int rows) {
    by_activation(s->m->shape, [&](auto zero) {
        norm_to(s, x, lacks, gamma, block, static_cast<decltype(zero) *>(out), rows);
    });
}

void norm_whole(session *s, float *x, const missing &lacks, int gamma, int block, float *out,
                int rows) {
    norm_to(s, x, lacks, gamma, block, out, rows);
}

bool norms_may_be_early() { return may_launch_early(norm_kernel<f16, 0>); }

void tell_complete(session *s, const char *stage, int block, const float *x,
                   const missing &lacks, int rows) {
    float *whole = nullptr;
    int d = s->m->shape.width;
    if (!lacks.parts) {
        tell(s, stage, block, x, rows, d);
        return;
    }
    if (!s->trace ||
        cudaMalloc(&whole, (size_t)rows * (size_t)d * sizeof(float)) != cudaSuccess)
        return;
    by_parts(lacks.parts, [&](auto constant) {
        enum { PARTS = decltype(constant)::value };

        if constexpr (PARTS > 0)
            wilor_launch(complete_kernel<PARTS>, (unsigned)rows, ROW_THREADS, 0, s->stream, x,
                         lacks, whole, d);
    });
    tell(s, stage, block, whole, rows, d);
    cudaFree(whole);
}

wilor_cuda_result run_onto(session *s, const onto_plan *p, const void *w, const void *x,
                           const float *bias, float *y, int rows, missing *lacks,
                           wilor_cuda_error *err) {
    *lacks = {};
    if (p->parts == 1)
        return run_product(&p->product, w, x, bias, y, err);
    *lacks = {s->on.sums, bias, (size_t)rows * (size_t)s->m->shape.width, p->parts};
    return run_product(&p->product, w, x, nullptr, s->on.sums, err);
}

static wilor_cuda_result plan_parts(session *s, onto_plan *p, int rows, int inputs,
                                    const matrices &w, const void *x, int parts,
                                    wilor_cuda_error *err) {
    bool whole = parts == 1;
    gemm_shape shape = {rows,           s->m->shape.width,
                        inputs,         s->m->shape.number,
                        WILOR_CUDA_F32, whole,
                        whole,          false,
                        parts};
    p->parts = parts;
    return plan_product(s, &p->product, &shape, w, x, whole ? s->on.x : s->on.sums, err);
}

/* Milliseconds of the product with a norm behind it; any bias and gamma do. */
static wilor_cuda_result time_onto(session *s, const onto_plan *p, int rows, const matrices &w,
                                   const void *x, float *ms, wilor_cuda_error *err) {
    const float *bias = tensor<float>(s->m, WILOR_NET_PROJ_B);
    return gemm_time(
        s->engine,
        [&] {
            wilor_cuda_result st = WILOR_CUDA_OK;
            missing lacks;
            for (int i = 0; i < TIMED_PAIRS && st == WILOR_CUDA_OK; i++) {
                st = run_onto(s, p, w.at(i), x, bias, s->on.x, rows, &lacks, err);
                norm(s, s->on.x, lacks, WILOR_NET_NORM2_GAMMA, 0, s->on.normed, rows);
            }
            return st;
        },
        ms, err);
}

/* Parts of at least half a row, whose places are multiples of 16 bytes. */
static bool parts_fit(const session *s, int inputs, int parts) {
    int d = s->m->shape.width;
    return inputs % (8 * parts) == 0 && 2 * inputs / parts >= d && d <= 4 * PARTS_MOST_THREADS;
}

wilor_cuda_result plan_onto(session *s, onto_plan *p, int rows, int inputs, const matrices &w,
                            const void *x, bool whole, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    float least = FLT_MAX, ms = 0;
    onto_plan other = {};
    CUDA_TRY(plan_parts(s, p, rows, inputs, w, x, 1, err));
    if (whole || s->m->shape.split)
        goto done;
    CUDA_TRY(time_onto(s, p, rows, w, x, &least, err));
    for (int parts = 2; parts <= MOST_PARTS && parts_fit(s, inputs, parts); parts *= 2) {
        if (plan_parts(s, &other, rows, inputs, w, x, parts, err) != WILOR_CUDA_OK)
            break; /* the whole one does it */
        CUDA_TRY(time_onto(s, &other, rows, w, x, &ms, err));
        if (ms <= least) { /* without times: the most parts */
            least = ms;
            std::swap(*p, other);
        }
        free_product(&other.product);
        other = {};
    }
done:
    free_product(&other.product);
    return st;
}

} // namespace wilor_cuda
