/* Units of a phase are (slice, panel of columns, chunk of row panels), neighbours sharing the column
 * panel, so that a thread's run of units keeps it in its second-level cache and fetches the next one
 * meanwhile. With slices that are units of their own a thread mostly stays in one slice, whose
 * activations then stay in its cache as well. */
#include "dense.h"

#include <stdio.h>
#include <string.h>

enum { SLICE_STEP = 64, MOST_SLICES = 8, STEP_ROWS = 7 };

static size_t lines(size_t bytes) {
    return (bytes + WILOR_ALIGN - 1) / WILOR_ALIGN * WILOR_ALIGN;
}

/* ---------------------------------------------------------------- weights */

/* Into how many slices k can be cut when `wish` are wanted: wish or 1. */
static int slices_of(int k, int wish) {
    return wish > 1 && wish <= MOST_SLICES && k % (wish * SLICE_STEP) == 0 ? wish : 1;
}

/* In the arithmetic's own form from loading on. Float32 needs none; three parts of a number would be
 * half as much again; four bits are kept. */
static bool is_native(const wilor_dot *dot, const wilor_tensor *t, int bits) {
    bool narrow = bits == 4 || t->dtype == WILOR_U32;
    if (dot->block)
        return !bits && t->dtype == WILOR_F32;
    return (dot->arith == WILOR_ARITH_BF16 || dot->arith == WILOR_ARITH_INT8) && !narrow;
}

typedef struct native_job {
    wilor_loader *l;
    const wilor_dense *to;
    const wilor_tensor *tensor;
    const wilor_matrix_view *matrix; /* NULL: tensor */
    const wilor_row_order *order;
    uint8_t *panels;
    wilor_failure failure;
} native_job;

static void native_unit(void *context, int unit, int thread) {
    native_job *j = context;
    const wilor_dense *w = j->to;
    const wilor_dot *dot = w->dot;
    wilor_error err;
    int panels = wilor_panels(w->w.n, dot->nr), first = unit * dot->nr;
    int rows = w->w.n - first < dot->nr ? w->w.n - first : dot->nr;
    float *src = j->l->scratch + (size_t)thread * j->l->scratch_stride;
    wilor_status st =
        wilor_rows_read(j->order, j->tensor, j->matrix, w->w.k, first, rows, src, &err);
    wilor_failure_note(&j->failure, j->l, st, &err);
    if (st != WILOR_OK)
        return;
    size_t k = (size_t)w->w.k, part = k / (size_t)w->slices;
    for (size_t s = 0; s < (size_t)w->slices; s++)
        dot->pack_b(dot, src + s * part, k, 1, rows, part,
                    j->panels + (s * (size_t)panels + (size_t)unit) * w->panel_bytes);
}

static wilor_status load_native(wilor_dense *out, wilor_loader *l, const char *prefix,
                                const wilor_index *index, const wilor_tensor *t,
                                const wilor_row_order *order) {
    wilor_status st = WILOR_OK;
    wilor_matrix_view m;
    const wilor_dot *dot = out->dot;
    bool plain = t->dtype != WILOR_I8 && t->dtype != WILOR_U32;
    if (!plain)
        WILOR_TRY(wilor_matrix_find(&m, index, prefix, out->w.k, l->err));
    int panels = wilor_panels(out->w.n, dot->nr);
    out->panel_bytes = dot->b_bytes(dot, (size_t)(out->w.k / out->slices));
    uint8_t *to =
        wilor_arena_push(l->arena, (size_t)out->slices * (size_t)panels, out->panel_bytes);
    out->panels = to;
    if (!to)
        wilor_loader_expect(l, t);
    if (to && !l->assign) {
        native_job job = {.l = l,
                          .to = out,
                          .tensor = t,
                          .matrix = plain ? NULL : &m,
                          .order = order,
                          .panels = to};
        wilor_threads_run(l->pool, native_unit, &job, panels);
        WILOR_TRY(job.failure.st);
        WILOR_TRY(wilor_loader_done(l, t));
    }
done:
    return st;
}

