/* One walk over YOLOv8-pose writes either format. Values are made up: weights small and of both
 * signs, variances above 0. */
#include "detector_file.h"

#include "crc32.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bytes {
    uint8_t *at;
    size_t size, room;
} bytes;

typedef struct writer {
    const detector_file *f;
    bytes head, data; /* pickle or JSON; values */
    char path[128];
    size_t count; /* numbers in data */
    size_t total; /* of the pass before */
} writer;

static void put(bytes *b, const void *from, size_t n) {
    if (b->size + n > b->room) {
        b->room = 2 * (b->size + n);
        b->at = realloc(b->at, b->room);
        if (!b->at)
            abort();
    }
    if (n)
        memcpy(b->at + b->size, from, n);
    b->size += n;
}

static void put_text(bytes *b, const char *text) { put(b, text, strlen(text)); }

static void put_number(bytes *b, uint64_t value, int n) {
    for (int i = 0; i < n; i++, value >>= 8)
        put(b, &(uint8_t){(uint8_t)value}, 1);
}

/* ------------------------------------------------------------------ pickle */

static void pickle(writer *w, const char *code) {
    if (!w->f->safetensors)
        put_text(&w->head, code);
}

static void text(writer *w, const char *value) {
    if (w->f->safetensors)
        return;
    put_text(&w->head, "X");
    put_number(&w->head, strlen(value), 4);
    put_text(&w->head, value);
}

static void number(writer *w, int64_t value) {
    if (w->f->safetensors)
        return;
    put_text(&w->head, "J");
    put_number(&w->head, (uint64_t)value, 4);
}

static void real(writer *w, double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    if (w->f->safetensors)
        return;
    put_text(&w->head, "G");
    for (int i = 7; i >= 0; i--)
        put_number(&w->head, bits >> (8 * i), 1);
}

static const detector_edit *find_edit(const writer *w, const char *name, const char *key) {
    for (size_t i = 0; i < w->f->edit_count; i++)
        if (!strcmp(w->f->edits[i].name, name) && !strcmp(w->f->edits[i].key, key))
            return &w->f->edits[i];
    return NULL;
}

/* An attribute of the current module: true when an edit has written it or left it out. */
static bool edited(writer *w, const char *key) {
    const detector_edit *e = find_edit(w, w->path, key);
    if (e && e->size && !w->f->safetensors) {
        text(w, key);
        put(&w->head, e->code, e->size);
    }
    return e != NULL;
}

static void attribute(writer *w, const char *key, int64_t value) {
    if (edited(w, key))
        return;
    text(w, key);
    number(w, value);
}

static void attribute_pair(writer *w, const char *key, int64_t a, int64_t b) {
    if (edited(w, key))
        return;
    text(w, key);
    number(w, a);
    number(w, b);
    pickle(w, "\x86");
}

static void attribute_code(writer *w, const char *key, const char *code) {
    if (edited(w, key))
        return;
    text(w, key);
    pickle(w, code);
}

static void attribute_text(writer *w, const char *key, const char *value) {
    if (edited(w, key))
        return;
    text(w, key);
    text(w, value);
}

/* ------------------------------------------------------------------ modules */

/* Go down to a child; returns what leave() wants. */
static size_t enter(writer *w, const char *format, ...) {
    char name[32];
    size_t before = strlen(w->path);
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    snprintf(w->path + before, sizeof w->path - before, "%s%s", before ? "." : "", name);
    text(w, name);
    return before;
}

static void begin(writer *w, const char *class_name) {
    const detector_edit *e = find_edit(w, w->path, "class");
    pickle(w, "c");
    pickle(w, e ? e->code : class_name);
    pickle(w, ")\x81}(");
}

static void children(writer *w) {
    const detector_edit *more = find_edit(w, w->path, "more");
    text(w, "_modules");
    pickle(w, "}(");
    if (more && !w->f->safetensors)
        put(&w->head, more->code, more->size);
}

