#include "live_hands.h"

#include "predict_options.h"

#include <math.h>
#include <string.h>

#define COPY(to, from, i)                                                                      \
    memcpy(to, (from) + (size_t)(i) * (sizeof(to) / sizeof(float)), sizeof(to))

/* x y z w of a rotation vector, w >= 0. */
static void quaternion(const float *vector, float *q) {
    double x = (double)vector[0], y = (double)vector[1], z = (double)vector[2];
    double angle = sqrt(x * x + y * y + z * z);
    /* sin(a/2)/a near 0 is 1/2 - a²/48: a float is exact from the first term. */
    double scale = angle > 1e-6 ? sin(angle / 2) / angle : 0.5, w = cos(angle / 2);
    double sign = w < 0 ? -1 : 1;
    q[0] = (float)(sign * scale * x);
    q[1] = (float)(sign * scale * y);
    q[2] = (float)(sign * scale * z);
    q[3] = (float)(sign * w);
}

/* Root mean square distance between the detector's points and the projected ones, weighted by visibility.
 * Points that a profile blanked lie at 0, 0. NaN when there is none. */
static float fit(const wilor_cli_live_hand *h) {
    double sum = 0, weight = 0;
    for (int i = 0; i < WILOR_CLI_POINTS; i++) {
        const float *seen = h->detected_keypoints[i];
        double dx = (double)seen[0] - (double)h->keypoints_2d[i][0];
        double dy = (double)seen[1] - (double)h->keypoints_2d[i][1];
        if (seen[0] == 0 && seen[1] == 0)
            continue;
        sum += (double)seen[2] * (dx * dx + dy * dy);
        weight += (double)seen[2];
    }
    return weight > 0 ? (float)sqrt(sum / weight) : NAN;
}

void wilor_cli_live_hand_fill(wilor_cli_live_hand *to, const wilor_model *model,
                              const wilor_hands *hands, int i, unsigned include) {
    memset(to, 0, sizeof *to);
    to->side = hands->side[i] == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT;
    to->conf = hands->score[i];
    COPY(to->box, hands->box, i);
    COPY(to->crop, hands->crop, i);
    COPY(to->pred_cam, hands->pred_cam, i);
    COPY(to->cam_t, hands->cam_t, i);
    COPY(to->keypoints_2d, hands->keypoints_2d, i);
    COPY(to->keypoints_3d, hands->keypoints_3d, i);
    COPY(to->global_orient, hands->global_orient, i);
    COPY(to->hand_pose, hands->hand_pose, i);
    COPY(to->betas, hands->betas, i);
    quaternion(to->global_orient, to->wrist_q);
    to->has_detected_keypoints = hands->detected && hands->detected[i];
    to->fit_px = NAN;
    if (to->has_detected_keypoints) {
        COPY(to->detected_keypoints, hands->detected_keypoints, i);
        to->fit_px = fit(to);
    }
    wilor_hand_gesture(&to->keypoints_3d[0][0], &to->gesture);
    if ((include & WILOR_CLI_XR26) &&
        wilor_hand_xr26(model, hands, i, to->xr26, NULL) != WILOR_OK)
        memset(to->xr26, 0, sizeof to->xr26);
    if (include & WILOR_CLI_ANGLES)
        wilor_hand_angles(model, to->hand_pose, to->side, &to->angles[0][0]);
    if (hands->vertices_3d)
        to->vertices_3d = hands->vertices_3d + (size_t)i * (size_t)hands->vertices * 3;
}

/* A hand that is not seen has joints where it should be: valid, not tracked. */
static void mark_predicted(wilor_cli_live_hand *h) {
    for (int i = 0; i < WILOR_CLI_XR_JOINTS; i++)
        h->xr26[i].flags &= 3;
}

void wilor_cli_live_hand_keep(wilor_cli_live_hand *to, const wilor_cli_live_hand *from) {
    to->id = from->id;
    to->state = from->state;
    to->age_ns = from->age_ns;
    to->has_velocity = from->has_velocity;
    memcpy(to->velocity, from->velocity, sizeof to->velocity);
    memcpy(to->angular_velocity, from->angular_velocity, sizeof to->angular_velocity);
    if (to->state == WILOR_CLI_PREDICTED)
        mark_predicted(to);
}

int wilor_cli_live_tracks_fill(wilor_cli_live_hand *to, int most, const wilor_model *model,
                               const wilor_tracks *tracks, unsigned include) {
    int n = 0;
    for (int i = 0; i < tracks->hands->n && n < most; i++) {
        if (tracks->hands->failed[i])
            continue;
        wilor_cli_live_hand *h = &to[n++];
        wilor_cli_live_hand_fill(h, model, tracks->hands, i, include);
        h->id = tracks->id[i];
        h->state = (wilor_cli_hand_state)tracks->state[i];
        h->age_ns = tracks->age_ns[i];
        h->has_velocity = true;
        COPY(h->velocity, tracks->velocity, i);
        COPY(h->angular_velocity, tracks->spin, i);
        if (h->state == WILOR_CLI_PREDICTED)
            mark_predicted(h);
    }
    return n;
}
