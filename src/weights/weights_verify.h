/* What can be wrong with a file that opens: numbers that are not finite, tensors that are missing
 * or have other shapes, metadata that contradicts them. */
#ifndef WILOR_WEIGHTS_VERIFY_H
#define WILOR_WEIGHTS_VERIFY_H

#include "tensor_index.h"

/* Faults are told one by one, by the log callback as warnings. */
typedef struct wilor_verifier {
    const wilor_callbacks *callbacks;
    size_t faults;
    char first[400]; /* the first one's text */
} wilor_verifier;

void wilor_verify_fault(wilor_verifier *v, const char *text);
/* Every number of every tensor of a floating type. Errors: ERR_IO, ERR_NOMEM, ERR_CANCELLED. */
wilor_status wilor_verify_numbers(wilor_verifier *v, const wilor_index *index,
                                  wilor_error *err);
/* A zip archive's checksums; other files have none. *checked: how many members. Errors: as above. */
wilor_status wilor_verify_archive(wilor_verifier *v, const wilor_index *index, size_t *checked,
                                  wilor_error *err);
/* The network's tensors, their shapes, and what the metadata says of them. Canonical names. */
void wilor_verify_network(wilor_verifier *v, const wilor_index *index);

#endif
