/* A pass through the backbone. Phases of a block:
 *   1  norm, put as activations; before it what the last block's fc2 left in parts is added
 *   2  keys, values and queries, head by head
 *   3  attention, put
 *   4  projection onto the residual stream
 *   5  norm, put
 *   6  fc1 and GELU, put
 *   7  fc2 onto the residual stream, or slice by slice into parts
 * Where activations are whole numbers, whose scale depends on the whole row, phases 3 and 6 leave
 * float32 rows and another phase puts them. */
#include "vit.h"

#include "attention.h"

#include <math.h>
#include <string.h>

#define NORM_EPS 1e-6f

enum { LEAN_SIDE = 2, LEAN_ROWS = WILOR_LEAD + LEAN_SIDE * LEAN_SIDE };

/* ---------------------------------------------------------------- buffers */

static size_t panel_rows(const wilor_vit *v, int groups, int rows) {
    int mr = v->kernels->mr;
    return (size_t)groups * (size_t)wilor_panels(rows, mr) * (size_t)mr;
}

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

/* Rows reach their activations whole, through w->staged: attention's where a unit's rows are no whole
 * number of steps, both where the scale needs all of a row. */
static bool stages_hidden(const wilor_dot *d) { return d->tops != NULL; }

static bool stages_attention(const wilor_dot *d) {
    return !wilor_dot_is_plain(d) && (d->tops || d->row_step > 1);
}

/* Bytes of a thread's scratch for a head: its attention's, its result. */
static size_t attention_floats(const wilor_vit *v) {
    size_t dim = (size_t)(v->width / v->heads);
    size_t own = v->dot->attend
                     ? (v->dot->attend_bytes(WILOR_TOKENS, (int)dim) + 3) / sizeof(float)
                     : wilor_attention_scratch(v->kernels, (int)dim, WILOR_TOKENS);
    return (own + 15) / 16 * 16 + WILOR_TOKENS * dim;
}

