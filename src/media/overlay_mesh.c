/* From hands to triangles: placing, area-weighted normals, occlusion, projection, near-plane
 * clipping.
 *
 * Easy to get wrong: a coordinate may be anything. A vertex that is no number or kilometres
 * away takes its triangles with it; a triangle through the near plane is cut there, so that no
 * division by a small or negative depth is ever made. */
#include "overlay_mesh.h"
#include "heap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float NEAR_Z = 0.01f;   /* metres */
static const float FAR_COORD = 1e4f; /* metres: beyond it is no hand */
static const float FAR_PIXEL =
    8388608; /* beyond it a sample grid cannot be told apart in float */

static bool is_near_enough(const float p[3]) {
    return fabsf(p[0]) < FAR_COORD && fabsf(p[1]) < FAR_COORD && fabsf(p[2]) < FAR_COORD;
}

static void place(wilor_mesh_vertex *v, const wilor_overlay_hand *hand, int count) {
    for (int i = 0; i < count; i++) {
        const float *from = hand->vertices + 3 * (size_t)i;
        v[i].position[0] = hand->flip * (from[0] + hand->offset[0]);
        v[i].position[1] = from[1] + hand->offset[1];
        v[i].position[2] = from[2] + hand->offset[2];
    }
}

/* The corners of a face, or false when it cannot be drawn. */
static bool face_corners(const wilor_overlay_hand *hand, int face, int count,
                         const wilor_mesh_vertex *v, uint32_t corner[3]) {
    for (int i = 0; i < 3; i++) {
        int32_t k = hand->faces[3 * (size_t)face + (size_t)i];
        if (k < 0 || k >= count || !is_near_enough(v[k].position))
            return false;
        corner[i] = (uint32_t)k;
    }
    return true;
}

