/* dot.h on AMX, Intel's matrix unit: bfloat16, int8 and split float32, for processors that have AVX-512
 * with BF16 beside it.
 *
 * One call makes 32 × 32 sums in four tiles, from two tiles of A and two of B for each step of k: 4 KB
 * read for four products of 16 cycles, the least that eight tiles allow. All panels are tiles of 1 KB in
 * the order of use:
 *   A  [step of k][part][row tile 0, 1][16 rows][64 bytes]
 *   B  [step of k][part][column tile 0, 1][16 rows: 2 (4) numbers of k each][16 columns][2 (4) numbers]
 * A step is 32 numbers of 16 bits or 64 of 8. `part` is 3 for split float32, else 1.
 *
 * Split float32: x = high + mid + low, each the nearest bfloat16 to what is left (exact but for
 * denormals); the products high·low, mid·mid, low·high, high·mid, mid·high are added up first, from zero,
 * then high·high onto that: the small ones are not rounded against the large sum step by step (Henry,
 * Tang and Heinecke 2019). What is left out is below 2^-24 of a product.
 *
 * TDPBF16PS flushes denormals and rounds to nearest even at each of its additions. */
#include "dot_amx.h"

#include "tile_moves.h"
#include "transpose_avx512.h"

#include <float.h>
#include <stdint.h>
#include <string.h>

enum { MR = 32, NR = 32, TILE = 1024, LINE = 64, PARTS = 3 };

/* ---------------------------------------------------------------- tiles */

/* Palette 1, all eight tiles 16 rows of 64 bytes. Once per thread and run. */
static _Thread_local bool g_configured;

static void begin(void) {
    static const struct {
        uint8_t palette, start, zero[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

    if (!g_configured)
        _tile_loadconfig(&config);
    g_configured = true;
}

static void end(void) {
    if (g_configured)
        _tile_release();
    g_configured = false;
}

/* Tiles 0, 1 / 2, 3: the sums of row tile 0 / 1. 4, 5: A. 6, 7: B. */
#define LOAD_A(a, tile) _tile_loadd(tile, a, LINE)
#define LOAD_B(b, tile) _tile_loadd(tile, b, LINE)
#define ZERO_4                                                                                 \
    _tile_zero(0);                                                                             \
    _tile_zero(1);                                                                             \
    _tile_zero(2);                                                                             \
    _tile_zero(3);

/* ---------------------------------------------------------------- sizes */

static size_t step_numbers(const wilor_dot *d) {
    return d->arith == WILOR_ARITH_INT8 ? 64 : 32;
}

static size_t parts(const wilor_dot *d) { return d->arith == WILOR_ARITH_F32X ? PARTS : 1; }

static size_t steps(const wilor_dot *d, size_t k) {
    return (k + step_numbers(d) - 1) / step_numbers(d);
}

static size_t numbers(const wilor_dot *d, size_t k) {
    return steps(d, k) * parts(d) * 2 * TILE;
}

static size_t a_bytes(const wilor_dot *d, size_t k) {
    return numbers(d, k) + (d->arith == WILOR_ARITH_INT8 ? MR * sizeof(float) : 0);
}

static size_t b_bytes(const wilor_dot *d, size_t k) {
    return numbers(d, k) + (d->arith == WILOR_ARITH_INT8 ? 2 * NR * sizeof(float) : 0);
}

/* ---------------------------------------------------------------- conversions */

static inline __mmask16 first16(size_t n) {
    return n >= 16 ? (__mmask16)0xFFFF : (__mmask16)((1u << n) - 1u);
}

/* n numbers, others zero. */
static inline __m512 load_up_to(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(first16(n), p);
}

/* The nearest bfloat16 of low (lanes 0 … 15) and high (16 … 31). */
static inline __m512i narrow2(__m512 low, __m512 high) {
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* The same in pairs: lane i holds low[i] below, high[i] above. */
static inline __m512i narrow_pairs(__m512 low, __m512 high) {
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                         22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, narrow2(low, high));
}

static inline __m512 pair_low(__m512i pairs) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}

static inline __m512 pair_high(__m512i pairs) {
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xFFFF0000)));
}

static inline __m512 magnitude(__m512 x) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7FFFFFFF)));
}

/* ---------------------------------------------------------------- B, 16 bits */

/* 32 steps of 16 columns, rows of k behind each other: each column's 32 numbers, turned round as pairs. */
static void turn_columns(const __m512 low[16], const __m512 high[16], uint8_t *to) {
    __m512 v[16];
    for (int c = 0; c < 16; c++)
        v[c] = _mm512_castsi512_ps(narrow2(low[c], high[c]));
    wilor_transpose16(v);
    for (int i = 0; i < 16; i++)
        _mm512_storeu_ps(to + i * LINE, v[i]);
}

