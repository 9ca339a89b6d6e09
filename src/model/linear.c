/* Packing of weights and the GEMM phases. Units of a phase are (panel of columns, chunk of row
 * panels), neighbours sharing the column panel, so that a thread's run of units keeps it in its
 * second-level cache and fetches the next one meanwhile. */
#include "linear.h"

#include "half_pairs.h"
#include "heap.h"
#include "quantise.h"
#include "round16.h"
#include "tensor_convert.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- packing */

/* A panel of float32; or of bytes and their scales, of which there are at most k / 8 a row. */
size_t wilor_linear_scratch(const wilor_kernels *kernels, size_t k) {
    return (size_t)kernels->nr * (k + 16);
}

size_t wilor_linear_room(const wilor_linear *w, const wilor_kernels *kernels) {
    return w->type == WILOR_PANEL_F32 ? 0 : (size_t)kernels->nr * (size_t)w->k;
}

typedef struct pack_job {
    wilor_loader *l;
    const wilor_tensor *tensor; /* or NULL: rows from fn */
    const float *in_place;
    wilor_row_fn fn;
    void *context;
    float *panels;
    int n, k;
    const wilor_row_order *order;
    /* weights of fewer bits */
    const wilor_matrix_view *matrix; /* NULL: tensor */
    const wilor_linear *to;
    uint8_t *stored;
    wilor_failure failure;
} pack_job;

void wilor_failure_note(wilor_failure *f, const wilor_loader *l, wilor_status st,
                        const wilor_error *err) {
    if (st != WILOR_OK && !atomic_exchange(&f->failed, true)) {
        f->st = st;
        if (l->err)
            *l->err = *err;
    }
}

static void note(pack_job *j, wilor_status st, const wilor_error *err) {
    wilor_failure_note(&j->failure, j->l, st, err);
}

int wilor_row_source(const wilor_row_order *order, int row) {
    static const int third[3] = {1, 2, 0}; /* keys, values, queries */
    int dim = order->head_dim, width = order->heads * dim;
    if (dim == 0)
        return row;
    return third[row % (3 * dim) / dim] * width + row / (3 * dim) * dim + row % dim;
}

/* How many outputs from `first` on, at most `rows`, lie one behind the other in the file. */
static int row_run(const wilor_row_order *order, int first, int rows) {
    int dim = order->head_dim, left = dim ? dim - first % dim : rows;
    return left < rows ? left : rows;
}

wilor_status wilor_rows_read(const wilor_row_order *order, const wilor_tensor *tensor,
                             const wilor_matrix_view *matrix, int k, int first, int rows,
                             float *dst, wilor_error *err) {
    wilor_status st = WILOR_OK;
    for (int at = 0, run; at < rows && st == WILOR_OK;
         at += run, dst += (size_t)run * (size_t)k) {
        run = row_run(order, first + at, rows - at);
        int from = wilor_row_source(order, first + at);
        st = matrix ? wilor_matrix_rows_to_f32(matrix, from, run, dst, err)
                    : wilor_tensor_rows_to_f32(tensor, from, run, dst, err);
    }
    return st;
}

static void read_rows(pack_job *j, int first, int rows, float *dst) {
    wilor_error err;
    note(j, wilor_rows_read(j->order, j->tensor, NULL, j->k, first, rows, dst, &err), &err);
}

static void pack_unit(void *context, int unit, int thread) {
    pack_job *j = context;
    const wilor_kernels *t = j->l->kernels;
    size_t k = (size_t)j->k;
    int first = unit * t->nr;
    int rows = j->n - first < t->nr ? j->n - first : t->nr;
    const float *src = j->l->scratch + (size_t)thread * j->l->scratch_stride;
    float *dst = j->l->scratch + (size_t)thread * j->l->scratch_stride;
    if (j->in_place && row_run(j->order, first, rows) == rows)
        src = j->in_place + (size_t)wilor_row_source(j->order, first) * k;
    else if (j->tensor)
        read_rows(j, first, rows, dst);
    else
        for (int r = 0; r < rows; r++)
            j->fn(j->context, first + r, dst + (size_t)r * k);
    t->pack_f32(src, k, rows, t->nr, k, j->panels + (size_t)unit * k * (size_t)t->nr);
}

