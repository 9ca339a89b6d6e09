/* Modules that drive a device: the core is linked to none of them, so that one package serves machines with and
 * without. */
#ifndef WILOR_DEVICE_MODULE_H
#define WILOR_DEVICE_MODULE_H

#include "module.h"
#include "net_tensors.h"

typedef struct wilor_device_module {
    const char *device; /* "cuda": what messages begin with */
    const char *drives; /* "NVIDIA cards" */
    wilor_module module;
} wilor_device_module;

/* As wilor_module_open, with the device in the message. */
wilor_status wilor_device_module_open(const wilor_module_head **out,
                                      const wilor_device_module *module, wilor_error *err);

#endif
