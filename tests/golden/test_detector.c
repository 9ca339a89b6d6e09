/* What happens to pictures before the detector and to its results after it, against the real
 * ultralytics (8.1.34, 8.4.190), torchvision and wilor-mlx 0.3.1: bytes of the letterboxed
 * pictures, floats of the input, suppression and the way back to the picture, all exact.
 *
 * Usage: test_detector committed|fixtures. The fixtures are not in the repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "detector_golden.h"
#include "golden.h"
#include "heap.h"
#include "letterbox.h"
#include "nms.h"

/* Least numbers of runs and detections: those of the stored pictures; photos add to them. */
static const struct reference {
    const char *folder, *file;
    int runs, detections;
    bool committed;
} references[] = {{DETECTOR_DATA, "detections_8.1.34.json", 16, 100, true},
                  {DETECTOR_DATA, "detections_8.4.190.json", 4, 15, true},
                  {DETECTOR_FIXTURES, "detections_tiny_8.1.34.json", 44, 124, false},
                  {DETECTOR_FIXTURES, "detections_ema_8.1.34.json", 20, 93, false},
                  {DETECTOR_FIXTURES, "detections_tiny_8.4.190.json", 44, 124, false},
                  {DETECTOR_FIXTURES, "detections_tiny_current_8.4.190.json", 44, 354, false}};

enum { REFERENCES = sizeof references / sizeof *references, ROWS = 8 };

static bool g_committed; /* the references in the repository, or the fixtures */

static void *block(size_t count, size_t size) {
    void *p = wilor_heap_alloc(count, size);
    if (!p)
        fail_msg("no memory for a test's %zu x %zu bytes", count, size);
    return p;
}

static const char *name_of(const detector_run *r) {
    static char name[256];
    snprintf(name, sizeof name, "%s (%s, imgsz %d, conf %g)", r->file, r->kind, r->imgsz,
             r->conf);
    return name;
}

/* ---------------------------------------------------------------- letterbox */

/* RGB bytes of the whole input, a few rows at a time. */
static uint8_t *new_input(const wilor_letterbox *l, const wilor_picture *picture) {
    size_t line = (size_t)l->width * 3;
    uint8_t *rgb = block(line, (size_t)l->height);
    void *scratch = block(wilor_letterbox_scratch(l), 1);
    for (int y = 0; y < l->height; y += ROWS)
        wilor_letterbox_rows(l, picture, y, l->height - y < ROWS ? l->height - y : ROWS,
                             scratch, rgb + line * (size_t)y);
    wilor_heap_free(scratch);
    return rgb;
}

static wilor_letterbox plan_run(const detector_run *r, int which) {
    wilor_letterbox l;
    wilor_error err;
    wilor_letterbox_rule rule =
        strcmp(r->kind, "different_sizes") == 0 ? WILOR_LETTERBOX_SQUARE : WILOR_LETTERBOX_RECT;
    if (wilor_letterbox_plan(&l, r->pictures[which].width, r->pictures[which].height, r->imgsz,
                             rule, &err) != WILOR_OK)
        fail_msg("%s: %s", name_of(r), err.text);
    if (l.width != r->shape[3] || l.height != r->shape[2])
        fail_msg("%s: input of %d x %d, not %d x %d", name_of(r), l.width, l.height,
                 r->shape[3], r->shape[2]);
    return l;
}

/* One picture's part of the float input: three planes, red first. */
static void fill_planes(const uint8_t *rgb, size_t pixels, float *planes) {
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++)
            planes[c * pixels + i] = (float)rgb[i * 3 + c] / 255.0f;
}

static void expect_letterbox(const detector_run *r, void *context) {
    size_t pixels = (size_t)r->shape[2] * (size_t)r->shape[3];
    float *planes = block(pixels * 3, (size_t)r->count * sizeof *planes);
    (void)context;
    assert_int_equal(r->count, r->shape[0]);
    for (int i = 0; i < r->count; i++) {
        wilor_letterbox l = plan_run(r, i);
        uint8_t *bytes = new_input(&l, &r->pictures[i]);
        fill_planes(bytes, pixels, planes + (size_t)i * 3 * pixels);
        for (size_t k = 0; k < pixels; k++) {
            uint8_t red = bytes[3 * k];
            bytes[3 * k] = bytes[3 * k + 2];
            bytes[3 * k + 2] = red;
        }
        if (i == r->which)
            detector_expect_hash(name_of(r), bytes, pixels * 3,
                                 detector_text(r->entry, "letterbox_bgr_sha256"));
        wilor_heap_free(bytes);
    }
    if (r->which == 0)
        detector_expect_hash(name_of(r), planes, pixels * 3 * (size_t)r->count * sizeof *planes,
                             detector_text(r->input, "input_f32_sha256"));
    wilor_heap_free(planes);
}

