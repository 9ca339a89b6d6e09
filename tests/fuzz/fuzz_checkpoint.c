/* Checkpoints of torch.save: zip and legacy. zip_mutator.c keeps zips whole half of the time. */
#include "fuzz_input.h"

static void target(const uint8_t *data, size_t size) {
    wilor_fuzz_tensors(data, size, "fuzz.ckpt");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(target, data, size);
    return 0;
}
