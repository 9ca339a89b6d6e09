/* Rotations. 6D after Zhou et al., "On the Continuity of Rotation Representations in Neural
 * Networks" (CVPR 2019), columns as WiLoR lays them out; matrix to vector by way of a
 * quaternion as roma does it. Easy to get wrong: the order of the six numbers (HaMeR
 * interleaves them), the choice of branch on ties, the sign at exactly π, and degenerate input,
 * which must stay zero instead of becoming some rotation. The float versions repeat float32
 * arithmetic step by step, since near a branch or a degenerate vector double would take another
 * way than the reference. */
#include "rotation.h"

#include <math.h>

static void normalise_f32(float v[3]) {
    float n = sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    float by = n > 1e-12f || isnan(n) ? n : 1e-12f;
    for (int i = 0; i < 3; i++)
        v[i] /= by;
}

static void normalise_f64(double v[3]) {
    double n = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    double by = n > 1e-12 || isnan(n) ? n : 1e-12;
    for (int i = 0; i < 3; i++)
        v[i] /= by;
}

static void normalise_mlx(float v[3]) {
    float by = sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) + 1e-8f;
    for (int i = 0; i < 3; i++)
        v[i] /= by;
}

static void gram_schmidt(const float r[6], void (*normalise)(float *), float m[9]) {
    float b1[3] = {r[0], r[1], r[2]}, b2[3];
    normalise(b1);
    float along = b1[0] * r[3] + b1[1] * r[4] + b1[2] * r[5];
    for (int i = 0; i < 3; i++)
        b2[i] = r[3 + i] - along * b1[i];
    normalise(b2);
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        m[3 * i] = b1[i];
        m[3 * i + 1] = b2[i];
        m[3 * i + 2] = b1[j] * b2[k] - b1[k] * b2[j];
    }
}

void wilor_rotation_from_6d(const float r[6], float m[9]) { gram_schmidt(r, normalise_f32, m); }

void wilor_rotation_from_6d_mlx(const float r[6], float m[9]) {
    gram_schmidt(r, normalise_mlx, m);
}

void wilor_rotation_from_6d_f64(const double r[6], double m[9]) {
    double b1[3] = {r[0], r[1], r[2]}, b2[3];
    normalise_f64(b1);
    double along = b1[0] * r[3] + b1[1] * r[4] + b1[2] * r[5];
    for (int i = 0; i < 3; i++)
        b2[i] = r[3 + i] - along * b1[i];
    normalise_f64(b2);
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        m[3 * i] = b1[i];
        m[3 * i + 1] = b2[i];
        m[3 * i + 2] = b1[j] * b2[k] - b1[k] * b2[j];
    }
}

/* Which of x, y, z, w is surely not small: the largest of the four squares (times four), the
 * first on ties. */
static int largest(const double square[4]) {
    int at = 0;
    for (int i = 1; i < 4; i++)
        if (square[i] > square[at])
            at = i;
    return at;
}

/* A quaternion of any positive length, its component of the branch positive. */
static void quaternion_f32(const float m[9], float q[4]) {
    float square[4] = {1 + m[0] - m[4] - m[8], 1 + m[4] - m[8] - m[0], 1 + m[8] - m[0] - m[4],
                       1 + m[0] + m[4] + m[8]};
    int i = largest((const double[4]){square[0], square[1], square[2], square[3]});
    q[i] = square[i];
    if (i == 3) {
        q[0] = m[7] - m[5];
        q[1] = m[2] - m[6];
        q[2] = m[3] - m[1];
        return;
    }
    int j = (i + 1) % 3, k = (i + 2) % 3;
    q[j] = m[3 * j + i] + m[3 * i + j];
    q[k] = m[3 * k + i] + m[3 * i + k];
    q[3] = m[3 * k + j] - m[3 * j + k];
}

static void quaternion_f64(const double m[9], double q[4]) {
    double square[4] = {1 + m[0] - m[4] - m[8], 1 + m[4] - m[8] - m[0], 1 + m[8] - m[0] - m[4],
                        1 + m[0] + m[4] + m[8]};
    int i = largest(square);
    q[i] = square[i];
    if (i == 3) {
        q[0] = m[7] - m[5];
        q[1] = m[2] - m[6];
        q[2] = m[3] - m[1];
        return;
    }
    int j = (i + 1) % 3, k = (i + 2) % 3;
    q[j] = m[3 * j + i] + m[3 * i + j];
    q[k] = m[3 * k + i] + m[3 * i + k];
    q[3] = m[3 * k + j] - m[3 * j + k];
}

