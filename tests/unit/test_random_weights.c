/* The deterministic weights: every tensor of the tiny and hd80 reference models, and some of
 * the full one (all of them with WILOR_TEST_SLOW set), against
 * tests/golden/data/random_sha256.txt, whose sums are those of the checkpoints that upstream
 * ran on. Also the index made from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "heap.h"
#include "random_weights.h"
#include "sha256.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static wilor_index *open_hand(void) {
    wilor_error err;
    wilor_index *hand = golden_open(golden_path(WILOR_TEST_DATA, "hand-cc0.npz"));
    if (wilor_index_canonical(hand, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return hand;
}

static wilor_index *make_index(const char *name, wilor_random_model *model) {
    wilor_error err;
    wilor_index *x = NULL, *hand = open_hand();
    assert_true(wilor_random_model_named(model, name));
    if (wilor_random_index(&x, model, hand, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_index_close(&hand);
    return x;
}

static void check_sum(const wilor_index *x, const char *name, const char *want) {
    char got[65];
    size_t count;
    float *values = golden_f32(x, name, &count);
    sha256_hex(values, count * sizeof *values, got);
    wilor_heap_free(values);
    if (strcmp(got, want) != 0)
        fail_msg("%s: sha256 %s, should be %s", name, got, want);
}

/* Check every step-th line of the table for this model; returns how many lines it has. */
static size_t check_table(const char *model_name, size_t step) {
    const char *path = golden_path(WILOR_TEST_DATA, "random_sha256.txt");
    wilor_random_model model;
    wilor_index *x = make_index(model_name, &model);
    FILE *file = fopen(path, "r");
    char line[256], of[16], name[80], sum[80];
    size_t n = 0, checked = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%15s %79s %79s", of, name, sum) != 3 || strcmp(of, model_name) != 0)
            continue;
        if (n++ % step == 0) {
            check_sum(x, name, sum);
            checked++;
        }
    }
    fclose(file);
    wilor_index_close(&x);
    printf("%s: %zu of %zu tensors\n", model_name, checked, n);
    assert_int_equal(n, wilor_random_spec_count(&model) + 3); /* and init_* */
    return n;
}

static void sums_of_tiny(void **state) {
    (void)state;
    check_table("tiny", 1);
}

static void sums_of_hd80(void **state) {
    (void)state;
    check_table("hd80", 1);
}

static void sums_of_full(void **state) {
    (void)state;
    check_table("full", getenv("WILOR_TEST_SLOW") ? 1 : 37);
}

/* Any window of a tensor is the same numbers; so are rows, and values as double. */
static void windows_agree(void **state) {
    (void)state;
    static const char *const NAMES[] = {"backbone.decpose.bias",
                                        "backbone.deccam.bias",
                                        "backbone.blocks.1.mlp.fc2.bias",
                                        "backbone.blocks.2.mlp.fc2.bias",
                                        "backbone.blocks.0.attn.proj.weight",
                                        "backbone.init_cam"};
    wilor_random_model model;
    wilor_index *x = make_index("tiny", &model);
    for (size_t k = 0; k < sizeof NAMES / sizeof *NAMES; k++) {
        wilor_error err;
        size_t count;
        const wilor_tensor *t = wilor_index_find(x, NAMES[k]);
        float *all = golden_f32(x, NAMES[k], &count), *rows = golden_f32(x, NAMES[k], NULL);
        double *wide = golden_f64(x, NAMES[k], NULL);
        int64_t half = t->shape[0] / 2;
        size_t before = (size_t)half * (count / (size_t)t->shape[0]);
        memset(rows, 0, count * sizeof *rows);
        assert_int_equal(wilor_tensor_rows_to_f32(t, 0, half, rows, &err), WILOR_OK);
        assert_int_equal(
            wilor_tensor_rows_to_f32(t, half, t->shape[0] - half, rows + before, &err),
            WILOR_OK);
        assert_memory_equal(rows, all, count * sizeof *all);
        for (size_t i = 0; i < count; i++)
            assert_true(wide[i] == (double)all[i]);
        assert_null(wilor_tensor_f32_in_place(t));
        assert_int_not_equal(wilor_tensor_rows_to_f32(t, 1, t->shape[0], rows, &err), WILOR_OK);
        wilor_heap_free(all);
        wilor_heap_free(rows);
        wilor_heap_free(wide);
    }
    wilor_index_close(&x);
}

static void index_is_complete(void **state) {
    (void)state;
    wilor_random_model model;
    wilor_index *x = make_index("full", &model), *hand = open_hand();
    size_t largest = 0, parameters = 0, ours = 0, theirs = 0;
    float *mine, *given;
    for (size_t i = 0; i < wilor_index_count(x); i++) {
        const wilor_tensor *t = wilor_index_at(x, i);
        largest = t->span > largest ? t->span : largest;
        if (strncmp(t->name, "mano.", 5) != 0)
            parameters += t->count;
    }
    assert_true(largest <= 135 * 2334 * sizeof(double)); /* stored: the hand's tensors alone */
    assert_true(parameters > 630000000 && parameters < 650000000);
    assert_int_equal(wilor_index_kind(x), WILOR_FILE_CHECKPOINT);
    assert_string_equal(wilor_index_metadata(x, "heads"), "16");
    assert_non_null(strstr(wilor_index_metadata(x, "label"), "synthetic"));
    mine = golden_f32(x, "mano.posedirs", &ours);
    given = golden_f32(hand, "mano.posedirs", &theirs);
    assert_int_equal(ours, theirs);
    assert_memory_equal(mine, given, ours * sizeof *mine);
    wilor_heap_free(mine);
    wilor_heap_free(given);
    wilor_index_close(&hand);
    wilor_index_close(&x);
}

