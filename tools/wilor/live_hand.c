#include "live_hand.h"

#include "hand_math.h"
#include "predict_options.h"
#include <math.h>
#include <string.h>

float wilor_cli_keypoint_fit(const float *detected, const float *projected) {
    double sum = 0, weight = 0;
    for (int i = 0; i < WILOR_CLI_POINTS; i++) {
        double x = (double)detected[3 * i], y = (double)detected[3 * i + 1],
               v = (double)detected[3 * i + 2];
        double dx = x - (double)projected[2 * i], dy = y - (double)projected[2 * i + 1];
        if (x == 0 && y == 0)
            continue;
        sum += v * (dx * dx + dy * dy);
        weight += v;
    }
    return weight > 0 ? (float)sqrt(sum / weight) : NAN;
}

void wilor_cli_quaternion(const float *vector, float *q) {
    double out[4];
    wilor_cli_quat_from_vector(
        (const double[3]){(double)vector[0], (double)vector[1], (double)vector[2]}, out);
    for (int i = 0; i < 4; i++)
        q[i] = (float)out[i];
}

static void fill_place(wilor_cli_live_hand *out, const wilor_hands *hands, size_t h) {
    memcpy(out->box, hands->box + 4 * h, sizeof out->box);
    memcpy(out->crop, hands->crop + 3 * h, sizeof out->crop);
    memcpy(out->cam_t, hands->cam_t + 3 * h, sizeof out->cam_t);
    memcpy(out->keypoints_2d, hands->keypoints_2d + 42 * h, sizeof out->keypoints_2d);
    out->has_detected_keypoints = hands->detected && hands->detected[h];
    if (!out->has_detected_keypoints)
        return;
    memcpy(out->detected_keypoints, hands->detected_keypoints + 63 * h,
           sizeof out->detected_keypoints);
    out->fit_px = wilor_cli_keypoint_fit(out->detected_keypoints[0], out->keypoints_2d[0]);
}

void wilor_cli_live_hand_fill(wilor_cli_live_hand *out, const wilor_model *model,
                              const wilor_hands *hands, int i, unsigned include) {
    size_t h = (size_t)i;
    *out =
        (wilor_cli_live_hand){.side = hands->side[h] == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT,
                              .conf = hands->score[h],
                              .fit_px = NAN};
    if (hands->vertices_3d) /* else a result without its mesh */
        out->vertices_3d = hands->vertices_3d + h * (size_t)hands->vertices * 3;
    fill_place(out, hands, h);
    memcpy(out->pred_cam, hands->pred_cam + 3 * h, sizeof out->pred_cam);
    memcpy(out->keypoints_3d, hands->keypoints_3d + 63 * h, sizeof out->keypoints_3d);
    memcpy(out->global_orient, hands->global_orient + 3 * h, sizeof out->global_orient);
    memcpy(out->hand_pose, hands->hand_pose + 45 * h, sizeof out->hand_pose);
    memcpy(out->betas, hands->betas + 10 * h, sizeof out->betas);
    wilor_cli_quaternion(out->global_orient, out->wrist_q);
    wilor_hand_gesture(out->keypoints_3d[0], &out->gesture);
    if (include & WILOR_CLI_ANGLES)
        wilor_hand_angles(model, out->hand_pose, out->side, out->angles[0]);
    if ((include & WILOR_CLI_XR26) &&
        wilor_hand_xr26(model, hands, i, out->xr26, NULL) != WILOR_OK)
        memset(out->xr26, 0, sizeof out->xr26); /* all 26, or nothing */
}
