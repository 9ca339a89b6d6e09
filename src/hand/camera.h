/* From the crop's weak perspective to the camera of the whole picture and back. All in double.
 *
 * Camera frame: x right, y down, z forward, metres; pixels with centres at integers. */
#ifndef WILOR_CAMERA_H
#define WILOR_CAMERA_H

#include "wilor/wilor.h"
#include <stddef.h>

typedef struct wilor_camera {
    double fx, fy, cx, cy; /* pixels of the whole picture */
    double k[5];           /* k1 k2 p1 p2 k3: Brown-Conrady in OpenCV's order */
    int given; /* 1: the caller's intrinsics; 0: WiLoR's pinhole at the picture's middle */
} wilor_camera;

/* The camera of a width × height picture.
 *   intrinsics  fx fy cx cy, or NULL: f = focal, centre (width/2, height/2)
 *   distortion  5 numbers or NULL; only looked at with intrinsics
 *   focal       without intrinsics: pixels, or 0 for WiLoR's 5000/256 × max(width, height)
 *   errors      ERR_ARG: not finite, a focal length that is not positive */
wilor_status wilor_camera_init(wilor_camera *out, int width, int height,
                               const double *intrinsics, const double *distortion, double focal,
                               wilor_error *err);

/* Translation of a hand into the camera frame.
 *   pred_cam  s tx ty, mirrored back for a left hand
 *   cx cy b   centre and side of the crop in pixels of the (unmirrored) picture
 * Without intrinsics WiLoR's cam_crop_to_full; with them the translation whose projection
 * agrees with the crop's weak perspective at the root, whose pixel is undistorted first. */
void wilor_camera_translation(const wilor_camera *cam, const float pred_cam[3], double cx,
                              double cy, double b, int width, int height, double t[3]);
void wilor_camera_translation_f64(const wilor_camera *cam, const double pred_cam[3], double cx,
                                  double cy, double b, int width, int height, double t[3]);

/* Pixels (n × 2) of n points plus t: pinhole and distortion as OpenCV's projectPoints. Points
 * at z = 0 give infinities or NaN. */
void wilor_camera_project(const wilor_camera *cam, const float *points, size_t n,
                          const double t[3], float *uv);
void wilor_camera_project_f64(const wilor_camera *cam, const double *points, size_t n,
                              const double t[3], double *uv);

/* Normalised image coordinates x/z, y/z of a pixel, distortion removed (Newton's method; where
 * the model cannot be inverted, the nearest it reached). */
void wilor_camera_unproject(const wilor_camera *cam, const double pixel[2], double xy[2]);

/* The camera of the same picture mirrored (x <- width − x): a selfie's results, negated in x,
 * project with it to width − x. */
wilor_camera wilor_camera_mirror(const wilor_camera *cam, int width);

/* palm / distance from wrist (0) to middle knuckle (9): what hand and translation are
 * multiplied by. 1 when palm is 0 or the points give no length. */
double wilor_palm_scale(const float *keypoints21, double palm);

/* Mirror results in x, in place: of a left hand that was run as a right one, or of a selfie. */
void wilor_hand_mirror_cam(float pred_cam[3]);       /* tx <- −tx */
void wilor_hand_mirror_points(float *xyz, size_t n); /* x <- −x; n × 3. A translation too */
void wilor_hand_mirror_vectors(float *v, size_t n);  /* y, z <- −y, −z; n × 3 */
void wilor_hand_mirror_matrices(float *m, size_t n); /* M R M, M = diag(−1, 1, 1); n × 9 */

#endif
