/* Signals: the handler notes when the first one came. A second one gets its default effect, so
 * that a run that does not come to its end can still be stopped; but not one that follows at once:
 * timeout(1), some shells and process managers send one stop to the process and to its group.
 * What is noted is atomic: several threads read it, and any of them may run the handler. */
#include "interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define SAME_STOP_NS 250000000LL

static atomic_llong g_first; /* when the first one came, ns; 0: none did */

static void note(int signal_number) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const long long now = (long long)t.tv_sec * 1000000000LL + t.tv_nsec + 1;
    long long first = 0;
    if (atomic_compare_exchange_strong(&g_first, &first, now) || now - first < SAME_STOP_NS)
        return;
    /* Takes effect when this handler returns. */
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void wilor_cli_interrupt_catch(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    sigaction(SIGPIPE, &action, NULL);
}

bool wilor_cli_interrupted(void) { return atomic_load(&g_first) != 0; }

int wilor_cli_cancel(void *user) {
    (void)user;
    return wilor_cli_interrupted();
}
