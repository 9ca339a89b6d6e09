/* What a detector's file must hold: YOLOv8-pose as ultralytics/cfg/models/v8/yolov8-pose.yaml
 * and nn/modules/{conv,block,head}.py make it, checked name by name.
 *
 * The topology is fixed here; widths and repeats are the file's. A detector.pt says more than
 * its tensors do (classes, strides, activations), and ultralytics runs what it says: all of it
 * is compared. In a safetensors file the names alone speak. Nothing may be missing or left
 * over.
 *
 * Easy to get wrong: the epsilon is an attribute of each batch norm (0.001, not PyTorch's
 * default); the folded batch norm is γ / √(var + ε) in float32, and so is what follows; views
 * may share their bytes, so that a small file could ask for much memory. */
#include "yolo_file.h"

#include "finite.h"
#include "heap.h"
#include "tensor_convert.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A module's name has at most 31 bytes, a tensor's 20 more. */
enum {
    NAME = 48,
    FULL = 2 * NAME,
    CHANNELS_MOST = 4096,
    LAYER_HEAD = 22,
    DFL_BINS = 16,
    ANY = 0
};

enum { IMGSZ_DEFAULT = 640, IMGSZ_LEAST = 32, IMGSZ_MOST = 4096 };

static const float g_eps = 0.001f;

typedef struct reader {
    const wilor_index *x;
    wilor_quoted path;
    bool modules; /* classes and attributes are there to be checked */
    wilor_yolo_plan *plan;
    bool *tensor_used, *module_used;
    wilor_error *err;
} reader;

/* ------------------------------------------------------------------ errors */

static wilor_status refuse(const reader *r, const char *thing, const char *format, ...)
    WILOR_PRINTF(3, 4);

static wilor_status refuse(const reader *r, const char *thing, const char *format, ...) {
    char text[256];
    wilor_quoted q;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return wilor_error_set(r->err, WILOR_ERR_MODEL, "%s: %s %s", r->path.text,
                           *thing ? wilor_quote(&q, thing) : "its network", text);
}

/* "[16, 3, 3, 3]" */
static const char *shape_text(char text[96], int rank, const int64_t *shape) {
    size_t at = 0;
    at += (size_t)snprintf(text, 96, "[");
    for (int i = 0; i < rank && at < 70; i++)
        at +=
            (size_t)snprintf(text + at, 96 - at, "%s%lld", i ? ", " : "", (long long)shape[i]);
    snprintf(text + at, 96 - at, "]");
    return text;
}

/* ------------------------------------------------------------------ tensors */

static const wilor_tensor *use_tensor(reader *r, const char *name) {
    const wilor_tensor *t = wilor_index_find(r->x, name);
    if (t)
        r->tensor_used[t - wilor_index_at(r->x, 0)] = true;
    return t;
}

static bool is_float(const wilor_tensor *t) {
    return t->dtype == WILOR_F32 || t->dtype == WILOR_F16 || t->dtype == WILOR_BF16 ||
           t->dtype == WILOR_F64;
}

/* A tensor of real numbers of that shape; a 0 (ANY) becomes the size that it has. */
static wilor_status need_tensor(reader *r, const char *name, int rank, int64_t *shape) {
    char is[96], should[96];
    size_t bytes;
    const wilor_tensor *t = use_tensor(r, name);
    if (!t)
        return refuse(r, name, "is missing");
    if (!is_float(t))
        return refuse(r, name, "has type %s; it should be of floating-point numbers",
                      t->dtype_name);
    bool fits = t->rank == rank;
    for (int i = 0; fits && i < rank; i++)
        fits = shape[i] == ANY ? t->shape[i] > 0 && t->shape[i] <= CHANNELS_MOST
                               : t->shape[i] == shape[i];
    if (!fits)
        return refuse(r, name, "has shape %s; %s fits (0: 1 to %d)",
                      shape_text(is, t->rank, t->shape), shape_text(should, rank, shape),
                      CHANNELS_MOST);
    for (int i = 0; i < rank; i++)
        shape[i] = t->shape[i];
    if (!t->generator && (!wilor_size_mul(t->count, t->element, &bytes) || t->span < bytes))
        return refuse(r, name, "repeats its bytes");
    return WILOR_OK;
}

/* The same for a vector. */
static wilor_status need_vector(reader *r, const char *prefix, const char *name, int64_t n) {
    char full[FULL];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    return need_tensor(r, full, 1, &n);
}

/* ------------------------------------------------------------------ modules */

/* Versions differ in how deep in ultralytics.nn.modules a class lies. */
static bool same_class(const char *is, const char *should) {
    const char *root = "ultralytics.nn.modules.", *last = strrchr(should, '.');
    size_t n = strlen(root);
    if (strcmp(is, should) == 0)
        return true;
    return strncmp(should, root, n) == 0 && strncmp(is, root, n) == 0 &&
           strcmp(is + n, last + 1) == 0;
}

