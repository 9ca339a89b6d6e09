/* A pass through RefineNet for one hand. Maps are rows × columns × channels, so that a sample
 * is four contiguous vectors. */
#include "refine.h"

#include <math.h>
#include <string.h>

#define FOCAL 5000.0f /* of the weak perspective, pixels of a 256-pixel crop */

enum { CHANNEL_CHUNK = 64, NORM_CHUNK = 16 };

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

/* Inputs of the GEMMs: 192 pixels × D, 192 × 2D (4 taps of D/2), 768 × D (4 taps of D/4). */
size_t wilor_refine_packed(const wilor_refine *r) {
    int mr = r->kernels->mr;
    size_t d = (size_t)r->width;
    size_t coarse = (size_t)(wilor_panels(WILOR_PATCHES, mr) * mr) * 2 * d;
    size_t fine = (size_t)(wilor_panels(4 * WILOR_PATCHES, mr) * mr) * d;
    return most(coarse, fine);
}

size_t wilor_refine_scratch(const wilor_refine *r) {
    return (size_t)r->kernels->mr * most(2 * (size_t)r->width, (size_t)r->features);
}

/* Floats of a whole map. */
static size_t map_floats(const wilor_map *m) {
    return (size_t)(m->side * m->side / 4 * 3) * (size_t)m->channels;
}

/* fine0's output is as large as the middle map. */
static size_t half_floats(const wilor_refine_work *w) { return map_floats(&w->map[1]); }

void wilor_refine_choose(wilor_refine_work *w, int hand) {
    for (int i = 0; i < WILOR_MAPS; i++)
        w->map[i].data = w->all_maps[i] + (size_t)hand * map_floats(&w->map[i]);
    w->half = w->all_half + (size_t)hand * half_floats(w);
}

void wilor_refine_work_push(wilor_refine_work *w, const wilor_refine *r, int vertices, bool mlx,
                            int batch, wilor_arena *arena) {
    size_t d = (size_t)r->width, v = (size_t)vertices, f = sizeof(float);
    static const int sides[WILOR_MAPS] = {64, 32, 16};
    int channels[WILOR_MAPS] = {r->width / 8, r->width / 4, r->width / 2};
    w->vertices = vertices;
    w->mlx = mlx;
    w->hands = mlx ? batch : 1;
    size_t n = (size_t)w->hands;
    for (int i = 0; i < WILOR_MAPS; i++) {
        w->map[i] = (wilor_map){.channels = channels[i], .side = sides[i]};
        w->all_maps[i] = wilor_arena_push(arena, n * map_floats(&w->map[i]), f);
    }
    w->all_half = wilor_arena_push(arena, n * half_floats(w), f);
    if (w->all_half)
        wilor_refine_choose(w, 0);
    /* The largest: a quarter of the fine map's pixels × D/8, a quarter of the middle's × D/4. */
    w->plane = wilor_arena_push(arena, most(32 * 24 * (d / 8), 16 * 12 * (d / 4)), f);
    w->xy = wilor_arena_push(arena, WILOR_MAPS * v * 2, f);
    w->weights = wilor_arena_push(arena, v * 4, f);
    w->corner = wilor_arena_push(arena, v * 4, sizeof *w->corner);
    w->features = wilor_arena_push(arena, (size_t)r->features, f);
}

/* ---------------------------------------------------------------- projection and guard */

void wilor_refine_project(wilor_refine_work *w, const float *verts, const float *cam) {
    for (int i = 0; i < WILOR_MAPS; i++) {
        float size = (float)w->map[i].side, focal = FOCAL / size;
        float tz = 2.0f * FOCAL / (size * cam[0] + 1e-9f);
        float *xy = w->xy + (size_t)i * (size_t)w->vertices * 2;
        for (int v = 0; v < w->vertices; v++) {
            const float *p = verts + 3 * v;
            float z = p[2] + tz;
            xy[2 * v] = focal * ((p[0] + cam[1]) / z);
            xy[2 * v + 1] = focal * ((p[1] + cam[2]) / z);
        }
    }
}

