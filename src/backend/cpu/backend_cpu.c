/* WiLoR on the processor: backbone, first pose, RefineNet, second pose. The order of the lean
 * pass: the last block for the 18 leading tokens and 2 × 2 patches of all hands; pose; where do
 * the vertices fall on the maps? For a hand whose points need more patches, the last block
 * again for those. */
#include "backend_cpu.h"

#include "clock.h"
#include "rotation.h"

#include <string.h>

/* ---------------------------------------------------------------- model */

static wilor_status load_into(wilor_cpu_model *m, wilor_loader *l, const wilor_vit_dims *dims,
                              const wilor_dot *dot, int bits) {
    wilor_status st = WILOR_OK;
    /* RefineNet first: it needs memory for a moment, the backbone none. */
    WILOR_TRY(wilor_refine_load(&m->refine, l, dims->width));
    WILOR_TRY(wilor_vit_load(&m->vit, l, dims, dot, bits));
done:
    return st;
}

/* Learned numbers: not the batch norms' statistics, nor the mean hand, nor the scales of quantised
 * layers, whose own numbers count. */
static bool is_learned(const wilor_tensor *t) {
    return (strncmp(t->name, "backbone.", 9) == 0 || strncmp(t->name, "refine_net.", 11) == 0 ||
            strncmp(t->name, "side_head.", 10) == 0) &&
           strncmp(t->name, "backbone.init_", 14) != 0 && !strstr(t->name, ".running_") &&
           !strstr(t->name, ".scales") && !strstr(t->name, ".biases") &&
           t->dtype <= WILOR_BF16; /* num_batches_tracked is a whole number */
}

/* Of a quantised layer, in whatever form; 0 for other tensors. */
static uint64_t count_quantised(const wilor_index *x, const wilor_tensor *t) {
    char layer[160];
    wilor_matrix_view m;
    const char *end = strstr(t->name, ".weight");
    size_t n = end ? (size_t)(end - t->name) : sizeof layer;
    if ((t->dtype != WILOR_U32 && t->dtype != WILOR_I8) || n >= sizeof layer)
        return 0;
    memcpy(layer, t->name, n);
    layer[n] = 0;
    if (wilor_matrix_find(&m, x, layer, wilor_matrix_inputs(x, layer), NULL) != WILOR_OK)
        return 0;
    return (uint64_t)m.outputs * (uint64_t)m.inputs;
}

uint64_t wilor_backend_count_parameters(const wilor_tensor_source *s) {
    uint64_t n = 0;
    for (size_t i = 0; i < wilor_index_count(s->weights); i++) {
        const wilor_tensor *t = wilor_index_at(s->weights, i);
        n += is_learned(t) ? t->count : count_quantised(s->weights, t);
    }
    return n;
}

/* What computes, and how many bits the blocks' weights are kept in (0: as the file has them). */
typedef struct arithmetic {
    wilor_dtype dtype;
    const wilor_dot *dot;
    int bits;
} arithmetic;

/* bfloat16 where it is quicker than float32. */
static const wilor_dot *quick_bf16(const wilor_kernels *t) {
    const wilor_dot *dot = wilor_dot_get(WILOR_ARITH_BF16, t);
    return dot && dot->quick ? dot : NULL;
}

static wilor_status choose_arithmetic(arithmetic *a, wilor_dtype dtype, const wilor_kernels *t,
                                      wilor_error *err) {
    static const char *const needs[] = {[WILOR_DTYPE_F32X] = "AMX",
                                        [WILOR_DTYPE_F16] = "a graphics card",
                                        [WILOR_DTYPE_BF16] = "AMX, AVX512-BF16 or Arm's BF16",
                                        [WILOR_DTYPE_INT8] = "another processor",
                                        [WILOR_DTYPE_FP8] = "a graphics card"};
    *a = (arithmetic){.dtype = dtype};
    if (dtype == WILOR_DTYPE_AUTO)
        a->dtype = quick_bf16(t) ? WILOR_DTYPE_BF16 : WILOR_DTYPE_F32;
    switch (a->dtype) {
    case WILOR_DTYPE_F32:
        a->dot = wilor_dot_get(WILOR_ARITH_F32, t);
        break;
    case WILOR_DTYPE_F32X:
        a->dot = wilor_dot_get(WILOR_ARITH_F32X, t);
        break;
    case WILOR_DTYPE_BF16:
        a->dot = wilor_dot_get(WILOR_ARITH_BF16, t);
        break;
    case WILOR_DTYPE_INT8:
        a->dot = wilor_dot_get(WILOR_ARITH_INT8, t);
        break;
    case WILOR_DTYPE_INT4:
        a->bits = 4;
        a->dot = quick_bf16(t) ? quick_bf16(t) : wilor_dot_get(WILOR_ARITH_F32, t);
        break;
    default:
        break;
    }
    if (!a->dot)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "dtype %s needs %s, which this processor (tier %s) has not got",
                               wilor_dtype_name(a->dtype), needs[a->dtype],
                               wilor_isa_name(t->isa));
    return WILOR_OK;
}

