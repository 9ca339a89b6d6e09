/* SHA-256 (FIPS 180-4), piece by piece. */
#ifndef WILOR_HASH_SHA256_H
#define WILOR_HASH_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct wilor_sha256 {
    uint32_t state[8];
    uint64_t bytes;    /* so far */
    uint8_t block[64]; /* the last bytes % 64 of them */
} wilor_sha256;

void wilor_sha256_begin(wilor_sha256 *s);
void wilor_sha256_add(wilor_sha256 *s, const void *data, size_t size);
/* 64 lower-case hex digits and a zero byte; *s is done with. */
void wilor_sha256_end(wilor_sha256 *s, char hex[65]);

#endif
