/* The pose network and the route from a picture: the back ends side by side in one process. The processor's
 * trace is kept, then the card's is held against it. */
#include "backend_cpu.h"
#include "backend_cuda.h"
#include "compare_pose.h"
#include "crop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGES = 512, CROP_FLOATS = 256 * 256 * 3 };

/* Relative to max(1, the stage's largest value): float32 differs by the order of sums; the 16-bit types by
 * their roundings, 2^-11 and 2^-8 of a number, which blocks add up as the root of their number. Of what a
 * user sees, metres: the 16-bit types' are what is promised at full size. f32x has 22 of float32's 24 bits: four
 * times its tolerance where numbers are not metres, for which the same is promised. */
compare_tolerances compare_allowed(const compare_options *o, int depth) {
    double s = o->scale, grown = s * sqrt((double)depth);
    if (o->dtype == WILOR_DTYPE_F32)
        return (compare_tolerances){2e-5 * s, 4e-6 * s, 1e-6 * s};
    if (o->dtype == WILOR_DTYPE_F32X)
        return (compare_tolerances){2e-5 * s, 16e-6 * s, 1e-6 * s};
    if (o->dtype == WILOR_DTYPE_F16)
        /* A rounding of float16 is 2^-11 = 4.9e-4; an attention's output has gone through five: its queries, its
         * keys, its weights, its values, itself. With the three blocks' growth: 2.1e-3. */
        return (compare_tolerances){1.2e-3 * grown, 1.2e-3 * grown, 5e-4 * s};
    /* As many roundings of bfloat16, which are eight times as large. */
    return (compare_tolerances){8 * 1.2e-3 * grown, 8 * 1.2e-3 * grown, 3e-3 * s};
}

void compare_open_pose(compare_pose *s, const compare_options *o, const char *device,
                       wilor_dtype dtype) {
    wilor_error err;
    wilor_session_options so;
    wilor_session_options_init(&so, sizeof so);
    so.batch = o->hands;
    so.full_path = o->full_path;
    s->model = compare_open_model(o, device, dtype);
    compare_need(wilor_session_create(&s->session, s->model, &so, &err), &err, "a session");
}

void compare_close_pose(compare_pose *s) {
    wilor_session_free(&s->session);
    wilor_model_free(&s->model);
}

/* The processor in float32 and the card as asked for, and the crops for both: --hands of them. */
float *compare_open_both(compare_pose *cpu, compare_pose *card, const compare_options *o) {
    float *rgb = compare_alloc((size_t)o->hands * CROP_FLOATS * sizeof *rgb);
    compare_fill_crops(rgb, o->hands);
    compare_open_pose(cpu, o, "cpu", WILOR_DTYPE_F32);
    compare_open_pose(card, o, o->device, o->dtype);
    return rgb;
}

void compare_close_both(compare_pose *cpu, compare_pose *card, float *rgb) {
    compare_close_pose(cpu);
    compare_close_pose(card);
    free(rgb);
}

/* ---------------------------------------------------------------- stages */

typedef struct stage {
    char name[40];
    int rows, cols, matched;
    float *data;
} stage;

typedef struct stages {
    stage at[STAGES];
    int n;
    compare_tolerances t;
    int matched;
} stages;

static void name_stage(char *out, size_t size, const char *name, int block) {
    snprintf(out, size, "%s %d", name, block);
}

/* Panels to rows. */
static void keep_stage(void *context, const char *name, int block, const float *data, int mr,
                       int rows, int cols) {
    stages *all = context;
    if (all->n == STAGES)
        return;
    stage *s = &all->at[all->n++];
    name_stage(s->name, sizeof s->name, name, block);
    s->rows = rows;
    s->cols = cols;
    s->matched = 0;
    s->data = compare_alloc((size_t)rows * (size_t)cols * sizeof(float));
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
            size_t to = (size_t)r * (size_t)cols + (size_t)c;
            size_t from = mr ? ((size_t)(r / mr) * (size_t)cols + (size_t)c) * (size_t)mr +
                                   (size_t)(r % mr)
                             : to;
            s->data[to] = data[from];
        }
}

