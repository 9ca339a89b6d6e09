/* Crops and cameras of all hands of the reference photos, against WiLoR-mini's
 * predict_with_bboxes (fixtures/tiny/pipeline). 8-bit crops must be equal to the last bit, in
 * OpenCV 5's and 4's arithmetic; smoothed ones to float32's rounding. The photos are not ours
 * to hand on: without their folder this is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "camera.h"
#include "crop.h"
#include "golden.h"
#include "heap.h"
#include "wilor/wilor_io.h"

enum { RGB = 256 * 256 * 3, MOST_HANDS = 8 };

static const struct {
    const char *photo, *reference;
    int hands;
} cases[] = {{"hand.png", "tiny/pipeline/hand_png.npz", 3},
             {"test1.jpg", "tiny/pipeline/test1_jpg.npz", 4},
             {"test3.jpg", "tiny/pipeline/test3_jpg.npz", 5},
             {"test5.jpeg", "tiny/pipeline/test5_jpeg.npz", 4}};

enum { CASES = sizeof cases / sizeof cases[0] };

typedef struct scene {
    wilor_index *ref;
    wilor_image image;
    wilor_picture picture;
    double *boxes, *size;
    int64_t *right;
    int hands;
} scene;

static void open_scene(scene *s, int i) {
    wilor_error err;
    size_t n;
    char name[64];
    *s = (scene){0};
    snprintf(name, sizeof name, "photos/%s", cases[i].photo);
    if (wilor_image_read(&s->image, golden_path(WILOR_TEST_FIXTURES, name), 0, &err) !=
        WILOR_OK)
        fail_msg("%s", err.text);
    s->picture = wilor_image_view(&s->image);
    s->ref = golden_open(golden_path(WILOR_TEST_FIXTURES, cases[i].reference));
    s->boxes = golden_f64(s->ref, "boxes", NULL);
    s->size = golden_f64(s->ref, "box_size", NULL);
    s->right = golden_i64(s->ref, "is_right", &n);
    s->hands = (int)n;
    assert_int_equal(s->hands, cases[i].hands);
}

static void close_scene(scene *s) {
    wilor_index_close(&s->ref);
    wilor_image_free(&s->image);
    wilor_heap_free(s->boxes);
    wilor_heap_free(s->size);
    wilor_heap_free(s->right);
}

static void plan(const scene *s, int hand, wilor_crop_box *box) {
    wilor_error err;
    if (wilor_crop_plan_f64(s->boxes + 4 * hand, 2.5, box, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

/* One crop against `name`, a BGR picture; tolerance in units of 255 levels. */
static void check_crop(const scene *s, const char *photo, int hand, const wilor_crop_box *box,
                       wilor_warp warp, const char *name) {
    const wilor_tensor *t = wilor_index_find(s->ref, name);
    if (!t) /* smoothed crops are the same in both versions and stored once */
        return;
    char label[64];
    float *want = golden_f32(s->ref, name, NULL), *got = wilor_heap_alloc(RGB, sizeof *got);
    assert_non_null(got);
    assert_int_equal(t->count, RGB);
    for (int i = 0; i < RGB; i += 3) { /* stored as OpenCV has it */
        float blue = want[i];
        want[i] = want[i + 2];
        want[i + 2] = blue;
    }
    wilor_side side = s->right[hand] ? WILOR_RIGHT : WILOR_LEFT;
    assert_int_equal(wilor_crop_run(&s->picture, box, side, warp, got, NULL), WILOR_OK);
    snprintf(label, sizeof label, "%s %s", photo, name);
    golden_check(label, got, want, RGB, t->dtype == WILOR_U8 ? 0 : 1e-7);
    wilor_heap_free(want);
    wilor_heap_free(got);
}

static void test_crops(void **state) {
    (void)state;
    for (int i = 0; i < CASES; i++) {
        scene s;
        open_scene(&s, i);
        for (int hand = 0; hand < s.hands; hand++) {
            char name[32];
            wilor_crop_box box;
            plan(&s, hand, &box);
            golden_check_f64("box_size", &box.size, s.size + hand, 1, 0);
            snprintf(name, sizeof name, "crop%d", hand);
            assert_non_null(wilor_index_find(s.ref, name));
            check_crop(&s, cases[i].photo, hand, &box, WILOR_WARP_CV5, name);
            snprintf(name, sizeof name, "crop_cv4_%d", hand);
            check_crop(&s, cases[i].photo, hand, &box, WILOR_WARP_CV4, name);
        }
        close_scene(&s);
    }
}

/* Float boxes, as the library's callers give them: a rounding of the box moves some samples
 * across a tie of the last rounding, by one level. */
