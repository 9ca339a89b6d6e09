/* A camera's place from a file, and events moved by it.
 *
 * With the camera at R, t a point p of its frame is R p + t in the room. A hand's points are about the MANO
 * origin, and MANO turns about the wrist J (kp3d[0], which no rotation moves), so they become R (p - J) + J, and
 * cam_t becomes R (cam_t + J) + t - J: their sum is the moved point, and the moved global_orient still gives
 * the moved points. */
#include "extrinsics_file.h"

#include "cli_text.h"
#include "hand_math.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MOST = 65536 };

static const double g_farthest = 1e6; /* metres */
static const double g_slack =
    1e-3; /* of a rotation's lengths and angles: files have few digits */

/* ---------------------------------------------------------------- the file */

static wilor_status wrong(const char *path, const char *what, wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, WILOR_ERR_FORMAT, "--extrinsics %s: %s",
                          wilor_cli_quote(&q, path), what);
}

static bool numbers(const json_t *list, double *out, size_t count) {
    if (!json_is_array(list) || json_array_size(list) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(list, i);
        if (!json_is_number(entry))
            return false;
        out[i] = json_number_value(entry);
    }
    return true;
}

/* 16 numbers, or four rows of four. */
static bool matrix_numbers(const json_t *list, double m[16]) {
    if (numbers(list, m, 16))
        return true;
    if (!json_is_array(list) || json_array_size(list) != 4)
        return false;
    for (size_t i = 0; i < 4; i++)
        if (!numbers(json_array_get(list, i), m + 4 * i, 4))
            return false;
    return true;
}

/* Whether three rows of three are a rotation's: of length 1, at right angles, not mirrored. */
static bool is_rotation(const double r[9]) {
    for (int a = 0; a < 3; a++)
        for (int b = a; b < 3; b++) {
            double sum = 0;
            for (int k = 0; k < 3; k++)
                sum += r[3 * a + k] * r[3 * b + k];
            if (!(fabs(sum - (a == b)) <= g_slack))
                return false;
        }
    double det = r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) +
                 r[2] * (r[3] * r[7] - r[4] * r[6]);
    return det > 0;
}

static wilor_status take_matrix(wilor_cli_pose *out, const json_t *list, const char *path,
                                wilor_error *err) {
    double m[16], r[9];
    if (!matrix_numbers(list, m))
        return wrong(path, "the matrix is not 16 numbers or 4 rows of 4", err);
    if (m[12] != 0 || m[13] != 0 || m[14] != 0 || m[15] != 1)
        return wrong(path,
                     "the matrix's last row is not 0, 0, 0, 1: rows come one after the other",
                     err);
    for (int i = 0; i < 3; i++) {
        memcpy(r + 3 * i, m + 4 * i, 3 * sizeof *r);
        out->p[i] = m[4 * i + 3];
    }
    if (!is_rotation(r))
        return wrong(path, "the matrix's upper left 3 x 3 is not a rotation", err);
    wilor_cli_quat_from_matrix(r, out->q);
    return WILOR_OK;
}

static wilor_status take_pose(wilor_cli_pose *out, const json_t *object, const char *path,
                              wilor_error *err) {
    const json_t *position = json_object_get(object, "position");
    const json_t *quaternion = json_object_get(object, "quaternion");
    if (!position || !quaternion || json_object_size(object) != 2)
        return wrong(
            path,
            "it should have \"matrix\", or \"position\" and \"quaternion\", and nothing else",
            err);
    if (!numbers(position, out->p, 3))
        return wrong(path, "the position is not 3 numbers", err);
    if (!numbers(quaternion, out->q, 4))
        return wrong(path, "the quaternion is not 4 numbers x, y, z, w", err);
    double square = 0;
    for (int i = 0; i < 4; i++)
        square += out->q[i] * out->q[i];
    if (!(fabs(square - 1) <= g_slack))
        return wrong(path, "the quaternion x, y, z, w is not of length 1", err);
    wilor_cli_quat_unit(out->q);
    return WILOR_OK;
}

