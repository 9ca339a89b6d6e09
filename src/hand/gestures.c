/* Pinch and grab by plain distances and angles between keypoints (docs: conventions,
 * "gestures"). All lengths are relative to the width of the palm, so a wrong depth changes only
 * pinch_distance. */
#include "gestures.h"

#include <math.h>

enum { WRIST = 0, THUMB_TIP = 4, INDEX_MCP = 5, LITTLE_MCP = 17 };

static double distance(const float *a, const float *b) {
    double x = (double)a[0] - b[0], y = (double)a[1] - b[1], z = (double)a[2] - b[2];
    return sqrt(x * x + y * y + z * z);
}

/* Not fmin and fmax: they would hide a NaN. */
static double clamp01(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

/* Angle between a -> b and c -> d; atan2 keeps its precision at 0 and π, where acos loses it. */
static double angle_between(const float *a, const float *b, const float *c, const float *d) {
    double u[3], v[3];
    for (int i = 0; i < 3; i++) {
        u[i] = (double)b[i] - a[i];
        v[i] = (double)d[i] - c[i];
    }
    double x = u[1] * v[2] - u[2] * v[1], y = u[2] * v[0] - u[0] * v[2],
           z = u[0] * v[1] - u[1] * v[0];
    return atan2(sqrt(x * x + y * y + z * z), u[0] * v[0] + u[1] * v[1] + u[2] * v[2]);
}

double wilor_grab_angle(const float *keypoints21) {
    double sum = 0;
    for (int finger = 1; finger < 5; finger++) {
        const float *mcp = keypoints21 + 3 * (1 + 4 * finger);
        sum += angle_between(keypoints21 + 3 * WRIST, mcp, mcp + 3, mcp + 9);
    }
    return sum / 4;
}

void wilor_hand_gesture(const float *keypoints_3d, wilor_gesture *out) {
    const float *thumb = keypoints_3d + 3 * THUMB_TIP;
    double width = distance(keypoints_3d + 3 * INDEX_MCP, keypoints_3d + 3 * LITTLE_MCP);
    double best = distance(thumb, keypoints_3d + 3 * 8);
    out->pinch_distance = (float)best;
    for (int tip = 12; tip <= 20; tip += 4) {
        double d = distance(thumb, keypoints_3d + 3 * tip);
        if (d < best)
            best = d;
    }
    double angle = wilor_grab_angle(keypoints_3d);
    /* A palm of no width says nothing of a pinch. */
    out->pinch_strength =
        width == 0 ? 0 : (float)clamp01((0.75 * width - best) / (0.55 * width));
    out->grab_strength = (float)clamp01((angle - 0.6) / 1.8);
    out->grab_angle = (float)angle;
}
