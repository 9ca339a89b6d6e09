/* detector_dtype.h. */
#include "detector_dtype.h"

#include <stdbool.h>
#include <string.h>

wilor_status wilor_cli_open_detector(wilor_detector **out, wilor_detector_options *o,
                                     wilor_dtype model, wilor_error *err) {
    bool exact = model == WILOR_DTYPE_F32 || model == WILOR_DTYPE_F32X;
    if (o->device && !strncmp(o->device, "cuda", 4)) {
        o->dtype = model;
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
