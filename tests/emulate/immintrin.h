/* AVX-512 and AMX for tests on processors without them, by plain loops and SIMDe (libsimde-dev): stands
 * in front of the compiler's <immintrin.h> for the files that CMake's WILOR_EMULATE_X86 says. Results
 * are the instructions' as far as our kernels can tell, times are not. AVX2, FMA and F16C are real.
 *
 * Here is what SIMDe 0.7.4 lacks, or does in another way than the processors: whole-vector loads and
 * stores that fault when they are not aligned, bfloat16, VNNI, scalef. SIMDe's names replace the
 * compiler's by macros, so that everything not among them fails to compile instead of running. */
#ifndef WILOR_EMULATE_IMMINTRIN_H
#define WILOR_EMULATE_IMMINTRIN_H

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include "tiles.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EMULATED static inline __attribute__((unused))

typedef union emulated512 {
    __m512 ps;
    __m512i i;
    __m256i half[2];
    __m256 half_ps[2];
    float f32[16];
    int32_t i32[16];
    uint32_t u32[16];
    int16_t i16[32];
    uint16_t u16[32];
    int8_t i8[64];
    uint8_t u8[64];
} emulated512;

/* ---------------------------------------------------------------- memory */

EMULATED void *emulated_aligned(const void *p) {
    if ((uintptr_t)p % 64)
        abort(); /* a general protection fault */
    return (void *)(uintptr_t)p;
}

#undef _mm512_load_ps
#undef _mm512_load_si512
#undef _mm512_store_ps
#undef _mm512_store_si512
#define _mm512_load_ps(p) simde_mm512_loadu_ps(emulated_aligned(p))
#define _mm512_load_si512(p) simde_mm512_loadu_si512(emulated_aligned(p))
#define _mm512_store_ps(p, v) simde_mm512_storeu_ps(emulated_aligned(p), v)
#define _mm512_store_si512(p, v) simde_mm512_storeu_si512(emulated_aligned(p), v)

/* Lanes outside the mask are neither read nor written. */
#define EMULATED_LOAD(name, type, vector, field, lanes, mask)                                  \
    EMULATED vector emulated_##name(vector src, mask k, const void *from) {                    \
        union {                                                                                \
            vector v;                                                                          \
            type n[lanes];                                                                     \
        } x = {src};                                                                           \
        for (int i = 0; i < lanes; i++)                                                        \
            if (k >> i & 1)                                                                    \
                memcpy(&x.n[i], (const char *)from + (size_t)i * sizeof(type), sizeof(type));  \
        return x.v;                                                                            \
    }                                                                                          \
    EMULATED void emulated_store_##name(void *to, mask k, vector v) {                          \
        union {                                                                                \
            vector v;                                                                          \
            type n[lanes];                                                                     \
        } x = {v};                                                                             \
        for (int i = 0; i < lanes; i++)                                                        \
            if (k >> i & 1)                                                                    \
                memcpy((char *)to + (size_t)i * sizeof(type), &x.n[i], sizeof(type));          \
    }

EMULATED_LOAD(512_ps, float, __m512, f32, 16, __mmask16)
EMULATED_LOAD(512_epi32, int32_t, __m512i, i32, 16, __mmask16)
EMULATED_LOAD(512_epi16, int16_t, __m512i, i16, 32, uint32_t)
EMULATED_LOAD(512_epi8, int8_t, __m512i, i8, 64, uint64_t)
EMULATED_LOAD(256_ps, float, __m256, f32, 8, uint8_t)
EMULATED_LOAD(256_epi32, int32_t, __m256i, i32, 8, uint8_t)
EMULATED_LOAD(256_epi16, int16_t, __m256i, i16, 16, uint16_t)
EMULATED_LOAD(256_epi8, int8_t, __m256i, i8, 32, uint32_t)
EMULATED_LOAD(128_epi32, int32_t, __m128i, i32, 4, uint8_t)
EMULATED_LOAD(128_epi16, int16_t, __m128i, i16, 8, uint8_t)
EMULATED_LOAD(128_epi8, int8_t, __m128i, i8, 16, uint16_t)

