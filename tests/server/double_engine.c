/* A stand-in for the live engine: the same calls, the same threads, hands that follow a formula. For tests
 * of the server, which should not depend on how quick or how right the model is on this machine.
 *
 * Two hands, as the model gives them for a grey picture, swing before the camera. A frame takes
 * WILOR_DOUBLE_MS milliseconds (2). While there is a file of the name in WILOR_DOUBLE_HOLD nothing is
 * done: the model is being loaded, the frame or the request that came first is in work. */
#include "live_engine.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HANDS = 2, ASKS = 8, SINKS = 4 };

typedef struct ask {
    int n, width, height;
    wilor_side side[HANDS];
    unsigned include;
    wilor_cli_sink_fn fn;
    void *user;
} ask;

struct wilor_cli_engine {
    wilor_cli_engine_options o;
    wilor_session *session;
    const wilor_hands *base;
    wilor_cli_live_hand hands[HANDS];
    float *vertices;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, taken;
    bool stop, full;
    wilor_cli_frame waiting;
    uint8_t *pixels;
    size_t room;
    unsigned dropped;
    ask asks[ASKS];
    int ask_count;
    wilor_cli_engine_counts counts;
    wilor_cli_sink_fn sink[SINKS];
    void *sink_user[SINKS];
    int sinks;
    uint64_t seq;
    useconds_t pace;
};

static int64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Until the test takes its file away. */
static void hold(void) {
    const char *path = getenv("WILOR_DOUBLE_HOLD");
    while (path && access(path, F_OK) == 0)
        usleep(5000);
}

/* out = p turned by `angle` about the upright axis, `count` points. */
static void turn(float *out, const float *p, size_t count, double angle) {
    float c = (float)cos(angle), s = (float)sin(angle);
    for (size_t i = 0; i < count; i++, p += 3, out += 3) {
        float x = p[0], z = p[2];
        out[0] = c * x + s * z;
        out[1] = p[1];
        out[2] = c * z - s * x;
    }
}

static void fill_hand(wilor_cli_engine *e, int i, int of, double seconds, unsigned include) {
    const wilor_hands *b = e->base;
    size_t k = (size_t)of, v = (size_t)b->vertices;
    wilor_cli_live_hand *h = &e->hands[i];
    double angle = 0.7 * sin(seconds * 1.3 + i);
    *h = (wilor_cli_live_hand){.id = (uint32_t)i + 1,
                               .side = (wilor_side)b->side[of],
                               .state = WILOR_CLI_TRACKED,
                               .conf = 0.9f,
                               .age_ns = (int64_t)(seconds * 1e9),
                               .fit_px = NAN,
                               .wrist_q = {0, 0, 0, 1}};
    memcpy(h->crop, b->crop + 3 * k, sizeof h->crop);
    memcpy(h->pred_cam, b->pred_cam + 3 * k, sizeof h->pred_cam);
    memcpy(h->cam_t, b->cam_t + 3 * k, sizeof h->cam_t);
    memcpy(h->betas, b->betas + 10 * k, sizeof h->betas);
    memcpy(h->hand_pose, b->hand_pose + 45 * k, sizeof h->hand_pose);
    memcpy(h->global_orient, b->global_orient + 3 * k, sizeof h->global_orient);
    h->cam_t[0] += 0.05f * (float)sin(seconds * 2 + i);
    h->cam_t[1] += 0.03f * (float)cos(seconds * 1.7 + i);
    turn(h->keypoints_3d[0], b->keypoints_3d + 63 * k, 21, angle);
    turn(e->vertices + (size_t)i * v * 3, b->vertices_3d + k * v * 3, v, angle);
    if (include & WILOR_CLI_VERTICES)
        h->vertices_3d = e->vertices + (size_t)i * v * 3;
    float low[2] = {1e9f, 1e9f}, high[2] = {-1e9f, -1e9f};
    for (int j = 0; j < 21; j++)
        for (int a = 0; a < 2; a++) {
            float z = h->keypoints_3d[j][2] + h->cam_t[2];
            float x = b->focal[2 * k] * (h->keypoints_3d[j][a] + h->cam_t[a]) / z +
                      b->principal[2 * k + (size_t)a];
            h->keypoints_2d[j][a] = x;
            low[a] = x < low[a] ? x : low[a];
            high[a] = x > high[a] ? x : high[a];
        }
    h->box[0] = low[0], h->box[1] = low[1], h->box[2] = high[0], h->box[3] = high[1];
    wilor_hand_gesture(h->keypoints_3d[0], &h->gesture);
}

