/* Cameras. WiLoR's cam_crop_to_full for its own pinhole; for real intrinsics the same idea
 * solved for them: depth from the crop's scale, the root's pixel back-projected. Distortion is
 * Brown (1966) and Conrady as OpenCV's projectPoints has it: k1, k2, p1, p2, k3. Easy to get
 * wrong: pred_cam is in crop units where the crop is 2 wide, so a tx of 1 is half a crop; left
 * hands mirror tx before they come here; a selfie's centre mirrors to width − cx, not width − 1
 * − cx. */
#include "camera.h"
#include "status.h"

#include <math.h>

enum { WRIST = 0, MIDDLE_MCP = 9 };

static wilor_status set_intrinsics(wilor_camera *c, const double *in, const double *distortion,
                                   wilor_error *err) {
    static const char *const names[4] = {"fx", "fy", "cx", "cy"};
    for (int i = 0; i < 4; i++)
        if (!isfinite(in[i]) || (i < 2 && in[i] <= 0))
            return wilor_error_set(err, WILOR_ERR_ARG, "intrinsics: %s is %g, not %s", names[i],
                                   in[i], i < 2 ? "a positive number" : "a number");
    for (int i = 0; distortion && i < 5; i++) {
        if (!isfinite(distortion[i]))
            return wilor_error_set(err, WILOR_ERR_ARG, "distortion: number %d of 5 is %g",
                                   i + 1, distortion[i]);
        c->k[i] = distortion[i];
    }
    c->fx = in[0];
    c->fy = in[1];
    c->cx = in[2];
    c->cy = in[3];
    c->given = 1;
    return WILOR_OK;
}

wilor_status wilor_camera_init(wilor_camera *out, int width, int height,
                               const double *intrinsics, const double *distortion, double focal,
                               wilor_error *err) {
    *out = (wilor_camera){0};
    if (intrinsics)
        return set_intrinsics(out, intrinsics, distortion, err);
    if (!isfinite(focal) || focal < 0)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "focal length is %g pixels, not a positive number", focal);
    out->fx = focal > 0 ? focal : 5000.0 / 256 * (width > height ? width : height);
    out->fy = out->fx;
    out->cx = width / 2.0;
    out->cy = height / 2.0;
    return WILOR_OK;
}

static int distorts(const wilor_camera *c) {
    return c->k[0] != 0 || c->k[1] != 0 || c->k[2] != 0 || c->k[3] != 0 || c->k[4] != 0;
}

/* Distorted coordinates of x, y and their derivatives d = {dX/dx, dX/dy, dY/dx, dY/dy}. */
static void distort(const double k[5], double x, double y, double out[2], double d[4]) {
    double r2 = x * x + y * y;
    double radial = 1 + r2 * (k[0] + r2 * (k[1] + r2 * k[4]));
    double slope =
        2 * (k[0] + r2 * (2 * k[1] + r2 * 3 * k[4])); /* d radial / d x = slope · x */
    out[0] = x * radial + 2 * k[2] * x * y + k[3] * (r2 + 2 * x * x);
    out[1] = y * radial + k[2] * (r2 + 2 * y * y) + 2 * k[3] * x * y;
    d[0] = radial + slope * x * x + 2 * k[2] * y + 6 * k[3] * x;
    d[1] = slope * x * y + 2 * k[2] * x + 2 * k[3] * y;
    d[2] = d[1];
    d[3] = radial + slope * y * y + 6 * k[2] * y + 2 * k[3] * x;
}

void wilor_camera_unproject(const wilor_camera *cam, const double pixel[2], double xy[2]) {
    enum { STEPS = 50, HALVINGS = 20 };

    const double want[2] = {(pixel[0] - cam->cx) / cam->fx, (pixel[1] - cam->cy) / cam->fy};
    xy[0] = want[0];
    xy[1] = want[1];
    if (!distorts(cam))
        return;
    double at[2], d[4];
    distort(cam->k, xy[0], xy[1], at, d);
    double left = hypot(at[0] - want[0], at[1] - want[1]);
    for (int i = 0; i < STEPS && left > 0; i++) {
        double det = d[0] * d[3] - d[1] * d[2], ex = at[0] - want[0], ey = at[1] - want[1];
        double step[2] = {(d[3] * ex - d[1] * ey) / det, (d[0] * ey - d[2] * ex) / det};
        double scale = 1, next = left, go[2] = {0, 0};
        for (int h = 0; h < HALVINGS; h++, scale *= 0.5) { /* only ever towards the pixel */
            go[0] = xy[0] - scale * step[0];
            go[1] = xy[1] - scale * step[1];
            distort(cam->k, go[0], go[1], at, d);
            next = hypot(at[0] - want[0], at[1] - want[1]);
            if (next < left)
                break;
        }
        if (!(next < left))
            return;
        xy[0] = go[0];
        xy[1] = go[1];
        left = next;
    }
}

