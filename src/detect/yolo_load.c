/* Loading: every convolution read by yolo_file.c, then packed: in half floats where that loses
 * nothing, else in float32; or in bfloat16 for conv16.h. */
#include "yolo_load.h"

#include "half_pairs.h"
#include "round16.h"

#include <string.h>

typedef struct pack_job {
    const wilor_kernels *kernels;
    const float *weight;
    void *panels;
    int out;
    size_t k;
} pack_job;

static void pack_unit(void *context, int unit, int thread) {
    const pack_job *j = context;
    const wilor_kernels *t = j->kernels;
    (void)thread;
    int first = unit * t->nr, rows = j->out - first < t->nr ? j->out - first : t->nr;
    t->pack_f32(j->weight + (size_t)first * j->k, j->k, rows, t->nr, j->k,
                (float *)j->panels + (size_t)first * j->k);
}

/* By way of float32 panels of some steps. */
static void pack_half_unit(void *context, int unit, int thread) {
    enum { STEPS = 64 };

    const pack_job *j = context;
    const wilor_kernels *t = j->kernels;
    _Alignas(WILOR_ALIGN) float wide[STEPS * WILOR_MAX_NR];
    size_t nr = (size_t)t->nr, first = (size_t)unit * nr;
    uint16_t *panel = (uint16_t *)j->panels + first * j->k;
    int rows = j->out - (int)first < t->nr ? j->out - (int)first : t->nr;
    (void)thread;
    for (size_t k = 0, n; k < j->k; k += n) {
        n = j->k - k < STEPS ? j->k - k : STEPS;
        t->pack_f32(j->weight + first * j->k + k, j->k, rows, t->nr, n, wide);
        wilor_f16_of_exact(wide, n * nr, panel + k * nr);
    }
}

/* The file's own half floats. */
static void pack_pair_unit(void *context, int unit, int thread) {
    const pack_job *j = context;
    const wilor_kernels *t = j->kernels;
    size_t first = (size_t)unit * (size_t)t->nr;
    int rows = j->out - (int)first < t->nr ? j->out - (int)first : t->nr;
    (void)thread;
    wilor_pack_half_pairs(t, j->weight + first * (j->k / 2), j->k, rows,
                          (uint16_t *)j->panels + first * j->k);
}

static size_t conv_floats(const wilor_yolo_conv *c) {
    return (size_t)c->out * wilor_yolo_depth(c);
}

static size_t padded(const wilor_yolo *y, const wilor_yolo_conv *c) {
    int nr = y->conv16 ? WILOR_CONV16_SIDE : y->kernels->nr;
    return (size_t)wilor_yolo_parts(c->out, nr) * (size_t)nr;
}

/* With few channels the transformations cost what the products save; with many, on the coarsest
 * maps, fetching 16 numbers a weight instead of 9 does. */
static bool wants_winograd(const wilor_yolo *y, const wilor_yolo_step *s) {
    const wilor_yolo_conv *c = &y->program.convs[s->conv];
    return c->size == 3 && s->stride == 1 && c->in >= 32 && c->in <= 256 && c->out >= 16;
}

static void choose_way(wilor_yolo *y, const wilor_yolo_step *s) {
    wilor_yolo_packed *w = &y->convs[s->conv];
    if (y->conv16) {
        wilor_yolo_shape_bf16(w, &y->program.convs[s->conv],
                              y->program.maps[s->in.map].channels);
        return;
    }
    w->winograd = wants_winograd(y, s);
    /* On finer maps there are few weights and many sums to scale. */
    w->coarse = y->program.maps[s->out.map].shift >= 4;
}

