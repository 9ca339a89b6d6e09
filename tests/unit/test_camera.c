/* Cameras: real intrinsics against the reference formula, distortion against its definition,
 * mirrors, scale by the palm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "camera.h"

enum { W = 640, H = 480 };

static const float pred_cam[3] = {0.93f, 0.21f, -0.13f};
static const double centre[2] = {411.5, 130.25}, side = 233.75;

static void expect_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.17g instead of %.17g", got, want);
}

static wilor_camera make(const double *intrinsics, const double *distortion, double focal) {
    wilor_camera cam;
    wilor_error err;
    if (wilor_camera_init(&cam, W, H, intrinsics, distortion, focal, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return cam;
}

static void test_default(void **state) {
    (void)state;
    wilor_camera cam = make(NULL, NULL, 0);
    assert_true(cam.fx == 12500 && cam.fy == 12500 && cam.cx == 320 && cam.cy == 240 &&
                !cam.given);
    cam = make(NULL, NULL, 700);
    assert_true(cam.fx == 700 && cam.fy == 700);
}

static void test_errors(void **state) {
    (void)state;
    wilor_camera cam;
    wilor_error err;
    const double bad[][4] = {
        {0, 1, 1, 1}, {1, -1, 1, 1}, {1, 1, NAN, 1}, {1, 1, 1, INFINITY}, {NAN, 1, 1, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(wilor_camera_init(&cam, W, H, bad[i], NULL, 0, &err), WILOR_ERR_ARG);
    const double good[4] = {500, 500, 320, 240}, k[5] = {0, 0, 0, NAN, 0};
    assert_int_equal(wilor_camera_init(&cam, W, H, good, k, 0, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "number 4 of 5"));
    assert_int_equal(wilor_camera_init(&cam, W, H, NULL, NULL, -1, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_camera_init(&cam, W, H, NULL, NULL, NAN, &err), WILOR_ERR_ARG);
}

/* fx = fy and a centred principal point: the reference formula. */
static void test_centred_is_reference(void **state) {
    (void)state;
    const double in[4] = {812.5, 812.5, W / 2.0, H / 2.0};
    wilor_camera real = make(in, NULL, 0), pinhole = make(NULL, NULL, 812.5);
    double a[3], b[3];
    wilor_camera_translation(&real, pred_cam, centre[0], centre[1], side, W, H, a);
    wilor_camera_translation(&pinhole, pred_cam, centre[0], centre[1], side, W, H, b);
    for (int i = 0; i < 3; i++)
        expect_near(a[i], b[i], 1e-13);
}

/* The root, the point that the crop's weak perspective puts at (tx, ty), lands on its pixel. */
static void test_root_pixel(void **state) {
    (void)state;
    const double in[4] = {606.8, 590.1, 321.5, 247.6},
                 k[5] = {-0.28, 0.11, 0.002, -0.001, -0.02};
    const float root[3] = {0, 0, 0};
    for (int distorted = 0; distorted < 2; distorted++) {
        wilor_camera cam = make(in, distorted ? k : NULL, 0);
        double t[3];
        float uv[2];
        wilor_camera_translation(&cam, pred_cam, centre[0], centre[1], side, W, H, t);
        wilor_camera_project(&cam, root, 1, t, uv);
        expect_near(uv[0], centre[0] + side * pred_cam[0] * pred_cam[1] / 2, 1e-4);
        expect_near(uv[1], centre[1] + side * pred_cam[0] * pred_cam[2] / 2, 1e-4);
        expect_near(t[2], (in[0] + in[1]) / (side * pred_cam[0]), 1e-9);
    }
}

/* Brown-Conrady written out once more, with numbers: x = 0.5, y = -0.25, r² = 0.3125. */
static void test_distortion(void **state) {
    (void)state;
    const double in[4] = {100, 200, 10, 20}, k[5] = {0.1, -0.2, 0.01, 0.02, 0.3};
    wilor_camera cam = make(in, k, 0);
    const double at[3] = {0.5, -0.25, 1}, t[3] = {0, 0, 0};
    double uv[2];
    wilor_camera_project_f64(&cam, at, 1, t, uv);
    const double r2 = 0.3125, radial = 1 + 0.1 * r2 - 0.2 * r2 * r2 + 0.3 * r2 * r2 * r2;
    expect_near(uv[0], 100 * (0.5 * radial + 2 * 0.01 * 0.5 * -0.25 + 0.02 * (r2 + 0.5)) + 10,
                1e-12);
    expect_near(uv[1],
                200 * (-0.25 * radial + 0.01 * (r2 + 0.125) + 2 * 0.02 * 0.5 * -0.25) + 20,
                1e-12);
}

