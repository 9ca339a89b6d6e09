/* A sorted array with a bottom-up merge sort: n log n comparisons whatever the names are (a
 * hash without a secret can be made to collide, and qsort promises nothing). */
#include "name_table.h"

#include "heap.h"
#include <string.h>

static int compare(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t shared = a_length < b_length ? a_length : b_length;
    int order = shared ? memcmp(a, b, shared) : 0;
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

bool wilor_names_add(wilor_names *n, const char *text, size_t length, size_t value) {
    if (!wilor_heap_grow(&n->items, &n->room, n->count, sizeof *n->items))
        return false;
    n->items[n->count++] = (wilor_name){text, length, value};
    return true;
}

static void merge(const wilor_name *from, wilor_name *to, size_t begin, size_t middle,
                  size_t end) {
    size_t a = begin, b = middle;
    for (size_t i = begin; i < end; i++) {
        bool left = a < middle && (b >= end || compare(from[a].text, from[a].length,
                                                       from[b].text, from[b].length) <= 0);
        to[i] = left ? from[a++] : from[b++];
    }
}

bool wilor_names_sort(wilor_names *n) {
    if (n->count < 2)
        return true;
    wilor_name *from = n->items, *to = wilor_heap_alloc(n->count, sizeof *to);
    if (!to)
        return false;
    for (size_t width = 1; width < n->count; width *= 2) {
        for (size_t at = 0; at < n->count; at += 2 * width) {
            size_t middle = n->count - at < width ? n->count : at + width;
            size_t end = n->count - at < 2 * width ? n->count : at + 2 * width;
            merge(from, to, at, middle, end);
        }
        wilor_name *swap = from;
        from = to;
        to = swap;
    }
    n->items = from;
    n->room = n->count;
    wilor_heap_free(to);
    return true;
}

const wilor_name *wilor_names_find(const wilor_names *n, const char *text, size_t length) {
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const wilor_name *m = &n->items[middle];
        if (compare(m->text, m->length, text, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == n->count || compare(n->items[low].text, n->items[low].length, text, length) != 0)
        return NULL;
    return &n->items[low];
}

const wilor_name *wilor_names_twice(const wilor_names *n) {
    for (size_t i = 1; i < n->count; i++)
        if (compare(n->items[i - 1].text, n->items[i - 1].length, n->items[i].text,
                    n->items[i].length) == 0)
            return &n->items[i];
    return NULL;
}

void wilor_names_free(wilor_names *n) {
    wilor_heap_free(n->items);
    *n = (wilor_names){0};
}
