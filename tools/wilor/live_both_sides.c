#include "live_both_sides.h"

#include "live_hands.h"

#include <stdlib.h>
#include <string.h>

/* A hand in a frame: as the engine gave it, and what smoothing and projecting need beside that. */
typedef struct kept_hand {
    wilor_cli_live_hand hand;
    float rotation[16 * 9];
    float focal[2], principal[2], distortion[5];
    uint8_t side, detected, failed;
    size_t next; /* the same id's next one, or NONE */
} kept_hand;

typedef struct kept_event {
    wilor_cli_live_event event; /* hands, lost, results: not here */
    size_t first;               /* of its hands */
    size_t lost;                /* of its lost ids */
} kept_event;

/* One id along the file, arrays that grow to the longest. */
typedef struct series {
    wilor_track_series s;
    int64_t *time;
    float *memory;
    size_t room; /* entries */
} series;

struct wilor_cli_both_sides {
    const wilor_model *model;
    double smooth;
    wilor_cli_live_model facts; /* the engine's, which may end before we do */
    size_t vertex_floats;       /* a hand's; 0: not kept */
    kept_event *events;
    size_t event_count, event_room;
    kept_hand *hands;
    size_t hand_count, hand_room;
    float *vertices; /* vertex_room × vertex_floats */
    size_t vertex_room;
    uint32_t *lost;
    size_t lost_count, lost_room;
};

static const size_t none = SIZE_MAX;

enum { SERIES_FLOATS = 3 + 3 + 45 + 10 + 63 + 144 + 3 + 3 };

wilor_status wilor_cli_both_sides_open(wilor_cli_both_sides **out, const wilor_model *model,
                                       double smooth, bool with_vertices, wilor_error *err) {
    wilor_model_info info;
    wilor_cli_both_sides *b = calloc(1, sizeof *b);
    *out = b;
    if (!b)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    wilor_model_get_info(model, &info, sizeof info);
    b->model = model;
    b->smooth = smooth;
    b->vertex_floats = with_vertices ? (size_t)info.vertices * 3 : 0;
    return WILOR_OK;
}

void wilor_cli_both_sides_free(wilor_cli_both_sides **both) {
    wilor_cli_both_sides *b = *both;
    *both = NULL;
    if (!b)
        return;
    free(b->events);
    free(b->hands);
    free(b->vertices);
    free(b->lost);
    free(b);
}

/* ---------------------------------------------------------------- keeping */

/* The array with room for `more` entries behind count: itself, or moved; NULL: no memory, it stays as it is. */
static void *grown(void *array, size_t *room, size_t count, size_t more, size_t size) {
    if (array && count + more <= *room)
        return array;
    size_t wanted = *room * 2 > count + more ? *room * 2 : count + more + 64;
    void *moved = wanted < SIZE_MAX / size ? realloc(array, wanted * size) : NULL;
    *room = moved ? wanted : *room;
    return moved;
}

static bool make_room(wilor_cli_both_sides *b, const wilor_cli_live_event *e) {
    size_t n = (size_t)e->results->n, lost = (size_t)e->lost_count, room = b->vertex_room;
    void *events = grown(b->events, &b->event_room, b->event_count, 1, sizeof *b->events);
    b->events = events ? events : b->events;
    void *ids = grown(b->lost, &b->lost_room, b->lost_count, lost, sizeof *b->lost);
    b->lost = ids ? ids : b->lost;
    void *hands = grown(b->hands, &b->hand_room, b->hand_count, n, sizeof *b->hands);
    b->hands = hands ? hands : b->hands;
    if (!events || !ids || !hands || !b->vertex_floats)
        return events && ids && hands;
    void *vertices =
        grown(b->vertices, &room, b->hand_count, n, b->vertex_floats * sizeof(float));
    b->vertices = vertices ? vertices : b->vertices;
    b->vertex_room = room;
    return vertices != NULL;
}

static void keep_hand(wilor_cli_both_sides *b, const wilor_hands *from, int i) {
    kept_hand *k = &b->hands[b->hand_count];
    size_t at = (size_t)i;
    memcpy(k->rotation, from->rotation + at * 144, sizeof k->rotation);
    memcpy(k->focal, from->focal + at * 2, sizeof k->focal);
    memcpy(k->principal, from->principal + at * 2, sizeof k->principal);
    memcpy(k->distortion, from->distortion + at * 5, sizeof k->distortion);
    k->side = from->side[i];
    k->detected = from->detected[i];
    k->failed = 0;
    k->next = none;
    if (b->vertex_floats)
        memcpy(b->vertices + b->hand_count * b->vertex_floats,
               from->vertices_3d + at * (size_t)from->vertices * 3,
               b->vertex_floats * sizeof(float));
    b->hand_count++;
}

