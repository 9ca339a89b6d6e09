/* Crops: box to square, square to matrix, and which warp. The reference is WiLoR-mini's
 * generate_image_patch_cv2 with OpenCV's getAffineTransform and warpAffine and scikit-image's
 * gaussian. Easy to get wrong: the crop's centre is output pixel 128, not 127.5; the sources of
 * the matrix are rounded to float32; its solver is OpenCV's own elimination, whose last bits
 * decide ties of the 1/32-pixel grid; a picture that is "smoothed" with a radius of 0 still
 * takes the floating path. */
#include "crop.h"
#include "crop_steps.h"
#include "status.h"

#include <math.h>
#include <string.h>

static const double coordinate_limit = 1e9, size_limit = 1e9, least_size = 1e-3;
static const double smooth_above = 1.1; /* crop side / 512 */

wilor_status wilor_crop_plan_f64(const double box[4], double rescale, wilor_crop_box *out,
                                 wilor_error *err) {
    *out = (wilor_crop_box){0};
    for (int i = 0; i < 4; i++) {
        if (!isfinite(box[i]))
            return wilor_error_set(err, WILOR_ERR_ARG, "box: %s is %g",
                                   (const char *[]){"x0", "y0", "x1", "y1"}[i], box[i]);
        if (fabs(box[i]) > coordinate_limit)
            return wilor_error_set(err, WILOR_ERR_LIMIT, "box: coordinate %g, limit %g pixels",
                                   box[i], coordinate_limit);
    }
    double w = box[2] - box[0], h = box[3] - box[1];
    if (w <= 0 || h <= 0)
        return wilor_error_set(err, WILOR_ERR_ARG, "box %g %g %g %g has no area", box[0],
                               box[1], box[2], box[3]);
    if (!isfinite(rescale) || rescale <= 0)
        return wilor_error_set(err, WILOR_ERR_ARG, "rescale is %g, not a positive number",
                               rescale);
    double size = rescale * (w > h ? w : h);
    if (size < least_size || size > size_limit)
        return wilor_error_set(err, WILOR_ERR_LIMIT, "crop of %g pixels, limits %g and %g",
                               size, least_size, size_limit);
    *out = (wilor_crop_box){(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, size};
    return WILOR_OK;
}

wilor_status wilor_crop_plan(const float box[4], double rescale, wilor_crop_box *out,
                             wilor_error *err) {
    return wilor_crop_plan_f64((const double[4]){box[0], box[1], box[2], box[3]}, rescale, out,
                               err);
}

static int pixel_bytes(wilor_pixel_format format) {
    switch (format) {
    case WILOR_RGB8:
    case WILOR_BGR8:
        return 3;
    case WILOR_RGBA8:
    case WILOR_BGRA8:
        return 4;
    case WILOR_GRAY8:
    case WILOR_NV12: /* of the Y plane */
        return 1;
    }
    return 0;
}

wilor_status wilor_crop_check_picture(const wilor_picture *p, wilor_error *err) {
    if (!p || !p->data)
        return wilor_error_set(err, WILOR_ERR_ARG, "picture has no pixels");
    if (p->width < 1 || p->height < 1)
        return wilor_error_set(err, WILOR_ERR_ARG, "picture of %d x %d pixels", p->width,
                               p->height);
    int pixel = pixel_bytes(p->format);
    if (pixel == 0)
        return wilor_error_set(err, WILOR_ERR_ARG, "pixel format %d is not known",
                               (int)p->format);
    uint64_t row = (uint64_t)p->width * (uint64_t)pixel;
    uint64_t stride = p->stride < 0 ? 0 - (uint64_t)p->stride : (uint64_t)p->stride;
    if (stride < row || stride > PTRDIFF_MAX / (uint64_t)p->height)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "stride of %lld bytes for %d x %d pixels of %d bytes",
                               (long long)p->stride, p->width, p->height, pixel);
    return WILOR_OK;
}

wilor_crop_source wilor_crop_source_of(const wilor_picture *picture, bool mirrored) {
    wilor_crop_source s = {picture, pixel_bytes(picture->format), {0, 1, 2}, mirrored};
    if (picture->format == WILOR_BGR8 || picture->format == WILOR_BGRA8) {
        s.channel[0] = 2;
        s.channel[2] = 0;
    } else if (picture->format == WILOR_GRAY8) {
        s.channel[1] = s.channel[2] = 0;
    }
    return s;
}

enum { UNKNOWNS = 6, COLUMNS = UNKNOWNS + 1 };

static void swap_rows(double *a, double *b) {
    double keep[COLUMNS];
    memcpy(keep, a, sizeof keep);
    memcpy(a, b, sizeof keep);
    memcpy(b, keep, sizeof keep);
}

/* Gauss with partial pivoting in OpenCV's order of operations; a[i][6] becomes the solution.
 * False when a pivot is zero or not a number. */
