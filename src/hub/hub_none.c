/* The hub's functions in a build that lacks libcurl, libcrypto or jansson: all say so. */
#include "status.h"
#include "wilor/wilor_io.h"

#include <string.h>

static wilor_status none(wilor_error *err) {
    return wilor_error_set(
        err, WILOR_ERR_UNSUPPORTED,
        "this build cannot download, nor look into the hub's cache: it was made "
        "without libcurl, libcrypto or jansson");
}

int wilor_hub_available(void) { return 0; }

void wilor_hub_options_init(wilor_hub_options *o, size_t size) {
    memset(o, 0, size);
    if (size >= sizeof size)
        memcpy(o, &size, sizeof size);
}

wilor_status wilor_hub_fetch(char *path, size_t room, const char *repo, const char *file,
                             const wilor_hub_options *o, wilor_error *err) {
    (void)repo;
    (void)file;
    (void)o;
    if (room)
        path[0] = 0;
    return none(err);
}

wilor_status wilor_hub_folder(char *path, size_t room, wilor_hub_place place,
                              wilor_error *err) {
    (void)place;
    if (room)
        path[0] = 0;
    return none(err);
}

wilor_status wilor_hub_cache_each(wilor_hub_each_fn each, void *user, wilor_error *err) {
    (void)each;
    (void)user;
    return none(err);
}
