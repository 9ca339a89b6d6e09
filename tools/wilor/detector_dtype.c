/* detector_dtype.h. */
#include "detector_dtype.h"

#include <string.h>

bool wilor_cli_is_own_device(const char *device) {
    return device &&
           (!strncmp(device, "cuda", 4) || !strcmp(device, "mlx") || !strcmp(device, "gpu"));
}

wilor_status wilor_cli_open_detector(wilor_detector **out, wilor_detector_options *o,
                                     wilor_dtype model, wilor_error *err) {
    bool exact = model == WILOR_DTYPE_F32 || model == WILOR_DTYPE_F32X;
    if (wilor_cli_is_own_device(o->device)) {
        /* What a device keeps weights in is the hand model's matter. */
        bool quantised = model == WILOR_DTYPE_INT8 || model == WILOR_DTYPE_INT4;
        o->dtype = quantised ? WILOR_DTYPE_AUTO : exact ? WILOR_DTYPE_F32 : model;
        return wilor_detector_open(out, o, err);
    }
    o->dtype = exact                       ? WILOR_DTYPE_F32
               : model == WILOR_DTYPE_BF16 ? WILOR_DTYPE_BF16
                                           : WILOR_DTYPE_AUTO;
    wilor_status st = wilor_detector_open(out, o, err);
    if (st != WILOR_ERR_UNSUPPORTED || o->dtype != WILOR_DTYPE_BF16)
        return st;
    o->dtype = WILOR_DTYPE_F32;
    return wilor_detector_open(out, o, err);
}
