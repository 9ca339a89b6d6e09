/* The wrappers. Blocks are kept in a table, because the C library gives out blocks that we did not
 * see (getline, realpath) and that are freed through us: those are not counted. */
#include "alloc_wrap.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

enum { SLOTS = 1 << 16 };

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t g_live[SLOTS]; /* open addressing */
static size_t g_blocks, g_mapped;
static long g_fail_at, g_fail_count, g_allocations, g_calls;
static bool g_failed;

/* The names are the linker's. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *p);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *p, size_t size);
FILE *__real_fdopen(int fd, const char *mode);
FILE *__real_open_memstream(char **text, size_t *size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *p);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *p, size_t size);
FILE *__wrap_fdopen(int fd, const char *mode);
FILE *__wrap_open_memstream(char **text, size_t *size);

static void lock(void) { pthread_mutex_lock(&g_lock); }

static void unlock(void) { pthread_mutex_unlock(&g_lock); }

void wilor_wrap_fail(long n, long count) {
    lock();
    g_fail_at = n;
    g_fail_count = count;
    g_failed = false;
    g_allocations = g_calls = 0;
    unlock();
}

long wilor_wrap_allocations(void) { return g_allocations; }

bool wilor_wrap_failed(void) { return g_failed; }

long wilor_wrap_calls(void) { return g_calls; }

wilor_wrap_held wilor_wrap_now(void) { return (wilor_wrap_held){g_blocks, g_mapped}; }

static bool refuse(void) {
    lock();
    long n = g_allocations++;
    g_calls++;
    bool no = n >= g_fail_at && n - g_fail_at < g_fail_count;
    g_failed = g_failed || no;
    unlock();
    if (no)
        errno = ENOMEM;
    return no;
}

static size_t slot_of(uintptr_t p) {
    return (size_t)((p >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 48) % SLOTS;
}

static void *added(void *p) {
    if (!p)
        return NULL;
    lock();
    size_t i = slot_of((uintptr_t)p);
    while (g_live[i])
        i = (i + 1) % SLOTS;
    g_live[i] = (uintptr_t)p;
    if (++g_blocks > SLOTS / 2) {
        fputs("alloc_wrap: too many blocks\n", stderr);
        exit(1);
    }
    unlock();
    return p;
}

/* The entries behind a gap move up to where a search for them would stop. */
static void close_gap(size_t gap) {
    g_live[gap] = 0;
    for (size_t i = (gap + 1) % SLOTS; g_live[i]; i = (i + 1) % SLOTS) {
        uintptr_t p = g_live[i];
        g_live[i] = 0;
        size_t k = slot_of(p);
        while (g_live[k])
            k = (k + 1) % SLOTS;
        g_live[k] = p;
    }
}

static void removed(const void *p) {
    lock();
    g_calls++;
    size_t i = slot_of((uintptr_t)p);
    while (g_live[i] && g_live[i] != (uintptr_t)p)
        i = (i + 1) % SLOTS;
    if (g_live[i]) {
        g_blocks--;
        close_gap(i);
    }
    unlock();
}

void *__wrap_malloc(size_t size) { return refuse() ? NULL : added(__real_malloc(size)); }

void *__wrap_calloc(size_t count, size_t size) {
    return refuse() ? NULL : added(__real_calloc(count, size));
}

/* Out of the table before the call: another thread may be given the old place. */
void *__wrap_realloc(void *p, size_t size) {
    if (refuse())
        return NULL;
    if (p)
        removed(p);
    return added(__real_realloc(p, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return refuse() ? NULL : added(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size) {
    if (refuse())
        return ENOMEM;
    int code = __real_posix_memalign(out, alignment, size);
    if (code == 0)
        added(*out);
    return code;
}

char *__wrap_strdup(const char *text) { return refuse() ? NULL : added(__real_strdup(text)); }

void __wrap_free(void *p) {
    if (p)
        removed(p);
    __real_free(p);
}

/* A mapping may be given back in parts: bytes are counted. */
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset) {
    void *p = refuse() ? MAP_FAILED : __real_mmap(at, size, prot, flags, fd, offset);
    lock();
    g_mapped += p == MAP_FAILED ? 0 : size;
    unlock();
    return p;
}

int __wrap_munmap(void *p, size_t size) {
    lock();
    g_calls++;
    g_mapped -= size;
    unlock();
    return __real_munmap(p, size);
}

FILE *__wrap_fdopen(int fd, const char *mode) {
    return refuse() ? NULL : __real_fdopen(fd, mode);
}

FILE *__wrap_open_memstream(char **text, size_t *size) {
    return refuse() ? NULL : __real_open_memstream(text, size);
}
