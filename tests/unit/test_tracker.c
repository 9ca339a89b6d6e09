/* The tracker on hands that are known (bench/track_scene.h): ids and their life, sides, when the detector
 * runs, what is not believed, times, what comes out, errors. A detector and a model without errors, if
 * nothing else is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "golden.h"
#include "heap.h"
#include "rotation.h"
#include "track_boxes.h"
#include "track_scene.h"
#include "tracker.h"

static scene *world;
static const scene_noise clean;

static int open_world(void **state) {
    (void)state;
    wilor_error err;
    world = scene_open(golden_path(WILOR_TEST_DATA, "hand-cc0.npz"), &err);
    if (!world)
        fail_msg("%s", err.text);
    return 0;
}

static int close_world(void **state) {
    (void)state;
    scene_close(world);
    return 0;
}

/* ---------------------------------------------------------------- a run */

typedef struct run {
    wilor_tracker *t;
    int64_t time; /* ns; of the next picture */
    int64_t step;
    scene_hand hands[SCENE_MOST];
    int n;
    scene_noise noise;
    bool blind;   /* the detector finds nothing */
    bool unheard; /* it is not run, though asked for */
    int asked;    /* whether the detector was, in the last picture */
    int boxes;    /* that were looked at */
    /* Changes what the model says. */
    void (*spoil)(struct run *r, wilor_hands *h, float *points);
    wilor_side detected_side; /* with force: of every detection */
    bool force;
    bool tells;      /* the model says the first hand's side of boxes in doubt */
    wilor_box extra; /* another detection, when it has a score */
} run;

