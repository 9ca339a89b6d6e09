/* Times of single kernels on the shapes of a full-size pass with one hand, as the network runs them: the same
 * phases, cut in the same units. A matrix is there often enough that its copies, taken in turn, come from memory
 * and not from a cache, as 32 blocks' do. Numbers are random, and do not matter. */
#include "wilor/wilor.h"

#include "arena.h"
#include "attention.h"
#include "clock.h"
#include "dense.h"
#include "heap.h"
#include "round16.h"
#include "vit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 1280, MLP = 5120, HEADS = 16, DIM = WIDTH / HEADS, HALVES = 2 };

enum { NORM_ROWS = 14, GROUP = 64, LEAST_RUNS = 3, MOST_RUNS = 1000, MOST_PLANS = 256 };

enum { NORM_OPERATIONS = 8, GELU_OPERATIONS = 28 }; /* a number, counted in the source */

/* Of all copies of a matrix together. */
static const size_t COPIES_BYTES = (size_t)256 << 20;

typedef enum piece { QKV, PROJ, FC1, FC2, ATTENTION, NORM, GELU, PIECES } piece;

/* What an index stands for. */
typedef struct plan {
    const wilor_dot *dot;
    piece piece;
    bool bits4; /* weights of 4 bits, multiplied in the dot's arithmetic */
} plan;

/* ---------------------------------------------------------------- the list */

static int sizes_of(piece p, int *columns, int *depth) {
    static const int sizes[PIECES][2] = {
        {3 * WIDTH, WIDTH},    {WIDTH, WIDTH}, {MLP, WIDTH}, {WIDTH, MLP},
        {WILOR_TOKENS, WIDTH}, {WIDTH, 0},     {MLP, 0}};
    *columns = sizes[p][0];
    *depth = sizes[p][1];
    return WILOR_TOKENS;
}

/* AMX's tier has AVX-512's float32 and more: the same functions are not timed twice. */
static bool is_again(int i) {
    const wilor_dot *d = wilor_dot_at(i), *e;
    for (int k = 0; k < i; k++) {
        e = wilor_dot_at(k);
        if (e->gemm == d->gemm && e->arith == d->arith &&
            e->kernels->gemm_f32 == d->kernels->gemm_f32)
            return true;
    }
    return false;
}

/* The smallest product stands for all in plain C, which takes seconds for the others. */
static bool is_left_out(const wilor_dot *d, piece p) {
    return d->kernels->isa == WILOR_ISA_C && p < ATTENTION && p != PROJ;
}

/* Products with each table, attention where it has its own; with the float32 one also what is the tier's. 4 bits
 * as in a model: by bfloat16 where it is quick, or float32. */
static int list_plans(plan *plans) {
    int n = 0;
    const wilor_dot *d;
    for (int i = 0; (d = wilor_dot_at(i)) != NULL; i++) {
        bool plain = wilor_dot_is_plain(d);
        bool narrow = plain || (d->arith == WILOR_ARITH_BF16 && d->quick);
        for (piece p = QKV; !is_again(i) && p < PIECES && n + 2 <= MOST_PLANS; p++) {
            if ((p == ATTENTION && !plain && !d->attend) || (p > ATTENTION && !plain) ||
                is_left_out(d, p))
                continue;
            plans[n++] = (plan){d, p, false};
            if (narrow && p < ATTENTION)
                plans[n++] = (plan){d, p, true};
        }
    }
    return n;
}

static wilor_dtype dtype_of(const plan *p) {
    static const wilor_dtype types[WILOR_ARITH_COUNT] = {WILOR_DTYPE_F32, WILOR_DTYPE_F32X,
                                                         WILOR_DTYPE_BF16, WILOR_DTYPE_INT8};
    return p->bits4 ? WILOR_DTYPE_INT4 : types[p->dot->arith];
}

static void describe(const plan *p, wilor_kernel_time *out) {
    static const char *const names[PIECES] = {"qkv",       "proj", "fc1", "fc2",
                                              "attention", "norm", "gelu"};
    *out = (wilor_kernel_time){.kernel = p->dot->name,
                               .isa = p->dot->kernels->isa,
                               .dtype = dtype_of(p),
                               .work = names[p->piece]};
    out->rows = sizes_of(p->piece, &out->columns, &out->depth);
    double numbers = (double)out->rows * out->columns * 1e-9;
    if (p->piece < ATTENTION)
        out->gflop = 2 * numbers * out->depth;
    else if (p->piece == ATTENTION) /* scores and their products with the values */
        out->gflop = 4 * numbers * out->depth;
    else
        out->gflop = numbers * (p->piece == NORM ? NORM_OPERATIONS : GELU_OPERATIONS);
}

