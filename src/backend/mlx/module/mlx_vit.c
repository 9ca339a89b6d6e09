/* The backbone as a graph. The residual stream and all norms are float32; the blocks' products have the model's
 * numbers. */
#include "mlx_model.h"

#include <math.h>

#define NORM_EPS 1e-6f

/* ---------------------------------------------------------------- layers */

static mlx_array norm(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x, int gamma,
                      int block) {
    return wilor_mlx_layer_norm(g, x, wilor_mlx_vector(m, gamma, block),
                                wilor_mlx_vector(m, gamma + 1, block), NORM_EPS);
}

/* Rows of a matrix and of its bias. */
static mlx_array rows_of(wilor_mlx_graph *g, mlx_array a, int from, int to, bool all) {
    return all ? a : wilor_mlx_slice(g, a, 0, from, to);
}

/* Outputs from … to - 1 of the layer whose matrix is tensor t, in the model's numbers; to 0: all. */
static mlx_array layer_part(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x, int t,
                            int block, int from, int to) {
    const wilor_mlx_matrix *w = wilor_mlx_tensor(m, t, block);
    mlx_array bias = rows_of(g, wilor_mlx_vector(m, t + 1, block), from, to, to == 0);
    mlx_array words = rows_of(g, w->w, from, to, to == 0), y;
    if (!w->biases.ctx)
        return wilor_mlx_affine(g, x, words, bias);
    y = wilor_mlx_quantised(g, x, words, rows_of(g, w->scales, from, to, to == 0),
                            rows_of(g, w->biases, from, to, to == 0), w->group, w->bits);
    return wilor_mlx_add(g, y, bias);
}

static mlx_array layer(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x, int t,
                       int block) {
    return layer_part(g, m, x, t, block, 0, 0);
}

/* A float32 layer outside the blocks. */
static mlx_array plain(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x, int t) {
    return wilor_mlx_affine(g, x, wilor_mlx_vector(m, t, 0), wilor_mlx_vector(m, t + 1, 0));
}

/* x/2 (1 + erf(x/√2)), in float32. */
static mlx_array gelu(wilor_mlx_graph *g, mlx_array x) {
    mlx_array e =
        wilor_mlx_erf(g, wilor_mlx_multiply(g, x, wilor_mlx_scalar(g, 0.70710678118654752f)));
    mlx_array half = wilor_mlx_multiply(g, x, wilor_mlx_scalar(g, 0.5f));
    return wilor_mlx_multiply(g, half, wilor_mlx_add(g, e, wilor_mlx_scalar(g, 1)));
}

/* ---------------------------------------------------------------- input */

/* n × 256 × 256 × 3 of 0 … 255 to n × 192 × 768: columns 32 … 223, normalised, then padded by 2, cut in patches of
 * 16 whose numbers are channel, row, column. A patch's last 2 rows and columns of padding fall outside. */
static mlx_array patches(wilor_mlx_graph *g, mlx_array rgb, int n) {
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};

    enum { WIDTH = 192, PAD = 2 };

    mlx_array part[2][3];
    for (int c = 0; c < 3; c++) {
        part[0][c] = wilor_mlx_scalar(g, mean[c]);
        part[1][c] = wilor_mlx_scalar(g, std[c]);
    }
    mlx_array x = wilor_mlx_slice(g, rgb, 2, 32, 32 + WIDTH);
    x = wilor_mlx_divide(g, x, wilor_mlx_scalar(g, 255));
    x = wilor_mlx_subtract(g, x, wilor_mlx_stack(g, part[0], 3, 0));
    x = wilor_mlx_divide(g, x, wilor_mlx_stack(g, part[1], 3, 0));
    x = wilor_mlx_pad(g, x, (const int[]){1, 2}, (const int[]){PAD, PAD},
                      (const int[]){PAD, PAD}, 0);
    x = wilor_mlx_slice(g, wilor_mlx_slice(g, x, 1, 0, MLX_SIDE), 2, 0, WIDTH);
    x = wilor_mlx_reshape(g, x, MLX_DIMS(n, MLX_ROWS, 16, MLX_COLS, 16, 3));
    x = wilor_mlx_transpose(g, x, MLX_DIMS(0, 1, 3, 5, 2, 4));
    return wilor_mlx_reshape(g, x, MLX_DIMS(n, MLX_PATCHES, 768));
}

