/* Device mlx against upstream's tensors (tests/golden/data), stage by stage in every number type, and against
 * wilor-mlx's own (--compat mlx), with its weights files where the fixtures are. Usage: test_mlx_device [brief] */
#include "mlx_side.h"

#include "heap.h"

#include <stdio.h>
#include <string.h>

static const char *const g_models[] = {"tiny", "hd80"};
static const int g_heads[] = {4, 2};

enum { MODELS = 2 };

static side_options options_of(int model, wilor_dtype dtype) {
    static const char *const weights[MODELS] = {"random:tiny", "random:hd80"};
    return (side_options){.weights = weights[model],
                          .heads = g_heads[model],
                          .dtype = dtype,
                          .batch = SIDE_HANDS};
}

/* ---------------------------------------------------------------- stages */

/* What a run told; it is checked when the run is over, since another thread tells it. */
typedef struct told {
    char stage[32];
    int block, rows, cols;
    float *data;
} told;

enum { MOST_TOLD = 64 };

typedef struct watch {
    const wilor_index *stages, *pieces;
    const char *what;
    tolerances t;
    int checked, count;
    told told[MOST_TOLD];
} watch;

static void on_stage(void *context, const char *stage, int block, const float *data, int rows,
                     int cols) {
    watch *w = context;
    size_t count = (size_t)rows * (size_t)cols;
    if (w->count == MOST_TOLD)
        return;
    told *t = &w->told[w->count++];
    *t = (told){.block = block, .rows = rows, .cols = cols};
    snprintf(t->stage, sizeof t->stage, "%s", stage);
    t->data = wilor_heap_alloc(count, sizeof *data);
    if (t->data)
        memcpy(t->data, data, count * sizeof *data);
}

/* rows × cols × channels of each hand to channels × rows × cols. */
static float *channels_first(const float *data, size_t pixels, size_t channels) {
    float *out = wilor_heap_alloc(SIDE_HANDS * pixels * channels, sizeof *out);
    assert_non_null(out);
    for (size_t h = 0; h < SIDE_HANDS; h++)
        for (size_t p = 0; p < pixels; p++)
            for (size_t c = 0; c < channels; c++)
                out[(h * channels + c) * pixels + p] = data[(h * pixels + p) * channels + c];
    return out;
}

