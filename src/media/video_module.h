/* The table of functions that libwilor_video, which holds all that uses FFmpeg, gives to libwilor_io. Both have
 * video_impl.h's structures, which are no interface: a module goes with the library of its own version alone. */
#ifndef WILOR_VIDEO_MODULE_H
#define WILOR_VIDEO_MODULE_H

#include "module.h"
#include "video_impl.h"

enum { WILOR_VIDEO_ABI = WILOR_MODULE_ABI(1) };

#define WILOR_VIDEO_ENTRY "wilor_video_get_table"

/* The functions of those names, with `open` and `open_bytes` for wilor_video_ffmpeg_open and …_bytes. */
typedef struct wilor_video_table {
    wilor_module_head head;
    const char *(*support)(void);
    wilor_status (*open)(wilor_video *v, wilor_error *err);
    wilor_status (*open_bytes)(wilor_video *v, wilor_video_bytes bytes, wilor_error *err);
    wilor_status (*writer_open)(wilor_video_writer **out, const char *path, int width,
                                int height, const wilor_video_writer_options *o,
                                wilor_error *err);
    wilor_status (*writer_add)(wilor_video_writer *writer, const wilor_picture *picture,
                               int64_t time, wilor_error *err);
    wilor_status (*writer_finish)(wilor_video_writer **writer, int64_t end, wilor_error *err);
    void (*writer_discard)(wilor_video_writer **writer);
} wilor_video_table;

#endif
