/* Decoded frames as RGB, turned upright. */
#ifndef WILOR_VIDEO_CONVERT_H
#define WILOR_VIDEO_CONVERT_H

#include "picture_yuv.h"
#include "status.h"
#include "wilor/wilor_io.h"
#include <libavutil/frame.h>
#include <libswscale/swscale.h>

/* Zero it before use. */
typedef struct wilor_video_convert {
    struct SwsContext *sws;
    /* What sws was made for. */
    int width, height, format, space, range, location;
    wilor_yuv_tables tables;
    bool tables_made;
    int table_space, table_full;
    uint8_t *rgb, *turned, *scratch;
    size_t rgb_room, turned_room, scratch_room;
} wilor_video_convert;

/* EXIF's orientation 1 … 8 of a display matrix of 9 numbers (libavutil/display.h); multiples of 90
 * degrees, with or without a mirror; NULL: 1. */
int wilor_video_orientation(const int32_t *matrix);

/* *out is valid until the next call. No memory is taken while size and format stay.
 *   orientation  1 … 8, to be applied
 *   errors       ERR_NOMEM; ERR_UNSUPPORTED: pixels that swscale does not read */
wilor_status wilor_video_convert_run(wilor_video_convert *c, const AVFrame *frame,
                                     int orientation, wilor_picture *out, wilor_error *err);
void wilor_video_convert_fini(wilor_video_convert *c);

/* The part of an AVFrame's colours that swscale needs. yuvj formats become the plain ones with a
 * full range. */
int wilor_video_plain_format(int format, int *full);

#endif
