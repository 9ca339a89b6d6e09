/* Every kernel of a tier against double arithmetic: exact on small whole numbers, within an
 * error model on the rest; arrays end at guard pages, what must stay untouched is checked.
 * Usage: test_kernels TIER [--bench]. The seed is printed; WILOR_SEED sets it. --bench times
 * each kernel instead, in thread CPU time. */
#include "guarded.h"
#include "half_pairs.h"
#include "heap.h"
#include "kernels.h"
#include "portable.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const wilor_kernels *g_tier;
static uint64_t g_state;

static uint64_t next_random(void) {
    g_state ^= g_state << 13;
    g_state ^= g_state >> 7;
    g_state ^= g_state << 17;
    return g_state;
}

static float uniform(float low, float high) {
    return low + (high - low) * (float)(next_random() >> 40) * 0x1p-24f;
}

/* Nearly normal. */
static float noise(void) { return uniform(-1, 1) + uniform(-1, 1) + uniform(-1, 1); }

static float small_whole(void) { return (float)((int)(next_random() % 7) - 3); }

/* Aligned storage for panels and tiles. */
static float *aligned(size_t count) {
    float *p = aligned_alloc(64, (count * sizeof *p + 127) / 64 * 64);
    assert_non_null(p);
    return p;
}

/* ---------------------------------------------------------------- pack */

static void pack_case(int rows, int width, size_t k, size_t ld) {
    guarded src = guarded_alloc((size_t)(rows - 1) * ld + k);
    guarded panel = guarded_alloc((size_t)width * k + 1);
    for (size_t i = 0; i < (size_t)(rows - 1) * ld + k; i++)
        src.data[i] = noise();
    /* One float before the panel belongs to nobody. */
    float *dst = panel.data + 1;
    g_tier->pack_f32(src.data, ld, rows, width, k, dst);
    assert_true(panel.data[0] == GUARDED_PATTERN);
    for (size_t i = 0; i < k; i++)
        for (int r = 0; r < width; r++) {
            float want = r < rows ? src.data[(size_t)r * ld + i] : 0.0f;
            if (dst[i * (size_t)width + (size_t)r] != want)
                fail_msg("pack %d of %d rows, k %zu, ld %zu: row %d, column %zu", rows, width,
                         k, ld, r, i);
        }
    guarded_free(&src);
    guarded_free(&panel);
}

static void test_pack(void **state) {
    (void)state;
    static const size_t ks[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 80, 100};
    const int widths[2] = {g_tier->mr, g_tier->nr};
    for (int w = 0; w < 2; w++)
        for (int rows = 1; rows <= widths[w]; rows++)
            for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++) {
                pack_case(rows, widths[w], ks[i], ks[i]);
                pack_case(rows, widths[w], ks[i], ks[i] + 5);
            }
}

/* Every bit of every half float, NaNs' too. */
static void half_pairs_case(int rows, size_t k) {
    const size_t nr = (size_t)g_tier->nr, n = (size_t)rows * k;
    guarded src = guarded_alloc(n / 2), panel = guarded_alloc(nr * k / 2 + 1);
    uint16_t *from = malloc(n * sizeof *from), *to = malloc(nr * k * sizeof *to);
    assert_true(from && to);
    for (size_t i = 0; i < n; i++)
        from[i] = (uint16_t)(i * 40503u + 31743u);
    memcpy(src.data, from, n * sizeof *from);
    wilor_pack_half_pairs(g_tier, src.data, k, rows, (uint16_t *)(void *)(panel.data + 1));
    assert_true(panel.data[0] == GUARDED_PATTERN);
    memcpy(to, panel.data + 1, nr * k * sizeof *to);
    for (size_t i = 0; i < k; i++)
        for (size_t r = 0; r < nr; r++)
            assert_int_equal(to[i * nr + r], r < (size_t)rows ? from[r * k + i] : 0);
    free(from);
    free(to);
    guarded_free(&src);
    guarded_free(&panel);
}

static void test_half_pairs(void **state) {
    (void)state;
    static const size_t ks[] = {2, 4, 16, 18, 62, 64, 66, 130, 576};
    for (int rows = 1; rows <= g_tier->nr; rows++)
        for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++)
            half_pairs_case(rows, ks[i]);
}

/* ---------------------------------------------------------------- gemm */

