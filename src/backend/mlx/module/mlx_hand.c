/* 6D rotations and MANO as a graph, in float32. Joints of one distance from the root are turned together. */
#include "mlx_model.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- arrays */

/* A copy as float32. */
static mlx_array floats(const float *data, int rank, const int *shape) {
    return mlx_array_new_data(data, shape, rank, MLX_FLOAT32);
}

static mlx_array from_doubles(const double *data, int rows, int cols) {
    float out[MLX_BETAS * MLX_JOINTS * 3];
    for (int i = 0; i < rows * cols; i++)
        out[i] = (float)data[i];
    return floats(out, 2, (const int[]){rows, cols});
}

/* Parents come before their children. */
static void find_levels(wilor_mlx_hand *h, const int *parents) {
    int distance[MLX_JOINTS], placed = 0;
    for (int j = 0; j < MLX_JOINTS; j++)
        distance[j] = j == 0 ? 0 : distance[parents[j]] + 1;
    for (int d = 0; placed < MLX_JOINTS; d++) {
        wilor_mlx_level *l = &h->level[h->levels++];
        int before = placed;
        for (int j = 0; j < MLX_JOINTS; j++) {
            if (distance[j] != d)
                continue;
            int parent = j == 0 ? 0 : parents[j];
            l->joint[l->count] = j;
            l->parent[l->count] = parent;
            l->at[l->count++] = h->order[parent];
            h->order[j] = placed++;
        }
        if (placed == before)
            break; /* not for a hand that the core took */
    }
}

static wilor_mlx_result make_skin(wilor_mlx_hand *h, const wilor_net_mano *m,
                                  wilor_mlx_error *err) {
    float *skin = calloc((size_t)m->vertices * MLX_JOINTS, sizeof *skin);
    if (!skin)
        return wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no memory for the hand model");
    for (int v = 0; v < m->vertices; v++)
        for (int32_t i = m->skin_start[v]; i < m->skin_start[v + 1]; i++)
            skin[v * MLX_JOINTS + m->skin_joint[i]] = m->skin_weight[i];
    h->skin = floats(skin, 2, (const int[]){m->vertices, MLX_JOINTS});
    free(skin);
    return WILOR_MLX_OK;
}

/* The rows without what pads them. */
static wilor_mlx_result make_rows(wilor_mlx_hand *h, const wilor_net_mano *m,
                                  wilor_mlx_error *err) {
    enum { ROWS = MLX_BETAS + 9 * (MLX_JOINTS - 1) };

    size_t each = 3 * (size_t)m->vertices;
    float *rows = malloc(ROWS * each * sizeof *rows);
    if (!rows)
        return wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no memory for the hand model");
    for (size_t i = 0; i < ROWS; i++)
        memcpy(rows + i * each, m->rows + i * m->stride, each * sizeof *rows);
    h->rows = floats(rows, 2, (const int[]){ROWS, (int)each});
    free(rows);
    return WILOR_MLX_OK;
}

wilor_mlx_result wilor_mlx_hand_create(wilor_mlx_hand *h, const wilor_net_mano *m,
                                       wilor_mlx_error *err) {
    wilor_mlx_result st = WILOR_MLX_OK;
    wilor_mlx_errors_clear();
    h->vertices = m->vertices;
    find_levels(h, m->parents);
    memcpy(h->tips, m->tips, sizeof h->tips);
    memcpy(h->map, m->joint_map, sizeof h->map);
    h->template_ = floats(m->template_, 1, (const int[]){3 * m->vertices});
    h->joints = from_doubles(m->joints, 1, MLX_JOINTS * 3);
    h->joints_by_beta = from_doubles(m->joints_by_beta, MLX_BETAS, MLX_JOINTS * 3);
    MLX_TRY(make_rows(h, m, err));
    MLX_TRY(make_skin(h, m, err));
    if (!h->template_.ctx || !h->joints.ctx || !h->joints_by_beta.ctx || !h->rows.ctx ||
        !h->skin.ctx)
        st = wilor_mlx_errors_take(err, "the hand model");
done:
    return st;
}

