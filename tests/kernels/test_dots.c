/* Every table of dot.h with one name against double arithmetic: INT8 bit for bit against the contract's
 * formula (so that tables which keep 8 bits agree with each other), small whole numbers exactly, the rest
 * within an error model of the arithmetic; arrays end at guard pages, what must stay untouched is
 * checked. Usage: test_dots NAME [--bench | TEST], NAME as in wilor_dot.name with _ for spaces, or "all";
 * TEST: only the tests of that name (cmocka's pattern). The seed is printed; WILOR_SEED sets it. --bench times the kernels instead, in thread CPU time. */
#include "dot.h"
#include "guarded.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MOST = 24, CANARY = 16 };

static const wilor_dot *g_tables[MOST];
static int g_count;
static uint64_t g_state;

static uint64_t next_random(void) {
    g_state ^= g_state << 13;
    g_state ^= g_state >> 7;
    g_state ^= g_state << 17;
    return g_state;
}

static float uniform(float low, float high) {
    return low + (high - low) * (float)(next_random() >> 40) * 0x1p-24f;
}

static float noise(void) { return uniform(-1, 1) + uniform(-1, 1) + uniform(-1, 1); }

static int any_of(int from, int to) {
    return from + (int)(next_random() % (uint64_t)(to - from + 1));
}

/* ---------------------------------------------------------------- data */

typedef enum data_kind {
    WHOLE, /* small whole numbers, or for INT8 all of them, with a largest that makes the scale 1 */
    RANDOM,  /* rows and columns of many sizes */
    EXTREME, /* largest magnitudes only: pairs and sums at their limits */
    SPARSE,  /* rows and columns of zeros, and of numbers too small to have a reciprocal */
    OUTLIER, /* a few channels a hundred times the others */
    KINDS
} data_kind;

static const char *const g_kinds[KINDS] = {"whole", "random", "extreme", "sparse", "outlier"};

/* The largest whole number of a weight: eight bits but for the one table that says so. */
static float levels(const wilor_dot *d) { return strcmp(d->name, "int8 avx2") == 0 ? 63 : 127; }

/* Number i of line (row or column) n; top is 127 or the weights' limit. */
static float element(const wilor_dot *d, data_kind kind, size_t n, size_t i, float top) {
    bool int8 = d->arith == WILOR_ARITH_INT8;
    switch (kind) {
    case WHOLE:
        return !int8 ? (float)any_of(-3, 3) : i == 0 ? top : (float)any_of(-(int)top, (int)top);
    case EXTREME:
        top = int8 ? top : 3;
        return n % 4 == 0   ? top
               : n % 4 == 1 ? -top
               : n % 4 == 2 ? (i & 1 ? top : -top)
                            : (next_random() & 1 ? top : -top);
    case SPARSE:
        return n % 3 == 0 ? 0 : n % 3 == 1 && int8 ? noise() * 1e-39f : noise();
    case OUTLIER:
        return noise() * (i % 97 == 5 ? 100 : 1);
    default:
        return noise() * ldexpf(1, (int)(n % 13) - 6);
    }
}

typedef struct problem {
    const wilor_dot *d;
    data_kind kind;
    int rows, cols;
    size_t k, ld;
    guarded a, w; /* rows × ld, cols × k */
    float top[64];
    guarded a_map, b_map;
    void *pa, *pb;
    double *want, *allowed; /* of what the table has to add up, [mr][nr] */
    double *raw;            /* of the numbers themselves */
    double *raw_allowed;
} problem;

/* A panel that ends at a guard page and begins behind a canary. */
static void *panel_alloc(guarded *map, size_t bytes) {
    assert_true(bytes % 64 == 0);
    *map = guarded_alloc(bytes / sizeof(float) + CANARY);
    memset(map->data + CANARY, 0, bytes);
    return map->data + CANARY;
}

static void canary_check(const guarded *map) {
    for (int i = 0; i < CANARY; i++)
        assert_true(map->data[i] == GUARDED_PATTERN);
}

static void begin(const wilor_dot *d) {
    if (d->begin)
        d->begin();
}

static void end(const wilor_dot *d) {
    if (d->end)
        d->end();
}

static void put_whole(const problem *p, void *panel) {
    p->d->put_a(p->d, p->a.data, p->ld, p->d->tops ? p->top : NULL, 0, p->rows, 0, p->k, p->k,
                panel);
}

