/* safetensors files. */
#ifndef WILOR_SAFETENSORS_H
#define WILOR_SAFETENSORS_H

#include "index_build.h"

/* Does it look like one? (A length and a brace.) */
bool wilor_safetensors_seen(const uint8_t *data, size_t size);
wilor_status wilor_safetensors_read(wilor_index *x, wilor_error *err);

#endif