static wilor_cli_live_event event_of(wilor_cli_engine *e, int width, int height, int n,
                                     unsigned include) {
    wilor_cli_live_event event = {.stream = e->o.stream,
                                  .session = "0123456789abcdef0123456789abcdef",
                                  .t_ready = now(CLOCK_MONOTONIC),
                                  .t_utc = now(CLOCK_REALTIME),
                                  .width = width,
                                  .height = height,
                                  .fx = (double)e->base->focal[0],
                                  .fy = (double)e->base->focal[1],
                                  .cx = (double)e->base->principal[0],
                                  .cy = (double)e->base->principal[1],
                                  .include = include,
                                  .vertices = e->base->vertices,
                                  .n = n,
                                  .hands = e->hands,
                                  .model = &e->o.facts};
    event.timing = (wilor_cli_live_timing){.wait = 100000,
                                           .decode = 400000,
                                           .detect = 2000000,
                                           .crop = 200000,
                                           .pose = 9000000,
                                           .post = 150000,
                                           .total = 11850000};
    return event;
}

static void run_frame(wilor_cli_engine *e, wilor_cli_frame frame, unsigned dropped) {
    double seconds = (double)(frame.t_capture % 1000000000000) * 1e-9;
    hold();
    if (e->pace)
        usleep(e->pace);
    for (int i = 0; i < HANDS; i++)
        fill_hand(e, i, i, seconds, e->o.include);
    wilor_cli_live_event event =
        event_of(e, frame.picture.width, frame.picture.height, HANDS, e->o.include);
    event.seq = ++e->seq;
    event.frame = frame.number;
    event.t_capture = frame.t_capture;
    event.clock = frame.clock;
    if (frame.clock != WILOR_CLI_MONOTONIC)
        event.t_ready = frame.t_capture + event.timing.total;
    event.dropped = dropped;
    for (int i = 0; i < e->sinks; i++)
        e->sink[i](e->sink_user[i], &event, &frame.picture, frame.giver);
}

static void run_ask(wilor_cli_engine *e, const ask *a) {
    int64_t began = now(CLOCK_MONOTONIC);
    hold();
    for (int i = 0; i < a->n; i++)
        fill_hand(e, i, a->side[i] == WILOR_RIGHT, 0, a->include);
    wilor_cli_live_event event = event_of(e, a->width, a->height, a->n, a->include);
    event.t_capture = began;
    a->fn(a->user, &event, NULL, 0);
}

static void *work(void *user) {
    wilor_cli_engine *e = user;
    uint8_t *pixels = NULL;
    size_t room = 0;
    pthread_mutex_lock(&e->lock);
    while (!e->stop) {
        if (e->ask_count > 0) {
            ask a = e->asks[0];
            memmove(e->asks, e->asks + 1, (size_t)--e->ask_count * sizeof a);
            pthread_mutex_unlock(&e->lock);
            run_ask(e, &a);
            pthread_mutex_lock(&e->lock);
        } else if (e->full) {
            wilor_cli_frame frame = e->waiting;
            unsigned dropped = e->dropped;
            uint8_t *other = pixels;
            size_t other_room = room;
            pixels = e->pixels, room = e->room;
            e->pixels = other, e->room = other_room;
            e->full = false;
            e->dropped = 0;
            pthread_cond_broadcast(&e->taken);
            e->counts.frames++;
            e->counts.hands[0]++, e->counts.hands[1]++;
            pthread_mutex_unlock(&e->lock);
            run_frame(e, frame, dropped);
            pthread_mutex_lock(&e->lock);
        } else {
            pthread_cond_wait(&e->wake, &e->lock);
        }
    }
    pthread_mutex_unlock(&e->lock);
    free(pixels);
    return NULL;
}

wilor_status wilor_cli_engine_give(wilor_cli_engine *e, const wilor_cli_frame *frame,
                                   wilor_error *err) {
    const wilor_picture *p = &frame->picture;
    size_t row = (size_t)p->width * 3;
    if (!p->data || p->format != WILOR_RGB8)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "a frame without pixels");
    pthread_mutex_lock(&e->lock);
    while (e->full && wilor_cli_frames_take_turns(&e->waiting, frame) && !e->stop)
        pthread_cond_wait(&e->taken, &e->lock);
    if (e->room < row * (size_t)p->height) {
        free(e->pixels);
        e->room = row * (size_t)p->height;
        e->pixels = malloc(e->room);
    }
    for (int y = 0; y < p->height; y++)
        memcpy(e->pixels + row * (size_t)y, p->data + p->stride * y, row);
    e->dropped += e->full;
    e->counts.dropped += e->full;
    e->waiting = *frame;
    e->waiting.picture.data = e->pixels;
    e->waiting.picture.stride = (ptrdiff_t)row;
    e->full = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    return WILOR_OK;
}

