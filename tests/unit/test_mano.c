/* The hand model: against a plain double computation from the same arrays, and its reader
 * against files that are wrong in one thing each. The files are safetensors, made here in
 * memory: a hand of six vertices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "heap.h"
#include "mano.h"
#include "rotation.h"

/* ---------------------------------------------------------------- accuracy */

static uint64_t seed = 1;

static double uniform(double low, double high) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(seed >> 33) / 2147483648.0;
}

typedef struct arrays {
    double *template_, *shape, *pose, *regressor, *weights;
    int64_t *parents, *tips, *map;
} arrays;

/* Vertices, joints and keypoints as the specification says them, in double. */
static void plain_forward(const arrays *a, int v, const double *rot, const double *betas,
                          double *verts, double *kp) {
    double *shaped = wilor_heap_alloc((size_t)v * 6, sizeof *shaped), *posed = shaped + 3 * v;
    double joints[16][3] = {{0}}, turn[16][9], place[16][3];
    assert_non_null(shaped);
    for (int i = 0; i < 3 * v; i++) {
        shaped[i] = a->template_[i];
        for (int b = 0; b < 10; b++)
            shaped[i] += a->shape[10 * i + b] * betas[b];
        posed[i] = shaped[i];
        for (int r = 0; r < 135; r++)
            posed[i] += (rot[9 + r] - (r % 9 % 4 == 0)) *
                        a->pose[(size_t)r * 3 * (size_t)v + (size_t)i];
    }
    for (int j = 0; j < 16; j++)
        for (int i = 0; i < 3 * v; i++)
            joints[j][i % 3] += a->regressor[j * v + i / 3] * shaped[i];
    for (int j = 0; j < 16; j++) {
        int p = (int)a->parents[j];
        if (j == 0)
            memcpy(turn[0], rot, sizeof turn[0]);
        else
            wilor_matrix_mul_f64(turn[p], rot + 9 * j, turn[j]);
        for (int i = 0; i < 3; i++) {
            place[j][i] = j == 0 ? joints[0][i] : place[p][i];
            for (int k = 0; j > 0 && k < 3; k++)
                place[j][i] += turn[p][3 * i + k] * (joints[j][k] - joints[p][k]);
        }
    }
    memset(verts, 0, (size_t)v * 3 * sizeof *verts);
    for (int n = 0; n < v; n++)
        for (int j = 0; j < 16; j++)
            for (int i = 0; i < 3; i++) {
                double at = place[j][i];
                for (int k = 0; k < 3; k++)
                    at += turn[j][3 * i + k] * (posed[3 * n + k] - joints[j][k]);
                verts[3 * n + i] += a->weights[16 * n + j] * at;
            }
    for (int k = 0; k < 21; k++) {
        int64_t m = a->map[k];
        memcpy(kp + 3 * k, m < 16 ? place[m] : verts + 3 * a->tips[m - 16], 3 * sizeof *kp);
    }
    wilor_heap_free(shaped);
}

static void read_arrays(arrays *a, const wilor_index *x) {
    a->template_ = golden_f64(x, "mano.v_template", NULL);
    a->shape = golden_f64(x, "mano.shapedirs", NULL);
    a->pose = golden_f64(x, "mano.posedirs", NULL);
    a->regressor = golden_f64(x, "mano.J_regressor", NULL);
    a->weights = golden_f64(x, "mano.lbs_weights", NULL);
    a->parents = golden_i64(x, "mano.parents", NULL);
    a->tips = golden_i64(x, "mano.extra_joints_idxs", NULL);
    a->map = golden_i64(x, "mano.joint_map", NULL);
}

static void free_arrays(arrays *a) {
    void *all[] = {a->template_, a->shape,   a->pose, a->regressor,
                   a->weights,   a->parents, a->tips, a->map};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        wilor_heap_free(all[i]);
}

