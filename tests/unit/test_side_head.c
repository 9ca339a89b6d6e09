/* The side head: its logit against a plain sum over the tokens, on both routes; files with one and without,
 * damaged, converted, packed; and the second look at a hand whose side a detector said, and how sure it was of it. The heads
 * are made to tell one box's crop from its mirror image. */
#include "backend_cpu.h"
#include "convert_file.h"
#include "extend_file.h"
#include "golden.h"
#include "loose_detect.h"
#include "model_impl.h"
#include "random_weights.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANO WILOR_TEST_DATA "/hand-cc0.npz"
#define PLAIN WILOR_TEST_SCRATCH "/side-plain.safetensors"
#define HEADED WILOR_TEST_SCRATCH "/side-headed.safetensors"
#define OTHER WILOR_TEST_SCRATCH "/side-other.safetensors"
#define PACKED WILOR_TEST_SCRATCH "/side-packed"

enum {
    WIDTH = 200,
    HEIGHT = 150,
    D = 64, /* random:tiny's */
    INPUTS = WILOR_LEAD * D,
    CROP = 256 * 256 * 3,
    HANDS = 3,
    MOST = 8,
    BOXES = 5
};

/* What pipeline.c takes the odds of a caller's detector for. */
static const float UNTOLD = 3.0f;

static uint8_t g_pixels[HEIGHT * WIDTH * 3];
static const wilor_picture g_picture = {g_pixels, WIDTH, HEIGHT, WIDTH * 3, WILOR_RGB8};
static wilor_box g_box = {{60, 40, 140, 110}, 0.75f, WILOR_RIGHT};
static float g_crops[HANDS * CROP], g_weight[INPUTS], g_bias;

/* ---------------------------------------------------------------- files */

/* PLAIN with further tensors. */
static void extend(const char *to, const extra *extras, int count) {
    assert_true(extend_file(PLAIN, to, extras, count));
}

static extra weight_of(int inputs) { return side_head_weight(g_weight, inputs); }

static extra bias_of(int count) {
    static float values[2];
    values[0] = g_bias;
    return side_head_bias(values, count);
}

/* HEADED, of g_weight and g_bias. */
static void write_headed(void) { extend(HEADED, (extra[]){weight_of(INPUTS), bias_of(1)}, 2); }

/* ---------------------------------------------------------------- models */

static wilor_status try_model(wilor_model **model, const char *weights, const char *mano,
                              const char *packed, wilor_error *err) {
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = weights;
    o.mano = mano;
    o.packed = packed;
    *model = NULL;
    return wilor_model_open(model, &o, err);
}

