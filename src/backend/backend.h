/* The seam between the library and what computes: load a network, run a batch of crops, free.
 * The CPU's implementation is the oracle of all others. A back end knows nothing of pictures,
 * boxes, sides or cameras: crops of right hands go in, right hands come out. */
#ifndef WILOR_BACKEND_H
#define WILOR_BACKEND_H

#include "crop_steps.h"
#include "mano.h"
#include "tensor_source.h"
#include "thread_pool.h"
#include <stdbool.h>

enum { WILOR_MOST_CARDS = 8 }; /* of one model */

typedef struct wilor_backend_load {
    const wilor_tensor_source *source;
    const wilor_mano *mano; /* outlives the model */
    int heads;              /* 0: by the rule */
    wilor_isa max_isa;
    wilor_dtype dtype;
    /* NULL, or what `packed` gave of a model of the same weights on the same tier, 64-byte aligned,
     * read only; it outlives the model, which uses it in place where its size fits. */
    const void *packed;
    size_t packed_bytes;
    wilor_threads *pool; /* to load with */
    const int *cards; /* which ones, of a back end that has several; NULL: there is no choice */
    int card_count;
    const wilor_callbacks *callbacks;
} wilor_backend_load;

/* What a session is opened for. */
typedef struct wilor_backend_session {
    int batch;
    int full_path; /* compute what can change nothing, too */
    wilor_compat
        compat; /* MLX: wilor-mlx's RefineNet and 6D rotations, always the full path; the
                            hands of a run share their batch norms' statistics */
} wilor_backend_session;

/* A crop that the back end makes itself, from its last frame: `frame` below. */
typedef struct wilor_backend_crop {
    bool by_backend; /* else it is in rgb */
    bool mirrored;   /* of the frame's mirror image */
    wilor_warp grid;
    double inverse[6]; /* crop_steps.h's */
} wilor_backend_crop;

/* What a run gives for n hands; every pointer is the caller's, and none but side_logit is NULL. */
typedef struct wilor_backend_result {
    float *rotation;     /* n × 16 × 9 */
    float *betas;        /* n × 10 */
    float *cam;          /* n × 3 */
    float *verts;        /* n × V × 3 */
    float *keypoints;    /* n × 21 × 3 */
    uint64_t network_ns; /* time until the backbone was done */
    /* n: that the crop, as it came, shows a right hand; NAN where the network has no side head. NULL: not
     * wanted, as always of a back end without tells_side. */
    float *side_logit;
} wilor_backend_result;

/* Where the time of a run went, in the order of the route. */
enum { WILOR_BACKEND_PARTS = 16 };

typedef struct wilor_backend_times {
    int n;
    const char *name[WILOR_BACKEND_PARTS]; /* constant */
    bool network[WILOR_BACKEND_PARTS];     /* a part of network_ns, not of what comes behind */
    wilor_span span[WILOR_BACKEND_PARTS];
} wilor_backend_times;

struct wilor_yolo_run;

typedef struct wilor_backend {
    const char *name; /* "cpu" */
    wilor_status (*load)(void **model, const wilor_backend_load *o, wilor_error *err);
    void (*unload)(void *model); /* NULL is fine */
    void (*info)(const void *model, wilor_model_info *info);
    /* Its weights as they lie in memory, to be written out; NULL: they do not. */
    const void *(*packed)(const void *model, size_t *bytes);
    /* Whether side_logit will be numbers; NULL: never. */
    bool (*tells_side)(const void *model);

    /* Bytes of a session's working memory on so many threads. */
    size_t (*memory)(const void *model, const wilor_backend_session *o, int threads);
    wilor_status (*open)(void **session, const void *model, const wilor_backend_session *o,
                         wilor_threads *pool, wilor_error *err);
    void (*close)(void *session); /* NULL is fine */
    /* NULL: the caller makes all crops. Else takes a frame, RGB of some 8-bit format, from which crops of the
     * runs behind it can be made; may allocate when it is larger than any before. detector: NULL, or one whose
     * last forward was of this very frame: its card has it. */
    wilor_status (*frame)(void *session, const wilor_crop_source *frame,
                          const struct wilor_yolo_run *detector, wilor_error *err);
    /* n <= batch crops: n × 256 × 256 × 3, RGB, 0 … 255; or, with crops, only those that the back end does
     * not make. fixed_betas: NULL, or 10 numbers that replace the shape in the result. Allocates nothing.
     * The processor's does not fail; a card may, and what it gives then is nothing. */
    wilor_status (*run)(void *session, const float *rgb, const wilor_backend_crop *crops, int n,
                        const float *fixed_betas, wilor_backend_result *out, wilor_error *err);
    /* From the next run on, count the threads' time as well, or no longer. */
    void (*profile)(void *session, bool on);
    /* Of the last run; names and their number are the same for every session. */
    void (*times)(const void *session, wilor_backend_times *out);
} wilor_backend;

const wilor_backend *wilor_backend_cpu(void);

/* Learned numbers of a network, in whatever form they are stored. */
uint64_t wilor_backend_count_parameters(const wilor_tensor_source *s);

#endif
