/* The detector: its program's steps over maps, as MLX's convolutions. Maps are channels-last; a map that several steps
 * write parts of is a list of these parts, joined where somebody reads across them. Sums, biases and SiLU are float32,
 * maps have the net's numbers. */
#include "mlx_detector.h"

#include "mlx_model.h"
#include "mlx_worker.h"

#include <stdlib.h>
#include <string.h>

enum { HEADS = 3, HEAD = 129, PARTS = 24, POOL = 5 };

typedef struct step {
    wilor_net_step s; /* without its weights */
    mlx_array weights, bias;
} step;

typedef struct net {
    bool gpu;
    wilor_mlx_number number;
    wilor_net_program program; /* without maps and steps */
    step *steps;
    size_t bytes;
} net;

typedef struct net_run {
    const net *n;
    wilor_mlx_worker *worker;
    /* The worker's. */
    mlx_stream stream;
    mlx_closure forward;
} net_run;

/* ---------------------------------------------------------------- weights */

void wilor_mlx_net_free(void *p) {
    net *n = p;
    if (!n)
        return;
    for (int i = 0; n->steps && i < n->program.step_count; i++) {
        mlx_array_free(n->steps[i].weights);
        mlx_array_free(n->steps[i].bias);
    }
    free(n->steps);
    free(n);
}

/* The 16-bit types hold a byte over 256 exactly; the first convolution makes up for that. */
static float input_scale(wilor_mlx_number number) {
    return number == WILOR_MLX_F32 ? 255.0f : 256.0f;
}

static mlx_array put_weights(wilor_mlx_graph *g, const net *n, const wilor_net_step *s) {
    const int shape[] = {s->outputs, s->size, s->size, s->inputs};
    mlx_array w = mlx_array_new_data(s->weights, shape, 4, MLX_FLOAT32), kept = {NULL};
    mlx_array x = w;
    if (s->in.map == n->program.input)
        x = wilor_mlx_multiply(g, x, wilor_mlx_scalar(g, input_scale(n->number) / 255.0f));
    x = wilor_mlx_as(g, x, wilor_mlx_dtype(n->number));
    if (!g->failed && mlx_array_eval(x) == 0)
        mlx_array_set(&kept, x);
    mlx_array_free(w);
    return kept;
}

static wilor_mlx_result put_steps(net *n, const wilor_net_program *p, wilor_mlx_error *err) {
    wilor_mlx_result st = WILOR_MLX_OK;
    wilor_mlx_lock(n->gpu);
    mlx_stream stream = wilor_mlx_stream_default(n->gpu);
    for (int i = 0; i < p->step_count && st == WILOR_MLX_OK; i++) {
        wilor_mlx_graph g;
        step *to = &n->steps[i];
        to->s = p->steps[i];
        if (to->s.pool)
            continue;
        wilor_mlx_graph_begin(&g, stream);
        to->weights = put_weights(&g, n, &to->s);
        to->bias = mlx_array_new_data(to->s.bias, (const int[]){to->s.outputs}, 1, MLX_FLOAT32);
        if (!to->weights.ctx || !to->bias.ctx)
            st = wilor_mlx_errors_take(err, "the detector's weights");
        else
            n->bytes += mlx_array_nbytes(to->weights) + mlx_array_nbytes(to->bias);
        to->s.weights = to->s.bias = NULL;
        wilor_mlx_graph_end(&g);
    }
    mlx_stream_free(stream);
    wilor_mlx_unlock(n->gpu);
    return st;
}

wilor_mlx_result wilor_mlx_net_create(void **out, const wilor_net_program *p,
                                      wilor_mlx_number number, wilor_mlx_error *err) {
    wilor_mlx_result st = WILOR_MLX_OK;
    net *n = calloc(1, sizeof *n);
    *out = NULL;
    if (n)
        n->steps = calloc((size_t)p->step_count, sizeof *n->steps);
    if (!n || !n->steps) {
        st = wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no memory for the detector");
        goto done;
    }
    n->number = number;
    n->program = *p;
    n->program.maps = NULL;
    n->program.steps = NULL;
    MLX_TRY(wilor_mlx_device(&n->gpu, err));
    wilor_mlx_errors_clear();
    MLX_TRY(put_steps(n, p, err));
    *out = n;
    n = NULL;
done:
    wilor_mlx_net_free(n);
    return st;
}

size_t wilor_mlx_net_bytes(const void *p) { return ((const net *)p)->bytes; }

/* ---------------------------------------------------------------- maps */

typedef struct part {
    int channel, count;
    mlx_array array;
} part;

typedef struct map {
    part parts[PARTS];
    int count;
} map;

/* In the order of their channels. What stood there before is gone for who reads from here on: some maps are used
 * again. */
