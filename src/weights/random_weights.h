/* Deterministic weights for tests, benchmarks and the demo: no file, same bits on every
 * machine.
 *
 * Element i of the tensor NAME is, in arithmetic modulo 2^64,
 *     key = fnv1a64(NAME) ^ (seed × G),  G = 0x9E3779B97F4A7C15
 *     z   = splitmix64's mix of key + (i + 1) × G
 *     n   = float(sum of the four 16-bit fields of z − 131070) × 2.6428997e-05f
 *     w   = n × std + mean, two roundings to float
 * so n is nearly normal with variance 1, and |n| <= 3.47. Names are the checkpoint's. A few
 * biases are then moved, see wilor_random_tensor_fill. tests/unit/test_random_weights.c holds
 * the sums of all tensors of the reference models. */
#ifndef WILOR_RANDOM_WEIGHTS_H
#define WILOR_RANDOM_WEIGHTS_H

#include "status.h"
#include "tensor_index.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Elements first … first + count - 1 of the tensor `name`, by the formula alone. */
void wilor_random_fill(const char *name, uint64_t seed, float std, float mean, size_t first,
                       size_t count, float *dst);

/* A whole network made by the formula. */
typedef struct wilor_random_model {
    int width; /* D: a multiple of 8, 16 … 4096 */
    int depth; /* L: blocks, 1 … 256 */
    int heads; /* divides the width; only handed through, as the metadata "heads" */
    uint64_t seed;
    float camera[3]; /* added to the camera decoder's bias; keeps the hand before the camera */
    bool mean_pose;  /* the decoders are zero (but for camera) and init_* are the hand's own:
                        whatever the picture shows, the result is the hand's mean pose exactly,
                        and pred_cam is its init_cam + camera */
} wilor_random_model;

/* NAME of "random:NAME", which stands for weights by formula where a path could; NULL for a path. */
const char *wilor_random_name(const char *path);

/* "tiny" (D 64, L 3, 4 heads), "hd80" (160, 2, 2), "full" (1280, 32, 16), all with seed 1: the
 * reference models; "nano" (192, 6, 3): the shapes of the free model in models/nano, for measuring
 * and for tests; "demo": tiny with mean_pose and the camera of demo/hands.png. False: no such
 * name. */
bool wilor_random_model_named(wilor_random_model *out, const char *name);

/* One learned tensor of such a network. */
typedef struct wilor_random_spec {
    char name[64];
    int rank;
    int64_t shape[4];
    float std, mean;
} wilor_random_spec;

/* Number of learned tensors, and the i-th in the reference checkpoint's order. Without the
 * three init_* (not learned) and num_batches_tracked (nobody reads it). */
size_t wilor_random_spec_count(const wilor_random_model *model);
void wilor_random_spec_at(const wilor_random_model *model, size_t i, wilor_random_spec *out);

/* Elements first … first + count - 1 as they stand in the checkpoint: the formula, then the
 * values that are not noise (decpose.bias, deccam.bias, three residual channels), or zeros for
 * a decoder of a mean_pose model. */
void wilor_random_tensor_fill(const wilor_random_model *model, const wilor_random_spec *spec,
                              size_t first, size_t count, float *dst);

/* The reference models' mean parameters: pose (96), shape (10), cam (3). */
void wilor_random_mean(uint64_t seed, float pose[96], float shape[10], float cam[3]);

/* An index without a file: the learned tensors (computed whenever they are read: a full-size
 * network takes kilobytes here), init_*, and copies of hand's mano.*. The hand may be closed
 * afterwards. The format is "random", with the metadata "heads" and "label".
 *   hand     canonical; mean_pose also needs its backbone.init_*. NULL without mean_pose: no
 *            mano.*, enough for converting
 *   errors   ERR_ARG for sizes outside the limits, ERR_MISSING when the hand lacks what is
 *            needed, ERR_NOMEM */
wilor_status wilor_random_index(wilor_index **out, const wilor_random_model *model,
                                const wilor_index *hand, wilor_error *err);

#endif