/* What is left of x behind its nearest bfloat16. */
static inline __m512 rest(__m512 x) {
    __m512i bits = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
    return _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)));
}

static void pack_tile_rows(const float *w, size_t ldc, size_t cols, size_t n, size_t count,
                           uint8_t *to) {
    __m512 low[16], high[16];
    size_t more = n > 16 ? n - 16 : 0;
    for (size_t c = 0; c < 16; c++) {
        size_t have = c < cols ? n : 0, further = c < cols ? more : 0;
        low[c] = have ? load_up_to(w + c * ldc, have) : _mm512_setzero_ps();
        high[c] = further ? load_up_to(w + c * ldc + 16, further) : _mm512_setzero_ps();
    }
    for (size_t part = 0; part < count; part++, to += 2 * TILE) {
        turn_columns(low, high, to);
        for (int c = 0; c < 16 && part + 1 < count; c++) {
            low[c] = rest(low[c]);
            high[c] = rest(high[c]);
        }
    }
}

/* 32 steps of 16 columns, columns side by side, steps ldk apart. */
static void pack_tile_steps(const float *w, size_t ldk, size_t cols, size_t n, size_t count,
                            uint8_t *to) {
    for (size_t i = 0; i < 16; i++) {
        __m512 low = 2 * i < n ? load_up_to(w + 2 * i * ldk, cols) : _mm512_setzero_ps();
        __m512 high =
            2 * i + 1 < n ? load_up_to(w + (2 * i + 1) * ldk, cols) : _mm512_setzero_ps();
        for (size_t part = 0; part < count; part++) {
            __m512i pairs = narrow_pairs(low, high);
            _mm512_storeu_si512(to + part * 2 * TILE + i * LINE, pairs);
            low = _mm512_sub_ps(low, pair_low(pairs));
            high = _mm512_sub_ps(high, pair_high(pairs));
        }
    }
}

static void pack_b16(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                     size_t k, void *panel) {
    uint8_t *to = panel;
    size_t count = parts(d);
    for (size_t i = 0; i < k; i += 32, to += count * 2 * TILE)
        for (size_t c = 0; c < NR; c += 16) {
            size_t have = (size_t)cols > c ? (size_t)cols - c : 0, n = k - i < 32 ? k - i : 32;
            have = have < 16 ? have : 16;
            const float *from = w + (have ? c * ldc : 0) + i * ldk;
            if (ldk == 1)
                pack_tile_rows(from, ldc, have, n, count, to + c / 16 * TILE);
            else
                pack_tile_steps(from, ldk, have, n, count, to + c / 16 * TILE);
        }
}

/* ---------------------------------------------------------------- A, 16 bits */

/* A row's n <= 32 numbers to its line of a tile, from number `at` on; the line's other numbers stay. */
static inline void put_line(const float *src, size_t at, size_t n, uint8_t *line) {
    if (n == 32) {
        _mm512_storeu_si512(line, narrow2(_mm512_loadu_ps(src), _mm512_loadu_ps(src + 16)));
        return;
    }
    for (size_t i = 0; i < n; i += 16) {
        __m256i v = (__m256i)_mm512_cvtneps_pbh(load_up_to(src + i, n - i));
        _mm256_mask_storeu_epi16(line + 2 * (at + i), first16(n - i), v);
    }
}

/* The same in parts, `tile` being the first part's line. */
static inline void put_split(const float *src, size_t at, size_t n, uint8_t *line) {
    for (size_t i = 0; i < n; i += 16) {
        __m512 x = load_up_to(src + i, n - i);
        for (int part = 0; part < PARTS; part++) {
            __m256i v = (__m256i)_mm512_cvtneps_pbh(x);
            _mm256_mask_storeu_epi16(line + part * 2 * TILE + 2 * (at + i), first16(n - i), v);
            x = _mm512_sub_ps(
                x, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)));
        }
    }
}

