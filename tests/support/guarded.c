/* mmap, the last page made inaccessible. */
#include "guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

guarded guarded_alloc(size_t count) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (count * sizeof(float) + page - 1) / page * page;
    guarded g = {.bytes = body + page};
    g.map = mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect((char *)g.map + body, page, PROT_NONE) != 0) {
        perror("guarded_alloc");
        exit(1);
    }
    g.data = (float *)(void *)((char *)g.map + body) - count;
    for (size_t i = 0; i < count; i++)
        g.data[i] = GUARDED_PATTERN;
    return g;
}

void guarded_free(guarded *g) {
    if (g->map)
        munmap(g->map, g->bytes);
    *g = (guarded){0};
}
