/* The peaks are taken once before and once after all kernels with a number of threads: those of the instructions
 * that each uses, not of the best ones. */
#include "bench_kernels.h"

#include "bench_result.h"
#include "cli_text.h"
#include "interrupt.h"
#include "peak_probe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double SECONDS = 0.2, PEAK_SECONDS = 0.3;

enum { MOST_PROBES = 32 };

typedef struct peaks {
    bool needed[MOST_PROBES];
    double before[MOST_PROBES], after[MOST_PROBES];
} peaks;

static int probe_of(const wilor_kernel_time *t) {
    int index = wilor_probe_for_kernel(t->kernel, wilor_isa_name(t->isa));
    return index < MOST_PROBES ? index : -1;
}

static void take_peaks(peaks *p, double *rates, int threads) {
    for (int i = 0; i < MOST_PROBES && !wilor_cli_interrupted(); i++) {
        wilor_probe_rate r = {0};
        if (p->needed[i])
            wilor_probe_run(i, threads, PEAK_SECONDS, &r);
        rates[i] = r.rate;
    }
}

static json_t *result_of(const wilor_kernel_time *t, const peaks *p) {
    int probe = probe_of(t);
    double rate = t->gflop / t->median_ms * 1e3;
    double most = probe < 0 ? 0 : fmax(p->before[probe], p->after[probe]);
    json_t *peak = json_null();
    if (most > 0)
        peak = json_pack("{s:s,s:o,s:o}", "name", wilor_probe_at(probe)->name, "before",
                         wilor_cli_bench_number(p->before[probe]), "after",
                         wilor_cli_bench_number(p->after[probe]));
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:[i,i,i],s:i,s:i,s:o,s:o,s:o,s:o,s:o,s:o}", "what", "kernels",
        "kernel", t->kernel, "isa", wilor_isa_name(t->isa), "dtype", wilor_dtype_name(t->dtype),
        "work", t->work, "shape", t->rows, t->columns, t->depth, "threads", t->threads, "n",
        t->n, "min_ms", wilor_cli_bench_number(t->min_ms), "median_ms",
        wilor_cli_bench_number(t->median_ms), "p90_ms", wilor_cli_bench_number(t->p90_ms),
        "gflops", wilor_cli_bench_number(rate), "of_peak",
        most > 0 ? wilor_cli_bench_number(rate / most) : json_null(), "peak", peak);
}

/* All kernels with so many threads. */
static wilor_status measure_all(json_t *results, int threads, wilor_error *err) {
    wilor_status st = WILOR_OK;
    peaks p = {0};
    int count = wilor_kernel_count(), done = 0;
    wilor_kernel_time *times = calloc((size_t)count, sizeof *times);
    if (!times)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    for (int i = 0; st == WILOR_OK && i < count; i++) {
        st = wilor_kernel_measure(i, threads, 0, &times[i], sizeof times[i], err);
        int probe = st == WILOR_OK ? probe_of(&times[i]) : -1;
        if (probe >= 0)
            p.needed[probe] = true;
    }
    if (st == WILOR_OK)
        take_peaks(&p, p.before, threads);
    for (; st == WILOR_OK && done < count && !wilor_cli_interrupted(); done++)
        st =
            wilor_kernel_measure(done, threads, SECONDS, &times[done], sizeof times[done], err);
    if (st == WILOR_OK && !wilor_cli_interrupted())
        take_peaks(&p, p.after, threads);
    for (int i = 0; st == WILOR_OK && i < done; i++)
        if (json_array_append_new(results, result_of(&times[i], &p)) != 0)
            st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    free(times);
    return st;
}

wilor_status wilor_cli_bench_kernels(json_t *results, int threads, wilor_error *err) {
    wilor_status st = measure_all(results, 1, err);
    if (st == WILOR_OK && threads > 1 && !wilor_cli_interrupted())
        st = measure_all(results, threads, err);
    return st;
}

/* ---------------------------------------------------------------- text */

static double value(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

void wilor_cli_bench_kernels_head(void) {
    printf("%-16s %-7s %-5s %-10s %16s %8s %10s %10s %10s\n", "kernel", "tier", "type", "work",
           "shape", "threads", "median ms", "GFLOP/s", "of peak");
}

void wilor_cli_bench_kernels_print(const json_t *r) {
    char shape[64];
    const json_t *s = json_object_get(r, "shape"), *peak = json_object_get(r, "peak");
    int size[3];
    for (size_t i = 0; i < 3; i++)
        size[i] = (int)json_integer_value(json_array_get(s, i));
    snprintf(shape, sizeof shape, size[2] ? "%dx%dx%d" : "%dx%d", size[0], size[1], size[2]);
    printf("%-16s %-7s %-5s %-10s %16s %8d %10.3f %10.1f", text(r, "kernel"), text(r, "isa"),
           text(r, "dtype"), text(r, "work"), shape, (int)value(r, "threads"),
           value(r, "median_ms"), value(r, "gflops"));
    if (json_is_object(peak))
        printf(" %8.1f %% of %s %.0f, %.0f", 100 * value(r, "of_peak"), text(peak, "name"),
               value(peak, "before"), value(peak, "after"));
    putchar('\n');
}