static mlx_array tokens_in(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array rgb, int n) {
    int d = m->shape.width;
    mlx_array x = plain(g, m, patches(g, rgb, n), WILOR_NET_PATCH_W);
    x = wilor_mlx_add(g, x, wilor_mlx_vector(m, WILOR_NET_POSITION, 0));
    mlx_array lead =
        wilor_mlx_reshape(g, wilor_mlx_vector(m, WILOR_NET_LEAD, 0), MLX_DIMS(1, MLX_LEAD, d));
    lead = wilor_mlx_broadcast(g, lead, MLX_DIMS(n, MLX_LEAD, d));
    const mlx_array both[] = {lead, x};
    x = wilor_mlx_concatenate(g, both, 2, 1);
    wilor_mlx_graph_tell(g, "tokens_in", 0, x);
    return x;
}

/* ---------------------------------------------------------------- blocks */

/* n × rows × (parts · D) to parts × n × heads × rows × head_dim. */
static mlx_array split_heads(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x, int n,
                             int rows, int parts) {
    int heads = m->shape.heads, each = m->shape.width / heads;
    x = wilor_mlx_reshape(g, x, MLX_DIMS(n, rows, parts, heads, each));
    return wilor_mlx_transpose(g, x, MLX_DIMS(2, 0, 3, 1, 4));
}

static mlx_array attend(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array q, mlx_array k,
                        mlx_array v, int n, int rows) {
    float each = (float)(m->shape.width / m->shape.heads);
    mlx_array y = wilor_mlx_attend(g, q, k, v, 1 / sqrtf(each));
    y = wilor_mlx_transpose(g, y, MLX_DIMS(0, 2, 1, 3));
    return wilor_mlx_reshape(g, y, MLX_DIMS(n, rows, m->shape.width));
}

static mlx_array add_to_stream(wilor_mlx_graph *g, mlx_array x, mlx_array y) {
    return wilor_mlx_add(g, x, wilor_mlx_as(g, y, MLX_FLOAT32));
}

/* From the attention's output on; x: the stream's rows. */
static mlx_array finish_block(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x,
                              mlx_array attended, int block) {
    mlx_dtype number = wilor_mlx_dtype(m->shape.number);
    wilor_mlx_graph_tell(g, "attn_out", block, attended);
    x = add_to_stream(g, x, layer(g, m, attended, WILOR_NET_PROJ_W, block));
    wilor_mlx_graph_tell(g, "attn_residual", block, x);
    mlx_array y = norm(g, m, x, WILOR_NET_NORM2_GAMMA, block);
    y = layer(g, m, wilor_mlx_as(g, y, number), WILOR_NET_FC1_W, block);
    y = wilor_mlx_as(g, gelu(g, wilor_mlx_as(g, y, MLX_FLOAT32)), number);
    wilor_mlx_graph_tell(g, "gelu", block, y);
    x = add_to_stream(g, x, layer(g, m, y, WILOR_NET_FC2_W, block));
    wilor_mlx_graph_tell(g, "block", block, x);
    return x;
}

static mlx_array run_block(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x, int n,
                           int block) {
    mlx_array y = norm(g, m, x, WILOR_NET_NORM1_GAMMA, block);
    wilor_mlx_graph_tell(g, "norm1", block, y);
    y = layer(g, m, wilor_mlx_as(g, y, wilor_mlx_dtype(m->shape.number)), WILOR_NET_QKV_W,
              block);
    wilor_mlx_graph_tell(g, "qkv", block, y);
    y = split_heads(g, m, y, n, MLX_TOKENS, 3);
    y = attend(g, m, wilor_mlx_at(g, y, 0, 0), wilor_mlx_at(g, y, 0, 1),
               wilor_mlx_at(g, y, 0, 2), n, MLX_TOKENS);
    return finish_block(g, m, x, y, block);
}