/* ---------------------------------------------------------------- weights of fewer bits */

static size_t scale_bytes(const wilor_linear *w) {
    return w->scale_type == WILOR_PANEL_F16 ? 2 : 4;
}

/* Bytes of a panel's numbers, without scales. */
static size_t number_bytes(const wilor_linear *w, size_t steps, size_t nr) {
    switch (w->type) {
    case WILOR_PANEL_F16:
    case WILOR_PANEL_BF16:
        return steps * nr * 2;
    case WILOR_PANEL_U4:
        return steps / 2 * nr;
    default:
        return steps * nr;
    }
}

static size_t groups_of(const wilor_linear *w) {
    return w->group ? (size_t)(w->k / w->group) : 0;
}

static void set_panel_bytes(wilor_linear *w, const wilor_kernels *t) {
    size_t nr = (size_t)t->nr, each = w->type == WILOR_PANEL_I8 ? 1 : 2;
    size_t bytes =
        number_bytes(w, (size_t)w->k, nr) + groups_of(w) * nr * each * scale_bytes(w);
    w->panel_bytes = (bytes + WILOR_ALIGN - 1) / WILOR_ALIGN * WILOR_ALIGN;
}

/* 16 bits: the values are exact in both types; infinities and NaNs of the file, too, which are slower. Half floats
 * by way of float32 panels of some steps. */
static void pack_halves(const wilor_linear *w, const wilor_kernels *t, const float *src,
                        int rows, uint16_t *to) {
    enum { STEPS = 64 };

    alignas(WILOR_ALIGN) float wide[STEPS * WILOR_MAX_NR];
    size_t k = (size_t)w->k, nr = (size_t)t->nr;
    bool finite = wilor_f16_holds_all(src, (size_t)rows * k);
    for (size_t i = 0, n; i < k; i += n) {
        n = k - i < STEPS ? k - i : STEPS;
        t->pack_f32(src + i, k, rows, t->nr, n, wide);
        if (finite)
            wilor_f16_of_exact(wide, n * nr, to + i * nr);
        for (size_t at = 0; !finite && at < n * nr; at++)
            to[i * nr + at] = wilor_f16_of_f32(wide[at]);
    }
}

static void pack_brains(const wilor_linear *w, const float *src, int rows, size_t nr,
                        uint16_t *to) {
    size_t k = (size_t)w->k;
    for (size_t i = 0; i < k; i++)
        for (size_t r = 0; r < (size_t)rows; r++)
            to[i * nr + r] = wilor_bf16_of_f32(src[r * k + i]);
}

static void pack_integers(const wilor_linear *w, const uint8_t *q, int rows, size_t nr,
                          uint8_t *to) {
    size_t k = (size_t)w->k;
    for (size_t i = 0; i < k; i++)
        for (size_t r = 0; r < (size_t)rows; r++) {
            if (w->type == WILOR_PANEL_U4)
                to[i / 2 * nr + r] |= (uint8_t)(q[r * k + i] << i % 2 * 4);
            else
                to[i * nr + r] = q[r * k + i];
        }
}

/* values[rows][groups] to [groups][nr]. */
static void pack_scales(const wilor_linear *w, const float *values, int rows, size_t nr,
                        uint8_t *to) {
    size_t groups = groups_of(w);
    for (size_t g = 0; g < groups; g++)
        for (size_t r = 0; r < (size_t)rows; r++) {
            float v = values[r * groups + g];
            uint16_t half = wilor_f16_of_f32(v);
            if (w->scale_type == WILOR_PANEL_F16)
                memcpy(to + (g * nr + r) * 2, &half, 2);
            else
                memcpy(to + (g * nr + r) * 4, &v, 4);
        }
}

