/* Anti-aliased shapes on an RGB picture. Internal to the overlay. Shapes may lie anywhere,
 * coordinates may be any float: what is not a number or far outside is not drawn. */
#ifndef WILOR_OVERLAY_PAINT_H
#define WILOR_OVERLAY_PAINT_H

#include <stddef.h>
#include <stdint.h>

/* A rectangle of an image: rows of width × 3 bytes, pitch bytes apart. */
typedef struct wilor_canvas {
    uint8_t *data;
    int width, height;
    size_t pitch;
} wilor_canvas;

typedef struct wilor_paint {
    uint8_t red, green, blue;
    float alpha; /* 0 … 1 */
} wilor_paint;

typedef struct wilor_segment {
    float x0, y0, x1, y1;
} wilor_segment;

/* Every pixel within radius of any of the segments, each pixel once. */
void wilor_paint_segments(const wilor_canvas *canvas, const wilor_segment *segments, int n,
                          float radius, wilor_paint paint);
/* A rectangle with round corners: filled, or when line > 0 its outline of that width. */
void wilor_paint_box(const wilor_canvas *canvas, const float box[4], float corner, float line,
                     wilor_paint paint);
/* Scale every value by factor, 0 … 1. */
void wilor_paint_dim(const wilor_canvas *canvas, float factor);

#endif
