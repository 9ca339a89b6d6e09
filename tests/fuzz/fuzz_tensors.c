/* Weights files from bytes: whatever opens must be readable to the last element. */
#include "fuzz_input.h"

#include "matrix_view.h"
#include "tensor_convert.h"
#include "tensor_index.h"
#include "weights_verify.h"
#include <stdlib.h>
#include <string.h>

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

/* Each layer in whatever form it is: what is found must be readable to its last row. */
static void read_layers(const wilor_index *index) {
    size_t n = wilor_index_count(index);
    char layer[128];
    for (size_t i = 0; i < n && i < TENSORS_MOST; i++) {
        const char *name = wilor_index_at(index, i)->name, *end = strstr(name, ".weight");
        wilor_matrix_view m;
        if (!end || (size_t)(end - name) >= sizeof layer)
            continue;
        memcpy(layer, name, (size_t)(end - name));
        layer[end - name] = 0;
        int64_t inputs = wilor_matrix_inputs(index, layer);
        if (wilor_matrix_find(&m, index, layer, inputs, NULL) != WILOR_OK || m.outputs < 1 ||
            m.inputs > COUNT_MOST)
            continue;
        float *row = malloc((size_t)m.inputs * sizeof *row + 1);
        if (!row)
            abort();
        wilor_matrix_rows_to_f32(&m, m.outputs - 1, 1, row, NULL);
        free(row);
    }
}

/* What a verifier says must be a line, and metadata are part of it. */
static void count_fault(void *user, wilor_log_level level, const char *text) {
    size_t *faults = user;
    *faults += level == WILOR_LOG_WARNING;
    if (!text[0] || strchr(text, '\n'))
        abort();
}

static void verify_network(const wilor_index *index) {
    size_t told = 0;
    wilor_callbacks callbacks = {.user = &told, .log = count_fault};
    wilor_verifier v = {.callbacks = &callbacks};
    wilor_verify_network(&v, index);
    if ((v.faults > 0) != (told > 0))
        abort();
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
    if (wilor_index_canonical(index, &err) == WILOR_OK) {
        read_all(index);
        read_layers(index);
        verify_network(index);
    }
    wilor_index_close(&index);
}