static wilor_status parse(wilor_cli_pose *out, const char *text, size_t size, const char *path,
                          wilor_error *err) {
    wilor_cli_quoted q;
    json_error_t why;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    const json_t *matrix = json_object_get(root, "matrix");
    wilor_status st;
    if (!root && !why.text[0]) /* mostly how jansson says it */
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    if (!root)
        return wilor_cli_fail(err, WILOR_ERR_FORMAT, "--extrinsics %s: line %d: %s",
                              wilor_cli_quote(&q, path), why.line, why.text);
    if (json_is_array(root))
        st = take_matrix(out, root, path, err);
    else if (matrix && json_object_size(root) == 1)
        st = take_matrix(out, matrix, path, err);
    else
        st = take_pose(out, root, path, err);
    for (int i = 0; st == WILOR_OK && i < 3; i++)
        if (!(fabs(out->p[i]) <= g_farthest))
            st = wilor_cli_fail(
                err, WILOR_ERR_LIMIT,
                "--extrinsics %s: %g is farther away than 1000 km; lengths are in "
                "metres",
                wilor_cli_quote(&q, path), out->p[i]);
    json_decref(root);
    return st;
}

wilor_status wilor_cli_extrinsics_read(wilor_cli_pose *out, const char *path,
                                       wilor_error *err) {
    wilor_cli_quoted q;
    *out = (wilor_cli_pose){{0}, {0}};
    FILE *file = wilor_sys_fopen(path, "rb");
    char *text = malloc(FILE_MOST + 1);
    wilor_status st = WILOR_OK;
    if (!file)
        st = wilor_cli_fail(err, WILOR_ERR_IO, "--extrinsics %s: %s", wilor_cli_quote(&q, path),
                            strerror(errno));
    else if (!text)
        st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    if (st == WILOR_OK) {
        size_t size = fread(text, 1, FILE_MOST + 1, file);
        if (ferror(file))
            st = wilor_cli_fail(err, WILOR_ERR_IO, "--extrinsics %s: %s",
                                wilor_cli_quote(&q, path), strerror(errno));
        else if (size > FILE_MOST)
            st = wilor_cli_fail(err, WILOR_ERR_LIMIT, "--extrinsics %s: larger than %d bytes",
                                wilor_cli_quote(&q, path), FILE_MOST);
        else
            st = parse(out, text, size, path, err);
    }
    if (file)
        fclose(file);
    free(text);
    return st;
}

/* ---------------------------------------------------------------- events */

struct wilor_cli_mover {
    wilor_cli_pose camera;
    double axes[4]; /* from OpenXR's axes of the camera to the room */
    wilor_cli_live_event event;
    wilor_cli_live_hand *hands;
    float *vertices;
    size_t hand_room, vertex_room;
};

wilor_status wilor_cli_mover_create(wilor_cli_mover **out, const wilor_cli_pose *camera,
                                    wilor_error *err) {
    static const double half_turn[4] = {1, 0, 0, 0};
    *out = calloc(1, sizeof **out);
    if (!*out)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    (*out)->camera = *camera;
    wilor_cli_quat_mul(camera->q, half_turn, (*out)->axes);
    return WILOR_OK;
}

void wilor_cli_mover_free(wilor_cli_mover **m) {
    if (!m || !*m)
        return;
    free((*m)->hands);
    free((*m)->vertices);
    free(*m);
    *m = NULL;
}

static void turn(const double q[4], const float *from, float *to) {
    double v[3] = {(double)from[0], (double)from[1], (double)from[2]};
    wilor_cli_quat_turn(q, v, v);
    for (int i = 0; i < 3; i++)
        to[i] = (float)v[i];
}

/* R (p - J) + J. */
static void turn_points(const double q[4], const float *about, const float *from, float *to,
                        size_t count) {
    double m[9];
    wilor_cli_quat_to_matrix(q, m);
    for (size_t k = 0; k < count; k++) {
        double d[3];
        for (int i = 0; i < 3; i++)
            d[i] = (double)from[3 * k + i] - (double)about[i];
        for (int i = 0; i < 3; i++)
            to[3 * k + i] = (float)(m[3 * i] * d[0] + m[3 * i + 1] * d[1] +
                                    m[3 * i + 2] * d[2] + (double)about[i]);
    }
}

