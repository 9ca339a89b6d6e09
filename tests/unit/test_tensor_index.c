/* Converters, the index over small safetensors made here, and failing allocations while one
 * file of each format is opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "heap.h"
#include "index_build.h"
#include "tensor_convert.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static wilor_tensor view(wilor_tensor_dtype dtype, const void *data, int rank,
                         const int64_t *shape, const int64_t *stride) {
    wilor_tensor t = {.name = "t", .rank = rank, .data = data, .count = 1};
    wilor_tensor_set_dtype(&t, dtype);
    for (int i = 0; i < rank; i++) {
        t.shape[i] = shape[i];
        t.count *= (size_t)shape[i];
    }
    if (stride)
        memcpy(t.stride, stride, (size_t)rank * sizeof *stride);
    else
        wilor_tensor_set_dense(&t, false);
    return t;
}

/* What PyTorch and numpy say of these bits. */
static void half_floats(void **state) {
    static const struct {
        uint16_t bits;
        float value;
    } half[] = {{0x0000, 0.0f},         {0x8000, -0.0f},     {0x3C00, 1.0f},
                {0xC000, -2.0f},        {0x0001, 0x1p-24f},  {0x8001, -0x1p-24f},
                {0x03FF, 0x1.ff8p-15f}, {0x0400, 0x1p-14f},  {0x7BFF, 65504.0f},
                {0x7C00, INFINITY},     {0xFC00, -INFINITY}, {0x3555, 0.333251953125f}},
      brain[] = {{0x3F80, 1.0f},     {0x0001, 0x1p-133f},   {0x8000, -0.0f},
                 {0x7F80, INFINITY}, {0x7F7F, 0x1.fep127f}, {0xC049, -3.140625f}};

    (void)state;
    for (size_t i = 0; i < sizeof half / sizeof half[0]; i++) {
        float v = wilor_f16_to_f32(half[i].bits);
        assert_memory_equal(&v, &half[i].value, sizeof v);
    }
    for (size_t i = 0; i < sizeof brain / sizeof brain[0]; i++) {
        float v = wilor_bf16_to_f32(brain[i].bits);
        assert_memory_equal(&v, &brain[i].value, sizeof v);
    }
    assert_true(isnan(wilor_f16_to_f32(0x7E00)) && isnan(wilor_f16_to_f32(0xFC01)));
    assert_true(isnan(wilor_bf16_to_f32(0x7FC0)));
    /* Every half float, against its definition. */
    for (uint32_t bits = 0; bits < 0x7C00; bits++) {
        int exponent = (int)(bits >> 10);
        double want =
            ldexp((exponent ? 1024.0 : 0.0) + (bits & 1023), (exponent ? exponent : 1) - 25);
        if ((double)wilor_f16_to_f32((uint16_t)bits) != want)
            fail_msg("half float %04x", bits);
    }
}

static void strides(void **state) {
    float data[24], out[24];
    (void)state;
    for (int i = 0; i < 24; i++)
        data[i] = (float)i;
    /* (2, 3, 4) seen as (4, 3, 2) */
    wilor_tensor t = view(WILOR_F32, data, 3, (int64_t[]){4, 3, 2}, (int64_t[]){1, 4, 12});
    assert_int_equal(wilor_tensor_to_f32(&t, out, NULL), WILOR_OK);
    for (int i = 0; i < 24; i++)
        assert_true(out[i] == (float)(i / 6 + i / 2 % 3 * 4 + i % 2 * 12));
    assert_null(wilor_tensor_f32_in_place(&t));
    /* stride 0, a dimension of 1 with an odd stride, and an offset */
    t = view(WILOR_F32, data + 1, 3, (int64_t[]){2, 1, 3}, (int64_t[]){0, 99, 2});
    assert_int_equal(wilor_tensor_to_f32(&t, out, NULL), WILOR_OK);
    for (int i = 0; i < 6; i++)
        assert_true(out[i] == (float)(1 + i % 3 * 2));
    /* dense, in place; a scalar; nothing */
    t = view(WILOR_F32, data, 2, (int64_t[]){4, 6}, NULL);
    assert_ptr_equal(wilor_tensor_f32_in_place(&t), data);
    t = view(WILOR_F32, data + 5, 0, NULL, NULL);
    assert_int_equal(wilor_tensor_to_f32(&t, out, NULL), WILOR_OK);
    assert_true(out[0] == 5.0f);
    t = view(WILOR_F32, NULL, 2, (int64_t[]){0, 6}, NULL);
    assert_int_equal(wilor_tensor_to_f32(&t, NULL, NULL), WILOR_OK);
    assert_null(wilor_tensor_f32_in_place(&t));
}

