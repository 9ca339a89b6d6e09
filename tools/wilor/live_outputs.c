/* Each output is a sink's part, in one function a kind; what fails first is kept and ends the run. All
 * run on the engine's worker; only the lines between events come from the thread that reads the source,
 * hence the lock. */
#include "live_outputs.h"

#include "event_out.h"
#include "extrinsics_file.h"
#include "live_both_sides.h"
#include "live_json.h"
#include "live_osc.h"
#include "live_record.h"
#include "live_shm.h"
#include "live_take.h"
#include "writer_npz.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct wilor_cli_outputs {
    const wilor_cli_live_options *o;
    const wilor_model *model;
    pthread_mutex_t lock; /* of what follows, up to `hands` */
    wilor_cli_event_out out;
    wilor_cli_buffer line;
    char session[WILOR_CLI_SESSION_DIGITS + 1]; /* "" before the first event */
    uint64_t seq;
    wilor_status st;
    wilor_error err;
    uint64_t hands;

    uint8_t *record;
    size_t record_room;
    wilor_cli_npz *npz;
    wilor_cli_take *take;
    wilor_cli_osc *osc;
    wilor_cli_shm *shm;
    wilor_cli_mover *mover;
    wilor_cli_both_sides *both_sides;
    wilor_video_writer *video;
    wilor_video_writer_options video_options;
    int64_t video_last; /* time of its last picture, ns */
};

static void note_failure(wilor_cli_outputs *o, wilor_status st, const wilor_error *err) {
    if (st == WILOR_OK || o->st != WILOR_OK)
        return;
    o->st = st;
    o->err = *err;
}

/* ---------------------------------------------------------------- lines */

static void put_line(wilor_cli_outputs *o, wilor_status st, wilor_error *err) {
    if (st == WILOR_OK) {
        st = o->line.failed ? wilor_cli_fail(err, WILOR_ERR_NOMEM, "no memory for an event")
                            : wilor_cli_event_out_put(&o->out, o->line.text, err);
    }
    note_failure(o, st, err);
}

static wilor_cli_stream_name name_of(const wilor_cli_outputs *o) {
    return (wilor_cli_stream_name){o->o->stream, o->session[0] ? o->session : NULL};
}

void wilor_cli_outputs_hello(wilor_cli_outputs *o, const char *info) {
    wilor_error err;
    if (o->o->bin)
        return;
    pthread_mutex_lock(&o->lock);
    wilor_cli_stream_name name = name_of(o);
    put_line(o, wilor_cli_live_json_hello(&o->line, &name, info, &err), &err);
    pthread_mutex_unlock(&o->lock);
}

void wilor_cli_outputs_status(wilor_cli_outputs *o, const char *status, const char *detail) {
    wilor_error err;
    if (o->o->bin)
        return;
    pthread_mutex_lock(&o->lock);
    wilor_cli_stream_name name = name_of(o);
    put_line(o, wilor_cli_live_json_status(&o->line, &name, status, detail, &err), &err);
    pthread_mutex_unlock(&o->lock);
}

void wilor_cli_outputs_error(wilor_cli_outputs *o, const char *message) {
    wilor_error err;
    if (o->o->bin)
        return;
    pthread_mutex_lock(&o->lock);
    wilor_cli_stream_name name = name_of(o);
    put_line(o, wilor_cli_live_json_error(&o->line, &name, 500, message, &err), &err);
    pthread_mutex_unlock(&o->lock);
}

void wilor_cli_outputs_bye(wilor_cli_outputs *o, const char *reason) {
    wilor_error err;
    if (o->o->bin)
        return;
    pthread_mutex_lock(&o->lock);
    wilor_cli_stream_name name = name_of(o);
    put_line(o, wilor_cli_live_json_bye(&o->line, &name, o->seq, reason, &err), &err);
    pthread_mutex_unlock(&o->lock);
}

/* ---------------------------------------------------------------- events */

static wilor_status put_record(wilor_cli_outputs *o, const wilor_cli_live_event *event,
                               wilor_error *err) {
    size_t size = wilor_cli_record_size(event, NULL);
    if (size > o->record_room) {
        uint8_t *grown = realloc(o->record, size);
        if (!grown)
            return wilor_cli_fail(err, WILOR_ERR_NOMEM, "no memory for a record of %zu bytes",
                                  size);
        o->record = grown;
        o->record_room = size;
    }
    size = wilor_cli_record_write(o->record, o->record_room, event, NULL);
    return wilor_cli_event_out_bytes(&o->out, o->record, size, err);
}

