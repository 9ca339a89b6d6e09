/* Errors inside the library: one status, one caller-owned line of text. */
#ifndef WILOR_STATUS_H
#define WILOR_STATUS_H

#include "system.h"
#include "wilor/wilor.h"

#if defined(__GNUC__)
#define WILOR_PRINTF(fmt, args) __attribute__((format(WILOR_SYS_PRINTF, fmt, args)))
#else
#define WILOR_PRINTF(fmt, args)
#endif

/* Fill *err (NULL is fine) and return status. Text is cut at the buffer's end, never in the
 * middle of a UTF-8 sequence; control characters are replaced by '?'. */
wilor_status wilor_error_set(wilor_error *err, wilor_status status, const char *format, ...)
    WILOR_PRINTF(3, 4);

/* Clear *err (NULL is fine). */
void wilor_error_clear(wilor_error *err);

/* A name from a file or a command line as it may stand in a message: quoted, control characters
 * as \n or \xNN, at most its last 200 bytes. Returns buf. */
typedef struct wilor_quoted {
    char text[256];
} wilor_quoted;

const char *wilor_quote(wilor_quoted *buf, const char *name);

/* For functions with `wilor_status st` and a label `done`. */
#define WILOR_TRY(call)                                                                        \
    do {                                                                                       \
        st = (call);                                                                           \
        if (st != WILOR_OK)                                                                    \
            goto done;                                                                         \
    } while (0)

/* st = wilor_error_set(…), then to done. */
#define WILOR_FAIL(err, status, ...)                                                           \
    do {                                                                                       \
        st = wilor_error_set(err, status, __VA_ARGS__);                                        \
        goto done;                                                                             \
    } while (0)

#endif
