/* A result that outlives the next call of its session. */
#ifndef WILOR_CLI_HANDS_COPY_H
#define WILOR_CLI_HANDS_COPY_H

#include "wilor/wilor.h"

/* One block; the caller frees it with free(). NULL: no memory. */
wilor_hands *wilor_cli_hands_copy(const wilor_hands *hands);

#endif
