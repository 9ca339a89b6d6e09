/* gemm.h for the emulated card: plain loops, sums in float32 with fused multiply-adds where the processor
 * has none in double: the sum is made in double and rounded once. */
#include "gemm.h"

namespace wilor_cuda {

struct gemm_engine {
    cudaStream_t stream;
};

struct gemm_plan {
    gemm_engine *engine;
    gemm_shape shape;
};

size_t gemm_workspace_bytes() { return 0; }

wilor_cuda_result gemm_engine_open(gemm_engine **out, cudaStream_t stream, wilor_cuda_error *) {
    *out = new gemm_engine{stream};
    return WILOR_CUDA_OK;
}

void gemm_engine_close(gemm_engine *e) { delete e; }

wilor_cuda_result gemm_plan_make(gemm_plan **out, gemm_engine *e, const gemm_shape *shape,
                                 const matrices &, const void *, void *, wilor_cuda_error *) {
    *out = new gemm_plan{e, *shape};
    return WILOR_CUDA_OK;
}

void gemm_plan_free(gemm_plan *p) { delete p; }

/* cuBLASLt's. */
static float tanh_gelu(float x) {
    return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}

/* From `depth` of the inputs. */
template <class I, class O>
static void multiply(const gemm_shape &s, size_t depth, const I *w, const I *x, const O *bias,
                     O *y) {
    size_t k = (size_t)s.inputs, apart = s.row ? (size_t)s.row : k;
    std::vector<float> row(k), column(k * (size_t)s.outputs);
    for (size_t o = 0; o < (size_t)s.outputs; o++)
        for (size_t i = 0; i < depth; i++)
            column[o * k + i] = widen(w[o * apart + i]);
    for (size_t r = 0; r < (size_t)s.rows; r++) {
        for (size_t i = 0; i < depth; i++)
            row[i] = widen(x[r * apart + i]);
        for (size_t o = 0; o < (size_t)s.outputs; o++) {
            double sum = 0;
            for (size_t i = 0; i < depth; i++)
                sum += (double)row[i] * column[o * k + i];
            O *to = &y[r * (size_t)s.outputs + o];
            float y = (float)(s.factor * sum + (s.bias ? widen(bias[o]) : 0.0f));
            *to = narrow<O>((s.gelu ? tanh_gelu(y) : y) + (s.add ? widen(*to) : 0.0f));
        }
    }
}

template <class I, class O>
static void multiply_parts(const gemm_shape &s, const I *w, const I *x, const O *bias, O *y) {
    size_t depth = (size_t)(s.inputs / s.parts), apart = (size_t)s.rows * (size_t)s.outputs;
    for (size_t i = 0; i < (size_t)s.parts; i++)
        multiply(s, depth, w + i * depth, x + i * depth, bias, y + i * apart);
}

template <class I>
static void by_output(const gemm_shape &s, const void *w, const void *x, const void *bias,
                      void *y) {
    if (s.out == WILOR_CUDA_F32)
        multiply_parts<I, float>(s, (const I *)w, (const I *)x, (const float *)bias,
                                 (float *)y);
    else
        multiply_parts<I, I>(s, (const I *)w, (const I *)x, (const I *)bias, (I *)y);
}

wilor_cuda_result gemm_run(gemm_plan *p, const void *w, const void *x, const void *bias,
                           void *y, wilor_cuda_error *) {
    gemm_shape s = p->shape;
    wilor_emu_do(p->engine->stream, [=] {
        if (s.in == WILOR_CUDA_F32)
            by_output<float>(s, w, x, bias, y);
        else if (s.in == WILOR_CUDA_F16)
            by_output<f16>(s, w, x, bias, y);
        else
            by_output<bf16>(s, w, x, bias, y);
    });
    return WILOR_CUDA_OK;
}

wilor_cuda_result gemm_time(gemm_engine *, const std::function<wilor_cuda_result()> &,
                            float *ms, wilor_cuda_error *) {
    *ms = 0;
    return WILOR_CUDA_OK;
}

} // namespace wilor_cuda
