/* Rasteriser: 3 × 3 samples a pixel in strips of rows, one depth buffer for all hands.
 *
 * Each sample keeps the inverse depth and the number of the nearest triangle. A pixel is then
 * shaded once for every triangle that has samples in it, at the middle of those samples, which
 * lies inside the triangle: edges are anti-aliased against the photo and against each other,
 * and what lies inside costs one shading a pixel.
 *
 * Edge functions are doubles evaluated afresh at each row, not stepped: the two triangles at an
 * edge get values of exactly opposite sign, so that no sample falls between them. */
#include "overlay_raster.h"
#include "heap.h"
#include "overlay_mesh.h"
#include "overlay_shade.h"

#include <math.h>
#include <string.h>

enum { S = 3, SAMPLES = S * S, STRIP_SAMPLES = 512 * 1024, NO_TRIANGLE = -1 };

/* Edge function i of a point is a[i]·x + b[i]·y + c[i]: its barycentric weight times the area,
 * all >= 0 inside. Not scaled to the weight itself: the triangle on the edge's other side has
 * another area, and the two would no longer be of exactly opposite sign. */
typedef struct plane3 {
    double a[3], b[3], c[3];
    double scale;    /* 1 / area: from edge functions to weights */
    double solve[3]; /* −S / a: from a row's value to the sample where the edge is crossed */
    bool front;
} plane3;

typedef struct area {
    int x0, y0, x1, y1; /* pixels, x1 and y1 excluded */
} area;

typedef struct raster {
    const wilor_canvas *canvas;
    wilor_mesh mesh;
    plane3 *planes;
    area *bounds;
    area all;
    float opacity;
    int strip_rows;
    float *inverse_z; /* of a strip: rows of S × width samples */
    int32_t *triangle;
    wilor_shade_curve curve;
} raster;

static float least(float a, float b) { return a < b ? a : b; }

static float most(float a, float b) { return a > b ? a : b; }

/* Where sample i of a line of samples lies, in pixels. */
static double sample_at(int i) { return (i + 0.5) / S - 0.5; }

static bool set_up_planes(plane3 *p, const wilor_mesh *m, const wilor_mesh_triangle *t) {
    const wilor_mesh_vertex *v[3];
    for (int i = 0; i < 3; i++)
        v[i] = m->vertices + t->corner[i];
    for (int i = 0; i < 3; i++) {
        const wilor_mesh_vertex *j = v[(i + 1) % 3], *k = v[(i + 2) % 3];
        p->a[i] = (double)j->y - k->y;
        p->b[i] = (double)k->x - j->x;
        p->c[i] = (double)j->x * k->y - (double)k->x * j->y;
    }
    /* Twice the signed area. Outside is where corners run counter-clockwise; with y down that
     * is a negative area. */
    double twice = p->c[0] + p->c[1] + p->c[2];
    p->front = twice < 0;
    if (!(fabs(twice) > 1e-9))
        return false;
    double sign = p->front ? -1 : 1;
    p->scale = sign / twice;
    for (int i = 0; i < 3; i++) {
        p->a[i] *= sign;
        p->b[i] *= sign;
        p->c[i] *= sign;
        p->solve[i] = p->a[i] == 0 ? 0 : -S / p->a[i];
    }
    return true;
}

/* Pixels that a triangle may touch, clipped to the canvas as floats before they become
 * integers. */
static bool set_up_bounds(area *b, const wilor_mesh *m, const wilor_mesh_triangle *t, int width,
                          int height) {
    const wilor_mesh_vertex *v = m->vertices;
    float x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int i = 0; i < 3; i++) {
        x0 = least(x0, v[t->corner[i]].x);
        y0 = least(y0, v[t->corner[i]].y);
        x1 = most(x1, v[t->corner[i]].x);
        y1 = most(y1, v[t->corner[i]].y);
    }
    b->x0 = (int)least(most(floorf(x0), 0), (float)width);
    b->y0 = (int)least(most(floorf(y0), 0), (float)height);
    b->x1 = (int)least(most(ceilf(x1) + 1, 0), (float)width);
    b->y1 = (int)least(most(ceilf(y1) + 1, 0), (float)height);
    return b->x0 < b->x1 && b->y0 < b->y1;
}