#undef _mm512_mask_loadu_ps
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_mask_loadu_epi32
#undef _mm512_maskz_loadu_epi32
#undef _mm512_mask_storeu_epi32
#undef _mm512_maskz_loadu_epi16
#undef _mm512_mask_storeu_epi16
#undef _mm512_maskz_loadu_epi8
#undef _mm512_mask_storeu_epi8
#undef _mm256_maskz_loadu_ps
#undef _mm256_mask_storeu_ps
#undef _mm256_maskz_loadu_epi16
#undef _mm256_mask_storeu_epi16
#undef _mm256_maskz_loadu_epi8
#undef _mm256_mask_storeu_epi8
#undef _mm_maskz_loadu_epi16
#undef _mm_mask_storeu_epi16
#undef _mm_maskz_loadu_epi8
#undef _mm_mask_storeu_epi8
#define _mm512_mask_loadu_ps(src, k, p) emulated_512_ps(src, k, p)
#define _mm512_maskz_loadu_ps(k, p) emulated_512_ps(simde_mm512_setzero_ps(), k, p)
#define _mm512_mask_storeu_ps(p, k, v) emulated_store_512_ps(p, k, v)
#define _mm512_mask_loadu_epi32(src, k, p) emulated_512_epi32(src, k, p)
#define _mm512_maskz_loadu_epi32(k, p) emulated_512_epi32(simde_mm512_setzero_si512(), k, p)
#define _mm512_mask_storeu_epi32(p, k, v) emulated_store_512_epi32(p, k, v)
#define _mm512_maskz_loadu_epi16(k, p) emulated_512_epi16(simde_mm512_setzero_si512(), k, p)
#define _mm512_mask_storeu_epi16(p, k, v) emulated_store_512_epi16(p, k, v)
#define _mm512_maskz_loadu_epi8(k, p) emulated_512_epi8(simde_mm512_setzero_si512(), k, p)
#define _mm512_mask_storeu_epi8(p, k, v) emulated_store_512_epi8(p, k, v)
#define _mm256_maskz_loadu_ps(k, p) emulated_256_ps(_mm256_setzero_ps(), k, p)
#define _mm256_mask_storeu_ps(p, k, v) emulated_store_256_ps(p, k, v)
#define _mm256_maskz_loadu_epi16(k, p) emulated_256_epi16(_mm256_setzero_si256(), k, p)
#define _mm256_mask_storeu_epi16(p, k, v) emulated_store_256_epi16(p, k, v)
#define _mm256_maskz_loadu_epi8(k, p) emulated_256_epi8(_mm256_setzero_si256(), k, p)
#define _mm256_mask_storeu_epi8(p, k, v) emulated_store_256_epi8(p, k, v)
#define _mm_maskz_loadu_epi16(k, p) emulated_128_epi16(_mm_setzero_si128(), k, p)
#define _mm_mask_storeu_epi16(p, k, v) emulated_store_128_epi16(p, k, v)
#define _mm_maskz_loadu_epi8(k, p) emulated_128_epi8(_mm_setzero_si128(), k, p)
#define _mm_mask_storeu_epi8(p, k, v) emulated_store_128_epi8(p, k, v)

/* ---------------------------------------------------------------- conversions */

EMULATED __m512 emulated_cvtepi32_ps(__m512i v) {
    emulated512 x = {.i = v}, r;
    for (int h = 0; h < 2; h++)
        r.half_ps[h] = _mm256_cvtepi32_ps(x.half[h]);
    return r.ps;
}

EMULATED __m512i emulated_cvtps_epi32(__m512 v) {
    emulated512 x = {.ps = v}, r;
    for (int h = 0; h < 2; h++)
        r.half[h] = _mm256_cvtps_epi32(x.half_ps[h]);
    return r.i;
}

EMULATED __m512i emulated_cvttps_epi32(__m512 v) {
    emulated512 x = {.ps = v}, r;
    for (int h = 0; h < 2; h++)
        r.half[h] = _mm256_cvttps_epi32(x.half_ps[h]);
    return r.i;
}

EMULATED __m512 emulated_cvtph_ps(__m256i v) {
    emulated512 r;
    r.half_ps[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(v));
    r.half_ps[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1));
    return r.ps;
}

EMULATED __m256i emulated_cvtps_ph(__m512 v, int rounding) {
    emulated512 x = {.ps = v};
    (void)rounding; /* to nearest, as everywhere here */
    return _mm256_set_m128i(_mm256_cvtps_ph(x.half_ps[1], 0), _mm256_cvtps_ph(x.half_ps[0], 0));
}

#define EMULATED_WIDEN(name, vector, type, count)                                              \
    EMULATED __m512i emulated_##name(vector v) {                                               \
        type n[count];                                                                         \
        emulated512 r;                                                                         \
        memcpy(n, &v, sizeof n);                                                               \
        for (int i = 0; i < 16; i++)                                                           \
            r.i32[i] = (int32_t)n[i];                                                          \
        return r.i;                                                                            \
    }

EMULATED_WIDEN(cvtepu16_epi32, __m256i, uint16_t, 16)
EMULATED_WIDEN(cvtepi16_epi32, __m256i, int16_t, 16)
EMULATED_WIDEN(cvtepu8_epi32, __m128i, uint8_t, 16)
EMULATED_WIDEN(cvtepi8_epi32, __m128i, int8_t, 16)

