/* What a SOURCE text means: file, standard input, network stream, device or sequence of pictures.
 * Looks at the file system, opens nothing. */
#ifndef WILOR_VIDEO_SOURCE_H
#define WILOR_VIDEO_SOURCE_H

#include "status.h"
#include <stdbool.h>

typedef enum wilor_video_kind {
    WILOR_VIDEO_FILE = 0,
    WILOR_VIDEO_STDIN = 1,
    WILOR_VIDEO_URL = 2,
    WILOR_VIDEO_DEVICE = 3,
    WILOR_VIDEO_SEQUENCE = 4
} wilor_video_kind;

typedef struct wilor_video_source {
    wilor_video_kind kind;
    const char *target;    /* within the text: without its prefix */
    const char *device;    /* DEVICE: "v4l2", "dshow", "avfoundation", "lavfi"; constant */
    const char *protocols; /* URL: what FFmpeg may use for it, with commas; constant */
} wilor_video_source;

/* text must outlive *s. format: of wilor_video_options, or NULL. ERR_ARG: an empty text;
 * ERR_UNSUPPORTED: a protocol that is not known. */
wilor_status wilor_video_source_parse(wilor_video_source *s, const char *text,
                                      const char *format, wilor_error *err);

/* The last part of a name against a pattern of `*` (any characters) and `?` (one). */
bool wilor_video_glob(const char *pattern, const char *name);
/* "img-%04d.png": where the number stands. Exactly one %d or %0Nd and no other %. */
bool wilor_video_number_pattern(const char *name);
/* By its ending: one of those that wilor_image_read reads. */
bool wilor_video_picture_name(const char *name);

#endif
