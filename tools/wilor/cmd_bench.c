/* wilor bench: times of the stages on this machine, over the public functions only.
 *
 * model     wilor_run on crops that are there already
 * detector  wilor_detect on a made-up picture: letterbox, network, suppression
 * route     the same picture, the detector, and hands at boxes that do not depend on what the
 *           detector makes of noise: those of the pipeline's `find`
 * load      opening model and detector, the model's first pass and one more. The files are in the
 *           system's cache after the first time; with --cold they never are
 * live      from a frame's arrival, thirty a second, to its event as JSON: the engine of `wilor live`, hands tracked
 * peak      no wilor at all: what the processor and its memory can do (bench/probe)
 * kernels   wilor_kernel_measure, each kernel with one thread and with all
 *
 * Each is run until it is warm and then a number of times; minimum, median and 90th percentile, of its stages
 * and of the network's phases, too, with the threads' share of work and their waiting. Where the arithmetic is
 * counted, the peak rate is taken before and after, and the fraction of it is said. */
#include "commands.h"
#include "detector_dtype.h"

#include "bench_env.h"
#include "bench_kernels.h"
#include "bench_live.h"
#include "bench_options.h"
#include "bench_peak.h"
#include "bench_published.h"
#include "bench_result.h"
#include "bench_table.h"
#include "event_json.h"
#include "interrupt.h"
#include "machine_facts.h"
#include "nano_name.h"
#include "report.h"
#include "system_files.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CROP_FLOATS = 256 * 256 * 3, WARM_RUNS = 3, LIVE_DETECT = 1 /* among live's stages */ };

static const double WARM_SECONDS = 1;

typedef struct bench {
    wilor_cli_bench_options o;
    wilor_cli_report report;
    wilor_model *model;
    wilor_detector *detector;
    wilor_pipeline *pipeline;
    wilor_cli_bench_live *live;
    wilor_picture picture;
    uint8_t *pixels;
    float *crops;
    char *hand; /* where mano points to, when it was not given */
    char nano
        [2]
        [WILOR_CLI_NANO_ROOM]; /* where weights and detector point to, when that was their name */
    int threads;
    wilor_cli_bench_names names; /* of the subject in work */
    json_t *results;
} bench;

typedef wilor_status (*run_fn)(bench *b, wilor_cli_bench_run *t, wilor_error *err);

typedef struct subject {
    const char *what;
    unsigned bit;
    run_fn run;
    int warm;  /* runs that do not count, at least; 0: none */
    int hands; /* 1: its result says how many */
    const char *stages[WILOR_CLI_BENCH_STAGES + 1]; /* names, the rest NULL */
} subject;

/* ---------------------------------------------------------------- what is measured */

static wilor_status run_model(bench *b, wilor_cli_bench_run *t, wilor_error *err) {
    const wilor_hands *hands;
    wilor_session *session = wilor_pipeline_session(b->pipeline);
    double start = wilor_cli_seconds();
    wilor_status st = wilor_run(session, b->crops, b->o.hands, &hands, err);
    t->whole = 1e3 * (wilor_cli_seconds() - start);
    if (st == WILOR_OK) {
        t->stage[0] = hands->stage_ms[1];
        t->stage[1] = hands->stage_ms[2];
        wilor_cli_bench_take(t, &b->names, session, -1);
    }
    return st;
}

static wilor_status run_detector(bench *b, wilor_cli_bench_run *t, wilor_error *err) {
    wilor_detect_options o;
    const wilor_detections *found;
    wilor_detect_options_init(&o, sizeof o);
    o.imgsz = b->o.imgsz;
    double start = wilor_cli_seconds();
    wilor_status st = wilor_detect(b->pipeline, &b->picture, 1, &o, &found, err);
    t->whole = 1e3 * (wilor_cli_seconds() - start);
    for (int i = 0; st == WILOR_OK && i < 3; i++) {
        t->stage[i] = found->stage_ms[i];
        t->stage_busy[i] = found->busy_ms[i];
    }
    if (st == WILOR_OK)
        t->gflop = found->gflop;
    return st;
}

/* Boxes side by side over the picture's middle third, left and right hands in turn; `most_wide`: no wider than so
 * much of their height. */