static wilor_model *open_model(const char *weights) {
    wilor_error err;
    wilor_model *model;
    if (try_model(&model, weights, MANO, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return model;
}

static wilor_session *open_session(const wilor_model *m, int batch, int full,
                                   wilor_compat compat) {
    wilor_error err;
    wilor_session *s = NULL;
    wilor_session_options o;
    wilor_session_options_init(&o, sizeof o);
    o.threads = 2;
    o.batch = batch;
    o.full_path = full;
    o.compat = compat;
    if (wilor_session_create(&s, m, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return s;
}

/* The leading tokens of the hands of a run. */
typedef struct taken {
    float tokens[HANDS][INPUTS];
    int each, n;
} taken;

static void take_tokens(void *context, const char *stage, int block, const float *data, int mr,
                        int rows, int cols) {
    taken *t = context;
    (void)block;
    (void)mr;
    if (strcmp(stage, "tokens_out") != 0)
        return;
    assert_int_equal(cols, D);
    for (int row = 0; row < rows && t->n < HANDS; row += t->each)
        memcpy(t->tokens[t->n++], data + (size_t)row * D, sizeof t->tokens[0]);
}

static void watch(wilor_session *s, taken *t, int full) {
    wilor_vit_work *w = &((wilor_cpu_session *)s->work)->vit;
    *t = (taken){.each = full ? WILOR_TOKENS : WILOR_LEAD + 4};
    w->trace = take_tokens;
    w->trace_context = t;
}

/* Logits of g_crops, `batch` at a time, beside what their tokens say. */
static void run_backend(const wilor_model *m, int batch, int full, float *logit, taken *t) {
    wilor_error err;
    wilor_session *s = open_session(m, batch, full, WILOR_COMPAT_MINI);
    watch(s, t, full);
    for (int i = 0; i < HANDS; i += batch) {
        wilor_backend_result r = wilor_session_result(s, i, logit + i);
        t->n = i; /* tokens of hands that need more patches come twice */
        if (m->backend->run(s->work, g_crops + (size_t)i * CROP, NULL, batch, NULL, &r, &err) !=
            WILOR_OK)
            fail_msg("%s", err.text);
    }
    wilor_session_free(&s);
}

/* ---------------------------------------------------------------- the logit */

static void random_head(void) {
    wilor_random_fill("side_head.weight", 3, 0.05f, 0, 0, INPUTS, g_weight);
    g_bias = 0.25f;
    write_headed();
}

static double plain_logit(const float *tokens) {
    double sum = g_bias;
    for (int i = 0; i < INPUTS; i++)
        sum += (double)g_weight[i] * tokens[i];
    return sum;
}

static void test_logit(void **state) {
    (void)state;
    static taken t;
    float first[HANDS];
    random_head();
    wilor_model *m = open_model(HEADED);
    assert_true(m->backend->tells_side(m->network));
    for (int full = 0; full < 2; full++)
        for (int batch = 1; batch <= HANDS; batch += HANDS - 1) {
            float logit[HANDS];
            run_backend(m, batch, full, logit, &t);
            assert_int_equal(t.n, HANDS);
            for (int i = 0; i < HANDS; i++) {
                double want = plain_logit(t.tokens[i]);
                if (!(fabs(logit[i] - want) <= 1e-4 * fabs(want)))
                    fail_msg("full %d, batch %d, hand %d: %g, not %g", full, batch, i,
                             (double)logit[i], want);
                if (!full && batch == 1)
                    first[i] = logit[i];
            }
            if (!full)
                assert_memory_equal(logit, first, sizeof first);
        }
    assert_true(first[0] != first[1] && first[1] != first[2]);
    wilor_model_free(&m);
}

/* Without a head there is no logit; with one, nothing else is different. */
static void test_without(void **state) {
    (void)state;
    static taken t;
    wilor_error err;
    float logit[HANDS];
    const wilor_hands *a, *b;
    random_head();
    wilor_model *plain = open_model(PLAIN), *headed = open_model(HEADED);
    assert_false(plain->backend->tells_side(plain->network));
    run_backend(plain, HANDS, 0, logit, &t);
    for (int i = 0; i < HANDS; i++)
        assert_true(isnan(logit[i]));
    assert_int_equal(headed->info.parameters, plain->info.parameters + INPUTS + 1);
    wilor_session *s = open_session(plain, 2, 0, WILOR_COMPAT_MINI),
                  *h = open_session(headed, 2, 0, WILOR_COMPAT_MINI);
    assert_null(s->side_logit);
    assert_non_null(h->side_logit);
    assert_true(wilor_session_memory(headed, NULL) > wilor_session_memory(plain, NULL));
    assert_int_equal(wilor_run(s, g_crops, HANDS, &a, &err), WILOR_OK);
    assert_int_equal(wilor_run(h, g_crops, HANDS, &b, &err), WILOR_OK);
    size_t v = (size_t)a->vertices;
    assert_memory_equal(a->vertices_3d, b->vertices_3d, HANDS * v * 3 * sizeof(float));
    assert_memory_equal(a->rotation, b->rotation, HANDS * 144 * sizeof(float));
    assert_memory_equal(a->pred_cam, b->pred_cam, HANDS * 3 * sizeof(float));
    wilor_session_free(&s);
    wilor_session_free(&h);
    wilor_model_free(&plain);
    wilor_model_free(&headed);
}

/* ---------------------------------------------------------------- files with a head */

static char g_log[4096];

static void add_log(void *user, wilor_log_level level, const char *text) {
    size_t n = strlen(g_log);
    (void)user;
    (void)level;
    snprintf(g_log + n, sizeof g_log - n, "%s\n", text);
}

static void expect_refused(const char *name) {
    wilor_error err;
    wilor_model *m;
    wilor_callbacks calls = {.log = add_log};
    assert_int_equal(try_model(&m, OTHER, MANO, NULL, &err), WILOR_ERR_MODEL);
    assert_null(m);
    if (!strstr(err.text, name))
        fail_msg("'%s' is not in: %s", name, err.text);
    assert_int_equal(
        convert_file(OTHER, PACKED, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F32, 0, &err),
        WILOR_ERR_MODEL);
    assert_non_null(strstr(err.text, "side_head"));
    g_log[0] = 0;
    assert_int_equal(wilor_verify(OTHER, &calls, &err), WILOR_ERR_MODEL);
    assert_non_null(strstr(g_log, "side_head"));
}

static void test_refused(void **state) {
    (void)state;
    random_head();
    extend(OTHER, (extra[]){weight_of(INPUTS)}, 1);
    expect_refused("side_head.bias");
    extend(OTHER, (extra[]){bias_of(1)}, 1);
    expect_refused("side_head.weight");
    extend(OTHER, (extra[]){weight_of(INPUTS - 4), bias_of(1)}, 2);
    expect_refused("side_head.weight");
    extend(OTHER, (extra[]){weight_of(INPUTS), bias_of(2)}, 2);
    expect_refused("side_head.bias");
    extra turned = weight_of(INPUTS); /* as many numbers, but a row a token */
    turned.shape[0] = WILOR_LEAD;
    turned.shape[1] = D;
    extend(OTHER, (extra[]){turned, bias_of(1)}, 2);
    expect_refused("side_head.weight");
}

/* Another model's file that only lends its hand lends no head. */
static void test_lent_hand(void **state) {
    (void)state;
    wilor_error err;
    wilor_model *m;
    wilor_index *hand = golden_open(MANO);
    assert_int_equal(wilor_index_canonical(hand, &err), WILOR_OK);
    extra extras[16] = {weight_of(INPUTS), bias_of(1)};
    int n = 2;
    for (size_t i = 0; i < wilor_index_count(hand); i++) {
        const wilor_tensor *t = wilor_index_at(hand, i);
        bool whole = t->dtype >= WILOR_I64;
        if (strncmp(t->name, "mano.", 5) != 0)
            continue;
        size_t size = t->count * (whole ? sizeof(int64_t) : sizeof(float));
        void *data = malloc(size);
        assert_int_equal(whole ? wilor_tensor_to_i64(t, data, &err)
                               : wilor_tensor_to_f32(t, data, &err),
                         WILOR_OK);
        assert_true(n < 16 && t->rank <= 4);
        extras[n] = (extra){t->name, t->rank, {0}, data, size, whole};
        memcpy(extras[n++].shape, t->shape, (size_t)t->rank * sizeof t->shape[0]);
    }
    extend(OTHER, extras, n);
    if (try_model(&m, OTHER, NULL, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_true(m->backend->tells_side(m->network));
    wilor_model_free(&m);
    if (convert_file("random:hd80", PACKED, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F32, 0,
                     &err) != WILOR_OK ||
        try_model(&m, PACKED, OTHER, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_false(m->backend->tells_side(m->network));
    wilor_model_free(&m);
    for (int i = 2; i < n; i++)
        free((void *)(uintptr_t)extras[i].data);
    wilor_index_close(&hand);
}

/* The head in a file: its type, and its numbers to within `share` of each. */
static void expect_kept(const char *path, const char *dtype, double share) {
    wilor_error err;
    wilor_file *f = NULL;
    wilor_tensor_info info;
    float values[INPUTS];
    int found = 0;
    assert_int_equal(wilor_file_open(&f, path, &err), WILOR_OK);
    for (size_t i = 0; wilor_file_tensor(f, i, &info) == WILOR_OK; i++) {
        if (strcmp(info.name, "side_head.bias") == 0) {
            assert_true(info.rank == 1 && info.shape[0] == 1);
            assert_string_equal(info.dtype, "F32");
            assert_int_equal(wilor_file_read(f, i, values, 1, &err), WILOR_OK);
            assert_true(values[0] == g_bias);
            found++;
        }
        if (strcmp(info.name, "side_head.weight") != 0)
            continue;
        assert_true(info.rank == 2 && info.shape[0] == 1 && info.shape[1] == INPUTS);
        assert_string_equal(info.dtype, dtype);
        assert_int_equal(wilor_file_read(f, i, values, INPUTS, &err), WILOR_OK);
        for (int k = 0; k < INPUTS; k++)
            assert_true(fabs((double)values[k] - g_weight[k]) <=
                        share * fabs((double)g_weight[k]) + 1e-7 * (share > 0));
        found++;
    }
    assert_int_equal(found, 2);
    wilor_file_close(&f);
}

static size_t tensors_of(const char *path) {
    wilor_error err;
    wilor_file *f = NULL;
    assert_int_equal(wilor_file_open(&f, path, &err), WILOR_OK);
    size_t n = wilor_file_count(f);
    wilor_file_close(&f);
    return n;
}

static void test_convert(void **state) {
    (void)state;

    static const struct {
        wilor_weights_dtype dtype;
        const char *stored;
        double share;
    } types[] = {{WILOR_WEIGHTS_F32, "F32", 0},
                 {WILOR_WEIGHTS_F16, "F16", 0x1p-11},
                 {WILOR_WEIGHTS_BF16, "BF16", 0x1p-8},
                 {WILOR_WEIGHTS_INT8, "F32", 0},
                 {WILOR_WEIGHTS_INT4, "F32", 0}};

    static taken t;
    random_head();
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (int mlx = 0; mlx < 2; mlx++) {
            wilor_error err;
            wilor_callbacks calls = {.log = add_log};
            float logit[HANDS];
            if (convert_file(HEADED, OTHER, mlx ? WILOR_WEIGHTS_MLX : WILOR_WEIGHTS_CHECKPOINT,
                             types[i].dtype, 0, &err) != WILOR_OK)
                fail_msg("%s", err.text);
            expect_kept(OTHER, types[i].stored, types[i].share);
            g_log[0] = 0;
            if (wilor_verify(OTHER, &calls, &err) != WILOR_OK)
                fail_msg("%s%s", g_log, err.text);
            wilor_model *m = open_model(OTHER);
            run_backend(m, 1, 0, logit, &t);
            double want = plain_logit(t.tokens[0]);
            assert_true(fabs(logit[0] - want) <= 0.01 * (1 + fabs(want)));
            wilor_model_free(&m);
        }
    /* Beside all others; 16 bits stay 16 bits where the blocks are quantised. */
    wilor_error err;
    assert_int_equal(
        convert_file(HEADED, OTHER, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F32, 0, &err),
        WILOR_OK);
    assert_int_equal(tensors_of(OTHER), tensors_of(PLAIN) + 2);
    assert_int_equal(
        convert_file(HEADED, OTHER, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F16, 0, &err),
        WILOR_OK);
    assert_int_equal(
        convert_file(OTHER, PACKED, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT8, 0, &err),
        WILOR_OK);
    expect_kept(PACKED, "F16", 0x1p-11);
}

static int write_packed(void *user, const void *data, size_t size) {
    return fwrite(data, 1, size, user) != size;
}

static void test_packed(void **state) {
    (void)state;
    static taken t;
    wilor_error err;
    float want[HANDS], got[HANDS];
    random_head();
    wilor_model *m = open_model(HEADED);
    run_backend(m, HANDS, 0, want, &t);
    FILE *f = fopen(PACKED, "wb");
    assert_non_null(f);
    assert_int_equal(wilor_model_save_packed(m, write_packed, f, &err), WILOR_OK);
    assert_int_equal(fclose(f), 0);
    wilor_model_free(&m);
    assert_int_equal(try_model(&m, HEADED, MANO, PACKED, &err), WILOR_OK);
    assert_true(m->info.from_packed && m->backend->tells_side(m->network));
    run_backend(m, HANDS, 0, got, &t);
    assert_memory_equal(got, want, sizeof want);
    wilor_model_free(&m);
}

/* ---------------------------------------------------------------- the second look */

/* A detector that sees one hand many times, of these sides. */
typedef struct finder {
    wilor_side side[MOST];
    int n;
} finder;

static int find(void *user, const wilor_picture *picture, wilor_box *boxes, float *keypoints,
                int most) {
    const finder *f = user;
    (void)picture;
    (void)keypoints;
    assert_true(f->n <= most);
    for (int i = 0; i < f->n; i++) {
        boxes[i] = g_box;
        boxes[i].side = f->side[i];
    }
    return f->n;
}

static wilor_pipeline *open_pipeline(const wilor_model *m, finder *f, wilor_compat compat,
                                     int batch) {
    wilor_error err;
    wilor_pipeline *p = NULL;
    wilor_pipeline_options o;
    wilor_pipeline_options_init(&o, sizeof o);
    o.threads = 2;
    o.max_hands = MOST;
    o.batch = batch;
    o.compat = compat;
    o.find = find;
    o.find_user = f;
    if (wilor_pipeline_create(&p, NULL, m, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return p;
}

/* HEADED so that g_box's crop as a right hand has the logit `right`, as a left one `left`. */
static void make_head(float right, float left) {
    static taken t[2];
    wilor_error err;
    const wilor_hands *h;
    double sum = 0, at = 0;
    wilor_model *m = open_model(PLAIN);
    wilor_session *s = open_session(m, 1, 0, WILOR_COMPAT_MINI);
    for (int i = 0; i < 2; i++) {
        wilor_box box = g_box;
        box.side = i ? WILOR_LEFT : WILOR_RIGHT;
        watch(s, &t[i], 0);
        assert_int_equal(wilor_predict_boxes(s, &g_picture, &box, 1, NULL, &h, &err), WILOR_OK);
    }
    for (int i = 0; i < INPUTS; i++)
        sum += pow((double)t[0].tokens[0][i] - t[1].tokens[0][i], 2);
    assert_true(sum > 0);
    for (int i = 0; i < INPUTS; i++) {
        double apart = (double)t[0].tokens[0][i] - t[1].tokens[0][i];
        g_weight[i] = (float)((right - left) * apart / sum);
        at += (double)g_weight[i] * t[0].tokens[0][i];
    }
    g_bias = (float)(right - at);
    wilor_session_free(&s);
    wilor_model_free(&m);
    write_headed();
}

/* What the box gives when it is asked for as this side's. */
typedef struct answer {
    float keypoints[63], points[42], vertices[3 * 778], rotation[144], betas[10], cam[3],
        cam_t[3], orient[3], pose[45];
    uint8_t side;
} answer;

static void read_answer(answer *to, const wilor_hands *h, int i) {
    size_t k = (size_t)i, v = (size_t)h->vertices * 3;
    memset(to, 0, sizeof *to);
    assert_true(v * sizeof(float) <= sizeof to->vertices);
    memcpy(to->keypoints, h->keypoints_3d + k * 63, sizeof to->keypoints);
    memcpy(to->points, h->keypoints_2d + k * 42, sizeof to->points);
    memcpy(to->vertices, h->vertices_3d + k * v, v * sizeof(float));
    memcpy(to->rotation, h->rotation + k * 144, sizeof to->rotation);
    memcpy(to->betas, h->betas + k * 10, sizeof to->betas);
    memcpy(to->cam, h->pred_cam + k * 3, sizeof to->cam);
    memcpy(to->cam_t, h->cam_t + k * 3, sizeof to->cam_t);
    memcpy(to->orient, h->global_orient + k * 3, sizeof to->orient);
    memcpy(to->pose, h->hand_pose + k * 45, sizeof to->pose);
    to->side = h->side[i];
}

static void ask(answer *to, wilor_pipeline *p, wilor_side side,
                const wilor_predict_options *o) {
    wilor_error err;
    const wilor_hands *h;
    wilor_box box = g_box;
    box.side = side;
    assert_int_equal(
        wilor_predict_boxes(wilor_pipeline_session(p), &g_picture, &box, 1, o, &h, &err),
        WILOR_OK);
    read_answer(to, h, 0);
}

/* A run on `given` boxes of the caller's, left ones, and those found. */
static const wilor_hands *look(wilor_pipeline *p, int given, wilor_side forced,
                               const wilor_predict_options *o) {
    wilor_error err;
    const wilor_hands *h;
    wilor_detect_options detect;
    wilor_box boxes[MOST];
    wilor_detect_options_init(&detect, sizeof detect);
    detect.force_side = forced;
    for (int i = 0; i < given; i++) {
        boxes[i] = g_box;
        boxes[i].side = WILOR_LEFT;
    }
    /* A second look leaves another number here. */
    if (wilor_pipeline_session(p)->second.side_logit)
        wilor_pipeline_session(p)->second.side_logit[0] = NAN;
    if (wilor_pipeline_run(p, &g_picture, boxes, given, &detect, o, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return h;
}

static bool looked_twice(wilor_pipeline *p) {
    return !isnan(wilor_pipeline_session(p)->second.side_logit[0]);
}

/* One hand that the caller's detector takes for `found`; the network's logits for both. */
static void expect_side(float right, float left, wilor_side found, wilor_side want,
                        bool twice) {
    answer expected, got;
    finder f = {{found}, 1};
    make_head(right, left);
    wilor_model *m = open_model(HEADED);
    wilor_pipeline *p = open_pipeline(m, &f, WILOR_COMPAT_MINI, 0);
    ask(&expected, p, want, NULL);
    const wilor_hands *h = look(p, 0, 0, NULL);
    read_answer(&got, h, 0);
    if (got.side != (uint8_t)want || looked_twice(p) != twice)
        fail_msg("logits %g and %g, found %d: side %d, %s", (double)right, (double)left,
                 (int)found, (int)got.side, looked_twice(p) ? "twice" : "once");
    assert_memory_equal(&got, &expected, sizeof got);
    assert_true(h->detected[0] && h->score[0] == g_box.score);
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
}

static void test_turn(void **state) {
    (void)state;
    const float half = UNTOLD / 2;
    expect_side(5, -5, WILOR_LEFT, WILOR_RIGHT, true);
    expect_side(-5, 5, WILOR_RIGHT, WILOR_LEFT, true);
    expect_side(5, -5, WILOR_RIGHT, WILOR_RIGHT, false);
    expect_side(-5, 5, WILOR_LEFT, WILOR_LEFT, false);
    /* Not for a mirror image: no question. */
    expect_side(0.1f, 9, WILOR_RIGHT, WILOR_RIGHT, false);
    /* Both for mirror images: which is less so counts. */
    expect_side(-0.1f, 2 * half, WILOR_RIGHT, WILOR_LEFT, true);
    expect_side(-2 * half - 3, -2, WILOR_RIGHT, WILOR_LEFT, true);
    expect_side(half - 0.05f, -half + 0.05f, WILOR_LEFT, WILOR_LEFT, true);
    expect_side(half + 0.05f, -half - 0.05f, WILOR_LEFT, WILOR_RIGHT, true);
    g_box.score = 0.5f; /* says nothing of the side */
    expect_side(half - 0.05f, -half + 0.05f, WILOR_LEFT, WILOR_LEFT, true);
    expect_side(half + 0.05f, -half - 0.05f, WILOR_LEFT, WILOR_RIGHT, true);
    g_box.score = 0.75f;
}

/* One box as a left hand's, BOXES times with these odds, whose logit is `above` higher as a right one. */
static void expect_turns(float above, const float *odds, const bool *turns) {
    wilor_error err;
    const wilor_hands *h;
    wilor_box boxes[BOXES];
    make_head(above - 1, -1);
    for (int i = 0; i < BOXES; i++) {
        boxes[i] = g_box;
        boxes[i].side = WILOR_LEFT;
    }
    wilor_model *m = open_model(HEADED);
    for (int batch = 1; batch <= BOXES; batch += 2) {
        wilor_session *s = open_session(m, batch, 0, WILOR_COMPAT_MINI);
        if (wilor_predict_doubted(s, &g_picture, boxes, odds, BOXES, NULL, &h, &err) !=
            WILOR_OK)
            fail_msg("%s", err.text);
        for (int i = 0; i < BOXES; i++)
            if (h->side[i] != (turns[i] ? WILOR_RIGHT : WILOR_LEFT))
                fail_msg("odds %g, %g above, batch %d: side %d", (double)odds[i], (double)above,
                         batch, h->side[i]);
        wilor_session_free(&s);
    }
    wilor_model_free(&m);
}

static void test_odds(void **state) {
    (void)state;
    /* What turns boxes of odds 0, 1, 4. */
    const float small = 0.1f, some = 1.1f, much = 4.1f;
    const float odds[BOXES] = {4, 0, INFINITY, 1, 4};
    expect_turns(small, odds, (const bool[BOXES]){false, true, false, false, false});
    expect_turns(some, odds, (const bool[BOXES]){false, true, false, true, false});
    expect_turns(much, odds, (const bool[BOXES]){true, true, false, true, true});
    /* As much below as that, so that each number has two sides. */
    expect_turns(-small, odds, (const bool[BOXES]){false});
    expect_turns(some - 0.2f, odds, (const bool[BOXES]){false, true, false, false, false});
    expect_turns(much - 0.2f, odds, (const bool[BOXES]){false, true, false, true, false});
    expect_turns(50, (const float[BOXES]){NAN, INFINITY, INFINITY, INFINITY, NAN},
                 (const bool[BOXES]){false});
}

/* Some of a batch, beside boxes of the caller's, whose side nobody doubts. */
static void test_batches(void **state) {
    (void)state;
    static answer right, left, got;
    finder f = {{WILOR_RIGHT, WILOR_LEFT, WILOR_RIGHT, WILOR_LEFT, WILOR_LEFT}, 5};
    make_head(5, -5);
    wilor_model *m = open_model(HEADED);
    for (int batch = 1; batch <= 4; batch++) {
        wilor_pipeline *p = open_pipeline(m, &f, WILOR_COMPAT_MINI, batch);
        ask(&right, p, WILOR_RIGHT, NULL);
        ask(&left, p, WILOR_LEFT, NULL);
        long before = wilor_heap_calls();
        const wilor_hands *h = look(p, 2, 0, NULL);
        assert_int_equal(wilor_heap_calls(), before);
        assert_true(h->n == 7 && looked_twice(p));
        for (int i = 0; i < h->n; i++) {
            read_answer(&got, h, i);
            assert_memory_equal(&got, i < 2 ? &left : &right, sizeof got);
        }
        f.n = 0;
        h = look(p, 1, 0, NULL);
        assert_true(h->n == 1 && h->side[0] == WILOR_LEFT && !looked_twice(p));
        f.n = 5;
        wilor_pipeline_free(&p);
    }
    wilor_model_free(&m);
    /* Not enough for what they count as, whatever comes before them. */
    make_head(UNTOLD / 2 - 0.05f, UNTOLD / -2 + 0.05f);
    m = open_model(HEADED);
    wilor_pipeline *p = open_pipeline(m, &f, WILOR_COMPAT_MINI, 0);
    const wilor_hands *h = look(p, 2, 0, NULL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(h->side[2 + i], f.side[i]);
    assert_true(looked_twice(p));
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
}

/* ---------------------------------------------------------------- odds of a detector of ours */

static wilor_pipeline *open_detecting(wilor_detector **d, const wilor_model *m) {
    wilor_error err;
    wilor_pipeline *p = NULL;
    wilor_detector_options o;
    wilor_pipeline_options po;
    wilor_detector_options_init(&o, sizeof o);
    o.detector = "random:micro";
    wilor_pipeline_options_init(&po, sizeof po);
    po.threads = 2;
    po.max_hands = BOXES;
    if (wilor_detector_open(d, &o, &err) != WILOR_OK ||
        wilor_pipeline_create(&p, *d, m, &po, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return p;
}

static double logit_of(float score) { return log((double)score) - log1p(-(double)score); }

/* Of what is found in a picture as the network sees it, with a raw column that is known by its score. */
static void test_found_odds(void **state) {
    (void)state;
    wilor_error err;
    wilor_detector *d = NULL;
    wilor_model *m = open_model(PLAIN);
    wilor_pipeline *p = open_detecting(&d, m);
    wilor_picture picture = g_picture;
    wilor_detect_options o = loose_detect(BOXES);
    wilor_box found[BOXES];
    const wilor_box *boxes;
    const float *points, *odds, *raw;
    float told[BOXES], least = INFINITY, most = 0;
    int n, anchors, matched = 0;
    picture.width = 160;
    picture.height = 128;
    if (wilor_pipeline_find(p, &picture, &o, &boxes, &points, &odds, &n, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_true(n > 2 && n <= BOXES);
    memcpy(found, boxes, (size_t)n * sizeof *boxes);
    memcpy(told, odds, (size_t)n * sizeof *odds);
    assert_int_equal(wilor_detect_raw(p, &picture, &raw, &anchors, &err), WILOR_OK);
    for (int i = 0; i < n; i++) {
        const float *own = raw + (4 + (int)found[i].side) * anchors;
        const float *other = raw + (5 - (int)found[i].side) * anchors;
        for (int a = 0; a < anchors; a++) {
            double want = logit_of(own[a]) - logit_of(other[a]);
            if (own[a] != found[i].score)
                continue;
            if (!(fabs((double)told[i] - want) <= 1e-4 * (1 + want)))
                fail_msg("hand %d: odds %g, not %g", i, (double)told[i], want);
            matched++;
        }
        least = fminf(least, told[i]);
        most = fmaxf(most, told[i]);
    }
    assert_true(matched == n && least >= 0 && most > least + 0.1f);
    wilor_pipeline_free(&p);
    wilor_detector_free(&d);
    wilor_model_free(&m);
}

/* How much more the box is of the side that it is not. */
static float above_of(wilor_session *s, const wilor_box *box) {
    wilor_error err;
    const wilor_hands *h;
    const float odds = 1e9f;
    s->second.side_logit[0] = NAN;
    if (wilor_predict_doubted(s, &g_picture, box, &odds, 1, NULL, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_true(h->side[0] == (uint8_t)box->side && isfinite(s->second.side_logit[0]));
    return s->second.side_logit[0] - s->side_logit[0];
}

/* HEADED looks twice at everything, and a margin is `scale` times what random_head's is. */
static void scale_head(float scale) {
    random_head();
    for (int i = 0; i < INPUTS; i++)
        g_weight[i] *= scale;
    g_bias = -1e4f;
    write_headed();
}

/* Behind a box of the caller's, each hand has its own odds. */
static void test_own_odds(void **state) {
    (void)state;
    wilor_error err;
    wilor_box box = g_box;
    wilor_detect_options o = loose_detect(BOXES - 1);
    box.side = WILOR_LEFT;
    int turned = 0, all = 0;
    for (float scale = 1; scale <= 4096; scale *= 8) {
        wilor_detector *d = NULL;
        wilor_box found[BOXES];
        const wilor_box *boxes;
        const float *points, *odds;
        const wilor_hands *h;
        bool turns[BOXES];
        int n;
        scale_head(scale);
        wilor_model *m = open_model(HEADED);
        wilor_pipeline *p = open_detecting(&d, m);
        if (wilor_pipeline_find(p, &g_picture, &o, &boxes, &points, &odds, &n, &err) !=
            WILOR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(n, BOXES - 1);
        memcpy(found, boxes, (size_t)n * sizeof *boxes);
        for (int i = 0; i < n; i++) {
            float above = above_of(wilor_pipeline_session(p), &found[i]);
            turns[i] = above > odds[i];
            turned += turns[i];
        }
        if (wilor_pipeline_run(p, &g_picture, &box, 1, &o, NULL, &h, &err) != WILOR_OK)
            fail_msg("%s", err.text);
        assert_true(h->n == BOXES && h->side[0] == WILOR_LEFT);
        for (int i = 0; i < n; i++, all++)
            if ((h->side[1 + i] != (uint8_t)found[i].side) != turns[i])
                fail_msg("scale %g, hand %d, odds %g", (double)scale, i, (double)odds[i]);
        wilor_pipeline_free(&p);
        wilor_detector_free(&d);
        wilor_model_free(&m);
    }
    assert_true(turned > 2 && turned < all - 2);
}

/* A selfie, times, a side that is the caller's word, and wilor-mlx, which has no second look. */
static void test_options(void **state) {
    (void)state;
    static answer want, got;
    finder f = {{WILOR_LEFT}, 1};
    wilor_predict_options o;
    wilor_predict_options_init(&o, sizeof o);
    make_head(5, -5);
    wilor_model *m = open_model(HEADED);
    wilor_pipeline *p = open_pipeline(m, &f, WILOR_COMPAT_MINI, 0);
    o.mirrored = 1;
    ask(&want, p, WILOR_RIGHT, &o);
    const wilor_hands *h = look(p, 0, 0, &o);
    read_answer(&got, h, 0);
    assert_memory_equal(&got, &want, sizeof got);
    assert_int_equal(got.side, WILOR_LEFT);
    assert_true(looked_twice(p));
    for (int i = 0; i < 3; i++)
        assert_true(h->stage_ms[i] > 0);
    double sum = h->stage_ms[0] + h->stage_ms[1] + h->stage_ms[2];
    assert_true(fabs(sum - h->stage_ms[3]) < 1e-6);
    h = look(p, 0, 1 + WILOR_LEFT, NULL);
    assert_true(h->side[0] == WILOR_LEFT && !looked_twice(p));
    wilor_pipeline_free(&p);
    p = open_pipeline(m, &f, WILOR_COMPAT_MLX, 0);
    assert_null(wilor_pipeline_session(p)->side_logit);
    assert_int_equal(look(p, 0, 0, NULL)->side[0], WILOR_LEFT);
    wilor_pipeline_free(&p);
    wilor_model_free(&m);
}

/* A stream whose detector is wrong all the time: the hand is of the model's side from its first picture on. */
static void test_tracker(void **state) {
    (void)state;
    wilor_error err;
    const wilor_tracks *out;
    finder f = {{WILOR_LEFT}, 1};
    wilor_tracker_options o;
    wilor_tracker_options_init(&o, sizeof o);
    o.detect_every = 1;
    o.max_hands = 2;
    for (int headed = 0; headed < 2; headed++) {
        make_head(5, -5);
        wilor_model *m = open_model(headed ? HEADED : PLAIN);
        wilor_pipeline *p = open_pipeline(m, &f, WILOR_COMPAT_MINI, 0);
        wilor_tracker *t = NULL;
        assert_int_equal(wilor_tracker_create(&t, m, &o, &err), WILOR_OK);
        for (int i = 0; i < 20; i++) {
            if (wilor_tracker_run(t, p, &g_picture, i * INT64_C(33000000), NULL, NULL, &out,
                                  &err) != WILOR_OK)
                fail_msg("%s", err.text);
            assert_true(out->hands->n == 1 && out->id[0] == 1);
            assert_int_equal(out->hands->side[0], headed ? WILOR_RIGHT : WILOR_LEFT);
        }
        wilor_tracker_free(&t);
        wilor_detect_options forced;
        wilor_detect_options_init(&forced, sizeof forced);
        forced.force_side = 1 + WILOR_LEFT;
        assert_int_equal(wilor_tracker_create(&t, m, &o, &err), WILOR_OK);
        assert_int_equal(wilor_tracker_run(t, p, &g_picture, 1, &forced, NULL, &out, &err),
                         WILOR_OK);
        assert_int_equal(out->hands->side[0], WILOR_LEFT);
        wilor_tracker_free(&t);
        wilor_pipeline_free(&p);
        wilor_model_free(&m);
    }
}

/* A new hand is asked with its detection's odds; one that is known with the votes for it, where the detection contradicts it. */
static void test_tracker_odds(void **state) {
    (void)state;
    wilor_error err;
    const wilor_tracks *out;
    wilor_tracker_options o;
    wilor_tracker_options_init(&o, sizeof o);
    o.detect_every = 1;
    o.max_hands = 2;

    /* Pictures before the one that contradicts, each a vote of 0.75. */
    const struct {
        bool turns;
        int before;
        wilor_side last;
    } cases[] = {{false, 1, WILOR_RIGHT},
                 {true, 1, WILOR_RIGHT},
                 {false, 4, WILOR_RIGHT},
                 {false, 6, WILOR_LEFT}};

    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        finder f = {{WILOR_LEFT}, 1};
        bool turns = cases[k].turns;
        float above = UNTOLD + (turns ? 0.1f : -0.1f);
        make_head(above / 2, -above / 2);
        wilor_model *m = open_model(HEADED);
        wilor_pipeline *p = open_pipeline(m, &f, WILOR_COMPAT_MINI, 0);
        wilor_tracker *t = NULL;
        assert_int_equal(wilor_tracker_create(&t, m, &o, &err), WILOR_OK);
        for (int i = 0; i <= cases[k].before; i++) {
            bool last = i == cases[k].before;
            f.side[0] = last ? WILOR_RIGHT : WILOR_LEFT;
            if (wilor_tracker_run(t, p, &g_picture, i * INT64_C(33000000), NULL, NULL, &out,
                                  &err) != WILOR_OK)
                fail_msg("%s", err.text);
            assert_int_equal(out->hands->n, 1);
            assert_int_equal(out->hands->side[0], last    ? cases[k].last
                                                  : turns ? WILOR_RIGHT
                                                          : WILOR_LEFT);
        }
        wilor_tracker_free(&t);
        wilor_pipeline_free(&p);
        wilor_model_free(&m);
    }
}

int main(void) {
    wilor_error err;
    uint32_t s = 1;
    for (size_t i = 0; i < sizeof g_pixels; i++) {
        s = s * 1664525u + 1013904223u;
        g_pixels[i] = (uint8_t)(s >> 24);
    }
    for (size_t i = 0; i < HANDS * CROP; i++) {
        s = s * 1664525u + 1013904223u;
        g_crops[i] = (float)(s >> 24);
    }
    if (convert_file("random:tiny", PLAIN, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F32, 0,
                     &err) != WILOR_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logit),    cmocka_unit_test(test_without),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_lent_hand),
        cmocka_unit_test(test_convert),  cmocka_unit_test(test_packed),
        cmocka_unit_test(test_turn),     cmocka_unit_test(test_odds),
        cmocka_unit_test(test_batches),  cmocka_unit_test(test_found_odds),
        cmocka_unit_test(test_own_odds), cmocka_unit_test(test_options),
        cmocka_unit_test(test_tracker),  cmocka_unit_test(test_tracker_odds)};
    return cmocka_run_group_tests_name("side_head", tests, NULL, NULL);
}
