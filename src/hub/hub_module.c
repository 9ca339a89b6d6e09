/* libwilor_download's only symbol. The rest of the module is hub_http.c and what it uses. */
#include "hub_module.h"

__attribute__((visibility("default"))) const wilor_module_head *wilor_download_get_table(void);

const wilor_module_head *wilor_download_get_table(void) {
    static const wilor_hub_table table = {
        .head = {WILOR_HUB_ABI, sizeof table},
        .open = wilor_hub_http_open,
        .close = wilor_hub_http_close,
        .ask = wilor_hub_http_head,
        .get = wilor_hub_http_get,
        .wait = wilor_hub_http_wait,
    };
    return &table.head;
}