void wilor_mlx_hand_free(wilor_mlx_hand *h) {
    mlx_array_free(h->template_);
    mlx_array_free(h->rows);
    mlx_array_free(h->joints);
    mlx_array_free(h->joints_by_beta);
    mlx_array_free(h->skin);
}

/* ---------------------------------------------------------------- rotations */

static mlx_array unit(wilor_mlx_graph *g, mlx_array a, bool like_mlx) {
    mlx_array length =
        wilor_mlx_sqrt(g, wilor_mlx_sum(g, wilor_mlx_multiply(g, a, a), 2, true));
    length = like_mlx ? wilor_mlx_add(g, length, wilor_mlx_scalar(g, 1e-8f))
                      : wilor_mlx_maximum(g, length, wilor_mlx_scalar(g, 1e-12f));
    return wilor_mlx_divide(g, a, length);
}

/* Of the last axis, 3 numbers. */
static mlx_array cross(wilor_mlx_graph *g, mlx_array a, mlx_array b) {
    static const int next[] = {1, 2, 0}, after[] = {2, 0, 1};
    mlx_array n = wilor_mlx_integers(g, next, 3), f = wilor_mlx_integers(g, after, 3);
    mlx_array plus =
        wilor_mlx_multiply(g, wilor_mlx_take(g, a, n, 2), wilor_mlx_take(g, b, f, 2));
    mlx_array minus =
        wilor_mlx_multiply(g, wilor_mlx_take(g, a, f, 2), wilor_mlx_take(g, b, n, 2));
    return wilor_mlx_subtract(g, plus, minus);
}

/* n × 96 to n × 16 × 3 × 3 with b1, b2, b1 × b2 as columns. */
static mlx_array from_6d(wilor_mlx_graph *g, mlx_array six, int n, bool like_mlx) {
    mlx_array a = wilor_mlx_reshape(g, six, MLX_DIMS(n, MLX_JOINTS, 6));
    mlx_array a1 = wilor_mlx_slice(g, a, 2, 0, 3), a2 = wilor_mlx_slice(g, a, 2, 3, 6);
    mlx_array b1 = unit(g, a1, like_mlx);
    mlx_array along = wilor_mlx_sum(g, wilor_mlx_multiply(g, b1, a2), 2, true);
    mlx_array b2 =
        unit(g, wilor_mlx_subtract(g, a2, wilor_mlx_multiply(g, along, b1)), like_mlx);
    const mlx_array columns[] = {b1, b2, cross(g, b1, b2)};
    return wilor_mlx_stack(g, columns, 3, 3);
}

/* ---------------------------------------------------------------- MANO */

/* n × V × 3 and n × 16 × 3 × 1 of the shape; vertices with the pose's corrections. */
static void shape_hand(wilor_mlx_graph *g, const wilor_mlx_hand *h, mlx_array rotation,
                       mlx_array betas, int n, mlx_array *verts, mlx_array *joints) {
    static const float identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    mlx_array ones[9];
    for (int i = 0; i < 9; i++)
        ones[i] = wilor_mlx_scalar(g, identity[i]);
    mlx_array turned = wilor_mlx_slice(g, rotation, 1, 1, MLX_JOINTS);
    turned = wilor_mlx_reshape(g, turned, MLX_DIMS(n, MLX_JOINTS - 1, 9));
    turned = wilor_mlx_subtract(g, turned, wilor_mlx_stack(g, ones, 9, 0));
    const mlx_array features[] = {
        betas, wilor_mlx_reshape(g, turned, MLX_DIMS(n, 9 * (MLX_JOINTS - 1)))};
    mlx_array v = wilor_mlx_matmul(g, wilor_mlx_concatenate(g, features, 2, 1), h->rows);
    *verts =
        wilor_mlx_reshape(g, wilor_mlx_add(g, v, h->template_), MLX_DIMS(n, h->vertices, 3));
    mlx_array j = wilor_mlx_add(g, wilor_mlx_matmul(g, betas, h->joints_by_beta), h->joints);
    *joints = wilor_mlx_reshape(g, j, MLX_DIMS(n, MLX_JOINTS, 3, 1));
}

