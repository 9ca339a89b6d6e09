/* Runs: crops from a picture's boxes, the back end, and back to the picture. */
#include "model_impl.h"

#include "camera.h"
#include "clock.h"
#include "crop.h"
#include "gestures.h"
#include "rig.h"
#include "rotation.h"
#include "xr_joints.h"

#include <math.h>
#include <string.h>

enum { CROP_FLOATS = WILOR_CROP_SIDE * WILOR_CROP_SIDE * 3 };

/* Stages of wilor_hands.stage_ms. */
enum { STAGE_CROP, STAGE_BACKBONE, STAGE_HAND, STAGE_WHOLE };

/* One call. */
typedef struct call {
    wilor_session *s;
    const wilor_picture *picture; /* level 1: one picture and its boxes */
    const wilor_box *boxes;
    const float *side_odds;        /* n, or NULL: finite where a second look may change it */
    const wilor_picture *pictures; /* level 2: crops; side may be NULL */
    const wilor_side *side;
    const float *rgb; /* level 3 */
    int n;
    wilor_predict_options o;
    wilor_camera camera;
    int first;     /* of the batch in work */
    int hand[256]; /* of the crops in work */
    uint64_t spent[4];
    wilor_status crop_status[256]; /* of the batch */
    bool framed;                   /* the back end has the picture */
    wilor_backend_crop crops[256]; /* of the batch: those that the back end makes */
} call;

static void start_hands(wilor_session *s) {
    size_t most = (size_t)s->max_hands;
    s->hands.n = 0;
    s->hands.detect_ms = 0;
    memset(s->detected, 0, most);
    memset(s->detected_keypoints, 0, most * 63 * sizeof(float));
    memset(s->hands.stage_ms, 0, sizeof s->hands.stage_ms);
    memset(s->spent, 0, sizeof s->spent);
}

static wilor_status check_call(const wilor_session *s, int n, const wilor_hands **out,
                               wilor_error *err) {
    wilor_error_clear(err);
    if (!s || !out)
        return wilor_error_set(err, WILOR_ERR_ARG, "session and out may not be NULL");
    *out = NULL;
    if (n < 0)
        return wilor_error_set(err, WILOR_ERR_ARG, "%d hands", n);
    if (n > s->max_hands)
        return wilor_error_set(err, WILOR_ERR_LIMIT, "%d hands; this session takes %d", n,
                               s->max_hands);
    return WILOR_OK;
}

/* ---------------------------------------------------------------- after the network */

/* Rotation matrices to vectors, for one hand. */
static void read_vectors(wilor_session *s, size_t h) {
    const float *m = s->rotation + h * 16 * 9;
    void (*to_vector)(const float *, float *) =
        s->compat == WILOR_COMPAT_MLX ? wilor_rotation_to_vector_mlx : wilor_rotation_to_vector;
    to_vector(m, s->global_orient + h * 3);
    for (size_t i = 0; i < 15; i++)
        to_vector(m + (i + 1) * 9, s->hand_pose + h * 45 + i * 3);
}

static void swap_side(wilor_session *s, size_t h) {
    s->side[h] = s->side[h] == WILOR_LEFT ? WILOR_RIGHT : WILOR_LEFT;
}

/* The hand as the other side's: of a left hand that was run as a right one, or of a selfie. */
static void mirror_hand(wilor_session *s, size_t h) {
    size_t v = (size_t)s->model->info.vertices;
    wilor_hand_mirror_points(s->keypoints_3d + h * 21 * 3, 21);
    wilor_hand_mirror_points(s->vertices_3d + h * v * 3, v);
    wilor_hand_mirror_vectors(s->global_orient + h * 3, 1);
    wilor_hand_mirror_vectors(s->hand_pose + h * 45, 15);
    wilor_hand_mirror_matrices(s->rotation + h * 16 * 9, 16);
}

static int all_finite(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return 0;
    return 1;
}

