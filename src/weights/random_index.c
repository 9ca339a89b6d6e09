/* A tensor index made of the weights' formula and a hand: nothing is stored but mano.* and
 * init_*. */
#include "random_weights.h"

#include "heap.h"
#include "index_build.h"
#include "tensor_convert.h"
#include <stdio.h>
#include <string.h>

/* One learned tensor: what its generator needs, in the index's pool. */
typedef struct learned_tensor {
    wilor_generator generator; /* first: the generator's address is this struct's */
    wilor_random_model model;
    wilor_random_spec spec;
} learned_tensor;

static void fill_learned(const wilor_generator *g, size_t first, size_t count, float *dst) {
    const learned_tensor *made = (const learned_tensor *)g;
    wilor_random_tensor_fill(&made->model, &made->spec, first, count, dst);
}

static wilor_status add_learned(wilor_index *x, const wilor_random_model *model,
                                wilor_error *err) {
    size_t n = wilor_random_spec_count(model);
    for (size_t i = 0; i < n; i++) {
        learned_tensor *made = wilor_pool_alloc(&x->pool, 1, sizeof *made);
        if (!made)
            return wilor_index_no_memory(x, err);
        made->generator.fill = fill_learned;
        made->model = *model;
        wilor_random_spec_at(model, i, &made->spec);
        wilor_tensor t = {.name = made->spec.name, .rank = made->spec.rank};
        memcpy(t.shape, made->spec.shape, sizeof made->spec.shape);
        wilor_status st = wilor_index_add_generated(x, &t, &made->generator, err);
        if (st != WILOR_OK)
            return st;
    }
    return WILOR_OK;
}

/* One of the mean parameters, (1, count). */
typedef struct mean_tensor {
    wilor_generator generator;
    float values[96];
} mean_tensor;

static void fill_mean(const wilor_generator *g, size_t first, size_t count, float *dst) {
    memcpy(dst, ((const mean_tensor *)g)->values + first, count * sizeof *dst);
}

static wilor_status add_mean(wilor_index *x, const char *name, const float *values,
                             int64_t count, wilor_error *err) {
    mean_tensor *made = wilor_pool_alloc(&x->pool, 1, sizeof *made);
    if (!made)
        return wilor_index_no_memory(x, err);
    made->generator.fill = fill_mean;
    memcpy(made->values, values, (size_t)count * sizeof *values);
    wilor_tensor t = {.name = name, .rank = 2, .shape = {1, count}};
    return wilor_index_add_generated(x, &t, &made->generator, err);
}

static wilor_status add_means(wilor_index *x, const wilor_random_model *model,
                              wilor_error *err) {
    wilor_status st = WILOR_OK;
    float pose[96], shape[10], cam[3];
    wilor_random_mean(model->seed, pose, shape, cam);
    WILOR_TRY(add_mean(x, "backbone.init_cam", cam, 3, err));
    WILOR_TRY(add_mean(x, "backbone.init_hand_pose", pose, 96, err));
    WILOR_TRY(add_mean(x, "backbone.init_betas", shape, 10, err));
done:
    return st;
}

/* Copy one tensor of the hand as it is: type and byte order stay. A view that repeats its bytes
 * would let a small file ask for much memory. */
static wilor_status add_copy(wilor_index *x, const wilor_index *hand, const wilor_tensor *from,
                             wilor_error *err) {
    wilor_tensor t = *from;
    wilor_quoted q;
    size_t size;
    if (!wilor_size_mul(from->count, from->element, &size) ||
        (!from->generator && from->span < size))
        return wilor_error_set(err, WILOR_ERR_MODEL, "%s: elements of %s overlap",
                               hand->path.text, wilor_quote(&q, from->name));
    uint8_t *bytes = wilor_pool_alloc(&x->pool, from->count, from->element);
    if (!bytes)
        return wilor_index_no_memory(x, err);
    wilor_status st = wilor_tensor_gather(from, bytes, err);
    if (st != WILOR_OK)
        return st;
    st = wilor_index_name(x, &t.name, from->name, strlen(from->name), err);
    if (st != WILOR_OK)
        return st;
    wilor_tensor_set_dense(&t, false);
    return wilor_index_add(x, &t, bytes, from->count * from->element, 0, err);
}

