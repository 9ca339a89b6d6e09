/* What a download says on the terminal. */
#ifndef WILOR_CLI_HUB_CALLS_H
#define WILOR_CLI_HUB_CALLS_H

#include "report.h"

typedef struct wilor_cli_hub_calls {
    wilor_cli_report *report;
    char what[80];  /* the file under way */
    double started; /* when its first bytes were reported … */
    uint64_t from;  /* … and how many there were then: a resumed one has some */
    uint64_t last;
} wilor_cli_hub_calls;

/* Callbacks for wilor_hub_options; c and the report must outlive them. */
wilor_callbacks wilor_cli_hub_calls_begin(wilor_cli_hub_calls *c, wilor_cli_report *report);

/* The program's exit status for what wilor_hub_fetch returned. */
int wilor_cli_hub_exit(wilor_status status);

/* Size, rate, time left as text: "1.23 GB". Returns out. */
enum { WILOR_CLI_BYTES = 24 };

const char *wilor_cli_bytes(char out[WILOR_CLI_BYTES], double bytes);

#endif
