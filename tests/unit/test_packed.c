/* Packed weights in a file: used in place where they belong to the same files, tier and version, with
 * the same bits as those packed anew; else not used, and said why. */
#include "convert_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MANO WILOR_TEST_DATA "/hand-cc0.npz"
#define FILE_A WILOR_TEST_SCRATCH "/packed-a"
#define WEIGHTS WILOR_TEST_SCRATCH "/packed-weights"

enum { HANDS = 2, CROP = 256 * 256 * 3 };

static float g_crops[HANDS * CROP], g_want[HANDS * 63], g_got[HANDS * 63];
static char g_log[1024];

static void take_log(void *user, wilor_log_level level, const char *text) {
    (void)user;
    (void)level;
    snprintf(g_log, sizeof g_log, "%s", text);
}

static wilor_model *open_model(const char *weights, const char *packed, wilor_isa isa) {
    wilor_error err;
    wilor_model *model = NULL;
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = weights;
    o.mano = MANO;
    o.packed = packed;
    o.max_isa = isa;
    o.callbacks.log = take_log;
    g_log[0] = 0;
    if (wilor_model_open(&model, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return model;
}

static int from_packed(const wilor_model *model) {
    wilor_model_info info;
    wilor_model_get_info(model, &info, sizeof info);
    return info.from_packed;
}

static void run(const wilor_model *model, int threads, float *out) {
    wilor_error err;
    wilor_session *s = NULL;
    wilor_session_options o;
    const wilor_hands *h = NULL;
    wilor_session_options_init(&o, sizeof o);
    o.threads = threads;
    if (wilor_session_create(&s, model, &o, &err) != WILOR_OK ||
        wilor_run(s, g_crops, HANDS, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    memcpy(out, h->keypoints_3d, sizeof g_want);
    wilor_session_free(&s);
}

static int write_file(void *user, const void *data, size_t size) {
    return fwrite(data, 1, size, user) != size;
}

static void save(const wilor_model *model, const char *path) {
    wilor_error err;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(wilor_model_save_packed(model, write_file, f, &err), WILOR_OK);
    assert_int_equal(fclose(f), 0);
}

static int refuse(void *user, const void *data, size_t size) {
    (void)data;
    (void)size;
    return ++*(int *)user >= 3;
}

static void test_in_place(void **state) {
    (void)state;
    wilor_error err;
    int calls = 0;
    unlink(FILE_A);
    wilor_model *model = open_model("random:tiny", FILE_A, WILOR_ISA_AUTO);
    assert_int_equal(from_packed(model), 0);
    assert_non_null(strstr(g_log, "packed-a"));
    run(model, 1, g_want);
    save(model, FILE_A);
    assert_int_equal(wilor_model_save_packed(model, refuse, &calls, &err), WILOR_ERR_IO);
    assert_int_equal(wilor_model_save_packed(NULL, refuse, &calls, &err), WILOR_ERR_ARG);
    wilor_model_free(&model);
    /* Two at once, one of them saved again from the mapping. */
    model = open_model("random:tiny", FILE_A, WILOR_ISA_AUTO);
    assert_string_equal(g_log, "");
    wilor_model *other = open_model("random:tiny", FILE_A, WILOR_ISA_AUTO);
    assert_true(from_packed(model) && from_packed(other));
    run(model, 1, g_got);
    assert_memory_equal(g_got, g_want, sizeof g_want);
    run(other, 3, g_got);
    assert_memory_equal(g_got, g_want, sizeof g_want);
    save(other, FILE_A ".2");
    wilor_model_free(&other);
    wilor_model_free(&model);
    model = open_model("random:tiny", FILE_A ".2", WILOR_ISA_AUTO);
    assert_true(from_packed(model));
    run(model, 2, g_got);
    assert_memory_equal(g_got, g_want, sizeof g_want);
    wilor_model_free(&model);
    unlink(FILE_A ".2");
}

static void expect_unused(const char *weights, wilor_isa isa, int same) {
    wilor_model *model = open_model(weights, FILE_A, isa);
    assert_int_equal(from_packed(model), 0);
    if (!strstr(g_log, "not used"))
        fail_msg("'%s' does not say so", g_log);
    run(model, 1, g_got);
    assert_int_equal(memcmp(g_got, g_want, sizeof g_want) == 0, same);
    wilor_model_free(&model);
}

/* The file of test_in_place, for others and damaged. */
static void test_not_used(void **state) {
    (void)state;
    FILE *f = fopen(FILE_A, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(f);
    uint8_t *all = malloc(size);
    assert_non_null(all);
    rewind(f);
    assert_int_equal(fread(all, 1, size, f), size);
    fclose(f);
    expect_unused("random:hd80", WILOR_ISA_AUTO, 0);
    if (wilor_isa_best() != WILOR_ISA_C)
        expect_unused("random:tiny", WILOR_ISA_C, 0);
    static const size_t at[] = {0, 20, 81, 88}; /* magic, key, bytes, order of bytes */
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        f = fopen(FILE_A, "wb");
        all[at[i]] ^= 1;
        assert_int_equal(fwrite(all, 1, size, f), size);
        all[at[i]] ^= 1;
        fclose(f);
        expect_unused("random:tiny", WILOR_ISA_AUTO, 1);
    }
    static const size_t cuts[] = {0, 1, 4095, 4096, 5000};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        f = fopen(FILE_A, "wb");
        assert_int_equal(fwrite(all, 1, cuts[i], f), cuts[i]);
        fclose(f);
        expect_unused("random:tiny", WILOR_ISA_AUTO, 1);
    }
    free(all);
    unlink(FILE_A);
}

static void convert(wilor_weights_dtype dtype) {
    wilor_error err;
    int group = dtype == WILOR_WEIGHTS_INT4 ? 32 : 0;
    assert_int_equal(
        convert_file("random:hd80", WEIGHTS, WILOR_WEIGHTS_CHECKPOINT, dtype, group, &err),
        WILOR_OK);
}

/* Quantised weights, from a file; and the file is written anew with the same size and tensors. */
static void test_quantised(void **state) {
    (void)state;
    convert(WILOR_WEIGHTS_INT4);
    wilor_model *model = open_model(WEIGHTS, NULL, WILOR_ISA_AUTO);
    run(model, 1, g_want);
    save(model, FILE_A);
    wilor_model_free(&model);
    model = open_model(WEIGHTS, FILE_A, WILOR_ISA_AUTO);
    assert_true(from_packed(model));
    run(model, 2, g_got);
    assert_memory_equal(g_got, g_want, sizeof g_want);
    wilor_model_free(&model);
    usleep(20000);
    convert(WILOR_WEIGHTS_INT4);
    expect_unused(WEIGHTS, WILOR_ISA_AUTO, 1);
    unlink(WEIGHTS);
    unlink(FILE_A);
}

int main(void) {
    for (size_t i = 0; i < HANDS * CROP; i++)
        g_crops[i] = (float)((i * 2654435761u >> 16) & 255);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_in_place),
                                       cmocka_unit_test(test_not_used),
                                       cmocka_unit_test(test_quantised)};
    return cmocka_run_group_tests_name("packed", tests, NULL, NULL);
}
