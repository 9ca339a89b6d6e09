/* Tier avx2: AVX2 and FMA. Tile 6 × 16: 12 accumulators, two vectors of B, two broadcasts of A
 * in the 16 registers (BLIS's shape for Haswell and Zen). 210 tokens are 35 panels of 6 rows
 * exactly. */
#include "kernels.h"

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { VL = 8, MR = 6, NR = 16 };

typedef __m256 VF;
#define v_load(p) _mm256_loadu_ps(p)
#define v_store(p, v) _mm256_storeu_ps(p, v)
#define v_set1(x) _mm256_set1_ps(x)
#define v_zero() _mm256_setzero_ps()
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_div(a, b) _mm256_div_ps(a, b)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_min(a, b) _mm256_min_ps(a, b)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_fnma(a, b, c) _mm256_fnmadd_ps(a, b, c)
#define v_round(v) _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/* n is a whole number in [-126, 0] here, so the exponent's bits can be added. */
static inline VF v_scale2(VF v, VF n) {
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}

#define v_if_negative(x, a, b) _mm256_blendv_ps(b, a, x)

static inline __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#define v_load_part(p, n) _mm256_maskload_ps(p, first(n))

/* By halves and pairs: masked stores are slow on AMD before Zen 4. */
static inline void v_store_part(float *p, VF v, int n) {
    __m128 q = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, q);
        q = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, q);
        q = _mm_movehl_ps(q, q);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, q);
}

static inline float v_sum(VF v) {
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* 8 × 8. */
static inline void v_transpose(VF v[VL]) {
    VF t[VL];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        v[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        v[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        v[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        v[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
    }
    for (int i = 0; i < 8; i++)
        v[i] = t[i];
}

#include "simd_body.h"

static void expand_f16(const uint16_t *src, size_t count, float *panel) {
    for (size_t i = 0; i < count; i += 8) /* whole vectors: panels are NR wide */
        _mm256_storeu_ps(panel + i,
                         _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(src + i))));
}

#include "expand_body.h"

#define ROW(r)                                                                                 \
    x = _mm256_broadcast_ss(a + r);                                                            \
    c##r##0 = _mm256_fmadd_ps(x, b0, c##r##0);                                                 \
    c##r##1 = _mm256_fmadd_ps(x, b1, c##r##1);
#define STEP                                                                                   \
    {                                                                                          \
        VF b0 = _mm256_load_ps(b), b1 = _mm256_load_ps(b + 8), x;                              \
        ROW(0)                                                                                 \
        ROW(1)                                                                                 \
        ROW(2)                                                                                 \
        ROW(3)                                                                                 \
        ROW(4)                                                                                 \
        ROW(5)                                                                                 \
        a += MR;                                                                               \
        b += NR;                                                                               \
    }
#define DECLARE(r) VF c##r##0 = _mm256_setzero_ps(), c##r##1 = _mm256_setzero_ps();
#define STORE(r)                                                                               \
    _mm256_store_ps(tile + r * NR, c##r##0);                                                   \
    _mm256_store_ps(tile + r * NR + 8, c##r##1);

static void gemm_f32_avx2(const float *a, const float *b, size_t k, float *tile,
                          const float *next) {
    DECLARE(0)
    DECLARE(1)
    DECLARE(2)
    DECLARE(3)
    DECLARE(4)
    DECLARE(5)
    /* Without a next block, fetch what is being read anyway. */
    const char *fetch = (const char *)(next ? next : b);
    size_t i = 0;
    for (; i + 8 <= k; i += 8) {
        _mm_prefetch(fetch, _MM_HINT_T1);
        fetch += 64;
        STEP STEP STEP STEP STEP STEP STEP STEP
    }
    for (; i < k; i++)
        STEP STORE(0) STORE(1) STORE(2) STORE(3) STORE(4) STORE(5)
}

#define CONV_ROW(r, p)                                                                         \
    x = _mm256_broadcast_ss((p) + i);                                                          \
    c##r##0 = _mm256_fmadd_ps(x, b0, c##r##0);                                                 \
    c##r##1 = _mm256_fmadd_ps(x, b1, c##r##1);
#define CONV_STEP(at)                                                                          \
    {                                                                                          \
        enum { i = (at) };                                                                     \
        VF b0 = _mm256_load_ps(b + i * NR), b1 = _mm256_load_ps(b + i * NR + 8), x;            \
        CONV_ROW(0, p0)                                                                        \
        CONV_ROW(1, p0 + s)                                                                    \
        CONV_ROW(2, p0 + 2 * s)                                                                \
        CONV_ROW(3, p1)                                                                        \
        CONV_ROW(4, p1 + s)                                                                    \
        CONV_ROW(5, p1 + 2 * s)                                                                \
    }
#define CONV_ADVANCE(n) p0 += (n), p1 += (n), b += (n)*NR;

#define CONV_FLUSH(to, v)                                                                      \
    _mm256_store_ps(to, begun ? _mm256_add_ps(_mm256_load_ps(to), v) : v);                     \
    v = _mm256_setzero_ps();
#define FLUSH(r)                                                                               \
    CONV_FLUSH(tile + r * NR, c##r##0)                                                         \
    CONV_FLUSH(tile + r * NR + 8, c##r##1)

/* Two pointers and one step register address the six rows. */
static void conv_f32_avx2(const float *a, size_t s, const ptrdiff_t *offset, int taps,
                          size_t depth, const float *b, int cols, float *tile) {
    bool begun = false;
    size_t terms = 0;
    (void)cols;
    DECLARE(0)
    DECLARE(1)
    DECLARE(2)
    DECLARE(3)
    DECLARE(4)
    DECLARE(5)
    for (int t = 0; t < taps; t++) {
        const float *p0 = a + offset[t], *p1 = p0 + 3 * s;
        for (size_t n = depth; n > 0;) {
            /* The steps of a tap until it or the block ends. */
            size_t part = n < WILOR_CONV_BLOCK - terms ? n : WILOR_CONV_BLOCK - terms;
            n -= part;
            terms += part;
            for (; part >= 4; part -= 4) {
                CONV_STEP(0)
                CONV_STEP(1)
                CONV_STEP(2)
                CONV_STEP(3)
                CONV_ADVANCE(4)
            }
            for (; part > 0; part--) {
                CONV_STEP(0)
                CONV_ADVANCE(1)
            }
            if (terms == WILOR_CONV_BLOCK || (n == 0 && t == taps - 1)) {
                FLUSH(0)
                FLUSH(1)
                FLUSH(2)
                FLUSH(3)
                FLUSH(4)
                FLUSH(5)
                begun = true;
                terms = 0;
            }
        }
    }
}

void wilor_kernels_fill_avx2(wilor_kernels *t) {
    fill_simd(t);
    t->isa = WILOR_ISA_AVX2;
    t->expand_f32 = expand_f32;
    t->gemm_f32 = gemm_f32_avx2;
    t->conv_f32 = conv_f32_avx2;
}
