/* Pictures and bytes out: whole or not at all, with the right permissions, and back in again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exif.h"
#include "heap.h"
#include "out_file.h"
#include "scratch_folder.h"
#include "wilor/wilor_io.h"

enum { W = 21, H = 13 };

static bool holds(const char *path, const char *text) {
    char buffer[64] = "";
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    size_t n = fread(buffer, 1, sizeof buffer - 1, f);
    fclose(f);
    return n == strlen(text) && memcmp(buffer, text, n) == 0;
}

static int setup(void **state) {
    (void)state;
    return make_folder("media");
}

static int teardown(void **state) {
    (void)state;
    char path[1024];
    DIR *dir = opendir(g_folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%s", g_folder, e->d_name);
            if (unlink(path) != 0)
                rmdir(path);
        }
    if (dir)
        closedir(dir);
    return rmdir(g_folder);
}

#if !defined(_WIN32) /* there are neither there */
static int mode_of(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? (int)(info.st_mode & 0777) : -1;
}

static void test_permissions(void **state) {
    (void)state;
    mode_t old = umask(027);
    const char *path = in_folder("new.bin");
    assert_int_equal(wilor_bytes_write("abc", 3, path, NULL), WILOR_OK);
    assert_int_equal(mode_of(path), 0640); /* the umask counts */
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(wilor_bytes_write("defg", 4, path, NULL), WILOR_OK);
    assert_int_equal(mode_of(path), 0604); /* as the file that was replaced */
    assert_true(holds(path, "defg"));
    umask(old);
    assert_int_equal(files_in_folder(), 1);
}

static void test_links(void **state) {
    (void)state;
    struct stat info;
    const char *file = in_folder("target.bin"), *link = in_folder("link.bin");
    assert_int_equal(wilor_bytes_write("abc", 3, file, NULL), WILOR_OK);
    assert_int_equal(symlink("target.bin", link), 0);
    assert_int_equal(wilor_bytes_write("new", 3, link, NULL), WILOR_OK);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_true(holds(file, "new"));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(wilor_bytes_write("new", 3, link, NULL), WILOR_ERR_IO);
}

#endif

static void test_failures_leave_the_old_file(void **state) {
    (void)state;
    wilor_out_file f;
    wilor_error err;
    const char *path = in_folder("kept.bin");
    assert_int_equal(wilor_bytes_write("old", 3, path, NULL), WILOR_OK);
    assert_int_equal(wilor_out_file_open(&f, path, NULL), WILOR_OK);
    assert_int_equal(wilor_out_file_write(&f, "half", 4, NULL), WILOR_OK);
    assert_int_equal(files_in_folder(), 2);
    wilor_out_file_discard(&f);
    wilor_out_file_discard(&f); /* again is fine */
    assert_int_equal(files_in_folder(), 1);
    assert_true(holds(path, "old"));

    /* The place is taken by a folder between open and commit. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(wilor_out_file_open(&f, path, NULL), WILOR_OK);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(wilor_out_file_commit(&f, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "kept.bin"));
    assert_int_equal(files_in_folder(), 1);

    assert_int_equal(wilor_bytes_write("x", 1, path, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "folder"));
    assert_int_equal(wilor_bytes_write("x", 1, in_folder("no/such/place"), &err), WILOR_ERR_IO);
#if defined(_WIN32)
    assert_int_equal(wilor_bytes_write("x", 1, "NUL", &err), WILOR_OK);
#else
    assert_int_equal(wilor_bytes_write("x", 1, "/dev/null", &err), WILOR_OK);
#endif
    if (access("/dev/full", W_OK) == 0)
        assert_int_equal(wilor_bytes_write("x", 1, "/dev/full", &err), WILOR_ERR_IO);
}

/* A picture in the given format whose pixel (x, y) is (x, y, x ^ y), and grey where there is
 * one channel. */
static wilor_picture fill(uint8_t *bytes, wilor_pixel_format format, int step) {
    static const int red[] = {0, 0, 2, 0, 2, 0}, blue[] = {0, 2, 0, 2, 0, 0};
    wilor_picture p = {bytes, W, H, (ptrdiff_t)W * step + 5, format};
    memset(bytes, 0xEE, (size_t)p.stride * H);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint8_t *at = bytes + p.stride * y + (ptrdiff_t)x * step;
            at[blue[format]] = (uint8_t)(x ^ y);
            if (step > 1)
                at[1] = (uint8_t)y;
            at[red[format]] = (uint8_t)x;
        }
    return p;
}

