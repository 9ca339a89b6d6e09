/* The detector in bfloat16 against the same in float32, map by map and detection by detection: what the
 * rounding of maps and weights may cost, and no more. One, two and three threads give the same bits, and
 * so does a run after another input's; plain C and the matrix unit agree as far as both are bfloat16.
 *
 * Usage: test_detector_bf16 committed|fixtures TIER. The fixtures are not in the repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv16.h"
#include "detector_golden.h"
#include "golden.h"
#include "heap.h"
#include "letterbox.h"
#include "wilor/wilor.h"
#include "yolo.h"

#define CONF 0.3f

static wilor_isa g_isa;
static bool g_committed; /* the network in the repository, or the fixtures' */

static void *block(size_t count, size_t size) {
    void *p = wilor_heap_alloc(count, size);
    if (!p)
        fail_msg("no memory for a test's %zu x %zu bytes", count, size);
    return p;
}

static const struct net {
    const char *folder, *file, *frame, *other;
    int imgsz; /* rows of 12 … 20 cells at stride 8: tiles by row and tiles that run on */
    bool committed;
} nets[] = {
    {DETECTOR_DATA, "micro.pt", "half_320x240", "odd_97x61", 160, true},
    {DETECTOR_DATA, "micro.pt", "odd_97x61", "half_320x240", 96, true},
    {DETECTOR_FIXTURES, "detector_tiny.pt", "landscape_640x480", "odd_333x517", 256, false},
    {DETECTOR_FIXTURES, "detector_ema.pt", "odd_333x517", "square_256x256", 224, false},
    {DETECTOR_FIXTURES, "detector_tiny_current.pt", "crowd_640x480", "odd_333x517", 320, false},
};

/* ---------------------------------------------------------------- running */

typedef struct network {
    wilor_threads *pool;
    wilor_yolo *yolo;
    wilor_yolo_run *run;
} network;

