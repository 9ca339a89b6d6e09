/* Frames in, events out: the heart of `wilor live` and `wilor serve`.
 *
 * One worker thread has the detector, the model and the tracker. There is one frame in work and at most
 * one waiting; a newer one takes the waiting one's place, and the next event counts it as dropped. With
 * `keep_all` (files) the giver waits instead, and so does a client's frame for another client's. Sinks are
 * called on the worker's thread, in the order in which they were added, and must not wait for others.
 *
 * After the first frames nothing is allocated here as long as frames keep their size. */
#ifndef WILOR_CLI_LIVE_ENGINE_H
#define WILOR_CLI_LIVE_ENGINE_H

#include "live_event.h"
#include "predict_options.h"

typedef struct wilor_cli_engine wilor_cli_engine;

/* A frame to be looked at; the picture is copied by wilor_cli_engine_give. */
typedef struct wilor_cli_frame {
    wilor_picture picture;
    int64_t t_capture; /* ns of `clock` */
    int64_t arrival;   /* CLOCK_MONOTONIC, ns */
    int64_t decode;    /* ns that decoding took */
    wilor_cli_clock clock;
    uint64_t number; /* of the input's frames */
    uint64_t
        giver; /* handed through to the sinks: who gave it (a client's number), 0: the source */
} wilor_cli_frame;

/* Of two clients' frames none takes the other's place: the second waits until the first is taken. */
static inline bool wilor_cli_frames_take_turns(const wilor_cli_frame *a,
                                               const wilor_cli_frame *b) {
    return a->giver && b->giver && a->giver != b->giver;
}

typedef void (*wilor_cli_sink_fn)(void *user, const wilor_cli_live_event *event,
                                  const wilor_picture *picture, uint64_t giver);

/* What is read here lives as long as the engine. */
typedef struct wilor_cli_engine_options {
    const char *stream;
    const wilor_detector *detector;
    const wilor_model *model;
    wilor_cli_live_model facts;
    int threads, max_hands; /* 0: the library's choice */
    bool keep_all;          /* no frame is dropped: give waits */
    bool track;             /* else every frame stands alone, ids are new each time */
    bool skip_empty;        /* no event without hands */
    double smooth;          /* 0 … 1 */
    int detect_every;       /* 0: adapts */
    double hold;            /* seconds */
    unsigned include;
    wilor_compat compat;
    wilor_detect_options detect;
    /* How the camera and the rest follow from a frame's size; NULL: predict as it stands. */
    const wilor_cli_predict_options *options;
    const float *betas; /* NULL, or 10 numbers, with options */
    wilor_predict_options predict;
    /* NULL, or used instead of the detector. */
    wilor_find_fn find;
    void *find_user;
    /* NULL, or told on the worker's thread why a frame has no event. */
    void (*failed)(void *user, const wilor_cli_frame *frame, const wilor_error *err);
    void *failed_user;
} wilor_cli_engine_options;

/* Takes everything and starts the worker. The detector and the model stay the caller's. */
wilor_status wilor_cli_engine_create(wilor_cli_engine **out, const wilor_cli_engine_options *o,
                                     wilor_error *err);
/* At the end of a source, behind the last give: waits until the frame that waits, the newest, is in work. */
void wilor_cli_engine_settle(wilor_cli_engine *engine);
/* Finishes the frame in work, and with keep_all the one that waits, and stops. */
void wilor_cli_engine_free(wilor_cli_engine **engine);

/* Before the first frame. */
wilor_status wilor_cli_engine_sink(wilor_cli_engine *engine, wilor_cli_sink_fn fn, void *user,
                                   wilor_error *err);

/* Any thread; clients' frames from one. ERR_ARG for a picture that cannot be, ERR_NOMEM, ERR_CANCELLED once the
 * engine stops. */
wilor_status wilor_cli_engine_give(wilor_cli_engine *engine, const wilor_cli_frame *frame,
                                   wilor_error *err);

/* A picture of its own, outside the stream (POST /predict): waits for the worker, which takes it between
 * two frames. fn is called once on the worker's thread with the event (ids 1, 2, …, no tracking), or with
 * event NULL: it failed, or the engine stops. The picture and the boxes are copied. boxes: NULL, or n of
 * them instead of the detector. ERR_LIMIT: too many wait already, fn is not called. */
wilor_status wilor_cli_engine_ask(wilor_cli_engine *engine, const wilor_picture *picture,
                                  const wilor_box *boxes, int n, const wilor_detect_options *d,
                                  const wilor_predict_options *p, unsigned include,
                                  wilor_cli_sink_fn fn, void *user, wilor_error *err);

/* Counters since the start, for /metrics; any thread. */
typedef struct wilor_cli_engine_counts {
    uint64_t frames, dropped, hands[2]; /* hands by wilor_side */
    unsigned waiting;                   /* asks */
} wilor_cli_engine_counts;

void wilor_cli_engine_count(const wilor_cli_engine *engine, wilor_cli_engine_counts *out);

#endif
