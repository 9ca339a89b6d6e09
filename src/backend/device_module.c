/* A device's module, or why there is none. */
#include "device_module.h"

wilor_status wilor_device_module_open(const wilor_module_head **out,
                                      const wilor_device_module *m, wilor_error *err) {
    wilor_error why;
    wilor_status st = wilor_module_open(out, &m->module, &why);
    if (st != WILOR_OK)
        wilor_error_set(err, st, "device %s: the module that drives %s %s", m->device,
                        m->drives, why.text);
    return st;
}
