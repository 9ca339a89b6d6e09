/* The checkpoint's names for all other files (model.md, "Weights files").
 *
 * Layouts change by permuting strides; only a pose basis that is not dense is copied. Easy to
 * get wrong: wilor-mlx keeps transposed convolutions as (out, h, w, in), too, while PyTorch has
 * them (in, out, h, w); and MANO's pickle has the pose basis as V × 3 × 135, the transpose of
 * the model's. */
#include "canonical_names.h"

#include "heap.h"
#include "index_build.h"
#include "tensor_convert.h"
#include <stdio.h>
#include <string.h>

static bool has(const wilor_index *x, const char *name) {
    return wilor_index_find(x, name) != NULL;
}

static bool has_count(const wilor_index *x, const char *name, size_t count) {
    const wilor_tensor *t = wilor_index_find(x, name);
    return t && t->count == count;
}

wilor_file_kind wilor_canonical_kind(const wilor_index *x) {
    bool backbone = has(x, "backbone.pos_embed") ||
                    has(x, "backbone.patch_embed.proj.weight") ||
                    has(x, "backbone.blocks.0.attn.qkv.weight");
    if (backbone && (has(x, "IMAGE_MEAN") || has(x, "refine_net.deconv.first_conv.weight") ||
                     has(x, "refine_net.deconv.branch0_conv.weight")))
        return WILOR_FILE_MLX;
    if (backbone)
        return WILOR_FILE_CHECKPOINT;
    if (has(x, "v_template") && has(x, "J_regressor"))
        return WILOR_FILE_MANO;
    if (has_count(x, "pose", 96) && has_count(x, "shape", 10) && has_count(x, "cam", 3))
        return WILOR_FILE_MEAN;
    /* YOLOv8-pose as a saved module, whole or not, and under wilor-mlx's names. */
    const char *network = wilor_index_class(x, "");
    if (network && strcmp(network, "ultralytics.nn.tasks.PoseModel") == 0)
        return WILOR_FILE_DETECTOR;
    if ((has(x, "model.0.conv.weight") && has(x, "model.22.cv4.0.0.conv.weight")) ||
        (has(x, "b0.conv.weight") && has(x, "pose.cv4.0.0.conv.weight")))
        return WILOR_FILE_DETECTOR;
    return WILOR_FILE_TENSORS;
}

/* ------------------------------------------------------------------ wilor-mlx */

static const struct {
    const char *mlx, *checkpoint;
} g_convolutions[] = {
    {"refine_net.deconv.first_conv.", "refine_net.deconv.first_conv.0."},
    {"refine_net.deconv.branch0_conv.", "refine_net.deconv.deconv.0.0."},
    {"refine_net.deconv.branch0_bn.", "refine_net.deconv.deconv.0.1."},
    {"refine_net.deconv.branch1_conv0.", "refine_net.deconv.deconv.1.0."},
    {"refine_net.deconv.branch1_bn0.", "refine_net.deconv.deconv.1.1."},
    {"refine_net.deconv.branch1_conv1.", "refine_net.deconv.deconv.1.3."},
    {"refine_net.deconv.branch1_bn1.", "refine_net.deconv.deconv.1.4."},
};

/* prefix + name in the pool. */
static wilor_status set_name(wilor_index *x, wilor_tensor *t, const char *prefix,
                             const char *name, wilor_error *err) {
    size_t n = strlen(prefix), k = strlen(name);
    char *text = wilor_pool_alloc(&x->pool, n + k + 1, 1);
    if (!text)
        return wilor_index_no_memory(x, err);
    memcpy(text, prefix, n);
    memcpy(text + n, name, k);
    t->name = text;
    return WILOR_OK;
}

/* Dimension k becomes the old dimension order[k]. */
static void permute(wilor_tensor *t, const int order[4]) {
    wilor_tensor old = *t;
    for (int k = 0; k < 4; k++) {
        t->shape[k] = old.shape[order[k]];
        t->stride[k] = old.stride[order[k]];
    }
}

