/* EXIF orientation: a walk over the first directory of a TIFF header, and the eight turns.
 *
 * Source: CIPA DC-008 (Exif 2.32) 4.6.4; OpenCV's ExifReader, which we follow where files break
 * the rules: the first tag 0x0112 counts, its value is read as 16 bits whatever its type says,
 * values outside 1 … 8 mean upright. Easy to get wrong: 5 … 8 transpose first, then mirror. */
#include "exif.h"
#include "heap.h"

#include <stdbool.h>
#include <string.h>

typedef struct tiff {
    const uint8_t *data;
    size_t size;
    bool big;
} tiff;

static bool read_u16(const tiff *t, size_t at, uint32_t *out) {
    if (at > t->size || t->size - at < 2)
        return false;
    const uint8_t *b = t->data + at;
    *out = t->big ? (uint32_t)b[0] << 8 | b[1] : (uint32_t)b[1] << 8 | b[0];
    return true;
}

static bool read_u32(const tiff *t, size_t at, uint32_t *out) {
    uint32_t a, b;
    if (!read_u16(t, at, &a) || !read_u16(t, at + 2, &b))
        return false;
    *out = t->big ? a << 16 | b : b << 16 | a;
    return true;
}

int wilor_exif_orientation(const uint8_t *exif, size_t size) {
    enum { TAG_ORIENTATION = 0x0112, ENTRY = 12 };

    tiff t = {exif, size, false};
    uint32_t magic, directory, entries, tag, value;
    if (size >= 6 && memcmp(exif, "Exif\0\0", 6) == 0) {
        t.data += 6;
        t.size -= 6;
    }
    if (t.size < 8 || (memcmp(t.data, "II", 2) != 0 && memcmp(t.data, "MM", 2) != 0))
        return 1;
    t.big = t.data[0] == 'M';
    if (!read_u16(&t, 2, &magic) || magic != 42 || !read_u32(&t, 4, &directory) ||
        !read_u16(&t, directory, &entries))
        return 1;
    for (uint32_t i = 0; i < entries; i++) {
        size_t at = (size_t)directory + 2 + (size_t)i * ENTRY;
        if (!read_u16(&t, at, &tag) || !read_u16(&t, at + 8, &value))
            return 1;
        if (tag == TAG_ORIENTATION)
            return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

static void swap_pixels(uint8_t *a, uint8_t *b) {
    for (int c = 0; c < 3; c++) {
        uint8_t keep = a[c];
        a[c] = b[c];
        b[c] = keep;
    }
}

static void mirror_x(wilor_image *image) {
    size_t w = (size_t)image->width;
    for (int y = 0; y < image->height; y++) {
        uint8_t *row = image->data + (size_t)y * w * 3;
        for (size_t i = 0, j = w - 1; i < j; i++, j--)
            swap_pixels(row + 3 * i, row + 3 * j);
    }
}

static void mirror_y(wilor_image *image) {
    size_t w = (size_t)image->width, h = (size_t)image->height;
    for (size_t i = 0, j = h - 1; i < j; i++, j--)
        for (size_t x = 0; x < w; x++)
            swap_pixels(image->data + 3 * (i * w + x), image->data + 3 * (j * w + x));
}

/* In blocks: the columns of one image are the rows of the other, and whole cache lines of
 * either should be used while they are near. */
static void copy_transposed(uint8_t *to, const wilor_image *from) {
    enum { BLOCK = 16 };

    size_t w = (size_t)from->width, h = (size_t)from->height;
    for (size_t by = 0; by < h; by += BLOCK)
        for (size_t bx = 0; bx < w; bx += BLOCK)
            for (size_t y = by; y < h && y < by + BLOCK; y++)
                for (size_t x = bx; x < w && x < bx + BLOCK; x++)
                    memcpy(to + 3 * (x * h + y), from->data + 3 * (y * w + x), 3);
}

static wilor_status transpose(wilor_image *image, const char *name, wilor_error *err) {
    wilor_quoted q;
    wilor_image turned = {NULL, image->height, image->width};
    turned.data = wilor_heap_alloc((size_t)image->width * (size_t)image->height, 3);
    if (!turned.data)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "%s: no memory to turn %d x %d pixels",
                               wilor_quote(&q, name), image->width, image->height);
    copy_transposed(turned.data, image);
    wilor_heap_free(image->data);
    *image = turned;
    return WILOR_OK;
}

wilor_status wilor_exif_apply(wilor_image *image, int orientation, const char *name,
                              wilor_error *err) {
    if (orientation >= 5 && orientation <= 8) {
        wilor_status st = transpose(image, name, err);
        if (st != WILOR_OK)
            return st;
    }
    if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7)
        mirror_x(image);
    if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8)
        mirror_y(image);
    return WILOR_OK;
}
