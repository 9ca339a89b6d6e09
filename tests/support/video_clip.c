/* Encoding for tests: plain and slow. Any failure but a missing encoder ends the test. */
#include "video_clip.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOUND_RATE = 48000 };

typedef struct maker {
    const clip_spec *spec;
    AVFormatContext *mux;
    AVCodecContext *video, *sound;
    AVStream *video_stream, *sound_stream;
    struct SwsContext *sws;
    int64_t samples;
} maker;

void clip_draw(uint8_t *rgb, int width, int height, int number) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, rgb += 3) {
            rgb[0] = (uint8_t)(x * 255 / width);
            rgb[1] = (uint8_t)(y * 255 / height);
            rgb[2] = 128;
            const int square = width / CLIP_BITS;
            if (y < height / 6)
                rgb[0] = rgb[1] = rgb[2] =
                    x / square < CLIP_BITS && number >> x / square & 1 ? 255 : 0;
        }
}

int clip_number(const uint8_t *rgb, ptrdiff_t stride, int width, int height) {
    int number = 0;
    for (int i = 0; i < CLIP_BITS; i++) {
        const int x = width / CLIP_BITS * i + width / CLIP_BITS / 2, y = height / 12;
        const int value = rgb[y * stride + x * 3 + 1];
        if (value > 64 && value < 192)
            return -1;
        number |= (value >= 192) << i;
    }
    return number;
}

static void drain(maker *m, AVCodecContext *encoder, AVStream *stream) {
    AVPacket *p = av_packet_alloc();
    assert_non_null(p);
    while (avcodec_receive_packet(encoder, p) == 0) {
        p->stream_index = stream->index;
        if (encoder == m->video && !m->spec->times)
            p->duration = 1;
        av_packet_rescale_ts(p, encoder->time_base, stream->time_base);
        assert_true(av_interleaved_write_frame(m->mux, p) >= 0);
    }
    av_packet_free(&p);
}

static AVStream *add_stream(maker *m, AVCodecContext *encoder) {
    AVStream *s = avformat_new_stream(m->mux, NULL);
    assert_non_null(s);
    assert_true(avcodec_parameters_from_context(s->codecpar, encoder) >= 0);
    s->time_base = encoder->time_base;
    return s;
}

static bool open_video(maker *m) {
    const clip_spec *c = m->spec;
    const AVCodec *codec = avcodec_find_encoder_by_name(c->codec);
    if (!codec)
        return false;
    AVCodecContext *e = m->video = avcodec_alloc_context3(codec);
    e->width = c->width ? c->width : CLIP_WIDTH;
    e->height = c->height ? c->height : CLIP_HEIGHT;
    e->pix_fmt = codec->pix_fmts ? codec->pix_fmts[0] : AV_PIX_FMT_YUV420P;
    const AVRational rate = av_d2q(c->rate > 0 ? c->rate : 30, 100000);
    e->time_base = c->times ? (AVRational){1, 1000} : av_inv_q(rate);
    e->framerate = rate;
    e->gop_size = c->key_only ? 1 : 12;
    e->bit_rate = 1000000;
    if (strcmp(c->codec, "mjpeg") == 0) {
        e->flags |= AV_CODEC_FLAG_QSCALE;
        e->global_quality = 2 * FF_QP2LAMBDA;
    }
    av_opt_set(e->priv_data, "preset", "ultrafast", 0);
    av_opt_set(e->priv_data, "deadline", "realtime", 0);
    if (m->mux->oformat->flags & AVFMT_GLOBALHEADER)
        e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    assert_int_equal(avcodec_open2(e, codec, NULL), 0);
    m->video_stream = add_stream(m, e);
    m->video_stream->avg_frame_rate = rate;
    if (c->rotation) {
        int32_t matrix[9];
        av_display_rotation_set(matrix, c->rotation);
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
        AVCodecParameters *p = m->video_stream->codecpar;
        AVPacketSideData *d =
            av_packet_side_data_new(&p->coded_side_data, &p->nb_coded_side_data,
                                    AV_PKT_DATA_DISPLAYMATRIX, sizeof matrix, 0);
        assert_non_null(d);
        memcpy(d->data, matrix, sizeof matrix);
#else
        uint8_t *d =
            av_stream_new_side_data(m->video_stream, AV_PKT_DATA_DISPLAYMATRIX, sizeof matrix);
        assert_non_null(d);
        memcpy(d, matrix, sizeof matrix);
#endif
    }
    return true;
}

