/* Sessions: graphs that are built and compiled once for each number of hands, then evaluated once a run. */
#include "mlx_session.h"

#include "mlx_worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a graph gives, in this order; the last of models with a side head only. */
enum { ROTATION, BETAS, CAM, KEYPOINTS, VERTS, NEED, STREAM, SIDE, RESULTS };

enum { FIXED = 1 + MLX_BETAS }; /* 1 and a shape, or 0 */

typedef struct session {
    const wilor_mlx_model *m;
    wilor_mlx_session_options o;
    wilor_mlx_worker *worker;
    /* The worker's. */
    mlx_stream stream;
    mlx_closure whole; /* crops, fixed -> results */
    mlx_closure
        wide; /* one hand's stream before the last block, fixed -> results by all patches */
    wilor_mlx_trace trace;
    void *trace_context;
} session;

typedef struct run {
    session *s;
    const float *rgb;
    int n;
    float fixed[FIXED];
    wilor_mlx_output *out; /* NULL: nobody looks */
} run;

/* ---------------------------------------------------------------- graphs */

static size_t result_count(const session *s) { return s->m->shape.side_head ? RESULTS : SIDE; }

static void tell_pose(wilor_mlx_graph *g, const wilor_mlx_pose *p, const wilor_mlx_posed *hands,
                      bool last) {
    wilor_mlx_graph_tell(g, last ? "pose6d" : "pose6d0", 0, p->six);
    wilor_mlx_graph_tell(g, last ? "betas" : "betas0", 0, p->betas);
    wilor_mlx_graph_tell(g, last ? "cam" : "cam0", 0, p->cam);
    wilor_mlx_graph_tell(g, last ? "verts" : "verts0", 0, hands->verts);
}

/* From the stream before the last block to the hands; side: patches that are computed of it. */
static void build_rest(wilor_mlx_graph *g, const session *s, mlx_array x, mlx_array fixed,
                       int n, int side, mlx_array out[RESULTS]) {
    const wilor_mlx_model *m = s->m;
    bool like_mlx = s->o.compat_mlx;
    mlx_array need;
    mlx_array tokens = wilor_mlx_last_block(g, m, x, n, side);
    wilor_mlx_pose p = wilor_mlx_read_out(g, m, tokens, n);
    wilor_mlx_posed hands = wilor_mlx_pose_hands(g, &m->hand, p.six, p.betas, n, like_mlx);
    tell_pose(g, &p, &hands, false);
    p = wilor_mlx_refine(g, m, tokens, &p, hands.verts, n, side, like_mlx, &need);
    p.betas = wilor_mlx_where(g, wilor_mlx_slice(g, fixed, 0, 0, 1),
                              wilor_mlx_slice(g, fixed, 0, 1, FIXED), p.betas);
    hands = wilor_mlx_pose_hands(g, &m->hand, p.six, p.betas, n, like_mlx);
    tell_pose(g, &p, &hands, true);
    mlx_array results[RESULTS] = {[ROTATION] = hands.rotation,
                                  [BETAS] = p.betas,
                                  [CAM] = p.cam,
                                  [KEYPOINTS] = hands.keypoints,
                                  [VERTS] = hands.verts,
                                  [NEED] = need,
                                  [STREAM] = x};
    if (m->shape.side_head)
        results[SIDE] = wilor_mlx_tell_side(g, m, tokens, n);
    for (size_t i = 0; i < result_count(s); i++)
        out[i] = wilor_mlx_contiguous(g, results[i]);
}

static void build_whole(wilor_mlx_graph *g, const session *s, mlx_array rgb, mlx_array fixed,
                        int n, mlx_array out[RESULTS]) {
    bool whole = s->o.full_path || s->o.compat_mlx;
    mlx_array x = wilor_mlx_backbone(g, s->m, rgb, n);
    build_rest(g, s, x, fixed, n, whole ? MLX_ROWS : MLX_CORNER, out);
}

typedef void (*builder)(wilor_mlx_graph *, const session *, mlx_array, mlx_array, int,
                        mlx_array *);

static void build_wide(wilor_mlx_graph *g, const session *s, mlx_array x, mlx_array fixed,
                       int n, mlx_array out[RESULTS]) {
    build_rest(g, s, x, fixed, n, MLX_ROWS, out);
}

/* A closure's function: inputs are what is computed on, and the fixed shape. */
static int trace_graph(mlx_vector_array *out, mlx_vector_array in, const session *s,
                       builder build) {
    wilor_mlx_graph g;
    mlx_array input[2] = {{NULL}, {NULL}}, results[RESULTS];
    int failed =
        mlx_vector_array_get(&input[0], in, 0) || mlx_vector_array_get(&input[1], in, 1);
    wilor_mlx_graph_begin(&g, s->stream);
    if (!failed) {
        build(&g, s, input[0], input[1], mlx_array_dim(input[0], 0), results);
        failed = g.failed || mlx_vector_array_set_data(out, results, result_count(s));
    }
    wilor_mlx_graph_end(&g);
    mlx_array_free(input[0]);
    mlx_array_free(input[1]);
    return failed;
}

