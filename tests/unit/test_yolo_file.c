/* Detector files: plans, folded weights, and what is refused. Small made-up files always; the
 * files of real ultralytics versions when the fixtures are there. */
#include "detector_file.h"
#include "heap.h"
#include "random_detector.h"
#include "tensor_convert.h"
#include "yolo_program.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct opened {
    uint8_t *bytes;
    size_t size;
    wilor_index *index;
    wilor_yolo_plan plan;
    wilor_error err;
    wilor_status status;
} opened;

/* Everything up to the plan; status and err say how far it came. */
static void finish(opened *o) {
    if (o->status == WILOR_OK)
        o->status = wilor_index_canonical(o->index, &o->err);
    if (o->status == WILOR_OK)
        o->status = wilor_yolo_plan_read(&o->plan, o->index, &o->err);
}

static void open_made(opened *o, const detector_file *f) {
    *o = (opened){0};
    o->bytes = detector_file_make(f, &o->size);
    o->status = wilor_index_open_memory(&o->index, o->bytes, o->size, "made.pt", &o->err);
    finish(o);
}

static void open_path(opened *o, const char *path) {
    *o = (opened){0};
    o->status = wilor_index_open(&o->index, path, &o->err);
    finish(o);
}

static void close_it(opened *o) {
    wilor_index_close(&o->index);
    free(o->bytes);
}

static void need(const opened *o) {
    if (o->status != WILOR_OK)
        fail_msg("refused: %s", o->err.text);
}

static const wilor_yolo_conv g_stem = {"model.0", 4, 3, 3, false};

/* FNV-1a over the bits of all folded weights and biases. */
static uint64_t hash_convs(const opened *o) {
    static wilor_yolo_program program;
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    wilor_error err;
    wilor_yolo_program_make(&program, &o->plan, false);
    for (int i = 0; i < program.conv_count; i++) {
        const wilor_yolo_conv *c = &program.convs[i];
        bool silu;
        size_t out = (size_t)c->out, depth = (size_t)(c->in * c->size * c->size);
        size_t n = out * depth, k = n + out; /* what counts: weights and biases */
        float *values = malloc((k + out) * sizeof *values);
        assert_non_null(values);
        if (wilor_yolo_conv_read(o->index, c, values, values + k, values + n, &silu, &err) !=
            WILOR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(silu, !c->plain);
        for (size_t j = 0; j < n; j++)
            values[j] *= values[k + j / depth];
        for (size_t j = 0; j < k; j++) {
            uint32_t bits;
            memcpy(&bits, values + j, 4);
            h = (h ^ bits) * UINT64_C(0x100000001B3);
        }
        free(values);
    }
    return h;
}

/* ------------------------------------------------------------------ made-up files */

static void sound(void **state) {
    static const detector_file files[] = {{.width = 4, .repeats = 3},
                                          {.width = 4, .repeats = 3, .ema = true},
                                          {.width = 4, .repeats = 3, .big_endian = true},
                                          {.width = 4, .repeats = 3, .safetensors = true}};
    uint64_t hash = 0;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        opened o;
        open_made(&o, &files[i]);
        need(&o);
        for (int l = 0; l < WILOR_YOLO_LAYERS; l++) {
            bool twice = l == 11 || l == 14 || l == 17 || l == 20;
            bool c2f = l == 2 || l == 4 || l == 6 || l == 8 || l == 12 || l == 15 || l == 18 ||
                       l == 21;
            assert_int_equal(o.plan.channels[l], twice ? 8 : 4);
            assert_int_equal(o.plan.repeats[l], c2f ? 3 : 0);
        }
        for (int b = 0; b < 3; b++)
            assert_int_equal(o.plan.hidden[b], 4);
        assert_int_equal(o.plan.imgsz, files[i].safetensors ? 640 : 96);
        assert_int_equal(o.plan.parameters, 8327);
        if (i == 0)
            hash = hash_convs(&o);
        else if (!files[i].safetensors)
            assert_int_equal(hash_convs(&o), hash);
        if (!files[i].safetensors) {
            assert_string_equal(wilor_index_metadata(o.index, "imgsz"), "96");
            assert_string_equal(wilor_index_metadata(o.index, "names"), "left, right");
        }
        close_it(&o);
    }
}

