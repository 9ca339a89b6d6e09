/* Tier avx512: F, DQ, BW and VL. Tile 14 × 32: 28 accumulators, two vectors of B, one broadcast
 * of A. 210 tokens are 15 panels of 14 rows exactly. Two FMA units ask for 28 FMAs in 14 cycles
 * and get 14 broadcasts + 2 loads in 8, so arithmetic is the bound as long as both panels come
 * from the second- level cache in time. */
#include "kernels.h"
#include "transpose_avx512.h"

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { VL = 16, MR = 14, NR = 32 };

typedef __m512 VF;
#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, v) _mm512_storeu_ps(p, v)
#define v_set1(x) _mm512_set1_ps(x)
#define v_zero() _mm512_setzero_ps()
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_fnma(a, b, c) _mm512_fnmadd_ps(a, b, c)
#define v_round(v) _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_scale2(v, n) _mm512_scalef_ps(v, n)
#define v_if_negative(x, a, b)                                                                 \
    _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), b, a)

static inline __mmask16 first(int n) { return (__mmask16)((1u << n) - 1u); }

#define v_load_part(p, n) _mm512_maskz_loadu_ps(first(n), p)
#define v_store_part(p, v, n) _mm512_mask_storeu_ps(p, first(n), v)

/* a/b: reciprocal to 14 bits, one Newton step, one correction of the quotient; within 1 ulp
 * where the quotient is a normal number, and a vdivps of 512 bits would take 16 cycles. */
static inline VF v_div(VF a, VF b) {
    VF r = _mm512_rcp14_ps(b);
    r = _mm512_fmadd_ps(_mm512_fnmadd_ps(b, r, v_set1(1.0f)), r, r);
    VF q = _mm512_mul_ps(a, r);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(b, q, a), r, q);
}

static inline float v_sum(VF v) {
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

#define v_transpose(v) wilor_transpose16(v)

#include "simd_body.h"

static void expand_f16(const uint16_t *src, size_t count, float *panel) {
    for (size_t i = 0; i < count; i += 16) /* whole vectors: panels are NR wide */
        _mm512_storeu_ps(panel + i,
                         _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(src + i))));
}

#include "expand_body.h"

/* One step of k: a row's broadcast serves both halves of B. */
#define ROW(r)                                                                                 \
    x = _mm512_set1_ps(a[r]);                                                                  \
    c##r##0 = _mm512_fmadd_ps(x, b0, c##r##0);                                                 \
    c##r##1 = _mm512_fmadd_ps(x, b1, c##r##1);
#define STEP                                                                                   \
    {                                                                                          \
        VF b0 = _mm512_load_ps(b), b1 = _mm512_load_ps(b + 16), x;                             \
        ROW(0)                                                                                 \
        ROW(1)                                                                                 \
        ROW(2)                                                                                 \
        ROW(3)                                                                                 \
        ROW(4)                                                                                 \
        ROW(5)                                                                                 \
        ROW(6)                                                                                 \
        ROW(7)                                                                                 \
        ROW(8)                                                                                 \
        ROW(9)                                                                                 \
        ROW(10)                                                                                \
        ROW(11)                                                                                \
        ROW(12)                                                                                \
        ROW(13)                                                                                \
        a += MR;                                                                               \
        b += NR;                                                                               \
    }