static int trace_whole(mlx_vector_array *out, const mlx_vector_array in, void *s) {
    return trace_graph(out, in, s, build_whole);
}

static int trace_wide(mlx_vector_array *out, const mlx_vector_array in, void *s) {
    return trace_graph(out, in, s, build_wide);
}

/* ---------------------------------------------------------------- runs */

/* Result `i` of a graph, from hand `first` of `to`, whose hands have `each` numbers. */
static int take(mlx_vector_array results, int i, float *to, size_t count) {
    mlx_array a = mlx_array_new();
    const float *data = NULL;
    if (mlx_vector_array_get(&a, results, (size_t)i) == 0 && mlx_array_size(a) == count)
        data = mlx_array_data_float32(a);
    if (data)
        memcpy(to, data, count * sizeof *to);
    mlx_array_free(a);
    return !data;
}

static int take_sides(mlx_vector_array results, const session *s, const wilor_mlx_output *o,
                      int first, int n) {
    if (o->side_logit && s->m->shape.side_head)
        return take(results, SIDE, o->side_logit + first, (size_t)n);
    for (int i = 0; o->side_logit && i < n; i++)
        o->side_logit[first + i] = NAN;
    return 0;
}

static int take_hands(mlx_vector_array results, const session *s, wilor_mlx_output *o,
                      int first, int n) {
    size_t f = (size_t)first, h = (size_t)n, v = 3 * (size_t)s->m->hand.vertices;
    return take(results, ROTATION, o->rotation + f * MLX_JOINTS * 9, h * MLX_JOINTS * 9) ||
           take(results, BETAS, o->betas + f * MLX_BETAS, h * MLX_BETAS) ||
           take(results, CAM, o->cam + f * MLX_CAM, h * MLX_CAM) ||
           take(results, KEYPOINTS, o->keypoints + f * MLX_KEYPOINTS * 3,
                h * MLX_KEYPOINTS * 3) ||
           take(results, VERTS, o->verts + f * v, h * v) || take_sides(results, s, o, first, n);
}

static int apply(mlx_vector_array *out, mlx_closure f, mlx_array x, mlx_array fixed) {
    const mlx_array both[] = {x, fixed};
    if (!x.ctx || !fixed.ctx)
        return 1;
    mlx_vector_array in = mlx_vector_array_new_data(both, 2);
    int failed = mlx_closure_apply(out, f, in) || mlx_eval(*out);
    mlx_vector_array_free(in);
    return failed;
}

/* One hand once more, from the last block on. */
static int run_wide(const run *r, mlx_vector_array results, mlx_array fixed, int hand) {
    wilor_mlx_graph g;
    mlx_vector_array wide = mlx_vector_array_new();
    mlx_array x = mlx_array_new();
    int failed = mlx_vector_array_get(&x, results, STREAM);
    wilor_mlx_graph_begin(&g, r->s->stream);
    if (!failed)
        failed = apply(&wide, r->s->wide, wilor_mlx_slice(&g, x, 0, hand, hand + 1), fixed) ||
                 take_hands(wide, r->s, r->out, hand, 1);
    wilor_mlx_graph_end(&g);
    mlx_array_free(x);
    mlx_vector_array_free(wide);
    r->out->wide++;
    return failed;
}

/* Hands whose points fall on more than the corner's pixels. */
static int run_wide_hands(const run *r, mlx_vector_array results, mlx_array fixed) {
    float need[256];
    int failed = take(results, NEED, need, (size_t)r->n);
    for (int i = 0; !failed && i < r->n; i++)
        if (!(need[i] <= (float)(MLX_CORNER - 1)))
            failed = run_wide(r, results, fixed, i);
    return failed;
}

static mlx_array crops_of(const run *r) {
    return mlx_array_new_data(r->rgb, (const int[]){r->n, MLX_SIDE, MLX_SIDE, 3}, 4,
                              MLX_FLOAT32);
}

/* The stages of a run, for tests. */
static int tell_stages(const run *r, const wilor_mlx_graph *g) {
    int failed = 0;
    for (int i = 0; !failed && i < g->stage_count; i++) {
        wilor_mlx_graph own;
        const wilor_mlx_stage *stage = &g->stages[i];
        wilor_mlx_graph_begin(&own, r->s->stream);
        mlx_array a = wilor_mlx_contiguous(&own, wilor_mlx_as(&own, stage->array, MLX_FLOAT32));
        failed = own.failed || mlx_array_eval(a);
        if (!failed) {
            int cols = mlx_array_dim(a, (int)mlx_array_ndim(a) - 1);
            int rows = (int)(mlx_array_size(a) / (size_t)cols);
            r->s->trace(r->s->trace_context, stage->name, stage->block,
                        mlx_array_data_float32(a), rows, cols);
        }
        wilor_mlx_graph_end(&own);
    }
    return failed;
}