static void gemm_case(size_t k, int whole) {
    size_t mr = (size_t)g_tier->mr, nr = (size_t)g_tier->nr;
    float *a = aligned(mr * k), *b = aligned(nr * k), *tile = aligned(mr * nr);
    for (size_t i = 0; i < mr * k; i++)
        a[i] = whole ? small_whole() : noise();
    for (size_t i = 0; i < nr * k; i++)
        b[i] = whole ? small_whole() : noise();
    g_tier->gemm_f32(a, b, k, tile, whole ? b : NULL);
    for (size_t r = 0; r < mr; r++)
        for (size_t c = 0; c < nr; c++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < k; i++) {
                double p = (double)a[i * mr + r] * b[i * nr + c];
                sum += p;
                size += fabs(p);
            }
            double allowed = whole ? 0 : size * FLT_EPSILON * (1 + sqrt((double)k));
            if (!(fabs(tile[r * nr + c] - sum) <= allowed))
                fail_msg("gemm k %zu: row %zu, column %zu is %.9g, expected %.9g", k, r, c,
                         (double)tile[r * nr + c], sum);
        }
    free(a);
    free(b);
    free(tile);
}

static void test_gemm(void **state) {
    (void)state;
    static const size_t ks[] = {1,  2,  3,  5,  7,   8,   9,   15,   16,   17,
                                31, 64, 80, 96, 210, 211, 768, 1120, 1280, 5120};
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++) {
        gemm_case(ks[i], 1);
        gemm_case(ks[i], 0);
    }
}

/* NaN and infinity go where they belong and nowhere else. */
static void test_gemm_special(void **state) {
    (void)state;

    enum { K = 24 };

    size_t mr = (size_t)g_tier->mr, nr = (size_t)g_tier->nr;
    float *a = aligned(mr * K), *b = aligned(nr * K), *tile = aligned(mr * nr);
    for (size_t i = 0; i < mr * K; i++)
        a[i] = 1;
    for (size_t i = 0; i < nr * K; i++)
        b[i] = 1;
    a[10 * mr + 1] = NAN;
    b[11 * nr + 2] = INFINITY;
    g_tier->gemm_f32(a, b, K, tile, NULL);
    for (size_t r = 0; r < mr; r++)
        for (size_t c = 0; c < nr; c++) {
            float v = tile[r * nr + c];
            assert_true(r == 1 ? isnan(v) : c == 2 ? isinf(v) : v == K);
        }
    free(a);
    free(b);
    free(tile);
}

/* ---------------------------------------------------------------- convolution */

/* The nine pieces of a 3 × 3 window over rows of `pitch` pixels, or one piece; the last number that
 * may be read is the last before the guard page. */
static void conv_case(int taps, size_t depth, size_t step, int cols, int whole) {
    enum { PITCH = 5 };

    size_t mr = (size_t)g_tier->mr, nr = (size_t)g_tier->nr, k = (size_t)taps * depth;
    size_t before = taps > 1 ? (PITCH + 1) * step : 0, after = before;
    size_t floats = before + (mr - 1) * step + after + depth;
    guarded in = guarded_alloc(floats);
    float *b = aligned(nr * k), *tile = aligned(mr * nr);
    ptrdiff_t offset[9] = {0};
    for (int t = 0; taps > 1 && t < taps; t++)
        offset[t] = ((t / 3 - 1) * PITCH + t % 3 - 1) * (ptrdiff_t)step;
    for (size_t i = 0; i < floats; i++)
        in.data[i] = whole ? small_whole() : noise();
    for (size_t i = 0; i < nr * k; i++)
        b[i] = whole ? small_whole() : noise();
    const float *a = in.data + before;
    g_tier->conv_f32(a, step, offset, taps, depth, b, cols, tile);
    for (size_t r = 0; r < mr; r++)
        for (size_t c = 0; c < (size_t)cols; c++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < k; i++) {
                double p = (double)a[(ptrdiff_t)(r * step + i % depth) + offset[i / depth]] *
                           b[i * nr + c];
                sum += p;
                size += fabs(p);
            }
            double allowed = whole ? 0 : size * FLT_EPSILON * (1 + sqrt((double)k));
            if (!(fabs(tile[r * nr + c] - sum) <= allowed))
                fail_msg("conv %d x %zu, step %zu: row %zu, column %zu is %.9g, expected %.9g",
                         taps, depth, step, r, c, (double)tile[r * nr + c], sum);
        }
    guarded_free(&in);
    free(b);
    free(tile);
}

static void test_conv(void **state) {
    (void)state;
    static const size_t depths[] = {1, 2, 3, 4, 5, 7, 8, 24, 27, 48, 63, 96};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++)
        for (int taps = 1; taps <= 9; taps += 8)
            for (int cols = 1; cols <= g_tier->nr; cols = cols < 3 ? cols + 1 : cols + 5) {
                conv_case(taps, depths[i], depths[i], cols, 1);
                conv_case(taps, depths[i], depths[i] + 7, cols, 0);
            }
    for (int cols = g_tier->nr / 2 - 1; cols <= g_tier->nr / 2 + 1; cols++)
        conv_case(9, 12, 12, cols, 1);
    static const size_t longer[] = {255, 256, 257, 511, 512, 513, 3456};
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++) {
        conv_case(1, longer[i], longer[i], g_tier->nr, 1);
        conv_case(1, longer[i], longer[i] + 3, g_tier->nr / 2, 0);
    }
    conv_case(9, 130, 130, g_tier->nr, 1); /* blocks that end inside a tap */
}