/* Drops triangles that show nothing; `all` becomes what the rest may touch. */
static void set_up(raster *r) {
    wilor_mesh *m = &r->mesh;
    size_t kept = 0;
    r->all = (area){r->canvas->width, r->canvas->height, 0, 0};
    for (size_t i = 0; i < m->triangle_count; i++) {
        area b;
        if (!set_up_bounds(&b, m, m->triangles + i, r->canvas->width, r->canvas->height) ||
            !set_up_planes(r->planes + kept, m, m->triangles + i))
            continue;
        r->all.x0 = b.x0 < r->all.x0 ? b.x0 : r->all.x0;
        r->all.y0 = b.y0 < r->all.y0 ? b.y0 : r->all.y0;
        r->all.x1 = b.x1 > r->all.x1 ? b.x1 : r->all.x1;
        r->all.y1 = b.y1 > r->all.y1 ? b.y1 : r->all.y1;
        r->bounds[kept] = b;
        m->triangles[kept++] = m->triangles[i];
    }
    m->triangle_count = kept;
}

static bool is_inside(const plane3 *p, const double row[3], double x) {
    return p->a[0] * x + row[0] >= 0 && p->a[1] * x + row[1] >= 0 && p->a[2] * x + row[2] >= 0;
}

/* Samples first … last − 1 of a row that lie inside: solved for each edge, then made exact at
 * the ends with the same expression that decides for the neighbour triangle. */
static bool row_span(const plane3 *p, const double row[3], int *first, int *last) {
    double from = *first, to = *last - 1;
    for (int i = 0; i < 3; i++) {
        double at = row[i] * p->solve[i] + (0.5 * S - 0.5);
        if (p->a[i] > 0)
            from = at > from ? at : from;
        else if (p->a[i] < 0)
            to = at < to ? at : to;
        else if (row[i] < 0)
            return false;
    }
    if (!(from <= to + 1))
        return false;
    /* Truncation and one sample more on each side cover the rounding of the solution. Both are
     * within a sample of first … last by now, so they fit an int. */
    int a = (int)from - 1, b = (int)to + 2;
    a = a > *first ? a : *first;
    b = b < *last ? b : *last;
    while (a < b && !is_inside(p, row, sample_at(a)))
        a++;
    while (b > a && !is_inside(p, row, sample_at(b - 1)))
        b--;
    *first = a;
    *last = b;
    return a < b;
}

/* Inverse depth is linear on the screen: a·x + b·y + c. */
static void depth_plane(const raster *r, size_t i, double plane[3]) {
    const wilor_mesh_triangle *t = r->mesh.triangles + i;
    const plane3 *p = r->planes + i;
    plane[0] = plane[1] = plane[2] = 0;
    for (int k = 0; k < 3; k++) {
        double inverse = r->mesh.vertices[t->corner[k]].inverse_z * p->scale;
        plane[0] += inverse * p->a[k];
        plane[1] += inverse * p->b[k];
        plane[2] += inverse * p->c[k];
    }
}

