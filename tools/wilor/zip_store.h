/* A zip archive whose members are stored, written front to back into a seekable file. */
#ifndef WILOR_CLI_ZIP_STORE_H
#define WILOR_CLI_ZIP_STORE_H

#include "cli_text.h"
#include <stdio.h>

enum { WILOR_CLI_ZIP_MOST = 32 };

typedef struct wilor_cli_zip_member {
    char name[40];
    uint64_t offset, size;
    uint32_t crc;
} wilor_cli_zip_member;

typedef struct wilor_cli_zip {
    FILE *file; /* the caller's */
    const char *path;
    wilor_cli_zip_member members[WILOR_CLI_ZIP_MOST];
    size_t count;
    uint64_t at; /* bytes written */
    uint32_t crc_table[256];
} wilor_cli_zip;

void wilor_cli_zip_init(wilor_cli_zip *z, FILE *file, const char *path);
/* A member of exactly `size` bytes, given in one or more writes. */
wilor_status wilor_cli_zip_begin(wilor_cli_zip *z, const char *name, uint64_t size,
                                 wilor_error *err);
wilor_status wilor_cli_zip_write(wilor_cli_zip *z, const void *data, size_t bytes,
                                 wilor_error *err);
wilor_status wilor_cli_zip_end(wilor_cli_zip *z, wilor_error *err);
/* The directory. */
wilor_status wilor_cli_zip_finish(wilor_cli_zip *z, wilor_error *err);

#endif
