/* The hands of a picture as one bag of triangles, ready to be rasterised. Internal to the
 * overlay. */
#ifndef WILOR_OVERLAY_MESH_H
#define WILOR_OVERLAY_MESH_H

#include "overlay_raster.h"

typedef struct wilor_mesh_vertex {
    float position[3]; /* camera frame, metres */
    float normal[3];   /* outwards, length 1 (0 where no face has an area) */
    float open;        /* 0 … 1: how much of the sky over it other parts leave free */
    float inverse_z;   /* 0: not to be drawn */
    float x, y;        /* pixels, centres at integers */
} wilor_mesh_vertex;

typedef struct wilor_mesh_triangle {
    uint32_t corner[3];
    uint8_t side;
} wilor_mesh_triangle;

typedef struct wilor_mesh {
    wilor_mesh_vertex *vertices;
    wilor_mesh_triangle *triangles;
    size_t vertex_count, triangle_count;
} wilor_mesh;

/* Vertices with normals, occlusion and projection; triangles clipped at the near plane.
 * Triangles with an index outside, a coordinate that is no number or a projection absurdly far
 * out are left away. */
wilor_status wilor_mesh_build(wilor_mesh *mesh, const wilor_overlay_scene *scene,
                              wilor_error *err);
void wilor_mesh_free(wilor_mesh *mesh);

/* Fill `open` of hands × vertices_per_hand vertices, whose normals are still sums of cross
 * products, twice the area of their faces long. False: no memory. */
bool wilor_mesh_occlude(wilor_mesh_vertex *vertices, int hands, int vertices_per_hand);

#endif
