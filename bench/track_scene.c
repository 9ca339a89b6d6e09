/* The camera is a pinhole of 600 pixels in the middle of 640 × 480. */
#include "track_scene.h"
#include "camera.h"
#include "heap.h"
#include "rotation.h"
#include "status.h"
#include "tensor_index.h"
#include "track_boxes.h"
#include "tracker.h"

#include <math.h>
#include <string.h>

enum { BOXES = 16 };

static const double focal = 600;
static const double covered = 0.5; /* part of a hand behind another from which it is not seen */

struct scene {
    wilor_mano *mano;
    wilor_camera camera;
    uint64_t state;
    scene_hand hands[SCENE_MOST]; /* of the picture in work */
    int n;
    float *scratch, *vertices;
    uint8_t side[BOXES], failed[BOXES], detected[BOXES];
    float score[BOXES], box[BOXES * 4], crop[BOXES * 3], pred_cam[BOXES * 3], cam_t[BOXES * 3],
        focals[BOXES * 2], principal[BOXES * 2], distortion[BOXES * 5], points[BOXES * 63],
        pixels[BOXES * 42], orient[BOXES * 3], pose[BOXES * 45], betas[BOXES * 10],
        rotation[BOXES * 144], seen[BOXES * 63];
    wilor_hands out;
};

scene_noise scene_usual(void) {
    return (scene_noise){.miss = 0.05,
                         .invent = 0.01,
                         .flip = 0.02,
                         .twice = 0.02,
                         .box = 0.02,
                         .place = 0.01,
                         .depth = 0.015,
                         .turn = 0.03,
                         .bend = 0.04,
                         .shape = 0.3};
}

/* ---------------------------------------------------------------- open */

scene *scene_open(const char *hand, wilor_error *err) {
    wilor_index *index = NULL;
    scene *s = wilor_heap_alloc(1, sizeof *s);
    if (!s || wilor_index_open(&index, hand, err) != WILOR_OK ||
        wilor_index_canonical(index, err) != WILOR_OK ||
        wilor_mano_create(&s->mano, index, err) != WILOR_OK) {
        wilor_index_close(&index);
        scene_close(s);
        return NULL;
    }
    wilor_index_close(&index);
    size_t v = (size_t)wilor_mano_vertices(s->mano);
    s->scratch = wilor_heap_alloc(wilor_mano_scratch(s->mano), sizeof *s->scratch);
    s->vertices = wilor_heap_alloc(BOXES * v * 3, sizeof *s->vertices);
    if (!s->scratch || !s->vertices) {
        wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for a scene");
        scene_close(s);
        return NULL;
    }
    s->camera = (wilor_camera){
        .fx = focal, .fy = focal, .cx = SCENE_WIDTH / 2, .cy = SCENE_HEIGHT / 2, .given = 1};
    s->out = (wilor_hands){.vertices = (int)v,
                           .side = s->side,
                           .failed = s->failed,
                           .detected = s->detected,
                           .score = s->score,
                           .box = s->box,
                           .crop = s->crop,
                           .pred_cam = s->pred_cam,
                           .cam_t = s->cam_t,
                           .focal = s->focals,
                           .principal = s->principal,
                           .distortion = s->distortion,
                           .keypoints_3d = s->points,
                           .keypoints_2d = s->pixels,
                           .vertices_3d = s->vertices,
                           .global_orient = s->orient,
                           .hand_pose = s->pose,
                           .betas = s->betas,
                           .rotation = s->rotation,
                           .detected_keypoints = s->seen};
    scene_seed(s, 1);
    return s;
}

void scene_close(scene *s) {
    if (!s)
        return;
    wilor_mano_free(&s->mano);
    wilor_heap_free(s->scratch);
    wilor_heap_free(s->vertices);
    wilor_heap_free(s);
}

const wilor_mano *scene_mano(const scene *s) { return s->mano; }

