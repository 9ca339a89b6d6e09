/* A tracker's life, and its plan for a picture: where every known hand should be, and whether the
 * detector is needed. The rules are docs/live.md's; the numbers here are theirs.
 *
 * The detector costs a seventh of a hand's pose, so it runs when it can tell something: always while no
 * hand is known, one is new, in doubt, half outside or close to another; else less and less often, up to
 * every detect_every pictures, because a pose model sees a hand in every crop and only the detector can
 * say that there is none. */
#include "tracker.h"
#include "track_boxes.h"

#include <math.h>
#include <string.h>

enum { DEFAULT_HANDS = 16, MOST_HANDS = 256, DEFAULT_EVERY = 5, MOST_EVERY = 1000 };

static const double default_lost = 0.2, most_time = 60; /* seconds */
static const int64_t longest_gap = 2000000000;          /* ns; after it nothing is known */
static const double well_inside =
    0.7; /* of its box in the picture: a hand that does not leave */
static const double close_by =
    0.1; /* overlap of two hands' boxes that may be taken for each other */

/* ---------------------------------------------------------------- create */

wilor_status wilor_tracker_options_fill(wilor_tracker_options *own,
                                        const wilor_tracker_options *o, wilor_error *err) {
    *own = o ? *o : (wilor_tracker_options){.struct_size = sizeof *own, .smooth = 0.5};
    if (own->max_hands < 0 || own->detect_every < 0)
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "wilor_tracker_options: max_hands %d, detect_every %d: none may be negative",
            own->max_hands, own->detect_every);
    if (!(own->smooth >= 0 && own->smooth <= 1))
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_options: smooth is %g, not between 0 and 1",
                               own->smooth);
    if (!(own->hold >= 0) || !(own->lost_after >= 0))
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_options: hold %g s, lost_after %g s: none may be "
                               "negative",
                               own->hold, own->lost_after);
    if (own->max_hands > MOST_HANDS || own->detect_every > MOST_EVERY ||
        own->hold > most_time || own->lost_after > most_time)
        return wilor_error_set(err, WILOR_ERR_LIMIT,
                               "wilor_tracker_options: max_hands %d, detect_every %d, hold %g "
                               "s, lost_after %g s; the limits are %d, %d, %g s, %g s",
                               own->max_hands, own->detect_every, own->hold, own->lost_after,
                               MOST_HANDS, MOST_EVERY, most_time, most_time);
    own->max_hands = own->max_hands ? own->max_hands : DEFAULT_HANDS;
    own->detect_every = own->detect_every ? own->detect_every : DEFAULT_EVERY;
    own->lost_after = own->lost_after > 0 ? own->lost_after : default_lost;
    own->lost_after = fmax(own->lost_after, own->hold);
    return WILOR_OK;
}

/* All arrays, from an arena that may only be measuring. */
static void push_arrays(wilor_tracker *t, wilor_arena *a) {
    int hands = t->o.max_hands, columns = t->found_most + hands;
    size_t n = (size_t)hands, found = (size_t)t->found_most, f = sizeof(float);
    size_t v = (size_t)wilor_mano_vertices(t->mano);
    t->pool = wilor_arena_push(a, n, sizeof *t->pool);
    t->tracks = wilor_arena_push(a, n, sizeof *t->tracks);
    t->found = wilor_arena_push(a, found, sizeof *t->found);
    t->found_points = wilor_arena_push(a, found, 63 * f);
    t->found_odds = wilor_arena_push(a, found, f);
    t->found_used = wilor_arena_push(a, found, sizeof *t->found_used);
    t->hopes = wilor_arena_push(a, found, sizeof *t->hopes);
    t->boxes = wilor_arena_push(a, n, sizeof *t->boxes);
    t->box_track = wilor_arena_push(a, n, sizeof *t->box_track);
    t->box_found = wilor_arena_push(a, n, sizeof *t->box_found);
    t->box_odds = wilor_arena_push(a, n, f);
    t->looks = wilor_arena_push(a, n, sizeof *t->looks);
    t->box_kept = wilor_arena_push(a, n, sizeof *t->box_kept);
    t->cost = wilor_arena_push(a, n * (size_t)columns, sizeof *t->cost);
    t->assign_scratch = wilor_arena_push(a, 1, wilor_assign_scratch(hands, columns));
    t->assigned = wilor_arena_push(a, n, sizeof *t->assigned);
    t->mano_scratch = wilor_arena_push(a, wilor_mano_scratch(t->mano), f);
    wilor_track_rows_push(&t->kept, a, n, v);
    wilor_track_rows_push(&t->given, a, n, v);
    t->lost = wilor_arena_push(a, n, sizeof *t->lost);
    t->given_id = wilor_arena_push(a, n, sizeof *t->given_id);
    t->given_state = wilor_arena_push(a, n, 1);
    t->given_age = wilor_arena_push(a, n, sizeof *t->given_age);
    t->given_velocity = wilor_arena_push(a, n, 3 * f);
    t->given_spin = wilor_arena_push(a, n, 3 * f);
}