/* One value of a vector. */
static float value_of(const opened *o, const char *name, size_t i) {
    float values[128];
    const wilor_tensor *t = wilor_index_find(o->index, name);
    assert_non_null(t);
    assert_true(t->count <= 128);
    assert_int_equal(wilor_tensor_to_f32(t, values, NULL), WILOR_OK);
    return values[i];
}

/* Batch norm by the definition, weights in the order out, row, column, in. */
static void check_stem(const opened *o, float eps) {
    float weight[108], scale[4], bias[4];
    bool silu;
    assert_int_equal(wilor_yolo_conv_read(o->index, &g_stem, weight, scale, bias, &silu, NULL),
                     0);
    for (size_t c = 0; c < 4; c++) {
        float k = value_of(o, "model.0.bn.weight", c) /
                  sqrtf(value_of(o, "model.0.bn.running_var", c) + eps);
        float b =
            value_of(o, "model.0.bn.bias", c) - value_of(o, "model.0.bn.running_mean", c) * k;
        assert_true(scale[c] == k && bias[c] == b);
        for (size_t i = 0; i < 3; i++)
            for (size_t at = 0; at < 9; at++) {
                float w = value_of(o, "model.0.conv.weight", (c * 3 + i) * 9 + at);
                assert_true(weight[(c * 9 + at) * 3 + i] == w);
            }
    }
}

static void norms(void **state) {
    static const detector_edit edits[] = {
        DETECTOR_EDIT("model.0.bn", "eps", "G\x3f\xe0\0\0\0\0\0\0"), /* 0.5 */
        DETECTOR_EDIT("model.0.act", "class", "torch.nn.modules.linear\nIdentity\n")};
    opened o;
    float weight[108], scale[4], bias[4];
    bool silu;
    (void)state;
    open_made(&o, &(detector_file){.width = 4, .repeats = 1});
    need(&o);
    check_stem(&o, 0.001f);
    close_it(&o);
    open_made(&o, &(detector_file){.width = 4, .repeats = 1, .safetensors = true});
    need(&o);
    check_stem(&o, 0.001f);
    close_it(&o);
    open_made(&o, &(detector_file){.width = 4, .repeats = 1, .edits = edits, .edit_count = 2});
    need(&o);
    check_stem(&o, 0.5f);
    assert_int_equal(wilor_yolo_conv_read(o.index, &g_stem, weight, scale, bias, &silu, NULL),
                     0);
    assert_false(silu);
    close_it(&o);
}