static void write_part(wilor_mlx_graph *g, map *maps, wilor_net_slice to, int channels,
                       mlx_array a) {
    int at = 0, left = 0, end = to.channel + channels;
    if (to.map < 0)
        return;
    map *m = &maps[to.map];
    for (int i = 0; i < m->count; i++) {
        const part p = m->parts[i];
        bool before = p.channel + p.count <= to.channel, behind = p.channel >= end;
        if (before || behind)
            m->parts[left++] = p;
        at += before;
    }
    if (left == PARTS) {
        wilor_mlx_graph_refuse(g, "a map of the detector in too many parts");
        return;
    }
    memmove(&m->parts[at + 1], &m->parts[at], (size_t)(left - at) * sizeof m->parts[0]);
    m->parts[at] = (part){to.channel, channels, a};
    m->count = left + 1;
}

static mlx_array read_part(wilor_mlx_graph *g, const map *maps, wilor_net_slice from,
                           int channels) {
    const map *m = &maps[from.map];
    mlx_array found[PARTS];
    size_t n = 0;
    int end = from.channel + channels;
    for (int i = 0; i < m->count; i++) {
        const part *p = &m->parts[i];
        int first = from.channel > p->channel ? from.channel - p->channel : 0;
        int last = end < p->channel + p->count ? end - p->channel : p->count;
        if (first >= last)
            continue;
        bool whole = first == 0 && last == p->count;
        found[n++] = whole ? p->array : wilor_mlx_slice(g, p->array, 3, first, last);
    }
    if (n == 1)
        return found[0];
    if (n == 0)
        wilor_mlx_graph_refuse(g, "a map of the detector that is read before it is written");
    return wilor_mlx_concatenate(g, found, n, 3);
}

/* ---------------------------------------------------------------- steps */

/* Below all numbers of a map. Not infinite: mlx_graph.h. */
static float lowest(wilor_mlx_number number) {
    return number == WILOR_MLX_F16 ? -65504.0f : -3e38f;
}

/* The largest of five along an axis, beside the map nothing. */
static mlx_array largest(wilor_mlx_graph *g, mlx_array x, int axis, float nothing) {
    const int axes[2] = {1, 2}, side[2] = {axis == 1 ? POOL / 2 : 0, axis == 2 ? POOL / 2 : 0};
    if (!x.ctx)
        return x;
    int size = mlx_array_dim(x, axis);
    mlx_array padded = wilor_mlx_pad(g, x, axes, side, side, nothing);
    mlx_array most = wilor_mlx_slice(g, padded, axis, 0, size);
    for (int i = 1; i < POOL; i++)
        most = wilor_mlx_maximum(g, most, wilor_mlx_slice(g, padded, axis, i, i + size));
    return most;
}

static void pool(wilor_mlx_graph *g, const net *n, map *maps, const wilor_net_step *s) {
    float nothing = lowest(n->number);
    mlx_array x = read_part(g, maps, s->in, s->channels);
    for (int i = 0; i < 3; i++) {
        const wilor_net_slice to = {s->out.map, s->out.channel + i * s->channels};
        x = largest(g, largest(g, x, 1, nothing), 2, nothing);
        write_part(g, maps, to, s->channels, x);
    }
}

static bool is_head(const net *n, int at) {
    return at == n->program.head[0] || at == n->program.head[1] || at == n->program.head[2];
}

static void convolve(wilor_mlx_graph *g, const net *n, map *maps, const step *one) {
    const wilor_net_step *s = &one->s;
    mlx_array x = wilor_mlx_convolve(g, read_part(g, maps, s->in, s->inputs), one->weights,
                                     s->stride, s->size / 2);
    x = wilor_mlx_add(g, wilor_mlx_as(g, x, MLX_FLOAT32), one->bias);
    if (s->silu)
        x = wilor_mlx_multiply(g, x, wilor_mlx_sigmoid(g, x));
    if (s->added.map >= 0) {
        mlx_array added = read_part(g, maps, s->added, s->outputs);
        x = wilor_mlx_add(g, x, wilor_mlx_as(g, added, MLX_FLOAT32));
    }
    if (!is_head(n, s->out.map))
        x = wilor_mlx_as(g, x, wilor_mlx_dtype(n->number));
    write_part(g, maps, s->out, s->outputs, x);
    if (s->twice.map >= 0)
        write_part(g, maps, s->twice, s->outputs,
                   wilor_mlx_repeat(g, wilor_mlx_repeat(g, x, 1), 2));
}

