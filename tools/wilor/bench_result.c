/* Runs to JSON. A stage with one part is that part; one with more lists them as phases, and as "rest" what lies
 * between them: with it they add up to the stage in every run. */
#include "bench_result.h"

#include "machine_facts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

json_t *wilor_cli_bench_number(double value) { return json_real(round(value * 1000) / 1000); }

void wilor_cli_bench_take(wilor_cli_bench_run *run, wilor_cli_bench_names *names,
                          const wilor_session *session, int first) {
    const wilor_profile *p = wilor_session_get_profile(session);
    int n = 0;
    for (int i = 0; i < p->n && n < WILOR_CLI_BENCH_PARTS; i++) {
        int stage = first + p->stage[i];
        if (stage < 0)
            continue; /* crops that were given */
        names->part[n] = p->name[i];
        names->part_stage[n] = stage;
        run->part[n] = p->ms[i];
        run->part_busy[n] = p->busy_ms[i];
        run->stage_busy[stage] += p->busy_ms[i];
        n++;
    }
    names->part[n] = NULL;
    names->threads = p->threads;
}

void wilor_cli_bench_quantiles(json_t *object, double *values, int n) {
    double q[3];
    wilor_machine_quantiles(values, n, q);
    json_object_set_new(object, "min_ms", wilor_cli_bench_number(q[0]));
    json_object_set_new(object, "median_ms", wilor_cli_bench_number(q[1]));
    json_object_set_new(object, "p90_ms", wilor_cli_bench_number(q[2]));
    /* The values are in order now: the one that 99 of 100 do not exceed. */
    if (n >= 100)
        json_object_set_new(object, "p99_ms",
                            wilor_cli_bench_number(values[(99 * n + 99) / 100 - 1]));
}

void wilor_cli_bench_split(json_t *object, const wilor_cli_bench_names *names, int stage,
                           const wilor_cli_bench_run *runs, int n, double *sorted) {
    for (int with = 1; with >= 0; with--) {
        json_t *part = json_object();
        char key[40];
        int k = 0;
        for (int i = 0; i < n; i++)
            if ((runs[i].stage[stage] > 0) == with)
                sorted[k++] = runs[i].whole;
        snprintf(key, sizeof key, "%s_%s", with ? "with" : "without", names->stage[stage]);
        json_object_set_new(part, "n", json_integer(k));
        if (k > 0)
            wilor_cli_bench_quantiles(part, sorted, k);
        json_object_set_new(object, key, part);
    }
}

static double median(double *values, int n) {
    double q[3];
    wilor_machine_quantiles(values, n, q);
    return q[1];
}

/* Times and busy times of something in n runs, `apart` bytes from each other. */
typedef struct column {
    const double *ms, *busy;
    size_t apart;
} column;

static double at(const double *first, size_t apart, int i) {
    double value;
    memcpy(&value, (const char *)first + apart * (size_t)i, sizeof value);
    return value;
}

static json_t *times_of(const column *c, int n, int threads, double *sorted) {
    json_t *object = json_object();
    double counted = 0;
    for (int i = 0; i < n; i++)
        sorted[i] = at(c->ms, c->apart, i);
    wilor_cli_bench_quantiles(object, sorted, n);
    for (int i = 0; i < n; i++)
        counted += at(c->busy, c->apart, i);
    if (counted <= 0)
        return object;
    for (int i = 0; i < n; i++) {
        double ms = at(c->ms, c->apart, i) * threads;
        sorted[i] = ms > 0 ? at(c->busy, c->apart, i) / ms : 0;
    }
    json_object_set_new(object, "busy", wilor_cli_bench_number(median(sorted, n)));
    for (int i = 0; i < n; i++)
        sorted[i] = at(c->ms, c->apart, i) - at(c->busy, c->apart, i) / threads;
    json_object_set_new(object, "wait_ms", wilor_cli_bench_number(fmax(median(sorted, n), 0)));
    return object;
}

/* What lies between a stage's parts. */
static json_t *rest_of(const wilor_cli_bench_names *names, const wilor_cli_bench_run *runs,
                       int n, int stage, double *sorted) {
    json_t *object = json_object();
    for (int i = 0; i < n; i++) {
        sorted[i] = runs[i].stage[stage];
        for (int p = 0; names->part[p]; p++)
            sorted[i] -= names->part_stage[p] == stage ? runs[i].part[p] : 0;
        sorted[i] = fmax(sorted[i], 0);
    }
    wilor_cli_bench_quantiles(object, sorted, n);
    return object;
}

static json_t *phases_of(const wilor_cli_bench_names *names, const wilor_cli_bench_run *runs,
                         int n, int stage, double *sorted) {
    json_t *phases = json_object();
    for (int p = 0; names->part[p]; p++) {
        column c = {&runs->part[p], &runs->part_busy[p], sizeof *runs};
        if (names->part_stage[p] == stage)
            json_object_set_new(phases, names->part[p],
                                times_of(&c, n, names->threads, sorted));
    }
    json_object_set_new(phases, "rest", rest_of(names, runs, n, stage, sorted));
    return phases;
}

json_t *wilor_cli_bench_stages(const wilor_cli_bench_names *names,
                               const wilor_cli_bench_run *runs, int n, double *sorted) {
    json_t *stages = json_object();
    for (int s = 0; names->stage[s]; s++) {
        column c = {&runs->stage[s], &runs->stage_busy[s], sizeof *runs};
        int parts = 0;
        json_t *stage = times_of(&c, n, names->threads, sorted);
        for (int p = 0; names->part[p]; p++)
            parts += names->part_stage[p] == s;
        if (parts > 1)
            json_object_set_new(stage, "phases", phases_of(names, runs, n, s, sorted));
        json_object_set_new(stages, names->stage[s], stage);
    }
    return stages;
}
