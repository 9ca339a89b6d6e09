/* Times every kernel that runs here on the model's shapes: what `wilor bench kernels` does, without that program. Prints
 * one JSON object.
 *
 * usage: bench_kernels [--threads LIST] [--seconds S] [--isa c|avx2|avx512|amx|neon]
 * LIST: numbers with commas between; 1 and all cores. S: for each kernel, 0.2. --isa: that tier's only. */
#include "bench_json.h"
#include "machine_facts.h"
#include "peak_probe.h"

#include "wilor/wilor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROBES = 32, MOST_LISTED = 16 };

typedef struct settings {
    int threads[MOST_LISTED], count;
    double seconds;
    wilor_isa isa;
} settings;

static int read_list(settings *s, const char *text) {
    char *end;
    for (s->count = 0; s->count < MOST_LISTED; text = end + 1) {
        long n = strtol(text, &end, 10);
        if (end == text || n < 1 || n > 1024)
            return 0;
        s->threads[s->count++] = (int)n;
        if (*end != ',')
            return *end == 0;
    }
    return 0;
}

static int read_settings(settings *s, int argc, char **argv) {
    *s = (settings){{1, wilor_threads_default()}, 2, 0.2, WILOR_ISA_AUTO};
    s->count = s->threads[1] > 1 ? 2 : 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--threads") == 0) {
            if (!read_list(s, value))
                return 0;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            s->seconds = atof(value);
        } else if (strcmp(argv[i], "--isa") == 0) {
            s->isa = wilor_bench_isa(value, s->isa);
        } else {
            return 0;
        }
    }
    return argc % 2 == 1 && s->seconds > 0;
}

/* The rate of the kernel's own instructions, taken when it is first needed. */
static double peak_of(const wilor_kernel_time *t, double *rates, const char **name) {
    int probe = wilor_probe_for_kernel(t->kernel, wilor_isa_name(t->isa));
    wilor_probe_rate r;
    *name = "";
    if (probe < 0 || probe >= MOST_PROBES)
        return 0;
    *name = wilor_probe_at(probe)->name;
    if (rates[probe] == 0) {
        wilor_probe_run(probe, t->threads, 0.3, &r);
        rates[probe] = r.rate;
    }
    return rates[probe];
}

static void print_kernel(const wilor_kernel_time *t, double peak, const char *name, int first) {
    double rate = t->gflop / t->median_ms * 1e3;
    printf("%s{\"what\":\"kernels\",\"kernel\":\"%s\",\"isa\":\"%s\",\"dtype\":\"%s\",\"work\":"
           "\"%s\","
           "\"shape\":[%d,%d,%d],\"threads\":%d,\"n\":%d,\"min_ms\":%.4f,\"median_ms\":%.4f,"
           "\"p90_ms\":%.4f,\"gflops\":%.1f,\"peak\":\"%s\",\"peak_gflops\":%.1f,\"of_peak\":%."
           "3f}",
           first ? "" : ",\n  ", t->kernel, wilor_isa_name(t->isa), wilor_dtype_name(t->dtype),
           t->work, t->rows, t->columns, t->depth, t->threads, t->n, t->min_ms, t->median_ms,
           t->p90_ms, rate, name, peak, peak > 0 ? rate / peak : 0);
    fflush(stdout);
}

int main(int argc, char **argv) {
    settings s;
    wilor_error err;
    const wilor_bench_peak none = {"", 0, 0};
    int printed = 0;
    if (!read_settings(&s, argc, argv)) {
        fprintf(stderr, "usage: see the head of bench/bench_kernels.c\n");
        return 2;
    }
    wilor_bench_print_head(wilor_isa_best(), s.threads[s.count - 1], &none);
    for (int k = 0; k < s.count; k++) {
        double rates[MOST_PROBES] = {0};
        for (int i = 0; i < wilor_kernel_count(); i++) {
            wilor_kernel_time t;
            const char *name;
            wilor_status st = wilor_kernel_measure(i, s.threads[k], 0, &t, sizeof t, &err);
            if (st == WILOR_OK && s.isa != WILOR_ISA_AUTO && t.isa != s.isa)
                continue;
            double peak = st == WILOR_OK ? peak_of(&t, rates, &name) : 0;
            if (st == WILOR_OK)
                st = wilor_kernel_measure(i, s.threads[k], s.seconds, &t, sizeof t, &err);
            if (st != WILOR_OK) {
                fprintf(stderr, "%s\n", err.text);
                return 1;
            }
            print_kernel(&t, peak, name, !printed++);
        }
    }
    puts("]}");
    return 0;
}
