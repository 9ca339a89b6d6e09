/* Any bytes through wilor_image_decode, which tells the format. */
#include "fuzz_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(wilor_fuzz_decode, data, size);
    return 0;
}