static wilor_status put_event(wilor_cli_outputs *o, const wilor_cli_live_event *event,
                              wilor_error *err) {
    if (o->o->bin)
        return put_record(o, event, err);
    wilor_status st = wilor_cli_live_json(&o->line, event, err);
    if (st != WILOR_OK)
        return st;
    return o->line.failed ? wilor_cli_fail(err, WILOR_ERR_NOMEM, "no memory for an event")
                          : wilor_cli_event_out_put(&o->out, o->line.text, err);
}

/* A video's first picture gives its size. */
static wilor_status put_overlay(wilor_cli_outputs *o, const wilor_cli_live_event *event,
                                const wilor_picture *picture, wilor_error *err) {
    wilor_image drawn = {0};
    wilor_overlay_options oo;
    wilor_overlay_options_init(&oo, sizeof oo);
    oo.skeleton = 0;
    wilor_status st = wilor_overlay_draw(&drawn, picture, o->model, event->results, &oo, err);
    if (st == WILOR_OK && !o->video)
        st = wilor_video_writer_open(&o->video, o->o->overlay, drawn.width, drawn.height,
                                     &o->video_options, err);
    wilor_picture view = wilor_image_view(&drawn);
    int64_t time = event->t_capture;
    if (event->clock != WILOR_CLI_MEDIA) {
        /* A live source: its own first frame is 0. */
        if (o->seq <= 1 || o->video_last == INT64_MIN)
            o->video_options.audio_start = time;
        time -= o->video_options.audio_start;
    }
    if (st == WILOR_OK && time > o->video_last)
        st = wilor_video_writer_add(o->video, &view, time, err);
    o->video_last = time;
    wilor_image_free(&drawn);
    return st;
}

/* Lines and records, in the frame that is wanted. */
static wilor_status put_moved(wilor_cli_outputs *o, const wilor_cli_live_event *event,
                              wilor_error *err) {
    const wilor_cli_live_event *moved = event;
    wilor_status st = WILOR_OK;
    if (o->mover)
        st = wilor_cli_mover_move(o->mover, event, &moved, err);
    if (st == WILOR_OK)
        st = put_event(o, moved, err);
    if (st == WILOR_OK && o->shm)
        wilor_cli_shm_send(o->shm, moved);
    return st;
}

static wilor_status deliver(wilor_cli_outputs *o, const wilor_cli_live_event *event,
                            wilor_error *err) {
    pthread_mutex_lock(&o->lock);
    wilor_status st = o->st == WILOR_OK ? put_moved(o, event, err) : o->st;
    pthread_mutex_unlock(&o->lock);
    if (st == WILOR_OK && o->osc)
        wilor_cli_osc_send(o->osc, event);
    if (st == WILOR_OK && o->take)
        st = wilor_cli_take_add(o->take, event, err);
    return st;
}

/* What is made of the frame itself, as it comes. */
static wilor_status deliver_frame(wilor_cli_outputs *o, const wilor_cli_live_event *event,
                                  const wilor_picture *picture, wilor_error *err) {
    wilor_status st = deliver(o, event, err);
    if (st == WILOR_OK && o->npz)
        st = wilor_cli_npz_append(o->npz, o->o->source.source, event->results, err);
    if (st == WILOR_OK && o->o->overlay)
        st = put_overlay(o, event, picture, err);
    return st;
}

static void sink(void *user, const wilor_cli_live_event *event, const wilor_picture *picture,
                 uint64_t giver) {
    wilor_cli_outputs *o = user;
    wilor_error err = {WILOR_OK, ""};
    (void)giver;
    pthread_mutex_lock(&o->lock);
    memcpy(o->session, event->session, sizeof o->session);
    o->seq = event->seq;
    o->hands += (uint64_t)event->n;
    pthread_mutex_unlock(&o->lock);
    wilor_status st = o->both_sides ? wilor_cli_both_sides_add(o->both_sides, event, &err)
                                    : deliver_frame(o, event, picture, &err);
    pthread_mutex_lock(&o->lock);
    note_failure(o, st, &err);
    pthread_mutex_unlock(&o->lock);
}

static bool deliver_smoothed(void *user, const wilor_cli_live_event *event) {
    wilor_cli_outputs *o = user;
    wilor_error err = {WILOR_OK, ""};
    wilor_status st = deliver(o, event, &err);
    note_failure(o, st, &err);
    return st == WILOR_OK;
}

void wilor_cli_outputs_settle(wilor_cli_outputs *o) {
    wilor_error err = {WILOR_OK, ""};
    if (!o->both_sides || o->st != WILOR_OK)
        return;
    wilor_status st = wilor_cli_both_sides_finish(o->both_sides, deliver_smoothed, o, &err);
    note_failure(o, st, &err);
}