static int run_traced(const run *r, mlx_vector_array *results, mlx_array rgb, mlx_array fixed) {
    wilor_mlx_graph g;
    mlx_array out[RESULTS];
    wilor_mlx_graph_begin(&g, r->s->stream);
    g.stages = calloc(WILOR_MLX_STAGES, sizeof *g.stages);
    build_whole(&g, r->s, rgb, fixed, r->n, out);
    int failed = !g.stages || g.failed ||
                 mlx_vector_array_set_data(results, out, result_count(r->s)) ||
                 mlx_eval(*results) || tell_stages(r, &g);
    free(g.stages);
    wilor_mlx_graph_end(&g);
    return failed;
}

static wilor_mlx_result run_job(void *context, wilor_mlx_error *err) {
    const run *r = context;
    bool lean = !r->s->o.full_path && !r->s->o.compat_mlx;
    mlx_vector_array results = mlx_vector_array_new();
    mlx_array rgb = crops_of(r);
    mlx_array fixed = mlx_array_new_data(r->fixed, (const int[]){FIXED}, 1, MLX_FLOAT32);
    int failed = r->s->trace ? run_traced(r, &results, rgb, fixed)
                             : apply(&results, r->s->whole, rgb, fixed);
    if (!failed && r->out) {
        r->out->wide = 0;
        failed = take_hands(results, r->s, r->out, 0, r->n) ||
                 (lean && run_wide_hands(r, results, fixed));
    }
    mlx_array_free(rgb);
    mlx_array_free(fixed);
    mlx_vector_array_free(results);
    return failed ? wilor_mlx_errors_take(err, "a run") : WILOR_MLX_OK;
}

wilor_mlx_result wilor_mlx_session_run(void *session_, const float *rgb, int n,
                                       const float *fixed_betas, wilor_mlx_output *out,
                                       wilor_mlx_error *err) {
    session *s = session_;
    run r = {.s = s, .rgb = rgb, .n = n, .out = out};
    if (fixed_betas) {
        r.fixed[0] = 1;
        memcpy(r.fixed + 1, fixed_betas, MLX_BETAS * sizeof(float));
    }
    return wilor_mlx_worker_do(s->worker, run_job, &r, err);
}

void wilor_mlx_session_trace(void *session_, wilor_mlx_trace trace, void *context) {
    session *s = session_;
    s->trace = trace;
    s->trace_context = context;
}

/* ---------------------------------------------------------------- open and close */

static wilor_mlx_result open_job(void *context, wilor_mlx_error *err) {
    session *s = context;
    int failed = wilor_mlx_compile(&s->whole, &s->stream, s->m->gpu, trace_whole, s) ||
                 wilor_mlx_compile(&s->wide, &s->stream, s->m->gpu, trace_wide, s);
    return failed ? wilor_mlx_errors_take(err, "a session") : WILOR_MLX_OK;
}

static wilor_mlx_result close_job(void *context, wilor_mlx_error *err) {
    session *s = context;
    (void)err;
    if (s->stream.ctx)
        mlx_synchronize(s->stream);
    mlx_closure_free(s->whole);
    mlx_closure_free(s->wide);
    mlx_stream_free(s->stream);
    return WILOR_MLX_OK;
}

/* The first run of a number of hands builds its graph, on a card also its kernels: not in a caller's. */
static wilor_mlx_result warm_up(session *s, int n, wilor_mlx_error *err) {
    float *rgb = calloc((size_t)n * MLX_CROP_FLOATS, sizeof *rgb);
    run r = {.s = s, .rgb = rgb, .n = n};
    wilor_mlx_result st =
        rgb ? wilor_mlx_worker_do(s->worker, run_job, &r, err)
            : wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no memory for %d crops", n);
    free(rgb);
    return st;
}

void wilor_mlx_session_close(void *session_) {
    wilor_mlx_error ignored;
    session *s = session_;
    if (!s)
        return;
    if (s->worker)
        wilor_mlx_worker_do(s->worker, close_job, s, &ignored);
    wilor_mlx_worker_stop(s->worker);
    free(s);
}

wilor_mlx_result wilor_mlx_session_open(void **out, const void *model,
                                        const wilor_mlx_session_options *o,
                                        wilor_mlx_error *err) {
    wilor_mlx_result st = WILOR_MLX_OK;
    session *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no memory for a session");
    s->m = model;
    s->o = *o;
    MLX_TRY(wilor_mlx_worker_start(&s->worker, s->m->gpu, err));
    MLX_TRY(wilor_mlx_worker_do(s->worker, open_job, s, err));
    MLX_TRY(warm_up(s, 1, err));
    if (o->batch > 1)
        MLX_TRY(warm_up(s, o->batch, err));
    *out = s;
    s = NULL;
done:
    wilor_mlx_session_close(s);
    return st;
}
