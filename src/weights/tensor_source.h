/* Where the network's tensors come from: up to three files under one set of names, with
 * upstream's precedence. */
#ifndef WILOR_TENSOR_SOURCE_H
#define WILOR_TENSOR_SOURCE_H

#include "tensor_index.h"

typedef struct wilor_tensor_source {
    const wilor_index *weights; /* canonical names, never NULL */
    const wilor_index *mano;    /* or NULL */
    const wilor_index *mean;    /* or NULL */
} wilor_tensor_source;

/* The file that answers for a name, its tensor in *out; NULL when no file has it. The
 * checkpoint's own values win over the others, but beside wilor-mlx's files the init_* of
 * mano.npz win. */
const wilor_index *wilor_source_find(const wilor_tensor_source *s, const char *name,
                                     const wilor_tensor **out);

/* The same, and its shape must be `shape` (rank numbers; a dimension of 1 in front may be
 * missing or extra). Errors: ERR_MODEL naming the tensor, the file and both shapes. */
wilor_status wilor_source_need(const wilor_tensor_source *s, const char *name, int rank,
                               const int64_t *shape, const wilor_index **index,
                               const wilor_tensor **out, wilor_error *err);

/* "3 × 16 × 16" into a buffer; returns it. */
typedef struct wilor_shape_text {
    char text[128];
} wilor_shape_text;

const char *wilor_shape_print(wilor_shape_text *buf, int rank, const int64_t *shape);

#endif