static wilor_status stored_rows(pack_job *j, int first, int rows, uint8_t *q, float *scales,
                                float *biases, wilor_error *err) {
    wilor_status st = WILOR_OK;
    size_t k = (size_t)j->k, groups = groups_of(j->to);
    for (int at = 0, run; at < rows && st == WILOR_OK; at += run) {
        size_t to = (size_t)at;
        run = row_run(j->order, first + at, rows - at);
        st = wilor_matrix_rows_stored(j->matrix, wilor_row_source(j->order, first + at), run,
                                      q + to * k, scales + to * groups, biases + to * groups,
                                      err);
    }
    return st;
}

static wilor_status half_rows(pack_job *j, int first, int rows, float *pairs,
                              wilor_error *err) {
    wilor_status st = WILOR_OK;
    for (int at = 0, run; at < rows && st == WILOR_OK; at += run) {
        run = row_run(j->order, first + at, rows - at);
        st = wilor_tensor_rows_gather(j->tensor, wilor_row_source(j->order, first + at), run,
                                      (uint8_t *)(pairs + (size_t)at * (size_t)j->k / 2), err);
    }
    return st;
}

/* Floats of the file as 4-bit groups: row by row, each through the place of its own numbers. */
static wilor_status quantised_rows(pack_job *j, int first, int rows, uint8_t *q, float *scales,
                                   float *biases, wilor_error *err) {
    size_t k = (size_t)j->k, groups = groups_of(j->to);
    float *row = (float *)(void *)(q + (size_t)j->l->kernels->nr * k);
    uint32_t *packed = (uint32_t *)(void *)(row + k);
    for (size_t r = 0; r < (size_t)rows; r++, q += k) {
        read_rows(j, first + (int)r, 1, row);
        if (!wilor_quantise_affine(row, k, (size_t)j->to->group, 4, WILOR_SCALES_F16, packed,
                                   scales + r * groups, biases + r * groups))
            return wilor_error_set(
                err, WILOR_ERR_MODEL,
                "%s: row %d cannot be kept in 4 bits: a number is not finite or "
                "too large",
                j->tensor->name, wilor_row_source(j->order, first + (int)r));
        for (size_t i = 0; i < k; i++)
            q[i] = (uint8_t)(packed[i / 8] >> i % 8 * 4 & 15);
    }
    return WILOR_OK;
}

/* One panel; its memory is zero before, and stays so in columns beyond the matrix. */
static void store_unit(void *context, int unit, int thread) {
    pack_job *j = context;
    const wilor_linear *w = j->to;
    wilor_error err;
    size_t nr = (size_t)j->l->kernels->nr, k = (size_t)w->k, groups = groups_of(w);
    int first = unit * (int)nr, rows = w->n - first < (int)nr ? w->n - first : (int)nr;
    float *scratch = j->l->scratch + (size_t)thread * j->l->scratch_stride;
    uint8_t *to = j->stored + (size_t)unit * w->panel_bytes;
    float *scales = scratch, *biases = scales + nr * groups;
    uint8_t *q = (uint8_t *)(biases + nr * groups);
    if (!j->matrix && w->type == WILOR_PANEL_F16 && k % 2 == 0 &&
        wilor_tensor_is_halves(j->tensor)) {
        note(j, half_rows(j, first, rows, scratch, &err), &err);
        wilor_pack_half_pairs(j->l->kernels, scratch, k, rows, (uint16_t *)(void *)to);
        return;
    }
    if (!j->matrix && w->type != WILOR_PANEL_U4) {
        read_rows(j, first, rows, scratch);
        if (w->type == WILOR_PANEL_F16)
            pack_halves(w, j->l->kernels, scratch, rows, (uint16_t *)(void *)to);
        else
            pack_brains(w, scratch, rows, nr, (uint16_t *)(void *)to);
        return;
    }
    wilor_status st = j->matrix ? stored_rows(j, first, rows, q, scales, biases, &err)
                                : quantised_rows(j, first, rows, q, scales, biases, &err);
    note(j, st, &err);
    if (st != WILOR_OK)
        return;
    pack_integers(w, q, rows, nr, to);
    to += number_bytes(w, k, nr);
    pack_scales(w, scales, rows, nr, to);
    if (w->type != WILOR_PANEL_I8)
        pack_scales(w, biases, rows, nr, to + groups * nr * scale_bytes(w));
}