static float narrow(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A scale or bias. Halves are normal numbers or denormal ones, never an infinity. */
static float factor_of(const char *from, wilor_panel_type type, size_t at) {
    float x;
    uint16_t half;
    memcpy(&x, from + at * sizeof x * (type == WILOR_PANEL_F32), sizeof x);
    memcpy(&half, from + at * sizeof half * (type == WILOR_PANEL_F16), sizeof half);
    if (type == WILOR_PANEL_F32)
        return x;
    int power = half >> 10 & 31, digits = half & 1023;
    x = power ? ldexpf((float)(1024 + digits), power - 25) : ldexpf((float)digits, -24);
    return half & 0x8000 ? -x : x;
}

static float top_of(const float *x, size_t k) {
    float top = 0;
    for (size_t i = 0; i < k; i++)
        top = fmaxf(top, fabsf(x[i]));
    return top;
}

static int quantised(float x, float top, float most) {
    float steps = top > 0 ? rintf(x * (most / top)) : 0;
    return fabsf(steps) <= 127 ? (int)steps : 0;
}

static void reference_int8(problem *p, size_t r, size_t c) {
    const float *a = p->a.data + r * p->ld, *w = p->w.data + c * p->k;
    float most = levels(p->d), ta = top_of(a, p->k), tw = top_of(w, p->k);
    size_t at = r * (size_t)p->d->nr + c;
    int64_t sum = 0;
    double slack = 0;
    for (size_t i = 0; i < p->k; i++) {
        sum += quantised(a[i], ta, 127) * quantised(w[i], tw, most);
        slack += fabs((double)a[i]) * tw / most + fabs((double)w[i]) * ta / 127;
    }
    assert_true(llabs((long long)sum) <= INT32_MAX);
    p->want[at] = (float)(int)sum * (ta / 127.0f * (tw / most));
    p->allowed[at] = 0;
    /* Half a step on either side, and 1/4 of both steps. */
    p->raw_allowed[at] =
        0.51 * slack + 0.26 * (double)p->k * (ta / 127.0) * (tw / most) + 1e-30;
}

/* Rounding of k sums; BF16: of its operands in raw_allowed alone; F32X: of the parts left out. */
static void reference_float(problem *p, size_t r, size_t c) {
    const float *a = p->a.data + r * p->ld, *w = p->w.data + c * p->k;
    bool bf16 = p->d->arith == WILOR_ARITH_BF16, exact = p->kind == WHOLE || p->kind == EXTREME;
    size_t at = r * (size_t)p->d->nr + c;
    double sum = 0, size = 0;
    for (size_t i = 0; i < p->k; i++) {
        double v = bf16 ? (double)narrow(a[i]) * narrow(w[i]) : (double)a[i] * w[i];
        sum += v;
        size += fabs(v);
    }
    p->want[at] = sum;
    p->allowed[at] = exact ? 0 : size * FLT_EPSILON * (2 + sqrt((double)p->k)) + 1e-36;
    p->raw_allowed[at] = p->allowed[at] + (bf16 ? size * 0x1.02p-8 : 0);
}

static void refer(problem *p) {
    for (size_t r = 0; r < (size_t)p->rows; r++)
        for (size_t c = 0; c < (size_t)p->cols; c++) {
            const float *a = p->a.data + r * p->ld, *w = p->w.data + c * p->k;
            double sum = 0;
            for (size_t i = 0; i < p->k; i++)
                sum += (double)a[i] * w[i];
            p->raw[r * (size_t)p->d->nr + c] = sum;
            if (p->d->arith == WILOR_ARITH_INT8)
                reference_int8(p, r, c);
            else
                reference_float(p, r, c);
        }
}

static void pack(problem *p) {
    const wilor_dot *d = p->d;
    if (d->tops)
        d->tops(p->a.data, p->ld, p->rows, p->k, p->top);
    put_whole(p, p->pa);
    d->pack_b(d, p->w.data, p->k, 1, p->cols, p->k, p->pb);
}

static problem make(const wilor_dot *d, data_kind kind, int rows, int cols, size_t k) {
    problem p = {.d = d, .kind = kind, .rows = rows, .cols = cols, .k = k, .ld = k + 3};
    size_t n = (size_t)d->mr * (size_t)d->nr;
    p.a = guarded_alloc((size_t)(rows - 1) * p.ld + k);
    p.w = guarded_alloc((size_t)cols * k);
    p.pa = panel_alloc(&p.a_map, d->a_bytes(d, k));
    p.pb = panel_alloc(&p.b_map, d->b_bytes(d, k));
    for (size_t r = 0; r < (size_t)rows; r++)
        for (size_t i = 0; i < k; i++)
            p.a.data[r * p.ld + i] = element(d, kind, r, i, 127);
    for (size_t c = 0; c < (size_t)cols; c++)
        for (size_t i = 0; i < k; i++)
            p.w.data[c * k + i] = element(d, kind, c, i, levels(d));
    p.want = calloc(4 * n, sizeof *p.want);
    assert_non_null(p.want);
    p.allowed = p.want + n;
    p.raw = p.want + 2 * n;
    p.raw_allowed = p.want + 3 * n;
    refer(&p);
    pack(&p);
    return p;
}

static void unmake(problem *p) {
    canary_check(&p->a_map);
    canary_check(&p->b_map);
    guarded_free(&p->a);
    guarded_free(&p->w);
    guarded_free(&p->a_map);
    guarded_free(&p->b_map);
    free(p->want);
}

/* ---------------------------------------------------------------- gemm */

typedef struct tile {
    guarded map;
    float *data; /* 64-byte aligned */
    size_t ldt, used;
} tile;

static tile tile_alloc(const wilor_dot *d, size_t ldt, float value) {
    size_t used = (size_t)(d->mr - 1) * ldt + (size_t)d->nr, room = (used + 15) / 16 * 16;
    tile t = {.map = guarded_alloc(room + CANARY), .ldt = ldt, .used = used};
    t.data = t.map.data + CANARY;
    for (int r = 0; r < d->mr; r++)
        for (int c = 0; c < d->nr; c++)
            t.data[(size_t)r * ldt + (size_t)c] = value;
    return t;
}

/* Nothing before, between and behind the rows was written. */
static void tile_free(const wilor_dot *d, tile *t) {
    canary_check(&t->map);
    for (size_t i = 0; i < (t->used + 15) / 16 * 16; i++)
        if (i >= t->used || i % t->ldt >= (size_t)d->nr)
            assert_true(t->data[i] == GUARDED_PATTERN);
    guarded_free(&t->map);
}

static wilor_dot_call call_of(const problem *p, const tile *t, int rows, int cols, bool add) {
    bool int8 = p->d->arith == WILOR_ARITH_INT8;
    return (wilor_dot_call){.a = p->pa,
                            .b = p->pb,
                            .a_scale = int8 ? wilor_dot_a_scales(p->d, p->pa, p->k) : NULL,
                            .b_scale = int8 ? wilor_dot_b_scales(p->d, p->pb, p->k) : NULL,
                            .b_sum = int8 ? wilor_dot_b_sums(p->d, p->pb, p->k) : NULL,
                            .k = p->k,
                            .rows = rows,
                            .cols = cols,
                            .add = add,
                            .tile = t->data,
                            .ldt = t->ldt};
}

static void check(const problem *p, const tile *t, int rows, int cols, bool add, float before) {
    for (size_t r = 0; r < (size_t)rows; r++)
        for (size_t c = 0; c < (size_t)cols; c++) {
            size_t at = r * (size_t)p->d->nr + c;
            double want = p->want[at], allowed = p->allowed[at];
            float got = t->data[r * t->ldt + c];
            if (add && p->d->arith == WILOR_ARITH_INT8)
                want = before + (float)want;
            else if (add) {
                want += (double)before;
                allowed += allowed > 0 ? fabs(want) * FLT_EPSILON : 0;
            }
            if (!(fabs(got - want) <= allowed))
                fail_msg("%s, %s, k %zu, %d x %d, add %d, ldt %zu: row %zu, column %zu "
                         "is %.9g, expected %.9g within %.2g",
                         p->d->name, g_kinds[p->kind], p->k, rows, cols, add, t->ldt, r, c,
                         (double)got, want, allowed);
        }
}

/* One call; `same`, unless NULL, is what the whole tile's first call gave: the same bits. */
static void gemm_case(const problem *p, int rows, int cols, bool add, size_t ldt,
                      const float *same) {
    const wilor_dot *d = p->d;
    float before = add ? 3.0f : NAN;
    tile t = tile_alloc(d, ldt, before);
    wilor_dot_call c = call_of(p, &t, rows, cols, add);
    /* Prefetches fault nowhere: as many as there are, or none. */
    c.next = any_of(0, 1) ? (const char *)p->w.data : NULL;
    c.next_bytes = (size_t)any_of(0, 20000);
    d->gemm(d, &c);
    check(p, &t, rows, cols, add, before);
    for (int r = 0; same && !add && r < rows; r++)
        assert_memory_equal(t.data + (size_t)r * ldt, same + r * d->nr,
                            (size_t)cols * sizeof(float));
    tile_free(d, &t);
}

/* Whether a part of n of `most` rows or columns is tried. Where instructions are emulated, long sums
 * are made for the parts around a register's or a tile's end only. */
static bool is_tried(int n, int most, size_t k) {
#if defined(WILOR_EMULATE_X86)
    if (k > 96)
        return n == 1 || n == 16 || n == 17 || n == most;
#endif
    (void)k;
    return n <= most;
}

/* Every part of a tile of a whole panel, by all ways to ask for it. */
static void all_parts(const problem *p) {
    const wilor_dot *d = p->d;
    size_t nr = (size_t)d->nr;
    tile full = tile_alloc(d, nr, NAN);
    wilor_dot_call c = call_of(p, &full, d->mr, d->nr, false);
    d->gemm(d, &c);
    for (int rows = 1; rows <= p->rows; rows++)
        for (int cols = 1; cols <= p->cols; cols++)
            for (int add = 0; add < 2; add++) {
                if (!is_tried(rows, p->rows, p->k) || !is_tried(cols, p->cols, p->k))
                    continue;
                gemm_case(p, rows, cols, add, nr, full.data);
                if (d->any_ldt)
                    gemm_case(p, rows, cols, add, nr + (cols % 2 ? 5 : 16), full.data);
            }
    tile_free(d, &full);
}

static const size_t g_ks[] = {1,  2,  3,  7,  8,  9,  15,  16,  17,   31,  32,
                              33, 63, 64, 65, 80, 96, 128, 320, 1280, 5120};

static void test_gemm(void **state) {
    (void)state;
    for (int t = 0; t < g_count; t++)
        for (size_t i = 0; i < sizeof g_ks / sizeof g_ks[0]; i++)
            for (int kind = WHOLE; kind <= EXTREME; kind++) {
                const wilor_dot *d = g_tables[t];
                problem p = make(d, kind, d->mr, d->nr, g_ks[i]);
                begin(d);
                all_parts(&p);
                end(d);
                unmake(&p);
            }
}

/* Panels of fewer rows and columns than they have room for. */
static void test_gemm_edges(void **state) {
    (void)state;
    static const size_t ks[] = {1, 3, 8, 33, 80, 1280};
    for (int t = 0; t < g_count; t++)
        for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++)
            for (int n = 1; n <= g_tables[t]->mr + g_tables[t]->nr; n++) {
                const wilor_dot *d = g_tables[t];
                int rows = n <= d->mr ? n : any_of(1, d->mr);
                int cols = n <= d->mr ? any_of(1, d->nr) : n - d->mr;
                problem p = make(d, n % KINDS, rows, cols, ks[i]);
                begin(d);
                gemm_case(&p, rows, cols, n & 1, (size_t)d->nr, NULL);
                end(d);
                unmake(&p);
            }
}

