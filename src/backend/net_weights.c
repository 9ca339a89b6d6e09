/* A network's tensors as devices get them: float32, whole matrices, positions and lead tokens as vit_load.c
 * folds them, deconvolutions regrouped as refine_load.c does. */
#include "net_weights.h"

#include "heap.h"
#include "mano_data.h"
#include "refine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_A_UNIT = 64 };

typedef struct reader {
    const wilor_backend_load *o;
    const wilor_vit_dims *shape;
    const wilor_net_sink *sink;
    float *room;    /* the largest tensor */
    wilor_loader l; /* its errors, progress, cancelling */
} reader;

static wilor_status give(reader *r, int tensor, int block, const float *data) {
    return r->sink->put(r->sink->user, tensor, block, data, r->l.err);
}

/* Where a tensor's numbers are read to: the sink's own memory where it has some, else the room. */
static float *place(const reader *r, int tensor, int block) {
    float *own = r->sink->place ? r->sink->place(r->sink->user, tensor, block) : NULL;
    return own ? own : r->room;
}

/* ---------------------------------------------------------------- matrices and vectors */

typedef struct rows_job {
    reader *r;
    const wilor_tensor *tensor;
    const wilor_matrix_view *matrix;
    int rows, k;
    float *dst;
    wilor_failure failure;
} rows_job;

static void rows_unit(void *context, int unit, int thread) {
    static const wilor_row_order as_is;
    rows_job *j = context;
    wilor_error err;
    int first = unit * ROWS_A_UNIT;
    int rows = j->rows - first < ROWS_A_UNIT ? j->rows - first : ROWS_A_UNIT;
    (void)thread;
    wilor_failure_note(&j->failure, &j->r->l,
                       wilor_rows_read(&as_is, j->tensor, j->matrix, j->k, first, rows,
                                       j->dst + (size_t)first * (size_t)j->k, &err),
                       &err);
}

/* PREFIX.weight, rows × k, whatever form the file has it in. */
static wilor_status put_matrix(reader *r, const char *prefix, int rows, int k, int tensor,
                               int block) {
    wilor_status st = WILOR_OK;
    char name[128];
    const wilor_tensor *t;
    wilor_matrix_view view;
    snprintf(name, sizeof name, "%s.weight", prefix);
    const wilor_index *index = wilor_source_find(r->o->source, name, &t);
    if (!index)
        WILOR_FAIL(r->l.err, WILOR_ERR_MODEL, "the tensor '%s' is missing", name);
    WILOR_TRY(wilor_linear_check(&r->l, index, t, prefix, rows, k));
    rows_job j = {.r = r, .tensor = t, .rows = rows, .k = k};
    if (t->dtype == WILOR_U32 || t->dtype == WILOR_I8) {
        WILOR_TRY(wilor_matrix_find(&view, index, prefix, k, r->l.err));
        j.matrix = &view;
    }
    if (j.matrix && r->sink->keeps && r->sink->keeps(r->sink->user, tensor, j.matrix)) {
        WILOR_TRY(r->sink->put_stored(r->sink->user, tensor, block, j.matrix, r->l.err));
    } else {
        j.dst = place(r, tensor, block);
        wilor_threads_run(r->o->pool, rows_unit, &j, (rows + ROWS_A_UNIT - 1) / ROWS_A_UNIT);
        WILOR_TRY(j.failure.st);
        WILOR_TRY(give(r, tensor, block, j.dst));
    }
    WILOR_TRY(wilor_loader_done(&r->l, t));
done:
    return st;
}

static wilor_status read_vector(reader *r, const char *name, int count, float *dst) {
    wilor_status st = WILOR_OK;
    const wilor_index *index;
    const wilor_tensor *t;
    WILOR_TRY(wilor_source_need(r->o->source, name, 1, (const int64_t[]){count}, &index, &t,
                                r->l.err));
    WILOR_TRY(wilor_tensor_to_f32(t, dst, r->l.err));
done:
    return st;
}

