/* What a measurement of `wilor bench` says: quantiles of its runs, of their stages and of the stages' parts. */
#ifndef WILOR_CLI_BENCH_RESULT_H
#define WILOR_CLI_BENCH_RESULT_H

#include "wilor/wilor.h"

#include <jansson.h>

enum { WILOR_CLI_BENCH_STAGES = 6, WILOR_CLI_BENCH_PARTS = 24 };

/* What one run took, milliseconds. busy: the threads' time in work, all together; 0: nobody counted. */
typedef struct wilor_cli_bench_run {
    double whole;
    double stage[WILOR_CLI_BENCH_STAGES], stage_busy[WILOR_CLI_BENCH_STAGES];
    double part[WILOR_CLI_BENCH_PARTS], part_busy[WILOR_CLI_BENCH_PARTS];
    double gflop; /* 10⁹ operations of the detector; the model's are known without a run */
} wilor_cli_bench_run;

/* What the numbers of a run are: names end with NULL. */
typedef struct wilor_cli_bench_names {
    const char *stage[WILOR_CLI_BENCH_STAGES + 1];
    const char *part[WILOR_CLI_BENCH_PARTS + 1];
    int part_stage[WILOR_CLI_BENCH_PARTS]; /* of which stage */
    int threads;
} wilor_cli_bench_names;

/* Stages first, first + 1 and first + 2 are the session's crop, backbone and hand model, or, with first -1, the
 * latter two are 0 and 1: takes the last call's parts. */
void wilor_cli_bench_take(wilor_cli_bench_run *run, wilor_cli_bench_names *names,
                          const wilor_session *session, int first);

/* Rounded to 1e-3. */
json_t *wilor_cli_bench_number(double value);
/* Sets min_ms, median_ms, p90_ms and, from 100 on, p99_ms of n values, n >= 1, which are sorted. */
void wilor_cli_bench_quantiles(json_t *object, double *values, int n);
/* Sets "with_NAME" and "without_NAME", NAME a stage that not every run has: how many runs had it and had it not, and
 * the quantiles of their whole time. */
void wilor_cli_bench_split(json_t *object, const wilor_cli_bench_names *names, int stage,
                           const wilor_cli_bench_run *runs, int n, double *sorted);
/* {NAME: {min_ms, median_ms, p90_ms, busy, wait_ms, "phases": {…}}, …}. busy: the threads' share of work in a
 * stage's time, wait_ms: what is left of it, a thread; medians. sorted: n numbers of scratch. */
json_t *wilor_cli_bench_stages(const wilor_cli_bench_names *names,
                               const wilor_cli_bench_run *runs, int n, double *sorted);

#endif
