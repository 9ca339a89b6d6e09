/* What GET /info says. */
#ifndef WILOR_CLI_SERVE_INFO_H
#define WILOR_CLI_SERVE_INFO_H

#include "live_info.h"
#include "serve_options.h"

/* JSON text; the caller frees. NULL: no memory. */
char *wilor_cli_serve_info(const wilor_cli_serve_options *o, const wilor_cli_opened *opened);

#endif
