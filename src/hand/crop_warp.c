/* OpenCV's warpAffine of 8-bit pixels, bilinear, zeros outside, to the last bit.
 *
 * OpenCV 5 works in float32 with fused multiply-adds; OpenCV 4 on a grid of 1/32 pixel with
 * integer weights. Both are v0, v1 = left + a·(right − left) on two rows, then v0 + b·(v1 −
 * v0), rounded: on the grid every step is exact in float32, so that only the coordinates and
 * the last rounding differ (4 rounds halves up, 5 to even).
 *
 * A crop is not turned, so a crop row needs two picture rows, each interpolated along x once
 * and kept while the next crop row needs it. Without a fused instruction in the base build fmaf
 * is a call, hence: along x, a is a multiple of 2^-23 once the coordinate is 1 or more, so left
 * + a·(right − left) is a 31-bit integer over 2^23 and its conversion to float rounds once, as
 * fmaf does. Along y the plain sum is off by 2^-16 at most, which changes the rounded level
 * only next to a half: those pixels are done again with fmaf. */
#include "crop_steps.h"
#include "fused.h"

#include <math.h>
#include <string.h>

enum { SIDE = WILOR_CROP_SIDE, ROW = 3 * SIDE, NOTHING = -2, PART_BITS = 23 };

/* ---------------------------------------------------------------- coordinates */

static void split(double coordinate, int size, int *at, float *part) {
    double whole = floor(coordinate);
    if (whole >= NOTHING && whole < size) {
        *at = (int)whole;
        *part = (float)(coordinate - whole);
    } else { /* both neighbours outside; NaN too */
        *at = NOTHING;
        *part = 0;
    }
}

/* The two rows of inv as a coordinate's coefficients: c[0]·x + (c[1]·y + c[2]). The order of
 * roundings is OpenCV's: y's product and its sum apart, x's fused in version 5. */
static double origin_of(const double c[3], wilor_warp grid, int y) {
    if (grid == WILOR_WARP_CV4)
        return rint((c[1] * y + c[2]) * 1024) + 16;
    float product = (float)y * (float)c[1];
    return product + (float)c[2];
}

static double coordinate_of(const double c[3], wilor_warp grid, double origin, int x) {
    if (grid == WILOR_WARP_CV4)
        return floor((origin + rint(c[0] * x * 1024)) / 32) / 32;
    return wilor_fmaf((float)x, (float)c[0], (float)origin);
}

double wilor_crop_origin(const double inv[6], wilor_warp grid, int y) {
    return origin_of(inv, grid, y);
}

void wilor_crop_columns(const double inv[6], wilor_warp grid, double origin, int width,
                        wilor_crop_axis *out) {
    for (int x = 0; x < SIDE; x++)
        split(coordinate_of(inv, grid, origin, x), width, &out->at[x], &out->part[x]);
}

void wilor_crop_row(const double inv[6], wilor_warp grid, int x, int y, int height, int *at,
                    float *part) {
    const double *c = inv + 3;
    split(coordinate_of(c, grid, origin_of(c, grid, y), x), height, at, part);
}

bool wilor_crop_row_is_level(const double inv[6], wilor_warp grid, int y) {
    const double *c = inv + 3; /* coordinates are monotonic in x: the ends say it */
    double origin = origin_of(c, grid, y);
    return coordinate_of(c, grid, origin, 0) == coordinate_of(c, grid, origin, SIDE - 1);
}

/* ---------------------------------------------------------------- one pixel by itself */

static const uint8_t *pixel_at(const wilor_crop_source *s, int x, int y) {
    const wilor_picture *p = s->picture;
    if (x < 0 || x >= p->width || y < 0 || y >= p->height)
        return NULL;
    if (s->mirrored)
        x = p->width - 1 - x;
    return p->data + y * p->stride + (ptrdiff_t)x * s->pixel;
}

static float level_of(const uint8_t *pixel, int channel) {
    return pixel ? (float)pixel[channel] : 0.0f;
}

