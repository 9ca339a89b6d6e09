/* The rasteriser and the drawings: depth where meshes cross, anti-aliased edges, untouched
 * pixels, hostile numbers, mirrored windings, strips, clipping, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "overlay_font.h"
#include "overlay_mesh.h"
#include "overlay_raster.h"

enum { W = 64, H = 48, V = 4, F = 2 };

static uint8_t g_pixels[H][W][3];
static const wilor_canvas g_canvas = {&g_pixels[0][0][0], W, H, (size_t)W * 3};

/* Two triangles, facing the camera when the corners run counter-clockwise seen from it: with x
 * right and y down, that is up the screen's left side first. */
static const int32_t QUAD[F * 3] = {0, 1, 2, 0, 2, 3};
static const int32_t QUAD_REVERSED[F * 3] = {0, 2, 1, 0, 3, 2};

static void paint_all(uint8_t value) { memset(g_pixels, value, sizeof g_pixels); }

/* With f = 32 and depth 1, one unit is 32 pixels; the picture's middle is the axis. */
static wilor_overlay_hand hand_of(const float *vertices, const int32_t *faces, uint8_t side) {
    return (wilor_overlay_hand){.vertices = vertices,
                                .flip = 1,
                                .fx = 32,
                                .fy = 32,
                                .cx = (W - 1) / 2.0f,
                                .cy = (H - 1) / 2.0f,
                                .faces = faces,
                                .side = side};
}

