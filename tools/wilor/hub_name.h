/* Files of a hub as they stand on a command line. */
#ifndef WILOR_CLI_HUB_NAME_H
#define WILOR_CLI_HUB_NAME_H

#include "cli_text.h"

typedef struct wilor_cli_hub_name {
    char repo[128];
    char revision[256]; /* "": none given */
    char file[1056];    /* "": none given */
} wilor_cli_hub_name;

/* "org/name", "org/name@revision", "org/name:path", "org/name@revision:path", also with "datasets/" or
 * "spaces/" before it. False: not of that form. */
bool wilor_cli_hub_name_parse(wilor_cli_hub_name *n, const char *text);

/* Whether a value of --weights means a file here and not one of a hub: it exists, or its first folder
 * does, or it looks like a path, or ends as weights files do. With @ or : it is a hub's unless it
 * exists. */
bool wilor_cli_is_local(const char *text);

#endif
