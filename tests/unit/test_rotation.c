/* Rotations by their properties: what must hold whatever the formula. The comparison with the
 * reference is golden/test_units.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "rotation.h"

static const double pi = 3.14159265358979323846;

static void expect_near(const double *got, const double *want, int n, double tolerance) {
    for (int i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= tolerance))
            fail_msg("element %d: %.17g instead of %.17g", i, got[i], want[i]);
}

/* Vectors with angles up to π, both ways; near 0, near π. */
static void test_vector_round_trip(void **state) {
    (void)state;
    const double angles[] = {0, 1e-12, 1e-7, 1e-4, 0.01, 0.5, 1.5, 3, 3.1415, pi - 1e-9};
    const double axes[][3] = {
        {1, 0, 0}, {0, -1, 0}, {0, 0, 1}, {0.6, 0.8, 0}, {-0.48, 0.6, 0.64}};
    for (size_t i = 0; i < sizeof angles / sizeof angles[0]; i++)
        for (size_t k = 0; k < sizeof axes / sizeof axes[0]; k++) {
            double v[3], m[9], back[3];
            for (int c = 0; c < 3; c++)
                v[c] = angles[i] * axes[k][c];
            wilor_rotation_from_vector_f64(v, m);
            wilor_rotation_to_vector_f64(m, back);
            expect_near(back, v, 3, 2e-9);
        }
}

/* Rodrigues against known turns, and R·v = v for the axis. */
static void test_matrix_of_vector(void **state) {
    (void)state;
    double m[9];
    wilor_rotation_from_vector_f64((const double[3]){0, 0, pi / 2}, m);
    expect_near(m, (const double[9]){0, -1, 0, 1, 0, 0, 0, 0, 1}, 9, 1e-15);
    wilor_rotation_from_vector_f64((const double[3]){2e-5, 0, 0}, m); /* the series */
    expect_near(m,
                (const double[9]){1, 0, 0, 0, cos(2e-5), -sin(2e-5), 0, sin(2e-5), cos(2e-5)},
                9, 1e-16);
}

static void test_exactly_pi(void **state) {
    (void)state;
    const float turns[][9] = {{1, 0, 0, 0, -1, 0, 0, 0, -1},
                              {-1, 0, 0, 0, 1, 0, 0, 0, -1},
                              {-1, 0, 0, 0, -1, 0, 0, 0, 1}};
    for (int i = 0; i < 3; i++) {
        float v[3];
        wilor_rotation_to_vector(turns[i], v);
        for (int c = 0; c < 3; c++)
            assert_true(v[c] == (c == i ? -(float)pi : 0.0f));
    }
    const float zero[9] = {0};
    float v[3];
    wilor_rotation_to_vector(zero, v);
    assert_true(v[0] == -(float)pi && v[1] == 0 && v[2] == 0);
}

static void test_6d(void **state) {
    (void)state;
    float m[9];
    wilor_rotation_from_6d((const float[6]){2, 0, 0, 5, 3, 0}, m); /* columns x, y, z */
    const float identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    assert_memory_equal(m, identity, sizeof m);
    wilor_rotation_from_6d((const float[6]){0, 0, 0, 0, 4, 0},
                           m); /* no first: zero column, no third */
    const float second[9] = {0, 0, 0, 0, 1, 0, 0, 0, 0};
    assert_memory_equal(m, second, sizeof m);
    wilor_rotation_from_6d((const float[6]){0, 3, 0, 0, 1, 0}, m); /* parallel */
    const float first[9] = {0, 0, 0, 1, 0, 0, 0, 0, 0};
    for (int i = 0; i < 9; i++)
        assert_true(m[i] == first[i]);
    wilor_rotation_from_6d((const float[6]){NAN, 0, 0, 0, 1, 0}, m);
    assert_true(isnan(m[0]) && isnan(m[1]) && isnan(m[2]));
}

static void test_quaternion(void **state) {
    (void)state;
    const double vectors[][3] = {
        {0, 0, 0}, {0.3, -0.2, 0.9}, {3, 0.5, 0.1}, {0, pi, 0}, {-2, 1, 2}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        double m[9], q[4];
        wilor_rotation_from_vector_f64(vectors[i], m);
        wilor_rotation_to_quaternion_f64(m, q);
        const double x = q[0], y = q[1], z = q[2], w = q[3];
        assert_true(w >= 0);
        const double back[9] = {
            1 - 2 * (y * y + z * z), 2 * (x * y - z * w),     2 * (x * z + y * w),
            2 * (x * y + z * w),     1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
            2 * (x * z - y * w),     2 * (y * z + x * w),     1 - 2 * (x * x + y * y)};
        expect_near(back, m, 9, 1e-15);
    }
}

/* Vector to quaternion and back, tiny angles and those near π too; a longer way comes back as the
 * shorter one. */
static void test_quaternion_vectors(void **state) {
    (void)state;
    const double vectors[][3] = {{0, 0, 0},         {1e-13, 0, -1e-13}, {1e-8, 2e-8, 0},
                                 {0.3, -0.2, 0.9},  {0, pi - 1e-9, 0},  {-1, 1, 2},
                                 {0.001, 0, -1e-5}, {3, 0.5, 0.1}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        double q[4], back[3], m[9], want[9];
        wilor_quaternion_exp_f64(vectors[i], q);
        wilor_quaternion_log_f64(q, back);
        expect_near(back, vectors[i], 3, 1e-14);
        wilor_quaternion_to_matrix_f64(q, m);
        wilor_rotation_from_vector_f64(vectors[i], want);
        expect_near(m, want, 9, 1e-14);
        for (int k = 0; k < 4; k++)
            q[k] = -q[k]; /* the same rotation */
        wilor_quaternion_log_f64(q, back);
        expect_near(back, vectors[i], 3, 1e-14);
    }
    double q[4], back[3];
    const double long_way[3] = {0, 0, pi + 0.5}, short_way[3] = {0, 0, 0.5 - pi};
    wilor_quaternion_exp_f64(long_way, q);
    wilor_quaternion_log_f64(q, back);
    expect_near(back, short_way, 3, 1e-14);
}

/* Products are those of the matrices; what leads from a to b does. */
static void test_quaternion_products(void **state) {
    (void)state;
    const double a[3] = {0.5, -1.2, 0.3}, b[3] = {-2, 0.1, 0.7};
    double qa[4], qb[4], qc[4], ma[9], mb[9], want[9], got[9];
    wilor_quaternion_exp_f64(a, qa);
    wilor_quaternion_exp_f64(b, qb);
    wilor_rotation_from_vector_f64(a, ma);
    wilor_rotation_from_vector_f64(b, mb);
    wilor_quaternion_mul_f64(qa, qb, qc);
    wilor_quaternion_to_matrix_f64(qc, got);
    wilor_matrix_mul_f64(ma, mb, want);
    expect_near(got, want, 9, 1e-14);
    wilor_quaternion_between_f64(qa, qb, qc);
    wilor_quaternion_mul_f64(qc, qa, qc);
    wilor_quaternion_to_matrix_f64(qc, got);
    expect_near(got, mb, 9, 1e-14);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector_round_trip),   cmocka_unit_test(test_matrix_of_vector),
        cmocka_unit_test(test_exactly_pi),          cmocka_unit_test(test_6d),
        cmocka_unit_test(test_quaternion),          cmocka_unit_test(test_quaternion_vectors),
        cmocka_unit_test(test_quaternion_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
