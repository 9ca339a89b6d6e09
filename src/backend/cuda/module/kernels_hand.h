/* From the network's numbers to a hand: rotations, MANO, where its points fall on RefineNet's maps.
 * mano.c's arithmetic: the chain of joints in double, the template last. */
#ifndef WILOR_CUDA_KERNELS_HAND_H
#define WILOR_CUDA_KERNELS_HAND_H

#include "elements.h"
#include "kernels_hand_types.h"

namespace wilor_cuda {

/* A block makes few vertices, so that the blend shapes are read by many blocks; its threads are groups of
 * rows for each of the vertices' numbers, and a warp for the joints. */
enum {
    MESH_VERTICES = 8,
    MESH_NUMBERS = 3 * MESH_VERTICES,
    MESH_GROUPS = 10,
    MESH_ROWS = (MANO_ROWS + MESH_GROUPS - 1) / MESH_GROUPS,
    MESH_JOINTS_FROM = 256, /* the first thread of the joints' warp */
    MESH_THREADS = MESH_JOINTS_FROM + 32,
    MESH_WEIGHTS = MESH_VERTICES * JOINTS
};

struct mesh_args {
    mano_arrays mano;
    const float *pose6d, *cam;
    float *betas;       /* replaced where there are fixed ones */
    const float *fixed; /* NULL; or a flag and 10 numbers on the card */
    float *rotation, *verts, *keypoints;
    float *
        xy; /* NULL, or hands × 3 × vertices × 2: where vertices fall on maps of side 64, 32, 16 */
    int *corner; /* with xy: per hand, what corner of the patches they need, if that is more */
    int first;   /* the first hand of the arrays */
};

struct mesh_shared {
    double rest[JOINTS * 3]; /* joints at rest */
    float rotation[JOINTS * 9], skin[JOINTS * MATRIX34];
    float betas[BETAS], blend[MANO_ROWS]; /* what blend shapes are multiplied by */
    float weight[MESH_WEIGHTS], part[MESH_GROUPS][MESH_NUMBERS];
    float before[MESH_NUMBERS], at[MESH_NUMBERS]; /* vertices before and after skinning */
    float template_[MESH_NUMBERS];
    int start[MESH_VERTICES + 1], joint[MESH_WEIGHTS], parents[JOINTS], joint_map[KEYPOINTS],
        tip[KEYPOINTS];
};

/* The block's vertices' part of the model, and small tables. 128 threads. */
__device__ __forceinline__ void fetch_tables(const mano_arrays &m, mesh_shared *s, int thread,
                                             int vertex) {
    int some = m.vertices - vertex < MESH_VERTICES ? m.vertices - vertex : (int)MESH_VERTICES;
    int begin = m.skin_start[vertex], count = m.skin_start[vertex + some] - begin;
    if (thread < count) {
        s->weight[thread] = m.skin_weight[begin + thread];
        s->joint[thread] = m.skin_joint[begin + thread];
    }
    if (thread <= some)
        s->start[thread] = m.skin_start[vertex + thread] - begin;
    if (thread < 3 * some)
        s->template_[thread] = m.template_[3 * vertex + thread];
    if (thread < JOINTS)
        s->parents[thread] = m.parents[thread];
    if (thread < KEYPOINTS) {
        int joint = m.joint_map[thread];
        s->joint_map[thread] = joint;
        s->tip[thread] = joint < JOINTS ? -1 : m.tips[joint - JOINTS];
    }
}

/* Rotations, shape, and what they multiply blend shapes by; joints at rest. 128 threads. */
__device__ __forceinline__ void fetch_pose(const mesh_args &a, mesh_shared *s, int thread,
                                           int hand) {
    const float *betas = a.fixed && a.fixed[0] != 0.0f ? a.fixed + 1 : a.betas + hand * BETAS;
    if (thread < JOINTS) {
        float *turned = s->rotation + 9 * thread;
        rotation_from_6d(a.pose6d + hand * POSE_NUMBERS + 6 * thread, turned);
        for (int i = 0; i < 9 && thread > 0; i++)
            s->blend[BETAS + 9 * (thread - 1) + i] = turned[i] - (i % 4 == 0 ? 1.0f : 0.0f);
    }
    thread -= 32;
    if (thread >= 0 && thread < BETAS)
        s->blend[thread] = s->betas[thread] = betas[thread];
    thread -= 32;
    if (thread >= 0 && thread < JOINTS * 3) {
        double x = a.mano.joints[thread];
#pragma unroll
        for (int b = 0; b < BETAS; b++)
            x += (double)betas[b] * a.mano.joints_by_beta[b * JOINTS * 3 + thread];
        s->rest[thread] = x;
    }
}

/* y may be x's place. */
__device__ __forceinline__ void turn(const float *a, const double x[3], double y[3]) {
    double x0 = x[0], x1 = x[1], x2 = x[2];
    for (int i = 0; i < 3; i++)
        y[i] = a[3 * i] * x0 + a[3 * i + 1] * x1 + a[3 * i + 2] * x2;
}

/* Where a joint goes, and how it is turned, column by column: from its parent to the root, each turns
 * what hangs on it. */
__device__ __forceinline__ void chain(const mesh_shared *s, int joint, double turned[3][3],
                                      double place[3]) {
    for (int i = 0; i < 3; i++) {
        place[i] = s->rest[3 * joint + i];
        for (int k = 0; k < 3; k++)
            turned[k][i] = s->rotation[9 * joint + 3 * i + k];
    }
    while (joint > 0) {
        joint = s->parents[joint];
        const float *by = s->rotation + 9 * joint;
        const double *about = s->rest + 3 * joint;
        for (int i = 0; i < 3; i++)
            place[i] -= about[i];
        turn(by, place, place);
        for (int i = 0; i < 3; i++) {
            place[i] += about[i];
            turn(by, turned[i], turned[i]);
        }
    }
}

/* The matrices that skinning blends; `tells`: this block writes what there is one of a hand. */
__device__ __forceinline__ void pose_joint(const mesh_args &a, mesh_shared *s, int joint,
                                           int hand, bool tells) {
    double turned[3][3], place[3];
    const double *rest = s->rest + 3 * joint;
    float *skin = s->skin + joint * MATRIX34;
    chain(s, joint, turned, place);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++)
            skin[4 * i + k] = (float)turned[k][i];
        skin[4 * i + 3] = (float)(place[i] - (turned[0][i] * rest[0] + turned[1][i] * rest[1] +
                                              turned[2][i] * rest[2]));
    }
    if (!tells)
        return;
    for (int i = 0; i < 9; i++)
        a.rotation[(hand * JOINTS + joint) * 9 + i] = s->rotation[9 * joint + i];
    if (joint < BETAS && a.fixed)
        a.betas[hand * BETAS + joint] = s->betas[joint];
    for (int k = 0; k < KEYPOINTS; k++)
        if (s->joint_map[k] == joint)
            for (int i = 0; i < 3; i++)
                a.keypoints[(hand * KEYPOINTS + k) * 3 + i] = (float)place[i];
}

