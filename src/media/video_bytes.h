/* Bytes for FFmpeg's demuxers, without any of its protocols: a file, a pipe, or memory. */
#ifndef WILOR_VIDEO_BYTES_H
#define WILOR_VIDEO_BYTES_H

#include "video_impl.h"
#include <libavformat/avformat.h>

typedef struct wilor_video_input {
    wilor_video *v;
    AVIOContext *io;
    int fd;
    bool owned;               /* to be closed */
    bool waits;               /* a pipe or a device: bytes come when they come */
    wilor_video_bytes memory; /* in place of fd, when data is set */
    size_t at;
    bool got; /* any bytes came */
} wilor_video_input;

/* path NULL: standard input. *in is zeroed on error. */
wilor_status wilor_video_input_open(wilor_video_input *in, wilor_video *v, const char *path,
                                    wilor_error *err);
wilor_status wilor_video_input_memory(wilor_video_input *in, wilor_video *v,
                                      wilor_video_bytes bytes, wilor_error *err);
void wilor_video_input_close(wilor_video_input *in); /* a zeroed one is fine */

#endif
