/* The detector's input against the rules written out plainly, pixel by pixel: every pixel
 * format, stride and cut into rows; sizes of the plan; the way back to the picture. Pictures,
 * scratch and output are exactly as large as promised, so that the sanitizer sees a byte too
 * far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "letterbox.h"

static uint64_t seed = 1;

static int below(int n) { /* Knuth's MMIX generator, upper bits */
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int)((seed >> 33) % (uint32_t)n);
}

static void *block(size_t bytes) {
    void *p = wilor_heap_alloc(bytes, 1);
    assert_non_null(p);
    return p;
}

/* ---------------------------------------------------------------- pictures */

static const struct {
    wilor_pixel_format format;
    int pixel, red, green, blue;
    const char *name;
} formats[] = {{WILOR_RGB8, 3, 0, 1, 2, "rgb"},
               {WILOR_BGR8, 3, 2, 1, 0, "bgr"},
               {WILOR_RGBA8, 4, 0, 1, 2, "rgba"},
               {WILOR_BGRA8, 4, 2, 1, 0, "bgra"},
               {WILOR_GRAY8, 1, 0, 0, 0, "gray"}};

enum { FORMATS = sizeof formats / sizeof *formats };

typedef struct noise {
    uint8_t *block; /* of the picture */
    uint8_t *rgb;   /* the same, width × height × 3 */
    wilor_picture picture;
} noise;

/* A picture of noise, `gap` bytes between rows, from the bottom up if `up`. */
static noise new_noise(int width, int height, int format, int gap, bool up) {
    int pixel = formats[format].pixel, row = width * pixel, stride = row + gap;
    size_t bytes = (size_t)stride * (size_t)(height - 1) + (size_t)row;
    noise n = {.block = block(bytes), .rgb = block((size_t)width * (size_t)height * 3)};
    for (size_t i = 0; i < bytes; i++)
        n.block[i] = (uint8_t)below(256);
    const uint8_t *top = n.block + (up ? (size_t)stride * (size_t)(height - 1) : 0);
    n.picture =
        (wilor_picture){top, width, height, up ? -stride : stride, formats[format].format};
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const uint8_t *p = top + y * n.picture.stride + x * pixel;
            uint8_t *to = n.rgb + ((size_t)y * (size_t)width + (size_t)x) * 3;
            to[0] = p[formats[format].red];
            to[1] = p[formats[format].green];
            to[2] = p[formats[format].blue];
        }
    return n;
}

static void free_noise(noise *n) {
    wilor_heap_free(n->block);
    wilor_heap_free(n->rgb);
}

/* ---------------------------------------------------------------- the oracle */

static int clamp(int v, int last) { return v < 0 ? 0 : v > last ? last : v; }

/* Neighbours of pixel i and the weight of the second, 0 … 2048. */
static int neighbours(int i, int from, int to, bool column, int at[2], int weight[2]) {
    float f = (float)((i + 0.5) * (1.0 / ((double)to / from)) - 0.5);
    int s = (int)floor((double)f);
    float part = f - (float)s;
    if (column && (s < 0 || s >= from - 1)) {
        s = clamp(s, from - 1);
        part = 0;
    }
    at[0] = clamp(s, from - 1);
    at[1] = clamp(s + 1, from - 1);
    weight[0] = (int)rintf((1.0f - part) * 2048.0f);
    weight[1] = (int)rintf(part * 2048.0f);
    return s;
}

static int linear(const noise *n, int x, int y, int c, int width, int height) {
    int pw = n->picture.width, ph = n->picture.height;
    int xs[2], ys[2], a[2], b[2], mixed[2];
#define PIXEL(px, py) n->rgb[((size_t)(py) * (size_t)pw + (size_t)(px)) * 3 + (size_t)c]
    if (pw == width && ph == height)
        return PIXEL(x, y);
    if (pw == 2 * width && ph == 2 * height)
        return (PIXEL(2 * x, 2 * y) + PIXEL(2 * x + 1, 2 * y) + PIXEL(2 * x, 2 * y + 1) +
                PIXEL(2 * x + 1, 2 * y + 1) + 2) /
               4;
    neighbours(x, pw, width, true, xs, a);
    neighbours(y, ph, height, false, ys, b);
    for (int k = 0; k < 2; k++)
        mixed[k] = PIXEL(xs[0], ys[k]) * a[0] + PIXEL(xs[1], ys[k]) * a[1];
    return (((b[0] * (mixed[0] >> 4)) >> 16) + ((b[1] * (mixed[1] >> 4)) >> 16) + 2) >> 2;
}

