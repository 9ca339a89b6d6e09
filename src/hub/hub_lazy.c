/* Requests in a libwilor_io that loads libcurl when the hub is asked: of thirty libraries, for TLS, Kerberos, LDAP and
 * more, a run whose files are there needs none. What uses it is the module libwilor_download. */
#include "hub_module.h"

static wilor_module g_module = {.file = "libwilor_download.so.0",
                                .variable = "WILOR_DOWNLOAD_MODULE",
                                .entry = WILOR_HUB_ENTRY,
                                .abi = WILOR_HUB_ABI,
                                .size = sizeof(wilor_hub_table)};

/* The first open has loaded it. */
static const wilor_hub_table *table(void) {
    return (const wilor_hub_table *)atomic_load(&g_module.table); /* its first member */
}

wilor_status wilor_hub_http_open(wilor_hub_http **out, const wilor_hub_settings *s,
                                 const wilor_callbacks *callbacks, wilor_error *err) {
    const wilor_module_head *head;
    wilor_error why;
    *out = NULL;
    wilor_status st = wilor_module_once(&head, &g_module, &why);
    if (st != WILOR_OK)
        return wilor_error_set(err, st,
                               "downloads need the module %s and libcurl; install both: it %s",
                               g_module.file, why.text);
    return table()->open(out, s, callbacks, err);
}

void wilor_hub_http_close(wilor_hub_http **http) {
    if (*http)
        table()->close(http);
}

wilor_status wilor_hub_http_head(wilor_hub_http *http, const char *url, wilor_hub_reply *r,
                                 wilor_error *err) {
    return table()->ask(http, url, r, err);
}

wilor_status wilor_hub_http_get(wilor_hub_http *http, const char *url, uint64_t from,
                                const wilor_hub_sink *sink, wilor_hub_reply *r,
                                wilor_error *err) {
    return table()->get(http, url, from, sink, r, err);
}

wilor_status wilor_hub_http_wait(wilor_hub_http *http, double seconds, wilor_error *err) {
    return table()->wait(http, seconds, err);
}
