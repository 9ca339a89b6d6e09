/* The detector on device mlx against the processor's float32, whose own tests hold it against ultralytics: every anchor's
 * undecoded and decoded numbers, for inputs whose size changes; then from a picture to hands on one pipeline. */
#include "mlx_side.h"

#include "heap.h"

#include <stdio.h>
#include <string.h>

enum { RAW = 129, WIDEST = 160, HIGHEST = 160 };

typedef struct bench {
    wilor_detector *detector;
    wilor_threads *pool;
    wilor_yolo_run *run;
} bench;

static wilor_detector *open_detector(const char *path, const char *device, wilor_dtype dtype) {
    wilor_error err;
    wilor_detector *detector = NULL;
    wilor_detector_options o;
    wilor_detector_options_init(&o, sizeof o);
    o.detector = path;
    o.device = device;
    o.dtype = dtype;
    if (wilor_detector_open(&detector, &o, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return detector;
}

static bench open_bench(const char *path, const char *device, wilor_dtype dtype) {
    wilor_error err;
    bench b = {.detector = open_detector(path, device, dtype)};
    if (wilor_threads_create(&b.pool, 2, &err) != WILOR_OK ||
        wilor_yolo_open(&b.run, b.detector->yolo, b.pool, false, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return b;
}

static void close_bench(bench *b) {
    wilor_yolo_close(&b->run);
    wilor_threads_free(&b->pool);
    wilor_detector_free(&b->detector);
}

/* Soft shapes with noise, from a formula. */
static void fill_picture(uint8_t *rgb, int width, int height) {
    uint32_t seed = 7;
    for (int i = 0; i < width * height * 3; i++) {
        int x = i / 3 % width, y = i / 3 / width;
        seed = seed * 1664525u + 1013904223u;
        rgb[i] = (uint8_t)((x * (y + 3) / 7 + 40 * (i % 3) + (int)(seed >> 28)) % 256);
    }
}

static float *forward(const bench *b, const uint8_t *rgb, int width, int height, int each) {
    wilor_error err;
    if (wilor_yolo_begin(b->run, width, height, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    for (int y = 0; y < height; y++)
        wilor_yolo_put_row(b->run, y, rgb + (size_t)y * (size_t)width * 3);
    if (wilor_yolo_forward(b->run, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    size_t anchors = (size_t)wilor_yolo_anchors(b->run);
    float *out = wilor_heap_alloc(anchors * (size_t)each, sizeof *out);
    assert_non_null(out);
    for (int i = 0; i < (int)anchors; i++)
        (each == RAW ? wilor_yolo_undecoded
                     : wilor_yolo_column)(b->run, i, out + (size_t)i * (size_t)each);
    return out;
}

/* 16-bit types: some roundings of 2^-11 and 2^-8 that all layers leave. */
static double tolerance(wilor_dtype dtype) {
    return dtype == WILOR_DTYPE_F32 ? 2e-5 : dtype == WILOR_DTYPE_F16 ? 2e-3 : 1.6e-2;
}

static void compare_size(const bench *cpu, const bench *mlx, const char *path, int width,
                         int height) {
    static uint8_t rgb[WIDEST * HIGHEST * 3];
    fill_picture(rgb, width, height);
    for (int decoded = 0; decoded < 2; decoded++) {
        char what[256];
        int each = decoded ? WILOR_YOLO_ROWS : RAW;
        float *want = forward(cpu, rgb, width, height, each);
        float *got = forward(mlx, rgb, width, height, each);
        wilor_dtype dtype = mlx->detector->info.dtype;
        const char *file = strrchr(path, '/');
        snprintf(what, sizeof what, "%s %s %d x %d %s", file ? file + 1 : path,
                 wilor_dtype_name(dtype), width, height, decoded ? "decoded" : "undecoded");
        golden_check(what, got, want, (size_t)wilor_yolo_anchors(cpu->run) * (size_t)each,
                     tolerance(dtype));
        wilor_heap_free(want);
        wilor_heap_free(got);
    }
}

static void compare(const char *path, size_t types) {
    static const wilor_dtype dtypes[] = {WILOR_DTYPE_F32, WILOR_DTYPE_F16, WILOR_DTYPE_BF16};
    bench cpu = open_bench(path, "cpu", WILOR_DTYPE_F32);
    for (size_t i = 0; i < types; i++) {
        bench mlx = open_bench(path, "mlx", dtypes[i]);
        assert_int_equal(mlx.detector->info.dtype, dtypes[i]);
        compare_size(&cpu, &mlx, path, 160, 128);
        compare_size(&cpu, &mlx, path, 32, 160);
        compare_size(&cpu, &mlx, path, 160, 128);
        close_bench(&mlx);
    }
    close_bench(&cpu);
}

static void test_anchors(void **state) {
    (void)state;
    compare("random:micro", 3);
    /* Numbers to 1900 out of seeded noise: a rounding grows 700-fold in there, no network for 16 bits. */
    compare(WILOR_TEST_DATA "/detector/micro.pt", 1);
}

/* ---------------------------------------------------------------- from a picture to hands */

static wilor_pipeline *open_pipeline(const wilor_detector *detector, const wilor_model *model) {
    wilor_error err;
    wilor_pipeline *p = NULL;
    if (wilor_pipeline_create(&p, detector, model, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return p;
}

static void test_route(void **state) {
    (void)state;
    static uint8_t rgb[WIDEST * HIGHEST * 3];
    static const tolerances t = {2e-5, 4e-6, 1e-6};
    static const char *const devices[] = {"cpu", "mlx"};
    wilor_error err;
    wilor_detector *detector[2];
    wilor_model *model[2];
    wilor_pipeline *pipeline[2];
    const wilor_hands *hands[2];
    const wilor_picture picture = {rgb, WIDEST, HIGHEST, WIDEST * 3, WILOR_RGB8};
    wilor_detect_options o;
    fill_picture(rgb, WIDEST, HIGHEST);
    wilor_detect_options_init(&o, sizeof o);
    o.imgsz = 160;
    o.conf = 0.02f;
    for (int i = 0; i < 2; i++) {
        side_options so = {.weights = "random:tiny", .device = devices[i]};
        detector[i] =
            open_detector(WILOR_TEST_DATA "/detector/micro.pt", devices[i], WILOR_DTYPE_F32);
        model[i] = side_open_model(&so);
        pipeline[i] = open_pipeline(detector[i], model[i]);
        if (wilor_pipeline_run(pipeline[i], &picture, NULL, 0, &o, NULL, &hands[i], &err) !=
            WILOR_OK)
            fail_msg("%s", err.text);
    }
    printf("%d hands\n", hands[0]->n);
    assert_true(hands[0]->n > 0);
    assert_int_equal(hands[1]->n, hands[0]->n);
    golden_check("boxes, pixels", hands[1]->box, hands[0]->box, (size_t)hands[0]->n * 4, 2e-5);
    side_compare("the same boxes", hands[1], hands[0], &t);
    for (int i = 0; i < 2; i++) {
        wilor_pipeline_free(&pipeline[i]);
        wilor_model_free(&model[i]);
        wilor_detector_free(&detector[i]);
    }
}

static void test_dtypes(void **state) {
    (void)state;
    wilor_error err;
    wilor_detector *detector;
    wilor_detector_options o;
    wilor_detector_options_init(&o, sizeof o);
    o.detector = "random:micro";
    o.device = "mlx";
    o.dtype = WILOR_DTYPE_INT8;
    assert_int_equal(wilor_detector_open(&detector, &o, &err), WILOR_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "the detector on device mlx has no dtype int8"));
    o.dtype = WILOR_DTYPE_AUTO;
    assert_int_equal(wilor_detector_open(&detector, &o, &err), WILOR_OK);
    assert_int_equal(detector->info.dtype, WILOR_DTYPE_F16);
    assert_true(detector->info.packed_bytes > 1000);
    wilor_detector_free(&detector);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_anchors),
                                       cmocka_unit_test(test_route),
                                       cmocka_unit_test(test_dtypes)};
    return cmocka_run_group_tests_name("mlx_detector", tests, NULL, NULL);
}
