/* 4-bit weights, 16 columns at a time: w = scale · q + bias, the product rounded, then the sum, as
 * expand_f32 makes them. */
#ifndef WILOR_U4_AVX512_H
#define WILOR_U4_AVX512_H

#include "kernels.h"

#include <immintrin.h>

/* 16 scales or biases, from the at-th of their array on. */
static inline __m512 wilor_u4_factors(const uint8_t *from, wilor_panel_type type, size_t at) {
    if (type == WILOR_PANEL_F32)
        return _mm512_loadu_ps(from + at * sizeof(float));
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(from + at * 2)));
}

/* 0 … 15. Looked up with q as the index, whose bits above the fourth do not count. */
static inline __m512 wilor_u4_numbers(void) {
    return _mm512_cvtepi32_ps(
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}

static inline __m512 wilor_u4_weights(__m512 q, __m512 scale, __m512 bias) {
    return _mm512_add_ps(_mm512_mul_ps(scale, q), bias);
}

#if defined(__AVX512BF16__) || defined(WILOR_EMULATE_X86)
/* Two steps as pairs of bfloat16, the lower half of each lane being the even step; 16 bytes are read. */
static inline __m512i wilor_u4_pairs(const uint8_t *q, __m512 scale, __m512 bias) {
    const __m512 number = wilor_u4_numbers();
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                         22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)q));
    __m512 low = _mm512_permutexvar_ps(both, number);
    __m512 high = _mm512_permutexvar_ps(_mm512_srli_epi32(both, 4), number);
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(wilor_u4_weights(high, scale, bias),
                                                  wilor_u4_weights(low, scale, bias));
    return _mm512_permutexvar_epi16(order, halves);
}
#endif

#endif
