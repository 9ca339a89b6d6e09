/* OpenXR's 26 joints (XR_EXT_hand_tracking) from MANO's rotations and keypoints, and joint
 * angles.
 *
 * The frame of a joint at rest, O: +Z from the fingertip side to the wrist along the bone, +Y
 * out of the back of the hand (the nail side of a finger), X = Y × Z. MANO's rotations turn it:
 * R(joint) = R_mano(bone) · O. O is that of a right hand; a left one's is M·O·M, M = diag(−1,
 * 1, 1), which makes a left hand the exact mirror image. Easy to get wrong: the thumb's back
 * looks 60° towards the radial side; MANO has no metacarpals for the long fingers, so those are
 * points on the way to the knuckle that turn with the wrist; a flexed finger turns about −X. */
#include "xr_joints.h"
#include "rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PALM = 0,
    WRIST = 1,
    THUMB = 2,  /* metacarpal, proximal, distal, tip: keypoints 1 … 4 */
    FINGER = 6, /* four times metacarpal, proximal, intermediate, distal, tip */
    MIDDLE_METACARPAL = 11,
    MIDDLE_PROXIMAL = 12,
    MEASURED = 15, /* flags: orientation and position valid and tracked */
    SYNTHETIC = 3, /* valid */
    SAMPLES = 256
};

static const double metacarpal_at = 0.30; /* of the way from the wrist to the knuckle */
static const double tip_radius = 0.8;     /* of the distal joint's */
static const double window =
    0.008; /* metres along the bone where a joint's thickness is taken */
static const double default_radius = 0.008; /* for a bone that has no vertices */

typedef struct vec {
    double at[3];
} vec;

static vec minus(vec a, vec b) {
    return (vec){{a.at[0] - b.at[0], a.at[1] - b.at[1], a.at[2] - b.at[2]}};
}

static vec mix(vec a, double wa, vec b, double wb) {
    vec out;
    for (int i = 0; i < 3; i++)
        out.at[i] = wa * a.at[i] + wb * b.at[i];
    return out;
}

static double dot(vec a, vec b) {
    return a.at[0] * b.at[0] + a.at[1] * b.at[1] + a.at[2] * b.at[2];
}

static vec cross(vec a, vec b) {
    vec out;
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        out.at[i] = a.at[j] * b.at[k] - a.at[k] * b.at[j];
    }
    return out;
}

static vec unit(vec a) {
    double n = sqrt(dot(a, a));
    return mix(a, n > 0 ? 1 / n : 0, a, 0);
}

/* ---------------------------------------------------------------- which joint is what */

/* Keypoint of a joint, or -1 for palm and long fingers' metacarpals. */
static int keypoint_of(int joint) {
    if (joint == PALM)
        return -1;
    if (joint < FINGER)
        return joint - WRIST;
    int finger = (joint - FINGER) / 5, part = (joint - FINGER) % 5;
    return part == 0 ? -1 : 4 + 4 * finger + part;
}

static int is_tip(int joint) {
    return joint == THUMB + 3 || (joint >= FINGER && (joint - FINGER) % 5 == 4);
}

static void place_joints(const vec kp[WILOR_MANO_KEYPOINTS], vec out[WILOR_XR_JOINTS]) {
    for (int i = WRIST; i < WILOR_XR_JOINTS; i++) {
        int k = keypoint_of(i);
        out[i] = k >= 0 ? kp[k]
                        : mix(kp[0], 1 - metacarpal_at, kp[keypoint_of(i + 1)], metacarpal_at);
    }
    out[PALM] = mix(out[MIDDLE_METACARPAL], 0.5, out[MIDDLE_PROXIMAL], 0.5);
}

/* Rest frame of a joint that is no tip, right hand: columns x, y, z. The identity where the
 * rest pose gives none. */
static void rest_frame(const vec kp[WILOR_MANO_KEYPOINTS], const vec joints[WILOR_XR_JOINTS],
                       int joint, double out[9]) {
    vec index = kp[5], little = kp[17];
    vec back = unit(cross(minus(little, kp[0]), minus(index, kp[0])));
    if (joint >= THUMB && joint < FINGER) { /* 60° towards the radial side */
        vec radial = unit(minus(index, little));
        back = mix(back, 0.5, radial, sqrt(0.75));
    }
    int along = joint == PALM || joint == WRIST ? MIDDLE_METACARPAL : joint;
    vec z = unit(minus(joints[along], joints[along + 1]));
    vec y = unit(mix(back, 1, z, -dot(back, z)));
    vec x = cross(y, z);
    int sound = dot(x, x) > 0.5;
    for (int i = 0; i < 3; i++) {
        out[3 * i] = sound ? x.at[i] : i == 0;
        out[3 * i + 1] = sound ? y.at[i] : i == 1;
        out[3 * i + 2] = sound ? z.at[i] : i == 2;
    }
}

