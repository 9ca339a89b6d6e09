/* RefineNet as a graph, in float32. A transposed convolution is one product a parity of its output's pixels; a sample
 * of a map is a product, too, with each pixel's share in it, which is zero for all but four. */
#include "mlx_model.h"

#define FOCAL 5000.0f
#define NORM_EPS 1e-5f
#define FAR 1e30f

/* ---------------------------------------------------------------- maps */

/* n × rows × cols × channels. */
typedef struct map {
    mlx_array data;
    int rows, cols, channels;
} map;

/* Tensors of a transposed convolution and its norm. */
typedef struct upsampling {
    int w, gamma, outputs;
} upsampling;

/* Inputs of a parity's output pixels: taps (dy, dx) beside each other. An even output takes inputs y and y - 1, an odd
 * one y + 1 and y. padded: a zero around the map. */
static mlx_array taps_of(wilor_mlx_graph *g, mlx_array padded, const map *in, int parity) {
    mlx_array tap[4];
    for (int t = 0; t < 4; t++) {
        int y = 1 + parity / 2 - t / 2, x = 1 + parity % 2 - t % 2;
        mlx_array rows = wilor_mlx_slice(g, padded, 1, y, y + in->rows);
        tap[t] = wilor_mlx_slice(g, rows, 2, x, x + in->cols);
    }
    return wilor_mlx_concatenate(g, tap, 4, 3);
}

/* wilor-mlx leaves its batch norms in training mode: statistics of all hands at work. */
static mlx_array norm_by_batch(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x,
                               int gamma) {
    static const int axes[] = {0, 1, 2};
    mlx_array middle = wilor_mlx_mean_of(g, x, axes, 3);
    mlx_array var = wilor_mlx_variance_of(g, x, axes, 3);
    mlx_array width = wilor_mlx_sqrt(g, wilor_mlx_add(g, var, wilor_mlx_scalar(g, NORM_EPS)));
    x = wilor_mlx_divide(g, wilor_mlx_subtract(g, x, middle), width);
    x = wilor_mlx_multiply(g, x, wilor_mlx_vector(m, gamma, 0));
    return wilor_mlx_add(g, x, wilor_mlx_vector(m, gamma + 1, 0));
}

static mlx_array norm_and_relu(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array x,
                               const upsampling *u, bool like_mlx) {
    if (like_mlx)
        x = norm_by_batch(g, m, x, u->gamma);
    else
        x = wilor_mlx_add(g, wilor_mlx_multiply(g, x, wilor_mlx_vector(m, u->w + 1, 0)),
                          wilor_mlx_vector(m, u->w + 2, 0));
    return wilor_mlx_maximum(g, x, wilor_mlx_scalar(g, 0));
}

/* whole: twice the pixels; else of n right ones a side the 2n - 1 that they determine. */
static map upsample(wilor_mlx_graph *g, const wilor_mlx_model *m, const map *in,
                    const upsampling *u, int n, bool whole, bool like_mlx) {
    map out = {.rows = 2 * in->rows, .cols = 2 * in->cols, .channels = u->outputs};
    mlx_array w = wilor_mlx_vector(m, u->w, 0), row[2];
    mlx_array padded = wilor_mlx_pad(g, in->data, (const int[]){1, 2}, (const int[]){1, 1},
                                     (const int[]){1, 1}, 0);
    for (int y = 0; y < 2; y++) {
        mlx_array pixel[2];
        for (int x = 0; x < 2; x++) {
            mlx_array of =
                wilor_mlx_transpose(g, wilor_mlx_at(g, w, 0, 2 * y + x), MLX_DIMS(1, 0));
            pixel[x] = wilor_mlx_matmul(g, taps_of(g, padded, in, 2 * y + x), of);
        }
        row[y] = wilor_mlx_stack(g, pixel, 2, 3);
    }
    out.data = wilor_mlx_reshape(g, wilor_mlx_stack(g, row, 2, 2),
                                 MLX_DIMS(n, out.rows, out.cols, out.channels));
    if (!whole) {
        out.data = wilor_mlx_slice(g, out.data, 1, 0, --out.rows);
        out.data = wilor_mlx_slice(g, out.data, 2, 0, --out.cols);
    }
    out.data = norm_and_relu(g, m, out.data, u, like_mlx);
    return out;
}

