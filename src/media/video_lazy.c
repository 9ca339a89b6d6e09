/* Videos in a libwilor_io that loads FFmpeg when one is opened. FFmpeg's libraries draw in a hundred others, whose
 * loading takes longer than a small model's first result and more memory than its weights; most runs open no video.
 * So what uses them is the module libwilor_video, and these are the calls into it. */
#include "video_module.h"

static wilor_status load(const wilor_video_table **out, const char *name, wilor_error *err) {
    static wilor_module module = {.file = "libwilor_video.so.0",
                                  .variable = "WILOR_VIDEO_MODULE",
                                  .entry = WILOR_VIDEO_ENTRY,
                                  .abi = WILOR_VIDEO_ABI,
                                  .size = sizeof **out};
    const wilor_module_head *head;
    wilor_error why;
    wilor_quoted q;
    wilor_status st = wilor_module_once(&head, &module, &why);
    *out = (const wilor_video_table *)head; /* its first member */
    if (st != WILOR_OK)
        wilor_error_set(err, st,
                        "%s: videos, cameras and streams need the module %s and FFmpeg's "
                        "libraries; install both: it %s",
                        wilor_quote(&q, name), module.file, why.text);
    return st;
}

const char *wilor_video_support(void) {
    const wilor_video_table *t;
    return load(&t, "", NULL) == WILOR_OK ? t->support() : "sequence";
}

wilor_status wilor_video_ffmpeg_open(wilor_video *v, wilor_error *err) {
    const wilor_video_table *t;
    wilor_status st = load(&t, v->name, err);
    return st == WILOR_OK ? t->open(v, err) : st;
}

wilor_status wilor_video_ffmpeg_open_bytes(wilor_video *v, wilor_video_bytes bytes,
                                           wilor_error *err) {
    const wilor_video_table *t;
    wilor_status st = load(&t, v->name, err);
    return st == WILOR_OK ? t->open_bytes(v, bytes, err) : st;
}

wilor_status wilor_video_writer_open(wilor_video_writer **out, const char *path, int width,
                                     int height, const wilor_video_writer_options *o,
                                     wilor_error *err) {
    const wilor_video_table *t;
    if (out)
        *out = NULL;
    wilor_status st = load(&t, path ? path : "", err);
    return st == WILOR_OK ? t->writer_open(out, path, width, height, o, err) : st;
}

wilor_status wilor_video_writer_add(wilor_video_writer *writer, const wilor_picture *picture,
                                    int64_t time, wilor_error *err) {
    const wilor_video_table *t;
    wilor_status st = load(&t, "", err);
    return st == WILOR_OK ? t->writer_add(writer, picture, time, err) : st;
}

wilor_status wilor_video_writer_finish(wilor_video_writer **writer, int64_t end,
                                       wilor_error *err) {
    const wilor_video_table *t;
    wilor_status st = load(&t, "", err);
    return st == WILOR_OK ? t->writer_finish(writer, end, err) : st;
}

void wilor_video_writer_discard(wilor_video_writer **writer) {
    const wilor_video_table *t;
    if (writer && *writer && load(&t, "", NULL) == WILOR_OK)
        t->writer_discard(writer);
}