static network open_network(const struct net *n, wilor_dtype dtype, int threads, bool keep) {
    network w = {0};
    wilor_error err;
    wilor_index *index = NULL;
    if (wilor_index_open(&index, golden_path(n->folder, n->file), &err) != WILOR_OK ||
        wilor_index_canonical(index, &err) != WILOR_OK ||
        wilor_threads_create(&w.pool, threads, &err) != WILOR_OK ||
        wilor_yolo_load(&w.yolo, index, g_isa, dtype, w.pool, NULL, &err) != WILOR_OK ||
        wilor_yolo_open(&w.run, w.yolo, w.pool, keep, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(wilor_yolo_dtype(w.yolo), dtype);
    wilor_index_close(&index);
    return w;
}

static void close_network(network *w) {
    wilor_yolo_close(&w->run);
    wilor_yolo_free(&w->yolo);
    wilor_threads_free(&w->pool);
}

static void feed(const network *w, const struct net *n, const char *frame, int imgsz) {
    wilor_error err;
    wilor_letterbox l;
    wilor_image image = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/frames/%s.png", n->folder, frame);
    if (wilor_image_read(&image, path, 0, &err) != WILOR_OK ||
        wilor_letterbox_plan(&l, image.width, image.height, imgsz, WILOR_LETTERBOX_RECT,
                             &err) != WILOR_OK ||
        wilor_yolo_begin(w->run, l.width, l.height, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_picture view = wilor_image_view(&image);
    uint8_t *line = block((size_t)l.width, 3);
    void *scratch = block(wilor_letterbox_scratch(&l), 1);
    for (int y = 0; y < l.height; y++) {
        wilor_letterbox_rows(&l, &view, y, 1, scratch, line);
        wilor_yolo_put_row(w->run, y, line);
    }
    wilor_yolo_forward(w->run, NULL); /* on a processor it does not fail */
    wilor_heap_free(line);
    wilor_heap_free(scratch);
    wilor_image_free(&image);
}

/* All anchors' numbers, decoded. */
static float *new_columns(const network *w, size_t *bytes) {
    size_t anchors = (size_t)wilor_yolo_anchors(w->run);
    float *all = block(anchors, WILOR_YOLO_ROWS * sizeof *all);
    for (size_t a = 0; a < anchors; a++)
        wilor_yolo_column(w->run, (int)a, all + a * WILOR_YOLO_ROWS);
    *bytes = anchors * WILOR_YOLO_ROWS * sizeof *all;
    return all;
}

/* ---------------------------------------------------------------- maps */

/* Convolutions on the longest way from the picture to a layer's output. */
static int depth_of(const wilor_yolo_plan *plan, int layer) {
    static const int from[WILOR_YOLO_LAYERS] = {-1, 0, 1,  2,  3,  4,  5,  6,  7,  8,  9,
                                                9,  9, 12, 12, 12, 15, 16, 16, 18, 19, 19};
    int own = plan->repeats[layer] ? 2 + 2 * plan->repeats[layer] : 1;
    if (layer == 9)
        own = 2;
    if (layer == 10 || layer == 11 || layer == 13 || layer == 14 || layer == 17 || layer == 20)
        own = 0;
    return (from[layer] < 0 ? 0 : depth_of(plan, from[layer])) + own;
}

/* A convolution rounds its weights, and its inputs were rounded when they were written: each by a relative
 * 2^-8 at most. The errors of a sum are independent, so they add up as their root mean square does, and so
 * do those of d convolutions behind each other. On average a rounding is half of that; the other half is
 * for sums whose terms cancel. They do so most in the first layer, whose filters look for differences
 * between pixels that are almost the same: twice as much there. */
static double allowed_after(int depth) { return 0x1p-8 * sqrt(2.0 * (depth - 1) + 8.0); }

static double relative(const float *got, const float *want, size_t count) {
    double apart = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)got[i] - (double)want[i];
        apart += d * d;
        size += (double)want[i] * (double)want[i];
    }
    return sqrt(apart / size);
}

enum { MOST_FEW = 256 };

static void expect_layer(const network *w, const network *exact, int layer) {
    int shape[3];
    wilor_yolo_layer(exact->run, layer, shape, NULL);
    size_t count = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
    float *got = block(count, sizeof *got), *want = block(count, sizeof *want);
    wilor_yolo_layer(exact->run, layer, shape, want);
    wilor_yolo_layer(w->run, layer, shape, got);
    int depth = depth_of(wilor_yolo_get_plan(w->yolo), layer);
    double d = relative(got, want, count), allowed = allowed_after(depth);
    printf("layer %2d: %.2g behind %d convolutions, allowed %.2g\n", layer, d, depth, allowed);
    /* Of few numbers there is no average, nor of their copies at twice the size. */
    size_t copies = layer == 10 || layer == 13 ? 4 : 1;
    if ((!(d <= allowed) && count >= MOST_FEW * copies) || !(d > 0))
        fail_msg("layer %d: maps differ by %g, allowed is %g", layer, d, allowed);
    wilor_heap_free(got);
    wilor_heap_free(want);
}

static void test_maps(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        const struct net *n = &nets[i];
        if (n->committed != g_committed)
            continue;
        network exact = open_network(n, WILOR_DTYPE_F32, 2, true);
        network w = open_network(n, WILOR_DTYPE_BF16, 2, true);
        feed(&exact, n, n->frame, n->imgsz);
        feed(&w, n, n->frame, n->imgsz);
        printf("%s %s\n", n->file, n->frame);
        for (int layer = 0; layer < WILOR_YOLO_LAYERS; layer++)
            expect_layer(&w, &exact, layer);
        close_network(&exact);
        close_network(&w);
    }
}

/* ---------------------------------------------------------------- the head */

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Differences of some rows of all columns, sorted. */
typedef struct spread {
    double median, p99, most;
} spread;

static spread spread_of(const float *got, const float *want, size_t anchors, int first,
                        int step, int last) {
    double *d = block(anchors * WILOR_YOLO_ROWS, sizeof *d);
    size_t count = 0;
    for (size_t a = 0; a < anchors; a++)
        for (int i = first; i < last; i += step)
            d[count++] = fabs((double)got[a * WILOR_YOLO_ROWS + (size_t)i] -
                              (double)want[a * WILOR_YOLO_ROWS + (size_t)i]);
    qsort(d, count, sizeof *d, by_size);
    spread s = {d[count / 2], d[count * 99 / 100], d[count - 1]};
    wilor_heap_free(d);
    return s;
}

enum { BOX, CLASS, POINTS, GROUPS };

/* Logits of all anchors, by kind: how far they are apart, and the root mean square of the exact ones. */
typedef struct logits {
    double apart[GROUPS], size[GROUPS];
} logits;

static logits compare_logits(const network *w, const network *exact) {
    static const int first[GROUPS + 1] = {0, 64, 66, 129};
    int anchors = wilor_yolo_anchors(w->run);
    double sum[GROUPS] = {0}, all[GROUPS] = {0};
    logits l;
    for (int a = 0; a < anchors; a++) {
        float got[129], want[129];
        wilor_yolo_undecoded(w->run, a, got);
        wilor_yolo_undecoded(exact->run, a, want);
        for (int g = 0; g < GROUPS; g++)
            for (int i = first[g]; i < first[g + 1]; i++) {
                double d = (double)got[i] - (double)want[i];
                sum[g] += d * d;
                all[g] += (double)want[i] * (double)want[i];
            }
    }
    for (int g = 0; g < GROUPS; g++) {
        l.apart[g] = sqrt(sum[g] / all[g]);
        l.size[g] = sqrt(all[g] / anchors / (first[g + 1] - first[g]));
    }
    return l;
}

/* Intersection over union of two candidates' boxes. */
static double overlap(const wilor_candidate *a, const wilor_candidate *b) {
    double common = 1;
    for (int i = 0; i < 2; i++) {
        double low = fmax((double)(a->box[i] - a->box[i + 2] / 2),
                          (double)(b->box[i] - b->box[i + 2] / 2));
        double high = fmin((double)(a->box[i] + a->box[i + 2] / 2),
                           (double)(b->box[i] + b->box[i + 2] / 2));
        common *= fmax(0, high - low);
    }
    return common /
           ((double)(a->box[2] * a->box[3]) + (double)(b->box[2] * b->box[3]) - common);
}

/* What suppression leaves. */
typedef struct kept {
    wilor_candidate c[300];
    int n;
} kept;

/* The odds of a candidate's side are its anchor's logits', to the bit. */
static void expect_odds(const network *w, const wilor_candidate *c, int n) {
    for (int i = 0; i < n; i++) {
        float numbers[129], odds;
        wilor_yolo_undecoded(w->run, c[i].anchor, numbers);
        odds = numbers[64 + c[i].side] - numbers[65 - c[i].side];
        if (!(odds >= 0 && c[i].side_odds == odds))
            fail_msg("anchor %d, side %d: odds %g, not %g", c[i].anchor, c[i].side,
                     (double)c[i].side_odds, (double)odds);
    }
}

static void keep(const network *w, kept *k) {
    int anchors = wilor_yolo_anchors(w->run), order[300];
    wilor_candidate *c = block((size_t)anchors, sizeof *c);
    void *scratch = block(wilor_nms_scratch(anchors), 1);
    int found = wilor_yolo_candidates(w->run, CONF, c, anchors);
    k->n = wilor_nms(c, found, &(wilor_nms_rule){0.7, 300, WILOR_NMS_BY_SIDE}, scratch, order);
    expect_odds(w, c, found);
    for (int i = 0; i < k->n; i++)
        k->c[i] = c[order[i]];
    wilor_heap_free(c);
    wilor_heap_free(scratch);
}

/* Detections of a that b has not got on that side, or has elsewhere: they must be near the threshold.
 * Suppression leaves boxes that overlap by up to 0.7; where sides are `moved` pixels off, boxes that did so
 * in one arithmetic may overlap by somewhat more in the other, which then has the better of both alone: by
 * the area that two sides of each box sweep. */
static int missing(const kept *a, const kept *b, double near, double moved, int *by_anchor) {
    int n = 0;
    for (int i = 0; i < a->n; i++) {
        bool found = false;
        double swept = moved / (double)a->c[i].box[2] + moved / (double)a->c[i].box[3];
        for (int k = 0; k < b->n; k++) {
            found |= a->c[i].side == b->c[k].side && overlap(&a->c[i], &b->c[k]) >= 0.7 - swept;
            *by_anchor += a->c[i].anchor == b->c[k].anchor && a->c[i].side == b->c[k].side;
        }
        n += !found;
        if (!found && (double)a->c[i].score > (double)CONF + near)
            fail_msg("a hand with score %g is missing", (double)a->c[i].score);
    }
    return n;
}

static void expect_columns(const struct net *n, const network *w, const network *exact) {
    size_t bytes, anchors = (size_t)wilor_yolo_anchors(w->run);
    float *got = new_columns(w, &bytes), *want = new_columns(exact, &bytes);
    spread box = spread_of(got, want, anchors, 0, 1, 4);
    spread score = spread_of(got, want, anchors, 4, 1, 6);
    spread x = spread_of(got, want, anchors, 6, 3, WILOR_YOLO_ROWS);
    spread y = spread_of(got, want, anchors, 7, 3, WILOR_YOLO_ROWS);
    static kept mine, theirs;
    int same = 0, ignored = 0, depth = depth_of(wilor_yolo_get_plan(w->yolo), 21) + 3;
    double allowed = allowed_after(depth);
    logits l = compare_logits(w, exact);
    keep(w, &mine);
    keep(exact, &theirs);
    int lost = missing(&theirs, &mine, score.most, box.median, &same);
    int gained = missing(&mine, &theirs, score.most, box.median, &ignored);
    printf("%s %s %s: logits of boxes, classes, keypoints %.2g, %.2g, %.2g (allowed %.2g); "
           "median / "
           "99 %% / most: boxes %.3f / %.3f / %.3f px, keypoints %.3f / %.3f / %.3f px, scores "
           "%.1e / "
           "%.1e / %.1e; of %d detections %d by the same anchor, %d lost, %d gained at the "
           "threshold\n",
           wilor_isa_name(g_isa), n->file, n->frame, l.apart[BOX], l.apart[CLASS],
           l.apart[POINTS], allowed, box.median, box.p99, box.most, fmax(x.median, y.median),
           fmax(x.p99, y.p99), fmax(x.most, y.most), score.median, score.p99, score.most,
           theirs.n, same, lost, gained);
    for (int g = 0; g < GROUPS; g++)
        assert_true(l.apart[g] <= allowed);
    /* A single logit is hardly ever five times as far off as all are on average. A keypoint is twice its
     * logit, in strides of 8 to 32 pixels; σ's slope is a quarter at most; a side of a box is the mean of
     * 16 bins, which moves by the bins' deviation, at most 7.5 and 4.6 where all are equally likely, times
     * their logits' error, in strides. */
    assert_true(score.most <= 5 * allowed * l.size[CLASS] / 4);
    assert_true(fmax(x.median, y.median) <= 2 * 8 * allowed * l.size[POINTS]);
    assert_true(fmax(x.most, y.most) <= 5 * 2 * 32 * allowed * l.size[POINTS]);
    assert_true(box.median <= 4.6 * 8 * allowed * l.size[BOX]);
    assert_true(box.most <= 5 * 7.5 * 32 * allowed * l.size[BOX]);
    /* Neighbouring anchors of one hand may change places. */
    assert_true(theirs.n > 0 && lost + gained <= 1);
    wilor_heap_free(got);
    wilor_heap_free(want);
}

static void test_head(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        const struct net *n = &nets[i];
        if (n->committed != g_committed)
            continue;
        network exact = open_network(n, WILOR_DTYPE_F32, 2, false);
        network w = open_network(n, WILOR_DTYPE_BF16, 2, false);
        feed(&exact, n, n->frame, n->imgsz);
        feed(&w, n, n->frame, n->imgsz);
        expect_columns(n, &w, &exact);
        close_network(&exact);
        close_network(&w);
    }
}

