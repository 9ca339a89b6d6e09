/* EXIF orientation: the only thing in EXIF that changes pixels. */
#ifndef WILOR_EXIF_H
#define WILOR_EXIF_H

#include "status.h"
#include "wilor/wilor_io.h"
#include <stddef.h>
#include <stdint.h>

/* The orientation 1 … 8 in EXIF data (a TIFF header and directory, "Exif\0\0" before it or
 * not); 1, upright, when there is none or the data make no sense. */
int wilor_exif_orientation(const uint8_t *exif, size_t size);

/* Turn and mirror an image upright. 1 and unknown values change nothing. Orientations 5 … 8
 * swap width and height and need a second buffer for the call: ERR_NOMEM, and the image stays
 * as it was. */
wilor_status wilor_exif_apply(wilor_image *image, int orientation, const char *name,
                              wilor_error *err);

#endif