/* How far from the product of the numbers that came in. */
static void test_gemm_raw(void **state) {
    (void)state;
    static const data_kind kinds[] = {RANDOM, SPARSE, OUTLIER};
    for (int t = 0; t < g_count; t++)
        for (int i = 0; i < 3; i++) {
            const wilor_dot *d = g_tables[t];
            problem p = make(d, kinds[i], d->mr, d->nr, 1280);
            size_t n = (size_t)d->mr * (size_t)d->nr;
            memcpy(p.want, p.raw, n * sizeof *p.want);
            memcpy(p.allowed, p.raw_allowed, n * sizeof *p.want);
            begin(d);
            gemm_case(&p, d->mr, d->nr, false, (size_t)d->nr, NULL);
            end(d);
            unmake(&p);
        }
}

/* What is no number spoils its own row or column and nothing else. */
static void special_case(const wilor_dot *d, size_t at, float value, bool in_w) {
    problem p = make(d, RANDOM, d->mr, d->nr, 80);
    tile clean = tile_alloc(d, (size_t)d->nr, 0), t = tile_alloc(d, (size_t)d->nr, 0);
    wilor_dot_call c = call_of(&p, &clean, d->mr, d->nr, false);
    begin(d);
    d->gemm(d, &c);
    if (in_w)
        p.w.data[2 * p.k + at] = value;
    else
        p.a.data[2 * p.ld + at] = value;
    pack(&p);
    c.tile = t.data;
    d->gemm(d, &c);
    end(d);
    for (int i = 0; i < d->mr * d->nr; i++) {
        bool spoilt = (in_w ? i % d->nr : i / d->nr) == 2;
        if (spoilt ? isfinite(t.data[i]) : t.data[i] != clean.data[i])
            fail_msg("%s: %g at %zu of %s 2: element %d is %g", d->name, (double)value, at,
                     in_w ? "column" : "row", i, (double)t.data[i]);
    }
    tile_free(d, &clean);
    tile_free(d, &t);
    unmake(&p);
}