/* Fine, middle, coarse, from the patches behind the lead. */
static void make_maps(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array tokens, int n,
                      int side, bool like_mlx, map maps[MLX_MAPS]) {
    bool whole = side >= MLX_ROWS;
    int d = m->shape.width, rows = whole ? MLX_ROWS : side, cols = whole ? MLX_COLS : side;
    const upsampling middle = {WILOR_NET_MIDDLE_W, WILOR_NET_MIDDLE_GAMMA, d / 4};
    const upsampling fine0 = {WILOR_NET_FINE0_W, WILOR_NET_FINE0_GAMMA, d / 4};
    const upsampling fine1 = {WILOR_NET_FINE1_W, WILOR_NET_FINE1_GAMMA, d / 8};
    mlx_array x = wilor_mlx_slice(g, tokens, 1, MLX_LEAD, MLX_LEAD + rows * cols);
    x = wilor_mlx_affine(g, x, wilor_mlx_vector(m, WILOR_NET_COARSE_W, 0),
                         wilor_mlx_vector(m, WILOR_NET_COARSE_W + 1, 0));
    maps[2] = (map){wilor_mlx_reshape(g, x, MLX_DIMS(n, rows, cols, d / 2)), rows, cols, d / 2};
    maps[1] = upsample(g, m, &maps[2], &middle, n, whole, like_mlx);
    map half = upsample(g, m, &maps[2], &fine0, n, whole, like_mlx);
    maps[0] = upsample(g, m, &half, &fine1, n, whole, like_mlx);
}

/* ---------------------------------------------------------------- where the vertices fall */

/* Pixels of a map `side` high: n × V × 2. */
static mlx_array project(wilor_mlx_graph *g, mlx_array verts, mlx_array cam, int n, int side) {
    float size = (float)side, focal = FOCAL / size;
    mlx_array scale = wilor_mlx_slice(g, cam, 1, 0, 1), at = wilor_mlx_slice(g, cam, 1, 1, 3);
    mlx_array depth = wilor_mlx_add(g, wilor_mlx_multiply(g, scale, wilor_mlx_scalar(g, size)),
                                    wilor_mlx_scalar(g, 1e-9f));
    depth = wilor_mlx_divide(g, wilor_mlx_scalar(g, 2 * FOCAL), depth);
    const mlx_array move[] = {at, depth};
    mlx_array moved = wilor_mlx_concatenate(g, move, 2, 1);
    moved = wilor_mlx_add(g, verts, wilor_mlx_reshape(g, moved, MLX_DIMS(n, 1, 3)));
    mlx_array xy = wilor_mlx_divide(g, wilor_mlx_slice(g, moved, 2, 0, 2),
                                    wilor_mlx_slice(g, moved, 2, 2, 3));
    return wilor_mlx_multiply(g, xy, wilor_mlx_scalar(g, focal));
}

/* The farthest coordinate, in patches; far away where one is not finite. */
static mlx_array farthest(wilor_mlx_graph *g, mlx_array xy, int n, int vertices, int side) {
    mlx_array all = wilor_mlx_reshape(g, xy, MLX_DIMS(n, 2 * vertices));
    all = wilor_mlx_multiply(g, all, wilor_mlx_scalar(g, (float)MLX_ROWS / (float)side));
    return wilor_mlx_max(g, wilor_mlx_finite_or(g, all, FAR), 1);
}

/* ---------------------------------------------------------------- samples */

/* Each of `count` pixels' share of the points, n × V × count: 1 - distance, at least 0. NaN where a point is not
 * finite, as everything is that comes of it. */
static mlx_array shares(wilor_mlx_graph *g, mlx_array at, int count) {
    mlx_array apart = wilor_mlx_abs(
        g, wilor_mlx_subtract(g, wilor_mlx_finite_or_nan(g, at), wilor_mlx_range(g, count)));
    return wilor_mlx_maximum(g, wilor_mlx_subtract(g, wilor_mlx_scalar(g, 1), apart),
                             wilor_mlx_scalar(g, 0));
}

