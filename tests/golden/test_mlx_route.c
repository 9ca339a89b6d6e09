/* WILOR_COMPAT_MLX from picture to hands against wilor-mlx 0.3.1's HandPosePipeline on MLX's CPU
 * build (scripts/make_mlx_reference.py): the detector's frames, drawn hands. And its model and
 * crops on the fixtures' photos. The pictures are not in the repository: without their folder
 * this is skipped. */
#include "crop.h"
#include "golden.h"
#include "heap.h"
#include "wilor/wilor_io.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* test_mlx.c's, and the detector's: spec of its float32 noise, network pixels times the picture's
 * side over 512 (at most 7.5 here). */
#define OUTPUTS 4e-6
#define METRES 1e-6
#define NETWORK_PIXELS 2e-3
#define SCORE 1e-5

/* Of the whole route: the detector's last bits move the crop's square, and thousands of its bytes
 * lie so near a whole number that truncation turns. One last bit of the centre in wilor-mlx itself
 * moves its own vertices by up to 1.5e-4 m and hand_pose by 1.4e-3 on these hands. */
#define TRUNCATED_OUTPUTS 4e-3
#define TRUNCATED_METRES 4e-4

enum { PIXELS = 256 * 256 * 3, LEAST_HANDS = 28, MOST_HANDS = 8, VERTEX_STEP = 8 };

static const char *fixture(const char *name) { return golden_path(WILOR_TEST_FIXTURES, name); }

/* ---------------------------------------------------------------- the whole route */

static const struct {
    const char *frame;
    int hands;
} frames[] = {{"crowd_640x480", 4},   {"half_512x384", 3}, {"landscape_640x480", 3},
              {"nohands_480x320", 0}, {"odd_333x517", 2},  {"portrait_512x600", 2},
              {"square_256x256", 4},  {"thin_700x90", 4},  {"tiny_64x48", 0},
              {"uhd_3840x2160", 6}};

