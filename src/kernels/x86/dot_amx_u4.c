/* 4-bit weights straight to the tiles of dot_amx.c: w = scale · q + bias, the product rounded, then the
 * sum, as expand_f32 makes them, so that panels have the bytes that pack_b gives them.
 *
 * bfloat16: 16 columns of two steps at a time; the numbers 0 … 15 come from a register.
 *
 * int8: within a group a column has 16 possible weights. They are quantised once, to a table of 16 bytes
 * a column, and vpshufb looks up four steps of 16 columns: the table of column 4 L + j lies in lane L of
 * register j, so four lookups under masks give a tile's line. The column's scale needs its largest weight,
 * which in each group is the one of the least or of the greatest q: rounding keeps their order. */
#include "dot_amx.h"

#include "u4_avx512.h"

#include <float.h>
#include <immintrin.h>
#include <string.h>

enum { NR = 32, TILE = 1024, LINE = 64 };

/* ---------------------------------------------------------------- bfloat16 */

void wilor_dot_amx_u4_bf16(const wilor_dot *d, const wilor_u4_steps *w, size_t k, void *panel) {
    if (k % 32)
        memset(panel, 0, d->b_numbers(d, k));
    for (size_t g = 0, i = 0; g < k / w->group; g++, i += w->group / 2)
        for (size_t c = 0; c < NR; c += 16) {
            uint8_t *to = (uint8_t *)panel + c / 16 * TILE;
            __m512 scale = wilor_u4_factors(w->scales, w->scale_type, g * NR + c);
            __m512 bias = wilor_u4_factors(w->biases, w->scale_type, g * NR + c);
            for (size_t j = i; j < i + w->group / 2; j++)
                _mm512_storeu_si512(to + j / 16 * 2 * TILE + j % 16 * LINE,
                                    wilor_u4_pairs(w->q + j * NR + c, scale, bias));
        }
}

/* ---------------------------------------------------------------- int8 */

static inline __m512 magnitude(__m512 x) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7FFFFFFF)));
}

/* The larger magnitude; without its sign a float's bits grow with it, those of a NaN being the largest. */
static inline __m512i larger(__m512i top, __m512 x) {
    return _mm512_max_epi32(top, _mm512_castps_si512(magnitude(x)));
}

/* The largest magnitude of 16 columns. */
static __m512 tops16(const wilor_u4_steps *w, size_t k, size_t c) {
    const __m512 number = wilor_u4_numbers();
    const __m128i mask = _mm_set1_epi8(15);
    const uint8_t *q = w->q + c;
    __m512i top = _mm512_setzero_si512();
    for (size_t g = 0; g < k / w->group; g++) {
        __m128i most = _mm_setzero_si128(), least = mask;
        for (size_t i = 0; i < w->group; i += 2, q += NR) {
            __m128i both = _mm_loadu_si128((const __m128i *)(const void *)q);
            __m128i low = _mm_and_si128(both, mask);
            __m128i high = _mm_and_si128(_mm_srli_epi16(both, 4), mask);
            most = _mm_max_epu8(most, _mm_max_epu8(low, high));
            least = _mm_min_epu8(least, _mm_min_epu8(low, high));
        }
        __m512 scale = wilor_u4_factors(w->scales, w->scale_type, g * NR + c);
        __m512 bias = wilor_u4_factors(w->biases, w->scale_type, g * NR + c);
        __m512 ends[2] = {_mm512_permutexvar_ps(_mm512_cvtepu8_epi32(most), number),
                          _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(least), number)};
        top = larger(top, wilor_u4_weights(ends[0], scale, bias));
        top = larger(top, wilor_u4_weights(ends[1], scale, bias));
    }
    return _mm512_castsi512_ps(top);
}

