/* The peak probes: each gives figures, or says that it is not for this processor. No limits on time. */
#include "machine_facts.h"
#include "peak_probe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void probe(int index, int threads) {
    const wilor_probe *p = wilor_probe_at(index);
    wilor_probe_rate r;
    wilor_probe_status st = wilor_probe_run(index, threads, 0.01, &r);
    if (st == WILOR_PROBE_ABSENT) {
        assert_false(wilor_probe_here(index));
        assert_true(r.rate == 0);
        print_message("%s: not on this processor\n", p->name);
        return;
    }
    assert_int_equal(st, WILOR_PROBE_DONE);
    print_message("%s, %d threads: %.1f %s\n", p->name, threads, r.rate, p->unit);
    assert_true(isfinite(r.rate) && r.slowest > 0);
    assert_true(r.slowest <= r.fastest && r.fastest <= r.rate);
    assert_true(r.slowest * threads <= r.rate * 1.0001);
    assert_true(r.fastest * threads >= r.rate * 0.9999);
}

static void test_each(void **state) {
    (void)state;
    for (int i = 0; i < wilor_probe_count(); i++) {
        probe(i, 1);
        probe(i, 3);
    }
}

static void test_list(void **state) {
    (void)state;
    int n = wilor_probe_count();
    assert_true(n >= 1);
    assert_null(wilor_probe_at(-1));
    assert_null(wilor_probe_at(n));
    assert_false(wilor_probe_here(-1));
    assert_false(wilor_probe_here(n));
    assert_string_equal(wilor_probe_at(n - 1)->name, "memory");
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(wilor_probe_at(i)->name, wilor_probe_at(k)->name);
}

static void test_wrong_calls(void **state) {
    (void)state;
    wilor_probe_rate r = {1, 1, 1};
    assert_int_equal(wilor_probe_run(99, 1, 0.01, &r), WILOR_PROBE_ABSENT);
    assert_true(r.rate == 0);
    int memory = wilor_probe_count() - 1;
    assert_int_equal(wilor_probe_run(memory, 0, 0.01, &r), WILOR_PROBE_FAILED);
    assert_int_equal(wilor_probe_run(memory, 100000, 0.01, &r), WILOR_PROBE_FAILED);
}

/* The probe that a dtype is measured by is of its arithmetic, and is there. */
static void test_of_dtype(void **state) {
    (void)state;
    static const char *const names[] = {"f32", "f32x", "bf16", "int8", "int4"};
    for (int i = 0; i < 5; i++) {
        int index = wilor_probe_for(names[i]);
        if (index >= 0)
            assert_true(wilor_probe_here(index));
    }
    assert_int_equal(wilor_probe_for("f32"), wilor_probe_for("f32x"));
    assert_int_equal(wilor_probe_for("bf16"), wilor_probe_for("int4"));
    assert_int_equal(wilor_probe_for("f16"), -1);
    assert_int_equal(wilor_probe_for("memory"), -1);
    /* Kernels by name, by tier, and where there is no probe of theirs. */
    assert_int_equal(wilor_probe_for_kernel("f32", "c"), wilor_probe_for("f32"));
    assert_int_equal(wilor_probe_for_kernel("f32x amx", "amx"), wilor_probe_for("f32x"));
    assert_int_equal(wilor_probe_for_kernel("int8 c", "c"), wilor_probe_for("int8"));
    for (int i = 0; i < wilor_probe_count(); i++) {
        char kernel[64];
        snprintf(kernel, sizeof kernel, "%s", wilor_probe_at(i)->name);
        char *dash = strchr(kernel, '-');
        if (!dash || !wilor_probe_here(i))
            continue;
        if (strncmp(kernel, "f32", 3) == 0)
            assert_int_equal(wilor_probe_for_kernel("f32", dash + 1), i);
        *dash = ' ';
        assert_int_equal(wilor_probe_for_kernel(kernel, "c"), i);
    }
    if (wilor_probe_for("f32") >= 0) {
        assert_string_equal(wilor_probe_at(wilor_probe_for("f32"))->dtype, "f32");
        assert_true(wilor_probe_for("bf16") >= 0);
    }
}

static void test_facts(void **state) {
    (void)state;
    int cpus[4] = {-1, -1, -1, -1};
    char name[64] = "";
    wilor_machine_cpu(name, sizeof name);
    assert_true(name[0] != 0);
    int cores = wilor_machine_cores(cpus, 4);
    assert_true(cores <= wilor_machine_affinity());
    for (int i = 0; i < cores && i < 4; i++)
        assert_true(cpus[i] >= 0 && (i == 0 || cpus[i] > cpus[i - 1]));
    assert_true(wilor_machine_quota() >= 0);
    assert_true(wilor_machine_cache_bytes() > 0);
    assert_true(wilor_machine_build()[0] != 0);
}

static void test_quantiles(void **state) {
    (void)state;
    double q[3], one[] = {7}, four[] = {4, 1, 3, 2}, ten[] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
    wilor_machine_quantiles(one, 1, q);
    assert_true(q[0] == 7 && q[1] == 7 && q[2] == 7);
    wilor_machine_quantiles(four, 4, q);
    assert_true(q[0] == 1 && q[1] == 2.5 && q[2] == 4);
    wilor_machine_quantiles(ten, 10, q);
    assert_true(q[0] == 1 && q[1] == 5.5 && q[2] == 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),        cmocka_unit_test(test_each),
        cmocka_unit_test(test_wrong_calls), cmocka_unit_test(test_of_dtype),
        cmocka_unit_test(test_facts),       cmocka_unit_test(test_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
