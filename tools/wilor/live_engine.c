#include "live_engine.h"

#include "batch.h"
#include "live_hands.h"
#include "picture_bytes.h"
#include "report.h"
#include "system_process.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_SINKS = 16, MOST_ASKS = 8, MOST_BOXES = 64, BATCH = 4, MOST_HANDS = 16 };

static const int64_t second = 1000000000;

/* A frame and memory for its pixels, rows without padding. */
typedef struct buffer {
    wilor_cli_frame frame;
    uint8_t *pixels;
    size_t room;
    bool full;
} buffer;

typedef struct ask {
    buffer picture;
    wilor_box boxes[MOST_BOXES];
    int box_count; /* -1: the detector finds them */
    wilor_detect_options detect;
    wilor_predict_options predict;
    unsigned include;
    wilor_cli_sink_fn fn;
    void *user;
} ask;

struct wilor_cli_engine {
    wilor_cli_engine_options o;
    wilor_pipeline *pipeline;
    wilor_tracker *tracker;
    pthread_t thread;
    bool started;

    pthread_mutex_t giving; /* one giver at a time copies into `spare` */
    buffer spare;

    pthread_mutex_t lock; /* of what follows, up to `stop` */
    pthread_cond_t work;  /* for the worker */
    pthread_cond_t space; /* for givers that wait */
    buffer waiting;
    ask *asks[MOST_ASKS]; /* in their order */
    int ask_count;
    unsigned dropped; /* since the event before */
    wilor_cli_engine_counts counts;
    bool stop;

    /* The worker's own. */
    buffer working;
    wilor_cli_live_hand *hands;
    int max_hands;
    int64_t last_time;
    wilor_cli_clock last_clock;
    uint64_t last_giver;
    uint64_t seq;
    bool any;
    char session[WILOR_CLI_SESSION_DIGITS + 1];

    wilor_cli_sink_fn sink[MOST_SINKS];
    void *sink_user[MOST_SINKS];
    int sinks;
};

static int64_t wall_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * second + t.tv_nsec;
}

/* ---------------------------------------------------------------- copies of pictures */

static wilor_status copy_picture(buffer *to, const wilor_picture *p, wilor_error *err) {
    enum { LONGEST_SIDE = 1 << 16 };

    size_t each = wilor_cli_pixel_bytes(p->format);
    bool nv12 = p->format == WILOR_NV12;
    if (!p->data || !each || p->width < 1 || p->height < 1 || p->width > LONGEST_SIDE ||
        p->height > LONGEST_SIDE || (nv12 && (p->stride < 0 || p->width % 2 || p->height % 2)))
        return wilor_cli_fail(err, WILOR_ERR_ARG, "a frame of %d x %d pixels, format %d",
                              p->width, p->height, (int)p->format);
    size_t row = (size_t)p->width * each, rows = (size_t)p->height;
    rows += nv12 ? rows / 2 : 0;
    if (to->room < row * rows) {
        free(to->pixels);
        to->pixels = malloc(row * rows);
        to->room = to->pixels ? row * rows : 0;
        if (!to->pixels)
            return wilor_cli_fail(err, WILOR_ERR_NOMEM,
                                  "no memory for a frame of %d x %d pixels", p->width,
                                  p->height);
    }
    for (size_t y = 0; y < rows; y++)
        memcpy(to->pixels + y * row, p->data + (ptrdiff_t)y * p->stride, row);
    to->frame.picture = *p;
    to->frame.picture.data = to->pixels;
    to->frame.picture.stride = (ptrdiff_t)row;
    return WILOR_OK;
}

static void swap(buffer *a, buffer *b) {
    buffer t = *a;
    *a = *b;
    *b = t;
}

/* ---------------------------------------------------------------- giving */

/* Before `giving` is taken, so that a source, which neither waits here nor is waited for, is not held up. One
 * thread gives all clients' frames: none comes between this and the giving. */
