/* The blocks' products: one of whole numbers, or two of numbers in two float16 parts. */
#include "session.h"

#include "kernels_vit.h"

namespace wilor_cuda {

wilor_cuda_result plan_product(session *s, block_product *p, const gemm_shape *shape,
                               const matrices &w, const void *x, void *y,
                               wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    gemm_shape part = *shape;
    size_t half = (size_t)shape->inputs * sizeof(f16);
    *p = {nullptr, nullptr, shape->inputs};
    if (!s->m->shape.split)
        return gemm_plan_make(&p->all, s->engine, shape, w, x, y, err);
    part.in = WILOR_CUDA_F16;
    part.row = 2 * shape->inputs;
    part.add = true;
    CUDA_TRY(gemm_plan_make(&p->all, s->engine, &part,
                            {static_cast<const char *>(w.first) + half, w.apart, w.count}, x, y,
                            err));
    part.add = shape->add;
    part.bias = false;
    part.inputs = 2 * shape->inputs;
    part.factor = 1 / SMALL_PART;
    CUDA_TRY(gemm_plan_make(&p->mixed, s->engine, &part, w, x, y, err));
done:
    return st;
}

wilor_cuda_result run_product(const block_product *p, const void *w, const void *x,
                              const void *bias, void *y, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const void *large = w;
    if (p->mixed) {
        large = static_cast<const f16 *>(w) + p->inputs;
        CUDA_TRY(gemm_run(p->mixed, w, x, nullptr, y, err));
    }
    CUDA_TRY(gemm_run(p->all, large, x, bias, y, err));
done:
    return st;
}

void free_product(block_product *p) {
    gemm_plan_free(p->all);
    gemm_plan_free(p->mixed);
    *p = {};
}

} // namespace wilor_cuda