int wilor_kernel_count(void) {
    plan plans[MOST_PLANS];
    return list_plans(plans);
}

/* ---------------------------------------------------------------- operands */

typedef struct bench {
    plan plan;
    const wilor_dot *dot;
    wilor_threads *pool;
    wilor_pages pages;
    wilor_dense weights; /* the first copy */
    uint8_t *panels;     /* of all copies */
    size_t copy_bytes;
    int copies, turn;
    wilor_acts acts, next;
    float *rows, *out;
    float *norm;   /* gamma and beta; or what GELU adds */
    uint8_t *room; /* a thread's tile and panel; attention's scratch */
    size_t room_bytes;
} bench;

static float noise(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

static void fill(float *to, size_t n) {
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++)
        to[i] = noise(&state);
}

static bool is_native(const plan *p) {
    return !p->bits4 && (p->dot->arith == WILOR_ARITH_BF16 ||
                         p->dot->arith == WILOR_ARITH_INT8 || p->dot->block);
}

static size_t lines(size_t bytes) {
    return (bytes + WILOR_ALIGN - 1) / WILOR_ALIGN * WILOR_ALIGN;
}

/* Sizes of the matrix, without memory. */
static void plan_weights(bench *b) {
    wilor_dense *w = &b->weights;
    int n, k;
    sizes_of(b->plan.piece, &n, &k);
    size_t nr = (size_t)b->dot->nr, depth = (size_t)k;
    *w = (wilor_dense){.dot = b->dot, .slices = b->plan.piece == FC2 ? b->dot->slices : 1};
    w->w = (wilor_linear){.n = n, .k = k};
    if (k % (w->slices * 64))
        w->slices = 1;
    size_t panel = depth * nr * sizeof(float);
    if (is_native(&b->plan)) {
        w->panel_bytes = b->dot->b_bytes(b->dot, depth / (size_t)w->slices);
        panel = w->panel_bytes * (size_t)w->slices;
    } else if (b->plan.bits4) {
        w->w.type = WILOR_PANEL_U4;
        w->w.scale_type = WILOR_PANEL_F16;
        w->w.group = GROUP;
        panel = lines(depth / 2 * nr + depth / GROUP * nr * 2 * sizeof(uint16_t));
        w->w.panel_bytes = panel;
    }
    b->copy_bytes = (size_t)wilor_panels(n, b->dot->nr) * panel;
    b->copies = (int)(COPIES_BYTES / b->copy_bytes);
}

/* Every panel of every copy is the same. */
static void fill_weights(bench *b, float *scratch) {
    wilor_dense *w = &b->weights;
    size_t nr = (size_t)b->dot->nr, k = (size_t)w->w.k, part = k / (size_t)w->slices;
    size_t panel = w->panel_bytes ? w->panel_bytes : w->w.panel_bytes;
    fill(scratch, nr * k);
    if (is_native(&b->plan)) {
        b->dot->pack_b(b->dot, scratch, part, 1, b->dot->nr, part, b->panels);
    } else if (b->plan.bits4) {
        const uint16_t scale = wilor_f16_of_f32(0.01f);
        memcpy(b->panels, scratch, k / 2 * nr); /* any bits are numbers */
        for (size_t i = 0; i < k / GROUP * nr * 2; i++)
            memcpy(b->panels + k / 2 * nr + i * sizeof scale, &scale, sizeof scale);
    } else {
        panel = k * nr * sizeof(float);
        b->dot->kernels->pack_f32(scratch, k, b->dot->nr, b->dot->nr, k,
                                  (float *)(void *)b->panels);
    }
    for (size_t at = panel; at < b->copy_bytes * (size_t)b->copies; at += panel)
        memcpy(b->panels + at, b->panels, panel);
}

/* The matrix's place in turn. */
static void point_weights(bench *b) {
    wilor_dense *w = &b->weights;
    const uint8_t *at = b->panels + (size_t)b->turn * b->copy_bytes;
    b->turn = (b->turn + 1) % b->copies;
    if (is_native(&b->plan))
        w->panels = at;
    else if (b->plan.bits4)
        w->w.stored = at;
    else
        w->w.panels = (const float *)(const void *)at;
}

static size_t attention_bytes(const wilor_dot *d) {
    return lines(d->attend
                     ? d->attend_bytes(WILOR_TOKENS, DIM)
                     : sizeof(float) * wilor_attention_scratch(d->kernels, DIM, WILOR_TOKENS));
}

static size_t room_bytes(const bench *b) {
    size_t tile = lines((size_t)b->dot->mr * (size_t)b->dot->nr * sizeof(float));
    if (b->plan.piece < ATTENTION)
        return lines(wilor_dense_room(&b->weights));
    return b->plan.piece == ATTENTION ? attention_bytes(b->dot) : tile;
}