static void put_a16(const wilor_dot *d, const float *src, size_t ld, const float *top, int row,
                    int rows, size_t col, size_t cols, size_t k, void *panel) {
    size_t count = parts(d), end = col + cols, used = k % 32;
    (void)top;
    for (int r = row; r < row + rows; r++, src += ld) {
        uint8_t *lines = (uint8_t *)panel + r / 16 * TILE + r % 16 * LINE;
        for (size_t c = col, n; c < end; c += n) {
            size_t at = c % 32;
            uint8_t *line = lines + c / 32 * count * 2 * TILE;
            n = 32 - at < end - c ? 32 - at : end - c;
            if (count == 1)
                put_line(src + (c - col), at, n, line);
            else
                put_split(src + (c - col), at, n, line);
        }
        for (size_t part = 0; end == k && used && part < count; part++)
            memset(lines + (k / 32 * count + part) * 2 * TILE + 2 * used, 0, LINE - 2 * used);
    }
}

/* ---------------------------------------------------------------- int8 */

static float top_of(const float *x, size_t n) {
    __m512 top = _mm512_setzero_ps();
    __mmask16 odd = 0; /* lanes that saw a NaN */
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = magnitude(load_up_to(x + i, n - i));
        odd |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        top = _mm512_max_ps(top, v);
    }
    return odd ? __builtin_nanf("") : _mm512_reduce_max_ps(top);
}

static void tops(const float *src, size_t ld, int rows, size_t k, float *top) {
    for (int r = 0; r < rows; r++)
        top[r] = top_of(src + (size_t)r * ld, k);
}

/* 0 for rows of zeros, of numbers too small to have a reciprocal, and of none at all. */
static inline float inverse_of(float top) {
    float inverse = 127.0f / top;
    return top > 0 && inverse <= FLT_MAX ? inverse : 0.0f;
}

static void put_a8(const wilor_dot *d, const float *src, size_t ld, const float *top, int row,
                   int rows, size_t col, size_t cols, size_t k, void *panel) {
    float *scale = (float *)(void *)((uint8_t *)panel + numbers(d, k));
    size_t end = col + cols, used = k % 64;
    for (int r = row; r < row + rows; r++, src += ld, top++) {
        uint8_t *lines = (uint8_t *)panel + r / 16 * TILE + r % 16 * LINE;
        __m512 inverse = _mm512_set1_ps(inverse_of(*top));
        if (col == 0)
            scale[r] = *top / 127.0f;
        /* 16 at a time never cross a line: col is a multiple of 8, 8 are done where it is odd. */
        for (size_t c = col, n; c < end; c += n) {
            n = 16 - c % 16 < end - c ? 16 - c % 16 : end - c;
            __m512 x = _mm512_mul_ps(load_up_to(src + (c - col), n), inverse);
            __m128i q = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x));
            _mm_mask_storeu_epi8(lines + c / 64 * 2 * TILE + c % 64, first16(n), q);
        }
        if (end == k && used)
            memset(lines + k / 64 * 2 * TILE + used, 0, LINE - used);
    }
}

/* 16 columns of a panel: where the numbers of step i, column c begin. */
static inline size_t quad_at(size_t i, size_t c) {
    return i / 64 * 2 * TILE + c / 16 * TILE + i % 64 / 4 * LINE + c % 16 * 4;
}

/* A column whose numbers lie behind each other. */
static int pack_column8(const float *w, size_t k, float inverse, size_t c, uint8_t *panel) {
    __m512 scale = _mm512_set1_ps(inverse);
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < k; i += 16) {
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(load_up_to(w + i, k - i), scale));
        int32_t four[4];
        sum = _mm512_add_epi32(sum, q);
        _mm_storeu_si128((__m128i *)(void *)four, _mm512_cvtsepi32_epi8(q));
        for (size_t j = 0; j < 4 && i + 4 * j < k; j++)
            memcpy(panel + quad_at(i + 4 * j, c), &four[j], 4);
    }
    return _mm512_reduce_add_epi32(sum);
}

static void pack_rows8(const wilor_dot *d, const float *w, size_t ldc, size_t cols, size_t k,
                       uint8_t *panel) {
    float *scale = (float *)(void *)(panel + numbers(d, k));
    int *sum = (int *)(void *)(scale + NR);
    for (size_t c = 0; c < cols; c++) {
        float top = top_of(w + c * ldc, k);
        scale[c] = top / 127.0f;
        sum[c] = pack_column8(w + c * ldc, k, inverse_of(top), c, panel);
    }
}

