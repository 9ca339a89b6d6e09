/* HEAD and GET by libcurl, with the hub's rule of redirects: the token goes to the hub and to nobody
 * else. */
#ifndef WILOR_HUB_HTTP_H
#define WILOR_HUB_HTTP_H

#include "hub_reply.h"
#include "hub_settings.h"

typedef struct wilor_hub_http wilor_hub_http;

/* Both are kept, not copied. */
wilor_status wilor_hub_http_open(wilor_hub_http **out, const wilor_hub_settings *s,
                                 const wilor_callbacks *callbacks, wilor_error *err);
void wilor_hub_http_close(wilor_hub_http **http);

/* HEAD. Redirects within the hub are followed; one to another host is the answer, its location
 * made absolute. OK also for answers that are errors and for none at all (status 0, problem says
 * why); ERR_CANCELLED, ERR_NOMEM. *r is initialised here and to be freed after. */
wilor_status wilor_hub_http_head(wilor_hub_http *http, const char *url, wilor_hub_reply *r,
                                 wilor_error *err);

/* Where a body goes. */
typedef struct wilor_hub_sink {
    void *user;
    /* The head of the last answer is in; false: its body is not wanted. */
    bool (*begin)(void *user, const wilor_hub_reply *r);
    bool (*write)(void *user, const void *data, size_t size); /* false: stop */
} wilor_hub_sink;

/* GET of everything, or of what begins at byte `from`. Redirects are followed. */
wilor_status wilor_hub_http_get(wilor_hub_http *http, const char *url, uint64_t from,
                                const wilor_hub_sink *sink, wilor_hub_reply *r,
                                wilor_error *err);

/* Wait, while looking at the caller's cancel. */
wilor_status wilor_hub_http_wait(wilor_hub_http *http, double seconds, wilor_error *err);

#endif