/* Each stage once: by everything, hands are computed one by one under the same names. */
static void match_stage(void *context, const char *name, int block, const float *data, int rows,
                        int cols) {
    stages *all = context;
    char full[40];
    name_stage(full, sizeof full, name, block);
    for (int i = 0; i < all->n; i++) {
        stage *s = &all->at[i];
        /* The card may be asked for more hands than there are: its graph's size. */
        if (s->matched || strcmp(s->name, full) || s->cols != cols || s->rows > rows)
            continue;
        s->matched = 1;
        compare_numbers(full, data, s->data, (size_t)s->rows * (size_t)cols, all->t.tokens);
        all->matched++;
        return;
    }
}

void compare_hands(const wilor_hands *got, const wilor_hands *want,
                   const compare_tolerances *t) {
    size_t n = (size_t)want->n;
    compare_numbers("rotation", got->rotation, want->rotation, n * 144, t->outputs);
    compare_numbers("betas", got->betas, want->betas, n * 10, t->outputs);
    compare_numbers("pred_cam", got->pred_cam, want->pred_cam, n * 3, t->outputs);
    compare_numbers("keypoints (m)", got->keypoints_3d, want->keypoints_3d, n * 63, t->metres);
    compare_numbers("vertices (m)", got->vertices_3d, want->vertices_3d,
                    n * (size_t)want->vertices * 3, t->metres);
}

/* The same again by the graph, which the trace goes without. */
static void compare_graph(compare_pose *card, const float *rgb, int n,
                          const wilor_hands *traced) {
    wilor_error err;
    const wilor_hands *hands;
    size_t count = (size_t)n * (size_t)traced->vertices * 3;
    float *kept = compare_alloc(count * sizeof *kept);
    memcpy(kept, traced->vertices_3d, count * sizeof *kept);
    compare_need(wilor_run(card->session, rgb, n, &hands, &err), &err, "a run by graph");
    compare_numbers("graph as traced (m)", hands->vertices_3d, kept, count, 0);
    free(kept);
}

/* Move both sides' cameras, so that points fall on more than the corner's pixels. */
void compare_shift_cameras(compare_pose *cpu, compare_pose *card, float by) {
    const wilor_cuda_table *table;
    wilor_cuda_error e = {{0}};
    void *inside, *model;
    const wilor_cpu_model *m = cpu->model->network;
    float *cam = (float *)(uintptr_t)m->vit.init_cam;
    cam[1] += by;
    wilor_cuda_session_inside(card->session->work, &table, &inside, &model);
    if (table->model_put(model, WILOR_NET_INIT_CAM, 0, cam, &e) != WILOR_CUDA_OK) {
        printf("FAIL the camera: %s\n", e.text);
        exit(2);
    }
}

/* Hands that the lean pass cannot finish: the card begins again from the last block. */
void compare_wide(const compare_options *o) {
    wilor_error err;
    const wilor_hands *want, *got;
    compare_pose cpu, card;
    float *rgb = compare_open_both(&cpu, &card, o);
    compare_tolerances t = compare_allowed(o, cpu.model->info.depth);
    static const float shifts[] = {3, 9}; /* to some patches, then to nearly all */
    for (int i = 0; i < 2; i++) {
        compare_shift_cameras(&cpu, &card, shifts[i]);
        compare_need(wilor_run(cpu.session, rgb, o->hands, &want, &err), &err, "the processor");
        int corner = ((wilor_cpu_session *)cpu.session->work)->corner[0];
        printf("-- %d patches a side\n", corner);
        g_compare_failed += corner <= WILOR_CORNER_LEAST;
        compare_need(wilor_run(card.session, rgb, o->hands, &got, &err), &err, "the card");
        compare_hands(got, want, &t);
    }
    compare_close_both(&cpu, &card, rgb);
}

/* Every number of hands up to --hands, however they are shared out over the cards of --device. */
void compare_cards(const compare_options *o) {
    wilor_error err;
    const wilor_hands *want, *got;
    compare_pose cpu, card;
    float *rgb = compare_open_both(&cpu, &card, o);
    compare_tolerances t = compare_allowed(o, cpu.model->info.depth);
    for (int n = 1; n <= o->hands; n++) {
        printf("-- %d hands on %s\n", n, card.model->info.device);
        compare_need(wilor_run(cpu.session, rgb, n, &want, &err), &err, "the processor");
        compare_need(wilor_run(card.session, rgb, n, &got, &err), &err, "the cards");
        compare_hands(got, want, &t);
    }
    compare_close_both(&cpu, &card, rgb);
}