static int place_boxes(const bench *b, const wilor_picture *picture, double most_wide,
                       wilor_box *boxes, int most) {
    double w = picture->width, h = picture->height, n = b->o.hands;
    double half = fmin(0.3 * w / n, most_wide * h / 6);
    int count = b->o.hands < most ? b->o.hands : most;
    for (int i = 0; i < count; i++) {
        double middle = w * (i + 0.5) / n;
        boxes[i] = (wilor_box){{middle - half, h / 3, middle + half, h * 2 / 3},
                               1,
                               i % 2 ? WILOR_LEFT : WILOR_RIGHT};
    }
    return count;
}

static int find_boxes(void *user, const wilor_picture *picture, wilor_box *boxes,
                      float *keypoints, int most) {
    (void)keypoints;
    return place_boxes(user, picture, INFINITY, boxes, most);
}

/* As high as wide, as hands before a camera are. */
static int find_squares(void *user, const wilor_picture *picture, wilor_box *boxes,
                        float *keypoints, int most) {
    (void)keypoints;
    return place_boxes(user, picture, 1, boxes, most);
}

static wilor_status run_route(bench *b, wilor_cli_bench_run *t, wilor_error *err) {
    const wilor_hands *hands;
    wilor_session *session = wilor_pipeline_session(b->pipeline);
    double start = wilor_cli_seconds();
    wilor_status st = run_detector(b, t, err);
    if (st == WILOR_OK)
        st = wilor_pipeline_run(b->pipeline, &b->picture, NULL, 0, NULL, NULL, &hands, err);
    t->whole = 1e3 * (wilor_cli_seconds() - start);
    for (int i = 0; st == WILOR_OK && i < 3; i++)
        t->stage[3 + i] = hands->stage_ms[i];
    if (st == WILOR_OK)
        wilor_cli_bench_take(t, &b->names, session, 3);
    return st;
}

static wilor_status run_live(bench *b, wilor_cli_bench_run *t, wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (!b->live) {
        wilor_cli_bench_live_options o = {.model = b->model,
                                          .detector = b->detector,
                                          .threads = b->threads,
                                          .hands = b->o.hands,
                                          .imgsz = b->o.imgsz,
                                          .find = find_squares,
                                          .find_user = b};
        st = wilor_cli_bench_live_open(&b->live, &o, err);
    }
    return st == WILOR_OK ? wilor_cli_bench_live_run(b->live, &b->picture, t, err) : st;
}

/* ---------------------------------------------------------------- opening */

static void loading(void *user, const char *what, uint64_t done, uint64_t total) {
    wilor_cli_report_loading(user, what, done, total);
}

static wilor_status open_model(bench *b, wilor_error *err) {
    wilor_model_options mo;
    wilor_model_options_init(&mo, sizeof mo);
    mo.weights = b->o.weights;
    mo.mano = b->o.mano;
    mo.heads = b->o.heads;
    mo.dtype = b->o.dtype;
    mo.device = b->o.device;
    mo.threads = b->threads;
    mo.packed = b->o.packed;
    mo.callbacks =
        (wilor_callbacks){.user = &b->report, .progress = loading, .cancel = wilor_cli_cancel};
    wilor_status st = wilor_model_open(&b->model, &mo, err);
    wilor_cli_report_clear(&b->report);
    if (st != WILOR_OK || !b->o.packed)
        return st;
    /* Packing anew would be measured for mapping. */
    wilor_model_info info;
    wilor_cli_quoted q;
    wilor_model_get_info(b->model, &info, sizeof info);
    return info.from_packed ? st
                            : wilor_cli_fail(err, WILOR_ERR_MODEL,
                                             "--packed %s does not fit these weights here",
                                             wilor_cli_quote(&q, b->o.packed));
}

static wilor_status open_detector(bench *b, wilor_error *err) {
    wilor_detector_options o;
    wilor_detector_options_init(&o, sizeof o);
    o.detector = b->o.detector;
    o.device = b->o.device;
    o.threads = b->threads;
    return wilor_cli_open_detector(&b->detector, &o, b->o.dtype, err);
}

static wilor_status open_pipeline(bench *b, wilor_error *err) {
    wilor_pipeline_options po;
    wilor_pipeline_options_init(&po, sizeof po);
    po.max_hands = b->o.hands;
    po.batch = b->o.hands < 4 ? b->o.hands : 4;
    po.threads = b->threads;
    po.find = find_boxes;
    po.find_user = b;
    wilor_status st = wilor_pipeline_create(&b->pipeline, b->detector, b->model, &po, err);
    if (st == WILOR_OK && b->model)
        wilor_session_set_profiling(wilor_pipeline_session(b->pipeline), 1);
    return st;
}

