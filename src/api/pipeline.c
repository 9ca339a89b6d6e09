/* Pictures to hands: letterbox, detector, suppression, and the session's crops and model. */
#include "model_impl.h"

#include "clock.h"
#include "crop.h"
#include "letterbox.h"
#include "row_copy.h"

#include <math.h>
#include <string.h>

enum {
    MOST_KEPT = 300, /* ultralytics' max_det */
    LETTERBOX_ROWS = 8,
    MLX_SIDE = 512,
    RAW_ROWS = 69 /* a box, two scores, 21 keypoints */
};

/* For a side that a caller's detector says, which tells no odds: right in 20 of 21. */
static const float UNTOLD_ODDS = 3.0f;

struct wilor_pipeline {
    const wilor_detector *detector;
    wilor_session *session;
    wilor_threads *pool; /* the session's, or its own without a model */
    wilor_threads *own_pool;
    wilor_yolo_run *run;
    bool uploaded; /* its card has the picture of the call in work */
    wilor_pipeline_options o;
    wilor_pages converted; /* an NV12 picture as RGB; grows */
    wilor_pages work;      /* letterbox rows of each thread, candidates, suppression; grows */
    wilor_pages kept;      /* results; grows */
    wilor_detections *results; /* in kept */
    float *result_odds;        /* in kept, MOST_KEPT a picture: of their boxes' sides */
    wilor_box *boxes;          /* max_hands: of wilor_pipeline_run */
    float *found;              /* max_hands × 63 */
    float *side_odds;          /* max_hands: of these boxes; INFINITY: nobody doubts */
};

static wilor_status grow(wilor_pages *pages, size_t bytes, const char *what, wilor_error *err) {
    if (pages->bytes >= bytes)
        return WILOR_OK;
    wilor_pages_free(pages);
    if (!wilor_pages_alloc(pages, bytes))
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for %s", what);
    return WILOR_OK;
}

/* ---------------------------------------------------------------- create */

/* Whether the processor has neither network to compute. */
static bool on_card(const wilor_detector *detector, const wilor_model *model) {
    return (!detector || wilor_on_card(detector->device)) &&
           (!model || wilor_on_card(model->device));
}

/* The caller's options, and those of the session inside, with every default filled in. */
static wilor_status read_options(wilor_pipeline_options *own, wilor_session_options *session,
                                 const wilor_pipeline_options *o, bool on_card,
                                 wilor_error *err) {
    wilor_status st = WILOR_OK;
    *own = (wilor_pipeline_options){.struct_size = sizeof *own};
    if (o)
        WILOR_TRY(wilor_options_read(own, sizeof *own, o, "wilor_pipeline_options", err));
    wilor_session_options theirs = {.struct_size = sizeof theirs,
                                    .max_hands = own->max_hands,
                                    .batch = own->batch,
                                    .threads = own->threads,
                                    .full_path = own->full_path,
                                    .compat = own->compat};
    WILOR_TRY(wilor_session_options_fill(session, &theirs, on_card, err));
    own->max_hands = session->max_hands;
done:
    return st;
}

wilor_status wilor_pipeline_create(wilor_pipeline **out, const wilor_detector *detector,
                                   const wilor_model *model,
                                   const wilor_pipeline_options *options, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_pipeline_options o;
    wilor_session_options so;
    wilor_pipeline *p = NULL;
    wilor_error_clear(err);
    if (!out || (!detector && !model))
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "wilor_pipeline_create: out, and one of detector and model, may not be NULL");
    *out = NULL;
    WILOR_TRY(read_options(&o, &so, options, on_card(detector, model), err));
    p = wilor_heap_alloc(1, sizeof *p);
    if (!p || !(p->boxes = wilor_heap_alloc((size_t)o.max_hands, sizeof *p->boxes)) ||
        !(p->found = wilor_heap_alloc((size_t)o.max_hands, 63 * sizeof(float))) ||
        !(p->side_odds = wilor_heap_alloc((size_t)o.max_hands, sizeof *p->side_odds)))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a pipeline");
    p->detector = detector;
    p->o = o;
    if (model) {
        WILOR_TRY(wilor_session_create(&p->session, model, &so, err));
        p->pool = p->session->pool;
    } else {
        WILOR_TRY(wilor_threads_create(&p->own_pool, so.threads, err));
        p->pool = p->own_pool;
    }
    if (detector)
        WILOR_TRY(wilor_yolo_open(&p->run, detector->yolo, p->pool, false, err));
    *out = p;
    p = NULL;
