/* What the files of the video writer share. Internal. */
#ifndef WILOR_VIDEO_WRITER_H
#define WILOR_VIDEO_WRITER_H

#include "out_file.h"
#include "video_ffmpeg.h"

/* Pictures into frames for an encoder. Zero it before use. */
typedef struct wilor_video_canvas {
    int width, height, format; /* of the frames; AVPixelFormat */
    struct SwsContext *sws;
    int from_width, from_height, from_format; /* that sws was made for */
    int x, y, w, h;                           /* where such a picture goes */
    uint8_t *rgb;                             /* a grey picture's */
    size_t rgb_room;
} wilor_video_canvas;

/* Draw a checked picture into frame, whose buffers are there and writable. */
wilor_status wilor_video_canvas_draw(wilor_video_canvas *c, AVFrame *frame,
                                     const wilor_picture *picture, wilor_error *err);
void wilor_video_canvas_fini(wilor_video_canvas *c);
/* Matrix and range of what is written in that format. */
void wilor_video_canvas_colours(int format, int *space, int *range);

/* The sound of a file, packet by packet. Zero it before use. */
typedef struct wilor_video_sound {
    wilor_video *source;
    AVStream *in, *out; /* NULL: no sound */
    AVPacket *packet;   /* read, not yet written, when `pending` */
    bool pending, done;
    int64_t start; /* in in->time_base: its time 0 */
    int64_t last;  /* the last dts written, in out->time_base */
} wilor_video_sound;

/* Open o->audio and add a stream for it to mux, before the header is written. No sound in it, or
 * none that the container holds: WILOR_OK and out NULL. */
wilor_status wilor_video_sound_open(wilor_video_sound *s, AVFormatContext *mux,
                                    const wilor_video_writer_options *o, wilor_error *err);
/* Write what begins before `time` (ns of the video written). code: what the muxer said. */
wilor_status wilor_video_sound_until(wilor_video_sound *s, AVFormatContext *mux, int64_t time,
                                     int *code, wilor_error *err);
void wilor_video_sound_close(wilor_video_sound *s);

#endif