/* Memory of one convolution; the sizes are bounded by the plan's checks. */
static void push_conv(wilor_yolo *y, int i, wilor_panel_type type, wilor_arena *a) {
    const wilor_yolo_conv *c = &y->program.convs[i];
    wilor_yolo_packed *to = &y->convs[i];
    size_t n = padded(y, c);
    bool half = type == WILOR_PANEL_F16;
    to->type = type;
    if (type == WILOR_PANEL_BF16)
        to->panels = wilor_arena_push(a, wilor_yolo_numbers_bf16(to, c), sizeof(uint16_t));
    else
        to->panels = wilor_arena_push(a, n * wilor_yolo_depth(c), half ? 2 : sizeof(float));
    to->scale = half && !c->plain ? wilor_arena_push(a, n, sizeof(float)) : NULL;
    to->bias = wilor_arena_push(a, n, sizeof(float));
}

/* Of all of them, were they all float32. What is kept in half floats shows when it is read; pages that
 * then stay untouched are never anybody's memory. */
static size_t most_bytes(wilor_yolo *y) {
    wilor_arena a;
    wilor_arena_begin(&a, NULL, 0);
    for (int i = 0; i < y->program.conv_count; i++) {
        push_conv(y, i, y->conv16 ? WILOR_PANEL_BF16 : WILOR_PANEL_F32, &a);
        wilor_arena_push(&a, padded(y, &y->program.convs[i]), sizeof(float));
    }
    return wilor_arena_used(&a);
}

/* Where a convolution is read before it is packed; all as large as the largest needs. */
typedef struct scratch {
    float *weight, *scale, *bias;
} scratch;

static bool get_scratch(scratch *s, const wilor_yolo_program *p) {
    size_t weights = 0, outputs = 0;
    for (int i = 0; i < p->conv_count; i++) {
        size_t n = conv_floats(&p->convs[i]), out = (size_t)p->convs[i].out;
        weights = n > weights ? n : weights;
        outputs = out > outputs ? out : outputs;
    }
    s->weight = wilor_heap_alloc(weights + 2 * outputs, sizeof *s->weight);
    if (!s->weight)
        return false;
    s->scale = s->weight + weights;
    s->bias = s->scale + outputs;
    return true;
}

static void fold(const wilor_yolo_conv *c, const scratch *s) {
    size_t depth = wilor_yolo_depth(c);
    for (size_t o = 0; o < (size_t)c->out; o++)
        for (size_t i = 0; i < depth; i++)
            s->weight[o * depth + i] *= s->scale[o];
}

/* The picture comes as whole numbers 0 … 255 in bfloat16. */
static void divide(const wilor_yolo_conv *c, const scratch *s) {
    for (size_t i = 0; i < conv_floats(c); i++)
        s->weight[i] /= 255.0f;
}

/* Memory of a convolution, with all but its weights in it. */
static void place_conv(wilor_yolo *y, int i, wilor_panel_type type, const scratch *s) {
    const wilor_yolo_conv *c = &y->program.convs[i];
    wilor_yolo_packed *to = &y->convs[i];
    /* Fresh pages are zero: the padding stays so. */
    push_conv(y, i, type, &y->arena);
    memcpy(to->bias, s->bias, (size_t)c->out * sizeof *s->bias);
    if (to->scale)
        memcpy(to->scale, s->scale, (size_t)c->out * sizeof *s->scale);
}

static void pack_conv(wilor_yolo *y, int i, wilor_threads *pool, const scratch *s) {
    const wilor_yolo_conv *c = &y->program.convs[i];
    wilor_yolo_packed *to = &y->convs[i];
    /* By value, not by the file's type: wilor-mlx keeps the published half floats as float32. */
    bool half = to->coarse && wilor_f16_holds_all(s->weight, conv_floats(c));
    wilor_panel_type type = half ? WILOR_PANEL_F16 : WILOR_PANEL_F32;
    place_conv(y, i, y->conv16 ? WILOR_PANEL_BF16 : type, s);
    if (!half)
        fold(c, s);
    if (y->conv16) {
        if (i == 0)
            divide(c, s);
        wilor_yolo_pack_bf16(to, c, s->weight, y->conv16->group, pool);
        return;
    }
    pack_job job = {y->kernels, s->weight, to->panels, c->out, wilor_yolo_depth(c)};
    wilor_threads_run(pool, half ? pack_half_unit : pack_unit, &job,
                      wilor_yolo_parts(c->out, y->kernels->nr));
}