done:
    wilor_pipeline_free(&p);
    return st;
}

void wilor_pipeline_free(wilor_pipeline **pipeline) {
    wilor_pipeline *p = pipeline ? *pipeline : NULL;
    if (!p)
        return;
    wilor_yolo_close(&p->run);
    wilor_session_free(&p->session);
    wilor_threads_free(&p->own_pool);
    wilor_pages_free(&p->converted);
    wilor_pages_free(&p->work);
    wilor_pages_free(&p->kept);
    wilor_heap_free(p->boxes);
    wilor_heap_free(p->found);
    wilor_heap_free(p->side_odds);
    wilor_heap_free(p);
    *pipeline = NULL;
}

wilor_session *wilor_pipeline_session(wilor_pipeline *pipeline) { return pipeline->session; }

/* ---------------------------------------------------------------- detect */

/* Options with every default filled in. */
static wilor_status read_detect(const wilor_pipeline *p, wilor_detect_options *own,
                                const wilor_detect_options *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    bool mlx = p->o.compat == WILOR_COMPAT_MLX;
    *own = (wilor_detect_options){0};
    if (o)
        WILOR_TRY(wilor_options_read(own, sizeof *own, o, "wilor_detect_options", err));
    if (!(own->conf >= 0 && own->conf < 1) || !(own->iou >= 0 && own->iou <= 1))
        WILOR_FAIL(err, WILOR_ERR_ARG,
                   "wilor_detect_options: conf %g, iou %g: they lie between 0 and 1", own->conf,
                   own->iou);
    if (own->imgsz < 0 || own->max_hands < 0 || own->force_side < 0 || own->force_side > 2 ||
        (own->profile != WILOR_DETECTOR_8_1_34 && own->profile != WILOR_DETECTOR_8_4_190))
        WILOR_FAIL(err, WILOR_ERR_ARG,
                   "wilor_detect_options: imgsz %d, max_hands %d, force_side %d or profile %d",
                   own->imgsz, own->max_hands, own->force_side, (int)own->profile);
    if (own->imgsz > WILOR_YOLO_MOST_SIDE)
        WILOR_FAIL(err, WILOR_ERR_LIMIT, "wilor_detect_options: imgsz %d; the limit is %d",
                   own->imgsz, WILOR_YOLO_MOST_SIDE);
    own->conf = own->conf > 0 ? own->conf : 0.3;
    own->iou = own->iou > 0 ? own->iou : mlx ? 0.5 : p->detector->info.iou;
    if (own->imgsz == 0)
        own->imgsz = mlx ? MLX_SIDE : p->detector->info.imgsz;
    if (own->max_hands == 0 || own->max_hands > MOST_KEPT)
        own->max_hands = MOST_KEPT;
done:
    return st;
}

/* Pieces of p->work for one picture. */
typedef struct workspace {
    uint8_t *rows; /* per thread: LETTERBOX_ROWS input rows, then the letterbox's own scratch */
    size_t rows_stride, rows_bytes;
    wilor_candidate *candidates;
    void *nms;
    int *kept;
} workspace;

static wilor_status get_workspace(wilor_pipeline *p, const wilor_letterbox *l, workspace *w,
                                  wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_arena a;
    size_t threads = (size_t)wilor_threads_count(p->pool);
    int anchors = wilor_yolo_anchors(p->run);
    w->rows_bytes = (size_t)LETTERBOX_ROWS * (size_t)l->width * 3;
    w->rows_bytes = (w->rows_bytes + 63) / 64 * 64;
    w->rows_stride = (w->rows_bytes + wilor_letterbox_scratch(l) + 63) / 64 * 64;
    for (int pass = 0; pass < 2; pass++) {
        wilor_arena_begin(&a, pass ? p->work.data : NULL, p->work.bytes);
        w->rows = wilor_arena_push(&a, threads, w->rows_stride);
        w->candidates = wilor_arena_push(&a, (size_t)anchors, sizeof *w->candidates);
        w->nms = wilor_arena_push(&a, 1, wilor_nms_scratch(anchors));
        w->kept = wilor_arena_push(&a, MOST_KEPT, sizeof *w->kept);
        if (!pass)
            WILOR_TRY(grow(&p->work, wilor_arena_used(&a), "the detector's work", err));
    }
    wilor_arena_end(&a);
done:
    return st;
}

typedef struct letterbox_job {
    const wilor_pipeline *p;
    const wilor_letterbox *l;
    const wilor_picture *picture;
    const workspace *w;
} letterbox_job;

