/* What the program says on stderr: errors, notes, and progress on a terminal. */
#ifndef WILOR_CLI_REPORT_H
#define WILOR_CLI_REPORT_H

#include "cli_text.h"
#include <stddef.h>

typedef struct wilor_cli_report {
    bool quiet;     /* errors only */
    bool terminal;  /* stderr is one: progress is shown */
    bool shown;     /* a progress line stands on the terminal */
    double started; /* seconds, of the monotonic clock */
    double drawn;
} wilor_cli_report;

void wilor_cli_report_begin(wilor_cli_report *r, bool quiet);

/* "wilor: text" on a line of its own; the note only without --quiet. */
void wilor_cli_report_error(wilor_cli_report *r, const char *format, ...)
    WILOR_CLI_PRINTF(2, 3);
void wilor_cli_report_note(wilor_cli_report *r, const char *format, ...) WILOR_CLI_PRINTF(2, 3);

/* Where a run is. */
typedef struct wilor_cli_progress {
    size_t done, total;
    size_t before; /* of those done: by an earlier run, so that they say nothing of the rate */
    size_t hands;  /* of this run */
} wilor_cli_progress;

/* A bar, "done/total", rates, time left, at most ten times a second; nothing unless on a
 * terminal. */
void wilor_cli_report_pictures(wilor_cli_report *r, const wilor_cli_progress *p);
void wilor_cli_report_loading(wilor_cli_report *r, const char *what, uint64_t done,
                              uint64_t total);
/* Takes the progress line away. */
void wilor_cli_report_clear(wilor_cli_report *r);

/* The monotonic clock. */
int64_t wilor_cli_nanoseconds(void);
double wilor_cli_seconds(void);

#endif
