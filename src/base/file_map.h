/* A regular file as bytes at an address: read whole when it is small, mapped when it is large.
 *
 * A mapping is a risk: when someone cuts the file, touching what is gone raises SIGBUS, and a
 * library may not catch signals. So only headers of large files are read through the mapping;
 * the mass of their bytes comes by wilor_file_map_read. */
#ifndef WILOR_FILE_MAP_H
#define WILOR_FILE_MAP_H

#include "heap.h"
#include "status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* wilor_file_map_open reads files of up to so many bytes whole. */
enum { WILOR_FILE_WHOLE = 64 << 20 };

typedef struct wilor_file_map {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
    int fd;             /* of a mapped file, open; else -1 */
    bool mapped;        /* else data is our own copy … */
    wilor_pages block;  /* … in here, or from the heap */
    int64_t changed_ns; /* when the file was last written to, 0 where the system does not say */
} wilor_file_map;

/* Only regular files: a folder, a pipe or a device is ERR_IO with that reason. */
wilor_status wilor_file_map_open(wilor_file_map *m, const char *path, wilor_error *err);
/* Mapped whatever its size, its pages shared between processes: for files that are replaced as a
 * whole and never written to. */
wilor_status wilor_file_map_share(wilor_file_map *m, const char *path, wilor_error *err);
/* Never mapped; more than `limit` bytes are ERR_LIMIT. */
wilor_status wilor_file_map_load(wilor_file_map *m, const char *path, uint64_t limit,
                                 wilor_error *err);
void wilor_file_map_close(wilor_file_map *m); /* a zeroed or closed one is fine */

/* Copy `bytes` bytes that lie at `from` in m->data. Whatever happens to the file meanwhile, it is
 * a status: ERR_IO when the bytes are gone. Any number of threads at once. */
wilor_status wilor_file_map_read(const wilor_file_map *m, const void *from, size_t bytes,
                                 void *dst, const char *path, wilor_error *err);

/* What was read through the mapping need not stay resident. A hint. */
void wilor_file_map_release(const wilor_file_map *m);

/* ERR_IO when a mapped file has become shorter. */
wilor_status wilor_file_map_check(const wilor_file_map *m, const char *path, wilor_error *err);

#endif