static void letterbox_unit(void *context, int unit, int thread) {
    const letterbox_job *j = context;
    uint8_t *bytes = j->w->rows + (size_t)thread * j->w->rows_stride;
    int first = unit * LETTERBOX_ROWS, line = j->l->width * 3;
    int rows = j->l->height - first < LETTERBOX_ROWS ? j->l->height - first : LETTERBOX_ROWS;
    wilor_letterbox_rows(j->l, j->picture, first, rows, bytes + j->w->rows_bytes, bytes);
    for (int y = 0; y < rows; y++)
        wilor_yolo_put_row(j->p->run, first + y, bytes + y * line);
}

/* What suppression kept, as boxes and points of the picture. */
static void store(const wilor_pipeline *p, const wilor_letterbox *l,
                  const wilor_detect_options *o, const workspace *w, int kept,
                  wilor_detections *out) {
    wilor_box *boxes = (wilor_box *)(uintptr_t)out->boxes;
    float *points = (float *)(uintptr_t)out->keypoints;
    float *odds = p->result_odds + (out - p->results) * MOST_KEPT;
    out->n = kept;
    for (int i = 0; i < kept; i++) {
        const wilor_candidate *c = &w->candidates[w->kept[i]];
        float *seen = points + (size_t)i * 63;
        float half_w = c->box[2] / 2, half_h = c->box[3] / 2;
        float box[4] = {c->box[0] - half_w, c->box[1] - half_h, c->box[0] + half_w,
                        c->box[1] + half_h};
        wilor_yolo_keypoints(p->run, c->anchor, seen);
        wilor_letterbox_back(l, o->profile, box, seen);
        boxes[i] =
            (wilor_box){{box[0], box[1], box[2], box[3]},
                        c->score,
                        o->force_side ? (wilor_side)(o->force_side - 1) : (wilor_side)c->side};
        odds[i] = c->side_odds;
    }
}

static double since(uint64_t start) { return (double)(wilor_clock_ns() - start) * 1e-6; }

/* Whether the picture goes to the card as it is: always where its crops are made from it, too, else unless that is
 * much more than the input. */
static bool is_for_card(const wilor_pipeline *p, const wilor_letterbox *l, int pixel) {
    double bytes = (double)l->picture_width * l->picture_height * pixel;
    if (l->rule == WILOR_LETTERBOX_MLX || !wilor_yolo_takes_frames(p->run))
        return false;
    return (p->session && p->session->model->backend->frame) ||
           bytes <= 4.0 * 3 * l->width * l->height;
}

/* The picture goes in, at the network's size unless the card resizes it. */
static wilor_status put_picture(wilor_pipeline *p, const wilor_picture *picture,
                                const wilor_letterbox *l, workspace *w, wilor_error *err) {
    wilor_status st = WILOR_OK;
    letterbox_job job = {.p = p, .l = l, .picture = picture, .w = w};
    wilor_yolo_frame f = {.letterbox = l};
    wilor_letterbox_pixel(picture, &f.pixel, f.channel);
    p->uploaded = false;
    WILOR_TRY(wilor_yolo_begin(p->run, l->width, l->height, err));
    WILOR_TRY(get_workspace(p, l, w, err));
    if (is_for_card(p, l, f.pixel)) {
        WILOR_TRY(wilor_yolo_frame_begin(p->run, &f, err));
        const wilor_row_copy rows = {.to = wilor_yolo_frame_row(p->run, 0),
                                     .from = picture->data,
                                     .stride = picture->stride,
                                     .line = (size_t)l->picture_width * (size_t)f.pixel,
                                     .rows = picture->height};
        wilor_row_copy_run(&rows, p->pool);
        p->uploaded = true;
    } else {
        wilor_threads_run(p->pool, letterbox_unit, &job,
                          (l->height + LETTERBOX_ROWS - 1) / LETTERBOX_ROWS);
    }
done:
    return st;
}

static wilor_nms_kind suppression(const wilor_pipeline *p, wilor_letterbox_rule rule) {
    if (rule == WILOR_LETTERBOX_MLX)
        return WILOR_NMS_MLX;
    return wilor_yolo_get_plan(p->detector->yolo)->across_sides ? WILOR_NMS_ACROSS_SIDES
                                                                : WILOR_NMS_BY_SIDE;
}