static bool eliminate(double a[UNKNOWNS][COLUMNS]) {
    for (int i = 0; i < UNKNOWNS; i++) {
        int top = i;
        for (int j = i + 1; j < UNKNOWNS; j++)
            if (fabs(a[j][i]) > fabs(a[top][i]))
                top = j;
        if (!(fabs(a[top][i]) > 0))
            return false;
        if (top != i)
            swap_rows(a[top], a[i]);
        double by = -1 / a[i][i];
        for (int j = i + 1; j < UNKNOWNS; j++) {
            double alpha = a[j][i] * by;
            for (int k = i + 1; k < COLUMNS; k++)
                a[j][k] += alpha * a[i][k];
        }
    }
    for (int i = UNKNOWNS - 1; i >= 0; i--) {
        for (int k = i + 1; k < UNKNOWNS; k++)
            a[i][UNKNOWNS] -= a[i][k] * a[k][UNKNOWNS];
        a[i][UNKNOWNS] /= a[i][i];
    }
    return true;
}

/* x rounded to float32. Through memory, since GCC 12.2's vectoriser turns the conversions of
 * two neighbouring doubles to float and back into none. */
static double as_float32(double x) {
    volatile float rounded = (float)x;
    return rounded;
}

void wilor_crop_matrix(double cx, double cy, double size, double m[6]) {
    const double half = WILOR_CROP_SIDE / 2.0, all = WILOR_CROP_SIDE;
    const double from[3][2] = {{cx, cy}, {cx, cy + size / 2}, {cx + size / 2, cy}};
    const double to[3][2] = {{half, half}, {half, all}, {all, half}};
    double a[UNKNOWNS][COLUMNS] = {{0}};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            double *row = a[2 * i + k];
            row[3 * k] = as_float32(from[i][0]);
            row[3 * k + 1] = as_float32(from[i][1]);
            row[3 * k + 2] = 1;
            row[UNKNOWNS] = to[i][k];
        }
    bool solved = eliminate(a);
    for (int i = 0; i < UNKNOWNS; i++)
        m[i] = a[i][UNKNOWNS];
    if (solved && isfinite(m[0]) && isfinite(m[4]) && m[0] * m[4] - m[1] * m[3] != 0)
        return;
    /* The three points fell together in float32: a tiny box millions of pixels out. */
    const double scale = all / size;
    const double plain[6] = {scale, 0, half - scale * cx, 0, scale, half - scale * cy};
    memcpy(m, plain, sizeof plain);
}

void wilor_crop_invert(const double m[6], double inv[6]) {
    double d = 1 / (m[0] * m[4] - m[1] * m[3]);
    inv[0] = m[4] * d;
    inv[1] = -m[1] * d;
    inv[3] = -m[3] * d;
    inv[4] = m[0] * d;
    inv[2] = -inv[0] * m[2] - inv[1] * m[5];
    inv[5] = -inv[3] * m[2] - inv[4] * m[5];
}

wilor_status wilor_crop_check(const wilor_picture *picture, const wilor_crop_box *box,
                              wilor_error *err) {
    wilor_status st = WILOR_OK;
    WILOR_TRY(wilor_crop_check_picture(picture, err));
    if (picture->format == WILOR_NV12)
        WILOR_FAIL(err, WILOR_ERR_INTERNAL,
                   "an NV12 picture must be converted before it is cut");
    if (!(fabs(box->cx) <= coordinate_limit) || !(fabs(box->cy) <= coordinate_limit) ||
        !(box->size > 0) || box->size > size_limit)
        WILOR_FAIL(err, WILOR_ERR_ARG, "crop of %g pixels around %g %g", box->size, box->cx,
                   box->cy);
done:
    return st;
}

bool wilor_crop_affine(const wilor_picture *picture, const wilor_crop_box *box, wilor_side side,
                       double inverse[6]) {
    double m[6];
    wilor_crop_matrix(side == WILOR_LEFT ? picture->width - box->cx - 1 : box->cx, box->cy,
                      box->size, m);
    wilor_crop_invert(m, inverse);
    return !(box->size / WILOR_CROP_SIDE / 2 > smooth_above);
}

/* Rows of bands first … end - 1. */
static wilor_status run_bands(const wilor_picture *picture, const wilor_crop_box *box,
                              wilor_side side, wilor_warp warp, int first, int end, float *rgb,
                              wilor_error *err) {
    enum { ROWS = WILOR_CROP_SIDE / WILOR_CROP_BANDS };

    wilor_status st = WILOR_OK;
    WILOR_TRY(wilor_crop_check(picture, box, err));
    wilor_crop_source s = wilor_crop_source_of(picture, side == WILOR_LEFT);
    double inv[6], down = box->size / WILOR_CROP_SIDE / 2;
    if (wilor_crop_affine(picture, box, side, inv))
        wilor_crop_warp_rows(&s, inv, warp, true, first * ROWS, end * ROWS, rgb);
    else if (first == 0)
        WILOR_TRY(wilor_crop_warp_smooth(&s, inv, (down - 1) / 2, rgb, err));
done:
    return st;
}

wilor_status wilor_crop_run(const wilor_picture *picture, const wilor_crop_box *box,
                            wilor_side side, wilor_warp warp, float *rgb, wilor_error *err) {
    return run_bands(picture, box, side, warp, 0, WILOR_CROP_BANDS, rgb, err);
}

wilor_status wilor_crop_run_band(const wilor_picture *picture, const wilor_crop_box *box,
                                 wilor_side side, wilor_warp warp, int band, float *rgb,
                                 wilor_error *err) {
    return run_bands(picture, box, side, warp, band, band + 1, rgb, err);
}