/* Bᵀ d B against double, written out; rows of pixels that end at the guard page. */
static void winograd_in_case(size_t depth, size_t step) {
    static const double b[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
    guarded in[4], out = guarded_alloc(15 * (depth + 3) + depth);
    const float *row[4];
    for (int i = 0; i < 4; i++) {
        in[i] = guarded_alloc(3 * step + depth);
        for (size_t k = 0; k < 3 * step + depth; k++)
            in[i].data[k] = small_whole();
        row[i] = in[i].data;
    }
    g_tier->winograd_in_f32(row, step, depth, out.data, depth + 3);
    for (size_t p = 0; p < 16; p++)
        for (size_t c = 0; c < depth + 3 && (p < 15 || c < depth); c++) {
            double want = 0;
            for (size_t i = 0; i < 4 && c < depth; i++)
                for (size_t j = 0; j < 4; j++)
                    want += b[p / 4][i] * b[p % 4][j] * row[i][j * step + c];
            float got = out.data[p * (depth + 3) + c];
            if (got != (c < depth ? (float)want : GUARDED_PATTERN))
                fail_msg("winograd in, depth %zu, step %zu: plane %zu, channel %zu is %g",
                         depth, step, p, c, (double)got);
        }
    for (int i = 0; i < 4; i++)
        guarded_free(&in[i]);
    guarded_free(&out);
}

/* Transforms, products and transform back are the convolution: exactly, on whole numbers. */
static void test_winograd(void **state) {
    (void)state;
    static const double g[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
    static const size_t depths[] = {1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 48, 63};
    size_t tile = (size_t)g_tier->mr * (size_t)g_tier->nr;
    float *m = aligned(16 * tile), *out = aligned(4 * tile), d[4][4], k[3][3];
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        winograd_in_case(depths[i], depths[i]);
        winograd_in_case(depths[i], depths[i] + 5);
    }
    float *inputs = aligned(tile * 25);
    for (size_t t = 0; t < tile; t++) {
        float u[16], planes[16];
        const float *row[4] = {d[0], d[1], d[2], d[3]};
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
                inputs[t * 25 + (size_t)(i * 4 + j)] = d[i][j] = small_whole();
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                inputs[t * 25 + 16 + (size_t)(i * 3 + j)] = k[i][j] = 4 * small_whole();
        for (int p = 0; p < 16; p++) {
            double sum = 0;
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++)
                    sum += g[p / 4][i] * g[p % 4][j] * k[i][j];
            u[p] = (float)sum;
        }
        g_tier->winograd_in_f32(row, 1, 1, planes, 1);
        for (size_t p = 0; p < 16; p++)
            m[p * tile + t] = planes[p] * u[p];
    }
    g_tier->winograd_out_f32(m, out);
    for (size_t t = 0; t < tile; t++)
        for (size_t y = 0; y < 2; y++)
            for (size_t x = 0; x < 2; x++) {
                size_t nr = (size_t)g_tier->nr, r = t / nr, c = t % nr;
                double want = 0;
                for (size_t i = 0; i < 9; i++)
                    want += (double)inputs[t * 25 + 16 + i] *
                            inputs[t * 25 + (y + i / 3) * 4 + x + i % 3];
                float got = out[((y * (size_t)g_tier->mr + r) * 2 + x) * nr + c];
                if (got != (float)want)
                    fail_msg(
                        "winograd: tile %zu, column %zu, pixel (%zu, %zu) is %g, expected %g",
                        r, c, y, x, (double)got, want);
            }
    free(m);
    free(out);
    free(inputs);
}

/* ---------------------------------------------------------------- stored panels */