static void draw(const wilor_overlay_hand *hands, int n, float opacity) {
    wilor_overlay_scene scene = {hands, n, V, F, opacity};
    wilor_error err;
    if (wilor_overlay_mesh(&g_canvas, &scene, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

static bool is_blue(int x, int y) { return g_pixels[y][x][2] > g_pixels[y][x][0]; }

static void test_crossing(void **state) {
    (void)state;
    /* Two quads through each other at x = 0: one nearer on the left, the other on the right. */
    const float a[] = {-0.8f, 0.5f,  0.8f, 0.8f,  0.5f,  1.2f,
                       0.8f,  -0.5f, 1.2f, -0.8f, -0.5f, 0.8f};
    const float b[] = {-0.8f, 0.5f,  1.2f, 0.8f,  0.5f,  0.8f,
                       0.8f,  -0.5f, 0.8f, -0.8f, -0.5f, 1.2f};
    for (int order = 0; order < 2; order++) {
        wilor_overlay_hand hands[2] = {hand_of(a, QUAD, WILOR_RIGHT),
                                       hand_of(b, QUAD, WILOR_LEFT)};
        if (order) {
            wilor_overlay_hand first = hands[0];
            hands[0] = hands[1];
            hands[1] = first;
        }
        paint_all(128);
        draw(hands, 2, 1);
        for (int y = 12; y < 36; y++)
            for (int x = 12; x < 52; x++)
                if (x < 31 || x > 32)
                    assert_int_equal(is_blue(x, y), x < 32);
    }
}

static void test_edge(void **state) {
    (void)state;
    int last = -1, levels = 0;
    /* The right edge moves over pixel 40 in steps of 1/12; its coverage may only grow. */
    for (int step = -12; step <= 24; step++) {
        float right = (40 - 31.5f + (float)step / 12) / 32;
        const float quad[] = {-0.5f, 0.5f, 1, right, 0.5f, 1, right, -0.5f, 1, -0.5f, -0.5f, 1};
        wilor_overlay_hand hand = hand_of(quad, QUAD, WILOR_RIGHT);
        paint_all(0);
        draw(&hand, 1, 1);
        int value = g_pixels[24][40][2];
        assert_true(value >= last);
        levels += value > last;
        last = value;
        if (step == -12)
            assert_int_equal(value, 0);
    }
    assert_int_equal(levels, 4); /* nothing, one, two and three columns of samples */
    assert_int_equal(last, g_pixels[24][39][2]);
}

static void test_untouched(void **state) {
    (void)state;
    static uint8_t before[H][W][3];
    const float quad[] = {-0.31f, 0.2f, 1, 0.3f, 0.25f, 1, 0.3f, -0.2f, 1, -0.3f, -0.2f, 1};
    wilor_overlay_hand hand = hand_of(quad, QUAD, WILOR_RIGHT);
    srand(7);
    for (size_t i = 0; i < sizeof before; i++)
        (&before[0][0][0])[i] = (uint8_t)(rand() >> 5);
    memcpy(g_pixels, before, sizeof before);
    draw(&hand, 1, 0);
    assert_memory_equal(g_pixels, before, sizeof before);
    draw(&hand, 1, 0.5f);
    int changed = 0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            bool outside = x < 20 || x > 42 || y < 16 || y > 32;
            bool same = memcmp(g_pixels[y][x], before[y][x], 3) == 0;
            assert_true(!outside || same);
            changed += !same;
        }
    assert_in_range(changed, 17 * 12, 23 * 17);
}

static void test_opacity(void **state) {
    (void)state;
    const float quad[] = {-3, 3, 1, 3, 3, 1, 3, -3, 1, -3, -3, 1};
    wilor_overlay_hand hand = hand_of(quad, QUAD, WILOR_RIGHT);
    paint_all(0);
    draw(&hand, 1, 1);
    int full = g_pixels[24][30][2];
    paint_all(0);
    draw(&hand, 1, 0.25f);
    assert_in_range(g_pixels[24][30][2], full / 4 - 1, full / 4 + 1);
}

/* Both triangles of a quad over the whole picture, in more than one strip: no pixel may let the
 * photo through, not along the diagonal, not between strips. */
static void test_no_cracks(void **state) {
    (void)state;

    enum { BIG_W = 900, BIG_H = 230 };

    const float quad[] = {-30, 29, 1, 31, 30, 1.1f, 30, -31, 1, -29, -30, 0.9f};
    size_t bytes = (size_t)BIG_W * BIG_H * 3;
    uint8_t *dark = wilor_heap_alloc(bytes, 1), *bright = wilor_heap_alloc(bytes, 1);
    assert_non_null(dark);
    assert_non_null(bright);
    memset(bright, 255, bytes);
    wilor_overlay_hand hand = hand_of(quad, QUAD, WILOR_LEFT);
    hand.cx = BIG_W / 2.0f;
    hand.cy = BIG_H / 2.0f;
    wilor_overlay_scene scene = {&hand, 1, V, F, 1};
    wilor_canvas a = {dark, BIG_W, BIG_H, (size_t)BIG_W * 3}, b = a;
    b.data = bright;
    assert_int_equal(wilor_overlay_mesh(&a, &scene, NULL), WILOR_OK);
    assert_int_equal(wilor_overlay_mesh(&b, &scene, NULL), WILOR_OK);
    assert_memory_equal(dark, bright, bytes);
    assert_int_not_equal(dark[0], 0);
    wilor_heap_free(dark);
    wilor_heap_free(bright);
}

/* Equal but for roundings: the corners of the triangles come in another order. */
static void assert_same_picture(uint8_t want[H][W][3]) {
    for (size_t i = 0; i < sizeof g_pixels; i++)
        assert_in_range((&g_pixels[0][0][0])[i] + 2 - (&want[0][0][0])[i], 0, 4);
}

static void test_mirrored(void **state) {
    (void)state;
    static uint8_t right[H][W][3];
    const float quad[] = {-0.4f, 0.4f, 1, 0.4f, 0.4f, 1, 0.2f, -0.4f, 1, -0.2f, -0.4f, 1};
    const float mirrored[] = {0.4f, 0.4f, 1, -0.4f, 0.4f, 1, -0.2f, -0.4f, 1, 0.2f, -0.4f, 1};
    wilor_overlay_hand hand = hand_of(quad, QUAD, WILOR_RIGHT);
    paint_all(90);
    draw(&hand, 1, 1);
    memcpy(right, g_pixels, sizeof right);

    hand =
        hand_of(mirrored, QUAD_REVERSED, WILOR_RIGHT); /* as wilor_model_faces gives for left */
    paint_all(90);
    draw(&hand, 1, 1);
    assert_same_picture(right);

    hand = hand_of(quad, QUAD_REVERSED, WILOR_RIGHT); /* flip does what the mirroring did */
    hand.flip = -1;
    paint_all(90);
    draw(&hand, 1, 1);
    assert_same_picture(right);

    hand = hand_of(mirrored, QUAD, WILOR_RIGHT); /* the wrong winding: its inside, darker */
    paint_all(90);
    draw(&hand, 1, 1);
    assert_true(g_pixels[24][32][2] + 40 < right[24][32][2]);
}

static void test_near_plane(void **state) {
    (void)state;
    /* A floor below the camera, from behind it to far in front. */
    const float floor_quad[] = {-5, 0.3f, -2, -5, 0.3f, 50, 5, 0.3f, 50, 5, 0.3f, -2};
    wilor_overlay_hand hand = hand_of(floor_quad, QUAD, WILOR_RIGHT);
    paint_all(50);
    draw(&hand, 1, 1);
    for (int x = 0; x < W; x++) {
        assert_int_equal(g_pixels[10][x][0], 50);
        assert_int_equal(g_pixels[22][x][1], 50);
    }
    /* Near the camera it is wider than the picture. */
    for (int x = 0; x < W; x++)
        assert_int_not_equal(g_pixels[H - 1][x][2], 50);
}

/* Any number anywhere: the sanitizers watch. */
static void test_hostile(void **state) {
    (void)state;
    static const float values[] = {NAN,  INFINITY, -INFINITY, 1e30f, -1e30f, 3e38f, 1e-30f, 0,
                                   -1.f, 0.01f,    0.0099f,   9999,  1e7f,   0.3f,  1,      2};

    enum { COUNT = sizeof values / sizeof values[0] };

    float vertices[V * 3], points[42], depths[63], box[4];
    srand(11);
    for (int round = 0; round < 4000; round++) {
        int32_t faces[F * 3];
        int hostile = 1 + rand() % 6;
        for (int i = 0; i < V * 3; i++)
            vertices[i] = rand() % 6 < hostile ? values[rand() % COUNT] : 0.2f * (float)(i % 5);
        for (int i = 0; i < F * 3; i++)
            faces[i] = rand() % 40 ? rand() % V : (rand() % 2 ? -1 : INT32_MAX);
        for (int i = 0; i < 63; i++) {
            depths[i] = values[rand() % COUNT];
            points[i % 42] = rand() % 3 ? (float)(rand() % W) : values[rand() % COUNT];
            box[i % 4] = rand() % 3 ? (float)(rand() % W) : values[rand() % COUNT];
        }
        wilor_overlay_hand hand = hand_of(vertices, faces, (uint8_t)(rand() % 2));
        hand.fx = rand() % 5 ? 32 : values[rand() % COUNT];
        hand.cx = rand() % 5 ? 32 : values[rand() % COUNT];
        hand.offset[2] = rand() % 5 ? 1 : values[rand() % COUNT];
        hand.keypoints = points;
        hand.depths = rand() % 2 ? depths : NULL;
        hand.box = box;
        hand.score = values[rand() % COUNT];
        wilor_overlay_hand two[2] = {hand, hand};
        two[1].offset[2] = 0.5f;
        wilor_overlay_scene scene = {two, 2, V, F, 0.7f};
        assert_int_equal(wilor_overlay_mesh(&g_canvas, &scene, NULL), WILOR_OK);
        wilor_overlay_skeleton(&g_canvas, &scene);
        wilor_overlay_boxes(&g_canvas, &scene);
    }
}

/* A plate that faces another loses sky, one that turns its back to it does not. */
static void test_occlusion(void **state) {
    (void)state;

    enum { SIDE = 12, COUNT = SIDE * SIDE };

    wilor_mesh_vertex plates[2 * COUNT];
    for (int turn = 0; turn < 2; turn++) {
        memset(plates, 0, sizeof plates);
        for (int i = 0; i < 2 * COUNT; i++) {
            wilor_mesh_vertex *v = plates + i;
            bool upper = i >= COUNT;
            v->position[0] = 0.01f * (float)(i % SIDE);
            v->position[1] = 0.01f * (float)(i / SIDE % SIDE);
            v->position[2] = upper ? 0.53f : 0.5f;
            /* Six times the area of a vertex's share; towards each other, or both upwards. */
            v->normal[2] = (upper && !turn ? -6 : 6) * 1e-4f;
        }
        assert_true(wilor_mesh_occlude(plates, 2, COUNT));
        float middle = plates[COUNT / 2 + SIDE / 2].open;
        float corner = plates[0].open, other = plates[COUNT + COUNT / 2 + SIDE / 2].open;
        if (turn) {
            assert_true(middle > 0.999f && other > 0.999f);
        } else {
            assert_true(middle < 0.35f && fabsf(middle - other) < 0.02f);
            assert_true(corner > middle + 0.2f && corner < 1);
        }
    }
}

static void test_shapes(void **state) {
    (void)state;
    const wilor_paint white = {255, 255, 255, 1};
    const wilor_segment line = {10, 20, 30, 20}, dot = {50, 40, 50, 40};
    paint_all(0);
    wilor_paint_segments(&g_canvas, &line, 1, 2, white);
    wilor_paint_segments(&g_canvas, &dot, 1, 3, white);
    assert_int_equal(g_pixels[20][20][0], 255);
    assert_int_equal(g_pixels[18][20][1], 128); /* the edge runs through the pixel's middle */
    assert_int_equal(g_pixels[17][20][1], 0);
    assert_int_equal(g_pixels[20][8][0], 128);
    assert_int_equal(g_pixels[40][52][2], 255);
    assert_int_equal(g_pixels[44][50][2], 0);
    const float box[4] = {5, 5, 60, 45};
    paint_all(0);
    wilor_paint_box(&g_canvas, box, 6, 2, white);
    assert_int_equal(g_pixels[5][30][0], 255);
    assert_int_equal(g_pixels[25][60][0], 255);
    assert_int_equal(g_pixels[25][30][0], 0);
    assert_int_equal(g_pixels[5][5][0], 0); /* the corner is round */
}

static void test_text(void **state) {
    (void)state;
    const wilor_paint white = {255, 255, 255, 1};
    char all[97];
    for (int i = 0; i < 95; i++) {
        char one[2] = {(char)(32 + i), 0};
        all[i] = one[0];
        paint_all(0);
        wilor_font_draw(&g_canvas, 20, 30, 14, one, white);
        int lit = 0;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                lit += g_pixels[y][x][0] > 100;
                assert_true(g_pixels[y][x][0] == 0 ||
                            (x >= 17 && x <= 34 && y >= 13 && y <= 37));
            }
        assert_int_equal(lit > 0, i > 0);
        assert_true(wilor_font_width(one, 14) > 3);
    }
    all[95] = (char)0xC3;
    all[96] = 0;
    assert_true(fabsf(wilor_font_width("\xC3", 10) - wilor_font_width("?", 10)) < 1e-6f);
    uint8_t tiny[3] = {9, 9, 9};
    wilor_canvas one = {tiny, 1, 1, 3};
    wilor_overlay_label(&one, all);
    wilor_overlay_label(&g_canvas, all);
    wilor_overlay_label(&g_canvas, "");
}

static void test_no_memory(void **state) {
    (void)state;
    const float quad[] = {-0.3f, 0.2f, 1, 0.3f, 0.2f, 1, 0.3f, -0.2f, 1, -0.3f, -0.2f, 1};
    wilor_overlay_hand hand = hand_of(quad, QUAD, WILOR_RIGHT);
    wilor_overlay_scene scene = {&hand, 1, V, F, 1};
    wilor_status st = WILOR_ERR_NOMEM;
    int n = 0;
    for (; n < 50 && st == WILOR_ERR_NOMEM; n++) {
        wilor_error err = {WILOR_OK, ""};
        wilor_heap_fail_at(n);
        st = wilor_overlay_mesh(&g_canvas, &scene, &err);
        wilor_heap_fail_at(-1);
        assert_true(st == WILOR_OK || err.text[0]);
    }
    assert_int_equal(st, WILOR_OK);
    assert_true(n > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crossing),   cmocka_unit_test(test_edge),
        cmocka_unit_test(test_untouched),  cmocka_unit_test(test_opacity),
        cmocka_unit_test(test_no_cracks),  cmocka_unit_test(test_mirrored),
        cmocka_unit_test(test_near_plane), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_occlusion),  cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_text),       cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
