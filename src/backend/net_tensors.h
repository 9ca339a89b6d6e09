/* The tensors of a network as devices get them: plain C for the modules that drive them, whatever compiler
 * makes these (docs/cuda.md). */
#ifndef WILOR_NET_TENSORS_H
#define WILOR_NET_TENSORS_H

#include "module_head.h"

#include <stddef.h>
#include <stdint.h>

/* Matrices are outputs × inputs, row-major. Transposed convolutions come as four matrices, one a parity of
 * the output pixel, outputs × (4 taps × inputs): refine_load.c's order. */
typedef enum wilor_net_tensor {
    WILOR_NET_PATCH_W, /* D × 768: channel, row, column of a patch */
    WILOR_NET_PATCH_B,
    WILOR_NET_POSITION, /* 192 × D, both terms */
    WILOR_NET_LEAD,     /* 18 × D */
    WILOR_NET_LAST_GAMMA,
    WILOR_NET_LAST_BETA,
    WILOR_NET_DECPOSE_W, /* 6 × D */
    WILOR_NET_DECPOSE_B,
    WILOR_NET_DECSHAPE_W, /* 10 × D */
    WILOR_NET_DECSHAPE_B,
    WILOR_NET_DECCAM_W, /* 3 × D */
    WILOR_NET_DECCAM_B,
    WILOR_NET_INIT_POSE, /* 96 */
    WILOR_NET_INIT_BETAS,
    WILOR_NET_INIT_CAM,
    WILOR_NET_COARSE_W, /* D/2 × D */
    WILOR_NET_COARSE_B,
    WILOR_NET_MIDDLE_W, /* 4 parities × D/4 × (4 · D/2) */
    WILOR_NET_MIDDLE_SCALE,
    WILOR_NET_MIDDLE_SHIFT,
    WILOR_NET_FINE0_W,
    WILOR_NET_FINE0_SCALE,
    WILOR_NET_FINE0_SHIFT,
    WILOR_NET_FINE1_W, /* 4 × D/8 × (4 · D/4) */
    WILOR_NET_FINE1_SCALE,
    WILOR_NET_FINE1_SHIFT,
    WILOR_NET_REFINE_POSE_W, /* 96 × (D/8 + D/4 + D/2) */
    WILOR_NET_REFINE_POSE_B,
    WILOR_NET_REFINE_SHAPE_W,
    WILOR_NET_REFINE_SHAPE_B,
    WILOR_NET_REFINE_CAM_W,
    WILOR_NET_REFINE_CAM_B,
    WILOR_NET_PLAIN_TENSORS,

    /* One of each block, at model_put's `block`. */
    WILOR_NET_NORM1_GAMMA = WILOR_NET_PLAIN_TENSORS,
    WILOR_NET_NORM1_BETA,
    WILOR_NET_QKV_W, /* 3D × D: queries, keys, values, each head by head */
    WILOR_NET_QKV_B,
    WILOR_NET_PROJ_W,
    WILOR_NET_PROJ_B,
    WILOR_NET_NORM2_GAMMA,
    WILOR_NET_NORM2_BETA,
    WILOR_NET_FC1_W,
    WILOR_NET_FC1_B,
    WILOR_NET_FC2_W,
    WILOR_NET_FC2_B,
    WILOR_NET_TENSORS,

    /* What RefineNet's batch norms learned, without their statistics: only for who asks. */
    WILOR_NET_MIDDLE_GAMMA = WILOR_NET_TENSORS,
    WILOR_NET_MIDDLE_BETA,
    WILOR_NET_FINE0_GAMMA,
    WILOR_NET_FINE0_BETA,
    WILOR_NET_FINE1_GAMMA,
    WILOR_NET_FINE1_BETA,
    WILOR_NET_ALL_TENSORS,

    /* The side head, which few files have: only for who asks. */
    WILOR_NET_SIDE_W = WILOR_NET_ALL_TENSORS, /* 18 · D */
    WILOR_NET_SIDE_B
} wilor_net_tensor;