static void modules_are_asked(void **state) {
    opened o;
    double v[4];
    (void)state;
    open_made(&o, &(detector_file){.width = 4, .repeats = 1});
    need(&o);
    assert_string_equal(wilor_index_class(o.index, "model.2"),
                        "ultralytics.nn.modules.block.C2f");
    assert_null(wilor_index_class(o.index, "model.23"));
    assert_int_equal(wilor_index_attribute(o.index, "model.22", "f", v, 4), 3);
    assert_true(v[0] == 15 && v[1] == 18 && v[2] == 21);
    assert_int_equal(wilor_index_attribute(o.index, "model.22", "f", v, 1), 3);
    assert_int_equal(wilor_index_attribute(o.index, "model.22", "no", v, 4), -1);
    assert_int_equal(wilor_index_attribute(o.index, "model.10", "mode", v, 4), 0);
    assert_int_equal(wilor_index_attribute(o.index, "model.10", "size", v, 4), -1);
    assert_string_equal(wilor_index_attribute_text(o.index, "model.10", "mode"), "nearest");
    size_t n = wilor_index_module_count(o.index);
    assert_int_equal(wilor_index_module_find(o.index, "no"), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(wilor_index_module_find(o.index, wilor_index_module_at(o.index, i)),
                         i);
    close_it(&o);
}

/* An edit, and two words that the message must hold. */
static const struct refusal {
    detector_edit edit;
    const char *thing, *what;
} g_refusals[] = {
    {DETECTOR_EDIT("model.22", "nc", "K\3"), "'model.22'", "nc 3"},
    {DETECTOR_EDIT("model.22", "nc", ""), "'model.22'", "no nc"},
    {DETECTOR_EDIT("model.22", "kpt_shape", "K\x11K\3\x86"), "'model.22'", "[17, 3]"},
    {DETECTOR_EDIT("model.22", "kpt_shape", "K\x15"), "'model.22'", "kpt_shape"},
    {DETECTOR_EDIT("model.22", "reg_max", "K\x8"), "'model.22'", "reg_max 8"},
    {DETECTOR_EDIT("model.22", "nl", "K\4"), "'model.22'", "nl 4"},
    {DETECTOR_EDIT("model.22", "f",
                   "](K\x0fK\x12K\x14"
                   "e"),
     "'model.22'", "layer 20"},
    {DETECTOR_EDIT("model.22", "class", "ultralytics.nn.modules.head\nDetect\n"), "'model.22'",
     "head.Pose"},
    {DETECTOR_EDIT("model.22.dfl.conv.weight", "drop", ""), "dfl.conv.weight", "missing"},
    {DETECTOR_EDIT("model.3.act", "class", "torch.nn.modules.activation\nReLU\n"),
     "'model.3.act'", "ReLU"},
    {DETECTOR_EDIT("model.2", "class", "ultralytics.nn.modules.block\nC3\n"), "'model.2'",
     "block.C3"},
    {DETECTOR_EDIT("", "class", "ultralytics.nn.tasks\nDetectionModel\n"), "network",
     "DetectionModel"},
    {DETECTOR_EDIT("model.2.m.0", "add", "\x89"), "'model.2.m.0'", "add 0"},
    {DETECTOR_EDIT("model.12.m.0", "add", "\x88"), "'model.12.m.0'", "add 1"},
    {DETECTOR_EDIT("model.5", "f", "K\3"), "'model.5'", "layer 3"},
    {DETECTOR_EDIT("model.5", "f", "K\1K\2\x86"), "'model.5'", "2 layers"},
    {DETECTOR_EDIT("model.11", "f", "J\xff\xff\xff\xffK\5\x86"), "'model.11'", "layer 5"},
    {DETECTOR_EDIT("model.11", "d", "K\2"), "'model.11'", "d 2"},
    {DETECTOR_EDIT("model.7", "i", "K\x8"), "'model.7'", "i 8"},
    {DETECTOR_EDIT("model.3.conv", "stride", "K\1K\1\x86"), "'model.3.conv'", "stride 1"},
    {DETECTOR_EDIT("model.3.conv", "padding", "K\1K\0\x86"), "'model.3.conv'", "padding 0"},
    {DETECTOR_EDIT("model.3.conv", "groups", "K\2"), "'model.3.conv'", "groups 2"},
    {DETECTOR_EDIT("model.3.conv", "dilation", "K\2"), "'model.3.conv'", "dilation 2"},
    {DETECTOR_EDIT("model.3.conv", "padding_mode", "U\7reflect"), "'model.3.conv'", "reflect"},
    {DETECTOR_EDIT("model.3.bn", "eps", "G\0\0\0\0\0\0\0\0"), "'model.3.bn'", "eps 0"},
    {DETECTOR_EDIT("model.3.bn", "eps", "G\x7f\xf8\0\0\0\0\0\0"), "'model.3.bn'", "eps"},
    {DETECTOR_EDIT("model.3.bn", "eps", "N"), "'model.3.bn'", "no eps"},
    {DETECTOR_EDIT("model.10", "scale_factor", "K\3"), "'model.10'", "scale_factor 3"},
    {DETECTOR_EDIT("model.10", "mode", "U\6linear"), "'model.10'", "linear"},
    {DETECTOR_EDIT("model.10", "size", "K\x28"), "'model.10'", "size"},
    {DETECTOR_EDIT("model.9", "n", "K\4"), "'model.9'", "n 4"},
    {DETECTOR_EDIT("model.9.m", "kernel_size", "K\7"), "'model.9.m'", "kernel_size 7"},
    {DETECTOR_EDIT("model.4.bn.weight", "drop", ""), "", ""}, /* no such tensor: sound */
    {DETECTOR_EDIT("model.4.cv1.bn.weight", "drop", ""), "'model.4.cv1.bn.weight'", "missing"},
    {DETECTOR_EDIT("model.4.m.0.cv2.conv.weight", "drop", ""), "'model.4.m.0.cv2.conv.weight'",
     "missing"},
    {DETECTOR_EDIT("model.22.cv4.2.2.bias", "drop", ""), "'model.22.cv4.2.2.bias'", "missing"},
    {DETECTOR_EDIT("model.3.conv.weight", "rows", "\6"), "'model.3.bn.weight'", "[6] fits"},
    {DETECTOR_EDIT("model.4.cv1.conv.weight", "rows", "\3"), "'model.4.cv1.bn.weight'", "[3]"},
    {DETECTOR_EDIT("model.4.cv2.conv.weight", "rows", "\6"), "'model.4.cv2.conv.weight'",
     "[6, 6, 1, 1]"},
    {DETECTOR_EDIT("model.22.cv3.0.2.weight", "rows", "\3"), "'model.22.cv3.0.2.weight'",
     "[3, 4, 1, 1]"},
    {DETECTOR_EDIT("model.0.conv.weight", "rows", "\0"), "'model.0.conv.weight'",
     "[0, 3, 3, 3]"},
    {DETECTOR_EDIT("top", "imgsz", "K\0"), "'imgsz'", "is 0"},
    {DETECTOR_EDIT("top", "imgsz", "J\0\xca\x9a\x3b"), "'imgsz'", "1e+09"},
    {DETECTOR_EDIT("top", "imgsz", "J\xff\xff\xff\xff"), "'imgsz'", "-1"},
    {DETECTOR_EDIT("top", "imgsz",
                   "U\3"
                   "640"),
     "'imgsz'", "no number"},
    {DETECTOR_EDIT("top", "imgsz", "K\x60K\x80\x86"), "'imgsz'", "96 by 128"},
    {DETECTOR_EDIT("top", "imgsz", "G\x40\x59\x20\0\0\0\0\0"), "'imgsz'", "100.5"},
    {DETECTOR_EDIT("", "names", "}(K\0U\5RightK\1U\4Leftu"), "network", "left and right"},
    {DETECTOR_EDIT("top", "more", "U\1xcposix\nsystem\n(U\x10touch PICKLE_RANtR"),
     "posix.system", "nothing of it was run"},
    {DETECTOR_EDIT("model.0.bn.weight", "more",
                   "U\5extrah\0(h\1K\0(K\1t(K\1t\x89}tR"), /* the memo's function and storage */
     "'model.0.bn.extra'", "is a tensor that YOLOv8-pose does not have"},
    {DETECTOR_EDIT("model.3", "more",
                   "U\5extractorch.nn.modules.activation\nReLU\n)\x81}U\x08_modules}sb"),
     "'model.3.extra'", "is a module that YOLOv8-pose does not have"},
    {DETECTOR_EDIT("model.0.conv.weight", "more",
                   "U\4copyctorch._utils\n_rebuild_parameter\n(NtR"),
     "", ""}, /* not a tensor, not a module: ignored, as PyTorch would not make it one */
};

static void refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof g_refusals / sizeof g_refusals[0]; i++) {
        const struct refusal *r = &g_refusals[i];
        opened o;
        open_made(
            &o, &(detector_file){.width = 4, .repeats = 1, .edits = &r->edit, .edit_count = 1});
        if ((o.status == WILOR_OK) != !*r->what || !strstr(o.err.text, r->thing) ||
            !strstr(o.err.text, r->what) || (*r->what && !strstr(o.err.text, "made.pt")))
            fail_msg("%s %s: status %d, %s", r->edit.name, r->edit.key, (int)o.status,
                     o.err.text);
        close_it(&o);
    }
    assert_int_not_equal(access("PICKLE_RAN", F_OK), 0);
}

