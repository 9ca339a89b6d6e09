/* WiLoR's backbone: a ViT over 18 learned tokens (16 pose, shape, camera) and 16 × 12 patches
 * of 16 pixels. Source: WiLoR-mini's models/wilor/backbones/vit.py; semantics in
 * docs/architecture.md. */
#ifndef WILOR_VIT_H
#define WILOR_VIT_H

#include "dense.h"

enum {
    WILOR_POSE_TOKENS = 16,
    WILOR_LEAD = 18, /* pose tokens, shape, camera */
    WILOR_GRID_ROWS = 16,
    WILOR_GRID_COLS = 12,
    WILOR_PATCHES = WILOR_GRID_ROWS * WILOR_GRID_COLS,
    WILOR_TOKENS = WILOR_LEAD + WILOR_PATCHES,
    WILOR_CROP = 256, /* side of the input, of which columns 32 … 223 are seen */
    WILOR_PATCH = 16,
    WILOR_PATCH_INPUTS = 3 * WILOR_PATCH * WILOR_PATCH,
    WILOR_POSE_NUMBERS = 96, /* 16 rotations of 6 numbers */
    WILOR_BETAS = 10,
    WILOR_CAM = 3
};

typedef struct wilor_block {
    const float *norm1_gamma, *norm1_beta, *norm2_gamma, *norm2_beta;
    wilor_dense qkv, proj, fc1, fc2; /* qkv head by head: keys, values, queries */
} wilor_block;

typedef struct wilor_vit {
    const wilor_kernels *kernels;
    const wilor_dot *dot; /* the blocks' arithmetic */
    int width, depth, heads, mlp;
    wilor_linear patch;
    const float *position; /* WILOR_PATCHES × width: both position terms */
    float *lead;           /* WILOR_LEAD × width: the same for every picture */
    wilor_block *blocks;
    const float *last_gamma, *last_beta;
    wilor_linear decpose, decshape, deccam;
    const float *init_pose, *init_betas, *init_cam;
    const float *side_weight, *side_bias; /* WILOR_LEAD × width, 1; NULL: no side head */
} wilor_vit;

/* Sizes of the network from its tensors' shapes. heads: the caller's, or 0 for the rule of
 * width / 80 and the file's own metadata. Errors: ERR_MODEL. */
typedef struct wilor_vit_dims {
    int width, depth, heads, mlp;
    bool side_head; /* the file has one: wilor_vit_find_side */
} wilor_vit_dims;

wilor_status wilor_vit_measure(wilor_vit_dims *out, const wilor_tensor_source *s, int heads,
                               wilor_error *err);

/* The side head in the weights' own file, in which both of its tensors are or none (NULL): one that lends a
 * hand may have another. Errors: ERR_MODEL (one alone, or of another shape). */
typedef struct wilor_vit_side {
    const wilor_tensor *weight, *bias;
} wilor_vit_side;

wilor_status wilor_vit_find_side(wilor_vit_side *out, const wilor_tensor_source *s, int width,
                                 wilor_error *err);

/* Load (or, with a measuring arena, add up). v is zeroed before the first call; v->blocks is on the
 * heap, its caller's to free, all numbers are in the arena. bits: of the blocks' weights, see
 * wilor_linear_load_as. */
wilor_status wilor_vit_load(wilor_vit *v, wilor_loader *l, const wilor_vit_dims *dims,
                            const wilor_dot *dot, int bits);

/* Only v->position and v->lead, of a v whose width is set: plain rows on every tier. */
wilor_status wilor_vit_load_input(wilor_vit *v, wilor_loader *l);

/* Told after each stage, for tests: data is row-major (mr 0) or in panels of mr rows; rows ×
 * cols. */
typedef void (*wilor_trace_fn)(void *context, const char *stage, int block, const float *data,
                               int mr, int rows, int cols);

/* Where a pass's time goes; the last block's few rows count with the others. */
typedef enum wilor_phase {
    WILOR_PHASE_EMBED, /* patches to tokens */
    WILOR_PHASE_NORM,  /* both norms, and what fc2 left in parts */
    WILOR_PHASE_QKV,
    WILOR_PHASE_ATTENTION,
    WILOR_PHASE_PROJ,
    WILOR_PHASE_FC1, /* with GELU */
    WILOR_PHASE_FC2,
    WILOR_PHASE_PUT, /* whole rows that become activations: int8 */
    WILOR_PHASES
} wilor_phase;

/* Buffers of a session for runs of at most `hands` hands. */
typedef struct wilor_vit_work {
    int hands;
    float *x;            /* hands × 210 × D: residual stream */
    wilor_acts normed;   /* hands × 210 rows of D: a norm's output */
    wilor_acts attended; /* the same of attention */
    wilor_acts hidden;   /* of mlp: behind fc1 */
    float *packed;      /* float32 panels of patches, or of tokens to decode: hidden's memory */
    float *staged;      /* rows that go to acts as a whole, or NULL */
    float *part;        /* slices × rows × D: what fc2's slices give, or NULL */
    size_t part_floats; /* a slice's */
    const float
        *part_bias; /* not NULL: x still lacks the parts of the last fc2 and this bias */
    float *qkv;     /* heads × hands × 210 × 3 head_dim: keys, values, queries */
    float *chosen; /* rows × D: the residual stream of the rows that the last block computes */
    float *query;  /* rows × D: their queries */
    float *tokens; /* rows × D: after the last norm */
    int chosen_rows;
    float *tiles; /* threads × tile_stride: a tile, room for a panel of weights */
    size_t tile_stride;
    float *scratch; /* threads × scratch_floats: rows before packing, attention */
    size_t scratch_floats;
    wilor_span phase[WILOR_PHASES]; /* of the last run and its tails */
    bool profile;                   /* count the threads' time, too */
    wilor_trace_fn trace;           /* NULL in production */
    void *trace_context;
} wilor_vit_work;

/* packed and scratch (per thread) are made at least as large as said: others may borrow them
 * between calls. room: the loader's. */
void wilor_vit_work_push(wilor_vit_work *w, const wilor_vit *v, int hands, int threads,
                         size_t packed_floats, size_t scratch_floats, size_t room,
                         wilor_arena *arena);

/* Crops (n × 256 × 256 × 3, 0 … 255, RGB) through all blocks but the last one's attention: leaves
 * the last block's input in w->x and its keys, values and queries in w->qkv. */
void wilor_vit_run(const wilor_vit *v, wilor_vit_work *w, const float *rgb, int n,
                   wilor_threads *pool);

/* The last block and the last norm for the 18 leading tokens and the patches of rows 0 …
 * patch_rows-1, columns 0 … patch_cols-1, of hands first … first+n-1: w->tokens, n × (18 +
 * patches) × D. */
void wilor_vit_tail(const wilor_vit *v, wilor_vit_work *w, int first, int n, int patch_rows,
                    int patch_cols, wilor_threads *pool);

/* Heads on n hands' tokens, `rows` rows a hand: pose6d n × 96, betas n × 10, cam n × 3, means
 * added. */
void wilor_vit_read_out(const wilor_vit *v, wilor_vit_work *w, int n, int rows, float *pose6d,
                        float *betas, float *cam, wilor_threads *pool);

/* The side head on the same tokens' leading rows: a logit a hand that its crop, as the network got it, shows
 * a right hand. NAN without a head. */
void wilor_vit_tell_side(const wilor_vit *v, const wilor_vit_work *w, int n, int rows,
                         float *logit);

#endif
