/* wilor_convert and wilor_verify: what is written reads back as it should, bit for bit; wilor-mlx's
 * own files come out of its source; faults are found; every failure ends well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "detector_file.h"
#include "golden.h"
#include "heap.h"
#include "index_build.h"
#include "matrix_view.h"
#include "quantise.h"
#include "random_weights.h"
#include "round16.h"
#include "tensor_convert.h"
#include "weights_convert.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH WILOR_TEST_SCRATCH "/convert"

/* ------------------------------------------------------------------ a file in memory */

typedef struct memory_file {
    uint8_t *data;
    size_t size, room;
    size_t fail_after; /* bytes; 0: never */
    int cancel_after;  /* questions; 0: never */
    int asked;
    char notes[600];
} memory_file;

static int write_memory(void *user, uint64_t offset, const void *data, size_t size) {
    memory_file *f = user;
    size_t end = (size_t)offset + size;
    if (f->fail_after && end > f->fail_after)
        return 1;
    if (end > f->room) {
        f->room = 2 * end;
        f->data = realloc(f->data, f->room);
        assert_non_null(f->data);
    }
    assert_true(offset <= f->size); /* in order, or over what is there */
    memcpy(f->data + offset, data, size);
    f->size = end > f->size ? end : f->size;
    return 0;
}

static int cancel(void *user) {
    memory_file *f = user;
    return f->cancel_after && ++f->asked >= f->cancel_after;
}

static void take_note(void *user, wilor_log_level level, const char *text) {
    memory_file *f = user;
    size_t at = strlen(f->notes);
    (void)level;
    snprintf(f->notes + at, sizeof f->notes - at, "%s\n", text);
}

static wilor_convert_options options(memory_file *f, const char *source,
                                     wilor_weights_layout layout, wilor_weights_dtype dtype) {
    wilor_convert_options o;
    wilor_convert_options_init(&o, sizeof o);
    o.source = source;
    o.layout = layout;
    o.dtype = dtype;
    o.write = write_memory;
    o.write_user = f;
    o.callbacks.user = f;
    o.callbacks.cancel = cancel;
    o.callbacks.log = take_note;
    return o;
}

static memory_file convert(const char *source, wilor_weights_layout layout,
                           wilor_weights_dtype dtype, int group) {
    memory_file f = {0};
    wilor_error err;
    wilor_convert_options o = options(&f, source, layout, dtype);
    o.group_size = group;
    if (wilor_convert(&o, &err) != WILOR_OK)
        fail_msg("%s: %s", source, err.text);
    assert_true(f.size % 4 == 0 || dtype == WILOR_WEIGHTS_INT8);
    return f;
}

static const char *save(const memory_file *f, const char *name) {
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s-%s", SCRATCH, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(f->data, 1, f->size, file) != f->size || fclose(file) != 0)
        fail_msg("%s cannot be written", path);
    return path;
}

static const char *convert_to(const char *name, const char *source, wilor_weights_layout layout,
                              wilor_weights_dtype dtype, int group) {
    memory_file f = convert(source, layout, dtype, group);
    const char *path = save(&f, name);
    free(f.data);
    return path;
}

