/* Whole models from files in every form, against upstream's outputs: half and bfloat16 weights
 * without MANO, tensors that the checkpoint and the other files both have, a missing key, a
 * wrong shape, and wilor-mlx's names and layouts. Needs the fixtures (the crops are pieces of
 * photos). */
#include "golden.h"
#include "heap.h"
#include "wilor/wilor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define METRES 1e-6
#define OUTPUTS 4e-6

enum { HANDS = 2, PIXELS = 256 * 256 * 3 };

static float *g_rgb;

static wilor_status open_model(wilor_model **model, const char *weights, const char *mano,
                               const char *mean, wilor_error *err) {
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = golden_path(WILOR_TEST_FIXTURES, weights);
    o.mano = mano ? golden_path(WILOR_TEST_FIXTURES, mano) : NULL;
    o.mean = mean ? golden_path(WILOR_TEST_FIXTURES, mean) : NULL;
    o.heads = 4;
    return wilor_model_open(model, &o, err);
}

static void check(const wilor_index *want, const char *prefix, const char *name,
                  const float *got, size_t count, double tolerance) {
    size_t total;
    char full[128];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    float *values = golden_f32(want, full, &total);
    assert_int_equal(total, count);
    golden_check(full, got, values, count, tolerance);
    wilor_heap_free(values);
}

static void check_model(const char *weights, const char *mano, const char *mean,
                        const char *reference, const char *prefix) {
    wilor_error err;
    wilor_model *model = NULL;
    wilor_session *session = NULL;
    const wilor_hands *h = NULL;
    if (open_model(&model, weights, mano, mean, &err) != WILOR_OK ||
        wilor_session_create(&session, model, NULL, &err) != WILOR_OK ||
        wilor_run(session, g_rgb, HANDS, &h, &err) != WILOR_OK)
        fail_msg("%s: %s", weights, err.text);
    printf("%s\n", weights);
    wilor_index *want = golden_open(golden_path(WILOR_TEST_FIXTURES, reference));
    check(want, prefix, "pred_vertices", h->vertices_3d, HANDS * (size_t)h->vertices * 3,
          METRES);
    check(want, prefix, "pred_keypoints_3d", h->keypoints_3d, HANDS * 63, METRES);
    check(want, prefix, "pred_cam", h->pred_cam, HANDS * 3, OUTPUTS);
    check(want, prefix, "betas", h->betas, HANDS * 10, OUTPUTS);
    check(want, prefix, "global_orient", h->global_orient, HANDS * 3, OUTPUTS);
    check(want, prefix, "hand_pose", h->hand_pose, HANDS * 45, OUTPUTS);
    wilor_index_close(&want);
    wilor_session_free(&session);
    wilor_model_free(&model);
}

#define PKL "tiny/MANO_RIGHT.pkl"
#define MEAN "tiny/mano_mean_params.npz"
#define OUT "formats/model_outputs.npz"

static void test_half(void **state) {
    (void)state;
    check_model("formats/model_f16.ckpt", PKL, MEAN, OUT, "model_f16.ckpt.");
}

static void test_bfloat(void **state) {
    (void)state;
    check_model("formats/model_bf16.ckpt", PKL, MEAN, OUT, "model_bf16.ckpt.");
}

static void test_precedence(void **state) {
    (void)state;
    check_model("formats/model_precedence.ckpt", PKL, MEAN, OUT, "model_precedence.ckpt.");
}

static void test_mano_forms(void **state) {
    (void)state;
    check_model("formats/model_f16.ckpt", "tiny/MANO_RIGHT_ch.pkl", MEAN, OUT,
                "model_f16.ckpt.");
    check_model("formats/model_f16.ckpt", "tiny/MANO_RIGHT_plain.pkl", MEAN, OUT,
                "model_f16.ckpt.");
    check_model("formats/model_f16.ckpt", "tiny/wilor_tiny.ckpt", MEAN, OUT, "model_f16.ckpt.");
}

static void test_mlx(void **state) {
    (void)state;
    check_model("tiny/mlx/wilor-mlx.safetensors", "tiny/mlx/mano.npz", NULL, "tiny/stages.npz",
                "");
    check_model("tiny/wilor_tiny.ckpt", NULL, NULL, "tiny/stages.npz", "");
}

static void expect_error(const char *weights, const char *mano, const char *mean,
                         wilor_status want, const char *text) {
    wilor_error err;
    wilor_model *model = NULL;
    wilor_status got = open_model(&model, weights, mano, mean, &err);
    printf("%s: %s\n", weights, err.text);
    assert_int_equal(got, want);
    assert_null(model);
    if (!strstr(err.text, text))
        fail_msg("'%s' is not in: %s", text, err.text);
}

static void test_errors(void **state) {
    (void)state;
    expect_error("formats/model_missing_key.ckpt", PKL, MEAN, WILOR_ERR_MODEL,
                 "backbone.blocks.1.mlp.fc2.weight");
    expect_error("formats/model_wrong_shape.ckpt", PKL, MEAN, WILOR_ERR_MODEL, "expected");
    expect_error("formats/model_f16.ckpt", NULL, MEAN, WILOR_ERR_MISSING, "no hand model");
    expect_error("tiny/MANO_RIGHT.pkl", NULL, NULL, WILOR_ERR_MODEL, "a hand model");
    expect_error("detector/hand-detector-tiny.safetensors", PKL, NULL, WILOR_ERR_MODEL,
                 "a hand detector");
}

static int load_crops(void **state) {
    (void)state;
    wilor_index *stages = golden_open(golden_path(WILOR_TEST_FIXTURES, "tiny/stages.npz"));
    g_rgb = golden_f32(stages, "crop_bgr", NULL);
    for (size_t i = 0; i < (size_t)HANDS * PIXELS; i += 3) {
        float blue = g_rgb[i];
        g_rgb[i] = g_rgb[i + 2];
        g_rgb[i + 2] = blue;
    }
    wilor_index_close(&stages);
    return 0;
}

static int free_crops(void **state) {
    (void)state;
    wilor_heap_free(g_rgb);
    return 0;
}

int main(void) {
    if (!golden_exists(golden_path(WILOR_TEST_FIXTURES, "tiny/stages.npz"))) {
        printf("skipped: no fixtures at %s\n", WILOR_TEST_FIXTURES);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half),       cmocka_unit_test(test_bfloat),
        cmocka_unit_test(test_precedence), cmocka_unit_test(test_mano_forms),
        cmocka_unit_test(test_mlx),        cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests_name("model_files", tests, load_crops, free_crops);
}