/* Every half float and every bfloat16 there is. */
static void test_expand_16(void **state) {
    (void)state;
    size_t nr = (size_t)g_tier->nr, k = 65536 / nr;
    uint16_t *src = aligned_alloc(64, 65536 * sizeof *src);
    float *out = aligned(65536);
    assert_non_null(src);
    for (size_t i = 0; i < 65536; i++)
        src[i] = (uint16_t)i;
    g_tier->expand_f32(WILOR_PANEL_F16, src, k, NULL, NULL, out);
    for (size_t i = 0; i < k * nr; i++) {
        int exponent = (int)(i >> 10 & 31), part = (int)(i & 1023);
        double want = exponent ? ldexp(1024 + part, exponent - 25) : ldexp(part, -24);
        want = i >> 15 ? -want : want;
        if (exponent == 31)
            assert_true(part ? isnan(out[i]) : isinf(out[i]) && !signbit(out[i]) == !(i >> 15));
        else if ((double)out[i] != want || !signbit(out[i]) != !(i >> 15))
            fail_msg("half %04zx is %a, expected %a", i, (double)out[i], want);
    }
    g_tier->expand_f32(WILOR_PANEL_BF16, src, k, NULL, NULL, out);
    for (size_t i = 0; i < k * nr; i++) {
        uint32_t bits;
        memcpy(&bits, out + i, sizeof bits);
        assert_int_equal(bits, (uint32_t)i << 16);
    }
    free(src);
    free(out);
}

static void test_expand_integers(void **state) {
    (void)state;

    enum { K = 64 };

    size_t nr = (size_t)g_tier->nr;
    uint8_t *src = aligned_alloc(64, K * nr);
    float *scale = aligned(nr), *bias = aligned(nr), *out = aligned(K * nr);
    assert_non_null(src);
    for (size_t i = 0; i < K * nr; i++)
        src[i] = (uint8_t)next_random();
    for (size_t c = 0; c < nr; c++) {
        scale[c] = noise();
        bias[c] = noise();
    }
    static const wilor_panel_type types[] = {WILOR_PANEL_I8, WILOR_PANEL_U8, WILOR_PANEL_U4};
    for (int t = 0; t < 3; t++)
        for (size_t k = 2; k <= K; k += k < 8 ? 2 : 28) {
            for (size_t i = 0; i < K * nr; i++)
                out[i] = GUARDED_PATTERN;
            g_tier->expand_f32(types[t], src, k, scale, bias, out);
            for (size_t i = 0; i < K * nr; i++) {
                size_t c = i % nr, step = i / nr;
                uint8_t byte = src[types[t] == WILOR_PANEL_U4 ? step / 2 * nr + c : i];
                float q = types[t] == WILOR_PANEL_I8 ? (float)(int8_t)byte
                          : types[t] == WILOR_PANEL_U8
                              ? (float)byte
                              : (float)(step % 2 ? byte >> 4 : byte & 15);
                volatile float product = scale[c] * q;
                float want = types[t] == WILOR_PANEL_I8 ? product : product + bias[c];
                if (out[i] != (step < k ? want : GUARDED_PATTERN))
                    fail_msg("type %d, step %zu of %zu, column %zu: %.9g, expected %.9g",
                             (int)types[t], step, k, c, (double)out[i], (double)want);
            }
        }
    free(src);
    free(scale);
    free(bias);
    free(out);
}

/* ---------------------------------------------------------------- layer norm */

static void layernorm_case(int rows, size_t k, float offset) {
    size_t ld = k + 3;
    guarded x = guarded_alloc((size_t)(rows - 1) * ld + k),
            out = guarded_alloc(ld * (size_t)rows);
    guarded gamma = guarded_alloc(k), beta = guarded_alloc(k);
    for (size_t i = 0; i < (size_t)(rows - 1) * ld + k; i++)
        x.data[i] = noise() + offset;
    for (size_t i = 0; i < k; i++) {
        gamma.data[i] = 1 + noise();
        beta.data[i] = noise();
    }
    /* The last row's padding is not part of the array. */
    float *o = out.data + 3;
    g_tier->layernorm_f32(x.data, ld, rows, k, gamma.data, beta.data, 1e-6f, o, ld);
    for (int r = 0; r < rows; r++) {
        const float *p = x.data + (size_t)r * ld;
        double mean = 0, var = 0;
        for (size_t i = 0; i < k; i++)
            mean += p[i] / (double)k;
        for (size_t i = 0; i < k; i++)
            var += (p[i] - mean) * (p[i] - mean) / (double)k;
        double scale = 1 / sqrt(var + 1e-6);
        /* The mean's own rounding moves every element by about ulp(offset). */
        double allowed = (8 + fabs((double)offset) * scale) * 4 * FLT_EPSILON;
        for (size_t i = 0; i < k; i++) {
            double want = (p[i] - mean) * scale * gamma.data[i] + beta.data[i];
            double got = o[(size_t)r * ld + i];
            if (!(fabs(got - want) <= allowed * (1 + fabs((double)gamma.data[i]))))
                fail_msg("layernorm k %zu row %d: %.9g, expected %.9g", k, r, got, want);
        }
    }
    for (int r = 0; r + 1 < rows; r++)
        for (size_t i = k; i < ld; i++)
            assert_true(o[(size_t)r * ld + i] == GUARDED_PATTERN);
    guarded_free(&x);
    guarded_free(&out);
    guarded_free(&gamma);
    guarded_free(&beta);
}

