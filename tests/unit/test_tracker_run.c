/* A tracker on a pipeline, through the public interface: what wilor_tracker_run puts together, its errors,
 * and that a run takes no memory, in any thread and past heap.h too (../torture/alloc_wrap.h). */
#include "alloc_wrap.h"
#include "heap.h"
#include "wilor/wilor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MANO WILOR_TEST_DATA "/hand-cc0.npz"

enum { WIDTH = 200, HEIGHT = 150 };

static uint8_t g_pixels[HEIGHT * WIDTH * 3];
static const wilor_picture g_picture = {g_pixels, WIDTH, HEIGHT, WIDTH * 3, WILOR_RGB8};

/* "demo" answers every crop with the mean pose: a hand in the middle of the box, as large. */
static wilor_model *open_model(const char *weights) {
    wilor_error err;
    wilor_model *model = NULL;
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = weights;
    o.mano = MANO;
    if (wilor_model_open(&model, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return model;
}

/* A detector that sees hands where they are said to be. */
typedef struct finder {
    wilor_box boxes[2];
    int n, calls, answer; /* answer: negative to fail */
} finder;

static int find(void *user, const wilor_picture *picture, wilor_box *boxes, float *keypoints,
                int most) {
    finder *f = user;
    (void)picture;
    f->calls++;
    if (f->answer < 0)
        return f->answer;
    for (int i = 0; i < f->n && i < most; i++) {
        boxes[i] = f->boxes[i];
        keypoints[63 * i + 5] = 0.75f;
    }
    return f->n < most ? f->n : most;
}

static wilor_pipeline *make(const wilor_model *m, finder *f, int most) {
    wilor_error err;
    wilor_pipeline *p = NULL;
    wilor_pipeline_options o;
    wilor_pipeline_options_init(&o, sizeof o);
    o.threads = 2;
    o.max_hands = most;
    o.find = f ? find : NULL;
    o.find_user = f;
    if (wilor_pipeline_create(&p, NULL, m, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return p;
}

static wilor_tracker *track(const wilor_model *m, double smooth) {
    wilor_error err;
    wilor_tracker *t = NULL;
    wilor_tracker_options o;
    wilor_tracker_options_init(&o, sizeof o);
    assert_true(o.smooth == 0.5 && o.struct_size == sizeof o);
    o.smooth = smooth;
    o.max_hands = 2;
    if (wilor_tracker_create(&t, m, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return t;
}

static finder two_hands(void) {
    return (finder){.boxes = {{{20, 40, 70, 100}, 0.9f, WILOR_RIGHT},
                              {{120, 50, 180, 100}, 0.8f, WILOR_LEFT}},
                    .n = 2};
}

/* ---------------------------------------------------------------- a stream */

static void test_stream(void **state) {
    (void)state;
    wilor_model *m = open_model("random:demo");
    finder f = two_hands();
    wilor_pipeline *p = make(m, &f, 4);
    wilor_tracker *t = track(m, 0);
    wilor_error err;
    const wilor_tracks *out;
    int tracked = 0;
    for (int i = 0; i < 60; i++) {
        if (wilor_tracker_run(t, p, &g_picture, i * INT64_C(33000000), NULL, NULL, &out,
                              &err) != WILOR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(out->hands->n, 2);
        assert_true(out->id[0] == 1 && out->id[1] == 2 && out->lost == 0);
        assert_true(out->hands->side[0] == WILOR_RIGHT && out->hands->side[1] == WILOR_LEFT);
        assert_true(out->hands->score[0] == 0.9f && out->hands->score[1] == 0.8f);
        assert_true(out->hands->stage_ms[3] > 0);
        if (out->detected) {
            assert_true(out->hands->box[0] == 20 && out->hands->detect_ms > 0);
            assert_true(out->state[0] == WILOR_TRACK_DETECTED && out->hands->detected[1]);
            assert_true(out->hands->detected_keypoints[5] == 0.75f);
        } else {
            tracked++;
            assert_true(out->hands->detect_ms == 0);
            assert_true(out->state[0] == WILOR_TRACK_TRACKED && !out->hands->detected[1]);
            assert_true(fabsf(out->hands->box[0] - 20) < 1 &&
                        fabsf(out->hands->box[7] - 100) < 1);
        }
        /* Results as any other's: joints for OpenXR. */
        wilor_xr_joint joints[26];
        assert_int_equal(wilor_hand_xr26(m, out->hands, 1, joints, &err), WILOR_OK);
        assert_true(fabsf(joints[1].position[0] -
                          (out->hands->keypoints_3d[63] + out->hands->cam_t[3])) < 1e-6f);
    }
    assert_true(tracked > 40);
    assert_int_equal(f.calls, 60 - tracked);
    f.n = 1; /* the second is gone */
    int lost = 0;
    for (int i = 60; i < 90; i++) {
        assert_int_equal(
            wilor_tracker_run(t, p, &g_picture, i * INT64_C(33000000), NULL, NULL, &out, &err),
            WILOR_OK);
        lost += out->lost;
        if (out->lost)
            assert_int_equal(out->lost_id[0], 2);
    }
    assert_true(lost == 1 && out->hands->n == 1 && out->id[0] == 1);
    wilor_tracker_free(&t);
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
}

/* ---------------------------------------------------------------- errors */

static void expect(wilor_status got, wilor_status want, const wilor_error *err,
                   const char *text) {
    if (got != want || (text && !strstr(err->text, text)))
        fail_msg("%d instead of %d: %s", (int)got, (int)want, err->text);
}

static void test_errors(void **state) {
    (void)state;
    wilor_model *m = open_model("random:demo"), *other = open_model("random:demo");
    finder f = two_hands();
    wilor_pipeline *p = make(m, &f, 4), *small = make(m, &f, 1), *plain = make(m, NULL, 4);
    wilor_tracker *t = track(m, 0.5), *foreign = track(other, 0.5);
    wilor_error err;
    const wilor_tracks *out;
    wilor_picture none = g_picture;
    none.data = NULL;
    expect(wilor_tracker_create(&t, NULL, NULL, &err), WILOR_ERR_ARG, &err, "NULL");
    expect(wilor_tracker_run(NULL, p, &g_picture, 1, NULL, NULL, &out, &err), WILOR_ERR_ARG,
           &err, "NULL");
    expect(wilor_tracker_run(foreign, p, &g_picture, 1, NULL, NULL, &out, &err), WILOR_ERR_ARG,
           &err, "another model");
    expect(wilor_tracker_run(t, plain, &g_picture, 1, NULL, NULL, &out, &err), WILOR_ERR_ARG,
           &err, "no detector");
    expect(wilor_tracker_run(t, small, &g_picture, 1, NULL, NULL, &out, &err), WILOR_ERR_LIMIT,
           &err, "follows 2 hands; this pipeline takes 1");
    expect(wilor_tracker_run(t, p, &none, 1, NULL, NULL, &out, &err), WILOR_ERR_ARG, &err,
           "no pixels");
    assert_null(out);
    expect(wilor_tracker_run(t, p, &g_picture, 1, NULL, NULL, &out, &err), WILOR_OK, &err,
           NULL);
    expect(wilor_tracker_run(t, p, &g_picture, 1, NULL, NULL, &out, &err), WILOR_ERR_ARG, &err,
           "times must rise");
    wilor_predict_options po;
    wilor_predict_options_init(&po, sizeof po);
    po.palm = -1;
    expect(wilor_tracker_run(t, p, &g_picture, 2, NULL, &po, &out, &err), WILOR_ERR_ARG, &err,
           "palm");
    f.answer = -1;
    expect(wilor_tracker_run(t, p, &g_picture, 3, NULL, NULL, &out, &err), WILOR_ERR_CANCELLED,
           &err, NULL);
    assert_null(out);
    f.answer = 0;
    expect(wilor_tracker_run(t, p, &g_picture, 4, NULL, NULL, &out, &err), WILOR_OK, &err,
           NULL);
    assert_true(out->hands->n == 2 && out->id[0] == 1); /* what failed has changed nothing */
    wilor_track_series s = {.struct_size = 3};
    expect(wilor_track_smooth(m, &s, 0.5, &err), WILOR_ERR_ARG, &err, "struct_size");
    expect(wilor_track_smooth(NULL, &s, 0.5, &err), WILOR_ERR_ARG, &err, "NULL");
    s.struct_size = sizeof s;
    expect(wilor_track_smooth(m, &s, 0.5, &err), WILOR_OK, &err, NULL); /* of nothing */
    s.n = 1;
    expect(wilor_track_smooth(m, &s, 0.5, &err), WILOR_ERR_ARG, &err, "1 entries");
    wilor_tracker_free(&t);
    wilor_tracker_free(&foreign);
    wilor_pipeline_free(&p);
    wilor_pipeline_free(&small);
    wilor_pipeline_free(&plain);
    wilor_model_free(&other);
    wilor_model_free(&m);
}

/* An older caller's shorter struct has the defaults for the rest; what a newer one sets is refused. */
static void test_struct_sizes(void **state) {
    (void)state;
    wilor_model *m = open_model("random:demo");
    wilor_tracker *t = NULL;
    wilor_error err;

    struct {
        wilor_tracker_options o;
        double later;
    } longer = {.later = 0};

    wilor_tracker_options_init(&longer.o, sizeof longer);
    expect(wilor_tracker_create(&t, m, &longer.o, &err), WILOR_OK, &err, NULL);
    wilor_tracker_free(&t);
    longer.later = 1;
    expect(wilor_tracker_create(&t, m, &longer.o, &err), WILOR_ERR_UNSUPPORTED, &err, NULL);
    longer.o.struct_size = offsetof(wilor_tracker_options, detect_every) + sizeof(int);
    longer.o.smooth = 77; /* beyond what this caller knows */
    expect(wilor_tracker_create(&t, m, &longer.o, &err), WILOR_OK, &err, NULL);
    wilor_tracker_free(&t);
    wilor_model_free(&m);
}

/* ---------------------------------------------------------------- memory */

/* 1,000 pictures after the tenth: hands come, go and change places, the filter runs. */
static void test_no_memory(void **state) {
    (void)state;
    wilor_model *m = open_model("random:demo");
    finder f = two_hands();
    wilor_pipeline *p = make(m, &f, 4);
    wilor_tracker *t = track(m, 0.5);
    wilor_error err;
    const wilor_tracks *out;
    int hands = 0;
    uint32_t last = 0;
    for (int i = 0; i < 1010; i++) {
        if (i == 10)
            wilor_wrap_fail(-1, 0); /* counts from here */
        f.n = i % 100 < 80 ? 2 : i % 100 < 90 ? 1 : 0;
        f.boxes[0].box[0] = 20 + i % 50;
        f.boxes[0].box[2] = 70 + i % 50;
        if (wilor_tracker_run(t, p, &g_picture, i * INT64_C(33000000), NULL, NULL, &out,
                              &err) != WILOR_OK)
            fail_msg("%s", err.text);
        hands += out->hands->n;
        last = out->hands->n > 0 ? out->id[out->hands->n - 1] : last;
    }
    assert_int_equal(wilor_wrap_calls(), 0);
    print_message("%d hands, last id %u\n", hands, (unsigned)last);
    assert_true(hands > 1500 && last > 10);
    wilor_tracker_free(&t);
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
}

int main(void) {
    for (size_t i = 0; i < sizeof g_pixels; i++)
        g_pixels[i] = (uint8_t)(i * 2654435761u >> 24);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_struct_sizes), cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests_name("tracker_run", tests, NULL, NULL);
}