static void leave(writer *w, size_t before) {
    pickle(w, "ub"); /* attributes; BUILD */
    w->path[before] = 0;
}

/* ------------------------------------------------------------------ tensors */

typedef enum content { NOISE, ONES, BINS, COUNTER } content;

static void put_values(writer *w, content kind, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t at = w->f->shared ? 0 : w->count + i;
        float noise = (float)((int)((at * 2654435761u >> 7) % 127) - 63) / 64.0f;
        float v = kind == NOISE ? noise : kind == ONES ? 1 + noise / 4 : (float)i;
        uint32_t bits;
        memcpy(&bits, &v, 4);
        for (int k = 0; k < 4; k++)
            put_number(&w->data, bits >> (w->f->big_endian ? 24 - 8 * k : 8 * k), 1);
    }
}

/* wilor-mlx's name of a tensor. */
static void put_mlx_name(writer *w, const char *tail) {
    char *rest;
    long layer = strtol(w->path + strlen("model."), &rest, 10);
    char name[160];
    if (layer == 22)
        snprintf(name, sizeof name, "pose%s.%s", rest, tail);
    else
        snprintf(name, sizeof name, "%c%ld%s.%s", layer < 10 ? 'b' : 'h', layer, rest, tail);
    put_text(&w->head, name);
}

static void put_json_tensor(writer *w, const char *tail, int rank, const int shape[4],
                            size_t n) {
    char line[160];
    put_text(&w->head, w->head.size ? ",\"" : "{\"");
    put_mlx_name(w, tail);
    if (rank == 4)
        snprintf(line, sizeof line, "\":{\"dtype\":\"F32\",\"shape\":[%d,%d,%d,%d],", shape[0],
                 shape[2], shape[3], shape[1]);
    else
        snprintf(line, sizeof line, "\":{\"dtype\":\"F32\",\"shape\":[%d],", shape[0]);
    put_text(&w->head, line);
    snprintf(line, sizeof line, "\"data_offsets\":[%zu,%zu]}", 4 * w->count,
             4 * (w->count + n));
    put_text(&w->head, line);
}

/* Memo 0: the function, 1: the storage. */
static void put_pickled_tensor(writer *w, const char *tail, int rank, const int shape[4],
                               bool shared) {
    int stride = 1, strides[4];
    bool first = w->count == 0;
    text(w, tail);
    pickle(w, first ? "ctorch._utils\n_rebuild_tensor_v2\n" : "h");
    put(&w->head, "q", first); /* else the operand of h: slot 0 */
    put(&w->head, "\0", 1);
    pickle(w, "(");
    if (first) {
        pickle(w, "(");
        text(w, "storage");
        pickle(w, "ctorch\nFloatStorage\n");
        text(w, "0");
        text(w, "cpu");
        number(w, (int64_t)w->total);
        pickle(w, "tQq\1");
    } else {
        pickle(w, "h\1");
    }
    number(w, shared ? 0 : (int64_t)w->count);
    pickle(w, "(");
    for (int i = 0; i < rank; i++)
        number(w, shape[i]);
    pickle(w, "t(");
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape[i];
    }
    for (int i = 0; i < rank; i++)
        number(w, strides[i]);
    pickle(w, "t\x89}tR");
}

static void tensor(writer *w, const char *tail, content kind, int rank, int a, int b, int c) {
    char name[160];
    int shape[4] = {a, b, c, c};
    snprintf(name, sizeof name, "%s.%s", w->path, tail);
    const detector_edit *more = find_edit(w, name, "more");
    const detector_edit *rows = find_edit(w, name, "rows");
    if (more)
        put(&w->head, more->code, more->size);
    if (find_edit(w, name, "drop") || (w->f->safetensors && kind > ONES))
        return;
    if (rows)
        shape[0] = rows->code[0];
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= (size_t)shape[i];
    if (w->f->safetensors)
        put_json_tensor(w, tail, rank, shape, n);
    else
        put_pickled_tensor(w, tail, rank, shape, w->f->shared && kind != BINS);
    put_values(w, kind, n);
    w->count += n;
}