/* ---------------------------------------------------------------- the same bits */

static void expect_bits(const network *w, const float *want, size_t bytes, const char *what) {
    size_t mine;
    float *got = new_columns(w, &mine);
    if (mine != bytes || memcmp(got, want, bytes) != 0)
        fail_msg("%s: other bits", what);
    wilor_heap_free(got);
}

/* The memory of maps is used again and again: nothing of one input may reach another. */
static void check_bits(const struct net *n) {
    size_t bytes;
    network one = open_network(n, WILOR_DTYPE_BF16, 1, false);
    feed(&one, n, n->frame, n->imgsz);
    float *want = new_columns(&one, &bytes);
    for (int imgsz = 64; imgsz <= n->imgsz + 128; imgsz += 64) {
        feed(&one, n, n->other, imgsz);
        feed(&one, n, n->frame, n->imgsz);
        expect_bits(&one, want, bytes, "after other inputs");
    }
    close_network(&one);
    for (int threads = 2; threads <= 3; threads++) {
        network w = open_network(n, WILOR_DTYPE_BF16, threads, threads == 3);
        feed(&w, n, n->frame, n->imgsz);
        expect_bits(&w, want, bytes, threads == 2 ? "2 threads" : "3 threads, all maps kept");
        close_network(&w);
    }
    wilor_heap_free(want);
}