static void test_special(void **state) {
    (void)state;
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (int t = 0; t < g_count; t++)
        for (size_t at = 0; at < 80; at++)
            for (int i = 0; i < 3; i++) {
                special_case(g_tables[t], at, values[i], false);
                special_case(g_tables[t], at, values[i], true);
            }
}

/* ---------------------------------------------------------------- packing */

/* A panel put by several hands has the same bytes. */
static void put_parts(problem *p) {
    const wilor_dot *d = p->d;
    guarded map;
    void *panel = panel_alloc(&map, d->a_bytes(d, p->k));
    for (int row = 0, rows; row < p->rows; row += rows) {
        rows = d->row_step * any_of(1, 3);
        rows = rows < p->rows - row ? rows : p->rows - row;
        for (size_t col = 0, cols; col < p->k; col += cols) {
            cols = 8 * (size_t)any_of(1, 12);
            cols = cols < p->k - col ? cols : p->k - col;
            d->put_a(d, p->a.data + (size_t)row * p->ld + col, p->ld,
                     d->tops ? p->top + row : NULL, row, rows, col, cols, p->k, panel);
        }
    }
    if (memcmp(panel, p->pa, d->a_bytes(d, p->k)) != 0)
        fail_msg("%s, %d rows, k %zu: parts and the whole differ", d->name, p->rows, p->k);
    canary_check(&map);
    guarded_free(&map);
}