wilor_status wilor_dense_load(wilor_dense *out, wilor_loader *l, const wilor_dot *dot,
                              const char *prefix, int n, int k, const wilor_row_order *order,
                              int slices, int bits) {
    wilor_status st = WILOR_OK;
    char name[160];
    const wilor_tensor *t;
    *out = (wilor_dense){.dot = dot, .slices = slices_of(k, slices)};
    snprintf(name, sizeof name, "%s.weight", prefix);
    const wilor_index *index = wilor_source_find(l->source, name, &t);
    if (!index || !is_native(dot, t, bits)) {
        WILOR_TRY(wilor_linear_load_as(&out->w, l, prefix, n, k, true, order, bits));
    } else {
        out->w = (wilor_linear){.n = n, .k = k};
        WILOR_TRY(wilor_linear_check(l, index, t, prefix, n, k));
        WILOR_TRY(load_native(out, l, prefix, index, t, order));
        WILOR_TRY(wilor_bias_load(&out->w.bias, l, prefix, n, order));
    }
    size_t room = wilor_dense_room(out) / sizeof(float);
    l->room = room > l->room ? room : l->room;
done:
    return st;
}

/* The room: a tile, and a vector that an epilogue for some of its columns may read behind it; a panel as float32; the same packed, all slices. */
static size_t tile_bytes(const wilor_dot *d) {
    return lines((size_t)d->mr * (size_t)d->nr * sizeof(float)) + WILOR_ALIGN;
}

static size_t float_bytes(const wilor_dense *w) {
    return lines(wilor_linear_room(&w->w, w->dot->kernels) * sizeof(float));
}

/* Weights that are ready as they lie. */
static bool is_ready(const wilor_dense *w) {
    return w->panels || (wilor_dot_is_plain(w->dot) && w->w.type == WILOR_PANEL_F32);
}

static bool is_float(const wilor_dense *w) { return wilor_dot_is_plain(w->dot); }

/* What a block of panels gives: a chunk of rows. */
static size_t block_bytes(const wilor_dot *d) {
    return d->block
               ? lines((size_t)(d->chunk * d->mr) * (size_t)(d->block * d->nr) * sizeof(float))
               : 0;
}

size_t wilor_dense_room(const wilor_dense *w) {
    const wilor_dot *d = w->dot;
    size_t bytes = tile_bytes(d) + block_bytes(d);
    if (d->block && !is_ready(w))
        return bytes + float_bytes(w) + (size_t)d->block * d->b_bytes(d, (size_t)w->w.k);
    if (!is_ready(w))
        bytes += float_bytes(w);
    if (!is_ready(w) && !is_float(w))
        bytes += (size_t)w->slices * w->dot->b_bytes(w->dot, (size_t)(w->w.k / w->slices));
    return bytes;
}

/* A panel in the form that gemm takes: slice s at base + s · stride. */
typedef struct ready {
    const uint8_t *base;
    size_t stride;
} ready;

/* Slices first … last - 1 of a panel; made in the room when they have to be. */
static ready make_ready(const wilor_dense *w, int panel, int first, int last, uint8_t *room) {
    const wilor_dot *dot = w->dot;
    size_t part = (size_t)(w->w.k / w->slices), nr = (size_t)dot->nr;
    if (w->panels)
        return (ready){w->panels + (size_t)panel * w->panel_bytes,
                       (size_t)wilor_panels(w->w.n, dot->nr) * w->panel_bytes};
    float *wide = (float *)(void *)(room + tile_bytes(dot));
    if (is_float(w))
        return (ready){(const uint8_t *)wilor_linear_panel(&w->w, dot->kernels, panel, wide),
                       0};
    uint8_t *to = room + tile_bytes(dot) + float_bytes(w);
    ready r = {to, dot->b_bytes(dot, part)};
    int left = w->w.n - panel * dot->nr, cols = left < dot->nr ? left : dot->nr;
    for (int s = first; s < last; s++) {
        size_t at = (size_t)s * part;
        wilor_u4_steps u4;
        if (dot->pack_u4 && wilor_linear_u4(&w->w, dot->kernels, panel, at, part, &u4)) {
            dot->pack_u4(dot, &u4, part, to + (size_t)s * r.stride);
            continue;
        }
        const float *from = wilor_linear_steps(&w->w, dot->kernels, panel, at, part, wide);
        dot->pack_b(dot, from + at * nr, 1, nr, cols, part, to + (size_t)s * r.stride);
    }
    return r;
}

/* ---------------------------------------------------------------- activations */

