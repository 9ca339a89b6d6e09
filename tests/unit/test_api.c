/* The public interface: options of older and newer size, errors, what a run may not do
 * (allocate), allocations that fail in turn, sessions side by side. */
#include "heap.h"
#include "wilor/wilor.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANO WILOR_TEST_DATA "/hand-cc0.npz"

static uint8_t g_pixels[300 * 400 * 3];
static const wilor_picture g_picture = {g_pixels, 400, 300, 400 * 3, WILOR_RGB8};
static const wilor_box g_boxes[3] = {{{100, 80, 180, 170}, 0.9f, WILOR_RIGHT},
                                     {{200.5, 60.25, 290, 140}, 0.8f, WILOR_LEFT},
                                     {{-40, 200, 90, 330}, 0.7f, WILOR_LEFT}};

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

static wilor_session *session_on(const wilor_model *model, int batch, int threads) {
    wilor_error err;
    wilor_session *s;
    wilor_session_options o;
    wilor_session_options_init(&o, sizeof o);
    o.batch = batch;
    o.threads = threads;
    if (wilor_session_create(&s, model, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return s;
}

/* ---------------------------------------------------------------- options and errors */

static void test_option_sizes(void **state) {
    (void)state;
    wilor_error err;
    wilor_model *model = NULL;

    struct {
        wilor_model_options o;
        char tail[32];
    } newer;

    /* A newer caller's longer struct is fine while its tail is zero. */
    memset(&newer, 0xAA, sizeof newer);
    wilor_model_options_init(&newer.o, sizeof newer);
    assert_int_equal(newer.o.struct_size, sizeof newer);
    assert_int_equal(newer.tail[31], 0);
    newer.o.weights = "random:tiny";
    newer.o.mano = MANO;
    assert_int_equal(wilor_model_open(&model, &newer.o, &err), WILOR_OK);
    wilor_model_free(&model);
    newer.tail[5] = 1;
    assert_int_equal(wilor_model_open(&model, &newer.o, &err), WILOR_ERR_UNSUPPORTED);
    assert_null(model);
    /* An older caller's shorter one: the rest is defaults. */
    size_t shorter = offsetof(wilor_model_options, heads);
    wilor_model_options_init(&newer.o, shorter);
    newer.o.weights = "random:tiny";
    newer.o.mano = MANO;
    newer.o.heads = 3; /* beyond what the caller says it has */
    assert_int_equal(wilor_model_open(&model, &newer.o, &err), WILOR_OK);
    wilor_model_free(&model);
    newer.o.struct_size = 0;
    assert_int_equal(wilor_model_open(&model, &newer.o, &err), WILOR_ERR_ARG);
}

static void expect_open(const char *weights, const char *mano, int heads, wilor_status want,
                        const char *text) {
    wilor_error err;
    wilor_model *model = (wilor_model *)(uintptr_t)8;
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = weights;
    o.mano = mano;
    o.heads = heads;
    wilor_status got = wilor_model_open(&model, &o, &err);
    if (got != want)
        fail_msg("%s: status %d, expected %d: %s", weights, got, want, err.text);
    assert_null(model);
    assert_int_equal(err.status, want);
    if (!strstr(err.text, text))
        fail_msg("'%s' is not in: %s", text, err.text);
}

#if defined(_WIN32)
#define NO_MODULE(what) "not available on this system"
#else
#define NO_MODULE(what) "the module that drives " what
#endif

/* Names of devices; where a module is not to be had, the error says so, and nothing else is taken in its place. */
static void test_devices(void **state) {
    (void)state;

    static const struct {
        const char *device;
        wilor_status status;
        const char *text; /* of the error; NULL: it opens, and is the processor */
    } all[] = {
        {NULL, WILOR_OK, NULL},
        {"cpu", WILOR_OK, NULL},
        {"auto", WILOR_OK, NULL},
        {"tpu", WILOR_ERR_ARG, "device 'tpu' is none: auto, cpu, gpu, mlx, cuda, cuda:N, or"},
        {"", WILOR_ERR_ARG, "is none"},
        {"cuda:", WILOR_ERR_ARG, "is none"},
        {"cuda:-1", WILOR_ERR_ARG, "is none"},
        {"cuda:1x", WILOR_ERR_ARG, "is none"},
        {"cuda:256", WILOR_ERR_ARG, "is none"},
        {"cuda:99999999999999999999", WILOR_ERR_ARG, "is none"},
        {"cudas", WILOR_ERR_ARG, "is none"},
        {",", WILOR_ERR_ARG, "is none"},
        {"cuda:250,", WILOR_ERR_ARG, "is none"},
        {"cuda,cuda:0", WILOR_ERR_ARG, "is none"}, /* the same twice */
        {"cuda:251,cuda:252,cuda:251", WILOR_ERR_ARG, "is none"},
        {"cpu,cuda:250", WILOR_ERR_ARG, "is none"},
        {"cuda:1,cuda:2,cuda:3,cuda:4,cuda:5,cuda:6,cuda:7,cuda:8,cuda:9", WILOR_ERR_ARG,
         "is none"},
        {"cuda:255,cuda:254", WILOR_ERR_UNSUPPORTED, "device cuda: " NO_MODULE("NVIDIA")},
        {"mlx:0", WILOR_ERR_ARG, "is none"},
        {"mlx", WILOR_ERR_UNSUPPORTED, "device mlx: " NO_MODULE("MLX")},
        {"cuda:1", WILOR_ERR_UNSUPPORTED, "device cuda: " NO_MODULE("NVIDIA")}};

    wilor_error err;
#if !defined(_WIN32)
    setenv("WILOR_MLX_MODULE", "/nowhere", 1);
    setenv("WILOR_CUDA_MODULE", "/nowhere", 1);
#endif
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        wilor_model *model = NULL;
        wilor_detector *detector = NULL;
        wilor_model_options m;
        wilor_detector_options d;
        wilor_model_options_init(&m, sizeof m);
        wilor_detector_options_init(&d, sizeof d);
        m.weights = "random:tiny";
        m.mano = MANO;
        m.heads = 4;
        d.detector = "random:micro";
        m.device = d.device = all[i].device;
        assert_int_equal(wilor_model_open(&model, &m, &err), all[i].status);
        assert_true(!all[i].text || strstr(err.text, all[i].text));
        assert_int_equal(wilor_detector_open(&detector, &d, &err), all[i].status);
        assert_true(!all[i].text || strstr(err.text, all[i].text));
        if (model && detector) {
            wilor_detector_info info;
            wilor_detector_get_info(detector, &info, sizeof info);
            assert_string_equal(info.device, "cpu");
        }
        wilor_model_free(&model);
        wilor_detector_free(&detector);
    }
}

static void test_open_errors(void **state) {
    (void)state;
    expect_open("/nonexistent/w.ckpt", NULL, 0, WILOR_ERR_IO, "/nonexistent/w.ckpt");
    expect_open(MANO, NULL, 0, WILOR_ERR_MODEL, "a hand model");
    expect_open("random:tiny", NULL, 0, WILOR_ERR_MISSING, "hand model");
    expect_open("random:nobody", MANO, 0, WILOR_ERR_ARG, "nobody");
    expect_open("random:tiny", MANO, 7, WILOR_ERR_MODEL, "7 attention heads");
    expect_open("random:tiny", WILOR_TEST_FORMATS "/stored.npz", 0, WILOR_ERR_MISSING, "");
    wilor_error err;
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    wilor_model *model = NULL;
    assert_int_equal(wilor_model_open(&model, &o, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_model_open(NULL, &o, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_model_open(&model, NULL, NULL), WILOR_ERR_ARG);
    model = NULL;
    wilor_model_free(&model);
    wilor_model_free(NULL);
    wilor_session_free(NULL);
}

/* The crop's side by preset: the longer side, or (WiLoR's demo) of the box made 4/3 as high as wide. */
static void test_crop_presets(void **state) {
    (void)state;
    static const wilor_box boxes[2] = {{{100, 80, 190, 150}, 1, WILOR_RIGHT},
                                       {{100, 80, 130, 140}, 1, WILOR_LEFT}};
    static const float sides[2][2] = {{225, 150}, {240, 120}};
    wilor_model *model = open_tiny();
    wilor_error err;
    for (int k = 0; k < 2; k++) {
        wilor_session *s;
        wilor_session_options o;
        const wilor_hands *hands;
        wilor_session_options_init(&o, sizeof o);
        o.threads = 1;
        o.compat = k ? WILOR_COMPAT_WILOR : WILOR_COMPAT_MINI;
        assert_int_equal(wilor_session_create(&s, model, &o, &err), WILOR_OK);
        assert_int_equal(wilor_predict_boxes(s, &g_picture, boxes, 2, NULL, &hands, &err),
                         WILOR_OK);
        for (int i = 0; i < 2; i++) {
            assert_true(fabsf(hands->crop[i * 3 + 2] - sides[k][i]) < 1e-3f);
            assert_true(hands->crop[i * 3] == (float)(boxes[i].box[0] + boxes[i].box[2]) / 2);
        }
        wilor_session_free(&s);
    }
    wilor_model_free(&model);
}

static int cancel_second(void *user) { return ++*(int *)user >= 2; }

static void test_cancel(void **state) {
    (void)state;
    int calls = 0;
    wilor_error err;
    wilor_model *model = NULL;
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = "random:tiny";
    o.mano = MANO;
    o.callbacks.user = &calls;
    o.callbacks.cancel = cancel_second;
    assert_int_equal(wilor_model_open(&model, &o, &err), WILOR_ERR_CANCELLED);
    assert_int_equal(calls, 2);
    assert_null(model);
}

static void test_session_limits(void **state) {
    (void)state;
    wilor_error err;
    wilor_session *s;
    wilor_model *model = open_tiny();
    wilor_session_options o;
    wilor_session_options_init(&o, sizeof o);
    o.max_hands = 5000;
    assert_int_equal(wilor_session_create(&s, model, &o, &err), WILOR_ERR_LIMIT);
    assert_int_equal(wilor_session_memory(model, &o), 0);
    o.max_hands = -1;
    assert_int_equal(wilor_session_create(&s, model, &o, &err), WILOR_ERR_ARG);
    o.max_hands = 2;
    assert_int_equal(wilor_session_create(&s, model, &o, &err), WILOR_OK);
    assert_true(wilor_session_memory(model, &o) > 1000);
    const wilor_hands *h;
    assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 3, NULL, &h, &err),
                     WILOR_ERR_LIMIT);
    assert_null(h);
    assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, -1, NULL, &h, &err),
                     WILOR_ERR_ARG);
    assert_int_equal(wilor_predict_boxes(s, &g_picture, NULL, 0, NULL, &h, &err), WILOR_OK);
    assert_int_equal(h->n, 0);
    wilor_session_free(&s);
    wilor_model_free(&model);
}