static void mirror_matrix(double m[9]) {
    m[1] = -m[1];
    m[2] = -m[2];
    m[3] = -m[3];
    m[6] = -m[6];
}

/* ---------------------------------------------------------------- thickness */

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median distance from the joint's bone axis of the bone's vertices near the joint: within
 * `near` metres along the axis and `aside` along the joint's x. 0 when there are none. */
static double median_distance(const wilor_mano_rest *rest, int bone, const float *verts, vec at,
                              const double frame[9], double near, double aside, int least) {
    double found[SAMPLES];
    int n = 0, from = rest->bone_start[bone], to = rest->bone_start[bone + 1];
    int step = (to - from) / SAMPLES + 1; /* a very fine mesh: some of its vertices do */
    for (int i = from; i < to; i += step) {
        const float *p = verts + 3 * (size_t)rest->bone_vertices[i];
        vec d = minus((vec){{p[0], p[1], p[2]}}, at);
        double x = dot(d, (vec){{frame[0], frame[3], frame[6]}});
        double z = dot(d, (vec){{frame[2], frame[5], frame[8]}});
        double away = dot(d, d) - z * z;
        if (fabs(z) <= near && fabs(x) <= aside)
            found[n++] = sqrt(away > 0 ? away : 0);
    }
    if (n < least)
        return 0;
    qsort(found, (size_t)n, sizeof *found, by_size);
    return n % 2 ? found[n / 2] : (found[n / 2 - 1] + found[n / 2]) / 2;
}

/* The window is doubled until it holds enough vertices: some knuckles own few near the joint. */
static double half_thickness(const wilor_mano_rest *rest, int bone, const float *verts, vec at,
                             const double frame[9]) {
    enum { WIDENINGS = 5, ENOUGH = 10 };

    double near = window, r = 0;
    for (int i = 0; i <= WIDENINGS && !(r > 0); i++, near *= 2) {
        /* The palm is a single bone: only what lies above and below the joint tells its
         * thickness. */
        double aside = bone == 0 ? near : INFINITY;
        r = median_distance(rest, bone, verts, at, frame, near, aside,
                            i < WIDENINGS ? ENOUGH : 1);
    }
    return r > 0 ? r : default_radius;
}

/* ---------------------------------------------------------------- a hand */

typedef struct pose {
    vec joints[WILOR_XR_JOINTS];
    double frames[WILOR_XR_JOINTS][9];
} pose;

static int bone_of(const wilor_mano_rest *rest, int joint) {
    int k = keypoint_of(joint);
    return k >= 0 ? rest->bone[k] : rest->bone[0];
}

static void rest_pose(const wilor_mano_rest *rest, pose *out) {
    vec kp[WILOR_MANO_KEYPOINTS];
    memcpy(kp, rest->keypoints, sizeof kp);
    place_joints(kp, out->joints);
    for (int i = 0; i < WILOR_XR_JOINTS; i++)
        rest_frame(kp, out->joints, is_tip(i) ? i - 1 : i, out->frames[i]);
}

/* Rotations of the bones, the root's included. */
static void chain(const wilor_mano_rest *rest, const float *rotation,
                  double turn[WILOR_MANO_JOINTS][9]) {
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        double own[9];
        for (int i = 0; i < 9; i++)
            own[i] = rotation[9 * j + i];
        if (j == 0)
            memcpy(turn[0], own, sizeof own);
        else
            wilor_matrix_mul_f64(turn[rest->parents[j]], own, turn[j]);
    }
}

static void actual_pose(const wilor_mano_rest *rest, const pose *at_rest, wilor_side side,
                        const float *rotation, const float *kp21, pose *out) {
    vec kp[WILOR_MANO_KEYPOINTS];
    double turn[WILOR_MANO_JOINTS][9];
    for (int k = 0; k < WILOR_MANO_KEYPOINTS; k++)
        for (int i = 0; i < 3; i++)
            kp[k].at[i] = kp21[3 * k + i];
    place_joints(kp, out->joints);
    chain(rest, rotation, turn);
    for (int i = 0; i < WILOR_XR_JOINTS; i++) {
        double frame[9];
        memcpy(frame, at_rest->frames[i], sizeof frame);
        if (side == WILOR_LEFT)
            mirror_matrix(frame);
        wilor_matrix_mul_f64(turn[bone_of(rest, is_tip(i) ? i - 1 : i)], frame, out->frames[i]);
    }
}

