/* A pass through the backbone. Phases of a block: norm and pack; q, k, v; attention, which
 * packs its result; projection onto the residual stream; norm and pack; fc1 with GELU, which
 * packs its result; fc2 onto the residual stream. */
#include "vit.h"

#include "attention.h"

#include <string.h>

#define NORM_EPS 1e-6f

enum { LEAN_SIDE = 2, LEAN_ROWS = WILOR_LEAD + LEAN_SIDE * LEAN_SIDE };

/* ---------------------------------------------------------------- buffers */

static size_t panel_rows(const wilor_vit *v, int groups, int rows) {
    int mr = v->kernels->mr;
    return (size_t)groups * (size_t)wilor_panels(rows, mr) * (size_t)mr;
}

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

void wilor_vit_work_push(wilor_vit_work *w, const wilor_vit *v, int hands, int threads,
                         size_t hidden_floats, size_t scratch_floats, size_t room,
                         wilor_arena *arena) {
    size_t n = (size_t)hands, d = (size_t)v->width, m = (size_t)v->mlp, f = sizeof(float);
    size_t rows = panel_rows(v, hands, WILOR_TOKENS);
    int head_dim = v->width / v->heads;
    w->hands = hands;
    w->chosen_rows = hands * LEAN_ROWS > WILOR_TOKENS ? hands * LEAN_ROWS : WILOR_TOKENS;
    size_t chosen = (size_t)w->chosen_rows;
    /* A panel of rows waiting to be packed is the other use of a thread's scratch. */
    size_t row_floats = (size_t)v->kernels->mr * most(d, WILOR_PATCH_INPUTS);
    w->scratch_floats =
        most(wilor_attention_scratch(v->kernels, head_dim, WILOR_TOKENS), row_floats);
    w->scratch_floats =
        most((w->scratch_floats + 15) / 16 * 16, (scratch_floats + 15) / 16 * 16);
    w->x = wilor_arena_push(arena, n * WILOR_TOKENS * d, f);
    w->packed = wilor_arena_push(arena, rows * most(d, WILOR_PATCH_INPUTS), f);
    w->hidden = wilor_arena_push(arena, most(rows * m, hidden_floats), f);
    w->qkv = wilor_arena_push(arena, n * WILOR_TOKENS * 3 * d, f);
    w->chosen = wilor_arena_push(arena, chosen * d, f);
    w->query = wilor_arena_push(arena, chosen * d, f);
    w->tokens = wilor_arena_push(arena, chosen * d, f);
    w->tile_stride = WILOR_TILE_FLOATS + (room + 15) / 16 * 16;
    w->tiles = wilor_arena_push(arena, (size_t)threads * w->tile_stride, f);
    w->scratch = wilor_arena_push(arena, (size_t)threads * w->scratch_floats, f);
}

static void trace(const wilor_vit_work *w, const char *stage, int block, const float *data,
                  int mr, int rows, int cols) {
    if (w->trace)
        w->trace(w->trace_context, stage, block, data, mr, rows, cols);
}

/* ---------------------------------------------------------------- norm and pack */

typedef struct norm_job {
    const wilor_vit *v;
    wilor_vit_work *w;
    const float *x; /* groups × stride_rows × D; rows skip … of each group are taken */
    int stride_rows, skip, rows;
    const float *gamma, *beta;
    float *panels; /* or NULL: normalise to `out`, rows one after another */
    float *out;
} norm_job;

static void norm_unit(void *context, int unit, int thread) {
    const norm_job *j = context;
    const wilor_kernels *t = j->v->kernels;
    size_t d = (size_t)j->v->width;
    int per_group = wilor_panels(j->rows, t->mr);
    int group = unit / per_group, row = unit % per_group * t->mr;
    int rows = j->rows - row < t->mr ? j->rows - row : t->mr;
    const float *x = j->x + (size_t)(group * j->stride_rows + j->skip + row) * d;
    float *out = j->panels ? j->w->scratch + (size_t)thread * j->w->scratch_floats
                           : j->out + (size_t)(group * j->rows + row) * d;
    t->layernorm_f32(x, d, rows, d, j->gamma, j->beta, NORM_EPS, out, d);
    if (j->panels)
        t->pack_f32(out, d, rows, t->mr, d, j->panels + (size_t)unit * d * (size_t)t->mr);
}

