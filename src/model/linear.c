/* Packing of weights and the GEMM phases. Units of a phase are (panel of columns, chunk of row
 * panels), neighbours sharing the column panel, so that a thread's run of units keeps it in its
 * second-level cache and fetches the next one meanwhile. */
#include "linear.h"

#include "heap.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- packing */

size_t wilor_linear_scratch(const wilor_kernels *kernels, size_t k) {
    return (size_t)kernels->nr * k;
}

typedef struct pack_job {
    wilor_loader *l;
    const wilor_tensor *tensor; /* or NULL: rows from fn */
    const float *in_place;
    wilor_row_fn fn;
    void *context;
    float *panels;
    int n, k;
    atomic_bool failed; /* and then why */
    wilor_status st;
} pack_job;

/* Rows of a tensor; the first failure of any thread is kept. */
static void read_rows(pack_job *j, int first, int rows, float *dst) {
    wilor_error err;
    wilor_status st = wilor_tensor_rows_to_f32(j->tensor, first, rows, dst, &err);
    if (st != WILOR_OK && !atomic_exchange(&j->failed, true)) {
        j->st = st;
        if (j->l->err)
            *j->l->err = err;
    }
}

static void pack_unit(void *context, int unit, int thread) {
    pack_job *j = context;
    const wilor_kernels *t = j->l->kernels;
    size_t k = (size_t)j->k;
    int first = unit * t->nr;
    int rows = j->n - first < t->nr ? j->n - first : t->nr;
    const float *src = j->l->scratch + (size_t)thread * j->l->scratch_stride;
    float *dst = j->l->scratch + (size_t)thread * j->l->scratch_stride;
    if (j->in_place)
        src = j->in_place + (size_t)first * k;
    else if (j->tensor)
        read_rows(j, first, rows, dst);
    else
        for (int r = 0; r < rows; r++)
            j->fn(j->context, first + r, dst + (size_t)r * k);
    t->pack_f32(src, k, rows, t->nr, k, j->panels + (size_t)unit * k * (size_t)t->nr);
}

static float *push_panels(wilor_loader *l, int n, int k) {
    size_t rows = (size_t)wilor_panels(n, l->kernels->nr) * (size_t)l->kernels->nr;
    return wilor_arena_push(l->arena, rows * (size_t)k, sizeof(float));
}

static float *push_zeros(wilor_loader *l, int n) {
    size_t padded = (size_t)wilor_panels(n, l->kernels->nr) * (size_t)l->kernels->nr;
    return wilor_arena_push(l->arena, padded, sizeof(float)); /* fresh pages are zero */
}

wilor_status wilor_linear_pack(wilor_linear *out, wilor_loader *l, int n, int k,
                               wilor_row_fn fn, void *context) {
    float *panels = push_panels(l, n, k);
    float *bias = push_zeros(l, n);
    *out = (wilor_linear){panels, bias, n, k};
    if (panels) {
        pack_job job = {.l = l, .fn = fn, .context = context, .panels = panels, .n = n, .k = k};
        wilor_threads_run(l->pool, pack_unit, &job, wilor_panels(n, l->kernels->nr));
    }
    return WILOR_OK;
}

void wilor_loader_expect(wilor_loader *l, const wilor_tensor *t) {
    l->bytes_total += (uint64_t)t->count * t->element;
}

wilor_status wilor_loader_done(wilor_loader *l, const wilor_tensor *t) {
    const wilor_callbacks *c = l->callbacks;
    l->bytes_done += (uint64_t)t->count * t->element;
    if (c && c->progress)
        c->progress(c->user, "loading weights", l->bytes_done, l->bytes_total);
    if (c && c->cancel && c->cancel(c->user))
        return wilor_error_set(l->err, WILOR_ERR_CANCELLED, "loading was cancelled");
    return WILOR_OK;
}

static wilor_status readable(wilor_loader *l, const wilor_index *index, const wilor_tensor *t) {
    wilor_quoted q, p;
    if (wilor_index_kind(index) == WILOR_FILE_MLX && t->dtype == WILOR_U32)
        return wilor_error_set(
            l->err, WILOR_ERR_UNSUPPORTED,
            "%s: %s is quantised; this version reads wilor-mlx's float files",
            wilor_quote(&p, wilor_index_path(index)), wilor_quote(&q, t->name));
    if (t->dtype == WILOR_DTYPE_OTHER)
        return wilor_error_set(
            l->err, WILOR_ERR_UNSUPPORTED, "%s: the tensor %s is of type %s, which is not read",
            wilor_quote(&p, wilor_index_path(index)), wilor_quote(&q, t->name), t->dtype_name);
    return wilor_index_check(index, l->err);
}