static void fill_triangle(raster *r, size_t i, int y0, int y1) {
    const area *b = r->bounds + i;
    const plane3 *p = r->planes + i;
    size_t pitch = (size_t)(r->all.x1 - r->all.x0) * S;
    double depth[3];
    depth_plane(r, i, depth);
    int begin = b->y0 > y0 ? b->y0 : y0, end = b->y1 < y1 ? b->y1 : y1;
    for (int sy = begin * S; sy < end * S; sy++) {
        double y = sample_at(sy);
        double row[3] = {p->b[0] * y + p->c[0], p->b[1] * y + p->c[1], p->b[2] * y + p->c[2]};
        int first = b->x0 * S, last = b->x1 * S;
        if (!row_span(p, row, &first, &last))
            continue;
        size_t at = (size_t)(sy - y0 * S) * pitch + (size_t)(first - r->all.x0 * S);
        float step = (float)(depth[0] / S);
        float start = (float)(depth[0] * sample_at(first) + depth[1] * y + depth[2]);
        float *nearest = r->inverse_z + at;
        int32_t *triangle = r->triangle + at;
        for (int k = 0; k < last - first; k++) {
            float inverse = start + step * (float)k;
            bool nearer = inverse > nearest[k];
            nearest[k] = nearer ? inverse : nearest[k];
            triangle[k] = nearer ? (int32_t)i : triangle[k];
        }
    }
}

/* The colour of triangle i at a point of the screen, attributes interpolated in perspective. */
static void shade_at(const raster *r, int32_t i, double x, double y, uint8_t *rgb) {
    const wilor_mesh_triangle *t = r->mesh.triangles + i;
    const plane3 *p = r->planes + i;
    wilor_shade_point point = {.side = t->side, .inside = !p->front};
    float weight[3], total = 0;
    for (int k = 0; k < 3; k++) {
        float w = (float)((p->a[k] * x + p->b[k] * y + p->c[k]) * p->scale);
        weight[k] = (w > 0 ? w : 0) * r->mesh.vertices[t->corner[k]].inverse_z;
        total += weight[k];
    }
    float share = total > 0 ? 1 / total : 0;
    for (int k = 0; k < 3; k++) {
        const wilor_mesh_vertex *v = r->mesh.vertices + t->corner[k];
        float w = weight[k] * share;
        for (int c = 0; c < 3; c++) {
            point.normal[c] += w * v->normal[c];
            point.to_eye[c] -= w * v->position[c];
        }
        point.open += w * v->open;
    }
    wilor_shade(&r->curve, &point, rgb);
}

/* Samples of one pixel that show the same triangle. */
typedef struct fragment {
    int32_t triangle;
    int samples;
    int x, y; /* sums of the samples' places inside the pixel, 0 … S − 1 */
} fragment;

static bool is_uniform(const int32_t *samples, size_t pitch) {
    int32_t other = 0;
    for (size_t sy = 0; sy < S; sy++)
        for (size_t sx = 0; sx < S; sx++)
            other |= samples[sy * pitch + sx] ^ samples[0];
    return other == 0;
}

static int gather_fragments(fragment *out, const int32_t *samples, size_t pitch) {
    int n = 0;
    if (is_uniform(samples, pitch)) {
        out[0] = (fragment){samples[0], SAMPLES, SAMPLES * (S - 1) / 2, SAMPLES * (S - 1) / 2};
        return samples[0] != NO_TRIANGLE;
    }
    for (int sy = 0; sy < S; sy++)
        for (int sx = 0; sx < S; sx++) {
            int32_t triangle = samples[(size_t)sy * pitch + (size_t)sx];
            int k = 0;
            if (triangle == NO_TRIANGLE)
                continue;
            while (k < n && out[k].triangle != triangle)
                k++;
            if (k == n)
                out[n++] = (fragment){triangle, 0, 0, 0};
            out[k].samples++;
            out[k].x += sx;
            out[k].y += sy;
        }
    return n;
}

static void resolve_pixel(const raster *r, int x, int y, const int32_t *samples, size_t pitch,
                          uint8_t *pixel) {
    fragment fragments[SAMPLES];
    int n = gather_fragments(fragments, samples, pitch);
    float color[3] = {0}, coverage = 0;
    for (int i = 0; i < n; i++) {
        const fragment *f = fragments + i;
        uint8_t rgb[3];
        double many = f->samples;
        shade_at(r, f->triangle, x + (f->x / many + 0.5) / S - 0.5,
                 y + (f->y / many + 0.5) / S - 0.5, rgb);
        float weight = (float)f->samples * (r->opacity / SAMPLES);
        coverage += weight;
        for (int c = 0; c < 3; c++)
            color[c] += weight * rgb[c];
    }
    if (coverage > 0)
        for (int c = 0; c < 3; c++) {
            float v = color[c] + (1 - coverage) * pixel[c] + 0.5f;
            pixel[c] = (uint8_t)(v < 255 ? v : 255);
        }
}