static void run_norm(const norm_job *job, int groups, wilor_threads *pool) {
    norm_job j = *job;
    wilor_threads_run(pool, norm_unit, &j, groups * wilor_panels(j.rows, j.v->kernels->mr));
}

/* ---------------------------------------------------------------- input */

typedef struct patch_job {
    const wilor_vit *v;
    wilor_vit_work *w;
    const float *rgb;
} patch_job;

/* One patch: (channel, row, column) of 16 × 16 normalised pixels. The padding of 2 is zero
 * after the normalisation; columns are counted from 32 of the crop. */
static void gather_patch(const float *crop, int patch, float *dst) {
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};

    enum { SEEN = 192, SKIPPED = 32, PADDING = 2 };

    int y0 = patch / WILOR_GRID_COLS * WILOR_PATCH - PADDING;
    int x0 = patch % WILOR_GRID_COLS * WILOR_PATCH - PADDING;
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < WILOR_PATCH; i++)
            for (int j = 0; j < WILOR_PATCH; j++, dst++) {
                int y = y0 + i, x = x0 + j;
                if (y < 0 || y >= WILOR_CROP || x < 0 || x >= SEEN)
                    *dst = 0.0f;
                else
                    *dst = (crop[(y * WILOR_CROP + SKIPPED + x) * 3 + c] / 255.0f - mean[c]) /
                           std[c];
            }
}

static void patch_unit(void *context, int unit, int thread) {
    const patch_job *j = context;
    const wilor_kernels *t = j->v->kernels;
    int per_hand = wilor_panels(WILOR_PATCHES, t->mr);
    int hand = unit / per_hand, first = unit % per_hand * t->mr;
    int rows = WILOR_PATCHES - first < t->mr ? WILOR_PATCHES - first : t->mr;
    const float *crop = j->rgb + (size_t)hand * WILOR_CROP * WILOR_CROP * 3;
    float *dst = j->w->scratch + (size_t)thread * j->w->scratch_floats;
    size_t d = (size_t)j->v->width;
    for (int r = 0; r < rows; r++) {
        gather_patch(crop, first + r, dst + (size_t)r * WILOR_PATCH_INPUTS);
        /* The product is added to the position. */
        memcpy(j->w->x + ((size_t)hand * WILOR_TOKENS + WILOR_LEAD + (size_t)(first + r)) * d,
               j->v->position + (size_t)(first + r) * d, d * sizeof(float));
    }
    if (first == 0)
        memcpy(j->w->x + (size_t)hand * WILOR_TOKENS * d, j->v->lead,
               WILOR_LEAD * d * sizeof(float));
    t->pack_f32(dst, WILOR_PATCH_INPUTS, rows, t->mr, WILOR_PATCH_INPUTS,
                j->w->packed + (size_t)unit * WILOR_PATCH_INPUTS * (size_t)t->mr);
}

static void embed(const wilor_vit *v, wilor_vit_work *w, const float *rgb, int n,
                  wilor_threads *pool) {
    size_t d = (size_t)v->width;
    patch_job job = {v, w, rgb};
    wilor_threads_run(pool, patch_unit, &job, n * wilor_panels(WILOR_PATCHES, v->kernels->mr));
    wilor_gemm g = {.kernels = v->kernels,
                    .w = &v->patch,
                    .a = w->packed,
                    .groups = n,
                    .rows = WILOR_PATCHES,
                    .epilogue = WILOR_EPILOGUE_ADD,
                    .out = w->x + WILOR_LEAD * d,
                    .ldo = d,
                    .group_stride = WILOR_TOKENS * d,
                    .tiles = w->tiles,
                    .tile_stride = w->tile_stride};
    wilor_gemm_run(&g, pool);
    trace(w, "tokens_in", 0, w->x, 0, n * WILOR_TOKENS, v->width);
}