wilor_status wilor_cli_engine_ask(wilor_cli_engine *e, const wilor_picture *picture,
                                  const wilor_box *boxes, int n, const wilor_detect_options *d,
                                  const wilor_predict_options *p, unsigned include,
                                  wilor_cli_sink_fn fn, void *user, wilor_error *err) {
    wilor_status st = WILOR_OK;
    (void)p;
    if (n > HANDS)
        return wilor_cli_fail(err, WILOR_ERR_LIMIT, "%d boxes: the limit is %d", n, HANDS);
    ask a = {boxes ? n : HANDS,
             picture->width,
             picture->height,
             {WILOR_LEFT, WILOR_RIGHT},
             include,
             fn,
             user};
    for (int i = 0; boxes && i < n; i++)
        a.side[i] = boxes[i].side;
    for (int i = 0; d->force_side && i < a.n; i++)
        a.side[i] = (wilor_side)(d->force_side - 1);
    pthread_mutex_lock(&e->lock);
    if (e->ask_count == ASKS)
        st = wilor_cli_fail(err, WILOR_ERR_LIMIT, "%d pictures wait already", ASKS);
    else
        e->asks[e->ask_count++] = a;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    return st;
}

wilor_status wilor_cli_engine_create(wilor_cli_engine **out, const wilor_cli_engine_options *o,
                                     wilor_error *err) {
    static uint8_t grey[640 * 480];
    const wilor_box boxes[HANDS] = {{{17, 202, 307, 322}, 1, WILOR_LEFT},
                                    {{333, 178, 623, 298}, 1, WILOR_RIGHT}};
    const wilor_picture picture = {grey, 640, 480, 640, WILOR_GRAY8};
    const char *pace = getenv("WILOR_DOUBLE_MS");
    hold();
    wilor_cli_engine *e = calloc(1, sizeof *e);
    *out = e;
    e->o = *o;
    e->pace = (useconds_t)(1000 * (pace ? atoi(pace) : 2));
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->wake, NULL);
    pthread_cond_init(&e->taken, NULL);
    wilor_status st = wilor_session_create(&e->session, o->model, NULL, err);
    if (st == WILOR_OK)
        st = wilor_predict_boxes(e->session, &picture, boxes, HANDS, NULL, &e->base, err);
    if (st != WILOR_OK)
        return st;
    e->vertices = calloc((size_t)e->base->vertices * HANDS, 3 * sizeof(float));
    pthread_create(&e->thread, NULL, work, e);
    return WILOR_OK;
}

void wilor_cli_engine_free(wilor_cli_engine **engine) {
    wilor_cli_engine *e = *engine;
    *engine = NULL;
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_signal(&e->wake);
    pthread_cond_broadcast(&e->taken);
    pthread_mutex_unlock(&e->lock);
    if (e->vertices)
        pthread_join(e->thread, NULL);
    wilor_session_free(&e->session);
    pthread_cond_destroy(&e->wake);
    pthread_cond_destroy(&e->taken);
    pthread_mutex_destroy(&e->lock);
    free(e->vertices);
    free(e->pixels);
    free(e);
}

wilor_status wilor_cli_engine_sink(wilor_cli_engine *e, wilor_cli_sink_fn fn, void *user,
                                   wilor_error *err) {
    (void)err;
    pthread_mutex_lock(&e->lock);
    e->sink[e->sinks] = fn;
    e->sink_user[e->sinks++] = user;
    pthread_mutex_unlock(&e->lock);
    return WILOR_OK;
}

void wilor_cli_engine_count(const wilor_cli_engine *engine, wilor_cli_engine_counts *out) {
    wilor_cli_engine *e = (wilor_cli_engine *)(uintptr_t)engine;
    pthread_mutex_lock(&e->lock);
    *out = e->counts;
    out->waiting = (unsigned)e->ask_count;
    pthread_mutex_unlock(&e->lock);
}
