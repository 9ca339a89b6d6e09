/* BVH (Biovision's hierarchy): a hand's joints with offsets, then a line a frame. Metres and degrees; y up: (x, -y, -z)
 * of the camera's frame. All joints' axes are the file's own at rest, which is MANO's flat hand.
 *
 * BVH has one time between all frames; a stream's vary. The frames are the take's, resampled at its mean rate: places
 * linearly, rotations along the great circle; a source of even rate comes out as it is. */
#include "take_tracks.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* To the file's axes, half a turn about x. */
static void turn_axes(const float *from, double *to) {
    to[0] = (double)from[0];
    to[1] = -(double)from[1];
    to[2] = -(double)from[2];
}

static void put_joint(FILE *to, const float *rest, int bone, int depth) {
    const wilor_cli_bone *b = &wilor_cli_bones[bone];
    int parent = b->parent < 0 ? b->keypoint : wilor_cli_bones[b->parent].keypoint;
    float offset[3];
    double o[3];
    for (int i = 0; i < 3; i++)
        offset[i] = rest[3 * b->keypoint + i] - rest[3 * parent + i];
    turn_axes(offset, o);
    fprintf(to, "%*s%s %s\n%*s{\n", depth, "", bone ? "JOINT" : "ROOT", b->plain, depth, "");
    fprintf(to, "%*sOFFSET %.9g %.9g %.9g\n", depth + 2, "", o[0], o[1], o[2]);
    fprintf(to, "%*sCHANNELS %s Zrotation Xrotation Yrotation\n", depth + 2, "",
            bone ? "3" : "6 Xposition Yposition Zposition");
    for (int child = bone + 1; child < WILOR_CLI_BONES; child++)
        if (wilor_cli_bones[child].parent == bone)
            put_joint(to, rest, child, depth + 2);
    if (b->tip) {
        for (int i = 0; i < 3; i++)
            offset[i] = rest[3 * b->tip + i] - rest[3 * b->keypoint + i];
        turn_axes(offset, o);
        fprintf(to, "%*sEnd Site\n%*s{\n%*sOFFSET %.9g %.9g %.9g\n%*s}\n", depth + 2, "",
                depth + 2, "", depth + 4, "", o[0], o[1], o[2], depth + 2, "");
    }
    fprintf(to, "%*s}\n", depth, "");
}

/* Degrees a, b, c with R = Rz(a) Rx(b) Ry(c). */
static void angles_of(const double q[4], double out[3]) {
    const double degrees = 180 / 3.14159265358979323846;
    double m[9];
    wilor_cli_quat_to_matrix(q, m);
    double s = m[7] < -1 ? -1 : m[7] > 1 ? 1 : m[7];
    bool locked = fabs(s) > 1 - 1e-12; /* only a + c or a - c is known: c = 0 */
    out[0] = degrees * (locked ? atan2(m[3], m[0]) : atan2(-m[1], m[4]));
    out[1] = degrees * asin(s);
    out[2] = degrees * (locked ? 0 : atan2(-m[6], m[8]));
}

static void slerp(const double a[4], const double b[4], double part, double out[4]) {
    double dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3], sign = dot < 0 ? -1 : 1;
    double angle = acos(dot * sign > 1 ? 1 : dot * sign), wa = 1 - part, wb = part;
    if (angle > 1e-6) {
        wa = sin((1 - part) * angle) / sin(angle);
        wb = sin(part * angle) / sin(angle);
    }
    for (int i = 0; i < 4; i++)
        out[i] = wa * a[i] + sign * wb * b[i];
    wilor_cli_quat_unit(out);
}

/* (x, y, z, w) about the half turned axes is (x, -y, -z, w). */
static void widen(const float *from, double *to) {
    turn_axes(from, to);
    to[3] = (double)from[3];
}

static void put_frame(FILE *to, const wilor_cli_take_frame *a, const wilor_cli_take_frame *b,
                      double part) {
    double pa[3], pb[3];
    turn_axes(a->place, pa);
    turn_axes(b->place, pb);
    for (int i = 0; i < 3; i++)
        fprintf(to, "%.9g ", (1 - part) * pa[i] + part * pb[i]);
    /* In the order in which put_joint names them: MANO's, as each parent's children come in it. */
    for (int j = 0; j < WILOR_CLI_BONES; j++) {
        double qa[4], qb[4], q[4], angle[3];
        widen(a->turn[j], qa);
        widen(b->turn[j], qb);
        slerp(qa, qb, part, q);
        angles_of(q, angle);
        fprintf(to, "%.9g %.9g %.9g%c", angle[0], angle[1], angle[2],
                j + 1 < WILOR_CLI_BONES ? ' ' : '\n');
    }
}

static wilor_status cut(const char *path, wilor_error *err) {
    return wilor_cli_fail(err, WILOR_ERR_IO, "%s: its temporary file is cut", path);
}

/* The last frame of the track at or before t, from `at` on, and the next. */
static bool frames_around(const wilor_cli_tracks *t, const wilor_cli_track *track, double now,
                          size_t *at, wilor_cli_take_frame *a, wilor_cli_take_frame *b) {
    while (*at + 2 < track->count && b->t <= now) {
        ++*at;
        *a = *b;
        if (!wilor_cli_track_frame(t, track, *at + 1, b))
            return false;
    }
    return true;
}

wilor_status wilor_cli_take_bvh(const wilor_cli_tracks *t, const wilor_cli_track *track,
                                FILE *to, const char *path, wilor_error *err) {
    wilor_cli_take_frame a, b;
    float rest[63];
    size_t at = 0, n = track->count;
    double step = n > 1 ? (track->last - track->first) / (double)(n - 1) : 1.0 / 30;
    wilor_hand_rest(t->model, track->side, track->betas, NULL, rest);
    fputs("HIERARCHY\n", to);
    put_joint(to, rest, 0, 0);
    fprintf(to, "MOTION\nFrames: %zu\nFrame Time: %.9g\n", n, step);
    if (!wilor_cli_track_frame(t, track, 0, &a) ||
        !wilor_cli_track_frame(t, track, n > 1 ? 1 : 0, &b))
        return cut(path, err);
    for (size_t i = 0; i < n; i++) {
        double now = i + 1 < n ? track->first + (double)i * step : track->last;
        if (!frames_around(t, track, now, &at, &a, &b))
            return cut(path, err);
        double part = b.t > a.t ? (now - a.t) / (b.t - a.t) : 0;
        put_frame(to, &a, &b, part < 0 ? 0 : part > 1 ? 1 : part);
    }
    return ferror(to) ? wilor_cli_fail_errno(err, path, "cannot write", errno) : WILOR_OK;
}
