/* WebP: all bytes inside a RIFF header; for one input in two its size is put right. */
#include "fuzz_input.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1);
    if (copy && size >= 12) {
        memcpy(copy, data, size);
        memcpy(copy, "RIFF", 4);
        memcpy(copy + 8, "WEBP", 4);
        size_t rest = size - 8;
        for (int i = 0; data[0] % 2 == 0 && i < 4; i++)
            copy[4 + i] = (uint8_t)(rest >> 8 * i);
        wilor_fuzz_twice(wilor_fuzz_decode, copy, size);
    }
    free(copy);
    return 0;
}
