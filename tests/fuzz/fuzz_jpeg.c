/* JPEG: all bytes behind a JPEG's first ones. */
#include "fuzz_input.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1);
    if (copy && size >= 3) {
        memcpy(copy, data, size);
        memcpy(copy, "\xFF\xD8\xFF", 3);
        wilor_fuzz_twice(wilor_fuzz_decode, copy, size);
    }
    free(copy);
    return 0;
}