static float round_level(float v, wilor_warp grid) {
    return grid == WILOR_WARP_CV4 ? floorf(v + 0.5f) : rintf(v);
}

static void pixel_alone(const wilor_crop_source *s, wilor_warp grid, int x, float a, int y,
                        float b, float out[3]) {
    const uint8_t *p[4] = {pixel_at(s, x, y), pixel_at(s, x + 1, y), pixel_at(s, x, y + 1),
                           pixel_at(s, x + 1, y + 1)};
    for (int i = 0; i < 3; i++) {
        float v[4];
        for (int k = 0; k < 4; k++)
            v[k] = level_of(p[k], s->channel[i]);
        float v0 = wilor_fmaf(a, v[1] - v[0], v[0]), v1 = wilor_fmaf(a, v[3] - v[2], v[2]);
        out[i] = round_level(wilor_fmaf(b, v1 - v0, v0), grid);
    }
}

/* ---------------------------------------------------------------- rows */

/* Crop columns, ready to be read from any picture row. */
typedef struct columns {
    wilor_crop_axis axis;
    int32_t scaled[ROW];   /* part · 2^23, per value */
    ptrdiff_t left[SIDE];  /* byte of the left pixel in a row */
    ptrdiff_t right[SIDE]; /* of the right one */
    int first,
        end; /* crop columns first … end - 1 take the fast way, all others single steps */
} columns;

static bool is_fast(const wilor_crop_axis *axis, int x, int width) {
    return axis->at[x] >= 1 && axis->at[x] < width - 1;
}

static void prepare_columns(columns *c, const wilor_crop_source *s, const double inv[6],
                            wilor_warp grid, double origin) {
    const int width = s->picture->width;
    wilor_crop_columns(inv, grid, origin, width, &c->axis);
    c->first = 0;
    while (c->first < SIDE && !is_fast(&c->axis, c->first, width))
        c->first++;
    c->end = c->first;
    while (c->end < SIDE && is_fast(&c->axis, c->end, width)) {
        int x = c->end++, at = c->axis.at[x];
        c->left[x] = (ptrdiff_t)(s->mirrored ? width - 1 - at : at) * s->pixel;
        c->right[x] = c->left[x] + (s->mirrored ? -s->pixel : s->pixel);
        for (int i = 0; i < 3; i++)
            c->scaled[3 * x + i] = (int32_t)(c->axis.part[x] * (1 << PART_BITS));
    }
}

static void interpolate_slowly(const wilor_crop_source *s, const columns *c, int y, int from,
                               int to, float *line) {
    for (int x = from; x < to; x++) {
        const uint8_t *l = pixel_at(s, c->axis.at[x], y),
                      *r = pixel_at(s, c->axis.at[x] + 1, y);
        for (int i = 0; i < 3; i++) {
            float left = level_of(l, s->channel[i]), right = level_of(r, s->channel[i]);
            line[3 * x + i] = wilor_fmaf(c->axis.part[x], right - left, left);
        }
    }
}

/* Picture row y at the crop's columns: 256 × 3, zeros outside. */
static void interpolate_row(const wilor_crop_source *s, const columns *c, int y, float *line) {
    if (y < 0 || y >= s->picture->height) {
        memset(line, 0, ROW * sizeof *line);
        return;
    }
    interpolate_slowly(s, c, y, 0, c->first, line);
    interpolate_slowly(s, c, y, c->end, SIDE, line);
    const uint8_t *row = s->picture->data + y * s->picture->stride;
    const int r = s->channel[0], g = s->channel[1], b = s->channel[2];
    int32_t left[ROW], step[ROW];
    for (int x = c->first; x < c->end; x++) {
        const uint8_t *p = row + c->left[x], *q = row + c->right[x];
        left[3 * x] = p[r];
        left[3 * x + 1] = p[g];
        left[3 * x + 2] = p[b];
        step[3 * x] = q[r] - p[r];
        step[3 * x + 1] = q[g] - p[g];
        step[3 * x + 2] = q[b] - p[b];
    }
    const float unit = 1.0f / (1 << PART_BITS);
    for (int i = 3 * c->first; i < 3 * c->end; i++)
        line[i] = (float)(left[i] * (1 << PART_BITS) + c->scaled[i] * step[i]) * unit;
}

