/* Suppression of overlapping detections: torchvision's nms as ultralytics calls it, or
 * wilor-mlx's across classes. docs/detector.md. */
#ifndef WILOR_NMS_H
#define WILOR_NMS_H

#include <stddef.h>

typedef struct wilor_candidate {
    float box[4]; /* cx cy w h, network pixels */
    float score;
    int side;        /* class: 0 left, 1 right */
    int anchor;      /* column of the head's output */
    float side_odds; /* natural logarithm, for this side against the other; 0 or more */
} wilor_candidate;

typedef enum wilor_nms_kind {
    WILOR_NMS_BY_SIDE,      /* ultralytics: left hands and right ones do not meet */
    WILOR_NMS_ACROSS_SIDES, /* its agnostic_nms: a hand is left or right */
    WILOR_NMS_MLX           /* across sides, + 1e-6 in the quotient, no limit on candidates */
} wilor_nms_kind;

typedef struct wilor_nms_rule {
    double iou; /* not rounded to float: torchvision compares in double */
    int most;   /* results, 300 */
    wilor_nms_kind kind;
} wilor_nms_rule;

enum { WILOR_NMS_CANDIDATES = 30000 };

/* Bytes of scratch for n candidates. */
size_t wilor_nms_scratch(int n);

/* candidates (n, in anchor order, all above the threshold) are reordered; kept gets the indices
 * (into the reordered array) of what stays, the best first; returns how many. */
int wilor_nms(wilor_candidate *candidates, int n, const wilor_nms_rule *rule, void *scratch,
              int *kept);

#endif
