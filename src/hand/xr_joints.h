/* The hand as OpenXR's 26 joints, and as joint angles. */
#ifndef WILOR_XR_JOINTS_H
#define WILOR_XR_JOINTS_H

#include "mano.h"

enum { WILOR_XR_JOINTS = 26 };

/* Joints in XrHandJointEXT's order, in OpenXR's axes (x right, y up, z back) of the camera
 * space.
 *   rotation   16 × 9, of the hand's own side (mirrored back for a left one)
 *   kp21       21 × 3, of the hand's own side, about the model's origin
 *   verts      V × 3 likewise, or NULL: radii are then the rest pose's, scaled by the palm
 *   cam_t      added to all positions
 * Flags: 15 measured; 3 for the four long fingers' metacarpals, which the model does not have. */
void wilor_xr26_compute(const wilor_mano *m, wilor_side side, const float *rotation,
                        const float *kp21, const float *verts, const float cam_t[3],
                        wilor_xr_joint out[WILOR_XR_JOINTS]);

/* Flexion (towards the palm) and abduction (towards the thumb) of the 15 finger joints,
 * radians, from their rotation vectors (45, of the hand's own side), in the file's joint order.
 *   out   15 × 2 */
void wilor_angles_compute(const wilor_mano *m, const float *hand_pose45, wilor_side side,
                          float *out);

#endif
