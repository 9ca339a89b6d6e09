/* All hands of a run as one glTF 2.0 file. */
#ifndef WILOR_CLI_WRITER_GLTF_H
#define WILOR_CLI_WRITER_GLTF_H

#include "cli_text.h"

typedef struct wilor_cli_gltf wilor_cli_gltf;

/* What a picture's nodes say of it. */
typedef struct wilor_cli_gltf_picture {
    const char *source, *stem; /* any bytes */
    int width, height;
    bool camera; /* whether the hands have a place in a picture (not so with crops) */
    bool camera_given;
} wilor_cli_gltf_picture;

/* A path that ends in .glb is written as GLB, any other as JSON. Vertices grow in an unnamed file beside `path`, the scene in memory (some 2 KB a hand);
 * nothing stands there before _finish. */
wilor_status wilor_cli_gltf_open(wilor_cli_gltf **out, const char *path, wilor_error *err);
/* A node for the picture, and in it one for its camera and for each hand that did not fail.
 * WILOR_ERR_LIMIT when the file would pass 4 GiB, which GLB cannot say: some 200 000 hands. */
wilor_status wilor_cli_gltf_append(wilor_cli_gltf *g, const wilor_cli_gltf_picture *picture,
                                   const wilor_model *model, const wilor_hands *hands,
                                   wilor_error *err);
wilor_status wilor_cli_gltf_finish(wilor_cli_gltf *g, const wilor_model *model,
                                   wilor_error *err);
void wilor_cli_gltf_free(wilor_cli_gltf **g); /* discards what is not finished */

#endif
