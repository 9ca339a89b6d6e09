/* The backbone's tensors: sizes from shapes, packing. */
#include "vit.h"

#include "heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- sizes */

enum { MOST_WIDTH = 1 << 14, MOST_DEPTH = 256 };

static wilor_status measure_heads(int *out, const wilor_tensor_source *s, int width, int wish,
                                  wilor_error *err) {
    wilor_quoted q;
    const char *path = wilor_quote(&q, wilor_index_path(s->weights));
    const char *own = wilor_index_metadata(s->weights, "heads");
    long heads = wish > 0          ? wish
                 : own             ? strtol(own, NULL, 10)
                 : width % 80 == 0 ? width / 80
                                   : 0;
    if (heads == 0)
        return wilor_error_set(
            err, WILOR_ERR_MODEL,
            "%s does not say its number of attention heads, and its width of "
            "%d is no multiple of 80: say how many heads it has",
            path, width);
    if (heads < 0 || heads > width || width % heads != 0)
        return wilor_error_set(err, WILOR_ERR_MODEL,
                               "%s: %ld attention heads do not divide the width of %d", path,
                               heads, width);
    *out = (int)heads;
    return WILOR_OK;
}

wilor_status wilor_vit_find_side(wilor_vit_side *out, const wilor_tensor_source *s, int width,
                                 wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_tensor_source own = {.weights = s->weights};
    const wilor_index *index;
    const wilor_tensor *t;
    *out = (wilor_vit_side){NULL, NULL};
    if (!wilor_source_find(&own, "side_head.weight", &t) &&
        !wilor_source_find(&own, "side_head.bias", &t))
        return WILOR_OK;
    WILOR_TRY(wilor_source_need(&own, "side_head.weight", 2,
                                (const int64_t[]){1, WILOR_LEAD * width}, &index, &out->weight,
                                err));
    WILOR_TRY(wilor_source_need(&own, "side_head.bias", 1, (const int64_t[]){1}, &index,
                                &out->bias, err));
done:
    return st;
}

wilor_status wilor_vit_measure(wilor_vit_dims *out, const wilor_tensor_source *s, int heads,
                               wilor_error *err) {
    wilor_quoted q;
    const char *path = wilor_quote(&q, wilor_index_path(s->weights));
    wilor_status st = WILOR_OK;
    const wilor_tensor *pos, *fc1;
    wilor_vit_side head;
    char name[96];
    int depth = 0;
    if (!wilor_source_find(s, "backbone.pos_embed", &pos))
        return wilor_error_set(
            err, WILOR_ERR_MODEL,
            "%s holds no WiLoR model: the tensor 'backbone.pos_embed' is missing", path);
    if (pos->rank < 2 || pos->shape[pos->rank - 1] < 8 ||
        pos->shape[pos->rank - 1] > MOST_WIDTH)
        return wilor_error_set(
            err, WILOR_ERR_MODEL,
            "%s: the tensor 'backbone.pos_embed' has a width outside 8 ... %d", path,
            MOST_WIDTH);
    for (;; depth++) { /* of its own file: one that lends a hand may have more */
        snprintf(name, sizeof name, "backbone.blocks.%d.norm1.weight", depth);
        if (depth > MOST_DEPTH || !wilor_index_find(s->weights, name))
            break;
    }
    if (depth < 1 || depth > MOST_DEPTH)
        return wilor_error_set(err, WILOR_ERR_MODEL,
                               "%s has %d transformer blocks, expected 1 ... %d", path, depth,
                               MOST_DEPTH);
    if (!wilor_source_find(s, "backbone.blocks.0.mlp.fc1.bias", &fc1) || fc1->count < 1 ||
        fc1->count > 8 * (size_t)MOST_WIDTH)
        return wilor_error_set(
            err, WILOR_ERR_MODEL,
            "%s: the tensor 'backbone.blocks.0.mlp.fc1.bias' is missing or has "
            "an impossible size",
            path);
    *out = (wilor_vit_dims){
        .width = (int)pos->shape[pos->rank - 1], .depth = depth, .mlp = (int)fc1->count};
    if (out->width % 8 != 0)
        return wilor_error_set(err, WILOR_ERR_MODEL, "%s: a width of %d is no multiple of 8",
                               path, out->width);
    WILOR_TRY(measure_heads(&out->heads, s, out->width, heads, err));
    WILOR_TRY(wilor_vit_find_side(&head, s, out->width, err));
    out->side_head = head.weight != NULL;
done:
    return st;
}

