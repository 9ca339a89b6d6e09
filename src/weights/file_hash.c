/* Reads by itself, not through a mapping: a file of gigabytes must not count as our memory. */
#include "file_hash.h"

#include "hash_sha256.h"
#include "heap.h"
#include "system.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 1 << 20 };

wilor_status wilor_file_visit(const char *path, uint64_t size, const char *what,
                              const wilor_callbacks *callbacks, wilor_file_visitor *visit,
                              void *user, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    uint8_t *piece = wilor_heap_alloc(PIECE, 1);
    FILE *f = piece ? wilor_sys_fopen(path, "rb") : NULL;
    if (!piece)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "%s: no memory to read it", wilor_quote(&q, path));
    if (!f)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s: cannot be opened: %s", wilor_quote(&q, path),
                   strerror(errno));
    for (uint64_t at = 0; at < size;) {
        size_t n = fread(piece, 1, size - at < PIECE ? (size_t)(size - at) : PIECE, f);
        if (n == 0)
            WILOR_FAIL(err, WILOR_ERR_IO, "%s became shorter while it was read",
                       wilor_quote(&q, path));
        visit(user, at, piece, n);
        at += n;
        if (callbacks->cancel && callbacks->cancel(callbacks->user))
            WILOR_FAIL(err, WILOR_ERR_CANCELLED, "stopped while reading %s",
                       wilor_quote(&q, path));
        if (callbacks->progress)
            callbacks->progress(callbacks->user, what, at, size);
    }
done:
    if (f)
        fclose(f);
    wilor_heap_free(piece);
    return st;
}

typedef struct hashing {
    wilor_sha256 hash;
    uint64_t offset; /* of the first byte that counts */
} hashing;

static void add_piece(void *user, uint64_t at, const uint8_t *bytes, size_t size) {
    hashing *h = user;
    size_t skip = at >= h->offset ? 0 : h->offset - at < size ? (size_t)(h->offset - at) : size;
    wilor_sha256_add(&h->hash, bytes + skip, size - skip);
}

wilor_status wilor_file_hash(const char *path, uint64_t offset, uint64_t size, const char *what,
                             const wilor_callbacks *callbacks, char hex[65], wilor_error *err) {
    hashing h = {.offset = offset};
    wilor_sha256_begin(&h.hash);
    wilor_status st = wilor_file_visit(path, size, what, callbacks, add_piece, &h, err);
    if (st == WILOR_OK)
        wilor_sha256_end(&h.hash, hex);
    return st;
}