mlx_array wilor_mlx_backbone(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array rgb,
                             int n) {
    mlx_array x = tokens_in(g, m, rgb, n);
    for (int i = 0; i + 1 < m->shape.depth; i++)
        x = run_block(g, m, x, n, i);
    return x;
}

/* The lead and the first side × side patches. */
static mlx_array choose_rows(wilor_mlx_graph *g, mlx_array x, int side) {
    int row[MLX_TOKENS], count = 0;
    if (side >= MLX_ROWS)
        return x;
    for (int i = 0; i < MLX_LEAD; i++)
        row[count++] = i;
    for (int y = 0; y < side; y++)
        for (int c = 0; c < side; c++)
            row[count++] = MLX_LEAD + y * MLX_COLS + c;
    return wilor_mlx_take(g, x, wilor_mlx_integers(g, row, count), 1);
}

mlx_array wilor_mlx_last_block(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x, int n,
                               int side) {
    int last = m->shape.depth - 1, d = m->shape.width;
    int rows = side >= MLX_ROWS ? MLX_TOKENS : MLX_LEAD + side * side;
    mlx_array y = norm(g, m, x, WILOR_NET_NORM1_GAMMA, last);
    y = wilor_mlx_as(g, y, wilor_mlx_dtype(m->shape.number));
    mlx_array q = layer_part(g, m, choose_rows(g, y, side), WILOR_NET_QKV_W, last, 0, d);
    mlx_array kv = layer_part(g, m, y, WILOR_NET_QKV_W, last, d, 3 * d);
    q = split_heads(g, m, q, n, rows, 1);
    kv = split_heads(g, m, kv, n, MLX_TOKENS, 2);
    y = attend(g, m, wilor_mlx_at(g, q, 0, 0), wilor_mlx_at(g, kv, 0, 0),
               wilor_mlx_at(g, kv, 0, 1), n, rows);
    y = finish_block(g, m, choose_rows(g, x, side), y, last);
    y = norm(g, m, y, WILOR_NET_LAST_GAMMA, 0);
    wilor_mlx_graph_tell(g, "tokens_out", last, y);
    return y;
}

/* ---------------------------------------------------------------- decoders */

wilor_mlx_pose wilor_mlx_read_out(wilor_mlx_graph *g, const wilor_mlx_model *m,
                                  mlx_array tokens, int n) {
    wilor_mlx_pose p;
    mlx_array pose = wilor_mlx_slice(g, tokens, 1, 0, MLX_JOINTS);
    mlx_array six = plain(g, m, pose, WILOR_NET_DECPOSE_W);
    mlx_array betas = wilor_mlx_at(g, tokens, 1, MLX_JOINTS);
    mlx_array cam = wilor_mlx_at(g, tokens, 1, MLX_JOINTS + 1);
    p.six = wilor_mlx_add(g, wilor_mlx_reshape(g, six, MLX_DIMS(n, MLX_POSE)),
                          wilor_mlx_vector(m, WILOR_NET_INIT_POSE, 0));
    p.betas = wilor_mlx_add(g, plain(g, m, betas, WILOR_NET_DECSHAPE_W),
                            wilor_mlx_vector(m, WILOR_NET_INIT_BETAS, 0));
    p.cam = wilor_mlx_add(g, plain(g, m, cam, WILOR_NET_DECCAM_W),
                          wilor_mlx_vector(m, WILOR_NET_INIT_CAM, 0));
    return p;
}

mlx_array wilor_mlx_tell_side(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array tokens,
                              int n) {
    mlx_array lead = wilor_mlx_slice(g, tokens, 1, 0, MLX_LEAD);
    lead = wilor_mlx_reshape(g, lead, MLX_DIMS(n, MLX_LEAD * m->shape.width));
    return plain(g, m, lead, WILOR_NET_SIDE_W);
}
