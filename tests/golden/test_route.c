/* From picture to hands: wilor_pipeline_run against WiLoR-mini's predict() (real ultralytics, real
 * model classes, synthetic weights; scripts/make_route_golden.py), hand by hand.
 *
 * Usage: test_route committed|fixtures TIER. The committed part needs nothing but the repository;
 * the fixtures' detectors and pictures are not in it. The tolerances are sums of what each step may
 * differ by: boxes are whole pixels, so the crops are equal and what the detector's rounding would
 * add is nothing; a camera's error is carried through translation and projection hand by hand. */
#include "golden.h"
#include "heap.h"
#include "kernels.h"
#include "wilor/wilor.h"
#include "wilor/wilor_io.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Outputs relative to max(1, largest value) and metres: as tests/golden/test_stages.c. Scores,
 * visibilities, points: ten times what float32 leaves on such detectors (docs/detector.md). */
#define OUTPUTS 4e-6
#define METRES 1e-6
#define SCORE 1e-5
#define VISIBILITY 2e-5
#define NETWORK_PIXELS 2e-3
#define PICTURE_PIXELS 1e-3
#define HAND_CONF 0.05

enum { SAMPLES = 40, NAME = 48, LEAST = 30 };

typedef struct part {
    const char *name, *folder, *detector, *weights, *mano;
    int heads;
} part;

/* What upstream said of one part: arrays over all its hands. */
typedef struct answer {
    int hands, pictures;
    int64_t *names, *picture, *side, *sampled;
    float *box, *score, *detected, *half, *gain, *points, *pixels, *vertices, *cam_t, *pred_cam,
        *betas, *orient, *pose;
} answer;

typedef struct route {
    wilor_model *model;
    wilor_detector *detector;
    wilor_pipeline *pipeline;
} route;

/* Largest difference over what it may be, of everything compared so far. */
typedef enum quantity {
    BOX_SCORE,
    DETECTED,
    KEYPOINTS,
    VERTICES,
    CAMERA,
    TRANSLATION,
    PIXELS,
    BETAS,
    ROTATIONS,
    QUANTITIES
} quantity;

static const char *const g_names[QUANTITIES] = {"score",        "detector's keypoints",
                                                "keypoints, m", "vertices, m",
                                                "pred_cam",     "cam_t",
                                                "2D, px",       "betas",
                                                "rotations"};

typedef struct tally {
    double difference[QUANTITIES], share[QUANTITIES];
    int compared, one_off;
} tally;

static wilor_isa g_isa;
static const part *g_parts;
static int g_part_count;

/* ---------------------------------------------------------------- set-up */

static void read_answer(answer *a, const char *which) {
    char name[64];
    size_t hands, pictures;
    snprintf(name, sizeof name, "detector/route_%s.npz", which);
    wilor_index *index = golden_open(golden_path(WILOR_TEST_DATA, name));
    a->names = golden_i64(index, "names", &pictures);
    a->picture = golden_i64(index, "picture", &hands);
    a->hands = (int)hands;
    a->pictures = (int)(pictures / NAME);
    a->side = golden_i64(index, "side", NULL);
    a->sampled = golden_i64(index, "sampled", NULL);
    a->box = golden_f32(index, "box", NULL);
    a->score = golden_f32(index, "score", NULL);
    a->detected = golden_f32(index, "detected", NULL);
    a->half = golden_f32(index, "half", NULL);
    a->gain = golden_f32(index, "gain", NULL);
    a->points = golden_f32(index, "keypoints_3d", NULL);
    a->pixels = golden_f32(index, "keypoints_2d", NULL);
    a->vertices = golden_f32(index, "vertices", NULL);
    a->cam_t = golden_f32(index, "cam_t", NULL);
    a->pred_cam = golden_f32(index, "pred_cam", NULL);
    a->betas = golden_f32(index, "betas", NULL);
    a->orient = golden_f32(index, "global_orient", NULL);
    a->pose = golden_f32(index, "hand_pose", NULL);
    wilor_index_close(&index);
}

static void free_answer(answer *a) {
    int64_t *whole[] = {a->names, a->picture, a->side, a->sampled};
    float *real[] = {a->box,    a->score,  a->detected, a->half,  a->gain,
                     a->points, a->pixels, a->vertices, a->cam_t, a->pred_cam,
                     a->betas,  a->orient, a->pose};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        wilor_heap_free(whole[i]);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        wilor_heap_free(real[i]);
}

