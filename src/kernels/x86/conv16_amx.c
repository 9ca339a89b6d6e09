/* conv16.h on AMX: 32 pixels × 32 outputs in four tiles, two tiles of pixels and two of weights a step.
 * A tile of pixels is loaded from the map itself, its stride the distance between pixels. */
#include "conv16.h"

#include "tile_moves.h"

enum { RUN = WILOR_CONV16_RUN, DEPTH = WILOR_CONV16_DEPTH, SIDE = WILOR_CONV16_SIDE };

enum { LINE = 64, TILE = WILOR_CONV16_TILE };

/* Tiles 0, 1 / 2, 3: the sums of run 0 / 1. 4, 5: pixels. 6, 7: weights. All steps of all pieces: LOADS
 * and PRODUCTS of each. */
#define STEPS(TILES, LOADS, PRODUCTS)                                                          \
    for (int p = 0; p < c->pieces; p++) {                                                      \
        const uint16_t *a0 = c->a[0] + c->offset[p], *a1 = c->a[1] + c->offset[p];             \
        (void)a1;                                                                              \
        for (size_t s = 0; s < c->steps; s++, a0 += DEPTH, a1 += DEPTH, b += (TILES)*TILE) {   \
            LOADS;                                                                             \
            PRODUCTS;                                                                          \
        }                                                                                      \
    }

#define A0 _tile_loadd(4, a0, stride)
#define A1 _tile_loadd(5, a1, stride)
#define B0 _tile_loadd(6, b, LINE)
#define B1 _tile_loadd(7, b + TILE, LINE)

static void multiply_4(const wilor_conv16_call *c) {
    const uint16_t *b = c->b;
    const size_t stride = c->step * sizeof *b;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    STEPS(2, A0; B0; B1; A1, _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7);
          _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7))
    _tile_stored(0, c->sums, SIDE * sizeof(float));
    _tile_stored(1, c->sums + RUN, SIDE * sizeof(float));
    _tile_stored(2, c->sums + RUN * SIDE, SIDE * sizeof(float));
    _tile_stored(3, c->sums + RUN * SIDE + RUN, SIDE * sizeof(float));
}

static void multiply_2_runs(const wilor_conv16_call *c) {
    const uint16_t *b = c->b;
    const size_t stride = c->step * sizeof *b;
    _tile_zero(0);
    _tile_zero(2);
    STEPS(1, A0; B0; A1, _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(2, 5, 6))
    _tile_stored(0, c->sums, SIDE * sizeof(float));
    _tile_stored(2, c->sums + RUN * SIDE, SIDE * sizeof(float));
}

static void multiply_2_tiles(const wilor_conv16_call *c) {
    const uint16_t *b = c->b;
    const size_t stride = c->step * sizeof *b;
    _tile_zero(0);
    _tile_zero(1);
    STEPS(2, A0; B0; B1, _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7))
    _tile_stored(0, c->sums, SIDE * sizeof(float));
    _tile_stored(1, c->sums + RUN, SIDE * sizeof(float));
}

static void multiply_1(const wilor_conv16_call *c) {
    const uint16_t *b = c->b;
    const size_t stride = c->step * sizeof *b;
    _tile_zero(0);
    STEPS(1, A0; B0, _tile_dpbf16ps(0, 4, 6))
    _tile_stored(0, c->sums, SIDE * sizeof(float));
}

void wilor_conv16_multiply_amx(const wilor_conv16_call *c) {
    if (c->runs == 2 && c->tiles == 2)
        multiply_4(c);
    else if (c->runs == 2)
        multiply_2_runs(c);
    else if (c->tiles == 2)
        multiply_2_tiles(c);
    else
        multiply_1(c);
}

/* ---------------------------------------------------------------- finish */

/* x · σ(x), to 2^-12 of itself: e^-x by the polynomial of dot_amx.c's softmax would be 3e-6, the
 * reciprocal's 14 bits are what is left. Where x is so low that e^-x is infinite the result is -0. */
static inline __m512 silu(__m512 x) {
    const __m512 one = _mm512_set1_ps(1.0f);
    __m512 y = _mm512_mul_ps(x, _mm512_set1_ps(-WILOR_LOG2_E));
    __m512 n = _mm512_roundscale_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_sub_ps(y, n);
    __m512 e = _mm512_fmadd_ps(_mm512_set1_ps(WILOR_EXP2_B3), r, _mm512_set1_ps(WILOR_EXP2_B2));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(WILOR_EXP2_B1));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(WILOR_EXP2_B0));
    e = _mm512_fmadd_ps(e, r, one);
    e = _mm512_scalef_ps(e, n);
    return _mm512_mul_ps(x, _mm512_rcp14_ps(_mm512_add_ps(e, one)));
}

static inline __m512 added(const uint16_t *from, __mmask16 have) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(have, from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/* The second operand is the result where the first is a NaN. */
static inline __m512 keep_finite(__m512 x) {
    x = _mm512_min_ps(x, _mm512_set1_ps(WILOR_CONV16_MOST));
    return _mm512_max_ps(x, _mm512_set1_ps(-WILOR_CONV16_MOST));
}

/* 16 columns of a row. */
static inline __m512 finish_16(const float *sums, __m512 bias, bool silu_too,
                               const uint16_t *more, __mmask16 have) {
    __m512 x = _mm512_add_ps(_mm512_loadu_ps(sums), bias);
    x = silu_too ? silu(x) : x;
    return keep_finite(more ? _mm512_add_ps(x, added(more, have)) : x);
}

/* All 32 columns: whole lines of the map where its channels are multiples of 32. */
static inline void finish_32(const wilor_conv16_end *e, bool silu_too, bool add_too) {
    __m512 bias0 = _mm512_loadu_ps(e->bias), bias1 = _mm512_loadu_ps(e->bias + RUN);
    const float *sums = e->sums;
    const uint16_t *more = add_too ? e->added : NULL;
    uint16_t *out = e->out;
    for (int r = 0; r < e->rows; r++, sums += SIDE, out += e->ldo) {
        __m512 x = finish_16(sums, bias0, silu_too, more, 0xFFFF);
        __m512 y = finish_16(sums + RUN, bias1, silu_too, more ? more + RUN : NULL, 0xFFFF);
        _mm512_storeu_si512(out, (__m512i)_mm512_cvtne2ps_pbh(y, x));
        more = more ? more + e->lda : NULL;
    }
}

/* Fewer columns, 16 at a time. */
static void finish_some(const wilor_conv16_end *e, int first) {
    int cols = e->cols - first;
    __mmask16 have = cols >= RUN ? (__mmask16)0xFFFF : (__mmask16)((1u << cols) - 1u);
    __m512 bias = _mm512_loadu_ps(e->bias + first);
    for (size_t r = 0; r < (size_t)e->rows; r++) {
        const uint16_t *more = e->added ? e->added + r * e->lda + first : NULL;
        __m512 x = finish_16(e->sums + r * SIDE + first, bias, e->silu, more, have);
        _mm256_mask_storeu_epi16(e->out + r * e->ldo + first, have,
                                 (__m256i)_mm512_cvtneps_pbh(x));
    }
}

void wilor_conv16_finish_amx(const wilor_conv16_end *e) {
    for (int first = 0; e->cols < SIDE && first < e->cols; first += RUN)
        finish_some(e, first);
    if (e->cols < SIDE)
        return;
    if (e->silu && e->added)
        finish_32(e, true, true);
    else if (e->silu)
        finish_32(e, true, false);
    else
        finish_32(e, false, e->added != NULL);
}
