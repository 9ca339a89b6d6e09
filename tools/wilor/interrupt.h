/* SIGINT and SIGTERM, or Ctrl-C and its likes on Windows: the first asks the program to finish what it is at, a second one that comes a
 * quarter of a second later or more ends it. */
#ifndef WILOR_CLI_INTERRUPT_H
#define WILOR_CLI_INTERRUPT_H

#include <stdbool.h>

/* Also ignores SIGPIPE: a closed pipe becomes a failed write. */
void wilor_cli_interrupt_catch(void);
bool wilor_cli_interrupted(void);
/* The same as a cancel callback (wilor_callbacks). */
int wilor_cli_cancel(void *user);

#endif
