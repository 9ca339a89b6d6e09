/* The network on one input: phases of steps on the thread pool.
 *
 * How a step is cut into units depends on the number of threads, but every number is computed by
 * one kernel call over the whole depth: the cut cannot change a bit. */
#include "yolo_impl.h"

#include "clock.h"

/* ---------------------------------------------------------------- pool */

static inline void max_into(float *restrict to, const float *restrict from, int n) {
    for (int i = 0; i < n; i++)
        to[i] = from[i] > to[i] ? from[i] : to[i];
}

static inline void max_int16(int16_t *restrict to, const int16_t *restrict from, int n) {
    for (int i = 0; i < n; i++)
        to[i] = from[i] > to[i] ? from[i] : to[i];
}

/* bfloat16 to whole numbers of the same order, or back. */
static inline void flip_keys(int16_t *x, int n) {
    for (int i = 0; i < n; i++)
        x[i] = (int16_t)(x[i] ^ (x[i] >> 15 & 0x7FFF));
}

/* Row y of a 5 × 5 maximum over n channels, in a copy: down the columns, then along the row. Lines of
 * bfloat16 hold whole numbers of the same order, which every processor compares eight at a time. */
typedef struct pool_row {
    const wilor_yolo_area *map;
    int from, to, n; /* channels */
    char *lines;     /* width × n numbers */
} pool_row;

enum { POOL_CHANNELS = 16 };

static inline void pool_columns(const pool_row *r, int y, int n) {
    const wilor_yolo_area *m = r->map;
    int first = y < 2 ? 0 : y - 2, last = y + 2 < m->height ? y + 2 : m->height - 1;
    size_t bytes = (size_t)(n * m->bytes);
    for (int x = 0; x < m->width; x++) {
        char *line = r->lines + (size_t)x * bytes;
        memcpy(line, wilor_yolo_at(m, (ptrdiff_t)first * m->pitch + x, r->from), bytes);
        if (m->bytes == 2)
            flip_keys((int16_t *)(void *)line, n);
        for (int i = first + 1; i <= last; i++) {
            const void *from = wilor_yolo_at(m, (ptrdiff_t)i * m->pitch + x, r->from);
            int16_t keys[POOL_CHANNELS];
            if (m->bytes == 4) {
                max_into((float *)(void *)line, from, n);
                continue;
            }
            memcpy(keys, from, bytes);
            flip_keys(keys, n);
            max_int16((int16_t *)(void *)line, keys, n);
        }
    }
}

/* The largest of the lines x - 2 … x + 2. */
static inline void pool_pixel(const pool_row *r, int y, int x, int n) {
    const wilor_yolo_area *m = r->map;
    int first = x < 2 ? 0 : x - 2, last = x + 2 < m->width ? x + 2 : m->width - 1;
    int line = n * m->bytes;
    char top[POOL_CHANNELS * sizeof(float)];
    memcpy(top, r->lines + first * line, (size_t)line);
    for (int i = first + 1; i <= last; i++)
        if (m->bytes == 2)
            max_int16((int16_t *)(void *)top,
                      (const int16_t *)(const void *)(r->lines + i * line), n);
        else
            max_into((float *)(void *)top, (const float *)(const void *)(r->lines + i * line),
                     n);
    if (m->bytes == 2)
        flip_keys((int16_t *)(void *)top, n);
    memcpy(wilor_yolo_at(m, (ptrdiff_t)y * m->pitch + x, r->to), top, (size_t)line);
}

/* n is a constant where whole groups of channels are pooled: the loops above are unrolled then. */
static inline void pool_rows(const pool_row *r, int n) {
    for (int y = 0; y < r->map->height; y++) {
        pool_columns(r, y, n);
        for (int x = 0; x < r->map->width; x++)
            pool_pixel(r, y, x, n);
        wilor_yolo_end_row(r->map, (ptrdiff_t)y * r->map->pitch + r->map->width - 1, r->to, n);
    }
}

/* All three maxima of some channels, with the zeros around them. */
static void pool_unit(const wilor_yolo_run *run, const wilor_yolo_step *s, int unit,
                      void *scratch) {
    const wilor_yolo_area *m = &run->layout.maps[s->out.map];
    int first = unit * POOL_CHANNELS, left = s->channels - first;
    pool_row r = {m, s->in.channel + first, 0, left < POOL_CHANNELS ? left : POOL_CHANNELS,
                  scratch};
    for (int i = 0; i < 3; i++, r.from = r.to) {
        r.to = s->out.channel + i * s->channels + first;
        wilor_yolo_clear_edges(m, r.to, r.n, true, true);
        if (r.n == POOL_CHANNELS)
            pool_rows(&r, POOL_CHANNELS);
        else
            pool_rows(&r, r.n);
    }
}

