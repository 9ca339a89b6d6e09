#include "bench_live.h"

#include "live_engine.h"
#include "live_json.h"
#include "options.h"
#include "report.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct wilor_cli_bench_live {
    wilor_cli_bench_live_options o;
    wilor_pipeline *finder; /* the detector's own */
    wilor_cli_engine *engine;
    int64_t next; /* when the next frame comes */
    uint64_t frames;
    wilor_cli_buffer text; /* the engine's thread's: the event as it would be written */
    pthread_mutex_t lock;  /* of what follows */
    pthread_cond_t more;
    uint64_t events;
    wilor_cli_live_timing timing;
    int64_t writing; /* nanoseconds */
    wilor_status st;
    wilor_error err;
};

static int find(void *user, const wilor_picture *picture, wilor_box *boxes, float *keypoints,
                int most) {
    wilor_cli_bench_live *l = user;
    const wilor_detections *found;
    wilor_detect_options o;
    wilor_detect_options_init(&o, sizeof o);
    o.imgsz = l->o.imgsz;
    if (wilor_detect(l->finder, picture, 1, &o, &found, NULL) != WILOR_OK)
        return -1;
    return l->o.find(l->o.find_user, picture, boxes, keypoints, most);
}

static void end_frame(wilor_cli_bench_live *l, wilor_status st, const wilor_error *err,
                      const wilor_cli_live_timing *timing, int64_t writing) {
    pthread_mutex_lock(&l->lock);
    l->events++;
    if (st != WILOR_OK && l->st == WILOR_OK) {
        l->st = st;
        l->err = *err;
    }
    if (timing)
        l->timing = *timing;
    l->writing = writing;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
}

static void on_event(void *user, const wilor_cli_live_event *event,
                     const wilor_picture *picture, uint64_t giver) {
    wilor_cli_bench_live *l = user;
    wilor_error err;
    int64_t start = wilor_cli_nanoseconds();
    wilor_status st = wilor_cli_live_json(&l->text, event, &err);
    (void)picture;
    (void)giver;
    end_frame(l, st, &err, &event->timing, wilor_cli_nanoseconds() - start);
}

static void on_failure(void *user, const wilor_cli_frame *frame, const wilor_error *err) {
    (void)frame;
    end_frame(user, err->status, err, NULL, 0);
}

wilor_status wilor_cli_bench_live_open(wilor_cli_bench_live **out,
                                       const wilor_cli_bench_live_options *o,
                                       wilor_error *err) {
    wilor_pipeline_options po;
    wilor_cli_bench_live *l = calloc(1, sizeof *l);
    *out = l;
    if (!l)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    l->o = *o;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more, NULL);
    wilor_pipeline_options_init(&po, sizeof po);
    po.threads = o->threads;
    wilor_cli_engine_options eo = {.stream = "bench",
                                   .model = o->model,
                                   .facts = {.name = "wilor"},
                                   .threads = o->threads,
                                   .max_hands = o->hands,
                                   .include = WILOR_CLI_DET, /* as live */
                                   .keep_all = true,
                                   .track = true,
                                   .smooth = 0.5,
                                   .find = find,
                                   .find_user = l,
                                   .failed = on_failure,
                                   .failed_user = l};
    wilor_detect_options_init(&eo.detect, sizeof eo.detect);
    wilor_predict_options_init(&eo.predict, sizeof eo.predict);
    wilor_status st = wilor_pipeline_create(&l->finder, o->detector, NULL, &po, err);
    if (st == WILOR_OK)
        st = wilor_cli_engine_create(&l->engine, &eo, err);
    if (st == WILOR_OK)
        st = wilor_cli_engine_sink(l->engine, on_event, l, err);
    return st;
}

wilor_status wilor_cli_bench_live_run(wilor_cli_bench_live *l, const wilor_picture *picture,
                                      wilor_cli_bench_run *run, wilor_error *err) {
    const int64_t step = 1000000000 / 30;
    int64_t left = l->next - wilor_cli_nanoseconds();
    if (left > 0)
        nanosleep(&(struct timespec){0, (long)left}, NULL);
    int64_t arrival = wilor_cli_nanoseconds();
    l->next = arrival + step;
    wilor_cli_frame frame = {
        .picture = *picture, .t_capture = arrival, .arrival = arrival, .number = l->frames++};
    wilor_status st = wilor_cli_engine_give(l->engine, &frame, err);
    if (st != WILOR_OK)
        return st;
    pthread_mutex_lock(&l->lock);
    while (l->events < l->frames)
        pthread_cond_wait(&l->more, &l->lock);
    const wilor_cli_live_timing *t = &l->timing;
    const int64_t parts[] = {t->wait, t->detect, t->crop, t->pose, t->post, l->writing};
    run->whole = (double)(t->total + l->writing) * 1e-6;
    for (int i = 0; i < 6; i++)
        run->stage[i] = (double)parts[i] * 1e-6;
    st = l->st;
    if (st != WILOR_OK && err)
        *err = l->err;
    pthread_mutex_unlock(&l->lock);
    return st;
}

void wilor_cli_bench_live_free(wilor_cli_bench_live **live) {
    wilor_cli_bench_live *l = *live;
    *live = NULL;
    if (!l)
        return;
    wilor_cli_engine_free(&l->engine);
    wilor_pipeline_free(&l->finder);
    wilor_cli_buffer_free(&l->text);
    pthread_cond_destroy(&l->more);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
