/* Hashes of files: SHA-256, and git's SHA-1 of a blob. */
#ifndef WILOR_HUB_HASH_H
#define WILOR_HUB_HASH_H

#include "status.h"
#include <stdbool.h>

typedef struct wilor_hub_hashes {
    char sha256[65]; /* lower-case hex */
    char git[41]; /* of "blob <size>\0" and the bytes: small files' etag; "" unless asked for */
    uint64_t size;
} wilor_hub_hashes;

/* Read a file once. what stands in progress reports. ERR_IO, ERR_NOMEM, ERR_CANCELLED. */
wilor_status wilor_hub_hash_file(wilor_hub_hashes *h, const char *path, bool git,
                                 const wilor_callbacks *callbacks, const char *what,
                                 wilor_error *err);

/* Whether the hash that this etag is (64 digits: SHA-256; 40: git's) agrees; true for others. */
bool wilor_hub_hash_agrees(const wilor_hub_hashes *h, const char *etag);

#endif
