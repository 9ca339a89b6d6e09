/* Video files: an encoder, a muxer, and out_file.c, so that a file appears whole or not at all.
 *
 * Times are kept to 1/60000 s: 24, 25, 30, 50, 60 and 30000/1001 frames a second are exact in it,
 * and MPEG-4 part 2 allows no unit below 1/65535. */
#include "video_writer.h"
#include "clock.h"
#include "heap.h"
#include "picture_codec.h"

#include <errno.h>
#include <libavutil/opt.h>
#include <math.h>
#include <string.h>

#if defined(_WIN32)
#include <io.h>
#define lseek _lseeki64
#else
#include <unistd.h>
#endif

enum { UNIT = 60000, BUFFER = 1 << 16, MOST_SIDE = 16384 };

static const AVRational unit = {1, UNIT};
static const AVRational nanosecond = {1, 1000000000};

struct wilor_video_writer {
    wilor_video_writer_options o;
    char *path;
    wilor_out_file file;
    wilor_error failed; /* of the file, met while FFmpeg wrote */
    AVFormatContext *mux;
    AVIOContext *io;
    AVCodecContext *encoder;
    AVStream *stream;
    AVFrame *frame;
    AVPacket *packet;
    wilor_video_canvas canvas;
    wilor_video_sound sound;
    int64_t last, step; /* in 1/60000 s; last < 0: no picture yet */
    int64_t last_ns;
    bool begun; /* the header is written */
    bool broken;
};

/* ---------------------------------------------------------------- the file below */

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int write_bytes(void *opaque, const uint8_t *data, int size) {
#else
static int write_bytes(void *opaque, uint8_t *data, int size) {
#endif
    wilor_video_writer *w = opaque;
    if (w->failed.status != WILOR_OK)
        return AVERROR(EIO);
    return wilor_out_file_write(&w->file, data, (size_t)size, &w->failed) == WILOR_OK
               ? size
               : AVERROR(EIO);
}

static int64_t seek_bytes(void *opaque, int64_t offset, int whence) {
    wilor_video_writer *w = opaque;
    if (whence & AVSEEK_SIZE)
        return AVERROR(ENOSYS);
    const int64_t at = lseek(w->file.fd, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

static wilor_status mux_fail(const wilor_video_writer *w, int code, wilor_error *err) {
    if (w->failed.status == WILOR_OK)
        return wilor_video_ffmpeg_fail(w->path, "cannot be written", code, err);
    if (err)
        *err = w->failed;
    return w->failed.status;
}

static wilor_status open_mux(wilor_video_writer *w, const char *container, wilor_error *err) {
    wilor_status st = WILOR_OK;
    WILOR_TRY(wilor_out_file_open(&w->file, w->path, err));
    if (avformat_alloc_output_context2(&w->mux, NULL, container, NULL) < 0)
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED, "this FFmpeg writes no %s files", container);
    unsigned char *buffer = av_malloc(BUFFER);
    if (buffer)
        w->io = avio_alloc_context(buffer, BUFFER, 1, w, NULL, write_bytes,
                                   w->file.temporary ? seek_bytes : NULL);
    if (!w->io) {
        av_free(buffer);
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to write a video");
    }
    w->mux->pb = w->io;
    w->mux->flags |= AVFMT_FLAG_CUSTOM_IO;
done:
    return st;
}

/* ---------------------------------------------------------------- the encoder */

/* 4:2:0 of the range that the encoder names first, else whatever it does name first. */
static int pixel_format(const AVCodec *codec) {
    const enum AVPixelFormat *formats = codec->pix_fmts;
    for (int i = 0; formats && formats[i] != AV_PIX_FMT_NONE; i++)
        if (formats[i] == AV_PIX_FMT_YUV420P || formats[i] == AV_PIX_FMT_YUVJ420P)
            return formats[i];
    return formats ? formats[0] : AV_PIX_FMT_YUV420P;
}

static void set_quality(AVCodecContext *c, const wilor_video_writer *w) {
    const int q = w->o.quality;
    const char *name = c->codec->name;
    if (strcmp(name, "libx264") == 0) {
        av_opt_set(c->priv_data, "preset", "veryfast", 0);
        av_opt_set_double(c->priv_data, "crf", q, 0);
    } else if (strcmp(name, "mpeg4") == 0 || strcmp(name, "mjpeg") == 0) {
        /* 2 (best) … 31; a 20 of x264's looks like a 4 of theirs. */
        c->flags |= AV_CODEC_FLAG_QSCALE;
        c->global_quality = FF_QP2LAMBDA * (2 + q / 10);
    } else {
        /* Encoders that know bit rates only: 0.15 bits a pixel at 20, half of it every 6. */
        const double bits = 0.15 * exp2((20 - q) / 6.0);
        c->bit_rate = (int64_t)((double)c->width * c->height * w->o.rate * bits) + 50000;
    }
}

/* 0, or FFmpeg's error: this encoder will not do. */
static int try_encoder(wilor_video_writer *w, const AVCodec *codec) {
    AVCodecContext *c = avcodec_alloc_context3(codec);
    if (!c)
        return AVERROR(ENOMEM);
    int space, range;
    const int format = pixel_format(codec);
    wilor_video_canvas_colours(format, &space, &range);
    c->width = w->canvas.width;
    c->height = w->canvas.height;
    c->pix_fmt = format;
    c->colorspace = space;
    c->color_range = range;
    if (space == AVCOL_SPC_BT709) {
        c->color_primaries = AVCOL_PRI_BT709;
        c->color_trc = AVCOL_TRC_BT709;
    }
    c->time_base = unit;
    c->framerate = av_d2q(w->o.rate, 100000);
    c->thread_count = w->o.threads;
    if (w->mux->oformat->flags & AVFMT_GLOBALHEADER)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    set_quality(c, w);
    const int code = avcodec_open2(c, codec, NULL);
    if (code < 0) {
        avcodec_free_context(&c);
        return code;
    }
    w->encoder = c;
    w->canvas.format = format;
    return 0;
}

static wilor_status named_encoder(wilor_video_writer *w, wilor_error *err) {
    wilor_quoted q;
    const AVCodec *codec = avcodec_find_encoder_by_name(w->o.codec);
    if (!codec || codec->type != AVMEDIA_TYPE_VIDEO)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "this FFmpeg has no video encoder %s",
                               wilor_quote(&q, w->o.codec));
    if (avformat_query_codec(w->mux->oformat, codec->id, FF_COMPLIANCE_NORMAL) != 1)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "%s: %s does not fit into such a file", wilor_quote(&q, w->path),
                               avcodec_get_name(codec->id));
    int code = try_encoder(w, codec);
    return code < 0 ? wilor_video_ffmpeg_fail(w->path, "its encoder does not start", code, err)
                    : WILOR_OK;
}

