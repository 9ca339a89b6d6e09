/* Opening what FFmpeg reads: files, pipes, streams, devices.
 *
 * What may be opened is decided before FFmpeg sees a name. A file's bytes come through
 * video_bytes.c and its demuxer is one of `containers`, with no protocol at all: neither a
 * playlist, a script nor a reference inside a container leads anywhere. A stream has the protocols
 * of its scheme (video_source.c). Devices are opened by name, with the size and rate asked for. */
#include "video_ffmpeg.h"
#include "heap.h"

#include <libavutil/avstring.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <string.h>

/* Containers and raw streams that hold their own data. Not here: hls, dash, concat, sdp, imf,
 * avisynth, vapoursynth and others that name files or run something. */
static const char containers[] =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,ogg,asf,nut,"
    "ivf,"
    "mjpeg,mjpeg_2000,mpjpeg,h264,hevc,vvc,m4v,av1,obu,h263,h261,vc1,dv,mxf,gif,apng,"
    "yuv4mpegpipe,"
    "rawvideo,jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,tiff_pipe,image2pipe,rm,swf,gxf,wtv,y4m,"
    "aac,mp3,ac3";
/* A stream may also be a playlist of streams. */
static const char stream_formats[] = ",hls,applehttp,dash,rtsp,rtp,webvtt";
/* No protocol has this name. */
static const char nothing[] = "none";

static bool in_list(const char *name, const char *list) {
    /* Names of a demuxer are a list, too. */
    for (const char *p = name; *p;) {
        const size_t n = strcspn(p, ",");
        for (const char *q = list; *q;) {
            const size_t m = strcspn(q, ",");
            if (n == m && strncmp(p, q, n) == 0)
                return true;
            q += m + (q[m] == ',');
        }
        p += n + (p[n] == ',');
    }
    return false;
}

static int interrupted(void *opaque) { return wilor_video_interrupted(opaque); }

/* ---------------------------------------------------------------- what kind of file */

static wilor_status refuse_format(const char *name, const AVInputFormat *format,
                                  wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(
        err, WILOR_ERR_UNSUPPORTED,
        "%s is '%s' (%s): not a video that holds its own data; playlists, scripts and "
        "other lists are not opened",
        wilor_quote(&q, name), format->name, format->long_name ? format->long_name : "");
}

/* The format a user named. */
static wilor_status named_format(const AVInputFormat **format, const wilor_video *v,
                                 wilor_error *err) {
    wilor_quoted q;
    const char *name = v->o.format;
    *format = av_find_input_format(name);
    if (!*format) {
        wilor_video_ffmpeg_devices(); /* it may be one of those, which are refused */
        *format = av_find_input_format(name);
    }
    if (!*format)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "this FFmpeg has no input format %s",
                               wilor_quote(&q, name));
    const bool stream = v->source.kind == WILOR_VIDEO_URL;
    if (!in_list((*format)->name, containers) &&
        !(stream && in_list((*format)->name, stream_formats)))
        return refuse_format(v->name, *format, err);
    return WILOR_OK;
}

/* The format by its content. */
static wilor_status probed_format(const AVInputFormat **format, const wilor_video_input *in,
                                  const char *name, wilor_error *err) {
    wilor_quoted q;
    int score = av_probe_input_buffer2(in->io, format, "", NULL, 0, 0);
    if (score == AVERROR_EXIT)
        return WILOR_ERR_CANCELLED; /* the caller says which */
    if (score < 0 && score != AVERROR_INVALIDDATA && score != AVERROR_EOF)
        return wilor_video_ffmpeg_fail(name, "cannot be read", score, err);
    if (score < 0 && !in->got)
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: it ended before anything came",
                               wilor_quote(&q, name));
    if (score < 0)
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s is not a video that FFmpeg knows",
                               wilor_quote(&q, name));
    return in_list((*format)->name, containers) ? WILOR_OK : refuse_format(name, *format, err);
}

/* ---------------------------------------------------------------- options for a demuxer */

