/* INT8 for AVX2: vpmaddubsw adds pairs of u8 · s8 products in 16 bits, saturating, and vpmaddwd with
 * ones adds two of those in 32. Weights keep 7 bits, ±63, so that no pair saturates: 2 · 255 · 63 is
 * 32130. (Nor would 255 · 63 · 4 in 16 bits: each pair needs its own vpmaddwd. Signs moved to the
 * weights by vpsignb would allow ±127, for two more operations a row.)
 *
 * Tile 6 × 16: the two multipliers a cycle are the bound, 4 operations a row and step; the float32
 * kernel's are 8 for the same numbers. */
#include "dot.h"

#include <immintrin.h>
#include <string.h>

enum { MR = 6, NR = 16, LEVELS = 63 };

#include "dot_int8_body.h"

/* Written by hand because gcc gathers the products of several rows, for which there are no registers,
 * and moves sums about. B is read again for each row, which the clobber sees to: three loads in two
 * cycles are free, a seventeenth register is not. */
#define ADD(sum, x) __asm__ volatile("vpaddd %1, %0, %0" : "+x"(sum) : "x"(x) : "memory")
#define ROW(r)                                                                                 \
    {                                                                                          \
        __m256i x = _mm256_set1_epi32(a[r]), y;                                                \
        y = _mm256_maddubs_epi16(x, _mm256_load_si256(b));                                     \
        x = _mm256_maddubs_epi16(x, _mm256_load_si256(b + 1));                                 \
        y = _mm256_madd_epi16(y, _mm256_set1_epi16(1));                                        \
        x = _mm256_madd_epi16(x, _mm256_set1_epi16(1));                                        \
        ADD(c##r##0, y);                                                                       \
        ADD(c##r##1, x);                                                                       \
    }
#define STEP                                                                                   \
    {                                                                                          \
        EACH_ROW(ROW)                                                                          \
        a += MR;                                                                               \
        b += 2;                                                                                \
    }

#include "dot_int8_ymm.h"

int wilor_dot_fill_avx2(wilor_dot *out, const wilor_kernels *kernels) {
    return fill(out, kernels, "int8 avx2", gemm);
}
