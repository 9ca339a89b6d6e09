/* The tables of conv16.h against double arithmetic: small whole numbers exactly, others within an error
 * model; maps end at a guard page, what finish must not touch is checked, and whatever it is given it
 * writes finite numbers. Usage: test_conv16 TIER. WILOR_SEED sets the printed seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv16.h"
#include "guarded.h"

enum { RUN = WILOR_CONV16_RUN, DEPTH = WILOR_CONV16_DEPTH, SIDE = WILOR_CONV16_SIDE };

enum { TILE = WILOR_CONV16_TILE, MOST_PIECES = 18 };

static const wilor_conv16 *g_table;
static uint64_t g_state;

static uint64_t next_random(void) {
    g_state ^= g_state << 13;
    g_state ^= g_state >> 7;
    g_state ^= g_state << 17;
    return g_state;
}

static float uniform(void) { return (float)(next_random() >> 40) * 0x1p-23f - 1; }

static uint16_t number(bool whole) {
    return wilor_conv16_narrow(whole ? (float)(next_random() % 7) - 3
                                     : uniform() * ldexpf(1, (int)(next_random() % 9) - 4));
}

/* ---------------------------------------------------------------- multiply */

typedef struct shape {
    int runs, tiles, pieces, steps, step;
} shape;

/* The bytes of numbers whose last one stands before a guard page. */
static uint16_t *new_numbers(guarded *g, size_t count) {
    *g = guarded_alloc((count + 1) / 2);
    return (uint16_t *)(void *)g->data + count % 2;
}

static void expect_sums(const wilor_conv16_call *c, bool whole) {
    for (int r = 0; r < c->runs * RUN; r++)
        for (int o = 0; o < c->tiles * RUN; o++) {
            const uint16_t *a = c->a[r / RUN] + (size_t)(r % RUN) * c->step;
            double want = 0, size = 0;
            size_t group = (size_t)g_table->group;
            for (int p = 0; p < c->pieces; p++)
                for (size_t k = 0; k < c->steps * DEPTH; k++) {
                    size_t tile =
                        ((size_t)p * c->steps + k / DEPTH) * (size_t)c->tiles + (size_t)o / RUN;
                    double x = (double)wilor_conv16_widen(a[c->offset[p] + (ptrdiff_t)k]) *
                               (double)wilor_conv16_widen(
                                   c->b[tile * TILE + k % DEPTH / group * group * RUN +
                                        (size_t)(o % RUN) * group + k % group]);
                    want += x;
                    size += fabs(x);
                }
            /* Each addition rounds once, to 2^-24 of what is there. */
            double allowed =
                whole ? 0 : size * (double)c->pieces * (double)c->steps * DEPTH * 0x1p-24;
            double got = (double)c->sums[r * SIDE + o];
            if (!(fabs(got - want) <= allowed))
                fail_msg("%d runs, %d tiles, %d pieces of %zu steps: pixel %d, output %d is "
                         "%.9g, not %.9g (allowed %g)",
                         c->runs, c->tiles, c->pieces, c->steps, r, o, got, want, allowed);
        }
}

static void check_multiply(const shape *s, bool whole) {
    _Alignas(64) float sums[2 * RUN * SIDE];
    ptrdiff_t offset[MOST_PIECES];
    size_t run = (size_t)s->step * RUN, depth = (size_t)s->steps * DEPTH;
    /* Runs behind each other, pieces at any places; the last number of the last pixel is the last. */
    size_t far = 97;
    size_t a_count = (size_t)s->runs * run - (size_t)s->step + far + depth;
    size_t b_count = (size_t)s->pieces * (size_t)(s->steps * s->tiles) * TILE;
    guarded ga, gb = guarded_alloc(b_count / 2);
    uint16_t *a = new_numbers(&ga, a_count), *b = (uint16_t *)(void *)gb.data;
    for (size_t i = 0; i < a_count; i++)
        a[i] = number(whole);
    for (size_t i = 0; i < b_count; i++)
        b[i] = number(whole);
    for (int p = 0; p < s->pieces; p++)
        offset[p] = p == 0 ? (ptrdiff_t)far : (ptrdiff_t)(next_random() % (far + 1));
    wilor_conv16_call c = {.a = {a, s->runs == 2 ? a + run : a},
                           .runs = s->runs,
                           .step = (size_t)s->step,
                           .offset = offset,
                           .pieces = s->pieces,
                           .steps = (size_t)s->steps,
                           .b = b,
                           .tiles = s->tiles,
                           .sums = sums};
    if (g_table->begin)
        g_table->begin();
    g_table->multiply(&c);
    if (g_table->end)
        g_table->end();
    expect_sums(&c, whole);
    guarded_free(&ga);
    guarded_free(&gb);
}

static void test_multiply(void **state) {
    static const int pieces[] = {1, 2, 3, 9, 18}, steps[] = {1, 2, 5, 9};
    static const int pixels[] = {3, 6, 24, 48, 96, 129};
    (void)state;
    for (size_t i = 0; i < 5 * 4 * 6; i++)
        for (int few = 0; few < 4; few++) {
            shape s = {1 + few % 2, 1 + few / 2, pieces[i % 5], steps[i / 5 % 4],
                       pixels[i / 20]};
            check_multiply(&s, true);
            check_multiply(&s, false);
        }
}

/* ---------------------------------------------------------------- finish */

enum { LINE = 41, CANARY = 0x7FC1 }; /* no number that finish writes */

