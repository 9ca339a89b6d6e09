/* The framework is part of every macOS; dlopen by its path works although no file lies there. Loaded at run
 * time, so that a build needs no SDK and a test can give another library. */
#include "accelerate.h"

#if defined(_WIN32)

wilor_sgemm_fn wilor_accelerate_sgemm(void) { return 0; }

void wilor_accelerate_begin(void) {}

void wilor_accelerate_end(void) {}

#else

#include "system.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* BLASSetThreading's number (vecLib's thread_api.h); the setting is the calling thread's. */
enum { ONE_THREAD = 1 };

typedef int (*set_threading_fn)(int how);

typedef int (*get_threading_fn)(void);

static wilor_sgemm_fn g_sgemm;
static set_threading_fn g_set;
static get_threading_fn g_get;
static _Thread_local int t_others = -1; /* what the thread had before; -1: it still has */
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

static const char *library_path(void) {
    const char *named = wilor_sys_secure_getenv("WILOR_ACCELERATE");
    if (named && *named)
        return named;
#if defined(__APPLE__) && defined(__aarch64__)
    return "/System/Library/Frameworks/Accelerate.framework/Accelerate";
#else
    return NULL;
#endif
}

static void load(void) {
    const char *path = library_path();
    void *library = path ? dlopen(path, RTLD_LAZY | RTLD_LOCAL) : NULL;
    void *product = library ? dlsym(library, "cblas_sgemm") : NULL;
    void *set = library ? dlsym(library, "BLASSetThreading") : NULL;
    void *get = library ? dlsym(library, "BLASGetThreading") : NULL;
    /* ISO C has no cast from void * to a function. */
    memcpy(&g_sgemm, &product, sizeof g_sgemm);
    memcpy(&g_set, &set, sizeof g_set);
    memcpy(&g_get, &get, sizeof g_get);
}

wilor_sgemm_fn wilor_accelerate_sgemm(void) {
    pthread_once(&g_once, load);
    return g_sgemm;
}

void wilor_accelerate_begin(void) {
    if (!g_set || !g_get || t_others >= 0)
        return;
    t_others = g_get();
    g_set(ONE_THREAD);
}

void wilor_accelerate_end(void) {
    if (t_others < 0)
        return;
    g_set(t_others);
    t_others = -1;
}

#endif
