/* Packed weights in files: kept between runs (--cache-packed), or where the user wants them (convert
 * --to packed). */
#ifndef WILOR_CLI_PACKED_CACHE_H
#define WILOR_CLI_PACKED_CACHE_H

#include "cli_text.h"
#include "wilor/wilor.h"

enum { WILOR_CLI_PACKED_PATH = 4096 };

/* Where the packed form of these files (NULL: not given) lies, whether it is there or not: a name in
 * wilor's own cache for the files' paths and this processor's kernels. The library itself sees
 * whether what is there belongs to what the files are now. */
wilor_status wilor_cli_packed_path(char path[WILOR_CLI_PACKED_PATH], const char *weights,
                                   const char *mano, const char *mean, wilor_dtype dtype,
                                   wilor_error *err);

/* Write it there, whole or not at all. */
wilor_status wilor_cli_packed_write(const char *path, const wilor_model *model,
                                    wilor_error *err);
/* The same in the cache, whose packed weights together are at most WILOR_PACKED_LIMIT bytes (16G):
 * those that nobody uses go first, the least recently used before the others. An error when there
 * is no room then. */
wilor_status wilor_cli_packed_keep(const char *path, const wilor_model *model,
                                   wilor_error *err);

/* Packed weights in use: until the end nobody's cleaning takes the file. fd < 0: there is none. */
typedef struct wilor_cli_packed_use {
    int fd;
} wilor_cli_packed_use;

void wilor_cli_packed_begin(wilor_cli_packed_use *use, const char *path);
/* They were: that counts as the last use. */
void wilor_cli_packed_touch(const wilor_cli_packed_use *use);
void wilor_cli_packed_end(wilor_cli_packed_use *use);

#endif
