/* Crops: all pixel formats, strides and mirrorings give the same pixels; the fast rows equal
 * single pixels; smoothing equals its definition; hostile boxes and pictures are safe. Pictures
 * are noise with guards around it, so that a read outside shows under the sanitizer and in the
 * numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "crop_steps.h"
#include "heap.h"

enum { RGB = 256 * 256 * 3 };

static uint64_t seed = 1;

static uint32_t next(void) { /* Knuth's MMIX generator, upper bits */
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

static double uniform(double low, double high) {
    return low + (high - low) * next() / 2147483648.0;
}

static float *new_crop(void) {
    float *rgb = wilor_heap_alloc(RGB, sizeof *rgb);
    assert_non_null(rgb);
    return rgb;
}

/* width × height of RGB noise without padding, in exactly as many bytes. */
static wilor_picture new_noise(int width, int height) {
    size_t n = (size_t)width * (size_t)height * 3;
    uint8_t *p = wilor_heap_alloc(n, 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)next();
    return (wilor_picture){p, width, height, (ptrdiff_t)width * 3, WILOR_RGB8};
}

static void free_picture(wilor_picture *p) { wilor_heap_free((void *)(uintptr_t)p->data); }

static void run(const wilor_picture *p, wilor_crop_box box, wilor_side side, wilor_warp warp,
                float *rgb) {
    wilor_error err;
    if (wilor_crop_run(p, &box, side, warp, rgb, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

static void expect_same(const float *got, const float *want, const char *what) {
    for (int i = 0; i < RGB; i++)
        if (got[i] != want[i])
            fail_msg("%s: value %d is %.9g instead of %.9g", what, i, got[i], want[i]);
}

/* The same picture in another format, rows padded by 7 bytes; upward: last row first in memory. */
static wilor_picture convert(const wilor_picture *p, wilor_pixel_format format, bool upward) {
    static const int order[6][4] = {{0},          {0, 1, 2, -1}, {2, 1, 0, -1},
                                    {0, 1, 2, 3}, {2, 1, 0, 3},  {0}};
    const int bytes = format == WILOR_GRAY8 ? 1 : format >= WILOR_RGBA8 ? 4 : 3;
    const ptrdiff_t stride = (ptrdiff_t)p->width * bytes + 7;
    uint8_t *data = wilor_heap_alloc((size_t)stride * (size_t)p->height, 1);
    assert_non_null(data);
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            uint8_t *q = data + (upward ? p->height - 1 - y : y) * stride + x * bytes;
            for (int c = 0; c < bytes; c++) {
                int from = order[format][c];
                q[c] = from == 3 ? 201 : p->data[y * p->stride + x * 3 + from];
            }
        }
    return (wilor_picture){upward ? data + (p->height - 1) * stride : data, p->width, p->height,
                           upward ? -stride : stride, format};
}

static const wilor_crop_box boxes[] = {{40, 30, 50},    {12.3, 44.4, 91.7}, {70, -3, 300},
                                       {40, 30, 580.5}, {33.3, 20.2, 700},  {10, 20, 1500}};

static void test_formats_agree(void **state) {
    (void)state;
    wilor_picture p = new_noise(83, 61);
    float *want = new_crop(), *got = new_crop();
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++)
        for (int k = 0; k < 16; k++) {
            wilor_side side = k & 1 ? WILOR_LEFT : WILOR_RIGHT;
            wilor_warp warp = k & 2 ? WILOR_WARP_CV4 : WILOR_WARP_CV5;
            wilor_pixel_format format = (wilor_pixel_format)(WILOR_RGB8 + k / 4);
            for (int upward = 0; upward < 2; upward++) {
                wilor_picture other = convert(&p, format, upward);
                run(&p, boxes[i], side, warp, want);
                run(&other, boxes[i], side, warp, got);
                expect_same(got, want, "format");
                wilor_heap_free(
                    (void *)(uintptr_t)(upward ? other.data + (p.height - 1) * other.stride
                                               : other.data));
            }
        }
    wilor_heap_free(want);
    wilor_heap_free(got);
    free_picture(&p);
}

/* Grey is that channel three times. */
static void test_grey(void **state) {
    (void)state;
    wilor_picture p = new_noise(83, 61), grey = convert(&p, WILOR_GRAY8, false);
    float *want = new_crop(), *got = new_crop();
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++) {
        run(&p, boxes[i], WILOR_LEFT, WILOR_WARP_CV5, want);
        run(&grey, boxes[i], WILOR_LEFT, WILOR_WARP_CV5, got);
        for (int k = 0; k < RGB; k++)
            assert_true(got[k] == want[k - k % 3]);
    }
    wilor_heap_free(want);
    wilor_heap_free(got);
    free_picture(&p);
    free_picture(&grey);
}

