/* Pictures decode to OpenCV's pixels, bit for bit; damaged ones are refused. The pictures and
 * what OpenCV makes of them come from scripts/make_picture_fixtures.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "heap.h"
#include "tensor_index.h"
#include "wilor/wilor_io.h"

static const char FOLDER[] = WILOR_TEST_DATA "/pictures";

/* Does this build read files of that ending? */
static bool can_read(const char *name) {
    const char *dot = strrchr(name, '.');
    const char *format = !dot ? "" : strcmp(dot, ".jpg") == 0 ? "jpeg" : dot + 1;
    return strstr(wilor_io_formats(), format) != NULL;
}

static void expect_pixels(const wilor_tensor *want, const wilor_image *got) {
    if (want->rank != 3 || want->shape[0] != got->height || want->shape[1] != got->width)
        fail_msg("%s: %d x %d instead of %d x %d", want->name, got->width, got->height,
                 (int)want->shape[1], (int)want->shape[0]);
    int64_t *values = wilor_heap_alloc(want->count, sizeof *values);
    assert_non_null(values);
    assert_int_equal(wilor_tensor_to_i64(want, values, NULL), WILOR_OK);
    size_t wrong = 0;
    for (size_t i = 0; i < want->count; i++)
        wrong += values[i] != got->data[i];
    wilor_heap_free(values);
    if (wrong)
        fail_msg("%s: %zu of %zu values differ", want->name, wrong, want->count);
}

static void test_sound(void **state) {
    (void)state;
    wilor_index *index = NULL;
    wilor_error err;
    char path[1024];
    snprintf(path, sizeof path, "%s/expected.npz", FOLDER);
    if (wilor_index_open(&index, path, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    size_t compared = 0;
    for (size_t i = 0; i < wilor_index_count(index); i++) {
        const wilor_tensor *want = wilor_index_at(index, i);
        wilor_image image = {0};
        snprintf(path, sizeof path, "%s/sound/%s", FOLDER, want->name);
        wilor_status st = wilor_image_read(&image, path, 0, &err);
        if (!can_read(want->name)) {
            assert_int_equal(st, WILOR_ERR_UNSUPPORTED);
            continue;
        }
        if (st != WILOR_OK)
            fail_msg("%s", err.text);
        expect_pixels(want, &image);
        wilor_image_free(&image);
        compared++;
    }
    wilor_index_close(&index);
    printf("%zu pictures equal OpenCV's\n", compared);
    assert_true(compared > 0 || wilor_io_formats()[0] == 0);
}

/* Every file of a folder must give this status, and a message that names it. */
static void expect_refused(const char *folder, wilor_status status) {
    char path[1024];
    int files = 0;
    snprintf(path, sizeof path, "%s/%s", FOLDER, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        wilor_image image = {0};
        wilor_error err;
        if (e->d_name[0] == '.' || !can_read(e->d_name))
            continue;
        snprintf(path, sizeof path, "%s/%s/%s", FOLDER, folder, e->d_name);
        wilor_status st = wilor_image_read(&image, path, 0, &err);
        if (st != status || !strstr(err.text, e->d_name) || image.data)
            fail_msg("%s: status %d, message: %s", e->d_name, (int)st, st ? err.text : "none");
        files++;
    }
    closedir(dir);
    printf("%d files of %s refused\n", files, folder);
    assert_true(files > 0 || wilor_io_formats()[0] == 0);
}

static void test_damaged(void **state) {
    (void)state;
    expect_refused("damaged", WILOR_ERR_FORMAT);
}

static void test_limit(void **state) {
    (void)state;
    expect_refused("limit", WILOR_ERR_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
