/* What was trusted once: commit and SHA-256 of every file that was used, in pins.json of our own
 * cache folder. */
#ifndef WILOR_HUB_PINS_H
#define WILOR_HUB_PINS_H

#include "hub_names.h"
#include <stdint.h>

typedef struct wilor_hub_pin {
    char commit[41];
    char etag[WILOR_HUB_ETAG];
    char sha256[65];
    uint64_t size;
} wilor_hub_pin;

/* *found tells whether there is one. ERR_FORMAT: the file is damaged. own: our cache folder. */
wilor_status wilor_hub_pins_find(wilor_hub_pin *pin, bool *found, const char *own,
                                 const wilor_hub_repo *repo, const char *file,
                                 wilor_error *err);
/* Best effort where the folder cannot be written; ERR_FORMAT as above. */
wilor_status wilor_hub_pins_write(const wilor_hub_pin *pin, const char *own,
                                  const wilor_hub_repo *repo, const char *file,
                                  wilor_error *err);
/* Whether a pin could be written: if not, hashing for one is wasted. */
bool wilor_hub_pins_writable(const char *own);

#endif
