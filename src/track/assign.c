/* The assignment problem by shortest augmenting paths with potentials (Kuhn and Munkres' Hungarian
 * method in the form of Jonker and Volgenant, 1987). A row at a time is added: Dijkstra over the reduced
 * costs, which are never negative, from the row to the nearest free column. */
#include "assign.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef struct work {
    double *row_price;    /* rows + 1 */
    double *column_price; /* columns + 1; index 0 is where the new row enters */
    double *reach;        /* columns + 1: cheapest way to a column */
    int *owner;           /* columns + 1: row + 1 that has the column, 0: free */
    int *before;          /* columns + 1: the column before it on that way */
    bool *done;           /* columns + 1 */
} work;

size_t wilor_assign_scratch(int rows, int columns) {
    size_t r = (size_t)rows + 1, c = (size_t)columns + 1;
    return (r + 2 * c) * sizeof(double) + 2 * c * sizeof(int) + c * sizeof(bool);
}

static work cut(void *scratch, int rows, int columns) {
    size_t r = (size_t)rows + 1, c = (size_t)columns + 1;
    work w;
    w.row_price = scratch;
    w.column_price = w.row_price + r;
    w.reach = w.column_price + c;
    w.owner = (int *)(void *)(w.reach + c);
    w.before = w.owner + c;
    w.done = (bool *)(void *)(w.before + c);
    memset(scratch, 0, wilor_assign_scratch(rows, columns));
    return w;
}

/* One step of Dijkstra from column `at`: the next nearest column, prices moved with it. */
static int nearest(const work *w, const double *cost, int columns, int at) {
    int row = w->owner[at] - 1, next = 0;
    double least = INFINITY;
    w->done[at] = true;
    for (int c = 1; c <= columns; c++) {
        if (w->done[c])
            continue;
        double d = cost[(size_t)row * (size_t)columns + (size_t)c - 1] - w->row_price[row + 1] -
                   w->column_price[c];
        if (d < w->reach[c]) {
            w->reach[c] = d;
            w->before[c] = at;
        }
        if (w->reach[c] < least) {
            least = w->reach[c];
            next = c;
        }
    }
    for (int c = 0; c <= columns; c++)
        if (w->done[c]) {
            w->row_price[w->owner[c]] += least;
            w->column_price[c] -= least;
        } else {
            w->reach[c] -= least;
        }
    return next;
}

void wilor_assign(const double *cost, int rows, int columns, void *scratch, int *to) {
    work w = cut(scratch, rows, columns);
    for (int row = 0; row < rows; row++) {
        int at = 0;
        w.owner[0] = row + 1;
        for (int c = 0; c <= columns; c++) {
            w.reach[c] = INFINITY;
            w.done[c] = false;
        }
        do
            at = nearest(&w, cost, columns, at);
        while (w.owner[at] != 0);
        for (; at != 0; at = w.before[at]) /* everyone on the way moves on by one */
            w.owner[at] = w.owner[w.before[at]];
    }
    for (int c = 1; c <= columns; c++)
        if (w.owner[c] > 0)
            to[w.owner[c] - 1] = c - 1;
}
