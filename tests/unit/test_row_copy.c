/* Rows come out without gaps, all of them, whatever their length, their order and the number of threads. */
#include "row_copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GAP = 13 };

static void check(wilor_threads *pool, size_t line, int rows, bool upside_down) {
    size_t stride = line + GAP, bytes = line * (size_t)rows;
    uint8_t *from = malloc(stride * (size_t)rows), *to = malloc(bytes + GAP);
    assert_non_null(from);
    assert_non_null(to);
    for (size_t i = 0; i < stride * (size_t)rows; i++)
        from[i] = (uint8_t)(i % 251);
    memset(to, 0xEE, bytes + GAP);
    const uint8_t *first = upside_down ? from + stride * (size_t)(rows - 1) : from;
    const wilor_row_copy c = {.to = to,
                              .from = first,
                              .stride = upside_down ? -(ptrdiff_t)stride : (ptrdiff_t)stride,
                              .line = line,
                              .rows = rows};
    wilor_row_copy_run(&c, pool);
    for (int y = 0; y < rows; y++)
        assert_memory_equal(to + line * (size_t)y, first + y * c.stride, line);
    for (int i = 0; i < GAP; i++)
        assert_int_equal(to[bytes + (size_t)i], 0xEE);
    free(from);
    free(to);
}

static void test_copies(void **state) {
    static const size_t lines[] = {1, 3, 1920, 65535, 65536, 70001};
    static const int rows[] = {1, 2, 33, 34, 35, 480};
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        wilor_threads *pool;
        wilor_error err;
        assert_int_equal(wilor_threads_create(&pool, threads, &err), WILOR_OK);
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
            for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
                for (int turned = 0; turned < 2; turned++)
                    check(pool, lines[i], rows[k], turned);
        wilor_threads_free(&pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_copies)};
    return cmocka_run_group_tests_name("row_copy", tests, NULL, NULL);
}
