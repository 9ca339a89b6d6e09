/* The steps of a crop, apart for the tests. A crop is an affine warp of the picture (mirrored
 * in x for a left hand); `inv` is the 2 × 3 matrix from crop pixels to picture pixels. */
#ifndef WILOR_CROP_STEPS_H
#define WILOR_CROP_STEPS_H

#include "crop.h"
#include <stdbool.h>

/* A checked picture as the warps read it. */
typedef struct wilor_crop_source {
    const wilor_picture *picture;
    int pixel;      /* bytes of one */
    int channel[3]; /* byte of red, green, blue in a pixel */
    bool mirrored;  /* column x is column width − 1 − x of the picture */
} wilor_crop_source;

/* Errors of wilor_crop_run that do not depend on how the crop is made. */
wilor_status wilor_crop_check(const wilor_picture *picture, const wilor_crop_box *box,
                              wilor_error *err);
wilor_crop_source wilor_crop_source_of(const wilor_picture *picture, bool mirrored);

/* OpenCV's getAffineTransform of c -> (128, 128), b -> 256 pixels, to the last bit; centre as
 * mirrored. */
void wilor_crop_matrix(double cx, double cy, double size, double m[6]);
/* As warpAffine inverts it. */
void wilor_crop_invert(const double m[6], double inv[6]);

/* Where on one axis the crop's pixels fall: between picture pixels at and at + 1, part of the
 * way. at is in −2 … size; a coordinate that is further outside, or NaN, is −2. */
typedef struct wilor_crop_axis {
    int at[WILOR_CROP_SIDE];
    float part[WILOR_CROP_SIDE];
} wilor_crop_axis;

/* The part of a row's picture columns that depends on the row: rows with equal origins have
 * equal columns. */
double wilor_crop_origin(const double inv[6], wilor_warp grid, int y);
void wilor_crop_columns(const double inv[6], wilor_warp grid, double origin, int width,
                        wilor_crop_axis *out);
/* Picture row of crop pixel x, y. */
void wilor_crop_row(const double inv[6], wilor_warp grid, int x, int y, int height, int *at,
                    float *part);
/* Whether all pixels of crop row y have the same picture row: all but never not so. */
bool wilor_crop_row_is_level(const double inv[6], wilor_warp grid, int y);

/* warpAffine of 8-bit pixels. level_only = false computes every pixel by itself (the tests'
 * oracle). */
void wilor_crop_warp(const wilor_crop_source *s, const double inv[6], wilor_warp grid,
                     bool level, float *rgb);
/* Its rows first … end - 1 only: rgb is still the whole crop. */
void wilor_crop_warp_rows(const wilor_crop_source *s, const double inv[6], wilor_warp grid,
                          bool level, int first, int end, float *rgb);
/* Gaussian smoothing, then warpAffine of doubles. */
wilor_status wilor_crop_warp_smooth(const wilor_crop_source *s, const double inv[6],
                                    double sigma, float *rgb, wilor_error *err);

#endif
