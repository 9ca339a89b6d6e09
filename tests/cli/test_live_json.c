/* Live events as JSON, read again by jansson: every number, which keys there are, odd text, and that a second
 * event takes no memory. Floats are held against the C library and against predict's events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_wrap.h"
#include "event_json.h"
#include "live_json.h"
#include "made_event.h"
#include "predict_options.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The library's part in predict's events. */
void wilor_model_get_info(const wilor_model *model, wilor_model_info *info, size_t size) {
    (void)model;
    memset(info, 0, size);
    info->dtype = WILOR_DTYPE_BF16;
    info->label = "synthetic";
    info->device = "cpu";
}

void wilor_hand_gesture(const float *keypoints_3d, wilor_gesture *out) {
    (void)keypoints_3d;
    *out = *(const wilor_gesture *)(const void *)keypoints_3d;
}

wilor_status wilor_hand_xr26(const wilor_model *model, const wilor_hands *hands, int i,
                             wilor_xr_joint *out, wilor_error *err) {
    const wilor_cli_live_hand *h = (const wilor_cli_live_hand *)(const void *)model;
    (void)err;
    (void)hands;
    (void)i;
    memcpy(out, h->xr26, sizeof h->xr26);
    return WILOR_OK;
}

void wilor_hand_angles(const wilor_model *model, const float *hand_pose, wilor_side side,
                       float *out) {
    const wilor_cli_live_hand *h = (const wilor_cli_live_hand *)(const void *)model;
    (void)hand_pose;
    (void)side;
    memcpy(out, h->angles, sizeof h->angles);
}

/* ---------------------------------------------------------------- floats */

