/* Convolutions in float32.
 *
 * One of stride 1 runs over the map's pixels as they lie in memory, the zero pixel at the end of each row
 * included (its result is dropped): tiles of `mr` pixels in a row never have to turn a corner, and nothing
 * is copied (XNNPACK's indirect GEMM and oneDNN's brgemm batch reach the same with tables of pointers). A
 * stride of 2 gathers the inputs of a tile first: 13 % of the work, and the copy serves all columns.
 *
 * Easy to get wrong: a tile's last pixels may lie behind the map. */
#include "yolo_impl.h"

enum { MOST_TILES = 8, GATHER_FLOATS_MOST = 1 << 17, PANEL_MAJOR_FLOATS = 1 << 18 };

static int smaller(int a, int b) { return a < b ? a : b; }

typedef struct conv_call {
    const wilor_yolo_run *run;
    const wilor_yolo_job *j;
    const wilor_yolo_conv *conv;
    const wilor_yolo_packed *w;
    const wilor_yolo_area *in, *out, *added;
} conv_call;

/* Without an activation the addition is rare: networks of these widths have both or none. */
static void add_rows(const conv_call *c, int rows, int column, int cols, ptrdiff_t pixel) {
    const wilor_yolo_step *s = c->j->step;
    for (int r = 0; r < rows; r++) {
        float *to = wilor_yolo_f32(c->out, pixel + r, s->out.channel + column);
        const float *from = wilor_yolo_f32(c->added, pixel + r, s->added.channel + column);
        for (int i = 0; i < cols; i++)
            to[i] += from[i];
    }
}

/* Pixels of one row of the map. */
static void finish_rows(const conv_call *c, const float *tile, int rows, int column, int cols,
                        ptrdiff_t pixel) {
    const wilor_kernels *t = c->run->yolo->kernels;
    const wilor_yolo_step *s = c->j->step;
    float *out = wilor_yolo_f32(c->out, pixel, s->out.channel + column);
    const float *added =
        c->added ? wilor_yolo_f32(c->added, pixel, s->added.channel + column) : NULL;
    size_t lda = c->added ? (size_t)c->added->channels : 0;
    if (c->w->silu)
        t->bias_silu_f32(tile, rows, cols, c->w->bias + column, added, lda, out,
                         (size_t)c->out->channels);
    else
        t->store_bias_f32(tile, rows, cols, c->w->bias + column, out, (size_t)c->out->channels);
    if (!c->w->silu && added)
        add_rows(c, rows, column, cols, pixel);
    if (s->twice.map >= 0)
        wilor_yolo_repeat(c->run, s, pixel, rows, column, cols);
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
    const wilor_yolo_area *m = c->out;
    int nr = c->run->yolo->kernels->nr, line = m->width + gap;
    for (int r = 0; r < count;) {
        int y = (first + r) / line, x = (first + r) % line;
        int run = m->width - x < count - r ? m->width - x : count - r;
        ptrdiff_t pixel = (ptrdiff_t)y * m->pitch + x;
        if (run > 0)
            finish_rows(c, tile + (size_t)r * (size_t)nr, run, column, cols, pixel);
        if (run > 0 && x + run == m->width)
            wilor_yolo_end_row(m, pixel + run - 1, c->j->step->out.channel + column, cols);
        r += run + (run > 0 && x + run == m->width ? gap : 0) + (run == 0);
    }
}

/* The inputs of `count` output pixels of a strided convolution, tap by tap, `depth` floats each;
 * rows up to mr repeat the last one. */
static void gather(const conv_call *c, int first, int count, float *to) {
    const wilor_yolo_conv *v = c->conv;
    const wilor_yolo_area *in = c->in;
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
            const float *src = wilor_yolo_f32(in, q, c->j->step->in.channel);
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
    const wilor_yolo_area *in = c->in;
    int taps = v->size * v->size, column = panel * t->nr;
    int cols = v->out - column < t->nr ? v->out - column : t->nr;
    int pixels = in->height * in->pitch - 1; /* without the zero at the very end */
    const float *b = c->j->weights + (size_t)column * (size_t)taps * (size_t)v->in;
    for (int i = first; i < last; i++) {
        int q = i * t->mr, count = pixels - q < t->mr ? pixels - q : t->mr;
        t->conv_f32(wilor_yolo_f32(in, q, c->j->step->in.channel), (size_t)in->channels,
                    c->j->offset, taps, (size_t)v->in, b, cols, tile);
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

/* ---- Winograd: tiles of 2 × 2 outputs, mr of them a block, row by row over the map. */

/* The 16 planes of one block's inputs: planes[16][mr][in]. Rows below the map's zero row repeat it:
 * they reach only outputs that are dropped. */
static void winograd_block_in(const conv_call *c, int block, float *planes) {
    const wilor_kernels *t = c->run->yolo->kernels;
    const wilor_yolo_area *in = c->in;
    size_t depth = (size_t)c->conv->in, plane = (size_t)t->mr * depth;
    int across = (in->width + 1) / 2, tiles = across * ((in->height + 1) / 2);
    for (int r = 0; r < t->mr; r++) {
        int tile = smaller(block * t->mr + r, tiles - 1);
        int y = tile / across * 2 - 1, x = tile % across * 2 - 1;
        const float *row[4];
        for (int i = 0; i < 4; i++)
            row[i] = wilor_yolo_f32(in, (ptrdiff_t)smaller(y + i, in->height) * in->pitch + x,
                                    c->j->step->in.channel);
        t->winograd_in_f32(row, (size_t)in->channels, depth, planes + (size_t)r * depth, plane);
    }
}

/* The block's outputs, pixels[2][2 · mr][nr]: both rows of each run of tiles in one row of the map. */
static void winograd_block_out(const conv_call *c, int block, const float *pixels, int column,
                               int cols) {
    const wilor_yolo_area *m = c->out;
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
                wilor_yolo_end_row(m, pixel + run - 1, c->j->step->out.channel + column, cols);
        }
        tile += count;
    }
}

