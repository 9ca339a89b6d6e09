/* wilor_overlay_draw over a result made by hand: options, layout, hands that failed, mirrored
 * results. The model's two functions that it calls are given here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "heap.h"
#include "wilor/wilor_io.h"

enum { W = 96, H = 64, V = 3, F = 1, JOINTS = 21 };

struct wilor_model {
    int32_t faces[2][F * 3]; /* by side */
};

static const wilor_model g_model = {{{0, 2, 1}, {0, 1, 2}}};

const int32_t *wilor_model_faces(const wilor_model *model, wilor_side side) {
    return model->faces[side];
}

void wilor_model_get_info(const wilor_model *model, wilor_model_info *info, size_t size) {
    (void)model;
    assert_int_equal(size, sizeof *info);
    *info = (wilor_model_info){.vertices = V, .faces = F};
}

/* One hand at x = +0.3 m in front of the camera: a triangle, all joints on its corners. */
typedef struct fake {
    wilor_hands hands;
    uint8_t side, failed, photo[H * W * 3];
    float score, box[4], cam_t[3], focal[2], principal[2], distortion[5];
    float points[JOINTS * 3], pixels[JOINTS * 2], vertices[V * 3];
    wilor_picture picture;
} fake;

static void make(fake *f, bool mirrored) {
    static const float corners[V * 3] = {-0.1f, 0.1f, 0, 0.1f, 0.1f, 0, 0, -0.1f, 0};
    memset(f, 0, sizeof *f);
    memset(f->photo, 60, sizeof f->photo);
    f->picture = (wilor_picture){f->photo, W, H, (ptrdiff_t)W * 3, WILOR_RGB8};
    f->side = mirrored ? WILOR_LEFT : WILOR_RIGHT;
    f->score = 0.93f;
    f->focal[0] = f->focal[1] = 100;
    f->principal[0] = W / 2;
    f->principal[1] = H / 2;
    memcpy(f->cam_t, (float[3]){0.3f, 0, 1}, sizeof f->cam_t);
    memcpy(f->box, (float[4]){60, 15, 95, 50}, sizeof f->box);
    memcpy(f->vertices, corners, sizeof corners);
    for (int i = 0; i < JOINTS; i++) {
        const float *p = corners + 3 * (i % 3);
        memcpy(f->points + 3 * i, p, 3 * sizeof *p);
        f->pixels[2 * i] = 100 * (p[0] + f->cam_t[0]) / (p[2] + f->cam_t[2]) + W / 2;
        f->pixels[2 * i + 1] = 100 * p[1] / (p[2] + f->cam_t[2]) + H / 2;
    }
    /* As the results of a mirrored picture: 3D negated in x, the 2D stays. */
    for (int i = 0; mirrored && i < JOINTS; i++)
        f->points[3 * i] *= -1;
    for (int i = 0; mirrored && i < V; i++)
        f->vertices[3 * i] *= -1;
    if (mirrored)
        f->cam_t[0] *= -1;
    f->hands = (wilor_hands){.n = 1,
                             .vertices = V,
                             .side = &f->side,
                             .failed = &f->failed,
                             .score = &f->score,
                             .box = f->box,
                             .cam_t = f->cam_t,
                             .focal = f->focal,
                             .principal = f->principal,
                             .distortion = f->distortion,
                             .mirrored = mirrored,
                             .keypoints_3d = f->points,
                             .keypoints_2d = f->pixels,
                             .vertices_3d = f->vertices};
}

static int count_changed(const wilor_image *image, int x0, int x1, uint8_t was) {
    int n = 0;
    for (int y = 0; y < image->height; y++)
        for (int x = x0; x < x1; x++) {
            const uint8_t *p = image->data + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
            n += p[0] != was || p[1] != was || p[2] != was;
        }
    return n;
}