void wilor_acts_push(wilor_acts *a, const wilor_dot *dot, int rows, int k, int slices,
                     wilor_arena *arena) {
    size_t panels = (size_t)wilor_panels(rows, dot->mr);
    *a = (wilor_acts){.dot = dot, .k = k, .slices = slices};
    a->panel_bytes = dot->a_bytes(dot, (size_t)(k / slices));
    a->slice_bytes = panels * a->panel_bytes;
    a->panels = wilor_arena_push(arena, (size_t)slices, a->slice_bytes);
}

size_t wilor_acts_bytes(const wilor_acts *a) { return (size_t)a->slices * a->slice_bytes; }

int wilor_acts_step(const wilor_dot *dot) {
    return dot->row_step > 1 ? dot->row_step : STEP_ROWS;
}

/* Within one slice and one panel. */
static void put_piece(const wilor_acts *a, const float *src, size_t ld, int slice, int row,
                      int rows, int col, int cols) {
    const wilor_dot *dot = a->dot;
    float top[64];
    size_t k = (size_t)(a->k / a->slices);
    if (dot->tops)
        dot->tops(src, ld, rows, k, top);
    uint8_t *panel =
        a->panels + (size_t)slice * a->slice_bytes + (size_t)(row / dot->mr) * a->panel_bytes;
    dot->put_a(dot, src, ld, dot->tops ? top : NULL, row % dot->mr, rows, (size_t)col,
               (size_t)cols, k, panel);
}

void wilor_acts_put(const wilor_acts *a, const float *src, size_t ld, int row, int rows,
                    int col, int cols) {
    int part = a->k / a->slices, mr = a->dot->mr;
    for (int r = 0, n; r < rows; r += n) {
        n = mr - (row + r) % mr < rows - r ? mr - (row + r) % mr : rows - r;
        for (int c = 0, m; c < cols; c += m) {
            int slice = (col + c) / part, in = (col + c) % part;
            m = part - in < cols - c ? part - in : cols - c;
            put_piece(a, src + (size_t)r * ld + c, ld, slice, row + r, n, in, m);
        }
    }
}

/* ---------------------------------------------------------------- products */

/* Bytes from the beginning of a panel to its scales. */
typedef struct scales_at {
    size_t a, b;
} scales_at;

/* Panel b of B, panel row_panel of A. */
static void point(wilor_dot_call *c, const wilor_product *p, const uint8_t *b, scales_at at,
                  int slice, int row_panel) {
    const wilor_acts *a = p->a;
    const wilor_dot *dot = a->dot;
    int left = p->rows - row_panel * dot->mr;
    c->rows = left < dot->mr ? left : dot->mr;
    c->a = a->panels + (size_t)slice * a->slice_bytes + (size_t)row_panel * a->panel_bytes;
    c->b = b;
    if (dot->arith != WILOR_ARITH_INT8)
        return;
    c->a_scale = (const float *)(const void *)((const uint8_t *)c->a + at.a);
    c->b_scale = (const float *)(const void *)(b + at.b);
    c->b_sum = (const int *)(const void *)(c->b_scale + dot->nr);
}

/* What the next unit of other columns will want, as it lies in memory; 0 bytes: unknown. */
typedef struct soon {
    const uint8_t *at;
    size_t bytes;
} soon;

/* The i-th of `count` pieces of it. */
static void fetch_piece(wilor_dot_call *c, soon s, int i, int count) {
    size_t begin = s.bytes * (size_t)i / (size_t)count / 64 * 64;
    size_t end = s.bytes * ((size_t)i + 1) / (size_t)count / 64 * 64;
    c->next = s.bytes ? (const char *)s.at + begin : NULL;
    c->next_bytes = end - begin;
}

static void copy_rows(const float *tile, size_t ldt, int rows, int cols, float *out,
                      size_t ldo) {
    for (int r = 0; r < rows; r++)
        memcpy(out + (size_t)r * ldo, tile + (size_t)r * ldt, (size_t)cols * sizeof *out);
}

/* Columns that may belong to two heads or more. */
static void finish_heads(const wilor_product *p, const float *tile, int row, int rows,
                         int column, int cols) {
    const wilor_dot *dot = p->w->dot;
    int wide = (int)p->ldo;
    for (int c = 0, n; c < cols; c += n) {
        int head = (column + c) / wide, in = (column + c) % wide;
        n = wide - in < cols - c ? wide - in : cols - c;
        dot->kernels->store_bias_f32(
            tile + c, rows, n, p->w->w.bias + column + c,
            p->out + (size_t)head * p->head_floats + (size_t)row * p->ldo + in, p->ldo);
    }
}

