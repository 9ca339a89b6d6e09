/* Deterministic weights: the formula and the list of WiLoR's learned tensors.
 *
 * Names, shapes and order are the checkpoint's. The standard deviations follow a trained ViT:
 * normed inputs of variance 1, attention logits of about 1.7, a residual stream that grows
 * slowly, decoders that move the pose by some tenths.
 *
 * Easy to get wrong: the products with std and the sum with mean are each rounded to float, so
 * the compiler must not fuse them (-ffp-contract=off); std is computed in double and rounded
 * once; the mean is added also when it is 0. */
#include "random_weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the formula */

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

static uint64_t name_hash(const char *name) {
    uint64_t h = UINT64_C(0xCBF29CE484222325); /* FNV-1a, 64 bits */
    for (const unsigned char *p = (const unsigned char *)name; *p != 0; p++)
        h = (h ^ *p) * UINT64_C(0x100000001B3);
    return h;
}

static uint64_t splitmix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void wilor_random_fill(const char *name, uint64_t seed, float std, float mean, size_t first,
                       size_t count, float *dst) {
    uint64_t state = (name_hash(name) ^ (seed * GOLDEN)) + (uint64_t)first * GOLDEN;
    for (size_t i = 0; i < count; i++) {
        state += GOLDEN;
        uint64_t z = splitmix(state);
        int32_t sum =
            (int32_t)((z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) + (z >> 48));
        float v = (float)(sum - 131070) * 2.6428997e-05f;
        v = v * std;
        dst[i] = v + mean;
    }
}

/* ---- the tensors */

/* A dimension or the base of a deviation: a number, or one of these of the width D. */
enum {
    NONE = 0,
    D_1 = -1,
    D_3 = -2,
    D_4 = -3,
    D_HALF = -4,
    D_QUARTER = -5,
    D_EIGHTH = -6,
    D_REFINED = -7, /* RefineNet's features: D/2 + D/4 + D/8 */
    D_2 = -8
};

/* std = scale × base^(-1/2); base NONE: scale itself. Shape ends at the first NONE. */
struct row {
    const char *name;
    int shape[4];
    double scale;
    int base;
    double mean;
};

static const struct row HEAD_ROWS[] = {
    {"backbone.pos_embed", {1, 193, D_1}, 0.5, NONE, 0},
    {"backbone.patch_embed.proj.weight", {D_1, 3, 16, 16}, 1, 768, 0},
    {"backbone.patch_embed.proj.bias", {D_1}, 0.1, NONE, 0},
    {"backbone.pose_emb.weight", {D_1, 6}, 0.6, NONE, 0},
    {"backbone.pose_emb.bias", {D_1}, 0.2, NONE, 0},
    {"backbone.shape_emb.weight", {D_1, 10}, 0.6, NONE, 0},
    {"backbone.shape_emb.bias", {D_1}, 0.2, NONE, 0},
    {"backbone.cam_emb.weight", {D_1, 3}, 0.25, NONE, 0},
    {"backbone.cam_emb.bias", {D_1}, 0.2, NONE, 0},
    {"backbone.decpose.weight", {6, D_1}, 0.4, D_1, 0},
    {"backbone.decpose.bias", {6}, 0.02, NONE, 0},
    {"backbone.decshape.weight", {10, D_1}, 0.8, D_1, 0},
    {"backbone.decshape.bias", {10}, 0.1, NONE, 0},
    {"backbone.deccam.weight", {3, D_1}, 0.12, D_1, 0},
    {"backbone.deccam.bias", {3}, 0, NONE, 0},
};

static const struct row BLOCK_ROWS[] = {
    {"norm1.weight", {D_1}, 0.15, NONE, 1},        {"norm1.bias", {D_1}, 0.1, NONE, 0},
    {"attn.qkv.weight", {D_3, D_1}, 1.3, D_1, 0},  {"attn.qkv.bias", {D_3}, 0.2, NONE, 0},
    {"attn.proj.weight", {D_1, D_1}, 0.9, D_1, 0}, {"attn.proj.bias", {D_1}, 0.05, NONE, 0},
    {"norm2.weight", {D_1}, 0.15, NONE, 1},        {"norm2.bias", {D_1}, 0.1, NONE, 0},
    {"mlp.fc1.weight", {D_4, D_1}, 1, D_1, 0},     {"mlp.fc1.bias", {D_4}, 0.2, NONE, -0.3},
    {"mlp.fc2.weight", {D_1, D_4}, 0.9, D_4, 0},   {"mlp.fc2.bias", {D_1}, 0.05, NONE, 0},
};