wilor_status wilor_cli_both_sides_add(wilor_cli_both_sides *b, const wilor_cli_live_event *e,
                                      wilor_error *err) {
    if (!make_room(b, e))
        return wilor_cli_fail(err, WILOR_ERR_NOMEM,
                              "no memory for %zu frames that wait to be smoothed",
                              b->event_count);
    kept_event *k = &b->events[b->event_count++];
    b->facts = *e->model;
    *k = (kept_event){*e, b->hand_count, b->lost_count};
    for (int i = 0; i < e->lost_count; i++)
        b->lost[b->lost_count++] = e->lost[i];
    /* Failed results have no hand in the event; the others are in the same order. */
    for (int i = 0, at = 0; i < e->results->n && at < e->n; i++) {
        if (e->results->failed[i])
            continue;
        b->hands[b->hand_count].hand = e->hands[at++];
        keep_hand(b, e->results, i);
    }
    return WILOR_OK;
}

/* ---------------------------------------------------------------- smoothing */

/* Arrays of a series for n entries. */
static bool prepare(series *s, size_t n, size_t vertex_floats) {
    size_t each = SERIES_FLOATS + vertex_floats;
    if (n > s->room) {
        free(s->memory);
        free(s->time);
        s->memory =
            n < SIZE_MAX / (each * sizeof(float)) ? malloc(n * each * sizeof(float)) : NULL;
        s->time = malloc(n * sizeof *s->time);
        s->room = s->memory && s->time ? n : 0;
    }
    if (!s->room)
        return false;
    float *at = s->memory;
    s->s = (wilor_track_series){.struct_size = sizeof s->s, .n = (int)n, .time_ns = s->time};
    s->s.cam_t = at;
    s->s.global_orient = at += n * 3;
    s->s.hand_pose = at += n * 3;
    s->s.betas = at += n * 45;
    s->s.keypoints_3d = at += n * 10;
    s->s.rotation = at += n * 63;
    s->s.velocity = at += n * 144;
    s->s.spin = at += n * 3;
    s->s.vertices_3d = vertex_floats ? at + n * 3 : NULL;
    return true;
}

#define MOVE(field, array, floats)                                                             \
    (out ? memcpy(field, (array) + i * (floats), (floats) * sizeof(float))                     \
         : memcpy((array) + i * (floats), field, (floats) * sizeof(float)))

/* Entry i of a series from the hand (out false), or back. */
static void move_entry(wilor_cli_both_sides *b, series *s, size_t i, size_t hand, bool out) {
    kept_hand *k = &b->hands[hand];
    wilor_cli_live_hand *h = &k->hand;
    MOVE(h->cam_t, s->s.cam_t, 3);
    MOVE(h->global_orient, s->s.global_orient, 3);
    MOVE(h->hand_pose, s->s.hand_pose, 45);
    MOVE(h->betas, s->s.betas, 10);
    MOVE(&h->keypoints_3d[0][0], s->s.keypoints_3d, 63);
    MOVE(k->rotation, s->s.rotation, 144);
    MOVE(h->velocity, s->s.velocity, 3);
    MOVE(h->angular_velocity, s->s.spin, 3);
    if (b->vertex_floats)
        MOVE(b->vertices + hand * b->vertex_floats, s->s.vertices_3d, b->vertex_floats);
}

/* All of one id, beginning with hand `first`, which is its n-th entry's head. */
static wilor_status smooth_id(wilor_cli_both_sides *b, series *s, size_t first,
                              const int64_t *time_of, wilor_error *err) {
    size_t n = 0;
    for (size_t h = first; h != none; h = b->hands[h].next)
        n++;
    if (n > INT32_MAX || !prepare(s, n, b->vertex_floats))
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "no memory to smooth %zu frames of a hand",
                              n);
    s->s.side = b->hands[first].side == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT;
    size_t i = 0;
    for (size_t h = first; h != none; h = b->hands[h].next, i++) {
        s->time[i] = time_of[h];
        move_entry(b, s, i, h, false);
    }
    wilor_status st = wilor_track_smooth(b->model, &s->s, b->smooth, err);
    if (st ==
        WILOR_ERR_ARG) /* a hand that cannot be smoothed, behind the camera say: as it is */
        return WILOR_OK;
    i = 0;
    for (size_t h = first; st == WILOR_OK && h != none; h = b->hands[h].next, i++)
        move_entry(b, s, i, h, true);
    return st;
}

typedef struct by_id {
    uint32_t id;
    size_t hand;
} by_id;

static int compare_ids(const void *a, const void *b) {
    const by_id *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->hand < y->hand ? -1 : x->hand > y->hand;
}

/* Link each id's hands in the order of time, and smooth id by id. An id whose side changed on the way is left as it
 * is: left and right cannot be averaged. */
static wilor_status smooth_all(wilor_cli_both_sides *b, wilor_error *err) {
    wilor_status st = WILOR_OK;
    series s = {.room = 0};
    by_id *order = malloc((b->hand_count + 1) * sizeof *order);
    int64_t *time_of = malloc((b->hand_count + 1) * sizeof *time_of);
    if (!order || !time_of) {
        st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "no memory to smooth %zu hands",
                            b->hand_count);
        goto done;
    }
    for (size_t e = 0; e < b->event_count; e++) {
        size_t end = e + 1 < b->event_count ? b->events[e + 1].first : b->hand_count;
        for (size_t h = b->events[e].first; h < end; h++)
            time_of[h] = b->events[e].event.t_capture;
    }
    for (size_t h = 0; h < b->hand_count; h++)
        order[h] = (by_id){b->hands[h].hand.id, h};
    qsort(order, b->hand_count, sizeof *order, compare_ids);
    for (size_t i = 0, n; i < b->hand_count && st == WILOR_OK; i += n) {
        bool one_side = true;
        for (n = 1; i + n < b->hand_count && order[i + n].id == order[i].id; n++) {
            b->hands[order[i + n - 1].hand].next = order[i + n].hand;
            one_side =
                one_side && b->hands[order[i + n].hand].side == b->hands[order[i].hand].side;
        }
        if (one_side)
            st = smooth_id(b, &s, order[i].hand, time_of, err);
    }
