/* The network on one input: phases of steps on the thread pool.
 *
 * A convolution of stride 1 runs over the map's pixels as they lie in memory, the zero pixel at the
 * end of each row included (its result is dropped): tiles of `mr` pixels in a row never have to
 * turn a corner, and nothing is copied (XNNPACK's indirect GEMM and oneDNN's brgemm batch reach the
 * same with tables of pointers). A stride of 2 gathers the inputs of a tile first: 13 % of the
 * work, and the copy serves all columns.
 *
 * How a step is cut into units depends on the number of threads, but every number is computed by
 * one kernel call over the whole depth: the cut cannot change a bit.
 *
 * Easy to get wrong: a tile's last pixels may lie behind the map (SLACK), maps share memory over
 * time (so who writes a map writes its zeros, too), and slices of one map have several writers. */
#include "yolo_load.h"

#include "arena.h"

#include <math.h>
#include <string.h>

enum { MOST_TILES = 8, GATHER_FLOATS_MOST = 1 << 17, PANEL_MAJOR_FLOATS = 1 << 18, TAPS = 9 };

typedef struct map {
    float *data; /* channel 0 of pixel (0, 0) */
    int width, height, pitch, channels;
} map;

/* A step of the phase, cut in units. */
typedef struct job {
    const wilor_yolo_step *step;
    const float *weights; /* panels as the kernels read them */
    int expanded;         /* of them are made before the phase */
    int first;            /* unit */
    int tiles, chunk;     /* of pixels; tiles a unit */
    int panels, group;    /* of columns; panels a unit */
    int chunks, groups;   /* units = chunks · groups */
    bool panel_major;     /* neighbouring units share the panel, not the pixels */
    ptrdiff_t offset[TAPS];
} job;

enum { MOST_JOBS = 9 };

/* Memory that is in use from one phase to another: a map, or the weights that a phase expands. */
typedef struct piece {
    size_t floats, at;
    int first, last;
} piece;

enum { MOST_PIECES = WILOR_YOLO_MAPS + WILOR_YOLO_STEPS };

struct wilor_yolo_run {
    const wilor_yolo *yolo;
    wilor_threads *pool;
    bool keep; /* maps do not share memory */
    int width, height;
    size_t capacity; /* floats of maps there is memory for */
    wilor_pages map_pages, scratch_pages;
    map maps[WILOR_YOLO_MAPS];
    piece pieces[MOST_PIECES];         /* the maps', then one a phase */
    float *expanded[WILOR_YOLO_CONVS]; /* NULL: the weights are read where they are kept */
    size_t scratch_stride;             /* floats a thread */
    job jobs[MOST_JOBS];
    int job_count;
};

/* ---------------------------------------------------------------- convolution */

static float *at(const map *m, ptrdiff_t pixel, int channel) {
    return m->data + pixel * m->channels + channel;
}

/* Zeros around the map, in columns channel … channel + n - 1. The one at the end of each row is
 * written with the row. */
static void clear_edges(const map *m, int channel, int n, bool top, bool bottom) {
    ptrdiff_t end = (ptrdiff_t)m->height * m->pitch;
    for (ptrdiff_t q = -m->pitch - 1; top && q < 0; q++)
        memset(at(m, q, channel), 0, (size_t)n * sizeof(float));
    for (ptrdiff_t q = end; bottom && q < end + m->pitch; q++)
        memset(at(m, q, channel), 0, (size_t)n * sizeof(float));
}

typedef struct conv_call {
    const wilor_yolo_run *run;
    const job *j;
    const wilor_yolo_conv *conv;
    const wilor_yolo_packed *w;
    const map *in, *out, *added;
} conv_call;

static void finish_rows(const conv_call *c, const float *tile, int rows, int column, int cols,
                        ptrdiff_t pixel) {
    const wilor_kernels *t = c->run->yolo->kernels;
    const wilor_yolo_step *s = c->j->step;
    float *out = at(c->out, pixel, s->out.channel + column);
    if (!c->w->silu)
        t->store_bias_f32(tile, rows, cols, c->w->bias + column, out, (size_t)c->out->channels);
    else if (c->added)
        t->bias_silu_f32(tile, rows, cols, c->w->bias + column,
                         at(c->added, pixel, s->added.channel + column),
                         (size_t)c->added->channels, out, (size_t)c->out->channels);
    else
        t->bias_silu_f32(tile, rows, cols, c->w->bias + column, NULL, 0, out,
                         (size_t)c->out->channels);
}

