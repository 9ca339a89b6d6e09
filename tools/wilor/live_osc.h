/* Events to motion-capture programs: OSC 1.0 over UDP, the bones of the Virtual Motion Capture protocol
 * (VMC) and /wilor/… messages. docs/events.md lists them. Bones are what Unity's humanoid has: parent-local,
 * left-handed, y up; an event's frame is taken as the camera's, so that events are to be given as they were
 * before --extrinsics. */
#ifndef WILOR_CLI_LIVE_OSC_H
#define WILOR_CLI_LIVE_OSC_H

#include "live_event.h"

typedef struct wilor_cli_osc wilor_cli_osc;

/* target: HOST:PORT or [V6]:PORT. ERR_ARG: not such a thing; ERR_IO: no such host, no socket. */
wilor_status wilor_cli_osc_open(wilor_cli_osc **out, const char *target, wilor_error *err);
/* Send what the event says. Never waits and never fails: nobody need be there, and a packet that the system
 * does not take at once is lost, as any packet may be. No allocation. One thread at a time. */
void wilor_cli_osc_send(wilor_cli_osc *osc, const wilor_cli_live_event *e);
/* Packets that the system did not take since the start. */
uint64_t wilor_cli_osc_lost(const wilor_cli_osc *osc);
void wilor_cli_osc_close(wilor_cli_osc **osc); /* takes NULL and a pointer to NULL */

#endif