const float *wilor_linear_steps(const wilor_linear *w, const wilor_kernels *t, int panel,
                                size_t first, size_t steps, float *room) {
    size_t nr = (size_t)t->nr, groups = groups_of(w), line = nr * scale_bytes(w);
    if (w->type == WILOR_PANEL_F32)
        return w->panels + (size_t)panel * (size_t)w->k * nr;
    alignas(WILOR_ALIGN) float scale[WILOR_MAX_NR], bias[WILOR_MAX_NR];
    const uint8_t *from = w->stored + (size_t)panel * w->panel_bytes;
    const uint8_t *scales = from + number_bytes(w, (size_t)w->k, nr);
    if (!groups) {
        t->expand_f32(w->type, from + number_bytes(w, first, nr), steps, NULL, NULL,
                      room + first * nr);
        return room;
    }
    size_t group = (size_t)w->group;
    for (size_t g = first / group; g * group < first + steps; g++) {
        t->expand_f32(w->scale_type, scales + g * line, 1, NULL, NULL, scale);
        if (w->type != WILOR_PANEL_I8)
            t->expand_f32(w->scale_type, scales + (groups + g) * line, 1, NULL, NULL, bias);
        t->expand_f32(w->type, from + number_bytes(w, g * group, nr), group, scale, bias,
                      room + g * group * nr);
    }
    return room;
}

const float *wilor_linear_panel(const wilor_linear *w, const wilor_kernels *t, int panel,
                                float *room) {
    return wilor_linear_steps(w, t, panel, 0, (size_t)w->k, room);
}

const uint8_t *wilor_linear_stored(const wilor_linear *w, const wilor_kernels *t, int panel,
                                   size_t first, size_t steps, size_t *bytes) {
    size_t nr = (size_t)t->nr;
    if (w->type == WILOR_PANEL_F32) {
        *bytes = steps * nr * sizeof(float);
        return (const uint8_t *)(w->panels + ((size_t)panel * (size_t)w->k + first) * nr);
    }
    *bytes = number_bytes(w, steps, nr);
    return w->stored + (size_t)panel * w->panel_bytes + number_bytes(w, first, nr);
}

bool wilor_linear_u4(const wilor_linear *w, const wilor_kernels *t, int panel, size_t first,
                     size_t steps, wilor_u4_steps *out) {
    if (w->type != WILOR_PANEL_U4 || w->group % 4)
        return false;
    size_t nr = (size_t)t->nr, group = (size_t)w->group, line = nr * scale_bytes(w);
    if (first % group || steps % group)
        return false;
    const uint8_t *from = w->stored + (size_t)panel * w->panel_bytes;
    const uint8_t *scales = from + number_bytes(w, (size_t)w->k, nr) + first / group * line;
    *out = (wilor_u4_steps){.q = from + number_bytes(w, first, nr),
                            .scales = scales,
                            .biases = scales + groups_of(w) * line,
                            .scale_type = w->scale_type,
                            .group = group};
    return true;
}

enum { QUANTISED_GROUP = 64 };

