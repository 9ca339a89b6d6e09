/* The table of functions that libwilor_cuda gives to the core: plain C, so that the two may come from
 * different compilers, and without any type of CUDA's, so that the core needs no toolkit.
 *
 * The core reads tensors and hands them over as float32 in the layouts said here; the module keeps them
 * in the arithmetic asked for. Both check WILOR_CUDA_ABI: it goes up with every change of this file. */
#ifndef WILOR_CUDA_ABI_H
#define WILOR_CUDA_ABI_H

#include "net_tensors.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WILOR_CUDA_ABI = 6, WILOR_CUDA_TEXT = 256 };

/* What went wrong; the core has a status of its own for each. */
typedef enum wilor_cuda_result {
    WILOR_CUDA_OK = 0,
    WILOR_CUDA_NO_DRIVER,   /* no driver, or older than the module's runtime */
    WILOR_CUDA_NO_DEVICE,   /* no card of that number */
    WILOR_CUDA_NO_CODE,     /* the module has no code for its architecture */
    WILOR_CUDA_NO_MEMORY,   /* on the card, or pinned memory of the host */
    WILOR_CUDA_UNSUPPORTED, /* this arithmetic, on this card */
    WILOR_CUDA_FAILED       /* anything else; the text has CUDA's own words */
} wilor_cuda_result;

typedef struct wilor_cuda_error {
    char text[WILOR_CUDA_TEXT];
} wilor_cuda_error;

typedef enum wilor_cuda_number {
    WILOR_CUDA_F32,
    WILOR_CUDA_F16,
    WILOR_CUDA_BF16
} wilor_cuda_number;

typedef struct wilor_cuda_device_info {
    char name[128];
    int major, minor; /* compute capability */
    int driver;       /* 1000 · major + 10 · minor of the CUDA version it knows */
    int multiprocessors;
    size_t memory; /* bytes */
} wilor_cuda_device_info;

/* ---------------------------------------------------------------- weights */

typedef struct wilor_cuda_shape {
    int width, depth, heads, mlp;
    wilor_cuda_number number; /* of the blocks' products; everything else is float32 */
    int split;     /* of float32: each number of the blocks' products as two of float16 */
    int side_head; /* there is one: model_put gets its tensors, too */
} wilor_cuda_shape;

/* How many numbers tensor `t` of a model of this shape has. */
static inline size_t wilor_cuda_tensor_count(const wilor_cuda_shape *shape, int t) {
    return wilor_net_tensor_count(shape->width, shape->mlp, t);
}

/* ---------------------------------------------------------------- runs */

typedef struct wilor_cuda_session_options {
    int batch;     /* most hands of a run */
    int full_path; /* every hand as if its points needed every patch */
} wilor_cuda_session_options;

/* Where a crop comes from. */
typedef struct wilor_cuda_crop {
    int on_card;       /* 0: from where session_crop says */
    int mirrored;      /* column x is column width − 1 − x of the frame */
    int cv4;           /* OpenCV 4's grid */
    double inverse[6]; /* 2 × 3, crop pixels to frame pixels */
} wilor_cuda_crop;

/* A frame of 8-bit pixels, rows without gaps. */
typedef struct wilor_cuda_frame {
    int width, height, pixel; /* pixel: bytes of one */
    int channel[3];           /* byte of red, green, blue in a pixel */
} wilor_cuda_frame;

typedef struct wilor_cuda_output {
    float *rotation;   /* n × 16 × 9 */
    float *betas;      /* n × 10 */
    float *cam;        /* n × 3 */
    float *verts;      /* n × V × 3 */
    float *keypoints;  /* n × 21 × 3 */
    float *side_logit; /* n, of a run that was to tell sides; NULL: not wanted */
    float device_ms;   /* of the last run, by the card's clock */
} wilor_cuda_output;

/* For tests: what a stage left on the card. `rows` × `cols` float32, computed without a graph. */
typedef void (*wilor_cuda_trace)(void *context, const char *stage, int block, const float *data,
                                 int rows, int cols);

/* ---------------------------------------------------------------- the detector */

typedef struct wilor_cuda_net {
    wilor_net_program program;
    wilor_cuda_number number; /* of all maps but the heads' */
} wilor_cuda_net;

/* How a frame becomes the input: its size there, OpenCV's INTER_LINEAR, and where it begins; gray 114 around it. */
typedef struct wilor_cuda_letterbox {
    int inner_width, inner_height, left, top;
} wilor_cuda_letterbox;

enum { WILOR_CUDA_MOST_CHOSEN = 256 };

/* Anchors of a forward, good until the next; levels one after the other, row by row. */
typedef struct wilor_cuda_chosen {
    int count;                   /* -1: all numbers are at net_run_head */
    const int32_t *anchor;       /* ascending */
    const float *const *numbers; /* 129 each */
} wilor_cuda_chosen;

/* ---------------------------------------------------------------- the table */

