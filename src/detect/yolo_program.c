/* YOLOv8's topology as steps (docs/detector.md, section "Network"): concatenations need no copies,
 * because each part is written where it will be read. */
#include "yolo_program.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const wilor_yolo_slice NOTHING = {-1, 0};

static int new_map(wilor_yolo_program *p, int shift, int channels) {
    p->maps[p->map_count] = (wilor_yolo_map){shift, channels, WILOR_YOLO_STEPS, -1};
    return p->map_count++;
}

static void touch(wilor_yolo_program *p, wilor_yolo_slice s, int phase) {
    if (s.map < 0)
        return;
    wilor_yolo_map *m = &p->maps[s.map];
    m->first = phase < m->first ? phase : m->first;
    m->last = phase > m->last ? phase : m->last;
}

/* A step of the phase in the making. */
static wilor_yolo_step *new_step(wilor_yolo_program *p, wilor_yolo_op op, wilor_yolo_slice in,
                                 wilor_yolo_slice out, wilor_yolo_slice added) {
    wilor_yolo_step *s = &p->steps[p->step_count++];
    *s = (wilor_yolo_step){.op = op,
                           .phase = p->phase_count,
                           .in = in,
                           .out = out,
                           .added = added,
                           .twice = NOTHING};
    touch(p, in, s->phase);
    touch(p, out, s->phase);
    touch(p, added, s->phase);
    return s;
}

static void end_phase(wilor_yolo_program *p) { p->phase_count++; }

typedef struct shape {
    int in, out, size, stride;
    bool plain;
} shape;

static void conv(wilor_yolo_program *p, shape k, wilor_yolo_slice in, wilor_yolo_slice out,
                 wilor_yolo_slice added, const char *format, ...) {
    wilor_yolo_conv *c = &p->convs[p->conv_count];
    va_list args;
    *c = (wilor_yolo_conv){.out = k.out, .in = k.in, .size = k.size, .plain = k.plain};
    va_start(args, format);
    vsnprintf(c->prefix, sizeof c->prefix, format, args);
    va_end(args);
    wilor_yolo_step *s = new_step(p, WILOR_YOLO_CONVOLVE, in, out, added);
    s->conv = p->conv_count++;
    s->stride = k.stride;
}

static wilor_yolo_slice whole(int map) { return (wilor_yolo_slice){map, 0}; }

/* A Conv layer, 3 × 3 with stride 2. */
static void down(wilor_yolo_program *p, int layer, int inputs, wilor_yolo_slice in,
                 wilor_yolo_slice out) {
    shape k = {inputs, p->plan.channels[layer], 3, 2, false};
    conv(p, k, in, out, NOTHING, "model.%d", layer);
    end_phase(p);
    p->layers[layer] = out;
}

static void c2f(wilor_yolo_program *p, int layer, int shift, int inputs, wilor_yolo_slice in,
                wilor_yolo_slice out, bool add) {
    int n = p->plan.repeats[layer], outputs = p->plan.channels[layer], h = outputs / 2;
    int parts = new_map(p, shift, (2 + n) * h), inner = new_map(p, shift, h);
    shape three = {h, h, 3, 1, false};
    conv(p, (shape){inputs, 2 * h, 1, 1, false}, in, whole(parts), NOTHING, "model.%d.cv1",
         layer);
    end_phase(p);
    for (int i = 0; i < n; i++) {
        wilor_yolo_slice from = {parts, (1 + i) * h}, to = {parts, (2 + i) * h};
        conv(p, three, from, whole(inner), NOTHING, "model.%d.m.%d.cv1", layer, i);
        end_phase(p);
        conv(p, three, whole(inner), to, add ? from : NOTHING, "model.%d.m.%d.cv2", layer, i);
        end_phase(p);
    }
    conv(p, (shape){(2 + n) * h, outputs, 1, 1, false}, whole(parts), out, NOTHING,
         "model.%d.cv2", layer);
    end_phase(p);
    p->layers[layer] = out;
}

static void sppf(wilor_yolo_program *p, int inputs, wilor_yolo_slice in, wilor_yolo_slice out) {
    int h = inputs / 2, parts = new_map(p, 5, 4 * h);
    conv(p, (shape){inputs, h, 1, 1, false}, in, whole(parts), NOTHING, "model.9.cv1");
    end_phase(p);
    new_step(p, WILOR_YOLO_POOL, whole(parts), (wilor_yolo_slice){parts, h}, NOTHING)
        ->channels = h;
    end_phase(p);
    conv(p, (shape){4 * h, p->plan.channels[9], 1, 1, false}, whole(parts), out, NOTHING,
         "model.9.cv2");
    end_phase(p);
    p->layers[9] = out;
}

/* The last step's outputs go to the slice, too, at twice the size. */
static void upsample(wilor_yolo_program *p, wilor_yolo_slice to) {
    wilor_yolo_step *s = &p->steps[p->step_count - 1];
    s->twice = to;
    touch(p, to, s->phase);
}

typedef struct head_maps {
    int inner[WILOR_YOLO_LEVELS][2];
} head_maps;

static void new_head(wilor_yolo_program *p, head_maps *m) {
    const int *hidden = p->plan.hidden;
    for (int l = 0; l < WILOR_YOLO_LEVELS; l++) {
        for (int i = 0; i < 2; i++)
            m->inner[l][i] = new_map(p, 3 + l, hidden[0] + hidden[1] + hidden[2]);
        p->head[l] = new_map(p, 3 + l, WILOR_YOLO_HEAD);
    }
}

