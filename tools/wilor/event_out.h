/* Where events go: the standard output or a file, as NDJSON, as readable JSON or as binary records. */
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
    bool keep;   /* what is there stays when the run does not come to its end */
} wilor_cli_event_out;

/* path: NULL or "-" for the standard output. */
wilor_status wilor_cli_event_out_open(wilor_cli_event_out *o, const char *path, bool pretty,
                                      bool array, wilor_error *err);
/* Go on behind what a former run has left: the file becomes o's. */
void wilor_cli_event_out_adopt(wilor_cli_event_out *o, const wilor_cli_temp_file *file);
/* An event as it is to be written. The caller frees; NULL: no memory. Threads may ask at once. */
char *wilor_cli_event_out_text(const wilor_cli_event_out *o, json_t *event);
/* Write one event's text and flush. */
wilor_status wilor_cli_event_out_put(wilor_cli_event_out *o, const char *text,
                                     wilor_error *err);
/* Write a binary record and flush. */
wilor_status wilor_cli_event_out_bytes(wilor_cli_event_out *o, const void *data, size_t size,
                                       wilor_error *err);
/* Close the array; the file gets its name. */
wilor_status wilor_cli_event_out_finish(wilor_cli_event_out *o, wilor_error *err);
void wilor_cli_event_out_discard(wilor_cli_event_out *o); /* a zeroed or finished one is fine */

#endif