static void expect(const detector_file *f, const char *words) {
    opened o;
    open_made(&o, f);
    if (o.status == WILOR_OK || !strstr(o.err.text, words))
        fail_msg("expected \"%s\": status %d, %s", words, (int)o.status, o.err.text);
    close_it(&o);
}

static void whole_files_refused(void **state) {
    static const detector_edit rows = DETECTOR_EDIT("model.22.cv3.1.2.weight", "rows", "\3");
    static const detector_edit no_stem = DETECTOR_EDIT("model.0.conv.weight", "drop", "");
    (void)state;
    expect(&(detector_file){.width = 4, .repeats = 0}, "'model.2.m' holds nothing");
    opened most;
    open_made(&most, &(detector_file){.width = 4, .repeats = 16});
    need(&most);
    close_it(&most);
    expect(&(detector_file){.width = 4, .repeats = 17}, "'model.2.m' holds more");
    expect(&(detector_file){.width = 4, .repeats = 99}, "more than 4096 modules");
    expect(&(detector_file){.width = 4, .repeats = 1, .shared = true}, "shares bytes with");
    expect(&(detector_file){.width = 3, .repeats = 1}, "'model.2.cv2.conv.weight'");
    expect(
        &(detector_file){
            .width = 4, .repeats = 1, .safetensors = true, .edits = &rows, .edit_count = 1},
        "'model.22.cv3.1.2.weight' has shape [3, 4, 1, 1]");
    expect(
        &(detector_file){
            .width = 4, .repeats = 1, .safetensors = true, .edits = &no_stem, .edit_count = 1},
        "no hand detector");
    expect(&(detector_file){.width = 4, .repeats = 1, .edits = &no_stem, .edit_count = 1},
           "'model.0.conv.weight' is missing");
}

