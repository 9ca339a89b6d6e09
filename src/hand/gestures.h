/* Pinch and grab from 21 keypoints. The public function is wilor_hand_gesture (wilor.h); this
 * is the angle it uses, for those who want it alone. */
#ifndef WILOR_GESTURES_H
#define WILOR_GESTURES_H

#include "wilor/wilor.h"

/* Mean over the four long fingers of the angle between wrist -> knuckle and PIP -> tip,
 * radians. */
double wilor_grab_angle(const float *keypoints21);

#endif