static run start(const wilor_tracker_options *given) {
    run r = {.time = 1000, .step = 33333333, .noise = clean};
    wilor_tracker_options o;
    wilor_error err;
    if (wilor_tracker_options_fill(&o, given, &err) != WILOR_OK ||
        wilor_tracker_open(&r.t, scene_mano(world), &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    scene_seed(world, 1);
    return r;
}

static wilor_tracker_options options(double smooth) {
    return (wilor_tracker_options){.struct_size = sizeof(wilor_tracker_options),
                                   .smooth = smooth};
}

static scene_hand hand(wilor_side side, double x, double y, double z) {
    const double wrist[3] = {x, y, z}, turn[3] = {1.57, 0.1, 0.2};
    return scene_pose(side, wrist, turn, 0.3);
}

static const wilor_tracks *picture(run *r) {
    wilor_error err;
    wilor_box found[SCENE_FOUND + 1];
    float points[(SCENE_FOUND + 1) * 63] = {0}, mangled[63];
    const wilor_box *boxes;
    const wilor_tracks *out;
    int n = 0;
    scene_show(world, r->hands, r->n);
    if (wilor_tracker_plan(r->t, r->time, SCENE_WIDTH, SCENE_HEIGHT, &r->asked, &err) !=
        WILOR_OK)
        fail_msg("%s", err.text);
    if (r->unheard)
        r->asked = 0;
    if (r->asked && !r->blind)
        n = scene_detect(world, &r->noise, found, points);
    for (int i = 0; i < n && r->force; i++)
        found[i].side = r->detected_side;
    if (r->asked && r->extra.score > 0)
        found[n++] = r->extra;
    assert_int_equal(
        wilor_tracker_boxes(r->t, r->asked, found, points, n, &boxes, &r->boxes, &err),
        WILOR_OK);
    wilor_hands h = {.n = 0};
    wilor_box asked[16];
    memcpy(asked, boxes, (size_t)r->boxes * sizeof *boxes);
    for (int i = 0; r->tells && i < r->boxes; i++)
        if (isfinite(r->t->box_odds[i]))
            asked[i].side = r->hands[0].side;
    if (r->boxes > 0)
        h = *scene_look(world, &r->noise, asked, r->boxes);
    if (r->spoil)
        r->spoil(r, &h, mangled);
    if (wilor_tracker_update(r->t, r->boxes > 0 ? &h : NULL, &out, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    r->time += r->step;
    return out;
}

static const wilor_tracks *pictures(run *r, int n) {
    const wilor_tracks *out = NULL;
    for (int i = 0; i < n; i++)
        out = picture(r);
    return out;
}

/* ---------------------------------------------------------------- ids */

static void test_no_hand(void **state) {
    (void)state;
    run r = start(NULL);
    for (int i = 0; i < 20; i++) {
        const wilor_tracks *out = picture(&r);
        assert_true(out->hands->n == 0 && out->lost == 0 && out->detected && r.asked);
        assert_int_equal(r.boxes, 0);
    }
    wilor_tracker_free(&r.t);
    assert_null(r.t);
    wilor_tracker_free(&r.t);
    wilor_tracker_free(NULL);
}

static void test_a_life(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 2;
    r.hands[0] = hand(WILOR_RIGHT, 0.22, 0, 0.5);
    r.hands[1] = hand(WILOR_LEFT, -0.22, 0, 0.5);
    const wilor_tracks *out = picture(&r);
    assert_int_equal(out->hands->n, 2);
    assert_true(out->id[0] == 1 && out->id[1] == 2); /* at once, from 1 */
    assert_true(out->state[0] == WILOR_TRACK_DETECTED && out->age_ns[0] == 0);
    assert_true(out->velocity[0] == 0 && out->hands->detected[0]);
    assert_true(out->hands->side[0] == WILOR_RIGHT && out->hands->side[1] == WILOR_LEFT);
    out = pictures(&r, 60);
    assert_true(out->hands->n == 2 && out->id[0] == 1 && out->id[1] == 2);
    assert_int_equal(out->age_ns[1], 60 * r.step);
    assert_true(out->hands->score[0] > 0.6f);
    /* The first goes: not given out, lost after 0.2 s, once. */
    r.hands[0].there = false;
    int without = 0, lost = 0;
    for (int i = 0; i < 30; i++) {
        out = picture(&r);
        without += out->hands->n == 1;
        lost += out->lost;
        if (out->lost) {
            assert_int_equal(out->lost_id[0], 1);
            assert_true(i >= 6 && i <= 6 + 8); /* with what the detector took to see it */
        }
        assert_true(out->id[out->hands->n - 1] == 2);
    }
    assert_true(without >= 20 && lost == 1);
    r.hands[0].there = true; /* lost and found is another id */
    out = pictures(&r, 6);
    assert_true(out->hands->n == 2 && out->id[0] == 2 && out->id[1] == 3);
    wilor_tracker_free(&r.t);
}

/* Found again within 0.2 s it is the same. */
static void test_short_absence(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 1;
    r.hands[0] = hand(WILOR_RIGHT, 0.05, 0, 0.5);
    pictures(&r, 30);
    r.hands[0].there = false;
    pictures(&r, 6);
    r.hands[0].there = true;
    const wilor_tracks *out = pictures(&r, 2);
    assert_true(out->hands->n == 1 && out->id[0] == 1);
    wilor_tracker_free(&r.t);
}

/* Given out while held, predicted; then neither given out nor, later, known. */
static void test_hold(void **state) {
    (void)state;
    wilor_tracker_options o = options(0.5);
    o.hold = 0.3;
    o.detect_every = 1;
    run r = start(&o);
    r.n = 1;
    const wilor_tracks *out = NULL;
    for (int i = 0; i < 30; i++) {
        r.hands[0] = hand(WILOR_RIGHT, -0.1 + 0.3 * i / 30, 0, 0.6);
        out = picture(&r);
    }
    float x = out->hands->cam_t[0];
    r.hands[0].there = false;
    for (int i = 0; i < 12; i++) {
        out = picture(&r);
        if (i == 0)
            continue; /* the first look without a detection is still believed, if it is no jump */
        if (out->hands->n == 0) {
            assert_true(i >= 8 && out->lost <= 1);
            continue;
        }
        assert_int_equal(out->state[0], WILOR_TRACK_PREDICTED);
        assert_true(out->hands->cam_t[0] > x && out->hands->cam_t[0] < x + 0.1f);
        assert_true(!out->hands->detected[0] && out->hands->detected_keypoints[5] == 0);
        /* Its points are where it is said to be. */
        float *p = (float *)(uintptr_t)out->hands->keypoints_3d;
        double at = ((double)p[0] + out->hands->cam_t[0]) /
                        ((double)p[2] + out->hands->cam_t[2]) * 600 +
                    320;
        assert_true(fabs(at - out->hands->keypoints_2d[0]) < 1e-3);
    }
    assert_int_equal(out->hands->n, 0);
    wilor_tracker_free(&r.t);
}

static void test_max_hands(void **state) {
    (void)state;
    wilor_tracker_options o = options(0.5);
    o.max_hands = 2;
    run r = start(&o);
    r.n = 3;
    for (int i = 0; i < 3; i++)
        r.hands[i] = hand(WILOR_RIGHT, -0.22 + 0.26 * i, 0, 0.6);
    for (int i = 0; i < 30; i++) {
        const wilor_tracks *out = picture(&r);
        assert_true(out->hands->n == 2 && out->id[0] == 1 && out->id[1] == 2);
    }
    r.hands[0].there = false; /* there is room for the third then */
    const wilor_tracks *out = pictures(&r, 30);
    assert_true(out->hands->n == 2 && out->id[0] == 2 && out->id[1] == 3);
    wilor_tracker_free(&r.t);
}

/* Whoever crosses whom, with whatever side in front: both keep their ids. */
static void test_crossing(void **state) {
    (void)state;
    for (int c = 0; c < 4; c++) {
        run r = start(NULL);
        r.n = 2;
        r.noise = scene_usual();
        const wilor_tracks *out = NULL;
        uint32_t first = 0;
        for (int i = 0; i < 60; i++) {
            double x = 0.2 - 0.4 * i / 60;
            wilor_side a = c & 1 ? WILOR_LEFT : WILOR_RIGHT,
                       b = c & 2 ? WILOR_LEFT : WILOR_RIGHT;
            /* Right hands reach to the left of their wrists, left ones to the right. */
            r.hands[0] = hand(a, x + (a == WILOR_RIGHT ? 0.09 : -0.09), 0.03, 0.65);
            r.hands[1] = hand(b, -x + (b == WILOR_RIGHT ? 0.09 : -0.09), -0.02, 0.5);
            out = picture(&r);
            if (i == 10)
                for (int h = 0; h < out->hands->n; h++)
                    if (out->hands->cam_t[3 * h + 2] > 0.55f)
                        first = out->id[h];
        }
        assert_int_equal(out->hands->n, 2);
        for (int h = 0; h < 2; h++)
            if (out->hands->cam_t[3 * h + 2] > 0.55f)
                assert_int_equal(out->id[h], first);
        wilor_tracker_free(&r.t);
    }
}

/* ---------------------------------------------------------------- detector */

static int runs(run *r, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) {
        picture(r);
        sum += r->asked;
    }
    return sum;
}

/* Every picture while a hand is new; then seldom; every one again when it is in doubt or two are close. */
static void test_detector_rate(void **state) {
    (void)state;
    static const int every[] = {1, 2, 5, 12};
    for (int e = 0; e < 4; e++) {
        wilor_tracker_options o = options(0.5);
        o.detect_every = every[e];
        run r = start(&o);
        r.n = 1;
        r.hands[0] = hand(WILOR_RIGHT, 0.05, 0, 0.5);
        assert_int_equal(runs(&r, 3), 3);
        runs(&r, 40); /* settled */
        assert_int_equal(runs(&r, 12 * every[e]), 12);
        r.blind = true; /* its next run does not find it: it asks again, at once */
        runs(&r, every[e]);
        assert_int_equal(runs(&r, 5), 5);
        wilor_tracker_free(&r.t);
    }
    run r = start(NULL);
    r.n = 2;
    r.hands[0] = hand(WILOR_RIGHT, 0.12, 0, 0.5);
    r.hands[1] = hand(WILOR_LEFT, 0, 0, 0.5);
    runs(&r, 40);
    assert_int_equal(runs(&r, 10), 10); /* close */
    r.hands[1] = hand(WILOR_LEFT, -0.2, 0, 0.5);
    runs(&r, 60);
    assert_true(runs(&r, 20) <= 5);
    wilor_tracker_free(&r.t);
}

/* The tracked box is the one that the detector gives. */
static void test_boxes_like_the_detectors(void **state) {
    (void)state;
    wilor_error err;
    run r = start(NULL);
    r.n = 1;
    int compared = 0;
    for (int i = 0; i < 60; i++) {
        const wilor_box *boxes;
        wilor_box found[SCENE_FOUND];
        float points[SCENE_FOUND * 63];
        int detect, count;
        r.hands[0] = hand(WILOR_RIGHT, -0.1 + 0.39 * i / 60, 0.02, 0.5); /* and half out */
        if (i < 20) {
            picture(&r);
            continue;
        }
        scene_show(world, r.hands, 1);
        assert_int_equal(
            wilor_tracker_plan(r.t, r.time, SCENE_WIDTH, SCENE_HEIGHT, &detect, &err),
            WILOR_OK);
        assert_int_equal(wilor_tracker_boxes(r.t, 0, NULL, NULL, 0, &boxes, &count, &err),
                         WILOR_OK);
        assert_int_equal(count, 1);
        assert_int_equal(scene_detect(world, &clean, found, points), 1);
        double side = wilor_box_side(found[0].box);
        /* Whole pixels, and a hand of another aspect: 3 % of the crop. */
        assert_true(wilor_box_distance(boxes[0].box, found[0].box) < 0.03 * side);
        assert_true(fabs(wilor_box_side(boxes[0].box) / side - 1) < 0.03);
        compared++;
        r.time++;
        picture(&r); /* plans again: what was begun is forgotten */
    }
    assert_int_equal(compared, 40);
    wilor_tracker_free(&r.t);
}

/* A hand that was taken away is not imagined for ever: a model sees one in every crop. */
static void test_nothing_there(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 1;
    r.hands[0] = hand(WILOR_RIGHT, 0.05, 0, 0.5);
    pictures(&r, 60);
    r.hands[0].there = false;
    int imagined = 0, looked = 0;
    for (int i = 0; i < 60; i++) {
        imagined += picture(&r)->hands->n;
        looked += r.boxes;
    }
    assert_true(imagined <= 6 && looked <= 6);
    wilor_tracker_free(&r.t);
}

/* A weak detection counts when it comes twice. */
static void test_weak_detections(void **state) {
    (void)state;
    run r = start(NULL);
    r.extra = (wilor_box){{100, 100, 180, 190}, 0.4f, WILOR_RIGHT};
    assert_int_equal(picture(&r)->hands->n, 0);
    r.extra.box[0] = 400;
    r.extra.box[2] = 480; /* elsewhere */
    assert_int_equal(picture(&r)->hands->n, 0);
    assert_int_equal(picture(&r)->hands->n, 1);
    wilor_tracker_free(&r.t);
    r = start(NULL);
    r.extra = (wilor_box){{100, 100, 180, 190}, 0.7f, WILOR_RIGHT};
    assert_int_equal(picture(&r)->hands->n, 1);
    wilor_tracker_free(&r.t);
}

/* Boxes that are none, as a detector with a fault may give them. */
static void test_bad_boxes(void **state) {
    (void)state;
    static const wilor_box bad[] = {
        {{NAN, 0, 10, 10}, 0.9f, WILOR_RIGHT},  {{0, 0, INFINITY, 10}, 0.9f, WILOR_RIGHT},
        {{10, 10, 10, 20}, 0.9f, WILOR_RIGHT},  {{20, 10, 10, 20}, 0.9f, WILOR_RIGHT},
        {{0, 0, 1e12, 10}, 0.9f, WILOR_RIGHT},  {{10, 10, 80, 80}, NAN, WILOR_RIGHT},
        {{10, 10, 80, 80}, 0.9f, (wilor_side)7}};
    wilor_error err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        run r = start(NULL);
        const wilor_box *boxes;
        const wilor_tracks *out;
        int detect, count = 9;
        assert_int_equal(wilor_tracker_plan(r.t, 1, 640, 480, &detect, &err), WILOR_OK);
        assert_int_equal(wilor_tracker_boxes(r.t, 1, &bad[i], NULL, 1, &boxes, &count, &err),
                         WILOR_OK);
        assert_int_equal(count, 0);
        assert_int_equal(wilor_tracker_update(r.t, NULL, &out, &err), WILOR_OK);
        wilor_tracker_free(&r.t);
    }
}

/* ---------------------------------------------------------------- sides */

/* A right hand, looked for in every picture, whose side the detector says as it is told. */
static run start_sided(void) {
    wilor_tracker_options o = options(0.5);
    o.detect_every = 1;
    run r = start(&o);
    r.n = 1;
    r.hands[0] = hand(WILOR_RIGHT, 0.05, 0, 0.5);
    r.force = true;
    return r;
}

/* A wrong side now and then changes nothing, one that stays does, with the same id; the first picture of
 * the other side is not mixed with the last one. */
static void test_side_holds(void **state) {
    (void)state;
    run r = start_sided();
    for (int i = 0; i < 120; i++) {
        r.detected_side = i > 10 && i % 5 < 2 ? WILOR_LEFT : WILOR_RIGHT;
        const wilor_tracks *out = picture(&r);
        assert_true(out->hands->n == 1 && out->id[0] == 1);
        assert_int_equal(out->hands->side[0], WILOR_RIGHT);
    }
    r.hands[0] = hand(WILOR_LEFT, -0.08, 0, 0.5);
    r.detected_side = WILOR_LEFT;
    const wilor_tracks *out = pictures(&r, 100);
    assert_true(out->hands->n == 1 && out->hands->side[0] == WILOR_LEFT);
    wilor_tracker_free(&r.t);
}

/* Where places say nothing, sides do. */
static void test_sides_tell_apart(void **state) {
    (void)state;
    run r = start(NULL);
    wilor_error err;
    const wilor_box *boxes;
    int detect, count;
    r.n = 2;
    r.hands[0] = hand(WILOR_RIGHT, 0.11, 0, 0.5);
    r.hands[1] = hand(WILOR_LEFT, -0.11, 0, 0.5);
    pictures(&r, 20);
    const double *a = r.hands[0].around, *b = r.hands[1].around;
    wilor_box found[2] = {{{0}, 0.9f, WILOR_LEFT}, {{0}, 0.9f, WILOR_RIGHT}};
    for (int k = 0; k < 4; k++) { /* both in the middle, the wrong ones a little nearer */
        found[0].box[k] = (a[k] + b[k]) / 2 + (k % 2 ? 0 : 2);
        found[1].box[k] = (a[k] + b[k]) / 2 - (k % 2 ? 0 : 2);
    }
    assert_int_equal(wilor_tracker_plan(r.t, r.time, SCENE_WIDTH, SCENE_HEIGHT, &detect, &err),
                     WILOR_OK);
    assert_int_equal(wilor_tracker_boxes(r.t, 1, found, NULL, 2, &boxes, &count, &err),
                     WILOR_OK);
    assert_int_equal(count, 2);
    assert_true(boxes[0].side == WILOR_RIGHT && boxes[0].box[0] == found[1].box[0]);
    assert_true(boxes[1].side == WILOR_LEFT && boxes[1].box[0] == found[0].box[0]);
    wilor_tracker_free(&r.t);
}

/* What happens to a left hand is the mirror image of what happens to a right one. */
static void test_left_is_mirror(void **state) {
    (void)state;
    run r = start(NULL), l = start(NULL);
    r.n = l.n = 1;
    for (int i = 0; i < 50; i++) {
        double x = 0.1 * sin(0.1 * i);
        const double at_r[3] = {x, 0.02, 0.5}, at_l[3] = {-x, 0.02, 0.5};
        const double turn_r[3] = {1.5, 0.3 * sin(0.2 * i), 0.2},
                     turn_l[3] = {1.5, -turn_r[1], -0.2};
        r.hands[0] = scene_pose(WILOR_RIGHT, at_r, turn_r, 0.4 + 0.2 * sin(0.3 * i));
        l.hands[0] = scene_pose(WILOR_LEFT, at_l, turn_l, 0.4 + 0.2 * sin(0.3 * i));
        const wilor_tracks *a = picture(&r), *b = picture(&l);
        assert_true(a->hands->n == 1 && b->hands->n == 1);
        assert_int_equal(a->state[0], b->state[0]);
        for (int k = 0; k < 63; k++) {
            double p = (double)a->hands->keypoints_3d[k] + a->hands->cam_t[k % 3];
            double q = (double)b->hands->keypoints_3d[k] + b->hands->cam_t[k % 3];
            assert_true(fabs(p - (k % 3 ? 1 : -1) * q) < 2e-6);
        }
        for (int k = 0; k < 3; k++) {
            assert_true(fabsf(a->velocity[k] - (k ? 1.0f : -1.0f) * b->velocity[k]) < 1e-4f);
            assert_true(fabsf(a->spin[k] - (k ? -1.0f : 1.0f) * b->spin[k]) < 1e-4f);
            assert_true(fabsf(a->hands->global_orient[k] -
                              (k ? -1.0f : 1.0f) * b->hands->global_orient[k]) < 1e-5f);
        }
    }
    wilor_tracker_free(&r.t);
    wilor_tracker_free(&l.t);
}

/* ---------------------------------------------------------------- what comes out */

static void keep_look(run *r, wilor_hands *h, float *points) {
    (void)points;
    r->noise = scene_usual();
    h->stage_ms[0] = 7;
}

/* smooth 0: the model's numbers, to the bit. */
static void test_unfiltered(void **state) {
    (void)state;
    wilor_tracker_options o = options(0);
    run r = start(&o);
    wilor_error err;
    r.n = 2;
    r.spoil = keep_look;
    for (int i = 0; i < 40; i++) {
        const wilor_box *boxes;
        const wilor_tracks *out;
        wilor_box found[SCENE_FOUND];
        float points[SCENE_FOUND * 63];
        int detect, count, n;
        r.hands[0] = hand(WILOR_RIGHT, 0.15, 0.002 * i, 0.5);
        r.hands[1] = hand(WILOR_LEFT, -0.15, -0.002 * i, 0.5);
        scene_show(world, r.hands, 2);
        assert_int_equal(
            wilor_tracker_plan(r.t, i + 1, SCENE_WIDTH, SCENE_HEIGHT, &detect, &err), WILOR_OK);
        n = detect ? scene_detect(world, &clean, found, points) : 0;
        assert_int_equal(
            wilor_tracker_boxes(r.t, detect, found, points, n, &boxes, &count, &err), WILOR_OK);
        const wilor_hands *h = scene_look(world, &clean, boxes, count);
        assert_int_equal(wilor_tracker_update(r.t, h, &out, &err), WILOR_OK);
        assert_int_equal(out->hands->n, 2);
        size_t v = (size_t)h->vertices;
        assert_memory_equal(out->hands->keypoints_3d, h->keypoints_3d, 2 * 63 * sizeof(float));
        assert_memory_equal(out->hands->vertices_3d, h->vertices_3d, 2 * 3 * v * sizeof(float));
        assert_memory_equal(out->hands->cam_t, h->cam_t, 2 * 3 * sizeof(float));
        assert_memory_equal(out->hands->keypoints_2d, h->keypoints_2d, 2 * 42 * sizeof(float));
        assert_memory_equal(out->hands->rotation, h->rotation, 2 * 144 * sizeof(float));
        assert_memory_equal(out->hands->hand_pose, h->hand_pose, 2 * 45 * sizeof(float));
        assert_memory_equal(out->hands->betas, h->betas, 2 * 10 * sizeof(float));
        assert_memory_equal(out->hands->crop, h->crop, 2 * 3 * sizeof(float));
        if (detect)
            assert_memory_equal(out->hands->detected_keypoints, points, 63 * sizeof(float));
    }
    wilor_tracker_free(&r.t);
}

/* Filtered: parameters, rotations, points, mesh, translation and pixels are those of one hand, whose
 * shape settles and which trembles less. */
static void test_consistent(void **state) {
    (void)state;
    size_t v = (size_t)wilor_mano_vertices(scene_mano(world));
    float *scratch =
        wilor_heap_alloc(wilor_mano_scratch(scene_mano(world)) + 3 * v, sizeof *scratch);
    float *mesh = scratch + wilor_mano_scratch(scene_mano(world));
    run r = start(NULL);
    r.n = 2;
    r.noise = scene_usual();
    r.noise.miss = r.noise.flip = r.noise.invent = r.noise.twice = 0;
    r.hands[0] = hand(WILOR_RIGHT, 0.15, 0, 0.5);
    r.hands[1] = hand(WILOR_LEFT, -0.15, 0, 0.5);
    float last[20] = {0};
    double moved = 0;
    for (int i = 0; i < 200; i++) {
        const wilor_tracks *out = picture(&r);
        const wilor_hands *h = out->hands;
        assert_int_equal(h->n, 2);
        for (size_t k = 0; k < 2; k++) {
            wilor_look l = {.palm = 0};
            float rotation[144], points[63];
            for (int j = 0; j < 16; j++) {
                const float *t =
                    j == 0 ? h->global_orient + 3 * k : h->hand_pose + 45 * k + 3 * (j - 1);
                wilor_quaternion_exp_f64((const double[3]){t[0], t[1], t[2]}, l.turns[j]);
            }
            for (size_t b = 0; b < 10; b++)
                l.betas[b] = h->betas[10 * k + b];
            wilor_hand_build(scene_mano(world), (wilor_side)h->side[k], &l, scratch, rotation,
                             mesh, points);
            for (size_t p = 0; p < 63; p++)
                assert_true(fabsf(points[p] - h->keypoints_3d[63 * k + p]) < 1e-6f);
            for (size_t p = 0; p < 144; p++)
                assert_true(fabsf(rotation[p] - h->rotation[144 * k + p]) < 1e-6f);
            for (size_t p = 0; p < 3 * v; p++)
                assert_true(fabsf(mesh[p] - h->vertices_3d[3 * v * k + p]) < 1e-6f);
            double x = (double)points[24] + h->cam_t[3 * k],
                   z = (double)points[26] + h->cam_t[3 * k + 2];
            assert_true(fabs(600 * x / z + 320 - h->keypoints_2d[42 * k + 16]) < 1e-2);
        }
        for (int b = 0; b < 10; b++) {
            if (i > 150)
                moved = fmax(moved, fabs((double)h->betas[b] - last[b]));
            last[b] = h->betas[b];
        }
    }
    assert_true(moved < 0.02); /* raw ones move by one and more */
    wilor_tracker_free(&r.t);
    wilor_heap_free(scratch);
}

/* Of a selfie view sides are swapped and x is negated in what comes out, not in the picture. */
static void mirror_all(run *r, wilor_hands *h, float *points) {
    static uint8_t sides[16];
    static float cam_t[48], kp[16 * 63], rotation[16 * 144];
    (void)r;
    (void)points;
    for (int i = 0; i < h->n; i++)
        sides[i] = h->side[i] == WILOR_LEFT ? WILOR_RIGHT : WILOR_LEFT;
    memcpy(cam_t, h->cam_t, (size_t)h->n * 3 * sizeof(float));
    memcpy(kp, h->keypoints_3d, (size_t)h->n * 63 * sizeof(float));
    memcpy(rotation, h->rotation, (size_t)h->n * 144 * sizeof(float));
    wilor_hand_mirror_points(cam_t, (size_t)h->n);
    wilor_hand_mirror_points(kp, (size_t)h->n * 21);
    wilor_hand_mirror_matrices(rotation, (size_t)h->n * 16);
    h->side = sides;
    h->cam_t = cam_t;
    h->keypoints_3d = kp;
    h->rotation = rotation;
    h->mirrored = 1;
}

static void test_mirrored(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 1;
    r.spoil = mirror_all;
    int tracked = 0;
    for (int i = 0; i < 40; i++) {
        r.hands[0] = hand(WILOR_RIGHT, 0.1 + 0.05 * i / 40, 0.02, 0.5);
        const wilor_tracks *out = picture(&r);
        assert_true(out->hands->n == 1 && out->id[0] == 1 && out->hands->mirrored);
        assert_int_equal(out->hands->side[0], WILOR_LEFT);
        tracked += out->state[0] == WILOR_TRACK_TRACKED;
        assert_true(out->hands->cam_t[0] + out->hands->keypoints_3d[0] < 0);
        /* The points in the picture are where the hand is seen. */
        for (int k = 0; k < 42; k++)
            assert_true(fabsf(out->hands->keypoints_2d[k] - r.hands[0].pixels[k]) < 8);
    }
    assert_true(tracked > 20);
    wilor_tracker_free(&r.t);
}

/* What the model says of a side holds against a detector that is wrong all the time, or twice while the model
 * is not asked; a hand that goes on moving is the same to its filter. */
static void test_second_look(void **state) {
    (void)state;
    wilor_tracker_options o = options(0.5);
    o.detect_every = 1;
    for (int mirrored = 0; mirrored < 2; mirrored++) {
        run r = start(&o);
        r.n = 1;
        r.force = r.tells = true;
        r.detected_side = WILOR_LEFT;
        r.spoil = mirrored ? mirror_all : NULL;
        wilor_side want = mirrored ? WILOR_LEFT : WILOR_RIGHT;
        for (int i = 0; i < 60; i++) {
            r.hands[0] = hand(WILOR_RIGHT, -0.15 + 0.3 * i / 60, 0, 0.5);
            if (i == 1 || i == 3)
                r.tells = !r.tells;
            const wilor_tracks *out = picture(&r);
            assert_true(out->hands->n == 1 && out->id[0] == 1);
            assert_int_equal(out->hands->side[0], want);
            assert_true(i < 2 || fabsf(out->velocity[0]) > 0.02f);
        }
        wilor_tracker_free(&r.t);
    }
}

/* A hand that began as the wrong side's is put right when the detector says so once. */
static void test_late_second_look(void **state) {
    (void)state;
    run r = start_sided();
    r.detected_side = WILOR_LEFT;
    const wilor_tracks *out = pictures(&r, 20);
    assert_true(out->hands->n == 1 && out->hands->side[0] == WILOR_LEFT);
    r.tells = true;
    out = picture(&r);
    assert_int_equal(out->hands->side[0], WILOR_LEFT); /* nothing says another side: no doubt */
    r.detected_side = WILOR_RIGHT;
    out = picture(&r);
    assert_true(out->hands->n == 1 && out->id[0] == 1 && out->hands->side[0] == WILOR_RIGHT);
    assert_true(out->velocity[0] == 0 && r.t->tracks[0]->motion.looks == 1);
    r.tells = false; /* the votes from before are gone */
    out = picture(&r);
    assert_int_equal(out->hands->side[0], WILOR_RIGHT);
    r.tells = true;
    r.detected_side = WILOR_LEFT;
    out = pictures(&r, 30);
    assert_true(out->id[0] == 1 && out->hands->side[0] == WILOR_RIGHT);
    wilor_tracker_free(&r.t);
}

typedef enum answer { AS_ASKED, TURNED, FAILED } answer;

/* A picture's detections, told with their odds; the odds of the boxes that are to be looked at, and what the model answers
 * to the first. */
static int boxes_with(run *r, const wilor_box *found, const float *odds, int n, answer first,
                      float *box_odds) {
    wilor_error err;
    const wilor_box *boxes;
    const wilor_tracks *out;
    int count = 0;
    assert_int_equal(
        wilor_tracker_plan(r->t, r->time, SCENE_WIDTH, SCENE_HEIGHT, &r->asked, &err),
        WILOR_OK);
    assert_int_equal(
        wilor_tracker_boxes_odds(r->t, 1, found, NULL, odds, n, &boxes, &count, &err),
        WILOR_OK);
    memcpy(box_odds, r->t->box_odds, (size_t)count * sizeof *box_odds);
    wilor_box asked[4];
    memcpy(asked, boxes, (size_t)count * sizeof *boxes);
    if (first == TURNED)
        asked[0].side = asked[0].side == WILOR_LEFT ? WILOR_RIGHT : WILOR_LEFT;
    static const uint8_t failed[4] = {1};
    wilor_hands h = *scene_look(world, &r->noise, asked, count);
    if (first == FAILED)
        h.failed = failed;
    assert_int_equal(wilor_tracker_update(r->t, &h, &out, &err), WILOR_OK);
    r->time += r->step;
    return count;
}

/* A new hand's are its detection's; a known one's side is in doubt where a detection contradicts it, by the votes that are
 * left, and when the votes have just changed it, to what the detection says. */
static void test_side_odds(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 2;
    r.hands[0] = hand(WILOR_RIGHT, 0.22, 0, 0.5);
    r.hands[1] = hand(WILOR_LEFT, -0.22, 0, 0.5);
    scene_show(world, r.hands, 2);
    wilor_box found[3] = {{{10, 10, 5, 80}, 0.9f, WILOR_RIGHT}, /* none: it is left out */
                          {{0}, 0.9f, WILOR_RIGHT},
                          {{0}, 0.9f, WILOR_LEFT}};
    float odds[3] = {7, 2.5f, 0.75f}, got[4];
    for (int i = 0; i < 2; i++)
        memcpy(found[1 + i].box, r.hands[i].around, sizeof found[1].box);
    assert_int_equal(boxes_with(&r, found, odds, 3, AS_ASKED, got), 2);
    assert_true(got[0] == odds[1] && got[1] == odds[2]);
    assert_int_equal(boxes_with(&r, found, odds, 3, AS_ASKED, got), 2);
    assert_true(got[0] == INFINITY && got[1] == INFINITY);
    /* The first is contradicted until the votes, 1.8 for its side, turn it. */
    found[1].side = WILOR_LEFT;
    odds[1] = 3.5f;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(boxes_with(&r, found, odds, 3, AS_ASKED, got), 2);
        assert_true(fabsf(got[0] - (i ? 0 : 0.9f)) < 1e-6f && got[1] == INFINITY);
        assert_int_equal(r.t->tracks[0]->side, WILOR_RIGHT);
    }
    assert_int_equal(boxes_with(&r, found, odds, 3, FAILED, got), 2);
    assert_true(got[0] == odds[1] && got[1] == INFINITY);
    assert_int_equal(r.t->tracks[0]->side, WILOR_LEFT);
    /* Not seen since, and not found: the votes that turned it. */
    assert_int_equal(boxes_with(&r, found + 2, odds + 2, 1, AS_ASKED, got), 2);
    assert_true(fabsf(got[0] - 0.9f) < 1e-6f && got[1] == INFINITY);
    assert_int_equal(boxes_with(&r, found, odds, 3, TURNED, got), 2);
    assert_true(got[0] == INFINITY && got[1] == INFINITY);
    assert_int_equal(r.t->tracks[0]->side, WILOR_LEFT); /* nobody asked */
    wilor_tracker_reset(r.t); /* nobody tells: a new hand's side is in doubt all the same */
    assert_int_equal(boxes_with(&r, found, NULL, 3, AS_ASKED, got), 2);
    assert_true(got[0] == 0 && got[1] == 0);
    wilor_tracker_free(&r.t);
}

/* A hand of a known palm keeps it while its shape settles. */
static void scale_all(run *r, wilor_hands *h, float *points) {
    static float cam_t[48], kp[16 * 63];
    (void)r;
    (void)points;
    for (int i = 0; i < h->n; i++) {
        const float *from = h->keypoints_3d + 63 * i;
        double scale = wilor_palm_scale(from, 0.12);
        for (int k = 0; k < 63; k++)
            kp[63 * i + k] = (float)(scale * from[k]);
        for (int k = 0; k < 3; k++)
            cam_t[3 * i + k] = (float)(scale * h->cam_t[3 * i + k]);
    }
    h->keypoints_3d = kp;
    h->cam_t = cam_t;
}

static void test_palm(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 1;
    r.noise.shape = 0.5;
    r.spoil = scale_all;
    r.hands[0] = hand(WILOR_RIGHT, 0.1, 0.02, 0.5);
    for (int i = 0; i < 40; i++) {
        const wilor_tracks *out = picture(&r);
        assert_int_equal(out->hands->n, 1);
        const float *p = out->hands->keypoints_3d;
        double palm = sqrt(pow((double)p[27] - p[0], 2) + pow((double)p[28] - p[1], 2) +
                           pow((double)p[29] - p[2], 2));
        assert_true(fabs(palm - 0.12) < 1e-6);
    }
    wilor_tracker_free(&r.t);
}

static void test_velocity(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 1;
    const wilor_tracks *out = NULL;
    for (int i = 0; i < 30; i++) {
        const double t = i / 30.0, wrist[3] = {-0.1 + 0.2 * t, 0, 0.5}, turn[3] = {0, 0, t};
        r.hands[0] = scene_pose(WILOR_RIGHT, wrist, turn, 0.2);
        out = picture(&r);
    }
    assert_int_equal(out->hands->n, 1);
    /* A crop that is not quite in the middle draws the answer with it. */
    assert_true(fabsf(out->velocity[0] - 0.2f) < 0.02f && fabsf(out->velocity[1]) < 0.02f);
    assert_true(fabsf(out->spin[2] - 1.0f) < 0.01f && fabsf(out->spin[0]) < 0.01f);
    wilor_tracker_free(&r.t);
}

/* ---------------------------------------------------------------- what is not believed */

static int spoil_at;

static void spoil_once(run *r, wilor_hands *h, float *points) {
    static uint8_t failed[16] = {1};
    static float cam_t[48], kp[16 * 63];
    (void)points;
    if (r->time / r->step != 30 || h->n < 1)
        return;
    memcpy(cam_t, h->cam_t, sizeof(float) * 3 * (size_t)h->n);
    memcpy(kp, h->keypoints_3d, sizeof(float) * 63 * (size_t)h->n);
    switch (spoil_at) {
    case 0:
        h->failed = failed;
        break;
    case 1:
        kp[5] = NAN;
        break;
    case 2:
        cam_t[1] = INFINITY;
        break;
    case 3:
        cam_t[2] = -1; /* behind the camera */
        break;
    }
    h->cam_t = cam_t;
    h->keypoints_3d = kp;
}

static void test_bad_looks(void **state) {
    (void)state;
    for (spoil_at = 0; spoil_at < 4; spoil_at++) {
        run r = start(NULL);
        r.n = 1;
        r.spoil = spoil_once;
        r.hands[0] = hand(WILOR_RIGHT, 0.1, 0, 0.5);
        int seen = 0;
        for (int i = 0; i < 60; i++) {
            const wilor_tracks *out = picture(&r);
            seen += out->hands->n;
            for (int k = 0; k < out->hands->n * 63; k++)
                assert_true(isfinite(out->hands->keypoints_3d[k]));
            assert_true(out->hands->n == 0 || out->id[0] == 1);
        }
        assert_int_equal(seen, 59);
        wilor_tracker_free(&r.t);
    }
}

/* A jump is not believed at once, but it is when the detector sees the hand there, too. */
static void test_jump(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 1;
    r.hands[0] = hand(WILOR_RIGHT, 0.02, 0, 0.5);
    pictures(&r, 30);
    const double wrist[3] = {0.02, 0, 0.5}, turned[3] = {-1.2, 0.1, 0.2};
    r.hands[0] = scene_pose(WILOR_RIGHT, wrist, turned, 0.3);
    int until = 0;
    const wilor_tracks *out;
    do
        out = picture(&r);
    while ((out->hands->n == 0 || out->id[0] != 1) && ++until < 10);
    assert_true(until >= 1 && until <= 6 && out->id[0] == 1);
    wilor_tracker_free(&r.t);
}

/* The model sees the hand in front in both crops: the other is not given out as its double. */
static void test_hidden(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 2;
    r.hands[0] = hand(WILOR_RIGHT, 0.15, 0, 0.6);
    r.hands[1] = hand(WILOR_RIGHT, -0.15, 0, 0.5);
    pictures(&r, 30);
    for (int i = 0; i <= 30; i++) { /* behind the other */
        r.hands[0] = hand(WILOR_RIGHT, 0.15 - 0.01 * i, 0, 0.6);
        r.hands[1] = hand(WILOR_RIGHT, -0.15 + 0.003 * i, 0, 0.5);
        const wilor_tracks *out = picture(&r);
        const float *p = out->hands->keypoints_2d;
        if (out->hands->n == 2)
            assert_true(wilor_points_distance(p, p + 42, 150) > 0.15);
    }
    const wilor_tracks *out = pictures(&r, 10);
    assert_true(out->hands->n == 1 && out->id[0] == 2 && out->lost == 0);
    for (int i = 0; i < 12; i++) { /* and out again, after 0.6 s */
        r.hands[0] = hand(WILOR_RIGHT, -0.06 + 0.02 * i, 0, 0.6);
        out = picture(&r);
    }
    assert_true(out->hands->n == 2 && out->id[0] == 1 && out->id[1] == 2);
    /* Behind it again, for good: lost after a second and 0.2 s. */
    for (int i = 0; i < 30; i++) {
        r.hands[0] = hand(WILOR_RIGHT, 0.16 - 0.0075 * i, 0, 0.6);
        out = picture(&r);
    }
    assert_true(out->hands->n == 1 && out->lost == 0);
    int lost = 0;
    for (int i = 0; i < 60; i++) {
        out = picture(&r);
        lost += out->lost;
        if (out->lost)
            assert_true(out->lost_id[0] == 1 && i > 15 && i < 37);
    }
    assert_int_equal(lost, 1);
    wilor_tracker_free(&r.t);
}

/* The same where no detector says anything: two looks at one hand are one hand. */
static void test_twins(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 2;
    r.hands[0] = hand(WILOR_RIGHT, 0.15, 0, 0.6);
    r.hands[1] = hand(WILOR_RIGHT, -0.15, 0, 0.5);
    pictures(&r, 30);
    r.unheard = true;
    for (int i = 0; i <= 45; i++) {
        r.hands[0] = hand(WILOR_RIGHT, 0.15 - 0.006 * i, 0, 0.6);
        r.hands[1] = hand(WILOR_RIGHT, -0.15 + 0.001 * i, 0, 0.5);
        const wilor_tracks *out = picture(&r);
        const float *p = out->hands->keypoints_2d;
        if (out->hands->n == 2)
            assert_true(wilor_points_distance(p, p + 42, 150) > 0.15);
        else
            assert_true(out->hands->n == 1 && out->id[0] == 2 && r.hands[0].hidden > 0.3);
    }
    wilor_tracker_free(&r.t);
}

/* ---------------------------------------------------------------- times */

static void test_times(void **state) {
    (void)state;
    run r = start(NULL);
    wilor_error err;
    int detect;
    r.n = 1;
    r.hands[0] = hand(WILOR_RIGHT, 0.1, 0, 0.5);
    pictures(&r, 10);
    int64_t last = r.time - r.step;
    static const int64_t back[] = {0, 1, 1000000000};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            wilor_tracker_plan(r.t, last - back[i], SCENE_WIDTH, SCENE_HEIGHT, &detect, &err),
            WILOR_ERR_ARG);
        assert_non_null(strstr(err.text, "times must rise"));
    }
    const wilor_tracks *out = picture(&r); /* nothing is changed by that */
    assert_true(out->hands->n == 1 && out->id[0] == 1 && out->lost == 0);
    r.time += 1500000000; /* a slow machine: still the same hand */
    out = picture(&r);
    assert_true(out->hands->n == 1 && out->id[0] == 1);
    r.time += 2000000000; /* nothing is known after such a gap */
    out = picture(&r);
    assert_true(out->hands->n == 1 && out->id[0] == 2 && out->lost == 1 &&
                out->lost_id[0] == 1);
    assert_true(r.asked);
    wilor_tracker_reset(r.t); /* and here begins another file */
    wilor_tracker_reset(r.t);
    r.time = INT64_MIN;
    out = picture(&r);
    assert_true(out->hands->n == 1 && out->id[0] == 3 && out->lost == 1 &&
                out->lost_id[0] == 2);
    r.time = INT64_MAX;
    r.step = 0;
    out = picture(&r);
    assert_true(out->id[0] == 4 && out->lost == 1 && out->lost_id[0] == 3);
    assert_int_equal(wilor_tracker_plan(r.t, INT64_MIN, 640, 480, &detect, &err),
                     WILOR_ERR_ARG);
    wilor_tracker_free(&r.t);
}