/* 16 columns side by side, steps ldk apart. */
static void pack_steps8(const float *w, size_t ldk, size_t cols, size_t k, uint8_t *tiles,
                        float *scale, int *sum) {
    __mmask16 have = first16(cols), odd = 0;
    __m512 top = _mm512_setzero_ps();
    for (size_t i = 0; i < k; i++) {
        __m512 v = magnitude(_mm512_maskz_loadu_ps(have, w + i * ldk));
        odd |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        top = _mm512_max_ps(top, v);
    }
    top = _mm512_mask_blend_ps(odd, top, _mm512_set1_ps(__builtin_nanf("")));
    __m512 inverse = _mm512_div_ps(_mm512_set1_ps(127.0f), top);
    __mmask16 some = _mm512_cmp_ps_mask(inverse, _mm512_set1_ps(FLT_MAX), _CMP_LE_OQ);
    inverse = _mm512_maskz_mov_ps(some, inverse);
    _mm512_storeu_ps(scale, _mm512_div_ps(top, _mm512_set1_ps(127.0f)));
    __m512i total = _mm512_setzero_si512();
    const __m512i byte = _mm512_set1_epi32(255);
    for (size_t i = 0; i < k; i += 4) {
        __m512i quad = _mm512_setzero_si512();
        for (size_t j = 0; j < 4 && i + j < k; j++) {
            __m512 x = _mm512_maskz_loadu_ps(have, w + (i + j) * ldk);
            __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
            total = _mm512_add_epi32(total, q);
            q = _mm512_sllv_epi32(_mm512_and_si512(q, byte), _mm512_set1_epi32((int)(8 * j)));
            quad = _mm512_or_si512(quad, q);
        }
        _mm512_storeu_si512(tiles + quad_at(i, 0), quad);
    }
    _mm512_storeu_si512(sum, total);
}

static void pack_b8(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                    size_t k, void *panel) {
    uint8_t *to = panel;
    size_t n = (size_t)cols;
    if (ldk == 1 || n < NR || k % 64)
        memset(panel, 0, b_bytes(d, k));
    if (ldk == 1) {
        pack_rows8(d, w, ldc, n, k, to);
        return;
    }
    float *scale = (float *)(void *)(to + numbers(d, k));
    int *sum = (int *)(void *)(scale + NR);
    for (size_t c = 0; c < n; c += 16)
        pack_steps8(w + c, ldk, n - c, k, to + c / 16 * TILE, scale + c, sum + c);
}

/* ---------------------------------------------------------------- products */

/* What will be needed soon, a few lines at each step so that no burst fills the queues. */
typedef struct fetcher {
    const char *at;
    size_t left, each; /* bytes: still to come, a step */
} fetcher;

static inline fetcher begin_fetch(const wilor_dot_call *c, size_t count) {
    if (!c->next)
        return (fetcher){NULL, 0, 0};
    size_t lines = (c->next_bytes + LINE - 1) / LINE;
    return (fetcher){c->next, c->next_bytes, (lines + count - 1) / count * LINE};
}

static inline void fetch(fetcher *f) {
    size_t n = f->each < f->left ? f->each : f->left;
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i += LINE)
        _mm_prefetch(f->at + i, _MM_HINT_T1);
    f->at += n;
    f->left -= n;
}

static inline void store_sums(int rows, int cols, void *tile, size_t stride) {
    uint8_t *to = tile;
    _tile_stored(0, to, stride);
    if (cols > 16)
        _tile_stored(1, to + 64, stride);
    if (rows > 16)
        _tile_stored(2, to + 16 * stride, stride);
    if (rows > 16 && cols > 16)
        _tile_stored(3, to + 16 * stride + 64, stride);
}

/* The loops over k, for as many tiles as are wanted. STEP bytes from one step to the next.
 *
 * Four products: a tile is loaded again as soon as its last product of the step is on its way, so that
 * loads run under the products that are left. Every other step takes B's tiles the other way round: it
 * begins with the ones that were loaded first. */
#define PRODUCTS_01(DP)                                                                        \
    DP(0, 4, 6);                                                                               \
    DP(1, 4, 7);                                                                               \
    DP(3, 5, 7);                                                                               \
    DP(2, 5, 6);
#define PRODUCTS_10(DP)                                                                        \
    DP(1, 4, 7);                                                                               \
    DP(0, 4, 6);                                                                               \
    DP(2, 5, 6);                                                                               \
    DP(3, 5, 7);
/* a, b: the next step's. */
#define STEP_01(DP, a, b)                                                                      \
    DP(0, 4, 6);                                                                               \
    DP(1, 4, 7);                                                                               \
    LOAD_A(a, 4);                                                                              \
    DP(3, 5, 7);                                                                               \
    LOAD_B((b) + TILE, 7);                                                                     \
    DP(2, 5, 6);                                                                               \
    LOAD_B(b, 6);                                                                              \
    LOAD_A((a) + TILE, 5);