static wilor_status detect_one(wilor_pipeline *p, const wilor_picture *picture,
                               wilor_letterbox_rule rule, const wilor_detect_options *o,
                               wilor_detections *out, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_letterbox l;
    workspace w;
    wilor_picture view = *picture;
    uint64_t t0 = wilor_clock_ns(), busy[4] = {wilor_threads_busy_ns(p->pool)};
    WILOR_TRY(wilor_letterbox_plan(&l, picture->width, picture->height, o->imgsz, rule, err));
    WILOR_TRY(wilor_convert_nv12(&view, o->nv12_chroma, o->nv12_chroma_stride, &p->converted,
                                 p->pool, err));
    WILOR_TRY(put_picture(p, &view, &l, &w, err));
    out->stage_ms[0] = since(t0);
    busy[1] = wilor_threads_busy_ns(p->pool);
    uint64_t t1 = wilor_clock_ns();
    /* wilor-mlx keeps what equals the threshold, too. */
    float conf = (float)o->conf;
    if (rule == WILOR_LETTERBOX_MLX)
        conf = nextafterf(conf, 0.0f);
    WILOR_TRY(wilor_yolo_forward_above(p->run, conf, err));
    out->stage_ms[1] = since(t1);
    busy[2] = wilor_threads_busy_ns(p->pool);
    uint64_t t2 = wilor_clock_ns();
    wilor_nms_rule suppress = {o->iou, o->max_hands, suppression(p, rule)};
    int anchors = wilor_yolo_anchors(p->run);
    int n = wilor_yolo_candidates(p->run, conf, w.candidates, anchors);
    int kept = wilor_nms(w.candidates, n, &suppress, w.nms, w.kept);
    store(p, &l, o, &w, kept, out);
    out->input_width = l.width;
    out->input_height = l.height;
    out->stage_ms[2] = since(t2);
    out->stage_ms[3] = since(t0);
    busy[3] = wilor_threads_busy_ns(p->pool);
    for (int i = 0; i < 3; i++)
        out->busy_ms[i] = (double)(busy[i + 1] - busy[i]) * 1e-6;
    out->gflop = wilor_yolo_gflop(p->detector->yolo, l.width, l.height);
done:
    return st;
}

/* Room for the results of n pictures. */
static wilor_status get_results(wilor_pipeline *p, int n, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_arena a;
    size_t count = (size_t)n * MOST_KEPT;
    for (int pass = 0; pass < 2; pass++) {
        wilor_arena_begin(&a, pass ? p->kept.data : NULL, p->kept.bytes);
        p->results = wilor_arena_push(&a, (size_t)n, sizeof *p->results);
        wilor_box *boxes = wilor_arena_push(&a, count, sizeof *boxes);
        float *points = wilor_arena_push(&a, count, 63 * sizeof *points);
        p->result_odds = wilor_arena_push(&a, count, sizeof *p->result_odds);
        if (!pass)
            WILOR_TRY(grow(&p->kept, wilor_arena_used(&a), "the detections", err));
        for (int i = 0; pass && i < n; i++)
            p->results[i] =
                (wilor_detections){.boxes = boxes + (size_t)i * MOST_KEPT,
                                   .keypoints = points + (size_t)i * MOST_KEPT * 63};
    }
    wilor_arena_end(&a);
done:
    return st;
}

static wilor_letterbox_rule rule_for(const wilor_pipeline *p, const wilor_picture *pictures,
                                     int n) {
    if (p->o.compat == WILOR_COMPAT_MLX)
        return WILOR_LETTERBOX_MLX;
    for (int i = 1; i < n; i++)
        if (pictures[i].width != pictures[0].width || pictures[i].height != pictures[0].height)
            return WILOR_LETTERBOX_SQUARE;
    return WILOR_LETTERBOX_RECT;
}

wilor_status wilor_detect(wilor_pipeline *pipeline, const wilor_picture *pictures, int n,
                          const wilor_detect_options *options, const wilor_detections **out,
                          wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_detect_options o;
    wilor_pipeline *p = pipeline;
    wilor_error_clear(err);
    if (!p || !out || n < 1 || !pictures)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_detect: pipeline, pictures and out may not be NULL, and "
                               "there must be a picture");
    *out = NULL;
    if (!p->detector)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_detect: this pipeline has no detector");
    WILOR_TRY(read_detect(p, &o, options, err));
    for (int i = 0; i < n; i++)
        WILOR_TRY(wilor_crop_check_picture(&pictures[i], err));
    if (n > 1 && o.nv12_chroma)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_detect: nv12_chroma is for one picture");
    WILOR_TRY(get_results(p, n, err));
    for (int i = 0; i < n; i++)
        WILOR_TRY(
            detect_one(p, &pictures[i], rule_for(p, pictures, n), &o, &p->results[i], err));
    *out = p->results;