done:
    free(order);
    free(time_of);
    free(s.memory);
    free(s.time);
    return st;
}

/* ---------------------------------------------------------------- giving out */

/* Where the camera sees the points, Brown and Conrady's lens; x negated first in selfie views. */
static void project(const kept_hand *k, bool mirrored, float out[WILOR_CLI_POINTS][2]) {
    const double d[5] = {(double)k->distortion[0], (double)k->distortion[1],
                         (double)k->distortion[2], (double)k->distortion[3],
                         (double)k->distortion[4]};
    for (int i = 0; i < WILOR_CLI_POINTS; i++) {
        const float *p = k->hand.keypoints_3d[i], *t = k->hand.cam_t;
        double z = (double)p[2] + (double)t[2];
        double x = ((double)p[0] + (double)t[0]) / z * (mirrored ? -1 : 1);
        double y = ((double)p[1] + (double)t[1]) / z, r = x * x + y * y;
        double radial = 1 + r * (d[0] + r * (d[1] + r * d[4]));
        double u = x * radial + 2 * d[2] * x * y + d[3] * (r + 2 * x * x);
        double v = y * radial + d[2] * (r + 2 * y * y) + 2 * d[3] * x * y;
        out[i][0] = (float)((double)k->focal[0] * u + (double)k->principal[0]);
        out[i][1] = (float)((double)k->focal[1] * v + (double)k->principal[1]);
    }
}

/* The hand's other fields follow from the smoothed ones, as the engine makes them. */
static void remake(wilor_cli_both_sides *b, size_t h, const wilor_cli_live_event *e) {
    kept_hand *k = &b->hands[h];
    wilor_cli_live_hand before = k->hand;
    project(k, e->mirrored, before.keypoints_2d);
    wilor_hands one = {.n = 1,
                       .vertices = e->vertices,
                       .side = &k->side,
                       .failed = &k->failed,
                       .score = &before.conf,
                       .box = before.box,
                       .crop = before.crop,
                       .pred_cam = before.pred_cam,
                       .cam_t = before.cam_t,
                       .focal = k->focal,
                       .principal = k->principal,
                       .distortion = k->distortion,
                       .keypoints_3d = &before.keypoints_3d[0][0],
                       .keypoints_2d = &before.keypoints_2d[0][0],
                       .vertices_3d =
                           b->vertex_floats ? b->vertices + h * b->vertex_floats : NULL,
                       .global_orient = before.global_orient,
                       .hand_pose = before.hand_pose,
                       .betas = before.betas,
                       .rotation = k->rotation,
                       .detected_keypoints = &before.detected_keypoints[0][0],
                       .detected = &k->detected,
                       .mirrored = e->mirrored};
    wilor_cli_live_hand_fill(&k->hand, b->model, &one, 0, e->include);
    wilor_cli_live_hand_keep(&k->hand, &before);
}

/* An event's hands lie behind each other in memory of their own. */
static bool give_event(wilor_cli_both_sides *b, size_t i, wilor_cli_live_hand *hands,
                       bool (*fn)(void *, const wilor_cli_live_event *), void *user) {
    kept_event *k = &b->events[i];
    size_t end = i + 1 < b->event_count ? b->events[i + 1].first : b->hand_count;
    wilor_cli_live_event e = k->event;
    e.n = 0;
    for (size_t h = k->first; h < end; h++) {
        remake(b, h, &e);
        hands[e.n++] = b->hands[h].hand;
    }
    e.hands = hands;
    e.lost = b->lost + k->lost;
    e.results = NULL;
    e.model = &b->facts;
    return fn(user, &e);
}

wilor_status wilor_cli_both_sides_finish(wilor_cli_both_sides *b,
                                         bool (*fn)(void *user, const wilor_cli_live_event *e),
                                         void *user, wilor_error *err) {
    size_t most = 1;
    for (size_t i = 0; i < b->event_count; i++) {
        size_t end = i + 1 < b->event_count ? b->events[i + 1].first : b->hand_count;
        most = end - b->events[i].first > most ? end - b->events[i].first : most;
    }
    wilor_cli_live_hand *hands = malloc(most * sizeof *hands);
    wilor_status st = hands ? smooth_all(b, err)
                            : wilor_cli_fail(err, WILOR_ERR_NOMEM, "no memory for an event");
    bool more = true;
    for (size_t i = 0; i < b->event_count && st == WILOR_OK && more; i++)
        more = give_event(b, i, hands, fn, user);
    free(hands);
    return st;
}
