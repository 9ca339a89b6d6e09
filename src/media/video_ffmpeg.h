/* What the files that use FFmpeg share. Written for FFmpeg 5.1, with what changed up to 7. */
#ifndef WILOR_VIDEO_FFMPEG_H
#define WILOR_VIDEO_FFMPEG_H

#include "video_bytes.h"
#include "video_convert.h"
#include "video_impl.h"
#include "video_jpegs.h"
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

typedef struct wilor_video_ffmpeg {
    wilor_video *v;
    wilor_video_input input; /* FILE and STDIN */
    wilor_video_jpegs jpegs; /* of an MJPEG stream on a pipe, in place of the demuxer */
    bool cuts_jpegs;
    AVFormatContext *demux;
    char container[32]; /* the first of the demuxer's names */
    AVCodecContext *decoder;
    AVStream *stream;
    AVPacket *packet;
    AVFrame *frame;
    wilor_video_convert convert;
    int64_t arrival;       /* of the newest packet */
    int64_t newest;        /* its time from the start, ns, for messages */
    int orientation;       /* of the whole stream */
    bool driver_times;     /* they may be the driver's, on CLOCK_MONOTONIC */
    bool arrival_times;    /* a network stream without times: when its frames came */
    int failures;          /* reads in a row that gave nothing */
    atomic_int complaints; /* an MJPEG decoder's errors in FFmpeg's log */
} wilor_video_ffmpeg;

/* Process-wide settings: once. */
void wilor_video_ffmpeg_init(void);
/* Make its devices known: due before one is looked for. "", or why there are none: ": reason". */
const char *wilor_video_ffmpeg_devices(void);
/* FFmpeg's MJPEG decoder tells of damage in its log alone. Ours has this as get_buffer2 and its
 * wilor_video_ffmpeg as opaque, so that the log's callback knows whose errors it hears; it does what
 * FFmpeg's default does, and has one thread, so that an error belongs to the frame that follows. */
int wilor_video_ffmpeg_buffer(AVCodecContext *decoder, AVFrame *frame, int flags);
/* FFmpeg's newest warning or error on this thread since wilor_video_ffmpeg_hush, in brackets with a
 * space before, or "". */
void wilor_video_ffmpeg_hush(void);
const char *wilor_video_ffmpeg_said(void);

/* A status for an error number of FFmpeg's. */
wilor_status wilor_video_ffmpeg_status(int code);
/* "…: what: reason (FFmpeg's last line)". */
wilor_status wilor_video_ffmpeg_fail(const char *name, const char *what, int code,
                                     wilor_error *err);

/* The backend's reading half. */
wilor_status wilor_video_ffmpeg_next(void *self, wilor_video_raw *raw, wilor_error *err);
bool wilor_video_ffmpeg_rewind(void *self);

#endif
