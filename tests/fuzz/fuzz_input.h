/* What the harnesses share: arbitrary bytes through the readers of weights and pictures, and
 * whatever comes out read to its last element. */
#ifndef WILOR_FUZZ_INPUT_H
#define WILOR_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A number from the bytes, the same for the same bytes. */
uint32_t wilor_fuzz_hash(const uint8_t *data, size_t size);

/* Run target once as it is. For one input in four run it again, and let one of the allocations
 * that the first run made fail: which one follows from the bytes. */
void wilor_fuzz_twice(void (*target)(const uint8_t *data, size_t size), const uint8_t *data,
                      size_t size);

/* Open as a weights file of that name, list, rename, convert. */
void wilor_fuzz_tensors(const uint8_t *data, size_t size, const char *name);

/* Decode as a picture. */
void wilor_fuzz_decode(const uint8_t *data, size_t size);

#endif
