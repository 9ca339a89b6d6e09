/* Loading: every convolution folded by yolo_file.c, then packed as the kernels want it. */
#include "yolo_load.h"

typedef struct pack_job {
    const wilor_kernels *kernels;
    const float *weight;
    float *panels;
    int out;
    size_t k;
} pack_job;

static void pack_unit(void *context, int unit, int thread) {
    const pack_job *j = context;
    const wilor_kernels *t = j->kernels;
    (void)thread;
    int first = unit * t->nr, rows = j->out - first < t->nr ? j->out - first : t->nr;
    t->pack_f32(j->weight + (size_t)first * j->k, j->k, rows, t->nr, j->k,
                j->panels + (size_t)first * j->k);
}

/* G g Gᵀ with G = [1 0 0; ½ ½ ½; ½ -½ ½; 0 0 1], in double: 16 numbers. */
static void winograd_weight(const float *g, size_t step, float out[WILOR_WINOGRAD_PLANES]) {
    double t[4][3];
    for (size_t j = 0; j < 3; j++) {
        double a = g[j * step], b = g[(3 + j) * step], c = g[(6 + j) * step];
        t[0][j] = a;
        t[1][j] = (a + b + c) / 2;
        t[2][j] = (a - b + c) / 2;
        t[3][j] = c;
    }
    for (size_t i = 0; i < 4; i++) {
        out[4 * i] = (float)t[i][0];
        out[4 * i + 1] = (float)((t[i][0] + t[i][1] + t[i][2]) / 2);
        out[4 * i + 2] = (float)((t[i][0] - t[i][1] + t[i][2]) / 2);
        out[4 * i + 3] = (float)t[i][2];
    }
}

/* One panel: weights of nr outputs, 9 · in each, to 16 panels of depth `in`. */
static void winograd_unit(void *context, int unit, int thread) {
    const pack_job *j = context;
    size_t nr = (size_t)j->kernels->nr, first = (size_t)unit * nr, in = j->k;
    float *panel = j->panels + first * in * WILOR_WINOGRAD_PLANES;
    float w[WILOR_WINOGRAD_PLANES];
    (void)thread;
    for (size_t o = 0; o < nr && first + o < (size_t)j->out; o++)
        for (size_t c = 0; c < in; c++) {
            winograd_weight(j->weight + (first + o) * 9 * in + c, in, w);
            for (size_t p = 0; p < WILOR_WINOGRAD_PLANES; p++)
                panel[(p * in + c) * nr + o] = w[p];
        }
}

static size_t depth_of(const wilor_yolo_conv *c) {
    return (size_t)c->size * (size_t)c->size * (size_t)c->in;
}

static size_t conv_bytes(const wilor_yolo_conv *c) {
    return (size_t)c->out * depth_of(c) * sizeof(float);
}

/* With few channels the transformations cost what the products save; with many, on the coarsest
 * maps, fetching 16 numbers a weight instead of 9 does. */
static bool wants_winograd(const wilor_yolo *y, const wilor_yolo_step *s) {
    const wilor_yolo_conv *c = &y->program.convs[s->conv];
    return c->size == 3 && s->stride == 1 && c->in >= 32 && c->in <= 256 && c->out >= 16;
}

/* Memory of all convolutions; the sizes are bounded by the plan's checks. */
static size_t push_all(wilor_yolo *y, wilor_arena *a, size_t *largest) {
    const wilor_yolo_program *p = &y->program;
    for (int i = 0; i < p->conv_count; i++) {
        const wilor_yolo_conv *c = &p->convs[i];
        size_t padded =
            (size_t)wilor_yolo_parts(c->out, y->kernels->nr) * (size_t)y->kernels->nr;
        size_t floats = (size_t)c->out * depth_of(c);
        size_t depth =
            y->convs[i].winograd ? WILOR_WINOGRAD_PLANES * (size_t)c->in : depth_of(c);
        *largest = floats > *largest ? floats : *largest;
        y->convs[i].panels = wilor_arena_push(a, padded * depth, sizeof(float));
        y->convs[i].bias = wilor_arena_push(a, padded, sizeof(float));
    }
    return wilor_arena_used(a);
}

static wilor_status load_conv(wilor_yolo *y, int i, const wilor_index *index,
                              wilor_threads *pool, float *weight, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_yolo_conv *c = &y->program.convs[i];
    wilor_yolo_packed *to = &y->convs[i];
    /* Fresh pages are zero: the bias's padding stays so. */
    WILOR_TRY(wilor_yolo_conv_read(index, c, weight, to->bias, &to->silu, err));
    pack_job job = {y->kernels, weight, to->panels, c->out,
                    to->winograd ? (size_t)c->in : depth_of(c)};
    wilor_threads_run(pool, to->winograd ? winograd_unit : pack_unit, &job,
                      wilor_yolo_parts(c->out, y->kernels->nr));
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

wilor_status wilor_yolo_load(wilor_yolo **out, const wilor_index *index, wilor_isa max_isa,
                             wilor_threads *pool, const wilor_callbacks *callbacks,
                             wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_yolo_plan plan;
    wilor_arena a;
    size_t largest = 0, bytes, done_bytes = 0, all_bytes = 0;
    float *weight = NULL;
    wilor_yolo *y = NULL;
    *out = NULL;
    WILOR_TRY(wilor_yolo_plan_read(&plan, index, err));
    y = wilor_heap_alloc(1, sizeof *y);
    if (!y)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector");
    y->kernels = wilor_kernels_best(max_isa);
    wilor_yolo_program_make(&y->program, &plan);
    for (int i = 0; i < y->program.step_count; i++)
        if (y->program.steps[i].op == WILOR_YOLO_CONVOLVE)
            y->convs[y->program.steps[i].conv].winograd =
                wants_winograd(y, &y->program.steps[i]);
    wilor_arena_begin(&a, NULL, 0);
    bytes = push_all(y, &a, &largest);
    weight = wilor_heap_alloc(largest, sizeof *weight);
    if (!weight || !wilor_pages_alloc(&y->pages, bytes))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector's %zu bytes", bytes);
    wilor_arena_begin(&y->arena, y->pages.data, y->pages.bytes);
    push_all(y, &y->arena, &largest);
    for (int i = 0; i < y->program.conv_count; i++)
        all_bytes += conv_bytes(&y->program.convs[i]);
    for (int i = 0; i < y->program.conv_count; i++) {
        WILOR_TRY(load_conv(y, i, index, pool, weight, err));
        done_bytes += conv_bytes(&y->program.convs[i]);
        WILOR_TRY(tell(callbacks, done_bytes, all_bytes, err));
    }
    *out = y;
    y = NULL;
done:
    wilor_heap_free(weight);
    wilor_yolo_free(&y);
    return st;
}

void wilor_yolo_free(wilor_yolo **yolo) {
    wilor_yolo *y = *yolo;
    *yolo = NULL;
    if (!y)
        return;
    wilor_arena_end(&y->arena);
    wilor_pages_free(&y->pages);
    wilor_heap_free(y);
}

const wilor_yolo_plan *wilor_yolo_get_plan(const wilor_yolo *yolo) {
    return &yolo->program.plan;
}

wilor_isa wilor_yolo_isa(const wilor_yolo *yolo) { return yolo->kernels->isa; }

size_t wilor_yolo_bytes(const wilor_yolo *yolo) { return yolo->pages.bytes; }
