/* Modules that drive a device and are loaded when one is asked for: the core is linked to none of them, so that
 * one package serves machines with and without. */
#ifndef WILOR_DEVICE_MODULE_H
#define WILOR_DEVICE_MODULE_H

#include "net_tensors.h"
#include "status.h"

typedef struct wilor_device_module {
    const char *device;   /* "cuda": what messages begin with */
    const char *drives;   /* "NVIDIA cards" */
    const char *file;     /* "libwilor_cuda.so.0" */
    const char *variable; /* names another file in the environment */
    const char *entry;    /* the module's only symbol: a function without arguments */
    unsigned abi;         /* of the table that it gives */
} wilor_device_module;

/* The module's table: from the file that the variable names, else from beside this library, else by the system's
 * search. It stays loaded. Entry functions return wilor_module_head's address.
 *   errors  ERR_UNSUPPORTED (there is none, or it is another version's) */
wilor_status wilor_device_module_open(const wilor_module_head **out,
                                      const wilor_device_module *module, uint32_t size,
                                      wilor_error *err);

#endif
