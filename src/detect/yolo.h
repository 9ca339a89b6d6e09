/* YOLOv8-pose: the network on the kernel table. Weights are immutable and shared; the working
 * memory belongs to one caller and grows with the input. docs/detector.md, docs/performance.md. */
#ifndef WILOR_YOLO_H
#define WILOR_YOLO_H

#include "kernels.h"
#include "letterbox.h"
#include "nms.h"
#include "thread_pool.h"
#include "yolo_file.h"

enum {
    WILOR_YOLO_ROWS = 69,       /* numbers of an anchor: cx cy w h, two scores, 21 × 3 */
    WILOR_YOLO_MOST_SIDE = 4096 /* of an input */
};

typedef struct wilor_yolo wilor_yolo;
typedef struct wilor_yolo_run wilor_yolo_run;

/* dtype: F32; BF16, or ERR_UNSUPPORTED where the tier has none; AUTO, BF16 where that is quick. Others
 * are ERR_UNSUPPORTED. */
wilor_status wilor_yolo_load(wilor_yolo **out, const wilor_index *index, wilor_isa max_isa,
                             wilor_dtype dtype, wilor_threads *pool,
                             const wilor_callbacks *callbacks, wilor_error *err);
/* A card that runs the network in place of the kernel table: who has one fills this in (backend/cuda). What
 * `create` is given of a convolution has all factors folded in. */
struct wilor_yolo_program;

typedef struct wilor_yolo_folded {
    const float *weight; /* out × size × size × in */
    const float *bias;
    bool silu;
} wilor_yolo_folded;

/* Anchors whose numbers have come back from a card, until its next forward. */
typedef struct wilor_yolo_chosen {
    int count;                   /* -1: all of them, at `head` */
    const int32_t *anchor;       /* ascending */
    const float *const *numbers; /* 129 each */
} wilor_yolo_chosen;

/* Where a frame's rows go: width × pixel bytes each. */
typedef struct wilor_yolo_frame {
    const wilor_letterbox *letterbox; /* not MLX's */
    int pixel;                        /* bytes */
    int channel[3];                   /* byte of red, green, blue in a pixel */
} wilor_yolo_frame;

typedef struct wilor_yolo_card {
    /* dtype: as asked for; becomes what computes. convs: one a convolution of the program. */
    wilor_status (*create)(void **net, const struct wilor_yolo_program *program,
                           const wilor_yolo_folded *convs, int device, wilor_dtype *dtype,
                           wilor_error *err);
    size_t (*bytes)(const void *net);
    void (*free)(void *net); /* NULL is fine */
    wilor_status (*open)(void **run, const void *net, wilor_error *err);
    void (*close)(void *run); /* NULL is fine */
    wilor_status (*begin)(void *run, int width, int height, wilor_error *err);
    /* NULL, or: what is put after begin is a frame, and the card makes the input from it; may allocate when it is
     * larger than any before. */
    wilor_status (*frame)(void *run, const wilor_yolo_frame *frame, wilor_error *err);
    uint8_t *(*row)(void *run, int y); /* where a row goes: of the input, width × 3 bytes */
    wilor_status (*forward)(void *run, wilor_error *err);
    /* NULL, or: forward for those anchors only that have a class's logit above `lowest`, or for all. */
    wilor_status (*forward_above)(void *run, float lowest, wilor_yolo_chosen *chosen,
                                  wilor_error *err);
    const float *(*head)(const void *run, int level); /* rows × columns × 129, from begin on */
} wilor_yolo_card;

/* A network on card `device`. */
wilor_status wilor_yolo_load_card(wilor_yolo **out, const wilor_index *index,
                                  const wilor_yolo_card *card, int device, wilor_dtype dtype,
                                  const wilor_callbacks *callbacks, wilor_error *err);