/* A name in the header becomes another of the same length. */
static void expect_renamed(const char *from, const char *to, const char *words) {
    opened o = {0};
    size_t n = strlen(from), at = 0;
    o.bytes = detector_file_make(
        &(detector_file){.width = 4, .repeats = 1, .safetensors = true}, &o.size);
    while (memcmp(o.bytes + at, from, n) != 0)
        at++;
    memcpy(o.bytes + at, to, n);
    o.status = wilor_index_open_memory(&o.index, o.bytes, o.size, "x.safetensors", &o.err);
    finish(&o);
    if (o.status != WILOR_ERR_MODEL || !strstr(o.err.text, words))
        fail_msg("expected \"%s\": status %d, %s", words, (int)o.status, o.err.text);
    close_it(&o);
}

static void unknown_names(void **state) {
    (void)state;
    expect_renamed("b3.bn.bias", "b3.bn.bill", "'model.3.bn.bias' is missing");
    expect_renamed("\"pose.cv2.2.2.bias", "\"pose.cv2.2.3.bias", "'model.22.cv2.2.2.bias'");
    expect_renamed("\"h12.cv1.bn.bias", "\"h13.cv1.bn.bias", "'model.12.cv1.bn.bias'");
}

/* A made-up safetensors with `metadata` in front of its tensors. */
static void open_with_metadata(opened *o, const char *metadata) {
    uint64_t header;
    size_t n = strlen(metadata), old;
    uint8_t *bytes = detector_file_make(
        &(detector_file){.width = 4, .repeats = 1, .safetensors = true}, &old);
    memset(o, 0, sizeof *o);
    o->size = old + n;
    o->bytes = malloc(o->size);
    assert_non_null(o->bytes);
    memcpy(&header, bytes, sizeof header);
    header += n;
    memcpy(o->bytes, &header, sizeof header);
    o->bytes[8] = '{';
    memcpy(o->bytes + 9, metadata, n);
    memcpy(o->bytes + 9 + n, bytes + 9, old - 9);
    free(bytes);
    o->status = wilor_index_open_memory(&o->index, o->bytes, o->size, "x.safetensors", &o->err);
    finish(o);
}

