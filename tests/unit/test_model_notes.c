/* What a model's file says of itself: its name, the crop it was trained for, its licence. Read, kept
 * by conversion, checked, and used where the caller leaves the crop open. */
#include "wilor/wilor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANO WILOR_TEST_DATA "/hand-cc0.npz"
#define PATH WILOR_TEST_SCRATCH "/model_notes.safetensors"
#define AGAIN WILOR_TEST_SCRATCH "/model_notes.again.safetensors"
#define NOTES "\"wilor.model\":\"nano\",\"wilor.rescale\":\"1.75\","

/* The small reference model as a file; made once. */
typedef struct file_bytes {
    uint8_t *at;
    size_t size;
} file_bytes;

static int take(void *user, uint64_t offset, const void *data, size_t size) {
    file_bytes *f = user;
    if (offset + size > f->size) {
        f->at = realloc(f->at, (size_t)offset + size);
        f->size = (size_t)offset + size;
        if (!f->at)
            abort();
    }
    memcpy(f->at + offset, data, size);
    return 0;
}

static void convert(const char *source, wilor_weights_dtype dtype, file_bytes *out) {
    wilor_error err;
    wilor_convert_options o;
    wilor_convert_options_init(&o, sizeof o);
    o.source = source;
    o.dtype = dtype;
    o.write = take;
    o.write_user = out;
    *out = (file_bytes){NULL, 0};
    if (wilor_convert(&o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

static void put_file(const char *path, const uint8_t *a, size_t n, const uint8_t *b, size_t m) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(a, 1, n, f), n);
    assert_int_equal(fwrite(b, 1, m, f), m);
    assert_int_equal(fclose(f), 0);
}

/* PATH: the model with more pairs at the beginning of its metadata, each with a comma behind it. The
 * licence that the converter wrote goes when the pairs have one. */
static void write_with(const char *pairs) {
    static file_bytes plain;
    static const char start[] = "{\"__metadata__\":{";
    if (!plain.at)
        convert("random:tiny", WILOR_WEIGHTS_F16, &plain);
    size_t length = 0, more = strlen(pairs);
    for (int i = 0; i < 8; i++)
        length |= (size_t)plain.at[i] << (8 * i);
    assert_memory_equal(plain.at + 8, start, strlen(start));
    size_t longer = (length + more + 7) / 8 * 8, at = strlen(start);
    uint8_t *head = malloc(8 + longer);
    assert_non_null(head);
    memset(head, ' ', 8 + longer);
    for (int i = 0; i < 8; i++)
        head[i] = (uint8_t)(longer >> (8 * i));
    memcpy(head + 8, plain.at + 8, at);
    memcpy(head + 8 + at, pairs, more);
    memcpy(head + 8 + at + more, plain.at + 8 + at, length - at);
    if (strstr(pairs, "\"license\""))
        for (uint8_t *p = head + 8 + at + more; p + 9 < head + 8 + longer; p++)
            if (memcmp(p, "\"license\"", 9) == 0)
                memcpy(p, "\"longago\"", 9);
    put_file(PATH, head, 8 + longer, plain.at + 8 + length, plain.size - 8 - length);
    free(head);
}

static wilor_status open_model(wilor_model **model, const char *path, wilor_error *err) {
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = path;
    o.mano = MANO;
    return wilor_model_open(model, &o, err);
}

static wilor_model *must_open(const char *path, wilor_model_info *info) {
    wilor_error err;
    wilor_model *model = NULL;
    if (open_model(&model, path, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_model_get_info(model, info, sizeof *info);
    return model;
}

static void notes_are_read(void **state) {
    (void)state;
    wilor_model_info info;
    write_with("");
    wilor_model *model = must_open(PATH, &info);
    assert_string_equal(info.name, "");
    assert_true(info.rescale == 0);
    assert_non_null(strstr(info.licence, "CC BY-NC-ND"));
    wilor_model_free(&model);
    write_with(NOTES "\"license\":\"CC0-1.0\",");
    model = must_open(PATH, &info);
    assert_string_equal(info.name, "nano");
    assert_true(info.rescale == 1.75);
    assert_string_equal(info.licence, "CC0-1.0");
    /* An older caller's info is shorter. */
    memset(&info, 0x55, sizeof info);
    wilor_model_get_info(model, &info, offsetof(wilor_model_info, name));
    assert_int_equal(((uint8_t *)&info)[offsetof(wilor_model_info, name)], 0x55);
    wilor_model_free(&model);
}

static void conversion_keeps_them(void **state) {
    (void)state;
    wilor_model_info info;
    file_bytes made;
    write_with(NOTES "\"license\":\"CC0-1.0\",\"wilor.run\":\"third\",");
    convert(PATH, WILOR_WEIGHTS_F16, &made);
    put_file(AGAIN, made.at, made.size, NULL, 0);
    free(made.at);
    wilor_error err;
    wilor_file *file;
    assert_int_equal(wilor_file_open(&file, AGAIN, &err), WILOR_OK);
    assert_string_equal(wilor_file_metadata(file, "wilor.run"), "third");
    wilor_file_close(&file);
    wilor_model *model = must_open(AGAIN, &info);
    assert_string_equal(info.name, "nano");
    assert_true(info.rescale == 1.75);
    assert_string_equal(info.licence, "CC0-1.0");
    wilor_model_free(&model);
}

/* The tensor of that name; its number in the file. */
static wilor_tensor_info find_tensor(const wilor_file *file, const char *name, size_t *at) {
    wilor_tensor_info t = {.name = NULL};
    for (*at = 0; *at < wilor_file_count(file); (*at)++) {
        assert_int_equal(wilor_file_tensor(file, *at, &t), WILOR_OK);
        if (!strcmp(t.name, name))
            return t;
    }
    fail_msg("no tensor %s", name);
    return t;
}

static float *read_tensor(const wilor_file *file, size_t at, size_t count) {
    wilor_error err;
    float *out = calloc(count, sizeof *out);
    assert_non_null(out);
    if (wilor_file_read(file, at, out, count, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return out;
}

/* What is not quantised and has 16 bits keeps them, and its values. */
static void quantising_keeps_halves(void **state) {
    (void)state;
    static const char *const halves[] = {"backbone.patch_embed.proj.weight",
                                         "refine_net.deconv.first_conv.0.weight",
                                         "refine_net.dec_pose.weight"};
    wilor_error err;
    wilor_file *before, *after;
    file_bytes made;
    size_t at;
    write_with("");
    convert(PATH, WILOR_WEIGHTS_INT8, &made);
    put_file(AGAIN, made.at, made.size, NULL, 0);
    free(made.at);
    assert_int_equal(wilor_file_open(&before, PATH, &err), WILOR_OK);
    assert_int_equal(wilor_file_open(&after, AGAIN, &err), WILOR_OK);
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        wilor_tensor_info t = find_tensor(before, halves[i], &at);
        size_t count = t.bytes / 2;
        assert_string_equal(t.dtype, "F16");
        float *was = read_tensor(before, at, count);
        assert_string_equal(find_tensor(after, halves[i], &at).dtype, "F16");
        float *is = read_tensor(after, at, count);
        assert_memory_equal(was, is, count * sizeof *was);
        free(was);
        free(is);
    }
    wilor_tensor_info t = find_tensor(after, "backbone.blocks.0.attn.qkv.weight", &at);
    assert_string_equal(t.dtype, "I8");
    assert_string_equal(find_tensor(after, "backbone.blocks.0.norm1.weight", &at).dtype, "F32");
    wilor_file_close(&before);
    wilor_file_close(&after);
}

static void bad_notes(void **state) {
    static const struct {
        const char *pairs, *key;
    } bad[] = {
        {"\"wilor.rescale\":\"\",", "wilor.rescale ''"},
        {"\"wilor.rescale\":\"wide\",", "wilor.rescale 'wide'"},
        {"\"wilor.rescale\":\"1.75x\",", "wilor.rescale '1.75x'"},
        {"\"wilor.rescale\":\"1,75\",", "wilor.rescale '1,75'"},
        {"\"wilor.rescale\":\".5\",", "wilor.rescale '.5'"},
        {"\"wilor.rescale\":\"-2\",", "wilor.rescale '-2'"},
        {"\"wilor.rescale\":\"0\",", "wilor.rescale '0'"},
        {"\"wilor.rescale\":\"100.5\",", "wilor.rescale '100.5'"},
        {"\"wilor.rescale\":\"nan\",", "wilor.rescale 'nan'"},
        {"\"wilor.rescale\":\"1e1\",", "wilor.rescale '1e1'"},
        {"\"wilor.rescale\":\"1.0000000001\",", "wilor.rescale '1.0000000001'"},
        {"\"wilor.model\":\"\",", "wilor.model ''"},
        {"\"wilor.model\":\"na no\",", "wilor.model 'na no'"},
        {"\"wilor.model\":\"nano\\u001b\",", "wilor.model"},
        {"\"wilor.model\":\"abcdefghijklmnopqrstuvwxyz012345\",", "1 to 31 letters"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wilor_model *model = NULL;
        wilor_error err;
        write_with(bad[i].pairs);
        assert_int_equal(open_model(&model, PATH, &err), WILOR_ERR_MODEL);
        assert_null(model);
        if (!strstr(err.text, bad[i].key) || !strstr(err.text, "model_notes.safetensors"))
            fail_msg("%s: %s", bad[i].pairs, err.text);
        assert_int_equal(wilor_verify(PATH, NULL, &err), WILOR_ERR_MODEL);
        if (!strstr(err.text, bad[i].key))
            fail_msg("verify of %s: %s", bad[i].pairs, err.text);
    }
    write_with(NOTES);
    wilor_error err;
    if (wilor_verify(PATH, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

/* ---------------------------------------------------------------- the crop */

static uint8_t g_pixels[300 * 400 * 3];
static const wilor_picture g_picture = {g_pixels, 400, 300, 400 * 3, WILOR_RGB8};
static const wilor_box g_box = {{100, 80, 200, 130}, 1, WILOR_RIGHT}; /* 100 wide */

/* The side of the square that the model saw, and what the result says of it. */
static void check_crop(const wilor_model *model, wilor_compat compat, double given, double side,
                       double said) {
    wilor_session_options so;
    wilor_predict_options o;
    wilor_session *s = NULL;
    const wilor_hands *hands = NULL;
    wilor_error err;
    wilor_session_options_init(&so, sizeof so);
    so.compat = compat;
    wilor_predict_options_init(&o, sizeof o);
    o.rescale = given;
    if (wilor_session_create(&s, model, &so, &err) != WILOR_OK ||
        wilor_predict_boxes(s, &g_picture, &g_box, 1, given > 0 ? &o : NULL, &hands, &err) !=
            WILOR_OK)
        fail_msg("%s", err.text);
    assert_float_equal(hands->crop[2], side, 1e-3);
    assert_true(hands->rescale == said);
    wilor_session_free(&s);
}

static void crop_follows_the_model(void **state) {
    (void)state;
    wilor_model_info info;
    write_with("");
    wilor_model *model = must_open(PATH, &info);
    check_crop(model, WILOR_COMPAT_MINI, 0, 250, 2.5);
    check_crop(model, WILOR_COMPAT_MLX, 0, 250, 2.5);
    check_crop(model, WILOR_COMPAT_WILOR, 0, 200.0 * 4 / 3, 2.0);
    wilor_model_free(&model);
    write_with(NOTES);
    model = must_open(PATH, &info);
    check_crop(model, WILOR_COMPAT_MINI, 0, 175, 1.75);
    check_crop(model, WILOR_COMPAT_MLX, 0, 175, 1.75);
    check_crop(model, WILOR_COMPAT_WILOR, 0, 175.0 * 4 / 3, 1.75);
    check_crop(model, WILOR_COMPAT_MINI, 2.25, 225, 2.25);
    wilor_model_free(&model);
}

static void others_have_no_crop_of_boxes(void **state) {
    (void)state;
    static uint8_t crop[256 * 256 * 3];
    const wilor_picture picture = {crop, 256, 256, 256 * 3, WILOR_RGB8};
    const wilor_hands *hands = NULL;
    wilor_model_info info;
    wilor_session *s = NULL;
    wilor_error err;
    write_with(NOTES);
    wilor_model *model = must_open(PATH, &info);
    if (wilor_session_create(&s, model, NULL, &err) != WILOR_OK ||
        wilor_predict_boxes(s, &g_picture, &g_box, 1, NULL, &hands, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_true(hands->rescale == 1.75);
    if (wilor_predict_crops(s, &picture, NULL, 1, &hands, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_true(hands->rescale == 0);
    wilor_session_free(&s);
    wilor_model_free(&model);
}

static int one_box(void *user, const wilor_picture *picture, wilor_box *boxes, float *keypoints,
                   int most) {
    (void)user, (void)picture, (void)keypoints;
    boxes[0] = g_box;
    return most < 1 ? most : 1;
}

static void trackers_hand_it_through(void **state) {
    (void)state;
    wilor_model_info info;
    wilor_pipeline_options po;
    wilor_pipeline *pipeline = NULL;
    wilor_tracker *tracker = NULL;
    const wilor_tracks *tracks = NULL;
    wilor_error err;
    write_with(NOTES);
    wilor_model *model = must_open(PATH, &info);
    wilor_pipeline_options_init(&po, sizeof po);
    po.find = one_box;
    if (wilor_pipeline_create(&pipeline, NULL, model, &po, &err) != WILOR_OK ||
        wilor_tracker_create(&tracker, model, NULL, &err) != WILOR_OK ||
        wilor_tracker_run(tracker, pipeline, &g_picture, 1000, NULL, NULL, &tracks, &err) !=
            WILOR_OK)
        fail_msg("%s", err.text);
    assert_true(tracks->hands->rescale == 1.75);
    wilor_tracker_free(&tracker);
    wilor_pipeline_free(&pipeline);
    wilor_model_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_are_read),
        cmocka_unit_test(conversion_keeps_them),
        cmocka_unit_test(quantising_keeps_halves),
        cmocka_unit_test(bad_notes),
        cmocka_unit_test(crop_follows_the_model),
        cmocka_unit_test(others_have_no_crop_of_boxes),
        cmocka_unit_test(trackers_hand_it_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
