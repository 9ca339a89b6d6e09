/* The x86 tables of INT8: activations as unsigned bytes q + 128, weights as signed ones, because the
 * instructions multiply unsigned by signed. Σ (q + 128) · w is 128 · Σ w too large, which is where the
 * sums begin below zero. Sums are exact for k up to 65536. The including file has defined MR and NR
 * (dot_body.h) and LEVELS, the largest whole number of a weight. */

enum { PER = 4 };

/* To the nearest whole numbers, ties to even; zero where there is no number, or where a top below all
 * normal numbers made `inverse` infinite. */
static inline __m256i quantise(__m256 x, __m256 inverse) {
    __m256 steps = _mm256_mul_ps(x, inverse);
    __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), steps);
    __m256 good = _mm256_cmp_ps(size, _mm256_set1_ps(127.5f), _CMP_LT_OQ);
    return _mm256_cvtps_epi32(_mm256_and_ps(steps, good));
}

static inline float inverse_of(float top, float levels) {
    return top > 0 ? levels / top : 0.0f;
}

static inline __m256i convert(const float *x, float inverse) {
    __m256 scale = _mm256_set1_ps(inverse);
    __m256i q0 = quantise(_mm256_loadu_ps(x), scale);
    __m256i q1 = quantise(_mm256_loadu_ps(x + 8), scale);
    __m256i q2 = quantise(_mm256_loadu_ps(x + 16), scale);
    __m256i q3 = quantise(_mm256_loadu_ps(x + 24), scale);
    /* The packs work by halves: steps come as 0 2 4 6, 1 3 5 7. */
    __m256i q = _mm256_packs_epi16(_mm256_packs_epi32(q0, q1), _mm256_packs_epi32(q2, q3));
    q = _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    return _mm256_xor_si256(q, _mm256_set1_epi8(-128));
}

#include "dot_body.h"

static size_t a_bytes(const wilor_dot *d, size_t k) { return a_numbers(d, k) + 64; }

static size_t b_bytes(const wilor_dot *d, size_t k) {
    return b_numbers(d, k) + 2 * NR * sizeof(float);
}

/* Without its sign, a float's bits grow with it, those of a NaN being the largest: it stays. */
static inline __m256i larger(__m256i top, const float *x) {
    __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x));
    return _mm256_max_epi32(top, _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF)));
}

static float top_of(const float *x, size_t k) {
    __m256i top[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                      _mm256_setzero_si256()};
    float some[8] = {0};
    size_t i = 0;
    for (; i + 32 <= k; i += 32)
        for (int j = 0; j < 4; j++)
            top[j] = larger(top[j], x + i + 8 * j);
    for (; i + 8 <= k; i += 8)
        top[0] = larger(top[0], x + i);
    memcpy(some, x + i, (k - i) * sizeof *x);
    top[0] = _mm256_max_epi32(_mm256_max_epi32(larger(top[0], some), top[1]),
                              _mm256_max_epi32(top[2], top[3]));
    __m128i t =
        _mm_max_epi32(_mm256_castsi256_si128(top[0]), _mm256_extracti128_si256(top[0], 1));
    t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0x4E));
    t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0xB1));
    return _mm_cvtss_f32(_mm_castsi128_ps(t));
}

static void tops(const float *src, size_t ld, int rows, size_t k, float *top) {
    for (int r = 0; r < rows; r++)
        top[r] = top_of(src + (size_t)r * ld, k);
}

static void put_a(const wilor_dot *d, const float *src, size_t ld, const float *top, int row,
                  int rows, size_t col, size_t cols, size_t k, void *panel) {
    float *scale = (float *)(void *)((char *)panel + a_numbers(d, k));
    float inverse[MR] = {0};
    (void)row; /* 0: row_step is MR */
    for (int r = 0; r < rows; r++)
        inverse[r] = inverse_of(top[r], 127);
    put_rows(src, ld, inverse, rows, cols, (char *)panel + col / PER * MR * 4);
    for (int r = 0; r < rows && col == 0; r++)
        scale[r] = top[r] / 127;
}

/* n numbers of 8 columns, and what they add up to. */
static inline void pack_columns(const float *from, size_t n, const float *inverse, int *sum,
                                char *to) {
    __m256 scale = _mm256_loadu_ps(inverse);
    __m256i *sums = (__m256i *)(void *)sum, total = _mm256_loadu_si256(sums);
    for (size_t i = 0; i < n; i += PER, to += NR * 4) {
        __m256i step = _mm256_setzero_si256();
        for (size_t j = i; j < i + PER; j++) {
            __m256i q = j < n ? quantise(_mm256_loadu_ps(from + j * NR), scale)
                              : _mm256_setzero_si256();
            total = _mm256_add_epi32(total, q);
            step = _mm256_or_si256(_mm256_srli_epi32(step, 8), _mm256_slli_epi32(q, 24));
        }
        _mm256_storeu_si256((__m256i *)(void *)to, step);
    }
    _mm256_storeu_si256(sums, total);
}