#define DECLARE(r) VF c##r##0 = _mm512_setzero_ps(), c##r##1 = _mm512_setzero_ps();
#define STORE(r)                                                                               \
    _mm512_store_ps(tile + r * NR, c##r##0);                                                   \
    _mm512_store_ps(tile + r * NR + 16, c##r##1);

static void gemm_f32_avx512(const float *a, const float *b, size_t k, float *tile,
                            const float *next) {
    DECLARE(0)
    DECLARE(1)
    DECLARE(2)
    DECLARE(3)
    DECLARE(4)
    DECLARE(5)
    DECLARE(6)
    DECLARE(7)
    DECLARE(8)
    DECLARE(9)
    DECLARE(10)
    DECLARE(11)
    DECLARE(12)
    DECLARE(13)
    /* Without a next block, fetch what is being read anyway. */
    const char *fetch = (const char *)(next ? next : b);
    size_t i = 0;
    for (; i + 8 <= k; i += 8) {
        _mm_prefetch(fetch, _MM_HINT_T1);
        fetch += 64;
        STEP STEP STEP STEP STEP STEP STEP STEP
    }
    for (; i < k; i++)
        STEP STORE(0) STORE(1) STORE(2) STORE(3) STORE(4) STORE(5) STORE(6) STORE(7) STORE(8)
            STORE(9) STORE(10) STORE(11) STORE(12) STORE(13)
}

/* Rows 3i … 3i + 2 of a tile lie at p<i>, one and two steps on: five pointers and one step
 * register address all 14 rows. */
#define CONV_ROWS(ROW)                                                                         \
    ROW(0, p0)                                                                                 \
    ROW(1, p0 + s)                                                                             \
    ROW(2, p0 + 2 * s)                                                                         \
    ROW(3, p1)                                                                                 \
    ROW(4, p1 + s)                                                                             \
    ROW(5, p1 + 2 * s)                                                                         \
    ROW(6, p2)                                                                                 \
    ROW(7, p2 + s)                                                                             \
    ROW(8, p2 + 2 * s)                                                                         \
    ROW(9, p3)                                                                                 \
    ROW(10, p3 + s)                                                                            \
    ROW(11, p3 + 2 * s)                                                                        \
    ROW(12, p4)                                                                                \
    ROW(13, p4 + s)
#define CONV_START                                                                             \
    const float *p0 = a + offset[t], *p1 = p0 + 3 * s, *p2 = p1 + 3 * s, *p3 = p2 + 3 * s,     \
                *p4 = p3 + 3 * s;
#define CONV_ADVANCE(n) p0 += (n), p1 += (n), p2 += (n), p3 += (n), p4 += (n), b += (n)*NR;

#define WIDE_ROW(r, p)                                                                         \
    x = _mm512_set1_ps((p)[i]);                                                                \
    c##r##0 = _mm512_fmadd_ps(x, b0, c##r##0);                                                 \
    c##r##1 = _mm512_fmadd_ps(x, b1, c##r##1);
#define WIDE_STEP(at)                                                                          \
    {                                                                                          \
        enum { i = (at) };                                                                     \
        VF b0 = _mm512_load_ps(b + i * NR), b1 = _mm512_load_ps(b + i * NR + 16), x;           \
        CONV_ROWS(WIDE_ROW)                                                                    \
    }

/* The steps of a tap until it or the block ends. */
#define CONV_PART(STEP)                                                                        \
    size_t part = n < WILOR_CONV_BLOCK - terms ? n : WILOR_CONV_BLOCK - terms;                 \
    n -= part;                                                                                 \
    terms += part;                                                                             \
    for (; part >= 4; part -= 4) {                                                             \
        STEP(0)                                                                                \
        STEP(1)                                                                                \
        STEP(2)                                                                                \
        STEP(3)                                                                                \
        CONV_ADVANCE(4)                                                                        \
    }                                                                                          \
    for (; part > 0; part--) {                                                                 \
        STEP(0)                                                                                \
        CONV_ADVANCE(1)                                                                        \
    }
/* What was summed goes to the tile, or is added to it. */
#define CONV_FLUSH(to, v)                                                                      \
    _mm512_store_ps(to, begun ? _mm512_add_ps(_mm512_load_ps(to), v) : v);                     \
    v = _mm512_setzero_ps();
#define WIDE_DECLARE(r, p) DECLARE(r)
#define WIDE_FLUSH(r, p)                                                                       \
    CONV_FLUSH(tile + r * NR, c##r##0)                                                         \
    CONV_FLUSH(tile + r * NR + 16, c##r##1)

static void conv_wide(const float *a, size_t s, const ptrdiff_t *offset, int taps, size_t depth,
                      const float *b, float *tile) {
    bool begun = false;
    size_t terms = 0;
    CONV_ROWS(WIDE_DECLARE)
    for (int t = 0; t < taps; t++) {
        CONV_START
        for (size_t n = depth; n > 0;) {
            CONV_PART(WIDE_STEP)
            if (terms == WILOR_CONV_BLOCK || (n == 0 && t == taps - 1)) {
                CONV_ROWS(WIDE_FLUSH)
                begun = true;
                terms = 0;
            }
        }
    }
}

#define NARROW_ROW(r, p) c##r = _mm512_fmadd_ps(_mm512_set1_ps((p)[i]), b0, c##r);
#define NARROW_STEP(at)                                                                        \
    {                                                                                          \
        enum { i = (at) };                                                                     \
        VF b0 = _mm512_load_ps(b + i * NR);                                                    \
        CONV_ROWS(NARROW_ROW)                                                                  \
    }
#define NARROW_DECLARE(r, p) VF c##r = _mm512_setzero_ps();
#define NARROW_FLUSH(r, p) CONV_FLUSH(tile + r * NR, c##r)

/* At most 16 columns: half the work. */
static void conv_narrow(const float *a, size_t s, const ptrdiff_t *offset, int taps,
                        size_t depth, const float *b, float *tile) {
    bool begun = false;
    size_t terms = 0;
    CONV_ROWS(NARROW_DECLARE)
    for (int t = 0; t < taps; t++) {
        CONV_START
        for (size_t n = depth; n > 0;) {
            CONV_PART(NARROW_STEP)
            if (terms == WILOR_CONV_BLOCK || (n == 0 && t == taps - 1)) {
                CONV_ROWS(NARROW_FLUSH)
                begun = true;
                terms = 0;
            }
        }
    }
}

static void conv_f32_avx512(const float *a, size_t step, const ptrdiff_t *offset, int taps,
                            size_t depth, const float *b, int cols, float *tile) {
    if (cols > 16)
        conv_wide(a, step, offset, taps, depth, b, tile);
    else
        conv_narrow(a, step, offset, taps, depth, b, tile);
}

void wilor_kernels_fill_avx512(wilor_kernels *t) {
    fill_simd(t);
    t->isa = WILOR_ISA_AVX512;
    t->expand_f32 = expand_f32;
    t->gemm_f32 = gemm_f32_avx512;
    t->conv_f32 = conv_f32_avx512;
}
