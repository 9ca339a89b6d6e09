/* What live and serve have in common: from options and an opened model to an engine's options. */
#ifndef WILOR_CLI_LIVE_SETUP_H
#define WILOR_CLI_LIVE_SETUP_H

#include "live_engine.h"
#include "live_info.h"
#include "live_options.h"

typedef struct wilor_cli_live_setup {
    const wilor_cli_predict_options *p;
    const wilor_cli_tracking_options *tracking;
    const wilor_cli_opened *opened;
    const char *stream;
    const float *betas;                 /* NULL, or 10 numbers */
    char sha256[WILOR_CLI_SHA256_ROOM]; /* out: of the weights, "" unknown */
} wilor_cli_live_setup;

/* Everything but how frames are kept and who is told of failures. It points at what s points at, and at s. */
wilor_cli_engine_options wilor_cli_live_engine_options(wilor_cli_live_setup *s);

#endif
