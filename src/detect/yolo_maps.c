/* A run's maps: where they lie, and the zeros around them.
 *
 * Easy to get wrong: a tile's last pixels may lie behind the map (slack), maps share memory over time (so
 * who writes a map writes its zeros, too), and slices of one map have several writers. */
#include "yolo_impl.h"

/* ---------------------------------------------------------------- memory */

/* Pixels behind a map, and bytes behind those, that the last tile may read: as many rows as a kernel has
 * there; in bfloat16 two runs of 16 pixels of a strided convolution and a step of 32 numbers. */
static size_t slack_bytes(const wilor_yolo_area *m) {
    size_t pixel = (size_t)m->channels * (size_t)m->bytes;
    if (m->bytes == 2)
        return (2 * WILOR_CONV16_RUN + 2) * pixel + 2 * WILOR_CONV16_DEPTH * sizeof(uint16_t);
    return WILOR_MAX_MR * pixel;
}

/* Bytes of a map with all its zeros. */
static size_t map_bytes(const wilor_yolo_area *m) {
    size_t pixels = (size_t)(m->height + 2) * (size_t)m->pitch + 1;
    size_t bytes = pixels * (size_t)m->channels * (size_t)m->bytes + slack_bytes(m);
    return (bytes + WILOR_ALIGN - 1) / WILOR_ALIGN * WILOR_ALIGN;
}

/* Where a piece can begin so that it overlaps none of those before it that are alive with it. */
static size_t find_place(const wilor_yolo_piece *pieces, const int *order, int i) {
    const wilor_yolo_piece *p = &pieces[order[i]];
    for (size_t begin = 0;;) {
        size_t after = 0;
        for (int k = 0; k < i; k++) {
            const wilor_yolo_piece *q = &pieces[order[k]];
            bool together = q->first <= p->last && p->first <= q->last;
            if (together && q->at < begin + p->bytes && begin < q->at + q->bytes)
                after = q->at + q->bytes;
        }
        if (!after)
            return begin;
        begin = after;
    }
}

/* What lives longest is placed first, of those the largest; each as low as it can lie. That comes within
 * 2 % of what is alive at once; by size alone it is 15 %, in the order of use 75 %. */
static bool goes_before(const wilor_yolo_piece *p, const wilor_yolo_piece *q) {
    int a = p->last - p->first, b = q->last - q->first;
    return a > b || (a == b && p->bytes > q->bytes);
}

/* Returns the bytes needed. */
static size_t place_all(wilor_yolo_piece *pieces, int count) {
    int order[WILOR_YOLO_PIECES];
    size_t needed = 0;
    for (int i = 0; i < count; i++) {
        int k = i;
        for (; k > 0 && goes_before(&pieces[i], &pieces[order[k - 1]]); k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    for (int i = 0; i < count; i++) {
        wilor_yolo_piece *p = &pieces[order[i]];
        p->at = find_place(pieces, order, i);
        if (p->at + p->bytes > needed)
            needed = p->at + p->bytes;
    }
    return needed;
}

static bool is_head(const wilor_yolo_program *p, int map) {
    return map == p->head[0] || map == p->head[1] || map == p->head[2];
}

/* In bfloat16 the head's output, float32, lies alone: behind the end of a piece of a map there may be
 * another map's numbers, which have to be finite (conv16.h); half of a float32 may be anything. */
static void lay_out_map(wilor_yolo_layout *l, const wilor_yolo *yolo, bool keep, int i,
                        int width, int height) {
    const wilor_yolo_program *p = &yolo->program;
    const wilor_yolo_map *from = &p->maps[i];
    bool alone = keep || (yolo->conv16 && is_head(p, i));
    wilor_yolo_area *m = &l->maps[i];
    *m = (wilor_yolo_area){.bytes = yolo->conv16 && !is_head(p, i) ? 2 : 4,
                           .width = width >> from->shift,
                           .height = height >> from->shift,
                           .channels = from->channels};
    m->pitch = m->width + 1;
    l->pieces[i] = (wilor_yolo_piece){map_bytes(m), 0, alone ? 0 : from->first,
                                      alone ? p->phase_count : from->last};
}

void wilor_yolo_lay_out(wilor_yolo_layout *l, const wilor_yolo *yolo, bool keep, int width,
                        int height) {
    const wilor_yolo_program *p = &yolo->program;
    wilor_yolo_piece *phases = l->pieces + p->map_count;
    for (int i = 0; i < p->map_count; i++)
        lay_out_map(l, yolo, keep, i, width, height);
    for (int i = 0; i < p->phase_count; i++)
        phases[i] = (wilor_yolo_piece){.first = i, .last = i};
    for (int i = 0; i < p->step_count; i++)
        if (p->steps[i].op == WILOR_YOLO_CONVOLVE)
            phases[p->steps[i].phase].bytes +=
                wilor_yolo_expanded(yolo, p->steps[i].conv) * sizeof(float);
    l->bytes = place_all(l->pieces, p->map_count + p->phase_count);
}

/* ---------------------------------------------------------------- zeros and copies */

static void clear(const wilor_yolo_area *m, ptrdiff_t pixel, int channel, int n) {
    memset(wilor_yolo_at(m, pixel, channel), 0, (size_t)n * (size_t)m->bytes);
}

void wilor_yolo_clear_edges(const wilor_yolo_area *m, int channel, int n, bool top,
                            bool bottom) {
    ptrdiff_t end = (ptrdiff_t)m->height * m->pitch;
    for (ptrdiff_t q = -m->pitch - 1; top && q < 0; q++)
        clear(m, q, channel, n);
    for (ptrdiff_t q = end; bottom && q < end + m->pitch; q++)
        clear(m, q, channel, n);
}

void wilor_yolo_clear_around(const wilor_yolo_run *run, const wilor_yolo_step *s, int column,
                             int cols, bool top, bool bottom) {
    const wilor_yolo_area *maps = run->layout.maps;
    wilor_yolo_clear_edges(&maps[s->out.map], s->out.channel + column, cols, top, bottom);
    if (s->twice.map >= 0)
        wilor_yolo_clear_edges(&maps[s->twice.map], s->twice.channel + column, cols, top,
                               bottom);
}

void wilor_yolo_end_row(const wilor_yolo_area *m, ptrdiff_t last_pixel, int channel, int n) {
    clear(m, last_pixel + 1, channel, n);
}

void wilor_yolo_repeat(const wilor_yolo_run *run, const wilor_yolo_step *s, ptrdiff_t pixel,
                       int count, int column, int cols) {
    const wilor_yolo_area *from = &run->layout.maps[s->out.map];
    const wilor_yolo_area *to = &run->layout.maps[s->twice.map];
    ptrdiff_t y = pixel / from->pitch, x = pixel % from->pitch;
    int channel = s->twice.channel + column;
    for (int i = 0; i < 2; i++) {
        ptrdiff_t at = (2 * y + i) * to->pitch + 2 * x;
        for (int k = 0; k < 2 * count; k++)
            memcpy(wilor_yolo_at(to, at + k, channel),
                   wilor_yolo_at(from, pixel + k / 2, s->out.channel + column),
                   (size_t)cols * (size_t)from->bytes);
        if (x + count == from->width)
            wilor_yolo_end_row(to, at + 2 * count - 1, channel, cols);
    }
}
