/* The detector's program in the words of net_tensors.h, for devices. */
#ifndef WILOR_NET_DETECTOR_H
#define WILOR_NET_DETECTOR_H

#include "net_tensors.h"
#include "yolo.h"
#include "yolo_program.h"

typedef struct wilor_net_described {
    wilor_net_program program; /* of what follows */
    wilor_net_map maps[WILOR_YOLO_MAPS];
    wilor_net_step steps[WILOR_YOLO_STEPS]; /* weights are those of `convs` */
} wilor_net_described;

/* Free with wilor_heap_free. NULL: no memory. */
wilor_net_described *wilor_net_describe(const wilor_yolo_program *p,
                                        const wilor_yolo_folded *convs);

#endif
