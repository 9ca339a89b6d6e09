/* The head's output, float32 whatever the arithmetic: distributions to boxes, offsets to keypoints. */
#include "yolo_impl.h"

#include <math.h>

int wilor_yolo_anchors(const wilor_yolo_run *run) {
    int n = 0;
    for (int l = 0; l < WILOR_YOLO_LEVELS; l++)
        n += (run->width >> (3 + l)) * (run->height >> (3 + l));
    return n;
}

typedef struct cell {
    const float *raw; /* 64 + 2 + 63 numbers */
    float x, y, stride;
} cell;

static cell cell_at(const wilor_yolo_run *run, int level, int x, int y) {
    const wilor_yolo_area *m = &run->layout.maps[run->yolo->program.head[level]];
    return (cell){wilor_yolo_f32(m, (ptrdiff_t)y * m->pitch + x, 0), (float)x + 0.5f,
                  (float)y + 0.5f, (float)(8 << level)};
}

/* The numbers of one of the chosen anchors; NULL: it is none. */
static const float *find_chosen(const wilor_yolo_chosen *c, int anchor) {
    int low = 0, high = c->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (c->anchor[middle] < anchor)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->count && c->anchor[low] == anchor ? c->numbers[low] : NULL;
}

static cell find_cell(const wilor_yolo_run *run, int anchor) {
    int l = 0, n, whole = anchor;
    while ((n = (run->width >> (3 + l)) * (run->height >> (3 + l))) <= anchor && l < 2) {
        anchor -= n;
        l++;
    }
    int width = run->width >> (3 + l);
    cell c = cell_at(run, l, anchor % width, anchor / width);
    const float *chosen = find_chosen(&run->chosen, whole);
    c.raw = chosen ? chosen : c.raw;
    return c;
}

static float sigmoid(float x) {
    float e = expf(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* Expected value of the 16 bins (distribution focal loss; Li et al. 2020). */
static float side_distance(const float *bins) {
    float top = bins[0], sum = 0, mean = 0;
    for (int i = 1; i < 16; i++)
        top = bins[i] > top ? bins[i] : top;
    for (int i = 0; i < 16; i++) {
        float e = expf(bins[i] - top);
        sum += e;
        mean += e * (float)i;
    }
    return mean / sum;
}

static void decode_box(const cell *c, float box[4]) {
    float x0 = c->x - side_distance(c->raw), y0 = c->y - side_distance(c->raw + 16);
    float x1 = c->x + side_distance(c->raw + 32), y1 = c->y + side_distance(c->raw + 48);
    box[0] = (x0 + x1) / 2 * c->stride;
    box[1] = (y0 + y1) / 2 * c->stride;
    box[2] = (x1 - x0) * c->stride;
    box[3] = (y1 - y0) * c->stride;
}

float wilor_yolo_lowest_logit(float conf) {
    return conf > 0 && conf < 1 ? logf(conf / (1 - conf)) - 1e-3f : -INFINITY;
}

typedef struct search {
    float conf, lowest;
    wilor_candidate *out;
    int n, most;
} search;

/* At least 0: scores that round to one number have no order. What moves both logits alike, as calibration does, does
 * not move it. */
static float side_odds(const float logit[2], int side) {
    return fmaxf(logit[side] - logit[!side], 0);
}

/* An anchor joins the others where it scores above conf. */
static void consider(search *s, const cell *c, int anchor) {
    const float *logit = c->raw + WILOR_YOLO_BOX;
    if (!(logit[0] > s->lowest) && !(logit[1] > s->lowest))
        return;
    float score[2] = {sigmoid(logit[0]), sigmoid(logit[1])};
    int side = score[1] > score[0];
    if (!(score[side] > s->conf))
        return;
    if (s->n < s->most) {
        wilor_candidate *to = &s->out[s->n];
        *to = (wilor_candidate){.score = score[side],
                                .side = side,
                                .anchor = anchor,
                                .side_odds = side_odds(logit, side)};
        decode_box(c, to->box);
    }
    s->n++;
}

int wilor_yolo_candidates(const wilor_yolo_run *run, float conf, wilor_candidate *out,
                          int most) {
    search s = {
        .conf = conf, .lowest = wilor_yolo_lowest_logit(conf), .out = out, .most = most};
    for (int i = 0; i < run->chosen.count; i++) {
        cell here = find_cell(run, run->chosen.anchor[i]);
        consider(&s, &here, run->chosen.anchor[i]);
    }
    if (run->chosen.count >= 0)
        return s.n;
    for (int l = 0, anchor = 0; l < WILOR_YOLO_LEVELS; l++) {
        const wilor_yolo_area *m = &run->layout.maps[run->yolo->program.head[l]];
        for (int y = 0; y < m->height; y++)
            for (int x = 0; x < m->width; x++, anchor++) {
                cell here = cell_at(run, l, x, y);
                consider(&s, &here, anchor);
            }
    }
    return s.n;
}

void wilor_yolo_keypoints(const wilor_yolo_run *run, int anchor, float *out) {
    cell c = find_cell(run, anchor);
    const float *k = c.raw + WILOR_YOLO_BOX + WILOR_YOLO_CLASSES;
    for (int i = 0; i < 63; i += 3) {
        out[i] = (2 * k[i] + (c.x - 0.5f)) * c.stride;
        out[i + 1] = (2 * k[i + 1] + (c.y - 0.5f)) * c.stride;
        out[i + 2] = sigmoid(k[i + 2]);
    }
}

void wilor_yolo_column(const wilor_yolo_run *run, int anchor, float *out) {
    cell c = find_cell(run, anchor);
    decode_box(&c, out);
    out[4] = sigmoid(c.raw[WILOR_YOLO_BOX]);
    out[5] = sigmoid(c.raw[WILOR_YOLO_BOX + 1]);
    wilor_yolo_keypoints(run, anchor, out + 6);
}

void wilor_yolo_undecoded(const wilor_yolo_run *run, int anchor, float *out) {
    cell c = find_cell(run, anchor);
    memcpy(out, c.raw, WILOR_YOLO_HEAD * sizeof *out);
}

static float number_at(const wilor_yolo_area *m, ptrdiff_t pixel, int channel) {
    return m->bytes == 2 ? wilor_conv16_widen(*wilor_yolo_bf16(m, pixel, channel))
                         : *wilor_yolo_f32(m, pixel, channel);
}

void wilor_yolo_layer(const wilor_yolo_run *run, int layer, int shape[3], float *out) {
    const wilor_yolo_program *p = &run->yolo->program;
    wilor_yolo_slice s = p->layers[layer];
    const wilor_yolo_area *m = &run->layout.maps[s.map];
    shape[0] = p->plan.channels[layer];
    shape[1] = m->height;
    shape[2] = m->width;
    for (int c = 0; out && c < shape[0]; c++)
        for (int y = 0; y < m->height; y++)
            for (int x = 0; x < m->width; x++)
                *out++ = number_at(m, (ptrdiff_t)y * m->pitch + x, s.channel + c);
}
