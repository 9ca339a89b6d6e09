/* One loop for all eight orientations: where the first pixel goes, and two steps, one to the right
 * and one down in the source. In blocks, because what is a row on one side is a column on the other. */
#include "picture_turn.h"

#include <string.h>

enum { PIXEL = 3, BLOCK = 32 };

static int least(int a, int b) { return a < b ? a : b; }

void wilor_picture_turn(uint8_t *to, ptrdiff_t to_stride, const uint8_t *from,
                        ptrdiff_t from_stride, int width, int height, int orientation) {
    const int swap = orientation >= 5 && orientation <= 8;
    const int flip_x = orientation == 2 || orientation == 3 || orientation == 6 ||
                       orientation == 7; /* in the turned picture */
    const int flip_y =
        orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    const int to_width = swap ? height : width, to_height = swap ? width : height;
    ptrdiff_t across = PIXEL, down = to_stride;
    if (flip_x) {
        to += (ptrdiff_t)(to_width - 1) * PIXEL;
        across = -across;
    }
    if (flip_y) {
        to += (to_height - 1) * to_stride;
        down = -down;
    }
    const ptrdiff_t right = swap ? down : across, below = swap ? across : down;
    for (int by = 0; by < height; by += BLOCK)
        for (int bx = 0; bx < width; bx += BLOCK)
            for (int y = by; y < least(height, by + BLOCK); y++)
                for (int x = bx; x < least(width, bx + BLOCK); x++)
                    memcpy(to + x * right + y * below, from + y * from_stride + x * PIXEL,
                           PIXEL);
}
