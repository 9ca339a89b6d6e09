/* WILOR_COMPAT_MLX against wilor-mlx 0.3.1 on MLX's CPU build (scripts/make_mlx_reference.py):
 * each of its deviations by itself, then its model with one crop and with two in a batch. */
#include "backend_cpu.h"
#include "crop.h"
#include "golden.h"
#include "model_impl.h"
#include "rotation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* As test_stages.c, relative to max(1, largest reference value): float32 noise of two programs
 * that add in different orders. */
#define TOKENS 2e-5
#define OUTPUTS 4e-6
#define METRES 1e-6

enum { HANDS = 2, PIXELS = 256 * 256 * 3, TIERS = 4 };

static const char *data_path(const char *name) { return golden_path(WILOR_TEST_DATA, name); }

/* ---------------------------------------------------------------- rotations */

/* The last bit of a cosine moves the angle by 6e-8 / sin(angle): near 0 and π that is the
 * reference's own noise, up to 3.5e-4 where the cosine is rounded to ±1. */
static double vector_tolerance(double angle) {
    double noise = 6e-8 / (fabs(sin(angle)) + 1.7e-4);
    return 2e-6 + 4 * noise;
}

static void test_rotations(void **state) {
    (void)state;
    size_t n, angles;
    wilor_index *ref = golden_open(data_path("mlx/units.npz"));
    float *six = golden_f32(ref, "six", &n), got[9 * 64];
    float *want = golden_f32(ref, "six_matrices", NULL);
    assert_int_equal(n, 6 * 64);
    for (size_t i = 0; i < n / 6; i++)
        wilor_rotation_from_6d_mlx(six + 6 * i, got + 9 * i);
    golden_check("6D to matrix", got, want, 9 * 64, 1e-6);
    wilor_heap_free(six);
    wilor_heap_free(want);
    float *m = golden_f32(ref, "matrices", &n);
    double *angle = golden_f64(ref, "angles", &angles);
    want = golden_f32(ref, "vectors", NULL);
    assert_int_equal(n, 9 * angles);
    for (size_t i = 0; i < angles; i++) {
        char what[64];
        float v[3];
        wilor_rotation_to_vector_mlx(m + 9 * i, v);
        snprintf(what, sizeof what, "matrix to vector, angle %.9g", angle[i]);
        golden_check(what, v, want + 3 * i, 3, vector_tolerance(angle[i]));
    }
    wilor_heap_free(m);
    wilor_heap_free(angle);
    wilor_heap_free(want);
    wilor_index_close(&ref);
}

/* ---------------------------------------------------------------- sampling */

static void test_sampling(void **state) {
    (void)state;

    enum { ROWS = 16, COLS = 12, CHANNELS = 5 };

    size_t points;
    wilor_error err;
    wilor_threads *pool;
    wilor_index *ref = golden_open(data_path("mlx/units.npz"));
    float *map = golden_f32(ref, "map", NULL), *xy = golden_f32(ref, "xy", &points);
    float *want = golden_f32(ref, "sampled", NULL);
    float at[WILOR_MAPS * 2], weights[4], features[WILOR_MAPS * CHANNELS];
    int32_t corner[4];
    wilor_refine_work w = {.mlx = true,
                           .xy = at,
                           .weights = weights,
                           .corner = corner,
                           .features = features,
                           .vertices = 1};
    for (int i = 0; i < WILOR_MAPS; i++)
        w.map[i] = (wilor_map){map, ROWS, COLS, CHANNELS, ROWS};
    assert_int_equal(wilor_threads_create(&pool, 1, &err), WILOR_OK);
    for (size_t p = 0; p < points / 2; p++) {
        for (size_t i = 0; i < WILOR_MAPS * 2; i++)
            at[i] = xy[2 * p + i % 2];
        wilor_refine_sample(&w, pool);
        /* Its coordinates go through -1 … 1 and lose digits, more of them far away; each moves
         * the sample by up to the difference of two pixels. */
        double far = 1 + fabs(at[0]) + fabs(at[1]);
        for (int i = 0; i < WILOR_MAPS; i++)
            golden_check("sample", features + (size_t)i * CHANNELS, want + p * CHANNELS,
                         CHANNELS, 2e-6 * far);
    }
    wilor_threads_free(&pool);
    wilor_heap_free(map);
    wilor_heap_free(xy);
    wilor_heap_free(want);
    wilor_index_close(&ref);
}

/* ---------------------------------------------------------------- crops */

