/* Convolutions in bfloat16 (conv16.h): maps lie as they do in float32, with the zeros of a border, so that
 * every output is the same pieces of numbers from its pixel; 32 pixels × 32 outputs a call, of any stride.
 *
 * A tile's 16 pixels are neighbours in a row of the output. Where rows are no multiple of 16, the last tile
 * of each reaches into the next one, or, at stride 1, tiles run on through the whole map, the zeros between
 * rows included, whichever makes fewer; what is beyond is dropped.
 *
 * The head's last convolutions write float32. Their weights are two bfloat16 each, a high and a low part,
 * as more pieces over the same pixels: the logits are as exact as their inputs. */
#include "yolo_impl.h"

/* A unit's pixels stay in the second-level cache. */
enum { RUN = WILOR_CONV16_RUN, SIDE = WILOR_CONV16_SIDE, MOST_PAIRS = 16 };

/* ---------------------------------------------------------------- cutting */

static int steps_of(const wilor_yolo_packed *w) { return w->pieces * w->steps; }

static void find_pieces(const wilor_yolo_area *in, const wilor_yolo_conv *v,
                        const wilor_yolo_packed *w, wilor_yolo_job *j) {
    int half = v->size / 2, whole = w->high_low ? w->pieces / 2 : w->pieces;
    for (int i = 0; i < w->pieces; i++) {
        int k = i % whole;
        int ky = whole == v->size ? k : k / v->size, kx = whole == v->size ? 0 : k % v->size;
        j->offset[i] = ((ptrdiff_t)(ky - half) * in->pitch + kx - half) * in->channels;
    }
}

void wilor_yolo_cut_bf16(const wilor_yolo_run *run, wilor_yolo_job *j, int wanted) {
    const wilor_yolo_step *s = j->step;
    const wilor_yolo_conv *v = &run->yolo->program.convs[s->conv];
    const wilor_yolo_packed *w = &run->yolo->convs[s->conv];
    const wilor_yolo_area *in = &run->layout.maps[s->in.map];
    const wilor_yolo_area *out = &run->layout.maps[s->out.map];
    int by_row = wilor_yolo_parts(out->width, RUN) * out->height;
    int through = wilor_yolo_parts(out->height * out->pitch - 1, RUN);
    size_t map_bytes = (size_t)in->height * (size_t)in->width * (size_t)v->in * 2;
    find_pieces(in, v, w, j);
    j->flat = s->stride == 1 && through < by_row;
    j->tiles = j->flat ? through : by_row;
    j->panels = wilor_yolo_parts(v->out, SIDE);
    j->group = 1;
    j->groups = j->panels;
    int pairs = wilor_yolo_parts(j->tiles, 2);
    j->chunk = pairs * j->panels / wanted;
    j->chunk = j->chunk < 1 ? 1 : j->chunk < MOST_PAIRS ? j->chunk : MOST_PAIRS;
    j->chunks = wilor_yolo_parts(pairs, j->chunk);
    j->units = j->chunks * j->groups;
    j->panel_major = wilor_yolo_depth(v) * (size_t)v->out * 2 > map_bytes;
}

/* ---------------------------------------------------------------- running */

typedef struct conv_call {
    const wilor_yolo_run *run;
    const wilor_yolo_job *j;
    const wilor_yolo_conv *conv;
    const wilor_yolo_packed *w;
    const wilor_yolo_area *in, *out, *added;
    int column, cols;
} conv_call;

/* A run of pixels: its first one, and how many mean anything. */
typedef struct place {
    int y, x, count;
} place;

static place place_of(const conv_call *c, int tile) {
    const wilor_yolo_area *m = c->out;
    if (c->j->flat) {
        int first = tile * RUN, left = m->height * m->pitch - 1 - first;
        return (place){first / m->pitch, first % m->pitch, left < RUN ? left : RUN};
    }
    int across = wilor_yolo_parts(m->width, RUN), x = tile % across * RUN;
    return (place){tile / across, x, m->width - x < RUN ? m->width - x : RUN};
}

static const uint16_t *inputs_of(const conv_call *c, const place *p) {
    int stride = c->j->step->stride;
    ptrdiff_t pixel = (ptrdiff_t)(p->y * stride) * c->in->pitch + p->x * stride;
    return wilor_yolo_bf16(c->in, pixel, c->j->step->in.channel);
}

/* The head's output. */
static void finish_f32(const conv_call *c, const float *sums, int rows, ptrdiff_t pixel) {
    const float *bias = c->w->bias + c->column;
    for (int r = 0; r < rows; r++, sums += SIDE) {
        float *to = wilor_yolo_f32(c->out, pixel + r, c->j->step->out.channel + c->column);
        for (int i = 0; i < c->cols; i++)
            to[i] = sums[i] + bias[i];
    }
}