/* As wilor-mlx does it, one channel of one pixel. */
static int sampled(const noise *n, int x, int y, int c, int side) {
    int pw = n->picture.width, ph = n->picture.height, most = pw > ph ? pw : ph;
    float tx = ((float)x + 0.5f) / (float)side, ty = ((float)y + 0.5f) / (float)side;
    float gx = (float)(pw / 2.0 - most / 2.0) + tx * (float)most;
    float gy = (float)(ph / 2.0 - most / 2.0) + ty * (float)most;
    if (gx < 0 || gx > (float)(pw - 1) || gy < 0 || gy > (float)(ph - 1))
        return 114;
    gx = fminf(gx, (float)(pw - 1 - 1e-6));
    gy = fminf(gy, (float)(ph - 1 - 1e-6));
    int x0 = (int)gx, y0 = (int)gy, x1 = clamp(x0 + 1, pw - 1), y1 = clamp(y0 + 1, ph - 1);
    float fx = gx - (float)x0, fy = gy - (float)y0;
    return (int)((float)PIXEL(x0, y0) * (1 - fx) * (1 - fy) +
                 (float)PIXEL(x1, y0) * fx * (1 - fy) + (float)PIXEL(x0, y1) * (1 - fx) * fy +
                 (float)PIXEL(x1, y1) * fx * fy);
#undef PIXEL
}

/* What pixel x, y of the input should be. */
static int wanted(const wilor_letterbox *l, const noise *n, int x, int y, int c) {
    if (l->rule == WILOR_LETTERBOX_MLX)
        return sampled(n, x, y, c, l->width);
    x -= l->left;
    y -= l->top;
    if (x < 0 || y < 0 || x >= l->inner_width || y >= l->inner_height)
        return 114;
    return linear(n, x, y, c, l->inner_width, l->inner_height);
}

/* ---------------------------------------------------------------- rows */

static const char *const rules[] = {"rect", "square", "mlx"};

static void plan(wilor_letterbox *l, int width, int height, int imgsz,
                 wilor_letterbox_rule rule) {
    wilor_error err;
    if (wilor_letterbox_plan(l, width, height, imgsz, rule, &err) != WILOR_OK)
        fail_msg("%d x %d at %d: %s", width, height, imgsz, err.text);
}

/* The whole input, made `step` rows at a time. */
static uint8_t *new_input(const wilor_letterbox *l, const wilor_picture *picture, int step) {
    size_t line = (size_t)l->width * 3;
    uint8_t *out = block(line * (size_t)l->height);
    for (int y = 0; y < l->height; y += step) {
        int rows = l->height - y < step ? l->height - y : step;
        uint8_t *part = block(line * (size_t)rows);
        void *scratch = block(wilor_letterbox_scratch(l));
        memset(scratch, 0xA5, wilor_letterbox_scratch(l));
        wilor_letterbox_rows(l, picture, y, rows, scratch, part);
        memcpy(out + line * (size_t)y, part, line * (size_t)rows);
        wilor_heap_free(scratch);
        wilor_heap_free(part);
    }
    return out;
}

static void expect_input(int width, int height, int imgsz, wilor_letterbox_rule rule,
                         int format) {
    wilor_letterbox l;
    plan(&l, width, height, imgsz, rule);
    noise n = new_noise(width, height, format, below(3) * below(20), below(2));
    uint8_t *got = new_input(&l, &n.picture, 1 + below(l.height)), *p = got;
    for (int y = 0; y < l.height; y++)
        for (int x = 0; x < l.width; x++)
            for (int c = 0; c < 3; c++, p++)
                if (*p != wanted(&l, &n, x, y, c))
                    fail_msg("%s %d x %d at %d, %s: channel %d of %d, %d is %d, not %d",
                             formats[format].name, width, height, imgsz, rules[rule], c, x, y,
                             *p, wanted(&l, &n, x, y, c));
    wilor_heap_free(got);
    free_noise(&n);
}