/* Drop a file's clean pages from the system's cache; those that a process maps stay. */
static wilor_status forget(const char *path, wilor_error *err) {
    if (!path || wilor_cli_is_formula(path))
        return WILOR_OK;
    if (wilor_sys_forget(path) == 0)
        return WILOR_OK;
    return errno == ENOSYS
               ? wilor_cli_fail(err, WILOR_ERR_UNSUPPORTED, "--cold: not on this system")
               : wilor_cli_fail_errno(err, path, "stays in the system's cache", errno);
}

static wilor_status forget_all(const bench *b, wilor_error *err) {
    const char *paths[] = {b->o.weights, b->o.detector, b->o.mano, b->o.packed};
    wilor_status st = WILOR_OK;
    for (size_t i = 0; st == WILOR_OK && b->o.cold && i < sizeof paths / sizeof paths[0]; i++)
        st = forget(paths[i], err);
    return st;
}

/* The first pass pays for what opening put off: pages that were mapped only. */
static wilor_status run_load(bench *b, wilor_cli_bench_run *t, wilor_error *err) {
    wilor_cli_bench_run first = {0}, later = {0};
    wilor_pipeline_free(&b->pipeline);
    wilor_model_free(&b->model);
    wilor_detector_free(&b->detector);
    wilor_status st = forget_all(b, err);
    double start = wilor_cli_seconds();
    if (st == WILOR_OK)
        st = open_model(b, err);
    double middle = wilor_cli_seconds();
    if (st == WILOR_OK)
        st = open_detector(b, err);
    if (st == WILOR_OK)
        st = open_pipeline(b, err);
    double end = wilor_cli_seconds();
    if (st == WILOR_OK)
        st = run_model(b, &first, err);
    if (st == WILOR_OK)
        st = run_model(b, &later, err);
    t->whole = 1e3 * (wilor_cli_seconds() - start);
    t->stage[0] = 1e3 * (middle - start);
    t->stage[1] = 1e3 * (end - middle);
    t->stage[2] = first.whole;
    t->stage[3] = later.whole;
    b->names.part[0] = NULL; /* of a pass, not of loading */
    return st;
}

static const subject g_subjects[] = {
    {"load",
     WILOR_CLI_BENCH_LOAD,
     run_load,
     0,
     1,
     {"model", "detector", "first_pass", "later_pass"}},
    {"model", WILOR_CLI_BENCH_MODEL, run_model, WARM_RUNS, 1, {"backbone", "hand"}},
    {"detector",
     WILOR_CLI_BENCH_DETECTOR,
     run_detector,
     WARM_RUNS,
     0,
     {"letterbox", "network", "suppression"}},
    {"route",
     WILOR_CLI_BENCH_ROUTE,
     run_route,
     WARM_RUNS,
     1,
     {"letterbox", "network", "suppression", "crop", "backbone", "hand"}},
    {"live",
     WILOR_CLI_BENCH_LIVE,
     run_live,
     WARM_RUNS,
     1,
     {"wait", "detect", "crop", "pose", "post", "json"}},
};

/* Noise over a slope: some work for every stage. The same bytes everywhere. */
static bool make_inputs(bench *b) {
    size_t bytes = (size_t)b->o.width * (size_t)b->o.height * 3;
    size_t floats = (size_t)b->o.hands * CROP_FLOATS;
    uint32_t state = 1;
    b->pixels = malloc(bytes);
    b->crops = malloc(floats * sizeof *b->crops);
    if (!b->pixels || !b->crops)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        state = state * 1664525u + 1013904223u;
        b->pixels[i] = (uint8_t)((i / 3 % (size_t)b->o.width) % 192 + (state >> 26));
    }
    for (size_t i = 0; i < floats; i++)
        b->crops[i] = (float)(b->pixels[i % bytes]);
    b->picture = (wilor_picture){b->pixels, b->o.width, b->o.height, (ptrdiff_t)b->o.width * 3,
                                 WILOR_RGB8};
    return true;
}