void compare_network(const compare_options *o) {
    wilor_error err;
    const wilor_hands *want, *got;
    const wilor_cuda_table *table;
    void *inside, *model;
    compare_pose cpu, card;
    stages all = {.n = 0};
    float *rgb = compare_open_both(&cpu, &card, o);
    all.t = compare_allowed(o, cpu.model->info.depth);
    wilor_cpu_session *work = cpu.session->work;
    work->vit.trace = keep_stage;
    work->vit.trace_context = &all;
    compare_need(wilor_run(cpu.session, rgb, o->hands, &want, &err), &err, "the processor");
    wilor_cuda_session_inside(card.session->work, &table, &inside, &model);
    table->session_trace(inside, match_stage, &all);
    compare_need(wilor_run(card.session, rgb, o->hands, &got, &err), &err, "the card");
    table->session_trace(inside, NULL, NULL);
    compare_hands(got, want, &all.t);
    if (all.matched < 2 + cpu.model->info.depth) {
        printf("FAIL only %d stages could be compared\n", all.matched);
        g_compare_failed++;
    }
    compare_graph(&card, rgb, o->hands, got);
    compare_close_both(&cpu, &card, rgb);
    for (int i = 0; i < all.n; i++)
        free(all.at[i].data);
}

/* ---------------------------------------------------------------- from a picture */

/* Of the first card, if there are several: n of them. */
static void check_crops(compare_pose *cpu, compare_pose *card, int n) {
    wilor_cuda_error e = {{0}};
    const wilor_cuda_table *table;
    void *inside, *model;
    float *got = compare_alloc((size_t)n * CROP_FLOATS * sizeof *got);
    wilor_cuda_session_inside(card->session->work, &table, &inside, &model);
    if (table->session_crops(inside, n, got, &e) != WILOR_CUDA_OK) {
        printf("FAIL the card's crops: %s\n", e.text);
        exit(2);
    }
    /* The same levels. Smoothed crops come from the processor and are not whole numbers. */
    compare_numbers("crops (levels)", got, cpu->session->crops, (size_t)n * CROP_FLOATS, 0);
    free(got);
}

void compare_route(const compare_options *o) {
    enum { BOXES = 5 };

    static const wilor_box boxes[BOXES] = {
        {{200, 150, 290, 260}, 1, WILOR_RIGHT}, /* inside */
        {{30.25, 40.5, 71, 90}, 1, WILOR_LEFT}, /* mirrored, small */
        {{-40, 380, 60, 500}, 1, WILOR_RIGHT},  /* over the edge */
        {{590, -30, 700, 40}, 1, WILOR_LEFT},   /* over the other corner */
        {{100, 60, 420, 400}, 1, WILOR_RIGHT}   /* large: smoothed by the processor */
    };
    wilor_error err;
    const wilor_hands *want, *got;
    compare_pose cpu, card;
    compare_options five = *o;
    wilor_picture picture;
    uint8_t *pixels = compare_make_picture(&picture, o);
    five.hands = BOXES;
    compare_open_pose(&cpu, &five, "cpu", WILOR_DTYPE_F32);
    compare_open_pose(&card, &five, o->device, o->dtype);
    const int first = strchr(card.model->info.device, ',') ? 1 : BOXES;
    compare_tolerances t = compare_allowed(o, cpu.model->info.depth);
    for (int warp = 0; warp < 2; warp++) {
        wilor_predict_options po;
        wilor_predict_options_init(&po, sizeof po);
        po.warp = warp ? WILOR_WARP_CV4 : WILOR_WARP_CV5;
        printf("-- OpenCV %d's grid\n", warp ? 4 : 5);
        compare_need(wilor_predict_boxes(cpu.session, &picture, boxes, BOXES, &po, &want, &err),
                     &err, "the processor");
        compare_need(wilor_predict_boxes(card.session, &picture, boxes, BOXES, &po, &got, &err),
                     &err, "the card");
        check_crops(&cpu, &card, first);
        compare_hands(got, want, &t);
    }
    compare_close_pose(&cpu);
    compare_close_pose(&card);
    free(pixels);
}