static void parameters(writer *w) {
    text(w, "_parameters");
    pickle(w, "}(");
}

static void buffers(writer *w) {
    pickle(w, "u");
    text(w, "_buffers");
    pickle(w, "}(");
}

/* ------------------------------------------------------------------ YOLOv8-pose */

static void conv2d(writer *w, int in, int out, int size, int stride, bool bias) {
    bool dfl = strstr(w->path, ".dfl.") != NULL;
    begin(w, "torch.nn.modules.conv\nConv2d\n");
    attribute_pair(w, "stride", stride, stride);
    attribute_pair(w, "kernel_size", size, size);
    attribute_pair(w, "padding", size / 2, size / 2);
    attribute_pair(w, "dilation", 1, 1);
    attribute(w, "groups", 1);
    attribute_text(w, "padding_mode", "zeros");
    parameters(w);
    tensor(w, "weight", dfl ? BINS : NOISE, 4, out, in, size);
    if (bias)
        tensor(w, "bias", NOISE, 1, out, 0, 0);
    pickle(w, "u");
    children(w);
    pickle(w, "u");
}

static void batch_norm(writer *w, int n) {
    begin(w, "torch.nn.modules.batchnorm\nBatchNorm2d\n");
    if (!edited(w, "eps")) {
        text(w, "eps");
        real(w, 0.001);
    }
    parameters(w);
    tensor(w, "weight", ONES, 1, n, 0, 0);
    tensor(w, "bias", NOISE, 1, n, 0, 0);
    buffers(w);
    tensor(w, "running_mean", NOISE, 1, n, 0, 0);
    tensor(w, "running_var", ONES, 1, n, 0, 0);
    tensor(w, "num_batches_tracked", COUNTER, 1, 1, 0, 0);
    pickle(w, "u");
    children(w);
    pickle(w, "u");
}

static void layer_attributes(writer *w, int layer) {
    attribute(w, "i", layer);
    attribute(w, "f", -1);
}

/* layer < 0: part of another. */
static void conv(writer *w, int layer, int in, int out, int size, int stride) {
    begin(w, "ultralytics.nn.modules.conv\nConv\n");
    if (layer >= 0)
        layer_attributes(w, layer);
    children(w);
    size_t up = enter(w, "conv");
    conv2d(w, in, out, size, stride, false);
    leave(w, up);
    up = enter(w, "bn");
    batch_norm(w, out);
    leave(w, up);
    up = enter(w, "act");
    begin(w, "torch.nn.modules.activation\nSiLU\n");
    children(w);
    pickle(w, "u");
    leave(w, up);
    pickle(w, "u");
}

static void part(writer *w, const char *name, int in, int out, int size) {
    size_t up = enter(w, "%s", name);
    conv(w, -1, in, out, size, 1);
    leave(w, up);
}

static void c2f(writer *w, int layer, int in) {
    int n = w->f->repeats, h = w->f->width / 2;
    begin(w, "ultralytics.nn.modules.block\nC2f\n");
    layer_attributes(w, layer);
    children(w);
    part(w, "cv1", in, 2 * h, 1);
    part(w, "cv2", (2 + n) * h, w->f->width, 1);
    size_t up = enter(w, "m");
    begin(w, "torch.nn.modules.container\nModuleList\n");
    children(w);
    for (int i = 0; i < n; i++) {
        size_t list = enter(w, "%d", i);
        begin(w, "ultralytics.nn.modules.block\nBottleneck\n");
        attribute_code(w, "add", layer <= 8 ? "\x88" : "\x89");
        children(w);
        part(w, "cv1", h, h, 3);
        part(w, "cv2", h, h, 3);
        pickle(w, "u");
        leave(w, list);
    }
    pickle(w, "u");
    leave(w, up);
    pickle(w, "u");
}

