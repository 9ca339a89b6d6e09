/* Products by cuBLASLt. Its matrices are column-major: what we call y (rows × outputs) is its outputs ×
 * rows, so it computes w xᵀ with w turned ("TN", which every type allows) and its bias, which runs down a
 * column, is ours along a row. Its GELU is the tanh form: for 16 bits only. TF32 stays off:
 * CUBLAS_COMPUTE_32F never takes it by itself. */
#include "gemm.h"

#include <cfloat>
#include <cstdio>
#include <cublasLt.h>

namespace wilor_cuda {

enum { CANDIDATES = 32, TIMED_RUNS = 5, COLD_RUNS = 16, MANY_ROWS = 1000 };

static const size_t WORKSPACE = 32u << 20;

struct gemm_engine {
    cublasLtHandle_t handle;
    cudaStream_t stream;
    void *workspace;
    cudaEvent_t begin, end;
};

struct gemm_plan {
    gemm_engine *engine;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t w, x, y;
    cublasLtMatmulAlgo_t algo;
    bool bias, add;
    int rows;
    float factor;
};

size_t gemm_workspace_bytes() { return WORKSPACE; }

static wilor_cuda_result check_lt(cublasStatus_t s, const char *what, wilor_cuda_error *err) {
    if (s == CUBLAS_STATUS_SUCCESS)
        return WILOR_CUDA_OK;
    return fail(err,
                s == CUBLAS_STATUS_ALLOC_FAILED    ? WILOR_CUDA_NO_MEMORY
                : s == CUBLAS_STATUS_ARCH_MISMATCH ? WILOR_CUDA_NO_CODE
                                                   : WILOR_CUDA_FAILED,
                "%s: %s", what, cublasLtGetStatusName(s));
}

#define LT_CALL(call, what, err) CUDA_TRY(check_lt((call), (what), (err)))

wilor_cuda_result gemm_engine_open(gemm_engine **out, cudaStream_t stream,
                                   wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    gemm_engine *e = new gemm_engine();
    *out = nullptr;
    e->stream = stream;
    LT_CALL(cublasLtCreate(&e->handle), "cuBLASLt", err);
    CUDA_CALL(cudaMalloc(&e->workspace, WORKSPACE), "cuBLASLt's workspace", err);
    CUDA_CALL(cudaEventCreate(&e->begin), "an event", err);
    CUDA_CALL(cudaEventCreate(&e->end), "an event", err);
    *out = e;
    e = nullptr;
done:
    gemm_engine_close(e);
    return st;
}

void gemm_engine_close(gemm_engine *e) {
    if (!e)
        return;
    if (e->begin)
        cudaEventDestroy(e->begin);
    if (e->end)
        cudaEventDestroy(e->end);
    cudaFree(e->workspace);
    if (e->handle)
        cublasLtDestroy(e->handle);
    delete e;
}

static cudaDataType_t type_of(wilor_cuda_number n) {
    return n == WILOR_CUDA_F16 ? CUDA_R_16F : n == WILOR_CUDA_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* A matrix a part, `apart` numbers from one to the next: an operand's parts lie side by side in its rows. */
static wilor_cuda_result set_parts(cublasLtMatrixLayout_t matrix, int32_t parts, int64_t apart,
                                   wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    LT_CALL(cublasLtMatrixLayoutSetAttribute(matrix, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &parts,
                                             sizeof parts),
            "parts of a matrix", err);
    LT_CALL(cublasLtMatrixLayoutSetAttribute(
                matrix, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &apart, sizeof apart),
            "parts of a matrix", err);
done:
    return st;
}

static wilor_cuda_result describe(gemm_plan *p, const gemm_shape *s, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    cublasOperation_t turned = CUBLAS_OP_T;
    cublasLtEpilogue_t epilogue =
        s->gelu ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
    cudaDataType_t in = type_of(s->in), out = type_of(s->out);
    uint64_t depth = (uint64_t)(s->inputs / s->parts);
    int64_t row = s->row ? s->row : s->inputs;
    LT_CALL(cublasLtMatmulDescCreate(&p->product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product",
            err);
    LT_CALL(cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_TRANSA, &turned,
                                           sizeof turned),
            "a product", err);
    if (s->bias) {
        LT_CALL(cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                               &epilogue, sizeof epilogue),
                "a bias", err);
        LT_CALL(cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                                               &out, sizeof out),
                "a bias's type", err);
    }
    LT_CALL(cublasLtMatrixLayoutCreate(&p->w, in, depth, (uint64_t)s->outputs, row), "a matrix",
            err);
    LT_CALL(cublasLtMatrixLayoutCreate(&p->x, in, depth, (uint64_t)s->rows, row), "a matrix",
            err);
    LT_CALL(cublasLtMatrixLayoutCreate(&p->y, out, (uint64_t)s->outputs, (uint64_t)s->rows,
                                       s->outputs),
            "a matrix", err);
    if (s->parts > 1) {
        CUDA_TRY(set_parts(p->w, s->parts, (int64_t)depth, err));
        CUDA_TRY(set_parts(p->x, s->parts, (int64_t)depth, err));
        CUDA_TRY(set_parts(p->y, s->parts, (int64_t)s->rows * s->outputs, err));
    }
done:
    return st;
}

