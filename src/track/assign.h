/* Who is who: the cheapest assignment of rows to columns. */
#ifndef WILOR_ASSIGN_H
#define WILOR_ASSIGN_H

#include <stddef.h>

/* Bytes of scratch for wilor_assign. */
size_t wilor_assign_scratch(int rows, int columns);

/* cost is rows × columns, finite, rows <= columns. to[row] becomes its column; no column is taken
 * twice; the sum of the costs is the least there is. O(rows² · columns). */
void wilor_assign(const double *cost, int rows, int columns, void *scratch, int *to);

#endif