void wilor_vit_work_push(wilor_vit_work *w, const wilor_vit *v, int hands, int threads,
                         size_t packed_floats, size_t scratch_floats, size_t room,
                         wilor_arena *arena) {
    size_t n = (size_t)hands, d = (size_t)v->width, m = (size_t)v->mlp, f = sizeof(float);
    int rows = hands * WILOR_TOKENS, mr = v->dot->mr;
    w->hands = hands;
    w->chosen_rows = hands * LEAN_ROWS > WILOR_TOKENS ? hands * LEAN_ROWS : WILOR_TOKENS;
    size_t chosen = (size_t)w->chosen_rows;
    /* Rows waiting to be put or packed are the other use of a thread's scratch. */
    size_t row_floats = (size_t)v->kernels->mr * most(d, WILOR_PATCH_INPUTS);
    row_floats = most(row_floats, (size_t)wilor_acts_step(v->dot) * d);
    w->scratch_floats = most(attention_floats(v), most(row_floats, scratch_floats));
    w->scratch_floats = (w->scratch_floats + 15) / 16 * 16;
    w->x = wilor_arena_push(arena, n * WILOR_TOKENS * d, f);
    wilor_acts_push(&w->normed, v->dot, rows, v->width, 1, arena);
    wilor_acts_push(&w->attended, v->dot, rows, v->width, 1, arena);
    /* hidden, and what borrows its memory. */
    wilor_arena measure;
    int slices = v->blocks[0].fc2.slices;
    wilor_arena_begin(&measure, NULL, 0);
    wilor_acts_push(&w->hidden, v->dot, rows, v->mlp, slices, &measure);
    size_t tokens = panel_rows(v, hands, WILOR_POSE_TOKENS) * d;
    size_t floats = most(panel_rows(v, hands, WILOR_PATCHES) * WILOR_PATCH_INPUTS, tokens);
    floats = most(floats, most(packed_floats, (wilor_acts_bytes(&w->hidden) + 3) / 4));
    w->packed = wilor_arena_push(arena, floats, f);
    w->hidden.panels = (uint8_t *)w->packed;
    w->staged = NULL;
    if (stages_attention(v->dot) || stages_hidden(v->dot))
        w->staged = wilor_arena_push(
            arena, n * WILOR_TOKENS * (stages_hidden(v->dot) ? most(d, m) : d), f);
    w->part = NULL;
    w->part_floats = (size_t)(wilor_panels(rows, mr) * mr) * d;
    if (v->dot->split && slices > 1)
        w->part = wilor_arena_push(arena, (size_t)slices * w->part_floats, f);
    w->part_bias = NULL;
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

static void trace_acts(const wilor_vit_work *w, const char *stage, int block,
                       const wilor_acts *a, int rows) {
    if (a->dot->arith == WILOR_ARITH_F32)
        trace(w, stage, block, (const float *)(const void *)a->panels,
              a->dot->block ? 0 : a->dot->mr, rows, a->k);
}

static wilor_span start_phase(const wilor_vit_work *w, const wilor_threads *pool) {
    return wilor_span_begin(pool, w->profile);
}

static void end_phase(wilor_vit_work *w, wilor_phase phase, const wilor_threads *pool,
                      wilor_span s) {
    wilor_span_end(&w->phase[phase], s, pool, w->profile);
}

static void run_phase(wilor_vit_work *w, wilor_phase phase, wilor_threads *pool,
                      wilor_unit_fn fn, void *job, int units) {
    wilor_span s = start_phase(w, pool);
    wilor_threads_run(pool, fn, job, units);
    end_phase(w, phase, pool, s);
}

static void run_product(wilor_vit_work *w, wilor_phase phase, const wilor_product *p,
                        wilor_threads *pool) {
    wilor_span s = start_phase(w, pool);
    wilor_product_run(p, pool);
    end_phase(w, phase, pool, s);
}

static float *scratch_of(const wilor_vit_work *w, int thread) {
    return w->scratch + (size_t)thread * w->scratch_floats;
}

/* ---------------------------------------------------------------- norm and put */

typedef struct norm_job {
    const wilor_vit *v;
    wilor_vit_work *w;
    float *x; /* rows × D */
    int rows;
    const float *gamma, *beta;
    const wilor_acts *acts; /* or NULL: normalise to `out` */
    float *out;
    const float *part_bias; /* NULL, or add the parts and this to x first */
} norm_job;

static void add_parts(const norm_job *j, int row, int rows) {
    const wilor_vit_work *w = j->w;
    size_t d = (size_t)j->v->width;
    for (size_t r = (size_t)row; r < (size_t)(row + rows); r++)
        j->v->kernels->add_parts_f32(w->part + r * d, w->part_floats, w->hidden.slices, d,
                                     j->part_bias, j->x + r * d);
}

static void norm_unit(void *context, int unit, int thread) {
    const norm_job *j = context;
    size_t d = (size_t)j->v->width;
    int step = wilor_acts_step(j->v->dot), row = unit * step;
    int rows = j->rows - row < step ? j->rows - row : step;
    if (j->part_bias)
        add_parts(j, row, rows);
    float *out = j->acts ? scratch_of(j->w, thread) : j->out + (size_t)row * d;
    j->v->kernels->layernorm_f32(j->x + (size_t)row * d, d, rows, d, j->gamma, j->beta,
                                 NORM_EPS, out, d);
    if (j->acts)
        wilor_acts_put(j->acts, out, d, row, rows, 0, j->v->width);
}

static void run_norm(const norm_job *job, wilor_threads *pool) {
    norm_job j = *job;
    j.part_bias = j.w->part_bias;
    j.w->part_bias = NULL;
    run_phase(j.w, WILOR_PHASE_NORM, pool, norm_unit, &j,
              wilor_panels(j.rows, wilor_acts_step(j.v->dot)));
}

/* Only what norm_unit does first; for tests that look at x. */
static void settle_unit(void *context, int row, int thread) {
    (void)thread;
    add_parts(context, row, 1);
}

static void settle(const wilor_vit *v, wilor_vit_work *w, float *x, int rows,
                   wilor_threads *pool) {
    norm_job j = {.v = v, .w = w, .x = x, .part_bias = w->part_bias};
    if (j.part_bias)
        wilor_threads_run(pool, settle_unit, &j, rows);
    w->part_bias = NULL;
}

/* Rows that were left in float32. */
typedef struct put_job {
    const wilor_acts *to;
    const float *rows;
    int count;
} put_job;

/* A unit is some rows of one slice. */
static void put_unit(void *context, int unit, int thread) {
    const put_job *j = context;
    int step = wilor_acts_step(j->to->dot), part = j->to->k / j->to->slices;
    int row = unit / j->to->slices * step, col = unit % j->to->slices * part;
    int rows = j->count - row < step ? j->count - row : step;
    (void)thread;
    wilor_acts_put(j->to, j->rows + (size_t)row * (size_t)j->to->k + col, (size_t)j->to->k, row,
                   rows, col, part);
}

static void put_staged(wilor_vit_work *w, const wilor_acts *to, int rows, wilor_threads *pool) {
    put_job j = {to, w->staged, rows};
    run_phase(w, WILOR_PHASE_PUT, pool, put_unit, &j,
              wilor_panels(rows, wilor_acts_step(to->dot)) * to->slices);
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
    int left = x0 < 0 ? -x0 : 0, right = x0 + WILOR_PATCH <= SEEN ? WILOR_PATCH : SEEN - x0;
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < WILOR_PATCH; i++, dst += WILOR_PATCH) {
            int y = y0 + i;
            bool inside = y >= 0 && y < WILOR_CROP;
            if (left > 0 || right < WILOR_PATCH || !inside)
                memset(dst, 0, WILOR_PATCH * sizeof *dst);
            if (!inside)
                continue;
            const float *row = crop + (y * WILOR_CROP + SKIPPED + x0) * 3 + c;
            float m = mean[c], s = std[c];
            for (int j = left; j < right; j++)
                dst[j] = (row[3 * j] / 255.0f - m) / s;
        }
}

