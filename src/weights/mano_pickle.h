/* Plain pickles of dictionaries of arrays, as MANO's files are. */
#ifndef WILOR_MANO_PICKLE_H
#define WILOR_MANO_PICKLE_H

#include "index_build.h"

wilor_status wilor_mano_pickle_read(wilor_index *x, wilor_error *err);

#endif
