/* Smoothing from both sides, for recordings: at each entry a parabola in time (a line where the window
 * has only one side) is fitted to what lies around it, weighted by a Gaussian; its value and slope there
 * are the result (Savitzky and Golay's idea, for uneven times). A hand that moves evenly or speeds up
 * evenly is not late and not flattened. A second fit weights down what was far from the first (Huber).
 *
 * Rotations are fitted as rotation vectors seen from the entry's own rotation, so that nothing wraps. */
#include "rotation.h"
#include "track_boxes.h"
#include "tracker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE = WILOR_MANO_JOINTS, PARTS = WILOR_MANO_JOINTS + 1 };

static const double seconds_per_smooth = 0.1;
static const double reach = 3;       /* standard deviations that a window goes to each side */
static const double outlier = 2;     /* standard deviations of what is left over */
static const double one_sided = 0.5; /* mean of a window's times, in standard deviations */

typedef struct entry {
    double at[3]; /* of the wrist, as hand_filter.h's view */
    double turns[WILOR_MANO_JOINTS][4];
    double palm;
} entry;

typedef struct fit {
    entry value;
    double rate[3], spin[3];
    float weight[PARTS];
} fit;

typedef struct work {
    const wilor_mano *mano;
    const wilor_track_series *s;
    double sigma; /* seconds */
    entry *raw;
    fit *fits;
    double *left; /* n: what is left over, for its median */
    double betas[WILOR_MANO_BETAS];
    float *scratch, *vertices, *rotation;
} work;

/* ---------------------------------------------------------------- one fit */

/* Sums over a window. */
typedef struct sums {
    double t[5];    /* of the weights times time to the power of 0 … 4 */
    double x[3][3]; /* of that times the values: [power][component] */
    int n;
} sums;

static void add(sums *s, double time, double weight, const double x[3]) {
    double w = weight;
    for (int p = 0; p < 5; p++, w *= time) {
        s->t[p] += w;
        for (int i = 0; p < 3 && i < 3; i++)
            s->x[p][i] += w * x[i];
    }
    s->n++;
}

static double det3(const double m[9]) {
    return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) +
           m[2] * (m[3] * m[7] - m[4] * m[6]);
}

/* The parabola's value and slope at 0; a line's where times (in standard deviations) are one-sided or too
 * few. */
static void solve(const sums *s, double value[3], double slope[3]) {
    const double *t = s->t;
    const double m[9] = {t[0], t[1], t[2], t[1], t[2], t[3], t[2], t[3], t[4]};
    double det = det3(m), det2 = t[0] * t[2] - t[1] * t[1];
    bool parabola =
        s->n > 3 && fabs(t[1] / t[0]) < one_sided && det > 1e-6 * t[0] * t[2] * t[4];
    bool line = s->n > 1 && det2 > 1e-9 * t[0] * t[0];
    for (int i = 0; i < 3; i++) {
        const double x0 = s->x[0][i], x1 = s->x[1][i], x2 = s->x[2][i];
        const double a[9] = {x0, t[1], t[2], x1, t[2], t[3], x2, t[3], t[4]};
        const double b[9] = {t[0], x0, t[2], t[1], x1, t[3], t[2], x2, t[4]};
        value[i] = parabola ? det3(a) / det : line ? (x0 * t[2] - x1 * t[1]) / det2 : x0 / t[0];
        slope[i] = parabola ? det3(b) / det : line ? (t[0] * x1 - t[1] * x0) / det2 : 0;
    }
}

/* The entry's value of a part, as the middle of its fit. */
static void fit_part(const work *w, int i, int part) {
    const int64_t *time = w->s->time_ns;
    fit *f = &w->fits[i];
    double value[3], slope[3];
    sums s = {0};
    for (int step = -1; step <= 1; step += 2)
        for (int j = step < 0 ? i : i + 1; j >= 0 && j < w->s->n; j += step) {
            double away = (double)(time[j] - time[i]) * 1e-9 / w->sigma, x[3], way[4];
            if (fabs(away) > reach)
                break;
            if (part == PLACE) {
                for (int k = 0; k < 3; k++)
                    x[k] = w->raw[j].at[k] - f->value.at[k];
            } else {
                wilor_quaternion_between_f64(f->value.turns[part], w->raw[j].turns[part], way);
                wilor_quaternion_log_f64(way, x);
            }
            add(&s, away, exp(-away * away / 2) * (double)w->fits[j].weight[part], x);
        }
    solve(&s, value, slope);
    if (part == PLACE) {
        for (int k = 0; k < 3; k++) {
            f->value.at[k] += value[k];
            f->rate[k] = slope[k] / w->sigma;
        }
        return;
    }
    double by[4];
    wilor_quaternion_exp_f64(value, by);
    wilor_quaternion_mul_f64(by, f->value.turns[part], f->value.turns[part]);
    for (int k = 0; k < 3 && part == 0; k++)
        f->spin[k] = slope[k] / w->sigma;
}