static void open_route(route *r, const part *p, int threads) {
    wilor_error err = {WILOR_OK, ""};
    wilor_model_options mo;
    wilor_detector_options dopt;
    wilor_pipeline_options po;
    wilor_model_options_init(&mo, sizeof mo);
    wilor_detector_options_init(&dopt, sizeof dopt);
    wilor_pipeline_options_init(&po, sizeof po);
    mo.weights = strncmp(p->weights, "random:", 7) == 0 ? p->weights
                                                        : golden_path(p->folder, p->weights);
    mo.mano = p->mano ? golden_path(p->folder, p->mano) : NULL;
    mo.heads = p->heads;
    dopt.detector = golden_path(p->folder, p->detector);
    mo.max_isa = dopt.max_isa = g_isa;
    mo.threads = dopt.threads = po.threads = threads;
    *r = (route){0};
    if (wilor_model_open(&r->model, &mo, &err) != WILOR_OK ||
        wilor_detector_open(&r->detector, &dopt, &err) != WILOR_OK ||
        wilor_pipeline_create(&r->pipeline, r->detector, r->model, &po, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

static void close_route(route *r) {
    wilor_pipeline_free(&r->pipeline);
    wilor_detector_free(&r->detector);
    wilor_model_free(&r->model);
}

/* ---------------------------------------------------------------- one hand */

static void note(tally *t, quantity q, const char *where, const float *got, const float *want,
                 size_t count, double allowed) {
    double d = golden_difference(got, want, count);
    if (d > t->difference[q])
        t->difference[q] = d;
    if (d / allowed > t->share[q])
        t->share[q] = d / allowed;
    if (!(d <= allowed))
        fail_msg("%s: %s differ by %g, allowed %g", where, g_names[q], d, allowed);
}

static double largest(const float *v, int count) {
    double most = 1;
    for (int i = 0; i < count; i++)
        most = fabs((double)v[i]) > most ? fabs((double)v[i]) : most;
    return most;
}

/* Equal, or one side one off because its unrounded place is that near to a half. */
static bool same_box(const float *got, const answer *a, int h, const char *where) {
    const float *want = a->box + h * 4;
    double near = NETWORK_PIXELS / (double)a->gain[h] + PICTURE_PIXELS;
    double d = golden_difference(got, want, 4);
    if (d == 0)
        return true;
    if (d > 1 || (double)a->half[h] > near)
        fail_msg("%s: box %g %g %g %g, upstream's %g %g %g %g", where, (double)got[0],
                 (double)got[1], (double)got[2], (double)got[3], (double)want[0],
                 (double)want[1], (double)want[2], (double)want[3]);
    return false;
}

/* Points are zero where the visibility is below a half: not compared when that is open. */
static void compare_detected(tally *t, const float *got, const answer *a, int h,
                             const char *where) {
    const float *want = a->detected + h * 63;
    double allowed = NETWORK_PIXELS / (double)a->gain[h] + PICTURE_PIXELS;
    for (int k = 0; k < 63; k += 3) {
        if (!(fabs((double)got[k + 2] - (double)want[k + 2]) <= VISIBILITY))
            fail_msg("%s: visibility %g, upstream's %g", where, (double)got[k + 2],
                     (double)want[k + 2]);
        if (fabs((double)want[k + 2] - 0.5) > VISIBILITY)
            note(t, DETECTED, where, got + k, want + k, 2, allowed);
    }
}

/* t = (x, y, 2f/bs) + (tx, ty, 0) with bs = b·s: an error of s moves x, y and z by its share of s. */
static void compare_camera(tally *t, const wilor_hands *hands, int i, const answer *a, int h,
                           const char *where) {
    const float *cam = a->pred_cam + h * 3, *want_t = a->cam_t + h * 3;
    double error = OUTPUTS * largest(cam, 3), share = error / fabs((double)cam[0]);
    double move[3], f = (double)hands->focal[i * 2];
    note(t, CAMERA, where, hands->pred_cam + i * 3, cam, 3, error);
    for (int k = 0; k < 3; k++) {
        double value = fabs((double)want_t[k]);
        move[k] = value * (share + 1.2e-7) + (k < 2 ? error * (1 + share) : 0) + error;
        note(t, TRANSLATION, where, hands->cam_t + i * 3 + k, want_t + k, 1, move[k]);
    }
    for (int k = 0; k < 21; k++) {
        const float *p = a->points + (h * 21 + k) * 3, *want = a->pixels + (h * 21 + k) * 2;
        double z = (double)p[2] + (double)want_t[2];
        for (int axis = 0; axis < 2; axis++) {
            double tangent = fabs(((double)p[axis] + (double)want_t[axis]) / z);
            double allowed = f / fabs(z) * (METRES + move[axis] + tangent * (METRES + move[2]));
            note(t, PIXELS, where, hands->keypoints_2d + (i * 21 + k) * 2 + axis, want + axis,
                 1, allowed + 1.2e-7 * fabs((double)want[axis]));
        }
    }
}

static void compare_hand(tally *t, const wilor_hands *hands, int i, const answer *a, int h,
                         const char *where) {
    float sampled[SAMPLES * 3];
    assert_int_equal(hands->side[i], a->side[h]);
    assert_int_equal(hands->failed[i], 0);
    assert_int_equal(hands->detected[i], 1);
    note(t, BOX_SCORE, where, hands->score + i, a->score + h, 1, SCORE);
    compare_detected(t, hands->detected_keypoints + i * 63, a, h, where);
    if (!same_box(hands->box + i * 4, a, h, where)) {
        t->one_off++;
        return;
    }
    t->compared++;
    note(t, KEYPOINTS, where, hands->keypoints_3d + i * 63, a->points + h * 63, 63, METRES);
    for (int k = 0; k < SAMPLES; k++)
        memcpy(sampled + k * 3, hands->vertices_3d + (i * hands->vertices + a->sampled[k]) * 3,
               3 * sizeof *sampled);
    note(t, VERTICES, where, sampled, a->vertices + h * SAMPLES * 3, SAMPLES * 3, METRES);
    compare_camera(t, hands, i, a, h, where);
    note(t, BETAS, where, hands->betas + i * 10, a->betas + h * 10, 10,
         OUTPUTS * largest(a->betas + h * 10, 10));
    note(t, ROTATIONS, where, hands->global_orient + i * 3, a->orient + h * 3, 3,
         OUTPUTS * largest(a->orient + h * 3, 3));
    note(t, ROTATIONS, where, hands->hand_pose + i * 45, a->pose + h * 45, 45,
         OUTPUTS * largest(a->pose + h * 45, 45));
}

/* ---------------------------------------------------------------- all of them */

static void compare_picture(tally *t, route *r, const part *p, const answer *a, int picture) {
    wilor_error err = {WILOR_OK, ""};
    wilor_image image = {0};
    wilor_detect_options o;
    const wilor_hands *hands;
    char name[NAME + 1] = "", where[128];
    for (int i = 0; i < NAME; i++)
        name[i] = (char)a->names[picture * NAME + i];
    wilor_detect_options_init(&o, sizeof o);
    o.conf = HAND_CONF;
    if (wilor_image_read(&image, golden_path(p->folder, name), 0, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_picture view = wilor_image_view(&image);
    if (wilor_pipeline_run(r->pipeline, &view, NULL, 0, &o, NULL, &hands, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    int first = 0, want = 0;
    for (int h = 0; h < a->hands; h++) {
        first += a->picture[h] < picture;
        want += a->picture[h] == picture;
    }
    if (hands->n != want)
        fail_msg("%s, %s: %d hands, upstream finds %d", p->name, name, hands->n, want);
    for (int i = 0; i < want; i++) {
        snprintf(where, sizeof where, "%s, %s, hand %d", p->name, name, i);
        compare_hand(t, hands, i, a, first + i, where);
    }
    wilor_image_free(&image);
}

static void run_parts(int threads) {
    tally t = {.compared = 0};
    for (int k = 0; k < g_part_count; k++) {
        route r;
        answer a;
        read_answer(&a, g_parts[k].name);
        open_route(&r, &g_parts[k], threads);
        for (int i = 0; i < a.pictures; i++)
            compare_picture(&t, &r, &g_parts[k], &a, i);
        close_route(&r);
        free_answer(&a);
    }
    for (int q = 0; q < QUANTITIES; q++)
        printf("%s, %d threads, %s: %.3g at most (%.0f %% of what is allowed)\n",
               wilor_isa_name(g_isa), threads, g_names[q], t.difference[q], 100 * t.share[q]);
    printf("%d hands compared, %d boxes one off at a half\n", t.compared, t.one_off);
    assert_true(t.compared >= LEAST);
}

static void test_one_thread(void **state) {
    (void)state;
    run_parts(1);
}

static void test_two_threads(void **state) {
    (void)state;
    run_parts(2);
}

int main(int argc, char **argv) {
    static const part committed[] = {{"micro", WILOR_TEST_DATA "/detector", "micro.pt",
                                      "random:hd80", "../hand-cc0.npz", 0}};
    static const part fixtures[] = {{"tiny", WILOR_TEST_FIXTURES, "detector/detector_tiny.pt",
                                     "tiny/wilor_tiny.ckpt", NULL, 4},
                                    {"ema", WILOR_TEST_FIXTURES, "detector/detector_ema.pt",
                                     "hd80/wilor_hd80.ckpt", NULL, 2}};
    if (argc != 3) {
        fprintf(stderr, "usage: %s committed|fixtures TIER\n", argv[0]);
        return 2;
    }
    bool own = strcmp(argv[1], "committed") == 0;
    g_parts = own ? committed : fixtures;
    g_part_count = own ? 1 : 2;
    for (int i = WILOR_ISA_C; i <= WILOR_ISA_NEON; i++)
        if (strcmp(wilor_isa_name((wilor_isa)i), argv[2]) == 0)
            g_isa = (wilor_isa)i;
    if (g_isa == WILOR_ISA_AUTO || !wilor_kernels_get(g_isa)) {
        printf("skipped: this machine has no tier %s\n", argv[2]);
        return 77;
    }
    if (!strstr(wilor_io_formats(), own ? "png" : "jpeg png webp")) {
        printf("skipped: this build reads only: %s\n", wilor_io_formats());
        return 77;
    }
    if (!golden_exists(golden_path(g_parts->folder, g_parts->detector))) {
        printf("skipped: no detector at %s\n", golden_path(g_parts->folder, g_parts->detector));
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_thread),
                                       cmocka_unit_test(test_two_threads)};
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