/* Batch norm's factors, where the weights have not got them in them. */
static void scale_rows(const conv_call *c, float *restrict tile, int rows, int column) {
    int nr = c->run->yolo->kernels->nr;
    if (!c->w->scale)
        return;
    const float *restrict scale = c->w->scale + column;
    for (int r = 0; r < rows; r++, tile += nr)
        for (int i = 0; i < nr; i++)
            tile[i] *= scale[i];
}

/* The tile's rows are `count` pixels, row by row of the output, from number `first` of width + gap
 * numbers a row, where the gap's is the zero at the end of a row. */
static void finish_tile(const conv_call *c, const float *tile, int first, int count, int column,
                        int cols, int gap) {
    const map *m = c->out;
    int nr = c->run->yolo->kernels->nr, line = m->width + gap;
    for (int r = 0; r < count;) {
        int y = (first + r) / line, x = (first + r) % line;
        int run = m->width - x < count - r ? m->width - x : count - r;
        ptrdiff_t pixel = (ptrdiff_t)y * m->pitch + x;
        if (run > 0)
            finish_rows(c, tile + (size_t)r * (size_t)nr, run, column, cols, pixel);
        if (run > 0 && x + run == m->width)
            memset(at(m, pixel + run, c->j->step->out.channel + column), 0,
                   (size_t)cols * sizeof(float));
        r += run + (run > 0 && x + run == m->width ? gap : 0) + (run == 0);
    }
}

/* The inputs of `count` output pixels of a strided convolution, tap by tap, `depth` floats each;
 * rows up to mr repeat the last one. */
static void gather(const conv_call *c, int first, int count, float *to) {
    const wilor_yolo_conv *v = c->conv;
    const map *in = c->in;
    int width = c->out->width, size = v->size, half = size / 2, stride = c->j->step->stride;
    int mr = c->run->yolo->kernels->mr;
    size_t depth = (size_t)size * (size_t)size * (size_t)v->in;
    bool dense = in->channels == v->in;
    for (int r = 0; r < mr; r++, to += depth) {
        int o = first + (r < count ? r : count - 1);
        ptrdiff_t q =
            (ptrdiff_t)(o / width * stride - half) * in->pitch + o % width * stride - half;
        float *dst = to;
        for (int ky = 0; ky < size; ky++, q += in->pitch) {
            const float *src = at(in, q, c->j->step->in.channel);
            size_t line = (size_t)size * (size_t)v->in;
            for (int kx = 0; !dense && kx < size; kx++)
                memcpy(dst + kx * v->in, src + (ptrdiff_t)kx * in->channels,
                       (size_t)v->in * sizeof *dst);
            if (dense)
                memcpy(dst, src, line * sizeof *dst);
            dst += line;
        }
    }
}

static void direct_tiles(const conv_call *c, int panel, int first, int last, float *tile) {
    const wilor_kernels *t = c->run->yolo->kernels;
    const wilor_yolo_conv *v = c->conv;
    const map *in = c->in;
    int taps = v->size * v->size, column = panel * t->nr;
    int cols = v->out - column < t->nr ? v->out - column : t->nr;
    int pixels = in->height * in->pitch - 1; /* without the zero at the very end */
    const float *b = c->j->weights + (size_t)column * (size_t)taps * (size_t)v->in;
    for (int i = first; i < last; i++) {
        int q = i * t->mr, count = pixels - q < t->mr ? pixels - q : t->mr;
        t->conv_f32(at(in, q, c->j->step->in.channel), (size_t)in->channels, c->j->offset, taps,
                    (size_t)v->in, b, cols, tile);
        scale_rows(c, tile, count, column);
        finish_tile(c, tile, q, count, column, cols, 1);
    }
}