static void test_unproject(void **state) {
    (void)state;
    const double in[4] = {606.8, 606.3, 321.5, 247.6};
    const double k[][5] = {{-0.28, 0.11, 0.002, -0.001, -0.02}, {0.3, 0.2, -0.01, 0.01, 0.1}};
    for (int i = 0; i < 2; i++)
        for (int u = 0; u <= W; u += 40)
            for (int v = 0; v <= H; v += 40) {
                wilor_camera cam = make(in, k[i], 0);
                double xy[2], back[2];
                wilor_camera_unproject(&cam, (const double[2]){u, v}, xy);
                wilor_camera_project_f64(&cam, (const double[3]){xy[0], xy[1], 1}, 1,
                                         (const double[3]){0}, back);
                expect_near(back[0], u, 1e-9);
                expect_near(back[1], v, 1e-9);
            }
    /* A lens that folds back: there is no answer beyond the fold, but a finite one is given. */
    const double fold[5] = {-2, 0, 0, 0, 0};
    wilor_camera cam = make(in, fold, 0);
    double xy[2];
    wilor_camera_unproject(&cam, (const double[2]){5000, 5000}, xy);
    assert_true(isfinite(xy[0]) && isfinite(xy[1]));
}

/* A selfie: results negated in x, seen by the mirrored camera, land at width − u. */
static void test_selfie(void **state) {
    (void)state;
    const double in[4] = {606.8, 590.1, 300.5, 247.6}, k[5] = {-0.28, 0.11, 0.02, -0.03, -0.02};
    wilor_camera cam = make(in, k, 0), other = wilor_camera_mirror(&cam, W);
    float p[6] = {0.1f, -0.02f, 0.03f, -0.04f, 0.05f, 0.01f}, uv[4], mirrored[4];
    double t[3] = {0.2, -0.1, 0.6};
    wilor_camera_project(&cam, p, 2, t, uv);
    wilor_hand_mirror_points(p, 2);
    t[0] = -t[0];
    wilor_camera_project(&other, p, 2, t, mirrored);
    for (int i = 0; i < 2; i++) {
        expect_near(W - mirrored[2 * i], uv[2 * i], 1e-4);
        expect_near(mirrored[2 * i + 1], uv[2 * i + 1], 1e-4);
    }
}

/* M R M of a matrix is the matrix of the mirrored vector. */
static void test_mirrors_agree(void **state) {
    (void)state;
    const float a = 0.7f, c = cosf(a), s = sinf(a);
    float m[18] = {c, -s, 0, s, c, 0,  0, 0, 1,
                   1, 0,  0, 0, c, -s, 0, s, c}; /* about z, about x */
    float v[6] = {0, 0, a, a, 0, 0}, cam[3] = {1, 2, 3};
    wilor_hand_mirror_matrices(m, 2);
    wilor_hand_mirror_vectors(v, 2);
    wilor_hand_mirror_cam(cam);
    const float want[18] = {c, s, 0, -s, c, 0, 0, 0, 1, 1, 0, 0, 0, c, -s, 0, s, c};
    for (int i = 0; i < 18; i++)
        assert_true(m[i] == want[i]);
    assert_true(v[2] == -a && v[3] == a);
    assert_true(cam[0] == 1 && cam[1] == -2 && cam[2] == 3);
}

/* Scaling hand and translation keeps the picture and makes the palm as long as said. */
static void test_palm(void **state) {
    (void)state;
    float kp[63] = {0}, uv[42], scaled_uv[42];
    for (int i = 0; i < 63; i++)
        kp[i] = 0.01f * (float)(i % 7) - 0.02f * (float)(i % 3);
    const double t[3] = {0.1, 0.2, 1.5};
    double s = wilor_palm_scale(kp, 0.1);
    const double st[3] = {s * t[0], s * t[1], s * t[2]};
    wilor_camera cam = make(NULL, NULL, 0);
    wilor_camera_project(&cam, kp, 21, t, uv);
    for (int i = 0; i < 63; i++)
        kp[i] = (float)(s * kp[i]);
    wilor_camera_project(&cam, kp, 21, st, scaled_uv);
    for (int i = 0; i < 42; i++)
        expect_near(scaled_uv[i], uv[i], 2e-3);
    expect_near(hypot(hypot(kp[27] - kp[0], kp[28] - kp[1]), kp[29] - kp[2]), 0.1, 1e-7);
    const float zero[63] = {0};
    assert_true(wilor_palm_scale(kp, 0) == 1 && wilor_palm_scale(zero, 0.1) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),    cmocka_unit_test(test_errors),
        cmocka_unit_test(test_root_pixel), cmocka_unit_test(test_centred_is_reference),
        cmocka_unit_test(test_distortion), cmocka_unit_test(test_unproject),
        cmocka_unit_test(test_selfie),     cmocka_unit_test(test_mirrors_agree),
        cmocka_unit_test(test_palm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
