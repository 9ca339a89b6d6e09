/* All readers of weights files on arbitrary bytes: open, list, rename, convert. Whatever opens
 * must be readable to the last element. */
#include "heap.h"
#include "tensor_convert.h"
#include "tensor_index.h"
#include <stdint.h>
#include <stdlib.h>

enum { COUNT_MOST = 1 << 16, TENSORS_MOST = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_tensor(const wilor_tensor *t) {
    if (t->count > COUNT_MOST)
        return;
    double *values = wilor_heap_alloc(t->count, sizeof *values); /* room for each type */
    uint8_t *bytes = wilor_heap_alloc(t->count, t->element);
    if (!values || !bytes)
        abort();
    wilor_tensor_to_f32(t, (float *)(void *)values, NULL);
    wilor_tensor_to_f64(t, values, NULL);
    wilor_tensor_to_i64(t, (int64_t *)(void *)values, NULL);
    if (!t->generator)
        wilor_tensor_gather(t, bytes);
    if (t->rank && t->shape[0] > 1)
        wilor_tensor_rows_to_f32(t, t->shape[0] - 1, 1, (float *)(void *)values, NULL);
    wilor_heap_free(values);
    wilor_heap_free(bytes);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_index *index = NULL;
    wilor_error err;
    if (wilor_index_open_memory(&index, data, size, "fuzz", &err) != WILOR_OK) {
        if (index || !err.text[0] || err.status == WILOR_OK)
            abort();
        return 0;
    }
    read_all(index);
    if (wilor_index_canonical(index, &err) == WILOR_OK)
        read_all(index);
    wilor_index_close(&index);
    return 0;
}
