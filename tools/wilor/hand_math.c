#include "hand_math.h"

#include <math.h>
#include <string.h>

void wilor_cli_quat_from_vector(const double v[3], double q[4]) {
    double angle = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    /* sin(a/2)/a near 0 is 1/2 - a²/48. */
    double scale = angle > 1e-6 ? sin(angle / 2) / angle : 0.5 - angle * angle / 48;
    double w = cos(angle / 2), sign = w < 0 ? -1 : 1;
    for (int i = 0; i < 3; i++)
        q[i] = sign * scale * v[i];
    q[3] = sign * w;
}

void wilor_cli_quat_to_vector(const double q[4], double v[3]) {
    double s = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2]), sign = q[3] < 0 ? -1 : 1;
    double angle = 2 * atan2(s, sign * q[3]);
    double scale = s > 1e-12 ? sign * angle / s : sign * 2;
    for (int i = 0; i < 3; i++)
        v[i] = scale * q[i];
}

void wilor_cli_quat_to_matrix(const double q[4], double m[9]) {
    double x = q[0], y = q[1], z = q[2], w = q[3];
    const double out[9] = {
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w),     2 * (x * z + y * w),
        2 * (x * y + z * w),     1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w),     2 * (y * z + x * w),     1 - 2 * (x * x + y * y)};
    memcpy(m, out, sizeof out);
}

/* Shepperd's method: the largest of the four squares is divided by. */
void wilor_cli_quat_from_matrix(const double m[9], double q[4]) {
    const double trace = m[0] + m[4] + m[8];
    const double four[4] = {1 + 2 * m[0] - trace, 1 + 2 * m[4] - trace, 1 + 2 * m[8] - trace,
                            1 + trace};
    int k = 0;
    for (int i = 1; i < 4; i++)
        k = four[i] > four[k] ? i : k;
    const double rows[4][4] = {{four[0], m[1] + m[3], m[2] + m[6], m[7] - m[5]},
                               {m[1] + m[3], four[1], m[5] + m[7], m[2] - m[6]},
                               {m[2] + m[6], m[5] + m[7], four[2], m[3] - m[1]},
                               {m[7] - m[5], m[2] - m[6], m[3] - m[1], four[3]}};
    memcpy(q, rows[k], sizeof rows[k]);
    wilor_cli_quat_unit(q);
}

void wilor_cli_quat_mul(const double a[4], const double b[4], double out[4]) {
    const double c[4] = {a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1],
                         a[3] * b[1] + a[1] * b[3] + a[2] * b[0] - a[0] * b[2],
                         a[3] * b[2] + a[2] * b[3] + a[0] * b[1] - a[1] * b[0],
                         a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2]};
    memcpy(out, c, sizeof c);
}

void wilor_cli_quat_conj(const double q[4], double out[4]) {
    for (int i = 0; i < 3; i++)
        out[i] = -q[i];
    out[3] = q[3];
}

void wilor_cli_quat_turn(const double q[4], const double v[3], double out[3]) {
    double m[9], turned[3];
    wilor_cli_quat_to_matrix(q, m);
    for (int i = 0; i < 3; i++)
        turned[i] = m[3 * i] * v[0] + m[3 * i + 1] * v[1] + m[3 * i + 2] * v[2];
    memcpy(out, turned, sizeof turned);
}

void wilor_cli_quat_unit(double q[4]) {
    double n = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    double scale = n > 0 ? (q[3] < 0 ? -1 : 1) / n : 0;
    for (int i = 0; i < 4; i++)
        q[i] *= scale;
}

const wilor_cli_bone wilor_cli_bones[WILOR_CLI_BONES] = {
    {"Hand", "wrist", -1, 0, 0},
    {"IndexProximal", "index1", 0, 5, 0},
    {"IndexIntermediate", "index2", 1, 6, 0},
    {"IndexDistal", "index3", 2, 7, 8},
    {"MiddleProximal", "middle1", 0, 9, 0},
    {"MiddleIntermediate", "middle2", 4, 10, 0},
    {"MiddleDistal", "middle3", 5, 11, 12},
    {"LittleProximal", "little1", 0, 17, 0},
    {"LittleIntermediate", "little2", 7, 18, 0},
    {"LittleDistal", "little3", 8, 19, 20},
    {"RingProximal", "ring1", 0, 13, 0},
    {"RingIntermediate", "ring2", 10, 14, 0},
    {"RingDistal", "ring3", 11, 15, 16},
    {"ThumbProximal", "thumb1", 0, 1, 0},
    {"ThumbIntermediate", "thumb2", 13, 2, 0},
    {"ThumbDistal", "thumb3", 14, 3, 4}};
