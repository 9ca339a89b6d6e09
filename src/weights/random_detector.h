/* Detector weights by formula, for measuring and tests without files. */
#ifndef WILOR_RANDOM_DETECTOR_H
#define WILOR_RANDOM_DETECTOR_H

#include "tensor_index.h"

/* An index of kind DETECTOR under the checkpoint's names, canonical, of YOLOv8-pose with two
 * classes and 21 keypoints. name: "n", "s", "m" (the published widths and repeats), "nano"
 * (n's repeats, three quarters of its widths: models/nano's shapes) or "micro" (n's repeats, an
 * eighth of its widths, at least 8). The same bits on every machine; a large
 * network takes kilobytes here, its values are computed when they are read. Activations stay
 * of order 1 through the network, and on noise some anchors score above 0.3.
 *   errors   ERR_ARG: no such name; ERR_NOMEM */
wilor_status wilor_random_detector(wilor_index **out, const char *name, wilor_error *err);

#endif
