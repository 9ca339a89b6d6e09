/* What a file is, by the names in it. */
#ifndef WILOR_CANONICAL_NAMES_H
#define WILOR_CANONICAL_NAMES_H

#include "tensor_index.h"

/* After the names are sorted. */
wilor_file_kind wilor_canonical_kind(const wilor_index *index);

/* The way back, for one tensor: wilor-mlx's name for the checkpoint's, and its layout of a
 * convolution (transposed: of a transposed one), by permuting strides. False: no room. */
bool wilor_mlx_name(char *out, size_t room, const char *name);
void wilor_mlx_permute(wilor_tensor *t, bool transposed);

#endif