static void draw(wilor_image *out, const fake *f, const wilor_overlay_options *o) {
    wilor_error err;
    if (wilor_overlay_draw(out, &f->picture, &g_model, &f->hands, o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

static void test_layout(void **state) {
    (void)state;
    fake f;
    wilor_image image = {0};
    wilor_overlay_options o;
    make(&f, false);
    wilor_overlay_options_init(&o, sizeof o);
    o.skeleton = 0;
    draw(&image, &f, &o);
    assert_int_equal(image.width, W);
    assert_int_equal(image.height, H);
    assert_in_range(count_changed(&image, 0, W, 60), 150, 300); /* a triangle of 20 × 20 / 2 */
    assert_int_equal(count_changed(&image, 0, 60, 60), 0);
    wilor_image_free(&image);

    o.skeleton = 1;
    o.mesh = 0;
    draw(&image, &f, &o);
    assert_int_equal(image.width, 2 * W);
    assert_int_equal(count_changed(&image, 0, W, 60), 0);
    assert_int_equal(count_changed(&image, W, W + 1, 60), H); /* dimmed */
    wilor_image_free(&image);

    o.skeleton = 0;
    o.label = "a label";
    draw(&image, &f, &o);
    assert_true(count_changed(&image, 0, W, 60) > W * 8);
    wilor_image_free(&image);
    o.label = NULL;
    o.boxes = 1;
    draw(&image, &f, &o);
    assert_true(count_changed(&image, 0, W, 60) > 100);
    wilor_image_free(&image);

    draw(&image, &f, NULL); /* the defaults: mesh and skeleton */
    assert_int_equal(image.width, 2 * W);
    assert_true(count_changed(&image, 0, W, 60) > 150);
    wilor_image_free(&image);
}

static void test_failed_hands_and_none(void **state) {
    (void)state;
    fake f;
    wilor_image image = {0};
    wilor_overlay_options o;
    make(&f, false);
    wilor_overlay_options_init(&o, sizeof o);
    o.skeleton = 0;
    o.boxes = 1;
    f.failed = 1;
    f.vertices[0] = NAN;
    draw(&image, &f, &o);
    assert_int_equal(count_changed(&image, 0, W, 60), 0);
    wilor_image_free(&image);
    f.hands.n = 0;
    draw(&image, &f, &o);
    assert_int_equal(count_changed(&image, 0, W, 60), 0);
    wilor_image_free(&image);
}

/* A mirrored result lies over the same pixels, seen from the same side. */
static void test_mirrored_result(void **state) {
    (void)state;
    fake plain, mirrored;
    wilor_image a = {0}, b = {0};
    wilor_overlay_options o;
    wilor_overlay_options_init(&o, sizeof o);
    o.skeleton = 0;
    make(&plain, false);
    make(&mirrored, true);
    draw(&a, &plain, &o);
    draw(&b, &mirrored, &o);
    for (int i = 0; i < W * H; i++) {
        bool in_a = a.data[3 * i] != 60 || a.data[3 * i + 2] != 60;
        bool in_b = b.data[3 * i] != 60 || b.data[3 * i + 2] != 60;
        assert_int_equal(in_a, in_b);
    }
    /* Lit, not its dark inside. */
    size_t middle = 3 * (34 * W + 78);
    assert_true(b.data[middle] > 150);
    assert_true(a.data[middle + 2] > 150);
    wilor_image_free(&a);
    wilor_image_free(&b);
}

/* The lens moves the mesh as it moves the keypoints: k1 alone stretches away from the centre. */
static void test_distorted_result(void **state) {
    (void)state;
    fake f;
    wilor_image image = {0};
    wilor_overlay_options o;
    wilor_overlay_options_init(&o, sizeof o);
    o.skeleton = 0;
    make(&f, false);
    f.distortion[0] =
        -2; /* the right corners at x = 0.4, y = 0.1: 0.4 (1 - 2 · 0.17) = 0.264 */
    draw(&image, &f, &o);
    int right = 0;
    for (int i = 0; i < W * H; i++)
        if (image.data[3 * i] != 60 && i % W > right)
            right = i % W;
    assert_in_range(right, W / 2 + 25, W / 2 + 27);
    wilor_image_free(&image);
}

static void test_options(void **state) {
    (void)state;
    fake f;
    wilor_image image = {0};
    make(&f, false);

    struct {
        wilor_overlay_options o;
        int newer;
    } later;

    memset(&later, 0, sizeof later);
    wilor_overlay_options_init(&later.o, sizeof later);
    assert_int_equal(later.o.struct_size, sizeof later);
    assert_true(fabsf(later.o.opacity - 0.85f) < 1e-6f);
    draw(&image, &f, &later.o);
    wilor_image_free(&image);
    later.newer = 1;
    assert_int_equal(wilor_overlay_draw(&image, &f.picture, &g_model, &f.hands, &later.o, NULL),
                     WILOR_ERR_ARG);
    later.o.struct_size = offsetof(wilor_overlay_options, opacity); /* an older caller's */
    later.o.opacity = NAN;
    draw(&image, &f, &later.o);
    wilor_image_free(&image);
    later.o.struct_size = sizeof later.o;
    assert_int_equal(wilor_overlay_draw(&image, &f.picture, &g_model, &f.hands, &later.o, NULL),
                     WILOR_ERR_ARG);
    later.o.struct_size = 0;
    assert_int_equal(wilor_overlay_draw(&image, &f.picture, &g_model, &f.hands, &later.o, NULL),
                     WILOR_ERR_ARG);
    f.picture.width = 0;
    assert_int_equal(wilor_overlay_draw(&image, &f.picture, &g_model, &f.hands, NULL, NULL),
                     WILOR_ERR_ARG);
    assert_null(image.data);
}

static void test_no_memory(void **state) {
    (void)state;
    fake f;
    wilor_image image = {0};
    wilor_status st = WILOR_ERR_NOMEM;
    make(&f, false);
    for (int n = 0; n < 50 && st == WILOR_ERR_NOMEM; n++) {
        wilor_heap_fail_at(n);
        st = wilor_overlay_draw(&image, &f.picture, &g_model, &f.hands, NULL, NULL);
        wilor_heap_fail_at(-1);
        assert_true((image.data != NULL) == (st == WILOR_OK));
    }
    assert_int_equal(st, WILOR_OK);
    wilor_image_free(&image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),          cmocka_unit_test(test_failed_hands_and_none),
        cmocka_unit_test(test_mirrored_result), cmocka_unit_test(test_distorted_result),
        cmocka_unit_test(test_options),         cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