static void test_layernorm(void **state) {
    (void)state;
    static const size_t ks[] = {2, 3, 8, 15, 16, 17, 33, 63, 64, 65, 100, 160, 1280};
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++)
        for (int rows = 1; rows <= 3; rows++) {
            layernorm_case(rows, ks[i], 0);
            layernorm_case(rows, ks[i], 100);
        }
}

/* ---------------------------------------------------------------- epilogues */

typedef struct epilogue {
    float *tile, *bias, *scale;
    guarded out;
    size_t ldo;
    int rows, cols;
} epilogue;

static epilogue make_epilogue(int rows, int cols) {
    size_t mr = (size_t)g_tier->mr, nr = (size_t)g_tier->nr;
    epilogue e = {aligned(mr * nr), aligned(nr), aligned(nr), {0},
                  (size_t)cols + 2, rows,        cols};
    e.out = guarded_alloc((size_t)(rows - 1) * e.ldo + (size_t)cols);
    for (size_t i = 0; i < mr * nr; i++)
        e.tile[i] = noise();
    for (size_t i = 0; i < nr; i++) {
        e.bias[i] = noise();
        e.scale[i] = noise();
    }
    return e;
}

static void free_epilogue(epilogue *e) {
    free(e->tile);
    free(e->bias);
    free(e->scale);
    guarded_free(&e->out);
}

static void check_epilogue(const epilogue *e, const char *what, float start, int kind) {
    size_t nr = (size_t)g_tier->nr;
    for (int r = 0; r < e->rows; r++)
        for (size_t c = 0; c < e->ldo && (r + 1 < e->rows || c < (size_t)e->cols); c++) {
            float t = e->tile[(size_t)r * nr + c % nr], b = e->bias[c % nr],
                  s = e->scale[c % nr];
            double want =
                kind == 2 ? fmax(0, (double)t * s + b) : (double)start + ((double)t + b);
            float got = e->out.data[(size_t)r * e->ldo + c];
            if (c >= (size_t)e->cols)
                assert_true(got == start || got == GUARDED_PATTERN);
            else if (!(fabs(got - want) <= 4e-6 * (1 + fabs((double)start) * 0.1)))
                fail_msg("%s %d x %d: row %d, column %zu is %.9g, expected %.9g", what, e->rows,
                         e->cols, r, c, (double)got, want);
        }
}

static void test_epilogues(void **state) {
    (void)state;
    for (int rows = 1; rows <= g_tier->mr; rows++)
        for (int cols = 1; cols <= g_tier->nr; cols++) {
            epilogue e = make_epilogue(rows, cols);
            g_tier->store_bias_f32(e.tile, rows, cols, e.bias, e.out.data, e.ldo);
            check_epilogue(&e, "store", 0, 0);
            g_tier->affine_relu_f32(e.tile, rows, cols, e.scale, e.bias, e.out.data, e.ldo);
            check_epilogue(&e, "relu", 0, 2);
            for (size_t i = 0; i < (size_t)(rows - 1) * e.ldo + (size_t)cols; i++)
                e.out.data[i] = 10;
            g_tier->add_bias_f32(e.tile, rows, cols, e.bias, e.out.data, e.ldo);
            check_epilogue(&e, "add", 10, 1);
            free_epilogue(&e);
        }
}

static void test_relu_nan(void **state) {
    (void)state;
    epilogue e = make_epilogue(g_tier->mr, g_tier->nr);
    e.tile[1] = NAN;
    g_tier->affine_relu_f32(e.tile, e.rows, e.cols, e.scale, e.bias, e.out.data, e.ldo);
    assert_true(isnan(e.out.data[1]));
    assert_false(isnan(e.out.data[0]));
    free_epilogue(&e);
}

/* ---------------------------------------------------------------- gelu, softmax, division */

/* All floats from -10 to 10 in steps of many ulps, and the neighbourhood of zero and of the
 * clamp. */
typedef void (*gelu_fn)(float *tile, int rows, const float *bias);

static double worst_gelu(gelu_fn gelu, float from, float to, long steps) {
    size_t n = (size_t)g_tier->mr * (size_t)g_tier->nr;
    float *tile = aligned(n), *bias = aligned((size_t)g_tier->nr), *x = aligned(n);
    double worst = 0;
    memset(bias, 0, (size_t)g_tier->nr * sizeof *bias);
    for (long i = 0; i < steps; i += (long)n) {
        for (size_t j = 0; j < n; j++)
            x[j] = tile[j] =
                from + (to - from) * (float)((double)(i + (long)j) / (double)steps);
        gelu(tile, g_tier->mr, bias);
        for (size_t j = 0; j < n; j++) {
            double want = 0.5 * (double)x[j] * (1 + erf((double)x[j] * 0.70710678118654752440));
            worst = fmax(worst, fabs(tile[j] - want) / fmax(1, fabs(want)));
        }
    }
    free(tile);
    free(bias);
    free(x);
    return worst;
}

