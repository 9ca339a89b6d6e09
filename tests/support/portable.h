/* What tests take from POSIX and C11 and Windows' C library lacks. Included by one file a program: everything
 * is static. Elsewhere it is empty. */
#ifndef WILOR_TEST_PORTABLE_H
#define WILOR_TEST_PORTABLE_H

#if defined(_WIN32)
#include <direct.h>
#include <malloc.h>
#include <process.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define mkdir(path, mode) ((void)(mode), _mkdir(path))

/* Folders named by the process and a number. */
static inline char *portable_mkdtemp(char *pattern) {
    size_t n = strlen(pattern);
    for (int i = 0; i < 100; i++) {
        snprintf(pattern + n - 6, 7, "%04x%02x", _getpid() & 0xFFFF, i);
        if (_mkdir(pattern) == 0)
            return pattern;
    }
    return NULL;
}

#define mkdtemp portable_mkdtemp

/* free() may not be given what is aligned by more than 16 there: those are remembered. */
enum { PORTABLE_MOST = 256 };

static void *portable_blocks[PORTABLE_MOST];

static inline void *portable_aligned_alloc(size_t alignment, size_t bytes) {
    for (int i = 0; i < PORTABLE_MOST; i++)
        if (!portable_blocks[i])
            return portable_blocks[i] = _aligned_malloc(bytes, alignment);
    return NULL;
}

static inline void portable_free(void *p) {
    for (int i = 0; p && i < PORTABLE_MOST; i++)
        if (portable_blocks[i] == p) {
            portable_blocks[i] = NULL;
            _aligned_free(p);
            return;
        }
    free(p);
}

#define aligned_alloc portable_aligned_alloc
#define free portable_free
#endif

#endif
