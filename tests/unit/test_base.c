/* Error texts, checked memory, the arena, the thread pool. */
#include "arena.h"
#include "file_map.h"
#include "heap.h"
#include "status.h"
#include "thread_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "portable.h"

#if defined(_WIN32)
#define A_DEVICE "NUL"
#else
#define A_DEVICE "/dev/zero"
#endif

/* ---------------------------------------------------------------- errors */

static void test_error_text(void **state) {
    (void)state;
    wilor_error err;
    assert_int_equal(wilor_error_set(&err, WILOR_ERR_IO, "two\nlines\t%d", 7), WILOR_ERR_IO);
    assert_string_equal(err.text, "two?lines?7");
    assert_int_equal(err.status, WILOR_ERR_IO);
    assert_int_equal(wilor_error_set(NULL, WILOR_ERR_ARG, "x"), WILOR_ERR_ARG);
    wilor_error_clear(&err);
    assert_int_equal(err.status, WILOR_OK);
    assert_string_equal(err.text, "");
}

/* A text that is too long is cut between characters. */
static void test_error_cut(void **state) {
    (void)state;
    wilor_error err;
    char text[1200];
    for (int lead = 0; lead < 4; lead++) {
        memset(text, 'a', sizeof text);
        for (size_t i = (size_t)lead; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xE2\x82\xAC", 3); /* the euro sign */
        text[sizeof text - 1] = 0;
        wilor_error_set(&err, WILOR_ERR_IO, "%s", text);
        size_t n = strlen(err.text);
        assert_true(n < sizeof err.text && n + 4 > sizeof err.text);
        assert_memory_equal(err.text + n - 3, "\xE2\x82\xAC", 3);
    }
}

static void test_quote(void **state) {
    (void)state;
    wilor_quoted q;
    assert_string_equal(wilor_quote(&q, "a\nb\x1b\x7f"), "'a\\nb\\x1b\\x7f'");
    char name[1000];
    memset(name, '\n', sizeof name);
    name[sizeof name - 1] = 0;
    assert_true(strlen(wilor_quote(&q, name)) < sizeof q.text);
    memset(name, 'x', sizeof name - 1);
    memcpy(name + sizeof name - 7, "/a.npz", 6);
    const char *text = wilor_quote(&q, name);
    assert_memory_equal(text, "'...xx", 6);
    assert_string_equal(text + strlen(text) - 7, "/a.npz'");
    /* A character that the cut would split is left out. */
    for (size_t i = 0; i + 1 < sizeof name; i++)
        name[i] = "\xE2\x82\xAC"[i % 3];
    assert_memory_equal(wilor_quote(&q, name), "'...\xE2\x82\xAC", 7);
}

static void test_names(void **state) {
    (void)state;
    for (int i = 0; i <= WILOR_ERR_INTERNAL; i++)
        assert_string_not_equal(wilor_status_name((wilor_status)i), "unknown status");
    assert_string_equal(wilor_status_name((wilor_status)99), "unknown status");
    assert_string_equal(wilor_isa_name(WILOR_ISA_AVX512), "avx512");
    assert_string_equal(wilor_isa_name((wilor_isa)77), "unknown");
    assert_true(wilor_threads_default() >= 1);
}

/* ---------------------------------------------------------------- memory */

static void test_products(void **state) {
    (void)state;
    size_t n;
    assert_true(wilor_size_mul(SIZE_MAX, 1, &n) && n == SIZE_MAX);
    assert_true(wilor_size_mul(SIZE_MAX, 0, &n) && n == 0);
    assert_false(wilor_size_mul(SIZE_MAX / 2 + 1, 2, &n));
    assert_false(wilor_size_add(SIZE_MAX, 1, &n));
    assert_null(wilor_heap_alloc(SIZE_MAX / 2, 3));
    assert_null(wilor_heap_alloc(SIZE_MAX, 1));
    void *p = wilor_heap_alloc(0, 8);
    assert_non_null(p);
    wilor_heap_free(p);
}

static void test_failing_allocation(void **state) {
    (void)state;
    wilor_heap_fail_at(1);
    void *a = wilor_heap_alloc(1, 1), *b = wilor_heap_alloc(1, 1), *c = wilor_heap_alloc(1, 1);
    assert_int_equal(wilor_heap_calls(), 3);
    wilor_heap_fail_at(-1);
    assert_true(a && !b && c);
    wilor_heap_free(a);
    wilor_heap_free(c);
}

static void test_pages(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 4096, 2097152, 2097153, 5000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        wilor_pages p;
        assert_true(wilor_pages_alloc(&p, sizes[i]));
        assert_true(p.bytes >= sizes[i] && (uintptr_t)p.data % 64 == 0);
        unsigned char *bytes = p.data;
        assert_int_equal(bytes[0] | bytes[sizes[i] - 1], 0);
        memset(bytes, 1, sizes[i]);
        wilor_pages_free(&p);
        assert_null(p.data);
        wilor_pages_free(&p);
    }
    wilor_pages p;
    assert_false(wilor_pages_alloc(&p, SIZE_MAX - 100));
}