static void column_tops(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                        size_t k, float *top) {
    _Alignas(64) float room[BLOCK * NR];
    __m256i most[NR / 8];
    for (int c = 0; c < NR / 8; c++)
        most[c] = _mm256_setzero_si256();
    for (size_t i = 0; i < k; i += BLOCK) {
        size_t n = k - i < BLOCK ? k - i : BLOCK;
        const float *from = staged(d, w + i * ldk, ldc, ldk, cols, n, room);
        for (size_t j = 0; j < n; j++, from += NR)
            for (int c = 0; c < NR / 8; c++)
                most[c] = larger(most[c], from + c * 8);
    }
    for (int c = 0; c < NR / 8; c++)
        _mm256_storeu_ps(top + c * 8, _mm256_castsi256_ps(most[c]));
}

static void pack_b(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                   size_t k, void *panel) {
    _Alignas(64) float room[BLOCK * NR];
    float *scale = (float *)(void *)((char *)panel + b_numbers(d, k)), inverse[NR];
    int *sum = (int *)(void *)(scale + NR);
    column_tops(d, w, ldc, ldk, cols, k, scale);
    for (int c = 0; c < NR; c++) {
        inverse[c] = inverse_of(scale[c], LEVELS);
        scale[c] /= LEVELS;
        sum[c] = 0;
    }
    for (size_t i = 0; i < k; i += BLOCK) {
        size_t n = k - i < BLOCK ? k - i : BLOCK;
        const float *from = staged(d, w + i * ldk, ldc, ldk, cols, n, room);
        for (int c = 0; c < NR; c += 8)
            pack_columns(from + c, n, inverse + c, sum + c,
                         (char *)panel + i * NR + (size_t)c * 4);
    }
}

/* ---------------------------------------------------------------- panels of B from 4 bits */

static void u4_row(const wilor_dot *d, const uint8_t *from, wilor_panel_type type, float *to) {
    d->kernels->expand_f32(type, from, 1, NULL, NULL, to);
}

static size_t u4_line(const wilor_u4_steps *w) {
    return NR * (w->scale_type == WILOR_PANEL_F16 ? 2 : sizeof(float));
}

static inline __m256 u4_weights(__m256 q, const float *scale, const float *bias) {
    return _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(scale), q), _mm256_loadu_ps(bias));
}

/* The least and the greatest q of a group's columns. */
static void u4_ends(const uint8_t *q, size_t steps, uint8_t least[NR], uint8_t most[NR]) {
    const __m128i mask = _mm_set1_epi8(15);
    for (int c = 0; c < NR; c += 16) {
        __m128i low = mask, high = _mm_setzero_si128();
        for (size_t i = 0; i < steps / 2; i++) {
            __m128i both = _mm_loadu_si128((const __m128i *)(const void *)(q + i * NR + c));
            __m128i even = _mm_and_si128(both, mask);
            __m128i odd = _mm_and_si128(_mm_srli_epi16(both, 4), mask);
            low = _mm_min_epu8(low, _mm_min_epu8(even, odd));
            high = _mm_max_epu8(high, _mm_max_epu8(even, odd));
        }
        _mm_storeu_si128((__m128i *)(void *)(least + c), low);
        _mm_storeu_si128((__m128i *)(void *)(most + c), high);
    }
}

static inline __m256 u4_wide(const uint8_t *q) {
    __m128i eight = _mm_loadl_epi64((const __m128i *)(const void *)q);
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight));
}

/* A column's largest magnitude is, in each group, that of its least or of its greatest q: rounding keeps
 * the order of scale · q + bias. */
static void u4_tops(const wilor_dot *d, const wilor_u4_steps *w, size_t k, float *top) {
    _Alignas(64) float scale[NR], bias[NR], one[8];
    __m256i most[NR / 8];
    uint8_t ends[2][NR];
    for (int c = 0; c < NR / 8; c++)
        most[c] = _mm256_setzero_si256();
    for (size_t g = 0; g < k / w->group; g++) {
        u4_row(d, w->scales + g * u4_line(w), w->scale_type, scale);
        u4_row(d, w->biases + g * u4_line(w), w->scale_type, bias);
        u4_ends(w->q + g * w->group / 2 * NR, w->group, ends[0], ends[1]);
        for (int c = 0; c < NR; c += 8)
            for (int e = 0; e < 2; e++) {
                _mm256_store_ps(one, u4_weights(u4_wide(ends[e] + c), scale + c, bias + c));
                most[c / 8] = larger(most[c / 8], one);
            }
    }
    for (int c = 0; c < NR / 8; c++)
        _mm256_storeu_ps(top + c * 8, _mm256_castsi256_ps(most[c]));
}