static bool open_sound(maker *m) {
    if (!m->spec->sound)
        return true;
    const AVCodec *codec = avcodec_find_encoder_by_name(m->spec->sound);
    if (!codec)
        return false;
    AVCodecContext *e = m->sound = avcodec_alloc_context3(codec);
    e->sample_fmt = codec->sample_fmts[0];
    e->sample_rate = SOUND_RATE;
    e->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_MONO;
    e->time_base = (AVRational){1, SOUND_RATE};
    e->bit_rate = 64000;
    if (m->mux->oformat->flags & AVFMT_GLOBALHEADER)
        e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    assert_int_equal(avcodec_open2(e, codec, NULL), 0);
    m->sound_stream = add_stream(m, e);
    return true;
}

/* A tone up to `seconds`. */
static void add_sound(maker *m, double seconds) {
    const int size = m->sound->frame_size ? m->sound->frame_size : 1024;
    while ((double)m->samples < seconds * SOUND_RATE) {
        AVFrame *f = av_frame_alloc();
        f->nb_samples = size;
        f->format = m->sound->sample_fmt;
        f->ch_layout = m->sound->ch_layout;
        f->sample_rate = SOUND_RATE;
        assert_int_equal(av_frame_get_buffer(f, 0), 0);
        for (int i = 0; i < size; i++) {
            const double x = 0.5 * sin(0.05 * (double)(m->samples + i));
            if (f->format == AV_SAMPLE_FMT_FLTP || f->format == AV_SAMPLE_FMT_FLT)
                ((float *)f->data[0])[i] = (float)x;
            else
                ((int16_t *)f->data[0])[i] = (int16_t)(x * 32767);
        }
        f->pts = m->samples;
        m->samples += size;
        assert_int_equal(avcodec_send_frame(m->sound, f), 0);
        drain(m, m->sound, m->sound_stream);
        av_frame_free(&f);
    }
}

static void add_video(maker *m, int i) {
    const int w = m->video->width, h = m->video->height;
    uint8_t *rgb = malloc((size_t)w * (size_t)h * 3);
    AVFrame *f = av_frame_alloc();
    assert_non_null(rgb);
    assert_non_null(f);
    clip_draw(rgb, w, h, m->spec->first + i);
    f->format = m->video->pix_fmt;
    f->width = w;
    f->height = h;
    assert_int_equal(av_frame_get_buffer(f, 0), 0);
    const uint8_t *from[4] = {rgb};
    const int strides[4] = {w * 3};
    m->sws = sws_getCachedContext(m->sws, w, h, AV_PIX_FMT_RGB24, w, h, f->format,
                                  SWS_BILINEAR | SWS_ACCURATE_RND, NULL, NULL, NULL);
    assert_non_null(m->sws);
    sws_scale(m->sws, from, strides, 0, h, f->data, f->linesize);
    f->pts = m->spec->times ? m->spec->times[i] : i;
    assert_int_equal(avcodec_send_frame(m->video, f), 0);
    drain(m, m->video, m->video_stream);
    av_frame_free(&f);
    free(rgb);
}

static void finish(maker *m) {
    assert_int_equal(avcodec_send_frame(m->video, NULL), 0);
    drain(m, m->video, m->video_stream);
    if (m->sound) {
        assert_int_equal(avcodec_send_frame(m->sound, NULL), 0);
        drain(m, m->sound, m->sound_stream);
    }
    assert_int_equal(av_write_trailer(m->mux), 0);
    avio_closep(&m->mux->pb);
}

bool clip_make(const char *path, const clip_spec *spec) {
    maker m = {.spec = spec};
    av_log_set_level(AV_LOG_QUIET);
    if (avformat_alloc_output_context2(&m.mux, NULL, spec->container, path) < 0)
        return false;
    const bool there = open_video(&m) && open_sound(&m);
    if (there) {
        assert_true(avio_open(&m.mux->pb, path, AVIO_FLAG_WRITE) >= 0);
        assert_true(avformat_write_header(m.mux, NULL) >= 0);
        const double rate = spec->rate > 0 ? spec->rate : 30;
        for (int i = 0; i < spec->frames; i++) {
            add_video(&m, i);
            if (m.sound)
                add_sound(&m, (i + 1) / rate);
        }
        finish(&m);
    } else {
        printf("no encoder %s or %s here\n", spec->codec, spec->sound ? spec->sound : "");
    }
    sws_freeContext(m.sws);
    avcodec_free_context(&m.video);
    avcodec_free_context(&m.sound);
    avformat_free_context(m.mux);
    return there;
}

uint8_t *clip_load(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, f), *size);
    fclose(f);
    return data;
}

void clip_store(const char *path, const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}
