/* Strings on the heap, put together piece by piece; running out of memory is noticed at the end. */
#ifndef WILOR_HUB_TEXT_H
#define WILOR_HUB_TEXT_H

#include "status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct wilor_hub_text {
    char *data; /* terminated; NULL while empty */
    size_t length, room;
    bool failed; /* no memory: data is NULL from then on */
} wilor_hub_text;

void wilor_hub_text_add(wilor_hub_text *t, const char *bytes, size_t count);
void wilor_hub_text_put(wilor_hub_text *t, const char *text);
/* Hands the string over, "" when nothing was added; NULL: no memory. */
char *wilor_hub_text_take(wilor_hub_text *t);

/* All arguments behind each other, ended by a null pointer; NULL: no memory. */
char *wilor_hub_concat(const char *first, ...);

/* Text of a small file, at most `most` bytes of it; NULL: not there, not readable, larger, or no
 * memory. */
char *wilor_hub_read_text(const char *path, size_t most);

/* "out of memory while …" */
wilor_status wilor_hub_no_memory(wilor_error *err);

/* Eight hex digits that another process will hardly have: for temporary names, made with O_EXCL. */
typedef struct wilor_hub_nonce {
    char text[9];
} wilor_hub_nonce;

const char *wilor_hub_nonce_make(wilor_hub_nonce *n);

#endif
