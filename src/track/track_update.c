/* Step three: what the model says becomes the hands' next state, or is not believed.
 *
 * Not believed is what is not finite or behind the camera; what jumps, unless the detector sees it there
 * twice; and what lies on another hand: when one hides the other, a model sees the one in front in both crops.
 * Such a hand is not seen in this picture, and lost when that goes on. */
#include "rotation.h"
#include "track_boxes.h"
#include "tracker.h"

#include <math.h>
#include <string.h>

/* A jump: mean way of the keypoints, in units of the hand's size in the picture; change of the logarithm
 * of that size; turn in rad. Further is allowed the longer the hand was not seen. */
static const double far_jump = 0.45, size_jump = 0.4, slack_time = 0.1;
static const double turn_jump = 1, turn_per_second = 12;
/* Two looks at one hand: mean distance of their keypoints, of the hand's size; overlap of their boxes. */
static const double twin_distance = 0.15, one_box = 0.75;
/* A hand may be behind another: so much of its box is in the other's, for so many seconds. */
static const double behind = 0.4, longest_behind = 1;
/* Votes for a side that the model said against the detector: more than one detection has. */
static const double second_look = 2;
/* How a detector's box lies around the keypoints: share of a new one, and what is possible. */
static const double learn = 0.3, least_grow = 0.5, most_grow = 6, most_shift = 2;
static const double border = 2;   /* pixels: a box that ends there is cut */
static const double coast = 0.25; /* s: as wilor_motion_ahead */

/* ---------------------------------------------------------------- sides */

/* The model looked twice and says another side than was asked for: it has the last word. */
static void take_sides(wilor_tracker *t, const wilor_hands *hands) {
    for (int i = 0; i < t->boxes_n; i++) {
        wilor_track *k = t->box_track[i];
        bool right = (hands->side[i] == WILOR_RIGHT) != (hands->mirrored != 0);
        wilor_side side = right ? WILOR_RIGHT : WILOR_LEFT;
        if (!isfinite(t->box_odds[i]) || side == t->boxes[i].side)
            continue;
        t->boxes[i].side = side;
        if (!k)
            continue; /* it begins so */
        k->side = side;
        k->votes = right ? second_look : -second_look;
        k->changed = !k->changed; /* or it is what it was before the vote */
    }
}

/* ---------------------------------------------------------------- looks */

static bool all_finite(const float *x, int n) {
    for (int i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static bool read_look(const wilor_tracker *t, const wilor_hands *h, size_t i, wilor_look *out) {
    const float *points = h->keypoints_3d + i * 63, *betas = h->betas + i * 10;
    if (h->failed[i] || !all_finite(points, 63) || !all_finite(betas, 10) ||
        !all_finite(h->keypoints_2d + i * 42, 42) || !all_finite(h->cam_t + i * 3, 3) ||
        !all_finite(h->rotation + i * 144, 144) || !all_finite(h->focal + i * 2, 2) ||
        !(h->focal[i * 2] > 0) || !(h->focal[i * 2 + 1] > 0))
        return false;
    for (int k = 0; k < 3; k++)
        out->wrist[k] = (double)h->cam_t[i * 3 + (size_t)k] + points[k];
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        double m[9];
        for (int k = 0; k < 9; k++)
            m[k] = h->rotation[i * 144 + (size_t)(9 * j + k)];
        wilor_rotation_to_quaternion_f64(m, out->turns[j]);
    }
    for (int k = 0; k < WILOR_MANO_BETAS; k++)
        out->betas[k] = betas[k];
    out->palm = wilor_palm_given(t->mano, points, betas);
    return out->wrist[2] > 0;
}

/* Further from where it should be than a hand goes. */
static bool jumps(const wilor_tracker *t, const wilor_track *k, const wilor_look *look,
                  const float *pixels) {
    double around[4], way[4], v[3], dt = (double)(t->now - k->seen) * 1e-9;
    if (!k->placed)
        return false;
    if (!wilor_box_around(pixels, around))
        return true;
    double side = wilor_box_side(k->around), slack = 1 + dt / slack_time;
    if (wilor_points_distance(pixels, k->ahead, side) > far_jump * slack ||
        fabs(log(wilor_box_side(around) / side)) > size_jump * slack)
        return true;
    wilor_quaternion_between_f64(k->motion.turn, look->turns[0], way);
    wilor_quaternion_log_f64(way, v);
    return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) > turn_jump + turn_per_second * dt;
}

/* A jump is believed when the detector sees it, and a second time. */
static bool believed(const wilor_tracker *t, wilor_track *k, const wilor_look *look, int found,
                     const float *pixels) {
    if (!k || k->changed || !jumps(t, k, look, pixels)) {
        if (k)
            k->jumped = false;
        return true;
    }
    bool again = k->jumped && found >= 0;
    k->jumped = !again;
    return again;
}