static wilor_status need_class(reader *r, const char *module, const char *should) {
    wilor_quoted q;
    const char *is = wilor_index_class(r->x, module);
    if (!is)
        return refuse(r, module, "is missing; it should be a %s", should);
    if (!same_class(is, should))
        return refuse(r, module, "is a %s; it should be a %s", wilor_quote(&q, is), should);
    r->module_used[wilor_index_module_find(r->x, module)] = true;
    return WILOR_OK;
}

typedef enum presence { NEEDED, MAY_LACK } presence;

/* All numbers of an attribute are `value`. */
static wilor_status need_value(const reader *r, const char *module, const char *key,
                               double value, presence must) {
    double v[4] = {0};
    int n = wilor_index_attribute(r->x, module, key, v, 4);
    if (n < 0 && must == MAY_LACK)
        return WILOR_OK;
    if (n < 0)
        return refuse(r, module, "has no %s; it should be %g", key, value);
    if (n == 0)
        return refuse(r, module, "has a %s that is no number; it should be %g", key, value);
    for (int i = 0; i < n && i < 4; i++)
        if (v[i] != value)
            return refuse(r, module, "has %s %g; only %g is supported", key, v[i], value);
    return WILOR_OK;
}

static wilor_status need_text(const reader *r, const char *module, const char *key,
                              const char *value) {
    wilor_quoted q;
    const char *is = wilor_index_attribute_text(r->x, module, key);
    if (!is && wilor_index_attribute(r->x, module, key, NULL, 0) < 0)
        return WILOR_OK; /* older versions lack some */
    if (!is || strcmp(is, value) != 0)
        return refuse(r, module, "has %s %s; only %s is supported", key,
                      is ? wilor_quote(&q, is) : "of another kind", value);
    return WILOR_OK;
}

/* ------------------------------------------------------------------ convolutions */

static wilor_status check_conv2d(reader *r, const char *module, int size, int stride) {
    wilor_status st;
    WILOR_TRY(need_class(r, module, "torch.nn.modules.conv.Conv2d"));
    WILOR_TRY(need_value(r, module, "stride", stride, NEEDED));
    WILOR_TRY(need_value(r, module, "kernel_size", size, NEEDED));
    WILOR_TRY(need_value(r, module, "padding", size / 2, NEEDED));
    WILOR_TRY(need_value(r, module, "dilation", 1, NEEDED));
    WILOR_TRY(need_value(r, module, "groups", 1, NEEDED));
    WILOR_TRY(need_text(r, module, "padding_mode", "zeros"));
done:
    return st;
}

static wilor_status read_eps(const reader *r, const char *module) {
    double eps;
    if (wilor_index_attribute(r->x, module, "eps", &eps, 1) != 1)
        return refuse(r, module, "has no eps");
    if (!(eps > 0 && eps <= 1))
        return refuse(r, module, "has eps %g; it should be more than 0 and at most 1", eps);
    return WILOR_OK;
}

static const char *const g_silu = "torch.nn.modules.activation.SiLU";
static const char *const g_identity = "torch.nn.modules.linear.Identity";

static wilor_status check_conv_modules(reader *r, const char *prefix, int size, int stride) {
    wilor_status st;
    char name[FULL];
    const char *act;
    WILOR_TRY(need_class(r, prefix, "ultralytics.nn.modules.conv.Conv"));
    snprintf(name, sizeof name, "%s.conv", prefix);
    WILOR_TRY(check_conv2d(r, name, size, stride));
    snprintf(name, sizeof name, "%s.bn", prefix);
    WILOR_TRY(need_class(r, name, "torch.nn.modules.batchnorm.BatchNorm2d"));
    WILOR_TRY(read_eps(r, name));
    snprintf(name, sizeof name, "%s.act", prefix);
    act = wilor_index_class(r->x, name);
    st = need_class(r, name, act && strcmp(act, g_identity) == 0 ? g_identity : g_silu);
done:
    return st;
}

/* Conv: convolution without bias, batch norm, activation. *out may be ANY, and becomes the
 * number of channels. */
static wilor_status check_conv(reader *r, const char *prefix, int in, int *out, int size,
                               int stride) {
    wilor_status st = WILOR_OK;
    char name[FULL];
    int64_t shape[4] = {*out, in, size, size};
    if (r->modules)
        WILOR_TRY(check_conv_modules(r, prefix, size, stride));
    snprintf(name, sizeof name, "%s.conv.weight", prefix);
    WILOR_TRY(need_tensor(r, name, 4, shape));
    *out = (int)shape[0];
    WILOR_TRY(need_vector(r, prefix, "bn.weight", *out));
    WILOR_TRY(need_vector(r, prefix, "bn.bias", *out));
    WILOR_TRY(need_vector(r, prefix, "bn.running_mean", *out));
    WILOR_TRY(need_vector(r, prefix, "bn.running_var", *out));
    snprintf(name, sizeof name, "%s.bn.num_batches_tracked", prefix);
    use_tensor(r, name);
    r->plan->parameters +=
        (uint64_t)*out * (uint64_t)in * (uint64_t)(size * size) + 2 * (uint64_t)*out;
done:
    return st;
}

