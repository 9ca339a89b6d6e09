/* Times the whole network: crops in, hands out. Prints one JSON object: the machine, the build,
 * and minimum, median and 90th percentile over the runs, beside the peak rate of the same arithmetic
 * measured before and after.
 *
 * usage: bench_model [--weights PATH|random|random:NAME] [--mano PATH] [--heads N] [--hands N]
 *                    [--threads N] [--runs N] [--dtype f32|f32x|bf16|int8|int4] [--isa c|avx2|avx512|amx|neon] [--full-path]
 *                    [--dump FILE] [--profile]
 *        bench_model --peak [--threads N]
 * "random" (the default) needs no files but the hand model: full-size weights by formula. --dump writes
 * what came out, float32: all hands' cameras (3), betas (10), rotation vectors (48), keypoints (63),
 * vertices, for peers.py to compare with. --profile counts the threads' time, too: "stages" has each phase's
 * median, the threads' share of work in it and their waiting; else times only. --peak is all probes of this
 * processor, as `wilor bench peak`. The input is the same there: value i is
 * (2654435761 · i mod 2³²) >> 16 mod 256. */
#include "bench_json.h"
#include "machine_facts.h"

#include "wilor/wilor.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CROP_FLOATS = 256 * 256 * 3, MOST_RUNS = 10000, MOST_PARTS = 24 };

