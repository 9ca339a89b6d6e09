/* dot.h's tables for Arm, 6 × 16 like the float32 kernel's: int8 on every processor and with SDOT and
 * SMMLA, bf16 with BFMMLA. This file chooses, packs and finishes, by base instructions alone; the inner
 * loops beyond those are in dot_neon_*.c. Panels: dot_neon.h.
 *
 * Groups of k: 8 for SMMLA, 4 for SDOT and BFMMLA. The base loop has A in groups of 4 and B in groups of
 * 2: it multiplies pairs to 16 bits, adds a second pair there (2 · 127² < 2¹⁵: -128 never occurs) and
 * then both neighbours to a column's 32 bits: 16 products in three instructions, where MLAs by a lane
 * would need four. */
#include "dot_neon.h"
#include "cpu.h"
#include "dot.h"

#include <arm_neon.h>
#include <string.h>

enum { MR = WILOR_NEON_MR, NR = WILOR_NEON_NR, STEP = WILOR_NEON_STEP };

static size_t steps_of(size_t k) { return (k + STEP - 1) / STEP; }

static size_t lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t element(const wilor_dot *d) { return d->arith == WILOR_ARITH_INT8 ? 1 : 2; }

static size_t a_numbers(const wilor_dot *d, size_t k) {
    return lines(steps_of(k) * STEP * MR * element(d));
}

static size_t b_numbers(const wilor_dot *d, size_t k) {
    return lines(steps_of(k) * STEP * NR * element(d));
}

static size_t a_bytes(const wilor_dot *d, size_t k) {
    return a_numbers(d, k) + (d->arith == WILOR_ARITH_INT8 ? 64 : 0);
}

static size_t b_bytes(const wilor_dot *d, size_t k) {
    return b_numbers(d, k) + (d->arith == WILOR_ARITH_INT8 ? 2 * NR * sizeof(float) : 0);
}

/* ---------------------------------------------------------------- packing */

/* FMAX keeps NaNs. */
static float top_of(const float *x, size_t n) {
    float32x4_t top[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    for (; n >= 16; n -= 16, x += 16)
        for (int j = 0; j < 4; j++)
            top[j] = vmaxq_f32(top[j], vabsq_f32(vld1q_f32(x + 4 * j)));
    for (; n; n--, x++)
        top[0] = vmaxq_f32(top[0], vabsq_f32(vdupq_n_f32(*x)));
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(top[0], top[1]), vmaxq_f32(top[2], top[3])));
}

static float inverse_of(float top) { return top > 0 ? 127.0f / top : 0.0f; }

/* To nearest even; 0 where that is not within ±127, as for all numbers of a line that is not finite. */
static inline int16x4_t quantise(float32x4_t x, float inverse) {
    float32x4_t steps = vmulq_n_f32(x, inverse);
    uint32x4_t fits = vcaltq_f32(steps, vdupq_n_f32(127.5f));
    return vmovn_s32(vandq_s32(vcvtnq_s32_f32(steps), vreinterpretq_s32_u32(fits)));
}

/* A step of a line, in its groups of 8, 4 or 2. */
static inline void put_step(int8x8_t q, size_t group, size_t width, int8_t *to) {
    if (group == 8) {
        vst1_s8(to, q);
        return;
    }
    uint32x2_t words = vreinterpret_u32_s8(q);
    uint32_t word[2] = {vget_lane_u32(words, 0), vget_lane_u32(words, 1)};
    for (size_t i = 0; i < 2; i++, to += 4 * width)
        if (group == 4) {
            memcpy(to, &word[i], 4);
        } else {
            memcpy(to, &word[i], 2);
            memcpy(to + 2 * width, (const char *)&word[i] + 2, 2);
        }
}

static inline int8x8_t quantise_step(const float *src, float inverse) {
    return vmovn_s16(
        vcombine_s16(quantise(vld1q_f32(src), inverse), quantise(vld1q_f32(src + 4), inverse)));
}

/* n numbers of a line, and zeros up to a whole step, to a panel of `width` lines. Returns their sum. */
static inline int put_line(const float *src, size_t n, float inverse, size_t group,
                           size_t width, int8_t *to) {
    int32x4_t sum = vdupq_n_s32(0);
    for (; n >= STEP; n -= STEP, src += STEP, to += STEP * width) {
        int8x8_t q = quantise_step(src, inverse);
        sum = vpadalq_s16(sum, vmovl_s8(q));
        put_step(q, group, width, to);
    }
    if (n) {
        float rest[STEP] = {0};
        memcpy(rest, src, n * sizeof *src);
        int8x8_t q = quantise_step(rest, inverse);
        sum = vpadalq_s16(sum, vmovl_s8(q));
        put_step(q, group, width, to);
    }
    return vaddvq_s32(sum);
}