static void gathered_tiles(const conv_call *c, const float *rows, int panel, int first,
                           int last, float *tile) {
    static const ptrdiff_t none[1] = {0};
    const wilor_kernels *t = c->run->yolo->kernels;
    const wilor_yolo_conv *v = c->conv;
    size_t depth = (size_t)v->size * (size_t)v->size * (size_t)v->in;
    int column = panel * t->nr, cols = v->out - column < t->nr ? v->out - column : t->nr;
    int pixels = c->out->width * c->out->height;
    const float *b = c->j->weights + (size_t)column * depth;
    for (int i = first; i < last; i++) {
        int q = i * t->mr, count = pixels - q < t->mr ? pixels - q : t->mr;
        t->conv_f32(rows + (size_t)(i - first) * (size_t)t->mr * depth, depth, none, 1, depth,
                    b, cols, tile);
        scale_rows(c, tile, count, column);
        finish_tile(c, tile, q, count, column, cols, 0);
    }
}

static int smaller(int a, int b) { return a < b ? a : b; }

/* ---- Winograd: tiles of 2 × 2 outputs, mr of them a block, row by row over the map. */

/* The 16 planes of one block's inputs: planes[16][mr][in]. Rows below the map's zero row repeat it:
 * they reach only outputs that are dropped. */
static void winograd_block_in(const conv_call *c, int block, float *planes) {
    const wilor_kernels *t = c->run->yolo->kernels;
    const map *in = c->in;
    size_t depth = (size_t)c->conv->in, plane = (size_t)t->mr * depth;
    int across = (in->width + 1) / 2, tiles = across * ((in->height + 1) / 2);
    for (int r = 0; r < t->mr; r++) {
        int tile = smaller(block * t->mr + r, tiles - 1);
        int y = tile / across * 2 - 1, x = tile % across * 2 - 1;
        const float *row[4];
        for (int i = 0; i < 4; i++)
            row[i] = at(in, (ptrdiff_t)smaller(y + i, in->height) * in->pitch + x,
                        c->j->step->in.channel);
        t->winograd_in_f32(row, (size_t)in->channels, depth, planes + (size_t)r * depth, plane);
    }
}

/* The block's outputs, pixels[2][2 · mr][nr]: both rows of each run of tiles in one row of the map. */
static void winograd_block_out(const conv_call *c, int block, const float *pixels, int column,
                               int cols) {
    const map *m = c->out;
    int mr = c->run->yolo->kernels->mr, nr = c->run->yolo->kernels->nr;
    int across = (m->width + 1) / 2, tiles = across * ((m->height + 1) / 2);
    int last = smaller((block + 1) * mr, tiles);
    for (int tile = block * mr; tile < last;) {
        int y = tile / across * 2, x = tile % across * 2;
        int count = smaller(across - tile % across, last - tile);
        int run = smaller(2 * count, m->width - x);
        for (int i = 0; i < 2 && y + i < m->height; i++) {
            const float *from = pixels + ((ptrdiff_t)i * mr + (tile - block * mr)) * 2 * nr;
            ptrdiff_t pixel = (ptrdiff_t)(y + i) * m->pitch + x;
            finish_rows(c, from, run, column, cols, pixel);
            if (x + run == m->width)
                memset(at(m, pixel + run, c->j->step->out.channel + column), 0,
                       (size_t)cols * sizeof(float));
        }
        tile += count;
    }
}

/* scratch: planes, products[16][mr][nr], pixels. */
static void winograd_blocks(const conv_call *c, int first, int last, int panel, int panel_end,
                            float *scratch) {
    static const ptrdiff_t none[1] = {0};
    const wilor_kernels *t = c->run->yolo->kernels;
    const job *j = c->j;
    size_t depth = (size_t)c->conv->in, tile = (size_t)t->mr * (size_t)t->nr;
    size_t block_floats = WILOR_WINOGRAD_PLANES * (size_t)t->mr * depth;
    float *pixels = scratch, *products = pixels + 4 * tile;
    float *planes = products + WILOR_WINOGRAD_PLANES * tile;
    for (int b = first; b < last; b++)
        winograd_block_in(c, b, planes + (size_t)(b - first) * block_floats);
    for (; panel < panel_end; panel++) {
        int column = panel * t->nr, cols = smaller(c->conv->out - column, t->nr);
        const float *w = c->j->weights + (size_t)column * WILOR_WINOGRAD_PLANES * depth;
        clear_edges(c->out, j->step->out.channel + column, cols, first == 0, last == j->tiles);
        for (int b = first; b < last; b++) {
            const float *from = planes + (size_t)(b - first) * block_floats;
            for (size_t p = 0; p < WILOR_WINOGRAD_PLANES; p++)
                t->conv_f32(from + p * (size_t)t->mr * depth, depth, none, 1, depth,
                            w + p * depth * (size_t)t->nr, cols, products + p * tile);
            t->winograd_out_f32(products, pixels);
            scale_rows(c, pixels, 4 * t->mr, column);
            winograd_block_out(c, b, pixels, column, cols);
        }
    }
}