void wilor_rotation_to_vector(const float m[9], float v[3]) {
    float q[4];
    quaternion_f32(m, q);
    float sign = q[3] <= 0 ? -1.0f : 1.0f; /* at w = 0, exactly π, too: as the reference */
    float sine = sqrtf(q[0] * q[0] + q[1] * q[1] + q[2] * q[2]);
    float by = sine == 0 ? 0 : sign * (2 * atan2f(sine, sign * q[3]) / sine);
    for (int i = 0; i < 3; i++)
        v[i] = q[i] * by;
}

void wilor_rotation_to_vector_mlx(const float m[9], float v[3]) {
    float cosine = (m[0] + m[4] + m[8] - 1.0f) / 2.0f;
    /* Written so that NaN stays NaN. */
    cosine = cosine < -1.0f ? -1.0f : cosine > 1.0f ? 1.0f : cosine;
    float angle = acosf(cosine), sine = sinf(angle);
    float by = 2.0f * (fabsf(sine) < 1e-6f ? 1.0f : sine);
    v[0] = (m[7] - m[5]) / by * angle;
    v[1] = (m[2] - m[6]) / by * angle;
    v[2] = (m[3] - m[1]) / by * angle;
}

void wilor_rotation_to_vector_f64(const double m[9], double v[3]) {
    double q[4];
    quaternion_f64(m, q);
    double sign = q[3] <= 0 ? -1.0 : 1.0;
    double sine = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2]);
    double by = sine == 0 ? 0 : sign * (2 * atan2(sine, sign * q[3]) / sine);
    for (int i = 0; i < 3; i++)
        v[i] = q[i] * by;
}

void wilor_rotation_from_vector_f64(const double v[3], double m[9]) {
    double angle = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    /* m = I + s·K + c·K², K the cross product with v. 1 − cos by the half angle, which cancels
     * nothing. */
    double s = angle > 0 ? sin(angle) / angle : 1;
    double half = angle > 0 ? sin(angle / 2) / (angle / 2) : 1;
    double c = 0.5 * half * half;
    double k[9] = {0, -v[2], v[1], v[2], 0, -v[0], -v[1], v[0], 0}, k2[9];
    wilor_matrix_mul_f64(k, k, k2);
    for (int i = 0; i < 9; i++)
        m[i] = (i % 4 == 0) + s * k[i] + c * k2[i];
}

void wilor_rotation_to_quaternion_f64(const double m[9], double q[4]) {
    quaternion_f64(m, q);
    double n = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    double by = (q[3] < 0 ? -1.0 : 1.0) / n;
    for (int i = 0; i < 4; i++)
        q[i] *= by;
}

void wilor_matrix_mul_f64(const double a[9], const double b[9], double c[9]) {
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            c[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
}

void wilor_quaternion_mul_f64(const double a[4], const double b[4], double c[4]) {
    const double x = a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1];
    const double y = a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0];
    const double z = a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3];
    const double w = a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2];
    c[0] = x;
    c[1] = y;
    c[2] = z;
    c[3] = w;
}

void wilor_quaternion_between_f64(const double a[4], const double b[4], double c[4]) {
    const double back[4] = {-a[0], -a[1], -a[2], a[3]};
    wilor_quaternion_mul_f64(b, back, c);
}

void wilor_quaternion_exp_f64(const double v[3], double q[4]) {
    double angle = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    double by = angle > 1e-9 ? sin(angle / 2) / angle : 0.5;
    for (int i = 0; i < 3; i++)
        q[i] = v[i] * by;
    q[3] = cos(angle / 2);
}

void wilor_quaternion_log_f64(const double q[4], double v[3]) {
    double sine = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2]);
    double sign = q[3] < 0 ? -1.0 : 1.0;
    /* atan2 keeps its digits at both ends; where the sine is gone, it is the angle's half. */
    double by = sine > 1e-12 ? 2 * atan2(sine, sign * q[3]) / sine : 2;
    for (int i = 0; i < 3; i++)
        v[i] = sign * by * q[i];
}

void wilor_quaternion_to_matrix_f64(const double q[4], double m[9]) {
    const double x = q[0], y = q[1], z = q[2], w = q[3];
    m[0] = 1 - 2 * (y * y + z * z);
    m[1] = 2 * (x * y - z * w);
    m[2] = 2 * (x * z + y * w);
    m[3] = 2 * (x * y + z * w);
    m[4] = 1 - 2 * (x * x + z * z);
    m[5] = 2 * (y * z - x * w);
    m[6] = 2 * (x * z - y * w);
    m[7] = 2 * (y * z + x * w);
    m[8] = 1 - 2 * (x * x + y * y);
}