static void cpu_unload(void *model) {
    wilor_cpu_model *m = model;
    if (!m)
        return;
    wilor_arena_end(&m->arena);
    wilor_pages_free(&m->pages);
    wilor_heap_free(m->vit.blocks);
    wilor_heap_free(m);
}

static const void *cpu_packed(const void *model, size_t *bytes) {
    const wilor_cpu_model *m = model;
    wilor_arena_expose(&m->arena);
    *bytes = m->bytes;
    return m->arena.base;
}

static bool cpu_tells_side(const void *model) {
    return ((const wilor_cpu_model *)model)->vit.side_weight != NULL;
}

static wilor_status cpu_load(void **out, const wilor_backend_load *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_vit_dims dims;
    wilor_cpu_model *m = NULL;
    float *scratch = NULL;
    arithmetic how;
    wilor_loader l = {.kernels = wilor_kernels_best(o->max_isa),
                      .source = o->source,
                      .pool = o->pool,
                      .callbacks = o->callbacks,
                      .err = err};
    size_t threads = (size_t)wilor_threads_count(o->pool);
    *out = NULL;
    WILOR_TRY(choose_arithmetic(&how, o->dtype, l.kernels, err));
    WILOR_TRY(wilor_vit_measure(&dims, o->source, o->heads, err));
    m = wilor_heap_alloc(1, sizeof *m);
    size_t widest = (size_t)(dims.mlp > 4 * dims.width ? dims.mlp : 4 * dims.width);
    widest = widest > WILOR_PATCH_INPUTS ? widest : WILOR_PATCH_INPUTS;
    l.scratch_stride = wilor_linear_scratch(l.kernels, widest);
    scratch = wilor_heap_alloc(threads * l.scratch_stride, sizeof *scratch);
    if (!m || !scratch)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to load the model");
    l.scratch = scratch;
    l.arena = &m->arena;
    m->mano = o->mano;
    wilor_arena_begin(&m->arena, NULL, 0);
    WILOR_TRY(load_into(m, &l, &dims, how.dot, how.bits));
    m->bytes = wilor_arena_used(&m->arena);
    m->in_place = l.assign = o->packed && o->packed_bytes == m->bytes;
    if (m->bytes == SIZE_MAX || (!l.assign && !wilor_pages_alloc(&m->pages, m->bytes)))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for %zu MB of weights", m->bytes / 1000000);
    wilor_arena_begin(&m->arena, l.assign ? (void *)(uintptr_t)o->packed : m->pages.data,
                      m->bytes);
    WILOR_TRY(load_into(m, &l, &dims, how.dot, how.bits));
    m->room = l.room;
    m->parameters = wilor_backend_count_parameters(o->source);
    m->dtype = how.dtype;
    *out = m;
    m = NULL;
done:
    wilor_heap_free(scratch);
    cpu_unload(m);
    return st;
}

static void cpu_info(const void *model, wilor_model_info *info) {
    const wilor_cpu_model *m = model;
    info->width = m->vit.width;
    info->depth = m->vit.depth;
    info->heads = m->vit.heads;
    info->mlp = m->vit.mlp;
    info->parameters = m->parameters;
    info->packed_bytes = m->bytes;
    info->isa = m->vit.kernels->isa;
    info->from_packed = m->in_place;
    info->dtype = m->dtype;
    info->kernels = m->vit.dot->name;
}

/* ---------------------------------------------------------------- session */