static void tops(const float *src, size_t ld, int rows, size_t k, float *top) {
    for (int r = 0; r < rows; r++)
        top[r] = top_of(src + (size_t)r * ld, k);
}

static inline void put_a_int8(const wilor_dot *d, const float *src, size_t ld, const float *top,
                              int row, int rows, size_t col, size_t cols, size_t k, void *panel,
                              size_t group) {
    float *scale = (float *)(void *)((char *)panel + a_numbers(d, k));
    int8_t *to = (int8_t *)panel + col * MR + (size_t)row * group;
    for (size_t r = 0; r < (size_t)rows; r++) {
        put_line(src + r * ld, cols, inverse_of(top[r]), group, MR, to + r * group);
        if (col == 0)
            scale[(size_t)row + r] = top[r] / 127.0f;
    }
}

static void put_a_by4(const wilor_dot *d, const float *src, size_t ld, const float *top,
                      int row, int rows, size_t col, size_t cols, size_t k, void *panel) {
    put_a_int8(d, src, ld, top, row, rows, col, cols, k, panel, 4);
}

static void put_a_by8(const wilor_dot *d, const float *src, size_t ld, const float *top,
                      int row, int rows, size_t col, size_t cols, size_t k, void *panel) {
    put_a_int8(d, src, ld, top, row, rows, col, cols, k, panel, 8);
}

static void put_a_bf16(const wilor_dot *d, const float *src, size_t ld, const float *top,
                       int row, int rows, size_t col, size_t cols, size_t k, void *panel) {
    uint16_t *to = (uint16_t *)panel + col * MR + (size_t)row * 4;
    (void)d;
    (void)top;
    (void)k;
    for (size_t r = 0; r < (size_t)rows; r++)
        wilor_neon_line_bf16(src + r * ld, cols, MR, to + r * 4);
}

/* Columns of B go by blocks of k, so that the lines of a transposed matrix are still there for the next
 * column. `room` takes the numbers of such a one. */
enum { BLOCK = 32 * STEP };

static const float *column(const float *w, size_t ldk, size_t n, float *room) {
    if (ldk == 1)
        return w;
    for (size_t i = 0; i < n; i++)
        room[i] = w[i * ldk];
    return room;
}

static void column_tops(const float *w, size_t ldc, size_t ldk, size_t cols, size_t k,
                        float *top) {
    float room[BLOCK];
    for (size_t i = 0; i < k; i += BLOCK)
        for (size_t c = 0, n = k - i < BLOCK ? k - i : BLOCK; c < cols; c++) {
            float part = top_of(column(w + c * ldc + i * ldk, ldk, n, room), n);
            top[c] = part <= top[c] || top[c] != top[c] ? top[c] : part; /* a NaN stays */
        }
}

static inline void pack_b_int8(const wilor_dot *d, const float *w, size_t ldc, size_t ldk,
                               int cols, size_t k, void *panel, size_t group) {
    float room[BLOCK], top[NR] = {0};
    int8_t *to = panel;
    float *scale = (float *)(void *)(to + b_numbers(d, k));
    int *sum = (int *)(void *)(scale + NR);
    memset(panel, 0, b_bytes(d, k));
    column_tops(w, ldc, ldk, (size_t)cols, k, top);
    for (size_t i = 0; i < k; i += BLOCK)
        for (size_t c = 0, n = k - i < BLOCK ? k - i : BLOCK; c < (size_t)cols; c++)
            sum[c] += put_line(column(w + c * ldc + i * ldk, ldk, n, room), n,
                               inverse_of(top[c]), group, NR, to + i * NR + c * group);
    for (size_t c = 0; c < NR; c++)
        scale[c] = top[c] / 127.0f;
}

static void pack_b_by2(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                       size_t k, void *panel) {
    pack_b_int8(d, w, ldc, ldk, cols, k, panel, 2);
}

static void pack_b_by4(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                       size_t k, void *panel) {
    pack_b_int8(d, w, ldc, ldk, cols, k, panel, 4);
}

static void pack_b_by8(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                       size_t k, void *panel) {
    pack_b_int8(d, w, ldc, ldk, cols, k, panel, 8);
}

