/* Rotations as quaternions x y z w, and MANO's bones by name: for what is made of finished hands. All in
 * double; out may be an argument. */
#ifndef WILOR_CLI_HAND_MATH_H
#define WILOR_CLI_HAND_MATH_H

void wilor_cli_quat_from_vector(const double v[3], double q[4]); /* axis × angle; w >= 0 */
void wilor_cli_quat_to_vector(const double q[4], double v[3]);   /* angle 0 … π */
void wilor_cli_quat_to_matrix(const double q[4], double m[9]);   /* row-major */
void wilor_cli_quat_from_matrix(const double m[9], double q[4]); /* of a rotation; w >= 0 */
void wilor_cli_quat_mul(const double a[4], const double b[4], double out[4]); /* first b */
void wilor_cli_quat_conj(const double q[4], double out[4]);
void wilor_cli_quat_turn(const double q[4], const double v[3], double out[3]);
void wilor_cli_quat_unit(double q[4]); /* of length 1, w >= 0; zero stays */

/* MANO's joints, in its order: the wrist, then index, middle, little, ring finger and thumb, three each from
 * the palm outwards. A parent comes before its children. */
enum { WILOR_CLI_BONES = 16 };

typedef struct wilor_cli_bone {
    const char *unity; /* HumanBodyBones' name without the side: "IndexProximal" */
    const char *plain; /* "index1" */
    int parent;        /* -1: the wrist's */
    int keypoint;      /* of the 21, where the joint is */
    int tip;           /* the keypoint at the other end of the last bone; 0: not the last */
} wilor_cli_bone;

extern const wilor_cli_bone wilor_cli_bones[WILOR_CLI_BONES];

#endif
