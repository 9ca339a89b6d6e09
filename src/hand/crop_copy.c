/* A picture that already is a crop: no resampling, only its channels' order and, for a left
 * hand, its mirror image. */
#include "crop.h"
#include "nv12.h"

#include <stdbool.h>

/* Where red, green and blue lie in a pixel, and its bytes. */
typedef struct layout {
    int red, green, blue, bytes;
} layout;

static layout layout_of(wilor_pixel_format format) {
    switch (format) {
    case WILOR_RGB8:
        return (layout){0, 1, 2, 3};
    case WILOR_BGR8:
        return (layout){2, 1, 0, 3};
    case WILOR_RGBA8:
        return (layout){0, 1, 2, 4};
    case WILOR_BGRA8:
        return (layout){2, 1, 0, 4};
    case WILOR_GRAY8:
    case WILOR_NV12:
        break;
    }
    return (layout){0, 0, 0, 1};
}

wilor_status wilor_crop_copy(const wilor_picture *picture, wilor_side side, float *rgb,
                             wilor_error *err) {
    wilor_nv12 planes;
    uint8_t line[WILOR_CROP_SIDE * 3];
    bool converted = picture->format == WILOR_NV12;
    layout l = layout_of(converted ? WILOR_RGB8 : picture->format);
    if (converted && wilor_nv12_planes(&planes, picture, NULL, 0, err) != WILOR_OK)
        return WILOR_ERR_ARG;
    for (int y = 0; y < WILOR_CROP_SIDE; y++) {
        const uint8_t *row = converted ? line : picture->data + y * picture->stride;
        if (converted)
            wilor_nv12_row(&planes, y, line);
        for (int x = 0; x < WILOR_CROP_SIDE; x++, rgb += 3) {
            const uint8_t *p =
                row + (side == WILOR_LEFT ? WILOR_CROP_SIDE - 1 - x : x) * l.bytes;
            rgb[0] = p[l.red];
            rgb[1] = p[l.green];
            rgb[2] = p[l.blue];
        }
    }
    return WILOR_OK;
}