typedef struct wilor_cuda_table {
    wilor_module_head head; /* WILOR_CUDA_ABI */
    const char *name;       /* "cuda", with the toolkit's version */

    wilor_cuda_result (*device_info)(int device, wilor_cuda_device_info *out,
                                     wilor_cuda_error *err);

    /* A model is created, gets every tensor once in any order (block 0 for those without), and is
     * then read-only: sessions of it may run at the same time. */
    wilor_cuda_result (*model_create)(void **model, int device, const wilor_cuda_shape *shape,
                                      const wilor_net_mano *mano, wilor_cuda_error *err);
    wilor_cuda_result (*model_put)(void *model, int tensor, int block, const float *data,
                                   wilor_cuda_error *err);
    size_t (*model_bytes)(const void *model); /* on the card */
    void (*model_free)(void *model);          /* NULL is fine */

    /* Everything a run needs is allocated, tuned and captured here. */
    wilor_cuda_result (*session_open)(void **session, const void *model,
                                      const wilor_cuda_session_options *o,
                                      wilor_cuda_error *err);
    size_t (*session_bytes)(const void *model, const wilor_cuda_session_options *o);
    void (*session_close)(void *session); /* NULL is fine */
    /* A frame for the crops to come; its memory grows with it, never in a run. *rows: where its rows go before the
     * next start, which sends them up. */
    wilor_cuda_result (*session_frame)(void *session, const wilor_cuda_frame *frame,
                                       uint8_t **rows, wilor_cuda_error *err);
    /* Instead: the frame of the last forward of a detector's run on the same card, which stays there until that
     * run's next begin. */
    void (*session_share)(void *session, const void *run);
    /* Where crop i of the next run goes that the card does not make: 256 × 256 × 3, 0 … 255. */
    float *(*session_crop)(void *session, int i);
    /* Sets a run going and returns, so that one thread can do so on several cards; session_finish
     * waits for it and gives its hands. A run that was started, whatever start said, is finished
     * before the session's next call. No allocation in either.
     * crops: NULL: the card makes none.
     * fixed_betas: NULL, or 10 numbers that replace the shape in the result.
     * sides: by the side head, too; a model without one gives NAN. */
    wilor_cuda_result (*session_start)(void *session, const wilor_cuda_crop *crops, int n,
                                       const float *fixed_betas, int sides,
                                       wilor_cuda_error *err);
    wilor_cuda_result (*session_finish)(void *session, wilor_cuda_output *out,
                                        wilor_cuda_error *err);
    /* For tests: the next runs tell every stage, slowly; NULL: no more. */
    void (*session_trace)(void *session, wilor_cuda_trace trace, void *context);
    /* For tests: the crops of the last run, n × 256 × 256 × 3. */
    wilor_cuda_result (*session_crops)(void *session, int n, float *out, wilor_cuda_error *err);

    wilor_cuda_result (*net_create)(void **net, int device, const wilor_cuda_net *o,
                                    wilor_cuda_error *err);
    size_t (*net_bytes)(const void *net);
    void (*net_free)(void *net); /* NULL is fine */
    wilor_cuda_result (*net_run_open)(void **run, const void *net, wilor_cuda_error *err);
    void (*net_run_close)(void *run); /* NULL is fine */
    /* Ready for inputs of this size; allocates and captures when it changes. */
    wilor_cuda_result (*net_run_begin)(void *run, int width, int height, wilor_cuda_error *err);
    /* After begin: what is put is not the input, but a frame that the card makes it from; its memory grows
     * with it. */
    wilor_cuda_result (*net_run_frame)(void *run, const wilor_cuda_frame *frame,
                                       const wilor_cuda_letterbox *letterbox,
                                       wilor_cuda_error *err);
    /* Where row y goes: width × 3 bytes, RGB, of the input; width × pixel bytes of a frame; without gaps. */
    uint8_t *(*net_run_row)(void *run, int y);
    /* lowest: only anchors with a class's logit above it come back, if they are not too many; NULL: all do. */
    wilor_cuda_result (*net_run_forward)(void *run, const float *lowest,
                                         wilor_cuda_chosen *chosen, float *device_ms,
                                         wilor_cuda_error *err);
    /* Of the last forward whose count is -1: rows × columns × 129 of a level, row by row. */
    const float *(*net_run_head)(const void *run, int level);
    /* For tests: what was put as the network's input, width × height × 3, RGB. */
    wilor_cuda_result (*net_run_input)(void *run, uint8_t *rgb, wilor_cuda_error *err);
    /* For tests: forward's choice among these numbers, anchors × 129, in place of the network's. */
    wilor_cuda_result (*net_run_choose)(void *run, const float *numbers, float lowest,
                                        wilor_cuda_chosen *chosen, wilor_cuda_error *err);
} wilor_cuda_table;

/* The module's only symbol: a function that returns its table's head. */
#define WILOR_CUDA_ENTRY "wilor_cuda_get_table"

#ifdef __cplusplus
}
#endif

#endif
