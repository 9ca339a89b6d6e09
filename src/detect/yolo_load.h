/* A loaded detector network: packed convolutions. Shared by yolo_load.c and yolo_run.c. */
#ifndef WILOR_YOLO_LOAD_H
#define WILOR_YOLO_LOAD_H

#include "arena.h"
#include "heap.h"
#include "yolo.h"
#include "yolo_program.h"

typedef struct wilor_yolo_packed {
    /* [out / nr][size · size · in][nr]; winograd: [out / nr][16][in][nr] of G g Gᵀ */
    float *panels;
    float *bias; /* padded to whole panels */
    bool silu;
    bool winograd;
} wilor_yolo_packed;

enum { WILOR_WINOGRAD_PLANES = 16 };

/* How many pieces of `size` hold `count`. */
static inline int wilor_yolo_parts(int count, int size) { return (count + size - 1) / size; }

struct wilor_yolo {
    const wilor_kernels *kernels;
    wilor_yolo_program program;
    wilor_yolo_packed convs[WILOR_YOLO_CONVS];
    wilor_arena arena;
    wilor_pages pages;
};

#endif