static double palm_length(const vec joints[WILOR_XR_JOINTS]) {
    vec d = minus(joints[MIDDLE_PROXIMAL], joints[WRIST]);
    return sqrt(dot(d, d));
}

static void find_radii(const wilor_mano_rest *rest, const pose *at_rest, const pose *now,
                       const float *verts, float radius[WILOR_XR_JOINTS]) {
    const pose *in = verts ? now : at_rest;
    double rest_palm = palm_length(at_rest->joints);
    double scale = verts || !(rest_palm > 0) ? 1 : palm_length(now->joints) / rest_palm;
    const float *mesh = verts ? verts : rest->vertices;
    for (int i = 0; i < WILOR_XR_JOINTS; i++)
        radius[i] = is_tip(i) ? (float)tip_radius * radius[i - 1]
                              : (float)(scale * half_thickness(rest, bone_of(rest, i), mesh,
                                                               in->joints[i], in->frames[i]));
}

void wilor_xr26_compute(const wilor_mano *m, wilor_side side, const float *rotation,
                        const float *kp21, const float *verts, const float cam_t[3],
                        wilor_xr_joint out[WILOR_XR_JOINTS]) {
    static const double axis[3] = {1, -1,
                                   -1}; /* camera axes to OpenXR's: half a turn about x */
    const wilor_mano_rest *rest = wilor_mano_get_rest(m);
    pose at_rest, now;
    float radius[WILOR_XR_JOINTS];
    rest_pose(rest, &at_rest);
    actual_pose(rest, &at_rest, side, rotation, kp21, &now);
    find_radii(rest, &at_rest, &now, verts, radius);
    for (int i = 0; i < WILOR_XR_JOINTS; i++) {
        double turned[9], q[4];
        for (int k = 0; k < 9; k++)
            turned[k] = axis[k / 3] * now.frames[i][k];
        wilor_rotation_to_quaternion_f64(turned, q);
        for (int k = 0; k < 4; k++)
            out[i].orientation[k] = (float)q[k];
        for (int k = 0; k < 3; k++)
            out[i].position[k] = (float)(axis[k] * (now.joints[i].at[k] + cam_t[k]));
        out[i].radius = radius[i];
        out[i].flags = i >= FINGER && (i - FINGER) % 5 == 0 ? SYNTHETIC : MEASURED;
    }
}

/* ---------------------------------------------------------------- angles */

/* Where the bone points, −Z of its frame, after its own rotation, seen in the frame. */
static void bend(const double frame[9], const double turn[9], double out[2]) {
    const vec z = {{frame[2], frame[5], frame[8]}};
    vec d;
    for (int i = 0; i < 3; i++)
        d.at[i] =
            -(turn[3 * i] * z.at[0] + turn[3 * i + 1] * z.at[1] + turn[3 * i + 2] * z.at[2]);
    double x = dot(d, (vec){{frame[0], frame[3], frame[6]}});
    double y = dot(d, (vec){{frame[1], frame[4], frame[7]}});
    out[0] = atan2(-y, -dot(d, z));
    out[1] = asin(x < -1 ? 1 : x > 1 ? -1 : -x);
}

void wilor_angles_compute(const wilor_mano *m, const float *hand_pose45, wilor_side side,
                          float *out) {
    const wilor_mano_rest *rest = wilor_mano_get_rest(m);
    const double flip = side == WILOR_LEFT ? -1 : 1; /* to the right hand's convention */
    pose at_rest;
    rest_pose(rest, &at_rest);
    memset(out, 0, 2 * (WILOR_MANO_JOINTS - 1) * sizeof *out);
    for (int i = THUMB; i < WILOR_XR_JOINTS; i++) {
        int k = keypoint_of(i), bone = k < 0 ? 0 : rest->bone[k];
        if (is_tip(i) || bone == 0)
            continue;
        const float *v = hand_pose45 + 3 * (bone - 1);
        double turn[9], angles[2];
        wilor_rotation_from_vector_f64((const double[3]){v[0], flip * v[1], flip * v[2]}, turn);
        bend(at_rest.frames[i], turn, angles);
        out[2 * (bone - 1)] = (float)angles[0];
        out[2 * (bone - 1) + 1] = (float)angles[1];
    }
}