/* The reference's name of a stage; "" for one that it has not got. */
static void name_stage(char *out, size_t size, const char *stage, int block) {
    static const char *const same[][2] = {{"tokens_in", "tokens_in"},
                                          {"tokens_out", "tokens_out"},
                                          {"pose6d0", "init_pose6d"},
                                          {"betas0", "init_betas"},
                                          {"cam0", "init_cam"},
                                          {"verts0", "init_verts"},
                                          {"features", "refine_vert_feats"}};
    static const char *const maps[] = {"refine_map_64x48", "refine_map_32x24",
                                       "refine_map_16x12"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (!strcmp(stage, same[i][0])) {
            snprintf(out, size, "%s", same[i][1]);
            return;
        }
    if (!strcmp(stage, "map"))
        snprintf(out, size, "%s", maps[block]);
    else if (!strcmp(stage, "block"))
        snprintf(out, size, "block%d", block);
    else
        snprintf(out, size, "block%d.%s", block, stage);
}

static void check_told(watch *w, const told *one) {
    char name[64], text[160];
    size_t count = (size_t)one->rows * (size_t)one->cols, total;
    const char *stage = one->stage;
    const float *data = one->data;
    name_stage(name, sizeof name, stage, one->block);
    const wilor_index *ref = wilor_index_find(w->stages, name)                ? w->stages
                             : w->pieces && wilor_index_find(w->pieces, name) ? w->pieces
                                                                              : NULL;
    if (!ref)
        return; /* hd80 stores fewer */
    assert_non_null(data);
    float *want = golden_f32(ref, name, &total), *turned = NULL;
    snprintf(text, sizeof text, "%s: %s", w->what, name);
    assert_int_equal(count, total);
    if (!strcmp(stage, "map"))
        data = turned = channels_first(data, (size_t)one->rows / SIDE_HANDS, (size_t)one->cols);
    double t = !strcmp(stage, "verts0")          ? w->t.metres
               : stage[strlen(stage) - 1] == '0' ? w->t.outputs
                                                 : w->t.tokens;
    golden_check(text, data, want, count, t);
    wilor_heap_free(want);
    wilor_heap_free(turned);
    w->checked++;
}

static void check_stages(int model, wilor_dtype dtype) {
    const wilor_mlx_table *table;
    void *inside;
    int wide;
    char path[64], what[64];
    side_options o = options_of(model, dtype);
    o.full_path = 1;
    side s = side_open(&o);
    snprintf(what, sizeof what, "%s %s", g_models[model], wilor_dtype_name(dtype));
    watch w = {.what = what, .t = side_tolerances(dtype)};
    snprintf(path, sizeof path, "%s/stages.npz", g_models[model]);
    wilor_index *stages = golden_open(golden_path(WILOR_TEST_DATA, path)), *pieces = NULL;
    snprintf(path, sizeof path, "%s/block0.npz", g_models[model]);
    if (golden_exists(golden_path(WILOR_TEST_DATA, path)))
        pieces = golden_open(golden_path(WILOR_TEST_DATA, path));
    w.stages = stages;
    w.pieces = pieces;
    float *rgb = side_crops(g_models[model]);
    wilor_mlx_session_inside(s.session->work, &table, &inside, &wide);
    table->session_trace(inside, on_stage, &w);
    side_check(what, w.stages, "", side_run(&s, rgb, SIDE_HANDS), 0, &w.t);
    for (int i = 0; i < w.count; i++) {
        check_told(&w, &w.told[i]);
        wilor_heap_free(w.told[i].data);
    }
    assert_true(w.checked >= (model == 0 ? 17 : 9));
    wilor_heap_free(rgb);
    wilor_index_close(&stages);
    wilor_index_close(&pieces);
    side_close(&s);
}

static void check_all_stages(wilor_dtype dtype) {
    for (int i = 0; i < MODELS; i++)
        check_stages(i, dtype);
}

static void test_stages_f32(void **state) {
    (void)state;
    check_all_stages(WILOR_DTYPE_F32);
}

static void test_stages_f16(void **state) {
    (void)state;
    check_all_stages(WILOR_DTYPE_F16);
}

static void test_stages_bf16(void **state) {
    (void)state;
    check_all_stages(WILOR_DTYPE_BF16);
}

/* ---------------------------------------------------------------- outputs of the lean pass */

static void check_outputs(int model, wilor_dtype dtype) {
    char path[64], what[64];
    wilor_model_info info;
    side_options o = options_of(model, dtype);
    side s = side_open(&o);
    tolerances t = side_tolerances(dtype);
    wilor_model_get_info(s.model, &info, sizeof info);
    assert_string_equal(info.device, "mlx");
    assert_int_equal(info.dtype, dtype);
    snprintf(path, sizeof path, "%s/stages.npz", g_models[model]);
    wilor_index *ref = golden_open(golden_path(WILOR_TEST_DATA, path));
    float *rgb = side_crops(g_models[model]);
    snprintf(what, sizeof what, "%s %s lean, both", g_models[model], info.kernels);
    side_check(what, ref, "", side_run(&s, rgb, SIDE_HANDS), 0, &t);
    snprintf(what, sizeof what, "%s %s lean, alone", g_models[model], info.kernels);
    for (int hand = 0; hand < SIDE_HANDS; hand++)
        side_check(what, ref, "", side_run(&s, rgb + (size_t)hand * SIDE_PIXELS, 1), hand, &t);
    wilor_heap_free(rgb);
    wilor_index_close(&ref);
    side_close(&s);
}

static void test_outputs(void **state) {
    (void)state;
    static const wilor_dtype dtypes[] = {WILOR_DTYPE_F32, WILOR_DTYPE_F16, WILOR_DTYPE_BF16};
    for (int i = 0; i < MODELS; i++)
        for (size_t k = 0; k < 3; k++)
            check_outputs(i, dtypes[k]);
}

/* ---------------------------------------------------------------- wilor-mlx's numbers */

static void check_compat(int models) {
    for (int i = 0; i < models; i++) {
        char path[64];
        side_options o = options_of(i, WILOR_DTYPE_F32);
        tolerances t = side_tolerances(WILOR_DTYPE_F32);
        o.compat = WILOR_COMPAT_MLX;
        side s = side_open(&o);
        snprintf(path, sizeof path, "mlx/%s.npz", g_models[i]);
        wilor_index *ref = golden_open(golden_path(WILOR_TEST_DATA, path));
        float *rgb = side_crops(g_models[i]);
        side_check(g_models[i], ref, "both.", side_run(&s, rgb, SIDE_HANDS), 0, &t);
        for (int hand = 0; hand < SIDE_HANDS; hand++)
            side_check(g_models[i], ref, "alone.",
                       side_run(&s, rgb + (size_t)hand * SIDE_PIXELS, 1), hand, &t);
        wilor_heap_free(rgb);
        wilor_index_close(&ref);
        side_close(&s);
    }
}

static void test_compat(void **state) {
    (void)state;
    check_compat(MODELS);
}

/* What is enough where each graph takes long to be compiled. */
static void test_briefly(void **state) {
    (void)state;
    check_outputs(0, WILOR_DTYPE_F32);
    check_outputs(0, WILOR_DTYPE_F16);
    check_compat(1);
}

static const char *fixture(const char *name) { return golden_path(WILOR_TEST_FIXTURES, name); }

/* Its own files, float32 and quantised, as they are. */
static void check_released(const char *file, const char *kind) {
    char prefix[64];
    tolerances t = side_tolerances(WILOR_DTYPE_F32);
    side_options o = {.weights = fixture(file),
                      .mano = fixture("tiny/mlx/mano_auto.npz"),
                      .heads = 4,
                      .batch = 1,
                      .compat = WILOR_COMPAT_MLX};
    side s = side_open(&o);
    wilor_index *ref = golden_open(fixture("tiny/mlx/outputs.npz"));
    float *rgb = golden_f32(ref, "crop_rgb", NULL);
    snprintf(prefix, sizeof prefix, "%s.released.", kind);
    for (int hand = 0; hand < SIDE_HANDS; hand++)
        side_check(file, ref, prefix, side_run(&s, rgb + (size_t)hand * SIDE_PIXELS, 1), hand,
                   &t);
    wilor_heap_free(rgb);
    wilor_index_close(&ref);
    side_close(&s);
}

static void test_released(void **state) {
    (void)state;
    if (!golden_exists(fixture("tiny/mlx/outputs.npz"))) {
        printf("skipped: no wilor-mlx files in %s\n", WILOR_TEST_FIXTURES);
        skip();
    }
    check_released("tiny/mlx/wilor-mlx.safetensors", "f32");
    check_released("tiny/mlx/wilor-mlx-int4-g32.safetensors", "int4-g32");
    check_released("tiny/mlx/wilor-mlx-int4-g64.safetensors", "int4-g64");
    check_released("tiny/mlx/wilor-mlx-int8-g32.safetensors", "int8-g32");
}

int main(int argc, char **argv) {
    const struct CMUnitTest brief[] = {cmocka_unit_test(test_briefly)};
    if (argc > 1 && !strcmp(argv[1], "brief"))
        return cmocka_run_group_tests_name("mlx_device brief", brief, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages_f32),  cmocka_unit_test(test_stages_f16),
        cmocka_unit_test(test_stages_bf16), cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_compat),      cmocka_unit_test(test_released)};
    return cmocka_run_group_tests_name("mlx_device", tests, NULL, NULL);
}
