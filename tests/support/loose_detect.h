/* Detections of a detector of random weights. */
#ifndef WILOR_TEST_LOOSE_DETECT_H
#define WILOR_TEST_LOOSE_DETECT_H

#include "wilor/wilor.h"

/* The lowest threshold that can be asked for: noise gives hands, too, `most` of them at most. */
static inline wilor_detect_options loose_detect(int most) {
    wilor_detect_options o;
    wilor_detect_options_init(&o, sizeof o);
    o.conf = 1e-6;
    o.imgsz = 160;
    o.max_hands = most;
    return o;
}

#endif
