/* A run of `wilor predict`: what its lanes share, and what a picture becomes in one. */
#ifndef WILOR_CLI_PREDICT_RUN_H
#define WILOR_CLI_PREDICT_RUN_H

#include "event_json.h"
#include "event_out.h"
#include "model_open.h"
#include "predict_options.h"
#include "report.h"
#include "resume_file.h"
#include "writer_gltf.h"
#include "writer_npz.h"

typedef struct wilor_cli_run {
    wilor_cli_predict_options o;
    wilor_cli_report report;
    wilor_cli_sources sources;
    wilor_cli_event_out out;
    wilor_cli_resumed resumed;
    wilor_cli_npz *npz;
    wilor_cli_gltf *gltf;
    wilor_cli_opened opened;
    wilor_pipeline **pipelines; /* one a lane */
    int lanes;
    float betas[10];
    wilor_cli_progress progress;
    size_t failed;    /* pictures, or things to be made from them */
    size_t hands;     /* that did not fail */
    size_t looked_at; /* pictures that could be read … */
    size_t without;   /* … and have no hand */
    wilor_status st;  /* what ended the run, if anything did */
    wilor_error err;
} wilor_cli_run;

/* What a lane makes of a picture; zeroed: nothing, an earlier run has its event. */
typedef struct wilor_cli_outcome {
    char *event;        /* text or record; NULL when the picture failed */
    size_t event_size;  /* of a record */
    char first[600];    /* error: needs no memory, for there may be none; "" for none */
    char *messages;     /* further ones, a line each; NULL for none */
    bool unsaid;        /* there was no memory for one of those */
    size_t failed;      /* of this picture: itself, or things to be made from it */
    size_t hands;       /* that did not fail */
    bool looked_at;     /* it could be read … */
    bool without;       /* … and has no hand */
    wilor_hands *copy;  /* for files of the whole run */
    int width, height;  /* with copy */
    wilor_status fatal; /* something that concerns all pictures … */
    wilor_error err;    /* … and what */
} wilor_cli_outcome;

/* For wilor_cli_lanes: user is the run, slot an outcome. */
void wilor_cli_picture_work(void *user, int lane, size_t item, void *slot);
void wilor_cli_picture_drop(void *user, void *slot);

#endif
