/* A hand of the library's result as a hand of an event. */
#ifndef WILOR_CLI_LIVE_HAND_H
#define WILOR_CLI_LIVE_HAND_H

#include "live_event.h"

/* Fill everything that one result says of hand i, which did not fail. id, state, age and velocity are zero: the
 * caller knows them.
 *   include   WILOR_CLI_XR26 and WILOR_CLI_ANGLES are computed only then
 * vertices_3d points into the result. */
void wilor_cli_live_hand_fill(wilor_cli_live_hand *out, const wilor_model *model,
                              const wilor_hands *hands, int i, unsigned include);

/* Root mean square distance between the detector's 21 points (x, y, visibility) and the projected ones,
 * weighted by visibility: how well two networks agree. NaN without a point that the detector saw; the 8.1.34
 * profile blanks those below one half to 0, 0. */
float wilor_cli_keypoint_fit(const float *detected, const float *projected);

/* x y z w of a rotation vector, w >= 0. */
void wilor_cli_quaternion(const float *vector, float *q);

#endif