#define STEP_10(DP, a, b)                                                                      \
    DP(1, 4, 7);                                                                               \
    DP(0, 4, 6);                                                                               \
    LOAD_A(a, 4);                                                                              \
    DP(2, 5, 6);                                                                               \
    LOAD_B(b, 6);                                                                              \
    DP(3, 5, 7);                                                                               \
    LOAD_B((b) + TILE, 7);                                                                     \
    LOAD_A((a) + TILE, 5);
#define LOOP_22(DP, a, b, count, step)                                                         \
    {                                                                                          \
        size_t left = (count);                                                                 \
        LOAD_A(a, 4);                                                                          \
        LOAD_B(b, 6);                                                                          \
        LOAD_B((b) + TILE, 7);                                                                 \
        LOAD_A((a) + TILE, 5);                                                                 \
        for (; left > 2; left -= 2) {                                                          \
            STEP_01(DP, (a) + (step), (b) + (step))                                            \
            fetch(&f);                                                                         \
            (a) += 2 * (step);                                                                 \
            (b) += 2 * (step);                                                                 \
            STEP_10(DP, a, b)                                                                  \
            fetch(&f);                                                                         \
        }                                                                                      \
        if (left == 2) {                                                                       \
            STEP_01(DP, (a) + (step), (b) + (step))                                            \
            fetch(&f);                                                                         \
            PRODUCTS_10(DP)                                                                    \
        } else {                                                                               \
            PRODUCTS_01(DP)                                                                    \
        }                                                                                      \
        fetch(&f);                                                                             \
    }
#define LOOP_12(DP, a, b, count, step)                                                         \
    for (size_t i = 0; i < (count); i++, (a) += (step), (b) += (step)) {                       \
        LOAD_A(a, 4);                                                                          \
        LOAD_B(b, 6);                                                                          \
        LOAD_B((b) + TILE, 7);                                                                 \
        DP(0, 4, 6);                                                                           \
        DP(1, 4, 7);                                                                           \
        fetch(&f);                                                                             \
    }
#define LOOP_21(DP, a, b, count, step)                                                         \
    for (size_t i = 0; i < (count); i++, (a) += (step), (b) += (step)) {                       \
        LOAD_B(b, 6);                                                                          \
        LOAD_A(a, 4);                                                                          \
        LOAD_A((a) + TILE, 5);                                                                 \
        DP(0, 4, 6);                                                                           \
        DP(2, 5, 6);                                                                           \
        fetch(&f);                                                                             \
    }
#define LOOP_11(DP, a, b, count, step)                                                         \
    for (size_t i = 0; i < (count); i++, (a) += (step), (b) += (step)) {                       \
        LOAD_B(b, 6);                                                                          \
        LOAD_A(a, 4);                                                                          \
        DP(0, 4, 6);                                                                           \
        fetch(&f);                                                                             \
    }
#define LOOPS(DP, c, a, b, count, step)                                                        \
    if ((c)->rows > 16 && (c)->cols > 16)                                                      \
        LOOP_22(DP, a, b, count, step)                                                         \
    else if ((c)->cols > 16)                                                                   \
        LOOP_12(DP, a, b, count, step)                                                         \
    else if ((c)->rows > 16)                                                                   \
        LOOP_21(DP, a, b, count, step)                                                         \
    else                                                                                       \
        LOOP_11(DP, a, b, count, step)

/* The finished sums; onto those of an earlier slice by one addition. */
static inline void deliver(const wilor_dot_call *c) {
    _Alignas(64) float sums[MR * NR];
    if (!c->add) {
        store_sums(c->rows, c->cols, c->tile, c->ldt * sizeof(float));
        return;
    }
    store_sums(c->rows, c->cols, sums, NR * sizeof *sums);
    for (int r = 0; r < c->rows; r++)
        for (int col = 0; col < c->cols; col += 16) {
            float *to = c->tile + (size_t)r * c->ldt + col;
            _mm512_storeu_ps(
                to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_load_ps(sums + r * NR + col)));
        }
}

static void gemm_bf16(const wilor_dot *d, const wilor_dot_call *c) {
    const uint8_t *a = c->a, *b = c->b;
    size_t count = steps(d, c->k);
    fetcher f = begin_fetch(c, count);
    ZERO_4
    LOOPS(_tile_dpbf16ps, c, a, b, count, 2 * TILE)
    deliver(c);
}

