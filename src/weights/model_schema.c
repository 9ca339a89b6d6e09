/* Names and shapes come from the list that the weights' formula has (random_weights.c), so that
 * there is one list; here the MLP's width is free, and the mean parameters are added. */
#include "model_schema.h"

#include "random_weights.h"
#include <stdio.h>
#include <string.h>

enum {
    MOST_WIDTH = 1 << 14,
    MOST_DEPTH = 256,
    MOST_MLP = 8 * MOST_WIDTH,
    INIT_COUNT = 3,
    HEAD_COUNT = 2,
    LEAD = 18 /* tokens that the side head sees */
};

static wilor_status no_tensor(const wilor_index *x, const char *name, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_MODEL,
                           "%s: the tensor %s is missing or has an impossible size",
                           wilor_quote(&q, wilor_index_path(x)), name);
}

wilor_status wilor_schema_measure(wilor_schema *out, const wilor_index *x, wilor_error *err) {
    wilor_quoted q;
    char name[64];
    const wilor_tensor *pos = wilor_index_find(x, "backbone.pos_embed");
    const wilor_tensor *fc1 = wilor_index_find(x, "backbone.blocks.0.mlp.fc1.bias");
    int64_t width = pos && pos->rank ? pos->shape[pos->rank - 1] : 0;
    int depth = 0;
    if (width < 8 || width > MOST_WIDTH || width % 8 != 0)
        return no_tensor(x, "backbone.pos_embed", err);
    do
        snprintf(name, sizeof name, "backbone.blocks.%d.norm1.weight", depth);
    while (wilor_index_find(x, name) && depth++ < MOST_DEPTH);
    if (depth < 1)
        return no_tensor(x, "backbone.blocks.0.norm1.weight", err);
    if (depth > MOST_DEPTH)
        return wilor_error_set(err, WILOR_ERR_MODEL, "%s has more than %d transformer blocks",
                               wilor_quote(&q, wilor_index_path(x)), MOST_DEPTH);
    if (!fc1 || fc1->count < 1 || fc1->count > MOST_MLP)
        return no_tensor(x, "backbone.blocks.0.mlp.fc1.bias", err);
    bool head =
        wilor_index_find(x, "side_head.weight") || wilor_index_find(x, "side_head.bias");
    *out = (wilor_schema){(int)width, depth, (int)fc1->count, head};
    return WILOR_OK;
}

static wilor_random_model model_of(const wilor_schema *s) {
    return (wilor_random_model){.width = s->width, .depth = s->depth, .heads = 1};
}

size_t wilor_schema_count(const wilor_schema *s) {
    wilor_random_model model = model_of(s);
    return wilor_random_spec_count(&model) + (s->side_head ? HEAD_COUNT : 0) + INIT_COUNT;
}

static bool ends(const char *text, const char *with) {
    size_t n = strlen(text), k = strlen(with);
    return n >= k && strcmp(text + n - k, with) == 0;
}

static wilor_role role_of(const wilor_schema_entry *e) {
    if (e->rank == 4)
        return strstr(e->name, ".deconv.deconv.") ? WILOR_ROLE_TRANSPOSED
                                                  : WILOR_ROLE_CONVOLUTION;
    if (e->rank != 2 || !ends(e->name, ".weight"))
        return WILOR_ROLE_OTHER;
    return strncmp(e->name, "backbone.blocks.", 16) == 0 ? WILOR_ROLE_BLOCK_MATRIX
                                                         : WILOR_ROLE_MATRIX;
}

/* As PyTorch keeps an nn.Linear: (1, inputs) and (1). */
static void side_head_at(const wilor_schema *s, bool bias, wilor_schema_entry *out) {
    *out = (wilor_schema_entry){.rank = bias ? 1 : 2,
                                .shape = {1, bias ? 0 : (int64_t)LEAD * s->width},
                                .role = bias ? WILOR_ROLE_OTHER : WILOR_ROLE_MATRIX};
    snprintf(out->name, sizeof out->name, "side_head.%s", bias ? "bias" : "weight");
}

void wilor_schema_at(const wilor_schema *s, size_t i, wilor_schema_entry *out) {
    static const struct {
        const char *name;
        int64_t count;
    } init[INIT_COUNT] = {
        {"backbone.init_cam", 3}, {"backbone.init_hand_pose", 96}, {"backbone.init_betas", 10}};

    wilor_random_model model = model_of(s);
    size_t learned = wilor_random_spec_count(&model);
    size_t heads = s->side_head ? HEAD_COUNT : 0;
    if (i >= learned && i < learned + heads) {
        side_head_at(s, i > learned, out);
        return;
    }
    *out = (wilor_schema_entry){.role = WILOR_ROLE_INIT};
    if (i >= learned) {
        snprintf(out->name, sizeof out->name, "%s", init[i - learned - heads].name);
        out->rank = 2;
        out->shape[0] = 1;
        out->shape[1] = init[i - learned - heads].count;
        return;
    }
    wilor_random_spec spec;
    wilor_random_spec_at(&model, i, &spec);
    memcpy(out->name, spec.name, sizeof out->name);
    out->rank = spec.rank;
    memcpy(out->shape, spec.shape, sizeof out->shape);
    if (ends(out->name, ".mlp.fc1.weight") || ends(out->name, ".mlp.fc1.bias"))
        out->shape[0] = s->mlp;
    if (ends(out->name, ".mlp.fc2.weight"))
        out->shape[1] = s->mlp;
    out->role = role_of(out);
}
