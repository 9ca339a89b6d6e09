/* What kernels are given. */
#ifndef WILOR_CUDA_KERNELS_HAND_TYPES_H
#define WILOR_CUDA_KERNELS_HAND_TYPES_H

#include "target.h"

namespace wilor_cuda {

enum { MATRIX34 = 12 }; /* numbers of a joint's transform */

/* What rows of the residual stream lack while `parts` is not 0: a product's sums over stretches of its depth,
 * the same rows `apart` numbers from one to the next, and its bias. */
struct missing {
    const float *sums, *bias;
    size_t apart;
    int parts;
};

/* A small layer: outputs × inputs, float32. */
struct layer {
    const float *w, *b;
};

/* wilor_net_mano on the card. */
struct mano_arrays {
    int vertices;
    int stride;
    const float *template_, *rows;
    const double *joints, *joints_by_beta;
    const int *parents, *skin_start;
    const float *skin_weight;
    const uint8_t *skin_joint;
    const int *tips, *joint_map;
};

/* What a run says of a crop; as wilor_cuda_crop. */
struct crop_order {
    double inverse[6];
    int on_card, mirrored, cv4, pad;
};

} // namespace wilor_cuda

#endif
