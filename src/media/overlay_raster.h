/* Drawing the meshes of hands over a picture, from plain arrays. Internal; overlay.c fills
 * them. */
#ifndef WILOR_OVERLAY_RASTER_H
#define WILOR_OVERLAY_RASTER_H

#include "overlay_paint.h"
#include "status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct wilor_overlay_hand {
    const float *vertices;  /* V × 3, metres */
    float offset[3];        /* added to them: the camera frame, x right, y down, z forward */
    float flip;             /* 1, or −1: x of vertices and offset is negated first */
    float fx, fy, cx, cy;   /* pixels; pixel centres at integers */
    float distortion[5];    /* k1 k2 p1 p2 k3 */
    const int32_t *faces;   /* F × 3, counter-clockwise seen from outside, after flip */
    const float *keypoints; /* 21 × 2, pixels */
    const float *depths;    /* 21 × 3, of which z orders the bones; NULL: unknown */
    const float *box;       /* x0 y0 x1 y1 */
    float score;
    uint8_t side; /* a wilor_side: colour and label */
} wilor_overlay_hand;

typedef struct wilor_overlay_scene {
    const wilor_overlay_hand *hands;
    int n;
    int vertices, faces; /* of each hand */
    float opacity;       /* 0 … 1 */
} wilor_overlay_scene;

/* Blend the meshes into the canvas. Only pixels that a mesh touches change.
 *   memory  one block for the geometry, one for a strip of samples, at most about 4 MB or one
 * row */
wilor_status wilor_overlay_mesh(const wilor_canvas *canvas, const wilor_overlay_scene *scene,
                                wilor_error *err);

/* overlay_skeleton.c: bones and joints; boxes with side and score; a line of text at the lower
 * edge. */
void wilor_overlay_skeleton(const wilor_canvas *canvas, const wilor_overlay_scene *scene);
void wilor_overlay_boxes(const wilor_canvas *canvas, const wilor_overlay_scene *scene);
void wilor_overlay_label(const wilor_canvas *canvas, const char *text);

#endif