static void push_work(wilor_cpu_session *s, const wilor_cpu_model *m,
                      const wilor_backend_session *o, int threads, wilor_arena *arena) {
    size_t n = (size_t)o->batch, f = sizeof(float);
    wilor_vit_work_push(&s->vit, &m->vit, o->batch, threads, wilor_refine_packed(&m->refine),
                        wilor_refine_scratch(&m->refine), m->room, arena);
    wilor_refine_work_push(&s->refine, &m->refine, wilor_mano_vertices(m->mano),
                           o->compat == WILOR_COMPAT_MLX, o->batch, arena);
    s->refine.packed = s->vit.packed;
    s->refine.scratch = s->vit.scratch;
    s->refine.scratch_floats = s->vit.scratch_floats;
    s->refine.tiles = s->vit.tiles;
    s->refine.tile_stride = s->vit.tile_stride;
    s->pose6d = wilor_arena_push(arena, n * WILOR_POSE_NUMBERS, f);
    s->mano_floats = (wilor_mano_scratch(m->mano) + 15) / 16 * 16;
    s->mano = wilor_arena_push(arena, (size_t)threads * s->mano_floats, f);
}

static size_t cpu_memory(const void *model, const wilor_backend_session *o, int threads) {
    wilor_arena arena;
    wilor_cpu_session s = {0};
    wilor_arena_begin(&arena, NULL, 0);
    push_work(&s, model, o, threads, &arena);
    return wilor_arena_used(&arena);
}

static void cpu_close(void *session) {
    wilor_cpu_session *s = session;
    if (!s)
        return;
    wilor_arena_end(&s->arena);
    wilor_pages_free(&s->pages);
    wilor_heap_free(s);
}

static wilor_status cpu_open(void **out, const void *model, const wilor_backend_session *o,
                             wilor_threads *pool, wilor_error *err) {
    wilor_status st = WILOR_OK;
    int threads = wilor_threads_count(pool);
    size_t bytes = cpu_memory(model, o, threads);
    wilor_cpu_session *s = wilor_heap_alloc(1, sizeof *s);
    *out = NULL;
    if (!s || bytes == SIZE_MAX || !wilor_pages_alloc(&s->pages, bytes))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a session of %zu MB", bytes / 1000000);
    s->model = model;
    s->pool = pool;
    s->o = *o;
    wilor_arena_begin(&s->arena, s->pages.data, s->pages.bytes);
    push_work(s, model, o, threads, &s->arena);
    *out = s;
    s = NULL;
done:
    cpu_close(s);
    return st;
}

/* ---------------------------------------------------------------- run */

static wilor_span start_part(const wilor_cpu_session *s) {
    return wilor_span_begin(s->pool, s->vit.profile);
}

static void end_part(wilor_cpu_session *s, wilor_cpu_part part, wilor_span begin) {
    wilor_span_end(&s->part[part], begin, s->pool, s->vit.profile);
}

typedef struct pose_job {
    wilor_cpu_session *s;
    wilor_backend_result *out;
    const float *betas; /* per hand, or the same for all */
    int betas_step;
} pose_job;

/* One hand: 6D -> matrices -> vertices and keypoints. */
static void pose_unit(void *context, int hand, int thread) {
    const pose_job *j = context;
    wilor_cpu_session *s = j->s;
    size_t h = (size_t)hand, v = (size_t)s->refine.vertices * 3;
    float *rotation = j->out->rotation + h * 16 * 9;
    void (*from_6d)(const float *, float *) =
        s->o.compat == WILOR_COMPAT_MLX ? wilor_rotation_from_6d_mlx : wilor_rotation_from_6d;
    for (int i = 0; i < 16; i++)
        from_6d(s->pose6d + h * WILOR_POSE_NUMBERS + 6 * i, rotation + 9 * i);
    wilor_mano_forward(s->model->mano, rotation, j->betas + hand * j->betas_step,
                       s->mano + (size_t)thread * s->mano_floats, j->out->verts + h * v, NULL,
                       j->out->keypoints + h * 21 * 3);
}

static void pose_hands(wilor_cpu_session *s, int first, int n, const float *betas,
                       int betas_step, wilor_backend_result *out) {
    size_t f = (size_t)first;
    wilor_backend_result part = {.rotation = out->rotation + f * 16 * 9,
                                 .verts = out->verts + f * (size_t)s->refine.vertices * 3,
                                 .keypoints = out->keypoints + f * 21 * 3};
    pose_job job = {s, &part, betas, betas_step};
    wilor_span begin = start_part(s);
    float *all = s->pose6d;
    s->pose6d += f * WILOR_POSE_NUMBERS;
    wilor_threads_run(s->pool, pose_unit, &job, n);
    s->pose6d = all;
    end_part(s, WILOR_CPU_MANO, begin);
}

