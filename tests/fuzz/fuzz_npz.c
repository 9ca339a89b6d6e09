/* npy arrays and npz archives. The name must not end in .npz, or bare arrays would be refused.
 * zip_mutator.c keeps zips whole half of the time. */
#include "fuzz_input.h"

static void target(const uint8_t *data, size_t size) { wilor_fuzz_tensors(data, size, "fuzz"); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(target, data, size);
    return 0;
}
