/* A file's hands smoothed from both sides (`live --two-sided`): events are kept until the source's end, each
 * id is smoothed as a whole, then all events are given out. */
#ifndef WILOR_CLI_LIVE_BOTH_SIDES_H
#define WILOR_CLI_LIVE_BOTH_SIDES_H

#include "live_engine.h"

typedef struct wilor_cli_both_sides wilor_cli_both_sides;

/* smooth: of wilor_track_smooth. with_vertices: keep meshes, 9 KB a hand and frame, beside the other 3. */
wilor_status wilor_cli_both_sides_open(wilor_cli_both_sides **out, const wilor_model *model,
                                       double smooth, bool with_vertices, wilor_error *err);
/* Keep an event, which needs its results; from an engine whose own smoothing is off. ERR_NOMEM. */
wilor_status wilor_cli_both_sides_add(wilor_cli_both_sides *b, const wilor_cli_live_event *e,
                                      wilor_error *err);
/* Smooth, then hand every event to fn in its order, without results. Stops at fn's first false: that is
 * WILOR_OK, too. */
wilor_status wilor_cli_both_sides_finish(wilor_cli_both_sides *b,
                                         bool (*fn)(void *user, const wilor_cli_live_event *e),
                                         void *user, wilor_error *err);
void wilor_cli_both_sides_free(wilor_cli_both_sides **b); /* takes NULL and a pointer to NULL */

#endif