static void test_rows(void **state) {
    (void)state;
    int pictures = 0;
    for (int round = 0; round < 150; round++) {
        int imgsz = 32 * (1 + below(3)), width = 1 + below(130), height = 1 + below(130);
        for (int rule = 0; rule < 3; rule++) {
            wilor_letterbox l;
            if (wilor_letterbox_plan(&l, width, height, imgsz, (wilor_letterbox_rule)rule,
                                     NULL) != WILOR_OK)
                continue;
            expect_input(width, height, imgsz, (wilor_letterbox_rule)rule, round % FORMATS);
            pictures++;
        }
    }
    printf("%d random pictures\n", pictures);
    assert_true(pictures > 400);
}

static void test_special_sizes(void **state) {
    (void)state;
    static const int sizes[][3] = {{64, 64, 64},  /* as it is */
                                   {64, 48, 64},  /* as it is, padded */
                                   {128, 96, 64}, /* halved: means */
                                   {128, 97, 64}, /* nearly so */
                                   {126, 96, 64},  {1, 1, 64},   {1, 40, 96},  {2, 2, 32},
                                   {3000, 60, 64}, {31, 33, 32}, {70, 2, 416}, {511, 1, 512}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int format = 0; format < FORMATS; format++)
            for (int rule = 0; rule < 3; rule++)
                expect_input(sizes[i][0], sizes[i][1], sizes[i][2], (wilor_letterbox_rule)rule,
                             format);
}

/* ---------------------------------------------------------------- plans */

static void expect_plan(int width, int height, int imgsz, wilor_letterbox_rule rule,
                        const int want[6]) {
    wilor_letterbox l;
    plan(&l, width, height, imgsz, rule);
    const int got[6] = {l.width, l.height, l.inner_width, l.inner_height, l.left, l.top};
    for (int i = 0; i < 6; i++)
        if (got[i] != want[i])
            fail_msg("%d x %d at %d, %s: number %d of the plan is %d, not %d", width, height,
                     imgsz, rules[rule], i, got[i], want[i]);
}

static void test_plans(void **state) {
    (void)state;
    const wilor_letterbox_rule rect = WILOR_LETTERBOX_RECT, square = WILOR_LETTERBOX_SQUARE;
    expect_plan(640, 480, 256, rect, (const int[]){256, 192, 256, 192, 0, 0});
    expect_plan(640, 480, 250, rect, (const int[]){256, 192, 256, 192, 0, 0});
    expect_plan(640, 480, 256, square, (const int[]){256, 256, 256, 192, 0, 32});
    /* 256 · 333/517 = 164.9: 27 columns are free, the odd one is on the right */
    expect_plan(333, 517, 256, rect, (const int[]){192, 256, 165, 256, 13, 0});
    /* halves to even: 512 · 3/1024 = 1.5, 512 · 5/1024 = 2.5 */
    expect_plan(1024, 3, 512, rect, (const int[]){512, 32, 512, 2, 0, 15});
    expect_plan(1024, 5, 512, rect, (const int[]){512, 32, 512, 2, 0, 15});
    expect_plan(12000, 9000, 640, rect, (const int[]){640, 480, 640, 480, 0, 0});
    expect_plan(1, 1, 640, rect, (const int[]){640, 640, 640, 640, 0, 0});
    expect_plan(4000, 3000, 4096, rect, (const int[]){4096, 3072, 4096, 3072, 0, 0});
    expect_plan(640, 480, 512, WILOR_LETTERBOX_MLX, (const int[]){512, 512, 512, 512, 0, 0});
}

static void expect_error(int width, int height, int imgsz, wilor_status want,
                         const char *text) {
    wilor_letterbox l;
    wilor_error err;
    assert_int_equal(wilor_letterbox_plan(&l, width, height, imgsz, WILOR_LETTERBOX_RECT, &err),
                     want);
    if (!strstr(err.text, text))
        fail_msg("'%s' does not say '%s'", err.text, text);
}