/* ---------------------------------------------------------------- phases */

static void phase_unit(void *context, int unit, int thread) {
    const wilor_yolo_run *run = context;
    const wilor_yolo_job *j = run->jobs + run->now->first + run->now->count - 1;
    char *scratch = (char *)run->scratch_pages.data + (size_t)thread * run->scratch_stride;
    while (unit < j->first)
        j--;
    if (j->step->op == WILOR_YOLO_POOL)
        pool_unit(run, j->step, unit - j->first, scratch);
    else if (run->yolo->conv16)
        wilor_yolo_conv_bf16(run, j, unit - j->first, (float *)(void *)scratch);
    else
        wilor_yolo_conv_f32(run, j, unit - j->first, (float *)(void *)scratch);
}

static void expand_unit(void *context, int unit, int thread) {
    const wilor_yolo_run *run = context;
    const wilor_yolo_job *j = run->jobs + run->now->first;
    (void)thread;
    for (; unit >= j->expanded; j++)
        unit -= j->expanded;
    wilor_yolo_expand(run->yolo, j->step->conv, unit, run->expanded[j->step->conv]);
}

static void run_phase(wilor_yolo_run *run, int phase) {
    run->now = &run->phases[phase];
    if (run->now->expanded)
        wilor_threads_run(run->pool, expand_unit, run, run->now->expanded);
    wilor_threads_run(run->pool, phase_unit, run, run->now->units);
}

static void time_phase(wilor_yolo_run *run, int phase) {
    uint64_t start = wilor_clock_ns(), busy = wilor_threads_busy_ns(run->pool);
    run_phase(run, phase);
    run->times[phase].wall_ns += wilor_clock_ns() - start;
    run->times[phase].busy_ns += wilor_threads_busy_ns(run->pool) - busy;
}

wilor_status wilor_yolo_forward(wilor_yolo_run *run, wilor_error *err) {
    const wilor_yolo *y = run->yolo;
    run->chosen.count = -1;
    if (y->card)
        return y->card->forward(run->card_run, err);
    for (int i = 0; i < y->program.phase_count; i++)
        if (run->times)
            time_phase(run, i);
        else
            run_phase(run, i);
    /* The calling thread goes back to others' code; the pool's own keep what they set up. */
    if (y->conv16 && y->conv16->end)
        y->conv16->end();
    return WILOR_OK;
}

wilor_status wilor_yolo_forward_above(wilor_yolo_run *run, float conf, wilor_error *err) {
    const wilor_yolo_card *card = run->yolo->card;
    if (!card || !card->forward_above)
        return wilor_yolo_forward(run, err);
    return card->forward_above(run->card_run, wilor_yolo_lowest_logit(conf), &run->chosen, err);
}

void wilor_yolo_watch(wilor_yolo_run *run, wilor_yolo_time *times) { run->times = times; }

bool wilor_yolo_phase_facts(const wilor_yolo_run *run, int phase, const char **name, int *steps,
                            int *units) {
    const wilor_yolo_program *p = &run->yolo->program;
    if (phase >= p->phase_count)
        return false;
    const wilor_yolo_phase *f = &run->phases[phase];
    const wilor_yolo_step *s = &p->steps[f->first];
    *name = s->op == WILOR_YOLO_POOL ? "model.9.m" : p->convs[s->conv].prefix;
    *steps = f->count;
    *units = f->units;
    return true;
}

/* ---------------------------------------------------------------- sizes */

/* The weights of a convolution as the kernels read them, and in how many units they have to be made. */
static void find_weights(const wilor_yolo_run *run, wilor_yolo_job *j) {
    int conv = j->step->conv;
    j->weights = run->expanded[conv];
    if (j->weights)
        j->expanded = wilor_yolo_expand_units(run->yolo, conv);
    else
        j->weights = run->yolo->convs[conv].panels;
}

