/* What a stream says of itself: in its hello, and as GET /info. */
#ifndef WILOR_CLI_LIVE_INFO_H
#define WILOR_CLI_LIVE_INFO_H

#include "model_open.h"
#include <jansson.h>

enum { WILOR_CLI_SHA256_ROOM = 65 };

/* The hash of a file in the hub's cache, which is the name of what its link leads to; "" for another
 * file. */
void wilor_cli_hub_sha256(char out[WILOR_CLI_SHA256_ROOM], const char *path);

/* The caller drops it with json_decref. NULL: no memory. */
json_t *wilor_cli_live_info(const wilor_cli_predict_options *p, const wilor_cli_opened *opened,
                            const char *stream);

#endif