/* ---------------------------------------------------------------- loading */

/* pos_embed[1 + t] + pos_embed[0]: the class position is added to every patch. */
static wilor_status load_positions(wilor_vit *v, wilor_loader *l) {
    wilor_status st = WILOR_OK;
    const wilor_index *index;
    const wilor_tensor *t;
    size_t d = (size_t)v->width;
    float *all = wilor_arena_push(l->arena, (1 + WILOR_PATCHES) * d, sizeof(float));
    WILOR_TRY(wilor_source_need(l->source, "backbone.pos_embed", 2,
                                (const int64_t[]){1 + WILOR_PATCHES, v->width}, &index, &t,
                                l->err));
    if (!all) {
        wilor_loader_expect(l, t);
        return WILOR_OK;
    }
    v->position = all + d;
    if (l->assign)
        return WILOR_OK;
    WILOR_TRY(wilor_tensor_to_f32(t, all, l->err));
    WILOR_TRY(wilor_loader_done(l, t));
    for (size_t row = 1; row <= WILOR_PATCHES; row++)
        for (size_t i = 0; i < d; i++)
            all[row * d + i] += all[i];
done:
    return st;
}

/* rows × k inputs through a small linear layer, in plain double: done once per model. */
static wilor_status embed_rows(wilor_loader *l, const char *layer, const char *init, int rows,
                               int k, int width, float *dst) {
    wilor_status st = WILOR_OK;
    char name[96];
    const wilor_index *index;
    const wilor_tensor *w, *b, *x;
    float input[WILOR_POSE_NUMBERS];
    snprintf(name, sizeof name, "backbone.%s.weight", layer);
    WILOR_TRY(
        wilor_source_need(l->source, name, 2, (const int64_t[]){width, k}, &index, &w, l->err));
    snprintf(name, sizeof name, "backbone.%s.bias", layer);
    WILOR_TRY(
        wilor_source_need(l->source, name, 1, (const int64_t[]){width}, &index, &b, l->err));
    if (!wilor_source_find(l->source, init, &x))
        WILOR_FAIL(l->err, WILOR_ERR_MISSING,
                   "the mean hand (%s) is neither in the weights nor in another file: give "
                   "mano_mean_params.npz",
                   init);
    WILOR_TRY(
        wilor_source_need(l->source, init, 1, (const int64_t[]){rows * k}, &index, &x, l->err));
    if (!dst || l->assign)
        return WILOR_OK;
    WILOR_TRY(wilor_tensor_to_f32(x, input, l->err));
    WILOR_TRY(wilor_tensor_to_f32(b, dst, l->err));
    for (int n = 0; n < width; n++) {
        float row[WILOR_BETAS];
        WILOR_TRY(wilor_tensor_rows_to_f32(w, n, 1, row, l->err));
        float bias = dst[n];
        for (int r = 0; r < rows; r++) {
            double sum = bias;
            for (int i = 0; i < k; i++)
                sum += (double)row[i] * input[r * k + i];
            dst[(size_t)r * (size_t)width + (size_t)n] = (float)sum;
        }
    }
done:
    return st;
}

static wilor_status load_lead(wilor_vit *v, wilor_loader *l) {
    wilor_status st = WILOR_OK;
    size_t d = (size_t)v->width;
    int shape = WILOR_POSE_TOKENS, cam = WILOR_POSE_TOKENS + 1;
    v->lead = wilor_arena_push(l->arena, WILOR_LEAD * d, sizeof(float));
    float *at = v->lead;
    WILOR_TRY(embed_rows(l, "pose_emb", "backbone.init_hand_pose", WILOR_POSE_TOKENS, 6,
                         v->width, at));
    WILOR_TRY(embed_rows(l, "shape_emb", "backbone.init_betas", 1, WILOR_BETAS, v->width,
                         at ? at + (size_t)shape * d : NULL));
    WILOR_TRY(embed_rows(l, "cam_emb", "backbone.init_cam", 1, WILOR_CAM, v->width,
                         at ? at + (size_t)cam * d : NULL));
done:
    return st;
}

wilor_status wilor_vit_load_input(wilor_vit *v, wilor_loader *l) {
    wilor_status st = WILOR_OK;
    WILOR_TRY(load_positions(v, l));
    WILOR_TRY(load_lead(v, l));
done:
    return st;
}