/* Conv2d alone, 1 × 1 with bias. */
static wilor_status check_plain(reader *r, const char *prefix, int in, int out) {
    wilor_status st = WILOR_OK;
    char name[FULL];
    int64_t shape[4] = {out, in, 1, 1};
    if (r->modules)
        WILOR_TRY(check_conv2d(r, prefix, 1, 1));
    snprintf(name, sizeof name, "%s.weight", prefix);
    WILOR_TRY(need_tensor(r, name, 4, shape));
    WILOR_TRY(need_vector(r, prefix, "bias", out));
    r->plan->parameters += (uint64_t)out * (uint64_t)in + (uint64_t)out;
done:
    return st;
}

/* ------------------------------------------------------------------ layers */

typedef enum layer_kind { CONV, C2F, SPPF, UPSAMPLE, CONCAT, POSE } layer_kind;

/* `second`: what a concatenation reads after the layer before it. */
static const struct layer {
    layer_kind kind;
    int second;
} g_layers[LAYER_HEAD + 1] = {
    {CONV, 0}, {CONV, 0},     {C2F, 0},    {CONV, 0}, {C2F, 0},      {CONV, 0},
    {C2F, 0},  {CONV, 0},     {C2F, 0},    {SPPF, 0}, {UPSAMPLE, 0}, {CONCAT, 6},
    {C2F, 0},  {UPSAMPLE, 0}, {CONCAT, 4}, {C2F, 0},  {CONV, 0},     {CONCAT, 12},
    {C2F, 0},  {CONV, 0},     {CONCAT, 9}, {C2F, 0},  {POSE, 0},
};

static const int g_head_inputs[WILOR_YOLO_LEVELS] = {15, 18, 21};

static const char *const g_classes[] = {
    [CONV] = "ultralytics.nn.modules.conv.Conv",
    [C2F] = "ultralytics.nn.modules.block.C2f",
    [SPPF] = "ultralytics.nn.modules.block.SPPF",
    [UPSAMPLE] = "torch.nn.modules.upsampling.Upsample",
    [CONCAT] = "ultralytics.nn.modules.conv.Concat",
    [POSE] = "ultralytics.nn.modules.head.Pose",
};

/* f: which layers' outputs this one gets; negative numbers count back from it. */
static wilor_status check_from(const reader *r, const char *name, int layer) {
    double f[WILOR_YOLO_LEVELS] = {0};
    int want[WILOR_YOLO_LEVELS] = {layer - 1, g_layers[layer].second, 0};
    int n = g_layers[layer].kind == CONCAT ? 2 : 1;
    if (layer == LAYER_HEAD) {
        n = WILOR_YOLO_LEVELS;
        memcpy(want, g_head_inputs, sizeof want);
    }
    int has = wilor_index_attribute(r->x, name, "f", f, WILOR_YOLO_LEVELS);
    if (has != n)
        return refuse(r, name, "gets its input from %d layers; it should be %d (f)",
                      has < 0 ? 0 : has, n);
    for (int i = 0; i < n; i++) {
        double from = f[i] < 0 ? layer + f[i] : f[i];
        if (from != want[i])
            return refuse(r, name, "gets its input from layer %g; it should be layer %d (f)",
                          from, want[i]);
    }
    return WILOR_OK;
}

static wilor_status check_layer_module(reader *r, const char *name, int layer) {
    wilor_status st;
    WILOR_TRY(need_class(r, name, g_classes[g_layers[layer].kind]));
    WILOR_TRY(need_value(r, name, "i", layer, NEEDED));
    WILOR_TRY(check_from(r, name, layer));
done:
    return st;
}

static bool has_bottleneck(const reader *r, int layer, int i) {
    char name[NAME], full[FULL];
    snprintf(name, sizeof name, "model.%d.m.%d", layer, i);
    if (r->modules && wilor_index_class(r->x, name))
        return true;
    snprintf(full, sizeof full, "%s.cv1.conv.weight", name);
    return wilor_index_find(r->x, full) != NULL;
}

static wilor_status check_bottleneck(reader *r, int layer, int i, int width) {
    wilor_status st = WILOR_OK;
    char name[NAME], part[NAME];
    snprintf(name, sizeof name, "model.%d.m.%d", layer, i);
    if (r->modules) {
        WILOR_TRY(need_class(r, name, "ultralytics.nn.modules.block.Bottleneck"));
        WILOR_TRY(need_value(r, name, "add", layer <= 8, NEEDED));
    }
    for (int k = 1; k <= 2; k++) {
        snprintf(part, sizeof part, "model.%d.m.%d.cv%d", layer, i, k);
        WILOR_TRY(check_conv(r, part, width, &width, 3, 1));
    }
done:
    return st;
}

