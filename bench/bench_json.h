/* What the benchmarks here print alike: the head of their JSON object, and peak rates around a measurement. */
#ifndef WILOR_BENCH_JSON_H
#define WILOR_BENCH_JSON_H

#include "wilor/wilor.h"

/* The tier of that name; none has it: `otherwise`. */
wilor_isa wilor_bench_isa(const char *name, wilor_isa otherwise);

/* Peak rate before and after, of the arithmetic of `dtype`; 10⁹ a second, 0 where there is no probe. */
typedef struct wilor_bench_peak {
    const char *name; /* the probe's; "" without */
    double before, after;
} wilor_bench_peak;

/* Measures `before` (done 0) or `after` (done 1). */
void wilor_bench_peak_probe(wilor_bench_peak *peak, const char *dtype, int threads, int done);
/* The larger of both. */
double wilor_bench_peak_rate(const wilor_bench_peak *peak);

/* All probes of this processor, as one JSON object of its own: what `wilor bench peak --json` says. */
void wilor_bench_print_peaks(int threads);

/* {"v":1,"env":{…},"results":[ — the caller goes on with its result and closes with ]}. */
void wilor_bench_print_head(wilor_isa isa, int threads, const wilor_bench_peak *peak);

#endif
