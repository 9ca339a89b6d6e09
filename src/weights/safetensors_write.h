/* safetensors files, written in one pass through a function of the caller's: the header, then the
 * tensors in its order. */
#ifndef WILOR_SAFETENSORS_WRITE_H
#define WILOR_SAFETENSORS_WRITE_H

#include "hash_sha256.h"
#include "tensor_index.h"

typedef struct wilor_planned_tensor {
    char name[80]; /* no character that JSON escapes */
    wilor_tensor_dtype dtype;
    int rank;
    int64_t shape[4];
} wilor_planned_tensor;

typedef struct wilor_header_pair {
    const char *key;   /* no character that JSON escapes */
    const char *value; /* UTF-8; NULL: the pair is left out */
} wilor_header_pair;

typedef struct wilor_safetensors_writer {
    int (*write)(void *user, uint64_t offset, const void *data, size_t size);
    void *user;
    wilor_callbacks callbacks;
    uint64_t at, size;   /* bytes written in order so far, and of the whole file */
    uint64_t digest_at;  /* where the header has the hash of the data */
    wilor_sha256 digest; /* of what follows the header */
} wilor_safetensors_writer;

/* Set write, user and callbacks before. Writes the header: metadata `pairs`, then "data_sha256",
 * which `end` fills in. Padded with blanks to a multiple of 8 bytes. */
wilor_status wilor_safetensors_begin(wilor_safetensors_writer *w,
                                     const wilor_header_pair *pairs, size_t pair_count,
                                     const wilor_planned_tensor *tensors, size_t count,
                                     wilor_error *err);
/* count elements (of 1, 2, 4 or 8 bytes) of the machine's byte order, which are overwritten where
 * that is not the file's. Tells progress; ERR_CANCELLED when the caller wants to stop. */
wilor_status wilor_safetensors_add(wilor_safetensors_writer *w, void *elements, size_t element,
                                   size_t count, wilor_error *err);
/* Every byte was added: the hash goes to its place. */
wilor_status wilor_safetensors_end(wilor_safetensors_writer *w, wilor_error *err);

#endif