static void test_arena(void **state) {
    (void)state;
    wilor_arena a;
    wilor_arena_begin(&a, NULL, 0);
    assert_null(wilor_arena_push(&a, 3, 5));
    assert_null(wilor_arena_push(&a, 100, 4));
    size_t need = wilor_arena_used(&a);
    assert_null(wilor_arena_push(&a, SIZE_MAX, 2));
    assert_true(wilor_arena_used(&a) == SIZE_MAX);
    void *block = aligned_alloc(64, (need + 63) / 64 * 64);
    assert_non_null(block);
    wilor_arena_begin(&a, block, need);
    char *first = wilor_arena_push(&a, 3, 5), *second = wilor_arena_push(&a, 100, 4);
    assert_true(first && second && (uintptr_t)second % 64 == 0);
    assert_true(second >= first + 15 + 64); /* a redzone between */
    memset(first, 1, 15);
    memset(second, 2, 400);
    assert_null(wilor_arena_push(&a, 1, 1)); /* full */
    wilor_arena_end(&a);
    free(block);
}

/* ---------------------------------------------------------------- threads */

typedef struct tally {
    atomic_int *seen;
    int threads;
    atomic_int wrong;
} tally;

static void count_unit(void *context, int unit, int thread) {
    tally *t = context;
    atomic_fetch_add(&t->seen[unit], 1);
    if (thread < 0 || thread >= t->threads)
        atomic_fetch_add(&t->wrong, 1);
}

/* Every unit exactly once, phase after phase, for every mix of threads and units; with pauses
 * that put the workers to sleep. */
static void test_threads(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        wilor_error err;
        wilor_threads *pool;
        assert_int_equal(wilor_threads_create(&pool, threads, &err), WILOR_OK);
        assert_int_equal(wilor_threads_count(pool), threads);
        for (int round = 0; round < 400; round++) {
            int units = round % 23;
            atomic_int seen[23] = {0};
            tally t = {seen, threads, 0};
            wilor_threads_run(pool, count_unit, &t, units);
            for (int i = 0; i < 23; i++)
                assert_int_equal(atomic_load(&seen[i]), i < units);
            assert_int_equal(atomic_load(&t.wrong), 0);
            if (round % 97 == 0)
                usleep(2000);
        }
        wilor_threads_free(&pool);
        assert_null(pool);
    }
    wilor_error err;
    wilor_threads *none = NULL;
    assert_int_equal(wilor_threads_create(&none, 0, &err), WILOR_ERR_LIMIT);
    assert_int_equal(wilor_threads_create(&none, 100000, &err), WILOR_ERR_LIMIT);
    assert_non_null(strstr(err.text, "100000"));
    wilor_threads_free(&none);
}

/* ---------------------------------------------------------------- files */

