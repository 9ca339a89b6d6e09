/* Events from made-up hands: which fields there are, failed hands, odd numbers and names. The
 * functions of the library that events need are replaced by ones with known answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event_json.h"
#include "predict_options.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HANDS = 2, VERTICES = 3 };

void wilor_model_get_info(const wilor_model *model, wilor_model_info *info, size_t size) {
    (void)model;
    memset(info, 0, size);
    info->isa = WILOR_ISA_C;
    info->label = "synthetic \"x\"\xFF";
    info->device = "cpu";
}

void wilor_hand_gesture(const float *keypoints_3d, wilor_gesture *out) {
    *out = (wilor_gesture){keypoints_3d[0], 0.25f, 0.5f, 0.75f};
}

wilor_status wilor_hand_xr26(const wilor_model *model, const wilor_hands *hands, int i,
                             wilor_xr_joint *out, wilor_error *err) {
    (void)model;
    (void)hands;
    (void)err;
    for (int k = 0; k < 26; k++)
        out[k] = (wilor_xr_joint){{(float)k, 0, 0}, {0, 0, 0, 1}, 0.5f, 15};
    return i == 0 ? WILOR_OK : WILOR_ERR_ARG;
}

void wilor_hand_angles(const wilor_model *model, const float *hand_pose, wilor_side side,
                       float *out) {
    (void)model;
    for (int k = 0; k < 30; k++)
        out[k] = side == WILOR_LEFT ? -hand_pose[0] : hand_pose[0];
}

typedef struct made_hands {
    wilor_hands hands;
    uint8_t side[HANDS], failed[HANDS];
    float numbers[HANDS * 256];
    float orient[HANDS * 3];
} made_hands;

static void make(made_hands *m) {
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < HANDS * 256; i++)
        m->numbers[i] = 0.1f + (float)i / 3.0f;
    const float orient[HANDS * 3] = {0, 0, 0, 3.0f, -2.0f, 1.0f};
    memcpy(m->orient, orient, sizeof orient);
    m->side[0] = WILOR_RIGHT;
    m->side[1] = WILOR_LEFT;
    const float *x = m->numbers;
    m->hands = (wilor_hands){.n = HANDS,
                             .vertices = VERTICES,
                             .side = m->side,
                             .failed = m->failed,
                             .score = x,
                             .box = x,
                             .crop = x,
                             .pred_cam = x,
                             .cam_t = x,
                             .focal = x,
                             .principal = x,
                             .keypoints_3d = x,
                             .keypoints_2d = x,
                             .vertices_3d = x,
                             .global_orient = m->orient,
                             .hand_pose = x,
                             .betas = x,
                             .rotation = x,
                             .stage_ms = {1.5, 20.25, 3, 26}};
}

static json_t *build(const made_hands *m, bool camera, unsigned include) {
    wilor_cli_event e = {.source = "a\xC3\xA4\xFF\n.png",
                         .width = 640,
                         .height = 480,
                         .camera = camera,
                         .include = include,
                         .decode_ms = 2,
                         .total_ms = 30};
    json_t *event = NULL;
    assert_int_equal(wilor_cli_event_build(&event, &e, NULL, &m->hands, NULL), WILOR_OK);
    return event;
}

static void assert_keys(const json_t *object, const char *const *keys) {
    size_t n = 0;
    for (; keys[n]; n++)
        if (!json_object_get(object, keys[n]))
            fail_msg("no %s", keys[n]);
    assert_int_equal(json_object_size(object), n);
}

static void test_fields(void **state) {
    static const char *const event_keys[] = {"v",      "type",   "source", "image", "model",
                                             "camera", "timing", "hands",  NULL};
    static const char *const hand_keys[] = {"side", "conf",  "box",      "crop",  "kp2d",
                                            "kp3d", "cam_t", "pred_cam", "wrist", NULL};
    static const char *const all_keys[] = {"side",    "conf",   "box",      "crop",     "kp2d",
                                           "kp3d",    "cam_t",  "pred_cam", "wrist",    "mano",
                                           "gesture", "angles", "xr26",     "vertices", NULL};
    static const char *const crop_keys[] = {"side", "conf", "kp3d", "pred_cam", NULL};
    made_hands m;
    (void)state;
    make(&m);
    json_t *event = build(&m, true, WILOR_CLI_DET);
    assert_keys(event, event_keys);
    assert_keys(json_array_get(json_object_get(event, "hands"), 0), hand_keys);
    json_decref(event);
    event = build(&m, true, ~0u);
    const json_t *hands = json_object_get(event, "hands");
    assert_keys(json_array_get(hands, 0), all_keys);
    /* Joints that the library refuses are left out as a whole. */
    assert_null(json_object_get(json_array_get(hands, 1), "xr26"));
    assert_int_equal(json_array_size(json_object_get(json_array_get(hands, 0), "xr26")), 26);
    json_decref(event);
    event = build(&m, false, 0);
    assert_null(json_object_get(event, "camera"));
    assert_keys(json_array_get(json_object_get(event, "hands"), 0), crop_keys);
    json_decref(event);
}