done:
    return st;
}

wilor_status wilor_detect_raw(wilor_pipeline *pipeline, const wilor_picture *picture,
                              const float **out, int *anchors, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_pipeline *p = pipeline;
    wilor_letterbox l;
    workspace w;
    wilor_picture view;
    wilor_error_clear(err);
    if (!p || !picture || !out || !anchors || !p->detector)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_detect_raw: pipeline, picture, out and anchors may not "
                               "be NULL, and the pipeline needs a detector");
    *out = NULL;
    *anchors = 0;
    view = *picture;
    WILOR_TRY(wilor_crop_check_picture(&view, err));
    int side = view.width > view.height ? view.width : view.height;
    if (view.width % 32 != 0 || view.height % 32 != 0)
        WILOR_FAIL(err, WILOR_ERR_ARG,
                   "wilor_detect_raw: %d x %d: both have to be multiples of 32", view.width,
                   view.height);
    if (side > WILOR_YOLO_MOST_SIDE)
        WILOR_FAIL(err, WILOR_ERR_LIMIT, "wilor_detect_raw: %d x %d; the limit is %d",
                   view.width, view.height, WILOR_YOLO_MOST_SIDE);
    /* At its own size a picture passes the letterbox as it is. */
    WILOR_TRY(
        wilor_letterbox_plan(&l, view.width, view.height, side, WILOR_LETTERBOX_RECT, err));
    WILOR_TRY(wilor_convert_nv12(&view, NULL, 0, &p->converted, p->pool, err));
    WILOR_TRY(put_picture(p, &view, &l, &w, err));
    WILOR_TRY(wilor_yolo_forward(p->run, err));
    int n = wilor_yolo_anchors(p->run);
    WILOR_TRY(
        grow(&p->kept, (size_t)n * RAW_ROWS * sizeof **out, "the detector's output", err));
    float *rows = p->kept.data;
    for (int i = 0; i < n; i++) {
        float column[RAW_ROWS];
        wilor_yolo_column(p->run, i, column);
        for (size_t k = 0; k < RAW_ROWS; k++)
            rows[k * (size_t)n + (size_t)i] = column[k];
    }
    *out = rows;
    *anchors = n;
done:
    return st;
}

/* ---------------------------------------------------------------- the whole route */

/* Ask the caller's detector for at most `most` hands. */
static wilor_status ask(wilor_pipeline *p, const wilor_picture *picture, int first, int most,
                        int *found, wilor_error *err) {
    float *points = p->found + (size_t)first * 63;
    memset(points, 0, (size_t)most * 63 * sizeof *points);
    *found = p->o.find(p->o.find_user, picture, p->boxes + first, points, most);
    if (*found < 0)
        return wilor_error_set(err, WILOR_ERR_CANCELLED, "the caller's detector gave up: %d",
                               *found);
    if (*found > most)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "the caller's detector found %d hands and was asked for %d",
                               *found, most);
    for (int i = 0; i < *found; i++)
        p->side_odds[first + i] = UNTOLD_ODDS;
    return WILOR_OK;
}

static wilor_status find(wilor_pipeline *p, const wilor_picture *picture, int first,
                         const wilor_detect_options *o, int *found, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_detections *d;
    int most = p->o.max_hands - first;
    *found = 0;
    if (p->o.find) {
        st = ask(p, picture, first, most, found, err);
        p->uploaded = false; /* it may have shown this pipeline another picture */
        return st;
    }
    if (!p->detector)
        return WILOR_OK;
    WILOR_TRY(wilor_detect(p, picture, 1, o, &d, err));
    for (int i = 0; i < d->n && *found < most; i++) {
        const double *box = d->boxes[i].box;
        size_t at = (size_t)(first + *found);
        /* Clipped and rounded to whole pixels, a box can be left without an area: there is no hand
         * to look at. */
        if (!(box[2] > box[0]) || !(box[3] > box[1]))
            continue;
        p->boxes[at] = d->boxes[i];
        p->side_odds[at] = p->result_odds[i];
        memcpy(p->found + at * 63, d->keypoints + (size_t)i * 63, 63 * sizeof *p->found);
        ++*found;
    }
done:
    return st;
}

