/* A model's weights as MLX's arrays, and the network's parts on them. */
#ifndef WILOR_MLX_MODEL_H
#define WILOR_MLX_MODEL_H

#include "mlx_graph.h"

enum {
    MLX_LEAD = 18,
    MLX_ROWS = 16,
    MLX_COLS = 12,
    MLX_PATCHES = MLX_ROWS * MLX_COLS,
    MLX_TOKENS = MLX_LEAD + MLX_PATCHES,
    MLX_CORNER = 2, /* patches a side that the lean pass computes of the last block */
    MLX_JOINTS = 16,
    MLX_BETAS = 10,
    MLX_CAM = 3,
    MLX_POSE = 96,
    MLX_KEYPOINTS = 21,
    MLX_MAPS = 3,
    MLX_SIDE = 256,
    MLX_CROP_FLOATS = MLX_SIDE * MLX_SIDE * 3
};

/* A block's matrix: numbers, or words of groups with their scales and biases. */
typedef struct wilor_mlx_matrix {
    mlx_array w, scales, biases; /* biases.ctx NULL: plain */
    int group, bits;
} wilor_mlx_matrix;

/* Joints of the same distance from the root: they are turned together. */
typedef struct wilor_mlx_level {
    int count;
    int joint[MLX_JOINTS];
    int parent[MLX_JOINTS]; /* its joint's parent */
    int at[MLX_JOINTS];     /* where that stands among the levels before */
} wilor_mlx_level;

typedef struct wilor_mlx_hand {
    int vertices, levels;
    wilor_mlx_level level[MLX_JOINTS];
    int order[MLX_JOINTS];           /* where each joint stands among all levels */
    mlx_array template_;             /* V · 3 */
    mlx_array rows;                  /* 145 × V · 3 */
    mlx_array joints;                /* 16 · 3 */
    mlx_array joints_by_beta;        /* 10 × 16 · 3 */
    mlx_array skin;                  /* V × 16 */
    int tips[5], map[MLX_KEYPOINTS]; /* vertices; of 16 joints and 5 tips */
} wilor_mlx_hand;

typedef struct wilor_mlx_model {
    bool gpu;
    wilor_mlx_shape shape;
    wilor_mlx_hand hand;
    wilor_mlx_matrix *tensor; /* plain ones, what only some ask for, then the blocks' */
    size_t slots, bytes;
} wilor_mlx_model;

/* Whether MLX computes by Metal; ERR_UNSUPPORTED for versions whose rules about threads are others. */
wilor_mlx_result wilor_mlx_device(bool *gpu, wilor_mlx_error *err);
/* MLX's device as it is: the processor's build does not like to be called from several threads at a time, so that
 * calls go between these. */
void wilor_mlx_lock(bool gpu);
void wilor_mlx_unlock(bool gpu);

const wilor_mlx_matrix *wilor_mlx_tensor(const wilor_mlx_model *m, int t, int block);

static inline mlx_array wilor_mlx_vector(const wilor_mlx_model *m, int t, int block) {
    return wilor_mlx_tensor(m, t, block)->w;
}

static inline mlx_dtype wilor_mlx_dtype(wilor_mlx_number n) {
    return n == WILOR_MLX_F32 ? MLX_FLOAT32 : n == WILOR_MLX_F16 ? MLX_FLOAT16 : MLX_BFLOAT16;
}

wilor_mlx_result wilor_mlx_model_create(void **out, const wilor_mlx_shape *shape,
                                        const wilor_net_mano *mano, wilor_mlx_error *err);
wilor_mlx_result wilor_mlx_model_put(void *model, int tensor, int block,
                                     const wilor_mlx_block *data, wilor_mlx_error *err);
wilor_mlx_result wilor_mlx_model_put_groups(void *model, int tensor, int block,
                                            const wilor_mlx_groups *groups,
                                            wilor_mlx_error *err);
size_t wilor_mlx_model_bytes(const void *model);
void wilor_mlx_model_free(void *model);

/* ---------------------------------------------------------------- mlx_vit.c */

/* Crops, n × 256 × 256 × 3, through all blocks but the last: n × 210 × D. */
mlx_array wilor_mlx_backbone(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array rgb,
                             int n);
/* The last block and the last norm for the lead and the first `side` × `side` patches, or all 16 × 12: n × rows × D. */
mlx_array wilor_mlx_last_block(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x, int n,
                               int side);

/* What a hand is made from. */
typedef struct wilor_mlx_pose {
    mlx_array six;   /* n × 96 */
    mlx_array betas; /* n × 10 */
    mlx_array cam;   /* n × 3 */
} wilor_mlx_pose;

wilor_mlx_pose wilor_mlx_read_out(wilor_mlx_graph *g, const wilor_mlx_model *m,
                                  mlx_array tokens, int n);
/* The side head on the leading tokens, of a model that has one: n × 1. */
mlx_array wilor_mlx_tell_side(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array tokens,
                              int n);

/* ---------------------------------------------------------------- mlx_hand.c */

typedef struct wilor_mlx_posed {
    mlx_array rotation;  /* n × 16 × 3 × 3 */
    mlx_array verts;     /* n × V × 3 */
    mlx_array keypoints; /* n × 21 × 3 */
} wilor_mlx_posed;

/* like_mlx: 1e-8 is added to the lengths of 6D rotations, as wilor-mlx does. */
wilor_mlx_posed wilor_mlx_pose_hands(wilor_mlx_graph *g, const wilor_mlx_hand *h, mlx_array six,
                                     mlx_array betas, int n, bool like_mlx);
wilor_mlx_result wilor_mlx_hand_create(wilor_mlx_hand *h, const wilor_net_mano *mano,
                                       wilor_mlx_error *err);
void wilor_mlx_hand_free(wilor_mlx_hand *h);

/* ---------------------------------------------------------------- mlx_refine.c */

/* The pose corrected by the maps at the vertices. tokens: wilor_mlx_last_block's of the same side. *need: n
 * numbers, how far points lie from the corner, in patches: the lean pass serves up to 1. */
wilor_mlx_pose wilor_mlx_refine(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array tokens,
                                const wilor_mlx_pose *pose, mlx_array verts, int n, int side,
                                bool like_mlx, mlx_array *need);

#endif
