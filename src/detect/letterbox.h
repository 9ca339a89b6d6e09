/* A picture as the detector's input, and points back: ultralytics' LetterBox and OpenCV's 8-bit
 * INTER_LINEAR, bit for bit; or wilor-mlx's square. docs/detector.md. */
#ifndef WILOR_LETTERBOX_H
#define WILOR_LETTERBOX_H

#include "status.h"
#include "wilor/wilor.h"
#include <stdbool.h>

typedef enum wilor_letterbox_rule {
    WILOR_LETTERBOX_RECT,   /* padded to multiples of 32: pictures of one size */
    WILOR_LETTERBOX_SQUARE, /* padded to imgsz × imgsz: pictures of several sizes */
    WILOR_LETTERBOX_MLX     /* wilor-mlx's float sampling to a square */
} wilor_letterbox_rule;

typedef struct wilor_letterbox {
    wilor_letterbox_rule rule;
    int picture_width, picture_height;
    int width, height;             /* of the network's input */
    int inner_width, inner_height; /* of the resized picture in it; MLX: all of it */
    int left, top;                 /* padding there */
    double gain; /* min(height / picture_height, width / picture_width), spec section 9 */
} wilor_letterbox;

/* imgsz is rounded up to a multiple of 32; 32 … 4096. ERR_ARG where 8.1.34 fails, too (a side
 * that rounds to zero). */
wilor_status wilor_letterbox_plan(wilor_letterbox *l, int width, int height, int imgsz,
                                  wilor_letterbox_rule rule, wilor_error *err);

/* Bytes of scratch that wilor_letterbox_rows wants, the same for any number of rows. */
size_t wilor_letterbox_scratch(const wilor_letterbox *l);

/* Rows first … first + rows - 1 of the input as RGB bytes, rows × width × 3. picture is not
 * NV12. Threads may do different rows at once, each with scratch of its own. */
void wilor_letterbox_rows(const wilor_letterbox *l, const wilor_picture *picture, int first,
                          int rows, void *scratch, uint8_t *out);

/* Bytes of a pixel of a picture that is not NV12, and which of them are red, green and blue. */
void wilor_letterbox_pixel(const wilor_picture *picture, int *bytes, int channel[3]);

/* A kept detection in the picture's pixels: box (x0 y0 x1 y1) and keypoints (21 × x, y,
 * visibility) come in network pixels and are changed in place; float32 as upstream. profile is
 * ignored by the MLX rule. */
void wilor_letterbox_back(const wilor_letterbox *l, wilor_detector_profile profile,
                          float box[4], float keypoints[63]);

#endif
