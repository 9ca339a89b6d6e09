/* The same model in all its files gives the same tensors under the checkpoint's names: the tiny
 * checkpoint, wilor-mlx's conversion of it, and its hand as MANO pickles of three kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "heap.h"
#include <stdio.h>
#include <string.h>

#define TINY WILOR_TEST_FIXTURES "/tiny"

static wilor_index *open_canonical(const char *name, wilor_file_kind kind) {
    wilor_error err;
    wilor_index *index = golden_open(golden_path(TINY, name));
    assert_int_equal(wilor_index_kind(index), kind);
    assert_int_equal(wilor_index_canonical(index, &err), WILOR_OK);
    size_t count = wilor_index_count(index);
    assert_int_equal(wilor_index_canonical(index, &err), WILOR_OK); /* idempotent */
    assert_int_equal(wilor_index_count(index), count);
    return index;
}

/* Same shape (a dimension of 1 in front apart) and bit-equal float values. */
static void check_equal(const wilor_index *got, const wilor_index *want, const char *name) {
    size_t n, m;
    const wilor_tensor *a = wilor_index_find(got, name), *b = wilor_index_find(want, name);
    if (!a || !b)
        fail_msg("%s is not in both files", name);
    if (a->rank != b->rank ||
        memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) != 0)
        fail_msg("%s has another shape in %s", name, wilor_index_path(got));
    float *x = golden_f32(got, name, &n), *y = golden_f32(want, name, &m);
    assert_int_equal(n, m);
    if (memcmp(x, y, n * sizeof *x) != 0)
        fail_msg("%s differs in %s by %g", name, wilor_index_path(got),
                 golden_difference(x, y, n));
    wilor_heap_free(x);
    wilor_heap_free(y);
}

static void mlx_file(void **state) {
    (void)state;
    wilor_index *checkpoint = open_canonical("wilor_tiny.ckpt", WILOR_FILE_CHECKPOINT);
    wilor_index *mlx = open_canonical("mlx/wilor-mlx.safetensors", WILOR_FILE_MLX);
    size_t compared = 0;
    for (size_t i = 0; i < wilor_index_count(checkpoint); i++) {
        const char *name = wilor_index_at(checkpoint, i)->name;
        bool wanted =
            (strncmp(name, "backbone.", 9) == 0 || strncmp(name, "refine_net.", 11) == 0) &&
            !strstr(name, "num_batches_tracked");
        if (!wanted)
            continue;
        check_equal(mlx, checkpoint, name);
        compared++;
    }
    printf("%zu tensors of wilor-mlx equal the checkpoint's\n", compared);
    assert_int_equal(compared, wilor_index_count(mlx) - 2); /* IMAGE_MEAN, IMAGE_STD */
    wilor_index_close(&checkpoint);
    wilor_index_close(&mlx);
}

static const char *const g_hand[] = {"v_template",        "shapedirs",   "posedirs",
                                     "J_regressor",       "lbs_weights", "faces_tensor",
                                     "extra_joints_idxs", "joint_map"};

static void check_parents(const wilor_index *got, const wilor_index *want) {
    size_t n, m;
    int64_t *a = golden_i64(got, "mano.parents", &n), *b = golden_i64(want, "mano.parents", &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && !(a[i] == 4294967295 && b[i] == -1))
            fail_msg("parent %zu is %lld in %s", i, (long long)a[i], wilor_index_path(got));
    wilor_heap_free(a);
    wilor_heap_free(b);
}

static void hand_files(void **state) {
    static const char *const files[] = {"mlx/mano.npz", "MANO_RIGHT.pkl", "MANO_RIGHT_ch.pkl",
                                        "MANO_RIGHT_plain.pkl"};
    (void)state;
    wilor_index *checkpoint = open_canonical("wilor_tiny.ckpt", WILOR_FILE_CHECKPOINT);
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        wilor_index *hand = open_canonical(files[f], WILOR_FILE_MANO);
        char name[64];
        for (size_t i = 0; i < sizeof g_hand / sizeof g_hand[0]; i++) {
            snprintf(name, sizeof name, "mano.%s", g_hand[i]);
            check_equal(hand, checkpoint, name);
        }
        check_parents(hand, checkpoint);
        wilor_index_close(&hand);
    }
    wilor_index_close(&checkpoint);
}

static void mean_files(void **state) {
    static const char *const names[] = {"backbone.init_hand_pose", "backbone.init_betas",
                                        "backbone.init_cam"};
    (void)state;
    wilor_index *checkpoint = open_canonical("wilor_tiny.ckpt", WILOR_FILE_CHECKPOINT);
    wilor_index *mean = open_canonical("mano_mean_params.npz", WILOR_FILE_MEAN);
    wilor_index *automatic = open_canonical("mlx/mano_auto.npz", WILOR_FILE_MANO);
    for (size_t i = 0; i < 3; i++) {
        check_equal(mean, checkpoint, names[i]);
        assert_non_null(wilor_index_find(automatic, names[i]));
    }
    wilor_index_close(&automatic);
    wilor_index_close(&mean);
    wilor_index_close(&checkpoint);
}

static void other_kinds(void **state) {
    (void)state;
    wilor_index *index = open_canonical("mlx/wilor-mlx-int4-g32.safetensors", WILOR_FILE_MLX);
    const wilor_tensor *t = wilor_index_find(index, "backbone.blocks.0.attn.proj.weight");
    assert_non_null(t);
    assert_int_equal(t->dtype, WILOR_U32);
    assert_non_null(wilor_index_find(index, "backbone.blocks.0.attn.proj.scales"));
    wilor_index_close(&index);
    index = open_canonical("../detector/hand-detector-tiny.safetensors", WILOR_FILE_DETECTOR);
    wilor_index_close(&index);
    index = open_canonical("../detector/detector_tiny.pt", WILOR_FILE_DETECTOR);
    assert_int_equal(wilor_index_count(index), 397);
    wilor_index_close(&index);
    index = open_canonical("../detector/detector_ema.pt", WILOR_FILE_DETECTOR);
    wilor_index_close(&index);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlx_file),
        cmocka_unit_test(hand_files),
        cmocka_unit_test(mean_files),
        cmocka_unit_test(other_kinds),
    };
    if (!golden_exists(TINY "/wilor_tiny.ckpt")) {
        printf("skipped: no reference files at %s\n", TINY);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
