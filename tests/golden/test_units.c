/* Rotations, the hand model, camera, smoothing and warps against upstream's own functions
 * (units.npz, see data/README.md): roma, smplx, WiLoR-mini's camera, scikit-image's gaussian,
 * OpenCV 5's warpAffine. The pictures in it are noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "camera.h"
#include "crop_steps.h"
#include "golden.h"
#include "heap.h"
#include "mano.h"
#include "rotation.h"

enum { RGB = 256 * 256 * 3 };

static wilor_index *units;

static int open_units(void **state) {
    (void)state;
    units = golden_open(golden_path(WILOR_TEST_DATA, "units.npz"));
    return 0;
}

static int close_units(void **state) {
    (void)state;
    wilor_index_close(&units);
    return 0;
}

/* Arrays of a test, freed together. */
typedef struct bag {
    void *kept[16];
    int count;
} bag;

static float *f32(bag *b, const char *name, size_t *count) {
    return b->kept[b->count++] = golden_f32(units, name, count);
}

static double *f64(bag *b, const char *name, size_t *count) {
    return b->kept[b->count++] = golden_f64(units, name, count);
}

static void *room(bag *b, size_t count, size_t size) {
    void *p = wilor_heap_alloc(count, size);
    assert_non_null(p);
    return b->kept[b->count++] = p;
}

static void empty(bag *b) {
    while (b->count > 0)
        wilor_heap_free(b->kept[--b->count]);
}

static void test_rotation_f32(void **state) {
    (void)state;
    bag b = {0};
    size_t n;
    float *r = f32(&b, "rot6d", &n), *m = f32(&b, "rot6d_rotmat", NULL);
    float *v = f32(&b, "rot6d_rotvec", NULL), *got = room(&b, 9 * n / 6, sizeof *got);
    for (size_t i = 0; i < n / 6; i++)
        wilor_rotation_from_6d(r + 6 * i, got + 9 * i);
    golden_check("rot6d_rotmat", got, m, 9 * n / 6, 2e-6);
    for (size_t i = 0; i < n / 6; i++)
        wilor_rotation_to_vector(m + 9 * i, got + 3 * i);
    golden_check("rot6d_rotvec", got, v, 3 * n / 6, 2e-6);
    m = f32(&b, "rotmat", &n);
    v = f32(&b, "rotmat_rotvec", NULL);
    for (size_t i = 0; i < n / 9; i++)
        wilor_rotation_to_vector(m + 9 * i, got + 3 * i);
    golden_check("rotmat_rotvec", got, v, 3 * n / 9, 2e-6);
    empty(&b);
}

static void test_rotation_f64(void **state) {
    (void)state;
    bag b = {0};
    size_t n;
    double *r = f64(&b, "rot6d", &n), *m = f64(&b, "rot6d_rotmat_f64", NULL);
    double *v = f64(&b, "rot6d_rotvec_f64", NULL), *got = room(&b, 9 * n / 6, sizeof *got);
    for (size_t i = 0; i < n / 6; i++)
        wilor_rotation_from_6d_f64(r + 6 * i, got + 9 * i);
    golden_check_f64("rot6d_rotmat_f64", got, m, 9 * n / 6, 1e-12);
    for (size_t i = 0; i < n / 6; i++)
        wilor_rotation_to_vector_f64(m + 9 * i, got + 3 * i);
    golden_check_f64("rot6d_rotvec_f64", got, v, 3 * n / 6, 1e-12);
    empty(&b);
}

