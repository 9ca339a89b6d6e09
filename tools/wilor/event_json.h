/* Events, version 1, as JSON: docs/events.md. */
#ifndef WILOR_CLI_EVENT_JSON_H
#define WILOR_CLI_EVENT_JSON_H

#include "cli_text.h"
#include <jansson.h>

typedef struct wilor_cli_event {
    const char *source; /* the picture's path, any bytes */
    int width, height;
    bool mirrored;
    bool camera;       /* false for crops: nothing then that needs a place in a picture */
    bool camera_given; /* by the user, not guessed */
    bool detect;       /* a detector looked for hands */
    unsigned include;  /* WILOR_CLI_MANO … */
    double decode_ms, total_ms;
} wilor_cli_event;

/* The event of one picture. The caller drops *out with json_decref. */
wilor_status wilor_cli_event_build(json_t **out, const wilor_cli_event *e,
                                   const wilor_model *model, const wilor_hands *hands,
                                   wilor_error *err);

/* A float as the shortest decimal that reads back as the same float; null when it is not
 * finite. Written out with JSON_REAL_PRECISION(9). */
json_t *wilor_cli_json_float(float value);

/* json_dumps, but NULL whenever there was no memory: jansson's own (2.14) leaves out a key that
 * it had no memory for, and goes on. The caller frees. */
char *wilor_cli_json_text(const json_t *value, size_t flags);

#endif
