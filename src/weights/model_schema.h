/* The network's tensors under the checkpoint's names, with the shapes that belong together: what
 * a converter writes and what a file is checked against. */
#ifndef WILOR_MODEL_SCHEMA_H
#define WILOR_MODEL_SCHEMA_H

#include "tensor_index.h"

typedef enum wilor_role {
    WILOR_ROLE_OTHER,        /* norms, biases, positions, statistics: always float32 */
    WILOR_ROLE_INIT,         /* the same; may stand in another file */
    WILOR_ROLE_BLOCK_MATRIX, /* qkv, proj, fc1, fc2 of the blocks: may be quantised */
    WILOR_ROLE_MATRIX,       /* other linear layers */
    WILOR_ROLE_CONVOLUTION,  /* (out, in, h, w) */
    WILOR_ROLE_TRANSPOSED    /* (in, out, h, w) */
} wilor_role;

typedef struct wilor_schema {
    int width, depth, mlp;
    bool side_head; /* of its two tensors the file has one at least */
} wilor_schema;

typedef struct wilor_schema_entry {
    char name[64];
    int rank;
    int64_t shape[4];
    wilor_role role;
} wilor_schema_entry;

/* Sizes from a file's shapes (canonical names): width from pos_embed, blocks by counting, the
 * MLP's width from fc1's bias. Errors: ERR_MODEL naming the tensor. */
wilor_status wilor_schema_measure(wilor_schema *out, const wilor_index *index,
                                  wilor_error *err);

size_t wilor_schema_count(const wilor_schema *schema);
/* In the checkpoint's order; then the side head's, where there is one; the three init_* come last. */
void wilor_schema_at(const wilor_schema *schema, size_t i, wilor_schema_entry *out);

#endif