/* cv1 makes twice the hidden width, which is half the output's. */
static wilor_status check_c2f(reader *r, int layer, int in, int *out) {
    wilor_status st = WILOR_OK;
    char name[NAME];
    int n = 0, inner = ANY;
    while (n <= WILOR_YOLO_MOST_REPEATS && has_bottleneck(r, layer, n))
        n++;
    snprintf(name, sizeof name, "model.%d.m", layer);
    if (n < 1 || n > WILOR_YOLO_MOST_REPEATS)
        return refuse(r, name, "holds %s; a C2f has 1 to %d bottlenecks",
                      n ? "more" : "nothing", WILOR_YOLO_MOST_REPEATS);
    r->plan->repeats[layer] = n;
    if (r->modules)
        WILOR_TRY(need_class(r, name, "torch.nn.modules.container.ModuleList"));
    snprintf(name, sizeof name, "model.%d.cv1", layer);
    WILOR_TRY(check_conv(r, name, in, &inner, 1, 1));
    if (inner % 2)
        return refuse(r, name, "has %d outputs; a C2f splits them in two halves", inner);
    *out = inner;
    for (int i = 0; i < n; i++)
        WILOR_TRY(check_bottleneck(r, layer, i, inner / 2));
    snprintf(name, sizeof name, "model.%d.cv2", layer);
    WILOR_TRY(check_conv(r, name, (2 + n) * (inner / 2), out, 1, 1));
done:
    return st;
}

static wilor_status check_sppf(reader *r, int in, int *out) {
    wilor_status st = WILOR_OK;
    int half = in / 2;
    if (r->modules) {
        WILOR_TRY(need_value(r, "model.9", "n", 3, MAY_LACK));
        WILOR_TRY(need_value(r, "model.9", "add", 0, MAY_LACK));
        WILOR_TRY(need_class(r, "model.9.m", "torch.nn.modules.pooling.MaxPool2d"));
        WILOR_TRY(need_value(r, "model.9.m", "kernel_size", 5, NEEDED));
        WILOR_TRY(need_value(r, "model.9.m", "stride", 1, NEEDED));
        WILOR_TRY(need_value(r, "model.9.m", "padding", 2, NEEDED));
        WILOR_TRY(need_value(r, "model.9.m", "dilation", 1, MAY_LACK));
        WILOR_TRY(need_value(r, "model.9.m", "ceil_mode", 0, MAY_LACK));
    }
    WILOR_TRY(check_conv(r, "model.9.cv1", in, &half, 1, 1));
    WILOR_TRY(check_conv(r, "model.9.cv2", 4 * half, out, 1, 1));
done:
    return st;
}

static wilor_status check_upsample(const reader *r, const char *name) {
    wilor_status st;
    WILOR_TRY(need_value(r, name, "scale_factor", 2, NEEDED));
    WILOR_TRY(need_text(r, name, "mode", "nearest"));
    if (wilor_index_attribute(r->x, name, "size", NULL, 0) >= 0)
        st = refuse(r, name, "has a fixed size");
done:
    return st;
}

/* ------------------------------------------------------------------ head */

static wilor_status check_points(const reader *r) {
    double k[2] = {0};
    int n = wilor_index_attribute(r->x, "model.22", "kpt_shape", k, 2);
    if (n != 2)
        return refuse(r, "model.22", "has no kpt_shape of two numbers");
    if (k[0] != 21 || k[1] != 3)
        return refuse(r, "model.22", "has kpt_shape [%g, %g]; hands have [21, 3]", k[0], k[1]);
    return WILOR_OK;
}

static wilor_status check_head_modules(reader *r) {
    wilor_status st;
    WILOR_TRY(need_value(r, "model.22", "nc", 2, NEEDED));
    WILOR_TRY(need_value(r, "model.22", "nl", WILOR_YOLO_LEVELS, NEEDED));
    WILOR_TRY(need_value(r, "model.22", "reg_max", DFL_BINS, NEEDED));
    WILOR_TRY(check_points(r));
    WILOR_TRY(need_value(r, "model.22", "end2end", 0, MAY_LACK));
    WILOR_TRY(need_value(r, "model.22", "_end2end", 0, MAY_LACK));
    WILOR_TRY(need_class(r, "model.22.dfl", "ultralytics.nn.modules.block.DFL"));
    WILOR_TRY(check_conv2d(r, "model.22.dfl.conv", 1, 1));
done:
    return st;
}

