/* A bump allocator over a list of chunks. A block of a quarter chunk or more gets a chunk of
 * exactly its size, so that a sanitizer sees a read past the end of an inflated member. */
#include "chunk_pool.h"

#include "heap.h"
#include <stdalign.h>
#include <stdint.h>
#include <string.h>

enum { CHUNK = 16384, ALONE = CHUNK / 4 };

struct wilor_chunk {
    wilor_chunk *next;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

static wilor_chunk *chunk_new(size_t size) {
    size_t whole;
    if (!wilor_size_add(size, sizeof(wilor_chunk), &whole))
        return NULL;
    wilor_chunk *c = wilor_heap_alloc(whole, 1);
    if (c)
        c->size = size;
    return c;
}

/* A chunk for one large block; it goes second, so that the chunk in use stays in use. */
static void *alone(wilor_pool *p, size_t bytes) {
    wilor_chunk *c = chunk_new(bytes);
    if (!c)
        return NULL;
    c->used = bytes;
    wilor_chunk **at = p->chunks ? &p->chunks->next : &p->chunks;
    c->next = *at;
    *at = c;
    return c->bytes;
}

void *wilor_pool_alloc(wilor_pool *p, size_t count, size_t size) {
    size_t bytes;
    if (!wilor_size_mul(count, size, &bytes))
        return NULL;
    if (bytes >= ALONE)
        return alone(p, bytes);
    bytes = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    wilor_chunk *c = p->chunks;
    if (!c || c->size - c->used < bytes) {
        c = chunk_new(CHUNK);
        if (!c)
            return NULL;
        c->next = p->chunks;
        p->chunks = c;
    }
    void *block = c->bytes + c->used;
    c->used += bytes;
    return block;
}

char *wilor_pool_text(wilor_pool *p, const char *text, size_t length) {
    if (length == SIZE_MAX)
        return NULL;
    char *copy = wilor_pool_alloc(p, length + 1, 1);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

void wilor_pool_free(wilor_pool *p) {
    while (p->chunks) {
        wilor_chunk *next = p->chunks->next;
        wilor_heap_free(p->chunks);
        p->chunks = next;
    }
}