/* Written twice: to add up, and to hand out. rows: the inputs of all pieces, and a panel being packed. */
static void push_all(bench *b, int threads, wilor_arena *arena) {
    size_t f = sizeof(float), t = WILOR_TOKENS, panels;
    panels = (size_t)(wilor_panels(WILOR_TOKENS, b->dot->mr) * b->dot->mr);
    b->rows = wilor_arena_push(arena, t * MLP, f);
    b->out = wilor_arena_push(arena, (size_t)b->dot->slices * panels * MLP, f);
    b->norm = wilor_arena_push(arena, 2 * MLP, f);
    b->room = wilor_arena_push(arena, (size_t)threads, b->room_bytes);
    if (b->plan.piece >= ATTENTION)
        return;
    b->panels = wilor_arena_push(arena, (size_t)b->copies, b->copy_bytes);
    wilor_acts_push(&b->acts, b->dot, WILOR_TOKENS, b->weights.w.k, b->weights.slices, arena);
    wilor_acts_push(&b->next, b->dot, WILOR_TOKENS, MLP, b->dot->slices, arena);
}

static wilor_status prepare(bench *b, int threads, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_arena arena;
    if (b->plan.piece < ATTENTION)
        plan_weights(b);
    b->room_bytes = room_bytes(b);
    wilor_arena_begin(&arena, NULL, 0);
    push_all(b, threads, &arena);
    if (!wilor_pages_alloc(&b->pages, wilor_arena_used(&arena)))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the operands of a kernel");
    wilor_arena_begin(&arena, b->pages.data, b->pages.bytes);
    push_all(b, threads, &arena);
    if (b->plan.piece < ATTENTION) {
        fill_weights(b, b->rows);
        b->weights.w.bias = b->norm;
    }
    fill(b->rows, WILOR_TOKENS * (size_t)MLP);
    fill(b->norm, 2 * MLP);
    int step = wilor_acts_step(b->dot), k = b->weights.w.k;
    for (int row = 0; k && row < WILOR_TOKENS; row += step)
        wilor_acts_put(&b->acts, b->rows + (size_t)row * (size_t)k, (size_t)k, row,
                       WILOR_TOKENS - row < step ? WILOR_TOKENS - row : step, 0, k);
    wilor_arena_end(&arena);
done:
    return st;
}

/* ---------------------------------------------------------------- one run */

static void run_product(bench *b) {
    const wilor_dot *d = b->dot;
    size_t panels = (size_t)(wilor_panels(WILOR_TOKENS, d->mr) * d->mr);
    wilor_product p = {.w = &b->weights,
                       .a = &b->acts,
                       .rows = WILOR_TOKENS,
                       .finish = WILOR_FINISH_ADD,
                       .out = b->out,
                       .ldo = (size_t)b->weights.w.n,
                       .room = b->room,
                       .room_bytes = b->room_bytes};
    point_weights(b);
    if (b->plan.piece == QKV) {
        p.finish = WILOR_FINISH_HEADS;
        p.ldo = 3 * DIM;
        p.head_floats = WILOR_TOKENS * 3 * DIM;
    } else if (b->plan.piece == FC1) {
        p.finish = WILOR_FINISH_GELU;
        p.next = d->tops ? NULL : &b->next;
    } else if (b->plan.piece == FC2 && d->split && b->weights.slices > 1) {
        p.finish = WILOR_FINISH_PART;
        p.slice_floats = panels * WIDTH;
    }
    wilor_product_run(&p, b->pool);
}

/* Half of the queries of a head: keys, values and queries stand side by side. */
static void attention_unit(void *context, int unit, int thread) {
    const bench *b = context;
    const wilor_dot *d = b->dot;
    int strips = wilor_panels(WILOR_TOKENS, d->nr), half = unit % HALVES;
    int from = strips * half / HALVES * d->nr, to = strips * (half + 1) / HALVES * d->nr;
    to = to < WILOR_TOKENS ? to : WILOR_TOKENS;
    const float *k = b->rows + (size_t)(unit / HALVES) * WILOR_TOKENS * 3 * DIM;
    const float *q = k + 2 * DIM + (size_t)from * 3 * DIM;
    float *out = b->out + (size_t)from * WIDTH + unit / HALVES * DIM;
    void *scratch = b->room + (size_t)thread * b->room_bytes;
    if (d->begin)
        d->begin();
    if (d->attend) {
        wilor_dot_attention a = {q,
                                 k,
                                 k + DIM,
                                 3 * DIM,
                                 3 * DIM,
                                 to - from,
                                 WILOR_TOKENS,
                                 DIM,
                                 1.0f / sqrtf((float)DIM),
                                 out,
                                 WIDTH,
                                 scratch};
        d->attend(d, &a);
        return;
    }
    wilor_attention a = {.kernels = d->kernels,
                         .head_dim = DIM,
                         .queries = to - from,
                         .keys = WILOR_TOKENS,
                         .q = q,
                         .k = k,
                         .v = k + DIM,
                         .ldq = 3 * DIM,
                         .ldkv = 3 * DIM,
                         .scratch = scratch,
                         .out = out,
                         .ldo = WIDTH};
    wilor_attention_run(&a);
}

