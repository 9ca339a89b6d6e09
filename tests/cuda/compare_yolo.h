/* A detector's network by itself, as the checks of its parts use it. */
#ifndef WILOR_CUDA_COMPARE_YOLO_H
#define WILOR_CUDA_COMPARE_YOLO_H

#include "compare.h"
#include "model_impl.h"

typedef struct compare_yolo {
    wilor_detector *detector;
    wilor_threads *pool;
    wilor_yolo_run *run;
} compare_yolo;

void compare_yolo_open(compare_yolo *y, const compare_options *o, const char *device,
                       wilor_dtype dtype);
void compare_yolo_close(compare_yolo *y);
/* Its forward pass of an input, width × height × 3 bytes. */
void compare_yolo_forward(compare_yolo *y, const uint8_t *rgb, int width, int height);

#endif
