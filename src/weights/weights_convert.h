/* A network's weights as a safetensors file of another layout or type, tensor by tensor: memory is
 * a few times the largest tensor, whatever the file's size. docs/formats.md describes the
 * files. */
#ifndef WILOR_WEIGHTS_CONVERT_H
#define WILOR_WEIGHTS_CONVERT_H

#include "safetensors_write.h"

typedef struct wilor_convert_job {
    const wilor_index *source; /* canonical */
    const char *source_sha256; /* of its file; NULL: it has none */
    bool mlx;                  /* wilor-mlx's names and layouts, else the checkpoint's */
    wilor_weights_dtype dtype;
    int group_size; /* of INT4, and of INT8 with mlx */
    int heads;      /* 0: as the source says, else width / 80, else left out */
    bool with_mano;
} wilor_convert_job;

/* w: write, user and callbacks are set. Errors: ERR_MODEL for a source that is not the network, or
 * whose numbers the type cannot hold; ERR_MISSING for tensors that may stand in other files
 * (init_*, mano.*); ERR_ARG for a group size that does not divide a matrix. */
wilor_status wilor_convert_run(const wilor_convert_job *job, wilor_safetensors_writer *w,
                               wilor_error *err);

#endif
