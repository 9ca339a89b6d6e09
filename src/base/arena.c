/* Workspace arena with redzones under AddressSanitizer (the idea: zstd's cwksp). */
#include "arena.h"
#include "heap.h"

#if defined(__SANITIZE_ADDRESS__)
#define WILOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WILOR_ASAN 1
#endif
#endif
#if defined(WILOR_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { REDZONE = WILOR_ALIGN };

void wilor_arena_begin(wilor_arena *a, void *base, size_t size) {
    *a = (wilor_arena){base, size, 0};
    if (base)
        ASAN_POISON_MEMORY_REGION(base, size);
}

void *wilor_arena_push(wilor_arena *a, size_t count, size_t size) {
    size_t bytes, whole, end;
    if (!wilor_size_mul(count, size, &bytes) ||
        !wilor_size_add(bytes, WILOR_ALIGN - 1, &whole) ||
        !wilor_size_add(whole & ~(size_t)(WILOR_ALIGN - 1), REDZONE, &whole) ||
        !wilor_size_add(a->used, whole, &end)) {
        a->used = SIZE_MAX;
        return NULL;
    }
    size_t at = a->used;
    a->used = end;
    if (!a->base || end > a->size)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(a->base + at, bytes);
    return a->base + at;
}

size_t wilor_arena_used(const wilor_arena *a) { return a->used; }

void wilor_arena_expose(const wilor_arena *a) {
    if (a->base)
        ASAN_UNPOISON_MEMORY_REGION(a->base, a->size);
}

void wilor_arena_end(wilor_arena *a) {
    if (a->base)
        ASAN_UNPOISON_MEMORY_REGION(a->base, a->size);
    *a = (wilor_arena){0};
}
