/* Pictures from bytes; what can be decoded is encoded again, into nothing. */
#include "fuzz_input.h"

#include "picture_codec.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void encode(const wilor_image *image, int quality) {
    wilor_out_file nowhere = {.fd = open("/dev/null", O_WRONLY)};
    const wilor_picture picture = wilor_image_view(image);
    wilor_error err = {0};
    wilor_status st = wilor_picture_png_encode(&picture, &nowhere, "fuzz", &err);
    if (st == WILOR_OK)
        st = wilor_picture_jpeg_encode(&picture, quality, &nowhere, "fuzz", &err);
    if (st != WILOR_OK && !err.text[0])
        abort();
    if (nowhere.fd >= 0)
        close(nowhere.fd);
}

void wilor_fuzz_decode(const uint8_t *data, size_t size) {
    enum { MAX_PIXELS = 1 << 13 };

    wilor_image image = {0};
    wilor_error err;
    if (wilor_image_decode(&image, data, size, "fuzz", MAX_PIXELS, &err) != WILOR_OK) {
        if (image.data || !err.text[0])
            abort(); /* an error must say something and leave nothing */
        return;
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < (size_t)image.width * (size_t)image.height * 3; i++)
        sum += image.data[i];
    volatile uint32_t keep = sum; /* every pixel must have been written: MSan sees it here */
    (void)keep;
    encode(&image, 1 + (int)(sum % 100));
    wilor_image_free(&image);
}