static void suppression(void **state) {
    opened o;
    (void)state;
    open_with_metadata(&o, "");
    need(&o);
    assert_false(o.plan.across_sides);
    close_it(&o);
    open_with_metadata(&o, "\"__metadata__\":{\"agnostic_nms\":\"true\"},");
    need(&o);
    assert_true(o.plan.across_sides);
    close_it(&o);
    open_with_metadata(&o, "\"__metadata__\":{\"agnostic_nms\":\"false\"},");
    need(&o);
    assert_false(o.plan.across_sides);
    close_it(&o);
    open_with_metadata(&o, "\"__metadata__\":{\"agnostic_nms\":\"yes\"},");
    assert_int_equal(o.status, WILOR_ERR_MODEL);
    assert_non_null(strstr(o.err.text, "'agnostic_nms' is neither true nor false"));
    close_it(&o);
}

static void values_not_finite(void **state) {
    opened o = {0};
    float weight[108], scale[4], bias[4], bad = -5;
    bool silu;
    (void)state;
    open_made(&o, &(detector_file){.width = 4, .repeats = 1});
    need(&o);
    const wilor_tensor *t = wilor_index_find(o.index, "model.0.bn.running_var");
    memcpy(o.bytes + (t->data - o.bytes) + 4, &bad, 4);
    assert_int_equal(wilor_yolo_conv_read(o.index, &g_stem, weight, scale, bias, &silu, &o.err),
                     WILOR_ERR_MODEL);
    assert_non_null(strstr(o.err.text, "model.0 holds a number that is not finite"));
    close_it(&o);
}

/* Any weight, by itself or with its factor. */
static void weights_not_finite(void **state) {
    static const float bad[] = {INFINITY, -INFINITY, NAN, 3e38f};
    opened o = {0};
    float weight[108], scale[4], bias[4], large = 1e3f;
    bool silu;
    (void)state;
    open_made(&o, &(detector_file){.width = 4, .repeats = 1});
    need(&o);
    const wilor_tensor *t = wilor_index_find(o.index, "model.0.conv.weight");
    const wilor_tensor *factor = wilor_index_find(o.index, "model.0.bn.weight");
    for (size_t c = 0; c < 4; c++)
        memcpy(o.bytes + (factor->data - o.bytes) + 4 * c, &large, 4);
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
        for (size_t at = 0; at < 108; at++) {
            uint8_t kept[4], *place = o.bytes + (t->data - o.bytes) + 4 * at;
            memcpy(kept, place, 4);
            memcpy(place, &bad[k], 4);
            assert_int_equal(
                wilor_yolo_conv_read(o.index, &g_stem, weight, scale, bias, &silu, &o.err),
                WILOR_ERR_MODEL);
            memcpy(place, kept, 4);
        }
    assert_int_equal(wilor_yolo_conv_read(o.index, &g_stem, weight, scale, bias, &silu, &o.err),
                     WILOR_OK);
    close_it(&o);
}

