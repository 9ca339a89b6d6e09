/* Times the whole network: crops in, hands out. Prints one JSON object: the machine, the build,
 * and minimum, median and 90th percentile over the runs, beside the peak rate measured before
 * and after.
 *
 * usage: bench_model [--weights PATH|random] [--mano PATH] [--heads N] [--hands N] [--threads
 * N]
 *                    [--runs N] [--isa c|avx2|avx512|neon] [--full-path]
 * "random" (the default) needs no files but the hand model: full-size weights by formula. */
#include "fma_probe.h"

#include "wilor/wilor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CROP_FLOATS = 256 * 256 * 3, MOST_RUNS = 10000 };

typedef struct settings {
    const char *weights, *mano;
    int heads, hands, threads, runs, full_path;
    wilor_isa isa;
} settings;

/* FLOPs of a lean pass (docs/performance.md): GEMMs and attention of all blocks but the last
 * one's rows that nobody needs. */
static double lean_gflop(const wilor_model_info *m) {
    double d = m->width, h = m->mlp, t = 210, rows = 22, patches = 192;
    double block = 2 * t * d * (3 * d + d + 2 * h) + 4 * t * t * d;
    double last = 2 * t * d * 2 * d + 2 * rows * d * (2 * d + 2 * h) + 4 * rows * t * d;
    return ((m->depth - 1) * block + last + 2 * patches * 768 * d) * 1e-9;
}

static double milliseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void cpu_name(char *name, size_t size) {
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "unknown processor");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0) {
            char *value = strchr(line, ':');
            if (value) {
                value[strcspn(value, "\n")] = 0;
                snprintf(name, size, "%s", value + 2);
            }
            break;
        }
    if (f)
        fclose(f);
}

static double peak_mb(void) {
    char line[256];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024 * 1e-6;
}

static int read_settings(settings *s, int argc, char **argv) {
    *s = (settings){"random:full", WILOR_BENCH_HAND, 0, 1, 0, 30, 0, WILOR_ISA_AUTO};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--full-path") == 0) {
            s->full_path = 1;
            continue;
        }
        if (strcmp(argv[i], "--weights") == 0)
            s->weights = strcmp(value, "random") == 0 ? "random:full" : value;
        else if (strcmp(argv[i], "--mano") == 0)
            s->mano = value;
        else if (strcmp(argv[i], "--heads") == 0)
            s->heads = atoi(value);
        else if (strcmp(argv[i], "--hands") == 0)
            s->hands = atoi(value);
        else if (strcmp(argv[i], "--threads") == 0)
            s->threads = atoi(value);
        else if (strcmp(argv[i], "--runs") == 0)
            s->runs = atoi(value);
        else if (strcmp(argv[i], "--isa") == 0)
            for (int k = WILOR_ISA_C; k <= WILOR_ISA_NEON; k++)
                s->isa =
                    strcmp(value, wilor_isa_name((wilor_isa)k)) == 0 ? (wilor_isa)k : s->isa;
        else
            return 0;
        i++;
    }
    return s->hands > 0 && s->hands <= 64 && s->runs > 0 && s->runs <= MOST_RUNS;
}

static wilor_status open_all(wilor_model **model, wilor_session **session, const settings *s,
                             wilor_error *err) {
    wilor_model_options mo;
    wilor_session_options so;
    wilor_model_options_init(&mo, sizeof mo);
    wilor_session_options_init(&so, sizeof so);
    mo.weights = s->weights;
    mo.mano = s->mano;
    mo.heads = s->heads;
    mo.threads = s->threads;
    mo.max_isa = s->isa;
    so.threads = s->threads;
    so.batch = s->hands;
    so.full_path = s->full_path;
    wilor_status st = wilor_model_open(model, &mo, err);
    return st == WILOR_OK ? wilor_session_create(session, *model, &so, err) : st;
}

int main(int argc, char **argv) {
    settings s;
    wilor_error err;
    wilor_model *model = NULL;
    wilor_session *session = NULL;
    wilor_model_info info;
    const wilor_hands *hands;
    char cpu[256];
    static double ms[MOST_RUNS];
    if (!read_settings(&s, argc, argv)) {
        fprintf(stderr, "usage: see the head of bench/bench_model.c\n");
        return 2;
    }
    if (open_all(&model, &session, &s, &err) != WILOR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    wilor_model_get_info(model, &info, sizeof info);
    int threads = s.threads ? s.threads : wilor_threads_default();
    size_t floats = (size_t)s.hands * CROP_FLOATS;
    float *rgb = malloc(floats * sizeof *rgb);
    for (size_t i = 0; rgb && i < floats; i++)
        rgb[i] = (float)((i * 2654435761u >> 16) & 255);
    double probe = fma_probe(threads, 0.5), start = milliseconds();
    /* At least three passes and a second to warm up. */
    for (int i = 0; rgb && (i < 3 || milliseconds() - start < 1000); i++)
        wilor_run(session, rgb, s.hands, &hands, &err);
    for (int i = 0; rgb && i < s.runs; i++) {
        double t = milliseconds();
        wilor_run(session, rgb, s.hands, &hands, &err);
        ms[i] = milliseconds() - t;
    }
    double again = fma_probe(threads, 0.5);
    qsort(ms, (size_t)s.runs, sizeof *ms, by_value);
    double median = ms[s.runs / 2], peak = probe > again ? probe : again;
    double gflops = lean_gflop(&info) * s.hands / median * 1e3;
    cpu_name(cpu, sizeof cpu);
    printf(
        "{\"v\":1,\"env\":{\"build\":\"%s\",\"cpu\":\"%s\",\"isa\":\"%s\",\"threads\":%d,"
        "\"fma_gflops\":[%.1f,%.1f]},\n \"results\":[{\"what\":\"model\",\"dtype\":\"f32\","
        "\"weights\":\"%s\",\"hands\":%d,\"n\":%d,\"min_ms\":%.2f,\"median_ms\":%.2f,"
        "\"p90_ms\":%.2f,\"gflops\":%.1f,\"of_peak\":%.3f,\"load_s\":%.2f,\"rss_mb\":%.0f}]}\n",
        wilor_build_info(), cpu, wilor_isa_name(info.isa), threads, probe, again, s.weights,
        s.hands, s.runs, ms[0], median, ms[s.runs * 9 / 10], gflops,
        peak > 0 ? gflops / peak : 0, info.load_seconds, peak_mb());
    free(rgb);
    wilor_session_free(&session);
    wilor_model_free(&model);
    return 0;
}
