/* INT8 for AVX-512 with VNNI. Tile 14 × 32 as in kernels_avx512.c, a step being four numbers of k: 28
 * vpdpbusd in 14 cycles ask for 16 loads, which take 8. */
#include "dot.h"

#include <immintrin.h>
#include <string.h>

enum { MR = 14, NR = 32, LEVELS = 127 };

#include "dot_int8_body.h"

#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)

static inline __m512i start_of(const int *sum) {
    __m512i s = _mm512_loadu_si512(sum);
    return _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), s), 7);
}

/* float(sum) · (row's scale · column's scale), into the tile or onto it; 16 columns from col on. */
static inline void store_row(const wilor_dot_call *c, size_t r, size_t col, __m512i sum) {
    float *to = c->tile + r * c->ldt + col;
    __m512 row = _mm512_set1_ps(c->a_scale[r]);
    __m512 scale = _mm512_mul_ps(row, _mm512_loadu_ps(c->b_scale + col));
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
    if (c->add)
        v = _mm512_add_ps(_mm512_loadu_ps(to), v);
    _mm512_storeu_ps(to, v);
}

#define DECLARE(r) __m512i c##r##0 = start0, c##r##1 = start1;
#define ROW(r)                                                                                 \
    x = _mm512_set1_epi32(a[r]);                                                               \
    c##r##0 = _mm512_dpbusd_epi32(c##r##0, x, b0);                                             \
    c##r##1 = _mm512_dpbusd_epi32(c##r##1, x, b1);                                             \
    ROW_ENDS(c##r##0, c##r##1);
#define STEP                                                                                   \
    {                                                                                          \
        __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 1), x;                   \
        EACH_ROW(ROW)                                                                          \
        a += MR;                                                                               \
        b += 2;                                                                                \
    }
#define STORE(r)                                                                               \
    store_row(c, r, 0, c##r##0);                                                               \
    store_row(c, r, 16, c##r##1);

static void gemm(const wilor_dot *d, const wilor_dot_call *c) {
    const int *a = c->a;
    const __m512i *b = c->b, start0 = start_of(c->b_sum), start1 = start_of(c->b_sum + 16);
    (void)d;
    EACH_ROW(DECLARE)
    LOOP(STEP)
    EACH_ROW(STORE)
}

int wilor_dot_fill_avx512vnni(wilor_dot *out, const wilor_kernels *kernels) {
    return fill(out, kernels, "int8 avx512vnni", gemm);
}
