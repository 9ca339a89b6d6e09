/* Extrinsics: what files say, which are refused, and moved events against plain matrices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_wrap.h"
#include "extrinsics_file.h"
#include "made_event.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *write_file(const char *text, size_t size) {
    static const char path[] = WILOR_TEST_SCRATCH "/extrinsics.json";
    FILE *to = fopen(path, "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(text, 1, size, to), size);
    assert_int_equal(fclose(to), 0);
    return path;
}

static wilor_status read_text(wilor_cli_pose *out, const char *text, wilor_error *err) {
    return wilor_cli_extrinsics_read(out, write_file(text, strlen(text)), err);
}

/* Camera on a table's far side: z of the room up, the camera looks along its -y. */
static void check_pose(const wilor_cli_pose *pose) {
    assert_true(pose->p[0] == 1 && pose->p[1] == 2.5 && pose->p[2] == -3);
    const double s = sqrt(0.5), q[4] = {-s, 0, 0, s}; /* R = x, -z, y: a quarter turn about x */
    for (int i = 0; i < 4; i++)
        assert_true(fabs(pose->q[i] - q[i]) < 1e-12);
}

static void test_files(void **state) {
    static const char *const same[] = {
        "[1,0,0,1, 0,0,1,2.5, 0,-1,0,-3, 0,0,0,1]",
        "{\"matrix\": [1,0,0,1, 0,0,1,2.5, 0,-1,0,-3, 0,0,0,1]}",
        "{\"matrix\": [[1,0,0,1], [0,0,1,2.5], [0,-1,0,-3.0], [0,0,0,1]]}",
        "{\"position\":[1,2.5,-3],\"quaternion\":[0.70710678118655,0,0,-0.70710678118655]}"};
    wilor_cli_pose pose;
    wilor_error err;
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_int_equal(read_text(&pose, same[i], &err), WILOR_OK);
        check_pose(&pose);
    }
    /* Few digits are put right. */
    assert_int_equal(
        read_text(&pose, "{\"position\":[0,0,0],\"quaternion\":[0.5,0.5,0.5,0.5001]}", &err),
        WILOR_OK);
    double square = 0;
    for (int i = 0; i < 4; i++)
        square += pose.q[i] * pose.q[i];
    assert_true(fabs(square - 1) < 1e-12);
}

static void test_refused(void **state) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "line 1"},
        {"{\"matrix\":[1,", "line 1"},
        {"[1,0,0,1, 0,0,1,2.5, 0,-1,0,-3, 0,0,0,1] x", "line 1"},
        {"3", "line 1"},
        {"\"a\"", "line 1"},
        {"{}", "nothing else"},
        {"[]", "16 numbers"},
        {"[1,0,0,1, 0,0,1,2.5, 0,-1,0,-3, 0,0,0]", "16 numbers"},
        {"[1,0,0,1, 0,0,1,2.5, 0,-1,0,-3, 0,0,0,1,2]", "16 numbers"},
        {"[1,0,0,1, 0,0,1,2.5, 0,-1,0,-3, 0,0,0,\"1\"]", "16 numbers"},
        {"[[1,0,0,1], [0,0,1,2.5], [0,-1,0,-3.0], [0,0,0]]", "16 numbers"},
        {"[1,0,0,0, 0,0,-1,0, 0,1,0,0, 1,2.5,-3,1]", "last row"},
        {"[1,0,0,1, 0,0,1,2.5, 0,1,0,-3, 0,0,0,1]", "not a rotation"}, /* mirrored */
        {"[2,0,0,1, 0,0,2,2.5, 0,-2,0,-3, 0,0,0,1]", "not a rotation"},
        {"[1,0,0,1, 0,0,1,2.5, 0,-1,0.1,-3, 0,0,0,1]", "not a rotation"},
        {"[1,0,0,2e6, 0,0,1,2.5, 0,-1,0,-3, 0,0,0,1]", "1000 km"},
        {"[1,0,0,1e999, 0,0,1,2.5, 0,-1,0,-3, 0,0,0,1]", "line 1"},
        {"{\"matrix\":[1,0,0,1, 0,0,1,2.5, 0,-1,0,-3, 0,0,0,1],\"unit\":\"mm\"}",
         "nothing else"},
        {"{\"position\":[1,2,3]}", "nothing else"},
        {"{\"position\":[1,2],\"quaternion\":[0,0,0,1]}", "the position"},
        {"{\"position\":[1,2,3],\"quaternion\":[0,0,1]}", "the quaternion is not 4"},
        {"{\"position\":[1,2,3],\"quaternion\":[0,0,0,2]}", "of length 1"},
        {"{\"position\":[1,2,3],\"quaternion\":[0,0,0,0]}", "of length 1"},
        {"{\"position\":[1,2,3],\"position\":[1,2,3],\"quaternion\":[0,0,0,1]}", "duplicate"}};

    static char large[65537];
    wilor_cli_pose pose;
    wilor_error err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wilor_status st = read_text(&pose, cases[i].text, &err);
        assert_true(st == WILOR_ERR_FORMAT || st == WILOR_ERR_LIMIT);
        if (!strstr(err.text, cases[i].says) || !strstr(err.text, "extrinsics.json'"))
            fail_msg("%s: no \"%s\"", err.text, cases[i].says);
    }
    memset(large, ' ', sizeof large);
    assert_int_equal(wilor_cli_extrinsics_read(&pose, write_file(large, sizeof large), &err),
                     WILOR_ERR_LIMIT);
    assert_int_equal(wilor_cli_extrinsics_read(&pose, "/no/such/file", &err), WILOR_ERR_IO);
    assert_int_equal(wilor_cli_extrinsics_read(&pose, "/", &err), WILOR_ERR_IO);
}

