/* Turning pixels upright while they are copied. */
#ifndef WILOR_PICTURE_TURN_H
#define WILOR_PICTURE_TURN_H

#include <stddef.h>
#include <stdint.h>

/* Copy width × height pixels of 3 bytes by EXIF's orientation 1 … 8 (5 … 8 exchange width and
 * height). The two may not overlap. Strides in bytes. */
void wilor_picture_turn(uint8_t *to, ptrdiff_t to_stride, const uint8_t *from,
                        ptrdiff_t from_stride, int width, int height, int orientation);

#endif
