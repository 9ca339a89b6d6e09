/* One file a set of weights: made anew when the weights change, under the same name. */
#include "packed_cache.h"

#include "temp_file.h"
#include "wilor/wilor_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* FNV-1a; a zero byte ends each. */
static uint64_t mix(uint64_t h, const char *text) {
    for (const char *c = text;; c++) {
        h = (h ^ (unsigned char)*c) * 1099511628211u;
        if (!*c)
            return h;
    }
}

static uint64_t mix_path(uint64_t h, const char *path) {
    char *whole = path ? realpath(path, NULL) : NULL;
    h = mix(h, whole ? whole : path ? path : "");
    free(whole);
    return h;
}

wilor_status wilor_cli_packed_path(char path[WILOR_CLI_PACKED_PATH], const char *weights,
                                   const char *mano, const char *mean, wilor_error *err) {
    enum { NAME = 48 };

    wilor_status st = wilor_hub_folder(path, WILOR_CLI_PACKED_PATH - NAME, WILOR_HUB_OWN, err);
    if (st != WILOR_OK)
        return st;
    uint64_t h = mix(1469598103934665603u, wilor_isa_name(wilor_isa_best()));
    h = mix_path(mix_path(mix_path(h, weights), mano), mean);
    size_t n = strlen(path);
    snprintf(path + n, WILOR_CLI_PACKED_PATH - n, "/packed/%016llx.packed",
             (unsigned long long)h);
    return WILOR_OK;
}

/* The folders above a file. */
static wilor_status make_folders(const char *path, wilor_error *err) {
    wilor_cli_quoted q;
    char folder[WILOR_CLI_PACKED_PATH];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t n = (size_t)(slash - path);
        memcpy(folder, path, n);
        folder[n] = 0;
        if (mkdir(folder, 0777) != 0 && errno != EEXIST)
            return wilor_cli_fail(err, WILOR_ERR_IO, "%s: %s", wilor_cli_quote(&q, folder),
                                  strerror(errno));
    }
    return WILOR_OK;
}

static int write_piece(void *user, const void *data, size_t size) {
    return fwrite(data, 1, size, user) != size;
}

wilor_status wilor_cli_packed_write(const char *path, const wilor_model *model,
                                    wilor_error *err) {
    wilor_cli_temp_file t = {0};
    wilor_status st = wilor_cli_temp_open(&t, path, err);
    if (st == WILOR_OK)
        st = wilor_model_save_packed(model, write_piece, t.file, err);
    if (st == WILOR_OK)
        st = wilor_cli_temp_commit(&t, err);
    wilor_cli_temp_discard(&t);
    return st;
}

wilor_status wilor_cli_packed_keep(const char *path, const wilor_model *model,
                                   wilor_error *err) {
    wilor_status st = make_folders(path, err);
    return st == WILOR_OK ? wilor_cli_packed_write(path, model, err) : st;
}
