/* The hand model as animation programs want it: a mesh at rest, joints, weights, and what a pose adds to the mesh. */
#ifndef WILOR_RIG_H
#define WILOR_RIG_H

#include "mano.h"

enum { WILOR_RIG_SHAPES = WILOR_MANO_POSE };

/* At rest with a shape: vertices V × 3 (or NULL), keypoints 21 × 3 (or NULL): 16 of them are the joints, the rest
 * vertices. A left hand is the mirrored right one. */
void wilor_rig_rest(const wilor_mano *m, wilor_side side, const float *betas, float *vertices,
                    float *keypoints21);
/* V × 16 weights, and the joints' parents (-1: none); either may be NULL. */
void wilor_rig_skin(const wilor_mano *m, float *weights, int *parents);
/* What is added to the mesh at rest for a 1 in number `shape` of the 135: element shape % 9 of R - I (row-major) of
 * joint 1 + shape / 9, R of the hand's own side. V × 3. */
void wilor_rig_pose_shape(const wilor_mano *m, wilor_side side, int shape, float *offsets);

#endif