static void test_letterbox(void **state) {
    (void)state;
    for (int i = 0; i < REFERENCES; i++) {
        const struct reference *r = &references[i];
        if (r->committed != g_committed)
            continue;
        int runs = detector_each_run(r->folder, r->file, expect_letterbox, NULL);
        printf("%s: %d inputs, all bytes equal\n", r->file, runs);
        assert_true(runs >= r->runs);
    }
}

/* The same again for the default size, where a difference shows its place. */
static void test_letterboxed_pictures(void **state) {
    (void)state;
    json_t *root = detector_json(DETECTOR_FIXTURES "/detections_tiny_8.1.34.json"), *entry;
    size_t i;
    int pictures = 0;
    json_array_foreach(detector_get(root, "single"), i, entry) {
        wilor_image image = {0}, want = {0};
        wilor_error err;
        wilor_letterbox l;
        if (json_object_get(entry, "not_stored"))
            continue;
        const char *file = detector_text(entry, "file");
        assert_true(detector_picture(DETECTOR_FIXTURES, entry, &image));
        if (wilor_image_read(&want, golden_path(DETECTOR_FIXTURES "/letterbox", file), 0,
                             &err) != WILOR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(wilor_letterbox_plan(&l, image.width, image.height, 256,
                                              WILOR_LETTERBOX_RECT, NULL),
                         WILOR_OK);
        assert_int_equal(want.width, l.width);
        assert_int_equal(want.height, l.height);
        wilor_picture view = wilor_image_view(&image);
        uint8_t *got = new_input(&l, &view);
        for (int k = 0; k < l.width * l.height * 3; k++)
            if (got[k] != want.data[k])
                fail_msg("%s: channel %d of %d, %d is %d, not %d", file, k % 3, k / 3 % l.width,
                         k / 3 / l.width, got[k], want.data[k]);
        wilor_heap_free(got);
        wilor_image_free(&image);
        wilor_image_free(&want);
        pictures++;
    }
    json_decref(root);
    assert_int_equal(pictures, 10);
}

static void test_mlx_square(void **state) {
    (void)state;
    json_t *root = detector_json(DETECTOR_FIXTURES "/wilor_mlx_tiny.json"), *entry;
    size_t i;
    json_array_foreach(detector_get(root, "images"), i, entry) {
        wilor_image image = {0};
        wilor_letterbox l;
        assert_true(detector_picture(DETECTOR_FIXTURES, entry, &image));
        assert_int_equal(
            wilor_letterbox_plan(&l, image.width, image.height, 512, WILOR_LETTERBOX_MLX, NULL),
            WILOR_OK);
        wilor_picture view = wilor_image_view(&image);
        uint8_t *rgb = new_input(&l, &view);
        detector_expect_hash(detector_text(entry, "file"), rgb, 512 * 512 * 3,
                             detector_text(entry, "square512_rgb_sha256"));
        wilor_heap_free(rgb);
        wilor_image_free(&image);
    }
    printf("wilor-mlx: %zu squares, all bytes equal\n", i);
    assert_int_equal(i, 10);
    json_decref(root);
}

/* ---------------------------------------------------------------- suppression */

typedef struct nms_case {
    float *y; /* 6 × anchors */
    size_t anchors;
    double conf, iou;
    float *rows; /* kept × 6: corners, score, class */
    int64_t *kept;
    size_t count;
} nms_case;

static void *part_of(const wilor_index *index, const char *name, const char *part, char type,
                     size_t *count) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", name, part);
    return type == 'f'   ? (void *)golden_f32(index, full, count)
           : type == 'd' ? (void *)golden_f64(index, full, count)
                         : (void *)golden_i64(index, full, count);
}

static double number_of(const wilor_index *index, const char *name, const char *part) {
    double *value = part_of(index, name, part, 'd', NULL), v = *value;
    wilor_heap_free(value);
    return v;
}

static wilor_candidate *new_candidates(const nms_case *n, int *count) {
    wilor_candidate *c = block(n->anchors, sizeof *c);
    *count = 0;
    for (size_t a = 0; a < n->anchors; a++) {
        const float *y = n->y + a, left = y[4 * n->anchors], right = y[5 * n->anchors];
        wilor_candidate one = {{y[0], y[n->anchors], y[2 * n->anchors], y[3 * n->anchors]},
                               right > left ? right : left,
                               right > left,
                               (int)a,
                               0};
        if (one.score > (float)n->conf)
            c[(*count)++] = one;
    }
    return c;
}

static void expect_rows(const char *name, const nms_case *n, const wilor_candidate *c,
                        const int *kept) {
    for (size_t i = 0; i < n->count; i++) {
        const wilor_candidate *one = &c[kept[i]];
        const float *want = n->rows + i * 6, *b = one->box;
        const float got[6] = {b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2,
                              b[1] + b[3] / 2, one->score,      (float)one->side};
        if (one->anchor != n->kept[i] || memcmp(got, want, sizeof got) != 0)
            fail_msg("%s: result %zu is anchor %d, not %lld", name, i, one->anchor,
                     (long long)n->kept[i]);
    }
}

