/* Ambient occlusion of the meshes, in space: how much of a vertex's sky other parts of the
 * hands take.
 *
 * Method: the surface is replaced by some hundred small discs (vertices gathered in the cells
 * of a grid, their area vectors summed), and each vertex sums the form factors of the discs
 * that face it (Bunnell, "Dynamic Ambient Occlusion and Indirect Lighting", GPU Gems 2, 2005;
 * one pass, no visibility). It makes fingers darken the palm, and one hand the other. Convex
 * surroundings lie behind a vertex's tangent plane and add nothing. */
#include "heap.h"
#include "overlay_mesh.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8 };

/* Structure of arrays in groups of LANES, so that the sum below is one vector operation a step. */
typedef struct disc_group {
    float x[LANES], y[LANES], z[LANES];
    float nx[LANES], ny[LANES], nz[LANES];
    float area[LANES]; /* 0: no disc */
} disc_group;

typedef struct cell_entry {
    uint32_t cell, vertex;
} cell_entry;

typedef struct extent {
    float low[3], high[3];
} extent;

static bool is_usable(const wilor_mesh_vertex *v) {
    for (int c = 0; c < 3; c++)
        if (!isfinite(v->position[c]) || !isfinite(v->normal[c]))
            return false;
    return true;
}

static extent extent_of(const wilor_mesh_vertex *v, int count) {
    extent e = {{INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY}};
    for (int i = 0; i < count; i++)
        for (int c = 0; c < 3 && is_usable(v + i); c++) {
            e.low[c] = fminf(e.low[c], v[i].position[c]);
            e.high[c] = fmaxf(e.high[c], v[i].position[c]);
        }
    return e;
}

static float longest_side(const extent *e) {
    return fmaxf(e->high[0] - e->low[0], fmaxf(e->high[1] - e->low[1], e->high[2] - e->low[2]));
}

static int by_cell(const void *a, const void *b) {
    const cell_entry *p = a, *q = b;
    if (p->cell != q->cell)
        return p->cell < q->cell ? -1 : 1;
    return p->vertex < q->vertex ? -1 : p->vertex > q->vertex;
}

/* Cells of 1/22 of the hand's longest side: about 8 mm, half a finger. */
static int sort_into_cells(cell_entry *entries, const wilor_mesh_vertex *v, int count,
                           const extent *e) {
    enum { CELLS = 22 };

    float scale = (float)CELLS / longest_side(e);
    int used = 0;
    for (int i = 0; i < count; i++) {
        uint32_t cell = 0;
        if (!is_usable(v + i))
            continue;
        for (int c = 0; c < 3; c++)
            cell = cell << 8 | (uint32_t)((v[i].position[c] - e->low[c]) * scale);
        entries[used++] = (cell_entry){cell, (uint32_t)i};
    }
    qsort(entries, (size_t)used, sizeof *entries, by_cell);
    return used;
}

static void put_disc(disc_group *groups, int at, const float sum[3], const float normal[3],
                     int members) {
    disc_group *g = groups + at / LANES;
    int lane = at % LANES;
    float length = sqrtf(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]);
    float unit = length > 0 ? 1 / length : 0, share = 1 / (float)members;
    g->x[lane] = sum[0] * share;
    g->y[lane] = sum[1] * share;
    g->z[lane] = sum[2] * share;
    g->nx[lane] = normal[0] * unit;
    g->ny[lane] = normal[1] * unit;
    g->nz[lane] = normal[2] * unit;
    g->area[lane] =
        length / 6; /* a face's cross product is twice its area, for each of 3 corners */
}

/* Returns the number of groups used. */
static int gather_discs(disc_group *groups, cell_entry *entries, const wilor_mesh_vertex *v,
                        int count, const extent *e) {
    int used = sort_into_cells(entries, v, count, e), discs = 0;
    for (int i = 0; i < used;) {
        float sum[3] = {0}, normal[3] = {0};
        int first = i;
        for (; i < used && entries[i].cell == entries[first].cell; i++)
            for (int c = 0; c < 3; c++) {
                sum[c] += v[entries[i].vertex].position[c];
                normal[c] += v[entries[i].vertex].normal[c];
            }
        put_disc(groups, discs++, sum, normal, i - first);
    }
    return (discs + LANES - 1) / LANES;
}