/* A file's own half floats and their way through float32 are the same numbers. */
static int compare_halves(const opened *o, const wilor_yolo_conv *c) {
    size_t out = (size_t)c->out, n = out * (size_t)(c->in * c->size * c->size);
    float *wide = calloc(n + 4 * out, sizeof *wide), *norm = wide + n, *same = norm + 2 * out;
    uint16_t *half = calloc(n, sizeof *half);
    bool silu[2], held = false;
    assert_true(wide && half);
    assert_int_equal(
        wilor_yolo_conv_read_halves(o->index, c, half, same, same + out, &silu[0], &held, NULL),
        WILOR_OK);
    if (held) {
        assert_int_equal(
            wilor_yolo_conv_read(o->index, c, wide, norm, norm + out, &silu[1], NULL),
            WILOR_OK);
        for (size_t i = 0; i < n; i++)
            assert_true(wide[i] == wilor_f16_to_f32(half[i]));
        assert_memory_equal(norm, same, 2 * out * sizeof *norm);
        assert_int_equal(silu[0], silu[1]);
    }
    free(wide);
    free(half);
    return held;
}

static void halves_as_they_are(void **state) {
    static wilor_yolo_program program;
    static const uint16_t bad[] = {0x7C00, 0xFC00, 0x7C01, 0xFFFF};
    opened o, made;
    (void)state;
    open_path(&o, WILOR_TEST_DATA "/../../../models/nano/hand-detector-nano.safetensors");
    need(&o);
    wilor_yolo_program_make(&program, &o.plan, false);
    for (int i = 0; i < program.conv_count; i++)
        assert_true(compare_halves(&o, &program.convs[i]));
    const wilor_tensor *t = wilor_index_find(o.index, "model.1.conv.weight");
    uint16_t *last = (uint16_t *)(uintptr_t)(t->data + t->span) - 1, was = *last;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        *last = bad[i]; /* the file was read whole: it is ours */
        for (int k = 0; k < program.conv_count; k++)
            assert_int_equal(compare_halves(&o, &program.convs[k]),
                             strcmp(program.convs[k].prefix, "model.1") != 0);
    }
    *last = was;
    close_it(&o);
    open_made(&made, &(detector_file){.width = 4, .repeats = 1, .safetensors = true});
    need(&made);
    assert_false(compare_halves(&made, &g_stem)); /* float32 */
    close_it(&made);
}

static void allocations_fail(void **state) {
    size_t size;
    uint8_t *bytes = detector_file_make(&(detector_file){.width = 4, .repeats = 1}, &size);
    (void)state;
    for (long n = 0;; n++) {
        opened o = {0};
        wilor_heap_fail_at(n);
        o.status = wilor_index_open_memory(&o.index, bytes, size, "made.pt", &o.err);
        finish(&o);
        wilor_heap_fail_at(-1);
        wilor_index_close(&o.index);
        if (o.status == WILOR_OK)
            break;
        assert_int_equal(o.status, WILOR_ERR_NOMEM);
        assert_true(n < 10000);
    }
    free(bytes);
}

/* ------------------------------------------------------------------ random detectors */

static void random_ones(void **state) {
    static const struct {
        const char *name;
        uint64_t parameters;
        int last;
        uint64_t hash; /* 0: not computed here */
    } cases[] = {{"n", 3385269, 256, 0},
                 {"s", 11764421, 512, 0},
                 {"m", 26630677, 576, 0},
                 {"micro", 351445, 32, UINT64_C(0xA1D0287DA6DF80C9)}};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        opened o = {0};
        o.status = wilor_random_detector(&o.index, cases[i].name, &o.err);
        finish(&o);
        need(&o);
        assert_int_equal(o.plan.parameters, cases[i].parameters);
        assert_int_equal(o.plan.channels[21], cases[i].last);
        if (cases[i].hash)
            assert_int_equal(hash_convs(&o), cases[i].hash);
        close_it(&o);
    }
    wilor_index *index = (wilor_index *)state;
    wilor_error err;
    assert_int_equal(wilor_random_detector(&index, "xl", &err), WILOR_ERR_ARG);
    assert_null(index);
    assert_non_null(strstr(err.text, "'xl'"));
}

