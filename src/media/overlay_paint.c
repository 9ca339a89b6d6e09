/* Shapes by signed distance: a pixel's coverage is taken from the distance of its centre to the
 * edge, half a pixel of ramp to each side. Exact for straight edges along the axes, near enough
 * elsewhere, and free of supersampling. Coordinates are compared as floats and clipped to the
 * canvas before they become integers, so that no value can overflow. */
#include "overlay_paint.h"

#include <math.h>
#include <stdbool.h>

typedef struct bounds {
    int x0, y0, x1, y1; /* inclusive */
} bounds;

/* Pixels of the canvas that [x0, x1] × [y0, y1] may touch; false when none, or when not
 * numbers. */
static bool clip_bounds(bounds *b, const wilor_canvas *canvas, float x0, float y0, float x1,
                        float y1) {
    float right = (float)(canvas->width - 1), bottom = (float)(canvas->height - 1);
    if (!(x0 <= right && x1 >= 0 && y0 <= bottom && y1 >= 0))
        return false;
    b->x0 = x0 > 0 ? (int)x0 : 0;
    b->y0 = y0 > 0 ? (int)y0 : 0;
    b->x1 = x1 < right ? (int)ceilf(x1) : canvas->width - 1;
    b->y1 = y1 < bottom ? (int)ceilf(y1) : canvas->height - 1;
    return true;
}

static void blend(uint8_t *pixel, wilor_paint paint, float coverage) {
    float a = coverage * paint.alpha;
    const float to[3] = {paint.red, paint.green, paint.blue};
    for (int c = 0; c < 3; c++)
        pixel[c] = (uint8_t)((float)pixel[c] + a * (to[c] - (float)pixel[c]) + 0.5f);
}

/* Not fminf and fmaxf: those are calls, for the sake of NaN, which is ruled out before. */
static float least(float a, float b) { return a < b ? a : b; }

static float most(float a, float b) { return a > b ? a : b; }

static float clamp01(float v) { return v < 0 ? 0 : v > 1 ? 1 : v; }

static float distance_squared(const wilor_segment *s, float x, float y) {
    float dx = s->x1 - s->x0, dy = s->y1 - s->y0;
    float length = dx * dx + dy * dy;
    float t = length > 0 ? clamp01(((x - s->x0) * dx + (y - s->y0) * dy) / length) : 0;
    float ex = x - s->x0 - t * dx, ey = y - s->y0 - t * dy;
    return ex * ex + ey * ey;
}

/* Of row y only the part that one segment can reach: a long slanted bone touches little of its
 * bounds. */
static void clip_row(bounds *b, const wilor_segment *s, float y, float reach) {
    float dy = s->y1 - s->y0, dx = s->x1 - s->x0, from = 0, to = 1;
    if (dy != 0) {
        float t0 = (y - reach - s->y0) / dy, t1 = (y + reach - s->y0) / dy;
        from = clamp01(least(t0, t1));
        to = clamp01(most(t0, t1));
    }
    float xa = s->x0 + from * dx, xb = s->x0 + to * dx;
    float low = least(xa, xb) - reach, high = most(xa, xb) + reach;
    if (low > (float)b->x0)
        b->x0 = (int)low;
    if (high < (float)b->x1)
        b->x1 = (int)ceilf(high);
}

void wilor_paint_segments(const wilor_canvas *canvas, const wilor_segment *segments, int n,
                          float radius, wilor_paint paint) {
    float x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY, reach = radius + 1;
    static const float FAR = 1e6f; /* squares of what is nearer fit a float well */
    bounds b;
    for (int i = 0; i < n; i++) {
        const wilor_segment *s = segments + i;
        if (!(fabsf(s->x0) < FAR && fabsf(s->y0) < FAR && fabsf(s->x1) < FAR &&
              fabsf(s->y1) < FAR))
            return;
        x0 = least(x0, least(s->x0, s->x1));
        y0 = least(y0, least(s->y0, s->y1));
        x1 = most(x1, most(s->x0, s->x1));
        y1 = most(y1, most(s->y0, s->y1));
    }
    if (!clip_bounds(&b, canvas, x0 - reach, y0 - reach, x1 + reach, y1 + reach))
        return;
    for (int y = b.y0; y <= b.y1; y++) {
        uint8_t *row = canvas->data + canvas->pitch * (size_t)y;
        bounds span = b;
        if (n == 1)
            clip_row(&span, segments, (float)y, reach);
        for (int x = span.x0; x <= span.x1; x++) {
            float nearest = INFINITY;
            for (int i = 0; i < n; i++)
                nearest = least(nearest, distance_squared(segments + i, (float)x, (float)y));
            if (nearest < reach * reach) {
                float coverage = clamp01(radius + 0.5f - sqrtf(nearest));
                if (coverage > 0)
                    blend(row + 3 * (size_t)x, paint, coverage);
            }
        }
    }
}

/* Distance to the edge of a rectangle with round corners, negative inside. q is how far a point
 * lies outside the rectangle of the corners' centres, in x and y. */
static float distance_to_box(float qx, float qy, float corner) {
    if (qx <= 0 || qy <= 0)
        return most(qx, qy) - corner;
    return sqrtf(qx * qx + qy * qy) - corner;
}

void wilor_paint_box(const wilor_canvas *canvas, const float box[4], float corner, float line,
                     wilor_paint paint) {
    bounds b;
    float reach = line * 0.5f + 1;
    if (!clip_bounds(&b, canvas, box[0] - reach, box[1] - reach, box[2] + reach,
                     box[3] + reach))
        return;
    float half_w = (box[2] - box[0]) * 0.5f, half_h = (box[3] - box[1]) * 0.5f;
    float cx = box[0] + half_w, cy = box[1] + half_h;
    corner = least(corner, least(half_w, half_h));
    for (int y = b.y0; y <= b.y1; y++) {
        uint8_t *row = canvas->data + canvas->pitch * (size_t)y;
        float qy = fabsf((float)y - cy) - half_h + corner;
        for (int x = b.x0; x <= b.x1; x++) {
            float qx = fabsf((float)x - cx) - half_w + corner;
            float d = distance_to_box(qx, qy, corner);
            float coverage = clamp01(line > 0 ? line * 0.5f - fabsf(d) + 0.5f : 0.5f - d);
            if (coverage > 0)
                blend(row + 3 * (size_t)x, paint, coverage);
        }
    }
}

void wilor_paint_dim(const wilor_canvas *canvas, float factor) {
    unsigned scale = (unsigned)(clamp01(factor) * 256.0f);
    for (int y = 0; y < canvas->height; y++) {
        uint8_t *row = canvas->data + canvas->pitch * (size_t)y;
        for (size_t i = 0; i < (size_t)canvas->width * 3; i++)
            row[i] = (uint8_t)(row[i] * scale >> 8);
    }
}
