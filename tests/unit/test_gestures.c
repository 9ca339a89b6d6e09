/* Pinch and grab on hands of a few points whose numbers are known, and on the committed hand, posed, of
 * both sides. In its frame a turn about +z bends the fingers (data/README.md). */
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

static void expect_near(double got, double want) {
    if (!(fabs(got - want) <= 1e-6))
        fail_msg("%.9g instead of %.9g", got, want);
}

static void put(float *kp, int k, double x, double y, double z) {
    kp[3 * k] = (float)x;
    kp[3 * k + 1] = (float)y;
    kp[3 * k + 2] = (float)z;
}

/* Wrist at the origin, four fingers along x, knuckles 2 cm apart; thumb tip at x, y, z. The
 * last two bones are bent from the metacarpal's direction by 0.4 less and more than `bend`, so
 * that PIP to tip is bent by `bend`, but PIP to DIP is not. */
static void make(float kp[63], double bend, double x, double y, double z) {
    memset(kp, 0, 63 * sizeof *kp);
    for (int f = 1; f < 5; f++) {
        int mcp = 1 + 4 * f;
        double side = 0.02 * (f - 1), dir = atan2(side, 0.08), along = 0, down = 0;
        put(kp, mcp, 0.08, side, 0);
        put(kp, mcp + 1, 0.12, side, 0);
        for (int k = 2; k < 4; k++) { /* within the plane of the metacarpal and z */
            double a = bend + (k == 2 ? -0.4 : 0.4);
            along += 0.02 * cos(a);
            down += 0.02 * sin(a);
            put(kp, mcp + k, 0.12 + along * cos(dir), side + along * sin(dir), -down);
        }
    }
    put(kp, 4, x, y, z);
}

static void test_open(void **state) {
    (void)state;
    float kp[63];
    wilor_gesture g;
    make(kp, 0, 0, -0.1, 0);
    wilor_hand_gesture(kp, &g);
    expect_near(g.grab_angle, 0);
    expect_near(g.grab_strength, 0);
    expect_near(g.pinch_strength, 0);
    expect_near(g.pinch_distance, hypot(0.12 + 0.04 * cos(0.4), 0.1));
}

static void test_fist(void **state) {
    (void)state;
    float kp[63];
    wilor_gesture g;
    make(kp, 1.5, 0, 0, 0.3);
    wilor_hand_gesture(kp, &g);
    expect_near(wilor_grab_angle(kp), 1.5);
    expect_near(g.grab_strength, 0.5); /* (1.5 − 0.6) / 1.8 */
    make(kp, 3, 0, 0, 0.3);
    wilor_hand_gesture(kp, &g);
    expect_near(g.grab_angle, 3);
    expect_near(g.grab_strength, 1);
}

/* Palm 6 cm wide: full strength below 0.2 · 6 cm, none above 0.75 · 6 cm. */
static void test_pinch(void **state) {
    (void)state;
    float kp[63];
    wilor_gesture g;
    make(kp, 0, 0.12 + 0.04 * cos(0.4), 0, 0.02);
    wilor_hand_gesture(kp, &g);
    expect_near(g.pinch_distance, 0.02);
    expect_near(g.pinch_strength, (0.045 - 0.02) / 0.033);
    const float *ring =
        kp + 3 * 16; /* the best finger counts, the distance stays the index's */
    make(kp, 0, 0, 0, 0);
    put(kp, 4, ring[0], ring[1], ring[2]);
    wilor_hand_gesture(kp, &g);
    expect_near(g.pinch_strength, 1);
    assert_true(g.pinch_distance > 0.03);
}

static void test_nothing(void **state) {
    (void)state;
    float kp[63] = {0};
    wilor_gesture g;
    wilor_hand_gesture(kp, &g);
    assert_true(g.pinch_distance == 0 && g.pinch_strength == 0 && g.grab_strength == 0);
    for (int i = 0; i < 63; i++)
        kp[i] = NAN;
    wilor_hand_gesture(kp, &g);
    assert_true(isnan(g.pinch_strength) && isnan(g.grab_angle));
}

/* ---------------------------------------------------------------- a posed hand */

static wilor_mano *model;
static float *scratch;