/* ------------------------------------------------------------------ real files */

/* A file of the real package, small enough to be committed. */
static void committed_file(void **state) {
    opened o;
    (void)state;
    open_path(&o, WILOR_TEST_DATA "/detector/micro.pt");
    need(&o);
    assert_int_equal(o.plan.repeats[4], 2);
    assert_int_not_equal(hash_convs(&o), 0); /* and everything in it can be read */
    close_it(&o);
}

static bool have_fixtures(void) {
    if (access(WILOR_TEST_FIXTURES "/detector/detector_tiny.pt", R_OK) == 0)
        return true;
    print_message("no fixtures: made-up files only\n");
    return false;
}

static void real_files(void **state) {
    static const struct {
        const char *name;
        int imgsz, stem, last, hidden;
        uint64_t parameters;
    } cases[] = {
        {"detector_tiny.pt", 256, 16, 256, 64, 3385269},
        {"hand-detector-tiny.safetensors", 640, 16, 256, 64, 3385269},
        {"detector_tiny_current.pt", 192, 8, 128, 32, 1159853},
        {"detector_ema.pt", 224, 8, 128, 32, 1159853},
    };

    uint64_t hash[4];
    (void)state;
    if (!have_fixtures())
        skip();
    for (size_t i = 0; i < 4; i++) {
        char path[512];
        opened o;
        snprintf(path, sizeof path, WILOR_TEST_FIXTURES "/detector/%s", cases[i].name);
        open_path(&o, path);
        need(&o);
        assert_int_equal(o.plan.imgsz, cases[i].imgsz);
        assert_int_equal(o.plan.channels[0], cases[i].stem);
        assert_int_equal(o.plan.channels[21], cases[i].last);
        assert_int_equal(o.plan.repeats[2], 1);
        assert_int_equal(o.plan.repeats[4], 2);
        assert_int_equal(o.plan.hidden[1], cases[i].hidden);
        assert_int_equal(o.plan.parameters, cases[i].parameters);
        hash[i] = hash_convs(&o);
        close_it(&o);
    }
    assert_int_equal(hash[0], hash[1]);
    assert_int_not_equal(hash[2], hash[3]);
}

static void malformed_files(void **state) {
    int seen = 0;
    const struct dirent *e;
    (void)state;
    if (!have_fixtures())
        skip();
    DIR *d = opendir(WILOR_TEST_FIXTURES "/detector/malformed");
    assert_non_null(d);
    while ((e = readdir(d))) {
        char path[1024];
        opened o;
        if (!strstr(e->d_name, ".pt") && !strstr(e->d_name, ".safetensors"))
            continue;
        snprintf(path, sizeof path, WILOR_TEST_FIXTURES "/detector/malformed/%s", e->d_name);
        open_path(&o, path);
        if (o.status == WILOR_OK || !strstr(o.err.text, e->d_name) || strchr(o.err.text, '\n'))
            fail_msg("%s: status %d, %s", e->d_name, (int)o.status, o.err.text);
        close_it(&o);
        seen++;
    }
    closedir(d);
    assert_true(seen >= 19);
    assert_int_not_equal(access("PICKLE_RAN", F_OK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound),
        cmocka_unit_test(norms),
        cmocka_unit_test(modules_are_asked),
        cmocka_unit_test(refused),
        cmocka_unit_test(whole_files_refused),
        cmocka_unit_test(unknown_names),
        cmocka_unit_test(suppression),
        cmocka_unit_test(values_not_finite),
        cmocka_unit_test(weights_not_finite),
        cmocka_unit_test(halves_as_they_are),
        cmocka_unit_test(allocations_fail),
        cmocka_unit_test(random_ones),
        cmocka_unit_test(committed_file),
        cmocka_unit_test(real_files),
        cmocka_unit_test(malformed_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
