/* A hand detector's file as tensors and a plan of its network (../shared spec: docs/detector.md).
 * The topology is YOLOv8-pose's and fixed; widths and repeats come from the tensors. */
#ifndef WILOR_YOLO_FILE_H
#define WILOR_YOLO_FILE_H

#include "tensor_index.h"

#include <stdbool.h>

enum { WILOR_YOLO_LAYERS = 22, WILOR_YOLO_LEVELS = 3, WILOR_YOLO_MOST_REPEATS = 16 };

typedef struct wilor_yolo_plan {
    int channels[WILOR_YOLO_LAYERS]; /* each layer's output, 0 … 21 */
    int repeats[WILOR_YOLO_LAYERS];  /* bottlenecks of a C2f layer, else 0 */
    int hidden
        [3];   /* widths inside the head's branches cv2 (box), cv3 (class), cv4 (keypoints) */
    int imgsz; /* from the file, 640 when it says nothing; 32 … 4096 */
    bool across_sides;   /* metadata's agnostic_nms: a hand is left or right */
    uint64_t parameters; /* numbers in all float tensors but running means and variances */
} wilor_yolo_plan;

/* Read and check everything but the values: classes, strides, connections and attributes of every
 * module (a .pt has them), names and shapes of all tensors, nc 2, 21 × 3 keypoints. The index must
 * be canonical (wilor_index_canonical) and of kind WILOR_FILE_DETECTOR.
 *   errors  ERR_MODEL, naming file, module or tensor, what it is and what it should be */
wilor_status wilor_yolo_plan_read(wilor_yolo_plan *plan, const wilor_index *index,
                                  wilor_error *err);

typedef struct wilor_yolo_conv {
    char prefix[48];   /* "model.0", "model.2.m.0.cv1", "model.22.cv2.0.2" */
    int out, in, size; /* size × size kernel */
    bool plain;        /* a Conv2d with bias alone: the last ones of the head */
} wilor_yolo_conv;

/* Weights (out × size × size × in) as the file has them, and batch norm as one factor and one bias
 * an output (out each; float32; factors of 1 where there is none): weight · scale is the convolution.
 * All three, and every product, are finite. silu: whether it follows. */
wilor_status wilor_yolo_conv_read(const wilor_index *index, const wilor_yolo_conv *conv,
                                  float *weight, float *scale, float *bias, bool *silu,
                                  wilor_error *err);

/* The same with the weights as half floats. *held: the file has them so, and all is finite; else nothing that is
 * written counts, and wilor_yolo_conv_read is to be called. */
wilor_status wilor_yolo_conv_read_halves(const wilor_index *index, const wilor_yolo_conv *conv,
                                         uint16_t *weight, float *scale, float *bias,
                                         bool *silu, bool *held, wilor_error *err);

#endif