wilor_status wilor_linear_load(wilor_linear *out, wilor_loader *l, const char *prefix, int n,
                               int k, bool has_bias) {
    wilor_status st = WILOR_OK;
    char name[160];
    const wilor_index *index;
    const wilor_tensor *t;
    float *panels = push_panels(l, n, k);
    snprintf(name, sizeof name, "%s.weight", prefix);
    /* The shape as the file has it: n rows of k numbers in any number of dimensions. */
    index = wilor_source_find(l->source, name, &t);
    if (index)
        WILOR_TRY(readable(l, index, t));
    if (!index || t->rank < 2 || t->shape[0] != n || t->count != (size_t)n * (size_t)k)
        return wilor_source_need(l->source, name, 2, (const int64_t[]){n, k}, &index, &t,
                                 l->err);
    if (panels) {
        pack_job job = {.l = l,
                        .tensor = t,
                        .in_place = wilor_tensor_f32_in_place(t),
                        .panels = panels,
                        .n = n,
                        .k = k};
        wilor_threads_run(l->pool, pack_unit, &job, wilor_panels(n, l->kernels->nr));
        WILOR_TRY(job.st);
        WILOR_TRY(wilor_loader_done(l, t));
    } else {
        wilor_loader_expect(l, t);
    }
    *out = (wilor_linear){panels, NULL, n, k};
    if (!has_bias) {
        out->bias = push_zeros(l, n);
        return WILOR_OK;
    }
    snprintf(name, sizeof name, "%s.bias", prefix);
    st = wilor_vector_load(&out->bias, l, name, n,
                           wilor_panels(n, l->kernels->nr) * l->kernels->nr);
done:
    return st;
}

wilor_status wilor_vector_load(const float **out, wilor_loader *l, const char *name, int count,
                               int padded) {
    wilor_status st = WILOR_OK;
    const wilor_index *index;
    const wilor_tensor *t;
    float *dst = wilor_arena_push(l->arena, (size_t)padded, sizeof(float));
    if (!wilor_source_find(l->source, name, &t) || t->count != (size_t)count)
        return wilor_source_need(l->source, name, 1, (const int64_t[]){count}, &index, &t,
                                 l->err);
    index = wilor_source_find(l->source, name, &t);
    if (dst) {
        WILOR_TRY(readable(l, index, t));
        WILOR_TRY(wilor_tensor_to_f32(t, dst, l->err));
        WILOR_TRY(wilor_loader_done(l, t));
    } else {
        wilor_loader_expect(l, t);
    }
    *out = dst;
done:
    return st;
}

/* ---------------------------------------------------------------- multiplication */

/* Row panels a unit works through: about 72 rows, a third of a hand's 210. */
static int chunk_panels(const wilor_kernels *t) { return 72 / t->mr; }

static void finish_tile(const wilor_gemm *g, int panel, int row_panel, float *tile) {
    const wilor_kernels *t = g->kernels;
    int per_group = wilor_panels(g->rows, t->mr);
    int group = row_panel / per_group, row = row_panel % per_group * t->mr;
    int rows = g->rows - row < t->mr ? g->rows - row : t->mr;
    int column = panel * t->nr;
    int cols = g->columns - column < t->nr ? g->columns - column : t->nr;
    const float *bias = g->w->bias + column;
    if (g->epilogue == WILOR_EPILOGUE_GELU_PACK) {
        size_t n = (size_t)g->w->n;
        t->bias_gelu_f32(tile, bias);
        t->pack_f32(tile, (size_t)t->nr, t->mr, t->mr, (size_t)cols,
                    g->out + ((size_t)row_panel * n + (size_t)column) * (size_t)t->mr);
        return;
    }
    float *out = g->out + (size_t)group * g->group_stride + (size_t)row * g->ldo + column;
    if (g->epilogue == WILOR_EPILOGUE_ADD)
        t->add_bias_f32(tile, rows, cols, bias, out, g->ldo);
    else if (g->epilogue == WILOR_EPILOGUE_RELU)
        t->affine_relu_f32(tile, rows, cols, g->scale + column, g->shift + column, out, g->ldo);
    else
        t->store_bias_f32(tile, rows, cols, bias, out, g->ldo);
}

static void gemm_unit(void *context, int unit, int thread) {
    const wilor_gemm *g = context;
    const wilor_kernels *t = g->kernels;
    size_t k = (size_t)g->w->k, panel_floats = k * (size_t)t->nr;
    int row_panels = g->groups * wilor_panels(g->rows, t->mr);
    int chunk = chunk_panels(t), chunks = wilor_panels(row_panels, chunk);
    int panel = g->panel_begin + unit / chunks, first = unit % chunks * chunk;
    int last = first + chunk < row_panels ? first + chunk : row_panels;
    const float *b = g->w->panels + (size_t)panel * panel_floats;
    float *tile = g->tiles + (size_t)thread * WILOR_TILE_FLOATS;
    /* One call fetches k / 8 lines: the next panel is there after about nr / 2 calls. */
    size_t step = k / 8 * 16;
    bool more = panel + 1 < g->panel_end;
    for (int i = first; i < last; i++) {
        bool useful = more && ((size_t)i + 1) * step <= panel_floats;
        t->gemm_f32(g->a + (size_t)i * k * (size_t)t->mr, b, k, tile,
                    useful ? b + panel_floats + (size_t)i * step : NULL);
        finish_tile(g, panel, i, tile);
    }
}

void wilor_gemm_run(const wilor_gemm *gemm, wilor_threads *pool) {
    wilor_gemm g = *gemm;
    if (g.columns == 0)
        g.columns = g.w->n;
    if (g.panel_end == 0)
        g.panel_end = wilor_panels(g.columns, g.kernels->nr);
    int row_panels = g.groups * wilor_panels(g.rows, g.kernels->mr);
    int chunks = wilor_panels(row_panels, chunk_panels(g.kernels));
    wilor_threads_run(pool, gemm_unit, &g, (g.panel_end - g.panel_begin) * chunks);
}