static wilor_status put_vector(reader *r, const char *name, int count, int tensor, int block) {
    wilor_status st = WILOR_OK;
    float *dst = place(r, tensor, block);
    WILOR_TRY(read_vector(r, name, count, dst));
    WILOR_TRY(give(r, tensor, block, dst));
done:
    return st;
}

/* A layer's matrix as `tensor`, its bias as the next one. */
static wilor_status put_linear(reader *r, const char *prefix, int n, int k, int tensor,
                               int block) {
    wilor_status st = WILOR_OK;
    char name[128];
    WILOR_TRY(put_matrix(r, prefix, n, k, tensor, block));
    snprintf(name, sizeof name, "%s.bias", prefix);
    WILOR_TRY(put_vector(r, name, n, tensor + 1, block));
done:
    return st;
}

static wilor_status put_norm(reader *r, const char *prefix, int tensor, int block) {
    wilor_status st = WILOR_OK;
    char name[128];
    snprintf(name, sizeof name, "%s.weight", prefix);
    WILOR_TRY(put_vector(r, name, r->shape->width, tensor, block));
    snprintf(name, sizeof name, "%s.bias", prefix);
    WILOR_TRY(put_vector(r, name, r->shape->width, tensor + 1, block));
done:
    return st;
}

/* ---------------------------------------------------------------- the backbone */

static wilor_status put_block(reader *r, int i) {
    wilor_status st = WILOR_OK;
    char name[96];
    int d = r->shape->width, m = r->shape->mlp;
#define NAMED(part) (snprintf(name, sizeof name, "backbone.blocks.%d." part, i), name)
    WILOR_TRY(put_norm(r, NAMED("norm1"), WILOR_NET_NORM1_GAMMA, i));
    WILOR_TRY(put_linear(r, NAMED("attn.qkv"), 3 * d, d, WILOR_NET_QKV_W, i));
    WILOR_TRY(put_linear(r, NAMED("attn.proj"), d, d, WILOR_NET_PROJ_W, i));
    WILOR_TRY(put_norm(r, NAMED("norm2"), WILOR_NET_NORM2_GAMMA, i));
    WILOR_TRY(put_linear(r, NAMED("mlp.fc1"), m, d, WILOR_NET_FC1_W, i));
    WILOR_TRY(put_linear(r, NAMED("mlp.fc2"), d, m, WILOR_NET_FC2_W, i));
#undef NAMED
done:
    return st;
}

/* Positions and lead tokens, by the code that makes them for the processor. */
static wilor_status put_input(reader *r) {
    wilor_status st = WILOR_OK;
    wilor_vit v = {.width = r->shape->width};
    wilor_arena arena;
    wilor_loader l = r->l;
    wilor_pages pages = {0};
    l.arena = &arena;
    wilor_arena_begin(&arena, NULL, 0);
    WILOR_TRY(wilor_vit_load_input(&v, &l));
    if (!wilor_pages_alloc(&pages, wilor_arena_used(&arena)))
        WILOR_FAIL(l.err, WILOR_ERR_NOMEM, "no memory for the positions");
    wilor_arena_begin(&arena, pages.data, pages.bytes);
    WILOR_TRY(wilor_vit_load_input(&v, &l));
    WILOR_TRY(give(r, WILOR_NET_POSITION, 0, v.position));
    WILOR_TRY(give(r, WILOR_NET_LEAD, 0, v.lead));
done:
    if (pages.data)
        wilor_arena_end(&arena);
    wilor_pages_free(&pages);
    return st;
}

