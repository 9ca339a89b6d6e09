/* Option structs across versions: struct_size comes first in each. As src/api/options.c does it;
 * libwilor keeps its own to itself. */
#include "video_impl.h"

#include <string.h>

wilor_status wilor_video_options_read(void *own, size_t own_size, const void *theirs,
                                      const char *what, wilor_error *err) {
    enum { MOST = 4096 };

    size_t size;
    memcpy(&size, theirs, sizeof size);
    if (size < sizeof size || size > MOST)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "%s: struct_size is %zu; call the struct's init function first",
                               what, size);
    const unsigned char *bytes = theirs;
    for (size_t i = own_size; i < size; i++)
        if (bytes[i] != 0)
            return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                                   "%s: an option is set that this version does not know",
                                   what);
    memcpy(own, theirs, size < own_size ? size : own_size);
    memcpy(own, &own_size, sizeof own_size);
    return WILOR_OK;
}

void wilor_video_defaults_write(void *theirs, size_t size, void *own, size_t own_size) {
    memset(theirs, 0, size);
    memcpy(theirs, own, size < own_size ? size : own_size);
    if (size >= sizeof size)
        memcpy(theirs, &size, sizeof size);
}

void wilor_video_options_init(wilor_video_options *o, size_t size) {
    wilor_video_options own = {.width = 0};
    wilor_video_defaults_write(o, size, &own, sizeof own);
}

void wilor_video_writer_options_init(wilor_video_writer_options *o, size_t size) {
    wilor_video_writer_options own = {.audio_start = INT64_MIN};
    wilor_video_defaults_write(o, size, &own, sizeof own);
}