/* The detector's points are 3, 4 pixels beside ours: 5 whatever they weigh, blanked ones left out. */
static void test_detected(void **state) {
    uint8_t detected[HANDS] = {1, 0};
    float points[HANDS * 63] = {0};
    made_hands m;
    (void)state;
    make(&m);
    for (size_t i = 0; i < 21; i++) {
        points[3 * i] = m.hands.keypoints_2d[2 * i] + 3;
        points[3 * i + 1] = m.hands.keypoints_2d[2 * i + 1] - 4;
        points[3 * i + 2] = 0.5f + (float)i / 42;
    }
    points[3] = points[4] = 0;
    m.hands.detected = detected;
    m.hands.detected_keypoints = points;
    m.hands.detect_ms = 7;
    for (unsigned include = 0; include <= WILOR_CLI_DET; include += WILOR_CLI_DET) {
        wilor_cli_event e = {.source = "x", .camera = true, .detect = true, .include = include};
        json_t *event = NULL;
        assert_int_equal(wilor_cli_event_build(&event, &e, NULL, &m.hands, NULL), WILOR_OK);
        const json_t *hands = json_object_get(event, "hands");
        const json_t *hand = json_array_get(hands, 0);
        double fit = json_number_value(json_object_get(hand, "fit_px"));
        assert_true(fabs(fit - 5) < 1e-5);
        assert_int_equal(json_array_size(json_object_get(hand, "kp2d_det")), include ? 21 : 0);
        assert_null(json_object_get(json_array_get(hands, 1), "kp2d_det"));
        assert_null(json_object_get(json_array_get(hands, 1), "fit_px"));
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(event, "timing"), "detect")),
            7000);
        json_decref(event);
    }
    /* No visible point: no distance. */
    memset(points, 0, sizeof points);
    wilor_cli_event e = {.source = "x", .camera = true, .detect = true};
    json_t *event = NULL;
    assert_int_equal(wilor_cli_event_build(&event, &e, NULL, &m.hands, NULL), WILOR_OK);
    assert_null(json_object_get(json_array_get(json_object_get(event, "hands"), 0), "fit_px"));
    json_decref(event);
}

static void test_failed_hand(void **state) {
    static const char *const keys[] = {"side", "failed", NULL};
    made_hands m;
    (void)state;
    make(&m);
    m.failed[0] = 1;
    m.numbers[5] = NAN;
    json_t *event = build(&m, true, ~0u);
    const json_t *hand = json_array_get(json_object_get(event, "hands"), 0);
    assert_keys(hand, keys);
    assert_true(json_is_true(json_object_get(hand, "failed")));
    assert_null(json_object_get(json_array_get(json_object_get(event, "hands"), 1), "failed"));
    json_decref(event);
}

