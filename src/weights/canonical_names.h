/* What a file is, by the names in it. */
#ifndef WILOR_CANONICAL_NAMES_H
#define WILOR_CANONICAL_NAMES_H

#include "tensor_index.h"

/* After the names are sorted. */
wilor_file_kind wilor_canonical_kind(const wilor_index *index);

#endif