int wilor_refine_corner(const wilor_refine_work *w) {
    int need = WILOR_CORNER_LEAST;
    for (int i = 0; i < WILOR_MAPS; i++) {
        const float *xy = w->xy + (size_t)i * (size_t)w->vertices * 2;
        float per_patch = (float)(w->map[i].side / WILOR_GRID_ROWS), top = 0.0f;
        for (int j = 0; j < 2 * w->vertices; j++) {
            /* Not `xy > limit`: NaN must end here too, and minus infinity. */
            if (!(fabsf(xy[j]) <= per_patch * (WILOR_GRID_ROWS - 1))) {
                if (!(xy[j] < 0.0f) || isinf(xy[j]))
                    return WILOR_GRID_ROWS;
                continue;
            }
            top = xy[j] > top ? xy[j] : top;
        }
        int p = 1 + (int)ceilf(top / per_patch);
        need = p > need ? p : need;
    }
    return need;
}

/* ---------------------------------------------------------------- maps */

typedef struct gather_job {
    const wilor_refine *r;
    wilor_refine_work *w;
    const float *src; /* pixels × ld */
    size_t ld;
    int rows, cols, channels;                          /* of the source */
    int row_parity, column_parity, out_rows, out_cols; /* of the output pixels of this parity */
    int taps;                                          /* 1: the pixels themselves */
} gather_job;

/* The inputs of output pixel (y, x) of a parity: taps (dy, dx) in refine_load.c's order. An
 * even output takes inputs y and y - 1, an odd one y + 1 and y, y being half the output's row. */
static void gather_taps(const gather_job *j, int y, int x, float *dst) {
    size_t n = (size_t)j->channels;
    for (int t = 0; t < 4; t++, dst += n) {
        int iy = y + j->row_parity - t / 2, ix = x + j->column_parity - t % 2;
        if (iy < 0 || iy >= j->rows || ix < 0 || ix >= j->cols)
            memset(dst, 0, n * sizeof *dst);
        else
            memcpy(dst, j->src + ((size_t)iy * (size_t)j->cols + (size_t)ix) * j->ld,
                   n * sizeof *dst);
    }
}

static void gather_unit(void *context, int unit, int thread) {
    const gather_job *j = context;
    const wilor_kernels *t = j->r->kernels;
    size_t k = (size_t)(j->channels * j->taps);
    int pixels = j->out_rows * j->out_cols, first = unit * t->mr;
    int rows = pixels - first < t->mr ? pixels - first : t->mr;
    float *scratch = j->w->scratch + (size_t)thread * j->w->scratch_floats;
    const float *src = scratch;
    size_t ld = k;
    if (j->taps == 1) {
        src = j->src + (size_t)first * j->ld;
        ld = j->ld;
    } else {
        for (int i = 0; i < rows; i++)
            gather_taps(j, (first + i) / j->out_cols, (first + i) % j->out_cols,
                        scratch + (size_t)i * k);
    }
    t->pack_f32(src, ld, rows, t->mr, k, j->w->packed + (size_t)unit * k * (size_t)t->mr);
}

/* Outputs of one extent: all of them from a whole map, else the 2n - 1 that n pixels determine. */
static int grown(int n, int whole) { return n == whole ? 2 * n : 2 * n - 1; }