/* How many numbers tensor `t` of a network of this width and MLP has. */
static inline size_t wilor_net_tensor_count(int width, int mlp, int t) {
    const size_t d = (size_t)width, m = (size_t)mlp, features = d / 8 + d / 4 + d / 2;
    switch (t) {
    case WILOR_NET_PATCH_W:
        return d * 768;
    case WILOR_NET_POSITION:
        return 192 * d;
    case WILOR_NET_LEAD:
    case WILOR_NET_SIDE_W:
        return 18 * d;
    case WILOR_NET_DECPOSE_W:
        return 6 * d;
    case WILOR_NET_DECPOSE_B:
        return 6;
    case WILOR_NET_DECSHAPE_W:
        return 10 * d;
    case WILOR_NET_DECCAM_W:
        return 3 * d;
    case WILOR_NET_INIT_POSE:
    case WILOR_NET_REFINE_POSE_B:
        return 96;
    case WILOR_NET_DECSHAPE_B:
    case WILOR_NET_INIT_BETAS:
    case WILOR_NET_REFINE_SHAPE_B:
        return 10;
    case WILOR_NET_DECCAM_B:
    case WILOR_NET_INIT_CAM:
    case WILOR_NET_REFINE_CAM_B:
        return 3;
    case WILOR_NET_COARSE_W:
        return d / 2 * d;
    case WILOR_NET_COARSE_B:
        return d / 2;
    case WILOR_NET_MIDDLE_W:
    case WILOR_NET_FINE0_W:
        return 4 * (d / 4) * 4 * (d / 2);
    case WILOR_NET_FINE1_W:
        return 4 * (d / 8) * 4 * (d / 4);
    case WILOR_NET_MIDDLE_SCALE:
    case WILOR_NET_MIDDLE_SHIFT:
    case WILOR_NET_FINE0_SCALE:
    case WILOR_NET_FINE0_SHIFT:
    case WILOR_NET_MIDDLE_GAMMA:
    case WILOR_NET_MIDDLE_BETA:
    case WILOR_NET_FINE0_GAMMA:
    case WILOR_NET_FINE0_BETA:
        return d / 4;
    case WILOR_NET_FINE1_SCALE:
    case WILOR_NET_FINE1_SHIFT:
    case WILOR_NET_FINE1_GAMMA:
    case WILOR_NET_FINE1_BETA:
        return d / 8;
    case WILOR_NET_REFINE_POSE_W:
        return 96 * features;
    case WILOR_NET_REFINE_SHAPE_W:
        return 10 * features;
    case WILOR_NET_REFINE_CAM_W:
        return 3 * features;
    case WILOR_NET_QKV_W:
        return 3 * d * d;
    case WILOR_NET_QKV_B:
        return 3 * d;
    case WILOR_NET_PROJ_W:
        return d * d;
    case WILOR_NET_FC1_W:
    case WILOR_NET_FC2_W:
        return m * d;
    case WILOR_NET_FC1_B:
        return m;
    case WILOR_NET_SIDE_B:
        return 1;
    default: /* biases, norms */
        return d;
    }
}

/* mano_data.h's arrays; read while model_create runs. */
typedef struct wilor_net_mano {
    int vertices;
    size_t stride;                /* floats of a row, at least 3 · vertices */
    const float *template_;       /* stride */
    const float *rows;            /* 145 × stride */
    const double *joints;         /* 16 × 3 */
    const double *joints_by_beta; /* 10 × 16 × 3 */
    const int *parents;           /* 16 */
    const int32_t *skin_start;    /* vertices + 1 */
    const float *skin_weight;
    const uint8_t *skin_joint;
    const int32_t *tips;  /* 5 vertices */
    const int *joint_map; /* 21 of 16 joints, then 5 tips */
} wilor_net_mano;

/* ---------------------------------------------------------------- the detector */

typedef struct wilor_net_slice {
    int map, channel; /* map < 0: nothing */
} wilor_net_slice;

typedef struct wilor_net_map {
    int shift, channels; /* the input's sides over 2^shift */
} wilor_net_map;

typedef struct wilor_net_step {
    int pool; /* 1: three 5 × 5 maxima, each of the one before, side by side; else a convolution */
    wilor_net_slice in, out, added, twice;
    int inputs, outputs, size, stride, silu;
    const float *weights; /* outputs × size × size × inputs, factors folded in */
    const float *bias;
    int channels; /* of a pool's maximum */
} wilor_net_step;

/* The detector's network: steps over maps, in their order. */
typedef struct wilor_net_program {
    int map_count, step_count, input;
    int head[3]; /* maps of 129 channels, which stay float32 */
    const wilor_net_map *maps;
    const wilor_net_step *steps;
} wilor_net_program;

#endif