static void sppf(writer *w) {
    int width = w->f->width;
    begin(w, "ultralytics.nn.modules.block\nSPPF\n");
    layer_attributes(w, 9);
    attribute(w, "n", 3);
    children(w);
    part(w, "cv1", width, width / 2, 1);
    part(w, "cv2", width / 2 * 4, width, 1);
    size_t up = enter(w, "m");
    begin(w, "torch.nn.modules.pooling\nMaxPool2d\n");
    attribute(w, "kernel_size", 5);
    attribute(w, "stride", 1);
    attribute(w, "padding", 2);
    children(w);
    pickle(w, "u");
    leave(w, up);
    pickle(w, "u");
}

static void upsample(writer *w, int layer) {
    begin(w, "torch.nn.modules.upsampling\nUpsample\n");
    layer_attributes(w, layer);
    if (!edited(w, "scale_factor")) {
        text(w, "scale_factor");
        real(w, 2);
    }
    attribute_text(w, "mode", "nearest");
    attribute_code(w, "size", "N");
    children(w);
    pickle(w, "u");
}

static void concat(writer *w, int layer, int second) {
    begin(w, "ultralytics.nn.modules.conv\nConcat\n");
    attribute(w, "i", layer);
    attribute_pair(w, "f", -1, second);
    attribute(w, "d", 1);
    children(w);
    pickle(w, "u");
}

static void branch(writer *w, int b, int out) {
    size_t up = enter(w, "cv%d", b);
    begin(w, "torch.nn.modules.container\nModuleList\n");
    children(w);
    for (int l = 0; l < 3; l++) {
        size_t level = enter(w, "%d", l);
        begin(w, "torch.nn.modules.container\nSequential\n");
        children(w);
        part(w, "0", w->f->width, w->f->width, 3);
        part(w, "1", w->f->width, w->f->width, 3);
        size_t last = enter(w, "2");
        conv2d(w, w->f->width, out, 1, 1, true);
        leave(w, last);
        pickle(w, "u");
        leave(w, level);
    }
    pickle(w, "u");
    leave(w, up);
}

static void pose(writer *w) {
    begin(w, "ultralytics.nn.modules.head\nPose\n");
    attribute(w, "i", 22);
    attribute_code(w, "f",
                   "]("
                   "K\x0fK\x12K\x15"
                   "e");
    attribute(w, "nc", 2);
    attribute(w, "nl", 3);
    attribute(w, "reg_max", 16);
    attribute_pair(w, "kpt_shape", 21, 3);
    children(w);
    branch(w, 2, 64);
    branch(w, 3, 2);
    size_t up = enter(w, "dfl");
    begin(w, "ultralytics.nn.modules.block\nDFL\n");
    children(w);
    size_t inner = enter(w, "conv");
    conv2d(w, 16, 1, 1, 1, false);
    leave(w, inner);
    pickle(w, "u");
    leave(w, up);
    branch(w, 4, 63);
    pickle(w, "u");
}

static void layer(writer *w, int i) {
    int width = w->f->width;
    switch (i) {
    case 2:
    case 4:
    case 6:
    case 8:
        c2f(w, i, width);
        break;
    case 12:
    case 15:
    case 18:
    case 21:
        c2f(w, i, 2 * width);
        break;
    case 9:
        sppf(w);
        break;
    case 10:
    case 13:
        upsample(w, i);
        break;
    case 11:
    case 14:
    case 17:
    case 20:
        concat(w, i, i == 11 ? 6 : i == 14 ? 4 : i == 17 ? 12 : 9);
        break;
    case 22:
        pose(w);
        break;
    default:
        conv(w, i, i ? width : 3, width, 3, 2);
    }
}

