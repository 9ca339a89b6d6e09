/* Device mlx: hands that need more than the corner's patches, weights in 4 and 8 bits, several sessions at a time, memory,
 * and what goes wrong. */
#include "mlx_side.h"

#include "backend_cpu.h"
#include "convert_file.h"
#include "heap.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const tolerances g_f32 = {2e-5, 4e-6, 1e-6};

static side_options options_of(const char *weights, const char *device) {
    return (side_options){.weights = weights, .device = device, .batch = SIDE_HANDS};
}

/* A copy of both hands' vertices. */
static float *copy_vertices(const wilor_hands *h, size_t *count) {
    *count = (size_t)h->n * (size_t)h->vertices * 3;
    float *out = wilor_heap_alloc(*count, sizeof *out);
    assert_non_null(out);
    memcpy(out, h->vertices_3d, *count * sizeof *out);
    return out;
}

/* ---------------------------------------------------------------- the guard */

static void check_wide(float by, int least) {
    side_options o = options_of("random:tiny", "cpu");
    side cpu = {.model = side_open_model(&o)};
    o.device = "mlx";
    side mlx = {.model = side_open_model(&o)};
    o.heads = 4;
    side_move_cameras(cpu.model, mlx.model, by);
    cpu.session = side_open_session(cpu.model, &o);
    mlx.session = side_open_session(mlx.model, &o);
    float *rgb = side_crops("tiny");
    const wilor_hands *want = side_run(&cpu, rgb, SIDE_HANDS);
    const wilor_hands *got = side_run(&mlx, rgb, SIDE_HANDS);
    printf("camera moved by %g: %d patches a side, %d hands computed twice\n", (double)by,
           ((wilor_cpu_session *)cpu.session->work)->corner[0], side_wide_of(&mlx));
    assert_true(side_wide_of(&mlx) >= least);
    for (int i = 0; i < SIDE_HANDS; i++)
        assert_int_equal(got->failed[i], want->failed[i]);
    if (!want->failed[0])
        side_compare("wide", got, want, &g_f32);
    wilor_heap_free(rgb);
    side_close(&cpu);
    side_close(&mlx);
}

static void test_guard(void **state) {
    (void)state;
    check_wide(0, 0);
    check_wide(3, SIDE_HANDS);
    check_wide(9, SIDE_HANDS);
    check_wide(NAN, SIDE_HANDS); /* and all of them failed */
    check_wide(INFINITY, SIDE_HANDS);
}

/* A shape of the caller's, and hands whose number changes. */
static void test_runs(void **state) {
    (void)state;
    static const float betas[10] = {1, -1, 0.5f, 0, 0, 2, 0, 0, 0, -0.25f};
    wilor_backend_result r;
    float rotation[3 * 144], shape[30], cam[9], keypoints[3 * 63];
    static float verts[3 * 778 * 3];
    wilor_error err;
    side_options o = options_of("random:tiny", "mlx"), c = options_of("random:tiny", "cpu");
    o.batch = c.batch = 3;
    side mlx = side_open(&o), cpu = side_open(&c);
    float *two = side_crops("tiny"), *rgb = wilor_heap_alloc(3 * SIDE_PIXELS, sizeof *rgb);
    memcpy(rgb, two, 2 * SIDE_PIXELS * sizeof *rgb);
    memcpy(rgb + 2 * SIDE_PIXELS, two, SIDE_PIXELS * sizeof *rgb);
    for (int n = 3; n > 0; n--)
        side_compare("hands", side_run(&mlx, rgb, n), side_run(&cpu, rgb, n), &g_f32);
    r = (wilor_backend_result){rotation, shape, cam, verts, keypoints, 0, NULL};
    assert_int_equal(mlx.model->backend->run(mlx.session->work, rgb, NULL, 3, betas, &r, &err),
                     WILOR_OK);
    for (size_t i = 0; i < 30; i++)
        assert_true(shape[i] == betas[i % 10]);
    size_t count;
    float *own = copy_vertices(side_run(&mlx, rgb, 3), &count);
    assert_true(golden_difference(verts, own, count) > 1e-3);
    r.verts = own;
    assert_int_equal(cpu.model->backend->run(cpu.session->work, rgb, NULL, 3, betas, &r, &err),
                     WILOR_OK);
    golden_check("vertices of a given shape", verts, own, count, g_f32.metres);
    wilor_heap_free(own);
    wilor_heap_free(two);
    wilor_heap_free(rgb);
    side_close(&mlx);
    side_close(&cpu);
}

/* ---------------------------------------------------------------- 4 and 8 bits */

