#include "mesh_normals.h"

#include <math.h>
#include <string.h>

/* A triangle's cross product is its normal times twice its area: the sum is area-weighted. */
static void add_triangle(double *sums, const float *points, const int32_t *f) {
    double a[3], b[3], n[3];
    for (int k = 0; k < 3; k++) {
        a[k] = (double)points[3 * f[1] + k] - (double)points[3 * f[0] + k];
        b[k] = (double)points[3 * f[2] + k] - (double)points[3 * f[0] + k];
    }
    n[0] = a[1] * b[2] - a[2] * b[1];
    n[1] = a[2] * b[0] - a[0] * b[2];
    n[2] = a[0] * b[1] - a[1] * b[0];
    for (int corner = 0; corner < 3; corner++)
        for (int k = 0; k < 3; k++)
            sums[3 * f[corner] + k] += n[k];
}

void wilor_cli_mesh_normals(float *normals, double *sums, const float *points, size_t vertices,
                            const int32_t *faces, int count) {
    memset(sums, 0, vertices * 3 * sizeof *sums);
    for (int i = 0; i < count; i++)
        add_triangle(sums, points, faces + 3 * (size_t)i);
    for (size_t i = 0; i < vertices; i++) {
        double *n = sums + 3 * i;
        double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        if (!(length > 0)) {
            n[0] = n[1] = 0;
            n[2] = length = 1;
        }
        for (size_t k = 0; k < 3; k++)
            normals[3 * i + k] = (float)(n[k] / length);
    }
}
