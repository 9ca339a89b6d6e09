/* "nano" in place of a path: the free model that comes with wilor. A file of that name is ./nano. */
#ifndef WILOR_CLI_NANO_NAME_H
#define WILOR_CLI_NANO_NAME_H

#include "wilor/wilor_io.h"

#include <stdbool.h>

enum { WILOR_CLI_NANO_ROOM = 4096 };

bool wilor_cli_is_nano(const char *word); /* NULL is not */

/* Where *word is "nano": it becomes the path of nano's file, in `path`. ERR_MISSING as wilor_nano_path. */
wilor_status wilor_cli_nano_resolve(const char **word, char path[WILOR_CLI_NANO_ROOM],
                                    wilor_nano_file file, wilor_error *err);

#endif