static void gemm_int8(const wilor_dot *d, const wilor_dot_call *c) {
    _Alignas(64) int32_t sums[MR * NR];
    const uint8_t *a = c->a, *b = c->b;
    size_t count = steps(d, c->k);
    fetcher f = begin_fetch(c, count);
    ZERO_4
    LOOPS(_tile_dpbssd, c, a, b, count, 2 * TILE)
    store_sums(c->rows, c->cols, sums, NR * sizeof *sums);
    for (int r = 0; r < c->rows; r++)
        for (int col = 0; col < c->cols; col += 16) {
            __m512 scale =
                _mm512_mul_ps(_mm512_set1_ps(c->a_scale[r]), _mm512_loadu_ps(c->b_scale + col));
            __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + r * NR + col)),
                                     scale);
            float *to = c->tile + (size_t)r * c->ldt + col;
            _mm512_storeu_ps(to, c->add ? _mm512_add_ps(_mm512_loadu_ps(to), v) : v);
        }
}

/* Products of two tiles of A with two or one of B. */
#define FOUR                                                                                   \
    _tile_dpbf16ps(0, 4, 6);                                                                   \
    _tile_dpbf16ps(1, 4, 7);                                                                   \
    _tile_dpbf16ps(2, 5, 6);                                                                   \
    _tile_dpbf16ps(3, 5, 7)
#define TWO                                                                                    \
    _tile_dpbf16ps(0, 4, 6);                                                                   \
    _tile_dpbf16ps(2, 5, 6)
#define LOAD_AS(a)                                                                             \
    LOAD_A(a, 4);                                                                              \
    LOAD_A((a) + TILE, 5)
#define LOAD_BS(b)                                                                             \
    LOAD_B(b, 6);                                                                              \
    LOAD_B((b) + TILE, 7)
#define LOAD_ONE_B(b) LOAD_B(b, 6)

/* All steps: first the five small products of each, the operands' parts lying high, mid, low; an operand
 * is loaded once or twice. Few rows are rare here: both tiles of rows are made whatever is wanted. */
#define SPLIT_LOOPS(BS, PRODUCTS)                                                              \
    for (size_t i = 0; i < count; i++, a += step, b += step) {                                 \
        LOAD_AS(a);                                                                            \
        BS(b + 4 * TILE);                                                                      \
        PRODUCTS; /* high low */                                                               \
        BS(b + 2 * TILE);                                                                      \
        PRODUCTS; /* high mid */                                                               \
        LOAD_AS(a + 2 * TILE);                                                                 \
        PRODUCTS; /* mid mid */                                                                \
        BS(b);                                                                                 \
        PRODUCTS; /* mid high */                                                               \
        LOAD_AS(a + 4 * TILE);                                                                 \
        PRODUCTS; /* low high */                                                               \
        fetch(&f);                                                                             \
    }                                                                                          \
    a = c->a;                                                                                  \
    b = c->b;                                                                                  \
    for (size_t i = 0; i < count; i++, a += step, b += step) {                                 \
        LOAD_AS(a);                                                                            \
        BS(b);                                                                                 \
        PRODUCTS;                                                                              \
        fetch(&f);                                                                             \
    }

static void gemm_f32x(const wilor_dot *d, const wilor_dot_call *c) {
    const uint8_t *a = c->a, *b = c->b;
    size_t count = steps(d, c->k), step = PARTS * 2 * TILE;
    fetcher f = begin_fetch(c, 2 * count);
    ZERO_4
    if (c->cols > 16) {
        SPLIT_LOOPS(LOAD_BS, FOUR)
    } else {
        SPLIT_LOOPS(LOAD_ONE_B, TWO)
    }
    deliver(c);
}

/* ---------------------------------------------------------------- attention, bfloat16 */

/* A strip of 32 queries stays in the first-level cache from the scores to the result: scores as rows of
 * float32, a row's softmax in registers, its weights in bfloat16 as the next product's A. */
typedef struct pieces {
    size_t dim_steps, key_tiles, key_steps, dim_tiles;
    uint8_t *k;     /* B of the scores: [dim step][key tile] */
    uint8_t *v;     /* B of the result: [key step][dim tile] */
    uint8_t *q, *p; /* A: [dim step][2], [key step][2] */
    float *s, *o;   /* 32 × keys, 32 × dims, padded */
    size_t bytes;
} pieces;