static wilor_status open_all(bench *b, wilor_error *err) {
    const unsigned model = WILOR_CLI_BENCH_MODEL | WILOR_CLI_BENCH_ROUTE |
                           WILOR_CLI_BENCH_LOAD | WILOR_CLI_BENCH_LIVE;
    const unsigned detector = WILOR_CLI_BENCH_DETECTOR | WILOR_CLI_BENCH_ROUTE |
                              WILOR_CLI_BENCH_LOAD | WILOR_CLI_BENCH_LIVE;
    wilor_status st = WILOR_OK;
    b->threads = b->o.threads ? b->o.threads : wilor_threads_default();
    if (b->o.what & model)
        st = wilor_cli_nano_resolve(&b->o.weights, b->nano[0], WILOR_NANO_WEIGHTS, err);
    if (st == WILOR_OK && (b->o.what & detector))
        st = wilor_cli_nano_resolve(&b->o.detector, b->nano[1], WILOR_NANO_DETECTOR, err);
    if (st == WILOR_OK && (b->o.what & model))
        st = wilor_cli_check_file("--weights", b->o.weights, err);
    if (st == WILOR_OK && (b->o.what & model))
        st = wilor_cli_check_file("--mano", b->o.mano, err);
    if (st == WILOR_OK)
        st = wilor_cli_check_file("--packed", b->o.packed, err);
    if (st == WILOR_OK && (b->o.what & detector))
        st = wilor_cli_check_file("--detector", b->o.detector, err);
    if (st != WILOR_OK)
        return st;
    if (!b->o.mano && wilor_cli_is_formula(b->o.weights) && (b->o.what & model)) {
        b->o.mano = b->hand = wilor_cli_bench_hand();
        if (!b->hand)
            return wilor_cli_fail(err, WILOR_ERR_MISSING,
                                  "no hand for the weights by formula: give --mano mano.npz");
    }
    if (!make_inputs(b))
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    if (!(b->o.what &
          ~(unsigned)(WILOR_CLI_BENCH_LOAD | WILOR_CLI_BENCH_PEAK | WILOR_CLI_BENCH_KERNELS)))
        return WILOR_OK; /* the measurement itself opens */
    if (b->o.what & detector)
        st = open_detector(b, err);
    if (st == WILOR_OK && (b->o.what & model))
        st = open_model(b, err);
    return st;
}

/* ---------------------------------------------------------------- numbers */

/* GFLOP of the backbone for a hand as it is computed (docs/performance.md): of the last block only
 * the rows that somebody needs. */
static double model_gflop(const wilor_model *model) {
    wilor_model_info m;
    wilor_model_get_info(model, &m, sizeof m);
    double d = m.width, h = m.mlp, t = 210, rows = 22, patches = 192;
    double block = 2 * t * d * (4 * d + 2 * h) + 4 * t * t * d;
    double last = 2 * t * d * 2 * d + 2 * rows * d * (2 * d + 2 * h) + 4 * rows * t * d;
    return ((m.depth - 1) * block + last + 2 * patches * 768 * d) * 1e-9;
}

/* The detector has its own: what there is beside the model's. */
static const char *detector_dtype(const bench *b) {
    wilor_detector_info info;
    if (!b->detector)
        return "f32";
    wilor_detector_get_info(b->detector, &info, sizeof info);
    return wilor_dtype_name(info.dtype);
}

static const char *dtype_of(const bench *b, const subject *s) {
    wilor_model_info m;
    if (s->bit == WILOR_CLI_BENCH_DETECTOR || !b->model)
        return detector_dtype(b);
    wilor_model_get_info(b->model, &m, sizeof m);
    return wilor_dtype_name(m.dtype);
}

/* "cpu", or another, of which no peak is known here. */
static const char *device_of(const bench *b) {
    wilor_model_info m;
    wilor_detector_info d;
    if (b->model) {
        wilor_model_get_info(b->model, &m, sizeof m);
        return m.device;
    }
    if (!b->detector)
        return "cpu";
    wilor_detector_get_info(b->detector, &d, sizeof d);
    return d.device;
}

/* Arithmetic of a subject and its peaks: the model's, the detector's. */
enum { MODEL, DETECTOR, KINDS };

typedef struct work {
    double gflop[KINDS];
    const char *dtype[KINDS];
    wilor_cli_bench_peak peak[KINDS];
} work;

