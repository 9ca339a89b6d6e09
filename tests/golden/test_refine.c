/* RefineNet alone against upstream: ordinary and extreme cameras, and the guard of the lean
 * path, for points whose largest coordinate on a map is 0.99, 1.01, 1.5, 2.01, 5 and NaN: the
 * corner that the guard asks for must give what the whole maps give. Also bilinear sampling and
 * GELU, function by function. Usage: test_refine TIER. */
#include "backend_cpu.h"
#include "golden.h"
#include "model_impl.h"
#include "rotation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TOKENS 2e-5
#define OUTPUTS 4e-6

static const char *g_tier;

/* A tiny model and a session on it. */
typedef struct bench {
    wilor_model *model;
    wilor_session *session;
    wilor_cpu_session *work;
    const wilor_refine *refine;
    int width;
} bench;

static bench open_bench(void) {
    wilor_error err;
    bench b = {0};
    wilor_model_options mo;
    wilor_session_options so;
    wilor_model_options_init(&mo, sizeof mo);
    wilor_session_options_init(&so, sizeof so);
    mo.weights = "random:tiny";
    mo.mano = WILOR_TEST_DATA "/hand-cc0.npz";
    mo.max_isa = wilor_kernels_best(WILOR_ISA_AUTO)->isa;
    for (int i = WILOR_ISA_C; i <= WILOR_ISA_ACCELERATE; i++)
        if (strcmp(wilor_isa_name((wilor_isa)i), g_tier) == 0)
            mo.max_isa = (wilor_isa)i;
    so.threads = 2;
    if (wilor_model_open(&b.model, &mo, &err) != WILOR_OK ||
        wilor_session_create(&b.session, b.model, &so, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    b.work = b.session->work;
    b.refine = &b.work->model->refine;
    b.width = b.work->model->vit.width;
    return b;
}

static void close_bench(bench *b) {
    wilor_session_free(&b->session);
    wilor_model_free(&b->model);
}

/* Channels × 16 × 12 to patches × channels. */
static float *patches_of(const float *feat, int width) {
    float *rows = wilor_heap_alloc((size_t)WILOR_PATCHES * (size_t)width, sizeof *rows);
    assert_non_null(rows);
    for (int p = 0; p < WILOR_PATCHES; p++)
        for (int c = 0; c < width; c++)
            rows[p * width + c] = feat[c * WILOR_PATCHES + p];
    return rows;
}

/* The features from the first p rows and columns of patches. */
static void features_from(bench *b, const float *rows, int p) {
    size_t d = (size_t)b->width;
    int cols = p < WILOR_GRID_COLS ? p : WILOR_GRID_COLS;
    float *corner = wilor_heap_alloc((size_t)(p * cols) * d, sizeof *corner);
    assert_non_null(corner);
    for (int r = 0; r < p; r++)
        memcpy(corner + (size_t)(r * cols) * d, rows + (size_t)(r * WILOR_GRID_COLS) * d,
               (size_t)cols * d * sizeof *corner);
    wilor_refine_maps(b->refine, &b->work->refine, corner, d, p, cols, b->session->pool);
    wilor_refine_sample(&b->work->refine, b->session->pool);
    wilor_heap_free(corner);
}

static void check_nan(const char *what, const float *got, const float *want, size_t n,
                      double tolerance) {
    golden_check(what, got, want, n, tolerance); /* NaN must meet NaN there */
}

/* ---------------------------------------------------------------- ordinary and extreme cameras */

static void test_units(void **state) {
    (void)state;
    bench b = open_bench();
    wilor_index *u = golden_open(WILOR_TEST_DATA "/units.npz");
    size_t count;
    float *feat = golden_f32(u, "refine_img_feat", &count);
    float *verts = golden_f32(u, "refine_verts", NULL),
          *cam = golden_f32(u, "refine_cam", NULL);
    float *pose = golden_f32(u, "refine_pose6d", NULL),
          *betas = golden_f32(u, "refine_betas", NULL);
    float *rotmat = golden_f32(u, "refine_out_rotmat", NULL);
    float *out_betas = golden_f32(u, "refine_out_betas", NULL);
    float *out_cam = golden_f32(u, "refine_out_cam", NULL);
    static const char *const tags[WILOR_MAPS] = {"64x48", "32x24", "16x12"};
    size_t per = (size_t)b.width * WILOR_PATCHES, v = (size_t)b.work->refine.vertices;
    for (size_t i = 0; i < count / per; i++) {
        float *rows = patches_of(feat + i * per, b.width), got[144];
        float c[3], be[10];
        wilor_refine_project(&b.work->refine, verts + i * v * 3, cam + i * 3);
        features_from(&b, rows, WILOR_GRID_ROWS);
        const float *features = b.work->refine.features;
        for (int m = 0; m < WILOR_MAPS; m++) {
            char name[32];
            size_t n = (size_t)b.work->refine.map[m].channels;
            snprintf(name, sizeof name, "refine_xy_%s", tags[m]);
            float *want = golden_f32(u, name, NULL);
            check_nan(name, b.work->refine.xy + (size_t)m * v * 2, want + i * v * 2, v * 2,
                      TOKENS);
            wilor_heap_free(want);
            snprintf(name, sizeof name, "refine_max_%s", tags[m]);
            want = golden_f32(u, name, NULL);
            check_nan(name, features, want + i * n, n, TOKENS);
            wilor_heap_free(want);
            features += n;
        }
        memcpy(c, cam + i * 3, sizeof c);
        memcpy(be, betas + i * 10, sizeof be);
        wilor_refine_decode(b.refine, &b.work->refine, pose + i * 96, be, c, b.session->pool);
        for (int j = 0; j < 16; j++)
            wilor_rotation_from_6d(pose + i * 96 + 6 * j, got + 9 * j);
        check_nan("refine_out_rotmat", got, rotmat + i * 144, 144, TOKENS);
        check_nan("refine_out_betas", be, out_betas + i * 10, 10, TOKENS);
        check_nan("refine_out_cam", c, out_cam + i * 3, 3, TOKENS);
        wilor_heap_free(rows);
    }
    float *const all[] = {feat, verts, cam, pose, betas, rotmat, out_betas, out_cam};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        wilor_heap_free(all[i]);
    wilor_index_close(&u);
    close_bench(&b);
}

/* ---------------------------------------------------------------- the guard */

static void test_guard(void **state) {
    (void)state;
    bench b = open_bench();
    wilor_index *g = golden_open(WILOR_TEST_DATA "/refine_guard.npz");
    size_t count, n = (size_t)b.refine->features, v = (size_t)b.work->refine.vertices;
    float *feat = golden_f32(g, "img_feat", &count), *verts = golden_f32(g, "verts", NULL);
    float *cam = golden_f32(g, "cam", NULL), *want = golden_f32(g, "refine_vert_feats", NULL);
    float *top = golden_f32(g, "top_16x12", NULL), *fine = golden_f32(g, "top_64x48", NULL);
    float *dpose = golden_f32(g, "delta_pose6d", NULL);
    size_t per = (size_t)b.width * WILOR_PATCHES;
    int seen_lean = 0, seen_wide = 0, seen_nan = 0;
    for (size_t i = 0; i < count / per; i++) {
        char what[96];
        float *rows = patches_of(feat + i * per, b.width), pose[96] = {0}, betas[10], c[3];
        wilor_refine_project(&b.work->refine, verts + i * v * 3, cam + i * 3);
        int p = wilor_refine_corner(&b.work->refine);
        features_from(&b, rows, p);
        snprintf(what, sizeof what, "guard: top %.3f coarse, %.3f fine, %d patches",
                 (double)top[i], (double)fine[i], p);
        check_nan(what, b.work->refine.features, want + i * n, n, TOKENS);
        wilor_refine_decode(b.refine, &b.work->refine, pose, betas, c, b.session->pool);
        check_nan("  delta_pose6d", pose, dpose + i * 96, 96, OUTPUTS);
        /* And against our own whole maps: the same bits. */
        float *lean = wilor_heap_alloc(n, sizeof *lean);
        memcpy(lean, b.work->refine.features, n * sizeof *lean);
        features_from(&b, rows, WILOR_GRID_ROWS);
        check_nan("  against the full path", lean, b.work->refine.features, n, 0);
        seen_nan += isnan(want[i * n]) != 0;
        seen_lean += p == WILOR_CORNER_LEAST;
        seen_wide += p > WILOR_CORNER_LEAST && p < WILOR_GRID_ROWS;
        wilor_heap_free(lean);
        wilor_heap_free(rows);
    }
    /* The cases must be what their names say, or the test tests nothing. */
    assert_true(seen_lean > 0 && seen_wide > 0 && seen_nan > 0);
    float *const all[] = {feat, verts, cam, want, top, fine, dpose};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        wilor_heap_free(all[i]);
    wilor_index_close(&g);
    close_bench(&b);
}

static int corner_of(bench *b, float fine, float middle, float coarse) {
    wilor_refine_work *w = &b->work->refine;
    size_t each = (size_t)w->vertices * 2;
    memset(w->xy, 0, WILOR_MAPS * each * sizeof *w->xy);
    w->xy[7] = fine;
    w->xy[each + 8] = middle;
    w->xy[2 * each + 9] = coarse;
    return wilor_refine_corner(w);
}

/* model.md's rule, number by number. */
static void test_corner(void **state) {
    (void)state;
    bench b = open_bench();
    assert_int_equal(corner_of(&b, 0, 0, 0), 2);
    assert_int_equal(corner_of(&b, 4.0f, 2.0f, 1.0f), 2);
    assert_int_equal(corner_of(&b, 4.01f, 0, 0), 3);
    assert_int_equal(corner_of(&b, 0, 2.01f, 0), 3);
    assert_int_equal(corner_of(&b, 0, 0, 1.01f), 3);
    assert_int_equal(corner_of(&b, 0, 0, 2.01f), 4);
    assert_int_equal(corner_of(&b, 0, 0, 5.0f), 6);
    assert_int_equal(corner_of(&b, 0, 0, 14.9f), 16);
    assert_int_equal(corner_of(&b, 0, 0, 1e30f), 16);
    assert_int_equal(corner_of(&b, -1e30f, -5, -5), 2);
    assert_int_equal(corner_of(&b, NAN, 0, 0), 16);
    assert_int_equal(corner_of(&b, 0, INFINITY, 0), 16);
    assert_int_equal(corner_of(&b, 0, 0, -INFINITY), 16);
    close_bench(&b);
}

/* ---------------------------------------------------------------- functions */

static void check_grid(const wilor_index *u, bench *b, const char *xy_name,
                       const char *out_name) {
    size_t points, n = 3;
    float *map = golden_f32(u, "grid_map", NULL), *xy = golden_f32(u, xy_name, &points);
    float *want = golden_f32(u, out_name, NULL), hwc[5 * 4 * 3], features[3], weights[4];
    int32_t corner[4];
    for (size_t p = 0; p < 20; p++)
        for (size_t c = 0; c < n; c++)
            hwc[p * n + c] = map[c * 20 + p];
    float three[WILOR_MAPS * 2];
    wilor_refine_work w = {
        .features = features, .weights = weights, .corner = corner, .vertices = 1, .xy = three};
    w.map[0] = (wilor_map){hwc, 5, 4, 3, 5};
    for (size_t i = 0; i < points / 2; i++) {
        memset(three, 0, sizeof three);
        memcpy(three, xy + 2 * i, 2 * sizeof *xy);
        wilor_refine_sample(&w, b->session->pool);
        golden_check(out_name, features, want + i * n, n, 2e-6);
    }
    wilor_heap_free(map);
    wilor_heap_free(xy);
    wilor_heap_free(want);
}

static void test_grid(void **state) {
    (void)state;
    bench b = open_bench();
    wilor_index *u = golden_open(WILOR_TEST_DATA "/units.npz");
    check_grid(u, &b, "grid_xy", "grid_out");
    check_grid(u, &b, "grid_special_xy", "grid_special_out");
    wilor_index_close(&u);
    close_bench(&b);
}

static void test_gelu(void **state) {
    (void)state;
    bench b = open_bench();
    const wilor_kernels *k = b.work->model->vit.kernels;
    wilor_index *u = golden_open(WILOR_TEST_DATA "/units.npz");
    size_t count, tile = (size_t)(k->mr * k->nr);
    float *x = golden_f32(u, "gelu_x", &count), *want = golden_f32(u, "gelu_y", NULL);
    float *y = wilor_heap_alloc(count + tile, sizeof *y), *t = b.work->vit.tiles;
    float *zero = b.work->vit.packed;
    memset(zero, 0, (size_t)k->nr * sizeof *zero);
    for (size_t i = 0; i < count; i += tile) {
        size_t n = count - i < tile ? count - i : tile;
        memcpy(t, x + i, n * sizeof *x);
        k->bias_gelu_f32(t, k->mr, zero);
        memcpy(y + i, t, n * sizeof *x);
    }
    golden_check("gelu", y, want, count, 2e-6);
    wilor_heap_free(x);
    wilor_heap_free(y);
    wilor_heap_free(want);
    wilor_index_close(&u);
    close_bench(&b);
}

int main(int argc, char **argv) {
    g_tier = argc > 1 ? argv[1] : "c";
    bool found = false;
    for (int i = WILOR_ISA_C; i <= WILOR_ISA_ACCELERATE; i++)
        if (strcmp(wilor_isa_name((wilor_isa)i), g_tier) == 0)
            found = wilor_kernels_get((wilor_isa)i) != NULL;
    if (!found) {
        printf("skipped: this machine has no tier %s\n", g_tier);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units), cmocka_unit_test(test_guard),
        cmocka_unit_test(test_corner), cmocka_unit_test(test_grid),
        cmocka_unit_test(test_gelu)};
    return cmocka_run_group_tests_name("refine", tests, NULL, NULL);
}