static pieces cut(size_t keys, size_t dim, void *scratch) {
    pieces x = {.dim_steps = (dim + 31) / 32,
                .key_steps = (keys + 31) / 32,
                .dim_tiles = (dim + 15) / 16};
    x.key_tiles = 2 * x.key_steps;
    size_t v = x.dim_steps * x.key_tiles * TILE;
    size_t q = v + x.key_steps * (x.dim_tiles + 1) * TILE;
    size_t p = q + x.dim_steps * 2 * TILE, sums = p + x.key_steps * 2 * TILE;
    size_t o = sums + MR * 16 * x.key_tiles * sizeof(float);
    x.bytes = o + MR * 16 * (x.dim_tiles + 1) * sizeof(float);
    if (!scratch) /* only its size is asked for */
        return x;
    x.k = scratch;
    x.v = x.k + v;
    x.q = x.k + q;
    x.p = x.k + p;
    x.s = (float *)(void *)(x.k + sums);
    x.o = (float *)(void *)(x.k + o);
    return x;
}

static size_t attend_bytes(int keys, int head_dim) {
    uint8_t *none = NULL;
    pieces x = cut((size_t)keys, (size_t)head_dim, none);
    return x.dim_steps * x.key_tiles * TILE + x.key_steps * (x.dim_tiles + 1) * TILE +
           x.dim_steps * 2 * TILE + x.key_steps * 2 * TILE +
           sizeof(float) * MR * 16 * (x.key_tiles + x.dim_tiles + 1);
}

static size_t at_most(size_t have, size_t most) { return have < most ? have : most; }

static void pack_keys(const wilor_dot_attention *a, const pieces *x) {
    size_t keys = (size_t)a->keys, dim = (size_t)a->head_dim;
    for (size_t s = 0; s < x->dim_steps; s++)
        for (size_t t = 0; t < x->key_tiles; t++) {
            size_t have = keys > 16 * t ? at_most(keys - 16 * t, 16) : 0;
            const float *from = a->k + (have ? 16 * t * a->ldkv : 0) + 32 * s;
            pack_tile_rows(from, a->ldkv, have, at_most(dim - 32 * s, 32), 1,
                           x->k + (s * x->key_tiles + t) * TILE);
        }
}

static void pack_values(const wilor_dot_attention *a, const pieces *x) {
    size_t keys = (size_t)a->keys, dim = (size_t)a->head_dim;
    for (size_t s = 0; s < x->key_steps; s++)
        for (size_t t = 0; t < x->dim_tiles; t++)
            pack_tile_steps(a->v + 32 * s * a->ldkv + 16 * t, a->ldkv,
                            at_most(dim - 16 * t, 16), at_most(keys - 32 * s, 32), 1,
                            x->v + (s * x->dim_tiles + t) * TILE);
}

static void pack_queries(const wilor_dot_attention *a, const pieces *x, size_t first,
                         size_t n) {
    size_t dim = (size_t)a->head_dim;
    for (size_t s = 0; s < x->dim_steps; s++)
        for (size_t r = 0; r < MR; r++) {
            uint8_t *line = x->q + (2 * s + r / 16) * TILE + r % 16 * LINE;
            const float *from = a->q + (first + (r < n ? r : 0)) * a->ldq + 32 * s;
            size_t have = r < n ? at_most(dim - 32 * s, 32) : 0;
            __m512 low = have ? load_up_to(from, have) : _mm512_setzero_ps();
            __m512 high = have > 16 ? load_up_to(from + 16, have - 16) : _mm512_setzero_ps();
            _mm512_storeu_si512(line, narrow2(low, high));
        }
}

/* out[32][ld] = A · B, two column tiles at a time; B's tiles of a step lie behind each other. */
static void multiply_strip(const uint8_t *a, const uint8_t *b, size_t count, size_t tiles,
                           float *out, size_t ld) {
    for (size_t t = 0; t < tiles; t += 2) {
        const uint8_t *pa = a, *pb = b + t * TILE;
        float *to = out + 16 * t;
        ZERO_4
        if (t + 1 < tiles)
            for (size_t i = 0; i < count; i++, pa += 2 * TILE, pb += tiles * TILE) {
                LOAD_A(pa, 4);
                LOAD_B(pb, 6);
                LOAD_B(pb + TILE, 7);
                LOAD_A(pa + TILE, 5);
                FOUR;
            }
        else
            for (size_t i = 0; i < count; i++, pa += 2 * TILE, pb += tiles * TILE) {
                LOAD_A(pa, 4);
                LOAD_B(pb, 6);
                LOAD_A(pa + TILE, 5);
                TWO;
            }
        store_sums(MR, t + 1 < tiles ? 32 : 16, to, ld * sizeof(float));
    }
}

/* 2^x for x <= 0, to 3e-6: the result becomes a bfloat16. scripts/fit_polynomials.py. */
static inline __m512 exp2_negative(__m512 x) {
    __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_sub_ps(x, n);
    __m512 e = _mm512_fmadd_ps(_mm512_set1_ps(WILOR_EXP2_B3), r, _mm512_set1_ps(WILOR_EXP2_B2));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(WILOR_EXP2_B1));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(WILOR_EXP2_B0));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(e, n);
}

