#include "live_source.h"

#include "report.h"

#include <string.h>
#include <time.h>

static const int64_t second = 1000000000;

/* In short pieces, so that `stop` is seen. */
static void sleep_until(const wilor_cli_live_source *s, int64_t time) {
    const int64_t piece = second / 20;
    for (int64_t left; (left = time - wilor_cli_nanoseconds()) > 0 && !s->stop(s->user);) {
        left = left < piece ? left : piece;
        struct timespec t = {0, (long)left};
        nanosleep(&t, NULL);
    }
}

static void logged(void *user, wilor_log_level level, const char *text) {
    const wilor_cli_live_source *s = user;
    (void)level;
    s->note(s->user, text);
}

static int cancelled(void *user) {
    const wilor_cli_live_source *s = user;
    return s->stop(s->user);
}

wilor_status wilor_cli_live_source_open(wilor_cli_live_source *s, wilor_video **video,
                                        wilor_error *err) {
    wilor_video_options o;
    wilor_video_options_init(&o, sizeof o);
    o.format = s->o->format;
    o.pixel_format = s->o->pixel_format;
    o.width = s->o->width;
    o.height = s->o->height;
    o.rate = s->o->fps;
    o.max_pixels = s->max_pixels;
    o.threads = s->threads == 1 ? 1 : 0;
    o.loop = s->o->loop;
    o.extra = s->o->extra;
    o.callbacks = (wilor_callbacks){.user = s, .log = logged, .cancel = cancelled};
    wilor_status st = wilor_video_open(video, s->o->source, &o, err);
    if (st == WILOR_OK)
        wilor_video_get_info(*video, &s->info, sizeof s->info);
    return st;
}

/* Where a source's frames are in time, and which of them are looked at. */
typedef struct pace {
    int64_t began; /* realtime: the monotonic time of media time 0 */
    int64_t next;  /* live with --fps: when the next frame is due */
    uint64_t given;
    uint64_t before, number; /* frames of earlier openings; of the next frame */
} pace;

/* False: a live source's frame that comes before --fps wants one. */
static bool wanted(const wilor_cli_live_source *s, pace *p, const wilor_video_frame *f) {
    if (!s->info.live || s->o->fps <= 0)
        return true;
    /* A tenth early is on time: a camera's own rate trembles. */
    int64_t step = (int64_t)((double)second / s->o->fps);
    if (f->capture < p->next - step / 10)
        return false;
    p->next = p->next + step > f->capture ? p->next + step : f->capture + step;
    return true;
}

static wilor_status give(const wilor_cli_live_source *s, pace *p, const wilor_video_frame *f,
                         wilor_error *err) {
    wilor_cli_frame frame = {.picture = f->picture,
                             .arrival = f->arrival,
                             .decode = f->decode,
                             .number = p->before + f->index,
                             .t_capture = s->info.live ? f->capture : f->time,
                             .clock = s->info.live ? WILOR_CLI_MONOTONIC : WILOR_CLI_MEDIA};
    if (!s->info.live && s->o->realtime) {
        if (p->given == 0)
            p->began = wilor_cli_nanoseconds() - f->time;
        sleep_until(s, p->began + f->time);
        frame.arrival = wilor_cli_nanoseconds() - f->decode;
    }
    p->given++;
    p->number = frame.number + 1;
    return wilor_cli_engine_give(s->engine, &frame, err);
}

/* Until the source ends or fails. */
static wilor_status read_all(wilor_cli_live_source *s, wilor_video *video, pace *p,
                             wilor_error *err) {
    wilor_video_frame f;
    for (;;) {
        wilor_status st = wilor_video_read(video, &f, err);
        if (st != WILOR_OK || !f.picture.data)
            return st;
        wilor_video_get_info(video, &s->info, sizeof s->info);
        if (s->stop(s->user))
            return WILOR_ERR_CANCELLED;
        if (wanted(s, p, &f))
            st = give(s, p, &f, err);
        if (st != WILOR_OK)
            return st;
        s->progress(s->user, f.index + 1, s->info.frames);
    }
}

/* A camera that was unplugged, a stream that broke off: until it is there again. */
static wilor_status reopen(wilor_cli_live_source *s, wilor_video **video, wilor_error *err) {
    wilor_status st = WILOR_ERR_CANCELLED;
    while (!s->stop(s->user)) {
        sleep_until(s, wilor_cli_nanoseconds() + second);
        if (s->stop(s->user))
            break;
        st = wilor_cli_live_source_open(s, video, err);
        if (st != WILOR_ERR_IO && st != WILOR_ERR_FORMAT)
            return st;
    }
    return wilor_cli_fail(err, WILOR_ERR_CANCELLED, "interrupted");
}

wilor_status wilor_cli_live_source_run(wilor_cli_live_source *s, wilor_video **video,
                                       wilor_error *err) {
    pace p = {.given = 0};
    wilor_status st = WILOR_OK;
    s->status(s->user, "opened", s->o->source);
    while ((st = read_all(s, *video, &p, err)) == WILOR_ERR_IO && s->info.live) {
        wilor_video_close(video);
        p.before = p.number;
        s->status(s->user, "lost", err->text);
        st = reopen(s, video, err);
        if (st != WILOR_OK)
            break;
        s->status(s->user, "opened", s->o->source);
    }
    wilor_video_close(video);
    return st;
}
