/* The command line of `wilor predict`, checked and converted. */
#ifndef WILOR_CLI_PREDICT_OPTIONS_H
#define WILOR_CLI_PREDICT_OPTIONS_H

#include "options.h"
#include "wilor/wilor.h"

/* --include */
enum {
    WILOR_CLI_MANO = 1,
    WILOR_CLI_XR26 = 2,
    WILOR_CLI_VERTICES = 4,
    WILOR_CLI_DET = 8,
    WILOR_CLI_GESTURE = 16,
    WILOR_CLI_ANGLES = 32
};

typedef struct wilor_cli_predict_options {
    const char **inputs; /* files, folders, patterns, "-" */
    size_t input_count;
    bool help;

    const char *weights, *mano, *mean, *detector;
    int heads, threads;
    wilor_dtype dtype;
    const char *device; /* NULL: the processor */
    int lanes;          /* 0: as many as threads */
    wilor_compat compat;
    bool full_path, offline, cache_packed;
    bool unasked_dtype, unasked_cache; /* defaults: another model may have others */
    const char *packed;                /* a file of convert --to packed */

    wilor_box *boxes;
    int box_count;
    bool crops;
    bool detect_too;   /* --detect */
    bool use_detector; /* the boxes, if any, do not stand for it */
    wilor_detect_options detect;
    int side; /* a wilor_side, or -1: as the boxes say */

    wilor_predict_options predict; /* without the camera, which depends on the picture's size */
    double fov;                    /* radians, horizontal; 0: not given */
    bool camera_given;             /* --intrinsics, --fov or --focal */
    bool distorted;
    const char *betas_path;
    uint64_t max_pixels;

    unsigned include;
    bool json;   /* else NDJSON … */
    bool binary; /* … or records */
    const char *out, *npz, *obj, *gltf, *overlay;
    bool expect_hands, quiet, resume;
} wilor_cli_predict_options;

/* argv are the words behind `predict`. WILOR_ERR_MISSING: a sound command line, but nothing to find
 * hands with. What o points at lives as long as they do, or until
 * wilor_cli_predict_options_free, which is due after errors too. */
wilor_status wilor_cli_predict_options_parse(wilor_cli_predict_options *o, int argc,
                                             char **argv, wilor_error *err);
void wilor_cli_predict_options_free(wilor_cli_predict_options *o);

/* The same for a command that takes a stream of pictures: without the options of single pictures, with
 * the ones of `own` beside them, which takes the operands, too; it names the command. dtype is AUTO and
 * packed weights are kept unless the command line says otherwise. */
wilor_status wilor_cli_stream_options_parse(wilor_cli_predict_options *o, wilor_cli_parser *own,
                                            int argc, char **argv, wilor_error *err);
/* Its options but own's. */
void wilor_cli_stream_options_help(FILE *to);

/* The camera and the rest for a picture of this size. betas: NULL, or 10 numbers. */
wilor_predict_options wilor_cli_predict_options_for(const wilor_cli_predict_options *o,
                                                    int width, int height, const float *betas);

void wilor_cli_predict_help(FILE *to);

#endif
