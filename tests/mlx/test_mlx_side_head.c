/* Device mlx: the side head's logits against the processor's and against what the module's own tokens say, in every
 * dtype and on both paths; files with one and without; and hands of which a detector said the wrong side. Usage:
 * test_mlx_side_head [brief] */
#include "mlx_side.h"

#include "backend_cpu.h"
#include "convert_file.h"
#include "extend_file.h"
#include "heap.h"
#include "random_weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PLAIN WILOR_TEST_SCRATCH "/mlx-side-plain.safetensors"
#define HEADED WILOR_TEST_SCRATCH "/mlx-side-headed.safetensors"
#define OTHER WILOR_TEST_SCRATCH "/mlx-side-other.safetensors"
#define NANO WILOR_TEST_DATA "/../../../models/nano/nano.safetensors"

enum { D = 64, INPUTS = WILOR_LEAD * D, HANDS = 3, GROUP = 64 }; /* random:tiny's width */

/* Of a logit from the same tokens: a sum in float32, in another order. */
static const double SUM = 4e-6;

static float g_crops[HANDS * SIDE_PIXELS], g_weight[INPUTS], g_bias;

/* ---------------------------------------------------------------- files */

static void convert(const char *from, const char *to, wilor_weights_dtype dtype,
                    wilor_weights_layout layout, int group) {
    wilor_error err;
    if (convert_file(from, to, layout, dtype, group, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

/* PLAIN with g_weight and g_bias, or one of them. */
static void write_head(const char *to, bool weight, bool bias) {
    extra both[2];
    int n = 0;
    if (weight)
        both[n++] = side_head_weight(g_weight, INPUTS);
    if (bias)
        both[n++] = side_head_bias(&g_bias, 1);
    assert_true(extend_file(PLAIN, to, both, n));
}

/* HEADED, of noise. */
static void random_head(float bias) {
    wilor_random_fill("side_head.weight", 3, 0.05f, 0, 0, INPUTS, g_weight);
    g_bias = bias;
    write_head(HEADED, true, true);
}

/* ---------------------------------------------------------------- runs */

static side_options options_of(const char *weights, const char *device, wilor_dtype dtype,
                               int full) {
    return (side_options){.weights = weights,
                          .device = device,
                          .dtype = dtype,
                          .batch = HANDS,
                          .full_path = full};
}

static bool tells_side(const wilor_model *m) {
    return m->backend->tells_side && m->backend->tells_side(m->network);
}

/* Hands go where the session's own runs put them; logit: NULL, or n. */
static void run(const side *s, const float *rgb, int n, float *logit) {
    wilor_error err;
    wilor_session *to = s->session;
    wilor_backend_result r = wilor_session_result(to, 0, logit);
    for (int i = 0; logit && i < n; i++)
        logit[i] = INFINITY;
    if (s->model->backend->run(to->work, rgb, NULL, n, NULL, &r, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

/* ---------------------------------------------------------------- logits */

/* How far a logit may be off: as much of each token's number as the dtype allows, as noise. */
static double allowed_logit(wilor_dtype dtype) {
    double squares = 0;
    for (int i = 0; i < INPUTS; i++)
        squares += (double)g_weight[i] * g_weight[i];
    return side_tolerances(dtype).tokens * sqrt(squares);
}

static void match(const char *what, const float *got, const float *want, int n, double limit) {
    float apart[HANDS + 1], none[HANDS + 1] = {0};
    assert_true(n <= HANDS + 1);
    for (int i = 0; i < n; i++)
        apart[i] = got[i] - want[i]; /* the bias is no measure of them */
    golden_check(what, apart, none, (size_t)n, limit);
}

/* Runs of other hands and numbers of them, so that none of the run before will do. */
static void compare_runs(const char *what, const side *mlx, const float *want, double limit) {
    static const int runs[][2] = {{0, HANDS}, {1, 2}, {2, 1}, {0, 2}, {1, 1}, {0, 1}};
    float got[HANDS];
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        int first = runs[i][0], n = runs[i][1];
        run(mlx, g_crops + (size_t)first * SIDE_PIXELS, n, got);
        match(what, got, want + first, n, limit);
    }
}

/* What a run's tokens say; told by another thread. */
typedef struct leads {
    int each, n;
    float logit[HANDS];
} leads;

static void take_leads(void *context, const char *stage, int block, const float *data, int rows,
                       int cols) {
    leads *l = context;
    (void)block;
    if (strcmp(stage, "tokens_out") != 0 || cols != D)
        return;
    for (int row = 0; row < rows && l->n < HANDS; row += l->each) {
        double sum = g_bias;
        for (int i = 0; i < INPUTS; i++)
            sum += (double)g_weight[i] * data[(size_t)row * D + (size_t)i];
        l->logit[l->n++] = (float)sum;
    }
}

/* Whatever the blocks' arithmetic, the head's is float32. */
static void compare_own(const char *what, const side *mlx, int full) {
    const wilor_mlx_table *table;
    void *inside;
    int wide;
    float got[HANDS];
    leads l = {.each = full ? WILOR_TOKENS : WILOR_LEAD + 4};
    wilor_mlx_session_inside(mlx->session->work, &table, &inside, &wide);
    table->session_trace(inside, take_leads, &l);
    run(mlx, g_crops, HANDS, got);
    table->session_trace(inside, NULL, NULL);
    assert_int_equal(l.n, HANDS);
    golden_check(what, got, l.logit, HANDS, SUM);
}

/* The processor's float32 of a file, in which `weights` are as the dtype makes them. */
static void check_logits(const char *reference, const char *weights, wilor_dtype dtype,
                         int full) {
    char what[96];
    float want[HANDS];
    double limit = allowed_logit(dtype);
    side_options c = options_of(reference, "cpu", WILOR_DTYPE_F32, full),
                 m = options_of(weights, "mlx", dtype, full);
    side cpu = side_open(&c), mlx = side_open(&m);
    snprintf(what, sizeof what, "side logits, %s%s", mlx.model->info.kernels,
             full ? ", full path" : "");
    assert_true(tells_side(mlx.model));
    run(&cpu, g_crops, HANDS, want);
    for (int i = 0; i < HANDS; i++)
        assert_true(fabsf(want[i] - want[(i + 1) % HANDS]) > 4 * limit);
    compare_runs(what, &mlx, want, limit);
    compare_own(what, &mlx, full);
    side_close(&cpu);
    side_close(&mlx);
}

static void test_logits(void **state) {
    (void)state;
    static const wilor_dtype dtypes[] = {WILOR_DTYPE_F32, WILOR_DTYPE_F16, WILOR_DTYPE_BF16};
    random_head(-9);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        for (int full = 0; full < 2; full++)
            check_logits(HEADED, HEADED, dtypes[i], full);
}

/* MLX makes the groups that `wilor convert` makes; files that have groups or rows keep them. */
static void test_quantised(void **state) {
    (void)state;
    static const char plain[] = WILOR_TEST_SCRATCH "/mlx-side-layout.safetensors";
    static const wilor_dtype dtypes[] = {WILOR_DTYPE_INT8, WILOR_DTYPE_INT4};
    static const wilor_weights_dtype types[] = {WILOR_WEIGHTS_INT8, WILOR_WEIGHTS_INT4};
    random_head(-9);
    convert(HEADED, plain, WILOR_WEIGHTS_F32, WILOR_WEIGHTS_MLX, 0);
    for (int i = 0; i < 2; i++) {
        convert(HEADED, OTHER, types[i], WILOR_WEIGHTS_MLX, GROUP);
        for (int full = 0; full < 2; full++)
            check_logits(OTHER, plain, dtypes[i], full);
        check_logits(OTHER, OTHER, WILOR_DTYPE_F32, 0);
    }
    convert(HEADED, OTHER, WILOR_WEIGHTS_INT8, WILOR_WEIGHTS_CHECKPOINT, 0);
    check_logits(OTHER, OTHER, WILOR_DTYPE_F32, 0);
    remove(plain);
}

/* A trained head, stored in 16 bits. Half floats take long in MLX for processors: one hand of them. */
static void test_nano(void **state) {
    (void)state;
    static const wilor_dtype dtypes[] = {WILOR_DTYPE_F32, WILOR_DTYPE_AUTO};
    static const double limits[] = {5e-5, 0.1};
    float want[2], got[2];
    side_options o = options_of(NANO, "cpu", WILOR_DTYPE_F32, 0);
    side cpu = side_open(&o);
    o.device = "mlx";
    o.batch = 1;
    run(&cpu, g_crops, 2, want);
    assert_true(fabsf(want[0] - want[1]) > 4 * limits[1]);
    for (int i = 0; i < 2; i++) {
        o.dtype = dtypes[i];
        side mlx = side_open(&o);
        assert_true(tells_side(mlx.model));
        for (int h = 0; h < 2 - i; h++)
            run(&mlx, g_crops + (size_t)h * SIDE_PIXELS, 1, got + h);
        match(mlx.model->info.kernels, got, want, 2 - i, limits[i]);
        side_close(&mlx);
    }
    side_close(&cpu);
}

/* Hands that are computed once more by all patches, asked and not. */
static void test_wide(void **state) {
    (void)state;
    float want[HANDS];
    random_head(-9);
    side_options o = options_of(HEADED, "cpu", WILOR_DTYPE_F32, 0);
    side cpu = {.model = side_open_model(&o)};
    o.device = "mlx";
    side mlx = {.model = side_open_model(&o)};
    side_move_cameras(cpu.model, mlx.model, 3);
    cpu.session = side_open_session(cpu.model, &o);
    mlx.session = side_open_session(mlx.model, &o);
    run(&cpu, g_crops, HANDS, want);
    compare_runs("side logits, more patches", &mlx, want, allowed_logit(WILOR_DTYPE_F32));
    run(&mlx, g_crops, HANDS, NULL);
    assert_int_equal(side_wide_of(&mlx), HANDS);
    side_close(&cpu);
    side_close(&mlx);
}

/* ---------------------------------------------------------------- who asks, and who has one */

static float *keep_hands(const side *s, size_t *count) {
    const wilor_session *from = s->session;
    const size_t v = (size_t)s->model->info.vertices * 3, each[] = {144, 10, 3, 63, v};
    const float *const part[] = {from->rotation, from->betas, from->pred_cam,
                                 from->keypoints_3d, from->vertices_3d};
    float *kept = wilor_heap_alloc(HANDS * (144 + 10 + 3 + 63 + v), sizeof *kept);
    assert_non_null(kept);
    *count = 0;
    for (int i = 0; i < 5; *count += HANDS * each[i++])
        memcpy(kept + *count, part[i], HANDS * each[i] * sizeof *kept);
    return kept;
}

static void same_hands(const side *s, const float *want, double limit) {
    size_t count;
    float *got = keep_hands(s, &count);
    assert_true(golden_difference(got, want, count) <= limit);
    wilor_heap_free(got);
}

/* A graph with a head has other results; on a graphics processor MLX may fuse what comes before them otherwise. */
static double between_graphs(wilor_dtype dtype) {
    const wilor_mlx_table *table;
    wilor_mlx_info info;
    wilor_mlx_error e;
    assert_int_equal(wilor_mlx_module_open(&table, NULL), WILOR_OK);
    assert_int_equal(table->info(&info, &e), WILOR_MLX_OK);
    return info.gpu ? side_tolerances(dtype).outputs : 0;
}

static void check_without(wilor_dtype dtype, int full) {
    float logit[HANDS];
    size_t count;
    side_options o = options_of(PLAIN, "mlx", dtype, full);
    side plain = side_open(&o);
    o.weights = HEADED;
    side headed = side_open(&o);
    assert_false(tells_side(plain.model));
    assert_null(plain.session->side_logit);
    assert_non_null(headed.session->side_logit);
    run(&plain, g_crops, HANDS, NULL);
    float *kept = keep_hands(&plain, &count);
    run(&plain, g_crops, HANDS, logit);
    for (int i = 0; i < HANDS; i++)
        assert_true(isnan(logit[i]));
    same_hands(&plain, kept, 0);
    run(&headed, g_crops, HANDS, logit);
    same_hands(&headed, kept, between_graphs(dtype));
    wilor_heap_free(kept);
    kept = keep_hands(&headed, &count);
    run(&headed, g_crops, HANDS, NULL);
    same_hands(&headed, kept, 0);
    const wilor_model_info *a = &headed.model->info, *b = &plain.model->info;
    assert_int_equal(a->parameters, b->parameters + INPUTS + 1);
    assert_int_equal(a->packed_bytes, b->packed_bytes + (INPUTS + 1) * sizeof(float));
    wilor_heap_free(kept);
    side_close(&plain);
    side_close(&headed);
}

static void test_without(void **state) {
    (void)state;
    random_head(-9);
    check_without(WILOR_DTYPE_F32, 0);
    check_without(WILOR_DTYPE_F16, 1);
}

static void expect_refused(const char *missing) {
    wilor_error err;
    wilor_model *model;
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = OTHER;
    o.mano = WILOR_TEST_DATA "/hand-cc0.npz";
    o.device = "mlx";
    assert_int_equal(wilor_model_open(&model, &o, &err), WILOR_ERR_MODEL);
    assert_non_null(strstr(err.text, missing));
}

/* Half a head; and one in a file that only lends its hand. */
static void test_files(void **state) {
    (void)state;
    random_head(-9);
    write_head(OTHER, true, false);
    expect_refused("side_head.bias");
    write_head(OTHER, false, true);
    expect_refused("side_head.weight");
    side_options o = options_of(PLAIN, "mlx", WILOR_DTYPE_F32, 0);
    o.mano = NANO;
    wilor_model *m = side_open_model(&o);
    assert_false(tells_side(m));
    wilor_model_free(&m);
}

/* As test_mlx_module.c counts it. */
static void test_memory(void **state) {
    (void)state;
    const wilor_mlx_table *table;
    float logit[HANDS];
    size_t first = 0;
    random_head(-9);
    assert_int_equal(wilor_mlx_module_open(&table, NULL), WILOR_OK);
    size_t before = table->active_bytes();
    side_options o = options_of(HEADED, "mlx", WILOR_DTYPE_F32, 0);
    side s = side_open(&o);
    for (int i = 0; i < 12; i++) {
        run(&s, g_crops, 1 + i % 2, i % 3 ? logit : NULL);
        size_t now = table->active_bytes();
        first = i < 2 ? now : first;
        assert_true(now <= first);
    }
    side_close(&s);
    assert_true(table->active_bytes() <= before);
}

/* ---------------------------------------------------------------- the second look */

enum { WIDTH = 200, HEIGHT = 150, BOXES = 4 };

static uint8_t g_pixels[HEIGHT * WIDTH * 3];
static const wilor_picture g_picture = {g_pixels, WIDTH, HEIGHT, WIDTH * 3, WILOR_RGB8};
static const wilor_box g_boxes[BOXES] = {{{60, 40, 140, 110}, 0.75f, WILOR_RIGHT},
                                         {{10.25f, 20.5f, 51, 70}, 0.75f, WILOR_LEFT},
                                         {{150, -20, 230, 60}, 0.75f, WILOR_RIGHT},
                                         {{5, 3, 190, 140}, 0.75f, WILOR_LEFT}};

static const wilor_hands *doubt(const side *s, const wilor_box *boxes, const float *odds,
                                int n) {
    wilor_error err;
    const wilor_hands *h;
    if (wilor_predict_doubted(s->session, &g_picture, boxes, odds, n, NULL, &h, &err) !=
        WILOR_OK)
        fail_msg("%s", err.text);
    return h;
}

/* Both logits of all boxes, which are all asked; odds of which those of one parity turn. */
static void odds_around(const wilor_session *s, double margin, float odds[2][BOXES]) {
    for (int i = 0; i < BOXES; i++) {
        float above = s->second.side_logit[i] - s->side_logit[i];
        assert_true(s->side_logit[i] < 0 && fabsf(above) > 2 * margin);
        for (int turn = 0; turn < 2; turn++)
            odds[turn][i] = above + (float)(i % 2 == turn ? -margin : margin);
    }
}

static void compare_turned(const side *cpu, const side *mlx, wilor_dtype dtype) {
    const float never[BOXES] = {1e9f, 1e9f, 1e9f, 1e9f};
    float first[BOXES], second[BOXES], odds[2][BOXES];
    double limit = allowed_logit(dtype);
    tolerances t = side_tolerances(dtype);
    doubt(cpu, g_boxes, never, BOXES);
    odds_around(cpu->session, 2 * limit, odds);
    memcpy(first, cpu->session->side_logit, sizeof first);
    memcpy(second, cpu->session->second.side_logit, sizeof second);
    for (int turn = 0; turn < 2; turn++) {
        const wilor_hands *want = doubt(cpu, g_boxes, odds[turn], BOXES);
        const wilor_hands *got = doubt(mlx, g_boxes, odds[turn], BOXES);
        match("side logits", mlx->session->side_logit, first, BOXES, limit);
        match("side logits of mirror images", mlx->session->second.side_logit, second, BOXES,
              limit);
        for (int i = 0; i < BOXES; i++) {
            assert_int_equal(got->side[i] != (uint8_t)g_boxes[i].side, i % 2 == turn);
            assert_int_equal(got->side[i], want->side[i]);
        }
        side_compare("hands, half of them turned", got, want, &t);
    }
}

static void check_turns(wilor_dtype dtype, int full) {
    side_options o = options_of(HEADED, "cpu", WILOR_DTYPE_F32, full);
    o.batch = BOXES;
    side cpu = side_open(&o);
    o.device = "mlx";
    o.dtype = dtype;
    side mlx = side_open(&o);
    compare_turned(&cpu, &mlx, dtype);
    side_close(&cpu);
    side_close(&mlx);
}

static void test_turns(void **state) {
    (void)state;
    random_head(-9);
    check_turns(WILOR_DTYPE_F32, 0);
    check_turns(WILOR_DTYPE_F32, 1);
    check_turns(WILOR_DTYPE_F16, 0);
}

/* HEADED so that the first box's crop as a right hand has the logit 5, as a left one -5: by the processor. */
static void sure_head(void) {
    const float nobody = INFINITY;
    float logit[2];
    random_head(0);
    side_options o = options_of(HEADED, "cpu", WILOR_DTYPE_F32, 0);
    side s = side_open(&o);
    for (int i = 0; i < 2; i++) {
        wilor_box box = g_boxes[0];
        box.side = i ? WILOR_LEFT : WILOR_RIGHT;
        doubt(&s, &box, &nobody, 1);
        logit[i] = s.session->side_logit[0];
    }
    side_close(&s);
    float by = 10 / (logit[0] - logit[1]);
    for (int i = 0; i < INPUTS; i++)
        g_weight[i] *= by;
    g_bias = 5 - by * logit[0];
    write_head(HEADED, true, true);
}

/* A caller's detector: the first box, of this side. */
static int find(void *user, const wilor_picture *picture, wilor_box *boxes, float *keypoints,
                int most) {
    (void)picture;
    (void)keypoints;
    if (most < 1)
        return 0;
    boxes[0] = g_boxes[0];
    boxes[0].side = *(const wilor_side *)user;
    return 1;
}

static wilor_pipeline *open_pipeline(const wilor_model *m, wilor_side *found,
                                     wilor_compat compat) {
    wilor_error err;
    wilor_pipeline *p = NULL;
    wilor_pipeline_options o;
    wilor_pipeline_options_init(&o, sizeof o);
    o.compat = compat;
    o.max_hands = 1;
    o.find = find;
    o.find_user = found;
    if (wilor_pipeline_create(&p, NULL, m, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return p;
}

static const wilor_hands *look(wilor_pipeline *p) {
    wilor_error err;
    const wilor_hands *h;
    if (wilor_pipeline_run(p, &g_picture, NULL, 0, NULL, NULL, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(h->n, 1);
    return h;
}

/* From the picture on: whatever the detector says, the hand is a right one, and the same as the processor's. */
static void test_pipeline(void **state) {
    (void)state;
    sure_head();
    tolerances t = side_tolerances(WILOR_DTYPE_F32);
    side_options o = options_of(HEADED, "cpu", WILOR_DTYPE_F32, 0);
    wilor_model *cpu = side_open_model(&o);
    o.device = "mlx";
    wilor_model *mlx = side_open_model(&o);
    wilor_side found = WILOR_LEFT;
    wilor_pipeline *a = open_pipeline(cpu, &found, WILOR_COMPAT_MINI);
    wilor_pipeline *b = open_pipeline(mlx, &found, WILOR_COMPAT_MINI);
    for (int i = 0; i < 3; i++) {
        found = i % 2 ? WILOR_RIGHT : WILOR_LEFT;
        const wilor_hands *want = look(a), *got = look(b);
        assert_int_equal(want->side[0], WILOR_RIGHT);
        assert_int_equal(got->side[0], WILOR_RIGHT);
        side_compare("a hand that a detector took for a left one", got, want, &t);
    }
    wilor_pipeline_free(&a);
    wilor_pipeline_free(&b);
    b = open_pipeline(mlx, &found, WILOR_COMPAT_MLX); /* nobody is asked there */
    assert_int_equal(look(b)->side[0], WILOR_LEFT);
    wilor_pipeline_free(&b);
    wilor_model_free(&cpu);
    wilor_model_free(&mlx);
}

/* ---------------------------------------------------------------- */

/* A reference crop, its negative, and nothing; a picture whose mirror image is another one. */
static void make_pictures(void) {
    float *two = side_crops("tiny");
    for (size_t i = 0; i < SIDE_PIXELS; i++) {
        g_crops[i] = two[i];
        g_crops[SIDE_PIXELS + i] = 255 - two[i];
        g_crops[2 * SIDE_PIXELS + i] = 255;
    }
    wilor_heap_free(two);
    for (size_t i = 0; i < sizeof g_pixels; i++) {
        size_t c = i % 3, x = i / 3 % WIDTH, y = i / 3 / WIDTH;
        g_pixels[i] = (uint8_t)(5 * x + 3 * c * y);
    }
}

static int prepare(void **state) {
    (void)state;
    make_pictures();
    convert("random:tiny", PLAIN, WILOR_WEIGHTS_F32, WILOR_WEIGHTS_CHECKPOINT, 0);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    remove(PLAIN);
    remove(HEADED);
    remove(OTHER);
    return 0;
}

/* What is enough where each graph takes long to be compiled. */
static void test_briefly(void **state) {
    (void)state;
    random_head(-9);
    check_logits(HEADED, HEADED, WILOR_DTYPE_F32, 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest brief[] = {cmocka_unit_test(test_briefly)};
    if (argc > 1 && !strcmp(argv[1], "brief"))
        return cmocka_run_group_tests_name("mlx_side_head brief", brief, prepare, clean_up);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits),  cmocka_unit_test(test_quantised),
        cmocka_unit_test(test_nano),    cmocka_unit_test(test_wide),
        cmocka_unit_test(test_without), cmocka_unit_test(test_files),
        cmocka_unit_test(test_memory),  cmocka_unit_test(test_turns),
        cmocka_unit_test(test_pipeline)};
    return cmocka_run_group_tests_name("mlx_side_head", tests, prepare, clean_up);
}
