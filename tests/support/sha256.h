/* SHA-256 (FIPS 180-4) for tests: plain C, no speed. */
#ifndef WILOR_TEST_SHA256_H
#define WILOR_TEST_SHA256_H

#include <stddef.h>

/* 64 lower-case hex digits and a zero byte. */
void sha256_hex(const void *data, size_t size, char hex[65]);

#endif
