/* Suppression against its definition, written without sorting: again and again the best that
 * is left, and everything that it overlaps goes. Random candidates with equal scores, both
 * classes, limits; quotients on the threshold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "heap.h"
#include "nms.h"

static uint64_t seed = 1;

static int below(int n) { /* Knuth's MMIX generator, upper bits */
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int)((seed >> 33) % (uint32_t)n);
}

static float uniform(float low, float high) {
    return low + (high - low) * (float)below(1 << 20) / (float)(1 << 20);
}

static void *block(size_t count, size_t size) {
    void *p = wilor_heap_alloc(count, size);
    assert_non_null(p);
    return p;
}

/* ---------------------------------------------------------------- the oracle */

static bool overlaps(const wilor_candidate *a, const wilor_candidate *b,
                     const wilor_nms_rule *rule) {
    float c[2][4], area[2];
    const wilor_candidate *both[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 4; k++) {
            volatile float half = both[i]->box[2 + k % 2] / 2;
            c[i][k] = k < 2 ? both[i]->box[k] - half : both[i]->box[k - 2] + half;
            c[i][k] += rule->kind != WILOR_NMS_BY_SIDE ? 0.0f : (float)(both[i]->side * 7680);
        }
        area[i] = (c[i][2] - c[i][0]) * (c[i][3] - c[i][1]);
    }
    float w = fmaxf(0, fminf(c[0][2], c[1][2]) - fmaxf(c[0][0], c[1][0]));
    float h = fmaxf(0, fminf(c[0][3], c[1][3]) - fmaxf(c[0][1], c[1][1]));
    float inter = w * h, all = area[0] + area[1] - inter;
    if (rule->kind == WILOR_NMS_MLX)
        return inter / (all + 1e-6f) > (float)rule->iou;
    return (double)(inter / all) > rule->iou;
}

/* Anchors that stay, in order. */
static int plain_nms(const wilor_candidate *c, int n, const wilor_nms_rule *rule,
                     int *anchors) {
    bool *gone = block((size_t)n, sizeof *gone);
    int kept = 0;
    for (;;) {
        int best = -1;
        for (int i = 0; i < n; i++)
            if (!gone[i] && (best < 0 || c[i].score > c[best].score))
                best = i;
        if (best < 0 || kept == rule->most)
            break;
        anchors[kept++] = c[best].anchor;
        gone[best] = true;
        for (int i = 0; i < n; i++)
            gone[i] = gone[i] || overlaps(&c[best], &c[i], rule);
    }
    wilor_heap_free(gone);
    return kept;
}

static int run(wilor_candidate *c, int n, const wilor_nms_rule *rule, int *kept) {
    void *scratch = block(wilor_nms_scratch(n), 1);
    memset(scratch, 0xA5, wilor_nms_scratch(n));
    int count = wilor_nms(c, n, rule, scratch, kept);
    wilor_heap_free(scratch);
    return count;
}

static float odds_of(int anchor) { return (float)(anchor * 37 % 101); }

/* Reorders the candidates. */
static int expect_as_plain(wilor_candidate *c, int n, wilor_nms_rule rule) {
    int *want = block((size_t)rule.most, sizeof *want);
    int *kept = block((size_t)rule.most, sizeof *kept);
    int wanted = plain_nms(c, n, &rule, want), count = run(c, n, &rule, kept);
    assert_int_equal(count, wanted);
    for (int i = 0; i < count; i++)
        if (c[kept[i]].anchor != want[i])
            fail_msg("%d candidates, iou %g, kind %d: result %d is anchor %d, not %d", n,
                     rule.iou, (int)rule.kind, i, c[kept[i]].anchor, want[i]);
        else
            assert_true(c[kept[i]].side_odds == odds_of(want[i]));
    wilor_heap_free(want);
    wilor_heap_free(kept);
    return count;
}

