/* Text on a picture. Internal to the overlay. */
#ifndef WILOR_OVERLAY_FONT_H
#define WILOR_OVERLAY_FONT_H

#include "overlay_paint.h"

/* Width of text in pixels when capitals are cap pixels high. Only printable ASCII has glyphs,
 * all else is a '?'. */
float wilor_font_width(const char *text, float cap);
/* Draw it with the left end of its base line at (x, y). */
void wilor_font_draw(const wilor_canvas *canvas, float x, float y, float cap, const char *text,
                     wilor_paint paint);

#endif
