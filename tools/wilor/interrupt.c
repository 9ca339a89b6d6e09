/* Signals: the handler sets a flag, nothing else. SA_RESETHAND gives the second signal its
 * default effect, so that a run that does not come to its end can still be stopped. The flag is
 * atomic: several threads read it, and any of them may be the one that runs the handler. */
#include "interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

static atomic_int g_interrupted;

static void note(int signal_number) {
    (void)signal_number;
    atomic_store(&g_interrupted, 1);
}

void wilor_cli_interrupt_catch(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = note;
    action.sa_flags = SA_RESTART | (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    sigaction(SIGPIPE, &action, NULL);
}

bool wilor_cli_interrupted(void) { return atomic_load(&g_interrupted) != 0; }

int wilor_cli_cancel(void *user) {
    (void)user;
    return wilor_cli_interrupted();
}