/* ---------------------------------------------------------------- chance */

void scene_seed(scene *s, uint64_t seed) { s->state = seed * 2 + 1; }

double scene_random(scene *s) {
    s->state = s->state * 6364136223846793005u + 1442695040888963407u;
    return (double)(s->state >> 33) / 2147483648.0;
}

/* Normal, by Box and Muller. */
static double normal(scene *s) {
    double r = sqrt(-2 * log(1 - scene_random(s))), a = scene_random(s);
    return r * cos(6.283185307179586 * a);
}

/* ---------------------------------------------------------------- truth */

scene_hand scene_pose(wilor_side side, const double wrist[3], const double turn[3],
                      double bend) {
    scene_hand h = {.there = true, .side = side};
    memcpy(h.look.wrist, wrist, sizeof h.look.wrist);
    wilor_quaternion_exp_f64(turn, h.look.turns[0]);
    for (int j = 1; j < WILOR_MANO_JOINTS; j++) { /* a turn about +z bends (data/README.md) */
        const double v[3] = {0, 0, (side == WILOR_LEFT ? -1 : 1) * (j < 13 ? bend : bend / 3)};
        wilor_quaternion_exp_f64(v, h.look.turns[j]);
    }
    return h;
}

/* Points about the model's origin, and pixels, of a look. */
static void build(scene *s, wilor_side side, const wilor_look *look, float *rotation,
                  float *vertices, float *points, float *cam_t, float *pixels) {
    double t[3];
    wilor_hand_build(s->mano, side, look, s->scratch, rotation, vertices, points);
    for (int i = 0; i < 3; i++) {
        t[i] = look->wrist[i] - points[i];
        cam_t[i] = (float)t[i];
    }
    wilor_camera_project(&s->camera, points, 21, t, pixels);
}

static double cover(const double back[4], const double front[4]) {
    double all = (back[2] - back[0]) * (back[3] - back[1]);
    double w = fmin(back[2], front[2]) - fmax(back[0], front[0]);
    double h = fmin(back[3], front[3]) - fmax(back[1], front[1]);
    return w > 0 && h > 0 ? w * h / all : 0;
}

void scene_show(scene *s, scene_hand *hands, int n) {
    float rotation[144], cam_t[3];
    for (int i = 0; i < n; i++) {
        scene_hand *h = &hands[i];
        if (!h->there)
            continue;
        build(s, h->side, &h->look, rotation, s->vertices, h->points, cam_t, h->pixels);
        wilor_box_around(h->pixels, h->around);
        h->inside = wilor_box_inside(h->around, SCENE_WIDTH, SCENE_HEIGHT);
    }
    for (int i = 0; i < n; i++) {
        hands[i].hidden = 0;
        for (int j = 0; j < n; j++)
            if (j != i && hands[i].there && hands[j].there &&
                hands[j].look.wrist[2] < hands[i].look.wrist[2])
                hands[i].hidden =
                    fmax(hands[i].hidden, cover(hands[i].around, hands[j].around));
    }
    memcpy(s->hands, hands, (size_t)n * sizeof *hands);
    s->n = n;
}

/* ---------------------------------------------------------------- detector */

static wilor_side other(wilor_side side) {
    return side == WILOR_LEFT ? WILOR_RIGHT : WILOR_LEFT;
}

static wilor_box box_of(scene *s, const scene_noise *noise, const scene_hand *h) {
    wilor_box b = {.score = (float)(0.65 + 0.3 * scene_random(s)), .side = h->side};
    double side = wilor_box_side(h->around);
    if (scene_random(s) < noise->flip)
        b.side = other(b.side);
    for (int i = 0; i < 4;
         i++) { /* a detector's box holds flesh, not only joints; whole pixels */
        double edge =
            h->around[i] + (i < 2 ? -0.08 : 0.08) * side + noise->box * side * normal(s);
        b.box[i] = floor(fmin(fmax(edge, 0), i % 2 ? SCENE_HEIGHT : SCENE_WIDTH));
    }
    return b;
}

