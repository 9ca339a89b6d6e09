/* Zip directories: what a good one gives, and that every lie of a bad one is refused. The zips
 * are made here, field by field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crc32.h"
#include "heap.h"
#include "zip_directory.h"
#include <stdlib.h>
#include <string.h>

typedef struct zip_bytes {
    uint8_t data[2048];
    size_t size, directory, end;
} zip_bytes;

static void put(zip_bytes *z, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        z->data[z->size++] = (uint8_t)(i < 8 ? value >> 8 * i : 0);
}

static void put_text(zip_bytes *z, const char *text) {
    memcpy(z->data + z->size, text, strlen(text));
    z->size += strlen(text);
}

static void put_local(zip_bytes *z, const char *name, const char *content) {
    put(z, 0x04034b50, 4);
    put(z, 20, 2);
    put(z, 0, 8);  /* flags, method, time, date */
    put(z, 0, 12); /* CRC and sizes: only the directory's count */
    put(z, strlen(name), 2);
    put(z, 4, 2); /* an extra field that the directory does not have */
    put_text(z, name);
    put(z, 0, 4);
    put_text(z, content);
}

static void put_entry(zip_bytes *z, const char *name, const char *content, size_t offset,
                      bool zip64) {
    size_t n = strlen(content);
    put(z, 0x02014b50, 4);
    put(z, 20, 2);
    put(z, 20, 2);
    put(z, 0, 8); /* flags, method, time, date */
    put(z, wilor_crc32((const uint8_t *)content, n), 4);
    put(z, zip64 ? 0xFFFFFFFF : n, 4);
    put(z, zip64 ? 0xFFFFFFFF : n, 4);
    put(z, strlen(name), 2);
    put(z, zip64 ? 28 : 0, 2);
    put(z, 0, 10); /* comment, disk, attributes */
    put(z, zip64 ? 0xFFFFFFFF : offset, 4);
    put_text(z, name);
    if (zip64) {
        put(z, 1, 2);
        put(z, 24, 2);
        put(z, n, 8);
        put(z, n, 8);
        put(z, offset, 8);
    }
}

static void put_end64(zip_bytes *z, size_t entries, size_t bytes) {
    size_t at = z->size;
    put(z, 0x06064b50, 4);
    put(z, 44, 8);
    put(z, 45, 2);
    put(z, 45, 2);
    put(z, 0, 8);
    put(z, entries, 8);
    put(z, entries, 8);
    put(z, bytes, 8);
    put(z, z->directory, 8);
    put(z, 0x07064b50, 4);
    put(z, 0, 4);
    put(z, at, 8);
    put(z, 1, 4);
}

/* Two members, "a.npy" and "root/b", and a comment. */
static void make_zip(zip_bytes *z, bool zip64) {
    *z = (zip_bytes){.size = 0};
    put_local(z, "a.npy", "first");
    size_t second = z->size;
    put_local(z, "root/b", "the second");
    z->directory = z->size;
    put_entry(z, "a.npy", "first", 0, zip64);
    put_entry(z, "root/b", "the second", second, zip64);
    size_t bytes = z->size - z->directory;
    if (zip64)
        put_end64(z, 2, bytes);
    z->end = z->size;
    put(z, 0x06054b50, 4);
    put(z, 0, 4);
    put(z, zip64 ? 0xFFFF : 2, 2);
    put(z, zip64 ? 0xFFFF : 2, 2);
    put(z, zip64 ? 0xFFFFFFFF : bytes, 4);
    put(z, zip64 ? 0xFFFFFFFF : z->directory, 4);
    put(z, 7, 2);
    put_text(z, "comment");
}

/* In a block of exactly that size, so that a sanitizer sees reads past its end. */
static wilor_status open_bytes(wilor_zip *zip, const uint8_t *bytes, size_t size,
                               uint8_t **block, wilor_error *err) {
    *block = malloc(size ? size : 1);
    assert_non_null(*block);
    memcpy(*block, bytes, size);
    *zip = (wilor_zip){0};
    return wilor_zip_open(zip, *block, size, "'x.zip'", err);
}