static wilor_status load_conv(wilor_yolo *y, int i, const wilor_index *index,
                              wilor_threads *pool, const scratch *s, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_yolo_conv *c = &y->program.convs[i];
    wilor_yolo_packed *to = &y->convs[i];
    bool held = false;
    if (to->coarse && !y->conv16 && wilor_yolo_depth(c) % 2 == 0)
        WILOR_TRY(wilor_yolo_conv_read_halves(index, c, (uint16_t *)(void *)s->weight, s->scale,
                                              s->bias, &to->silu, &held, err));
    if (held) {
        place_conv(y, i, WILOR_PANEL_F16, s);
        pack_job job = {y->kernels, s->weight, to->panels, c->out, wilor_yolo_depth(c)};
        wilor_threads_run(pool, pack_pair_unit, &job, wilor_yolo_parts(c->out, y->kernels->nr));
        return WILOR_OK;
    }
    WILOR_TRY(wilor_yolo_conv_read(index, c, s->weight, s->scale, s->bias, &to->silu, err));
    pack_conv(y, i, pool, s);
done:
    return st;
}

static wilor_status tell(const wilor_callbacks *c, size_t done, size_t total,
                         wilor_error *err) {
    if (c && c->progress)
        c->progress(c->user, "loading the detector", done, total);
    if (c && c->cancel && c->cancel(c->user))
        return wilor_error_set(err, WILOR_ERR_CANCELLED, "loading was cancelled");
    return WILOR_OK;
}

/* What computes. */
static wilor_status choose_arithmetic(wilor_yolo *y, wilor_isa max_isa, wilor_dtype dtype,
                                      wilor_error *err) {
    y->kernels = wilor_kernels_best(max_isa);
    y->conv16 = dtype == WILOR_DTYPE_F32 ? NULL : wilor_conv16_get(y->kernels);
    if (dtype == WILOR_DTYPE_AUTO && y->conv16 && !y->conv16->quick)
        y->conv16 = NULL;
    if (dtype == WILOR_DTYPE_F32 || dtype == WILOR_DTYPE_AUTO ||
        (dtype == WILOR_DTYPE_BF16 && y->conv16))
        return WILOR_OK;
    if (dtype != WILOR_DTYPE_BF16)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "the detector has no dtype %s: f32, bf16 and auto",
                               wilor_dtype_name(dtype));
    return wilor_error_set(
        err, WILOR_ERR_UNSUPPORTED,
        "the detector's dtype bf16 needs AMX, which this processor (tier %s) "
        "has not got",
        wilor_isa_name(y->kernels->isa));
}

wilor_status wilor_yolo_load(wilor_yolo **out, const wilor_index *index, wilor_isa max_isa,
                             wilor_dtype dtype, wilor_threads *pool,
                             const wilor_callbacks *callbacks, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_yolo_plan plan;
    size_t bytes, done_floats = 0, all_floats = 0;
    scratch read = {0};
    wilor_yolo *y = NULL;
    *out = NULL;
    WILOR_TRY(wilor_yolo_plan_read(&plan, index, err));
    y = wilor_heap_alloc(1, sizeof *y);
    if (!y)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector");
    WILOR_TRY(choose_arithmetic(y, max_isa, dtype, err));
    wilor_yolo_program_make(&y->program, &plan, y->conv16 != NULL);
    for (int i = 0; i < y->program.step_count; i++)
        if (y->program.steps[i].op == WILOR_YOLO_CONVOLVE)
            choose_way(y, &y->program.steps[i]);
    bytes = most_bytes(y);
    if (!get_scratch(&read, &y->program) || !wilor_pages_alloc(&y->pages, bytes))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector's %zu bytes", bytes);
    wilor_arena_begin(&y->arena, y->pages.data, y->pages.bytes);
    for (int i = 0; i < y->program.conv_count; i++)
        all_floats += conv_floats(&y->program.convs[i]);
    for (int i = 0; i < y->program.conv_count; i++) {
        WILOR_TRY(load_conv(y, i, index, pool, &read, err));
        done_floats += conv_floats(&y->program.convs[i]);
        WILOR_TRY(
            tell(callbacks, done_floats * sizeof(float), all_floats * sizeof(float), err));
    }
    *out = y;
    y = NULL;
done:
    wilor_heap_free(read.weight);
    wilor_yolo_free(&y);
    return st;
}

