/* Hands that are known, as a camera, a detector and a pose model would show them: what a tracker is judged
 * by. The CC0 hand moves along given paths; projection is exact; what the detector and the model say of a
 * picture is the truth with errors of chosen sizes, misses, wrong sides and inventions, from a seed. No
 * picture is drawn and no network runs. For bench_tracking.c and tests/unit/test_tracker.c. */
#ifndef WILOR_TRACK_SCENE_H
#define WILOR_TRACK_SCENE_H

#include "hand_filter.h"
#include "wilor/wilor.h"

#include <stdbool.h>

enum { SCENE_WIDTH = 640, SCENE_HEIGHT = 480, SCENE_MOST = 4, SCENE_FOUND = 16 };

/* The truth about one hand at one time. */
typedef struct scene_hand {
    bool there;
    wilor_side side;
    wilor_look look;
    float points[63], pixels[42]; /* made by scene_show */
    double around[4];             /* box around pixels */
    double inside;                /* part of it in the picture */
    double hidden;                /* part of it behind another hand */
} scene_hand;

typedef struct scene_noise {
    double miss;       /* share of detections that are not made */
    double invent;     /* inventions a picture */
    double flip;       /* share of detections of the wrong side */
    double twice;      /* share that come a second time with the other side */
    double box;        /* error of a box's edge, of its side */
    double place;      /* error of the hand's place in the picture, of its size there */
    double depth;      /* error of the logarithm of the distance */
    double turn, bend; /* rad, an axis: the hand's rotation, its joints' */
    double shape;      /* of the betas */
} scene_noise;

/* What bench_tracking takes for a decent detector and model; docs/live.md has the numbers. */
scene_noise scene_usual(void);

typedef struct scene scene;

/* hand: npz with the hand model. NULL: it could not be read, *err says why. */
scene *scene_open(const char *hand, wilor_error *err);
void scene_close(scene *s);
const wilor_mano *scene_mano(const scene *s);
void scene_seed(scene *s, uint64_t seed);
double scene_random(scene *s); /* 0 … 1 */

/* A hand of mean shape at a place (of its wrist), turned by a rotation vector, its fingers bent by so
 * many rad a joint. */
scene_hand scene_pose(wilor_side side, const double wrist[3], const double turn[3],
                      double bend);

/* The picture in work: n hands (up to SCENE_MOST), whose made fields are filled in; not kept. */
void scene_show(scene *s, scene_hand *hands, int n);

/* What a detector finds in it: boxes, the best first, and 21 × 3 keypoints of each; returns how many, at
 * most SCENE_FOUND. */
int scene_detect(scene *s, const scene_noise *noise, wilor_box *boxes, float *keypoints);

/* What a pose model says of n boxes (up to 16): of the hand in the middle of each, the one in front where
 * two are; a hand of mean pose where there is none. Valid until the next call. */
const wilor_hands *scene_look(scene *s, const scene_noise *noise, const wilor_box *boxes,
                              int n);

#endif