/* Any rate will do: at one picture a second a hand that moves by its own size is still itself. */
static void test_slow(void **state) {
    (void)state;
    run r = start(NULL);
    r.n = 1;
    r.step = 1000000000;
    for (int i = 0; i < 20; i++) {
        r.hands[0] = hand(WILOR_RIGHT, i % 4 < 2 ? 0.02 : 0.17, 0.05 * (i % 2), 0.5);
        const wilor_tracks *out = picture(&r);
        assert_true(out->hands->n == 1 && out->id[0] == 1);
    }
    wilor_tracker_free(&r.t);
}

static void test_other_size(void **state) {
    (void)state;
    run r = start(NULL);
    wilor_error err;
    const wilor_box *boxes;
    const wilor_tracks *out;
    int detect, count;
    r.n = 1;
    r.hands[0] = hand(WILOR_RIGHT, 0.1, 0, 0.5);
    pictures(&r, 10);
    assert_int_equal(wilor_tracker_plan(r.t, r.time, 1280, 720, &detect, &err), WILOR_OK);
    assert_true(detect);
    assert_int_equal(wilor_tracker_boxes(r.t, 1, NULL, NULL, 0, &boxes, &count, &err),
                     WILOR_OK);
    assert_int_equal(count, 0);
    assert_int_equal(wilor_tracker_update(r.t, NULL, &out, &err), WILOR_OK);
    assert_true(out->hands->n == 0 && out->lost == 1 && out->lost_id[0] == 1);
    wilor_tracker_free(&r.t);
}

