/* INT8 for processors with AVX-VNNI but no AVX-512: vpdpbusd adds four u8 · s8 products to a 32-bit sum.
 * 6 × 16: two of them a cycle with a latency of 5 ask for 10 sums, 12 are under way. */
#include "dot.h"

#include <immintrin.h>
#include <string.h>

enum { MR = 6, NR = 16, LEVELS = 127 };

#include "dot_int8_body.h"

#define ROW(r)                                                                                 \
    x = _mm256_set1_epi32(a[r]);                                                               \
    c##r##0 = _mm256_dpbusd_avx_epi32(c##r##0, x, b0);                                         \
    c##r##1 = _mm256_dpbusd_avx_epi32(c##r##1, x, b1);                                         \
    ROW_ENDS(c##r##0, c##r##1);
#define STEP                                                                                   \
    {                                                                                          \
        __m256i b0 = _mm256_load_si256(b), b1 = _mm256_load_si256(b + 1), x;                   \
        EACH_ROW(ROW)                                                                          \
        a += MR;                                                                               \
        b += 2;                                                                                \
    }

#include "dot_int8_ymm.h"

int wilor_dot_fill_avxvnni(wilor_dot *out, const wilor_kernels *kernels) {
    return fill(out, kernels, "int8 avxvnni", gemm);
}
