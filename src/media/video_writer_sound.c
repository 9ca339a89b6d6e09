/* The sound of a source beside its overlay: packets copied as they are, in step with the pictures.
 * The file is opened by the reader, so that the same limits hold for it. */
#include "video_writer.h"

#include <string.h>

static const AVRational nanosecond = {1, 1000000000};

/* The first audio stream; the others and the video are not read. */
static AVStream *pick(wilor_video_ffmpeg *f) {
    AVStream *found = NULL;
    for (unsigned i = 0; i < f->demux->nb_streams; i++) {
        AVStream *s = f->demux->streams[i];
        const bool audio = s->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
        s->discard = audio && !found ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
        if (audio && !found)
            found = s;
    }
    return found;
}

static wilor_status open_source(wilor_video_sound *s, const wilor_video_writer_options *o,
                                wilor_error *err) {
    wilor_quoted q;
    wilor_video_options vo;
    wilor_video_options_init(&vo, sizeof vo);
    vo.callbacks = o->callbacks;
    wilor_status st = wilor_video_open(&s->source, o->audio, &vo, err);
    if (st != WILOR_OK)
        return st;
    if (s->source->source.kind != WILOR_VIDEO_FILE || s->source->info.live)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "%s: sound is copied from video files only",
                               wilor_quote(&q, o->audio));
    return WILOR_OK;
}

static void left_out(const wilor_video_sound *s, const AVFormatContext *mux) {
    wilor_quoted q;
    wilor_video_log(s->source, WILOR_LOG_WARNING,
                    "%s: its sound is %s, which does not fit into %s: left out (.mkv takes "
                    "every kind)",
                    wilor_quote(&q, s->source->name),
                    avcodec_get_name(s->in->codecpar->codec_id), mux->oformat->name);
}

wilor_status wilor_video_sound_open(wilor_video_sound *s, AVFormatContext *mux,
                                    const wilor_video_writer_options *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (!o->audio)
        return WILOR_OK;
    WILOR_TRY(open_source(s, o, err));
    wilor_video_ffmpeg *f = s->source->self;
    s->in = pick(f);
    if (!s->in)
        return WILOR_OK;
    if (avformat_query_codec(mux->oformat, s->in->codecpar->codec_id, FF_COMPLIANCE_NORMAL) !=
        1) {
        left_out(s, mux);
        return WILOR_OK;
    }
    const AVStream *video = f->stream;
    const int64_t first = video->start_time == AV_NOPTS_VALUE ? 0 : video->start_time;
    s->start = o->audio_start == INT64_MIN
                   ? av_rescale_q(first, video->time_base, s->in->time_base)
                   : av_rescale_q(o->audio_start, nanosecond, s->in->time_base);
    s->last = INT64_MIN;
    s->packet = av_packet_alloc();
    s->out = avformat_new_stream(mux, NULL);
    if (!s->packet || !s->out || avcodec_parameters_copy(s->out->codecpar, s->in->codecpar) < 0)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the sound");
    s->out->codecpar->codec_tag = 0; /* the old container's */
    s->out->time_base = s->in->time_base;
done:
    return st;
}

/* Read the next packet of sound; its times from our zero, in out's unit. */
static wilor_status next(wilor_video_sound *s, wilor_error *err) {
    wilor_video_ffmpeg *f = s->source->self;
    while (!s->pending && !s->done) {
        if (wilor_video_interrupted(s->source))
            return wilor_video_interruption(s->source, "", 0, err);
        const int code = av_read_frame(f->demux, s->packet);
        if (code < 0) { /* its end, or damage: the pictures go on */
            s->done = true;
        } else if (s->packet->stream_index != s->in->index || s->packet->size == 0) {
            av_packet_unref(s->packet);
        } else {
            AVPacket *p = s->packet;
            if (p->dts == AV_NOPTS_VALUE)
                p->dts = p->pts;
            if (p->pts == AV_NOPTS_VALUE)
                p->pts = p->dts;
            const bool timed = p->pts != AV_NOPTS_VALUE;
            p->pts -= timed ? s->start : 0;
            p->dts -= timed ? s->start : 0;
            av_packet_rescale_ts(p, s->in->time_base, s->out->time_base);
            s->pending = timed && p->dts >= 0 && p->dts > s->last;
            if (!s->pending)
                av_packet_unref(p); /* before our begin, or out of order */
        }
    }
    return WILOR_OK;
}

wilor_status wilor_video_sound_until(wilor_video_sound *s, AVFormatContext *mux, int64_t time,
                                     int *code, wilor_error *err) {
    *code = 0;
    if (!s->out)
        return WILOR_OK;
    for (;;) {
        wilor_status st = next(s, err);
        if (st != WILOR_OK || !s->pending)
            return st;
        if (time != INT64_MAX &&
            av_compare_ts(s->packet->dts, s->out->time_base, time, nanosecond) >= 0)
            return WILOR_OK;
        s->last = s->packet->dts;
        s->packet->stream_index = s->out->index;
        s->packet->pos = -1;
        s->pending = false;
        *code = av_interleaved_write_frame(mux, s->packet); /* takes the packet */
        if (*code < 0)
            return WILOR_OK;
    }
}

void wilor_video_sound_close(wilor_video_sound *s) {
    av_packet_free(&s->packet);
    wilor_video_close(&s->source);
    *s = (wilor_video_sound){.source = NULL};
}