/* The bins' values, a constant of the network. wilor-mlx's files do not have it. */
static wilor_status check_dfl(reader *r) {
    wilor_status st = WILOR_OK;
    const char *name = "model.22.dfl.conv.weight";
    int64_t shape[4] = {1, DFL_BINS, 1, 1};
    float values[DFL_BINS];
    r->plan->parameters += DFL_BINS;
    if (!r->modules && !wilor_index_find(r->x, name))
        return st;
    WILOR_TRY(need_tensor(r, name, 4, shape));
    WILOR_TRY(wilor_tensor_to_f32(wilor_index_find(r->x, name), values, r->err));
    for (int i = 0; i < DFL_BINS; i++)
        if (values[i] != (float)i)
            return refuse(r, name, "is not 0 … 15: value %d is %g", i, (double)values[i]);
done:
    return st;
}

/* One branch of one level: Conv, Conv, Conv2d. */
static wilor_status check_branch(reader *r, int branch, int level, int in, int out) {
    wilor_status st = WILOR_OK;
    char name[NAME];
    int *hidden = &r->plan->hidden[branch];
    snprintf(name, sizeof name, "model.22.cv%d.%d", branch + 2, level);
    if (r->modules)
        WILOR_TRY(need_class(r, name, "torch.nn.modules.container.Sequential"));
    snprintf(name, sizeof name, "model.22.cv%d.%d.0", branch + 2, level);
    WILOR_TRY(check_conv(r, name, in, hidden, 3, 1));
    snprintf(name, sizeof name, "model.22.cv%d.%d.1", branch + 2, level);
    WILOR_TRY(check_conv(r, name, *hidden, hidden, 3, 1));
    snprintf(name, sizeof name, "model.22.cv%d.%d.2", branch + 2, level);
    WILOR_TRY(check_plain(r, name, *hidden, out));
done:
    return st;
}

static wilor_status check_head(reader *r) {
    static const int outputs[3] = {4 * DFL_BINS, 2, 63};
    wilor_status st = WILOR_OK;
    char name[NAME];
    int64_t levels = WILOR_YOLO_LEVELS;
    if (r->modules)
        WILOR_TRY(check_head_modules(r));
    for (int b = 0; b < 3; b++) {
        snprintf(name, sizeof name, "model.22.cv%d", b + 2);
        if (r->modules)
            WILOR_TRY(need_class(r, name, "torch.nn.modules.container.ModuleList"));
        for (int l = 0; l < WILOR_YOLO_LEVELS; l++)
            WILOR_TRY(check_branch(r, b, l, r->plan->channels[g_head_inputs[l]], outputs[b]));
    }
    WILOR_TRY(check_dfl(r));
    if (wilor_index_find(r->x, "model.22.stride")) /* in wilor-mlx's files, and fixed */
        WILOR_TRY(need_tensor(r, "model.22.stride", 1, &levels));
done:
    return st;
}

/* ------------------------------------------------------------------ the whole */

static wilor_status check_layer(reader *r, int layer) {
    wilor_status st = WILOR_OK;
    char name[NAME];
    int *c = r->plan->channels, before = layer ? c[layer - 1] : 3;
    snprintf(name, sizeof name, "model.%d", layer);
    if (r->modules)
        WILOR_TRY(check_layer_module(r, name, layer));
    switch (g_layers[layer].kind) {
    case CONV:
        WILOR_TRY(check_conv(r, name, before, &c[layer], 3, 2));
        break;
    case C2F:
        WILOR_TRY(check_c2f(r, layer, before, &c[layer]));
        break;
    case SPPF:
        WILOR_TRY(check_sppf(r, before, &c[layer]));
        break;
    case UPSAMPLE:
        c[layer] = before;
        if (r->modules)
            WILOR_TRY(check_upsample(r, name));
        break;
    case CONCAT:
        c[layer] = before + c[g_layers[layer].second];
        if (r->modules)
            WILOR_TRY(need_value(r, name, "d", 1, MAY_LACK));
        break;
    case POSE:
        WILOR_TRY(check_head(r));
        break;
    }
done:
    return st;
}

/* ASCII letters only: class names are somebody's words. */
static bool contains_word(const char *text, const char *word) {
    size_t n = strlen(word);
    for (; *text; text++) {
        size_t i = 0;
        while (i < n && (text[i] == word[i] || text[i] == word[i] - 32))
            i++;
        if (i == n)
            return true;
    }
    return false;
}

/* Class 0 is left. Other names than these two are let pass: nobody acts on them. */
static wilor_status check_names(const reader *r) {
    const char *first = wilor_index_attribute_text(r->x, "", "names.0");
    const char *second = wilor_index_attribute_text(r->x, "", "names.1");
    bool swapped =
        (first && contains_word(first, "right")) || (second && contains_word(second, "left"));
    if (swapped)
        return refuse(r, "",
                      "calls its first class right or its second left; they should be "
                      "left and right");
    return WILOR_OK;
}