static const struct row TAIL_ROWS[] = {
    {"backbone.last_norm.weight", {D_1}, 0.1, NONE, 1},
    {"backbone.last_norm.bias", {D_1}, 0.05, NONE, 0},
    {"refine_net.deconv.first_conv.0.weight", {D_HALF, D_1, 1, 1}, 1, D_1, 0},
    {"refine_net.deconv.first_conv.0.bias", {D_HALF}, 0.1, NONE, 0},
    {"refine_net.deconv.deconv.0.0.weight", {D_HALF, D_QUARTER, 4, 4}, 1, D_2, 0},
    {"refine_net.deconv.deconv.0.1.weight", {D_QUARTER}, 0.2, NONE, 1},
    {"refine_net.deconv.deconv.0.1.bias", {D_QUARTER}, 0.2, NONE, 0.1},
    {"refine_net.deconv.deconv.0.1.running_mean", {D_QUARTER}, 0.3, NONE, 0},
    {"refine_net.deconv.deconv.0.1.running_var", {D_QUARTER}, 0.2, NONE, 1.2},
    {"refine_net.deconv.deconv.1.0.weight", {D_HALF, D_QUARTER, 4, 4}, 1, D_2, 0},
    {"refine_net.deconv.deconv.1.1.weight", {D_QUARTER}, 0.2, NONE, 1},
    {"refine_net.deconv.deconv.1.1.bias", {D_QUARTER}, 0.2, NONE, 0.1},
    {"refine_net.deconv.deconv.1.1.running_mean", {D_QUARTER}, 0.3, NONE, 0},
    {"refine_net.deconv.deconv.1.1.running_var", {D_QUARTER}, 0.2, NONE, 1.2},
    {"refine_net.deconv.deconv.1.3.weight", {D_QUARTER, D_EIGHTH, 4, 4}, 1.3, D_1, 0},
    {"refine_net.deconv.deconv.1.4.weight", {D_EIGHTH}, 0.2, NONE, 1},
    {"refine_net.deconv.deconv.1.4.bias", {D_EIGHTH}, 0.2, NONE, 0.1},
    {"refine_net.deconv.deconv.1.4.running_mean", {D_EIGHTH}, 0.3, NONE, 0},
    {"refine_net.deconv.deconv.1.4.running_var", {D_EIGHTH}, 0.2, NONE, 1.2},
    {"refine_net.dec_pose.weight", {96, D_REFINED}, 0.12, D_REFINED, 0},
    {"refine_net.dec_pose.bias", {96}, 0.02, NONE, 0},
    {"refine_net.dec_cam.weight", {3, D_REFINED}, 0.05, D_REFINED, 0},
    {"refine_net.dec_cam.bias", {3}, 0.01, NONE, 0},
    {"refine_net.dec_shape.weight", {10, D_REFINED}, 0.4, D_REFINED, 0},
    {"refine_net.dec_shape.bias", {10}, 0.05, NONE, 0},
};

enum {
    HEAD_COUNT = sizeof HEAD_ROWS / sizeof *HEAD_ROWS,
    BLOCK_COUNT = sizeof BLOCK_ROWS / sizeof *BLOCK_ROWS,
    TAIL_COUNT = sizeof TAIL_ROWS / sizeof *TAIL_ROWS
};

static int resolve(int code, int d) {
    switch (code) {
    case D_1:
        return d;
    case D_2:
        return 2 * d;
    case D_3:
        return 3 * d;
    case D_4:
        return 4 * d;
    case D_HALF:
        return d / 2;
    case D_QUARTER:
        return d / 4;
    case D_EIGHTH:
        return d / 8;
    case D_REFINED:
        return d / 8 + d / 4 + d / 2;
    default:
        return code;
    }
}

size_t wilor_random_spec_count(const wilor_random_model *model) {
    return HEAD_COUNT + TAIL_COUNT + (size_t)model->depth * BLOCK_COUNT;
}

void wilor_random_spec_at(const wilor_random_model *model, size_t i, wilor_random_spec *out) {
    size_t blocks = (size_t)model->depth * BLOCK_COUNT;
    const struct row *row;
    memset(out, 0, sizeof *out);
    if (i < HEAD_COUNT) {
        row = &HEAD_ROWS[i];
        snprintf(out->name, sizeof out->name, "%s", row->name);
    } else if (i - HEAD_COUNT < blocks) {
        size_t k = i - HEAD_COUNT;
        row = &BLOCK_ROWS[k % BLOCK_COUNT];
        snprintf(out->name, sizeof out->name, "backbone.blocks.%zu.%s", k / BLOCK_COUNT,
                 row->name);
    } else {
        row = &TAIL_ROWS[i - HEAD_COUNT - blocks];
        snprintf(out->name, sizeof out->name, "%s", row->name);
    }
    while (out->rank < 4 && row->shape[out->rank] != NONE) {
        out->shape[out->rank] = resolve(row->shape[out->rank], model->width);
        out->rank++;
    }
    double base = row->base == NONE ? 1.0 : pow(resolve(row->base, model->width), -0.5);
    out->std = (float)(row->scale * base);
    out->mean = (float)row->mean;
}

