/* LD_PRELOAD: one allocation or one rename of a whole program fails, those inside shared libraries
 * (libc, libpng, libjpeg, libwebp, jansson) included, which the linker's --wrap does not reach.
 *
 *   WILOR_FAIL_AT=n      the nth allocation (from 0) gives NULL
 *   WILOR_FAIL_ALL=1     and all that follow it
 *   WILOR_FAIL_RENAME=n  the nth rename is EACCES
 *   WILOR_FAIL_COUNT=f   at exit: the numbers of allocations and of renames are written to file f
 *
 * What the dynamic linker does before main is not counted: the loader sets the count to 0 last. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long g_fail_at = -1, g_fail_rename = -1;
static bool g_fail_all;
static atomic_long g_allocations, g_renames;

/* dlsym may allocate while it looks for malloc. */
static _Alignas(max_align_t) unsigned char g_early[1 << 16];
static atomic_size_t g_early_used;

static void *early(size_t size) {
    size_t at = atomic_fetch_add(&g_early_used, (size + 63) / 64 * 64);
    return at + size <= sizeof g_early ? g_early + at : NULL;
}

static bool is_early(const void *p) {
    return (uintptr_t)p - (uintptr_t)g_early < sizeof g_early;
}

/* ISO C has no cast from an object's pointer to a function's. */
static void find(void *function, const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(function, &symbol, sizeof symbol);
}

static bool refuse(void) {
    long n = atomic_fetch_add(&g_allocations, 1);
    bool no = g_fail_at >= 0 && (n == g_fail_at || (g_fail_all && n > g_fail_at));
    if (no)
        errno = ENOMEM;
    return no;
}

static void *(*g_malloc)(size_t size);
static void *(*g_calloc)(size_t count, size_t size);
static void *(*g_realloc)(void *p, size_t size);
static int (*g_memalign)(void **out, size_t alignment, size_t size);
static void *(*g_aligned)(size_t alignment, size_t size);
static void (*g_free)(void *p);
static int (*g_rename)(const char *from, const char *to);

static bool prepare(void) {
    static bool looking;
    if (g_rename)
        return true;
    if (looking)
        return false;
    looking = true;
    find(&g_malloc, "malloc");
    find(&g_calloc, "calloc");
    find(&g_realloc, "realloc");
    find(&g_memalign, "posix_memalign");
    find(&g_aligned, "aligned_alloc");
    find(&g_free, "free");
    find(&g_rename, "rename");
    return true;
}

void *malloc(size_t size) {
    if (!prepare())
        return early(size);
    return refuse() ? NULL : g_malloc(size);
}

void *calloc(size_t count, size_t size) {
    if (!prepare())
        return early(count * size);
    return refuse() ? NULL : g_calloc(count, size);
}

void *realloc(void *p, size_t size) {
    if (!prepare() || is_early(p)) {
        void *q = early(size);
        if (q && p)
            memcpy(q, p, size); /* what lies behind p is ours, too */
        return q;
    }
    return refuse() ? NULL : g_realloc(p, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    prepare();
    return refuse() ? ENOMEM : g_memalign(out, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    prepare();
    return refuse() ? NULL : g_aligned(alignment, size);
}

void free(void *p) {
    if (p && !is_early(p) && prepare())
        g_free(p);
}

int rename(const char *from, const char *to) {
    prepare();
    if (atomic_fetch_add(&g_renames, 1) == g_fail_rename) {
        errno = EACCES;
        return -1;
    }
    return g_rename(from, to);
}

static long number(const char *name) {
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : -1;
}

__attribute__((constructor)) static void begin(void) {
    prepare();
    g_fail_all = number("WILOR_FAIL_ALL") > 0;
    g_fail_rename = number("WILOR_FAIL_RENAME");
    atomic_store(&g_allocations, 0);
    g_fail_at = number("WILOR_FAIL_AT");
}

__attribute__((destructor)) static void end(void) {
    char text[64];
    const char *path = getenv("WILOR_FAIL_COUNT");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    int n = snprintf(text, sizeof text, "%ld %ld\n", (long)g_allocations, (long)g_renames);
    if (fd >= 0) {
        if (write(fd, text, (size_t)n) != n)
            _exit(99);
        close(fd);
    }
}
