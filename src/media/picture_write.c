/* Writing pictures and bytes: PNG or JPEG by the path's ending, through out_file. */
#include "heap.h"
#include "picture_codec.h"

#include <string.h>

static int bytes_per_pixel(wilor_pixel_format format) {
    switch (format) {
    case WILOR_RGB8:
    case WILOR_BGR8:
        return 3;
    case WILOR_RGBA8:
    case WILOR_BGRA8:
        return 4;
    case WILOR_GRAY8:
        return 1;
    default:
        return 0;
    }
}

wilor_status wilor_picture_check(const wilor_picture *p, wilor_error *err) {
    if (!p || !p->data || p->width < 1 || p->height < 1)
        return wilor_error_set(err, WILOR_ERR_ARG, "a picture without pixels");
    int bytes = bytes_per_pixel(p->format);
    if (!bytes)
        return wilor_error_set(err, WILOR_ERR_ARG, "a picture of the unknown pixel format %d",
                               (int)p->format);
    if (p->stride / bytes < p->width)
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "a picture with a stride of %lld bytes for %d pixels of %d bytes",
            (long long)p->stride, p->width, bytes);
    return WILOR_OK;
}

void wilor_picture_row(const wilor_picture *p, int y, uint8_t *rgb) {
    const uint8_t *from = p->data + p->stride * y;
    int step = bytes_per_pixel(p->format);
    bool blue_first = p->format == WILOR_BGR8 || p->format == WILOR_BGRA8;
    int green = step == 1 ? 0 : 1;
    int red = blue_first ? 2 : 0;
    int blue = blue_first || step == 1 ? 0 : 2;
    if (p->format == WILOR_RGB8) {
        memcpy(rgb, from, (size_t)p->width * 3);
        return;
    }
    for (int x = 0; x < p->width; x++, from += step, rgb += 3) {
        rgb[0] = from[red];
        rgb[1] = from[green];
        rgb[2] = from[blue];
    }
}

/* In ASCII, whatever the locale. */
static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    if (n < m)
        return false;
    for (size_t i = 0; i < m; i++) {
        char c = path[n - m + i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c != ending[i])
            return false;
    }
    return true;
}

wilor_status wilor_image_write(const wilor_picture *picture, const char *path, int quality,
                               wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    wilor_out_file file = {.fd = -1};
    if (!path)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_image_write: path is NULL");
    bool png = ends_in(path, ".png");
    WILOR_TRY(wilor_picture_check(picture, err));
    if (!png && !ends_in(path, ".jpg") && !ends_in(path, ".jpeg"))
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED,
                   "%s: pictures are written as .png, .jpg or .jpeg, by the name's ending",
                   wilor_quote(&q, path));
    WILOR_TRY(wilor_out_file_open(&file, path, err));
    if (png)
        WILOR_TRY(wilor_picture_png_encode(picture, &file, path, err));
    else
        WILOR_TRY(wilor_picture_jpeg_encode(picture, quality, &file, path, err));
    WILOR_TRY(wilor_out_file_commit(&file, err));
    wilor_error_clear(err);
done:
    wilor_out_file_discard(&file);
    return st;
}

wilor_status wilor_image_encode(uint8_t **out, size_t *size, const wilor_picture *picture,
                                const char *format, int quality, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_out_file file;
    wilor_out_file_open_memory(&file);
    if (!out || !size || !format)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_image_encode: out, size or format is NULL");
    *out = NULL;
    *size = 0;
    WILOR_TRY(wilor_picture_check(picture, err));
    if (!strcmp(format, "png"))
        WILOR_TRY(wilor_picture_png_encode(picture, &file, "picture", err));
    else if (!strcmp(format, "jpeg"))
        WILOR_TRY(wilor_picture_jpeg_encode(picture, quality, &file, "picture", err));
    else
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED, "pictures are encoded as png or jpeg");
    *out = file.bytes;
    *size = file.used;
    file.bytes = NULL;
    wilor_error_clear(err);
done:
    wilor_heap_free(file.bytes);
    return st;
}

void wilor_bytes_free(void *data) { wilor_heap_free(data); }

wilor_status wilor_bytes_write(const void *data, size_t size, const char *path,
                               wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_out_file file = {.fd = -1};
    if (!path || (!data && size))
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_bytes_write: data or path is NULL");
    WILOR_TRY(wilor_out_file_open(&file, path, err));
    WILOR_TRY(wilor_out_file_write(&file, data, size, err));
    WILOR_TRY(wilor_out_file_commit(&file, err));
    wilor_error_clear(err);
done:
    wilor_out_file_discard(&file);
    return st;
}
