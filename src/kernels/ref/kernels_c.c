/* Tier 0: plain C, for any machine, and the oracle of the others' tests. */
#include "kernels.h"

#include <math.h>
#include <string.h>

enum { MR = 4, NR = 16 };

static void gemm_f32_c(const float *a, const float *b, size_t k, float *tile,
                       const float *next) {
    float sum[MR][NR] = {{0}};
    (void)next;
    for (size_t i = 0; i < k; i++, a += MR, b += NR)
        for (int r = 0; r < MR; r++)
            for (int c = 0; c < NR; c++)
                sum[r][c] += a[r] * b[c];
    memcpy(tile, sum, sizeof sum);
}

static void conv_f32_c(const float *a, size_t step, const ptrdiff_t *offset, int taps,
                       size_t depth, const float *b, int cols, float *tile) {
    float sum[MR][NR] = {{0}}, all[MR][NR] = {{0}};
    size_t terms = 0, last = (size_t)taps * depth;
    (void)cols;
    for (int t = 0; t < taps; t++) {
        const float *p = a + offset[t];
        for (size_t i = 0; i < depth; i++, b += NR) {
            for (int r = 0; r < MR; r++)
                for (int c = 0; c < NR; c++)
                    sum[r][c] += p[(size_t)r * step + i] * b[c];
            if (++terms % WILOR_CONV_BLOCK && terms < last)
                continue;
            for (int r = 0; r < MR; r++)
                for (int c = 0; c < NR; c++) {
                    all[r][c] += sum[r][c];
                    sum[r][c] = 0;
                }
        }
    }
    memcpy(tile, all, sizeof all);
}

static void winograd_in_f32_c(const float *const row[4], size_t step, size_t depth, float *out,
                              size_t plane) {
    for (size_t c = 0; c < depth; c++) {
        float t[4][4];
        for (size_t j = 0; j < 4; j++) {
            const float d[4] = {row[0][j * step + c], row[1][j * step + c],
                                row[2][j * step + c], row[3][j * step + c]};
            t[0][j] = d[0] - d[2];
            t[1][j] = d[1] + d[2];
            t[2][j] = d[2] - d[1];
            t[3][j] = d[1] - d[3];
        }
        for (size_t i = 0; i < 4; i++) {
            out[(4 * i) * plane + c] = t[i][0] - t[i][2];
            out[(4 * i + 1) * plane + c] = t[i][1] + t[i][2];
            out[(4 * i + 2) * plane + c] = t[i][2] - t[i][1];
            out[(4 * i + 3) * plane + c] = t[i][1] - t[i][3];
        }
    }
}

static void winograd_out_f32_c(const float *m, float *out) {
    for (int r = 0; r < MR; r++)
        for (int c = 0; c < NR; c++) {
            float t[2][4];
            for (int j = 0; j < 4; j++) {
                const float *p = m + (j * MR + r) * NR + c;
                t[0][j] = p[0] + p[4 * MR * NR] + p[8 * MR * NR];
                t[1][j] = p[4 * MR * NR] - p[8 * MR * NR] - p[12 * MR * NR];
            }
            for (int i = 0; i < 2; i++) {
                float *to = out + ((i * MR + r) * 2) * NR + c;
                to[0] = t[i][0] + t[i][1] + t[i][2];
                to[NR] = t[i][1] - t[i][2] - t[i][3];
            }
        }
}

static void pack_f32_c(const float *src, size_t ld, int rows, int width, size_t k,
                       float *panel) {
    for (size_t i = 0; i < k; i++)
        for (int r = 0; r < width; r++)
            panel[i * (size_t)width + (size_t)r] = r < rows ? src[(size_t)r * ld + i] : 0.0f;
}

/* IEEE 754 half to single: shift the significand, mend the exponent by a multiplication that also
 * normalises subnormals; infinities and NaN keep theirs. */
static void expand_f16(const uint16_t *src, size_t count, float *panel) {
    for (size_t i = 0; i < count; i++) {
        uint32_t sign = (uint32_t)(src[i] & 0x8000) << 16, rest = (uint32_t)(src[i] & 0x7FFF)
                                                                  << 13;
        float value;
        memcpy(&value, &rest, sizeof value);
        value *= 0x1p112f;
        memcpy(&rest, &value, sizeof rest);
        if ((src[i] & 0x7C00) == 0x7C00)
            rest = 0x7F800000u | (uint32_t)(src[i] & 0x3FF) << 13;
        rest |= sign;
        memcpy(panel + i, &rest, sizeof rest);
    }
}