static wilor_status add_hand(wilor_index *x, const wilor_random_model *model,
                             const wilor_index *hand, wilor_error *err) {
    wilor_status st = WILOR_OK;
    size_t added = 0, init = 0;
    if (!hand && !model->mean_pose)
        return WILOR_OK;
    if (!hand)
        return wilor_error_set(err, WILOR_ERR_MISSING,
                               "these synthetic weights need a hand model");
    for (size_t i = 0; i < wilor_index_count(hand); i++) {
        const wilor_tensor *t = wilor_index_at(hand, i);
        bool mano = strncmp(t->name, "mano.", 5) == 0;
        bool mean = model->mean_pose && strncmp(t->name, "backbone.init_", 14) == 0;
        if (mano || mean)
            WILOR_TRY(add_copy(x, hand, t, err));
        added += mano;
        init += mean;
    }
    if (added == 0 || (model->mean_pose && init != 3))
        WILOR_FAIL(err, WILOR_ERR_MISSING, "%s has no %s", hand->path.text,
                   added == 0 ? "hand (mano.*)"
                              : "mean pose (init_hand_pose, init_betas, init_cam)");
done:
    return st;
}

static wilor_status check_sizes(const wilor_random_model *m, wilor_error *err) {
    if (m->width < 16 || m->width > 4096 || m->width % 8 != 0)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "random weights: width %d is not a multiple of 8 in 16 ... 4096",
                               m->width);
    if (m->depth < 1 || m->depth > 256)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "random weights: depth %d is not in 1 ... 256", m->depth);
    if (m->heads < 1 || m->width % m->heads != 0)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "random weights: %d heads do not divide the width %d", m->heads,
                               m->width);
    return WILOR_OK;
}

static wilor_status add_notes(wilor_index *x, const wilor_random_model *m, wilor_error *err) {
    wilor_status st = WILOR_OK;
    char heads[16], label[128];
    snprintf(heads, sizeof heads, "%d", m->heads);
    if (m->mean_pose)
        snprintf(label, sizeof label, "synthetic: every picture gives the mean pose");
    else
        snprintf(label, sizeof label, "synthetic: random weights, seed %llu",
                 (unsigned long long)m->seed);
    WILOR_TRY(wilor_index_add_metadata(x, "heads", 5, heads, strlen(heads), err));
    WILOR_TRY(wilor_index_add_metadata(x, "label", 5, label, strlen(label), err));
done:
    return st;
}

/* Messages are about the hand: the rest of it cannot be wrong. */
static wilor_status set_path(wilor_index *x, const wilor_index *hand, wilor_error *err) {
    static const char what[] = "random weights on ";
    const char *path = hand ? hand->raw_path : "no hand";
    size_t room = sizeof what + strlen(path);
    x->raw_path = wilor_heap_alloc(room, 1);
    if (!x->raw_path)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for random weights");
    snprintf(x->raw_path, room, "%s%s", what, path);
    wilor_quote(&x->path, x->raw_path);
    return WILOR_OK;
}

wilor_status wilor_random_index(wilor_index **out, const wilor_random_model *model,
                                const wilor_index *hand, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_index *x = NULL;
    *out = NULL;
    WILOR_TRY(check_sizes(model, err));
    x = wilor_heap_alloc(1, sizeof *x);
    if (!x)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for random weights");
    x->map.fd = -1;
    x->format = "random";
    WILOR_TRY(set_path(x, hand, err));
    if (!model->mean_pose)
        WILOR_TRY(add_means(x, model, err));
    WILOR_TRY(add_learned(x, model, err));
    WILOR_TRY(add_hand(x, model, hand, err));
    WILOR_TRY(add_notes(x, model, err));
    WILOR_TRY(wilor_index_seal(x, err));
    x->kind = WILOR_FILE_CHECKPOINT;
    x->canonical = true;
    wilor_error_clear(err);
    *out = x;
    x = NULL;
done:
    wilor_index_close(&x);
    return st;
}
