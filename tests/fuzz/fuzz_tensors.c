/* Weights files from bytes: whatever opens must be readable to the last element. */
#include "fuzz_input.h"

#include "tensor_convert.h"
#include "tensor_index.h"
#include <stdlib.h>

enum { COUNT_MOST = 1 << 12, TENSORS_MOST = 16 };

/* Plain malloc: the allocations that may be made to fail are the library's. */
static void read_tensor(const wilor_tensor *t) {
    if (t->count > COUNT_MOST || t->element > 64)
        return;
    double *values = malloc(t->count * sizeof *values + 1); /* room for each type */
    uint8_t *bytes = malloc(t->count * t->element + 1);
    if (!values || !bytes)
        abort();
    wilor_tensor_to_f32(t, (float *)(void *)values, NULL);
    wilor_tensor_to_f64(t, values, NULL);
    wilor_tensor_to_i64(t, (int64_t *)(void *)values, NULL);
    if (!t->generator)
        wilor_tensor_gather(t, bytes, NULL);
    if (t->rank && t->shape[0] > 1)
        wilor_tensor_rows_to_f32(t, t->shape[0] - 1, 1, (float *)(void *)values, NULL);
    free(values);
    free(bytes);
}

static void read_all(const wilor_index *index) {
    size_t n = wilor_index_count(index);
    for (size_t i = 0; i < n && i < TENSORS_MOST; i++) {
        const wilor_tensor *t = wilor_index_at(index, i);
        if (wilor_index_find(index, t->name) != t)
            abort();
        read_tensor(t);
    }
}

void wilor_fuzz_tensors(const uint8_t *data, size_t size, const char *name) {
    wilor_index *index = NULL;
    wilor_error err;
    if (wilor_index_open_memory(&index, data, size, name, &err) != WILOR_OK) {
        if (index || !err.text[0] || err.status == WILOR_OK)
            abort(); /* an error must say something and leave nothing */
        return;
    }
    read_all(index);
    if (wilor_index_canonical(index, &err) == WILOR_OK)
        read_all(index);
    wilor_index_close(&index);
}
