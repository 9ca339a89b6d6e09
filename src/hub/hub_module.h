/* The table of functions that libwilor_download, which holds what uses libcurl, gives to libwilor_io. Both have the
 * hub's structures, which are no interface: a module goes with the library of its own version alone. */
#ifndef WILOR_HUB_MODULE_H
#define WILOR_HUB_MODULE_H

#include "hub_http.h"
#include "module.h"

enum { WILOR_HUB_ABI = WILOR_MODULE_ABI(1) };

#define WILOR_HUB_ENTRY "wilor_download_get_table"

/* The functions of hub_http.h. */
typedef struct wilor_hub_table {
    wilor_module_head head;
    wilor_status (*open)(wilor_hub_http **out, const wilor_hub_settings *s,
                         const wilor_callbacks *callbacks, wilor_error *err);
    void (*close)(wilor_hub_http **http);
    wilor_status (*ask)(wilor_hub_http *http, const char *url, wilor_hub_reply *r,
                        wilor_error *err);
    wilor_status (*get)(wilor_hub_http *http, const char *url, uint64_t from,
                        const wilor_hub_sink *sink, wilor_hub_reply *r, wilor_error *err);
    wilor_status (*wait)(wilor_hub_http *http, double seconds, wilor_error *err);
} wilor_hub_table;

#endif