static wilor_status rename_mlx(wilor_index *x, wilor_tensor *t, wilor_error *err) {
    static const int convolution[4] = {0, 3, 1, 2}, transposed[4] = {3, 0, 1, 2};
    bool branch = strstr(t->name, ".branch") != NULL;
    if (t->rank == 4 && strncmp(t->name, "IMAGE_", 6) != 0)
        permute(t, branch ? transposed : convolution);
    for (size_t i = 0; i < sizeof g_convolutions / sizeof g_convolutions[0]; i++) {
        size_t n = strlen(g_convolutions[i].mlx);
        if (strncmp(t->name, g_convolutions[i].mlx, n) == 0)
            return set_name(x, t, g_convolutions[i].checkpoint, t->name + n, err);
    }
    return WILOR_OK;
}

/* ------------------------------------------------------------------ detector */

/* wilor-mlx's module of each layer that has weights: b0 … b9, h12 …, pose. Other names stay and
 * are nobody's. */
static bool detector_layer(const char *name, int *layer, const char **rest) {
    static const int head[] = {12, 15, 16, 18, 19, 21};
    char prefix[16];
    for (int i = 0; i < 17; i++) {
        *layer = i < 10 ? i : i < 16 ? head[i - 10] : 22;
        if (i == 16)
            snprintf(prefix, sizeof prefix, "pose.");
        else
            snprintf(prefix, sizeof prefix, "%c%d.", i < 10 ? 'b' : 'h', *layer);
        if (strncmp(name, prefix, strlen(prefix)) == 0) {
            *rest = name + strlen(prefix);
            return true;
        }
    }
    return false;
}

static wilor_status rename_detector(wilor_index *x, wilor_tensor *t, wilor_error *err) {
    static const int convolution[4] = {0, 3, 1, 2};
    char prefix[16];
    const char *rest;
    int layer;
    if (!has(x, "b0.conv.weight") || !detector_layer(t->name, &layer, &rest))
        return WILOR_OK;
    if (t->rank == 4)
        permute(t, convolution);
    snprintf(prefix, sizeof prefix, "model.%d.", layer);
    return set_name(x, t, prefix, rest, err);
}

/* ------------------------------------------------------------------ MANO and its means */

/* (V, 3, P) as (P, V·3). */
static wilor_status transpose_basis(wilor_index *x, wilor_tensor *t, wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (t->rank != 3)
        return WILOR_OK; /* as the model has it; who uses it checks the shape */
    if (t->stride[0] != t->stride[1] * t->shape[1] && t->count) {
        uint8_t *dense;
        WILOR_TRY(wilor_index_derive(x, t->count * t->element, &dense, err));
        WILOR_TRY(wilor_tensor_gather(t, dense, err));
        t->data = dense;
        t->mapped = NULL;
        t->span = t->count * t->element;
        wilor_tensor_set_dense(t, false);
    }
    int64_t basis = t->shape[2], basis_stride = t->stride[2];
    t->shape[1] =
        t->shape[0] * t->shape[1]; /* cannot overflow but when empty, and then is small */
    t->shape[0] = basis;
    t->stride[0] = basis_stride;
    t->rank = 2;
done:
    return st;
}

/* Row 0 of a (2, n) table, as MANO's pickle has it. */
static void first_row(wilor_tensor *t) {
    if (t->rank != 2 || t->shape[0] < 1)
        return;
    t->count /= (size_t)t->shape[0];
    t->rank = 1;
    t->shape[0] = t->shape[1];
    t->stride[0] = t->stride[1];
    t->span =
        t->count ? ((size_t)(t->shape[0] - 1) * (size_t)t->stride[0] + 1) * t->element : 0;
}

/* MANO's own names, where the file does not have the model's as well. */
static const char *mano_name(const wilor_index *x, const char *name) {
    static const char *const names[][2] = {{"weights", "lbs_weights"},
                                           {"f", "faces_tensor"},
                                           {"faces", "faces_tensor"},
                                           {"kintree_table", "parents"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i][0]) == 0 && !has(x, names[i][1]))
            return names[i][1];
    return name;
}

static wilor_status rename_mano(wilor_index *x, wilor_tensor *t, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const char *name = mano_name(x, t->name);
    if (strcmp(name, "posedirs") == 0)
        WILOR_TRY(transpose_basis(x, t, err));
    if (strcmp(name, "parents") == 0)
        first_row(t);
    st = set_name(x, t, strncmp(name, "init_", 5) == 0 ? "backbone." : "mano.", name, err);
done:
    return st;
}

