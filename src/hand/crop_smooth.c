/* Gaussian smoothing and warp of a large crop in one pass.
 *
 * The reference smooths the whole picture (scikit-image's gaussian: scipy's gaussian_filter,
 * truncate 4, mode nearest, double), then samples 256 × 256 points of it bilinearly on the
 * 1/32-pixel grid, with zeros outside. Both steps are linear and separable, so here every crop
 * row is one weighted sum of picture rows (two Gaussians a row apart, mixed by the bilinear
 * weights) and every crop column one of columns. Only what the crop can see is read, and memory
 * is a few lines of it; sums are in double. Rows beyond the edge are copies of the edge row:
 * their weights are added to the edge's, from a table of tail sums. Easy to get wrong: a
 * bilinear neighbour outside the picture counts as zero although the smoothing of its inner
 * neighbours repeats the edge; smoothing comes before mirroring (it is symmetric, so that only
 * the order of the weights turns around). */
#include "crop_steps.h"
#include "heap.h"
#include "status.h"

#include <math.h>
#include <string.h>

enum { SIDE = WILOR_CROP_SIDE, BLOCK = 1024 };

/* Half a Gaussian, the sum of the whole being 1. */
typedef struct kernel {
    int radius;
    int reach;    /* entries 0 … reach are stored: no more than a picture can use */
    double *at;   /* weight of a distance */
    double *tail; /* sum of the weights from a distance to the radius */
} kernel;

static bool make_kernel(kernel *k, double sigma, int size) {
    k->radius = (int)(4 * sigma + 0.5);
    k->reach = k->radius < size ? k->radius : size;
    k->at = wilor_heap_alloc((size_t)k->reach + 1, sizeof *k->at);
    k->tail = wilor_heap_alloc((size_t)k->reach + 1, sizeof *k->tail);
    if (!k->at || !k->tail)
        return false;
    double sum = 0, scale = -0.5 / (sigma * sigma);
    for (int i = k->radius; i >= 0; i--) {
        double w = exp(scale * i * i);
        sum += w;
        if (i <= k->reach) {
            k->at[i] = w;
            k->tail[i] = sum;
        }
    }
    double all = 2 * sum - 1; /* the middle, exp(0), is in both halves */
    for (int i = 0; i <= k->reach; i++) {
        k->at[i] /= all;
        k->tail[i] /= all;
    }
    return true;
}

/* A weighted sum of rows or columns first … first + count - 1. */
typedef struct taps {
    int first, count;
} taps;

static taps taps_of(const kernel *k, int at, int size) {
    if (at < -1 || at >= size)
        return (taps){0, 0};
    int first = at - k->radius > 0 ? at - k->radius : 0;
    int last = k->radius < size - 2 - at ? at + 1 + k->radius : size - 1;
    return (taps){first, last - first + 1};
}

/* Add `share` times the Gaussian around `centre`; w[0] belongs to `first`. */
static void add_gaussian(const kernel *k, int centre, int size, double share, int first,
                         double *w) {
    if (centre < 0 || centre >= size)
        return;
    int from = centre - k->radius > 0 ? centre - k->radius : 0;
    int to = k->radius < size - 1 - centre ? centre + k->radius : size - 1;
    for (int i = from; i <= to; i++)
        w[i - first] += share * k->at[i < centre ? centre - i : i - centre];
    if (k->radius > centre)
        w[0 - first] += share * k->tail[centre + 1];
    if (k->radius > size - 1 - centre)
        w[size - 1 - first] += share * k->tail[size - centre];
}

static void fill_weights(const kernel *k, int at, float part, int size, taps t, double *w) {
    if (t.count == 0)
        return;
    memset(w, 0, (size_t)t.count * sizeof *w);
    add_gaussian(k, at, size, 1 - (double)part, t.first, w);
    add_gaussian(k, at + 1, size, (double)part, t.first, w);
}

/* All columns of the crop; first and count in columns of the picture. */
typedef struct columns {
    taps taps[SIDE];
    size_t start[SIDE + 1]; /* in weights */
    double *weights;
    int low, high; /* picture columns that any of them uses: low … high - 1 */
} columns;

static void mirror_taps(taps *t, double *w, int width) {
    t->first = width - t->first - t->count;
    for (int i = 0, j = t->count - 1; i < j; i++, j--) {
        double keep = w[i];
        w[i] = w[j];
        w[j] = keep;
    }
}

static bool make_columns(columns *c, const kernel *k, const wilor_crop_source *s,
                         const double inv[6], double origin) {
    const int width = s->picture->width;
    wilor_crop_axis axis;
    wilor_crop_columns(inv, WILOR_WARP_CV4, origin, width, &axis);
    wilor_heap_free(c->weights);
    for (int x = 0; x < SIDE; x++) {
        c->taps[x] = taps_of(k, axis.at[x], width);
        c->start[x + 1] = c->start[x] + (size_t)c->taps[x].count;
    }
    c->weights = wilor_heap_alloc(c->start[SIDE], sizeof *c->weights);
    if (!c->weights)
        return false;
    c->low = width;
    c->high = 0;
    for (int x = 0; x < SIDE; x++) {
        taps *t = &c->taps[x];
        if (t->count == 0)
            continue;
        double *w = c->weights + c->start[x];
        fill_weights(k, axis.at[x], axis.part[x], width, *t, w);
        if (s->mirrored)
            mirror_taps(t, w, width);
        c->low = t->first < c->low ? t->first : c->low;
        c->high = t->first + t->count > c->high ? t->first + t->count : c->high;
    }
    return true;
}