/* scratch: planes, products[16][mr][nr], pixels. */
static void winograd_blocks(const conv_call *c, int first, int last, int panel, int panel_end,
                            float *scratch) {
    static const ptrdiff_t none[1] = {0};
    const wilor_kernels *t = c->run->yolo->kernels;
    const wilor_yolo_job *j = c->j;
    size_t depth = (size_t)c->conv->in, tile = (size_t)t->mr * (size_t)t->nr;
    size_t block_floats = WILOR_WINOGRAD_PLANES * (size_t)t->mr * depth;
    float *pixels = scratch, *products = pixels + 4 * tile;
    float *planes = products + WILOR_WINOGRAD_PLANES * tile;
    for (int b = first; b < last; b++)
        winograd_block_in(c, b, planes + (size_t)(b - first) * block_floats);
    for (; panel < panel_end; panel++) {
        int column = panel * t->nr, cols = smaller(c->conv->out - column, t->nr);
        const float *w = c->j->weights + (size_t)column * WILOR_WINOGRAD_PLANES * depth;
        wilor_yolo_clear_around(c->run, c->j->step, column, cols, first == 0, last == j->tiles);
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

void wilor_yolo_conv_f32(const wilor_yolo_run *run, const wilor_yolo_job *j, int unit,
                         float *scratch) {
    const wilor_yolo *y = run->yolo;
    const wilor_yolo_step *s = j->step;
    const wilor_yolo_conv *v = &y->program.convs[s->conv];
    conv_call c = {run,
                   j,
                   v,
                   &y->convs[s->conv],
                   &run->layout.maps[s->in.map],
                   &run->layout.maps[s->out.map],
                   s->added.map < 0 ? NULL : &run->layout.maps[s->added.map]};
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
        wilor_yolo_clear_around(c.run, c.j->step, column, cols, chunk == 0,
                                chunk == j->chunks - 1);
        if (s->stride > 1)
            gathered_tiles(&c, rows, p, first, last, tile);
        else
            direct_tiles(&c, p, first, last, tile);
    }
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
void wilor_yolo_cut_f32(const wilor_yolo_run *run, wilor_yolo_job *j, int wanted) {
    const wilor_kernels *t = run->yolo->kernels;
    const wilor_yolo_step *s = j->step;
    const wilor_yolo_conv *v = &run->yolo->program.convs[s->conv];
    const wilor_yolo_area *in = &run->layout.maps[s->in.map],
                          *out = &run->layout.maps[s->out.map];
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
    while (j->group > 1 && j->chunks * wilor_yolo_parts(j->panels, j->group) < wanted)
        j->group = wilor_yolo_parts(j->group, 2);
    j->groups = wilor_yolo_parts(j->panels, j->group);
    j->units = j->chunks * j->groups;
}

size_t wilor_yolo_scratch_f32(const wilor_yolo *y, const wilor_yolo_step *s) {
    const wilor_kernels *t = y->kernels;
    const wilor_yolo_conv *v = &y->program.convs[s->conv];
    size_t mr = (size_t)t->mr, in = (size_t)v->in, tile = WILOR_MAX_MR * WILOR_MAX_NR;
    size_t floats = 0;
    if (y->convs[s->conv].winograd)
        floats = (3 + WILOR_WINOGRAD_PLANES) * tile +
                 (size_t)winograd_chunk(t, v) * WILOR_WINOGRAD_PLANES * mr * in;
    else if (s->stride > 1)
        floats = (size_t)gathered_chunk(t, v) * mr * (size_t)(v->size * v->size) * in;
    return (tile + floats) * sizeof(float);
}