static void expect_case(const wilor_index *index, const char *name) {
    nms_case n;
    int count, kept[300];
    n.y = part_of(index, name, "y", 'f', &n.anchors);
    n.anchors /= 6;
    n.rows = part_of(index, name, "rows", 'f', NULL);
    n.kept = part_of(index, name, "kept", 'i', &n.count);
    n.conf = number_of(index, name, "conf");
    n.iou = number_of(index, name, "iou");
    wilor_candidate *c = new_candidates(&n, &count);
    void *scratch = block(wilor_nms_scratch(count), 1);
    int got =
        wilor_nms(c, count, &(wilor_nms_rule){n.iou, 300, WILOR_NMS_BY_SIDE}, scratch, kept);
    if ((size_t)got != n.count)
        fail_msg("%s: %d of %d candidates stay, not %zu", name, got, count, n.count);
    expect_rows(name, &n, c, kept);
    printf("suppression %s: %d of %d stay\n", name, got, count);
    wilor_heap_free(scratch);
    wilor_heap_free(c);
    wilor_heap_free(n.y);
    wilor_heap_free(n.rows);
    wilor_heap_free(n.kept);
}

static void test_suppression(void **state) {
    static const char *const names[] = {"random",
                                        "loose",
                                        "max_det",
                                        "ties",
                                        "equal_classes",
                                        "zero_area",
                                        "two_classes_one_place",
                                        "at_threshold",
                                        "none",
                                        "chain"};
    (void)state;
    wilor_index *index = golden_open(DETECTOR_FIXTURES "/nms_cases.npz");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect_case(index, names[i]);
    wilor_index_close(&index);
}

/* ---------------------------------------------------------------- the way back */

typedef struct back_count {
    wilor_detector_profile profile;
    int detections;
} back_count;

/* Bit for bit; the repository's numbers have seven digits. */
static void expect_same(const detector_run *r, size_t i, const char *what, const float *got,
                        const float *want, size_t count) {
    const wilor_picture *p = &r->pictures[r->which];
    double side = p->width > p->height ? p->width : p->height;
    double allowed = g_committed ? 2e-6 * side : 0;
    for (size_t k = 0; k < count; k++)
        if (!(fabs((double)got[k] - (double)want[k]) <= allowed))
            fail_msg("%s: detection %zu: number %zu of %s is %.9g, not %.9g", name_of(r), i, k,
                     what, (double)got[k], (double)want[k]);
}

static void expect_back(const detector_run *r, void *context) {
    back_count *b = context;
    wilor_letterbox l = plan_run(r, r->which);
    size_t i;
    json_t *d;
    json_array_foreach(detector_get(r->entry, "detections"), i, d) {
        float box[4], points[63], want_box[4], want_points[63];
        detector_floats(detector_get(d, "xyxy_net"), box, 4);
        detector_floats(detector_get(d, "kpts_net"), points, 63);
        detector_floats(detector_get(d, "xyxy"), want_box, 4);
        detector_floats(detector_get(d, "kpts"), want_points, 63);
        wilor_letterbox_back(&l, b->profile, box, points);
        expect_same(r, i, "the box", box, want_box, 4);
        expect_same(r, i, "the keypoints", points, want_points, 63);
        b->detections++;
    }
}

static void test_back(void **state) {
    (void)state;
    for (int i = 0; i < REFERENCES; i++) {
        const struct reference *r = &references[i];
        if (r->committed != g_committed)
            continue;
        back_count b = {.profile = strstr(r->file, "8.1.34") ? WILOR_DETECTOR_8_1_34
                                                             : WILOR_DETECTOR_8_4_190};
        detector_each_run(r->folder, r->file, expect_back, &b);
        printf("%s: %d detections scaled back, all equal\n", r->file, b.detections);
        assert_true(b.detections >= r->detections);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest committed[] = {cmocka_unit_test(test_letterbox),
                                           cmocka_unit_test(test_back)};
    const struct CMUnitTest fixtures[] = {
        cmocka_unit_test(test_letterbox),  cmocka_unit_test(test_letterboxed_pictures),
        cmocka_unit_test(test_mlx_square), cmocka_unit_test(test_suppression),
        cmocka_unit_test(test_back),
    };
    g_committed = argc == 2 && strcmp(argv[1], "committed") == 0;
    if (argc != 2 || (!g_committed && strcmp(argv[1], "fixtures") != 0)) {
        fprintf(stderr, "usage: %s committed|fixtures\n", argv[0]);
        return 2;
    }
    if (!strstr(wilor_io_formats(), "png")) {
        printf("skipped: this build reads no PNG\n");
        return 77;
    }
    if (g_committed)
        return cmocka_run_group_tests_name("committed", committed, NULL, NULL);
    if (!golden_exists(DETECTOR_FIXTURES "/nms_cases.npz")) {
        printf("skipped: no references under %s\n", DETECTOR_FIXTURES);
        return 77;
    }
    return cmocka_run_group_tests_name("fixtures", fixtures, NULL, NULL);
}