/* A row of scores to its line of weights; returns their sum. */
static float softmax_row(float *s, size_t keys, size_t key_steps, float factor, uint8_t *line) {
    const __m512 least = _mm512_set1_ps(-__builtin_inff());
    __m512 top = least, sum = _mm512_setzero_ps();
    for (size_t i = 0; i < keys; i += 16)
        top = _mm512_max_ps(top, _mm512_mask_loadu_ps(least, first16(keys - i), s + i));
    __m512 scale = _mm512_set1_ps(factor);
    __m512 shift = _mm512_set1_ps(-factor * _mm512_reduce_max_ps(top));
    for (size_t i = 0; i < key_steps; i++, s += 32, line += 2 * TILE) {
        __m512 e[2];
        for (size_t j = 0; j < 2; j++) {
            size_t at = 32 * i + 16 * j;
            __mmask16 have = at < keys ? first16(keys - at) : 0;
            e[j] = exp2_negative(_mm512_fmadd_ps(_mm512_loadu_ps(s + 16 * j), scale, shift));
            e[j] = _mm512_maskz_mov_ps(have, e[j]);
            sum = _mm512_add_ps(sum, e[j]);
        }
        _mm512_storeu_si512(line, narrow2(e[0], e[1]));
    }
    return _mm512_reduce_add_ps(sum);
}

static void attend(const wilor_dot *d, const wilor_dot_attention *a) {
    pieces x = cut((size_t)a->keys, (size_t)a->head_dim, a->scratch);
    size_t dim = (size_t)a->head_dim, lds = 16 * x.key_tiles, ldo = 16 * x.dim_tiles;
    (void)d;
    pack_keys(a, &x);
    pack_values(a, &x);
    for (size_t first = 0; first < (size_t)a->queries; first += MR) {
        size_t n = at_most((size_t)a->queries - first, MR);
        float sums[MR];
        pack_queries(a, &x, first, n);
        multiply_strip(x.q, x.k, x.dim_steps, x.key_tiles, x.s, lds);
        for (size_t r = 0; r < MR; r++)
            sums[r] = softmax_row(x.s + r * lds, (size_t)a->keys, x.key_steps,
                                  a->scale * WILOR_LOG2_E, x.p + r / 16 * TILE + r % 16 * LINE);
        multiply_strip(x.p, x.v, x.key_steps, x.dim_tiles, x.o, ldo);
        for (size_t r = 0; r < n; r++) {
            __m512 factor = _mm512_set1_ps(1.0f / sums[r]);
            float *to = a->out + (first + r) * a->ldo;
            for (size_t i = 0; i < dim; i += 16)
                _mm512_mask_storeu_ps(
                    to + i, first16(dim - i),
                    _mm512_mul_ps(_mm512_loadu_ps(x.o + r * ldo + i), factor));
        }
    }
}

/* ---------------------------------------------------------------- tables */

int wilor_dot_fill_amx(wilor_dot *out, const wilor_kernels *kernels) {
    const wilor_dot common = {.kernels = kernels,
                              .quick = true,
                              .mr = MR,
                              .nr = NR,
                              .row_step = 1,
                              .chunk = 4,
                              .slices = 4,
                              .split = true,
                              .any_ldt = true,
                              .a_bytes = a_bytes,
                              .a_numbers = numbers,
                              .b_bytes = b_bytes,
                              .b_numbers = numbers,
                              .begin = begin,
                              .end = end,
                              .pack_b = pack_b16,
                              .put_a = put_a16};
    out[0] = out[1] = out[2] = common;
    out[0].name = "bf16 amx";
    out[0].arith = WILOR_ARITH_BF16;
    out[0].gemm = gemm_bf16;
    out[0].pack_u4 = wilor_dot_amx_u4_bf16;
    out[0].attend = attend;
    out[0].attend_bytes = attend_bytes;
    out[1].name = "int8 amx";
    out[1].arith = WILOR_ARITH_INT8;
    out[1].gemm = gemm_int8;
    out[1].pack_b = pack_b8;
    out[1].pack_u4 = wilor_dot_amx_u4_int8;
    out[1].put_a = put_a8;
    out[1].tops = tops;
    out[1].attend = attend;
    out[1].attend_bytes = attend_bytes;
    out[2].name = "f32x amx";
    out[2].arith = WILOR_ARITH_F32X;
    out[2].gemm = gemm_f32x;
    return 3;
}
