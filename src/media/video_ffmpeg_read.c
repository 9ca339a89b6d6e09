/* Packets to frames: what can be decoded is given, what cannot is counted, and only a lost camera or
 * stream, a limit or a stop ends it early. */
#include "video_ffmpeg.h"

#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <time.h>

/* Reads in a row that fail without the end being reached: then the rest is given up. */
enum { MOST_FAILURES = 64 };

static const AVRational nanosecond = {1, 1000000000};

static void nap(void) {
    struct timespec ms = {0, 1000000};
    nanosleep(&ms, NULL);
}

static int64_t to_ns(const wilor_video_ffmpeg *f, int64_t time) {
    /* An overflow gives INT64_MIN, too: no time. */
    return time == AV_NOPTS_VALUE ? WILOR_VIDEO_NO_TIME
                                  : av_rescale_q(time, f->stream->time_base, nanosecond);
}

static void damaged(wilor_video_ffmpeg *f, const char *what, int code) {
    char text[320], reason[96] = "";
    if (code < 0)
        av_strerror(code, reason, sizeof reason);
    snprintf(text, sizeof text, "%s%s%s%s", what, code < 0 ? ": " : "", reason,
             wilor_video_ffmpeg_said());
    atomic_store(&f->complaints, 0);
    wilor_video_damaged(f->v, f->newest, text);
    wilor_video_ffmpeg_hush();
}

static wilor_status interruption(const wilor_video_ffmpeg *f, wilor_error *err) {
    return wilor_video_interruption(f->v, "no frame", f->v->o.read_timeout, err);
}

/* A camera or stream that was there is there no more. */
static wilor_status lost(const wilor_video_ffmpeg *f, int code, wilor_error *err) {
    wilor_quoted q;
    if (f->v->source.kind != WILOR_VIDEO_DEVICE)
        return wilor_video_ffmpeg_fail(f->v->name, "the stream was lost", code, err);
    if (code == AVERROR(ENODEV) || code == AVERROR(EIO) || code == AVERROR(ENXIO))
        return wilor_error_set(err, WILOR_ERR_IO, "%s: the camera is gone: was it unplugged?%s",
                               wilor_quote(&q, f->v->name), wilor_video_ffmpeg_said());
    return wilor_video_ffmpeg_fail(f->v->name, "the camera gives no frames", code, err);
}

static void note_packet(wilor_video_ffmpeg *f) {
    f->arrival = wilor_video_now();
    const int64_t stamp = f->packet->pts != AV_NOPTS_VALUE ? f->packet->pts : f->packet->dts;
    const int64_t time = to_ns(f, stamp);
    if (time != WILOR_VIDEO_NO_TIME)
        f->newest = f->v->clock.begun ? time - f->v->clock.start : time;
    if (f->packet->flags & AV_PKT_FLAG_CORRUPT)
        damaged(f, "a packet is damaged or cut off", 0);
}

static int read_packet(wilor_video_ffmpeg *f) {
    if (!f->cuts_jpegs)
        return av_read_frame(f->demux, f->packet);
    const int code = wilor_video_jpegs_next(&f->jpegs, f->input.io, f->packet);
    f->packet->stream_index = f->stream->index;
    return code;
}

/* One packet of ours, or why there is none. *end: the source has no more. */
static wilor_status next_packet(wilor_video_ffmpeg *f, bool *end, wilor_error *err) {
    wilor_video *v = f->v;
    for (;;) {
        if (wilor_video_interrupted(v))
            return interruption(f, err);
        const int code = read_packet(f);
        if (code < 0 && wilor_video_interrupted(v))
            return interruption(f, err);
        if (code == AVERROR(EAGAIN)) {
            nap();
        } else if (code == AVERROR(ENOMEM)) {
            return wilor_video_ffmpeg_fail(v->name, "cannot be read", code, err);
        } else if (code == AVERROR_EOF) {
            *end = true;
            return WILOR_OK;
        } else if (code < 0 && v->info.live) {
            return lost(f, code, err);
        } else if (code < 0) {
            damaged(f, "it cannot be read on", code);
            *end = ++f->failures > MOST_FAILURES || avio_feof(f->demux->pb);
            if (*end)
                return WILOR_OK;
        } else if (f->packet->stream_index != f->stream->index || f->packet->size == 0) {
            av_packet_unref(f->packet);
        } else {
            f->failures = 0;
            note_packet(f);
            return WILOR_OK;
        }
    }
}

static wilor_status feed(wilor_video_ffmpeg *f, wilor_error *err) {
    bool end = false;
    wilor_status st = next_packet(f, &end, err);
    if (st != WILOR_OK)
        return st;
    int code = avcodec_send_packet(f->decoder, end ? NULL : f->packet);
    av_packet_unref(f->packet);
    if (code == AVERROR(ENOMEM))
        return wilor_video_ffmpeg_fail(f->v->name, "cannot be decoded", code, err);
    if (code < 0 && code != AVERROR_EOF)
        damaged(f, "a packet cannot be decoded", code);
    return WILOR_OK;
}

