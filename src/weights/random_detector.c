/* YOLOv8-pose (ultralytics/cfg/models/v8/yolov8-pose.yaml) with weights of random_weights.h's
 * formula, seed 1.
 *
 * A convolution's weights have variance G²/inputs. SiLU keeps a quarter of the second moment of
 * small signals and a half of large ones, so G² = 1.8 lets both shrink or stay, and the batch
 * norms' shifts put back what is lost: no depth makes the signal die or explode. The batch
 * norms' other numbers are 1, 0 and 1: nothing is normalised at run time. */
#include "random_detector.h"

#include "heap.h"
#include "index_build.h"
#include "random_weights.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define GAIN 1.35
#define SHIFT 0.6

enum { NAME = 64, LEVELS = 3 };

/* width: 32nds of the yaml's channels, which are at most `most`. */
typedef struct scale {
    const char *name;
    int width, most, repeats, long_repeats;
    double scores[LEVELS]; /* their biases: one anchor in 150 scores above 0.3 */
} scale;

static const scale g_scales[] = {
    {"n", 8, 1024, 1, 2, {-17.0, -0.9, -38.0}},
    {"s", 16, 1024, 1, 2, {-35.5, -9.5, -32.4}},
    {"m", 24, 768, 2, 4, {-9.3, -8.8, -28.5}},
    {"nano", 6, 1024, 1, 2, {-21.8, -7.4, -46.2}}, /* models/nano's */
    {"micro", 1, 1024, 1, 2, {3.8, -13.1, -6.7}},
};

typedef struct made_tensor {
    wilor_generator generator; /* first: the generator's address is this struct's */
    const char *name;
    float std, mean;
} made_tensor;

static void fill_made(const wilor_generator *g, size_t first, size_t count, float *dst) {
    const made_tensor *made = (const made_tensor *)g;
    wilor_random_fill(made->name, 1, made->std, made->mean, first, count, dst);
}

typedef struct maker {
    wilor_index *x;
    const scale *scale;
    wilor_error *err;
} maker;

static wilor_status add(const maker *m, const char *prefix, const char *tail, int rank,
                        const int64_t shape[4], double std, double mean) {
    char name[NAME];
    int n = snprintf(name, sizeof name, "%s.%s", prefix, tail);
    made_tensor *made = wilor_pool_alloc(&m->x->pool, 1, sizeof *made);
    if (!made)
        return wilor_index_no_memory(m->x, m->err);
    made->generator.fill = fill_made;
    made->std = (float)std;
    made->mean = (float)mean;
    wilor_status st = wilor_index_name(m->x, &made->name, name, (size_t)n, m->err);
    if (st != WILOR_OK)
        return st;
    wilor_tensor t = {.name = made->name, .rank = rank};
    memcpy(t.shape, shape, 4 * sizeof *shape);
    return wilor_index_add_generated(m->x, &t, &made->generator, m->err);
}

/* part: how much of the usual size comes out. */
static wilor_status add_part(const maker *m, const char *prefix, int in, int out, int size,
                             double part) {
    wilor_status st;
    const int64_t weight[4] = {out, in, size, size}, vector[4] = {out};
    double std = part * GAIN / sqrt((double)in * size * size);
    WILOR_TRY(add(m, prefix, "conv.weight", 4, weight, std, 0));
    WILOR_TRY(add(m, prefix, "bn.weight", 1, vector, 0, 1));
    WILOR_TRY(add(m, prefix, "bn.bias", 1, vector, part * SHIFT, 0));
    WILOR_TRY(add(m, prefix, "bn.running_mean", 1, vector, 0, 0));
    WILOR_TRY(add(m, prefix, "bn.running_var", 1, vector, 0, 1));
done:
    return st;
}

static wilor_status add_conv(const maker *m, const char *prefix, int in, int out, int size) {
    return add_part(m, prefix, in, out, size, 1);
}

static int channels(const maker *m, int yaml) {
    int c = yaml < m->scale->most ? yaml : m->scale->most;
    return (c * m->scale->width + 255) / 256 * 8;
}

static wilor_status add_c2f(const maker *m, int layer, int in, int out, int repeats) {
    wilor_status st;
    char name[NAME];
    snprintf(name, sizeof name, "model.%d.cv1", layer);
    WILOR_TRY(add_conv(m, name, in, out, 1));
    for (int i = 0; i < repeats; i++)
        for (int k = 1; k <= 2; k++) {
            snprintf(name, sizeof name, "model.%d.m.%d.cv%d", layer, i, k);
            WILOR_TRY(add_part(m, name, out / 2, out / 2, 3, layer <= 8 && k == 2 ? 0.5 : 1));
        }
    snprintf(name, sizeof name, "model.%d.cv2", layer);
    WILOR_TRY(add_conv(m, name, (2 + repeats) * (out / 2), out, 1));
done:
    return st;
}