static void put_rate(AVDictionary **d, double rate) {
    char text[32];
    if (rate > 0) {
        AVRational r = av_d2q(rate, 100000);
        snprintf(text, sizeof text, "%d/%d", r.num, r.den);
        av_dict_set(d, "framerate", text, 0);
    }
}

static void put_size(AVDictionary **d, const wilor_video *v) {
    char text[32];
    if (v->o.width) {
        snprintf(text, sizeof text, "%dx%d", v->o.width, v->o.height);
        av_dict_set(d, "video_size", text, 0);
    }
}

static wilor_status raw_options(AVDictionary **d, const wilor_video *v, wilor_error *err) {
    wilor_quoted q, q2;
    if (!v->o.width || !v->o.pixel_format)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "%s: raw frames need a width, a height and a pixel format",
                               wilor_quote(&q, v->name));
    if (av_get_pix_fmt(v->o.pixel_format) == AV_PIX_FMT_NONE)
        return wilor_error_set(err, WILOR_ERR_ARG, "%s: unknown pixel format %s",
                               wilor_quote(&q, v->name), wilor_quote(&q2, v->o.pixel_format));
    put_size(d, v);
    av_dict_set(d, "pixel_format", v->o.pixel_format, 0);
    put_rate(d, v->o.rate > 0 ? v->o.rate : 30);
    return WILOR_OK;
}

/* Demuxers that make times from a rate have an option for it; the others must not be given one. */
static bool takes_rate(const AVInputFormat *format) {
    return format && format->priv_class &&
           av_opt_find((void *)&format->priv_class, "framerate", NULL, 0,
                       AV_OPT_SEARCH_FAKE_OBJ);
}

static void device_options(AVDictionary **d, AVFormatContext *demux, const wilor_video *v) {
    const bool v4l2 = strcmp(v->source.device, "v4l2") == 0;
    const bool dshow = strcmp(v->source.device, "dshow") == 0;
    if (strcmp(v->source.device, "lavfi") == 0)
        return; /* the graph says all that */
    put_size(d, v);
    put_rate(d, v->o.rate);
    if (!v->o.pixel_format)
        return;
    if (v4l2)
        av_dict_set(d, "input_format", v->o.pixel_format, 0);
    else if (dshow && strcmp(v->o.pixel_format, "mjpeg") == 0)
        demux->video_codec_id = AV_CODEC_ID_MJPEG;
    else
        av_dict_set(d, "pixel_format", v->o.pixel_format, 0);
}

static wilor_status extra_options(AVDictionary **d, const wilor_video *v, wilor_error *err) {
    wilor_quoted q;
    static const char *const ours[] = {"protocol_whitelist", "protocol_blacklist",
                                       "format_whitelist", "codec_whitelist"};
    if (!v->o.extra)
        return WILOR_OK;
    if (av_dict_parse_string(d, v->o.extra, "=", ":", 0) < 0)
        return wilor_error_set(err, WILOR_ERR_ARG, "extra options %s: not key=value:key=value",
                               wilor_quote(&q, v->o.extra));
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (av_dict_get(*d, ours[i], NULL, 0))
            return wilor_error_set(err, WILOR_ERR_ARG,
                                   "extra options: %s cannot be set from outside", ours[i]);
    return WILOR_OK;
}

/* What the demuxer did not take. */
static wilor_status check_left(const AVDictionary *d, const wilor_video *v, wilor_error *err) {
    wilor_quoted q, q2;
    const AVDictionaryEntry *e = av_dict_get(d, "", NULL, AV_DICT_IGNORE_SUFFIX);
    if (!e)
        return WILOR_OK;
    return wilor_error_set(err, WILOR_ERR_ARG, "%s: this source has no option %s",
                           wilor_quote(&q, v->name), wilor_quote(&q2, e->key));
}

/* ---------------------------------------------------------------- opening */

static wilor_status no_context(wilor_error *err) {
    return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory to open a video");
}

