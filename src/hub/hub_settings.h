/* What the environment says: the variables of Python's huggingface_hub. */
#ifndef WILOR_HUB_SETTINGS_H
#define WILOR_HUB_SETTINGS_H

#include "status.h"
#include <stdbool.h>

typedef struct wilor_hub_settings {
    char *cache;    /* the folder that is shared with Python */
    char *own;      /* ours: pins, notices, packed weights */
    char *endpoint; /* without a slash at its end */
    char *token;    /* NULL: none. Never printed, never sent to another host than the hub's */
    char *ca_file;  /* NULL: the system's certificates */
    bool offline, no_symlinks, terse_agent;
    long etag_timeout, download_timeout; /* seconds */
} wilor_hub_settings;

/* Reads everything; what s points at is to be freed, after errors too. */
wilor_status wilor_hub_settings_read(wilor_hub_settings *s, wilor_error *err);
void wilor_hub_settings_free(wilor_hub_settings *s);

#endif