/* The last block for n hands from `first` on, with rows × cols patches of each. */
static void run_tail(wilor_cpu_session *s, int first, int n, int rows, int cols) {
    wilor_span begin = start_part(s);
    wilor_vit_tail(&s->model->vit, &s->vit, first, n, rows, cols, s->pool);
    end_part(s, WILOR_CPU_LAST_BLOCK, begin);
}

/* The pose that n hands' tokens say, `rows` of a hand. */
static void read_out(wilor_cpu_session *s, int first, int n, int rows,
                     wilor_backend_result *out) {
    size_t h = (size_t)first;
    wilor_span begin = start_part(s);
    wilor_vit_read_out(&s->model->vit, &s->vit, n, rows, s->pose6d + h * WILOR_POSE_NUMBERS,
                       out->betas + h * WILOR_BETAS, out->cam + h * WILOR_CAM, s->pool);
    if (out->side_logit)
        wilor_vit_tell_side(&s->model->vit, &s->vit, n, rows, out->side_logit + h);
    end_part(s, WILOR_CPU_HEADS, begin);
}

static void sample_and_decode(wilor_cpu_session *s, int hand, wilor_backend_result *out) {
    size_t h = (size_t)hand;
    wilor_span begin = start_part(s);
    wilor_refine_sample(&s->refine, s->pool);
    wilor_refine_decode(&s->model->refine, &s->refine, s->pose6d + h * WILOR_POSE_NUMBERS,
                        out->betas + h * WILOR_BETAS, out->cam + h * WILOR_CAM, s->pool);
    end_part(s, WILOR_CPU_REFINE, begin);
}

/* RefineNet for one hand, whose tokens begin at `tokens` with rows × cols patches after the
 * lead. */
static void refine_hand(wilor_cpu_session *s, int hand, const float *tokens, int rows, int cols,
                        wilor_backend_result *out) {
    size_t d = (size_t)s->model->vit.width;
    s->corner[hand] = rows;
    wilor_span begin = start_part(s);
    wilor_refine_maps(&s->model->refine, &s->refine, tokens + WILOR_LEAD * d, d, rows, cols,
                      s->pool);
    end_part(s, WILOR_CPU_REFINE, begin);
    sample_and_decode(s, hand, out);
}

static void project_hand(wilor_cpu_session *s, int hand, const wilor_backend_result *out) {
    size_t h = (size_t)hand;
    wilor_span begin = start_part(s);
    wilor_refine_project(&s->refine, out->verts + h * (size_t)s->refine.vertices * 3,
                         out->cam + h * WILOR_CAM);
    end_part(s, WILOR_CPU_REFINE, begin);
}

/* All tokens of a hand, and the pose they say. */
static void first_pose(wilor_cpu_session *s, int hand, wilor_backend_result *out) {
    run_tail(s, hand, 1, WILOR_GRID_ROWS, WILOR_GRID_COLS);
    read_out(s, hand, 1, WILOR_TOKENS, out);
    pose_hands(s, hand, 1, out->betas + (size_t)hand * WILOR_BETAS, 0, out);
}

/* All tokens and whole maps, hand by hand: the oracle. */
static void run_full(wilor_cpu_session *s, int n, wilor_backend_result *out) {
    for (int hand = 0; hand < n; hand++) {
        first_pose(s, hand, out);
        project_hand(s, hand, out);
        refine_hand(s, hand, s->vit.tokens, WILOR_GRID_ROWS, WILOR_GRID_COLS, out);
    }
}

/* Hands wait for each other where they share statistics. */
static void run_mlx(wilor_cpu_session *s, int n, wilor_backend_result *out) {
    const wilor_refine *r = &s->model->refine;
    size_t d = (size_t)s->model->vit.width;
    for (int hand = 0; hand < n; hand++) {
        first_pose(s, hand, out);
        s->corner[hand] = WILOR_GRID_ROWS;
        wilor_span begin = start_part(s);
        wilor_refine_maps_begin(r, &s->refine, hand, s->vit.tokens + WILOR_LEAD * d, d,
                                s->pool);
        end_part(s, WILOR_CPU_REFINE, begin);
    }
    wilor_span end = start_part(s);
    wilor_refine_maps_end(r, &s->refine, n, s->pool);
    end_part(s, WILOR_CPU_REFINE, end);
    for (int hand = 0; hand < n; hand++) {
        wilor_refine_choose(&s->refine, hand);
        project_hand(s, hand, out);
        sample_and_decode(s, hand, out);
    }
}

