/* A detector's file from bytes: open, rename, plan, and every convolution that the plan
 * promises. Convolutions must be readable to the last number, in memory that the file's size
 * justifies. */
#include "fuzz_input.h"

#include "tensor_index.h"
#include "yolo_program.h"
#include <stdlib.h>

/* Numbers have at least 2 bytes, and no more than this is inflated (index_build.h). */
static size_t numbers_most(size_t size) { return ((size_t)128 << 20) + 50 * size; }

static void read_convs(const wilor_index *index, const wilor_yolo_plan *plan, size_t size) {
    static wilor_yolo_program program;
    wilor_error err;
    size_t all = 0;
    wilor_yolo_program_make(&program, plan, false);
    for (int i = 0; i < program.conv_count; i++) {
        const wilor_yolo_conv *c = &program.convs[i];
        size_t n = (size_t)c->out * (size_t)c->in * (size_t)c->size * (size_t)c->size;
        all += n + (size_t)c->out;
        if (all > numbers_most(size))
            abort();
        /* Plain malloc: the allocations that may be made to fail are the library's. */
        float *weight = malloc(n * sizeof *weight),
              *norm = malloc(2 * (size_t)c->out * sizeof *norm);
        bool silu, held;
        if (!weight || !norm)
            abort();
        if (wilor_yolo_conv_read_halves(index, c, (uint16_t *)(void *)weight, norm,
                                        norm + c->out, &silu, &held, &err) != WILOR_OK &&
            !err.text[0])
            abort();
        if (wilor_yolo_conv_read(index, c, weight, norm, norm + c->out, &silu, &err) !=
                WILOR_OK &&
            !err.text[0])
            abort();
        free(weight);
        free(norm);
    }
}

static void target(const uint8_t *data, size_t size) {
    wilor_index *index = NULL;
    wilor_yolo_plan plan;
    wilor_error err;
    if (wilor_index_open_memory(&index, data, size, "fuzz.pt", &err) != WILOR_OK)
        return;
    if (wilor_index_canonical(index, &err) == WILOR_OK) {
        if (wilor_yolo_plan_read(&plan, index, &err) == WILOR_OK)
            read_convs(index, &plan, size);
        else if (!err.text[0])
            abort(); /* an error must say something */
    }
    wilor_index_close(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(target, data, size);
    return 0;
}