static wilor_candidate random_candidate(int anchor, int places, int scores) {
    float side = uniform(5, 60);
    return (wilor_candidate){{uniform(0, 8) + 40.0f * (float)below(places),
                              uniform(0, 8) + 40.0f * (float)below(places), side,
                              below(9) ? side : 0},
                             (float)(1 + below(scores)) / (float)(scores + 1),
                             below(2),
                             anchor,
                             odds_of(anchor)};
}

static void test_random(void **state) {
    (void)state;
    int kept = 0, candidates = 0;
    for (int round = 0; round < 200; round++) {
        int n = below(400), places = 1 + below(6), scores = round % 2 ? 8 : 100000;
        wilor_candidate *c = block((size_t)n, sizeof *c);
        for (int i = 0; i < n; i++)
            c[i] = random_candidate(3 * i, places, scores);
        wilor_nms_rule rule = {(double)uniform(0.05f, 0.95f), round % 5 ? 300 : 1 + below(9),
                               (wilor_nms_kind)(round % 3)};
        kept += expect_as_plain(c, n, rule);
        candidates += n;
        wilor_heap_free(c);
    }
    printf("%d of %d candidates stay\n", kept, candidates);
    assert_true(kept > 2000 && candidates > 30000);
}

/* ---------------------------------------------------------------- single decisions */

/* Whether the second of two boxes of score 0.9 and 0.8 stays. */
static bool stays(wilor_candidate first, wilor_candidate second, wilor_nms_rule rule) {
    wilor_candidate c[2] = {second, first};
    int kept[2];
    c[0].score = 0.8f;
    c[1].score = 0.9f;
    int n = run(c, 2, &rule, kept);
    assert_int_equal(kept[0], 0);
    assert_true(c[0].score == 0.9f);
    return n == 2;
}

static wilor_candidate wide(float x, float width, int side) {
    return (wilor_candidate){{x, 0.5f, width, 1}, 0, side, 0, 0};
}

static void test_threshold(void **state) {
    (void)state;
    const wilor_nms_rule third = {0.3, 300, WILOR_NMS_BY_SIDE},
                         seventh = {0.7, 300, WILOR_NMS_BY_SIDE};
    /* Overlap 3 of 10: 0.3f is above 0.3, so torchvision drops it. */
    assert_false(stays(wide(0, 6.5f, 0), wide(3.5f, 6.5f, 0), third));
    assert_true(stays(wide(0, 6.5f, 0), wide(3.5f, 6.5f, 0),
                      (wilor_nms_rule){0.3, 300, WILOR_NMS_MLX}));
    /* 7 of 10: 0.7f is below 0.7. */
    assert_true(stays(wide(0, 8.5f, 0), wide(1.5f, 8.5f, 0), seventh));
    assert_false(stays(wide(0, 8.5f, 0), wide(1.25f, 8.5f, 0), seventh));
    /* One half, exactly: not above. */
    assert_true(
        stays(wide(0, 6, 0), wide(2, 6, 0), (wilor_nms_rule){0.5, 300, WILOR_NMS_BY_SIDE}));
    assert_true(stays(wide(0, 6, 0), wide(2, 6, 0), (wilor_nms_rule){0.5, 300, WILOR_NMS_MLX}));
    /* Nothing overlaps another by more than all. */
    assert_true(
        stays(wide(0, 6, 0), wide(0, 6, 0), (wilor_nms_rule){1, 300, WILOR_NMS_BY_SIDE}));
}