/* The first of 6 … 9 digits that reads back, as jansson prints it. */
static void check_float(float value) {
    char text[WILOR_CLI_FLOAT_TEXT], digits[40], *plain;
    size_t length = wilor_cli_float_text(text, value);
    assert_int_equal(length, strlen(text));
    if (!isfinite(value)) {
        assert_string_equal(text, "null");
        return;
    }
    float back = strtof(text, NULL);
    assert_memory_equal(&back, &value, sizeof value);
    for (int n = 6; n <= 9; n++) {
        snprintf(digits, sizeof digits, "%.*g", n, (double)value);
        if (strtof(digits, NULL) == value)
            break;
    }
    json_t *real = json_real(strtod(digits, NULL));
    plain = json_dumps(real, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    assert_string_equal(text, plain);
    free(plain);
    json_decref(real);
}

static float of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void test_floats(void **state) {
    static const float odd[] = {0,
                                -0.0f,
                                1,
                                10,
                                0.1f,
                                0.95f,
                                1e-4f,
                                1e-5f,
                                1e9f,
                                123456789.f,
                                1e22f,
                                3.4e38f,
                                1e-45f,
                                NAN,
                                INFINITY,
                                -INFINITY,
                                16777216,
                                8388609.5f,
                                9.5367431640625e-07f};
    uint64_t random = 12345;
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        check_float(odd[i]);
    for (int i = 0; i < 200000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        check_float(of_bits((uint32_t)(random >> 32)));
        check_float(made_number(&random));
        check_float(640 * made_number(&random));
    }
    /* Around powers of ten, where the count of digits changes, and of two, where the steps do. */
    for (int e = -45; e <= 38; e++)
        for (int step = -40; step <= 40; step++)
            check_float(of_bits(to_bits((float)pow(10, e)) + (uint32_t)(e > -44 ? step : 0)));
    for (uint32_t e = 1; e < 255; e++)
        for (uint32_t step = 0; step < 40; step++)
            check_float(of_bits((e << 23) - 20 + step));
}

/* ---------------------------------------------------------------- events */

static json_t *parse(const wilor_cli_buffer *b) {
    json_error_t error;
    json_t *value;
    assert_null(memchr(b->text, '\n', b->used));
    assert_int_equal(strlen(b->text), b->used);
    value = json_loadb(b->text, b->used, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        fail_msg("%s at %d", error.text, error.position);
    return value;
}

static const json_t *at(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!value)
        fail_msg("no %s", key);
    return value;
}

static void assert_integer(const json_t *object, const char *key, int64_t value) {
    assert_true(json_is_integer(at(object, key)));
    assert_int_equal(json_integer_value(at(object, key)), value);
}

static void assert_text(const json_t *object, const char *key, const char *value) {
    assert_string_equal(json_string_value(at(object, key)), value);
}

static void assert_float(const json_t *value, float expected) {
    assert_true(json_is_real(value));
    assert_true((float)json_real_value(value) == expected);
}

/* A list of numbers, or of lists of `width`. */
static void assert_floats(const json_t *list, const float *expected, size_t count,
                          size_t width) {
    assert_int_equal(json_array_size(list), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(list, i);
        if (width)
            assert_floats(entry, expected + i * width, width, 0);
        else
            assert_float(entry, expected[i]);
    }
}

static void check_xr26(const json_t *list, const wilor_xr_joint *joints) {
    assert_int_equal(json_array_size(list), 26);
    for (size_t i = 0; i < 26; i++) {
        const json_t *joint = json_array_get(list, i);
        assert_floats(at(joint, "p"), joints[i].position, 3, 0);
        assert_floats(at(joint, "q"), joints[i].orientation, 4, 0);
        assert_float(at(joint, "r"), joints[i].radius);
        assert_integer(joint, "f", joints[i].flags);
        assert_int_equal(json_object_size(joint), 4);
    }
}

static void check_hand(const json_t *j, const wilor_cli_live_hand *h) {
    static const char *const states[] = {"detected", "tracked", "predicted"};
    float p[3];
    for (int i = 0; i < 3; i++)
        p[i] = h->keypoints_3d[0][i] + h->cam_t[i];
    assert_integer(j, "id", h->id);
    assert_text(j, "side", h->side == WILOR_LEFT ? "left" : "right");
    assert_text(j, "state", states[h->state]);
    assert_integer(j, "age", (h->age_ns + 500) / 1000);
    assert_float(at(j, "conf"), h->conf);
    assert_floats(at(j, "box"), h->box, 4, 0);
    assert_floats(at(j, "crop"), h->crop, 3, 0);
    assert_floats(at(j, "kp2d"), h->keypoints_2d[0], 21, 2);
    assert_floats(at(j, "kp3d"), h->keypoints_3d[0], 21, 3);
    assert_floats(at(j, "cam_t"), h->cam_t, 3, 0);
    assert_floats(at(j, "pred_cam"), h->pred_cam, 3, 0);
    assert_floats(at(at(j, "wrist"), "p"), p, 3, 0);
    assert_floats(at(at(j, "wrist"), "q"), h->wrist_q, 4, 0);
    if (h->has_detected_keypoints) {
        assert_floats(at(j, "kp2d_det"), h->detected_keypoints[0], 21, 3);
        assert_float(at(j, "fit_px"), h->fit_px);
    }
    if (h->has_velocity) {
        assert_floats(at(at(j, "vel"), "p"), h->velocity, 3, 0);
        assert_floats(at(at(j, "vel"), "w"), h->angular_velocity, 3, 0);
    }
    assert_floats(at(at(j, "mano"), "global_orient"), h->global_orient, 3, 0);
    assert_floats(at(at(j, "mano"), "hand_pose"), h->hand_pose, 45, 0);
    assert_floats(at(at(j, "mano"), "betas"), h->betas, 10, 0);
    const json_t *g = at(j, "gesture");
    assert_float(at(g, "pinch_distance"), h->gesture.pinch_distance);
    assert_float(at(g, "pinch_strength"), h->gesture.pinch_strength);
    assert_float(at(g, "grab_strength"), h->gesture.grab_strength);
    assert_float(at(g, "grab_angle"), h->gesture.grab_angle);
    assert_floats(at(j, "angles"), h->angles[0], 15, 2);
    assert_floats(at(j, "vertices"), h->vertices_3d, MADE_VERTICES, 3);
    check_xr26(at(j, "xr26"), h->xr26);
    size_t keys = 17 + 2 * h->has_detected_keypoints + h->has_velocity;
    assert_int_equal(json_object_size(j), keys);
}

static void check_head(const json_t *j, const wilor_cli_live_event *e) {
    const json_t *image = at(j, "image"), *model = at(j, "model"), *camera = at(j, "camera");
    assert_integer(j, "v", 1);
    assert_text(j, "type", "hands");
    assert_text(j, "stream", e->stream);
    assert_text(j, "session", e->session);
    assert_integer(j, "seq", (int64_t)e->seq);
    assert_integer(j, "frame", (int64_t)e->frame);
    assert_integer(j, "t_capture", e->t_capture / 1000);
    assert_integer(j, "t_ready", e->t_ready / 1000);
    assert_integer(j, "t_utc", e->t_utc / 1000);
    assert_text(j, "clock", "client");
    assert_integer(image, "w", e->width);
    assert_integer(image, "h", e->height);
    assert_true(json_is_true(at(image, "mirrored")));
    assert_text(model, "name", "wilor");
    assert_text(model, "sha256", "9f2c");
    assert_text(model, "dtype", "bf16");
    assert_text(model, "device", "cpu");
    assert_float(at(camera, "fx"), (float)e->fx);
    assert_float(at(camera, "fy"), (float)e->fy);
    assert_float(at(camera, "cx"), (float)e->cx);
    assert_float(at(camera, "cy"), (float)e->cy);
    assert_text(camera, "source", "given");
    assert_true(json_is_true(at(camera, "metric")));
    assert_int_equal(json_object_size(j), 17);
}

static void test_event(void **state) {
    static made_event m;
    wilor_cli_buffer b = {0};
    wilor_error err;
    (void)state;
    made_event_fill(&m, 1);
    assert_int_equal(wilor_cli_live_json(&b, &m.event, &err), WILOR_OK);
    json_t *j = parse(&b);
    check_head(j, &m.event);
    const json_t *timing = at(j, "timing"), *hands = at(j, "hands");
    assert_integer(timing, "wait", 310); /* nearest */
    assert_integer(timing, "decode", 421);
    assert_integer(timing, "detect", 2100);
    assert_integer(timing, "crop", 180);
    assert_integer(timing, "pose", 10900);
    assert_integer(timing, "post", 160);
    assert_integer(timing, "total", 14070);
    assert_integer(j, "dropped", 2);
    assert_int_equal(json_integer_value(json_array_get(at(j, "lost"), 0)), 6);
    assert_int_equal(json_integer_value(json_array_get(at(j, "lost"), 1)), 4000000000);
    assert_int_equal(json_array_size(hands), MADE_HANDS);
    for (size_t i = 0; i < MADE_HANDS; i++)
        check_hand(json_array_get(hands, i), &m.hands[i]);
    json_decref(j);
    assert_int_equal(wilor_cli_live_json_dropped(&b, &m.event, 77, &err), WILOR_OK);
    j = parse(&b);
    assert_integer(j, "dropped", 77);
    json_decref(j);
    wilor_cli_buffer_free(&b);
}

/* What is not included is not there; what cannot be said is left out or null. */
static void test_less(void **state) {
    static made_event m;
    wilor_cli_pose room = {{1, 2, 3}, {0, 0, 0, 1}};
    wilor_cli_buffer b = {0};
    wilor_error err;
    (void)state;
    made_event_fill(&m, 2);
    m.event.include = 0;
    m.event.extrinsics = &room;
    m.event.t_capture = -1500;
    m.event.camera_given = m.event.metric = m.event.mirrored = false;
    m.model.sha256 = m.model.label = "";
    m.hands[0].cam_t[1] = NAN;
    m.hands[0].conf = -INFINITY;
    assert_int_equal(wilor_cli_live_json(&b, &m.event, &err), WILOR_OK);
    json_t *j = parse(&b);
    const json_t *hand = json_array_get(at(j, "hands"), 0);
    assert_int_equal(json_object_size(hand), 14);
    assert_true(json_is_null(at(hand, "conf")));
    assert_true(json_is_null(json_array_get(at(hand, "cam_t"), 1)));
    assert_true(json_is_null(json_array_get(at(at(hand, "wrist"), "p"), 1)));
    assert_integer(j, "t_capture", -2);
    assert_text(at(j, "camera"), "source", "guess");
    assert_true(json_is_false(at(at(j, "camera"), "metric")));
    assert_int_equal(json_object_size(at(j, "model")), 3);
    assert_floats(at(at(j, "extrinsics"), "p"), (const float[]){1, 2, 3}, 3, 0);
    assert_floats(at(at(j, "extrinsics"), "q"), (const float[]){0, 0, 0, 1}, 4, 0);
    json_decref(j);
    /* All 26 joints or nothing; no vertices were kept; no hands. */
    m.event.include = ~0u;
    m.hands[0].xr26[0].flags = 0;
    m.hands[0].vertices_3d = NULL;
    assert_int_equal(wilor_cli_live_json(&b, &m.event, &err), WILOR_OK);
    j = parse(&b);
    hand = json_array_get(at(j, "hands"), 0);
    assert_null(json_object_get(hand, "xr26"));
    assert_null(json_object_get(hand, "vertices"));
    json_decref(j);
    m.event.n = m.event.lost_count = 0;
    assert_int_equal(wilor_cli_live_json(&b, &m.event, &err), WILOR_OK);
    j = parse(&b);
    assert_int_equal(json_array_size(at(j, "hands")), 0);
    assert_int_equal(json_array_size(at(j, "lost")), 0);
    json_decref(j);
    wilor_cli_buffer_free(&b);
}

/* predict's event of the same hand says the same under the same keys. */
static void test_agrees_with_predict(void **state) {
    static made_event m;
    wilor_cli_buffer b = {0};
    wilor_error err;
    json_t *other = NULL;
    (void)state;
    made_event_fill(&m, 3);
    wilor_cli_live_hand *h = &m.hands[0];
    memcpy(&h->gesture, h->keypoints_3d, sizeof h->gesture);
    const uint8_t side = WILOR_RIGHT, failed = 0, detected = 1;
    const float focal[2] = {(float)m.event.fx, (float)m.event.fy};
    const float principal[2] = {(float)m.event.cx, (float)m.event.cy};
    wilor_hands hands = {.n = 1,
                         .vertices = MADE_VERTICES,
                         .side = &side,
                         .failed = &failed,
                         .score = &h->conf,
                         .box = h->box,
                         .crop = h->crop,
                         .pred_cam = h->pred_cam,
                         .cam_t = h->cam_t,
                         .focal = focal,
                         .principal = principal,
                         .keypoints_3d = h->keypoints_3d[0],
                         .keypoints_2d = h->keypoints_2d[0],
                         .vertices_3d = h->vertices_3d,
                         .global_orient = h->global_orient,
                         .hand_pose = h->hand_pose,
                         .betas = h->betas,
                         .detected_keypoints = h->detected_keypoints[0],
                         .detected = &detected};
    wilor_cli_event e = {.source = "x",
                         .width = 640,
                         .height = 480,
                         .mirrored = true,
                         .camera = true,
                         .camera_given = true,
                         .detect = true,
                         .include = ~0u};
    assert_int_equal(
        wilor_cli_event_build(&other, &e, (const wilor_model *)(const void *)h, &hands, &err),
        WILOR_OK);
    const json_t *theirs = json_array_get(at(other, "hands"), 0);
    h->fit_px = (float)json_real_value(at(theirs, "fit_px"));
    assert_int_equal(wilor_cli_live_json(&b, &m.event, &err), WILOR_OK);
    json_t *live = parse(&b), *ours = json_array_get(at(live, "hands"), 0);
    /* The wrist's quaternion is the maker's, here from floats. */
    json_object_set(json_object_get(ours, "wrist"), "q",
                    json_object_get(at(theirs, "wrist"), "q"));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)theirs, key, value) {
        char *a = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        char *c = json_dumps(at(ours, key), JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        assert_string_equal(a, c);
        free(a);
        free(c);
    }
    assert_true(json_equal(at(other, "camera"), at(live, "camera")));
    assert_true(json_equal(at(other, "image"), at(live, "image")));
    json_decref(live);
    json_decref(other);
    wilor_cli_buffer_free(&b);
}

