/* One hand's motion and its filter: place, 16 rotations, shape. */
#ifndef WILOR_HAND_FILTER_H
#define WILOR_HAND_FILTER_H

#include "mano.h"
#include "one_euro.h"

/* A hand as one picture shows it, in the convention of its own side. */
typedef struct wilor_look {
    double wrist[3]; /* keypoint 0 in the camera frame, metres; z > 0 */
    double turns[WILOR_MANO_JOINTS][4];
    double betas[WILOR_MANO_BETAS];
    double
        palm; /* metres from wrist to middle knuckle that the hand is scaled to; 0: as betas have it */
} wilor_look;

/* Where it goes: unfiltered places, lightly filtered speeds. Zeroed: nothing seen yet. */
typedef struct wilor_motion {
    double
        at[3]; /* of the wrist: x/z, y/z, ln z, which a picture shows apart from each other */
    double rate[3];
    double turn[4]; /* global orientation */
    double spin[3]; /* rad/s, camera axes */
    int looks;
} wilor_motion;

/* dt seconds after the last look; not used at the first. */
void wilor_motion_step(wilor_motion *m, const wilor_look *look, double dt);
/* Where the wrist is dt seconds later if it goes on, ever slower: no further than a quarter of a second's
 * way. */
void wilor_motion_ahead(const wilor_motion *m, double dt, double wrist[3]);
/* m/s and rad/s in camera axes; zero after one look. */
void wilor_motion_velocity(const wilor_motion *m, float velocity[3], float spin[3]);

typedef struct wilor_filter_rules {
    wilor_euro_rule place; /* speed in m/s */
    wilor_euro_rule turn;  /* speed in rad/s */
} wilor_filter_rules;

/* smooth in (0, 1]: both have a cutoff of 10^(1 − 2 smooth) Hz at rest. */
wilor_filter_rules wilor_filter_rules_for(double smooth);

/* Zeroed: the next look is taken as it is. */
typedef struct wilor_hand_filter {
    wilor_euro aside, depth;
    wilor_euro_turn turns[WILOR_MANO_JOINTS];
    double betas[WILOR_MANO_BETAS];
    int looks;
} wilor_hand_filter;

/* A look dt seconds after the last one; out is what is given out for it: the shape settles, the distance
 * is that of a hand of the settled size which fills as many pixels. */
void wilor_hand_filter_step(wilor_hand_filter *f, const wilor_filter_rules *rules,
                            const wilor_mano *mano, const wilor_look *in, double dt,
                            wilor_look *out);

/* The palm of a look: 0 when keypoints (21 × 3) are as long from wrist to middle knuckle as betas (10)
 * make them, else their length. */
double wilor_palm_given(const wilor_mano *mano, const float *keypoints, const float *betas);

/* x/z, y/z, ln z of a place, and back. */
void wilor_view_from_place(const double p[3], double at[3]);
void wilor_place_from_view(const double at[3], double p[3]);

/* How much further away (as a difference of ln z) the look is if its hand has other betas. */
double wilor_depth_change(const wilor_mano *mano, const wilor_look *look,
                          const double betas[WILOR_MANO_BETAS]);

/* The next step of a mean that outliers hardly move and that settles: after `before` shapes comes
 * `next`. */
void wilor_shape_settle(double mean[WILOR_MANO_BETAS], const double next[WILOR_MANO_BETAS],
                        int before);

/* The hand of a look: keypoints (21 × 3) and vertices (V × 3) about the model's origin, rotation
 * (16 × 9), all of the hand's own side. scratch: wilor_mano_scratch floats. */
void wilor_hand_build(const wilor_mano *mano, wilor_side side, const wilor_look *look,
                      float *scratch, float *rotation, float *vertices, float *keypoints);

#endif