/* A left hand in a picture is a right one in the mirrored picture, at its mirrored place. */
static void test_left_is_mirrored(void **state) {
    (void)state;
    wilor_picture p = new_noise(83, 61), q = new_noise(83, 61);
    uint8_t *to = (uint8_t *)(uintptr_t)q.data;
    for (int y = 0; y < p.height; y++)
        for (int x = 0; x < p.width; x++)
            memcpy(to + y * p.stride + 3 * x, p.data + y * p.stride + 3 * (p.width - 1 - x), 3);
    float *want = new_crop(), *got = new_crop();
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++) {
        wilor_crop_box other = boxes[i];
        other.cx = p.width - boxes[i].cx - 1;
        run(&p, boxes[i], WILOR_LEFT, WILOR_WARP_CV5, got);
        run(&q, other, WILOR_RIGHT, WILOR_WARP_CV5, want);
        for (int k = 0; k < RGB; k++) /* smoothing sums in another order there */
            if (!(fabsf(got[k] - want[k]) <= 4e-5f))
                fail_msg("box %zu, value %d: %.9g instead of %.9g", i, k, got[k], want[k]);
    }
    wilor_heap_free(want);
    wilor_heap_free(got);
    free_picture(&p);
    free_picture(&q);
}

/* Rows at once against pixel by pixel with fmaf: random boxes, those whose samples fall on
 * halves, and a turned matrix, which has no level rows. */
static void test_rows_equal_pixels(void **state) {
    (void)state;
    float *want = new_crop(), *got = new_crop();
    for (int i = 0; i < 60; i++) {
        wilor_picture p = new_noise(1 + (int)(next() % 90), 1 + (int)(next() % 90));
        wilor_crop_source s = wilor_crop_source_of(&p, i % 2);
        double size = i % 3 ? uniform(3, 500) : 128 << next() % 3, m[6], inv[6];
        double cx = i % 3 ? uniform(-20, 110) : next() % 100 / 2.0;
        wilor_crop_matrix(cx, i % 3 ? uniform(-20, 110) : cx, size, m);
        wilor_crop_invert(m, inv);
        if (i % 10 == 9) {
            inv[1] = -0.3;
            inv[3] = 0.2;
        }
        for (int warp = 0; warp < 2; warp++) {
            wilor_crop_warp(&s, inv, (wilor_warp)warp, true, got);
            wilor_crop_warp(&s, inv, (wilor_warp)warp, false, want);
            expect_same(got, want, "row");
        }
        free_picture(&p);
    }
    wilor_heap_free(want);
    wilor_heap_free(got);
}

