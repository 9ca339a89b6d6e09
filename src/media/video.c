/* The video reader's frame: options, times, counting, interruption. What reads is a backend:
 * video_sequence.c, video_raw.c, or video_ffmpeg.c in builds that have FFmpeg.
 *
 * wilor_video_stop may come from a signal handler: it stores one lock-free integer, which every
 * wait looks at. The cancel callback is asked on the caller's thread only, though FFmpeg may look
 * for an interruption from threads of its own. */
#include "clock.h"
#include "heap.h"
#include "video_impl.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names the thread, also where the call comes from a module with a copy of this file. */
static const void *this_thread(void) { return &errno; }

int64_t wilor_video_now(void) { return (int64_t)wilor_clock_ns(); }

int64_t wilor_video_deadline(double seconds) {
    return seconds < 0 ? 0 : wilor_video_now() + (int64_t)(seconds * 1e9);
}

bool wilor_video_interrupted(wilor_video *v) {
    if (atomic_load(&v->stopped))
        return true;
    const wilor_callbacks *c = &v->o.callbacks;
    if (v->here == this_thread() && c->cancel && c->cancel(c->user))
        v->cancelled = true;
    return v->cancelled || (v->deadline && wilor_video_now() > v->deadline);
}

wilor_status wilor_video_interruption(const wilor_video *v, const char *late, double seconds,
                                      wilor_error *err) {
    wilor_quoted q;
    if (atomic_load(&v->stopped) || v->cancelled)
        return wilor_error_set(err, WILOR_ERR_CANCELLED, "%s: stopped",
                               wilor_quote(&q, v->name));
    return wilor_error_set(err, WILOR_ERR_IO, "%s: %s for %g s", wilor_quote(&q, v->name), late,
                           seconds);
}

void wilor_video_log(const wilor_video *v, wilor_log_level level, const char *format, ...) {
    const wilor_callbacks *c = &v->o.callbacks;
    if (!c->log)
        return;
    wilor_error line;
    va_list args;
    va_start(args, format);
    vsnprintf(line.text, sizeof line.text, format, args);
    va_end(args);
    for (char *p = line.text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = '?';
    c->log(c->user, level, line.text);
}

void wilor_video_damaged(wilor_video *v, int64_t time, const char *what) {
    enum { EACH = 10 };

    wilor_quoted q;
    const uint64_t n = ++v->info.damaged;
    if (n > EACH && (n & (n - 1)) != 0)
        return;
    wilor_video_log(v, WILOR_LOG_WARNING, "%s: at %.3f s: %s%s", wilor_quote(&q, v->name),
                    (double)time / 1e9, what, n >= EACH ? "; more of this is told rarely" : "");
}

/* ---------------------------------------------------------------- opening */

static bool bad_number(double x, double least, double most) {
    return !isfinite(x) || x < least || x > most;
}

/* Values that cannot be, then defaults in place of zeros. */
static wilor_status settle(wilor_video_options *o, wilor_error *err) {
    enum { MOST_SIDE = 1 << 15, MOST_THREADS = 64 };

    const double day = 86400;
    if (o->width < 0 || o->height < 0 || o->width > MOST_SIDE || o->height > MOST_SIDE ||
        !o->width != !o->height)
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "video options: size %d x %d; both 1 to %d, or both 0 for the source's own",
            o->width, o->height, MOST_SIDE);
    if (bad_number(o->rate, 0, 10000))
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "video options: %g frames a second; 0 to 10000", o->rate);
    if (bad_number(o->open_timeout, -day, day) || bad_number(o->read_timeout, -day, day))
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "video options: timeouts of %g and %g s; at most %g",
                               o->open_timeout, o->read_timeout, day);
    if (o->threads < 0 || o->threads > MOST_THREADS)
        return wilor_error_set(err, WILOR_ERR_ARG, "video options: %d threads; 0 to %d",
                               o->threads, MOST_THREADS);
    if (o->open_timeout == 0)
        o->open_timeout = 10;
    if (o->read_timeout == 0)
        o->read_timeout = 5;
    if (o->max_pixels == 0)
        o->max_pixels = UINT64_C(64000000);
    return WILOR_OK;
}

static bool copy_text(const char **to, const char *from) {
    *to = from ? wilor_heap_string(from) : NULL;
    return !from || *to;
}

static void release(wilor_video *v) {
    if (v->self)
        v->backend->close(v->self);
    wilor_heap_free((void *)v->o.format);
    wilor_heap_free((void *)v->o.pixel_format);
    wilor_heap_free((void *)v->o.extra);
    wilor_heap_free(v->name);
    wilor_heap_free(v);
}

/* A video with its own copies of everything, nothing opened. */
static wilor_status create(wilor_video **out, const char *name, const wilor_video_options *o,
                           wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_video_options own;
    wilor_video_options_init(&own, sizeof own);
    if (o)
        WILOR_TRY(wilor_video_options_read(&own, sizeof own, o, "video options", err));
    WILOR_TRY(settle(&own, err));
    wilor_video *v = wilor_heap_alloc(1, sizeof *v);
    if (!v)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a video");
    v->o = own;
    v->o.format = v->o.pixel_format = v->o.extra = NULL;
    v->name = wilor_heap_string(name);
    if (!v->name || !copy_text(&v->o.format, own.format) ||
        !copy_text(&v->o.pixel_format, own.pixel_format) ||
        !copy_text(&v->o.extra, own.extra)) {
        release(v);
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a video's options");
    }
    v->here = this_thread();
    *out = v;
done:
    return st;
}

