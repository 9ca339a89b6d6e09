/* The rig against the forward pass: posed by its parts, here in plain double, both hands are where MANO has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_impl.h"
#include "rig.h"
#include "rotation.h"
#include "wilor/wilor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 7;

static double uniform(double low, double high) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(seed >> 33) / 2147483648.0;
}

static void mirror_rotations(const float *from, float *to) {
    for (int i = 0; i < 144; i++)
        to[i] = ((i % 9 / 3 == 0) != (i % 3 == 0) ? -1.0f : 1.0f) * from[i];
}

/* As the header says it. */
static void pose(const wilor_model *model, wilor_side side, const float *betas,
                 const float *rot, int v, double *out, double joints[16][3]) {
    static const int at[16] = {0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3};
    float *rest = malloc(sizeof *rest * (size_t)v * (3 + 16 + 3)), *weights = rest + 3 * v;
    float *shape = weights + 16 * v, kp[63];
    double *posed = malloc(sizeof *posed * 3 * (size_t)v), turn[16][9];
    int parents[16];
    assert_true(rest && posed);
    wilor_hand_rest(model, side, betas, rest, kp);
    wilor_hand_skin(model, weights, parents);
    for (int i = 0; i < 3 * v; i++)
        posed[i] = (double)rest[i];
    for (int k = 0; k < 135; k++) {
        assert_int_equal(wilor_hand_pose_shape(model, side, k, shape), WILOR_OK);
        double much = (double)rot[9 + k] - (k % 9 % 4 == 0);
        for (int i = 0; i < 3 * v; i++)
            posed[i] += much * (double)shape[i];
    }
    for (int j = 0; j < 16; j++) {
        double own[9];
        for (int i = 0; i < 9; i++)
            own[i] = (double)rot[9 * j + i];
        if (j == 0)
            memcpy(turn[0], own, sizeof own);
        else
            wilor_matrix_mul_f64(turn[parents[j]], own, turn[j]);
        for (int i = 0; i < 3; i++) {
            joints[j][i] = j ? joints[parents[j]][i] : (double)kp[3 * at[0] + i];
            for (int k = 0; j && k < 3; k++)
                joints[j][i] +=
                    turn[parents[j]][3 * i + k] *
                    ((double)kp[3 * at[j] + k] - (double)kp[3 * at[parents[j]] + k]);
        }
    }
    memset(out, 0, sizeof *out * 3 * (size_t)v);
    for (int p = 0; p < v; p++)
        for (int j = 0; j < 16; j++)
            for (int i = 0; i < 3; i++) {
                double sum = joints[j][i];
                for (int k = 0; k < 3; k++)
                    sum += turn[j][3 * i + k] * (posed[3 * p + k] - (double)kp[3 * at[j] + k]);
                out[3 * p + i] += (double)weights[16 * p + j] * sum;
            }
    free(rest);
    free(posed);
}

static void test_posed(void **state) {
    const wilor_model *model = *state;
    const wilor_mano *m = model->mano;
    int v = wilor_mano_vertices(m);
    float *scratch = malloc(sizeof *scratch * wilor_mano_scratch(m));
    float *verts = malloc(sizeof *verts * 3 * (size_t)v);
    double *ours = malloc(sizeof *ours * 3 * (size_t)v), joints[16][3];
    assert_true(scratch && verts && ours);
    for (int turn = 0; turn < 4; turn++) {
        wilor_side side = turn % 2 ? WILOR_LEFT : WILOR_RIGHT;
        float rot[144], own[144], betas[10], placed[48], kp[63];
        for (int i = 0; i < 10; i++)
            betas[i] = (float)uniform(-2, 2);
        for (int j = 0; j < 16; j++) {
            double r[9], x[3] = {uniform(-1, 1), uniform(-1, 1), uniform(-1, 1)};
            wilor_rotation_from_vector_f64(x, r);
            for (int i = 0; i < 9; i++)
                rot[9 * j + i] = (float)r[i];
        }
        wilor_mano_forward(m, rot, betas, scratch, verts, placed, kp);
        memcpy(own, rot, sizeof own);
        double flip = side == WILOR_LEFT ? -1 : 1;
        if (side == WILOR_LEFT)
            mirror_rotations(rot, own);
        pose(model, side, betas, own, v, ours, joints);
        for (int i = 0; i < 3 * v; i++)
            assert_true(fabs(ours[i] * (i % 3 ? 1 : flip) - (double)verts[i]) < 1e-6);
        for (int i = 0; i < 48; i++)
            assert_true(fabs(joints[i / 3][i % 3] * (i % 3 ? 1 : flip) - (double)placed[i]) <
                        1e-6);
    }
    free(scratch);
    free(verts);
    free(ours);
}

/* Tips at rest are where a forward pass without rotation has them; other arguments. */
static void test_rest(void **state) {
    const wilor_model *model = *state;
    const wilor_mano *m = model->mano;
    int v = wilor_mano_vertices(m);
    float rot[144] = {0}, betas[10] = {1, -1, 0.5f}, kp[63], rest[63], mirrored[63];
    float *scratch = malloc(sizeof *scratch * wilor_mano_scratch(m));
    float *verts = malloc(sizeof *verts * 3 * (size_t)v);
    assert_true(scratch && verts);
    for (int i = 0; i < 144; i++)
        rot[i] = i % 9 % 4 == 0;
    wilor_mano_forward(m, rot, betas, scratch, verts, NULL, kp);
    wilor_hand_rest(model, WILOR_RIGHT, betas, NULL, rest);
    wilor_hand_rest(model, WILOR_LEFT, betas, NULL, mirrored);
    for (int i = 0; i < 63; i++) {
        assert_true(fabsf(kp[i] - rest[i]) < 1e-6f);
        assert_true(mirrored[i] == (i % 3 ? 1.0f : -1.0f) * rest[i]);
    }
    assert_int_equal(wilor_hand_pose_shape(model, WILOR_LEFT, -1, verts), WILOR_ERR_ARG);
    assert_int_equal(wilor_hand_pose_shape(model, WILOR_LEFT, 135, verts), WILOR_ERR_ARG);
    wilor_hand_skin(model, NULL, NULL);
    free(scratch);
    free(verts);
}

static int open_model(void **state) {
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = "random:tiny";
    o.mano = WILOR_TEST_DATA "/hand-cc0.npz";
    o.threads = 1;
    return wilor_model_open((wilor_model **)state, &o, NULL) != WILOR_OK;
}

static int close_model(void **state) {
    wilor_model_free((wilor_model **)state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_posed),
                                       cmocka_unit_test(test_rest)};
    return cmocka_run_group_tests(tests, open_model, close_model);
}
