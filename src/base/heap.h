/* Memory from the system. Products are checked; sizes of 0 give a valid pointer. */
#ifndef WILOR_HEAP_H
#define WILOR_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* count × size bytes, zeroed; NULL when the product overflows or there is no memory. */
void *wilor_heap_alloc(size_t count, size_t size);
/* Grow or shrink; on failure NULL and the old block stays. New bytes are not zeroed. */
void *wilor_heap_resize(void *p, size_t count, size_t size);
char *wilor_heap_string(const char *text);
void wilor_heap_free(void *p); /* NULL is fine */

/* Make room for one more: *array holds *room elements of `size` bytes, `count` used. False: no
 * memory. */
bool wilor_heap_grow(void *array, size_t *room, size_t count, size_t size);

/* a·b and a+b into *out; false on overflow. */
bool wilor_size_mul(size_t a, size_t b, size_t *out);
bool wilor_size_add(size_t a, size_t b, size_t *out);

/* A large block for weights: zeroed, 2 MB-aligned where the system can, in huge pages where it
 * does. */
typedef struct wilor_pages {
    void *data;
    size_t bytes;
} wilor_pages;

bool wilor_pages_alloc(wilor_pages *p, size_t bytes);
void wilor_pages_free(wilor_pages *p); /* a zeroed or freed one is fine */

/* Tests: the nth allocation from now fails (0: the next; negative: none). Counts calls too. */
void wilor_heap_fail_at(long n);
long wilor_heap_calls(void);

#endif
