/* How many hands are computed together. They share one reading of the weights, which is worth its memory where
 * those come from the machine's memory each time; a small model's stay in a cache. */
#ifndef WILOR_CLI_BATCH_H
#define WILOR_CLI_BATCH_H

#include "wilor/wilor.h"

static inline int wilor_cli_batch(const wilor_model *model, int most) {
    enum { CACHED = 16 << 20 };

    wilor_model_info info = {0};
    if (model)
        wilor_model_get_info(model, &info, sizeof info);
    return info.packed_bytes > 0 && info.packed_bytes < CACHED ? 1 : most;
}

#endif
