/* Memory that grows in chunks and is freed as a whole: names, nodes of a parsed header or
 * pickle. */
#ifndef WILOR_CHUNK_POOL_H
#define WILOR_CHUNK_POOL_H

#include <stddef.h>

typedef struct wilor_chunk wilor_chunk;

typedef struct wilor_pool {
    wilor_chunk *chunks; /* newest first; a zeroed pool is empty */
} wilor_pool;

/* Zeroed bytes, aligned for any type; NULL when there is no memory. Large blocks stand alone. */
void *wilor_pool_alloc(wilor_pool *p, size_t count, size_t size);
/* A terminated copy of length bytes. */
char *wilor_pool_text(wilor_pool *p, const char *text, size_t length);
void wilor_pool_free(wilor_pool *p); /* leaves an empty pool */

#endif
