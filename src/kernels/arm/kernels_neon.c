/* Tier neon: AArch64's base vectors. Tile 6 × 16: 24 accumulators, four vectors of B, A by
 * lanes. */
#include "kernels.h"
#include "neon_order.h"

#include <arm_neon.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { VL = 4, MR = 6, NR = 16 };

typedef float32x4_t VF;
#define v_load(p) vld1q_f32(p)
#define v_store(p, v) vst1q_f32(p, v)
#define v_set1(x) vdupq_n_f32(x)
#define v_zero() vdupq_n_f32(0.0f)
#define v_add(a, b) vaddq_f32(a, b)
#define v_sub(a, b) vsubq_f32(a, b)
#define v_mul(a, b) vmulq_f32(a, b)
#define v_div(a, b) vdivq_f32(a, b)
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
#define v_fnma(a, b, c) vfmsq_f32(c, a, b)
#define v_round(v) vrndnq_f32(v)
#define v_sum(v) vaddvq_f32(v)

/* x86's rule for NaN: the second operand. */
static inline VF v_max(VF a, VF b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }

static inline VF v_min(VF a, VF b) { return vbslq_f32(vcltq_f32(a, b), a, b); }

/* n is a whole number in [-126, 0] here, so the exponent's bits can be added. */
static inline VF v_scale2(VF v, VF n) {
    int32x4_t e = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vmulq_f32(v, vreinterpretq_f32_s32(vshlq_n_s32(e, 23)));
}

static inline VF v_if_negative(VF x, VF a, VF b) {
    return vbslq_f32(vcltzq_s32(vreinterpretq_s32_f32(x)), a, b);
}

static inline VF v_load_part(const float *p, int n) {
    float t[VL] = {0};
    for (int i = 0; i < n; i++)
        t[i] = p[i];
    return vld1q_f32(t);
}

static inline void v_store_part(float *p, VF v, int n) {
    float t[VL];
    vst1q_f32(t, v);
    for (int i = 0; i < n; i++)
        p[i] = t[i];
}

/* 4 × 4. */
static inline void v_transpose(VF v[VL]) {
    float32x4x2_t a = vtrnq_f32(v[0], v[1]), b = vtrnq_f32(v[2], v[3]);
    v[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    v[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    v[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    v[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

#include "simd_body.h"

static void expand_f16(const uint16_t *src, size_t count, float *panel) {
    for (size_t i = 0; i < count; i += 4) /* whole vectors: panels are NR wide */
        vst1q_f32(panel + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(src + i))));
}

#include "expand_body.h"

/* The sums are variables, not an array: gcc keeps a copy of that in memory all along. */
#define DECLARE(r)                                                                             \
    VF c##r##0 = v_zero(), c##r##1 = v_zero(), c##r##2 = v_zero(), c##r##3 = v_zero();
#define ALL(WHAT) WHAT(0) WHAT(1) WHAT(2) WHAT(3) WHAT(4) WHAT(5)

/* Four columns of all rows, A by lanes. */
#define COLUMNS(j, bv)                                                                         \
    c0##j = vfmaq_laneq_f32(c0##j, bv, x, 0);                                                  \
    c1##j = vfmaq_laneq_f32(c1##j, bv, x, 1);                                                  \
    c2##j = vfmaq_laneq_f32(c2##j, bv, x, 2);                                                  \
    c3##j = vfmaq_laneq_f32(c3##j, bv, x, 3);                                                  \
    c4##j = vfmaq_lane_f32(c4##j, bv, y, 0);                                                   \
    c5##j = vfmaq_lane_f32(c5##j, bv, y, 1);                                                   \
    WILOR_NEON_AFTER(b, c0##j, c1##j, c2##j, c3##j, c4##j, c5##j);
#define STORE(r)                                                                               \
    v_store(tile + r * NR, c##r##0);                                                           \
    v_store(tile + r * NR + 4, c##r##1);                                                       \
    v_store(tile + r * NR + 8, c##r##2);                                                       \
    v_store(tile + r * NR + 12, c##r##3);

static void gemm_f32_neon(const float *a, const float *b, size_t k, float *tile,
                          const float *next) {
    ALL(DECLARE)
    /* Every eighth step asks for a new line; a branch for that would cost more. */
    const char *fetch = (const char *)(next ? next : b);
    for (; k > 0; k--, a += MR, b += NR, fetch += 8) {
        __builtin_prefetch(fetch, 0, 2);
        VF x = v_load(a), p0 = v_load(b), p1 = v_load(b + 4);
        float32x2_t y = vld1_f32(a + 4);
        COLUMNS(0, p0)
        VF q0 = v_load(b + 8), q1 = v_load(b + 12);
        COLUMNS(1, p1)
        COLUMNS(2, q0)
        COLUMNS(3, q1)
    }
    ALL(STORE)
}

/* Row r's number times 16 columns; the next row's is loaded afterwards. */
#define CONV_ROW(r)                                                                            \
    {                                                                                          \
        float x = p##r[i];                                                                     \
        c##r##0 = vfmaq_n_f32(c##r##0, b0, x);                                                 \
        c##r##1 = vfmaq_n_f32(c##r##1, b1, x);                                                 \
        c##r##2 = vfmaq_n_f32(c##r##2, b2, x);                                                 \
        c##r##3 = vfmaq_n_f32(c##r##3, b3, x);                                                 \
        WILOR_NEON_AFTER(i, c##r##0, c##r##1, c##r##2, c##r##3, c##r##3, c##r##3);             \
    }
#define CONV_FLUSH(to, v)                                                                      \
    v_store(to, begun ? v_add(v_load(to), v) : v);                                             \
    v = v_zero();
#define FLUSH(r)                                                                               \
    CONV_FLUSH(tile + r * NR, c##r##0)                                                         \
    CONV_FLUSH(tile + r * NR + 4, c##r##1)                                                     \
    CONV_FLUSH(tile + r * NR + 8, c##r##2)                                                     \
    CONV_FLUSH(tile + r * NR + 12, c##r##3)

static void conv_f32_neon(const float *a, size_t s, const ptrdiff_t *offset, int taps,
                          size_t depth, const float *b, int cols, float *tile) {
    bool begun = false;
    size_t terms = 0;
    (void)cols;
    ALL(DECLARE)
    for (int t = 0; t < taps; t++) {
        const float *p0 = a + offset[t];
        for (size_t n = depth; n > 0;) {
            /* The steps of a tap until it or the block ends. */
            size_t part = n < WILOR_CONV_BLOCK - terms ? n : WILOR_CONV_BLOCK - terms;
            const float *p1 = p0 + s, *p2 = p1 + s, *p3 = p2 + s, *p4 = p3 + s, *p5 = p4 + s;
            for (size_t i = 0; i < part; i++, b += NR) {
                VF b0 = v_load(b), b1 = v_load(b + 4), b2 = v_load(b + 8), b3 = v_load(b + 12);
                ALL(CONV_ROW)
            }
            n -= part;
            terms += part;
            p0 += part;
            if (terms == WILOR_CONV_BLOCK || (n == 0 && t == taps - 1)) {
                ALL(FLUSH)
                begun = true;
                terms = 0;
            }
        }
    }
}

void wilor_kernels_fill_neon(wilor_kernels *t) {
    fill_simd(t);
    t->isa = WILOR_ISA_NEON;
    t->expand_f32 = expand_f32;
    t->gemm_f32 = gemm_f32_neon;
    t->conv_f32 = conv_f32_neon;
}
