/* Tier neon: AArch64's base vectors. Tile 6 × 16: 24 accumulators, four vectors of B, A by
 * lanes. */
#include "kernels.h"

#include <arm_neon.h>
#include <math.h>
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

/* Row r takes lane l of vector x. */
#define ROW(r, x, l)                                                                           \
    for (int j = 0; j < 4; j++)                                                                \
        c[r][j] = vfmaq_laneq_f32(c[r][j], bv[j], x, l);

static void gemm_f32_neon(const float *a, const float *b, size_t k, float *tile,
                          const float *next) {
    VF c[MR][4];
    for (int r = 0; r < MR; r++)
        for (int j = 0; j < 4; j++)
            c[r][j] = v_zero();
    const char *fetch = (const char *)(next ? next : b);
    for (size_t i = 0; i < k; i++, a += MR, b += NR) {
        if (i % 8 == 7) {
            __builtin_prefetch(fetch, 0, 2);
            fetch += 64;
        }
        VF bv[4] = {v_load(b), v_load(b + 4), v_load(b + 8), v_load(b + 12)};
        VF x = v_load(a), y = vcombine_f32(vld1_f32(a + 4), vdup_n_f32(0.0f));
        ROW(0, x, 0)
        ROW(1, x, 1)
        ROW(2, x, 2)
        ROW(3, x, 3)
        ROW(4, y, 0)
        ROW(5, y, 1)
    }
    for (int r = 0; r < MR; r++)
        for (int j = 0; j < 4; j++)
            v_store(tile + r * NR + j * VL, c[r][j]);
}

static void conv_f32_neon(const float *a, size_t step, const ptrdiff_t *offset, int taps,
                          size_t depth, const float *b, int cols, float *tile) {
    VF c[MR][4];
    size_t terms = 0, last = (size_t)taps * depth;
    (void)cols;
    for (int r = 0; r < MR; r++)
        for (int j = 0; j < 4; j++)
            c[r][j] = v_zero();
    for (int t = 0; t < taps; t++) {
        const float *p = a + offset[t];
        for (size_t i = 0; i < depth; i++, p++, b += NR) {
            VF bv[4] = {v_load(b), v_load(b + 4), v_load(b + 8), v_load(b + 12)};
            for (int r = 0; r < MR; r++) {
                VF x = vld1q_dup_f32(p + (size_t)r * step);
                for (int j = 0; j < 4; j++)
                    c[r][j] = vfmaq_f32(c[r][j], x, bv[j]);
            }
            if (++terms % WILOR_CONV_BLOCK && terms < last)
                continue;
            for (int r = 0; r < MR; r++)
                for (int j = 0; j < 4; j++) {
                    float *to = tile + r * NR + j * VL;
                    v_store(to,
                            terms > WILOR_CONV_BLOCK ? v_add(v_load(to), c[r][j]) : c[r][j]);
                    c[r][j] = v_zero();
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
