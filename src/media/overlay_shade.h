/* The light on a hand. Internal to the overlay. */
#ifndef WILOR_OVERLAY_SHADE_H
#define WILOR_OVERLAY_SHADE_H

#include <stdbool.h>
#include <stdint.h>

/* A point of a surface. */
typedef struct wilor_shade_point {
    float normal[3]; /* any length */
    float to_eye[3]; /* any length */
    float open;      /* 0 … 1, ambient light that reaches it */
    uint8_t side;    /* a wilor_side */
    bool inside;     /* seen from the back: the hollow wrist */
} wilor_shade_point;

enum { WILOR_SHADE_STEPS = 1024 };

/* From linear light to a display's values, tone curve included; one a drawing. */
typedef struct wilor_shade_curve {
    uint8_t value[WILOR_SHADE_STEPS];
} wilor_shade_curve;

void wilor_shade_curve_init(wilor_shade_curve *curve);
/* rgb: 3 values as they are shown, 0 … 255. */
void wilor_shade(const wilor_shade_curve *curve, const wilor_shade_point *point, uint8_t *rgb);

#endif