static void test_no_memory_taken(void **state) {
    static made_event m;
    wilor_cli_buffer b = {0};
    wilor_error err;
    (void)state;
    made_event_fill(&m, 4);
    assert_int_equal(wilor_cli_live_json(&b, &m.event, &err), WILOR_OK);
    wilor_wrap_fail(-1, 0);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(wilor_cli_live_json(&b, &m.event, &err), WILOR_OK);
    assert_int_equal(wilor_wrap_calls(), 0);
    wilor_cli_buffer_free(&b);
    for (long n = 0;; n++) { /* each growth fails once */
        wilor_wrap_fail(n, 1);
        wilor_status st = wilor_cli_live_json(&b, &m.event, &err);
        bool failed = wilor_wrap_failed();
        assert_int_equal(st, failed ? WILOR_ERR_NOMEM : WILOR_OK);
        wilor_wrap_fail(-1, 0);
        wilor_cli_buffer_free(&b);
        if (!failed)
            break;
        assert_true(n < 40);
    }
}

/* ---------------------------------------------------------------- other messages */

static void test_messages(void **state) {
    const wilor_cli_stream_name name = {"\"a\\\x01\x7F\xC3\xA4\xFF\n\xF0\x9F\x91\x8B", "s"};
    const wilor_cli_stream_name nobody = {NULL, NULL};
    wilor_cli_buffer b = {0};
    wilor_error err;
    (void)state;
    assert_int_equal(wilor_cli_live_json_hello(&b, &name, "{\"version\":\"0\"}", &err),
                     WILOR_OK);
    json_t *j = parse(&b);
    assert_text(j, "type", "hello");
    assert_text(j, "stream", "\"a\\\x01\x7F\xC3\xA4\xEF\xBF\xBD\n\xF0\x9F\x91\x8B");
    assert_text(at(j, "info"), "version", "0");
    json_decref(j);
    assert_int_equal(wilor_cli_live_json_status(&b, &name, "lost", "/dev/video0: gone", &err),
                     WILOR_OK);
    j = parse(&b);
    assert_text(j, "type", "status");
    assert_text(j, "status", "lost");
    assert_text(j, "detail", "/dev/video0: gone");
    json_decref(j);
    assert_int_equal(wilor_cli_live_json_error(&b, &nobody, 422, "not an image", &err),
                     WILOR_OK);
    assert_string_equal(
        b.text, "{\"v\":1,\"type\":\"error\",\"code\":422,\"message\":\"not an image\"}");
    assert_int_equal(wilor_cli_live_json_bye(&b, &nobody, UINT64_MAX, NULL, &err), WILOR_OK);
    assert_string_equal(b.text, "{\"v\":1,\"type\":\"bye\",\"seq\":18446744073709551615}");
    wilor_cli_buffer_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_floats),
                                       cmocka_unit_test(test_event),
                                       cmocka_unit_test(test_less),
                                       cmocka_unit_test(test_agrees_with_predict),
                                       cmocka_unit_test(test_no_memory_taken),
                                       cmocka_unit_test(test_messages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