static void begin_clock(wilor_video *v) {
    const double rate = v->info.rate > 0 ? v->info.rate : 30;
    wilor_video_clock_init(&v->clock, (int64_t)(1e9 / rate + 0.5));
}

wilor_status wilor_video_open(wilor_video **out, const char *source,
                              const wilor_video_options *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_video *v = NULL;
    if (!out || !source)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_video_open: out or source is NULL");
    *out = NULL;
    WILOR_TRY(create(&v, source, o, err));
    WILOR_TRY(wilor_video_source_parse(&v->source, v->name, v->o.format, err));
    if (v->source.kind == WILOR_VIDEO_SEQUENCE)
        WILOR_TRY(wilor_video_sequence_open(v, err));
    else if (wilor_video_raw_takes(v))
        WILOR_TRY(wilor_video_raw_open(v, err));
    else
        WILOR_TRY(wilor_video_ffmpeg_open(v, err));
    begin_clock(v);
    wilor_error_clear(err);
    *out = v;
    v = NULL;
done:
    wilor_video_close(&v);
    return st;
}

wilor_status wilor_video_open_memory(wilor_video **out, const void *data, size_t size,
                                     const char *name, const wilor_video_options *o,
                                     wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_video *v = NULL;
    *out = NULL;
    WILOR_TRY(create(&v, name, o, err));
    v->source = (wilor_video_source){WILOR_VIDEO_FILE, v->name, NULL, NULL};
    WILOR_TRY(wilor_video_ffmpeg_open_bytes(v, (wilor_video_bytes){data, size}, err));
    begin_clock(v);
    wilor_error_clear(err);
    *out = v;
    v = NULL;
done:
    wilor_video_close(&v);
    return st;
}

/* ---------------------------------------------------------------- reading */

static int64_t settle_time(wilor_video *v, int64_t time) {
    bool repaired = false;
    const int64_t t = wilor_video_clock_next(&v->clock, time, &repaired);
    if (repaired && !v->no_times) {
        wilor_quoted q;
        v->info.repaired++;
        if (!v->told_times)
            wilor_video_log(v, WILOR_LOG_WARNING,
                            "%s: at %.3f s: a frame's time is missing or does not grow; such "
                            "times are repaired from here on",
                            wilor_quote(&q, v->name), (double)t / 1e9);
        v->told_times = true;
    }
    return t;
}

/* The next frame, of the next round where the source is to be repeated. */
static wilor_status next_raw(wilor_video *v, wilor_video_raw *raw, wilor_error *err) {
    for (;;) {
        wilor_status st = v->backend->next(v->self, raw, err);
        if (st != WILOR_OK || raw->picture.data || !v->o.loop || v->since_rewind == 0)
            return st;
        if (!v->backend->rewind(v->self)) {
            wilor_quoted q;
            wilor_video_log(v, WILOR_LOG_WARNING, "%s: cannot begin again: it ends here",
                            wilor_quote(&q, v->name));
            v->o.loop = 0;
            return WILOR_OK;
        }
        v->since_rewind = 0;
        wilor_video_clock_rejoin(&v->clock);
    }
}

wilor_status wilor_video_read(wilor_video *v, wilor_video_frame *frame, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_video_raw raw = {.time = WILOR_VIDEO_NO_TIME};
    if (!v || !frame)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_video_read: video or frame is NULL");
    *frame = (wilor_video_frame){.index = 0};
    v->here = this_thread();
    const int64_t called = wilor_video_now();
    v->deadline = wilor_video_deadline(v->o.read_timeout);
    WILOR_TRY(next_raw(v, &raw, err));
    wilor_error_clear(err);
    if (!raw.picture.data)
        goto done;
    frame->picture = raw.picture;
    frame->index = v->info.read++;
    frame->time = settle_time(v, raw.time);
    frame->arrival = raw.arrival ? raw.arrival : called;
    frame->capture = raw.capture ? raw.capture : frame->arrival;
    frame->driver_time = raw.capture != 0;
    frame->decode = wilor_video_now() - (frame->arrival > called ? frame->arrival : called);
    frame->key = raw.key;
    v->since_rewind++;
    v->info.start = v->clock.start;
    v->info.width = raw.picture.width;
    v->info.height = raw.picture.height;
    v->info.rotation = raw.rotation;
done:
    v->here = NULL;
    return st;
}

void wilor_video_get_info(const wilor_video *v, wilor_video_info *info, size_t size) {
    memset(info, 0, size);
    memcpy(info, &v->info, size < sizeof v->info ? size : sizeof v->info);
}

void wilor_video_stop(wilor_video *v) {
    if (v)
        atomic_store(&v->stopped, 1);
}

void wilor_video_close(wilor_video **video) {
    if (!video || !*video)
        return;
    release(*video);
    *video = NULL;
}