static wilor_status add_branch(const maker *m, int branch, int level, int in, int hidden,
                               int out) {
    wilor_status st;
    char name[NAME];
    const int64_t weight[4] = {out, hidden, 1, 1}, vector[4] = {out};
    bool score = branch == 3;
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "model.22.cv%d.%d.%d", branch, level, i);
        WILOR_TRY(add_conv(m, name, i ? hidden : in, hidden, 3));
    }
    snprintf(name, sizeof name, "model.22.cv%d.%d.2", branch, level);
    /* Scores vary by units over a picture, points and bins by less than one: pictures hardly
     * matter to such a network, its borders do. */
    double std = (score ? 16 : 1) * GAIN / sqrt((double)hidden);
    WILOR_TRY(add(m, name, "weight", 4, weight, std, 0));
    WILOR_TRY(
        add(m, name, "bias", 1, vector, score ? 0 : 0.5, score ? m->scale->scores[level] : 0));
done:
    return st;
}

static int larger(int a, int b) { return a > b ? a : b; }

static wilor_status add_head(const maker *m, const int in[LEVELS]) {
    wilor_status st = WILOR_OK;
    const int hidden[3] = {larger(64, in[0] / 4), larger(2, in[0]), larger(63, in[0] / 4)};
    static const int out[3] = {64, 2, 63};
    for (int b = 0; b < 3; b++)
        for (int l = 0; l < LEVELS; l++)
            WILOR_TRY(add_branch(m, b + 2, l, in[l], hidden[b], out[b]));
done:
    return st;
}

static wilor_status add_all(const maker *m) {
    wilor_status st;
    int c1 = channels(m, 64), c2 = channels(m, 128), c3 = channels(m, 256);
    int c4 = channels(m, 512), c5 = channels(m, 1024);
    int n = m->scale->repeats, more = m->scale->long_repeats;
    WILOR_TRY(add_conv(m, "model.0", 3, c1, 3));
    WILOR_TRY(add_conv(m, "model.1", c1, c2, 3));
    WILOR_TRY(add_c2f(m, 2, c2, c2, n));
    WILOR_TRY(add_conv(m, "model.3", c2, c3, 3));
    WILOR_TRY(add_c2f(m, 4, c3, c3, more));
    WILOR_TRY(add_conv(m, "model.5", c3, c4, 3));
    WILOR_TRY(add_c2f(m, 6, c4, c4, more));
    WILOR_TRY(add_conv(m, "model.7", c4, c5, 3));
    WILOR_TRY(add_c2f(m, 8, c5, c5, n));
    WILOR_TRY(add_conv(m, "model.9.cv1", c5, c5 / 2, 1));
    WILOR_TRY(add_conv(m, "model.9.cv2", c5 / 2 * 4, c5, 1));
    WILOR_TRY(add_c2f(m, 12, c5 + c4, c4, n));
    WILOR_TRY(add_c2f(m, 15, c4 + c3, c3, n));
    WILOR_TRY(add_conv(m, "model.16", c3, c3, 3));
    WILOR_TRY(add_c2f(m, 18, c3 + c4, c4, n));
    WILOR_TRY(add_conv(m, "model.19", c4, c4, 3));
    WILOR_TRY(add_c2f(m, 21, c4 + c5, c5, n));
    WILOR_TRY(add_head(m, (const int[]){c3, c4, c5}));
done:
    return st;
}

static wilor_status begin_index(wilor_index **out, const char *name, wilor_error *err) {
    char path[NAME];
    wilor_index *x = wilor_heap_alloc(1, sizeof *x);
    if (x) {
        x->map.fd = -1;
        x->format = "random";
        snprintf(path, sizeof path, "random:%s", name);
        x->raw_path = wilor_heap_string(path);
        wilor_quote(&x->path, path);
    }
    if (!x || !x->raw_path) {
        wilor_heap_free(x);
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for random weights");
    }
    *out = x;
    return WILOR_OK;
}

wilor_status wilor_random_detector(wilor_index **out, const char *name, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_index *x = NULL;
    wilor_quoted q;
    const char *label = "synthetic: random weights, seed 1";
    maker m = {.err = err};
    *out = NULL;
    for (size_t i = 0; i < sizeof g_scales / sizeof g_scales[0]; i++)
        if (strcmp(name, g_scales[i].name) == 0)
            m.scale = &g_scales[i];
    if (!m.scale)
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "there is no random detector %s; there are n, s, m, nano and micro",
            wilor_quote(&q, name));
    WILOR_TRY(begin_index(&x, name, err));
    m.x = x;
    WILOR_TRY(add_all(&m));
    WILOR_TRY(wilor_index_add_metadata(x, "label", 5, label, strlen(label), err));
    WILOR_TRY(wilor_index_seal(x, err));
    x->kind = WILOR_FILE_DETECTOR;
    x->canonical = true;
    wilor_error_clear(err);
    *out = x;
    x = NULL;
done:
    wilor_index_close(&x);
    return st;
}
