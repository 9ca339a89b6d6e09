/* Times the hand detector: the network alone, on an input of the given size. Prints one JSON object:
 * the machine, the build, and minimum, median and 90th percentile over the runs, beside the peak
 * rate measured before and after.
 *
 * usage: bench_detector [--detector PATH|random:n|s|m] [--size WxH] [--threads N] [--runs N]
 *                       [--isa c|avx2|avx512|amx|neon] [--dtype f32|bf16|auto] [--dump FILE] [--phases 1]
 * --phases 1 prints what each phase takes on average: wall time, and the share of it that the threads worked.
 * --dump writes the decoded output, anchors × 69 floats, for peer_detector.py to compare with. The
 * input is the same there: byte i of the picture is (2654435761 · i mod 2³²) >> 16 mod 256. */
#include "bench_json.h"
#include "clock.h"
#include "machine_facts.h"
#include "random_detector.h"
#include "random_weights.h"
#include "yolo.h"
#include "yolo_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 10000 };

typedef struct settings {
    const char *detector, *dump;
    int width, height, threads, runs, phases;
    wilor_isa isa;
    wilor_dtype dtype;
} settings;

static int read_settings(settings *s, int argc, char **argv) {
    *s = (settings){.detector = "random:m", .width = 512, .height = 384, .runs = 30};
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
        else if (strcmp(argv[i], "--phases") == 0)
            s->phases = atoi(value);
        else if (strcmp(argv[i], "--dtype") == 0)
            for (int k = WILOR_DTYPE_F32; k <= WILOR_DTYPE_FP8; k++)
                s->dtype = strcmp(value, wilor_dtype_name((wilor_dtype)k)) == 0 ? (wilor_dtype)k
                                                                                : s->dtype;
        else if (strcmp(argv[i], "--isa") == 0)
            s->isa = wilor_bench_isa(value, s->isa);
        else
            return 0;
    }
    s->threads = s->threads > 0 ? s->threads : wilor_threads_default();
    return argc % 2 == 1 && s->runs > 0 && s->runs <= MOST_RUNS && s->width % 32 == 0 &&
           s->height % 32 == 0 && s->width > 0 && s->height > 0 &&
           s->width <= WILOR_YOLO_MOST_SIDE && s->height <= WILOR_YOLO_MOST_SIDE;
}

/* One pass, the picture's bytes written anew as a caller would. */
static double pass(wilor_yolo_run *run, const settings *s) {
    static uint8_t line[3 * WILOR_YOLO_MOST_SIDE];
    wilor_yolo_begin(run, s->width, s->height, NULL);
    for (uint32_t y = 0, i = 0; y < (uint32_t)s->height; y++) {
        for (uint32_t x = 0; x < (uint32_t)s->width * 3; x++, i++)
            line[x] = (uint8_t)(i * 2654435761u >> 16);
        wilor_yolo_put_row(run, (int)y, line);
    }
    uint64_t start = wilor_clock_ns();
    wilor_yolo_forward(run, NULL); /* on a processor it does not fail */
    return (double)(wilor_clock_ns() - start) * 1e-6;
}

/* Runs more passes, watched. */
static void print_phases(wilor_yolo_run *run, const settings *s) {
    static wilor_yolo_time times[WILOR_YOLO_STEPS];
    const char *name;
    int steps, units;
    memset(times, 0, sizeof times);
    wilor_yolo_watch(run, times);
    for (int i = 0; i < s->runs; i++)
        pass(run, s);
    wilor_yolo_watch(run, NULL);
    for (int i = 0; wilor_yolo_phase_facts(run, i, &name, &steps, &units); i++)
        printf("%2d %-18s %d steps %4d units %8.1f us, busy %3.0f %%\n", i, name, steps, units,
               (double)times[i].wall_ns * 1e-3 / s->runs,
               100.0 * (double)times[i].busy_ns / (double)times[i].wall_ns / s->threads);
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
        wilor_yolo_load(&yolo, index, s.isa, s.dtype, pool, NULL, &err) != WILOR_OK ||
        wilor_yolo_open(&run, yolo, pool, false, &err) != WILOR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const char *dtype = wilor_dtype_name(wilor_yolo_dtype(yolo));
    wilor_bench_peak_probe(&peak, dtype, s.threads, 0);
    uint64_t start = wilor_clock_ns();
    for (int i = 0; i < 3 || wilor_clock_ns() - start < 1000000000u; i++)
        pass(run, &s);
    for (int i = 0; i < s.runs; i++)
        ms[i] = pass(run, &s);
    wilor_bench_peak_probe(&peak, dtype, s.threads, 1);
    if (s.dump)
        dump(run, s.dump);
    if (s.phases)
        print_phases(run, &s);
    wilor_machine_quantiles(ms, s.runs, q);
    double work = wilor_yolo_gflop(yolo, s.width, s.height);
    double rate = work / q[1] * 1e3, most = wilor_bench_peak_rate(&peak);
    wilor_bench_print_head(wilor_yolo_isa(yolo), s.threads, &peak);
    printf(
        "{\"what\":\"detector\",\"dtype\":\"%s\",\"weights\":\"%s\",\"size\":[%d,%d],\"n\":%d,"
        "\"min_ms\":%.2f,\"median_ms\":%.2f,\"p90_ms\":%.2f,\"gflop\":%.1f,\"gflops\":%.1f,"
        "\"of_peak\":%.3f}]}\n",
        dtype, s.detector, s.width, s.height, s.runs, q[0], q[1], q[2], work, rate,
        most > 0 ? rate / most : 0);
    wilor_yolo_close(&run);
    wilor_yolo_free(&yolo);
    wilor_threads_free(&pool);
    wilor_index_close(&index);
    return 0;
}