static void judge_hand(wilor_session *s, size_t h) {
    size_t v = (size_t)s->model->info.vertices;
    s->failed[h] =
        !(all_finite(s->vertices_3d + h * v * 3, v * 3) &&
          all_finite(s->keypoints_3d + h * 21 * 3, 21 * 3) &&
          all_finite(s->pred_cam + h * 3, 3) && all_finite(s->betas + h * 10, 10) &&
          all_finite(s->rotation + h * 16 * 9, 16 * 9) && all_finite(s->cam_t + h * 3, 3) &&
          all_finite(s->keypoints_2d + h * 21 * 2, 42));
}

static void scale_hand(wilor_session *s, size_t h, double scale, double t[3]) {
    size_t v = (size_t)s->model->info.vertices * 3;
    for (size_t i = 0; i < 21 * 3; i++)
        s->keypoints_3d[h * 21 * 3 + i] = (float)(s->keypoints_3d[h * 21 * 3 + i] * scale);
    for (size_t i = 0; i < v; i++)
        s->vertices_3d[h * v + i] = (float)(s->vertices_3d[h * v + i] * scale);
    for (int i = 0; i < 3; i++)
        t[i] *= scale;
}

/* WiLoR's demo first makes the box at least 4/3 as high as wide (load_wilor's BBOX_SHAPE of
 * 192 × 256, expand_to_aspect_ratio). */
static wilor_status plan_crop(const call *c, size_t h, wilor_crop_box *out, wilor_error *err) {
    const double *b = c->boxes[h].box;
    double width = b[2] - b[0], height = b[3] - b[1], longer = width > height ? width : height;
    double rescale = c->o.rescale;
    if (c->s->compat == WILOR_COMPAT_WILOR && width * 4 / 3 > height && longer > 0)
        rescale = rescale * (width * 4 / 3) / longer;
    return wilor_crop_plan_f64(b, rescale, out, err);
}

/* Into the camera of the whole picture: translation, size, 2D points, and the selfie's mirror. */
static void place_hand(call *c, size_t h) {
    wilor_session *s = c->s;
    wilor_crop_box box;
    double t[3];
    plan_crop(c, h, &box, NULL); /* checked before */
    wilor_camera_translation(&c->camera, s->pred_cam + h * 3, box.cx, box.cy, box.size,
                             c->picture->width, c->picture->height, t);
    if (c->o.palm > 0)
        scale_hand(s, h, wilor_palm_scale(s->keypoints_3d + h * 21 * 3, c->o.palm), t);
    wilor_camera_project(&c->camera, s->keypoints_3d + h * 21 * 3, 21, t,
                         s->keypoints_2d + h * 21 * 2);
    for (int i = 0; i < 3; i++)
        s->cam_t[h * 3 + (size_t)i] = (float)t[i];
    s->focal[h * 2] = (float)c->camera.fx;
    s->focal[h * 2 + 1] = (float)c->camera.fy;
    s->principal[h * 2] = (float)c->camera.cx;
    s->principal[h * 2 + 1] = (float)c->camera.cy;
    for (size_t i = 0; i < 5; i++)
        s->distortion[h * 5 + i] = (float)c->camera.k[i];
    if (c->o.mirrored) {
        mirror_hand(s, h);
        s->cam_t[h * 3] = -s->cam_t[h * 3];
        swap_side(s, h);
    }
}

static void finish_unit(void *context, int unit, int thread) {
    call *c = context;
    size_t h = (size_t)(c->first + unit);
    (void)thread;
    read_vectors(c->s, h);
    if (!c->rgb && c->s->side[h] == WILOR_LEFT) {
        wilor_hand_mirror_cam(c->s->pred_cam + h * 3);
        mirror_hand(c->s, h);
    }
    if (c->picture)
        place_hand(c, h);
    judge_hand(c->s, h);
}

/* ---------------------------------------------------------------- before the network */

