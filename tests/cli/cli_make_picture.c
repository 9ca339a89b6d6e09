/* Writes a made-up picture for the tests of the command line: FILE WIDTH HEIGHT SEED. */
#include "wilor/wilor_io.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 5)
        return 1;
    int width = atoi(argv[2]), height = atoi(argv[3]);
    uint32_t state = (uint32_t)atoi(argv[4]) * 2654435761u + 1;
    size_t count = (size_t)width * (size_t)height * 3;
    uint8_t *pixels = malloc(count);
    wilor_error err = {WILOR_OK, "out of memory"};
    for (size_t i = 0; pixels && i < count; i++) {
        size_t x = i / 3 % (size_t)width, y = i / 3 / (size_t)width;
        state = state * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)((x * 2 + y * (1 + i % 3)) % 192 + (state >> 26));
    }
    wilor_picture p = {pixels, width, height, (ptrdiff_t)width * 3, WILOR_RGB8};
    bool ok = pixels && wilor_image_write(&p, argv[1], 90, &err) == WILOR_OK;
    free(pixels);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    return !ok;
}