static wilor_status rename_mean(wilor_index *x, wilor_tensor *t, wilor_error *err) {
    static const char *const names[][2] = {
        {"pose", "init_hand_pose"}, {"shape", "init_betas"}, {"cam", "init_cam"}};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(t->name, names[i][0]) != 0)
            continue;
        /* One row. A vector keeps its stride; dimensions of size 1 before it are dropped. */
        int64_t stride = t->rank ? t->stride[t->rank - 1] : 1;
        if (t->rank && (size_t)t->shape[t->rank - 1] != t->count)
            return WILOR_OK;
        t->rank = 2;
        t->shape[0] = 1;
        t->shape[1] = (int64_t)t->count;
        t->stride[0] = 0;
        t->stride[1] = stride;
        return set_name(x, t, "backbone.", names[i][1], err);
    }
    return WILOR_OK;
}

/* MANO's pickle does not say which vertices are finger tips, nor the order of keypoints. */
static const int64_t g_extra_joints[5] = {744, 320, 443, 554, 671};
static const int64_t g_joint_map[21] = {0, 13, 14, 15, 16, 1,  2, 3, 17, 4, 5,
                                        6, 18, 10, 11, 12, 19, 7, 8, 9,  20};

static void add_constant(wilor_tensor *t, const char *name, const int64_t *values,
                         size_t count) {
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    *t = (wilor_tensor){.name = name, .rank = 1, .big_endian = !first};
    wilor_tensor_set_dtype(t, WILOR_I64);
    t->shape[0] = (int64_t)count;
    t->stride[0] = 1;
    t->count = count;
    t->span = count * sizeof *values;
    t->data = (const uint8_t *)values;
}

/* ------------------------------------------------------------------ all */

static wilor_status rename_tensor(wilor_index *x, wilor_tensor *t, wilor_error *err) {
    switch (x->kind) {
    case WILOR_FILE_MLX:
        return rename_mlx(x, t, err);
    case WILOR_FILE_DETECTOR:
        return rename_detector(x, t, err);
    case WILOR_FILE_MANO:
        return rename_mano(x, t, err);
    case WILOR_FILE_MEAN:
        return rename_mean(x, t, err);
    default:
        return WILOR_OK;
    }
}

/* Everything is made beside the old tensors and put in place at the end, so a failure changes
 * nothing. */
wilor_status wilor_index_canonical(wilor_index *x, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_index next = *x;
    if (x->canonical)
        return WILOR_OK;
    next.names = (wilor_names){0};
    next.tensors = wilor_heap_alloc(x->count + 2, sizeof *next.tensors);
    if (!next.tensors)
        return wilor_index_no_memory(x, err);
    for (size_t i = 0; i < x->count; i++) {
        next.tensors[i] = x->tensors[i];
        WILOR_TRY(rename_tensor(x, &next.tensors[i], err));
    }
    if (x->kind == WILOR_FILE_MANO && !has(x, "extra_joints_idxs"))
        add_constant(&next.tensors[next.count++], "mano.extra_joints_idxs", g_extra_joints, 5);
    if (x->kind == WILOR_FILE_MANO && !has(x, "joint_map"))
        add_constant(&next.tensors[next.count++], "mano.joint_map", g_joint_map, 21);
    WILOR_TRY(wilor_index_seal(&next, err));
    wilor_heap_free(x->tensors);
    wilor_names_free(&x->names);
    x->tensors = next.tensors;
    x->room = x->count + 2;
    x->count = next.count;
    x->names = next.names;
    x->canonical = true;
    next.tensors = NULL;
    next.names = (wilor_names){0};
    wilor_error_clear(err);
done:
    wilor_heap_free(next.tensors);
    wilor_names_free(&next.names);
    return st;
}

/* ------------------------------------------------------------------ the way back */

bool wilor_mlx_name(char *out, size_t room, const char *name) {
    for (size_t i = 0; i < sizeof g_convolutions / sizeof g_convolutions[0]; i++) {
        size_t n = strlen(g_convolutions[i].checkpoint);
        if (strncmp(name, g_convolutions[i].checkpoint, n) == 0) {
            int k = snprintf(out, room, "%s%s", g_convolutions[i].mlx, name + n);
            return k >= 0 && (size_t)k < room;
        }
    }
    int k = snprintf(out, room, "%s", name);
    return k >= 0 && (size_t)k < room;
}

void wilor_mlx_permute(wilor_tensor *t, bool transposed) {
    static const int convolution[4] = {0, 2, 3, 1}, back[4] = {1, 2, 3, 0};
    permute(t, transposed ? back : convolution);
}
