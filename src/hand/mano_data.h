/* What a wilor_mano holds. Packed for the forward pass: see mano.c. */
#ifndef WILOR_MANO_DATA_H
#define WILOR_MANO_DATA_H

#include "mano.h"

enum { WILOR_MANO_ROWS = WILOR_MANO_BETAS + WILOR_MANO_POSE };

struct wilor_mano {
    int vertices, faces;
    size_t stride;    /* floats of a row: 3·V rounded up to 16, the rest zero */
    float *template_; /* stride: v_template */
    float *rows;      /* 145 × stride: 10 of shapedirs, 135 of posedirs */
    double joints[WILOR_MANO_JOINTS][3]; /* J_regressor · v_template */
    double joints_by_beta[WILOR_MANO_BETAS][WILOR_MANO_JOINTS][3]; /* J_regressor · shapedirs */
    int parents[WILOR_MANO_JOINTS];
    int32_t
        *skin_start; /* V + 1: vertex v has the weights skin_start[v] … skin_start[v + 1] - 1 */
    float *skin_weight; /* the weights that are not zero */
    uint8_t *skin_joint;
    int32_t *faces_right; /* faces × 3 */
    int32_t *faces_left;
    int32_t tips[WILOR_MANO_TIPS];
    int joint_map[WILOR_MANO_KEYPOINTS];
    int32_t *bone_vertices; /* V, the rest's */
    wilor_mano_rest rest;
    size_t bytes;
};

#endif
