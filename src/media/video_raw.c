/* Raw RGB on standard input: the frames of another program, byte by byte. No decoder and no demuxer is needed for
 * that, so neither is FFmpeg, which has the other pixel formats. What is told, counted and refused is the same as
 * where FFmpeg reads.
 *
 * A pipe is waited for in pieces of 50 ms, so that a stop is seen; it need not be non-blocking for that, and is not
 * made so, because others share it. */
#include "heap.h"
#include "video_impl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct raw_frames {
    wilor_video *v;
    uint8_t *pixels;
    size_t bytes, filled; /* of a frame; of the one that is coming, kept over a stall */
    bool bgr, cut;        /* cut: the half frame at the end was told of */
} raw_frames;

wilor_video_wait wilor_video_wait_readable(wilor_video *v, int fd) {
    enum { PIECE_MS = 50 };

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (wilor_video_interrupted(v))
            return WILOR_VIDEO_WAIT_STOPPED;
        int n = poll(&p, 1, PIECE_MS);
        if (n > 0)
            return WILOR_VIDEO_WAIT_READY;
        if (n < 0 && errno != EINTR)
            return WILOR_VIDEO_WAIT_FAILED;
    }
}

bool wilor_video_raw_takes(const wilor_video *v) {
    struct stat info;
    const wilor_video_options *o = &v->o;
    return v->source.kind == WILOR_VIDEO_STDIN && o->format && o->pixel_format && o->width &&
           !o->extra && strcmp(o->format, "rawvideo") == 0 &&
           (strcmp(o->pixel_format, "rgb24") == 0 || strcmp(o->pixel_format, "bgr24") == 0) &&
           fstat(STDIN_FILENO, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

static wilor_status failed(const raw_frames *r, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_IO, "%s: the stream was lost: %s",
                           wilor_quote(&q, r->v->name), strerror(errno));
}

/* Fill the frame; *end: it will not be. */
static wilor_status fill(raw_frames *r, bool *end, wilor_error *err) {
    wilor_video *v = r->v;
    while (r->filled < r->bytes) {
        const wilor_video_wait wait = wilor_video_wait_readable(v, STDIN_FILENO);
        if (wait == WILOR_VIDEO_WAIT_STOPPED)
            return wilor_video_interruption(v, "no frame", v->o.read_timeout, err);
        if (wait == WILOR_VIDEO_WAIT_FAILED)
            return failed(r, err);
        const ssize_t n = read(STDIN_FILENO, r->pixels + r->filled, r->bytes - r->filled);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return failed(r, err);
        if (n == 0) {
            *end = true;
            return WILOR_OK;
        }
        r->filled += n > 0 ? (size_t)n : 0;
    }
    return WILOR_OK;
}

static wilor_status ended(raw_frames *r, wilor_video_raw *raw, wilor_error *err) {
    wilor_quoted q;
    wilor_video *v = r->v;
    if (r->filled && !r->cut)
        wilor_video_damaged(v, v->clock.begun ? v->clock.last + v->clock.step : 0,
                            "the last frame is cut off");
    r->cut = true;
    if (v->info.read == 0)
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: there is not one whole frame in it",
                               wilor_quote(&q, v->name));
    *raw = (wilor_video_raw){.time = WILOR_VIDEO_NO_TIME};
    return WILOR_OK;
}

static wilor_status next(void *self, wilor_video_raw *raw, wilor_error *err) {
    raw_frames *r = self;
    const wilor_video *v = r->v;
    bool end = false;
    if (r->filled == r->bytes)
        r->filled = 0;
    wilor_status st = fill(r, &end, err);
    if (st != WILOR_OK)
        return st;
    if (end)
        return ended(r, raw, err);
    for (size_t i = 0; r->bgr && i < r->bytes; i += 3) {
        const uint8_t blue = r->pixels[i];
        r->pixels[i] = r->pixels[i + 2];
        r->pixels[i + 2] = blue;
    }
    *raw = (wilor_video_raw){.picture = {.data = r->pixels,
                                         .width = v->o.width,
                                         .height = v->o.height,
                                         .stride = (ptrdiff_t)v->o.width * 3,
                                         .format = WILOR_RGB8},
                             .time = WILOR_VIDEO_NO_TIME,
                             .arrival = wilor_video_now(),
                             .key = true};
    return WILOR_OK;
}

static bool again(void *self) {
    (void)self;
    return false;
}

static void shut(void *self) {
    raw_frames *r = self;
    wilor_heap_free(r->pixels);
    wilor_heap_free(r);
}

static const wilor_video_backend g_raw = {next, again, shut};

wilor_status wilor_video_raw_open(wilor_video *v, wilor_error *err) {
    wilor_quoted q;
    const wilor_video_options *o = &v->o;
    const uint64_t pixels = (uint64_t)o->width * (uint64_t)o->height;
    if (pixels > o->max_pixels)
        return wilor_error_set(
            err, WILOR_ERR_LIMIT, "%s: %d x %d pixels, the limit is %llu pixels",
            wilor_quote(&q, v->name), o->width, o->height, (unsigned long long)o->max_pixels);
    raw_frames *r = wilor_heap_alloc(1, sizeof *r);
    if (r)
        r->pixels = wilor_heap_alloc((size_t)pixels, 3);
    if (!r || !r->pixels) {
        wilor_heap_free(r);
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory to read a video");
    }
    r->v = v;
    r->bytes = (size_t)pixels * 3;
    r->bgr = o->pixel_format[0] == 'b';
    v->info.format = v->info.codec = "rawvideo";
    v->info.rate = o->rate > 0 ? o->rate : 30;
    v->info.width = o->width;
    v->info.height = o->height;
    v->info.live = 1;
    v->no_times = true;
    v->backend = &g_raw;
    v->self = r;
    return WILOR_OK;
}