static void test_float_boxes(void **state) {
    (void)state;
    float *a = wilor_heap_alloc(RGB, sizeof *a), *b = wilor_heap_alloc(RGB, sizeof *b);
    assert_non_null(a);
    assert_non_null(b);
    for (int i = 0; i < CASES; i++) {
        scene s;
        open_scene(&s, i);
        for (int hand = 0; hand < s.hands; hand++) {
            float box[4];
            wilor_crop_box exact, rounded;
            for (int k = 0; k < 4; k++)
                box[k] = (float)s.boxes[4 * hand + k];
            plan(&s, hand, &exact);
            assert_int_equal(wilor_crop_plan(box, 2.5, &rounded, NULL), WILOR_OK);
            wilor_side side = s.right[hand] ? WILOR_RIGHT : WILOR_LEFT;
            assert_int_equal(wilor_crop_run(&s.picture, &exact, side, WILOR_WARP_CV5, a, NULL),
                             WILOR_OK);
            assert_int_equal(
                wilor_crop_run(&s.picture, &rounded, side, WILOR_WARP_CV5, b, NULL), WILOR_OK);
            size_t differ = 0;
            for (int k = 0; k < RGB; k++)
                differ += a[k] != b[k];
            printf("%s hand %d, float box: %zu of %d values differ\n", cases[i].photo, hand,
                   differ, RGB);
            assert_true(differ < RGB / 1000);
            assert_true(golden_difference(b, a, RGB) <= 1);
        }
        close_scene(&s);
    }
    wilor_heap_free(a);
    wilor_heap_free(b);
}

/* raw.* are the model's outputs, out.* what the pipeline makes of them. */
static void test_cameras(void **state) {
    (void)state;
    for (int i = 0; i < CASES; i++) {
        scene s;
        open_scene(&s, i);
        float *cam = golden_f32(s.ref, "raw.pred_cam", NULL);
        float *points = golden_f32(s.ref, "raw.pred_keypoints_3d", NULL);
        float *orient = golden_f32(s.ref, "raw.global_orient", NULL);
        float *pose = golden_f32(s.ref, "raw.hand_pose", NULL);
        double t[3 * MOST_HANDS], focal[MOST_HANDS];
        float uv[42 * MOST_HANDS];
        for (int h = 0; h < s.hands; h++) {
            wilor_camera c;
            wilor_crop_box box;
            plan(&s, h, &box);
            if (!s.right[h]) {
                wilor_hand_mirror_cam(cam + 3 * h);
                wilor_hand_mirror_points(points + 63 * h, 21);
                wilor_hand_mirror_vectors(orient + 3 * h, 1);
                wilor_hand_mirror_vectors(pose + 45 * h, 15);
            }
            const int width = s.picture.width, height = s.picture.height;
            assert_int_equal(wilor_camera_init(&c, width, height, NULL, NULL, 0, NULL),
                             WILOR_OK);
            wilor_camera_translation(&c, cam + 3 * h, box.cx, box.cy, box.size, width, height,
                                     t + 3 * h);
            wilor_camera_project(&c, points + 63 * h, 21, t + 3 * h, uv + 42 * h);
            focal[h] = c.fx;
        }
        const size_t n = (size_t)s.hands;

        const struct {
            const char *name;
            const float *got;
            size_t count;
            double tolerance;
        } checks[] = {{"out.pred_cam", cam, 3 * n, 0},
                      {"out.pred_keypoints_3d", points, 63 * n, 0},
                      {"out.global_orient", orient, 3 * n, 0},
                      {"out.hand_pose", pose, 45 * n, 0},
                      {"out.pred_keypoints_2d", uv, 42 * n, 1e-7}};

        for (size_t k = 0; k < sizeof checks / sizeof checks[0]; k++) {
            float *want = golden_f32(s.ref, checks[k].name, NULL);
            golden_check(checks[k].name, checks[k].got, want, checks[k].count,
                         checks[k].tolerance);
            wilor_heap_free(want);
        }
        double *want = golden_f64(s.ref, "out.pred_cam_t_full", NULL);
        golden_check_f64("out.pred_cam_t_full", t, want, 3 * n, 1e-7);
        wilor_heap_free(want);
        want = golden_f64(s.ref, "out.scaled_focal_length", NULL);
        golden_check_f64("out.scaled_focal_length", focal, want, n, 0);
        wilor_heap_free(want);
        wilor_heap_free(cam);
        wilor_heap_free(points);
        wilor_heap_free(orient);
        wilor_heap_free(pose);
        close_scene(&s);
    }
}

int main(void) {
    if (!golden_exists(golden_path(WILOR_TEST_FIXTURES, "photos"))) {
        printf("skipped: no photos in %s\n", WILOR_TEST_FIXTURES);
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crops),
                                       cmocka_unit_test(test_float_boxes),
                                       cmocka_unit_test(test_cameras)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