static void test_classes(void **state) {
    (void)state;
    const wilor_nms_rule yolo = {0.7, 300, WILOR_NMS_BY_SIDE}, mlx = {0.5, 300, WILOR_NMS_MLX};
    assert_true(stays(wide(9, 6, 0), wide(9, 6, 1), yolo));
    assert_false(stays(wide(9, 6, 0), wide(9, 6, 1), mlx));
    assert_false(stays(wide(9, 6, 1), wide(9, 6, 1), yolo));
    const wilor_nms_rule across = {0.7, 300, WILOR_NMS_ACROSS_SIDES};
    assert_false(stays(wide(9, 6, 0), wide(9, 6, 1), across));
    assert_true(stays(wide(0, 8.5f, 0), wide(1.5f, 8.5f, 1), across));
    /* Two boxes that touch neither each other nor, without its shift, anything: 0/0 is no
     * overlap, and wilor-mlx's 0/1e-6 is none. */
    wilor_candidate empty = {{5, 5, 0, 0}, 0, 0, 0, 0};
    assert_true(stays(empty, empty, yolo));
    assert_true(stays(empty, empty, mlx));
    /* The shift costs class 1 the last bits: 1/4096 pixels less overlap is none. */
    const wilor_nms_rule all = {0.99999, 300, WILOR_NMS_BY_SIDE};
    assert_false(stays(wide(64, 16, 1), wide(64.0001f, 16, 1), all));
    assert_true(stays(wide(64, 16, 0), wide(64.0001f, 16, 0), all));
}

/* ---------------------------------------------------------------- many */

/* Far apart from each other, with scores that fall and now and then repeat. */
static wilor_candidate *new_many(int n) {
    wilor_candidate *c = block((size_t)n, sizeof *c);
    for (int i = 0; i < n; i++)
        c[i] =
            (wilor_candidate){{(float)i, 0, 0.5f, 0.5f}, 1 - (float)(i / 3) * 1e-6f, 0, i, 0};
    return c;
}

static void test_limits(void **state) {
    (void)state;

    enum { MANY = 31000 };

    wilor_candidate *c = new_many(MANY);
    int *kept = block(MANY, sizeof *kept);
    assert_int_equal(run(c, 0, &(wilor_nms_rule){0.7, 300, WILOR_NMS_BY_SIDE}, kept), 0);
    assert_int_equal(run(c, 1, &(wilor_nms_rule){0.7, 300, WILOR_NMS_BY_SIDE}, kept), 1);
    assert_int_equal(run(c, MANY, &(wilor_nms_rule){0.7, 300, WILOR_NMS_BY_SIDE}, kept), 300);
    for (int i = 0; i < 300; i++)
        assert_int_equal(c[kept[i]].anchor, i);
    wilor_heap_free(c);
    /* The best 30000 are one box, and the 1000 worst are far from it and not even looked at. */
    for (int mlx = 0; mlx < 2; mlx++) {
        c = new_many(MANY);
        for (int i = 0; i < MANY; i++) {
            c[i].score = (float)(i + 1) / MANY;
            if (i >= MANY - WILOR_NMS_CANDIDATES)
                c[i].box[0] = -9;
        }
        int n =
            run(c, MANY, &(wilor_nms_rule){0.5, MANY, mlx ? WILOR_NMS_MLX : WILOR_NMS_BY_SIDE},
                kept);
        assert_int_equal(n, mlx ? 1 + MANY - WILOR_NMS_CANDIDATES : 1);
        assert_int_equal(c[kept[0]].anchor, MANY - 1);
        wilor_heap_free(c);
    }
    wilor_heap_free(kept);
}

/* What is not a number decides nothing, and harms nothing. */
static void test_not_numbers(void **state) {
    (void)state;
    wilor_candidate c[40];
    int kept[40];
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 40; i++) {
            c[i] = random_candidate(i, 2, 50);
            if (below(4) == 0)
                c[i].score = NAN;
            if (below(4) == 0)
                c[i].box[below(4)] = below(2) ? NAN : INFINITY;
        }
        int n = run(c, 40, &(wilor_nms_rule){0.5, 300, round % 2}, kept);
        uint64_t seen = 0;
        assert_true(n >= 1 && n <= 40);
        for (int i = 0; i < 40; i++)
            seen |= (uint64_t)1 << c[i].anchor;
        assert_true(seen == ((uint64_t)1 << 40) - 1);
        for (int i = 0; i < n; i++)
            assert_true(kept[i] >= 0 && kept[i] < 40 && (i == 0 || kept[i] > kept[i - 1]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),      cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_classes),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_not_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
