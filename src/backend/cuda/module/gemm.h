/* Products y = x wᵀ (+ bias) (+ y): x rows × inputs, w outputs × inputs, y rows × outputs, all row-major, sums
 * in float32. gemm_lt.cu does them by cuBLASLt; the tests' emulation has a plain one. */
#ifndef WILOR_CUDA_GEMM_H
#define WILOR_CUDA_GEMM_H

#include "device.h"

#include <functional>

namespace wilor_cuda {

struct gemm_shape {
    int rows, outputs, inputs;
    wilor_cuda_number in, out; /* out: `in` or float32; a bias is of out's type */
    bool bias, add;
    /* Behind the bias, in its tanh form, at most 5e-4 from the one with erf; `out` has 16 bits. */
    bool gelu;
    /* 1, or so many stretches of the inputs, each with sums of its own: y is parts × rows × outputs, without
     * bias and add. Few rows have too few tiles for a card's multiprocessors. */
    int parts;
    int row = 0;      /* numbers from one row of w and x to the next; 0: inputs */
    float factor = 1; /* of the sums */
};

/* The same matrix of all blocks. A run finds each in the card's memory, not in its cache: so do timings, which
 * take one after the other. */
struct matrices {
    const void *first;
    size_t apart;
    int count;

    const void *at(int i) const {
        return static_cast<const char *>(first) + (size_t)(i % count) * apart;
    }
};

struct gemm_engine; /* a handle and its workspace: of one stream */
struct gemm_plan;   /* how one shape is done best here */

size_t gemm_workspace_bytes();
wilor_cuda_result gemm_engine_open(gemm_engine **out, cudaStream_t stream,
                                   wilor_cuda_error *err);
void gemm_engine_close(gemm_engine *e); /* NULL is fine */

/* Times what cuBLASLt proposes on these buffers, whose y it overwrites. */
wilor_cuda_result gemm_plan_make(gemm_plan **out, gemm_engine *e, const gemm_shape *shape,
                                 const matrices &w, const void *x, void *y,
                                 wilor_cuda_error *err);
void gemm_plan_free(gemm_plan *p); /* NULL is fine */
/* Onto the engine's stream, which may be captured. */
wilor_cuda_result gemm_run(gemm_plan *p, const void *w, const void *x, const void *bias,
                           void *y, wilor_cuda_error *err);

/* Milliseconds of what f puts onto the engine's stream, as a graph. The emulation has no times: 0, and f is
 * not called. */
wilor_cuda_result gemm_time(gemm_engine *e, const std::function<wilor_cuda_result()> &f,
                            float *ms, wilor_cuda_error *err);

} // namespace wilor_cuda

#endif
