/* The reference photos decode to the bytes that the reference pipeline saw: the SHA-256 of
 * each, in OpenCV's order BGR, is image_sha256 of its results. The photos are not in this
 * repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "heap.h"
#include "sha256.h"
#include "wilor/wilor_io.h"

static void expect_photo(const char *name, const char *result) {
    wilor_image image = {0};
    wilor_error err;
    char path[1024], want[65] = "", got[65];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/tiny/pipeline/%s", WILOR_TEST_FIXTURES, result);
    wilor_index *index = golden_open(path);
    int64_t *sum = golden_i64(index, "image_sha256", &count);
    assert_int_equal(count, 32);
    for (int i = 0; i < 32; i++)
        snprintf(want + 2 * i, 3, "%02x", (unsigned)sum[i] & 0xFF);
    wilor_heap_free(sum);
    wilor_index_close(&index);

    snprintf(path, sizeof path, "%s/photos/%s", WILOR_TEST_FIXTURES, name);
    if (wilor_image_read(&image, path, 0, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    size_t bytes = (size_t)image.width * (size_t)image.height * 3;
    for (size_t i = 0; i < bytes; i += 3) {
        uint8_t red = image.data[i];
        image.data[i] = image.data[i + 2];
        image.data[i + 2] = red;
    }
    sha256_hex(image.data, bytes, got);
    wilor_image_free(&image);
    assert_string_equal(got, want);
    printf("%s: the reference's pixels\n", name);
}

static void test_photos(void **state) {
    (void)state;
    expect_photo("hand.png", "hand_png.npz");
    expect_photo("test1.jpg", "test1_jpg.npz");
    expect_photo("test3.jpg", "test3_jpg.npz"); /* in truth a WebP */
    expect_photo("test5.jpeg", "test5_jpeg.npz");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_photos)};
    if (strcmp(wilor_io_formats(), "jpeg png webp") != 0) {
        printf("skipped: this build reads only: %s\n", wilor_io_formats());
        return 77;
    }
    if (!golden_exists(WILOR_TEST_FIXTURES "/photos/test1.jpg")) {
        printf("skipped: no photos under %s\n", WILOR_TEST_FIXTURES);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