static void read_looks(wilor_tracker *t, const wilor_hands *hands) {
    for (int i = 0; i < t->boxes_n; i++)
        t->box_kept[i] = read_look(t, hands, (size_t)i, &t->looks[i]) &&
                         believed(t, t->box_track[i], &t->looks[i], t->box_found[i],
                                  hands->keypoints_2d + i * 42);
}

/* ---------------------------------------------------------------- two on one hand */

/* How far box i's look is from where its hand should be; new hands and such without a place: worst. */
static double surprise(const wilor_tracker *t, const wilor_hands *hands, int i) {
    const wilor_track *k = t->box_track[i];
    if (!k || !k->placed)
        return INFINITY;
    return wilor_points_distance(hands->keypoints_2d + i * 42, k->ahead,
                                 wilor_box_side(k->around));
}

/* Which of two looks at one hand is not believed: what the detector did not see, then the hand that was
 * not seen before, then the more surprising one, then the younger. */
static int loser(const wilor_tracker *t, const wilor_hands *hands, int a, int b) {
    bool found_a = t->box_found[a] >= 0, found_b = t->box_found[b] >= 0;
    if (found_a != found_b)
        return found_a ? b : a;
    int unseen_a = t->box_track[a] ? t->box_track[a]->unseen : 0;
    int unseen_b = t->box_track[b] ? t->box_track[b]->unseen : 0;
    if ((unseen_a > 0) != (unseen_b > 0))
        return unseen_a > 0 ? a : b;
    return surprise(t, hands, a) > surprise(t, hands, b) ? a : b;
}

static bool are_alike(const wilor_hands *hands, int a, int b) {
    double around[4];
    const float *pa = hands->keypoints_2d + a * 42, *pb = hands->keypoints_2d + b * 42;
    return wilor_box_around(pa, around) &&
           wilor_points_distance(pa, pb, wilor_box_side(around)) < twin_distance;
}

/* Hands do touch: where the detector sees two boxes, both looks stay, unless one has just come from
 * elsewhere. */
static bool are_twins(const wilor_tracker *t, const wilor_hands *hands, int a, int b) {
    if (t->box_found[a] < 0 || t->box_found[b] < 0)
        return are_alike(hands, a, b);
    if (wilor_box_overlap(t->boxes[a].box, t->boxes[b].box) > one_box)
        return true;
    return are_alike(hands, a, b) && surprise(t, hands, loser(t, hands, a, b)) > twin_distance;
}

static void part_twins(wilor_tracker *t, const wilor_hands *hands) {
    for (int a = 0; a < t->boxes_n; a++)
        for (int b = a + 1; b < t->boxes_n; b++)
            if (t->box_kept[a] && t->box_kept[b] && are_twins(t, hands, a, b))
                t->box_kept[loser(t, hands, a, b)] = false;
}

/* ---------------------------------------------------------------- a hand's next state */

static wilor_track *begin(wilor_tracker *t, int i) {
    const wilor_box *b = &t->boxes[i];
    wilor_track *k = t->tracks[t->n++];
    size_t slot = k->slot;
    double votes = b->side == t->found[t->box_found[i]].side ? b->score : second_look;
    *k = (wilor_track){.slot = slot,
                       .id = (uint32_t)t->next_id++,
                       .side = b->side,
                       .votes = b->side == WILOR_RIGHT ? votes : -votes,
                       .score = b->score,
                       .born = t->now,
                       .seen = t->now,
                       .hits = 1,
                       .grow = {1.2, 1.2}};
    return k;
}

/* The detector's box against the one around the keypoints, unless the picture's edge cuts it. */
static void learn_box(const wilor_tracker *t, wilor_track *k, const wilor_box *b,
                      const float *pixels) {
    const double end[2] = {t->width - border, t->height - border};
    double around[4];
    if (b->box[0] < border || b->box[1] < border || b->box[2] > end[0] || b->box[3] > end[1] ||
        !wilor_box_around(pixels, around))
        return;
    for (int i = 0; i < 2; i++) {
        double size = around[2 + i] - around[i];
        if (!(size > 0))
            continue;
        double grow = (b->box[2 + i] - b->box[i]) / size;
        double shift = (b->box[2 + i] + b->box[i] - around[2 + i] - around[i]) / 2 / size;
        double share = k->hits <= 1 ? 1 : learn;
        k->grow[i] += share * (fmin(fmax(grow, least_grow), most_grow) - k->grow[i]);
        k->shift[i] += share * (fmin(fmax(shift, -most_shift), most_shift) - k->shift[i]);
    }
}