static cublasStatus_t launch(gemm_plan *p, const cublasLtMatmulAlgo_t *algo, const void *w,
                             const void *x, void *y) {
    const float beta = p->add ? 1.0f : 0.0f;
    return cublasLtMatmul(p->engine->handle, p->product, &p->factor, w, p->w, x, p->x, &beta, y,
                          p->y, y, p->y, algo, p->engine->workspace, WORKSPACE,
                          p->engine->stream);
}

/* Milliseconds of some runs; FLT_MAX where it does not run. Few rows: of so many that the matrices come from
 * memory. */
static float time_algo(gemm_plan *p, const cublasLtMatmulAlgo_t *algo, const matrices &w,
                       const void *x, void *y) {
    float ms = FLT_MAX;
    wilor_cuda_error ignored;
    int runs = p->rows > MANY_ROWS ? 2 : COLD_RUNS;
    auto all = [&] {
        for (int i = 0; i < runs; i++)
            if (launch(p, algo, w.at(i), x, y) != CUBLAS_STATUS_SUCCESS)
                return WILOR_CUDA_UNSUPPORTED;
        return WILOR_CUDA_OK;
    };
    return gemm_time(p->engine, all, &ms, &ignored) == WILOR_CUDA_OK ? ms : FLT_MAX;
}

static wilor_cuda_result choose(gemm_plan *p, const matrices &w, const void *x, void *y,
                                const char *text, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    cublasLtMatmulPreference_t wish = nullptr;
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    int n = 0, best = -1;
    float least = FLT_MAX;
    LT_CALL(cublasLtMatmulPreferenceCreate(&wish), "a preference", err);
    LT_CALL(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                 &WORKSPACE, sizeof WORKSPACE),
            "a preference", err);
    LT_CALL(cublasLtMatmulAlgoGetHeuristic(p->engine->handle, p->product, p->w, p->x, p->y,
                                           p->y, wish, CANDIDATES, found, &n),
            text, err);
    for (int i = 0; i < n; i++) {
        float ms = found[i].state == CUBLAS_STATUS_SUCCESS
                       ? time_algo(p, &found[i].algo, w, x, y)
                       : FLT_MAX;
        if (ms < least) {
            least = ms;
            best = i;
        }
    }
    if (best < 0) {
        st = fail(err, WILOR_CUDA_UNSUPPORTED, "cuBLASLt has no way for %s", text);
        goto done;
    }
    p->algo = found[best].algo;
done:
    if (wish)
        cublasLtMatmulPreferenceDestroy(wish);
    return st;
}

wilor_cuda_result gemm_plan_make(gemm_plan **out, gemm_engine *e, const gemm_shape *s,
                                 const matrices &w, const void *x, void *y,
                                 wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    char text[96];
    gemm_plan *p = new gemm_plan();
    *out = nullptr;
    p->engine = e;
    p->bias = s->bias;
    p->add = s->add;
    p->rows = s->rows;
    p->factor = s->factor;
    snprintf(text, sizeof text, "a product of %d x %d by %d in %d parts", s->rows, s->inputs,
             s->outputs, s->parts);
    CUDA_TRY(describe(p, s, err));
    if (s->bias) /* any numbers do while it is timed: the weights' */
        LT_CALL(cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                               &w.first, sizeof w.first),
                "a bias", err);
    CUDA_TRY(choose(p, w, x, y, text, err));
    *out = p;
    p = nullptr;
done:
    gemm_plan_free(p);
    return st;
}

void gemm_plan_free(gemm_plan *p) {
    if (!p)
        return;
    if (p->y)
        cublasLtMatrixLayoutDestroy(p->y);
    if (p->x)
        cublasLtMatrixLayoutDestroy(p->x);
    if (p->w)
        cublasLtMatrixLayoutDestroy(p->w);
    if (p->product)
        cublasLtMatmulDescDestroy(p->product);
    delete p;
}

wilor_cuda_result gemm_run(gemm_plan *p, const void *w, const void *x, const void *bias,
                           void *y, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    if (p->bias)
        LT_CALL(cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                               &bias, sizeof bias),
                "a bias", err);
    LT_CALL(launch(p, &p->algo, w, x, y), "cublasLtMatmul", err);
done:
    return st;
}

wilor_cuda_result gemm_time(gemm_engine *e, const std::function<wilor_cuda_result()> &f,
                            float *ms, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    cudaGraphExec_t runs = nullptr;
    CUDA_TRY(f()); /* kernels are loaded before there is a capture */
    CUDA_TRY(capture_graph(&runs, e->stream, f, err));
    CUDA_CALL(cudaGraphLaunch(runs, e->stream), "timing", err); /* to warm up */
    CUDA_CALL(cudaEventRecord(e->begin, e->stream), "timing", err);
    for (int i = 0; i < TIMED_RUNS; i++)
        CUDA_CALL(cudaGraphLaunch(runs, e->stream), "timing", err);
    CUDA_CALL(cudaEventRecord(e->end, e->stream), "timing", err);
    CUDA_CALL(cudaStreamSynchronize(e->stream), "timing", err);
    CUDA_CALL(cudaEventElapsedTime(ms, e->begin, e->end), "timing", err);
done:
    if (runs)
        cudaGraphExecDestroy(runs);
    return st;
}

} // namespace wilor_cuda