/* A band of crop i of those in work; crops of other kinds are all in band 0. */
static wilor_status make_crop(const call *c, int i, int band, wilor_error *err) {
    int h = c->hand[i];
    float *rgb = c->s->crops + (size_t)i * CROP_FLOATS;
    wilor_side side = (wilor_side)c->s->side[h];
    wilor_crop_box box;
    if (c->picture) {
        plan_crop(c, (size_t)h, &box, NULL); /* checked before */
        if (c->s->compat != WILOR_COMPAT_MLX)
            return wilor_crop_run_band(c->picture, &box, side, c->o.warp, band, rgb, err);
        return band > 0 ? WILOR_OK : wilor_crop_run_mlx(c->picture, &box, side, rgb, err);
    }
    return band > 0 ? WILOR_OK : wilor_crop_copy(&c->pictures[h], side, rgb, err);
}

static void crop_unit(void *context, int unit, int thread) {
    call *c = context;
    int i = unit / WILOR_CROP_BANDS, band = unit % WILOR_CROP_BANDS;
    (void)thread;
    if (c->crops[i].by_backend)
        return;
    wilor_status st = make_crop(c, i, band, NULL);
    if (band == 0) /* which has every error that another has */
        c->crop_status[i] = st;
}

static void note_hand(call *c, int hand) {
    wilor_session *s = c->s;
    size_t h = (size_t)hand;
    s->side[h] = WILOR_RIGHT;
    s->score[h] = 1.0f;
    memset(s->box + h * 4, 0, 4 * sizeof(float));
    memset(s->crop + h * 3, 0, 3 * sizeof(float));
    memset(s->cam_t + h * 3, 0, 3 * sizeof(float));
    memset(s->focal + h * 2, 0, 2 * sizeof(float));
    memset(s->principal + h * 2, 0, 2 * sizeof(float));
    memset(s->distortion + h * 5, 0, 5 * sizeof(float));
    memset(s->keypoints_2d + h * 42, 0, 42 * sizeof(float));
    if (c->side)
        s->side[h] = (uint8_t)c->side[h];
    if (c->boxes) {
        wilor_crop_box box;
        s->side[h] = (uint8_t)c->boxes[h].side;
        s->score[h] = c->boxes[h].score;
        for (size_t i = 0; i < 4; i++)
            s->box[h * 4 + i] = (float)c->boxes[h].box[i];
        plan_crop(c, h, &box, NULL);
        s->crop[h * 3] = (float)box.cx;
        s->crop[h * 3 + 1] = (float)box.cy;
        s->crop[h * 3 + 2] = (float)box.size;
    }
}

/* Give the picture to a back end that makes crops. */
static wilor_status give_frame(call *c, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_backend *b = c->s->model->backend;
    c->framed = false;
    if (!c->picture || !b->frame || c->s->compat == WILOR_COMPAT_MLX || c->n == 0)
        return WILOR_OK;
    wilor_crop_source source = wilor_crop_source_of(c->picture, false);
    WILOR_TRY(b->frame(c->s->work, &source, c->s->detector, err));
    c->framed = true;
done:
    return st;
}

/* Which crops the back end makes: those that need no smoothing. Returns whether others are left. */
static bool plan_backend_crops(call *c, int n) {
    bool left = false;
    for (int i = 0; i < n; i++) {
        wilor_crop_box box;
        wilor_backend_crop *to = &c->crops[i];
        wilor_side side = (wilor_side)c->s->side[c->hand[i]];
        to->by_backend = false;
        c->crop_status[i] = WILOR_OK;
        if (!c->framed) {
            left = true;
            continue;
        }
        plan_crop(c, (size_t)c->hand[i], &box, NULL); /* checked before */
        to->mirrored = side == WILOR_LEFT;
        to->grid = c->o.warp;
        to->by_backend = wilor_crop_check(c->picture, &box, NULL) == WILOR_OK &&
                         wilor_crop_affine(c->picture, &box, side, to->inverse);
        left = left || !to->by_backend;
    }
    return left;
}

static wilor_status make_crops(call *c, int n, wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (!plan_backend_crops(c, n))
        return WILOR_OK;
    wilor_threads_run(c->s->pool, crop_unit, c, n * WILOR_CROP_BANDS);
    /* One that failed once more, for its message; memory may be back. */
    for (int i = 0; i < n; i++)
        for (int band = 0; c->crop_status[i] != WILOR_OK && band < WILOR_CROP_BANDS; band++)
            WILOR_TRY(make_crop(c, i, band, err));
done:
    return st;
}

