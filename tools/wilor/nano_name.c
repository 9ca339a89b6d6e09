/* nano_name.h. */
#include "nano_name.h"

#include <string.h>

bool wilor_cli_is_nano(const char *word) { return word && !strcmp(word, "nano"); }

wilor_status wilor_cli_nano_resolve(const char **word, char path[WILOR_CLI_NANO_ROOM],
                                    wilor_nano_file file, wilor_error *err) {
    if (!wilor_cli_is_nano(*word))
        return WILOR_OK;
    wilor_status st = wilor_nano_path(path, WILOR_CLI_NANO_ROOM, file, err);
    if (st == WILOR_OK)
        *word = path;
    return st;
}