static wilor_image read_image(const char *path) {
    wilor_error err;
    wilor_image image;
    if (wilor_image_read(&image, path, 0, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return image;
}

/* The numbers of a frame: NAME.what, `count` in all. */
static float *reference(const wilor_index *ref, const char *frame, const char *what,
                        size_t count) {
    char name[64];
    size_t n;
    snprintf(name, sizeof name, "%s.%s", frame, what);
    float *values = golden_f32(ref, name, &n);
    assert_int_equal(n, count);
    return values;
}

static void check(const wilor_index *ref, const char *frame, const char *what, const float *got,
                  size_t count, double tolerance) {
    char label[96];
    float *want = reference(ref, frame, what, count);
    snprintf(label, sizeof label, "%s %s", frame, what);
    golden_check(label, got, want, count, tolerance);
    wilor_heap_free(want);
}

/* make_mlx_reference.py's checksum of a crop. */
static int64_t checksum(const float *rgb) {
    int64_t sum = 0;
    for (int k = 0; k < PIXELS; k++)
        sum += (int64_t)rgb[k] * (k % 251 + 1);
    return sum;
}

/* Every byte of the crops of the reference's squares. */
static void check_crops(const wilor_index *ref, const char *frame, const wilor_picture *picture,
                        const float *square, const int64_t *side, size_t hands) {
    char name[64];
    size_t n;
    snprintf(name, sizeof name, "%s.crop_sum", frame);
    int64_t *want = golden_i64(ref, name, &n);
    float *rgb = wilor_heap_alloc(PIXELS, sizeof *rgb);
    assert_non_null(rgb);
    assert_int_equal(n, hands);
    for (size_t i = 0; i < n; i++) {
        const wilor_crop_box box = {square[3 * i], square[3 * i + 1], square[3 * i + 2]};
        assert_int_equal(wilor_crop_run_mlx(picture, &box, (wilor_side)side[i], rgb, NULL),
                         WILOR_OK);
        assert_true(checksum(rgb) == want[i]); /* of what the network saw: left ones mirrored */
    }
    wilor_heap_free(want);
    wilor_heap_free(rgb);
}

/* The reference's model outputs are as the network says them; ours are mirrored back. */
static void unmirror(const wilor_hands *h, float *cam, float *orient, float *pose) {
    for (int i = 0; i < h->n; i++) {
        float left = h->side[i] == WILOR_LEFT ? -1.0f : 1.0f;
        cam[3 * i] = h->pred_cam[3 * i];
        cam[3 * i + 1] = left * h->pred_cam[3 * i + 1];
        cam[3 * i + 2] = h->pred_cam[3 * i + 2];
        for (int k = 0; k < 3; k++)
            orient[3 * i + k] = (k ? left : 1.0f) * h->global_orient[3 * i + k];
        for (int k = 0; k < 45; k++)
            pose[45 * i + k] = (k % 3 ? left : 1.0f) * h->hand_pose[45 * i + k];
    }
}

static void check_hands(const wilor_index *ref, const char *frame, const wilor_hands *h,
                        double outputs, double metres) {
    size_t n = (size_t)h->n, some = ((size_t)h->vertices + VERTEX_STEP - 1) / VERTEX_STEP;
    float cam[3 * MOST_HANDS], orient[3 * MOST_HANDS], pose[45 * MOST_HANDS];
    float *vertices = wilor_heap_alloc(n * some * 3, sizeof *vertices);
    assert_non_null(vertices);
    for (size_t i = 0; i < n; i++)
        for (size_t v = 0; v < some; v++)
            memcpy(vertices + (i * some + v) * 3,
                   h->vertices_3d + (i * (size_t)h->vertices + v * VERTEX_STEP) * 3,
                   3 * sizeof *vertices);
    unmirror(h, cam, orient, pose);
    check(ref, frame, "pred_cam", cam, n * 3, outputs);
    check(ref, frame, "betas", h->betas, n * 10, outputs);
    check(ref, frame, "global_orient", orient, n * 3, outputs);
    check(ref, frame, "hand_pose", pose, n * 45, outputs);
    check(ref, frame, "keypoints_3d", h->keypoints_3d, n * 63, metres);
    check(ref, frame, "vertices", vertices, n * some * 3, metres);
    wilor_heap_free(vertices);
}

/* Crops and model, from the reference's own boxes. */
static void check_boxes(wilor_session *session, const wilor_index *ref, const char *frame,
                        const wilor_picture *picture, size_t hands) {
    char name[64];
    size_t n;
    wilor_error err;
    const wilor_hands *h;
    wilor_box boxes[MOST_HANDS];
    snprintf(name, sizeof name, "%s.side", frame);
    int64_t *side = golden_i64(ref, name, &n);
    float *square = reference(ref, frame, "square", hands * 3);
    assert_int_equal(n, hands);
    for (size_t i = 0; i < hands; i++) {
        double half = square[3 * i + 2] / 2.5 / 2, cx = square[3 * i], cy = square[3 * i + 1];
        boxes[i] =
            (wilor_box){{cx - half, cy - half, cx + half, cy + half}, 1, (wilor_side)side[i]};
    }
    check_crops(ref, frame, picture, square, side, hands);
    if (wilor_predict_boxes(session, picture, boxes, (int)hands, NULL, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    check_hands(ref, frame, h, OUTPUTS, METRES);
    wilor_heap_free(side);
    wilor_heap_free(square);
}

/* What the detector says: h is of the whole route. */
static void check_detections(const wilor_index *ref, const char *frame,
                             const wilor_picture *picture, const wilor_hands *h) {
    char name[64];
    size_t count, n = (size_t)h->n;
    double side = picture->width > picture->height ? picture->width : picture->height;
    double pixels = NETWORK_PIXELS / 512; /* of the largest coordinate, about `side` */
    float points[42 * MOST_HANDS];
    snprintf(name, sizeof name, "%s.side", frame);
    int64_t *want = golden_i64(ref, name, &count);
    assert_int_equal(count, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(h->side[i], want[i]);
    wilor_heap_free(want);
    for (size_t i = 0; i < n * 21; i++)
        memcpy(points + 2 * i, h->detected_keypoints + 3 * i, 2 * sizeof *points);
    check(ref, frame, "score", h->score, n, SCORE);
    check(ref, frame, "box", h->box, n * 4, pixels);
    check(ref, frame, "keypoints_2d", points, n * 42, pixels);
    float *square = reference(ref, frame, "square", n * 3);
    golden_check("square", h->crop, square, n * 3, 2.5 * pixels);
    wilor_heap_free(square);
    for (size_t i = 0; i < n * 42; i++)
        assert_true(points[i] < 2 * side);
}

static wilor_pipeline *open_pipeline(wilor_detector **detector, wilor_model **model) {
    wilor_error err;
    wilor_detector_options d;
    wilor_model_options m;
    wilor_pipeline_options p;
    wilor_pipeline *pipeline = NULL;
    wilor_detector_options_init(&d, sizeof d);
    wilor_model_options_init(&m, sizeof m);
    wilor_pipeline_options_init(&p, sizeof p);
    d.detector = fixture("detector/hand-detector-tiny.safetensors");
    m.weights = "random:tiny";
    m.mano = golden_path(WILOR_TEST_DATA, "hand-cc0.npz");
    m.heads = 4;
    p.compat = WILOR_COMPAT_MLX;
    p.batch = 2; /* must not matter: each hand has statistics of its own */
    if (wilor_detector_open(detector, &d, &err) != WILOR_OK ||
        wilor_model_open(model, &m, &err) != WILOR_OK ||
        wilor_pipeline_create(&pipeline, *detector, *model, &p, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return pipeline;
}

static void test_whole_route(void **state) {
    (void)state;
    int hands = 0;
    wilor_error err;
    wilor_detector *detector = NULL;
    wilor_model *model = NULL;
    wilor_pipeline *p = open_pipeline(&detector, &model);
    wilor_index *ref = golden_open(golden_path(WILOR_TEST_DATA, "mlx/whole_route.npz"));
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        char path[96];
        const wilor_hands *h;
        const char *frame = frames[i].frame;
        snprintf(path, sizeof path, "detector/frames/%s.png", frame);
        wilor_image image = read_image(fixture(path));
        wilor_picture picture = wilor_image_view(&image);
        if (wilor_pipeline_run(p, &picture, NULL, 0, NULL, NULL, &h, &err) != WILOR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(h->n, frames[i].hands);
        if (h->n > 0) {
            printf("%s, whole route: %d hands\n", frame, h->n);
            check_detections(ref, frame, &picture, h);
            check_hands(ref, frame, h, TRUNCATED_OUTPUTS, TRUNCATED_METRES);
            printf("%s, from its boxes:\n", frame);
            check_boxes(wilor_pipeline_session(p), ref, frame, &picture,
                        (size_t)frames[i].hands);
        }
        hands += frames[i].hands;
        wilor_image_free(&image);
    }
    printf("%d hands compared\n", hands);
    assert_true(hands >= LEAST_HANDS);
    wilor_index_close(&ref);
    wilor_pipeline_free(&p);
    wilor_detector_free(&detector);
    wilor_model_free(&model);
}

/* ---------------------------------------------------------------- photos */

/* Its own weights files, float32 and quantised, its crops of photos, its answers. */
static void check_released(const char *file, const char *kind) {
    static const struct {
        const char *name;
        size_t count;
        double tolerance;
    } parts[] = {{"pred_cam", 3, OUTPUTS},          {"betas", 10, OUTPUTS},
                 {"global_orient", 3, OUTPUTS},     {"hand_pose", 45, OUTPUTS},
                 {"pred_keypoints_3d", 63, METRES}, {"pred_vertices", 778 * 3, METRES}};

    wilor_error err;
    wilor_model_options m;
    wilor_session_options s;
    wilor_model *model = NULL;
    wilor_session *session = NULL;
    wilor_model_options_init(&m, sizeof m);
    wilor_session_options_init(&s, sizeof s);
    m.weights = fixture(file);
    m.mano = fixture("tiny/mlx/mano_auto.npz");
    m.heads = 4;
    s.compat = WILOR_COMPAT_MLX;
    if (wilor_model_open(&model, &m, &err) != WILOR_OK ||
        wilor_session_create(&session, model, &s, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_index *ref = golden_open(fixture("tiny/mlx/outputs.npz"));
    float *rgb = golden_f32(ref, "crop_rgb", NULL);
    for (size_t hand = 0; hand < 2; hand++) {
        const wilor_hands *h;
        assert_int_equal(wilor_run(session, rgb + hand * PIXELS, 1, &h, &err), WILOR_OK);
        const float *const got[] = {h->pred_cam,  h->betas,        h->global_orient,
                                    h->hand_pose, h->keypoints_3d, h->vertices_3d};
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            char name[64];
            snprintf(name, sizeof name, "%s.released.%s", kind, parts[i].name);
            float *want = golden_f32(ref, name, NULL);
            golden_check(name, got[i], want + hand * parts[i].count, parts[i].count,
                         parts[i].tolerance);
            wilor_heap_free(want);
        }
    }
    wilor_heap_free(rgb);
    wilor_index_close(&ref);
    wilor_session_free(&session);
    wilor_model_free(&model);
}

static void test_released(void **state) {
    (void)state;
    check_released("tiny/mlx/wilor-mlx.safetensors", "f32");
    check_released("tiny/mlx/wilor-mlx-int4-g32.safetensors", "int4-g32");
    check_released("tiny/mlx/wilor-mlx-int4-g64.safetensors", "int4-g64");
    check_released("tiny/mlx/wilor-mlx-int8-g32.safetensors", "int8-g32");
}

static const char *const photos[][2] = {{"hand.png", "tiny/pipeline/hand_png.npz"},
                                        {"test1.jpg", "tiny/pipeline/test1_jpg.npz"},
                                        {"test3.jpg", "tiny/pipeline/test3_jpg.npz"},
                                        {"test5.jpeg", "tiny/pipeline/test5_jpeg.npz"}};

enum { PHOTOS = sizeof photos / sizeof photos[0] };

static wilor_image read_photo(size_t i) {
    char path[64];
    snprintf(path, sizeof path, "photos/%s", photos[i][0]);
    return read_image(fixture(path));
}

/* Its crop of each photo's first hand. The reference was called with doubles, ours rounds centre
 * and side to float32 first as its pipeline does: a last bit of the start moves what lies next to
 * a whole number by one. */
static void test_photo_crops(void **state) {
    (void)state;
    wilor_index *ref = golden_open(fixture("tiny/mlx/outputs.npz"));
    float *rgb = wilor_heap_alloc(PIXELS, sizeof *rgb);
    assert_non_null(rgb);
    for (size_t i = 0; i < PHOTOS; i++) {
        char name[64];
        wilor_crop_box at;
        wilor_index *hands = golden_open(fixture(photos[i][1]));
        double *box = golden_f64(hands, "boxes", NULL);
        int64_t *right = golden_i64(hands, "is_right", NULL);
        wilor_image image = read_photo(i);
        wilor_picture picture = wilor_image_view(&image);
        snprintf(name, sizeof name, "seed_crop_rgb.%s.0", photos[i][0]);
        float *want = golden_f32(ref, name, NULL);
        assert_int_equal(wilor_crop_plan_f64(box, 2.5, &at, NULL), WILOR_OK);
        assert_int_equal(wilor_crop_run_mlx(&picture, &at, (wilor_side)right[0], rgb, NULL),
                         WILOR_OK);
        size_t differ = 0;
        for (size_t k = 0; k < PIXELS; k++)
            differ += rgb[k] != want[k];
        printf("%s: %zu of %d bytes differ\n", name, differ, PIXELS);
        assert_true(golden_difference(rgb, want, PIXELS) <= 1);
        assert_true(differ < PIXELS / 50);
        wilor_heap_free(want);
        wilor_heap_free(box);
        wilor_heap_free(right);
        wilor_image_free(&image);
        wilor_index_close(&hands);
    }
    wilor_heap_free(rgb);
    wilor_index_close(&ref);
}

/* What the modes cost on the photos' hands: docs/compat.md's table. */

typedef struct cost {
    const char *what;
    double most, sum; /* metres over all hands: the vertex that moves most */
} cost;

typedef struct bench {
    wilor_model *model;
    wilor_session *mini, *mlx;
    float *rgb, *mini_rgb, *first;
    int hands;
} bench;

static const float *vertices_of(wilor_session *s, const float *rgb, size_t *count) {
    wilor_error err;
    const wilor_hands *h;
    if (wilor_run(s, rgb, 1, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    *count = (size_t)h->vertices * 3;
    return h->vertices_3d;
}

static void add_cost(bench *b, cost *c, wilor_session *s) {
    size_t n;
    const float *v = vertices_of(s, b->rgb, &n);
    double d = golden_difference(v, b->first, n);
    c->most = d > c->most ? d : c->most;
    c->sum += d;
}

enum { NETWORK, CROP, BOTH, FACTOR, ASPECT, CV4, COSTS };

/* Mean difference of two crops in levels of 255. */
static double levels(const float *a, const float *b) {
    double sum = 0;
    for (int i = 0; i < PIXELS; i++)
        sum += a[i] < b[i] ? b[i] - a[i] : a[i] - b[i];
    return sum / PIXELS;
}

static void add_costs(bench *b, const wilor_picture *p, const double *box, wilor_side side,
                      cost *costs) {
    size_t n;
    wilor_crop_box at, small;
    assert_int_equal(wilor_crop_plan_f64(box, 2.5, &at, NULL), WILOR_OK);
    assert_int_equal(wilor_crop_plan_f64(box, 2.0, &small, NULL), WILOR_OK);
    assert_int_equal(wilor_crop_run(p, &at, side, WILOR_WARP_CV5, b->rgb, NULL), WILOR_OK);
    const float *v = vertices_of(b->mini, b->rgb, &n);
    memcpy(b->first, v, n * sizeof *v);
    add_cost(b, &costs[NETWORK], b->mlx);
    memcpy(b->mini_rgb, b->rgb, PIXELS * sizeof *b->rgb);
    assert_int_equal(wilor_crop_run_mlx(p, &at, side, b->rgb, NULL), WILOR_OK);
    double before = costs[CROP].sum;
    add_cost(b, &costs[CROP], b->mini);
    printf("square of %.0f around %.0f %.0f in %d x %d: crops %.2f levels apart, %.2f mm\n",
           at.size, at.cx, at.cy, p->width, p->height, levels(b->rgb, b->mini_rgb),
           (costs[CROP].sum - before) * 1e3);
    add_cost(b, &costs[BOTH], b->mlx);
    assert_int_equal(wilor_crop_run(p, &small, side, WILOR_WARP_CV5, b->rgb, NULL), WILOR_OK);
    add_cost(b, &costs[FACTOR], b->mini);
    /* WiLoR's demo enlarges the box to 3 : 4 first. */
    small.size = 2 * fmax(box[3] - box[1], (box[2] - box[0]) * 4 / 3);
    assert_int_equal(wilor_crop_run(p, &small, side, WILOR_WARP_CV5, b->rgb, NULL), WILOR_OK);
    add_cost(b, &costs[ASPECT], b->mini);
    assert_int_equal(wilor_crop_run(p, &at, side, WILOR_WARP_CV4, b->rgb, NULL), WILOR_OK);
    add_cost(b, &costs[CV4], b->mini);
    b->hands++;
}

static wilor_session *open_session(const wilor_model *model, wilor_compat compat) {
    wilor_error err;
    wilor_session_options o;
    wilor_session *s = NULL;
    wilor_session_options_init(&o, sizeof o);
    o.compat = compat;
    if (wilor_session_create(&s, model, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return s;
}

static void measure(const char *weights, int heads) {
    cost costs[COSTS] = {{.what = "mlx's network"},
                         {.what = "mlx's crop"},
                         {.what = "both"},
                         {.what = "factor 2.0"},
                         {.what = "factor 2.0 of a 3:4 box"},
                         {.what = "OpenCV 4's warp"}};
    wilor_error err;
    wilor_model_options m;
    bench b = {0};
    wilor_model_options_init(&m, sizeof m);
    m.weights = weights;
    m.mano = golden_path(WILOR_TEST_DATA, "hand-cc0.npz");
    m.heads = heads;
    if (wilor_model_open(&b.model, &m, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    b.mini = open_session(b.model, WILOR_COMPAT_MINI);
    b.mlx = open_session(b.model, WILOR_COMPAT_MLX);
    b.rgb = wilor_heap_alloc(PIXELS, sizeof *b.rgb);
    b.mini_rgb = wilor_heap_alloc(PIXELS, sizeof *b.mini_rgb);
    b.first = wilor_heap_alloc(778 * 3, sizeof *b.first);
    assert_non_null(b.rgb);
    assert_non_null(b.mini_rgb);
    assert_non_null(b.first);
    for (size_t i = 0; i < PHOTOS; i++) {
        size_t n;
        wilor_index *ref = golden_open(fixture(photos[i][1]));
        double *box = golden_f64(ref, "boxes", NULL);
        int64_t *right = golden_i64(ref, "is_right", &n);
        wilor_image image = read_photo(i);
        wilor_picture picture = wilor_image_view(&image);
        for (size_t h = 0; h < n; h++)
            add_costs(&b, &picture, box + 4 * h, (wilor_side)right[h], costs);
        wilor_image_free(&image);
        wilor_heap_free(box);
        wilor_heap_free(right);
        wilor_index_close(&ref);
    }
    for (int i = 0; i < COSTS; i++) {
        printf("%s, %d hands, %s: %.2f mm at most, %.2f on average\n", weights, b.hands,
               costs[i].what, costs[i].most * 1e3, costs[i].sum / b.hands * 1e3);
        assert_true(costs[i].most > 1e-5);
    }
    wilor_session_free(&b.mini);
    wilor_session_free(&b.mlx);
    wilor_model_free(&b.model);
    wilor_heap_free(b.rgb);
    wilor_heap_free(b.mini_rgb);
    wilor_heap_free(b.first);
}

static const char *g_weights; /* measure these instead */

static void test_costs(void **state) {
    (void)state;
    if (g_weights) {
        measure(g_weights, 0);
        return;
    }
    measure("random:tiny", 4);
    measure("random:hd80", 2);
}

int main(int argc, char **argv) {
    g_weights = argc > 1 ? argv[1] : NULL;
    if (!golden_exists(fixture("detector/frames/crowd_640x480.png"))) {
        printf("skipped: no frames in %s\n", WILOR_TEST_FIXTURES);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_route), cmocka_unit_test(test_released),
        cmocka_unit_test(test_photo_crops), cmocka_unit_test(test_costs)};
    return cmocka_run_group_tests_name("mlx_route", tests, NULL, NULL);
}