static wilor_status put_backbone(reader *r) {
    wilor_status st = WILOR_OK;
    int d = r->shape->width;
    WILOR_TRY(put_input(r));
    WILOR_TRY(put_linear(r, "backbone.patch_embed.proj", d, WILOR_PATCH_INPUTS,
                         WILOR_NET_PATCH_W, 0));
    for (int i = 0; i < r->shape->depth; i++)
        WILOR_TRY(put_block(r, i));
    WILOR_TRY(put_norm(r, "backbone.last_norm", WILOR_NET_LAST_GAMMA, 0));
    WILOR_TRY(put_linear(r, "backbone.decpose", 6, d, WILOR_NET_DECPOSE_W, 0));
    WILOR_TRY(put_linear(r, "backbone.decshape", WILOR_BETAS, d, WILOR_NET_DECSHAPE_W, 0));
    WILOR_TRY(put_linear(r, "backbone.deccam", WILOR_CAM, d, WILOR_NET_DECCAM_W, 0));
    WILOR_TRY(
        put_vector(r, "backbone.init_hand_pose", WILOR_POSE_NUMBERS, WILOR_NET_INIT_POSE, 0));
    WILOR_TRY(put_vector(r, "backbone.init_betas", WILOR_BETAS, WILOR_NET_INIT_BETAS, 0));
    WILOR_TRY(put_vector(r, "backbone.init_cam", WILOR_CAM, WILOR_NET_INIT_CAM, 0));
done:
    return st;
}

/* ---------------------------------------------------------------- RefineNet */

/* A deconvolution as four matrices; batch norm as a scale and a shift. tensor: of the matrices; learned: of
 * what the norm learned, for sinks that want that, too. */
static wilor_status put_upsample(reader *r, const char *conv, const char *norm, int inputs,
                                 int outputs, int tensor, int learned) {
    static const char *const parts[4] = {"weight", "bias", "running_mean", "running_var"};
    wilor_status st = WILOR_OK;
    char name[96];
    const wilor_index *index;
    const wilor_tensor *t;
    size_t n = (size_t)outputs, row = 4 * (size_t)inputs;
    float *stored = NULL;
    snprintf(name, sizeof name, "refine_net.deconv.deconv.%s.weight", conv);
    WILOR_TRY(wilor_source_need(r->o->source, name, 4, (const int64_t[]){inputs, outputs, 4, 4},
                                &index, &t, r->l.err));
    stored = wilor_heap_alloc(t->count + 4 * n, sizeof *stored);
    if (!stored)
        WILOR_FAIL(r->l.err, WILOR_ERR_NOMEM, "no memory for the tensor %s", name);
    WILOR_TRY(wilor_tensor_to_f32(t, stored, r->l.err));
    for (int p = 0; p < WILOR_PARITIES; p++)
        for (int o = 0; o < outputs; o++)
            wilor_refine_regroup(stored, inputs, outputs, p, o,
                                 r->room + ((size_t)p * n + (size_t)o) * row);
    WILOR_TRY(give(r, tensor, 0, r->room));
    float *bn = stored + t->count;
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "refine_net.deconv.deconv.%s.%s", norm, parts[i]);
        WILOR_TRY(read_vector(r, name, outputs, bn + (size_t)i * n));
    }
    for (size_t c = 0; c < n; c++) {
        r->room[c] = bn[c] / sqrtf(bn[3 * n + c] + WILOR_REFINE_NORM_EPS);
        r->room[n + c] = bn[n + c] - bn[2 * n + c] * r->room[c];
    }
    WILOR_TRY(give(r, tensor + 1, 0, r->room));
    WILOR_TRY(give(r, tensor + 2, 0, r->room + n));
    if (r->sink->learned_norms) {
        WILOR_TRY(give(r, learned, 0, bn));
        WILOR_TRY(give(r, learned + 1, 0, bn + n));
    }
done:
    wilor_heap_free(stored);
    return st;
}