/* ---------------------------------------------------------------- blocks */

/* q, k, v of all rows; in the first block those of the leading tokens are constants. */
static void first_qkv(const wilor_vit *v, wilor_vit_work *w, int n, wilor_threads *pool) {
    size_t d = (size_t)v->width, row = 3 * d;
    const wilor_block *b = &v->blocks[0];
    norm_job norm = {v,
                     w,
                     w->x,
                     WILOR_TOKENS,
                     WILOR_LEAD,
                     WILOR_PATCHES,
                     b->norm1_gamma,
                     b->norm1_beta,
                     w->packed,
                     NULL};
    run_norm(&norm, n, pool);
    for (int hand = 0; hand < n; hand++)
        memcpy(w->qkv + (size_t)hand * WILOR_TOKENS * row, v->lead_qkv,
               WILOR_LEAD * row * sizeof(float));
    wilor_gemm g = {.kernels = v->kernels,
                    .w = &b->qkv,
                    .a = w->packed,
                    .groups = n,
                    .rows = WILOR_PATCHES,
                    .out = w->qkv + WILOR_LEAD * row,
                    .ldo = row,
                    .group_stride = WILOR_TOKENS * row,
                    .tiles = w->tiles,
                    .tile_stride = w->tile_stride};
    wilor_gemm_run(&g, pool);
}

static void norm_rows(const wilor_vit *v, wilor_vit_work *w, int block, int n,
                      wilor_threads *pool) {
    const wilor_block *b = &v->blocks[block];
    norm_job norm = {
        v,         w,   w->x, WILOR_TOKENS, 0, WILOR_TOKENS, b->norm1_gamma, b->norm1_beta,
        w->packed, NULL};
    run_norm(&norm, n, pool);
    trace(w, "norm1", block, w->packed, v->kernels->mr, n * WILOR_TOKENS, v->width);
}

static void all_qkv(const wilor_vit *v, wilor_vit_work *w, int block, int n, int panel_begin,
                    wilor_threads *pool) {
    size_t row = 3 * (size_t)v->width;
    const wilor_linear *qkv = &v->blocks[block].qkv;
    wilor_gemm g = {.kernels = v->kernels,
                    .w = qkv,
                    .a = w->packed,
                    .groups = n,
                    .rows = WILOR_TOKENS,
                    .out = w->qkv,
                    .ldo = row,
                    .group_stride = WILOR_TOKENS * row,
                    .tiles = w->tiles,
                    .tile_stride = w->tile_stride,
                    .panel_begin = panel_begin,
                    .panel_end = wilor_panels(qkv->n, v->kernels->nr)};
    wilor_gemm_run(&g, pool);
}

/* From attention's packed result on: projection, norm, MLP. rows of x in groups. */
static void finish_block(const wilor_vit *v, wilor_vit_work *w, int block, float *x, int groups,
                         int rows, wilor_threads *pool) {
    const wilor_block *b = &v->blocks[block];
    size_t d = (size_t)v->width;
    int mr = v->kernels->mr;
    wilor_gemm proj = {.kernels = v->kernels,
                       .w = &b->proj,
                       .a = w->packed,
                       .groups = groups,
                       .rows = rows,
                       .epilogue = WILOR_EPILOGUE_ADD,
                       .out = x,
                       .ldo = d,
                       .group_stride = (size_t)rows * d,
                       .tiles = w->tiles,
                       .tile_stride = w->tile_stride};
    trace(w, "attn_out", block, w->packed, mr, groups * rows, v->width);
    wilor_gemm_run(&proj, pool);
    norm_job norm = {v, w, x, rows, 0, rows, b->norm2_gamma, b->norm2_beta, w->packed, NULL};
    run_norm(&norm, groups, pool);
    trace(w, "norm2", block, w->packed, mr, groups * rows, v->width);
    wilor_gemm fc1 = proj;
    fc1.w = &b->fc1;
    fc1.epilogue = WILOR_EPILOGUE_GELU_PACK;
    fc1.out = w->hidden;
    wilor_gemm_run(&fc1, pool);
    trace(w, "gelu", block, w->hidden, mr, groups * rows, v->mlp);
    wilor_gemm fc2 = proj;
    fc2.w = &b->fc2;
    fc2.a = w->hidden;
    wilor_gemm_run(&fc2, pool);
    trace(w, "block", block, x, 0, groups * rows, v->width);
}