/* ---------------------------------------------------------------- life */

static wilor_status open_all(wilor_cli_outputs *out, const wilor_cli_live_options *o,
                             wilor_error *err) {
    wilor_cli_pose camera;
    wilor_status st = wilor_cli_event_out_open(&out->out, o->out, false, false, err);
    if (st == WILOR_OK && o->npz)
        st = wilor_cli_npz_open(&out->npz, o->npz, true, err);
    if (st == WILOR_OK && o->osc)
        st = wilor_cli_osc_open(&out->osc, o->osc, err);
    if (st == WILOR_OK && o->shm)
        st = wilor_cli_shm_open(&out->shm, o->shm, err);
    if (st == WILOR_OK && o->extrinsics)
        st = wilor_cli_extrinsics_read(&camera, o->extrinsics, err);
    if (st == WILOR_OK && o->extrinsics)
        st = wilor_cli_mover_create(&out->mover, &camera, err);
    return st;
}

wilor_status wilor_cli_outputs_open(wilor_cli_outputs **out, const wilor_cli_live_options *o,
                                    wilor_error *err) {
    wilor_cli_outputs *own = calloc(1, sizeof *own);
    *out = NULL;
    if (!own)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    own->o = o;
    own->video_last = INT64_MIN;
    pthread_mutex_init(&own->lock, NULL);
    wilor_status st = open_all(own, o, err);
    if (st != WILOR_OK)
        wilor_cli_outputs_free(&own);
    *out = own;
    return st;
}

wilor_status wilor_cli_outputs_begin(wilor_cli_outputs *o, wilor_cli_engine *engine,
                                     const wilor_model *model, const wilor_video_info *info,
                                     wilor_error *err) {
    wilor_status st = WILOR_OK;
    o->model = model;
    wilor_video_writer_options_init(&o->video_options, sizeof o->video_options);
    o->video_options.rate = info->rate;
    if (info->audio && !info->live) {
        o->video_options.audio = o->o->source.source;
        o->video_options.audio_start = info->start;
    }
    if (o->o->two_sided)
        st = wilor_cli_both_sides_open(&o->both_sides, model, o->o->tracking.smooth,
                                       (o->o->p.include & WILOR_CLI_VERTICES) != 0, err);
    if (st == WILOR_OK && (o->o->gltf || o->o->bvh))
        st = wilor_cli_take_open(&o->take, o->o->gltf, o->o->bvh, model, err);
    return st == WILOR_OK ? wilor_cli_engine_sink(engine, sink, o, err) : st;
}

bool wilor_cli_outputs_failed(wilor_cli_outputs *o) {
    pthread_mutex_lock(&o->lock);
    bool failed = o->st != WILOR_OK;
    pthread_mutex_unlock(&o->lock);
    return failed;
}

bool wilor_cli_outputs_closed(const wilor_cli_outputs *o) { return o->out.closed; }

uint64_t wilor_cli_outputs_hands(const wilor_cli_outputs *o) { return o->hands; }

wilor_status wilor_cli_outputs_finish(wilor_cli_outputs *o, wilor_error *err) {
    wilor_model_info info;
    wilor_status st = o->st;
    *err = o->err;
    if (st == WILOR_OK)
        st = wilor_cli_event_out_finish(&o->out, err);
    if (st == WILOR_OK && o->npz) {
        wilor_model_get_info(o->model, &info, sizeof info);
        st = wilor_cli_npz_finish(o->npz, info.vertices,
                                  wilor_model_faces(o->model, WILOR_RIGHT), info.faces, err);
    }
    if (st == WILOR_OK && o->take)
        st = wilor_cli_take_finish(o->take, err);
    if (st == WILOR_OK && o->video)
        st = wilor_video_writer_finish(&o->video, 0, err);
    return st;
}

void wilor_cli_outputs_free(wilor_cli_outputs **outputs) {
    wilor_cli_outputs *o = *outputs;
    *outputs = NULL;
    if (!o)
        return;
    wilor_cli_event_out_discard(&o->out);
    wilor_cli_npz_free(&o->npz);
    wilor_cli_take_free(&o->take);
    wilor_cli_osc_close(&o->osc);
    wilor_cli_shm_close(&o->shm);
    wilor_cli_mover_free(&o->mover);
    wilor_cli_both_sides_free(&o->both_sides);
    wilor_video_writer_discard(&o->video);
    wilor_cli_buffer_free(&o->line);
    free(o->record);
    pthread_mutex_destroy(&o->lock);
    free(o);
}