wilor_status wilor_pipeline_find(wilor_pipeline *p, const wilor_picture *picture,
                                 const wilor_detect_options *o, const wilor_box **boxes,
                                 const float **keypoints, const float **side_odds, int *n,
                                 wilor_error *err) {
    *boxes = p->boxes;
    *keypoints = p->found;
    *side_odds = p->side_odds;
    return find(p, picture, 0, o, n, err);
}

bool wilor_detect_forces_side(const wilor_detect_options *o) {
    wilor_detect_options own = {0};
    return o && wilor_options_read(&own, sizeof own, o, "", NULL) == WILOR_OK &&
           own.force_side != 0;
}

int wilor_pipeline_most(const wilor_pipeline *p) {
    return p->o.find || p->detector ? p->o.max_hands : 0;
}

wilor_status wilor_pipeline_as_rgb(wilor_pipeline *p, wilor_picture *picture,
                                   const wilor_predict_options *options, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_predict_options o = {0};
    p->uploaded = false;
    if (options)
        WILOR_TRY(wilor_options_read(&o, sizeof o, options, "wilor_predict_options", err));
    WILOR_TRY(wilor_convert_nv12(picture, o.nv12_chroma, o.nv12_chroma_stride, &p->converted,
                                 p->pool, err));
done:
    return st;
}

wilor_status wilor_pipeline_predict(wilor_pipeline *p, const wilor_picture *picture,
                                    const wilor_box *boxes, const float *side_odds, int n,
                                    const wilor_predict_options *options,
                                    const wilor_hands **out, wilor_error *err) {
    p->session->detector = p->uploaded ? p->run : NULL;
    wilor_status st =
        wilor_predict_doubted(p->session, picture, boxes, side_odds, n, options, out, err);
    p->session->detector = NULL;
    return st;
}

wilor_status wilor_pipeline_run(wilor_pipeline *pipeline, const wilor_picture *picture,
                                const wilor_box *boxes, int n,
                                const wilor_detect_options *detect_options,
                                const wilor_predict_options *predict_options,
                                const wilor_hands **out, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_pipeline *p = pipeline;
    wilor_picture view;
    int found;
    wilor_error_clear(err);
    if (!p || !picture || !out || n < 0 || (n > 0 && !boxes))
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "wilor_pipeline_run: pipeline, picture, out and boxes may not be NULL");
    *out = NULL;
    if (!p->session)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_pipeline_run: this pipeline has no model");
    if (n > p->o.max_hands)
        return wilor_error_set(err, WILOR_ERR_LIMIT, "%d hands; this pipeline takes %d", n,
                               p->o.max_hands);
    WILOR_TRY(wilor_crop_check_picture(picture, err));
    uint64_t start = wilor_clock_ns();
    view = *picture;
    WILOR_TRY(wilor_pipeline_as_rgb(p, &view, predict_options, err));
    WILOR_TRY(find(p, &view, n, detect_options, &found, err));
    double spent = since(start);
    if (n > 0)
        memcpy(p->boxes, boxes, (size_t)n * sizeof *boxes);
    int sure = wilor_detect_forces_side(detect_options) ? n + found : n;
    for (int i = 0; i < sure; i++)
        p->side_odds[i] = INFINITY;
    WILOR_TRY(wilor_pipeline_predict(p, &view, p->boxes, p->side_odds, n + found,
                                     predict_options, out, err));
    wilor_session *s = p->session;
    s->hands.detect_ms = spent;
    if (found > 0) {
        memset(s->detected + n, 1, (size_t)found);
        memcpy(s->detected_keypoints + (size_t)n * 63, p->found + (size_t)n * 63,
               (size_t)found * 63 * sizeof(float));
    }
done:
    return st;
}

size_t wilor_pipeline_memory(const wilor_detector *detector, const wilor_model *model,
                             const wilor_pipeline_options *options, int width, int height) {
    wilor_pipeline_options o;
    wilor_session_options so;
    wilor_letterbox l;
    size_t bytes = sizeof(wilor_pipeline);
    if (read_options(&o, &so, options, on_card(detector, model), NULL) != WILOR_OK)
        return 0;
    if (model)
        bytes += wilor_session_memory(model, &so);
    if (!detector)
        return bytes;
    bool mlx = o.compat == WILOR_COMPAT_MLX;
    if (wilor_letterbox_plan(&l, width, height, mlx ? MLX_SIDE : detector->info.imgsz,
                             mlx ? WILOR_LETTERBOX_MLX : WILOR_LETTERBOX_RECT,
                             NULL) != WILOR_OK)
        return 0;
    return bytes + wilor_yolo_memory(detector->yolo, so.threads, l.width, l.height);
}