static void test_accuracy(void **state) {
    (void)state;
    wilor_error err;
    wilor_mano *m = NULL;
    arrays a;
    wilor_index *x = golden_open(golden_path(WILOR_TEST_DATA, "hand-cc0.npz"));
    assert_int_equal(wilor_index_canonical(x, &err), WILOR_OK);
    if (wilor_mano_create(&m, x, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    read_arrays(&a, x);
    const int v = wilor_mano_vertices(m);
    const size_t n = 3 * (size_t)v;
    float *scratch = wilor_heap_alloc(wilor_mano_scratch(m) + n, sizeof *scratch), kp[63],
          rot[144];
    float *verts = scratch + wilor_mano_scratch(m), betas[10];
    double *want = wilor_heap_alloc(n, sizeof *want), want_kp[63], rot64[144], betas64[10],
           most = 0;
    assert_true(scratch && want);
    for (int pose = 0; pose < 20; pose++) {
        for (int j = 0; j < 16; j++) {
            double turn[9];
            const double w[3] = {uniform(-1.2, 1.2), uniform(-1.2, 1.2), uniform(-1.2, 1.2)};
            wilor_rotation_from_vector_f64(w, turn);
            for (int i = 0; i < 9; i++) /* both start from the same floats */
                rot64[9 * j + i] = rot[9 * j + i] = (float)turn[i];
        }
        for (int b = 0; b < 10; b++)
            betas64[b] = betas[b] = (float)uniform(-3, 3);
        plain_forward(&a, v, rot64, betas64, want, want_kp);
        wilor_mano_forward(m, rot, betas, scratch, verts, NULL, kp);
        for (size_t i = 0; i < n; i++)
            most = fmax(most, fabs(verts[i] - want[i]));
        for (int i = 0; i < 63; i++)
            most = fmax(most, fabs(kp[i] - want_kp[i]));
        /* The palm is as long as betas make it, whatever the pose. */
        double palm = sqrt(pow(want_kp[27] - want_kp[0], 2) + pow(want_kp[28] - want_kp[1], 2) +
                           pow(want_kp[29] - want_kp[2], 2));
        most = fmax(most, fabs(wilor_mano_palm(m, betas) - palm));
    }
    printf("against double: %.3g m (allowed 1e-7)\n", most);
    assert_true(most <= 1e-7);
    wilor_heap_free(scratch);
    wilor_heap_free(want);
    free_arrays(&a);
    wilor_index_close(&x);
    wilor_mano_free(&m);
}

/* ---------------------------------------------------------------- files */

enum { V = 6, F = 2, TENSORS = 9, DATA = 20000 };

typedef struct entry {
    const char *name, *dtype;
    int rank;
    int64_t shape[3];
    double values[16]; /* repeated */
    int period;
} entry;

static void sound_file(entry e[TENSORS]) {
    const entry all[TENSORS] = {
        {"mano.v_template", "F32", 2, {V, 3}, {0.1, 0.2, 0.05, -0.1, 0.02, 0.3, 0.4}, 7},
        {"mano.shapedirs", "F32", 3, {V, 3, 10}, {0.01, -0.02, 0.03}, 3},
        {"mano.posedirs", "F32", 2, {135, 3 * V}, {0.001, 0.002, -0.001, 0}, 4},
        {"mano.J_regressor", "F32", 2, {16, V}, {0.5, 0, 0.25, 0.25, 0}, 5},
        {"mano.parents",
         "I64",
         1,
         {16},
         {-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14},
         16},
        {"mano.lbs_weights", "F32", 2, {V, 16}, {0.5, 0, 0, 0.5, 0, 0, 0}, 7},
        {"mano.faces_tensor", "I64", 2, {F, 3}, {0, 1, 2, 3, 4, 5}, 6},
        {"mano.extra_joints_idxs", "I64", 1, {5}, {0, 1, 2, 3, 4}, 5},
        {"mano.joint_map", "I64", 1, {21}, {0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5}, 11},
    };
    memcpy(e, all, sizeof all);
}

/* The file's bytes; its length. An entry without a name is left out. */
static size_t write_file(const entry e[TENSORS], uint8_t *out) {
    static uint8_t data[DATA];
    static char json[3000];
    size_t at = 0;
    int n = snprintf(json, sizeof json, "{");
    for (int i = 0; i < TENSORS; i++) {
        if (!e[i].name)
            continue;
        const size_t size = e[i].dtype[0] == 'F' ? 4 : 8, begin = at;
        int64_t count = 1;
        for (int k = 0; k < e[i].rank; k++)
            count *= e[i].shape[k];
        assert_true(at + (size_t)count * size <= sizeof data);
        for (int64_t k = 0; k < count; k++, at += size) {
            const float f = (float)e[i].values[k % e[i].period];
            const int64_t whole = (int64_t)(size == 8 ? e[i].values[k % e[i].period] : 0);
            memcpy(data + at, size == 4 ? (const void *)&f : &whole, size);
        }
        n += snprintf(json + n, sizeof json - (size_t)n,
                      "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", n > 1 ? "," : "", e[i].name,
                      e[i].dtype);
        for (int k = 0; k < e[i].rank; k++)
            n += snprintf(json + n, sizeof json - (size_t)n, "%s%d", k ? "," : "",
                          (int)e[i].shape[k]);
        n += snprintf(json + n, sizeof json - (size_t)n, "],\"data_offsets\":[%zu,%zu]}", begin,
                      at);
    }
    n += snprintf(json + n, sizeof json - (size_t)n, "}");
    while (n % 8)
        json[n++] = ' ';
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)((uint64_t)n >> 8 * i);
    memcpy(out + 8, json, (size_t)n);
    memcpy(out + 8 + n, data, at);
    return 8 + (size_t)n + at;
}

static wilor_status load(const entry e[TENSORS], wilor_mano **m, wilor_error *err) {
    static uint8_t bytes[DATA + 3008];
    wilor_index *x = NULL;
    size_t size = write_file(e, bytes);
    if (wilor_index_open_memory(&x, bytes, size, "small hand", err) != WILOR_OK)
        fail_msg("%s", err->text);
    wilor_status st = wilor_mano_create(m, x, err);
    wilor_index_close(&x);
    return st;
}

static void test_sound_file(void **state) {
    (void)state;
    entry e[TENSORS];
    wilor_error err;
    wilor_mano *m = NULL;
    sound_file(e);
    if (load(e, &m, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    const int32_t *right, *left;
    assert_int_equal(wilor_mano_vertices(m), V);
    assert_int_equal(wilor_mano_faces(m, &right, &left), F);
    const int32_t want_left[6] = {2, 1, 0, 5, 4, 3};
    for (int i = 0; i < 6; i++)
        assert_true(right[i] == i && left[i] == want_left[i]);
    const wilor_mano_rest *rest = wilor_mano_get_rest(m);
    assert_int_equal(rest->parents[0], -1);
    assert_int_equal(rest->bone_start[16], V);
    assert_true(rest->bone[1] == 13 && rest->bone[4] == 15 && rest->bone[8] == 3);
    assert_true(wilor_mano_memory(m) > sizeof(float) * 145 * 3 * V);
    wilor_mano_free(&m);
    assert_null(m);
    wilor_mano_free(&m);
    e[4].values[0] = 4294967295.0; /* -1 as MANO's own file has it */
    assert_int_equal(load(e, &m, &err), WILOR_OK);
    wilor_mano_free(&m);
}

enum { VALUE = -1, DROP = -2, RANK = -3 };

static void test_bad_files(void **state) {
    (void)state;

    const struct {
        int tensor, what; /* what: a dimension, or one of the above */
        double to;
        wilor_status status;
        const char *text[2];
    } bad[] = {
        {0, DROP, 0, WILOR_ERR_MISSING, {"mano.v_template", "no hand model"}},
        {1, DROP, 0, WILOR_ERR_MODEL, {"mano.shapedirs", "missing"}},
        {2, DROP, 0, WILOR_ERR_MODEL, {"mano.posedirs", "missing"}},
        {3, DROP, 0, WILOR_ERR_MODEL, {"mano.J_regressor", "missing"}},
        {4, DROP, 0, WILOR_ERR_MODEL, {"mano.parents", "missing"}},
        {5, DROP, 0, WILOR_ERR_MODEL, {"mano.lbs_weights", "missing"}},
        {6, DROP, 0, WILOR_ERR_MODEL, {"mano.faces_tensor", "missing"}},
        {7, DROP, 0, WILOR_ERR_MODEL, {"mano.extra_joints_idxs", "missing"}},
        {8, DROP, 0, WILOR_ERR_MODEL, {"mano.joint_map", "missing"}},
        {0, 1, 4, WILOR_ERR_MODEL, {"(6, 4)", "(any, 3)"}},
        {0, 0, 0, WILOR_ERR_LIMIT, {"0 vertices", "65536"}},
        {0, 0, 7, WILOR_ERR_MODEL, {"mano.shapedirs has shape (6, 3, 10)", "(7, 3, 10)"}},
        {0, RANK, 1, WILOR_ERR_MODEL, {"mano.v_template", "(6)"}},
        {1, 2, 11, WILOR_ERR_MODEL, {"(6, 3, 11)", "(6, 3, 10)"}},
        {2, 0, 134, WILOR_ERR_MODEL, {"mano.posedirs", "(135, 18)"}},
        {3, 0, 17, WILOR_ERR_MODEL, {"mano.J_regressor", "(16, 6)"}},
        {4, 0, 15, WILOR_ERR_MODEL, {"mano.parents", "(16)"}},
        {5, 1, 15, WILOR_ERR_MODEL, {"mano.lbs_weights", "(6, 16)"}},
        {6, 1, 4, WILOR_ERR_MODEL, {"mano.faces_tensor", "(any, 3)"}},
        {7, 0, 4, WILOR_ERR_MODEL, {"mano.extra_joints_idxs", "(5)"}},
        {8, 0, 20, WILOR_ERR_MODEL, {"mano.joint_map", "(21)"}},
        {0, VALUE, NAN, WILOR_ERR_MODEL, {"mano.v_template", "nan"}},
        {1, VALUE, INFINITY, WILOR_ERR_MODEL, {"mano.shapedirs", "inf"}},
        {2, VALUE, NAN, WILOR_ERR_MODEL, {"mano.posedirs", "nan"}},
        {3, VALUE, -INFINITY, WILOR_ERR_MODEL, {"mano.J_regressor", "-inf"}},
        {4, VALUE, 0, WILOR_ERR_MODEL, {"mano.parents", "joint 0 has the parent 0"}},
        {5, VALUE, NAN, WILOR_ERR_MODEL, {"mano.lbs_weights", "nan"}},
        {6, VALUE, 6, WILOR_ERR_MODEL, {"mano.faces_tensor is 6", "0 ... 5"}},
        {6, VALUE, -1, WILOR_ERR_MODEL, {"mano.faces_tensor is -1", "0 ... 5"}},
        {7, VALUE, 6, WILOR_ERR_MODEL, {"mano.extra_joints_idxs is 6", "0 ... 5"}},
        {8, VALUE, 21, WILOR_ERR_MODEL, {"mano.joint_map is 21", "0 ... 20"}},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        entry e[TENSORS], *t = e + bad[i].tensor;
        wilor_error err;
        wilor_mano *m = NULL;
        sound_file(e);
        if (bad[i].what == DROP)
            t->name = NULL;
        else if (bad[i].what == VALUE)
            t->values[0] = bad[i].to;
        else if (bad[i].what == RANK)
            t->rank = (int)bad[i].to;
        else
            t->shape[bad[i].what] = (int64_t)bad[i].to;
        assert_int_equal(load(e, &m, &err), bad[i].status);
        assert_null(m);
        for (int k = 0; k < 2; k++)
            if (!strstr(err.text, bad[i].text[k]))
                fail_msg("case %zu: '%s' does not say '%s'", i, err.text, bad[i].text[k]);
    }
    entry e[TENSORS]; /* a parent after its child */
    wilor_error err;
    wilor_mano *m = NULL;
    sound_file(e);
    e[4].values[3] = 3;
    assert_int_equal(load(e, &m, &err), WILOR_ERR_MODEL);
    e[4].values[3] = -1;
    assert_int_equal(load(e, &m, &err), WILOR_ERR_MODEL);
}

/* Memory that ends anywhere: an error and nothing left behind. */
static void test_memory(void **state) {
    (void)state;
    entry e[TENSORS];
    static uint8_t bytes[DATA + 3008];
    wilor_error err;
    wilor_index *x = NULL;
    sound_file(e);
    size_t size = write_file(e, bytes);
    assert_int_equal(wilor_index_open_memory(&x, bytes, size, "small hand", &err), WILOR_OK);
    wilor_status st = WILOR_ERR_NOMEM;
    long n = 0;
    for (; st != WILOR_OK && n < 100; n++) {
        wilor_mano *m = NULL;
        wilor_heap_fail_at(n);
        st = wilor_mano_create(&m, x, &err);
        assert_true(st == WILOR_ERR_NOMEM || st == WILOR_OK);
        wilor_mano_free(&m);
    }
    wilor_heap_fail_at(-1);
    assert_true(n > 10 && n < 100);
    wilor_index_close(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_sound_file),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
