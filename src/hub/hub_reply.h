/* What an HTTP answer says, line by line of its head. Knows no socket. */
#ifndef WILOR_HUB_REPLY_H
#define WILOR_HUB_REPLY_H

#include "hub_names.h"
#include <stdint.h>

#define WILOR_HUB_UNKNOWN UINT64_MAX

typedef struct wilor_hub_reply {
    long status;     /* 0: no answer */
    bool broken;     /* the connection ended before the answer did */
    bool no_memory;  /* a header was dropped for that */
    bool encoded;    /* gzip or the like: lengths speak of something else */
    bool is_html;    /* the body is a page to be looked at */
    char *location;  /* as it was sent, or NULL; its query is a secret */
    char commit[41]; /* X-Repo-Commit, "" when missing or no commit */
    char etag[WILOR_HUB_ETAG], linked_etag[WILOR_HUB_ETAG]; /* clean; "" when missing */
    uint64_t length, linked_size;                           /* or WILOR_HUB_UNKNOWN */
    uint64_t range_first, range_total;       /* of Content-Range, or WILOR_HUB_UNKNOWN */
    long retry_after;                        /* seconds, or -1 */
    char error_code[32], error_message[160]; /* X-Error-*, printable, "" when missing */
    char problem[200];                       /* why there is no whole answer */
} wilor_hub_reply;

void wilor_hub_reply_init(wilor_hub_reply *r);
void wilor_hub_reply_free(wilor_hub_reply *r); /* leaves it as init does */

/* One line of the head, not terminated, its line end included or not. A status line begins a new
 * answer: after a 100, or a proxy's own. */
void wilor_hub_reply_line(wilor_hub_reply *r, const char *line, size_t length);

bool wilor_hub_reply_is_redirect(const wilor_hub_reply *r);

#endif