/* Bands in any order are the whole crop: small, large, smoothed, of left hands. */
static void test_bands(void **state) {
    (void)state;
    float *want = new_crop(), *got = new_crop();
    wilor_error err;
    for (int i = 0; i < 24; i++) {
        wilor_picture p = new_noise(1 + (int)(next() % 300), 1 + (int)(next() % 300));
        wilor_crop_box box = {uniform(-20, 310), uniform(-20, 310),
                              i % 4 == 3 ? uniform(564, 900) : uniform(3, 563)};
        wilor_side side = i % 2 ? WILOR_LEFT : WILOR_RIGHT;
        wilor_warp warp = i % 3 ? WILOR_WARP_CV5 : WILOR_WARP_CV4;
        run(&p, box, side, warp, want);
        for (int k = 0; k < RGB; k++)
            got[k] = NAN;
        for (int b = 0; b < WILOR_CROP_BANDS; b++)
            assert_int_equal(wilor_crop_run_band(&p, &box, side, warp,
                                                 (5 * b + i) % WILOR_CROP_BANDS, got, &err),
                             WILOR_OK);
        expect_same(got, want, "band");
        free_picture(&p);
    }
    wilor_heap_free(want);
    wilor_heap_free(got);
}

/* Within the first pixel a coordinate is finer than 2^-23: just above a half still rounds up. */
static void test_first_pixel(void **state) {
    (void)state;
    const uint8_t px[9] = {0, 0, 0, 1, 1, 1, 0, 0, 0};
    const wilor_picture p = {px, 3, 1, 9, WILOR_RGB8};
    const double inv[6] = {0, 0, 0.5 + 1.0 / (1 << 24), 0, 0, 0};
    wilor_crop_source s = wilor_crop_source_of(&p, false);
    float *got = new_crop();
    wilor_crop_warp(&s, inv, WILOR_WARP_CV5, true, got);
    for (int i = 0; i < RGB; i++)
        assert_true(got[i] == 1);
    wilor_heap_free(got);
}

/* Columns that depend on the row, rows that do not: crop row y shows picture column y. */
static void test_sheared(void **state) {
    (void)state;
    const double inv[6] = {0, 1, 0, 0, 0, 0};
    wilor_picture p = new_noise(200, 1);
    wilor_crop_source s = wilor_crop_source_of(&p, false);
    float *got = new_crop();
    for (int warp = 0; warp < 2; warp++) {
        wilor_crop_warp(&s, inv, (wilor_warp)warp, true, got);
        for (int i = 0; i < RGB; i++) {
            int column = i / 768, channel = i % 3;
            assert_true(got[i] == (column < 200 ? p.data[3 * column + channel] : 0));
        }
    }
    wilor_heap_free(got);
    free_picture(&p);
}

