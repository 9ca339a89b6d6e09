/* Quantisers: MLX's results bit for bit (tests/golden/data/quantise.npz), edge cases, refusals;
 * and the reading side, shapes included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "heap.h"
#include "index_build.h"
#include "matrix_view.h"
#include "quantise.h"
#include "round16.h"
#include "tensor_convert.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

/* ------------------------------------------------------------------ MLX's results */

static void check_matrix(const wilor_index *x, const char *name, int bits, int group) {
    static const char *const parts[4] = {"weight", "scales", "biases", "values"};
    char full[96];
    size_t n, sizes[4];
    void *want[4];
    const wilor_tensor *t = wilor_index_find(x, name);
    float *w = golden_f32(x, name, &n);
    size_t in = (size_t)t->shape[1], words = in * (size_t)bits / 32;
    size_t groups = in / (size_t)group;
    uint32_t packed[MOST];
    float scales[MOST], biases[MOST];
    for (int i = 0; i < 4; i++) {
        snprintf(full, sizeof full, "%s.%d.%d.%s", name, bits, group, parts[i]);
        want[i] =
            i ? (void *)golden_f32(x, full, &sizes[i]) : (void *)golden_i64(x, full, &sizes[i]);
    }
    for (size_t r = 0; r < n / in; r++) {
        assert_true(wilor_quantise_affine(w + r * in, in, (size_t)group, bits, WILOR_SCALES_F32,
                                          packed, scales, biases));
        for (size_t i = 0; i < words; i++)
            if (packed[i] != (uint32_t)((int64_t *)want[0])[r * words + i])
                fail_msg("%s, %d bits, groups of %d: row %zu, word %zu", name, bits, group, r,
                         i);
        if (memcmp(scales, (float *)want[1] + r * groups, groups * sizeof *scales) != 0 ||
            memcmp(biases, (float *)want[2] + r * groups, groups * sizeof *biases) != 0)
            fail_msg("%s, %d bits, groups of %d: row %zu's scales", name, bits, group, r);
    }
    assert_int_equal(sizes[0], n / in * words);
    assert_int_equal(sizes[1], n / in * groups);
    for (int i = 0; i < 4; i++)
        wilor_heap_free(want[i]);
    wilor_heap_free(w);
}

static const char *const g_matrices[] = {"normal", "heavy", "bits", "edges", "ties"};

enum { MATRICES = sizeof g_matrices / sizeof g_matrices[0] };

static void as_mlx(void **state) {
    wilor_index *x = golden_open(WILOR_TEST_DATA "/quantise.npz");
    (void)state;
    for (size_t i = 0; i < MATRICES; i++)
        for (int bits = 4; bits <= 8; bits += 4)
            for (int group = 32; group <= 128; group *= 2)
                check_matrix(x, g_matrices[i], bits, group);
    wilor_index_close(&x);
}

/* ------------------------------------------------------------------ half scales, rows */

/* Each number is the nearest that its group's half-float scale and bias can give. */
static void half_scales(void **state) {
    wilor_index *x = golden_open(WILOR_TEST_DATA "/quantise.npz");
    size_t n;
    float *w = golden_f32(x, "normal", &n), scales[4], biases[4];
    uint32_t packed[16];
    (void)state;
    for (size_t r = 0; r < n / 128; r++) {
        const float *row = w + r * 128;
        assert_true(
            wilor_quantise_affine(row, 128, 32, 4, WILOR_SCALES_F16, packed, scales, biases));
        for (size_t i = 0; i < 128; i++) {
            float s = scales[i / 32], b = biases[i / 32];
            assert_true(wilor_f16_to_f32(wilor_f16_of_f32(s)) == s);
            assert_true(wilor_f16_to_f32(wilor_f16_of_f32(b)) == b);
            uint32_t q = packed[i / 8] >> (i % 8 * 4) & 15;
            float error = fabsf(s * (float)q + b - row[i]);
            for (int k = 0; k < 16; k++)
                assert_true(error <= fabsf(s * (float)k + b - row[i]) + 1e-7f);
        }
    }
    wilor_heap_free(w);
    wilor_index_close(&x);
}