static void cut_step(wilor_yolo_run *run, wilor_yolo_job *j, int beside) {
    int threads = wilor_threads_count(run->pool);
    if (j->step->op == WILOR_YOLO_POOL) {
        j->units = wilor_yolo_parts(j->step->channels, POOL_CHANNELS);
    } else if (run->yolo->conv16) {
        wilor_yolo_cut_bf16(run, j, threads * 6);
    } else {
        find_weights(run, j);
        wilor_yolo_cut_f32(run, j, wilor_yolo_parts(threads * 6, beside));
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

static void cut_phases(wilor_yolo_run *run) {
    const wilor_yolo_program *p = &run->yolo->program;
    memset(run->phases, 0, sizeof run->phases);
    for (int i = p->step_count - 1; i >= 0; i--) {
        run->phases[p->steps[i].phase].first = i;
        run->phases[p->steps[i].phase].count++;
    }
    for (int i = 0; i < p->step_count; i++) {
        wilor_yolo_phase *phase = &run->phases[p->steps[i].phase];
        wilor_yolo_job *j = &run->jobs[i];
        *j = (wilor_yolo_job){.step = &p->steps[i], .first = phase->units};
        cut_step(run, j, phase->count);
        phase->units += j->units;
        phase->expanded += j->expanded;
    }
}

/* Where the layout's pieces are in the memory. */
static void assign(wilor_yolo_run *run) {
    const wilor_yolo_program *p = &run->yolo->program;
    wilor_yolo_layout *l = &run->layout;
    char *all = run->map_pages.data;
    size_t used[WILOR_YOLO_STEPS] = {0};
    for (int i = 0; i < p->map_count; i++) {
        wilor_yolo_area *m = &l->maps[i];
        m->data = all + l->pieces[i].at +
                  (size_t)(m->pitch + 1) * (size_t)m->channels * (size_t)m->bytes;
    }
    for (int i = 0; i < p->step_count; i++) {
        const wilor_yolo_step *s = &p->steps[i];
        if (s->op != WILOR_YOLO_CONVOLVE)
            continue;
        size_t bytes = wilor_yolo_expanded(run->yolo, s->conv) * sizeof(float);
        run->expanded[s->conv] = NULL;
        if (bytes)
            run->expanded[s->conv] =
                (float *)(void *)(all + l->pieces[p->map_count + s->phase].at + used[s->phase]);
        used[s->phase] += bytes;
    }
}

/* The heads' maps are dense on a card. */
static wilor_status begin_card(wilor_yolo_run *run, int width, int height, wilor_error *err) {
    const wilor_yolo *y = run->yolo;
    wilor_status st = y->card->begin(run->card_run, width, height, err);
    run->width = st == WILOR_OK ? width : 0;
    run->height = st == WILOR_OK ? height : 0;
    run->chosen.count = -1;
    for (int l = 0; st == WILOR_OK && l < WILOR_YOLO_LEVELS; l++) {
        int shift = 3 + l;
        run->layout.maps[y->program.head[l]] =
            (wilor_yolo_area){.data = (char *)(uintptr_t)y->card->head(run->card_run, l),
                              .bytes = sizeof(float),
                              .width = width >> shift,
                              .height = height >> shift,
                              .pitch = width >> shift,
                              .channels = WILOR_YOLO_HEAD};
    }
    return st;
}

wilor_status wilor_yolo_begin(wilor_yolo_run *run, int width, int height, wilor_error *err) {
    const wilor_yolo *y = run->yolo;
    if (y->card)
        return begin_card(run, width, height, err);
    if (width != run->width || height != run->height) {
        run->width = run->height = 0;
        wilor_yolo_lay_out(&run->layout, y, run->keep, width, height);
        if (run->layout.bytes > run->map_pages.bytes) {
            wilor_pages_free(&run->map_pages);
            if (!wilor_pages_alloc(&run->map_pages, run->layout.bytes))
                return wilor_error_set(err, WILOR_ERR_NOMEM,
                                       "no memory for the detector's maps of a %d x %d input",
                                       width, height);
        } else if (y->conv16) {
            /* What another size has left there may be no finite number where it is read now. */
            memset(run->map_pages.data, 0, run->layout.bytes);
        }
        assign(run);
        cut_phases(run);
        run->width = width;
        run->height = height;
    }
    wilor_yolo_clear_edges(&run->layout.maps[y->program.input], 0, 3, true, true);
    return WILOR_OK;
}

/* v / 255; in bfloat16 v, which it holds exactly: the first layer's weights are divided instead. */
void wilor_yolo_put_row(wilor_yolo_run *run, int row, const uint8_t *rgb) {
    if (run->card_run) {
        memcpy(run->yolo->card->row(run->card_run, row), rgb, (size_t)run->width * 3);
        return;
    }
    const wilor_yolo_area *m = &run->layout.maps[run->yolo->program.input];
    ptrdiff_t pixel = (ptrdiff_t)row * m->pitch;
    int n = m->width * 3;
    if (m->bytes == 2) {
        uint16_t *to = wilor_yolo_bf16(m, pixel, 0);
        for (int i = 0; i < n; i++)
            to[i] = wilor_conv16_narrow((float)rgb[i]);
    } else {
        float *to = wilor_yolo_f32(m, pixel, 0);
        for (int i = 0; i < n; i++)
            to[i] = run->divided[rgb[i]];
    }
    wilor_yolo_end_row(m, pixel + m->width - 1, 0, 3);
}

bool wilor_yolo_takes_frames(const wilor_yolo_run *run) {
    return run->card_run && run->yolo->card->frame;
}

wilor_status wilor_yolo_frame_begin(wilor_yolo_run *run, const wilor_yolo_frame *frame,
                                    wilor_error *err) {
    return run->yolo->card->frame(run->card_run, frame, err);
}

uint8_t *wilor_yolo_frame_row(wilor_yolo_run *run, int y) {
    return run->yolo->card->row(run->card_run, y);
}

const void *wilor_yolo_card_run(const wilor_yolo_run *run, const wilor_yolo_card **card) {
    *card = run->yolo->card;
    return run->card_run;
}

/* Bytes that a thread needs: a tile and what a unit prepares, or a pooled row's columns. */
static size_t scratch_bytes(const wilor_yolo *y) {
    const wilor_yolo_program *p = &y->program;
    size_t sums = 2 * WILOR_CONV16_RUN * WILOR_CONV16_SIDE * sizeof(float);
    size_t most = (size_t)(WILOR_YOLO_MOST_SIDE / 32) * POOL_CHANNELS * sizeof(float);
    most = most > sums ? most : sums;
    for (int i = 0; !y->conv16 && i < p->step_count; i++) {
        if (p->steps[i].op != WILOR_YOLO_CONVOLVE)
            continue;
        size_t bytes = wilor_yolo_scratch_f32(y, &p->steps[i]);
        most = bytes > most ? bytes : most;
    }
    return (most + WILOR_ALIGN - 1) / WILOR_ALIGN * WILOR_ALIGN;
}

/* ---------------------------------------------------------------- open and close */

wilor_status wilor_yolo_open(wilor_yolo_run **out, const wilor_yolo *yolo, wilor_threads *pool,
                             bool keep, wilor_error *err) {
    *out = NULL;
    wilor_yolo_run *run = wilor_heap_alloc(1, sizeof *run);
    size_t threads = (size_t)wilor_threads_count(pool);
    if (run && yolo->card) {
        wilor_status st = yolo->card->open(&run->card_run, yolo->net, err);
        if (st != WILOR_OK) {
            wilor_heap_free(run);
            return st;
        }
        run->yolo = yolo;
        run->pool = pool;
        run->chosen.count = -1;
        *out = run;
        return WILOR_OK;
    }
    if (run)
        run->scratch_stride = scratch_bytes(yolo);
    if (!run || !wilor_pages_alloc(&run->scratch_pages, threads * run->scratch_stride)) {
        wilor_heap_free(run);
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for the detector's threads");
    }
    run->yolo = yolo;
    run->pool = pool;
    run->chosen.count = -1;
    run->keep = keep;
    for (int v = 0; v < 256; v++)
        run->divided[v] = (float)v / 255.0f;
    *out = run;
    return WILOR_OK;
}

size_t wilor_yolo_memory(const wilor_yolo *yolo, int threads, int width, int height) {
    wilor_yolo_layout l;
    if (yolo->card)
        return sizeof(wilor_yolo_run);
    wilor_yolo_lay_out(&l, yolo, false, width, height);
    return l.bytes + (size_t)threads * scratch_bytes(yolo) + sizeof(wilor_yolo_run);
}

void wilor_yolo_close(wilor_yolo_run **run) {
    wilor_yolo_run *r = *run;
    *run = NULL;
    if (!r)
        return;
    if (r->card_run)
        r->yolo->card->close(r->card_run);
    wilor_pages_free(&r->map_pages);
    wilor_pages_free(&r->scratch_pages);
    wilor_heap_free(r);
}