static wilor_status open_encoder(wilor_video_writer *w, wilor_error *err) {
    static const char *const names[] = {"libx264", "libopenh264", "h264_videotoolbox", "mpeg4"};
    if (w->o.codec)
        return named_encoder(w, err);
    int code = AVERROR_ENCODER_NOT_FOUND;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const AVCodec *codec = avcodec_find_encoder_by_name(names[i]);
        if (codec && (code = try_encoder(w, codec)) == 0)
            return WILOR_OK;
    }
    return wilor_video_ffmpeg_fail(w->path, "no encoder for it", code, err);
}

static wilor_status open_frame(wilor_video_writer *w, wilor_error *err) {
    w->packet = av_packet_alloc();
    w->frame = av_frame_alloc();
    if (w->packet && w->frame) {
        w->frame->format = w->canvas.format;
        w->frame->width = w->canvas.width;
        w->frame->height = w->canvas.height;
        w->frame->colorspace = w->encoder->colorspace;
        w->frame->color_range = w->encoder->color_range;
        if (av_frame_get_buffer(w->frame, 0) == 0)
            return WILOR_OK;
    }
    return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for frames of %d x %d pixels",
                           w->canvas.width, w->canvas.height);
}

static wilor_status open_stream(wilor_video_writer *w, wilor_error *err) {
    w->stream = avformat_new_stream(w->mux, NULL);
    if (!w->stream || avcodec_parameters_from_context(w->stream->codecpar, w->encoder) < 0)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory to write a video");
    w->stream->time_base = unit;
    w->stream->avg_frame_rate = w->encoder->framerate;
    return WILOR_OK;
}

static wilor_status write_header(wilor_video_writer *w, wilor_error *err) {
    int code = avformat_write_header(w->mux, NULL);
    w->begun = code >= 0;
    return code < 0 ? mux_fail(w, code, err) : WILOR_OK;
}

/* ---------------------------------------------------------------- opening */

