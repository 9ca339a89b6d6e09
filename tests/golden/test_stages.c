/* Every stage of the network against upstream's tensors, on every kernel tier of this machine,
 * with one and two threads, which must give the same bits.
 *
 * Usage: test_stages committed|fixtures TIER. The committed tensors were made from rendered
 * hands and weights by formula; the fixtures' from photos and a real checkpoint, and are not in
 * the repository. */
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

/* Relative to max(1, largest reference value): what upstream's own float32 leaves against
 * float64 is 2.4e-6 on tokens and 8e-7 on outputs. */
#define TOKENS 2e-5
#define OUTPUTS 4e-6
#define METRES 1e-6

enum { HANDS = 2, PIXELS = 256 * 256 * 3 };

typedef struct reference {
    const char *name;
    char weights[512], mano[512], stages[512], pieces[512];
    int heads;
} reference;

typedef struct run {
    const reference *r;
    wilor_index *stages, *pieces; /* pieces: block 0 in a file of its own, or NULL */
    wilor_model *model;
    wilor_session *session;
    float *rgb;
    const char *tier;
    int threads;
} run;

static reference g_references[2];

/* ---------------------------------------------------------------- set-up */

static float *load_crops(const wilor_index *stages) {
    float *rgb = golden_f32(stages, "crop_bgr", NULL);
    for (size_t i = 0; i < (size_t)HANDS * PIXELS; i += 3) {
        float blue = rgb[i];
        rgb[i] = rgb[i + 2];
        rgb[i + 2] = blue;
    }
    return rgb;
}