/* ---------------------------------------------------------------- where the time went */

/* Part 0 is the crops'; the back end's follow. */
static void add_times(wilor_session *s) {
    wilor_backend_times t;
    s->model->backend->times(s->work, &t);
    for (int i = 0; i < t.n; i++) {
        s->spent[i + 1].ns += t.span[i].ns;
        s->spent[i + 1].busy_ns += t.span[i].busy_ns;
    }
}

static void publish_times(wilor_session *s) {
    for (int i = 0; i < s->profile.n; i++) {
        s->part_ms[i] = (double)s->spent[i].ns * 1e-6;
        s->part_busy_ms[i] = (double)s->spent[i].busy_ns * 1e-6;
    }
}

void wilor_session_set_profiling(wilor_session *session, int on) {
    session->profiling = on != 0;
    session->model->backend->profile(session->work, session->profiling);
}

const wilor_profile *wilor_session_get_profile(const wilor_session *session) {
    return &session->profile;
}

/* ---------------------------------------------------------------- all levels */

/* The crops in work, n of them, and the back end on these. */
static wilor_status run_network(call *c, int n, wilor_backend_result *r, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_session *s = c->s;
    uint64_t start = wilor_clock_ns();
    wilor_span begin = wilor_span_begin(s->pool, s->profiling);
    if (!c->rgb)
        WILOR_TRY(make_crops(c, n, err));
    wilor_span_end(&s->spent[0], begin, s->pool, s->profiling);
    c->spent[STAGE_CROP] += wilor_clock_ns() - start;
    const float *rgb = c->rgb ? c->rgb + (size_t)c->first * CROP_FLOATS : s->crops;
    WILOR_TRY(s->model->backend->run(s->work, rgb, c->framed ? c->crops : NULL, n, c->o.betas,
                                     r, err));
    add_times(s);
    c->spent[STAGE_BACKBONE] += r->network_ns;
done:
    return st;
}

/* Hand h is what the second look's result i says. */
static void take_second(wilor_session *s, int hand, int i) {
    const wilor_backend_result *from = &s->second, to = wilor_session_result(s, hand, NULL);
    size_t k = (size_t)i, v = (size_t)s->model->info.vertices * 3;
    memcpy(to.rotation, from->rotation + k * 16 * 9, 16 * 9 * sizeof(float));
    memcpy(to.betas, from->betas + k * 10, 10 * sizeof(float));
    memcpy(to.cam, from->cam + k * 3, 3 * sizeof(float));
    memcpy(to.verts, from->verts + k * v, v * sizeof(float));
    memcpy(to.keypoints, from->keypoints + k * 21 * 3, 21 * 3 * sizeof(float));
}

/* Of the batch's n hands, those whose side a detector said and which the network takes for mirror images (a logit below
 * 0), once more as the other side's. A hand changes sides when the other crop's logit is above by more than the detector's
 * odds: both are natural logarithms for one side against the other, of two that look at different things. (Of 1,708 of nano's
 * hands in rendered pictures the detector has 0.890 of the sides right, with this 0.932, of a sixth looked at twice.) */
static wilor_status look_again(call *c, int n, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_session *s = c->s;
    int count = 0;
    for (int i = 0; i < n; i++) {
        int h = c->first + i;
        if (!isfinite(c->side_odds[h]) || !(s->side_logit[i] < 0))
            continue;
        c->hand[count++] = h;
        swap_side(s, (size_t)h);
    }
    if (count == 0)
        return WILOR_OK;
    WILOR_TRY(run_network(c, count, &s->second, err));
    for (int i = 0; i < count; i++) {
        int h = c->hand[i];
        float above = s->second.side_logit[i] - s->side_logit[h - c->first];
        if (above > c->side_odds[h])
            take_second(s, h, i);
        else
            swap_side(s, (size_t)h);
    }
done:
    return st;
}