/* As wilor-mlx: what falls beside the map is its nearest pixel's. */
static mlx_array shares_clamped(wilor_mlx_graph *g, mlx_array at, int count) {
    mlx_array range = wilor_mlx_range(g, count), sum = {NULL};
    at = wilor_mlx_finite_or_nan(g, at);
    mlx_array first = wilor_mlx_floor(g, at);
    for (int i = 0; i < 2; i++) {
        mlx_array pixel = wilor_mlx_add(g, first, wilor_mlx_scalar(g, (float)i));
        mlx_array apart = wilor_mlx_abs(g, wilor_mlx_subtract(g, at, pixel));
        mlx_array share = wilor_mlx_subtract(g, wilor_mlx_scalar(g, 1), apart);
        mlx_array here =
            wilor_mlx_equal(g, wilor_mlx_clip(g, pixel, 0, (float)(count - 1)), range);
        mlx_array part = wilor_mlx_multiply(g, share, here);
        sum = i ? wilor_mlx_add(g, sum, part) : part;
    }
    return sum;
}

/* The largest sample of each channel over the vertices: n × channels. */
static mlx_array sample(wilor_mlx_graph *g, const map *m, mlx_array xy, int n, int vertices,
                        bool like_mlx) {
    mlx_array (*shared)(wilor_mlx_graph *, mlx_array, int) = like_mlx ? shares_clamped : shares;
    mlx_array x = shared(g, wilor_mlx_slice(g, xy, 2, 0, 1), m->cols);
    mlx_array y = shared(g, wilor_mlx_slice(g, xy, 2, 1, 2), m->rows);
    mlx_array both =
        wilor_mlx_multiply(g, wilor_mlx_expand(g, y, 3), wilor_mlx_expand(g, x, 2));
    both = wilor_mlx_reshape(g, both, MLX_DIMS(n, vertices, m->rows * m->cols));
    mlx_array pixels =
        wilor_mlx_reshape(g, m->data, MLX_DIMS(n, m->rows * m->cols, m->channels));
    return wilor_mlx_max(g, wilor_mlx_matmul(g, both, pixels), 1);
}

/* ---------------------------------------------------------------- all */

static mlx_array correct(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array features,
                         int t, mlx_array to) {
    mlx_array delta =
        wilor_mlx_affine(g, features, wilor_mlx_vector(m, t, 0), wilor_mlx_vector(m, t + 1, 0));
    return wilor_mlx_add(g, to, delta);
}

wilor_mlx_pose wilor_mlx_refine(wilor_mlx_graph *g, const wilor_mlx_model *m, mlx_array tokens,
                                const wilor_mlx_pose *pose, mlx_array verts, int n, int side,
                                bool like_mlx, mlx_array *need) {
    static const int sides[MLX_MAPS] = {64, 32, 16};
    int v = m->hand.vertices;
    map maps[MLX_MAPS];
    mlx_array features[MLX_MAPS], most = {NULL};
    make_maps(g, m, tokens, n, side, like_mlx, maps);
    for (int i = 0; i < MLX_MAPS; i++) {
        mlx_array xy = project(g, verts, pose->cam, n, sides[i]);
        mlx_array far = farthest(g, xy, n, v, sides[i]);
        most = i ? wilor_mlx_maximum(g, most, far) : far;
        features[i] = sample(g, &maps[i], xy, n, v, like_mlx);
        wilor_mlx_graph_tell(g, "map", i, maps[i].data);
    }
    mlx_array all = wilor_mlx_concatenate(g, features, MLX_MAPS, 1);
    wilor_mlx_graph_tell(g, "features", 0, all);
    *need = most;
    return (wilor_mlx_pose){correct(g, m, all, WILOR_NET_REFINE_POSE_W, pose->six),
                            correct(g, m, all, WILOR_NET_REFINE_SHAPE_W, pose->betas),
                            correct(g, m, all, WILOR_NET_REFINE_CAM_W, pose->cam)};
}