/* A group's 16 weights of 16 columns as bytes: column 4 L + j's in lane L of table[j]. */
static inline void make_tables(__m512 scale, __m512 bias, __m512 inverse, __m512i table[4]) {
    const __m512i byte = _mm512_set1_epi32(255);
    __m512i four[4]; /* weights 4 m … 4 m + 3 of each column */
    for (int m = 0; m < 4; m++) {
        four[m] = _mm512_setzero_si512();
        for (int j = 3; j >= 0; j--) {
            __m512 x = wilor_u4_weights(_mm512_set1_ps((float)(4 * m + j)), scale, bias);
            __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
            four[m] = _mm512_or_si512(_mm512_slli_epi32(four[m], 8), _mm512_and_si512(q, byte));
        }
    }
    __m512i low01 = _mm512_unpacklo_epi32(four[0], four[1]);
    __m512i low23 = _mm512_unpacklo_epi32(four[2], four[3]);
    __m512i high01 = _mm512_unpackhi_epi32(four[0], four[1]);
    __m512i high23 = _mm512_unpackhi_epi32(four[2], four[3]);
    table[0] = _mm512_unpacklo_epi64(low01, low23);
    table[1] = _mm512_unpackhi_epi64(low01, low23);
    table[2] = _mm512_unpacklo_epi64(high01, high23);
    table[3] = _mm512_unpackhi_epi64(high01, high23);
}

/* Four steps of 16 columns: the bytes of q's two lines as indices, in the order of a tile's line. */
static inline __m512i indices(const uint8_t *q) {
    __m512i first = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)q));
    __m512i second =
        _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(q + NR)));
    __m512i both = _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
    return _mm512_or_si512(
        _mm512_and_si512(both, _mm512_set1_epi32(0x000F000F)),
        _mm512_and_si512(_mm512_slli_epi32(both, 4), _mm512_set1_epi32(0x0F000F00)));
}

static inline __m512i look_up(const __m512i table[4], __m512i at) {
    __m512i x = _mm512_maskz_shuffle_epi8(0x000F000F000F000Fu, table[0], at);
    x = _mm512_mask_shuffle_epi8(x, 0x00F000F000F000F0u, table[1], at);
    x = _mm512_mask_shuffle_epi8(x, 0x0F000F000F000F00u, table[2], at);
    return _mm512_mask_shuffle_epi8(x, 0xF000F000F000F000u, table[3], at);
}

/* 16 columns whose largest magnitudes are known. Returns the sums of their bytes. */
static __m512i pack16(const wilor_u4_steps *w, size_t k, size_t c, __m512 inverse,
                      uint8_t *tiles) {
    const __m512i ones = _mm512_set1_epi32(0x01010101);
    const uint8_t *q = w->q + c;
    __m512i sum = _mm512_setzero_si512();
    for (size_t g = 0, i = 0; i < k; g++) {
        __m512i table[4];
        make_tables(wilor_u4_factors(w->scales, w->scale_type, g * NR + c),
                    wilor_u4_factors(w->biases, w->scale_type, g * NR + c), inverse, table);
        for (size_t end = i + w->group; i < end; i += 4, q += 2 * NR) {
            __m512i line = look_up(table, indices(q));
            sum = _mm512_dpbusd_epi32(sum, ones, line);
            _mm512_storeu_si512(tiles + i / 64 * 2 * TILE + i % 64 / 4 * LINE, line);
        }
    }
    return sum;
}

void wilor_dot_amx_u4_int8(const wilor_dot *d, const wilor_u4_steps *w, size_t k, void *panel) {
    uint8_t *to = panel;
    float *scale = (float *)(void *)(to + d->b_numbers(d, k));
    int *sum = (int *)(void *)(scale + NR);
    if (k % 64)
        memset(panel, 0, d->b_numbers(d, k));
    for (size_t c = 0; c < NR; c += 16) {
        __m512 top = tops16(w, k, c), most = _mm512_set1_ps(127.0f);
        __m512 inverse = _mm512_div_ps(most, top);
        __mmask16 some = _mm512_cmp_ps_mask(inverse, _mm512_set1_ps(FLT_MAX), _CMP_LE_OQ);
        inverse = _mm512_maskz_mov_ps(some, inverse);
        _mm512_storeu_ps(scale + c, _mm512_div_ps(top, most));
        _mm512_storeu_si512(sum + c, pack16(w, k, c, inverse, to + c / 16 * TILE));
    }
}
