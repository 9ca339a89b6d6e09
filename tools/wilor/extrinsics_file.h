/* Where the camera stands: `--extrinsics FILE`, and events moved into that frame. docs/events.md. */
#ifndef WILOR_CLI_EXTRINSICS_FILE_H
#define WILOR_CLI_EXTRINSICS_FILE_H

#include "live_event.h"

/* Read {"matrix":[16 numbers or 4 × 4]}, the list alone, or {"position":[x,y,z],"quaternion":[x,y,z,w]}:
 * camera axes (x right, y down, z forward) to the room's, metres.
 *   errors  ERR_IO; ERR_FORMAT: not JSON, other keys, not a rotation; ERR_LIMIT: over 64 KB or 1000 km */
wilor_status wilor_cli_extrinsics_read(wilor_cli_pose *out, const char *path, wilor_error *err);

typedef struct wilor_cli_mover
    wilor_cli_mover; /* room for moved events; grows with their hands */

wilor_status wilor_cli_mover_create(wilor_cli_mover **out, const wilor_cli_pose *camera,
                                    wilor_error *err);
/* *out: the event in the room's frame; it lives until the next call and as long as `e`. Nothing is allocated
 * once there were as many hands and vertices. ERR_NOMEM. */
wilor_status wilor_cli_mover_move(wilor_cli_mover *m, const wilor_cli_live_event *e,
                                  const wilor_cli_live_event **out, wilor_error *err);
void wilor_cli_mover_free(wilor_cli_mover **m);

#endif