static void rows(void **state) {
    int8_t q[4];
    float scale;
    (void)state;
    assert_true(wilor_quantise_row((float[]){1, -0.5f, 0.25f, 0}, 4, q, &scale));
    assert_true(scale == 1.0f / 127);
    assert_int_equal(q[0], 127);
    assert_int_equal(q[1], -64); /* -63.5: to even */
    assert_int_equal(q[2], 32);
    assert_int_equal(q[3], 0);
    assert_true(wilor_quantise_row((float[]){-3, 1, 2, -3}, 4, q, &scale));
    assert_true(scale == 3.0f / 127 && q[0] == -127 && q[3] == -127);
    assert_true(wilor_quantise_row((float[]){0, -0.0f, 0, 0}, 4, q, &scale));
    assert_true(scale == 0 && q[0] == 0 && q[1] == 0);
    /* The scale is subnormal: rounded by much, but nothing leaves -127 … 127. */
    assert_true(wilor_quantise_row((float[]){1e-43f, -1e-43f, 3e-44f, 0}, 4, q, &scale));
    assert_true(q[0] >= 0 && q[1] == -q[0]);
    assert_true(wilor_quantise_row((float[]){3e38f, -3e38f, 1, 0}, 4, q, &scale));
    assert_true(q[0] == 127 && q[1] == -127 && q[2] == 0);
    assert_true(wilor_quantise_row(NULL, 0, q, &scale) && scale == 0);
}

static void refusals(void **state) {
    float w[32] = {1}, scale, bias;
    uint32_t packed[8];
    int8_t q[32];
    (void)state;
    for (size_t at = 0; at < 32; at += 31)
        for (int k = 0; k < 3; k++) {
            w[at] = k == 0 ? NAN : k == 1 ? INFINITY : -INFINITY;
            assert_false(
                wilor_quantise_affine(w, 32, 32, 4, WILOR_SCALES_F32, packed, &scale, &bias));
            assert_false(wilor_quantise_row(w, 32, q, &scale));
            w[at] = 1;
        }
    w[3] = 3e38f;
    w[4] = -3e38f; /* their distance is infinite */
    assert_false(wilor_quantise_affine(w, 32, 32, 4, WILOR_SCALES_F32, packed, &scale, &bias));
    w[3] = 1e5f;
    w[4] = 0; /* a bias beyond half floats */
    assert_true(wilor_quantise_affine(w, 32, 32, 4, WILOR_SCALES_F32, packed, &scale, &bias));
    assert_false(wilor_quantise_affine(w, 32, 32, 4, WILOR_SCALES_F16, packed, &scale, &bias));
}

/* ------------------------------------------------------------------ reading */

/* An index of a network's layer in tensors of any shapes; values are whatever is there. */
typedef struct part {
    const char *name;
    wilor_tensor_dtype dtype;
    int rank;
    int64_t shape[2];
} part;

static wilor_index *index_of(const part *parts, size_t count) {
    static const uint8_t zeros[1 << 16];
    static const char header[] = "{}";
    uint8_t *file = calloc(8 + sizeof header, 1);
    wilor_index *x = NULL;
    wilor_error err;
    file[0] = 2;
    memcpy(file + 8, header, 2);
    assert_int_equal(wilor_index_open_memory(&x, file, 10, "made", &err), WILOR_OK);
    for (size_t i = 0; i < count; i++) {
        wilor_tensor t = {.name = parts[i].name, .rank = parts[i].rank};
        wilor_tensor_set_dtype(&t, parts[i].dtype);
        memcpy(t.shape, parts[i].shape, sizeof parts[i].shape);
        wilor_tensor_set_dense(&t, false);
        assert_int_equal(wilor_index_add(x, &t, zeros, sizeof zeros, 0, &err), WILOR_OK);
    }
    assert_int_equal(wilor_index_seal(x, &err), WILOR_OK);
    free(file);
    return x;
}