static void norm_unit(void *context, int unit, int thread) {
    const bench *b = context;
    size_t at = (size_t)unit * NORM_ROWS * WIDTH;
    (void)thread;
    b->dot->kernels->layernorm_f32(b->rows + at, WIDTH, NORM_ROWS, WIDTH, b->norm,
                                   b->norm + WIDTH, 1e-6f, b->out + at, WIDTH);
}

/* A panel of columns, tile by tile; the tile is in the first-level cache, as a product leaves it. */
static void gelu_unit(void *context, int unit, int thread) {
    const bench *b = context;
    const wilor_kernels *t = b->dot->kernels;
    float *tile = (float *)(void *)(b->room + (size_t)thread * b->room_bytes);
    for (int row = 0; row < WILOR_TOKENS; row += t->mr) {
        int rows = WILOR_TOKENS - row < t->mr ? WILOR_TOKENS - row : t->mr;
        memcpy(tile, b->rows, (size_t)(t->mr * t->nr) * sizeof *tile);
        t->bias_gelu_f32(tile, rows, b->norm + unit * t->nr);
    }
}

static void run_once(bench *b) {
    if (b->plan.piece < ATTENTION)
        run_product(b);
    else if (b->plan.piece == ATTENTION)
        wilor_threads_run(b->pool, attention_unit, b, HEADS * HALVES);
    else if (b->plan.piece == NORM)
        wilor_threads_run(b->pool, norm_unit, b, WILOR_TOKENS / NORM_ROWS);
    else
        wilor_threads_run(b->pool, gelu_unit, b, wilor_panels(MLP, b->dot->kernels->nr));
    if (b->dot->end)
        b->dot->end();
}

/* ---------------------------------------------------------------- timing */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A tenth of the time to get warm, one run at least; then so many as fit, three at least. A first run that takes
 * longer than all of that stands for itself. */
static void time_runs(bench *b, double seconds, wilor_kernel_time *out) {
    double ms[MOST_RUNS];
    int n = 0;
    uint64_t start = wilor_clock_ns(), most = (uint64_t)(seconds * 1e9);
    do
        run_once(b);
    while (wilor_clock_ns() - start < most / 10);
    uint64_t warm = wilor_clock_ns() - start;
    bool slow = warm > LEAST_RUNS * most;
    if (slow)
        ms[n++] = (double)warm * 1e-6;
    start = wilor_clock_ns();
    while (!slow && n < MOST_RUNS && (n < LEAST_RUNS || wilor_clock_ns() - start < most)) {
        uint64_t begin = wilor_clock_ns();
        run_once(b);
        ms[n++] = (double)(wilor_clock_ns() - begin) * 1e-6;
    }
    qsort(ms, (size_t)n, sizeof *ms, by_value);
    out->n = n;
    out->min_ms = ms[0];
    out->median_ms = n % 2 ? ms[n / 2] : (ms[n / 2 - 1] + ms[n / 2]) / 2;
    out->p90_ms = ms[(9 * n + 9) / 10 - 1];
}

wilor_status wilor_kernel_measure(int index, int threads, double seconds,
                                  wilor_kernel_time *out, size_t size, wilor_error *err) {
    wilor_status st = WILOR_OK;
    plan plans[MOST_PLANS];
    wilor_kernel_time time = {0};
    bench b = {0};
    int count = list_plans(plans);
    wilor_error_clear(err);
    if (!out)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_kernel_measure: out may not be NULL");
    memset(out, 0, size);
    if (index < 0 || index >= count)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_kernel_measure: kernel %d of %d", index, count);
    if (!(seconds >= 0) || seconds > 3600)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_kernel_measure: %g seconds; the limit is 3600",
                   seconds);
    b.plan = plans[index];
    b.dot = b.plan.dot;
    describe(&b.plan, &time);
    threads = threads ? threads : wilor_threads_default();
    time.threads = threads;
    if (seconds > 0) {
        WILOR_TRY(wilor_threads_create(&b.pool, threads, err));
        WILOR_TRY(prepare(&b, threads, err));
        time_runs(&b, seconds, &time);
    }
    memcpy(out, &time, size < sizeof time ? size : sizeof time);
done:
    wilor_threads_free(&b.pool);
    wilor_pages_free(&b.pages);
    return st;
}
