/* The detector's arithmetic beside a model's. */
#ifndef WILOR_CLI_DETECTOR_DTYPE_H
#define WILOR_CLI_DETECTOR_DTYPE_H

#include "wilor/wilor.h"

#include <stdbool.h>

/* Of --device's names: a card's, or MLX's. */
bool wilor_cli_is_own_device(const char *device);

/* Open a detector beside a model of --dtype, other options filled in: with f32 and f32x in float32; with
 * bf16 in bfloat16 where the processor's tier has that for detectors; with auto, int8 and int4 where it is
 * quick. On a card, in the model's. */
wilor_status wilor_cli_open_detector(wilor_detector **out, wilor_detector_options *o,
                                     wilor_dtype model, wilor_error *err);

#endif
