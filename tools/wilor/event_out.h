/* Where events go: the standard output or a file, as NDJSON or as readable JSON. */
#ifndef WILOR_CLI_EVENT_OUT_H
#define WILOR_CLI_EVENT_OUT_H

#include "temp_file.h"
#include <jansson.h>

typedef struct wilor_cli_event_out {
    FILE *to;
    wilor_cli_temp_file file; /* zeroed for the standard output */
    const char *name;
    bool pretty; /* readable JSON … */
    bool array;  /* … of which there is one array */
    size_t count;
    bool closed; /* nobody reads the standard output any more */
} wilor_cli_event_out;

/* path: NULL or "-" for the standard output. */
wilor_status wilor_cli_event_out_open(wilor_cli_event_out *o, const char *path, bool pretty,
                                      bool array, wilor_error *err);
/* Write one event and flush. The event stays the caller's. */
wilor_status wilor_cli_event_out_put(wilor_cli_event_out *o, json_t *event, wilor_error *err);
/* Close the array; the file gets its name. */
wilor_status wilor_cli_event_out_finish(wilor_cli_event_out *o, wilor_error *err);
void wilor_cli_event_out_discard(wilor_cli_event_out *o); /* a zeroed or finished one is fine */

#endif
