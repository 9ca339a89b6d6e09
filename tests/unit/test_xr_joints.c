/* OpenXR joints and angles by geometry, on the committed hand: what the axes must point at,
 * both sides, at rest and posed. In its frame the fingers of the right hand point to −x, the
 * back looks to +y and the thumb to +z; a turn about +z bends the fingers (data/README.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "camera.h"
#include "cc0_hand.h"
#include "heap.h"
#include "rotation.h"
#include "xr_joints.h"

static wilor_mano *model;

static int open_hand(void **state) {
    (void)state;
    model = cc0_hand_open();
    return 0;
}

static int close_hand(void **state) {
    (void)state;
    wilor_mano_free(&model);
    return 0;
}

/* A posed hand of a side, mirrored back if left, with its joints. */
typedef struct hand {
    float rotation[144], kp[63], *verts;
    wilor_xr_joint joints[26];
} hand;

static const float cam_t[3] = {0.05f, -0.1f, 0.7f};

/* pose: 16 rotation vectors in a right hand's convention. */
static void make(hand *h, wilor_side side, const double pose[16][3]) {
    const size_t n = (size_t)wilor_mano_vertices(model);
    const float betas[10] = {0};
    float *scratch = wilor_heap_alloc(wilor_mano_scratch(model), sizeof *scratch);
    h->verts = wilor_heap_alloc(3 * n, sizeof *h->verts);
    assert_true(scratch && h->verts);
    for (int j = 0; j < 16; j++) {
        double m[9];
        wilor_rotation_from_vector_f64(pose[j], m);
        for (int i = 0; i < 9; i++)
            h->rotation[9 * j + i] = (float)m[i];
    }
    wilor_mano_forward(model, h->rotation, betas, scratch, h->verts, NULL, h->kp);
    wilor_heap_free(scratch);
    if (side == WILOR_LEFT) {
        wilor_hand_mirror_matrices(h->rotation, 16);
        wilor_hand_mirror_points(h->kp, 21);
        wilor_hand_mirror_points(h->verts, n);
    }
    wilor_xr26_compute(model, side, h->rotation, h->kp, h->verts, cam_t, h->joints);
}

static const double at_rest[16][3] = {{0}};
static const double posed[16][3] = {
    {0.4, -0.7, 1.1}, {0, 0.1, 0.8}, {0, 0, 1.1}, {0.1, 0, 0.5},  {0, 0, 0.3}, {0, 0, 0.6},
    {0, 0, 0.2},      {0, -0.2, 1},  {0, 0, 0.9}, {0, 0, 0.4},    {0, 0, 1.3}, {0, 0, 1.2},
    {0, 0, 0.7},      {0.3, 0.2, 0}, {0.2, 0, 0}, {0.1, 0.4, 0.2}};

/* Axis c of a joint in camera axes (x right, y down, z forward). */
static void axis_of(const wilor_xr_joint *j, int c, double out[3]) {
    const double x = j->orientation[0], y = j->orientation[1], z = j->orientation[2],
                 w = j->orientation[3];
    const double m[9] = {
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w),     2 * (x * z + y * w),
        2 * (x * y + z * w),     1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w),     2 * (y * z + x * w),     1 - 2 * (x * x + y * y)};
    for (int i = 0; i < 3; i++)
        out[i] = (i ? -1 : 1) * m[3 * i + c];
}

