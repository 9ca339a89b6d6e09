/* The hand detector against the real ultralytics and wilor-mlx: the head's output before and
 * after decoding, the maps of the layers, and what wilor_detect returns for every picture,
 * size, threshold and batch of the references; one, two and three threads give the same bits.
 *
 * Usage: test_detections committed|fixtures|full TIER. The committed references are of a micro
 * network; the fixtures are not in the repository; full compares the full-size detector.pt in
 * the folder that the environment's WILOR_FULL_DETECTOR names. TIER may be auto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detector_golden.h"
#include "golden.h"
#include "heap.h"
#include "letterbox.h"
#include "random_detector.h"
#include "wilor/wilor.h"
#include "yolo.h"
#include "yolo_load.h"

/* Pixels of the network's input. What float32 leaves against float64 is 7e-4 on boxes, 2.2e-3
 * on keypoints, 4.5e-6 on scores. Measured here: 2e-4, 4e-4 and 5e-6 with the small detectors,
 * 1.7e-3, 1.7e-3 and 1.5e-5 with the full one. */
#define BOX 3e-3
#define KEYPOINT 1e-2
#define SCORE 2e-5
#define UNDECODED 2e-4
/* Of the detections that are kept, in pixels of the network and of the picture. */
#define KEPT 2e-3
#define KEPT_PICTURE 1e-3
#define KEPT_SCORE 1e-5

static wilor_isa g_isa;
static bool g_committed; /* the references in the repository, or the fixtures */

static void *block(size_t count, size_t size) {
    void *p = wilor_heap_alloc(count, size);
    if (!p)
        fail_msg("no memory for a test's %zu x %zu bytes", count, size);
    return p;
}

static double larger(double a, double b) { return a > b || isnan(b) ? a : b; }

/* |a − b|, infinite for what is not a number. */
static double apart(float a, float b) {
    double d = fabs((double)a - (double)b);
    return isnan(d) ? INFINITY : d;
}

/* ---------------------------------------------------------------- the network by itself */

typedef struct network {
    wilor_threads *pool;
    wilor_yolo *yolo;
    wilor_yolo_run *run;
} network;