static wilor_status check_root(reader *r) {
    wilor_status st;
    WILOR_TRY(need_class(r, "", "ultralytics.nn.tasks.PoseModel"));
    WILOR_TRY(need_class(r, "model", "torch.nn.modules.container.Sequential"));
    WILOR_TRY(check_names(r));
done:
    return st;
}

static wilor_status set_imgsz(const reader *r, double size) {
    if (!(size >= 1 && size <= IMGSZ_MOST) || size != floor(size))
        return refuse(r, "imgsz", "is %g; it should be a whole number from 1 to %d", size,
                      IMGSZ_MOST);
    int n = ((int)size + 31) / 32 * 32;
    r->plan->imgsz = n;
    return WILOR_OK;
}

static wilor_status read_imgsz(const reader *r) {
    double v[2] = {0};
    const char *text = r->modules ? NULL : wilor_index_metadata(r->x, "imgsz");
    int n = wilor_index_attribute(r->x, "", "imgsz", v, 2);
    r->plan->imgsz = IMGSZ_DEFAULT;
    if (text) {
        char *end;
        v[0] = strtod(text, &end);
        return set_imgsz(r, *text && !*end ? v[0] : NAN);
    }
    if (n < 0)
        return WILOR_OK;
    if (n == 0 || n > 2)
        return refuse(r, "imgsz", "is no number");
    if (n == 2 && v[0] != v[1])
        return refuse(r, "imgsz", "is %g by %g; only squares are supported", v[0], v[1]);
    return set_imgsz(r, v[0]);
}

/* What ultralytics takes as an argument of the call, our own files say of themselves. */
static wilor_status read_suppression(const reader *r) {
    const char *text = r->modules ? NULL : wilor_index_metadata(r->x, "agnostic_nms");
    r->plan->across_sides = text && strcmp(text, "true") == 0;
    if (text && !r->plan->across_sides && strcmp(text, "false") != 0)
        return refuse(r, "agnostic_nms", "is neither true nor false");
    return WILOR_OK;
}

static wilor_status check_all_used(const reader *r) {
    for (size_t i = 0; i < wilor_index_count(r->x); i++)
        if (!r->tensor_used[i])
            return refuse(r, wilor_index_at(r->x, i)->name,
                          "is a tensor that YOLOv8-pose does not have");
    for (size_t i = 0; i < wilor_index_module_count(r->x); i++)
        if (!r->module_used[i])
            return refuse(r, wilor_index_module_at(r->x, i),
                          "is a module that YOLOv8-pose does not have");
    return WILOR_OK;
}

static int by_place(const void *a, const void *b) {
    const wilor_tensor *s = *(const wilor_tensor *const *)a;
    const wilor_tensor *t = *(const wilor_tensor *const *)b;
    return ((uintptr_t)s->data > (uintptr_t)t->data) -
           ((uintptr_t)s->data < (uintptr_t)t->data);
}

/* Tensors that share bytes would let a small file ask for much memory. */
static wilor_status check_sharing(const reader *r) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    size_t n = wilor_index_count(r->x), kept = 0;
    const wilor_tensor **sorted = wilor_heap_alloc(n, sizeof *sorted);
    if (!sorted)
        return wilor_error_set(r->err, WILOR_ERR_NOMEM, "%s: no memory to read it",
                               r->path.text);
    for (size_t i = 0; i < n; i++)
        if (wilor_index_at(r->x, i)->data)
            sorted[kept++] = wilor_index_at(r->x, i);
    qsort(sorted, kept, sizeof(wilor_tensor *), by_place);
    for (size_t i = 1; i < kept && st == WILOR_OK; i++)
        if ((uintptr_t)sorted[i]->data - (uintptr_t)sorted[i - 1]->data < sorted[i - 1]->span)
            st = refuse(r, sorted[i]->name, "shares bytes with %s",
                        wilor_quote(&q, sorted[i - 1]->name));
    wilor_heap_free(sorted);
    return st;
}

static wilor_status check_kind(const reader *r) {
    wilor_quoted q;
    const char *network = wilor_index_class(r->x, "");
    if (wilor_index_kind(r->x) == WILOR_FILE_DETECTOR)
        return WILOR_OK;
    if (network)
        return refuse(r, "", "is a %s; it should be ultralytics' PoseModel",
                      wilor_quote(&q, network));
    return wilor_error_set(r->err, WILOR_ERR_MODEL,
                           "%s is no hand detector: it has no YOLOv8-pose network",
                           r->path.text);
}

