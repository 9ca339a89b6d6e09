/* What a tracker holds, shared by the files of track/: tracker.c (life, plan), track_match.c (boxes),
 * track_update.c (looks), track_rows.c (arrays). The public functions and the rules for callers are in
 * wilor.h. */
#ifndef WILOR_TRACKER_H
#define WILOR_TRACKER_H

#include "arena.h"
#include "assign.h"
#include "camera.h"
#include "hand_filter.h"
#include "heap.h"
#include "status.h"

#include <stdbool.h>

enum {
    WILOR_TRACK_UNSURE_HITS = 3, /* detections until a hand is known for sure */
    WILOR_TRACK_FAILS = 2, /* detector runs in a row that must not find a hand for its poses
                                    not to be believed any longer */
};

/* Arrays of hands as wilor_hands has them, to be written. */
typedef struct wilor_track_rows {
    uint8_t *side, *failed, *detected;
    float *score, *box, *crop, *pred_cam, *cam_t, *focal, *principal, *distortion;
    float *keypoints_3d, *keypoints_2d, *vertices_3d, *global_orient, *hand_pose, *betas,
        *rotation, *detected_keypoints;
} wilor_track_rows;

/* A hand that is followed. */
typedef struct wilor_track {
    uint32_t id;
    size_t slot;     /* row of wilor_tracker.kept: what was last given out */
    wilor_side side; /* in the picture as it is given, not mirrored */
    double votes;    /* of the detector for right (positive) and left */
    float score;
    int64_t born, seen; /* ns */
    int64_t excused;    /* when another hand last hid it, or it was seen */
    int hits;           /* detections */
    int failed;         /* detector runs in a row that did not find it */
    int unseen;         /* pictures in a row without a look */
    bool jumped;        /* its last look was not believed for that */
    wilor_motion motion;
    wilor_hand_filter filter;
    float points[63]; /* last look's keypoints about the wrist, metres */
    wilor_camera camera;
    int mirrored;
    double grow[2], shift[2]; /* from the box around its keypoints to the detector's */
    /* Of the picture in work. */
    float ahead[42];  /* predicted keypoints, pixels */
    double around[4]; /* the box around them */
    double box[4];    /* the box that the detector would give, clipped to the picture */
    double inside;    /* the part of it that lies in the picture, before it was clipped */
    bool placed;      /* the four above are known */
    int found;        /* index of the detection, or −1 */
    bool looked;      /* seen in this picture */
    bool changed;     /* it is of the other side from now on */
} wilor_track;

enum { WILOR_STEP_PLAN, WILOR_STEP_BOXES, WILOR_STEP_UPDATE };

struct wilor_tracker {
    const wilor_mano *mano;
    wilor_tracker_options o; /* every default filled in */
    wilor_filter_rules rules;
    void *block;
    wilor_arena arena;
    int step; /* what comes next; a plan may always */
    /* Hands, oldest first: pointers into a pool of max_hands, the free ones behind. */
    wilor_track *pool, **tracks;
    int n;
    uint64_t next_id;
    /* The picture in work. */
    int64_t now;
    bool started;
    int width, height;
    bool detected; /* the detector ran on it */
    int since;     /* pictures since it last ran */
    int interval;  /* pictures from one run to the next, by now */
    /* What it found, sound boxes only; as many as matter. */
    int found_n, found_most;
    wilor_box *found;
    float *found_points; /* × 63; all zero without keypoints */
    float *found_odds;   /* of their sides; 0 where nobody tells */
    bool *found_used;
    /* Weak detections that no hand explains, of its last run: one that is there twice is a hand. */
    int hopes_n;
    wilor_box *hopes;
    /* To look at. */
    int boxes_n;
    wilor_box *boxes;
    wilor_track **box_track; /* NULL: a new hand */
    int *box_found;          /* index of the detection, or −1 */
    float *box_odds;         /* of their sides; finite where the model may say the other */
    wilor_look *looks;       /* what the model says of them … */
    bool *box_kept;          /* … and whether it is believed */
    double *cost;
    void *assign_scratch;
    int *assigned;
    float *mano_scratch;
    wilor_track_rows kept, given; /* by slot; in the order given out */
    int lost_n;
    bool lost_shown; /* by the last result */
    uint32_t *lost;
    uint32_t *given_id;
    uint8_t *given_state;
    int64_t *given_age;
    float *given_velocity, *given_spin;
    wilor_hands hands;
    wilor_tracks out;
};

/* o: every default filled in, checked. The hand model outlives the tracker. */
wilor_status wilor_tracker_open(wilor_tracker **out, const wilor_mano *mano,
                                const wilor_tracker_options *o, wilor_error *err);

/* Options with every default filled in (o NULL: all of them), checked. o is of this version's size. */
wilor_status wilor_tracker_options_fill(wilor_tracker_options *own,
                                        const wilor_tracker_options *o, wilor_error *err);

/* wilor_tracker_boxes with the odds of the n sides found, natural logarithms; NULL: nobody tells them. */
wilor_status wilor_tracker_boxes_odds(wilor_tracker *tracker, int detected,
                                      const wilor_box *found, const float *keypoints,
                                      const float *side_odds, int n, const wilor_box **boxes,
                                      int *count, wilor_error *err);

/* The hand ends: its id is among the lost ones of the next result. */
void wilor_track_end(wilor_tracker *t, int i);

/* Cut the arrays of n hands from an arena. */
void wilor_track_rows_push(wilor_track_rows *r, wilor_arena *a, size_t n, size_t vertices);
void wilor_track_rows_publish(const wilor_track_rows *r, wilor_hands *hands);
/* NULL, or the name of an array that hands lack. */
const char *wilor_track_rows_missing(const wilor_hands *hands);
/* Copy hand i to row k. */
void wilor_track_rows_copy(const wilor_track_rows *to, size_t k, const wilor_hands *from,
                           size_t i, size_t vertices);

/* Keypoints (21 × 3) plus t in a camera's pixels; mirrored: of a selfie's hand, in the picture as it is
 * given. */
void wilor_track_project(const wilor_camera *camera, int mirrored, const float *keypoints,
                         const double t[3], float *pixels);

wilor_status wilor_track_series_smooth(const wilor_mano *mano, const wilor_track_series *s,
                                       double smooth, wilor_error *err);

#endif