/* Number `at` (0 … 23) of the block's vertices after skinning. */
__device__ __forceinline__ float skinned(const mesh_shared *s, int at) {
    float m[4] = {0};
    const float *p = s->before + at / 3 * 3;
    for (int i = s->start[at / 3]; i < s->start[at / 3 + 1]; i++) {
        const float *b = s->skin + s->joint[i] * MATRIX34 + 4 * (at % 3);
        for (int k = 0; k < 4; k++)
            m[k] += s->weight[i] * b[k];
    }
    return (m[0] * p[0] + m[1] * p[1]) + (m[2] * p[2] + m[3]);
}

/* Where vertex v, at p, falls on one of the maps. */
__device__ __forceinline__ void place(const mesh_args &a, const float *p, int hand, int map,
                                      int v) {
    int side = 64 >> map, need = CORNER;
    numbers<float, 2> xy;
    project(p, a.cam + hand * CAM, (float)side, xy.at);
    for (int k = 0; k < 2; k++) {
        int n = corner_needed(xy.at[k], side);
        need = n > need ? n : need;
    }
    store(a.xy + ((size_t)(hand * MAPS + map) * (size_t)a.mano.vertices + (size_t)v) * 2, xy);
    if (need > CORNER)
        atomicMax(a.corner + hand, need);
}

/* The block's vertices, by its first warp. */
__device__ __forceinline__ void finish_vertices(const mesh_args &a, mesh_shared *s, int vertex,
                                                int hand) {
    int at = (int)threadIdx.x, v = vertex + at / 3;
    bool works = at < MESH_NUMBERS && v < a.mano.vertices;
    float sum = 0;
    for (int g = 0; g < MESH_GROUPS && works; g++)
        sum += s->part[g][at];
    if (works)
        s->before[at] = sum + s->template_[at];
    __syncwarp();
    if (works) {
        s->at[at] = skinned(s, at);
        a.verts[((size_t)hand * (size_t)a.mano.vertices + (size_t)vertex) * 3 + (size_t)at] =
            s->at[at];
        for (int k = 0; k < KEYPOINTS; k++)
            if (s->tip[k] == v)
                a.keypoints[(hand * KEYPOINTS + k) * 3 + at % 3] = s->at[at];
    }
    __syncwarp();
    if (works && a.xy) /* as many maps as a vertex has numbers */
        place(a, s->at + at / 3 * 3, hand, at % 3, v);
}

/* A hand's mesh, joints, rotations and places on the maps. Grid: vertices / MESH_VERTICES, hands. */
__global__ void __launch_bounds__(MESH_THREADS)
    mesh_kernel(const __grid_constant__ mesh_args a) {
    __shared__ mesh_shared s;
    int thread = (int)threadIdx.x, hand = a.first + (int)blockIdx.y;
    int vertex = (int)blockIdx.x * MESH_VERTICES;
    int at = thread % MESH_NUMBERS, group = thread / MESH_NUMBERS;
    const float *rows = a.mano.rows + 3 * vertex + at;
    bool blends = group < MESH_GROUPS && 3 * vertex + at < 3 * a.mano.vertices;
    float p[MESH_ROWS], sum = 0;
#pragma unroll
    for (int i = 0; i < MESH_ROWS; i++) {
        int row = group + i * MESH_GROUPS;
        p[i] = blends && row < MANO_ROWS ? rows[(size_t)row * (size_t)a.mano.stride] : 0.0f;
    }
    if (thread < 128)
        fetch_pose(a, &s, thread, hand);
    else if (thread < 256)
        fetch_tables(a.mano, &s, thread - 128, vertex);
    __syncthreads();
    if (group < MESH_GROUPS) {
#pragma unroll
        for (int i = 0; i < MESH_ROWS; i++)
            if (group + i * MESH_GROUPS < MANO_ROWS)
                sum = fmaf(s.blend[group + i * MESH_GROUPS], p[i], sum);
        s.part[group][at] = sum;
    } else if (thread >= MESH_JOINTS_FROM && thread < MESH_JOINTS_FROM + JOINTS)
        pose_joint(a, &s, thread - MESH_JOINTS_FROM, hand, blockIdx.x == 0);
    __syncthreads();
    if (thread < 32)
        finish_vertices(a, &s, vertex, hand);
}

} // namespace wilor_cuda

#endif
