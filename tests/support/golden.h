/* Helpers for tests against reference tensors. Messages go to stderr; every comparison prints
 * the measured maximum to stdout, so that docs/accuracy.md can be made from test output. */
#ifndef WILOR_TEST_GOLDEN_H
#define WILOR_TEST_GOLDEN_H

#include "tensor_index.h"
#include <stdbool.h>
#include <stddef.h>

/* "<folder>/<name>" in a buffer of the test; valid until 8 further calls. */
const char *golden_path(const char *folder, const char *name);
bool golden_exists(const char *path);

/* Open or fail the test with the error's text. */
wilor_index *golden_open(const char *path);
/* All values of a tensor as float (double, int64) in row-major order; fails the test when it is
 * missing. Free with wilor_heap_free. *count may be NULL. */
float *golden_f32(const wilor_index *index, const char *name, size_t *count);
double *golden_f64(const wilor_index *index, const char *name, size_t *count);
int64_t *golden_i64(const wilor_index *index, const char *name, size_t *count);

/* Largest |got - want|; NaN must meet NaN and infinities their equal, else infinity. */
double golden_difference(const float *got, const float *want, size_t count);
double golden_difference_f64(const double *got, const double *want, size_t count);
/* Prints "what: maximum (allowed …)" and fails the test when it is above tolerance × max(1,
 * largest |want|). */
void golden_check(const char *what, const float *got, const float *want, size_t count,
                  double tolerance);
void golden_check_f64(const char *what, const double *got, const double *want, size_t count,
                      double tolerance);
#endif
