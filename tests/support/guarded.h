/* Arrays that end at a page which may not be touched: a kernel that reads or writes one element
 * too far dies here instead of passing. */
#ifndef WILOR_TEST_GUARDED_H
#define WILOR_TEST_GUARDED_H

#include <stddef.h>

typedef struct guarded {
    float *data; /* count floats, the last one just before the guard page */
    void *map;
    size_t bytes;
} guarded;

/* Aborts the test when the system gives no memory. Filled with a pattern that no kernel writes. */
guarded guarded_alloc(size_t count);
void guarded_free(guarded *g);

#define GUARDED_PATTERN 12345.678f

#endif