/* tile: the sums of rows `row` …, columns `column` …; out: their place, where they have one. */
static void finish(const wilor_product *p, float *tile, int row, int rows, int column, int cols,
                   float *out) {
    const wilor_dot *dot = p->w->dot;
    const float *bias = p->w->w.bias + column;
    switch (p->finish) {
    case WILOR_FINISH_HEADS:
        finish_heads(p, tile, row, rows, column, cols);
        break;
    case WILOR_FINISH_ADD:
        dot->kernels->add_bias_f32(tile, rows, cols, bias, out, p->ldo);
        break;
    case WILOR_FINISH_GELU:
        if (dot->arith == WILOR_ARITH_BF16 || dot->arith == WILOR_ARITH_INT8)
            dot->kernels->bias_gelu_short_f32(tile, rows, bias);
        else
            dot->kernels->bias_gelu_f32(tile, rows, bias);
        if (p->next)
            wilor_acts_put(p->next, tile, (size_t)dot->nr, row, rows, column, cols);
        else
            copy_rows(tile, (size_t)dot->nr, rows, cols, out, p->ldo);
        break;
    case WILOR_FINISH_PART:
        copy_rows(tile, (size_t)dot->nr, rows, cols, out, p->ldo);
    }
}

/* ---------------------------------------------------------------- a whole phase */

static int unit_slices(const wilor_dense *w) { return w->dot->split ? w->slices : 1; }

/* Panels of rows in a unit: all where a panel of weights has to be made ready first. */
static int unit_chunk(const wilor_product *p, int row_panels) {
    return is_ready(p->w) ? p->w->dot->chunk : row_panels;
}

/* Behind a panel that is ready lies the next one, or the next slice's first. Float32's kernels fetch as
 * much as a panel of theirs: nothing for weights that they have to expand. Nor for float32 that will be
 * split: it would drive activations out of the cache. */
static soon next_weights(const wilor_dense *w, ready b, int panel, int first, int last) {
    size_t part = (size_t)(w->w.k / w->slices);
    bool last_panel = panel + 1 == wilor_panels(w->w.n, w->dot->nr);
    soon s = {NULL, 0};
    if (is_ready(w)) {
        s.bytes = w->panels ? w->panel_bytes : w->dot->b_bytes(w->dot, part);
        s.at = b.base + (size_t)first * b.stride + s.bytes;
        s.bytes = last_panel && first + 1 >= unit_slices(w) ? 0 : s.bytes;
    } else if (w->w.type != WILOR_PANEL_F32 && !is_float(w) && !last_panel) {
        s.at = wilor_linear_stored(&w->w, w->dot->kernels, panel + 1, (size_t)first * part,
                                   (size_t)(last - first) * part, &s.bytes);
    }
    return s;
}

/* Slices first … last - 1 of one tile, added up. */
static void gemm_slices(const wilor_product *p, wilor_dot_call *call, ready b, scales_at at,
                        int first, int last, int row_panel) {
    for (int i = first; i < last; i++) {
        point(call, p, b.base + (size_t)i * b.stride, at, i, row_panel);
        call->add = i > first;
        p->w->dot->gemm(p->w->dot, call);
        call->next = NULL;
    }
}

static void product_unit(void *context, int unit, int thread) {
    const wilor_product *p = context;
    const wilor_dense *w = p->w;
    const wilor_dot *dot = w->dot;
    uint8_t *room = p->room + (size_t)thread * p->room_bytes;
    float *tile = (float *)(void *)room;
    int panels = wilor_panels(w->w.n, dot->nr), row_panels = wilor_panels(p->rows, dot->mr);
    int chunk = unit_chunk(p, row_panels), chunks = wilor_panels(row_panels, chunk);
    int first = dot->split ? unit / (panels * chunks) : 0;
    int last = dot->split ? first + 1 : w->slices;
    int from = unit % chunks * chunk,
        to = from + chunk < row_panels ? from + chunk : row_panels;
    int panel = unit / chunks % panels, column = panel * dot->nr;
    int cols = w->w.n - column < dot->nr ? w->w.n - column : dot->nr;
    ready b = make_ready(w, panel, first, last, room);
    soon next = next_weights(w, b, panel, first, last);
    bool direct = p->finish == WILOR_FINISH_PART && dot->any_ldt && cols == dot->nr;
    wilor_dot_call call = {
        .k = (size_t)(w->w.k / w->slices), .cols = cols, .tile = tile, .ldt = (size_t)dot->nr};
    scales_at at = {dot->a_numbers(dot, call.k), dot->b_numbers(dot, call.k)};
    if (dot->begin)
        dot->begin();
    for (int i = from; i < to; i++) {
        int row = i * dot->mr, left = p->rows - row;
        float *out = p->out;
        if (out)
            out += (size_t)first * p->slice_floats + (size_t)row * p->ldo + (size_t)column;
        if (direct) {
            call.tile = out;
            call.ldt = p->ldo;
        }
        fetch_piece(&call, next, i, row_panels);
        gemm_slices(p, &call, b, at, first, last, i);
        if (!direct)
            finish(p, tile, row, left < dot->mr ? left : dot->mr, column, cols, out);
    }
}

