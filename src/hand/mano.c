/* MANO's forward pass (Romero, Tzionas, Black, "Embodied Hands", SIGGRAPH Asia 2017; the
 * arithmetic of smplx's lbs.py): shape and pose blend shapes, forward kinematics, linear blend
 * skinning.
 *
 * All blend shapes are one matrix of 145 rows as long as the mesh, summed row by row; the sum
 * starts at zero and the template comes last, because the offsets are small and keep their
 * digits that way. Joints follow the shape through a regressor folded into 16 × 3 × 10 numbers,
 * and the chain of transforms is in double: with both the result is within 1e-7 m of an
 * all-double one. Skinning walks the non-zero weights. Easy to get wrong: the pose feature is R
 * − I of joints 1 … 15, row-major, without the root; the transforms act about the rest joints,
 * hence the shift. */
#include "mano_data.h"
#include "rotation.h"

#include <math.h>
#include <string.h>

enum { MATRIX34 = 12, ROWS_AT_ONCE = 5, BLOCK = 512 };

int wilor_mano_vertices(const wilor_mano *m) { return m->vertices; }

int wilor_mano_faces(const wilor_mano *m, const int32_t **right, const int32_t **left) {
    if (right)
        *right = m->faces_right;
    if (left)
        *left = m->faces_left;
    return m->faces;
}

size_t wilor_mano_memory(const wilor_mano *m) { return m->bytes; }

size_t wilor_mano_scratch(const wilor_mano *m) { return m->stride; }

const wilor_mano_rest *wilor_mano_get_rest(const wilor_mano *m) { return &m->rest; }

/* out[0 … n) += five rows, each times its coefficient. */
static void add_rows(float *restrict out, const float *rows, size_t stride, const float *c,
                     size_t n) {
    const float *restrict r0 = rows, *restrict r1 = rows + stride,
                          *restrict r2 = rows + 2 * stride, *restrict r3 = rows + 3 * stride,
                          *restrict r4 = rows + 4 * stride;
    const float c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3], c4 = c[4];
    for (size_t i = 0; i < n; i++)
        out[i] += (c0 * r0[i] + c1 * r1[i]) + (c2 * r2[i] + c3 * r3[i]) + c4 * r4[i];
}

/* The mesh before skinning, stride floats. */
static void blend_shapes(const wilor_mano *m, const float *rot, const float *betas,
                         float *posed) {
    float c[WILOR_MANO_ROWS];
    memcpy(c, betas, WILOR_MANO_BETAS * sizeof *c);
    for (int i = 0; i < WILOR_MANO_POSE; i++)
        c[WILOR_MANO_BETAS + i] = rot[9 + i] - (i % 9 % 4 == 0 ? 1.0f : 0.0f);
    memset(posed, 0, m->stride * sizeof *posed);
    for (size_t at = 0; at < m->stride; at += BLOCK) { /* a block stays in the first cache */
        size_t n = m->stride - at < BLOCK ? m->stride - at : BLOCK;
        for (size_t r = 0; r < WILOR_MANO_ROWS; r += ROWS_AT_ONCE)
            add_rows(posed + at, m->rows + r * m->stride + at, m->stride, c + r, n);
        for (size_t i = at; i < at + n; i++)
            posed[i] += m->template_[i];
    }
}

static void turn_vector(const double *a, const double *x, double *y) {
    for (int i = 0; i < 3; i++)
        y[i] = a[3 * i] * x[0] + a[3 * i + 1] * x[1] + a[3 * i + 2] * x[2];
}

/* Rest joints of a shape. */
static void shape_joints(const wilor_mano *m, const float *betas,
                         double joints[WILOR_MANO_JOINTS][3]) {
    memcpy(joints, m->joints, sizeof m->joints);
    for (int b = 0; b < WILOR_MANO_BETAS; b++)
        for (int j = 0; j < WILOR_MANO_JOINTS; j++)
            for (int i = 0; i < 3; i++)
                joints[j][i] += (double)betas[b] * m->joints_by_beta[b][j][i];
}

