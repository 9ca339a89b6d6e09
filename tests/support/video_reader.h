/* Opening and reading videos in tests, and what the reader says meanwhile. Static, as scratch_folder.h. */
#ifndef WILOR_TEST_VIDEO_READER_H
#define WILOR_TEST_VIDEO_READER_H

#include "wilor/wilor_io.h"
#include <cmocka.h>
#include <stdio.h>

typedef struct heard {
    int lines;
    char last[512];
} heard;

static inline void hear(void *user, wilor_log_level level, const char *text) {
    heard *h = user;
    (void)level;
    h->lines++;
    snprintf(h->last, sizeof h->last, "%s", text);
}

/* h: NULL, or who hears. */
static inline wilor_video_options reader_options(heard *h) {
    wilor_video_options o;
    wilor_video_options_init(&o, sizeof o);
    o.callbacks.user = h;
    o.callbacks.log = h ? hear : NULL;
    return o;
}

static inline wilor_video *must_open_video(const char *source, const wilor_video_options *o) {
    wilor_video *v = NULL;
    wilor_error err;
    if (wilor_video_open(&v, source, o, &err) != WILOR_OK)
        fail_msg("%s: %s", source, err.text);
    return v;
}

static inline wilor_video_frame must_read(wilor_video *v) {
    wilor_video_frame f;
    wilor_error err;
    if (wilor_video_read(v, &f, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return f;
}

#endif