static work work_of(const bench *b, const subject *s) {
    work w = {.dtype = {dtype_of(b, s), detector_dtype(b)}};
    if (strcmp(device_of(b), "cpu") != 0)
        return w;
    if (s->bit & (WILOR_CLI_BENCH_MODEL | WILOR_CLI_BENCH_ROUTE))
        w.gflop[MODEL] = model_gflop(b->model) * b->o.hands;
    if (s->bit & (WILOR_CLI_BENCH_DETECTOR | WILOR_CLI_BENCH_ROUTE))
        w.gflop[DETECTOR] = 1; /* until a run has said it */
    return w;
}

/* One peak serves both kinds of the same arithmetic. */
static void take_peaks(const bench *b, work *w, bool done) {
    for (int i = 0; i < KINDS; i++) {
        if (w->gflop[i] == 0)
            continue;
        if (i == DETECTOR && w->gflop[MODEL] > 0 && !strcmp(w->dtype[MODEL], w->dtype[i]))
            w->peak[i] = w->peak[MODEL];
        else
            wilor_cli_bench_peak_take(&w->peak[i], w->dtype[i], b->threads, done);
    }
}

/* What the arithmetic came to, and which part of the time it would have taken at the peak. "detector_peak"
 * only beside another arithmetic's. */
static void add_rates(const work *w, double ms, json_t *object) {
    double gflop = 0, least = 0;
    const wilor_cli_bench_peak *first = NULL;
    for (int i = 0; i < KINDS; i++) {
        if (w->gflop[i] == 0)
            continue;
        gflop += w->gflop[i];
        least += w->gflop[i] / wilor_cli_bench_peak_rate(&w->peak[i]) * 1e3;
        if (!first || first->name != w->peak[i].name)
            json_object_set_new(object, first ? "detector_peak" : "peak",
                                wilor_cli_bench_peak_json(&w->peak[i]));
        first = first ? first : &w->peak[i];
    }
    json_object_set_new(object, "gflops", wilor_cli_bench_number(gflop / ms * 1e3));
    json_object_set_new(object, "of_peak",
                        isfinite(least) ? wilor_cli_bench_number(least / ms) : json_null());
}

static json_t *result(const bench *b, const subject *s, const wilor_cli_bench_run *runs, int n,
                      double *sorted, work *w) {
    json_t *object = json_object();
    json_object_set_new(object, "what", json_string(s->what));
    json_object_set_new(object, "dtype", json_string(dtype_of(b, s)));
    json_object_set_new(object, "device", json_string(device_of(b)));
    if (s->hands)
        json_object_set_new(object, "hands", json_integer(b->o.hands));
    json_object_set_new(object, "n", json_integer(n));
    for (int i = 0; i < n; i++)
        sorted[i] = runs[i].whole;
    wilor_cli_bench_quantiles(object, sorted, n);
    if (w->gflop[DETECTOR] > 0)
        w->gflop[DETECTOR] = runs[0].gflop;
    if (w->gflop[MODEL] + w->gflop[DETECTOR] > 0)
        add_rates(w, json_number_value(json_object_get(object, "median_ms")), object);
    if (s->bit == WILOR_CLI_BENCH_LIVE)
        wilor_cli_bench_split(object, &b->names, LIVE_DETECT, runs, n, sorted);
    json_object_set_new(object, "stages", wilor_cli_bench_stages(&b->names, runs, n, sorted));
    json_object_set_new(object, "rss_mb", wilor_cli_bench_number(wilor_machine_peak_mb()));
    json_t *published = b->o.published ? wilor_cli_bench_published(s->what) : NULL;
    if (published)
        json_object_set_new(object, "published", published);
    return object;
}

/* Until it is warm, then the runs that count; returns how many there were. */
static int run_all(bench *b, const subject *s, wilor_cli_bench_run *runs, wilor_status *st,
                   wilor_error *err) {
    int n = 0;
    double start = wilor_cli_seconds();
    for (int i = 0; *st == WILOR_OK && s->warm && !wilor_cli_interrupted() &&
                    (i < s->warm || wilor_cli_seconds() - start < WARM_SECONDS);
         i++)
        *st = s->run(b, &runs[0], err);
    for (; *st == WILOR_OK && n < b->o.runs && !wilor_cli_interrupted(); n++) {
        runs[n] = (wilor_cli_bench_run){0};
        *st = s->run(b, &runs[n], err);
    }
    return n;
}

