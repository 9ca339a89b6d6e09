/* What the files of the video reader share. Internal. */
#ifndef WILOR_VIDEO_IMPL_H
#define WILOR_VIDEO_IMPL_H

#include "status.h"
#include "video_clock.h"
#include "video_source.h"
#include "wilor/wilor_io.h"
#include <stdatomic.h>
#include <stdbool.h>

/* One frame as a backend gives it. The pixels live until its next call. */
typedef struct wilor_video_raw {
    wilor_picture picture; /* RGB8; data NULL at the end */
    int rotation;          /* that was applied, for wilor_video_info */
    int64_t time;          /* ns on the source's clock, or WILOR_VIDEO_NO_TIME */
    int64_t arrival;       /* CLOCK_MONOTONIC, ns */
    int64_t capture;       /* the driver's, or 0 */
    bool key;
} wilor_video_raw;

typedef struct wilor_video_backend {
    wilor_status (*next)(void *self, wilor_video_raw *raw, wilor_error *err);
    bool (*rewind)(void *self); /* false: cannot */
    void (*close)(void *self);
} wilor_video_backend;

/* Where the time goes and how the picture is interrupted. */
struct wilor_video {
    atomic_int stopped;
    wilor_video_options o; /* every default put in; its texts are ours */
    char *name;            /* the source's text */
    wilor_video_source source;
    const wilor_video_backend *backend;
    void *self;
    wilor_video_info info;
    wilor_video_clock clock;
    const void *here; /* whose call is running: cancel is asked on that thread only */
    int64_t deadline; /* CLOCK_MONOTONIC ns, 0: none */
    bool no_times;    /* the source has no times by its nature: giving some is no repair */
    bool told_times;  /* of repaired times, once */
    bool cancelled;   /* the callback said so */
    uint64_t since_rewind;
};

/* Backends. On error *self is untouched. They set info, clock.step, no_times. */
wilor_status wilor_video_sequence_open(wilor_video *v, wilor_error *err);
wilor_status wilor_video_ffmpeg_open(wilor_video *v, wilor_error *err);

/* Whether that backend, which needs no FFmpeg, reads it: raw RGB or BGR on a standard input that is no file. */
bool wilor_video_raw_takes(const wilor_video *v);
wilor_status wilor_video_raw_open(wilor_video *v, wilor_error *err);

/* For the fuzz harness and tests: a file's bytes from memory, kept by the caller. */
wilor_status wilor_video_open_memory(wilor_video **out, const void *data, size_t size,
                                     const char *name, const wilor_video_options *o,
                                     wilor_error *err);

/* The bytes of the running wilor_video_open_memory, for the backend; size 0 and NULL else. */
typedef struct wilor_video_bytes {
    const uint8_t *data;
    size_t size;
} wilor_video_bytes;

wilor_status wilor_video_ffmpeg_open_bytes(wilor_video *v, wilor_video_bytes bytes,
                                           wilor_error *err);

/* Now, and a deadline so many seconds from now: 0 for negative ones. */
int64_t wilor_video_now(void);
int64_t wilor_video_deadline(double seconds);
/* Stopped, cancelled, or the deadline has passed. Any thread. */
bool wilor_video_interrupted(wilor_video *v);
/* Why: ERR_CANCELLED, or ERR_IO with `late`, e.g. "no frame". */
wilor_status wilor_video_interruption(const wilor_video *v, const char *late, double seconds,
                                      wilor_error *err);

/* Until something can be read, or the other end is closed. FAILED: errno says why. Not on Windows. */
typedef enum wilor_video_wait {
    WILOR_VIDEO_WAIT_READY,
    WILOR_VIDEO_WAIT_STOPPED, /* wilor_video_interrupted */
    WILOR_VIDEO_WAIT_FAILED
} wilor_video_wait;

wilor_video_wait wilor_video_wait_readable(wilor_video *v, int fd);

void wilor_video_log(const wilor_video *v, wilor_log_level level, const char *format, ...)
    WILOR_PRINTF(3, 4);
/* Count one damaged thing at a time of the source (ns from its start), and tell of the first ten,
 * then of the 16th, 32nd, 64th … */
void wilor_video_damaged(wilor_video *v, int64_t time, const char *what);

/* Option structs across versions, as in src/api/options.c. */
wilor_status wilor_video_options_read(void *own, size_t own_size, const void *theirs,
                                      const char *what, wilor_error *err);
void wilor_video_defaults_write(void *theirs, size_t size, void *own, size_t own_size);

#endif