static void add_normals(wilor_mesh_vertex *v, const wilor_overlay_hand *hand,
                        const wilor_overlay_scene *scene) {
    uint32_t k[3];
    for (int f = 0; f < scene->faces; f++) {
        if (!face_corners(hand, f, scene->vertices, v, k))
            continue;
        const float *a = v[k[0]].position, *b = v[k[1]].position, *c = v[k[2]].position;
        float u[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
        float w[3] = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
        float n[3] = {u[1] * w[2] - u[2] * w[1], u[2] * w[0] - u[0] * w[2],
                      u[0] * w[1] - u[1] * w[0]};
        for (int i = 0; i < 3; i++)
            for (int d = 0; d < 3; d++)
                v[k[i]].normal[d] += n[d];
    }
}

/* Brown and Conrady's model, as hand/camera.c applies it to the keypoints. */
static void distort(const float k[5], float *x, float *y) {
    float r2 = *x * *x + *y * *y, xy = *x * *y;
    float radial = 1 + r2 * (k[0] + r2 * (k[1] + r2 * k[4]));
    float dx = 2 * k[2] * xy + k[3] * (r2 + 2 * *x * *x);
    float dy = 2 * k[3] * xy + k[2] * (r2 + 2 * *y * *y);
    *x = *x * radial + dx;
    *y = *y * radial + dy;
}

static void project(wilor_mesh_vertex *v, const wilor_overlay_hand *hand) {
    v->inverse_z = 0;
    if (!is_near_enough(v->position) || !(v->position[2] >= NEAR_Z))
        return;
    float inverse = 1 / v->position[2];
    float x = v->position[0] * inverse, y = v->position[1] * inverse;
    distort(hand->distortion, &x, &y);
    v->x = hand->fx * x + hand->cx;
    v->y = hand->fy * y + hand->cy;
    if (fabsf(v->x) < FAR_PIXEL && fabsf(v->y) < FAR_PIXEL)
        v->inverse_z = inverse;
}

static void finish_vertices(wilor_mesh_vertex *v, const wilor_overlay_hand *hand, int count) {
    for (int i = 0; i < count; i++) {
        float *n = v[i].normal;
        float length = sqrtf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        float unit = length > 0 && isfinite(length) ? 1 / length : 0;
        for (int c = 0; c < 3; c++)
            n[c] = unit > 0 ? n[c] * unit : 0;
        project(v + i, hand);
    }
}

/* Where the edge from a to b meets the near plane. The faces on both sides of an edge must name
 * it in the same order, so that they get the same point. */
static wilor_mesh_vertex cut_edge(const wilor_mesh_vertex *a, const wilor_mesh_vertex *b,
                                  const wilor_overlay_hand *hand) {
    wilor_mesh_vertex v = {.inverse_z = 0};
    float t = (NEAR_Z - a->position[2]) / (b->position[2] - a->position[2]);
    for (int c = 0; c < 3; c++) {
        v.position[c] = a->position[c] + t * (b->position[c] - a->position[c]);
        v.normal[c] = a->normal[c] + t * (b->normal[c] - a->normal[c]);
    }
    v.open = a->open + t * (b->open - a->open);
    v.position[2] = NEAR_Z;
    project(&v, hand);
    return v;
}

static void push_triangle(wilor_mesh *m, uint32_t a, uint32_t b, uint32_t c, uint8_t side) {
    if (m->vertices[a].inverse_z > 0 && m->vertices[b].inverse_z > 0 &&
        m->vertices[c].inverse_z > 0)
        m->triangles[m->triangle_count++] = (wilor_mesh_triangle){{a, b, c}, side};
}

/* One plane of Sutherland and Hodgman's clipping: three corners become none, three or four. */
static void push_clipped(wilor_mesh *m, const uint32_t corner[3],
                         const wilor_overlay_hand *hand) {
    uint32_t out[4];
    int n = 0;
    for (int i = 0; i < 3; i++) {
        uint32_t a = corner[i], b = corner[(i + 1) % 3];
        bool a_in = m->vertices[a].position[2] >= NEAR_Z;
        bool b_in = m->vertices[b].position[2] >= NEAR_Z;
        if (a_in)
            out[n++] = a;
        if (a_in != b_in) {
            out[n++] = (uint32_t)m->vertex_count;
            uint32_t low = a < b ? a : b, high = a < b ? b : a;
            m->vertices[m->vertex_count++] =
                cut_edge(m->vertices + low, m->vertices + high, hand);
        }
    }
    if (n >= 3)
        push_triangle(m, out[0], out[1], out[2], hand->side);
    if (n == 4)
        push_triangle(m, out[0], out[2], out[3], hand->side);
}

static void push_faces(wilor_mesh *m, const wilor_overlay_scene *scene, int h) {
    const wilor_overlay_hand *hand = scene->hands + h;
    size_t base = (size_t)h * (size_t)scene->vertices;
    uint32_t corner[3];
    for (int f = 0; f < scene->faces; f++) {
        if (!face_corners(hand, f, scene->vertices, m->vertices + base, corner))
            continue;
        for (int i = 0; i < 3; i++)
            corner[i] += (uint32_t)base;
        push_clipped(m, corner, hand);
    }
}

wilor_status wilor_mesh_build(wilor_mesh *mesh, const wilor_overlay_scene *scene,
                              wilor_error *err) {
    wilor_status st = WILOR_OK;
    size_t hands = (size_t)scene->n, vertices = 0, faces = 0, room = 0;
    *mesh = (wilor_mesh){0};
    /* A cut face has two new vertices and becomes two triangles. */
    if (wilor_size_mul(hands, (size_t)scene->vertices, &vertices) &&
        wilor_size_mul(hands, (size_t)scene->faces, &faces) &&
        wilor_size_mul(faces, 2, &room) && wilor_size_add(room, vertices, &room) &&
        room < UINT32_MAX) {
        mesh->vertices = wilor_heap_alloc(room, sizeof *mesh->vertices);
        mesh->triangles = wilor_heap_alloc(faces, 2 * sizeof *mesh->triangles);
    }
    if (!mesh->vertices || !mesh->triangles)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to draw %d hands", scene->n);
    mesh->vertex_count = vertices;
    for (int h = 0; h < scene->n; h++) {
        wilor_mesh_vertex *v = mesh->vertices + (size_t)h * (size_t)scene->vertices;
        place(v, scene->hands + h, scene->vertices);
        add_normals(v, scene->hands + h, scene);
    }
    if (!wilor_mesh_occlude(mesh->vertices, scene->n, scene->vertices))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to draw %d hands", scene->n);
    for (int h = 0; h < scene->n; h++) {
        finish_vertices(mesh->vertices + (size_t)h * (size_t)scene->vertices, scene->hands + h,
                        scene->vertices);
        push_faces(mesh, scene, h);
    }
done:
    if (st != WILOR_OK)
        wilor_mesh_free(mesh);
    return st;
}

void wilor_mesh_free(wilor_mesh *mesh) {
    wilor_heap_free(mesh->vertices);
    wilor_heap_free(mesh->triangles);
    *mesh = (wilor_mesh){0};
}
