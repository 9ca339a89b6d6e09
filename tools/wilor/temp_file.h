/* A file that appears under its name only when it is complete. */
#ifndef WILOR_CLI_TEMP_FILE_H
#define WILOR_CLI_TEMP_FILE_H

#include "cli_text.h"
#include <stdio.h>

typedef struct wilor_cli_temp_file {
    FILE *file; /* for reading and writing */
    char *path; /* where it lies now; NULL when it has no name, or when it is the final one */
    char *final_path;
} wilor_cli_temp_file;

/* Create a file beside `path`. Where `path` is something else than a regular file (a device, a
 * pipe) that is opened itself. Zeroed on error. */
wilor_status wilor_cli_temp_open(wilor_cli_temp_file *t, const char *path, wilor_error *err);
/* The same without a name: gone when it is closed. */
wilor_status wilor_cli_temp_spool(wilor_cli_temp_file *t, const char *path, wilor_error *err);
/* Flush, close and rename; on an error the file is discarded. Zeroed after. */
wilor_status wilor_cli_temp_commit(wilor_cli_temp_file *t, wilor_error *err);
/* Remove it; a zeroed one is fine. */
void wilor_cli_temp_discard(wilor_cli_temp_file *t);

/* Make a folder unless it is there; an error when something else is. */
wilor_status wilor_cli_folder_make(const char *path, wilor_error *err);

#endif