static void publish(wilor_tracker *t) {
    t->hands.vertices = wilor_mano_vertices(t->mano);
    wilor_track_rows_publish(&t->given, &t->hands);
    t->out = (wilor_tracks){.hands = &t->hands,
                            .id = t->given_id,
                            .state = t->given_state,
                            .age_ns = t->given_age,
                            .velocity = t->given_velocity,
                            .spin = t->given_spin,
                            .lost_id = t->lost};
}

wilor_status wilor_tracker_open(wilor_tracker **out, const wilor_mano *mano,
                                const wilor_tracker_options *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_tracker *t = wilor_heap_alloc(1, sizeof *t);
    wilor_arena measure;
    *out = NULL;
    if (!t)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a tracker");
    t->mano = mano;
    t->o = *o;
    t->found_most = 2 * o->max_hands + 8; /* more hide no hand: the best come first */
    if (o->smooth > 0)
        t->rules = wilor_filter_rules_for(o->smooth);
    wilor_arena_begin(&measure, NULL, 0);
    push_arrays(t, &measure);
    size_t bytes = wilor_arena_used(&measure);
    t->block = wilor_heap_alloc(1, bytes + WILOR_ALIGN);
    if (!t->block)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to follow %d hands", o->max_hands);
    uintptr_t at = ((uintptr_t)t->block + WILOR_ALIGN - 1) / WILOR_ALIGN * WILOR_ALIGN;
    wilor_arena_begin(&t->arena, (void *)at, bytes);
    push_arrays(t, &t->arena);
    for (int i = 0; i < o->max_hands; i++) {
        t->tracks[i] = &t->pool[i];
        t->pool[i].slot = (size_t)i;
    }
    t->next_id = 1;
    t->interval = 1;
    publish(t);
    *out = t;
    t = NULL;
done:
    wilor_tracker_free(&t);
    return st;
}

void wilor_tracker_free(wilor_tracker **tracker) {
    wilor_tracker *t = tracker ? *tracker : NULL;
    if (!t)
        return;
    if (t->block)
        wilor_arena_end(&t->arena);
    wilor_heap_free(t->block);
    wilor_heap_free(t);
    *tracker = NULL;
}

/* ---------------------------------------------------------------- ends */

void wilor_track_end(wilor_tracker *t, int i) {
    wilor_track *gone = t->tracks[i];
    t->lost[t->lost_n++] =
        gone->id; /* hands begin in updates, where the list was shown: it holds
                                        no more than there are hands */
    for (t->n--; i < t->n; i++)
        t->tracks[i] = t->tracks[i + 1];
    t->tracks[t->n] = gone;
}

/* What the last result showed is no news any more. */
static void forget_lost(wilor_tracker *t) {
    if (t->lost_shown)
        t->lost_n = 0;
    t->lost_shown = false;
}

static void end_all(wilor_tracker *t) {
    while (t->n > 0)
        wilor_track_end(t, t->n - 1);
    t->hopes_n = 0;
    t->interval = 1;
}

