/* Times the hand detector: the network alone, on an input of the given size. Prints one JSON object:
 * the machine, the build, and minimum, median and 90th percentile over the runs, beside the peak
 * rate measured before and after.
 *
 * usage: bench_detector [--detector PATH|random:n|s|m] [--size WxH] [--threads N] [--runs N]
 *                       [--isa c|avx2|avx512|neon] [--dump FILE]
 * --dump writes the decoded output, anchors × 69 floats, for peer_detector.py to compare with. The
 * input is the same there: byte i of the picture is (2654435761 · i mod 2³²) >> 16 mod 256. */
#include "bench_json.h"
#include "clock.h"
#include "machine_facts.h"
#include "random_detector.h"
#include "random_weights.h"
#include "yolo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 10000 };

typedef struct settings {
    const char *detector, *dump;
    int width, height, threads, runs;
    wilor_isa isa;
} settings;

static int read_settings(settings *s, int argc, char **argv) {
    *s = (settings){"random:m", NULL, 512, 384, 0, 30, WILOR_ISA_AUTO};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--detector") == 0)
            s->detector = value;
        else if (strcmp(argv[i], "--dump") == 0)
            s->dump = value;
        else if (strcmp(argv[i], "--size") == 0)
            sscanf(value, "%dx%d", &s->width, &s->height);
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
    }
    s->threads = s->threads > 0 ? s->threads : wilor_threads_default();
    return argc % 2 == 1 && s->runs > 0 && s->runs <= MOST_RUNS && s->width % 32 == 0 &&
           s->height % 32 == 0 && s->width > 0 && s->height > 0;
}

/* One pass, the picture's bytes written anew as a caller would. */
static double pass(wilor_yolo_run *run, const settings *s) {
    float *input;
    size_t stride;
    wilor_yolo_begin(run, s->width, s->height, &input, &stride, NULL);
    for (uint32_t y = 0, i = 0; y < (uint32_t)s->height; y++)
        for (uint32_t x = 0; x < (uint32_t)s->width * 3; x++, i++)
            input[y * stride + x] = (float)((i * 2654435761u >> 16) & 255) / 255.0f;
    uint64_t start = wilor_clock_ns();
    wilor_yolo_forward(run);
    return (double)(wilor_clock_ns() - start) * 1e-6;
}

static void dump(const wilor_yolo_run *run, const char *path) {
    float column[WILOR_YOLO_ROWS];
    FILE *f = fopen(path, "wb");
    for (int a = 0; f && a < wilor_yolo_anchors(run); a++) {
        wilor_yolo_column(run, a, column);
        fwrite(column, sizeof column, 1, f);
    }
    if (f)
        fclose(f);
}

static wilor_status open_index(wilor_index **index, const char *path, wilor_error *err) {
    const char *name = wilor_random_name(path);
    if (name)
        return wilor_random_detector(index, name, err);
    wilor_status st = wilor_index_open(index, path, err);
    return st == WILOR_OK ? wilor_index_canonical(*index, err) : st;
}

int main(int argc, char **argv) {
    settings s;
    wilor_error err;
    wilor_index *index = NULL;
    wilor_threads *pool = NULL;
    wilor_yolo *yolo = NULL;
    wilor_yolo_run *run = NULL;
    wilor_bench_peak peak;
    double q[3];
    static double ms[MOST_RUNS];
    if (!read_settings(&s, argc, argv)) {
        fprintf(stderr, "usage: see the head of bench/bench_detector.c\n");
        return 2;
    }
    if (open_index(&index, s.detector, &err) != WILOR_OK ||
        wilor_threads_create(&pool, s.threads, &err) != WILOR_OK ||
        wilor_yolo_load(&yolo, index, s.isa, pool, NULL, &err) != WILOR_OK ||
        wilor_yolo_open(&run, yolo, pool, false, &err) != WILOR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    wilor_bench_peak_probe(&peak, "f32", s.threads, 0);
    uint64_t start = wilor_clock_ns();
    for (int i = 0; i < 3 || wilor_clock_ns() - start < 1000000000u; i++)
        pass(run, &s);
    for (int i = 0; i < s.runs; i++)
        ms[i] = pass(run, &s);
    wilor_bench_peak_probe(&peak, "f32", s.threads, 1);
    if (s.dump)
        dump(run, s.dump);
    wilor_machine_quantiles(ms, s.runs, q);
    double work = wilor_yolo_gflop(yolo, s.width, s.height);
    double rate = work / q[1] * 1e3, most = wilor_bench_peak_rate(&peak);
    wilor_bench_print_head(wilor_yolo_isa(yolo), s.threads, &peak);
    printf(
        "{\"what\":\"detector\",\"dtype\":\"f32\",\"weights\":\"%s\",\"size\":[%d,%d],\"n\":%d,"
        "\"min_ms\":%.2f,\"median_ms\":%.2f,\"p90_ms\":%.2f,\"gflop\":%.1f,\"gflops\":%.1f,"
        "\"of_peak\":%.3f}]}\n",
        s.detector, s.width, s.height, s.runs, q[0], q[1], q[2], work, rate,
        most > 0 ? rate / most : 0);
    wilor_yolo_close(&run);
    wilor_yolo_free(&yolo);
    wilor_threads_free(&pool);
    wilor_index_close(&index);
    return 0;
}
