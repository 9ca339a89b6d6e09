/* Allocation as the linker's --wrap hands it to us: every call in the objects of this program, in
 * any thread, whether it goes through heap.h or past it.
 *
 * What is not seen: allocations inside shared libraries (libpng, libjpeg, libwebp, zlib, the C
 * library's own), whose calls are bound elsewhere. jansson takes its memory through us
 * (json_set_alloc_funcs). */
#ifndef WILOR_ALLOC_WRAP_H
#define WILOR_ALLOC_WRAP_H

#include <stdbool.h>
#include <stddef.h>

/* `count` allocations fail, the first of them the nth from now (0: the next). */
void wilor_wrap_fail(long n, long count);
/* Allocations since then, and whether one was refused. */
long wilor_wrap_allocations(void);
bool wilor_wrap_failed(void);
/* All calls since then, frees and unmappings included. */
long wilor_wrap_calls(void);

/* What is held now: blocks, bytes mapped. */
typedef struct wilor_wrap_held {
    size_t blocks, mapped;
} wilor_wrap_held;

wilor_wrap_held wilor_wrap_now(void);

#endif
