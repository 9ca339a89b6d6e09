/* Where there is no shm_open: --shm says so. */
#include "live_shm.h"

#include "cli_text.h"

wilor_status wilor_cli_shm_open(wilor_cli_shm **out, const char *name, wilor_error *err) {
    wilor_cli_quoted q;
    *out = NULL;
    return wilor_cli_fail(err, WILOR_ERR_UNSUPPORTED, "--shm %s: not on this system",
                          wilor_cli_quote(&q, name));
}

void wilor_cli_shm_send(wilor_cli_shm *s, const wilor_cli_live_event *e) {
    (void)s;
    (void)e;
}

uint64_t wilor_cli_shm_shortened(const wilor_cli_shm *s) {
    (void)s;
    return 0;
}

void wilor_cli_shm_close(wilor_cli_shm **s) {
    if (s)
        *s = NULL;
}