static void run_lean(wilor_cpu_session *s, int n, wilor_backend_result *out) {
    enum { P = WILOR_CORNER_LEAST, ROWS = WILOR_LEAD + P * P };

    size_t d = (size_t)s->model->vit.width;
    int wide[WILOR_MAX_BATCH], wide_count = 0;
    run_tail(s, 0, n, P, P);
    read_out(s, 0, n, ROWS, out);
    pose_hands(s, 0, n, out->betas, WILOR_BETAS, out);
    for (int hand = 0; hand < n; hand++) {
        project_hand(s, hand, out);
        if (wilor_refine_corner(&s->refine) > P)
            wide[wide_count++] = hand; /* its tokens are computed when these are used up */
        else
            refine_hand(s, hand, s->vit.tokens + (size_t)hand * ROWS * d, P, P, out);
    }
    for (int i = 0; i < wide_count; i++) {
        project_hand(s, wide[i], out);
        int p = wilor_refine_corner(&s->refine);
        int cols = p < WILOR_GRID_COLS ? p : WILOR_GRID_COLS;
        run_tail(s, wide[i], 1, p, cols);
        refine_hand(s, wide[i], s->vit.tokens, p, cols, out);
    }
}

static wilor_status cpu_run(void *session, const float *rgb, const wilor_backend_crop *crops,
                            int n, const float *fixed_betas, wilor_backend_result *out,
                            wilor_error *err) {
    wilor_cpu_session *s = session;
    (void)crops;
    (void)err;
    uint64_t start = wilor_clock_ns();
    memset(s->part, 0, sizeof s->part);
    wilor_vit_run(&s->model->vit, &s->vit, rgb, n, s->pool);
    out->network_ns = wilor_clock_ns() - start;
    memcpy(s->network, s->vit.phase, sizeof s->network); /* the last block's come apart */
    if (s->o.compat == WILOR_COMPAT_MLX)
        run_mlx(s, n, out);
    else if (s->o.full_path)
        run_full(s, n, out);
    else
        run_lean(s, n, out);
    if (fixed_betas)
        for (int hand = 0; hand < n; hand++)
            memcpy(out->betas + hand * WILOR_BETAS, fixed_betas, WILOR_BETAS * sizeof(float));
    pose_hands(s, 0, n, out->betas, WILOR_BETAS, out);
    return WILOR_OK;
}

static void cpu_profile(void *session, bool on) {
    ((wilor_cpu_session *)session)->vit.profile = on;
}

static void cpu_times(const void *session, wilor_backend_times *out) {
    static const struct {
        wilor_phase phase;
        const char *name;
    } phases[WILOR_PHASES] = {
        {WILOR_PHASE_EMBED, "embed"}, {WILOR_PHASE_NORM, "norm"},
        {WILOR_PHASE_QKV, "qkv"},     {WILOR_PHASE_ATTENTION, "attention"},
        {WILOR_PHASE_PUT, "put"},     {WILOR_PHASE_PROJ, "proj"},
        {WILOR_PHASE_FC1, "fc1"},     {WILOR_PHASE_FC2, "fc2"},
    };

    static const char *const parts[WILOR_CPU_PARTS] = {"last_block", "heads", "mano", "refine"};
    const wilor_cpu_session *s = session;
    *out = (wilor_backend_times){.n = WILOR_PHASES + WILOR_CPU_PARTS};
    for (int i = 0; i < out->n; i++) {
        out->network[i] = i < WILOR_PHASES;
        out->name[i] = i < WILOR_PHASES ? phases[i].name : parts[i - WILOR_PHASES];
        out->span[i] =
            i < WILOR_PHASES ? s->network[phases[i].phase] : s->part[i - WILOR_PHASES];
    }
}

const wilor_backend *wilor_backend_cpu(void) {
    static const wilor_backend cpu = {.name = "cpu",
                                      .load = cpu_load,
                                      .unload = cpu_unload,
                                      .info = cpu_info,
                                      .packed = cpu_packed,
                                      .tells_side = cpu_tells_side,
                                      .memory = cpu_memory,
                                      .open = cpu_open,
                                      .close = cpu_close,
                                      .run = cpu_run,
                                      .profile = cpu_profile,
                                      .times = cpu_times};
    return &cpu;
}