/* Why a device would not open, in words a user can act on. */
static wilor_status device_fail(const wilor_video *v, int code, wilor_error *err) {
    wilor_quoted q;
    const char *why = NULL, *said = wilor_video_ffmpeg_said();
    const bool lavfi = strcmp(v->source.device, "lavfi") == 0;
    switch (code) {
    case AVERROR(EBUSY):
        why = "the camera is busy: another program uses it";
        break;
    case AVERROR(ENOENT):
    case AVERROR(ENODEV):
    case AVERROR(ENXIO):
        why = "there is no such camera";
        break;
    case AVERROR(EACCES):
    case AVERROR(EPERM):
        why = "this user may not open the camera (on Linux: the group video)";
        break;
    case AVERROR(EINVAL):
    case AVERROR(ENOTTY):
        why = lavfi ? "not a graph of filters"
                    : "it is no camera, or refuses the format, size or rate asked for";
        break;
    default:
        break;
    }
    if (!why)
        return wilor_video_ffmpeg_fail(v->name, "the device cannot be opened", code, err);
    return wilor_error_set(err, lavfi ? WILOR_ERR_ARG : WILOR_ERR_IO, "%s: %s%s",
                           wilor_quote(&q, v->name), why, said);
}

static wilor_status open_fail(wilor_video *v, int code, wilor_error *err) {
    if (code == AVERROR_EXIT)
        return wilor_video_interruption(v, "nothing came", v->o.open_timeout, err);
    if (v->source.kind == WILOR_VIDEO_DEVICE)
        return device_fail(v, code, err);
    return wilor_video_ffmpeg_fail(v->name, "cannot be opened", code, err);
}

/* avformat_open_input with our limits; *d is used up. */
static wilor_status open_demux(wilor_video_ffmpeg *f, const char *url,
                               const AVInputFormat *format, AVDictionary **d,
                               const char *protocols, wilor_error *err) {
    wilor_status st = WILOR_OK;
    char formats[sizeof containers + sizeof stream_formats];
    snprintf(formats, sizeof formats, "%s%s", containers,
             f->v->source.kind == WILOR_VIDEO_URL ? stream_formats : "");
    av_dict_set(d, "protocol_whitelist", protocols, 0);
    if (f->v->source.kind != WILOR_VIDEO_DEVICE)
        av_dict_set(d, "format_whitelist", formats, 0);
    int code = avformat_open_input(&f->demux, url, format, d); /* frees demux when it fails */
    if (code < 0)
        return open_fail(f->v, code, err);
    WILOR_TRY(check_left(*d, f->v, err));
done:
    return st;
}

static wilor_status open_file(wilor_video_ffmpeg *f, AVDictionary **d, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_video *v = f->v;
    const AVInputFormat *format = NULL;
    const bool waits = f->input.waits;
    v->deadline = waits ? wilor_video_deadline(v->o.open_timeout) : 0;
    if (v->o.format)
        WILOR_TRY(named_format(&format, v, err));
    else
        st = probed_format(&format, &f->input, v->name, err);
    if (st == WILOR_ERR_CANCELLED)
        st = wilor_video_interruption(v, "nothing came", v->o.open_timeout, err);
    WILOR_TRY(st);
    f->cuts_jpegs = waits && in_list(format->name, "mjpeg,jpeg_pipe");
    if (f->cuts_jpegs)
        format = av_find_input_format("mjpeg");
    if (!format)
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED, "this FFmpeg reads no MJPEG");
    if (in_list(format->name, "rawvideo"))
        WILOR_TRY(raw_options(d, v, err));
    else if (takes_rate(format))
        put_rate(d, v->o.rate > 0 ? v->o.rate : 30);
    v->no_times = takes_rate(format) || (format->flags & AVFMT_NOTIMESTAMPS);
    f->demux->pb = f->input.io;
    f->demux->flags |= AVFMT_FLAG_CUSTOM_IO;
    WILOR_TRY(open_demux(f, "", format, d, nothing, err));
    v->info.live = waits;
done:
    return st;
}