static void conv_unit(const wilor_yolo_run *run, const job *j, int unit, float *scratch) {
    const wilor_yolo *y = run->yolo;
    const wilor_yolo_step *s = j->step;
    const wilor_yolo_conv *v = &y->program.convs[s->conv];
    conv_call c = {run,
                   j,
                   v,
                   &y->convs[s->conv],
                   &run->maps[s->in.map],
                   &run->maps[s->out.map],
                   s->added.map < 0 ? NULL : &run->maps[s->added.map]};
    int chunk = j->panel_major ? unit % j->chunks : unit / j->groups;
    int group = j->panel_major ? unit / j->chunks : unit % j->groups;
    int first = chunk * j->chunk, last = smaller(first + j->chunk, j->tiles);
    int panel_end = smaller((group + 1) * j->group, j->panels);
    float *tile = scratch, *rows = scratch + WILOR_MAX_MR * WILOR_MAX_NR;
    if (c.w->winograd) {
        winograd_blocks(&c, first, last, group * j->group, panel_end, scratch);
        return;
    }
    if (s->stride > 1) {
        size_t depth = (size_t)v->size * (size_t)v->size * (size_t)v->in;
        int pixels = c.out->width * c.out->height, mr = y->kernels->mr;
        for (int i = first; i < last; i++)
            gather(&c, i * mr, smaller(pixels - i * mr, mr),
                   rows + (size_t)(i - first) * (size_t)mr * depth);
    }
    for (int p = group * j->group; p < panel_end; p++) {
        int column = p * y->kernels->nr, cols = smaller(v->out - column, y->kernels->nr);
        clear_edges(c.out, s->out.channel + column, cols, chunk == 0, chunk == j->chunks - 1);
        if (s->stride > 1)
            gathered_tiles(&c, rows, p, first, last, tile);
        else
            direct_tiles(&c, p, first, last, tile);
    }
}

/* ---------------------------------------------------------------- pool and upsample */

static void max_into(float *restrict to, const float *restrict from, int n) {
    for (int i = 0; i < n; i++)
        to[i] = from[i] > to[i] ? from[i] : to[i];
}

/* Output row y of the 5 × 5 maximum: down the columns into scratch, then along the row. */
static void pool_row(const wilor_yolo_run *run, const wilor_yolo_step *s, int y, float *lines) {
    const map *in = &run->maps[s->in.map], *out = &run->maps[s->out.map];
    int n = s->channels;
    size_t bytes = (size_t)n * sizeof(float);
    for (int x = 0; x < in->width; x++) {
        float *line = lines + (size_t)x * (size_t)n;
        memcpy(line, at(in, (ptrdiff_t)y * in->pitch + x, s->in.channel), bytes);
        for (int d = -2; d <= 2; d++)
            if (d != 0 && y + d >= 0 && y + d < in->height)
                max_into(line, at(in, (ptrdiff_t)(y + d) * in->pitch + x, s->in.channel), n);
    }
    for (int x = 0; x < in->width; x++) {
        float *to = at(out, (ptrdiff_t)y * out->pitch + x, s->out.channel);
        memcpy(to, lines + (size_t)x * (size_t)n, bytes);
        for (int d = -2; d <= 2; d++)
            if (d != 0 && x + d >= 0 && x + d < in->width)
                max_into(to, lines + (size_t)(x + d) * (size_t)n, n);
    }
}

static void upsample_row(const wilor_yolo_run *run, const wilor_yolo_step *s, int y) {
    const map *in = &run->maps[s->in.map], *out = &run->maps[s->out.map];
    for (int x = 0; x < out->width; x++)
        memcpy(at(out, (ptrdiff_t)y * out->pitch + x, s->out.channel),
               at(in, (ptrdiff_t)(y / 2) * in->pitch + x / 2, s->in.channel),
               (size_t)s->channels * sizeof(float));
}

