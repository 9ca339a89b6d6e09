/* The network as a list of steps over maps, made once from the plan; sizes come with the input.
 *
 * A map is channels-last with one zero pixel to the right of each row, which is also the one to the
 * left of the next, and a zero row above and below: a 3 × 3 convolution of stride 1 is then the same
 * nine offsets from every pixel, whichever row it is in. Concatenations are maps that several steps
 * write slices of. Upsampling is a second place that a convolution's outputs are written to. */
#ifndef WILOR_YOLO_PROGRAM_H
#define WILOR_YOLO_PROGRAM_H

#include "status.h"
#include "yolo_file.h"

enum { WILOR_YOLO_CONVS = 384, WILOR_YOLO_STEPS = 512, WILOR_YOLO_MAPS = 64 };

typedef struct wilor_yolo_slice {
    int map, channel;
} wilor_yolo_slice;

typedef enum wilor_yolo_op {
    WILOR_YOLO_CONVOLVE,
    WILOR_YOLO_POOL /* three 5 × 5 maxima of stride 1, each of the one before, side by side */
} wilor_yolo_op;

typedef struct wilor_yolo_step {
    wilor_yolo_op op;
    int phase; /* steps of one phase do not depend on each other */
    int conv;  /* of the program's convs */
    int stride;
    wilor_yolo_slice in, out, added; /* added.map < 0: nothing */
    wilor_yolo_slice twice; /* every output four times, a map of twice the size; or nothing */
    int channels;           /* POOL: of each maximum */
} wilor_yolo_step;

typedef struct wilor_yolo_map {
    int shift;       /* the input's sides over 2^shift */
    int channels;    /* of the buffer */
    int first, last; /* phases between which it is alive */
} wilor_yolo_map;

typedef struct wilor_yolo_program {
    wilor_yolo_plan plan;
    wilor_yolo_conv convs[WILOR_YOLO_CONVS];
    wilor_yolo_map maps[WILOR_YOLO_MAPS];
    wilor_yolo_step steps[WILOR_YOLO_STEPS];
    int conv_count, map_count, step_count, phase_count;
    int input;                   /* map of the picture, 3 channels */
    int head[WILOR_YOLO_LEVELS]; /* maps of 64 + 2 + 63 channels */
    wilor_yolo_slice
        layers[WILOR_YOLO_LAYERS]; /* each layer's output; map < 0: no map of its own */
} wilor_yolo_program;

enum {
    WILOR_YOLO_BOX = 64,
    WILOR_YOLO_CLASSES = 2,
    WILOR_YOLO_POINTS = 63,
    WILOR_YOLO_HEAD = 129
};

/* Never fails for a plan that wilor_yolo_plan_read made. head_beside: the head's steps run beside the neck's,
 * which are too small for many threads; their maps live longer then, 5 MB more in float32. */
void wilor_yolo_program_make(wilor_yolo_program *p, const wilor_yolo_plan *plan,
                             bool head_beside);

#endif