static wilor_status open_url(wilor_video_ffmpeg *f, AVDictionary **d, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const AVInputFormat *format = NULL;
    wilor_video *v = f->v;
    if (v->o.format)
        WILOR_TRY(named_format(&format, v, err));
    if (format && in_list(format->name, "rawvideo"))
        WILOR_TRY(raw_options(d, v, err));
    /* Lost packets tear pictures; where there is a choice, none are lost. */
    if (strncmp(v->source.target, "rtsp", 4) == 0)
        av_dict_set(d, "rtsp_flags", "prefer_tcp", AV_DICT_DONT_OVERWRITE);
    f->demux->max_analyze_duration = AV_TIME_BASE;
    v->deadline = wilor_video_deadline(v->o.open_timeout);
    WILOR_TRY(open_demux(f, v->source.target, format, d, v->source.protocols, err));
    v->info.live = 1;
    f->arrival_times = (f->demux->iformat->flags & AVFMT_NOTIMESTAMPS) != 0;
done:
    return st;
}

static wilor_status open_device(wilor_video_ffmpeg *f, AVDictionary **d, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_video *v = f->v;
    const char *device = v->source.device;
    const bool lavfi = strcmp(device, "lavfi") == 0;
    const char *missing = wilor_video_ffmpeg_devices();
    const AVInputFormat *format = av_find_input_format(device);
    char *url = NULL;
    if (!format)
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED, "this FFmpeg has no device '%s'%s", device,
                   missing);
    device_options(d, f->demux, v);
    const bool prefix = strcmp(device, "dshow") == 0 && !strchr(v->source.target, '=');
    url = av_asprintf("%s%s", prefix ? "video=" : "", v->source.target);
    if (!url) {
        st = no_context(err);
        goto done;
    }
    /* A camera's wait cannot be interrupted inside FFmpeg: it is asked again and again instead. */
    f->demux->flags |= lavfi ? 0 : AVFMT_FLAG_NONBLOCK;
    v->deadline = wilor_video_deadline(v->o.open_timeout);
    /* A graph may read files (movie=), which the header says. */
    WILOR_TRY(open_demux(f, url, format, d, lavfi ? "file" : nothing, err));
    v->info.live = !lavfi;
    f->driver_times = strcmp(device, "v4l2") == 0;
done:
    av_free(url);
    return st;
}

static wilor_status open_source(wilor_video_ffmpeg *f, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_video *v = f->v;
    AVDictionary *d = NULL;
    f->demux = avformat_alloc_context();
    f->packet = av_packet_alloc();
    f->frame = av_frame_alloc();
    if (!f->demux || !f->packet || !f->frame) {
        st = no_context(err);
        goto done;
    }
    f->demux->interrupt_callback = (AVIOInterruptCB){interrupted, v};
    WILOR_TRY(extra_options(&d, v, err));
    if (v->source.kind == WILOR_VIDEO_DEVICE)
        st = open_device(f, &d, err);
    else if (v->source.kind == WILOR_VIDEO_URL)
        st = open_url(f, &d, err);
    else
        st = open_file(f, &d, err);
done:
    av_dict_free(&d);
    return st;
}

/* ---------------------------------------------------------------- the stream in it */

/* Devices and raw pipes say all in their header, or their first frame does; looking further would
 * wait for frames. */
static bool needs_look(const wilor_video_ffmpeg *f) {
    if (f->v->source.kind == WILOR_VIDEO_DEVICE)
        return !f->v->info.live;
    return !(f->v->info.live && in_list(f->demux->iformat->name, "rawvideo,mjpeg"));
}

static wilor_status find_stream(wilor_video_ffmpeg *f, wilor_error *err) {
    wilor_quoted q;
    if (needs_look(f)) {
        int code = avformat_find_stream_info(f->demux, NULL);
        if (wilor_video_interrupted(f->v))
            return open_fail(f->v, AVERROR_EXIT, err);
        if (code < 0)
            return open_fail(f->v, code, err);
    }
    int best = av_find_best_stream(f->demux, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (best >= 0 && (f->demux->streams[best]->disposition & AV_DISPOSITION_ATTACHED_PIC))
        best = -1; /* a cover */
    if (best < 0)
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s has no video in it",
                               wilor_quote(&q, f->v->name));
    f->stream = f->demux->streams[best];
    for (unsigned i = 0; i < f->demux->nb_streams; i++) {
        const AVStream *s = f->demux->streams[i];
        if ((int)i != best)
            f->demux->streams[i]->discard = AVDISCARD_ALL;
        f->v->info.audio |= s->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
    }
    return WILOR_OK;
}