void wilor_tracker_reset(wilor_tracker *tracker) {
    forget_lost(tracker);
    end_all(tracker);
    tracker->started = false;
    tracker->step = WILOR_STEP_PLAN;
}

/* ---------------------------------------------------------------- plan */

void wilor_track_project(const wilor_camera *camera, int mirrored, const float *keypoints,
                         const double t[3], float *pixels) {
    float points[63];
    double at[3] = {mirrored ? -t[0] : t[0], t[1], t[2]};
    memcpy(points, keypoints, sizeof points);
    if (mirrored) /* 3D was negated in x, the picture was not */
        wilor_hand_mirror_points(points, 21);
    wilor_camera_project(camera, points, 21, at, pixels);
}

static void clip(double box[4], int width, int height) {
    for (int i = 0; i < 4; i++)
        box[i] = fmin(fmax(box[i], 0), i % 2 ? height : width);
}

/* Where the hand should be in the picture, dt seconds after it was seen. */
static void look_ahead(const wilor_tracker *t, wilor_track *k) {
    double wrist[3], dt = (double)(t->now - k->seen) * 1e-9;
    k->found = -1;
    k->looked = false;
    k->placed = false;
    k->inside = 0;
    wilor_motion_ahead(&k->motion, dt, wrist);
    wilor_track_project(&k->camera, k->mirrored, k->points, wrist, k->ahead);
    if (!wilor_box_around(k->ahead, k->around))
        return; /* so close to the camera that nothing can be said */
    for (int i = 0; i < 2; i++) {
        double size = k->around[2 + i] - k->around[i];
        double middle = (k->around[2 + i] + k->around[i]) / 2 + k->shift[i] * size;
        k->box[i] = middle - k->grow[i] * size / 2;
        k->box[2 + i] = middle + k->grow[i] * size / 2;
    }
    k->placed = true;
    k->inside = wilor_box_inside(k->box, t->width, t->height);
    if (k->inside > 0) /* the detector sees no more than that, either */
        clip(k->box, t->width, t->height);
}

/* Whether the detector has something to say of hand i. */
static bool in_doubt(const wilor_tracker *t, int i) {
    const wilor_track *k = t->tracks[i];
    if (k->hits < WILOR_TRACK_UNSURE_HITS || k->failed > 0 || k->unseen > 0 ||
        k->inside < well_inside)
        return true;
    for (int j = 0; j < t->n; j++)
        if (j != i && wilor_box_overlap(k->box, t->tracks[j]->box) > close_by)
            return true;
    return false;
}

static bool wants_detector(wilor_tracker *t) {
    bool doubt = t->n == 0 || t->hopes_n > 0;
    for (int i = 0; i < t->n && !doubt; i++)
        doubt = in_doubt(t, i);
    if (doubt)
        t->interval = 1;
    return doubt || t->since + 1 >= t->interval;
}

wilor_status wilor_tracker_plan(wilor_tracker *tracker, int64_t time_ns, int width, int height,
                                int *detect, wilor_error *err) {
    wilor_tracker *t = tracker;
    wilor_error_clear(err);
    if (!t || !detect)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_plan: tracker and detect may not be NULL");
    if (width < 1 || height < 1)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_plan: a picture of %d x %d pixels", width,
                               height);
    if (t->started && time_ns <= t->now)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_plan: a picture of %lld ns after one of %lld ns: "
                               "times must rise",
                               (long long)time_ns, (long long)t->now);
    forget_lost(t);
    /* The difference as unsigned: two ends of the clock are further apart than an int64 can say. */
    bool gap = t->started && (uint64_t)time_ns - (uint64_t)t->now > (uint64_t)longest_gap;
    if (gap || width != t->width || height != t->height)
        end_all(t);
    t->now = time_ns;
    t->started = true;
    t->width = width;
    t->height = height;
    t->detected = false;
    t->boxes_n = t->found_n = 0;
    for (int i = 0; i < t->n; i++)
        look_ahead(t, t->tracks[i]);
    *detect = wants_detector(t);
    t->step = WILOR_STEP_BOXES;
    return WILOR_OK;
}
