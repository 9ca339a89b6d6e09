/* NV12, the format of most cameras and video decoders, to RGB. */
#ifndef WILOR_NV12_H
#define WILOR_NV12_H

#include "status.h"

/* Both planes. */
typedef struct wilor_nv12 {
    const uint8_t *luma, *chroma;
    ptrdiff_t luma_stride, chroma_stride;
    int width, height;
} wilor_nv12;

/* The planes of a picture whose Y plane was found sound. chroma NULL: the rows after the Y
 * rows; chroma_stride 0: as the Y rows. ERR_ARG. */
wilor_status wilor_nv12_planes(wilor_nv12 *out, const wilor_picture *picture,
                               const uint8_t *chroma, ptrdiff_t chroma_stride,
                               wilor_error *err);

/* Row y as width × 3 bytes of RGB. */
void wilor_nv12_row(const wilor_nv12 *planes, int y, uint8_t *rgb);

#endif
