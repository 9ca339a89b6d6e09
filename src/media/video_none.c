/* Videos in a build without FFmpeg: sequences of pictures and raw RGB frames are read, all else says so. */
#include "video_impl.h"

const char *wilor_video_support(void) { return "sequence"; }

static wilor_status none(const char *name, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(
        err, WILOR_ERR_UNSUPPORTED,
        "%s: this build has no FFmpeg: it reads sequences of pictures (a "
        "folder, img-%%04d.png, \"img-*.png\") and raw RGB frames on the standard "
        "input, but no videos, cameras or streams, and writes no videos",
        wilor_quote(&q, name));
}

wilor_status wilor_video_ffmpeg_open(wilor_video *v, wilor_error *err) {
    return none(v->name, err);
}

wilor_status wilor_video_ffmpeg_open_bytes(wilor_video *v, wilor_video_bytes bytes,
                                           wilor_error *err) {
    (void)bytes;
    return none(v->name, err);
}

wilor_status wilor_video_writer_open(wilor_video_writer **out, const char *path, int width,
                                     int height, const wilor_video_writer_options *o,
                                     wilor_error *err) {
    (void)width;
    (void)height;
    (void)o;
    if (out)
        *out = NULL;
    return none(path ? path : "", err);
}

wilor_status wilor_video_writer_add(wilor_video_writer *writer, const wilor_picture *picture,
                                    int64_t time, wilor_error *err) {
    (void)writer;
    (void)picture;
    (void)time;
    return none("", err);
}

wilor_status wilor_video_writer_finish(wilor_video_writer **writer, int64_t end,
                                       wilor_error *err) {
    (void)writer;
    (void)end;
    return none("", err);
}

void wilor_video_writer_discard(wilor_video_writer **writer) { (void)writer; }
