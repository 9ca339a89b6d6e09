/* The name sends all bytes to the reader of safetensors, which reads JSON. */
#include "fuzz_input.h"

static void target(const uint8_t *data, size_t size) {
    wilor_fuzz_tensors(data, size, "fuzz.safetensors");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(target, data, size);
    return 0;
}