/* How a matrix stays in memory; false: as float32. */
static wilor_status plan_storage(wilor_linear *w, wilor_matrix_view *m, bool *keep,
                                 const wilor_loader *l, const wilor_index *index,
                                 const wilor_tensor *t, const char *prefix, int bits) {
    wilor_status st = WILOR_OK;
    m->form = WILOR_MATRIX_PLAIN;
    if (bits == 4 && t->dtype <= WILOR_BF16 && w->k % QUANTISED_GROUP == 0) {
        *keep = true;
        w->type = WILOR_PANEL_U4;
        w->scale_type = WILOR_PANEL_F16;
        w->group = QUANTISED_GROUP;
        return WILOR_OK;
    }
    *keep = t->dtype == WILOR_F16 || t->dtype == WILOR_BF16;
    w->type = t->dtype == WILOR_F16    ? WILOR_PANEL_F16
              : t->dtype == WILOR_BF16 ? WILOR_PANEL_BF16
                                       : WILOR_PANEL_F32;
    if (t->dtype != WILOR_U32 && t->dtype != WILOR_I8)
        return WILOR_OK;
    WILOR_TRY(wilor_matrix_find(m, index, prefix, w->k, l->err));
    *keep = true;
    w->type = m->form == WILOR_MATRIX_ROWS ? WILOR_PANEL_I8
              : m->bits == 4               ? WILOR_PANEL_U4
                                           : WILOR_PANEL_U8;
    w->group = m->form == WILOR_MATRIX_ROWS ? w->k : (int)m->group;
    w->scale_type = m->scales->dtype == WILOR_F16 && m->form == WILOR_MATRIX_GROUPS &&
                            m->biases->dtype == WILOR_F16
                        ? WILOR_PANEL_F16
                        : WILOR_PANEL_F32;
done:
    return st;
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
    static const wilor_row_order as_is;
    *out = (wilor_linear){.panels = panels, .bias = bias, .n = n, .k = k};
    if (panels && !l->assign) {
        pack_job job = {.l = l,
                        .fn = fn,
                        .context = context,
                        .panels = panels,
                        .n = n,
                        .k = k,
                        .order = &as_is};
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
    if (t->dtype == WILOR_DTYPE_OTHER)
        return wilor_error_set(
            l->err, WILOR_ERR_UNSUPPORTED, "%s: the tensor %s is of type %s, which is not read",
            wilor_quote(&p, wilor_index_path(index)), wilor_quote(&q, t->name), t->dtype_name);
    return wilor_index_check(index, l->err);
}

wilor_status wilor_linear_check(wilor_loader *l, const wilor_index *index,
                                const wilor_tensor *t, const char *prefix, int n, int k) {
    wilor_status st = WILOR_OK;
    wilor_matrix_view m;
    char name[160];
    if (index)
        WILOR_TRY(readable(l, index, t));
    bool packed = index && (t->dtype == WILOR_U32 || t->dtype == WILOR_I8);
    if (packed)
        WILOR_TRY(wilor_matrix_find(&m, index, prefix, k, l->err));
    packed = packed && m.form != WILOR_MATRIX_PLAIN;
    /* The shape as the file has it: n rows of k numbers in any number of dimensions. */
    if (!index || t->rank < 2 || t->shape[0] != n ||
        (!packed && t->count != (size_t)n * (size_t)k)) {
        snprintf(name, sizeof name, "%s.weight", prefix);
        st = wilor_source_need(l->source, name, 2, (const int64_t[]){n, k}, &index, &t, l->err);
    }
done:
    return st;
}

/* Read the weights t into the memory that was pushed for them, or, measuring, expect them. */
static wilor_status read_weights(wilor_linear *out, wilor_loader *l, const wilor_tensor *t,
                                 const wilor_matrix_view *m, const wilor_row_order *order,
                                 float *panels, uint8_t *stored) {
    wilor_status st = WILOR_OK;
    if (!panels && !stored) {
        wilor_loader_expect(l, t);
        return WILOR_OK;
    }
    out->panels = panels;
    out->stored = stored;
    if (l->assign)
        return WILOR_OK;
    pack_job job = {.l = l,
                    .tensor = t,
                    .in_place = wilor_tensor_f32_in_place(t),
                    .panels = panels,
                    .n = out->n,
                    .k = out->k,
                    .order = order,
                    .matrix = m->form == WILOR_MATRIX_PLAIN ? NULL : m,
                    .to = out,
                    .stored = stored};
    wilor_threads_run(l->pool, stored ? store_unit : pack_unit, &job,
                      wilor_panels(out->n, l->kernels->nr));
    WILOR_TRY(job.failure.st);
    WILOR_TRY(wilor_loader_done(l, t));
done:
    return st;
}

wilor_status wilor_linear_load(wilor_linear *out, wilor_loader *l, const char *prefix, int n,
                               int k, bool has_bias) {
    static const wilor_row_order as_is;
    return wilor_linear_load_as(out, l, prefix, n, k, has_bias, &as_is, 0);
}

/* PREFIX.bias in the order of the outputs. */
wilor_status wilor_bias_load(const float **out, wilor_loader *l, const char *prefix, int n,
                             const wilor_row_order *order) {
    wilor_status st = WILOR_OK;
    char name[160];
    /* A panel more: an epilogue for some columns of a panel reads whole vectors. */
    int nr = l->kernels->nr, padded = (wilor_panels(n, nr) + 1) * nr;
    snprintf(name, sizeof name, "%s.bias", prefix);
    WILOR_TRY(wilor_vector_load(out, l, name, n, padded));
    if (*out && !l->assign && order->head_dim) {
        float *to = (float *)(uintptr_t)*out, *from = l->scratch;
        memcpy(from, to, (size_t)n * sizeof *from);
        for (int i = 0; i < n; i++)
            to[i] = from[wilor_row_source(order, i)];
    }
done:
    return st;
}

wilor_status wilor_linear_load_as(wilor_linear *out, wilor_loader *l, const char *prefix, int n,
                                  int k, bool has_bias, const wilor_row_order *order,
                                  int bits) {
    wilor_status st = WILOR_OK;
    char name[160];
    const wilor_tensor *t;
    wilor_matrix_view m;
    bool keep = false;
    *out = (wilor_linear){.n = n, .k = k};
    snprintf(name, sizeof name, "%s.weight", prefix);
    const wilor_index *index = wilor_source_find(l->source, name, &t);
    WILOR_TRY(wilor_linear_check(l, index, t, prefix, n, k));
    WILOR_TRY(plan_storage(out, &m, &keep, l, index, t, prefix, bits));
    if (keep) {
        set_panel_bytes(out, l->kernels);
        uint8_t *stored = wilor_arena_push(l->arena, (size_t)wilor_panels(n, l->kernels->nr),
                                           out->panel_bytes);
        WILOR_TRY(read_weights(out, l, t, &m, order, NULL, stored));
    } else {
        WILOR_TRY(read_weights(out, l, t, &m, order, push_panels(l, n, k), NULL));
    }
    size_t room = wilor_linear_room(out, l->kernels);
    l->room = room > l->room ? room : l->room;
    if (!has_bias) {
        out->bias = push_zeros(l, n);
        return WILOR_OK;
    }
    st = wilor_bias_load(&out->bias, l, prefix, n, order);
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
    if (dst && !l->assign) {
        WILOR_TRY(readable(l, index, t));
        WILOR_TRY(wilor_tensor_to_f32(t, dst, l->err));
        WILOR_TRY(wilor_loader_done(l, t));
    } else if (!dst) {
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
    size_t stride = g->tile_stride ? g->tile_stride : WILOR_TILE_FLOATS;
    float *tile = g->tiles + (size_t)thread * stride;
    bool ready = g->w->type == WILOR_PANEL_F32;
    const float *b = wilor_linear_panel(g->w, t, panel, tile + WILOR_TILE_FLOATS);
    /* One call fetches k / 8 lines: the next panel is there after about nr / 2 calls. */
    size_t step = k / 8 * 16;
    bool more = ready && panel + 1 < g->panel_end;
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
