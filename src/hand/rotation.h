/* Rotations: WiLoR's 6D numbers, row-major matrices, rotation vectors, quaternions.
 *
 * Matrices act on column vectors; a vector is axis × angle in radians. float functions round as
 * a float32 reference does (2e-6 of PyTorch); the _f64 ones are the same formulas in double. */
#ifndef WILOR_ROTATION_H
#define WILOR_ROTATION_H

/* Six numbers a1 = r[0..2], a2 = r[3..5] to a matrix whose columns are b1, b2, b1 × b2
 * (Gram-Schmidt; Zhou et al., CVPR 2019, in WiLoR's order). A degenerate vector gives zero
 * columns, no identity. */
void wilor_rotation_from_6d(const float r[6], float m[9]);
void wilor_rotation_from_6d_f64(const double r[6], double m[9]);

/* As wilor-mlx 0.3.1: lengths are divided by plus 1e-8. */
void wilor_rotation_from_6d_mlx(const float r[6], float m[9]);

/* A matrix to its vector, angle in [0, π], exact near π, as roma's quaternion does it. At
 * exactly π the sign is the reference's: diag(1, −1, −1) gives (−π, 0, 0), and so does the zero
 * matrix. */
void wilor_rotation_to_vector(const float m[9], float v[3]);
/* As wilor-mlx 0.3.1: the angle from the trace, the axis from the antisymmetric part. Wrong near
 * π, where both lose their digits; zero at π. */
void wilor_rotation_to_vector_mlx(const float m[9], float v[3]);
void wilor_rotation_to_vector_f64(const double m[9], double v[3]);

/* A vector to its matrix (Rodrigues). */
void wilor_rotation_from_vector_f64(const double v[3], double m[9]);

/* A proper rotation matrix to a unit quaternion x y z w with w >= 0. */
void wilor_rotation_to_quaternion_f64(const double m[9], double q[4]);

/* c = a · b; c may be neither a nor b. */
void wilor_matrix_mul_f64(const double a[9], const double b[9], double c[9]);

/* Unit quaternions x y z w. q and −q are the same rotation: what takes one takes either. */
/* c = a · b: first b, then a. c may be either. */
void wilor_quaternion_mul_f64(const double a[4], const double b[4], double c[4]);
/* The rotation that leads from a to b, seen in the frame of the camera: c · a = b. */
void wilor_quaternion_between_f64(const double a[4], const double b[4], double c[4]);
/* A rotation vector of any length; and back, the shorter way, angle in [0, π]. */
void wilor_quaternion_exp_f64(const double v[3], double q[4]);
void wilor_quaternion_log_f64(const double q[4], double v[3]);
void wilor_quaternion_to_matrix_f64(const double q[4], double m[9]);

#endif