static double dot(const double a[3], const double b[3]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void expect_near(double got, double want, double tolerance, const char *what, int i) {
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s %d: %.9g instead of %.9g", what, i, got, want);
}

static bool is_tip(int i) { return i == 5 || (i > 6 && (i - 6) % 5 == 4); }

/* Unit quaternions, w >= 0; places are the keypoints; flags. */
static void test_places(void **state) {
    (void)state;
    static const int keypoint[26] = {-1, 0,  1,  2,  3,  4,  -1, 5,  6,  7,  8,  -1, 9,
                                     10, 11, 12, -1, 13, 14, 15, 16, -1, 17, 18, 19, 20};
    for (int side = 0; side < 2; side++) {
        hand h;
        make(&h, (wilor_side)side, posed);
        for (int i = 0; i < 26; i++) {
            const wilor_xr_joint *j = &h.joints[i];
            double n = 0;
            for (int k = 0; k < 4; k++)
                n += (double)j->orientation[k] * j->orientation[k];
            expect_near(n, 1, 1e-6, "quaternion of", i);
            assert_true(j->orientation[3] >= 0);
            const bool synthetic = i >= 6 && (i - 6) % 5 == 0;
            assert_int_equal(j->flags, synthetic ? 3 : 15);
            for (int k = 0; keypoint[i] >= 0 && k < 3; k++)
                expect_near(j->position[k],
                            (k ? -1 : 1) * (h.kp[3 * keypoint[i] + k] + cam_t[k]), 1e-7,
                            "position of", i);
        }
        for (int k = 0; k < 3; k++) {
            const wilor_xr_joint *j = h.joints;
            expect_near(j[6].position[k], 0.7 * j[1].position[k] + 0.3 * j[7].position[k], 1e-7,
                        "metacarpal", k);
            expect_near(j[0].position[k], (j[11].position[k] + j[12].position[k]) / 2, 1e-7,
                        "palm", k);
        }
        wilor_heap_free(h.verts);
    }
}

/* +Z looks from the next joint back along the bone. The points and the chain of rotations are
 * computed apart, so posed hands show a wrong bone or a wrong order. Metacarpals and palm turn
 * with the wrist and their points move with it: exact too. */
static void test_z_along_bones(void **state) {
    (void)state;
    for (int side = 0; side < 2; side++) {
        hand h;
        make(&h, (wilor_side)side, posed);
        for (int i = 1; i < 26; i++) {
            const int next = i == 1 ? 11 : i + 1;
            double z[3], d[3];
            if (is_tip(i)) {
                assert_memory_equal(h.joints[i].orientation, h.joints[i - 1].orientation,
                                    sizeof h.joints[i].orientation);
                continue;
            }
            axis_of(&h.joints[i], 2, z);
            for (int k = 0; k < 3; k++)
                d[k] = (k ? -1 : 1) *
                       (double)(h.joints[i].position[k] - h.joints[next].position[k]);
            /* Tips are skinned vertices: they follow the last bone up to the pose correctives. */
            expect_near(dot(z, d) / sqrt(dot(d, d)), 1, is_tip(next) ? 0.02 : 1e-6, "z of", i);
        }
        wilor_heap_free(h.verts);
    }
}

/* At rest +Y is up for wrist, palm and long fingers of both hands; the thumb's looks to the
 * radial side too, more to it than up; +X points away from the thumb on the right hand, to it
 * on the left. */
static void test_y_out_of_the_back(void **state) {
    (void)state;
    for (int side = 0; side < 2; side++) {
        hand h;
        make(&h, (wilor_side)side, at_rest);
        for (int i = 0; i < 26; i++) {
            double x[3], y[3];
            axis_of(&h.joints[i], 0, x);
            axis_of(&h.joints[i], 1, y);
            if (i < 2 || i >= 6) {
                assert_true(y[1] > 0.9);
                assert_true(side == WILOR_RIGHT ? x[2] < -0.9 : x[2] > 0.9);
            } else {
                assert_true(y[1] > 0.2 && y[2] > 0.5);
            }
        }
        wilor_heap_free(h.verts);
    }
}

/* The left hand is the right one's mirror image: quaternions x −y −z w in x-mirrored axes. */
static void test_left_is_mirror(void **state) {
    (void)state;
    hand r, l;
    make(&r, WILOR_RIGHT, posed);
    make(&l, WILOR_LEFT, posed);
    for (int i = 0; i < 26; i++) {
        const wilor_xr_joint *a = &r.joints[i], *b = &l.joints[i];
        expect_near(b->position[0] - cam_t[0], -(a->position[0] - cam_t[0]), 1e-6, "x of", i);
        expect_near(b->position[1], a->position[1], 1e-7, "y of", i);
        expect_near(b->position[2], a->position[2], 1e-7, "z of", i);
        for (int k = 0; k < 4; k++)
            expect_near(b->orientation[k], (k == 1 || k == 2 ? -1 : 1) * a->orientation[k],
                        1e-6, "orientation of", i);
        expect_near(b->radius, a->radius, 1e-7, "radius of", i);
    }
    wilor_heap_free(r.verts);
    wilor_heap_free(l.verts);
}

/* Millimetres of a hand; tips thinner than their joints; without a mesh the rest pose's. */
static void test_radii(void **state) {
    (void)state;
    hand h, p;
    make(&h, WILOR_RIGHT, at_rest);
    make(&p, WILOR_LEFT, posed);
    wilor_xr_joint bare[26];
    wilor_xr26_compute(model, WILOR_RIGHT, h.rotation, h.kp, NULL, cam_t, bare);
    for (int i = 0; i < 26; i++) {
        const float r = h.joints[i].radius;
        const bool finger = i >= 3 && !(i >= 6 && (i - 6) % 5 == 0);
        assert_true(finger ? r > 0.005f && r < 0.016f : r > 0.008f && r < 0.025f);
        if (is_tip(i))
            expect_near(r, 0.8 * h.joints[i - 1].radius, 1e-7, "tip", i);
        expect_near(p.joints[i].radius, r, 0.005, "posed radius of", i);
        expect_near(bare[i].radius, r, 1e-6, "radius without mesh of", i);
    }
    for (int i = 0; i < 63; i++)
        h.kp[i] *= 2;
    wilor_xr26_compute(model, WILOR_RIGHT, h.rotation, h.kp, NULL, cam_t, bare);
    expect_near(bare[8].radius, 2 * h.joints[8].radius, 1e-6, "radius of a double hand", 8);
    wilor_heap_free(h.verts);
    wilor_heap_free(p.verts);
}

/* A turn about −X of the joint is pure flexion, about +Y towards the thumb pure abduction,
 * whatever the joint; the left hand's vectors mean the same. */
static void test_angles(void **state) {
    (void)state;
    static const int joint_of[15] = {7, 8, 9, 12, 13, 14, 22, 23, 24, 17, 18, 19, 2, 3, 4};
    hand h;
    make(&h, WILOR_RIGHT, at_rest);
    for (int bone = 0; bone < 15; bone++)
        for (int which = 0; which < 2; which++)
            for (int side = 0; side < 2; side++) {
                float pose[45] = {0}, out[30];
                double axis[3];
                axis_of(&h.joints[joint_of[bone]], which, axis);
                for (int k = 0; k < 3; k++)
                    pose[3 * bone + k] = (float)((which ? 0.5 : -0.5) * axis[k]);
                if (side == WILOR_LEFT)
                    wilor_hand_mirror_vectors(pose, 15);
                wilor_angles_compute(model, pose, (wilor_side)side, out);
                for (int i = 0; i < 30; i++)
                    expect_near(out[i], i == 2 * bone + which ? 0.5 : 0, 1e-6, "angle", i);
            }
    wilor_heap_free(h.verts);
}

/* The signs, from the hand's own frame: about +z bends to the palm, about +y spreads to the
 * thumb. */
static void test_angle_signs(void **state) {
    (void)state;
    float pose[45] = {0}, out[30];
    pose[3 * 3 + 2] = 0.7f; /* middle knuckle, which points straight to −x */
    wilor_angles_compute(model, pose, WILOR_RIGHT, out);
    expect_near(out[6], 0.7, 0.01, "flexion", 3);
    expect_near(out[7], 0, 0.02, "abduction", 3);
    pose[3 * 3 + 2] = 0;
    pose[3 * 3 + 1] = 0.3f;
    wilor_angles_compute(model, pose, WILOR_RIGHT, out);
    expect_near(out[6], 0, 0.02, "flexion", 3);
    expect_near(out[7], 0.3, 0.01, "abduction", 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),         cmocka_unit_test(test_z_along_bones),
        cmocka_unit_test(test_left_is_mirror), cmocka_unit_test(test_y_out_of_the_back),
        cmocka_unit_test(test_radii),          cmocka_unit_test(test_angles),
        cmocka_unit_test(test_angle_signs),
    };
    return cmocka_run_group_tests(tests, open_hand, close_hand);
}
