/* Pinch and grab on hands of a few points whose numbers are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "gestures.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_open), cmocka_unit_test(test_fist),
                                       cmocka_unit_test(test_pinch),
                                       cmocka_unit_test(test_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