static void set_threads(wilor_video_ffmpeg *f) {
    enum { FILE_THREADS = 4 };

    const wilor_video *v = f->v;
    AVCodecContext *d = f->decoder;
    const int cores = wilor_threads_default();
    d->thread_count = v->o.threads;
    if (!v->o.threads)
        d->thread_count = v->info.live ? 1 : cores < FILE_THREADS ? cores : FILE_THREADS;
    if (v->info.live) {
        d->flags |= AV_CODEC_FLAG_LOW_DELAY;
        d->thread_type = FF_THREAD_SLICE; /* frames in threads are a delay */
    }
    if (d->codec_id == AV_CODEC_ID_MJPEG) {
        /* It tells of damage in the log alone: wilor_video_ffmpeg_buffer. */
        d->thread_count = 1;
        d->opaque = f;
        d->get_buffer2 = wilor_video_ffmpeg_buffer;
    }
}

static wilor_status open_decoder(wilor_video_ffmpeg *f, wilor_error *err) {
    wilor_quoted q;
    const wilor_video *v = f->v;
    const AVCodecParameters *p = f->stream->codecpar;
    const AVCodec *codec = avcodec_find_decoder(p->codec_id);
    if (!codec)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "%s: this FFmpeg has no decoder for '%s'",
                               wilor_quote(&q, v->name), avcodec_get_name(p->codec_id));
    if (p->width > 0 && p->height > 0 &&
        (uint64_t)p->width > v->o.max_pixels / (uint64_t)p->height)
        return wilor_error_set(
            err, WILOR_ERR_LIMIT, "%s: %d x %d pixels, the limit is %llu pixels",
            wilor_quote(&q, v->name), p->width, p->height, (unsigned long long)v->o.max_pixels);
    f->decoder = avcodec_alloc_context3(codec);
    if (!f->decoder || avcodec_parameters_to_context(f->decoder, p) < 0)
        return no_context(err);
    f->decoder->pkt_timebase = f->stream->time_base;
    f->decoder->max_pixels =
        (int64_t)(v->o.max_pixels < INT64_MAX ? v->o.max_pixels : INT64_MAX);
    set_threads(f);
    int code = avcodec_open2(f->decoder, codec, NULL);
    return code < 0 ? wilor_video_ffmpeg_fail(v->name, "its decoder does not start", code, err)
                    : WILOR_OK;
}

/* ---------------------------------------------------------------- what is known of it */

static const int32_t *display_matrix(const AVStream *stream) {
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    const AVPacketSideData *d = av_packet_side_data_get(stream->codecpar->coded_side_data,
                                                        stream->codecpar->nb_coded_side_data,
                                                        AV_PKT_DATA_DISPLAYMATRIX);
    return d && d->size >= 9 * sizeof(int32_t) ? (const int32_t *)d->data : NULL;
#else
    size_t size = 0;
    const uint8_t *d = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return d && size >= 9 * sizeof(int32_t) ? (const int32_t *)d : NULL;
#endif
}

static void describe(wilor_video_ffmpeg *f) {
    wilor_video *v = f->v;
    wilor_video_info *info = &v->info;
    const AVStream *s = f->stream;
    AVRational rate = av_guess_frame_rate(f->demux, f->stream, NULL);
    info->rate = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
    if (v->no_times && (v->o.rate > 0 || info->rate <= 0))
        info->rate = v->o.rate > 0 ? v->o.rate : 30;
    info->width = s->codecpar->width;
    info->height = s->codecpar->height;
    f->orientation = wilor_video_orientation(display_matrix(s));
    if (f->orientation >= 5) {
        info->width = s->codecpar->height;
        info->height = s->codecpar->width;
    }
    info->codec = avcodec_get_name(s->codecpar->codec_id);
    const char *names = f->demux->iformat->name;
    snprintf(f->container, sizeof f->container, "%.*s", (int)strcspn(names, ","), names);
    info->format = v->source.device ? v->source.device : f->container;
    if (info->live || v->source.kind == WILOR_VIDEO_DEVICE)
        return;
    if (s->duration > 0)
        info->duration = av_rescale_q(s->duration, s->time_base, (AVRational){1, 1000000000});
    else if (f->demux->duration > 0)
        info->duration = av_rescale(f->demux->duration, 1000000000, AV_TIME_BASE);
    if (info->duration < 0)
        info->duration = 0;
    if (s->nb_frames > 0)
        info->frames = (uint64_t)s->nb_frames;
    else if (info->rate > 0 && info->duration > 0)
        info->frames = (uint64_t)((double)info->duration * 1e-9 * info->rate + 0.5);
}

