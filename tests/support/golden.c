/* Test helpers over reference tensors: open, fetch, compare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "heap.h"
#include "tensor_convert.h"
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

const char *golden_path(const char *folder, const char *name) {
    static char paths[8][1024];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

bool golden_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

wilor_index *golden_open(const char *path) {
    wilor_error err;
    wilor_index *index = NULL;
    if (wilor_index_open(&index, path, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return index;
}

static const wilor_tensor *need(const wilor_index *index, const char *name, size_t *count) {
    const wilor_tensor *t = wilor_index_find(index, name);
    if (!t)
        fail_msg("%s has no tensor '%s'", wilor_index_path(index), name);
    if (count)
        *count = t->count;
    return t;
}

static void *room_for(const wilor_tensor *t, size_t size) {
    void *values = wilor_heap_alloc(t->count, size);
    if (!values)
        fail_msg("no memory for %zu values of '%s'", t->count, t->name);
    return values;
}

float *golden_f32(const wilor_index *index, const char *name, size_t *count) {
    wilor_error err;
    const wilor_tensor *t = need(index, name, count);
    float *values = room_for(t, sizeof *values);
    if (wilor_tensor_to_f32(t, values, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return values;
}

double *golden_f64(const wilor_index *index, const char *name, size_t *count) {
    wilor_error err;
    const wilor_tensor *t = need(index, name, count);
    double *values = room_for(t, sizeof *values);
    if (wilor_tensor_to_f64(t, values, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return values;
}

int64_t *golden_i64(const wilor_index *index, const char *name, size_t *count) {
    wilor_error err;
    const wilor_tensor *t = need(index, name, count);
    int64_t *values = room_for(t, sizeof *values);
    if (wilor_tensor_to_i64(t, values, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    return values;
}

/* NaN meets NaN, an infinity its equal. */
static double distance(double got, double want) {
    if (isnan(got) && isnan(want))
        return 0;
    if (isfinite(got) && isfinite(want))
        return fabs(got - want);
    return got == want ? 0 : INFINITY;
}

double golden_difference(const float *got, const float *want, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, distance((double)got[i], (double)want[i]));
    return most;
}

double golden_difference_f64(const double *got, const double *want, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, distance(got[i], want[i]));
    return most;
}

static void judge(const char *what, double difference, double largest, double tolerance) {
    double allowed = tolerance * fmax(1, largest);
    printf("%s: %.3g (allowed %.3g)\n", what, difference, allowed);
    fflush(stdout);
    if (!(difference <= allowed))
        fail_msg("%s: difference %.6g is above %.6g", what, difference, allowed);
}

void golden_check(const char *what, const float *got, const float *want, size_t count,
                  double tolerance) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(want[i]))
            largest = fmax(largest, fabs((double)want[i]));
    judge(what, golden_difference(got, want, count), largest, tolerance);
}

void golden_check_f64(const char *what, const double *got, const double *want, size_t count,
                      double tolerance) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(want[i]))
            largest = fmax(largest, fabs(want[i]));
    judge(what, golden_difference_f64(got, want, count), largest, tolerance);
}