wilor_status wilor_yolo_plan_read(wilor_yolo_plan *plan, const wilor_index *index,
                                  wilor_error *err) {
    wilor_status st;
    reader r = {.x = index, .plan = plan, .err = err};
    size_t tensors = wilor_index_count(index), modules = wilor_index_module_count(index);
    wilor_quote(&r.path, wilor_index_path(index));
    memset(plan, 0, sizeof *plan);
    r.modules = modules > 0;
    WILOR_TRY(check_kind(&r));
    r.tensor_used = wilor_heap_alloc(tensors, sizeof *r.tensor_used);
    r.module_used = wilor_heap_alloc(modules, sizeof *r.module_used);
    if (!r.tensor_used || !r.module_used)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "%s: no memory to read it", r.path.text);
    if (r.modules)
        WILOR_TRY(check_root(&r));
    for (int i = 0; i <= LAYER_HEAD; i++)
        WILOR_TRY(check_layer(&r, i));
    WILOR_TRY(check_all_used(&r));
    WILOR_TRY(check_sharing(&r));
    WILOR_TRY(read_imgsz(&r));
    WILOR_TRY(read_suppression(&r));
done:
    wilor_heap_free(r.tensor_used);
    wilor_heap_free(r.module_used);
    return st;
}

/* ------------------------------------------------------------------ values */

static wilor_status conv_error(const wilor_index *x, const char *name, const char *what,
                               wilor_error *err) {
    wilor_quoted path;
    return wilor_error_set(err, WILOR_ERR_MODEL, "%s: %s %s",
                           wilor_quote(&path, wilor_index_path(x)), name, what);
}

static wilor_status find_part(const wilor_index *x, const wilor_yolo_conv *c, const char *part,
                              size_t count, const wilor_tensor **out, wilor_error *err) {
    char name[FULL];
    snprintf(name, sizeof name, "%s.%s", c->prefix, part);
    *out = wilor_index_find(x, name);
    if (!*out)
        return conv_error(x, name, "is missing", err);
    if ((*out)->count != count)
        return conv_error(x, name, "has another shape than it had before", err);
    return WILOR_OK;
}

static wilor_status read_vector(const wilor_index *x, const wilor_yolo_conv *c,
                                const char *part, float *dst, wilor_error *err) {
    const wilor_tensor *t;
    wilor_status st = find_part(x, c, part, (size_t)c->out, &t, err);
    return st == WILOR_OK ? wilor_tensor_to_f32(t, dst, err) : st;
}

/* (out, in, k, k) as (out, k, k, in), a row at a time through `row`. */
static wilor_status transpose_rows(const wilor_tensor *t, const wilor_yolo_conv *c, float *row,
                                   float *dst, wilor_error *err) {
    size_t in = (size_t)c->in, area = (size_t)(c->size * c->size);
    for (int o = 0; o < c->out; o++) {
        wilor_status st = wilor_tensor_rows_to_f32(t, o, 1, row, err);
        if (st != WILOR_OK)
            return st;
        for (size_t i = 0; i < in; i++)
            for (size_t k = 0; k < area; k++)
                dst[k * in + i] = row[i * area + k];
        dst += in * area;
    }
    return WILOR_OK;
}

static wilor_status find_weight(const wilor_index *x, const wilor_yolo_conv *c,
                                const wilor_tensor **t, wilor_error *err) {
    size_t count = (size_t)c->out * (size_t)c->in * (size_t)(c->size * c->size);
    return find_part(x, c, c->plain ? "weight" : "conv.weight", count, t, err);
}

/* 1 × 1 is the same in both orders, and wilor-mlx's files have ours already: the tensor as (out, k, k, in). */
static bool lies_as_ours(const wilor_tensor *t, const wilor_yolo_conv *c, wilor_tensor *view) {
    static const int order[4] = {0, 2, 3, 1};
    if (t->rank != 4 || t->generator || (c->size != 1 && t->stride[1] != 1))
        return false;
    *view = *t;
    for (int i = 0; i < 4; i++) {
        view->shape[i] = t->shape[order[i]];
        view->stride[i] = t->stride[order[i]];
    }
    return true;
}

static wilor_status read_weight(const wilor_index *x, const wilor_yolo_conv *c, float *dst,
                                wilor_error *err) {
    wilor_status st;
    const wilor_tensor *t;
    wilor_tensor view;
    float *row = NULL;
    size_t in = (size_t)c->in, area = (size_t)(c->size * c->size);
    WILOR_TRY(find_weight(x, c, &t, err));
    if (lies_as_ours(t, c, &view))
        return wilor_tensor_to_f32(&view, dst, err);
    row = wilor_heap_alloc(in * area, sizeof *row);
    if (!row)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to read %s", c->prefix);
    WILOR_TRY(transpose_rows(t, c, row, dst, err));
done:
    wilor_heap_free(row);
    return st;
}

/* The same of half floats. */
static wilor_status read_halves(const wilor_tensor *t, const wilor_yolo_conv *c, uint16_t *dst,
                                wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_tensor view;
    size_t in = (size_t)c->in, area = (size_t)(c->size * c->size);
    if (lies_as_ours(t, c, &view))
        return wilor_tensor_gather(&view, (uint8_t *)dst, err);
    uint16_t *row = wilor_heap_alloc(in * area, sizeof *row);
    if (!row)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to read %s", c->prefix);
    for (int o = 0; o < c->out; o++, dst += in * area) {
        WILOR_TRY(wilor_tensor_rows_gather(t, o, 1, (uint8_t *)row, err));
        for (size_t k = 0; k < area; k++)
            for (size_t i = 0; i < in; i++)
                dst[k * in + i] = row[i * area + k];
    }
done:
    wilor_heap_free(row);
    return st;
}

