/* The table of functions that libwilor_mlx gives to the core: plain C without any type of MLX's, so that the core
 * needs neither MLX nor its C interface to be built. docs/mlx.md says how MLX is used. */
#ifndef WILOR_MLX_ABI_H
#define WILOR_MLX_ABI_H

#include "net_tensors.h"

#include <stdbool.h>

enum { WILOR_MLX_ABI = 2, WILOR_MLX_TEXT = 320 };

/* What went wrong; the core has a status of its own for each. */
typedef enum wilor_mlx_result {
    WILOR_MLX_OK = 0,
    WILOR_MLX_NO_MEMORY,
    WILOR_MLX_UNSUPPORTED, /* this version of MLX */
    WILOR_MLX_FAILED       /* anything else; the text has MLX's own words */
} wilor_mlx_result;

typedef struct wilor_mlx_error {
    char text[WILOR_MLX_TEXT];
} wilor_mlx_error;

typedef enum wilor_mlx_number { WILOR_MLX_F32, WILOR_MLX_F16, WILOR_MLX_BF16 } wilor_mlx_number;

typedef struct wilor_mlx_info {
    char version[32]; /* MLX's: "0.31.2" */
    bool gpu;         /* what computes: Metal, else MLX's build for processors */
} wilor_mlx_info;

/* ---------------------------------------------------------------- weights */

typedef struct wilor_mlx_shape {
    int width, depth, heads, mlp;
    wilor_mlx_number number; /* of the blocks' products; everything else is float32 */
    int bits; /* 4 or 8: MLX makes groups of 64 of the blocks' matrices that come as numbers. Else 0 */
    bool side_head; /* there is one: model_put gets its tensors, too */
} wilor_mlx_shape;

/* Memory that the module owns from then on, also when a call with it fails: MLX computes on it in place where it can,
 * which wants whole pages of 16384 bytes, else it has copied it when the call returns. */
typedef struct wilor_mlx_block {
    void *data;
    void (*release)(void *owner);
    void *owner;
} wilor_mlx_block;

/* A matrix in MLX's affine groups: outputs × (inputs · bits / 32) words, outputs × (inputs / group) scales and
 * biases in the shape's numbers. */
typedef struct wilor_mlx_groups {
    int bits, group;
    wilor_mlx_block words, scales, biases;
} wilor_mlx_groups;

/* ---------------------------------------------------------------- runs */

typedef struct wilor_mlx_session_options {
    int batch;       /* most hands of a run */
    bool full_path;  /* every hand as if its points needed every patch */
    bool compat_mlx; /* wilor-mlx's RefineNet and rotations, always the full path */
} wilor_mlx_session_options;

typedef struct wilor_mlx_output {
    float *rotation;   /* n × 16 × 9 */
    float *betas;      /* n × 10 */
    float *cam;        /* n × 3 */
    float *verts;      /* n × V × 3 */
    float *keypoints;  /* n × 21 × 3 */
    float *side_logit; /* n, NAN of a model without a side head; NULL: not wanted */
    int wide;          /* hands that were computed once more by all patches */
} wilor_mlx_output;

/* For tests: what a stage is. `rows` × `cols` float32, computed without compiling the graph. */
typedef void (*wilor_mlx_trace)(void *context, const char *stage, int block, const float *data,
                                int rows, int cols);

/* ---------------------------------------------------------------- the table */

typedef struct wilor_mlx_table {
    wilor_module_head head; /* WILOR_MLX_ABI */

    wilor_mlx_result (*info)(wilor_mlx_info *out, wilor_mlx_error *err);

    /* A model is created, gets every tensor once in any order (block 0 for those without), and is
     * then read-only: sessions of it may run at the same time. */
    wilor_mlx_result (*model_create)(void **model, const wilor_mlx_shape *shape,
                                     const wilor_net_mano *mano, wilor_mlx_error *err);
    /* Numbers of the shape's type for the blocks' matrices and their biases, else float32. */
    wilor_mlx_result (*model_put)(void *model, int tensor, int block,
                                  const wilor_mlx_block *data, wilor_mlx_error *err);
    wilor_mlx_result (*model_put_groups)(void *model, int tensor, int block,
                                         const wilor_mlx_groups *groups, wilor_mlx_error *err);
    size_t (*model_bytes)(const void *model);
    void (*model_free)(void *model); /* NULL is fine; after its sessions */

    /* Starts the session's thread, which alone calls MLX, and runs once, so that everything is compiled. */
    wilor_mlx_result (*session_open)(void **session, const void *model,
                                     const wilor_mlx_session_options *o, wilor_mlx_error *err);
    void (*session_close)(void *session); /* NULL is fine */
    /* rgb: n × 256 × 256 × 3, 0 … 255. fixed_betas: NULL, or 10 numbers that replace the shape in the
     * result. MLX allocates in here. */
    wilor_mlx_result (*session_run)(void *session, const float *rgb, int n,
                                    const float *fixed_betas, wilor_mlx_output *out,
                                    wilor_mlx_error *err);
    /* For tests: the next runs tell every stage, slowly; NULL: no more. */
    void (*session_trace)(void *session, wilor_mlx_trace trace, void *context);
    /* For tests: bytes that MLX has in use in this process. */
    size_t (*active_bytes)(void);

    /* The detector's network; nothing of the program is kept. */
    wilor_mlx_result (*net_create)(void **net, const wilor_net_program *program,
                                   wilor_mlx_number number, wilor_mlx_error *err);
    size_t (*net_bytes)(const void *net);
    void (*net_free)(void *net); /* NULL is fine; after its runs */
    wilor_mlx_result (*net_run_open)(void **run, const void *net, wilor_mlx_error *err);
    void (*net_run_close)(void *run); /* NULL is fine */
    /* bytes: height × width × 3. heads: where each level's rows × columns × 129 numbers go. MLX allocates in here, and
     * compiles for a size that is new. */
    wilor_mlx_result (*net_run_forward)(void *run, const uint8_t *bytes, int width, int height,
                                        float *const heads[3], wilor_mlx_error *err);
} wilor_mlx_table;

/* The module's only symbol: a function that returns its table's head. */
#define WILOR_MLX_ENTRY "wilor_mlx_get_table"

/* Whether tensor t is of the blocks' products: a matrix (also in groups), or its bias. */
static inline bool wilor_mlx_is_matrix(int t) {
    return t == WILOR_NET_QKV_W || t == WILOR_NET_PROJ_W || t == WILOR_NET_FC1_W ||
           t == WILOR_NET_FC2_W;
}

static inline bool wilor_mlx_is_product(int t) {
    return wilor_mlx_is_matrix(t) || wilor_mlx_is_matrix(t - 1);
}

#endif
