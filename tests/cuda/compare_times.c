/* Times on the card: wall clock of the caller, from host memory to host memory, after a warm-up. */
#include "clock.h"
#include "compare.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CROP_FLOATS = 256 * 256 * 3, WARM = 20, RUNS = 100 };

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *what, double *ms, int n) {
    qsort(ms, (size_t)n, sizeof *ms, ascending);
    printf("time %-28s min %.3f median %.3f p90 %.3f ms (%d runs)\n", what, ms[0], ms[n / 2],
           ms[n * 9 / 10], n);
    fflush(stdout);
}

/* Crops in host memory to vertices in host memory. */
static void time_hands(const wilor_model *model, int hands) {
    wilor_error err;
    const wilor_hands *out;
    wilor_session *session;
    wilor_session_options so;
    char what[40];
    double ms[RUNS];
    wilor_session_options_init(&so, sizeof so);
    so.batch = hands;
    compare_need(wilor_session_create(&session, model, &so, &err), &err, "a session");
    float *rgb = compare_alloc((size_t)hands * CROP_FLOATS * sizeof *rgb);
    compare_fill_crops(rgb, hands);
    for (int i = -WARM; i < RUNS; i++) {
        uint64_t start = wilor_clock_ns();
        compare_need(wilor_run(session, rgb, hands, &out, &err), &err, "a run");
        if (i >= 0)
            ms[i] = (double)(wilor_clock_ns() - start) * 1e-6;
    }
    snprintf(what, sizeof what, "%d hand%s, host crops", hands, hands > 1 ? "s" : "");
    print_times(what, ms, RUNS);
    wilor_session_free(&session);
    free(rgb);
}

/* Hands of a picture in host memory, boxes given: crops are made on the card. */
static void time_boxes(const wilor_model *model, const wilor_picture *picture, int hands) {
    wilor_error err;
    const wilor_hands *out;
    wilor_session *session;
    wilor_session_options so;
    wilor_box boxes[32];
    char what[40];
    double ms[RUNS];
    wilor_session_options_init(&so, sizeof so);
    so.batch = hands;
    for (int i = 0; i < hands; i++)
        boxes[i] = (wilor_box){{20.0 + 15 * i, 30.0 + 10 * i, 110.0 + 15 * i, 120.0 + 10 * i},
                               1,
                               i % 2 ? WILOR_LEFT : WILOR_RIGHT};
    compare_need(wilor_session_create(&session, model, &so, &err), &err, "a session");
    for (int i = -WARM; i < RUNS; i++) {
        uint64_t start = wilor_clock_ns();
        compare_need(wilor_predict_boxes(session, picture, boxes, hands, NULL, &out, &err),
                     &err, "a run");
        if (i >= 0)
            ms[i] = (double)(wilor_clock_ns() - start) * 1e-6;
    }
    snprintf(what, sizeof what, "%d hand%s, frame and boxes", hands, hands > 1 ? "s" : "");
    print_times(what, ms, RUNS);
    wilor_session_free(&session);
}

static void time_detector(const wilor_detector *detector, const wilor_picture *picture) {
    wilor_error err;
    const wilor_detections *out;
    wilor_pipeline *pipeline;
    double put[RUNS], network[RUNS], read[RUNS], whole[RUNS];
    compare_need(wilor_pipeline_create(&pipeline, detector, NULL, NULL, &err), &err,
                 "a pipeline");
    for (int i = -WARM; i < RUNS; i++) {
        uint64_t start = wilor_clock_ns();
        compare_need(wilor_detect(pipeline, picture, 1, NULL, &out, &err), &err, "a detection");
        if (i >= 0) {
            whole[i] = (double)(wilor_clock_ns() - start) * 1e-6;
            put[i] = out->stage_ms[0];
            network[i] = out->stage_ms[1];
            read[i] = out->stage_ms[2];
        }
    }
    print_times("detector, frame to boxes", whole, RUNS);
    print_times("detector, frame put", put, RUNS);
    print_times("detector, network alone", network, RUNS);
    print_times("detector, boxes read", read, RUNS);
    wilor_pipeline_free(&pipeline);
}

/* A frame in host memory, through the detector, to two hands in host memory. It finds none: boxes are given. */
static void time_route(const wilor_detector *detector, const wilor_model *model,
                       const wilor_picture *picture) {
    static const wilor_box boxes[2] = {{{20, 30, 110, 120}, 1, WILOR_RIGHT},
                                       {{35, 40, 125, 130}, 1, WILOR_LEFT}};
    wilor_error err;
    const wilor_hands *out;
    wilor_pipeline *pipeline;
    wilor_pipeline_options po;
    wilor_detect_options o;
    double detector_ms[RUNS], whole[RUNS];
    wilor_pipeline_options_init(&po, sizeof po);
    wilor_detect_options_init(&o, sizeof o);
    po.max_hands = po.batch = 2;
    o.conf = 0.999999;
    compare_need(wilor_pipeline_create(&pipeline, detector, model, &po, &err), &err,
                 "a pipeline");
    for (int i = -WARM; i < RUNS; i++) {
        uint64_t start = wilor_clock_ns();
        compare_need(wilor_pipeline_run(pipeline, picture, boxes, 2, &o, NULL, &out, &err),
                     &err, "a run");
        if (i >= 0) {
            whole[i] = (double)(wilor_clock_ns() - start) * 1e-6;
            detector_ms[i] = out->detect_ms;
        }
    }
    print_times("frame to two hands", whole, RUNS);
    print_times("of that, detector", detector_ms, RUNS);
    wilor_pipeline_free(&pipeline);
}

void compare_times(const compare_options *o) {
    static const int counts[] = {1, 2, 8, 32};
    bool wide = o->dtype == WILOR_DTYPE_F32 || o->dtype == WILOR_DTYPE_F32X;
    wilor_picture picture;
    uint8_t *pixels = compare_make_picture(&picture, o);
    wilor_model *model = compare_open_model(o, o->device, o->dtype);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && counts[i] <= o->hands; i++)
        time_hands(model, counts[i]);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && counts[i] <= o->hands; i++)
        time_boxes(model, &picture, counts[i]);
    wilor_detector *detector =
        compare_open_detector(o, o->device, wide ? WILOR_DTYPE_F16 : o->dtype);
    time_detector(detector, &picture);
    time_route(detector, model, &picture);
    wilor_detector_free(&detector);
    wilor_model_free(&model);
    free(pixels);
}