static int open_hand(void **state) {
    (void)state;
    model = cc0_hand_open();
    scratch = wilor_heap_alloc(
        wilor_mano_scratch(model) + 3 * (size_t)wilor_mano_vertices(model), sizeof *scratch);
    return scratch ? 0 : -1;
}

static int close_hand(void **state) {
    (void)state;
    wilor_mano_free(&model);
    wilor_heap_free(scratch);
    return 0;
}

/* What is said of a hand of rotation vectors (15 joints, right hand's), turned somehow. */
static wilor_gesture gesture_of(wilor_side side, double pose[15][3]) {
    static const double root[3] = {0.7, -1.1, 0.4};
    const float betas[10] = {0.5f, -0.3f};
    float rotation[144], kp[63];
    double m[9];
    wilor_gesture g;
    for (int j = 0; j < 16; j++) {
        wilor_rotation_from_vector_f64(j == 0 ? root : pose[j - 1], m);
        for (int i = 0; i < 9; i++)
            rotation[9 * j + i] = (float)m[i];
    }
    wilor_mano_forward(model, rotation, betas, scratch, scratch + wilor_mano_scratch(model),
                       NULL, kp);
    if (side == WILOR_LEFT)
        wilor_hand_mirror_points(kp, 21);
    wilor_hand_gesture(kp, &g);
    return g;
}

static void bend(double pose[15][3], int finger, double angle) {
    for (int j = 0; j < 3; j++)
        pose[3 * finger + j][2] = angle;
}

/* Fingers in MANO's order: index, middle, little, ring. */
static void test_posed_grab(void **state) {
    (void)state;
    for (int side = 0; side < 2; side++) {
        double pose[15][3] = {{0}};
        wilor_gesture open = gesture_of((wilor_side)side, pose), last = open;
        assert_true(open.grab_strength == 0 && open.grab_angle < 0.2f);
        assert_true(open.pinch_strength == 0 && open.pinch_distance > 0.05f);
        for (int finger = 0; finger < 4; finger++) { /* one after the other */
            bend(pose, finger, 1.2);
            wilor_gesture g = gesture_of((wilor_side)side, pose);
            /* PIP to tip turns by two and a half joints of 1.2 rad, a quarter of it counts. */
            assert_true(g.grab_angle > last.grab_angle + 0.5f &&
                        g.grab_angle < last.grab_angle + 0.8f);
            last = g;
        }
        assert_true(last.grab_strength > 0.95f);
        bend(pose, 0, 0); /* pointing: three of four */
        wilor_gesture point = gesture_of((wilor_side)side, pose);
        assert_true(point.grab_strength > 0.6f && point.grab_strength < 0.95f);
    }
}

/* The thumb and a finger come as near as bending and turning the thumb let them: the strength rises from
 * none to all, and both hands say the same. */
static void test_posed_pinch(void **state) {
    (void)state;
    double best[15][3] = {{0}};
    float least = 1;
    for (int a = 0; a < 12; a++)
        for (int b = 0; b < 12; b++)
            for (int c = 0; c < 6; c++) {
                double pose[15][3] = {{0}};
                bend(pose, 0, 0.1 * a);
                pose[12][0] = 0.15 * c; /* the thumb's first joint rolls in … */
                pose[12][1] = -0.1 * b; /* … and goes to the palm */
                wilor_gesture g = gesture_of(WILOR_RIGHT, pose);
                if (g.pinch_distance < least) {
                    least = g.pinch_distance;
                    memcpy(best, pose, sizeof best);
                }
            }
    wilor_gesture right = gesture_of(WILOR_RIGHT, best), left = gesture_of(WILOR_LEFT, best);
    print_message("tips come as near as %.1f mm\n", 1000 * (double)least);
    assert_true(right.pinch_strength > 0.9f);
    expect_near(left.pinch_distance, right.pinch_distance);
    expect_near(left.pinch_strength, right.pinch_strength);
    expect_near(left.grab_angle, right.grab_angle);
    for (int i = 0; i < 3; i++)
        best[i][2] -= 0.25; /* the index opens */
    assert_true(gesture_of(WILOR_LEFT, best).pinch_strength < right.pinch_strength);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),       cmocka_unit_test(test_fist),
        cmocka_unit_test(test_pinch),      cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_posed_grab), cmocka_unit_test(test_posed_pinch)};
    return cmocka_run_group_tests(tests, open_hand, close_hand);
}
