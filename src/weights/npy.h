/* NumPy's array files: npy (one array) and npz (a zip of them). */
#ifndef WILOR_NPY_H
#define WILOR_NPY_H

#include "index_build.h"
#include "zip_directory.h"

wilor_status wilor_npy_read(wilor_index *x, wilor_error *err);
/* All members *.npy, under their names without that ending. */
wilor_status wilor_npz_read(wilor_index *x, const wilor_zip *z, wilor_error *err);

/* Dtype, element size and byte order from a NumPy type string without quotes, as "<f4" or
 * "|b1". False: none that an array of plain elements can have. */
bool wilor_npy_descr(wilor_tensor *t, const char *descr, size_t length);

#endif