static void good_ones(void **state) {
    (void)state;
    for (int zip64 = 0; zip64 < 2; zip64++) {
        zip_bytes z;
        wilor_zip zip;
        wilor_error err;
        uint8_t *block;
        make_zip(&z, zip64);
        if (open_bytes(&zip, z.data, z.size, &block, &err) != WILOR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(zip.count, 2);
        const wilor_zip_member *m = wilor_zip_find(&zip, "root/b", 6);
        assert_non_null(m);
        assert_ptr_equal(m, &zip.members[1]);
        assert_int_equal(m->size, 10);
        assert_memory_equal(m->data, "the second", 10);
        assert_int_equal(m->crc, wilor_crc32(m->data, m->size));
        assert_null(wilor_zip_find(&zip, "root/", 5));
        wilor_zip_close(&zip);
        free(block);
    }
}

/* A checksum known from elsewhere. */
static void checksum(void **state) {
    (void)state;
    assert_int_equal(wilor_crc32((const uint8_t *)"123456789", 9), 0xCBF43926);
    assert_int_equal(wilor_crc32(NULL, 0), 0);
}

static void cut_anywhere(void **state) {
    (void)state;
    for (int zip64 = 0; zip64 < 2; zip64++) {
        zip_bytes z;
        make_zip(&z, zip64);
        for (size_t size = 0; size < z.size; size++) {
            wilor_zip zip;
            uint8_t *block;
            assert_int_equal(open_bytes(&zip, z.data, size, &block, NULL), WILOR_ERR_FORMAT);
            assert_null(zip.members);
            free(block);
        }
    }
}

static void lies(void **state) {
    /* Offsets from the first directory entry, or from the end record when negative. */
    static const struct {
        int at;
        uint8_t value;
        const char *what;
    } cases[] = {{20, 200, "stored size"},
                 {24, 200, "size"},
                 {42, 3, "offset"},
                 {28, 4, "name length"},
                 {28, 255, "name length"},
                 {30, 255, "extra length"},
                 {46, 'b', "name"},
                 {0, 'Q', "signature"},
                 {-8, 1, "fewer entries"},
                 {-10, 3, "more entries"},
                 {-12, 1, "directory size"},
                 {-16, 1, "directory at"},
                 {-19, 255, "directory beyond"},
                 {8, 1, "encrypted"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        zip_bytes z;
        wilor_zip zip;
        wilor_error err = {0};
        uint8_t *block;
        make_zip(&z, false);
        size_t at =
            cases[i].at < 0 ? z.end + (size_t)-cases[i].at : z.directory + (size_t)cases[i].at;
        assert_int_not_equal(z.data[at], cases[i].value);
        z.data[at] = cases[i].value;
        if (open_bytes(&zip, z.data, z.size, &block, &err) == WILOR_OK)
            fail_msg("a wrong %s was accepted", cases[i].what);
        assert_non_null(strstr(err.text, "'x.zip'"));
        free(block);
    }
}

/* What contradicts the directory in a member's own header, or in both of its sizes together. */
static void lies_about_members(void **state) {
    static const struct {
        int at[2]; /* offsets from the first local header; from the first entry when negative */
        uint8_t value;
        const char *what;
    } cases[] = {{{0, 0}, 'Q', "signature"},
                 {{26, 26}, 4, "length of its other name"},
                 {{30, 30}, 'b', "other name"},
                 {{28, 29}, 255, "extra field"},
                 {{-20, -24}, 100, "length beyond the directory"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        zip_bytes z;
        wilor_zip zip;
        uint8_t *block;
        make_zip(&z, false);
        for (int k = 0; k < 2; k++) {
            int at = cases[i].at[k];
            z.data[at < 0 ? z.directory + (size_t)-at : (size_t)at] = cases[i].value;
        }
        if (open_bytes(&zip, z.data, z.size, &block, NULL) == WILOR_OK)
            fail_msg("a wrong %s was accepted", cases[i].what);
        free(block);
    }
}

static void same_name_twice(void **state) {
    zip_bytes z = {.size = 0};
    wilor_zip zip;
    uint8_t *block;
    (void)state;
    put_local(&z, "a", "one");
    z.directory = z.size;
    put_entry(&z, "a", "one", 0, false);
    put_entry(&z, "a", "one", 0, false);
    size_t bytes = z.size - z.directory;
    put(&z, 0x06054b50, 4);
    put(&z, 0, 4);
    put(&z, 2, 2);
    put(&z, 2, 2);
    put(&z, bytes, 4);
    put(&z, z.directory, 4);
    put(&z, 0, 2);
    assert_int_equal(open_bytes(&zip, z.data, z.size, &block, NULL), WILOR_ERR_FORMAT);
    free(block);
}

static void no_memory(void **state) {
    zip_bytes z;
    wilor_zip zip = {0};
    wilor_status st = WILOR_ERR_NOMEM;
    int failed = 0;
    (void)state;
    make_zip(&z, true);
    for (; st != WILOR_OK; failed++) {
        wilor_heap_fail_at(failed);
        st = wilor_zip_open(&zip, z.data, z.size, "'x.zip'", NULL);
        wilor_heap_fail_at(-1);
        assert_true(st == WILOR_OK || (st == WILOR_ERR_NOMEM && !zip.members));
    }
    assert_true(failed > 2);
    wilor_zip_close(&zip);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),          cmocka_unit_test(checksum),
        cmocka_unit_test(cut_anywhere),       cmocka_unit_test(lies),
        cmocka_unit_test(lies_about_members), cmocka_unit_test(same_name_twice),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