/* ---------------------------------------------------------------- outliers */

static double distance(const entry *a, const entry *b, int part) {
    double way[4], v[3];
    if (part == PLACE) {
        for (int i = 0; i < 3; i++)
            v[i] = a->at[i] - b->at[i];
    } else {
        wilor_quaternion_between_f64(a->turns[part], b->turns[part], way);
        wilor_quaternion_log_f64(way, v);
    }
    return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void weigh(const work *w, int part) {
    int n = w->s->n;
    for (int i = 0; i < n; i++)
        w->left[i] = distance(&w->raw[i], &w->fits[i].value, part);
    qsort(w->left, (size_t)n, sizeof *w->left, by_size);
    /* Lengths of three normal numbers: their median is 1.54 standard deviations. */
    double most = outlier * w->left[n / 2] / 1.54 * sqrt(3);
    for (int i = 0; i < n; i++) {
        double d = distance(&w->raw[i], &w->fits[i].value, part);
        w->fits[i].weight[part] = d > most ? (float)fmax(most / d, 1e-3) : 1;
    }
}

/* ---------------------------------------------------------------- the series */

static wilor_status read_entry(const work *w, int i, wilor_look *look, wilor_error *err) {
    const wilor_track_series *s = w->s;
    const float *cam_t = s->cam_t + 3 * (size_t)i, *points = s->keypoints_3d + 63 * (size_t)i;
    const float *rows[5] = {cam_t, points, s->global_orient + 3 * (size_t)i,
                            s->hand_pose + 45 * (size_t)i, s->betas + 10 * (size_t)i};
    static const int counts[5] = {3, 63, 3, 45, 10};
    for (int r = 0; r < 5; r++)
        for (int k = 0; k < counts[r]; k++)
            if (!isfinite(rows[r][k]))
                return wilor_error_set(err, WILOR_ERR_ARG,
                                       "wilor_track_smooth: entry %d is not finite", i);
    if (i > 0 && s->time_ns[i] <= s->time_ns[i - 1])
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "wilor_track_smooth: entry %d is of %lld ns, the one before of %lld ns", i,
            (long long)s->time_ns[i], (long long)s->time_ns[i - 1]);
    for (int k = 0; k < 3; k++)
        look->wrist[k] = (double)cam_t[k] + points[k];
    if (!(look->wrist[2] > 0))
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "wilor_track_smooth: entry %d has its wrist at z = %g m, behind the camera", i,
            look->wrist[2]);
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        const float *from = j == 0 ? rows[2] : rows[3] + 3 * (j - 1);
        wilor_quaternion_exp_f64((const double[3]){from[0], from[1], from[2]}, look->turns[j]);
    }
    for (int k = 0; k < WILOR_MANO_BETAS; k++)
        look->betas[k] = rows[4][k];
    look->palm = wilor_palm_given(w->mano, points, rows[4]);
    return WILOR_OK;
}

/* One shape for all: the mean that settles, then the mean of what lies around it. */
static void settle_shape(work *w) {
    double mean[WILOR_MANO_BETAS] = {0}, sum[WILOR_MANO_BETAS] = {0}, weights = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < w->s->n; i++) {
            double b[WILOR_MANO_BETAS], away = 0;
            for (int k = 0; k < WILOR_MANO_BETAS; k++) {
                b[k] = w->s->betas[10 * (size_t)i + (size_t)k];
                away += (b[k] - mean[k]) * (b[k] - mean[k]) / WILOR_MANO_BETAS;
            }
            double weight = away > 1 ? 1 / sqrt(away) : 1;
            if (pass == 0)
                wilor_shape_settle(mean, b, i);
            weights += pass * weight;
            for (int k = 0; k < WILOR_MANO_BETAS; k++)
                sum[k] += pass * weight * b[k];
        }
    for (int k = 0; k < WILOR_MANO_BETAS; k++)
        w->betas[k] = sum[k] / weights;
}