static wilor_status put_refine(reader *r) {
    wilor_status st = WILOR_OK;
    int d = r->shape->width, k = d / 8 + d / 4 + d / 2;
    WILOR_TRY(put_linear(r, "refine_net.deconv.first_conv.0", d / 2, d, WILOR_NET_COARSE_W, 0));
    WILOR_TRY(put_upsample(r, "0.0", "0.1", d / 2, d / 4, WILOR_NET_MIDDLE_W,
                           WILOR_NET_MIDDLE_GAMMA));
    WILOR_TRY(
        put_upsample(r, "1.0", "1.1", d / 2, d / 4, WILOR_NET_FINE0_W, WILOR_NET_FINE0_GAMMA));
    WILOR_TRY(
        put_upsample(r, "1.3", "1.4", d / 4, d / 8, WILOR_NET_FINE1_W, WILOR_NET_FINE1_GAMMA));
    WILOR_TRY(put_linear(r, "refine_net.dec_pose", WILOR_POSE_NUMBERS, k,
                         WILOR_NET_REFINE_POSE_W, 0));
    WILOR_TRY(
        put_linear(r, "refine_net.dec_shape", WILOR_BETAS, k, WILOR_NET_REFINE_SHAPE_W, 0));
    WILOR_TRY(put_linear(r, "refine_net.dec_cam", WILOR_CAM, k, WILOR_NET_REFINE_CAM_W, 0));
done:
    return st;
}

/* ---------------------------------------------------------------- the side head */

static wilor_status put_side(reader *r) {
    wilor_status st = WILOR_OK;
    wilor_vit_side head;
    WILOR_TRY(wilor_vit_find_side(&head, r->o->source, r->shape->width, r->l.err));
    WILOR_TRY(wilor_tensor_to_f32(head.weight, r->room, r->l.err));
    WILOR_TRY(give(r, WILOR_NET_SIDE_W, 0, r->room));
    WILOR_TRY(wilor_loader_done(&r->l, head.weight));
    WILOR_TRY(wilor_tensor_to_f32(head.bias, r->room, r->l.err));
    WILOR_TRY(give(r, WILOR_NET_SIDE_B, 0, r->room));
done:
    return st;
}

/* ---------------------------------------------------------------- all */

static bool is_side(const wilor_tensor *t) { return strncmp(t->name, "side_head.", 10) == 0; }

/* Bytes of the source that will be read, for the progress callback. */
static void expect_all(reader *r) {
    const wilor_index *x = r->o->source->weights;
    for (size_t i = 0; i < wilor_index_count(x); i++) {
        const wilor_tensor *t = wilor_index_at(x, i);
        const char *end = strstr(t->name, ".weight");
        if (t->rank >= 2 && end && strncmp(t->name, "mano.", 5) != 0 && t->rank < 4 &&
            (r->shape->side_head || !is_side(t)))
            wilor_loader_expect(&r->l, t);
    }
}

wilor_status wilor_net_weights_read(const wilor_backend_load *o, const wilor_vit_dims *shape,
                                    const wilor_net_sink *sink, wilor_error *err) {
    wilor_status st = WILOR_OK;
    size_t most = 0;
    wilor_pages room = {0};
    reader r = {.o = o,
                .shape = shape,
                .sink = sink,
                .l = {.kernels = wilor_kernels_best(o->max_isa),
                      .source = o->source,
                      .pool = o->pool,
                      .callbacks = o->callbacks,
                      .err = err}};
    for (int t = 0; t < WILOR_NET_TENSORS; t++) {
        size_t n = wilor_net_tensor_count(shape->width, shape->mlp, t);
        most = n > most ? n : most;
    }
    if (!wilor_pages_alloc(&room, most * sizeof(float)))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a tensor of %zu numbers", most);
    r.room = room.data;
    expect_all(&r);
    WILOR_TRY(put_backbone(&r));
    WILOR_TRY(put_refine(&r));
    if (shape->side_head)
        WILOR_TRY(put_side(&r));
done:
    wilor_pages_free(&room);
    return st;
}

wilor_net_mano wilor_net_mano_view(const wilor_mano *m) {
    return (wilor_net_mano){.vertices = m->vertices,
                            .stride = m->stride,
                            .template_ = m->template_,
                            .rows = m->rows,
                            .joints = &m->joints[0][0],
                            .joints_by_beta = &m->joints_by_beta[0][0][0],
                            .parents = m->parents,
                            .skin_start = m->skin_start,
                            .skin_weight = m->skin_weight,
                            .skin_joint = m->skin_joint,
                            .tips = m->tips,
                            .joint_map = m->joint_map};
}
