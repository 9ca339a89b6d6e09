/* wilor_io: pictures in and out, and drawings, for those who have no picture library of their
 * own.
 *
 * Links libjpeg-turbo, libpng and libwebp, each optional at build time (wilor_io_formats says
 * which are there). The core library, wilor.h, needs none of this. Conventions of errors,
 * threads and ownership are those of wilor.h. */
#ifndef WILOR_IO_H
#define WILOR_IO_H

#include "wilor/wilor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "jpeg png webp": the formats this build reads, a constant text. */
WILOR_API const char *wilor_io_formats(void);

/* ---------------------------------------------------------------- pictures */

/* An owned 8-bit RGB picture, rows without padding. Zero it before use; free with
 * wilor_image_free. */
typedef struct wilor_image {
    uint8_t *data; /* height × width × 3 */
    int width, height;
} wilor_image;

/* The borrowed view of an image that wilor.h's functions take. */
WILOR_API wilor_picture wilor_image_view(const wilor_image *image);
WILOR_API void wilor_image_free(wilor_image *image); /* NULL, a zeroed or a freed one is fine */

/* Read a JPEG, PNG or WebP as OpenCV's imread does, in RGB: EXIF orientation applied, alpha
 * dropped, grey copied to three channels, 16-bit PNG by value >> 8. The format is told by
 * content.
 *   out         a new image, to be freed by the caller; zeroed on error
 *   max_pixels  limit on width × height before anything is decoded; 0: 256 × 10⁶
 *   errors      ERR_IO, ERR_FORMAT (not a picture, damaged, truncated), ERR_LIMIT, ERR_NOMEM,
 *               ERR_UNSUPPORTED (a format this build lacks) */
WILOR_API wilor_status wilor_image_read(wilor_image *out, const char *path, uint64_t max_pixels,
                                        wilor_error *err);
/* The same from memory; name stands in messages. */
WILOR_API wilor_status wilor_image_decode(wilor_image *out, const void *data, size_t size,
                                          const char *name, uint64_t max_pixels,
                                          wilor_error *err);

/* Write a picture as PNG (lossless) or JPEG (quality 1 … 100), by the path's ending. Written
 * beside its place and renamed, so that a reader never sees half of it. */
WILOR_API wilor_status wilor_image_write(const wilor_picture *picture, const char *path,
                                         int quality, wilor_error *err);

/* Write bytes to a file in the same way: a temporary name in the same folder, then a rename. */
WILOR_API wilor_status wilor_bytes_write(const void *data, size_t size, const char *path,
                                         wilor_error *err);

/* ---------------------------------------------------------------- overlay */

typedef struct wilor_overlay_options {
    size_t struct_size;
    int mesh;          /* 1: shaded mesh over the photo */
    int skeleton;      /* 1: a second picture to the right with the skeleton over the photo */
    int boxes;         /* 1: boxes, with side and number */
    float opacity;     /* of the mesh, 0 … 1; 0.85 */
    const char *label; /* NULL, or a line of ASCII text written along the lower edge */
} wilor_overlay_options;

WILOR_API void wilor_overlay_options_init(wilor_overlay_options *o, size_t size);

/* Draw the hands of a result over their picture. Anti-aliased, correct in depth where hands
 * cross; failed hands are left out.
 *   out      a new image, to be freed by the caller: the picture's size, twice its width with a
 *            skeleton; zeroed on error
 *   hands    of this picture, from wilor_predict_boxes
 *   o        NULL for the defaults
 *   errors   ERR_ARG, ERR_LIMIT, ERR_NOMEM
 *   cost     some 10 ms for 640 × 480 pixels and two hands */
WILOR_API wilor_status wilor_overlay_draw(wilor_image *out, const wilor_picture *picture,
                                          const wilor_model *model, const wilor_hands *hands,
                                          const wilor_overlay_options *o, wilor_error *err);

#ifdef __cplusplus
}
#endif
#endif