static void expect_box(wilor_session *s, wilor_box box, const wilor_picture *picture) {
    wilor_error err;
    const wilor_hands *h;
    assert_int_equal(wilor_predict_boxes(s, picture, &box, 1, NULL, &h, &err), WILOR_ERR_ARG);
    assert_null(h);
    assert_true(err.text[0] != 0);
}

static void test_bad_input(void **state) {
    (void)state;
    wilor_error err;
    const wilor_hands *h;
    wilor_model *model = open_tiny();
    wilor_session *s = session_on(model, 2, 1);
    wilor_predict_options o;
    expect_box(s, (wilor_box){{0, 0, 0, 10}, 1, WILOR_RIGHT}, &g_picture);
    expect_box(s, (wilor_box){{NAN, 0, 5, 10}, 1, WILOR_RIGHT}, &g_picture);
    expect_box(s, (wilor_box){{0, 0, 5, 10}, 1, (wilor_side)7}, &g_picture);
    wilor_picture bad = g_picture;
    bad.stride = 10;
    expect_box(s, g_boxes[0], &bad);
    bad = g_picture;
    bad.data = NULL;
    expect_box(s, g_boxes[0], &bad);
    bad = g_picture;
    bad.format = (wilor_pixel_format)99;
    expect_box(s, g_boxes[0], &bad);
    wilor_predict_options_init(&o, sizeof o);
    o.palm = -1;
    assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 1, &o, &h, &err),
                     WILOR_ERR_ARG);
    wilor_predict_options_init(&o, sizeof o);
    o.has_intrinsics = 1; /* all zero */
    assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 1, &o, &h, &err),
                     WILOR_ERR_ARG);
    assert_int_equal(wilor_predict_crops(s, &g_picture, NULL, 1, &h, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "400 x 300"));
    wilor_session_free(&s);
    wilor_model_free(&model);
}