static wilor_mano *open_hand(void) {
    wilor_error err;
    wilor_mano *mano = NULL;
    wilor_index *hand = golden_open(golden_path(WILOR_TEST_DATA, "hand-cc0.npz"));
    assert_int_equal(wilor_index_canonical(hand, &err), WILOR_OK);
    if (wilor_mano_create(&mano, hand, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_index_close(&hand); /* nothing of it is needed any more */
    return mano;
}

static void test_mano(void **state) {
    (void)state;
    bag b = {0};
    wilor_mano *mano = open_hand();
    const size_t v = 3 * (size_t)wilor_mano_vertices(mano);
    size_t n;
    float *rot = f32(&b, "mano_rotmat", &n), *betas = f32(&b, "mano_betas", NULL);
    float *scratch = room(&b, wilor_mano_scratch(mano), sizeof *scratch);
    n /= 144;
    float *verts = room(&b, n * v, sizeof *verts), *j16 = room(&b, n * 48, sizeof *j16);
    float *j21 = room(&b, n * 63, sizeof *j21);
    for (size_t i = 0; i < n; i++)
        wilor_mano_forward(mano, rot + 144 * i, betas + 10 * i, scratch, verts + v * i,
                           j16 + 48 * i, j21 + 63 * i);
    golden_check("mano_verts", verts, f32(&b, "mano_verts", NULL), n * v, 2e-7);
    golden_check("mano_joints16", j16, f32(&b, "mano_joints16", NULL), n * 48, 2e-7);
    golden_check("mano_joints21", j21, f32(&b, "mano_joints21", NULL), n * 63, 2e-7);
    wilor_mano_free(&mano);
    empty(&b);
}

static void test_camera(void **state) {
    (void)state;
    bag b = {0};
    size_t n;
    double *pred = f64(&b, "cam_pred", &n), *centre = f64(&b, "cam_box_center", NULL);
    double *size = f64(&b, "cam_box_size", NULL), *wh = f64(&b, "cam_img_size", NULL);
    double *focal = f64(&b, "cam_focal", NULL), *points = f64(&b, "cam_points", NULL);
    double *want_t = f64(&b, "cam_t_full", NULL), *want_uv = f64(&b, "cam_points_2d", NULL);
    n /= 3;
    double *t = room(&b, n * 3, sizeof *t), *uv = room(&b, n * 42, sizeof *uv);
    for (size_t i = 0; i < n; i++) {
        wilor_camera cam;
        const int w = (int)wh[2 * i], h = (int)wh[2 * i + 1];
        assert_int_equal(wilor_camera_init(&cam, w, h, NULL, NULL, focal[0], NULL), WILOR_OK);
        wilor_camera_translation_f64(&cam, pred + 3 * i, centre[2 * i], centre[2 * i + 1],
                                     size[i], w, h, t + 3 * i);
        wilor_camera_project_f64(&cam, points + 63 * i, 21, want_t + 3 * i, uv + 42 * i);
    }
    golden_check_f64("cam_t_full", t, want_t, n * 3, 1e-12);
    golden_check_f64("cam_points_2d", uv, want_uv, n * 42, 1e-12);
    empty(&b);
}

/* The noise picture as pixels; freed with the bag. */
static wilor_picture noise(bag *b) {
    const wilor_tensor *t = wilor_index_find(units, "blur_in");
    assert_non_null(t);
    uint8_t *pixels = room(b, t->count, 1);
    float *values = f32(b, "blur_in", NULL);
    for (size_t i = 0; i < t->count; i++)
        pixels[i] = (uint8_t)values[i];
    return (wilor_picture){pixels, (int)t->shape[1], (int)t->shape[0],
                           (ptrdiff_t)t->shape[1] * 3, WILOR_RGB8};
}

/* The warp that moves nothing shows the smoothed picture itself; outside it must be zero. */
static void test_blur(void **state) {
    (void)state;
    const double still[6] = {1, 0, 0, 0, 1, 0};
    for (int i = 0; i < 5; i++) {
        char name[32];
        bag b = {0};
        wilor_picture p = noise(&b);
        snprintf(name, sizeof name, "blur_sigma%d", i);
        double *sigma = f64(&b, name, NULL);
        snprintf(name, sizeof name, "blur_out%d", i);
        float *want = f32(&b, name, NULL), *rgb = room(&b, RGB, sizeof *rgb);
        float *frame = room(&b, RGB, sizeof *frame);
        for (int y = 0; y < p.height; y++)
            memcpy(frame + y * 768, want + y * p.width * 3, (size_t)p.width * 3 * sizeof *want);
        wilor_crop_source s = wilor_crop_source_of(&p, false);
        assert_int_equal(wilor_crop_warp_smooth(&s, still, *sigma, rgb, NULL), WILOR_OK);
        golden_check(name, rgb, frame, RGB, 6e-8);
        empty(&b);
    }
}

/* Centre, size and mirroring of warp i as its matrix; checks the matrix. */
static bool warp_matrix(bag *b, int i, const wilor_picture *p, double inv[6]) {
    char name[32];
    double m[6];
    snprintf(name, sizeof name, "warp_par%d", i);
    const double *par = f64(b, name, NULL);
    const bool mirrored = par[3] != 0;
    wilor_crop_matrix(mirrored ? p->width - par[0] - 1 : par[0], par[1], par[2], m);
    snprintf(name, sizeof name, "warp_trans%d", i);
    golden_check_f64(name, m, f64(b, name, NULL), 6, 0);
    wilor_crop_invert(m, inv);
    return mirrored;
}

static void test_warp_u8(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) {
        char name[32];
        bag b = {0};
        double inv[6];
        wilor_picture p = noise(&b);
        wilor_crop_source s = wilor_crop_source_of(&p, warp_matrix(&b, i, &p, inv));
        snprintf(name, sizeof name, "warp_u8_%d", i);
        float *want = f32(&b, name, NULL), *rgb = room(&b, RGB, sizeof *rgb);
        wilor_crop_warp(&s, inv, WILOR_WARP_CV5, true, rgb);
        golden_check(name, rgb, want, RGB, 0);
        wilor_crop_warp(&s, inv, WILOR_WARP_CV5, false, rgb);
        golden_check("  pixel by pixel", rgb, want, RGB, 0);
        empty(&b);
    }
}

/* Smoothed with blur_sigma2, then warped as floating pixels. */
static void test_warp_f64(void **state) {
    (void)state;
    for (int i = 1; i <= 3; i += 2) {
        char name[32];
        bag b = {0};
        double inv[6];
        wilor_picture p = noise(&b);
        wilor_crop_source s = wilor_crop_source_of(&p, warp_matrix(&b, i, &p, inv));
        const double *sigma = f64(&b, "blur_sigma2", NULL);
        float *rgb = room(&b, RGB, sizeof *rgb);
        assert_int_equal(wilor_crop_warp_smooth(&s, inv, *sigma, rgb, NULL), WILOR_OK);
        snprintf(name, sizeof name, "warp_f64_%d", i);
        golden_check(name, rgb, f32(&b, name, NULL), RGB, 1e-7);
        empty(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotation_f32), cmocka_unit_test(test_rotation_f64),
        cmocka_unit_test(test_mano),         cmocka_unit_test(test_camera),
        cmocka_unit_test(test_blur),         cmocka_unit_test(test_warp_u8),
        cmocka_unit_test(test_warp_f64),
    };
    return cmocka_run_group_tests(tests, open_units, close_units);
}