static wilor_status run_batch(call *c, int n, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_session *s = c->s;
    bool twice = c->side_odds && s->side_logit;
    uint64_t start = wilor_clock_ns(), before = c->spent[STAGE_CROP] + c->spent[STAGE_BACKBONE];
    for (int i = 0; i < n; i++) {
        note_hand(c, c->first + i);
        c->hand[i] = c->first + i;
    }
    wilor_backend_result r = wilor_session_result(s, c->first, twice ? s->side_logit : NULL);
    WILOR_TRY(run_network(c, n, &r, err));
    if (twice)
        WILOR_TRY(look_again(c, n, err));
    wilor_threads_run(s->pool, finish_unit, c, n);
    uint64_t whole = wilor_clock_ns() - start;
    c->spent[STAGE_HAND] += whole - (c->spent[STAGE_CROP] + c->spent[STAGE_BACKBONE] - before);
    c->spent[STAGE_WHOLE] += whole;
done:
    return st;
}

static wilor_status run_call(call *c, const wilor_hands **out, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_session *s = c->s;
    /* wilor-mlx's pipeline gives its model one crop at a time, and what is in a batch matters. */
    int batch = c->picture && s->compat == WILOR_COMPAT_MLX ? 1 : s->batch;
    start_hands(s);
    WILOR_TRY(give_frame(c, err));
    for (c->first = 0; c->first < c->n; c->first += batch) {
        int left = c->n - c->first;
        WILOR_TRY(run_batch(c, left < batch ? left : batch, err));
    }
    publish_times(s);
    s->hands.n = c->n;
    s->hands.mirrored = c->o.mirrored != 0;
    s->hands.rescale = c->picture ? c->o.rescale : 0;
    for (int i = 0; i < 4; i++)
        s->hands.stage_ms[i] = (double)c->spent[i] * 1e-6;
    *out = &s->hands;
done:
    return st;
}

static wilor_status check_options(call *c, const wilor_predict_options *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    c->o = (wilor_predict_options){0};
    if (o)
        WILOR_TRY(wilor_options_read(&c->o, sizeof c->o, o, "wilor_predict_options", err));
    if (c->o.rescale == 0)
        c->o.rescale = c->s->model->info.rescale;
    if (c->o.rescale == 0)
        c->o.rescale = c->s->compat == WILOR_COMPAT_WILOR ? 2.0 : 2.5;
    if (c->o.warp != WILOR_WARP_CV5 && c->o.warp != WILOR_WARP_CV4)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_predict_options: warp is %d", (int)c->o.warp);
    if (!(c->o.palm >= 0) || !isfinite(c->o.palm))
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_predict_options: a palm of %g m", c->o.palm);
    if (c->o.betas && !all_finite(c->o.betas, 10))
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_predict_options: betas are not finite");
done:
    return st;
}

wilor_status wilor_predict_doubted(wilor_session *session, const wilor_picture *picture,
                                   const wilor_box *boxes, const float *side_odds, int n,
                                   const wilor_predict_options *o, const wilor_hands **out,
                                   wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_crop_box plan;
    wilor_picture view;
    call c = {.s = session, .picture = &view, .boxes = boxes, .side_odds = side_odds, .n = n};
    WILOR_TRY(check_call(session, n, out, err));
    WILOR_TRY(check_options(&c, o, err));
    if (!picture || (n > 0 && !boxes))
        WILOR_FAIL(err, WILOR_ERR_ARG,
                   "wilor_predict_boxes: picture and boxes may not be NULL");
    WILOR_TRY(wilor_crop_check_picture(picture, err));
    WILOR_TRY(wilor_camera_init(&c.camera, picture->width, picture->height,
                                c.o.has_intrinsics ? c.o.intrinsics : NULL,
                                c.o.has_intrinsics ? c.o.distortion : NULL, c.o.focal, err));
    for (int i = 0; i < n; i++) {
        WILOR_TRY(plan_crop(&c, (size_t)i, &plan, err));
        if (boxes[i].side != WILOR_LEFT && boxes[i].side != WILOR_RIGHT)
            WILOR_FAIL(err, WILOR_ERR_ARG, "box %d: its side is %d", i, (int)boxes[i].side);
    }
    view = *picture;
    if (n > 0)
        WILOR_TRY(wilor_convert_nv12(&view, c.o.nv12_chroma, c.o.nv12_chroma_stride,
                                     &session->converted, session->pool, err));
    WILOR_TRY(run_call(&c, out, err));
done:
    return st;
}

