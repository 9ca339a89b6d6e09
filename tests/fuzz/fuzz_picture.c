/* Any bytes through wilor_image_decode. A PNG has its checksums put right in a copy first: no
 * fuzzer guesses them, and what lies behind them would never be reached. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wilor/wilor_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t crc32_of(const uint8_t *data, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static void repair_checksums(uint8_t *png, size_t size) {
    size_t at = 8;
    while (size - at >= 12) {
        size_t length = (size_t)png[at] << 24 | (size_t)png[at + 1] << 16 |
                        (size_t)png[at + 2] << 8 | png[at + 3];
        if (length > size - at - 12)
            return;
        uint32_t crc = crc32_of(png + at + 4, length + 4);
        for (int i = 0; i < 4; i++)
            png[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += length + 12;
    }
}

static void decode(const uint8_t *data, size_t size) {
    enum { MAX_PIXELS = 1 << 16 };

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
    wilor_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    decode(data, size);
    if (size > 8 && memcmp(data, "\x89PNG", 4) == 0) {
        uint8_t *copy = malloc(size);
        if (!copy)
            return 0;
        memcpy(copy, data, size);
        repair_checksums(copy, size);
        decode(copy, size);
        free(copy);
    }
    return 0;
}
