/* Packed weights in a file: a header that says what they were made from, then the back end's memory.
 *
 * A key stands for content: two files of one size, written at the same nanosecond, with the same
 * tensors in the same places would pass for one. Hashing gigabytes would cost what packing costs. */
#include "model_impl.h"

#include "dot.h"
#include "hash_sha256.h"

#include <stdio.h>
#include <string.h>

enum { HEADER = 4096, PACKING = 2 /* goes up when the back end lays its memory out anew */ };

static const char MAGIC[16] = "wilor packed 1\n";

typedef struct header {
    char magic[sizeof MAGIC];
    char key[64];
    uint64_t bytes;
    uint32_t order; /* 0x01020304 as this machine has it */
} header;

/* ---------------------------------------------------------------- the key */

static void add_number(wilor_sha256 *hash, int64_t n) { wilor_sha256_add(hash, &n, sizeof n); }

static void add_text(wilor_sha256 *hash, const char *text) {
    wilor_sha256_add(hash, text, strlen(text) + 1);
}

static void add_index(wilor_sha256 *hash, const wilor_index *x) {
    size_t count = x ? wilor_index_count(x) : 0;
    add_number(hash, x ? (int64_t)wilor_index_size(x) : -1);
    add_number(hash, x ? wilor_index_changed_ns(x) : 0);
    for (size_t i = 0; i < count; i++) {
        const wilor_tensor *t = wilor_index_at(x, i);
        add_text(hash, t->name);
        add_text(hash, t->dtype_name);
        for (int k = 0; k < t->rank; k++) {
            add_number(hash, t->shape[k]);
            add_number(hash, t->stride[k]);
        }
    }
    const char *label = x ? wilor_index_metadata(x, "label") : NULL;
    add_text(hash, label ? label : ""); /* weights by formula have no file */
}

void wilor_packed_key(char key[65], const wilor_tensor_source *source, int heads,
                      wilor_isa max_isa, wilor_dtype dtype) {
    const wilor_kernels *t = wilor_kernels_best(max_isa);
    wilor_sha256 hash;
    wilor_sha256_begin(&hash);
    add_number(&hash, PACKING);
    add_number(&hash, heads);
    add_number(&hash, t->isa);
    add_number(&hash, t->mr);
    add_number(&hash, t->nr);
    add_number(&hash, dtype);
    for (int arith = 0; arith < WILOR_ARITH_COUNT; arith++) {
        const wilor_dot *dot = wilor_dot_get((wilor_arith)arith, t);
        add_text(&hash, dot ? dot->name : "");
    }
    add_index(&hash, source->weights);
    add_index(&hash, source->mano);
    add_index(&hash, source->mean);
    wilor_sha256_end(&hash, key);
}

/* ---------------------------------------------------------------- the file */

static void fill_header(header *h, const char *key, size_t bytes) {
    memset(h, 0, sizeof *h);
    memcpy(h->magic, MAGIC, sizeof MAGIC);
    memcpy(h->key, key, sizeof h->key);
    h->bytes = bytes;
    h->order = 0x01020304;
}

static void tell(const wilor_callbacks *c, const char *path, const char *why) {
    char text[600];
    wilor_quoted q;
    snprintf(text, sizeof text, "packed weights %s are not used: %s", wilor_quote(&q, path),
             why);
    if (c->log)
        c->log(c->user, WILOR_LOG_INFO, text);
}

const void *wilor_packed_open(wilor_file_map *m, const char *path, const char *key,
                              size_t *bytes, const wilor_callbacks *callbacks) {
    wilor_error err;
    header want, is;
    if (wilor_file_map_share(m, path, &err) != WILOR_OK) {
        tell(callbacks, path, err.text);
        return NULL;
    }
    if (m->size > HEADER) {
        memcpy(&is, m->data, sizeof is);
        fill_header(&want, key, m->size - HEADER);
        if (memcmp(&is, &want, sizeof want) == 0) {
            *bytes = m->size - HEADER;
            return m->data + HEADER;
        }
    }
    tell(callbacks, path,
         "made from other files, for another processor, by another version, or cut");
    wilor_file_map_close(m);
    return NULL;
}

wilor_status wilor_model_save_packed(const wilor_model *model,
                                     int (*write)(void *user, const void *data, size_t size),
                                     void *user, wilor_error *err) {
    static const uint8_t zeros[HEADER - sizeof(header)];

    enum { PIECE = 1 << 24 };

    size_t bytes;
    header h;
    wilor_error_clear(err);
    if (!model || !write)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_model_save_packed: model and write may not be NULL");
    const uint8_t *from = model->backend->packed(model->network, &bytes);
    if (!from)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "weights on device %s are not kept in files", model->device);
    fill_header(&h, model->key, bytes);
    bool ok = write(user, &h, sizeof h) == 0 && write(user, zeros, sizeof zeros) == 0;
    for (size_t at = 0; ok && at < bytes; at += PIECE)
        ok = write(user, from + at, bytes - at < PIECE ? bytes - at : PIECE) == 0;
    return ok ? WILOR_OK
              : wilor_error_set(err, WILOR_ERR_IO, "the packed weights could not be written");
}
