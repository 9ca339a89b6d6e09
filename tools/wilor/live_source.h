/* From a video source to the engine: `wilor live`, and `wilor serve SOURCE`. */
#ifndef WILOR_CLI_LIVE_SOURCE_H
#define WILOR_CLI_LIVE_SOURCE_H

#include "live_engine.h"
#include "live_options.h"
#include "wilor/wilor_io.h"

typedef struct wilor_cli_live_source {
    const wilor_cli_source_options *o;
    wilor_cli_engine *engine;
    uint64_t max_pixels;
    int threads; /* --threads; 1: decoding has one, too, and half the frames and arenas */
    /* Asked often: non-zero ends it. */
    int (*stop)(void *user);
    /* "opened", "lost"; detail: a line for people, or NULL. */
    void (*status)(void *user, const char *status, const char *detail);
    /* After each frame: how many were given, of how many (0: unknown). */
    void (*progress)(void *user, uint64_t done, uint64_t total);
    void (*note)(void *user, const char *text); /* a line on what was repaired or changed */
    void *user;
    wilor_video_info info; /* out: of the source, as it was at the last frame */
} wilor_cli_live_source;

/* Whether a source is a file, all of whose frames are wanted. It is opened for that. */
wilor_status wilor_cli_live_source_open(wilor_cli_live_source *s, wilor_video **video,
                                        wilor_error *err);

/* Give frames until the source ends (WILOR_OK), `stop` says so (ERR_CANCELLED) or it fails. A live source
 * that is lost is opened again, once a second, for as long as it takes. *video: opened; NULL afterwards. */
wilor_status wilor_cli_live_source_run(wilor_cli_live_source *s, wilor_video **video,
                                       wilor_error *err);

#endif
