/* What picture_read.c and picture_write.c share with the three formats. Internal. */
#ifndef WILOR_PICTURE_CODEC_H
#define WILOR_PICTURE_CODEC_H

#include "out_file.h"
#include "status.h"
#include "wilor/wilor_io.h"
#include <stdint.h>

/* An encoded picture in memory. */
typedef struct wilor_encoded {
    const uint8_t *data;
    size_t size;
    const char *name; /* for messages */
    uint64_t max_pixels;
} wilor_encoded;

/* Width and height from a header, before anything of that size is allocated: ERR_FORMAT when
 * one is 0, ERR_LIMIT when the picture is larger than src->max_pixels or than this machine can
 * address. */
wilor_status wilor_picture_admit(const wilor_encoded *src, const char *format, uint64_t width,
                                 uint64_t height, wilor_error *err);
/* An image of that size; call wilor_picture_admit first. */
wilor_status wilor_picture_alloc(wilor_image *image, const wilor_encoded *src, int width,
                                 int height, wilor_error *err);

/* The formats. *image is zeroed before the call and stays so on error; *orientation is EXIF's,
 * 1 … 8, not applied. In a build without the library: ERR_UNSUPPORTED. */
wilor_status wilor_picture_jpeg_decode(wilor_image *image, int *orientation,
                                       const wilor_encoded *src, wilor_error *err);
wilor_status wilor_picture_png_decode(wilor_image *image, int *orientation,
                                      const wilor_encoded *src, wilor_error *err);
wilor_status wilor_picture_webp_decode(wilor_image *image, int *orientation,
                                       const wilor_encoded *src, wilor_error *err);

/* Append the encoded picture to file. name stands in messages. The picture has been checked. */
wilor_status wilor_picture_jpeg_encode(const wilor_picture *picture, int quality,
                                       wilor_out_file *file, const char *name,
                                       wilor_error *err);
wilor_status wilor_picture_png_encode(const wilor_picture *picture, wilor_out_file *file,
                                      const char *name, wilor_error *err);

/* ERR_ARG unless the view has pixels, a known format and a stride that holds a row. */
wilor_status wilor_picture_check(const wilor_picture *picture, wilor_error *err);
/* Row y of a checked picture as width × 3 bytes of RGB. */
void wilor_picture_row(const wilor_picture *picture, int y, uint8_t *rgb);

#endif
