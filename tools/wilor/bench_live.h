/* `wilor bench live`: from a frame's arrival to its event's JSON text, through the engine of `wilor live`. */
#ifndef WILOR_CLI_BENCH_LIVE_H
#define WILOR_CLI_BENCH_LIVE_H

#include "bench_result.h"

typedef struct wilor_cli_bench_live wilor_cli_bench_live;

typedef struct wilor_cli_bench_live_options {
    const wilor_model *model;
    const wilor_detector *detector;
    int threads, hands, imgsz;
    /* Hands are where `find` says, whatever the detector makes of the picture: it takes its time all the same. */
    wilor_find_fn find;
    void *find_user;
} wilor_cli_bench_live_options;

wilor_status wilor_cli_bench_live_open(wilor_cli_bench_live **out,
                                       const wilor_cli_bench_live_options *o, wilor_error *err);
/* The next frame, a thirtieth of a second after the one before: waits for its event. */
wilor_status wilor_cli_bench_live_run(wilor_cli_bench_live *l, const wilor_picture *picture,
                                      wilor_cli_bench_run *run, wilor_error *err);
void wilor_cli_bench_live_free(wilor_cli_bench_live **l); /* takes NULL and a pointer to NULL */

#endif