static void rows(void **state) {
    float data[12], out[12];
    wilor_error err;
    (void)state;
    for (int i = 0; i < 12; i++)
        data[i] = (float)i;
    wilor_tensor t =
        view(WILOR_F32, data, 2, (int64_t[]){3, 4}, (int64_t[]){1, 3}); /* transposed */
    assert_int_equal(wilor_tensor_rows_to_f32(&t, 1, 2, out, &err), WILOR_OK);
    for (int i = 0; i < 8; i++)
        assert_true(out[i] == (float)(1 + i / 4 + i % 4 * 3));
    assert_int_equal(wilor_tensor_rows_to_f32(&t, 3, 0, out, &err), WILOR_OK);
    assert_int_equal(wilor_tensor_rows_to_f32(&t, 2, 2, out, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_tensor_rows_to_f32(&t, -1, 1, out, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_tensor_rows_to_f32(&t, INT64_MAX, INT64_MAX, out, &err),
                     WILOR_ERR_ARG);
    wilor_tensor other = view(WILOR_DTYPE_OTHER, data, 1, (int64_t[]){3}, NULL);
    assert_int_equal(wilor_tensor_rows_to_f32(&other, 0, 1, out, &err), WILOR_ERR_UNSUPPORTED);
    assert_int_equal(wilor_tensor_to_f32(&other, out, &err), WILOR_ERR_UNSUPPORTED);
}

/* The same number in every type and byte order, unaligned. */
static void types_and_byte_order(void **state) {
    static const struct {
        wilor_tensor_dtype dtype;
        uint8_t little[8];
        double value;
    } cases[] = {{WILOR_F64, {0, 0, 0, 0, 0, 0, 0x04, 0xC0}, -2.5},
                 {WILOR_F32, {0, 0, 0x20, 0xC0}, -2.5},
                 {WILOR_F16, {0x00, 0xC1}, -2.5},
                 {WILOR_BF16, {0x20, 0xC0}, -2.5},
                 {WILOR_I64, {0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, -2},
                 {WILOR_I32, {0x2D, 0xFE, 0xFF, 0xFF}, -467},
                 {WILOR_I16, {0x2D, 0xFE}, -467},
                 {WILOR_I8, {0x80}, -128},
                 {WILOR_U64, {1, 2, 0, 0, 0, 0, 0, 0}, 513},
                 {WILOR_U32, {0xFF, 0xFF, 0xFF, 0xFF}, 4294967295.0},
                 {WILOR_U16, {0xFF, 0xFE}, 65279},
                 {WILOR_U8, {0xFF}, 255},
                 {WILOR_BOOL, {7}, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int big = 0; big < 2; big++) {
            uint8_t bytes[9];
            float f;
            double d;
            int64_t n;
            wilor_tensor t = view(cases[i].dtype, bytes + 1, 1, (int64_t[]){1}, NULL);
            for (size_t k = 0; k < t.element; k++)
                bytes[1 + k] = cases[i].little[big ? t.element - 1 - k : k];
            t.big_endian = big;
            assert_int_equal(wilor_tensor_to_f32(&t, &f, NULL), WILOR_OK);
            assert_int_equal(wilor_tensor_to_f64(&t, &d, NULL), WILOR_OK);
            assert_int_equal(wilor_tensor_to_i64(&t, &n, NULL), WILOR_OK);
            if (f != (float)cases[i].value || d != cases[i].value ||
                n != (int64_t)cases[i].value)
                fail_msg("%s: %g %g %lld", t.dtype_name, (double)f, d, (long long)n);
        }
}

static void integers_out_of_range(void **state) {
    uint64_t large = UINT64_MAX;
    double values[] = {1e30, NAN, -INFINITY};
    int64_t out;
    wilor_error err;
    (void)state;
    wilor_tensor t = view(WILOR_U64, &large, 0, NULL, NULL);
    assert_int_equal(wilor_tensor_to_i64(&t, &out, &err), WILOR_ERR_FORMAT);
    for (size_t i = 0; i < 3; i++) {
        t = view(WILOR_F64, &values[i], 0, NULL, NULL);
        assert_int_equal(wilor_tensor_to_i64(&t, &out, &err), WILOR_ERR_FORMAT);
    }
}

/* ------------------------------------------------------------------ files made here */

typedef struct st_file {
    uint8_t data[4096];
    size_t size;
} st_file;

/* A safetensors file of F32 tensors "name shape", filled with 0, 1, 2 … over the whole file. */
static void make_file(st_file *f, const char *const names[], const char *const shapes[],
                      const size_t counts[], size_t n) {
    char header[2048] = "{";
    size_t at = 1, begin = 0, total = 0;
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(
            header + at, sizeof header - at,
            "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
            i ? "," : "", names[i], shapes[i], begin, begin + 4 * counts[i]);
        begin += 4 * counts[i];
        total += counts[i];
    }
    header[at++] = '}';
    memset(f->data, 0, 8);
    f->data[0] = (uint8_t)at;
    f->data[1] = (uint8_t)(at >> 8);
    memcpy(f->data + 8, header, at);
    for (size_t i = 0; i < total; i++) {
        float v = (float)i;
        memcpy(f->data + 8 + at + 4 * i, &v, 4);
    }
    f->size = 8 + at + 4 * total;
}

static wilor_index *open_file(const st_file *f) {
    wilor_error err;
    wilor_index *index;
    if (wilor_index_open_memory(&index, f->data, f->size, "x.safetensors", &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return index;
}

static void names_and_order(void **state) {
    static const char *const names[] = {"b", "a", "a.b", "ab", "\xc3\xa9", ""};
    static const char *const shapes[] = {"1", "2", "3", "4", "5", "0"};
    static const size_t counts[] = {1, 2, 3, 4, 5, 0};
    st_file f;
    (void)state;
    make_file(&f, names, shapes, counts, 6);
    wilor_index *index = open_file(&f);
    assert_int_equal(wilor_index_count(index), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(wilor_index_at(index, i)->name, names[i]);
        assert_ptr_equal(wilor_index_find(index, names[i]), wilor_index_at(index, i));
    }
    assert_null(wilor_index_at(index, 6));
    assert_null(wilor_index_find(index, "abc"));
    assert_null(wilor_index_find(index, "a."));
    assert_string_equal(wilor_index_path(index), "x.safetensors");
    wilor_index_close(&index);
    assert_null(index);
    wilor_index_close(&index);
}

/* Sorting and finding in a table of many names, with one that comes twice. */
static void many_names(void **state) {
    enum { COUNT = 1000 };

    static char text[COUNT][8];
    wilor_names names = {0};
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(text[i], sizeof text[i], "n%zu", i * 7919 % COUNT);
        assert_true(wilor_names_add(&names, text[i], strlen(text[i]), i));
    }
    assert_true(wilor_names_sort(&names));
    assert_null(wilor_names_twice(&names));
    for (size_t i = 0; i < COUNT; i++) {
        const wilor_name *found = wilor_names_find(&names, text[i], strlen(text[i]));
        assert_true(found && found->value == i);
    }
    assert_null(wilor_names_find(&names, "n", 1));
    assert_null(wilor_names_find(&names, "n1000", 5));
    assert_true(wilor_names_add(&names, "n500", 4, COUNT));
    assert_true(wilor_names_sort(&names));
    const wilor_name *twice = wilor_names_twice(&names);
    assert_true(twice && twice->value == COUNT); /* equal names keep their order */
    wilor_names_free(&names);
}

static const char *const g_mlx_names[] = {
    "backbone.pos_embed", "backbone.patch_embed.proj.weight", "IMAGE_MEAN",
    "refine_net.deconv.first_conv.weight", "refine_net.deconv.branch1_conv0.weight"};
static const char *const g_mlx_shapes[] = {"1,2,2", "2,3,3,4", "1,1,1,3", "2,1,1,3", "2,3,3,4"};
static const size_t g_mlx_counts[] = {4, 72, 3, 6, 72};

/* wilor-mlx's layouts: element (o, i, y, x) of a convolution lies at (o, y, x, i), and element
 * (i, o, y, x) of a transposed one at (o, y, x, i), too. */
static void mlx_layouts(void **state) {
    st_file f;
    wilor_error err;
    size_t n;
    (void)state;
    make_file(&f, g_mlx_names, g_mlx_shapes, g_mlx_counts, 5);
    wilor_index *index = open_file(&f);
    assert_int_equal(wilor_index_kind(index), WILOR_FILE_MLX);
    assert_int_equal(wilor_index_canonical(index, &err), WILOR_OK);
    float *w = golden_f32(index, "backbone.patch_embed.proj.weight", &n);
    for (int k = 0; k < 72; k++) {
        int o = k / 36, i = k / 9 % 4, y = k / 3 % 3, x = k % 3;
        assert_true(w[k] == (float)(4 + ((o * 3 + y) * 3 + x) * 4 + i));
    }
    wilor_heap_free(w);
    w = golden_f32(index, "refine_net.deconv.deconv.1.0.weight", &n);
    for (int k = 0; k < 72; k++) {
        int i = k / 18, o = k / 9 % 2, y = k / 3 % 3, x = k % 3;
        assert_true(w[k] == (float)(85 + ((o * 3 + y) * 3 + x) * 4 + i));
    }
    wilor_heap_free(w);
    assert_int_equal(wilor_index_find(index, "refine_net.deconv.first_conv.0.weight")->shape[1],
                     3);
    assert_int_equal(wilor_index_find(index, "IMAGE_MEAN")->shape[3], 3);
    assert_null(wilor_index_find(index, "refine_net.deconv.first_conv.weight"));
    wilor_index_close(&index);
}

static void hand_names(void **state) {
    static const char *const names[] = {"v_template", "J_regressor", "faces", "init_cam"};
    static const char *const shapes[] = {"2,3", "1,2", "1,3", "3"};
    static const size_t counts[] = {6, 2, 3, 3};
    st_file f;
    wilor_error err;
    size_t n;
    (void)state;
    make_file(&f, names, shapes, counts, 4);
    wilor_index *index = open_file(&f);
    assert_int_equal(wilor_index_kind(index), WILOR_FILE_MANO);
    assert_int_equal(wilor_index_canonical(index, &err), WILOR_OK);
    assert_int_equal(wilor_index_count(index), 6);
    assert_non_null(wilor_index_find(index, "mano.faces_tensor"));
    assert_non_null(wilor_index_find(index, "backbone.init_cam"));
    int64_t *tips = golden_i64(index, "mano.extra_joints_idxs", &n);
    assert_true(n == 5 && tips[0] == 744 && tips[4] == 671);
    wilor_heap_free(tips);
    int64_t *map = golden_i64(index, "mano.joint_map", &n);
    assert_true(n == 21 && map[1] == 13 && map[20] == 20);
    wilor_heap_free(map);
    wilor_index_close(&index);
}

/* A rename that meets a name which is there already is refused, and changes nothing. */
static void clashing_names(void **state) {
    static const char *const names[] = {"backbone.pos_embed",
                                        "refine_net.deconv.branch0_bn.bias",
                                        "refine_net.deconv.deconv.0.1.bias", "IMAGE_MEAN"};
    static const char *const shapes[] = {"1,1,2", "3", "3", "3"};
    static const size_t counts[] = {2, 3, 3, 3};
    st_file f;
    wilor_error err;
    (void)state;
    make_file(&f, names, shapes, counts, 4);
    wilor_index *index = open_file(&f);
    assert_int_equal(wilor_index_canonical(index, &err), WILOR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "'refine_net.deconv.deconv.0.1.bias'"));
    assert_non_null(wilor_index_find(index, "refine_net.deconv.branch0_bn.bias"));
    wilor_index_close(&index);
}

/* MANO's own names beside the model's: the model's count, the others stay. */
static void both_names(void **state) {
    static const char *const names[] = {"v_template", "J_regressor", "parents", "kintree_table",
                                        "weights",    "posedirs",    "faces"};
    static const char *const shapes[] = {"2,3", "1,2", "2", "2,2", "2,2", "2,3,2", "1,3"};
    static const size_t counts[] = {6, 2, 2, 4, 4, 12, 3};
    st_file f;
    wilor_error err;
    size_t n;
    (void)state;
    make_file(&f, names, shapes, counts, 7);
    wilor_index *index = open_file(&f);
    assert_int_equal(wilor_index_canonical(index, &err), WILOR_OK);
    assert_int_equal(wilor_index_find(index, "mano.parents")->count, 2);
    assert_int_equal(wilor_index_find(index, "mano.kintree_table")->count, 4);
    assert_non_null(wilor_index_find(index, "mano.lbs_weights"));
    assert_non_null(wilor_index_find(index, "mano.faces_tensor"));
    const wilor_tensor *t = wilor_index_find(index, "mano.posedirs");
    assert_true(t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 6);
    float *v = golden_f32(index, "mano.posedirs", &n); /* 18 … 29, transposed */
    for (int k = 0; k < 12; k++)
        assert_true(v[k] == (float)(18 + k % 6 * 2 + k / 6));
    wilor_heap_free(v);
    wilor_index_close(&index);
}

static void canonical_without_memory(void **state) {
    st_file f;
    wilor_error err;
    wilor_status st = WILOR_ERR_NOMEM;
    long n = 0;
    (void)state;
    make_file(&f, g_mlx_names, g_mlx_shapes, g_mlx_counts, 5);
    wilor_index *index = open_file(&f);
    for (; st != WILOR_OK; n++) {
        wilor_heap_fail_at(n);
        st = wilor_index_canonical(index, &err);
        wilor_heap_fail_at(-1);
        assert_true(st == WILOR_OK || st == WILOR_ERR_NOMEM);
        bool renamed = wilor_index_find(index, "refine_net.deconv.first_conv.0.weight") != NULL;
        assert_int_equal(renamed, st == WILOR_OK);
        assert_true(renamed || wilor_index_find(index, "refine_net.deconv.first_conv.weight"));
    }
    assert_true(n > 2);
    wilor_index_close(&index);
}

/* ------------------------------------------------------------------ old PyTorch files made
 * here */

/* An old PyTorch file: its head, the pickle of the content, then keys and storages. */
static wilor_status open_legacy(const char *content, size_t content_size, const char *rest,
                                size_t rest_size, wilor_index **index, wilor_error *err) {
    static const char head[] = "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.M\xe9\x03.}.";
    size_t n = sizeof head - 1, size = n + content_size + rest_size;
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    memcpy(bytes, head, n);
    memcpy(bytes + n, content, content_size);
    memcpy(bytes + n + content_size, rest, rest_size);
    wilor_status st = wilor_index_open_memory(index, bytes, size, "x.ckpt", err);
    if (st == WILOR_OK)
        assert_int_equal(wilor_index_find(*index, "w")->count, 2);
    wilor_index_close(index);
    free(bytes);
    return st;
}

#define STORAGE                                                                                \
    "U\x07storagectorch\nFloatStorage\nU\x01kU\x03"                                            \
    "cpuK\x02"
#define TENSOR(id)                                                                             \
    "}U\x01wctorch._utils\n_rebuild_tensor_v2\n((" id "tQK\x00K\x02\x85K\x01\x85\x89}tRs."
#define KEYS "]U\x01ka."
#define EIGHT "\0\0\0\0\0\0\0\0"

/* Persistent ids and storages that are not as PyTorch makes them. */
static void legacy_storages(void **state) {
    static const struct {
        const char *content;
        size_t content_size;
        const char *rest;
        size_t rest_size;
        const char *words; /* NULL: it opens */
    } cases[] = {

#define CASE(content, rest, words) {content, sizeof(content) - 1, rest, sizeof(rest) - 1, words}
        CASE(TENSOR(STORAGE), KEYS "\x02\0\0\0\0\0\0\0" EIGHT, NULL),
        CASE(TENSOR(STORAGE "N"), KEYS "\x02\0\0\0\0\0\0\0" EIGHT, NULL),
        CASE(TENSOR(STORAGE "K\x01"), KEYS "\x02\0\0\0\0\0\0\0" EIGHT, "unknown type"),
        CASE(TENSOR(STORAGE), KEYS "\x03\0\0\0\0\0\0\0" EIGHT, "another length"),
        CASE(TENSOR(STORAGE),
             KEYS "\x02\0\0\0\0\0\0\0"
                  "\0\0\0\0\0\0\0",
             "ends before"),
        CASE(TENSOR(STORAGE), KEYS "\x02", "ends before"),
        CASE(TENSOR(STORAGE), "].", "not in the file"),
        CASE(TENSOR(STORAGE), "]U\x01ja." EIGHT, "no tensor uses"),
        CASE(TENSOR(STORAGE), "]Na." EIGHT, "no tensor uses"),
        CASE(TENSOR(STORAGE), "N.", "list of storages"),
        CASE(TENSOR("U\x07storage"), "].", "no storage that can be read"),
        CASE(TENSOR("N"), "].", "no storage that can be read"),
        CASE(TENSOR(""), "].", "no storage that can be read"),
        CASE("(U\x07storagetQ.", "].", "no tensors"),
        CASE("N.", "].", "no tensors"),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wilor_index *index;
        wilor_error err = {0};
        wilor_status st = open_legacy(cases[i].content, cases[i].content_size, cases[i].rest,
                                      cases[i].rest_size, &index, &err);
        if ((st == WILOR_OK) != (cases[i].words == NULL) ||
            (cases[i].words && !strstr(err.text, cases[i].words)))
            fail_msg("case %zu: expected '%s', got '%s'", i,
                     cases[i].words ? cases[i].words : "", err.text);
    }
}

/* ------------------------------------------------------------------ files of the goldens */

static void open_without_memory(void **state) {
    static const char *const files[] = {
        "nested.ckpt",  "parameter.ckpt", "legacy_shared.ckpt", "python2.pkl",
        "chumpy.pkl",   "protocol0.pkl",  "dtypes.safetensors", "stored.npz",
        "deflated.npz", "deflated.ckpt",  "protocol5.pkl"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *path = golden_path(WILOR_TEST_FORMATS, files[i]);
        wilor_status st = WILOR_ERR_NOMEM;
        long n = 0;
        for (; st != WILOR_OK; n++) {
            wilor_error err = {0};
            wilor_index *index = NULL;
            wilor_heap_fail_at(n);
            st = wilor_index_open(&index, path, &err);
            wilor_heap_fail_at(-1);
            if (st == WILOR_ERR_UNSUPPORTED && strstr(err.text, "no zlib"))
                break;
            if (st != WILOR_OK && st != WILOR_ERR_NOMEM)
                fail_msg("%s, allocation %ld: %s", files[i], n, err.text);
            assert_int_equal(st == WILOR_OK, index != NULL);
            wilor_index_close(&index);
        }
        printf("%s: %ld allocations failed in turn\n", files[i], n - 1);
        assert_true(n > 3);
    }
}

/* MANO's own form: the pose basis (V, 3, P), here in Fortran order, becomes (P, V·3). */
static void hand_pickle(void **state) {
    wilor_error err;
    size_t n;
    (void)state;
    wilor_index *index = golden_open(golden_path(WILOR_TEST_FORMATS, "extra_hand.pkl"));
    assert_int_equal(wilor_index_kind(index), WILOR_FILE_MANO);
    assert_int_equal(wilor_index_canonical(index, &err), WILOR_OK);
    float *v = golden_f32(index, "mano.posedirs", &n);
    assert_int_equal(n, 12);
    for (int k = 0; k < 12; k++)
        assert_true(v[k] == (float)(k % 6 * 2 + k / 6));
    wilor_heap_free(v);
    int64_t *parents = golden_i64(index, "mano.parents", &n);
    assert_true(n == 1 && parents[0] == 4294967295);
    wilor_heap_free(parents);
    assert_non_null(wilor_index_find(index, "mano.lbs_weights"));
    assert_non_null(wilor_index_find(index, "mano.faces_tensor"));
    assert_int_equal(wilor_index_check(index, &err), WILOR_OK);
    wilor_index_close(&index);
}

static void public_view(void **state) {
    wilor_file *file = NULL;
    wilor_error err;
    wilor_tensor_info info;
    float values[12];
    (void)state;
    const char *path = golden_path(WILOR_TEST_FORMATS, "f32.ckpt");
    assert_int_equal(wilor_file_open(&file, path, &err), WILOR_OK);
    assert_string_equal(wilor_file_format(file), "torch zip");
    assert_int_equal(wilor_file_count(file), 3);
    assert_int_equal(wilor_file_tensor(file, 0, &info), WILOR_OK);
    assert_string_equal(info.name, "a.weight");
    assert_string_equal(info.dtype, "F32");
    assert_true(info.rank == 2 && info.shape[0] == 3 && info.shape[1] == 4 && info.bytes == 48);
    assert_int_equal(wilor_file_tensor(file, 3, &info), WILOR_ERR_ARG);
    assert_int_equal(wilor_file_read(file, 0, values, 12, &err), WILOR_OK);
    assert_int_equal(wilor_file_read(file, 0, values, 11, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_file_read(file, 9, values, 12, &err), WILOR_ERR_ARG);
    wilor_file_close(&file);
    assert_null(file);
    wilor_file_close(&file);
    assert_int_equal(wilor_file_open(&file, "/no/such/file", &err), WILOR_ERR_IO);
    assert_int_equal(wilor_file_open(&file, WILOR_TEST_FORMATS, &err), WILOR_ERR_IO);
    assert_int_equal(wilor_file_open(NULL, path, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_file_open(&file, NULL, &err), WILOR_ERR_ARG);
    assert_null(file);
}

/* In rows of a tensor, where they are made by vectors: every bit of every one, NaNs too; and every second. */
static void rows_of_half_floats(void **state) {
    (void)state;
    static uint16_t halves[65536];
    static float wide[65536];
    for (uint32_t i = 0; i < 65536; i++)
        halves[i] = (uint16_t)i;
    for (int64_t step = 1; step <= 2; step++) {
        int64_t count = 65536 / step;
        wilor_tensor t = view(WILOR_F16, halves, 1, &count, &step);
        assert_int_equal(wilor_tensor_to_f32(&t, wide, NULL), WILOR_OK);
        for (int64_t i = 0; i < count; i++) {
            float want = wilor_f16_to_f32((uint16_t)(i * step));
            if (memcmp(&wide[i], &want, sizeof want) != 0)
                fail_msg("half %04x: %a, not %a", (unsigned)(i * step), (double)wide[i],
                         (double)want);
        }
    }
    /* One that is not normal among others, at any place of a run and behind the last whole one. */
    static const uint16_t odd[] = {0x0000, 0x8001, 0x03FF, 0x7C00, 0xFC01, 0x0400, 0xFBFF};
    const int64_t count = 95, one = 1;
    for (int64_t at = 0; at < count; at++)
        for (size_t k = 0; k < sizeof odd / sizeof odd[0]; k++) {
            for (int64_t i = 0; i < count; i++)
                halves[i] = (uint16_t)(i == at ? odd[k] : 0xBC00 + i);
            wilor_tensor t = view(WILOR_F16, halves, 1, &count, &one);
            assert_int_equal(wilor_tensor_to_f32(&t, wide, NULL), WILOR_OK);
            for (int64_t i = 0; i < count; i++) {
                float want = wilor_f16_to_f32(halves[i]);
                assert_memory_equal(&wide[i], &want, sizeof want);
            }
        }
}

/* Whole numbers of 8 bits in rows, every one, and every second and third. */
static void rows_of_bytes(void **state) {
    (void)state;
    uint8_t bytes[300];
    float wide[300];
    for (int i = 0; i < 300; i++)
        bytes[i] = (uint8_t)(7 * i);
    for (int64_t step = 1; step <= 3; step++) {
        int64_t count = 300 / step;
        wilor_tensor t = view(WILOR_I8, bytes, 1, &count, &step);
        assert_int_equal(wilor_tensor_to_f32(&t, wide, NULL), WILOR_OK);
        for (int64_t i = 0; i < count; i++) {
            int want = (7 * (int)(i * step)) & 255;
            assert_true(wide[i] == (float)(want < 128 ? want : want - 256));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_floats),
        cmocka_unit_test(rows_of_half_floats),
        cmocka_unit_test(rows_of_bytes),
        cmocka_unit_test(strides),
        cmocka_unit_test(rows),
        cmocka_unit_test(types_and_byte_order),
        cmocka_unit_test(integers_out_of_range),
        cmocka_unit_test(names_and_order),
        cmocka_unit_test(many_names),
        cmocka_unit_test(mlx_layouts),
        cmocka_unit_test(hand_names),
        cmocka_unit_test(clashing_names),
        cmocka_unit_test(both_names),
        cmocka_unit_test(canonical_without_memory),
        cmocka_unit_test(legacy_storages),
        cmocka_unit_test(open_without_memory),
        cmocka_unit_test(hand_pickle),
        cmocka_unit_test(public_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