/* The nearest bfloat16; denormals become zeros whatever MXCSR says, NaNs quiet ones. */
EMULATED uint16_t emulated_narrow(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x)
        return (uint16_t)(bits >> 16 | 0x40);
    if ((bits & 0x7F800000u) == 0)
        return (uint16_t)(bits >> 16 & 0x8000);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

EMULATED __m256bh emulated_cvtneps_pbh(__m512 v) {
    emulated512 x = {.ps = v};
    uint16_t n[16];
    __m256bh r;
    for (int i = 0; i < 16; i++)
        n[i] = emulated_narrow(x.f32[i]);
    memcpy(&r, n, sizeof r);
    return r;
}

EMULATED __m512bh emulated_cvtne2ps_pbh(__m512 high, __m512 low) {
    emulated512 x = {.ps = low}, y = {.ps = high};
    uint16_t n[32];
    __m512bh r;
    for (int i = 0; i < 16; i++) {
        n[i] = emulated_narrow(x.f32[i]);
        n[16 + i] = emulated_narrow(y.f32[i]);
    }
    memcpy(&r, n, sizeof r);
    return r;
}

#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvttps_epi32
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepi16_epi32
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtneps_pbh
#undef _mm512_cvtne2ps_pbh
#define _mm512_cvtepi32_ps(v) emulated_cvtepi32_ps(v)
#define _mm512_cvtps_epi32(v) emulated_cvtps_epi32(v)
#define _mm512_cvttps_epi32(v) emulated_cvttps_epi32(v)
#define _mm512_cvtph_ps(v) emulated_cvtph_ps(v)
#define _mm512_cvtps_ph(v, rounding) emulated_cvtps_ph(v, rounding)
#define _mm512_cvtepu16_epi32(v) emulated_cvtepu16_epi32(v)
#define _mm512_cvtepi16_epi32(v) emulated_cvtepi16_epi32(v)
#define _mm512_cvtepu8_epi32(v) emulated_cvtepu8_epi32(v)
#define _mm512_cvtepi8_epi32(v) emulated_cvtepi8_epi32(v)
#define _mm512_cvtneps_pbh(v) emulated_cvtneps_pbh(v)
#define _mm512_cvtne2ps_pbh(high, low) emulated_cvtne2ps_pbh(high, low)

/* ---------------------------------------------------------------- arithmetic */

/* The lower half of each lane's pair first, rounded after each product; no denormals in or out. */
EMULATED __m512 emulated_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b) {
    emulated512 s = {.ps = sum}, x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    for (int i = 0; i < 32; i++)
        s.f32[i / 2] = wilor_emulated_fma(wilor_emulated_wide(x.u16[i]),
                                          wilor_emulated_wide(y.u16[i]), s.f32[i / 2]);
    return s.ps;
}

EMULATED __m512i emulated_dpbusd(__m512i sum, __m512i a, __m512i b) {
    emulated512 s = {.i = sum}, x = {.i = a}, y = {.i = b};
    for (int i = 0; i < 64; i++)
        s.u32[i / 4] += (uint32_t)((int)x.u8[i] * y.i8[i]);
    return s.i;
}

EMULATED __m256i emulated_dpbusd_half(__m256i sum, __m256i a, __m256i b) {
    emulated512 s = {.i = simde_mm512_setzero_si512()}, x = s, y = s;
    s.half[0] = sum;
    x.half[0] = a;
    y.half[0] = b;
    s.i = emulated_dpbusd(s.i, x.i, y.i);
    return s.half[0];
}

/* x · 2^floor(n) */
EMULATED __m512 emulated_scalef_ps(__m512 v, __m512 power) {
    emulated512 x = {.ps = v}, n = {.ps = power};
    for (int i = 0; i < 16; i++) {
        float by = floorf(n.f32[i]);
        if (by != by || x.f32[i] != x.f32[i])
            x.f32[i] = by + x.f32[i];
        else
            x.f32[i] = ldexpf(x.f32[i], by > 1000 ? 1000 : by < -1000 ? -1000 : (int)by);
    }
    return x.ps;
}

/* With no more than the 14 bits that are promised. */
EMULATED __m512 emulated_rcp14_ps(__m512 v) {
    emulated512 x = {.ps = v};
    for (int i = 0; i < 16; i++) {
        x.f32[i] = 1 / x.f32[i];
        x.u32[i] = (x.u32[i] + (1u << 8)) & ~((1u << 9) - 1);
    }
    return x.ps;
}

EMULATED __m512 emulated_rsqrt14_ps(__m512 v) {
    emulated512 x = {.ps = v};
    for (int i = 0; i < 16; i++) {
        x.f32[i] = 1 / sqrtf(x.f32[i]);
        x.u32[i] = (x.u32[i] + (1u << 8)) & ~((1u << 9) - 1);
    }
    return x.ps;
}