static void note_camera(wilor_track *k, const wilor_hands *h, size_t i) {
    k->camera = (wilor_camera){.fx = h->focal[i * 2],
                               .fy = h->focal[i * 2 + 1],
                               .cx = h->principal[i * 2],
                               .cy = h->principal[i * 2 + 1],
                               .given = 1};
    for (size_t j = 0; j < 5; j++)
        k->camera.k[j] = h->distortion[i * 5 + j];
    k->mirrored = h->mirrored;
    for (size_t j = 0; j < 63; j++)
        k->points[j] = h->keypoints_3d[i * 63 + j] - h->keypoints_3d[i * 63 + j % 3];
}

/* Replace the kept row by the hand of the filtered look. */
static void rebuild(wilor_tracker *t, const wilor_track *k, const wilor_look *look) {
    wilor_track_rows *r = &t->kept;
    size_t s = k->slot, v = (size_t)t->hands.vertices;
    float *points = r->keypoints_3d + s * 63, *cam_t = r->cam_t + s * 3;
    double at[3], turn[3];
    wilor_hand_build(t->mano, (wilor_side)r->side[s], look, t->mano_scratch,
                     r->rotation + s * 144, r->vertices_3d + s * v * 3, points);
    for (int i = 0; i < 3; i++) {
        cam_t[i] = (float)(look->wrist[i] - points[i]);
        at[i] = cam_t[i];
    }
    wilor_track_project(&k->camera, k->mirrored, points, at, r->keypoints_2d + s * 42);
    for (size_t i = 0; i < WILOR_MANO_BETAS; i++)
        r->betas[s * 10 + i] = (float)look->betas[i];
    for (size_t j = 0; j < WILOR_MANO_JOINTS; j++) {
        float *to = j == 0 ? r->global_orient + s * 3 : r->hand_pose + s * 45 + 3 * (j - 1);
        wilor_quaternion_log_f64(look->turns[j], turn);
        for (int i = 0; i < 3; i++)
            to[i] = (float)turn[i];
    }
}

/* Box i's look is the hand's. */
static void take_look(wilor_tracker *t, const wilor_hands *h, int i) {
    wilor_track *k = t->box_track[i] ? t->box_track[i] : begin(t, i);
    wilor_look filtered;
    size_t s = k->slot;
    double dt = (double)(t->now - k->seen) * 1e-9;
    if (k->changed) {
        k->motion = (wilor_motion){0};
        k->filter = (wilor_hand_filter){0};
        k->changed = false;
    }
    k->found = t->box_found[i];
    note_camera(k, h, (size_t)i);
    if (k->found >= 0)
        learn_box(t, k, &t->boxes[i], h->keypoints_2d + i * 42);
    wilor_motion_step(&k->motion, &t->looks[i], dt);
    wilor_track_rows_copy(&t->kept, s, h, (size_t)i, (size_t)t->hands.vertices);
    t->kept.score[s] = k->score;
    t->kept.detected[s] = k->found >= 0;
    memset(t->kept.detected_keypoints + s * 63, 0, 63 * sizeof(float));
    if (k->found >= 0)
        memcpy(t->kept.detected_keypoints + s * 63, t->found_points + (size_t)k->found * 63,
               63 * sizeof(float));
    if (t->o.smooth > 0) {
        wilor_hand_filter_step(&k->filter, &t->rules, t->mano, &t->looks[i], dt, &filtered);
        rebuild(t, k, &filtered);
    }
    k->seen = k->excused = t->now;
    k->unseen = 0;
    k->looked = true;
}

/* Another hand is where this one should be. */
static bool is_behind(const wilor_tracker *t, const wilor_track *k) {
    for (int i = 0; k->placed && i < t->n; i++) {
        const wilor_track *other = t->tracks[i];
        if (other != k && other->looked && wilor_box_covered(k->box, other->box) > behind)
            return true;
    }
    return false;
}

/* Lost is what was not seen for so long, not counting up to a second behind another hand. */
static void drop_unseen(wilor_tracker *t) {
    for (int i = t->n - 1; i >= 0; i--) {
        wilor_track *k = t->tracks[i];
        if (k->looked)
            continue;
        k->unseen++;
        if (is_behind(t, k) && (double)(t->now - k->seen) * 1e-9 <= longest_behind)
            k->excused = t->now;
        if ((double)(t->now - k->excused) * 1e-9 > t->o.lost_after)
            wilor_track_end(t, i);
    }
}

/* ---------------------------------------------------------------- what is given out */

