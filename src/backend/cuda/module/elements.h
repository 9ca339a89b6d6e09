/* Arithmetic of single elements, the same on the card and on the processor. Orders of operations are those
 * of src/model, src/hand and src/detect; the module is compiled without contraction of products and sums,
 * and fused operations are written out, as there. */
#ifndef WILOR_CUDA_ELEMENTS_H
#define WILOR_CUDA_ELEMENTS_H

#include "target.h"

#include <cmath>

namespace wilor_cuda {

/* vit.h's numbers. */
enum {
    LEAD = 18,
    GRID_ROWS = 16,
    GRID_COLS = 12,
    PATCHES = GRID_ROWS * GRID_COLS,
    TOKENS = LEAD + PATCHES,
    SIDE = 256,
    CROP_FLOATS = SIDE * SIDE * 3,
    PATCH = 16,
    PATCH_INPUTS = 3 * PATCH * PATCH,
    POSE_NUMBERS = 96,
    BETAS = 10,
    CAM = 3,
    JOINTS = 16,
    KEYPOINTS = 21,
    MANO_ROWS = 145,
    MAPS = 3,
    CORNER = 2, /* patches a side of the lean pass */
    LEAN_ROWS = LEAD + CORNER * CORNER
};

/* What a float16 part of a float32 number lacks is multiplied by this, so that it does not fall below the
 * least of its exponents. */
static const float SMALL_PART = 2048;

/* A float32 number is a float16 one and, 2^-11 times, another: 22 bits. */
WILOR_BOTH void split_number(float x, f16 *large, f16 *small) {
    *large = narrow<f16>(x);
    *small = narrow<f16>((x - widen(*large)) * SMALL_PART);
}

/* The number, or a sum of products, of which these are the parts. */
WILOR_BOTH float join_parts(float large, float small) {
    return fmaf(small, 1 / SMALL_PART, large);
}

/* Activations that products read are the blocks' numbers, or float32 ones in parts: a row's large parts, then its
 * small ones. */
struct parted {
    f16 part;
};

template <class A> struct activation {
    typedef A number;  /* what products give, and biases */
    typedef A operand; /* what matrix units multiply */

    enum { PARTS = 1 };
};

template <> struct activation<parted> {
    typedef float number;
    typedef f16 operand;

    enum { PARTS = 2 };
};

/* N neighbours from the i-th on of a row of `width` numbers. */
template <int N, class A> WILOR_BOTH void put(A *row, int, int i, const float *x) {
    numbers<A, N> y;
    for (int k = 0; k < N; k++)
        y.at[k] = narrow<A>(x[k]);
    store(row + i, y);
}

template <int N> WILOR_BOTH void put(parted *row, int width, int i, const float *x) {
    numbers<f16, N> large, small;
    for (int k = 0; k < N; k++)
        split_number(x[k], &large.at[k], &small.at[k]);
    store(&row[i].part, large);
    store(&row[width + i].part, small);
}

template <class A> WILOR_BOTH float take(const A *row, int, int i) { return widen(row[i]); }

WILOR_BOTH float take(const parted *row, int width, int i) {
    return join_parts(widen(row[i].part), widen(row[width + i].part));
}

/* Exact GELU (erf), as upstream. */
WILOR_BOTH float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

WILOR_BOTH float sigmoid(float x) {
    float e = expf(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

WILOR_BOTH float silu(float x) { return x * sigmoid(x); }

/* Number `i` (channel, row, column) of a patch of a crop: normalised; the padding of 2 is zero after
 * that; columns are counted from 32 of the crop. */
WILOR_BOTH float patch_number(const float *crop, int patch, int i) {
    const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    int c = i / (PATCH * PATCH);
    int y = patch / GRID_COLS * PATCH - 2 + i / PATCH % PATCH;
    int x = patch % GRID_COLS * PATCH - 2 + i % PATCH;
    if (y < 0 || y >= SIDE || x < 0 || x >= GRID_COLS * PATCH)
        return 0.0f;
    return (crop[(y * SIDE + 32 + x) * 3 + c] / 255.0f - mean[c]) / std[c];
}

/* Which of a hand's tokens row i of the last block is, with `cols` patch columns chosen: the leading
 * ones, then the patches of the corner row by row. cols = GRID_COLS: every one. */
WILOR_BOTH int chosen_token(int i, int cols) {
    return i < LEAD || cols == GRID_COLS
               ? i
               : LEAD + (i - LEAD) / cols * GRID_COLS + (i - LEAD) % cols;
}

/* ---------------------------------------------------------------- rotations */

WILOR_BOTH void normalise(float v[3]) {
    float n = sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    float by = n > 1e-12f || n != n ? n : 1e-12f;
    for (int i = 0; i < 3; i++)
        v[i] /= by;
}

/* rotation.c's wilor_rotation_from_6d. */
WILOR_BOTH void rotation_from_6d(const float *r, float *m) {
    float b1[3] = {r[0], r[1], r[2]}, b2[3];
    normalise(b1);
    float along = b1[0] * r[3] + b1[1] * r[4] + b1[2] * r[5];
    for (int i = 0; i < 3; i++)
        b2[i] = r[3 + i] - along * b1[i];
    normalise(b2);
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        m[3 * i] = b1[i];
        m[3 * i + 1] = b2[i];
        m[3 * i + 2] = b1[j] * b2[k] - b1[k] * b2[j];
    }
}

/* ---------------------------------------------------------------- RefineNet's projection */

#define WILOR_CUDA_FOCAL 5000.0f

/* Where a vertex falls on a map of height `side`. */
WILOR_BOTH void project(const float *p, const float *cam, float side, float xy[2]) {
    float focal = WILOR_CUDA_FOCAL / side;
    float tz = 2.0f * WILOR_CUDA_FOCAL / (side * cam[0] + 1e-9f);
    float z = p[2] + tz;
    xy[0] = focal * ((p[0] + cam[1]) / z);
    xy[1] = focal * ((p[1] + cam[2]) / z);
}

/* Patches a side that a coordinate on a map of height `side` needs; refine_run.c's
 * wilor_refine_corner. */
WILOR_BOTH int corner_needed(float c, int side) {
    float per_patch = (float)(side / GRID_ROWS);
    if (!(fabsf(c) <= per_patch * (GRID_ROWS - 1))) {
        if (!(c < 0.0f) || fabsf(c) == INFINITY)
            return GRID_ROWS;
        return CORNER;
    }
    int p = 1 + (int)ceilf((c > 0.0f ? c : 0.0f) / per_patch);
    return p > CORNER ? p : CORNER;
}

/* Bilinear sample of N channels, zeros outside; NaN and infinite coordinates give NaN. */
template <int N>
WILOR_BOTH numbers<float, N> sample(const float *map, int rows, int cols, int channels,
                                    int channel, const float xy[2]) {
    float x0 = floorf(xy[0]), y0 = floorf(xy[1]), weight[4];
    numbers<float, N> v[4], sum;
    for (int i = 0; i < 4; i++) {
        float x = x0 + (float)(i % 2), y = y0 + (float)(i / 2);
        weight[i] = (1.0f - fabsf(xy[0] - x)) * (1.0f - fabsf(xy[1] - y));
        v[i] = numbers<float, N>();
        if (x >= 0.0f && x < (float)cols && y >= 0.0f && y < (float)rows)
            v[i] = load<N>(map + ((int)y * cols + (int)x) * channels + channel);
    }
    for (int k = 0; k < N; k++)
        sum.at[k] = weight[0] * v[0].at[k] + weight[1] * v[1].at[k] + weight[2] * v[2].at[k] +
                    weight[3] * v[3].at[k];
    return sum;
}

/* ---------------------------------------------------------------- crops: crop_warp.c, pixel by pixel */

WILOR_BOTH void split_coordinate(double coordinate, int size, int *at, float *part) {
    double whole = floor(coordinate);
    if (whole >= -2 && whole < size) {
        *at = (int)whole;
        *part = (float)(coordinate - whole);
    } else {
        *at = -2;
        *part = 0;
    }
}

/* c[0]·x + (c[1]·y + c[2]) with OpenCV's roundings. */
WILOR_BOTH double crop_coordinate(const double c[3], int cv4, int x, int y) {
    if (cv4) {
        double origin = rint((c[1] * y + c[2]) * 1024) + 16;
        return floor((origin + rint(c[0] * x * 1024)) / 32) / 32;
    }
    float product = (float)y * (float)c[1];
    return fmaf((float)x, (float)c[0], product + (float)c[2]);
}

typedef struct frame_view {
    const uint8_t *data;
    int width, height, pixel, stride;
    int channel[3];
} frame_view;

WILOR_BOTH float frame_level(const frame_view *f, int mirrored, int x, int y, int channel) {
    if (x < 0 || x >= f->width || y < 0 || y >= f->height)
        return 0.0f;
    if (mirrored)
        x = f->width - 1 - x;
    return (float)f->data[(size_t)y * (size_t)f->stride + (size_t)(x * f->pixel) +
                          (size_t)f->channel[channel]];
}

WILOR_BOTH void crop_pixel(const frame_view *f, const double inverse[6], int mirrored, int cv4,
                           int x, int y, float out[3]) {
    int ax, ay;
    float a, b;
    split_coordinate(crop_coordinate(inverse, cv4, x, y), f->width, &ax, &a);
    split_coordinate(crop_coordinate(inverse + 3, cv4, x, y), f->height, &ay, &b);
    for (int i = 0; i < 3; i++) {
        float v0 = frame_level(f, mirrored, ax, ay, i),
              v1 = frame_level(f, mirrored, ax + 1, ay, i);
        float v2 = frame_level(f, mirrored, ax, ay + 1, i),
              v3 = frame_level(f, mirrored, ax + 1, ay + 1, i);
        float top = fmaf(a, v1 - v0, v0), bottom = fmaf(a, v3 - v2, v2);
        float v = fmaf(b, bottom - top, top);
        out[i] = cv4 ? floorf(v + 0.5f) : rintf(v);
    }
}

/* ---------------------------------------------------------------- letterbox.c, pixel by pixel */

enum { RESIZE_ONE = 2048, RESIZE_PADDING = 114 };

/* Two neighbours on an axis and their weights in 1/2048. */
typedef struct resize_tap {
    int first, second, weight[2];
} resize_tap;

/* An axis: so many pixels become so many, `scale` of the first to one of the others. */
typedef struct resize_axis {
    int from, to;
    double scale;
} resize_axis;

static inline resize_axis make_axis(int from, int to) {
    return {from, to, 1.0 / ((double)to / from)};
}

/* Unlike a column, a row outside keeps its weights. */
WILOR_BOTH resize_tap find_tap(const resize_axis *a, int i, bool column) {
    int last = a->from - 1;
    float at = (float)((i + 0.5) * a->scale - 0.5);
    int first = (int)at;
    first -= (float)first > at;
    float part = at - (float)first;
    if (column && (first < 0 || first >= last)) {
        first = first < 0 ? 0 : last;
        part = 0.0f;
    }
    if (first > last)
        first = last;
    int second = first + 1 > last ? last : first + 1;
    return {first < 0 ? 0 : first,
            second,
            {(int)rintf((1.0f - part) * RESIZE_ONE), (int)rintf(part * RESIZE_ONE)}};
}

/* Rows in 1/128, then the byte; what is cut off where is OpenCV's. */
WILOR_BOTH int resized_level(const frame_view *f, const resize_tap &column,
                             const resize_tap &row, int channel) {
    const uint8_t *left = f->data + (size_t)(column.first * f->pixel + f->channel[channel]);
    const uint8_t *right = f->data + (size_t)(column.second * f->pixel + f->channel[channel]);
    size_t top = (size_t)row.first * (size_t)f->stride;
    size_t bottom = (size_t)row.second * (size_t)f->stride;
    int upper = (left[top] * column.weight[0] + right[top] * column.weight[1]) >> 4;
    int lower = (left[bottom] * column.weight[0] + right[bottom] * column.weight[1]) >> 4;
    return (((row.weight[0] * upper) >> 16) + ((row.weight[1] * lower) >> 16) + 2) >> 2;
}

} // namespace wilor_cuda

#endif
