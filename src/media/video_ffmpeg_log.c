/* FFmpeg's log, its error numbers as ours, and what this FFmpeg has.
 *
 * FFmpeg writes to stderr unless it is told otherwise, for the whole process. A library may not:
 * the first use installs a callback that keeps the newest warning of each thread, for our own
 * messages, and drops the rest. A program that uses FFmpeg itself may install its own afterwards. */
#include "video_ffmpeg.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 200 };

static _Thread_local char g_said[LINE];
static pthread_once_t g_once = PTHREAD_ONCE_INIT;
static char g_support[128];

int wilor_video_ffmpeg_buffer(AVCodecContext *decoder, AVFrame *frame, int flags) {
    return avcodec_default_get_buffer2(decoder, frame, flags);
}

static void count_complaint(void *context, int level) {
    if (level > AV_LOG_ERROR || !context ||
        *(const AVClass *const *)context != avcodec_get_class())
        return;
    const AVCodecContext *decoder = context;
    if (decoder->get_buffer2 == wilor_video_ffmpeg_buffer && decoder->opaque)
        atomic_fetch_add(&((wilor_video_ffmpeg *)decoder->opaque)->complaints, 1);
}

static void keep_line(void *context, int level, const char *format, va_list args) {
    if (level > AV_LOG_WARNING)
        return;
    count_complaint(context, level);
    char line[LINE - 4];
    vsnprintf(line, sizeof line, format, args);
    size_t n = strcspn(line, "\r\n");
    while (n && (line[n - 1] == ' ' || line[n - 1] == '.'))
        n--;
    line[n] = 0;
    /* Advice on FFmpeg's own options, and progress of a line already begun, say nothing here. */
    if (n && !strstr(line, "-analyzeduration") && !strstr(line, "probesize"))
        snprintf(g_said, sizeof g_said, " (%s)", line);
}

static bool has_encoder(const char *name) { return avcodec_find_encoder_by_name(name) != NULL; }

static void add_word(const char *word) {
    const size_t at = strlen(g_support);
    snprintf(g_support + at, sizeof g_support - at, " %s", word);
}

static void init(void) {
    av_log_set_callback(keep_line);
    avformat_network_init();
}

static void find_support(void) {
    static const char *const devices[] = {"v4l2", "dshow", "avfoundation", "lavfi"};
    wilor_video_ffmpeg_devices();
    snprintf(g_support, sizeof g_support, "sequence file stdin url");
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (av_find_input_format(devices[i]))
            add_word(devices[i]);
    if (has_encoder("libx264") || has_encoder("libopenh264") ||
        has_encoder("h264_videotoolbox"))
        add_word("write-h264");
    else if (has_encoder("mpeg4"))
        add_word("write-mpeg4");
}

void wilor_video_ffmpeg_init(void) { pthread_once(&g_once, init); }

const char *wilor_video_support(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    wilor_video_ffmpeg_init();
    pthread_once(&once, find_support);
    return g_support;
}

void wilor_video_ffmpeg_hush(void) { g_said[0] = 0; }

const char *wilor_video_ffmpeg_said(void) { return g_said; }

wilor_status wilor_video_ffmpeg_status(int code) {
    switch (code) {
    case AVERROR(ENOMEM):
        return WILOR_ERR_NOMEM;
    case AVERROR_INVALIDDATA:
    case AVERROR(EINVAL):
    case AVERROR_EOF:
        return WILOR_ERR_FORMAT;
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_DEMUXER_NOT_FOUND:
    case AVERROR_ENCODER_NOT_FOUND:
    case AVERROR_PROTOCOL_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
        return WILOR_ERR_UNSUPPORTED;
    case AVERROR_OPTION_NOT_FOUND:
        return WILOR_ERR_ARG;
    default:
        return WILOR_ERR_IO;
    }
}

wilor_status wilor_video_ffmpeg_fail(const char *name, const char *what, int code,
                                     wilor_error *err) {
    wilor_quoted q;
    char reason[96];
    av_strerror(code, reason, sizeof reason);
    return wilor_error_set(err, wilor_video_ffmpeg_status(code), "%s: %s: %s%s",
                           wilor_quote(&q, name), what, reason, g_said);
}
