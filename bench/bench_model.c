/* Times the whole network: crops in, hands out. Prints one JSON object: the machine, the build,
 * and minimum, median and 90th percentile over the runs, beside the peak rate of the same arithmetic
 * measured before and after.
 *
 * usage: bench_model [--weights PATH|random|random:NAME] [--mano PATH] [--heads N] [--hands N]
 *                    [--threads N] [--runs N] [--dtype f32|f32x|bf16|int8|int4] [--isa c|avx2|avx512|amx|neon] [--full-path]
 *                    [--dump FILE]
 * "random" (the default) needs no files but the hand model: full-size weights by formula. --dump writes
 * what came out, float32: all hands' cameras (3), betas (10), rotation vectors (48), keypoints (63),
 * vertices, for peers.py to compare with. The input is the same there: value i is
 * (2654435761 · i mod 2³²) >> 16 mod 256. */
#include "bench_json.h"
#include "machine_facts.h"

#include "wilor/wilor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CROP_FLOATS = 256 * 256 * 3, MOST_RUNS = 10000 };

typedef struct settings {
    const char *weights, *mano, *dump;
    int heads, hands, threads, runs, full_path;
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
        else if (strcmp(argv[i], "--dump") == 0)
            s->dump = value;
        else if (strcmp(argv[i], "--dtype") == 0)
            s->dtype = dtype_of(value);
        else if (strcmp(argv[i], "--isa") == 0)
            for (int k = WILOR_ISA_C; k <= WILOR_ISA_NEON; k++)
                s->isa =
                    strcmp(value, wilor_isa_name((wilor_isa)k)) == 0 ? (wilor_isa)k : s->isa;
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
    return st == WILOR_OK ? wilor_session_create(session, *model, &so, err) : st;
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

/* At least three passes and a second to warm up, then the runs that count. */
static wilor_status time_runs(wilor_session *session, const float *rgb, const settings *s,
                              double *ms, const wilor_hands **hands, wilor_error *err) {
    wilor_status st = WILOR_OK;
    double start = milliseconds();
    for (int i = 0; st == WILOR_OK && (i < 3 || milliseconds() - start < 1000); i++)
        st = wilor_run(session, rgb, s->hands, hands, err);
    for (int i = 0; st == WILOR_OK && i < s->runs; i++) {
        double t = milliseconds();
        st = wilor_run(session, rgb, s->hands, hands, err);
        ms[i] = milliseconds() - t;
    }
    return st;
}

static int print_result(const settings *s, const wilor_model_info *info, int threads,
                        double *ms, const wilor_bench_peak *peak) {
    double q[3], rate = wilor_bench_peak_rate(peak);
    wilor_machine_quantiles(ms, s->runs, q);
    double gflops = lean_gflop(info) * s->hands / q[1] * 1e3;
    wilor_bench_print_head(info->isa, threads, peak);
    return printf(
        "{\"what\":\"model\",\"dtype\":\"%s\",\"weights\":\"%s\",\"hands\":%d,\"n\":%d,"
        "\"min_ms\":%.2f,\"median_ms\":%.2f,\"p90_ms\":%.2f,\"gflops\":%.1f,\"of_peak\":%.3f,"
        "\"load_s\":%.2f,\"rss_mb\":%.0f}]}\n",
        wilor_dtype_name(s->dtype), s->weights, s->hands, s->runs, q[0], q[1], q[2], gflops,
        rate > 0 ? gflops / rate : 0, info->load_seconds, wilor_machine_peak_mb());
}

int main(int argc, char **argv) {
    settings s;
    wilor_error err;
    wilor_model *model = NULL;
    wilor_session *session = NULL;
    wilor_model_info info;
    const wilor_hands *hands;
    wilor_bench_peak peak;
    static double ms[MOST_RUNS];
    if (!read_settings(&s, argc, argv)) {
        fprintf(stderr, "usage: see the head of bench/bench_model.c\n");
        return 2;
    }
    float *rgb = make_crops(s.hands);
    int threads = s.threads ? s.threads : wilor_threads_default();
    wilor_status st = rgb ? open_all(&model, &session, &s, &err) : WILOR_ERR_NOMEM;
    if (st == WILOR_OK) {
        wilor_model_get_info(model, &info, sizeof info);
        wilor_bench_peak_probe(&peak, wilor_dtype_name(s.dtype), threads, 0);
        st = time_runs(session, rgb, &s, ms, &hands, &err);
        wilor_bench_peak_probe(&peak, wilor_dtype_name(s.dtype), threads, 1);
    }
    int printed = 0;
    if (st != WILOR_OK)
        fprintf(stderr, "%s\n", rgb ? err.text : "out of memory");
    else if (s.dump && !dump(hands, s.dump))
        fprintf(stderr, "%s cannot be written\n", s.dump);
    else
        printed = print_result(&s, &info, threads, ms, &peak) > 0;
    free(rgb);
    wilor_session_free(&session);
    wilor_model_free(&model);
    return !printed;
}