static int clip(int i, int n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

/* Channel c of the smoothed picture at one pixel, by definition; zero outside. */
static double smoothed(const wilor_picture *p, const double *k, int r, int x, int y, int c) {
    if (x < 0 || x >= p->width || y < 0 || y >= p->height)
        return 0;
    double sum = 0;
    for (int j = -r; j <= r; j++)
        for (int i = -r; i <= r; i++)
            sum += k[i + r] * k[j + r] *
                   p->data[clip(y + j, p->height) * p->stride + 3 * clip(x + i, p->width) + c];
    return sum;
}

/* Some pixels of smoothed crops against the definition: kernels larger than the picture too. */
static void test_smoothing(void **state) {
    (void)state;

    enum { MOST = 64 };

    float *got = new_crop();
    for (int i = 0; i < 24; i++) {
        wilor_picture p = new_noise(1 + (int)(next() % 60), 1 + (int)(next() % 60));
        wilor_crop_source s = wilor_crop_source_of(&p, false);
        double sigma = uniform(0.05, i % 4 ? 3 : 14), k[2 * MOST + 1], total = 0, m[6], inv[6];
        int r = (int)(4 * sigma + 0.5);
        for (int o = -r; o <= r; o++)
            total += k[o + r] = exp(-0.5 / (sigma * sigma) * o * o);
        for (int o = 0; o <= 2 * r; o++)
            k[o] /= total;
        wilor_crop_matrix(uniform(0, 60), uniform(0, 60), uniform(20, 200), m);
        wilor_crop_invert(m, inv);
        assert_int_equal(wilor_crop_warp_smooth(&s, inv, sigma, got, NULL), WILOR_OK);
        for (int n = 0; n < 60; n++) {
            int x = (int)(next() % 256), y = (int)(next() % 256), c = (int)(next() % 3), col,
                row;
            float a, b;
            wilor_crop_axis axis;
            wilor_crop_columns(inv, WILOR_WARP_CV4, wilor_crop_origin(inv, WILOR_WARP_CV4, y),
                               p.width, &axis);
            col = axis.at[x];
            a = axis.part[x];
            wilor_crop_row(inv, WILOR_WARP_CV4, x, y, p.height, &row, &b);
            double want = 0;
            for (int q = 0; q < 4; q++)
                want += (q & 1 ? a : 1 - a) * (q & 2 ? b : 1 - b) *
                        smoothed(&p, k, r, col + (q & 1), row + (q >> 1), c);
            if (!(fabs(got[(y * 256 + x) * 3 + c] - want) <= 2e-5))
                fail_msg("%d x %d, sigma %g: %.9g instead of %.9g", p.width, p.height, sigma,
                         got[(y * 256 + x) * 3 + c], want);
        }
        free_picture(&p);
    }
    wilor_heap_free(got);
}

/* What smoothing takes for granted: a crop row is one row of the picture, for every box that
 * plan lets pass and that meets a picture of up to 2^15 pixels a side. */
static void test_rows_are_level(void **state) {
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double m[6], inv[6], size = pow(10, uniform(-3, 9));
        wilor_crop_matrix(uniform(-1, 1) * (size + 32768), uniform(-1, 1) * (size + 32768),
                          size, m);
        wilor_crop_invert(m, inv);
        for (int y = 0; y < 256; y += 51)
            assert_true(wilor_crop_row_is_level(inv, WILOR_WARP_CV4, y));
    }
}