/* ---------------------------------------------------------------- results */

static void fill_picture(void) {
    for (size_t i = 0; i < sizeof g_pixels; i++)
        g_pixels[i] = (uint8_t)((i * 2654435761u) >> 13);
}

/* Hands done in parts of 1, 2 and 3 are the same hands. */
static void test_batches(void **state) {
    (void)state;
    wilor_error err;
    const wilor_hands *h;
    wilor_model *model = open_tiny();
    float first[3 * 63];
    for (int batch = 1; batch <= 3; batch++) {
        wilor_session *s = session_on(model, batch, 2);
        assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 3, NULL, &h, &err),
                         WILOR_OK);
        assert_int_equal(h->n, 3);
        assert_int_equal(h->side[1], WILOR_LEFT);
        assert_true(h->stage_ms[3] > 0 && h->box[5] == 60.25f && h->crop[2] == 225.0f);
        if (batch == 1)
            memcpy(first, h->keypoints_3d, sizeof first);
        assert_memory_equal(first, h->keypoints_3d, sizeof first);
        wilor_session_free(&s);
    }
    wilor_model_free(&model);
}

/* What a call's parts add up to, by stage; the threads' time does not exceed what there was. */
static void check_profile(const wilor_profile *p, const wilor_hands *h, bool counted) {
    double sum[3] = {0}, busy = 0;
    for (int i = 0; i < p->n; i++) {
        assert_true(p->stage[i] >= 0 && p->stage[i] < 3 && p->name[i][0] && p->ms[i] >= 0);
        assert_true(p->busy_ms[i] >= 0);
        assert_true(p->busy_ms[i] <= p->ms[i] * p->threads * 1.001 + 0.01);
        sum[p->stage[i]] += p->ms[i];
        busy += p->busy_ms[i];
    }
    assert_true(counted ? busy > 0 : busy == 0);
    for (int stage = 0; stage < 3; stage++) {
        assert_true(sum[stage] > 0);
        assert_true(sum[stage] <= h->stage_ms[stage] + 0.001);
    }
}

