/* BF16 for AVX-512: vdpbf16ps adds two products of bfloat16 to a float32 sum. Tile 14 × 32 as in
 * kernels_avx512.c, a step being two numbers of k. The instruction rounds after each of the two
 * products, takes denormals for zero and leaves none, and so does the narrowing. */
#include "dot.h"

#include "u4_avx512.h"

#include <immintrin.h>
#include <string.h>

enum { MR = 14, NR = 32, PER = 2 };

static inline __m256i narrow(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }

static inline __m256i convert(const float *x, float inverse) {
    (void)inverse;
    return narrow(_mm512_loadu_ps(x));
}

#include "cpu.h"
#include "dot_body.h"

static void put_a(const wilor_dot *d, const float *src, size_t ld, const float *top, int row,
                  int rows, size_t col, size_t cols, size_t k, void *panel) {
    static const float none[MR];
    (void)d;
    (void)top;
    (void)row; /* 0: row_step is MR */
    (void)k;
    put_rows(src, ld, none, rows, cols, (char *)panel + col / PER * MR * 4);
}

/* Two numbers of 16 columns side by side. */
static inline __m512i pair(__m512 even, __m512 odd) {
    __m512i low = _mm512_cvtepu16_epi32(narrow(even)),
            high = _mm512_cvtepu16_epi32(narrow(odd));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

static void pack_b(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                   size_t k, void *panel) {
    _Alignas(64) float room[BLOCK * NR];
    __m512i *to = panel;
    for (size_t i = 0; i < k; i += BLOCK) {
        size_t n = k - i < BLOCK ? k - i : BLOCK;
        const float *from = staged(d, w + i * ldk, ldc, ldk, cols, n, room);
        for (size_t j = 0; j < n; j += PER, from += PER * NR)
            for (int c = 0; c < NR; c += 16) {
                __m512 odd = j + 1 < n ? _mm512_loadu_ps(from + NR + c) : _mm512_setzero_ps();
                _mm512_store_si512(to++, pair(_mm512_loadu_ps(from + c), odd));
            }
    }
}

static void pack_u4(const wilor_dot *d, const wilor_u4_steps *w, size_t k, void *panel) {
    size_t pairs = w->group / PER;
    (void)d;
    for (size_t g = 0; g < k / w->group; g++)
        for (size_t c = 0; c < NR; c += 16) {
            __m512 scale = wilor_u4_factors(w->scales, w->scale_type, g * NR + c);
            __m512 bias = wilor_u4_factors(w->biases, w->scale_type, g * NR + c);
            for (size_t i = g * pairs; i < (g + 1) * pairs; i++)
                _mm512_storeu_si512((int *)panel + i * NR + c,
                                    wilor_u4_pairs(w->q + i * NR + c, scale, bias));
        }
}

#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)

/* 16 columns from col on, into the tile or onto it. */
static inline void store_row(const wilor_dot_call *c, size_t r, size_t col, __m512 v) {
    float *to = c->tile + r * c->ldt + col;
    _mm512_storeu_ps(to, c->add ? _mm512_add_ps(_mm512_loadu_ps(to), v) : v);
}

#define LOAD(p) (__m512bh) _mm512_load_si512(p)
#define BROADCAST(r) (__m512bh) _mm512_set1_epi32(a[r])

#define DECLARE(r) __m512 c##r##0 = _mm512_setzero_ps(), c##r##1 = _mm512_setzero_ps();
#define ROW(r)                                                                                 \
    x = BROADCAST(r);                                                                          \
    c##r##0 = _mm512_dpbf16_ps(c##r##0, x, b0);                                                \
    c##r##1 = _mm512_dpbf16_ps(c##r##1, x, b1);                                                \
    ROW_ENDS(c##r##0, c##r##1);
#define STEP                                                                                   \
    {                                                                                          \
        __m512bh b0 = LOAD(b), b1 = LOAD(b + 1), x;                                            \
        EACH_ROW(ROW)                                                                          \
        a += MR;                                                                               \
        b += 2;                                                                                \
    }
#define STORE(r)                                                                               \
    store_row(c, r, 0, c##r##0);                                                               \
    store_row(c, r, 16, c##r##1);

static void gemm(const wilor_dot *d, const wilor_dot_call *c) {
    const int *a = c->a;
    const __m512i *b = c->b;
    (void)d;
    EACH_ROW(DECLARE)
    LOOP(STEP)
    EACH_ROW(STORE)
}

int wilor_dot_fill_avx512bf16(wilor_dot *out, const wilor_kernels *kernels) {
    *out = (wilor_dot){.name = "bf16 avx512bf16",
                       .arith = WILOR_ARITH_BF16,
                       .kernels = kernels,
                       .mr = MR,
                       .nr = NR,
                       .row_step = MR,
                       .chunk = 42 / MR, /* 42 rows: a fifth of a hand's 210 */
                       .slices = 4,
                       .any_ldt = true,
                       .quick = (wilor_cpu_features() & WILOR_CPU_QUICK_BF16) != 0,
                       .a_bytes = a_numbers,
                       .a_numbers = a_numbers,
                       .b_bytes = b_numbers,
                       .b_numbers = b_numbers,
                       .pack_b = pack_b,
                       .pack_u4 = pack_u4,
                       .put_a = put_a,
                       .gemm = gemm};
    return 1;
}