/* The 16 possible weights of a group's 8 columns as bytes: column 4 L + j's in half L of table[j]. */
static inline void u4_tables(const float *scale, const float *bias, const float *inverse,
                             __m256i table[4]) {
    __m256 by = _mm256_loadu_ps(inverse);
    __m256i four[4]; /* weights 4 m … 4 m + 3 of each column */
    for (int m = 0; m < 4; m++) {
        four[m] = _mm256_setzero_si256();
        for (int j = 0; j < 4; j++) {
            __m256 q = _mm256_set1_ps((float)(4 * m + j));
            __m256i x = quantise(u4_weights(q, scale, bias), by);
            four[m] = _mm256_or_si256(_mm256_srli_epi32(four[m], 8), _mm256_slli_epi32(x, 24));
        }
    }
    __m256i low01 = _mm256_unpacklo_epi32(four[0], four[1]);
    __m256i low23 = _mm256_unpacklo_epi32(four[2], four[3]);
    __m256i high01 = _mm256_unpackhi_epi32(four[0], four[1]);
    __m256i high23 = _mm256_unpackhi_epi32(four[2], four[3]);
    table[0] = _mm256_unpacklo_epi64(low01, low23);
    table[1] = _mm256_unpackhi_epi64(low01, low23);
    table[2] = _mm256_unpacklo_epi64(high01, high23);
    table[3] = _mm256_unpackhi_epi64(high01, high23);
}

/* Four steps of 8 columns looked up, in the order of a panel's step. */
static inline __m256i u4_step(const uint8_t *q, const __m256i table[4]) {
    const __m256i even = _mm256_set1_epi32(0x000F000F);
    __m256i first = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)q));
    __m256i second =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(q + NR)));
    __m256i both = _mm256_or_si256(first, _mm256_slli_epi32(second, 16));
    __m256i odd = _mm256_slli_epi32(_mm256_andnot_si256(even, both), 4);
    __m256i at = _mm256_or_si256(_mm256_and_si256(both, even), odd);
    __m256i x01 = _mm256_blend_epi32(_mm256_shuffle_epi8(table[0], at),
                                     _mm256_shuffle_epi8(table[1], at), 0x22);
    __m256i x23 = _mm256_blend_epi32(_mm256_shuffle_epi8(table[2], at),
                                     _mm256_shuffle_epi8(table[3], at), 0x88);
    return _mm256_blend_epi32(x01, x23, 0xCC);
}

/* One group of 8 columns, and what its bytes add up to. */
static inline void u4_columns(const uint8_t *q, size_t steps, const __m256i table[4], int *sum,
                              char *to) {
    const __m256i bytes = _mm256_set1_epi8(1), pairs = _mm256_set1_epi16(1);
    __m256i *sums = (__m256i *)(void *)sum, total = _mm256_loadu_si256(sums);
    for (size_t i = 0; i < steps; i += PER, q += 2 * NR, to += NR * 4) {
        __m256i step = u4_step(q, table);
        total = _mm256_add_epi32(total,
                                 _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, step), pairs));
        _mm256_storeu_si256((__m256i *)(void *)to, step);
    }
    _mm256_storeu_si256(sums, total);
}

static void pack_u4(const wilor_dot *d, const wilor_u4_steps *w, size_t k, void *panel) {
    _Alignas(64) float factor[NR], bias[NR], inverse[NR];
    float *scale = (float *)(void *)((char *)panel + b_numbers(d, k));
    int *sum = (int *)(void *)(scale + NR);
    u4_tops(d, w, k, scale);
    for (int c = 0; c < NR; c++) {
        inverse[c] = inverse_of(scale[c], LEVELS);
        scale[c] /= LEVELS;
        sum[c] = 0;
    }
    for (size_t g = 0; g < k / w->group; g++) {
        size_t i = g * w->group;
        u4_row(d, w->scales + g * u4_line(w), w->scale_type, factor);
        u4_row(d, w->biases + g * u4_line(w), w->scale_type, bias);
        for (int c = 0; c < NR; c += 8) {
            __m256i table[4];
            u4_tables(factor + c, bias + c, inverse + c, table);
            u4_columns(w->q + i / 2 * NR + c, w->group, table, sum + c,
                       (char *)panel + i * NR + (size_t)c * 4);
        }
    }
}

static int fill(wilor_dot *out, const wilor_kernels *kernels, const char *name,
                void (*gemm)(const wilor_dot *, const wilor_dot_call *)) {
    *out = (wilor_dot){.name = name,
                       .arith = WILOR_ARITH_INT8,
                       .kernels = kernels,
                       .mr = MR,
                       .nr = NR,
                       .row_step = MR,
                       .chunk = 42 / MR, /* 42 rows: a fifth of a hand's 210 */
                       .slices = 4,
                       .any_ldt = true,
                       .a_bytes = a_bytes,
                       .a_numbers = a_numbers,
                       .b_bytes = b_bytes,
                       .b_numbers = b_numbers,
                       .pack_b = pack_b,
                       .pack_u4 = pack_u4,
                       .tops = tops,
                       .put_a = put_a,
                       .gemm = gemm};
    return 1;
}