static network open_network(const char *path, int threads, bool keep) {
    network n = {0};
    wilor_error err;
    wilor_index *index = NULL;
    if (wilor_index_open(&index, path, &err) != WILOR_OK ||
        wilor_index_canonical(index, &err) != WILOR_OK ||
        wilor_threads_create(&n.pool, threads, &err) != WILOR_OK ||
        wilor_yolo_load(&n.yolo, index, g_isa, WILOR_DTYPE_F32, n.pool, NULL, &err) !=
            WILOR_OK ||
        wilor_yolo_open(&n.run, n.yolo, n.pool, keep, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(wilor_yolo_isa(n.yolo), g_isa);
    wilor_index_close(&index);
    return n;
}

static void close_network(network *n) {
    wilor_yolo_close(&n->run);
    wilor_yolo_free(&n->yolo);
    wilor_threads_free(&n->pool);
}

/* Run it on RGB bytes. */
static void feed(const network *n, const uint8_t *rgb, int width, int height) {
    wilor_error err;
    if (wilor_yolo_begin(n->run, width, height, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    for (int y = 0; y < height; y++, rgb += width * 3)
        wilor_yolo_put_row(n->run, y, rgb);
    wilor_yolo_forward(n->run, NULL); /* on a processor it does not fail */
}

static void feed_frame(const network *n, const char *folder, const char *frame, int imgsz,
                       wilor_letterbox_rule rule) {
    wilor_error err;
    wilor_letterbox l;
    wilor_image image = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/frames/%s.png", folder, frame);
    if (wilor_image_read(&image, path, 0, &err) != WILOR_OK ||
        wilor_letterbox_plan(&l, image.width, image.height, imgsz, rule, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_picture view = wilor_image_view(&image);
    uint8_t *rgb = block((size_t)l.width * 3, (size_t)l.height);
    void *scratch = block(wilor_letterbox_scratch(&l), 1);
    wilor_letterbox_rows(&l, &view, 0, l.height, scratch, rgb);
    feed(n, rgb, l.width, l.height);
    wilor_heap_free(scratch);
    wilor_heap_free(rgb);
    wilor_image_free(&image);
}

static float *part_of(const wilor_index *index, const char *frame, const char *part,
                      size_t *count) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", frame, part);
    return golden_f32(index, name, count);
}

/* The largest differences of decoded columns. */
typedef struct differences {
    double box, keypoint, score, visibility;
} differences;

static void add_column(differences *d, const float got[WILOR_YOLO_ROWS],
                       const float want[WILOR_YOLO_ROWS]) {
    for (int i = 0; i < 4; i++)
        d->box = larger(apart(got[i], want[i]), d->box);
    for (int i = 4; i < 6; i++)
        d->score = larger(apart(got[i], want[i]), d->score);
    for (int i = 6; i < WILOR_YOLO_ROWS; i++) {
        double *most = i % 3 == 2 ? &d->visibility : &d->keypoint;
        *most = larger(apart(got[i], want[i]), *most);
    }
}

static void judge(const char *what, const differences *d, int count, double box) {
    printf("%s %s, %d anchors: boxes %.2g px, keypoints %.2g px, scores %.2g, visibility "
           "%.2g\n",
           wilor_isa_name(g_isa), what, count, d->box, d->keypoint, d->score, d->visibility);
    fflush(stdout);
    if (!(d->box <= box && d->keypoint <= KEYPOINT && d->score <= SCORE &&
          d->visibility <= SCORE))
        fail_msg("%s: allowed are boxes %g px, keypoints %g px, scores and visibility %g", what,
                 box, KEYPOINT, SCORE);
}

/* Columns of the reference: all of them, or those that FRAME.columns lists. */
static void expect_columns(const network *n, const wilor_index *index, const char *what,
                           const char *frame, double box) {
    size_t count, listed;
    char name[128];
    float got[WILOR_YOLO_ROWS], want[WILOR_YOLO_ROWS];
    float *y = part_of(index, frame, "y", &count);
    int64_t *columns = NULL;
    differences d = {0};
    count /= WILOR_YOLO_ROWS;
    snprintf(name, sizeof name, "%s.columns", frame);
    if (wilor_index_find(index, name)) {
        columns = golden_i64(index, name, &listed);
        assert_int_equal(listed, count);
    } else {
        assert_int_equal(wilor_yolo_anchors(n->run), count);
    }
    for (size_t a = 0; a < count; a++) {
        wilor_yolo_column(n->run, columns ? (int)columns[a] : (int)a, got);
        for (size_t i = 0; i < WILOR_YOLO_ROWS; i++)
            want[i] = y[i * count + a];
        add_column(&d, got, want);
    }
    judge(what, &d, (int)count, box);
    wilor_heap_free(columns);
    wilor_heap_free(y);
}

static void expect_undecoded(const network *n, const wilor_index *index, const char *what,
                             const char *frame) {
    static const char *const parts[] = {"box", "cls", "kpt"};
    static const size_t rows[] = {64, 2, 63};
    size_t anchors = (size_t)wilor_yolo_anchors(n->run), count, first = 0;
    double most = 0;
    for (int part = 0; part < 3; part++) {
        float *want = part_of(index, frame, parts[part], &count), got[64 + 2 + 63];
        assert_int_equal(count, rows[part] * anchors);
        for (size_t a = 0; a < anchors; a++) {
            wilor_yolo_undecoded(n->run, (int)a, got);
            for (size_t i = 0; i < rows[part]; i++)
                most = larger(apart(got[first + i], want[i * anchors + a]), most);
        }
        first += rows[part];
        wilor_heap_free(want);
    }
    printf("%s %s: undecoded %.2g\n", wilor_isa_name(g_isa), what, most);
    if (!(most <= UNDECODED))
        fail_msg("%s: undecoded numbers differ by %g, allowed is %g", what, most, UNDECODED);
}

static float *new_columns(const network *n) {
    size_t anchors = (size_t)wilor_yolo_anchors(n->run);
    float *all = block(anchors, WILOR_YOLO_ROWS * sizeof *all);
    for (size_t a = 0; a < anchors; a++)
        wilor_yolo_column(n->run, (int)a, all + a * WILOR_YOLO_ROWS);
    return all;
}

static const struct raw {
    const char *folder, *file, *reference, *frame;
    const char *tensor; /* in the reference, before ".y" */
    int imgsz;
    bool committed;
} raws[] = {
    {DETECTOR_DATA, "micro.pt", "raw.npz", "odd_97x61", "odd_97x61.96", 96, true},
    {DETECTOR_FIXTURES, "detector_tiny.pt", "raw_tiny.npz", "landscape_640x480",
     "landscape_640x480", 256, false},
    {DETECTOR_FIXTURES, "detector_tiny.pt", "raw_tiny.npz", "square_256x256", "square_256x256",
     256, false},
    {DETECTOR_FIXTURES, "hand-detector-tiny.safetensors", "raw_tiny.npz", "landscape_640x480",
     "landscape_640x480", 256, false},
    {DETECTOR_FIXTURES, "detector_ema.pt", "raw_ema.npz", "odd_333x517", "odd_333x517", 224,
     false},
    {DETECTOR_FIXTURES, "detector_tiny_current.pt", "raw_tiny_current.npz", "landscape_640x480",
     "landscape_640x480", 192, false},
};

static void check_raw(const struct raw *r, int threads, float **first) {
    char what[256];
    network n = open_network(golden_path(r->folder, r->file), threads, false);
    feed_frame(&n, r->folder, r->frame, r->imgsz, WILOR_LETTERBOX_RECT);
    if (threads == 1) {
        wilor_index *index = golden_open(golden_path(r->folder, r->reference));
        snprintf(what, sizeof what, "%s %s", r->file, r->frame);
        expect_columns(&n, index, what, r->tensor, BOX);
        expect_undecoded(&n, index, what, r->tensor);
        wilor_index_close(&index);
        *first = new_columns(&n);
    } else {
        float *all = new_columns(&n);
        size_t bytes = (size_t)wilor_yolo_anchors(n.run) * WILOR_YOLO_ROWS * sizeof *all;
        if (memcmp(all, *first, bytes) != 0)
            fail_msg("%s %s: %d threads and one give different bits", r->file, r->frame,
                     threads);
        wilor_heap_free(all);
    }
    close_network(&n);
}

static void test_raw(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof raws / sizeof *raws; i++) {
        float *first = NULL;
        for (int threads = 1; threads <= 3 && raws[i].committed == g_committed; threads++)
            check_raw(&raws[i], threads, &first);
        wilor_heap_free(first);
    }
}

/* ---------------------------------------------------------------- layers */

static double expect_layer(const network *n, const wilor_index *index, int layer) {
    char name[64];
    int shape[3];
    size_t count;
    double most = 0, top = 1;
    snprintf(name, sizeof name, "%02d.shape", layer);
    int64_t *want_shape = golden_i64(index, name, NULL);
    wilor_yolo_layer(n->run, layer, shape, NULL);
    for (int i = 0; i < 3; i++)
        if (shape[i] != want_shape[i])
            fail_msg("layer %d: dimension %d is %d, not %lld", layer, i, shape[i],
                     (long long)want_shape[i]);
    float *map = block((size_t)shape[0] * (size_t)shape[1], (size_t)shape[2] * sizeof *map);
    wilor_yolo_layer(n->run, layer, shape, map);
    snprintf(name, sizeof name, "%02d.index", layer);
    int64_t *at = golden_i64(index, name, &count);
    snprintf(name, sizeof name, "%02d.value", layer);
    float *want = golden_f32(index, name, NULL);
    for (size_t i = 0; i < count; i++) {
        most = larger(apart(map[at[i]], want[i]), most);
        top = larger(fabs((double)want[i]), top);
    }
    if (!(most <= UNDECODED / 4 * top))
        fail_msg("layer %d: values differ by %g, allowed is %g", layer, most,
                 UNDECODED / 4 * top);
    wilor_heap_free(want_shape);
    wilor_heap_free(map);
    wilor_heap_free(at);
    wilor_heap_free(want);
    return most / top;
}

static void check_layers(const char *file, const char *reference, int imgsz) {
    double most = 0;
    network n = open_network(golden_path(DETECTOR_FIXTURES, file), 2, true);
    wilor_index *index = golden_open(golden_path(DETECTOR_FIXTURES, reference));
    feed_frame(&n, DETECTOR_FIXTURES, "landscape_640x480", imgsz, WILOR_LETTERBOX_RECT);
    for (int layer = 0; layer < WILOR_YOLO_LAYERS; layer++)
        most = larger(expect_layer(&n, index, layer), most);
    printf("%s %s: 22 layers, relative %.2g\n", wilor_isa_name(g_isa), file, most);
    wilor_index_close(&index);
    close_network(&n);
}

static void test_layers(void **state) {
    (void)state;
    check_layers("detector_tiny.pt", "layers_tiny.npz", 256);
    check_layers("detector_tiny_current.pt", "layers_tiny_current.npz", 192);
}

/* ---------------------------------------------------------------- detections */

typedef struct detect_check {
    wilor_detector *detector;
    wilor_pipeline *pipeline;
    wilor_detector_profile profile;
    int detections, one_off;
    int left_out;                /* detections of runs that plain C is too slow for */
    double box, keypoint, score; /* largest differences, picture pixels */
} detect_check;

static void open_check(detect_check *c, const char *path, wilor_compat compat) {
    wilor_error err;
    wilor_detector_options d;
    wilor_pipeline_options p;
    *c = (detect_check){0};
    wilor_detector_options_init(&d, sizeof d);
    d.detector = path;
    d.max_isa = g_isa;
    d.threads = 2;
    wilor_pipeline_options_init(&p, sizeof p);
    p.threads = 2;
    p.compat = compat;
    if (wilor_detector_open(&c->detector, &d, &err) != WILOR_OK ||
        wilor_pipeline_create(&c->pipeline, c->detector, NULL, &p, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

static void close_check(detect_check *c) {
    wilor_pipeline_free(&c->pipeline);
    wilor_detector_free(&c->detector);
}

/* One detection as the reference has it. */
typedef struct wanted {
    float box[4], unrounded[4], points[63], unmasked[63], score;
    int side;
} wanted;

static wanted read_wanted(json_t *d) {
    wanted w = {.score = (float)json_number_value(detector_get(d, "conf")),
                .side = (int)json_integer_value(detector_get(d, "cls"))};
    detector_floats(detector_get(d, "xyxy"), w.box, 4);
    detector_floats(detector_get(d, "xyxy_unrounded"), w.unrounded, 4);
    detector_floats(detector_get(d, "kpts"), w.points, 63);
    detector_floats(detector_get(d, "kpts_unmasked"), w.unmasked, 63);
    return w;
}

/* The side of a box: equal when it is rounded, or one off where the reference is near a
 * half. */
static bool side_fits(detect_check *c, float got, float want, float unrounded, double allowed) {
    double d = apart(got, want);
    if (c->profile != WILOR_DETECTOR_8_1_34) {
        c->box = larger(d, c->box);
        return d <= allowed;
    }
    double to_half = fabs((double)unrounded - floor((double)unrounded) - 0.5);
    if (d == 1 && to_half <= allowed) {
        c->one_off++;
        return true;
    }
    return d == 0;
}

/* A keypoint: hidden in both, or near. */
static bool point_fits(detect_check *c, const float *got, const wanted *w, int k,
                       double allowed) {
    const float *want = w->points + (size_t)k * 3, *bare = w->unmasked + (size_t)k * 3;
    double dx = apart(got[0], want[0]), dy = apart(got[1], want[1]);
    if (apart(got[2], want[2]) > SCORE)
        return false;
    if (c->profile == WILOR_DETECTOR_8_1_34 && fabs((double)want[2] - 0.5) <= SCORE &&
        got[2] >= 0.5f) { /* may be hidden there and not here */
        dx = apart(got[0], bare[0]);
        dy = apart(got[1], bare[1]);
    }
    c->keypoint = larger(larger(dx, dy), c->keypoint);
    return dx <= allowed && dy <= allowed;
}

static bool fits(detect_check *c, const wilor_detections *d, int i, const wanted *w,
                 double allowed) {
    const wilor_box *b = &d->boxes[i];
    if ((int)b->side != w->side || apart(b->score, w->score) > KEPT_SCORE)
        return false;
    c->score = larger(apart(b->score, w->score), c->score);
    for (int k = 0; k < 4; k++)
        if (!side_fits(c, (float)b->box[k], w->box[k], w->unrounded[k], allowed))
            return false;
    for (int k = 0; k < 21; k++)
        if (!point_fits(c, d->keypoints + (size_t)i * 63 + (size_t)k * 3, w, k, allowed))
            return false;
    return true;
}

/* Margins below which another result would be right, too. */
static double margin_of(json_t *entry, const char *key) {
    json_t *m = json_object_get(detector_get(entry, "margins"), key);
    return m && json_is_number(m) ? json_number_value(m) : INFINITY;
}

static const wilor_detections *detect(detect_check *c, const detector_run *r) {
    wilor_error err;
    wilor_detect_options o;
    const wilor_detections *out;
    wilor_detect_options_init(&o, sizeof o);
    o.conf = r->conf;
    o.imgsz = r->imgsz;
    o.profile = c->profile;
    if (wilor_detect(c->pipeline, r->pictures, r->count, &o, &out, &err) != WILOR_OK)
        fail_msg("%s: %s", r->file, err.text);
    return out + r->which;
}

static void expect_run(const detector_run *r, void *context) {
    detect_check *c = context;
    json_t *list = detector_get(r->entry, "detections"), *one;
    /* The same network runs for the lower threshold. */
    if (g_isa == WILOR_ISA_C && r->imgsz > 256 && r->conf > 0.1) {
        c->left_out += (int)json_array_size(list);
        return;
    }
    const wilor_detections *d = detect(c, r);
    double gain_x = (double)r->shape[3] / r->pictures[r->which].width;
    double gain_y = (double)r->shape[2] / r->pictures[r->which].height;
    double allowed = KEPT / (gain_x < gain_y ? gain_x : gain_y) + KEPT_PICTURE;
    /* Neighbours may change places when their scores are nearer than float32's noise. */
    int reach = margin_of(r->entry, "order") > KEPT_SCORE ? 0 : 1;
    size_t i;
    assert_true(margin_of(r->entry, "score") > KEPT_SCORE);
    assert_true(margin_of(r->entry, "overlap") > 1e-4);
    if (d->n != (int)json_array_size(list) || d->input_width != r->shape[3] ||
        d->input_height != r->shape[2])
        fail_msg("%s (%s, imgsz %d, conf %g): %d detections in %d x %d, not %zu in %d x %d",
                 r->file, r->kind, r->imgsz, r->conf, d->n, d->input_width, d->input_height,
                 json_array_size(list), r->shape[3], r->shape[2]);
    json_array_foreach(list, i, one) {
        wanted w = read_wanted(one);
        bool found = false;
        for (int k = (int)i - reach; k <= (int)i + reach && !found; k++)
            found = k >= 0 && k < d->n && fits(c, d, k, &w, allowed);
        if (!found)
            fail_msg("%s (%s, imgsz %d, conf %g): detection %zu (score %.6f) is not the "
                     "reference's (%.6f) within %g pixels",
                     r->file, r->kind, r->imgsz, r->conf, i, (double)d->boxes[i].score,
                     (double)w.score, allowed);
        c->detections++;
    }
}

/* least: detections of the stored pictures; the photos add to them. */
static void check_reference(const char *folder, const char *file, const char *reference,
                            int least) {
    detect_check c;
    open_check(&c, golden_path(folder, file), WILOR_COMPAT_MINI);
    c.profile = strstr(reference, "8.1.34") ? WILOR_DETECTOR_8_1_34 : WILOR_DETECTOR_8_4_190;
    int runs = detector_each_run(folder, reference, expect_run, &c);
    printf("%s %s with %s: %d detections in %d runs; boxes %.2g px (%d rounded the other way), "
           "keypoints %.2g px, scores %.2g\n",
           wilor_isa_name(g_isa), file, reference, c.detections, runs, c.box, c.one_off,
           c.keypoint, c.score);
    fflush(stdout);
    assert_true(c.detections + c.left_out >= least && c.left_out < least / 5);
    close_check(&c);
}

static void test_detections(void **state) {
    const char *const tiny = "detector_tiny.pt", *const from = DETECTOR_FIXTURES;
    (void)state;
    if (g_committed) {
        check_reference(DETECTOR_DATA, "micro.pt", "detections_8.1.34.json", 100);
        check_reference(DETECTOR_DATA, "micro.pt", "detections_8.4.190.json", 15);
        return;
    }
    check_reference(from, tiny, "detections_tiny_8.1.34.json", 124);
    check_reference(from, "detector_ema.pt", "detections_ema_8.1.34.json", 93);
    if (g_isa != WILOR_ISA_C) /* the same network again, and plain C is slow */
        check_reference(from, tiny, "detections_tiny_8.4.190.json", 124);
    check_reference(from, "detector_tiny_current.pt", "detections_tiny_current_8.4.190.json",
                    354);
}

/* ---------------------------------------------------------------- pictures */

static const wilor_detections *detect_one(detect_check *c, const wilor_picture *picture) {
    wilor_error err;
    const wilor_detections *out;
    if (wilor_detect(c->pipeline, picture, 1, NULL, &out, &err) != WILOR_OK)
        fail_msg("%d x %d: %s", picture->width, picture->height, err.text);
    return out;
}

/* One frame in another format, `pixel` bytes each; channels: the bytes of red, green, blue. */
static void expect_format(detect_check *c, const wilor_image *image, wilor_pixel_format format,
                          int pixel, const int channels[3]) {
    size_t pixels = (size_t)image->width * (size_t)image->height;
    uint8_t *bytes = block(pixels, (size_t)pixel);
    wilor_picture rgb = wilor_image_view(image);
    wilor_picture p = {bytes, image->width, image->height, image->width * pixel, format};
    for (size_t i = 0; i < pixels; i++)
        for (int k = 0; k < 3; k++)
            bytes[i * (size_t)pixel + (size_t)channels[k]] = image->data[i * 3 + (size_t)k];
    const wilor_detections *d = detect_one(c, &p);
    int n = d->n;
    wilor_box boxes[64];
    assert_in_range(n, 1, 64);
    memcpy(boxes, d->boxes, (size_t)n * sizeof *boxes);
    if (format == WILOR_GRAY8) { /* what it got is blue in all three */
        for (size_t i = 0; i < pixels * 3; i++)
            image->data[i] = bytes[i / 3];
    }
    d = detect_one(c, &rgb);
    assert_int_equal(d->n, n);
    for (int i = 0; i < n; i++)
        assert_true(memcmp(boxes[i].box, d->boxes[i].box, sizeof boxes[i].box) == 0 &&
                    boxes[i].score == d->boxes[i].score && boxes[i].side == d->boxes[i].side);
    wilor_heap_free(bytes);
}

static void test_formats(void **state) {
    detect_check c;
    wilor_error err;
    wilor_image image = {0};
    (void)state;
    open_check(&c, DETECTOR_DATA "/micro.pt", WILOR_COMPAT_MINI);
    if (wilor_image_read(&image, DETECTOR_DATA "/frames/half_320x240.png", 0, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    expect_format(&c, &image, WILOR_BGR8, 3, (const int[]){2, 1, 0});
    expect_format(&c, &image, WILOR_RGBA8, 4, (const int[]){0, 1, 2});
    expect_format(&c, &image, WILOR_BGRA8, 4, (const int[]){2, 1, 0});
    expect_format(&c, &image, WILOR_GRAY8, 1, (const int[]){0, 0, 0});
    wilor_image_free(&image);
    close_check(&c);
}

/* Sizes at the ends: one pixel, 108 million, and a line that is too thin for upstream, too. */
static void test_sizes(void **state) {
    enum { WIDTH = 12000, HEIGHT = 9000 };

    detect_check c;
    wilor_error err;
    const wilor_detections *d;
    uint8_t *grey = block(WIDTH, HEIGHT);
    (void)state;
    open_check(&c, DETECTOR_DATA "/micro.pt", WILOR_COMPAT_MINI);
    wilor_picture p = {grey, 1, 1, 1, WILOR_GRAY8};
    d = detect_one(&c, &p);
    assert_true(d->input_width == 160 && d->input_height == 160);
    for (int i = 0; i < d->n; i++) /* cut to the picture, then rounded */
        for (int k = 0; k < 4; k++)
            assert_true(d->boxes[i].box[k] == 0 || d->boxes[i].box[k] == 1);
    p = (wilor_picture){grey, WIDTH, HEIGHT, WIDTH, WILOR_GRAY8};
    d = detect_one(&c, &p);
    assert_true(d->input_width == 160 && d->input_height == 128);
    p = (wilor_picture){grey, 1, 5000, 1, WILOR_GRAY8};
    assert_int_equal(wilor_detect(c.pipeline, &p, 1, NULL, &d, &err), WILOR_ERR_ARG);
    assert_null(d);
    assert_non_null(strstr(err.text, "1 x 5000"));
    wilor_heap_free(grey);
    close_check(&c);
}

/* ---------------------------------------------------------------- wilor-mlx */

static void expect_mlx(detect_check *c, const wilor_picture *picture, json_t *entry,
                       double conf) {
    wilor_error err;
    wilor_detect_options o;
    const wilor_detections *d;
    json_t *list = detector_get(entry, conf < 0.1 ? "hands_0.05" : "hands_0.3"), *hand;
    int longest = picture->width > picture->height ? picture->width : picture->height;
    double allowed = KEPT * longest / 512 + KEPT_PICTURE;
    size_t i;
    wilor_detect_options_init(&o, sizeof o);
    o.conf = conf;
    if (wilor_detect(c->pipeline, picture, 1, &o, &d, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    if (d->n != (int)json_array_size(list))
        fail_msg("%s at %g: %d hands, not %zu", detector_text(entry, "file"), conf, d->n,
                 json_array_size(list));
    json_array_foreach(list, i, hand) {
        float box[4], points[42];
        const wilor_box *b = &d->boxes[i];
        detector_floats(detector_get(hand, "xyxy"), box, 4);
        detector_floats(detector_get(hand, "kpts"), points, 42);
        double box_most = 0, most = 0;
        for (int k = 0; k < 4; k++)
            box_most = larger(apart((float)b->box[k], box[k]), box_most);
        for (size_t k = 0; k < 42; k++)
            most = larger(apart(d->keypoints[i * 63 + k / 2 * 3 + k % 2], points[k]), most);
        c->box = larger(box_most, c->box);
        c->keypoint = larger(most, c->keypoint);
        most = larger(most, box_most);
        float score = (float)json_number_value(detector_get(hand, "conf"));
        c->score = larger(apart(b->score, score), c->score);
        if (!(most <= allowed) || apart(b->score, score) > KEPT_SCORE ||
            (b->side == WILOR_RIGHT) != (strcmp(detector_text(hand, "side"), "right") == 0))
            fail_msg("%s at %g: hand %zu is %g pixels from wilor-mlx's, allowed %g",
                     detector_text(entry, "file"), conf, i, most, allowed);
        c->detections++;
    }
}

static void test_mlx(void **state) {
    detect_check c;
    size_t i;
    json_t *root = detector_json(DETECTOR_FIXTURES "/wilor_mlx_tiny.json"), *entry;
    wilor_index *index = golden_open(DETECTOR_FIXTURES "/wilor_mlx_tiny.npz");
    network n = open_network(DETECTOR_FIXTURES "/hand-detector-tiny.safetensors", 2, false);
    (void)state;
    open_check(&c, DETECTOR_FIXTURES "/hand-detector-tiny.safetensors", WILOR_COMPAT_MLX);
    json_array_foreach(detector_get(root, "images"), i, entry) {
        wilor_image image = {0};
        char frame[128], what[160];
        snprintf(frame, sizeof frame, "%s", detector_text(entry, "file"));
        frame[strlen(frame) - strlen(".png")] = '\0';
        snprintf(what, sizeof what, "wilor-mlx %s", frame);
        feed_frame(&n, DETECTOR_FIXTURES, frame, 512, WILOR_LETTERBOX_MLX);
        expect_columns(&n, index, what, frame, BOX);
        assert_true(detector_picture(DETECTOR_FIXTURES, entry, &image));
        wilor_picture view = wilor_image_view(&image);
        if (g_isa != WILOR_ISA_C) /* slow, and the same network again */
            expect_mlx(&c, &view, entry, 0.3);
        expect_mlx(&c, &view, entry, 0.05);
        wilor_image_free(&image);
    }
    printf("%s wilor-mlx: %d hands, boxes %.2g px, keypoints %.2g px, scores %.2g\n",
           wilor_isa_name(g_isa), c.detections, c.box, c.keypoint, c.score);
    assert_int_equal(i, 10);
    assert_int_equal(c.detections, g_isa == WILOR_ISA_C ? 33 : 61);
    close_check(&c);
    close_network(&n);
    wilor_index_close(&index);
    json_decref(root);
}

/* ---------------------------------------------------------------- memory */

/* Whole panels of outputs: in networks as small as these they are much of it. */
static size_t padded_weights(const wilor_yolo *y) {
    size_t n = 0;
    for (int i = 0; i < y->program.conv_count; i++) {
        const wilor_yolo_conv *c = &y->program.convs[i];
        int nr = y->kernels->nr;
        n += (size_t)(wilor_yolo_parts(c->out, nr) * nr) * wilor_yolo_depth(c);
    }
    return n;
}

/* Half floats stay half floats, whatever type the file has them in: 2 bytes a weight on coarse maps, 4 on
 * fine ones, with factors and biases 2.7 in the smallest network; float32 alone is more than 4. */
static void expect_half(const char *path) {
    network n = open_network(path, 1, false);
    size_t weights = padded_weights(n.yolo), bytes = wilor_yolo_bytes(n.yolo);
    printf("%s: %zu weights in %zu bytes\n", path, weights, bytes);
    if (bytes * 10 > weights * 32)
        fail_msg("%s takes %zu bytes for %zu weights", path, bytes, weights);
    close_network(&n);
}

static void test_half_weights(void **state) {
    (void)state;
    if (g_committed) {
        expect_half(DETECTOR_DATA "/micro.pt");
        return;
    }
    expect_half(DETECTOR_FIXTURES "/detector_tiny.pt");
    expect_half(DETECTOR_FIXTURES "/hand-detector-tiny.safetensors");
}

/* Scale m's float32 weights, and the maps of a 640 × 480 picture: 23.7 MB are alive at once when
 * layer 15 begins. */
static void test_memory(void **state) {
    wilor_error err;
    wilor_index *index = NULL;
    wilor_yolo *yolo = NULL;
    wilor_threads *pool = NULL;
    (void)state;
    if (wilor_random_detector(&index, "m", &err) != WILOR_OK ||
        wilor_threads_create(&pool, 2, &err) != WILOR_OK ||
        wilor_yolo_load(&yolo, index, g_isa, WILOR_DTYPE_F32, pool, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    size_t weights = wilor_yolo_bytes(yolo), maps = wilor_yolo_memory(yolo, 0, 640, 480);
    printf("%s: weights %.1f MB, maps %.1f MB\n", wilor_isa_name(g_isa), (double)weights * 1e-6,
           (double)maps * 1e-6);
    assert_true(weights <= 108000000);
    assert_true(maps <= 24500000);
    wilor_yolo_free(&yolo);
    wilor_threads_free(&pool);
    wilor_index_close(&index);
}

/* ---------------------------------------------------------------- full size */

/* MT19937 (Matsumoto, Nishimura 1998): numpy's RandomState(seed).randint(0, 256, …, uint8) is
 * its output's bytes, lowest first. */
static void fill_noise(uint32_t start, uint8_t *out, size_t bytes) {
    enum { N = 624, M = 397 };

    uint32_t mt[N];
    mt[0] = start;
    for (uint32_t i = 1; i < N; i++)
        mt[i] = 1812433253u * (mt[i - 1] ^ (mt[i - 1] >> 30)) + i;
    for (size_t i = 0; i < bytes; i += 4) {
        size_t k = i / 4 % N;
        uint32_t y = (mt[k] & 0x80000000u) | (mt[(k + 1) % N] & 0x7fffffffu);
        mt[k] = mt[(k + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
        y = mt[k];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        y ^= y >> 18;
        for (size_t b = 0; b < 4; b++)
            out[i + b] = (uint8_t)(y >> (8 * b));
    }
}

static void expect_noise(const network *n, const wilor_index *index) {
    enum { SIDE = 512, PIXELS = SIDE * SIDE };

    uint8_t *planes = block(PIXELS, 3), *rgb = block(PIXELS, 3);
    fill_noise(42, planes, PIXELS * 3);
    for (size_t i = 0; i < PIXELS * 3; i++)
        rgb[i] = planes[i % 3 * PIXELS + i / 3];
    feed(n, rgb, SIDE, SIDE);
    /* Noise of full contrast: PyTorch's float32 is 4.5e-3 px from float64, wilor-mlx's 1.8e-2
     * px from PyTorch's. */
    expect_columns(n, index, "full noise", "noise512", 1e-2);
    wilor_heap_free(planes);
    wilor_heap_free(rgb);
}

/* The reference's detections by their anchors: near ties change the order. The random weights
 * give some sides of boxes two likely bins far apart, where a logit's last bits (2e-6) become
 * up to 4e-3 pixels against float64; PyTorch's float32 itself is 1.9e-3 off on other anchors.
 * So few may be beyond KEPT, and none beyond twice BOX. */
static void expect_kept(const network *n, const wilor_index *index, const char *frame) {
    size_t count;
    int anchors = wilor_yolo_anchors(n->run), kept[300], same = 0, far = 0;
    char name[128];
    double box_most = 0, point_most = 0;
    snprintf(name, sizeof name, "%s.det_anchor", frame);
    int64_t *want = golden_i64(index, name, &count);
    float *boxes = part_of(index, frame, "det_xyxy_net", NULL);
    float *points = part_of(index, frame, "det_kpts_net", NULL);
    wilor_candidate *c = block((size_t)anchors, sizeof *c);
    void *scratch = block(wilor_nms_scratch(anchors), 1);
    int found = wilor_yolo_candidates(n->run, 0.3f, c, anchors);
    int got =
        wilor_nms(c, found, &(wilor_nms_rule){0.7, 300, WILOR_NMS_BY_SIDE}, scratch, kept);
    for (int i = 0; i < got; i++)
        for (size_t k = 0; k < count; k++) {
            const float *b = c[kept[i]].box;
            float p[63],
                box[4] = {b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2};
            if (c[kept[i]].anchor != want[k])
                continue;
            wilor_yolo_keypoints(n->run, c[kept[i]].anchor, p);
            point_most = larger(golden_difference(p, points + k * 63, 63), point_most);
            double d = golden_difference(box, boxes + k * 4, 4);
            box_most = larger(d, box_most);
            far += d > KEPT;
            same++;
        }
    printf("%s full %s: %d of %zu detections, boxes %.2g px (%d above %g), keypoints %.2g px\n",
           wilor_isa_name(g_isa), frame, same, count, box_most, far, KEPT, point_most);
    assert_int_equal(got, count);
    assert_int_equal(same, count);
    assert_int_equal(far, 0);
    assert_true(point_most <= KEYPOINT);
    wilor_heap_free(want);
    wilor_heap_free(boxes);
    wilor_heap_free(points);
    wilor_heap_free(c);
    wilor_heap_free(scratch);
}

static void test_full(void **state) {
    static const char *const frames[] = {"landscape_640x480", "crowd_640x480", "odd_333x517"};
    (void)state;
    wilor_index *index = golden_open(DETECTOR_FIXTURES "/full_reference.npz");
    network n =
        open_network(golden_path(getenv("WILOR_FULL_DETECTOR"), "detector.pt"), 2, false);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        feed_frame(&n, DETECTOR_FIXTURES, frames[i], 640, WILOR_LETTERBOX_RECT);
        expect_columns(&n, index, frames[i], frames[i], BOX);
        expect_kept(&n, index, frames[i]);
    }
    expect_noise(&n, index);
    close_network(&n);
    wilor_index_close(&index);
}

static wilor_isa tier_named(const char *name) {
    static const wilor_isa all[] = {WILOR_ISA_C, WILOR_ISA_AVX2, WILOR_ISA_AVX512,
                                    WILOR_ISA_NEON};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, wilor_isa_name(all[i])) == 0)
            return all[i];
    return wilor_isa_best();
}

static int skip_all(const char *why, const char *what) {
    printf("skipped: %s %s\n", why, what);
    return 77;
}

int main(int argc, char **argv) {
    const struct CMUnitTest committed[] = {
        cmocka_unit_test(test_raw),          cmocka_unit_test(test_detections),
        cmocka_unit_test(test_formats),      cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_half_weights), cmocka_unit_test(test_memory)};
    const struct CMUnitTest fixtures[] = {
        cmocka_unit_test(test_raw), cmocka_unit_test(test_layers),
        cmocka_unit_test(test_detections), cmocka_unit_test(test_mlx),
        cmocka_unit_test(test_half_weights)};
    const struct CMUnitTest full[] = {cmocka_unit_test(test_full)};
    if (argc != 3) {
        fprintf(stderr, "usage: %s committed|fixtures|full TIER\n", argv[0]);
        return 2;
    }
    g_isa = tier_named(argv[2]);
    g_committed = strcmp(argv[1], "committed") == 0;
    if (!wilor_kernels_get(g_isa))
        return skip_all("this machine has no tier", argv[2]);
    if (!strstr(wilor_io_formats(), "png"))
        return skip_all("this build reads no PNG, only", wilor_io_formats());
    if (g_committed)
        return cmocka_run_group_tests_name("committed", committed, NULL, NULL);
    if (!golden_exists(DETECTOR_FIXTURES "/raw_tiny.npz"))
        return skip_all("no references under", DETECTOR_FIXTURES);
    if (strcmp(argv[1], "fixtures") == 0)
        return cmocka_run_group_tests_name("fixtures", fixtures, NULL, NULL);
    if (!getenv("WILOR_FULL_DETECTOR"))
        return skip_all("WILOR_FULL_DETECTOR names no folder with", "a full-size detector.pt");
    return cmocka_run_group_tests_name("full", full, NULL, NULL);
}