static void test_put_parts(void **state) {
    (void)state;
    for (int t = 0; t < g_count; t++)
        for (int rows = 1; rows <= g_tables[t]->mr; rows++)
            for (size_t i = 0; i < sizeof g_ks / sizeof g_ks[0]; i++) {
                problem p = make(g_tables[t], g_ks[i] % KINDS, rows, 1, g_ks[i]);
                for (int again = 0; again < 3; again++)
                    put_parts(&p);
                unmake(&p);
            }
}

/* Rows of weights and columns of them give the same bytes, however far apart. */
static void pack_b_case(problem *p, size_t ldc, size_t ldk) {
    const wilor_dot *d = p->d;
    guarded map, w = guarded_alloc((size_t)(p->cols - 1) * ldc + (p->k - 1) * ldk + 1);
    void *panel = panel_alloc(&map, d->b_bytes(d, p->k));
    for (size_t c = 0; c < (size_t)p->cols; c++)
        for (size_t i = 0; i < p->k; i++)
            w.data[c * ldc + i * ldk] = p->w.data[c * p->k + i];
    d->pack_b(d, w.data, ldc, ldk, p->cols, p->k, panel);
    if (memcmp(panel, p->pb, d->b_bytes(d, p->k)) != 0)
        fail_msg("%s, %d columns, k %zu, ldc %zu, ldk %zu: other bytes", d->name, p->cols, p->k,
                 ldc, ldk);
    canary_check(&map);
    guarded_free(&map);
    guarded_free(&w);
}

static void test_pack_b(void **state) {
    (void)state;
    for (int t = 0; t < g_count; t++)
        for (int cols = 1; cols <= g_tables[t]->nr; cols++)
            for (size_t i = 0; i < sizeof g_ks / sizeof g_ks[0]; i++) {
                if (g_ks[i] > 320 && cols % 8 > 1)
                    continue;
                problem p = make(g_tables[t], g_ks[i] % KINDS, 1, cols, g_ks[i]);
                pack_b_case(&p, 1, (size_t)p.d->nr);
                pack_b_case(&p, p.k + 5, 1);
                pack_b_case(&p, 1, (size_t)p.d->nr + 3);
                unmake(&p);
            }
}