/* ---------------------------------------------------------------- moving */

typedef struct rigid {
    double r[3][3], t[3];
} rigid;

static void apply(const rigid *g, const double *p, bool point, double *out) {
    for (int i = 0; i < 3; i++)
        out[i] =
            g->r[i][0] * p[0] + g->r[i][1] * p[1] + g->r[i][2] * p[2] + (point ? g->t[i] : 0);
}

static void assert_near(const double *a, const float *b, int count, double most) {
    for (int i = 0; i < count; i++)
        if (!(fabs(a[i] - (double)b[i]) <= most))
            fail_msg("%d: %.9g, not %.9g", i, (double)b[i], a[i]);
}

/* p + cam_t, before and after. */
static void check_point(const rigid *g, const wilor_cli_live_hand *from, const float *p,
                        const wilor_cli_live_hand *to, const float *q) {
    double before[3], after[3];
    float sum[3];
    for (int i = 0; i < 3; i++) {
        before[i] = (double)p[i] + (double)from->cam_t[i];
        sum[i] = q[i] + to->cam_t[i];
    }
    apply(g, before, true, after);
    assert_near(after, sum, 3, 1e-6);
}

/* Columns of a quaternion's matrix, by turning the axes. */
static void columns(const float *q, double out[3][3]) {
    double x = (double)q[0], y = (double)q[1], z = (double)q[2], w = (double)q[3];
    const double m[3][3] = {
        {1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)},
        {2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)},
        {2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)}};
    memcpy(out, m, sizeof m);
}

static void check_turn(const rigid *g, const float *before, const float *after, bool openxr) {
    double from[3][3], to[3][3];
    columns(before, from);
    columns(after, to);
    for (int c = 0; c < 3; c++) {
        double wanted[3];
        if (openxr) {
            from[c][1] = -from[c][1];
            from[c][2] = -from[c][2];
        }
        apply(g, from[c], false, wanted);
        for (int i = 0; i < 3; i++)
            assert_true(fabs(wanted[i] - to[c][i]) < 2e-6);
    }
    assert_true(after[3] >= 0);
}

static void vector_to_quaternion(const float *v, float *q) {
    double a = sqrt((double)v[0] * v[0] + (double)v[1] * v[1] + (double)v[2] * v[2]);
    for (int i = 0; i < 3; i++)
        q[i] = (float)(a > 0 ? sin(a / 2) / a * (double)v[i] : 0);
    q[3] = (float)cos(a / 2);
}

