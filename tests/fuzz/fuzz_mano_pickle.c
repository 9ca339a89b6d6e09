/* The name sends all bytes that are no other format to the reader of MANO's pickles. */
#include "fuzz_input.h"

static void target(const uint8_t *data, size_t size) {
    wilor_fuzz_tensors(data, size, "fuzz.pkl");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(target, data, size);
    return 0;
}
