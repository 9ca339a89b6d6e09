/* Unit normals of a mesh, each the area-weighted mean of its triangles'. */
#ifndef WILOR_CLI_MESH_NORMALS_H
#define WILOR_CLI_MESH_NORMALS_H

#include <stddef.h>
#include <stdint.h>

/* points, normals: vertices × 3; sums: room for as many doubles; faces: count × 3. A vertex without area gets (0, 0,
 * 1): glTF allows no other than unit normals. */
void wilor_cli_mesh_normals(float *normals, double *sums, const float *points, size_t vertices,
                            const int32_t *faces, int count);

#endif