/* ---------------------------------------------------------------- errors, memory */

static void test_options(void **state) {
    (void)state;

    static const struct {
        wilor_tracker_options o;
        wilor_status st;
    } cases[] = {
        {{.max_hands = -1}, WILOR_ERR_ARG},    {{.max_hands = 257}, WILOR_ERR_LIMIT},
        {{.detect_every = -1}, WILOR_ERR_ARG}, {{.detect_every = 1001}, WILOR_ERR_LIMIT},
        {{.smooth = -0.1}, WILOR_ERR_ARG},     {{.smooth = 1.1}, WILOR_ERR_ARG},
        {{.smooth = NAN}, WILOR_ERR_ARG},      {{.hold = -1}, WILOR_ERR_ARG},
        {{.hold = NAN}, WILOR_ERR_ARG},        {{.hold = 61}, WILOR_ERR_LIMIT},
        {{.lost_after = -1}, WILOR_ERR_ARG},   {{.lost_after = INFINITY}, WILOR_ERR_LIMIT},
        {{.max_hands = 256}, WILOR_OK},        {{.smooth = 0}, WILOR_OK}};

    wilor_error err;
    wilor_tracker_options own;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(wilor_tracker_options_fill(&own, &cases[i].o, &err), cases[i].st);
    assert_int_equal(wilor_tracker_options_fill(&own, NULL, &err), WILOR_OK);
    assert_true(own.smooth == 0.5 && own.max_hands == 16 && own.detect_every == 5 &&
                own.lost_after == 0.2 && own.hold == 0);
}