static void test_no_hands(void **state) {
    made_hands m;
    (void)state;
    make(&m);
    m.hands.n = 0;
    json_t *event = build(&m, true, 0);
    assert_int_equal(json_array_size(json_object_get(event, "hands")), 0);
    assert_true(json_is_array(json_object_get(event, "hands")));
    json_decref(event);
}

static void test_names(void **state) {
    made_hands m;
    (void)state;
    make(&m);
    json_t *event = build(&m, true, 0);
    assert_string_equal(json_string_value(json_object_get(event, "source")),
                        "a\xC3\xA4\xEF\xBF\xBD\n.png");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(event, "model"), "label")),
        "synthetic \"x\"\xEF\xBF\xBD");
    const json_t *timing = json_object_get(event, "timing");
    assert_int_equal(json_integer_value(json_object_get(timing, "decode")), 2000);
    assert_int_equal(json_integer_value(json_object_get(timing, "crop")), 1500);
    assert_int_equal(json_integer_value(json_object_get(timing, "pose")), 23250);
    assert_int_equal(json_integer_value(json_object_get(timing, "post")), 1250);
    json_decref(event);
}

/* The quaternion turns a vector as the rotation vector does (Rodrigues). */
static void test_wrist(void **state) {
    made_hands m;
    (void)state;
    make(&m);
    json_t *event = build(&m, true, 0);
    const json_t *hand = json_array_get(json_object_get(event, "hands"), 1);
    const json_t *list = json_object_get(json_object_get(hand, "wrist"), "q");
    double q[4], v[3] = {0.3, -0.7, 0.2};
    for (size_t i = 0; i < 4; i++)
        q[i] = json_number_value(json_array_get(list, i));
    assert_true(q[3] >= 0);
    const double angle = sqrt(14), k[3] = {3 / angle, -2 / angle, 1 / angle};
    double dot = k[0] * v[0] + k[1] * v[1] + k[2] * v[2];
    for (int i = 0; i < 3; i++) {
        int a = (i + 1) % 3, b = (i + 2) % 3;
        double want = v[i] * cos(angle) + (k[a] * v[b] - k[b] * v[a]) * sin(angle) +
                      k[i] * dot * (1 - cos(angle));
        /* v + 2w(q×v) + 2q×(q×v) */
        double t[3] = {q[1] * v[2] - q[2] * v[1], q[2] * v[0] - q[0] * v[2],
                       q[0] * v[1] - q[1] * v[0]};
        double got = v[i] + 2 * q[3] * t[i] + 2 * (q[a] * t[b] - q[b] * t[a]);
        assert_true(fabs(got - want) < 1e-6);
    }
    json_decref(event);
}

static void test_numbers(void **state) {
    (void)state;
    uint32_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        float value, back;
        char *text;
        bits = bits * 1664525u + 1013904223u;
        memcpy(&value, &bits, sizeof value);
        json_t *number = wilor_cli_json_float(value);
        if (!isfinite(value)) {
            assert_true(json_is_null(number));
            json_decref(number);
            continue;
        }
        text = json_dumps(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        back = strtof(text, NULL);
        assert_memory_equal(&back, &value, sizeof back);
        free(text);
        json_decref(number);
    }

    static const struct {
        float value;
        const char *text;
    } shortest[] = {{0.95f, "0.95"}, {0.12345678f, "0.12345678"}, {606.75f, "606.75"}};

    for (size_t i = 0; i < sizeof shortest / sizeof shortest[0]; i++) {
        json_t *number = wilor_cli_json_float(shortest[i].value);
        char *text = json_dumps(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        assert_string_equal(text, shortest[i].text);
        free(text);
        json_decref(number);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),   cmocka_unit_test(test_failed_hand),
        cmocka_unit_test(test_no_hands), cmocka_unit_test(test_names),
        cmocka_unit_test(test_wrist),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_detected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