static wilor_status load_norm(const float **gamma, const float **beta, wilor_loader *l,
                              const char *prefix, int width) {
    wilor_status st = WILOR_OK;
    char name[128];
    snprintf(name, sizeof name, "%s.weight", prefix);
    WILOR_TRY(wilor_vector_load(gamma, l, name, width, width));
    snprintf(name, sizeof name, "%s.bias", prefix);
    WILOR_TRY(wilor_vector_load(beta, l, name, width, width));
done:
    return st;
}

static wilor_status load_block(wilor_block *b, const wilor_vit *v, wilor_loader *l, int i,
                               int bits) {
    static const wilor_row_order as_is;
    const wilor_row_order by_head = {v->heads, v->width / v->heads};
    const wilor_dot *dot = v->dot;
    wilor_status st = WILOR_OK;
    char name[96];
    int d = v->width, m = v->mlp;
#define NAMED(part) (snprintf(name, sizeof name, "backbone.blocks.%d." part, i), name)
    WILOR_TRY(load_norm(&b->norm1_gamma, &b->norm1_beta, l, NAMED("norm1"), d));
    WILOR_TRY(
        wilor_dense_load(&b->qkv, l, dot, NAMED("attn.qkv"), 3 * d, d, &by_head, 1, bits));
    WILOR_TRY(wilor_dense_load(&b->proj, l, dot, NAMED("attn.proj"), d, d, &as_is, 1, bits));
    WILOR_TRY(load_norm(&b->norm2_gamma, &b->norm2_beta, l, NAMED("norm2"), d));
    WILOR_TRY(wilor_dense_load(&b->fc1, l, dot, NAMED("mlp.fc1"), m, d, &as_is, 1, bits));
    WILOR_TRY(
        wilor_dense_load(&b->fc2, l, dot, NAMED("mlp.fc2"), d, m, &as_is, dot->slices, bits));
#undef NAMED
done:
    return st;
}

static wilor_status load_side_head(wilor_vit *v, wilor_loader *l) {
    wilor_status st = WILOR_OK;
    const int inputs = WILOR_LEAD * v->width;
    WILOR_TRY(wilor_vector_load(&v->side_weight, l, "side_head.weight", inputs, inputs));
    WILOR_TRY(wilor_vector_load(&v->side_bias, l, "side_head.bias", 1, 1));
done:
    return st;
}

static wilor_status load_heads(wilor_vit *v, wilor_loader *l) {
    wilor_status st = WILOR_OK;
    int d = v->width;
    WILOR_TRY(load_norm(&v->last_gamma, &v->last_beta, l, "backbone.last_norm", d));
    WILOR_TRY(wilor_linear_load(&v->decpose, l, "backbone.decpose", 6, d, true));
    WILOR_TRY(wilor_linear_load(&v->decshape, l, "backbone.decshape", WILOR_BETAS, d, true));
    WILOR_TRY(wilor_linear_load(&v->deccam, l, "backbone.deccam", WILOR_CAM, d, true));
    WILOR_TRY(wilor_vector_load(&v->init_pose, l, "backbone.init_hand_pose", WILOR_POSE_NUMBERS,
                                WILOR_POSE_NUMBERS));
    WILOR_TRY(
        wilor_vector_load(&v->init_betas, l, "backbone.init_betas", WILOR_BETAS, WILOR_BETAS));
    WILOR_TRY(wilor_vector_load(&v->init_cam, l, "backbone.init_cam", WILOR_CAM, WILOR_CAM));
done:
    return st;
}

wilor_status wilor_vit_load(wilor_vit *v, wilor_loader *l, const wilor_vit_dims *dims,
                            const wilor_dot *dot, int bits) {
    wilor_status st = WILOR_OK;
    v->kernels = l->kernels;
    v->dot = dot;
    v->width = dims->width;
    v->depth = dims->depth;
    v->heads = dims->heads;
    v->mlp = dims->mlp;
    if (!v->blocks)
        v->blocks = wilor_heap_alloc((size_t)v->depth, sizeof *v->blocks);
    if (!v->blocks)
        WILOR_FAIL(l->err, WILOR_ERR_NOMEM, "no memory for %d blocks", v->depth);
    WILOR_TRY(wilor_vit_load_input(v, l));
    WILOR_TRY(wilor_linear_load(&v->patch, l, "backbone.patch_embed.proj", v->width,
                                WILOR_PATCH_INPUTS, true));
    for (int i = 0; i < v->depth; i++)
        WILOR_TRY(load_block(&v->blocks[i], v, l, i, bits));
    WILOR_TRY(load_heads(v, l));
    if (dims->side_head)
        WILOR_TRY(load_side_head(v, l));
done:
    return st;
}