static void test_errors(void **state) {
    (void)state;
    wilor_letterbox l;
    expect_error(1, 5000, 640, WILOR_ERR_ARG, "1 x 5000");
    expect_error(5000, 3, 640, WILOR_ERR_ARG, "5000 x 3"); /* 0.384 of a row */
    expect_error(1280, 1, 640, WILOR_ERR_ARG, "1280 x 1"); /* 0.5: to even */
    expect_error(0, 5, 640, WILOR_ERR_ARG, "0 x 5");
    expect_error(5, -1, 640, WILOR_ERR_ARG, "5 x -1");
    expect_error(5, 5, 0, WILOR_ERR_ARG, "of 0 pixels");
    expect_error(5, 5, 4097, WILOR_ERR_LIMIT, "4096");
    expect_error(5, 5, INT32_MAX, WILOR_ERR_LIMIT, "4096");
    expect_error(INT32_MAX, 1, 640, WILOR_ERR_ARG, "2147483647 x 1");
    /* wilor-mlx has no such limit: one row of pixels in grey */
    assert_int_equal(wilor_letterbox_plan(&l, 1, 5000, 512, WILOR_LETTERBOX_MLX, NULL),
                     WILOR_OK);
}

/* ---------------------------------------------------------------- back */

/* Box and first two keypoints (the second hardly visible) that one network box becomes. */
static void expect_back(int width, int height, int imgsz, wilor_letterbox_rule rule,
                        wilor_detector_profile profile, const double want[8]) {
    wilor_letterbox l;
    plan(&l, width, height, imgsz, rule);
    float box[4] = {40.25f, 50.5f, 300, 101.7f};
    float points[63] = {60, 70, 0.5f, 61, 71, 0.49f};
    wilor_letterbox_back(&l, profile, box, points);
    const float got[8] = {box[0],    box[1],    box[2],    box[3],
                          points[0], points[1], points[3], points[4]};
    for (int i = 0; i < 8; i++)
        if (!(fabs((double)got[i] - want[i]) < 1e-4))
            fail_msg("%d x %d at %d, %s, profile %d: number %d is %.6f, not %.6f", width,
                     height, imgsz, rules[rule], (int)profile, i, (double)got[i], want[i]);
    assert_true(points[2] == 0.5f && points[5] == 0.49f);
}

/* Worked out by hand from the formulas. 333 × 517 at 256: input 192 × 256, gain 256/517; the
 * picture is 164.8897 wide in it: half of the rest is 13.5551, 13 rounded after 0.1 is taken
 * off, as is half of 192 − 165. The gain of the new profile in x is 165/333. */
static void test_back(void **state) {
    (void)state;
    const wilor_letterbox_rule rect = WILOR_LETTERBOX_RECT;
    const double g = 256.0 / 517, h = 165.0 / 333, q = (192 - 333 * g) / 2;
    const double old[8] = {rint(27.25 / g), rint(50.5 / g), 333, rint(101.7 / g),
                           (60 - q) / g,    70 / g,         0,   0};
    expect_back(333, 517, 256, rect, WILOR_DETECTOR_8_1_34, old);
    const double new[8] = {27.25 / h, 50.5 / g, 333, 101.7 / g, 47 / h, 70 / g, 48 / h, 71 / g};
    expect_back(333, 517, 256, rect, WILOR_DETECTOR_8_4_190, new);
    /* Square: 32 rows of padding above; a box that begins in them is cut to the picture. */
    const double cut[8] = {101, 46, 640, 174, 150, 95, 0, 0};
    expect_back(640, 480, 256, WILOR_LETTERBOX_SQUARE, WILOR_DETECTOR_8_1_34, cut);
    /* Nothing is cut or hidden: 640/512 a pixel, (640 − 480)/2 rows above. */
    const double mlx[8] = {50.3125, -16.875, 375, 47.125, 75, 7.5, 76.25, 8.75};
    expect_back(640, 480, 512, WILOR_LETTERBOX_MLX, WILOR_DETECTOR_8_1_34, mlx);
    expect_back(640, 480, 512, WILOR_LETTERBOX_MLX, WILOR_DETECTOR_8_4_190, mlx);
    /* One pixel: everything beyond it is its edge. */
    const double one[8] = {0, 0, 0, 0, 60.0 / 640, 70.0 / 640, 0, 0};
    expect_back(1, 1, 640, rect, WILOR_DETECTOR_8_1_34, one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),  cmocka_unit_test(test_special_sizes),
        cmocka_unit_test(test_plans), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
