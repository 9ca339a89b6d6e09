/* wilor_convert into a file, for tests of what is read from one. */
#ifndef WILOR_TEST_CONVERT_FILE_H
#define WILOR_TEST_CONVERT_FILE_H

#include "wilor/wilor.h"

/* As the options say, but for where to: the file at `path`, whatever it held before. */
wilor_status convert_file(const char *path, wilor_convert_options *o, wilor_error *err);

#endif