static void pack_b_bf16(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                        size_t k, void *panel) {
    float room[BLOCK];
    uint16_t *to = panel;
    memset(panel, 0, b_bytes(d, k));
    for (size_t i = 0; i < k; i += BLOCK)
        for (size_t c = 0, n = k - i < BLOCK ? k - i : BLOCK; c < (size_t)cols; c++)
            wilor_neon_line_bf16(column(w + c * ldc + i * ldk, ldk, n, room), n, NR,
                                 to + i * NR + c * 4);
}

/* Group by group; a last half of a step stays zero. */
static void pack_u4_bf16(const wilor_dot *d, const wilor_u4_steps *w, size_t k, void *panel) {
    const wilor_kernels *t = d->kernels;
    size_t line = NR * (w->scale_type == WILOR_PANEL_F16 ? 2 : sizeof(float));
    uint16_t *to = panel;
    _Alignas(64) float scale[NR], bias[NR];
    memset(to + k * NR, 0, b_bytes(d, k) - k * NR * sizeof *to);
    for (size_t i = 0; i < k / w->group; i++, to += w->group * NR) {
        t->expand_f32(w->scale_type, w->scales + i * line, 1, NULL, NULL, scale);
        t->expand_f32(w->scale_type, w->biases + i * line, 1, NULL, NULL, bias);
        wilor_neon_u4_bf16(w->q + i * w->group / 2 * NR, w->group, scale, bias, to);
    }
}

/* ---------------------------------------------------------------- products */

/* What is needed soon is spread over all turns, at most a line for each. */
static wilor_neon_dot dot_of(const wilor_dot_call *c, size_t turns) {
    size_t stride = (c->next_bytes + turns - 1) / turns;
    wilor_neon_dot d = {c->a, c->b, turns, c->next, stride < 64 ? stride : 64};
    if (!c->next) {
        d.fetch = c->b;
        d.stride = 0;
    }
    return d;
}

/* v: a row's sums from column col on, of which four or fewer are wanted. */
static inline void finish(const wilor_dot_call *c, int row, int col, float32x4_t v) {
    float *to = c->tile + (size_t)row * c->ldt + col, part[4];
    if (c->cols - col >= 4) {
        vst1q_f32(to, c->add ? vaddq_f32(vld1q_f32(to), v) : v);
        return;
    }
    vst1q_f32(part, v);
    for (int i = 0; i < c->cols - col; i++)
        to[i] = c->add ? to[i] + part[i] : part[i];
}

static void finish_int8(const wilor_dot_call *c, const int32_t *sum) {
    for (int r = 0; r < c->rows; r++)
        for (int col = 0; col < c->cols; col += 4) {
            float32x4_t scale = vmulq_n_f32(vld1q_f32(c->b_scale + col), c->a_scale[r]);
            float32x4_t v = vcvtq_f32_s32(vld1q_s32(sum + r * NR + col));
            finish(c, r, col, vmulq_f32(v, scale));
        }
}

/* Row r: eight columns times two neighbours of k, the other two added in 16 bits, both halves of that
 * in 32. */
#define ROW(r, v, l)                                                                           \
    x = vreinterpretq_s8_s16(vdupq_laneq_s16(v, l));                                           \
    y = vreinterpretq_s8_s16(vdupq_laneq_s16(v, l + 1));                                       \
    low = vmull_s8(vget_low_s8(first), vget_low_s8(x));                                        \
    high = vmull_high_s8(first, x);                                                            \
    low = vmlal_s8(low, vget_low_s8(second), vget_low_s8(y));                                  \
    high = vmlal_high_s8(high, second, y);                                                     \
    c[r][0] = vpadalq_s16(c[r][0], low);                                                       \
    c[r][1] = vpadalq_s16(c[r][1], high);

/* Eight columns of the tile, so that the 16-bit sums have registers too. */
static void sums_eight(const wilor_neon_dot *d, int32_t *sum) {
    const int8_t *a = d->a, *b = d->b;
    const char *fetch = d->fetch;
    int32x4_t c[MR][2];
    for (int r = 0; r < MR; r++)
        c[r][0] = c[r][1] = vdupq_n_s32(0);
    for (size_t i = d->turns; i; i--, a += 4 * MR, b += 4 * NR, fetch += d->stride) {
        __builtin_prefetch(fetch, 0, 2);
        int8x16_t first = vld1q_s8(b), second = vld1q_s8(b + 2 * NR), x, y;
        int16x8_t v = vreinterpretq_s16_s8(vld1q_s8(a)), low, high;
        int16x8_t w = vreinterpretq_s16_s8(vcombine_s8(vld1_s8(a + 16), vdup_n_s8(0)));
        ROW(0, v, 0)
        ROW(1, v, 2)
        ROW(2, v, 4)
        ROW(3, v, 6)
        ROW(4, w, 0)
        ROW(5, w, 2)
    }
    for (int r = 0; r < MR; r++) {
        vst1q_s32(sum + r * NR, c[r][0]);
        vst1q_s32(sum + r * NR + 4, c[r][1]);
    }
}