static wilor_attention attention_of(const wilor_vit *v, const wilor_vit_work *w, int n) {
    size_t d = (size_t)v->width;
    int mr = v->kernels->mr;
    return (wilor_attention){.kernels = v->kernels,
                             .hands = n,
                             .heads = v->heads,
                             .head_dim = v->width / v->heads,
                             .queries = WILOR_TOKENS,
                             .keys = WILOR_TOKENS,
                             .q = w->qkv,
                             .ldq = 3 * d,
                             .k = w->qkv + d,
                             .v = w->qkv + 2 * d,
                             .ldkv = 3 * d,
                             .out = w->packed,
                             .out_rows = wilor_panels(WILOR_TOKENS, mr) * mr,
                             .scratch = w->scratch,
                             .scratch_stride = w->scratch_floats};
}

void wilor_vit_run(const wilor_vit *v, wilor_vit_work *w, const float *rgb, int n,
                   wilor_threads *pool) {
    embed(v, w, rgb, n, pool);
    for (int i = 0; i + 1 < v->depth; i++) {
        if (i == 0 && !w->trace) {
            first_qkv(v, w, n, pool);
        } else {
            norm_rows(v, w, i, n, pool);
            all_qkv(v, w, i, n, 0, pool);
        }
        trace(w, "qkv", i, w->qkv, 0, n * WILOR_TOKENS, 3 * v->width);
        wilor_attention a = attention_of(v, w, n);
        wilor_attention_run(&a, pool);
        finish_block(v, w, i, w->x, n, WILOR_TOKENS, pool);
    }
    /* The last block: keys and values only; a panel that straddles queries and keys is
     * computed. */
    norm_rows(v, w, v->depth - 1, n, pool);
    all_qkv(v, w, v->depth - 1, n, v->width / v->kernels->nr, pool);
}

/* ---------------------------------------------------------------- the chosen rows of the last
 * block */

static void choose_rows(const wilor_vit *v, wilor_vit_work *w, int first, int n, int patch_rows,
                        int patch_cols) {
    size_t bytes = (size_t)v->width * sizeof(float), d = (size_t)v->width;
    float *dst = w->chosen;
    for (int hand = first; hand < first + n; hand++) {
        const float *x = w->x + (size_t)hand * WILOR_TOKENS * d;
        memcpy(dst, x, WILOR_LEAD * bytes);
        dst += WILOR_LEAD * d;
        for (int r = 0; r < patch_rows; r++, dst += (size_t)patch_cols * d)
            memcpy(dst, x + (size_t)(WILOR_LEAD + r * WILOR_GRID_COLS) * d,
                   (size_t)patch_cols * bytes);
    }
}

