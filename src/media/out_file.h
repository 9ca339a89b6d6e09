/* A file that appears whole or not at all. */
#ifndef WILOR_OUT_FILE_H
#define WILOR_OUT_FILE_H

#include "status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wilor_out_file {
    char *target;    /* where it shall stand; symbolic links are followed */
    char *temporary; /* NULL when written in place: a pipe or a device */
    int fd;
    /* Instead of a file: bytes on the heap. */
    bool in_memory;
    uint8_t *bytes;
    size_t used, room;
} wilor_out_file;

/* Begin. On error *f is as after discard. */
wilor_status wilor_out_file_open(wilor_out_file *f, const char *path, wilor_error *err);
/* Collect in memory; the bytes are the caller's, commit and discard leave them alone. */
void wilor_out_file_open_memory(wilor_out_file *f);
/* Append. After an error only discard makes sense. */
wilor_status wilor_out_file_write(wilor_out_file *f, const void *data, size_t size,
                                  wilor_error *err);
/* Close and put it in its place. On error nothing is left behind. *f is done with in any case. */
wilor_status wilor_out_file_commit(wilor_out_file *f, wilor_error *err);
/* Remove what was written; a zeroed, committed or discarded one is fine. */
void wilor_out_file_discard(wilor_out_file *f);

#endif