static void test_gelu(void **state) {
    (void)state;
    gelu_fn gelu = g_tier->bias_gelu_f32;
    double wide = worst_gelu(gelu, -10, 10, 4000000);
    double zero = worst_gelu(gelu, -0.01f, 0.01f, 100000);
    printf("gelu: %.2e on -10 ... 10, %.2e near zero\n", wide, zero);
    assert_true(wide < 1e-6); /* a few ulps of 1 + erf, times |x|/2; PyTorch: 4.5e-7 */
    assert_true(zero < 2e-9);
}

/* 2.5e-5 of the fit (scripts/fit_polynomials.py) and rounding. */
static void test_gelu_short(void **state) {
    (void)state;
    gelu_fn gelu = g_tier->bias_gelu_short_f32;
    double wide = worst_gelu(gelu, -10, 10, 4000000),
           far = worst_gelu(gelu, -1e6f, 1e6f, 100000);
    double zero = worst_gelu(gelu, -0.01f, 0.01f, 100000);
    printf("short gelu: %.2e on -10 ... 10, %.2e far out, %.2e near zero\n", wide, far, zero);
    assert_true(wide < 2.6e-5);
    assert_true(far < 2.6e-5);
    assert_true(zero < 3e-8);
}

static void check_special(gelu_fn gelu, double allowed) {
    size_t nr = (size_t)g_tier->nr, n = (size_t)g_tier->mr * nr;
    float *tile = aligned(n), *bias = aligned(nr);
    for (size_t i = 0; i < nr; i++)
        bias[i] = (float)i;
    for (size_t i = 0; i < n; i++)
        tile[i] = 0;
    tile[1] = NAN;
    tile[2] = INFINITY;
    tile[3] = -1e30f;
    gelu(tile, g_tier->mr, bias);
    assert_true(isnan(tile[1]));
    assert_true(isinf(tile[2]) && tile[2] > 0);
    assert_true(tile[3] == 0);
    for (size_t i = 4; i < n; i++) {
        double x = (double)(i % nr), want = 0.5 * x * (1 + erf(x * 0.70710678118654752440));
        assert_true(fabs(tile[i] - want) <= allowed * fmax(1, want));
    }
    free(tile);
    free(bias);
}

static void test_gelu_bias_and_special(void **state) {
    (void)state;
    check_special(g_tier->bias_gelu_f32, 1e-6);
    check_special(g_tier->bias_gelu_short_f32, 2.6e-5);
}

static void test_silu(void **state) {
    (void)state;
    for (int rows = 1; rows <= g_tier->mr; rows++)
        for (int cols = 1; cols <= g_tier->nr; cols++) {
            epilogue e = make_epilogue(rows, cols);
            size_t nr = (size_t)g_tier->nr, n = (size_t)(rows - 1) * e.ldo + (size_t)cols;
            guarded added = guarded_alloc(n);
            for (size_t i = 0; i < n; i++)
                added.data[i] = noise();
            for (size_t i = 0; i < (size_t)g_tier->mr * nr; i++)
                e.tile[i] *= i % 7 == 0 ? 40 : 1;
            for (int with = 0; with < 2; with++) {
                g_tier->bias_silu_f32(e.tile, rows, cols, e.bias, with ? added.data : NULL,
                                      e.ldo, e.out.data, e.ldo);
                for (size_t i = 0; i < n; i++) {
                    size_t r = i / e.ldo, c = i % e.ldo;
                    if (c >= (size_t)cols) {
                        assert_true(e.out.data[i] == GUARDED_PATTERN);
                        continue;
                    }
                    float x = e.tile[r * nr + c] + e.bias[c];
                    double want = (double)x / (1 + exp(-(double)x));
                    want += with ? (double)added.data[i] : 0;
                    if (!(fabs(e.out.data[i] - want) <=
                          4e-7 * (fabs(want) + with * 4.0) + 1e-34))
                        fail_msg("silu %d x %d: of %g is %.9g, expected %.9g", rows, cols,
                                 (double)x, (double)e.out.data[i], want);
                }
            }
            /* In place. */
            memcpy(e.out.data, added.data, n * sizeof(float));
            g_tier->bias_silu_f32(e.tile, rows, cols, e.bias, e.out.data, e.ldo, e.out.data,
                                  e.ldo);
            guarded_free(&added);
            free_epilogue(&e);
        }
}

