/* Suppression: non_max_suppression of ultralytics 8.1.34 with torchvision's nms on the
 * processor, or _nms_mlx of wilor-mlx 0.3.1; every step in float32 and in their order. Greedy
 * over the sorted candidates, and it ends with the last result wanted: the time is that of the
 * sort plus results × candidates. Easy to get wrong: equal scores keep the order of their
 * anchors; the second class is shifted by 7680 pixels in float32, which costs its corners
 * their last bits; torchvision compares the float quotient with a double threshold; 0/0
 * keeps. */
#include "nms.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ---------------------------------------------------------------- order */

typedef struct rank {
    float score;
    int index;
} rank;

/* Merge two neighbouring sorted runs; the left one wins ties. */
static void merge(const rank *left, int nl, const rank *right, int nr, rank *out) {
    while (nl > 0 && nr > 0) {
        if (right->score > left->score) {
            *out++ = *right++;
            nr--;
        } else {
            *out++ = *left++;
            nl--;
        }
    }
    memcpy(out, left, (size_t)nl * sizeof *out);
    memcpy(out + nl, right, (size_t)nr * sizeof *out);
}

/* Stable, the highest score first; the result is in one of the two arrays. A merge sort needs
 * no consistent order: a NaN among the scores does no harm. */
static rank *sort(rank *from, rank *to, int n) {
    for (int run = 1; run < n; run *= 2) {
        for (int i = 0; i < n; i += 2 * run) {
            int nl = n - i < run ? n - i : run;
            int nr = n - i - nl < run ? n - i - nl : run;
            merge(from + i, nl, from + i + nl, nr, to + i);
        }
        rank *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

/* candidates[i] becomes what candidates[order[i].index] was, cycle by cycle. */
static void permute(wilor_candidate *candidates, rank *order, int n) {
    for (int start = 0; start < n; start++) {
        wilor_candidate first = candidates[start];
        int to = start;
        for (int from = order[to].index; from != start; from = order[to].index) {
            candidates[to] = candidates[from];
            order[to].index = to;
            to = from;
        }
        candidates[to] = first;
        order[to].index = to;
    }
}

/* ---------------------------------------------------------------- overlap */

/* Corners as they are compared, and areas; dead is what a better one overlaps. */
typedef struct boxes {
    float *x0, *y0, *x1, *y1, *area;
    int32_t *dead;
} boxes;

enum { BOX_ARRAYS = 6 };

static boxes make_boxes(const wilor_candidate *candidates, int n, bool by_class,
                        void *scratch) {
    size_t count = (size_t)n;
    float *f = scratch;
    boxes b = {
        f, f + count, f + 2 * count, f + 3 * count, f + 4 * count, (int32_t *)(f + 5 * count)};
    for (int i = 0; i < n; i++) {
        const wilor_candidate *c = &candidates[i];
        /* ultralytics' max_wh: no input is larger, so classes never meet. */
        float shift = by_class ? (float)c->side * 7680.0f : 0;
        float half_w = c->box[2] / 2, half_h = c->box[3] / 2;
        b.x0[i] = c->box[0] - half_w + shift;
        b.y0[i] = c->box[1] - half_h + shift;
        b.x1[i] = c->box[0] + half_w + shift;
        b.y1[i] = c->box[1] + half_h + shift;
        b.area[i] = (b.x1[i] - b.x0[i]) * (b.y1[i] - b.y0[i]);
        b.dead[i] = 0;
    }
    return b;
}

static float larger(float a, float b) { return a < b ? b : a; }

static float smaller(float a, float b) { return b < a ? b : a; }

/* Mark what overlaps box i, among those after it. */
static void strike(const boxes *b, int i, int n, float limit, float more) {
    const float *restrict x0 = b->x0, *restrict y0 = b->y0, *restrict x1 = b->x1;
    const float *restrict y1 = b->y1, *restrict area = b->area;
    int32_t *restrict dead = b->dead;
    const float left = x0[i], top = y0[i], right = x1[i], bottom = y1[i], own = area[i];
    for (int j = i + 1; j < n; j++) {
        float w = larger(0, smaller(right, x1[j]) - larger(left, x0[j]));
        float h = larger(0, smaller(bottom, y1[j]) - larger(top, y0[j]));
        float both = w * h;
        dead[j] |= both / (own + area[j] - both + more) > limit;
    }
}

/* The float that a float is above exactly when it is above the double `limit`. */
static float float_limit(double limit) {
    float nearest = (float)limit;
    return (double)nearest > limit ? nextafterf(nearest, -INFINITY) : nearest;
}

size_t wilor_nms_scratch(int n) {
    _Static_assert(2 * sizeof(rank) <= BOX_ARRAYS * sizeof(float), "the sort fits, too");
    return (size_t)n * BOX_ARRAYS * sizeof(float);
}

int wilor_nms(wilor_candidate *candidates, int n, const wilor_nms_rule *rule, void *scratch,
              int *kept) {
    rank *ranks = scratch;
    for (int i = 0; i < n; i++)
        ranks[i] = (rank){candidates[i].score, i};
    permute(candidates, sort(ranks, ranks + n, n), n);
    bool mlx = rule->kind == WILOR_NMS_MLX;
    if (!mlx && n > WILOR_NMS_CANDIDATES)
        n = WILOR_NMS_CANDIDATES;
    boxes b = make_boxes(candidates, n, rule->kind == WILOR_NMS_BY_SIDE, scratch);
    float limit = mlx ? (float)rule->iou : float_limit(rule->iou);
    int count = 0;
    for (int i = 0; i < n && count < rule->most; i++)
        if (!b.dead[i]) {
            kept[count++] = i;
            strike(&b, i, n, limit, mlx ? 1e-6f : 0);
        }
    return count;
}