static void test_png_keeps_every_pixel(void **state) {
    (void)state;
    static const int steps[] = {0, 3, 3, 4, 4, 1};
    uint8_t bytes[(W * 4 + 5) * H];
    wilor_error err;
    if (!strstr(wilor_io_formats(), "png"))
        return;
    for (int format = WILOR_RGB8; format <= WILOR_GRAY8; format++) {
        wilor_image back = {0};
        wilor_picture p = fill(bytes, (wilor_pixel_format)format, steps[format]);
        assert_int_equal(wilor_image_write(&p, in_folder("a.PNG"), 0, &err), WILOR_OK);
        assert_int_equal(wilor_image_read(&back, in_folder("a.PNG"), 0, &err), WILOR_OK);
        assert_int_equal(back.width, W);
        assert_int_equal(back.height, H);
        for (int i = 0; i < W * H; i++) {
            int x = i % W, y = i / W;
            bool grey = format == WILOR_GRAY8;
            assert_int_equal(back.data[3 * i], x);
            assert_int_equal(back.data[3 * i + 1], grey ? x : y);
            assert_int_equal(back.data[3 * i + 2], grey ? x : x ^ y);
        }
        wilor_image_free(&back);
    }
}

static void test_jpeg_is_near(void **state) {
    (void)state;
    uint8_t bytes[(W * 4 + 5) * H];
    wilor_error err;
    wilor_image back = {0};
    if (!strstr(wilor_io_formats(), "jpeg"))
        return;
    wilor_picture p = fill(bytes, WILOR_RGB8, 3);
    assert_int_equal(wilor_image_write(&p, in_folder("a.jpeg"), 100, &err), WILOR_OK);
    assert_int_equal(wilor_image_read(&back, in_folder("a.jpeg"), 0, &err), WILOR_OK);
    for (int y = 0; y < H; y++)
        for (int i = 0; i < 3 * W; i++)
            assert_in_range(back.data[y * W * 3 + i] - bytes[y * p.stride + i] + 8, 0, 16);
    wilor_image_free(&back);
    assert_int_equal(wilor_image_write(&p, in_folder("b.jpg"), 0, &err), WILOR_ERR_ARG);
    p.width = 65501;
    p.stride = 3 * 65501;
    assert_int_equal(wilor_image_write(&p, in_folder("b.jpg"), 90, &err), WILOR_ERR_LIMIT);
    assert_int_equal(files_in_folder(), 1);
}

/* In memory there are the same bytes as in the file. */
static void test_encode(void **state) {
    (void)state;
    static const char *const formats[] = {"png", "jpeg"}, *const names[] = {"e.png", "e.jpg"};
    uint8_t bytes[(W * 4 + 5) * H], *encoded = bytes, file[20000];
    size_t size = 1;
    wilor_error err;
    wilor_picture p = fill(bytes, WILOR_BGR8, 3);
    for (int i = 0; i < 2; i++) {
        if (!strstr(wilor_io_formats(), formats[i]))
            continue;
        assert_int_equal(wilor_image_encode(&encoded, &size, &p, formats[i], 80, &err),
                         WILOR_OK);
        assert_int_equal(wilor_image_write(&p, in_folder(names[i]), 80, &err), WILOR_OK);
        FILE *from = fopen(in_folder(names[i]), "rb");
        assert_non_null(from);
        assert_int_equal(fread(file, 1, sizeof file, from), size);
        fclose(from);
        assert_memory_equal(encoded, file, size);
        wilor_bytes_free(encoded);
    }
    assert_int_equal(wilor_image_encode(&encoded, &size, &p, "gif", 80, NULL),
                     WILOR_ERR_UNSUPPORTED);
    assert_null(encoded);
    assert_int_equal(size, 0);
    assert_int_equal(wilor_image_encode(&encoded, &size, &p, NULL, 80, NULL), WILOR_ERR_ARG);
    assert_int_equal(wilor_image_encode(&encoded, &size, NULL, "png", 80, NULL), WILOR_ERR_ARG);
    wilor_bytes_free(NULL);
}

/* Allocation n fails, for n = 0, 1, 2 …: no memory or a whole picture. */
static void test_encode_without_memory(void **state) {
    (void)state;
    static const char *const formats[] = {"png", "jpeg"};
    uint8_t bytes[(W * 4 + 5) * H], *encoded;
    size_t size;
    wilor_picture p = fill(bytes, WILOR_RGB8, 3);
    for (int i = 0; i < 2; i++) {
        wilor_status st = strstr(wilor_io_formats(), formats[i]) ? WILOR_ERR_NOMEM : WILOR_OK;
        for (int n = 0; n < 50 && st == WILOR_ERR_NOMEM; n++) {
            wilor_heap_fail_at(n);
            st = wilor_image_encode(&encoded, &size, &p, formats[i], 80, NULL);
            wilor_heap_fail_at(-1);
            assert_int_equal(encoded != NULL, st == WILOR_OK);
            wilor_bytes_free(encoded);
        }
        assert_int_equal(st, WILOR_OK);
    }
}