static void test_bits(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        if (nets[i].committed == g_committed)
            check_bits(&nets[i]);
}

/* ---------------------------------------------------------------- options */

static wilor_status open_as(wilor_dtype dtype, wilor_isa isa, wilor_dtype *got,
                            wilor_error *err) {
    wilor_detector *d = NULL;
    wilor_detector_options o;
    wilor_detector_info info;
    wilor_detector_options_init(&o, sizeof o);
    o.detector = "random:micro";
    o.dtype = dtype;
    o.max_isa = isa;
    wilor_status st = wilor_detector_open(&d, &o, err);
    if (st == WILOR_OK) {
        wilor_detector_get_info(d, &info, sizeof info);
        *got = info.dtype;
    }
    wilor_detector_free(&d);
    return st;
}

static void test_options(void **state) {
    wilor_error err;
    wilor_dtype got;
    const wilor_conv16 *here = wilor_conv16_get(wilor_kernels_best(WILOR_ISA_AUTO));
    bool quick = here && here->quick;
    (void)state;
    assert_int_equal(open_as(WILOR_DTYPE_F32, WILOR_ISA_AUTO, &got, &err), WILOR_OK);
    assert_int_equal(got, WILOR_DTYPE_F32);
    assert_int_equal(open_as(WILOR_DTYPE_BF16, WILOR_ISA_C, &got, &err), WILOR_OK);
    assert_int_equal(got, WILOR_DTYPE_BF16);
    assert_int_equal(open_as(WILOR_DTYPE_AUTO, WILOR_ISA_C, &got, &err), WILOR_OK);
    assert_int_equal(got, WILOR_DTYPE_F32); /* plain C is not quick */
    assert_int_equal(open_as(WILOR_DTYPE_AUTO, WILOR_ISA_AUTO, &got, &err), WILOR_OK);
    assert_int_equal(got, quick ? WILOR_DTYPE_BF16 : WILOR_DTYPE_F32);
    assert_int_equal(open_as(WILOR_DTYPE_INT8, WILOR_ISA_AUTO, &got, &err),
                     WILOR_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "int8"));
    assert_int_equal(open_as((wilor_dtype)99, WILOR_ISA_AUTO, &got, &err), WILOR_ERR_ARG);
    if (!here) {
        assert_int_equal(open_as(WILOR_DTYPE_BF16, WILOR_ISA_AUTO, &got, &err),
                         WILOR_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, wilor_isa_name(wilor_isa_best())));
    }
}

static int skip_all(const char *why, const char *what) {
    printf("skipped: %s %s\n", why, what);
    return 77;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_maps), cmocka_unit_test(test_head),
                                       cmocka_unit_test(test_bits),
                                       cmocka_unit_test(test_options)};
    if (argc != 3) {
        fprintf(stderr, "usage: %s committed|fixtures TIER\n", argv[0]);
        return 2;
    }
    g_isa = strcmp(argv[2], "amx") == 0    ? WILOR_ISA_AMX
            : strcmp(argv[2], "neon") == 0 ? WILOR_ISA_NEON
                                           : WILOR_ISA_C;
    g_committed = strcmp(argv[1], "committed") == 0;
    const wilor_kernels *t = wilor_kernels_get(g_isa);
    if (!t || !wilor_conv16_get(t))
        return skip_all("this machine has no bfloat16 convolutions of tier", argv[2]);
    if (!strstr(wilor_io_formats(), "png"))
        return skip_all("this build reads no PNG, only", wilor_io_formats());
    if (!g_committed && !golden_exists(DETECTOR_FIXTURES "/raw_tiny.npz"))
        return skip_all("no references under", DETECTOR_FIXTURES);
    return cmocka_run_group_tests_name("detector_bf16", tests, NULL, NULL);
}
