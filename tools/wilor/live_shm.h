/* Events to programs of this machine: binary records in a ring of shared memory, a sequence lock a slot.
 * docs/events.md has the layout, examples/shm_reader.c reads it. */
#ifndef WILOR_CLI_LIVE_SHM_H
#define WILOR_CLI_LIVE_SHM_H

#include "live_event.h"

enum {
    WILOR_CLI_SHM_MAGIC = 0x31524C57, /* "WLR1" */
    WILOR_CLI_SHM_VERSION = 1,
    WILOR_CLI_SHM_HEADER = 64,
    WILOR_CLI_SHM_SLOTS = 8,
    WILOR_CLI_SHM_SLOT = 65536,
    WILOR_CLI_SHM_SLOT_HEADER = 16,
    WILOR_CLI_SHM_SIZE = WILOR_CLI_SHM_HEADER + WILOR_CLI_SHM_SLOTS * WILOR_CLI_SHM_SLOT
};

typedef struct wilor_cli_shm wilor_cli_shm;

/* name: as for shm_open(3), the slash at its beginning may be missing. A ring whose writer died is taken over.
 * ERR_ARG: no such name; ERR_IO: another writer has it, the name is of something else, or the system's
 * reason. */
wilor_status wilor_cli_shm_open(wilor_cli_shm **out, const char *name, wilor_error *err);
/* Put the event into the oldest slot; readers are never waited for. What does not fit 64 KB goes without
 * vertices; hands that do not fit then are left out. No allocation. One thread at a time. */
void wilor_cli_shm_send(wilor_cli_shm *shm, const wilor_cli_live_event *e);
/* Events that had to be shortened since the start. */
uint64_t wilor_cli_shm_shortened(const wilor_cli_shm *shm);
/* Tell readers that it is over, and remove the name. */
void wilor_cli_shm_close(wilor_cli_shm **shm); /* takes NULL and a pointer to NULL */

#endif