static wilor_status find(int64_t words, int64_t scales, int64_t biases, int64_t inputs,
                         wilor_matrix_view *m) {
    const part parts[] = {{"l.weight", WILOR_U32, 2, {6, words}},
                          {"l.scales", WILOR_F32, 2, {6, scales}},
                          {"l.biases", WILOR_F16, 2, {6, biases}}};
    wilor_index *x = index_of(parts, 3);
    wilor_error err = {0};
    wilor_status st = wilor_matrix_find(m, x, "l", inputs, &err);
    assert_true(st == WILOR_OK || strstr(err.text, "'l'"));
    if (st == WILOR_OK) {
        float row[1024];
        assert_true(m->inputs <= 1024);
        assert_int_equal(wilor_matrix_rows_to_f32(m, 5, 1, row, &err), WILOR_OK);
        assert_int_equal(wilor_matrix_rows_to_f32(m, 5, 2, row, &err), WILOR_ERR_ARG);
        assert_int_equal(wilor_matrix_rows_to_f32(m, -1, 1, row, &err), WILOR_ERR_ARG);
    }
    wilor_index_close(&x);
    return st;
}

static void shapes(void **state) {
    wilor_matrix_view m;
    (void)state;
    assert_int_equal(find(8, 2, 2, 64, &m), WILOR_OK);
    assert_true(m.bits == 4 && m.group == 32 && m.outputs == 6 && m.inputs == 64);
    assert_int_equal(find(16, 2, 2, 64, &m), WILOR_OK);
    assert_true(m.bits == 8 && m.group == 32);
    assert_int_equal(find(8, 2, 2, 0, &m), WILOR_OK); /* unknown inputs: 4 bits */
    assert_true(m.bits == 4 && m.inputs == 64);
    assert_int_equal(find(8, 2, 2, 65, &m), WILOR_ERR_MODEL);        /* no whole bits */
    assert_int_equal(find(8, 2, 2, 48, &m), WILOR_ERR_MODEL);        /* 5.33 */
    assert_int_equal(find(8, 2, 2, 128, &m), WILOR_ERR_UNSUPPORTED); /* 2 bits */
    assert_int_equal(find(8, 2, 2, 16, &m), WILOR_ERR_UNSUPPORTED);  /* 16 */
    assert_int_equal(find(8, 2, 2, INT64_MAX, &m), WILOR_ERR_MODEL);
    assert_int_equal(find(8, 3, 3, 64, &m), WILOR_ERR_MODEL);     /* 64 / 3 */
    assert_int_equal(find(25, 12, 12, 200, &m), WILOR_ERR_MODEL); /* 16.67 */
    assert_int_equal(find(8, 16, 16, 64, &m), WILOR_ERR_MODEL);   /* groups of 4 */
    assert_int_equal(find(8, 2, 1, 64, &m), WILOR_ERR_MODEL);
    assert_int_equal(find(8, 0, 0, 64, &m), WILOR_ERR_MODEL);
    assert_int_equal(find(0, 2, 2, 0, &m), WILOR_ERR_MODEL);
}