typedef struct finish_data {
    _Alignas(64) float sums[RUN * SIDE];
    float bias[SIDE];
    uint16_t added[RUN * LINE], out[RUN * LINE];
} finish_data;

static wilor_conv16_end end_of(finish_data *d, int rows, int cols, int kind) {
    for (size_t i = 0; i < RUN * LINE; i++) {
        d->added[i] = wilor_conv16_narrow(uniform() * 4);
        d->out[i] = CANARY;
    }
    for (int i = 0; i < RUN * SIDE; i++)
        d->sums[i] = uniform() * ldexpf(1, (int)(next_random() % 12) - 4);
    for (int i = 0; i < SIDE; i++)
        d->bias[i] = uniform();
    return (wilor_conv16_end){.sums = d->sums,
                              .rows = rows,
                              .cols = cols,
                              .bias = d->bias,
                              .silu = kind & 1,
                              .added = kind & 2 ? d->added : NULL,
                              .lda = LINE,
                              .out = d->out,
                              .ldo = LINE};
}

static void expect_finished(const finish_data *d, const wilor_conv16_end *e) {
    for (int r = 0; r < RUN; r++)
        for (int c = 0; c < LINE; c++) {
            uint16_t bits = d->out[r * LINE + c];
            if (r >= e->rows || c >= e->cols) {
                if (bits != CANARY)
                    fail_msg("%d x %d: row %d, column %d was written", e->rows, e->cols, r, c);
                continue;
            }
            double x = (double)(d->sums[r * SIDE + c] + d->bias[c]);
            x = e->silu ? x / (1 + exp(-x)) : x;
            double added = e->added ? (double)wilor_conv16_widen(d->added[r * LINE + c]) : 0;
            /* The activation to 2^-12 and an addition, then the rounding to eight bits (2^-8); e^-x may
             * be infinite where the result is below 2^-119. */
            double allowed =
                fabs(x) * 0x1p-12 + fabs(x + added) * (0x1p-8 + 0x1p-20) + 0x1p-119;
            double got = (double)wilor_conv16_widen(bits);
            if (!(fabs(got - (x + added)) <= allowed))
                fail_msg("%d x %d, silu %d, added %d: row %d, column %d is %g, not %g", e->rows,
                         e->cols, e->silu, e->added != NULL, r, c, got, x + added);
        }
}

static void test_finish(void **state) {
    static finish_data d;
    (void)state;
    for (int rows = 1; rows <= RUN; rows++)
        for (int cols = 1; cols <= SIDE; cols++)
            for (int kind = 0; kind < 4; kind++) {
                wilor_conv16_end e = end_of(&d, rows, cols, kind);
                g_table->finish(&e);
                expect_finished(&d, &e);
            }
}

/* What stands behind a piece is multiplied by zero: it may be no infinity, whatever the sums were. */
static void test_finite(void **state) {
    static finish_data d;
    static const float odd[] = {INFINITY, -INFINITY, NAN, 3.4e38f, -3.4e38f, 1e-40f, -200, 200};
    (void)state;
    for (int cols = 15; cols <= SIDE; cols++)
        for (int kind = 0; kind < 4; kind++) {
            wilor_conv16_end e = end_of(&d, RUN, cols, kind);
            for (int i = 0; i < RUN * SIDE; i++)
                d.sums[i] = odd[(size_t)i * 5 / 3 % 8];
            g_table->finish(&e);
            for (int r = 0; r < RUN; r++)
                for (int c = 0; c < cols; c++)
                    if (!isfinite(wilor_conv16_widen(d.out[r * LINE + c])))
                        fail_msg("kind %d: a sum of %g becomes %g", kind,
                                 (double)d.sums[r * SIDE + c],
                                 (double)wilor_conv16_widen(d.out[r * LINE + c]));
        }
}

/* All eight bits' roundings. */
static void test_narrow(void **state) {
    (void)state;
    assert_int_equal(wilor_conv16_narrow(1.0f), 0x3F80);
    assert_int_equal(wilor_conv16_narrow(1.00390625f), 0x3F80); /* ties to even */
    assert_int_equal(wilor_conv16_narrow(1.01171875f), 0x3F82);
    assert_int_equal(wilor_conv16_narrow(255), 0x437F);
    assert_int_equal(wilor_conv16_narrow(INFINITY), 0x7F7F);
    assert_int_equal(wilor_conv16_narrow(-3.4e38f), 0xFF7F);
    for (unsigned i = 0; i < 0x7F80; i++)
        assert_int_equal(wilor_conv16_narrow(wilor_conv16_widen((uint16_t)i)), i);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiply),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_finite),
        cmocka_unit_test(test_narrow),
    };
    const char *seed = getenv("WILOR_SEED");
    if (argc != 2) {
        fprintf(stderr, "usage: %s TIER\n", argv[0]);
        return 2;
    }
    for (int i = WILOR_ISA_C; i <= WILOR_ISA_NEON; i++) {
        const wilor_kernels *t = strcmp(argv[1], wilor_isa_name((wilor_isa)i)) == 0
                                     ? wilor_kernels_get((wilor_isa)i)
                                     : NULL;
        g_table = t ? wilor_conv16_get(t) : g_table;
    }
    if (!g_table) {
        printf("skipped: this machine has no bfloat16 convolutions of tier %s\n", argv[1]);
        return 77;
    }
    g_state = seed ? strtoull(seed, NULL, 0) : 0x9E3779B97F4A7C15u;
    printf("%s, seed %#llx\n", g_table->name, (unsigned long long)g_state);
    return cmocka_run_group_tests_name("conv16", tests, NULL, NULL);
}
