/* Detector and pipeline through the public interface: errors, whose boxes come first, callers with
 * a detector of their own, NV12, what a run may not do (allocate), allocations that fail in turn,
 * pipelines side by side. What the numbers are is test_detections' and test_route's business. */
#include "heap.h"
#include "loose_detect.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANO WILOR_TEST_DATA "/hand-cc0.npz"

enum { WIDTH = 200, HEIGHT = 150 };

static uint8_t g_pixels[HEIGHT * WIDTH * 3];
static const wilor_picture g_picture = {g_pixels, WIDTH, HEIGHT, WIDTH * 3, WILOR_RGB8};
static const wilor_box g_box = {{100, 80, 180, 140}, 0.25f, WILOR_LEFT};

static void fill_picture(void) {
    uint32_t s = 1;
    for (size_t i = 0; i < sizeof g_pixels; i++) {
        s = s * 1664525u + 1013904223u;
        g_pixels[i] = (uint8_t)(s >> 24);
    }
}

static wilor_model *open_tiny(void) {
    wilor_error err;
    wilor_model *model = NULL;
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = "random:tiny";
    o.mano = MANO;
    if (wilor_model_open(&model, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return model;
}

static wilor_detector *open_detector(const char *path) {
    wilor_error err;
    wilor_detector *detector = NULL;
    wilor_detector_options o;
    wilor_detector_options_init(&o, sizeof o);
    o.detector = path;
    if (wilor_detector_open(&detector, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return detector;
}

static wilor_detector *open_micro(void) { return open_detector("random:micro"); }

static wilor_pipeline *make(const wilor_detector *d, const wilor_model *m, int threads,
                            int most, wilor_find_fn find, void *user) {
    wilor_error err;
    wilor_pipeline *p = NULL;
    wilor_pipeline_options o;
    wilor_pipeline_options_init(&o, sizeof o);
    o.threads = threads;
    o.max_hands = most;
    o.find = find;
    o.find_user = user;
    if (wilor_pipeline_create(&p, d, m, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return p;
}

/* ---------------------------------------------------------------- errors */

static void expect_detector(const char *path, wilor_status want, const char *text) {
    wilor_error err;
    wilor_detector *d = (wilor_detector *)(uintptr_t)8;
    wilor_detector_options o;
    wilor_detector_options_init(&o, sizeof o);
    o.detector = path;
    wilor_status got = wilor_detector_open(&d, &o, &err);
    if (got != want)
        fail_msg("%s: status %d, expected %d: %s", path, got, want, err.text);
    assert_null(d);
    if (!strstr(err.text, text))
        fail_msg("'%s' is not in: %s", text, err.text);
}

static void test_detector_errors(void **state) {
    (void)state;
    wilor_error err;
    wilor_detector *d = NULL;
    wilor_detector_options o;
    expect_detector("/nonexistent/d.pt", WILOR_ERR_IO, "/nonexistent/d.pt");
    expect_detector(MANO, WILOR_ERR_MODEL, "hand-cc0.npz");
    expect_detector("random:nobody", WILOR_ERR_ARG, "nobody");
    wilor_detector_options_init(&o, sizeof o);
    assert_int_equal(wilor_detector_open(&d, &o, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_detector_open(NULL, &o, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_detector_open(&d, NULL, NULL), WILOR_ERR_ARG);
    wilor_detector_free(&d);
    wilor_detector_free(NULL);
    wilor_pipeline_free(NULL);
}

static void expect_detect(wilor_pipeline *p, const wilor_detect_options *o, wilor_status want) {
    wilor_error err;
    const wilor_detections *out = (const wilor_detections *)(uintptr_t)8;
    wilor_status got = wilor_detect(p, &g_picture, 1, o, &out, &err);
    if (got != want)
        fail_msg("status %d, expected %d: %s", got, want, err.text);
    assert_null(out);
}

static void test_detect_errors(void **state) {
    (void)state;
    wilor_detector *d = open_micro();
    wilor_model *m = open_tiny();
    wilor_pipeline *p = make(d, NULL, 1, 0, NULL, NULL),
                   *none = make(NULL, m, 1, 2, NULL, NULL);
    wilor_detect_options o;
    wilor_error err;
    const wilor_hands *hands;
    const wilor_detections *found;
    wilor_detect_options_init(&o, sizeof o);
    o.conf = 1;
    expect_detect(p, &o, WILOR_ERR_ARG);
    o.conf = (double)NAN;
    expect_detect(p, &o, WILOR_ERR_ARG);
    o.conf = 0.3;
    o.iou = -1;
    expect_detect(p, &o, WILOR_ERR_ARG);
    o.iou = 0;
    o.imgsz = 4097;
    expect_detect(p, &o, WILOR_ERR_LIMIT);
    o.imgsz = -1;
    expect_detect(p, &o, WILOR_ERR_ARG);
    o.imgsz = 0;
    o.force_side = 3;
    expect_detect(p, &o, WILOR_ERR_ARG);
    o.force_side = 0;
    expect_detect(none, &o, WILOR_ERR_ARG);
    /* A line of pixels has no height left at this size, as in ultralytics 8.1.34. */
    wilor_picture thin = {g_pixels, 3000, 1, 9000, WILOR_RGB8};
    o.imgsz = 32;
    assert_int_equal(wilor_detect(p, &thin, 1, &o, &found, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_detect(p, NULL, 1, NULL, &found, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_detect(p, &g_picture, 0, NULL, &found, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_pipeline_run(p, &g_picture, NULL, 0, NULL, NULL, &hands, &err),
                     WILOR_ERR_ARG); /* no model */
    assert_null(wilor_pipeline_session(p));
    const wilor_box boxes[3] = {g_box, g_box, g_box};
    assert_int_equal(wilor_pipeline_run(none, &g_picture, boxes, 3, NULL, NULL, &hands, &err),
                     WILOR_ERR_LIMIT);
    /* Without a detector the caller's boxes are all there is. */
    assert_int_equal(wilor_pipeline_run(none, &g_picture, boxes, 1, NULL, NULL, &hands, &err),
                     WILOR_OK);
    assert_int_equal(hands->n, 1);
    assert_int_equal(hands->detected[0], 0);
    wilor_pipeline_free(&p);
    wilor_pipeline_free(&none);
    assert_int_equal(wilor_pipeline_create(&p, NULL, NULL, NULL, &err), WILOR_ERR_ARG);
    wilor_model_free(&m);
    wilor_detector_free(&d);
}

/* ---------------------------------------------------------------- the route */

static void test_detections(void **state) {
    (void)state;
    wilor_detector *d = open_micro();
    wilor_pipeline *p = make(d, NULL, 2, 0, NULL, NULL);
    wilor_detect_options o = loose_detect(5);
    wilor_error err;
    const wilor_detections *out;
    assert_int_equal(wilor_detect(p, &g_picture, 1, &o, &out, &err), WILOR_OK);
    assert_int_equal(out->n, 5);
    assert_int_equal(out->input_width, 160);
    assert_int_equal(out->input_height, 128);
    for (int i = 0; i < out->n; i++) {
        const double *b = out->boxes[i].box;
        assert_true(b[0] >= 0 && b[0] <= b[2] && b[2] <= WIDTH && b[3] <= HEIGHT);
        assert_true(i == 0 || out->boxes[i].score <= out->boxes[i - 1].score);
        assert_true(b[0] == floor(b[0])); /* the 8.1.34 profile rounds */
    }
    float best = out->boxes[0].score;
    o.force_side = 1 + WILOR_LEFT;
    assert_int_equal(wilor_detect(p, &g_picture, 1, &o, &out, &err), WILOR_OK);
    for (int i = 0; i < out->n; i++)
        assert_int_equal(out->boxes[i].side, WILOR_LEFT);
    /* Nothing scores above the best. */
    o.conf = (double)best;
    assert_int_equal(wilor_detect(p, &g_picture, 1, &o, &out, &err), WILOR_OK);
    assert_int_equal(out->n, 0);
    wilor_pipeline_free(&p);
    wilor_detector_free(&d);
}

/* Two pictures of one size are padded alone, of two sizes to a square. */
static void test_batches(void **state) {
    (void)state;
    wilor_detector *d = open_micro();
    wilor_pipeline *p = make(d, NULL, 1, 0, NULL, NULL);
    wilor_detect_options o = loose_detect(5);
    wilor_error err;
    const wilor_detections *out;
    wilor_picture two[2] = {g_picture, g_picture};
    assert_int_equal(wilor_detect(p, two, 2, &o, &out, &err), WILOR_OK);
    assert_int_equal(out[0].n, out[1].n);
    assert_int_equal(out[1].input_height, 128);
    assert_memory_equal(out[0].boxes, out[1].boxes, sizeof(wilor_box) * (size_t)out[0].n);
    two[1].height -= 1;
    assert_int_equal(wilor_detect(p, two, 2, &o, &out, &err), WILOR_OK);
    assert_int_equal(out[0].input_height, 160);
    assert_int_equal(out[1].input_height, 160);
    wilor_pipeline_free(&p);
    wilor_detector_free(&d);
}

static void test_own_boxes_first(void **state) {
    (void)state;
    wilor_detector *d = open_micro();
    wilor_model *m = open_tiny();
    wilor_pipeline *p = make(d, m, 2, 3, NULL, NULL);
    wilor_detect_options o = loose_detect(5);
    wilor_error err;
    const wilor_hands *h;
    assert_int_equal(wilor_pipeline_run(p, &g_picture, &g_box, 1, &o, NULL, &h, &err),
                     WILOR_OK);
    assert_int_equal(h->n, 3); /* the pipeline's limit, not the detector's five */
    assert_true(h->box[0] == 100.0f && h->score[0] == 0.25f && !h->detected[0]);
    assert_true(h->detected[1] && h->detected[2] && h->detect_ms > 0);
    assert_true(h->detected_keypoints[0] == 0);
    /* The same boxes through level 1 give the same hands; and nothing is left of the detector. */
    wilor_box boxes[2];
    float wrist[6];
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 4; k++)
            boxes[i].box[k] = (double)h->box[(i + 1) * 4 + k];
        boxes[i].score = h->score[i + 1];
        boxes[i].side = (wilor_side)h->side[i + 1];
        memcpy(wrist + i * 3, h->keypoints_3d + (i + 1) * 63, 12);
    }
    float visible = h->detected_keypoints[63 + 2];
    assert_true(visible > 0 && visible < 1);
    assert_int_equal(
        wilor_predict_boxes(wilor_pipeline_session(p), &g_picture, boxes, 2, NULL, &h, &err),
        WILOR_OK);
    assert_memory_equal(h->keypoints_3d, wrist, 12);
    assert_memory_equal(h->keypoints_3d + 63, wrist + 3, 12);
    assert_true(!h->detected[0] && !h->detected[1] && h->detected_keypoints[63 + 2] == 0);
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
    wilor_detector_free(&d);
}

typedef struct finder {
    int calls, answer;
    int width, most;
} finder;

static int find_box(void *user, const wilor_picture *picture, wilor_box *boxes,
                    float *keypoints, int most) {
    finder *f = user;
    f->calls++;
    f->width = picture->width;
    f->most = most;
    if (f->answer > 0 && f->answer <= most) {
        boxes[0] = g_box;
        keypoints[5] = 0.75f;
    }
    return f->answer;
}

static void test_callback(void **state) {
    (void)state;
    wilor_model *m = open_tiny();
    finder f = {.answer = 1};
    wilor_pipeline *p = make(NULL, m, 1, 4, find_box, &f);
    wilor_error err;
    const wilor_hands *h;
    assert_int_equal(wilor_pipeline_run(p, &g_picture, &g_box, 1, NULL, NULL, &h, &err),
                     WILOR_OK);
    assert_int_equal(h->n, 2);
    assert_true(f.calls == 1 && f.width == WIDTH && f.most == 3);
    assert_true(h->detected[1] && h->detected_keypoints[63 + 5] == 0.75f);
    assert_true(h->detected_keypoints[63 + 4] == 0);
    assert_memory_equal(h->keypoints_3d, h->keypoints_3d + 63, 63 * sizeof(float));
    f.answer = 0;
    assert_int_equal(wilor_pipeline_run(p, &g_picture, NULL, 0, NULL, NULL, &h, &err),
                     WILOR_OK);
    assert_int_equal(h->n, 0);
    f.answer = -7;
    assert_int_equal(wilor_pipeline_run(p, &g_picture, NULL, 0, NULL, NULL, &h, &err),
                     WILOR_ERR_CANCELLED);
    f.answer = 5;
    assert_int_equal(wilor_pipeline_run(p, &g_picture, NULL, 0, NULL, NULL, &h, &err),
                     WILOR_ERR_ARG);
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
}

/* A grey NV12 picture is the grey picture, to detector and crops alike. */
static void test_nv12(void **state) {
    (void)state;
    static uint8_t nv12[WIDTH * HEIGHT * 3 / 2], rgb[WIDTH * HEIGHT * 3];
    for (size_t i = 0; i < WIDTH * HEIGHT; i++) {
        nv12[i] = (uint8_t)(16 + g_pixels[i] % 220);
        /* BT.601, limited range, in OpenCV's 20 fractional bits. */
        int y = (nv12[i] - 16) * 1220542, v = (y + (1 << 19)) >> 20;
        memset(rgb + 3 * i, v > 255 ? 255 : v, 3);
    }
    memset(nv12 + WIDTH * HEIGHT, 128, WIDTH * HEIGHT / 2);
    wilor_picture a = {nv12, WIDTH, HEIGHT, WIDTH, WILOR_NV12};
    wilor_picture b = {rgb, WIDTH, HEIGHT, WIDTH * 3, WILOR_RGB8};
    wilor_detector *d = open_micro();
    wilor_model *m = open_tiny();
    wilor_pipeline *p = make(d, m, 2, 2, NULL, NULL);
    wilor_detect_options o = loose_detect(5);
    wilor_error err;
    const wilor_hands *h;
    float points[2 * 63], seen[2 * 63];
    assert_int_equal(wilor_pipeline_run(p, &a, NULL, 0, &o, NULL, &h, &err), WILOR_OK);
    assert_int_equal(h->n, 2);
    memcpy(points, h->keypoints_3d, sizeof points);
    memcpy(seen, h->detected_keypoints, sizeof seen);
    assert_int_equal(wilor_pipeline_run(p, &b, NULL, 0, &o, NULL, &h, &err), WILOR_OK);
    assert_memory_equal(points, h->keypoints_3d, sizeof points);
    assert_memory_equal(seen, h->detected_keypoints, sizeof seen);
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
    wilor_detector_free(&d);
}

/* ---------------------------------------------------------------- memory and threads */

static void test_memory(void **state) {
    (void)state;
    wilor_detector *d = open_micro();
    wilor_model *m = open_tiny();
    wilor_pipeline *p = make(d, m, 2, 3, NULL, NULL);
    wilor_detect_options o = loose_detect(5);
    wilor_error err;
    const wilor_hands *h;
    for (int i = 0; i < 3; i++) {
        long before = wilor_heap_calls();
        assert_int_equal(wilor_pipeline_run(p, &g_picture, &g_box, 1, &o, NULL, &h, &err),
                         WILOR_OK);
        if (i > 0) /* the first run of a size takes the maps */
            assert_int_equal(wilor_heap_calls(), before);
    }
    wilor_pipeline_options po;
    wilor_pipeline_options_init(&po, sizeof po);
    po.threads = 2;
    size_t small = wilor_pipeline_memory(d, m, &po, 64, 64);
    size_t wide = wilor_pipeline_memory(d, m, &po, 640, 640), none;
    none = wilor_pipeline_memory(NULL, m, &po, 640, 640);
    assert_true(none > 0 && none < small && small <= wide);
    po.threads = -1;
    assert_int_equal(wilor_pipeline_memory(d, m, &po, 64, 64), 0);
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
    wilor_detector_free(&d);
}

/* Every allocation of opening, creating and the first run fails in turn. */
static void test_allocations_fail(void **state) {
    (void)state;
    wilor_model *m = open_tiny();
    wilor_error err;
    wilor_detector_options dopt;
    wilor_detect_options o = loose_detect(5);
    wilor_detector_options_init(&dopt, sizeof dopt);
    dopt.detector = "random:micro";
    dopt.threads = 2;
    long n = 0;
    for (bool done = false; !done; n++) {
        wilor_detector *d = NULL;
        wilor_pipeline *p = NULL;
        wilor_pipeline_options po;
        const wilor_hands *h = NULL;
        wilor_pipeline_options_init(&po, sizeof po);
        po.threads = 2;
        po.max_hands = 2;
        wilor_heap_fail_at(n);
        wilor_status st = wilor_detector_open(&d, &dopt, &err);
        if (st == WILOR_OK)
            st = wilor_pipeline_create(&p, d, m, &po, &err);
        if (st == WILOR_OK)
            st = wilor_pipeline_run(p, &g_picture, NULL, 0, &o, NULL, &h, &err);
        wilor_heap_fail_at(-1);
        done = st == WILOR_OK;
        if (!done && st != WILOR_ERR_NOMEM)
            fail_msg("allocation %ld: status %d: %s", n, st, err.text);
        if (!done && p) { /* it still works afterwards */
            assert_int_equal(wilor_pipeline_run(p, &g_picture, NULL, 0, &o, NULL, &h, &err),
                             WILOR_OK);
            assert_int_equal(h->n, 2);
        }
        wilor_pipeline_free(&p);
        wilor_detector_free(&d);
    }
    printf("%ld allocations failed in turn\n", n - 1);
    assert_true(n > 20);
    wilor_model_free(&m);
}

typedef struct lane {
    pthread_t thread;
    const wilor_detector *d;
    const wilor_model *m;
    int threads;
    float points[4 * 63], seen[4 * 63];
} lane;

static void *lane_main(void *user) {
    lane *l = user;
    wilor_detect_options o = loose_detect(5);
    wilor_error err;
    const wilor_hands *h;
    wilor_pipeline *p = make(l->d, l->m, l->threads, 4, NULL, NULL);
    for (int i = 0; i < 3; i++)
        if (wilor_pipeline_run(p, &g_picture, NULL, 0, &o, NULL, &h, &err) != WILOR_OK ||
            h->n != 4)
            abort();
    memcpy(l->points, h->keypoints_3d, sizeof l->points);
    memcpy(l->seen, h->detected_keypoints, sizeof l->seen);
    wilor_pipeline_free(&p);
    return NULL;
}

/* Pipelines on one detector and model, with 1, 2 and 3 threads, at once: the same bits. */
static void test_side_by_side(void **state) {
    (void)state;
    wilor_detector *d = open_micro();
    wilor_model *m = open_tiny();
    lane lanes[3];
    for (int i = 0; i < 3; i++) {
        lanes[i] = (lane){.d = d, .m = m, .threads = i + 1};
        assert_int_equal(pthread_create(&lanes[i].thread, NULL, lane_main, &lanes[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(lanes[i].thread, NULL);
    for (int i = 1; i < 3; i++) {
        assert_memory_equal(lanes[i].points, lanes[0].points, sizeof lanes[0].points);
        assert_memory_equal(lanes[i].seen, lanes[0].seen, sizeof lanes[0].seen);
    }
    wilor_model_free(&m);
    wilor_detector_free(&d);
}

/* The best column is the best detection of the same picture, which passes the letterbox as it is. */
static void test_raw(void **state) {
    (void)state;
    wilor_detector *d = open_micro();
    wilor_model *m = open_tiny();
    wilor_pipeline *p = make(d, NULL, 2, 0, NULL, NULL),
                   *none = make(NULL, m, 1, 2, NULL, NULL);
    wilor_picture picture = g_picture;
    wilor_detect_options o;
    const wilor_detections *found;
    const float *raw;
    wilor_error err;
    int n, best = 0;
    picture.width = 96;
    picture.height = 64;
    wilor_detect_options_init(&o, sizeof o);
    o.imgsz = 96;
    o.conf = 1e-6;
    o.profile = WILOR_DETECTOR_8_4_190;
    assert_int_equal(wilor_detect(p, &picture, 1, &o, &found, &err), WILOR_OK);
    assert_true(found->n > 0 && found->input_width == 96 && found->input_height == 64);
    wilor_box want = found->boxes[0];
    assert_int_equal(wilor_detect_raw(p, &picture, &raw, &n, &err), WILOR_OK);
    assert_int_equal(n, 12 * 8 + 6 * 4 + 3 * 2);
    for (int i = 1; i < n; i++)
        if (fmaxf(raw[4 * n + i], raw[5 * n + i]) > fmaxf(raw[4 * n + best], raw[5 * n + best]))
            best = i;
    assert_true(raw[(4 + (int)want.side) * n + best] == want.score);
    for (int k = 0; k < 4; k++) {
        float half = raw[(2 + k % 2) * n + best] / 2;
        float edge = raw[k % 2 * n + best] + (k < 2 ? -half : half);
        assert_true(fabs((double)edge - want.box[k]) < 1e-4 || want.box[k] == 0 ||
                    want.box[k] == (k % 2 ? 64 : 96)); /* clipped */
    }
    picture.width = 95;
    assert_int_equal(wilor_detect_raw(p, &picture, &raw, &n, &err), WILOR_ERR_ARG);
    assert_true(raw == NULL && n == 0);
    picture.width = 8192;
    picture.height = 32;
    picture.stride = 0;
    assert_int_equal(wilor_detect_raw(p, &picture, &raw, &n, &err), WILOR_ERR_ARG);
    picture.stride = 8192 * 3;
    assert_int_equal(wilor_detect_raw(p, &picture, &raw, &n, &err), WILOR_ERR_LIMIT);
    assert_int_equal(wilor_detect_raw(none, &g_picture, &raw, &n, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_detect_raw(p, NULL, &raw, &n, &err), WILOR_ERR_ARG);
    wilor_pipeline_free(&none);
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
    wilor_detector_free(&d);
}

static void test_info(void **state) {
    (void)state;
    wilor_detector *d = open_micro();
    wilor_detector_info info;
    wilor_detector_get_info(d, &info, sizeof info);
    assert_true(info.imgsz >= 32 && info.parameters > 1000 && info.packed_bytes > 4000);
    assert_string_equal(info.detector, "random:micro");
    assert_int_equal(info.isa, wilor_isa_best());
    assert_true(info.iou == 0.7);
    wilor_detector_free(&d);
}

/* Detections of one picture at that overlap, however little they score. */
static int count_at(wilor_pipeline *p, double iou) {
    wilor_error err;
    const wilor_detections *found;
    wilor_detect_options o;
    wilor_detect_options_init(&o, sizeof o);
    o.conf = 1e-5;
    o.iou = iou;
    if (wilor_detect(p, &g_picture, 1, &o, &found, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return found->n;
}

/* Nano's file asks for one box a hand: 0.5 where nothing is said. */
static void test_default_iou(void **state) {
    wilor_detector_info info;
    (void)state;
    wilor_detector *d =
        open_detector(WILOR_TEST_DATA "/../../../models/nano/hand-detector-nano.safetensors");
    wilor_pipeline *p = make(d, NULL, 1, 0, NULL, NULL);
    wilor_detector_get_info(d, &info, sizeof info);
    assert_true(info.iou == 0.5);
    assert_int_equal(count_at(p, 0), count_at(p, 0.5));
    assert_true(count_at(p, 0) < count_at(p, 0.7) && count_at(p, 0.7) < 300);
    wilor_pipeline_free(&p);
    wilor_detector_free(&d);
}

int main(void) {
    fill_picture();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_detector_errors),
                                       cmocka_unit_test(test_detect_errors),
                                       cmocka_unit_test(test_detections),
                                       cmocka_unit_test(test_batches),
                                       cmocka_unit_test(test_own_boxes_first),
                                       cmocka_unit_test(test_callback),
                                       cmocka_unit_test(test_nv12),
                                       cmocka_unit_test(test_memory),
                                       cmocka_unit_test(test_allocations_fail),
                                       cmocka_unit_test(test_side_by_side),
                                       cmocka_unit_test(test_raw),
                                       cmocka_unit_test(test_info),
                                       cmocka_unit_test(test_default_iou)};
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