static void test_profile(void **state) {
    (void)state;
    wilor_error err;
    const wilor_hands *h;
    wilor_model *model = open_tiny();
    wilor_session *s = session_on(model, 2, 2); /* three hands are two batches */
    const wilor_profile *p = wilor_session_get_profile(s);
    float plain[3 * 63];
    assert_int_equal(p->threads, 2);
    assert_string_equal(p->name[0], "crop");
    for (int i = 0; i < p->n; i++)
        assert_true(p->ms[i] == 0 && p->busy_ms[i] == 0);
    for (int run = 0; run < 4; run++) {
        bool counted = run == 1 || run == 2;
        wilor_session_set_profiling(s, counted);
        assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 3, NULL, &h, &err),
                         WILOR_OK);
        assert_ptr_equal(wilor_session_get_profile(s), p);
        check_profile(p, h, counted);
        if (run == 0)
            memcpy(plain, h->keypoints_3d, sizeof plain);
        assert_memory_equal(plain, h->keypoints_3d, sizeof plain);
    }
    wilor_session_free(&s);
    wilor_model_free(&model);
}

/* A mirrored picture with the sides exchanged is the mirrored world. */
static void test_mirrored(void **state) {
    (void)state;
    wilor_error err;
    const wilor_hands *h;
    wilor_predict_options o;
    wilor_model *model = open_tiny();
    wilor_session *s = session_on(model, 2, 1);
    float plain[63], cam_t[3], kp2d[42];
    wilor_predict_options_init(&o, sizeof o);
    assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 1, &o, &h, &err), WILOR_OK);
    memcpy(plain, h->keypoints_3d, sizeof plain);
    memcpy(cam_t, h->cam_t, sizeof cam_t);
    memcpy(kp2d, h->keypoints_2d, sizeof kp2d);
    o.mirrored = 1;
    assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 1, &o, &h, &err), WILOR_OK);
    assert_int_equal(h->side[0], WILOR_LEFT);
    assert_memory_equal(h->keypoints_2d, kp2d, sizeof kp2d);
    assert_true(h->cam_t[0] == -cam_t[0] && h->cam_t[1] == cam_t[1] && h->cam_t[2] == cam_t[2]);
    for (int i = 0; i < 63; i++)
        assert_true(h->keypoints_3d[i] == (i % 3 == 0 ? -plain[i] : plain[i]));
    wilor_session_free(&s);
    wilor_model_free(&model);
}

/* palm: the distance from wrist to middle knuckle becomes true, the projection stays. */
static void test_palm_and_betas(void **state) {
    (void)state;
    wilor_error err;
    const wilor_hands *h;
    wilor_predict_options o;
    static const float betas[10] = {0.5f, -0.25f};
    wilor_model *model = open_tiny();
    wilor_session *s = session_on(model, 2, 1);
    float kp2d[42];
    wilor_predict_options_init(&o, sizeof o);
    assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 1, &o, &h, &err), WILOR_OK);
    memcpy(kp2d, h->keypoints_2d, sizeof kp2d);
    o.palm = 0.1;
    assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 1, &o, &h, &err), WILOR_OK);
    const float *a = h->keypoints_3d, *b = a + 27;
    double d = sqrt(pow(a[0] - b[0], 2) + pow(a[1] - b[1], 2) + pow(a[2] - b[2], 2));
    assert_true(fabs(d - 0.1) < 1e-6);
    for (int i = 0; i < 42; i++)
        assert_true(fabsf(kp2d[i] - h->keypoints_2d[i]) < 0.01f);
    o.palm = 0;
    o.betas = betas;
    assert_int_equal(wilor_predict_boxes(s, &g_picture, g_boxes, 1, &o, &h, &err), WILOR_OK);
    assert_memory_equal(h->betas, betas, sizeof betas);
    wilor_session_free(&s);
    wilor_model_free(&model);
}

