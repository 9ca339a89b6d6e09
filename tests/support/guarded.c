/* Pages from the system, the last one made inaccessible. */
#include "guarded.h"

#include <stdio.h>
#include <stdlib.h>
#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#if defined(_WIN32)
static size_t page_size(void) {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
}

static int take(guarded *g, size_t body) {
    DWORD old;
    g->map = VirtualAlloc(NULL, g->bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    return g->map &&
           VirtualProtect((char *)g->map + body, g->bytes - body, PAGE_NOACCESS, &old);
}

static void give(guarded *g) { VirtualFree(g->map, 0, MEM_RELEASE); }
#else
static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static int take(guarded *g, size_t body) {
    g->map = mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return g->map != MAP_FAILED &&
           mprotect((char *)g->map + body, g->bytes - body, PROT_NONE) == 0;
}

static void give(guarded *g) { munmap(g->map, g->bytes); }
#endif

guarded guarded_alloc(size_t count) {
    size_t page = page_size();
    size_t body = (count * sizeof(float) + page - 1) / page * page;
    guarded g = {.bytes = body + page};
    if (!take(&g, body)) {
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
        give(g);
    *g = (guarded){0};
}