static void test_plan(void **state) {
    (void)state;
    wilor_error err;
    wilor_crop_box box;
    assert_int_equal(wilor_crop_plan((const float[4]){10, 20, 50, 40}, 2.5, &box, &err),
                     WILOR_OK);
    assert_true(box.cx == 30 && box.cy == 30 && box.size == 100);

    const struct {
        float box[4];
        double rescale;
        wilor_status status;
        const char *text;
    } bad[] = {
        {{NAN, 0, 1, 1}, 2.5, WILOR_ERR_ARG, "x0"},
        {{0, 0, INFINITY, 1}, 2.5, WILOR_ERR_ARG, "x1"},
        {{0, 0, 0, 1}, 2.5, WILOR_ERR_ARG, "no area"},
        {{0, 5, 1, 4}, 2.5, WILOR_ERR_ARG, "no area"},
        {{0, 0, 1, 1}, 0, WILOR_ERR_ARG, "rescale"},
        {{0, 0, 1, 1}, NAN, WILOR_ERR_ARG, "rescale"},
        {{0, 0, 2e9f, 1}, 2.5, WILOR_ERR_LIMIT, "limit"},
        {{0, 0, 9e8f, 1}, 2.5, WILOR_ERR_LIMIT, "limit"},
        {{0, 0, 1e-4f, 1e-4f}, 1, WILOR_ERR_LIMIT, "limit"},
        {{-FLT_MAX, 0, FLT_MAX, 1}, 2.5, WILOR_ERR_LIMIT, "limit"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(wilor_crop_plan(bad[i].box, bad[i].rescale, &box, &err),
                         bad[i].status);
        assert_non_null(strstr(err.text, bad[i].text));
    }
}

static void test_picture_check(void **state) {
    (void)state;
    uint8_t px[64] = {0};
    wilor_error err;
    const wilor_picture good = {px, 3, 2, 9, WILOR_RGB8};
    assert_int_equal(wilor_crop_check_picture(&good, &err), WILOR_OK);
    wilor_picture bad[9];
    for (int i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].data = NULL;
    bad[1].width = 0;
    bad[2].height = -1;
    bad[3].stride = 8;
    bad[4].stride = -8;
    bad[5].format = (wilor_pixel_format)9;
    bad[6].stride = PTRDIFF_MIN;
    bad[7].stride = PTRDIFF_MAX;
    bad[8].width = INT_MAX;
    for (int i = 0; i < 9; i++)
        assert_int_equal(wilor_crop_check_picture(&bad[i], &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_crop_check_picture(NULL, &err), WILOR_ERR_ARG);
}

/* Extreme squares: nothing is read outside, all values are levels. */
static void test_hostile_boxes(void **state) {
    (void)state;
    const double places[] = {0, 0.5, -1e9, 1e9, 1e7, -257, 127.5},
                 sizes[] = {1e-3, 1, 3e4, 1e7, 1e9};
    const int shapes[][2] = {{1, 1}, {1, 300}, {300, 1}, {50, 40}};
    float *got = new_crop();
    for (int s = 0; s < 4; s++) {
        wilor_picture p = new_noise(shapes[s][0], shapes[s][1]);
        for (int i = 0; i < 7 * 7 * 5; i++) {
            wilor_crop_box box = {places[i % 7], places[i / 7 % 7], sizes[i / 49]};
            if (box.size == 1e9 && i % 5) /* its kernel has 4 million numbers */
                continue;
            for (int k = 0; k < 4; k++) {
                run(&p, box, (wilor_side)(k & 1), (wilor_warp)(k >> 1), got);
                for (int v = 0; v < RGB; v++)
                    assert_true(got[v] >= 0 && got[v] <= 255.0001f);
            }
        }
        free_picture(&p);
    }
    /* Squares that never went through plan. */
    uint8_t px[3] = {0};
    const wilor_picture p = {px, 1, 1, 3, WILOR_RGB8};
    const wilor_crop_box bad[] = {{NAN, 0, 1}, {0, INFINITY, 1}, {0, 0, NAN},
                                  {0, 0, 0},   {0, 0, 1e300},    {1e300, 0, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(wilor_crop_run(&p, &bad[i], WILOR_RIGHT, WILOR_WARP_CV5, got, NULL),
                         WILOR_ERR_ARG);
    wilor_heap_free(got);
}

/* An unsmoothed crop takes no memory; a smoothed one fails cleanly wherever memory ends. */
static void test_memory(void **state) {
    (void)state;
    wilor_picture p = new_noise(83, 61);
    float *got = new_crop();
    wilor_heap_fail_at(-1);
    run(&p, boxes[0], WILOR_LEFT, WILOR_WARP_CV5, got);
    run(&p, boxes[1], WILOR_RIGHT, WILOR_WARP_CV4, got);
    assert_int_equal(wilor_heap_calls(), 0);
    wilor_status st = WILOR_ERR_NOMEM;
    long n = 0;
    for (; st != WILOR_OK && n < 100; n++) {
        wilor_heap_fail_at(n);
        st = wilor_crop_run(&p, &boxes[5], WILOR_LEFT, WILOR_WARP_CV5, got, NULL);
        assert_true(st == WILOR_OK || st == WILOR_ERR_NOMEM);
    }
    wilor_heap_fail_at(-1);
    assert_true(n > 4 && n < 100);
    wilor_heap_free(got);
    free_picture(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_agree),
        cmocka_unit_test(test_grey),
        cmocka_unit_test(test_left_is_mirrored),
        cmocka_unit_test(test_rows_equal_pixels),
        cmocka_unit_test(test_bands),
        cmocka_unit_test(test_first_pixel),
        cmocka_unit_test(test_sheared),
        cmocka_unit_test(test_smoothing),
        cmocka_unit_test(test_rows_are_level),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_picture_check),
        cmocka_unit_test(test_hostile_boxes),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