static inline void gemm_int8(const wilor_dot_call *c, size_t turns,
                             void (*sums)(const wilor_neon_dot *, int32_t *)) {
    wilor_neon_dot d = dot_of(c, turns);
    int32_t sum[MR * NR];
    sums(&d, sum);
    finish_int8(c, sum);
}

/* In halves: half of what is needed soon with each. */
static void gemm_base(const wilor_dot *d, const wilor_dot_call *c) {
    size_t turns = 2 * steps_of(c->k);
    wilor_neon_dot half = dot_of(c, 2 * turns);
    int32_t sum[MR * NR];
    (void)d;
    half.turns = turns;
    sums_eight(&half, sum);
    half.b = (const char *)half.b + NR;
    half.fetch += turns * half.stride;
    sums_eight(&half, sum + NR / 2);
    finish_int8(c, sum);
}

static void gemm_sdot(const wilor_dot *d, const wilor_dot_call *c) {
    (void)d;
    gemm_int8(c, 2 * steps_of(c->k), wilor_neon_sums_sdot);
}

static void gemm_smmla(const wilor_dot *d, const wilor_dot_call *c) {
    (void)d;
    gemm_int8(c, steps_of(c->k), wilor_neon_sums_smmla);
}

static void gemm_bfmmla(const wilor_dot *d, const wilor_dot_call *c) {
    wilor_neon_dot p = dot_of(c, 2 * steps_of(c->k));
    float sum[MR * NR];
    (void)d;
    wilor_neon_sums_bfmmla(&p, sum);
    for (int r = 0; r < c->rows; r++)
        for (int col = 0; col < c->cols; col += 4)
            finish(c, r, col, vld1q_f32(sum + r * NR + col));
}

/* ---------------------------------------------------------------- tables */

/* 35 panels of 210 rows go in five chunks; a panel of B, 20 KB of int8 and 40 of bf16 at k 1280, stays
 * in a first-level cache of 64 meanwhile, which is why 5120 goes in quarters. */
static wilor_dot table(const char *name, wilor_arith arith, const wilor_kernels *kernels) {
    return (wilor_dot){.name = name,
                       .arith = arith,
                       .kernels = kernels,
                       .mr = MR,
                       .nr = NR,
                       .row_step = 1,
                       .chunk = 7,
                       .slices = 4,
                       .any_ldt = true,
                       .a_bytes = a_bytes,
                       .a_numbers = a_numbers,
                       .b_bytes = b_bytes,
                       .b_numbers = b_numbers};
}

static wilor_dot table_int8(const char *name, const wilor_kernels *kernels) {
    wilor_dot t = table(name, WILOR_ARITH_INT8, kernels);
    t.tops = tops;
    t.put_a = put_a_by4;
    return t;
}

/* Slowest first: later ones win. */
int wilor_dot_fill_neon(wilor_dot *out, const wilor_kernels *kernels) {
    unsigned have = wilor_cpu_features();
    int n = 0;
    out[n] = table_int8("int8 neon", kernels);
    out[n].pack_b = pack_b_by2;
    out[n++].gemm = gemm_base;
    if (have & WILOR_CPU_ARM_DOTPROD) {
        out[n] = table_int8("int8 sdot", kernels);
        out[n].pack_b = pack_b_by4;
        out[n++].gemm = gemm_sdot;
    }
    if (have & WILOR_CPU_ARM_I8MM) {
        out[n] = table_int8("int8 smmla", kernels);
        out[n].put_a = put_a_by8;
        out[n].pack_b = pack_b_by8;
        out[n++].gemm = gemm_smmla;
    }
    if (have & WILOR_CPU_ARM_BF16) {
        out[n] = table("bf16 bfmmla", WILOR_ARITH_BF16, kernels);
        out[n].quick = true;
        out[n].put_a = put_a_bf16;
        out[n].pack_b = pack_b_bf16;
        out[n].pack_u4 = pack_u4_bf16;
        out[n++].gemm = gemm_bfmmla;
    }
    return n;
}
