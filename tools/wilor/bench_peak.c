/* Over bench/probe. */
#include "bench_peak.h"

#include "interrupt.h"
#include "peak_probe.h"

#include <math.h>
#include <stdio.h>

static const double SECONDS = 0.5;

static json_t *tenths(double value) { return json_real(round(value * 10) / 10); }

static json_t *result_of(int index, int threads) {
    const wilor_probe *p = wilor_probe_at(index);
    wilor_probe_rate r;
    bool done = wilor_probe_run(index, threads, SECONDS, &r) == WILOR_PROBE_DONE;
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o}", "what", "peak", "name", p->name,
                     "dtype", p->dtype, "instruction", p->instruction, "unit", p->unit, "rate",
                     done ? tenths(r.rate) : json_null(), "slowest_thread",
                     done ? tenths(r.slowest) : json_null(), "fastest_thread",
                     done ? tenths(r.fastest) : json_null());
}

bool wilor_cli_bench_peak_all(json_t *results, int threads) {
    for (int i = 0; i < wilor_probe_count() && !wilor_cli_interrupted(); i++)
        if (json_array_append_new(results, result_of(i, threads)) != 0)
            return false;
    return true;
}

void wilor_cli_bench_peak_print(const json_t *result) {
    const json_t *rate = json_object_get(result, "rate");
    const char *unit = json_string_value(json_object_get(result, "unit"));
    printf("%-16s %-32s ", json_string_value(json_object_get(result, "name")),
           json_string_value(json_object_get(result, "instruction")));
    if (json_is_null(rate))
        puts("not on this processor");
    else
        printf("%10.1f %-8s %8.1f to %.1f a thread\n", json_number_value(rate), unit,
               json_number_value(json_object_get(result, "slowest_thread")),
               json_number_value(json_object_get(result, "fastest_thread")));
}

void wilor_cli_bench_peak_take(wilor_cli_bench_peak *peak, const char *dtype, int threads,
                               bool done) {
    wilor_probe_rate r;
    int index = wilor_probe_for(dtype);
    bool good = wilor_probe_run(index, threads, SECONDS, &r) == WILOR_PROBE_DONE;
    peak->name = good ? wilor_probe_at(index)->name : NULL;
    *(done ? &peak->after : &peak->before) = r.rate;
}

json_t *wilor_cli_bench_peak_json(const wilor_cli_bench_peak *peak) {
    if (!peak->name)
        return json_null();
    return json_pack("{s:s,s:o,s:o}", "name", peak->name, "before", tenths(peak->before),
                     "after", tenths(peak->after));
}

double wilor_cli_bench_peak_rate(const wilor_cli_bench_peak *peak) {
    if (!peak->name)
        return 0;
    return peak->before > peak->after ? peak->before : peak->after;
}
