/* The public handles' insides, shared by the files of api/. */
#ifndef WILOR_MODEL_IMPL_H
#define WILOR_MODEL_IMPL_H

#include "arena.h"
#include "backend.h"
#include "heap.h"
#include "wilor/wilor.h"
#include "yolo.h"

struct wilor_model {
    const wilor_backend *backend;
    void *network;
    wilor_mano *mano;
    wilor_model_info info;
    char *weights; /* path */
    char *label, *name, *licence;
    char device[9 * WILOR_MOST_CARDS]; /* "cpu", "cuda:0", "cuda:0,cuda:1", "mlx" */
    char key[65];          /* of the packed weights: what they were made from, and for what */
    wilor_file_map packed; /* in use, or empty */
};

/* Parts of a session's calls: the crops', the back end's. */
enum { WILOR_PROFILE_PARTS = WILOR_BACKEND_PARTS + 1 };

struct wilor_session {
    const wilor_model *model;
    wilor_threads *pool;
    void *work;                     /* the back end's session */
    const wilor_yolo_run *detector; /* NULL, or whose card has the call's picture */
    int max_hands, batch;
    wilor_compat compat;
    wilor_arena arena;
    wilor_pages pages;
    float *crops;          /* batch × 256 × 256 × 3 */
    wilor_pages converted; /* an NV12 picture as RGB; grows */
    uint8_t *side, *failed;
    float *score, *box, *crop, *pred_cam, *cam_t, *focal, *principal, *distortion;
    float *keypoints_3d, *keypoints_2d, *vertices_3d;
    float *global_orient, *hand_pose, *betas, *rotation;
    float *detected_keypoints;
    uint8_t *detected;
    /* For second looks, of a batch; NULL where the network cannot tell sides. */
    float *side_logit;
    wilor_backend_result second;
    wilor_hands hands; /* what callers see */
    bool profiling;
    wilor_span spent[WILOR_PROFILE_PARTS]; /* of the call in work, or the last one */
    const char *part_name[WILOR_PROFILE_PARTS];
    int part_stage[WILOR_PROFILE_PARTS];
    double part_ms[WILOR_PROFILE_PARTS], part_busy_ms[WILOR_PROFILE_PARTS];
    wilor_profile profile; /* what callers see of these */
};

struct wilor_detector {
    wilor_yolo *yolo;
    wilor_detector_info info;
    char *path;
    char device[16];
};

/* An NV12 picture as RGB in `buffer`, which grows; others as they are. chroma and its stride: as in
 * wilor_predict_options. */
wilor_status wilor_convert_nv12(wilor_picture *picture, const uint8_t *chroma, ptrdiff_t stride,
                                wilor_pages *buffer, wilor_threads *pool, wilor_error *err);

/* An NV12 picture is converted once, for detector and crops: *picture becomes RGB in the pipeline's
 * memory. */
wilor_status wilor_pipeline_as_rgb(wilor_pipeline *p, wilor_picture *picture,
                                   const wilor_predict_options *options, wilor_error *err);
/* wilor_predict_boxes, which may give a hand the other side. side_odds: of n boxes, how sure each one's side is, a natural
 * logarithm; INFINITY where nobody doubts it; NULL: nowhere. */
wilor_status wilor_predict_doubted(wilor_session *session, const wilor_picture *picture,
                                   const wilor_box *boxes, const float *side_odds, int n,
                                   const wilor_predict_options *options,
                                   const wilor_hands **out, wilor_error *err);
/* The same of a picture that was as_rgb's and perhaps find's: it is uploaded to a card once. */
wilor_status wilor_pipeline_predict(wilor_pipeline *p, const wilor_picture *picture,
                                    const wilor_box *boxes, const float *side_odds, int n,
                                    const wilor_predict_options *options,
                                    const wilor_hands **out, wilor_error *err);
/* What its detector, or the caller's, finds in a checked RGB picture, the best first: n boxes with an area
 * and their 21 × 3 keypoints and the odds of their sides, the pipeline's until its next call. */
wilor_status wilor_pipeline_find(wilor_pipeline *p, const wilor_picture *picture,
                                 const wilor_detect_options *o, const wilor_box **boxes,
                                 const float **keypoints, const float **side_odds, int *n,
                                 wilor_error *err);
/* Whether they say which side every hand is of: the detector's word is not asked for. */
bool wilor_detect_forces_side(const wilor_detect_options *o);
/* Its max_hands; 0 when it can find none by itself. */
int wilor_pipeline_most(const wilor_pipeline *p);

/* What a device's name means here. NULL and "auto": on a Mac MLX where its module is and has the dtype, else the
 * processor. "cuda", "cuda:N", "cuda:N,cuda:M,…": different numbers up to 255.
 *   errors  ERR_ARG (there is none of that name) */
typedef enum wilor_device_kind {
    WILOR_DEVICE_CPU,
    WILOR_DEVICE_CUDA,
    WILOR_DEVICE_MLX
} wilor_device_kind;

typedef struct wilor_device {
    wilor_device_kind kind;
    int cards; /* of CUDA's; else 0 */
    int card[WILOR_MOST_CARDS];
} wilor_device;

/* Its full name: "cpu", "mlx", "cuda:0". */
void wilor_device_name(char *out, size_t size, const wilor_device *device);
wilor_status wilor_device_parse(wilor_device *out, const char *text, wilor_dtype dtype,
                                wilor_error *err);

/* The caller's options (NULL is fine) with every default filled in, checked. */
wilor_status wilor_session_options_fill(wilor_session_options *own,
                                        const wilor_session_options *o, bool on_card,
                                        wilor_error *err);

/* Of a model's or a detector's device: not the processor. */
bool wilor_on_card(const char *device);

/* A session's own arrays from hand `first` on, for its back end to fill. side_logit: NULL, or a number a hand of
 * the run. */
wilor_backend_result wilor_session_result(const wilor_session *session, int first,
                                          float *side_logit);

/* What packed weights depend on, as 64 hex digits: the files' sizes, times and tensors, the heads,
 * the kernel tier, the arithmetic and how this version packs. */
void wilor_packed_key(char key[65], const wilor_tensor_source *source, int heads,
                      wilor_isa max_isa, wilor_dtype dtype);
/* The packed weights in a file with this key: 64-byte aligned, *bytes of them, alive until m is
 * closed. NULL, and m empty: there is no such file, or it is another's, which is logged. */
const void *wilor_packed_open(wilor_file_map *m, const char *path, const char *key,
                              size_t *bytes, const wilor_callbacks *callbacks);

/* Copy an option struct of the caller's size over one with our defaults: an older caller's is
 * shorter, a newer one's longer tail must be zero. */
wilor_status wilor_options_read(void *own, size_t own_size, const void *theirs,
                                const char *what, wilor_error *err);

#endif
