/* From the network's numbers to a hand: decoders of single tokens, rotations, MANO, crops. mano.c's
 * arithmetic: the chain of joints in double, blend shapes five rows at a time, the template last. */
#ifndef WILOR_CUDA_KERNELS_HAND_H
#define WILOR_CUDA_KERNELS_HAND_H

#include "elements.h"
#include "kernels_hand_types.h"

namespace wilor_cuda {

enum { HAND_THREADS = 128, READ_OUTPUTS = 6 * JOINTS + BETAS + CAM };

/* ---------------------------------------------------------------- decoders */

struct read_out_args {
    const float *tokens; /* hands × each × d */
    int d, each;
    layer pose, shape, cam;
    const float *init_pose, *init_betas, *init_cam;
    float *pose6d, *betas, *cam_out;
};

/* A warp is one of the 109 numbers of a hand. Grid: READ_OUTPUTS / 4 rounded up, hands. */
__global__ void read_out_kernel(read_out_args a) {
    int o = (int)blockIdx.x * (HAND_THREADS / 32) + (int)threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32, hand = (int)blockIdx.y;
    if (o >= READ_OUTPUTS)
        return;
    int token = o < POSE_NUMBERS ? o / 6 : o < POSE_NUMBERS + BETAS ? JOINTS : JOINTS + 1;
    int at = o < POSE_NUMBERS           ? o
             : o < POSE_NUMBERS + BETAS ? o - POSE_NUMBERS
                                        : o - POSE_NUMBERS - BETAS;
    int row = o < POSE_NUMBERS ? o % 6 : at;
    const layer *l = o < POSE_NUMBERS ? &a.pose : token == JOINTS ? &a.shape : &a.cam;
    const float *init = o < POSE_NUMBERS  ? a.init_pose
                        : token == JOINTS ? a.init_betas
                                          : a.init_cam;
    float *out = o < POSE_NUMBERS  ? a.pose6d + hand * POSE_NUMBERS
                 : token == JOINTS ? a.betas + hand * BETAS
                                   : a.cam_out + hand * CAM;
    const float *x = a.tokens + ((size_t)hand * (size_t)a.each + (size_t)token) * (size_t)a.d;
    const float *w = l->w + (size_t)row * (size_t)a.d;
    float sum = 0;
    for (int i = lane; i < a.d; i += 32)
        sum = fmaf(x[i], w[i], sum);
    sum = warp_sum(sum);
    if (lane == 0)
        out[at] = init[at] + (sum + l->b[row]);
}

/* ---------------------------------------------------------------- MANO */

struct hand_args {
    mano_arrays mano;
    const float *pose6d;
    float *betas;       /* replaced where there are fixed ones */
    const float *fixed; /* NULL; or a flag and 10 numbers on the card */
    float *rotation, *verts, *keypoints;
    float *skin; /* hands × 16 × 12 */
    int *corner; /* NULL, or per hand: set to the least; place_kernel raises it */
    int first;   /* hand of the arrays that block 0 does */
};

/* One joint's rest place for a shape. */
__device__ __forceinline__ void rest_joint(const mano_arrays &m, const float *betas, int joint,
                                           double out[3]) {
    for (int i = 0; i < 3; i++) {
        out[i] = m.joints[3 * joint + i];
        for (int b = 0; b < BETAS; b++)
            out[i] += (double)betas[b] * m.joints_by_beta[(b * JOINTS + joint) * 3 + i];
    }
}

__device__ __forceinline__ void turn(const double *a, const double *x, double *y) {
    for (int i = 0; i < 3; i++)
        y[i] = a[3 * i] * x[0] + a[3 * i + 1] * x[1] + a[3 * i + 2] * x[2];
}

/* Where a joint goes and how it is turned: along its ancestors, root first. */
__device__ __forceinline__ void chain(const mano_arrays &m, const float *rotation,
                                      const float *betas, int joint, double turned[9],
                                      double place[3]) {
    int path[JOINTS], n = 0;
    for (int j = joint; j > 0 && n < JOINTS - 1; j = m.parents[j])
        path[n++] = j;
    for (int i = 0; i < 9; i++)
        turned[i] = rotation[i];
    rest_joint(m, betas, 0, place);
    double before[3] = {place[0], place[1], place[2]};
    while (n > 0) {
        int j = path[--n];
        double rest[3], bone[3], moved[3], next[9];
        rest_joint(m, betas, j, rest);
        for (int i = 0; i < 3; i++)
            bone[i] = rest[i] - before[i];
        turn(turned, bone, moved);
        for (int i = 0; i < 3; i++) {
            place[i] += moved[i];
            before[i] = rest[i];
            for (int k = 0; k < 3; k++)
                next[3 * i + k] = turned[3 * i] * (double)rotation[9 * j + k] +
                                  turned[3 * i + 1] * (double)rotation[9 * j + 3 + k] +
                                  turned[3 * i + 2] * (double)rotation[9 * j + 6 + k];
        }
        for (int i = 0; i < 9; i++)
            turned[i] = next[i];
    }
}

/* Rotations, posed joints, and the matrices that skinning blends: a warp is a hand, 16 lanes work. */
__global__ void pose_kernel(hand_args a) {
    int hand = a.first + (int)blockIdx.x, joint = (int)threadIdx.x;
    float *rotation = a.rotation + hand * JOINTS * 9, *betas = a.betas + hand * BETAS;
    if (joint < JOINTS)
        rotation_from_6d(a.pose6d + hand * POSE_NUMBERS + 6 * joint, rotation + 9 * joint);
    if (joint < BETAS && a.fixed && a.fixed[0] != 0.0f)
        betas[joint] = a.fixed[1 + joint];
    if (joint == 0 && a.corner)
        a.corner[hand] = CORNER;
    __syncthreads();
    if (joint >= JOINTS)
        return;
    double turned[9], place[3], rest[3], moved[3];
    chain(a.mano, rotation, betas, joint, turned, place);
    rest_joint(a.mano, betas, joint, rest);
    turn(turned, rest, moved);
    float *skin = a.skin + ((size_t)hand * JOINTS + (size_t)joint) * MATRIX34;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++)
            skin[4 * i + k] = (float)turned[3 * i + k];
        skin[4 * i + 3] = (float)(place[i] - moved[i]);
    }
    for (int k = 0; k < KEYPOINTS; k++)
        if (a.mano.joint_map[k] == joint)
            for (int i = 0; i < 3; i++)
                a.keypoints[(hand * KEYPOINTS + k) * 3 + i] = (float)place[i];
}

