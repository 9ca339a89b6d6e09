/* Bytes of pixels, for those who copy pictures row by row. */
#ifndef WILOR_CLI_PICTURE_BYTES_H
#define WILOR_CLI_PICTURE_BYTES_H

#include "wilor/wilor.h"

/* Bytes a pixel, NV12: of its Y rows; 0: no such format. */
static inline size_t wilor_cli_pixel_bytes(wilor_pixel_format format) {
    switch (format) {
    case WILOR_RGB8:
    case WILOR_BGR8:
        return 3;
    case WILOR_RGBA8:
    case WILOR_BGRA8:
        return 4;
    case WILOR_GRAY8:
    case WILOR_NV12:
        return 1;
    }
    return 0;
}

#endif
