/* CRC-32 as zip files carry it. */
#ifndef WILOR_CRC32_H
#define WILOR_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t wilor_crc32(const uint8_t *data, size_t size);
/* Of what had the checksum `crc` (nothing: 0) and these bytes behind it. */
uint32_t wilor_crc32_more(uint32_t crc, const uint8_t *data, size_t size);

#endif