/* One parity's output pixels are a matrix; its rows then go to every second pixel of the map. */
static void upsample(const wilor_refine *r, wilor_refine_work *w, const wilor_upsample *u,
                     const wilor_map *in, wilor_map *out, wilor_threads *pool) {
    int mr = r->kernels->mr;
    out->rows = grown(in->rows, in->side);
    out->cols = grown(in->cols, in->side / 4 * 3);
    size_t channels = (size_t)u->outputs;
    for (int p = 0; p < WILOR_PARITIES; p++) {
        gather_job g = {.r = r,
                        .w = w,
                        .src = in->data,
                        .ld = (size_t)in->channels,
                        .rows = in->rows,
                        .cols = in->cols,
                        .channels = in->channels,
                        .row_parity = p / 2,
                        .column_parity = p % 2,
                        .out_rows = (out->rows + 1 - p / 2) / 2,
                        .out_cols = (out->cols + 1 - p % 2) / 2,
                        .taps = 4};
        if (g.out_rows == 0 || g.out_cols == 0)
            continue;
        int pixels = g.out_rows * g.out_cols;
        wilor_threads_run(pool, gather_unit, &g, wilor_panels(pixels, mr));
        wilor_gemm m = {.kernels = r->kernels,
                        .w = &u->parity[p],
                        .a = w->packed,
                        .groups = 1,
                        .rows = pixels,
                        .epilogue = w->mlx ? WILOR_EPILOGUE_STORE : WILOR_EPILOGUE_RELU,
                        .scale = u->scale,
                        .shift = u->shift,
                        .out = w->plane,
                        .ldo = channels,
                        .tiles = w->tiles,
                        .tile_stride = w->tile_stride};
        wilor_gemm_run(&m, pool);
        for (int i = 0; i < pixels; i++) {
            int y = i / g.out_cols * 2 + p / 2, x = i % g.out_cols * 2 + p % 2;
            memcpy(out->data + ((size_t)y * (size_t)out->cols + (size_t)x) * channels,
                   w->plane + (size_t)i * channels, channels * sizeof(float));
        }
    }
}

static void make_coarse(const wilor_refine *r, wilor_refine_work *w, const float *patches,
                        size_t ld, int patch_rows, int patch_cols, wilor_threads *pool) {
    wilor_map *coarse = &w->map[2];
    coarse->rows = patch_rows;
    coarse->cols = patch_cols;
    int pixels = patch_rows * patch_cols;
    gather_job g = {.r = r,
                    .w = w,
                    .src = patches,
                    .ld = ld,
                    .channels = r->width,
                    .out_rows = patch_rows,
                    .out_cols = patch_cols,
                    .taps = 1};
    wilor_threads_run(pool, gather_unit, &g, wilor_panels(pixels, r->kernels->mr));
    wilor_gemm m = {.kernels = r->kernels,
                    .w = &r->first,
                    .a = w->packed,
                    .groups = 1,
                    .rows = pixels,
                    .out = coarse->data,
                    .ldo = (size_t)coarse->channels,
                    .tiles = w->tiles,
                    .tile_stride = w->tile_stride};
    wilor_gemm_run(&m, pool);
}

static wilor_map half_map(const wilor_refine *r, const wilor_refine_work *w) {
    const wilor_map *middle = &w->map[1];
    return (wilor_map){w->half, middle->side, middle->side / 4 * 3, r->width / 4, middle->side};
}

void wilor_refine_maps(const wilor_refine *r, wilor_refine_work *w, const float *patches,
                       size_t ld, int patch_rows, int patch_cols, wilor_threads *pool) {
    wilor_map *fine = &w->map[0], *middle = &w->map[1], *coarse = &w->map[2];
    wilor_map half = half_map(r, w);
    make_coarse(r, w, patches, ld, patch_rows, patch_cols, pool);
    upsample(r, w, &r->middle, coarse, middle, pool);
    upsample(r, w, &r->fine0, coarse, &half, pool);
    upsample(r, w, &r->fine1, &half, fine, pool);
}

/* ---------------------------------------------------------------- maps as wilor-mlx has them */

typedef struct norm_job {
    const wilor_upsample *u;
    float *data; /* pixels of all hands × channels */
    size_t pixels;
} norm_job;

/* Up to NORM_CHUNK channels: their statistics in double, one pixel after the other, so that the
 * number of threads changes nothing; then norm and ReLU in place. */