static void check_moved(const rigid *g, const wilor_cli_live_hand *from,
                        const wilor_cli_live_hand *to) {
    float before[4], after[4];
    double v[3], turned[3];
    assert_memory_equal(to->keypoints_3d[0], from->keypoints_3d[0],
                        12); /* MANO's fixed point */
    for (int k = 0; k < 21; k++)
        check_point(g, from, from->keypoints_3d[k], to, to->keypoints_3d[k]);
    for (int k = 0; k < MADE_VERTICES; k += 7)
        check_point(g, from, from->vertices_3d + 3 * k, to, to->vertices_3d + 3 * k);
    check_turn(g, from->wrist_q, to->wrist_q, false);
    vector_to_quaternion(from->global_orient, before);
    vector_to_quaternion(to->global_orient, after);
    check_turn(g, before, after, false);
    for (int i = 0; i < 3; i++)
        v[i] = (double)from->velocity[i];
    apply(g, v, false, turned);
    assert_near(turned, to->velocity, 3, 1e-6);
    for (int i = 0; i < 3; i++)
        v[i] = (double)from->angular_velocity[i];
    apply(g, v, false, turned);
    assert_near(turned, to->angular_velocity, 3, 1e-6);
    for (int k = 0; k < 26; k++) {
        const wilor_xr_joint *a = &from->xr26[k], *b = &to->xr26[k];
        for (int i = 0; i < 3; i++)
            v[i] = (i ? -1 : 1) * (double)a->position[i];
        apply(g, v, true, turned);
        assert_near(turned, b->position, 3, 1e-6);
        check_turn(g, a->orientation, b->orientation, true);
        assert_true(a->radius == b->radius && a->flags == b->flags);
    }
    assert_memory_equal(from->keypoints_2d, to->keypoints_2d, sizeof from->keypoints_2d);
    assert_memory_equal(from->hand_pose, to->hand_pose, sizeof from->hand_pose);
    assert_memory_equal(from->box, to->box, sizeof from->box);
    assert_memory_equal(from->pred_cam, to->pred_cam, sizeof from->pred_cam);
}

static void test_moved(void **state) {
    static const rigid g = {{{0.36, 0.48, -0.8}, {-0.8, 0.6, 0}, {0.48, 0.64, 0.6}},
                            {1, -2, 0.5}};
    static made_event m;
    const wilor_cli_live_event *moved;
    wilor_cli_mover *mover = NULL;
    wilor_cli_pose pose;
    wilor_error err;
    (void)state;
    assert_int_equal(
        read_text(&pose, "[0.36,0.48,-0.8,1, -0.8,0.6,0,-2, 0.48,0.64,0.6,0.5, 0,0,0,1]", &err),
        WILOR_OK);
    assert_int_equal(wilor_cli_mover_create(&mover, &pose, &err), WILOR_OK);
    for (unsigned seed = 1; seed <= 5; seed++) {
        made_event_fill(&m, seed);
        if (seed == 2)
            wilor_wrap_fail(-1, 0);
        assert_int_equal(wilor_cli_mover_move(mover, &m.event, &moved, &err), WILOR_OK);
        assert_int_equal(moved->n, MADE_HANDS);
        assert_true(moved->seq == m.event.seq && moved->extrinsics && !m.event.extrinsics);
        for (int i = 0; i < MADE_HANDS; i++)
            check_moved(&g, &m.hands[i], &moved->hands[i]);
    }
    assert_int_equal(wilor_wrap_calls(), 0);
    /* Hands without joints and vertices have none. */
    m.hands[0].xr26[0].flags = 0;
    m.hands[0].vertices_3d = NULL;
    assert_int_equal(wilor_cli_mover_move(mover, &m.event, &moved, &err), WILOR_OK);
    assert_true(!moved->hands[0].vertices_3d && !moved->hands[0].xr26[0].flags);
    wilor_cli_mover_free(&mover);
    assert_null(mover);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_moved)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