/* 4-bit weights straight to a panel, and by way of float32: the same bytes. */
static void pack_u4_case(const wilor_dot *d, size_t k, size_t group, wilor_panel_type type) {
    size_t nr = (size_t)d->nr, groups = k / group, each = type == WILOR_PANEL_F16 ? 2 : 4;
    guarded q = guarded_alloc(k / 2 * nr / 4), factors[2], want, got, wide;
    wide = guarded_alloc(k * nr);
    float *row = calloc(2 * nr, sizeof *row);
    assert_non_null(row);
    for (size_t i = 0; i < k / 2 * nr; i++) {
        /* Columns of all numbers, of few, and of one. */
        unsigned n = (unsigned)(next_random() >> 32);
        ((uint8_t *)q.data)[i] = (uint8_t)(i % 5 == 0 ? n : i % 5 == 1 ? n & 0x33 : n | 0x88);
    }
    for (int f = 0; f < 2; f++) {
        factors[f] = guarded_alloc(groups * nr * each / 4);
        for (size_t i = 0; i < groups * nr; i++) {
            float x = noise() * ldexpf(1, any_of(-8, 3)) * (i % nr % 7 == 3 ? 0 : 1);
            uint16_t half = (uint16_t)(next_random() % 0x7C00 | (next_random() & 0x8000));
            memcpy((char *)factors[f].data + i * each,
                   type == WILOR_PANEL_F16 ? (const void *)&half : (const void *)&x, each);
        }
    }
    /* Sums that are zero but for the rounding of the product. */
    for (size_t i = 0; type == WILOR_PANEL_F32 && i < groups * nr; i++)
        if (i % nr % 7 == 5)
            factors[1].data[i] = -11 * factors[0].data[i];
    wilor_u4_steps w = {.q = (const uint8_t *)q.data,
                        .scales = (const uint8_t *)factors[0].data,
                        .biases = (const uint8_t *)factors[1].data,
                        .scale_type = type,
                        .group = group};
    for (size_t g = 0; g < groups; g++) {
        for (int f = 0; f < 2; f++)
            for (size_t c = 0; c < nr; c++)
                row[(size_t)f * nr + c] =
                    factor_of((const char *)factors[f].data, type, g * nr + c);
        for (size_t i = g * group; i < (g + 1) * group; i++)
            for (size_t c = 0; c < nr; c++) {
                int n = w.q[i / 2 * nr + c] >> i % 2 * 4 & 15;
                wide.data[i * nr + c] = row[c] * (float)n + row[nr + c];
            }
    }
    void *a = panel_alloc(&want, d->b_bytes(d, k)), *b = panel_alloc(&got, d->b_bytes(d, k));
    d->pack_b(d, wide.data, 1, nr, d->nr, k, a);
    d->pack_u4(d, &w, k, b);
    for (size_t i = 0; i < d->b_bytes(d, k); i++)
        if (((uint8_t *)a)[i] != ((uint8_t *)b)[i])
            fail_msg(
                "%s: 4 bits, k %zu, groups of %zu, scales of %zu bytes: byte %zu of %zu is "
                "%d, not %d",
                d->name, k, group, each, i, d->b_numbers(d, k), ((uint8_t *)b)[i],
                ((uint8_t *)a)[i]);
    canary_check(&got);
    guarded *const all[] = {&q, &factors[0], &factors[1], &want, &got, &wide};
    for (int i = 0; i < 6; i++)
        guarded_free(all[i]);
    free(row);
}

static void test_pack_u4(void **state) {
    (void)state;
    static const size_t groups[] = {4, 8, 32, 64, 128}, counts[] = {1, 2, 3, 5, 10, 20};
    for (int t = 0; t < g_count; t++)
        for (size_t g = 0; g < 5 && g_tables[t]->pack_u4; g++)
            for (size_t n = 0; n < 6; n++)
                for (int half = 0; half < 2; half++)
                    pack_u4_case(g_tables[t], counts[n] * groups[g], groups[g],
                                 half ? WILOR_PANEL_F16 : WILOR_PANEL_F32);
}

static void tops_case(const wilor_dot *d, size_t k) {
    enum { ROWS = 3 };

    float top[ROWS + 1];
    guarded x = guarded_alloc((ROWS - 1) * (k + 2) + k);
    for (size_t i = 0; i < (ROWS - 1) * (k + 2) + k; i++)
        x.data[i] = noise();
    top[ROWS] = GUARDED_PATTERN;
    d->tops(x.data, k + 2, ROWS, k, top);
    for (size_t r = 0; r < ROWS; r++)
        assert_true(top[r] == top_of(x.data + r * (k + 2), k));
    for (size_t i = 0; i<k; i += k> 320 ? 37 : 1) {
        float *at = x.data + (k + 2) + i, kept = *at;
        *at = i % 2 ? NAN : -NAN;
        d->tops(x.data, k + 2, ROWS, k, top);
        assert_true(!isnan(top[0]) && isnan(top[1]) && !isnan(top[2]));
        *at = -INFINITY;
        d->tops(x.data, k + 2, ROWS, k, top);
        assert_true(isinf(top[1]) && top[1] > 0 && isfinite(top[2]));
        *at = kept;
    }
    assert_true(top[ROWS] == GUARDED_PATTERN);
    guarded_free(&x);
}