wilor_status wilor_predict_boxes(wilor_session *session, const wilor_picture *picture,
                                 const wilor_box *boxes, int n, const wilor_predict_options *o,
                                 const wilor_hands **out, wilor_error *err) {
    return wilor_predict_doubted(session, picture, boxes, NULL, n, o, out, err);
}

wilor_status wilor_predict_crops(wilor_session *session, const wilor_picture *crops,
                                 const wilor_side *side, int n, const wilor_hands **out,
                                 wilor_error *err) {
    wilor_status st = WILOR_OK;
    call c = {.s = session, .pictures = crops, .side = side, .n = n};
    WILOR_TRY(check_call(session, n, out, err));
    if (n > 0 && !crops)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_predict_crops: crops may not be NULL");
    for (int i = 0; i < n; i++) {
        WILOR_TRY(wilor_crop_check_picture(&crops[i], err));
        if (crops[i].width != WILOR_CROP_SIDE || crops[i].height != WILOR_CROP_SIDE)
            WILOR_FAIL(err, WILOR_ERR_ARG, "crop %d is %d x %d, expected %d x %d", i,
                       crops[i].width, crops[i].height, WILOR_CROP_SIDE, WILOR_CROP_SIDE);
        if (side && side[i] != WILOR_LEFT && side[i] != WILOR_RIGHT)
            WILOR_FAIL(err, WILOR_ERR_ARG, "crop %d: its side is %d", i, (int)side[i]);
    }
    WILOR_TRY(run_call(&c, out, err));
done:
    return st;
}

wilor_status wilor_run(wilor_session *session, const float *rgb, int n, const wilor_hands **out,
                       wilor_error *err) {
    wilor_status st = WILOR_OK;
    call c = {.s = session, .rgb = rgb, .n = n};
    WILOR_TRY(check_call(session, n, out, err));
    if (n > 0 && !rgb)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_run: rgb may not be NULL");
    WILOR_TRY(run_call(&c, out, err));
done:
    return st;
}

/* ---------------------------------------------------------------- from points to events */

wilor_status wilor_hand_xr26(const wilor_model *model, const wilor_hands *hands, int i,
                             wilor_xr_joint *out, wilor_error *err) {
    wilor_error_clear(err);
    if (!model || !hands || !out || i < 0 || i >= hands->n)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_hand_xr26: hand %d of %d", i,
                               hands ? hands->n : 0);
    size_t h = (size_t)i;
    if (hands->failed[h] || hands->focal[h * 2] == 0.0f)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_hand_xr26: hand %d has no place in a camera frame", i);
    wilor_xr26_compute(model->mano, (wilor_side)hands->side[h], hands->rotation + h * 16 * 9,
                       hands->keypoints_3d + h * 21 * 3,
                       hands->vertices_3d + h * (size_t)hands->vertices * 3,
                       hands->cam_t + h * 3, out);
    return WILOR_OK;
}

void wilor_hand_rest(const wilor_model *model, wilor_side side, const float *betas,
                     float *vertices, float *keypoints) {
    wilor_rig_rest(model->mano, side, betas, vertices, keypoints);
}

void wilor_hand_skin(const wilor_model *model, float *weights, int *parents) {
    wilor_rig_skin(model->mano, weights, parents);
}

wilor_status wilor_hand_pose_shape(const wilor_model *model, wilor_side side, int shape,
                                   float *offsets) {
    if (shape < 0 || shape >= WILOR_RIG_SHAPES)
        return WILOR_ERR_ARG;
    wilor_rig_pose_shape(model->mano, side, shape, offsets);
    return WILOR_OK;
}

void wilor_hand_angles(const wilor_model *model, const float *hand_pose, wilor_side side,
                       float *out) {
    wilor_angles_compute(model->mano, hand_pose, side, out);
}
