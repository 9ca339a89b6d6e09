/* 8-bit YUV to RGB at the speed that live video needs: what swscale does in 4 ms a frame of 640 × 480
 * with its accurate sums takes less than 1 here. */
#ifndef WILOR_PICTURE_YUV_H
#define WILOR_PICTURE_YUV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wilor_yuv {
    const uint8_t *y, *u, *v; /* the first sample of each */
    ptrdiff_t y_row, c_row;   /* bytes from row to row */
    int y_step, c_step;       /* bytes from sample to sample */
    int width, height;        /* of the luma; chroma has half of it, rounded up, where halved */
    bool half_x, half_y;      /* chroma has half the columns, half the rows */
    bool
        left; /* chroma lies on the left pixel of two, as in MPEG-2 and H.264, else between them, as in
                  JPEG; between two rows always */
} wilor_yuv;

/* Sums of a matrix, 16.16 fixed point, for all 256 values. */
typedef struct wilor_yuv_tables {
    int32_t y[256], r_v[256], g_u[256], g_v[256], b_u[256];
} wilor_yuv_tables;

/* kr, kb: weights of red and blue in the luma: 0.299 and 0.114 for BT.601. full: 0 … 255 is black to
 * white, else 16 … 235. With BT.601 and full, JPEG's matrix as libjpeg rounds it. */
void wilor_yuv_tables_init(wilor_yuv_tables *t, double kr, double kb, bool full);

/* Bytes of scratch for a width. */
size_t wilor_yuv_scratch(int width);

/* All of it into rgb, 3 bytes a pixel. Chroma is interpolated by weights of 3/4 and 1/4 (1/2 and 1/2
 * across where `left`), rounded as libjpeg's "fancy upsampling" does. scratch: aligned to 2. */
void wilor_yuv_to_rgb(const wilor_yuv *p, const wilor_yuv_tables *t, uint8_t *rgb,
                      ptrdiff_t stride, void *scratch);

#endif
