/* The command line of `wilor live`, checked and converted; what concerns tracking is `wilor serve`'s, too. */
#ifndef WILOR_CLI_LIVE_OPTIONS_H
#define WILOR_CLI_LIVE_OPTIONS_H

#include "predict_options.h"

/* How frames become events. */
typedef struct wilor_cli_tracking_options {
    bool track, skip_empty;
    double smooth, hold; /* 0 … 1; seconds */
    int detect_every;    /* 0: adapts */
} wilor_cli_tracking_options;

/* Where frames come from. */
typedef struct wilor_cli_source_options {
    const char *source; /* NULL: none */
    const char *format, *pixel_format, *extra;
    int width, height;
    double
        fps; /* of a camera: to be asked for; at most so many frames of a live source are looked at */
    bool realtime, loop;
} wilor_cli_source_options;

typedef struct wilor_cli_live_options {
    wilor_cli_predict_options p;
    wilor_cli_tracking_options tracking;
    wilor_cli_source_options source;
    const char *stream; /* the events' name of it */
    const char *out, *npz, *gltf, *bvh, *overlay, *osc, *shm, *extrinsics;
    bool bin;       /* else NDJSON */
    bool two_sided; /* smooth at the end, from both sides */
} wilor_cli_live_options;

/* One option of the two groups that serve shares. */
wilor_status wilor_cli_shared_option(wilor_cli_tracking_options *t, wilor_cli_source_options *s,
                                     const wilor_cli_option *o, const char *value,
                                     wilor_error *err);

enum {
    WILOR_CLI_ID_FPS,
    WILOR_CLI_ID_SIZE,
    WILOR_CLI_ID_FORMAT,
    WILOR_CLI_ID_PIXEL_FORMAT,
    WILOR_CLI_ID_SOURCE_OPTIONS,
    WILOR_CLI_ID_LOOP,
    WILOR_CLI_ID_REALTIME,
    WILOR_CLI_ID_TRACK,
    WILOR_CLI_ID_NO_TRACK,
    WILOR_CLI_ID_SMOOTH,
    WILOR_CLI_ID_HOLD,
    WILOR_CLI_ID_SKIP_EMPTY,
    WILOR_CLI_ID_DETECT_EVERY,
    WILOR_CLI_SHARED_IDS /* a table's own begin here */
};

/* Table entries of the shared options. */
#define WILOR_CLI_SHARED_OPTIONS                                                               \
    {"--fps",                                                                                  \
     "N",                                                                                      \
     "at most N frames a second of a live source; a camera is asked for it",                   \
     WILOR_CLI_ID_FPS,                                                                         \
     0,                                                                                        \
     NULL},                                                                                    \
        {"--size",          "WxH", "a camera's frames, to be asked for; raw frames: theirs",   \
         WILOR_CLI_ID_SIZE, 0,     NULL},                                                      \
        {"--format",                                                                           \
         "NAME",                                                                               \
         "the source is this device (v4l2, lavfi …) or format (rawvideo, mjpeg …)",            \
         WILOR_CLI_ID_FORMAT,                                                                  \
         0,                                                                                    \
         NULL},                                                                                \
        {"--pixel-format",                                                                     \
         "NAME",                                                                               \
         "of raw frames (rgb24, bgr24, nv12 …) or a camera (mjpeg)",                           \
         WILOR_CLI_ID_PIXEL_FORMAT,                                                            \
         0,                                                                                    \
         NULL},                                                                                \
        {"--source-options",                                                                   \
         "K=V:K=V",                                                                            \
         "for FFmpeg's device or demuxer: rtsp_transport=udp",                                 \
         WILOR_CLI_ID_SOURCE_OPTIONS,                                                          \
         0,                                                                                    \
         NULL},                                                                                \
        {"--loop", NULL, "begin a file again at its end", WILOR_CLI_ID_LOOP, 0, NULL},         \
        {"--realtime",                                                                         \
         NULL,                                                                                 \
         "a file at its own pace, frames that come too early dropped",                         \
         WILOR_CLI_ID_REALTIME,                                                                \
         0,                                                                                    \
         NULL},                                                                                \
        {"--track",          NULL, "follow hands from frame to frame: the default",            \
         WILOR_CLI_ID_TRACK, 0,    NULL},                                                      \
        {"--no-track",          NULL, "every frame stands alone, with the detector on each",   \
         WILOR_CLI_ID_NO_TRACK, 0,    NULL},                                                   \
        {"--smooth",          "0..1", "how calm hands are made; 0.5, 0: as they are",          \
         WILOR_CLI_ID_SMOOTH, 0,      NULL},                                                   \
        {"--hold",          "MS", "give a hand that is not seen for so long, predicted; 0",    \
         WILOR_CLI_ID_HOLD, 0,    NULL},                                                       \
        {"--skip-empty", NULL, "no events without hands", WILOR_CLI_ID_SKIP_EMPTY, 0, NULL}, { \
        "--detect-every", "N",                                                                 \
            "run the detector on every Nth frame when all hands are known; 5, nano 15",        \
            WILOR_CLI_ID_DETECT_EVERY, 0, NULL                                                 \
    }

/* The operand that names the source: there is one at most. */
wilor_status wilor_cli_shared_source(wilor_cli_source_options *s, const char *text,
                                     wilor_error *err);
/* Shared options that do not go together; seen: of the table that has them. */
wilor_status wilor_cli_shared_check(uint64_t seen, wilor_error *err);

void wilor_cli_shared_defaults(wilor_cli_tracking_options *t, wilor_cli_source_options *s);

/* argv are the words behind `live`. As wilor_cli_predict_options_parse; free o->p after it. */
wilor_status wilor_cli_live_options_parse(wilor_cli_live_options *o, int argc, char **argv,
                                          wilor_error *err);
void wilor_cli_live_help(FILE *to);

#endif
