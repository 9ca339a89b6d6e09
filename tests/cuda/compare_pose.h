/* What the checks of the pose network share. */
#ifndef WILOR_CUDA_COMPARE_POSE_H
#define WILOR_CUDA_COMPARE_POSE_H

#include "compare.h"
#include "model_impl.h"

typedef struct compare_tolerances {
    double tokens, outputs, metres;
} compare_tolerances;

/* Of the options' dtype. */
compare_tolerances compare_allowed(const compare_options *o, int depth);

typedef struct compare_pose {
    wilor_model *model;
    wilor_session *session; /* a batch of --hands */
} compare_pose;

void compare_open_pose(compare_pose *s, const compare_options *o, const char *device,
                       wilor_dtype dtype);
void compare_close_pose(compare_pose *s);
/* The processor in float32 and the card as asked for, and the crops for both: --hands of them. */
float *compare_open_both(compare_pose *cpu, compare_pose *card, const compare_options *o);
void compare_close_both(compare_pose *cpu, compare_pose *card, float *rgb);

void compare_hands(const wilor_hands *got, const wilor_hands *want,
                   const compare_tolerances *t);
/* Move both cameras (the first card's, if there are several), so that points fall on more than the corner's pixels. */
void compare_shift_cameras(compare_pose *cpu, compare_pose *card, float by);

#endif