/* One stage of a level's three branches, into the phase in the making. */
static void head(wilor_yolo_program *p, const head_maps *m, int level, int stage,
                 wilor_yolo_slice in, int inputs) {
    static const int outputs[3] = {WILOR_YOLO_BOX, WILOR_YOLO_CLASSES, WILOR_YOLO_POINTS};
    const int *hidden = p->plan.hidden, *maps = m->inner[level];
    int at = 0, to = 0;
    for (int b = 0; b < 3; b++) {
        wilor_yolo_slice from = stage ? (wilor_yolo_slice){maps[stage - 1], at} : in;
        wilor_yolo_slice out = {stage < 2 ? maps[stage] : p->head[level], stage < 2 ? at : to};
        shape k = {stage ? hidden[b] : inputs, stage < 2 ? hidden[b] : outputs[b],
                   stage < 2 ? 3 : 1, 1, stage == 2};
        conv(p, k, from, out, NOTHING, "model.22.cv%d.%d.%d", b + 2, level, stage);
        at += hidden[b];
        to += outputs[b];
    }
}

/* Level by level, and all levels where the weights are few: a phase's weights are expanded together. */
static void rest_of_head(wilor_yolo_program *p, const head_maps *m, const int *inputs,
                         const wilor_yolo_slice *in, bool begun) {
    for (int stage = 0; stage < 3; stage++)
        for (int l = 0; l < WILOR_YOLO_LEVELS; l++) {
            if (begun && (l == 0 || (l == 1 && stage < 2)))
                continue;
            head(p, m, l, stage, in[l], inputs[l]);
            if (stage < 2)
                end_phase(p);
        }
    end_phase(p);
}

void wilor_yolo_program_make(wilor_yolo_program *p, const wilor_yolo_plan *plan,
                             bool head_beside) {
    memset(p, 0, sizeof *p);
    p->plan = *plan;
    for (int i = 0; i < WILOR_YOLO_LAYERS; i++)
        p->layers[i] = NOTHING;
    const int *c = p->plan.channels;
    p->input = new_map(p, 0, 3);
    wilor_yolo_slice s[WILOR_YOLO_LAYERS];
    /* Layers 4, 6, 9, 12, 16 and 19 are written into the concatenations that read them. */
    int cat11 = new_map(p, 4, c[9] + c[6]), cat14 = new_map(p, 3, c[12] + c[4]);
    int cat17 = new_map(p, 4, c[16] + c[12]), cat20 = new_map(p, 5, c[19] + c[9]);
    static const int shifts[WILOR_YOLO_LAYERS] = {1, 2, 2, 3, 0, 4, 0, 5, 5, 0, 0,
                                                  0, 0, 0, 0, 3, 0, 0, 4, 0, 0, 5};
    for (int i = 0; i < WILOR_YOLO_LAYERS; i++)
        s[i] = shifts[i] ? whole(new_map(p, shifts[i], c[i])) : NOTHING;
    s[4] = (wilor_yolo_slice){cat14, c[12]};
    s[6] = (wilor_yolo_slice){cat11, c[9]};
    s[9] = (wilor_yolo_slice){cat20, c[19]};
    s[12] = (wilor_yolo_slice){cat17, c[16]};
    s[16] = whole(cat17);
    s[19] = whole(cat20);

    down(p, 0, 3, whole(p->input), s[0]);
    down(p, 1, c[0], s[0], s[1]);
    c2f(p, 2, 2, c[1], s[1], s[2], true);
    down(p, 3, c[2], s[2], s[3]);
    c2f(p, 4, 3, c[3], s[3], s[4], true);
    down(p, 5, c[4], s[4], s[5]);
    c2f(p, 6, 4, c[5], s[5], s[6], true);
    down(p, 7, c[6], s[6], s[7]);
    c2f(p, 8, 5, c[7], s[7], s[8], true);
    sppf(p, c[8], s[8], s[9]);
    upsample(p, whole(cat11));
    c2f(p, 12, 4, c[9] + c[6], whole(cat11), s[12], false);
    upsample(p, whole(cat14));
    c2f(p, 15, 3, c[12] + c[4], whole(cat14), s[15], false);
    const int inputs[WILOR_YOLO_LEVELS] = {c[15], c[18], c[21]};
    const wilor_yolo_slice levels[WILOR_YOLO_LEVELS] = {s[15], s[18], s[21]};
    head_maps m;
    new_head(p, &m);
    if (head_beside)
        head(p, &m, 0, 0, s[15], c[15]);
    down(p, 16, c[15], s[15], s[16]);
    if (head_beside)
        head(p, &m, 0, 1, s[15], c[15]);
    c2f(p, 18, 4, c[16] + c[12], whole(cat17), s[18], false);
    if (head_beside) {
        head(p, &m, 0, 2, s[15], c[15]);
        head(p, &m, 1, 0, s[18], c[18]);
    }
    down(p, 19, c[18], s[18], s[19]);
    if (head_beside)
        head(p, &m, 1, 1, s[18], c[18]);
    c2f(p, 21, 5, c[19] + c[9], whole(cat20), s[21], false);
    rest_of_head(p, &m, inputs, levels, head_beside);
    p->layers[10] = p->layers[11] = whole(cat11);
    p->layers[13] = p->layers[14] = whole(cat14);
    p->layers[17] = whole(cat17);
    p->layers[20] = whole(cat20);
    /* What the caller reads afterwards. */
    for (int l = 0; l < WILOR_YOLO_LEVELS; l++)
        p->maps[p->head[l]].last = p->phase_count;
}
