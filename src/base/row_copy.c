#include "row_copy.h"

#include <string.h>

static int rows_of_unit(const wilor_row_copy *c) {
    enum { UNIT_BYTES = 64 * 1024 };

    return c->line < UNIT_BYTES ? (int)(UNIT_BYTES / c->line) : 1;
}

static void copy_unit(void *context, int unit, int thread) {
    const wilor_row_copy *c = context;
    int each = rows_of_unit(c), first = unit * each;
    int end = c->rows - first < each ? c->rows : first + each;
    (void)thread;
    for (int y = first; y < end; y++)
        memcpy((char *)c->to + (size_t)y * c->line, (const char *)c->from + y * c->stride,
               c->line);
}

void wilor_row_copy_run(const wilor_row_copy *c, wilor_threads *pool) {
    wilor_row_copy own = *c;
    int each = rows_of_unit(c);
    wilor_threads_run(pool, copy_unit, &own, (c->rows + each - 1) / each);
}