void wilor_camera_translation_f64(const wilor_camera *cam, const double pred_cam[3], double cx,
                                  double cy, double b, int width, int height, double t[3]) {
    double bs = b * pred_cam[0] + 1e-9;
    if (!cam->given) {
        t[0] = 2 * (cx - width / 2.0) / bs + pred_cam[1];
        t[1] = 2 * (cy - height / 2.0) / bs + pred_cam[2];
        t[2] = 2 * cam->fx / bs;
        return;
    }
    double pixel[2] = {cx + bs * pred_cam[1] / 2, cy + bs * pred_cam[2] / 2}, xy[2];
    wilor_camera_unproject(cam, pixel, xy);
    t[2] = (cam->fx + cam->fy) / bs;
    t[0] = xy[0] * t[2];
    t[1] = xy[1] * t[2];
}

void wilor_camera_translation(const wilor_camera *cam, const float pred_cam[3], double cx,
                              double cy, double b, int width, int height, double t[3]) {
    const double s[3] = {pred_cam[0], pred_cam[1], pred_cam[2]};
    wilor_camera_translation_f64(cam, s, cx, cy, b, width, height, t);
}

static void project_one(const wilor_camera *c, double x, double y, double z, double uv[2]) {
    double at[2] = {x / z, y / z}, d[4];
    if (distorts(c))
        distort(c->k, at[0], at[1], at, d);
    uv[0] = c->fx * at[0] + c->cx;
    uv[1] = c->fy * at[1] + c->cy;
}

void wilor_camera_project(const wilor_camera *cam, const float *points, size_t n,
                          const double t[3], float *uv) {
    for (size_t i = 0; i < n; i++) {
        const float *p = points + 3 * i;
        double at[2];
        project_one(cam, p[0] + t[0], p[1] + t[1], p[2] + t[2], at);
        uv[2 * i] = (float)at[0];
        uv[2 * i + 1] = (float)at[1];
    }
}

void wilor_camera_project_f64(const wilor_camera *cam, const double *points, size_t n,
                              const double t[3], double *uv) {
    for (size_t i = 0; i < n; i++) {
        const double *p = points + 3 * i;
        project_one(cam, p[0] + t[0], p[1] + t[1], p[2] + t[2], uv + 2 * i);
    }
}

wilor_camera wilor_camera_mirror(const wilor_camera *cam, int width) {
    wilor_camera out = *cam;
    out.cx = width - cam->cx;
    out.k[3] = -cam->k[3]; /* p2 goes with x, p1 with y */
    return out;
}

double wilor_palm_scale(const float *keypoints21, double palm) {
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double d = (double)keypoints21[3 * MIDDLE_MCP + i] - keypoints21[3 * WRIST + i];
        sum += d * d;
    }
    return palm > 0 && isfinite(sum) && sum > 0 ? palm / sqrt(sum) : 1;
}

void wilor_hand_mirror_cam(float pred_cam[3]) { pred_cam[1] = -pred_cam[1]; }

void wilor_hand_mirror_points(float *xyz, size_t n) {
    for (size_t i = 0; i < n; i++)
        xyz[3 * i] = -xyz[3 * i];
}

void wilor_hand_mirror_vectors(float *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        v[3 * i + 1] = -v[3 * i + 1];
        v[3 * i + 2] = -v[3 * i + 2];
    }
}

void wilor_hand_mirror_matrices(float *m, size_t n) {
    static const int flipped[4] = {1, 2, 3, 6}; /* one index is x, the other is not */
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 4; k++)
            m[9 * i + flipped[k]] = -m[9 * i + flipped[k]];
}