typedef struct settings {
    const char *weights, *mano, *dump;
    int heads, hands, threads, runs, full_path, profile, peak;
    wilor_dtype dtype;
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

/* AUTO where the name is none: it is not for measuring. */
static wilor_dtype dtype_of(const char *name) {
    for (int i = WILOR_DTYPE_F32; i <= WILOR_DTYPE_FP8; i++)
        if (strcmp(name, wilor_dtype_name((wilor_dtype)i)) == 0)
            return (wilor_dtype)i;
    return WILOR_DTYPE_AUTO;
}

static int read_settings(settings *s, int argc, char **argv) {
    *s = (settings){.weights = "random:full",
                    .mano = WILOR_BENCH_HAND,
                    .hands = 1,
                    .runs = 30,
                    .isa = WILOR_ISA_AUTO};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        int *flag = strcmp(argv[i], "--full-path") == 0 ? &s->full_path
                    : strcmp(argv[i], "--profile") == 0 ? &s->profile
                    : strcmp(argv[i], "--peak") == 0    ? &s->peak
                                                        : NULL;
        if (flag) {
            *flag = 1;
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
        else if (strcmp(argv[i], "--dump") == 0)
            s->dump = value;
        else if (strcmp(argv[i], "--dtype") == 0)
            s->dtype = dtype_of(value);
        else if (strcmp(argv[i], "--isa") == 0)
            s->isa = wilor_bench_isa(value, s->isa);
        else
            return 0;
        i++;
    }
    return s->hands > 0 && s->hands <= 64 && s->runs > 0 && s->runs <= MOST_RUNS &&
           s->dtype != WILOR_DTYPE_AUTO;
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
    mo.dtype = s->dtype;
    mo.threads = s->threads;
    mo.max_isa = s->isa;
    so.threads = s->threads;
    so.batch = s->hands;
    so.full_path = s->full_path;
    wilor_status st = wilor_model_open(model, &mo, err);
    st = st == WILOR_OK ? wilor_session_create(session, *model, &so, err) : st;
    if (st == WILOR_OK)
        wilor_session_set_profiling(*session, s->profile);
    return st;
}

static void write_each(FILE *f, const float *a, const float *b, size_t an, size_t bn, int n) {
    for (int i = 0; i < n; i++) {
        fwrite(a + (size_t)i * an, sizeof *a, an, f);
        fwrite(b + (size_t)i * bn, sizeof *b, bn, f);
    }
}

static int dump(const wilor_hands *h, const char *path) {
    FILE *f = fopen(path, "wb");
    if (!f)
        return 0;
    size_t n = (size_t)h->n;
    fwrite(h->pred_cam, sizeof(float), n * 3, f);
    fwrite(h->betas, sizeof(float), n * 10, f);
    write_each(f, h->global_orient, h->hand_pose, 3, 45, h->n);
    fwrite(h->keypoints_3d, sizeof(float), n * 63, f);
    fwrite(h->vertices_3d, sizeof(float), n * (size_t)h->vertices * 3, f);
    return fclose(f) == 0;
}

static float *make_crops(int hands) {
    size_t floats = (size_t)hands * CROP_FLOATS;
    float *rgb = malloc(floats * sizeof *rgb);
    for (size_t i = 0; rgb && i < floats; i++)
        rgb[i] = (float)(((uint32_t)i * 2654435761u >> 16) & 255);
    return rgb;
}

/* Of each run: the whole, and its parts' wall and busy time. */
typedef struct times {
    double ms[MOST_RUNS];
    float part[MOST_PARTS][MOST_RUNS], busy[MOST_PARTS][MOST_RUNS];
    const wilor_profile *profile;
} times;

static void note_parts(times *t, int run) {
    for (int p = 0; p < t->profile->n && p < MOST_PARTS; p++) {
        t->part[p][run] = (float)t->profile->ms[p];
        t->busy[p][run] = (float)t->profile->busy_ms[p];
    }
}

/* At least three passes and a second to warm up, then the runs that count. */
static wilor_status time_runs(wilor_session *session, const float *rgb, const settings *s,
                              times *t, const wilor_hands **hands, wilor_error *err) {
    wilor_status st = WILOR_OK;
    double start = milliseconds();
    for (int i = 0; st == WILOR_OK && (i < 3 || milliseconds() - start < 1000); i++)
        st = wilor_run(session, rgb, s->hands, hands, err);
    t->profile = wilor_session_get_profile(session);
    for (int i = 0; st == WILOR_OK && i < s->runs; i++) {
        double begin = milliseconds();
        st = wilor_run(session, rgb, s->hands, hands, err);
        t->ms[i] = milliseconds() - begin;
        note_parts(t, i);
    }
    return st;
}

/* Medians of a part's runs. */
static void print_part(const times *t, int part, int runs, bool counted) {
    static double sorted[MOST_RUNS];
    double q[3], threads = t->profile->threads;
    for (int i = 0; i < runs; i++)
        sorted[i] = t->part[part][i];
    wilor_machine_quantiles(sorted, runs, q);
    printf("\"%s\":{\"median_ms\":%.3f", t->profile->name[part], q[1]);
    if (counted) {
        for (int i = 0; i < runs; i++)
            sorted[i] = t->part[part][i] - t->busy[part][i] / threads;
        double whole = q[1];
        wilor_machine_quantiles(sorted, runs, q);
        printf(",\"busy\":%.3f,\"wait_ms\":%.3f", whole > 0 ? 1 - q[1] / whole : 1, q[1]);
    }
    putchar('}');
}

static void print_parts(const times *t, const settings *s) {
    printf("\"stages\":{");
    for (int p = 1; p < t->profile->n && p < MOST_PARTS; p++) { /* 0: crops, which are given */
        if (p > 1)
            putchar(',');
        print_part(t, p, s->runs, s->profile);
    }
    printf("}");
}

static int print_result(const settings *s, const wilor_model_info *info, int threads, times *t,
                        const wilor_bench_peak *peak) {
    double q[3], rate = wilor_bench_peak_rate(peak);
    wilor_machine_quantiles(t->ms, s->runs, q);
    double gflops = lean_gflop(info) * s->hands / q[1] * 1e3;
    wilor_bench_print_head(info->isa, threads, peak);
    printf(
        "{\"what\":\"model\",\"dtype\":\"%s\",\"weights\":\"%s\",\"hands\":%d,\"n\":%d,"
        "\"min_ms\":%.2f,\"median_ms\":%.2f,\"p90_ms\":%.2f,\"gflops\":%.1f,\"of_peak\":%.3f,"
        "\"load_s\":%.2f,\"rss_mb\":%.0f,\n  ",
        wilor_dtype_name(s->dtype), s->weights, s->hands, s->runs, q[0], q[1], q[2], gflops,
        rate > 0 ? gflops / rate : 0, info->load_seconds, wilor_machine_peak_mb());
    print_parts(t, s);
    return printf("}]}\n");
}

int main(int argc, char **argv) {
    settings s;
    wilor_error err;
    wilor_model *model = NULL;
    wilor_session *session = NULL;
    wilor_model_info info;
    const wilor_hands *hands;
    wilor_bench_peak peak;
    static times t;
    if (!read_settings(&s, argc, argv)) {
        fprintf(stderr, "usage: see the head of bench/bench_model.c\n");
        return 2;
    }
    int threads = s.threads ? s.threads : wilor_threads_default();
    if (s.peak) {
        wilor_bench_print_peaks(threads);
        return 0;
    }
    float *rgb = make_crops(s.hands);
    wilor_status st = rgb ? open_all(&model, &session, &s, &err) : WILOR_ERR_NOMEM;
    if (st == WILOR_OK) {
        wilor_model_get_info(model, &info, sizeof info);
        wilor_bench_peak_probe(&peak, wilor_dtype_name(s.dtype), threads, 0);
        st = time_runs(session, rgb, &s, &t, &hands, &err);
        wilor_bench_peak_probe(&peak, wilor_dtype_name(s.dtype), threads, 1);
    }
    int printed = 0;
    if (st != WILOR_OK)
        fprintf(stderr, "%s\n", rgb ? err.text : "out of memory");
    else if (s.dump && !dump(hands, s.dump))
        fprintf(stderr, "%s cannot be written\n", s.dump);
    else
        printed = print_result(&s, &info, threads, &t, &peak) > 0;
    free(rgb);
    wilor_session_free(&session);
    wilor_model_free(&model);
    return !printed;
}
