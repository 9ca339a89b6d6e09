/* Which names a pickle may mention and which it may call. */
#ifndef WILOR_PICKLE_CALL_H
#define WILOR_PICKLE_CALL_H

#include "pickle.h"

typedef enum wilor_pickle_right {
    WILOR_PICKLE_REFUSED, /* not even to be mentioned: os.system, eval … */
    WILOR_PICKLE_NAMED,   /* a class of which objects may exist */
    WILOR_PICKLE_CALLED   /* its call becomes an inert object */
} wilor_pickle_right;

/* path: module, one dot, name. */
wilor_pickle_right wilor_pickle_right_of(const char *path, size_t length);

#endif