static void wait_for_turn(wilor_cli_engine *e, const wilor_cli_frame *frame) {
    pthread_mutex_lock(&e->lock);
    while (e->waiting.full && wilor_cli_frames_take_turns(&e->waiting.frame, frame) && !e->stop)
        pthread_cond_wait(&e->space, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

wilor_status wilor_cli_engine_give(wilor_cli_engine *e, const wilor_cli_frame *frame,
                                   wilor_error *err) {
    wait_for_turn(e, frame);
    pthread_mutex_lock(&e->giving);
    e->spare.frame = *frame;
    wilor_status st = copy_picture(&e->spare, &frame->picture, err);
    if (st == WILOR_OK) {
        pthread_mutex_lock(&e->lock);
        while (e->o.keep_all && e->waiting.full && !e->stop)
            pthread_cond_wait(&e->space, &e->lock);
        if (e->stop) {
            st = wilor_cli_fail(err, WILOR_ERR_CANCELLED, "the engine has stopped");
        } else {
            e->dropped += e->waiting.full;
            e->counts.dropped += e->waiting.full;
            swap(&e->waiting, &e->spare);
            e->waiting.full = true;
            pthread_cond_signal(&e->work);
        }
        pthread_mutex_unlock(&e->lock);
    }
    pthread_mutex_unlock(&e->giving);
    return st;
}

static void free_ask(ask *a) {
    if (a)
        free(a->picture.pixels);
    free(a);
}

wilor_status wilor_cli_engine_ask(wilor_cli_engine *e, const wilor_picture *picture,
                                  const wilor_box *boxes, int n, const wilor_detect_options *d,
                                  const wilor_predict_options *p, unsigned include,
                                  wilor_cli_sink_fn fn, void *user, wilor_error *err) {
    if (boxes && (n < 0 || n > MOST_BOXES || n > e->max_hands))
        return wilor_cli_fail(err, WILOR_ERR_LIMIT, "%d boxes: the limit is %d", n,
                              e->max_hands < MOST_BOXES ? e->max_hands : MOST_BOXES);
    ask *a = calloc(1, sizeof *a);
    if (!a)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "no memory for a picture");
    a->box_count = boxes ? n : -1;
    for (int i = 0; boxes && i < n; i++)
        a->boxes[i] = boxes[i];
    a->detect = *d;
    a->predict = *p;
    a->include = include;
    a->fn = fn;
    a->user = user;
    a->picture.frame.arrival = wilor_cli_nanoseconds();
    a->picture.frame.t_capture = a->picture.frame.arrival;
    wilor_status st = copy_picture(&a->picture, picture, err);
    if (st == WILOR_OK) {
        pthread_mutex_lock(&e->lock);
        if (e->stop)
            st = wilor_cli_fail(err, WILOR_ERR_CANCELLED, "the engine has stopped");
        else if (e->ask_count == MOST_ASKS)
            st = wilor_cli_fail(err, WILOR_ERR_LIMIT, "%d pictures wait already", MOST_ASKS);
        if (st == WILOR_OK) {
            e->asks[e->ask_count++] = a;
            a = NULL;
            pthread_cond_signal(&e->work);
        }
        pthread_mutex_unlock(&e->lock);
    }
    free_ask(a);
    return st;
}

/* ---------------------------------------------------------------- events */

static wilor_predict_options options_for(const wilor_cli_engine *e, const wilor_picture *p) {
    return e->o.options
               ? wilor_cli_predict_options_for(e->o.options, p->width, p->height, e->o.betas)
               : e->o.predict;
}

/* As the library takes it where the caller says nothing (docs/conventions.md). */
static void fill_camera(wilor_cli_live_event *event, const wilor_predict_options *p,
                        const wilor_hands *hands) {
    int longest = event->width > event->height ? event->width : event->height;
    event->camera_given = p->has_intrinsics || p->focal > 0;
    event->metric = event->camera_given;
    if (p->has_intrinsics) {
        event->fx = p->intrinsics[0];
        event->fy = p->intrinsics[1];
        event->cx = p->intrinsics[2];
        event->cy = p->intrinsics[3];
    } else if (hands && hands->n > 0) {
        event->fx = (double)hands->focal[0];
        event->fy = (double)hands->focal[1];
        event->cx = (double)hands->principal[0];
        event->cy = (double)hands->principal[1];
    } else {
        event->fx = event->fy = p->focal > 0 ? p->focal : 5000.0 / 256 * longest;
        event->cx = 0.5 * event->width;
        event->cy = 0.5 * event->height;
    }
}

static int64_t nanoseconds(double ms) { return ms > 0 ? (int64_t)(ms * 1e6) : 0; }

/* The parts add up to the whole: what no stage has is `post`. */
static void fill_timing(wilor_cli_live_event *event, const wilor_cli_frame *frame,
                        int64_t start, const wilor_hands *hands) {
    wilor_cli_live_timing *t = &event->timing;
    int64_t ready = wilor_cli_nanoseconds();
    *t = (wilor_cli_live_timing){.decode = frame->decode,
                                 .detect = nanoseconds(hands->detect_ms),
                                 .crop = nanoseconds(hands->stage_ms[0]),
                                 .pose = nanoseconds(hands->stage_ms[1] + hands->stage_ms[2])};
    t->wait = start - frame->arrival - frame->decode;
    t->wait = t->wait > 0 ? t->wait : 0;
    int64_t known = t->wait + t->decode + t->detect + t->crop + t->pose;
    t->total = ready - frame->arrival;
    t->total = t->total > known ? t->total : known;
    t->post = t->total - known;
    /* On the clock of t_capture: the time from arrival to now behind it. */
    event->t_ready = frame->clock == WILOR_CLI_MONOTONIC ? ready : frame->t_capture + t->total;
    event->t_utc = wall_clock();
}

static wilor_cli_live_event begin_event(wilor_cli_engine *e, const wilor_cli_frame *frame,
                                        const wilor_predict_options *p, unsigned include) {
    wilor_model_info info;
    wilor_model_get_info(e->o.model, &info, sizeof info);
    wilor_cli_live_event event = {.stream = e->o.stream,
                                  .frame = frame->number,
                                  .t_capture = frame->t_capture,
                                  .clock = frame->clock,
                                  .width = frame->picture.width,
                                  .height = frame->picture.height,
                                  .mirrored = p->mirrored != 0,
                                  .include = include,
                                  .vertices = info.vertices,
                                  .hands = e->hands,
                                  .model = &e->o.facts};
    memcpy(event.session, e->session, sizeof event.session);
    return event;
}

/* ---------------------------------------------------------------- the worker */

static void count_event(wilor_cli_engine *e, const wilor_cli_live_event *event) {
    pthread_mutex_lock(&e->lock);
    e->counts.frames++;
    for (int i = 0; i < event->n; i++)
        e->counts.hands[event->hands[i].side]++;
    pthread_mutex_unlock(&e->lock);
}

/* A frame of another giver, of another clock, or from before the last one begins anew. */
static int64_t place_in_time(wilor_cli_engine *e, const wilor_cli_frame *f) {
    int64_t time = f->t_capture;
    bool other = e->any && (f->giver != e->last_giver || f->clock != e->last_clock);
    if (other || (e->any && time < e->last_time) || !e->o.track)
        wilor_tracker_reset(e->tracker);
    else if (e->any && time == e->last_time)
        time++;
    e->any = true;
    e->last_time = time;
    e->last_clock = f->clock;
    e->last_giver = f->giver;
    return time;
}

static void run_frame(wilor_cli_engine *e, unsigned dropped) {
    wilor_cli_frame *f = &e->working.frame;
    int64_t start = wilor_cli_nanoseconds(), time = place_in_time(e, f);
    wilor_predict_options p = options_for(e, &f->picture);
    const wilor_tracks *tracks;
    wilor_error err;
    if (wilor_tracker_run(e->tracker, e->pipeline, &f->picture, time, &e->o.detect, &p, &tracks,
                          &err) != WILOR_OK) {
        if (e->o.failed)
            e->o.failed(e->o.failed_user, f, &err);
        return;
    }
    wilor_cli_live_event event = begin_event(e, f, &p, e->o.include);
    event.n =
        wilor_cli_live_tracks_fill(e->hands, e->max_hands, e->o.model, tracks, e->o.include);
    event.dropped = dropped;
    event.lost = tracks->lost_id;
    event.lost_count = tracks->lost;
    event.results = tracks->hands;
    fill_camera(&event, &p, tracks->hands);
    fill_timing(&event, f, start, tracks->hands);
    count_event(e, &event);
    if (event.n == 0 && event.lost_count == 0 && e->o.skip_empty)
        return;
    event.seq = ++e->seq;
    for (int i = 0; i < e->sinks; i++)
        e->sink[i](e->sink_user[i], &event, &f->picture, f->giver);
}

static void run_ask(wilor_cli_engine *e, ask *a) {
    wilor_cli_frame *f = &a->picture.frame;
    int64_t start = wilor_cli_nanoseconds();
    const wilor_hands *hands;
    wilor_error err;
    wilor_status st;
    if (a->box_count >= 0)
        st = wilor_predict_boxes(wilor_pipeline_session(e->pipeline), &f->picture, a->boxes,
                                 a->box_count, &a->predict, &hands, &err);
    else
        st = wilor_pipeline_run(e->pipeline, &f->picture, NULL, 0, &a->detect, &a->predict,
                                &hands, &err);
    if (st != WILOR_OK) {
        a->fn(a->user, NULL, &f->picture, 0);
        return;
    }
    wilor_cli_live_event event = begin_event(e, f, &a->predict, a->include);
    for (int i = 0; i < hands->n && event.n < e->max_hands; i++) {
        if (hands->failed[i])
            continue;
        wilor_cli_live_hand *hand = &e->hands[event.n++];
        wilor_cli_live_hand_fill(hand, e->o.model, hands, i, a->include);
        hand->id = (uint32_t)event.n;
    }
    event.results = hands;
    fill_camera(&event, &a->predict, hands);
    fill_timing(&event, f, start, hands);
    count_event(e, &event);
    a->fn(a->user, &event, &f->picture, 0);
}

/* What comes next: an ask, a frame (in `working`), or the end. Asks and frames take turns. */
typedef enum turn { TURN_ASK, TURN_FRAME, TURN_END } turn;

static turn next_turn(wilor_cli_engine *e, turn last, ask **a, unsigned *dropped) {
    turn t = TURN_END;
    pthread_mutex_lock(&e->lock);
    while (!e->stop && !e->waiting.full && e->ask_count == 0)
        pthread_cond_wait(&e->work, &e->lock);
    bool frame = e->waiting.full && (!e->stop || e->o.keep_all);
    if (!e->stop && e->ask_count > 0 && (last != TURN_ASK || !frame)) {
        t = TURN_ASK;
        *a = e->asks[0];
        e->ask_count--;
        memmove(e->asks, e->asks + 1, (size_t)e->ask_count * sizeof e->asks[0]);
    } else if (frame) {
        t = TURN_FRAME;
        swap(&e->waiting, &e->working);
        e->waiting.full = false;
        *dropped = e->dropped;
        e->dropped = 0;
        pthread_cond_broadcast(&e->space);
    }
    pthread_mutex_unlock(&e->lock);
    return t;
}

static void *worker_main(void *arg) {
    wilor_cli_engine *e = arg;
    ask *a = NULL;
    unsigned dropped = 0;
    for (turn t = TURN_FRAME; (t = next_turn(e, t, &a, &dropped)) != TURN_END;) {
        if (t == TURN_FRAME) {
            run_frame(e, dropped);
            continue;
        }
        run_ask(e, a);
        free_ask(a);
    }
    return NULL;
}

/* ---------------------------------------------------------------- life */

/* Random digits, so that sessions of different runs are never taken for one another. */
static void make_session(char digits[WILOR_CLI_SESSION_DIGITS + 1]) {
    unsigned char bytes[WILOR_CLI_SESSION_DIGITS / 2] = {0};
    int64_t t = wall_clock();
    if (!wilor_sys_random(bytes, sizeof bytes))
        memcpy(bytes, &t, sizeof t);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
}

static wilor_status open_parts(wilor_cli_engine *e, wilor_error *err) {
    wilor_pipeline_options po;
    wilor_tracker_options to;
    wilor_pipeline_options_init(&po, sizeof po);
    wilor_tracker_options_init(&to, sizeof to);
    e->max_hands = e->o.max_hands ? e->o.max_hands : MOST_HANDS;
    po.max_hands = e->max_hands;
    po.batch = wilor_cli_batch(e->o.model, e->max_hands < BATCH ? e->max_hands : BATCH);
    po.threads = e->o.threads;
    po.compat = e->o.compat;
    po.find = e->o.find;
    po.find_user = e->o.find_user;
    to.max_hands = e->max_hands;
    to.detect_every = e->o.detect_every;
    to.smooth = e->o.track ? e->o.smooth : 0;
    to.hold = e->o.track ? e->o.hold : 0;
    to.lost_after = to.hold > 0.2 ? to.hold : 0;
    e->hands = calloc((size_t)e->max_hands, sizeof *e->hands);
    if (!e->hands)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "no memory for %d hands", e->max_hands);
    wilor_status st = wilor_pipeline_create(&e->pipeline, e->o.detector, e->o.model, &po, err);
    return st == WILOR_OK ? wilor_tracker_create(&e->tracker, e->o.model, &to, err) : st;
}