/* ---------------------------------------------------------------- for a card */

/* All convolutions as float32, factors folded in, in `room`. */
static wilor_status read_folded(const wilor_yolo *y, const wilor_index *index, float *room,
                                wilor_yolo_folded *convs, const wilor_callbacks *callbacks,
                                wilor_error *err) {
    wilor_status st = WILOR_OK;
    size_t done = 0;
    for (int i = 0; i < y->program.conv_count; i++) {
        const wilor_yolo_conv *c = &y->program.convs[i];
        size_t n = conv_floats(c), out = (size_t)c->out;
        scratch s = {room, room + n, room + n + out};
        WILOR_TRY(
            wilor_yolo_conv_read(index, c, s.weight, s.scale, s.bias, &convs[i].silu, err));
        fold(c, &s);
        convs[i].weight = s.weight;
        convs[i].bias = s.bias;
        room += n + 2 * out;
        done += n;
        WILOR_TRY(tell(callbacks, done * sizeof(float), done * sizeof(float), err));
    }
done:
    return st;
}

wilor_status wilor_yolo_load_card(wilor_yolo **out, const wilor_index *index,
                                  const wilor_yolo_card *card, int device, wilor_dtype dtype,
                                  const wilor_callbacks *callbacks, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_yolo_plan plan;
    size_t floats = 0;
    float *room = NULL;
    wilor_yolo_folded *convs = NULL;
    wilor_yolo *y = NULL;
    *out = NULL;
    WILOR_TRY(wilor_yolo_plan_read(&plan, index, err));
    y = wilor_heap_alloc(1, sizeof *y);
    convs = wilor_heap_alloc(WILOR_YOLO_CONVS, sizeof *convs);
    if (!y || !convs)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector");
    y->kernels = wilor_kernels_best(WILOR_ISA_AUTO);
    y->card = card;
    y->card_dtype = dtype;
    wilor_yolo_program_make(&y->program, &plan, false);
    for (int i = 0; i < y->program.conv_count; i++)
        floats += conv_floats(&y->program.convs[i]) + 2 * (size_t)y->program.convs[i].out;
    room = wilor_heap_alloc(floats, sizeof *room);
    if (!room)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to read the detector");
    WILOR_TRY(read_folded(y, index, room, convs, callbacks, err));
    WILOR_TRY(card->create(&y->net, &y->program, convs, device, &y->card_dtype, err));
    *out = y;
    y = NULL;
done:
    wilor_heap_free(room);
    wilor_heap_free(convs);
    wilor_yolo_free(&y);
    return st;
}

void wilor_yolo_free(wilor_yolo **yolo) {
    wilor_yolo *y = *yolo;
    *yolo = NULL;
    if (!y)
        return;
    if (y->card)
        y->card->free(y->net);
    else
        wilor_arena_end(&y->arena);
    wilor_pages_free(&y->pages);
    wilor_heap_free(y);
}

const wilor_yolo_plan *wilor_yolo_get_plan(const wilor_yolo *yolo) {
    return &yolo->program.plan;
}

wilor_isa wilor_yolo_isa(const wilor_yolo *yolo) { return yolo->kernels->isa; }

wilor_dtype wilor_yolo_dtype(const wilor_yolo *yolo) {
    if (yolo->card)
        return yolo->card_dtype;
    return yolo->conv16 ? WILOR_DTYPE_BF16 : WILOR_DTYPE_F32;
}

size_t wilor_yolo_bytes(const wilor_yolo *yolo) {
    return yolo->card ? yolo->card->bytes(yolo->net) : wilor_arena_used(&yolo->arena);
}
