/* The kernel table: all arithmetic that is worth writing per instruction set, chosen once.
 *
 * A GEMM here is C = A·B with A given as panels of `mr` rows, [k][mr], and B as panels of `nr`
 * columns, [k][nr]; one call makes one mr × nr tile over the whole of k, so that no partial sum
 * is ever stored (BLIS's micro-kernel with KC = K; docs/performance.md says why). Rows and
 * columns beyond the matrix are zero in the panels. A tile goes to a small row-major buffer,
 * tile[mr][nr], and one of the epilogues takes it from there.
 *
 * Kernels take any size >= 1, touch no byte outside what is said, and neither allocate nor
 * fail. Arrays named `panel` or `tile` are 64-byte aligned; others need not be. Every result
 * element is computed in an order that depends on the sizes alone, never on the number of
 * threads. */
#ifndef WILOR_KERNELS_H
#define WILOR_KERNELS_H

#include "wilor/wilor.h"
#include <stddef.h>
#include <stdint.h>

/* Which folder's kernels are in this object; a macOS build may be of both architectures at once. */
#if defined(WILOR_KERNELS_X86) && (defined(__x86_64__) || defined(_M_X64))
#define WILOR_X86
#elif defined(WILOR_KERNELS_ARM) && (defined(__aarch64__) || defined(_M_ARM64))
#define WILOR_ARM64
#endif

enum { WILOR_MAX_MR = 16, WILOR_MAX_NR = 32, WILOR_CONV_BLOCK = 128 };

/* How a panel of weights is stored: [k][nr] numbers of that type. */
typedef enum wilor_panel_type {
    WILOR_PANEL_F32,
    WILOR_PANEL_F16,
    WILOR_PANEL_BF16,
    WILOR_PANEL_I8, /* w = scale · q */
    WILOR_PANEL_U8, /* w = scale · q + bias */
    WILOR_PANEL_U4  /* the same; [k / 2][nr] bytes: low halves are even steps, k is even */
} wilor_panel_type;

/* Steps of a panel of U4, their scales and biases one row of nr for each `group` of them. */
typedef struct wilor_u4_steps {
    const uint8_t *q;               /* [steps / 2][nr] */
    const uint8_t *scales, *biases; /* [steps / group][nr] */
    wilor_panel_type scale_type;    /* F32 or F16 */
    size_t group;                   /* a multiple of 4; divides the number of steps */
} wilor_u4_steps;

typedef struct wilor_kernels {
    wilor_isa isa;
    int mr, nr;

    /* tile[mr][nr] = a panel · b panel. next: NULL, or bytes that will be needed soon, fetched
     * into the second-level cache at the rate of 64 bytes per 8 steps of k (k / 8 · 64 bytes in
     * all). */
    void (*gemm_f32)(const float *a, const float *b, size_t k, float *tile, const float *next);

    /* panel[k][width] from `rows` <= width rows of k numbers, ld apart; the rest becomes zero.
     * width is mr (A operands) or nr (B operands, also weights: a row of W is a column of B). */
    void (*pack_f32)(const float *src, size_t ld, int rows, int width, size_t k, float *panel);

    /* panel[k][nr] of float32 from k steps of a stored panel; scale and bias hold nr numbers for the
     * types that have them. scale · q is rounded, then the sum (as MLX's CPU code does). */
    void (*expand_f32)(wilor_panel_type type, const void *src, size_t k, const float *scale,
                       const float *bias, float *panel);

    /* out = (x - mean) / sqrt(variance + eps) · gamma + beta, row by row; out may be x. */
    void (*layernorm_f32)(const float *x, size_t ldx, int rows, size_t k, const float *gamma,
                          const float *beta, float eps, float *out, size_t ldo);

    /* x += the sum of `count` rows of k numbers, `apart` from each other, + bias. */
    void (*add_parts_f32)(const float *parts, size_t apart, int count, size_t k,
                          const float *bias, float *x);

    /* A tile of a convolution, channels last, nothing packed: row r of the tile is the output at a
     * pixel whose inputs begin at a + r · step; its `taps` pieces of `depth` numbers each lie at
     * offset[0] … offset[taps - 1] from there, and b is a panel of taps · depth steps. Reads the
     * pieces of all mr rows. Only the first `cols` <= nr columns of the tile are wanted. Sums are
     * made in blocks of WILOR_CONV_BLOCK products: one long sum would lose two more bits. */
    void (*conv_f32)(const float *a, size_t step, const ptrdiff_t *offset, int taps,
                     size_t depth, const float *b, int cols, float *tile);

    /* Winograd's F(2 × 2, 3 × 3): four outputs of a 3 × 3 convolution from 4 × 4 inputs by 16
     * products instead of 36 (Lavin and Gray 2016). The 16 numbers of each channel,
     *   Bᵀ d B, row[i] + j · step being pixel (i, j) of d, depth channels,
     * go to planes 0 … 15 of out, `plane` numbers apart. */
    void (*winograd_in_f32)(const float *const row[4], size_t step, size_t depth, float *out,
                            size_t plane);
    /* Aᵀ m A for mr tiles at once: m[16][mr][nr] to out[2][2 · mr][nr], rows of pixels. */
    void (*winograd_out_f32)(const float *m, float *out);

    /* Epilogues: rows × cols of the tile are meant; bias, scale and shift hold nr readable
     * numbers. */
    void (*store_bias_f32)(const float *tile, int rows, int cols, const float *bias, float *out,
                           size_t ldo);
    void (*add_bias_f32)(const float *tile, int rows, int cols, const float *bias, float *out,
                         size_t ldo); /* out += tile + bias */
    void (*affine_relu_f32)(const float *tile, int rows, int cols, const float *scale,
                            const float *shift, float *out, size_t ldo);
    /* out = silu(tile + bias), silu(x) = x / (1 + e^-x); plus added[r·lda + c] unless that is
     * NULL, which may be out. */
    void (*bias_silu_f32)(const float *tile, int rows, int cols, const float *bias,
                          const float *added, size_t lda, float *out, size_t ldo);
    /* tile = gelu(tile + bias), the first rows, all nr columns: x/2 · (1 + erf(x/√2)). */
    void (*bias_gelu_f32)(float *tile, int rows, const float *bias);
    /* The same to 2.6e-5, for results that are rounded to 16 or 8 bits: no division, half the work. */
    void (*bias_gelu_short_f32)(float *tile, int rows, const float *bias);

    /* s[keys][nr]: every column becomes exp(scale · (s - its maximum)); sums[nr] their sums. */
    void (*softmax_f32)(float *s, int keys, float scale, float *sums);
    /* tile[mr][nr]: every column divided by divisor[nr]. */
    void (*divide_f32)(float *tile, const float *divisor);
} wilor_kernels;

