/* cuda_compare WHAT [options]: a card against the processor's float32, stage by stage.
 *
 *   network   tokens after every stage of every block, then the hands
 *   cards     hands on several cards, in every number up to --hands
 *   wide      hands whose points need more than the corner's patches
 *   route     crops and hands from a picture
 *   sides     the side head's logits: of --weights' own, or of one that is added in the file --headed
 *   turns     a picture's hands looked at twice by them
 *   detector  all anchors of an input
 *   frames    the detector's input, the choice of anchors, one upload
 *   times     milliseconds of hands, detector, and the whole route
 *   options   --weights W --mano M --detector D --device cuda:0[,cuda:1…] --dtype f32|f16|bf16 --hands N
 *             --size WxH --scale X --full-path --headed FILE
 * Every line is printed; the exit status is 1 when one of them was above its tolerance. */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int g_compare_failed;

void compare_need(wilor_status st, const wilor_error *err, const char *what) {
    if (st == WILOR_OK)
        return;
    printf("FAIL %s: %s\n", what, err->text);
    exit(2);
}

void *compare_alloc(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (!p) {
        printf("FAIL no memory for %zu bytes\n", bytes);
        exit(2);
    }
    return p;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

void compare_sort(float *x, size_t count) { qsort(x, count, sizeof *x, ascending); }

wilor_model *compare_open_model(const compare_options *o, const char *device,
                                wilor_dtype dtype) {
    wilor_error err;
    wilor_model *model;
    wilor_model_options mo;
    wilor_model_options_init(&mo, sizeof mo);
    mo.weights = o->weights;
    mo.mano = o->mano;
    mo.device = device;
    mo.dtype = dtype;
    compare_need(wilor_model_open(&model, &mo, &err), &err, "opening the model");
    return model;
}

wilor_detector *compare_open_detector(const compare_options *o, const char *device,
                                      wilor_dtype dtype) {
    wilor_error err;
    wilor_detector *detector;
    wilor_detector_options d;
    wilor_detector_options_init(&d, sizeof d);
    d.detector = o->detector;
    d.device = device;
    d.dtype = dtype;
    compare_need(wilor_detector_open(&detector, &d, &err), &err, "opening the detector");
    return detector;
}

static float difference(float got, float want) {
    if (isnan(want) || isinf(want))
        return (isnan(want) && isnan(got)) || got == want ? 0.0f : INFINITY;
    float d = fabsf(got - want);
    return isnan(d) ? INFINITY : d;
}

void compare_numbers(const char *what, const float *got, const float *want, size_t count,
                     double tolerance) {
    float *d = compare_alloc(count * sizeof *d);
    double largest = 0;
    for (size_t i = 0; i < count; i++) {
        d[i] = difference(got[i], want[i]);
        if (isfinite(want[i]) && fabsf(want[i]) > largest)
            largest = fabsf(want[i]);
    }
    compare_sort(d, count);
    double limit = tolerance * (largest > 1 ? largest : 1);
    int ok = count > 0 && d[count - 1] <= limit;
    printf("%s %-24s max %.3g median %.3g of %.3g, allowed %.3g\n", ok ? "ok  " : "FAIL", what,
           count ? (double)d[count - 1] : 0, count ? (double)d[count / 2] : 0, largest, limit);
    fflush(stdout);
    g_compare_failed += !ok;
    free(d);
}

static uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    return x ^ x >> 16;
}

static float level(int seed, int x, int y, int c, int width, int height) {
    float u = (float)x / (float)width, v = (float)y / (float)height, s = (float)seed;
    float soft =
        120 + 60 * sinf(7 * u + s + (float)c) * cosf(5 * v - s) + 40 * sinf(23 * u * v);
    float noise = (float)(mix((uint32_t)(((seed * 4096 + y) * 4096 + x) * 3 + c)) % 41) - 20;
    float l = floorf(soft + noise);
    return l < 0 ? 0 : l > 255 ? 255 : l;
}

void compare_fill_crops(float *rgb, int n) {
    for (int i = 0; i < n; i++)
        for (int y = 0; y < 256; y++)
            for (int x = 0; x < 256; x++)
                for (int c = 0; c < 3; c++)
                    *rgb++ = level(i + 1, x, y, c, 256, 256);
}

void compare_fill_picture(uint8_t *rgb, int width, int height) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                *rgb++ = (uint8_t)level(77, x, y, c, width, height);
}

uint8_t *compare_make_picture(wilor_picture *out, const compare_options *o) {
    uint8_t *pixels = compare_alloc((size_t)o->width * (size_t)o->height * 3);
    compare_fill_picture(pixels, o->width, o->height);
    *out = (wilor_picture){.data = pixels,
                           .width = o->width,
                           .height = o->height,
                           .stride = o->width * 3,
                           .format = WILOR_RGB8};
    return pixels;
}

static wilor_dtype dtype_named(const char *name) {
    for (int i = 0; i <= WILOR_DTYPE_FP8; i++)
        if (!strcmp(wilor_dtype_name((wilor_dtype)i), name))
            return (wilor_dtype)i;
    printf("FAIL there is no dtype %s\n", name);
    exit(2);
}

static void take(compare_options *o, const char *name, const char *value) {
    if (!strcmp(name, "--weights"))
        o->weights = value;
    else if (!strcmp(name, "--mano"))
        o->mano = value;
    else if (!strcmp(name, "--headed"))
        o->headed = value;
    else if (!strcmp(name, "--detector"))
        o->detector = value;
    else if (!strcmp(name, "--device"))
        o->device = value;
    else if (!strcmp(name, "--dtype"))
        o->dtype = dtype_named(value);
    else if (!strcmp(name, "--hands"))
        o->hands = atoi(value);
    else if (!strcmp(name, "--scale"))
        o->scale = atof(value);
    else if (strcmp(name, "--size") || sscanf(value, "%dx%d", &o->width, &o->height) != 2) {
        printf("FAIL option %s %s\n", name, value);
        exit(2);
    }
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(const compare_options *);
    } checks[] = {
        {"network", compare_network},   {"cards", compare_cards},   {"wide", compare_wide},
        {"route", compare_route},       {"sides", compare_sides},   {"turns", compare_turns},
        {"detector", compare_detector}, {"frames", compare_frames}, {"times", compare_times}};

    compare_options o = {.weights = "random:tiny",
                         .detector = "random:micro",
                         .device = "cuda:0",
                         .dtype = WILOR_DTYPE_F16,
                         .hands = 2,
                         .width = 640,
                         .height = 480,
                         .scale = 1};
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--full-path"))
            o.full_path = 1;
        else if (i + 1 < argc) {
            take(&o, argv[i], argv[i + 1]);
            i++;
        }
    }
    for (size_t i = 0; argc > 1 && i < sizeof checks / sizeof checks[0]; i++)
        if (!strcmp(argv[1], checks[i].name)) {
            printf("== %s %s %s, %s\n", argv[1], o.weights, wilor_dtype_name(o.dtype),
                   o.device);
            checks[i].run(&o);
            return g_compare_failed ? 1 : 0;
        }
    printf("usage: cuda_compare network|cards|wide|route|sides|turns|detector|frames|times "
           "[options]\n");
    return 2;
}