/* A row of a step that is no convolution, and the zeros around it. */
static void row_unit(const wilor_yolo_run *run, const job *j, int y, float *scratch) {
    const wilor_yolo_step *s = j->step;
    const map *out = &run->maps[s->out.map];
    if (s->op == WILOR_YOLO_POOL)
        pool_row(run, s, y, scratch);
    else
        upsample_row(run, s, y);
    memset(at(out, (ptrdiff_t)y * out->pitch + out->width, s->out.channel), 0,
           (size_t)s->channels * sizeof(float));
    clear_edges(out, s->out.channel, s->channels, y == 0, y == out->height - 1);
}

/* ---------------------------------------------------------------- phases */

static void phase_unit(void *context, int unit, int thread) {
    const wilor_yolo_run *run = context;
    const job *j = run->jobs + run->job_count - 1;
    float *scratch = (float *)run->scratch_pages.data + (size_t)thread * run->scratch_stride;
    while (unit < j->first)
        j--;
    if (j->step->op == WILOR_YOLO_CONVOLVE)
        conv_unit(run, j, unit - j->first, scratch);
    else
        row_unit(run, j, unit - j->first, scratch);
}

/* Floats of gathered inputs that a unit may hold. */
static int gathered_chunk(const wilor_kernels *t, const wilor_yolo_conv *v) {
    int floats = t->mr * v->size * v->size * v->in;
    int most = GATHER_FLOATS_MOST / floats;
    return most < 1 ? 1 : most < MOST_TILES ? most : MOST_TILES;
}

/* Blocks of transformed inputs that a unit may hold. */
static int winograd_chunk(const wilor_kernels *t, const wilor_yolo_conv *v) {
    int most = GATHER_FLOATS_MOST / (WILOR_WINOGRAD_PLANES * t->mr * v->in);
    return most < 1 ? 1 : most < MOST_TILES ? most : MOST_TILES;
}

/* Cut a convolution: enough units that the last ones to finish cost little, few enough that what a
 * unit loads is used often. Small inputs stay in a core's cache while panels pass; of large ones a
 * chunk does. */
static void cut_conv(const wilor_yolo_run *run, job *j, int wanted) {
    const wilor_kernels *t = run->yolo->kernels;
    const wilor_yolo_step *s = j->step;
    const wilor_yolo_conv *v = &run->yolo->program.convs[s->conv];
    const map *in = &run->maps[s->in.map], *out = &run->maps[s->out.map];
    int half = v->size / 2, chunk_most = MOST_TILES;
    int pixels = out->height * out->width;
    bool winograd = run->yolo->convs[s->conv].winograd;
    if (winograd) {
        pixels = (in->width + 1) / 2 * ((in->height + 1) / 2);
        chunk_most = winograd_chunk(t, v);
    } else if (s->stride == 1) {
        pixels = in->height * in->pitch - 1;
        for (int k = 0; k < v->size * v->size; k++)
            j->offset[k] = ((ptrdiff_t)(k / v->size - half) * in->pitch + k % v->size - half) *
                           in->channels;
    } else {
        chunk_most = gathered_chunk(t, v);
    }
    j->tiles = wilor_yolo_parts(pixels, t->mr);
    j->panels = wilor_yolo_parts(v->out, t->nr);
    j->panel_major =
        s->stride == 1 && !winograd && (int64_t)pixels * v->in <= PANEL_MAJOR_FLOATS;
    j->group = j->panel_major ? 1 : j->panels;
    j->chunk = j->tiles * wilor_yolo_parts(j->panels, j->group) / wanted;
    j->chunk = j->chunk < 1 ? 1 : j->chunk < chunk_most ? j->chunk : chunk_most;
    j->chunks = wilor_yolo_parts(j->tiles, j->chunk);
    /* Still too few: share the columns, too. */
    while (j->group > 4 && j->chunks * wilor_yolo_parts(j->panels, j->group) < wanted)
        j->group = wilor_yolo_parts(j->group, 2);
    j->groups = wilor_yolo_parts(j->panels, j->group);
}

/* The weights of a convolution as the kernels read them, and how many panels have to be made. */
static void find_weights(const wilor_yolo_run *run, job *j) {
    int conv = j->step->conv;
    j->weights = run->expanded[conv];
    if (j->weights)
        j->expanded =
            wilor_yolo_parts(run->yolo->program.convs[conv].out, run->yolo->kernels->nr);
    else
        j->weights = run->yolo->convs[conv].panels;
}

