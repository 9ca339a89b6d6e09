/* Checked allocation. Every allocation of the library goes through here, so that a test can let
 * the nth one fail and can count that a run makes none. */
#include "heap.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#include <windows.h>
#elif defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

static atomic_long g_calls;
static atomic_long g_fail_at = -1;

void wilor_heap_fail_at(long n) {
    atomic_store(&g_calls, 0);
    atomic_store(&g_fail_at, n);
}

long wilor_heap_calls(void) { return atomic_load(&g_calls); }

static bool refuse(void) {
    long call = atomic_fetch_add(&g_calls, 1);
    return call == atomic_load(&g_fail_at);
}

bool wilor_size_mul(size_t a, size_t b, size_t *out) {
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool wilor_size_add(size_t a, size_t b, size_t *out) {
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

void *wilor_heap_alloc(size_t count, size_t size) {
    size_t bytes;
    if (refuse() || !wilor_size_mul(count, size, &bytes) || bytes > PTRDIFF_MAX)
        return NULL;
    return calloc(bytes ? bytes : 1, 1);
}

void *wilor_heap_resize(void *p, size_t count, size_t size) {
    size_t bytes;
    if (refuse() || !wilor_size_mul(count, size, &bytes) || bytes > PTRDIFF_MAX)
        return NULL;
    return realloc(p, bytes ? bytes : 1);
}

char *wilor_heap_string(const char *text) {
    size_t n = strlen(text) + 1;
    char *copy = wilor_heap_alloc(n, 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

void wilor_heap_free(void *p) { free(p); }

bool wilor_heap_grow(void *array, size_t *room, size_t count, size_t size) {
    if (count < *room)
        return true;
    size_t more = *room ? *room : 8;
    if (!wilor_size_mul(more, 2, &more))
        return false;
    void *old;
    memcpy(&old, array, sizeof old); /* array is the address of a typed pointer */
    void *grown = wilor_heap_resize(old, more, size);
    if (!grown)
        return false;
    memcpy(array, &grown, sizeof grown);
    *room = more;
    return true;
}

#if defined(__unix__) || defined(__APPLE__)

enum { HUGE_PAGE = 2 * 1024 * 1024 };

bool wilor_pages_alloc(wilor_pages *p, size_t bytes) {
    *p = (wilor_pages){0};
    size_t whole;
    if (refuse() || !wilor_size_add(bytes, 2 * (size_t)HUGE_PAGE, &whole))
        return false;
    /* Map more than wanted, then give back what lies outside the aligned part. */
    char *map = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return false;
    size_t skip = (size_t)(-(uintptr_t)map) & (HUGE_PAGE - 1);
    size_t keep = (bytes + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
    if (keep == 0)
        keep = HUGE_PAGE;
    if (skip)
        munmap(map, skip);
    if (whole - skip > keep)
        munmap(map + skip + keep, whole - skip - keep);
#if defined(MADV_HUGEPAGE)
    /* Only whole huge pages, so that a small block does not cost 2 MB. */
    size_t full = bytes & ~(size_t)(HUGE_PAGE - 1);
    if (full)
        madvise(map + skip, full, MADV_HUGEPAGE);
#endif
    p->data = map + skip;
    p->bytes = keep;
    return true;
}

void wilor_pages_free(wilor_pages *p) {
    if (p->data)
        munmap(p->data, p->bytes);
    *p = (wilor_pages){0};
}

#elif defined(_WIN32)

/* Blocks of the system begin at multiples of 64 KB and are zero. Large pages need a privilege that programs do
 * not have: the system makes them where it can. */
bool wilor_pages_alloc(wilor_pages *p, size_t bytes) {
    *p = (wilor_pages){0};
    if (refuse())
        return false;
    size_t take = bytes ? bytes : 1;
    p->data = VirtualAlloc(NULL, take, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    p->bytes = p->data ? take : 0;
    return p->data != NULL;
}

void wilor_pages_free(wilor_pages *p) {
    if (p->data)
        VirtualFree(p->data, 0, MEM_RELEASE);
    *p = (wilor_pages){0};
}

#else

bool wilor_pages_alloc(wilor_pages *p, size_t bytes) {
    size_t whole;
    *p = (wilor_pages){0};
    if (refuse() || !wilor_size_add(bytes, 64, &whole))
        return false;
    /* Aligned by hand; the block's start is kept just before the data. */
    char *block = calloc(whole + sizeof(void *), 1);
    if (!block)
        return false;
    uintptr_t at = ((uintptr_t)block + sizeof(void *) + 63) & ~(uintptr_t)63;
    memcpy((char *)at - sizeof(void *), &block, sizeof(void *));
    p->data = (void *)at;
    p->bytes = bytes;
    return true;
}

void wilor_pages_free(wilor_pages *p) {
    if (p->data) {
        void *block;
        memcpy(&block, (char *)p->data - sizeof(void *), sizeof(void *));
        free(block);
    }
    *p = (wilor_pages){0};
}

#endif
