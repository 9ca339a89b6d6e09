/* mlx_side.h. */
#include "mlx_side.h"

#include "backend_cpu.h"
#include "heap.h"

#include <stdio.h>
#include <string.h>

tolerances side_tolerances(wilor_dtype dtype) {
    if (dtype == WILOR_DTYPE_F16)
        return (tolerances){4e-3, 2.5e-3, 2.5e-4};
    if (dtype == WILOR_DTYPE_BF16)
        return (tolerances){3e-2, 1.6e-2, 2.2e-3};
    return (tolerances){2e-5, 4e-6, 1e-6};
}

wilor_model *side_open_model(const side_options *o) {
    wilor_error err;
    wilor_model *model = NULL;
    wilor_model_options mo;
    wilor_model_options_init(&mo, sizeof mo);
    mo.weights = o->weights;
    mo.mano = o->mano ? o->mano : WILOR_TEST_DATA "/hand-cc0.npz";
    mo.heads = o->heads;
    mo.dtype = o->dtype;
    mo.device = o->device ? o->device : "mlx";
    if (wilor_model_open(&model, &mo, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return model;
}

wilor_session *side_open_session(const wilor_model *m, const side_options *o) {
    wilor_error err;
    wilor_session *session = NULL;
    wilor_session_options so;
    wilor_session_options_init(&so, sizeof so);
    so.batch = o->batch;
    so.compat = o->compat;
    so.full_path = o->full_path;
    if (wilor_session_create(&session, m, &so, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return session;
}

side side_open(const side_options *o) {
    side s = {.model = side_open_model(o)};
    s.session = side_open_session(s.model, o);
    return s;
}

void side_close(side *s) {
    wilor_session_free(&s->session);
    wilor_model_free(&s->model);
}

const wilor_hands *side_run(const side *s, const float *rgb, int n) {
    wilor_error err;
    const wilor_hands *h;
    if (wilor_run(s->session, rgb, n, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(h->n, n);
    return h;
}

float *side_crops(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/stages.npz", name);
    wilor_index *stages = golden_open(golden_path(WILOR_TEST_DATA, path));
    float *rgb = golden_f32(stages, "crop_bgr", NULL);
    for (size_t i = 0; i < (size_t)SIDE_HANDS * SIDE_PIXELS; i += 3) {
        float blue = rgb[i];
        rgb[i] = rgb[i + 2];
        rgb[i + 2] = blue;
    }
    wilor_index_close(&stages);
    return rgb;
}

void side_list(const wilor_hands *h, const char *names[SIDE_PARTS],
               const float *values[SIDE_PARTS], size_t counts[SIDE_PARTS]) {
    static const char *const all[SIDE_PARTS] = {"pred_cam",          "betas",
                                                "global_orient",     "hand_pose",
                                                "pred_keypoints_3d", "pred_vertices"};
    const float *const v[SIDE_PARTS] = {h->pred_cam,  h->betas,        h->global_orient,
                                        h->hand_pose, h->keypoints_3d, h->vertices_3d};
    const size_t c[SIDE_PARTS] = {3, 10, 3, 45, 63, (size_t)h->vertices * 3};
    for (int i = 0; i < SIDE_PARTS; i++) {
        names[i] = all[i];
        values[i] = v[i];
        counts[i] = c[i];
    }
}

static double allowed(const tolerances *t, int part) {
    return part < 4 ? t->outputs : t->metres;
}

void side_check(const char *what, const wilor_index *ref, const char *prefix,
                const wilor_hands *h, int first, const tolerances *t) {
    const char *names[SIDE_PARTS];
    const float *values[SIDE_PARTS];
    size_t counts[SIDE_PARTS], n = (size_t)h->n, total;
    side_list(h, names, values, counts);
    for (int i = 0; i < SIDE_PARTS; i++) {
        char name[96], text[160];
        snprintf(name, sizeof name, "%s%s", prefix, names[i]);
        snprintf(text, sizeof text, "%s: %s", what, name);
        float *want = golden_f32(ref, name, &total);
        assert_true(((size_t)first + n) * counts[i] <= total);
        golden_check(text, values[i], want + (size_t)first * counts[i], n * counts[i],
                     allowed(t, i));
        wilor_heap_free(want);
    }
    for (size_t i = 0; i < n; i++)
        assert_int_equal(h->failed[i], 0);
}

void side_compare(const char *what, const wilor_hands *got, const wilor_hands *want,
                  const tolerances *t) {
    const char *names[SIDE_PARTS];
    const float *a[SIDE_PARTS], *b[SIDE_PARTS];
    size_t counts[SIDE_PARTS];
    side_list(got, names, a, counts);
    side_list(want, names, b, counts);
    assert_int_equal(got->n, want->n);
    for (int i = 0; i < SIDE_PARTS; i++) {
        char text[160];
        snprintf(text, sizeof text, "%s: %s", what, names[i]);
        golden_check(text, a[i], b[i], (size_t)got->n * counts[i], allowed(t, i));
    }
}

static void nothing(void *owner) { (void)owner; }

void side_move_cameras(const wilor_model *cpu, const wilor_model *mlx, float by) {
    static float cam[3];
    const wilor_mlx_table *table;
    wilor_mlx_error e;
    const wilor_cpu_model *m = cpu->network;
    float *init = (float *)(uintptr_t)m->vit.init_cam;
    init[1] += by;
    memcpy(cam, init, sizeof cam);
    const wilor_mlx_block block = {cam, nothing, NULL};
    assert_int_equal(wilor_mlx_module_open(&table, NULL), WILOR_OK);
    assert_int_equal(table->model_put(wilor_mlx_model_inside(mlx->network), WILOR_NET_INIT_CAM,
                                      0, &block, &e),
                     WILOR_MLX_OK);
}

int side_wide_of(const side *s) {
    const wilor_mlx_table *table;
    void *inside;
    int wide;
    wilor_mlx_session_inside(s->session->work, &table, &inside, &wide);
    return wide;
}
