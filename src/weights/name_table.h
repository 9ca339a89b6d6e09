/* Names in sorted order, for look-ups that no crafted set of names can slow down. */
#ifndef WILOR_NAME_TABLE_H
#define WILOR_NAME_TABLE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct wilor_name {
    const char *text; /* borrowed, need not be terminated */
    size_t length;
    size_t value; /* what the name stands for: an index */
} wilor_name;

typedef struct wilor_names {
    wilor_name *items;
    size_t count, room;
} wilor_names;

bool wilor_names_add(wilor_names *n, const char *text, size_t length, size_t value);
/* Sort by name, equal names in the order of addition. False: no memory. */
bool wilor_names_sort(wilor_names *n);
/* After sorting: the first entry under that name, or NULL. */
const wilor_name *wilor_names_find(const wilor_names *n, const char *text, size_t length);
/* After sorting: a name that occurs more than once, or NULL. */
const wilor_name *wilor_names_twice(const wilor_names *n);
void wilor_names_free(wilor_names *n);

#endif