static void test_tops(void **state) {
    (void)state;
    for (int t = 0; t < g_count; t++) {
        assert_true(!g_tables[t]->tops == (g_tables[t]->arith != WILOR_ARITH_INT8));
        for (size_t i = 0; g_tables[t]->tops && i < sizeof g_ks / sizeof g_ks[0]; i++)
            tops_case(g_tables[t], g_ks[i]);
    }
}

static void test_sizes(void **state) {
    (void)state;
    for (int t = 0; t < g_count; t++) {
        const wilor_dot *d = g_tables[t];
        size_t scales = d->arith == WILOR_ARITH_INT8 ? sizeof(float) : 0;
        assert_int_equal(d->nr, d->kernels->nr);
        assert_true(d->row_step >= 1 && d->mr % d->row_step == 0 && d->chunk >= 1);
        assert_true(d->slices >= 1);
        for (size_t k = 1; k < 200; k++) {
            assert_true(d->a_bytes(d, k) % 64 == 0 && d->b_bytes(d, k) % 64 == 0);
            assert_true(d->a_numbers(d, k) + (size_t)d->mr * scales <= d->a_bytes(d, k));
            assert_true(d->b_numbers(d, k) + 2 * (size_t)d->nr * scales <= d->b_bytes(d, k));
        }
    }
}

/* ---------------------------------------------------------------- attention */

static double attended(const wilor_dot_attention *a, size_t query, size_t column) {
    double top = -INFINITY, sum = 0, out = 0;
    double *s = malloc((size_t)a->keys * sizeof *s);
    assert_non_null(s);
    for (size_t i = 0; i < (size_t)a->keys; i++) {
        s[i] = 0;
        for (size_t j = 0; j < (size_t)a->head_dim; j++)
            s[i] += (double)a->q[query * a->ldq + j] * a->k[i * a->ldkv + j];
        top = fmax(top, s[i] *= (double)a->scale);
    }
    for (size_t i = 0; i < (size_t)a->keys; i++) {
        sum += exp(s[i] - top);
        out += exp(s[i] - top) * a->v[i * a->ldkv + column];
    }
    free(s);
    return out / sum;
}

/* Scores are sums of head_dim products of numbers up to 3, three roundings a weight. */
static void attend_case(const wilor_dot *d, int queries, int keys, int head_dim) {
    size_t dim = (size_t)head_dim, ld = dim + 3, last = dim;
    guarded q = guarded_alloc((size_t)(queries - 1) * ld + last);
    guarded k = guarded_alloc((size_t)(keys - 1) * ld + last);
    guarded v = guarded_alloc((size_t)(keys - 1) * ld + last);
    guarded out = guarded_alloc((size_t)(queries - 1) * ld + last);
    guarded scratch = guarded_alloc((d->attend_bytes(keys, head_dim) + 63) / 64 * 16);
    guarded *const in[] = {&q, &k, &v};
    for (int i = 0; i < 3; i++)
        for (size_t j = 0; j < (size_t)((i ? keys : queries) - 1) * ld + last; j++)
            in[i]->data[j] = noise();
    wilor_dot_attention a = {q.data, k.data,   v.data,     ld,       ld, queries,
                             keys,   head_dim, 0.1118034f, out.data, ld, scratch.data};
    begin(d);
    d->attend(d, &a);
    end(d);
    double allowed = d->arith == WILOR_ARITH_BF16 || d->arith == WILOR_ARITH_INT8 ? 3e-2 : 1e-5;
    for (size_t r = 0; r < (size_t)queries; r++)
        for (size_t c = 0; c < (r + 1 < (size_t)queries ? ld : dim); c++) {
            float got = out.data[r * ld + c];
            if (c >= dim)
                assert_true(got == GUARDED_PATTERN);
            else if (!(fabs(got - attended(&a, r, c)) <= allowed))
                fail_msg("%s: attention %d x %d x %d: query %zu, column %zu is %g, not %g",
                         d->name, queries, keys, head_dim, r, c, (double)got,
                         attended(&a, r, c));
        }
    guarded *const all[] = {&q, &k, &v, &out, &scratch};
    for (int i = 0; i < 5; i++)
        guarded_free(all[i]);
}

