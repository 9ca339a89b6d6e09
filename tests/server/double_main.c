/* wilor serve with the stand-ins for engine and source: `server_double OPTION …`. */
#include "commands.h"
#include "interrupt.h"

#include <stdio.h>

int wilor_cli_close_output(int status) {
    return fflush(stdout) == 0 ? status : WILOR_CLI_FAILED;
}

int main(int argc, char **argv) {
    wilor_cli_interrupt_catch();
    return wilor_cli_serve(argc - 1, argv + 1);
}
