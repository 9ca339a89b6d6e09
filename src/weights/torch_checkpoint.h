/* What torch.save writes: a zip since version 1.6, before that a row of pickles and raw
 * storages. */
#ifndef WILOR_TORCH_CHECKPOINT_H
#define WILOR_TORCH_CHECKPOINT_H

#include "index_build.h"
#include "pickle.h"
#include "zip_directory.h"

/* The member <root>/data.pkl of a checkpoint, or NULL: another kind of zip. */
const wilor_zip_member *wilor_torch_zip_pickle(const wilor_zip *z);
wilor_status wilor_torch_zip_read(wilor_index *x, const wilor_zip *z, wilor_error *err);

bool wilor_torch_legacy_seen(const uint8_t *data, size_t size);
wilor_status wilor_torch_legacy_read(wilor_index *x, wilor_error *err);

/* Strings and whole numbers of a DICT become metadata of the index. */
wilor_status wilor_torch_metadata(wilor_index *x, const wilor_value *dict, wilor_error *err);

#endif