/* ---------------------------------------------------------------- the same in blocks */

/* Panels first … of a block, as rows of float32 in the room's third part. */
static const void *make_block(const wilor_dense *w, int first, int cols, uint8_t *room) {
    const wilor_dot *dot = w->dot;
    size_t k = (size_t)w->w.k;
    float *wide = (float *)(void *)room;
    uint8_t *to = room + float_bytes(w);
    for (int c = 0; c < cols; c += dot->nr) {
        const float *from = wilor_linear_panel(&w->w, dot->kernels, first + c / dot->nr, wide);
        dot->pack_b(dot, from, 1, (size_t)dot->nr, cols - c < dot->nr ? cols - c : dot->nr, k,
                    to + (size_t)(c / dot->nr) * dot->b_bytes(dot, k));
    }
    return to;
}

/* Tile by tile, as the epilogues take them. */
static void finish_block(const wilor_product *p, const wilor_dot_call *c, int row, int column,
                         float *tile) {
    const wilor_dot *dot = p->w->dot;
    for (int i = 0; i < c->rows; i += dot->mr)
        for (int j = 0; j < c->cols; j += dot->nr) {
            int rows = c->rows - i < dot->mr ? c->rows - i : dot->mr;
            int cols = c->cols - j < dot->nr ? c->cols - j : dot->nr;
            float *out = p->out;
            if (out)
                out += (size_t)(row + i) * p->ldo + (size_t)(column + j);
            copy_rows(c->tile + (size_t)i * c->ldt + j, c->ldt, rows, cols, tile,
                      (size_t)dot->nr);
            finish(p, tile, row + i, rows, column + j, cols, out);
        }
}

static void block_unit(void *context, int unit, int thread) {
    const wilor_product *p = context;
    const wilor_dense *w = p->w;
    const wilor_dot *dot = w->dot;
    uint8_t *room = p->room + (size_t)thread * p->room_bytes;
    int chunk = dot->chunk * dot->mr, chunks = wilor_panels(p->rows, chunk);
    int row = unit % chunks * chunk, panel = unit / chunks * dot->block;
    int column = panel * dot->nr, wide = dot->block * dot->nr;
    wilor_dot_call call = {.a = p->a->panels + (size_t)(row / dot->mr) * p->a->panel_bytes,
                           .k = (size_t)w->w.k,
                           .rows = p->rows - row < chunk ? p->rows - row : chunk,
                           .cols = w->w.n - column < wide ? w->w.n - column : wide,
                           .tile = (float *)(void *)(room + tile_bytes(dot)),
                           .ldt = (size_t)wide};
    call.b = w->panels
                 ? w->panels + (size_t)panel * w->panel_bytes
                 : make_block(w, panel, call.cols, room + tile_bytes(dot) + block_bytes(dot));
    if (dot->begin)
        dot->begin();
    dot->gemm(dot, &call);
    finish_block(p, &call, row, column, (float *)(void *)room);
}

void wilor_product_run(const wilor_product *product, wilor_threads *pool) {
    wilor_product p = *product;
    const wilor_dot *dot = p.w->dot;
    int row_panels = wilor_panels(p.rows, dot->mr);
    if (dot->block) {
        wilor_threads_run(pool, block_unit, &p,
                          wilor_panels(p.w->w.n, dot->block * dot->nr) *
                              wilor_panels(row_panels, dot->chunk));
        return;
    }
    int chunks = wilor_panels(row_panels, unit_chunk(&p, row_panels));
    wilor_threads_run(pool, product_unit, &p,
                      unit_slices(p.w) * wilor_panels(p.w->w.n, dot->nr) * chunks);
}
