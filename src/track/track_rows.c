/* Arrays of hands: taken, copied, shown to callers. */
#include "tracker.h"

#include <string.h>

typedef struct column {
    const char *name;
    size_t row, hands; /* offsets of the pointers */
    size_t floats;     /* a hand; 0: the mesh */
} column;

#define COLUMN(name, floats)                                                                   \
    { #name, offsetof(wilor_track_rows, name), offsetof(wilor_hands, name), floats }

static const column columns[] = {
    COLUMN(score, 1),         COLUMN(box, 4),         COLUMN(crop, 3),
    COLUMN(pred_cam, 3),      COLUMN(cam_t, 3),       COLUMN(focal, 2),
    COLUMN(principal, 2),     COLUMN(distortion, 5),  COLUMN(keypoints_3d, 63),
    COLUMN(keypoints_2d, 42), COLUMN(vertices_3d, 0), COLUMN(global_orient, 3),
    COLUMN(hand_pose, 45),    COLUMN(betas, 10),      COLUMN(rotation, 144)};

enum { COLUMNS = sizeof columns / sizeof columns[0] };

static float **of_row(wilor_track_rows *r, const column *c) {
    return (float **)(void *)((char *)r + c->row);
}

static float *at_row(const wilor_track_rows *r, const column *c) {
    float *p;
    memcpy(&p, (const char *)r + c->row, sizeof p);
    return p;
}

static const float *at_hands(const wilor_hands *h, const column *c) {
    const float *p;
    memcpy(&p, (const char *)h + c->hands, sizeof p);
    return p;
}

static size_t width(const column *c, size_t vertices) {
    return c->floats ? c->floats : 3 * vertices;
}

void wilor_track_rows_push(wilor_track_rows *r, wilor_arena *a, size_t n, size_t vertices) {
    r->side = wilor_arena_push(a, n, 1);
    r->failed = wilor_arena_push(a, n, 1);
    r->detected = wilor_arena_push(a, n, 1);
    r->detected_keypoints = wilor_arena_push(a, n, 63 * sizeof(float));
    for (int i = 0; i < COLUMNS; i++)
        *of_row(r, &columns[i]) =
            wilor_arena_push(a, n, width(&columns[i], vertices) * sizeof(float));
}

void wilor_track_rows_publish(const wilor_track_rows *r, wilor_hands *hands) {
    hands->side = r->side;
    hands->failed = r->failed;
    hands->detected = r->detected;
    hands->detected_keypoints = r->detected_keypoints;
    for (int i = 0; i < COLUMNS; i++) {
        const float *p = at_row(r, &columns[i]);
        memcpy((char *)hands + columns[i].hands, &p, sizeof p);
    }
}

const char *wilor_track_rows_missing(const wilor_hands *hands) {
    if (!hands->side || !hands->failed)
        return hands->side ? "failed" : "side";
    for (int i = 0; i < COLUMNS; i++)
        if (!at_hands(hands, &columns[i]))
            return columns[i].name;
    return NULL;
}

void wilor_track_rows_copy(const wilor_track_rows *to, size_t k, const wilor_hands *from,
                           size_t i, size_t vertices) {
    to->side[k] = from->side[i];
    to->failed[k] = from->failed[i];
    to->detected[k] = from->detected ? from->detected[i] : 0;
    for (size_t j = 0; j < 63; j++)
        to->detected_keypoints[k * 63 + j] =
            from->detected_keypoints ? from->detected_keypoints[i * 63 + j] : 0;
    for (int c = 0; c < COLUMNS; c++) {
        size_t w = width(&columns[c], vertices);
        memcpy(at_row(to, &columns[c]) + k * w, at_hands(from, &columns[c]) + i * w,
               w * sizeof(float));
    }
}
