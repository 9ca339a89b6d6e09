/* Every variant of every weights format, good, broken and hostile: the verdict and the values
 * that data/formats/FILE.expected.json demands (made by PyTorch, safetensors, numpy and chumpy
 * themselves). Each file is read twice, mapped and from memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "heap.h"
#include "sha256.h"
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static void check_shape(const char *file, const wilor_tensor *t, json_t *want) {
    json_t *shape = json_object_get(want, "shape");
    if ((size_t)t->rank != json_array_size(shape))
        fail_msg("%s: %s has rank %d, not %zu", file, t->name, t->rank, json_array_size(shape));
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] != json_integer_value(json_array_get(shape, (size_t)i)))
            fail_msg("%s: %s: dimension %d is %lld", file, t->name, i, (long long)t->shape[i]);
    if (strcmp(t->dtype_name, text_of(want, "dtype")) != 0)
        fail_msg("%s: %s is %s, not %s", file, t->name, t->dtype_name, text_of(want, "dtype"));
}

static void check_hash(const char *file, const char *name, const void *values, size_t bytes,
                       const char *want) {
    char hex[65];
    sha256_hex(values, bytes, hex);
    if (strcmp(hex, want) != 0)
        fail_msg("%s: the values of %s differ from the reference", file, name);
}

static void check_values(const char *file, const wilor_index *index, const char *name,
                         json_t *want) {
    size_t count, i;
    json_t *first = json_object_get(want, "first"), *v;
    const char *hash = text_of(want, "sha256_f32");
    if (!first) { /* a type that is only listed */
        float value;
        assert_int_equal(wilor_tensor_to_f32(wilor_index_find(index, name), &value, NULL),
                         WILOR_ERR_UNSUPPORTED);
    } else if (*hash) {
        float *values = golden_f32(index, name, &count);
        json_array_foreach(first, i,
                           v) if (json_is_number(v) && values[i] != (float)json_number_value(v))
            fail_msg("%s: %s[%zu] is %g", file, name, i, (double)values[i]);
        check_hash(file, name, values, count * sizeof *values, hash);
        wilor_heap_free(values);
    } else {
        int64_t *values = golden_i64(index, name, &count);
        json_array_foreach(first, i, v) if (values[i] != json_integer_value(v))
            fail_msg("%s: %s[%zu] is %lld", file, name, i, (long long)values[i]);
        check_hash(file, name, values, count * sizeof *values, text_of(want, "sha256_i64"));
        wilor_heap_free(values);
    }
}

static void check_tensors(const char *file, const wilor_index *index, json_t *want) {
    const char *name;
    json_t *tensor;
    if (!want)
        return;
    if (wilor_index_count(index) != json_object_size(want))
        fail_msg("%s: %zu tensors, not %zu", file, wilor_index_count(index),
                 json_object_size(want));
    json_object_foreach(want, name, tensor) {
        const wilor_tensor *t = wilor_index_find(index, name);
        if (!t)
            fail_msg("%s: no tensor %s", file, name);
        else
            check_shape(file, t, tensor);
        check_values(file, index, name, tensor);
    }
}

/* One line that names the file. */
static void check_message(const char *file, const wilor_error *err) {
    const char *base = strrchr(file, '/') + 1;
    if (!strstr(err->text, base) || strpbrk(err->text, "\r\n") ||
        strlen(err->text) < strlen(base) + 6)
        fail_msg("%s: a poor message: '%s'", file, err->text);
}

static void check_outcome(const char *file, wilor_status st, wilor_index *index,
                          const wilor_error *err, json_t *expected) {
    const char *verdict = text_of(expected, "verdict");
    if (st == WILOR_ERR_UNSUPPORTED && strstr(err->text, "no zlib")) {
        printf("%s\n", err->text);
        return;
    }
    if ((st == WILOR_OK && strcmp(verdict, "error") == 0) ||
        (st != WILOR_OK && strcmp(verdict, "ok") == 0))
        fail_msg("%s: verdict '%s' (%s) but got: %s", file, verdict, text_of(expected, "why"),
                 st == WILOR_OK ? "loaded" : err->text);
    if (st != WILOR_OK) {
        assert_null(index);
        assert_int_equal(err->status, st);
        check_message(file, err);
        return;
    }
    assert_int_equal(err->status, WILOR_OK);
    check_tensors(file, index, json_object_get(expected, "tensors"));
}