static void turn_rotation(const double q[4], const float *from, float *to) {
    double own[4] = {(double)from[0], (double)from[1], (double)from[2], (double)from[3]};
    wilor_cli_quat_mul(q, own, own);
    wilor_cli_quat_unit(own);
    for (int i = 0; i < 4; i++)
        to[i] = (float)own[i];
}

static void move_joints(const wilor_cli_mover *m, const wilor_xr_joint *from,
                        wilor_xr_joint *to) {
    for (int i = 0; i < WILOR_CLI_XR_JOINTS && from[0].flags; i++) {
        double p[3] = {(double)from[i].position[0], (double)from[i].position[1],
                       (double)from[i].position[2]};
        wilor_cli_quat_turn(m->axes, p, p);
        for (int k = 0; k < 3; k++)
            to[i].position[k] = (float)(p[k] + m->camera.p[k]);
        turn_rotation(m->axes, from[i].orientation, to[i].orientation);
    }
}

static void move_hand(const wilor_cli_mover *m, const wilor_cli_live_hand *from,
                      wilor_cli_live_hand *to) {
    const double *q = m->camera.q;
    const float *wrist = from->keypoints_3d[0];
    double orient[4], v[3] = {(double)from->global_orient[0], (double)from->global_orient[1],
                              (double)from->global_orient[2]};
    double place[3];
    *to = *from;
    turn_points(q, wrist, from->keypoints_3d[0], to->keypoints_3d[0], WILOR_CLI_POINTS);
    for (int i = 0; i < 3; i++)
        place[i] = (double)from->cam_t[i] + (double)wrist[i];
    wilor_cli_quat_turn(q, place, place);
    wilor_cli_quat_from_vector(v, orient);
    wilor_cli_quat_mul(q, orient, orient);
    wilor_cli_quat_to_vector(orient, v);
    for (int i = 0; i < 3; i++) {
        to->cam_t[i] = (float)(place[i] + m->camera.p[i] - (double)wrist[i]);
        to->global_orient[i] = (float)v[i];
    }
    turn_rotation(q, from->wrist_q, to->wrist_q);
    turn(q, from->velocity, to->velocity);
    turn(q, from->angular_velocity, to->angular_velocity);
    move_joints(m, from->xr26, to->xr26);
}

static bool make_room(wilor_cli_mover *m, size_t hands, size_t floats) {
    if (hands > m->hand_room) {
        wilor_cli_live_hand *grown = realloc(m->hands, hands * sizeof *grown);
        if (!grown)
            return false;
        m->hands = grown;
        m->hand_room = hands;
    }
    if (floats > m->vertex_room) {
        float *grown = realloc(m->vertices, floats * sizeof *grown);
        if (!grown)
            return false;
        m->vertices = grown;
        m->vertex_room = floats;
    }
    return true;
}

wilor_status wilor_cli_mover_move(wilor_cli_mover *m, const wilor_cli_live_event *e,
                                  const wilor_cli_live_event **out, wilor_error *err) {
    size_t n = (size_t)e->n, mesh = 3 * (size_t)e->vertices;
    *out = NULL;
    if (!make_room(m, n, n * mesh))
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while moving an event");
    m->event = *e;
    m->event.extrinsics = &m->camera;
    m->event.hands = m->hands;
    for (size_t i = 0; i < n; i++) {
        const wilor_cli_live_hand *from = &e->hands[i];
        move_hand(m, from, &m->hands[i]);
        if (!from->vertices_3d)
            continue;
        float *vertices = m->vertices + i * mesh;
        turn_points(m->camera.q, from->keypoints_3d[0], from->vertices_3d, vertices, mesh / 3);
        m->hands[i].vertices_3d = vertices;
    }
    *out = &m->event;
    return WILOR_OK;
}
