/* Signals: the handler notes when the first one came. A second one gets its default effect, so
 * that a run that does not come to its end can still be stopped; but not one that follows at once:
 * timeout(1), some shells and process managers send one stop to the process and to its group.
 * What is noted is atomic: several threads read it, and any of them may run the handler. */
#include "interrupt.h"

#include "report.h"
#include "system_process.h"

#include <stdatomic.h>

#define SAME_STOP_NS 250000000LL

static atomic_llong g_first; /* when the first one came, ns; 0: none did */

/* False: end the program. */
static bool note(void) {
    const long long now = wilor_cli_nanoseconds() + 1;
    long long first = 0;
    return atomic_compare_exchange_strong(&g_first, &first, now) || now - first < SAME_STOP_NS;
}

void wilor_cli_interrupt_catch(void) { wilor_sys_catch_stop(note); }

bool wilor_cli_interrupted(void) { return atomic_load(&g_first) != 0; }

int wilor_cli_cancel(void *user) {
    (void)user;
    return wilor_cli_interrupted();
}
