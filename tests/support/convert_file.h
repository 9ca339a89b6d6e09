/* wilor_convert into a file, for tests of what is read from one. No test framework. */
#ifndef WILOR_TEST_CONVERT_FILE_H
#define WILOR_TEST_CONVERT_FILE_H

#include "wilor/wilor.h"

/* The weights `from` in the file `to`, whatever it held before. group: numbers that share a scale; 0: the layout's rule.
 * Errors: as wilor_convert; ERR_IO (the file cannot be written). */
wilor_status convert_file(const char *from, const char *to, wilor_weights_layout layout,
                          wilor_weights_dtype dtype, int group, wilor_error *err);

#endif
