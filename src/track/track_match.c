/* Step two of a picture: which detection is which hand, and where to look.
 *
 * Hands and detections are assigned all at once (assign.h), so that two hands that cross do not take each
 * other's box because one was asked first. A pair's likeness is overlap with the predicted box, nearness,
 * and the pose: the detector's keypoints against the predicted ones. A side that differs counts against
 * it, but does not exclude it: detectors take sides wrongly, most of all of hands that overlap, and the
 * votes of all detections decide what a hand is. */
#include "track_boxes.h"
#include "tracker.h"

#include <math.h>
#include <string.h>

/* What may be the same hand: how alike, with how much overlap or within reach, at most so much larger or
 * smaller (logarithm of the box's side). */
static const double least_likeness = 0.15, least_overlap = 0.1, largest_change = 0.8;
/* What counts against it: another side; a hand that was not seen lately, where two want one box. */
static const double side_counts = 0.2, stale_counts = 0.4, stale_time = 0.2;
/* Votes: at most so many are kept, and a hand changes sides when so many are against it. */
static const double most_votes = 6, other_side = 0.5;
/* A detection of this score is a hand at once; a weaker one where the last run had one that overlaps. */
static const float sure = 0.6f;
static const double same_hope = 0.3;
static const double same_place = 0.55; /* overlap of two detections of one hand */
/* To look at a hand that was not found, so much of its box must be in the picture, and no more in the box
 * of one that was; and it must have some pixels. */
static const double enough_inside = 0.3, hidden = 0.4, fewest_pixels = 4;
static const double most_pixels = 1e8; /* a coordinate that makes sense */

/* ---------------------------------------------------------------- what was found */

static bool sound(const wilor_box *b) {
    for (int i = 0; i < 4; i++)
        if (!(fabs(b->box[i]) <= most_pixels))
            return false;
    return b->box[2] > b->box[0] && b->box[3] > b->box[1] && isfinite(b->score) &&
           wilor_box_side(b->box) >= 1 && (b->side == WILOR_LEFT || b->side == WILOR_RIGHT);
}

static void note_found(wilor_tracker *t, const wilor_box *found, const float *keypoints,
                       const float *side_odds, int n) {
    for (int i = 0; i < n && t->found_n < t->found_most; i++) {
        float *points = t->found_points + (size_t)t->found_n * 63;
        if (!sound(&found[i]))
            continue;
        memset(points, 0, 63 * sizeof *points);
        if (keypoints)
            memcpy(points, keypoints + (size_t)i * 63, 63 * sizeof *points);
        t->found_odds[t->found_n] = side_odds ? side_odds[i] : 0;
        t->found_used[t->found_n] = false;
        t->found[t->found_n++] = found[i];
    }
}

/* ---------------------------------------------------------------- who is who */

/* Below least_likeness they are not the same. */
static double likeness(const wilor_tracker *t, const wilor_track *k, int d) {
    const wilor_box *b = &t->found[d];
    if (!k->placed)
        return 0;
    double side = wilor_box_side(k->box), dt = (double)(t->now - k->seen) * 1e-9;
    if (!(fabs(log(wilor_box_side(b->box) / side)) < largest_change))
        return 0;
    double overlap = wilor_box_overlap(k->box, b->box);
    double reach = side * (0.5 + fmin(dt / 0.2, 1.5)); /* predictions get worse with time */
    double away = wilor_box_distance(k->box, b->box) / reach;
    if (overlap < least_overlap && away > 1)
        return 0;
    double near = exp(-away * away);
    double points = wilor_points_similarity(k->ahead, t->found_points + (size_t)d * 63,
                                            wilor_box_side(k->around));
    double like =
        points < 0 ? 0.6 * overlap + 0.4 * near : 0.35 * overlap + 0.35 * points + 0.3 * near;
    return b->side == k->side ? like : like - side_counts * fmin(fabs(k->votes), 1);
}

/* Every hand may also go without: so many columns more. */
static void assign(wilor_tracker *t) {
    int columns = t->found_n + t->n;
    for (int i = 0; i < t->n; i++) {
        double *row = t->cost + (size_t)i * (size_t)columns;
        /* Of two hands in one place, the one in front is that which was seen all along. */
        double unseen = (double)(t->now - t->tracks[i]->seen) * 1e-9;
        double fresh =
            t->tracks[i]->unseen > 0 ? 1 - stale_counts * fmin(unseen / stale_time, 1) : 1;
        for (int d = 0; d < t->found_n; d++) {
            double like = likeness(t, t->tracks[i], d);
            row[d] =
                like > least_likeness ? -least_likeness - fresh * (like - least_likeness) : 1;
        }
        for (int c = t->found_n; c < columns; c++)
            row[c] = -least_likeness;
    }
    wilor_assign(t->cost, t->n, columns, t->assign_scratch, t->assigned);
    for (int i = 0; i < t->n; i++)
        if (t->assigned[i] < t->found_n) {
            t->tracks[i]->found = t->assigned[i];
            t->found_used[t->assigned[i]] = true;
        }
}