/* The demo: zero decoders but for the camera, the hand's own mean parameters. */
static void mean_pose(void **state) {
    (void)state;
    static const char *const ZERO[] = {"backbone.decpose",   "backbone.decshape",
                                       "backbone.deccam",    "refine_net.dec_pose",
                                       "refine_net.dec_cam", "refine_net.dec_shape"};
    static const char *const INIT[] = {"backbone.init_hand_pose", "backbone.init_betas",
                                       "backbone.init_cam"};
    wilor_random_model model;
    wilor_index *x = make_index("demo", &model), *hand = open_hand();
    for (size_t k = 0; k < 12; k++) {
        char name[64];
        size_t count;
        snprintf(name, sizeof name, "%s.%s", ZERO[k / 2], k % 2 ? "bias" : "weight");
        float *values = golden_f32(x, name, &count);
        bool camera = strcmp(name, "backbone.deccam.bias") == 0;
        for (size_t i = 0; i < count; i++)
            assert_true(values[i] == (camera ? model.camera[i] : 0));
        wilor_heap_free(values);
    }
    for (size_t k = 0; k < 3; k++) {
        size_t count, want;
        float *got = golden_f32(x, INIT[k], &count), *given = golden_f32(hand, INIT[k], &want);
        assert_int_equal(count, want);
        assert_memory_equal(got, given, count * sizeof *got);
        wilor_heap_free(got);
        wilor_heap_free(given);
    }
    wilor_index_close(&hand);
    wilor_index_close(&x);
}

static void wrong_sizes(void **state) {
    (void)state;

    static const struct {
        int width, depth, heads;
        const char *says;
    } WRONG[] = {{0, 1, 1, "width 0"},  {12, 1, 1, "width 12"},    {8192, 1, 1, "width 8192"},
                 {64, 0, 1, "depth 0"}, {64, 257, 1, "depth 257"}, {64, 1, 0, "0 heads"},
                 {64, 1, 5, "5 heads"}};

    wilor_index *hand = open_hand();
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        wilor_error err;
        wilor_random_model model = {
            .width = WRONG[i].width, .depth = WRONG[i].depth, .heads = WRONG[i].heads};
        wilor_index *x = hand;
        assert_int_equal(wilor_random_index(&x, &model, hand, &err), WILOR_ERR_ARG);
        assert_null(x);
        assert_non_null(strstr(err.text, WRONG[i].says));
    }
    wilor_random_model model;
    assert_false(wilor_random_model_named(&model, "huge"));
    wilor_index_close(&hand);
}

/* A hand without mano.*, or without the mean pose that the demo needs. */
static void incomplete_hand(void **state) {
    (void)state;
    wilor_random_model tiny, demo;
    wilor_index *x = NULL, *bare = NULL, *none = NULL;
    wilor_error err;
    assert_true(wilor_random_model_named(&tiny, "tiny"));
    assert_true(wilor_random_model_named(&demo, "demo"));
    bare = make_index("tiny", &tiny); /* as a hand it has everything */
    assert_int_equal(wilor_random_index(&x, &demo, bare, &err), WILOR_OK);
    wilor_index_close(&x);
    none = golden_open(golden_path(WILOR_TEST_DATA, "hand-cc0.npz")); /* names not canonical */
    assert_int_equal(wilor_random_index(&x, &tiny, none, &err), WILOR_ERR_MISSING);
    assert_null(x);
    assert_non_null(strstr(err.text, "mano.*"));
    wilor_index_close(&none);
    wilor_index_close(&bare);
}

static void failing_memory(void **state) {
    (void)state;
    wilor_random_model model;
    wilor_index *hand = open_hand();
    bool done = false;
    assert_true(wilor_random_model_named(&model, "tiny"));
    for (long n = 0; !done; n++) {
        wilor_index *x = NULL;
        wilor_error err;
        wilor_heap_fail_at(n);
        wilor_status st = wilor_random_index(&x, &model, hand, &err);
        done = wilor_heap_calls() <= n;
        wilor_heap_fail_at(-1);
        assert_int_equal(st, done ? WILOR_OK : WILOR_ERR_NOMEM);
        assert_true(done == (x != NULL));
        wilor_index_close(&x);
    }
    wilor_index_close(&hand);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_tiny),      cmocka_unit_test(sums_of_hd80),
        cmocka_unit_test(sums_of_full),      cmocka_unit_test(windows_agree),
        cmocka_unit_test(index_is_complete), cmocka_unit_test(mean_pose),
        cmocka_unit_test(wrong_sizes),       cmocka_unit_test(incomplete_hand),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
