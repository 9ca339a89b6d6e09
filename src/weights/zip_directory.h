/* The directory of a zip file in memory. */
#ifndef WILOR_ZIP_DIRECTORY_H
#define WILOR_ZIP_DIRECTORY_H

#include "name_table.h"
#include "status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct wilor_zip_member {
    const char *name; /* in the file, not terminated */
    size_t name_length;
    const uint8_t *data; /* as stored */
    size_t stored, size; /* bytes in the file, bytes when unpacked */
    uint32_t crc;
    int method; /* 0: as it is, 8: deflated; others cannot be read */
} wilor_zip_member;

typedef struct wilor_zip {
    wilor_zip_member *members; /* in the directory's order */
    size_t count, room;
    wilor_names names;
} wilor_zip;

/* Every member of a zip that opens lies inside the file, between its header and the directory,
 * under one name of its own. `where` is the quoted path for messages. A zeroed z; on error z
 * stays zeroed. */
wilor_status wilor_zip_open(wilor_zip *z, const uint8_t *data, size_t size, const char *where,
                            wilor_error *err);
void wilor_zip_close(wilor_zip *z); /* a zeroed or closed one is fine */
const wilor_zip_member *wilor_zip_find(const wilor_zip *z, const char *name, size_t length);

#endif
