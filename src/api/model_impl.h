/* The public handles' insides, shared by the files of api/. */
#ifndef WILOR_MODEL_IMPL_H
#define WILOR_MODEL_IMPL_H

#include "arena.h"
#include "backend.h"
#include "heap.h"
#include "wilor/wilor.h"

struct wilor_model {
    const wilor_backend *backend;
    void *network;
    wilor_mano *mano;
    wilor_model_info info;
    char *weights; /* path */
    char *label;
};

struct wilor_session {
    const wilor_model *model;
    wilor_threads *pool;
    void *work; /* the back end's session */
    int max_hands, batch;
    wilor_arena arena;
    wilor_pages pages;
    float *crops;          /* batch × 256 × 256 × 3 */
    wilor_pages converted; /* an NV12 picture as RGB; grows */
    uint8_t *side, *failed;
    float *score, *box, *crop, *pred_cam, *cam_t, *focal, *principal, *distortion;
    float *keypoints_3d, *keypoints_2d, *vertices_3d;
    float *global_orient, *hand_pose, *betas, *rotation;
    wilor_hands hands; /* what callers see */
};

/* Copy an option struct of the caller's size over one with our defaults: an older caller's is
 * shorter, a newer one's longer tail must be zero. */
wilor_status wilor_options_read(void *own, size_t own_size, const void *theirs,
                                const char *what, wilor_error *err);

#endif
