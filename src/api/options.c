/* Option structs across versions: struct_size comes first in each. */
#include "model_impl.h"

#include <string.h>

wilor_status wilor_options_read(void *own, size_t own_size, const void *theirs,
                                const char *what, wilor_error *err) {
    size_t size;
    memcpy(&size, theirs, sizeof size);
    if (size < sizeof size || size > 4096)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "%s: struct_size is %zu; call the struct's init function first",
                               what, size);
    const unsigned char *bytes = theirs;
    for (size_t i = own_size; i < size; i++)
        if (bytes[i] != 0)
            return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                                   "%s: an option is set that this version (%s) does not know",
                                   what, wilor_version());
    memcpy(own, theirs, size < own_size ? size : own_size);
    memcpy(own, &own_size, sizeof own_size);
    return WILOR_OK;
}

/* Fill `size` bytes of the caller's struct from our defaults. */
static void write_defaults(void *theirs, size_t size, void *own, size_t own_size) {
    size_t common = size < own_size ? size : own_size;
    memset(theirs, 0, size);
    memcpy(theirs, own, common);
    if (size >= sizeof size)
        memcpy(theirs, &size, sizeof size);
}

void wilor_model_options_init(wilor_model_options *o, size_t size) {
    wilor_model_options own = {.max_isa = WILOR_ISA_AUTO};
    write_defaults(o, size, &own, sizeof own);
}

void wilor_session_options_init(wilor_session_options *o, size_t size) {
    wilor_session_options own = {.max_hands = 0};
    write_defaults(o, size, &own, sizeof own);
}

void wilor_detector_options_init(wilor_detector_options *o, size_t size) {
    wilor_detector_options own = {.max_isa = WILOR_ISA_AUTO};
    write_defaults(o, size, &own, sizeof own);
}

void wilor_detect_options_init(wilor_detect_options *o, size_t size) {
    wilor_detect_options own = {.conf = 0};
    write_defaults(o, size, &own, sizeof own);
}

void wilor_pipeline_options_init(wilor_pipeline_options *o, size_t size) {
    wilor_pipeline_options own = {.max_hands = 0};
    write_defaults(o, size, &own, sizeof own);
}

void wilor_predict_options_init(wilor_predict_options *o, size_t size) {
    wilor_predict_options own = {.rescale = 0, .warp = WILOR_WARP_CV5};
    write_defaults(o, size, &own, sizeof own);
}

void wilor_tracker_options_init(wilor_tracker_options *o, size_t size) {
    wilor_tracker_options own = {.smooth = 0.5};
    write_defaults(o, size, &own, sizeof own);
}

void wilor_convert_options_init(wilor_convert_options *o, size_t size) {
    wilor_convert_options own = {.dtype = WILOR_WEIGHTS_F32};
    write_defaults(o, size, &own, sizeof own);
}
