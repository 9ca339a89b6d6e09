/* The detector's network: every anchor's undecoded numbers, then the decoded ones. */
#include "compare.h"
#include "model_impl.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct side {
    wilor_detector *detector;
    wilor_threads *pool;
    wilor_yolo_run *run;
} side;

static void open_side(side *s, const compare_options *o, const char *device, wilor_dtype dtype,
                      const uint8_t *rgb, int width, int height) {
    wilor_error err;
    wilor_detector_options d;
    wilor_detector_options_init(&d, sizeof d);
    d.detector = o->detector;
    d.device = device;
    d.dtype = dtype;
    compare_need(wilor_detector_open(&s->detector, &d, &err), &err, "opening the detector");
    compare_need(wilor_threads_create(&s->pool, wilor_threads_default(), &err), &err,
                 "threads");
    compare_need(wilor_yolo_open(&s->run, s->detector->yolo, s->pool, false, &err), &err,
                 "a run");
    compare_need(wilor_yolo_begin(s->run, width, height, &err), &err, "an input's size");
    for (int y = 0; y < height; y++)
        wilor_yolo_put_row(s->run, y, rgb + (size_t)y * (size_t)width * 3);
    compare_need(wilor_yolo_forward(s->run, &err), &err, "the detector");
}

static void close_side(side *s) {
    wilor_yolo_close(&s->run);
    wilor_threads_free(&s->pool);
    wilor_detector_free(&s->detector);
}

/* 129 numbers an anchor, then 69. */
static float *read_all(const side *s, int decoded) {
    enum { RAW = 129 };

    int anchors = wilor_yolo_anchors(s->run), each = decoded ? WILOR_YOLO_ROWS : RAW;
    float *out = compare_alloc((size_t)anchors * (size_t)each * sizeof *out);
    for (int i = 0; i < anchors; i++) {
        float *to = out + (size_t)i * (size_t)each;
        if (decoded)
            wilor_yolo_column(s->run, i, to);
        else
            wilor_yolo_undecoded(s->run, i, to);
    }
    return out;
}

/* The same again is the same to the last bit. */
static void compare_again(const side *card) {
    wilor_error err;
    size_t count = (size_t)wilor_yolo_anchors(card->run) * 129;
    float *once = read_all(card, 0), *again;
    compare_need(wilor_yolo_forward(card->run, &err), &err, "the detector, again");
    again = read_all(card, 0);
    compare_numbers("again", again, once, count, 0);
    free(once);
    free(again);
}

void compare_detector(const compare_options *o) {
    int width = (o->width + 31) / 32 * 32, height = (o->height + 31) / 32 * 32;
    side cpu, card;
    double tolerance = o->dtype == WILOR_DTYPE_F32   ? 2e-5
                       : o->dtype == WILOR_DTYPE_F16 ? 2e-3
                                                     : 1.6e-2;
    uint8_t *rgb = compare_alloc((size_t)width * (size_t)height * 3);
    compare_fill_picture(rgb, width, height);
    open_side(&cpu, o, "cpu", WILOR_DTYPE_F32, rgb, width, height);
    open_side(&card, o, o->device, o->dtype, rgb, width, height);
    size_t anchors = (size_t)wilor_yolo_anchors(cpu.run);
    compare_again(&card);
    for (int decoded = 0; decoded < 2; decoded++) {
        float *want = read_all(&cpu, decoded), *got = read_all(&card, decoded);
        compare_numbers(decoded ? "decoded" : "undecoded", got, want,
                        anchors * (size_t)(decoded ? WILOR_YOLO_ROWS : 129),
                        tolerance * o->scale);
        free(want);
        free(got);
    }
    close_side(&cpu);
    close_side(&card);
    free(rgb);
}