double wilor_mano_palm(const wilor_mano *m, const float *betas) {
    double rest[WILOR_MANO_JOINTS][3], sum = 0;
    int wrist = m->joint_map[0], knuckle = m->joint_map[9];
    if (wrist >= WILOR_MANO_JOINTS || knuckle >= WILOR_MANO_JOINTS)
        return 0; /* a file whose keypoints these are not */
    shape_joints(m, betas, rest);
    for (int i = 0; i < 3; i++) {
        double d = rest[knuckle][i] - rest[wrist][i];
        sum += d * d;
    }
    return sqrt(sum);
}

/* Posed joints, and per joint the 3 × 4 matrix that skinning blends. */
static void pose_joints(const wilor_mano *m, const float *rot, const float *betas,
                        float skin[WILOR_MANO_JOINTS][MATRIX34],
                        float placed[WILOR_MANO_JOINTS][3]) {
    double rest[WILOR_MANO_JOINTS][3], turn[WILOR_MANO_JOINTS][9], place[WILOR_MANO_JOINTS][3];
    shape_joints(m, betas, rest);
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        double own[9], moved[3];
        for (int i = 0; i < 9; i++)
            own[i] = rot[9 * j + i];
        if (j == 0) {
            memcpy(turn[0], own, sizeof own);
            memcpy(place[0], rest[0], sizeof rest[0]);
        } else {
            int p = m->parents[j];
            double bone[3] = {rest[j][0] - rest[p][0], rest[j][1] - rest[p][1],
                              rest[j][2] - rest[p][2]};
            wilor_matrix_mul_f64(turn[p], own, turn[j]);
            turn_vector(turn[p], bone, moved);
            for (int i = 0; i < 3; i++)
                place[j][i] = place[p][i] + moved[i];
        }
        turn_vector(turn[j], rest[j], moved);
        for (int i = 0; i < 3; i++) {
            for (int k = 0; k < 3; k++)
                skin[j][4 * i + k] = (float)turn[j][3 * i + k];
            skin[j][4 * i + 3] = (float)(place[j][i] - moved[i]);
            placed[j][i] = (float)place[j][i];
        }
    }
}

static void skin_vertices(const wilor_mano *m, float skin[WILOR_MANO_JOINTS][MATRIX34],
                          const float *posed, float *verts) {
    for (int v = 0; v < m->vertices; v++) {
        float a[MATRIX34] = {0};
        for (int32_t s = m->skin_start[v]; s < m->skin_start[v + 1]; s++) {
            const float *b = skin[m->skin_joint[s]], w = m->skin_weight[s];
            for (int i = 0; i < MATRIX34; i++)
                a[i] += w * b[i];
        }
        const float *p = posed + 3 * (size_t)v;
        float *out = verts + 3 * (size_t)v;
        for (int i = 0; i < 3; i++)
            out[i] =
                (a[4 * i] * p[0] + a[4 * i + 1] * p[1]) + (a[4 * i + 2] * p[2] + a[4 * i + 3]);
    }
}

void wilor_mano_forward(const wilor_mano *m, const float *rot, const float *betas,
                        float *scratch, float *verts, float *joints16, float *keypoints21) {
    float skin[WILOR_MANO_JOINTS][MATRIX34], placed[WILOR_MANO_JOINTS][3];
    pose_joints(m, rot, betas, skin, placed);
    blend_shapes(m, rot, betas, scratch);
    skin_vertices(m, skin, scratch, verts);
    if (joints16)
        memcpy(joints16, placed, sizeof placed);
    for (int k = 0; k < WILOR_MANO_KEYPOINTS; k++) {
        int at = m->joint_map[k];
        const float *p = at < WILOR_MANO_JOINTS
                             ? placed[at]
                             : verts + 3 * (size_t)m->tips[at - WILOR_MANO_JOINTS];
        memcpy(keypoints21 + 3 * k, p, 3 * sizeof *p);
    }
}