static void norm_unit(void *context, int unit, int thread) {
    const norm_job *j = context;
    size_t ld = (size_t)j->u->outputs;
    int first = unit * NORM_CHUNK;
    int n = j->u->outputs - first < NORM_CHUNK ? j->u->outputs - first : NORM_CHUNK;
    double mean[NORM_CHUNK] = {0}, var[NORM_CHUNK] = {0};
    float middle[NORM_CHUNK], factor[NORM_CHUNK];
    float *data = j->data + first;
    (void)thread;
    for (size_t p = 0; p < j->pixels; p++)
        for (int c = 0; c < n; c++)
            mean[c] += data[p * ld + (size_t)c];
    for (int c = 0; c < n; c++)
        mean[c] /= (double)j->pixels;
    for (size_t p = 0; p < j->pixels; p++)
        for (int c = 0; c < n; c++) {
            double d = data[p * ld + (size_t)c] - mean[c];
            var[c] += d * d;
        }
    for (int c = 0; c < n; c++) {
        middle[c] = (float)mean[c];
        factor[c] = 1.0f / sqrtf((float)(var[c] / (double)j->pixels) + WILOR_REFINE_NORM_EPS);
    }
    for (size_t p = 0; p < j->pixels; p++)
        for (int c = 0; c < n; c++) {
            float *x = data + p * ld + (size_t)c;
            float y =
                (*x - middle[c]) * factor[c] * j->u->gamma[first + c] + j->u->beta[first + c];
            *x = y < 0.0f ? 0.0f : y; /* NaN stays */
        }
}

static void norm_hands(const wilor_upsample *u, float *data, size_t floats, int hands,
                       wilor_threads *pool) {
    norm_job j = {u, data, (size_t)hands * floats / (size_t)u->outputs};
    wilor_threads_run(pool, norm_unit, &j, wilor_panels(u->outputs, NORM_CHUNK));
}

void wilor_refine_maps_begin(const wilor_refine *r, wilor_refine_work *w, int hand,
                             const float *patches, size_t ld, wilor_threads *pool) {
    wilor_refine_choose(w, hand);
    wilor_map half = half_map(r, w);
    make_coarse(r, w, patches, ld, WILOR_GRID_ROWS, WILOR_GRID_COLS, pool);
    upsample(r, w, &r->middle, &w->map[2], &w->map[1], pool);
    upsample(r, w, &r->fine0, &w->map[2], &half, pool);
}

void wilor_refine_maps_end(const wilor_refine *r, wilor_refine_work *w, int n,
                           wilor_threads *pool) {
    norm_hands(&r->middle, w->all_maps[1], map_floats(&w->map[1]), n, pool);
    norm_hands(&r->fine0, w->all_half, half_floats(w), n, pool);
    for (int hand = 0; hand < n; hand++) {
        wilor_refine_choose(w, hand);
        wilor_map half = half_map(r, w);
        upsample(r, w, &r->fine1, &half, &w->map[0], pool);
    }
    norm_hands(&r->fine1, w->all_maps[0], map_floats(&w->map[0]), n, pool);
}

/* ---------------------------------------------------------------- sampling */

/* The four neighbours of a point: weights, and offsets into the map or -1 for zero. */
static void place(const wilor_map *m, const float *xy, float *weights, int32_t *corner) {
    float x0 = floorf(xy[0]), y0 = floorf(xy[1]);
    for (int i = 0; i < 4; i++) {
        float x = x0 + (float)(i % 2), y = y0 + (float)(i / 2);
        /* Of NaN and infinity: NaN, and zero times it is NaN as it should be. */
        weights[i] = (1.0f - fabsf(xy[0] - x)) * (1.0f - fabsf(xy[1] - y));
        bool inside = x >= 0.0f && x < (float)m->cols && y >= 0.0f && y < (float)m->rows;
        corner[i] = inside ? ((int)y * m->cols + (int)x) * m->channels : -1;
    }
}

