/* dot.h's float32 table on the matrix product of Apple's Accelerate (accelerate.h). Everything is rows of
 * numbers, as a BLAS wants them: A's rows are a unit's tokens, B's rows the weights as they lie in the file.
 * Rows are padded with zeros to whole STEPs, so that panels follow each other without a gap.
 *
 * One call multiplies 210 rows by 128 columns: large enough for the library to pay, and small enough for the
 * threads of a pool to have something each. How it cuts a product depends on its sizes alone, so one and many
 * threads give the same bits as far as the library does. */
#include "accelerate.h"
#include "dot.h"

#include <string.h>

enum { STEP = 8, ROWS = 210, COLUMNS = 128 };

/* cblas.h's. */
enum { ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112 };

static size_t row_numbers(size_t k) { return (k + STEP - 1) / STEP * STEP; }

/* Of panels whose width times STEP floats is whole lines. */
static size_t lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t a_bytes(const wilor_dot *d, size_t k) {
    return lines(row_numbers(k) * (size_t)d->mr * sizeof(float));
}

static size_t b_bytes(const wilor_dot *d, size_t k) {
    return lines(row_numbers(k) * (size_t)d->nr * sizeof(float));
}

/* To k-major numbers of neighbouring columns (ldc 1), a few lines of which stay in the cache. */
static void turn(const float *w, size_t ldk, size_t cols, size_t k, float *to, size_t ld) {
    for (size_t i = 0; i < k; i += STEP)
        for (size_t c = 0; c < cols; c++)
            for (size_t j = i; j < i + STEP && j < k; j++)
                to[c * ld + j] = w[c + j * ldk];
}

static void pack_b(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                   size_t k, void *panel) {
    size_t ld = row_numbers(k);
    float *to = panel;
    memset(panel, 0, b_bytes(d, k));
    if (ldk != 1) {
        turn(w, ldk, (size_t)cols, k, to, ld);
        return;
    }
    for (size_t c = 0; c < (size_t)cols; c++)
        memcpy(to + c * ld, w + c * ldc, k * sizeof *to);
}

static void put_a(const wilor_dot *d, const float *src, size_t ld, const float *top, int row,
                  int rows, size_t col, size_t cols, size_t k, void *panel) {
    size_t whole = row_numbers(k);
    float *to = (float *)panel + (size_t)row * whole;
    (void)d;
    (void)top;
    for (size_t r = 0; r < (size_t)rows; r++, to += whole) {
        memcpy(to + col, src + r * ld, cols * sizeof *to);
        if (col + cols == k)
            memset(to + k, 0, (whole - k) * sizeof *to);
    }
}

static void gemm(const wilor_dot *d, const wilor_dot_call *c) {
    int k = (int)row_numbers(c->k);
    (void)d;
    wilor_accelerate_sgemm()(ROW_MAJOR, AS_IS, TRANSPOSED, c->rows, c->cols, k, 1.0f, c->a, k,
                             c->b, k, c->add ? 1.0f : 0.0f, c->tile, (int)c->ldt);
}

int wilor_dot_fill_accelerate(wilor_dot *out, const wilor_kernels *kernels) {
    out[0] = (wilor_dot){.name = "f32 accelerate",
                         .arith = WILOR_ARITH_F32,
                         .kernels = kernels,
                         .mr = kernels->mr,
                         .nr = kernels->nr,
                         .row_step = 1,
                         .chunk = (ROWS + kernels->mr - 1) / kernels->mr,
                         .slices = 1,
                         .any_ldt = true,
                         .block = COLUMNS / kernels->nr,
                         .a_bytes = a_bytes,
                         .a_numbers = a_bytes,
                         .b_bytes = b_bytes,
                         .b_numbers = b_bytes,
                         .begin = wilor_accelerate_begin,
                         .end = wilor_accelerate_end,
                         .pack_b = pack_b,
                         .put_a = put_a,
                         .gemm = gemm};
    return 1;
}
