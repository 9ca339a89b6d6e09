/* wilor-mlx 0.3.1's crop: _crop_and_resize_mlx of its pipeline. Single float32 operations in its
 * order, since the result is truncated: a flat area of level 114 is 113 wherever the four products
 * add up to a little less. Easy to get wrong: centre and size are float32 before anything is done
 * with them; the right and lower bound is W - 1 - 1e-6 rounded to float32, W - 1 for nearly every
 * picture; the left hand's crop is cut like a right one's and then reversed. */
#include "crop.h"
#include "crop_steps.h"
#include "status.h"

/* Where on one axis the crop's pixels fall. */
typedef struct axis {
    int low[WILOR_CROP_SIDE], high[WILOR_CROP_SIDE]; /* picture pixels */
    float part[WILOR_CROP_SIDE];                     /* of the way from low to high */
} axis;

static void find_axis(double centre, double size, int count, axis *out) {
    /* Exact in double, then float32: as float32 arithmetic gives it. */
    float all = (float)size, start = (float)((double)(float)centre - (double)all / 2);
    float bound = (float)(count - 1 - 1e-6);
    for (int i = 0; i < WILOR_CROP_SIDE; i++) {
        float at = start + ((float)i + 0.5f) / (float)WILOR_CROP_SIDE * all;
        at = at > 0.0f ? at : 0.0f;
        at = at < bound ? at : bound; /* one pixel: -1e-6 */
        int low = (int)at;
        low = low < count - 1 ? low : count - 1; /* bound is rounded; it matters from 2^24 on */
        out->low[i] = low;
        out->high[i] = low + 1 < count ? low + 1 : count - 1;
        out->part[i] = at - (float)low;
    }
}

wilor_status wilor_crop_run_mlx(const wilor_picture *picture, const wilor_crop_box *box,
                                wilor_side side, float *rgb, wilor_error *err) {
    wilor_status st = WILOR_OK;
    axis x, y;
    WILOR_TRY(wilor_crop_check(picture, box, err));
    wilor_crop_source s = wilor_crop_source_of(picture, false);
    find_axis(box->cx, box->size, picture->width, &x);
    find_axis(box->cy, box->size, picture->height, &y);
    for (int i = 0; i < WILOR_CROP_SIDE; i++) {
        const uint8_t *top = picture->data + y.low[i] * picture->stride;
        const uint8_t *bottom = picture->data + y.high[i] * picture->stride;
        float fy = y.part[i];
        for (int j = 0; j < WILOR_CROP_SIDE; j++, rgb += 3) {
            int k = side == WILOR_LEFT ? WILOR_CROP_SIDE - 1 - j : j;
            ptrdiff_t left = (ptrdiff_t)x.low[k] * s.pixel,
                      right = (ptrdiff_t)x.high[k] * s.pixel;
            float fx = x.part[k];
            for (int c = 0; c < 3; c++) {
                int b = s.channel[c];
                float v = (float)top[left + b] * (1 - fx) * (1 - fy) +
                          (float)top[right + b] * fx * (1 - fy) +
                          (float)bottom[left + b] * (1 - fx) * fy +
                          (float)bottom[right + b] * fx * fy;
                rgb[c] = (float)(int)v;
            }
        }
    }
done:
    return st;
}
