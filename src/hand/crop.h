/* From a box in a picture to the 256 × 256 crop that the network sees, as OpenCV and
 * scikit-image compute it for WiLoR-mini. */
#ifndef WILOR_CROP_H
#define WILOR_CROP_H

#include "wilor/wilor.h"
#include <stdbool.h>
#include <stddef.h>

enum { WILOR_CROP_SIDE = 256, WILOR_CROP_BANDS = 8 };

/* The square in pixels of the picture, not mirrored. */
typedef struct wilor_crop_box {
    double cx, cy, size;
} wilor_crop_box;

/* Centre and size of a box x0 y0 x1 y1.
 *   errors   ERR_ARG: not finite, no area, rescale not positive; ERR_LIMIT: a coordinate or the
 *            crop beyond 10⁹ pixels, a crop smaller than 10⁻³ */
wilor_status wilor_crop_plan(const float box[4], double rescale, wilor_crop_box *out,
                             wilor_error *err);
/* The same from doubles: boxes that never were float. */
wilor_status wilor_crop_plan_f64(const double box[4], double rescale, wilor_crop_box *out,
                                 wilor_error *err);

/* Check a picture: pixels, positive size, known format, a stride of at least a row (either
 * sign; a negative one goes up from data, the top row). Extent must fit ptrdiff_t. ERR_ARG
 * otherwise. */
wilor_status wilor_crop_check_picture(const wilor_picture *picture, wilor_error *err);

/* The crop. A left hand comes out mirrored.
 *   rgb      256 × 256 × 3, RGB, 0 … 255: whole numbers unless the picture was smoothed (size
 *            over 563)
 *   memory   none unless smoothed; then some lines of what the crop sees, freed before it returns
 *   errors   ERR_ARG (picture), ERR_NOMEM (smoothing), ERR_INTERNAL (NV12: convert it first) */
wilor_status wilor_crop_run(const wilor_picture *picture, const wilor_crop_box *box,
                            wilor_side side, wilor_warp warp, float *rgb, wilor_error *err);

/* Crop pixels to pixels of the picture (of its mirror image for a left hand): what wilor_crop_run warps by.
 * False: this crop is smoothed first. The box has been checked. */
bool wilor_crop_affine(const wilor_picture *picture, const wilor_crop_box *box, wilor_side side,
                       double inverse[6]);

/* One of WILOR_CROP_BANDS parts of the same crop, each of other rows of rgb: threads may make them at once. A
 * smoothed crop is all in band 0. Arguments and errors as wilor_crop_run's, those of the picture from any
 * band. */
wilor_status wilor_crop_run_band(const wilor_picture *picture, const wilor_crop_box *box,
                                 wilor_side side, wilor_warp warp, int band, float *rgb,
                                 wilor_error *err);

/* The crop as wilor-mlx 0.3.1 makes it: bilinear at the output pixels' own centres, beyond the
 * border the nearest pixel, never smoothed, truncated to whole numbers; of a left hand the columns
 * are reversed afterwards. Errors as wilor_crop_run's, no memory. */
wilor_status wilor_crop_run_mlx(const wilor_picture *picture, const wilor_crop_box *box,
                                wilor_side side, float *rgb, wilor_error *err);

/* The crop of a checked 256 × 256 picture that already is one: a left hand's is mirrored.
 * ERR_ARG: NV12 planes that do not fit. */
wilor_status wilor_crop_copy(const wilor_picture *picture, wilor_side side, float *rgb,
                             wilor_error *err);

#endif
