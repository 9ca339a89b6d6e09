/* The pictures of an MJPEG stream, each as soon as its last byte is there. FFmpeg's parser sees the end of
 * one when the next begins, which on a camera's pipe is a frame of delay. */
#ifndef WILOR_VIDEO_JPEGS_H
#define WILOR_VIDEO_JPEGS_H

#include <libavcodec/packet.h>
#include <libavformat/avio.h>

typedef struct wilor_video_jpegs {
    uint8_t *data; /* from a picture's begin on, once one is found */
    size_t room, used;
    size_t at; /* scanned so far */
    int state;
    int end; /* the stream's: 0, or FFmpeg's error */
} wilor_video_jpegs;

/* The next picture, whole or cut off by another or by the stream's end, in packet. 0, or FFmpeg's error:
 * AVERROR_EOF at the end, AVERROR(ENOMEM), AVERROR_INVALIDDATA for one of more than 64 MB, which is
 * skipped. Memory: grows to the largest picture and what comes with it. */
int wilor_video_jpegs_next(wilor_video_jpegs *j, AVIOContext *io, AVPacket *packet);
void wilor_video_jpegs_fini(wilor_video_jpegs *j); /* a zeroed one is fine */

#endif