static void forms(void **state) {
    static const part cases[][3] = {
        {{"l.weight", WILOR_I8, 2, {6, 64}}, {"l.scales", WILOR_F32, 1, {6}}},
        {{"l.weight", WILOR_BF16, 2, {6, 64}}},
        {{"l.weight", WILOR_I8, 2, {6, 64}}, {"l.scales", WILOR_F32, 1, {5}}},
        {{"l.weight", WILOR_I8, 2, {6, 64}}},
        {{"l.weight", WILOR_U32, 2, {6, 8}}},
        {{"l.weight", WILOR_U32, 2, {6, 8}}, {"l.scales", WILOR_F32, 2, {6, 2}}},
        {{"l.weight", WILOR_F32, 2, {6, 64}}, {"l.scales", WILOR_F32, 1, {6}}},
        {{"l.weight", WILOR_F32, 1, {6}}},
        {{"l.scales", WILOR_F32, 1, {6}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = 0;
        while (n < 3 && cases[i][n].name)
            n++;
        wilor_index *x = index_of(cases[i], n);
        wilor_matrix_view m;
        wilor_status st = wilor_matrix_find(&m, x, "l", 64, NULL);
        if ((st == WILOR_OK) != (i < 2))
            fail_msg("case %zu: %s", i, wilor_status_name(st));
        if (i == 0)
            assert_true(m.form == WILOR_MATRIX_ROWS && m.bits == 8 && m.group == 0);
        if (i == 1)
            assert_true(m.form == WILOR_MATRIX_PLAIN && m.bits == 0);
        assert_true(st != WILOR_OK ||
                    wilor_matrix_find(&m, x, "l", 63, NULL) == WILOR_ERR_MODEL);
        wilor_index_close(&x);
    }
}

/* The golden file's matrices as a layer each: our numbers are mx.dequantize's. */
static void values_as_mlx(void **state) {
    wilor_index *x = golden_open(WILOR_TEST_DATA "/quantise.npz");
    char name[96];
    (void)state;
    for (size_t i = 0; i < MATRICES; i++)
        for (int bits = 4; bits <= 8; bits += 4)
            for (int group = 32; group <= 128; group *= 2) {
                wilor_matrix_view m;
                size_t n;
                snprintf(name, sizeof name, "%s.%d.%d.values", g_matrices[i], bits, group);
                float *want = golden_f32(x, name, &n);
                float *got = wilor_heap_alloc(n, sizeof *got);
                name[strlen(name) - 7] = 0;
                assert_int_equal(wilor_matrix_find(&m, x, name, 128, NULL), WILOR_OK);
                assert_true(m.bits == bits && m.group == group);
                assert_int_equal(wilor_matrix_rows_to_f32(&m, 0, m.outputs, got, NULL),
                                 WILOR_OK);
                for (size_t k = 0; k < n; k++)
                    if (got[k] != want[k])
                        fail_msg("%s: number %zu is %g, not %g", name, k, (double)got[k],
                                 (double)want[k]);
                wilor_heap_free(want);
                wilor_heap_free(got);
            }
    wilor_index_close(&x);
}

static void inputs(void **state) {
    static const part parts[] = {{"backbone.pos_embed", WILOR_F32, 2, {193, 64}},
                                 {"backbone.blocks.0.mlp.fc1.weight", WILOR_U32, 2, {256, 8}}};
    wilor_index *x = index_of(parts, 2);
    (void)state;
    assert_int_equal(wilor_matrix_inputs(x, "backbone.blocks.0.attn.qkv"), 64);
    assert_int_equal(wilor_matrix_inputs(x, "backbone.blocks.0.mlp.fc1"), 64);
    assert_int_equal(wilor_matrix_inputs(x, "backbone.blocks.0.mlp.fc2"), 256);
    assert_int_equal(wilor_matrix_inputs(x, "backbone.blocks.1.mlp.fc2"), 0);
    assert_int_equal(wilor_matrix_inputs(x, "backbone.decpose"), 64);
    assert_int_equal(wilor_matrix_inputs(x, "refine_net.dec_pose"), 56);
    assert_int_equal(wilor_matrix_inputs(x, "backbone.pose_emb"), 0);
    wilor_index_close(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_mlx),        cmocka_unit_test(half_scales), cmocka_unit_test(rows),
        cmocka_unit_test(refusals),      cmocka_unit_test(shapes),      cmocka_unit_test(forms),
        cmocka_unit_test(values_as_mlx), cmocka_unit_test(inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