static void patch_unit(void *context, int unit, int thread) {
    const patch_job *j = context;
    const wilor_kernels *t = j->v->kernels;
    int per_hand = wilor_panels(WILOR_PATCHES, t->mr);
    int hand = unit / per_hand, first = unit % per_hand * t->mr;
    int rows = WILOR_PATCHES - first < t->mr ? WILOR_PATCHES - first : t->mr;
    const float *crop = j->rgb + (size_t)hand * WILOR_CROP * WILOR_CROP * 3;
    float *dst = scratch_of(j->w, thread);
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

/* ---------------------------------------------------------------- heads of a block */

/* A head's rows of keys, values and queries. */
static float *head_rows(const wilor_vit *v, const wilor_vit_work *w, int head, int hand) {
    size_t wide = 3 * (size_t)(v->width / v->heads);
    return w->qkv + ((size_t)head * (size_t)w->hands + (size_t)hand) * WILOR_TOKENS * wide;
}

/* Attention of one head of one hand; its result goes to rows first_row … of `attended`. */
static void attend(const wilor_vit *v, wilor_vit_work *w, int head, int hand, const float *q,
                   size_t ldq, int queries, int first_row, int thread) {
    const wilor_dot *dot = v->dot;
    int dim = v->width / v->heads, column = head * dim;
    size_t wide = 3 * (size_t)dim;
    float *rows = scratch_of(w, thread), *scratch = rows + WILOR_TOKENS * dim;
    const float *k = head_rows(v, w, head, hand);
    size_t ldo = (size_t)dim;
    if (stages_attention(dot)) {
        rows = w->staged + (size_t)first_row * (size_t)v->width + column;
        ldo = (size_t)v->width;
    }
    if (dot->attend) {
        wilor_dot_attention a = {.q = q,
                                 .k = k,
                                 .v = k + dim,
                                 .ldq = ldq,
                                 .ldkv = wide,
                                 .queries = queries,
                                 .keys = WILOR_TOKENS,
                                 .head_dim = dim,
                                 .scale = 1.0f / sqrtf((float)dim),
                                 .out = rows,
                                 .ldo = ldo,
                                 .scratch = scratch};
        dot->attend(dot, &a);
    } else {
        bool panels = wilor_dot_is_plain(dot);
        wilor_attention a = {.kernels = v->kernels,
                             .head_dim = dim,
                             .queries = queries,
                             .keys = WILOR_TOKENS,
                             .q = q,
                             .k = k,
                             .v = k + dim,
                             .ldq = ldq,
                             .ldkv = wide,
                             .scratch = scratch,
                             .out = rows,
                             .ldo = ldo,
                             .panels = panels ? (float *)(void *)w->attended.panels : NULL,
                             .first_row = first_row,
                             .column = column,
                             .width = v->width};
        wilor_attention_run(&a);
        if (panels)
            return;
    }
    if (!stages_attention(dot))
        wilor_acts_put(&w->attended, rows, ldo, first_row, queries, column, dim);
}

/* Attention of all heads of some hands. A unit is half of a hand's queries for one head, or with one thread all
 * of them: more pieces would pack its keys and values more often. A query's numbers are the same in any piece. */
typedef struct attention_job {
    const wilor_vit *v;
    wilor_vit_work *w;
    int first, hands, each; /* hands; queries of each */
    const float *q;         /* NULL: those of all tokens, beside the keys; or rows of D */
    int pieces;
} attention_job;

enum { PIECES = 2, LEAST_PIECE = 64 };

static int attention_pieces(const attention_job *j, const wilor_threads *pool) {
    return j->each > LEAST_PIECE && wilor_threads_count(pool) > 1 ? PIECES : 1;
}

static void attention_unit(void *context, int unit, int thread) {
    const attention_job *j = context;
    const wilor_vit *v = j->v;
    int pieces = j->pieces, dim = v->width / v->heads;
    int piece = unit % pieces, hand = unit / pieces % j->hands, head = unit / pieces / j->hands;
    /* Whole strips of queries but for the last. */
    int strip = v->dot->nr, strips = wilor_panels(j->each, strip);
    int from = strips * piece / pieces * strip, to = strips * (piece + 1) / pieces * strip;
    to = to < j->each ? to : j->each;
    size_t ldq = j->q ? (size_t)v->width : 3 * (size_t)dim;
    const float *q = j->q ? j->q + (size_t)(hand * j->each) * ldq + head * dim
                          : head_rows(v, j->w, head, j->first + hand) + 2 * dim;
    if (v->dot->begin)
        v->dot->begin();
    attend(v, j->w, head, j->first + hand, q + (size_t)from * ldq, ldq, to - from,
           hand * j->each + from, thread);
}

static void run_attention(attention_job *j, wilor_threads *pool) {
    const wilor_vit *v = j->v;
    j->pieces = attention_pieces(j, pool);
    run_phase(j->w, WILOR_PHASE_ATTENTION, pool, attention_unit, j,
              v->heads * j->hands * j->pieces);
    if (stages_attention(v->dot))
        put_staged(j->w, &j->w->attended, j->hands * j->each, pool);
}

/* Keys, values and queries of all rows, head by head. */
static void run_qkv(const wilor_vit *v, wilor_vit_work *w, int block, int rows,
                    wilor_threads *pool) {
    size_t wide = 3 * (size_t)(v->width / v->heads);
    wilor_product p = {.w = &v->blocks[block].qkv,
                       .a = &w->normed,
                       .rows = rows,
                       .finish = WILOR_FINISH_HEADS,
                       .out = w->qkv,
                       .ldo = wide,
                       .head_floats = (size_t)w->hands * WILOR_TOKENS * wide,
                       .room = (uint8_t *)w->tiles,
                       .room_bytes = w->tile_stride * sizeof(float)};
    run_product(w, WILOR_PHASE_QKV, &p, pool);
}

/* For tests: rows of all queries, all keys, all values, in hidden's memory. */
static void trace_qkv(const wilor_vit *v, wilor_vit_work *w, int block, int n) {
    size_t dim = (size_t)(v->width / v->heads), d = (size_t)v->width;
    if (!w->trace || 3 * v->width > v->mlp || v->dot->arith != WILOR_ARITH_F32)
        return;
    for (int head = 0; head < v->heads; head++)
        for (size_t r = 0; r < (size_t)n * WILOR_TOKENS; r++) {
            const float *from = head_rows(v, w, head, 0) + r * 3 * dim;
            float *to = w->packed + r * 3 * d + (size_t)head * dim;
            memcpy(to, from + 2 * dim, dim * sizeof *to);
            memcpy(to + d, from, dim * sizeof *to);
            memcpy(to + 2 * d, from + dim, dim * sizeof *to);
        }
    trace(w, "qkv", block, w->packed, 0, n * WILOR_TOKENS, 3 * v->width);
}

/* ---------------------------------------------------------------- blocks */

/* The calling thread's: it goes back to others' code. The pool's own keep what they set up. */
static void lay_down(const wilor_vit *v) {
    if (v->dot->end)
        v->dot->end();
}

static void norm_rows(const wilor_vit *v, wilor_vit_work *w, float *x, int rows,
                      const float *gamma, const float *beta, wilor_threads *pool) {
    norm_job j = {
        .v = v, .w = w, .x = x, .rows = rows, .gamma = gamma, .beta = beta, .acts = &w->normed};
    run_norm(&j, pool);
}

/* From attention's result on: projection, norm, MLP. rows of x. */
static void finish_block(const wilor_vit *v, wilor_vit_work *w, int block, float *x, int rows,
                         wilor_threads *pool) {
    const wilor_block *b = &v->blocks[block];
    size_t d = (size_t)v->width;
    wilor_product proj = {.w = &b->proj,
                          .a = &w->attended,
                          .rows = rows,
                          .finish = WILOR_FINISH_ADD,
                          .out = x,
                          .ldo = d,
                          .room = (uint8_t *)w->tiles,
                          .room_bytes = w->tile_stride * sizeof(float)};
    trace_acts(w, "attn_out", block, &w->attended, rows);
    run_product(w, WILOR_PHASE_PROJ, &proj, pool);
    norm_rows(v, w, x, rows, b->norm2_gamma, b->norm2_beta, pool);
    trace_acts(w, "norm2", block, &w->normed, rows);
    wilor_product fc1 = proj;
    fc1.w = &b->fc1;
    fc1.a = &w->normed;
    fc1.finish = WILOR_FINISH_GELU;
    fc1.next = stages_hidden(v->dot) ? NULL : &w->hidden;
    fc1.out = stages_hidden(v->dot) ? w->staged : NULL;
    fc1.ldo = (size_t)v->mlp;
    run_product(w, WILOR_PHASE_FC1, &fc1, pool);
    if (stages_hidden(v->dot))
        put_staged(w, &w->hidden, rows, pool);
    trace_acts(w, "gelu", block, &w->hidden, rows);
    wilor_product fc2 = proj;
    fc2.w = &b->fc2;
    fc2.a = &w->hidden;
    if (w->part) {
        fc2.finish = WILOR_FINISH_PART;
        fc2.out = w->part;
        fc2.slice_floats = w->part_floats;
        w->part_bias = b->fc2.w.bias;
    }
    run_product(w, WILOR_PHASE_FC2, &fc2, pool);
    if (w->trace)
        settle(v, w, x, rows, pool);
    trace(w, "block", block, x, 0, rows, v->width);
}

void wilor_vit_run(const wilor_vit *v, wilor_vit_work *w, const float *rgb, int n,
                   wilor_threads *pool) {
    int rows = n * WILOR_TOKENS;
    w->part_bias = NULL;
    memset(w->phase, 0, sizeof w->phase);
    wilor_span s = start_phase(w, pool);
    embed(v, w, rgb, n, pool);
    end_phase(w, WILOR_PHASE_EMBED, pool, s);
    for (int i = 0; i < v->depth; i++) {
        const wilor_block *b = &v->blocks[i];
        norm_rows(v, w, w->x, rows, b->norm1_gamma, b->norm1_beta, pool);
        trace_acts(w, "norm1", i, &w->normed, rows);
        run_qkv(v, w, i, rows, pool);
        trace_qkv(v, w, i, n);
        if (i + 1 == v->depth)
            break; /* its chosen rows are another function's */
        attention_job a = {.v = v, .w = w, .hands = n, .each = WILOR_TOKENS};
        run_attention(&a, pool);
        finish_block(v, w, i, w->x, rows, pool);
    }
    lay_down(v);
}

/* ---------------------------------------------------------------- the chosen rows of the last
 * block */

/* Of a hand's rows, ldo numbers wide of which d count: the leading ones, then the chosen patches'. */
static void choose(const float *rows, size_t ld, size_t d, int patch_rows, int patch_cols,
                   float *to, size_t ldo) {
    for (int i = 0; i < WILOR_LEAD; i++, to += ldo)
        memcpy(to, rows + (size_t)i * ld, d * sizeof *to);
    for (int r = 0; r < patch_rows; r++)
        for (int c = 0; c < patch_cols; c++, to += ldo)
            memcpy(to, rows + (size_t)(WILOR_LEAD + r * WILOR_GRID_COLS + c) * ld,
                   d * sizeof *to);
}

void wilor_vit_tail(const wilor_vit *v, wilor_vit_work *w, int first, int n, int patch_rows,
                    int patch_cols, wilor_threads *pool) {
    size_t d = (size_t)v->width, dim = d / (size_t)v->heads;
    int last = v->depth - 1, each = WILOR_LEAD + patch_rows * patch_cols, rows = n * each;
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)(i * each) * d;
        choose(w->x + (size_t)(first + i) * WILOR_TOKENS * d, d, d, patch_rows, patch_cols,
               w->chosen + at, d);
        for (int head = 0; head < v->heads; head++)
            choose(head_rows(v, w, head, first + i) + 2 * dim, 3 * dim, dim, patch_rows,
                   patch_cols, w->query + at + (size_t)head * dim, d);
    }
    attention_job a = {.v = v, .w = w, .first = first, .hands = n, .each = each, .q = w->query};
    run_attention(&a, pool);
    finish_block(v, w, last, w->chosen, rows, pool);
    norm_job end = {.v = v,
                    .w = w,
                    .x = w->chosen,
                    .rows = rows,
                    .gamma = v->last_gamma,
                    .beta = v->last_beta,
                    .out = w->tokens};
    run_norm(&end, pool);
    lay_down(v);
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

void wilor_vit_tell_side(const wilor_vit *v, const wilor_vit_work *w, int n, int rows,
                         float *logit) {
    size_t d = (size_t)v->width;
    for (int hand = 0; hand < n; hand++) {
        const float *tokens = w->tokens + (size_t)(hand * rows) * d;
        double sum = v->side_bias ? *v->side_bias : (double)NAN;
        for (size_t i = 0; v->side_weight && i < WILOR_LEAD * d; i++)
            sum += (double)v->side_weight[i] * tokens[i];
        logit[hand] = (float)sum;
    }
}