/* sum[0 … n) = Σ w[r] · row r; rows are bytes, `stride` apart. */
static void weigh_rows(double *restrict sum, const uint8_t *rows, ptrdiff_t stride,
                       const double *w, int count, size_t n) {
    memset(sum, 0, n * sizeof *sum);
    int r = 0;
    for (; r + 4 <= count; r += 4) {
        const uint8_t *restrict p0 = rows + r * stride, *restrict p1 = rows + (r + 1) * stride,
                                *restrict p2 = rows + (r + 2) * stride,
                                *restrict p3 = rows + (r + 3) * stride;
        const double w0 = w[r], w1 = w[r + 1], w2 = w[r + 2], w3 = w[r + 3];
        for (size_t i = 0; i < n; i++)
            sum[i] += (w0 * p0[i] + w1 * p1[i]) + (w2 * p2[i] + w3 * p3[i]);
    }
    for (; r < count; r++) {
        const uint8_t *restrict p = rows + r * stride;
        for (size_t i = 0; i < n; i++)
            sum[i] += w[r] * p[i];
    }
}

/* One crop row from the line that weigh_rows made of its picture rows. */
static void weigh_columns(const columns *c, const wilor_crop_source *s, const double *line,
                          float *out) {
    const int red = s->channel[0], green = s->channel[1], blue = s->channel[2];
    for (int x = 0; x < SIDE; x++) {
        double sum[3] = {0, 0, 0};
        if (c->taps[x].count == 0) {
            memset(out + 3 * x, 0, 3 * sizeof *out);
            continue;
        }
        const double *w = c->weights + c->start[x];
        const double *p = line + (size_t)(c->taps[x].first - c->low) * (size_t)s->pixel;
        for (int i = 0; i < c->taps[x].count; i++, p += s->pixel) {
            sum[0] += w[i] * p[red];
            sum[1] += w[i] * p[green];
            sum[2] += w[i] * p[blue];
        }
        for (int i = 0; i < 3; i++)
            out[3 * x + i] = (float)sum[i];
    }
}

typedef struct work {
    kernel kernel;
    columns columns;
    double *row_weights;
    double *line;
    size_t line_room;
} work;

static bool line_fits(work *w, const wilor_crop_source *s) {
    const columns *c = &w->columns;
    size_t n = c->high > c->low ? (size_t)(c->high - c->low) * (size_t)s->pixel : 1;
    if (n <= w->line_room)
        return true;
    wilor_heap_free(w->line);
    w->line = wilor_heap_alloc(n, sizeof *w->line);
    w->line_room = w->line ? n : 0;
    return w->line != NULL;
}

/* Crop row y, whose picture rows are t; the columns are ready. */
static void make_row(const work *w, const wilor_crop_source *s, taps t, float *out) {
    const columns *c = &w->columns;
    if (t.count == 0 || c->high <= c->low) {
        memset(out, 0, 3 * SIDE * sizeof *out);
        return;
    }
    const wilor_picture *p = s->picture;
    const uint8_t *rows = p->data + t.first * p->stride + (ptrdiff_t)c->low * s->pixel;
    size_t n = (size_t)(c->high - c->low) * (size_t)s->pixel;
    for (size_t at = 0; at < n; at += BLOCK) /* a block stays in the first cache */
        weigh_rows(w->line + at, rows + at, p->stride, w->row_weights, t.count,
                   n - at < BLOCK ? n - at : BLOCK);
    weigh_columns(c, s, w->line, out);
}

wilor_status wilor_crop_warp_smooth(const wilor_crop_source *s, const double inv[6],
                                    double sigma, float *rgb, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const int width = s->picture->width, height = s->picture->height;
    work w = {0};
    double origin = NAN; /* equal to none */
    if (!make_kernel(&w.kernel, sigma, width > height ? width : height))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to smooth a crop");
    int most = w.kernel.radius < height / 2 ? 2 * w.kernel.radius + 2 : height;
    w.row_weights = wilor_heap_alloc((size_t)most, sizeof *w.row_weights);
    if (!w.row_weights)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to smooth a crop");
    for (int y = 0; y < SIDE; y++) {
        double now = wilor_crop_origin(inv, WILOR_WARP_CV4, y);
        if (now != origin &&
            (!make_columns(&w.columns, &w.kernel, s, inv, now) || !line_fits(&w, s)))
            WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to smooth a crop of a picture %d wide",
                       width);
        origin = now;
        int at;
        float part;
        wilor_crop_row(inv, WILOR_WARP_CV4, 0, y, height, &at,
                       &part); /* level: a crop is not turned */
        taps t = taps_of(&w.kernel, at, height);
        fill_weights(&w.kernel, at, part, height, t, w.row_weights);
        make_row(&w, s, t, rgb + (size_t)y * 3 * SIDE);
    }
done:
    wilor_heap_free(w.kernel.at);
    wilor_heap_free(w.kernel.tail);
    wilor_heap_free(w.columns.weights);
    wilor_heap_free(w.row_weights);
    wilor_heap_free(w.line);
    return st;
}