static wilor_status read_series(work *w, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_look look;
    for (int i = 0; i < w->s->n; i++)
        WILOR_TRY(read_entry(w, i, &look, err));
    settle_shape(w);
    for (int i = 0; i < w->s->n; i++) {
        entry *e = &w->raw[i];
        WILOR_TRY(read_entry(w, i, &look, err));
        wilor_view_from_place(look.wrist, e->at);
        e->at[2] += wilor_depth_change(w->mano, &look, w->betas);
        memcpy(e->turns, look.turns, sizeof e->turns);
        e->palm = look.palm;
        w->fits[i].value = *e;
        for (int part = 0; part < PARTS; part++)
            w->fits[i].weight[part] = 1;
    }
done:
    return st;
}

static void write_entry(const work *w, int i) {
    const wilor_track_series *s = w->s;
    const fit *f = &w->fits[i];
    size_t at = (size_t)i, v = (size_t)wilor_mano_vertices(w->mano);
    float *points = s->keypoints_3d + 63 * at;
    double turn[3];
    wilor_look look = {.palm = f->value.palm};
    wilor_place_from_view(f->value.at, look.wrist);
    memcpy(look.turns, f->value.turns, sizeof look.turns);
    memcpy(look.betas, w->betas, sizeof look.betas);
    wilor_hand_build(w->mano, s->side, &look, w->scratch,
                     s->rotation ? s->rotation + 144 * at : w->rotation,
                     s->vertices_3d ? s->vertices_3d + 3 * v * at : w->vertices, points);
    for (size_t k = 0; k < 3; k++) {
        double z = look.wrist[2], along = k < 2 ? f->value.at[k] : 1;
        s->cam_t[3 * at + k] = (float)(look.wrist[k] - points[k]);
        if (s->velocity)
            s->velocity[3 * at + k] =
                (float)(z * ((k < 2 ? f->rate[k] : 0) + along * f->rate[2]));
        if (s->spin)
            s->spin[3 * at + k] = (float)f->spin[k];
    }
    for (size_t k = 0; k < WILOR_MANO_BETAS; k++)
        s->betas[10 * at + k] = (float)w->betas[k];
    for (size_t j = 0; j < WILOR_MANO_JOINTS; j++) {
        float *to = j == 0 ? s->global_orient + 3 * at : s->hand_pose + 45 * at + 3 * (j - 1);
        wilor_quaternion_log_f64(f->value.turns[j], turn);
        for (int k = 0; k < 3; k++)
            to[k] = (float)turn[k];
    }
}

static wilor_status check(const wilor_track_series *s, double smooth, wilor_error *err) {
    if (!(smooth >= 0 && smooth <= 1))
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_track_smooth: smooth is %g, not between 0 and 1", smooth);
    if (s->n < 0 || (s->n > 0 && (!s->time_ns || !s->cam_t || !s->global_orient ||
                                  !s->hand_pose || !s->betas || !s->keypoints_3d)))
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_track_smooth: %d entries; time_ns, cam_t, global_orient, "
                               "hand_pose, betas and keypoints_3d may not be NULL",
                               s->n);
    if (s->side != WILOR_LEFT && s->side != WILOR_RIGHT)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_track_smooth: the side is %d",
                               (int)s->side);
    return WILOR_OK;
}

wilor_status wilor_track_series_smooth(const wilor_mano *mano, const wilor_track_series *s,
                                       double smooth, wilor_error *err) {
    wilor_status st = WILOR_OK;
    work w = {.mano = mano, .s = s, .sigma = smooth * seconds_per_smooth};
    WILOR_TRY(check(s, smooth, err));
    if (s->n == 0 || smooth == 0)
        goto done;
    size_t n = (size_t)s->n, v = (size_t)wilor_mano_vertices(mano);
    w.raw = wilor_heap_alloc(n, sizeof *w.raw);
    w.fits = wilor_heap_alloc(n, sizeof *w.fits);
    w.left = wilor_heap_alloc(n, sizeof *w.left);
    w.scratch = wilor_heap_alloc(wilor_mano_scratch(mano) + 3 * v + 144, sizeof *w.scratch);
    if (!w.raw || !w.fits || !w.left || !w.scratch)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to smooth %d entries", s->n);
    w.vertices = w.scratch + wilor_mano_scratch(mano);
    w.rotation = w.vertices + 3 * v;
    WILOR_TRY(read_series(&w, err));
    for (int part = 0; part < PARTS; part++) {
        for (int i = 0; i < s->n; i++)
            fit_part(&w, i, part);
        weigh(&w, part);
        for (int i = 0; i < s->n; i++)
            fit_part(&w, i, part);
    }
    for (int i = 0; i < s->n; i++)
        write_entry(&w, i);
done:
    wilor_heap_free(w.raw);
    wilor_heap_free(w.fits);
    wilor_heap_free(w.left);
    wilor_heap_free(w.scratch);
    return st;
}