/* v0 + b·(v1 − v0) to whole levels, half to even. */
static void blend_to_even(const float *restrict v0, const float *restrict v1, float b,
                          float *restrict out) {
    const float whole = 12582912.0f; /* 1.5 · 2^23: adding it rounds to an integer */
    const float doubtful = 0.5f - 1.0f / 16384;
    int doubts = 0;
    for (int i = 0; i < ROW; i++) {
        float v = v0[i] + b * (v1[i] - v0[i]), level = (v + whole) - whole;
        out[i] = level;
        doubts += fabsf(v - level) > doubtful;
    }
    for (int i = 0; doubts > 0 && i < ROW; i++) {
        float v = v0[i] + b * (v1[i] - v0[i]);
        if (fabsf(v - out[i]) > doubtful) {
            out[i] = rintf(wilor_fmaf(b, v1[i] - v0[i], v0[i]));
            doubts--;
        }
    }
}

/* The same on the 1/32 grid, where the sum is exact: halves up. Values are below 2^8, so that
 * the shifted sum is positive and truncation is floor. */
static void blend_half_up(const float *restrict v0, const float *restrict v1, float b,
                          float *restrict out) {
    for (int i = 0; i < ROW; i++)
        out[i] = (float)(int)(v0[i] + b * (v1[i] - v0[i]) + 0.5f);
}

/* Two interpolated picture rows, by number. */
typedef struct row_pair {
    int row[2];
    float line[2][ROW];
} row_pair;

/* Line of picture row y; the other of the pair stays. */
static const float *row_line(row_pair *pair, const wilor_crop_source *s, const columns *c,
                             int y, int other) {
    for (int i = 0; i < 2; i++)
        if (pair->row[i] == y)
            return pair->line[i];
    int use = pair->row[0] == other ? 1 : 0;
    pair->row[use] = y;
    interpolate_row(s, c, y, pair->line[use]);
    return pair->line[use];
}

void wilor_crop_warp(const wilor_crop_source *s, const double inv[6], wilor_warp grid,
                     bool level, float *rgb) {
    wilor_crop_warp_rows(s, inv, grid, level, 0, SIDE, rgb);
}

void wilor_crop_warp_rows(const wilor_crop_source *s, const double inv[6], wilor_warp grid,
                          bool level, int first, int end, float *rgb) {
    enum { NO_ROW = -10 };

    columns c;
    row_pair pair = {.row = {NO_ROW, NO_ROW}};
    double origin = NAN; /* equal to none */
    for (int y = first; y < end; y++) {
        float *out = rgb + (size_t)y * ROW;
        double now = wilor_crop_origin(inv, grid, y);
        if (now != origin) {
            origin = now;
            prepare_columns(&c, s, inv, grid, origin);
            pair.row[0] = pair.row[1] = NO_ROW;
        }
        int at;
        float part;
        if (level && wilor_crop_row_is_level(inv, grid, y)) {
            wilor_crop_row(inv, grid, 0, y, s->picture->height, &at, &part);
            const float *v0 = row_line(&pair, s, &c, at, at + 1);
            const float *v1 = row_line(&pair, s, &c, at + 1, at);
            (grid == WILOR_WARP_CV4 ? blend_half_up : blend_to_even)(v0, v1, part, out);
            continue;
        }
        for (int x = 0; x < SIDE; x++) {
            wilor_crop_row(inv, grid, x, y, s->picture->height, &at, &part);
            pixel_alone(s, grid, c.axis.at[x], c.axis.part[x], at, part, out + 3 * x);
        }
    }
}
