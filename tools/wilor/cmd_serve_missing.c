/* wilor serve in a build without libwebsockets. */
#include "commands.h"

#include <stdio.h>

int wilor_cli_serve(int argc, char **argv) {
    (void)argc, (void)argv;
    fputs(
        "wilor: serve: this build has no server: it was made without libwebsockets (on Debian "
        "the package libwebsockets-dev)\n",
        stderr);
    return WILOR_CLI_FAILED;
}