static void check_crop(const wilor_index *ref, const char *name, const wilor_picture *picture,
                       const double *box, int rows, int step) {
    size_t n, line = 256 * 3;
    wilor_error err;
    wilor_crop_box plan;
    float *want = golden_f32(ref, name, &n), *got = wilor_heap_alloc(PIXELS, sizeof *got);
    assert_non_null(got);
    assert_int_equal(n, (size_t)rows * line);
    assert_int_equal(wilor_crop_plan_f64(box, 2.5, &plan, &err), WILOR_OK);
    assert_int_equal(
        wilor_crop_run_mlx(picture, &plan, box[4] > 0 ? WILOR_RIGHT : WILOR_LEFT, got, &err),
        WILOR_OK);
    for (int r = 0; r < rows; r++)
        golden_check(name, got + (size_t)(r * step) * line, want + (size_t)r * line, line, 0);
    wilor_heap_free(want);
    wilor_heap_free(got);
}

/* Every byte, of a picture and of a single pixel. */
static void test_crops(void **state) {
    (void)state;

    enum { WIDTH = 61, HEIGHT = 47 };

    size_t boxes, n;
    wilor_index *ref = golden_open(data_path("mlx/units.npz"));
    double *box = golden_f64(ref, "boxes", &boxes);
    float *floats = golden_f32(ref, "picture", &n);
    uint8_t rgb[WIDTH * HEIGHT * 3];
    assert_int_equal(n, sizeof rgb);
    for (size_t i = 0; i < n; i++)
        rgb[i] = (uint8_t)floats[i];
    const wilor_picture all = {rgb, WIDTH, HEIGHT, WIDTH * 3, WILOR_RGB8};
    const wilor_picture dot = {rgb, 1, 1, 3, WILOR_RGB8};
    for (size_t i = 0; i < boxes / 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "crop%zu", i);
        check_crop(ref, name, &all, box + 5 * i, 86, 3);
        snprintf(name, sizeof name, "dot_crop%zu", i);
        check_crop(ref, name, &dot, box + 5 * i, 2, 1);
    }
    wilor_heap_free(box);
    wilor_heap_free(floats);
    wilor_index_close(&ref);
}

/* ---------------------------------------------------------------- the model */

typedef struct run {
    const char *name;
    wilor_index *ref;
    wilor_model *model;
    wilor_session *session;
    float *rgb;
} run;