/* The joints' places and rotations in the hand's frame: n × 16 × 3 × 1, n × 16 × 3 × 3. */
static void turn_joints(wilor_mlx_graph *g, const wilor_mlx_hand *h, mlx_array rotation,
                        mlx_array joints, mlx_array *turned, mlx_array *placed) {
    mlx_array r = wilor_mlx_slice(g, rotation, 1, 0, 1),
              t = wilor_mlx_slice(g, joints, 1, 0, 1);
    for (int i = 1; i < h->levels; i++) {
        const wilor_mlx_level *l = &h->level[i];
        mlx_array own = wilor_mlx_integers(g, l->joint, l->count);
        mlx_array parent = wilor_mlx_integers(g, l->parent, l->count);
        mlx_array at = wilor_mlx_integers(g, l->at, l->count);
        mlx_array bone = wilor_mlx_subtract(g, wilor_mlx_take(g, joints, own, 1),
                                            wilor_mlx_take(g, joints, parent, 1));
        mlx_array outer = wilor_mlx_take(g, r, at, 1);
        const mlx_array rs[] = {
            r, wilor_mlx_matmul(g, outer, wilor_mlx_take(g, rotation, own, 1))};
        const mlx_array ts[] = {
            t, wilor_mlx_add(g, wilor_mlx_matmul(g, outer, bone), wilor_mlx_take(g, t, at, 1))};
        r = wilor_mlx_concatenate(g, rs, 2, 1);
        t = wilor_mlx_concatenate(g, ts, 2, 1);
    }
    mlx_array order = wilor_mlx_integers(g, h->order, MLX_JOINTS);
    *turned = wilor_mlx_take(g, r, order, 1);
    *placed = wilor_mlx_take(g, t, order, 1);
}

/* Each vertex by the mean of its joints' movements. */
static mlx_array skin(wilor_mlx_graph *g, const wilor_mlx_hand *h, mlx_array verts,
                      mlx_array joints, mlx_array turned, mlx_array placed, int n) {
    int v = h->vertices;
    mlx_array shift = wilor_mlx_subtract(g, placed, wilor_mlx_matmul(g, turned, joints));
    const mlx_array both[] = {turned, shift};
    mlx_array moves = wilor_mlx_concatenate(g, both, 2, 3); /* n × 16 × 3 × 4 */
    moves = wilor_mlx_reshape(g, moves, MLX_DIMS(n, MLX_JOINTS, 12));
    moves = wilor_mlx_reshape(g, wilor_mlx_matmul(g, h->skin, moves), MLX_DIMS(n, v, 3, 4));
    mlx_array turn = wilor_mlx_slice(g, moves, 3, 0, 3);
    mlx_array moved =
        wilor_mlx_multiply(g, turn, wilor_mlx_reshape(g, verts, MLX_DIMS(n, v, 1, 3)));
    return wilor_mlx_add(g, wilor_mlx_sum(g, moved, 3, false), wilor_mlx_at(g, moves, 3, 3));
}

wilor_mlx_posed wilor_mlx_pose_hands(wilor_mlx_graph *g, const wilor_mlx_hand *h, mlx_array six,
                                     mlx_array betas, int n, bool like_mlx) {
    wilor_mlx_posed p;
    mlx_array verts, joints, turned, placed;
    p.rotation = from_6d(g, six, n, like_mlx);
    shape_hand(g, h, p.rotation, betas, n, &verts, &joints);
    turn_joints(g, h, p.rotation, joints, &turned, &placed);
    p.verts = skin(g, h, verts, joints, turned, placed, n);
    const mlx_array points[] = {
        wilor_mlx_reshape(g, placed, MLX_DIMS(n, MLX_JOINTS, 3)),
        wilor_mlx_take(g, p.verts, wilor_mlx_integers(g, h->tips, 5), 1)};
    p.keypoints = wilor_mlx_take(g, wilor_mlx_concatenate(g, points, 2, 1),
                                 wilor_mlx_integers(g, h->map, MLX_KEYPOINTS), 1);
    return p;
}
