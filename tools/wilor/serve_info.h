/* What GET /info says. */
#ifndef WILOR_CLI_SERVE_INFO_H
#define WILOR_CLI_SERVE_INFO_H

#include "model_open.h"
#include "serve_options.h"

enum { WILOR_CLI_SHA256_ROOM = 65 };

/* The hash of a file in the hub's cache, which is the name of what its link leads to; "" for another
 * file. */
void wilor_cli_hub_sha256(char out[WILOR_CLI_SHA256_ROOM], const char *path);

/* JSON text; the caller frees. NULL: no memory. */
char *wilor_cli_serve_info(const wilor_cli_serve_options *o, const wilor_cli_opened *opened);

#endif