/* Steps out of order, and arrays that do not fit. */
static void test_steps(void **state) {
    (void)state;
    run r = start(NULL);
    wilor_error err;
    const wilor_box *boxes;
    const wilor_tracks *out;
    wilor_box b = {{100, 100, 200, 200}, 0.9f, WILOR_RIGHT};
    int detect, count;
    assert_int_equal(wilor_tracker_boxes(r.t, 0, NULL, NULL, 0, &boxes, &count, &err),
                     WILOR_ERR_ARG);
    assert_int_equal(wilor_tracker_update(r.t, NULL, &out, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_tracker_plan(r.t, 5, 0, 480, &detect, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_tracker_plan(r.t, 5, 640, 480, &detect, &err), WILOR_OK);
    assert_int_equal(wilor_tracker_update(r.t, NULL, &out, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_tracker_boxes(r.t, 1, NULL, NULL, 1, &boxes, &count, &err),
                     WILOR_ERR_ARG);
    assert_int_equal(wilor_tracker_boxes(r.t, 1, &b, NULL, 1, &boxes, &count, &err), WILOR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(wilor_tracker_update(r.t, NULL, &out, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "0 hands for 1"));
    wilor_hands h = *scene_look(world, &clean, boxes, 1);
    h.rotation = NULL;
    assert_int_equal(wilor_tracker_update(r.t, &h, &out, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "rotation"));
    h = *scene_look(world, &clean, boxes, 1);
    h.vertices++;
    assert_int_equal(wilor_tracker_update(r.t, &h, &out, &err), WILOR_ERR_ARG);
    h.vertices--;
    r.t->next_id = (uint64_t)UINT32_MAX + 1;
    assert_int_equal(wilor_tracker_update(r.t, &h, &out, &err), WILOR_ERR_LIMIT);
    assert_null(out);
    r.t->next_id--;
    assert_int_equal(wilor_tracker_update(r.t, &h, &out, &err), WILOR_OK);
    assert_true(out->hands->n == 1 && out->id[0] == UINT32_MAX);
    wilor_tracker_free(&r.t);
}

/* The same pictures give the same bits; 1,000 of them take no memory. */
static void test_same_and_no_memory(void **state) {
    (void)state;
    float kept[2][63];
    for (int pass = 0; pass < 2; pass++) {
        run r = start(NULL);
        r.n = 2;
        r.noise = scene_usual();
        long before = 0;
        const wilor_tracks *out = NULL;
        for (int i = 0; i < 1010; i++) {
            double x = 0.18 * cos(0.02 * i);
            r.hands[0] = hand(WILOR_RIGHT, x, 0.03, 0.65);
            r.hands[1] = hand(WILOR_LEFT, -x, -0.02, 0.5);
            r.hands[1].there = i % 300 < 250;
            if (i == 10)
                before = wilor_heap_calls();
            out = picture(&r);
        }
        assert_int_equal(wilor_heap_calls(), before);
        assert_true(out->hands->n > 0);
        memcpy(kept[pass], out->hands->keypoints_3d, sizeof kept[pass]);
        wilor_tracker_free(&r.t);
    }
    assert_memory_equal(kept[0], kept[1], sizeof kept[0]);
}

static void test_allocations_fail(void **state) {
    (void)state;
    wilor_tracker_options o;
    wilor_error err;
    assert_int_equal(wilor_tracker_options_fill(&o, NULL, &err), WILOR_OK);
    for (int n = 0; n < 2; n++) {
        wilor_tracker *t = NULL;
        wilor_heap_fail_at(n);
        wilor_status st = wilor_tracker_open(&t, scene_mano(world), &o, &err);
        wilor_heap_fail_at(-1);
        assert_int_equal(st, WILOR_ERR_NOMEM);
        assert_null(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_hand),
                                       cmocka_unit_test(test_a_life),
                                       cmocka_unit_test(test_short_absence),
                                       cmocka_unit_test(test_hold),
                                       cmocka_unit_test(test_max_hands),
                                       cmocka_unit_test(test_crossing),
                                       cmocka_unit_test(test_detector_rate),
                                       cmocka_unit_test(test_boxes_like_the_detectors),
                                       cmocka_unit_test(test_nothing_there),
                                       cmocka_unit_test(test_weak_detections),
                                       cmocka_unit_test(test_bad_boxes),
                                       cmocka_unit_test(test_side_holds),
                                       cmocka_unit_test(test_sides_tell_apart),
                                       cmocka_unit_test(test_left_is_mirror),
                                       cmocka_unit_test(test_unfiltered),
                                       cmocka_unit_test(test_consistent),
                                       cmocka_unit_test(test_mirrored),
                                       cmocka_unit_test(test_second_look),
                                       cmocka_unit_test(test_late_second_look),
                                       cmocka_unit_test(test_side_odds),
                                       cmocka_unit_test(test_palm),
                                       cmocka_unit_test(test_velocity),
                                       cmocka_unit_test(test_bad_looks),
                                       cmocka_unit_test(test_jump),
                                       cmocka_unit_test(test_hidden),
                                       cmocka_unit_test(test_twins),
                                       cmocka_unit_test(test_times),
                                       cmocka_unit_test(test_slow),
                                       cmocka_unit_test(test_other_size),
                                       cmocka_unit_test(test_options),
                                       cmocka_unit_test(test_steps),
                                       cmocka_unit_test(test_same_and_no_memory),
                                       cmocka_unit_test(test_allocations_fail)};
    return cmocka_run_group_tests_name("tracker", tests, open_world, close_world);
}