wilor_status wilor_cli_engine_create(wilor_cli_engine **out, const wilor_cli_engine_options *o,
                                     wilor_error *err) {
    wilor_cli_engine *e = calloc(1, sizeof *e);
    *out = NULL;
    if (!e)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "no memory for an engine");
    e->o = *o;
    pthread_mutex_init(&e->giving, NULL);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    pthread_cond_init(&e->space, NULL);
    make_session(e->session);
    wilor_status st = open_parts(e, err);
    if (st == WILOR_OK) {
        e->started = pthread_create(&e->thread, NULL, worker_main, e) == 0;
        if (!e->started)
            st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "the system gave no thread");
    }
    if (st != WILOR_OK)
        wilor_cli_engine_free(&e);
    *out = e;
    return st;
}

void wilor_cli_engine_settle(wilor_cli_engine *e) {
    pthread_mutex_lock(&e->lock);
    while (e->waiting.full)
        pthread_cond_wait(&e->space, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

void wilor_cli_engine_free(wilor_cli_engine **engine) {
    wilor_cli_engine *e = *engine;
    *engine = NULL;
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_broadcast(&e->work);
    pthread_cond_broadcast(&e->space);
    pthread_mutex_unlock(&e->lock);
    if (e->started)
        pthread_join(e->thread, NULL);
    for (int i = 0; i < e->ask_count; i++) {
        e->asks[i]->fn(e->asks[i]->user, NULL, &e->asks[i]->picture.frame.picture, 0);
        free_ask(e->asks[i]);
    }
    wilor_tracker_free(&e->tracker);
    wilor_pipeline_free(&e->pipeline);
    free(e->spare.pixels);
    free(e->waiting.pixels);
    free(e->working.pixels);
    free(e->hands);
    pthread_cond_destroy(&e->space);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->lock);
    pthread_mutex_destroy(&e->giving);
    free(e);
}

wilor_status wilor_cli_engine_sink(wilor_cli_engine *e, wilor_cli_sink_fn fn, void *user,
                                   wilor_error *err) {
    if (e->sinks == MOST_SINKS)
        return wilor_cli_fail(err, WILOR_ERR_LIMIT, "more than %d outputs", MOST_SINKS);
    e->sink[e->sinks] = fn;
    e->sink_user[e->sinks++] = user;
    return WILOR_OK;
}

void wilor_cli_engine_count(const wilor_cli_engine *engine, wilor_cli_engine_counts *out) {
    wilor_cli_engine *e = (wilor_cli_engine *)engine;
    pthread_mutex_lock(&e->lock);
    *out = e->counts;
    out->waiting = (unsigned)e->ask_count;
    pthread_mutex_unlock(&e->lock);
}