static const char *container_of(const char *path) {
    static const char *const pairs[][2] = {
        {".mp4", "mp4"}, {".m4v", "mp4"}, {".mov", "mov"}, {".mkv", "matroska"}};
    const size_t n = strlen(path);
    for (size_t i = 0; n > 4 && i < sizeof pairs / sizeof pairs[0]; i++) {
        bool same = true;
        for (size_t k = 0; k < 4; k++) {
            const char c = path[n - 4 + k];
            same = same && (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) == pairs[i][0][k];
        }
        if (same)
            return pairs[i][1];
    }
    return NULL;
}

static wilor_status settle(wilor_video_writer_options *own, const wilor_video_writer_options *o,
                           int width, int height, wilor_error *err) {
    enum { MOST_QUALITY = 51, MOST_THREADS = 64, FEW_THREADS = 4 };

    wilor_video_writer_options_init(own, sizeof *own);
    if (o) {
        wilor_status st =
            wilor_video_options_read(own, sizeof *own, o, "video writer options", err);
        if (st != WILOR_OK)
            return st;
    }
    if (width < 2 || height < 2 || width > MOST_SIDE || height > MOST_SIDE)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "a video of %d x %d pixels; sides from 2 to %d", width, height,
                               MOST_SIDE);
    if (!isfinite(own->rate) || own->rate < 0 || own->rate > 1000 || own->quality < 0 ||
        own->quality > MOST_QUALITY || own->threads < 0 || own->threads > MOST_THREADS)
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "video writer options: rate %g (0 to 1000), quality %d (0 to %d), "
            "%d threads (0 to %d)",
            own->rate, own->quality, MOST_QUALITY, own->threads, MOST_THREADS);
    own->rate = own->rate > 0 ? own->rate : 30;
    own->quality = own->quality ? own->quality : 20;
    const int cores = wilor_threads_default();
    if (!own->threads)
        own->threads = cores < FEW_THREADS ? cores : FEW_THREADS;
    return WILOR_OK;
}

wilor_status wilor_video_writer_open(wilor_video_writer **out, const char *path, int width,
                                     int height, const wilor_video_writer_options *o,
                                     wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    wilor_video_writer_options own;
    wilor_video_writer *w = NULL;
    if (!out || !path)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_video_writer_open: out or path is NULL");
    *out = NULL;
    WILOR_TRY(settle(&own, o, width, height, err));
    const char *container = container_of(path);
    if (!container)
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED,
                   "%s: videos are written as .mp4, .mov or .mkv, by the name's ending",
                   wilor_quote(&q, path));
    wilor_video_ffmpeg_init();
    wilor_video_ffmpeg_hush();
    w = wilor_heap_alloc(1, sizeof *w);
    if (!w)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to write a video");
    w->o = own;
    w->file.fd = -1;
    w->last = -1;
    w->canvas.width = width & ~1;
    w->canvas.height = height & ~1;
    w->step = (int64_t)(UNIT / own.rate + 0.5);
    w->path = wilor_heap_string(path);
    if (!w->path)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to write a video");
    WILOR_TRY(open_mux(w, container, err));
    WILOR_TRY(open_encoder(w, err));
    WILOR_TRY(open_frame(w, err));
    WILOR_TRY(open_stream(w, err));
    WILOR_TRY(wilor_video_sound_open(&w->sound, w->mux, &w->o, err));
    WILOR_TRY(write_header(w, err));
    w->o.codec = w->o.audio = NULL; /* the caller's texts */
    wilor_error_clear(err);
    *out = w;
    w = NULL;
done:
    wilor_video_writer_discard(&w);
    return st;
}

/* ---------------------------------------------------------------- pictures */

/* Move what the encoder has ready into the file. */
static wilor_status drain(wilor_video_writer *w, wilor_error *err) {
    for (;;) {
        int code = avcodec_receive_packet(w->encoder, w->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF)
            return WILOR_OK;
        if (code < 0)
            return wilor_video_ffmpeg_fail(w->path, "cannot be encoded", code, err);
        w->packet->duration = w->step;
        w->packet->stream_index = w->stream->index;
        av_packet_rescale_ts(w->packet, unit, w->stream->time_base);
        code = av_interleaved_write_frame(w->mux, w->packet); /* takes the packet */
        if (code < 0)
            return mux_fail(w, code, err);
    }
}

