/* What a take has recorded, for the writers of its files. */
#ifndef WILOR_CLI_TAKE_TRACKS_H
#define WILOR_CLI_TAKE_TRACKS_H

#include "hand_math.h"
#include "live_event.h"
#include "temp_file.h"

/* A hand in a frame. MANO's axes and numbering. */
typedef struct wilor_cli_take_frame {
    double t;                       /* seconds from the take's beginning */
    float place[3];                 /* of the wrist in the camera's frame */
    float turn[WILOR_CLI_BONES][4]; /* x y z w: the wrist's, then relative to the parent */
} wilor_cli_take_frame;

/* A hand from its beginning to its end. */
typedef struct wilor_cli_track {
    uint32_t id;
    wilor_side side;
    float betas[10]; /* the mean of its frames */
    size_t count;    /* at least 1; times grow from frame to frame */
    double first, last;
    uint32_t *places; /* of its frames in the spool; the take's */
    size_t room;
    double sums[10];
} wilor_cli_track;

typedef struct wilor_cli_tracks {
    const wilor_model *model;
    wilor_cli_track *list;
    size_t count;
    double end;  /* seconds */
    FILE *spool; /* of frames */
} wilor_cli_tracks;

/* Frame i of a track. False: the temporary file cannot be read. */
bool wilor_cli_track_frame(const wilor_cli_tracks *t, const wilor_cli_track *track, size_t i,
                           wilor_cli_take_frame *out);

/* All tracks as one GLB into `to`; `path` is for messages. */
wilor_status wilor_cli_take_gltf(const wilor_cli_tracks *t, FILE *to, const char *path,
                                 wilor_error *err);
/* A track as BVH. */
wilor_status wilor_cli_take_bvh(const wilor_cli_tracks *t, const wilor_cli_track *track,
                                FILE *to, const char *path, wilor_error *err);

#endif
