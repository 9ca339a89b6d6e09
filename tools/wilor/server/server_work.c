/* Decoding off the service thread: requests for POST /predict, and pushed frames. */
#include "server_impl.h"

#include "wilor/wilor_io.h"
#include <stdlib.h>
#include <string.h>

void wilor_server_job_free(wilor_server *s, wilor_server_job *job) {
    atomic_fetch_sub(&s->held, job->counted);
    wilor_server_ask_free(&job->ask);
    wilor_cli_buffer_free(&job->out);
    free(job->body);
    free(job);
}

bool wilor_server_job_put(wilor_server *s, wilor_server_job *job) {
    pthread_mutex_lock(&s->lock);
    bool room = s->job_count < WILOR_SERVER_JOBS_MOST && s->ready && !s->stopping;
    if (room) {
        *(s->jobs ? &s->jobs_end->next : &s->jobs) = job;
        s->jobs_end = job;
        s->job_count++;
        pthread_cond_broadcast(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

/* ---------------------------------------------------------------- POST /predict */

static void refuse(wilor_server_job *job, int status, int retry, const char *detail) {
    job->status = status;
    job->retry = retry;
    snprintf(job->detail, sizeof job->detail, "%s", detail);
}

/* What a failed step means for the client; otherwise: of ERR_FORMAT. */
static void refuse_with(wilor_server_job *job, const wilor_error *err, int otherwise) {
    switch (err->status) {
    case WILOR_ERR_ARG:
        refuse(job, 400, 0, err->text);
        break;
    case WILOR_ERR_FORMAT:
        refuse(job, otherwise, 0, err->text);
        break;
    case WILOR_ERR_LIMIT:
        refuse(job, 413, 0, err->text);
        break;
    case WILOR_ERR_UNSUPPORTED:
        refuse(job, 415, 0, err->text);
        break;
    case WILOR_ERR_NOMEM:
        refuse(job, 503, 1, err->text);
        break;
    default:
        refuse(job, 500, 0, err->text);
    }
}

typedef struct asked {
    wilor_server *s;
    wilor_server_job *job;
} asked;

static void write_json(const wilor_server *s, wilor_server_job *job,
                       const wilor_cli_live_event *e) {
    wilor_cli_live_json(&job->out, e, NULL);
    if (job->ask.return_faces && !job->out.failed && job->out.used > 0) {
        job->out.used--; /* the closing brace */
        wilor_cli_buffer_text(&job->out, ",");
        wilor_server_faces_text(&job->out, s->m.model, WILOR_RIGHT);
        wilor_cli_buffer_text(&job->out, "}");
    }
    wilor_cli_buffer_text(&job->out, "\n");
}

static void write_record(wilor_server_job *job, const wilor_cli_live_event *e) {
    size_t size = wilor_cli_record_size(e, NULL);
    job->out.text = malloc(size ? size : 1);
    if (job->out.text)
        job->out.used = wilor_cli_record_write(job->out.text, size, e, NULL);
    job->out.failed = job->out.used == 0;
}

/* On the engine's thread. */
static void answered(void *user, const wilor_cli_live_event *event,
                     const wilor_picture *picture, uint64_t giver) {
    asked *a = user;
    wilor_server_job *job = a->job;
    (void)picture;
    (void)giver;
    if (!event)
        refuse(job, 500, 0, "the model could not be run on this picture");
    else if (job->binary)
        write_record(job, event);
    else
        write_json(a->s, job, event);
    if (job->out.failed)
        refuse(job, 503, 1, "out of memory");
    pthread_mutex_lock(&a->s->lock);
    job->answered = true;
    pthread_cond_broadcast(&a->s->asked);
    pthread_mutex_unlock(&a->s->lock);
}

static void run_ask(wilor_server *s, wilor_server_job *job, const wilor_picture *picture) {
    const wilor_cli_predict_options *o = &job->ask.options;
    wilor_error err;
    asked a = {s, job};
    wilor_predict_options po =
        wilor_cli_predict_options_for(o, picture->width, picture->height, s->m.betas);
    /* NULL stands for the detector: with boxes it is not asked. */
    wilor_status st =
        wilor_cli_engine_ask(s->m.engine, picture, o->box_count ? o->boxes : NULL, o->box_count,
                             &o->detect, &po, o->include, answered, &a, &err);
    if (st ==
        WILOR_ERR_LIMIT) { /* boxes: there are never more requests than the engine takes */
        refuse(job, 400, 0, err.text);
    } else if (st == WILOR_ERR_CANCELLED) {
        refuse(job, 503, 0, "the server is stopping");
    } else if (st != WILOR_OK) {
        refuse_with(job, &err, 422);
    } else {
        pthread_mutex_lock(&s->lock);
        while (!job->answered)
            pthread_cond_wait(&s->asked, &s->lock);
        pthread_mutex_unlock(&s->lock);
    }
}

/* The picture of a request; image owns what is decoded. False: refused. */
static bool read_picture(wilor_server *s, wilor_server_job *job, wilor_image *image,
                         wilor_picture *picture) {
    wilor_error err;
    const uint8_t *bytes = job->json ? job->ask.image : job->body;
    size_t size = job->json ? job->ask.image_size : job->size;
    if (job->raw) {
        if (!*job->width || !*job->height || !*job->format) {
            refuse(job, 400, 0,
                   "application/octet-stream needs the headers X-Width, X-Height and X-Format; "
                   "a picture file is image/jpeg, image/png or image/webp");
            return false;
        }
        if (wilor_server_raw_read(picture, job->width, job->height, job->format, bytes, size,
                                  s->o.max_pixels, &err) != WILOR_OK) {
            refuse_with(job, &err, 400);
            return false;
        }
        return true;
    }
    if (wilor_image_decode(image, bytes, size, "picture", s->o.max_pixels, &err) != WILOR_OK) {
        refuse_with(job, &err, 422);
        return false;
    }
    *picture = wilor_image_view(image);
    return true;
}

static void do_job(wilor_server *s, wilor_server_job *job) {
    wilor_image image = {0};
    wilor_picture picture;
    wilor_error err;
    wilor_status st = WILOR_OK;
    job->status = 200;
    if (job->json)
        st = wilor_server_ask_json(&job->ask, (const char *)job->body, job->size, &err);
    if (st == WILOR_OK)
        st = wilor_server_ask_finish(&job->ask, s->m.own, &err);
    if (st != WILOR_OK)
        refuse_with(job, &err, 400);
    else if (read_picture(s, job, &image, &picture))
        run_ask(s, job, &picture);
    wilor_image_free(&image);
    free(job->body);
    job->body = NULL;
}

/* ---------------------------------------------------------------- pushed frames */

void wilor_server_push_free(wilor_server *s, wilor_server_push *push) {
    atomic_fetch_sub(&s->held, push->counted);
    free(push->message);
    free(push);
}

unsigned wilor_server_push_put(wilor_server *s, wilor_server_push *push) {
    wilor_server_push *old = NULL;
    pthread_mutex_lock(&s->lock);
    wilor_server_push **at = &s->pushes;
    while (*at && (*at)->client != push->client)
        at = &(*at)->next;
    if (*at) { /* its place in the queue stays */
        old = *at;
        push->next = old->next;
    }
    *at = push;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (old)
        wilor_server_push_free(s, old);
    return old != NULL;
}

/* The service thread finds the client. */
static void put_done(wilor_server *s, wilor_server_job *job) {
    pthread_mutex_lock(&s->lock);
    job->next = s->done;
    s->done = job;
    pthread_mutex_unlock(&s->lock);
    wilor_server_poke(s);
}

/* A frame that could not be looked at: its client hears of it on the way that answers take. */
static void push_failed(wilor_server *s, uint64_t client, const char *why) {
    wilor_server_job *job = calloc(1, sizeof *job);
    if (!job)
        return;
    job->client = client;
    refuse(job, 422, 0, why);
    put_done(s, job);
}

void wilor_server_failed(void *user, const wilor_cli_frame *frame, const wilor_error *err) {
    if (frame->giver)
        push_failed(user, frame->giver, err->text);
}

static void do_push(wilor_server *s, const wilor_server_push *push) {
    wilor_server_frame frame;
    wilor_image image = {0};
    wilor_error err;
    int64_t began = wilor_cli_nanoseconds();
    wilor_status st = wilor_server_frame_read(&frame, push->message, push->size, &err);
    if (st == WILOR_OK)
        st =
            wilor_image_decode(&image, frame.image, frame.size, "frame", s->o.max_pixels, &err);
    if (st == WILOR_OK) {
        wilor_cli_frame given = {.picture = wilor_image_view(&image),
                                 .t_capture = frame.time,
                                 .arrival = push->arrival,
                                 .decode = wilor_cli_nanoseconds() - began,
                                 .clock = WILOR_CLI_CLIENT,
                                 .number = push->number,
                                 .giver = push->client};
        st = wilor_cli_engine_give(s->m.engine, &given, &err);
    }
    if (st != WILOR_OK && st != WILOR_ERR_CANCELLED)
        push_failed(s, push->client, err.text);
    wilor_image_free(&image);
}

/* ---------------------------------------------------------------- threads */

static void *predict(void *user) {
    wilor_server *s = user;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        wilor_server_job *job = s->jobs;
        if (!job) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        s->jobs = job->next;
        job->next = NULL;
        pthread_mutex_unlock(&s->lock);
        do_job(s, job);
        put_done(s, job);
        pthread_mutex_lock(&s->lock);
        s->job_count--;
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void *push(void *user) {
    wilor_server *s = user;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        wilor_server_push *next = s->pushes;
        if (!next) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        s->pushes = next->next;
        pthread_mutex_unlock(&s->lock);
        do_push(s, next);
        wilor_server_push_free(s, next);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

wilor_status wilor_server_work_begin(wilor_server *s, wilor_error *err) {
    int started = pthread_create(&s->predict[0], NULL, predict, s) == 0;
    if (started && pthread_create(&s->predict[1], NULL, predict, s) == 0)
        started++;
    if (started == 2 && pthread_create(&s->push, NULL, push, s) == 0)
        started++;
    s->has_workers = started == 3;
    if (s->has_workers)
        return WILOR_OK;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < started && i < 2; i++)
        pthread_join(s->predict[i], NULL);
    return wilor_cli_fail(err, WILOR_ERR_NOMEM, "no more threads can be had");
}

/* `stopping` is set. What is in work is finished; what waits is answered. */
void wilor_server_work_end(wilor_server *s) {
    if (!s->has_workers)
        return;
    pthread_join(s->predict[0], NULL);
    pthread_join(s->predict[1], NULL);
    pthread_join(s->push, NULL);
    s->has_workers = false;
    if (s->has_share)
        pthread_join(s->share, NULL);
    for (wilor_server_job *job = s->jobs, *next; job; job = next) {
        next = job->next;
        refuse(job, 503, 0, "the server is stopping");
        put_done(s, job);
    }
    s->jobs = NULL;
    for (wilor_server_push *p = s->pushes, *next; p; p = next) {
        next = p->next;
        wilor_server_push_free(s, p);
    }
    s->pushes = NULL;
}