static uint8_t *read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *data =
        malloc(*size ? *size : 1); /* exactly, so that a sanitizer sees an over-read */
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, f), *size);
    fclose(f);
    return data;
}

static void check_file(const char *expected_path) {
    char path[1024];
    wilor_error err = {0};
    wilor_index *index = NULL;
    size_t size;
    json_t *expected = json_load_file(expected_path, 0, NULL);
    assert_non_null(expected);
    snprintf(path, sizeof path, "%s", expected_path);
    *strstr(path, ".expected.json") = 0;
    wilor_status st = wilor_index_open(&index, path, &err);
    check_outcome(path, st, index, &err, expected);
    wilor_index_close(&index);
    uint8_t *data = read_file(path, &size);
    wilor_status again = wilor_index_open_memory(&index, data, size, path, &err);
    assert_int_equal(again, st);
    check_outcome(path, again, index, &err, expected);
    wilor_index_close(&index);
    free(data);
    json_decref(expected);
}

static void all_files(void **state) {
    (void)state;
    DIR *dir = opendir(WILOR_TEST_FORMATS);
    int files = 0;
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (!strstr(e->d_name, ".expected.json"))
            continue;
        check_file(golden_path(WILOR_TEST_FORMATS, e->d_name));
        files++;
    }
    closedir(dir);
    printf("%d files of weights read as expected\n", files);
    assert_true(files >= 145);
}

static void expect_message(const char *name, const char *words) {
    wilor_error err;
    wilor_index *index;
    assert_int_not_equal(wilor_index_open(&index, golden_path(WILOR_TEST_FORMATS, name), &err),
                         WILOR_OK);
    if (!strstr(err.text, words) && !strstr(err.text, "no zlib"))
        fail_msg("%s: '%s' does not say '%s'", name, err.text, words);
}

static void helpful_messages(void **state) {
    (void)state;
    expect_message("html.ckpt", "is a web page, not weights");
    expect_message("lfs_pointer.ckpt", "git lfs pull");
    expect_message("truncated_50.ckpt", "incomplete download");
    expect_message("empty.ckpt", "is empty");
    expect_message("evil_top.ckpt", "posix.system");
    expect_message("evil_eval.pkl", "eval");
    expect_message("npz_object.npz", "|O");
    expect_message("view_oob.ckpt", "'a' reaches beyond its data");
    expect_message("extra_cycle.ckpt", "nested more than 64 deep");
    expect_message("extra_shared_tree.ckpt", "unfold to more than");
    expect_message("extra_bomb.npz", "claims to unpack");
    expect_message("st_dtype.safetensors", "F31");
}

static void formats_and_metadata(void **state) {
    static const struct {
        const char *file, *format, *key, *value;
    } cases[] = {{"f32.ckpt", "torch zip", "none", NULL},
                 {"nested.ckpt", "torch zip", "epoch", "3"},
                 {"legacy.ckpt", "torch legacy", "state_dict", NULL},
                 {"python2.pkl", "pickle", "style", "lbs"},
                 {"dtypes.safetensors", "safetensors", "é", "x\"\\\n"},
                 {"stored.npz", "npz", "f4", NULL}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wilor_index *index = golden_open(golden_path(WILOR_TEST_FORMATS, cases[i].file));
        assert_string_equal(wilor_index_format(index), cases[i].format);
        const char *value = wilor_index_metadata(index, cases[i].key);
        if (cases[i].value)
            assert_string_equal(value, cases[i].value);
        else
            assert_null(value);
        assert_int_equal(wilor_index_kind(index), WILOR_FILE_TENSORS);
        wilor_index_close(&index);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_files),
        cmocka_unit_test(helpful_messages),
        cmocka_unit_test(formats_and_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
