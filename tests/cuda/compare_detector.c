/* The detector's network: every anchor's undecoded numbers, then the decoded ones. */
#include "compare_yolo.h"

#include <stdio.h>
#include <stdlib.h>

void compare_yolo_open(compare_yolo *y, const compare_options *o, const char *device,
                       wilor_dtype dtype) {
    wilor_error err;
    y->detector = compare_open_detector(o, device, dtype);
    compare_need(wilor_threads_create(&y->pool, wilor_threads_default(), &err), &err,
                 "threads");
    compare_need(wilor_yolo_open(&y->run, y->detector->yolo, y->pool, false, &err), &err,
                 "a run");
}

void compare_yolo_close(compare_yolo *y) {
    wilor_yolo_close(&y->run);
    wilor_threads_free(&y->pool);
    wilor_detector_free(&y->detector);
}

void compare_yolo_forward(compare_yolo *y, const uint8_t *rgb, int width, int height) {
    wilor_error err;
    compare_need(wilor_yolo_begin(y->run, width, height, &err), &err, "an input's size");
    for (int row = 0; row < height; row++)
        wilor_yolo_put_row(y->run, row, rgb + (size_t)row * (size_t)width * 3);
    compare_need(wilor_yolo_forward(y->run, &err), &err, "the detector");
}

/* 129 numbers an anchor, then 69. */
static float *read_all(const compare_yolo *s, int decoded) {
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
static void compare_again(const compare_yolo *card) {
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
    compare_yolo cpu, card;
    double tolerance = o->dtype == WILOR_DTYPE_F32   ? 2e-5
                       : o->dtype == WILOR_DTYPE_F16 ? 2e-3
                                                     : 1.6e-2;
    uint8_t *rgb = compare_alloc((size_t)width * (size_t)height * 3);
    compare_fill_picture(rgb, width, height);
    compare_yolo_open(&cpu, o, "cpu", WILOR_DTYPE_F32);
    compare_yolo_open(&card, o, o->device, o->dtype);
    compare_yolo_forward(&cpu, rgb, width, height);
    compare_yolo_forward(&card, rgb, width, height);
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
    compare_yolo_close(&cpu);
    compare_yolo_close(&card);
    free(rgb);
}