static void test_silu_special(void **state) {
    (void)state;
    static const float in[] = {0.0f, -0.0f, 1e30f, -1e30f, -80.0f, -200.0f, 3e38f};
    epilogue e = make_epilogue(1, g_tier->nr);
    memset(e.bias, 0, (size_t)g_tier->nr * sizeof *e.bias);
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++)
        e.tile[i] = in[i];
    e.tile[8] = NAN;
    e.tile[9] = INFINITY;
    g_tier->bias_silu_f32(e.tile, 1, g_tier->nr, e.bias, NULL, 0, e.out.data, e.ldo);
    const float *y = e.out.data;
    assert_true(y[0] == 0 && y[1] == 0 && y[2] == 1e30f && y[6] == 3e38f);
    assert_true(fabsf(y[4] + 80.0f * 1.8048513e-35f) < 1e-38f);
    assert_true(isnan(y[8]) && isinf(y[9]));
    /* Far below, the exponential stops at e^-87: tiny numbers instead of smaller ones. */
    assert_true(y[5] <= 0 && y[5] > -1e-34f);
    free_epilogue(&e);
}

static void softmax_case(int keys, float scale, float spread) {
    size_t nr = (size_t)g_tier->nr, n = (size_t)keys * nr;
    float *s = aligned(n), *before = aligned(n), *sums = aligned(nr);
    for (size_t i = 0; i < n; i++)
        before[i] = s[i] = spread * noise();
    g_tier->softmax_f32(s, keys, scale, sums);
    for (size_t c = 0; c < nr; c++) {
        double top = -INFINITY, sum = 0;
        for (size_t i = 0; i < (size_t)keys; i++)
            top = fmax(top, before[i * nr + c]);
        for (size_t i = 0; i < (size_t)keys; i++) {
            /* The exponent's argument is a product and a difference in float. */
            double x = (before[i * nr + c] - top) * (double)scale, want = exp(x);
            sum += want;
            if (!(fabs(s[i * nr + c] - want) <= want * (1.2e-7 * (2 + fabs(x))) + 1e-37))
                fail_msg("softmax: e^%g is %.9g, expected %.9g", x, (double)s[i * nr + c],
                         want);
        }
        assert_true(fabs(sums[c] - sum) <= sum * 2e-6);
    }
    free(s);
    free(before);
    free(sums);
}

static void test_softmax(void **state) {
    (void)state;
    static const int keys[] = {1, 2, 3, 17, 210};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        softmax_case(keys[i], 1.0f, 1);
        softmax_case(keys[i], 0.1118034f, 20);
        softmax_case(keys[i], 0.1118034f, 300); /* down to e^-87 and beyond */
    }
}

static void test_divide(void **state) {
    (void)state;
    size_t nr = (size_t)g_tier->nr, n = (size_t)g_tier->mr * nr;
    float *tile = aligned(n), *before = aligned(n), *divisor = aligned(nr);
    for (size_t i = 0; i < n; i++)
        before[i] = tile[i] = noise();
    for (size_t i = 0; i < nr; i++)
        divisor[i] = uniform(1, 210);
    g_tier->divide_f32(tile, divisor);
    for (size_t i = 0; i < n; i++) {
        double want = (double)before[i] / divisor[i % nr];
        assert_true(fabs(tile[i] - want) <= fabs(want) * 3e-7);
    }
    free(tile);
    free(before);
    free(divisor);
}

/* ---------------------------------------------------------------- --bench */

typedef struct bench_data {
    float *a, *b, *tile, *rows, *panel, *vector, *scores;
} bench_data;

enum { BENCH_K = 1280, BENCH_KEYS = 210 };

static void bench_gemm(const bench_data *d) {
    g_tier->gemm_f32(d->a, d->b, BENCH_K, d->tile, NULL);
}

static void bench_conv(const bench_data *d) {
    static const ptrdiff_t none[1] = {0};
    g_tier->conv_f32(d->a, BENCH_K, none, 1, BENCH_K, d->b, g_tier->nr, d->tile);
}

static void bench_conv_half(const bench_data *d) {
    static const ptrdiff_t none[1] = {0};
    g_tier->conv_f32(d->a, BENCH_K, none, 1, BENCH_K, d->b, g_tier->nr / 2, d->tile);
}

static void bench_silu(const bench_data *d) {
    g_tier->bias_silu_f32(d->tile, g_tier->mr, g_tier->nr, d->vector, NULL, 0, d->panel,
                          BENCH_K);
}

static void bench_pack(const bench_data *d) {
    g_tier->pack_f32(d->rows, BENCH_K, g_tier->mr, g_tier->mr, BENCH_K, d->panel);
}

