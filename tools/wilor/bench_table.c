/* Prints what the JSON says, so that both say the same. */
#include "bench_table.h"

#include "bench_kernels.h"
#include "bench_peak.h"
#include "bench_published.h"
#include "wilor/wilor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Above this the machine was busy with something else. */
static const double UNSTEADY = 0.05;

static double value(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static const char *plural(double n) { return n == 1 ? "" : "s"; }

/* One line: what ran, what it was built from and how. */
static void print_head(const json_t *env) {
    printf("%s, %s, %d thread%s of %d CPU%s", text(env, "cpu"), text(env, "isa"),
           (int)value(env, "threads"), plural(value(env, "threads")),
           (int)value(env, "affinity"), plural(value(env, "affinity")));
    if (value(env, "quota") > 0)
        printf(", quota %.1f", value(env, "quota"));
    printf("; %s; %s\n", wilor_build_info(), text(env, "build"));
}

static void print_row(const char *name, int indent, const json_t *object) {
    printf("%*s%-*s %10.3f %10.3f %10.3f", indent, "", 16 - indent, name,
           value(object, "min_ms"), value(object, "median_ms"), value(object, "p90_ms"));
    if (json_object_get(object, "busy"))
        printf(" %8.1f %% %10.3f", 100 * value(object, "busy"), value(object, "wait_ms"));
    putchar('\n');
}

static void print_stage(const char *name, const json_t *stage) {
    const char *phase;
    json_t *one;
    print_row(name, 2, stage);
    json_object_foreach(json_object_get(stage, "phases"), phase, one) {
        if (value(one, "p90_ms") > 0) /* not all arithmetics have all phases */
            print_row(phase, 4, one);
    }
}

/* Whether the machine did the same before and after. */
static bool print_peak(const char *word, const json_t *peak) {
    double before = value(peak, "before"), after = value(peak, "after");
    printf(" %s %s, which had %.0f before and %.0f after", word, text(peak, "name"), before,
           after);
    return fabs(before - after) <= UNSTEADY * fmin(before, after);
}

/* "210 GFLOP/s: 84.2 % of f32-avx512, which had 247.1 before and 249.0 after" */
static void print_rates(const json_t *one) {
    const json_t *other = json_object_get(one, "detector_peak");
    bool steady = true;
    printf("  %.0f GFLOP/s", value(one, "gflops"));
    if (json_is_number(json_object_get(one, "of_peak"))) {
        printf(": %.1f %%", 100 * value(one, "of_peak"));
        steady = print_peak("of", json_object_get(one, "peak"));
        if (other)
            steady &= print_peak("and", other);
    }
    putchar('\n');
    if (!steady)
        printf("  the machine was busy: a peak moved by more than %.0f %%\n", 100 * UNSTEADY);
}

/* Of live: pictures that the detector saw, and the others. */
static void print_split(const json_t *one) {
    static const char *const keys[] = {"with_detect", "without_detect"};
    static const char *const names[] = {"detector ran", "it did not"};
    for (int i = 0; i < 2; i++) {
        const json_t *part = json_object_get(one, keys[i]);
        if (value(part, "n") > 0) {
            print_row(names[i], 2, part);
            printf("%*s%.0f picture%s\n", 4, "", value(part, "n"), plural(value(part, "n")));
        }
    }
}

static void print_times(const json_t *one) {
    const char *name;
    json_t *stage;
    print_row(text(one, "what"), 0, one);
    json_object_foreach(json_object_get(one, "stages"), name, stage) print_stage(name, stage);
    print_split(one);
    printf("  %s on %s, ", text(one, "dtype"), text(one, "device"));
    if (json_object_get(one, "hands"))
        printf("%d hand%s, ", (int)value(one, "hands"), plural(value(one, "hands")));
    if (json_object_get(one, "p99_ms"))
        printf("99 %% %.3f ms, ", value(one, "p99_ms"));
    printf("%d run%s, %.0f MB at most\n", (int)value(one, "n"), plural(value(one, "n")),
           value(one, "rss_mb"));
    if (json_object_get(one, "gflops"))
        print_rates(one);
    if (json_object_get(one, "published"))
        wilor_cli_bench_published_print(json_object_get(one, "published"));
}

static int is(const json_t *one, const char *what) {
    return strcmp(text(one, "what"), what) == 0;
}

void wilor_cli_bench_table(const json_t *env, const json_t *results) {
    size_t i;
    json_t *one;
    int timed = 0, kernels = 0;
    print_head(env);
    putchar('\n');
    json_array_foreach(results, i, one) {
        if (is(one, "peak")) {
            wilor_cli_bench_peak_print(one);
            continue;
        }
        if (is(one, "kernels")) {
            if (!kernels++)
                wilor_cli_bench_kernels_head();
            wilor_cli_bench_kernels_print(one);
            continue;
        }
        if (!timed++)
            printf("%s%-16s %10s %10s %10s %10s %10s\n", i ? "\n" : "", "milliseconds",
                   "minimum", "median", "90 %", "busy", "waiting");
        print_times(one);
    }
}
