/* Modules: libraries of ours that are loaded when what they do is asked for, since what they are linked to (a
 * device's libraries, FFmpeg, libcurl) is not on every machine, or takes long to load. */
#ifndef WILOR_MODULE_H
#define WILOR_MODULE_H

#include "module_head.h"
#include "status.h"

#include <stdatomic.h>

/* The abi of a table with structures that are no interface: its module goes with the library of the same version
 * alone. interface goes up with every change of table or structures. */
#define WILOR_MODULE_ABI(interface)                                                            \
    ((WILOR_VERSION_MAJOR * 100 + WILOR_VERSION_MINOR) * 10000 + WILOR_VERSION_PATCH * 100 +   \
     (interface))

typedef struct wilor_module {
    const char *file;     /* "libwilor_cuda.so.0" */
    const char *variable; /* names another file in the environment */
    const char *entry;    /* its only symbol: a function that returns its table's head */
    uint32_t abi, size;   /* of the table */
    _Atomic(const wilor_module_head *) table; /* wilor_module_once's; NULL until then */
} wilor_module;

/* The module's table: from the file that the variable names, else from beside this library, else by the system's
 * search. It stays loaded.
 *   errors  ERR_UNSUPPORTED (there is none, or it is another version's); the text goes on where a subject was
 *           named: "cannot be loaded: …" */
wilor_status wilor_module_open(const wilor_module_head **out, const wilor_module *module,
                               wilor_error *err);

/* The same, which searches no more once it has found it, and gives back the pages that loading alone needed
 * (loaded_pages.h); by any threads. */
wilor_status wilor_module_once(const wilor_module_head **out, wilor_module *module,
                               wilor_error *err);

#endif
