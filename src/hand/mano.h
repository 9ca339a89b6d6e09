/* The hand model: MANO (Romero et al., SIGGRAPH Asia 2017) as WiLoR uses it, from any file that
 * has its arrays. Immutable after creation; a run needs only the caller's scratch. */
#ifndef WILOR_MANO_H
#define WILOR_MANO_H

#include "tensor_source.h"
#include "wilor/wilor.h"
#include <stddef.h>
#include <stdint.h>

enum {
    WILOR_MANO_JOINTS = 16,
    WILOR_MANO_BETAS = 10,
    WILOR_MANO_TIPS = 5,
    WILOR_MANO_KEYPOINTS = 21,
    WILOR_MANO_POSE = 135 /* pose correctives: 15 matrices of 9 */
};

typedef struct wilor_mano wilor_mano;

/* Read mano.{v_template, shapedirs, posedirs, J_regressor, parents, lbs_weights, faces_tensor,
 * extra_joints_idxs, joint_map} of an index with canonical names; nothing of the index is kept.
 *   errors   ERR_MISSING (no mano.v_template), ERR_MODEL (another tensor is missing, has another
 *            shape, an index outside its range, NaN or infinity), ERR_LIMIT (over 65536 vertices
 *            or 2^20 triangles), ERR_NOMEM */
wilor_status wilor_mano_create(wilor_mano **out, const wilor_index *index, wilor_error *err);
/* The same from several files: each tensor by tensor_source.h's precedence. */
wilor_status wilor_mano_create_from(wilor_mano **out, const wilor_tensor_source *files,
                                    wilor_error *err);
void wilor_mano_free(wilor_mano **mano); /* takes NULL and a pointer to NULL; leaves NULL */

int wilor_mano_vertices(const wilor_mano *m);
/* Number of triangles; *right and *left (either may be NULL) get faces × 3 vertex indices, the
 * left ones with the winding of the mirrored mesh. They live as long as m. */
int wilor_mano_faces(const wilor_mano *m, const int32_t **right, const int32_t **left);
size_t wilor_mano_memory(const wilor_mano *m);  /* bytes it holds */
size_t wilor_mano_scratch(const wilor_mano *m); /* floats that a forward pass needs */

/* Pose a right hand.
 *   rot         16 row-major matrices: global orientation, then the joints in the file's order
 *   betas       10
 *   scratch     wilor_mano_scratch(m) floats
 *   verts       V × 3, metres about the model's origin
 *   joints16    16 × 3, or NULL
 *   keypoints21 21 × 3, OpenPose's order
 * NaN in gives NaN out. No allocation. */
void wilor_mano_forward(const wilor_mano *m, const float *rot, const float *betas,
                        float *scratch, float *verts, float *joints16, float *keypoints21);

/* Distance from the wrist to the middle knuckle (keypoints 0 and 9) in metres: no pose changes it,
 * betas (10) do. 0 in a file whose keypoints are others. */
double wilor_mano_palm(const wilor_mano *m, const float *betas);

/* What joints for other systems need of the rest pose (betas zero, right hand). */
typedef struct wilor_mano_rest {
    int parents[WILOR_MANO_JOINTS]; /* parents[0] = -1; a parent comes before its child */
    int bone
        [WILOR_MANO_KEYPOINTS]; /* keypoint -> the joint that moves it; tips: the distal one */
    double keypoints[WILOR_MANO_KEYPOINTS][3]; /* metres */
    const int32_t *bone_vertices; /* V vertices, grouped by the joint of the largest weight */
    int32_t
        bone_start[WILOR_MANO_JOINTS + 1]; /* group j: bone_start[j] … bone_start[j + 1] - 1 */
    const float *vertices;                 /* V × 3 */
} wilor_mano_rest;

const wilor_mano_rest *wilor_mano_get_rest(const wilor_mano *m); /* lives as long as m */

#endif