static void test_attend(void **state) {
    (void)state;
    static const int sizes[][3] = {{1, 1, 80},   {1, 33, 80},   {5, 7, 16},
                                   {17, 31, 80}, {33, 210, 80}, {210, 210, 80}};
    for (int t = 0; t < g_count; t++)
        for (size_t i = 0; g_tables[t]->attend && i < sizeof sizes / sizeof sizes[0]; i++)
            attend_case(g_tables[t], sizes[i][0], sizes[i][1], sizes[i][2]);
}

/* ---------------------------------------------------------------- --bench */

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef enum work { GEMM, PUT_A, TOPS, PACK_B } work;

static void run_job(const problem *p, const wilor_dot_call *c, work job) {
    switch (job) {
    case GEMM:
        p->d->gemm(p->d, c);
        break;
    case PUT_A:
        put_whole(p, p->pa);
        break;
    case TOPS:
        p->d->tops(p->a.data, p->ld, p->rows, p->k, (float *)(void *)c->tile);
        break;
    case PACK_B:
        p->d->pack_b(p->d, p->w.data, p->k, 1, p->cols, p->k, p->pb);
    }
}

/* The fastest of several rounds: others' load hardly shows. */
static double seconds_each(const problem *p, const wilor_dot_call *c, work job) {
    double best = 1e9;
    long calls = 1;
    for (int round = 0; round < 12; round++) {
        double start = cpu_seconds();
        for (long i = 0; i < calls; i++)
            run_job(p, c, job);
        double each = (cpu_seconds() - start) / (double)calls;
        best = each < best ? each : best;
        calls = each > 0 && 0.02 / each > 1 ? (long)(0.02 / each) : 1;
    }
    return best;
}

static void bench(const wilor_dot *d) {
    for (size_t k = 1280; k <= 5120; k *= 4) {
        problem p = make(d, RANDOM, d->mr, d->nr, k);
        tile t = tile_alloc(d, (size_t)d->nr, 0);
        wilor_dot_call c = call_of(&p, &t, d->mr, d->nr, false);
        begin(d);
        double gemm = seconds_each(&p, &c, GEMM), put = seconds_each(&p, &c, PUT_A);
        double top = d->tops ? seconds_each(&p, &c, TOPS) : 0;
        double pack_b = seconds_each(&p, &c, PACK_B);
        end(d);
        printf(
            "%-16s %2d x %2d, k %4zu, %-6s gemm %8.1f GOP/s, a number: put %.3f ns, top %.3f "
            "ns, pack_b %.3f ns\n",
            d->name, d->mr, d->nr, k, wilor_isa_name(d->kernels->isa),
            2e-9 * (double)((size_t)(d->mr * d->nr) * k) / gemm,
            put * 1e9 / (double)((size_t)d->mr * k), top * 1e9 / (double)((size_t)d->mr * k),
            pack_b * 1e9 / (double)((size_t)d->nr * k));
        tile_free(d, &t);
        unmake(&p);
    }
}

static void find_tables(const char *name) {
    const wilor_dot *d;
    for (int i = 0; (d = wilor_dot_at(i)) != NULL && g_count < MOST; i++) {
        char plain[64];
        snprintf(plain, sizeof plain, "%s", d->name);
        for (char *at = plain; *at; at++)
            *at = *at == ' ' ? '_' : *at;
        if (strcmp(name, plain) == 0 || strcmp(name, "all") == 0)
            g_tables[g_count++] = d;
    }
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "all", *seed = getenv("WILOR_SEED");
    find_tables(name);
    if (g_count == 0) {
        printf("skipped: this machine has no table %s\n", name);
        return 77;
    }
    g_state = seed ? strtoull(seed, NULL, 0) | 1 : 0x9E3779B97F4A7C15u;
    printf("%d tables %s, seed %llu\n", g_count, name, (unsigned long long)g_state);
    if (argc > 2 && strcmp(argv[2], "--bench") == 0) {
        for (int t = 0; t < g_count; t++)
            bench(g_tables[t]);
        return 0;
    }
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_gemm_raw), cmocka_unit_test(test_gemm_edges),
        cmocka_unit_test(test_special),  cmocka_unit_test(test_put_parts),
        cmocka_unit_test(test_pack_b),   cmocka_unit_test(test_pack_u4),
        cmocka_unit_test(test_tops),     cmocka_unit_test(test_attend)};
    return cmocka_run_group_tests_name("dots", tests, NULL, NULL);
}
