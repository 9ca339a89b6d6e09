/* Pinch and grab of the committed hand, posed: open, fist, pinched with each finger, left and right. In its frame a turn
 * about +z bends the fingers (data/README.md); the pinching pose is searched for, not written down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "camera.h"
#include "cc0_hand.h"
#include "gestures.h"
#include "heap.h"
#include "mano.h"
#include "rotation.h"

enum { THUMB = 13 }; /* MANO's joint */

static wilor_mano *model;
static float *scratch, *verts;

static int open_hand(void **state) {
    (void)state;
    model = cc0_hand_open();
    scratch = wilor_heap_alloc(wilor_mano_scratch(model), sizeof *scratch);
    verts = wilor_heap_alloc(3 * (size_t)wilor_mano_vertices(model), sizeof *verts);
    return !scratch || !verts;
}

static int close_hand(void **state) {
    (void)state;
    wilor_heap_free(scratch);
    wilor_heap_free(verts);
    wilor_mano_free(&model);
    return 0;
}

/* pose: 16 rotation vectors of a right hand. */
static void points_of(const double pose[16][3], float kp[63]) {
    const float betas[10] = {0.5f, -0.5f};
    float rot[144];
    for (int j = 0; j < 16; j++) {
        double m[9];
        wilor_rotation_from_vector_f64(pose[j], m);
        for (int i = 0; i < 9; i++)
            rot[9 * j + i] = (float)m[i];
    }
    wilor_mano_forward(model, rot, betas, scratch, verts, NULL, kp);
}

/* The right hand's gesture, which must also be the left hand's, and any larger or turned hand's but for its lengths. */
static wilor_gesture gesture_of(const double pose[16][3]) {
    double turned[16][3];
    float kp[63], other[63];
    wilor_gesture g, o;
    points_of(pose, kp);
    wilor_hand_gesture(kp, &g);
    memcpy(other, kp, sizeof other);
    wilor_hand_mirror_points(other, 21);
    wilor_hand_gesture(other, &o);
    assert_memory_equal(&o, &g, sizeof g);
    memcpy(turned, pose, sizeof turned);
    turned[0][0] = 1.1;
    turned[0][1] = -0.8;
    points_of((const double(*)[3])turned, other);
    for (int i = 0; i < 63; i++)
        other[i] *= 2;
    wilor_hand_gesture(other, &o);
    assert_true(fabsf(o.pinch_distance - 2 * g.pinch_distance) < 1e-5f);
    assert_true(fabsf(o.pinch_strength - g.pinch_strength) < 1e-4f);
    assert_true(fabsf(o.grab_strength - g.grab_strength) < 1e-4f);
    assert_true(fabsf(o.grab_angle - g.grab_angle) < 1e-4f);
    return g;
}

static void test_open(void **state) {
    static const double pose[16][3] = {{0}};
    (void)state;
    wilor_gesture g = gesture_of(pose);
    assert_true(g.grab_strength < 0.1f && g.pinch_strength < 0.1f && g.pinch_distance > 0.05f);
}

/* The more the long fingers bend, the stronger, as far as half a turn in all; the thumb has no say. */
static void test_fist(void **state) {
    double pose[16][3] = {{0}};
    float before = -1, kp[63];
    wilor_gesture g = {0};
    (void)state;
    for (double bend = 0; bend < 1.25; bend += 0.2) {
        for (int j = 1; j < THUMB; j++)
            pose[j][2] = bend;
        g = gesture_of((const double(*)[3])pose);
        assert_true(g.grab_angle > before);
        before = g.grab_angle;
        points_of((const double(*)[3])pose, kp);
        assert_true(fabs(wilor_grab_angle(kp) - (double)g.grab_angle) < 1e-6);
    }
    assert_true(g.grab_strength > 0.95f);
    pose[THUMB][1] = 0.8;
    wilor_gesture other = gesture_of((const double(*)[3])pose);
    assert_true(other.grab_strength == g.grab_strength);
    /* Three fingers of four: three quarters of the angle, or so. */
    for (int j = 1; j < 4; j++)
        pose[j][2] = 0;
    other = gesture_of((const double(*)[3])pose);
    assert_true(other.grab_angle < 0.85f * g.grab_angle &&
                other.grab_angle > 0.6f * g.grab_angle);
}

static double gap(const double pose[16][3], int tip) {
    float kp[63];
    double square = 0;
    points_of(pose, kp);
    for (int i = 0; i < 3; i++) {
        double d = (double)kp[12 + i] - (double)kp[3 * tip + i];
        square += d * d;
    }
    return sqrt(square);
}

/* Bend a finger and the thumb until their tips meet: a step of each number in turn, kept when it helps. */
static double close_gap(double pose[16][3], int finger, int tip) {
    double best = gap((const double(*)[3])pose, tip);
    for (double step = 0.3; step > 0.01; step /= 2)
        for (int round = 0; round < 6; round++)
            for (int k = 0; k < 36; k++) {
                double *x = &pose[(k / 2 < 9 ? finger : THUMB) + k / 6 % 3][k / 2 % 3];
                double old = *x;
                *x += k % 2 ? -step : step;
                double now = fabs(*x) < 1.4 ? gap((const double(*)[3])pose, tip) : 1;
                *x = now < best ? *x : old;
                best = now < best ? now : best;
            }
    return best;
}

static void test_pinch(void **state) {
    static const int finger[4] = {1, 4, 10, 7}; /* MANO's index, middle, ring, little */
    (void)state;
    for (int f = 0; f < 4; f++) {
        double pose[16][3] = {{0}};
        double d = close_gap(pose, finger[f], 8 + 4 * f);
        wilor_gesture g = gesture_of((const double(*)[3])pose);
        assert_true(d < 0.01);
        assert_true(g.pinch_strength > 0.95f);
        if (f == 0)
            assert_true(fabs((double)g.pinch_distance - d) < 1e-6);
        else
            assert_true((double)g.pinch_distance > d + 0.005); /* always the index finger's */
        assert_true(g.grab_strength < 0.5f);                   /* one finger is no fist */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_open), cmocka_unit_test(test_fist),
                                       cmocka_unit_test(test_pinch)};
    return cmocka_run_group_tests(tests, open_hand, close_hand);
}