static wilor_status copy_sound(wilor_video_writer *w, int64_t until, wilor_error *err) {
    int code = 0;
    wilor_status st = wilor_video_sound_until(&w->sound, w->mux, until, &code, err);
    return st == WILOR_OK && code < 0 ? mux_fail(w, code, err) : st;
}

static wilor_status add(wilor_video_writer *w, const wilor_picture *picture, int64_t at,
                        int64_t time, wilor_error *err) {
    wilor_status st = WILOR_OK;
    WILOR_TRY(copy_sound(w, time, err));
    int code = av_frame_make_writable(w->frame);
    if (code < 0) {
        st = wilor_video_ffmpeg_fail(w->path, "no memory for a frame", code, err);
        goto done;
    }
    WILOR_TRY(wilor_video_canvas_draw(&w->canvas, w->frame, picture, err));
    w->frame->pts = at;
    w->frame->pict_type = AV_PICTURE_TYPE_NONE;
    code = avcodec_send_frame(w->encoder, w->frame);
    if (code < 0) {
        st = wilor_video_ffmpeg_fail(w->path, "cannot be encoded", code, err);
        goto done;
    }
    WILOR_TRY(drain(w, err));
    /* A full disk shows now, not at the end of an hour. */
    if (w->failed.status != WILOR_OK)
        st = mux_fail(w, AVERROR(EIO), err);
done:
    return st;
}

wilor_status wilor_video_writer_add(wilor_video_writer *w, const wilor_picture *picture,
                                    int64_t time, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const int64_t most = INT64_C(1) << 53; /* 104 days */
    if (!w || !picture)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_video_writer_add: writer or picture is NULL");
    if (w->broken)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "a video that failed takes no more pictures");
    if (time < 0 || time > most || (w->last >= 0 && time <= w->last_ns))
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "a picture at %lld ns; times grow, from 0 to %lld",
                               (long long)time, (long long)most);
    WILOR_TRY(wilor_picture_check(picture, err));
    int64_t at = av_rescale_q(time, nanosecond, unit);
    if (at <= w->last)
        at = w->last + 1;
    wilor_video_ffmpeg_hush();
    WILOR_TRY(add(w, picture, at, time, err));
    w->last = at;
    w->last_ns = time;
    wilor_error_clear(err);
done:
    if (w && st != WILOR_OK && st != WILOR_ERR_ARG)
        w->broken = true;
    return st;
}

/* ---------------------------------------------------------------- the end */

wilor_status wilor_video_writer_finish(wilor_video_writer **writer, int64_t end,
                                       wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (!writer || !*writer)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_video_writer_finish: writer is NULL");
    wilor_video_writer *w = *writer;
    wilor_video_ffmpeg_hush();
    if (w->last < 0 || w->broken)
        WILOR_FAIL(err, WILOR_ERR_ARG,
                   "a video without pictures, or one that failed, cannot be "
                   "finished");
    if (end == 0)
        end = w->last_ns + av_rescale_q(w->step, unit, nanosecond);
    WILOR_TRY(copy_sound(w, end, err));
    int code = avcodec_send_frame(w->encoder, NULL);
    if (code < 0) {
        st = wilor_video_ffmpeg_fail(w->path, "cannot be encoded", code, err);
        goto done;
    }
    WILOR_TRY(drain(w, err));
    code = av_write_trailer(w->mux);
    w->begun = false;
    avio_flush(w->io);
    if (code < 0 || w->failed.status != WILOR_OK || w->io->error < 0) {
        st = mux_fail(w, code < 0 ? code : AVERROR(EIO), err);
        goto done;
    }
    WILOR_TRY(wilor_out_file_commit(&w->file, err));
    wilor_error_clear(err);
done:
    wilor_video_writer_discard(writer);
    return st;
}

void wilor_video_writer_discard(wilor_video_writer **writer) {
    if (!writer || !*writer)
        return;
    wilor_video_writer *w = *writer;
    *writer = NULL;
    /* What FFmpeg still holds back must not be written any more. */
    w->failed.status = WILOR_ERR_CANCELLED;
    wilor_video_sound_close(&w->sound);
    avcodec_free_context(&w->encoder);
    avformat_free_context(w->mux);
    if (w->io) {
        av_freep(&w->io->buffer);
        avio_context_free(&w->io);
    }
    av_packet_free(&w->packet);
    av_frame_free(&w->frame);
    wilor_video_canvas_fini(&w->canvas);
    wilor_out_file_discard(&w->file);
    wilor_heap_free(w->path);
    wilor_heap_free(w);
}
