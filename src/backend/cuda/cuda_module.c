/* Finding and loading libwilor_cuda. The core is linked to nothing of NVIDIA's. */
#include "backend_cuda.h"

#include "heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef _WIN32
#include <dlfcn.h>

/* The folder of the library or program that this code is in, with its slash; "" where it is not known. */
static void own_folder(char *out, size_t size) {
    static const char here;
    Dl_info info;
    const char *slash;
    out[0] = 0;
    if (!dladdr(&here, &info) || !info.dli_fname || !(slash = strrchr(info.dli_fname, '/')))
        return;
    size_t n = (size_t)(slash - info.dli_fname) + 1;
    if (n >= size)
        return;
    memcpy(out, info.dli_fname, n);
    out[n] = 0;
}

/* Not from a program that runs with more rights than who started it. */
static const char *environment(const char *name) {
#if defined(__GLIBC__)
    return secure_getenv(name);
#else
    return getenv(name);
#endif
}

static void *open_module(char *path, size_t size) {
    const char *named = environment("WILOR_CUDA_MODULE");
    char folder[4096 - 64];
    if (named && *named) {
        snprintf(path, size, "%s", named);
        return dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    own_folder(folder, sizeof folder);
    if (*folder) {
        snprintf(path, size, "%s" WILOR_CUDA_MODULE, folder);
        void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (module)
            return module;
    }
    snprintf(path, size, "%s", WILOR_CUDA_MODULE);
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

wilor_status wilor_cuda_module_open(const wilor_cuda_table **out, wilor_error *err) {
    char path[4096];
    wilor_quoted q;
    wilor_cuda_entry entry;
    *out = NULL;
    void *module = open_module(path, sizeof path);
    if (!module)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "device cuda: the module that drives NVIDIA cards cannot be "
                               "loaded: %s",
                               dlerror());
    void *symbol = dlsym(module, WILOR_CUDA_ENTRY);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from void * to a function */
    const wilor_cuda_table *t = symbol ? entry() : NULL;
    if (!t || t->abi != WILOR_CUDA_ABI || t->size != sizeof *t)
        return wilor_error_set(
            err, WILOR_ERR_UNSUPPORTED,
            "device cuda: %s is a module of another version: its interface is "
            "%u, this library wants %d",
            wilor_quote(&q, path), t ? (unsigned)t->abi : 0u, WILOR_CUDA_ABI);
    *out = t;
    return WILOR_OK;
}
#else
wilor_status wilor_cuda_module_open(const wilor_cuda_table **out, wilor_error *err) {
    *out = NULL;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                           "device cuda: not available on this system");
}
#endif

wilor_status wilor_cuda_status(wilor_cuda_result r, int device, const wilor_cuda_error *e,
                               wilor_error *err) {
    static const wilor_status status[] = {[WILOR_CUDA_OK] = WILOR_OK,
                                          [WILOR_CUDA_NO_DRIVER] = WILOR_ERR_UNSUPPORTED,
                                          [WILOR_CUDA_NO_DEVICE] = WILOR_ERR_UNSUPPORTED,
                                          [WILOR_CUDA_NO_CODE] = WILOR_ERR_UNSUPPORTED,
                                          [WILOR_CUDA_NO_MEMORY] = WILOR_ERR_NOMEM,
                                          [WILOR_CUDA_UNSUPPORTED] = WILOR_ERR_UNSUPPORTED,
                                          [WILOR_CUDA_FAILED] = WILOR_ERR_INTERNAL};
    if (r == WILOR_CUDA_OK)
        return WILOR_OK;
    return wilor_error_set(err, status[r], "device cuda:%d: %s", device, e->text);
}