static void convert(const char *path, wilor_weights_layout layout, wilor_weights_dtype dtype,
                    int group) {
    wilor_error err;
    if (convert_file("random:hd80", path, layout, dtype, group, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

/* The processor multiplies the same numbers out. */
static void check_file(const char *what, const char *path, wilor_dtype dtype,
                       const tolerances *t) {
    side_options o = options_of(path, "cpu");
    o.heads = 2;
    side cpu = side_open(&o);
    o.device = "mlx";
    o.dtype = dtype;
    side mlx = side_open(&o);
    float *rgb = side_crops("hd80");
    const wilor_hands *want = side_run(&cpu, rgb, SIDE_HANDS);
    side_compare(what, side_run(&mlx, rgb, SIDE_HANDS), want, t);
    wilor_heap_free(rgb);
    side_close(&cpu);
    side_close(&mlx);
}

static void test_quantised(void **state) {
    (void)state;
    static const char path[] = WILOR_TEST_SCRATCH "/mlx_quantised.safetensors";
    const tolerances half = side_tolerances(WILOR_DTYPE_F16);
    convert(path, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT4, 32);
    check_file("mlx int4, groups of 32", path, WILOR_DTYPE_F32, &g_f32);
    check_file("mlx int4, groups of 32, products in f16", path, WILOR_DTYPE_F16, &half);
    convert(path, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT8, 32);
    check_file("mlx int8, groups of 32", path, WILOR_DTYPE_F32, &g_f32);
    convert(path, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT4, 32);
    check_file("int4, scales as half floats", path, WILOR_DTYPE_F32, &g_f32);
    convert(path, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT8, 0);
    check_file("int8, a scale a row", path, WILOR_DTYPE_F32, &g_f32);
    remove(path);
}

/* --dtype int8 and int4 on plain weights. */
static void test_dtypes(void **state) {
    (void)state;

    static const struct {
        wilor_dtype dtype;
        double least, most; /* metres from float32, of random weights: docs/accuracy.md */
    } all[] = {{WILOR_DTYPE_INT8, 1e-6, 6e-3}, {WILOR_DTYPE_INT4, 1e-4, 40e-3}};

    side_options o = options_of("random:tiny", "mlx");
    float *rgb = side_crops("tiny");
    side plain = side_open(&o);
    size_t count;
    float *want = copy_vertices(side_run(&plain, rgb, SIDE_HANDS), &count);
    for (size_t i = 0; i < 2; i++) {
        wilor_model_info info;
        o.dtype = all[i].dtype;
        side s = side_open(&o);
        wilor_model_get_info(s.model, &info, sizeof info);
        double d = golden_difference(side_run(&s, rgb, SIDE_HANDS)->vertices_3d, want, count);
        printf("%s, %llu bytes: %.3g m from float32\n", info.kernels,
               (unsigned long long)info.packed_bytes, d);
        assert_true(d > all[i].least && d < all[i].most);
        assert_true(info.packed_bytes < plain.model->info.packed_bytes);
        side_close(&s);
    }
    wilor_heap_free(rgb);
    wilor_heap_free(want);
    side_close(&plain);
}

/* ---------------------------------------------------------------- threads and memory */

enum { THREADS = 3, RUNS = 6 };

typedef struct job {
    const wilor_model *model;
    wilor_session *session;
    const float *rgb, *want;
    size_t count;
    int different;
} job;

static void *run_given(void *context) {
    job *j = context;
    wilor_error err;
    const wilor_hands *h;
    j->different = wilor_run(j->session, j->rgb, SIDE_HANDS, &h, &err) != WILOR_OK ||
                   golden_difference(h->vertices_3d, j->want, j->count) > g_f32.metres;
    return NULL;
}

/* A session of its own; every other run of one hand. */
static void *run_many(void *context) {
    job *j = context;
    wilor_error err;
    const wilor_hands *h;
    wilor_session *s = NULL;
    wilor_session_options o;
    wilor_session_options_init(&o, sizeof o);
    j->different = wilor_session_create(&s, j->model, &o, &err) != WILOR_OK;
    for (int i = 0; i < RUNS && !j->different; i++) {
        int n = 1 + i % 2;
        size_t count = j->count / SIDE_HANDS * (size_t)n;
        if (wilor_run(s, j->rgb, n, &h, &err) != WILOR_OK)
            j->different = 1;
        else
            j->different = golden_difference(h->vertices_3d, j->want, count) > g_f32.metres;
    }
    wilor_session_free(&s);
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    side_options o = options_of("random:tiny", "mlx");
    side s = side_open(&o);
    float *rgb = side_crops("tiny");
    pthread_t thread[THREADS];
    job jobs[THREADS];
    size_t count;
    float *want = copy_vertices(side_run(&s, rgb, SIDE_HANDS), &count);
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){.model = s.model, .rgb = rgb, .want = want, .count = count};
        assert_int_equal(pthread_create(&thread[i], NULL, run_many, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].different, 0);
    /* A session may be used from another thread than the one that opened it. */
    jobs[0] = (job){.session = s.session, .rgb = rgb, .want = want, .count = count};
    assert_int_equal(pthread_create(&thread[0], NULL, run_given, &jobs[0]), 0);
    pthread_join(thread[0], NULL);
    assert_int_equal(jobs[0].different, 0);
    wilor_heap_free(want);
    wilor_heap_free(rgb);
    side_close(&s);
}

/* Runs, sessions and models leave nothing behind. */
static void test_memory(void **state) {
    (void)state;
    const wilor_mlx_table *table;
    side_options o = options_of("random:tiny", "mlx");
    float *rgb = side_crops("tiny");
    assert_int_equal(wilor_mlx_module_open(&table, NULL), WILOR_OK);
    size_t before = table->active_bytes(), first = 0;
    side s = side_open(&o);
    for (int i = 0; i < 20; i++) {
        side_run(&s, rgb, 1 + i % 2);
        size_t now = table->active_bytes();
        first = i < 2 ? now : first;
        assert_true(now <= first);
    }
    printf("MLX's memory: %zu bytes with a model and a session, of %llu of weights\n",
           first - before, (unsigned long long)s.model->info.packed_bytes);
    wilor_session_free(&s.session);
    s.session = side_open_session(s.model, &o);
    side_run(&s, rgb, SIDE_HANDS);
    assert_true(table->active_bytes() <= first);
    side_close(&s);
    printf("%zu bytes are left\n", table->active_bytes() - before);
    assert_true(table->active_bytes() <= before);
    wilor_heap_free(rgb);
}

/* ---------------------------------------------------------------- errors */

static void expect_error(const char *device, wilor_dtype dtype, wilor_status want,
                         const char *text) {
    wilor_error err;
    wilor_model *model = NULL;
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = "random:tiny";
    o.mano = WILOR_TEST_DATA "/hand-cc0.npz";
    o.device = device;
    o.dtype = dtype;
    assert_int_equal(wilor_model_open(&model, &o, &err), want);
    printf("%s\n", err.text);
    assert_non_null(strstr(err.text, text));
    assert_null(model);
}

static void test_errors(void **state) {
    (void)state;
    const char *module = getenv("WILOR_MLX_MODULE");
    char kept[4096];
    snprintf(kept, sizeof kept, "%s", module ? module : "");
    expect_error("mlx:1", WILOR_DTYPE_F32, WILOR_ERR_ARG, "device 'mlx:1' is none");
    expect_error("mlx", WILOR_DTYPE_F32X, WILOR_ERR_UNSUPPORTED, "no dtype f32x");
    expect_error("mlx", WILOR_DTYPE_FP8, WILOR_ERR_UNSUPPORTED, "no dtype fp8");
    setenv("WILOR_MLX_MODULE", "/nowhere/libwilor_mlx.so", 1);
    expect_error("mlx", WILOR_DTYPE_F32, WILOR_ERR_UNSUPPORTED, "cannot be loaded");
    setenv("WILOR_MLX_MODULE", OTHER_LIBRARY, 1);
    expect_error("mlx", WILOR_DTYPE_F32, WILOR_ERR_UNSUPPORTED, "a module of another version");
    setenv("WILOR_MLX_MODULE", kept, 1);
}

/* What MLX says is an error of the call: a model that lacks its tensors, the first operation on one fails. */
static void test_mlx_words(void **state) {
    (void)state;
    const wilor_mlx_table *table;
    wilor_mlx_error e;
    wilor_error err;
    void *model, *session;
    side_options o = options_of("random:tiny", "cpu");
    side cpu = side_open(&o);
    wilor_net_mano mano = wilor_net_mano_view(cpu.model->mano);
    const wilor_mlx_shape shape = {64, 3, 4, 256, WILOR_MLX_F32, 0, false};
    const wilor_mlx_session_options so = {.batch = 1};
    assert_int_equal(wilor_mlx_module_open(&table, &err), WILOR_OK);
    assert_int_equal(table->model_create(&model, &shape, &mano, &e), WILOR_MLX_OK);
    wilor_mlx_result r = table->session_open(&session, model, &so, &e);
    assert_int_equal(r, WILOR_MLX_FAILED);
    assert_null(session);
    assert_int_equal(wilor_mlx_status(r, &e, &err), WILOR_ERR_INTERNAL);
    printf("%s\n", err.text);
    assert_non_null(strstr(err.text, "device mlx: a run: "));
    table->model_free(model);
    side_close(&cpu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard),     cmocka_unit_test(test_runs),
        cmocka_unit_test(test_quantised), cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_threads),   cmocka_unit_test(test_memory),
        cmocka_unit_test(test_errors),    cmocka_unit_test(test_mlx_words)};
    return cmocka_run_group_tests_name("mlx_module", tests, NULL, NULL);
}