/* NaN becomes 0, any pixel: its weights are NaN. */
static int nearest(float at, int count) {
    if (!(at > 0.0f))
        return 0;
    return at < (float)(count - 1) ? (int)at : count - 1;
}

/* As wilor-mlx: weights of the point where it is, neighbours moved into the map. */
static void place_clamped(const wilor_map *m, const float *xy, float *weights,
                          int32_t *corner) {
    float x0 = floorf(xy[0]), y0 = floorf(xy[1]);
    for (int i = 0; i < 4; i++) {
        float x = x0 + (float)(i % 2), y = y0 + (float)(i / 2);
        weights[i] = (1.0f - fabsf(xy[0] - x)) * (1.0f - fabsf(xy[1] - y));
        corner[i] = (nearest(y, m->rows) * m->cols + nearest(x, m->cols)) * m->channels;
    }
}

typedef struct sample_job {
    wilor_refine_work *w;
    const wilor_map *map;
    float *out;
} sample_job;

/* Maximum over the vertices of up to CHANNEL_CHUNK channels; NaN wins, as in PyTorch. */
static void sample_unit(void *context, int unit, int thread) {
    const sample_job *j = context;
    static const float zeros[CHANNEL_CHUNK] = {0};
    int first = unit * CHANNEL_CHUNK;
    int n = j->map->channels - first < CHANNEL_CHUNK ? j->map->channels - first : CHANNEL_CHUNK;
    float top[CHANNEL_CHUNK];
    (void)thread;
    for (int v = 0; v < j->w->vertices; v++) {
        const float *k = j->w->weights + 4 * v;
        const int32_t *at = j->w->corner + 4 * v;
        const float *p[4];
        for (int i = 0; i < 4; i++)
            p[i] = at[i] < 0 ? zeros : j->map->data + at[i] + first;
        for (int c = 0; c < n; c++) {
            float s = k[0] * p[0][c] + k[1] * p[1][c] + k[2] * p[2][c] + k[3] * p[3][c];
            top[c] = v == 0 || s > top[c] || s != s ? s : top[c];
        }
    }
    memcpy(j->out + first, top, (size_t)n * sizeof *top);
}

void wilor_refine_sample(wilor_refine_work *w, wilor_threads *pool) {
    void (*where)(const wilor_map *, const float *, float *, int32_t *) =
        w->mlx ? place_clamped : place;
    float *out = w->features;
    for (int i = 0; i < WILOR_MAPS; i++) {
        const wilor_map *m = &w->map[i];
        for (int v = 0; v < w->vertices; v++)
            where(m, w->xy + ((size_t)i * (size_t)w->vertices + (size_t)v) * 2,
                  w->weights + 4 * v, w->corner + 4 * v);
        sample_job job = {w, m, out};
        wilor_threads_run(pool, sample_unit, &job, wilor_panels(m->channels, CHANNEL_CHUNK));
        out += m->channels;
    }
}

void wilor_refine_decode(const wilor_refine *r, wilor_refine_work *w, float *pose6d,
                         float *betas, float *cam, wilor_threads *pool) {
    const wilor_linear *layers[3] = {&r->dec_pose, &r->dec_shape, &r->dec_cam};
    float *outs[3] = {pose6d, betas, cam};
    size_t k = (size_t)r->features;
    r->kernels->pack_f32(w->features, k, 1, r->kernels->mr, k, w->packed);
    for (int i = 0; i < 3; i++) {
        wilor_gemm g = {.kernels = r->kernels,
                        .w = layers[i],
                        .a = w->packed,
                        .groups = 1,
                        .rows = 1,
                        .epilogue = WILOR_EPILOGUE_ADD,
                        .out = outs[i],
                        .ldo = (size_t)layers[i]->n,
                        .tiles = w->tiles,
                        .tile_stride = w->tile_stride};
        wilor_gemm_run(&g, pool);
    }
}