/* The table of a tier, or NULL when this build or this processor has not got it. AUTO:
 * wilor_isa_best. Constant for the life of the process. */
const wilor_kernels *wilor_kernels_get(wilor_isa isa);

/* The best table that is not above max_isa (AUTO: no limit) nor above wilor_isa_best. Never
 * NULL. */
const wilor_kernels *wilor_kernels_best(wilor_isa max_isa);

/* Per tier; defined in their own files. Each overwrites what it does better. */
void wilor_kernels_fill_c(wilor_kernels *t);
void wilor_kernels_fill_avx2(wilor_kernels *t);
void wilor_kernels_fill_avx512(wilor_kernels *t);
void wilor_kernels_fill_neon(wilor_kernels *t);

/* Constants of the approximations, shared by the tiers.
 * erf(x/√2) = x · P(x²)/Q(x²) for |x| <= 5.5, and ±1 beyond: relative error 4.7e-8 before
 * rounding. exp(r) = 1 + r + r² · E(r) for |r| <= ln 2 / 2: 3.1e-9. Both fitted for this
 * project (weighted least squares at Chebyshev points, Lawson's iteration):
 * scripts/fit_polynomials.py. */
#define WILOR_ERF_LIMIT 5.5f
#define WILOR_ERF_P0 0x1.988452p-1f
#define WILOR_ERF_P1 0x1.1da048p-4f
#define WILOR_ERF_P2 0x1.22e93cp-7f
#define WILOR_ERF_P3 0x1.4d2932p-12f
#define WILOR_ERF_P4 0x1.9f00cap-18f
#define WILOR_ERF_P5 -0x1.753e86p-25f
#define WILOR_ERF_P6 0x1.ec9696p-33f
#define WILOR_ERF_Q1 0x1.042922p-2f
#define WILOR_ERF_Q2 0x1.d27f3cp-6f
#define WILOR_ERF_Q3 0x1.cefa76p-10f
#define WILOR_ERF_Q4 0x1.e8c030p-15f

/* gelu(x) = x · (1/2 + g), g = x · S(2 · x²/4.4² - 1) with x² at most 4.4² and g within ±1/2: 2.5e-5 at most from
 * the true value, where it is largest. The same script. */
#define WILOR_GELU_LIMIT 0x1.35c290p4f  /* 4.4² */
#define WILOR_GELU_SCALE 0x1.a723f8p-4f /* 2 / 4.4² */
#define WILOR_GELU_S0 0x1.48821cp-3f
#define WILOR_GELU_S1 -0x1.41fefcp-4f
#define WILOR_GELU_S2 0x1.c49cbep-5f
#define WILOR_GELU_S3 -0x1.486938p-5f
#define WILOR_GELU_S4 0x1.b72090p-6f
#define WILOR_GELU_S5 -0x1.05c456p-6f
#define WILOR_GELU_S6 0x1.680c8cp-7f
#define WILOR_GELU_S7 -0x1.025954p-7f
#define WILOR_GELU_S8 0x1.68fee6p-9f

/* 2^r = 1 + r · B(r) for |r| <= 1/2, to 2.8e-6: for results that become bfloat16. The same script. */
#define WILOR_EXP2_B0 0x1.62e12cp-1f
#define WILOR_EXP2_B1 0x1.ec0378p-3f
#define WILOR_EXP2_B2 0x1.c9fc46p-5f
#define WILOR_EXP2_B3 0x1.3a02ccp-7f

#define WILOR_EXP_LOWEST -87.0f /* e^-87 is the last whole power of two above the denormals */
#define WILOR_LOG2_E 0x1.715476p0f
#define WILOR_LN2_HIGH 0x1.62e400p-1f
#define WILOR_LN2_LOW 0x1.7f7d1cp-20f
#define WILOR_EXP_E0 0x1.fffffcp-2f
#define WILOR_EXP_E1 0x1.555492p-3f
#define WILOR_EXP_E2 0x1.5558f2p-5f
#define WILOR_EXP_E3 0x1.123a20p-7f
#define WILOR_EXP_E4 0x1.6a23d2p-10f

#endif
