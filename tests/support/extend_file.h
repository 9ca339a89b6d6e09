/* A safetensors file with further tensors behind its own. No test framework. */
#ifndef WILOR_TEST_EXTEND_FILE_H
#define WILOR_TEST_EXTEND_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct extra {
    const char *name;
    int rank;
    int64_t shape[4];
    const void *data;
    size_t bytes;
    bool whole; /* I64, not F32 */
} extra;

/* `from` with these behind its tensors, at `to`. Its metadata's hash no longer holds, which only wilor_verify sees.
 * false: a file could not be read or written. */
bool extend_file(const char *from, const char *to, const extra *extras, int count);

/* The side head's two tensors: of so many inputs, and of so many numbers where one is right. */
extra side_head_weight(const float *data, int inputs);
extra side_head_bias(const float *data, int count);

#endif