void wilor_vit_tail(const wilor_vit *v, wilor_vit_work *w, int first, int n, int patch_rows,
                    int patch_cols, wilor_threads *pool) {
    size_t d = (size_t)v->width;
    int last = v->depth - 1, each = WILOR_LEAD + patch_rows * patch_cols, rows = n * each;
    const wilor_block *b = &v->blocks[last];
    choose_rows(v, w, first, n, patch_rows, patch_cols);
    norm_job norm = {v,         w,   w->chosen, rows, 0, rows, b->norm1_gamma, b->norm1_beta,
                     w->packed, NULL};
    run_norm(&norm, 1, pool);
    wilor_gemm q = {.kernels = v->kernels,
                    .w = &b->qkv,
                    .a = w->packed,
                    .groups = 1,
                    .rows = rows,
                    .out = w->query,
                    .ldo = d,
                    .tiles = w->tiles,
                    .tile_stride = w->tile_stride,
                    .columns = v->width};
    wilor_gemm_run(&q, pool);
    wilor_attention a = attention_of(v, w, n);
    a.queries = each;
    a.q = w->query;
    a.ldq = d;
    a.k += (size_t)first * WILOR_TOKENS * 3 * d;
    a.v += (size_t)first * WILOR_TOKENS * 3 * d;
    a.out_rows = each;
    wilor_attention_run(&a, pool);
    finish_block(v, w, last, w->chosen, 1, rows, pool);
    norm_job end = {v,    w,        w->chosen, rows, 0, rows, v->last_gamma, v->last_beta,
                    NULL, w->tokens};
    run_norm(&end, 1, pool);
    trace(w, "tokens_out", last, w->tokens, 0, rows, v->width);
}

/* ---------------------------------------------------------------- heads */

/* `count` rows of n hands' tokens, from row `skip` of each, through a small layer. */
static void decode(const wilor_vit *v, wilor_vit_work *w, const wilor_linear *layer, int n,
                   int rows, int skip, int count, const float *init, float *out,
                   wilor_threads *pool) {
    const wilor_kernels *t = v->kernels;
    size_t d = (size_t)v->width, each = (size_t)(count * layer->n);
    int panels = wilor_panels(count, t->mr);
    for (int hand = 0; hand < n; hand++) {
        memcpy(out + (size_t)hand * each, init, each * sizeof(float));
        for (int p = 0; p < panels; p++) {
            int left = count - p * t->mr < t->mr ? count - p * t->mr : t->mr;
            t->pack_f32(w->tokens + (size_t)(hand * rows + skip + p * t->mr) * d, d, left,
                        t->mr, d, w->packed + (size_t)(hand * panels + p) * d * (size_t)t->mr);
        }
    }
    wilor_gemm g = {.kernels = t,
                    .w = layer,
                    .a = w->packed,
                    .groups = n,
                    .rows = count,
                    .epilogue = WILOR_EPILOGUE_ADD,
                    .out = out,
                    .ldo = (size_t)layer->n,
                    .group_stride = each,
                    .tiles = w->tiles,
                    .tile_stride = w->tile_stride};
    wilor_gemm_run(&g, pool);
}

void wilor_vit_read_out(const wilor_vit *v, wilor_vit_work *w, int n, int rows, float *pose6d,
                        float *betas, float *cam, wilor_threads *pool) {
    int shape = WILOR_POSE_TOKENS, camera = WILOR_POSE_TOKENS + 1;
    decode(v, w, &v->decpose, n, rows, 0, WILOR_POSE_TOKENS, v->init_pose, pose6d, pool);
    decode(v, w, &v->decshape, n, rows, shape, 1, v->init_betas, betas, pool);
    decode(v, w, &v->deccam, n, rows, camera, 1, v->init_cam, cam, pool);
}

/* ---------------------------------------------------------------- constants of the model */

void wilor_vit_prepare(wilor_vit *v, wilor_vit_work *w, wilor_threads *pool) {
    size_t row = 3 * (size_t)v->width;
    const wilor_block *b = &v->blocks[0];
    norm_job norm = {v,         w,          v->lead,        WILOR_LEAD,
                     0,         WILOR_LEAD, b->norm1_gamma, b->norm1_beta,
                     w->packed, NULL};
    run_norm(&norm, 1, pool);
    wilor_gemm g = {.kernels = v->kernels,
                    .w = &b->qkv,
                    .a = w->packed,
                    .groups = 1,
                    .rows = WILOR_LEAD,
                    .out = v->lead_qkv,
                    .ldo = row,
                    .tiles = w->tiles,
                    .tile_stride = w->tile_stride};
    wilor_gemm_run(&g, pool);
}