static void draw_strip(raster *r, int y0, int y1) {
    size_t pitch = (size_t)(r->all.x1 - r->all.x0) * S, count = pitch * (size_t)(y1 - y0) * S;
    memset(r->inverse_z, 0, count * sizeof *r->inverse_z);
    memset(r->triangle, 0xFF, count * sizeof *r->triangle);
    for (size_t i = 0; i < r->mesh.triangle_count; i++)
        if (r->bounds[i].y0 < y1 && r->bounds[i].y1 > y0)
            fill_triangle(r, i, y0, y1);
    for (int y = y0; y < y1; y++) {
        const int32_t *row = r->triangle + (size_t)(y - y0) * S * pitch;
        uint8_t *pixels = r->canvas->data + r->canvas->pitch * (size_t)y;
        for (int x = r->all.x0; x < r->all.x1; x++)
            resolve_pixel(r, x, y, row + (size_t)(x - r->all.x0) * S, pitch,
                          pixels + 3 * (size_t)x);
    }
}

static wilor_status draw_strips(raster *r, wilor_error *err) {
    wilor_status st = WILOR_OK;
    int width = r->all.x1 - r->all.x0, height = r->all.y1 - r->all.y0;
    if (width <= 0 || height <= 0)
        return WILOR_OK;
    int64_t rows = STRIP_SAMPLES / ((int64_t)width * SAMPLES);
    r->strip_rows = rows < 1 ? 1 : rows < height ? (int)rows : height;
    size_t samples = (size_t)width * SAMPLES;
    r->inverse_z = wilor_heap_alloc(samples, (size_t)r->strip_rows * sizeof *r->inverse_z);
    r->triangle = wilor_heap_alloc(samples, (size_t)r->strip_rows * sizeof *r->triangle);
    if (!r->inverse_z || !r->triangle)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to draw %d x %d pixels", width, height);
    for (int y = r->all.y0; y < r->all.y1; y += r->strip_rows)
        draw_strip(r, y, y + r->strip_rows < r->all.y1 ? y + r->strip_rows : r->all.y1);
done:
    wilor_heap_free(r->inverse_z);
    wilor_heap_free(r->triangle);
    return st;
}

wilor_status wilor_overlay_mesh(const wilor_canvas *canvas, const wilor_overlay_scene *scene,
                                wilor_error *err) {
    wilor_status st = WILOR_OK;
    raster *r = NULL;
    if (scene->n <= 0 || !(scene->opacity > 0))
        return WILOR_OK;
    r = wilor_heap_alloc(1, sizeof *r);
    if (!r)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to draw %d hands", scene->n);
    r->canvas = canvas;
    r->opacity = scene->opacity < 1 ? scene->opacity : 1;
    wilor_shade_curve_init(&r->curve);
    WILOR_TRY(wilor_mesh_build(&r->mesh, scene, err));
    r->planes = wilor_heap_alloc(r->mesh.triangle_count, sizeof *r->planes);
    r->bounds = wilor_heap_alloc(r->mesh.triangle_count, sizeof *r->bounds);
    if (!r->planes || !r->bounds || r->mesh.triangle_count > INT32_MAX)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to draw %d hands", scene->n);
    set_up(r);
    WILOR_TRY(draw_strips(r, err));
done:
    if (r) {
        wilor_heap_free(r->planes);
        wilor_heap_free(r->bounds);
        wilor_mesh_free(&r->mesh);
    }
    wilor_heap_free(r);
    return st;
}