void wilor_yolo_free(wilor_yolo **yolo); /* NULL is fine */
const wilor_yolo_plan *wilor_yolo_get_plan(const wilor_yolo *yolo);
wilor_isa wilor_yolo_isa(const wilor_yolo *yolo);
wilor_dtype wilor_yolo_dtype(const wilor_yolo *yolo); /* F32 or BF16 */
size_t wilor_yolo_bytes(const wilor_yolo *yolo);

/* keep: every layer's map stays until the next forward, for wilor_yolo_layer; more memory. */
wilor_status wilor_yolo_open(wilor_yolo_run **out, const wilor_yolo *yolo, wilor_threads *pool,
                             bool keep, wilor_error *err);
void wilor_yolo_close(wilor_yolo_run **run); /* NULL is fine */
/* Bytes of a run on so many threads with inputs of this size. */
size_t wilor_yolo_memory(const wilor_yolo *yolo, int threads, int width, int height);

/* Get ready for inputs of this size (multiples of 32): allocates only when it is larger than any
 * before. */
wilor_status wilor_yolo_begin(wilor_yolo_run *run, int width, int height, wilor_error *err);
/* Row y of the picture, width × 3 bytes, RGB. Different rows may be put by different threads. */
void wilor_yolo_put_row(wilor_yolo_run *run, int y, const uint8_t *rgb);
/* A card's, where it makes the input from pictures: after begin, instead of put_row. Row y goes to frame_row(y), as
 * it is in the picture; they lie without gaps; different rows by different threads. */
bool wilor_yolo_takes_frames(const wilor_yolo_run *run);
wilor_status wilor_yolo_frame_begin(wilor_yolo_run *run, const wilor_yolo_frame *frame,
                                    wilor_error *err);
uint8_t *wilor_yolo_frame_row(wilor_yolo_run *run, int y);
/* The card's run in this one; NULL: there is no card. */
const void *wilor_yolo_card_run(const wilor_yolo_run *run, const wilor_yolo_card **card);
/* The whole network on the rows that were put. No allocation. Fails only on a card. */
wilor_status wilor_yolo_forward(wilor_yolo_run *run, wilor_error *err);
/* The same, for wilor_yolo_candidates with this conf or a higher one and for keypoints of what these are: a card may
 * leave the other anchors out. */
wilor_status wilor_yolo_forward_above(wilor_yolo_run *run, float conf, wilor_error *err);

/* For measuring: from now on every forward adds each phase's wall time and the threads' time in units to
 * its entry; NULL: no more. */
typedef struct wilor_yolo_time {
    uint64_t wall_ns, busy_ns;
} wilor_yolo_time;

void wilor_yolo_watch(wilor_yolo_run *run, wilor_yolo_time *times);
/* Phase `phase`'s first convolution, steps and units, for inputs of begin's size; false beyond the last. */
bool wilor_yolo_phase_facts(const wilor_yolo_run *run, int phase, const char **name, int *steps,
                            int *units);

int wilor_yolo_anchors(const wilor_yolo_run *run);
/* 10⁹ multiplications and additions of all convolutions for an input of this size, as a direct computation
 * would do them: Winograd's transforms save a good third of these. */
double wilor_yolo_gflop(const wilor_yolo *yolo, int width, int height);

/* Anchors that score above conf, in order; at most `most`; returns how many there are. */
int wilor_yolo_candidates(const wilor_yolo_run *run, float conf, wilor_candidate *out,
                          int most);
/* Keypoints of one anchor, network pixels: 21 × x, y, visibility. */
void wilor_yolo_keypoints(const wilor_yolo_run *run, int anchor, float *out);
/* All 69 numbers of an anchor; for tests its 64 + 2 + 63 undecoded ones. */
void wilor_yolo_column(const wilor_yolo_run *run, int anchor, float *out);
void wilor_yolo_undecoded(const wilor_yolo_run *run, int anchor, float *out);
/* For tests, of a run opened with keep: the output of layer 0 … 21 as channels × height × width;
 * out may be NULL, to learn the shape. */
void wilor_yolo_layer(const wilor_yolo_run *run, int layer, int shape[3], float *out);

#endif
