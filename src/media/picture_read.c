/* Reading pictures: the format told by its first bytes, limits from its header, then EXIF's
 * turn.
 *
 * The pixels are those of OpenCV's imread(IMREAD_COLOR), as RGB; WiLoR is fed by it. Names say
 * nothing about the format: many a .jpg from the web is a WebP. What OpenCV decodes with a
 * shrug, damaged and truncated files, is an error here. */
#include "exif.h"
#include "file_map.h"
#include "heap.h"
#include "picture_codec.h"

#include <limits.h>
#include <string.h>

typedef wilor_status decode_function(wilor_image *image, int *orientation,
                                     const wilor_encoded *src, wilor_error *err);

const char *wilor_io_formats(void) {
    static const char list[] = ""
#if defined(WILOR_HAVE_JPEG)
                               " jpeg"
#endif
#if defined(WILOR_HAVE_PNG)
                               " png"
#endif
#if defined(WILOR_HAVE_WEBP)
                               " webp"
#endif
        ;
    return list[0] ? list + 1 : list;
}

wilor_picture wilor_image_view(const wilor_image *image) {
    return (wilor_picture){image->data, image->width, image->height,
                           (ptrdiff_t)image->width * 3, WILOR_RGB8};
}

void wilor_image_free(wilor_image *image) {
    if (!image)
        return;
    wilor_heap_free(image->data);
    *image = (wilor_image){0};
}

wilor_status wilor_picture_admit(const wilor_encoded *src, const char *format, uint64_t width,
                                 uint64_t height, wilor_error *err) {
    wilor_quoted q;
    if (width == 0 || height == 0)
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: damaged %s: %llu x %llu pixels",
                               wilor_quote(&q, src->name), format, (unsigned long long)width,
                               (unsigned long long)height);
    if (width > INT_MAX || height > INT_MAX || width > src->max_pixels / height)
        return wilor_error_set(err, WILOR_ERR_LIMIT,
                               "%s: %llu x %llu pixels, the limit is %llu pixels",
                               wilor_quote(&q, src->name), (unsigned long long)width,
                               (unsigned long long)height, (unsigned long long)src->max_pixels);
    if (width > PTRDIFF_MAX / 3 / height)
        return wilor_error_set(
            err, WILOR_ERR_LIMIT, "%s: %llu x %llu pixels do not fit this machine's addresses",
            wilor_quote(&q, src->name), (unsigned long long)width, (unsigned long long)height);
    return WILOR_OK;
}

wilor_status wilor_picture_alloc(wilor_image *image, const wilor_encoded *src, int width,
                                 int height, wilor_error *err) {
    wilor_quoted q;
    image->data = wilor_heap_alloc((size_t)width * (size_t)height, 3);
    if (!image->data)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "%s: no memory for %d x %d pixels",
                               wilor_quote(&q, src->name), width, height);
    image->width = width;
    image->height = height;
    return WILOR_OK;
}

/* Formats that people try and that are not read here, so that the message can say what it is. */
static const char *foreign_format(const uint8_t *d, size_t n) {
    if (n >= 6 && (memcmp(d, "GIF87a", 6) == 0 || memcmp(d, "GIF89a", 6) == 0))
        return "a GIF";
    if (n >= 4 && (memcmp(d, "II*\0", 4) == 0 || memcmp(d, "MM\0*", 4) == 0))
        return "a TIFF";
    if (n >= 14 && memcmp(d, "BM", 2) == 0 && memcmp(d + 6, "\0\0\0\0", 4) == 0)
        return "a BMP";
    if (n >= 12 && memcmp(d + 4, "ftyp", 4) == 0)
        return memcmp(d + 8, "avi", 3) == 0                                    ? "an AVIF"
               : memcmp(d + 8, "hei", 3) == 0 || memcmp(d + 8, "mif1", 4) == 0 ? "a HEIC"
                                                                               : "a video";
    if (n >= 12 && memcmp(d, "\0\0\0\x0CJXL ", 8) == 0)
        return "a JPEG XL";
    if (n >= 12 && memcmp(d, "\0\0\0\x0CjP  ", 8) == 0)
        return "a JPEG 2000";
    return NULL;
}

static decode_function *decoder_of(const uint8_t *d, size_t n) {
    if (n >= 3 && memcmp(d, "\xFF\xD8\xFF", 3) == 0)
        return wilor_picture_jpeg_decode;
    if (n >= 8 && memcmp(d, "\x89PNG\r\n\x1A\n", 8) == 0)
        return wilor_picture_png_decode;
    if (n >= 12 && memcmp(d, "RIFF", 4) == 0 && memcmp(d + 8, "WEBP", 4) == 0)
        return wilor_picture_webp_decode;
    return NULL;
}

static wilor_status decode(wilor_image *out, const wilor_encoded *src, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    wilor_image image = {0};
    int orientation = 1;
    decode_function *decoder = src->size ? decoder_of(src->data, src->size) : NULL;
    if (src->size == 0)
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s is empty", wilor_quote(&q, src->name));
    if (!decoder) {
        const char *foreign = foreign_format(src->data, src->size);
        if (foreign)
            WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED, "%s is %s; this build reads: %s",
                       wilor_quote(&q, src->name), foreign, wilor_io_formats());
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s is not a JPEG, PNG or WebP picture",
                   wilor_quote(&q, src->name));
    }
    WILOR_TRY(decoder(&image, &orientation, src, err));
    WILOR_TRY(wilor_exif_apply(&image, orientation, src->name, err));
    *out = image;
    image = (wilor_image){0};
    wilor_error_clear(err);
done:
    wilor_image_free(&image);
    return st;
}

static uint64_t pixel_limit(uint64_t max_pixels) {
    return max_pixels ? max_pixels : UINT64_C(256000000);
}

wilor_status wilor_image_decode(wilor_image *out, const void *data, size_t size,
                                const char *name, uint64_t max_pixels, wilor_error *err) {
    if (!out || (!data && size))
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_image_decode: out or data is NULL");
    *out = (wilor_image){0};
    wilor_encoded src = {data, size, name ? name : "picture", pixel_limit(max_pixels)};
    return decode(out, &src, err);
}

/* What a picture of that many pixels may take in a file: 8 bytes a pixel (16 bits of red, green,
 * blue and alpha, not compressed) and 64 MB of all that is not pixels. */
static uint64_t file_limit(uint64_t pixels) {
    const uint64_t rest = UINT64_C(64) << 20;
    return pixels > (UINT64_MAX - rest) / 8 ? UINT64_MAX : 8 * pixels + rest;
}

/* Read whole, not mapped: a picture that someone cuts while it is decoded must not end the
 * process. */
wilor_status wilor_image_read(wilor_image *out, const char *path, uint64_t max_pixels,
                              wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_file_map file = {.fd = -1};
    if (!out || !path)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_image_read: out or path is NULL");
    *out = (wilor_image){0};
    const uint64_t pixels = pixel_limit(max_pixels);
    WILOR_TRY(wilor_file_map_load(&file, path, file_limit(pixels), err));
    wilor_encoded src = {file.data, file.size, path, pixels};
    WILOR_TRY(decode(out, &src, err));
done:
    wilor_file_map_close(&file);
    return st;
}