static void bench_layernorm(const bench_data *d) {
    g_tier->layernorm_f32(d->rows, BENCH_K, g_tier->mr, BENCH_K, d->vector, d->vector, 1e-6f,
                          d->panel, BENCH_K);
}

static void bench_gelu(const bench_data *d) {
    g_tier->bias_gelu_f32(d->tile, g_tier->mr, d->vector);
}

static void bench_softmax(const bench_data *d) {
    /* From fresh scores each time: exponents of exponents would run out of range. */
    memcpy(d->scores, d->b, (size_t)(BENCH_KEYS * g_tier->nr) * sizeof *d->scores);
    g_tier->softmax_f32(d->scores, BENCH_KEYS, 0.1118f, d->panel);
}

static void bench_store(const bench_data *d) {
    g_tier->store_bias_f32(d->tile, g_tier->mr, g_tier->nr, d->vector, d->panel, BENCH_K);
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The fastest of several rounds, in thread CPU time: others' load hardly shows. */
static void bench_one(const char *name, void (*run)(const bench_data *), const bench_data *d,
                      double flop) {
    double best = 1e9;
    long calls = 1;
    for (int round = 0; round < 12; round++) {
        double start = cpu_seconds();
        for (long i = 0; i < calls; i++)
            run(d);
        double each = (cpu_seconds() - start) / (double)calls;
        best = each < best ? each : best;
        calls = each > 0 && 0.02 / each > 1 ? (long)(0.02 / each) : 1;
    }
    printf("%-10s %10.1f ns", name, best * 1e9);
    if (flop > 0)
        printf(" %8.1f GFLOP/s", flop / best * 1e-9);
    printf("\n");
}

static void bench(void) {
    size_t mr = (size_t)g_tier->mr, nr = (size_t)g_tier->nr, k = BENCH_K;
    bench_data d = {aligned(mr * k), aligned(nr * k), aligned(mr * nr),        aligned(mr * k),
                    aligned(mr * k), aligned(k),      aligned(BENCH_KEYS * nr)};
    float *const all[] = {d.a, d.b, d.tile, d.rows, d.panel, d.vector, d.scores};
    const size_t sizes[] = {mr * k, nr * k, mr * nr, mr * k, mr * k, k, BENCH_KEYS * nr};
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            all[i][j] = noise();
    printf("tile %d x %d, k %d\n", g_tier->mr, g_tier->nr, BENCH_K);
    bench_one("gemm", bench_gemm, &d, 2.0 * (double)(mr * nr * k));
    bench_one("conv", bench_conv, &d, 2.0 * (double)(mr * nr * k));
    bench_one("conv half", bench_conv_half, &d, (double)(mr * nr * k));
    bench_one("silu", bench_silu, &d, 0);
    bench_one("pack", bench_pack, &d, 0);
    bench_one("layernorm", bench_layernorm, &d, 0);
    bench_one("gelu", bench_gelu, &d, 0);
    bench_one("softmax", bench_softmax, &d, 0);
    bench_one("store", bench_store, &d, 0);
    for (size_t i = 0; i < 7; i++)
        free(all[i]);
}

int main(int argc, char **argv) {
    static const wilor_isa all[] = {WILOR_ISA_C, WILOR_ISA_AVX2, WILOR_ISA_AVX512,
                                    WILOR_ISA_NEON, WILOR_ISA_ACCELERATE};
    const char *name = argc > 1 ? argv[1] : "c", *seed = getenv("WILOR_SEED");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(name, wilor_isa_name(all[i])) == 0)
            g_tier = wilor_kernels_get(all[i]);
    if (!g_tier) {
        printf("skipped: this machine has no tier %s\n", name);
        return 77;
    }
    g_state = seed ? strtoull(seed, NULL, 0) | 1 : 0x9E3779B97F4A7C15u;
    printf("tier %s, seed %llu\n", name, (unsigned long long)g_state);
    if (argc > 2 && strcmp(argv[2], "--bench") == 0) {
        bench();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack),       cmocka_unit_test(test_half_pairs),
        cmocka_unit_test(test_gemm),       cmocka_unit_test(test_gemm_special),
        cmocka_unit_test(test_layernorm),  cmocka_unit_test(test_epilogues),
        cmocka_unit_test(test_relu_nan),   cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_gelu_short), cmocka_unit_test(test_gelu_bias_and_special),
        cmocka_unit_test(test_expand_16),  cmocka_unit_test(test_expand_integers),
        cmocka_unit_test(test_winograd),   cmocka_unit_test(test_conv),
        cmocka_unit_test(test_silu),       cmocka_unit_test(test_silu_special),
        cmocka_unit_test(test_softmax),    cmocka_unit_test(test_divide)};
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