/* Where a hand that was not seen should be by now. */
static void move_ahead(const wilor_tracker *t, const wilor_track *k, size_t row) {
    double was[3], is[3], at[3], dt = (double)(t->now - k->seen) * 1e-9;
    const wilor_track_rows *r = &t->given;
    wilor_motion_ahead(&k->motion, 0, was);
    wilor_motion_ahead(&k->motion, dt, is);
    for (int i = 0; i < 3; i++) {
        at[i] = r->cam_t[row * 3 + (size_t)i] + is[i] - was[i];
        r->cam_t[row * 3 + (size_t)i] = (float)at[i];
        t->given_velocity[row * 3 + (size_t)i] *= (float)exp(-dt / coast);
        t->given_spin[row * 3 + (size_t)i] = 0; /* its orientation is given out as it was */
    }
    wilor_track_project(&k->camera, k->mirrored, r->keypoints_3d + row * 63, at,
                        r->keypoints_2d + row * 42);
    for (size_t i = 0; k->placed && i < 4; i++)
        r->box[row * 4 + i] = (float)k->box[i];
    r->detected[row] = 0;
    memset(r->detected_keypoints + row * 63, 0, 63 * sizeof(float));
}

static void give_out(wilor_tracker *t, const wilor_hands *hands) {
    wilor_hands kept = {0};
    int n = 0;
    wilor_track_rows_publish(&t->kept, &kept);
    for (int i = 0; i < t->n; i++) {
        const wilor_track *k = t->tracks[i];
        size_t row = (size_t)n;
        if (!k->looked && !((double)(t->now - k->seen) * 1e-9 <= t->o.hold))
            continue;
        wilor_track_rows_copy(&t->given, row, &kept, k->slot, (size_t)t->hands.vertices);
        t->given_id[row] = k->id;
        t->given_age[row] = t->now - k->born;
        t->given_state[row] = !k->looked      ? WILOR_TRACK_PREDICTED
                              : k->found >= 0 ? WILOR_TRACK_DETECTED
                                              : WILOR_TRACK_TRACKED;
        wilor_motion_velocity(&k->motion, t->given_velocity + 3 * row, t->given_spin + 3 * row);
        if (!k->looked)
            move_ahead(t, k, row);
        n++;
    }
    t->hands.n = n;
    t->hands.mirrored = hands ? hands->mirrored : n > 0 && t->tracks[0]->mirrored;
    memset(t->hands.stage_ms, 0, sizeof t->hands.stage_ms);
    if (hands)
        memcpy(t->hands.stage_ms, hands->stage_ms, sizeof t->hands.stage_ms);
    t->hands.detect_ms = hands ? hands->detect_ms : 0;
    t->hands.rescale = hands ? hands->rescale : t->hands.rescale;
    t->out.lost = t->lost_n;
    t->out.detected = t->detected;
    t->lost_shown = true;
}

/* The detector runs more seldom while it has nothing new to say; tracker.c's plan brings it back. */
static void note_run(wilor_tracker *t) {
    t->since = t->detected ? 0 : t->since + 1;
    if (t->detected)
        t->interval = 2 * t->interval < t->o.detect_every ? 2 * t->interval : t->o.detect_every;
}

static wilor_status check(const wilor_tracker *t, const wilor_hands *hands, wilor_error *err) {
    int begun = 0, n = hands ? hands->n : 0;
    const char *missing = n > 0 ? wilor_track_rows_missing(hands) : NULL;
    if (t->step != WILOR_STEP_UPDATE)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_update: the step before is wilor_tracker_boxes");
    if (n != t->boxes_n)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_update: %d hands for %d boxes", n, t->boxes_n);
    if (missing)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_tracker_update: hands have no %s",
                               missing);
    if (n > 0 && hands->vertices != t->hands.vertices)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_update: hands of %d vertices, the model has %d",
                               hands->vertices, t->hands.vertices);
    for (int i = 0; i < t->boxes_n; i++)
        begun += !t->box_track[i];
    if (t->next_id + (uint64_t)begun > (uint64_t)UINT32_MAX + 1)
        return wilor_error_set(err, WILOR_ERR_LIMIT,
                               "wilor_tracker_update: all %lu ids are used up",
                               (unsigned long)UINT32_MAX);
    return WILOR_OK;
}

wilor_status wilor_tracker_update(wilor_tracker *tracker, const wilor_hands *hands,
                                  const wilor_tracks **out, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_tracker *t = tracker;
    wilor_error_clear(err);
    if (!t || !out)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_update: tracker and out may not be NULL");
    *out = NULL;
    WILOR_TRY(check(t, hands, err));
    take_sides(t, hands);
    read_looks(t, hands);
    part_twins(t, hands);
    for (int i = 0; i < t->boxes_n; i++)
        if (t->box_kept[i])
            take_look(t, hands, i);
    drop_unseen(t);
    note_run(t);
    give_out(t, hands);
    t->step = WILOR_STEP_PLAN;
    *out = &t->out;
done:
    return st;
}