static void open_run(run *t, const reference *r, wilor_isa isa, int threads, int full) {
    wilor_error err;
    wilor_model_options mo;
    wilor_session_options so;
    wilor_model_options_init(&mo, sizeof mo);
    wilor_session_options_init(&so, sizeof so);
    mo.weights = r->weights;
    mo.mano = r->mano[0] ? r->mano : NULL;
    mo.heads = r->heads;
    mo.max_isa = isa;
    mo.threads = threads;
    so.threads = threads;
    so.full_path = full;
    *t = (run){.r = r, .tier = wilor_isa_name(isa), .threads = threads};
    t->stages = golden_open(r->stages);
    if (golden_exists(r->pieces))
        t->pieces = golden_open(r->pieces);
    t->rgb = load_crops(t->stages);
    if (wilor_model_open(&t->model, &mo, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    if (wilor_session_create(&t->session, t->model, &so, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

static void close_run(run *t) {
    wilor_session_free(&t->session);
    wilor_model_free(&t->model);
    wilor_heap_free(t->rgb);
    wilor_index_close(&t->stages);
    wilor_index_close(&t->pieces);
}

static const wilor_hands *hands_of(run *t, const float *rgb, int n) {
    wilor_error err;
    const wilor_hands *hands;
    if (wilor_run(t->session, rgb, n, &hands, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(hands->n, n);
    return hands;
}

/* The file that has a reference tensor, or NULL. */
static const wilor_index *file_with(const run *t, const char *name) {
    if (wilor_index_find(t->stages, name))
        return t->stages;
    return t->pieces && wilor_index_find(t->pieces, name) ? t->pieces : NULL;
}

static void check(const run *t, const char *name, const float *got, size_t count,
                  double tolerance, size_t first) {
    char what[160];
    size_t total;
    const wilor_index *file = file_with(t, name);
    if (!file)
        return; /* hd80 stores fewer stages; tiny stores all */
    float *want = golden_f32(file, name, &total);
    assert_true(first + count <= total);
    snprintf(what, sizeof what, "%s %s %d thread%s: %s", t->r->name, t->tier, t->threads,
             t->threads > 1 ? "s" : "", name);
    golden_check(what, got, want + first, count, tolerance);
    wilor_heap_free(want);
}

/* ---------------------------------------------------------------- backbone */

/* Panels to rows. */
static float *unpack(const float *data, int mr, int rows, int cols) {
    float *out = wilor_heap_alloc((size_t)rows * (size_t)cols, sizeof *out);
    assert_non_null(out);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
            size_t at = (size_t)r * (size_t)cols + (size_t)c;
            size_t panel = mr ? (size_t)(r / mr) : 0;
            size_t from =
                mr ? (panel * (size_t)cols + (size_t)c) * (size_t)mr + (size_t)(r % mr) : at;
            out[at] = data[from];
        }
    return out;
}

static int g_traced;

static void on_stage(void *context, const char *stage, int block, const float *data, int mr,
                     int rows, int cols) {
    run *t = context;
    char name[64];
    int last = t->model->info.depth - 1;
    if (strcmp(stage, "tokens_in") == 0 || strcmp(stage, "tokens_out") == 0)
        snprintf(name, sizeof name, "%s", stage);
    else if (strcmp(stage, "block") == 0)
        snprintf(name, sizeof name, "block%d", block);
    else
        snprintf(name, sizeof name, "block%d.%s", block, stage);
    if (block == last && rows != HANDS * WILOR_TOKENS && rows != WILOR_TOKENS)
        return;
    float *rowed = unpack(data, mr, rows, cols);
    /* The whole last block is computed hand by hand. */
    size_t first =
        rows == WILOR_TOKENS ? (size_t)(g_traced / 1000) * (size_t)rows * (size_t)cols : 0;
    check(t, name, rowed, (size_t)rows * (size_t)cols, TOKENS, first);
    wilor_heap_free(rowed);
    g_traced += strcmp(stage, "tokens_out") == 0 ? 1000 : 1;
}

static void check_backbone(const reference *r, wilor_isa isa, int threads) {
    run t;
    open_run(&t, r, isa, threads, 1);
    wilor_cpu_session *work = t.session->work;
    work->vit.trace = on_stage;
    work->vit.trace_context = &t;
    g_traced = 0;
    hands_of(&t, t.rgb, HANDS);
    assert_true(g_traced > HANDS * 1000);
    close_run(&t);
}

/* One matrix on upstream's own input: what the traced run leaves out because it is fused. */
static void check_linear(run *t, const wilor_dense *dense, const wilor_row_order *order,
                         const char *input, const char *output) {
    const wilor_linear *w = &dense->w;
    size_t count;
    wilor_cpu_session *work = t->session->work;
    const wilor_index *file = file_with(t, input);
    if (!file)
        return;
    float *x = golden_f32(file, input, &count);
    int rows = (int)(count / (size_t)w->k);
    wilor_arena arena;
    wilor_acts acts;
    wilor_pages panels;
    wilor_arena_begin(&arena, NULL, 0);
    wilor_acts_push(&acts, dense->dot, rows, w->k, dense->slices, &arena);
    assert_true(wilor_pages_alloc(&panels, wilor_acts_bytes(&acts)));
    acts.panels = panels.data;
    int step = wilor_acts_step(dense->dot);
    for (int row = 0; row < rows; row += step)
        wilor_acts_put(&acts, x + (size_t)row * (size_t)w->k, (size_t)w->k, row,
                       rows - row < step ? rows - row : step, 0, w->k);
    float *out = wilor_heap_alloc((size_t)rows * (size_t)w->n, sizeof *out);
    wilor_product p = {.w = dense,
                       .a = &acts,
                       .rows = rows,
                       .finish = WILOR_FINISH_ADD,
                       .out = out,
                       .ldo = (size_t)w->n,
                       .room = (uint8_t *)work->vit.tiles,
                       .room_bytes = work->vit.tile_stride * sizeof(float)};
    wilor_product_run(&p, t->session->pool);
    float *row = wilor_heap_alloc((size_t)w->n, sizeof *row);
    for (int r = 0; r < rows; r++) {
        float *of = out + (size_t)r * (size_t)w->n;
        memcpy(row, of, (size_t)w->n * sizeof *row);
        for (int i = 0; i < w->n; i++)
            of[wilor_row_source(order, i)] = row[i];
    }
    wilor_heap_free(row);
    check(t, output, out, (size_t)rows * (size_t)w->n, TOKENS, 0);
    wilor_pages_free(&panels);
    wilor_heap_free(out);
    wilor_heap_free(x);
}

static void check_linears(const reference *r, wilor_isa isa, int threads) {
    run t;
    open_run(&t, r, isa, threads, 0);
    const wilor_cpu_model *m = t.model->network;
    const wilor_block *b = &m->vit.blocks[0];
    const wilor_row_order as_is = {0}, heads = {m->vit.heads, m->vit.width / m->vit.heads};
    check_linear(&t, &b->qkv, &heads, "block0.norm1", "block0.qkv");
    check_linear(&t, &b->proj, &as_is, "block0.attn_out", "block0.proj");
    check_linear(&t, &b->fc1, &as_is, "block0.norm2", "block0.fc1");
    check_linear(&t, &b->fc2, &as_is, "block0.gelu", "block0.fc2");
    close_run(&t);
}

/* ---------------------------------------------------------------- pose and RefineNet, hand by
 * hand */

static float *channels_first(const wilor_map *m) {
    size_t pixels = (size_t)m->rows * (size_t)m->cols, n = (size_t)m->channels;
    float *out = wilor_heap_alloc(pixels * n, sizeof *out);
    assert_non_null(out);
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < n; c++)
            out[c * pixels + p] = m->data[p * n + c];
    return out;
}

static void check_maps(run *t, size_t hand) {
    static const char *const tags[WILOR_MAPS] = {"64x48", "32x24", "16x12"};
    const wilor_refine_work *w = &((wilor_cpu_session *)t->session->work)->refine;
    char name[64];
    const float *features = w->features;
    for (int i = 0; i < WILOR_MAPS; i++) {
        const wilor_map *m = &w->map[i];
        size_t all = (size_t)m->rows * (size_t)m->cols * (size_t)m->channels;
        size_t xy = (size_t)w->vertices * 2, n = (size_t)m->channels;
        float *chw = channels_first(m);
        snprintf(name, sizeof name, "refine_map_%s", tags[i]);
        check(t, name, chw, all, TOKENS, hand * all);
        snprintf(name, sizeof name, "refine_xy_%s", tags[i]);
        check(t, name, w->xy + (size_t)i * xy, xy, TOKENS, hand * xy);
        snprintf(name, sizeof name, "refine_max_%s", tags[i]);
        check(t, name, features, n, TOKENS, hand * n);
        features += n;
        wilor_heap_free(chw);
    }
    size_t n = (size_t)(features - w->features);
    check(t, "refine_vert_feats", w->features, n, TOKENS, hand * n);
}

static void check_pose(run *t, size_t hand, const wilor_hands *h) {
    const wilor_cpu_model *m = t->model->network;
    wilor_cpu_session *work = t->session->work;
    size_t v = (size_t)h->vertices * 3;
    float pose[96], betas[10], cam[3], dpose[96] = {0}, dbetas[10] = {0}, dcam[3] = {0};
    float rotation[16 * 9], keypoints[63];
    float *verts = wilor_heap_alloc(v, sizeof *verts);
    float *scratch = wilor_heap_alloc(wilor_mano_scratch(m->mano), sizeof *scratch);
    wilor_vit_read_out(&m->vit, &work->vit, 1, WILOR_TOKENS, pose, betas, cam,
                       t->session->pool);
    wilor_refine_decode(&m->refine, &work->refine, dpose, dbetas, dcam, t->session->pool);
    check(t, "init_pose6d", pose, 96, OUTPUTS, hand * 96);
    check(t, "init_betas", betas, 10, OUTPUTS, hand * 10);
    check(t, "init_cam", cam, 3, OUTPUTS, hand * 3);
    check(t, "delta_pose6d", dpose, 96, OUTPUTS, hand * 96);
    check(t, "delta_betas", dbetas, 10, OUTPUTS, hand * 10);
    check(t, "delta_cam", dcam, 3, OUTPUTS, hand * 3);
    for (int i = 0; i < 16; i++)
        wilor_rotation_from_6d(pose + 6 * i, rotation + 9 * i);
    wilor_mano_forward(m->mano, rotation, betas, scratch, verts, NULL, keypoints);
    check(t, "init_global_orient_rotmat", rotation, 9, OUTPUTS, hand * 9);
    check(t, "init_hand_pose_rotmat", rotation + 9, 15 * 9, OUTPUTS, hand * 15 * 9);
    check(t, "init_verts", verts, v, METRES, hand * v);
    check(t, "init_joints21", keypoints, 63, METRES, hand * 63);
    check(t, "final_global_orient_rotmat", h->rotation, 9, OUTPUTS, hand * 9);
    check(t, "final_hand_pose_rotmat", h->rotation + 9, 15 * 9, OUTPUTS, hand * 15 * 9);
    wilor_heap_free(verts);
    wilor_heap_free(scratch);
}

static void check_hands(const reference *r, wilor_isa isa, int threads) {
    run t;
    open_run(&t, r, isa, threads, 1);
    for (size_t hand = 0; hand < HANDS; hand++) {
        const wilor_hands *h = hands_of(&t, t.rgb + hand * PIXELS, 1);
        check_maps(&t, hand);
        check_pose(&t, hand, h);
    }
    close_run(&t);
}

/* ---------------------------------------------------------------- outputs */

static void check_outputs(run *t, const wilor_hands *h) {
    size_t n = (size_t)h->n, v = (size_t)h->vertices * 3;
    check(t, "pred_cam", h->pred_cam, n * 3, OUTPUTS, 0);
    check(t, "betas", h->betas, n * 10, OUTPUTS, 0);
    check(t, "global_orient", h->global_orient, n * 3, OUTPUTS, 0);
    check(t, "hand_pose", h->hand_pose, n * 45, OUTPUTS, 0);
    check(t, "pred_keypoints_3d", h->keypoints_3d, n * 63, METRES, 0);
    check(t, "pred_vertices", h->vertices_3d, n * v, METRES, 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(h->failed[i], 0);
}

/* A copy of what must not change with the number of threads, nor with the batch. */
static float *copy_outputs(const wilor_hands *h, size_t *count) {
    size_t n = (size_t)h->n, v = (size_t)h->vertices * 3;
    *count = n * (v + 63 + 45 + 3 + 10 + 3);
    float *all = wilor_heap_alloc(*count, sizeof *all), *p = all;
    assert_non_null(all);
    for (size_t i = 0; i < n; i++) {
        const float *const parts[] = {h->vertices_3d + i * v, h->keypoints_3d + i * 63,
                                      h->hand_pose + i * 45,  h->global_orient + i * 3,
                                      h->betas + i * 10,      h->pred_cam + i * 3};
        const size_t sizes[] = {v, 63, 45, 3, 10, 3};
        for (size_t k = 0; k < 6; k++, p += sizes[k - 1])
            memcpy(p, parts[k], sizes[k] * sizeof *p);
    }
    return all;
}

static void check_same_bits(const reference *r, wilor_isa isa) {
    float *first = NULL;
    size_t count = 0;
    for (int threads = 1; threads <= 3; threads++) {
        run t;
        size_t n;
        open_run(&t, r, isa, threads, 0);
        const wilor_hands *h = hands_of(&t, t.rgb, HANDS);
        if (threads <= 2)
            check_outputs(&t, h);
        float *all = copy_outputs(h, &n);
        if (!first) {
            first = all;
            count = n;
        } else {
            assert_int_equal(n, count);
            assert_memory_equal(all, first, n * sizeof *all);
            wilor_heap_free(all);
        }
        /* One hand at a time: the same bits too. */
        for (size_t hand = 0; hand < HANDS; hand++) {
            all = copy_outputs(hands_of(&t, t.rgb + hand * PIXELS, 1), &n);
            assert_memory_equal(all, first + hand * n, n * sizeof *all);
            wilor_heap_free(all);
        }
        close_run(&t);
    }
    wilor_heap_free(first);
}

static void check_full_path(const reference *r, wilor_isa isa) {
    run t;
    open_run(&t, r, isa, 2, 1);
    check_outputs(&t, hands_of(&t, t.rgb, HANDS));
    close_run(&t);
}

/* ---------------------------------------------------------------- the tests */

static wilor_isa g_isa;

static void check_all(void (*one)(const reference *, wilor_isa, int)) {
    for (size_t i = 0; i < sizeof g_references / sizeof g_references[0]; i++)
        for (int threads = 1; threads <= 2; threads++)
            one(&g_references[i], g_isa, threads);
}

static void test_backbone(void **state) {
    (void)state;
    check_all(check_backbone);
}

static void test_linears(void **state) {
    (void)state;
    check_all(check_linears);
}

static void test_hands(void **state) {
    (void)state;
    check_all(check_hands);
}

static void test_outputs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof g_references / sizeof g_references[0]; i++) {
        check_same_bits(&g_references[i], g_isa);
        check_full_path(&g_references[i], g_isa);
    }
}

static void set_reference(reference *r, const char *folder, const char *name, int heads,
                          int committed) {
    *r = (reference){.name = name, .heads = heads};
    snprintf(r->stages, sizeof r->stages, "%s/%s/stages.npz", folder, name);
    snprintf(r->pieces, sizeof r->pieces, "%s/%s/block0.npz", folder, name);
    if (committed) {
        snprintf(r->weights, sizeof r->weights, "random:%s", name);
        snprintf(r->mano, sizeof r->mano, "%s/hand-cc0.npz", folder);
    } else {
        snprintf(r->weights, sizeof r->weights, "%s/%s/wilor_%s.ckpt", folder, name, name);
    }
}

static wilor_isa tier_named(const char *name) {
    static const wilor_isa all[] = {WILOR_ISA_C, WILOR_ISA_AVX2, WILOR_ISA_AVX512,
                                    WILOR_ISA_NEON, WILOR_ISA_ACCELERATE};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(name, wilor_isa_name(all[i])) == 0)
            return all[i];
    return WILOR_ISA_AUTO;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s committed|fixtures TIER\n", argv[0]);
        return 2;
    }
    int committed = strcmp(argv[1], "committed") == 0;
    const char *folder = committed ? WILOR_TEST_DATA : WILOR_TEST_FIXTURES;
    set_reference(&g_references[0], folder, "tiny", 4, committed);
    set_reference(&g_references[1], folder, "hd80", 2, committed);
    g_isa = tier_named(argv[2]);
    if (g_isa == WILOR_ISA_AUTO || !wilor_kernels_get(g_isa)) {
        printf("skipped: this machine has no tier %s\n", argv[2]);
        return 77;
    }
    if (!golden_exists(g_references[0].stages)) {
        printf("skipped: no reference tensors at %s\n", g_references[0].stages);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backbone), cmocka_unit_test(test_linears),
        cmocka_unit_test(test_hands), cmocka_unit_test(test_outputs)};
    return cmocka_run_group_tests_name("stages", tests, NULL, NULL);
}