/* Sum of A cosR cosE / (pi r² + A) over the discs; n has length 1. */
static float sky_taken(const disc_group *groups, int count, const float p[3],
                       const float n[3]) {
    float sum[LANES] = {0}, total = 0;
    for (const disc_group *g = groups; g < groups + count; g++)
        for (int l = 0; l < LANES; l++) {
            float dx = g->x[l] - p[0], dy = g->y[l] - p[1], dz = g->z[l] - p[2];
            float r2 = dx * dx + dy * dy + dz * dz + 1e-9f;
            float seen = n[0] * dx + n[1] * dy + n[2] * dz;
            float faces = -(g->nx[l] * dx + g->ny[l] * dy + g->nz[l] * dz);
            seen = seen > 0 ? seen : 0;
            faces = faces > 0 ? faces : 0;
            sum[l] += g->area[l] * seen * faces / (r2 * (3.1415927f * r2 + g->area[l]));
        }
    for (int l = 0; l < LANES; l++)
        total += sum[l];
    return total;
}

/* Hands farther apart than one is long do not shade each other. */
static bool are_near(const extent *a, const extent *b) {
    float reach = fmaxf(longest_side(a), longest_side(b));
    for (int c = 0; c < 3; c++)
        if (!(a->low[c] - b->high[c] < reach && b->low[c] - a->high[c] < reach))
            return false;
    return true;
}

static void shade_hand(wilor_mesh_vertex *v, int count, const disc_group *groups, int used) {
    for (int i = 0; i < count; i++) {
        const float *m = v[i].normal;
        float length = sqrtf(m[0] * m[0] + m[1] * m[1] + m[2] * m[2]);
        if (!is_usable(v + i) || !(length > 0))
            continue;
        float n[3] = {m[0] / length, m[1] / length, m[2] / length};
        v[i].open -= sky_taken(groups, used, v[i].position, n);
    }
}

static void occlude(wilor_mesh_vertex *vertices, int hands, int count, extent *extents,
                    disc_group *groups, cell_entry *entries) {
    size_t all = (size_t)hands * (size_t)count;
    for (size_t i = 0; i < all; i++)
        vertices[i].open = 1;
    for (int h = 0; h < hands; h++)
        extents[h] = extent_of(vertices + (size_t)h * (size_t)count, count);
    for (int from = 0; from < hands; from++) {
        const wilor_mesh_vertex *v = vertices + (size_t)from * (size_t)count;
        float size = longest_side(extents + from);
        if (!(size > 1e-6f && size < 1e4f)) /* else the grid has no scale */
            continue;
        memset(groups, 0, ((size_t)count / LANES + 1) * sizeof *groups);
        int used = gather_discs(groups, entries, v, count, extents + from);
        for (int to = 0; to < hands; to++)
            if (are_near(extents + from, extents + to))
                shade_hand(vertices + (size_t)to * (size_t)count, count, groups, used);
    }
    for (size_t i = 0; i < all; i++)
        vertices[i].open = vertices[i].open > 0 ? vertices[i].open : 0;
}

bool wilor_mesh_occlude(wilor_mesh_vertex *vertices, int hands, int vertices_per_hand) {
    size_t count = (size_t)vertices_per_hand;
    extent *extents = wilor_heap_alloc((size_t)hands, sizeof *extents);
    disc_group *groups = wilor_heap_alloc(count / LANES + 1, sizeof *groups);
    cell_entry *entries = wilor_heap_alloc(count, sizeof *entries);
    bool good = extents && groups && entries;
    if (good)
        occlude(vertices, hands, vertices_per_hand, extents, groups, entries);
    wilor_heap_free(entries);
    wilor_heap_free(groups);
    wilor_heap_free(extents);
    return good;
}