/* Number `at` of the mesh before skinning. c: the 145 coefficients. */
__device__ __forceinline__ float blended(const mano_arrays &m, const float *c, int at) {
    float sum = 0;
    for (int r = 0; r < MANO_ROWS; r += 5) {
        const float *p = m.rows + (size_t)r * (size_t)m.stride + (size_t)at;
        size_t s = (size_t)m.stride;
        sum += (c[r] * p[0] + c[r + 1] * p[s]) + (c[r + 2] * p[2 * s] + c[r + 3] * p[3 * s]) +
               c[r + 4] * p[4 * s];
    }
    return sum + m.template_[at];
}

/* A thread is a vertex. Grid: vertices / HAND_THREADS, hands. */
__global__ void skin_kernel(hand_args a) {
    __shared__ float c[MANO_ROWS + 3], skin[JOINTS * MATRIX34];
    int hand = a.first + (int)blockIdx.y;
    const float *rotation = a.rotation + hand * JOINTS * 9;
    for (int i = (int)threadIdx.x; i < MANO_ROWS; i += HAND_THREADS) {
        int k = i - BETAS;
        c[i] = i < BETAS ? a.betas[hand * BETAS + i]
                         : rotation[9 + k] - (k % 9 % 4 == 0 ? 1.0f : 0.0f);
    }
    for (int i = (int)threadIdx.x; i < JOINTS * MATRIX34; i += HAND_THREADS)
        skin[i] = a.skin[(size_t)hand * JOINTS * MATRIX34 + (size_t)i];
    __syncthreads();
    int v = (int)blockIdx.x * HAND_THREADS + (int)threadIdx.x;
    if (v >= a.mano.vertices)
        return;
    float m[MATRIX34] = {0}, p[3], at[3];
    for (int s = a.mano.skin_start[v]; s < a.mano.skin_start[v + 1]; s++) {
        const float *b = skin + a.mano.skin_joint[s] * MATRIX34;
        float w = a.mano.skin_weight[s];
        for (int i = 0; i < MATRIX34; i++)
            m[i] += w * b[i];
    }
    for (int i = 0; i < 3; i++)
        p[i] = blended(a.mano, c, 3 * v + i);
    float *out = a.verts + ((size_t)hand * (size_t)a.mano.vertices + (size_t)v) * 3;
    for (int i = 0; i < 3; i++)
        out[i] = at[i] =
            (m[4 * i] * p[0] + m[4 * i + 1] * p[1]) + (m[4 * i + 2] * p[2] + m[4 * i + 3]);
    for (int k = 0; k < KEYPOINTS; k++) {
        int tip = a.mano.joint_map[k] - JOINTS;
        if (tip >= 0 && a.mano.tips[tip] == v)
            for (int i = 0; i < 3; i++)
                a.keypoints[(hand * KEYPOINTS + k) * 3 + i] = at[i];
    }
}

/* ---------------------------------------------------------------- crops */

/* A thread is a pixel. Grid: 256 rows, crops. frame: one on the card, which may change between runs of a
 * graph. */
__global__ void crop_kernel(const frame_view *frame, const crop_order *orders, float *crops) {
    int x = (int)threadIdx.x, y = (int)blockIdx.x, i = (int)blockIdx.y;
    const crop_order *o = &orders[i];
    if (!o->on_card)
        return;
    frame_view f = *frame;
    crop_pixel(&f, o->inverse, o->mirrored, o->cv4, x, y,
               crops + (size_t)i * CROP_FLOATS + (size_t)(y * SIDE + x) * 3);
}

} // namespace wilor_cuda

#endif