/* ---------------------------------------------------------------- a decoded frame */

static int orientation_of(const wilor_video_ffmpeg *f) {
    const AVFrameSideData *d = av_frame_get_side_data(f->frame, AV_FRAME_DATA_DISPLAYMATRIX);
    return d && d->size >= 9 * sizeof(int32_t)
               ? wilor_video_orientation((const int32_t *)d->data)
               : f->orientation;
}

static bool is_key(const AVFrame *frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 29, 100)
    return (frame->flags & AV_FRAME_FLAG_KEY) != 0;
#else
    return frame->key_frame != 0;
#endif
}

/* V4L2 drivers stamp a frame with CLOCK_MONOTONIC, in microseconds, when it was taken; some with
 * another clock. A stamp from the last seconds is taken for the former. */
static int64_t driver_time(const wilor_video_ffmpeg *f, int64_t time) {
    const int64_t oldest = INT64_C(10000000000);
    return f->driver_times && time > f->arrival - oldest && time <= f->arrival ? time : 0;
}

static wilor_status give(wilor_video_ffmpeg *f, wilor_video_raw *raw, wilor_error *err) {
    static const int turns[9] = {0, 0, 0, 180, 180, 90, 90, 270, 270};
    const int orientation = orientation_of(f);
    wilor_status st =
        wilor_video_convert_run(&f->convert, f->frame, orientation, &raw->picture, err);
    if (st != WILOR_OK)
        return st;
    if (atomic_exchange(&f->complaints, 0) || f->frame->decode_error_flags ||
        (f->frame->flags & AV_FRAME_FLAG_CORRUPT))
        damaged(f, "a frame is damaged in part", 0);
    const int64_t time = to_ns(f, f->frame->best_effort_timestamp);
    raw->rotation = turns[orientation];
    raw->time = f->arrival_times ? f->arrival : f->v->no_times ? WILOR_VIDEO_NO_TIME : time;
    raw->arrival = f->arrival;
    raw->capture = driver_time(f, time);
    raw->key = is_key(f->frame);
    return WILOR_OK;
}

static wilor_status ended(const wilor_video_ffmpeg *f, wilor_video_raw *raw, wilor_error *err) {
    wilor_quoted q;
    if (f->v->info.read == 0)
        return wilor_error_set(
            err, WILOR_ERR_FORMAT,
            "%s: there is not one whole frame in it (%llu damaged packets)%s",
            wilor_quote(&q, f->v->name), (unsigned long long)f->v->info.damaged,
            wilor_video_ffmpeg_said());
    *raw = (wilor_video_raw){.time = WILOR_VIDEO_NO_TIME};
    return WILOR_OK;
}

wilor_status wilor_video_ffmpeg_next(void *self, wilor_video_raw *raw, wilor_error *err) {
    wilor_video_ffmpeg *f = self;
    wilor_status st = WILOR_OK;
    wilor_video_ffmpeg_hush();
    if (!f->v->info.live)
        f->v->deadline = 0; /* a file is there; it only has to be worked through */
    while (st == WILOR_OK) {
        if (wilor_video_interrupted(f->v))
            return interruption(f, err);
        const int code = avcodec_receive_frame(f->decoder, f->frame);
        if (code == 0) {
            st = give(f, raw, err);
            av_frame_unref(f->frame);
            if (st != WILOR_ERR_UNSUPPORTED)
                return st;
            damaged(f, err ? err->text : "a frame's pixels are of an unknown kind", 0);
            st = WILOR_OK;
        } else if (code == AVERROR_EOF) {
            return ended(f, raw, err);
        } else if (code == AVERROR(EAGAIN)) {
            st = feed(f, err);
        } else if (code == AVERROR(ENOMEM)) {
            return wilor_video_ffmpeg_fail(f->v->name, "cannot be decoded", code, err);
        } else {
            damaged(f, "a frame cannot be decoded", code);
        }
    }
    return st;
}

bool wilor_video_ffmpeg_rewind(void *self) {
    wilor_video_ffmpeg *f = self;
    const int64_t start = f->stream->start_time != AV_NOPTS_VALUE ? f->stream->start_time : 0;
    if (f->v->info.live)
        return false;
    if (av_seek_frame(f->demux, f->stream->index, start, AVSEEK_FLAG_BACKWARD) < 0 &&
        av_seek_frame(f->demux, f->stream->index, 0, AVSEEK_FLAG_BYTE) < 0)
        return false;
    avcodec_flush_buffers(f->decoder);
    f->failures = 0;
    return true;
}
