/* What the card makes of frames for the detector: the input's bytes, the choice of anchors, and that the crops' are
 * the same frame. All of it to the last bit. */
#include "backend_cuda.h"
#include "compare_yolo.h"
#include "yolo_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 129, POINTS = 63 };

static uint32_t g_random = 1;

static int below(int n) {
    g_random = g_random * 1664525u + 1013904223u;
    return (int)((g_random >> 8) % (uint32_t)n);
}

static void tell(bool ok, const char *what, int which, int of) {
    printf("%s %-24s %d of %d\n", ok ? "ok  " : "FAIL", what, which, of);
    fflush(stdout);
    g_compare_failed += !ok;
}

/* ---------------------------------------------------------------- a detector on the card */

typedef struct side {
    compare_yolo y;
    const wilor_cuda_table *table;
    void *inside;
} side;

static void open_side(side *s, const compare_options *o) {
    wilor_error err;
    compare_yolo_open(&s->y, o, o->device, o->dtype);
    compare_need(wilor_cuda_module_open(&s->table, &err), &err, "the module");
    wilor_cuda_detector_inside(s->y.run, &s->inside);
}

static void put_frame(side *s, const wilor_letterbox *l, const wilor_picture *picture) {
    wilor_error err;
    wilor_yolo_frame f = {.letterbox = l};
    wilor_letterbox_pixel(picture, &f.pixel, f.channel);
    compare_need(wilor_yolo_begin(s->y.run, l->width, l->height, &err), &err,
                 "an input's size");
    compare_need(wilor_yolo_frame_begin(s->y.run, &f, &err), &err, "a frame");
    for (int y = 0; y < picture->height; y++)
        memcpy(wilor_yolo_frame_row(s->y.run, y), picture->data + y * picture->stride,
               (size_t)(picture->width * f.pixel));
}

static uint8_t *host_input(const wilor_letterbox *l, const wilor_picture *picture) {
    uint8_t *rgb = compare_alloc((size_t)l->width * (size_t)l->height * 3);
    void *scratch = compare_alloc(wilor_letterbox_scratch(l));
    wilor_letterbox_rows(l, picture, 0, l->height, scratch, rgb);
    free(scratch);
    return rgb;
}

/* ---------------------------------------------------------------- the input's bytes */

static const struct {
    wilor_pixel_format format;
    int bytes;
} formats[] = {
    {WILOR_RGB8, 3}, {WILOR_BGR8, 3}, {WILOR_RGBA8, 4}, {WILOR_BGRA8, 4}, {WILOR_GRAY8, 1}};

/* Noise of this size as the card and as the processor make an input of it; false: neither can. */
static bool same_input(side *s, int width, int height, int imgsz, wilor_letterbox_rule rule,
                       bool *same) {
    wilor_cuda_error e = {{0}};
    wilor_letterbox l;
    int format = below(5), line = width * formats[format].bytes + below(2) * below(20);
    if (wilor_letterbox_plan(&l, width, height, imgsz, rule, NULL) != WILOR_OK)
        return false;
    size_t bytes = (size_t)l.width * (size_t)l.height * 3;
    uint8_t *pixels = compare_alloc((size_t)line * (size_t)height);
    wilor_picture picture = {.data = pixels,
                             .width = width,
                             .height = height,
                             .stride = line,
                             .format = formats[format].format};
    for (int i = 0; i < line * height; i++)
        pixels[i] = (uint8_t)below(256);
    uint8_t *want = host_input(&l, &picture), *got = compare_alloc(bytes);
    put_frame(s, &l, &picture);
    if (s->table->net_run_input(s->inside, got, &e) != WILOR_CUDA_OK) {
        printf("FAIL the card's input: %s\n", e.text);
        exit(2);
    }
    *same = memcmp(got, want, bytes) == 0;
    if (!*same)
        printf("FAIL %d x %d, format %d, at %d: other bytes\n", width, height,
               (int)picture.format, imgsz);
    free(pixels);
    free(want);
    free(got);
    return true;
}

static void compare_inputs(side *s) {
    static const int sizes[][3] = {{1, 1, 32},     {1, 2, 64},     {3, 1, 96},
                                   {64, 64, 64},   {128, 128, 64}, {129, 127, 64},
                                   {64, 1, 64},    {1, 64, 64},    {640, 480, 96},
                                   {641, 479, 96}, {97, 1000, 96}, {31, 33, 96}};
    const int fixed = (int)(sizeof sizes / sizeof sizes[0]);
    int made = 0, right = 0;
    for (int i = 0; i < 120; i++)
        for (int rule = WILOR_LETTERBOX_RECT; rule <= WILOR_LETTERBOX_SQUARE; rule++) {
            bool known = i < fixed, same = false;
            int width = known ? sizes[i][0] : 1 + below(150);
            int height = known ? sizes[i][1] : 1 + below(150);
            int imgsz = known ? sizes[i][2] : 32 * (1 + below(3));
            if (!same_input(s, width, height, imgsz, (wilor_letterbox_rule)rule, &same))
                continue;
            made++;
            right += same;
        }
    tell(made > 150 && right == made, "inputs, same bytes", right, made);
}