/* Batch norm as W·k + b: k = γ / √(σ² + ε), b = β − μ·k. */
static wilor_status read_norm(const wilor_index *x, const wilor_yolo_conv *c, float *scale,
                              float *bias, wilor_error *err) {
    wilor_status st = WILOR_OK;
    size_t n = (size_t)c->out;
    float *mean = wilor_heap_alloc(2 * n, sizeof *mean);
    char name[FULL];
    double eps = (double)g_eps;
    if (!mean)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to read %s", c->prefix);
    float *var = mean + n;
    WILOR_TRY(read_vector(x, c, "bn.running_mean", mean, err));
    WILOR_TRY(read_vector(x, c, "bn.running_var", var, err));
    WILOR_TRY(read_vector(x, c, "bn.weight", scale, err));
    WILOR_TRY(read_vector(x, c, "bn.bias", bias, err));
    snprintf(name, sizeof name, "%s.bn", c->prefix);
    wilor_index_attribute(x, name, "eps", &eps, 1);
    for (size_t o = 0; o < n; o++) {
        scale[o] = scale[o] / sqrtf(var[o] + (float)eps);
        bias[o] = bias[o] - mean[o] * scale[o];
    }
done:
    wilor_heap_free(mean);
    return st;
}

static wilor_status read_bias(const wilor_index *x, const wilor_yolo_conv *c, float *scale,
                              float *bias, wilor_error *err) {
    for (int o = 0; o < c->out; o++)
        scale[o] = 1;
    return read_vector(x, c, "bias", bias, err);
}

static bool read_silu(const wilor_index *index, const wilor_yolo_conv *conv) {
    char name[FULL];
    snprintf(name, sizeof name, "%s.act", conv->prefix);
    const char *act = wilor_index_class(index, name);
    return !conv->plain && (!act || strcmp(act, g_identity) != 0);
}

static bool products_finite(const float *x, float scale, size_t n) {
    uint32_t seen = 0;
    for (size_t i = 0; i < n; i++)
        seen |= wilor_finite_mark(x[i] * scale);
    return seen >> 31 == 0;
}

wilor_status wilor_yolo_conv_read(const wilor_index *index, const wilor_yolo_conv *conv,
                                  float *weight, float *scale, float *bias, bool *silu,
                                  wilor_error *err) {
    wilor_status st;
    bool finite = true;
    size_t n = (size_t)conv->out, depth = (size_t)(conv->in * conv->size * conv->size);
    WILOR_TRY(read_weight(index, conv, weight, err));
    WILOR_TRY((conv->plain ? read_bias : read_norm)(index, conv, scale, bias, err));
    for (size_t o = 0; o < n; o++)
        finite = finite && isfinite(bias[o]) && isfinite(scale[o]) &&
                 products_finite(weight + o * depth, scale[o], depth);
    if (!finite)
        WILOR_TRY(conv_error(index, conv->prefix, "holds a number that is not finite", err));
    *silu = read_silu(index, conv);
done:
    return st;
}

static uint16_t largest_half(const uint16_t *x, size_t n) {
    int16_t most = 0; /* as signed numbers, which all processors compare in vectors */
    for (size_t i = 0; i < n; i++) {
        int16_t magnitude = (int16_t)(x[i] & 0x7FFF);
        most = magnitude > most ? magnitude : most;
    }
    return (uint16_t)most;
}

wilor_status wilor_yolo_conv_read_halves(const wilor_index *index, const wilor_yolo_conv *conv,
                                         uint16_t *weight, float *scale, float *bias,
                                         bool *silu, bool *held, wilor_error *err) {
    wilor_status st;
    const wilor_tensor *t;
    size_t n = (size_t)conv->out, depth = (size_t)(conv->in * conv->size * conv->size);
    *held = false;
    WILOR_TRY(find_weight(index, conv, &t, err));
    if (!wilor_tensor_is_halves(t))
        return WILOR_OK;
    WILOR_TRY(read_halves(t, conv, weight, err));
    WILOR_TRY((conv->plain ? read_bias : read_norm)(index, conv, scale, bias, err));
    *held = true;
    for (size_t o = 0; o < n; o++) {
        /* Products grow with the weight. Infinities and NaNs are the largest. */
        float most = wilor_f16_to_f32(largest_half(weight + o * depth, depth));
        *held = *held && isfinite(most) && isfinite(most * scale[o]) && isfinite(scale[o]) &&
                isfinite(bias[o]);
    }
    *silu = read_silu(index, conv);
done:
    return st;
}
