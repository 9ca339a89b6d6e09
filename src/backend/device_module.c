/* Finding and loading a device's module. */
#include "device_module.h"

#include "system.h"

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

static void *open_file(const wilor_device_module *m, char *path, size_t size) {
    const char *named = wilor_sys_secure_getenv(m->variable);
    char folder[4096 - 64];
    if (named && *named) {
        snprintf(path, size, "%s", named);
        return dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    own_folder(folder, sizeof folder);
    if (*folder) {
        snprintf(path, size, "%s%s", folder, m->file);
        void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (module)
            return module;
    }
    snprintf(path, size, "%s", m->file);
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

wilor_status wilor_device_module_open(const wilor_module_head **out,
                                      const wilor_device_module *m, uint32_t size,
                                      wilor_error *err) {
    char path[4096];
    wilor_quoted q;
    const wilor_module_head *(*entry)(void);
    *out = NULL;
    void *module = open_file(m, path, sizeof path);
    if (!module)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "device %s: the module that drives %s cannot be loaded: %s",
                               m->device, m->drives, dlerror());
    void *symbol = dlsym(module, m->entry);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from void * to a function */
    const wilor_module_head *t = symbol ? entry() : NULL;
    if (!t || t->abi != m->abi || t->size != size)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "device %s: %s is a module of another version: its interface is "
                               "%u, this library wants %u",
                               m->device, wilor_quote(&q, path), t ? (unsigned)t->abi : 0u,
                               m->abi);
    *out = t;
    return WILOR_OK;
}
#else
wilor_status wilor_device_module_open(const wilor_module_head **out,
                                      const wilor_device_module *m, uint32_t size,
                                      wilor_error *err) {
    *out = NULL;
    (void)size;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                           "device %s: not available on this system", m->device);
}
#endif