static wilor_box invention(scene *s) {
    double x = SCENE_WIDTH * scene_random(s), y = SCENE_HEIGHT * scene_random(s);
    double side = 40 + 100 * scene_random(s);
    return (wilor_box){{x - side / 2, y - side / 2, x + side / 2, y + side / 2},
                       (float)(0.3 + 0.25 * scene_random(s)),
                       scene_random(s) < 0.5 ? WILOR_LEFT : WILOR_RIGHT};
}

static void put(wilor_box *boxes, float *keypoints, int at, wilor_box b, scene *s,
                const scene_noise *noise, const scene_hand *h) {
    boxes[at] = b;
    for (int k = 0; k < 21; k++) {
        float *p = keypoints + 63 * at + 3 * k;
        for (int i = 0; i < 2; i++)
            p[i] = h ? (float)(h->pixels[2 * k + i] +
                               2 * noise->place * wilor_box_side(h->around) * normal(s))
                     : 0;
        p[2] = h ? 0.9f : 0.1f;
    }
}

static bool drawn(const scene_hand *h) {
    return h->there && h->inside > 0.3 && h->hidden < covered;
}

int scene_detect(scene *s, const scene_noise *noise, wilor_box *boxes, float *keypoints) {
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        const scene_hand *h = &s->hands[i];
        if (!drawn(h) || scene_random(s) < noise->miss)
            continue;
        wilor_box b = box_of(s, noise, h);
        if (b.box[2] <= b.box[0] || b.box[3] <= b.box[1])
            continue;
        put(boxes, keypoints, n++, b, s, noise, h);
        if (scene_random(s) < noise->twice) {
            b.side = other(b.side);
            b.score *= 0.9f;
            put(boxes, keypoints, n++, b, s, noise, h);
        }
    }
    if (scene_random(s) < noise->invent)
        put(boxes, keypoints, n++, invention(s), s, noise, NULL);
    return n;
}

/* ---------------------------------------------------------------- pose model */

/* The hand that a model sees in a box: in the middle of its crop, not behind another. */
static const scene_hand *in_crop(const scene *s, const wilor_box *b) {
    const scene_hand *best = NULL;
    double least = 0.6 * wilor_box_side(b->box);
    for (int i = 0; i < s->n; i++) {
        const scene_hand *h = &s->hands[i];
        double away = wilor_box_distance(h->around, b->box);
        if (drawn(h) && away < least) {
            least = away;
            best = h;
        }
    }
    return best;
}

/* A hand of mean pose where there is none: models see one in every crop. */
static wilor_look imagined(scene *s, const wilor_box *b) {
    double z = focal * 0.19 / wilor_box_side(b->box) * exp(0.2 * normal(s));
    const double wrist[3] = {((b->box[0] + b->box[2]) / 2 - s->camera.cx) * z / focal,
                             ((b->box[1] + b->box[3]) / 2 - s->camera.cy) * z / focal, z};
    const double turn[3] = {0.3 * normal(s), 0.3 * normal(s), 1.57 + 0.3 * normal(s)};
    return scene_pose(b->side, wrist, turn, 0.4).look;
}

static void turn_noise(scene *s, double q[4], double sigma) {
    const double v[3] = {sigma * normal(s), sigma * normal(s), sigma * normal(s)};
    double by[4];
    wilor_quaternion_exp_f64(v, by);
    wilor_quaternion_mul_f64(by, q, q);
}

