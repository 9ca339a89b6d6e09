/* A picture's rows to where they lie without gaps, by all threads of a pool. */
#ifndef WILOR_ROW_COPY_H
#define WILOR_ROW_COPY_H

#include "thread_pool.h"

#include <stddef.h>

typedef struct wilor_row_copy {
    void *to; /* rows × line bytes */
    const void *from;
    ptrdiff_t stride; /* bytes from one row of `from` to the next */
    size_t line;      /* bytes of a row */
    int rows;
} wilor_row_copy;

/* One thread copies some 10 GB a second: a frame of 640 × 480 is a tenth of a millisecond. */
void wilor_row_copy_run(const wilor_row_copy *c, wilor_threads *pool);

#endif
