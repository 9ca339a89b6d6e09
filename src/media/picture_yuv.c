/* YUV to RGB in two steps a row: both chroma samples of every pixel, then table sums.
 *
 * Chroma first down, 3 times the near row plus the far one, then across. Beyond an edge lies the edge,
 * which makes libjpeg's special cases for first and last columns the same formula as the others. */
#include "picture_yuv.h"

#include <math.h>

enum { SHIFT = 16 };

/* Rounded to five decimals, as libjpeg's source has its constants: 1.40200, 0.34414, 0.71414, 1.77200. */
static double decimals(double x) { return floor(x * 1e5 + 0.5) / 1e5; }

static int32_t fixed(double x) { return (int32_t)floor(x * (1 << SHIFT) + 0.5); }

void wilor_yuv_tables_init(wilor_yuv_tables *t, double kr, double kb, bool full) {
    const double kg = 1 - kr - kb;
    const double luma = full ? 1 : 255.0 / 219, chroma = full ? 1 : 255.0 / 224;
    const int black = full ? 0 : 16, half = 1 << (SHIFT - 1);
    const int32_t r_v = fixed(decimals(2 * (1 - kr)) * chroma);
    const int32_t b_u = fixed(decimals(2 * (1 - kb)) * chroma);
    const int32_t g_u = fixed(decimals(2 * (1 - kb) * kb / kg) * chroma);
    const int32_t g_v = fixed(decimals(2 * (1 - kr) * kr / kg) * chroma);
    for (int i = 0; i < 256; i++) {
        t->y[i] = fixed((i - black) * luma) + half;
        t->r_v[i] = r_v * (i - 128);
        t->b_u[i] = b_u * (i - 128);
        t->g_u[i] = -g_u * (i - 128);
        t->g_v[i] = -g_v * (i - 128);
    }
}

/* Two rows of chroma for every pixel, and sums with a sample to spare at either end. */
typedef struct rows {
    uint16_t *sums;
    uint8_t *u, *v;
} rows;

static size_t even(size_t n) { return (n + 1) & ~(size_t)1; }

size_t wilor_yuv_scratch(int width) {
    const size_t w = (size_t)width;
    return (w + 3) * sizeof(uint16_t) + 2 * even(w + 1);
}

static rows cut(void *scratch, int width) {
    const size_t w = (size_t)width;
    uint8_t *bytes = (uint8_t *)scratch + (w + 3) * sizeof(uint16_t);
    return (rows){scratch, bytes, bytes + even(w + 1)};
}

/* sums[1 …] of row y: the sample itself, or 3 times the near row's plus the far one's. */
static void add_rows(const wilor_yuv *p, const uint8_t *c, int y, uint16_t *sums, int n) {
    const int last = (p->height + 1) / 2 - 1;
    const int near = p->half_y ? y / 2 : y;
    const int beyond = near + (y % 2 ? 1 : -1);
    const int far = beyond < 0 ? 0 : beyond > last ? last : beyond;
    const uint8_t *a = c + near * p->c_row, *b = c + far * p->c_row;
    const int step = p->c_step;
    if (!p->half_y)
        for (int i = 0; i < n; i++)
            sums[i + 1] = a[i * step];
    else if (step == 1)
        for (int i = 0; i < n; i++)
            sums[i + 1] = (uint16_t)(3 * a[i] + b[i]);
    else
        for (int i = 0; i < n; i++)
            sums[i + 1] = (uint16_t)(3 * a[i * step] + b[i * step]);
    sums[0] = sums[1];
    sums[n + 1] = sums[n];
}

/* Between pixels: 3/4 of the near and 1/4 of the far column. bits: of the sums' own scale. */
static void spread_middle(const uint16_t *s, uint8_t *to, int n, int bits) {
    const int even_bias = bits ? 8 : 1, odd_bias = bits ? 7 : 2;
    for (int i = 1; i <= n; i++, to += 2) {
        to[0] = (uint8_t)((3 * s[i] + s[i - 1] + even_bias) >> (bits + 2));
        to[1] = (uint8_t)((3 * s[i] + s[i + 1] + odd_bias) >> (bits + 2));
    }
}

/* On the left pixel: itself, then the mean with the next. */
static void spread_left(const uint16_t *s, uint8_t *to, int n, int bits) {
    for (int i = 1; i <= n; i++, to += 2) {
        to[0] = (uint8_t)((s[i] + (bits ? 2 : 0)) >> bits);
        to[1] = (uint8_t)((s[i] + s[i + 1] + (bits ? 4 : 1)) >> (bits + 1));
    }
}

static void chroma_row(const wilor_yuv *p, const uint8_t *c, int y, uint16_t *sums,
                       uint8_t *to) {
    const int n = p->half_x ? (p->width + 1) / 2 : p->width;
    const int bits = p->half_y ? 2 : 0;
    add_rows(p, c, y, sums, n);
    if (!p->half_x)
        for (int i = 0; i < n; i++)
            to[i] = (uint8_t)((sums[i + 1] + (bits ? 1 + y % 2 : 0)) >> bits);
    else if (p->left)
        spread_left(sums, to, n, bits);
    else
        spread_middle(sums, to, n, bits);
}

/* Limits before the shift, and as values, not as branches: half the time. */
static uint8_t clamp(int32_t x) {
    const int32_t most = (256 << SHIFT) - 1;
    x = x < 0 ? 0 : x;
    x = x > most ? most : x;
    return (uint8_t)(x >> SHIFT);
}

void wilor_yuv_to_rgb(const wilor_yuv *p, const wilor_yuv_tables *t, uint8_t *rgb,
                      ptrdiff_t stride, void *scratch) {
    const rows r = cut(scratch, p->width);
    for (int y = 0; y < p->height; y++) {
        const uint8_t *luma = p->y + y * p->y_row;
        uint8_t *to = rgb + y * stride;
        chroma_row(p, p->u, y, r.sums, r.u);
        chroma_row(p, p->v, y, r.sums, r.v);
        for (int x = 0; x < p->width; x++, luma += p->y_step, to += 3) {
            const int32_t l = t->y[*luma];
            const int u = r.u[x], v = r.v[x];
            to[0] = clamp(l + t->r_v[v]);
            to[1] = clamp(l + t->g_u[u] + t->g_v[v]);
            to[2] = clamp(l + t->b_u[u]);
        }
    }
}
