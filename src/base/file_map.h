/* A regular file mapped read-only. */
#ifndef WILOR_FILE_MAP_H
#define WILOR_FILE_MAP_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct wilor_file_map {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
    int fd; /* kept open, to notice that the file shrank; -1 when none */
} wilor_file_map;

/* Map a whole file. Only regular files: a folder, a pipe or a device is ERR_IO with that
 * reason. */
wilor_status wilor_file_map_open(wilor_file_map *m, const char *path, wilor_error *err);
void wilor_file_map_close(wilor_file_map *m); /* a zeroed or closed one is fine */

/* We are done with these bytes for now: their pages need not count as ours. A hint. */
void wilor_file_map_release(const wilor_file_map *m, const void *from, size_t bytes);

/* ERR_IO when the file has become shorter than what was mapped: reading past its end would
 * raise SIGBUS. Call it before a long read; a writer who cuts a file while we read it is caught
 * here, not in between. */
wilor_status wilor_file_map_check(const wilor_file_map *m, const char *path, wilor_error *err);

#endif
