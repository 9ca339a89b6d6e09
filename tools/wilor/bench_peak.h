/* Peak rates for `wilor bench`: of the whole list, and around a measurement. */
#ifndef WILOR_CLI_BENCH_PEAK_H
#define WILOR_CLI_BENCH_PEAK_H

#include <jansson.h>
#include <stdbool.h>

/* Appends a result for every probe of this processor's family; "rate" is null where the processor lacks the
 * instruction. Stops early after an interrupt. False: no memory. */
bool wilor_cli_bench_peak_all(json_t *results, int threads);
/* One result as a line of text. */
void wilor_cli_bench_peak_print(const json_t *result);

/* The rate of one probe before and after something. */
typedef struct wilor_cli_bench_peak {
    const char *name; /* NULL: there is no probe for that arithmetic */
    double before, after;
} wilor_cli_bench_peak;

/* Takes `before` (done false) or `after` (done true) of a dtype's arithmetic, 10⁹ operations a second. */
void wilor_cli_bench_peak_take(wilor_cli_bench_peak *peak, const char *dtype, int threads,
                               bool done);
/* {"name", "before", "after"}, or null; NULL: no memory. */
json_t *wilor_cli_bench_peak_json(const wilor_cli_bench_peak *peak);
/* The larger of both; 0: there is none. */
double wilor_cli_bench_peak_rate(const wilor_cli_bench_peak *peak);

#endif