/* ---------------------------------------------------------------- the choice */

typedef struct found {
    int n;
    wilor_candidate *at;
    float *points;
} found;

static found find_all(const side *s, float conf) {
    int anchors = wilor_yolo_anchors(s->y.run);
    found f = {.at = compare_alloc((size_t)anchors * sizeof *f.at),
               .points = compare_alloc((size_t)anchors * POINTS * sizeof *f.points)};
    f.n = wilor_yolo_candidates(s->y.run, conf, f.at, anchors);
    for (int i = 0; i < f.n; i++)
        wilor_yolo_keypoints(s->y.run, f.at[i].anchor, f.points + (size_t)i * POINTS);
    return f;
}

static void free_found(found *f) {
    free(f->at);
    free(f->points);
}

/* By the card's list, or by all numbers because that is too short, as by all numbers. */
static void match(const char *what, found *got, found *want, int chosen, bool listed) {
    size_t n = (size_t)want->n;
    bool same = got->n == want->n && memcmp(got->at, want->at, n * sizeof *got->at) == 0 &&
                memcmp(got->points, want->points, n * POINTS * sizeof(float)) == 0;
    tell(same && listed == (chosen >= 0), what, got->n, want->n);
    free_found(got);
    free_found(want);
}

/* Numbers in place of the network's: `high` anchors, spread out, are above the threshold of 0.3. */
static void fill_numbers(float *numbers, int anchors, int high) {
    for (int i = 0; i < anchors * NUMBERS; i++)
        numbers[i] = (float)below(1000) / 250.0f - 2;
    for (int i = 0; i < anchors; i++) {
        float *logits = numbers + i * NUMBERS + 64;
        bool is_high = (int64_t)(i + 1) * high / anchors > (int64_t)i * high / anchors;
        logits[0] = -5;
        logits[1] = -6;
        logits[i % 2] = is_high ? (float)below(300) / 100.0f - 0.5f : logits[i % 2];
    }
}

/* The heads in host memory become these numbers; NULL: none. */
static void put_heads(const side *s, const float *numbers) {
    for (int l = 0; l < 3; l++) {
        const wilor_yolo_area *m = &s->y.run->layout.maps[s->y.detector->yolo->program.head[l]];
        size_t count = (size_t)m->width * (size_t)m->height * NUMBERS;
        if (numbers)
            memcpy(m->data, numbers, count * sizeof *numbers);
        else
            memset(m->data, 0xFF, count * sizeof *numbers);
        numbers = numbers ? numbers + count : NULL;
    }
}

/* Numbers that are none, or beyond all, among the logits and elsewhere. */
static void spoil(float *numbers, int anchors) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, -NAN};
    for (int i = 0; i < anchors; i += 7) {
        float *logits = numbers + i * NUMBERS + 64;
        logits[i / 7 % 2] = odd[i / 7 % 4];
        numbers[i * NUMBERS + below(NUMBERS)] = odd[below(4)];
    }
}

static void choose(side *s, const float *numbers, float conf) {
    wilor_cuda_error e = {{0}};
    wilor_cuda_chosen c;
    if (s->table->net_run_choose(s->inside, numbers, wilor_yolo_lowest_logit(conf), &c, &e) !=
        WILOR_CUDA_OK) {
        printf("FAIL the card's choice: %s\n", e.text);
        exit(2);
    }
    s->y.run->chosen = (wilor_yolo_chosen){c.count, c.anchor, c.numbers};
}

static void match_choice(side *s, float *numbers, int high, bool spoiled, const char *what) {
    int anchors = wilor_yolo_anchors(s->y.run);
    const float conf = 0.3f;
    fill_numbers(numbers, anchors, high);
    if (spoiled)
        spoil(numbers, anchors);
    put_heads(s, numbers);
    s->y.run->chosen.count = -1;
    found want = find_all(s, conf);
    put_heads(s, NULL);
    choose(s, numbers, conf);
    found got = find_all(s, conf);
    match(what, &got, &want, s->y.run->chosen.count, high <= WILOR_CUDA_MOST_CHOSEN);
}

static void compare_choices(side *s) {
    wilor_error err;
    compare_need(wilor_yolo_begin(s->y.run, 160, 128, &err), &err, "an input's size");
    int anchors = wilor_yolo_anchors(s->y.run);
    float *numbers = compare_alloc((size_t)anchors * NUMBERS * sizeof *numbers);
    match_choice(s, numbers, 0, false, "no anchor");
    match_choice(s, numbers, 1, false, "one anchor");
    match_choice(s, numbers, 37, false, "some anchors");
    match_choice(s, numbers, WILOR_CUDA_MOST_CHOSEN, false, "as many as the list holds");
    match_choice(s, numbers, WILOR_CUDA_MOST_CHOSEN + 1, false, "one more");
    match_choice(s, numbers, anchors, false, "every anchor");
    match_choice(s, numbers, 60, true, "numbers that are none");
    free(numbers);
}