static void network(writer *w) {
    begin(w, "ultralytics.nn.tasks\nPoseModel\n");
    if (!edited(w, "names")) {
        text(w, "names");
        pickle(w, "}(");
        number(w, 0);
        text(w, "left");
        number(w, 1);
        text(w, "right");
        pickle(w, "u");
    }
    children(w);
    size_t up = enter(w, "model");
    begin(w, "torch.nn.modules.container\nSequential\n");
    children(w);
    for (int i = 0; i <= 22; i++) {
        size_t inner = enter(w, "%d", i);
        layer(w, i);
        leave(w, inner);
    }
    pickle(w, "u");
    leave(w, up);
    pickle(w, "u");
    leave(w, 0);
}

static void top(writer *w) {
    const detector_edit *imgsz = find_edit(w, "top", "imgsz");
    const detector_edit *more = find_edit(w, "top", "more");
    pickle(w, "\x80\x02}(");
    text(w, w->f->ema ? "ema" : "model");
    network(w);
    text(w, w->f->ema ? "model" : "ema");
    pickle(w, w->f->ema ? "cultralytics.nn.tasks\nPoseModel\n)\x81}b" : "N");
    text(w, "train_args");
    pickle(w, "}(");
    text(w, "imgsz");
    if (imgsz && !w->f->safetensors)
        put(&w->head, imgsz->code, imgsz->size);
    else
        number(w, 96);
    pickle(w, "u");
    if (more && !w->f->safetensors)
        put(&w->head, more->code, more->size);
    pickle(w, "u.");
}

/* ------------------------------------------------------------------ files */

typedef struct member {
    const char *name;
    const void *data;
    size_t size, offset;
} member;

static void put_entry(bytes *b, const member *m) {
    put_number(b, 0, 2); /* stored */
    put_number(b, 0, 4);
    put_number(b, wilor_crc32(m->data, m->size), 4);
    put_number(b, m->size, 4);
    put_number(b, m->size, 4);
    put_number(b, strlen(m->name), 2);
    put_number(b, 0, 2);
}

static void put_zip(bytes *b, member *m, int n) {
    for (int i = 0; i < n; i++) {
        m[i].offset = b->size;
        put(b, "PK\3\4\x14\0\0\0", 8);
        put_entry(b, &m[i]);
        put_text(b, m[i].name);
        put(b, m[i].data, m[i].size);
    }
    size_t directory = b->size;
    for (int i = 0; i < n; i++) {
        put(b, "PK\1\2\x14\0\x14\0\0\0", 10);
        put_entry(b, &m[i]);
        put_number(b, 0, 10);
        put_number(b, m[i].offset, 4);
        put_text(b, m[i].name);
    }
    size_t end = b->size;
    put(b, "PK\5\6\0\0\0\0", 8);
    put_number(b, (uint64_t)n, 2);
    put_number(b, (uint64_t)n, 2);
    put_number(b, end - directory, 4);
    put_number(b, directory, 4);
    put_number(b, 0, 2);
}

uint8_t *detector_file_make(const detector_file *f, size_t *size) {
    writer w = {.f = f};
    bytes out = {0};
    /* Twice: the first pass counts the numbers. */
    for (int pass = 0; pass < 2; pass++) {
        w.total = w.count;
        w.count = w.head.size = w.data.size = 0;
        if (f->safetensors)
            network(&w);
        else
            top(&w);
    }
    if (f->safetensors) {
        put_text(&w.head, "}");
        put_number(&out, w.head.size, 8);
        put(&out, w.head.at, w.head.size);
        put(&out, w.data.at, w.data.size);
    } else {
        const char *order = f->big_endian ? "big" : "little";
        member m[] = {{"t/data.pkl", w.head.at, w.head.size, 0},
                      {"t/byteorder", order, strlen(order), 0},
                      {"t/data/0", w.data.at, w.data.size, 0}};
        put_zip(&out, m, 3);
    }
    free(w.head.at);
    free(w.data.at);
    *size = out.size;
    return out.at;
}