/* A driver may give another size or format than was asked for. */
static void tell_changes(const wilor_video_ffmpeg *f) {
    const wilor_video *v = f->v;
    const AVCodecParameters *p = f->stream->codecpar;
    wilor_quoted q;
    if (v->source.kind != WILOR_VIDEO_DEVICE || !v->info.live)
        return;
    if (v->o.width && p->width > 0 && (p->width != v->o.width || p->height != v->o.height))
        wilor_video_log(v, WILOR_LOG_WARNING,
                        "%s: %d x %d pixels were asked for, the camera gives %d x %d",
                        wilor_quote(&q, v->name), v->o.width, v->o.height, p->width, p->height);
    const char *codec = avcodec_get_name(p->codec_id);
    const char *pixels =
        p->codec_id == AV_CODEC_ID_RAWVIDEO ? av_get_pix_fmt_name(p->format) : NULL;
    const char *given = pixels ? pixels : codec;
    if (v->o.pixel_format && strcmp(v->o.pixel_format, given) != 0)
        wilor_video_log(v, WILOR_LOG_WARNING, "%s: %s was asked for, the camera gives %s",
                        wilor_quote(&q, v->name), v->o.pixel_format, given);
}

static void shut(void *self) {
    wilor_video_ffmpeg *f = self;
    f->v->deadline = wilor_video_deadline(1); /* a stream may want to say goodbye */
    avcodec_free_context(&f->decoder);
    avformat_close_input(&f->demux);
    wilor_video_input_close(&f->input);
    wilor_video_jpegs_fini(&f->jpegs);
    av_packet_free(&f->packet);
    av_frame_free(&f->frame);
    wilor_video_convert_fini(&f->convert);
    wilor_heap_free(f);
}

static const wilor_video_backend g_ffmpeg = {wilor_video_ffmpeg_next, wilor_video_ffmpeg_rewind,
                                             shut};

static wilor_status open_all(wilor_video *v, wilor_video_bytes bytes, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_video_ffmpeg_init();
    wilor_video_ffmpeg_hush();
    wilor_video_ffmpeg *f = wilor_heap_alloc(1, sizeof *f);
    if (!f)
        return no_context(err);
    f->v = v;
    f->input.fd = -1;
    if (bytes.data)
        WILOR_TRY(wilor_video_input_memory(&f->input, v, bytes, err));
    else if (v->source.kind == WILOR_VIDEO_FILE || v->source.kind == WILOR_VIDEO_STDIN)
        WILOR_TRY(wilor_video_input_open(
            &f->input, v, v->source.kind == WILOR_VIDEO_FILE ? v->source.target : NULL, err));
    WILOR_TRY(open_source(f, err));
    WILOR_TRY(find_stream(f, err));
    WILOR_TRY(open_decoder(f, err));
    describe(f);
    tell_changes(f);
    v->backend = &g_ffmpeg;
    v->self = f;
    f = NULL;
done:
    v->deadline = 0;
    if (f)
        shut(f);
    return st;
}

wilor_status wilor_video_ffmpeg_open(wilor_video *v, wilor_error *err) {
    return open_all(v, (wilor_video_bytes){NULL, 0}, err);
}

wilor_status wilor_video_ffmpeg_open_bytes(wilor_video *v, wilor_video_bytes bytes,
                                           wilor_error *err) {
    return open_all(v, bytes, err);
}