static void open_run(run *t, const char *name, int heads, wilor_isa isa, int threads,
                     wilor_compat compat) {
    char path[64], weights[32];
    wilor_error err;
    wilor_model_options mo;
    wilor_session_options so;
    wilor_model_options_init(&mo, sizeof mo);
    wilor_session_options_init(&so, sizeof so);
    snprintf(weights, sizeof weights, "random:%s", name);
    mo.weights = weights;
    mo.mano = data_path("hand-cc0.npz");
    mo.heads = heads;
    mo.max_isa = isa;
    so.threads = threads;
    so.compat = compat;
    *t = (run){.name = name};
    if (wilor_model_open(&t->model, &mo, &err) != WILOR_OK ||
        wilor_session_create(&t->session, t->model, &so, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    snprintf(path, sizeof path, "mlx/%s.npz", name);
    t->ref = golden_open(data_path(path));
    snprintf(path, sizeof path, "%s/stages.npz", name);
    wilor_index *stages = golden_open(data_path(path));
    t->rgb = golden_f32(stages, "crop_bgr", NULL);
    for (size_t i = 0; i < (size_t)HANDS * PIXELS; i += 3) {
        float blue = t->rgb[i];
        t->rgb[i] = t->rgb[i + 2];
        t->rgb[i + 2] = blue;
    }
    wilor_index_close(&stages);
}

static void close_run(run *t) {
    wilor_session_free(&t->session);
    wilor_model_free(&t->model);
    wilor_index_close(&t->ref);
    wilor_heap_free(t->rgb);
}

static const wilor_hands *hands_of(run *t, int first, int n) {
    wilor_error err;
    const wilor_hands *hands;
    if (wilor_run(t->session, t->rgb + (size_t)first * PIXELS, n, &hands, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return hands;
}

enum { PARTS = 6 };

/* Outputs under the reference's names. */
static void list_outputs(const wilor_hands *h, const char *names[PARTS],
                         const float *values[PARTS], size_t counts[PARTS]) {
    static const char *const all[PARTS] = {"pred_cam",          "betas",
                                           "global_orient",     "hand_pose",
                                           "pred_keypoints_3d", "pred_vertices"};
    const float *const v[PARTS] = {h->pred_cam,  h->betas,        h->global_orient,
                                   h->hand_pose, h->keypoints_3d, h->vertices_3d};
    const size_t c[PARTS] = {3, 10, 3, 45, 63, (size_t)h->vertices * 3};
    for (int i = 0; i < PARTS; i++) {
        names[i] = all[i];
        values[i] = v[i];
        counts[i] = c[i];
    }
}

/* Result i is reference hand first + i of the set "alone" or "both". */
static void check_outputs(const run *t, const char *set, const wilor_hands *h, int first) {
    const char *names[PARTS];
    const float *values[PARTS];
    size_t counts[PARTS], n = (size_t)h->n;
    list_outputs(h, names, values, counts);
    for (int i = 0; i < PARTS; i++) {
        char name[64], what[96];
        snprintf(name, sizeof name, "%s.%s", set, names[i]);
        snprintf(what, sizeof what, "%s %s", t->name, name);
        float *want = golden_f32(t->ref, name, NULL);
        golden_check(what, values[i], want + (size_t)first * counts[i], n * counts[i],
                     i < 4 ? OUTPUTS : METRES);
        wilor_heap_free(want);
    }
}

static void check_maps(const run *t) {
    wilor_refine_work *w = &((wilor_cpu_session *)t->session->work)->refine;
    for (int hand = 0; hand < HANDS; hand++) {
        wilor_refine_choose(w, hand);
        for (int i = 0; i < WILOR_MAPS; i++) {
            char name[32];
            const wilor_map *m = &w->map[i];
            size_t n = (size_t)(m->rows * m->cols) * (size_t)m->channels;
            snprintf(name, sizeof name, "both.map_%d", m->side);
            float *want = golden_f32(t->ref, name, NULL);
            golden_check(name, m->data, want + (size_t)hand * n, n, TOKENS);
            wilor_heap_free(want);
        }
    }
    const wilor_refine *r = &((const wilor_cpu_model *)t->model->network)->refine;
    float *want = golden_f32(t->ref, "both.features", NULL);
    golden_check("both.features, last hand", w->features, want + (size_t)r->features,
                 (size_t)r->features, TOKENS);
    wilor_heap_free(want);
}

/* The rotation vectors are this mode's, to the last bit. */
static void check_vectors(const wilor_hands *h) {
    float v[3];
    for (int i = 0; i < h->n * 16; i++) {
        const float *got = i % 16 == 0
                               ? h->global_orient + (size_t)(i / 16) * 3
                               : h->hand_pose + (size_t)(i / 16 * 45 + (i % 16 - 1) * 3);
        wilor_rotation_to_vector_mlx(h->rotation + (size_t)i * 9, v);
        assert_memory_equal(v, got, sizeof v);
    }
}

static const struct {
    const char *name;
    int heads;
} models[] = {{"tiny", 4}, {"hd80", 2}};

static const wilor_isa tiers[TIERS] = {WILOR_ISA_C, WILOR_ISA_AVX2, WILOR_ISA_AVX512,
                                       WILOR_ISA_NEON};

static void check_model(const char *name, int heads, wilor_isa isa) {
    float *first = NULL;
    for (int threads = 1; threads <= 3; threads += 2) {
        run t;
        open_run(&t, name, heads, isa, threads, WILOR_COMPAT_MLX);
        for (int hand = 0; hand < HANDS; hand++)
            check_outputs(&t, "alone", hands_of(&t, hand, 1), hand);
        const wilor_hands *h = hands_of(&t, 0, HANDS);
        size_t bytes = (size_t)h->vertices * 3 * HANDS * sizeof *first;
        check_outputs(&t, "both", h, 0);
        check_vectors(h);
        if (strcmp(name, "tiny") == 0)
            check_maps(&t);
        if (!first) {
            first = wilor_heap_alloc(1, bytes);
            assert_non_null(first);
            memcpy(first, h->vertices_3d, bytes);
        }
        assert_memory_equal(first, h->vertices_3d, bytes); /* any number of threads */
        close_run(&t);
    }
    wilor_heap_free(first);
}

static void test_models(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        for (int k = 0; k < TIERS; k++)
            if (wilor_kernels_get(tiers[k]))
                check_model(models[i].name, models[i].heads, tiers[k]);
}

/* A network that answers 6D numbers as short as wilor-mlx's 1e-8: its rotations shrink, WiLoR's
 * do not. */
static void test_short_rotations(void **state) {
    (void)state;

    enum { ZEROS = 96 * 64 };

    static const wilor_compat modes[2] = {WILOR_COMPAT_MINI, WILOR_COMPAT_MLX};
    static const float wants[2] = {1.0f, 1.0f / 11.0f};
    float pose[WILOR_POSE_NUMBERS] = {0};
    wilor_pages zeros;
    assert_true(wilor_pages_alloc(&zeros, ZEROS * sizeof(float)));
    for (int i = 0; i < WILOR_POSE_NUMBERS; i += 6)
        pose[i] = pose[i + 4] = 1e-9f;
    for (int i = 0; i < 2; i++) {
        run t;
        open_run(&t, "tiny", 4, WILOR_ISA_C, 1, modes[i]);
        wilor_cpu_model *m = t.model->network;
        assert_true(m->refine.features <= 64 && m->vit.width <= 64);
        m->vit.init_pose = pose;
        m->vit.decpose.panels = m->vit.decpose.bias = zeros.data;
        m->refine.dec_pose.panels = m->refine.dec_pose.bias = zeros.data;
        const wilor_hands *h = hands_of(&t, 0, 1);
        for (int k = 0; k < 16; k++)
            assert_true(fabsf(h->rotation[9 * k] - wants[i]) < 1e-6f);
        close_run(&t);
    }
    wilor_pages_free(&zeros);
}

/* What the mode costs: docs/compat.md's numbers. And that it is one: millimetres, which no
 * tolerance above lets through. */
static void test_distance(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        run mini, mlx;
        open_run(&mini, models[i].name, models[i].heads, WILOR_ISA_AUTO, 1, WILOR_COMPAT_MINI);
        open_run(&mlx, models[i].name, models[i].heads, WILOR_ISA_AUTO, 1, WILOR_COMPAT_MLX);
        const wilor_hands *a = hands_of(&mini, 0, HANDS), *b = hands_of(&mlx, 0, HANDS);
        const char *names[PARTS];
        const float *x[PARTS], *y[PARTS];
        size_t counts[PARTS];
        list_outputs(a, names, x, counts);
        list_outputs(b, names, y, counts);
        for (int k = 0; k < PARTS; k++)
            printf("%s: mlx from mini, %s: %.2g\n", models[i].name, names[k],
                   golden_difference(x[k], y[k], HANDS * counts[k]));
        assert_true(golden_difference(a->vertices_3d, b->vertices_3d, counts[5]) > 1e-4);
        close_run(&mini);
        close_run(&mlx);
    }
}

static void test_options(void **state) {
    (void)state;
    run t;
    wilor_error err;
    wilor_session *s = NULL;
    wilor_session_options so;
    wilor_session_options_init(&so, sizeof so);
    assert_int_equal(so.compat, WILOR_COMPAT_MINI);
    open_run(&t, "tiny", 4, WILOR_ISA_AUTO, 1, WILOR_COMPAT_MINI);
    size_t mini = wilor_session_memory(t.model, &so);
    so.compat = WILOR_COMPAT_MLX;
    assert_true(wilor_session_memory(t.model, &so) > mini); /* maps of a whole batch */
    so.compat = (wilor_compat)3;
    assert_int_equal(wilor_session_memory(t.model, &so), 0);
    assert_int_equal(wilor_session_create(&s, t.model, &so, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "compat is 3"));
    assert_null(s);
    close_run(&t);
}

/* Factor and batch of level 1: the crop's side over the box's, and hands that do not depend on
 * their neighbours. */
static void test_boxes(void **state) {
    (void)state;

    static const struct {
        wilor_compat compat;
        double given, want;
    } cases[] = {{WILOR_COMPAT_MINI, 0, 2.5},
                 {WILOR_COMPAT_WILOR, 0, 2.0 * 4 / 3}, /* a box wider than high */
                 {WILOR_COMPAT_MLX, 0, 2.5},
                 {WILOR_COMPAT_WILOR, 3, 4}};

    static uint8_t pixels[64 * 48 * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i / 7);
    const wilor_picture picture = {pixels, 64, 48, 64 * 3, WILOR_RGB8};
    const wilor_box boxes[2] = {{{10, 10, 30, 26}, 1, WILOR_RIGHT},
                                {{20, 5, 50, 45}, 1, WILOR_LEFT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run t;
        wilor_error err;
        const wilor_hands *h;
        wilor_predict_options o;
        open_run(&t, "tiny", 4, WILOR_ISA_AUTO, 1, cases[i].compat);
        wilor_predict_options_init(&o, sizeof o);
        o.rescale = cases[i].given;
        assert_int_equal(wilor_predict_boxes(t.session, &picture, boxes, 2, &o, &h, &err),
                         WILOR_OK);
        assert_true(fabs(h->crop[2] - 20 * cases[i].want) < 1e-5);
        size_t n = (size_t)h->vertices * 3;
        float *second = wilor_heap_alloc(n, sizeof *second);
        assert_non_null(second);
        memcpy(second, h->vertices_3d + n, n * sizeof *second);
        assert_int_equal(wilor_predict_boxes(t.session, &picture, boxes + 1, 1, &o, &h, &err),
                         WILOR_OK);
        assert_memory_equal(h->vertices_3d, second, n * sizeof *second);
        wilor_heap_free(second);
        close_run(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotations),       cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_crops),           cmocka_unit_test(test_models),
        cmocka_unit_test(test_short_rotations), cmocka_unit_test(test_distance),
        cmocka_unit_test(test_options),         cmocka_unit_test(test_boxes)};
    return cmocka_run_group_tests_name("mlx", tests, NULL, NULL);
}