static void expand_unit(void *context, int unit, int thread) {
    const wilor_yolo_run *run = context;
    const job *j = run->jobs;
    (void)thread;
    for (; unit >= j->expanded; j++)
        unit -= j->expanded;
    wilor_yolo_expand(run->yolo, j->step->conv, unit, run->expanded[j->step->conv]);
}

static void run_phase(wilor_yolo_run *run, int first, int count) {
    const wilor_yolo_program *p = &run->yolo->program;
    int threads = wilor_threads_count(run->pool), units = 0, expanded = 0;
    run->job_count = count;
    for (int i = 0; i < count; i++) {
        job *j = &run->jobs[i];
        *j = (job){.step = &p->steps[first + i], .first = units};
        if (j->step->op == WILOR_YOLO_CONVOLVE) {
            find_weights(run, j);
            expanded += j->expanded;
            cut_conv(run, j, wilor_yolo_parts(threads * 6, count));
            units += j->chunks * j->groups;
        } else {
            units += run->maps[j->step->out.map].height;
        }
    }
    if (expanded)
        wilor_threads_run(run->pool, expand_unit, run, expanded);
    wilor_threads_run(run->pool, phase_unit, run, units);
}

void wilor_yolo_forward(wilor_yolo_run *run) {
    const wilor_yolo_program *p = &run->yolo->program;
    for (int first = 0, last; first < p->step_count; first = last) {
        for (last = first;
             last < p->step_count && p->steps[last].phase == p->steps[first].phase;)
            last++;
        run_phase(run, first, last - first);
    }
}

double wilor_yolo_gflop(const wilor_yolo *yolo, int width, int height) {
    const wilor_yolo_program *p = &yolo->program;
    double sum = 0;
    for (int i = 0; i < p->step_count; i++) {
        const wilor_yolo_step *s = &p->steps[i];
        if (s->op != WILOR_YOLO_CONVOLVE)
            continue;
        const wilor_yolo_conv *c = &p->convs[s->conv];
        int shift = p->maps[s->out.map].shift;
        sum += 2.0 * c->size * c->size * c->in * c->out * (width >> shift) * (height >> shift);
    }
    return sum * 1e-9;
}

/* ---------------------------------------------------------------- memory */

/* Floats of a map with all its zeros, and the pixels that the last tile reads behind it. */
static size_t map_floats(const map *m) {
    size_t pixels = (size_t)(m->height + 2) * (size_t)m->pitch + 1 + WILOR_MAX_MR;
    size_t floats = pixels * (size_t)m->channels;
    return (floats + 15) / 16 * 16;
}

/* Where a piece can begin so that it overlaps none of those before it that are alive with it. */
static size_t find_place(const piece *pieces, const int *order, int i) {
    const piece *p = &pieces[order[i]];
    for (size_t begin = 0;;) {
        size_t after = 0;
        for (int k = 0; k < i; k++) {
            const piece *q = &pieces[order[k]];
            bool together = q->first <= p->last && p->first <= q->last;
            if (together && q->at < begin + p->floats && begin < q->at + q->floats)
                after = q->at + q->floats;
        }
        if (!after)
            return begin;
        begin = after;
    }
}

/* What lives longest is placed first, of those the largest; each as low as it can lie. That comes within
 * 2 % of what is alive at once; by size alone it is 15 %, in the order of use 75 %. */
static bool goes_before(const piece *p, const piece *q) {
    int a = p->last - p->first, b = q->last - q->first;
    return a > b || (a == b && p->floats > q->floats);
}