/* In the order that compilers take: halves onto each other. */
#define EMULATED_REDUCE(name, type, vector, field, start, expression)                          \
    EMULATED type emulated_reduce_##name(vector v) {                                           \
        emulated512 s = {.start = v};                                                          \
        for (int n = 8; n > 0; n /= 2)                                                         \
            for (int i = 0; i < n; i++) {                                                      \
                type a = s.field[i], b = s.field[i + n];                                       \
                s.field[i] = expression;                                                       \
            }                                                                                  \
        return s.field[0];                                                                     \
    }

EMULATED_REDUCE(add_ps, float, __m512, f32, ps, a + b)
EMULATED_REDUCE(max_ps, float, __m512, f32, ps, a > b ? a : b)
EMULATED_REDUCE(min_ps, float, __m512, f32, ps, a < b ? a : b)
EMULATED_REDUCE(add_epi32, int32_t, __m512i, i32, i, (int32_t)((uint32_t)a + (uint32_t)b))
EMULATED_REDUCE(max_epi32, int32_t, __m512i, i32, i, a > b ? a : b)

#undef _mm512_shuffle_f32x4
#undef _mm512_shuffle_i32x4
#define _mm512_shuffle_f32x4(a, b, order) simde_mm512_shuffle_f32x4(a, b, order)
#define _mm512_shuffle_i32x4(a, b, order) simde_mm512_shuffle_i32x4(a, b, order)

#undef _mm512_dpbf16_ps
#undef _mm512_dpbusd_epi32
#undef _mm256_dpbusd_avx_epi32
#undef _mm512_scalef_ps
#undef _mm512_rcp14_ps
#undef _mm512_rsqrt14_ps
#undef _mm512_reduce_add_ps
#undef _mm512_reduce_max_ps
#undef _mm512_reduce_min_ps
#undef _mm512_reduce_add_epi32
#undef _mm512_reduce_max_epi32
#undef _mm512_extractf32x8_ps
#undef _mm512_extracti32x8_epi32
#undef _mm512_extracti64x4_epi64
#define _mm512_dpbf16_ps(sum, a, b) emulated_dpbf16_ps(sum, a, b)
#define _mm512_dpbusd_epi32(sum, a, b) emulated_dpbusd(sum, a, b)
#define _mm256_dpbusd_avx_epi32(sum, a, b) emulated_dpbusd_half(sum, a, b)
#define _mm512_scalef_ps(v, n) emulated_scalef_ps(v, n)
#define _mm512_rcp14_ps(v) emulated_rcp14_ps(v)
#define _mm512_rsqrt14_ps(v) emulated_rsqrt14_ps(v)
#define _mm512_reduce_add_ps(v) emulated_reduce_add_ps(v)
#define _mm512_reduce_max_ps(v) emulated_reduce_max_ps(v)
#define _mm512_reduce_min_ps(v) emulated_reduce_min_ps(v)
#define _mm512_reduce_add_epi32(v) emulated_reduce_add_epi32(v)
#define _mm512_reduce_max_epi32(v) emulated_reduce_max_epi32(v)
#define _mm512_extractf32x8_ps(v, half_of) (((emulated512){.ps = v}).half_ps[half_of])
#define _mm512_extracti32x8_epi32(v, half_of) (((emulated512){.i = v}).half[half_of])
#define _mm512_extracti64x4_epi64(v, half_of) (((emulated512){.i = v}).half[half_of])

/* ---------------------------------------------------------------- tiles */

#undef _tile_loadconfig
#undef _tile_storeconfig
#undef _tile_release
#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#undef _tile_dpbsud
#undef _tile_dpbusd
#undef _tile_dpbuud
#define _tile_loadconfig(config) wilor_emulated_tile_config(config)
#define _tile_release() wilor_emulated_tile_release()
#define _tile_loadd(t, base, stride) wilor_emulated_tile_load(t, base, (size_t)(stride))
#define _tile_stream_loadd(t, base, stride) wilor_emulated_tile_load(t, base, (size_t)(stride))
#define _tile_stored(t, base, stride) wilor_emulated_tile_store(t, base, (size_t)(stride))
#define _tile_zero(t) wilor_emulated_tile_zero(t)
#define _tile_dpbf16ps(sum, a, b) wilor_emulated_tile_bf16(sum, a, b)
#define _tile_dpbssd(sum, a, b) wilor_emulated_tile_int8(sum, a, b, 1, 1)
#define _tile_dpbsud(sum, a, b) wilor_emulated_tile_int8(sum, a, b, 1, 0)
#define _tile_dpbusd(sum, a, b) wilor_emulated_tile_int8(sum, a, b, 0, 1)
#define _tile_dpbuud(sum, a, b) wilor_emulated_tile_int8(sum, a, b, 0, 0)

#undef EMULATED
#endif
