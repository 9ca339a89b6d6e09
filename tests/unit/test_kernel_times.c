/* wilor_kernel_measure: every index says what it is without measuring; what the best tier has runs, with one
 * thread and two, in less time than there was. Rates are for `wilor bench kernels`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "wilor/wilor.h"

#include <math.h>
#include <string.h>

static void test_list(void **state) {
    (void)state;
    int count = wilor_kernel_count(), products = 0;
    assert_true(count > 6);
    for (int i = 0; i < count; i++) {
        wilor_kernel_time t, other;
        wilor_error err;
        assert_int_equal(wilor_kernel_measure(i, 1, 0, &t, sizeof t, &err), WILOR_OK);
        assert_true(t.kernel[0] && t.work[0] && t.rows == 210 && t.columns > 0);
        assert_true(t.n == 0 && t.median_ms == 0 && t.threads == 1);
        if (strcmp(t.work, "fc1") == 0) {
            assert_true(fabs(t.gflop - 2.75251) < 1e-4); /* 2 · 210 · 5120 · 1280 */
            products++;
        }
        for (int k = 0; k < i; k++) {
            wilor_kernel_measure(k, 1, 0, &other, sizeof other, &err);
            assert_false(other.isa == t.isa && other.dtype == t.dtype &&
                         strcmp(other.kernel, t.kernel) == 0 &&
                         strcmp(other.work, t.work) == 0);
        }
    }
    assert_true(products > 0 || wilor_isa_best() == WILOR_ISA_C);
}

static void test_measure(void **state) {
    (void)state;
    for (int i = 0; i < wilor_kernel_count(); i++) {
        wilor_kernel_time t;
        wilor_error err;
        wilor_kernel_measure(i, 1, 0, &t, sizeof t, &err);
        if (t.isa != wilor_isa_best() || (t.isa == WILOR_ISA_C && t.dtype != WILOR_DTYPE_F32))
            continue;
        uint64_t start = wilor_clock_ns();
        assert_int_equal(wilor_kernel_measure(i, 1 + i % 2, 1e-3, &t, sizeof t, &err),
                         WILOR_OK);
        double most = (double)(wilor_clock_ns() - start) * 1e-6;
        assert_true(t.n >= 1 && t.threads == 1 + i % 2);
        assert_true(0 < t.min_ms && t.min_ms <= t.median_ms && t.median_ms <= t.p90_ms);
        assert_true(t.min_ms * t.n <= most);
        assert_true(t.gflop / t.min_ms < 1e3); /* below a petaflop: something was computed */
    }
}

static void test_errors(void **state) {
    (void)state;
    wilor_kernel_time t;
    wilor_error err;
    assert_int_equal(wilor_kernel_measure(-1, 1, 0, &t, sizeof t, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_kernel_measure(wilor_kernel_count(), 1, 0, &t, sizeof t, &err),
                     WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "kernel"));
    assert_true(t.kernel == NULL);
    assert_int_equal(wilor_kernel_measure(0, 1, -1, &t, sizeof t, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_kernel_measure(0, 1, (double)NAN, &t, sizeof t, &err),
                     WILOR_ERR_ARG);
    assert_int_equal(wilor_kernel_measure(0, 5000, 0.1, &t, sizeof t, &err), WILOR_ERR_LIMIT);

    assert_int_equal(wilor_kernel_measure(0, 1, 0, NULL, sizeof t, &err), WILOR_ERR_ARG);

    /* An older caller's shorter struct. */
    struct {
        const char *kernel;
        char behind;
    } old = {.behind = 77};

    assert_int_equal(wilor_kernel_measure(0, 1, 0, (wilor_kernel_time *)(void *)&old,
                                          sizeof old.kernel, &err),
                     WILOR_OK);
    assert_true(old.kernel && old.behind == 77);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list),
                                       cmocka_unit_test(test_measure),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests_name("kernel_times", tests, NULL, NULL);
}