static wilor_index *open_canonical(const char *path) {
    wilor_error err;
    wilor_index *x = golden_open(path);
    if (wilor_index_canonical(x, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return x;
}

static wilor_index *random_tiny(void) {
    wilor_random_model model;
    wilor_index *x = NULL;
    assert_true(wilor_random_model_named(&model, "tiny"));
    assert_int_equal(wilor_random_index(&x, &model, NULL, NULL), WILOR_OK);
    return x;
}

static bool ends(const char *text, const char *with) {
    size_t n = strlen(text), k = strlen(with);
    return n >= k && strcmp(text + n - k, with) == 0;
}

/* Matrices and convolutions: what becomes narrow. */
static bool is_wide(const wilor_tensor *t) {
    return (t->rank != 2 && t->rank != 4) || !ends(t->name, ".weight");
}

static bool is_block_matrix(const wilor_tensor *t) {
    return strncmp(t->name, "backbone.blocks.", 16) == 0 && !is_wide(t);
}

/* ------------------------------------------------------------------ values */

/* change: what becomes of a narrow tensor's number. */
static void compare(const wilor_index *got, const wilor_index *want, wilor_tensor_dtype narrow,
                    float (*change)(float)) {
    size_t seen = 0;
    for (size_t i = 0; i < wilor_index_count(want); i++) {
        const wilor_tensor *t = wilor_index_at(want, i), *g = wilor_index_find(got, t->name);
        size_t n, m;
        if (!g)
            fail_msg("%s is missing", t->name);
        bool wide = is_wide(t);
        assert_int_equal(g->dtype, wide ? WILOR_F32 : narrow);
        assert_int_equal(g->rank, t->rank);
        assert_memory_equal(g->shape, t->shape, (size_t)t->rank * sizeof *t->shape);
        float *a = golden_f32(got, t->name, &n), *b = golden_f32(want, t->name, &m);
        for (size_t k = 0; k < n; k++) {
            float w = wide || !change ? b[k] : change(b[k]);
            if (memcmp(&a[k], &w, sizeof w) != 0)
                fail_msg("%s: number %zu is %g, not %g", t->name, k, (double)a[k], (double)w);
        }
        wilor_heap_free(a);
        wilor_heap_free(b);
        seen++;
    }
    assert_int_equal(seen, 79);
}

static float through_f16(float x) { return wilor_f16_to_f32(wilor_f16_of_f32(x)); }

static float through_bf16(float x) { return wilor_bf16_to_f32(wilor_bf16_of_f32(x)); }

static void check_sound(const char *path) {
    wilor_error err;
    if (wilor_verify(path, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

/* There, to the other layout, and back. */
static void floats(void **state) {
    static const struct {
        wilor_weights_dtype to;
        wilor_tensor_dtype is;
        float (*change)(float);
    } cases[] = {{WILOR_WEIGHTS_F32, WILOR_F32, NULL},
                 {WILOR_WEIGHTS_F16, WILOR_F16, through_f16},
                 {WILOR_WEIGHTS_BF16, WILOR_BF16, through_bf16}};

    wilor_index *want = random_tiny();
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const char *a =
            convert_to("a", "random:tiny", WILOR_WEIGHTS_CHECKPOINT, cases[i].to, 0);
        const char *b = convert_to("b", a, WILOR_WEIGHTS_MLX, cases[i].to, 0);
        const char *c = convert_to("c", b, WILOR_WEIGHTS_CHECKPOINT, cases[i].to, 0);
        const char *d = convert_to("d", b, WILOR_WEIGHTS_MLX, cases[i].to, 0);
        for (int k = 0; k < 4; k++) {
            const char *path = k == 0 ? a : k == 1 ? b : k == 2 ? c : d;
            wilor_index *got = open_canonical(path);
            assert_int_equal(wilor_index_kind(got),
                             k % 2 ? WILOR_FILE_MLX : WILOR_FILE_CHECKPOINT);
            compare(got, want, cases[i].is, cases[i].change);
            wilor_index_close(&got);
            check_sound(path);
        }
    }
    wilor_index_close(&want);
}

static void metadata(void **state) {
    char hash[65];
    const char *a =
        convert_to("a", "random:tiny", WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F32, 0);
    wilor_index *x = golden_open(a);
    (void)state;
    assert_string_equal(wilor_index_metadata(x, "heads"), "4");
    assert_string_equal(wilor_index_metadata(x, "width"), "64");
    assert_string_equal(wilor_index_metadata(x, "depth"), "3");
    assert_string_equal(wilor_index_metadata(x, "mlp"), "256");
    assert_string_equal(wilor_index_metadata(x, "format"), "wilor");
    assert_string_equal(wilor_index_metadata(x, "label"), "synthetic: random weights, seed 1");
    assert_non_null(strstr(wilor_index_metadata(x, "license"), "CC BY-NC-ND"));
    assert_null(wilor_index_metadata(x, "source_sha256")); /* no file */
    assert_null(wilor_index_metadata(x, "bits"));
    assert_int_equal(wilor_index_data_offset(x) % 8, 0);
    wilor_index_close(&x);
    const char *b = convert_to("b", a, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT4, 32);
    const char *c = convert_to("c", b, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT8, 0);
    const char *d = convert_to("d", c, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_F32, 0);
    x = golden_open(b);
    snprintf(hash, sizeof hash, "%s", wilor_index_metadata(x, "source_sha256"));
    assert_int_equal(strlen(hash), 64);
    assert_string_equal(wilor_index_metadata(x, "group_size"), "32");
    assert_string_equal(wilor_index_metadata(x, "bits"), "4");
    wilor_index_close(&x);
    /* The first source's hash stays, whatever follows. */
    for (int i = 0; i < 2; i++) {
        x = golden_open(i ? d : c);
        assert_string_equal(wilor_index_metadata(x, "origin_sha256"), hash);
        assert_string_equal(wilor_index_metadata(x, "heads"), "4");
        assert_string_equal(wilor_index_metadata(x, "format"), "mlx");
        wilor_index_close(&x);
    }
}

/* Sizes whose 16-bit matrices have an odd number of elements: still every tensor lies on a multiple
 * of its element's size. */
static void aligned(void **state) {
    wilor_random_model model = {.width = 24, .depth = 1, .heads = 3, .seed = 1};
    wilor_index *source = NULL, *x = NULL;
    (void)state;
    assert_int_equal(wilor_random_index(&source, &model, NULL, NULL), WILOR_OK);
    for (int layout = 0; layout < 2; layout++) {
        memory_file f = {0};
        wilor_convert_job job = {
            .source = source, .mlx = layout, .dtype = WILOR_WEIGHTS_BF16, .group_size = 64};
        wilor_safetensors_writer w = {.write = write_memory, .user = &f};
        assert_int_equal(wilor_convert_run(&job, &w, NULL), WILOR_OK);
        assert_int_equal(wilor_index_open_memory(&x, f.data, f.size, "f", NULL), WILOR_OK);
        size_t odd = 0;
        for (size_t i = 0; i < wilor_index_count(x); i++) {
            const wilor_tensor *t = wilor_index_at(x, i);
            assert_int_equal((size_t)(t->data - f.data) % t->element, 0);
            odd += t->count % 2 != 0 && t->element == 2;
        }
        assert_true(odd > 0);
        wilor_index_close(&x);
        free(f.data);
    }
    wilor_index_close(&source);
}

/* ------------------------------------------------------------------ quantised */

static void check_layer(const wilor_index *got, const wilor_index *want, const wilor_tensor *t,
                        wilor_matrix_form form, int bits, int group, wilor_scale_type type) {
    char layer[96];
    wilor_matrix_view m;
    size_t in = (size_t)t->shape[1], out = (size_t)t->shape[0];
    snprintf(layer, sizeof layer, "%.*s", (int)strlen(t->name) - 7, t->name);
    assert_int_equal(wilor_matrix_find(&m, got, layer, t->shape[1], NULL), WILOR_OK);
    assert_true(m.form == form && m.bits == bits && m.group == group);
    float *w = golden_f32(want, t->name, NULL), *x = wilor_heap_alloc(in * out, sizeof *x);
    assert_int_equal(wilor_matrix_rows_to_f32(&m, 0, m.outputs, x, NULL), WILOR_OK);
    for (size_t r = 0; r < out; r++) {
        float scales[16], biases[16];
        uint32_t packed[64];
        int8_t q[256];
        if (form == WILOR_MATRIX_ROWS)
            assert_true(wilor_quantise_row(w + r * in, in, q, scales));
        else
            assert_true(wilor_quantise_affine(w + r * in, in, (size_t)group, bits, type, packed,
                                              scales, biases));
        for (size_t i = 0; i < in; i++) {
            int each = bits ? 32 / bits : 1;
            float v;
            if (form == WILOR_MATRIX_ROWS) {
                v = scales[0] * (float)q[i];
            } else {
                uint32_t n = packed[i / (size_t)each] >> (i % (size_t)each * (size_t)bits) &
                             (uint32_t)((1 << bits) - 1);
                v = scales[i / (size_t)group] * (float)n + biases[i / (size_t)group];
            }
            if (v != x[r * in + i])
                fail_msg("%s: row %zu, number %zu is %g, not %g", layer, r, i,
                         (double)x[r * in + i], (double)v);
        }
    }
    wilor_heap_free(w);
    wilor_heap_free(x);
}

static void quantised(void **state) {
    static const struct {
        wilor_weights_layout layout;
        wilor_weights_dtype dtype;
        int group;
        wilor_matrix_form form;
        int bits;
        wilor_scale_type type;
    } cases[] = {
        {WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT8, 0, WILOR_MATRIX_ROWS, 8, 0},
        {WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT4, 64, WILOR_MATRIX_GROUPS, 4,
         WILOR_SCALES_F16},
        {WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT4, 32, WILOR_MATRIX_GROUPS, 4,
         WILOR_SCALES_F16},
        {WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT4, 32, WILOR_MATRIX_GROUPS, 4, WILOR_SCALES_F32},
        {WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT8, 64, WILOR_MATRIX_GROUPS, 8, WILOR_SCALES_F32},
    };

    wilor_index *want = random_tiny();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path =
            convert_to("q", "random:tiny", cases[i].layout, cases[i].dtype, cases[i].group);
        wilor_index *got = open_canonical(path);
        int layers = 0;
        for (size_t k = 0; k < wilor_index_count(want); k++) {
            const wilor_tensor *t = wilor_index_at(want, k);
            if (is_block_matrix(t)) {
                check_layer(got, want, t, cases[i].form, cases[i].bits, cases[i].group,
                            cases[i].type);
                layers++;
            } else {
                assert_int_equal(wilor_index_find(got, t->name)->dtype, WILOR_F32);
            }
        }
        assert_int_equal(layers, 12);
        wilor_index_close(&got);
        check_sound(path);
        /* From quantised to float: the numbers it stands for. */
        got = open_canonical(path);
        const char *back =
            convert_to("w", path, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F32, 0);
        wilor_index *floats_of = open_canonical(back);
        wilor_matrix_view m;
        float row[64];
        assert_int_equal(wilor_matrix_find(&m, got, "backbone.blocks.2.attn.qkv", 64, NULL),
                         WILOR_OK);
        float *all = golden_f32(floats_of, "backbone.blocks.2.attn.qkv.weight", NULL);
        for (int64_t r = 0; r < 192; r++) {
            assert_int_equal(wilor_matrix_rows_to_f32(&m, r, 1, row, NULL), WILOR_OK);
            assert_memory_equal(row, all + 64 * r, sizeof row);
        }
        wilor_heap_free(all);
        wilor_index_close(&floats_of);
        wilor_index_close(&got);
    }
    wilor_index_close(&want);
}

/* ------------------------------------------------------------------ wilor-mlx's own files */

static void same_files(const char *ours, const char *theirs) {
    wilor_index *a = golden_open(ours), *b = golden_open(theirs);
    assert_int_equal(wilor_index_count(a), wilor_index_count(b));
    for (size_t i = 0; i < wilor_index_count(b); i++) {
        const wilor_tensor *t = wilor_index_at(b, i), *o = wilor_index_find(a, t->name);
        if (!o || o->dtype != t->dtype || o->rank != t->rank ||
            memcmp(o->shape, t->shape, (size_t)t->rank * sizeof *t->shape) != 0 ||
            memcmp(o->data, t->data, t->count * t->element) != 0)
            fail_msg("%s is not as in %s", t->name, theirs);
    }
    printf("%zu tensors are those of %s, bit for bit\n", wilor_index_count(b), theirs);
    wilor_index_close(&a);
    wilor_index_close(&b);
}

static void as_wilor_mlx(void **state) {
    static const struct {
        const char *name;
        wilor_weights_dtype dtype;
        int group;
    } files[] = {{"tiny/mlx/wilor-mlx.safetensors", WILOR_WEIGHTS_F32, 0},
                 {"tiny/mlx/wilor-mlx-int4-g32.safetensors", WILOR_WEIGHTS_INT4, 32},
                 {"tiny/mlx/wilor-mlx-int4-g64.safetensors", WILOR_WEIGHTS_INT4, 64},
                 {"tiny/mlx/wilor-mlx-int8-g32.safetensors", WILOR_WEIGHTS_INT8, 32}};

    (void)state;
    if (!golden_exists(golden_path(WILOR_TEST_FIXTURES, files[0].name)))
        skip();
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *theirs = golden_path(WILOR_TEST_FIXTURES, files[i].name);
        const char *source = golden_path(WILOR_TEST_FIXTURES, "tiny/wilor_tiny.ckpt");
        same_files(convert_to("m", source, WILOR_WEIGHTS_MLX, files[i].dtype, files[i].group),
                   theirs);
        check_sound(theirs);
    }
}

/* The hand model: left behind and said so, or taken along. */
static void hand(void **state) {
    (void)state;
    const char *source = golden_path(WILOR_TEST_FIXTURES, "tiny/wilor_tiny.ckpt");
    if (!golden_exists(source))
        skip();
    memory_file f = {0};
    wilor_error err;
    wilor_convert_options o = options(&f, source, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT8);
    assert_int_equal(wilor_convert(&o, &err), WILOR_OK);
    assert_non_null(strstr(f.notes, "MANO"));
    assert_non_null(strstr(f.notes, "attention heads"));
    wilor_index *x = NULL, *y = open_canonical(source);
    assert_int_equal(wilor_index_open_memory(&x, f.data, f.size, "f", &err), WILOR_OK);
    assert_null(wilor_index_find(x, "mano.v_template"));
    assert_null(wilor_index_metadata(x, "heads"));
    wilor_index_close(&x);
    free(f.data);
    f = (memory_file){0};
    o.with_mano = 1;
    o.heads = 4;
    assert_int_equal(wilor_convert(&o, &err), WILOR_OK);
    assert_string_equal(f.notes, "");
    check_sound(save(&f, "hand"));
    assert_int_equal(wilor_index_open_memory(&x, f.data, f.size, "f", &err), WILOR_OK);
    static const char *const names[] = {"mano.v_template", "mano.posedirs", "mano.faces_tensor",
                                        "mano.parents", "mano.joint_map"};
    for (size_t i = 0; i < 5; i++) {
        size_t n, m;
        float *a = golden_f32(x, names[i], &n), *b = golden_f32(y, names[i], &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n * sizeof *a);
        assert_int_equal((uintptr_t)(wilor_index_find(x, names[i])->data - f.data) % 4, 0);
        wilor_heap_free(a);
        wilor_heap_free(b);
    }
    wilor_index_close(&x);
    wilor_index_close(&y);
    free(f.data);
    f = (memory_file){0};
    o.layout = WILOR_WEIGHTS_MLX;
    assert_int_equal(wilor_convert(&o, &err), WILOR_ERR_ARG);
    free(f.data);
}

/* ------------------------------------------------------------------ refusals and faults */

static wilor_status try_convert(const char *source, wilor_weights_layout layout,
                                wilor_weights_dtype dtype, int group, const char *text) {
    memory_file f = {0};
    wilor_error err = {0};
    wilor_convert_options o = options(&f, source, layout, dtype);
    o.group_size = group;
    wilor_status st = wilor_convert(&o, &err);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    free(f.data);
    return st;
}

/* A copy of a file with one float of a tensor changed. */
static const char *damage(const memory_file *f, const char *tensor, size_t element,
                          float value) {
    wilor_index *x = NULL;
    memory_file copy = *f;
    copy.data = malloc(f->size);
    memcpy(copy.data, f->data, f->size);
    assert_int_equal(wilor_index_open_memory(&x, f->data, f->size, "f", NULL), WILOR_OK);
    const wilor_tensor *t = wilor_index_find(x, tensor);
    memcpy(copy.data + (t->data - f->data) + element * sizeof value, &value, sizeof value);
    wilor_index_close(&x);
    const char *path = save(&copy, "damaged");
    free(copy.data);
    return path;
}

static void numbers_that_do_not_fit(void **state) {
    static const char *const layer = "backbone.blocks.1.mlp.fc2.weight";
    memory_file f = convert("random:tiny", WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F32, 0);
    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *path = damage(&f, layer, 16383,
                                  i == 0   ? NAN
                                  : i == 1 ? INFINITY
                                           : -INFINITY);
        assert_int_equal(try_convert(path, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT4, 64, layer),
                         WILOR_ERR_MODEL);
        assert_int_equal(
            try_convert(path, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT8, 0, layer),
            WILOR_ERR_MODEL);
        /* Floats keep what is there. */
        assert_int_equal(try_convert(path, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F16, 0, ""),
                         WILOR_OK);
    }
    const char *path = damage(&f, layer, 5, 65520.0f);
    assert_int_equal(try_convert(path, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_F16, 0, "65504"),
                     WILOR_ERR_MODEL);
    assert_int_equal(try_convert(path, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_BF16, 0, ""), WILOR_OK);
    path = damage(&f, layer, 5, 3.4e38f);
    assert_int_equal(try_convert(path, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_BF16, 0, "bfloat16"),
                     WILOR_ERR_MODEL);
    free(f.data);
}

static void wrong_sources(void **state) {
    (void)state;
    assert_int_equal(try_convert(WILOR_TEST_DATA "/hand-cc0.npz", WILOR_WEIGHTS_MLX,
                                 WILOR_WEIGHTS_F32, 0, "a hand model"),
                     WILOR_ERR_MODEL);
    assert_int_equal(try_convert(SCRATCH "-nowhere", 0, 0, 0, "nowhere"), WILOR_ERR_IO);
    assert_int_equal(try_convert("random:demo", 0, 0, 0, "demo"), WILOR_ERR_ARG);
    assert_int_equal(try_convert("random:", 0, 0, 0, "tiny"), WILOR_ERR_ARG);
    assert_int_equal(try_convert("random:tiny", 0, WILOR_WEIGHTS_INT4, 48, "48"),
                     WILOR_ERR_ARG);
    assert_int_equal(try_convert("random:tiny", 0, WILOR_WEIGHTS_INT4, 128, "128"),
                     WILOR_ERR_ARG); /* does not divide 64 */
    assert_int_equal(try_convert("random:tiny", 7, 0, 0, "layout"), WILOR_ERR_ARG);
    assert_int_equal(wilor_convert(NULL, NULL), WILOR_ERR_ARG);
    wilor_convert_options o;
    wilor_convert_options_init(&o, sizeof o);
    assert_int_equal(wilor_convert(&o, NULL), WILOR_ERR_ARG);
}

static void ends_well(void **state) {
    memory_file f = {.fail_after = 1};
    wilor_convert_options o = options(&f, "random:tiny", WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT4);
    wilor_error err;
    (void)state;
    for (; f.fail_after < 400000; f.fail_after = f.fail_after * 3 + 1)
        assert_int_equal(wilor_convert(&o, &err), WILOR_ERR_IO);
    f.fail_after = 0;
    for (f.cancel_after = 1; f.cancel_after < 100; f.cancel_after += 7) {
        f.asked = 0;
        assert_int_equal(wilor_convert(&o, &err), WILOR_ERR_CANCELLED);
    }
    f.cancel_after = 0;
    assert_int_equal(wilor_convert(&o, &err), WILOR_OK);
    free(f.data);
}

/* Allocation n fails, for every n: no memory, nothing else, nothing leaked (ASan). */
static void no_memory(void **state) {
    static const wilor_weights_dtype dtypes[] = {WILOR_WEIGHTS_BF16, WILOR_WEIGHTS_INT8,
                                                 WILOR_WEIGHTS_INT4};
    const char *source =
        convert_to("s", "random:tiny", WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_F32, 0);
    (void)state;
    for (int layout = 0; layout < 2; layout++)
        for (size_t i = 0; i < 3; i++) {
            memory_file f = {0};
            wilor_error err;
            wilor_convert_options o =
                options(&f, source, (wilor_weights_layout)layout, dtypes[i]);
            wilor_status st = WILOR_ERR_NOMEM;
            long n = 0;
            for (; st != WILOR_OK && n < 5000; n++) {
                wilor_heap_fail_at(n);
                st = wilor_convert(&o, &err);
                wilor_heap_fail_at(-1);
                if (st != WILOR_OK && st != WILOR_ERR_NOMEM)
                    fail_msg("allocation %ld: %s", n, err.text);
            }
            assert_int_equal(st, WILOR_OK);
            assert_true(n > 20);
            free(f.data);
        }
    wilor_error err;
    wilor_status st = WILOR_ERR_NOMEM;
    for (long n = 0; st != WILOR_OK && n < 5000; n++) {
        wilor_heap_fail_at(n);
        st = wilor_verify(source, NULL, &err);
        wilor_heap_fail_at(-1);
        if (st != WILOR_OK && st != WILOR_ERR_NOMEM)
            fail_msg("verify, allocation %ld: %s", n, err.text);
    }
    assert_int_equal(st, WILOR_OK);
}

static size_t count_lines(const char *text) {
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static wilor_status verify(const char *path, memory_file *f, wilor_error *err) {
    wilor_callbacks c = {.user = f, .log = take_note};
    f->notes[0] = 0;
    return wilor_verify(path, &c, err);
}

/* The first header text replaced by another of the same length. */
static const char *edit(const memory_file *f, const char *from, const char *to) {
    memory_file copy = *f;
    size_t n = strlen(from), at = 8;
    assert_int_equal(n, strlen(to));
    while (at + n < f->size && memcmp(f->data + at, from, n) != 0)
        at++;
    assert_true(at + n < f->size);
    copy.data = malloc(f->size);
    memcpy(copy.data, f->data, f->size);
    memcpy(copy.data + at, to, n);
    const char *path = save(&copy, "edited");
    free(copy.data);
    return path;
}

static void faults(void **state) {
    static const struct {
        const char *from, *to, *says;
    } edits[] = {
        {"\"heads\":\"4\"", "\"heads\":\"5\"", "heads"},
        {"\"width\":\"64\"", "\"width\":\"65\"", "width"},
        {"\"depth\":\"3\"", "\"depth\":\"4\"", "depth"},
        {"\"bits\":\"4\"", "\"bits\":\"8\"", "bits"},
        {"\"group_size\":\"32\"", "\"group_size\":\"64\"", "group_size"},
        {"\"refine_net.dec_cam.bias\"", "\"refine_net.dec_cam.bios\"", "dec_cam.bias"},
        {"blocks.1.attn.qkv.scales", "blocks.1.attn.qkv.scalez", "blocks.1.attn.qkv"},
        {"\"shape\":[1,193,64]", "\"shape\":[1,386,32]", "pos_embed"},
        {"\"data_sha256\":\"", "\"data_sha255\":\"", NULL}, /* none: sound */
    };

    memory_file f = convert("random:tiny", WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT4, 32);
    wilor_error err;
    (void)state;
    assert_int_equal(verify(save(&f, "sound"), &f, &err), WILOR_OK);
    assert_non_null(strstr(f.notes, "hash: as the metadata says"));
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        wilor_status st = verify(edit(&f, edits[i].from, edits[i].to), &f, &err);
        if ((st == WILOR_OK) != !edits[i].says)
            fail_msg("%s: %s", edits[i].to, err.text);
        if (edits[i].says && !strstr(f.notes, edits[i].says))
            fail_msg("%s: said only %s", edits[i].to, f.notes);
    }
    /* A flipped bit anywhere in the data is noticed by the hash; a number that is not finite, too. */
    for (size_t at = f.size - 1; at > f.size / 3; at -= 40001) {
        f.data[at] ^= 1;
        assert_int_equal(verify(save(&f, "flipped"), &f, &err), WILOR_ERR_MODEL);
        assert_non_null(strstr(f.notes, "SHA-256"));
        f.data[at] ^= 1;
    }
    const char *path = damage(&f, "backbone.last_norm.bias", 63, NAN);
    assert_int_equal(verify(path, &f, &err), WILOR_ERR_MODEL);
    assert_non_null(strstr(f.notes, "'backbone.last_norm.bias' is not finite: element 63"));
    assert_non_null(strstr(err.text, "2 faults"));
    free(f.data);
}

/* A flipped bit in a tensor of a checkpoint: only the archive's checksum tells. */
static void archives(void **state) {
    static const char path[] = WILOR_TEST_FORMATS "/f32.ckpt";
    memory_file f = {0};
    wilor_error err;
    wilor_index *x = NULL;
    (void)state;
    assert_int_equal(verify(path, &f, &err), WILOR_OK);
    assert_non_null(strstr(f.notes, "checksums: right"));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    f.data = malloc(1 << 16);
    f.size = fread(f.data, 1, 1 << 16, file);
    fclose(file);
    assert_int_equal(wilor_index_open_memory(&x, f.data, f.size, "f", &err), WILOR_OK);
    const wilor_tensor *t = wilor_index_at(x, 0);
    f.data[t->data - f.data] ^= 1;
    wilor_index_close(&x);
    assert_int_equal(verify(save(&f, "archive"), &f, &err), WILOR_ERR_MODEL);
    assert_non_null(strstr(f.notes, "checksum differs"));
    assert_non_null(strstr(err.text, "1 fault;"));
    free(f.data);
}

static void other_kinds(void **state) {
    memory_file f = {0};
    wilor_error err;
    (void)state;
    assert_int_equal(verify(WILOR_TEST_DATA "/hand-cc0.npz", &f, &err), WILOR_OK);
    assert_non_null(strstr(f.notes, "hand model: complete"));
    assert_int_equal(verify(WILOR_TEST_DATA "/quantise.npz", &f, &err), WILOR_OK);
    assert_non_null(strstr(f.notes, "kind: none"));
    assert_true(count_lines(f.notes) >= 3);
    assert_int_equal(verify(WILOR_TEST_DATA "/README.md", &f, &err), WILOR_ERR_FORMAT);
    assert_int_equal(verify(SCRATCH "-nowhere", &f, &err), WILOR_ERR_IO);
    assert_int_equal(wilor_verify(NULL, NULL, &err), WILOR_ERR_ARG);
}

static wilor_status verify_detector(const detector_file *made, memory_file *f,
                                    wilor_error *err) {
    free(f->data);
    *f = (memory_file){0};
    f->data = detector_file_make(made, &f->size);
    return verify(save(f, "detector"), f, err);
}

/* Detectors: what the loader demands, and numbers that only batch norm makes infinite. */
static void detectors(void **state) {
    static const detector_edit edits[] = {
        DETECTOR_EDIT("model.4.m.0.cv2.conv.weight", "drop", ""),
        DETECTOR_EDIT("model.2.cv1.bn.bias", "rows", "\x03"),
        DETECTOR_EDIT("model.22", "nc", "K\x03"),
        DETECTOR_EDIT("model.5.act", "class", "torch.nn.modules.activation\nReLU\n")};
    static const char *const says[] = {"model.4.m.0.cv2", "model.2.cv1.bn.bias", "model.22",
                                       "model.5.act"};
    const float negative = -5;
    memory_file f = {0};
    wilor_error err;
    wilor_index *x = NULL;
    (void)state;
    for (int i = 0; i < 2; i++) {
        detector_file made = {.width = 4, .repeats = 3, .safetensors = i};
        if (verify_detector(&made, &f, &err) != WILOR_OK)
            fail_msg("%s", err.text);
        assert_non_null(strstr(f.notes, "YOLOv8-pose, 100 convolutions, 8327 parameters"));
    }
    assert_int_equal(wilor_index_open_memory(&x, f.data, f.size, "f", &err), WILOR_OK);
    const wilor_tensor *t = wilor_index_find(x, "b7.bn.running_var");
    assert_non_null(t);
    memcpy(f.data + (t->data - f.data), &negative, sizeof negative);
    wilor_index_close(&x);
    assert_int_equal(verify(save(&f, "detector"), &f, &err), WILOR_ERR_MODEL);
    assert_non_null(strstr(f.notes, "numbers: all finite"));
    assert_non_null(strstr(err.text, "model.7 holds a number that is not finite"));
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        detector_file made = {.width = 4, .repeats = 1, .edits = edits + i, .edit_count = 1};
        assert_int_equal(verify_detector(&made, &f, &err), WILOR_ERR_MODEL);
        if (!strstr(err.text, says[i]))
            fail_msg("expected %s: %s", says[i], err.text);
    }
    free(f.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats),
        cmocka_unit_test(metadata),
        cmocka_unit_test(aligned),
        cmocka_unit_test(quantised),
        cmocka_unit_test(as_wilor_mlx),
        cmocka_unit_test(hand),
        cmocka_unit_test(numbers_that_do_not_fit),
        cmocka_unit_test(wrong_sources),
        cmocka_unit_test(ends_well),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(faults),
        cmocka_unit_test(archives),
        cmocka_unit_test(other_kinds),
        cmocka_unit_test(detectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