static wilor_status measure(bench *b, const subject *s, wilor_error *err) {
    size_t most = (size_t)b->o.runs;
    wilor_status st = WILOR_OK;
    wilor_cli_bench_run *runs = calloc(most, sizeof *runs);
    double *sorted = calloc(most, sizeof *sorted);
    if (!runs || !sorted)
        st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    work w = work_of(b, s);
    b->names = (wilor_cli_bench_names){.threads = b->threads};
    memcpy(b->names.stage, s->stages, sizeof s->stages);
    if (st == WILOR_OK)
        take_peaks(b, &w, false);
    int n = run_all(b, s, runs, &st, err);
    if (st == WILOR_OK && !wilor_cli_interrupted())
        take_peaks(b, &w, true);
    if (st == WILOR_OK && n > 0 &&
        json_array_append_new(b->results, result(b, s, runs, n, sorted, &w)) != 0)
        st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    free(runs);
    free(sorted);
    return st;
}

/* ---------------------------------------------------------------- saying it */

static wilor_isa isa_of(const bench *b) {
    wilor_model_info m = {.isa = WILOR_ISA_C};
    wilor_detector_info d;
    if (b->model) {
        wilor_model_get_info(b->model, &m, sizeof m);
        return m.isa;
    }
    if (!b->detector)
        return wilor_isa_best(); /* peak, kernels */
    wilor_detector_get_info(b->detector, &d, sizeof d);
    return d.isa;
}

static wilor_status say(bench *b, wilor_error *err) {
    json_t *env = wilor_cli_bench_env(wilor_isa_name(isa_of(b)), b->threads);
    json_t *all =
        env ? json_pack("{s:i,s:O,s:O}", "v", 1, "env", env, "results", b->results) : NULL;
    char *text = all ? wilor_cli_json_text(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    if (text && b->o.json)
        puts(text);
    else if (text)
        wilor_cli_bench_table(env, b->results);
    bool ok = text != NULL;
    free(text);
    json_decref(all);
    json_decref(env);
    return ok ? WILOR_OK : wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
}

static wilor_status bench_run(bench *b, wilor_error *err) {
    wilor_status st = open_all(b, err);
    b->results = json_array();
    if (st == WILOR_OK && !b->results)
        st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    if (st == WILOR_OK && (b->o.what & WILOR_CLI_BENCH_PEAK) &&
        !wilor_cli_bench_peak_all(b->results, b->threads))
        st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    if (st == WILOR_OK && (b->o.what & WILOR_CLI_BENCH_KERNELS))
        st = wilor_cli_bench_kernels(b->results, b->threads, err);
    for (size_t i = 0; st == WILOR_OK && i < sizeof g_subjects / sizeof g_subjects[0]; i++) {
        const subject *s = &g_subjects[i];
        if (!(b->o.what & s->bit) || wilor_cli_interrupted())
            continue;
        /* load comes first: it replaces model and detector. */
        if (s->bit != WILOR_CLI_BENCH_LOAD && !b->pipeline)
            st = open_pipeline(b, err);
        if (st == WILOR_OK)
            st = measure(b, s, err);
    }
    if (st == WILOR_OK && !wilor_cli_interrupted())
        st = say(b, err);
    return st;
}

int wilor_cli_bench(int argc, char **argv) {
    bench b = {0};
    wilor_error err;
    int status = WILOR_CLI_DONE;
    wilor_status st = wilor_cli_bench_options_parse(&b.o, argc, argv, &err);
    if (st == WILOR_OK && b.o.help) {
        wilor_cli_bench_help(stdout);
        return wilor_cli_close_output(WILOR_CLI_DONE);
    }
    wilor_cli_report_begin(&b.report, false);
    if (st == WILOR_ERR_ARG)
        status = WILOR_CLI_USAGE;
    else if (st == WILOR_OK && (st = bench_run(&b, &err)) != WILOR_OK)
        status = st == WILOR_ERR_MISSING ? WILOR_CLI_NO_MODEL : WILOR_CLI_FAILED;
    if (wilor_cli_interrupted())
        status = WILOR_CLI_INTERRUPTED;
    else if (st != WILOR_OK)
        wilor_cli_report_error(&b.report, "%s", err.text);
    wilor_cli_bench_live_free(&b.live);
    wilor_pipeline_free(&b.pipeline);
    wilor_detector_free(&b.detector);
    wilor_model_free(&b.model);
    json_decref(b.results);
    free(b.pixels);
    free(b.crops);
    free(b.hand);
    return status == WILOR_CLI_DONE ? wilor_cli_close_output(status) : status;
}