/* ---------------------------------------------------------------- memory and threads */

static void test_run_allocates_nothing(void **state) {
    (void)state;
    wilor_error err;
    const wilor_hands *h;
    wilor_model *model = open_tiny();
    wilor_session *s = session_on(model, 2, 2);
    wilor_heap_fail_at(0); /* would fail at once */
    wilor_status st = wilor_predict_boxes(s, &g_picture, g_boxes, 3, NULL, &h, &err);
    long calls = wilor_heap_calls();
    wilor_heap_fail_at(-1);
    assert_int_equal(st, WILOR_OK);
    assert_int_equal(calls, 0);
    wilor_session_free(&s);
    wilor_model_free(&model);
}

/* Every allocation of opening a model, making a session and a run fails once: the right status,
 * no crash, and (under AddressSanitizer) nothing leaked. */
static void test_failing_allocations(void **state) {
    (void)state;
    long n = 0;
    for (int done = 0; !done; n++) {
        wilor_error err;
        wilor_model *model = NULL;
        wilor_session *s = NULL;
        const wilor_hands *h;
        wilor_model_options o;
        wilor_model_options_init(&o, sizeof o);
        o.weights = "random:demo";
        o.mano = MANO;
        o.threads = 1;
        wilor_heap_fail_at(n);
        wilor_status st = wilor_model_open(&model, &o, &err);
        if (st == WILOR_OK)
            st = wilor_session_create(&s, model, NULL, &err);
        if (st == WILOR_OK)
            st = wilor_predict_boxes(s, &g_picture, g_boxes, 1, NULL, &h, &err);
        done = wilor_heap_calls() <= n;
        wilor_heap_fail_at(-1);
        if (!done) {
            if (st != WILOR_ERR_NOMEM)
                fail_msg("allocation %ld failed: status %d, %s", n, st, err.text);
        } else {
            assert_int_equal(st, WILOR_OK);
        }
        wilor_session_free(&s);
        wilor_model_free(&model);
    }
    printf("%ld allocations made to fail\n", n - 1);
    assert_true(n > 20);
}

typedef struct worker {
    const wilor_model *model;
    float keypoints[63];
} worker;

static void *work(void *arg) {
    worker *w = arg;
    const wilor_hands *h;
    wilor_session *s = session_on(w->model, 1, 1);
    for (int i = 0; i < 5; i++)
        wilor_predict_boxes(s, &g_picture, g_boxes, 1, NULL, &h, NULL);
    memcpy(w->keypoints, h->keypoints_3d, sizeof w->keypoints);
    wilor_session_free(&s);
    return NULL;
}

/* One model, four sessions on four threads. */
static void test_parallel_sessions(void **state) {
    (void)state;
    wilor_model *model = open_tiny();
    pthread_t threads[4];
    worker workers[4];
    for (int i = 0; i < 4; i++) {
        workers[i].model = model;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 1; i < 4; i++)
        assert_memory_equal(workers[i].keypoints, workers[0].keypoints,
                            sizeof workers[0].keypoints);
    wilor_model_free(&model);
}

int main(void) {
    fill_picture();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_option_sizes),
                                       cmocka_unit_test(test_open_errors),
                                       cmocka_unit_test(test_devices),
                                       cmocka_unit_test(test_crop_presets),
                                       cmocka_unit_test(test_cancel),
                                       cmocka_unit_test(test_session_limits),
                                       cmocka_unit_test(test_bad_input),
                                       cmocka_unit_test(test_batches),
                                       cmocka_unit_test(test_profile),
                                       cmocka_unit_test(test_mirrored),
                                       cmocka_unit_test(test_palm_and_betas),
                                       cmocka_unit_test(test_run_allocates_nothing),
                                       cmocka_unit_test(test_failing_allocations),
                                       cmocka_unit_test(test_parallel_sessions)};
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