/* ---- the values that are not noise */

/* Add x to element `at` of the tensor when the window first … first + count - 1 of it has it. */
static void move_value(float *dst, size_t first, size_t count, size_t at, float x) {
    if (at >= first && at - first < count)
        dst[at - first] += x;
}

/* A few residual channels are large in trained ViTs; it matters for the error of 16-bit and
 * int8 arithmetic. They grow after the second block and shrink after the last. */
static void move_channels(const wilor_random_model *model, const char *name, size_t first,
                          size_t count, float *dst) {
    char last[64];
    float sign;
    snprintf(last, sizeof last, "backbone.blocks.%d.mlp.fc2.bias", model->depth - 1);
    if (strcmp(name, "backbone.blocks.1.mlp.fc2.bias") == 0)
        sign = 1;
    else if (strcmp(name, last) == 0)
        sign = -1;
    else
        return;
    size_t d = (size_t)model->width;
    move_value(dst, first, count, d / 7, sign * 14);
    move_value(dst, first, count, d / 3, sign * -9);
    move_value(dst, first, count, d - 5, sign * 22);
}

static bool is_decoder(const char *name) {
    return strncmp(name, "backbone.dec", 12) == 0 || strncmp(name, "refine_net.dec_", 15) == 0;
}

void wilor_random_tensor_fill(const wilor_random_model *model, const wilor_random_spec *spec,
                              size_t first, size_t count, float *dst) {
    bool silent = model->mean_pose && is_decoder(spec->name);
    if (silent)
        memset(dst, 0, count * sizeof *dst);
    else
        wilor_random_fill(spec->name, model->seed, spec->std, spec->mean, first, count, dst);
    if (!silent && strcmp(spec->name, "backbone.decpose.bias") == 0) {
        move_value(dst, first, count, 3,
                   -1); /* the mean's 6D is laid out 3×2, but read as 2×3: */
        move_value(dst, first, count, 4, 1); /* this turns (1,0,0,1,0,0) into the identity */
    } else if (strcmp(spec->name, "backbone.deccam.bias") == 0) {
        for (size_t k = 0; k < 3; k++)
            move_value(dst, first, count, k, model->camera[k]);
    } else {
        move_channels(model, spec->name, first, count, dst);
    }
}

/* ---- the mean parameters */

/* The first two columns of the rotation matrix of vector v, row by row, in steps of 1/4096: the
 * same bits whatever the sine of this machine. */
static void mean_rotation(const double v[3], float out[6]) {
    double angle = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) + 1e-12;
    double k[3] = {v[0] / angle, v[1] / angle, v[2] / angle};
    double m[3][3] = {{0, -k[2], k[1]}, {k[2], 0, -k[0]}, {-k[1], k[0], 0}};
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 2; c++) {
            double square = m[r][0] * m[0][c] + m[r][1] * m[1][c] + m[r][2] * m[2][c];
            double x = (r == c) + sin(angle) * m[r][c] + (1 - cos(angle)) * square;
            out[r * 2 + c] = (float)(rint(x * 4096) / 4096);
        }
}

void wilor_random_mean(uint64_t seed, float pose[96], float shape[10], float cam[3]) {
    float noise[48];
    wilor_random_fill("mean.pose", seed, 0.25f, 0, 0, 48, noise);
    for (int j = 0; j < 16; j++) {
        double v[3] = {noise[3 * j], noise[3 * j + 1], noise[3 * j + 2]};
        if (j == 0) {
            v[0] += 0.3;
            v[1] += 0.2;
            v[2] += 1.2;
        }
        mean_rotation(v, pose + 6 * j);
    }
    wilor_random_fill("mean.shape", seed, 0.3f, 0, 0, 10, shape);
    cam[0] = 4;
    cam[1] = cam[2] = 0;
}

const char *wilor_random_name(const char *path) {
    static const char PREFIX[] = "random:";
    size_t n = sizeof PREFIX - 1;
    return strncmp(path, PREFIX, n) == 0 ? path + n : NULL;
}

bool wilor_random_model_named(wilor_random_model *out, const char *name) {
    static const struct {
        const char *name;
        wilor_random_model model;
    } KNOWN[] = {
        {"tiny", {64, 3, 4, 1, {-3.1f, 0.05f, -0.04f}, false}},
        {"hd80", {160, 2, 2, 1, {-3.1f, -0.3f, 0.6f}, false}},
        {"full", {1280, 32, 16, 1, {-3.1f, 0.05f, -0.04f}, false}},
        {"nano", {192, 6, 3, 1, {-3.1f, 0.05f, -0.04f}, false}},
        {"demo", {64, 3, 4, 1, {2.85f, -0.02f, 0.0085f}, true}},
    };

    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (strcmp(name, KNOWN[i].name) == 0) {
            *out = KNOWN[i].model;
            return true;
        }
    return false;
}