/* Pixels of one row of the map. */
static void finish_row(const conv_call *c, const float *sums, int rows, ptrdiff_t pixel) {
    const wilor_yolo_step *s = c->j->step;
    if (c->out->bytes == 4) {
        finish_f32(c, sums, rows, pixel);
        return;
    }
    wilor_conv16_end e = {.sums = sums,
                          .rows = rows,
                          .cols = c->cols,
                          .bias = c->w->bias + c->column,
                          .silu = c->w->silu,
                          .out = wilor_yolo_bf16(c->out, pixel, s->out.channel + c->column),
                          .ldo = (size_t)c->out->channels};
    if (c->added) {
        e.added = wilor_yolo_bf16(c->added, pixel, s->added.channel + c->column);
        e.lda = (size_t)c->added->channels;
    }
    c->run->yolo->conv16->finish(&e);
    if (s->twice.map >= 0)
        wilor_yolo_repeat(c->run, s, pixel, rows, c->column, c->cols);
}

/* A run's sums, which may go over the end of a row; its zero is not to be written over. */
static void finish_run(const conv_call *c, const float *sums, place p) {
    const wilor_yolo_area *m = c->out;
    while (p.count > 0) {
        int rows = m->width - p.x < p.count ? m->width - p.x : p.count;
        ptrdiff_t pixel = (ptrdiff_t)p.y * m->pitch + p.x;
        if (rows > 0)
            finish_row(c, sums, rows, pixel);
        if (rows > 0 && p.x + rows == m->width)
            wilor_yolo_end_row(m, pixel + rows - 1, c->j->step->out.channel + c->column,
                               c->cols);
        int passed = p.x + rows == m->width ? rows + 1 : rows;
        sums += passed * SIDE;
        p = (place){p.y + 1, 0, p.count - passed};
    }
}

static void multiply_pair(const conv_call *c, int pair, const uint16_t *weights, float *sums) {
    const wilor_yolo_job *j = c->j;
    int runs = j->tiles - 2 * pair < 2 ? 1 : 2;
    place p[2];
    wilor_conv16_call call = {.runs = runs,
                              .step = (size_t)(j->step->stride * c->in->channels),
                              .offset = j->offset,
                              .pieces = c->w->pieces,
                              .steps = (size_t)c->w->steps,
                              .b = weights,
                              .tiles = wilor_yolo_parts(c->cols, RUN),
                              .sums = sums};
    for (int i = 0; i < runs; i++) {
        p[i] = place_of(c, 2 * pair + i);
        call.a[i] = inputs_of(c, &p[i]);
    }
    if (runs == 1)
        call.a[1] = call.a[0];
    c->run->yolo->conv16->multiply(&call);
    for (int i = 0; i < runs; i++)
        finish_run(c, sums + i * RUN * SIDE, p[i]);
}

void wilor_yolo_conv_bf16(const wilor_yolo_run *run, const wilor_yolo_job *j, int unit,
                          float *scratch) {
    const wilor_yolo *y = run->yolo;
    const wilor_yolo_step *s = j->step;
    const wilor_yolo_area *maps = run->layout.maps;
    int chunk = j->panel_major ? unit % j->chunks : unit / j->groups;
    /* Threads begin with different panels: the same lines are not asked for by all of them at once. */
    int panel = j->panel_major ? unit / j->chunks : (unit + chunk) % j->groups;
    conv_call c = {.run = run,
                   .j = j,
                   .conv = &y->program.convs[s->conv],
                   .w = &y->convs[s->conv],
                   .in = &maps[s->in.map],
                   .out = &maps[s->out.map],
                   .added = s->added.map < 0 ? NULL : &maps[s->added.map],
                   .column = panel * SIDE};
    const uint16_t *weights = c.w->panels;
    int pairs = wilor_yolo_parts(j->tiles, 2), first = chunk * j->chunk;
    int last = first + j->chunk < pairs ? first + j->chunk : pairs;
    c.cols = c.conv->out - c.column < SIDE ? c.conv->out - c.column : SIDE;
    weights += (size_t)panel * (size_t)steps_of(c.w) * 2 * WILOR_CONV16_TILE;
    if (y->conv16->begin)
        y->conv16->begin();
    wilor_yolo_clear_around(run, s, c.column, c.cols, chunk == 0, chunk == j->chunks - 1);
    for (int pair = first; pair < last; pair++)
        multiply_pair(&c, pair, weights, scratch);
}