/* ---------------------------------------------------------------- both, and the network */

/* The score that `above` anchors of the last forward are above. */
static float score_below(const side *s, int above) {
    int anchors = wilor_yolo_anchors(s->y.run);
    float column[WILOR_YOLO_ROWS], *best = compare_alloc((size_t)anchors * sizeof *best);
    for (int i = 0; i < anchors; i++) {
        wilor_yolo_column(s->y.run, i, column);
        best[i] = column[4] > column[5] ? column[4] : column[5];
    }
    compare_sort(best, (size_t)anchors);
    float conf = best[anchors - 1 - above];
    free(best);
    return conf;
}

/* A frame and the list against the processor's letterbox and all numbers. */
static void compare_network_too(side *s, const wilor_picture *picture) {
    static const int above[] = {0, 20, 300};
    wilor_error err;
    wilor_letterbox l;
    compare_need(wilor_letterbox_plan(&l, picture->width, picture->height, 160,
                                      WILOR_LETTERBOX_RECT, &err),
                 &err, "an input's size");
    uint8_t *rgb = host_input(&l, picture);
    for (int i = 0; i < 3; i++) {
        compare_yolo_forward(&s->y, rgb, l.width, l.height);
        float conf = score_below(s, above[i]);
        found want = find_all(s, conf);
        put_frame(s, &l, picture);
        compare_need(wilor_yolo_forward_above(s->y.run, conf, &err), &err, "the detector");
        found got = find_all(s, conf);
        match("frame, boxes", &got, &want, s->y.run->chosen.count,
              above[i] < WILOR_CUDA_MOST_CHOSEN);
    }
    free(rgb);
}

/* ---------------------------------------------------------------- one upload */

/* Hands of a picture and boxes, in the pipeline's one call or after a call for another picture. */
static float *run_hands(wilor_pipeline *p, const wilor_picture *picture,
                        const wilor_picture *other, size_t *count) {
    static const wilor_box boxes[2] = {{{40, 30, 130, 110}, 1, WILOR_RIGHT},
                                       {{90, 50, 170, 140}, 1, WILOR_LEFT}};
    wilor_error err;
    const wilor_hands *h;
    const wilor_detections *d;
    wilor_detect_options o;
    wilor_detect_options_init(&o, sizeof o);
    o.conf = 0.999999;
    o.imgsz = 64;
    if (other) {
        compare_need(wilor_detect(p, other, 1, &o, &d, &err), &err, "a detection");
        compare_need(
            wilor_predict_boxes(wilor_pipeline_session(p), picture, boxes, 2, NULL, &h, &err),
            &err, "hands");
    } else {
        compare_need(wilor_pipeline_run(p, picture, boxes, 2, &o, NULL, &h, &err), &err,
                     "hands");
    }
    *count = (size_t)h->n * (size_t)h->vertices * 3;
    float *kept = compare_alloc(*count * sizeof *kept);
    memcpy(kept, h->vertices_3d, *count * sizeof *kept);
    return kept;
}

static void compare_upload(const side *s, const compare_options *o,
                           const wilor_picture *picture, const wilor_picture *other) {
    wilor_error err;
    wilor_model *model = compare_open_model(o, o->device, o->dtype);
    wilor_pipeline *p;
    wilor_pipeline_options po;
    size_t count, again;
    wilor_pipeline_options_init(&po, sizeof po);
    po.max_hands = po.batch = 2;
    compare_need(wilor_pipeline_create(&p, s->y.detector, model, &po, &err), &err,
                 "a pipeline");
    free(run_hands(p, other, other, &count)); /* what a session would find in its own memory */
    float *got = run_hands(p, picture, NULL, &again);
    float *want = run_hands(p, picture, other, &count);
    compare_numbers("frame uploaded once (m)", got, want, count < again ? count : again, 0);
    tell(count == again && count > 0, "numbers of hands", (int)again, (int)count);
    free(want);
    free(got);
    wilor_pipeline_free(&p);
    wilor_model_free(&model);
}

void compare_frames(const compare_options *o) {
    side s;
    const int width = o->width, height = o->height;
    const size_t bytes = (size_t)width * (size_t)height * 3;
    uint8_t *pixels = compare_alloc(bytes), *others = compare_alloc(bytes);
    compare_fill_picture(pixels, width, height);
    memset(others, 0x55, bytes);
    /* From the last row up, blue first. */
    wilor_picture picture = {.data = pixels + (size_t)(height - 1) * (size_t)width * 3,
                             .width = width,
                             .height = height,
                             .stride = -width * 3,
                             .format = WILOR_BGR8};
    wilor_picture other = {.data = others,
                           .width = width,
                           .height = height,
                           .stride = width * 3,
                           .format = WILOR_RGB8};
    open_side(&s, o);
    compare_inputs(&s);
    compare_choices(&s);
    compare_network_too(&s, &picture);
    compare_upload(&s, o, &picture, &other);
    compare_yolo_close(&s.y);
    free(pixels);
    free(others);
}