/* Returns the floats needed. */
static size_t place_all(piece *pieces, int count) {
    int order[MOST_PIECES];
    size_t needed = 0;
    for (int i = 0; i < count; i++) {
        int k = i;
        for (; k > 0 && goes_before(&pieces[i], &pieces[order[k - 1]]); k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    for (int i = 0; i < count; i++) {
        piece *p = &pieces[order[i]];
        p->at = find_place(pieces, order, i);
        if (p->at + p->floats > needed)
            needed = p->at + p->floats;
    }
    return needed;
}

/* Sizes and places of all maps and expanded weights for an input; returns the floats needed. */
static size_t lay_out(wilor_yolo_run *run, int width, int height) {
    const wilor_yolo_program *p = &run->yolo->program;
    piece *phases = run->pieces + p->map_count;
    for (int i = 0; i < p->map_count; i++) {
        map *m = &run->maps[i];
        *m = (map){.width = width >> p->maps[i].shift,
                   .height = height >> p->maps[i].shift,
                   .channels = p->maps[i].channels};
        m->pitch = m->width + 1;
        run->pieces[i] = (piece){map_floats(m), 0, p->maps[i].first, p->maps[i].last};
        if (run->keep)
            run->pieces[i].first = 0, run->pieces[i].last = p->phase_count;
    }
    for (int i = 0; i < p->phase_count; i++)
        phases[i] = (piece){.first = i, .last = i};
    for (int i = 0; i < p->step_count; i++)
        if (p->steps[i].op == WILOR_YOLO_CONVOLVE)
            phases[p->steps[i].phase].floats +=
                wilor_yolo_expanded(run->yolo, p->steps[i].conv);
    return place_all(run->pieces, p->map_count + p->phase_count);
}

/* Where lay_out's pieces are in the memory. */
static void assign(wilor_yolo_run *run) {
    const wilor_yolo_program *p = &run->yolo->program;
    float *all = run->map_pages.data;
    size_t used[WILOR_YOLO_STEPS] = {0};
    for (int i = 0; i < p->map_count; i++) {
        map *m = &run->maps[i];
        m->data = all + run->pieces[i].at + (size_t)(m->pitch + 1) * (size_t)m->channels;
    }
    for (int i = 0; i < p->step_count; i++) {
        const wilor_yolo_step *s = &p->steps[i];
        if (s->op != WILOR_YOLO_CONVOLVE)
            continue;
        size_t floats = wilor_yolo_expanded(run->yolo, s->conv);
        run->expanded[s->conv] =
            floats ? all + run->pieces[p->map_count + s->phase].at + used[s->phase] : NULL;
        used[s->phase] += floats;
    }
}

wilor_status wilor_yolo_begin(wilor_yolo_run *run, int width, int height, float **input,
                              size_t *stride, wilor_error *err) {
    const wilor_yolo_program *p = &run->yolo->program;
    if (width != run->width || height != run->height) {
        run->width = run->height = 0;
        size_t needed = lay_out(run, width, height);
        if (needed > run->capacity) {
            wilor_pages_free(&run->map_pages);
            run->capacity = 0;
            if (!wilor_pages_alloc(&run->map_pages, needed * sizeof(float)))
                return wilor_error_set(err, WILOR_ERR_NOMEM,
                                       "no memory for the detector's maps of a %d x %d input",
                                       width, height);
            run->capacity = needed;
        }
        assign(run);
        run->width = width;
        run->height = height;
    }
    const map *m = &run->maps[p->input];
    clear_edges(m, 0, 3, true, true);
    for (int y = 0; y < m->height; y++)
        memset(at(m, (ptrdiff_t)y * m->pitch + m->width, 0), 0, 3 * sizeof(float));
    *input = m->data;
    *stride = (size_t)m->pitch * 3;
    return WILOR_OK;
}

/* Floats of scratch for a convolution's unit behind its tile. */
static size_t conv_scratch(const wilor_yolo *y, const wilor_yolo_step *s) {
    const wilor_kernels *t = y->kernels;
    const wilor_yolo_conv *v = &y->program.convs[s->conv];
    size_t mr = (size_t)t->mr, in = (size_t)v->in, tile = WILOR_MAX_MR * WILOR_MAX_NR;
    if (y->convs[s->conv].winograd)
        return (3 + WILOR_WINOGRAD_PLANES) * tile +
               (size_t)winograd_chunk(t, v) * WILOR_WINOGRAD_PLANES * mr * in;
    if (s->stride > 1)
        return (size_t)gathered_chunk(t, v) * mr * (size_t)(v->size * v->size) * in;
    return 0;
}

/* Floats that a thread needs: a tile and what a unit prepares, or a pooled row's columns. */
static size_t scratch_floats(const wilor_yolo *y) {
    const wilor_yolo_program *p = &y->program;
    size_t most = (size_t)(WILOR_YOLO_MOST_SIDE / 32) * (size_t)p->plan.channels[9];
    for (int i = 0; i < p->step_count; i++) {
        if (p->steps[i].op != WILOR_YOLO_CONVOLVE)
            continue;
        size_t floats = conv_scratch(y, &p->steps[i]);
        most = floats > most ? floats : most;
    }
    return (WILOR_MAX_MR * WILOR_MAX_NR + most + 15) / 16 * 16;
}

wilor_status wilor_yolo_open(wilor_yolo_run **out, const wilor_yolo *yolo, wilor_threads *pool,
                             bool keep, wilor_error *err) {
    *out = NULL;
    wilor_yolo_run *run = wilor_heap_alloc(1, sizeof *run);
    size_t threads = (size_t)wilor_threads_count(pool);
    if (run)
        run->scratch_stride = scratch_floats(yolo);
    if (!run || !wilor_pages_alloc(&run->scratch_pages,
                                   threads * run->scratch_stride * sizeof(float))) {
        wilor_heap_free(run);
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for the detector's threads");
    }
    run->yolo = yolo;
    run->pool = pool;
    run->keep = keep;
    *out = run;
    return WILOR_OK;
}

size_t wilor_yolo_memory(const wilor_yolo *yolo, int threads, int width, int height) {
    wilor_yolo_run run = {.yolo = yolo};
    size_t maps = lay_out(&run, width, height);
    return (maps + (size_t)threads * scratch_floats(yolo)) * sizeof(float) + sizeof run;
}

void wilor_yolo_close(wilor_yolo_run **run) {
    wilor_yolo_run *r = *run;
    *run = NULL;
    if (!r)
        return;
    wilor_pages_free(&r->map_pages);
    wilor_pages_free(&r->scratch_pages);
    wilor_heap_free(r);
}

/* ---------------------------------------------------------------- the head's output */

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
    const map *m = &run->maps[run->yolo->program.head[level]];
    return (cell){at(m, (ptrdiff_t)y * m->pitch + x, 0), (float)x + 0.5f, (float)y + 0.5f,
                  (float)(8 << level)};
}

static cell find_cell(const wilor_yolo_run *run, int anchor) {
    int l = 0, n;
    while ((n = (run->width >> (3 + l)) * (run->height >> (3 + l))) <= anchor && l < 2) {
        anchor -= n;
        l++;
    }
    int width = run->width >> (3 + l);
    return cell_at(run, l, anchor % width, anchor / width);
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

int wilor_yolo_candidates(const wilor_yolo_run *run, float conf, wilor_candidate *out,
                          int most) {
    int n = 0;
    /* σ is monotonic: what is clearly below the threshold's logit needs no exponential. */
    float lowest = conf > 0 && conf < 1 ? logf(conf / (1 - conf)) - 1e-3f : -INFINITY;
    for (int l = 0, anchor = 0; l < WILOR_YOLO_LEVELS; l++) {
        const map *m = &run->maps[run->yolo->program.head[l]];
        for (int y = 0; y < m->height; y++)
            for (int x = 0; x < m->width; x++, anchor++) {
                const float *c = at(m, (ptrdiff_t)y * m->pitch + x, WILOR_YOLO_BOX);
                if (!(c[0] > lowest) && !(c[1] > lowest))
                    continue;
                float s[2] = {sigmoid(c[0]), sigmoid(c[1])};
                int side = s[1] > s[0];
                if (!(s[side] > conf))
                    continue;
                if (n < most) {
                    cell here = cell_at(run, l, x, y);
                    out[n] =
                        (wilor_candidate){.score = s[side], .side = side, .anchor = anchor};
                    decode_box(&here, out[n].box);
                }
                n++;
            }
    }
    return n;
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

void wilor_yolo_layer(const wilor_yolo_run *run, int layer, int shape[3], float *out) {
    const wilor_yolo_program *p = &run->yolo->program;
    wilor_yolo_slice s = p->layers[layer];
    const map *m = &run->maps[s.map];
    shape[0] = p->plan.channels[layer];
    shape[1] = m->height;
    shape[2] = m->width;
    for (int c = 0; out && c < shape[0]; c++)
        for (int y = 0; y < m->height; y++)
            for (int x = 0; x < m->width; x++)
                *out++ = *at(m, (ptrdiff_t)y * m->pitch + x, s.channel + c);
}
