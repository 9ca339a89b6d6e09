/* All readers of weights files on arbitrary bytes, told apart by content as the program does. */
#include "fuzz_input.h"

static void target(const uint8_t *data, size_t size) { wilor_fuzz_tensors(data, size, "fuzz"); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(target, data, size);
    return 0;
}