/* Taken for the other side: some mirrored hand in the same place. */
static void mirror(scene *s, const scene_hand *h, wilor_side side, wilor_look *l) {
    float rotation[144], points[63], cam_t[3], pixels[42];
    double around[4];
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        l->turns[j][1] = -l->turns[j][1];
        l->turns[j][2] = -l->turns[j][2];
        turn_noise(s, l->turns[j], 0.3);
    }
    build(s, side, l, rotation, s->vertices, points, cam_t, pixels);
    wilor_box_around(pixels, around);
    for (int i = 0; i < 2; i++)
        l->wrist[i] += (h->around[i] + h->around[2 + i] - around[i] - around[2 + i]) / 2 *
                       l->wrist[2] / focal;
}

static wilor_look seen(scene *s, const scene_noise *noise, const scene_hand *h,
                       const wilor_box *b) {
    wilor_look l = h->look;
    double size = wilor_box_side(h->around), z = l.wrist[2];
    /* A crop that is off the middle draws the answer with it, a little. */
    double off[2] = {(b->box[0] + b->box[2] - h->around[0] - h->around[2]) / 2,
                     (b->box[1] + b->box[3] - h->around[1] - h->around[3]) / 2};
    double far = exp(noise->depth * normal(s));
    for (int i = 0; i < 2; i++)
        l.wrist[i] +=
            (noise->place * size * normal(s) + (noise->place > 0 ? 0.05 : 0) * off[i]) * z /
            focal;
    for (int i = 0; i < 3; i++)
        l.wrist[i] *= far;
    for (int j = 0; j < WILOR_MANO_JOINTS; j++)
        turn_noise(s, l.turns[j], j == 0 ? noise->turn : noise->bend);
    for (int i = 0; i < WILOR_MANO_BETAS; i++)
        l.betas[i] += noise->shape * normal(s);
    if (noise->shape > 0) { /* a larger hand further away fills the same pixels */
        double zero[WILOR_MANO_BETAS] = {0};
        double grow = exp(-wilor_depth_change(s->mano, &l, zero));
        for (int i = 0; i < 3; i++)
            l.wrist[i] *= grow;
    }
    if (b->side != h->side)
        mirror(s, h, b->side, &l);
    return l;
}

static void write_look(scene *s, const wilor_box *b, const wilor_look *l, int i) {
    const double v = wilor_box_side(b->box);
    double turn[3];
    size_t at = (size_t)i, mesh = (size_t)s->out.vertices * 3;
    s->side[i] = (uint8_t)b->side;
    s->failed[i] = 0;
    s->score[i] = b->score;
    for (int k = 0; k < 4; k++)
        s->box[4 * i + k] = (float)b->box[k];
    s->crop[3 * i] = (float)((b->box[0] + b->box[2]) / 2);
    s->crop[3 * i + 1] = (float)((b->box[1] + b->box[3]) / 2);
    s->crop[3 * i + 2] = (float)(2.5 * v);
    s->focals[2 * i] = s->focals[2 * i + 1] = (float)focal;
    s->principal[2 * i] = (float)s->camera.cx;
    s->principal[2 * i + 1] = (float)s->camera.cy;
    build(s, b->side, l, s->rotation + 144 * at, s->vertices + mesh * at, s->points + 63 * at,
          s->cam_t + 3 * at, s->pixels + 42 * at);
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        wilor_quaternion_log_f64(l->turns[j], turn);
        for (int k = 0; k < 3; k++)
            *(j == 0 ? &s->orient[3 * i + k] : &s->pose[45 * i + 3 * (j - 1) + k]) =
                (float)turn[k];
    }
    for (int k = 0; k < WILOR_MANO_BETAS; k++)
        s->betas[10 * i + k] = (float)l->betas[k];
}

const wilor_hands *scene_look(scene *s, const scene_noise *noise, const wilor_box *boxes,
                              int n) {
    for (int i = 0; i < n; i++) {
        const scene_hand *h = in_crop(s, &boxes[i]);
        wilor_look l = h ? seen(s, noise, h, &boxes[i]) : imagined(s, &boxes[i]);
        write_look(s, &boxes[i], &l, i);
    }
    s->out.n = n;
    return &s->out;
}
