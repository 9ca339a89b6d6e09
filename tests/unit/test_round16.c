/* Rounding to 16 bits: every value, every midpoint between neighbours and what lies beside it, and
 * many numbers against the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "round16.h"
#include "tensor_convert.h"
#include <math.h>
#include <string.h>

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* What is exact stays; between neighbours a and b the nearer, in the middle the even one. */
static void check_all(uint16_t round(float), float value(uint16_t), uint16_t infinity) {
    for (uint32_t n = 0; n < infinity; n++) {
        uint16_t a = (uint16_t)n, b = (uint16_t)(n + 1), even = n & 1 ? b : a;
        double low = value(a);
        /* Above the largest: where the next one would lie, if there were one. */
        double high = b == infinity ? 2 * low - value((uint16_t)(n - 1)) : value(b);
        double middle = (low + high) / 2;
        for (int sign = 0; sign < 2; sign++) {
            float s = sign ? -1.0f : 1.0f, m = (float)middle;
            uint16_t top = sign ? 0x8000 : 0;
            assert_int_equal(round(s * value(a)), top | a);
            assert_true((double)m == middle); /* one bit more than the type: float has it */
            assert_int_equal(round(s * m), top | even);
            assert_int_equal(round(s * float_of(bits_of(m) - 1)), top | a);
            assert_int_equal(round(s * float_of(bits_of(m) + 1)), top | b);
        }
    }
}

static void halves(void **state) {
    (void)state;
    check_all(wilor_f16_of_f32, wilor_f16_to_f32, 0x7C00);
    assert_int_equal(wilor_f16_of_f32(65519.996f), 0x7BFF);
    assert_int_equal(wilor_f16_of_f32(65520.0f), 0x7C00);
    assert_int_equal(wilor_f16_of_f32(3e38f), 0x7C00);
    assert_int_equal(wilor_f16_of_f32(-INFINITY), 0xFC00);
    assert_int_equal(wilor_f16_of_f32(1e-45f), 0);
    assert_int_equal(wilor_f16_of_f32(-1e-45f), 0x8000);
}

/* All finite halves in one go; then one number among them that is none, at any place of a run. */
static void rows_of_halves(void **state) {
    enum { FINITE = 0x7C00, ALL = 2 * FINITE };

    (void)state;
    static float x[ALL];
    static uint16_t bits[ALL];
    static const float none[] = {0x1p-25f, 65520.0f,     1.0f / 3, INFINITY,
                                 NAN,      0x1.001p-15f, 1e-45f};
    for (uint32_t i = 0; i < FINITE; i++) {
        x[i] = wilor_f16_to_f32((uint16_t)i);
        x[FINITE + i] = wilor_f16_to_f32((uint16_t)(i | 0x8000));
    }
    assert_true(wilor_f16_holds_all(x, ALL));
    assert_true(wilor_f16_holds_all(x, 0));
    wilor_f16_of_exact(x, ALL, bits);
    for (uint32_t i = 0; i < FINITE; i++) {
        assert_int_equal(bits[i], i);
        assert_int_equal(bits[FINITE + i], i | 0x8000);
    }
    /* A small one among others, at any place of a run and behind the last whole one. */
    for (size_t at = 0; at < 95; at++) {
        static float mixed[95];
        for (size_t i = 0; i < 95; i++)
            mixed[i] = i == at ? -0x1p-24f : 1.0f + (float)i;
        wilor_f16_of_exact(mixed, 95, bits);
        for (size_t i = 0; i < 95; i++)
            assert_int_equal(bits[i], wilor_f16_of_f32(mixed[i]));
    }
    for (size_t k = 0; k < sizeof none / sizeof none[0]; k++)
        for (size_t at = 1000; at < 1131; at++) {
            float kept = x[at];
            x[at] = none[k];
            assert_false(wilor_f16_holds_all(x + 1000, 131));
            assert_false(wilor_f16_holds_all(x + at, 1));
            x[at] = kept;
        }
}

static void brains(void **state) {
    (void)state;
    /* Midpoints of subnormals are exact, too: bfloat16's smallest is 2^-133, float's 2^-149. */
    check_all(wilor_bf16_of_f32, wilor_bf16_to_f32, 0x7F80);
    assert_int_equal(wilor_bf16_of_f32(float_of(0x7F7FFFFF)), 0x7F80);
    assert_int_equal(wilor_bf16_of_f32(-INFINITY), 0xFF80);
    assert_int_equal(wilor_bf16_of_f32(1e-45f), 0);
}

static void not_numbers(void **state) {
    static const uint32_t nans[] = {0x7FC00000, 0xFFC00000, 0x7F800001,
                                    0xFF800001, 0x7F801FFF, 0x7FFFFFFF};
    (void)state;
    for (size_t i = 0; i < sizeof nans / sizeof nans[0]; i++) {
        float x = float_of(nans[i]);
        uint16_t half = wilor_f16_of_f32(x), brain = wilor_bf16_of_f32(x);
        assert_true(isnan(wilor_f16_to_f32(half)) && isnan(wilor_bf16_to_f32(brain)));
        assert_int_equal(half >> 15, nans[i] >> 31);
        assert_int_equal(brain >> 15, nans[i] >> 31);
    }
}

/* There and back for every bit pattern. */
static void there_and_back(void **state) {
    (void)state;
    for (uint32_t n = 0; n < 0x10000; n++) {
        uint16_t bits = (uint16_t)n;
        if ((bits & 0x7FFF) <= 0x7C00)
            assert_int_equal(wilor_f16_of_f32(wilor_f16_to_f32(bits)), bits);
        if ((bits & 0x7FFF) <= 0x7F80)
            assert_int_equal(wilor_bf16_of_f32(wilor_bf16_to_f32(bits)), bits);
    }
}

static uint32_t g_seed = 12345;

static uint32_t random_bits(void) {
    g_seed = g_seed * 1664525u + 1013904223u;
    return g_seed ^ g_seed >> 15;
}

/* A half float holds x when rounding to it and back gives x. */
static void holds(void **state) {
    static const float far[] = {INFINITY, -INFINITY, NAN, 65536.0f, 3e38f, 1e-45f, 0x1p-25f};
    (void)state;
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++)
        assert_false(wilor_f16_holds(far[i]));
    for (uint32_t n = 0; n < 0x7C00; n++)
        for (uint32_t sign = 0; sign < 2; sign++) {
            float x = wilor_f16_to_f32((uint16_t)(n | sign << 15));
            assert_true(wilor_f16_holds(x));
            assert_false(wilor_f16_holds(float_of(bits_of(x) + 1)));
        }
    for (uint32_t n = 0; n < 1000000; n++) {
        float x = float_of(random_bits() & ~(uint32_t)0 << n % 24);
        float back = wilor_f16_to_f32(wilor_f16_of_f32(x));
        assert_int_equal(wilor_f16_holds(x), isfinite(x) && back == x);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves),         cmocka_unit_test(rows_of_halves),
        cmocka_unit_test(brains),         cmocka_unit_test(not_numbers),
        cmocka_unit_test(there_and_back), cmocka_unit_test(holds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
