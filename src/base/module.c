/* Finding and loading a module. */
#include "module.h"

#include "loaded_pages.h"

#ifndef _WIN32
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct module_path {
    char text[4096];
} module_path;

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

/* NULL: dlerror says why. Of a file that is there, what it lacks: the search would only say that it finds none. */
static void *open_file(const wilor_module *m, module_path *path) {
    enum { NAME = 64 };

    const char *named = wilor_sys_secure_getenv(m->variable);
    char folder[sizeof path->text - NAME];
    if (named && *named) {
        snprintf(path->text, sizeof path->text, "%s", named);
        return dlopen(path->text, RTLD_NOW | RTLD_LOCAL);
    }
    own_folder(folder, sizeof folder);
    if (*folder) {
        snprintf(path->text, sizeof path->text, "%s%s", folder, m->file);
        if (access(path->text, F_OK) == 0)
            return dlopen(path->text, RTLD_NOW | RTLD_LOCAL);
    }
    snprintf(path->text, sizeof path->text, "%s", m->file);
    return dlopen(path->text, RTLD_NOW | RTLD_LOCAL);
}

wilor_status wilor_module_open(const wilor_module_head **out, const wilor_module *m,
                               wilor_error *err) {
    module_path path;
    wilor_quoted q;
    const wilor_module_head *(*entry)(void);
    *out = NULL;
    void *module = open_file(m, &path);
    if (!module)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "cannot be loaded: %s", dlerror());
    void *symbol = dlsym(module, m->entry);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from void * to a function */
    const wilor_module_head *t = symbol ? entry() : NULL;
    if (!t || t->abi != m->abi || t->size != m->size)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "is a module of another version: the interface of %s is %u, "
                               "this library wants %u",
                               wilor_quote(&q, path.text), t ? (unsigned)t->abi : 0u,
                               (unsigned)m->abi);
    *out = t;
    return WILOR_OK;
}
#else
wilor_status wilor_module_open(const wilor_module_head **out, const wilor_module *m,
                               wilor_error *err) {
    *out = NULL;
    (void)m;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "is not available on this system");
}
#endif

wilor_status wilor_module_once(const wilor_module_head **out, wilor_module *m,
                               wilor_error *err) {
    wilor_status st = WILOR_OK;
    *out = atomic_load(&m->table);
    if (!*out) {
        const size_t before = wilor_loaded_count();
        st = wilor_module_open(out, m, err);
        wilor_loaded_release(before);
        if (st == WILOR_OK)
            atomic_store(&m->table, *out);
    }
    return st;
}
