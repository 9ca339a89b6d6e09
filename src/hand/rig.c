/* MANO taken apart. The mirror M = diag(-1, 1, 1) of a left hand turns a rotation R into M R M, whose element a, b has
 * the sign of the axes a and b: the offsets of such elements change it, too. */
#include "rig.h"
#include "mano_data.h"

#include <string.h>

static void mirror(float *xyz, size_t points) {
    for (size_t i = 0; i < points; i++)
        xyz[3 * i] = -xyz[3 * i];
}

static void rest_vertices(const wilor_mano *m, const float *betas, float *out) {
    size_t n = 3 * (size_t)m->vertices;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t b = 0; b < WILOR_MANO_BETAS; b++)
            sum += betas[b] * m->rows[b * m->stride + i];
        out[i] = m->template_[i] + sum;
    }
}

/* A tip is a vertex: looked up by its own sums. */
static void rest_tip(const wilor_mano *m, const float *betas, int32_t vertex, float out[3]) {
    for (size_t k = 0; k < 3; k++) {
        size_t i = 3 * (size_t)vertex + k;
        float sum = 0;
        for (size_t b = 0; b < WILOR_MANO_BETAS; b++)
            sum += betas[b] * m->rows[b * m->stride + i];
        out[k] = m->template_[i] + sum;
    }
}

static void rest_joint(const wilor_mano *m, const float *betas, int joint, float out[3]) {
    for (int k = 0; k < 3; k++) {
        double sum = m->joints[joint][k];
        for (int b = 0; b < WILOR_MANO_BETAS; b++)
            sum += (double)betas[b] * m->joints_by_beta[b][joint][k];
        out[k] = (float)sum;
    }
}

void wilor_rig_rest(const wilor_mano *m, wilor_side side, const float *betas, float *vertices,
                    float *keypoints21) {
    if (vertices) {
        rest_vertices(m, betas, vertices);
        if (side == WILOR_LEFT)
            mirror(vertices, (size_t)m->vertices);
    }
    if (!keypoints21)
        return;
    for (int k = 0; k < WILOR_MANO_KEYPOINTS; k++) {
        int at = m->joint_map[k];
        if (at < WILOR_MANO_JOINTS)
            rest_joint(m, betas, at, keypoints21 + 3 * k);
        else
            rest_tip(m, betas, m->tips[at - WILOR_MANO_JOINTS], keypoints21 + 3 * k);
    }
    if (side == WILOR_LEFT)
        mirror(keypoints21, WILOR_MANO_KEYPOINTS);
}

void wilor_rig_skin(const wilor_mano *m, float *weights, int *parents) {
    size_t n = (size_t)m->vertices * WILOR_MANO_JOINTS;
    for (size_t i = 0; weights && i < n; i++)
        weights[i] = 0;
    for (int v = 0; weights && v < m->vertices; v++)
        for (int32_t s = m->skin_start[v]; s < m->skin_start[v + 1]; s++)
            weights[(size_t)v * WILOR_MANO_JOINTS + m->skin_joint[s]] += m->skin_weight[s];
    if (parents)
        memcpy(parents, m->parents, sizeof m->parents);
}

void wilor_rig_pose_shape(const wilor_mano *m, wilor_side side, int shape, float *offsets) {
    const float *row = m->rows + (size_t)(WILOR_MANO_BETAS + shape) * m->stride;
    int a = shape % 9 / 3, b = shape % 3;
    float sign = side == WILOR_LEFT && (a == 0) != (b == 0) ? -1.0f : 1.0f;
    for (size_t i = 0; i < 3 * (size_t)m->vertices; i++)
        offsets[i] = sign * row[i];
    if (side == WILOR_LEFT)
        mirror(offsets, (size_t)m->vertices);
}
