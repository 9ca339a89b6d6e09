/* Every allocation of a search in the cache fails in turn: an error, or the right path, and nothing leaks
 * (under the sanitizers). jansson's and the C library's own are not counted. */
#include "heap.h"
#include "wilor/wilor_io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define ROOT WILOR_TEST_SCRATCH "/hub_memory"
#define REPO ROOT "/hub/models--org--name"

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int set_up(void **state) {
    static const char *const folders[] = {
        ROOT, ROOT "/hub", REPO, REPO "/refs", REPO "/snapshots", REPO "/snapshots/" COMMIT};
    (void)state;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        mkdir(folders[i], 0777);
    write_file(REPO "/refs/main", COMMIT);
    write_file(REPO "/snapshots/" COMMIT "/f.txt", "text");
    return setenv("HF_HOME", ROOT, 1) || setenv("XDG_CACHE_HOME", ROOT, 1) ||
           setenv("HF_HUB_OFFLINE", "1", 1) || setenv("HF_TOKEN", "t", 1) ||
           unsetenv("HF_HUB_CACHE") || unsetenv("HUGGINGFACE_HUB_CACHE");
}

static void fail_in_turn(const char *file, wilor_status want) {
    char path[4096];
    wilor_error err;
    for (long n = 0;; n++) {
        remove(ROOT "/wilor/pins.json");
        wilor_heap_fail_at(n);
        wilor_status st = wilor_hub_fetch(path, sizeof path, "org/name", file, NULL, &err);
        long calls = wilor_heap_calls();
        wilor_heap_fail_at(-1);
        if (st == WILOR_OK)
            assert_string_equal(path, REPO "/snapshots/" COMMIT "/f.txt");
        else
            assert_true(path[0] == 0 && err.status == st && err.text[0]);
        if (n >= calls) { /* nothing failed any more */
            assert_int_equal(st, want);
            assert_true(n > 20);
            return;
        }
    }
}

static void test_found(void **state) {
    (void)state;
    fail_in_turn("f.txt", WILOR_OK);
}

static void test_missing(void **state) {
    (void)state;
    fail_in_turn("none.txt", WILOR_ERR_MISSING);
}

static void test_no_room(void **state) {
    char path[8];
    wilor_error err;
    (void)state;
    assert_int_equal(wilor_hub_fetch(path, sizeof path, "org/name", "f.txt", NULL, &err),
                     WILOR_ERR_LIMIT);
    assert_string_equal(path, "");
    assert_int_equal(wilor_hub_folder(path, sizeof path, WILOR_HUB_OWN, &err), WILOR_ERR_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