static void test_bad_arguments(void **state) {
    (void)state;
    uint8_t bytes[12] = {0};
    wilor_image image;
    wilor_picture p = {bytes, 2, 2, 6, WILOR_RGB8}, q = p;
    const char *path = in_folder("bad.png");
    assert_int_equal(wilor_image_write(&p, in_folder("bad.gif"), 90, NULL),
                     WILOR_ERR_UNSUPPORTED);
    assert_int_equal(wilor_image_write(&p, NULL, 90, NULL), WILOR_ERR_ARG);
    q.stride = 5;
    assert_int_equal(wilor_image_write(&q, path, 90, NULL), WILOR_ERR_ARG);
    q = p;
    q.format = (wilor_pixel_format)9;
    assert_int_equal(wilor_image_write(&q, path, 90, NULL), WILOR_ERR_ARG);
    q = p;
    q.height = 0;
    assert_int_equal(wilor_image_write(&q, path, 90, NULL), WILOR_ERR_ARG);
    assert_int_equal(wilor_image_read(&image, in_folder("none.png"), 0, NULL), WILOR_ERR_IO);
    assert_int_equal(wilor_image_read(&image, g_folder, 0, NULL), WILOR_ERR_IO);
    assert_int_equal(wilor_image_decode(&image, NULL, 3, "x", 0, NULL), WILOR_ERR_ARG);
    assert_int_equal(wilor_image_decode(&image, "GIF89a", 6, "x", 0, NULL),
                     WILOR_ERR_UNSUPPORTED);
    assert_int_equal(wilor_image_decode(&image, "", 0, "x", 0, NULL), WILOR_ERR_FORMAT);
    assert_int_equal(files_in_folder(), 0);
    wilor_image_free(NULL);
}

/* Allocation n fails, for n = 0, 1, 2 …: the status says so, nothing is left behind (leaks are
 * the sanitizer's to find). */
static void expect_nomem_survived(const char *name) {
    uint8_t bytes[(W * 4 + 5) * H];
    wilor_picture p = fill(bytes, WILOR_RGB8, 3);
    wilor_image back = {0};
    wilor_status st = WILOR_ERR_NOMEM;
    int n = 0;
    for (; n < 200 && st == WILOR_ERR_NOMEM; n++) {
        wilor_heap_fail_at(n);
        st = wilor_image_write(&p, in_folder(name), 90, NULL);
        wilor_heap_fail_at(-1);
        assert_int_equal(files_in_folder(), st == WILOR_OK);
    }
    assert_int_equal(st, WILOR_OK);
    assert_true(n > 2);
    st = WILOR_ERR_NOMEM;
    for (n = 0; n < 200 && st == WILOR_ERR_NOMEM; n++) {
        wilor_heap_fail_at(n);
        st = wilor_image_read(&back, in_folder(name), 0, NULL);
        wilor_heap_fail_at(-1);
        assert_true((back.data != NULL) == (st == WILOR_OK));
    }
    assert_int_equal(st, WILOR_OK);
    assert_true(n > 1);
    wilor_image_free(&back);
    assert_int_equal(unlink(in_folder(name)), 0);
}

static void test_no_memory(void **state) {
    (void)state;
    if (strstr(wilor_io_formats(), "png"))
        expect_nomem_survived("nomem.png");
    if (strstr(wilor_io_formats(), "jpeg"))
        expect_nomem_survived("nomem.jpg");
}

static void test_exif_data(void **state) {
    (void)state;
    uint8_t exif[] = "Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x06\0\0\0\0\0\0";
    size_t size = sizeof exif - 1;
    assert_int_equal(wilor_exif_orientation(exif, size), 6);
    assert_int_equal(wilor_exif_orientation(exif + 6, size - 6), 6);
    for (size_t cut = 0; cut < 26; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* its end is the sanitizer's to watch */
        assert_non_null(copy);
        memcpy(copy, exif, cut);
        assert_int_equal(wilor_exif_orientation(copy, cut), 1);
        free(copy);
    }
    exif[10] = 0xFF; /* a directory far outside */
    assert_int_equal(wilor_exif_orientation(exif, size), 1);
    exif[10] = 0;
    exif[25] = 9;
    assert_int_equal(wilor_exif_orientation(exif, size), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#if !defined(_WIN32)
        cmocka_unit_test_setup_teardown(test_permissions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links, setup, teardown),
#endif
        cmocka_unit_test_setup_teardown(test_failures_leave_the_old_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_png_keeps_every_pixel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jpeg_is_near, setup, teardown),
        cmocka_unit_test_setup_teardown(test_encode, setup, teardown),
        cmocka_unit_test(test_encode_without_memory),
        cmocka_unit_test_setup_teardown(test_bad_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test(test_exif_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
