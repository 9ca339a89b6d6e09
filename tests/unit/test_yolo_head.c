/* What the head says of an anchor's side: known logits in place of the network's, in its maps and as a card chooses them. */
#include "random_detector.h"
#include "yolo_impl.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { WIDTH = 96, HEIGHT = 64, ANCHORS = 12 * 8 + 6 * 4 + 3 * 2, MOST = 8 };

/* In the anchors' order; the first two levels and the last. */
static const struct known {
    int anchor;
    float left, right;
    int side;
    float odds;
} g_known[] = {
    {0, 2, -1, 0, 3},        {17, 0.5f, 0.75f, 1, 0.25f},
    {50, -0.5f, 5.5f, 1, 6},                     /* both below by a half: as sure */
    {95, 0, 6, 1, 6},        {96, 20, 30, 0, 0}, /* scores of 1, both */
    {100, 1.5f, 1.5f, 0, 0}, {120, 1, -INFINITY, 0, INFINITY},
    {125, 1, NAN, 0, 0},
};

static wilor_threads *g_pool;
static wilor_yolo *g_yolo;
static wilor_yolo_run *g_run;

static int open_run(void **state) {
    wilor_error err;
    wilor_index *index = NULL;
    (void)state;
    if (wilor_random_detector(&index, "micro", &err) != WILOR_OK ||
        wilor_threads_create(&g_pool, 1, &err) != WILOR_OK ||
        wilor_yolo_load(&g_yolo, index, WILOR_ISA_AUTO, WILOR_DTYPE_F32, g_pool, NULL, &err) !=
            WILOR_OK ||
        wilor_yolo_open(&g_run, g_yolo, g_pool, false, &err) != WILOR_OK ||
        wilor_yolo_begin(g_run, WIDTH, HEIGHT, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_index_close(&index);
    assert_int_equal(wilor_yolo_anchors(g_run), ANCHORS);
    return 0;
}

static int close_run(void **state) {
    (void)state;
    wilor_yolo_close(&g_run);
    wilor_yolo_free(&g_yolo);
    wilor_threads_free(&g_pool);
    return 0;
}

static void fill(float *numbers, float left, float right) {
    for (int i = 0; i < WILOR_YOLO_HEAD; i++)
        numbers[i] = 0;
    numbers[WILOR_YOLO_BOX] = left;
    numbers[WILOR_YOLO_BOX + 1] = right;
}

/* The numbers of an anchor in the head's maps. */
static float *numbers_at(int anchor) {
    for (int l = 0;; l++) {
        const wilor_yolo_area *m = &g_run->layout.maps[g_yolo->program.head[l]];
        int count = m->width * m->height;
        if (anchor < count)
            return wilor_yolo_f32(
                m, (ptrdiff_t)(anchor / m->width) * m->pitch + anchor % m->width, 0);
        anchor -= count;
    }
}

static void expect_known(const char *what) {
    wilor_candidate c[MOST];
    int n = wilor_yolo_candidates(g_run, 0.3f, c, MOST);
    assert_int_equal(n, MOST);
    for (int i = 0; i < n; i++) {
        const struct known *k = &g_known[i];
        if (c[i].anchor != k->anchor || c[i].side != k->side || !(c[i].side_odds == k->odds))
            fail_msg("%s: anchor %d: side %d, odds %g; anchor %d: side %d, odds %g", what,
                     c[i].anchor, c[i].side, (double)c[i].side_odds, k->anchor, k->side,
                     (double)k->odds);
    }
}

static void test_maps(void **state) {
    (void)state;
    for (int i = 0; i < ANCHORS; i++)
        fill(numbers_at(i), -9, -8);
    for (int i = 0; i < MOST; i++)
        fill(numbers_at(g_known[i].anchor), g_known[i].left, g_known[i].right);
    g_run->chosen.count = -1;
    expect_known("maps");
}

static void test_chosen(void **state) {
    (void)state;
    static float numbers[MOST][WILOR_YOLO_HEAD];
    const float *at[MOST];
    int32_t anchor[MOST];
    for (int i = 0; i < MOST; i++) {
        fill(numbers[i], g_known[i].left, g_known[i].right);
        at[i] = numbers[i];
        anchor[i] = g_known[i].anchor;
    }
    for (int i = 0; i < ANCHORS; i++) /* not to be read */
        fill(numbers_at(i), -9, 7);
    g_run->chosen = (wilor_yolo_chosen){MOST, anchor, at};
    expect_known("chosen");
    g_run->chosen.count = -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_maps),
                                       cmocka_unit_test(test_chosen)};
    return cmocka_run_group_tests_name("yolo_head", tests, open_run, close_run);
}