static void vote(wilor_track *k, const wilor_box *b) {
    k->votes += b->side == WILOR_RIGHT ? b->score : -b->score;
    k->votes = fmin(fmax(k->votes, -most_votes), most_votes);
    wilor_side now = k->votes > other_side    ? WILOR_RIGHT
                     : k->votes < -other_side ? WILOR_LEFT
                                              : k->side;
    k->changed = k->changed || now != k->side;
    k->side = now;
}

static void match(wilor_tracker *t) {
    if (t->n > 0)
        assign(t);
    for (int i = 0; i < t->n; i++) {
        wilor_track *k = t->tracks[i];
        if (k->found < 0) {
            k->failed++;
            continue;
        }
        k->failed = 0;
        k->hits++;
        k->score = t->found[k->found].score;
        vote(k, &t->found[k->found]);
    }
}

/* ---------------------------------------------------------------- where to look */

/* A side is in doubt where one detection alone says it, and where a hand's last one says another: then what speaks for it
 * are the votes that are left, taken for odds. (Six, the most, are 400 to 1: less than six detections would be if each looked at
 * something else.) */
static float side_odds(const wilor_tracker *t, const wilor_track *k, int found) {
    bool against = k && found >= 0 && t->found[found].side != k->side;
    if (k && !k->changed && !against)
        return INFINITY;
    if (k && (against || found < 0))
        return (float)fmax(k->side == WILOR_RIGHT ? k->votes : -k->votes, 0);
    return t->found_odds[found];
}

static void add_box(wilor_tracker *t, const wilor_box *b, wilor_track *k, int found) {
    t->boxes[t->boxes_n] = *b;
    t->box_track[t->boxes_n] = k;
    t->box_found[t->boxes_n] = found;
    t->box_odds[t->boxes_n] = side_odds(t, k, found);
    t->boxes_n++;
}

/* Behind another hand: the model would see that one. */
static bool is_hidden(const wilor_tracker *t, const wilor_track *k) {
    for (int i = 0; t->detected && i < t->n; i++) {
        const wilor_track *other = t->tracks[i];
        if (other != k && other->found >= 0 &&
            wilor_box_covered(k->box, t->found[other->found].box) > hidden)
            return true;
    }
    return false;
}

static void add_known(wilor_tracker *t) {
    for (int i = 0; i < t->n; i++) {
        wilor_track *k = t->tracks[i];
        wilor_box b = {.score = k->score, .side = k->side};
        if (k->found >= 0)
            memcpy(b.box, t->found[k->found].box, sizeof b.box);
        else if (k->placed && k->failed < WILOR_TRACK_FAILS && k->inside >= enough_inside &&
                 wilor_box_side(k->box) >= fewest_pixels && !is_hidden(t, k))
            memcpy(b.box, k->box, sizeof b.box);
        else
            continue;
        add_box(t, &b, k, k->found);
    }
}

/* The hand is among the boxes already: taken for the other side, or found twice. */
static bool is_known(const wilor_tracker *t, const wilor_box *b) {
    for (int i = 0; i < t->boxes_n; i++)
        if (wilor_box_overlap(t->boxes[i].box, b->box) > same_place)
            return true;
    return false;
}

static bool was_hoped_for(const wilor_tracker *t, const wilor_box *b) {
    for (int i = 0; i < t->hopes_n; i++)
        if (wilor_box_overlap(t->hopes[i].box, b->box) > same_hope)
            return true;
    return false;
}

/* A weak detection is a hand when the next run has it again. */
static void add_new(wilor_tracker *t) {
    int room = t->o.max_hands - t->n;
    for (int d = 0; d < t->found_n && room > 0; d++) {
        const wilor_box *b = &t->found[d];
        if (t->found_used[d] || is_known(t, b) || !(b->score >= sure || was_hoped_for(t, b)))
            continue;
        t->found_used[d] = true;
        add_box(t, b, NULL, d);
        room--;
    }
    t->hopes_n = 0;
    for (int d = 0; d < t->found_n; d++)
        if (!t->found_used[d] && !is_known(t, &t->found[d]))
            t->hopes[t->hopes_n++] = t->found[d];
}

wilor_status wilor_tracker_boxes(wilor_tracker *tracker, int detected, const wilor_box *found,
                                 const float *keypoints, int n, const wilor_box **boxes,
                                 int *count, wilor_error *err) {
    return wilor_tracker_boxes_odds(tracker, detected, found, keypoints, NULL, n, boxes, count,
                                    err);
}

wilor_status wilor_tracker_boxes_odds(wilor_tracker *tracker, int detected,
                                      const wilor_box *found, const float *keypoints,
                                      const float *side_odds, int n, const wilor_box **boxes,
                                      int *count, wilor_error *err) {
    wilor_tracker *t = tracker;
    wilor_error_clear(err);
    if (!t || !boxes || !count || n < 0 || (n > 0 && !found))
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "wilor_tracker_boxes: tracker, found, boxes and count may not be NULL");
    if (t->step != WILOR_STEP_BOXES)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_boxes: the step before is wilor_tracker_plan");
    t->detected = detected != 0;
    if (t->detected) {
        note_found(t, found, keypoints, side_odds, n);
        match(t);
    }
    add_known(t);
    if (t->detected)
        add_new(t);
    *boxes = t->boxes;
    *count = t->boxes_n;
    t->step = WILOR_STEP_UPDATE;
    return WILOR_OK;
}