static void expect_map(const char *path, wilor_status want, const char *text) {
    wilor_error err;
    wilor_file_map m;
    assert_int_equal(wilor_file_map_open(&m, path, &err), want);
    if (text)
        assert_non_null(strstr(err.text, text));
    wilor_file_map_close(&m);
}

static void test_file_map(void **state) {
    (void)state;
    wilor_error err;
    wilor_file_map m;
    char path[1024];
    snprintf(path, sizeof path, "%s/map", WILOR_TEST_SCRATCH);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs("hello", f);
    fclose(f);
    assert_int_equal(wilor_file_map_open(&m, path, &err), WILOR_OK);
    assert_int_equal(m.size, 5);
    assert_int_equal(truncate(path, 2), 0); /* we have a copy */
    assert_memory_equal(m.data, "hello", 5);
    assert_int_equal(wilor_file_map_check(&m, path, &err), WILOR_OK);
    assert_false(m.mapped);
    char part[4] = "";
    assert_int_equal(wilor_file_map_read(&m, m.data + 1, 3, part, path, &err), WILOR_OK);
    assert_string_equal(part, "ell");
    wilor_file_map_close(&m);
    wilor_file_map_close(&m);
    assert_int_equal(wilor_file_map_load(&m, path, 2, &err), WILOR_OK);
    assert_memory_equal(m.data, "he", 2);
    wilor_file_map_close(&m);
    assert_int_equal(wilor_file_map_load(&m, path, 1, &err), WILOR_ERR_LIMIT);
    assert_non_null(strstr(err.text, "2 bytes, the limit is 1 bytes"));
    wilor_file_map_close(&m);
    expect_map("/nonexistent/x", WILOR_ERR_IO, "/nonexistent/x");
    expect_map("/", WILOR_ERR_IO, "a folder");
    expect_map(A_DEVICE, WILOR_ERR_IO, "a device");
    unlink(path);
#if !defined(_WIN32)
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_map(path, WILOR_ERR_IO, "a pipe");
    unlink(path);
#endif
    f = fopen(path, "wb");
    fclose(f);
    assert_int_equal(wilor_file_map_open(&m, path, &err), WILOR_OK);
    assert_true(m.size == 0 && m.data == NULL);
    wilor_file_map_close(&m);
    unlink(path);
}

/* One byte more than what is read whole; all but the first bytes are a hole. */
static void test_large_file(void **state) {
    (void)state;
    wilor_error err;
    wilor_file_map m;
    char path[1024], part[4] = "";
    snprintf(path, sizeof path, "%s/large", WILOR_TEST_SCRATCH);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs("hello", f);
    fclose(f);
    assert_int_equal(truncate(path, WILOR_FILE_WHOLE + 1), 0);
    assert_int_equal(wilor_file_map_open(&m, path, &err), WILOR_OK);
    assert_true(m.mapped && m.size == WILOR_FILE_WHOLE + 1);
    assert_memory_equal(m.data, "hello", 5);
    wilor_file_map_release(&m);
    assert_int_equal(wilor_file_map_read(&m, m.data + 1, 3, part, path, &err), WILOR_OK);
    assert_string_equal(part, "ell");
    assert_int_equal(wilor_file_map_check(&m, path, &err), WILOR_OK);
#if !defined(_WIN32) /* there nobody can cut a file that is mapped */
    assert_int_equal(truncate(path, 2), 0);
    assert_int_equal(wilor_file_map_check(&m, path, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "shorter"));
    assert_int_equal(wilor_file_map_read(&m, m.data + 1, 3, part, path, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "shorter"));
    assert_int_equal(wilor_file_map_read(&m, m.data + 1, 1, part, path, &err), WILOR_OK);
#endif
    wilor_file_map_close(&m);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_text), cmocka_unit_test(test_error_cut),
        cmocka_unit_test(test_quote),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_products),   cmocka_unit_test(test_failing_allocation),
        cmocka_unit_test(test_pages),      cmocka_unit_test(test_arena),
        cmocka_unit_test(test_threads),    cmocka_unit_test(test_file_map),
        cmocka_unit_test(test_large_file)};
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