#include "expand_body.h"

static void layernorm_f32_c(const float *x, size_t ldx, int rows, size_t k, const float *gamma,
                            const float *beta, float eps, float *out, size_t ldo) {
    for (int r = 0; r < rows; r++, x += ldx, out += ldo) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < k; i++)
            sum += x[i];
        double mean = sum / (double)k;
        for (size_t i = 0; i < k; i++)
            squares += (x[i] - mean) * (x[i] - mean);
        float m = (float)mean, scale = (float)(1.0 / sqrt(squares / (double)k + eps));
        for (size_t i = 0; i < k; i++)
            out[i] = (x[i] - m) * scale * gamma[i] + beta[i];
    }
}

static void add_parts_f32_c(const float *parts, size_t apart, int count, size_t k,
                            const float *bias, float *x) {
    for (size_t i = 0; i < k; i++) {
        float sum = parts[i];
        for (int p = 1; p < count; p++)
            sum += parts[(size_t)p * apart + i];
        x[i] += sum + bias[i];
    }
}

static void store_bias_f32_c(const float *tile, int rows, int cols, const float *bias,
                             float *out, size_t ldo) {
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            out[(size_t)r * ldo + (size_t)c] = tile[r * NR + c] + bias[c];
}

static void add_bias_f32_c(const float *tile, int rows, int cols, const float *bias, float *out,
                           size_t ldo) {
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            out[(size_t)r * ldo + (size_t)c] += tile[r * NR + c] + bias[c];
}

static void affine_relu_f32_c(const float *tile, int rows, int cols, const float *scale,
                              const float *shift, float *out, size_t ldo) {
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
            float v = tile[r * NR + c] * scale[c] + shift[c];
            out[(size_t)r * ldo + (size_t)c] = v < 0.0f ? 0.0f : v; /* NaN stays */
        }
}

static void bias_silu_f32_c(const float *tile, int rows, int cols, const float *bias,
                            const float *added, size_t lda, float *out, size_t ldo) {
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
            float x = tile[r * NR + c] + bias[c], e = expf(-fabsf(x));
            float y = x * ((x < 0.0f ? e : 1.0f) / (1.0f + e));
            out[(size_t)r * ldo + (size_t)c] =
                added ? added[(size_t)r * lda + (size_t)c] + y : y;
        }
}

static void bias_gelu_f32_c(float *tile, int rows, const float *bias) {
    for (int i = 0; i < rows * NR; i++) {
        float x = tile[i] + bias[i % NR];
        tile[i] = 0.5f * x * (1.0f + erff(x * 0x1.6a09e6p-1f));
    }
}

static void softmax_f32_c(float *s, int keys, float scale, float *sums) {
    for (int c = 0; c < NR; c++) {
        float top = s[c], sum = 0;
        for (int i = 1; i < keys; i++)
            top = s[i * NR + c] > top ? s[i * NR + c] : top;
        for (int i = 0; i < keys; i++) {
            float e = expf(scale * (s[i * NR + c] - top));
            s[i * NR + c] = e;
            sum += e;
        }
        sums[c] = sum;
    }
}

static void divide_f32_c(float *tile, const float *divisor) {
    for (int i = 0; i < MR * NR; i++)
        tile[i] /= divisor[i % NR];
}

void wilor_kernels_fill_c(wilor_kernels *t) {
    *t = (wilor_kernels){.isa = WILOR_ISA_C,
                         .mr = MR,
                         .nr = NR,
                         .gemm_f32 = gemm_f32_c,
                         .conv_f32 = conv_f32_c,
                         .winograd_in_f32 = winograd_in_f32_c,
                         .winograd_out_f32 = winograd_out_f32_c,
                         .pack_f32 = pack_f32_c,
                         .expand_f32 = expand_f32,
                         .layernorm_f32 = layernorm_f32_c,
                         .add_parts_f32 = add_parts_f32_c,
                         .store_bias_f32 = store_bias_f32_c,
                         .add_bias_f32 = add_bias_f32_c,
                         .affine_relu_f32 = affine_relu_f32_c,
                         .bias_silu_f32 = bias_silu_f32_c,
                         .bias_gelu_f32 = bias_gelu_f32_c,
                         .bias_gelu_short_f32 = bias_gelu_f32_c,
                         .softmax_f32 = softmax_f32_c,
                         .divide_f32 = divide_f32_c};
}
