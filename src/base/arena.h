/* One aligned block, cut in pieces. Written twice with the same code: a first pass without
 * memory adds up what is needed, a second one hands it out. Under AddressSanitizer the gaps
 * between pieces are poisoned. */
#ifndef WILOR_ARENA_H
#define WILOR_ARENA_H

#include <stddef.h>
#include <stdint.h>

enum { WILOR_ALIGN = 64 };

typedef struct wilor_arena {
    uint8_t *base; /* NULL: only measuring */
    size_t size;   /* of the block */
    size_t used;   /* SIZE_MAX after an overflow: every further piece is NULL */
} wilor_arena;

/* base is 64-byte aligned, or NULL to measure. */
void wilor_arena_begin(wilor_arena *a, void *base, size_t size);
/* count × size bytes, 64-byte aligned; NULL while measuring or when the block is too small. */
void *wilor_arena_push(wilor_arena *a, size_t count, size_t size);
/* Bytes needed for all pieces so far, or SIZE_MAX. */
size_t wilor_arena_used(const wilor_arena *a);
/* Make the gaps readable, too: the block is to be written out as it is. */
void wilor_arena_expose(const wilor_arena *a);
/* Make the whole block ordinary memory again, before it is freed. */
void wilor_arena_end(wilor_arena *a);

#endif