/* height × width × 3 bytes to the heads' maps. */
static void build(wilor_mlx_graph *g, const net *n, map *maps, mlx_array bytes,
                  mlx_array heads[HEADS]) {
    const wilor_net_slice input = {n->program.input, 0};
    mlx_array x = wilor_mlx_as(g, wilor_mlx_expand(g, bytes, 0), MLX_FLOAT32);
    x = wilor_mlx_divide(g, x, wilor_mlx_scalar(g, input_scale(n->number)));
    write_part(g, maps, input, 3, wilor_mlx_as(g, x, wilor_mlx_dtype(n->number)));
    for (int i = 0; i < n->program.step_count; i++)
        if (n->steps[i].s.pool)
            pool(g, n, maps, &n->steps[i].s);
        else
            convolve(g, n, maps, &n->steps[i]);
    for (int i = 0; i < HEADS; i++) {
        const wilor_net_slice all = {n->program.head[i], 0};
        heads[i] = wilor_mlx_contiguous(g, read_part(g, maps, all, HEAD));
    }
}

static int trace(mlx_vector_array *out, const mlx_vector_array in, void *payload) {
    const net_run *r = payload;
    wilor_mlx_graph g;
    mlx_array bytes = {NULL}, heads[HEADS];
    map *maps = calloc((size_t)r->n->program.map_count, sizeof *maps);
    int failed = !maps || mlx_vector_array_get(&bytes, in, 0);
    wilor_mlx_graph_begin(&g, r->stream);
    if (!failed) {
        build(&g, r->n, maps, bytes, heads);
        failed = g.failed || mlx_vector_array_set_data(out, heads, HEADS);
    }
    wilor_mlx_graph_end(&g);
    mlx_array_free(bytes);
    free(maps);
    return failed;
}

/* ---------------------------------------------------------------- runs */

typedef struct forward {
    net_run *r;
    const uint8_t *bytes;
    int width, height;
    float *const *heads;
} forward;

static int take_head(mlx_vector_array results, int i, float *to) {
    mlx_array a = mlx_array_new();
    const float *data = NULL;
    if (mlx_vector_array_get(&a, results, (size_t)i) == 0)
        data = mlx_array_data_float32(a);
    if (data)
        memcpy(to, data, mlx_array_nbytes(a));
    mlx_array_free(a);
    return !data;
}

static wilor_mlx_result forward_job(void *context, wilor_mlx_error *err) {
    const forward *f = context;
    const int shape[] = {f->height, f->width, 3};
    mlx_array bytes = mlx_array_new_data(f->bytes, shape, 3, MLX_UINT8);
    mlx_vector_array results = mlx_vector_array_new();
    int failed = !bytes.ctx;
    if (!failed) {
        mlx_vector_array in = mlx_vector_array_new_value(bytes);
        failed = mlx_closure_apply(&results, f->r->forward, in) || mlx_eval(results);
        mlx_vector_array_free(in);
    }
    for (int i = 0; !failed && i < HEADS; i++)
        failed = take_head(results, i, f->heads[i]);
    mlx_array_free(bytes);
    mlx_vector_array_free(results);
    return failed ? wilor_mlx_errors_take(err, "the detector") : WILOR_MLX_OK;
}

wilor_mlx_result wilor_mlx_net_run_forward(void *run, const uint8_t *bytes, int width,
                                           int height, float *const heads[3],
                                           wilor_mlx_error *err) {
    net_run *r = run;
    forward f = {r, bytes, width, height, heads};
    return wilor_mlx_worker_do(r->worker, forward_job, &f, err);
}

static wilor_mlx_result open_job(void *context, wilor_mlx_error *err) {
    net_run *r = context;
    int failed = wilor_mlx_compile(&r->forward, &r->stream, r->n->gpu, trace, r);
    return failed ? wilor_mlx_errors_take(err, "the detector") : WILOR_MLX_OK;
}

static wilor_mlx_result close_job(void *context, wilor_mlx_error *err) {
    net_run *r = context;
    (void)err;
    if (r->stream.ctx)
        mlx_synchronize(r->stream);
    mlx_closure_free(r->forward);
    mlx_stream_free(r->stream);
    return WILOR_MLX_OK;
}

void wilor_mlx_net_run_close(void *run) {
    wilor_mlx_error ignored;
    net_run *r = run;
    if (!r)
        return;
    if (r->worker)
        wilor_mlx_worker_do(r->worker, close_job, r, &ignored);
    wilor_mlx_worker_stop(r->worker);
    free(r);
}

wilor_mlx_result wilor_mlx_net_run_open(void **out, const void *n, wilor_mlx_error *err) {
    wilor_mlx_result st = WILOR_MLX_OK;
    net_run *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no memory for the detector");
    r->n = n;
    MLX_TRY(wilor_mlx_worker_start(&r->worker, r->n->gpu, err));
    MLX_TRY(wilor_mlx_worker_do(r->worker, open_job, r, err));
    *out = r;
    r = NULL;
done:
    wilor_mlx_net_run_close(r);
    return st;
}
