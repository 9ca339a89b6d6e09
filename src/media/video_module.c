/* libwilor_video's only symbol. The rest of the module is what a static libwilor_io has in itself: the files that
 * use FFmpeg, and those that they use. */
#include "video_module.h"

__attribute__((visibility("default"))) const wilor_module_head *wilor_video_get_table(void);

const wilor_module_head *wilor_video_get_table(void) {
    static const wilor_video_table table = {
        .head = {WILOR_VIDEO_ABI, sizeof table},
        .support = wilor_video_support,
        .open = wilor_video_ffmpeg_open,
        .open_bytes = wilor_video_ffmpeg_open_bytes,
        .writer_open = wilor_video_writer_open,
        .writer_add = wilor_video_writer_add,
        .writer_finish = wilor_video_writer_finish,
        .writer_discard = wilor_video_writer_discard,
    };
    return &table.head;
}
